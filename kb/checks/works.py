"""Checks of works: two notes of one, and ids that do not belong together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kb.duplicates import PLACES, Shelf, Work
from kb.ids import identify, source_url
from kb.library import Library
from kb.note import WORK_KEYS, Note
from kb.problem import Level, Problem

_IDS = ("arxiv", "doi", "acl", "openreview")


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
    tokens = _tokens(library)
    for one, other in Shelf(library).twins():
        if tokens.get(one.path, set()).isdisjoint(tokens.get(other.path, set())):
            message = f"{one.path} is probably the same work, by title and author"
            hint = f"{_merge(one.path, other.path)}; if they are two works, give each its doi, arxiv or url"
            yield _found(library, other.path, "title", "duplicate-work", message, hint, "warning")


def _tokens(library: Library) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for token, path in library.index.rows("SELECT token, path FROM sources JOIN notes USING(n)"):
        found.setdefault(path, set()).add(token)
    return found


def _merge(keep: str, other: str) -> str:
    return f"kb merge {Path(keep).stem} {Path(other).stem}"


def _key_of(token: str, meta: Any) -> str:
    """The front-matter key that holds a work's id."""
    for key in (*WORK_KEYS, "also"):
        if key in meta and any(s.token == token for s in Note("", "", {key: meta[key]}, "").sources()):
            return key
    return "title"


def mismatched_ids(library: Library) -> Iterator[Problem]:
    """Links under `url` and `pdf` to another paper than the ids name; ids under another key than their own."""
    sql = """SELECT path, meta FROM notes WHERE instr(meta, '"url"') OR instr(meta, '"pdf"')
             OR instr(meta, '10.48550/') ORDER BY path"""
    for path, text in library.index.rows(sql):
        meta = json.loads(text)
        for key in ("url", "pdf", "doi"):
            value = str(meta.get(key) or "")
            source = identify(value) if value else None
            if source is None or source.key not in _IDS or source.key == key:
                continue
            own = next(iter(Note("", "", {source.key: meta.get(source.key, "")}, "").sources()), None)
            if own and own.token != source.token:
                message = f"{key} leads to {source_url(source.key, source.value)}, and {source.key} says {own.value}"
                yield _found(library, path, key, "ids", message, "mend the one that is wrong", "warning")
            elif own is None:
                hint = f'write {source.key}: "{source.value}"'
                yield _found(library, path, key, "ids", f"{key} holds what belongs under {source.key}", hint, "info")


WORK_CHECKS = (duplicate_works, mismatched_ids)
