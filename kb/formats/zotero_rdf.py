"""Zotero RDF: items with their notes, tags and collections."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kb.formats.extra import split_extra
from kb.formats.records import (
    Record,
    added_day,
    front_matter,
    line_of,
    links_of,
    person,
    tag_of,
    tags_and_status,
    text_of,
    unread,
)
from kb.formats.rich_text import to_markdown
from kb.formats.xml_tree import END, LINE, XmlError, parse
from kb.formats.zotero import KINDS, TYPES
from kb.problem import Problem

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
Z = "{http://www.zotero.org/namespaces/export#}"
BIB = "{http://purl.org/net/biblio#}"
DC = "{http://purl.org/dc/elements/1.1/}"
DCTERMS = "{http://purl.org/dc/terms/}"
FOAF = "{http://xmlns.com/foaf/0.1/}"
PRISM = "{http://prismstandard.org/namespaces/1.2/basic/}"
_NO_WORKS = {f"{Z}Collection", f"{BIB}Memo", f"{Z}Attachment", f"{BIB}Journal", f"{BIB}Series", f"{Z}UserItem"}
_EXTRA = {
    f"{PRISM}volume": "volume", f"{PRISM}number": "number", f"{BIB}pages": "pages", f"{PRISM}edition": "edition",
    f"{Z}language": "language", f"{Z}shortTitle": "shorttitle", f"{Z}numPages": "pagetotal", f"{Z}type": "type",
}  # fmt: skip


@dataclass
class _File:
    """What the items of a file refer to."""

    elements: dict[str, ET.Element] = field(default_factory=dict)
    collections: dict[str, list[str]] = field(default_factory=dict)  # item -> the paths of its collections
    used: set[str] = field(default_factory=set)  # what stands inside an item or belongs to one


def read(data: bytes, name: str) -> tuple[list[Record], list[Problem]]:
    """The items of a .rdf file."""
    try:
        root = parse(data)
    except XmlError as error:
        lines = text_of(data, name, "rdf")[0].count("\n") + 1
        record, problem = unread(
            name, min(error.line, lines), "rdf", f"this cannot be read as XML: {error}", "export it again", lines
        )
        record.line = 1
        return [record], [problem]
    file = _gather(root)
    records, problems = [], []
    for element in root:
        if element.tag in _NO_WORKS or (_about(element) in file.used and element.tag != f"{RDF}Description"):
            continue
        line, end = int(element.get(LINE, "1")), int(element.get(END, "1"))
        if not _text(element, f"{DC}title"):
            what = _text(element, f"{Z}itemType") or element.tag.rpartition("}")[2]
            record, problem = unread(name, line, "rdf", f"an item ({what}) has no title", "give it one in Zotero", end)
            problems.append(problem)
        else:
            record = _record(element, file, line, end)
        records.append(record)
    return records, problems


def _gather(root: ET.Element) -> _File:
    file = _File({_about(e): e for e in root if _about(e)})
    parts: dict[str, list[str]] = {}
    titles: dict[str, str] = {}
    for element in root.iterfind(f"{Z}Collection"):
        id = _about(element)
        titles[id] = _text(element, f"{DC}title")
        parts[id] = [part.get(f"{RDF}resource", "") for part in element.iterfind(f"{DCTERMS}hasPart")]
    above = {child: id for id, children in parts.items() for child in children if child in titles}
    for id, children in parts.items():
        path: list[str] = []
        seen: set[str] = set()
        at = id
        while at and at not in seen:
            seen.add(at)
            path.insert(0, titles[at].replace("/", "-"))
            at = above.get(at, "")
        for child in children:
            if child not in titles:
                file.collections.setdefault(child, []).append("/".join(path))
    for element in root:
        for place in element.iterfind(f"{DCTERMS}isPartOf"):
            file.used.add(place.get(f"{RDF}resource", ""))
    file.used.discard("")
    return file


def _about(element: ET.Element) -> str:
    return element.get(f"{RDF}about", "") or element.get(f"{RDF}ID", "")


def _text(element: ET.Element, tag: str) -> str:
    return line_of(element.findtext(tag) or "")


def _record(element: ET.Element, file: _File, line: int, end: int) -> Record:
    kind = _text(element, f"{Z}itemType")
    entry = TYPES.get(kind, "misc")
    place = _place(element, file)
    said, extra = split_extra(element.findtext(f"{DC}description") or "")
    references = _references(element, place, entry) | {f"id {n}": ref for n, ref in enumerate(said.pop("ids", []))}
    ids, more, used = links_of(references)
    words = [line_of(s.text or "") or _text(s, f"{Z}AutomaticTag/{RDF}value") for s in element.iterfind(f"{DC}subject")]
    tags, tagged = tags_and_status(words)
    tags += [t for path in file.collections.get(_about(element), []) if (t := tag_of(path))]
    text = {name: found for tag, name in _EXTRA.items() if (found := _text(element, tag) or _text_in(place, tag))}
    text |= {"title": _text(element, f"{DC}title"), "abstract": _text(element, f"{DCTERMS}abstract")}
    text |= {
        "date": _text(element, f"{DC}date"),
        "publisher": _text(element, f"{DC}publisher/{FOAF}Organization/{FOAF}name"),
    }
    text |= {"editor": " and ".join(_shown(p) for p in element.iterfind(f"{BIB}editors//{FOAF}Person"))}
    if "arxiv" in ids and re.match(r"(?i)arxiv:", text.get("number", "")):
        del text["number"]
    venue = _text_in(place, f"{DC}title") or _text(element, f"{DC}isPartOf")
    meta = front_matter(
        entry, text, list(_people(element)), ids, "" if re.match(r"(?i)arxiv", venue) else venue,
        also=more, tags=list(dict.fromkeys(tags)), kind=KINDS.get(kind, ""),
        **{"status": tagged, "added": added_day(_text(element, f"{DCTERMS}dateSubmitted")), "cite": _text(element,
        f"{Z}citationKey")}
        | said,
    )  # fmt: skip
    memos = (file.elements.get(m.get(f"{RDF}resource", "")) for m in element.iterfind(f"{DCTERMS}isReferencedBy"))
    notes = [to_markdown(m.findtext(f"{RDF}value") or "") for m in memos if m is not None]
    body = "\n\n".join(note for note in (*notes, extra.strip()) if note)
    return Record(line, meta, end, _about(element) if _about(element).startswith("#") else "", body)


def _place(element: ET.Element, file: _File) -> ET.Element | None:
    """The journal or book that an item is part of: inside it, or elsewhere in the file."""
    for part in element.iterfind(f"{DCTERMS}isPartOf"):
        inner = next(iter(part), None)
        inner = inner if inner is not None else file.elements.get(part.get(f"{RDF}resource", ""))
        if inner is not None and inner.tag != f"{BIB}Series":
            return inner
    return None


def _text_in(place: ET.Element | None, tag: str) -> str:
    return _text(place, tag) if place is not None else ""


def _references(element: ET.Element, place: ET.Element | None, entry: str) -> dict[str, str]:
    """The ids of an item: `DOI 10.…`, `ISBN …` and URLs, its own and those of the place that are its own too."""
    found: dict[str, str] = {}
    identifiers = list(element.iterfind(f"{DC}identifier"))
    if place is not None and entry == "article":
        identifiers += list(place.iterfind(f"{DC}identifier"))
    for n, identifier in enumerate(identifiers):
        value = line_of(identifier.text or "") or _text(identifier, f"{DCTERMS}URI/{RDF}value")
        if re.match(r"(?i)doi", value):
            found["doi"] = re.sub(r"(?i)^doi:?\s*", "", value)
        elif re.match(r"https?://", value):
            found[f"url {n}"] = value
        elif re.match(r"(?i)isbn", value) and entry == "book":
            found["isbn"] = value
    about = _about(element)
    return found | ({"about": about} if re.match(r"https?://", about) else {})


def _people(element: ET.Element) -> Iterator[object]:
    for tag in (f"{BIB}authors", f"{Z}presenters", f"{Z}programmers", f"{Z}directors", f"{Z}contributors"):
        for someone in element.iterfind(f"{tag}//{FOAF}Person"):
            family = _text(someone, f"{FOAF}surname")
            given = _text(someone, f"{FOAF}givenName") or _text(someone, f"{FOAF}givenname")
            if family or given:
                yield person(family, given, "", family if " " in family and not given else "")


def _shown(someone: ET.Element) -> str:
    names: Mapping[str, str] = {key: _text(someone, f"{FOAF}{key}") for key in ("givenName", "givenname", "surname")}
    return " ".join(name for name in names.values() if name)
