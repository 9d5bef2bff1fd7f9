"""RIS: works -> records, as Zotero, EndNote and Mendeley read them. Lines end with a newline alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kb.exporting.works import Work, one_line, percent

_TYPES = {
    "article": "JOUR", "inproceedings": "CPAPER", "conference": "CPAPER", "proceedings": "CONF", "incollection": "CHAP",
    "inbook": "CHAP", "book": "BOOK", "phdthesis": "THES", "mastersthesis": "THES", "thesis": "THES",
    "techreport": "RPRT", "report": "RPRT", "software": "COMP", "dataset": "DATA", "video": "VIDEO", "online": "ELEC",
    "unpublished": "UNPB",
}  # fmt: skip
_EXTRA = {  # tag -> the field of `bibtex:` that it holds
    "VL": "volume", "IS": "number", "PB": "publisher", "CY": "address", "SN": "isbn", "ET": "edition", "T3": "series",
}  # fmt: skip
_STATUS = {  # in the words of Zotero's plugin for reading lists
    "inbox": "New", "to-read": "To Read", "reading": "In Progress", "read": "Read", "dropped": "Not Reading",
}  # fmt: skip


def records(works: Iterable[Work]) -> str:
    """Works as a .ris file, in their order."""
    return "\n".join("".join(f"{tag}  - {value}\n" for tag, value in _record(work)) for work in works)


def kind_of(work: Work) -> str:
    """The record's type. What has no venue is a preprint where arXiv has it."""
    kind = work.type
    if kind == "misc" and work.note.kind in ("paper", ""):
        return "UNPB" if work.get("arxiv") else "GEN"
    return _TYPES.get(kind, "ELEC" if work.note.kind in ("post", "thread", "course") else "GEN")


def _record(work: Work) -> Iterator[tuple[str, str]]:
    kind, date = kind_of(work), work.date
    yield "TY", kind
    yield "ID", work.key
    yield from (("AU", person.inverted) for person in work.people if person.literal != "others")
    yield "TI", one_line(work.note.title)
    yield from (("PY", str(year)) for year in date[:1])
    yield from [("DA", "/".join(f"{n:02}" for n in date) + "/" * (4 - len(date)))] * (len(date) > 1)
    if work.container:
        yield "T2", work.container
        yield from [("JO", work.container)] * (kind == "JOUR")
    for tag, field in _EXTRA.items():
        if value := work.extra.get(field):
            yield tag, value
    if "isbn" not in work.extra and (issn := work.extra.get("issn")):
        yield "SN", issn
    pages = re.split(r"\s*[-–—]+\s*", work.extra.get("pages", ""), maxsplit=1)
    yield from ((tag, page) for tag, page in zip(("SP", "EP"), pages, strict=False) if page)
    yield from [("DO", work.doi)] * bool(work.doi)
    yield from [("AN", f"arXiv:{work.get('arxiv')}")] * bool(work.get("arxiv"))
    yield from (("UR", percent(link)) for link in work.links if link != work.get("pdf"))
    yield from [("L1", percent(work.get("pdf")))] * bool(work.get("pdf"))
    yield from [("AB", work.get("abstract"))] * bool(work.get("abstract"))
    yield from (("KW", one_line(tag)) for tag in work.note.tags)
    yield from [("N1", work.extra.get("note", ""))] * bool(work.extra.get("note"))
    yield from [("N1", f"Read_Status: {_STATUS[work.note.status]}")] * bool(work.get("status"))
    yield "ER", ""
