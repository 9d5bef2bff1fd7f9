"""DOIs: doi.org answers in CSL-JSON for Crossref, DataCite and the other registrars alike. KB_DOI_RESOLVER names
another place than doi.org."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from kb.ids import ACL_ID, Source, identify, source_url
from kb.problem import KbError
from kb.sources import Answer, Metadata, fields
from kb.sources.fields import line, listed, mapping
from kb.sources.http import Client, Gone, Page, Unreachable, polite

name = "doi"
RESOLVER = "https://doi.org"
_ACCEPT = "application/vnd.citationstyles.csl+json"
_GAP = 0.2
_KINDS = {
    "book": "book", "monograph": "book", "edited-book": "book", "reference-book": "book", "dataset": "dataset",
    "software": "code", "motion_picture": "talk",
}  # fmt: skip


def matches(source: Source) -> bool:
    return source.key == "doi"


def fetch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    for source in sources:
        try:
            yield source, _with_published(look_up(source.value, client), source.value, client)
        except Gone:
            yield source, KbError(f"there is no such DOI: {source.value}; check it at {source.url}")
        except KbError as error:
            yield source, error


def look_up(doi: str, client: Client) -> Metadata:
    """What is registered for a DOI; `also` holds the DOIs under which the same work was published or preprinted."""

    def read(page: Page) -> Metadata:
        try:
            item = fields.read_json(page, "doi.org")
        except Unreachable:
            item = None
        if page.status >= 400 or not isinstance(item, dict) or not line(item.get("title")):
            raise Unreachable(f"doi.org knows {doi} and gives no metadata of it; add a title with --title")
        return from_csl(item) | {"doi": doi}

    base = os.environ.get("KB_DOI_RESOLVER") or RESOLVER
    return client.ask(f"{base}/{quote(doi, safe='/:;()')}", read, _ACCEPT, gap=_GAP, headers=polite())


def _with_published(meta: Metadata, doi: str, client: Client) -> Metadata:
    """Of a preprint that was published: what is registered of the published work, and the ids of both."""
    published = meta.pop("published_as", "")
    if not published or published == doi:
        return meta
    try:
        better = look_up(published, client)
    except KbError:  # the preprint itself is known, and that is what was asked for
        return meta
    better.pop("published_as", None)
    also = [url for url in (*meta.get("also", []), *better.get("also", [])) if url != source_url("doi", published)]
    return meta | better | {"also": list(dict.fromkeys([source_url("doi", doi), *also]))}


def from_csl(item: Mapping[str, Any]) -> Metadata:
    """An item of CSL-JSON as front matter."""
    kind = line(item.get("type"))
    published = _date(item.get("issued")) or _date(item.get("published-print")) or _date(item.get("published"))
    title, subtitle = line(item.get("title")), line(item.get("subtitle"))
    abstract = line(item.get("abstract"))
    posted = line(mapping(next(iter(listed(item.get("institution"))), None)).get("name"))
    event = line(item.get("event-title")) or line(mapping(item.get("event")).get("name"))
    meta: Metadata = {
        "title": f"{title}: {subtitle}" if subtitle and subtitle.casefold() not in title.casefold() else title,
        "kind": _KINDS.get(kind, "paper"),
        "authors": _people(item),
        "venue": line(item.get("container-title")) or event or posted,
        "isbn": _isbn(item) if _KINDS.get(kind) == "book" else None,
        "pdf": _pdf(item),
        "code": fields.code_link(abstract),
        "abstract": abstract,
        **fields.when(published),
    }
    return fields.known(_related(item) | meta) | _acl(line(item.get("DOI")))


def _people(item: Mapping[str, Any]) -> list[Any]:
    people = listed(item.get("author")) or listed(item.get("editor"))
    return [name for person in people if (name := _author(person))]


def _author(person: Any) -> Any:
    found = mapping(person)
    if literal := line(found.get("literal")) or line(found.get("name")):
        return {"literal": literal} if " " in literal else literal
    particle = line(found.get("non-dropping-particle")) or line(found.get("dropping-particle"))
    family = f"{particle} {line(found.get('family'))}".strip()
    return fields.person(found.get("given"), family, found.get("suffix"))


def _related(item: Mapping[str, Any]) -> Metadata:
    """The other ids of the work. `published_as` is the DOI of what came of a preprint, and no front-matter key."""
    found: Metadata = {"also": []}
    for relation, key in (("has-preprint", "also"), ("is-preprint-of", "published_as"), ("is-supplemented-by", "code")):
        for other in listed(mapping(item.get("relation")).get(relation)):
            source = identify(line(mapping(other).get("id")))
            if source is None or source.key not in ("doi", "arxiv", "code"):
                continue
            if source.key == "arxiv":
                found.setdefault("arxiv", source.value)
            elif source.key == "code" and key == "code":
                found.setdefault("code", source.value)
            elif source.key == "doi" and key == "also":
                found["also"].append(source.url)
            elif source.key == "doi" and key == "published_as":
                found.setdefault(key, source.value)
    return found


def _acl(doi: str) -> Metadata:
    """The Anthology's own DOIs tell its id."""
    m = re.fullmatch(rf"10\.(?:18653/v1|3115/v1)/({ACL_ID})", doi, re.I)
    return {"acl": m[1] if m[1][0].isdigit() else m[1].upper()} if m else {}


def _isbn(item: Mapping[str, Any]) -> str:
    for value in [*listed(item.get("ISBN")), item.get("ISBN")]:
        found = identify(f"isbn:{value.rpartition('/')[2]}") if isinstance(value, str) else None
        if found and found.key == "isbn":
            return found.value
    return ""


def _pdf(item: Mapping[str, Any]) -> str:
    """The address of the PDF; those that only a program with a contract may read are left out."""
    for link in map(mapping, listed(item.get("link"))):
        url = fields.web_address(link.get("URL"))
        if url and link.get("content-type") == "application/pdf" and not re.match(r"https?://api\.", url):
            return url
    return ""


def _date(value: Any) -> str:
    """'2020-06-19', '2020-06' or '2020', as much as there is."""
    found = mapping(value)
    try:
        parts = [int(part) for part in found["date-parts"][0][:3] if part is not None]
    except (TypeError, KeyError, IndexError, ValueError, OverflowError):
        return fields.date(found.get("raw") or found.get("literal"))
    return fields.date("-".join(f"{part:02}" for part in parts))
