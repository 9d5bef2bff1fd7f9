"""JSON of bibliographies: CSL-JSON (Zotero, Mendeley, Pandoc), Zotero's own items and Paperpile's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from kb.formats.extra import split_extra
from kb.formats.paperpile import fields_of
from kb.formats.records import (
    Record,
    added_day,
    front_matter,
    line_of,
    links_of,
    name_of,
    person,
    status_of,
    tag_of,
    tags_and_status,
    text_of,
    unread,
)
from kb.formats.rich_text import to_markdown
from kb.formats.zotero_json import NO_WORKS, Family, is_child, item_of, read_item, title_of
from kb.note import KINDS
from kb.problem import Problem

_LISTS = ("items", "references", "data", "records", "publications")  # where programs put the list inside an object
_TYPES = {
    "article-journal": "article", "article-magazine": "article", "article-newspaper": "article", "article": "misc",
    "review": "article", "paper-conference": "inproceedings", "chapter": "incollection",
    "entry-encyclopedia": "incollection", "book": "book", "classic": "book", "collection": "book",
    "thesis": "phdthesis", "report": "techreport", "standard": "techreport", "webpage": "online", "post": "online",
    "post-weblog": "online", "software": "software", "dataset": "dataset", "motion_picture": "video",
    "broadcast": "video", "speech": "video", "manuscript": "unpublished", "document": "misc",
}  # fmt: skip
_KINDS = {"post-weblog": "post", "post": "thread"}
_EXTRA = {
    "volume": "volume", "issue": "number", "page": "pages", "publisher": "publisher", "publisher-place": "address",
    "collection-title": "series", "edition": "edition", "ISSN": "issn", "chapter-number": "chapter",
    "language": "language", "title-short": "shorttitle", "version": "version", "genre": "type",
    "event-title": "eventtitle",
    "event": "eventtitle", "source": "", "medium": "howpublished",
}  # fmt: skip
_OWN = ("started", "finished", "rating", "at", "cite", "private", "venue", "openreview", "acl", "arxiv")


def read(data: bytes, name: str) -> tuple[list[Record], list[Problem]]:
    """The items of a .json file."""
    text, problems = text_of(data, name, "json")
    records = []
    problem: Problem | None
    try:
        found = list(_items(text))
        family = Family.of(json.loads(text) if '"collections"' in text else {}, [item for item, _, _ in found])
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        told = getattr(error, "msg", "") or "it is nested too deeply"
        record, problem = unread(
            name, line, "json", f"this is no JSON: {told}", "look for a comma, quote or bracket", text.count("\n") + 1
        )
        record.line = 1
        return [record], sorted([*problems, *([problem] if problem else [])])
    if found and not any(isinstance(item, dict) for item, _, _ in found):
        what, hint = "the file is a list, but not one of works", "export it as CSL-JSON"
        record, problem = unread(name, 1, "json", what, hint, text.count("\n") + 1)
        return [record], sorted([*problems, problem])
    for item, line, end in found:
        if is_child(item, family):
            continue
        record, problem = _read_item(item, line, end, name, family)
        records.append(record)
        problems += [problem] if problem else []
    return records, sorted(problems)


def _read_item(item: Any, line: int, end: int, name: str, family: Family) -> tuple[Record, Problem | None]:
    if not isinstance(item, dict):
        return unread(name, line, "json", "an item is no object", 'write {"title": …}', end)
    if own := item_of(item):
        return _read_zotero(own, line, end, name, family)
    if not line_of(item.get("title", "")):
        what = line_of(item.get("id") or item.get("_id") or "") or "without id"
        return unread(name, line, "json", f"item {what} has no title", "add a title", end)
    paperpile = "pubtype" in item or "foldersNamed" in item or ("_id" in item and "type" not in item)
    return (fields_of(item, line, end) if paperpile else _record(item, line, end)), None


def _read_zotero(
    item: Mapping[str, Any], line: int, end: int, name: str, family: Family
) -> tuple[Record, Problem | None]:
    kind = item["itemType"]
    if kind in NO_WORKS:
        return unread(name, line, "json", f"this {kind} belongs to no work of the file", "put it under a work", end)
    if not title_of(item):
        what = line_of(item.get("citationKey") or item.get("key") or item.get("itemID") or "") or "without key"
        return unread(name, line, "json", f"item {what} ({line_of(kind)}) has no title", "give it one in Zotero", end)
    return read_item(item, line, end, family), None


def _items(text: str) -> Iterator[tuple[Any, int, int]]:
    """The items with the lines they stand on. They are the elements of a list, or the objects of a file that has one
    a line."""
    decoder = json.JSONDecoder()
    at = _space(text, 0)
    if text[at : at + 1] == "{":
        whole, end = decoder.raw_decode(text, at)
        inner = next((key for key in _LISTS if isinstance(whole.get(key), list)), "")
        place = _place_of(text, at, inner, decoder) if inner else -1
        if place < 0:
            yield whole, *_lines(text, at, end)
            while (at := _space(text, end)) < len(text):
                item, end = decoder.raw_decode(text, at)
                yield item, *_lines(text, at, end)
            return
        at = place
    if text[at : at + 1] != "[":
        raise json.JSONDecodeError("no list of items", text, at)
    at = _space(text, at + 1)
    line, counted = 1, 0
    while text[at : at + 1] != "]":
        item, end = decoder.raw_decode(text, at)
        line += text.count("\n", counted, at)
        last = line + text.count("\n", at, end)
        yield item, line, last
        line, counted, at = last, end, _space(text, end)
        if text[at : at + 1] == ",":
            at = _space(text, at + 1)
        elif text[at : at + 1] != "]":
            raise json.JSONDecodeError("a comma is missing", text, at)


def _place_of(text: str, at: int, name: str, decoder: json.JSONDecoder) -> int:
    """Where the last value under a name begins in an object that was read already; -1 where it is not there."""
    found = -1
    at = _space(text, at + 1)
    while text[at : at + 1] == '"':
        key, at = decoder.raw_decode(text, at)
        at = _space(text, _space(text, at) + 1)  # behind the colon
        found = at if key == name else found
        at = _space(text, decoder.raw_decode(text, at)[1])
        if text[at : at + 1] != ",":
            break
        at = _space(text, at + 1)
    return found


def _space(text: str, at: int) -> int:
    m = re.compile(r"[ \t\n\r]*").match(text, at)
    return m.end() if m else at


def _lines(text: str, at: int, end: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, text.count("\n", 0, end) + 1


def _record(item: Mapping[str, Any], line: int, end: int) -> Record:
    kind = line_of(item.get("type", "")).lower()
    entry = _TYPES.get(kind, "misc")
    custom = item.get("custom")
    custom = custom if isinstance(custom, dict) else {}
    said, note = split_extra(str(item.get("note") or ""))
    number = line_of(item.get("number", ""))
    references = {"doi": line_of(item.get("DOI", "")), "number": number if re.match(r"(?i)arxiv:", number) else ""}
    references |= {f"id {n}": ref for n, ref in enumerate(said.pop("ids", []))}
    references |= {"pmid": f"pmid:{line_of(item.get('PMID', ''))}", "arxiv": line_of(custom.get("arxiv", ""))}
    references |= {"isbn": f"isbn:{line_of(item.get('ISBN', ''))}"} if entry == "book" else {}
    ids, more, used = links_of(references | {"url": line_of(item.get("URL", ""))})
    words = item.get("keyword") or item.get("keywords") or []
    tags, tagged = tags_and_status(re.split(r"[,;]", words) if isinstance(words, str) else map(line_of, _list(words)))
    tags += [t for t in map(tag_of, map(line_of, [*_list(custom.get("tags")), *_list(item.get("categories"))])) if t]
    text = {bib: line_of(item.get(csl, "")) for csl, bib in _EXTRA.items() if bib and line_of(item.get(csl, ""))}
    text |= {"title": line_of(item.get("title", "")), "date": _date(item.get("issued")), "abstract": _plain(item)}
    text |= {"number": number} if number and "number" not in used else {}
    text |= {"isbn": line_of(item["ISBN"])} if item.get("ISBN") and "isbn" not in used else {}
    editors = " and ".join(_shown(n) for n in _list(item.get("editor")) if isinstance(n, dict))
    text |= {"editor": editors} if editors else {}
    venue = line_of(item.get("container-title", ""))
    own = {key: custom[key] for key in _OWN if key in custom and key not in ids} | said
    own["status"] = status_of(line_of(custom.get("status", ""))) or said.get("status", "") or tagged
    own["added"] = added_day(custom.get("added", "")) or said.get("added", "")
    key = line_of(item.get("citation-key") or "") or line_of(item.get("id", ""))
    numbered = key.isdecimal() and not item.get("citation-key")  # where a program stores it, not what people cite
    own["cite"] = own.get("cite") or (key if re.fullmatch(r"[^\s,{}/#%]+", key) and not numbered else "")
    kind = line_of(custom.get("kind", "")) if custom.get("kind") in KINDS else _KINDS.get(kind, "")
    meta = front_matter(
        entry, text, _names(item.get("author")), ids, venue if not re.match(r"(?i)arxiv", venue) else "",
        also=more, tags=list(dict.fromkeys(tags)), kind=kind, **own,
    )  # fmt: skip
    notes = [to_markdown(note), *(to_markdown(str(n)) for n in _list(item.get("notes")) if isinstance(n, str))]
    return Record(line, meta, end, line_of(item.get("id", "")), "\n\n".join(n for n in notes if n))


def _plain(item: Mapping[str, Any]) -> str:
    return re.sub(r"</?[a-z][^<>]*>", "", str(item.get("abstract") or ""))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _names(value: Any) -> Iterator[Any]:
    for name in _list(value):
        if isinstance(name, str):
            yield name_of(name)
        elif isinstance(name, dict):
            family = f"{line_of(name.get('non-dropping-particle', ''))} {line_of(name.get('family', ''))}".strip()
            given = f"{line_of(name.get('given', ''))} {line_of(name.get('dropping-particle', ''))}".strip()
            literal = line_of(name.get("literal") or name.get("name") or "")
            if family or given or literal:
                yield person(family, given, line_of(name.get("suffix", "")), literal)


def _shown(name: Mapping[str, Any]) -> str:
    parts = [line_of(name.get(key, "")) for key in ("given", "family")]
    return line_of(name.get("literal", "")) or " ".join(part for part in parts if part)


def _date(issued: Any) -> str:
    """CSL's dates: {"date-parts": [[2020, 6, 19]]}, {"raw": "2020-06-19"}, {"literal": …} or plain text."""
    if not isinstance(issued, dict):
        return line_of(issued or "")
    parts = _list(issued.get("date-parts"))
    first = [line_of(part) for part in _list(parts[0] if parts else None)]
    if first and all(re.fullmatch(r"\d{1,4}", part) for part in first):
        return "-".join(part.zfill(2) for part in first[:3])
    return line_of(issued.get("raw") or issued.get("literal") or issued.get("year") or "")
