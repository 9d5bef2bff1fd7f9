"""Files that cannot tear, and a journal that lets every change be taken back.

A change is a set of files with the bytes each is to hold. It is written down (old bytes and new hash, fsynced) before
the first file is touched, each file is replaced by rename, and a mark ends it. A command that died in between is rolled
back by the next one. The journal lives under the ignored folder `.kb/`; without it only `kb undo` is lost.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from kb.problem import KbError, Overtaken, Stale

STATE = ".kb"
_KEPT = 50  # changes that can be taken back
_KEPT_BYTES = 256 * 1024 * 1024  # that their entries may take up; the newest change is kept whatever its size
PATIENCE = 60.0  # seconds to wait for another command, which may be writing a large import
_POLL = 0.01  # seconds between two looks at the lock


class Busy(KbError):
    """Another command holds the lock."""


def state_dir(root: Path) -> Path:
    """The ignored folder of what can be made anew; it ignores itself, so that no .gitignore is needed."""
    folder = root / STATE
    if folder.is_symlink():  # a repository may bring one along, and kb would write where it leads
        raise KbError(f"{folder} is a link; remove it, kb makes a folder of its own")
    folder.mkdir(exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return folder


def read_bytes(path: Path) -> bytes | None:
    """The file's bytes, None where there is none."""
    try:
        return read_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KbError(f"{path}: {error.strerror}; check that the file can be read") from None


def read_regular(path: Path | str, most: int = -1) -> bytes:
    """The bytes of a file, of which there are at most `most` if that is given; an OSError for a larger one, and for a
    pipe, a socket or a device, whose reading might never end."""
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if 0 <= most < found.st_size:
            raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MB")
        return file.read()


def write_atomic(path: Path, data: bytes) -> None:
    """All of `data` or the old file. Links stay links: the file they lead to is the one replaced."""
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = target.stat().st_mode & 0o7777 if target.exists() else 0o666 & ~_umask()
    fd, temp = tempfile.mkstemp(dir=target.parent, prefix=".kb-", suffix=".tmp")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temp, mode)
        os.replace(temp, target)
        _sync_folder(target.parent)
    except BaseException:
        Path(temp).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    try:
        fd = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def locked(root: Path, seconds: float = PATIENCE) -> Iterator[None]:
    """One writer at a time; who has the lock already goes on. The lock is the kernel's: it goes when its process does,
    however that ends. `Busy` where another command has it for so long."""
    from filelock import FileLock, Timeout

    try:
        lock = FileLock(state_dir(root) / "lock", is_singleton=True)
        lock.acquire(timeout=seconds, poll_interval=_POLL)
    except Timeout:
        raise Busy("another kb command has been writing for too long; try again when it has ended") from None
    except OSError as error:
        raise KbError(f"{root / STATE}: {error.strerror}; kb must be able to write there") from None
    try:
        yield
    finally:
        lock.release()


@dataclass(frozen=True)
class Change:
    """One entry of the journal: what a command did. `old` holds the bytes before it, `new` the hash after it."""

    number: int
    verb: str
    when: str
    old: Mapping[str, bytes | None]
    new: Mapping[str, str | None]

    @property
    def paths(self) -> list[str]:
        return sorted(self.old)


def _hash(data: bytes | None) -> str | None:
    import hashlib

    return None if data is None else hashlib.sha256(data).hexdigest()


class Journal:
    """The changes of one vault, newest last."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def folder(self) -> Path:
        folder = state_dir(self.root) / "journal"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise KbError(f"{folder}: {error.strerror}; kb must be able to write there") from None
        return folder

    def moment(self) -> str:
        """Names the newest change, to tell whether there has been another since."""
        try:
            newest = max(
                (e for e in os.scandir(self.root / STATE / "journal") if e.name.endswith(".json")),
                key=lambda entry: entry.name,
            )
            found = newest.stat()
        except (OSError, ValueError):  # no journal, an empty one, or one that changes in this moment
            return ""
        return f"{newest.name} {found.st_ino} {found.st_ctime_ns}"

    def notes_since(self, moment: str) -> list[str] | None:
        """The notes that commands have changed since a moment; None where the journal does not tell."""
        newest, _, rest = moment.partition(" ")
        entries = sorted(self.folder.glob("*.json"), reverse=True)
        newer = [entry for entry in entries if entry.name > newest]
        if not moment or len(newer) == len(entries) or entries[len(newer)].name != newest:
            return None
        found = entries[len(newer)].stat()
        if rest != f"{found.st_ino} {found.st_ctime_ns}":  # taken back since, and another change in its place
            return None
        paths = {path for entry in newer for path in self._load(entry).paths}
        return sorted(path for path in paths if path.startswith("notes/") and path.endswith(".md"))

    def commit(
        self,
        verb: str,
        writes: Mapping[str, bytes | None],
        expected: Mapping[str, bytes | None],
        since: str | None = None,
    ) -> None:
        """Make the files of `writes` (paths relative to the root; None removes one) hold those bytes, all or none.
        `expected` is what the caller read: a file that holds anything else by now is not overwritten. `since` is the
        moment in which the caller looked at the whole vault, where that matters: nothing is written if another command
        has changed anything since. Both are told by `Stale`."""
        if not writes:
            return
        with locked(self.root):
            self._recover()
            if since is not None and since != self.moment():
                raise Overtaken("another kb command was quicker; nothing was written, so run the command again")
            old = {path: read_bytes(self._inside(path)) for path in writes}
            for path, data in expected.items():
                if path in old and old[path] != data:
                    raise Stale(f"{path} changed while kb was at work; nothing was written, so run the command again")
            path = ""
            try:
                entry = self._open_entry(verb, old, writes)
                for path, data in writes.items():
                    self._put(path, data)
                os.replace(entry, entry.with_suffix(".json"))
            except OSError as error:
                self._give_up(f"{path or error.filename or self.root}: {error.strerror}")
            self._forget_oldest()

    def _give_up(self, reason: str) -> NoReturn:
        """Take back a change that could not be made, and say why it could not."""
        try:
            self._recover()
        except OSError:  # the same trouble again; the change stays open
            raise KbError(f"{reason}; the next kb command takes back what was begun") from None
        raise KbError(f"{reason}; nothing was changed") from None

    def undo(
        self, skip_changed: bool = False, joined: Mapping[str, Callable[[bytes, bytes], bytes]] | None = None
    ) -> tuple[Change, list[str]]:
        """Take back the newest change; returns it and the files left alone because they were edited since. `joined`
        says for some paths what an edited file is to hold: a function of the bytes before the change and of today's."""
        with locked(self.root):
            self._recover()
            entries = sorted(self.folder.glob("*.json"))
            if not entries:
                raise KbError("nothing to undo: the journal is empty")
            change = self._load(entries[-1])
            now = {p: _hash(read_bytes(self.root / p)) for p in change.paths}
            edited = [p for p in change.paths if now[p] not in (change.new[p], _hash(change.old[p]))]
            before = change
            for path in [p for p in edited if p in (joined or {})]:
                edited.remove(path)
                before = self._with_joined(before, path, (joined or {})[path])
            if edited and not skip_changed:
                more = f" and {len(edited) - 1} more" if len(edited) > 1 else ""
                raise KbError(
                    f"{edited[0]}{more} changed since `kb {change.verb}`; nothing was taken back "
                    "(kb undo --skip-changed leaves such files as they are)"
                )
            self._restore(before, skip=set(edited))
            entries[-1].unlink()
            return change, edited

    def _with_joined(self, change: Change, path: str, join: Callable[[bytes, bytes], bytes]) -> Change:
        both = join(change.old[path] or b"", read_bytes(self.root / path) or b"")
        return replace(change, old={**change.old, path: both})

    def changes(self) -> list[Change]:
        """What can be taken back, newest first."""
        if not (self.root / STATE / "journal").is_dir():
            return []
        found = (self._loaded(entry) for entry in sorted(self.folder.glob("*.json"), reverse=True))
        return [change for change in found if change]

    def newest(self) -> Change | None:
        """What would be taken back next."""
        entries = sorted((self.root / STATE / "journal").glob("*.json"))
        return self._loaded(entries[-1]) if entries else None

    def recover(self) -> Change | None:
        """Roll back a change whose command died half-way; what it was, if there was one. While another command is
        writing, the open change is that one's, and nobody waits for it here."""
        if not (self.root / STATE / "journal").is_dir() or not list(self.folder.glob("*.open")):
            return None
        try:
            with locked(self.root, seconds=0):
                return self._recover()
        except Busy:
            return None

    def _recover(self) -> Change | None:
        change = None
        for entry in self.folder.glob("*.open"):
            try:
                change = self._load(entry)
            except (ValueError, KeyError, KbError):  # it died while writing the entry: no file was touched yet
                entry.unlink()
                continue
            done = {p for p in change.paths if _hash(read_bytes(self.root / p)) == change.new[p]}
            self._restore(change, skip=set(change.paths) - done)
            for folder in {(self.root / p).parent for p in change.paths}:
                for temp in folder.glob(".kb-*.tmp"):
                    temp.unlink()
            entry.unlink()
        return change

    def _inside(self, path: str) -> Path:
        found, parts = self.root / path, Path(path).parts
        if not parts or ".." in parts or Path(path).is_absolute():
            raise KbError(f"{path} lies outside the vault", 2)
        own = path == ".gitignore" or parts[:2] == (STATE, "trash")
        if parts[0].startswith(".") and not own:  # .git/config runs commands, and a journal may come with a repository
            raise KbError(f"{path} is no file that kb writes", 2)
        return found

    def _open_entry(self, verb: str, old: Mapping[str, bytes | None], writes: Mapping[str, bytes | None]) -> Path:
        last = max((int(p.stem) for p in self.folder.iterdir() if p.stem.isdigit()), default=0)
        entry = self.folder / f"{last + 1:08}.open"
        record: dict[str, Any] = {
            "schema": 1,
            "verb": verb,
            "when": time.strftime("%Y-%m-%d %H:%M:%S"),
            "files": {
                path: {"old": None if data is None else base64.b64encode(data).decode(), "new": _hash(writes[path])}
                for path, data in old.items()
            },
        }
        write_atomic(entry, json.dumps(record).encode())
        return entry

    def _loaded(self, entry: Path) -> Change | None:
        """The change of an entry; None where another command has taken it away since it was named."""
        try:
            return self._load(entry)
        except FileNotFoundError:
            return None

    def _load(self, entry: Path) -> Change:
        record = json.loads(entry.read_text())
        files = record["files"]
        for path in files:
            self._inside(path)
        old = {p: None if f["old"] is None else base64.b64decode(f["old"]) for p, f in files.items()}
        return Change(int(entry.stem), record["verb"], record["when"], old, {p: f["new"] for p, f in files.items()})

    def _put(self, path: str, data: bytes | None) -> None:
        target = self._inside(path)
        if data is None:
            target.unlink(missing_ok=True)
            self._drop_empty(target.parent)
        else:
            write_atomic(target, data)

    def _drop_empty(self, folder: Path) -> None:
        while folder != self.root and folder.parent != self.root and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent

    def _restore(self, change: Change, skip: set[str] | None = None) -> None:
        for path, data in change.old.items():
            if path not in (skip or set()):
                self._put(path, data)

    def _forget_oldest(self) -> None:
        room = _KEPT_BYTES
        for n, entry in enumerate(sorted(self.folder.glob("*.json"), reverse=True)):
            room -= entry.stat().st_size
            if n and (n >= _KEPT or room < 0):
                entry.unlink()
        for left in self.folder.glob(".kb-*.tmp"):  # by a command that died while it wrote its entry
            left.unlink()
