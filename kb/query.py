"""The query language of list, search, export and the site: `status:to-read tag:diffusion year:2020.. -has:repro ho`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import Any

from kb.names import fold
from kb.problem import KbError
from kb.vocabulary import KINDS, PAGE, PAPER_KEYS, STATUSES

CHOICES = {"status": STATUSES, "kind": (*KINDS, PAGE)}
RANGES = ("year", "added", "started", "finished", "published", "rating")
TEXTS = ("author", "title", "id", "venue", "part_of", *PAPER_KEYS, "url", "repro", "cite")
FIELDS = (*CHOICES, "tag", *RANGES, *TEXTS, "has")
ALIASES = {"tags": "tag", "authors": "author", "kinds": "kind", "in": "part_of"}

MOST_TERMS = 200  # SQLite takes a thousand; nobody types so many
_TERM = re.compile(r'([-¬]?)(?:([A-Za-z_]+):)?(?:"([^"]*)"|(\S+))')


@dataclass(frozen=True)
class Term:
    """One condition. `field` is empty for words looked for in title, authors, aliases and ids; a range's ends are
    `value` and `upto`, either may be empty."""

    field: str
    value: str
    upto: str = ""
    negated: bool = False


@dataclass(frozen=True)
class Query:
    """Conditions that all hold."""

    terms: tuple[Term, ...] = ()

    def has(self, field: str) -> bool:
        """Whether a term asks for the field; one that only excludes does not."""
        return any(t.field == field and not t.negated for t in self.terms)

    def plus(self, field: str, *values: str) -> Query:
        """The query narrowed by an option of the command line."""
        return Query(self.terms + tuple(_term("", field, v) for v in values if v))


def is_term(word: str) -> bool:
    """True for `status:read` and `-tag:x`: a condition on a field, no word to look for."""
    name, colon, _ = word.lstrip("-¬").partition(":")
    return bool(colon) and name in (*FIELDS, *ALIASES)


def parse(text: str) -> Query:
    """Text -> Query; a field that does not exist is an error that names those that do."""
    found = list(islice(_TERM.finditer(text), MOST_TERMS + 1))
    if len(found) > MOST_TERMS:
        raise KbError(f"a query of more than {MOST_TERMS} terms; ask for fewer at a time", 2)
    return Query(tuple(_term(m[1], m[2] or "", m[3] or m[4] or "") for m in found))


def _term(minus: str, field: str, value: str) -> Term:
    negated, field = bool(minus), field.lower()
    field = ALIASES.get(field, field)
    if field in ("http", "https"):  # a URL, not a field
        return Term("url", f"{field}:{value}", negated=negated)
    if field and field not in FIELDS:
        raise KbError(f"no field '{field}' to query; there are {' '.join(FIELDS)}", 2)
    if field in CHOICES and value.lower() not in CHOICES[field]:
        raise KbError(f"no {field} '{value}'; there are {' '.join(CHOICES[field])}", 2)
    if field in RANGES:
        low, dots, high = value.partition("..")
        if not value or not all(re.fullmatch(r"(\d{1,4}(-\d\d){0,2})?", end) for end in (low, high)):
            raise KbError(f"'{field}:{value}' is no range; write {field}:2020, {field}:2020..2023 or {field}:2020..", 2)
        return Term(field, low, high if dots else low, negated)
    return Term(field, value.lower() if field in CHOICES else fold(value), negated=negated)


def as_sql(query: Query) -> tuple[str, list[Any]]:
    """A query as a WHERE clause over the index's table `notes`, with its arguments."""
    parts, args = ["1"], []
    for term in query.terms:
        sql, values = _condition(term)
        parts.append(f"NOT ({sql})" if term.negated else sql)
        args += values
    return " AND ".join(parts), args


def _condition(term: Term) -> tuple[str, list[Any]]:
    field, value = term.field, term.value
    if not field:
        return "instr(hay, ?) > 0", [value]
    if field in ("status", "kind"):
        return f"{field} = ?", [value]
    if field == "id":
        return "fold(id) = ?", [value]
    if field == "tag":
        return "n IN (SELECT n FROM tags WHERE tag = ? OR instr(tag, ?) = 1)", [value, value + "/"]
    if field == "author":
        return "instr(author_hay, ?) > 0", [value]
    if field in RANGES:
        known = f"coalesce({field}, '') <> ''"
        low = [f"{field} >= ?"] if value else []
        high = [f"substr({field}, 1, {len(term.upto)}) <= ?"] if term.upto else []
        ends: list[Any] = [e for e in (value, term.upto) if e]
        if field in ("year", "rating"):
            return " AND ".join([known, *low, *(f"{field} <= ?" for _ in high)]), [int(e[:4]) for e in ends]
        return " AND ".join([known, *low, *high]), ends
    if field == "has":
        if value in ("tags", "tag"):
            return "n IN (SELECT n FROM tags)", []
        if value in ("links", "link"):
            return "n IN (SELECT n FROM links)", []
        return "n IN (SELECT n FROM json_each(meta) WHERE key = ? AND value NOT IN ('', '[]', '{}'))", [value]
    assert field in TEXTS, field
    return f"instr(fold(json_extract(meta, '$.{field}')), ?) > 0", [value]
