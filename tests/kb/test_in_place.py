"""An Obsidian vault in place: its files stay where and as they are, and kb works on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from kb.problem import KbError
from kb.verbs.vault import init

PAPER = """---
tags: [diffusion]
aliases: [DDPM]
citekey: ho2020
---
# Denoising Diffusion

See [[LoRA notes|lora]], ![[fig 1.png]] and [[#^abc]].

> [!note] A callout
> of two lines ^abc
"""
FILES = {
    ".obsidian/app.json": "{}",
    "Papers/Denoising Diffusion.md": PAPER,
    "Papers/LoRA notes.md": "Without front matter: [[DDPM]] #todo\r\n",
    "Daily/2025-01-04.md": "- read [[Denoising Diffusion]]\n",
    "img/fig 1.png": "no picture",
}


@pytest.fixture
def obsidian(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        (tmp_path / "Obsidian" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "Obsidian" / path).write_bytes(text.encode())
    return tmp_path / "Obsidian"


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_bytes().decode() for p in folder.rglob("*") if p.is_file()}


def test_it_is_listed_searched_linked_and_checked_where_it_is(
    obsidian: Path, run_kb: Callable[..., CompletedProcess[str]]
) -> None:
    root = obsidian.parent / "vault"
    assert init(root, notes=obsidian) == [".gitignore", "inbox.md", "mkdocs.yml"]
    assert (root / "notes").is_symlink()
    listed = run_kb(root, "list").stdout.splitlines()
    assert [line.split("inbox")[0].strip() for line in listed] == ["2025-01-04", "Denoising Diffusion", "LoRA notes"]
    assert run_kb(root, "search", "callout").stdout.startswith("Denoising Diffusion")
    links = run_kb(root, "links", "DDPM").stdout
    assert "[[LoRA notes]]" in links and "Leads nowhere" not in links
    assert "notes/Daily/2025-01-04.md:1" in links and "notes/Papers/LoRA notes.md:1" in links
    check = run_kb(root, "check")
    assert (check.returncode, check.stdout) == (0, "")
    assert run_kb(root, "check", "--all").stdout.count("no front matter") == 2
    assert contents(obsidian) == FILES


def test_an_edit_changes_one_file_there_and_undo_puts_it_back(
    obsidian: Path, run_kb: Callable[..., CompletedProcess[str]]
) -> None:
    root = obsidian.parent / "vault"
    init(root, notes=obsidian)
    assert run_kb(root, "tag", "DDPM", "+read-again").returncode == 0
    changed = {path for path, text in contents(obsidian).items() if text != FILES[path]}
    assert changed == {"Papers/Denoising Diffusion.md"}
    assert contents(obsidian)["Papers/Denoising Diffusion.md"] == PAPER.replace(
        "[diffusion]", "[diffusion, read-again]"
    )
    assert run_kb(root, "undo").returncode == 0
    assert contents(obsidian) == FILES


def test_what_is_wrong_beyond_the_rules_of_the_house_stays_wrong(
    obsidian: Path, run_kb: Callable[..., CompletedProcess[str]]
) -> None:
    (obsidian / "Daily/x.md").write_text("---\ntitle: never closed\n\n[[Nowhere]]\n")
    root = obsidian.parent / "vault"
    init(root, notes=obsidian)
    check = run_kb(root, "check")
    assert check.returncode == 1
    assert "the front matter is never closed" in check.stdout


def test_its_site_is_built(obsidian: Path, run_kb: Callable[..., CompletedProcess[str]]) -> None:
    pytest.importorskip("mkdocs", reason="the site extra is not installed")
    root = obsidian.parent / "vault"
    init(root, notes=obsidian)
    built = run_kb(root, "build", "--strict")
    assert built.returncode == 0, built.stderr
    page = (root / "site/Papers/Denoising Diffusion/index.html").read_text()
    assert 'class="admonition note"' in page and "A callout" in page
    assert contents(obsidian) == FILES


def test_what_cannot_be_linked_is_said(obsidian: Path) -> None:
    root = obsidian.parent / "vault"
    for folder, notes, told in (
        (root, root / "nowhere", "is no folder; name the one that holds your notes"),
        (obsidian / "inner", obsidian, "would lead back into itself; choose a folder elsewhere"),
        (obsidian.parent, obsidian, "notes is there already; choose an empty folder"),
    ):
        (obsidian.parent / "notes").mkdir(exist_ok=True)
        with pytest.raises(KbError, match=told) as caught:
            init(folder, notes=notes)
        assert caught.value.code == 2
        assert not (folder / "notes").is_symlink()
