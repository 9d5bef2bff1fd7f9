"""Items of lists -> the text of notes: new notes whole, old notes with what the lists changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from kb import frontmatter
from kb.files import read_bytes
from kb.formats.items import Item, Mention
from kb.ids import source_url, title_key
from kb.importing.catalogue import item_key
from kb.library import Library
from kb.links import find_links
from kb.merging import merge_lines, merge_meta
from kb.names import name_key
from kb.note import KEY_ORDER, STATUSES, WORK_KEYS, Note, parse_note
from kb.problem import KbError, Stale
from kb.verbs.merge import additions

_URL = re.compile(r"https?://[^\s)>\]]+")
_NEARLY = 85  # of 100: one line in two wordings
_PROGRESS = ("", "inbox", "to-read", "reading", "read")
_FURTHER = ("", "inbox", "to-read", "dropped", "reading", "read")  # of what a list says in two places, the last wins


@dataclass
class Filing:
    """One item of a list and the note it goes to. `skip` says why it goes to none, `place` is where it stands
    (list:line), `key` what it was known by before a review gave it another title, `row` what the last import recorded
    of it."""

    list: str
    item: Item
    id: str = ""
    path: str = ""
    merged: bool = False
    base: Item | None = None
    skip: str = ""
    place: str = ""
    key: str = ""
    row: dict[str, Any] | None = None
    again: bool = False  # whether the list may have been here before and its old text is lost

    @property
    def line(self) -> int:
        return min(self.item.lines, default=0)

    @property
    def origin(self) -> str:
        """The file that an item came from."""
        return f"{self.list}/{self.item.place}" if self.item.place else self.list

    @property
    def imported(self) -> str:
        if self.item.place:
            return self.origin
        return f"{self.list}:{self.line}" if self.line else self.list


@dataclass
class PlannedNote:
    """A note that an import makes or changes. `action` is created, updated or unchanged."""

    id: str
    path: str
    action: str
    filings: list[Filing]
    data: bytes
    before: bytes | None
    conflicts: list[str] = field(default_factory=list)

    @property
    def places(self) -> list[dict[str, Any]]:
        return [{"file": f.origin, "line": 1 if f.item.place else f.line} for f in self.filings]


class Renderer:
    """Items -> the text of notes. `targets` says where each item of the lists goes, `written` the note, by key,
    that an item of the last import was linked as, `files` names pictures that come with them."""

    def __init__(
        self,
        targets: Mapping[int, Filing],
        written: Mapping[str, str],
        library: Library,
        today: date,
        files: Iterable[str] = (),
    ) -> None:
        self.targets, self.written, self.library, self.today = targets, written, library, today
        kept = [filing for filing in targets.values() if not filing.skip]
        self.known = {filing.id for filing in kept} | {name_key(name) for name in files}
        for filing in kept:
            names = [filing.item.title, *filing.item.meta.get("aliases", [])] if filing.item.record else []
            self.known |= {name_key(name) for name in names}

    def create(self, path: str, filings: list[Filing]) -> PlannedNote:
        first = filings[0]
        meta = self.meta(first.item) | {"added": first.item.meta.get("added", self.today.isoformat())}
        for other in filings[1:]:
            if other.item.record:
                meta |= additions(Note(first.id, path, meta, ""), self.meta(other.item), None, self._is_taken(path))
            else:
                self._join(meta, other.item)
        meta["imported"] = list(dict.fromkeys(f.imported for f in filings))
        meta["kind"] = next((f.item.kind for f in filings if f.item.said), meta["kind"])
        body = "\n\n".join(filter(None, (self.body(f.item) for f in filings)))
        meta["wanted"] = self._wanted(body)
        ordered = {key: meta[key] for key in KEY_ORDER if meta.get(key)}
        text = frontmatter.compose(ordered, body)
        if first.item.front:
            head, end, below = text.partition("\n---\n")
            text = f"{head}\n{first.item.front.rstrip()}{end}{below}"
        text = text.replace("\n", "\r\n") if first.item.crlf else text
        return PlannedNote(first.id, path, "created", filings, text.encode(), None)

    def _wanted(self, body: str) -> list[str]:
        """The [[links]] of a list that lead to no note: they came with it, and are no mistake of the person's."""
        targets = dict.fromkeys(link.target for link in find_links(body) if link.wiki and link.target)
        return [t for t in targets if name_key(t) not in self.known and not self.library.index.resolve(t)]

    def _join(self, meta: dict[str, Any], item: Item) -> None:
        """A second place where a work stands: what the first did not say, and the status that is further on."""
        more = self.meta(item)
        if name := self._other_name(meta, item):
            more["aliases"] = [name, *more.get("aliases", [])]
        for key, value in more.items():
            if key in ("tags", "aliases", "seen"):
                meta[key] = list(dict.fromkeys([*meta.get(key, []), *value]))
            elif key == "status":
                meta[key] = max(meta.get(key, ""), value, key=_FURTHER.index)
            elif key != "incomplete" and meta.setdefault(key, value) != value and key in WORK_KEYS:
                meta["seen"] = list(dict.fromkeys([*meta.get("seen", []), source_url(key, value)]))

    def _other_name(self, meta: Mapping[str, Any], item: Item) -> str:
        """What a list calls a work in another place, where that is not what the note says of it already."""
        if item.provisional:
            return ""
        known = " ".join(str(meta.get(key, "")) for key in ("title", "venue", "authors", "year", "aliases"))
        return "" if set(title_key(item.title).split()) <= set(title_key(known).split()) else item.title

    def meta(self, item: Item) -> dict[str, Any]:
        """An item's front matter as it stands in a note."""
        meta = {"title": item.title, "kind": item.kind} | {
            k: v for k, v in item.meta.items() if v not in ("", [], None)
        }
        if item.kind not in ("topic", "log"):
            meta.setdefault("status", "inbox")
        if item.part_of and (parent := self._id_of(item.part_of)):
            meta["part_of"] = parent
        return meta

    def _id_of(self, item: Item) -> str:
        """The note of an item, of this import or the last; empty where it has none."""
        if filing := self.targets.get(id(item)):
            return "" if filing.skip else filing.id
        return str(self.written.get(item_key(item), ""))

    def body(self, item: Item) -> str:
        """An item's text; where another item stands in it, a link to its note."""
        lines: list[str] = []
        shown: set[str] = set()
        if item.record:
            return "\n".join(part for part in item.body if isinstance(part, str)).strip("\n")
        for part in item.body:
            if isinstance(part, str):
                if lines and _is_link(lines[-1]) and part.strip() and not part.lstrip().startswith(("-", "*", "+")):
                    lines.append("")
                lines.append(part)
                continue
            text = self._mention(part)
            if text in shown:
                continue
            shown.add(text)
            if lines and lines[-1].strip() and not part.indent and not _is_item(lines[-1]):
                lines.append("")
            lines.append(text)
        return "\n".join(lines).strip("\n")

    def _mention(self, mention: Mention) -> str:
        id = self._id_of(mention.item)
        name = f"[[{id}]]" if id else mention.item.title
        return f"{mention.indent}{mention.marker} {name}"

    def update(self, note: Note, filings: list[Filing]) -> PlannedNote:
        """An old note with what the lists changed since they were last imported."""
        before = read_bytes(self.library.root / note.path)
        if before is None:
            raise Stale(f"{note.path} is gone; run the command again")
        text, conflicts = _readable(before, note.path), []
        by_hand = not note.meta.get("imported")
        # first what the lists took out or changed: a line that goes is none that another item need not bring
        for filing in sorted(filings, key=lambda filing: filing.base is None):
            current = parse_note(text.encode(), note.path)[0]
            changes, stuck = self._meta_changes(current, filing, by_hand)
            text = frontmatter.edit(text, changes, KEY_ORDER) if changes else text
            text, clean = self._body_changes(text, filing, by_hand)
            theirs = self.meta(filing.item)
            conflicts += [f"{key} stays {note.meta.get(key, '')}; the list says {theirs.get(key, '')}" for key in stuck]
            conflicts += [] if clean else ["text that you edited stays as you wrote it"]
        if text.encode() != before:
            text = self._with_wanted(text, note)
        action = "unchanged" if text.encode() == before else "updated"
        return PlannedNote(note.id, note.path, action, filings, text.encode(), before, conflicts)

    def _with_wanted(self, text: str, note: Note) -> str:
        known = {link.target for link in note.links}
        new = [t for t in self._wanted(frontmatter.split(text).body) if t not in known]
        wanted = [*note.meta.get("wanted", []), *new]
        return frontmatter.edit(text, {"wanted": wanted}, KEY_ORDER) if new else text

    def _meta_changes(self, note: Note, filing: Filing, by_hand: bool) -> tuple[dict[str, Any], list[str]]:
        theirs = self.meta(filing.item)
        if filing.base is not None:
            if filing.item.record and "status" not in filing.item.meta:
                theirs["status"] = note.meta.get("status")  # nobody said anything
            changes, stuck = merge_meta(self.meta(filing.base), note.meta, theirs)
            if "bibtex" in stuck:
                fields, stuck = self._merged_fields(note, filing.base, filing.item), [k for k in stuck if k != "bibtex"]
                changes |= {"bibtex": fields} if fields != note.meta.get("bibtex") else {}
            if changes.get("status") in STATUSES and "started" in theirs and "started" not in note.meta:
                changes["started"] = theirs["started"]
            return changes, stuck
        imported = note.meta.get("imported", [])
        if filing.again and filing.imported in imported:
            return {}, []
        changes = self._additions(note, filing) if filing.item.record else self._list_additions(note, filing, theirs)
        status, stuck = filing.item.meta.get("status", "") if filing.item.record else theirs.get("status", ""), []
        if status in _PROGRESS and note.status in _PROGRESS and _PROGRESS.index(status) > _PROGRESS.index(note.status):
            if not by_hand:
                changes["status"] = status
            elif note.meta.get("status"):
                stuck = ["status"]
                for key in ("started", "finished"):
                    changes.pop(key, None)
            else:
                changes["status"] = status
        return changes | {"imported": list(dict.fromkeys([*imported, filing.imported]))}, stuck

    def _merged_fields(self, note: Note, base: Item, item: Item) -> dict[str, Any]:
        """The fields of a bibliography, of which each side may have changed some."""
        old, mine, new = (dict(m.get("bibtex") or {}) for m in (base.meta, note.meta, item.meta))
        changes = merge_meta(old, mine, new)[0]
        return {key: value for key, value in (mine | changes).items() if value is not None}

    def _is_taken(self, path: str) -> Callable[[str], bool]:
        """Whether a name leads to another note than the one at `path`."""
        return lambda name: self.library.index.resolve(name) not in (None, path)

    def _additions(self, note: Note, filing: Filing) -> dict[str, Any]:
        """What a record says of a work that has a note."""
        theirs = self.meta(filing.item)
        if "status" not in filing.item.meta:
            theirs.pop("status", None)  # nobody said so
        return additions(note, theirs, None, self._is_taken(note.path))

    def _list_additions(self, note: Note, filing: Filing, theirs: dict[str, Any]) -> dict[str, Any]:
        """What a list says of a work that has a note."""
        changes = {
            k: v for k, v in theirs.items() if k not in note.meta and k not in ("incomplete", "part_of", "status")
        }
        if name := self._other_name(note.meta, filing.item):
            theirs["aliases"] = [name, *theirs.get("aliases", [])]
        if note.meta.get("authors"):
            changes.pop("incomplete", None)
        others = [source_url(k, v) for k, v in theirs.items() if k in WORK_KEYS and note.meta.get(k, v) != v]
        theirs["seen"] = [*theirs.get("seen", []), *others]
        for key in ("seen", "aliases"):
            new = [v for v in theirs.get(key, []) if v not in note.meta.get(key, []) and v not in note.meta.values()]
            changes[key] = [*note.meta.get(key, []), *new] if new else None
            if not new:
                del changes[key]
        return changes

    def _body_changes(self, text: str, filing: Filing, by_hand: bool) -> tuple[str, bool]:
        theirs = self.body(filing.item)
        front = frontmatter.split(text)
        head = text[: len(text) - len(front.body)]
        if filing.base is not None:
            base = self.body(filing.base)
            if base == theirs:
                return text, True
            body = front.body.replace("\r\n", "\n")
            ours = body.strip("\n")
            merged, clean = merge_lines(_lines(base), _lines(ours), _lines(theirs))
            if merged == _lines(ours):
                return text, clean
            before, after = body.partition(ours)[::2] if ours else ("", "")
            new = (before or "\n") + "\n".join(merged) + (after or "\n")
            return head + (new.replace("\n", "\r\n") if body != front.body else new), clean
        theirs = theirs if by_hand else self._missing(theirs, front.body)
        present = {line.strip() for line in front.body.splitlines()}
        if not theirs or all(line.strip() in present for line in theirs.splitlines()):
            return text, True
        heading = f"## From {filing.origin}\n\n" if by_hand else ""
        body = front.body.rstrip("\n")
        return f"{head}{body}\n\n{heading}{theirs}\n" if body else f"{head}\n{heading}{theirs}\n", True

    def _missing(self, theirs: str, body: str) -> str:
        """Of a list's text the lines that a note does not have, nor nearly: what was edited there is no new line."""
        from rapidfuzz import fuzz, process

        present = [_words(line) for line in body.splitlines() if line.strip()]

        def has(line: str) -> bool:
            links = all(url in body for url in _URL.findall(line))
            return links and bool(process.extractOne(_words(line), present, scorer=fuzz.ratio, score_cutoff=_NEARLY))

        lines = [line for line in theirs.splitlines() if line.strip()]
        new = [line for line in lines if not has(line)]
        return theirs if len(new) == len(lines) else "\n".join(new)


def _words(line: str) -> str:
    """A line without its addresses, whose length would make any two lines on one page alike."""
    return _URL.sub("", line).strip() or line.strip()


def _readable(data: bytes, path: str) -> str:
    """The text of a note that can be changed; a note that cannot stops the import before anything is written."""
    remedy = "mend it (kb check shows how) and import again; nothing was imported"
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise KbError(f"{path}: this is no UTF-8; {remedy}") from None
    if faults := frontmatter.split(text).faults:
        raise KbError(f"{path}:{faults[0].line}: {faults[0].message}; {remedy}")
    return text


def _lines(text: str) -> list[str]:
    return text.split("\n") if text else []


def _is_link(line: str) -> bool:
    return line.rstrip().endswith("]]") and line.lstrip()[:1] in ("-", "1", "2", "3", "4", "5", "6", "7", "8", "9")


def _is_item(line: str) -> bool:
    return line.lstrip()[:1] in ("-", "*", "+") or line.lstrip().partition(".")[0].isdigit()
