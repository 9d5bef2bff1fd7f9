"""CSL-JSON: works -> items, as Zotero, Pandoc and every CSL processor read them.

CSL's `status` is that of the publication, so what a reader knows of a work stands under `custom`: kind, status, dates,
rating and tags, and the ids that CSL has no variable for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from kb.exporting.works import Person, Work

_TYPES = {
    "article": "article-journal", "inproceedings": "paper-conference", "conference": "paper-conference",
    "proceedings": "book", "incollection": "chapter", "inbook": "chapter", "book": "book", "phdthesis": "thesis",
    "mastersthesis": "thesis", "thesis": "thesis", "techreport": "report", "report": "report", "software": "software",
    "dataset": "dataset", "video": "motion_picture", "online": "webpage", "unpublished": "manuscript",
}  # fmt: skip
_EXTRA = {  # the field of `bibtex:` -> CSL's variable
    "volume": "volume", "number": "issue", "pages": "page", "publisher": "publisher", "address": "publisher-place",
    "location": "publisher-place", "school": "publisher", "institution": "publisher", "organization": "publisher",
    "series": "collection-title", "edition": "edition", "isbn": "ISBN", "issn": "ISSN", "pmid": "PMID",
    "chapter": "chapter-number", "note": "note", "language": "language", "shorttitle": "title-short",
    "version": "version",
}  # fmt: skip
_READER = (
    "status", "kind", "at", "added", "started", "finished", "rating", "tags", "private", "arxiv", "acl", "openreview",
    "s2", "openalex", "code", "video",
)  # fmt: skip


def items_json(works: Iterable[Work]) -> str:
    """Works as a .json file, in their order."""
    return json.dumps([item(work) for work in works], ensure_ascii=False, indent=2) + "\n"


def item(work: Work) -> dict[str, Any]:
    """One work. Variables without a value are absent."""
    extra = {csl: work.extra[field] for field, csl in reversed(_EXTRA.items()) if field in work.extra}
    found: dict[str, Any] = {
        "id": work.key,
        "citation-key": work.key,
        "type": _type(work),
        "title": " ".join(work.note.title.split()),
        "author": [_name(person) for person in work.people if person.literal != "others"],
        "issued": {"date-parts": [work.date]} if work.date else None,
        "container-title": work.container or work.get("venue"),
        **{name: extra[name] for name in sorted(extra)},
        "number": f"arXiv:{work.get('arxiv')}" if work.get("arxiv") and _type(work) == "article" else None,
        "DOI": work.doi,
        "URL": work.url or next(iter(work.links), ""),
        "abstract": work.get("abstract"),
        "keyword": ", ".join(work.note.tags),
        "custom": _custom(work),
    }
    return {name: value for name, value in found.items() if value}


def _type(work: Work) -> str:
    if work.note.kind in ("post", "thread"):
        return "post-weblog" if work.note.kind == "post" else "post"
    if work.type == "misc" and work.note.kind in ("paper", ""):
        return "article"  # CSL's word for a preprint
    if work.type == "online" and work.note.kind in ("talk", "lecture"):
        return "speech"
    return _TYPES.get(work.type, "document" if work.note.kind != "course" else "webpage")


def _name(person: Person) -> dict[str, str]:
    parts = {"family": person.family, "given": person.given, "suffix": person.suffix, "literal": person.literal}
    return {key: value for key, value in parts.items() if value}


def _custom(work: Work) -> dict[str, Any]:
    known = {key: work.note.meta.get(key) for key in _READER} | {"status": work.note.status}
    return {key: value for key, value in known.items() if value not in ("", None, [])}
