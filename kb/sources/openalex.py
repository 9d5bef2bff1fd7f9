"""OpenAlex: one work a request, which needs no key. KB_OPENALEX_API names another place than its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from kb.ids import Source, identify
from kb.problem import KbError
from kb.published import is_preprint_venue
from kb.sources import Answer, Metadata, fields
from kb.sources.fields import line, listed, mapping
from kb.sources.http import Client, Gone, Page, Unreachable, mailto

name = "openalex"
API = "https://api.openalex.org"
_GAP = 0.2
_KINDS = {"book": "book", "dataset": "dataset", "software": "code"}
_LONGEST = 20_000  # words of an abstract


def matches(source: Source) -> bool:
    return source.key == "openalex"


def fetch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    base = os.environ.get("KB_OPENALEX_API") or API
    query = "?" + urlencode({"mailto": mailto()}) if mailto() else ""
    for source in sources:
        try:
            yield source, client.ask(f"{base}/works/{source.value}{query}", _read, gap=_GAP)
        except Gone:
            yield source, KbError(f"OpenAlex has no such work: {source.value}; check it at {source.url}")
        except KbError as error:
            yield source, error


def _read(page: Page) -> Metadata:
    work = fields.read_json(page, "OpenAlex")
    title = line(mapping(work).get("display_name")) or line(mapping(work).get("title"))
    if page.status >= 400 or not title:
        raise Unreachable(f"OpenAlex's answer cannot be used ({page.status}); try again later")
    return _metadata(work, title)


def _metadata(work: Mapping[str, Any], title: str) -> Metadata:
    places = [mapping(place) for place in (work.get("primary_location"), *listed(work.get("locations")))]
    names = [line(mapping(place.get("source")).get("display_name")) for place in places]
    people = [line(mapping(mapping(a).get("author")).get("display_name")) for a in listed(work.get("authorships"))]
    published = fields.date(work.get("publication_date")) or fields.date(line(work.get("publication_year")))
    if published.endswith("-01-01"):  # all that OpenAlex knows is the year
        published = published[:4]
    abstract = _abstract(work.get("abstract_inverted_index"))
    pdfs = [mapping(work.get("best_oa_location")), *places]
    meta: Metadata = {
        "title": title,
        "kind": _KINDS.get(line(work.get("type")), "paper"),
        "authors": [person for person in people if person],
        "venue": next((text for text in names if text and not _is_archive(text)), ""),
        "pdf": next((url for place in pdfs if (url := fields.web_address(place.get("pdf_url")))), ""),
        "code": fields.code_link(abstract),
        "abstract": abstract,
        **fields.when(published),
    }
    return _ids(work, places) | fields.known(meta)


def _is_archive(venue: str) -> bool:
    """True for a place that keeps what was published elsewhere."""
    archives = r"pubmed|zenodo|\bHAL\b|repository|archive|europe pmc|\bDOAJ\b|figshare|research square|openreview"
    return is_preprint_venue(venue) or re.search(archives, venue, re.I) is not None


def _ids(work: Mapping[str, Any], places: Sequence[Mapping[str, Any]]) -> Metadata:
    known = mapping(work.get("ids"))
    pmc = re.sub(r"/articles/(?=\d)", "/articles/PMC", line(known.get("pmcid")))
    texts = [line(work.get("id")), line(known.get("pmid")), pmc, line(work.get("doi")), line(known.get("doi"))]
    texts += [line(place.get("landing_page_url")) for place in places]
    found: Metadata = {"also": []}
    for source in filter(None, map(identify, texts)):
        if source.key in ("arxiv", "doi", "acl", "openreview", "pmid", "openalex"):
            if found.setdefault(source.key, source.value) != source.value and source.key == "doi":
                found["also"].append(source.url)
        elif source.url.startswith("https://pmc.ncbi"):
            found["also"].append(source.url)
    return fields.known(found | {"also": list(dict.fromkeys(found["also"]))})


def _abstract(index: Any) -> str:
    """The text of {word: [its places]}."""
    words: dict[int, str] = {}
    for word, places in mapping(index).items():
        words |= {place: word for place in listed(places) if isinstance(place, int) and 0 <= place < _LONGEST}
    return line(" ".join(words[place] for place in sorted(words)))
