"""The HTML of notes (Zotero, Paperpile, Mendeley) -> Markdown. Only the marks of text are kept, and links."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import ClassVar

_BLOCKS = {"p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "blockquote", "pre", "table", "section", "body"}
_IS_HTML = re.compile(
    r"<(?:/?(?:p|div|br|ul|ol|li|b|i|em|strong|a|span|h[1-6]|blockquote|pre|code|sub|sup)\b[^<>]*)>", re.I
)


def is_html(text: str) -> bool:
    """Whether a text has tags of HTML in it."""
    return _IS_HTML.search(text) is not None


def ended(text: str) -> str:
    """HTML in which a tag or comment that never ends is text: Python's parser would look for its end from each `<`."""
    end = text.rfind(">") + 1
    return text[:end] + text[end:].replace("<", "&lt;")


def to_markdown(text: str) -> str:
    """HTML as Markdown; what has no tags stays as it is."""
    if not is_html(text):
        return html.unescape(text).strip()
    writer = _Writer()
    try:
        writer.feed(ended(text))
        writer.close()
    except (AssertionError, ValueError):  # what the parser calls no HTML; the words are what counts
        return re.sub(r"<[^<>]*>", " ", text).strip()
    lines = [line.rstrip() for line in "".join(writer.parts).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n ")


class _Writer(HTMLParser):
    """Marks as tags come; lists are indented by their depth, of which fifty levels count."""

    MARKS: ClassVar[dict[str, str]] = {
        "b": "**",
        "strong": "**",
        "i": "*",
        "em": "*",
        "code": "`",
        "s": "~~",
        "del": "~~",
    }

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.lists: list[int] = []  # for each open list the number of its last item, -1 without numbers
        self.links: list[str] = []
        self.open: list[str] = []
        self.quotes = self.raw = self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self.hidden += 1
        elif tag in ("ul", "ol"):
            self._break(1 if self.lists else 2)
            self.lists.append(0 if tag == "ol" else -1)
        elif tag == "li":
            self._item()
        elif tag == "br":
            self._break(1)
        elif tag in _BLOCKS:
            self._break(1 if self.lists else 2)
            self.quotes += tag == "blockquote"
            self.raw += tag == "pre"
            self._write("```\n" if tag == "pre" else "> " * min(self.quotes, 5) if tag == "blockquote" else "")
            if re.fullmatch(r"h[1-6]", tag):
                self._write("#" * min(int(tag[1]) + 1, 6) + " ")
        elif tag == "a":
            self.links.append(dict(attrs).get("href") or "")
            self._write("[")
        elif tag in self.MARKS and not self.raw:
            self.open.append(tag)
            self._write(self.MARKS[tag])
        elif tag == "tr":
            self._break(1)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self.hidden = max(0, self.hidden - 1)
        elif tag in ("ul", "ol") and self.lists:
            self.lists.pop()
            self._break(1 if self.lists else 2)
        elif tag in _BLOCKS:
            self._write("\n```" if tag == "pre" and self.raw else "")
            self.quotes -= tag == "blockquote" and self.quotes > 0
            self.raw -= tag == "pre" and self.raw > 0
            self._break(1 if self.lists else 2)
        elif tag == "a" and self.links:
            href = self.links.pop()
            self._write(f"](<{href}>)" if re.search(r"[\s()]", href) else f"]({href})")
        elif tag in self.open:
            self.open.remove(tag)
            self._write(self.MARKS[tag])
        elif tag in ("td", "th"):
            self._write(" ")

    def handle_data(self, data: str) -> None:
        if self.hidden:
            return
        if not self.raw:
            data = re.sub(r"\s+", " ", data)
            last = self.parts[-1] if self.parts else "\n"
            data = data.lstrip() if last.endswith(("\n", " ")) else data
        self._write(data)

    def _item(self) -> None:
        self._break(1)
        if not self.lists:
            self.lists.append(-1)
        indent = "  " * min(len(self.lists) - 1, 50)
        if self.lists[-1] >= 0:
            self.lists[-1] += 1
        self._write(f"{indent}{self.lists[-1]}. " if self.lists[-1] > 0 else f"{indent}- ")

    def _write(self, text: str) -> None:
        if text:
            self.parts.append(text)

    def _break(self, lines: int) -> None:
        """At least so many line ends, none at the beginning of an item."""
        if not self.parts or re.fullmatch(r" *(- |\d+\. |(> )+)", self.parts[-1]):
            return
        tail = "".join(self.parts[-3:])
        have = len(tail) - len(tail.rstrip("\n"))
        mark = "> " * min(self.quotes, 5) if lines == 1 else ""
        self.parts.append("\n" * max(0, lines - have) + mark if have < lines else "")
