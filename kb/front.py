"""The front page of a vault: what is being read, what comes next, what is new, and where to look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from kb.ids import fold
from kb.listing import (
    KIND_NAMES,
    count,
    kind_uri,
    newest,
    relative,
    row,
    rows,
    src_uri,
    status_links,
    summary,
    tag_uri,
    tags_of,
)
from kb.note import KINDS, Note
from kb.public import PublicLibrary


def dashboard(public: PublicLibrary) -> str:
    """What stands below the front page's own words: state of reading, what comes next, what is new, where to look."""
    notes, page = public.works, "index.md"
    if not notes:
        return '<p class="kb-empty">No notes yet. <code>kb add 2006.11239</code> makes the first one.</p>\n'
    reading = newest([n for n in notes if n.status == "reading"], "started", "added")
    added = newest([n for n in notes if n.meta.get("added")], "added")
    finished = newest([n for n in notes if n.meta.get("finished") and n.status == "read"], "finished")
    lists = [
        _section("Reading now", "status/reading.md", [row(n, page, "kind", _place(n)) for n in reading[:8]]),
        _section("Next up", "status/to-read.md", [row(n, page, "kind") for n in _next(public)[:6]]),
        _section("Recently finished", "status/read.md", [row(n, page, "", _day(n, "finished")) for n in finished[:6]]),
        _section("Recently added", "", [row(n, page, "status", _day(n, "added")) for n in added[:6]]),
    ]
    two = f'<div class="kb-two">\n{"".join(lists)}</div>\n'
    parts = [status_links(notes, "index.md"), _kinds(notes), two, _topics(public), _top_tags(notes)]
    return f'<div class="kb-home">\n{"".join(parts)}</div>\n'


def _kinds(notes: Sequence[Note]) -> str:
    kinds = Counter(n.kind for n in notes)
    links = " ".join(
        f'<a href="{kind_uri(k)}">{kinds[k]} {(k if kinds[k] == 1 else KIND_NAMES[k].lower()) or "other"}</a>'
        for k in (*KINDS, "")
        if kinds[k]
    )
    return f'<p class="kb-kinds">{links}</p>\n'


def _section(title: str, uri: str, lines: Sequence[str], markup: str = "") -> str:
    if not lines and not markup:
        return ""
    head = f'<h2><a href="{uri}">{title}</a></h2>' if uri else f"<h2>{title}</h2>"
    return f'<section class="kb-section">{head}\n{markup or rows(lines)}</section>\n'


def _next(public: PublicLibrary) -> list[Note]:
    """To read: first what most notes link to, then the best rated, then the newest."""
    waiting = newest([n for n in public.works if n.status == "to-read"], "added")
    return sorted(waiting, key=lambda n: (-len(public.backlinks.get(n.path, ())), -int(n.meta.get("rating") or 0)))


def _place(note: Note) -> str:
    at = str(note.meta.get("at") or "")
    return f'<span class="kb-at">at {escape(at)}</span>' if at else _day(note, "started", "since ")


def _day(note: Note, key: str, word: str = "") -> str:
    day = str(note.meta.get(key) or "")
    return f'<time class="kb-day" datetime="{day}">{word}{day}</time>' if day else ""


def _topics(public: PublicLibrary) -> str:
    topics = [n for n in public.works if n.kind == "topic"]
    busiest = sorted(topics, key=lambda n: (-len(public.backlinks.get(n.path, ())), fold(n.title)))[:6]
    cards = "\n".join(topic_card(public, topic, "index.md") for topic in busiest)
    return _section("Topics", "topics/index.md", [], f'<div class="kb-cards">\n{cards}\n</div>\n') if topics else ""


def _top_tags(notes: Sequence[Note]) -> str:
    most = sorted(tags_of(notes).values(), key=lambda found: (-len(found[1]), fold(found[0])))[:24]
    links = " ".join(
        f'<a class="kb-tag" href="{relative(tag_uri(name), "index.md")}">{escape(name)} {count(len(found))}</a>'
        for name, found in most
    )
    return _section("Tags", "tags/index.md", [], f'<p class="kb-cloud">{links}</p>\n') if most else ""


def topic_card(public: PublicLibrary, topic: Note, page: str) -> str:
    linked = {found.path for link in topic.links if (found := public.target(link, topic)) and found.path != topic.path}
    linked |= {note.path for note, _ in public.backlinks.get(topic.path, [])}
    told = f'<span class="kb-n">{len(linked)} linked {"note" if len(linked) == 1 else "notes"}</span>'
    link = f'<a href="{relative(src_uri(topic), page)}">{escape(topic.title)}</a>'
    return f'<section class="kb-card"><h3>{link}</h3><p>{escape(summary(topic, 200))}</p>{told}</section>'
