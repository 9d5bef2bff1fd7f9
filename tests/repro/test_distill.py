"""Divergences against plain arithmetic in float64, and the mistakes that others have made with them, by name."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from repro.distillation import limits
from repro.distillation.distill import (
    Divergence,
    Heads,
    divergence_of_logits,
    summed_divergence,
    token_divergences,
)

torch.set_num_threads(1)
RULES = {
    "forward": Divergence("forward"), "reverse": Divergence("reverse"), "jsd .1": Divergence("jsd", 0.1),
    "jsd .5": Divergence("jsd", 0.5), "jsd .9": Divergence("jsd", 0.9), 
    "forward at 4": Divergence("forward", temperature=4),
    "reverse at 2": Divergence("reverse", temperature=2), "jsd .3 at 3": Divergence("jsd", 0.3, 3),
}  # fmt: skip
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())


def plain(rule: Divergence, z: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Each token's divergence (N,), from probabilities, by the definitions and for autograd."""
    q, p = (z / rule.temperature).softmax(-1), (v / rule.temperature).softmax(-1)
    if rule.kind == "forward":
        found = (p * (p / q).log()).sum(-1)
    elif rule.kind == "reverse":
        found = (q * (q / p).log()).sum(-1)
    else:
        m = rule.beta * p + (1 - rule.beta) * q
        found = rule.beta * (p * (p / m).log()).sum(-1) + (1 - rule.beta) * (q * (q / m).log()).sum(-1)
    return found * rule.temperature**2


def numbers(*size: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


class Case:
    """37 tokens of hidden states, matrices to 23 classes, and weights with zeros among them."""

    def __init__(self, dtype: torch.dtype = torch.float64, scale: float = 1.0) -> None:
        self.hidden = (scale * numbers(37, 5)).to(dtype).requires_grad_(True)
        self.teacher = (scale * numbers(37, 7, seed=1)).to(dtype)
        self.student_head = numbers(23, 5, seed=2).to(dtype).requires_grad_(True)
        self.teacher_head = numbers(23, 7, seed=3).to(dtype)
        self.heads = Heads(self.student_head, self.teacher_head)
        self.weights = numbers(37, seed=4).clamp(min=0)
        self.targets = torch.arange(37) % 23
        self.hard = numbers(37, seed=5)

    def gradients(self, total: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(total, (self.hidden, self.student_head), retain_graph=True)


@every_rule
@pytest.mark.parametrize("chunk", [5, 37, 1000])
def test_values_and_gradients_are_those_of_plain_arithmetic(rule, chunk):
    case = Case()
    got = summed_divergence(case.hidden, case.teacher, case.heads, case.weights, rule, chunk=chunk)
    logits = case.hidden @ case.student_head.T, case.teacher @ case.teacher_head.T
    expected = (plain(rule, *logits) * case.weights).sum()
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=0)
    for mine, theirs in zip(case.gradients(3 * got), case.gradients(3 * expected), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)
    each = token_divergences(case.hidden, case.teacher, case.heads, rule, chunk)
    torch.testing.assert_close((each * case.weights).sum(), expected, rtol=1e-12, atol=0)


@every_rule
def test_from_logits_it_is_the_same(rule):
    z, v, weights = numbers(4, 6, 11).requires_grad_(True), numbers(4, 6, 11, seed=1), numbers(4, 6, seed=2).relu()
    got, expected = divergence_of_logits(z, v, weights, rule), (plain(rule, z, v) * weights).sum()
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=0)
    mine, theirs = (torch.autograd.grad(2 * total, z)[0] for total in (got, expected))
    torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_cross_entropy_joins_in_the_same_pass():
    case, rule = Case(), Divergence("reverse", temperature=2)
    more = {"targets": case.targets, "hard": case.hard}
    got = summed_divergence(case.hidden, case.teacher, case.heads, case.weights, rule, **more, chunk=8)
    logits = case.hidden @ case.student_head.T, case.teacher @ case.teacher_head.T
    expected = (plain(rule, *logits) * case.weights).sum()
    expected = expected + (F.cross_entropy(logits[0], case.targets, reduction="none") * case.hard).sum()
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=0)
    for mine, theirs in zip(case.gradients(got), case.gradients(expected), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_all_is_zero_where_student_and_teacher_agree():
    z = numbers(6, 11)
    for rule in RULES.values():
        value, slope = rule(z, z + 3.0)  # logits that differ by a constant say the same
        assert value.abs().max() < 1e-12 and slope.abs().max() < 1e-12


def test_logits_of_both_models_are_never_held_at_once(monkeypatch):
    """4,096 tokens of 8,192 classes are 128 MB a model in fp32; chunks of 64 tokens are 2 MB."""
    largest = 0
    plain_softmax = torch.Tensor.log_softmax

    def seen(x, *args, **kwargs):
        nonlocal largest
        largest = max(largest, x.numel())
        return plain_softmax(x, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "log_softmax", seen)
    hidden = torch.randn(4096, 4, requires_grad=True)
    heads = Heads(torch.randn(8192, 4), torch.randn(8192, 4))
    summed_divergence(hidden, torch.randn(4096, 4), heads, torch.ones(4096), Divergence(), chunk=64).backward()
    assert largest == 64 * 8192


def test_bf16_states_give_fp32_sums():
    case = Case(torch.bfloat16)
    for rule in RULES.values():
        got = summed_divergence(case.hidden, case.teacher, case.heads, case.weights, rule)
        logits = ((h @ w.T).float() for h, w in ((case.hidden, case.student_head), (case.teacher, case.teacher_head)))
        expected = (plain(rule, *logits) * case.weights).sum()
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, expected.float(), rtol=1e-5, atol=0)
        for mine, theirs in zip(case.gradients(got), case.gradients(expected), strict=True):
            assert mine.dtype == torch.bfloat16
            assert (mine - theirs).norm() / theirs.norm() < 0.02


def test_gradients_of_central_differences():
    z, v, h = numbers(1, 6), numbers(1, 6, seed=1), 1e-6
    for rule in RULES.values():
        slope = rule(z, v)[1][0]
        moved = [rule(z + h * step, v)[0] - rule(z - h * step, v)[0] for step in torch.eye(6, dtype=z.dtype)]
        torch.testing.assert_close(slope, torch.cat(moved) / (2 * h), rtol=1e-5, atol=1e-8)


# KD-4, KD-7, KD-14: the limits


def test_soft_targets_become_logit_matching_as_one_over_the_temperature():
    off = [limits.distance_to_logit_matching(t) for t in (1e2, 1e3, 1e4)]
    assert off[2] < 1e-3
    assert [a / b for a, b in zip(off, off[1:], strict=False)] == pytest.approx([10, 10], rel=0.03)


def test_without_its_square_the_gradient_would_shrink_with_the_temperature():
    sizes = [float(limits.soft_target_gradient(t).norm()) for t in (1.0, 10.0, 1e3)]
    assert max(sizes) / min(sizes) < 1.3


def test_the_fits_to_two_modes_have_their_closed_forms():
    forward, reverse = limits.fit("forward"), limits.fit("reverse")
    assert forward.mean == pytest.approx(-0.8, abs=1e-6)  # 0.6 * -4 + 0.4 * 4
    assert forward.std == pytest.approx(math.sqrt(1 + 0.24 * 64), abs=1e-6)
    assert (reverse.mean, reverse.std) == pytest.approx((-4, 1), abs=1e-2)
    assert reverse.nats == pytest.approx(-math.log(0.6), abs=1e-3)


def test_jsd_is_bounded_symmetric_at_a_half_and_falls_to_zero_at_both_ends():
    z, v = 20 * numbers(50, 9), 20 * numbers(50, 9, seed=1)
    half = Divergence("jsd", 0.5)
    assert half(z, v)[0].max() <= math.log(2) and half(z, v)[0].max() > 0.69
    torch.testing.assert_close(half(z, v)[0], half(v, z)[0])
    low, high, from_forward, from_reverse = limits.jsd_limits(1e-7)
    assert max(low, high) < 1e-5 and max(from_forward, from_reverse) < 1e-3


# The traps of PAPERS section 5.6, each by its name


def test_trap_the_mixture_is_of_probabilities_not_of_their_logarithms():
    """trl#2202: m was the geometric mean of p and q, which sums to less than one."""
    z, v = numbers(3, 8), numbers(3, 8, seed=1)
    log_q, log_p = z.log_softmax(-1), v.log_softmax(-1)
    of_logs = 0.5 * (log_q + log_p)
    wrong = 0.5 * (log_p.exp() * (log_p - of_logs) + log_q.exp() * (log_q - of_logs)).sum(-1)
    right = Divergence("jsd", 0.5)(z, v)[0]
    assert (wrong > 1.2 * right).all()
    torch.testing.assert_close(right, plain(Divergence("jsd", 0.5), z, v))


def test_trap_beta_is_the_teachers_share():
    """trl#3043: beta and 1 - beta were exchanged. A small beta is forward KL's side: the student must cover a class
    that the teacher has and it has not."""
    v, z = torch.tensor([[0.0, 0.0, -30.0]]).double(), torch.tensor([[0.0, -30.0, -30.0]]).double()
    small, large = Divergence("jsd", 0.1)(z, v)[0] / 0.1, Divergence("jsd", 0.9)(z, v)[0] / 0.1
    # p = (1/2, 1/2), q = (1, 0): m = (1 - beta / 2, beta / 2)
    expected = [
        b * (math.log(0.5 / (1 - b / 2)) + math.log(1 / b)) / 2 - (1 - b) * math.log(1 - b / 2) for b in (0.1, 0.9)
    ]
    assert (0.1 * small.item(), 0.1 * large.item()) == pytest.approx(expected, rel=1e-6)
    assert small > 1.5 * large


@pytest.mark.parametrize("beta", [0.02, 0.3, 0.7, 0.98])
def test_trap_the_weights_of_the_two_terms_stand_as_in_the_paper(beta):
    """trl#6780: the formula and what was said of its ends contradict each other, and the remedy proposed exchanges the
    weights. trl#6781: inside (0, 1) the paper's weights are right and the ends are other losses. With the weights
    exchanged the ends would be the KLs themselves and the middle another divergence."""
    z, v = numbers(5, 9), numbers(5, 9, seed=1)
    q, p = z.softmax(-1), v.softmax(-1)
    m = beta * p + (1 - beta) * q
    of_p, of_q = (p * (p / m).log()).sum(-1), (q * (q / m).log()).sum(-1)
    got = Divergence("jsd", beta)(z, v)[0]
    torch.testing.assert_close(got, beta * of_p + (1 - beta) * of_q)
    exchanged = (1 - beta) * of_p + beta * of_q
    assert ((got - exchanged).abs() > 0.02 * exchanged).all()
    if beta == 0.02:  # exchanged it is nearly forward KL, as it stands nearly none of it
        forward = Divergence("forward")(z, v)[0]
        assert (exchanged > 0.5 * forward).all() and (got < 0.05 * forward).all()


def test_trap_near_an_end_beta_takes_the_gradients_size_and_hardly_its_direction():
    """ms-swift#10078: at beta 0.9 the gradient is about a fifteenth of reverse KL's, so that beta acts as a learning
    rate. It goes on falling as 1 - beta while it turns to reverse KL's direction."""
    z, v = numbers(64, 300), numbers(64, 300, seed=1)
    reverse = Divergence("reverse")(z, v)[1].flatten()

    def beside(beta: float) -> tuple[float, float]:
        slope = Divergence("jsd", beta)(z, v)[1].flatten()
        return float(slope.norm() / reverse.norm()), float(F.cosine_similarity(slope, reverse, 0))

    sizes, directions = zip(*map(beside, (0.5, 0.9, 0.99, 0.999)), strict=True)
    assert 1 / 25 < sizes[1] < 1 / 10
    assert list(sizes) == sorted(sizes, reverse=True) and list(directions) == sorted(directions)
    assert sizes[2] / sizes[3] > 7 and directions[3] > 0.97


@pytest.mark.parametrize("beta", [0.0, 1.0, -0.5, 2.0])
def test_trap_the_ends_of_beta_are_refused_instead_of_learning_nothing(beta):
    """verl-recipe#151, ms-swift#10078: at an end the loss is zero whatever the student does."""
    with pytest.raises(ValueError, match="zero whatever the student does.*forward and reverse"):
        Divergence("jsd", beta)
    assert Divergence("forward", beta) and Divergence("reverse", beta)  # they do not read it


def test_trap_jsd_of_bf16_is_not_negative():
    """ms-swift#10156: computed in bf16, the divergence of two close models is noise of either sign."""
    hidden = numbers(512, 16, dtype=torch.bfloat16)
    head = numbers(1000, 16, seed=1, dtype=torch.bfloat16)
    near = (head.float() + 1e-3 * numbers(1000, 16, seed=2, dtype=torch.float32)).bfloat16()
    z, v = hidden @ head.T, hidden @ near.T
    log_q, log_p = z.log_softmax(-1), v.log_softmax(-1)
    log_m = torch.logaddexp(log_p + math.log(0.5), log_q + math.log(0.5))
    in_bf16 = 0.5 * (log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)).sum(-1)
    assert in_bf16.min() < -1e-4
    got = token_divergences(hidden, hidden, Heads(head, near), Divergence("jsd", 0.5))
    assert got.dtype == torch.float32 and got.min() > -1e-6


def test_trap_vocabularies_padded_to_different_sizes_are_cut_to_what_both_have():
    """torchtune#2119, torchtune#2416, Model-Optimizer#2489: one tokenizer, matrices of 152,064 and of 151,936 rows."""
    case = Case()
    got = summed_divergence(case.hidden, case.teacher, case.heads, case.weights, Divergence())
    for padded in (
        Heads(case.student_head, torch.cat((case.teacher_head, 9 * numbers(4, 7, seed=8)))),
        Heads(torch.cat((case.student_head, 9 * numbers(4, 5, seed=8))), case.teacher_head),
    ):
        assert padded.size == 23
        wide = summed_divergence(case.hidden, case.teacher, padded, case.weights, Divergence())
        torch.testing.assert_close(wide, got, rtol=0, atol=0)
        for mine, theirs in zip(case.gradients(wide), case.gradients(got), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    z, v = numbers(3, 9), numbers(3, 7, seed=1)
    torch.testing.assert_close(
        divergence_of_logits(z, v, torch.ones(3), Divergence()), plain(Divergence(), z[:, :7], v).sum()
    )


def test_trap_a_temperature_is_asked_for_and_paid_back():
    """trl#5731: the temperature of sampling reached the loss. Ours is a field of the divergence, 1 unless asked for,
    and its square is given back."""
    assert Divergence().temperature == 1.0
    z, v = numbers(5, 9), numbers(5, 9, seed=1)
    hot = Divergence("forward", temperature=0.9)(z, v)[0]
    torch.testing.assert_close(hot, 0.81 * plain(Divergence(), z / 0.9, v / 0.9))
    assert (hot - Divergence()(z, v)[0]).abs().min() > 1e-4
    with pytest.raises(ValueError, match="must be above zero"):
        Divergence(temperature=0)


def test_trap_tokens_of_weight_zero_give_no_loss_and_no_gradient():
    case = Case()
    half = case.weights.clone()
    half[::2] = 0
    run = partial(summed_divergence, case.hidden, case.teacher, case.heads, rule=Divergence("jsd", 0.3))
    d_hidden, _ = case.gradients(run(weights=half))
    assert (d_hidden[::2] == 0).all() and (d_hidden[1::2].abs().sum(-1) > 0).any()
    worse = case.teacher.clone()
    worse[::2] = 100.0
    other = summed_divergence(case.hidden, worse, case.heads, half, Divergence("jsd", 0.3))
    torch.testing.assert_close(other, run(weights=half), rtol=0, atol=0)


def test_nothing_flows_into_the_teacher():
    case = Case()
    teacher, head = case.teacher.requires_grad_(True), case.teacher_head.requires_grad_(True)
    total = summed_divergence(case.hidden, teacher, Heads(case.student_head, head), case.weights, Divergence())
    total.backward()
    assert teacher.grad is None and head.grad is None and case.hidden.grad is not None
