"""On a GPU the fused, compiled and captured step is the same step as the plain one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from repro.ddpm.config import Config
from repro.ddpm.diffusion import Diffusion, linear_betas
from repro.ddpm.norm import group_norm
from repro.ddpm.train import Step, make_state
from repro.lab.data import batch_indices, step_seed
from repro.lab.distributed import World

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize(
    "channels, size, shifted, swish", [(128, 32, True, True), (384, 16, False, True), (256, 5, True, False)]
)
def test_the_kernel_equals_group_norm_and_swish(channels, size, shifted, swish, dtype, tolerance):
    torch.manual_seed(0)
    norm = nn.GroupNorm(32, channels, eps=1e-6).cuda()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = (
        torch.randn(3, channels, size, size, device="cuda")
        .to(dtype, memory_format=torch.channels_last)
        .requires_grad_()
    )
    shift = torch.randn(3, channels, device="cuda").to(dtype).requires_grad_() if shifted else None
    dy = torch.randn(3, channels, size, size, device="cuda")
    leaves = [t for t in (x, shift, norm.weight, norm.bias) if t is not None]
    y = group_norm(norm, x, shift, swish)
    got = [y, *torch.autograd.grad(y, leaves, dy.to(dtype))]
    exact = [t.detach().double().requires_grad_() for t in leaves]
    h = exact[0] + (exact[1][:, :, None, None] if shifted else 0)
    h = F.group_norm(h, 32, exact[-2], exact[-1], 1e-6)
    want_y = F.silu(h) if swish else h
    want = [want_y, *torch.autograd.grad(want_y, exact, dy.to(dtype).double())]
    for a, b in zip(got, want, strict=True):
        assert (a.double() - b).norm() / b.norm() < tolerance


def test_dropout_keeps_its_share_and_its_gradient_meets_the_same_mask():
    norm = nn.GroupNorm(32, 128).cuda()
    x = torch.randn(8, 128, 16, 16, device="cuda").to(memory_format=torch.channels_last).requires_grad_()
    torch.manual_seed(1)
    y = group_norm(norm, x, swish=False, dropout=0.25)
    kept = y != 0
    assert abs(kept.float().mean().item() - 0.75) < 0.005
    (gradient,) = torch.autograd.grad(y, norm.bias, torch.ones_like(y))
    torch.testing.assert_close(gradient, kept.float().sum((0, 2, 3)) / 0.75)
    torch.manual_seed(1)
    assert torch.equal(group_norm(norm, x, swish=False, dropout=0.25), y)


SMALL = Config(
    data="cifar10", image_size=16, channels_of_image=3, channels=64, mult=(1, 2), attention=(8,), dropout=0.0,
    batch_size=32, lr=1e-3, warmup=5, flips=True,
)  # fmt: skip


def losses(config: Config, steps: int) -> tuple[list[float], torch.Tensor]:
    device = torch.device("cuda")
    images = torch.randint(
        0, 256, (256, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    ).cuda()
    state = make_state(config, device)
    take = Step(config, images, Diffusion(linear_betas()).to(device), state, World(0, 1, device))
    found = []
    for step in range(steps):
        torch.manual_seed(step_seed(0, step))
        loss, _ = take(step, batch_indices(256, config.batch_size, 0, step, "cuda"))
        found.append(float(loss))
    weights = torch.cat([p.detach().float().flatten() for p in state.model.parameters()])
    return found, weights


def test_compiled_and_captured_steps_follow_the_plain_ones():
    plain, plain_weights = losses(SMALL, 20)
    captured, captured_weights = losses(replace(SMALL, compile=True), 20)
    half, _ = losses(replace(SMALL, compile=True, precision="bf16"), 20)
    print(plain, captured, half)
    assert max(abs(a - b) / b for a, b in zip(captured, plain, strict=True)) < 5e-3
    assert (captured_weights - plain_weights).norm() / plain_weights.norm() < 5e-3
    early = zip(half[:12], plain[:12], strict=True)  # later, rounding has sent the two on different ways
    assert max(abs(a - b) / b for a, b in early) < 2e-2


def test_captured_steps_are_bitwise_repeatable():
    config = replace(SMALL, compile=True, precision="bf16", dropout=0.1)
    first, first_weights = losses(config, 12)
    again, again_weights = losses(config, 12)
    assert first == again
    assert torch.equal(first_weights, again_weights)
