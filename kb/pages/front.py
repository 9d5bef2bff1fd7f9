"""The front page of a vault: what is being read, what comes next, what is new, and where to look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from kb.ids import fold
from kb.note import KINDS, Note
from kb.order import place
from kb.pages.listing import (
    KIND_NAMES,
    count,
    day,
    kind_uri,
    relative,
    row,
    rows,
    src_uri,
    status_links,
    summary,
    tag_uri,
    tags_of,
)
from kb.pages.public import PublicLibrary


def dashboard(public: PublicLibrary) -> str:
    """What stands below the front page's own words: state of reading, what comes next, what is new, where to look."""
    notes, page = public.works, "index.md"
    if not notes:
        return '<p class="kb-empty">No notes yet. <code>kb add 2006.11239</code> makes the first one.</p>\n'
    counts = Counter(n.status for n in notes)
    finished = _latest([n for n in notes if n.status == "read"], "finished")
    added = _latest([n for n in notes if n.kind not in ("topic", "log")], "added")
    reading = [row(n, page, "kind place") for n in public.reading[:8]]
    done = [row(n, page, "", day(n, "finished")) for n in finished]
    lists = [
        _section("Reading now", "status/reading.md", reading, counts["reading"]),
        _section("Next up", "status/to-read.md", [row(n, page, "kind") for n in public.waiting], counts["to-read"]),
        _section("Recently finished", "status/read.md", done, counts["read"]),
        _section("Recently added", "", [row(n, page, "status", day(n, "added")) for n in added]),
    ]
    two = f'<div class="kb-two">\n{"".join(lists)}</div>\n'
    parts = [status_links(notes, "index.md"), _kinds(notes), two, _topics(public), _top_tags(notes)]
    return f'<div class="kb-home">\n{"".join(parts)}</div>\n'


def _latest(notes: Sequence[Note], key: str) -> list[Note]:
    """The six with the latest date, as `kb status` orders them: of one day as the list they came from has them."""
    dated = [n for n in notes if n.meta.get(key)]
    dated.sort(key=lambda n: (place((n.meta.get("imported") or [""])[0]), n.id))
    return sorted(dated, key=lambda n: str(n.meta[key]), reverse=True)[:6]


def _kinds(notes: Sequence[Note]) -> str:
    kinds = Counter(n.kind for n in notes)
    links = " ".join(
        f'<a href="{kind_uri(k)}">{kinds[k]} {(k if kinds[k] == 1 else KIND_NAMES[k].lower()) or "other"}</a>'
        for k in (*KINDS, "")
        if kinds[k]
    )
    return f'<p class="kb-kinds">{links}</p>\n'


def _section(title: str, uri: str, lines: Sequence[str], size: int = 0) -> str:
    """Rows under a heading; where the page at `uri` has more of them, `size` in all, a link says so."""
    if not lines:
        return ""
    more = f'<p class="kb-all"><a href="{uri}">All {size}</a></p>\n' if size > len(lines) else ""
    return _titled(title, uri, rows(lines) + more)


def _titled(title: str, uri: str, markup: str) -> str:
    head = f'<h2><a href="{uri}">{title}</a></h2>' if uri else f"<h2>{title}</h2>"
    return f'<section class="kb-section">{head}\n{markup}</section>\n'


def _topics(public: PublicLibrary) -> str:
    """The topics that tie most notes together."""
    topics = [(topic, linked(public, topic)) for topic in public.works if topic.kind == "topic"]
    busiest = sorted(topics, key=lambda found: (-len(found[1]), fold(found[0].title)))[:6]
    cards = "\n".join(topic_card(topic, notes, "index.md") for topic, notes in busiest)
    return _titled("Topics", "topics/index.md", f'<div class="kb-cards">\n{cards}\n</div>\n') if topics else ""


def _top_tags(notes: Sequence[Note]) -> str:
    most = sorted(tags_of(notes).values(), key=lambda found: (-len(found[1]), fold(found[0])))[:24]
    links = " ".join(
        f'<a class="kb-tag" href="{relative(tag_uri(name), "index.md")}">{escape(name)} {count(len(found))}</a>'
        for name, found in most
    )
    return _titled("Tags", "tags/index.md", f'<p class="kb-cloud">{links}</p>\n') if most else ""


def linked(public: PublicLibrary, topic: Note) -> list[Note]:
    """The notes that a topic links to or is linked from, its own links first, in their order."""
    there = [found for link in topic.links if (found := public.target(link, topic))]
    there += [note for note, _ in public.backlinks.get(topic.path, [])]
    return list({note.path: note for note in there if note.path != topic.path}.values())


def topic_card(topic: Note, notes: Sequence[Note], page: str, heading: str = "h3") -> str:
    """A topic in a few words: its own, or else the titles of the first of its `notes`."""
    said = summary(topic, 200) or " · ".join(note.title for note in notes[:4])
    told = f'<span class="kb-n">{len(notes)} linked {"note" if len(notes) == 1 else "notes"}</span>'
    link = f'<a href="{relative(src_uri(topic), page)}">{escape(topic.title)}</a>'
    words = f"<p>{escape(said)}</p>" if said else ""
    return f'<section class="kb-card"><{heading}>{link}</{heading}>{words}{told}</section>'
