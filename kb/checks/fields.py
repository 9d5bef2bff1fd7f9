"""Checks of dates against the status and against today, and of what is still to be fetched."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from kb.checks import key_line, values
from kb.library import Library
from kb.problem import Level, Problem


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


def incomplete_notes(library: Library) -> Iterator[Problem]:
    """Notes whose source was not reached."""
    for path, what in values(library, "incomplete"):
        message = f"what its source says ({what}) is not fetched yet"
        line = key_line(library, path, "incomplete")
        yield Problem(path, line, "incomplete", message, "kb add --complete", "info")


FIELD_CHECKS = (incomplete_notes,)
