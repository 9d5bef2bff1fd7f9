"""What the claims are made of: numbers out of the metrics of runs. Imports no torch.

Where a number has no meaning (fronts that reach no loss in common, the ratio of best rates of which one is the last
tried) it is a KeyError that says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from repro.lab.claims import Metrics
from repro.lora_forgetting.config import (
    FULL_LRS,
    GPU_FULL_LRS,
    GPU_LORA_LRS,
    GPU_RANKS,
    LORA_LRS,
    RANKS,
    arms,
    at,
)
from repro.lora_forgetting.figures import Point, front

Runs = Mapping[str, Metrics]


# Of smoke: many arms in one run


def best_rate(m: Runs, arm: str) -> float:
    """The learning rate at which an arm of smoke learns best."""
    lrs = FULL_LRS if arm == "full" else LORA_LRS
    return min(lrs, key=lambda lr: m["smoke"][f"{arm}-lr{lr:g}_target_nats"])


def learnt(m: Runs, arm: str) -> float:
    """What is left to learn of the target, at the best rate."""
    return m["smoke"][f"{arm}-lr{best_rate(m, arm):g}_target_nats"]


def lost(m: Runs, arm: str) -> float:
    """What is forgotten at that rate."""
    return m["smoke"][f"{arm}-lr{best_rate(m, arm):g}_forgot_nats"]


def toy_ahead(m: Runs) -> float:
    """By how many nats less the front of LoRA's ranks forgets than that of full finetuning."""
    names = {
        "full": [f"full-lr{lr:g}" for lr in FULL_LRS], "lora": [f"lora-r{r}-lr{lr:g}" for r in RANKS for lr in LORA_LRS]
    }  # fmt: skip
    full, lora = (
        [(m["smoke"][f"{name}_target_nats"], m["smoke"][f"{name}_forgot_nats"]) for name in names[kind]]
        for kind in ("full", "lora")
    )
    return ahead(full, lora)


def regular(m: Runs, arm: str) -> float:
    """0.2 less by what part regularised full finetuning differs from full finetuning, in what it forgets or in what it
    learns of the target since the base, the larger of both."""
    s = m["smoke"]
    kept, plain = (
        (s[f"{name}_forgot_nats"], s["base_target_nats"] - s[f"{name}_target_nats"]) for name in (arm, "full-lr0.001")
    )
    return 0.2 - max(abs(ours / its - 1) for ours, its in zip(kept, plain, strict=True))


def mean_rank(metrics: Metrics, arm: str = "") -> float:
    """Over attention and MLP."""
    return (metrics[f"{arm}rank_attention"] + metrics[f"{arm}rank_mlp"]) / 2


# Of the gpu- recipes: an arm at a rate each


def best(m: Runs, target: str, method: str) -> str:
    """The recipe of the learning rate that learns best."""
    return min(arms(target, method), key=lambda recipe: m[recipe]["target_nats"])


def target_loss(m: Runs, target: str, method: str) -> float:
    return m[best(m, target, method)]["target_nats"]


def forgot(m: Runs, target: str, method: str) -> float:
    return m[best(m, target, method)]["forgot_nats"]


def rises(values: Sequence[float]) -> float:
    """The least step up from each value to the next."""
    return min(b - a for a, b in zip(values, values[1:], strict=False))


def all_of(*pairs: tuple[str, str]) -> tuple[str, ...]:
    return tuple(recipe for target, method in pairs for recipe in arms(target, method))


def forgot_at(front: Sequence[Point], loss: float) -> float:
    """The forgetting that a front reaches at a loss on the target that it reaches, linear between neighbours."""
    for (x0, y0), (x1, y1) in zip(front, front[1:], strict=False):
        if loss <= x1:
            return y0 + (y1 - y0) * (loss - x0) / (x1 - x0)
    return front[-1][1]


def ahead(full: Sequence[Point], lora: Sequence[Point]) -> float:
    """By how many nats less LoRA's front forgets than that of full finetuning, the mean at losses that both reach. A
    KeyError where there is no such loss."""
    fronts = front(full), front(lora)
    low, high = max(f[0][0] for f in fronts), min(f[-1][0] for f in fronts)
    if low > high:
        raise KeyError("at a loss on the target that both fronts reach")
    losses = [low + (high - low) * i / 10 for i in range(11)]
    return sum(forgot_at(fronts[0], x) - forgot_at(fronts[1], x) for x in losses) / len(losses)


def lora_ahead(m: Runs, target: str) -> float:
    full, lora = (
        [(m[r]["target_nats"], m[r]["forgot_nats"]) for r in recipes]
        for recipes in (arms(target, "full"), all_of(*((target, f"r{r}") for r in GPU_RANKS)))
    )
    return ahead(full, lora)


def gap(m: Runs, target: str, method: str) -> float:
    """What a method leaves to learn beyond full finetuning."""
    return target_loss(m, target, method) - target_loss(m, target, "full")


def closed(low: float, high: float) -> float:
    """Half of the gap of a low rank less that of a high one; no more than there is of a gap at all."""
    return min(low, low / 2 - high)


def rate(m: Runs, target: str, method: str) -> float:
    """The best learning rate; a KeyError where it is the least or the largest tried, which says not where it lies."""
    lrs = sorted(GPU_FULL_LRS if method == "full" else GPU_LORA_LRS)
    best = min(lrs, key=lambda lr: m[at(target, method, lr)]["target_nats"])
    if best in (lrs[0], lrs[-1]):
        raise KeyError(f"at rates beyond {best:g}, the best of {method} and the last that was tried")
    return best


def instructed(m: Runs, method: str) -> float:
    """The better HumanEval of four and eight epochs of code instructions."""
    return max(m[f"paper-code-ift-{epochs}-{method}"]["humaneval_pass_at_1"] for epochs in ("ep4", "ep8"))


def within(most: float, *differences: float) -> float:
    """How far the largest of some differences stays below what is allowed."""
    return most - max(map(abs, differences))
