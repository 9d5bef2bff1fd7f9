"""Checks of works: two notes of one, and ids that do not belong together."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kb.duplicates import PLACES, Work
from kb.library import Library
from kb.note import PAGE, WORK_KEYS, Note
from kb.problem import Level, Problem
from kb.titles import main_title, words

_CROWD = 30  # notes of one title: what comes later is compared with the first of them
_SUBTITLE = re.compile(r":\s|\s[-–—]+\s|—")


def _found(library: Library, path: str, key: str, check: str, message: str, hint: str, level: Level) -> Problem:
    from kb.checks import key_line

    return Problem(path, key_line(library, path, key, "title"), check, message, hint, level)


def duplicate_works(library: Library) -> Iterator[Problem]:
    """Notes of one work, by the ids they share. Two places in one video are two notes, and so are a paper and its
    repository or its talk."""
    sql = """SELECT token, path, meta FROM sources JOIN notes USING(n) WHERE token IN
             (SELECT token FROM sources GROUP BY token HAVING count(*) > 1) ORDER BY path, token"""
    bearers: dict[tuple[str, str], list[Work]] = {}
    told: set[tuple[str, str]] = set()
    for token, path, text in library.index.rows(sql):
        work = Work(path, json.loads(text))
        before = bearers.setdefault((token, str(work.meta.get("at", ""))), [])
        key = _key_of(token, work.meta)
        for other in before:
            apart = other.kind != work.kind and {key, _key_of(token, other.meta)} & set(PLACES)
            if not apart and other.path != path and other.is_by_id(work, token):
                if (other.path, path) not in told:
                    told.add((other.path, path))
                    value = work.meta.get(key)
                    shown = token if isinstance(value, list) else value
                    message = f"{other.path} is about the same work ({key}: {shown})"
                    yield _found(library, path, key, "duplicate-work", message, _merge(other.path, path), "warning")
                break
        before.append(work)


def probable_works(library: Library) -> Iterator[Problem]:
    """Notes that are one work by title and first author, and share no id."""
    told: set[tuple[str, str]] = set()
    for pair in _alike(library):
        if pair in told:
            continue
        told.add(pair)
        one, other = (_work(library, path) for path in pair)
        if one.tokens.isdisjoint(other.tokens) and one.may_be(other):
            message = f"{one.path} is probably the same work, by title and author"
            hint = f"{_merge(one.path, other.path)}; if they are two works, give each its doi, arxiv or url"
            yield _found(library, other.path, "title", "duplicate-work", message, hint, "warning")


def _work(library: Library, path: str) -> Work:
    return Work(path, json.loads(library.index.rows("SELECT meta FROM notes WHERE path = ?", (path,))[0][0]))


_TITLED = f"""SELECT n, path, title, (SELECT group_concat(name, char(10)) FROM works WHERE works.n = notes.n
              AND name LIKE 'author %') FROM notes WHERE kind <> '{PAGE}'
              AND n NOT IN (SELECT n FROM fields WHERE key = 'incomplete')
              AND n > ? ORDER BY n LIMIT 2000"""


def _titled(library: Library) -> Iterator[tuple[int, str, str, str]]:
    last = 0
    while rows := library.index.rows(_TITLED, (last,)):
        yield from rows
        last = rows[-1][0]


def _alike(library: Library) -> Iterator[tuple[str, str]]:
    """The paths of notes that may be one work: the same title, or the same first author and a title that differs by its
    subtitle or one word. What kb.duplicates looks at closely; found by equal keys, for ten thousand notes have fifty
    million pairs, and without their front matter, for a hundred thousand need not fit into memory."""
    times: Counter[int] = Counter()
    for _, _, title, _ in _titled(library):
        times.update({hash(key) for key in _keys(title)})
    shared = {key for key, n in times.items() if n > 1}
    del times
    bearers: dict[tuple[str, ...], list[str]] = {}
    for _, path, title, authors in _titled(library) if shared else ():
        keys = [key for key in _keys(title) if hash(key) in shared]
        names = sorted({name.rpartition(" ")[0] for name in authors.split("\n")}) if keys and authors else []
        for bucket in [*keys[:1], *((*key, name) for key in keys for name in names)]:
            before = bearers.setdefault(bucket, [])
            yield from ((other, path) if other < path else (path, other) for other in before if other != path)
            if len(before) < _CROWD:
                before.append(path)


def _keys(title: str) -> list[tuple[str, ...]]:
    """What two titles of one work have in common: all of it, its half before or behind the word that differs, all of it
    with the other's main title."""
    found = words(title)
    whole = ("title", "".join(found))
    if not whole[1]:
        return []
    half, count = len(found) // 2, str(len(found))
    head, _ = main_title(title) if _SUBTITLE.search(title) else ("", "")
    keys = [whole, ("first", count, *found[:half]), ("last", count, *found[half:])]
    return [*keys, ("title", "".join(words(head)))] if head else keys


def _merge(keep: str, other: str) -> str:
    return f"kb merge {Path(keep).stem} {Path(other).stem}"


def _key_of(token: str, meta: Any) -> str:
    """The front-matter key that holds a work's id."""
    for key in (*WORK_KEYS, "also"):
        if key in meta and any(s.token == token for s in Note("", "", {key: meta[key]}, "").sources()):
            return key
    return "title"


WORK_CHECKS = (duplicate_works,)
