"""Speed and memory of a step of LoRA on one GPU: ours beside peft's on transformers, and both beside full finetuning,
in the same run; one JSON line a figure.

    python benchmarks/gpu/lora.py [--peer] [--profile] [--seconds N] [--tiny]

MobileLLM-125M's shape (30 layers, width 576, 9 query and 3 key-value heads, 32,000 tokens), rank 16 on all seven linear
layers of every block (4.88 M parameters), 16 sequences of 2,048 tokens, and 1 of them; bf16, what is trained in fp32:
forward, loss, backward, clipping, AdamW. `--tiny` tries every path at a small size, on a CPU too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import torch
from timing import show_profile

from repro.lab import lora
from repro.lab.transformer import Shape
from repro.lora_forgetting.cost import SMALL, Size, device, free, ours, peer, timed

TINY = Size(Shape(512, 64, 2, 4, 2, 96, 64), 4, 64)
Make = Callable[[], Callable[[], Any]]


def say(case: str, size: Size, ms: float, peak_gib: float) -> None:
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    rate = size.batch * size.seq_len / ms * 1e3
    row = {
        "case": case, "what": f"training step, {size.batch} x {size.seq_len}", "value": float(f"{rate:.5g}"),
        "unit": "tokens/s", "device": name, "ms": round(ms, 3), "peak_gib": round(peak_gib, 2),
    }  # fmt: skip
    print(json.dumps(row), flush=True)


def cases(size: Size, small: Size, with_peer: bool, compiled: bool) -> list[tuple[str, Size, float, Make]]:
    """Name, size, `lora.BLOCK`, and what makes the step."""
    block = lora.BLOCK
    found: list[tuple[str, Size, float, Make]] = [
        ("ours, LoRA", size, block, lambda: ours(size, "lora", compiled)),
        ("ours, LoRA, two micro-batches", size, block, lambda: ours(size, "lora", compiled, accum=2)),
        ("ours, LoRA, W and B apart", size, 0.0, lambda: ours(size, "lora", compiled)),
        ("ours, full", size, block, lambda: ours(size, "full", compiled)),
        ("ours, full, two micro-batches", size, block, lambda: ours(size, "full", compiled, accum=2)),
        ("ours, LoRA", small, block, lambda: ours(small, "lora", compiled)),
        ("ours, full", small, block, lambda: ours(small, "full", compiled)),
    ]
    for how in ("eager", "compiled") if with_peer else ():
        for one in (size, small):
            for label, method in (("peft, LoRA", "lora"), ("transformers, full", "full")):
                found.append((f"{label}, {how}", one, block, _peer(one, method, compiled and how == "compiled")))
    return found


def _peer(size: Size, method: str, compiled: bool) -> Make:
    return lambda: peer(size, method, compiled)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="store_true", help="measure peft and transformers too")
    parser.add_argument("--profile", action="store_true", help="print what our steps are made of")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each figure")
    parser.add_argument("--tiny", action="store_true", help="a small size, to see that it works")
    asked = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = True
    size = TINY if asked.tiny else Size()
    small, usual = Size(size.shape, SMALL, size.seq_len), lora.BLOCK
    for case, own, block, make in cases(size, small, asked.peer, device().type == "cuda"):
        lora.BLOCK = block
        step = make()
        say(case, own, *timed(step, asked.seconds))
        if asked.profile and case in ("ours, LoRA", "ours, full") and own is size:
            show_profile(step)
        del step
        free()
    lora.BLOCK = usual


if __name__ == "__main__":
    main()
