"""Reading status: setting it, and what the dashboard of `kb status` shows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from kb import frontmatter
from kb.files import Journal, read_bytes
from kb.library import Library
from kb.note import KEY_ORDER, PAGE, STATUSES, Note, parse_note
from kb.problem import KbError

RECENT_DAYS = 14
NEXT_SHOWN = 5
RECENT_SHOWN = 10
_STAMPS = {"reading": "started", "read": "finished"}


def set_status(library: Library, notes: Iterable[Note], status: str, today: date | None = None) -> list[str]:
    """Give notes a status, in one change; returns the paths of those that had another. To `reading` stamps `started`,
    to `read` stamps `finished`, where that is empty."""
    if status not in STATUSES:
        raise KbError(f"no status '{status}'; there are {' '.join(STATUSES)}", 2)
    read: dict[str, bytes | None] = {}
    writes: dict[str, bytes | None] = {}
    for note in notes:
        if not note.status:
            raise KbError(
                f"{note.path} is a {note.kind}, which has no reading status; name a work, or write a `status:` into it",
                2,
            )
        data = read_bytes(library.root / note.path)
        if data is None:
            raise KbError(f"{note.path} is gone; run the command again")
        if changes := _changes(data, note.path, status, today or date.today()):
            read[note.path] = data
            writes[note.path] = _edited(data, note.path, changes)
    Journal(library.root).commit(f"status {status}", writes, read)
    return sorted(writes)


def _changes(data: bytes, path: str, status: str, today: date) -> dict[str, object]:
    """The keys to set, by what the file says now."""
    meta = parse_note(data, path)[0].meta
    if meta.get("status") == status:
        return {}
    stamp = _STAMPS.get(status)
    dated = {stamp: today.isoformat()} if stamp and not meta.get(stamp) else {}
    return {"status": status, **dated}


def _edited(data: bytes, path: str, changes: dict[str, object]) -> bytes:
    try:
        return frontmatter.edit(data.decode(), changes, KEY_ORDER).encode()
    except UnicodeDecodeError:
        raise KbError(f"{path} is no UTF-8; save it as UTF-8 first") from None
    except KbError as error:
        raise KbError(f"{path}: {error}") from None


# The dashboard


def dashboard(
    library: Library, since: date | None = None, today: date | None = None, stale: Sequence[Any] = ()
) -> dict[str, Any]:
    """The object of `kb status --json`; rows are those of `kb list --json`, with a `why` where one is due. `since` is
    how far back `recent` looks; `stale` comes from kb.check_results. `problems` counts errors and warnings without
    reading the notes' texts: `kb check` looks at those too."""
    from kb.check import quick

    today = today or date.today()
    return {
        "schema": 1,
        "counts": library.index.counts("status"),
        "kinds": library.index.counts("kind"),
        "reading": _rows(library, "status = 'reading'", "started = '', started DESC, added DESC, id"),
        "next": reading_queue(library, NEXT_SHOWN),
        "recent": _recent(library, since or today - timedelta(RECENT_DAYS)),
        "stale": list(stale),
        "problems": sum(p.level != "info" for p in quick(library, today)),
    }


def reading_queue(library: Library, count: int) -> list[dict[str, Any]]:
    """What to read next: what was rated first, best first; then what has waited longest."""
    order = "rating IS NULL, rating DESC, added = '', added, id"
    rows = _rows(library, "status = 'to-read'", order, count)
    return [row | {"why": _why(row)} for row in rows]


def _why(row: dict[str, Any]) -> str:
    if row.get("rating"):
        return f"rated {row['rating']} of 5"
    return f"waiting since {row['added']}" if row.get("added") else "to read, with no date"


def _recent(library: Library, since: date) -> list[dict[str, Any]]:
    """What was finished or added since a day, newest first."""
    latest = "max(finished, added)"
    order = f"{latest} DESC, finished DESC, id"
    rows = _rows(library, f"{latest} >= ?", order, RECENT_SHOWN, (since.isoformat(),))
    return [row | {"why": _event(row)} for row in rows]


def _event(row: dict[str, Any]) -> str:
    finished, added = row.get("finished", ""), row.get("added", "")
    return f"finished {finished}" if finished >= added else f"added {added}"


def _rows(library: Library, where: str, order: str, limit: int = -1, args: Sequence[Any] = ()) -> list[dict[str, Any]]:
    sql = f"SELECT id, path, meta FROM notes WHERE kind <> '{PAGE}' AND {where} ORDER BY {order} LIMIT {limit}"
    return [Note(id, path, json.loads(meta), "").as_json() for id, path, meta in library.index.rows(sql, args)]
