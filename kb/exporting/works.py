"""A note as bibliographies see it: its type, its people, where and when it appeared, and the page it is found at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kb.ids import source_url
from kb.note import Note

# LaTeX stops at them and terminals obey them: no export has any.
CONTROLS = {c: " " if chr(c).isspace() else "" for c in (*range(32), *range(127, 160)) if chr(c) not in "\t\n"}
_SUFFIX = re.compile(r"(?:Jr|Sr)\.?|I{2,3}|IV")
_COMPANY = re.compile(r"(?i)(?:Inc|Ltd|LLC|Corp|Co|GmbH|AG|PLC|S\.?A)\.?")
_PREPRINT = re.compile(r"(?i)arxiv\b|corr\b|.*\bpreprint|(?:bio|med|chem|psy)rxiv|ssrn\b|openreview")
_PROCEEDINGS = re.compile(r"(?i).*\b(?:conference|workshop|symposium|meeting|findings)\b|advances in\b")
_JOURNAL = re.compile(
    r"(?i).*\b(?:journal|transactions|letters|annals|reviews?|magazine|quarterly|communications|archives|frontiers|"
    r"foundations and trends|t?jmlr|jair|tmlr|tacl|pnas|plos)\b|(?:nature|science|cell|elife|distill|neurocomputing|"
    r"neural computation|neural networks|computational linguistics|machine learning|artificial intelligence|"
    r"ieee access)\b|proceedings of the (?:ieee|national academy|vldb|acm on|royal)\b"
)
_LINKS = ("url", "acl", "openreview", "arxiv", "pmid", "pdf", "code", "video", "slides", "s2", "openalex")
_BY_KIND = {"book": "book", "code": "software", "tool": "software", "dataset": "dataset", "talk": "video",
            "lecture": "video"}  # fmt: skip


@dataclass(frozen=True)
class Person:
    """One author. `literal` is a name that is not taken apart, of an organization for instance; `family` begins with
    its particle (van der Maaten). The last of several may be the literal `others`."""

    family: str = ""
    given: str = ""
    suffix: str = ""
    literal: str = ""

    @property
    def inverted(self) -> str:
        """'Maaten, Laurens van der' as files of references want it: 'van der Maaten, Laurens'."""
        return self.literal or ", ".join(filter(None, (self.family, self.given, self.suffix)))


def person(author: Any) -> Person:
    """An author of a front matter, a name in either order or a mapping."""
    if isinstance(author, Mapping):
        found = Person(**{key: one_line(author.get(key)) for key in ("family", "given", "suffix", "literal")})
        alone = " " in found.family and not found.given and not found.suffix
        return Person(literal=found.literal or found.family) if found.literal or alone else found
    name = one_line(author)
    if name.lower().rstrip(".") in ("et al", "others", "and others"):
        return Person(literal="others")
    family, comma, given = (part.strip() for part in name.partition(","))
    if comma:
        whole = not family or not given or "," in given or _COMPANY.fullmatch(given) or re.search(r"\band\b", name)
        return Person(literal=name) if whole else Person(family, given)
    return _natural(name.split())


def _natural(words: list[str]) -> Person:
    """Given names first: the family name is the last word, with the small words before it and without a `Jr.`."""
    suffix = words.pop() if len(words) > 2 and _SUFFIX.fullmatch(words[-1]) else ""
    small = (n for n, word in enumerate(words[:-1]) if n and word[0].islower() and word.isalpha())
    cut = next(small, len(words) - 1)
    return Person(" ".join(words[cut:]), " ".join(words[:cut]), suffix)


def one_line(value: Any) -> str:
    return " ".join(str(value or "").split())


@dataclass(frozen=True)
class Work:
    """A note with the key it is cited by."""

    key: str
    note: Note

    @cached_property
    def extra(self) -> dict[str, str]:
        """What `bibtex:` of the front matter says, by names that are fields; `entry` aside. The ids that BibTeX has a
        field for stand there too."""
        found = {key: self.get(key) for key in ("isbn", "pmid")} | {
            re.sub(r"[^a-z0-9_:-]", "", str(k).lower()): one_line(v) for k, v in self._mapping.items()
        }
        return {name: value for name, value in found.items() if name and value and name != "entry"}

    @property
    def _mapping(self) -> Mapping[str, Any]:
        found = self.note.meta.get("bibtex")
        return found if isinstance(found, Mapping) else {}

    @cached_property
    def people(self) -> list[Person]:
        return [found for found in map(person, self.note.meta.get("authors") or []) if found != Person()]

    @property
    def venue(self) -> str:
        """Where it was published; empty for a preprint, whose venue is where it is kept."""
        venue = self.get("venue")
        return "" if _PREPRINT.match(venue) else venue

    @property
    def container(self) -> str:
        """The journal or the proceedings it stands in."""
        named = (self.extra.get(key) for key in ("journal", "journaltitle", "booktitle"))
        return next((name for name in named if name), self.venue)

    @property
    def stated(self) -> str:
        """The entry type that `bibtex:` names."""
        name = re.sub(r"[^a-z]", "", str(self._mapping.get("entry", "")).lower())
        return "" if name in ("comment", "preamble", "string") else name

    @cached_property
    def type(self) -> str:
        """The entry type, of BibLaTeX's. That of `bibtex:` holds, except that of a preprint which was published
        since: such a work is cited as it was published."""
        given = self.stated
        preprint = given in ("misc", "online", "unpublished", "article") and bool(self.get("arxiv"))
        placed = self.extra.keys() & {"journal", "journaltitle", "booktitle"}
        if given and not (preprint and self.venue and not placed):
            return given
        if self.note.kind not in ("paper", ""):
            return self._type_of_kind()
        if "booktitle" in self.extra or not (self.venue or placed):
            return "inproceedings" if "booktitle" in self.extra else "misc"
        numbered = "number" in self.extra or "issn" in self.extra
        journal = _JOURNAL.match(self.container) and not _PROCEEDINGS.match(self.container)
        return "article" if placed or numbered or journal else "inproceedings"

    def _type_of_kind(self) -> str:
        found = _BY_KIND.get(self.note.kind, "online")
        return "online" if found == "video" and not self.get("video") else found

    @property
    def date(self) -> list[int]:
        """[2020, 6, 19], as much of it as is known. The year is that of the note: a paper may appear in a later year
        than its preprint."""
        year, published = self.note.year, self.get("published")
        if year and published[:4] != str(year):
            return [year]
        return [int(part) for part in published.split("-")] if published else [year] if year else []

    @cached_property
    def url(self) -> str:
        """The page of the work; a DOI is told apart."""
        key = next((key for key in _LINKS if self.note.meta.get(key)), "")
        if not key or (key == "arxiv" and self.doi):
            return ""
        return source_url(key, self.get(key))

    @property
    def links(self) -> list[str]:
        """Every page the note names, the work's own first."""
        found = [self.url] + [source_url(key, self.get(key)) for key in _LINKS if self.note.meta.get(key)]
        found += [str(link) for link in self.note.meta.get("also") or []]
        return [link for link in dict.fromkeys(found) if link]

    @property
    def doi(self) -> str:
        return self.get("doi")

    def get(self, key: str) -> str:
        """A key of the front matter as text on one line."""
        return one_line(self.note.meta.get(key))


def percent(url: str) -> str:
    """A URL without the characters that would end a field of BibTeX."""
    return re.sub(r"[{}\\\s]", lambda m: f"%{ord(m[0]):02X}" if m[0].isascii() else "", url)
