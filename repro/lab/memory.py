"""A GPU's memory between one piece of work and the next."""

from __future__ import annotations

import gc

import torch


def release() -> None:
    """Let go of compiled code and of captured graphs, once nothing but themselves refers to them. Of one function
    Dynamo keeps eight versions and runs what exceeds them uncompiled, without a word; and a step and its graph refer to
    each other, so that the graph's memory waits for the collector."""
    torch.compiler.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
