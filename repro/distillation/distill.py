"""How far a student is from its teacher at every token, and the gradient of that: forward KL, reverse KL, JSD(beta).

p is the teacher's distribution over the next token and q the student's: softmaxes of logits v and z, divided by the
temperature. Products are in the hidden states' type, everything after them in fp32 (in fp64 where they are fp64): what
bf16 leaves of a logarithm can make a divergence negative.

Shapes: N tokens, D the student's d_model, E the teacher's, V vocab_size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F

Kind = Literal["forward", "reverse", "jsd"]
CHUNK = 2048  # tokens whose logits of both models are held at a time: 2 * CHUNK * V numbers


@dataclass(frozen=True)
class Divergence:
    """forward: KL(p || q). reverse: KL(q || p). jsd: beta KL(p || m) + (1 - beta) KL(q || m) with m = beta p +
    (1 - beta) q, as GKD's equation 1 has it. Each at a temperature, times its square (Hinton et al., section 2), so
    that the gradient does not shrink with it."""

    kind: Kind = "forward"
    beta: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.kind == "jsd" and not 0 < self.beta < 1:
            raise ValueError(
                f"JSD({self.beta:g}) is zero whatever the student does; the limits of JSD(beta) / beta and "
                "JSD(beta) / (1 - beta) have names: forward and reverse"
            )
        if self.temperature <= 0:
            raise ValueError(f"a temperature of {self.temperature:g}; it must be above zero")

    def __call__(self, z: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the student's logits z and the teacher's v, (N, V): the divergence of each token in nats (N,), and its
        gradient with respect to z (N, V)."""
        T = self.temperature
        value, slope = self._at_one((z / T).log_softmax(-1), (v / T).log_softmax(-1))
        return value * T**2, slope * T

    def _at_one(self, log_q: torch.Tensor, log_p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        p, q = log_p.exp(), log_q.exp()
        if self.kind == "forward":
            return (p * (log_p - log_q)).sum(-1), q - p
        if self.kind == "reverse":
            ratio = log_q - log_p
            value = (q * ratio).sum(-1)
            return value, q * (ratio - value[..., None])
        log_m = torch.logaddexp(log_p + math.log(self.beta), log_q + math.log1p(-self.beta))
        ratio = log_q - log_m
        from_q = (q * ratio).sum(-1)
        value = self.beta * (p * (log_p - log_m)).sum(-1) + (1 - self.beta) * from_q
        return value, (1 - self.beta) * q * (ratio - from_q[..., None])


@dataclass(frozen=True)
class Heads:
    """What makes logits of both models: matrices (V, D) and (V, E). Padded to different sizes, the vocabulary of one
    tokenizer is what both have; the rest are no tokens."""

    student: torch.Tensor
    teacher: torch.Tensor

    @property
    def size(self) -> int:
        return min(len(self.student), len(self.teacher))


class _Summed(torch.autograd.Function):
    """Gradients are made in the forward pass, while a chunk's logits are there: nothing is computed twice or kept."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, unembed: torch.Tensor, teacher: torch.Tensor, teacher_unembed: torch.Tensor,
        weights: torch.Tensor, targets: torch.Tensor | None, hard: torch.Tensor | None, rule: Divergence, chunk: int,
    ) -> Any:  # fmt: skip
        V = Heads(unembed, teacher_unembed).size
        student_cast, teacher_cast = unembed[:V].to(hidden.dtype), teacher_unembed[:V].to(teacher.dtype)
        wanted, rows = ctx.needs_input_grad, []
        d_head = torch.zeros(V, unembed.shape[1], device=hidden.device, dtype=_sum_type(unembed))
        total = torch.zeros((), device=hidden.device, dtype=_sum_type(hidden))
        for i in range(0, len(hidden), chunk):
            here = slice(i, i + chunk)
            z, v = _wide(hidden[here] @ student_cast.T), _wide(teacher[here] @ teacher_cast.T)
            value, slope = rule(z, v)
            w = weights[here].to(z.dtype)
            total, slope = total + (value * w).sum(), slope * w[:, None]
            if targets is not None and hard is not None:
                loss, more = _cross_entropy(z, targets[here], hard[here].to(z.dtype))
                total, slope = total + loss, slope + more
            slope = slope.to(hidden.dtype)  # (chunk, V)
            if wanted[0]:
                rows.append(slope @ student_cast)
            if wanted[1]:
                d_head += (slope.T @ hidden[here]).to(d_head.dtype)
        d_hidden = torch.cat(rows) if wanted[0] else None
        d_unembed = F.pad(d_head, (0, 0, 0, len(unembed) - V)) if wanted[1] else None
        ctx.save_for_backward(d_hidden, d_unembed)
        ctx.dtype = unembed.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        d_hidden, d_unembed = ctx.saved_tensors
        scaled = [None if d is None else d * grads[0].to(d.dtype) for d in (d_hidden, d_unembed)]
        return scaled[0], None if scaled[1] is None else scaled[1].to(ctx.dtype), *[None] * 7


def _cross_entropy(z: torch.Tensor, targets: torch.Tensor, hard: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum of hard * -log q[target] at temperature 1, and its gradient with respect to z."""
    log_q = z.log_softmax(-1)
    found = torch.arange(z.shape[-1], device=z.device) == targets[:, None]
    picked = log_q.gather(1, targets[:, None])[:, 0]
    return -(picked * hard).sum(), (log_q.exp() - found.to(z.dtype)) * hard[:, None]


def summed_divergence(
    hidden: torch.Tensor,
    teacher: torch.Tensor,
    heads: Heads,
    weights: torch.Tensor,
    rule: Divergence,
    targets: torch.Tensor | None = None,
    hard: torch.Tensor | None = None,
    chunk: int = CHUNK,
) -> torch.Tensor:
    """The sum over tokens of weights * divergence, in nats, from hidden states (…, D) of the student and (…, E) of the
    teacher; weights (…) are 0 for tokens that do not count. With `targets` (…) and `hard` (…), plus hard times the
    cross-entropy to the target. Gradients go to the student alone."""
    flat = hidden.reshape(-1, hidden.shape[-1])
    theirs = teacher.reshape(-1, teacher.shape[-1])
    t = None if targets is None else targets.reshape(-1)
    h = None if hard is None else hard.reshape(-1)
    with torch.autocast(hidden.device.type, enabled=False):
        total: torch.Tensor = _Summed.apply(  # type: ignore[no-untyped-call]
            flat, heads.student, theirs, heads.teacher, weights.reshape(-1), t, h, rule, chunk
        )
    return total


class _OfLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, v: torch.Tensor, weights: torch.Tensor, rule: Divergence) -> Any:
        value, slope = rule(_wide(z), _wide(v))
        ctx.save_for_backward(slope * weights[..., None])
        ctx.dtype = z.dtype
        return (value * weights).sum()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return (ctx.saved_tensors[0] * grads[0]).to(ctx.dtype), None, None, None


def divergence_of_logits(z: torch.Tensor, v: torch.Tensor, weights: torch.Tensor, rule: Divergence) -> torch.Tensor:
    """The same sum from logits (…, V) of student and teacher; those beyond what both have are left out."""
    V = min(z.shape[-1], v.shape[-1])
    with torch.autocast(z.device.type, enabled=False):
        total: torch.Tensor = _OfLogits.apply(z[..., :V], v[..., :V], weights, rule)  # type: ignore[no-untyped-call]
    return total


@torch.no_grad()
def token_divergences(
    hidden: torch.Tensor, teacher: torch.Tensor, heads: Heads, rule: Divergence, chunk: int = CHUNK
) -> torch.Tensor:
    """The divergence of each token in nats, (…) of hidden states (…, D) and (…, E), without gradient."""
    V = heads.size
    student_cast, teacher_cast = heads.student[:V].to(hidden.dtype), heads.teacher[:V].to(teacher.dtype)
    pairs = zip(hidden.flatten(0, -2).split(chunk), teacher.flatten(0, -2).split(chunk), strict=True)
    parts = [rule(_wide(h @ student_cast.T), _wide(t @ teacher_cast.T))[0] for h, t in pairs]
    return torch.cat(parts).view(hidden.shape[:-1])


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _sum_type(x: torch.Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
