"""The plan of an import as text that a person may edit before anything is written."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kb.ids import slug
from kb.importing.render import PlannedNote
from kb.note import KINDS, STATUSES
from kb.problem import KbError

_HEAD = """\
# What this import is about to do, a line for each note. Change KIND, STATUS, ID or TITLE where you know better, and
# write `skip` as ACTION (or delete the line) to leave something out. Save and close to go on; delete all to stop.
# ACTION  KIND  STATUS  ID  | TITLE  (LIST:LINE)
"""
_ROW = re.compile(r"(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+\|\s*(.*?)\s+\(([^()]+)\)\s*$")


@dataclass(frozen=True)
class Edit:
    """What a person said of one item; `kind`, `status`, `id` and `title` are as the plan had them or changed."""

    skip: bool
    kind: str = ""
    status: str = ""
    id: str = ""
    title: str = ""


def as_text(notes: list[PlannedNote]) -> str:
    """The lines to review: what is to be created or changed."""
    rows = []
    for note in notes:
        first = note.filings[0]
        status = str(first.item.meta.get("status") or "-")
        rows.append((note.action, first.item.kind, status, note.id, f"| {first.item.title}", f"({first.place})"))
    sizes = [max((len(row[n]) for row in rows), default=0) for n in range(4)]
    lines = ["  ".join([*(c.ljust(s) for c, s in zip(row[:4], sizes, strict=True)), *row[4:]]) for row in rows]
    return _HEAD + "".join(f"{line}\n" for line in lines)


def from_text(text: str, notes: list[PlannedNote]) -> dict[str, Edit]:
    """The edited lines -> what is to be done with the item at each place. A line that is gone is skipped."""
    planned = {note.filings[0].place: note for note in notes}
    edits = {place: Edit(skip=True) for place in planned}
    for no, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            place, edit = _read(line, no, planned)
            edits[place] = edit
    _require_distinct(edits, planned)
    for place, note in planned.items():  # what stands in several places is left out in all
        if edits[place].skip:
            edits |= {filing.place: edits[place] for filing in note.filings}
    return edits


def _read(line: str, no: int, planned: dict[str, PlannedNote]) -> tuple[str, Edit]:
    where = f"line {no} of the review"
    m = _ROW.match(line)
    if not m or m[6] not in planned:  # the names of pages may have brackets of their own
        ends = (place for place in planned if line.rstrip().endswith(f"({place})"))
        place = max(ends, key=len, default="")
        if place and (found := _ROW.match(f"{line.rstrip()[: -len(place) - 2]}(-)")):
            return _edit(found, place, where, planned)
    if not m:
        raise KbError(f"{where} is not `ACTION KIND STATUS ID | TITLE (LIST:LINE)`; nothing was imported", 2)
    return _edit(m, m[6], where, planned)


def _edit(m: re.Match[str], place: str, where: str, planned: dict[str, PlannedNote]) -> tuple[str, Edit]:
    """What a line says of the item at a place."""
    action, kind, status, id, title = m.groups()[:5]
    if place not in planned:
        raise KbError(f"{where}: nothing was planned for ({place}); keep that part as it was", 2)
    if action not in ("created", "updated", "skip"):
        raise KbError(f"{where}: '{action}' is no action; write created, updated or skip", 2)
    if kind not in KINDS:
        raise KbError(f"{where}: no kind '{kind}'; there are {' '.join(KINDS)}", 2)
    if status != "-" and status not in STATUSES:
        raise KbError(f"{where}: no status '{status}'; there are {' '.join(STATUSES)}", 2)
    if slug(id, 250) != id:
        raise KbError(f"{where}: '{id}' is no id; write {slug(id, 250)}", 2)
    was = planned[place]
    if was.action == "updated" and id != was.id:
        raise KbError(f"{where}: '{was.id}' is there already; `kb rename {was.id} {id}` gives it another id", 2)
    return place, Edit(action == "skip", kind, "" if status == "-" else status, id, title)


def _require_distinct(edits: dict[str, Edit], planned: dict[str, PlannedNote]) -> None:
    seen: set[str] = set()
    for place, edit in edits.items():
        if edit.skip:
            continue
        if edit.id in seen:
            raise KbError(f"the review gives two notes the id '{edit.id}' (one at {place}); nothing was imported", 2)
        seen.add(edit.id)
