"""Semantic Scholar's Graph API: many papers in one request. KB_S2_API names another place than its own; a key in
S2_API_KEY spares a person the queue of those without one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from kb.ids import Source, identify, source_url
from kb.problem import KbError
from kb.published import is_preprint_venue
from kb.sources import Answer, Metadata, fields
from kb.sources.fields import line, listed, mapping
from kb.sources.http import JSON, Client, Gone, Page, Unreachable

name = "s2"
API = "https://api.semanticscholar.org/graph/v1"
_FIELDS = "title,abstract,venue,publicationVenue,journal,year,publicationDate,publicationTypes,externalIds,authors"
_FIELDS += ",openAccessPdf"
_GAP = 1.1
_BATCH = 100
_KINDS = {"Book": "book", "Dataset": "dataset"}


def matches(source: Source) -> bool:
    return source.key == "s2"


def fetch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    fresh = []
    for source in sources:
        if kept := client.recall(_address(source), _read):
            yield source, kept
        else:
            fresh.append(source)
    for start in range(0, len(fresh), _BATCH):
        batch = fresh[start : start + _BATCH]
        yield from _fetch_batch(batch, client) if len(batch) > 1 else _fetch_one(batch[0], client)


def _fetch_one(source: Source, client: Client) -> Iterator[Answer]:
    try:
        yield source, client.ask(_address(source), _read, gap=_GAP, headers=_key())
    except Gone:
        yield source, _missing(source)
    except KbError as error:
        yield source, error


def _fetch_batch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    try:
        ids = [_id(source) for source in sources]
        page = client.post(f"{_base()}/paper/batch?fields={_FIELDS}", {"ids": ids}, gap=_GAP, headers=_key())
        found = fields.read_json(page, "Semantic Scholar")
        if page.status == 400:  # none of them is known
            found = [None] * len(sources)
        if not isinstance(found, list) or len(found) != len(sources):
            raise Unreachable("Semantic Scholar's answer is not about what it was asked; try again later")
    except KbError as error:
        yield from ((source, error) for source in sources)
        return
    for source, paper in zip(sources, found, strict=True):
        if paper is None:
            yield source, _missing(source)
            continue
        alone = Page(_address(source), 200, JSON, json.dumps(paper).encode())
        try:
            answer = _read(alone)
        except KbError as error:
            yield source, error
            continue
        client.remember(_address(source), alone)
        yield source, answer


def _base() -> str:
    return os.environ.get("KB_S2_API") or API


def _id(source: Source) -> str:
    return source.value.replace("CorpusID:", "CorpusId:")


def _address(source: Source) -> str:
    return f"{_base()}/paper/{quote(_id(source), safe=':')}?fields={_FIELDS}"


def _key() -> dict[str, str]:
    key = os.environ.get("S2_API_KEY", "").strip()
    return {"x-api-key": key} if key else {}


def _missing(source: Source) -> KbError:
    return KbError(f"Semantic Scholar has no such paper: {source.value}; check it at {source.url}")


def _read(page: Page) -> Metadata:
    paper = fields.read_json(page, "Semantic Scholar")
    if page.status >= 400 or not isinstance(paper, Mapping) or not line(paper.get("title")):
        raise Unreachable(f"Semantic Scholar's answer cannot be used ({page.status}); try again later")
    return _metadata(paper)


def _metadata(paper: Mapping[str, Any]) -> Metadata:
    names = (paper.get("venue"), *(mapping(paper.get(key)).get("name") for key in ("publicationVenue", "journal")))
    venue = next((text for text in map(line, names) if text and not is_preprint_venue(text)), "")
    year, abstract = fields.date(line(paper.get("year"))), line(paper.get("abstract"))
    types = [kind for kind in listed(paper.get("publicationTypes")) if isinstance(kind, str)]
    meta: Metadata = {
        "title": line(paper.get("title")),
        "kind": next((_KINDS[kind] for kind in types if kind in _KINDS), "paper"),
        "authors": [text for author in listed(paper.get("authors")) if (text := line(mapping(author).get("name")))],
        "venue": venue,
        "pdf": fields.web_address(mapping(paper.get("openAccessPdf")).get("url")),
        "code": fields.code_link(abstract),
        "abstract": abstract,
        **fields.when(fields.date(paper.get("publicationDate")) or year),
    }
    return _ids(paper) | fields.known(meta)


def _ids(paper: Mapping[str, Any]) -> Metadata:
    known = mapping(paper.get("externalIds"))
    found: Metadata = {}
    for kind, form in (("ArXiv", "arxiv:{}"), ("DOI", "doi:{}"), ("ACL", "acl:{}"), ("PubMed", "pmid:{}")):
        source = identify(form.format(line(known.get(kind)))) if line(known.get(kind)) else None
        if source:
            found.setdefault(source.key, source.value)
    if source := identify(f"s2:{line(paper.get('paperId'))}"):
        found["s2"] = source.value
    if number := line(known.get("PubMedCentral")).upper().removeprefix("PMC"):
        found["also"] = [source_url("pmc", f"PMC{number}")] if number.isdigit() else []
    return fields.known(found)
