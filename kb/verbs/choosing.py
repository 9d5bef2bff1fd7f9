"""What to read next: a score for each note that waits, and the reasons in words.

The points, added up: 10 for each star of `rating`; 12 for the next part of a course in progress; 8 for each note being
read that links to it (at most 3); 3 for each tag shared with what is being read or was finished in the last 60 days (at
most 3); 1 for each other note that links to it (at most 4); 1 for each 30 days of waiting (at most 12). Of equal notes
the one that waits longer comes first, then the one that stands higher in its list, then the one whose id comes first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from kb.library import Library
from kb.links import link_name
from kb.note import PAGE, Note
from kb.query import Query, as_sql

LATELY_DAYS = 60
_STAR, _PART, _LINK, _TAG, _MENTION = 10, 12, 8, 3, 1
_LINKS, _TAGS, _MENTIONS, _MONTHS = 3, 3, 4, 12
_OPEN = "status IN ('reading', 'read')"


@dataclass
class Choice:
    """A note that waits, on its way to a place in the queue."""

    n: int
    id: str
    path: str
    added: str
    rating: int
    place: str  # in the list it came from
    part: str = ""  # the note it is a part of, as a path
    given: list[tuple[int, str]] = field(default_factory=list)

    def give(self, points: int, reason: str) -> None:
        self.given.append((points, reason))

    @property
    def score(self) -> int:
        return sum(points for points, _ in self.given)

    @property
    def why(self) -> list[str]:
        """The reasons, the weightiest first."""
        if not self.given:
            return [f"waiting since {self.added}" if self.added else "to read, with no date"]
        return [reason for _, reason in sorted(self.given, key=lambda given: -given[0])]


def reading_queue(
    library: Library, count: int, query: Query | None = None, today: date | None = None
) -> list[dict[str, Any]]:
    """What to read next, best first: rows of `kb list --json` with a `score` and the reasons as a list `why`. A query
    narrows it; where it names a status, that one is taken instead of `to-read`."""
    today = today or date.today()
    query = query or Query()
    library.index.make_whole()  # notes have numbers for one moment
    waiting = _waiting(library, query if query.has("status") else query.plus("status", "to-read"))
    _parts(library, waiting)
    _links(library, waiting)
    _tags(library, waiting, today)
    for choice in waiting:
        if choice.rating:
            choice.give(_STAR * choice.rating, f"rated {choice.rating} of 5")
        months = _days(choice.added, today) // 30
        if months > 0:
            choice.give(min(months, _MONTHS), f"waiting since {choice.added}")
    waiting.sort(key=lambda c: (-c.score, not c.added, c.added, c.place, c.id))
    return [_row(library, choice) for choice in waiting[: count or None]]


def _row(library: Library, choice: Choice) -> dict[str, Any]:
    ((meta,),) = library.index.rows("SELECT meta FROM notes WHERE n = ?", (choice.n,))
    row = Note(choice.id, choice.path, json.loads(meta), "").as_json()
    return row | {"score": choice.score, "why": choice.why}


def _waiting(library: Library, query: Query) -> list[Choice]:
    where, args = as_sql(query)
    sql = f"""SELECT n, id, path, added, coalesce(rating, 0), place FROM notes
              WHERE {"1" if query.has("kind") else f"kind NOT IN ('{PAGE}', 'topic', 'log')"} AND {where}"""
    found = [Choice(*row) for row in library.index.rows(sql, args)]
    parts = dict(library.index.rows("SELECT n, value FROM fields WHERE key = 'part_of'"))
    wholes = {part: library.index.resolve(link_name(part)) or "" for part in set(parts.values())}
    for choice in found:
        choice.part = wholes.get(parts.get(choice.n, ""), "")
    return found


def _parts(library: Library, waiting: Sequence[Choice]) -> None:
    """Of each course that was begun (it, or a part of it) the first part that waits."""
    wholes = {c.part for c in waiting} - {""}
    if not wholes:
        return
    begun = {path for (path,) in library.index.rows("SELECT path FROM notes WHERE status = 'reading'")} & wholes
    sql = f"SELECT value FROM fields JOIN notes USING(n) WHERE key = 'part_of' AND {_OPEN}"
    begun |= {library.index.resolve(link_name(str(name))) for (name,) in library.index.rows(sql) if name} & wholes
    for whole in sorted(begun):
        first = min((c for c in waiting if c.part == whole), key=lambda c: _natural(c.id))
        first.give(_PART, f"the next part of {_id(whole)}, which you have begun")


def _natural(id: str) -> list[tuple[int, str]]:
    """Ids in the order of their numbers: lecture-2 before lecture-10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.findall(r"\d+|\D+", id)]


def _links(library: Library, waiting: Sequence[Choice]) -> None:
    """Links to what waits: from what is being read, and from other notes."""
    by_path = {c.path: c for c in waiting}
    sql = """SELECT key, n FROM links
             WHERE key IN (SELECT name FROM names WHERE n IN (SELECT value FROM json_each(?)))"""
    found = library.index.rows(sql, (json.dumps([c.n for c in waiting]),))
    targets = library.index.resolved({key for key, _ in found})
    open_now = dict(library.index.rows("SELECT n, path FROM notes WHERE status = 'reading'"))
    pages = {n for (n,) in library.index.rows("SELECT n FROM notes WHERE kind = ?", (PAGE,))}
    reading: dict[str, set[str]] = {}
    others: dict[str, set[int]] = {}
    for key, n in found:
        path = targets.get(key)
        if path is None or path not in by_path or by_path[path].n == n:
            continue
        if n in open_now:
            reading.setdefault(path, set()).add(open_now[n])
        elif n not in pages:
            others.setdefault(path, set()).add(n)
    for path, linking in reading.items():
        names = ", ".join(_id(source) for source in sorted(linking)[:_LINKS])
        verb = "links" if len(linking) == 1 else "link"
        by_path[path].give(_LINK * min(len(linking), _LINKS), f"{names}, which you are reading, {verb} to it")
    for path, mentioning in others.items():
        told = f"{len(mentioning)} other note{' links' if len(mentioning) == 1 else 's link'} to it"
        by_path[path].give(_MENTION * min(len(mentioning), _MENTIONS), told)


def _tags(library: Library, waiting: Sequence[Choice], today: date) -> None:
    """Tags shared with what is being read or was finished lately."""
    since = (today - timedelta(LATELY_DAYS)).isoformat()
    sql = "SELECT DISTINCT tag FROM tags JOIN notes USING(n) WHERE status = 'reading' OR finished >= ?"
    lately = {tag for (tag,) in library.index.rows(sql, (since,))}
    if not lately:
        return
    shared: dict[int, list[str]] = {}
    sql = """SELECT n, tag FROM tags WHERE tag IN (SELECT value FROM json_each(?))
             AND n IN (SELECT value FROM json_each(?))"""
    for n, tag in library.index.rows(sql, (json.dumps(sorted(lately)), json.dumps([c.n for c in waiting]))):
        shared.setdefault(n, []).append(tag)
    for choice in waiting:
        if tags := shared.get(choice.n):
            told = f"tagged {', '.join(tags[:_TAGS])} like what you read lately"
            choice.give(_TAG * min(len(tags), _TAGS), told)


def _id(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".md")


def _days(added: str, today: date) -> int:
    try:
        return (today - date.fromisoformat(added)).days
    except ValueError:
        return 0
