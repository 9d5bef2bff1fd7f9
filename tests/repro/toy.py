"""A paper that is about nothing: a small network with dropout and masked losses, trained through repro.lab.

python tests/repro/toy.py OUT [SECONDS_A_STEP]
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from repro.lab.checkpoint import TrainState
from repro.lab.data import batch_indices, my_share
from repro.lab.distributed import world
from repro.lab.optim import ema_decay, optimize, set_lr, update_ema, warmup_constant
from repro.lab.recipe import Command
from repro.lab.run import Run


@dataclass(frozen=True)
class Config:
    width: int = 16
    """Of the hidden layer."""
    dropout: float = 0.0
    """After it."""
    batch_size: int = 16
    """Rows a step."""
    accum: int = 1
    """Micro-batches a step."""
    steps: int = 6
    """Optimizer steps."""
    lr: float = 0.01
    """Adam's."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam's."""
    seed: int = 0
    """Of everything."""


def rows() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x (56, 8), y (56, 4), and a mask (56, 4) that leaves very different numbers of losses in different rows."""
    g = torch.Generator().manual_seed(1)
    x, y = torch.randn(56, 8, generator=g), torch.randn(56, 4, generator=g)
    keep = torch.rand(56, 4, generator=g) < torch.linspace(0.05, 0.95, 56)[:, None]
    return x, y, keep


def loss_fn(model: nn.Module, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x, y, keep = (part[index] for part in rows())
    return ((model(x) - y).square() * keep).sum(), keep.sum()


def make(config: Config) -> TrainState:
    torch.manual_seed(config.seed)
    model = nn.Sequential(nn.Linear(8, config.width), nn.Tanh(), nn.Dropout(config.dropout), nn.Linear(config.width, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr, betas=config.betas)
    return TrainState(model, optimizer, ema=copy.deepcopy(model).requires_grad_(False))


def main(
    out: Path,
    config: Config | None = None,
    minutes: float = float("inf"),
    pause: float = 0.0,
    save_every: int = 1000,
    each: Callable[[int], None] = lambda step: None,
) -> TrainState:
    config = config or Config()
    torch.set_num_threads(1)
    with world("cpu") as w:
        run = Run("toy", Command("toy", config, out, minutes), w, save_every=save_every, data="random numbers")
        state = make(config)
        model: nn.Module = nn.parallel.DistributedDataParallel(state.model) if w.size > 1 else state.model
        for step in run.steps(state, config.steps):
            set_lr(state.optimizer, warmup_constant(step, peak=config.lr, warmup=3))
            mine = my_share(batch_indices(56, config.batch_size, config.seed, step), w.rank, w.size)
            loss, norm = optimize(state, model, loss_fn, mine.chunk(config.accum), w, clip=1.0)
            update_ema(state.ema, state.model, ema_decay(step, 0.9))
            run.log(step, loss=loss, grad_norm=norm)
            each(step)
            time.sleep(pause)
        if not run.stopped:
            run.finish(loss=loss_fn(state.model.eval(), torch.arange(56))[0].item())
    return state


if __name__ == "__main__":
    main(Path(sys.argv[1]), Config(steps=10_000 if len(sys.argv) > 2 else 6), pause=float([*sys.argv, 0][2]))
