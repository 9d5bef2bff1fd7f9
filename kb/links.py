"""[[links]] and relative Markdown links in a note's text: found outside code, math and comments, with context."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

# An escaped pipe, as tables need it, separates too. The same pattern renders the links on the site.
WIKILINK = r"(?<!\\)(!?)\[\[([^\[\]\|#\n\\]*)(?:#([^\[\]\|\n\\]+))?(?:\\?\|([^\[\]\n]+))?\]\]"
_WIKILINK = re.compile(WIKILINK)
MARKDOWN_LINK = re.compile(
    r"(?<![!\\])\[((?:[^\[\]\n]|\[[^\[\]\n]*\])*)\]"
    r"\(<?([^\s()<>#]*\.md)(?:#([^\s()<>]*))?>?(?:\s+\"[^\"\n]*\")?\)"
)
SKIP = re.compile(
    r"^[ \t>]*(?P<fence>`{3,}|~{3,})[^\n]*(?:\n(?:[^\n]*\n)*?[ \t>]*(?P=fence)[`~]*[ \t\r]*$|[\s\S]*\Z)"
    r"|<!--[\s\S]*?(?:-->|\Z)"
    r"|(?<![`\\])(?P<tick>`+)(?!`)[^\n]*?(?<!`)(?P=tick)(?!`)"
    r"|(?<!\\)\$\$[\s\S]*?(?:\$\$|\Z)"
    r"|(?<![\\$])\$(?![\s$])(?:[^$\\\n]|\\.)*?(?<!\s)\$(?![\d$])",
    re.M,
)
_BLOCK_START = re.compile(r"\n[ \t]*(?:\r?\n|(?:[-*+]|\d+[.)])[ \t](?:\[[ xX]\][ \t])?|#{1,6}[ \t]|>|\|)")


@dataclass(frozen=True)
class Link:
    """One link out of a note. `target` is as written; `line` counts in the file; `context` is the sentence around."""

    target: str
    line: int
    context: str
    heading: str = ""
    label: str = ""
    embed: bool = False
    wiki: bool = True

    def as_json(self) -> dict[str, Any]:
        return {"target": self.target, "line": self.line, "context": self.context}


def blank_skipped(body: str) -> str:
    """The text with code, math and comments turned into spaces; lengths and line ends stay."""
    if not re.search(r"[`~$]|<!--", body):
        return body
    return SKIP.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), body)


def find_links(body: str, first_line: int = 1) -> Iterator[Link]:
    """Every [[link]] and relative link to a .md file, in order of place."""
    if "[" not in body:
        return
    text = blank_skipped(body)
    starts = [0, *accumulate(len(line) + 1 for line in body.split("\n"))]
    for m in sorted([*_WIKILINK.finditer(text), *MARKDOWN_LINK.finditer(text)], key=lambda m: m.start()):
        line = first_line + bisect_right(starts, m.start()) - 1
        if m.re is _WIKILINK:
            bang, target, heading, label = (part or "" for part in m.groups())
            target = target.strip()
            if not target and not heading:
                continue
            yield Link(target, line, _context(body, m, label or target), heading.strip(), label.strip(), bool(bang))
        elif not re.match(r"[a-z][a-z0-9+.-]*:|/", m[2], re.I):
            yield Link(m[2], line, _context(body, m, m[1]), m[3] or "", m[1], wiki=False)


def _context(body: str, m: re.Match[str], label: str) -> str:
    """The sentence a link stands in, as plain text of about two hundred characters at most."""
    before = body[max(0, m.start() - 400) : m.start()]
    if starts := list(_BLOCK_START.finditer("\n" + before)):
        before = before[max(0, starts[-1].end() - 1) :]
    after = body[m.end() : m.end() + 400]
    if end := _BLOCK_START.search(after):
        after = after[: end.start()]
    before, after = plain(before), plain(after)
    before = re.split(r"(?<=[.!?:])\s+(?=[A-Z\"'“(])", before)[-1] if before[-1:] not in ".!?" else before
    after = re.split(r"(?<=[.!?])\s+(?=[A-Z\"'“(])", after)[0]
    return " ".join(f"{_tail(before, 110)}{label}{_head(after, 110)}".split())


def _tail(text: str, size: int) -> str:
    return text if len(text) <= size else "… " + text[-size:].partition(" ")[2]


def _head(text: str, size: int) -> str:
    return text if len(text) <= size else text[:size].rpartition(" ")[0] + " …"


def plain(text: str) -> str:
    """Markdown without its marks, on one line: what a snippet shows."""
    text = re.sub(WIKILINK, lambda m: m[4] or m[2] or m[3] or "", text)
    text = re.sub(r"!?\[([^\[\]]*)\]\([^()\s]*\)", r"\1", text)
    text = re.sub(r"(\*\*|__|\*(?=\w)|(?<=\w)\*|`)", "", text)
    text = re.sub(r"(?m)^[ \t>]*(?:[-*+]|\d+[.)]|#{1,6})[ \t]+(?:\[[ xX]\][ \t]+)?", "", text)
    return re.sub(r"\s+", " ", text)
