"""Exporting works: bibliographies, tables and lists for other programs, the same bytes for the same vault.

Only works are exported: topics, logs and the pages of the guide are none. Private notes are left out unless asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kb.exporting.keys import assign
from kb.exporting.works import CONTROLS, Work
from kb.note import PAGE, Note
from kb.problem import KbError, Problem
from kb.query import Query, as_sql

if TYPE_CHECKING:
    from kb.library import Library

FORMATS = ("bibtex", "biblatex", "ris", "csl-json", "csv", "json", "markdown", "bibliography")
SUFFIXES = {"bib": "bibtex", "ris": "ris", "csv": "csv", "md": "markdown", "json": "csl-json", "html": "bibliography"}
_NO_WORKS = ("topic", "log", PAGE)


def export(library: Library, notes: Iterable[Note], format: str) -> str:
    """Notes as a text in one of FORMATS."""
    return render(works(library, notes), format)


def works(library: Library, notes: Iterable[Note]) -> list[Work]:
    """The works among some notes, each with its key, by key."""
    keys = assign(all_works(library))
    return _by_key(Work(keys[note.path], note) for note in notes if note.path in keys)


def _by_key(found: Iterable[Work]) -> list[Work]:
    return sorted(found, key=lambda work: (work.key.casefold(), work.key))


def cited_works(library: Library, files: Iterable[Path], shown: Iterable[Note]) -> tuple[list[Work], list[Problem]]:
    """The works among `shown` that documents cite, under the keys they use and in the order they cite them, and
    what is wrong: keys that no work has are errors, one work under two keys and a file that is not there warnings."""
    from kb.exporting.cited import read_citations
    from kb.exporting.citing import cite

    found = cite(read_citations(files), all_works(library), {note.path: note for note in shown})
    return found.works, found.problems


def all_works(library: Library) -> list[Note]:
    """Every work of a vault, private ones too, without the texts of the notes. A key depends on all of them, so that
    it is the same in whatever is exported."""
    return _select(library, f"kind NOT IN {_NO_WORKS!r}", [])


def public_works(library: Library, query: Query, private: bool = False) -> list[Note]:
    """The works that answer a query; without `private` as strangers may see them: no private note, none named."""
    where, args = as_sql(query)
    found = _select(library, f"kind NOT IN {_NO_WORKS!r} AND {where}", args)
    if private or not library.index.rows("SELECT 1 FROM notes WHERE private LIMIT 1"):
        return found
    from kb.pages.public import visible

    shown = visible(library).notes
    return [replace(shown[note.path], body="") for note in found if note.path in shown]


def _select(library: Library, where: str, args: list[object]) -> list[Note]:
    rows = library.index.rows(f"SELECT id, path, meta FROM notes WHERE {where} ORDER BY id, path", args)
    return [Note(id, path, json.loads(meta), "") for id, path, meta in rows]


def render(
    found: Sequence[Work], format: str, full: bool = True, style: str = "", locale: str = "", markup: str = "text"
) -> str:
    """Works as a text, by key or id; a bibliography in their order, where its style has none of its own. `full` is for
    BibTeX, style, locale and markup for a bibliography."""
    return _rendered(found, format, full, style, locale, markup).translate(CONTROLS)


def _rendered(found: Sequence[Work], format: str, full: bool, style: str, locale: str, markup: str) -> str:
    if format == "bibliography":
        from kb.exporting.bibliography import formatted

        return formatted(found, style, locale, markup)
    found = _by_key(found)
    if format in ("bibtex", "biblatex"):
        from kb.exporting.bibtex import bibliography

        return bibliography(found, format == "biblatex", full)
    if format == "ris":
        from kb.exporting.ris import records

        return records(found)
    if format == "csl-json":
        from kb.exporting.csl import items_json

        return items_json(found)
    if format not in FORMATS:
        raise KbError(f"no format '{format}'; there are {' '.join(FORMATS)}", 2)
    return _listing(found, format)


def _listing(found: Iterable[Work], format: str) -> str:
    """A row for each note, by id."""
    rows = sorted({work.note.path: work for work in found}.values(), key=lambda work: (work.note.id, work.note.path))
    if format == "csv":
        from kb.exporting.table import table

        return table(rows)
    if format == "markdown":
        from kb.exporting.markdown import reading_list

        return reading_list(rows)
    return json.dumps([work.note.as_json() for work in rows], ensure_ascii=False, indent=2) + "\n"
