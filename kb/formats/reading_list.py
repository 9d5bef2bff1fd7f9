"""A Markdown reading list -> works and topics as a careful person would file them, every line accounted for.

The outline (kb.formats.outline) says what stands under what; a reference (kb.formats.reference) says what a line names.
Here it is decided what becomes a note: a line that names a work is an item, a heading over items is a topic, a heading
over prose with `**Date:**` or a link is that work's notes, and what is said about either is kept in its own words.
"""

from __future__ import annotations

import re
from dataclasses import replace

from kb import frontmatter
from kb.formats import reference as refs
from kb.formats import tables
from kb.formats.details import known_kind, labelled, take_abstract
from kb.formats.dialects import to_markdown
from kb.formats.filing import Context, Filer
from kb.formats.hits import ROLES, is_bare_url, link_meta
from kb.formats.items import (
    COURSE,
    KIND_WORDS,
    NAMED,
    SCHOOL,
    STATE_WORDS,
    Item,
    ReadingList,
    generic,
    linked_image,
    merge_meta,
    named_after,
    tag_of,
)  # fmt: skip
from kb.formats.judging import LINKED_BADGE, TODO
from kb.formats.lines import Line, label_of, read_lines
from kb.formats.outline import Entry, Section, outline
from kb.ids import title_key


def read_reading_list(text: str, name: str, format: str = "list") -> ReadingList:
    """The text of a list, `name` its file's name -> what it holds. Reads anything; never raises."""
    if not text.strip():
        return ReadingList([], set(), whole=False)
    return _Reader(to_markdown(text, format), name).read()


class _Reader:
    """The headings and labels of a list; what stands under them goes to the filer."""

    def __init__(self, text: str, name: str) -> None:
        self.lines = read_lines(text)
        self.filer = Filer(self.lines, Item(named_after(re.sub(r"\.\w+$", "", name)) or "Reading list", "topic"))
        self.structure: set[int] = set()

    def read(self) -> ReadingList:
        tree = outline(self.lines)
        first = next((line for line in self.lines if line.kind not in ("blank", "structure", "front")), None)
        context = Context(self.filer.list)
        if tree.sections and first is tree.sections[0].line and first is not None and first.level == 1:
            top = tree.sections.pop(0)
            self.filer.note(self.filer.list, first)
            self._title(top.title)
            self._entries(top.entries, context)
            tree.sections[:0] = top.sections
        self._entries(tree.entries, context)
        for section in tree.sections:
            self._section(section, context)
        self._front_matter()
        for line in self.lines:
            if line.kind == "structure" and "://" in line.raw:  # no link is lost, not even a tool's own
                self.filer.list.body += ["", line.raw.strip()]
        self.structure |= {line.no for line in self.lines if line.kind == "structure"}
        if any(line.kind == "footnote" for line in self.lines):
            for item in self.filer.items:
                self._footnotes(item)
        said = {s.token: item.kind for item in self.filer.items if item.said for s in item.sources}
        for item in self.filer.items:  # what the list says of a work in one place holds in all
            item.kind = next((said[s.token] for s in item.sources if s.token in said), item.kind)
        return ReadingList(self.filer.items, self.structure)

    def _title(self, heading: str) -> None:
        """The first heading names the list."""
        badges = [f"[{m[1]}]({m[2]})" for m in LINKED_BADGE.finditer(heading)]
        heading = LINKED_BADGE.sub("", heading)
        ref, whole = refs.parse_reference(heading, marks=False), self.filer.list
        whole.title = ref.title or whole.title
        whole.body += [ref.remark] if ref.remark else []
        whole.body += [" ".join(badges)] if badges else []
        merge_meta(whole.meta, ({"year": ref.year} if ref.year else {}) | link_meta(ref.title, ref.links))

    def _front_matter(self) -> None:
        """The list's own title, tags and aliases; whatever else its front matter says is kept as it stands."""
        front = [line for line in self.lines if line.kind == "front"]
        if not front:
            return
        whole, named = self.filer.list, bool(self.filer.list.lines)
        meta = frontmatter.read(frontmatter.split("".join(f"{line.raw}\n" for line in front)))[0]
        title = str(meta.pop("title", ""))
        aliases = _names(meta.pop("aliases", None))
        if title and named and title_key(title) != title_key(whole.title):
            aliases.insert(0, title)
        whole.title = whole.title if named or not title else title
        merge_meta(whole.meta, {k: v for k, v in (("tags", _names(meta.pop("tags", None))), ("aliases", aliases)) if v})
        if any(value not in ("", [], {}, None) for value in meta.values()):
            whole.body += ["", "```yaml", *(line.raw.rstrip() for line in front[1:-1]), "```"]
        self.filer.note(whole, *front)

    def _footnotes(self, item: Item) -> None:
        """The footnotes that an item's lines refer to stand below its text."""
        for line in self.lines:
            if line.kind != "footnote" or line.no not in item.lines or is_bare_url(line.text):
                continue
            label = line.raw.strip().partition("]:")[0] + "]"
            referred = any(isinstance(part, str) and label in part for part in item.body)
            item.body += ["", line.shown if referred else line.text]

    # Headings

    def _section(self, section: Section, context: Context) -> None:
        assert section.line is not None
        if self._is_work(section):
            self._work(section, context)
            return
        inner = self._under(section.title, section.line, context)
        self._entries(section.entries, inner, context)
        for child in section.sections:
            self._section(child, inner)

    def _under(self, title: str, line: Line, context: Context, course: bool = False) -> Context:
        """The context below a heading: a word like `Papers` changes what items are, anything else is a topic."""
        ref = refs.parse_reference(title, marks=False)
        word = "" if ref.year or ref.urls or ref.remark else re.sub(r"^[^\w]+|[^\w]+$", "", ref.title).lower()
        if word in KIND_WORDS or word in STATE_WORDS:
            self.structure.add(line.no)
            kind, status = KIND_WORDS.get(word, ""), STATE_WORDS.get(word, "")
            return replace(context, kind=kind or context.kind, status=status or context.status, names=word in NAMED)
        topic = self._topic(title, line, context, course)
        tag = tag_of(topic.title)
        tags = context.tags if course else tuple(dict.fromkeys((*context.tags, tag)))
        return Context(topic, tags, context.kind, context.status, part_of=topic if course else None)

    def _topic(self, title: str, line: Line, context: Context, course: bool) -> Item:
        ref = refs.parse_reference(_bare(title), marks=False)
        ref.title = re.sub(r"\s+[\u2600-\u27bf\U0001f300-\U0001faff\ufe0f]+$", "", ref.title)
        topic = Item(ref.title or title, "course" if course else "topic")
        topic.meta |= ({"year": ref.year} if ref.year else {}) | link_meta(ref.title, ref.links)
        topic.meta |= {k: v for k, v in (("authors", ref.authors), ("venue", ref.venue)) if v}
        if ref.private:
            topic.meta["private"] = True
        topic.body += [ref.remark] if ref.remark else []
        if m := re.fullmatch(r"(.+?)\s+(\([^()]*\))", topic.title):
            topic.title, topic.body = m[1], [*topic.body, m[2]]
        topic.part_of = context.home if context.home is not self.filer.list else None
        if course and context.tags:
            topic.meta["tags"] = list(context.tags)
        self.filer.file(topic, context, line)
        return topic

    def _is_work(self, section: Section) -> bool:
        """A heading over `**Date:**`, `**Paper:** <url>` and the like, or with a year or link of its own, is a work."""
        assert section.line is not None
        ref = refs.parse_reference(section.title, marks=False)
        listed = [entry for entry in section.entries if entry.head.task or self._is_listed(entry)]
        if ref.year or ref.urls:
            return len(listed) < 2
        texts = [line for entry in section.entries if entry.head.kind == "text" for line in entry.lines]
        found = [m[0] for line in texts if (m := refs.meta_line(line.text))]
        return any(name in refs.DATES or name in ROLES for name in found)

    def _is_listed(self, entry: Entry) -> bool:
        """A bullet that begins with a link, as the items of a list do and notes seldom."""
        return entry.head.kind == "bullet" and entry.head.text.startswith(("[", "http", "<http", "**["))

    def _work(self, section: Section, context: Context) -> None:
        """A heading whose section is about one work: labelled lines are its metadata, the rest its notes."""
        assert section.line is not None
        ref = refs.parse_reference(section.title, marks=False)
        item = self.filer.item_of(ref, context)
        item.title = item.title or section.title
        item.body += [ref.remark, ""] if ref.remark else []
        first, last = section.line.no, max(line.no for line in section.walk())
        taken: set[int] = set()
        undated = False
        for line in section.walk():
            m = refs.meta_line(line.text) if line.kind == "text" else None
            if m and labelled(item, *m):
                taken.add(line.no)
            undated |= m is not None and m[0] in refs.DATES and bool(TODO.match(m[1]))
        for entry in section.entries:
            if entry.head.kind == "quote" and take_abstract(item, entry):
                taken |= {line.no for line in entry.lines}
        body = [self.filer.text[no - 1] if no not in taken else None for no in range(first + 1, last + 1)]
        item.body += [linked_image(line) for line in body if line is not None]
        if not item.meta.get("status"):
            started = "reading" if item.meta.get("started") else "to-read" if undated else ""
            item.meta["status"] = "read" if item.meta.get("finished") else started or context.status
        known_kind(item, context.kind, bool(context.part_of))
        self.filer.file(item, context, *section.walk())

    # Entries

    def _entries(self, entries: list[Entry], context: Context, outer: Context | None = None) -> None:
        """File what stands under a heading; `outer` is what the headings above that one say."""
        last: Item | None = None  # what prose right below is about
        held: Context | None = None  # a label like **Papers** holds until the next one
        n = 0
        while n < len(entries):
            if n and self._closed(entries[n - 1], entries[n]):
                held, last = None, None
            entry, here = entries[n], held or context
            if (label := self._label(entries, n)) is not None:
                title, scope, holds = label
                within = context
                if holds and n and outer and self._is_kind(title) and not self._is_kind(label_of(entries[0].head)):
                    within = outer  # `**Talks**` behind the works of a heading: another matter
                inner = self._labelled(title, entry, entries[n + 1 : n + 1 + scope], within if holds else here)
                held, last = (inner if holds else held), None
                n += 1 + scope
                continue
            n += 1
            last = None if self._parted(last, entry) else last
            if entry.head.kind == "bullet" and not entry.head.text and not entry.children and len(entry.lines) == 1:
                self.structure.add(entry.head.no)  # a bullet with nothing behind it
                continue
            if entry.head.kind == "table" and (table := tables.rows_of(entry.lines)):
                self._table(*table, here)
                last, self.filer.after_prose = None, False
                continue
            following = entries[n] if n < len(entries) else None
            if following and self._completes(entry, following):
                entry = Entry([*entry.lines, *following.lines], entry.children + following.children)
                n += 1
            if following and entry.lines[-1].text.endswith(":") and entry.head.kind == "text":
                last = None if self.filer.is_item(following, here, nested=False) else last  # it leads over
            if self.filer.is_item(entry, here, nested=False):
                last, self.filer.after_prose = self.filer.item(entry, here), False
            else:
                last = self.filer.prose(entry, here, last)
                self.filer.after_prose = last is not None

    def _is_kind(self, title: str) -> bool:
        return bool(KIND_WORDS.get(_bare(title).lower()))

    def _closed(self, above: Entry, below: Entry) -> bool:
        """Whether a </details> stands between two entries."""
        between = self.lines[max(line.no for line in above.walk()) : below.head.no - 1]
        return any("</details" in line.raw.lower() for line in between)

    def _table(self, header: list[str], rows: list[Line], shape: list[Line], context: Context) -> None:
        """The rows of a table as items; its first lines say what the columns hold."""
        self.structure |= {line.no for line in shape}
        for line in rows:
            self.filer.row(line, *tables.row(line, header), context)

    def _parted(self, last: Item | None, entry: Entry) -> bool:
        """Whether a rule or a tag stands between an item and what follows."""
        between = self.lines[max(last.lines) : entry.head.no - 1] if last and last.lines else []
        return any(line.kind == "structure" for line in between)

    def _label(self, entries: list[Entry], at: int) -> tuple[str, int, bool] | None:
        """A line that acts as a heading: its words, how many entries stand under it, and whether it holds on below.
        None for any other line."""
        entry, after = entries[at], len(entries) - at - 1
        if entry.head.kind != "text" or entry.head.linked or entry.children or len(entry.lines) > 1:
            return None
        bold = label_of(entry.head)
        title = bold or entry.head.text
        if TODO.match(title):
            return None
        below = (entries[n - 1 : n + 1] for n in range(at + 1, len(entries)))
        closed = (e.head.kind != "bullet" or self._closed(b, e) for b, e in below)
        bullets = next((n for n, ends in enumerate(closed) if ends), after)
        word = _bare(title).lower()
        if bold and (word in KIND_WORDS or word in STATE_WORDS):
            return title, 0, True
        if not bullets or len(title.split()) > 8 or (not bold and title.endswith((".", "!", "?", ","))):
            return None
        known = word in KIND_WORDS or word in STATE_WORDS
        named = entries[at + 1].head.linked or entries[at + 1].head.task
        return (title, bullets, False) if named or known else None

    def _labelled(self, title: str, entry: Entry, scope: list[Entry], context: Context) -> Context:
        """File what stands under a label; the context it makes."""
        text = " ".join(e.head.text for e in scope)
        lectures = any(re.match(r"lecture\b", e.head.text, re.I) for e in scope) or "list=PL" in text
        course = bool(scope) and (lectures or bool(COURSE.search(title) or SCHOOL.search(title)))
        if scope and is_bare_url(scope[0].head.text) and not any(e.head.linked for e in scope[1:]):
            here = replace(context, kind="course") if course else context
            lines = [replace(entry.head, text=f"{title.rstrip(':')}: {scope[0].head.text}")]
            self.filer.item(
                Entry([*lines, *scope[0].lines[1:]], scope[0].children + scope[1:]), here, extra=scope[0].head
            )
            return context
        inner = self._under(title, entry.head, context, course)
        if scope:
            self._entries(scope, inner)
        return inner

    def _completes(self, entry: Entry, following: Entry) -> bool:
        """`Watch the full video <url>` right below an entry without a link is that entry's link."""
        if entry.head.kind != "bullet" or entry.head.linked or not following.head.linked or entry.head.task:
            return False
        return following.head.kind == "bullet" and bool(generic(refs.parse_reference(following.head.text).title))


def _bare(title: str) -> str:
    """A heading or label without the colon behind it."""
    return title.rstrip(": \t\xa0")


def _names(value: object) -> list[str]:
    """Tags or aliases of a front matter as people write them: a list, or words with commas."""
    found = value if isinstance(value, list) else re.split(r"[,\s]+", value) if isinstance(value, str) else []
    return list(dict.fromkeys(str(v).lstrip("#") for v in found if v))
