"""Speech-LLaMA's claims: every row is there, exact ones hold, effects have the right sign, verdicts follow."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from repro.lab.claims import main
from repro.speech_llama.claims import CLAIMS, LANGUAGES
from repro.speech_llama.config import ARMS, GPU_STRIDES, MASKS, PAPER, PAPER_MTP, RANKS, RECIPES, STRIDES, arm
from repro.speech_llama.cost import cost
from repro.speech_llama.system import stages

HOME = Path(__file__).parents[2] / "repro/speech_llama"
ROWS = {f"SL-{n}" for n in range(1, 10)} | {f"MT-{n}" for n in range(1, 7)}
EFFECT = {claim.id: claim.effect for claim in CLAIMS if claim.effect}


def test_every_row_is_declared_once():
    ids = [claim.id for claim in CLAIMS]
    assert len(set(ids)) == len(ids)
    assert {re.match(r"[A-Z]+-\d+", id)[0] for id in ids} == ROWS
    assert {c.note for c in CLAIMS if c.id.startswith("MT")} == {"speech-llama-multi-token"}
    assert {recipe for claim in CLAIMS for recipe in claim.recipes} <= set(RECIPES)


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.compute], ids=lambda c: c.id)
def test_the_exact_ones_hold(claim):
    assert [check for check in claim.compute() if not check.holds] == []


def test_the_verdicts_follow_from_the_runs():
    main("speech_llama", CLAIMS, HOME, ["--check"])


def arms(strides: dict[int, str], errors: list[float]) -> dict[str, float]:
    return {"wer" if name == "main" else f"wer_{name}": e for name, e in zip(strides.values(), errors, strict=True)}


def test_effects_are_above_zero_where_the_claim_holds():
    rise = [0.1 + 0.05 * math.log2(ms) for ms in STRIDES]
    assert EFFECT["SL-3"]({"cpu-arms": arms(STRIDES, rise)}) == pytest.approx(0.05)
    assert EFFECT["SL-3"]({"cpu-arms": arms(STRIDES, rise[::-1])}) < 0
    long = [0.1, 0.1, 0.1, 0.11]
    assert EFFECT["SL-3b"]({"gpu-strides": arms(GPU_STRIDES, [*long, 0.115])}) == pytest.approx(0.005)
    assert EFFECT["SL-3b"]({"gpu-strides": arms(GPU_STRIDES, [*long, 0.13])}) == pytest.approx(-0.01)
    ranks = arms(RANKS, [0.2, 0.1, 0.099, 0.095])
    assert EFFECT["SL-4"]({"cpu-arms": ranks}) == pytest.approx(0.3)
    assert EFFECT["SL-4"]({"cpu-arms": ranks | {"wer_r0": 0.7}}) < 0
    assert EFFECT["SL-4a"]({"cpu-arms": ranks}) == pytest.approx(0.1)
    assert EFFECT["SL-4b"]({"gpu-ranks": ranks}) == pytest.approx(0.0101 - 0.004)
    assert EFFECT["SL-4b"]({"gpu-ranks": ranks | {"wer_r32": 0.05}}) < 0
    assert (
        EFFECT["SL-4b"]({"gpu-ranks": arms(RANKS, [0.1, 0.1, 0.1, 0.05])}) < 0
    )  # nothing gained by 16, and more later
    sizes = {"gpu-encoder-s": {"wer": 0.2}, "gpu-encoder-m": {"wer": 0.15}, "gpu-encoder-l": {"wer": 0.16}}
    assert EFFECT["SL-5"](sizes) == pytest.approx(0.05) and EFFECT["SL-5b"](sizes) == pytest.approx(-0.01)
    assert EFFECT["SL-6"]({"gpu-masks": arms(MASKS, [0.1, 0.1, 0.1, 0.1, 0.15])}) == pytest.approx(0.05)
    learnt = {"alignment_r0": 0.7, "alignment_before_r0": 0.05}
    assert EFFECT["SL-7"]({"cpu-arms": learnt}) == pytest.approx(0.65)
    assert EFFECT["SL-8"]({"gpu-init": {"wer": 0.1, "wer_random": 0.9}}) == pytest.approx(0.8)
    controls = {"wer_r0": 0.2, "wer_clean_r0": 0.8, "wer_clean_r8": 0.5, "wer_plain_r0": 0.9}
    found = [EFFECT[name]({"cpu-arms": controls}) for name in ("SL-9", "SL-9b", "SL-9c")]
    assert found == pytest.approx([0.6, 0.7, 0.3])
    rates = {f"wer_{code}": 0.2 for code in LANGUAGES} | {f"wer_{code}_ctc_alone": 0.3 for code in LANGUAGES}
    assert EFFECT["SL-2"]({"gpu-languages": rates}) == pytest.approx(0.1)
    assert EFFECT["SL-2"]({"gpu-languages": rates | {"wer_en": 0.9}}) == pytest.approx(0.1)  # not of English
    assert EFFECT["SL-2"]({"gpu-languages": rates | {"wer_pl": 0.97}}) == pytest.approx(0.1 - 0.11)


def test_no_effect_breaks_where_nothing_is_wrong():
    """No error at all is an error rate of 0."""

    class Zero(dict):
        def __missing__(self, name):
            return 0.0

    for claim in CLAIMS:
        if claim.effect:
            assert math.isfinite(claim.effect({recipe: Zero() for recipe in claim.recipes}))


def test_effects_of_several_tokens_a_call():
    assert EFFECT["MT-1"]({"smoke": {"tokens_per_call": 2.2}}) == pytest.approx(0.2)
    found = {"wer": 0.1, "wer_latent4": 0.103, "wer_independent4": 0.1, "tokens_per_call_latent4": 3.0,
             "tokens_per_call_frozen4": 2.5}  # fmt: skip
    assert EFFECT["MT-2b"]({"gpu-heads": found}) == pytest.approx(0.002)
    assert EFFECT["MT-5"]({"gpu-heads": found}) == pytest.approx(0.002)
    assert EFFECT["MT-6"]({"gpu-heads": found}) == pytest.approx(0.5)

    def swept(calls: list[float], errors: list[float]) -> dict[str, float]:
        taus = ("tau99", "tau90", "tau70", "tau50")
        return {f"tokens_per_call_{t}_latent4": c for t, c in zip(taus, calls, strict=True)} | {
            f"wer_{t}_latent4": e for t, e in zip(taus, errors, strict=True)
        }

    assert EFFECT["MT-3"]({"gpu-heads": swept([1.1, 1.5, 2.0, 2.5], [0.1, 0.11, 0.12, 0.2])}) == pytest.approx(0.01)
    assert EFFECT["MT-3"]({"gpu-heads": swept([1.1, 1.5, 2.0, 2.5], [0.1, 0.11, 0.10, 0.2])}) < 0
    assert EFFECT["MT-3"]({"gpu-heads": swept([1.1, 1.5, 1.4, 2.5], [0.1, 0.11, 0.12, 0.2])}) < 0


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_say_what_they_cost(recipe):
    r = RECIPES[recipe]
    assert r.says and r.hardware and r.minutes > 0
    assert re.fullmatch(r"smoke|cpu-.+|gpu-.+|paper-.+", recipe)
    assert set(r.config.arms) <= set(ARMS) and len(set(r.config.arms)) == len(r.config.arms)
    names = [stage.name for stage in stages(r.config)]
    for name in r.config.arms:  # an arm that takes another as it stands comes after it
        earlier = arm(r.config, name).after
        assert not earlier or names.index(earlier) < names.index(name)


def test_the_papers_own_setting_is_counted():
    base, heads = cost(PAPER, 32_000), cost(PAPER_MTP, 32_000)
    assert base.encoder == 72_726_016  # "about 72 M"
    assert base.decoder == 6_738_415_616 - 32_000 * 4096  # LLaMA-7B, but for the unembedding that is its own there
    assert heads.decoder == heads.trained_of_decoder == 124_635_456
    for recipe, found in (("paper-mls", base), ("paper-mtp", heads)):
        gpus = int(RECIPES[recipe].hardware.split()[0])
        assert RECIPES[recipe].minutes == pytest.approx(found.minutes(gpus), rel=0.02)
