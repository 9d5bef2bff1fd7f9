"""[[links]] and relative Markdown links in a note's text: found outside code, math and comments, with context."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

# An escaped pipe, as tables need it, separates too. The same pattern renders the links on the site.
WIKILINK = r"(?<!\\)(!?)\[\[([^\[\]\|#\n\\]*)(?:#([^\[\]\|\n\\]+))?(?:\\?\|([^\[\]\n]+))?\]\]"
_WIKILINK = re.compile(WIKILINK)
_ADDRESS = r"<?((?<=<)[^<>#\n]*\.md|[^\s()<>#]*\.md)(?:#([^\s()<>]*))?>?"
MARKDOWN_LINK = re.compile(
    r"(?<![!\\])\[((?:[^\[\]\n]|\[[^\[\]\n]*\])*)\]"
    rf"\([ \t]?{_ADDRESS}(?:\s+(?:\"[^\"\n]*\"|'[^'\n]*'|\([^()\n]*\)))?[ \t]?\)"
)
DEFINITION = re.compile(  # [name]: ../talks/a.md "A title"; the links that use it go where it leads
    rf"^ {{0,3}}\[(?!\^)([^\[\]\n]+)\]:[ \t]*{_ADDRESS}(?=[ \t]*(?:\r?$|[\"'(]))", re.M
)
SKIP = re.compile(
    r"^[ \t>]*(?P<fence>`{3,}|~{3,})[^\n]*(?:\n(?:[^\n]*\n)*?[ \t>]*(?P=fence)[`~]*[ \t\r]*$|[\s\S]*\Z)"
    r"|<!--[\s\S]*?(?:-->|\Z)"
    r"|(?<![`\\])(?P<tick>`+)(?!`)[^\n]*?(?<!`)(?P=tick)(?!`)"
    r"|(?<!\\)\$\$[\s\S]*?(?:\$\$|\Z)"
    r"|(?<![\\$])\$(?![\s$])(?:[^$\\\n]|\\.)*?(?<!\s)\$(?![\d$])",
    re.M,
)
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:|/", re.I)
_BLOCK_START = re.compile(r"\n[ \t]*(?:\r?\n|(?:[-*+]|\d+[.)])[ \t](?:\[[ xX]\][ \t])?|#{1,6}[ \t]|>|\|)")


class Link(NamedTuple):
    """One link out of a note. `target` is as written; `line` counts in the file; `start` and `end` are its place in
    `text`, where it has a sentence around it."""

    target: str
    line: int
    heading: str = ""
    label: str = ""
    embed: bool = False
    wiki: bool = True
    start: int = 0
    end: int = 0
    text: str = ""

    @property
    def context(self) -> str:
        """The sentence around it, as plain text of about two hundred characters at most: made when asked for, since of
        all the links of a vault few are ever shown."""
        shown = self.label or self.target
        return _context(self.text, self.start, self.end, shown) if self.end else shown

    def as_json(self) -> dict[str, Any]:
        return {"target": self.target, "line": self.line, "context": self.context}


def blank_skipped(body: str) -> str:
    """The text with code, math and comments turned into spaces; lengths and line ends stay."""
    if not any(mark in body for mark in ("`", "~", "$", "<!--")):
        return body
    return SKIP.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), body)


def link_matches(body: str) -> list[re.Match[str]]:
    """Every [[link]], relative link to a .md file and definition of one, in order of place. Of each match group 2 is
    the target as written, group 3 the heading; in a [[link]] group 4 is the text, in the others group 1."""
    if "[" not in body:
        return []
    text = blank_skipped(body)
    wiki = [m for m in _wiki_matches(text) if m[2].strip() or m[3]]
    if ".md" not in text:
        return wiki
    paths = [m for pattern in (MARKDOWN_LINK, DEFINITION) for m in pattern.finditer(text) if not _ABSOLUTE.match(m[2])]
    return sorted([*wiki, *paths], key=lambda m: m.start())


def _wiki_matches(text: str) -> Iterator[re.Match[str]]:
    """What `_WIKILINK.finditer` finds, looked for where two brackets stand: the pattern alone tries every character."""
    at = text.find("[[")
    while at >= 0:
        banged = _WIKILINK.match(text, at - 1) if at and text[at - 1] == "!" else None
        m = banged or _WIKILINK.match(text, at)
        if m:
            yield m
        at = text.find("[[", m.end() if m else at + 1)


def is_wiki(match: re.Match[str]) -> bool:
    """Whether a match of `link_matches` is a [[link]]."""
    return match.re is _WIKILINK


def find_links(body: str, first_line: int = 1) -> Iterator[Link]:
    """Every [[link]] and relative link to a .md file, in order of place."""
    line, seen = first_line, 0
    for m in link_matches(body):
        line += body.count("\n", seen, m.start())
        seen = m.start()
        if is_wiki(m):
            bang, target, heading, label = (part or "" for part in m.groups())
            place = (m.start(), m.end(), body)
            yield Link(target.strip(), line, heading.strip(), label.strip(), bool(bang), True, *place)
        else:
            place = (0, 0, "") if m.re is DEFINITION else (m.start(), m.end(), body)
            yield Link(m[2], line, m[3] or "", m[1], False, False, *place)


def link_name(text: str) -> str:
    """What a value of front matter names: 'x' for 'x', '[[x]]' and '[[x|text]]'."""
    return text.strip("[]").partition("|")[0]


def replaced(text: str, places: Iterable[tuple[int, int, str]]) -> str:
    """A text with other words in some places (from where, to where, what), none of which overlap."""
    for start, end, new in sorted(set(places), reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _context(body: str, start: int, stop: int, label: str) -> str:
    before = body[max(0, start - 400) : start]
    if starts := list(_BLOCK_START.finditer("\n" + before)):
        before = before[max(0, starts[-1].end() - 1) :]
    after = body[stop : stop + 400]
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
    text = re.sub(r"!?\[([^\[\]]*)\]\((?:<[^<>\n]*>|[^()\s]*)(?:\s\"[^\"\n]*\")?\)", r"\1", text)
    text = re.sub(r"(\*\*|__|\*(?=\w)|(?<=\w)\*|`)", "", text)
    text = re.sub(r"(?m)^[ \t>]*(?:[-*+]|\d+[.)]|#{1,6})[ \t]+(?:\[[ xX]\][ \t]+)?", "", text)
    return re.sub(r"\s+", " ", text)
