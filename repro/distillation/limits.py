"""Three facts about divergences that need no data: what claims KD-4, KD-7 and KD-14 compute, all in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from repro.distillation.distill import Divergence, divergence_of_logits

# KD-7: two modes that overlap nowhere, so that both answers have a closed form
WEIGHTS, MEANS, WIDTH = (0.6, 0.4), (-4.0, 4.0), 1.0
GRID = torch.linspace(-14.0, 14.0, 5601, dtype=torch.float64)


def _logits(n: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (4, n) of a student and a teacher, each with mean zero as Hinton's section 2.1 assumes."""
    g = torch.Generator().manual_seed(0)
    z, v = (3 * torch.randn(4, n, dtype=torch.float64, generator=g) for _ in range(2))
    return z - z.mean(-1, keepdim=True), v - v.mean(-1, keepdim=True)


def soft_target_gradient(temperature: float) -> torch.Tensor:
    """By autograd: the gradient of the soft-target loss, its factor T^2 included, with respect to the logits."""
    z, v = _logits()
    z.requires_grad_(True)
    rule = Divergence("forward", temperature=temperature)
    divergence_of_logits(z, v, torch.ones(len(z), dtype=z.dtype), rule).backward()
    assert z.grad is not None
    return z.grad


def distance_to_logit_matching(temperature: float) -> float:
    """KD-4: the largest difference of that gradient from (z - v) / N, what 1/2 |z - v|^2 / N would give."""
    z, v = _logits()
    return float((soft_target_gradient(temperature) - (z - v) / z.shape[-1]).abs().max())


def jsd_limits(beta: float) -> tuple[float, float, float, float]:
    """KD-14: JSD(beta) at both ends, near zero, and how far the rescaled ones are from the KLs that they tend to."""
    z, v = _logits()
    forward, reverse = Divergence("forward")(z, v)[0], Divergence("reverse")(z, v)[0]
    low, high = Divergence("jsd", beta)(z, v)[0], Divergence("jsd", 1 - beta)(z, v)[0]
    off = (low / beta - forward).abs().max(), (high / beta - reverse).abs().max()
    return float(low.max()), float(high.max()), float(off[0]), float(off[1])


@dataclass(frozen=True)
class Fit:
    """A normal distribution, and its divergence from the mixture in nats."""

    mean: float
    std: float
    nats: float


def mixture_log_density(x: torch.Tensor) -> torch.Tensor:
    log_width = torch.tensor(math.log(WIDTH), dtype=x.dtype)
    parts = [
        math.log(w) + normal_log_density(x, torch.tensor(m, dtype=x.dtype), log_width)
        for w, m in zip(WEIGHTS, MEANS, strict=True)
    ]
    return torch.logsumexp(torch.stack(parts), 0)


def fit(kind: str) -> Fit:
    """KD-7: the normal distribution nearest to the mixture by forward or by reverse KL, integrated over a grid: the
    best of what a search finds from either mode and from between them, for reverse KL has several minima."""
    return min((_search(kind, start) for start in (MEANS[0], 0.0, MEANS[1])), key=lambda found: found.nats)


def _search(kind: str, start: float) -> Fit:
    parameters = torch.tensor([start, 0.0], dtype=torch.float64, requires_grad=True)  # mean, log of the deviation
    search = torch.optim.LBFGS([parameters], max_iter=300, tolerance_grad=1e-12, tolerance_change=1e-16,
                               line_search_fn="strong_wolfe")  # fmt: skip
    width = float(GRID[1] - GRID[0])

    def nats() -> torch.Tensor:
        mean, log_std = parameters
        # under reverse KL the grid goes with q, so that no search can leave it
        x, scale = (GRID, width) if kind == "forward" else (mean + log_std.exp() * GRID, width * log_std.exp())
        log_p, log_q = mixture_log_density(x), normal_log_density(x, mean, log_std)
        value: torch.Tensor = ((log_p.exp() if kind == "forward" else -log_q.exp()) * (log_p - log_q) * scale).sum()
        return value

    def closure() -> torch.Tensor:
        search.zero_grad()
        value = nats()
        value.backward()
        return value

    search.step(closure)
    mean, log_std = parameters.tolist()
    return Fit(mean, math.exp(log_std), nats().item())


def normal_log_density(x: torch.Tensor, mean: torch.Tensor, log_std: torch.Tensor) -> torch.Tensor:
    return -0.5 * ((x - mean) / log_std.exp()).square() - log_std - 0.5 * math.log(2 * math.pi)
