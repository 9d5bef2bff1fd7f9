"""Importing reading lists: what each line becomes, which notes are new, changed or left alone, written as one change.

A vault keeps the text of every list as it was last imported (`imports/<list>`), beside a record of the note that each
item went to. Importing an edited list compares three texts: the list then, the list now, and the notes. What the list
changed goes into the notes; what a person changed in them stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from kb.files import Journal, read_bytes
from kb.formats.reading_list import read_reading_list
from kb.importing.assign import ListFile, assign
from kb.importing.catalogue import Catalogue
from kb.importing.render import Filing, PlannedNote, Renderer
from kb.importing.review import Edit
from kb.library import Library
from kb.problem import KbError

FOLDER = "imports"


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
        assign(file, catalogue, library, edits or {})
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
    file.rows = _rows(library.root / FOLDER / f"{name}.json")
    return file


def _rows(path: Path) -> list[dict[str, Any]]:
    """What the last import recorded of each item; nothing where the record is lost or broken."""
    try:
        record = json.loads((read_bytes(path) or b"").decode())
        rows = [row | {} for row in record["items"] if isinstance(row["key"], str) and isinstance(row["id"], str)]
    except (ValueError, TypeError, KeyError):
        return []
    return rows


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


def _plan_notes(library: Library, plan: Plan, known: set[str]) -> Iterable[PlannedNote]:
    by_path: dict[str, list[Filing]] = {}
    targets: dict[int, Filing] = {}
    for filing in (filing for file in plan.files for filing in file.filings):
        targets[id(filing.item)] = filing
        if not filing.skip:
            by_path.setdefault(filing.path, []).append(filing)
    known_ids = {f.key: f.id for file in plan.files for f in file.filings if not f.skip}
    written = {row["key"]: row["id"] for file in plan.files for row in file.rows if not row.get("skipped")}
    for path, filings in by_path.items():
        render = Renderer(targets, known_ids | written, library, plan.today)
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
    for f in file.filings:
        row: dict[str, Any] = {"key": f.key, "id": f.id, "line": f.line, "merged": f.merged}
        rows.append((f.row or row | {"skipped": True}) if f.skip else row)
    record = {"schema": 1, "list": file.name, "items": rows}
    return (json.dumps(record, ensure_ascii=False, indent=1) + "\n").encode()
