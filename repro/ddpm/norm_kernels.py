"""The Triton kernels of norm.group_norm, and their registration as one differentiable operator.

A program takes one image and eight groups: all that their statistics need, so nothing is added up across programs and
results do not depend on their order. It goes over its part of the picture twice; the second time that comes from the
cache. Rows are places of the picture (H*W), lanes are channels, which lie side by side.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

GROUPS = 8  # a program
TILE = 8192  # elements a program holds at a time
WARPS = 8


@triton.jit
def _of_group(values, group, LANES: tl.constexpr):
    """For each lane the sum of `values` over the lanes of its group: (LANES,) -> (LANES,)."""
    same = group[:, None] == group[None, :]
    return tl.sum(tl.where(same, values[None, :], 0.0), 1)


@triton.jit
def _kept(seed, at, p):
    """Dropout's mask at some elements, a pure function of the seed and the place: an integer hash, since a
    counter-based generator would cost more than all else here."""
    h = (at.to(tl.uint32) * 0x9E3779B1) ^ seed.to(tl.uint32)
    h = (h ^ (h >> 16)) * 0x7FEB352D
    h = (h ^ (h >> 15)) * 0x846CA68B
    h = h ^ (h >> 16)
    return (h >> 8).to(tl.float32) * (1.0 / (1 << 24)) >= p


@triton.jit
def _forward(
    x_ptr, shift_ptr, weight_ptr, bias_ptr, seed_ptr, y_ptr, mean_ptr, rstd_ptr, eps, p,
    HW: tl.constexpr, C: tl.constexpr, CG: tl.constexpr, N: tl.constexpr, LANES: tl.constexpr, ROWS: tl.constexpr,
    HAS_SHIFT: tl.constexpr, SWISH: tl.constexpr, DROPS: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(0)
    lane = tl.arange(0, LANES)
    real = lane < N * CG
    channel = tl.program_id(1) * (N * CG) + lane
    group = lane // CG
    row = tl.arange(0, ROWS)
    shift = tl.zeros((LANES,), tl.float32)
    if HAS_SHIFT:
        shift = tl.load(shift_ptr + image * C + channel, mask=real, other=0.0).to(tl.float32)
    total = tl.zeros((ROWS, LANES), tl.float32)
    square = tl.zeros((ROWS, LANES), tl.float32)
    for start in range(0, HW, ROWS):
        inside = ((start + row) < HW)[:, None] & real[None, :]
        at = (image * HW + start + row)[:, None] * C + channel[None, :]
        x = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32)
        x = tl.where(inside, x + shift[None, :], 0.0)
        total += x
        square += x * x
    mean = _of_group(tl.sum(total, 0), group, LANES) / (HW * CG)
    spread = _of_group(tl.sum(square, 0), group, LANES) / (HW * CG) - mean * mean
    rstd = 1 / tl.sqrt(tl.maximum(spread, 0.0) + eps)
    tl.store(mean_ptr + image * C + channel, mean, mask=real)
    tl.store(rstd_ptr + image * C + channel, rstd, mask=real)
    scale = tl.load(weight_ptr + channel, mask=real, other=0.0).to(tl.float32) * rstd
    offset = tl.load(bias_ptr + channel, mask=real, other=0.0).to(tl.float32) + (shift - mean) * scale
    for start in range(0, HW, ROWS):
        inside = ((start + row) < HW)[:, None] & real[None, :]
        at = (image * HW + start + row)[:, None] * C + channel[None, :]
        z = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32) * scale[None, :] + offset[None, :]
        y = z * tl.sigmoid(z) if SWISH else z
        if DROPS:
            y = tl.where(_kept(tl.load(seed_ptr), at, p), y / (1 - p), 0.0)
        tl.store(y_ptr + at, y, mask=inside)


@triton.jit
def _before_swish(dy_ptr, seed_ptr, at, inside, z, p, SWISH: tl.constexpr, DROPS: tl.constexpr):
    """The gradient that reaches the normalised value, zero outside the picture."""
    dy = tl.load(dy_ptr + at, mask=inside, other=0.0).to(tl.float32)
    if DROPS:
        dy = tl.where(_kept(tl.load(seed_ptr), at, p), dy / (1 - p), 0.0)
    if SWISH:
        s = tl.sigmoid(z)
        dy = dy * s * (1 + z * (1 - s))
    return tl.where(inside, dy, 0.0)


@triton.jit
def _backward(
    dy_ptr, x_ptr, shift_ptr, weight_ptr, bias_ptr, seed_ptr, mean_ptr, rstd_ptr,
    dx_ptr, dshift_ptr, dweight_ptr, dbias_ptr, p,
    HW: tl.constexpr, C: tl.constexpr, CG: tl.constexpr, N: tl.constexpr, LANES: tl.constexpr, ROWS: tl.constexpr,
    HAS_SHIFT: tl.constexpr, SWISH: tl.constexpr, DROPS: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(0)
    lane = tl.arange(0, LANES)
    real = lane < N * CG
    channel = tl.program_id(1) * (N * CG) + lane
    group = lane // CG
    row = tl.arange(0, ROWS)
    rstd = tl.load(rstd_ptr + image * C + channel, mask=real, other=0.0)
    weight = tl.load(weight_ptr + channel, mask=real, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + channel, mask=real, other=0.0).to(tl.float32)
    below = -tl.load(mean_ptr + image * C + channel, mask=real, other=0.0)
    if HAS_SHIFT:
        below += tl.load(shift_ptr + image * C + channel, mask=real, other=0.0).to(tl.float32)
    scaled = tl.zeros((ROWS, LANES), tl.float32)
    plain = tl.zeros((ROWS, LANES), tl.float32)
    summed = tl.zeros((ROWS, LANES), tl.float32)
    for start in range(0, HW, ROWS):
        inside = ((start + row) < HW)[:, None] & real[None, :]
        at = (image * HW + start + row)[:, None] * C + channel[None, :]
        x = (tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32) + below[None, :]) * rstd[None, :]
        if HAS_SHIFT:
            summed += tl.where(inside, x, 0.0)
        dz = _before_swish(dy_ptr, seed_ptr, at, inside, x * weight[None, :] + bias[None, :], p, SWISH, DROPS)
        scaled += dz * x
        plain += dz
    dweight, dbias = tl.sum(scaled, 0), tl.sum(plain, 0)
    tl.store(dweight_ptr + image * C + channel, dweight, mask=real)
    tl.store(dbias_ptr + image * C + channel, dbias, mask=real)
    of_mean = _of_group(weight * dbias, group, LANES) / (HW * CG)
    of_spread = _of_group(weight * dweight, group, LANES) / (HW * CG)
    for start in range(0, HW, ROWS):
        inside = ((start + row) < HW)[:, None] & real[None, :]
        at = (image * HW + start + row)[:, None] * C + channel[None, :]
        x = (tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32) + below[None, :]) * rstd[None, :]
        dz = _before_swish(dy_ptr, seed_ptr, at, inside, x * weight[None, :] + bias[None, :], p, SWISH, DROPS)
        dx = rstd[None, :] * (dz * weight[None, :] - of_mean[None, :] - x * of_spread[None, :])
        tl.store(dx_ptr + at, dx, mask=inside)
    if HAS_SHIFT:  # the sum of dx over the picture
        dshift = rstd * (dbias * weight - HW * of_mean - tl.sum(summed, 0) * of_spread)
        tl.store(dshift_ptr + image * C + channel, dshift, mask=real)


def _sizes(x: torch.Tensor, groups: int) -> dict[str, int]:
    """The compile-time sizes of a launch on x (B, C, H, W)."""
    C, HW = x.shape[1], x.shape[2] * x.shape[3]
    lanes = triton.next_power_of_2(GROUPS * C // groups)
    rows = max(1, min(triton.next_power_of_2(HW), TILE // lanes))
    return {"HW": HW, "C": C, "CG": C // groups, "N": GROUPS, "LANES": lanes, "ROWS": rows, "num_warps": WARPS}


@torch.library.custom_op("repro::group_norm", mutates_args=())
def fused(
    x: torch.Tensor, shift: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, seed: torch.Tensor,
    groups: int, eps: float, swish: bool, p: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """(y, and of each channel the mean and 1 / standard deviation of its group); an empty `shift` is none. Groups are a
    multiple of eight."""
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.empty_like(x)
    mean, rstd = (torch.empty(x.shape[:2], device=x.device, dtype=torch.float32) for _ in range(2))
    _forward[(len(x), groups // GROUPS)](
        x, shift, weight, bias, seed, y, mean, rstd, eps, p,
        **_sizes(x, groups), HAS_SHIFT=shift.numel() > 0, SWISH=swish, DROPS=p > 0,
    )  # fmt: skip
    return y, mean, rstd


@fused.register_fake
def _(
    x: torch.Tensor, shift: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, seed: torch.Tensor,
    groups: int, eps: float, swish: bool, p: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    mean, rstd = (x.new_empty(x.shape[:2], dtype=torch.float32) for _ in range(2))
    return torch.empty_like(x, memory_format=torch.channels_last), mean, rstd


@torch.library.custom_op("repro::group_norm_backward", mutates_args=())
def fused_backward(
    dy: torch.Tensor, x: torch.Tensor, shift: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor,
    seed: torch.Tensor, mean: torch.Tensor, rstd: torch.Tensor, groups: int, swish: bool, p: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """(dx, and of each image dshift, dweight and dbias)."""
    dy, x = (t.contiguous(memory_format=torch.channels_last) for t in (dy, x))
    dx = torch.empty_like(x)
    dshift, dweight, dbias = (torch.empty(x.shape[:2], device=x.device, dtype=torch.float32) for _ in range(3))
    _backward[(len(x), groups // GROUPS)](
        dy, x, shift, weight, bias, seed, mean, rstd, dx, dshift, dweight, dbias, p,
        **_sizes(x, groups), HAS_SHIFT=shift.numel() > 0, SWISH=swish, DROPS=p > 0,
    )  # fmt: skip
    return dx, dshift, dweight, dbias


@fused_backward.register_fake
def _(
    dy: torch.Tensor, x: torch.Tensor, shift: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor,
    seed: torch.Tensor, mean: torch.Tensor, rstd: torch.Tensor, groups: int, swish: bool, p: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    of_image = [x.new_empty(x.shape[:2], dtype=torch.float32) for _ in range(3)]
    return torch.empty_like(x, memory_format=torch.channels_last), of_image[0], of_image[1], of_image[2]


def _keep(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: tuple) -> None:  # type: ignore[type-arg]
    x, shift, weight, bias, seed, groups, _, swish, p = inputs
    _, mean, rstd = output
    ctx.save_for_backward(x, shift, weight, bias, seed, mean, rstd)
    ctx.groups, ctx.swish, ctx.p = groups, swish, p  # type: ignore[attr-defined]


def _gradients(ctx, dy, *_):
    x, shift, weight, bias, seed, mean, rstd = ctx.saved_tensors
    dx, *of_image = fused_backward(dy, x, shift, weight, bias, seed, mean, rstd, ctx.groups, ctx.swish, ctx.p)
    dshift = of_image[0].to(shift.dtype) if shift.numel() else None
    dweight, dbias = (of_image[n].sum(0).to(t.dtype) for n, t in ((1, weight), (2, bias)))
    return dx, dshift, dweight, dbias, None, None, None, None, None


fused.register_autograd(_gradients, setup_context=_keep)
