"""A Markdown reading list: works by kind, each a line with a checkbox, as people write such lists and `kb import` reads
them.

`[x]` is read, `[/]` reading, `[-]` dropped, `[ ]` to read, and `(inbox)` behind it not yet decided.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kb.exporting.works import Work
from kb.formats.citation import VENUE, authors_of
from kb.ids import fold, source_url
from kb.note import KINDS, STATUSES
from kb.pages.listing import KIND_NAMES

_BOXES = {"read": "x", "reading": "/", "dropped": "-"}
_ORDER = ("reading", "to-read", "inbox", "read", "dropped")
_NAMED = ("code", "video", "slides", "pdf")  # links that follow the title's, each by its name
assert set(_ORDER) == set(STATUSES)


def reading_list(works: Iterable[Work]) -> str:
    """Works under the headings of their kinds; what is being read first, then by title."""
    groups: dict[str, list[Work]] = {}
    for work in sorted(works, key=lambda w: (_ORDER.index(w.note.status), fold(w.note.title), w.note.id)):
        groups.setdefault(work.note.kind, []).append(work)
    parts = ["# Reading list\n"]
    for kind in (*KINDS, ""):
        if kind in groups:
            parts.append(f"## {KIND_NAMES[kind]}\n\n" + "".join(map(_lines, groups[kind])))
    return "\n".join(parts)


def _lines(work: Work) -> str:
    """One work; a venue that is no acronym has a line of its own below."""
    note = work.note
    short = re.fullmatch(VENUE, work.get("venue")) if note.year else None
    year = f"{work.get('venue')} {note.year}" if short else str(note.year or "")
    url = work.url or (source_url("doi", work.doi) if work.doi else "")
    names = [name for name in note.authors if name.strip()]
    credited = names if authors_of(", ".join(names)) == names else []
    title = f"[{_title(note.title)}]({_address(url)})" if url else _title(note.title)
    links = (f"[{key}]({_address(work.get(key))})" for key in _NAMED if work.get(key) and work.get(key) != url)
    marks = [f"#{tag}" for tag in note.tags if re.fullmatch(r"[^\W\d_][\w/-]*", tag)]
    marks += [f"{note.meta['rating']}/5"] if note.meta.get("rating") else []
    marks += [f"({key} {note.meta[key]})" for key in ("added", "started", "finished") if note.meta.get(key)]
    flags = ["[Private]"] * note.private + [f"[{year}]"] * bool(year)
    by = [f"by {', '.join(credited)}"] * bool(credited)
    state = ["(inbox)"] * (note.status == "inbox")
    line = " ".join([f"- [{_BOXES.get(note.status, ' ')}]", *flags, title, *by, *links, *marks, *state])
    below = [f"Venue: {work.get('venue')}"] * bool(work.get("venue") and not short)
    below += [f"Authors: {', '.join(names)}"] * bool(names and not credited)
    return "".join(f"{part}\n" for part in [line, *(f"  - {text}" for text in below)])


def _title(text: str) -> str:
    """A title as the text of a link: what Markdown would take for markup has a backslash."""
    text = re.sub(r"([*`<\\])", r"\\\1", " ".join(text.split()))
    depth, balanced = 0, True
    for char in text:
        depth += (char == "[") - (char == "]")
        balanced = balanced and depth in (0, 1)
    return text if balanced and depth == 0 else re.sub(r"([\[\]])", r"\\\1", text)


def _address(url: str) -> str:
    """A URL that no parenthesis or space ends."""
    return re.sub(r"[()<>\s]", lambda m: f"%{ord(m[0]):02X}", url)
