"""Which examples make up a step: a pure function of (seed, step), so that a restart needs no loader state."""

from __future__ import annotations

from functools import lru_cache

import torch

_PRIME = 1_000_003


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """The seed of all randomness of one step on one rank: noise and dropout survive a restart without saved state."""
    return (seed * _PRIME + step) * 4096 + rank


def batch_indices(n: int, batch_size: int, seed: int, step: int, device: str = "cpu") -> torch.Tensor:
    """The rows of step `step`'s global batch, (batch_size,): consecutive slices of a fresh permutation each epoch. The
    permutation is made on the CPU, so that every device sees the same one, and kept on `device` for its epoch."""
    steps_per_epoch = n // batch_size
    if steps_per_epoch == 0:
        raise ValueError(f"batch_size {batch_size} exceeds the {n} examples there are")
    epoch, at = divmod(step, steps_per_epoch)
    return _order(n, seed, epoch, device)[at * batch_size : (at + 1) * batch_size]


@lru_cache(maxsize=2)
def _order(n: int, seed: int, epoch: int, device: str) -> torch.Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed * _PRIME + epoch)).to(device)


def my_share(rows: torch.Tensor, rank: int, size: int) -> torch.Tensor:
    """This rank's part of a global batch; the batch is the same whatever the number of ranks."""
    if len(rows) % size:
        raise ValueError(f"a batch of {len(rows)} does not split over {size} ranks; choose a multiple of {size}")
    return rows.chunk(size)[rank]
