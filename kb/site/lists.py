"""Lists as CommonMark has them, in Python-Markdown.

Python-Markdown nests a list only at four spaces and sees none right after a paragraph's line; GitHub, Obsidian and the
people who write notes do both otherwise. Where a block holds a list, markdown-it decides what belongs to it, and this
processor builds the tree: it stands before Python-Markdown's own three list processors and leaves them no work. As a
block processor it works wherever blocks are read: in quotes, callouts, admonitions, footnotes, and items themselves.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as etree
from dataclasses import dataclass
from typing import Any

from markdown import Extension, Markdown
from markdown.blockprocessors import BlockProcessor
from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARKER = re.compile(r"^( {0,3})([-*+]|\d{1,9}[.)])(?=( +)\S| *$)", re.M)
_BLOCKS = MarkdownIt("commonmark")
_FENCE = re.compile(r"^ *(`{3}|~{3})", re.M)
_STASHED = re.compile(r"^ {0,3}(\x02wzxhzdk:\d+\x03)$", re.M)  # what a preprocessor made of a fence or an HTML block


@dataclass
class Items:
    """One list: its items' Markdown without marker and indentation; `start` is None for bullets."""

    items: list[str]
    start: int | None
    tight: bool
    first_line: int
    end_line: int


def first_list(text: str) -> Items | None:
    """The first list among the top-level blocks of `text`; lines count from 0, `end_line` is the first one after it."""
    tokens: list[Token] = []
    _BLOCKS.block.parse(text, _BLOCKS, {}, tokens)
    for n, token in enumerate(tokens):
        if token.level == 0 and token.type in ("bullet_list_open", "ordered_list_open"):
            return _items(text.split("\n"), token, tokens[n + 1 :])
    return None


def _items(lines: list[str], opening: Token, tokens: list[Token]) -> Items:
    start = None if opening.type.startswith("bullet") else int(opening.attrs.get("start", 1))
    first, end = opening.map or [0, len(lines)]
    items: list[str] = []
    tight = True
    for token in tokens:
        if token.level == 0:
            break
        if token.type == "list_item_open" and token.level == 1 and token.map:
            items.append(_dedent(lines[token.map[0] : token.map[1]]))
        elif token.type == "paragraph_open" and token.level == 2:
            tight = tight and token.hidden
    return Items(items, start, tight, first, end)


def _dedent(lines: list[str]) -> str:
    """An item's lines without the marker and the indentation that it asks for."""
    m = _MARKER.match(lines[0])
    if not m:  # markdown-it and the pattern agree on what a marker is; a stray form stays as it is
        return "\n".join(lines)
    space = len(m[3] or " ")
    width = m.end() + (space if space <= 4 else 1)
    rest = (line[min(width, len(line) - len(line.lstrip(" "))) :] for line in lines[1:])
    return "\n".join([lines[0][width:], *rest])


class ListProcessor(BlockProcessor):
    """Builds <ul> and <ol> for every block with a list marker at the start of a line."""

    def __init__(self, md: Markdown) -> None:
        super().__init__(md.parser)
        self.md = md

    def test(self, parent: etree.Element, block: str) -> bool:
        return _MARKER.search(block) is not None

    def run(self, parent: etree.Element, blocks: list[str]) -> bool:
        text, taken = _reach(blocks)
        found = first_list(text)
        if found is None:
            return False
        rest = blocks[taken:]
        lines = text.split("\n")
        before, after = "\n".join(lines[: found.first_line]), "\n".join(lines[found.end_line :])
        if before.strip():
            self.parser.parseBlocks(parent, [b for b in before.split("\n\n") if b.strip()])
        self._build(parent, found)
        blocks[:] = [b for b in after.split("\n\n") if b.strip()] + rest
        return True

    def _build(self, parent: etree.Element, found: Items) -> None:
        element = etree.SubElement(parent, "ul" if found.start is None else "ol")
        if found.start not in (None, 1):
            element.set("start", str(found.start))
        for text in found.items:
            item = etree.SubElement(element, "li")
            self.parser.state.set("kb-item")  # what other processors do for their own lists must not happen here
            self.parser.parseChunk(item, self._prepared(text).strip("\n"))
            self.parser.state.reset()
            if found.tight:
                _unwrap(item)

    def _prepared(self, text: str) -> str:
        """A fence that begins on the marker's line is not yet found; what was found stands in a block by itself."""
        if _FENCE.search(text):
            text = "\n".join(self.md.preprocessors["fenced_code_block"].run(text.split("\n")))
        return _STASHED.sub(r"\n\1\n", text) if "\x02" in text else text


def _reach(blocks: list[str]) -> tuple[str, int]:
    """As many blocks as a list that begins in the first may reach into: as text, and their number. A list ends before a
    block that is neither indented as far as the first marker asks nor begins with a marker."""
    m = _MARKER.search(blocks[0])
    indent = len(m[1]) + 2 if m else 2
    taken = 1
    for block in blocks[1:]:
        line = block.lstrip("\n")
        if line and not line.startswith(" " * indent) and not _MARKER.match(line):
            break
        taken += 1
    return "\n\n".join(blocks[:taken]), taken


def _unwrap(item: etree.Element) -> None:
    """The paragraphs of a tight list's item lose their <p>."""
    kept: list[etree.Element] = []
    for child in list(item):
        if child.tag != "p" or child.attrib:
            kept.append(child)
            continue
        item.remove(child)
        text = (child.text or "") + "".join(etree.tostring(c, "unicode") for c in child)
        if kept:
            kept[-1].tail = _joined(kept[-1].tail, text)
        else:
            item.text = _joined(item.text, text)


def _joined(a: str | None, b: str) -> str:
    return f"{a}\n{b}" if a and a.strip() else b


class ListExtension(Extension):
    """Registers the processor before `indent` (90), `code` (80), `ulist` and `olist`, after `empty` (100)."""

    def extendMarkdown(self, md: Markdown, **_: Any) -> None:
        md.parser.blockprocessors.register(ListProcessor(md), "kb_list", 95)
