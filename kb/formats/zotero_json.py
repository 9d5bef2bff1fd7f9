"""Zotero's items as JSON: Better BibTeX's export with its collections, and the objects of Zotero's web API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

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
)
from kb.formats.rich_text import to_markdown
from kb.formats.zotero import AUTHORS, FIELDS, KINDS, TITLES, TYPES, VENUES

NO_WORKS = ("note", "attachment", "annotation")


def item_of(found: Any) -> dict[str, Any] | None:
    """The fields of an item of Zotero; None for any other object. The web API puts them under `data`."""
    if not isinstance(found, dict):
        return None
    item = found["data"] if isinstance(found.get("data"), dict) else found
    return item if isinstance(item.get("itemType"), str) else None


def title_of(item: Mapping[str, Any]) -> str:
    """The title: of a case and a statute it has another name."""
    return next((title for name in TITLES if (title := _plain(item.get(name)))), "")


@dataclass(frozen=True)
class Family:
    """What stands outside the items: the paths of the collections that each is in and the notes under it, by the
    number or key of the item."""

    collections: Mapping[str, list[str]]
    notes: Mapping[str, list[str]]
    keys: set[str]

    @classmethod
    def of(cls, whole: Any, items: Iterable[Any]) -> Family:
        """The family of a file's items; `whole` is the file, where it is one object."""
        notes: dict[str, list[str]] = {}
        keys: set[str] = set()
        for item in filter(None, map(item_of, items)):
            if item["itemType"] == "note":
                notes.setdefault(line_of(item.get("parentItem", "")), []).append(str(item.get("note") or ""))
            elif item["itemType"] not in NO_WORKS:
                keys |= set(_names_of(item))
        return cls(_collection_paths(_mapping(_mapping(whole).get("collections"))), notes, keys)


def is_child(item: Any, family: Family) -> bool:
    """Whether this is a note or a file under a work of the same file: it is told with that."""
    own = item_of(item)
    return own is not None and own["itemType"] in NO_WORKS and line_of(own.get("parentItem", "")) in family.keys


def _names_of(item: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for key in ("itemID", "itemKey", "key") if (name := line_of(item.get(key, "")))))


def _collection_paths(collections: Mapping[str, Any]) -> dict[str, list[str]]:
    known = {key: c for key, c in collections.items() if isinstance(c, dict)}
    above = {line_of(child): key for key, c in known.items() for child in _list(c.get("collections"))}
    found: dict[str, list[str]] = {}
    for key, collection in known.items():
        path: list[str] = []
        seen: set[str] = set()
        at = key
        while at in known and at not in seen:
            seen.add(at)
            path.insert(0, line_of(known[at].get("name", "")).replace("/", "-"))
            at = above.get(at) or line_of(known[at].get("parent") or "")
        for item in map(line_of, _list(collection.get("items"))):
            found.setdefault(item, []).append("/".join(path))
    return found


def read_item(item: Mapping[str, Any], line: int, end: int, family: Family) -> Record:
    """One item that has a title as a record."""
    kind = item["itemType"]
    entry = TYPES.get(kind, "misc")
    extra = item.get("extra") or ""
    lines = "\n".join(map(line_of, extra)) if isinstance(extra, list) else str(extra)
    said, rest = split_extra(lines)
    ids, more, used = _ids(item, entry, said.pop("ids", []))
    words = [line_of(t.get("tag", "") if isinstance(t, dict) else t) for t in _list(item.get("tags"))]
    tags, tagged = tags_and_status(words)
    paths = [path for name in _names_of(item) for path in family.collections.get(name, [])]
    tags += [t for path in paths if (t := tag_of(path))]
    venue = next((v for name in VENUES if (v := _plain(item.get(name)))), "")
    own = {"status": tagged, "added": added_day(item.get("dateAdded", "")), "cite": _key(item)} | said
    meta = front_matter(
        entry, _text(item, used), _people(item, AUTHORS), ids, "" if re.match(r"(?i)arxiv", venue) else venue,
        also=more, tags=list(dict.fromkeys(tags)), kind=KINDS.get(kind, ""), **own,
    )  # fmt: skip
    own_notes = [n.get("note") if isinstance(n, dict) else n for n in _list(item.get("notes"))]
    under = [note for name in _names_of(item) for note in family.notes.get(name, [])]
    notes = [to_markdown(note) for note in (*own_notes, *under) if isinstance(note, str)]
    body = "\n\n".join(note for note in (*notes, rest.strip()) if note)
    return Record(line, meta, end, line_of(item.get("itemKey") or item.get("key") or ""), body)


def _ids(item: Mapping[str, Any], entry: str, written: list[str]) -> tuple[dict[str, str], list[str], set[str]]:
    references = {"doi": line_of(item.get("DOI", "")), "url": line_of(item.get("url", ""))}
    references |= {f"id {n}": ref for n, ref in enumerate(written)}
    if re.match(r"(?i)arxiv:", id := line_of(item.get("archiveID") or item.get("number") or "")):
        references["number"] = id
    if entry == "book":
        references["isbn"] = f"isbn:{line_of(item.get('ISBN', ''))}"
    return links_of(references)


def _text(item: Mapping[str, Any], used: set[str]) -> dict[str, str]:
    """The fields as BibTeX has them; what an id says is not said again."""
    text = {bib: value for name, bib in FIELDS.items() if (value := _plain(item.get(name)))}
    if "number" in used:
        text.pop("number", None)
    for name, bib in (("DOI", "doi"), ("ISBN", "isbn"), ("url", "url")):
        if bib not in used and line_of(item.get(name, "")):
            text[bib] = line_of(item[name])
    text |= {"title": title_of(item), "abstract": _plain(item.get("abstractNote"))}
    text |= {"date": line_of(item.get("date") or item.get("dateDecided") or item.get("dateEnacted") or "")}
    for role in ("editor", "translator"):
        if names := " and ".join(_shown(name) for name in _people(item, (role,))):
            text[role] = names
    if text.get("shorttitle") == text["title"]:
        del text["shorttitle"]
    return text


def _people(item: Mapping[str, Any], roles: tuple[str, ...]) -> list[Any]:
    """Those who have one of these parts in a work."""
    found = []
    for one in _list(item.get("creators")):
        if isinstance(one, dict) and (one.get("creatorType") or "author") in roles:
            family, given = line_of(one.get("lastName", "")), line_of(one.get("firstName", ""))
            literal = line_of(one.get("name", ""))
            if family or given or literal:
                found.append(person(family, given, "", "" if family or given else literal))
    return found


def _shown(name: Any) -> str:
    if isinstance(name, str):
        return name
    return name.get("literal") or " ".join(name[part] for part in ("given", "family", "suffix") if part in name)


def _key(item: Mapping[str, Any]) -> str:
    key = line_of(item.get("citationKey") or item.get("citekey") or "")
    return key if re.fullmatch(r"[^\s,{}]+", key) else ""


def _plain(value: Any) -> str:
    """A field without the few tags that Zotero allows in one."""
    return re.sub(r"</?(?:i|b|sub|sup|sc|span|br)\b[^<>]{0,100}>", "", line_of(value or ""))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
