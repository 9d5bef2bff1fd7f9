"""The claims of LoRA learns less and forgets less: every row is there, exact ones hold, effects have the right sign."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch

from repro.lab.claims import main
from repro.lab.hub import shape_of
from repro.lab.lora import adapt, trained
from repro.lab.transformer import Decoder
from repro.lora_forgetting import claims
from repro.lora_forgetting.claims import CLAIMS, ahead
from repro.lora_forgetting.config import (
    FULL_LRS,
    GPU_FULL_LRS,
    GPU_LORA_LRS,
    GPU_RANKS,
    LORA_LRS,
    RECIPES,
    TARGETS,
    arm_config,
    arms,
    at,
    smoke_arms,
)
from repro.lora_forgetting.model import lora

HOME = Path(claims.__file__).parent
BY_ID = {claim.id: claim for claim in CLAIMS}


def test_every_row_is_declared_once():
    assert len(BY_ID) == len(CLAIMS)
    assert {f"LL-{n}" for n in range(1, 15)} <= {re.match(r"LL-\d+", id)[0] for id in BY_ID}
    robust = {"LL-1", "LL-4b", "LL-5c", "LL-6", "LL-6b", "LL-8", "LL-8b", "LL-9", "LL-10"}
    assert {c.id for c in CLAIMS if c.tier == "robust"} == robust
    assert {c.id for c in CLAIMS if c.tier == "exact"} == {"LL-0", "LL-0b", "LL-0c"}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.id)
def test_a_claim_names_recipes_that_exist_and_says_how_ours_is_smaller(claim):
    assert set(claim.recipes) <= set(RECIPES)
    assert claim.says and claim.where and claim.paper and claim.ours and claim.note == "lora-forgets-less"
    if claim.tier != "exact":
        assert claim.smallest > 0 and claim.seeds == 3
        assert all(("CPU" in RECIPES[r].hardware) == (claim.tier == "robust") for r in claim.recipes)


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.compute], ids=lambda c: c.id)
def test_the_exact_ones_hold(claim):
    assert [check for check in claim.compute() if not check.holds] == []


def test_the_verdicts_follow_from_the_runs():
    main("lora_forgetting", CLAIMS, HOME, ["--check"])


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_say_what_they_cost(recipe):
    r = RECIPES[recipe]
    assert r.says and r.hardware and r.minutes > 0
    assert re.fullmatch(r"smoke|gpu-.+|paper-.+", recipe)
    for text in r.config.arms:
        arm_config(r.config, text)
    if recipe.startswith("gpu-"):
        assert r.minutes <= 9


def test_gpu_arms_are_all_there():
    for target in TARGETS:
        for method, lrs in (("full", GPU_FULL_LRS), *((f"r{r}", GPU_LORA_LRS) for r in GPU_RANKS)):
            assert arms(target, method) == tuple(at(target, method, lr) for lr in lrs)
            assert all(RECIPES[name].config.lr == lr for name, lr in zip(arms(target, method), lrs, strict=True))
    assert RECIPES["gpu-code-r64-lr0.001"].config.r == 64 and RECIPES["gpu-far-full-lr0.0001"].config.method == "full"


@pytest.mark.parametrize("recipe", [name for name in RECIPES if name.startswith("paper-")])
def test_the_papers_own_settings_are_built(recipe):
    """On the meta device, with the cost that the recipe tells: 6 or 4 FLOP a parameter and token at 400 TFLOP/s."""
    config = RECIPES[recipe].config
    of = {
        "vocab_size": 32_000, "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
        "intermediate_size": 11_008, "max_position_embeddings": 4096,
    }  # fmt: skip
    with torch.device("meta"):
        decoder = Decoder(shape_of(of, tied=False))
        n = sum(p.numel() for p in decoder.parameters())
        assert n == 6_738_415_616
        if config.method == "lora":
            adapt(decoder, lora(config), torch.bfloat16)
    share = sum(p.numel() for p in trained(decoder)) / n
    known = {("full", 16): 1.0, ("lora", 16): 0.0059, ("lora", 64): 0.0237, ("lora", 256): 0.0949}
    assert share == pytest.approx(known[config.method, config.r], abs=1e-4)
    tokens = config.steps * config.batch_size * config.seq_len
    assert tokens == pytest.approx(20e9 if "cpt" in recipe else 8 * 73e6, rel=0.01)
    flop = (6 if config.method == "full" else 4) * n * tokens
    assert RECIPES[recipe].minutes == pytest.approx(flop / 400e12 / 60, rel=0.02)
    assert config.optimizer == "lionw" and lora(config).alpha == 2 * config.r and config.seq_len == 4096


# signs

FULL = {3e-4: (1.4, 0.2), 1e-3: (0.3, 1.4), 3e-3: (0.1, 2.0), 1e-2: (0.07, 2.4)}
LOW = {1: {3e-3: (1.2, 1.0), 1e-2: (0.9, 1.1), 3e-2: (0.8, 1.2)}, 4: {3e-3: (0.7, 1.3), 1e-2: (0.4, 1.4),
       3e-2: (0.45, 1.5)}, 16: {3e-3: (0.35, 1.6), 1e-2: (0.2, 1.7), 3e-2: (0.19, 1.8)}}  # fmt: skip


def smoke(**changes: float) -> dict[str, dict[str, float]]:
    """Metrics in which every robust claim holds but LL-5c, changed where it is said."""
    m: dict[str, float] = {}
    points = {f"full-lr{lr:g}": FULL[lr] for lr in FULL_LRS}
    points |= {f"lora-r{r}-lr{lr:g}": LOW[r][lr] for r in LOW for lr in LORA_LRS}
    points |= {f"attention-lr{lr:g}": (1.2, 1.0) for lr in LORA_LRS} | {f"mlp-lr{lr:g}": (0.45, 1.0) for lr in LORA_LRS}
    points |= {"full-wd": (0.31, 1.42), "full-drop": (0.31, 1.38)}
    points |= {"lora-r16-alpha16": (0.25, 1.5), "lora-r16-alpha2": (0.5, 1.0)}
    for name, (learn, forget) in points.items():
        m[f"{name}_target_nats"], m[f"{name}_forgot_nats"] = learn, forget
    for name, rank in (("full-steps50", 10.0), ("full-lr0.001", 14.0), ("full-steps300", 18.0)):
        m[f"{name}_rank_mlp"], m[f"{name}_rank_attention"] = rank + 5, rank - 5
    assert {key.rpartition("_")[0].rsplit("_", 1)[0] for key in m} <= {a.split()[0] for a in smoke_arms()}
    return {"smoke": m | {key.replace("__", "-").replace("DOT", "."): value for key, value in changes.items()}}


@pytest.mark.parametrize(
    ("id", "worse"),
    [
        ("LL-1", {"lora__r4__lr0DOT01_target_nats": 0.05}),
        ("LL-4b", {"full__lr0DOT01_forgot_nats": 1.0}),
        ("LL-6", {"full__wd_forgot_nats": 0.5}),
        ("LL-6b", {"full__drop_target_nats": 0.9}),
        ("LL-8", {"full__lr0DOT001_rank_mlp": 3.0}),
        ("LL-8b", {"full__steps300_rank_mlp": 3.0}),
        ("LL-9", {"attention__lr0DOT01_target_nats": 0.4}),
        ("LL-10", {"lora__r16__alpha16_target_nats": 0.1}),
    ],
)
def test_robust_effects_are_above_zero_where_the_claim_holds(id, worse):
    claim = BY_ID[id]
    assert claim.effect(smoke()) > claim.smallest
    assert claim.effect(smoke(**worse)) < 0


def test_who_is_ahead_is_told_at_equal_learning():
    full = [(0.1, 2.0), (1.0, 1.0)]
    assert ahead(full, [(0.1, 1.5), (1.0, 0.5)]) == pytest.approx(0.5)
    assert ahead(full, [(0.3, 2.5), (1.0, 1.5), (0.5, 9.0)]) < -0.5  # a point that another beats is not on the front
    assert BY_ID["LL-5c"].effect(smoke()) != 0


def gpu(points: dict[tuple[str, str], list[tuple[float, float]]]) -> dict[str, dict[str, float]]:
    found = {}
    for (target, method), values in points.items():
        for recipe, (learn, forget) in zip(arms(target, method), values, strict=True):
            found[recipe] = {"target_nats": learn, "forgot_nats": forget, "rank_mlp": 300.0, "rank_attention": 200.0}
    return found


def flat(learn: float, forget: float) -> list[tuple[float, float]]:
    """An arm whose third rate is best."""
    return [(learn + 0.3, forget), (learn + 0.1, forget), (learn, forget), (learn + 0.2, forget)]


PAPER = gpu({
    ("code", "full"): flat(1.0, 0.5), ("code", "r256"): flat(1.02, 0.3), ("code", "r64"): flat(1.1, 0.2),
    ("code", "r16"): flat(1.2, 0.1), ("far", "full"): flat(2.0, 0.9), ("far", "r64"): flat(2.5, 0.4),
    ("math", "full"): flat(1.0, 0.1), ("math", "r64"): flat(1.05, 0.2), ("math", "r16"): flat(1.1, 0.2),
    ("math", "r256"): flat(1.02, 0.2), ("mix", "full"): flat(1.0, 0.01), ("mix", "r64"): flat(1.0, 0.02),
})  # fmt: skip
MORE = {
    "gpu-code-full-wd": {"forgot_nats": 0.5}, "gpu-code-full-drop": {"forgot_nats": 0.45},
    "gpu-code-full-samples": {"samples_distinct_2": 0.5}, "gpu-code-r64-samples": {"samples_distinct_2": 0.6},
    "gpu-code-attention": {"target_nats": 1.3}, "gpu-code-mlp": {"target_nats": 1.12},
    "gpu-code-r256-alpha512": {"target_nats": 1.0}, "gpu-code-r256-alpha256": {"target_nats": 1.1},
    "gpu-code-r256-alpha32": {"target_nats": 1.3}, "gpu-code-full-long": {"forgot_nats": 0.8},
    "gpu-code-r64-long": {"forgot_nats": 0.3},
    "gpu-cost": {"ms_peer_lora": 115.0, "ms_peer_full": 100.0, "peak_gib_peer_lora_small": 6.0,
                 "peak_gib_peer_full_small": 10.0, "ms_ours_lora": 80.0, "ms_ours_full": 100.0},
    "paper-code-cpt-full": {"humaneval_pass_at_1": 0.263}, "paper-code-cpt-r64": {"humaneval_pass_at_1": 0.196},
    "paper-code-ift-full": {"humaneval_pass_at_1": 0.497}, "paper-code-ift-r256": {"humaneval_pass_at_1": 0.498},
}  # fmt: skip


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.tier == "scale"], ids=lambda c: c.id)
def test_scale_effects_are_above_zero_in_the_papers_world(claim):
    assert claim.effect(PAPER | MORE) > claim.smallest


ONE_RATE = gpu({("code", m): flat(1.0, 0.1) for m in ("full", "r64")})
ONE_RATE = {k: {"target_nats": abs(math.log(RECIPES[k].config.lr / 2e-4))} for k in ONE_RATE}
OPPOSITE = {
    "LL-1b": gpu({("code", "r256"): flat(1.3, 0.3)}), "LL-2": gpu({("code", "r256"): flat(1.19, 0.3)}),
    "LL-3": gpu({("far", "r64"): flat(2.02, 0.4)}), "LL-4": gpu({("code", "full"): flat(1.0, 0.05)}),
    "LL-5": gpu({("code", "full"): flat(1.0, 0.01)}), "LL-5b": gpu({("math", "full"): flat(1.0, 0.5)}),
    "LL-6c": {"gpu-code-full-drop": {"forgot_nats": 0.1}},
    "LL-7": {"gpu-code-full-samples": {"samples_distinct_2": 0.7}},
    "LL-8c": {r: PAPER[r] | {"rank_mlp": 30.0, "rank_attention": 20.0} for r in arms("code", "full")},
    "LL-9b": {"gpu-code-mlp": {"target_nats": 1.4}}, "LL-10b": {"gpu-code-r256-alpha512": {"target_nats": 1.2}},
    "LL-11": ONE_RATE, "LL-12": {"gpu-code-r64-long": {"forgot_nats": 0.1}},
    "LL-12b": gpu({("math", "full"): flat(1.0, 0.9)}), "LL-13": gpu({("mix", "full"): flat(1.0, 0.3)}),
    "LL-14": {"gpu-cost": MORE["gpu-cost"] | {"ms_peer_lora": 90.0}},
    "LL-14b": {"gpu-cost": MORE["gpu-cost"] | {"peak_gib_peer_lora_small": 9.0}},
    "LL-15": {"gpu-cost": MORE["gpu-cost"] | {"ms_ours_lora": 110.0}},
    "LL-16": {"paper-code-cpt-full": {"humaneval_pass_at_1": 0.1}},
    "LL-17": {"paper-code-ift-full": {"humaneval_pass_at_1": 0.6}},
}  # fmt: skip


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.tier == "scale"], ids=lambda c: c.id)
def test_and_below_where_its_opposite_is_so(claim):
    assert claim.effect(PAPER | MORE | OPPOSITE[claim.id]) < 0
