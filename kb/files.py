"""Files that cannot tear, and a journal that lets every change be taken back.

A change is a set of files with the bytes each is to hold. It is written down (old bytes and new hash, on the disk as
`N.open`) before the first file is touched; its steps (kb/steps.py) put each file in place; a rename to `N.done` makes
it count, all at once; what lay beside the files goes, and it stays as `N.json` for `kb undo`, which is itself such a
change. A command that died in between is taken back, or brought to its end, by the next one. The journal lives under
the ignored folder `.kb/`; without it only `kb undo` is lost.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from kb.disk import make_folder, read, sweep, sync_folder
from kb.disk import read_regular as read_regular
from kb.disk import write_atomic as write_atomic
from kb.entries import STATE as STATE
from kb.entries import Change as Change
from kb.entries import Damaged as Damaged
from kb.entries import Files, compose, inside, is_at_home, leads_out, load
from kb.entries import steps as steps_of
from kb.problem import KbError, Overtaken, Stale
from kb.steps import Changed, Step, hash_of

_KEPT = 50  # changes that can be taken back
_KEPT_BYTES = 256 * 1024 * 1024  # that their entries may take up; the newest change is kept whatever its size
PATIENCE = 60.0  # seconds to wait for another command, which may be writing a large import
_POLL = 0.01  # seconds between two looks at the lock
_OWN = (".gitignore", "inbox.json", "journal", "trash", "answers", "lock")  # what kb keeps in its folder
_UNENDED = (".open", ".done")


class Busy(KbError):
    """Another command holds the lock."""


def state_dir(root: Path) -> Path:
    """The ignored folder of what can be made anew; it ignores itself, so that no .gitignore is needed."""
    folder = root / STATE
    if folder.is_symlink():  # a repository may bring one along, and kb would write where it leads
        raise KbError(f"{folder} is a link; remove it, kb makes a folder of its own")
    make_folder(folder)
    for name in _OWN:
        if os.path.islink(folder / name):
            raise KbError(f"{folder / name} is a link; remove it, kb makes one of its own")
    ignore = folder / ".gitignore"
    if not ignore.exists():
        write_atomic(ignore, b"*\n")
    return folder


def read_bytes(path: Path) -> bytes | None:
    """The file's bytes, None where there is none."""
    try:
        return read(path)
    except OSError as error:
        raise KbError(f"{path}: {error.strerror}; check that the file can be read") from None


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
class Settled:
    """What became of a change whose command died: it is `done`, or was taken back but for what was `edited` since. Of
    an entry that cannot be read there is no change, only the place where it lies."""

    change: Change | None
    done: bool = False
    edited: tuple[str, ...] = ()
    place: str = ""


class Journal:
    """The changes of one vault, newest last."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def folder(self) -> Path:
        folder = state_dir(self.root) / "journal"
        try:
            make_folder(folder)
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
        entries = self._entries()[::-1]
        newer = [entry for entry in entries if entry.name > newest]
        if not moment or len(newer) == len(entries) or entries[len(newer)].name != newest:
            return None
        found = entries[len(newer)].stat()
        if rest != f"{found.st_ino} {found.st_ctime_ns}":  # taken back since, and another change in its place
            return None
        paths = {path for entry in newer for path in load(entry).paths}
        return sorted(path for path in paths if path.startswith("notes/") and path.endswith(".md"))

    # Making a change

    def commit(
        self,
        verb: str,
        writes: Files,
        expected: Files,
        moved: Mapping[str, str] | None = None,
        since: str | None = None,
    ) -> None:
        """Make the files of `writes` (paths relative to the root; None removes one) hold those bytes, all or none.
        `expected` is what the caller read: a file that holds anything else by now is not overwritten. `moved` says of
        a new path from which removed one its file comes, so that a link stays one. `since` is the moment in which the
        caller looked at the whole vault, where that matters: nothing is written if another command has changed anything
        since. What is no longer so is told by `Stale`."""
        if not writes:
            return
        with locked(self.root):
            self._settle_or_say()
            if since is not None and since != self.moment():
                raise Overtaken("another kb command was quicker; nothing was written, so run the command again")
            self._change(verb, writes, expected, moved or {})
            self._forget_oldest()

    def _change(
        self,
        verb: str,
        writes: Files,
        expected: Files,
        moved: Mapping[str, str],
        was: Mapping[str, Any] | None = None,
        of: int = 0,
    ) -> None:
        self._refuse_linked_folders(writes)
        old = {path: read_bytes(self.root / path) for path in writes}
        self._compare(old, expected)
        journal = path = f"{STATE}/journal"
        number = 0
        try:
            change = self._write_entry(verb, old, writes, moved, was or {}, of)
            number = change.number
            steps = steps_of(self.root, change, writes)
            for do in ("stage", "place"):
                for step in steps:
                    path = step.path
                    getattr(step, do)()
            path = journal
            self._sync(steps)
            for step in steps:
                step.verify()
            done = self._entry(change.number, ".done")
            os.replace(self._entry(change.number, ".open"), done)
        except Changed as error:
            self._give_up(
                f"{error} changed while kb was at work", "nothing was written, so run the command again", number, Stale
            )
        except OSError as error:
            self._give_up(f"{path}: {error.strerror}", "nothing was changed", number)
        except BaseException:
            with suppress(OSError):
                self._settle(number)
            raise
        with suppress(OSError):  # it counts by now; the next command does this
            sync_folder(self.folder)
            self._end(done, change)

    def _compare(self, old: Files, expected: Files) -> None:
        for path, data in expected.items():
            if path in old and old[path] != data:
                raise Stale(f"{path} changed while kb was at work; nothing was written, so run the command again")

    def _refuse_linked_folders(self, paths: Iterable[str]) -> None:
        """A folder that is a link may have come with a repository; kb reads no notes there, and writes none. A large
        import has many paths in few folders."""
        for folder, path in {str((self.root / inside(path)).parent): path for path in paths}.items():
            if not is_at_home(self.root, folder):
                raise KbError(f"{path} lies behind a folder that is a link out of the vault", 2)

    def _give_up(self, reason: str, otherwise: str, own: int, kind: type[KbError] = KbError) -> NoReturn:
        """Take back a change that could not be made, and say why it could not."""
        try:
            self._settle(own)
        except OSError:  # the same trouble again; the change stays open
            raise KbError(f"{reason}; the next kb command takes back what was begun") from None
        raise kind(f"{reason}; {otherwise}") from None

    # Taking one back

    def undo(
        self,
        skip_changed: bool = False,
        joined: Mapping[str, Callable[[bytes, bytes], bytes]] | None = None,
        beside: Callable[[Change], Files] = lambda change: {},
    ) -> tuple[Change, list[str]]:
        """Take back the newest change; returns it and the files left alone because they were edited since. `joined`
        says for some paths what an edited file is to hold: a function of the bytes before the change and of today's.
        `beside` are further files to write with it."""
        with locked(self.root):
            self._settle_or_say()
            entries = self._entries()
            if not entries:
                raise KbError("nothing to undo: the journal is empty")
            change = load(entries[-1])
            now = {path: read_bytes(self.root / inside(path)) for path in change.old}
            writes = dict(change.old)
            other = {p for p in change.old if hash_of(now[p]) not in (change.new[p], hash_of(change.old[p]))}
            edited = [path for path in change.paths if path in other]
            for path in [p for p in edited if p in (joined or {})]:
                edited.remove(path)
                writes[path] = (joined or {})[path](change.old[path] or b"", now[path] or b"")
            if edited and not skip_changed:
                more = f" and {len(edited) - 1} more" if len(edited) > 1 else ""
                raise KbError(
                    f"{edited[0]}{more} changed since `kb {change.verb}`; nothing was taken back "
                    "(kb undo --skip-changed leaves such files as they are)"
                )
            left = other - set(joined or {}) | set(edited)
            writes = {path: data for path, data in writes.items() if path not in left}
            back = {said["from"]: path for path, said in change.files.items() if "from" in said}
            was = {path: said.get("was", {}) for path, said in change.files.items()}
            self._change("undo", {**writes, **beside(change)}, now, back, was, of=change.number)
            return change, edited

    def changes(self) -> list[Change]:
        """What can be taken back, newest first, without the entries that are damaged."""
        found = []
        for entry in reversed(self._entries()):
            with suppress(Damaged, FileNotFoundError):
                found.append(load(entry))
        return found

    def newest(self) -> Change | None:
        """What would be taken back next."""
        entries = self._entries()
        return load(entries[-1]) if entries else None

    def _entries(self, *suffixes: str) -> list[Path]:
        """The entries with these suffixes, oldest first; no folder is made for them."""
        folder = self.root / STATE / "journal"
        if not folder.is_dir():
            return []
        found = (entry for entry in folder.iterdir() if entry.suffix in (suffixes or (".json",)))
        return sorted(entry for entry in found if entry.stem.isdecimal())

    # What a command that died has left

    def recover(self) -> list[Settled]:
        """Take back the change whose command died half-way, or bring it to its end; what was done. Where a command is
        just writing, nothing is waited for. A KbError says what cannot be taken back, and why."""
        if not self._entries(*_UNENDED):
            return []
        try:
            with locked(self.root, seconds=0):
                return self._settle_or_say()
        except Busy:
            return []

    def _settle_or_say(self) -> list[Settled]:
        try:
            return self._settle()
        except OSError as error:
            told = f"{error.filename or self.root}: {error.strerror}"
            raise KbError(f"{told}; a kb command was cut off, and what it had begun cannot be taken back yet") from None

    def _settle(self, own: int = 0) -> list[Settled]:
        """`own` is the number of the change that this very command has begun; of any other it is not known who has."""
        found = []
        for entry in reversed(self._entries(*_UNENDED)):
            try:
                change = load(entry)
                if change.number != own and leads_out(self.root, change):
                    raise Damaged(entry)
            except Damaged:
                os.replace(entry, entry.with_suffix(".damaged"))
                found.append(Settled(None, place=f"{STATE}/journal/{entry.stem}.damaged"))
                continue
            if entry.suffix == ".done":
                self._end(entry, change)
                found.append(Settled(change, done=True))
            else:
                found.append(Settled(change, edited=tuple(self._take_back(entry, change))))
        return found

    def _take_back(self, entry: Path, change: Change) -> list[str]:
        steps = steps_of(self.root, change, {})
        edited = [step.path for step in reversed(steps) if not step.take_back()]
        self._drop_empty(path for path in change.old if change.old[path] is None)
        self._sync(steps)
        entry.unlink()
        return sorted(edited)

    def _end(self, entry: Path, change: Change) -> None:
        """Of a change that counts: remove what lay beside its files, and file it for `kb undo`."""
        for step in steps_of(self.root, change, {}):
            step.clean()
        self._drop_empty(path for path, new in change.new.items() if new is None)
        if change.of:
            self._entry(change.of, ".json").unlink(missing_ok=True)
            entry.unlink()
        else:
            os.replace(entry, entry.with_suffix(".json"))

    # Entries

    def _entry(self, number: int, suffix: str) -> Path:
        return self.folder / f"{number:08}{suffix}"

    def _write_entry(
        self,
        verb: str,
        old: Files,
        writes: Files,
        moved: Mapping[str, str],
        was: Mapping[str, Any],
        of: int,
    ) -> Change:
        """Write down what is going to be done; the change as it reads there."""
        last = max((int(p.stem) for p in self.folder.iterdir() if p.stem.isdecimal()), default=0)
        entry = self._entry(last + 1, ".open")
        write_atomic(entry, compose(self.root, verb, old, writes, moved, was, of))
        return load(entry)

    def _sync(self, steps: list[Step]) -> None:
        for folder in sorted({folder for step in steps for folder in step.folders}):
            sync_folder(folder)

    def _drop_empty(self, paths: Iterator[str]) -> None:
        """Folders below the vault's own that hold nothing any more."""
        for path in paths:
            folder = (self.root / path).parent
            while folder != self.root and folder.parent != self.root:
                try:
                    folder.rmdir()
                except OSError:  # not empty, or gone
                    break
                folder = folder.parent

    def _forget_oldest(self) -> None:
        room = _KEPT_BYTES
        with suppress(OSError):
            for n, entry in enumerate(reversed(self._entries())):
                room -= entry.stat().st_size
                if n and (n >= _KEPT or room < 0):
                    entry.unlink()
            sweep(self.folder)
            sweep(self.folder.parent)
