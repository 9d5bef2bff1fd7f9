"""Entries of a reading list -> items: what a line names, what is said of it, what is only prose."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from kb.formats import reference as refs
from kb.formats.details import known_kind, labelled, note_parts, note_progress, take_abstract
from kb.formats.hits import ROLES, is_bare_url, link_meta, role_line
from kb.formats.items import (
    KIND_WORDS,
    PAPER_SITES,
    Item,
    Mention,
    generic,
    linked_image,
    marker,
    merge_meta,
)  # fmt: skip
from kb.formats.judging import groups, is_item, is_part
from kb.formats.lines import Line
from kb.formats.mojibake import repair
from kb.formats.outline import Entry
from kb.ids import SERVICES
from kb.sources.url_titles import url_title
from kb.verbs.references import provisional_title

_LIST_LINE = re.compile(r"\s*(?:[-*+]|\d{1,3}[.)])\s")
_LINKED = ("url", "code", "video", "slides", "seen")
_STATUSES = {"x": "read", " ": "to-read", "/": "reading", "-": "dropped"}


@dataclass(frozen=True)
class Context:
    """What the headings above say: where prose goes, the tags, the kind and status of what stands below."""

    home: Item
    tags: tuple[str, ...] = ()
    kind: str = ""
    status: str = ""
    names: bool = False
    part_of: Item | None = None


class Filer:
    """Turns entries into items, in the order of the file. `list` is the item of the list itself."""

    def __init__(self, lines: list[Line], whole: Item) -> None:
        self.lines = lines
        self.text = [line.shown for line in lines]
        self.list = whole
        self.items = [whole]
        self._last: dict[int, int] = {}  # the last line that each item has, by its identity
        self.after_prose = False  # whether the entry above was prose about an item, which bullets below go on with

    def is_item(self, entry: Entry, context: Context, nested: bool) -> bool:
        return is_item(entry, context.names, nested)

    def note(self, item: Item, *lines: Line) -> None:
        item.lines += [no for line in lines for no in (line.no, *line.needs)]
        self._last[id(item)] = max([self._last.get(id(item), 0), *(line.no for line in lines)])

    def file(self, item: Item, context: Context, *lines: Line, indent: str = "", marker: str = "-") -> None:
        self.note(item, *lines)
        self.items.append(item)
        item.home = item.part_of or context.home
        (item.part_of or context.home).body.append(Mention(item, indent, marker))

    def item_of(self, ref: refs.Reference, context: Context) -> Item:
        """The item a reference makes, before its text: front matter in the house's keys."""
        item = Item(ref.title, ref.kind)
        if tags := list(dict.fromkeys((*context.tags, *ref.marks.tags))):
            item.meta["tags"] = tags
        item.meta |= ref.marks.dates | ({"rating": ref.marks.rating} if ref.marks.rating else {})
        if m := re.search(r"\(([A-Z][A-Za-z]*[A-Z][A-Za-z]*)\)$", ref.title):
            item.meta["aliases"] = [m[1]]
        for key, value in (("year", ref.year), ("venue", ref.venue), ("authors", ref.authors)):
            if value:
                item.meta[key] = value
        if ref.private:
            item.meta["private"] = True
        merge_meta(item.meta, link_meta(ref.title, ref.links))
        return item

    def item(
        self, entry: Entry, context: Context, indent: str = "", extra: Line | None = None, under: Item | None = None
    ) -> Item:
        """File one entry as an item, with what is nested under it as its notes or as items of their own."""
        head = entry.head
        ref, rest, children = self._gather(entry)
        item = self.item_of(ref, context)
        item.part_of = under or context.part_of
        self._entitle(item, ref, context)
        if ref.wanted and not ref.urls:
            item.kind, item.body = "topic", [*item.body, *(f"[[{target}]]" for target in ref.wanted)]
        elif groups(entry):
            item.kind = "topic"
        item.body += self._remarks(item, ref, rest)
        if ref.urls and (wanted := [f"[[{t}]]" for t in ref.wanted if f"[[{t}" not in ref.remark]):
            item.body += [*([""] if item.body else []), " ".join(wanted)]
        attached = [hit.role for hit in ref.links if not hit.wiki]  # `[pdf](…) [code](…)` behind a title
        if (not head.linked and entry.children) or (attached and all(attached) and (context.kind or len(attached) > 1)):
            item.kind = item.kind or context.kind or ("paper" if attached[1:] else "")
        known_kind(item, context.kind, bool(context.part_of))
        self._status(item, ref, head.task, context)
        own = [line for line in entry.lines if line is not extra]
        self.file(item, context, *own, *([extra] if extra else []), indent=indent, marker=marker(head))
        self._nested(item, children, context)
        consumed = [line for child in entry.children if child not in children for line in child.lines]
        self.note(item, *(line for line in consumed if line.no not in item.lines))
        note_progress(item)
        return item

    def row(self, line: Line, ref: refs.Reference, meta: dict[str, Any], said: list[str], context: Context) -> None:
        """File one row of a table."""
        item = self.item_of(ref, context)
        item.part_of = context.part_of
        self._entitle(item, ref, context)
        tags = [*item.meta.get("tags", []), *meta.pop("tags", [])]
        item.meta["tags"] = list(dict.fromkeys(tags))
        status = meta.pop("status", "")
        merge_meta(item.meta, {key: value for key, value in meta.items() if key not in item.meta or key in _LINKED})
        item.body += [linked_image(text) for text in dict.fromkeys(said)]
        item.body = [part for text in item.body for part in (text, "")][:-1]
        known_kind(item, context.kind, bool(context.part_of))
        self._status(item, ref, "", context)
        item.meta["status"] = status or item.meta["status"]
        self.file(item, context, line)

    def _gather(self, entry: Entry) -> tuple[refs.Reference, list[Line], list[Entry]]:
        """What an entry's first line says, with the links right below it; the lines and children left over."""
        head, rest, children = entry.head, list(entry.lines[1:]), list(entry.children)
        text = head.text
        if not head.linked and rest and is_bare_url(rest[0].text):
            text = f"{text.rstrip(':')}: {rest.pop(0).text}"
        found = re.search(r"https?://", text) is not None
        while not found and children and is_bare_url(children[0].head.text) and not children[0].head.task:
            url = children.pop(0)
            text, rest = f"{text.rstrip(':')}: {url.head.text}", [*rest, *url.lines[1:]]
            children = url.children + children
        ref = refs.parse_reference(text)
        if not re.search(r"https?://", head.text) and rest and generic(refs.parse_reference(rest[0].text).title):
            pointer = refs.parse_reference(rest.pop(0).text)
            ref.links, ref.remark = ref.links + pointer.links, f"{ref.remark} {pointer.title}.".strip()
        return ref, rest, children

    def _status(self, item: Item, ref: refs.Reference, task: str, context: Context) -> None:
        """The state of a work, by its box, the marks on its line and the heading, in that order; a date beside a ticked
        box is the day it was ticked, any other date stays among the words."""
        marks, meta = ref.marks, item.meta
        boxed = _STATUSES.get(task, "")
        status = boxed if boxed not in ("", "to-read") else marks.status or boxed or context.status
        if not status or status == "to-read":
            dated = "read" if "finished" in meta else "reading" if "started" in meta or "at" in meta else ""
            status = dated if dated and not boxed else status or dated
        meta["status"] = status
        if marks.day and status == "read" and "finished" not in meta and (boxed or marks.status):
            meta["finished"] = marks.day
        elif marks.day:
            marks.others.append(marks.day)
        if marks.others:
            item.body[:0] = [" ".join(marks.others), *([""] if item.body else [])]

    def _entitle(self, item: Item, ref: refs.Reference, context: Context) -> None:
        if ref.label and ref.label.isupper():
            item.body.append(ref.label)
        elif ref.label and ref.label.lower() not in ROLES and ref.label.lower() not in KIND_WORDS:
            item.title = f"{ref.label}: {item.title}"
        if context.kind == "paper" and (m := re.fullmatch(r"(.+?) papers?", item.title, re.I)):
            item.title = m[1]
        if not item.title or generic(item.title):
            item.body += [item.title] if item.title else []
            item.provisional = True
            source = next((s for s in item.sources if s.key in SERVICES), next(iter(item.sources), None))
            made_up = provisional_title(source) if source else url_title(ref.urls[0]) if ref.urls else ""
            item.title = made_up or item.title
        if not item.title:
            said = next((hit.text for hit in ref.links), "") or ref.remark or " ".join(ref.marks.others) or "Untitled"
            item.title = re.sub(r"^\d{4}-\d\d-\d\d[-\s]*|\.md$", "", said) or said

    def _remarks(self, item: Item, ref: refs.Reference, rest: list[Line]) -> list[str]:
        """What is said of an item on its own line and on the lines right below."""
        found = [repair(ref.remark)] if ref.remark else []
        before = 0
        for line in rest:
            if role := role_line(line.text):
                parsed = refs.parse_reference(role[1])
                keep = role[0] if role[0] in ("slides", "pdf", "paperpile") else ""
                merge_meta(item.meta, link_meta(item.title, parsed.links, keep))
                continue
            if found and (line.no > before + 1 > 1 or not before):
                found.append("")
            found.append(linked_image(line.text))
            before = line.no
        return found

    def _nested(self, item: Item, children: list[Entry], context: Context) -> None:
        """What is nested under an item: a ticked or linked line under a course or topic is an item of its own, a line
        like `Code: <url>` or `Authors: …` is metadata, all else are its notes."""
        notes = [child for child in children if not self._is_part(item, child, context)]
        for child in children:
            if child in notes:
                if item.body and isinstance(item.body[-1], str) and item.body[-1].strip() and child is notes[0]:
                    item.body.append("")
                item.body += self._raw(child, child.indent)
                self.note(item, *child.walk())
            elif self._holds(item, child, context):
                part = replace(context, part_of=None, kind="lecture" if item.kind == "course" else context.kind)
                self.item(child, part, under=item)
        note_parts(item, [child for child in children if child.head.task and is_part(child)])

    def _holds(self, item: Item, child: Entry, context: Context) -> bool:
        return (item.kind in ("course", "topic") or bool(child.head.task)) and self.is_item(child, context, nested=True)

    def _is_part(self, item: Item, child: Entry, context: Context) -> bool:
        """Whether a nested entry is an item of its own or metadata, which it then is taken for."""
        if self._holds(item, child, context):
            return True
        if child.children or child.head.task or len(child.lines) > 1:
            return False
        m = refs.meta_line(child.head.text)
        role = role_line(child.head.text)
        if role and not m:
            merge_meta(item.meta, link_meta(item.title, refs.parse_reference(role[1]).links, role[0]))
        if (m and labelled(item, *m)) or (role and not m):
            self.note(item, child.head)
            return True
        return False

    def _raw(self, entry: Entry, dedent: int) -> list[str]:
        """An entry's lines as they stand, moved left by `dedent` columns, with the blank lines between them."""
        lines = list(entry.walk())
        found = []
        for before, line in zip([None, *lines], lines, strict=False):
            if before is not None and line.no > before.no + 1:
                found.append("")
            text = self.text[line.no - 1].expandtabs(4)
            indent = len(text) - len(text.lstrip())
            found.append(linked_image(text[min(dedent, indent) :]))
        return found

    def prose(self, entry: Entry, context: Context, last: Item | None) -> Item | None:
        """Keep what is no item: with the item right above where it speaks of that, else with the topic."""
        beneath = last if last and entry.head.kind in ("quote", "text", "fence", "table") else None
        if last and entry.head.kind == "bullet" and self.after_prose and self._continues(last, entry):
            beneath = last
        home = beneath or context.home
        if entry.head.kind == "quote" and beneath and take_abstract(beneath, entry):
            self.note(beneath, *entry.lines)
            return last
        if home is self.list and not beneath and self._list_meta(entry):
            return None
        self._separate(home, entry)
        parts = [child for child in entry.children if not beneath and self.is_item(child, context, nested=True)]
        own = Entry(entry.lines, [child for child in entry.children if child not in parts])
        home.body += self._raw(own, 0)
        self.note(home, *own.walk())
        if home.kind == "course":
            note_progress(home)
        for part in parts:
            self.item(part, context, indent="  ")
        for line in entry.lines if entry.head.kind == "quote" else []:
            self._quoted_papers(line, context)
        return beneath

    def _separate(self, home: Item, entry: Entry) -> None:
        """A blank line where there was one in the list, or where text would run into a list; none between bullets."""
        if not home.body or home.body[-1] == "":
            return
        above = home.body[-1]
        listed = isinstance(above, Mention) or _LIST_LINE.match(above) is not None
        bullets = listed and entry.head.kind == "bullet"
        right_below = isinstance(above, str) and self._last.get(id(home), 0) == entry.head.no - 1
        right_below = right_below and self.lines[entry.head.no - 2].kind == entry.head.kind
        if not bullets and (not right_below or (listed and entry.head.kind != "bullet")):
            home.body.append("")

    def _continues(self, home: Item, entry: Entry) -> bool:
        """Whether a bullet goes on with what was said of `home`: bullets, or a line that ends with a colon."""
        if not home.lines or not home.body or not isinstance(home.body[-1], str) or home is self.list:
            return False
        gap = self.lines[self._last[id(home)] : entry.head.no - 1]
        above = home.body[-1].rstrip()
        return all(line.kind == "blank" for line in gap) and bool(_LIST_LINE.match(above) or above.endswith(":"))

    def _list_meta(self, entry: Entry) -> bool:
        """`**Start:** 2025-01-04` at the top of a list is a date of the list."""
        if entry.children:
            return False
        for n, line in enumerate(entry.lines):
            m = refs.meta_line(line.text)
            if not m or not labelled(self.list, *m):
                if n == 0 or (self.list.body and isinstance(self.list.body[-1], Mention)):
                    self._separate(self.list, entry)
                self.list.body.append(linked_image(self.text[line.no - 1]))
        self.note(self.list, *entry.walk())
        return True

    def _quoted_papers(self, line: Line, context: Context) -> None:
        """A paper linked from a quote is worth a note, even if the quote itself stays where it is."""
        for hit in refs.parse_reference(line.text.lstrip("> ")).links:
            meta = link_meta("", [hit])
            key = next((k for k in PAPER_SITES if k in meta), None)
            if key:
                item = Item(f"{'arXiv' if key == 'arxiv' else key} {meta[key]}", "paper", {"tags": list(context.tags)})
                merge_meta(item.meta, meta)
                known_kind(item, context.kind, bool(context.part_of))
                self.file(item, context, line)
