"""`kb import` of bibliographies: each record made, merged, left alone or told; once and again; and taken back."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest
from formats import samples

from kb.files import Journal
from kb.importing import Plan, account, apply, plan_import
from kb.importing.terminal import plan_files, summary
from kb.library import Library
from kb.problem import KbError

DAY = date(2026, 3, 1)


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    (tmp_path / "notes/papers").mkdir(parents=True)
    (tmp_path / "mkdocs.yml").write_text("site_name: x\n")
    return tmp_path


def bring(vault: Path, text: str, name: str = "a.bib") -> Plan:
    library = Library(vault)
    plan = plan_import(library, {name: text.encode()}, DAY)
    apply(library, plan)
    return plan


def files(vault: Path) -> dict[str, bytes]:
    found = (p for p in sorted(vault.rglob("*")) if p.is_file() and ".kb" not in p.relative_to(vault).parts)
    return {str(p.relative_to(vault)): p.read_bytes() for p in found}


def read(vault: Path, path: str) -> str:
    return (vault / "notes" / path).read_text()


BYRON = """\
---
title: Notes on Tidal Engines
kind: paper
status: reading
authors:
  - Ada Byron
  - {family: van der Maas, given: Jan}
year: 1843
venue: Journal of Tides
doi: 10.1000/tides.1
added: 2024-03-05
tags: [engines, tide-tables, sea/engines, prio1]
cite: byron1843notes
rating: 4
imported: [a.bib:3]
bibtex: {entry: article, journal: Journal of Tides}
---

Read it twice.

The second part is the better one.
"""


def test_a_bibliography(vault: Path) -> None:
    before = files(vault)
    plan = bring(vault, samples.BIBTEX)
    assert read(vault, "papers/notes-on-tidal-engines.md") == BYRON
    assert "added: 2026-03-01" in read(vault, "posts/kelp-forests.md")
    (told,) = plan.as_json()["files"]
    assert told["format"] == "bibtex"
    assert told["records"] == {"total": 2, "created": 2, "merged": 0, "unchanged": 0, "unresolved": 0}
    assert told["lines"] == {"total": 27, "blank": 2, "structure": 7, "imported": 18, "merged": 0, "unresolved": 0}
    assert (vault / "imports/a.bib").read_text() == samples.BIBTEX
    Journal(vault).undo()
    assert files(vault) == before


@pytest.mark.parametrize(("name", "text"), samples.ALL.items())
def test_every_format_twice_is_once(vault: Path, name: str, text: str) -> None:
    plan = bring(vault, text, name)
    counts = account(plan.files[0], plan.actions)
    lines, records = counts["lines"], counts["records"]
    assert (
        lines["total"] == sum(v for k, v in lines.items() if k != "total") == text.count("\n")
        and not lines["unresolved"]
    )
    assert records["created"] == records["total"] == len(plan.changes)
    after = files(vault)
    again = bring(vault, text, name)
    assert again.changes == [] and files(vault) == after
    assert account(again.files[0], again.actions)["records"]["unchanged"] == records["total"]
    assert list(summary(again, False))[-1] == "Nothing is new: every line was imported before."


def test_one_work_in_every_format_is_one_note(vault: Path) -> None:
    for name, text in samples.ALL.items():
        bring(vault, text, name)
    assert sorted(p.stem for p in (vault / "notes").rglob("*.md")) == ["kelp-forests", "notes-on-tidal-engines"]
    note = read(vault, "papers/notes-on-tidal-engines.md")
    assert all(f"{name}:" in note for name in samples.ALL)
    assert note.count("The second part is the better one.") == 1


def test_one_work_in_many_files_at_once_is_one_note(vault: Path) -> None:
    library = Library(vault)
    plan = plan_import(library, {name: text.encode() for name, text in samples.ALL.items()}, DAY)
    assert sorted(note.id for note in plan.changes) == ["kelp-forests", "notes-on-tidal-engines"]
    assert sum(account(file, plan.actions)["records"]["created"] for file in plan.files) == 2
    apply(library, plan)
    again = plan_import(Library(vault), {name: text.encode() for name, text in samples.ALL.items()}, DAY)
    assert again.changes == []


def test_an_edited_record_brings_only_what_is_new(vault: Path) -> None:
    bring(vault, samples.BIBTEX)
    path = vault / "notes/papers/notes-on-tidal-engines.md"
    path.write_text(
        path.read_text().replace("rating: 4", "rating: 2").replace("engines, ", "", 1) + "\nMy own words.\n"
    )
    mine = path.read_text()
    edited = samples.BIBTEX.replace("{engines, Tide Tables}", "{engines, Tide Tables, moon}").replace(
        "annote       = {Read it twice.", "pages = {1--9},\n  annote       = {Read it twice."
    )
    plan = bring(vault, edited)
    assert [(n.id, n.action, n.conflicts) for n in plan.changes] == [("notes-on-tidal-engines", "updated", [])]
    expected = mine.replace("prio1]", "prio1, moon]").replace("Journal of Tides}", "Journal of Tides, pages: 1–9}")
    assert path.read_text() == expected
    assert account(plan.files[0], plan.actions)["records"]["merged"] == 1
    assert bring(vault, edited).changes == []


def test_a_record_of_a_work_that_has_a_note_fills_it(vault: Path) -> None:
    path = vault / "notes/papers/mine.md"
    path.write_text(
        "---\ntitle: Notes on tidal engines  # mine\nkind: paper\nstatus: dropped\ndoi: 10.1000/tides.1\n---\n\nMine.\n"
    )
    plan = bring(vault, samples.BIBTEX)
    text = path.read_text()
    assert text.startswith("---\ntitle: Notes on tidal engines  # mine\nkind: paper\nstatus: dropped\n")
    assert "venue: Journal of Tides\n" in text and "cite: byron1843notes\n" in text
    assert text.endswith("\nMine.\n\n## From a.bib\n\nRead it twice.\n\nThe second part is the better one.\n")
    assert account(plan.files[0], plan.actions)["records"] == {
        "total": 2, "created": 1, "merged": 1, "unchanged": 0, "unresolved": 0,
    }  # fmt: skip


def test_a_record_taken_out_keeps_its_note_and_is_told(vault: Path) -> None:
    bring(vault, samples.BIBTEX)
    plan = bring(vault, samples.BIBTEX.replace("@online{kelp", "@comment{kelp"))
    assert plan.changes == [] and (vault / "notes/posts/kelp-forests.md").exists()
    assert "  no longer in a.bib: Kelp forests (the note kelp-forests stays)" in list(summary(plan, False))
    assert plan.as_json()["files"][0]["removed"] == [{"title": "Kelp forests", "id": "kelp-forests", "line": 21}]


def test_what_cannot_be_read_is_counted_and_told(vault: Path) -> None:
    text = '@misc{a, title={Kelp of the Sea}}\n@misc{b,\n title = "x" author={y}}\n\n@misc{c}\n'
    plan = bring(vault, text)
    assert plan.is_flawed
    (told,) = plan.as_json()["files"]
    assert told["records"] == {"total": 3, "created": 1, "merged": 0, "unchanged": 0, "unresolved": 2}
    assert told["lines"] == {"total": 5, "blank": 1, "structure": 0, "imported": 1, "merged": 0, "unresolved": 3}
    assert [(row["line"], row["text"]) for row in told["unresolved"]] == [(2, "@misc{b,"), (5, "@misc{c}")]
    assert list(summary(bring(vault, text), False))[-1] == "Nothing else is new."
    assert told["unresolved"][0]["reason"] == "entry 'b': a comma is missing after title, before author (add the comma)"


def test_two_entries_of_one_key_are_both_kept(vault: Path) -> None:
    text = "@misc{k, title={Kelp of the Sea}}\n@misc{k, title={Wrack of the Sea}}\n"
    plan = bring(vault, text)
    assert sorted(n.id for n in plan.changes) == ["kelp-of-the-sea", "wrack-of-the-sea"]
    assert any("key 'k' stands on line 1 too" in line for line in summary(plan, False))
    assert bring(vault, text).changes == []


def test_a_note_that_was_removed_stays_removed(vault: Path) -> None:
    bring(vault, samples.BIBTEX)
    (vault / "notes/posts/kelp-forests.md").unlink()
    plan = bring(vault, samples.BIBTEX)
    assert not (vault / "notes/posts/kelp-forests.md").exists()
    assert account(plan.files[0], plan.actions)["records"]["unresolved"] == 1


@pytest.mark.parametrize("lost", ["imports/a.bib", "imports/a.bib.json", "both"])
def test_lost_records_make_no_second_notes(vault: Path, lost: str) -> None:
    text = "@misc{a, title={Kelp}}\n@misc{b, title={Wrack}}\n"
    bring(vault, text)
    before = files(vault)
    for path in ("imports/a.bib", "imports/a.bib.json") if lost == "both" else (lost,):
        (vault / path).unlink()
    bring(vault, text)
    assert files(vault) == before


def test_the_format_can_be_said(vault: Path) -> None:
    (vault / "refs.txt").write_text(samples.RIS)
    plan = plan_files(Library(vault), [vault / "refs.txt"], "", False, "ris")
    assert plan is not None and len(plan.changes) == 2
    with pytest.raises(KbError, match="no format 'docx'; there are list org") as error:
        plan_files(Library(vault), [vault / "refs.txt"], "", False, "docx")
    assert error.value.code == 2


def test_hundreds_of_records(vault: Path) -> None:
    text = "".join(
        f"@misc{{k{n}, title={{Kelp number {n} of the northern sea}}, author={{Byron, Ada}}}}\n" for n in range(300)
    )
    assert len(bring(vault, text).changes) == 300
    assert bring(vault, text).changes == []


def test_a_line_without_end_is_told_at_once(vault: Path) -> None:
    for name, text in (("a.bib", "@misc{a, title={%s}}\n"), ("a.ris", "TY  - JOUR\nTI  - %s\nER  - \n")):
        plan = bring(vault, text % ("x" * 5_000_000), name)
        (row,) = plan.as_json()["files"][0]["unresolved"]
        assert "is longer than 4000000 characters; nothing of the file was read" in row["reason"]
        assert len(row["text"]) <= 300 and plan.changes == []
    plan = bring(vault, "- [ ] Kelp\n- [ ] " + "x " * 100_000 + "\n", "a.md")
    (row,) = plan.as_json()["files"][0]["unresolved"]
    assert (row["line"], row["reason"]) == (2, "longer than 100000 characters; break the line")
