"""Settings of DDPM. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from repro.lab.recipe import Recipe


@dataclass(frozen=True)
class Config:
    data: Literal["patches", "digits", "cifar10", "folder"] = "patches"
    """patches: 8-bit patches of scikit-learn's two photographs; digits: its 8x8 digits; cifar10; folder: any images."""
    data_dir: str = "data"
    """Where CIFAR-10 or the folder of images lies."""
    image_size: int = 8
    """Height and width in pixels."""
    channels_of_image: int = 1
    """1 for grey, 3 for colour."""
    channels: int = 32
    """Width of the U-Net's first level."""
    mult: tuple[int, ...] = (1, 2)
    """Width of each level, in units of `channels`."""
    blocks: int = 1
    """Residual blocks a level."""
    attention: tuple[int, ...] = ()
    """Resolutions with self-attention."""
    dropout: float = 0.0
    """In each residual block."""
    n_steps: int = 1000
    """T of the diffusion."""
    prediction: Literal["eps", "x0", "mu"] = "eps"
    """What the network predicts."""
    variance: Literal["fixed_large", "fixed_small", "learned"] = "fixed_large"
    """Of the reverse process: beta, beta tilde, or an output of the network."""
    loss: Literal["simple", "vlb"] = "simple"
    """L_simple, or the variational bound."""
    batch_size: int = 128
    """Images a step, over all ranks."""
    accum: int = 1
    """Micro-batches a step."""
    steps: int = 1000
    """Optimizer steps."""
    lr: float = 1e-3
    """Adam's peak learning rate."""
    warmup: int = 100
    """Steps to the peak; constant after."""
    ema: float = 0.999
    """Decay of the averaged weights, which warms up."""
    flips: bool = False
    """Mirror images at random."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: autocast, with fp32 weights, loss and tables."""
    compile: bool = False
    """Compile the step and capture it as a CUDA graph."""
    eval_images: int = 256
    """Held-out images for bits per dim."""
    samples: int = 256
    """Images to sample at the end."""
    log_every: int = 25
    """Steps between two points of the curves."""
    seed: int = 0
    """Of data order, noise and initialisation."""


_SMOKE = Config(
    channels=16, steps=500, lr=2e-3, warmup=50, ema=0.995, eval_images=96, samples=96, log_every=10,
)  # fmt: skip
_GPU = Config(
    data="cifar10", image_size=32, channels_of_image=3, channels=128, mult=(1, 2, 2, 2), blocks=2, attention=(16,),
    dropout=0.1, batch_size=128, steps=10_000, lr=2e-4, warmup=1000, ema=0.9999, flips=True, precision="bf16",
    compile=True, eval_images=512, samples=2048, log_every=100,
)  # fmt: skip
_CIFAR10 = replace(_GPU, steps=800_000, warmup=5000, eval_images=10_000, samples=50_000, log_every=1000)
_CELEBAHQ256 = replace(
    _CIFAR10, data="folder", data_dir="data/celebahq256", image_size=256, mult=(1, 1, 2, 2, 4, 4), dropout=0.0,
    batch_size=64, steps=500_000, lr=2e-5, eval_images=1000,
)  # fmt: skip

_H100 = "1 H100"
_SHORT = "10,000 steps where the paper has 800,000"

RECIPES: dict[str, Recipe[Config]] = {
    "smoke": Recipe(
        "The whole path in small, on 8-bit patches of two photographs, for the claims that hold in small: "
        "4 to 5 bits per dim, nearly half of them distortion",
        "2 CPU cores", 1, _SMOKE,
    ),
    "gpu-eps": Recipe(
        f"CIFAR-10, the noise predicted with L_simple, {_SHORT}: the arm that others are compared with", _H100, 9, _GPU
    ),
    "gpu-vlb": Recipe(
        "The same with the variational bound as loss: samples should be worse, bits per dim better",
        _H100, 9, replace(_GPU, loss="vlb"),
    ),
    "gpu-mu-vlb": Recipe(
        "The posterior mean predicted, with the bound: samples as the noise's with the bound",
        _H100, 9, replace(_GPU, prediction="mu", loss="vlb"),
    ),
    "gpu-mu-mse": Recipe(
        "The posterior mean predicted, with the squared error: should fail or come out worst",
        _H100, 9, replace(_GPU, prediction="mu"),
    ),
    "gpu-x0": Recipe(
        "The image itself predicted: samples should be worse than the noise's early in training",
        _H100, 9, replace(_GPU, prediction="x0"),
    ),
    "gpu-learned": Recipe(
        "The posterior mean and a variance of its own predicted, with the bound: should be worse or unstable",
        _H100, 9, replace(_GPU, prediction="mu", loss="vlb", variance="learned"),
    ),
    "paper-cifar10": Recipe(
        "CIFAR-10 as published (bf16 as a TPU multiplies): FID 3.17, at most 3.75 bits per dim; about 6.9 GiB for "
        "weights, optimizer and activations in fp32, 3.7 measured in bf16. The cost is that of our measured speed, "
        "samples and bound included; nobody has run it here", _H100, 326, _CIFAR10,
    ),
    "paper-celebahq256": Recipe(
        "CelebA-HQ at 256x256 as published; about 128 GiB for weights, optimizer and activations in fp32, over all "
        "GPUs. The cost is that of our measured arithmetic on CIFAR-10's network; nobody has run it here",
        "1 H100 (--accum 4)", 5055, _CELEBAHQ256,
    ),
}  # fmt: skip
