"""Finding the note that a work has already: by the ids they share, else by title with author or year."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kb.ids import fold, title_key, url_token
from kb.library import Library
from kb.note import FOLDERS, PAGE, Note

_CLOSE = 96.0  # of 100: a letter or two in a title of usual length
_NUMBER = re.compile(r"[ivx]+|.*\d.*")  # 'Part II', 'GPT-4': what tells one work of a series from the next
_OWN_IDS = ("arxiv", "doi", "acl", "openreview", "video")


@dataclass(frozen=True)
class Work:
    """What two works are compared by."""

    path: str
    title: str
    year: int | None
    family: str
    kind: str
    ids: dict[str, str] = field(default_factory=dict)

    def may_be(self, other: Work) -> bool:
        """Works with nearly one title: are they one work?"""
        if FOLDERS.get(self.kind) != FOLDERS.get(other.kind) or _numbers(self.title) != _numbers(other.title):
            return False
        if any(self.ids[k] != other.ids[k] for k in self.ids.keys() & other.ids.keys()):
            return False
        return bool(self.family and self.family == other.family) or bool(self.year and self.year == other.year)


class Shelf:
    """The works of a vault and those about to join it."""

    def __init__(self, library: Library) -> None:
        self._tokens = {token: paths[0] for token, paths in library.index.works().items()}
        self._works: dict[str, Work] = {}
        for path, meta in library.index.rows("SELECT path, meta FROM notes WHERE kind <> ?", (PAGE,)):
            self._works[path] = _work(path, json.loads(meta))

    def find(self, tokens: Iterable[str], meta: Mapping[str, Any]) -> Work | None:
        """The work that has one of these ids, or the same title and the same first author or year."""
        path = next((self._tokens[token] for token in sorted(tokens) if token in self._tokens), None)
        if path is not None:
            return self._works.get(path) or _work(path, {})
        if meta.get("incomplete"):
            return None
        from rapidfuzz import fuzz, process

        mine = _work("", meta)
        titles = {path: work.title for path, work in self._works.items()}
        near = process.extract(mine.title, titles, scorer=fuzz.ratio, score_cutoff=_CLOSE, limit=None)
        return next((self._works[path] for _, _, path in near if self._works[path].may_be(mine)), None)

    def put(self, path: str, tokens: Iterable[str], meta: Mapping[str, Any]) -> None:
        self._works[path] = _work(path, meta)
        self._tokens |= dict.fromkeys(tokens, path)


def _work(path: str, meta: Mapping[str, Any]) -> Work:
    title, kind = title_key(str(meta.get("title", ""))), str(meta.get("kind", ""))
    return Work(path, title, meta.get("year"), _family(meta.get("authors") or []), kind, _ids(meta))


def _ids(meta: Mapping[str, Any]) -> dict[str, str]:
    found = {key: str(meta[key]).casefold() for key in _OWN_IDS if meta.get(key)}
    if "arxiv" in found:  # a preprint may carry the DOI of what was published of it, or its own
        found.pop("doi", None)
    if url := meta.get("url"):  # one site has a page once
        token = url_token(str(url))
        found[f"page at {token.partition('/')[0]}"] = token
    return found


def _family(authors: list[Any]) -> str:
    """The first author's family name, as it is compared."""
    if not authors:
        return ""
    first = authors[0]
    if isinstance(first, Mapping):
        words = str(first.get("family") or first.get("literal") or "").split()
    else:
        words = Note("", "", {"authors": [first]}, "").authors[0].split()
    return fold(words[-1]) if words else ""


def _numbers(key: str) -> list[str]:
    return sorted(word for word in key.split() if _NUMBER.fullmatch(word))
