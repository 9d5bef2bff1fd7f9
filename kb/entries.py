"""What the journal writes down of a change before it is made, and the steps that follow from it.

An entry is one JSON file. For each path it has the bytes before (`old`), the hash after (`new`), what else the file was
(`was`: its mode, or where it led as a link) and the file itself where the path leads to another one (`file`); of a move
`from` and `to` in its two paths; `same` where another path leads to the same file; `data`, the new bytes, where a file
with several hard links is written in place.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kb.disk import read_regular
from kb.problem import KbError
from kb.steps import Create, InPlace, Move, Remove, Replace, Step, has_names, hash_of, kind_of

STATE = ".kb"
Files = Mapping[str, bytes | None]  # paths -> the bytes of the file, None where there is none


@dataclass(frozen=True)
class Change:
    """One entry of the journal: what a command did. `old` holds the bytes before it, `new` the hash after it; `files`
    is what the entry says of each path, `of` the number of the change that this one takes back."""

    number: int
    verb: str
    when: str
    old: Mapping[str, bytes | None]
    new: Mapping[str, str | None]
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False, repr=False)
    token: str = ""
    of: int = 0

    @property
    def paths(self) -> list[str]:
        """The files that it was about, without those of kb's own folder."""
        return sorted(path for path in self.old if not path.startswith(f"{STATE}/"))


class Damaged(KbError):
    """An entry of the journal cannot be read."""

    def __init__(self, entry: Path) -> None:
        told = "so the last change cannot be taken back; remove this file to take back the one before it"
        super().__init__(f"{STATE}/journal/{entry.name} is damaged, {told}")


def compose(
    root: Path, verb: str, old: Files, writes: Files, moved: Mapping[str, str], was: Mapping[str, Any], of: int = 0
) -> bytes:
    """The entry of a change that goes from `old` to `writes`."""
    record: dict[str, Any] = {
        "schema": 1,
        "verb": verb,
        "when": time.strftime("%Y-%m-%d %H:%M:%S"),
        "token": os.urandom(4).hex(),
        "files": _files(root, old, writes, moved, was),
    }
    return json.dumps(record | ({"of": of} if of else {})).encode()


def inside(path: str) -> str:
    """The path itself; a KbError where it leads out of the vault, or to what commands read their settings from: a
    journal may have come with somebody's repository."""
    parts = Path(path).parts
    if not parts or ".." in parts or Path(path).is_absolute():
        raise KbError(f"{path} lies outside the vault", 2)
    own = path in (".gitignore", f"{STATE}/inbox.json") or parts[:2] == (STATE, "trash")
    if parts[0].startswith(".") and not own:
        raise KbError(f"{path} is no file that kb writes", 2)
    return path


def is_at_home(root: Path, place: str) -> bool:
    """Whether a place, all links followed, lies in the vault or in the folder that its notes are in."""
    found = os.path.realpath(place)
    homes = (os.path.realpath(home) for home in (root, root / "notes"))
    return any(os.path.commonpath([home, found]) == home for home in homes)


def leads_out(root: Path, change: Change) -> bool:
    """Whether a file of a change is elsewhere, by a link in the vault. Only the command that made such a change takes
    it back: an entry can be anybody's."""
    for path, said in change.files.items():
        file = os.path.join(os.path.realpath(root), str(said.get("file", path)))
        places = (str(root / path), str((root / path).parent), file)
        if not all(is_at_home(root, place) for place in places):
            return True
    return False


def _files(
    root: Path, old: Files, writes: Files, moved: Mapping[str, str], was: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    moves = {new: before for new, before in moved.items() if _moves(root, new, before, old, writes)}
    to = {before: new for new, before in moves.items()}
    files: dict[str, dict[str, Any]] = {}
    seen: dict[tuple[int, int], str] = {}
    for path, data in writes.items():
        name, before = root / path, old[path]
        said: dict[str, Any] = {"old": _text(before), "new": hash_of(data)}
        said["was"] = dict(was.get(path, {})) if before is None else kind_of(name)
        if path in moves:
            said["from"] = moves[path]
        elif path in to:
            said["to"] = to[path]
        elif before is not None and data is not None:
            found = os.stat(name)
            first = seen.setdefault((found.st_dev, found.st_ino), path)
            if first != path and writes[first] != data:
                raise KbError(f"{first} and {path} are one file; make two of them first")
            if first != path:
                said["same"] = first
        linked = name if path not in moves or not os.path.islink(root / moves[path]) else root / moves[path]
        file = os.path.relpath(os.path.realpath(linked), os.path.realpath(root))
        if file != os.path.normpath(path):
            said["file"] = file
        if data is not None and has_names(root / moves.get(path, path)):
            said["data"] = _text(data)
        files[path] = said
    return files


def _moves(root: Path, new: str, before: str, old: Files, writes: Files) -> bool:
    free = not os.path.lexists(root / new) and old.get(before) is not None
    return free and writes.get(new) is not None and before in writes and writes[before] is None


def load(entry: Path) -> Change:
    """The change of an entry; `Damaged` where it cannot be read."""
    try:
        record = json.loads(read_regular(entry))
        files = record["files"]
        old = {p: _bytes(f["old"]) for p, f in files.items()}
        new = {p: f["new"] for p, f in files.items()}
        of, token = int(record.get("of", 0)), str(record.get("token", ""))
        if not re.fullmatch("[0-9a-f]*", token):
            raise ValueError(token)
        for path, said in files.items():
            _check(path, said, files)
        return Change(int(entry.stem), str(record["verb"]), str(record["when"]), old, new, files, token, of)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, KbError):
        raise Damaged(entry) from None


def _check(path: str, said: Mapping[str, Any], files: Mapping[str, Any]) -> None:
    """An error where an entry says of a path what kb does not."""
    inside(path)
    if not {said[key] for key in ("from", "to", "same") if key in said} <= files.keys():
        raise ValueError(path)
    was = said.get("was", {})
    texts = [path, said.get("file", ""), was.get("link", ""), said["new"] or "", *path.split("/")]
    if not all(isinstance(text, str) and "\0" not in text for text in texts) or not isinstance(was.get("mode", 0), int):
        raise ValueError(path)
    if any(len(os.fsencode(part)) > 255 for part in path.split("/")):
        raise ValueError(path)


def steps(root: Path, change: Change, writes: Files) -> list[Step]:
    """The steps of a change; `writes` are the new bytes, where they are at hand."""
    return [
        step
        for number, (path, said) in enumerate(change.files.items())
        if (step := _step(root, change, path, f".kb-{change.token}-{number}", said, writes.get(path)))
    ]


def _step(root: Path, change: Change, path: str, temp: str, said: Mapping[str, Any], data: bytes | None) -> Step | None:
    old, new = change.old[path], change.new[path]
    if "data" in said:
        data = _bytes(said["data"])
    file = said.get("file", "")
    edit: type[Step] = InPlace if "data" in said else Replace
    if "from" in said:
        before = change.old[said["from"]]
        move = Move(root, path, temp, before, new, data, file=file)
        move.source = said["from"]
        move.inner = edit(root, path, temp, before, new, data, file=file) if hash_of(before) != new else None
        return move
    if "to" in said or "same" in said or hash_of(old) == new:
        return None
    kind = Create if old is None else Remove if new is None else edit
    return kind(root, path, temp, old, new, data, said.get("was", {}), file)


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)
