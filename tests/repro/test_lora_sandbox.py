"""Programs that mean harm, and programs that do not, in real processes.

What must hold of a hostile one is what it did not do; how it ended is checked where that is what a user is told.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from repro.lora_forgetting import sandbox
from repro.lora_forgetting.sandbox import Job, Limits, refusal, run, run_all

pytestmark = pytest.mark.skipif(bool(refusal()), reason="no sandbox on this machine")
if not refusal():
    from repro.lora_forgetting import sandboxed

SHORT = Limits(cpu_s=1, wall_s=60.0, memory_mb=512)  # a wall far away: what computes is cut by its own time
RIGHT = "def f(x):\n    return 2 * x\n"
TESTS = "assert f(2) == 4\nassert f('a') == 'aa'\n"


def ended(program: str, tests: str = TESTS, names: tuple[str, ...] = ("f",), before: str = "", limits: Limits = SHORT):
    return run(Job(textwrap.dedent(program), tests, names, before), limits)


# Programs that mean well


def test_right_and_wrong():
    assert ended(RIGHT).passed
    wrong = ended("def f(x):\n    return x\n")
    assert (wrong.status, wrong.detail, wrong.passed) == ("failed", "AssertionError", False)
    for program, detail in [
        ("", "NameError: the program does not define f"),
        ("def f(x):", "IndentationError: expected an indented block"),
        ("def f(x):\n    return 1 // 0", "ZeroDivisionError: "),
        ("import numpy\n" + RIGHT, "ModuleNotFoundError: No module named 'numpy'"),
        ("assert False, 'at import'", "AssertionError: at import"),
        ("raise UnicodeDecodeError('utf-8', b'', 0, 1, 'odd')", "RuntimeError: UnicodeDecodeError: 'utf-8' codec"),
        ("raise SystemExit(0)", "RuntimeError: SystemExit: 0"),
        ("f = 4\n", "TypeError: 'int' object is not callable"),
        ("'\ud800'\n" + RIGHT, "UnicodeEncodeError"),
    ]:
        found = ended(program)
        assert found.status == "failed" and detail in found.detail, found
    assert len(ended("raise ValueError('x' * 5000)").detail) == 200


def test_a_script_is_no_main_and_modules_of_the_library_are_there():
    assert ended(f"{RIGHT}\nif __name__ == '__main__':\n    raise SystemExit\n").passed
    program = """
        from __future__ import annotations
        import collections, dataclasses, decimal, heapq, itertools, json, math, random, re, string, typing, hashlib
        from datetime import datetime
        @dataclasses.dataclass
        class Pair:
            a: typing.List[int]
        def f(x):
            random.random(), datetime.now(), hashlib.md5(b"x"), decimal.Decimal(1) / 3
            return Pair([x]).a[0] * 2
    """
    assert ended(program).passed
    assert ended("def f(x, y: later = 1):\n    return x\n", "f(1)").detail.startswith("NameError")  # no flags of ours


def test_values_cross_as_they_are():
    """An identity, for what tests compare; with types and signs, and a number that is too long for decimals."""
    tests = """
import math
for x in [None, True, 1, -(10**30), 10**6000, 0.1, -0.0, 1e300, "é\\ud800\\n", b"\\xff", 2 - 1j, [1, [2]], (1, (2,)),
          {1, 2}, frozenset("ab"), {1: "a", (1, 2): [3], None: {}}, [True, 1, 1.0], int, ValueError, float("inf")]:
    y = f(x)
    assert y == x and type(y) is type(x)
assert math.isnan(f(float("nan"))) and math.copysign(1, f(-0.0)) == -1
assert type(f([True])[0]) is bool and f(True) is True
"""
    assert ended("def f(x):\n    return x\n", tests).detail == ""
    program = """
        import collections
        P = collections.namedtuple("P", "a b")
        def f(x):
            return {"Counter": collections.Counter("aab"), "P": P(1, 2), "bytearray": bytearray(b"x")}[x]
    """
    assert ended(program, "assert f('Counter') == {'a': 2, 'b': 1}\nassert f('P') == (1, 2)").passed


def test_what_is_no_value_stays_and_can_be_used():
    program = """
        class Node:
            def __init__(self, value):
                self.value, self.left = value, None
            def double(self, times=1):
                return self.value * 2 * times
        def depth(node):
            return 0 if node is None else 1 + depth(node.left)
        def count():
            yield from range(3)
        def adder(n):
            return lambda x: x + n
    """
    tests = """
root = Node(5)
root.left = Node(7)
assert depth(root) == 2 and root.left.value == 7 and root.double(times=3) == 30
assert list(count()) == [0, 1, 2] and adder(2)(3) == 5
assert root != Node(5) and root == root
for wrong in (lambda: depth(object()), lambda: root.missing, lambda: depth()):
    try:
        wrong()
    except (TypeError, AttributeError):
        continue
    raise AssertionError
"""
    assert ended(program, tests, ("Node", "depth", "count", "adder")).detail == ""


def test_tests_have_names_of_their_own():
    """What comes before the tests is not the program's to define, and only the names asked for are."""
    before = "def helper(x):\n    return x + 1\n"
    assert ended("def f(x):\n    return x + 1\ndef helper(x):\n    return f(x)\n", "assert f(3) == helper(3)").detail
    program = "def f(x):\n    return 0\ndef helper(x):\n    return 0\ndef len(x):\n    return 0\n"
    assert not ended(program, "assert f(3) == helper(3)", before=before).passed
    assert ended(program, "assert len('ab') == 2").passed


def test_many_in_their_order():
    jobs = [Job(f"def f():\n    return {i}\n", f"assert f() == {i if i % 3 else -1}", ("f",)) for i in range(12)]
    for workers in (1, 4):
        assert [o.passed for o in run_all(jobs, SHORT, workers)] == [bool(i % 3) for i in range(12)]
    assert run_all([]) == []


# Programs that do not


GIVES_THE_TESTS_EVAL = """
import sys
host = sys.modules["__main__"]
host.Host.answer = lambda self, asked: {"value": ["type", "eval"]}
"""
LOOKS_FOR_THE_TESTS = """
import glob, os, sys
def read(path):
    try:
        with open(path, "rb") as file:
            return file.read(9999)
    except OSError:
        return b""
def found():
    for folder in glob.glob("/proc/[0-9]*"):
        if b"\\0judge\\0" in read(f"{folder}/cmdline") and read(f"{folder}/maps"):
            return True  # whose memory can be mapped, it can be read
        if b"assert f(2)" in read(f"{folder}/fd/0") + read(f"{folder}/environ"):
            return True
    frame = sys._getframe()
    while frame:
        if "assert f(2)" in repr(frame.f_locals) + repr(frame.f_globals):
            return True
        frame = frame.f_back
def f(x):
    return 2 * x if found() else 0
"""
WRITES_VERDICTS = """
import os, json
for fd in range(64):
    for said in ("passed", json.dumps([None, "passed", ""]), json.dumps({"value": 4})):
        try:
            os.write(fd, said.encode() + b"\\n")
        except OSError:
            pass
def f(x):
    return 0
"""
CHEATS = {
    "leaves early": "import sys\nsys.exit(0)",
    "leaves early, at once": "import os\nos._exit(0)",
    "leaves when called": "import os\ndef f(x):\n    os._exit(0)",
    "raises what ends interpreters": "def f(x):\n    raise SystemExit(0)",
    "equals everything": "class E:\n    __eq__ = lambda s, o: True\n    __hash__ = None\ndef f(x):\n    return E()",
    "a number that equals everything": "class E(int):\n    __eq__ = lambda s, o: True\ndef f(x):\n    return E(7)",
    "a text that equals everything": "class E(str):\n    __eq__ = lambda s, o: True\ndef f(x):\n    return E('b')",
    "lies about its class": "class E:\n    __class__ = str\ndef f(x):\n    return E()",
    "replaces what is built in": "import builtins\nbuiltins.AssertionError = SystemExit\nbuiltins.exec = print\n"
    "def f(x):\n    return 0",
    "patches json and its host": "import json, sys\njson.dumps = lambda m: '[1, 2]'\n"
    "sys.modules['__main__'].encode = lambda v, k: ['type', 'print']\ndef f(x):\n    return 0",
    "reads for ever": "import sys\ndef f(x):\n    return input()",
    "looks for the tests": LOOKS_FOR_THE_TESTS,
    "writes verdicts on every pipe": WRITES_VERDICTS,
}


@pytest.mark.parametrize("how", CHEATS)
def test_no_cheat_passes(how):
    assert ended(CHEATS[how]).status in ("failed", "crashed")


@pytest.mark.parametrize("kind", ["StopIteration", "StopAsyncIteration"])
def test_an_end_of_iteration_ends_no_loop_of_the_tests(kind):
    program = f"def f(x):\n    raise {kind}('enough')\n"
    found = ended(program, "assert all(y == 4 for y in list(map(f, [2, 2])))\n")
    assert (found.status, found.detail) == ("failed", f"RuntimeError: {kind}: enough")


def test_nothing_built_in_but_types_comes_from_a_program():
    """It would be the program's code in the tests' process: there `eval` is called with a text of the program's."""
    found = ended(GIVES_THE_TESTS_EVAL, "f('None')")
    assert (found.status, found.detail) == ("failed", "ValueError: eval is no type")


def test_the_tests_are_out_of_reach_without_a_user_namespace_too(tmp_path, monkeypatch):
    """Where the kernel refuses one: by the capabilities that root gives up, and by who may look into whom."""
    source = Path(sandboxed.__file__).read_text()
    without = source.replace("    libc.unshare(", "    (lambda _: None)(")
    assert without != source
    script = tmp_path / "without.py"
    script.write_text(without)
    monkeypatch.setattr(sandbox, "_SCRIPT", script)
    assert ended(LOOKS_FOR_THE_TESTS).status == "failed"
    assert ended(RIGHT).passed


def test_a_program_that_went_does_not_pass_tests_that_expect_an_exception():
    program = "import os\ndef f(x):\n    os._exit(0)"
    assert ended(program, "try:\n    f(1)\nexcept Exception:\n    pass").status == "crashed"
    assert ended("def f(x):\n    raise KeyError(1)", "try:\n    f(1)\nexcept KeyError:\n    pass").passed


def test_a_program_knows_no_secret_and_gets_no_verdicts_pipe():
    """Every descriptor that a program has, and where it leads."""
    program = """
        import os, stat
        def f():
            kinds = []
            for fd in range(64):
                try:
                    mode = os.fstat(fd).st_mode
                except OSError:
                    continue
                kinds.append("pipe" if stat.S_ISFIFO(mode) else "device" if stat.S_ISCHR(mode) else "other")
            return kinds
        def known():
            return dict(os.environ), os.listdir("."), open(0).read()
    """
    tests = """
assert f() == ["device"] * 3 + ["pipe"] * 2
env, files, read = known()
assert files == [] and read == "" and not set(env) - {"LC_CTYPE"}  # which Python sets for itself
"""
    assert ended(program, tests, ("f", "known")).detail == ""


@pytest.mark.parametrize(
    "program",
    [
        "def f(x):\n    while True:\n        pass",
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True:\n    pass",
        "import re\ndef f(x):\n    return re.match('(a+)+$', 'a' * 60 + 'b')",
    ],
    ids=["loop", "ignores its signal", "backtracking"],
)
def test_what_computes_for_ever_is_cut(program):
    found = ended(program)
    assert (found.status, found.detail) == ("timed out", "1 s of CPU time")


def test_what_waits_for_ever_is_cut():
    began = time.monotonic()
    found = ended("import time\ntime.sleep(1000)", limits=Limits(1, 2.0, 512))
    assert (found.status, found.detail) == ("timed out", "2 s on the clock")
    assert time.monotonic() - began < 30
    assert ended("import os\nos.closerange(3, 64)\nwhile True:\n    pass").status in ("timed out", "crashed")


def test_memory_is_limited():
    hog = "def f(x):\n    kept = []\n    while True:\n        kept.append(bytearray(1 << 24))"
    assert ended(hog).status == "out of memory"
    assert ended("def f(x):\n    return 'x' * (1 << 29)").status == "out of memory"
    assert ended("def f(x):\n    return [[]] * (1 << 23)").status in ("out of memory", "failed", "crashed", "timed out")


def test_output_goes_nowhere():
    loud = """
        import os
        def f(x):
            for _ in range(2000):
                print("x" * 10_000)
                os.write(2, b"y" * 9)
            return 2 * x
    """
    assert ended(loud).passed


TRIES = """
import os, signal
def tried(call, *args):
    try:
        call(*args)
    except OSError:
        return
    except RuntimeError:  # of threads
        return
    raise BaseException(f"{call} was let through")
"""


@pytest.mark.parametrize(
    "tries",
    [
        "tried(os.fork); tried(os.forkpty); tried(os.posix_spawn, '/bin/true', ['true'], {})",
        "tried(os.execv, '/bin/true', ['true']); tried(os.setsid); tried(os.setpgid, 0, 0)",
        "import subprocess; tried(subprocess.run, ['/bin/true']); assert os.system('true') != 0",
        "import threading; tried(threading.Thread(target=print).start)",
        "import multiprocessing as m; tried(m.Process(target=print).start)",
        "tried(os.kill, os.getppid(), 0); tried(os.kill, os.getppid(), 9); tried(os.killpg, 0, 9)",
        "import socket as s\nfor kind in (s.AF_INET, s.AF_INET6, s.AF_UNIX, s.AF_NETLINK): tried(s.socket, kind)\n"
        "tried(s.socketpair); tried(s.create_connection, ('127.0.0.1', 9))",
        "import resource; tried(resource.setrlimit, resource.RLIMIT_CPU, (99, 99))",
        "import fcntl; tried(fcntl.fcntl, 1, fcntl.F_SETOWN, os.getppid()); fcntl.fcntl(1, fcntl.F_GETFD)",
        "import mmap; tried(os.memfd_create, 'x'); tried(os.pidfd_open, os.getppid())",
    ],
    ids=["fork", "exec", "run", "thread", "multiprocessing", "kill", "socket", "limits", "signals", "memory files"],
)
def test_the_kernel_refuses(tries):
    assert ended(f"{TRIES}\n{tries}\n{RIGHT}").detail == ""


def test_a_fork_bomb_has_no_second_process():
    bomb = """
        import os
        def f(x):
            for _ in range(10_000):
                try:
                    os.fork()
                except OSError:
                    pass
            return 2 * x
    """
    assert ended(bomb).passed


def test_no_file_is_made_changed_or_removed(tmp_path):
    """Neither by Python's ways nor by system calls of its own, beside the parent's files or in its own folder."""
    kept = tmp_path / "kept.txt"
    kept.write_text("as it was")
    kept.chmod(0o666)
    tmp_path.chmod(0o777)
    calls = [
        f"open, {str(kept)!r}, 'w'", f"open, {str(kept)!r}, 'a'", f"open, {str(kept)!r}, 'r+'", "open, 'new', 'w'",
        f"open, {str(tmp_path / 'new')!r}, 'x'", f"os.open, {str(kept)!r}, os.O_TRUNC", f"os.remove, {str(kept)!r}",
        f"os.open, {str(kept)!r}, os.O_WRONLY",
        f"os.open, {str(tmp_path)!r}, os.O_TMPFILE | os.O_RDWR", f"os.truncate, {str(kept)!r}, 0",
        f"os.rename, {str(kept)!r}, {str(kept) + '2'!r}", f"os.chmod, {str(kept)!r}, 0", f"os.utime, {str(kept)!r}",
        f"os.mkdir, {str(tmp_path / 'folder')!r}", f"os.rmdir, {str(tmp_path)!r}", "os.mkfifo, 'pipe'",
        f"os.symlink, {str(kept)!r}, 'link'", f"os.link, {str(kept)!r}, {str(kept) + '3'!r}", "os.chdir, '/'",
        f"os.setxattr, {str(kept)!r}, 'user.x', b'y'",
    ]  # fmt: skip
    program = "\n".join([TRIES, *(f"tried({call})" for call in calls), RIGHT])
    assert ended(program).detail == ""
    reads = f"def f(x):\n    return open({str(kept)!r}).read()\n"
    assert ended(reads, "assert f(1) == 'as it was'").passed  # reading is not refused
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"] and kept.read_text() == "as it was"


def test_system_calls_by_number_are_refused_too():
    """Whatever Python's own functions say: through ctypes, and of kernels to come."""
    program = """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        def f(numbers):
            found = []
            for n in numbers:
                result = libc.syscall(ctypes.c_long(n), *[ctypes.c_long(0)] * 6)
                found.append((result, ctypes.get_errno()))
            return found
    """
    column = sandboxed.MACHINES[platform.machine()][0]
    allowed = {numbers[column] for numbers in sandboxed._CALLS.values()} | _opens(column)
    probes = {335, 336}  # uretprobe and uprobe on x86_64: the kernel lets no filter see them, and kills who calls them
    refused = [n for n in [*range(470), 1000, 0x40000000, 0x40000001] if n not in allowed | probes]
    assert len(refused) > 300
    assert ended(program, f"assert set(f({refused})) == {{(-1, 13)}}").detail == ""


def _opens(column: int) -> set[int]:
    return {numbers[column] for numbers in sandboxed._OPENS.values()} | {sandboxed._FCNTL[column]}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="another machine has other instructions")
def test_the_old_way_into_the_kernel_is_closed():
    """int 0x80 numbers system calls otherwise: getpid there is 20, which is writev in the list."""
    program = """
        import ctypes, mmap
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3]))  # mov eax, 20; int 0x80; ret
        def f(x):
            return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    """
    found = ended(program, "f(1)")
    assert (found.status, found.detail) == ("crashed", f"the process ended with -{int(signal.SIGSYS)}")


@pytest.mark.parametrize(
    ("machine", "header"),
    [("x86_64", "x86_64-linux-gnu/asm/unistd_64.h"), ("aarch64", "asm-generic/unistd.h")],
)
def test_the_numbers_are_the_kernels(machine, header):
    path = Path("/usr/include") / header
    if not path.exists():
        pytest.skip(f"no {path}")
    theirs = {m[1]: int(m[2]) for m in re.finditer(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text())}
    theirs.setdefault("newfstatat", theirs.get("fstatat", -1))
    column = sandboxed.MACHINES[machine][0]
    ours = {**sandboxed._CALLS, **sandboxed._OPENS, "fcntl": sandboxed._FCNTL}
    assert {name: numbers[column] for name, numbers in ours.items()} == {name: theirs.get(name, -1) for name in ours}
    with pytest.raises(ValueError, match="no list of system calls for riscv64"):
        sandboxed.rules("riscv64")


# What is left behind


def children(pid: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.add(int(stat.parent.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox.tempfile, "tempdir", str(tmp_path))
    before, descriptors = children(os.getpid()), len(os.listdir("/proc/self/fd"))
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(1000)"
    for program in (RIGHT, deaf, "import os\nos._exit(1)"):
        ended(program, limits=Limits(1, 1.0, 512))
    assert list(tmp_path.iterdir()) == [] and children(os.getpid()) == before
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_programs_end_with_who_asked():
    """A parent killed outright: both of its processes end, though one of them only waits."""
    script = (
        "from repro.lora_forgetting.sandbox import *\n"
        "run(Job('import time\\ntime.sleep(1000)', '', ()), Limits(1, 1000.0, 512))"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    try:
        assert soon(lambda: len(children(parent.pid)) == 2)
        both = children(parent.pid)
        time.sleep(0.5)  # until they have asked to
    finally:
        parent.kill()
        parent.wait()
    assert soon(lambda: not any(map(alive, both)))


def soon(true) -> bool:
    until = time.monotonic() + 30
    while not true() and time.monotonic() < until:
        time.sleep(0.02)
    return true()


# Where there is no sandbox


def test_other_machines_are_refused_in_one_line(monkeypatch):
    for name, value, said in [
        ("platform", "darwin", "only on Linux"), ("platform", "win32", "only on Linux"),
    ]:  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(sandbox.sys, name, value)
            with pytest.raises(ValueError, match=said) as raised:
                run(Job(RIGHT, TESTS, ("f",)))
            assert "\n" not in str(raised.value)
    monkeypatch.setattr(sandbox.platform, "machine", lambda: "riscv64")
    for call in (lambda: run(Job(RIGHT, TESTS, ("f",))), lambda: run_all([])):
        with pytest.raises(ValueError, match="riscv64"):
            call()


@pytest.mark.parametrize("who", ["serve", "judge", "both"])
def test_no_program_is_run_where_the_kernel_does_not_take_the_filter(tmp_path, monkeypatch, who):
    """The child's own script, with a filter that the kernel takes and that refuses nothing."""
    source = Path(sandboxed.__file__).read_text()
    weak = f"import sys as _s\nif _s.argv[1] == {who!r} or {who!r} == 'both':\n    _REFUSE = _ALLOW\n"
    changed = source.replace("_NR, _ARCH = 0, 4", f"{weak}_NR, _ARCH = 0, 4")
    assert changed != source
    script = tmp_path / "weak.py"
    script.write_text(changed)
    monkeypatch.setattr(sandbox, "_SCRIPT", script)
    witness = tmp_path / "ran"
    with pytest.raises(ValueError, match="gives no sandbox .*filter of system calls"):
        ended(f"open({str(witness)!r}, 'w')")
    assert not witness.exists()


@pytest.mark.parametrize(
    ("who", "said"),
    [("judge", "does not work here: the process ended with 3"), ("serve", r"\(no interpreter started\)")],
)
def test_a_sandbox_that_does_not_work_is_no_verdict_on_a_program(tmp_path, monkeypatch, who, said):
    script = tmp_path / "broken.py"
    broken = f"if sys.argv[1] == {who!r}:\n        sys.exit(3)\n    numbers = map"
    script.write_text(Path(sandboxed.__file__).read_text().replace("numbers = map", broken))
    monkeypatch.setattr(sandbox, "_SCRIPT", script)
    with pytest.raises(ValueError, match=said):
        ended(RIGHT)


def test_a_verdict_needs_the_secret(tmp_path, monkeypatch):
    """Whoever wrote it: a verdict without this run's secret is none."""
    script = tmp_path / "forged.py"
    script.write_text(f"print({json.dumps(json.dumps(['no secret', 'passed', '']))})\n")
    monkeypatch.setattr(sandbox, "_SCRIPT", script)
    assert ended(RIGHT).status == "failed"


FORBIDDEN = f"{TRIES}\nimport socket; tried(socket.socket); tried(os.fork); tried(os.kill, os.getppid(), 9)\n{RIGHT}"
SPIES = f"{TRIES}\ntried(open, f'/proc/{{os.getppid()}}/environ')\n{RIGHT}"
AS_ANOTHER = f"""
import ctypes
from repro.lora_forgetting.sandbox import *
programs, limits = ({FORBIDDEN!r}, "while True: pass", {SPIES!r}), Limits(1, 60.0, 512)
print(*[run(Job(program, {TESTS!r}, ("f",)), limits).status for program in programs], sep=", ")
print(ctypes.CDLL(None).unshare(0x10000000))  # whether there is a user namespace to be had
"""


def as_nobody(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=env, cwd="/", user=65534, group=65534, extra_groups=[], capture_output=True, text=True, timeout=120
    )  # fmt: skip


def nobodys_interpreter() -> str:
    for path in (sys.executable, "/usr/bin/python3"):
        try:
            if as_nobody(path, "-c", "import sys; print(sys.version_info >= (3, 11))").stdout == "True\n":
                return path
        except OSError:  # not for nobody to read
            continue
    pytest.skip("nobody may start no interpreter that is new enough")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_the_same_for_another_user():
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "repro", "lora_forgetting")
        library.mkdir(parents=True)
        for module in (sandbox, sandboxed):
            shutil.copy(module.__file__, library)
        Path(folder).chmod(0o755)
        done = as_nobody(nobodys_interpreter(), "-c", AS_ANOTHER, PYTHONPATH=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout in ("passed, timed out, passed\n0\n", "passed, timed out, failed\n-1\n")
