"""The claims of DDPM: all declared, the exact ones true, and the effects of the others right in sign."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from repro.ddpm import claims
from repro.ddpm.claims import CLAIMS
from repro.ddpm.config import RECIPES

BY_ID = {c.id: c for c in CLAIMS}
HOME = Path(claims.__file__).parent


def test_every_row_of_the_plan_is_declared():
    wanted = {f"DD-{i}" for i in range(1, 14)} | {"DD-7b"}
    assert wanted <= set(BY_ID) and len(BY_ID) == len(CLAIMS)
    assert {c.id for c in CLAIMS if c.tier == "exact"} == {"DD-7", "DD-8", "DD-12"}
    assert {c.id for c in CLAIMS if c.tier == "robust"} == {"DD-5", "DD-5b", "DD-6", "DD-6b", "DD-7b"}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.id)
def test_a_claim_names_recipes_that_exist_and_says_how_ours_is_smaller(claim):
    assert set(claim.recipes) <= set(RECIPES)
    assert claim.says and claim.where and claim.paper and claim.ours and claim.note == "ddpm"
    if claim.tier == "exact":
        assert claim.compute is not None
    else:
        assert claim.smallest > 0 and claim.seeds == 3
    if claim.tier == "robust":
        assert "CPU" in RECIPES[claim.recipes[0]].hardware
    if claim.tier == "scale":
        assert not any("CPU" in RECIPES[r].hardware for r in claim.recipes)


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.compute], ids=lambda c: c.id)
def test_the_exact_ones_hold(claim):
    assert [check for check in claim.compute() if not check.holds] == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_say_what_they_cost(recipe):
    r = RECIPES[recipe]
    assert r.says and r.hardware and r.minutes > 0
    assert re.fullmatch(r"smoke|gpu-.+|paper-.+", recipe)
    if recipe.startswith("gpu-"):
        assert r.minutes <= 9


def metrics(fd=10.0, bits=4.0, **more):
    return {"feature_fd": fd, "bits_per_dim": bits} | more


@pytest.mark.parametrize(
    ("claim", "better", "worse", "turned"),
    [("DD-2", "gpu-eps", "gpu-vlb", False), ("DD-3", "gpu-mu-vlb", "gpu-mu-mse", False),
     ("DD-11", "gpu-mu-vlb", "gpu-learned", False), ("DD-13", "gpu-eps", "gpu-x0", False)],
)  # fmt: skip
def test_distances_are_compared_in_the_claimed_direction(claim, better, worse, turned):
    effect = BY_ID[claim].effect
    assert effect({better: metrics(5.0), worse: metrics(10.0)}) == pytest.approx(math.log(2))
    assert effect({better: metrics(10.0), worse: metrics(5.0)}) == pytest.approx(-math.log(2))
    assert effect({better: metrics(5.0), worse: metrics(None)}) > 5  # it diverged
    assert effect({better: metrics(math.nan), worse: metrics(math.inf)}) == 0


def test_the_other_effects_have_the_right_sign():
    def of(claim, **m):
        return BY_ID[claim].effect({r: m for r in BY_ID[claim].recipes})

    assert of("DD-1", fid=3.17) > 0 > of("DD-1", fid=4.8)
    vlb_better = {"gpu-eps": metrics(bits=3.75), "gpu-vlb": metrics(bits=3.7)}
    assert BY_ID["DD-4"].effect(vlb_better) == pytest.approx(0.05)
    assert of("DD-5", distortion_share=0.53) == pytest.approx(0.13)
    assert of("DD-5b", rmse_255=0.95) == pytest.approx(1.05)
    assert of("DD-6", rate_last_tenth_share=0.93) == pytest.approx(0.13)
    assert of("DD-7b", bits_per_dim=4.9, bits_per_dim_fixed_small=5.1) == pytest.approx(0.2)
    assert of("DD-10", feature_fd=5.0, raw_feature_fd=10.0) == pytest.approx(math.log(2))
    errors = {f"rmse_255_t{t}": v for t, v in zip((100, 200, 300, 400, 500), (12, 18, 24, 31, 38), strict=True)}
    assert of("DD-6b", rmse_255=0.95, **errors) == pytest.approx(6)
    assert of("DD-6b", rmse_255=0.95, **errors | {"rmse_255_t300": 17.0}) < 0


def test_the_distance_along_the_chain_must_fall_everywhere():
    falling = {f"feature_fd_x0_t{i}": 10.0 + i for i in range(100, 1000, 100)} | {"feature_fd": 5.0}
    assert claims.falls(falling) > 0
    assert claims.falls(falling | {"feature_fd": 150.0}) < 0
    assert claims.falls(falling | {"feature_fd_x0_t800": 2000.0}) < 0  # above that of t900


def test_committed_results_follow_from_the_committed_runs(monkeypatch, tmp_path):
    """Whether they are stale is said where they are shown; it is no error."""
    from repro.lab.claims import judge, load_runs

    written = HOME / "results.json"
    if not written.is_file():
        pytest.skip("nothing is judged yet")
    rows = json.loads(written.read_text())["claims"]
    now = judge(CLAIMS, load_runs(HOME / "runs"), "")
    assert [{k: v for k, v in r.items() if k != "stale"} for r in rows] == [
        {k: v for k, v in r.items() if k != "stale"} for r in now
    ]
