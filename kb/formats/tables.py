"""Markdown tables whose columns say what they hold: each row is a work."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from kb.formats.columns import cells_of, is_table_of_works, meanings
from kb.formats.days import day_of
from kb.formats.hits import ROLES, find_hits, link_meta
from kb.formats.items import merge_meta
from kb.formats.lines import Line
from kb.formats.records import name_of, status_of, tag_of
from kb.formats.reference import Reference, parse_reference

_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")
_BOXES = {"x": "read", "✓": "read", "✔": "read", "✅": "read", "☑": "read", "[x]": "read", "[ ]": "to-read",
"☐": "to-read",
          "⬜": "to-read", "❌": "to-read", "🔄": "reading", "⏳": "reading", "📖": "reading"}  # fmt: skip


def cells(text: str) -> list[str]:
    """The cells of a row; a bar with a backslash, in code or in a [[link|text]] is none of its bars."""
    text = re.sub(r"\[\[[^\[\]]*\]\]|`[^`]*`", lambda m: m[0].replace("|", "\0"), text.strip()).replace(r"\|", "\0")
    text = text.removeprefix("|").removesuffix("|")
    return [cell.strip().replace("\0", "|") for cell in text.split("|")]


def rows_of(lines: Sequence[Line]) -> tuple[list[str], list[Line], list[Line]] | None:
    """The names of a table's columns, the lines that are its rows, and those that only shape it. None for a table whose
    rows are no works."""
    if len(lines) < 3 or not _RULE.fullmatch(lines[1].raw):
        return None
    header = [re.sub(r"[*_`]", "", cell) for cell in cells(lines[0].text)]
    if not is_table_of_works(header):
        return None
    return header, [line for line in lines[2:] if not _RULE.fullmatch(line.raw)], list(lines[:2])


def row(line: Line, header: Sequence[str]) -> tuple[Reference, dict[str, Any], list[str]]:
    """What a row says: the reference it makes, further keys of the front matter, and words that no key holds."""
    fields = meanings(header)
    known, other = cells_of(fields, header, cells(line.text))
    links = [_link(field, value) for field in ("url", "pdf", "arxiv", "doi") for value in known.get(field, [])]
    title = " ".join(known.get("title", []))
    ref = parse_reference(" ".join([title, *links]) if title else " ".join(links))
    said = [ref.remark] if ref.remark else []
    meta: dict[str, Any] = {}
    for field in ("code", "video", "slides"):
        for value in known.get(field, []):
            hits = [hit for *_, hit in find_hits(value)]
            merge_meta(meta, link_meta(title, hits, ROLES.get(field, "")))
            said += [] if hits else [f"{field}: {value}"]
    for field, key in (("added", "added"), ("started", "started"), ("finished", "finished")):
        for value in known.get(field, []):
            day = day_of(value)
            meta |= {key: day} if day else {}
            said += [] if day else [f"{field}: {value}"]
    for value in known.get("tags", []):
        meta["tags"] = [*meta.get("tags", []), *(t for word in re.split(r"[,;]", value) if (t := tag_of(word)))]
    for value in known.get("authors", []):
        meta["authors"] = [name_of(n) for n in re.split(r"\s*(?:,|;|&|\band\b)\s*(?=\S)", value) if n != "et al."]
    for value in [*known.get("year", []), *known.get("date", [])]:
        m = re.search(r"\b(?:19|20)\d\d\b", value)
        meta |= {"year": int(m[0])} if m and "year" not in meta else {}
        said += [] if m and m[0] == value else [value]
    meta |= {"venue": known["venue"][0]} if known.get("venue") else {}
    for value in [*known.get("status", []), *known.get("read", [])]:
        status = _BOXES.get(value.lower()) or status_of(value) or ("read" if day_of(value) else "")
        meta |= {"status": status} if status else {}
        meta |= {"finished": day_of(value)} if day_of(value) else {}
        said += [] if status else [value]
    for value in known.get("rating", []):
        stars = len(re.findall("[⭐★🌟]", value))
        m = re.fullmatch(r"([1-5])(\s*/\s*5)?", value)
        rating = int(m[1]) if m else stars if 1 <= stars <= 5 else 0
        meta |= {"rating": rating} if rating else {}
        said += [] if rating else [f"rating: {value}"]
    for field in ("notes", "abstract", "kind", "extra", "key", "isbn"):
        said += known.get(field, [])
    said += [f"{name}: {value}" if name else value for name, value in other]
    return ref, meta, said


def _link(field: str, value: str) -> str:
    """The link of a cell; a bare id gets its service's name, and one that is only called `link` keeps its target."""
    if field == "arxiv" and re.fullmatch(r"[\w./-]+", value):
        return f"arXiv:{value}"
    return re.sub(r"\[[^\[\]]*\]\(\s*<?(https?://[^\s<>()]+)>?\s*\)", r"<\1>", value)
