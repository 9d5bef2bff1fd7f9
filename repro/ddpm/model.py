"""The U-Net of the paper (appendix B), as its code builds it.

B = images, C = channels, H, W = height and width, D = width of the time embedding.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from repro.ddpm.config import Config
from repro.ddpm.norm import group_norm


class UNet(nn.Module):
    """(B, in_channels, H, W) and the step (B,) -> (B, out_channels, H, W). `attention` names the resolutions that have
    it."""

    def __init__(
        self, image_size: int, in_channels: int, out_channels: int, channels: int, mult: tuple[int, ...],
        blocks: int, attention: tuple[int, ...], dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        d_time = 4 * channels
        self.channels = channels
        self.time = nn.Sequential(nn.Linear(channels, d_time), nn.SiLU(), nn.Linear(d_time, d_time))
        self.conv_in = nn.Conv2d(in_channels, channels, 3, padding=1)
        widths = [channels * m for m in mult]
        size, width = image_size, channels
        skips = [width]
        self.down = nn.ModuleList()
        for level, wide in enumerate(widths):
            for _ in range(blocks):
                self.down.append(Stage(width, wide, d_time, dropout, size in attention))
                width = wide
                skips.append(width)
            if level + 1 < len(widths):
                self.down.append(Downsample(width))
                skips.append(width)
                size //= 2
        self.middle = nn.ModuleList(
            [Stage(width, width, d_time, dropout, True), Stage(width, width, d_time, dropout, False)]
        )
        self.up = nn.ModuleList()
        for level, wide in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                self.up.append(Stage(width + skips.pop(), wide, d_time, dropout, size in attention))
                width = wide
            if level:
                self.up.append(Upsample(width))
                size *= 2
        self.norm_out = norm(width)
        self.conv_out = nn.Conv2d(width, out_channels, 3, padding=1)
        self.apply(_variance_scaling)
        for module in self.modules():
            if isinstance(module, ResBlock):
                _nearly_zero(module.conv2)
            elif isinstance(module, Attention):
                _nearly_zero(module.out)
        _nearly_zero(self.conv_out)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        temb = F.silu(self.time(time_embedding(t, self.channels)))  # (B, D); each block takes its swish
        x = self.conv_in(x)
        skips = [x]
        for module in self.down:
            x = module(x, temb) if isinstance(module, Stage) else module(x)
            skips.append(x)
        for stage in self.middle:
            x = stage(x, temb)
        for module in self.up:
            x = module(torch.cat((x, skips.pop()), dim=1), temb) if isinstance(module, Stage) else module(x)
        out: torch.Tensor = self.conv_out(group_norm(self.norm_out, x))
        return out


class Stage(nn.Module):
    """A residual block, with self-attention behind it where the resolution asks for it."""

    def __init__(self, width: int, wide: int, d_time: int, dropout: float, attends: bool) -> None:
        super().__init__()
        self.block = ResBlock(width, wide, d_time, dropout)
        self.attention = Attention(wide) if attends else None

    def forward(self, x: torch.Tensor, temb: torch.Tensor) -> torch.Tensor:
        x = self.block(x, temb)
        return x if self.attention is None else self.attention(x)


class ResBlock(nn.Module):
    """norm, swish, conv; plus the time; norm, swish, dropout, conv; plus the input."""

    def __init__(self, width: int, wide: int, d_time: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(width), nn.Conv2d(width, wide, 3, padding=1)
        self.time = nn.Linear(d_time, wide)
        self.norm2, self.conv2 = norm(wide), nn.Conv2d(wide, wide, 3, padding=1)
        self.dropout = dropout
        self.shortcut = nn.Conv2d(width, wide, 1) if width != wide else None

    def forward(self, x: torch.Tensor, temb: torch.Tensor) -> torch.Tensor:
        h = self.conv1(group_norm(self.norm1, x))
        h = group_norm(self.norm2, h, self.time(temb), dropout=self.dropout if self.training else 0.0)
        h = self.conv2(h)
        out: torch.Tensor = h + (x if self.shortcut is None else self.shortcut(x))
        return out


class Attention(nn.Module):
    """Self-attention over all places of the picture, with one head as wide as the picture has channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = norm(width)
        self.q, self.k, self.v, self.out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        B, C, H, W = x.shape
        h = group_norm(self.norm, x, swish=False)
        q, k, v = (f(h).flatten(2).transpose(1, 2)[:, None] for f in (self.q, self.k, self.v))  # (B, 1, HW, C)
        h = F.scaled_dot_product_attention(q, k, v)
        out: torch.Tensor = x + self.out(h[:, 0].transpose(1, 2).reshape(B, C, H, W))
        return out


class Downsample(nn.Module):
    """Half the size: a strided convolution, padded at the right and below as TensorFlow pads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return out


class Upsample(nn.Module):
    """Twice the size: the nearest value, then a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out


def norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(min(32, width // 4), width, eps=1e-6)


def time_embedding(t: torch.Tensor, width: int) -> torch.Tensor:
    """Sines and cosines of the step, (B,) -> (B, width), frequencies from 1 down to 1e-4."""
    half = width // 2
    frequencies = torch.exp(-math.log(10_000) / (half - 1) * torch.arange(half, device=t.device, dtype=torch.float32))
    angles = t[:, None].float() * frequencies
    return torch.cat((angles.sin(), angles.cos()), dim=1)


def _variance_scaling(module: nn.Module, scale: float = 1.0) -> None:
    """Uniform with variance scale / mean(fan in, fan out), biases zero."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        space = math.prod(module.weight.shape[2:])
        fans = (module.weight.shape[0] + module.weight.shape[1]) * space
        bound = math.sqrt(6 * scale / fans)
        nn.init.uniform_(module.weight, -bound, bound)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _nearly_zero(module: nn.Module) -> None:
    """A branch that begins as (almost) nothing: the paper's code scales its variance by 1e-10."""
    _variance_scaling(module, 1e-10)


def build(config: Config) -> UNet:
    """The network of a Config; with learned variances it has twice the output channels."""
    out = config.channels_of_image * (2 if config.variance == "learned" else 1)
    return UNet(
        config.image_size, config.channels_of_image, out, config.channels, config.mult, config.blocks, config.attention,
        config.dropout,
    )  # fmt: skip
