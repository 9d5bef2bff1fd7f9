"""Which notes there are and when each was last touched: what the index compares itself with at every command.

A file's stamp is its times in nanoseconds, its size and its inode. The time of its last change (ctime) is the kernel's:
no editor, sync tool or checkout sets it, so a note with its old modification time and its old size is seen too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kb.problem import KbError, Problem

_TICK_NS = 50_000_000  # a file may change again within the same stamp: the kernel's clock has ticks of 1 to 10 ms
_COARSE_NS = 2_500_000_000  # where a disk keeps whole seconds (FAT: two)
_SECOND_NS = 1_000_000_000
_POSIX = os.name == "posix"  # elsewhere ctime is when a file was made
_AHEAD_NS = 3600 * _SECOND_NS  # later than this a file was not touched just now: the clock was set back since

Stamps = dict[str, str]  # folder -> its notes, `name/stamp` each, sorted and joined by NUL: no name holds either sign


def scan(root: Path, now: int) -> Stamps:
    """The notes of every folder under notes/ with their stamps. `now` (ns) is when the looking began: a file touched so
    shortly before that it may be touched again without a trace has an empty stamp, which equals none."""
    found: Stamps = {}
    folders = ["notes"]
    while folders:
        folder = folders.pop()
        with _opened(root / folder, folder == "notes") as place:
            stamps = []
            for entry in os.scandir(place) if place else ():
                name = entry.name
                if name[0] == "." or not (name.isascii() or _is_unicode(name)):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{folder}/{name}")
                elif name[-3:] == ".md":
                    try:
                        stamps.append(f"{name}/{_stamp(entry.stat(), now)}")
                    except OSError:  # a link that leads nowhere
                        continue
        if stamps:
            found[folder] = "\0".join(sorted(stamps))
    return found


@contextmanager
def _opened(folder: Path, must: bool) -> Iterator[int | str]:
    """What scandir takes for a folder: its descriptor, below which files are found in a step; elsewhere its path.
    Nothing where it cannot be read."""
    try:
        if os.scandir not in os.supports_fd:
            os.scandir(folder).close()
            yield str(folder)
            return
        fd = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError as error:
        if must:
            raise KbError(f"{folder}: {error.strerror}; `kb init` makes a vault") from None
        yield ""
        return
    try:
        yield fd
    finally:
        os.close(fd)


def scan_again(root: Path, stamps: Stamps, notes: Iterable[str], now: int) -> Stamps:
    """`stamps` with those of some notes, by path, as they are now: as good as a scan where no others have changed."""
    found = dict(stamps)
    for path in notes:
        folder, _, name = path.rpartition("/")
        inside = _by_name(found.get(folder, ""))
        file = root / path
        inside.pop(name, None)
        if file.is_symlink() or not file.is_dir():
            with suppress(OSError):
                inside[name] = _stamp(file.stat(), now)
        found[folder] = "\0".join(sorted(f"{name}/{stamp}" for name, stamp in inside.items()))
        if not inside:
            del found[folder]
    return found


def passed_over(root: Path) -> list[Problem]:
    """What a scan passes over: names that are no UTF-8 (given as Python's ascii() shows them), and folders that cannot
    be read."""
    found: list[Problem] = []
    folders = ["notes"]
    while folders:
        folder = folders.pop()
        try:
            for entry in os.scandir(root / folder):
                if not entry.name.isascii() and not _is_unicode(entry.name):
                    said = "the name is no UTF-8, and kb passes the file over"
                    found.append(Problem(ascii(f"{folder}/{entry.name}")[1:-1], 0, "name", said, "rename it"))
                elif entry.is_dir(follow_symlinks=False) and entry.name[0] != ".":
                    folders.append(f"{folder}/{entry.name}")
        except OSError as error:
            said = f"cannot be read: {error.strerror}; kb passes over what lies in it"
            found.append(Problem(folder, 0, "unreadable", said, "check its permissions"))
    return sorted(found)


def _is_unicode(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def _stamp(s: os.stat_result, now: int) -> str:
    changed, touched = s.st_mtime_ns, s.st_ctime_ns
    if is_racy(touched if _POSIX else changed, now):
        return ""
    return f"{changed}:{touched}:{s.st_size}:{s.st_ino if _POSIX else 0}"  # not every call gives it elsewhere


def is_racy(touched: int, now: int) -> bool:
    """Whether a file touched then may be touched again, after it was read now, and bear the same stamp."""
    tick = _TICK_NS if touched % _SECOND_NS else _COARSE_NS
    return now - tick < touched < now + _AHEAD_NS


def paths(folder: str, stamps: str) -> dict[str, str]:
    """The notes of a folder by path, each with its stamp."""
    return {f"{folder}/{name}": stamp for name, stamp in _by_name(stamps).items()}


def _by_name(stamps: str) -> dict[str, str]:
    return dict(line.split("/") for line in stamps.split("\0")) if stamps else {}


def unstamped(stamps: Stamps, notes: Iterable[str]) -> Stamps:
    """`stamps` with empty ones for some notes, which are read again at the next look."""
    found = dict(stamps)
    for path in notes:
        folder, _, name = path.rpartition("/")
        inside = _by_name(found.get(folder, "")) | {name: ""}
        found[folder] = "\0".join(sorted(f"{name}/{stamp}" for name, stamp in inside.items()))
    return found


def differing(old: Stamps, new: Stamps) -> tuple[list[str], list[str]]:
    """Notes to read again and notes that are gone, by path."""
    changed: list[str] = []
    gone: list[str] = []
    for folder in old.keys() | new.keys():
        before, after = old.get(folder, ""), new.get(folder, "")
        if before == after and not _has_racy(after):
            continue
        were, are = paths(folder, before), paths(folder, after)
        changed += [path for path, stamp in are.items() if not stamp or were.get(path) != stamp]
        gone += [path for path in were if path not in are]
    return sorted(changed), sorted(gone)


def _has_racy(stamps: str) -> bool:
    return "/\0" in stamps or stamps.endswith("/")
