"""Entries of a reading list -> items: what a line names, what is said of it, what is only prose."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from kb.formats import reference as refs
from kb.formats.items import (
    ABSTRACT,
    KIND_WORDS,
    PAPER_SITES,
    PROGRESS,
    TODO,
    Item,
    Mention,
    generic,
    is_bare_url,
    is_name,
    kind_of,
    linked_image,
    marker,
    merge_meta,
)  # fmt: skip
from kb.formats.mojibake import repair
from kb.formats.outline import Entry, Line


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
        self.text = [repair(line.raw).rstrip() for line in lines]
        self.list = whole
        self.items = [whole]
        self.after_prose = False  # whether the entry above was prose about an item, which bullets below go on with

    def is_item(self, entry: Entry, context: Context, nested: bool) -> bool:
        head = entry.head
        if head.kind not in ("bullet", "text") or not head.text or TODO.match(head.text):
            return False
        if head.task:
            return True
        linked = [line for line in entry.lines[:2] if line.linked]
        ref = refs.parse_reference(head.text)
        if head.linked and (ref.urls or (ref.wanted and not ref.remark and len(ref.title.split()) <= 8)):
            beside = len(re.sub(r"\[[^\]]*\]\([^)]*\)|<?https?://\S+", "", head.text).split())
            return (
                (head.kind == "bullet" and not nested) or beside <= 20 or head.text.startswith(("[", "http", "<http"))
            )
        if linked or any(is_bare_url(child.head.text) for child in entry.children[:1]):
            return len(ref.title.split()) <= 20
        return context.names and head.kind == "bullet" and is_name(head.text)

    def note(self, item: Item, *lines: Line) -> None:
        item.lines += [line.no for line in lines]

    def file(self, item: Item, context: Context, *lines: Line, indent: str = "", marker: str = "-") -> None:
        self.note(item, *lines)
        self.items.append(item)
        (item.part_of or context.home).body.append(Mention(item, indent, marker))

    def item_of(self, ref: refs.Reference, context: Context) -> Item:
        """The item a reference makes, before its text: front matter in the house's keys."""
        item = Item(ref.title, ref.kind)
        if context.tags:
            item.meta["tags"] = list(context.tags)
        if m := re.search(r"\(([A-Z][A-Za-z]*[A-Z][A-Za-z]*)\)$", ref.title):
            item.meta["aliases"] = [m[1]]
        for key, value in (("year", ref.year), ("venue", ref.venue), ("authors", ref.authors)):
            if value:
                item.meta[key] = value
        if ref.private:
            item.meta["private"] = True
        merge_meta(item.meta, refs.link_meta(ref))
        return item

    def item(
        self, entry: Entry, context: Context, indent: str = "", extra: Line | None = None, under: Item | None = None
    ) -> Item:
        """File one entry as an item, with what is nested under it as its notes or as items of their own."""
        head, rest = entry.head, list(entry.lines[1:])
        text = head.text
        if not head.linked and rest and is_bare_url(rest[0].text):
            text = f"{text.rstrip(':')}: {rest.pop(0).text}"
        children = list(entry.children)
        if not re.search(r"https?://", text) and children and is_bare_url(children[0].head.text):
            url = children.pop(0)
            text, rest = f"{text}: {url.head.text}", [*rest, *url.lines[1:]]
            children = url.children + children
        ref = refs.parse_reference(text)
        if not re.search(r"https?://", head.text) and rest and generic(refs.parse_reference(rest[0].text).title):
            pointer = refs.parse_reference(rest.pop(0).text)
            ref.links, ref.remark = ref.links + pointer.links, f"{ref.remark} {pointer.title}.".strip()
        item = self.item_of(ref, context)
        item.part_of = under or context.part_of
        self._entitle(item, ref, context)
        if ref.wanted and not ref.urls:
            item.kind, item.body = "topic", [*item.body, *(f"[[{target}]]" for target in ref.wanted)]
        item.body += self._remarks(item, ref, rest)
        self.known_kind(item, context)
        status = {"x": "read", " ": "to-read"}.get(head.task) or context.status
        item.meta["status"] = status or ("reading" if item.meta.get("at") else "")
        own = [line for line in entry.lines if line is not extra]
        self.file(item, context, *own, *([extra] if extra else []), indent=indent, marker=marker(head))
        self._nested(item, children, context, entry)
        consumed = {line.no for child in entry.children if child not in children for line in child.lines}
        item.lines += sorted(consumed)
        self._progress(item)
        return item

    def _entitle(self, item: Item, ref: refs.Reference, context: Context) -> None:
        if ref.label and ref.label.isupper():
            item.body.append(ref.label)
        elif ref.label and ref.label.lower() not in refs.ROLES and ref.label.lower() not in KIND_WORDS:
            item.title = f"{ref.label}: {item.title}"
        if context.kind == "paper" and (m := re.fullmatch(r"(.+?) papers?", item.title, re.I)):
            item.title = m[1]
        if not item.title or generic(item.title):
            item.body += [item.title] if item.title else []
            name = next((s.value for s in item.sources if s.key == "arxiv"), "")
            item.title = f"arXiv {name}" if name else refs.title_from_url(ref.urls[0]) if ref.urls else item.title

    def _remarks(self, item: Item, ref: refs.Reference, rest: list[Line]) -> list[str]:
        """What is said of an item on its own line and on the lines right below."""
        found = [repair(ref.remark)] if ref.remark else []
        before = 0
        for line in rest:
            if role := refs.role_line(line.text):
                parsed = refs.parse_reference(role[1])
                keep = role[0] if role[0] in ("slides", "pdf", "paperpile") else ""
                merge_meta(item.meta, refs.link_meta(parsed, keep))
                continue
            if found and (line.no > before + 1 > 1 or not before):
                found.append("")
            found.append(linked_image(line.text))
            before = line.no
        return found

    def _nested(self, item: Item, children: list[Entry], context: Context, entry: Entry) -> None:
        """What is nested under an item: a ticked or linked line under a course or topic is an item of its own."""
        notes: list[Entry] = []
        for child in children:
            holds = item.kind in ("course", "topic") or bool(child.head.task)
            if holds and self.is_item(child, context, nested=True):
                part = replace(context, part_of=None, kind="lecture" if item.kind == "course" else context.kind)
                self.item(child, part, under=item)
            else:
                notes.append(child)
        if notes:
            first = min(child.indent for child in notes)
            if item.body and isinstance(item.body[-1], str) and item.body[-1].strip():
                item.body.append("")
            for child in notes:
                item.body += self._raw(child, first)
                self.note(item, *child.walk())

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
        if entry.head.kind == "quote" and beneath and self._abstract(beneath, entry):
            return last
        if home is self.list and not beneath and self._list_meta(entry):
            return None
        if home.body and home.body[-1] != "" and not self._continues(home, entry):
            home.body.append("")
        parts = [child for child in entry.children if not beneath and self.is_item(child, context, nested=True)]
        own = Entry(entry.lines, [child for child in entry.children if child not in parts])
        home.body += self._raw(own, 0)
        self.note(home, *own.walk())
        for part in parts:
            self.item(part, context, indent="  ")
        for line in entry.lines if entry.head.kind == "quote" else []:
            self._quoted_papers(line, context)
        return beneath

    def _continues(self, home: Item, entry: Entry) -> bool:
        """Whether an entry stands right below the last line filed with `home`."""
        if not home.lines:
            return False
        gap = self.lines[max(home.lines) : entry.head.no - 1]
        only_blank = all(line.kind == "blank" for line in gap)
        if entry.head.kind == "bullet" and isinstance(home.body[-1], str):
            after_prose = bool(re.match(r"\s*[-*+\d]", home.body[-1])) or home.body[-1].rstrip().endswith(":")
            return only_blank and after_prose and home is not self.list
        return not gap

    def _abstract(self, item: Item, entry: Entry) -> bool:
        """A quote marked as the work's abstract is its abstract, not the reader's prose."""
        text = " ".join(line.text.lstrip("> ").strip() for line in entry.lines)
        if not ABSTRACT.search(text[:14] + " … " + text[-18:]):
            return False
        item.meta["abstract"] = ABSTRACT.sub("", text[:14]) + text[14:-18] + ABSTRACT.sub("", text[-18:])
        item.meta["abstract"] = item.meta["abstract"].strip(" _*")
        item.kind = "paper" if item.kind == "post" else item.kind
        self.note(item, *entry.lines)
        return True

    def _list_meta(self, entry: Entry) -> bool:
        """`**Start:** 2025-01-04` at the top of a list is a date of the list."""
        for line in entry.lines:
            m = refs.meta_line(line.text)
            if not m or not self.labelled(self.list, *m):
                if self.list.body and self.list.body[-1] != "" and isinstance(self.list.body[-1], Mention):
                    self.list.body.append("")
                self.list.body.append(self.text[line.no - 1])
        self.note(self.list, *entry.walk())
        return not entry.children

    def _quoted_papers(self, line: Line, context: Context) -> None:
        """A paper linked from a quote is worth a note, even if the quote itself stays where it is."""
        for hit in refs.parse_reference(line.text.lstrip("> ")).links:
            meta = refs.link_meta(refs.Reference(links=[hit]))
            key = next((k for k in PAPER_SITES if k in meta), None)
            if key:
                item = Item(f"{'arXiv' if key == 'arxiv' else key} {meta[key]}", "paper", {"tags": list(context.tags)})
                merge_meta(item.meta, meta)
                self.file(item, context, line)

    def known_kind(self, item: Item, context: Context) -> None:
        """The kind, by what the line, its link, its heading and its title say, in that order."""
        if not item.kind:
            item.kind = kind_of(item, context.kind, bool(context.part_of))
        incomplete = next((k for k in ("arxiv", "doi") if k in item.meta), "")
        if incomplete and not item.meta.get("authors"):
            item.meta["incomplete"] = incomplete

    def _progress(self, item: Item) -> None:
        for line in item.body:
            if isinstance(line, str) and (m := PROGRESS.match(line)):
                item.meta["at"] = m[1]
                item.meta["status"] = item.meta["status"] or "reading"

    def labelled(self, item: Item, name: str, value: str) -> bool:
        """Take a line `**name:** value` into the front matter; False where it says something else."""
        if name in refs.DATES and (m := re.fullmatch(r"(\d{4}-\d\d-\d\d)\.?", value)):
            item.meta.setdefault(refs.DATES[name], m[1])
            return True
        if name not in refs.ROLES or len(value.split()) > 6:
            return False
        ref = refs.parse_reference(value)
        if not ref.urls:
            return False
        role = refs.ROLES[name]
        merge_meta(item.meta, refs.link_meta(ref, role if role in ("slides", "paperpile", "pdf") else ""))
        if name in ("blog", "post", "article"):
            item.kind = item.kind or "post"
        item.said = True
        return True
