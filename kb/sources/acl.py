"""The ACL Anthology: the BibTeX entry of a paper, which holds its abstract too. KB_ACL_ANTHOLOGY names another place
than aclanthology.org."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import partial

from kb.ids import Source
from kb.problem import KbError
from kb.sources import Answer, Metadata, fields
from kb.sources.http import Client, Gone, Page, Unreachable

name = "acl"
SITE = "https://aclanthology.org"
_ACCEPT = "application/x-bibtex,text/plain;q=0.9,*/*;q=0.1"
_GAP = 1.0


def matches(source: Source) -> bool:
    return source.key == "acl"


def fetch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    base = os.environ.get("KB_ACL_ANTHOLOGY") or SITE
    for source in sources:
        try:
            address = f"{base}/{source.value}.bib"
            yield source, client.ask(address, partial(_read, source), _ACCEPT, gap=_GAP)
        except Gone:
            yield source, KbError(f"the ACL Anthology has no such id: {source.value}; check it at {source.url}")
        except KbError as error:
            yield source, error


def _read(source: Source, page: Page) -> Metadata:
    from kb.formats import bibtex

    text = fields.decoded(page.body)
    items = bibtex.read(text)[0] if page.status < 400 and re.match(r"\s*@\w+\s*\{", text) else []
    if not items:
        raise Unreachable(f"the ACL Anthology gave no entry for {source.value} ({page.status}); try again later")
    meta = items[0].meta
    more = meta.get("bibtex", {})
    told = ("title", "kind", "authors", "year", "venue", "doi", "arxiv", "abstract", "published")
    found = {key: meta[key] for key in told if key in meta}
    volume = more.get("entry") == "proceedings"
    return fields.known(
        found
        | {
            "kind": "book" if volume else "paper",
            "acl": source.value,
            "pdf": f"{SITE}/{source.value}.pdf",
            "code": fields.code_link(str(meta.get("abstract", ""))),
            "cite": meta.get("cite"),
            "bibtex": more,
        }
    )
