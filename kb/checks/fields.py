"""Checks of the front matter's values against each other: dates, status, years and the ids that bear a year."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from kb.checks import key_line, values
from kb.library import Library
from kb.problem import Level, Problem
from kb.published import is_preprint_doi, is_published, preprint_year

_PRINTED = ("acl", "isbn", "pmid", "openreview", "published")  # what tells of a year besides that of the preprint
_EARLY, _LATE = 3, 1  # years by which a note may date a paper of the ACL before its volume, or after it


def contradicting_dates(library: Library, today: date) -> Iterator[Problem]:
    """Dates against each other, against the status, and against today."""
    sql = """SELECT path, status, added, started, finished FROM notes WHERE max(added, started, finished) > ?
             OR (started = '' AND status = 'reading' AND NOT instr(meta, '"imported"'))  -- a list seldom knows
             OR (started <> '' AND status IN ('inbox', 'to-read'))
             OR (finished <> '' AND (finished < started OR status IN ('inbox', 'to-read', 'reading')))"""
    for path, status, added, started, finished in library.index.rows(sql, (today.isoformat(),)):
        for key, message, hint, level in _told(status, started, finished):
            yield Problem(path, key_line(library, path, key), "dates", message, hint, level)
        for key, value in (("added", added), ("started", started), ("finished", finished)):
            if value > today.isoformat():
                line = key_line(library, path, key)
                yield Problem(path, line, "dates", f"{key} {value} lies in the future", "mend the date", "warning")
    sql = "SELECT path, year FROM notes WHERE year > ? ORDER BY path"
    for path, year in library.index.rows(sql, (today.year + 1,)):
        line = key_line(library, path, "year")
        yield Problem(path, line, "dates", f"year {year} lies in the future", "mend the year", "warning")


def _told(status: str, started: str, finished: str) -> Iterator[tuple[str, str, str, Level]]:
    """The key, message, hint and level of what one note's dates and status contradict."""
    if finished and finished < started:
        yield "finished", f"finished {finished}, before it was started ({started})", "mend one of the two", "warning"
    if finished and status in ("inbox", "to-read", "reading"):
        hint = "set status: read, or remove the date"
        yield "finished", f"finished {finished}, and still '{status}'", hint, "warning"
    elif started and status in ("inbox", "to-read"):  # one may begin, and put it back
        hint = "set status: reading, or remove the date"
        yield "started", f"started {started}, and still '{status}'", hint, "info"
    elif status == "reading" and not started:
        yield "status", "being read, and no day says since when", "write started: and the day", "info"


def contradicting_years(library: Library) -> Iterator[Problem]:
    """A year long before the work was published, and one before its arXiv id where nothing else can give it."""
    sql = """SELECT path, year, published FROM notes
             WHERE published <> '' AND CAST(substr(published, 1, 4) AS INTEGER) > year + 1 ORDER BY path"""
    for path, year, published in library.index.rows(sql):
        message = f"year is {year}, and published {published}"
        yield Problem(path, key_line(library, path, "year"), "dates", message, "mend the one that is wrong", "warning")
    sql = """SELECT path, year, meta FROM notes WHERE instr(meta, '"arxiv"') AND year IS NOT NULL
             AND (json_extract(meta, '$.arxiv') GLOB '*/*'
                  OR year < 2000 + CAST(substr(json_extract(meta, '$.arxiv'), 1, 2) AS INTEGER)) ORDER BY path"""
    for path, year, text in library.index.rows(sql):
        meta = json.loads(text)
        began = preprint_year(meta) or 0
        if year < began and not _is_printed(meta):
            message = f"year is {year}, and arxiv {meta['arxiv']} is of {began}"
            hint = "mend the one that is wrong, or name the venue of that year"
            yield Problem(path, key_line(library, path, "year"), "ids", message, hint, "warning")


def _is_printed(meta: Mapping[str, Any]) -> bool:
    doi = str(meta.get("doi") or "")
    return is_published(meta) or bool(doi and not is_preprint_doi(doi)) or any(meta.get(key) for key in _PRINTED)


def contradicting_volumes(library: Library) -> Iterator[Problem]:
    """A year that cannot be that of the ACL's volume, nor of a preprint before it."""
    sql = """SELECT path, year, json_extract(meta, '$.acl') FROM notes
             WHERE instr(meta, '"acl"') AND year IS NOT NULL ORDER BY path"""
    for path, year, acl in library.index.rows(sql):
        m = re.match(r"(\d{4})\.|[A-Z](\d\d)-", str(acl))
        if m is None:
            continue
        volume = int(m[1]) if m[1] else int(m[2]) + (1900 if int(m[2]) >= 60 else 2000)
        if not volume - _EARLY <= year <= volume + _LATE:
            message = f"year is {year}, and acl {acl} is of {volume}"
            line = key_line(library, path, "year")
            yield Problem(path, line, "ids", message, "mend the one that is wrong", "warning")


def incomplete_notes(library: Library) -> Iterator[Problem]:
    """Notes whose source was not reached."""
    for path, what in values(library, "incomplete"):
        message = f"what its source says ({what}) is not fetched yet"
        line = key_line(library, path, "incomplete")
        yield Problem(path, line, "incomplete", message, "kb add --complete", "info")


FIELD_CHECKS = (contradicting_years, contradicting_volumes, incomplete_notes)
