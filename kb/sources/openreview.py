"""OpenReview: its API of today, and for venues before 2023 the one before it. KB_OPENREVIEW_API and
KB_OPENREVIEW_API_V1 name other places than OpenReview's own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from kb.ids import Source, identify
from kb.problem import KbError
from kb.published import is_preprint_venue
from kb.sources import Answer, Metadata, fields
from kb.sources.fields import line, listed, mapping
from kb.sources.http import Client, Gone, Page, Unreachable

name = "openreview"
SITE = "https://openreview.net"
_APIS = (("KB_OPENREVIEW_API", "https://api2.openreview.net"), ("KB_OPENREVIEW_API_V1", "https://api.openreview.net"))
_GAP = 1.0
_UNPUBLISHED = re.compile(r"submi|withdraw|reject|under review|decision", re.I)
_SORT = re.compile(r"[\s,(-]*\b(poster|oral|spotlight|notable|top[- ]?\d+|regular|talk|accept)\b.*$", re.I)


def matches(source: Source) -> bool:
    return source.key == "openreview"


def fetch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    for source in sources:
        yield source, _fetch_one(source, client)


def _fetch_one(source: Source, client: Client) -> Metadata | KbError:
    silent: KbError | None = None
    for variable, api in _APIS:
        address = f"{os.environ.get(variable) or api}/notes?id={quote(source.value)}"
        try:
            return client.ask(address, lambda page: _read(page, source.value), gap=_GAP)
        except Gone:
            continue
        except KbError as error:
            silent = error
    return silent or KbError(f"OpenReview has no such paper: {source.value}; check it at {source.url}")


def _read(page: Page, id: str) -> Metadata:
    if page.status in (401, 403):
        raise Unreachable(f"OpenReview shows {id} only to people who may see it; add a title with --title")
    found = mapping(fields.read_json(page, "OpenReview")) if page.status != 400 else {"notes": []}
    if page.status > 400 or not isinstance(found.get("notes"), list):
        raise Unreachable(f"OpenReview's answer cannot be read ({page.status}); try again later")
    note = next((mapping(note) for note in found["notes"] if mapping(note).get("id") == id), None)
    if note is None:
        raise Gone(f"OpenReview has no note {id}")
    content = {key: _value(value) for key, value in mapping(note.get("content")).items()}
    if not line(content.get("title")):
        raise KbError(f"what OpenReview has as {id} is no paper; give the address of the paper's own page")
    return _metadata(note, content) | {"openreview": id}


def _value(value: Any) -> Any:
    """API 2 wraps every value, API 1 does not."""
    return value.get("value") if isinstance(value, Mapping) else value


def _metadata(note: Mapping[str, Any], content: Mapping[str, Any]) -> Metadata:
    told, abstract = line(content.get("venue"))[:500], line(content.get("abstract"))
    venue = "" if _UNPUBLISHED.search(told) or is_preprint_venue(told) else told
    venue = re.sub(r"^(accepted|published)\s+(by|at|in|to)\s+", "", _SORT.sub("", venue), flags=re.I)
    published = _day(note.get("pdate")) or _day(note.get("odate")) or _day(note.get("cdate"))
    year = re.search(r"\b(20\d\d)\b", venue)
    pdf = content.get("pdf")
    meta: Metadata = {
        "title": line(content.get("title")),
        "kind": "paper",
        "authors": [name for author in listed(content.get("authors")) if (name := line(author))],
        "venue": venue,
        "pdf": SITE + pdf if isinstance(pdf, str) and re.fullmatch(r"/\S+", pdf) else fields.web_address(pdf),
        "code": fields.code_link(*(line(content.get(key)) for key in ("code", "software", "code_URL")), abstract),
        "abstract": abstract,
        **fields.when(published),
        **({"year": int(year[1])} if year else {}),
        # where it was accepted and how (a poster, a talk), or that it was not
        "bibtex": {"entry": "inproceedings" if venue else "misc", "note": told} if told and told != venue else None,
    }
    return _ids(content) | fields.known(meta)


def _ids(content: Mapping[str, Any]) -> Metadata:
    """The paper's other ids, where its record was taken over from another place."""
    found: Metadata = {}
    for key in ("html", "pdf", "arxiv", "doi"):
        source = identify(line(content.get(key)))
        if source and source.key in ("arxiv", "doi", "acl"):
            found.setdefault(source.key, source.value)
    return found


def _day(milliseconds: Any) -> str:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).date().isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        return ""
