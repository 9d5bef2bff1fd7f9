"""What a change asks of the disk, one call each: bytes that are on it before they get their name, folders that are, two
files that trade places, a name that is given only where there is none."""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

_TO_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe is not waited for
_UNABLE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM)  # a disk or a system that has no such call
_NOREPLACE, _EXCHANGE = 1, 2  # RENAME_NOREPLACE and RENAME_EXCHANGE of renameat2(2)
_HERE = -100  # AT_FDCWD


def read(path: Path) -> bytes | None:
    """The bytes of a file, None where there is none. Other trouble is an OSError."""
    try:
        return read_regular(path)
    except FileNotFoundError:
        return None


def read_regular(path: Path | str, most: int = -1) -> bytes:
    """The bytes of a file, of which there are at most `most` if that is given; an OSError for a larger one, and for a
    pipe, a socket or a device, whose reading might never end."""
    fd = os.open(path, _TO_READ)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if 0 <= most < found.st_size:
            raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MB")
        data = os.read(fd, found.st_size + 1)
        while len(data) > found.st_size and (more := os.read(fd, 1 << 20)):  # it has grown
            data += more
        return data
    finally:
        os.close(fd)


def write_new(path: Path, data: bytes, like: os.stat_result | None = None, mode: int | None = None) -> None:
    """A new file whose bytes are on the disk, with a mode, or the one and, where we may give it away, the owner of
    `like`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    fd = os.open(path, flags, 0o600 if like else 0o666)
    try:
        write_all(fd, data)
        if like:
            _make_like(path, like, os.fstat(fd))
        if mode is not None:
            os.chmod(path, mode)
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """All of it: one call of the system may write less than it was given."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _make_like(path: Path, like: os.stat_result, now: os.stat_result) -> None:
    if hasattr(os, "chown") and (now.st_uid, now.st_gid) != (like.st_uid, like.st_gid):
        with suppress(PermissionError):  # only root gives files away
            os.chown(path, like.st_uid, like.st_gid)
    os.chmod(path, like.st_mode & 0o7777)


def drop(path: Path) -> None:
    """Remove a file, if it is there."""
    if os.path.lexists(path):
        os.unlink(path)


def overwrite(path: Path, data: bytes, old: bytes) -> bool:
    """Give a file other bytes under the same inode; False where it does not hold `old`. This may tear: the caller has
    written down both, and `torn` knows what became of it."""
    fd = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        if read(path) != old:
            return False
        write_all(fd, data)
        os.ftruncate(fd, len(data))
        os.fsync(fd)
    finally:
        os.close(fd)
    return True


def torn(now: bytes, old: bytes, new: bytes) -> bool:
    """Whether `now` is what an `overwrite` of one by the other leaves that was cut off, or one back again: each byte is
    of the old or of the new text. What is shorter than both was made so by somebody."""
    if len(now) < min(len(old), len(new)) or len(now) > max(len(old), len(new)):
        return False
    return all(now[i : i + 1] in (old[i : i + 1], new[i : i + 1]) for i in range(len(now)))


def sync_folder(folder: Path) -> None:
    """The names in a folder, on the disk."""
    try:
        fd = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders, and one that was dropped is none
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """A folder and those above it, each on the disk."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def write_atomic(path: Path, data: bytes) -> None:
    """All of `data` or the old file. Links stay links: the file they lead to is the one replaced. What a process that
    was killed here left beside the file goes with the next write of it."""
    target = Path(os.path.realpath(path))
    make_folder(target.parent)
    begins = f".kb-{zlib.crc32(os.fsencode(target.name)):08x}-"
    sweep(target.parent, begins)
    temp = target.parent / f"{begins}{os.getpid()}.tmp"
    try:
        write_new(temp, data, target.stat() if target.exists() else None)
        os.replace(temp, target)
        sync_folder(target.parent)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise


def sweep(folder: Path, begins: str = ".kb-") -> None:
    """Remove what processes that were killed in `write_atomic` left in a folder."""
    for left in folder.glob(f"{begins}*.tmp"):
        if not _is_running(left.stem.rpartition("-")[2]):
            left.unlink(missing_ok=True)


def _is_running(pid: str) -> bool:
    """Whether another process of this number runs."""
    if not pid.isdecimal() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # not ours to ask; on Windows also one that is gone
        return True
    return True


def exchange(one: Path, other: Path) -> bool:
    """Two files trade their names in one step, so that nothing is lost of either; False where the system or the disk
    cannot do that (Linux can, on most disks)."""
    return _rename(one, other, _EXCHANGE)


def rename_free(one: Path, other: Path) -> bool:
    """Rename a file where the other name is free, in one step (FileExistsError: it is not); False as above."""
    return _rename(one, other, _NOREPLACE)


def _rename(one: Path, other: Path, flag: int) -> bool:
    call = _renameat2()
    code = call(os.fsencode(one), os.fsencode(other), flag) if call else errno.ENOSYS
    if code and code not in _UNABLE:
        raise OSError(code, os.strerror(code), str(other))
    return not code


@cache
def _renameat2() -> Callable[[bytes, bytes, int], int] | None:
    """The call of the C library as a function of two paths and a flag -> errno; None where it has none."""
    import ctypes

    try:
        found = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # macOS, an old C library, Windows
        return None
    found.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return lambda one, other, flag: ctypes.get_errno() if found(_HERE, one, _HERE, other, flag) else 0


def give_name(temp: Path, name: Path) -> bool:
    """Move a file to a name that is free; False where something has it. Links move as links."""
    try:
        if rename_free(temp, name):
            return True
        os.link(temp, name, follow_symlinks=False)
    except FileExistsError:
        return False
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in (*_UNABLE, errno.EMLINK):
            raise
        if os.path.lexists(name):  # a disk without hard links
            return False
        os.rename(temp, name)
        return True
    os.unlink(temp)
    return True
