"""Where this process stands among the others: one call, the same with and without torchrun."""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
import torch.distributed.nn  # before a group exists: imported later, its functions' defaults keep that group for good


@dataclass(frozen=True)
class World:
    """This process's place: its rank among `size` processes, and the device it owns."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def add(self, value: torch.Tensor) -> None:
        """Add `value` up over all ranks, in place; every rank must call it."""
        if self.size > 1:
            dist.all_reduce(value)

    def agree(self, flag: bool) -> bool:
        """The main rank's answer, on every rank."""
        if self.size == 1:
            return flag
        value = torch.tensor(int(flag), device=self.device)
        dist.broadcast(value, src=0)
        return bool(value.item())

    def wait(self) -> None:
        """Until every rank is here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def world(device: str = "") -> Iterator[World]:
    """Join the process group that torchrun announced (NCCL on GPUs, gloo on CPUs); alone otherwise."""
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    mine = torch.device(device or "cpu")
    if not device and torch.cuda.is_available():
        mine = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    if mine.type == "cuda":
        torch.cuda.set_device(mine)
    if size > 1:
        backend = "nccl" if mine.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=timedelta(days=1))  # the main rank measures alone, the others wait
        atexit.register(_end_threads, [dist.group.WORLD])
    try:
        yield World(rank, size, mine)
    finally:
        if size > 1:
            dist.destroy_process_group()


def _end_threads(group: list[object]) -> None:
    """Let go of the process group for good while the interpreter lives. DistributedDataParallel keeps it, in cycles,
    and a thread of gloo's that frees a tensor while Python shuts down aborts the process. Our own reference is the
    last to go, since letting go of that one waits for the threads without holding the interpreter's lock."""
    gc.collect()
    group.clear()
