"""arXiv's Atom API: many ids in one request, three seconds between two requests, as arXiv asks."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from kb.ids import Source, identify
from kb.problem import KbError
from kb.sources import Answer, Metadata
from kb.sources.http import Client, Unreachable

name = "arxiv"
API = "https://export.arxiv.org/api/query"
_GAP = 3.0
_BATCH = 100
_ATOM = "{http://www.w3.org/2005/Atom}"
_ARXIV = "{http://arxiv.org/schemas/atom}"


def matches(source: Source) -> bool:
    return source.key == "arxiv"


def fetch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    for start in range(0, len(sources), _BATCH):
        yield from _fetch_batch(sources[start : start + _BATCH], client)


def _fetch_batch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    try:
        found = _query([s.value for s in sources], client)
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
        yield source, found.get(source.token, missing)


def _query(ids: Sequence[str], client: Client) -> dict[str, Metadata]:
    """The works of one answer by their token."""
    base = os.environ.get("KB_ARXIV_API") or API
    query = urlencode({"id_list": ",".join(ids), "max_results": len(ids)}, safe=",/")
    page = client.get(f"{base}?{query}", "application/atom+xml", limit=8 << 20, gap=_GAP)
    if page.status >= 400 and b"<feed" not in page.body:
        raise Unreachable(f"arXiv answered {page.status}; try again later")
    return _read_feed(page.body)


class _Tree(ET.TreeBuilder):
    """An XML tree without a document type: what defines entities is no feed."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> Any:
        raise ET.ParseError("a document type definition")


def _read_feed(body: bytes) -> dict[str, Metadata]:
    try:
        feed = ET.fromstring(body, ET.XMLParser(target=_Tree()))
    except ET.ParseError as error:
        raise Unreachable(f"arXiv's answer cannot be read ({error}); try again later") from None
    found = {}
    for entry in feed.iter(f"{_ATOM}entry"):
        address = _text(entry, f"{_ATOM}id")
        if "/api/errors" in address:
            raise KbError(f"arXiv: {_text(entry, f'{_ATOM}summary') or 'an error'}; check the id")
        source = identify(address)
        if source and source.key == "arxiv" and _text(entry, f"{_ATOM}title"):
            found[source.token] = _metadata(entry, source.value)
    return found


def _metadata(entry: ET.Element, arxiv: str) -> Metadata:
    published = re.match(r"(\d{4})-\d\d-\d\d", _text(entry, f"{_ATOM}published"))
    people = [" ".join((e.text or "").split()) for e in entry.iterfind(f"{_ATOM}author/{_ATOM}name")]
    meta: Metadata = {
        "title": _text(entry, f"{_ATOM}title"),
        "authors": [person for person in people if person],
        "year": int(published[1]) if published else None,
        "venue": _text(entry, f"{_ARXIV}journal_ref"),
        "arxiv": arxiv,
        "doi": _text(entry, f"{_ARXIV}doi").split(" ")[0],
        "published": published[0] if published else None,
        "abstract": _text(entry, f"{_ATOM}summary"),
    }
    return {key: value for key, value in meta.items() if value}


def _text(entry: ET.Element, tag: str) -> str:
    """An element's text on one line."""
    return " ".join((entry.findtext(tag) or "").split())
