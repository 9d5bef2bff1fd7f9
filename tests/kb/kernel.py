"""A real `kill -9` at any call of the system, SQLite's own calls too: a forked process is traced (ptrace), stopped
before each call that may change a file, and killed there. Linux, through its C library, on machines that let a process
trace its child."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
import sys
from collections.abc import Callable, Set
from functools import cache
from typing import Any

_TRACEME, _POKEUSER, _SYSCALL, _SETOPTIONS, _INFO = 0, 6, 24, 0x4200, 0x420E
_GOOD, _EXITKILL = 1, 0x100000  # stops at calls are marked; the child ends with us
_ENTRY = 1
_RAX, _ORIG_RAX = 80, 120  # the registers of x86-64 that hold what a call returns, and its number
_NEED_ROOM = ("write", "pwrite", "writev", "mkdir", "fallocate", "symlink", "link")
_NUMBERS = {
    "x86_64": {
        1: "write", 18: "pwrite", 20: "writev", 74: "fsync", 75: "fdatasync", 76: "truncate", 77: "ftruncate",
        82: "rename", 83: "mkdir", 84: "rmdir", 86: "link", 87: "unlink", 88: "symlink", 90: "chmod", 91: "fchmod",
        92: "chown", 93: "fchown", 2: "open", 257: "open", 258: "mkdir", 263: "unlink", 264: "rename", 265: "link",
        266: "symlink", 268: "chmod", 260: "chown", 316: "rename", 285: "fallocate",
    },
    "aarch64": {
        64: "write", 68: "pwrite", 66: "writev", 82: "fsync", 83: "fdatasync", 45: "truncate", 46: "ftruncate",
        38: "rename", 276: "rename", 34: "mkdir", 35: "unlink", 37: "link", 36: "symlink", 53: "chmod", 52: "fchmod",
        54: "chown", 55: "fchown", 56: "open", 47: "fallocate",
    },
}  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@cache
def _ptrace() -> Callable[..., int] | None:
    if not sys.platform.startswith("linux") or os.uname().machine not in _NUMBERS:
        return None
    call = ctypes.CDLL(None, use_errno=True).ptrace
    call.restype, call.argtypes = ctypes.c_long, (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    return call


def calls(do: Callable[[], Any], kill_at: int = 0, full_at: int = 0, only: Set[str] = frozenset()) -> list[str] | None:
    """The changing calls of `do` in a process of its own, which is killed before the one of that number (0: none), or
    whose disk is full from that number on (x86 alone). `only`: count calls of these names and no other. None where
    processes cannot be traced here."""
    ptrace = _ptrace()
    if ptrace is None or (full_at and os.uname().machine != "x86_64"):
        return None
    pid = os.fork()
    if pid == 0:
        try:
            if ptrace(_TRACEME, 0, None, None) == 0:
                os.kill(os.getpid(), signal.SIGSTOP)
                do()
        finally:
            os._exit(0)
    status = os.waitpid(pid, 0)[1]
    if not os.WIFSTOPPED(status) or ptrace(_SETOPTIONS, pid, None, _GOOD | _EXITKILL) != 0:
        return None
    return _Traced(ptrace, pid, kill_at, full_at, only).run()


class _Traced:
    def __init__(self, ptrace: Callable[..., int], pid: int, kill_at: int, full_at: int, only: Set[str]) -> None:
        self.ptrace, self.pid, self.kill_at, self.full_at, self.only = ptrace, pid, kill_at, full_at, only
        self.info = ctypes.create_string_buffer(128)
        self.made: list[str] = []

    def run(self) -> list[str]:
        passed, refused = 0, False
        while True:
            self.ptrace(_SYSCALL, self.pid, None, passed)  # fails where it was killed
            status = os.waitpid(self.pid, 0)[1]
            if not os.WIFSTOPPED(status):
                return self.made
            passed = os.WSTOPSIG(status)
            if passed != signal.SIGTRAP | 0x80:
                continue
            passed = 0
            if refused:
                self._poke(_RAX, -errno.ENOSPC)
            refused = self._stopped()

    def _stopped(self) -> bool:
        """Count the call that is about to be made; whether it was refused."""
        if not (name := self._entered()) or (self.only and name not in self.only):
            return False
        self.made.append(name)
        if len(self.made) == self.kill_at:
            os.kill(self.pid, signal.SIGKILL)
        if not self.full_at or len(self.made) < self.full_at or name not in _NEED_ROOM:
            return False
        self._poke(_ORIG_RAX, -1)
        return True

    def _poke(self, register: int, value: int) -> None:
        self.ptrace(_POKEUSER, self.pid, register, value & (2**64 - 1))

    def _entered(self) -> str:
        """The name of the changing call that is about to be made; empty for any other stop."""
        length = self.ptrace(_INFO, self.pid, len(self.info), ctypes.addressof(self.info))
        if length <= 0 or self.info.raw[0] != _ENTRY:
            return ""
        number, *args = struct.unpack_from("=7Q", self.info.raw, 24)
        name = _NUMBERS[os.uname().machine].get(number, "")
        if name == "open":
            flags = args[1] if number == 2 else args[2]  # open, or openat
            return name if flags & _WRITING else ""
        return "" if name == "write" and args[0] in (1, 2) else name
