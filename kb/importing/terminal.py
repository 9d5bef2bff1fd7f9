"""`kb import` for people: reading the files, editing the plan, showing what was done."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from kb.edits import again
from kb.formats.known import FORMATS, format_named
from kb.importing import Plan, account, apply, plan_import
from kb.importing.files import ListFile
from kb.importing.folders import FOLDERS, Folder, is_folder, read_folder
from kb.importing.review import Edit, as_text, from_text
from kb.importing.vaults import FolderFile
from kb.library import Library
from kb.problem import KbError
from kb.render import printable, style, table

LARGEST = 256 << 20  # bytes of one file


def plan_files(
    library: Library, files: Sequence[Path], name: str, review: bool, format: str = "", write: bool = False
) -> Plan | None:
    """Read the files and plan their import; `write` carries the plan out too. None if the person gave it up in
    review."""
    if name and len(files) > 1:
        raise KbError("--as names one list; import them one by one", 2)
    known = format_named(format)
    if format and not known:
        raise KbError(f"no format '{format}'; there are {' '.join(FORMATS)}", 2)
    lists = _read_all(files, name, known if known in FOLDERS else "")
    edits: dict[str, Edit] = {}
    if review and (changes := plan_import(library, lists, format=known).changes):
        text = _edited(as_text(changes))
        if not any(line.strip() and not line.startswith("#") for line in text.splitlines()):
            return None
        edits = from_text(text, changes)

    def bring_in(now: Library) -> Plan:
        plan = plan_import(now, lists, edits=edits, format=known)
        if write:
            apply(now, plan)
        return plan

    return again(library, bring_in)


def _read_all(files: Sequence[Path], name: str, kind: str) -> dict[str, bytes | Folder]:
    """The bytes of the files, or the folders that they are, by the names they are known by."""
    lists: dict[str, bytes | Folder] = {}
    for path in files:
        data = read_folder(path, kind, name) if is_folder(path) else _read(path)
        known = name or (data.name if isinstance(data, Folder) else path.name)
        if not re.fullmatch(r"[^/\\\0.][^/\\\0]*", known) or len(known) > 200:
            raise KbError(f"'{known}' is no name of a list; write one like papers.md", 2)
        if known in lists:
            raise KbError(f"two lists are named {known}; import one of them with --as NAME", 2)
        lists[known] = data
    return lists


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
    except OSError:
        raise KbError(f"{path}: there is no such file", 2) from None
    if size > LARGEST:
        raise KbError(f"{path}: this file is larger than {LARGEST >> 20} MB; split it and import the parts", 2)
    try:
        with open(path, "rb") as file:  # also a pipe, as in kb import <(…)
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise KbError(f"{path}: {error.strerror}; check that the file can be read", 2) from None
    if len(data) > LARGEST:
        raise KbError(f"{path}: there is no end to it within {LARGEST >> 20} MB; name a file", 2)
    if b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise KbError(f"{path}: this is no text; name a list or a bibliography", 2)
    return data


def _edited(text: str) -> str:
    """`text` as a person leaves it in their editor."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise KbError("--review needs an editor: set EDITOR, for example EDITOR=nano", 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "import-plan.txt"
        path.write_text(text, "utf-8")
        try:
            ended = subprocess.run([*shlex.split(editor), str(path)], check=False).returncode
        except OSError as error:
            raise KbError(f"{editor}: {error.strerror}; set EDITOR to an editor that is installed", 2) from None
        if ended:
            raise KbError(f"{editor} ended with {ended}; nothing was imported")
        return path.read_text("utf-8")


def summary(plan: Plan, dry_run: bool) -> Iterator[str]:
    """What an import did, or would do."""
    rows = [
        (note.action, note.path, note.filings[0].item.title, ", ".join(dict.fromkeys(f.imported for f in note.filings)))
        for note in plan.changes
    ]
    yield from table(rows, ("green", "", "dim", "dim"), wide=2)
    for note in plan.notes:
        yield from (style(f"{note.path}: {text}", "yellow") for text in note.conflicts)
    if rows:
        yield ""
    for file in plan.files:
        yield from _told(file, plan)
    created = sum(note.action == "created" for note in plan.notes)
    updated = sum(note.action == "updated" for note in plan.notes)
    copied = f" and copied {count(len(plan.copies), 'file')}" if plan.copies else ""
    if dry_run:
        yield f"Would make {count(created, 'note')} and change {updated}; nothing was written."
    elif created or updated or plan.copies:
        yield f"Made {count(created, 'note')} and changed {updated}{copied}; `kb undo` takes all of it back."
    else:
        left = any(account(file, plan.actions)["unresolved"] for file in plan.files)
        yield "Nothing else is new." if left else "Nothing is new: every line was imported before."


def _told(file: ListFile, plan: Plan) -> Iterator[str]:
    """What became of one file: its counts, what could not be filed and why, what is no more in it."""
    found = account(file, plan.actions)
    counted: list[tuple[str, dict[str, int], tuple[str, ...]]]
    counted = [("line", found["lines"], ("imported", "merged", "structure", "blank", "unresolved"))]
    if file.has_records:
        unit = "page" if isinstance(file, FolderFile) else "record"
        counted.insert(0, (unit, found["records"], ("created", "merged", "unchanged", "unresolved")))
    for unit, counts, parts in counted:
        told = ", ".join(f"{counts[k]} {k}" for k in parts if counts[k])
        yield f"{file.name}: {count(counts['total'], unit)}{': ' if told else ''}{told}"
    for row in found["unresolved"]:
        yield style(
            f"  {row.get('file', file.name)}:{row['line']}: {printable(row['text'].strip()[:200])} ({row['reason']})",
            "yellow",
        )
    for problem in file.problems:
        if problem.level != "error":
            yield style(f"  {printable(str(problem))}", "yellow")
    for item, id in file.gone:
        yield f"  no longer in {file.name}: {printable(item.title)} (the note {id} stays)"


def count(n: int, noun: str) -> str:
    """'1 note', '2 notes'."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
