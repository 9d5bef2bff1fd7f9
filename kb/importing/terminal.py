"""`kb import` for people: reading the files, editing the plan, showing what was done."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from kb.files import read_bytes
from kb.importing import Plan, account, plan_import
from kb.importing.review import as_text, from_text
from kb.library import Library
from kb.problem import KbError
from kb.render import printable, style, table


def plan_files(library: Library, files: Sequence[Path], name: str, review: bool) -> Plan | None:
    """Read the lists and plan their import; None if the person gave it up in review."""
    if name and len(files) > 1:
        raise KbError("--as names one list; import them one by one", 2)
    lists: dict[str, bytes] = {}
    for path in files:
        data = read_bytes(path)
        if data is None:
            raise KbError(f"{path}: there is no such file", 2)
        if path.suffix.lower() == ".bib":
            raise KbError(f"{path}: BibTeX is no reading list; `kb add {path}` reads it", 2)
        if b"\0" in data[:4096]:
            raise KbError(f"{path}: this is no text; name a Markdown file", 2)
        known = name or path.name
        if "/" in known or known.startswith("."):
            raise KbError(f"'{known}' is no name of a list; write one like papers.md", 2)
        if known in lists:
            raise KbError(f"two lists are named {known}; import one of them with --as NAME", 2)
        lists[known] = data
    plan = plan_import(library, lists)
    if not review or not plan.changes:
        return plan
    text = _edited(as_text(plan.changes))
    if not any(line.strip() and not line.startswith("#") for line in text.splitlines()):
        return None
    return plan_import(library, lists, edits=from_text(text, plan.changes))


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
    shown = plan.notes if dry_run else plan.changes
    rows = [
        (note.action, note.path, note.filings[0].item.title, ", ".join(dict.fromkeys(f.imported for f in note.filings)))
        for note in shown
    ]
    yield from table(rows, ("green", "", "dim", "dim"), wide=2)
    for note in plan.notes:
        yield from (style(f"{note.path}: {text}", "yellow") for text in note.conflicts)
    if rows:
        yield ""
    for file in plan.files:
        found = account(file)
        lines = found["lines"]
        parts = [f"{lines[k]} {k}" for k in ("imported", "merged", "structure", "blank", "unresolved") if lines[k]]
        yield f"{file.name}: {lines['total']} lines: {', '.join(parts)}"
        for row in found["unresolved"]:
            yield style(f"  {file.name}:{row['line']}: {printable(row['text'].strip())} ({row['reason']})", "yellow")
    created = sum(note.action == "created" for note in plan.notes)
    updated = sum(note.action == "updated" for note in plan.notes)
    if dry_run:
        yield f"Would make {created} notes and change {updated}; nothing was written."
    elif created or updated:
        yield f"Made {created} notes and changed {updated}; `kb undo` takes all of it back."
    else:
        yield "Nothing is new: every line was imported before."
