"""Citation keys: what a work is cited by, the same today and when other notes have come.

`cite` in the front matter is the key. A note without one gets a key made of itself alone: family name of the first
author, year, first telling word of the title (ho2020denoising). Where several notes come to one key, the one that was
added first has it as it is and the later ones a, b, c behind it; so a new note never takes a key from an older one,
unless its own `cite` claims it. `kb export --write-keys` writes the keys into the notes, and from then on nothing
changes them: no better title, no other year, no note that goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kb.exporting.works import Work, person
from kb.id_rules import plain_key
from kb.ids import fold
from kb.note import Note
from kb.problem import Problem

if TYPE_CHECKING:
    from kb.library import Library

_SMALL = {"a", "an", "the", "on", "of", "in", "for", "to", "and", "with", "at", "by", "from", "is", "are"}


def cite_key(note: Note) -> str:
    """`cite`, or the key that a note makes of itself."""
    return pinned(note) or made(note)


def pinned(note: Note) -> str:
    """`cite` without what BibTeX and \\cite take for the end of a key."""
    return plain_key(str(note.meta.get("cite") or ""))


def made(note: Note) -> str:
    """Family name, year and a word of the title, in ASCII; the id where there are neither names nor words."""
    first = next(iter(note.meta.get("authors") or []), "")
    who = person(first)
    words = re.findall(r"[a-z0-9]+", _ascii(re.sub(r"[-'’]", "", note.title)))
    word = next((w for w in words if w not in _SMALL), "")
    family = re.sub(r"[^a-z0-9]", "", _ascii(who.family or who.literal))
    return f"{family}{note.year or ''}{word}" if family or word else plain_key(note.id) or "note"


def _ascii(text: str) -> str:
    return fold(text).encode("ascii", "ignore").decode()


def assign(notes: Iterable[Note]) -> dict[str, str]:
    """The key of each note, by path; no two are equal, whatever their case."""
    order = sorted(notes, key=lambda n: (not pinned(n), str(n.meta.get("added", "")), n.id, n.path))
    taken: set[str] = set()
    left: dict[str, Iterator[str]] = {}  # of each key the spellings that nobody was given yet
    found = {}
    for note in order:
        base = cite_key(note)
        key = next(key for key in left.setdefault(base, _spellings(base)) if key.casefold() not in taken)
        taken.add(key.casefold())
        found[note.path] = key
    return found


def _spellings(base: str) -> Iterator[str]:
    """key, keya, … keyz, keyaa, …"""
    yield base
    n = 0
    while True:
        n, rest, suffix = n + 1, n, ""
        while rest >= 0:
            rest, letter = divmod(rest, 26)
            rest, suffix = rest - 1, chr(ord("a") + letter) + suffix
        yield base + suffix


def shared_keys(library: Library) -> Iterator[Problem]:
    """Notes whose `cite` is that of a note added before them: \\cite can mean one of the two only."""
    from kb.checks import key_line

    sql = """SELECT path, value FROM fields JOIN notes USING(n) WHERE key = 'cite' AND value IN
             (SELECT value FROM fields WHERE key = 'cite' GROUP BY value HAVING count(*) > 1)
             ORDER BY added, id, path"""
    first: dict[str, str] = {}
    for path, key in library.index.rows(sql):
        if (other := first.setdefault(key, path)) != path:
            hint = "give one of the two another key"
            yield Problem(path, key_line(library, path, "cite"), "cite", f"{other} has the key '{key}' too", hint)


def write_keys(root: Path, works: Iterable[Work]) -> list[str]:
    """Write the keys of works into those of their notes that have no `cite`, in one change; the paths of the files that
    changed."""
    from kb.edits import edit_notes

    keys = {work.note.path: work.key for work in works if not work.note.meta.get("cite")}
    return edit_notes(root, "export --write-keys", keys, lambda n: {} if n.meta.get("cite") else {"cite": keys[n.path]})
