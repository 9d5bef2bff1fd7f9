"""`kb run`: a paper's training, in this terminal and with this Python. kb imports neither repro nor torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from kb.extras import install
from kb.problem import KbError


def run(root: Path, paper: str, recipe: str, gpus: int, args: Sequence[str]) -> NoReturn:
    """Become the training: signals, output and exit code are then its own. On Windows, where no process can become
    another, wait for it."""
    command, env = training(root, paper, recipe, gpus, args), environment(root)
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        os.execve(command[0], command, env)
    sys.exit(subprocess.run(command, env=env, check=False).returncode)


def training(root: Path, paper: str, recipe: str, gpus: int, args: Sequence[str]) -> list[str]:
    """The command that trains; a KbError where the paper, the recipe or torch is not there, in this order."""
    if not find_spec("repro") and not (root / "repro").is_dir():
        raise KbError(f"there is no repro/ here, and the laboratory is not installed: {install('repro')}")
    found = recipes(root)
    if paper not in found:
        raise KbError(f"no paper '{paper}'; there are: {', '.join(found) or 'none yet'}")
    if recipe not in found[paper]:
        raise KbError(f"no recipe '{recipe}' of {paper}; there are: {', '.join(found[paper]) or 'none yet'}")
    if not find_spec("torch"):
        raise KbError(f"`kb run` needs the repro extra: {install('repro')}")
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={gpus}"] if gpus else []
    return [sys.executable, *launch, "-m", f"repro.{paper}.train", recipe, *args]


def recipes(root: Path) -> dict[str, list[str]]:
    """The papers that can be run here, each with its recipes."""
    command = [sys.executable, "-m", "repro", "--json"]
    ended = subprocess.run(command, env=environment(root), capture_output=True, text=True, check=False)
    if ended.returncode:
        told = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
        raise KbError(f"the papers cannot be listed: {told[-1]}; `python -m repro` says more")
    papers = json.loads(ended.stdout)["papers"]
    return {name: list(paper["recipes"]) for name, paper in papers.items()}


def environment(root: Path, given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment with the vault first among the places that Python imports from, before the current folder."""
    places = [str(root), *filter(None, [given.get("PYTHONPATH", "")])]
    return dict(given) | {"PYTHONPATH": os.pathsep.join(places), "PYTHONSAFEPATH": "1"}
