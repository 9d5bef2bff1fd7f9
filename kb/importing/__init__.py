"""Importing lists and bibliographies: what each line and record becomes, which notes are new, changed or left alone,
written as one change.

A vault keeps the text of every file as it was last imported (`imports/<file>`), beside a record of the note that each
item went to. Importing an edited file compares three texts: the file then, the file now, and the notes. What the file
changed goes into the notes; what a person changed in them stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from kb.duplicates import Shelf
from kb.files import Journal, read_bytes
from kb.importing.accounting import account as account
from kb.importing.assign import assign
from kb.importing.catalogue import Catalogue
from kb.importing.files import FOLDER, ListFile, read_file
from kb.importing.folders import Folder
from kb.importing.render import Filing, PlannedNote, Renderer
from kb.importing.review import Edit
from kb.importing.vaults import FolderFile, copies, read_pages
from kb.library import Library


@dataclass
class Plan:
    """All that an import would do; nothing is written until `apply`. `copies` are further files, by their paths."""

    files: list[ListFile]
    notes: list[PlannedNote]
    today: date
    copies: dict[str, bytes] = field(default_factory=dict)

    @property
    def changes(self) -> list[PlannedNote]:
        return [note for note in self.notes if note.action != "unchanged"]

    @property
    def actions(self) -> dict[str, str]:
        """What is done with the note at each path."""
        return {note.path: note.action for note in self.notes}

    @property
    def is_flawed(self) -> bool:
        """Whether a record could not be read."""
        return any(problem.level == "error" for file in self.files for problem in file.problems)

    def as_json(self) -> dict[str, Any]:
        """The object of `kb import --json`."""
        return {
            "schema": 1,
            "files": [self._file(file) for file in self.files],
            "notes": [
                {"id": n.id, "path": n.path, "action": n.action, "from": n.places}
                | ({"conflicts": n.conflicts} if n.conflicts else {})
                for n in self.notes
            ],
        } | ({"copied": sorted(self.copies)} if self.copies else {})

    def _file(self, file: ListFile) -> dict[str, Any]:
        found = {"file": file.name, "format": file.format, **account(file, self.actions)}
        removed = [{"title": item.title, "id": id, "line": min(item.lines, default=0)} for item, id in file.gone]
        problems = [problem.as_json() for problem in file.problems]
        return found | ({"removed": removed} if removed else {}) | ({"problems": problems} if problems else {})


def plan_import(
    library: Library,
    files: Mapping[str, bytes | Folder],
    today: date | None = None,
    edits: Mapping[str, Edit] | None = None,
    format: str = "",
) -> Plan:
    """What importing these files (name -> bytes, or a folder) would do to the vault; `edits` are what a person said of
    the item at a place (file:line) in review, `format` what they said that the files are."""
    read = [
        read_pages(library, data) if isinstance(data, Folder) else read_file(library, name, data, format)
        for name, data in files.items()
    ]
    plan = Plan(read, [], today or date.today())
    records = any(file.has_records for file in plan.files)
    catalogue = Catalogue(library, Shelf(library) if records else None)
    known = set(library.notes)
    for file in plan.files:
        assign(file, catalogue, library, edits or {})
    for file in plan.files:
        if isinstance(file, FolderFile):
            plan.copies |= copies(library, file)
    shown = [path.rpartition("/")[2] for path in plan.copies]
    plan.copies = {path: data for path, data in plan.copies.items() if read_bytes(library.root / path) != data}
    plan.notes = list(_plan_notes(library, plan, known, shown))
    return plan


def _plan_notes(library: Library, plan: Plan, known: set[str], shown: list[str]) -> Iterable[PlannedNote]:
    by_path: dict[str, list[Filing]] = {}
    targets: dict[int, Filing] = {}
    for filing in (filing for file in plan.files for filing in file.filings):
        targets[id(filing.item)] = filing
        if not filing.skip:
            by_path.setdefault(filing.path, []).append(filing)
    known_ids = {f.key: f.id for file in plan.files for f in file.filings if not f.skip}
    written = {row["key"]: row["id"] for file in plan.files for row in file.rows if not row.get("skipped")}
    render = Renderer(targets, known_ids | written, library, plan.today, shown)
    for path, filings in by_path.items():
        if path in known:
            yield render.update(library.notes[path], filings)
        else:
            yield render.create(path, filings)


def apply(library: Library, plan: Plan) -> None:
    """Write every note of a plan, the files and their records, in one change that one undo takes back."""
    writes: dict[str, bytes | None] = {note.path: note.data for note in plan.changes}
    expected: dict[str, bytes | None] = {note.path: note.before for note in plan.changes}
    kept: dict[str, bytes | None] = {}
    for file in plan.files:
        if file.filings or file.before:
            kept |= {**file.kept(), f"{FOLDER}/{file.name}.json": _record(file)}
    for path, data in {**kept, **plan.copies}.items():
        before = read_bytes(library.root / path)
        if before != data:
            writes[path], expected[path] = data, before
    Journal(library.root).commit("import", writes, expected, since=library.moment)


def _record(file: ListFile) -> bytes:
    """What the next import of this file must know: the note of each item."""
    rows = []
    for f in file.filings:
        row: dict[str, Any] = {"key": f.key, "id": f.id, "line": f.line, "merged": f.merged}
        rows.append((f.row or row | {"skipped": True}) if f.skip else row)
    record = {"schema": 1, "list": file.name, "items": rows}
    return (json.dumps(record, ensure_ascii=False, indent=1) + "\n").encode()
