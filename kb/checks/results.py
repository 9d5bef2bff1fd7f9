"""Checks of the vault's own reproductions: records, verdicts, and the notes that belong to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kb.checks import key_line, values
from kb.library import Library
from kb.problem import Problem
from kb.results import Paper


def missing_reproductions(library: Library) -> Iterator[Problem]:
    """`repro:` that names no folder, in the vault or in the installed laboratory."""
    for path, repro in values(library, "repro"):
        if not library.results.has(repro):
            line = key_line(library, path, "repro")
            hint = "name a folder of repro/, or remove the key"
            yield Problem(path, line, "repro", f"there is no repro/{repro}", hint, "warning")


def damaged_results(library: Library) -> Iterator[Problem]:
    """Records and results.json that cannot be read, or that name what is not there."""
    for paper in _own(library):
        yield from paper.problems


def lonely_reproductions(library: Library) -> Iterator[Problem]:
    """Reproductions that no note explains, and claims that name a note which is not there."""
    named = {repro for _, repro in values(library, "repro")}
    for paper in _own(library):
        notes = {row.note for row in paper.listed if row.note}
        lost = {note for note in notes if library.index.resolve(note) is None}
        if paper.name not in named and notes == lost:
            path, hint = paper.path(paper.folder), f"write `repro: {paper.name}` into its note"
            yield Problem(path, 0, "repro", f"no note says `repro: {paper.name}`", hint, "warning")
        for row in paper.listed:
            if row.note in lost:
                message = f"claim {row.id} names the note '{row.note}', which is not there"
                hint = "write it, or name another in claims.py"
                yield Problem(paper.path(paper.folder / "results.json"), row.line, "results", message, hint, "warning")


def stale_verdicts(library: Library) -> Iterator[Problem]:
    """Verdicts that other code made, and code that cannot be read."""
    for paper in _own(library):
        path = paper.path(paper.folder / "results.json")
        for row in paper.claims:
            if row.stale:
                again = " and ".join(dict.fromkeys(f"kb run {paper.name} {recipe}" for recipe in row.recipes))
                message = f"claim {row.id}, '{row.verdict}', is stale: {row.why}"
                yield Problem(path, row.line, "stale", message, f"run it again: {again}" if again else "", "info")
        if paper.code_problem:
            yield paper.code_problem


def stale_rows(library: Library) -> list[dict[str, Any]]:
    """Rows of `kb status`: the stale verdicts of the vault's own papers and of those that a note names."""
    named = {repro for _, repro in values(library, "repro")}
    papers = [paper for paper in library.results.papers.values() if paper.own or paper.name in named]
    rows = (row for paper in papers for row in paper.claims if row.stale)
    return [{"id": row.id, "paper": row.repro, "note": row.note, "title": row.says, "why": row.why} for row in rows]


def _own(library: Library) -> list[Paper]:
    return [paper for paper in library.results.papers.values() if paper.own]
