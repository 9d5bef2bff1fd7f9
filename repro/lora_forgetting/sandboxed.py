"""What runs inside the sandbox (repro.lora_forgetting.sandbox), as a script of an interpreter of its own: the standard
library and nothing of this project. One process holds the program, another its tests; they speak in JSON lines.

Only values cross: numbers, text and containers as copies, anything else stays where it is and is spoken of by number.
So the tests compare what they can trust the type of, and the program finds neither them nor where the verdict goes.
"""

from __future__ import annotations

import builtins
import ctypes
import errno
import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from types import CodeType, ModuleType
from typing import IO, Any

_LONGEST = 1 << 24  # characters of a message
_SHOWN = 200  # characters of an error

# What the kernel lets either process do

# Numbers of the system calls of computing, of reading files and of the two pipes, on x86_64 and on aarch64 (-1: not
# there). All others are refused: sockets, processes, threads, signals, writing by name, and what kernels learn later.
_CALLS = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "lseek": (8, 62), "mmap": (9, 222),
    "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "mremap": (25, 216), "madvise": (28, 233),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    "stat": (4, -1), "lstat": (6, -1), "newfstatat": (262, 79), "statx": (332, 291), "access": (21, -1),
    "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, -1), "readlinkat": (267, 78),
    "getdents64": (217, 61), "getcwd": (79, 17), "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66),
    "dup": (32, 23), "dup2": (33, -1), "dup3": (292, 24), "pipe": (22, -1), "pipe2": (293, 59), "poll": (7, -1),
    "ppoll": (271, 73), "select": (23, -1), "pselect6": (270, 72), "futex": (202, 98), "sched_yield": (24, 124),
    "set_robust_list": (273, 99), "rseq": (334, 293), "restart_syscall": (219, 128), "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115), "clock_gettime": (228, 113), "clock_getres": (229, 114), "gettimeofday": (96, 169),
    "time": (201, -1), "times": (100, 153), "getrusage": (98, 165), "getpid": (39, 172), "getppid": (110, 173),
    "gettid": (186, 178), "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177),
    "uname": (63, 160), "sysinfo": (99, 179), "getrandom": (318, 278), "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
# Allowed where an argument is harmless: an open that neither makes, empties nor writes; a file descriptor's own flags
_OPENS = {"open": (2, -1, 1), "openat": (257, 56, 2)}  # numbers, and which argument holds the flags
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_FCNTL, _FCNTL_COMMANDS = (72, 25), (0, 1, 2, 3, 4, 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, with CLOEXEC
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, and the kernel's name for it

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06  # of classic BPF, on 32-bit words
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EACCES, 0x80000000
_NR, _ARCH = 0, 4  # places in the kernel's struct seccomp_data
_NO_NEW_PRIVS, _SECCOMP, _FILTER, _DUMPABLE, _PARENT_DEATH = 38, 22, 2, 4, 1  # of prctl
_NEW_USER_NAMESPACE = 0x10000000
_CAPABILITIES = 0x20080522  # version 3 of the header of capset


def rules(machine: str) -> list[tuple[int, int, int, int]]:
    """The filter as BPF: (code, steps ahead if true, if false, constant). A ValueError on another kind of machine."""
    if machine not in MACHINES:
        raise ValueError(f"there is no list of system calls for {machine}, only for {' and '.join(MACHINES)}")
    column, arch = MACHINES[machine]
    found = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, arch), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NR)]
    for call in _CALLS.values():
        if call[column] >= 0:
            found += [(_EQUAL, 0, 1, call[column]), (_RETURN, 0, 0, _ALLOW)]
    for *numbers, place in _OPENS.values():
        if numbers[column] >= 0:
            found += [(_EQUAL, 0, 4, numbers[column]), (_LOAD, 0, 0, _argument(place)), (_ANY_BIT, 1, 0, _WRITING)]
            found += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    found += [(_EQUAL, 0, 1 + 2 * len(_FCNTL_COMMANDS), _FCNTL[column]), (_LOAD, 0, 0, _argument(1))]
    for command in _FCNTL_COMMANDS:
        found += [(_EQUAL, 0, 1, command), (_RETURN, 0, 0, _ALLOW)]
    return [*found, (_RETURN, 0, 0, _REFUSE)]


def _argument(place: int) -> int:
    """Where the lower half of an argument stands; both machines put it first."""
    return 16 + 8 * place


class _Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("rules", ctypes.c_char_p)]


def confine(cpu_s: int, memory_mb: int, parent: int) -> None:
    """Give up, for good, all that computing does not need. An OSError or ValueError where the kernel does not take it;
    nothing that is not trusted may run then."""
    packed = b"".join(struct.pack("HBBI", *rule) for rule in rules(os.uname().machine))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.unshare(_NEW_USER_NAMESPACE)  # where it may: then the user's other processes cannot be looked into either
    _set_limits(cpu_s, memory_mb)
    _done(libc.capset(struct.pack("Ii", _CAPABILITIES, 0), bytes(24)))
    for option, value in ((_NO_NEW_PRIVS, 1), (_DUMPABLE, 0), (_PARENT_DEATH, signal.SIGKILL)):
        _done(libc.prctl(option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3))
    if os.getppid() != parent:
        raise OSError("the process that asked for this is gone")
    program = _Filter(len(packed) // 8, packed)
    _done(libc.prctl(_SECCOMP, ctypes.c_ulong(_FILTER), ctypes.byref(program), *[ctypes.c_ulong(0)] * 2))
    if libc.socket(1, 1, 0) != -1 or ctypes.get_errno() != errno.EACCES:
        raise OSError("the filter of system calls was taken and does nothing")


def _set_limits(cpu_s: int, memory_mb: int) -> None:
    memory = memory_mb << 20
    limits = {
        resource.RLIMIT_CPU: (cpu_s, cpu_s + 1),  # a signal, then the end for who ignores it
        resource.RLIMIT_AS: (memory, memory), resource.RLIMIT_FSIZE: (0, 0), resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_NOFILE: (64, 64), resource.RLIMIT_NPROC: (0, 0),
    }  # fmt: skip
    for limit, (soft, hard) in limits.items():
        most = resource.getrlimit(limit)[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        resource.setrlimit(limit, (soft, hard))


def _done(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _silence() -> None:
    """Nothing to read on standard input, and what is printed goes nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


# Values, from one process to the other


def encode(value: Any, keep: Callable[[Any], int]) -> Any:
    """A value as JSON. Of a container's subclass (Counter, a named tuple) the container; what is none of these is left
    with `keep`, and its number is told."""
    if value is None or isinstance(value, (bool, float, str)):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < 1 << 63 else ["int", hex(value)]  # hex, as decimal has a limit on digits
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return [kind.__name__, [encode(item, keep) for item in value]]
    if isinstance(value, dict):
        return ["dict", [[encode(k, keep), encode(v, keep)] for k, v in value.items()]]
    if isinstance(value, (bytes, bytearray)):
        return ["bytes", bytes(value).hex()]
    if isinstance(value, complex):
        return ["complex", [value.real, value.imag]]
    if isinstance(value, type) and value in vars(builtins).values():
        return ["type", value.__name__]
    return ["held", keep(value)]


def decode(value: Any, held: Callable[[int], Any]) -> Any:
    """What `encode` made; `held` gives what a number stands for."""
    if not isinstance(value, list):
        return value
    tag, inside = value
    if tag in ("list", "tuple", "set", "frozenset"):
        return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[tag](decode(v, held) for v in inside)
    if tag == "dict":
        return {decode(k, held): decode(v, held) for k, v in inside}
    simple: dict[str, Callable[[Any], Any]] = {
        "int": lambda text: int(text, 16), "bytes": bytes.fromhex, "complex": lambda two: complex(*two), "held": held,
        "type": _type,
    }  # fmt: skip
    return simple[tag](inside)


def _type(name: str) -> type:
    """One that is built in; nothing else that is, such as eval."""
    found = vars(builtins)[name]
    if not isinstance(found, type):
        raise ValueError(f"{name} is no type")
    return found


def _send(stream: IO[str], message: dict[str, Any]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


def _compiled(source: str, name: str) -> CodeType:
    return compile(source, name, "exec", dont_inherit=True)  # this file's own __future__ is not theirs


# The program's process


class Host:
    """Holds the program and does to it what the tests ask."""

    def __init__(self) -> None:
        self.module = ModuleType("program")  # so that a script's own beginning, if it is __main__, stays unrun
        sys.modules["program"] = self.module
        self.kept: list[Any] = []

    def keep(self, value: Any) -> int:
        self.kept.append(value)
        return len(self.kept) - 1

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"value": encode(self._do(**asked), self.keep)}
        except BaseException as error:  # also SystemExit: the end is not the program's to declare
            return {"raised": type(error).__name__, "text": str(error)[:_SHOWN]}

    def _do(self, do: str, of: Any = None, name: str = "", value: Any = None) -> Any:
        subject, value = decode(of, self.kept.__getitem__), decode(value, self.kept.__getitem__)
        if do == "run":
            exec(_compiled(subject, "<program>"), self.module.__dict__)
            return None
        if do == "name":
            if name not in self.module.__dict__:
                raise NameError(f"the program does not define {name}")
            return self.module.__dict__[name]
        if do == "call":
            return subject(*value[0], **value[1])
        if do == "get":
            return getattr(subject, name)
        if do == "set":
            return setattr(subject, name, value)
        return list(subject)


def serve(cpu_s: int, memory_mb: int, parent: int) -> None:
    asked, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    _silence()
    try:
        confine(cpu_s, memory_mb, parent)
    except (OSError, ValueError) as error:
        return _send(answers, {"refused": str(error)})
    _send(answers, {"ready": True})
    host = Host()
    for line in asked:
        _send(answers, host.answer(json.loads(line)))
    return None


# The tests' process


class GoneError(BaseException):
    """The program's process has ended, or speaks no more. Not for tests to catch that expect an Exception."""


class Peer:
    """The program, as seen from the tests."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self.requests, self.answers = requests, answers

    def hear(self) -> dict[str, Any]:
        line = self.answers.readline(_LONGEST)
        if not line:
            raise GoneError
        found = json.loads(line)
        if not isinstance(found, dict):
            raise ValueError("the program's answer is no answer")
        return found

    def ask(self, do: str, of: Any = None, name: str = "", value: Any = None) -> Any:
        of, value = encode(of, self._number), encode(value, self._number)
        try:
            _send(self.requests, {"do": do, "of": of, "name": name, "value": value})
        except BrokenPipeError:
            raise GoneError from None
        found = self.hear()
        if "raised" in found:
            raise _exception(str(found["raised"]), str(found["text"])[:_SHOWN])
        return decode(found["value"], lambda number: Remote(self, number))

    def _number(self, value: Any) -> int:
        if not isinstance(value, Remote):
            raise TypeError(f"a {type(value).__name__} cannot be given to the program")
        return int(vars(value)["_number"])


_ENDS = (StopIteration, StopAsyncIteration)


def _exception(name: str, text: str) -> Exception:
    """What the program raised. An end of iteration would end the tests' own `map` early, and pass what was not looked
    at; it becomes a RuntimeError, as Python makes it one in a generator."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, _ENDS):
        try:
            return kind(text)
        except TypeError:  # UnicodeDecodeError and such want more than a text
            pass
    return RuntimeError(f"{name}: {text}")


class Remote:
    """What stays with the program: a function, a class, an object. It equals only itself, whatever it says."""

    def __init__(self, peer: Peer, number: int) -> None:
        object.__setattr__(self, "_peer", peer)
        object.__setattr__(self, "_number", number)

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self._peer.ask("call", self, value=(args, named))

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._peer.ask("list", self)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._peer.ask("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._peer.ask("set", self, name, value)


def judged(job: dict[str, Any], peer: Peer) -> tuple[str, str]:
    """The verdict over a program and why."""
    try:
        hello = peer.hear()
    except GoneError:
        hello = {"refused": "no interpreter started"}
    if "refused" in hello:
        return "refused", str(hello["refused"])
    peer.ask("run", job["program"])
    space: dict[str, Any] = {"__name__": "tests"}
    exec(_compiled(job["before"], "<before>"), space)
    for name in job["names"]:
        space[name] = peer.ask("name", name=name)
    exec(_compiled(job["tests"], "<tests>"), space)
    return "passed", ""


def judge(cpu_s: int, memory_mb: int, parent: int, requests: int, answers: int) -> None:
    job, verdict = json.loads(sys.stdin.read()), os.dup(1)
    _silence()
    try:
        confine(cpu_s, memory_mb, parent)
        found = _caught(job, Peer(os.fdopen(requests, "w"), os.fdopen(answers)))
    except (OSError, ValueError) as error:
        found = "refused", str(error)
    os.write(verdict, json.dumps([job["secret"], *found]).encode())
    os._exit(0)  # what is left to flush has nobody to read it


def _caught(job: dict[str, Any], peer: Peer) -> tuple[str, str]:
    try:
        return judged(job, peer)
    except GoneError:
        return "gone", ""
    except MemoryError:
        return "out of memory", ""
    except BaseException as error:  # also what tests that end the interpreter raise
        return "failed", f"{type(error).__name__}: {error}".removesuffix(": ")[:_SHOWN]


if __name__ == "__main__":
    numbers = map(int, sys.argv[2:])
    serve(*numbers) if sys.argv[1] == "serve" else judge(*numbers)
