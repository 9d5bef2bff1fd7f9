"""The claims of distillation: every row is there, exact ones hold, effects have the right sign, verdicts follow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from repro.distillation.claims import CLAIMS
from repro.distillation.config import RECIPES, teacher_config
from repro.distillation.model import Student
from repro.lab.claims import main

ROOT = Path(__file__).parents[2]
HOME = ROOT / "repro/distillation"
EFFECT = {claim.id: claim.effect for claim in CLAIMS if claim.effect}


def test_every_row_is_declared_once_and_names_a_note_that_is_there():
    ids = [claim.id for claim in CLAIMS]
    assert len(set(ids)) == len(ids)
    assert {re.match(r"KD-\d+", id)[0] for id in ids} == {f"KD-{n}" for n in range(1, 16)}
    for claim in CLAIMS:
        assert (ROOT / "notes/papers" / f"{claim.note}.md").is_file(), claim.id
        assert set(claim.recipes) <= set(RECIPES), claim.id


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.compute], ids=lambda c: c.id)
def test_the_exact_ones_hold(claim):
    assert [check for check in claim.compute() if not check.holds] == []


def test_the_verdicts_follow_from_the_runs():
    main("distillation", CLAIMS, HOME, ["--check"])


CPU, TEXT, BEFORE = "cpu", "gpu-text", "gpu-pretrain"


@pytest.mark.parametrize(
    ("id", "better", "worse"),
    [
        ("KD-8", (CPU, "teacher_nll_samples", 2.4, 2.9), (CPU, "teacher_nll_samples", 2.9, 2.4)),
        ("KD-8b", (CPU, "distinct_4", 0.5, 0.6), (CPU, "distinct_4", 0.6, 0.5)),
        ("KD-8c", (CPU, "data_ce_nats", 2.1, 2.0), (CPU, "data_ce_nats", 2.0, 2.1)),
        ("KD-9", (CPU, "reverse_kl_samples", 0.6, 0.5), (CPU, "reverse_kl_samples", 0.5, 0.6)),
        ("KD-9b", (CPU, "reverse_kl_samples", 0.6, 0.55, 0.5), (CPU, "reverse_kl_samples", 0.6, 0.61, 0.5)),
        ("KD-10", (TEXT, "ms_per_step", 20.0, 10.0), (TEXT, "ms_per_step", 24.0, 10.0)),
        ("KD-11", ("gpu-sums", "exact_match", 0.6, 0.5), ("gpu-sums", "exact_match", 0.5, 0.6)),
        ("KD-11b", ("gpu-sums", "exact_match", 0.6, 0.5), ("gpu-sums", "exact_match", 0.5, 0.6)),
        ("KD-11c", ("gpu-sums", "exact_match", 0.6, 0.5), ("gpu-sums", "exact_match", 0.5, 0.6)),
        ("KD-12", (TEXT, "excess_error_128", 5.0, 20.0), (TEXT, "excess_error_128", 20.0, 5.0)),
        ("KD-13", ("gpu-sums", "exact_match", 0.7, 0.6, 0.5, 0.4), ("gpu-sums", "exact_match", 0.7, 0.6, 0.4, 0.5)),
        ("KD-15", (BEFORE, "data_ce_nats", 3.0, 3.0), (BEFORE, "data_ce_nats", 2.9, 3.0)),
        ("KD-15b", (BEFORE, "ms_per_step", 26.0, 10.0), (BEFORE, "ms_per_step", 12.0, 10.0)),
    ],
)
def test_effects_are_above_zero_where_the_claim_holds(id, better, worse):
    """One metric of a claim's recipes, in the order in which it names them."""
    claim = next(c for c in CLAIMS if c.id == id)
    for (kind, name, *values), holds in ((better, True), (worse, False)):
        assert all(recipe.startswith(kind) for recipe in claim.recipes)
        effect = claim.effect({recipe: {name: value} for recipe, value in zip(claim.recipes, values, strict=True)})
        assert effect > claim.smallest if holds else effect < 0


def test_effects_in_points_and_of_two_numbers():
    digits = {
        "accuracy_full_soft": 0.96, "accuracy_full_hard": 0.95, "accuracy_few_soft": 0.8, "accuracy_few_hard": 0.75,
        "accuracy_3_omitted_soft_bias": 0.9, "accuracy_3_omitted_hard_bias": 0.02,
    }  # fmt: skip
    found = [EFFECT[id]({"smoke": digits}) for id in ("KD-1", "KD-2", "KD-3")]
    assert found == pytest.approx([1.0, 5.0, 88.0])
    greedy_and_beam = {
        "gpu-sums-seqkd": {"exact_match": 0.6, "exact_match_beam": 0.65},
        "gpu-sums-sft": {"exact_match": 0.4, "exact_match_beam": 0.5},
    }
    assert EFFECT["KD-5"](greedy_and_beam) == pytest.approx(5.0)
    surer_and_worse = {
        "gpu-text-seqkd": {"entropy_nats": 3.0, "data_ce_nats": 3.6},
        "gpu-text-sft": {"entropy_nats": 3.3, "data_ce_nats": 3.5},
    }
    assert EFFECT["KD-6"](surer_and_worse) == pytest.approx(0.1)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_say_what_they_cost(recipe):
    r = RECIPES[recipe]
    assert r.says and r.hardware and r.minutes > 0
    assert re.fullmatch(r"smoke|cpu-.+|gpu-.+|paper-.+", recipe)
    if recipe.startswith("gpu-"):
        assert r.minutes <= 9


@pytest.mark.parametrize(("recipe", "student", "teacher"), [("paper-gkd", 250e6, 3e9), ("paper-minillm", 120e6, 1.5e9)])
def test_recipes_of_the_papers_are_of_their_size_and_cost_what_they_say(recipe, student, teacher):
    """Networks on the meta device. The cost: 2 operations a parameter and token forward and 4 more backward, at 40 % of
    an H100's 989 TFLOP/s, and 5 ms for each token that the batch writes."""
    r, config = RECIPES[recipe], RECIPES[recipe].config
    with torch.device("meta"):
        found = [
            sum(p.numel() for p in Student(c, c.vocab_size).parameters()) for c in (config, teacher_config(config))
        ]
    assert found == pytest.approx([student, teacher], rel=0.1)
    tokens = config.prompt_len + config.new_tokens
    step = config.batch_size * tokens * (6 * found[0] + 2 * found[1])
    bases = config.start_batch * tokens * 6 * (config.start_steps * found[0] + config.teacher_steps * found[1])
    minutes = ((config.steps * step + bases) / (0.4 * 989e12) + config.steps * config.new_tokens * 5e-3) / 60
    assert r.minutes == pytest.approx(minutes, rel=0.1)
