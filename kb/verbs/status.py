"""Reading status: setting it, and what the dashboard of `kb status` shows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from kb.edits import Changes, edit_notes
from kb.library import Library
from kb.note import PAGE, STATUSES, Note
from kb.problem import KbError
from kb.verbs.choosing import reading_queue

RECENT_DAYS = 14
NEXT_SHOWN = 5
RECENT_SHOWN = 10
_STAMPS = {"reading": "started", "read": "finished"}


def set_status(library: Library, notes: Iterable[Note], status: str, today: date | None = None) -> list[str]:
    """Give notes a status, in one change; returns the paths of those that had another. To `reading` stamps `started`,
    to `read` stamps `finished`, where that is empty."""
    if status not in STATUSES:
        raise KbError(f"no status '{status}'; there are {' '.join(STATUSES)}", 2)
    day = (today or date.today()).isoformat()
    listed = list(notes)
    for note in listed:
        if not note.status:
            hint = "name a work, or write a `status:` into it"
            raise KbError(f"{note.path} is a {note.kind}, which has no reading status; {hint}", 2)

    def changes(note: Note) -> Changes:
        if note.meta.get("status") == status:
            return {}
        stamp = _STAMPS.get(status)
        return {"status": status} | ({stamp: day} if stamp and not note.meta.get(stamp) else {})

    return edit_notes(library.root, f"status {status}", [note.path for note in listed], changes)


# The dashboard


def dashboard(
    library: Library, since: date | None = None, today: date | None = None, stale: Sequence[Any] = ()
) -> dict[str, Any]:
    """The object of `kb status --json`; rows are those of `kb list --json`, with a `why` where one is due. `since` is
    how far back `recent` looks; `stale` comes from kb.checks.results. `problems` counts the errors and warnings
    that the index alone tells: `kb check` looks into texts too."""
    from kb.checks import quick

    today = today or date.today()
    return {
        "schema": 1,
        "counts": library.index.counts("status"),
        "kinds": library.index.counts("kind"),
        "reading": reading(library),
        "next": [_told(row) for row in reading_queue(library, NEXT_SHOWN, today=today)],
        "recent": _recent(library, since or today - timedelta(RECENT_DAYS)),
        "stale": list(stale),
        "problems": sum(p.level != "info" for p in quick(library, today)),
    }


def reading(library: Library) -> list[dict[str, Any]]:
    """What is being read, begun last first."""
    return rows_of(library, "status = 'reading'", "started = '', started DESC, added DESC, place, id")


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """A row of kb.verbs.choosing as the dashboard has it: the reasons in one line."""
    return {key: value for key, value in row.items() if key != "score"} | {"why": "; ".join(row["why"])}


def _recent(library: Library, since: date) -> list[dict[str, Any]]:
    """What was finished or added since a day, newest first. Topics and logs are the vault's own, and no news."""
    latest = "max(finished, added)"
    order = f"{latest} DESC, finished DESC, place, id"
    where = f"{latest} >= ? AND kind NOT IN ('topic', 'log')"
    rows = rows_of(library, where, order, RECENT_SHOWN, (since.isoformat(),))
    return [row | {"why": _event(row)} for row in rows]


def _event(row: dict[str, Any]) -> str:
    finished, added = row.get("finished", ""), row.get("added", "")
    return f"finished {finished}" if finished >= added else f"added {added}"


def rows_of(
    library: Library, where: str, order: str, limit: int = -1, args: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """Rows of `kb list --json` by SQL over the index's table `notes`."""
    sql = f"SELECT id, path, meta FROM notes WHERE kind <> '{PAGE}' AND {where} ORDER BY {order} LIMIT {limit}"
    return [Note(id, path, json.loads(meta), "").as_json() for id, path, meta in library.index.rows(sql, args)]
