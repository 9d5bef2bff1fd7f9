"""The command line at ten thousand notes, beside papis on the same works in the same run.

    python benchmarks/notes.py                            # 10,000 notes, about five minutes
    python benchmarks/notes.py --notes 1000 10000 100000  # and how each figure grows
    python benchmarks/notes.py --kb PATH --papis PATH     # programs elsewhere: as a user installs them, both

An editable installation, as make has it, starts 8 ms later than one that `pip install .` makes in an environment.

Figures are CPU seconds of a whole process, user and system, as medians of `--runs`; the cases take turns, so that a
busy machine is busy for all of them. Nothing is installed. Each figure is one line of JSON, the table comes last.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import library

Act = Callable[[int], None]


@dataclass
class Case:
    """One command on one library. `before` makes it ready for run `n`; `lines` is what it must print at least."""

    tool: str
    what: str
    command: Callable[[int], list[list[str]]]
    before: Act = lambda n: None
    lines: int = 0
    runs: int = 0  # 0: as many as are asked for
    seconds: list[float] = field(default_factory=list)
    mib: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


# What the house asks of itself: CPU seconds at 10,000 notes, and how many times faster than papis.
LIMITS = {"help": 0.15, "list": 0.20, "search, rare word": 0.15, "search, common word": 0.20,
          "list after an edit": 0.22, "first index": 2.5, "status": 0.25, "check": 3.0, "add": 0.30}  # fmt: skip
TIMES = {"list": 2.5, "search, rare word": 5.0, "list after an edit": 3.0, "first index": 2.0, "add": 8.0}


def ours(root: Path, program: str, count: int) -> list[Case]:
    """The verbs of kb on a vault. Full text is taken in when it is first searched, so that is a case of its own."""

    def kb(*args: str) -> Callable[[int], list[list[str]]]:
        return lambda n: [[program, "--root", str(root), *args]]

    def edit(n: int) -> None:
        file = root / "notes/papers/work-000001.md"
        file.write_text(file.read_text() + f"\nEdit {n}.\n")

    def settle(n: int) -> None:
        """What was added in the round before is no part of this one."""
        subprocess.run(kb("list")(n)[0], stdout=subprocess.DEVNULL, env=clean_environment(root.parent), check=True)

    def forget(n: int) -> None:
        shutil.rmtree(root / ".kb", ignore_errors=True)

    few = 3 if count <= 10_000 else 1
    return [
        Case("kb", "first index", kb("list", "--limit", "1"), forget, 1, runs=few),
        Case("kb", "first search", kb("search", library.RARE), lines=min(count, 3), runs=few),
        Case("kb", "help", kb("--help"), lines=10),
        Case("kb", "list", kb("list"), settle, count),
        Case("kb", "search, rare word", kb("search", library.RARE), lines=min(count, 3)),
        Case("kb", "search, common word", kb("search", library.COMMON), lines=20),
        Case("kb", "list after an edit", kb("list"), edit, count),
        Case("kb", "status", kb("status"), lines=5),
        Case("kb", "check", kb("check")),
        Case("kb", "add", lambda n: [[program, "--root", str(root), "add", entry(root, n)]], lines=1),
    ]


def papis(root: Path, program: str, name: str, count: int) -> list[Case]:
    """What papis has for the same: it sees an edit when it is told to look."""

    def run(*args: str) -> Callable[[int], list[list[str]]]:
        return lambda n: [[program, *args]]

    def edit(n: int) -> None:
        file = root / "work-000001" / "info.yaml"
        file.write_text(file.read_text() + f"edit{n}: x\n")

    def looked(n: int) -> list[list[str]]:
        return [[program, "cache", "update-newer", "--all"], [program, "list", "--all"]]

    rare = run("list", "--all", f"text:{library.RARE}")
    return [
        Case(name, "first index", run("cache", "reset"), runs=3 if count <= 10_000 else 1),
        Case(name, "help", run("--help"), lines=10),
        Case(name, "list", run("list", "--all"), lines=count),
        Case(name, "search, rare word", rare, lines=3 if name == "papis" else 0),
        Case(name, "list after an edit", looked, edit, count),
        Case(name, "add", lambda n: [[program, "add", "--batch", "--from", "bibtex", entry(root.parent, n)]]),
    ]


def entry(folder: Path, n: int) -> str:
    """A file with a BibTeX entry that no library has yet."""
    file = folder / f"new-{n}.bib"
    file.write_text(
        f"@article{{doe{n}, title = {{A new work {n} on {n * n}}}, author = {{Doe, Jane}}, year = {{2024}},\n"
        f"  journal = {{Journal of Work}}, doi = {{10.5555/new.{n}}}}}\n"
    )
    return str(file)


def measure(case: Case, n: int, environment: dict[str, str]) -> None:
    """One run: its CPU seconds and its largest memory. A command that did not do its work stops everything."""
    case.before(n)
    seconds, commands = 0.0, case.command(n)
    for command in commands:
        with tempfile.TemporaryFile() as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, env=environment)
            _, status, used = os.wait4(process.pid, 0)
            out.seek(0)
            shown = out.read().count(b"\n")
        if os.waitstatus_to_exitcode(status) not in (0, 1) or (command is commands[-1] and shown < case.lines):
            sys.exit(f"{' '.join(command)}: exit {status >> 8}, {shown} lines and {case.lines} expected")
        seconds += used.ru_utime + used.ru_stime
        case.mib = max(case.mib, used.ru_maxrss / 1024)
    case.seconds.append(seconds)


def clean_environment(home: Path) -> dict[str, str]:
    """As after an installation: compiled files are kept, output is buffered; settings and caches are ours."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "KB_", "PAPIS"))}
    return kept | {"XDG_CONFIG_HOME": str(home / "config"), "XDG_CACHE_HOME": str(home / "cache"), "HOME": str(home)}


def run_all(count: int, runs: int, mine: str, program: str | None, folder: Path, seed: int) -> list[Case]:
    """Every case on libraries of one size, in turns."""
    vault = folder / f"vault-{count}"
    library.write_notes(vault, library.works(count, seed))
    sets = [(ours(vault, mine, count), clean_environment(folder))]
    for apart in (False, True) if program else ():
        home = folder / f"papis-{count}-{apart}"
        library.write_papis(home / "library", library.works(count, seed), apart)
        (home / "config/papis").mkdir(parents=True)
        text = f"[bench]\ndir = {home / 'library'}\n[settings]\ndefault-library = bench\n"
        (home / "config/papis/config").write_text(text)
        name = "papis, text apart" if apart else "papis"
        sets.append((papis(home / "library", str(program), name, count), clean_environment(home)))
    for cases, environment in sets:
        for case in cases:  # once unmeasured: compiled files, disk caches, the first index
            if case.what in ("first index", "first search", "list"):
                measure(case, 0, environment)
                case.seconds.clear()
    for n in range(1, runs + 1):
        for cases, environment in sets:
            for case in cases:
                if n <= (case.runs or runs):
                    measure(case, n, environment)
    return [case for cases, _ in sets for case in cases]


def machine() -> str:
    """The machine in words."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{os.cpu_count()} cores of {names[0].partition(': ')[2] if names else 'an unknown processor'}"


def say(cases: list[Case], count: int) -> None:
    for case in cases:
        row = {"case": case.tool, "what": case.what, "value": round(case.median, 4), "unit": "CPU s", "notes": count,
               "device": machine(), "runs": len(case.seconds), "least": round(min(case.seconds), 4),
               "mib": round(case.mib, 1)}  # fmt: skip
        print(json.dumps(row), flush=True)


def table(found: dict[int, list[Case]]) -> Iterator[str]:
    """Ours, the peers, and what is asked for; `!` where that is not met."""
    for count, cases in found.items():
        values = {(case.tool, case.what): case for case in cases}
        tools = list(dict.fromkeys(case.tool for case in cases))
        yield ""
        yield f"| {count:,} notes, CPU s | {' | '.join(tools)} | papis / kb | at most | MiB |"
        yield f"|---|{'---:|' * (len(tools) + 3)}"
        for what in dict.fromkeys(case.what for case in cases):
            mine, peer = values["kb", what], values.get(("papis", what))
            cells = [f"{values[tool, what].median:.3f}" if (tool, what) in values else "" for tool in tools]
            limit = LIMITS.get(what, 0.0) if count == 10_000 else 0.0
            times = peer.median / mine.median if peer else 0.0
            wanted = TIMES.get(what, 0.0) if count == 10_000 and peer else 0.0
            missed = (limit and mine.median > limit) or (wanted and times < wanted)
            last = [f"{times:.1f}" if times else "", f"{limit:g}" if limit else "", f"{mine.mib:.0f}"]
            yield f"| {what}{' !' if missed else ''} | {' | '.join([*cells, *last])} |"


def growth(found: dict[int, list[Case]]) -> Iterator[str]:
    """How the cost beyond the start of the program grows: 1 is in proportion to the notes."""
    for (few, cases), (many, others) in itertools.pairwise(sorted(found.items())):
        start = {case.tool: case.median for case in cases if case.what == "help"}
        for case, other in zip(cases, others, strict=True):
            low, high = case.median - start[case.tool], other.median - start[case.tool]
            if low > 0.01 and high > low:
                exponent = math.log(high / low) / math.log(many / few)
                yield json.dumps({"case": case.tool, "what": f"{case.what}, growth {few} to {many} notes",
                                  "value": round(exponent, 3), "unit": "exponent", "device": machine()})  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", type=int, nargs="+", default=[10_000], help="sizes of the library")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kb", default=str(Path(sys.executable).with_name("kb")), help="the program")
    parser.add_argument("--papis", default=shutil.which("papis"), help="the program; without it ours alone is measured")
    asked = parser.parse_args()
    found: dict[int, list[Case]] = {}
    for count in asked.notes:
        with tempfile.TemporaryDirectory(prefix="kb-bench-") as folder:
            found[count] = run_all(count, asked.runs, asked.kb, asked.papis, Path(folder), asked.seed)
            say(found[count], count)
    for line in itertools.chain(growth(found), table(found)):
        print(line)


if __name__ == "__main__":
    main()
