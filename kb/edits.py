"""Editing notes: each file as it is now, only the keys that are named, all files in one change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from kb import frontmatter
from kb.files import PATIENCE, Journal, locked, read_bytes
from kb.library import Library
from kb.note import KEY_ORDER, Note, parse_note
from kb.problem import KbError, Overtaken, Stale

Changes = Mapping[str, object]  # front-matter keys -> values; None takes a key out
Failed = Callable[[str, KbError], None]
_T = TypeVar("_T")
_TRIES = 5  # times to begin anew, each with no other command in between: an editor that saves without end is given up


def again(library: Library, work: Callable[[Library], _T], seconds: float = PATIENCE) -> _T:
    """What `work` does to a vault. Where another command or an editor was quicker (`Stale`), it begins anew on the
    vault as it is then, with the lock, for which it waits up to `seconds`: no command is quicker twice. Of a vault that
    commands alone have changed it looks only at what they changed, so that nobody waits for long."""
    try:
        return work(library)
    except Stale as error:
        stale = error
    for _ in range(_TRIES):
        with locked(library.root, seconds):
            only = Journal(library.root).notes_since(library.moment) if isinstance(stale, Overtaken) else None
            now = Library(library.root, only=only)
            try:
                return work(now)
            except Stale as error:
                stale = error
            finally:
                now.index.close()
    raise stale


def decoded(data: bytes, path: str) -> str:
    """A file's text; a KbError names the file that has bytes which are none."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise KbError(f"{path} is no UTF-8; save it as UTF-8 first") from None


def edited(data: bytes, path: str, changes: Changes) -> bytes:
    """A file's bytes with some keys set; every other byte stays. A KbError names the file."""
    if not changes:
        return data
    text = decoded(data, path)
    try:
        return frontmatter.edit(text, changes, KEY_ORDER).encode()
    except KbError as error:
        raise KbError(f"{path}: {error}") from None


def edit_notes(
    root: Path, verb: str, paths: Iterable[str], changes: Callable[[Note], Changes], failed: Failed | None = None
) -> list[str]:
    """Set keys in several notes in one change; `changes` is asked of each note as its file is now. Returns the paths of
    the files that changed. A file that cannot be edited stops everything before anything is written, or, given
    `failed`, is told there and left as it is."""
    return rewrite(root, verb, paths, lambda path, data: edited(data, path, changes(parse_note(data, path)[0])), failed)


def rewrite(
    root: Path,
    verb: str,
    paths: Iterable[str],
    new: Callable[[str, bytes], bytes | None],
    failed: Failed | None = None,
) -> list[str]:
    """Give several files other bytes, in one change; returns the paths of those that changed. `new` makes them of what
    a file holds now: the same bytes leave it alone, None removes it."""
    read: dict[str, bytes | None] = {}
    writes: dict[str, bytes | None] = {}
    for path in dict.fromkeys(paths):
        try:
            data = read_bytes(root / path)
            if data is None:
                raise Stale(f"{path} is gone; run the command again")
            made = new(path, data)
        except KbError as error:
            if failed is None:
                raise
            failed(path, error)
            continue
        if made != data:
            read[path], writes[path] = data, made
    Journal(root).commit(verb, writes, read)
    return sorted(writes)
