"""Pages of Obsidian, Logseq and Notion -> items: their properties become front matter, their text stays as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from kb import frontmatter
from kb.formats import logseq
from kb.formats.columns import meaning
from kb.formats.days import day_of, published_of
from kb.formats.items import Item
from kb.formats.records import checked, line_of, links_of, name_of, status_of, tag_of
from kb.ids import PAPER_KEYS, Source
from kb.links import blank_skipped
from kb.note import KINDS
from kb.problem import Problem
from kb.sources import guess_kind

NOTION_ID = re.compile(r"[ -][0-9a-f]{32}$")
_CITE = {"citekey", "citation key", "cite key", "cite", "citationkey", "bibtex key"}
_LINKS = ("doi", "arxiv", "isbn", "pdf", "url", "code", "video", "slides")
_TEXT = ("venue", "abstract")
_DAYS = ("added", "started", "finished")
_KINDS = {
    "journalarticle": "paper", "article": "paper", "preprint": "paper", "conferencepaper": "paper",
    "literature": "paper",
    "inproceedings": "paper", "video": "talk", "podcast": "talk", "blog": "post", "blogpost": "post", "webpage": "post",
    "repository": "code", "moc": "topic", "map": "topic", "daily": "log", "journal": "log",
}  # fmt: skip
_TAG = re.compile(r"(?<![\w/#&;(\[\"'=])#([^\W\d_][\w/-]*|\d+[^\W\d_][\w/-]*)")
_KEY = re.compile(r"([A-Za-z][\w -]{0,30}?):: *(\S.*?)\s*$")


def read_page(text: str, path: str, kind: str) -> tuple[Item, list[Problem]]:
    """One page, `path` as its folder has it, `kind` obsidian, logseq or notion. Its lines are those of the file."""
    front = frontmatter.split(text)
    raw, _, faults = frontmatter.read(front) if front.closing else ({}, {}, [])
    broken = [fault for fault in faults if fault.check == "yaml"]
    problems = [Problem(path, f.line, "page", f.message, f.hint, "warning") for f in broken]
    body = front.body if front.closing and not broken else text
    properties = _properties(raw) if not broken else {}
    if kind == "logseq":
        said, body = _logseq(body)
        properties |= said
    if kind == "notion":
        title, said, body = _notion(body, path)
        properties |= said | ({"title": title} if title else {})
    elif kind == "obsidian":
        properties = _inline(body) | properties
    meta, taken = _mapped(properties)
    item = Item("", record=True, verbatim=True, key=path, place=path, lines=list(range(1, len(_lines(text)) + 1)))
    item.front = _kept(front, taken) if kind != "notion" and front.closing and not broken else ""
    left = [f"{k}: {v}" for k, v in properties.items() if k not in taken and k not in raw and kind == "notion"]
    item.body = [*_lines(("\n".join(left) + "\n\n" if left else "") + body.strip("\n"))]
    item.crlf = "\r\n" in text
    _name(item, path, meta, kind)
    item.meta = {key: value for key, value in meta.items() if key not in ("title", "kind")}
    tags = [tag for m in _TAG.finditer(blank_skipped(body)) if (tag := tag_of(m[1]))]
    if all_tags := list(dict.fromkeys([*item.meta.get("tags", []), *tags])):
        item.meta["tags"] = all_tags
    item.kind = meta.get("kind") or _kind(item, path)
    if item.kind in ("topic", "log"):
        item.meta.pop("status", None)
    return item, problems


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _properties(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in raw.items() if value not in ("", None, [], {})}


def _inline(body: str) -> dict[str, Any]:
    """Dataview's inline fields that stand on a line of their own; they are read, and stay where they are."""
    found: dict[str, Any] = {}
    for line in blank_skipped(body).split("\n"):
        m = _KEY.fullmatch(line.strip().removeprefix("- ").strip("[]()"))
        if m and meaning(m[1]) in (
            "status",
            "rating",
            "url",
            "authors",
            "year",
            "doi",
            "arxiv",
            "added",
            "finished",
            "started",
        ):
            found.setdefault(m[1], m[2])
    return found


def _logseq(body: str) -> tuple[dict[str, Any], str]:
    """The properties at the top of a page, and the rest. Those that no key holds stay where they are."""
    found: dict[str, Any] = {}
    lines = body.split("\n")
    kept = []
    for n, line in enumerate(lines):
        m = logseq.PROPERTY.match(line.removeprefix("- ") if n == 0 else line)
        if not m or m[1] or m[2]:
            kept += lines[n:]
            break
        key, value = m[3].strip().lower(), m[4].strip()
        if _meaning(key) and value:
            found[key] = value
        elif value:
            kept.append(line)
    return found, "\n".join(kept)


def _notion(body: str, path: str) -> tuple[str, dict[str, Any], str]:
    """The heading of a page, the properties below it, and the rest."""
    lines = body.lstrip("\n").split("\n")
    title = ""
    if lines and (m := re.match(r"# (.+)", lines[0])):
        title = m[1].strip()
        lines = lines[1:]
    while lines and not lines[0].strip():
        lines.pop(0)
    found: dict[str, Any] = {}
    at = 0
    while at < len(lines) and (m := re.match(r"([A-Z][\w /()&?-]{0,40}?): (\S.*)$", lines[at])):
        found[m[1]] = m[2].strip()
        at += 1
    ends = at == len(lines) or not lines[at].strip()
    known = any(_meaning(key) for key in found)
    return (title, found, "\n".join(lines[at:])) if ends and known else (title, {}, "\n".join(lines))


def _meaning(key: str) -> str:
    """What a property holds: a key of the front matter, mostly; '' for one that we leave alone."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).replace("_", " ").replace("-", " ").lower()
    if words in _CITE:
        return "cite"
    if words in ("aliases", "alias"):
        return "aliases"
    found = meaning(words)
    wrong = {
        "title": words != "title",
        "abstract": not words.startswith("abstract"),
        "key": True,
        "notes": True,
        "extra": True,
    }
    return "" if wrong.get(found, False) else found


def _mapped(properties: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """The front matter that properties give, and which of them it tells."""
    meta: dict[str, Any] = {}
    references: dict[str, str] = {}
    by_key: dict[str, str] = {}
    taken: set[str] = set()
    for key, value in properties.items():
        name = _meaning(key)
        if name in _LINKS:
            text = _plain(value)
            references[key] = f"isbn:{text}" if name == "isbn" else text
            by_key[key] = name
        elif (name == "tags" or (name and name not in meta)) and (found := _value(name, value)):
            meta |= {k: [*meta.get(k, []), *v] if k == "tags" else v for k, v in found.items()}
            taken.add(key)
    named = {by_key[key] if by_key[key] in ("doi", "pdf") else key: text for key, text in references.items()}
    ids, more, used = links_of(named)
    taken |= {key for key in references if key in used or (by_key[key] in used and by_key[key] in ("doi", "pdf"))}
    return checked({**meta, **ids, "also": more}), taken


def _plain(value: Any) -> str:
    """A value as text, a link as the address it leads to."""
    text = line_of(value[0] if isinstance(value, list) and value else value)
    m = re.fullmatch(r"\[[^\[\]]*\]\((\S+?)\)", text)
    return m[1] if m else text.strip("<>\"'")


def _value(name: str, value: Any) -> dict[str, Any]:
    """The keys that one property gives; {} where it says something else."""
    many = [line_of(v) for v in (value if isinstance(value, list) else [value]) if not isinstance(v, dict)]
    many = [re.sub(r"^\[\[([^\[\]|]*\|)?([^\[\]]*)\]\]$", r"\2", v).strip() for v in many if v]
    text = many[0] if many else ""
    if name == "tags":
        words = (
            many
            if isinstance(value, list)
            else re.split(r",\s*" if "," in text else r"\s+", re.sub(r"#?\[\[|\]\]", "", text))
        )
        return {"tags": [tag for word in words if (tag := tag_of(word.lstrip("#")))]}
    if name == "aliases":
        return {"aliases": many if isinstance(value, list) else [v.strip() for v in text.split(",") if v.strip()]}
    if name == "authors":
        names = many if isinstance(value, list) else re.split(r"\s*;\s*|\s+and\s+|\s*,\s*(?=\[\[)", text)
        if len(names) == 1 and text.count(",") > 1:
            names = text.split(",")
        return {"authors": [name_of(re.sub(r"\[\[|\]\]", "", n).strip()) for n in names if n.strip()]}
    if name in ("year", "date"):
        year, published = published_of(text)
        return ({"year": year} | ({"published": published} if published != str(year) else {})) if year else {}
    if name in _DAYS:
        return {name: day_of(text)} if day_of(text) else {}
    if name in ("status", "read"):
        status = {"true": "read", "false": "to-read"}.get(text.lower(), "") if name == "read" else status_of(text)
        return {"status": status} if status else {}
    if name == "rating":
        stars = len(re.findall("[⭐★]", text))
        rating = int(text) if re.fullmatch("[1-5]", text) else stars
        return {"rating": rating} if 1 <= rating <= 5 else {}
    if name == "kind":
        word = text.lower().replace(" ", "").replace("-", "")
        kind = word if word in KINDS else _KINDS.get(word, "")
        return {"kind": kind} if kind else {}
    if name == "cite":
        cite = text.lstrip("@")
        return {"cite": cite} if re.fullmatch(r"[^\s,{}]+", cite) else {}
    return {name: text} if name in (*_TEXT, "title") and text else {}


def _kept(front: frontmatter.FrontMatter, taken: set[str]) -> str:
    """The lines of a front matter that no key of ours tells, as they stand, comments and all."""
    starts = [*frontmatter.key_lines(front.lines), ("", len(front.lines) + 2)]
    kept = front.lines[: starts[0][1] - 2]
    for (key, first), (_, end) in zip(starts, starts[1:], strict=False):
        kept += front.lines[first - 2 : end - 2] if key not in taken else []
    return "".join(line.rstrip("\r\n") + "\n" for line in kept if line.strip())


def _name(item: Item, path: str, meta: dict[str, Any], kind: str) -> None:
    """The title of a page, and the names by which its folder's links know it."""
    stem = PurePosixPath(path).stem
    known = [stem]
    if kind == "notion":
        stem = NOTION_ID.sub("", stem)
        known = [stem]
    if kind == "logseq":
        stem = unquote(stem).replace("___", "/")
        known = [stem]
        if m := re.fullmatch(r"(\d{4})[_-](\d\d)[_-](\d\d)", stem):
            stem = "-".join(m.groups())
            known = [stem, *_journal_names(stem)]
    item.title = str(meta.get("title") or stem).strip() or "Untitled"
    aliases = [*meta.get("aliases", []), *(name for name in known if name != item.title)]
    if aliases:
        meta["aliases"] = list(dict.fromkeys(aliases))


def _journal_names(day: str) -> list[str]:
    """How links of Logseq write the page of a day: 'Jan 2nd, 2024'."""
    try:
        on = date.fromisoformat(day)
    except ValueError:
        return []
    end = "th" if 10 < on.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(on.day % 10, "th")
    return [f"{on:%b} {on.day}{end}, {on.year}"]


def _kind(item: Item, path: str) -> str:
    """The kind of a page by its ids and links; a page about nothing else is a topic, that of a day a log."""
    if re.match(r"\d{4}-\d\d-\d\d\b", item.title):
        return "log"
    key = next((k for k in (*PAPER_KEYS, "video", "code", "url") if item.meta.get(k)), "")
    if key:
        found = guess_kind(Source(key, item.meta[key]))
        return "paper" if found == "post" and (item.meta.get("cite") or item.meta.get("venue")) else found
    return "paper" if item.meta.get("cite") or (item.meta.get("authors") and item.meta.get("year")) else "topic"
