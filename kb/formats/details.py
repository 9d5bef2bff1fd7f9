"""What lines say of an item beside its name: its kind, ids and dates (`**Date:** …`), its abstract, its progress."""

from __future__ import annotations

import re

from kb.formats import reference as refs
from kb.formats.citation import authors_of
from kb.formats.hits import ROLES, link_meta
from kb.formats.items import ABSTRACT, PAPER_SITES, PROGRESS, Item, kind_of, merge_meta
from kb.formats.marks import is_date
from kb.formats.outline import Entry
from kb.formats.records import status_of, tag_of
from kb.sources import kind_of as service_of


def known_kind(item: Item, hint: str, in_course: bool) -> None:
    """The kind, by what the line, its link, its heading and its title say, in that order."""
    if not item.kind:
        item.kind = kind_of(item, hint, in_course)
    incomplete = next((k for k in PAPER_SITES if k in item.meta), "")
    if incomplete and not item.meta.get("authors"):
        item.meta["incomplete"] = incomplete
    elif item.provisional and item.sources:
        item.meta["incomplete"] = service_of(item.sources[0]).name


def note_progress(item: Item) -> None:
    """`Lecture 1 and 2 done` below a course is how far one has come."""
    for line in item.body:
        if isinstance(line, str) and (m := PROGRESS.match(line)):
            item.meta["at"] = m[1]
            item.meta["status"] = item.meta.get("status") or "reading"


def labelled(item: Item, name: str, value: str) -> bool:
    """Take a line `**name:** value` into the front matter; False where it says something else."""
    if name in refs.DATES and (m := re.fullmatch(r"(\d{4}-\d\d-\d\d)\.?", value)) and is_date(m[1]):
        return _set(item, refs.DATES[name], m[1])
    if name in ("author", "authors", "year", "venue"):
        return _credited(item, name, value)
    if name in ("status", "state", "rating", "tags"):
        return _filed(item, name, value)
    if name not in ROLES or len(value.split()) > 6:
        return False
    ref = refs.parse_reference(value)
    if not ref.urls:
        return False
    role = ROLES[name]
    merge_meta(item.meta, link_meta(item.title, ref.links, role if role in ("slides", "paperpile", "pdf") else ""))
    if name in ("blog", "post", "article"):
        item.kind = item.kind or "post"
    item.said = True
    return True


def _credited(item: Item, name: str, value: str) -> bool:
    """Take `Authors: …`, `Year: 2020` or `Venue: …` into the front matter where the value is clear."""
    if name.startswith("author"):
        return bool(authors_of(value)) and _set(item, "authors", authors_of(value))
    if name == "year":
        return re.fullmatch(r"(1[5-9]|20)\d\d", value) is not None and _set(item, "year", int(value))
    return len(value.split()) <= 6 and "://" not in value and _set(item, "venue", value)


def _filed(item: Item, name: str, value: str) -> bool:
    """Take `Status: reading`, `Rating: 4` or `Tags: a, b` where the value is clear."""
    if name == "rating":
        return re.fullmatch(r"[1-5](/5)?", value) is not None and _set(item, "rating", int(value[0]))
    if name == "tags":
        item.meta["tags"] = list(
            dict.fromkeys([*item.meta.get("tags", []), *filter(None, map(tag_of, value.split(",")))])
        )
        return True
    item.meta["status"] = status_of(value) or item.meta.get("status", "")
    return bool(status_of(value))


def _set(item: Item, key: str, value: object) -> bool:
    """Set a key that is free, or has that value; False where it says something else already."""
    item.meta.setdefault(key, value)
    return bool(item.meta[key] == value)


def note_parts(item: Item, parts: list[Entry]) -> None:
    """Boxes for the parts of a work: some ticked, some not, is how far one has come."""
    ticked = [part for part in parts if part.head.task == "x"]
    if ticked and len(ticked) < len(parts) and item.meta.get("status") in ("", "to-read", None):
        item.meta["status"] = "reading"
        item.meta.setdefault("at", ticked[-1].head.text)


def take_abstract(item: Item, entry: Entry) -> bool:
    """A quote marked as the work's abstract is its abstract, not the reader's prose."""
    text = " ".join(line.text.lstrip("> ").strip() for line in entry.lines)
    if len(text) < 40 or "abstract" in item.meta or not ABSTRACT.search(text[:14] + " … " + text[-18:]):
        return False
    item.meta["abstract"] = ABSTRACT.sub("", text[:14]) + text[14:-18] + ABSTRACT.sub("", text[-18:])
    item.meta["abstract"] = item.meta["abstract"].strip(" _*")
    item.kind = "paper" if item.kind == "post" else item.kind
    return True
