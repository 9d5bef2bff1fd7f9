"""Speed and memory of a step of LoRA on one GPU: ours beside peft's on transformers, and both beside full finetuning,
in the same run; one JSON line a figure.

    python benchmarks/gpu/lora.py [--peer] [--profile] [--seconds N] [--only TEXT] [--tiny]

MobileLLM-125M's shape (30 layers, width 576, 9 query and 3 key-value heads, 32,000 tokens), rank 16 on all seven linear
layers of every block (4.88 M parameters), 16 sequences of 2,048 tokens, and 1 of them; bf16, what is trained in fp32:
forward, loss, backward, clipping, AdamW. `peak_gib` is the most memory that was taken from the GPU while steps were
timed, reserved and not allocated, for all of them. `--tiny` tries every path at a small size, on a CPU too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch._functorch.config
from timing import apart, show_profile

from repro.lab import lora
from repro.lab.memory import release
from repro.lab.transformer import Shape
from repro.lora_forgetting.cost import SMALL, Size, device, ours, peer, timed

TINY = Size(Shape(512, 64, 2, 4, 2, 96, 64), 4, 64)
Make = Callable[[], Callable[[], Any]]


def say(case: Case, ms: float, peak_gib: float, first: float) -> None:
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    size = case.size
    row = {
        "case": case.name, "what": f"training step, {size.batch} x {size.seq_len}",
        "value": float(f"{size.batch * size.seq_len / ms * 1e3:.5g}"), "unit": "tokens/s", "device": name,
        "ms": round(ms, 3), "peak_gib": round(peak_gib, 2), "first_step_s": round(first, 1),
    }  # fmt: skip
    print(json.dumps(row), flush=True)


@dataclass(frozen=True)
class Case:
    """`thin` is lora.is_thin; `budget` the part of the usual activations that a compiled block may keep: the rest is
    made again on the way back, the cheapest first."""

    name: str
    size: Size
    make: Make
    thin: Callable[[int, int, int], bool] = lora.is_thin
    budget: float = 1.0


def cases(size: Size, small: Size, compiled: bool) -> list[Case]:
    return [
        Case("ours, LoRA", size, _ours(size, "lora", compiled)),
        Case("ours, LoRA, two micro-batches", size, _ours(size, "lora", compiled, 2)),
        Case("ours, LoRA, by the gradient of W", size, _ours(size, "lora", compiled), thin=lambda *sizes: False),
        Case("ours, LoRA, 0.7 of the activations", size, _ours(size, "lora", compiled), budget=0.7),
        Case("ours, LoRA, 0.5 of the activations", size, _ours(size, "lora", compiled), budget=0.5),
        Case("ours, full", size, _ours(size, "full", compiled)),
        Case("ours, full, two micro-batches", size, _ours(size, "full", compiled, 2)),
        Case("ours, LoRA", small, _ours(small, "lora", compiled)),
        Case("ours, full", small, _ours(small, "full", compiled)),
    ]


def peers(size: Size, small: Size, compiled: bool) -> list[Case]:
    return [
        Case(f"{label}, {how}", one, _peer(one, method, compiled and how == "compiled"))
        for how in ("eager", "compiled")  # the quick ones first
        for one in ((size,) if how == "compiled" else (size, small))  # a compilation of either takes a minute
        for label, method in (("peft, LoRA", "lora"), ("transformers, full", "full"))
    ]


def _ours(size: Size, method: str, compiled: bool, accum: int = 1) -> Make:
    return lambda: ours(size, method, compiled, accum)


def _peer(size: Size, method: str, compiled: bool) -> Make:
    return lambda: peer(size, method, compiled)


def measure(case: Case, seconds: float, profile: bool = False) -> None:
    usual = lora.is_thin
    with torch._functorch.config.patch(activation_memory_budget=case.budget):
        lora.is_thin = case.thin
        began = time.monotonic()
        step = case.make()
        step()
        first = time.monotonic() - began
        say(case, *timed(step, seconds), first)
        if profile:
            show_profile(step)
    del step
    lora.is_thin = usual
    release()


def measure_peers(size: Size, small: Size, only: str, seconds: float) -> None:
    torch.backends.cuda.matmul.allow_tf32 = True
    for case in peers(size, small, device().type == "cuda"):
        if only in case.name:
            measure(case, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="store_true", help="measure peft and transformers too")
    parser.add_argument("--profile", action="store_true", help="print what our steps are made of")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each figure")
    parser.add_argument("--only", default="", help="cases with this in their name")
    parser.add_argument("--tiny", action="store_true", help="a small size, to see that it works")
    asked = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = True
    size = TINY if asked.tiny else Size()
    small = Size(size.shape, SMALL, size.seq_len)
    for case in cases(size, small, device().type == "cuda"):
        if asked.only in case.name:
            shown = asked.profile and case.name in ("ours, LoRA", "ours, full") and case.size is size
            measure(case, asked.seconds, shown)
    if asked.peer:
        apart(measure_peers, size, small, asked.only, asked.seconds)


if __name__ == "__main__":
    main()
