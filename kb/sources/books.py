"""Books by their ISBN: Open Library, many in one request. KB_OPENLIBRARY names another place than openlibrary.org."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from kb.ids import Source
from kb.problem import KbError
from kb.sources import Answer, Metadata, fields
from kb.sources.fields import line, listed, mapping
from kb.sources.http import Client, Page, Unreachable, polite

name = "isbn"
SITE = "https://openlibrary.org"
_GAP = 1.0


def matches(source: Source) -> bool:
    return source.key == "isbn"


def fetch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    base = os.environ.get("KB_OPENLIBRARY") or SITE
    for source in sources:
        key = f"ISBN:{source.value}"
        address = f"{base}/api/books?bibkeys={key}&format=json&jscmd=data"
        try:
            yield source, client.ask(address, partial(_read, key), gap=_GAP, headers=polite())
        except KbError as error:
            yield source, error


def _read(key: str, page: Page) -> Metadata:
    found = fields.read_json(page, "Open Library")
    if page.status >= 400 or not isinstance(found, Mapping):
        raise Unreachable(f"Open Library's answer cannot be used ({page.status}); try again later")
    if not found:
        raise KbError(f"Open Library has no book of the {key.replace(':', ' ')}; name the book by another reference")
    if not line(mapping(found.get(key)).get("title")):
        raise Unreachable("Open Library's answer names no title; try again later")
    return _metadata(mapping(found[key])) | {"isbn": key.partition(":")[2]}


def _metadata(book: Mapping[str, Any]) -> Metadata:
    title, subtitle = line(book.get("title")), line(book.get("subtitle"))
    year = re.search(r"(?<!\d)[12]\d{3}(?!\d)", line(book.get("publish_date")))
    publishers = [line(mapping(p).get("name")) for p in listed(book.get("publishers"))]
    publisher = next((p for p in publishers if p), "")
    return fields.known(
        {
            "title": f"{title}: {subtitle}" if subtitle else title,
            "kind": "book",
            "authors": [who for person in listed(book.get("authors")) if (who := line(mapping(person).get("name")))],
            "year": int(year[0]) if year else None,
            "bibtex": {"entry": "book", "publisher": publisher} if publisher else None,
        }
    )
