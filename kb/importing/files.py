"""A file on its way in: read by its format, as it is now and as it was when it was last imported."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kb.files import read_bytes
from kb.formats.items import Item, ReadingList
from kb.formats.known import LISTS, detect, reader
from kb.formats.reading_list import read_reading_list
from kb.formats.records import Record, text_of
from kb.importing.render import Filing
from kb.library import Library
from kb.problem import KbError, Problem

FOLDER = "imports"
_LONGEST = 100_000  # characters of one line of a list


@dataclass
class ListFile:
    """A file: what it holds now, what it held when it was last imported, and where its items go."""

    name: str
    data: bytes
    now: ReadingList
    format: str = "list"
    before: ReadingList | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)  # what the last import recorded of each item
    filings: list[Filing] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    gone: list[tuple[Item, str]] = field(default_factory=list)  # what was taken out of it, and the id of its note

    @property
    def has_records(self) -> bool:
        """Whether it holds records or pages, and no lines of a list."""
        return self.format not in LISTS

    def where(self, no: int) -> tuple[str, int]:
        """The file and the line in it that a line of `lines` is."""
        return self.name, no

    def kept(self) -> dict[str, bytes | None]:
        """What the next import compares with."""
        return {f"{FOLDER}/{self.name}": self.data}

    @property
    def lines(self) -> list[str]:
        """The lines of the file; what follows the last line end is none."""
        lines = decoded(self.data, self.format).split("\n")
        return lines[:-1] if not lines[-1] else lines


def read_file(library: Library, name: str, data: bytes, format: str = "") -> ListFile:
    """A file by its name and bytes, with what the vault knows of its last import."""
    format = format or detect(name, data)
    if not format:
        remedy = "export it as BibTeX, RIS, CSL-JSON or CSV, or say what it is with --format"
        raise KbError(f"{name}: kb knows no such format; {remedy}", 2)
    file = ListFile(name, data, ReadingList([], set()), format)
    file.now = _read(name, data, format, file)
    snapshot = read_bytes(library.root / FOLDER / name)
    if snapshot is None:
        return file
    if _distant(snapshot, data):
        what = "list" if format in LISTS else "file"
        other = f"another {what} named {name} was imported before ({FOLDER}/{name})"
        raise KbError(f"{name}: {other}; give this one a name of its own with --as NAME", 2)
    file.before = _read(name, snapshot, format)
    file.rows = read_rows(library.root / FOLDER / f"{name}.json")
    return file


def _read(name: str, data: bytes, format: str, file: ListFile | None = None) -> ReadingList:
    if format in LISTS:
        lines = decoded(data, format).split("\n")
        long = [no for no, line in enumerate(lines, 1) if len(line) > _LONGEST]
        for no in long:
            lines[no - 1] = ""
        found = read_reading_list("\n".join(lines), name, format)
        found.unresolved |= dict.fromkeys(long, f"longer than {_LONGEST} characters; break the line")
        _note_bad_bytes(data, found)
        return found
    records, problems = reader(format)(data, name)
    if file:
        file.records, file.problems = records, problems
    return as_list(records, decoded(data, format))


def as_list(records: list[Record], text: str) -> ReadingList:
    """Records as items of a list. Lines that belong to none only hold the file together."""
    items: list[Item] = []
    unresolved: dict[int, str] = {}
    theirs: set[int] = set()
    for record in records:
        theirs.update(record.lines)
        if record.fault:
            unresolved |= dict.fromkeys(record.lines, record.fault)
            continue
        meta = {key: value for key, value in record.meta.items() if key not in ("title", "kind")}
        body: list[Any] = record.body.split("\n") if record.body else []
        item = Item(record.meta["title"], record.meta["kind"], meta, body, list(record.lines))
        item.key, item.record = record.key, True
        items.append(item)
    lines = enumerate(text.split("\n"), 1)
    for item in items:  # one line may hold many records
        for no in item.lines if unresolved else []:
            unresolved.pop(no, None)
    return ReadingList(items, {no for no, line in lines if line.strip() and no not in theirs}, unresolved, whole=False)


def decoded(data: bytes, format: str = "list") -> str:
    """The text of a file. A list that is no UTF-8 keeps a sign where a byte was lost, which is told."""
    if format not in LISTS or data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return text_of(data, "", "")[0]
    return data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")


def _note_bad_bytes(data: bytes, found: ReadingList) -> None:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return
    for no, line in enumerate(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"), 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            found.unresolved.setdefault(no, f"byte 0x{line[error.start]:02x} is no UTF-8; save the list as UTF-8")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """What the last import recorded of each item; nothing where the record is lost or broken."""
    try:
        record = json.loads((read_bytes(path) or b"").decode())
        rows = [row | {} for row in record["items"] if isinstance(row["key"], str) and isinstance(row["id"], str)]
    except (ValueError, TypeError, KeyError):
        return []
    return rows


def _distant(old: bytes, new: bytes) -> bool:
    """Whether two texts are too different to be one file in two states."""
    before = {line.strip() for line in old.splitlines() if line.strip()}
    after = {line.strip() for line in new.splitlines() if line.strip()}
    return len(before) > 3 and len(before & after) < 0.2 * min(len(before), len(after))
