"""LionW with decoupled weight decay: the paper's optimizer, as llm-foundry's DecoupledLionW has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch


class LionW(torch.optim.Optimizer):
    """p <- p (1 - lr / lr_0 * weight_decay) - lr sign(beta1 m + (1 - beta1) g), then m <- beta2 m + (1 - beta2) g
    (Chen et al. 2023, Algorithm 2). lr_0 is the peak: decay does not scale with it, only with the schedule. The
    learning rate may be a tensor, in place of which a captured graph reads the next one."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | torch.Tensor,
        betas: tuple[float, float] = (0.9, 0.95),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})
        for group in self.param_groups:
            group["peak"] = float(lr)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            for p in params:
                if "momentum" not in self.state[p]:
                    self.state[p]["momentum"] = torch.zeros_like(p)
            self._take(params, [self.state[p]["momentum"] for p in params], group)

    def _take(self, params: list[torch.Tensor], moments: list[torch.Tensor], group: dict[str, Any]) -> None:
        (beta1, beta2), lr = group["betas"], group["lr"]
        grads = [p.grad for p in params if p.grad is not None]
        updates = torch._foreach_mul(moments, beta1)
        torch._foreach_add_(updates, grads, alpha=1 - beta1)
        torch._foreach_sign_(updates)
        torch._foreach_mul_(updates, lr)
        if group["weight_decay"]:
            torch._foreach_mul_(params, 1 - lr / group["peak"] * group["weight_decay"])
        torch._foreach_sub_(params, updates)
        torch._foreach_lerp_(moments, grads, 1 - beta2)
