"""One optimizer step, exact over micro-batches and ranks; learning-rate schedules; moving averages of weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from repro.lab.checkpoint import TrainState
from repro.lab.distributed import World

LossFn = Callable[[nn.Module, Any], tuple[torch.Tensor, torch.Tensor]]
"""(model, micro-batch) -> the sum of the losses and how many of them there are, both 0-dimensional"""


def warmup_constant(step: int, *, peak: float, warmup: int) -> float:
    """Linear warm-up to `peak`, reached at step `warmup` - 1, then constant."""
    return peak * min(1.0, (step + 1) / max(1, warmup))


def warmup_cosine(step: int, *, peak: float, warmup: int, total: int, floor: float = 0.0) -> float:
    """Linear warm-up to `peak`, then half a cosine down to `floor`."""
    if step < warmup:
        return peak * (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    return floor + 0.5 * (peak - floor) * (1 + math.cos(math.pi * done))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group its learning rate: a Python number where it is one, in place where it is a tensor that a
    captured graph reads."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


def lr_on(device: torch.device, lr: float) -> float | torch.Tensor:
    """A learning rate as an optimizer on `device` takes it: on a GPU a tensor, which a captured graph can read."""
    return torch.tensor(lr, device=device) if device.type == "cuda" else lr


def decayed(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Groups for an optimizer: matrices decay, vectors (norms, biases) do not."""
    weights = list(parameters)
    groups = [
        {"params": [p for p in weights if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in weights if p.dim() < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def adamw(
    parameters: Iterable[nn.Parameter], lr: float, weight_decay: float, betas: tuple[float, float] = (0.9, 0.95)
) -> torch.optim.AdamW:
    """AdamW that decays matrices only; on a GPU one kernel, which can be captured."""
    groups = decayed(parameters, weight_decay)
    device = groups[0]["params"][0].device
    cuda = device.type == "cuda"
    return torch.optim.AdamW(groups, lr=lr_on(device, lr), betas=betas, fused=cuda, capturable=cuda)


def optimize(
    state: TrainState, model: nn.Module, loss_fn: LossFn, microbatches: Sequence[Any], world: World, *, clip: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Take one optimizer step; the mean loss over the global batch and the norm of its gradient, as tensors: reading
    them waits for the device, so read them every `log_every` steps.

    `model` is `state.model`, perhaps wrapped (DDP, FSDP2, compile). Losses are summed and divided once, by the global
    count, so that masks, accumulation and ranks all give the gradient of one large batch. Ranks exchange gradients
    once.
    """
    sum_and_count = torch.zeros(2, device=world.device)
    for i, batch in enumerate(microbatches):
        _exchange(model, i == len(microbatches) - 1)
        total, count = loss_fn(model, batch)
        total.backward()
        sum_and_count += torch.stack((total.detach().float(), count.float()))
    world.add(sum_and_count)
    found = [p.grad for p in state.model.parameters() if p.grad is not None]
    grads = [g.to_local() if isinstance(g, DTensor) else g for g in found]
    share = world.size / sum_and_count[1]  # DDP and FSDP2 took the mean over ranks
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
    if any(isinstance(g, DTensor) for g in found):  # each rank has its part of every gradient
        square = norm.square()
        world.add(square)
        norm = square.sqrt()
    norm = norm * share
    torch._foreach_mul_(grads, share * (clip / (norm + 1e-6)).clamp(max=1.0))
    state.optimizer.step()
    state.optimizer.zero_grad()
    return sum_and_count[0] / sum_and_count[1], norm


def _exchange(model: nn.Module, now: bool) -> None:
    """Whether the backward pass that follows exchanges gradients with the other ranks."""
    if isinstance(model, DistributedDataParallel):
        model.require_backward_grad_sync = now
    elif isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(now)


@torch.no_grad()
def update_ema(ema: nn.Module, model: nn.Module, decay: float | torch.Tensor) -> None:
    """ema <- decay * ema + (1 - decay) * model, weights and buffers alike."""
    averages = [p for p in ema.state_dict().values() if p.is_floating_point()]
    values = [p for p in model.state_dict().values() if p.is_floating_point()]
    if isinstance(decay, torch.Tensor):  # lerp takes no weight from the device
        steps = torch._foreach_sub(values, averages)
        torch._foreach_mul_(steps, 1.0 - decay)
        torch._foreach_add_(averages, steps)
    else:
        torch._foreach_lerp_(averages, values, 1.0 - decay)


def ema_decay(step: int, peak: float) -> float:
    """The decay after `step` steps: it warms up, or a short run would average in its random start."""
    return min(peak, (1 + step) / (10 + step))
