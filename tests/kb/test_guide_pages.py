"""The guide's pages say what happens: every command on them is typed anew, and must print what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from transcripts import GUIDE, PAGES, ROOT, renewed, typed

from kb.cli.shared import app
from kb.note import KINDS, SCHEMA, STATUSES, parse_note
from kb.pages import in_order


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_a_page_shows_what_its_commands_print(page: Path, tmp_path: Path) -> None:
    text = page.read_text("utf-8")
    assert text.count("\n$ kb ") > 0
    assert text == renewed(page, tmp_path), "python tests/kb/transcripts.py renews it; read the difference first"


def test_a_page_that_lies_is_found(tmp_path: Path) -> None:
    page = tmp_path / "lie.md"
    page.write_text("## Lies\n\n```console\n$ kb status\n7 read\n$ kb frobnicate\n```\n")
    now = renewed(page, tmp_path / "vaults")
    assert "7 read" not in now and "no notes yet" in now and "No such command 'frobnicate'" in now


def test_the_key_page_names_every_key_kind_and_status() -> None:
    text = (GUIDE / "write-a-note.md").read_text("utf-8")
    front = re.search(r"```yaml\n---\n(.*?)---\n```", text, re.S)
    assert front
    assert {m[1] for m in re.finditer(r"(?m)^(?:# )?(\w+):", front[1])} == set(SCHEMA)
    for word in (*KINDS, *STATUSES):
        assert re.search(rf"(?<![\w-]){word}(?![\w-])", front[1]), word


def test_pages_and_readme_name_only_verbs_and_options_that_there_are() -> None:
    import typer

    command = typer.main.get_command(app)
    verbs = {name: {o for p in sub.params for o in p.opts} for name, sub in command.commands.items()}  # type: ignore[attr-defined]
    for page in (ROOT / "README.md", *sorted(GUIDE.glob("*.md"))):
        for m in re.finditer(r"(?m)(?:^\$ |^|`)kb ([a-z]+)([^`\n|#>]*)", page.read_text("utf-8")):
            where = f"{page.name}: kb {m[1]}{m[2]}"
            if page.name == "command-line.md" or m.start() and "kb.reference" in m[0]:
                continue
            assert m[1] in verbs, where
            given = re.findall(r"(?<=\s)(--[a-z][\w-]*)", m[2].partition(" -- ")[0])
            assert set(given) <= verbs[m[1]], where


def test_the_menu_has_the_guide_in_the_order_of_its_index() -> None:
    note, _ = parse_note((GUIDE / "index.md").read_bytes(), "notes/guide/index.md")
    pages = [f"guide/{page.name}" for page in sorted(GUIDE.glob("*.md"))]
    found = in_order([*pages, "guide/zz.md"], note)
    assert found[0] == "guide/index.md" and found[-2:] == ["guide/command-line.md", "guide/zz.md"]
    assert sorted(found[:-1]) == pages and found[1] == "guide/coming-from.md"
    assert in_order(["guide/b.md", "guide/a.md"], None) == ["guide/a.md", "guide/b.md"]


def test_the_front_matter_of_the_key_page_is_without_fault() -> None:
    text = (GUIDE / "write-a-note.md").read_text("utf-8")
    front = re.search(r"```yaml\n(---\n.*?---\n)```", text, re.S)
    assert front
    note, problems = parse_note(front[1].encode(), "notes/papers/ddpm.md")
    assert problems == []
    assert set(SCHEMA) - set(note.meta) == {"part_of", "finished"}  # the two that stand there empty


def test_every_promise_of_the_security_page_names_a_test_that_there_is() -> None:
    text = (GUIDE / "security.md").read_text("utf-8")
    rows = [row.split("|")[1:-1] for row in re.findall(r"(?m)^\|.*\|$", text)][2:]
    assert len(rows) > 15
    for _, _, tests in rows:
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
        assert named and tests.count("`") == 2 * len(named), tests
        for file, name in named:
            code = (ROOT / "tests/kb" / file).read_text("utf-8")
            assert re.search(rf"(?m)^def {name}\(", code), f"{file}::{name}"
    assert "(security.md)" in (GUIDE / "index.md").read_text("utf-8")


def test_every_guide_page_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [page.name for page in sorted(GUIDE.glob("*.md")) if f"notes/guide/{page.name}" not in readme] == []


def test_days_and_times_are_those_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert typed("date +%F") == "2026-11-22\n"
    assert typed("date '+%F %H:%M'") == "2026-11-22 09:30\n"
    assert typed("echo kept 35:38 2020-01-01") == "kept 35:38 2020-01-01\n"
