"""Paperpile's JSON export: its own names of fields, labels and folders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kb.formats.records import (
    Record,
    added_day,
    front_matter,
    line_of,
    links_of,
    person,
    status_of,
    tag_of,
    tags_and_status,
)
from kb.formats.rich_text import to_markdown

_TYPES = {
    "PP_ARTICLE": "article", "ARTICLE": "article", "PREPRINT": "misc", "CONFERENCE": "inproceedings",
    "PAPER": "inproceedings",
    "CHAPTER": "incollection", "BOOK": "book", "THESIS": "phdthesis", "REPORT": "techreport", "NEWS": "article",
    "WEBSITE": "online", "BLOG": "online", "VIDEO": "video", "SOFTWARE": "software", "DATASET": "dataset",
    "MISC": "misc",
}  # fmt: skip
_EXTRA = ("volume", "pages", "publisher", "address", "edition", "series", "issn", "language", "school", "institution")


def fields_of(item: Mapping[str, Any], line: int, end: int) -> Record:
    """One item as a record."""
    kind = line_of(item.get("pubtype") or item.get("type") or "").upper().removeprefix("PP_")
    entry = _TYPES.get(kind, "misc")
    urls = [line_of(url) for url in (item["url"] if isinstance(item.get("url"), list) else [item.get("url") or ""])]
    references = {"doi": line_of(item.get("doi", "")), "arxiv": line_of(item.get("arxivid", ""))}
    references |= {"pmid": f"pmid:{line_of(item.get('pmid', ''))}"} | {f"url {n}": url for n, url in enumerate(urls)}
    references |= {"isbn": f"isbn:{line_of(item.get('isbn', ''))}"} if entry == "book" else {}
    ids, more, used = links_of(references)
    tags, tagged = tags_and_status([*_words(item, "labelsNamed", "keywords", "labels")])
    tags += [tag for word in _words(item, "foldersNamed") if (tag := tag_of(word))]
    text = {name: line_of(item.get(name, "")) for name in _EXTRA}
    text |= {"title": line_of(item.get("title", "")), "abstract": line_of(item.get("abstract", ""))}
    text |= {"date": _date(item.get("published")), "number": line_of(item.get("issue", ""))}
    text |= {"isbn": line_of(item["isbn"])} if item.get("isbn") and "isbn" not in used else {}
    venue = line_of(
        item.get("journal") or item.get("booktitle") or item.get("journalfull") or item.get("blogtitle") or ""
    )
    if item.get("star") in (1, True):
        tags.append("starred")
    own: dict[str, Any] = {"status": status_of(line_of(item.get("readstatus", ""))) or tagged}
    meta = front_matter(
        entry, text, _names(item.get("author")), ids, "" if re.match(r"(?i)arxiv", venue) else venue,
        also=more, tags=list(dict.fromkeys(tags)), added=added_day(item.get("created", "")),
        cite=re.sub(r"[\s,{}]", "", line_of(item.get("citekey", ""))), **own,
    )  # fmt: skip
    if id := line_of(item.get("_id", "")):
        meta["paperpile"] = f"https://app.paperpile.com/view/?id={id}"
    notes = item.get("notes") or item.get("note") or ""
    told = (
        [n.get("text") or n.get("note") if isinstance(n, dict) else n for n in notes]
        if isinstance(notes, list)
        else [notes]
    )
    body = "\n\n".join(to_markdown(str(n)) for n in told if n)
    return Record(line, meta, end, line_of(item.get("_id", "")), body)


def _words(item: Mapping[str, Any], *names: str) -> Iterator[str]:
    for name in names:
        value = item.get(name)
        if name == "labels" and item.get("labelsNamed"):
            continue  # their ids
        words = value if isinstance(value, list) else re.split(r"[,;]", value) if isinstance(value, str) else []
        yield from (line_of(word) for word in words)


def _names(value: Any) -> Iterator[Any]:
    for name in value if isinstance(value, list) else []:
        if isinstance(name, dict):
            family, given = line_of(name.get("last", "")), line_of(name.get("first") or name.get("initials") or "")
            literal = line_of(name.get("collective", "")) or (
                "" if family or given else line_of(name.get("formatted", ""))
            )
            if family or given or literal:
                yield person(family, given, line_of(name.get("suffix", "")), literal)


def _date(value: Any) -> str:
    if not isinstance(value, dict):
        return line_of(value or "")
    parts = [line_of(value.get(key, "")) for key in ("year", "month", "day")]
    found = []
    for part in parts:
        if not part.isdecimal():
            break
        found.append(part.zfill(2))
    return "-".join(found)
