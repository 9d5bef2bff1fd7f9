"""A disk that fails, fills up or is protected, a process that is killed, an editor that saves in between: at any call
of the system that changes something below a folder, counted from 1.

`run` does something in a forked process whose calls are counted there, and comes back with what became of it; `play`
does it in this one, where to be killed is an exception and a disk that does nothing any more. The calls are those of
`os` and the two renames of `kb.disk`; a file that is opened for writing in another way is a call named `open()`, which
no fault can reach: a test holds that kb makes none. `tests/kb/kernel.py` holds the list against the kernel's own.
"""

from __future__ import annotations

import builtins
import errno
import gc
import importlib
import io
import os
import pickle
import pkgutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import typer

import kb.cli
import kb.disk
import kb.steps
from kb.cli.shared import set_root

ONE = ("unlink", "remove", "rmdir", "mkdir", "chmod", "chown", "utime", "truncate")  # calls of one path
TWO = ("replace", "rename", "link", "symlink")  # of two, the second is the one that changes
FILE = ("write", "fsync", "ftruncate", "fchmod", "fchown")  # of a file that is open
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class Fault:
    """What happens at a call: `kill` (before it), `tear` (half of a write, then kill), `fail` (once), `fails` (then and
    ever after), `fail half` and `fails half` (half of a write first), `short` (half of a write, which says so, as any
    may), `edit` (somebody else acts before it, and `then` so many calls later the process is killed)."""

    at: int
    do: str
    code: int = errno.ENOSPC
    edit: Callable[[], None] | None = None
    then: int = 0


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (-9: killed), what it printed, the calls it made (of a killed one not known),
    what it returned."""

    code: int
    out: str
    err: str
    calls: list[tuple[str, str]] = field(default_factory=list)
    value: Any = None


class Killed(BaseException):
    """In a process that is not forked."""


class Disk:
    """Counts the calls below `root` and lets the fault happen at its own."""

    def __init__(self, root: Path, fault: Fault | None, forked: bool) -> None:
        self.root, self.fault, self.forked, self.dead = os.path.realpath(root), fault, forked, False
        self.calls: list[tuple[str, str]] = []
        self.names: dict[int, str] = {}
        self.at_work = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        places = [(os, name) for name in (*ONE, *TWO, *FILE, "open", "close")]
        places += [(kb.disk, "rename_free"), (kb.steps, "exchange"), (builtins, "open"), (io, "open")]
        before = [(where, name, getattr(where, name)) for where, name in places if hasattr(where, name)]
        for where, name, true in before:
            setattr(where, name, self._wrapped(where, name, true))
        try:
            yield
        finally:
            for where, name, true in before:
                setattr(where, name, true)

    def _wrapped(self, where: Any, name: str, true: Callable[..., Any]) -> Callable[..., Any]:
        if where in (builtins, io):
            return lambda file, mode="r", *a, **k: self._buffered(true, file, mode, *a, **k)
        if name == "open":
            return lambda path, flags, *a, **k: self._open(true, path, flags, *a, **k)
        if name == "close":
            return lambda fd: (self.names.pop(fd, None), true(fd))[1]
        if name in FILE:
            return lambda fd, *a: self._call(name, self.names.get(fd, ""), true, fd, *a)
        if name in (*TWO, "exchange", "rename_free"):
            return lambda one, other, *a, **k: self._call(name, other, true, one, other, *a, **k)
        return lambda path, *a, **k: self._call(name, path, true, path, *a, **k)

    def _open(self, true: Callable[..., int], path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & WRITING:
            fd = self._call("open", path, true, path, flags, *args, **kwargs)
        else:
            fd = true(path, flags, *args, **kwargs)
        if isinstance(path, str | os.PathLike):
            self.names[fd] = os.fspath(path)
        return fd

    def _buffered(self, true: Callable[..., Any], file: Any, mode: str, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(file, int) and set(mode) & set("wax+") and self._inside(file):
            self.calls.append(("open()", self._inside(file)))
        return true(file, mode, *args, **kwargs)

    def _inside(self, path: Any) -> str:
        """A path below the root, as it reads from there; empty for any other."""
        if not path or isinstance(path, int):
            return ""
        full = os.path.abspath(os.fsdecode(path))
        for root in {self.root, os.path.realpath(self.root)}:
            if full.startswith(root + os.sep):
                return os.path.relpath(full, root)
        return "." if full == self.root else ""

    def _call(self, name: str, path: Any, true: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        inside = self._inside(path)
        if self.at_work or not inside:
            return true(*args, **kwargs)
        if self.dead:
            raise Killed
        self.calls.append((name, inside))
        fault = self.fault
        if fault and fault.do == "short":
            if name == "write" and len(self.calls) == fault.at:
                return true(args[0], args[1][: len(args[1]) // 2])
        elif fault and (len(self.calls) == fault.at or (fault.do.startswith("fails") and len(self.calls) > fault.at)):
            self._happen(fault, name, true, args)
        if fault and fault.then and len(self.calls) == fault.at + fault.then:
            self._die()
        return None if name == "fsync" else true(*args, **kwargs)  # what is killed here needs no disk that lasts

    def _happen(self, fault: Fault, name: str, true: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if fault.do in ("tear", "fail half", "fails half") and name == "write":
            fd, data = args
            true(fd, data[: len(data) // 2])
        if fault.do in ("kill", "tear"):
            self._die()
        if fault.do == "edit":
            self.at_work = True
            assert fault.edit
            fault.edit()
            self.at_work = False
        else:
            raise OSError(fault.code, os.strerror(fault.code))

    def _die(self) -> None:
        if self.forked:
            os.kill(os.getpid(), signal.SIGKILL)
        self.dead = True
        raise Killed


def play(root: Path, do: Callable[[], Any], fault: Fault | None = None) -> Ended:
    """Do something in this process, on a disk with this fault; an exception is told as its name and text."""
    disk = Disk(root, fault, forked=False)
    code, err, value = 0, io.StringIO(), None
    out = io.TextIOWrapper(io.BytesIO(), write_through=True)
    with redirect_stdout(out), redirect_stderr(err), chdir(root), disk.installed():
        try:
            value = do()
        except Killed:
            code = -9
        except SystemExit as error:
            code = int(error.code or 0)
        except Exception as error:
            code = 70
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
    return Ended(code, out.buffer.getvalue().decode(), err.getvalue(), disk.calls, value)


def run(root: Path, do: Callable[[], Any], fault: Fault | None = None) -> Ended:
    """Do something in a process of its own, on a disk with this fault."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as told:
        pid = os.fork()
        if pid == 0:
            _child(root, do, fault, out.fileno(), err.fileno(), told.fileno())
        status = os.waitpid(pid, 0)[1]
        texts = [_all(file).decode() for file in (out, err)]
        said = _all(told)
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    calls, value = pickle.loads(said) if said else ([], None)
    return Ended(code, *texts, calls, value)


def _all(file: Any) -> bytes:
    file.seek(0)
    return file.read()


def _child(root: Path, do: Callable[[], Any], fault: Fault | None, out: int, err: int, told: int) -> None:
    code, value = 70, None
    disk = Disk(root, fault, forked=True)
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        sys.stdin = os.fdopen(0)
        with disk.installed():
            value, code = do(), 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1 if error.code else 0
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(told, pickle.dumps((disk.calls, value)))
        os._exit(code)


def kb_main(root: Path, *args: str) -> Callable[[], None]:
    """`kb ARGS` in the vault at `root`, as the shell starts it."""

    def do() -> None:
        set_root(None)
        os.chdir(root)
        with mock.patch.object(sys, "argv", ["kb", *args]), mock.patch.object(kb.cli, "app", _parser()):
            kb.cli.main()

    return do


@cache
def _parser() -> Any:
    """What typer makes of the verbs, which takes longer than most of them."""
    return typer.main.get_command(kb.cli.app)


def warm(root: Path) -> None:
    """Import what verbs import when they run, and compile their patterns, once for all processes forked from now on."""
    for module in pkgutil.walk_packages(kb.__path__, "kb."):
        if not module.name.startswith(("kb.site", "kb.__main__", "kb.demo", "kb.reference")):
            importlib.import_module(module.name)
    play(root, kb_main(root, "list"))
    gc.collect()
    gc.freeze()  # what never goes needs not be copied to be looked at
