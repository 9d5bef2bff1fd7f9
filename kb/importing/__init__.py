"""Importing reading lists: what each line becomes, which notes are new, changed or left alone, written as one change.

A vault keeps the text of every list as it was last imported (`imports/<list>`), beside a record of the note that each
item went to. Importing an edited list compares three texts: the list then, the list now, and the notes. What the list
changed goes into the notes; what a person changed in them stays.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from kb.add import new_id
from kb.files import Journal, read_bytes
from kb.formats.items import Item, ReadingList
from kb.formats.reading_list import read_reading_list
from kb.ids import slug
from kb.importing.catalogue import Catalogue, item_key
from kb.importing.render import Filing, PlannedNote, Renderer
from kb.importing.review import Edit
from kb.library import Library
from kb.note import FOLDERS
from kb.problem import KbError

FOLDER = "imports"


@dataclass
class ListFile:
    """A list on its way in: as it is now, and as it was when it was last imported."""

    name: str
    data: bytes
    now: ReadingList
    before: ReadingList | None = None
    record: dict[str, Any] = field(default_factory=dict)
    filings: list[Filing] = field(default_factory=list)


@dataclass
class Plan:
    """All that an import would do; nothing is written until `apply`."""

    files: list[ListFile]
    notes: list[PlannedNote]
    today: date

    @property
    def changes(self) -> list[PlannedNote]:
        return [note for note in self.notes if note.action != "unchanged"]

    def as_json(self) -> dict[str, Any]:
        """The object of `kb import --json`."""
        return {
            "schema": 1,
            "files": [{"file": f.name, **account(f)} for f in self.files],
            "notes": [
                {"id": n.id, "path": n.path, "action": n.action, "from": n.places}
                | ({"conflicts": n.conflicts} if n.conflicts else {})
                for n in self.notes
            ],
        }


def plan_import(
    library: Library,
    files: Mapping[str, bytes],
    today: date | None = None,
    edits: Mapping[str, Edit] | None = None,
) -> Plan:
    """What importing these lists (file name -> bytes) would do to the vault; `edits` are what a person said of the
    item at a place (list:line) in review."""
    plan = Plan([_read_list(library, name, data) for name, data in files.items()], [], today or date.today())
    catalogue = Catalogue(library)
    known = set(library.notes)
    for file in plan.files:
        _assign(file, catalogue, library, edits or {})
    plan.notes = list(_plan_notes(library, plan, known))
    return plan


def _read_list(library: Library, name: str, data: bytes) -> ListFile:
    file = ListFile(name, data, read_reading_list(_decoded(data), name))
    _note_bad_bytes(file)
    snapshot = read_bytes(library.root / FOLDER / name)
    if snapshot is None:
        return file
    if _distant(snapshot, data):
        other = f"another list named {name} was imported before ({FOLDER}/{name})"
        raise KbError(f"{name}: {other}; give this one a name of its own with --as NAME", 2)
    file.before = read_reading_list(_decoded(snapshot), name)
    try:
        file.record = json.loads((library.root / FOLDER / f"{name}.json").read_text("utf-8"))
    except (OSError, ValueError):
        file.record = {}
    return file


def _decoded(data: bytes) -> str:
    return data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")


def _note_bad_bytes(file: ListFile) -> None:
    for no, line in enumerate(file.data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"), 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            file.now.unresolved.setdefault(no, f"byte 0x{line[error.start]:02x} is no UTF-8; save the list as UTF-8")


def _distant(old: bytes, new: bytes) -> bool:
    """Whether two texts are too different to be one list in two states."""
    before = {line.strip() for line in old.splitlines() if line.strip()}
    after = {line.strip() for line in new.splitlines() if line.strip()}
    return len(before) > 3 and len(before & after) < 0.2 * min(len(before), len(after))


def _assign(file: ListFile, catalogue: Catalogue, library: Library, edits: Mapping[str, Edit]) -> None:
    """Give each item of a list its note, an old one where the work has one."""
    recorded: dict[str, list[dict[str, Any]]] = {}
    for row in file.record.get("items", []):
        recorded.setdefault(row["key"], []).append(row)
    bases: dict[str, list[Item]] = {}
    for item in file.before.items if file.before else []:
        bases.setdefault(item_key(item), []).append(item)
    by_id = {note.id: note.path for note in library.notes.values()}
    here: Counter[str] = Counter()
    for item in [*file.now.items[1:], file.now.items[0]]:  # the list itself last: an id goes to a work first
        earlier = bases.get(item_key(item))
        filing = Filing(file.name, item, base=earlier.pop(0) if earlier else None, key=item_key(item))
        file.filings.append(filing)
        here[filing.imported] += 1  # a line with two papers has two places
        filing.place = filing.imported + (f".{here[filing.imported]}" if here[filing.imported] > 1 else "")
        rows = recorded.get(filing.key)
        row = filing.row = rows.pop(0) if rows else None
        edit = edits.get(filing.place)
        if (row and row.get("skipped")) or (edit and edit.skip):
            filing.skip = "left out in review"
            continue
        if edit:
            _edit(item, edit)
        path = catalogue.find(item) or (by_id.get(row["id"]) if row else None)
        if path is None and row is not None and filing.base is not None:
            filing.skip = f"its note '{row['id']}' was removed since the last import; kb add files it again"
            continue
        filing.merged = bool(row["merged"]) if row else path is not None
        if path is None:
            filing.id = edit.id if edit else _new_id(item, catalogue.taken)
            path = f"notes/{FOLDERS[item.kind]}/{filing.id}.md"
            catalogue.taken.add(filing.id.casefold())
            catalogue.add(path, filing.id, item.meta | {"kind": item.kind}, [item.title, *item.meta.get("aliases", [])])
        filing.path, filing.id = path, catalogue.notes[path][0]


def _edit(item: Item, edit: Edit) -> None:
    item.kind, item.title = edit.kind, edit.title
    if edit.status:
        item.meta["status"] = edit.status


def _new_id(item: Item, taken: set[str]) -> str:
    """An id for an item; a topic leaves the plain name to a work that has it."""
    id = new_id(item.title, taken, item.meta.get("year"))
    plain = slug(item.title)
    return f"{plain}-topic" if item.kind == "topic" and id != plain and f"{plain}-topic" not in taken else id


def _plan_notes(library: Library, plan: Plan, known: set[str]) -> Iterable[PlannedNote]:
    by_path: dict[str, list[Filing]] = {}
    targets: dict[int, Filing] = {}
    for filing in (filing for file in plan.files for filing in file.filings):
        targets[id(filing.item)] = filing
        if not filing.skip:
            by_path.setdefault(filing.path, []).append(filing)
    bases = {item_key(f.item): f for file in plan.files for f in file.filings}
    for path, filings in by_path.items():
        render = Renderer(targets, bases, library, plan.today)
        if path in known:
            yield render.update(library.notes[path], filings)
        else:
            yield render.create(path, filings)


def account(file: ListFile) -> dict[str, Any]:
    """What became of the lines of a list: each is counted once, and `total` is the sum."""
    became = {no: "structure" for no in file.now.structure}
    reasons = dict(file.now.unresolved)
    for filing in file.filings:
        for n, no in enumerate(sorted(filing.item.lines)):
            if filing.skip:
                reasons.setdefault(no, filing.skip)
            elif became.get(no) != "imported":
                became[no] = "merged" if filing.merged and n == 0 else "imported"
    for no in reasons:
        became[no] = "unresolved"
    lines = _decoded(file.data).split("\n")
    for no, line in enumerate(lines, 1):
        if line.strip() and no not in became:
            became[no], reasons[no] = "unresolved", "nothing in kb knows what this line is"
    kinds = ("structure", "imported", "merged", "unresolved")
    counts = {kind: sum(1 for no, b in became.items() if b == kind) for kind in kinds}
    blank = len(lines) - sum(counts.values())
    return {
        "lines": {"total": len(lines), "blank": blank, **counts},
        "unresolved": [{"line": no, "text": lines[no - 1], "reason": reasons[no]} for no in sorted(reasons)],
    }


def apply(library: Library, plan: Plan) -> None:
    """Write every note of a plan, the lists and their records, in one change that one undo takes back."""
    writes: dict[str, bytes | None] = {note.path: note.data for note in plan.changes}
    expected: dict[str, bytes | None] = {note.path: note.before for note in plan.changes}
    for file in plan.files:
        for path, data in ((f"{FOLDER}/{file.name}", file.data), (f"{FOLDER}/{file.name}.json", _record(file))):
            before = read_bytes(library.root / path)
            if before != data:
                writes[path], expected[path] = data, before
    Journal(library.root).commit("import", writes, expected)


def _record(file: ListFile) -> bytes:
    """What the next import of this list must know: the note of each item."""
    rows = []
    for f in sorted(file.filings, key=lambda f: f.line):
        row: dict[str, Any] = {"key": f.key, "id": f.id, "line": f.line, "merged": f.merged}
        rows.append((f.row or row | {"skipped": True}) if f.skip else row)
    record = {"schema": 1, "list": file.name, "items": rows}
    return (json.dumps(record, ensure_ascii=False, indent=1) + "\n").encode()
