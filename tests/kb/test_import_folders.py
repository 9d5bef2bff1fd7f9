"""Obsidian vaults, Logseq graphs and Notion exports: every page a note, its words and links as they were."""

from __future__ import annotations

import io
import os
import zipfile
from datetime import date
from pathlib import Path

import pytest

from kb.checks import check
from kb.files import Journal
from kb.importing import Plan, account, apply, folders, plan_import
from kb.importing.folders import read_folder
from kb.importing.terminal import plan_files
from kb.library import Library
from kb.problem import KbError

DAY = date(2026, 3, 1)
A, B = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    root = tmp_path / "ours"
    (root / "notes").mkdir(parents=True)
    (root / "mkdocs.yml").write_text("site_name: x\n")
    return root


def write(root: Path, pages: dict[str, str | bytes]) -> Path:
    for path, text in pages.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def bring(vault: Path, folder: Path) -> Plan:
    library = Library(vault)
    found = read_folder(folder)
    plan = plan_import(library, {found.name: found}, DAY)
    apply(library, plan)
    return plan


def files(vault: Path) -> dict[str, bytes]:
    found = (p for p in sorted(vault.rglob("*")) if p.is_file() and ".kb" not in p.relative_to(vault).parts)
    return {str(p.relative_to(vault)): p.read_bytes() for p in found}


def body(vault: Path, path: str) -> bytes:
    return (vault / "notes" / path).read_bytes().replace(b"\r\n", b"\n").split(b"---\n", 2)[2].lstrip(b"\n")


BYRON = """\
---
# kept as it is
title: "Notes on Tidal Engines"
authors: ["[[Ada Byron]]", Jan Maas]
citekey: "@byron1843"
year: 1843
DOI: https://doi.org/10.1000/tides.1
tags: [engines, "#sea"]
aliases: Tides
status: In progress
created: 2024-03-05T10:00
rank: 5   # of ten
---
"""
PROSE = """\
# Thoughts

> [!note] The point
> is here

See [[Kelp forests]], ![[fig.png|300]] and [[deep/Wrack#Shore|wrack]]. ^abc123

- [ ] #to/do think
"""
OBSIDIAN: dict[str, str | bytes] = {
    ".obsidian/app.json": "{}",
    ".obsidian/plugin.md": "no page",
    "Literature/@byron1843.md": BYRON + "\n" + PROSE,
    "Kelp forests.md": "Leads to [[@byron1843]].\r\n\r\nAnd on.\r\n",
    "deep/Wrack.md": "## Shore\n\n![a](../img/fig.png)\n",
    "2024-03-05.md": "status:: reading\n- met nobody\n",
    "img/fig.png": b"\x89PNG1",
    "img/unused.png": b"\x89PNG2",
}


def test_an_obsidian_vault(vault: Path, tmp_path: Path) -> None:
    before = files(vault)
    plan = bring(vault, write(tmp_path / "sea", OBSIDIAN))
    assert (vault / "notes/papers/notes-on-tidal-engines.md").read_text() == (
        "---\ntitle: Notes on Tidal Engines\nkind: paper\nstatus: reading\nauthors: [Ada Byron, Jan Maas]\nyear: 1843\n"
        "doi: 10.1000/tides.1\nadded: 2024-03-05\ntags: [engines, sea, to/do]\naliases: [Tides, \"@byron1843\"]\n"
        "cite: byron1843\nimported: [sea/Literature/@byron1843.md]\n# kept as it is\nrank: 5   # of ten\n---\n\n"
        + PROSE
    )  # fmt: skip
    assert body(vault, "topics/kelp-forests.md") == b"Leads to [[@byron1843]].\n\nAnd on.\n"
    assert (vault / "notes/topics/kelp-forests.md").read_bytes().count(b"\r\n") == 10
    assert b"kind: log" in (vault / "notes/topics/2024-03-05.md").read_bytes()
    assert sorted(p for p in files(vault) if p.endswith(".png")) == ["notes/attachments/fig.png", "notes/img/fig.png"]
    assert [p for p in check(Library(vault)) if p.level != "info"] == []
    counts = account(plan.files[0], plan.actions)
    assert counts["records"] == {"total": 4, "created": 4, "merged": 0, "unchanged": 0, "unresolved": 0}
    assert counts["lines"]["total"] == counts["lines"]["imported"] == 30
    Journal(vault).undo()
    assert files(vault) == before


def test_again_is_nothing_and_an_edited_page_brings_its_change(vault: Path, tmp_path: Path) -> None:
    sea = write(tmp_path / "sea", OBSIDIAN)
    bring(vault, sea)
    after = files(vault)
    assert bring(vault, sea).changes == [] and files(vault) == after
    wrack = vault / "notes/topics/wrack.md"
    wrack.write_text(wrack.read_text() + "\nMy own words.\n")
    write(sea, {"deep/Wrack.md": "## Shore\n\nNew words.\n\n![a](../img/fig.png)\n"})
    (sea / "2024-03-05.md").unlink()
    plan = bring(vault, sea)
    assert [note.id for note in plan.changes] == ["wrack"]
    assert body(vault, "topics/wrack.md") == b"## Shore\n\nNew words.\n\n![a](../img/fig.png)\n\nMy own words.\n"
    assert [id for _, id in plan.files[0].gone] == ["2024-03-05"] and (vault / "notes/topics/2024-03-05.md").exists()
    assert not (vault / "imports/sea/2024-03-05.md").exists()


def test_a_page_of_a_work_that_has_a_note_joins_it(vault: Path, tmp_path: Path) -> None:
    write(
        vault, {"notes/papers/mine.md": "---\ntitle: Tides\nkind: paper\ndoi: 10.1000/tides.1\nrank: 3\n---\n\nMine.\n"}
    )
    bring(vault, write(tmp_path / "sea", OBSIDIAN))
    text = (vault / "notes/papers/mine.md").read_text()
    assert "\nMine.\n\n## From sea/Literature/@byron1843.md\n\n# Thoughts\n" in text and "title: Tides\n" in text
    assert not (vault / "notes/papers/notes-on-tidal-engines.md").exists()


def test_a_logseq_graph(vault: Path, tmp_path: Path) -> None:
    text = "type:: paper\ntags:: sea, [[Deep Water]]\nauthors:: [[Ada Byron]]\nlink:: https://example.org/t\n"
    text += "mood:: calm\n\n"
    graph = write(
        tmp_path / "graph",
        {
            "logseq/config.edn": "{}", "logseq/bak/x.md": "old", "assets/a.png": b"x",
            "pages/Tidal engines.md": text + "- TODO read [[Jan 2nd, 2024]]\n- ![x](../assets/a.png) ((64b))\n",
            "journals/2024_01_02.md": "- [[Tidal engines]] and [[sea/kelp]]\n", "pages/sea___kelp.md": "- k\n",
        },
    )  # fmt: skip
    bring(vault, graph)
    assert (vault / "notes/papers/tidal-engines.md").read_text() == (
        "---\ntitle: Tidal engines\nkind: paper\nstatus: inbox\nauthors: [Ada Byron]\nurl: https://example.org/t\n"
        "added: 2026-03-01\ntags: [sea, deep-water]\nimported: [graph/pages/Tidal engines.md]\n---\n\nmood:: calm\n\n"
        "- TODO read [[Jan 2nd, 2024]]\n- ![x](../assets/a.png) ((64b))\n"
    )
    assert (vault / "notes/assets/a.png").read_bytes() == b"x"
    assert [str(p) for p in check(Library(vault)) if p.check == "link"] == []


def notion(extra: dict[str, bytes] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        rows = "Name,Status,URL,Tags\nTidal engines,Reading,https://example.org/t,\nOnly a row,Done,https://example.org/z,x\n"
        file.writestr(f"List {A}.csv", rows)
        page = "# Tidal engines\n\nStatus: Reading\nURL: https://example.org/t\n"
        page += "Created: March 5, 2024 3:04 PM\nMood: calm\n"
        file.writestr(f"List {A}/Tidal engines {B}.md", page + f"\nMy words, see [Home](../Home%20{A}.md).\n")
        file.writestr(f"Home {A}.md", f"# Home\n\n[the engines](List%20{A}/Tidal%20engines%20{B}.md)\n")
        for name, data in (extra or {}).items():
            file.writestr(name, data)
    return buffer.getvalue()


def test_a_notion_export(vault: Path, tmp_path: Path) -> None:
    path = tmp_path / "Export.zip"
    path.write_bytes(notion())
    plan = bring(vault, path)
    assert sorted(n.path for n in plan.changes) == [
        "notes/posts/only-a-row.md", "notes/posts/tidal-engines.md", "notes/topics/home.md",
    ]  # fmt: skip
    text = (vault / "notes/posts/tidal-engines.md").read_text()
    assert "status: reading\nurl: https://example.org/t\nadded: 2024-03-05\n" in text
    assert text.endswith("---\n\nMood: calm\n\nMy words, see [[Home]].\n")
    assert body(vault, "topics/home.md") == b"[[Tidal engines|the engines]]\n"
    counts = account(plan.files[0], plan.actions)["lines"]
    assert counts["unresolved"] == 0 and counts["total"] == sum(v for k, v in counts.items() if k != "total")
    after = files(vault)
    assert bring(vault, path).changes == [] and files(vault) == after


def test_a_zip_leads_nowhere_else(vault: Path, tmp_path: Path) -> None:
    inner = notion()
    path = tmp_path / "Export.zip"
    path.write_bytes(notion({"../evil.md": b"# e", "/abs.md": b"# e", "a/../../b.md": b"# e", "Part.zip": inner}))
    plan = bring(vault, path)
    refused = [p.path for p in plan.files[0].problems]
    assert refused == ["../evil.md", "/abs.md", "a/../../b.md"]
    assert len(plan.changes) == 3
    assert {p.parent for p in tmp_path.rglob("*evil*")} == set()


def test_large_and_damaged_files(vault: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "Export.zip"
    path.write_bytes(notion({f"Big {A}.md": b"x" * 5000}))
    monkeypatch.setattr(folders, "_LARGEST", 4000)
    assert read_folder(path).refused == [(f"Big {A}.md", "larger than 0 MB")]
    monkeypatch.setattr(folders, "_MOST", 3)
    with pytest.raises(KbError, match="more than 3 files"):
        read_folder(path)
    path.write_bytes(notion()[:200])
    with pytest.raises(KbError, match=r"Export.zip: this .zip cannot be read .*; export it again") as error:
        read_folder(path)
    assert error.value.code == 2


@pytest.mark.parametrize("name", ["plain", "ours", "empty"])
def test_a_folder_that_is_nothing_known(vault: Path, tmp_path: Path, name: str) -> None:
    write(tmp_path / "plain", {"a.md": "x"})
    (tmp_path / "empty").mkdir()
    with pytest.raises(KbError) as error:
        plan_files(Library(vault), [tmp_path / name], "", False)
    assert error.value.code == 2 and "\n" not in str(error.value)
    if name == "plain":
        plan = plan_files(Library(vault), [tmp_path / name], "", False, "obsidian")
        assert plan is not None and [n.id for n in plan.changes] == ["a"]


def test_a_review_of_pages_whose_names_have_brackets(
    vault: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sea = write(tmp_path / "sea", {".obsidian/app.json": "{}", "Kelp (tall).md": "k\n", "Wrack.md": "w\n"})
    monkeypatch.setenv(
        "EDITOR", "sed -i -E 's/^created(.*)kelp-tall /created\\1kelp /; s/^created(.* wrack )/skip\\1/'"
    )
    monkeypatch.delenv("VISUAL", raising=False)
    plan = plan_files(Library(vault), [sea], "", True)
    assert plan is not None and [(n.id, n.places) for n in plan.changes] == [
        ("kelp", [{"file": "sea/Kelp (tall).md", "line": 1}])
    ]
