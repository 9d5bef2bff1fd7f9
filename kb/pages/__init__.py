"""A library as the pages of a site: pure functions from notes to Markdown and to plain data for templates."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from kb.ids import PAPER_KEYS, fold, source_url, title_key
from kb.links import Link
from kb.note import KINDS, Note, shown_authors
from kb.pages import claim_pages
from kb.pages.claim_pages import Shown
from kb.pages.front import dashboard, linked, topic_card
from kb.pages.listing import (
    KIND_NAMES,
    STATUS_NAMES,
    Listing,
    count,
    front_matter,
    kind_uri,
    newest,
    pages_of,
    relative,
    src_uri,
    status_links,
    summary,
    tag_uri,
    tags_of,
)
from kb.pages.public import PublicLibrary, visible

__all__ = [
    "dashboard", "generated_pages", "in_order", "nav", "note_context", "src_uri", "summary", "tag_uri", "visible",
]  # fmt: skip

_ID_NAMES = {
    "arxiv": "arXiv", "doi": "DOI", "acl": "ACL", "openreview": "OpenReview", "pmid": "PubMed",
    "s2": "Semantic Scholar", "openalex": "OpenAlex", "isbn": "ISBN", "url": "link", "pdf": "PDF",
    "code": "code", "video": "video", "slides": "slides",
}  # fmt: skip
_DATES = ("published", "added", "started", "finished")


def generated_pages(public: PublicLibrary, shown: Sequence[Shown] = ()) -> dict[str, str]:
    """Every index page, by its path under notes/: reading state, tags, kinds, years, topics, and the claims of the
    reproductions that are `shown`."""
    notes = public.works
    pages: dict[str, str] = {}
    for listing in (*_status_listings(notes), *_tag_listings(notes), *_kind_listings(notes), *_year_listings(notes)):
        pages |= pages_of(listing)
    return (
        pages
        | claim_pages.generated(shown)
        | {
            "tags/index.md": _tag_index(notes),
            "kinds/index.md": _kind_index(notes),
            "years/index.md": _year_index(notes),
            "topics/index.md": _topic_index(public),
        }
    )


def nav(guide: Sequence[str], shown: Sequence[Shown] = ()) -> list[Any]:
    """The navigation, as mkdocs writes it: index pages alone, for a menu of every note would be in every page."""
    items: list[Any] = [
        {"Home": "index.md"},
        {"Reading": [{name: f"status/{status}.md"} for status, name in STATUS_NAMES.items()]},
        *claim_pages.nav(shown),
        {"Topics": "topics/index.md"},
        {"Tags": "tags/index.md"},
        {"Kinds": "kinds/index.md"},
        {"Years": "years/index.md"},
    ]
    return items + ([{"Guide": list(guide)}] if guide else [])


def in_order(guide: Sequence[str], index: Note | None) -> list[str]:
    """The pages of the guide: its index.md, then those that it links, in that order, then others by name."""
    named = [f"guide/{link.target}" for link in index.links] if index else []
    places = {uri: n for n, uri in enumerate(dict.fromkeys(["guide/index.md", *named]))}
    return sorted(guide, key=lambda uri: (places.get(uri, len(places)), uri))


# Orders and groups


def _kind_name(note: Note) -> str:
    return KIND_NAMES.get(note.kind, KIND_NAMES[""])


def _by_kind(notes: Sequence[Note], *keys: str) -> list[Note]:
    order = {kind: n for n, kind in enumerate((*KINDS, ""))}
    return sorted(newest(notes, *keys), key=lambda n: order.get(n.kind, 99))


def _by_status(notes: Sequence[Note]) -> list[Note]:
    order = {status: n for n, status in enumerate((*STATUS_NAMES, ""))}
    return sorted(newest(notes, "added"), key=lambda n: order[n.status])


def _status_name(note: Note) -> str:
    return STATUS_NAMES.get(note.status, "Notes")


# Listings


def _status_listings(notes: Sequence[Note]) -> Iterator[Listing]:
    for status, name in STATUS_NAMES.items():
        found = [note for note in notes if note.status == status]
        uri, lead = f"status/{status}.md", status_links(notes, f"status/{status}.md")
        if status == "read":
            finished = newest(found, "finished")
            yield Listing(uri, name, finished, _year_finished, lead=lead, shows="kind")
        else:
            shows = "place" if status == "reading" else ""
            yield Listing(uri, name, _by_kind(found, "started", "added"), _kind_name, lead=lead, shows=shows)


def _year_finished(note: Note) -> str:
    return str(note.meta.get("finished") or "")[:4] or "Without a date"


def _tag_listings(notes: Sequence[Note]) -> Iterator[Listing]:
    for name, found in tags_of(notes).values():
        up = ("Tags", "tags/index.md")
        yield Listing(tag_uri(name), name, _by_kind(found, "added"), _kind_name, up, shows="status")


def _kind_listings(notes: Sequence[Note]) -> Iterator[Listing]:
    for kind in sorted({note.kind for note in notes}):
        found = [note for note in notes if note.kind == kind]
        up = ("Kinds", "kinds/index.md")
        yield Listing(kind_uri(kind), KIND_NAMES.get(kind, kind), _by_status(found), _status_name, up, shows="status")


def _year_listings(notes: Sequence[Note]) -> Iterator[Listing]:
    for year in sorted({note.year for note in notes}, key=lambda y: y or 0):
        found = [note for note in notes if note.year == year]
        title = str(year or "Without a year")
        up = ("Years", "years/index.md")
        yield Listing(_year_uri(year), title, _by_kind(found, "published", "added"), _kind_name, up, shows="status")


def _year_uri(year: int | None) -> str:
    return f"years/{year or 'none'}.md"


# The pages above the listings


def _tag_index(notes: Sequence[Note]) -> str:
    lines = []
    for name, found in tags_of(notes).values():
        link = f'<a href="{relative(tag_uri(name), "tags/index.md")}">{escape(name)}</a>'
        lines.append(f'<li class="kb-depth-{min(name.count("/"), 3)}">{link} {count(len(found))}</li>')
    if not lines:
        return front_matter("Tags", "toc", "navigation") + '<p class="kb-empty">No note has a tag yet.</p>\n'
    return front_matter("Tags", "toc", "navigation") + '<ul class="kb-columns">\n' + "\n".join(lines) + "\n</ul>\n"


def _kind_index(notes: Sequence[Note]) -> str:
    counts = Counter(note.kind for note in notes)
    bars = [(KIND_NAMES[kind], kind_uri(kind), counts[kind]) for kind in (*KINDS, "") if counts[kind]]
    return front_matter("Kinds", "toc", "navigation") + _bars(bars, "kinds/index.md")


def _year_index(notes: Sequence[Note]) -> str:
    counts = Counter(note.year for note in notes)
    years = sorted((year for year in counts if year), reverse=True)
    bars = [(str(year), _year_uri(year), counts[year]) for year in years]
    bars += [("none", _year_uri(None), counts[None])] if counts[None] else []
    return front_matter("Years", "toc", "navigation") + _bars(bars, "years/index.md")


def _bars(bars: Sequence[tuple[str, str, int]], page: str) -> str:
    """Names with counts, each with a bar as long as its share of the largest."""
    if not bars:
        return '<p class="kb-empty">Nothing here yet.</p>\n'
    most = max(n for _, _, n in bars)
    lines = (
        f'<li><a href="{relative(uri, page)}">{escape(name)}</a>'
        f'<meter class="kb-bar" min="0" max="{most}" value="{n}" aria-hidden="true"></meter>{count(n)}</li>'
        for name, uri, n in bars
    )
    return '<ul class="kb-bars">\n' + "\n".join(lines) + "\n</ul>\n"


def _topic_index(public: PublicLibrary) -> str:
    topics = sorted((n for n in public.works if n.kind == "topic"), key=lambda n: fold(n.title))
    page = "topics/index.md"
    if not topics:
        told = "A topic is a note of <code>kind: topic</code> that ties others together. There is none yet."
        return front_matter("Topics", "toc", "navigation") + f'<p class="kb-empty">{told}</p>\n'
    cards = "\n".join(topic_card(topic, linked(public, topic), page, "h2") for topic in topics)
    return front_matter("Topics", "toc", "navigation") + f'<div class="kb-cards">\n{cards}\n</div>\n'


# A note's page


def note_context(public: PublicLibrary, note: Note) -> dict[str, Any]:
    """What a note's page shows around its text. Addresses of pages (`uri`) are paths under notes/; text is plain."""
    from kb.exporting.bibtex import entry
    from kb.exporting.works import Work

    whole = public.whole(note)
    linked_to = {found.path for link in note.links if (found := public.target(link, note))}
    parts = public.parts.get(note.path, [])
    left = [part for part in parts if part.path not in linked_to]
    return {
        "kind": note.kind,
        "kind_uri": kind_uri(note.kind),
        "status": note.status,
        "status_name": STATUS_NAMES.get(note.status, "").lower(),
        "authors": note.authors,
        "byline": shown_authors(note.authors) if len(note.authors) > 12 else ", ".join(note.authors),
        "year": note.year,
        "year_uri": _year_uri(note.year) if note.year else "",
        "venue": str(note.meta.get("venue") or ""),
        "dates": [{"name": key, "date": str(note.meta[key])} for key in _DATES if note.meta.get(key)],
        "at": str(note.meta.get("at") or ""),
        "rating": int(note.meta.get("rating") or 0),
        "aliases": note.aliases,
        "tags": [{"name": tag, "uri": tag_uri(tag)} for tag in note.tags],
        "ids": _ids(note),
        "seen": [{"name": _bare(url), "url": url} for url in note.meta.get("seen") or []],
        "abstract": str(note.meta.get("abstract") or ""),
        "results": note.meta.get("results") or [],
        "part_of": {"title": whole.title, "uri": src_uri(whole)} if whole else None,
        "parts": [{"title": n.title, "uri": src_uri(n), "status": n.status} for n in left],
        "parts_in_text": len(parts) - len(left),
        "backlinks": _backlinks(note, whole, public.backlinks.get(note.path, [])),
        "bibtex": entry(Work(key, note)) if (key := public.cite_keys.get(note.path, "")) and _citable(note) else "",
    }


def _citable(note: Note) -> bool:
    """Whether a bibliography could use an entry: authors are known, or of a paper the year or an id."""
    known = bool(note.year) or any(note.meta.get(key) for key in PAPER_KEYS)
    return bool(note.authors) or (note.kind in ("paper", "book") and known)


def _ids(note: Note) -> list[dict[str, str]]:
    found = []
    for key, name in _ID_NAMES.items():
        if value := str(note.meta.get(key) or ""):
            told = value if key in ("arxiv", "doi", "acl", "pmid", "isbn") else ""
            found.append({"key": key, "name": name, "value": told, "url": source_url(key, value)})
    return found


def _bare(url: str) -> str:
    """A URL as people say it, cut short."""
    name = re.sub(r"^https?://(?:www\.)?", "", url).rstrip("/")
    return name if len(name) <= 48 else name[:47] + "…"


def _backlinks(note: Note, whole: Note | None, links: Sequence[tuple[Note, Link]]) -> list[dict[str, Any]]:
    """One entry a note that links here, with each sentence once, in the order of the sentences. A link that stands by
    itself has no sentence; of the `whole`, which the page names already, it tells nothing."""
    names = {title_key(name) for name in (note.title, note.id, *note.aliases)}
    found: dict[str, dict[str, Any]] = {}
    for source, link in links:
        told = {"title": source.title, "uri": src_uri(source), "kind": source.kind, "contexts": []}
        contexts = found.setdefault(source.path, told)["contexts"]
        if title_key(link.context) not in {"", *names} and link.context not in contexts:
            contexts.append(link.context)
    shown = (entry for path, entry in found.items() if entry["contexts"] or not whole or path != whole.path)
    return sorted(shown, key=lambda e: fold(e["title"]))
