"""Speed of DDPM's training step on one GPU, beside diffusers in the same run; one JSON line a figure.

    python benchmarks/gpu/ddpm.py [--peer [eager] [compiled] [captured]] [--profile] [--seconds N]

The CIFAR-10 network of the paper (35,746,307 parameters), bf16, the whole step: batch from uint8, noise, loss,
backward, clipping, Adam, average. The peer is diffusers' UNet2DModel of the same shape with PyTorch's Adam and the same
step around it: as people run it, compiled with channels last, and compiled and captured as a CUDA graph.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from timing import say, seconds_a_call, show_profile
from torch import nn

from repro.ddpm.config import Config
from repro.ddpm.diffusion import Diffusion, linear_betas
from repro.ddpm.train import Step, make_state
from repro.lab.capture import CapturedStep
from repro.lab.checkpoint import TrainState
from repro.lab.data import step_seed
from repro.lab.distributed import World

CIFAR10 = Config(
    data="cifar10", image_size=32, channels_of_image=3, channels=128, mult=(1, 2, 2, 2), blocks=2, attention=(16,),
    dropout=0.1, lr=2e-4, warmup=5000, ema=0.9999, flips=True, precision="bf16", compile=True,
)  # fmt: skip
GFLOP_AN_IMAGE = 36.0  # of a training step: forward 12, backward 24


def measure(case: str, batch: int, call: Callable[[int], Any], seconds: float) -> None:
    torch.cuda.reset_peak_memory_stats()
    took = seconds_a_call(call, seconds)
    peak = torch.cuda.max_memory_reserved() / 2**30
    tflops = batch / took * GFLOP_AN_IMAGE / 1e3
    more = {"ms": round(took * 1e3, 3), "tflops": round(tflops, 1), "reserved_gib": round(peak, 2)}
    say(case, f"training step, batch {batch}", batch / took, "images/s", **more)


def ours(images: torch.Tensor, batch: int, seconds: float, compiled: bool = True, profile: bool = False) -> None:
    config = replace(CIFAR10, batch_size=batch, compile=compiled)
    w = World(0, 1, images.device)
    state = make_state(config, images.device)
    step = Step(config, images, Diffusion(linear_betas()).to(images.device), state, w)
    rows = torch.randint(len(images), (batch,), device=images.device)
    began = time.monotonic()

    def call(i: int) -> None:
        torch.manual_seed(step_seed(0, i))
        step(i, rows)

    call(0)
    torch.cuda.synchronize()
    name = "ours, captured" if compiled else "ours, eager"
    say(name, f"first step, batch {batch}", time.monotonic() - began, "s")
    measure(name, batch, call, seconds)
    if profile:
        show_profile(lambda: call(100))
    forward_only("ours", state.model, batch, seconds)


def forward_only(case: str, network: nn.Module, batch: int, seconds: float) -> None:
    """The network alone, as sampling uses it."""
    network = copy.deepcopy(network).eval().requires_grad_(False)
    compiled = torch.compile(network)
    x = torch.randn(batch, 3, 32, 32, device="cuda").contiguous(memory_format=torch.channels_last)
    t = torch.randint(1000, (batch,), device="cuda")

    def run(x: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
            out = compiled(x, t)
            return (out if isinstance(out, torch.Tensor) else out.sample,)

    captured = CapturedStep(run, TrainState(nn.Identity(), torch.optim.SGD([torch.zeros(1)])))
    took = seconds_a_call(lambda i: captured(x, t), seconds)
    say(case, f"forward alone, batch {batch}", batch / took, "images/s", ms=round(took * 1e3, 3))


def peer_network() -> nn.Module:
    from diffusers import UNet2DModel

    return UNet2DModel(
        sample_size=32, in_channels=3, out_channels=3, center_input_sample=False, time_embedding_type="positional",
        freq_shift=1, flip_sin_to_cos=False, block_out_channels=(128, 256, 256, 256), layers_per_block=2, dropout=0.1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"), downsample_padding=0,
        norm_eps=1e-6,
    )  # fmt: skip


def peer(images: torch.Tensor, batch: int, seconds: float, how: str) -> None:
    """diffusers' network in the step that its example trains with (add_noise, mse, clip, Adam, average)."""
    from diffusers import DDPMScheduler

    torch.manual_seed(0)
    network = peer_network().cuda()
    if how != "eager":
        network = network.to(memory_format=torch.channels_last)
    ema = copy.deepcopy(network).requires_grad_(False)
    graph = how == "captured"
    adam = torch.optim.Adam(
        network.parameters(), lr=torch.tensor(2e-4, device="cuda") if graph else 2e-4, capturable=graph
    )
    scheduler = DDPMScheduler(num_train_timesteps=1000)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.cuda()
    model = network if how == "eager" else torch.compile(network)
    averages, values = list(ema.parameters()), list(network.parameters())

    def step(rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x0 = images[rows].float() / 127.5 - 1
        x0 = x0 if how == "eager" else x0.contiguous(memory_format=torch.channels_last)
        t = torch.randint(1000, (batch,), device="cuda")
        eps = torch.randn_like(x0)
        with torch.autocast("cuda", torch.bfloat16):
            loss = nn.functional.mse_loss(model(scheduler.add_noise(x0, eps, t), t).sample.float(), eps)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(values, 1.0)
        adam.step()
        adam.zero_grad(set_to_none=not graph)
        with torch.no_grad():
            torch._foreach_lerp_(averages, values, 1e-4)
        return (loss.detach(),)

    take = CapturedStep(step, TrainState(network, adam, ema)) if graph else step
    rows = torch.randint(len(images), (batch,), device="cuda")
    measure(f"diffusers, {how}", batch, lambda i: take(rows), seconds)
    if how == "compiled":
        forward_only("diffusers", network, batch, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    ways = ["eager", "compiled", "captured"]
    parser.add_argument("--peer", nargs="*", choices=ways, help="measure diffusers too, in all of these ways or some")
    parser.add_argument("--profile", action="store_true", help="print what our captured step is made of")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each figure")
    parser.add_argument("--batches", type=int, nargs="+", default=[128, 512])
    asked = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    images = torch.randint(0, 256, (50_000, 3, 32, 32), dtype=torch.uint8, device="cuda")
    for batch in asked.batches:
        ours(images, batch, asked.seconds, profile=asked.profile)
        torch.compiler.reset()
    for how in () if asked.peer is None else asked.peer or ways:
        peer(images, 128, asked.seconds, how)
        torch.compiler.reset()


if __name__ == "__main__":
    main()
