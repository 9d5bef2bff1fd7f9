"""`kb status --since DATE`: what a reader comes back to after some days away."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from kb.files import Journal
from kb.library import Library
from kb.names import name_key
from kb.note import Note
from kb.problem import KbError, Problem
from kb.verbs.opening import has_address
from kb.verbs.status import reading, rows_of

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNITS = {"d": 1, "w": 7, "m": 30, "y": 365}


def day_of(text: str, today: date | None = None) -> date:
    """'2025-01-04', 'today', 'yesterday', 'monday' (the last one before today), '7d', '2w', '3m' or '1y' as a date."""
    today = today or date.today()
    word = text.strip().lower()
    if word in ("today", "yesterday"):
        return today - timedelta(word == "yesterday")
    if len(word) >= 3 and (at := [n for n, name in enumerate(_WEEKDAYS) if name.startswith(word)]):
        return today - timedelta((today.weekday() - at[0] - 1) % 7 + 1)
    if m := re.fullmatch(r"(\d{1,4}) ?([dwmy])", word):
        return today - timedelta(int(m[1]) * _UNITS[m[2]])
    try:
        return date.fromisoformat(word)
    except ValueError:
        told = "write it like 2025-01-04, yesterday, monday, 7d or 2w"
        raise KbError(f"'{text}' is no date; {told}", 2) from None


def since(
    library: Library, day: date, stale: Sequence[dict[str, Any]] = (), today: date | None = None
) -> dict[str, Any]:
    """What is open, half-read, finished, added and broken since a day: rows of `kb list --json`, each with a reason
    `why` and the next command to type, `do`."""
    start = day.isoformat()
    begun = reading(library)
    half = [row for row in begun if row.get("at")]
    finished = rows_of(library, "finished >= ?", "finished DESC, id", args=(start,))
    added = rows_of(
        library, "added >= ? AND status <> 'reading' AND finished < ?", "added DESC, id", args=(start, start)
    )
    return {
        "date": start,
        "open": [_row(r, _began(r), _go_on(r)) for r in begun if not r.get("at")],
        "half_read": [_row(r, f"at {r['at']}, {_began(r)}".rstrip(", "), _go_on(r)) for r in half],
        "finished": [_row(r, f"finished {r['finished']}", f'kb note {r["id"]} "…"') for r in finished],
        "added": [_row(r, f"added {r['added']}", _first_step(r)) for r in added],
        "broke": [*_broken(library, day, today or date.today()), *_stale(stale)],
    }


def _row(row: dict[str, Any], why: str, do: str) -> dict[str, Any]:
    return row | {"why": why, "do": do}


def _go_on(row: dict[str, Any]) -> str:
    """What is there to open is opened; of a book on the desk the note is."""
    return f"kb {'open' if has_address(Note(row['id'], row['path'], row, '')) else 'edit'} {row['id']}"


def _first_step(row: dict[str, Any]) -> str:
    return f"kb status {row['id']} reading" if row.get("status") in ("inbox", "to-read") else f"kb show {row['id']}"


def _began(row: dict[str, Any]) -> str:
    return f"since {row['started']}" if row.get("started") else ""


def _broken(library: Library, day: date, today: date) -> list[dict[str, Any]]:
    """Errors and warnings in files that changed since a day, and links to notes that were removed or renamed since."""
    from kb.checks import check

    gone = _removed(library.root, day)
    found = []
    for problem in check(library, today):
        if problem.level != "info" and (_touched(library.root, problem.path, day) or _names(problem, gone)):
            row = {"path": problem.path, "line": problem.line, "title": problem.message, "check": problem.check}
            id = Path(problem.path).stem
            do = f"kb edit {id}" if library.index.resolve(id) == problem.path else "kb check"
            found.append(row | {"why": f"{problem.path}:{problem.line}", "do": do})
    return found


def _removed(root: Path, day: date) -> set[str]:
    """The names of notes that some verb removed since a day and that are still away."""
    paths = [
        path
        for change in Journal(root).changes()
        if change.when[:10] >= day.isoformat()
        for path, new in change.new.items()
        if new is None and path.endswith(".md") and not (root / path).exists()
    ]
    return {name_key(Path(path).stem) for path in paths}


def _names(problem: Problem, gone: set[str]) -> bool:
    """Whether a link leads to one of the notes that are gone."""
    if problem.check not in ("link", "part-of"):
        return False
    named = re.search(r"\[\[([^\]|#]+)|'([^']+)'|(\S+\.md)\b", problem.message)
    target = next((part for part in named.groups() if part), "") if named else ""
    return name_key(target).rpartition("/")[2] in gone


def _touched(root: Path, path: str, day: date) -> bool:
    try:
        return date.fromtimestamp(os.stat(root / path).st_mtime) >= day
    except OSError:
        return False


def _stale(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"why": f"{row['paper']}: {row['why']}", "do": f"kb claims {row['paper']}"} for row in rows]
