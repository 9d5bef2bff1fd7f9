"""The cross-entropy of a language model without its logits: they are made, used and dropped by chunks of tokens.

Shapes: N tokens, D d_model, V vocab_size.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

IGNORE = -100  # a target that counts for nothing
CHUNK = 4096  # tokens; their logits take CHUNK * V numbers


class _Summed(torch.autograd.Function):
    """Gradients are made in the forward pass, while a chunk's logits are there: nothing is computed twice or kept."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk: int) -> Any:
        cast = weight.to(hidden.dtype)
        d_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        d_weight = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        total = torch.zeros((), device=hidden.device)
        classes = torch.arange(weight.shape[0], device=hidden.device)
        for i in range(0, len(hidden), chunk):
            h, t = hidden[i : i + chunk], targets[i : i + chunk]
            counts = (t != IGNORE).float()
            logits = (h @ cast.T).float()
            norm = logits.logsumexp(-1)
            picked = logits.gather(1, t.clamp(min=0)[:, None])[:, 0]
            total = total + ((norm - picked) * counts).sum()
            found = classes == t[:, None]
            error = (((logits - norm[:, None]).exp() - found.float()) * counts[:, None]).to(h.dtype)  # (chunk, V)
            if d_hidden is not None:
                d_hidden[i : i + chunk] = error @ cast
            if d_weight is not None:
                d_weight += (error.T @ h).float()
        ctx.save_for_backward(d_hidden, d_weight)
        ctx.dtype = weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        d_hidden, d_weight = ctx.saved_tensors
        scaled = [None if d is None else d * grads[0].to(d.dtype) for d in (d_hidden, d_weight)]
        return scaled[0], None if scaled[1] is None else scaled[1].to(ctx.dtype), None, None


def summed_cross_entropy(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk: int = CHUNK
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum of -log softmax(hidden @ weight.T)[target] in nats over hidden (…, D) and targets (…) other than IGNORE,
    and how many these are. Products are in hidden's type, sums in fp32."""
    flat, t = hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1)
    with torch.autocast(hidden.device.type, enabled=False):
        total: torch.Tensor = _Summed.apply(flat, weight, t, chunk)  # type: ignore[no-untyped-call]
    return total, (t != IGNORE).sum()


@torch.no_grad()
def token_losses(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk: int = CHUNK) -> torch.Tensor:
    """-log p of each target in nats, fp32, shaped as targets; 0 for those ignored."""
    flat, t = hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1)
    cast = weight.to(flat.dtype)
    parts = [
        F.cross_entropy((h @ cast.T).float(), part, ignore_index=IGNORE, reduction="none")
        for h, part in zip(flat.split(chunk), t.split(chunk), strict=True)
    ]
    return torch.cat(parts).view_as(targets)
