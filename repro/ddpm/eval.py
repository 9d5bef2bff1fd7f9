"""What a trained network is worth: bits per dim with rate and distortion, and distances of its samples from images.

python -m repro.ddpm.eval OUT                    # measures a kept checkpoint again
python -m repro.ddpm.eval OUT --fid REFERENCE    # real FID, where its library and weights are (fid.py)

T = steps of the chain, B = images, C = channels, H, W = height and width.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from repro.ddpm import data, features, figures
from repro.ddpm.config import Config
from repro.ddpm.data import Images, to_bytes, to_float
from repro.ddpm.diffusion import Diffusion, Network, linear_betas, stratified_bits
from repro.ddpm.model import build

BATCH = 512  # images at a time
CHECKPOINTS = 10  # along the chain, where its pictures of x0 are kept
LEVELS = 127.5  # 8-bit levels in a unit of x


@dataclass(frozen=True)
class Bound:
    """The variational bound on held-out images, and its terms by step, (T,) float64: bits per dim with the network's
    variance and with the small one, and the squared error of the x0 that the network sees."""

    metrics: dict[str, float]
    terms: torch.Tensor
    errors: torch.Tensor


@dataclass(frozen=True)
class Samples:
    """Sampled images uint8 (B, C, H, W), and the x0 seen at CHECKPOINTS steps on the way: step -> uint8 (B, C, H,
    W)."""

    images: torch.Tensor
    on_the_way: dict[int, torch.Tensor]


def evaluate(
    config: Config, diffusion: Diffusion, network: nn.Module, images: Images, folder: Path, device: torch.device,
    name: str, raw: nn.Module | None = None,
) -> tuple[dict[str, float], list[str]]:  # fmt: skip
    """All metrics, and the names of the figures written into `folder`, which begin with `name`. `raw`, if given, are
    the weights without the moving average: their samples are measured as well."""
    ready = _ready(config, network, device)
    bound = measure_bound(config, diffusion, ready, images.test)
    samples = draw(config, diffusion, ready, device)
    metrics = bound.metrics | measure_samples(samples, images, folder.parent)
    if raw is not None:
        drawn = Samples(draw(config, diffusion, _ready(config, raw, device), device).images, {})
        measured = measure_samples(drawn, images, folder.parent)
        metrics |= {f"raw_{k}": v for k, v in measured.items() if not k.endswith("_floor")}
    return metrics, draw_figures(bound, samples, folder, name)


def _ready(config: Config, network: nn.Module, device: torch.device) -> Network:
    """The network as it is measured: no dropout, compiled and in bfloat16 where the recipe trains so on a GPU."""
    fast = config.compile and device.type == "cuda"
    called = torch.compile(network.eval()) if fast else network.eval()
    half = config.precision == "bf16"

    @torch.no_grad()
    def call(xt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        with _autocast(device, half):
            out: torch.Tensor = called(xt, t)
        return out

    return call


def _autocast(device: torch.device, half: bool) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16, enabled=half)


# Likelihood


@torch.no_grad()
def measure_bound(config: Config, diffusion: Diffusion, network: Network, test: torch.Tensor) -> Bound:
    """The bound over all T steps on the first `eval_images` of `test`, uint8 (N, C, H, W)."""
    x0 = to_float(test[: config.eval_images])
    noise = torch.Generator(x0.device).manual_seed(config.seed)
    both = [diffusion, Diffusion(diffusion.betas.cpu(), diffusion.prediction, "fixed_small").to(x0.device)]
    both = both[:1] if diffusion.variance == "learned" else both  # its output means something else
    sums = torch.zeros(3, diffusion.n_steps, dtype=torch.float64, device=x0.device)
    for i in range(diffusion.n_steps):
        for part in x0.split(BATCH):
            t, eps, once = _once(diffusion, network, part, i, noise)
            for row, chain in enumerate(both):
                term, seen = chain.vlb_term(once, part, t, eps, clip=True)
                sums[row, i] += term.sum()
                if row == 0:
                    sums[2, i] += (seen - part).double().square().flatten(1).mean(1).sum()
    terms, small, errors = (sums / len(x0)).cpu()
    prior = float(diffusion.prior_bits(x0).mean())
    metrics = _likelihood(terms, errors, prior)
    if len(both) == 2:
        metrics["bits_per_dim_fixed_small"] = float(small.sum()) + prior
    estimate, error = measure_stratified(config, diffusion, network, x0)
    metrics |= {"bits_per_dim_stratified": estimate + prior, "bits_per_dim_stratified_se": error}
    return Bound(metrics, terms, errors)


def _once(
    diffusion: Diffusion, network: Network, x0: torch.Tensor, i: int, noise: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, Network]:
    """Steps (B,) and noise for one term, and a network that gives the output for them without being run again."""
    t = torch.full((len(x0),), i, device=x0.device)
    eps = torch.randn(x0.shape, generator=noise, device=x0.device)
    out = network(diffusion.q_sample(x0, t, eps), t)
    return t, eps, lambda xt, t: out


def _likelihood(terms: torch.Tensor, errors: torch.Tensor, prior: float) -> dict[str, float]:
    """Rate L_1 … L_T and distortion L_0 (section 4.3); errors at the ends of ten equal parts of the chain (table 4)."""
    n = len(terms)
    distortion, rate = float(terms[0]), float(terms[1:].sum()) + prior
    rmse = errors.sqrt() * LEVELS
    return {
        "bits_per_dim": rate + distortion,
        "rate_bits": rate,
        "distortion_bits": distortion,
        "prior_bits": prior,
        "distortion_share": distortion / (rate + distortion),
        "rate_last_tenth_share": float(terms[1 : n // 10].sum()) / rate,
        "rmse_255": float(rmse[0]),
        **{f"rmse_255_t{i}": float(rmse[i]) for i in range(n // 10, n, n // 10)},
    }


@torch.no_grad()
def measure_stratified(config: Config, diffusion: Diffusion, network: Network, x0: torch.Tensor) -> tuple[float, float]:
    """The sum of the terms, in bits per dim, from about a tenth of the steps, and its standard error over their choice.
    Terms fall steeply at first: the first ten are all taken, then two in each of 30 parts of the first tenth of the
    chain, and two in each of 20 parts of the rest."""
    noise = torch.Generator(x0.device).manual_seed(config.seed + 1)
    chosen = torch.Generator().manual_seed(config.seed + 1)

    def term(i: int) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float64, device=x0.device)
        for part in x0.split(BATCH):
            t, eps, once = _once(diffusion, network, part, i, noise)
            total += diffusion.vlb_term(once, part, t, eps, clip=True)[0].sum()
        return total / len(x0)

    n = diffusion.n_steps
    exact = min(10, n)
    estimate, variance = float(sum(term(i) for i in range(exact))), 0.0
    for low, high, strata in ((exact, n // 10, 30), (max(exact, n // 10), n, 20)):
        if low < high:
            terms = partial(_shifted_by, low, term)
            bits, error = stratified_bits(terms, high - low, min(strata, high - low), chosen)
            estimate, variance = estimate + bits, variance + error**2
    return estimate, math.sqrt(variance)


def _shifted_by(low: int, term: Callable[[int], torch.Tensor], i: int) -> torch.Tensor:
    return term(low + i)


# Samples


@torch.no_grad()
def draw(config: Config, diffusion: Diffusion, network: Network, device: torch.device) -> Samples:
    """Ancestral samples (algorithm 2), `config.samples` of them."""
    noise = torch.Generator(device).manual_seed(config.seed + 2)
    every = max(1, diffusion.n_steps // CHECKPOINTS)
    shape = (config.channels_of_image, config.image_size, config.image_size)
    drawn: list[torch.Tensor] = []
    kept: dict[int, list[torch.Tensor]] = {}
    while (missing := config.samples - sum(map(len, drawn))) > 0:
        xt = torch.randn(min(BATCH, missing), *shape, generator=noise, device=device)
        if device.type == "cuda":
            xt = xt.contiguous(memory_format=torch.channels_last)
        for i, before, x0 in diffusion.sample(network, xt, noise):
            xt = before
            if i % every == 0:
                kept.setdefault(i, []).append(to_bytes(x0))
        drawn.append(to_bytes(xt))
    return Samples(torch.cat(drawn), {i: torch.cat(parts) for i, parts in kept.items()})


@torch.no_grad()
def measure_samples(samples: Samples, images: Images, cache: Path) -> dict[str, float]:
    """Fréchet distances to the training images: of the samples, of the x0 seen on the way to them, and the floor that
    as many held-out images give. In a classifier's features where the images have labels (kept in `cache`), else in
    pixels."""
    test = images.test[: len(samples.images)]
    if images.train_labels is None:
        real = features.moments(features.pixels(images.train))

        def distance(x: torch.Tensor) -> float:
            return features.frechet(real, features.moments(features.pixels(x)))

        kind, metrics = "pixel_fd", {}
    else:
        model = features.classifier(images, cache)
        real = features.moments(features.class_features(model, images.train)[0])

        def distance(x: torch.Tensor) -> float:
            return features.frechet(real, features.moments(features.class_features(model, x)[0]))

        kind = "feature_fd"
        metrics = {
            "class_score": features.class_score(features.class_features(model, samples.images)[1]),
            "class_score_real": features.class_score(features.class_features(model, test)[1]),
        }
    metrics |= {kind: distance(samples.images), f"{kind}_floor": distance(test)}
    on_the_way = {f"{kind}_x0_t{i}": distance(x) for i, x in sorted(samples.on_the_way.items()) if i}
    return metrics | on_the_way


def draw_figures(bound: Bound, samples: Samples, folder: Path, name: str) -> list[str]:
    """Write the figures of a run into `folder`; their file names."""
    sent = bound.terms.flip(0).cumsum(0)  # bits per dim after the steps T … 1
    rmse = (bound.errors.sqrt() * LEVELS).flip(0)
    steps = sorted(samples.on_the_way, reverse=True)
    rows = [torch.stack([samples.on_the_way[i][row] for i in steps]) for row in range(min(8, len(samples.images)))]
    n = min(64, len(samples.images))
    return [
        figures.grid(samples.images[:n], max(1, math.isqrt(n)), folder / f"{name}-samples.png"),
        figures.grid(torch.cat(rows), len(steps), folder / f"{name}-progress.png"),
        figures.rate_distortion(sent[:-1].tolist(), rmse[1:].tolist(), folder / f"{name}-rate.png"),
    ]


# A kept checkpoint


def kept(out: Path, device: torch.device) -> tuple[dict[str, Any], Config, Diffusion, nn.Module]:
    """The record, Config, chain and averaged network of a run's folder."""
    if not (out / "record.json").is_file() or not (out / "last.pt").is_file():
        raise SystemExit(f"{out} holds no run: record.json and last.pt are needed")
    record = json.loads((out / "record.json").read_text("utf-8"))
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record["config"].items()}
    config = Config(**fields)
    network = build(config)
    network.load_state_dict(torch.load(out / "last.pt", map_location="cpu", weights_only=True)["ema"])
    diffusion = Diffusion(linear_betas(config.n_steps), config.prediction, config.variance).to(device)
    return record, config, diffusion, network.to(device)


def main(args: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m repro.ddpm.eval", description="Measure a kept checkpoint.")
    parser.add_argument("out", type=Path, help="the folder of the run")
    parser.add_argument("--fid", metavar="REFERENCE", help="real FID to these images: a folder, or cifar10-train")
    parser.add_argument("--inception", type=Path, help="the Inception weights; without it the library fetches them")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args(args)
    device = torch.device(given.device)
    record, config, diffusion, network = kept(given.out, device)
    if given.fid:
        from repro.ddpm import fid

        fid.check()  # before hours of sampling
        samples = draw(config, diffusion, _ready(config, network, device), device)
        metrics = fid.measure(samples.images, given.fid, given.out, given.inception)
    else:
        images = data.load(config, device)
        name = f"{record['recipe']}-s{config.seed}"
        metrics, _ = evaluate(config, diffusion, network, images, given.out, device, name)
    for key, value in metrics.items():
        print(f"{key:28} {value:.6g}")


if __name__ == "__main__":
    main()
