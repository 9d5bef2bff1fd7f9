"""Which note each item of a list goes to, and what the list said of it when it was last imported."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from kb.formats.items import PAPER_SITES, Item
from kb.ids import slug, title_key
from kb.importing.catalogue import Catalogue, item_key, sort_of
from kb.importing.files import ListFile
from kb.importing.render import Filing
from kb.importing.review import Edit
from kb.library import Library
from kb.note import FOLDERS
from kb.problem import KbError
from kb.verbs.add import new_id

_SAME_LINE = 85  # of 100: a title that was mended where it stands
_MOST_MENDED = 300  # items gone at once; more are no mending


def assign(file: ListFile, catalogue: Catalogue, library: Library, edits: Mapping[str, Edit]) -> None:
    """Give each item of a list its note, an old one where the work has one."""
    items = list(file.now.items)
    if file.now.whole:
        items.append(items.pop(0))  # the list itself last: an id goes to a work first
    bases, gone = _bases(file, items)
    recorded: dict[str, list[dict[str, Any]]] = {}
    for row in file.rows:
        recorded.setdefault(row["key"], []).append(row)
    notes = _Notes(library)
    here: Counter[str] = Counter()
    for item in items:
        base = bases.get(id(item))
        filing = Filing(file.name, item, base=base, key=item_key(item), again=file.before is None)
        file.filings.append(filing)
        here[filing.imported] += 1  # a line with two papers has two places
        filing.place = filing.imported + (f".{here[filing.imported]}" if here[filing.imported] > 1 else "")
        rows = recorded.get(item_key(base) if base else filing.key)
        filing.row = rows.pop(0) if rows else None
        edit = edits.get(filing.place)
        if (filing.row and filing.row.get("skipped")) or (edit and edit.skip):
            filing.skip = "left out in review"
            continue
        if edit:
            item.kind, item.title = edit.kind, edit.title
            item.meta["status"] = edit.status or item.meta.get("status", "")
        _place(filing, edit, catalogue, notes)
    ids = {filing.id for filing in file.filings}
    for item in gone:
        rows = [row for row in recorded.get(item_key(item), []) if row["id"] in notes.by_id and row["id"] not in ids]
        file.gone += [(item, row["id"]) for row in rows[:1]]


def _place(filing: Filing, edit: Edit | None, catalogue: Catalogue, notes: _Notes) -> None:
    """The note of an item: the one it had, one that the work has, or a new one."""
    item, row = filing.item, filing.row
    path = (notes.of(filing) if row else None) or catalogue.find(item) or notes.at(filing)
    if path is None and row is not None and filing.base is not None:
        filing.skip = f"its note '{row['id']}' was removed since the last import; kb add files it again"
        return
    filing.merged = bool(row.get("merged")) if row else path is not None and not catalogue.has(path, filing.imported)
    if path is None:
        filing.id = edit.id if edit else _new_id(item, catalogue.taken)
        if edit and edit.id.casefold() in catalogue.taken:
            raise KbError(f"there is a note '{edit.id}' already; give {filing.place} another id in the review", 2)
        path = f"notes/{FOLDERS[item.kind]}/{filing.id}.md"
        catalogue.taken.add(filing.id.casefold())
        catalogue.add(path, filing.id, item.meta | {"kind": item.kind}, [item.title, *item.meta.get("aliases", [])])
    else:
        catalogue.join(path, item)
    filing.path, filing.id = path, catalogue.notes[path][0]


class _Notes:
    """The notes of a vault by their id and by the places of lists they came from."""

    def __init__(self, library: Library) -> None:
        self.by_id = {note.id: note.path for note in library.notes.values()}
        self.titles = {note.path: note.title for note in library.notes.values()}
        self.by_place: dict[str, set[str]] = {}
        for note in library.notes.values():
            for place in note.meta.get("imported", []):
                self.by_place.setdefault(place, set()).add(note.path)

    def at(self, filing: Filing) -> str | None:
        """The note that an earlier import made of a record at this place, where what it recorded is lost."""
        if not filing.item.record or filing.row:
            return None
        found = self.by_place.get(filing.imported, set())
        same = [path for path in found if title_key(self.titles[path]) == title_key(filing.item.title)]
        return same[0] if len(same) == 1 else None

    def of(self, filing: Filing) -> str | None:
        """The note that the last import made of an item, also under another name."""
        row = filing.row or {}
        if path := self.by_id.get(row.get("id", "")):
            return path
        moved = self.by_place.get(f"{filing.list}:{row.get('line', 0)}", set())
        return next(iter(moved)) if len(moved) == 1 and filing.place.count(".") == filing.imported.count(".") else None


def _bases(file: ListFile, items: list[Item]) -> tuple[dict[int, Item], list[Item]]:
    """For each item the one that it was when the list was last imported: the same key, else nearly the same title
    under the same heading. And the items that are no more in the list."""
    earlier: dict[str, list[Item]] = {}
    before = file.before.items if file.before else []
    for item in [*before[1:], *before[:1]] if file.before and file.before.whole else before:
        earlier.setdefault(item_key(item), []).append(item)
    found: dict[int, Item] = {}
    for item in items:
        if same := earlier.get(item_key(item)):
            found[id(item)] = same.pop(0)
    gone = [item for same in earlier.values() for item in same]
    if file.before and file.now.whole and file.before.whole and id(items[-1]) not in found:
        found[id(items[-1])] = file.before.items[0]  # the list is the list, whatever its title
        gone = [item for item in gone if item is not file.before.items[0]]
    for item in items:
        if gone and id(item) not in found and len(gone) <= _MOST_MENDED and (old := _mended(item, gone)):
            found[id(item)] = old
            gone.remove(old)
    return found, gone


def _mended(item: Item, gone: list[Item]) -> Item | None:
    """The item that is no more in the list and that this one evidently is, with a letter or a link mended."""
    from rapidfuzz import fuzz

    best, score = None, float(_SAME_LINE)
    for old in gone:
        if any(of(old) != of(item) for of in (_heading, _numbers, _sort)):
            continue
        both = bool(old.sources) and bool(item.sources)
        ratio = fuzz.ratio(title_key(old.title), title_key(item.title))
        if ratio >= score and (not both or title_key(old.title) == title_key(item.title)):
            best, score = old, ratio
    return best


def _heading(item: Item) -> str:
    return title_key(item.home.title) if item.home else ""


def _sort(item: Item) -> str:
    return sort_of(item.kind)


def _numbers(item: Item) -> list[str]:
    return re.findall(r"\d+", item.title)


def _new_id(item: Item, taken: set[str]) -> str:
    """An id for an item; a topic leaves the plain name to a work that has it, and a title without Latin letters leaves
    the name to its link."""
    if slug(item.title) == "note" and item.sources:
        source = item.sources[0]
        named = f"{source.key} {source.value}" if source.key in PAPER_SITES else source.value
        return new_id(re.sub(r"^https?://(www\.)?|[?#].*$", "", named), taken, item.meta.get("year"))
    if item.part_of and re.match(r"(lecture|part|week|episode|chapter|session|talk)s? \d+\b", item.title, re.I):
        return new_id(f"{item.part_of.title} {item.title}", taken)  # 'Lecture 1' says nothing by itself
    id = new_id(item.title, taken, item.meta.get("year"))
    plain = slug(item.title)
    return f"{plain}-topic" if item.kind == "topic" and id != plain and f"{plain}-topic" not in taken else id
