"""The audio encoder: a strided convolution and Conformer blocks (non-macaron: one feed-forward part a block), first
trained with CTC.

Padding is at the end of an utterance and cannot be heard: features are standardised over valid frames, every
convolution sees zeros beyond them, attention looks at none, and norms are taken frame by frame, so that an utterance
comes out the same alone and in any batch.

Shapes: B utterances, T frames of 10 ms or encoder steps, M mel bins, D d_model, H heads, E head_dim.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from repro.lab.transformer import rope_table, rotate
from repro.speech_llama.features import between

_LEAST_VARIANCE = 0.1  # of a mel bin in nats^2: speech has 1 to 10, the cache's rounding 0.001
MOST_STEPS = 4096  # of an utterance: the encoder has positions for these


@dataclass(frozen=True)
class EncoderShape:
    """The sizes of an encoder. `stride` frames, a power of two, become one step."""

    n_mels: int
    stride: int
    n_layers: int
    d_model: int
    n_heads: int
    d_ff: int
    kernel: int
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.stride < 2 or self.stride & (self.stride - 1):
            raise ValueError(f"a stride of {self.stride} frames is no power of two from 2 on")
        if self.d_model % self.n_heads or self.kernel % 2 == 0:
            raise ValueError(f"{self.n_heads} heads must divide {self.d_model}, and a kernel of {self.kernel} be odd")


def valid(lengths: torch.Tensor, width: int) -> torch.Tensor:
    """Which of `width` places are within each length (B,): booleans (B, width)."""
    return torch.arange(width, device=lengths.device) < lengths[:, None]


def steps_of(frames: torch.Tensor, stride: int) -> torch.Tensor:
    """Encoder steps of so many frames, by halves rounded up: none of the end is dropped."""
    while stride > 1:
        frames, stride = (frames + 1) // 2, stride // 2
    return frames


def standardise(features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Each mel bin of (B, T, M) with mean 0 and variance 1, or less where it hardly varies, over an utterance's valid
    frames, in fp32; 0 beyond them."""
    x, mask = features.float(), valid(lengths, features.shape[1])[..., None]
    count = lengths[:, None, None].clamp(min=1)
    centred = (x - (x * mask).sum(1, keepdim=True) / count) * mask
    variance = centred.square().sum(1, keepdim=True) / count
    # a bin that hardly moves, as above a band limit, holds rounding alone: that is not to be made as large as speech
    return centred * torch.rsqrt(variance.clamp(min=_LEAST_VARIANCE))


@dataclass(frozen=True)
class Augmentation:
    """What is done to an utterance's features in training."""

    time_masks: int = 0
    mel_masks: int = 0
    mel_warp: float = 0.0


def warped(x: torch.Tensor, most: float) -> torch.Tensor:
    """Features (B, T, M) as if each speaker's vocal tract were shorter or longer by up to a share `most`, drawn for
    each utterance (Jaitly and Hinton 2013): what stands at a frequency is taken from a multiple of it, on HTK's mel
    scale."""
    B, _, M = x.shape
    top = math.log1p(8000 / 700)
    hz = 700 * torch.expm1(torch.arange(1, M + 1, device=x.device) * (top / (M + 1)))  # centres of the bins
    factor = 1 + most * (2 * torch.rand(B, 1, device=x.device) - 1)
    source = (torch.log1p(factor * hz / 700) * ((M + 1) / top) - 1).clamp(0, M - 1)
    return between(x, source, 2)


def augment(x: torch.Tensor, lengths: torch.Tensor, time_masks: int, mel_masks: int) -> torch.Tensor:
    """SpecAugment (Park et al. 2019) on standardised features (B, T, M): `time_masks` stretches of up to a tenth of an
    utterance and `mel_masks` bands of up to a third of the bins become 0, drawn for each utterance."""
    _, T, M = x.shape
    over_time = _stretches(time_masks, lengths, 0.1, T)
    over_mels = _stretches(mel_masks, torch.full_like(lengths, M), 1 / 3, M)
    return x.masked_fill(over_time[:, :, None] | over_mels[:, None], 0.0)


def _stretches(n: int, most: torch.Tensor, share: float, width: int) -> torch.Tensor:
    """`n` stretches a row, at random within its `most` (B,) places and up to a share of them long: (B, width)."""
    size = torch.rand(len(most), n, device=most.device) * share * most[:, None]
    begin = torch.rand(len(most), n, device=most.device) * (most[:, None] - size)
    at = torch.arange(width, device=most.device)
    return ((at >= begin[..., None]) & (at < (begin + size)[..., None])).any(1)


class Subsample(nn.Module):
    """Convolutions over time that each halve the number of frames."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        halvings = shape.stride.bit_length() - 1
        sizes = [shape.n_mels, *[shape.d_model] * halvings]
        self.convs = nn.ModuleList(
            nn.Conv1d(a, b, 3, stride=2, padding=1) for a, b in zip(sizes, sizes[1:], strict=False)
        )

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = x.transpose(1, 2)
        for conv in self.convs:
            lengths = (lengths + 1) // 2
            x = F.silu(conv(x))
            x = x * valid(lengths, x.shape[2])[:, None]
        return x.transpose(1, 2), lengths


class Attention(nn.Module):
    """Self-attention over all valid steps, with rotary positions where the Conformer has relative ones."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.n_heads = shape.n_heads
        self.qkv = nn.Linear(shape.d_model, 3 * shape.d_model, bias=False)
        self.out = nn.Linear(shape.d_model, shape.d_model, bias=False)

    def forward(self, x: torch.Tensor, turn: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
        B, T, D = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.n_heads, -1).unbind(2)
        q, k = rotate(q, turn), rotate(k, turn)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=heard)
        found: torch.Tensor = self.out(y.transpose(1, 2).reshape(B, T, D))
        return found


class Convolution(nn.Module):
    """Gated pointwise, depthwise over `kernel` steps, norm, SiLU, pointwise. The Conformer's batch norm would mix
    utterances, and with them micro-batches and ranks: here each step is normalised by itself."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.into = nn.Linear(shape.d_model, 2 * shape.d_model)
        self.depthwise = nn.Parameter(torch.empty(shape.kernel, shape.d_model))
        nn.init.uniform_(self.depthwise, -(shape.kernel**-0.5), shape.kernel**-0.5)
        self.norm = nn.LayerNorm(shape.d_model)
        self.out = nn.Linear(shape.d_model, shape.d_model)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = F.glu(self.into(x), -1) * mask
        around = len(self.depthwise) // 2
        padded = F.pad(x, (0, 0, around, around))
        # shifted sums: the compiler makes one kernel of them, where cuDNN's depthwise convolutions are slow
        weights = self.depthwise.to(x.dtype)
        y = sum(padded[:, i : i + x.shape[1]] * weight for i, weight in enumerate(weights))
        found: torch.Tensor = self.out(F.silu(self.norm(y)))
        return found


class Block(nn.Module):
    """Attention, convolution and feed-forward, each on the normalised stream and added to it."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        d = shape.d_model
        self.norm1, self.attn = nn.LayerNorm(d), Attention(shape)
        self.norm2, self.conv = nn.LayerNorm(d), Convolution(shape)
        self.norm3 = nn.LayerNorm(d)
        self.ffn = nn.Sequential(nn.Linear(d, shape.d_ff), nn.SiLU(), nn.Linear(shape.d_ff, d))
        self.drop = nn.Dropout(shape.dropout)

    def forward(self, x: torch.Tensor, turn: torch.Tensor, mask: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
        x = x + self.drop(self.attn(self.norm1(x), turn, heard))
        x = x + self.drop(self.conv(self.norm2(x), mask))
        found: torch.Tensor = x + self.drop(self.ffn(self.norm3(x)))
        return found


class Encoder(nn.Module):
    """Log-mel features (B, T, M) and their lengths (B,) -> encoded steps (B, T / stride, D), 0 beyond the valid ones,
    and how many are valid (B,)."""

    rope: torch.Tensor

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.subsample = Subsample(shape)
        self.drop = nn.Dropout(shape.dropout)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.n_layers))
        self.norm = nn.LayerNorm(shape.d_model)
        table = rope_table(MOST_STEPS, shape.d_model // shape.n_heads, 10_000.0)
        self.register_buffer("rope", table, persistent=False)

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile a block, in place: all run the same code."""
        for block in self.blocks:
            block.compile(*args, **options)

    def forward(
        self, features: torch.Tensor, lengths: torch.Tensor, how: Augmentation | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if how is not None and how.mel_warp:
            features = warped(features, how.mel_warp)
        x = standardise(features, lengths)
        if how is not None:
            x = augment(x, lengths, how.time_masks, how.mel_masks)
        x, lengths = self.subsample(x, lengths)
        mask = valid(lengths, x.shape[1])
        x = self.drop(x)
        for block in self.blocks:
            x = block(x, self.rope[:, None, : x.shape[1]], mask[..., None], mask[:, None, None])
        return self.norm(x) * mask[..., None], lengths


class CTC(nn.Module):
    """An encoder with a head of `n_units` + 1 symbols, for connectionist temporal classification (Graves et al. 2006):
    how the encoder is initialised, and the recogniser that a language model is compared with."""

    def __init__(self, encoder: Encoder, n_units: int) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(encoder.shape.d_model, n_units + 1)

    def compile(self, *args: Any, **options: Any) -> None:
        self.encoder.compile(*args, **options)

    def forward(
        self, features: torch.Tensor, lengths: torch.Tensor, how: Augmentation | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities (B, T / stride, n_units + 1) in fp32, and how many steps are valid (B,)."""
        x, steps = self.encoder(features, lengths, how)
        return self.head(x).float().log_softmax(-1), steps
