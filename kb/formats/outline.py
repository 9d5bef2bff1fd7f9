"""A Markdown reading list as people really write it -> an outline of sections and entries that keeps every line.

CommonMark glues a line to the bullet above it and flattens what is nested by two spaces; a reader does neither. An
entry here is a bullet, a numbered item or a paragraph with what is nested under it, by indentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from kb.formats.mojibake import repair

_HEADING = re.compile(r"(#{1,6})[ \t]+(.*?)[ \t]*#*$")
_BULLET = re.compile(r"([-*+•‣▪]|\d{1,3}[.)])(?:[ \t]+|$)(?:\[([ xX✓✔-])\](?:[ \t]+|$))?(.*)")
_RULE = re.compile(r"([-*_=])(?:[ \t]*\1){2,}[ \t]*$")
_LABEL = re.compile(r"(\*{2,3}|__)(?!\s)([^*_]+?)\s*:?\s*\1\s*:?$")
_LINKED = re.compile(r"https?://|\[\[|\]\([^)]|<https?:", re.I)
_COMMENT = re.compile(r"\(.*\)$")


@dataclass
class Line:
    """One line of the file. `text` is repaired and without its marker; `task` is ' ' or 'x' where it has a checkbox."""

    no: int
    raw: str
    kind: str  # heading, bullet, quote, text, fence, table, structure or blank
    indent: int
    text: str
    level: int = 0
    marker: str = ""
    task: str = ""

    @property
    def linked(self) -> bool:
        return _LINKED.search(self.text) is not None


@dataclass
class Entry:
    """One item or paragraph: its own lines, then what is nested under it."""

    lines: list[Line]
    children: list[Entry] = field(default_factory=list)

    @property
    def head(self) -> Line:
        return self.lines[0]

    @property
    def indent(self) -> int:
        return self.head.indent

    def walk(self) -> Iterator[Line]:
        """Its lines and those nested under it, in the order of the file."""
        found = [*self.lines, *(line for child in self.children for line in child.walk())]
        yield from sorted(found, key=lambda line: line.no)


@dataclass
class Section:
    """What stands under one heading, or under one line that acts as a heading (`**Papers**`, `To read`)."""

    title: str
    level: int
    line: Line | None
    entries: list[Entry] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)

    def walk(self) -> Iterator[Line]:
        found = [self.line] if self.line else []
        found += [line for entry in self.entries for line in entry.walk()]
        found += [line for section in self.sections for line in section.walk()]
        yield from sorted(found, key=lambda line: line.no)


def read_lines(text: str) -> list[Line]:
    """Every line with its kind; lines inside fences, comments and front matter are marked as a whole."""
    found: list[Line] = []
    inside = ""  # what ends the block we are in
    toc = False
    for no, raw in enumerate(text.split("\n"), 1):
        raw = raw.rstrip("\r")
        line = _classify(no, raw)
        if inside:
            ends = inside in raw if inside == "-->" else raw.strip().startswith(inside) and not raw.strip(" \t`~-.")
            line.kind = ("structure" if inside == "---" else "fence") if raw.strip() else "blank"
            inside = "" if ends else inside
        elif no == 1 and raw.rstrip() == "---" and "\n---" in text:
            line.kind, inside = "structure", "---"
        elif m := re.match(r"[ \t]*(`{3,}|~{3,})", raw):
            line.kind, inside = "fence", m[1]
        elif raw.strip().startswith("<!--"):
            line.kind, inside = "fence", "" if "-->" in raw else "-->"
        toc = _in_contents(line, toc)
        found.append(line)
    return found


def _in_contents(line: Line, toc: bool) -> bool:
    """A table of contents that a tool wrote between two comments shapes nothing and says nothing new."""
    if line.raw.lstrip().startswith("<!--") and re.search(r"\btoc\b", line.raw, re.I):
        line.kind = "structure"
        return not re.search(r"\b(end|stop)\b|/toc", line.raw, re.I)
    if toc and line.kind != "blank":
        line.kind = "structure"
    return toc


def _classify(no: int, raw: str) -> Line:
    expanded = raw.expandtabs(4)
    stripped = expanded.strip()
    indent = len(expanded) - len(expanded.lstrip())
    if not stripped:
        return Line(no, raw, "blank", 0, "")
    if (m := _HEADING.match(stripped)) and indent < 4:
        return Line(no, raw, "heading", 0, repair(m[2].strip()), level=len(m[1]))
    if _RULE.match(stripped) or stripped.upper() in ("[TOC]", "[[_TOC_]]", "[[TOC]]"):
        return Line(no, raw, "structure", indent, stripped)
    if stripped.startswith(">"):
        return Line(no, raw, "quote", indent, repair(stripped))
    if stripped.startswith("|") and stripped.endswith("|"):
        return Line(no, raw, "table", indent, repair(stripped))
    if (m := _BULLET.match(stripped)) and not _LABEL.match(stripped):
        task = {"x": "x", "✓": "x", "✔": "x", " ": " ", "-": " "}.get((m[2] or "").lower(), "")
        return Line(no, raw, "bullet", indent, repair(m[3].strip()), marker=m[1], task=task)
    return Line(no, raw, "text", indent, repair(stripped))


def label_of(line: Line) -> str:
    """'Papers' of a line `**Papers:**` that stands alone; '' where a line is no such label."""
    m = _LABEL.match(line.text)
    return m[2].strip() if m and line.kind == "text" else ""


class _Builder:
    """Puts lines where they belong; `stack` holds the entries that a nested line may belong to, outermost first."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self.root = Section("", 0, None)
        self.path = [self.root]
        self.stack: list[Entry] = []
        self.after_blank = True

    def build(self) -> Section:
        for n, line in enumerate(self.lines):
            if line.kind == "blank":
                self.after_blank = True
                continue
            if line.kind == "heading":
                self._open(line)
            elif line.kind == "bullet":
                self._bullet(line)
            elif line.kind != "structure":
                self._text(line, self._next(n))
            elif not line.text.startswith(("<!--", "[")):
                self.stack = []  # a rule ends a list
            self.after_blank = False
        return self.root

    def _next(self, n: int) -> Line | None:
        """The following line that is not blank."""
        return next((line for line in self.lines[n + 1 :] if line.kind != "blank"), None)

    def _open(self, line: Line) -> None:
        while self.path[-1].level >= line.level:
            self.path.pop()
        section = Section(line.text, line.level, line)
        self.path[-1].sections.append(section)
        self.path.append(section)
        self.stack = []

    def _add(self, entry: Entry, parent: Entry | None) -> None:
        (parent.children if parent else self.path[-1].entries).append(entry)

    def _bullet(self, line: Line) -> None:
        while self.stack and not self._holds(self.stack[-1], line):
            self.stack.pop()
        entry = Entry([line])
        self._add(entry, self.stack[-1] if self.stack else None)
        self.stack.append(entry)

    def _holds(self, entry: Entry, line: Line) -> bool:
        """A bullet belongs to a bullet that stands further left, and to a linked line of text right above it."""
        if entry.head.kind == "bullet":
            return line.indent > entry.indent + 1 or (line.indent > entry.indent and not line.task)
        under = line.indent > entry.indent or (line.indent == entry.indent and not line.linked)
        return under and entry.head.linked and entry.head.kind == "text" and not self.after_blank

    def _text(self, line: Line, following: Line | None) -> None:
        if self.stack and line.indent >= 2 and self._owner(line):
            owner = self._owner(line)
            assert owner is not None
            owner.lines.append(line)
            return
        if self.stack and not self.after_blank and not self._stands_alone(line, following):
            self.stack[-1].lines.append(line)
            return
        entry = Entry([line])
        self.stack = [entry]
        self._add(entry, None)

    def _owner(self, line: Line) -> Entry | None:
        """The innermost entry that stands further left than an indented line."""
        inner = [entry for entry in self.stack if entry.indent < line.indent]
        return inner[-1] if inner else None

    def _stands_alone(self, line: Line, following: Line | None) -> bool:
        """Whether a line right below an entry is an item, a label or a quote of its own, and no remark on it."""
        if _COMMENT.match(line.text):
            return False
        before = self.stack[-1].lines[-1]
        if line.kind != before.kind and line.kind in ("quote", "table", "fence"):
            return True
        if line.kind == "text" and line.linked:
            return not (
                before.kind == "text" and before.text.endswith(":") and not before.linked and _is_url(line.text)
            )
        return bool(label_of(line)) or (before.kind == "bullet" and self._is_label(line, following))

    def _is_label(self, line: Line, following: Line | None) -> bool:
        if line.kind != "text" or following is None or following.kind != "bullet":
            return False
        short = len(line.text.split()) <= 8 and not line.text.endswith((".", "!", "?"))
        return short and following.indent <= max(line.indent, 1) and self.stack[-1].indent <= 1


def _is_url(text: str) -> bool:
    return re.fullmatch(r"<?https?://\S+>?", text) is not None


def outline(lines: list[Line]) -> Section:
    """The file as a tree; its root section has no title."""
    return _Builder(lines).build()
