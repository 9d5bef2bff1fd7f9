"""Which works are one work: by the ids they share, else by title and first author.

Without a shared id, both of these must hold:

- *one title*. Compared without case, accents, LaTeX, HTML, punctuation and spaces, nothing differs; or, in titles of
  four words or more that are alike to 94 of 100 (rapidfuzz's ratio), a single word does, and that by a plural, a
  British spelling, or a slip of the pen in a long word; or one is the other without its subtitle ("MobileLLM: …").
- *one first author*: one family name, given names that do not contradict. The years are equal, or one apart where not
  both are published, or up to three where all the authors are the same too. Where one side names no author, only the
  very same title of four words and the same year will do; a title alone is never enough.

What speaks for two works decides against it: another number in the title, a subtitle like 'Part II', 'A Survey' or
'Reply to …', another id of one kind, another kind of note, thesis or chapter or workshop on one side, another edition,
language or course.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kb.note import FOLDERS, PAGE, Note
from kb.people import Person, are_authors, person
from kb.published import is_preprint_doi, is_published
from kb.titles import YEARLY, is_one_word, main_title, names_a_work, numbers, tells_apart, words

if TYPE_CHECKING:
    from kb.library import Library

CLOSE = 94.0  # of 100
_MOST = 500  # works of one name that are compared with another; no author has written so many alike
_LONG = 4  # words; many works bear a shorter title
PLACES = ("code", "video", "url", "pdf")  # what several works may share
_FORMS = {
    "phdthesis": "thesis", "mastersthesis": "thesis", "thesis": "thesis", "book": "book", "inbook": "chapter",
    "incollection": "chapter", "proceedings": "volume", "dataset": "dataset", "inproceedings": "paper",
    "conference": "paper", "article": "paper",
}  # fmt: skip


@dataclass(frozen=True)
class Work:
    """What two works are compared by."""

    path: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def title(self) -> str:
        return str(self.meta.get("title", ""))

    @cached_property
    def words(self) -> list[str]:
        return words(self.title)

    @cached_property
    def key(self) -> str:
        return "".join(self.words)

    @cached_property
    def author(self) -> Person:
        authors = self.meta.get("authors") or []
        return person(authors[0]) if authors else Person()

    @property
    def year(self) -> int | None:
        found: int | None = self.meta.get("year")
        return found

    @cached_property
    def tokens(self) -> set[str]:
        return {source.token for source in Note("", "", self.meta, "").sources()}

    @cached_property
    def ids(self) -> dict[str, set[str]]:
        """By kind, what names one work each: another value is another work. A preprint may have a DOI of its own."""
        found: dict[str, set[str]] = {}
        for source in Note("", "", self.meta, "").sources():
            key = source.key
            if key == "doi" and is_preprint_doi(source.value):
                key = "preprint"
            elif key == "url":  # one site has a page once
                key = f"{source.token.partition('/')[0]}/"
            if key not in ("code", "pdf"):
                found.setdefault(key, set()).add(source.token)
        return found

    def is_by_id(self, other: Work, token: str) -> bool:
        """Whether an id that both have makes them one. Papers whose own ids differ may share a repository or a page,
        and all of a volume share its ISBN."""
        both = [key for key in self.ids.keys() & other.ids.keys() if key not in (*PLACES, "isbn") and "/" not in key]
        if token.startswith("isbn:") and "books" not in (self.kind, other.kind):
            return False
        if any(token in self.ids[key] for key in both):
            return True
        if any(self.ids[key].isdisjoint(other.ids[key]) for key in both):
            return False
        return not self._is_beside(other, token.startswith("isbn:"))

    def _is_beside(self, other: Work, volumes: bool) -> bool:
        """Whether two works only stand in one place: parts of a book under its address, volumes under one ISBN."""
        if self.key == other.key or self._is_title(other) or self._is_short_of(other) or other._is_short_of(self):
            return False
        named = self.author.family and other.author.family
        return (
            bool(named and not self.author.may_be(other.author))
            or {self._form[0], other._form[0]} <= {"chapter", "paper"}
            or any(mine != theirs for mine, theirs in zip(self._form, other._form, strict=True) if mine and theirs)
            or (volumes and numbers(self.words) != numbers(other.words))
        )

    def may_be(self, other: Work) -> bool:
        """Without a shared id: are they one work?"""
        short = self._is_short_of(other) or other._is_short_of(self)
        if self.kind != other.kind or not (short or self._is_title(other)):
            return False
        if any(self.ids[key].isdisjoint(other.ids[key]) for key in self.ids.keys() & other.ids.keys()):
            return False
        if any(mine != theirs for mine, theirs in zip(self._form, other._form, strict=True) if mine and theirs):
            return False
        if self.author.family and other.author.family:
            return self.author.may_be(other.author) and self._is_in_time(other, short)
        same = self.key == other.key and self.year == other.year is not None
        return same and len(self.words) >= _LONG and not self._is_yearly

    @property
    def kind(self) -> str:
        return FOLDERS.get(str(self.meta.get("kind") or "paper"), "")

    def _is_title(self, other: Work) -> bool:
        if self.key == other.key:
            return bool(self.key)
        if not _LONG <= len(self.words) == len(other.words) or numbers(self.words) != numbers(other.words):
            return False
        differ = [pair for pair in zip(self.words, other.words, strict=True) if pair[0] != pair[1]]
        if len(differ) != 1 or not is_one_word(*differ[0]):
            return False
        from rapidfuzz import fuzz

        return fuzz.ratio(self.key, other.key) >= CLOSE

    def _is_short_of(self, other: Work) -> bool:
        """Whether this title is the other without its subtitle."""
        if not self.key or not other.key.startswith(self.key):
            return False
        head, rest = main_title(other.title)
        return names_a_work(head) and "".join(words(head)) == self.key and not tells_apart(rest)

    @cached_property
    def _form(self) -> tuple[str, str, str, str, str]:
        """Thesis, book or chapter; workshop or not; edition; language; the course it is part of."""
        extra: Mapping[str, Any] = self.meta.get("bibtex") or {}
        place = " ".join(str(v) for v in (self.meta.get("venue"), extra.get("booktitle"), extra.get("journal")) if v)
        form = "thesis" if "thesis" in place.lower() else _FORMS.get(str(extra.get("entry", "")).lower(), "")
        stage = ("workshop" if "workshop" in place.lower() else "main") if is_published(self.meta) else ""
        language = str(extra.get("langid") or extra.get("language") or "").lower()
        return form, stage, str(extra.get("edition", "")).lower(), language, str(self.meta.get("part_of") or "")

    @property
    def _is_yearly(self) -> bool:
        return not YEARLY.isdisjoint(self.words)

    def _is_in_time(self, other: Work, short: bool) -> bool:
        yearly = self._is_yearly or other._is_yearly or len(self.words) < _LONG
        if self.year is None or other.year is None:
            return not short and (not yearly or self.year == other.year)
        apart = abs(self.year - other.year)
        if apart == 0 or yearly or self.kind != "papers" or (is_published(self.meta) and is_published(other.meta)):
            return apart == 0
        return apart == 1 or (apart <= 3 and len(self.meta["authors"]) > 1 and are_authors(self.meta, other.meta))


class Shelf:
    """The works of a vault and those about to join it."""

    def __init__(self, library: Library) -> None:
        self._index = library.index
        self._new: dict[str, Work] = {}
        self._known: dict[str, Work] = {}
        self._tokens: dict[str, list[str]] = {}
        self._named: dict[str, list[Work]] = {}

    def find(self, tokens: Iterable[str], meta: Mapping[str, Any]) -> Work | None:
        """The work that has one of these ids, or the same title and the same first author."""
        mine, asked = Work("", meta), sorted(tokens)
        known = self._index.works(asked)
        for token in asked:
            for path in (*known.get(token, ()), *self._tokens.get(token, ())):
                other = self._work(path)
                if other.is_by_id(mine, token):
                    return other
        return None if meta.get("incomplete") else next(self.near(mine), None)

    def _work(self, path: str) -> Work:
        if path not in self._new and path not in self._known:
            rows = self._index.rows("SELECT meta FROM notes WHERE path = ?", (path,))
            self._known[path] = Work(path, json.loads(rows[0][0]) if rows else {})
        return self._new.get(path) or self._known[path]

    def near(self, mine: Work) -> Iterator[Work]:
        """The works that are this one by title and author."""
        seen = {mine.path}
        for name in names(mine.meta):
            for other in (*self._of_the_vault(name), *self._named.get(name, ())[-_MOST:]):
                if other.path not in seen and not other.meta.get("incomplete") and other.may_be(mine):
                    seen.add(other.path)
                    yield other

    def _of_the_vault(self, name: str) -> Iterator[Work]:
        sql = "SELECT path, meta FROM works JOIN notes USING(n) WHERE name = ? AND kind <> ? ORDER BY path LIMIT ?"
        for path, meta in self._index.rows(sql, (name, PAGE, _MOST)):
            if path not in self._new:
                if path not in self._known:
                    self._known[path] = Work(path, json.loads(meta))
                yield self._known[path]

    def put(self, path: str, tokens: Iterable[str], meta: Mapping[str, Any]) -> None:
        """Take in a work that is about to be written."""
        work = self._new[path] = Work(path, meta)
        for token in tokens:
            self._tokens.setdefault(token, []).append(path)
        for name in names(meta):
            self._named.setdefault(name, []).append(work)


def names(meta: Mapping[str, Any]) -> list[str]:
    """What a work is looked up by where it shares no id: its title, and its author with the beginning and with the end
    of the title: of two titles that are one, the one begins with the other, or they differ in one word, so that one of
    the two is the same."""
    key = "".join(words(str(meta.get("title", ""))))
    authors = meta.get("authors") or []
    family = sorted(person(authors[0]).family) if authors else ()
    return [f"title {key}", *(f"author {name} {part}" for name in family for part in (f"{key[:3]}…", f"…{key[-3:]}"))]
