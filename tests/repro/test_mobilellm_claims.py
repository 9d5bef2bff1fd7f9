"""MobileLLM's claims: every row is there, exact ones hold, effects have the right sign, verdicts follow from runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from repro.lab.claims import main
from repro.mobilellm.claims import CLAIMS, best
from repro.mobilellm.config import RATES, RECIPES, arm

HOME = Path(__file__).parents[2] / "repro/mobilellm"
ROWS = {f"MO-{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12)}  # MO-10 is distillation's


def test_every_row_is_declared_once():
    ids = [claim.id for claim in CLAIMS]
    assert len(set(ids)) == len(ids)
    assert {re.match(r"MO-\d+", id)[0] for id in ids} == ROWS


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.compute], ids=lambda c: c.id)
def test_the_exact_ones_hold(claim):
    assert [check for check in claim.compute() if not check.holds] == []


def test_the_verdicts_follow_from_the_runs():
    main("mobilellm", CLAIMS, HOME, ["--check"])


def losses(**arms: float) -> dict[str, dict[str, float]]:
    """Metrics in which each arm has its loss at the middle rate, and worse ones at the others."""
    found = {}
    for name, loss in arms.items():
        for i, recipe in enumerate(arm(name)):
            found[recipe] = {"loss_nats": loss + (0.0, 0.0, 0.3)[i] + (0.2 if i == 0 else 0.0)}
    return found


def test_an_arm_is_judged_at_its_best_rate():
    metrics = losses(base=3.0)
    assert len(metrics) == len(RATES) == 3
    assert best(metrics, "base") == 3.0


@pytest.mark.parametrize(
    ("id", "better", "worse"),
    [
        ("MO-1", {"depth16": 3.0, "depth4": 3.05}, {"depth16": 3.05, "depth4": 3.0}),
        ("MO-1b", {"depth30": 3.0, "depth8": 3.05}, {"depth30": 3.05, "depth8": 3.0}),
        ("MO-2", {"base": 3.0, "relu": 3.05}, {"base": 3.05, "relu": 3.0}),
        ("MO-3b", {"tied15": 3.0, "untied": 3.05}, {"tied15": 3.05, "untied": 3.0}),
        ("MO-4b", {"kv2": 3.02, "base": 3.0}, {"kv2": 3.04, "base": 3.0}),
        ("MO-5", {"share2": 3.0, "base": 3.05}, {"share2": 3.05, "base": 3.0}),
        ("MO-5b", {"share2": 3.0, "long": 3.05}, {"share2": 3.05, "long": 3.0}),
        ("MO-6", {"all2": 3.0, "share2": 3.05}, {"all2": 3.05, "share2": 3.0}),
        ("MO-6b", {"share2": 3.0, "reverse2": 3.05}, {"share2": 3.05, "reverse2": 3.0}),
        ("MO-7", {"base": 3.1, "share2": 3.0, "share4": 2.98}, {"base": 3.1, "share2": 3.08, "share4": 3.0}),
    ],
)
def test_effects_are_above_zero_where_the_claim_holds(id, better, worse):
    claim = next(c for c in CLAIMS if c.id == id)
    assert set(claim.recipes) == set(losses(**better))
    assert claim.effect(losses(**better)) > claim.smallest
    assert claim.effect(losses(**worse)) < 0


def test_effects_of_what_is_measured_otherwise():
    effect = {c.id: c.effect for c in CLAIMS if c.effect}
    latency = {"ms_per_token": 0.8, "ms_per_token_shared": 0.9, "ms_per_token_60_blocks": 1.5}
    assert effect["MO-9"]({"gpu-latency": latency}) == pytest.approx(0.75)
    assert effect["MO-11"]({"smoke": {"loss_nats": 4.0, "loss_nats_w8a8": 4.01}}) == pytest.approx(0.25)
    assert effect["MO-11"]({"smoke": {"loss_nats": 4.0, "loss_nats_w8a8": 4.04}}) == pytest.approx(-0.5)
    assert effect["MO-12"]({"paper-125m": {"mean_accuracy": 46.3}}) == pytest.approx(0.7)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_say_what_they_cost(recipe):
    r = RECIPES[recipe]
    assert r.says and r.hardware and r.minutes > 0
    assert re.fullmatch(r"smoke|gpu-.+|paper-.+", recipe)
    if recipe.startswith("gpu-"):
        assert r.minutes <= 9
