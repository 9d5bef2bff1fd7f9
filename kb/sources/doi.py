"""DOIs: doi.org answers in CSL-JSON for Crossref, DataCite and the other registrars alike."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from kb.ids import Source
from kb.problem import KbError
from kb.sources import Answer, Metadata
from kb.sources.http import Client, Unreachable

name = "doi"
RESOLVER = "https://doi.org"
_KINDS = {"book": "book", "monograph": "book", "dataset": "dataset", "software": "code"}


def matches(source: Source) -> bool:
    return source.key == "doi"


def fetch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    for source in sources:
        try:
            yield source, _fetch_one(source, client)
        except Unreachable as error:
            yield source, error
        except KbError:
            yield source, KbError(f"there is no such DOI: {source.value}; check it at {source.url}")


def _fetch_one(source: Source, client: Client) -> Metadata:
    base = os.environ.get("KB_DOI_RESOLVER") or RESOLVER
    page = client.get(f"{base}/{quote(source.value, safe='/:;()')}", "application/vnd.citationstyles.csl+json")
    try:
        item = json.loads(page.body)
    except (ValueError, RecursionError):
        item = None
    if page.status >= 400 or not isinstance(item, dict) or not item.get("title"):
        raise Unreachable(f"doi.org knows {source.value} and gives no metadata of it; add a title with --title")
    return from_csl(item) | {"doi": source.value}


def from_csl(item: Mapping[str, Any]) -> Metadata:
    """An item of CSL-JSON as front matter."""
    published = _date(item.get("issued"))
    meta: Metadata = {
        "title": _line(item.get("title")),
        "kind": _KINDS.get(str(item.get("type")), "paper"),
        "authors": [name for person in item.get("author") or [] if (name := _author(person))],
        "year": int(published[:4]) if published else None,
        "venue": _line(item.get("container-title") or item.get("event-title")),
        "published": published if len(published) > 4 else None,
    }
    return {key: value for key, value in meta.items() if value}


def _line(value: Any) -> str:
    """Crossref gives some texts as lists of one, and titles with marks of HTML in them."""
    import html
    import re

    text = value[0] if isinstance(value, list) and value else value or ""
    return " ".join(re.sub(r"</?(i|b|sub|sup|scp|em|strong|jats:\w+)\b[^<>]*>", "", html.unescape(str(text))).split())


def _author(person: Any) -> Any:
    """'Given Family', or a mapping where the parts cannot be told from that."""
    if not isinstance(person, Mapping):
        return ""
    if literal := _line(person.get("literal") or person.get("name")):
        return {"literal": literal} if " " in literal else literal
    particle = _line(person.get("non-dropping-particle") or person.get("dropping-particle"))
    family = f"{particle} {_line(person.get('family'))}".strip()
    given, suffix = _line(person.get("given")), _line(person.get("suffix"))
    if given and (suffix or " " in family):
        return {"family": family, "given": given} | ({"suffix": suffix} if suffix else {})
    return f"{given} {family}".strip()


def _date(value: Any) -> str:
    """'2020-06-19', '2020-06' or '2020', as much as there is."""
    try:
        parts = [int(part) for part in value["date-parts"][0]]
    except (TypeError, KeyError, IndexError, ValueError):
        return ""
    return "-".join(f"{part:02}" for part in parts[:3]) if parts and 1000 <= parts[0] <= 2999 else ""
