"""A Markdown reading list as people really write it -> an outline of sections and entries that keeps every line.

CommonMark glues a line to the bullet above it and flattens what is nested by two spaces; a reader does neither. An
entry here is a bullet, a numbered item or a paragraph with what is nested under it, by indentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from kb.formats.hits import is_bare_url
from kb.formats.lines import Line, label_of

_DEEPEST = 50  # levels of nesting; what lies deeper lies on the deepest
_COMMENT = re.compile(r"\(.*\)$")


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
            elif line.kind in ("front", "definition", "footnote"):
                continue
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
        while self.stack and (len(self.stack) >= _DEEPEST or not self._holds(self.stack[-1], line)):
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
        if line.kind == "text" and line.text.endswith(":") and following and following.no > line.no + 1:
            return following.linked and following.indent <= line.indent  # it leads over to the items below
        if line.kind == "text" and line.linked:
            return not (
                before.kind == "text" and before.text.endswith(":") and not before.linked and is_bare_url(line.text)
            )
        return bool(label_of(line)) or (before.kind == "bullet" and self._is_label(line, following))

    def _is_label(self, line: Line, following: Line | None) -> bool:
        if line.kind != "text" or following is None or following.kind != "bullet":
            return False
        short = len(line.text.split()) <= 8 and not line.text.endswith((".", "!", "?"))
        return short and following.indent <= max(line.indent, 1) and self.stack[-1].indent <= 1


def outline(lines: list[Line]) -> Section:
    """The file as a tree; its root section has no title."""
    return _Builder(lines).build()
