"""The method against its definitions: composed chains, conditioning, closed forms, diffusers' schedulers."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from repro.ddpm.diffusion import Diffusion, discretised_log_likelihood, linear_betas, stratified_bits

torch.set_num_threads(1)
F64 = torch.float64


def chain(n_steps=1000, **kw):
    return Diffusion(linear_betas(n_steps), **kw)


def image(*shape, seed=0):
    values = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed))
    return values.to(F64) / 127.5 - 1


def noise(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def respaced(n_steps):
    """The betas of every so many steps of the paper's chain."""
    kept = torch.cumprod(1 - linear_betas(), 0)[torch.linspace(0, 999, n_steps, dtype=F64).round().long()]
    return 1 - kept / torch.cat((torch.ones(1, dtype=F64), kept[:-1]))


def test_the_schedule_is_the_papers():
    betas = linear_betas()
    assert betas.dtype == F64 and betas[0] == 1e-4 and betas[-1] == 0.02
    assert betas.diff().std() < 1e-15
    assert float(chain().alpha_bar[-1]) == pytest.approx(4.036e-5, rel=1e-3)


def test_one_jump_is_the_composed_chain_in_mean_and_variance():
    c = chain()
    mean, variance = 1.0, 0.0
    for t, beta in enumerate(c.betas.tolist()):
        mean, variance = math.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        at = torch.tensor([t])
        one = torch.ones(1, 1, 1, 1, dtype=F64)
        assert c.q_sample(one, at, 0 * one).item() == pytest.approx(mean, rel=1e-12)
        assert c.q_sample(0 * one, at, one).item() ** 2 == pytest.approx(variance, rel=1e-10)


def test_the_posterior_is_the_conditional_gaussian():
    c = chain(200)
    for t in (1, 2, 50, 199):
        beta, before = float(c.betas[t]), float(c.alpha_bar[t - 1])
        # (x_{t-1}, x_t) given x0 = 0.7, then given x_t = -0.4
        mean = torch.tensor([math.sqrt(before), math.sqrt((1 - beta) * before)], dtype=F64) * 0.7
        a = math.sqrt(1 - beta)
        cov = torch.tensor([[1 - before, a * (1 - before)], [a * (1 - before), a * a * (1 - before) + beta]], dtype=F64)
        expected = mean[0] + cov[0, 1] / cov[1, 1] * (-0.4 - mean[1])
        variance = cov[0, 0] - cov[0, 1] ** 2 / cov[1, 1]
        x0, xt = (torch.full((1, 1, 1, 1), v, dtype=F64) for v in (0.7, -0.4))
        assert c.q_posterior_mean(x0, xt, torch.tensor([t])).item() == pytest.approx(expected.item(), rel=1e-10)
        assert c.posterior[t].item() == pytest.approx(variance.item(), rel=1e-10)
    assert c.posterior[0] == 0 and c.log_posterior[0] == c.log_posterior[1] == c.posterior[1].log()
    assert c.log_large[0] == c.log_posterior[1]


@pytest.mark.parametrize("variance", ["fixed_large", "fixed_small", "learned"])
def test_a_term_is_the_kl_between_posterior_and_model(variance):
    c = chain(variance=variance)
    x0, eps = image(6, 2, 3, 3), noise(6, 2, 3, 3)
    t = torch.tensor([1, 2, 10, 100, 500, 999])
    out = noise(6, 4 if variance == "learned" else 2, 3, 3, seed=5)

    def network(xt, t):
        return out

    term, _ = c.vlb_term(network, x0, t, eps)
    xt = c.q_sample(x0, t, eps)
    mean, log_var, _ = c.p_mean_variance(network, xt, t, clip=False)
    truth = Normal(c.q_posterior_mean(x0, xt, t), c.posterior[t].sqrt().reshape(-1, 1, 1, 1))
    kl = kl_divergence(truth, Normal(mean, (0.5 * log_var).exp()))
    torch.testing.assert_close(term, kl.flatten(1).mean(1) / math.log(2), rtol=1e-9, atol=1e-12)


def test_the_first_term_is_the_decoder():
    c = chain()
    x0, eps = image(4, 1, 3, 3), noise(4, 1, 3, 3)
    t = torch.zeros(4, dtype=torch.long)
    term, _ = c.vlb_term(lambda xt, t: eps + 0.3, x0, t, eps)
    mean, log_var, _ = c.p_mean_variance(lambda xt, t: eps + 0.3, c.q_sample(x0, t, eps), t, clip=False)
    nll = -discretised_log_likelihood(x0, mean, 0.5 * log_var) / math.log(2)
    torch.testing.assert_close(term, nll.flatten(1).mean(1))


@pytest.mark.parametrize("mean", [-1.3, -1.0, -0.2, 0.0, 0.731, 1.0])
@pytest.mark.parametrize("log_scale", [-6.0, -4.6, -2.0, 0.0, 1.0])
def test_the_decoder_is_a_distribution_over_256_values(mean, log_scale):
    x = torch.arange(256, dtype=F64) / 127.5 - 1
    mean, log_scale = torch.full_like(x, mean), torch.full_like(x, log_scale)
    p = discretised_log_likelihood(x, mean, log_scale).exp()
    assert p.sum().item() == pytest.approx(1.0, abs=1e-8)
    exact = Normal(mean, log_scale.exp())
    above, below = exact.cdf(x + 1 / 255), exact.cdf(x - 1 / 255)
    above[-1], below[0] = 1.0, 0.0
    assert (p - (above - below)).abs().max() < 1e-3  # the tanh approximation


def test_perfect_predictors_of_all_kinds_give_the_same_mean():
    x0, eps, t = image(5, 1, 4, 4), noise(5, 1, 4, 4), torch.tensor([0, 1, 40, 400, 999])
    c = chain()
    xt = c.q_sample(x0, t, eps)
    answers = {"eps": eps, "x0": x0, "mu": c.q_posterior_mean(x0, xt, t)}
    for prediction, answer in answers.items():
        mean, _, seen = chain(prediction=prediction).p_mean_variance(lambda xt, t, a=answer: a, xt, t, clip=True)
        torch.testing.assert_close(mean, answers["mu"], rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(seen, x0, rtol=1e-6, atol=1e-6)
        loss = chain(prediction=prediction).simple_loss(lambda xt, t, a=answer: a, x0, t, eps)
        assert loss.abs().max() < 1e-20
        term, _ = chain(prediction=prediction, variance="fixed_small").vlb_term(lambda xt, t, a=answer: a, x0, t, eps)
        assert term[1:].abs().max() < 1e-12


def test_the_simple_loss_is_the_reweighted_bound():
    """Equation 12: a term is beta^2 / (2 sigma^2 alpha (1 - alpha_bar)) |eps - out|^2 and a constant."""
    c = chain()
    x0, eps, t = image(5, 1, 4, 4), noise(5, 1, 4, 4), torch.tensor([9, 99, 499, 998, 999])

    def off(by):
        return lambda xt, t: eps + by

    difference = c.vlb_term(off(0.5), x0, t, eps)[0] - c.vlb_term(off(0.0), x0, t, eps)[0]
    weight = c.betas**2 / (2 * c.betas * (1 - c.betas) * (1 - c.alpha_bar))
    torch.testing.assert_close(difference, weight[t] * c.simple_loss(off(0.5), x0, t, eps) / math.log(2))
    assert [f"{float(weight[i]):.2g}" for i in (9, 99, 499, 999)] == ["0.074", "0.01", "0.0055", "0.01"]


def test_clipping_holds_x0_in_range_only_where_it_is_asked_for():
    c, xt, t = chain(), 3 * noise(4, 1, 2, 2), torch.tensor([0, 10, 500, 999])
    assert c.p_mean_variance(lambda xt, t: 0 * xt, xt, t, clip=True)[2].abs().max() <= 1
    assert c.p_mean_variance(lambda xt, t: 0 * xt, xt, t, clip=False)[2].abs().max() > 1


def test_the_prior_term_is_the_kl_to_the_standard_normal():
    c, x0 = chain(50), image(3, 1, 4, 4)
    q = Normal(c.alpha_bar[-1].sqrt() * x0, (1 - c.alpha_bar[-1]).sqrt())
    kl = kl_divergence(q, Normal(torch.zeros_like(x0), 1.0)).flatten(1).mean(1) / math.log(2)
    torch.testing.assert_close(c.prior_bits(x0), kl)


@pytest.mark.parametrize(
    ("n_steps", "variance", "expected"),
    [
        (1000, "fixed_large", 0.0504),
        (1000, "fixed_small", 0.0484),
        (10, "fixed_large", 0.155),
        (10, "fixed_small", 0.0109),
    ],
)
def test_sampling_gaussian_data_with_the_exact_network_gives_the_closed_forms_variance(n_steps, variance, expected):
    c = Diffusion(linear_betas() if n_steps == 1000 else respaced(n_steps), variance=variance)
    n, s = (60_000 if n_steps == 1000 else 200_000), 0.05

    def network(xt, t):  # E[eps | x_t] for data of variance s
        return xt * c.at((1 - c.alpha_bar).sqrt() / (c.alpha_bar * s + 1 - c.alpha_bar), t, xt)

    g = torch.Generator().manual_seed(0)
    xt = torch.randn(n, 1, 1, 1, generator=g)
    for _, xt, _ in c.sample(network, xt, g):  # noqa: B007, B020
        pass
    clipped = 5e-4 if n_steps == 1000 else 0.03  # what clipping x0 takes from the tails
    assert xt.var().item() == pytest.approx(expected, rel=4 * math.sqrt(2 / n) + clipped)


def test_ddim_with_eta_one_is_ancestral_sampling_with_the_small_variance():
    c, xt = chain(30, variance="fixed_small"), noise(3, 1, 4, 4)

    def network(xt, t):
        return torch.tanh(xt) * 0.8

    ancestral = xt
    for _, ancestral, _ in c.sample(network, xt, torch.Generator().manual_seed(2)):  # noqa: B007
        pass
    ddim = c.ddim_sample(network, xt, 30, eta=1.0, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(ddim, ancestral, rtol=1e-9, atol=1e-9)
    a, b = (c.ddim_sample(network, xt, 7) for _ in range(2))
    assert torch.equal(a, b)  # eta 0 has no chance in it


def test_interpolation_ends_at_its_ends():
    c = chain(20)
    a, b = image(2, 1, 4, 4, seed=1), image(2, 1, 4, 4, seed=2)

    def mixed(weight, a, b):
        return c.interpolate(lambda xt, t: xt * 0.9, a, b, weight, 10, torch.Generator().manual_seed(0))

    torch.testing.assert_close(mixed(0.0, a, b), mixed(0.5, a, a))
    torch.testing.assert_close(mixed(1.0, a, b), mixed(0.5, b, b))
    assert not torch.allclose(mixed(0.5, a, b), mixed(0.0, a, b))


def test_the_whole_bound_is_the_sum_of_its_terms():
    c, x0 = chain(12), image(3, 1, 4, 4)

    def network(xt, t):
        return xt * 0.5

    terms, errors = c.bound(network, x0, torch.Generator().manual_seed(3))
    assert terms.shape == errors.shape == (12, 3)
    g = torch.Generator().manual_seed(3)
    for i in range(12):
        eps = torch.randn(x0.shape, generator=g, dtype=F64)
        term, seen = c.vlb_term(network, x0, torch.full((3,), i), eps, clip=True)
        torch.testing.assert_close(terms[i], term)
        torch.testing.assert_close(errors[i], (seen - x0).square().flatten(1).mean(1))
    some, _ = c.bound(network, x0, torch.Generator().manual_seed(3), steps=[0, 1])
    torch.testing.assert_close(some, terms[:2])


def test_the_bound_bounds_the_exact_code_length():
    """For Gaussian data and the exact network, the bound is above the entropy of the quantised data and close to it."""
    c, s = chain(), 0.09
    g = torch.Generator().manual_seed(0)
    x0 = ((torch.randn(4000, 1, 1, 1, generator=g) * math.sqrt(s)).clamp(-1, 1) * 127.5 + 127.5).round() / 127.5 - 1

    def network(xt, t):
        return xt * c.at((1 - c.alpha_bar).sqrt() / (c.alpha_bar * s + 1 - c.alpha_bar), t, xt)

    terms, _ = c.bound(network, x0, g)
    bits = float(terms.mean(1).sum() + c.prior_bits(x0).mean())
    entropy = 0.5 * math.log2(2 * math.pi * math.e * s) + math.log2(127.5)
    assert entropy - 0.02 < bits < entropy + 0.15


@pytest.mark.parametrize("strata", [1, 4, 10])
def test_the_stratified_estimate_is_unbiased_and_its_error_calibrated(strata):
    values = torch.exp(-torch.linspace(0, 5, 200, dtype=F64)) + 0.1 * torch.sin(torch.arange(200, dtype=F64))
    g = torch.Generator().manual_seed(0)
    drawn = [stratified_bits(lambda i: values[i], 200, strata, g) for _ in range(3000)]
    estimates = torch.tensor([d[0] for d in drawn], dtype=F64)
    variances = torch.tensor([d[1] ** 2 for d in drawn], dtype=F64)
    assert abs(estimates.mean() - values.sum()) < 4 * estimates.std() / math.sqrt(3000)
    assert variances.mean() == pytest.approx(float(estimates.var()), rel=0.12)


def test_strata_of_one_or_two_steps_are_exact():
    values = torch.arange(10, dtype=F64)
    for strata in (5, 10):
        estimate, error = stratified_bits(lambda i: values[i], 10, strata, torch.Generator().manual_seed(0))
        assert estimate == 45 and error == 0


# Against diffusers


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
@pytest.mark.parametrize("prediction", ["eps", "x0"])
def test_steps_agree_with_diffusers(variance, prediction):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDPMScheduler(
        1000, 1e-4, 0.02, "linear", variance_type=variance, clip_sample=True,
        prediction_type={"eps": "epsilon", "x0": "sample"}[prediction],
    )  # fmt: skip
    ours = chain(variance=variance, prediction=prediction)
    x0, eps, out = image(2, 3, 4, 4).float(), noise(2, 3, 4, 4).float(), noise(2, 3, 4, 4, seed=7).float()
    torch.testing.assert_close(theirs.betas, ours.betas.float())
    for i in (0, 1, 2, 100, 500, 999):
        t = torch.tensor([i, i])
        xt = ours.q_sample(x0, t, eps)
        torch.testing.assert_close(xt, theirs.add_noise(x0, eps, t), rtol=1e-4, atol=1e-5)
        step = theirs.step(out, i, xt, generator=torch.Generator().manual_seed(3))
        mine, seen = ours.p_sample(lambda xt, t: out, xt, i, torch.Generator().manual_seed(3))
        torch.testing.assert_close(mine, step.prev_sample, rtol=2e-4, atol=2e-4)
        torch.testing.assert_close(seen, step.pred_original_sample, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_agrees_with_diffusers(eta):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDIMScheduler(25, 1e-4, 0.02, "linear", clip_sample=True, set_alpha_to_one=True)
    theirs.set_timesteps(25)
    xt = noise(2, 1, 4, 4).float()
    start = xt

    def network(xt, t):
        return 0.7 * torch.tanh(xt + 0.1)

    g = torch.Generator().manual_seed(4)
    for i in theirs.timesteps:
        xt = theirs.step(network(xt, i), int(i), xt, eta=eta, use_clipped_model_output=True, generator=g).prev_sample
    mine = chain(25).ddim_sample(network, start, 25, eta, torch.Generator().manual_seed(4))
    torch.testing.assert_close(mine, xt, rtol=1e-4, atol=1e-5)
