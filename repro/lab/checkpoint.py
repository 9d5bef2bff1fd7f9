"""Everything that must survive a restart, in one file that is written whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.tensor import DTensor

from repro.lab.files import write_whole


@dataclass
class TrainState:
    """All that changes as training goes on. `model` is the raw module (DDP, FSDP2 and compile wrap a second name). What
    is not here follows from the config and the step."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    ema: nn.Module | None = None
    step: int = 0


def save(state: TrainState, path: Path, main: bool = True) -> None:
    """Write `state` to `path`; a process killed at any moment leaves the old file or the new one. Every rank calls it,
    the main one writes: a sharded state is gathered first, so that the file is the same for any number of ranks."""
    parts = _parts(state)
    if main:
        write_whole(path, lambda file: torch.save(parts, file))


def _parts(state: TrainState) -> dict[str, Any]:
    parts: dict[str, Any] = {"step": state.step}
    if _is_sharded(state):
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        parts["model"], parts["optimizer"] = get_state_dict(state.model, state.optimizer, options=options)
    else:
        parts |= {"model": state.model.state_dict(), "optimizer": state.optimizer.state_dict()}
    if state.ema is not None:
        parts["ema"] = state.ema.state_dict()
    return parts


def _is_sharded(state: TrainState) -> bool:
    return any(isinstance(p, DTensor) for p in state.model.parameters())


def load(state: TrainState, path: Path) -> None:
    """Bring `state` to what `path` holds; a missing or extra part is an error, never skipped."""
    parts = torch.load(path, map_location="cpu", weights_only=True)
    rates = [group["lr"] for group in state.optimizer.param_groups]
    if ("ema" in parts) != (state.ema is not None):
        raise ValueError(f"{path}: the checkpoint and the recipe disagree about EMA; name another folder")
    if _is_sharded(state):
        options = StateDictOptions(full_state_dict=True)
        set_state_dict(
            state.model, state.optimizer, model_state_dict=parts["model"], optim_state_dict=parts["optimizer"],
            options=options,
        )  # fmt: skip
    else:
        state.model.load_state_dict(parts["model"])
        state.optimizer.load_state_dict(parts["optimizer"])
    for group, rate in zip(state.optimizer.param_groups, rates, strict=True):
        if isinstance(rate, torch.Tensor):  # what was loaded lies on the CPU, where a captured graph would not read it
            group["lr"] = rate.fill_(float(group["lr"]))
    if state.ema is not None:
        state.ema.load_state_dict(parts["ema"])
    state.step = parts["step"]
