"""Notes as rows of a page: what every index page of the site is made of. Markdown whose lists are HTML blocks with
relative links to `.md` files, so that it reads well without our theme too."""

from __future__ import annotations

import json
import posixpath
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from kb.ids import fold, slug
from kb.links import plain
from kb.note import Note, shown_authors

PAGE_SIZE = 200  # rows

KIND_NAMES = {
    "paper": "Papers", "talk": "Talks", "lecture": "Lectures", "course": "Courses", "post": "Posts",
    "thread": "Threads", "book": "Books", "code": "Code", "tool": "Tools", "dataset": "Datasets", "topic": "Topics",
    "log": "Logs", "": "Other",
}  # fmt: skip
STATUS_NAMES = {"reading": "Reading", "to-read": "To read", "inbox": "Inbox", "read": "Read", "dropped": "Dropped"}


@dataclass(frozen=True)
class Listing:
    """An index page before it is cut into pages of 200 rows. `group` names the heading a note stands under; `up` is the
    page above, as (name, uri)."""

    uri: str
    title: str
    notes: Sequence[Note]
    group: Callable[[Note], str]
    up: tuple[str, str] = ("", "")
    lead: str = ""  # HTML above the rows
    shows: str = "kind status"  # what a row tells beside title, authors, year and tags


def src_uri(note: Note) -> str:
    """A note's path under notes/."""
    return note.path.removeprefix("notes/")


def relative(uri: str, page: str) -> str:
    """The address of `uri` as seen from `page`, both paths under notes/."""
    return quote(posixpath.relpath(uri, posixpath.dirname(page) or "."))


def tag_uri(tag: str) -> str:
    """The page of a tag: a/b lies below a; what a slug cannot tell apart (C++ and C) a hash of the tag does."""
    return "tags/" + "/".join(_segment(part) for part in fold(tag).split("/")) + ".md"


def _segment(text: str) -> str:
    if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text) and text != "index":
        return text
    stem = slug(text) if re.search(r"[a-z0-9]", text) else "tag"
    return f"{stem}-{zlib.crc32(text.encode()):08x}"


def front_matter(title: str, *hide: str) -> str:
    """The head of a generated page; listings stay out of the search, which would find every title many times over.
    mkdocs takes titles as HTML."""
    head = {"title": escape(title, quote=False), "hide": list(hide), "search": {"exclude": True}}
    return "---\n" + "".join(f"{k}: {json.dumps(v, ensure_ascii=False)}\n" for k, v in head.items()) + "---\n\n"


def pages_of(listing: Listing) -> dict[str, str]:
    """uri -> Markdown. The first page has the listing's own uri, the others a name that no slug can have."""
    chunks = [listing.notes[i : i + PAGE_SIZE] for i in range(0, len(listing.notes), PAGE_SIZE)] or [[]]
    stem = listing.uri.removesuffix(".md")
    uris = [listing.uri, *(f"{stem}/page.{n}.md" for n in range(2, len(chunks) + 1))]
    return {uri: _page(listing, uri, uris, chunk) for uri, chunk in zip(uris, chunks, strict=True)}


def _page(listing: Listing, uri: str, uris: list[str], notes: Sequence[Note]) -> str:
    name, above = listing.up
    crumb = f'<a href="{relative(above, uri)}">{escape(name)}</a> · ' if above else ""
    size = f'<p class="kb-count">{crumb}{len(listing.notes)} {"note" if len(listing.notes) == 1 else "notes"}</p>\n'
    body = groups(notes, listing.group, uri, listing.shows) or '<p class="kb-empty">Nothing here yet.</p>'
    title = listing.title if uri == listing.uri else f"{listing.title}, page {uris.index(uri) + 1}"
    return front_matter(title, "toc", "navigation") + size + listing.lead + body + _pager(uri, uris) + "\n"


def groups(notes: Iterable[Note], group: Callable[[Note], str], uri: str, shows: str) -> str:
    """Rows under the headings of their groups; the notes come in the order of the groups."""
    found: dict[str, list[str]] = {}
    for note in notes:
        found.setdefault(group(note), []).append(row(note, uri, shows))
    parts = []
    for name, lines in found.items():
        heading = f"<h2>{escape(name)}</h2>\n" if name and len(found) > 1 else ""
        parts.append(f"{heading}{rows(lines)}")
    return "\n".join(parts)


def rows(lines: Iterable[str]) -> str:
    return '<ul class="kb-rows">\n' + "\n".join(lines) + "\n</ul>\n"


def row(note: Note, page: str, shows: str = "", extra: str = "") -> str:
    """One note: title, who, when and tags; its kind, its status and the place where the reading stands, where `shows`
    names them; `extra` is more HTML."""
    facts = [shown_authors(note.authors) if note.authors else "", str(note.year or "")]
    facts += [note.kind if "kind" in shows else ""]
    state = chip(note.status) if "status" in shows else ""
    extra += _place(note) if "place" in shows else ""
    told = " · ".join(escape(f) for f in facts if f)
    tags = "".join(f'<a class="kb-tag" href="{relative(tag_uri(t), page)}">{escape(t)}</a>' for t in note.tags[:4])
    link = f'<a class="kb-row__title" href="{relative(src_uri(note), page)}">{escape(note.title)}</a>'
    facts_html = f'<span class="kb-row__facts">{told}</span>' if told else ""
    return f'<li class="kb-row">{link}{state}<span class="kb-row__line">{facts_html}{extra}{tags}</span></li>'


def _place(note: Note) -> str:
    at = str(note.meta.get("at") or "")
    return f'<span class="kb-at">at {escape(at)}</span>' if at else day(note, "started", "since ")


def day(note: Note, key: str, word: str = "") -> str:
    """A date of a note, if it has it."""
    date = str(note.meta.get(key) or "")
    return f'<time class="kb-day" datetime="{date}">{word}{date}</time>' if date else ""


def count(n: int) -> str:
    """A number beside a name."""
    return f'<span class="kb-n">{n}</span>'


def chip(status: str) -> str:
    return f'<span class="kb-chip kb-chip--{status}">{STATUS_NAMES[status].lower()}</span>' if status else ""


def _pager(uri: str, uris: list[str]) -> str:
    if len(uris) == 1:
        return ""
    links = (
        f'<span aria-current="page">{n}</span>' if other == uri else f'<a href="{relative(other, uri)}">{n}</a>'
        for n, other in enumerate(uris, 1)
    )
    return f'\n<nav class="kb-pager" aria-label="Pages">{" ".join(links)}</nav>\n'


def summary(note: Note, size: int = 240) -> str:
    """The first paragraph of prose in a note's text, as plain text."""
    for block in re.split(r"\n\s*\n", note.body[:6000]):
        text = block.strip()
        if text and not re.match(r"[#>|<`~]|\$\$|[-*+]\s|\d+[.)]\s|!\[|---|\[\^|:::|!!!", text):
            text = plain(text).strip()
            return text if len(text) <= size else text[:size].rpartition(" ")[0] + " …"
    return ""


# Orders, groups and links that several pages share


def newest(notes: Sequence[Note], *keys: str) -> list[Note]:
    """By the first of the dates that a note has, newest first, then by title."""
    dated = sorted(notes, key=lambda n: fold(n.title))
    return sorted(dated, key=lambda n: next((str(n.meta[k]) for k in keys if n.meta.get(k)), ""), reverse=True)


def tags_of(notes: Sequence[Note]) -> dict[str, tuple[str, list[Note]]]:
    """Folded tag -> (its most frequent spelling, its notes); a note tagged a/b counts for a as well."""
    spellings: dict[str, Counter[str]] = {}
    found: dict[str, dict[str, Note]] = {}
    for note in notes:
        for tag in note.tags:
            parts = tag.strip("/").split("/")
            for n in range(1, len(parts) + 1):
                name = "/".join(parts[:n])
                spellings.setdefault(fold(name), Counter())[name] += 1
                found.setdefault(fold(name), {})[note.path] = note
    names = {key: min(seen, key=lambda s: (-seen[s], s)) for key, seen in spellings.items()}
    return {key: (names[key], list(found[key].values())) for key in sorted(found) if key}


def kind_uri(kind: str) -> str:
    return f"kinds/{kind or 'other'}.md"


def status_links(notes: Sequence[Note], page: str) -> str:
    """How many notes are in each state, each a link to its page."""
    counts = Counter(n.status for n in notes)
    links = []
    for status, name in STATUS_NAMES.items():
        uri = f"status/{status}.md"
        here = ' aria-current="page"' if uri == page else ""
        if here or counts[status] or status != "dropped":
            told = f"<b>{counts[status]}</b><span>{name.lower()}</span>"
            links.append(f'<a class="kb-stat kb-stat--{status}"{here} href="{relative(uri, page)}">{told}</a>')
    return f'<div class="kb-stats">{"".join(links)}</div>\n'
