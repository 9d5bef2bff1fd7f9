"""Connectionist temporal classification (Graves et al. 2006): the loss of a transcript over all its alignments, and the
likeliest symbols read out.

Shapes: B utterances, T encoder steps, U units of the longest transcript, S = 2 U + 1 states, V symbols.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from repro.speech_llama.model import valid

BLANK = 0  # CTC's own symbol; units begin at 1


def ctc_loss(
    log_p: torch.Tensor, steps: torch.Tensor, units: torch.Tensor, counts: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum of -log p(units) in nats over utterances, and how many units they have: log-probabilities (B, T, V) of
    which `steps` (B,) count, units (B, U) of which `counts` (B,) count. An utterance with too few steps for its units
    counts 0.

    With `steps` and `counts` on the CPU it is PyTorch's, which plans with them there; on a GPU it waits for what it
    copies, and cannot be captured. With both on a GPU it is `forward_backward`."""
    if steps.is_cuda:
        return forward_backward(log_p, steps, units, counts).sum(), counts.sum()
    total = F.ctc_loss(
        log_p.transpose(0, 1), units + 1, steps, counts, blank=BLANK, reduction="sum", zero_infinity=True
    )
    return total, counts.sum().to(total.device)


def forward_backward(
    log_p: torch.Tensor, steps: torch.Tensor, units: torch.Tensor, counts: torch.Tensor
) -> torch.Tensor:
    """-log p(units) of each utterance (B,), 0 where there is no alignment. Lengths stay on the device and nothing waits
    for it, so that a step with this loss can be captured as a graph."""
    found: torch.Tensor = _ForwardBackward.apply(log_p, steps, units, counts)  # type: ignore[no-untyped-call]
    return found


class _ForwardBackward(torch.autograd.Function):
    """The gradient of -log p(units) by log p(symbol at a step) is minus the share of alignments, by probability, that
    have this symbol there (Sections 4.1 and 4.2). The backward variables are forward ones of the utterance read
    from its end, so both are computed in one pass over time."""

    @staticmethod
    def forward(
        ctx: Any, log_p: torch.Tensor, steps: torch.Tensor, units: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        B, T, V = log_p.shape
        S = 2 * units.shape[1] + 1
        time, state = (torch.arange(n, device=log_p.device) for n in (T, S))
        labels = torch.full((B, S), BLANK, device=log_p.device)  # blank, unit, blank, unit, …, blank
        labels[:, 1::2] = units + 1
        ends = 2 * counts[:, None]  # the last state of each
        back_t, back_s = ((last - i).clamp(min=0) for last, i in ((steps[:, None] - 1, time), (ends, state)))

        def turned(x: torch.Tensor) -> torch.Tensor:
            """(B, T, S) of the utterance read from its end, or back again."""
            x = x.gather(1, back_t[..., None].expand(-1, -1, S))
            return x.gather(2, back_s[:, None].expand(-1, T, -1))

        said = log_p.gather(2, labels[:, None].expand(-1, T, -1))  # (B, T, S)
        both = _forward(
            torch.cat((said, turned(said))), torch.cat((labels, labels.gather(1, back_s))), torch.cat((steps, steps))
        )
        alpha, beta = both[:B], turned(both[B:])
        last = alpha.gather(1, (steps - 1)[:, None, None].expand(-1, 1, S))[:, 0]
        whole = torch.where(state >= ends - 1, last, -math.inf).masked_fill(state > ends, -math.inf).logsumexp(1)
        possible = whole.isfinite()
        share = (alpha + beta - said - whole[:, None, None]).exp()
        real = valid(steps, T)[..., None] & (state <= ends)[:, None] & possible[:, None, None]
        ctx.save_for_backward(
            torch.zeros_like(log_p).scatter_add_(2, labels[:, None].expand(-1, T, -1), torch.where(real, share, 0.0))
        )
        return torch.where(possible, -whole, 0.0)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (share,) = ctx.saved_tensors
        return -grads[0][:, None, None] * share, None, None, None


def _forward(said: torch.Tensor, labels: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Forward variables (B, T, S): the log-probability of all beginnings of alignments that stand in a state at a step,
    from each state's log-probability `said` (B, T, S). Beyond an utterance's steps they stay as they are."""
    advance = torch.compile(_advance) if said.is_cuda else _advance
    before = F.pad(labels[:, :-2], (2, 0), value=BLANK)
    skips = (labels != BLANK) & (labels != before)  # a blank may be left out between two units that differ
    said = said.transpose(0, 1).contiguous()  # each step in one piece of memory
    now = said[0].masked_fill(torch.arange(said.shape[2], device=said.device) > 1, -math.inf)
    found = [now]
    for t in range(1, len(said)):
        now = advance(now, said[t], skips, (t < steps)[:, None])
        found.append(now)
    return torch.stack(found, 1)


def _advance(now: torch.Tensor, said: torch.Tensor, skips: torch.Tensor, goes_on: torch.Tensor) -> torch.Tensor:
    """Forward variables (B, S) one step later: in each state one stays, comes from the one before, or from the one
    before that."""
    one = F.pad(now[:, :-1], (1, 0), value=-math.inf)
    two = F.pad(now[:, :-2], (2, 0), value=-math.inf).masked_fill(~skips, -math.inf)
    return torch.where(goes_on, torch.stack((now, one, two)).logsumexp(0) + said, now)


def ctc_greedy(log_p: torch.Tensor, steps: torch.Tensor) -> list[list[int]]:
    """The likeliest symbol of every valid step, repeats made one and blanks left out: units for each utterance."""
    best = log_p.argmax(-1)
    new = torch.ones_like(best, dtype=torch.bool)
    new[:, 1:] = best[:, 1:] != best[:, :-1]
    kept = new & (best != BLANK) & valid(steps, best.shape[1])
    return [(row[keep] - 1).tolist() for row, keep in zip(best.cpu(), kept.cpu(), strict=True)]
