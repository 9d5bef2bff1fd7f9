"""Whether a program that nobody trusts passes its tests: `run(Job(program, tests, names)).status`.

The program and its tests run in two fresh interpreters (repro.lora_forgetting.sandboxed). The tests call the program's
functions over a pipe and get back copies of plain values, so that nothing the program does to its own interpreter
(leaving early, patching `assert`'s helpers, objects that equal everything) reaches them; the verdict, with a secret of
the run, goes over a pipe that the program's process never has.

What the kernel guarantees on Linux, x86_64 and aarch64, to root and to others, in a container or not, before the first
line of the program:

- a filter of system calls (seccomp) that lists what computing takes and refuses the rest, for good: no socket, no
  process or thread, no signal to anyone, no file made, written, renamed or deleted, in its own folder as elsewhere;
- no capabilities and no new privileges; limits on CPU time, memory, open files and cores; standard input empty, output
  thrown away, no environment, an empty folder, which is removed, to work in;
- the end of both processes when the time is up, and when the process that asked ends.

What is not: it may read whatever files this user may, though what it reads has nowhere to go but its answers and
messages of errors, which are cut at 200 characters; where the kernel refuses new user namespaces and the user is not
root, that covers the memory of the user's other processes too. It shares the machine's caches and the kernel's own
faults. Elsewhere (macOS, Windows, other processors, a kernel without seccomp) nothing is run and a ValueError says so.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal

Status = Literal["passed", "failed", "timed out", "out of memory", "crashed"]
_Process = subprocess.Popen[bytes]
_SCRIPT = Path(__file__).with_name("sandboxed.py")
_LONGEST = 1 << 16  # bytes of a verdict
_GRACE_S = 2.0  # for a process whose pipe has closed to be seen to have ended


@dataclass(frozen=True)
class Limits:
    """Of each of the two processes. CPU time is what cuts a program that computes, whatever else the machine does; the
    clock on the wall, which runs over both, one that waits."""

    cpu_s: int = 3
    wall_s: float = 20.0
    memory_mb: int = 1024


@dataclass(frozen=True)
class Job:
    """A program, and tests that call what it defines under `names`. `before` runs ahead of the tests, among them: what
    they need and must not take from the program."""

    program: str
    tests: str
    names: tuple[str, ...]
    before: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a program fared, and in a few words why it did not pass. It *failed* where a test did, or where the program
    raised; it *crashed* where its process ended without a word."""

    status: Status
    detail: str = ""

    @property
    def passed(self) -> bool:
        return self.status == "passed"


def refusal() -> str:
    """Why no program can be run on this machine, or nothing."""
    if not sys.platform.startswith("linux"):
        return f"programs are run only on Linux, in a sandbox that {platform.system()} does not have; use a container"
    from repro.lora_forgetting.sandboxed import MACHINES  # which only Linux can import

    if platform.machine() not in MACHINES:
        return f"the sandbox knows the system calls of {' and '.join(MACHINES)}, not of {platform.machine()}"
    return ""


def run_all(jobs: Iterable[Job], limits: Limits | None = None, workers: int | None = None) -> list[Outcome]:
    """The outcomes of many jobs in their order, at most `workers` (one a core) at a time. A ValueError as for `run`."""
    if why := refusal():
        raise ValueError(why)
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(lambda job: run(job, limits), jobs))


def run(job: Job, limits: Limits | None = None) -> Outcome:
    """The outcome of one job. A ValueError where this machine or its kernel has no sandbox: then nothing was run."""
    if why := refusal():
        raise ValueError(why)
    limits, secret = limits or Limits(), secrets.token_hex(16)
    with tempfile.TemporaryFile("w+") as work, tempfile.TemporaryDirectory() as folder:
        json.dump({**asdict(job), "secret": secret}, work)
        work.seek(0)
        with _pair(work, folder, limits) as (program, tests):
            return _outcome(program, tests, secret, limits)


@contextmanager
def _pair(work: IO[str], folder: str, limits: Limits) -> Iterator[tuple[_Process, _Process]]:
    """The program's process and the tests', joined by two pipes, which both have alone. They end with the block."""
    asked, ask = os.pipe()
    answered, answer = os.pipe()
    ends, started = [asked, ask, answered, answer], []
    try:
        started.append(_start(["serve"], asked, answer, folder, limits))
        started.append(_start(["judge", ask, answered], work, subprocess.PIPE, folder, limits, (ask, answered)))
        for end in ends:
            os.close(end)
        ends.clear()
        yield started[0], started[1]
    finally:
        for end in ends:
            os.close(end)
        for process in started:
            _end(process)


def _start(
    what: Sequence[Any], stdin: Any, stdout: Any, folder: str, limits: Limits, pass_fds: Sequence[int] = ()
) -> _Process:
    mode, *descriptors = what
    numbers = [limits.cpu_s, limits.memory_mb, os.getpid(), *descriptors]
    command = [sys.executable, "-I", "-S", "-B", str(_SCRIPT), mode, *map(str, numbers)]
    return subprocess.Popen(
        command, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, cwd=folder, env={}, pass_fds=pass_fds,
        start_new_session=True,
    )  # fmt: skip


def _end(process: _Process) -> None:
    """Kill what is left of a process's session, then reap it; in this order its number cannot have become another's."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _outcome(program: _Process, tests: _Process, secret: str, limits: Limits) -> Outcome:
    said = _read(tests, time.monotonic() + limits.wall_s)
    if said is None:
        return Outcome("timed out", f"{limits.wall_s:g} s on the clock")
    try:
        told, status, detail = json.loads(said)
    except ValueError:
        found = _died(tests, limits)
        if found.status == "crashed":  # no program's doing: none reaches that process
            raise ValueError(f"the sandbox itself does not work here: {found.detail}") from None
        return found
    if told != secret:
        return Outcome("failed", "a verdict that the tests did not give")
    if status == "refused":
        raise ValueError(f"this kernel gives no sandbox ({detail}), and programs are not run without one")
    return _died(program, limits) if status == "gone" else Outcome(status, detail)


def _read(process: _Process, deadline: float) -> bytes | None:
    """What a process writes until it closes its output; None where the time is up before."""
    assert process.stdout is not None
    said, waiting = b"", select.poll()
    waiting.register(process.stdout, select.POLLIN)
    while len(said) <= _LONGEST:
        if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return None
        block = os.read(process.stdout.fileno(), _LONGEST)
        if not block:
            break
        said += block
    return said


def _died(process: _Process, limits: Limits) -> Outcome:
    """Why a process ended that had more to say."""
    give_up = time.monotonic() + _GRACE_S
    while not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if time.monotonic() > give_up:
            return Outcome("crashed", "the process no longer answers")
        time.sleep(0.005)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    killed = process.returncode == -signal.SIGKILL
    # who ignores the signal at the limit of CPU time is killed a second later, well above it
    if process.returncode == -signal.SIGXCPU or killed and usage.ru_utime + usage.ru_stime > limits.cpu_s:
        return Outcome("timed out", f"{limits.cpu_s} s of CPU time")
    if killed:  # by the kernel, which is short of memory
        return Outcome("out of memory", "killed")
    return Outcome("crashed", f"the process ended with {process.returncode}")
