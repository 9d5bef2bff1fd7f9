"""Removing notes to a trash under the ignored folder, and bringing them back; `kb undo` takes a removal back too."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kb.files import STATE, Journal, read_bytes
from kb.library import Library
from kb.links import Link, link_name
from kb.note import Note
from kb.problem import KbError, Stale


@dataclass(frozen=True)
class Thrown:
    """A note in the trash: its path in the vault, when it was removed, and the file that holds it."""

    path: str
    when: str
    file: Path

    @property
    def id(self) -> str:
        return self.file.stem


@dataclass
class Removed:
    """What `remove` did: the paths, and the links and `part_of` of other notes that now lead nowhere."""

    paths: list[str]
    links: list[tuple[str, Link]] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)


def remove(library: Library, notes: Sequence[Note]) -> Removed:
    """Move notes to the trash, in one change."""
    paths = list(dict.fromkeys(note.path for note in notes))
    read: dict[str, bytes | None] = {path: read_bytes(library.root / path) for path in paths}
    gone = [path for path, data in read.items() if data is None]
    if gone:
        raise Stale(f"{gone[0]} is gone already; run the command again")
    done = Removed(paths)
    for path in paths:
        done.links += [(source, link) for source, link in library.index.links_to(path) if source not in paths]
        done.parts += [source for source in _parts(library, path) if source not in paths]
    folder = _new_folder(library.root)
    kept = {f"{folder}/{path}": data for path, data in read.items()}
    verb = f"rm {' '.join(Path(path).stem for path in paths)}"
    Journal(library.root).commit(verb, kept | dict.fromkeys(paths), read | dict.fromkeys(kept))
    return done


def as_json(done: Removed) -> dict[str, Any]:
    """The object of `kb rm --json`: links as in the backlinks of `kb links --json`."""
    links = [{"source": source, "line": link.line, "context": link.context} for source, link in done.links]
    return {"removed": done.paths, "links": links, "parts": done.parts}


def thrown(root: Path) -> Iterator[Thrown]:
    """What lies in the trash and is not in the vault again, newest first."""
    trash = root / STATE / "trash"
    for folder in sorted(trash.iterdir() if trash.is_dir() else (), reverse=True):
        for file in sorted(folder.rglob("*.md")):
            path = file.relative_to(folder).as_posix()
            if read_bytes(root / path) != read_bytes(file):
                day, _, clock = folder.name.partition("_")
                yield Thrown(path, f"{day} {clock[:8].replace('-', ':')}", file)


def restore(library: Library, names: Sequence[str]) -> list[str]:
    """Bring notes back from the trash, each as it was when it was last removed, in one change; returns the paths."""
    writes: dict[str, bytes | None] = {}
    lying = list(thrown(library.root))
    for name in names:
        found = next((t for t in lying if name in (t.id, t.path, t.path.removeprefix("notes/"))), None)
        if found is None:
            raise KbError(f"no note '{name}' is in the trash; `kb rm --list` shows what is")
        taken = library.index.resolve(found.id)
        if (library.root / found.path).exists() or (taken and Path(taken).stem == found.id):
            raise KbError(f"there is a note '{found.id}' again; rename it before you bring the old one back")
        writes[found.path] = read_bytes(found.file)
    Journal(library.root).commit(f"rm --restore {' '.join(names)}", writes, dict.fromkeys(writes), since=library.moment)
    return sorted(writes)


def _parts(library: Library, path: str) -> list[str]:
    """The notes that say `part_of` of this one."""
    from kb.checks import values

    named = [(source, link_name(part)) for source, part in values(library, "part_of")]
    return [source for source, part in named if library.index.resolve(part) == path]


def _new_folder(root: Path) -> str:
    """The path of a folder in the trash that is not there yet."""
    trash = f"{STATE}/trash/{time.strftime('%Y-%m-%d_%H-%M-%S')}"
    n = 1
    while (root / (folder := f"{trash}.{n:03}" if n > 1 else trash)).exists():
        n += 1
    return folder
