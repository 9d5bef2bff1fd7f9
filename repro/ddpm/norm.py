"""Group normalisation, swish and dropout of a residual block as one operation.

Written out in PyTorch, these passes over memory take more of a training step on a GPU than the convolutions do, and
the usual lowering of group normalisation turns pictures from channels last to channels first and back. The kernels here
read a picture once, keep the channels last, and draw dropout anew in the backward pass instead of storing a mask.
Everywhere else the same function is three lines of PyTorch.

B = images, C = channels, G = groups, H, W = height and width.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


def group_norm(
    norm: nn.GroupNorm, x: torch.Tensor, shift: torch.Tensor | None = None, swish: bool = True, dropout: float = 0.0
) -> torch.Tensor:
    """dropout(swish(norm(x + shift))): x (B, C, H, W), shift (B, C) or none; statistics in float32, the result in the
    dtype of x."""
    if _fused is not None and x.is_cuda:
        seed = torch.randint(2**31 - 1, (1,), device=x.device)
        added = x.new_zeros(0) if shift is None else shift
        y: torch.Tensor = _fused(
            x, added, norm.weight, norm.bias, seed, norm.num_groups, norm.eps, swish, dropout
        )[0]  # fmt: skip
        return y
    h = x if shift is None else x + shift[:, :, None, None]
    h = F.group_norm(h.float(), norm.num_groups, norm.weight, norm.bias, norm.eps)
    return F.dropout(F.silu(h) if swish else h, dropout).to(x.dtype)


_fused: Any = None
if torch.cuda.is_available() and importlib.util.find_spec("triton") is not None:
    from repro.ddpm.norm_kernels import fused as _fused
