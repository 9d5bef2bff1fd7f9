"""What MobileLLM changes of a decoder: blocks that are called more than once, and how its shapes are counted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from repro.lab.transformer import Decoder, Shape, SwiGLU
from repro.mobilellm.config import Config


def order(n_layers: int, repeats: int, sharing: str) -> list[int]:
    """The blocks in the order of their calls (Figure 6). immediate: 0 0 1 1 2 2, where the weights of a block are still
    in fast memory at its second call; repeat_all: 0 1 2 0 1 2; reverse: 0 1 2 2 1 0."""
    stack = list(range(n_layers))
    if sharing == "immediate":
        return [i for i in stack for _ in range(repeats)]
    if sharing == "repeat_all":
        return stack * repeats
    if sharing == "reverse":
        return [i for turn in range(repeats) for i in (stack if turn % 2 == 0 else stack[::-1])]
    raise ValueError(f"no order '{sharing}'; there are immediate, repeat_all and reverse")


class ReluFFN(nn.Module):
    """down(relu(up(x))): what Section 2.2 begins with, two matrices of width 4 d where SwiGLU has three of 8/3 d."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.up = nn.Linear(shape.d_model, shape.d_ff, bias=False)
        self.down = nn.Linear(shape.d_ff, shape.d_model, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.down(F.relu(self.up(x)))
        return found


class MobileLLM(Decoder):
    """A decoder whose blocks may be called more than once. Parameters stay, compute grows, and so does the cache: two
    calls of a block attend to two different pasts, so each has its own slot."""

    def __init__(self, config: Config) -> None:
        self._order = order(config.n_layers, config.repeats, config.sharing)
        std = 0.02 / math.sqrt(2 * len(self._order)) if config.scale_residual else None
        super().__init__(shape(config), ReluFFN if config.ffn == "relu" else SwiGLU, std)

    def calls(self) -> Sequence[nn.Module]:
        return [self.blocks[i] for i in self._order]


def shape(config: Config) -> Shape:
    return Shape(
        config.vocab_size, config.d_model, config.n_layers, config.n_heads, config.n_kv_heads, config.d_ff,
        max_seq_len=config.seq_len, tied=config.tied,
    )  # fmt: skip


def count(config: Config) -> int:
    """Parameters, by hand: V D once or twice, and for each block of its own 2 E (H + K) D of attention, 3 D F of SwiGLU
    or 2 D F of ReLU, and two norms."""
    d, head_dim = config.d_model, config.d_model // config.n_heads
    attention = 2 * head_dim * (config.n_heads + config.n_kv_heads) * d
    ffn = (2 if config.ffn == "relu" else 3) * d * config.d_ff
    embedding = config.vocab_size * d * (1 if config.tied else 2)
    return embedding + d + config.n_layers * (attention + ffn + 2 * d)


def cache_bytes(config: Config, bytes_a_number: int = 2) -> int:
    """Of one token of one sequence: a key and a value of K heads for every call of a block."""
    head_dim = config.d_model // config.n_heads
    return 2 * config.n_layers * config.repeats * config.n_kv_heads * head_dim * bytes_a_number
