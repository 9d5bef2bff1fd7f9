"""What the index keeps of a note: rows for its tables, as plain tuples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from kb.duplicates import names as work_names
from kb.ids import fold
from kb.links import Link
from kb.names import link_key, name_key
from kb.note import Note, links_in, shown_authors
from kb.order import place_of
from kb.problem import Problem

COLUMNS = {
    "notes": 19, "tags": 2, "names": 3, "sources": 2, "works": 2, "fields": 3, "problems": 7, "pending": 5,
    "links": 10, "texts": 5,
}  # fmt: skip
FIELDS = ("part_of", "repro", "incomplete")  # keys that are asked for over the whole vault, and few notes have
_NOT_ASCII = re.compile("[^\\x00-\\x7f]+")
_DATES = ("added", "started", "finished", "published")
_to_json = json.JSONEncoder(ensure_ascii=False).encode


def rows(n: int, note: Note, problems: list[Problem]) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """The rows of a note and of what is wrong in it, by table; those of its text come later."""
    yield "notes", [_note(n, note)]
    yield "tags", [(n, fold(tag)) for tag in note.tags]
    yield "names", [(name, rank, n) for name, rank in _names(note)]
    yield "sources", [(token, n) for token in {source.token for source in note.sources()}]
    yield "works", [(name, n) for name in work_names(note.meta)]
    yield "fields", [(key, str(note.meta[key]), n) for key in FIELDS if note.meta.get(key)]
    if note.meta.get("cite"):
        yield "fields", [("cite", fold(str(note.meta["cite"])), n)]  # \cite knows no capitals
    yield "problems", [problem_row(n, problem) for problem in problems]
    known_as = " ".join([note.id, *note.aliases, *note.authors])
    yield "pending", [(n, note.path, note.title, known_as, " ".join(note.tags))]


def _note(n: int, note: Note) -> tuple[Any, ...]:
    meta, names = note.meta, note.authors
    dates = [str(meta.get(key, "")) for key in _DATES]
    ids = [str(meta.get(key, "")) for key in ("arxiv", "doi", "acl", "cite")]
    hay = fold(" \n ".join([note.title, *names, *note.aliases, note.id, *ids]))
    about = (n, note.path, note.id, note.title, note.kind, note.status, note.year, *dates, meta.get("rating"))
    found = (hay, fold("\n".join(names)), _to_json(meta))
    return (*about, note.private, shown_authors(names), place_of(meta), *found, note.body_line)


def _names(note: Note) -> list[tuple[str, int]]:
    inside = note.path.partition("/")[2]
    ranked = [(inside, 0), (note.id, 1), *((alias, 2) for alias in note.aliases), (note.title, 3)]
    return [(key, rank) for name, rank in ranked if (key := name_key(name))]


def text_rows(
    n: int, path: str, body: str, first_line: int, known: Sequence[str]
) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """The rows of a note's text, by table; `known` is what else is searched: its title, names and tags."""
    links, problems = links_in(body, first_line, path)
    yield "links", [_link(n, path, link) for link in links if link.target]
    yield "problems", [problem_row(n, problem) for problem in problems]
    yield "texts", [(n, *known, no_nul(body))]


def _link(n: int, path: str, k: Link) -> tuple[Any, ...]:
    return n, link_key(k, path), k.target, k.line, k.heading, k.label, k.embed, k.wiki, k.start, k.end


def problem_row(n: int, p: Problem) -> tuple[Any, ...]:
    return n, p.line, p.check, p.message, p.hint, p.level, p.fixable


def for_search(text: str) -> str:
    """`text` as the words of a search are compared with it: the tokenizer's own fold knows case and Latin alone."""
    return text if text.isascii() else _NOT_ASCII.sub(lambda m: fold(m[0]), text)


def no_nul(text: str) -> str:
    """SQLite's functions take a NUL for the end of a text."""
    return text.replace("\0", "\ufffd") if "\0" in text else text
