"""arXiv's Atom API: many ids in one request, three seconds between two requests, as arXiv asks. KB_ARXIV_API names
another place than arXiv's own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from kb.id_rules import plain_arxiv
from kb.ids import Source, identify, title_key
from kb.problem import KbError
from kb.sources import Answer, Metadata, doi, fields
from kb.sources.http import MEBIBYTE, Client, Page, Unreachable

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET

name = "arxiv"
API = "https://export.arxiv.org/api/query"
_GAP = 3.0
_BATCH = 100
_ACCEPT = "application/atom+xml"
_ATOM = "{http://www.w3.org/2005/Atom}"
_ARXIV = "{http://arxiv.org/schemas/atom}"


def matches(source: Source) -> bool:
    return source.key == "arxiv"


def fetch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    fresh = []
    for source in sources:
        if kept := client.recall(_address([source]), partial(_read_one, source), _ACCEPT):
            yield source, _published(kept, client)
        else:
            fresh.append(source)
    for start in range(0, len(fresh), _BATCH):
        yield from _fetch_batch(fresh[start : start + _BATCH], client)


def _fetch_batch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    try:
        found = _query(sources, client)
    except Unreachable as error:
        yield from ((s, error) for s in sources)
        return
    except KbError as error:
        if len(sources) == 1:
            yield sources[0], error
            return
        middle = len(sources) // 2  # one bad id fails the whole request: find it
        yield from _fetch_batch(sources[:middle], client)
        yield from _fetch_batch(sources[middle:], client)
        return
    for source in sources:
        missing = KbError(f"arXiv has no such id: {source.value}; check it at {source.url}")
        yield source, _published(found[source.token], client) if source.token in found else missing


def _address(sources: Sequence[Source]) -> str:
    ids = [plain_arxiv(source.value) for source in sources]
    query = urlencode({"id_list": ",".join(ids), "max_results": len(ids)}, safe=",/")
    return f"{os.environ.get('KB_ARXIV_API') or API}?{query}"


def _query(sources: Sequence[Source], client: Client) -> dict[str, Metadata]:
    """The works of one answer by their token; each is kept by itself, whatever it is asked with next time."""
    import xml.etree.ElementTree as ET

    page = client.get(_address(sources), _ACCEPT, limit=8 * MEBIBYTE, gap=_GAP)
    if page.status >= 400 and b"<feed" not in page.body:
        raise Unreachable(f"arXiv answered {page.status}; try again later")
    found = _read_feed(page)
    entries = {_token(e): e for e in fields.read_xml(page, "arXiv").iter(f"{_ATOM}entry")}
    for source in sources:
        if source.token in found:
            alone = Page(page.url, page.status, page.content_type, ET.tostring(entries[source.token]))
            client.remember(_address([source]), alone, _ACCEPT)
    return found


def _read_one(source: Source, page: Page) -> Metadata | None:
    return _read_feed(page).get(source.token)


def _read_feed(page: Page) -> dict[str, Metadata]:
    feed = fields.read_xml(page, "arXiv")
    if feed.tag not in (f"{_ATOM}feed", f"{_ATOM}entry"):
        raise Unreachable("arXiv's answer cannot be read (it is no feed); try again later")
    found = {}
    for entry in feed.iter(f"{_ATOM}entry"):
        if "/api/errors" in _text(entry, f"{_ATOM}id"):
            raise KbError(f"arXiv: {_text(entry, f'{_ATOM}summary') or 'an error'}; check the id")
        if (token := _token(entry)) and _text(entry, f"{_ATOM}published"):  # an id without a paper has an empty entry
            found[token] = _metadata(entry, token.partition(":")[2])
    return found


def _token(entry: ET.Element) -> str:
    source = identify(_text(entry, f"{_ATOM}id"))
    return source.token if source and source.key == "arxiv" else ""


def _metadata(entry: ET.Element, arxiv: str) -> Metadata:
    published = fields.date(_text(entry, f"{_ATOM}published"))
    people = [fields.text_of(e) for e in entry.iterfind(f"{_ATOM}author/{_ATOM}name")]
    comment, abstract = _text(entry, f"{_ARXIV}comment"), _text(entry, f"{_ATOM}summary")
    links = {link.get("title"): link.get("href") for link in entry.iterfind(f"{_ATOM}link")}
    meta: Metadata = {
        "title": _text(entry, f"{_ATOM}title") or "0",  # the feed leaves out the title of a paper called so
        "authors": [person for person in people if person],
        "year": int(published[:4]) if published else None,
        "venue": _text(entry, f"{_ARXIV}journal_ref") or fields.said_venue(comment),
        "arxiv": arxiv,
        "doi": fields.doi(_text(entry, f"{_ARXIV}doi").split(" ")[0]).get("doi"),
        "pdf": f"https://arxiv.org/pdf/{arxiv}" if links.get("pdf") else None,
        "code": fields.code_link(comment, abstract),
        "published": published,
        "abstract": abstract,
    }
    return fields.known(meta)


def _published(meta: Metadata, client: Client) -> Metadata:
    """With the venue and year of what was published of a preprint, where arXiv knows its DOI and not the place."""
    if meta.get("venue") or not meta.get("doi"):
        return meta
    try:
        more = doi.look_up(meta["doi"], client)
    except KbError:  # the preprint itself is known, and that is what was asked for
        return meta
    same = title_key(str(more.get("title"))) == title_key(str(meta["title"]))
    return meta | {key: more[key] for key in ("venue", "year") if same and key in more}


def _text(entry: ET.Element, tag: str) -> str:
    """An element's text on one line."""
    return re.sub(r"\s+", " ", entry.findtext(tag) or "").strip()
