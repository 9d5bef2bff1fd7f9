"""Names of people as they are compared: 'Jonathan Ho', 'Ho, J.' and {family: Ho, given: Jonathan} may be one person."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kb.ids import fold
from kb.note import author_name
from kb.titles import letters

_PLAIN = re.compile(r"([A-Z][a-z]+) ([A-Z][A-Za-z]*[a-z])")  # 'Jonathan Ho': what the rest makes of it at once
_SUFFIXES = {"jr", "sr", "ii", "iii", "iv"}
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})


@dataclass(frozen=True)
class Person:
    """The spellings of the family name, the first given name or its initial, and all words of the name."""

    family: frozenset[str] = frozenset()
    given: str = ""
    words: frozenset[str] = frozenset()

    def may_be(self, other: Person) -> bool:
        """One family name and given names that do not contradict; 'Wang Wei' may be 'Wei Wang'."""
        if self.words == other.words and len(self.words) > 1:
            return True
        short, long = sorted((self.given, other.given), key=len)
        return bool(self.family & other.family) and long.startswith(short)


def person(author: Any) -> Person:
    """A name as it stands under `authors`."""
    if isinstance(author, str) and (m := _PLAIN.fullmatch(author)) and not (_is_suffix(m[1]) or _is_suffix(m[2])):
        first, last = m[1].lower(), m[2].lower()
        return Person(frozenset({last}), first, frozenset({first, last}))
    family, given = _parts(author)
    spellings = {_bare(text) for text in (family, family.lower().translate(_UMLAUTS))}
    first = next((word for word in re.split(r"[\s.-]+", given) if _bare(word)), "")
    if re.fullmatch(r"[A-Z]{1,3}", first):
        first = first[0]
    return Person(frozenset(spellings - {""}), _bare(first), frozenset(_bare(w) for w in f"{given} {family}".split()))


def are_authors(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two front matters name the same authors, in one order."""
    mine, theirs = ([person(name) for name in meta.get("authors") or []] for meta in (one, other))
    return 0 < len(mine) == len(theirs) and all(a.may_be(b) for a, b in zip(mine, theirs, strict=True))


def _parts(author: Any) -> tuple[str, str]:
    """The last word of the family name, and the given names."""
    if isinstance(author, Mapping) and author.get("family"):
        return _last(str(author["family"]).split()), str(author.get("given") or "")
    name = author_name(author)
    family, comma, given = name.partition(",")
    if comma and _last(family.split()):
        return _last(family.split()), given
    words = [word for word in name.replace(",", " ").split() if not _is_suffix(word)]
    initials = [re.fullmatch(r"(?:[A-Z]\.?-?){1,3}", word) is not None for word in words]
    if len(words) > 1 and all(initials[1:]) and not initials[0]:
        return words[0], " ".join(words[1:])  # 'Ho J', as medicine writes it
    return _last(words), " ".join(words[:-1])


def _last(words: list[str]) -> str:
    kept = [word for word in words if not _is_suffix(word)]
    return kept[-1] if kept else ""


def _is_suffix(word: str) -> bool:
    return fold(word).strip(".,") in _SUFFIXES


def _bare(word: str) -> str:
    return re.sub(r"[\W_]", "", fold(letters(word)))
