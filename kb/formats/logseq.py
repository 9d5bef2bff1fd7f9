"""Logseq's Markdown -> that of a reading list, line for line: states before blocks, `key:: value`, tags with spaces."""

from __future__ import annotations

import re

from kb.formats.days import day_of
from kb.formats.org import STRUCTURE

_BOXES = {
    "TODO": " ", "LATER": " ", "WAITING": " ", "WAIT": " ", "DOING": "/", "NOW": "/", "IN-PROGRESS": "/", "DONE": "x",
    "CANCELED": "-", "CANCELLED": "-",
}  # fmt: skip
_BLOCK = re.compile(rf"(\s*)- (?:({'|'.join(_BOXES)})\s+)?(?:\[#([ABC])\]\s+)?(.*)$")
_PROPERTY = re.compile(r"(\s*)(- )?([\w./ -]{1,30}?):: ?(.*)$")
_OURS = {
    "id", "collapsed", "created-at", "updated-at", "heading", "background-color", "ls-type", "hl-page", "hl-color",
    "logseq.order-list-type", "query-table", "query-properties", "icon", "public",
}  # fmt: skip
_KEYS = {
    "link": "URL", "url": "URL", "author": "Authors", "authors": "Authors", "date-added": "Added", "added": "Added",
    "published": "Year", "keywords": "Tags",
}  # fmt: skip
PROPERTY = _PROPERTY


def looks_like(text: str) -> bool:
    """Whether a text is a page of Logseq: blocks with its states, or properties with two colons."""
    head = text[:20_000]
    states = re.findall(r"(?m)^[ \t]*- (?:TODO|LATER|DOING|NOW|DONE|WAITING) ", head)
    properties = re.findall(r"(?m)^[ \t]*[\w-]{1,30}:: \S", head)
    return bool(states or properties) and not re.search(r"(?m)^\s*[-*] \[[ xX]\] ", head)


def to_markdown(text: str) -> str:
    """A page as a reading list of as many lines."""
    found = []
    indent = ""
    for line in text.split("\n"):
        if m := _PROPERTY.match(line):
            found.append(_property(m, indent))
            continue
        m = _BLOCK.match(line)
        if m is None:
            found.append(inline(line))
            continue
        indent = m[1]
        words = inline(m[4])
        if re.match(r"#{1,6} ", words) and not m[2]:
            found.append(words)
            continue
        priority = {"A": "P1 ", "B": "P2 ", "C": "P3 "}.get(m[3] or "", "")
        box = f"[{_BOXES[m[2]]}] " if m[2] else ""
        found.append(f"{m[1]}- {box}{priority}{words}")
    return "\n".join(found)


def _property(m: re.Match[str], indent: str) -> str:
    """A property of the page or of the block above."""
    key, value = m[3].strip().lower(), m[4].strip()
    if key in _OURS or not value:
        return STRUCTURE
    if key == "title" and not m[1] and not m[2]:
        return f"# {value}"
    name = _KEYS.get(key, key.replace("-", " ").capitalize())
    value = re.sub(r"#?\[\[([^\[\]]*)\]\]", r"\1", value) if name in ("Authors", "Tags", "Status") else inline(value)
    value = day_of(value) or value if name in ("Added", "Started", "Finished") else value
    deeper = f"{indent}\t" if "\t" in m[1] else f"{indent}  "
    return f"{deeper if m[1] or m[2] else ''}{'- ' if m[1] or m[2] else ''}**{name}:** {value}"


def inline(text: str) -> str:
    """Tags with spaces as tags of one word."""
    return re.sub(r"#\[\[([^\[\]]+)\]\]", lambda m: "#" + "-".join(m[1].lower().split()), text)
