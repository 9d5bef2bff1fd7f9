"""`make claims`: the runs behind the robust claims made anew on this machine, and compared with what is committed.

python -m repro.lab.anew [PAPER …] [--out DIR]
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from repro.__main__ import papers
from repro.lab.claims import found_runs, judge
from repro.lab.provenance import source_hash


def rows_of(paper: str) -> list[dict[str, Any]]:
    """The committed verdicts of a paper's robust claims."""
    home = Path(str(importlib.import_module(f"repro.{paper}").__file__)).parent
    rows = json.loads((home / "results.json").read_text("utf-8"))["claims"]
    return [row for row in rows if row["tier"] == "robust" and row["seeds"]]


def again(paper: str, out: Path) -> list[str]:
    """Run all that the robust verdicts of `paper` rest on; a line for each verdict that comes out otherwise."""
    committed = rows_of(paper)
    needed = {(recipe, seed) for row in committed for recipe in row["recipes"] for seed in row["seeds"]}
    for recipe, seed in sorted(needed):
        folder = out / f"{paper}-{recipe}-s{seed}"
        command = [sys.executable, "-m", f"repro.{paper}.train", recipe, "--seed", str(seed), "--out", str(folder)]
        if subprocess.run(command, check=False).returncode:
            return [f"{paper}: {recipe} with seed {seed} did not finish"]
    claims = importlib.import_module(f"repro.{paper}.claims").CLAIMS
    now = {row["id"]: row["verdict"] for row in judge(claims, found_runs(out), source_hash(paper))}
    return [
        f"{paper} {row['id']}: committed {row['verdict']}, here {now[row['id']]}"
        for row in committed
        if now[row["id"]] != row["verdict"]
    ]


def main(args: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m repro.lab.anew", description="Make the robust claims' runs anew.")
    parser.add_argument("papers", nargs="*", help="all of them where none is named")
    parser.add_argument("--out", type=Path, default=Path("out/anew"), help="finished runs there are not made again")
    asked = parser.parse_args(args)
    differing = [line for paper in asked.papers or papers() for line in again(paper, asked.out)]
    print("\n".join(differing) or "every robust verdict came out as committed")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
