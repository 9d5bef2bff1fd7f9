"""Capture: lines that were put into `inbox.md` at the vault's root, from a phone, an editor or a sync folder, become
notes at the next command, each once.

A line that became a note leaves the file in the same change that makes the note, so that `kb undo` puts it back; it
then stays until somebody edits it. Headings, comments and what could not be read stay where they are.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Set
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb.disk import write_all
from kb.files import STATE, Journal, locked, read_bytes, read_regular, state_dir, write_atomic
from kb.problem import KbError, Stale

if TYPE_CHECKING:
    from kb.library import Library
    from kb.verbs.inbox_lines import Line

INBOX = "inbox.md"
SEEN = f"{STATE}/inbox.json"
_PATIENCE = 2.0  # seconds that a command waits for another one before it leaves the inbox to the next


def waits(root: Path) -> bool:
    """Whether the inbox may hold something new: one stat where it is empty or not there."""
    try:
        found = os.stat(root / INBOX)
    except OSError:
        return False
    return found.st_size > 0 and _state(root).get("stamp") != _stamp(found)


def capture(library: Library, today: date | None = None) -> list[str]:
    """Make notes of the new lines, in one change; what to tell the person."""
    from kb.edits import again

    try:
        return again(library, lambda now: _capture(now, today or date.today()), _PATIENCE)
    except KbError as error:
        return [f"{INBOX} was left as it is: {error}"]


def left(before: bytes) -> bytes:
    """What to remember of the lines of `before`, which are taken back into the inbox: they stay there, each until
    somebody edits it."""
    return _composed(before, "", _bare_lines(before))


def joined(before: bytes, now: bytes) -> bytes:
    """The inbox as it was before a capture, with the lines that came since: what undo makes of the two."""
    known = before.splitlines()
    end = b"" if not before or before.endswith(b"\n") else b"\n"
    return before + end + b"".join(line for line in now.splitlines(keepends=True) if line.rstrip(b"\r\n") not in known)


def _capture(library: Library, today: date) -> list[str]:
    from kb.verbs.inbox_lines import read_lines

    root = library.root
    found, state = _read(root), _state(root)
    if found is None:
        return []
    data = found[0]
    stay = {str(line) for line in state.get("stay", ())} & _bare_lines(data)
    if state.get("hash") == _hash(data):
        _remember(root, state, *found, stay)
        return []
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    writes: dict[str, bytes | None] = {}
    told: list[str] = []
    taken: set[int] = set()
    notes = _Notes(library, today)
    for line in read_lines(lines, stay):
        where = f"{INBOX}:{line.numbers[0]}"
        if line.wrong:
            told.append(f"{where}: {line.wrong}; it stays there until you mend it")
        elif path := notes.find(line):
            if line.text:
                told.append(f"{where}: {path} is of the same work; the line stays, as it says more")
                continue
            told.append(f"{where}: in the vault already: {path}")
            taken.update(line.numbers)
        else:
            path, note, title = notes.make(line)
            writes[path] = note
            told.append(f"{where}: added {path}: {title}")
            taken.update(line.numbers)
    ended = [*(f"{line}\n" for line in lines[:-1]), lines[-1]]
    kept = "".join(line for no, line in enumerate(ended, 1) if no not in taken)
    left = kept.encode("utf-8", "surrogateescape")
    if not taken:
        _seen(root, state, left, stay)
        return told
    with locked(root, _PATIENCE):
        if _state(root) != state:
            raise Stale(f"another kb command has looked through {INBOX} too; run the command again")
        _commit(library, writes | {INBOX: left}, dict.fromkeys(writes) | {INBOX: data})
        _seen(root, state, left, stay)
    return told


def _commit(library: Library, writes: dict[str, bytes | None], read: dict[str, bytes | None]) -> None:
    """Commit, and carry over what another program appends to the old file while the new one takes its place."""
    root = library.root
    with open(root / INBOX, "rb") as old:
        old.seek(0, os.SEEK_END)
        if old.tell() != len(read[INBOX] or b""):
            raise Stale(f"{INBOX} changed while kb was at work; run the command again")
        if os.name == "nt":  # an open file cannot be replaced there
            old.close()
        Journal(root).commit(INBOX, writes, read, since=library.moment)
        late = b"" if old.closed else old.read()
    if late:
        fd = os.open(root / INBOX, os.O_WRONLY | os.O_APPEND)
        try:
            write_all(fd, late)  # in one call, which is done whole or not at all
            os.fsync(fd)
        finally:
            os.close(fd)


# Notes


class _Notes:
    """The notes that there are, and those that this capture makes."""

    def __init__(self, library: Library, today: date) -> None:
        self.library, self.today = library, today
        self.works = {token: paths[0] for token, paths in library.index.works().items()}
        self.ids = {str(id).casefold() for (id,) in library.index.rows("SELECT id FROM notes")}
        self.titles: dict[str, str] = {}

    @cached_property
    def tags(self) -> list[str]:
        from kb.verbs.tagging import counts

        return [tag for tag, _ in counts(self.library)]

    def find(self, line: Line) -> str | None:
        """The note that a line's work has already."""
        from kb.ids import title_key

        if line.source is None:
            return self.titles.get(title_key(line.title)) or self.library.index.resolve(line.title)
        return self.works.get(line.source.token)

    def make(self, line: Line) -> tuple[str, bytes, str]:
        """A new note: its path, its bytes and its title. No service is asked; `kb add --complete` does so later."""
        from kb import frontmatter
        from kb.ids import title_key
        from kb.note import FOLDERS
        from kb.verbs.add import AddOptions, compose_meta, new_id
        from kb.verbs.references import Candidate, provisional
        from kb.verbs.tagging import spelled

        known = provisional(line.source) if line.source else {}
        tags = tuple(spelled(line.tags, self.tags)) if line.tags else ()
        options = AddOptions(status="inbox", tags=tags, title=" ".join(line.title.split()))
        candidate = Candidate(line.title, line.source, dict(known))
        meta = compose_meta(candidate, options, self.today)
        id = new_id(str(meta["title"]), self.ids)
        path = f"notes/{FOLDERS[meta['kind']]}/{id}.md"
        self.ids.add(id)
        self.works |= dict.fromkeys(candidate.tokens, path)
        self.titles[title_key(str(meta["title"]))] = path
        return path, frontmatter.compose(meta, "\n".join(line.text)).encode(), str(meta["title"])


# What was seen


def _bare_lines(data: bytes) -> set[str]:
    return {line.strip() for line in data.decode("utf-8", "replace").split("\n") if line.strip()}


def _state(root: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_regular(root / SEEN))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _stamp(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns}:{found.st_size}:{found.st_ino}"


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read(root: Path) -> tuple[bytes, str] | None:
    """The inbox and its stamp, which was taken before it was read: what is appended since has another."""
    try:
        stamp = _stamp(os.stat(root / INBOX))
    except OSError:
        return None
    data = read_bytes(root / INBOX)
    return None if data is None else (data, stamp)


def _composed(data: bytes, stamp: str, stay: Set[str]) -> bytes:
    return json.dumps({"stamp": stamp, "hash": _hash(data), "stay": sorted(stay)}).encode()


def _seen(root: Path, before: dict[str, Any], left: bytes, stay: Set[str]) -> None:
    """Remember that the inbox was looked through, if it still holds what was left in it."""
    found = _read(root)
    if found is not None and found[0] == left:
        _remember(root, before, *found, stay)


def _remember(root: Path, before: dict[str, Any], data: bytes, stamp: str, stay: Set[str]) -> None:
    """Write down what was seen, unless another command has done so since it was `before`."""
    try:
        with locked(root, 0):
            if _state(root) == before:
                write_atomic(state_dir(root).parent / SEEN, _composed(data, stamp, stay))
    except (OSError, KbError):  # another command writes, or the disk is read-only: the next command looks again
        return
