"""What one front matter says against itself: ids of two works, and years that its ids rule out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kb.id_rules import ACL_ID
from kb.ids import Source, identify, source_url
from kb.problem import Level
from kb.published import is_preprint_doi, is_published, preprint_year

Told = tuple[str, str, str, str, Level]  # key, check, message, hint, level

_IDS = ("arxiv", "doi", "acl", "openreview")
_PRINTED = ("acl", "isbn", "pmid", "openreview", "published")  # what tells of a year besides that of the preprint
_EARLY, _LATE = 3, 1  # years by which a note may date a paper of the ACL before its volume, or after it
_MEND = "mend the one that is wrong"
_VOLUME_YEAR = re.compile(r"(\d{4})\.|[A-Z](\d\d)-")
_VOLUME = re.compile(rf"10\.18653/v1/({ACL_ID})", re.I)


def contradictions(meta: Mapping[str, Any]) -> Iterator[Told]:
    """The contradictions in a front matter that has its types."""
    if meta.get("year"):
        yield from _years(meta, int(meta["year"]))
    for key in ("url", "pdf", "doi"):
        if meta.get(key):
            yield from _other_work(meta, key, str(meta[key]))


def _years(meta: Mapping[str, Any], year: int) -> Iterator[Told]:
    """A year long before the work was published, before its arXiv id where nothing else can give it, and one that
    cannot be that of the ACL's volume, nor of a preprint before it."""
    published = str(meta.get("published") or "")
    if published and int(published[:4]) > year + 1:
        yield "year", "dates", f"year is {year}, and published {published}", _MEND, "warning"
    began = preprint_year(meta) or 0
    if year < began and not _is_printed(meta):
        message = f"year is {year}, and arxiv {meta['arxiv']} is of {began}"
        yield "year", "ids", message, "mend the one that is wrong, or name the venue of that year", "warning"
    m = _VOLUME_YEAR.match(str(meta["acl"])) if meta.get("acl") else None
    if m is None:
        return
    volume = int(m[1]) if m[1] else int(m[2]) + (1900 if int(m[2]) >= 60 else 2000)
    if not volume - _EARLY <= year <= volume + _LATE:
        yield "year", "ids", f"year is {year}, and acl {meta['acl']} is of {volume}", _MEND, "warning"


def _is_printed(meta: Mapping[str, Any]) -> bool:
    doi = str(meta.get("doi") or "")
    return is_published(meta) or bool(doi and not is_preprint_doi(doi)) or any(meta.get(key) for key in _PRINTED)


def _other_work(meta: Mapping[str, Any], key: str, value: str) -> Iterator[Told]:
    """A link or DOI that is another paper's than the ids name, and an id under another key than its own."""
    acl = str(meta.get("acl") or "")
    if key == "doi":
        if (m := _VOLUME.fullmatch(value)) and acl and m[1].lower() != acl.lower():
            yield "doi", "ids", f"doi is that of {m[1]}, and acl says {acl}", _MEND, "warning"
        if value[:9] != "10.48550/":  # a DOI that is no other id
            return
    source = identify(value)
    if source is None or source.key not in _IDS or source.key == key:
        return
    own = str(meta.get(source.key) or "")
    if not own:
        hint = f'write {source.key}: "{source.value}"'
        yield key, "ids", f"{key} holds what belongs under {source.key}", hint, "info"
    elif _token(source.key, own) != source.token:
        message = f"{key} leads to {source_url(source.key, source.value)}, and {source.key} says {own}"
        yield key, "ids", message, _MEND, "warning"


def _token(key: str, value: str) -> str:
    found = identify(value) if "://" in value else None
    return (found or Source(key, value)).token
