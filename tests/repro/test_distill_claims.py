"""The claims of distillation: every row is there, exact ones hold, effects have the right sign, verdicts follow."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from repro.distillation.claims import CLAIMS
from repro.distillation.config import RECIPES, Config, start_config, teacher_config
from repro.distillation.distill import CHUNK
from repro.distillation.model import Student
from repro.lab import losses
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
        ("KD-9b", (CPU, "reverse_kl_samples", 0.6, 0.55), (CPU, "reverse_kl_samples", 0.6, 0.61)),
        ("KD-9c", (CPU, "reverse_kl_samples", 0.6, 0.55), (CPU, "reverse_kl_samples", 0.6, 0.61)),
        ("KD-10", (TEXT, "ms_per_step", 20.0, 10.0), (TEXT, "ms_per_step", 24.0, 10.0)),
        ("KD-5", ("gpu-parts", "exact_match", 0.6, 0.5), ("gpu-parts", "exact_match", 0.5, 0.6)),
        ("KD-6", (TEXT, "entropy_nats", 3.0, 3.3), (TEXT, "entropy_nats", 3.3, 3.0)),
        ("KD-6b", (TEXT, "data_ce_nats", 3.6, 3.5), (TEXT, "data_ce_nats", 3.5, 3.6)),
        ("KD-11", (TEXT, "length", 127.0, 60.0), (TEXT, "length", 120.0, 127.0)),
        ("KD-11b", (TEXT, "distinct_4", 0.9, 0.7), (TEXT, "distinct_4", 0.7, 0.9)),
        ("KD-11c", (TEXT, "reverse_kl_samples", 0.5, 0.6), (TEXT, "reverse_kl_samples", 0.6, 0.5)),
        ("KD-13", ("gpu-sums", "exact_match", 0.7, 0.6), ("gpu-sums", "exact_match", 0.6, 0.7)),
        ("KD-13b", ("gpu-sums", "exact_match", 0.7, 0.6), ("gpu-sums", "exact_match", 0.6, 0.7)),
        ("KD-13c", ("gpu-sums", "exact_match", 0.7, 0.6), ("gpu-sums", "exact_match", 0.6, 0.7)),
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
    found = [EFFECT[id]({"smoke": digits}) for id in ("KD-1", "KD-2", "KD-3", "KD-3b")]
    assert found == pytest.approx([1.0, 5.0, 10.0, 88.0])


@pytest.mark.parametrize(
    ("beam", "gain"),
    [((0.65, 0.5), 5.0), ((0.5, 0.5), 20.0), ((0.3, 0.5), 20.0), ((0.9, 0.5), -20.0)],
    ids=["beam gains less", "as it was", "beam loses", "beam gains more"],
)
def test_what_greedy_decoding_gains_counts_above_what_beam_search_gains(beam, gain):
    """A student that became worse by both must not pass because its beam lost more."""
    arms = ("gpu-parts-seqkd", "gpu-parts-sft")
    found = {arm: {"exact_match": g, "exact_match_beam": b} for arm, g, b in zip(arms, (0.6, 0.4), beam, strict=True)}
    assert EFFECT["KD-5b"](found) == pytest.approx(gain)
    worse = {arm: {"exact_match": g, "exact_match_beam": b} for arm, g, b in zip(arms, (0.3, 0.4), beam, strict=True)}
    assert EFFECT["KD-5b"](worse) < 0


def test_error_gathered_is_a_slope_and_not_a_level():
    def errors(at_16, a_doubling):
        return {f"excess_error_{16 * 2**i}": at_16 + a_doubling * i for i in range(4)}

    found = {"gpu-text-reverse": errors(5.0, 12.0), "gpu-text-reverse-on": errors(80.0, 2.0)}
    assert EFFECT["KD-12"](found) == pytest.approx(10.0)


def test_the_grid_of_pre_training_is_two_teachers_by_two_sizes_of_data():
    found_losses = {
        "label": 4.0, "kd": 3.96, "kd-small": 3.98, "label-few": 5.0, "kd-few": 4.5, "kd-small-few": 4.6,
    }  # gains of 1, 0.5, 10 and 8 percent  # fmt: skip
    found = {f"gpu-pretrain-{arm}": {"data_ce_nats": loss} for arm, loss in found_losses.items()}
    assert EFFECT["KD-15"](found) == pytest.approx(-0.5)
    assert EFFECT["KD-15c"](found) == pytest.approx((9 + 7.5) / 2)
    assert EFFECT["KD-15d"](found) == pytest.approx((0.5 + 2) / 2)
    few, everything = RECIPES["gpu-pretrain-kd-few"].config, RECIPES["gpu-pretrain-kd"].config
    assert few.windows * 16 == everything.steps * everything.batch_size
    assert teacher_config(few) == teacher_config(everything)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_say_what_they_cost(recipe):
    r = RECIPES[recipe]
    assert r.says and r.hardware and r.minutes > 0
    assert re.fullmatch(r"smoke|cpu-.+|gpu-.+|paper-.+", recipe)
    if recipe.startswith("gpu-"):
        assert r.minutes <= 9


PAPERS = [("paper-gkd", 250e6, 3e9), ("paper-minillm", 120e6, 1.5e9)]
MEMORY = {"1 H100": 79.6, "1 H200": 139.8}  # GiB that PyTorch can have


def parameters(config: Config) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in Student(config, config.vocab_size).parameters())


@pytest.mark.parametrize(("recipe", "student", "teacher"), PAPERS)
def test_recipes_of_the_papers_are_of_their_size_and_cost_what_they_say(recipe, student, teacher):
    """Networks on the meta device. The cost: 2 operations a parameter and token forward and 4 more backward, at 40 % of
    an H100's 989 TFLOP/s, and 5 ms for each token that the batch writes."""
    r, config = RECIPES[recipe], RECIPES[recipe].config
    found = [parameters(c) for c in (config, teacher_config(config))]
    assert found == pytest.approx([student, teacher], rel=0.1)
    tokens = config.prompt_len + config.new_tokens
    step = config.batch_size * tokens * (6 * found[0] + 2 * found[1])
    bases = config.start_batch * tokens * 6 * (config.start_steps * found[0] + config.teacher_steps * found[1])
    minutes = ((config.steps * step + bases) / (0.4 * 989e12) + config.steps * config.new_tokens * 5e-3) / 60
    assert r.minutes == pytest.approx(minutes, rel=0.1)


@pytest.mark.parametrize("recipe", [name for name, *_ in PAPERS])
def test_recipes_of_the_papers_fit_into_their_hardware(recipe):
    """A training step: 16 bytes a parameter for weights, gradients and AdamW, 2 for autocast's copies, 12 more while
    capturing a run that goes on keeps what it will put back; of every block and token of a micro-batch the inputs of
    its products and norms in bf16, 10 widths and 4 of the feed-forward part; six sets of fp32 logits of a chunk. A
    distillation step: the teacher in fp32 and in bf16 too, and the caches of those that write."""
    r, config = RECIPES[recipe], RECIPES[recipe].config

    def training(c: Config) -> float:
        rows = c.batch_size // c.accum * (c.prompt_len + c.new_tokens)
        activations = rows * c.n_layers * 2 * (10 * c.d_model + 4 * c.d_ff)
        return 30 * parameters(c) + activations + 6 * 4 * max(CHUNK, losses.CHUNK) * c.vocab_size

    def cache(c: Config) -> float:
        return 4 * c.n_layers * c.d_model * config.batch_size * (config.prompt_len + config.new_tokens)

    taught = teacher_config(config)
    step = training(config) + 6 * parameters(taught) + 2 * parameters(config) + cache(config)
    step += cache(replace(taught, batch_size=config.batch_size)) if config.method == "minillm" else 0
    for stage in (training(taught), training(start_config(config)), step):
        assert stage / 2**30 < 0.92 * MEMORY[r.hardware]
