"""What the paper claims, as data: judged by `python -m repro.ddpm.claims` from runs/*.json. Imports no torch.

Numbers of the paper are from its tables; those of a claim's `ours` say how the setting is smaller. Smallest effects
were declared before any run. Where the toy cannot show the paper's own threshold, the row says which one it is judged
by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from repro.lab.claims import Claim, Exact, Metrics, main

NOTE = "ddpm"
DIVERGED = 1e4  # the Fréchet distance that a run without a finite one is given
PATCHES = "8x8 grey 8-bit patches of two photographs, a U-Net of 0.16 M parameters, 500 steps, 96 held-out patches"
CIFAR = (
    "the paper's network and batch, 10,000 steps of 800,000, bf16; 2,048 samples; "
    "Fréchet distance in the features of a small classifier, which is not FID"
)


def fd(metrics: Metrics, name: str = "feature_fd") -> float:
    """A Fréchet distance, for ratios; a run that diverged has a very large one."""
    value = metrics[name]
    return DIVERGED if value is None or not math.isfinite(value) else min(max(value, 1e-6), DIVERGED)


def worse(metrics: Mapping[str, Metrics], this: str, that: str) -> float:
    """How much worse the samples of `this` are than those of `that`: the logarithm of the ratio of their distances."""
    return math.log(fd(metrics[this]) / fd(metrics[that]))


def falls(metrics: Metrics, kind: str = "feature_fd") -> float:
    """The least fall, as a logarithm, of the distance of x0 from one tenth of the chain to the next; at the end come
    the samples."""
    names = sorted((k for k in metrics if k.startswith(f"{kind}_x0_t")), key=lambda k: -int(k.rpartition("t")[2]))
    values = [fd(metrics, name) for name in [*names, kind]]
    return min(math.log(a / b) for a, b in zip(values, values[1:], strict=False))


def sampled_variances() -> Sequence[Exact]:
    """DD-7: what ancestral sampling with the exact network makes of Gaussian data of variance s, in closed form: the
    sampler is then linear, and its variance follows step by step."""
    import torch

    from repro.ddpm.diffusion import Diffusion, linear_betas

    def sampled(s: float, small: bool, n_steps: int) -> float:
        visited = torch.linspace(0, 999, n_steps, dtype=torch.float64).round().long()
        kept = torch.cumprod(1 - linear_betas(), 0)[visited]
        betas = 1 - kept / torch.cat((torch.ones(1, dtype=torch.float64), kept[:-1]))
        chain = Diffusion(betas)
        gain = kept.sqrt() * s / (kept * s + 1 - kept)  # E[x0 | x_t] = gain * x_t
        slope = chain.of_x0 * gain + chain.of_xt
        variance = torch.ones((), dtype=torch.float64)
        for t in range(n_steps - 1, -1, -1):
            noise = 0.0 if t == 0 else chain.posterior[t] if small else betas[t]
            variance = slope[t] ** 2 * variance + noise
        return float(variance)

    return [
        Exact(sampled(0.05, False, 1000), 0.0504, 5e-5),
        Exact(sampled(0.05, True, 1000), 0.0484, 5e-5),
        Exact(sampled(0.05, False, 10), 0.155, 5e-4),
        Exact(sampled(0.05, True, 10), 0.011, 5e-4),
        Exact(sampled(1.0, False, 1000), 0.9999, 1e-4),
        Exact(sampled(1.0, True, 10), 0.521, 5e-4),
    ]


def prior_terms() -> Sequence[Exact]:
    """DD-8: L_T for x0^2 = 1, the most that images in [-1, 1] can have, and for 1/4."""
    import torch

    from repro.ddpm.diffusion import Diffusion, linear_betas

    chain = Diffusion(linear_betas())
    most, quarter = (float(chain.prior_bits(torch.full((1, 1, 1, 1), v, dtype=torch.float64))) for v in (1.0, 0.5))
    return [Exact(most, 0.0, 5e-5), Exact(most, 2.9e-5, 5e-7), Exact(quarter, 7.3e-6, 5e-8)]


def parameter_counts() -> Sequence[Exact]:
    """DD-12."""
    import torch

    from repro.ddpm.config import RECIPES
    from repro.ddpm.model import build

    counts = []
    with torch.device("meta"):
        for recipe in ("paper-cifar10", "paper-celebahq256"):
            counts.append(sum(p.numel() for p in build(RECIPES[recipe].config).parameters()))
    return [Exact(counts[0], 35_746_307), Exact(counts[1], 113_673_219)]


def rises_at_the_low_noise_end(metrics: Metrics) -> float:
    """The least rise of the error, in levels of 255, between steps 1, 100, 200, 300, 400 and 500 to go."""
    errors = [metrics["rmse_255"], *(metrics[f"rmse_255_t{t}"] for t in (100, 200, 300, 400, 500))]
    return min(b - a for a, b in zip(errors, errors[1:], strict=False))


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "DD-1", "Trained as published, the model reaches FID 3.17 on CIFAR-10; from 3.0 to 4.0 counts", "Table 1",
        "FID 3.17, Inception score 9.46 ± 0.11, one model, 50,000 samples, to the training set",
        "the paper's own setting; the FID comes from `python -m repro.ddpm.eval OUT --fid cifar10-train`",
        "scale", NOTE, ("paper-cifar10",), lambda m: 4.0 - m["paper-cifar10"]["fid"], smallest=0.05,
    ),
    Claim(
        "DD-2", "Predicting the noise, L_simple gives better samples than the bound", "Table 2",
        "FID 3.17 with L_simple, 13.51 with L", CIFAR, "scale", NOTE, ("gpu-eps", "gpu-vlb"),
        lambda m: worse(m, "gpu-vlb", "gpu-eps"), smallest=math.log(1.1),
    ),
    Claim(
        "DD-3", "Predicting the posterior mean, the squared error fails where the bound works", "Table 2",
        "FID 13.22 with L; training with the squared error is unstable", CIFAR, "scale", NOTE,
        ("gpu-mu-vlb", "gpu-mu-mse"), lambda m: worse(m, "gpu-mu-mse", "gpu-mu-vlb"), smallest=math.log(1.1),
    ),
    Claim(
        "DD-4", "Training on the bound gives fewer bits per dim than L_simple", "Table 1",
        "at most 3.70 bits/dim with L, 3.75 with L_simple",
        "the paper's network and batch, 10,000 steps of 800,000, bf16; the full bound on 512 test images",
        "scale", NOTE, ("gpu-eps", "gpu-vlb"),
        lambda m: m["gpu-eps"]["bits_per_dim"] - m["gpu-vlb"]["bits_per_dim"], smallest=0.02,
    ),
    Claim(
        "DD-5", "Much of the code length is distortion: over 40 % of it (in the paper over half)", "Section 4.3",
        "rate 1.78 and distortion 1.97 bits/dim: 53 %", f"{PATCHES}; judged at 40 % instead of 50 %", "robust", NOTE,
        ("smoke",), lambda m: m["smoke"]["distortion_share"] - 0.4, smallest=0.01,
    ),
    Claim(
        "DD-5b", "The distortion that is coded last cannot be seen: at the end of the chain the error is below 2 "
        "levels of 255",
        "Section 4.3", "RMSE 0.95 of 255", PATCHES, "robust", NOTE,
        ("smoke",), lambda m: 2.0 - m["smoke"]["rmse_255"], smallest=0.1,
    ),
    Claim(
        "DD-6", "The last tenth of the steps carries most of the rate: over 80 % of it", "Table 4",
        "0.120 of 1.776 bits/dim are sent after nine tenths of the chain: the last tenth carries 93 %", PATCHES,
        "robust", NOTE, ("smoke",), lambda m: m["smoke"]["rate_last_tenth_share"] - 0.8, smallest=0.01,
    ),
    Claim(
        "DD-6b", "The error falls all the way through the last half of the chain", "Table 4",
        "RMSE 38.0 after 500 steps, then 30.8, 24.4, 18.5, 12.0 and 0.95 of 255",
        f"{PATCHES}; the first half is not judged: there a short run's x0 saturates", "robust", NOTE,
        ("smoke",), lambda m: rises_at_the_low_noise_end(m["smoke"]), smallest=1.0,
    ),
    Claim(
        "DD-7", "Sampling with β or with β̃ gives similar results with 1000 steps, and very different ones with 10",
        "Section 3.2", "both variances gave similar results", "Gaussian data and the exact network, in closed form",
        "exact", NOTE, compute=sampled_variances,
    ),
    Claim(
        "DD-7b", "On one network, the larger variance β gives fewer bits per dim than β̃", "the authors' code",
        "no numbers; the first step's variance is set for a better likelihood", PATCHES, "robust", NOTE,
        ("smoke",), lambda m: m["smoke"]["bits_per_dim_fixed_small"] - m["smoke"]["bits_per_dim"], smallest=0.02,
    ),
    Claim(
        "DD-8", "Nothing of the image is left at the end of the forward process: L_T is below 5e-5 bits/dim",
        "Section 4", "about 1e-5 bits/dim", "the paper's schedule, in closed form", "exact", NOTE, compute=prior_terms,
    ),
    Claim(
        "DD-9", "Generation is coarse first: the samples' distance falls at every tenth of the chain",
        "Figures 6 and 10", "FID falls and the Inception score rises along the chain", CIFAR, "scale", NOTE,
        ("gpu-eps",), lambda m: falls(m["gpu-eps"]), smallest=math.log(1.01),
    ),
    Claim(
        "DD-10", "Averaged weights give better samples than the last ones", "Appendix B", "used throughout, no numbers",
        CIFAR, "scale", NOTE, ("gpu-eps",),
        lambda m: math.log(fd(m["gpu-eps"], "raw_feature_fd") / fd(m["gpu-eps"])), smallest=math.log(1.05),
    ),
    Claim(
        "DD-11", "Predicting the posterior mean, learned variances give worse samples than fixed ones", "Table 2",
        "FID 23.69 learned, 13.22 fixed", CIFAR, "scale", NOTE, ("gpu-learned", "gpu-mu-vlb"),
        lambda m: worse(m, "gpu-learned", "gpu-mu-vlb"), smallest=math.log(1.1),
    ),
    Claim(
        "DD-12", "The networks have 35.7 M (CIFAR-10) and 114 M (256x256) parameters", "Appendix B",
        "35.7 M and 114 M; 35,746,307 and 113,673,219 counted from the authors' code",
        "the paper's own networks, counted", "exact", NOTE, compute=parameter_counts,
    ),
    Claim(
        "DD-13", "Predicting the image gives worse samples than predicting the noise, early in training", "Section 3.4",
        "said in the text, no numbers", CIFAR, "scale", NOTE, ("gpu-x0", "gpu-eps"),
        lambda m: worse(m, "gpu-x0", "gpu-eps"), smallest=math.log(1.1),
    ),
)  # fmt: skip

if __name__ == "__main__":
    main("ddpm", CLAIMS, Path(__file__).parent)
