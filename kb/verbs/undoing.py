"""Taking back the last change, and saying in words what was taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kb.files import Change, Journal, Settled
from kb.problem import KbError
from kb.verbs.capture import INBOX, SEEN, joined, left

_NAMED = 5  # notes or files that a message names


def undo(root: Path, skip_changed: bool = False) -> tuple[Change, list[str]]:
    """Take back the newest change; returns it and the files left alone because they were edited since. Lines that come
    back to inbox.md stay there until somebody edits them."""
    _keep_vault(root)
    return Journal(root).undo(skip_changed, {INBOX: joined}, _beside)


def _beside(change: Change) -> dict[str, bytes | None]:
    return {SEEN: left(change.old[INBOX] or b"")} if change.verb == INBOX else {}


def cut_off(root: Path) -> tuple[list[str], tuple[Change, list[str]] | None]:
    """Settle what a command that died has left: what to say of it, and the change that was taken back with it. Then
    nothing is left to take back of what a person means who undoes a command that was cut off."""
    settled = Journal(root).recover()
    back = None
    for one in settled:
        if one.change and one.done == bool(one.change.of):
            back = one.change, list(one.edited)
    return [told(one) for one in settled], back


def told(settled: Settled) -> str:
    """What became of a change whose command died."""
    change = settled.change
    if change is None:
        return f"a kb command was cut off, and what it wrote down is damaged ({settled.place}); look at what git says"
    if settled.done:
        return f"{done_by(change)} was cut off when all was done" + ("" if change.of else "; `kb undo` takes it back")
    but = f", but for what was written since: {', '.join(settled.edited)}" if settled.edited else ""
    return f"{done_by(change)} was cut off; what it had begun was taken back{but}"


def _keep_vault(root: Path) -> None:
    """With the first change of all, `kb init`, a vault would go from under the notes that it has by now."""
    journal = Journal(root)
    change = journal.newest()
    if change and change.verb == "init" and (own := _others(root, change)):
        raise KbError(f"only `kb init` is left to take back, and {own} would have no vault; nothing was taken back")


def _others(root: Path, change: Change) -> str:
    paths = (file.relative_to(root).as_posix() for file in sorted((root / "notes").rglob("*.md")))
    return next((path for path in paths if path not in change.old), "")


def lines(change: Change, kept: Sequence[str]) -> Iterator[str]:
    """What `kb undo` prints."""
    yield f"took back {done_by(change)} of {change.when}: {what(change, kept, undone=True)}"
    if change.verb == INBOX and INBOX not in kept:
        yield f"the lines are in {INBOX} again; kb leaves each there until you edit it"
    yield from (f"left as you edited it: {path}" for path in kept)


def done_by(change: Change) -> str:
    return f"the capture from {INBOX}" if change.verb == INBOX else f"`kb {change.verb}`"


def what(change: Change, kept: Sequence[str] = (), undone: bool = False) -> str:
    """What a change did, or, `undone`, what taking it back did: '2 notes: a, b; 1 note is gone again: c; 1 note is
    back: d; 1 other file: imports/list.md.json'."""
    notes = [p for p in change.paths if p not in kept and p.startswith("notes/") and p.endswith(".md")]
    others = [p for p in change.paths if p not in kept and p not in notes]
    made = [p for p in notes if change.old[p] is None]
    removed = [p for p in notes if change.new[p] is None and p not in made]
    edited = [p for p in notes if p not in made and p not in removed]
    parts = [
        _counted(edited, "note", "", True),
        _counted(made, "note", "gone again" if undone else "new", True),
        _counted(removed, "note", "back" if undone else "gone", True),
        _counted(others, "other file" if notes else "file", ""),
    ]
    return "; ".join(filter(None, parts)) or "nothing"


def _counted(paths: Sequence[str], noun: str, became: str, by_id: bool = False) -> str:
    if not paths:
        return ""
    one = len(paths) == 1
    names = [Path(path).stem if by_id else path for path in paths]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    verb = f" {'is' if one else 'are'} {became}" if became else ""
    return f"{len(names)} {noun}{'' if one else 's'}{verb}: {', '.join(names[:_NAMED])}{more}"


def as_json(change: Change, kept: Sequence[str] = ()) -> dict[str, Any]:
    """A row of `kb undo --list --json`, and what `kb undo --json` took back: `kept` are files that it left alone."""
    row = {"verb": change.verb, "when": change.when, "paths": [path for path in change.paths if path not in kept]}
    return row | ({"kept": list(kept)} if kept else {})


def listed(root: Path) -> list[Change]:
    """What can be taken back, newest first."""
    return Journal(root).changes()
