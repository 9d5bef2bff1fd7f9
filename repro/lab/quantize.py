"""Rounding to a few bits, simulated: what W8A8 costs, measured in the floating-point model itself."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn

from repro.lab.transformer import Decoder


def rounded(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Each row of x (…, n) to the nearest of 2^bits - 1 values, evenly spaced and symmetric around zero, the outermost
    at the row's largest magnitude (min-max)."""
    most = 2 ** (bits - 1) - 1
    step = x.abs().amax(-1, keepdim=True).float().clamp(min=torch.finfo(torch.float32).tiny) / most
    found: torch.Tensor = ((x / step).round() * step).to(x.dtype)
    return found


class QuantizedLinear(nn.Module):
    """A linear layer with its weight rounded by output row, once, and its input by token, each time."""

    def __init__(self, linear: nn.Linear, bits: int) -> None:
        super().__init__()
        self.weight, self.bias, self.bits = rounded(linear.weight.detach(), bits), linear.bias, bits

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(rounded(x, self.bits), self.weight, self.bias)


def quantized(decoder: Decoder, bits: int = 8) -> Decoder:
    """A copy of a decoder with weights and activations of every linear layer in its blocks in so many bits, after
    training, as MobileLLM's Table 15 has it; the embedding, which is the head too where they are tied, stays."""
    found = copy.deepcopy(decoder)
    for block in found.blocks:
        for parent in list(block.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(parent, name, QuantizedLinear(child, bits))
    return found
