"""A run killed at every call of the system that changes a file, at each fourth on a disk that is full from there on,
and run again: what was seen, as a line of JSON a call.

python tests/repro/fault_runs.py FOLDER — a process of its own, as torch's threads and a fork do not go together.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import kernel
import torch
import toy

from repro.lab import checkpoint, provenance

CONFIG = toy.Config(steps=3, width=4)
NAMES = {"open", "write", "fsync", "rename", "mkdir", "unlink", "ftruncate"}


def train(out: Path) -> None:
    toy.main(out, CONFIG, save_every=1)


def silent(out: Path) -> None:
    where = os.open(os.devnull, os.O_WRONLY)
    os.dup2(where, 2)
    train(out)


def state_of(out: Path) -> dict[str, Any]:
    """The record, and the step of the checkpoint; both fail where a file is not whole."""
    found: dict[str, Any] = {"record": None, "step": None}
    if (out / "record.json").exists():
        found["record"] = json.loads((out / "record.json").read_text("utf-8"))
    if (out / "last.pt").exists():
        state = toy.make(CONFIG)
        checkpoint.load(state, out / "last.pt")
        found["step"] = state.step
    return found


def weights(out: Path) -> list[float]:
    parts = torch.load(out / "last.pt", weights_only=True)
    return [x for part in ("model", "ema") for value in parts[part].values() for x in value.flatten().tolist()]


def main(folder: Path) -> None:
    provenance.segment = lambda *args: {"commit": "x", "source": "y"}  # asks git, a process more each time
    calls = kernel.calls(partial(silent, folder / "whole"), only=NAMES)
    print(json.dumps({"calls": calls, "state": calls and state_of(folder / "whole")}))
    for at in range(1, len(calls or ()) + 1):
        out = folder / str(at)
        if at % 4:
            kernel.calls(partial(silent, out), kill_at=at, only=NAMES)
        else:
            kernel.calls(partial(silent, out), full_at=at, only=NAMES)
        half = state_of(out)
        train(out)
        after = state_of(out)
        same = weights(out) == weights(folder / "whole")
        left = sorted(p.name for p in out.iterdir())
        print(json.dumps({"at": at, "half": half, "after": after, "same": same, "left": left}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
