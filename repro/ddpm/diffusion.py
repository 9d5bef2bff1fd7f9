"""The method: the forward process, its posterior, the bound, the simple loss, and sampling (Ho et al. 2020, sections
2-4).

Steps are t = 0 … T-1 here, 1 … T in the paper. Tables are computed in float64 and used in the dtype of the images.
B = images; an image is x0 in [-1, 1] with integers 0 … 255 at x = v / 127.5 - 1; bits are bits per dimension.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from torch import nn

Network = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # (x_t, t) -> eps, x0 or mu (and log-variance)
Prediction = Literal["eps", "x0", "mu"]
Variance = Literal["fixed_large", "fixed_small", "learned"]


def linear_betas(n_steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> torch.Tensor:
    """The paper's schedule: (T,) float64, linear in t."""
    return torch.linspace(first, last, n_steps, dtype=torch.float64)


class Diffusion(nn.Module):
    """A noise schedule and what follows from it. `prediction` is what the network's output means."""

    betas: torch.Tensor
    alpha_bar: torch.Tensor
    posterior: torch.Tensor
    log_posterior: torch.Tensor
    log_large: torch.Tensor
    of_x0: torch.Tensor
    of_xt: torch.Tensor

    def __init__(self, betas: torch.Tensor, prediction: Prediction = "eps", variance: Variance = "fixed_large") -> None:
        super().__init__()
        self.prediction, self.variance = prediction, variance
        betas = betas.double()
        alpha_bar = torch.cumprod(1 - betas, 0)
        before = torch.cat((torch.ones(1, dtype=torch.float64), alpha_bar[:-1]))
        posterior = betas * (1 - before) / (1 - alpha_bar)  # beta tilde, equation 7; zero at the first step
        safe = torch.cat((posterior[1:2], posterior[1:]))  # its logarithm at the first step is that of the second
        large = torch.cat((posterior[1:2], betas[1:]))  # the paper's code: a better decoder likelihood
        for name, table in {
            "betas": betas, "alpha_bar": alpha_bar, "posterior": posterior,
            "log_posterior": safe.log(), "log_large": large.log(),
            "of_x0": betas * before.sqrt() / (1 - alpha_bar),  # the posterior mean is of_x0 * x0 + of_xt * x_t
            "of_xt": (1 - before) * (1 - betas).sqrt() / (1 - alpha_bar),
        }.items():  # fmt: skip
            self.register_buffer(name, table, persistent=False)

    @property
    def n_steps(self) -> int:
        return len(self.betas)

    def at(self, table: torch.Tensor, t: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """The entries of a table at steps `t`, (B,) -> (B, 1, 1, 1), in the dtype of `like`."""
        return table[t].to(like.dtype).reshape(-1, *[1] * (like.dim() - 1))

    # The forward process

    def q_sample(self, x0: torch.Tensor, t: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
        """x_t given x0, in one step (equation 4)."""
        return self.at(self.alpha_bar.sqrt(), t, x0) * x0 + self.at((1 - self.alpha_bar).sqrt(), t, x0) * eps

    def q_posterior_mean(self, x0: torch.Tensor, xt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The mean of x_{t-1} given x_t and x0 (equation 7); its variance is `posterior`."""
        return self.at(self.of_x0, t, xt) * x0 + self.at(self.of_xt, t, xt) * xt

    def x0_from_eps(self, xt: torch.Tensor, t: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
        return (xt - self.at((1 - self.alpha_bar).sqrt(), t, xt) * eps) / self.at(self.alpha_bar.sqrt(), t, xt)

    # The reverse process

    def p_mean_variance(
        self, network: Network, xt: torch.Tensor, t: torch.Tensor, clip: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Mean and log-variance of x_{t-1} given x_t, and the x0 that the network sees. `clip` keeps that x0 in [-1,
        1], as the paper does for sampling and evaluation, not for training."""
        out = network(xt, t).to(xt.dtype)
        log_var = self.at({"fixed_small": self.log_posterior}.get(self.variance, self.log_large), t, xt).expand_as(xt)
        if self.variance == "learned":
            out, log_var = out.chunk(2, dim=1)
        if self.prediction == "mu":
            x0 = (out - self.at(self.of_xt, t, xt) * xt) / self.at(self.of_x0, t, xt)
            return out, log_var, x0.clamp(-1, 1) if clip else x0
        x0 = out if self.prediction == "x0" else self.x0_from_eps(xt, t, out)
        x0 = x0.clamp(-1, 1) if clip else x0
        return self.q_posterior_mean(x0, xt, t), log_var, x0

    # Losses

    def simple_loss(self, network: Network, x0: torch.Tensor, t: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
        """L_simple (equation 14): the mean squared error of the prediction, (B,)."""
        xt = self.q_sample(x0, t, eps)
        target = {"eps": eps, "x0": x0}.get(self.prediction)
        if target is None:
            target = self.q_posterior_mean(x0, xt, t)
        return (network(xt, t).to(x0.dtype) - target).square().flatten(1).mean(1)

    def vlb_term(
        self, network: Network, x0: torch.Tensor, t: torch.Tensor, eps: torch.Tensor, clip: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """L_{t-1} of equation 5 in bits per dimension, (B,) (at t = 0 the decoder's L_0); and the network's x0."""
        xt = self.q_sample(x0, t, eps)
        mean, log_var, seen = self.p_mean_variance(network, xt, t, clip)
        true_mean = self.q_posterior_mean(x0, xt, t)
        true_log_var = self.at(self.log_posterior, t, xt)
        kl = 0.5 * (log_var - true_log_var - 1 + (true_log_var - log_var).exp()
                    + (true_mean - mean).square() * (-log_var).exp())  # fmt: skip
        nll = -discretised_log_likelihood(x0, mean, 0.5 * log_var)
        first = (t == 0).reshape(-1, *[1] * (xt.dim() - 1))
        return torch.where(first, nll, kl).flatten(1).mean(1) / math.log(2), seen

    def prior_bits(self, x0: torch.Tensor) -> torch.Tensor:
        """L_T in bits per dimension, (B,): what is left of x0 in x_T."""
        left = self.alpha_bar[-1]
        kl = 0.5 * (left * x0.double().square() - left - torch.log1p(-left))
        return kl.flatten(1).mean(1) / math.log(2)

    @torch.no_grad()
    def bound(
        self,
        network: Network,
        x0: torch.Tensor,
        generator: torch.Generator | None = None,
        steps: Sequence[int] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The terms of the bound and the squared error of the network's x0, each (len(steps), B), over all T steps or
        those named. Bits per dim of an image: the sum over all steps, plus `prior_bits`."""
        terms, errors = [], []
        for i in steps if steps is not None else range(self.n_steps):
            t = torch.full((len(x0),), i, device=x0.device)
            eps = torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)
            term, seen = self.vlb_term(network, x0, t, eps, clip=True)
            terms.append(term)
            errors.append((seen - x0).square().flatten(1).mean(1))
        return torch.stack(terms), torch.stack(errors)

    # Sampling

    @torch.no_grad()
    def p_sample(
        self, network: Network, xt: torch.Tensor, i: int, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One step of ancestral sampling (algorithm 2): x_{i-1}, and the x0 that the network saw. No noise at the
        end."""
        t = torch.full((len(xt),), i, device=xt.device)
        mean, log_var, x0 = self.p_mean_variance(network, xt, t, clip=True)
        noise = torch.randn(xt.shape, generator=generator, device=xt.device, dtype=xt.dtype) if i else 0.0
        return mean + (0.5 * log_var).exp() * noise, x0

    def sample(
        self, network: Network, xt: torch.Tensor, generator: torch.Generator | None = None, start: int | None = None
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Ancestral sampling from x_T (or from `start`): yields each step with its x_{i-1} and x0."""
        for i in range((self.n_steps if start is None else start) - 1, -1, -1):
            xt, x0 = self.p_sample(network, xt, i, generator)
            yield i, xt, x0

    @torch.no_grad()
    def ddim_sample(
        self,
        network: Network,
        xt: torch.Tensor,
        n_steps: int,
        eta: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """DDIM (Song et al. 2021, equation 12) in `n_steps` strided steps from x_T; eta 1 is ancestral, 0
        deterministic."""
        visited = torch.linspace(0, self.n_steps - 1, n_steps, dtype=torch.float64).round().long().tolist()
        for i, before in zip(reversed(visited), [*reversed(visited[:-1]), -1], strict=True):
            t = torch.full((len(xt),), i, device=xt.device)
            *_, x0 = self.p_mean_variance(network, xt, t, clip=True)
            a = float(self.alpha_bar[i])
            b = float(self.alpha_bar[before]) if before >= 0 else 1.0
            eps = (xt - math.sqrt(a) * x0) / math.sqrt(1 - a)
            sigma = eta * math.sqrt((1 - b) / (1 - a) * (1 - a / b))
            noise = torch.randn(xt.shape, generator=generator, device=xt.device, dtype=xt.dtype) if sigma else 0.0
            xt = math.sqrt(b) * x0 + math.sqrt(max(0.0, 1 - b - sigma**2)) * eps + sigma * noise
        return xt

    def interpolate(
        self, network: Network, a: torch.Tensor, b: torch.Tensor, weight: float, start: int, generator: torch.Generator
    ) -> torch.Tensor:
        """Mix two images after `start` steps of noise that they share, then sample back (section 4.4)."""
        t = torch.full((len(a),), start - 1, device=a.device)
        eps = torch.randn(a.shape, generator=generator, device=a.device, dtype=a.dtype)
        xt = torch.lerp(self.q_sample(a, t, eps), self.q_sample(b, t, eps), weight)
        for _, step, _ in self.sample(network, xt, generator, start):
            xt = step
        return xt


def discretised_log_likelihood(x: torch.Tensor, mean: torch.Tensor, log_scale: torch.Tensor) -> torch.Tensor:
    """log p of 8-bit values under a Gaussian, integrated over each value's bin (equation 13), in nats. The bins at -1
    and 1 reach to infinity; the normal CDF is the tanh approximation that the paper's code uses."""
    inverse = torch.exp(-log_scale)
    above = _normal_cdf((x - mean + 1 / 255) * inverse)
    below = _normal_cdf((x - mean - 1 / 255) * inverse)
    inside = torch.where(x < -0.999, above, torch.where(x > 0.999, 1 - below, above - below))
    return inside.clamp_min(1e-12).log()


def _normal_cdf(x: torch.Tensor) -> torch.Tensor:
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def stratified_bits(
    terms: Callable[[int], torch.Tensor], n_steps: int, strata: int, generator: torch.Generator
) -> tuple[float, float]:
    """An estimate of the sum over all steps of `terms(step)` (each a mean over images, 0-dimensional) from two random
    steps in each of `strata` equal parts, and its standard error."""
    edges = torch.linspace(0, n_steps, strata + 1).round().long().tolist()
    total = variance = 0.0
    for low, high in zip(edges, edges[1:], strict=False):
        width = high - low
        chosen = torch.randperm(width, generator=generator)[:2] + low
        values = [float(terms(int(i))) for i in chosen]
        mean = sum(values) / len(values)
        total += width * mean
        if len(values) == 2:  # two of `width`, drawn without replacement
            variance += width**2 * (values[0] - values[1]) ** 2 / 2 / 2 * (1 - 2 / width)
    return total, math.sqrt(variance)
