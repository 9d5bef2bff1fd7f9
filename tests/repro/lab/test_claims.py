"""Verdicts are computed: against scipy, against examples worked by hand, and against a changed file."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from repro.lab import claims
from repro.lab.claims import Claim, Exact, holm, judge, keep, load_runs, main, paired_t

SOURCE = "0123456789abcdef"
ROBUST = Claim(
    "A", "a is better than b", "Table 1", "2 and 1", "smaller", "robust", "foo", ("a", "b"),
    lambda m: m["a"]["score"] - m["b"]["score"], smallest=0.5,
)  # fmt: skip
EXACT = Claim("E", "so many", "§1", "3", "the same", "exact", "foo", compute=lambda: [Exact(3.0, 3.0)])


def record(recipe="a", seed=0, score=1.0, source=SOURCE, done=True, **more):
    return {
        "schema": 1, "paper": "foo", "recipe": recipe, "config": {"seed": seed}, "done": done, "data": "numbers",
        "segments": [{"source": source, "device": "a CPU"}], "metrics": {"score": score}, "curve": {}, "figures": [],
    } | more  # fmt: skip


def runs(**scores):
    """recipe -> one score a seed."""
    return {r: {s: record(r, s, v) for s, v in enumerate(values)} for r, values in scores.items()}


def verdict(a, b, claim=ROBUST):
    return judge([claim], runs(a=a, b=b), SOURCE)[0]


def test_the_test_is_scipys_paired_t_test():
    rng = random.Random(0)
    for n in (2, 3, 5, 30):
        a, b = ([rng.gauss(m, 1) for _ in range(n)] for m in (0.4, 0))
        p, low, high = paired_t([x - y for x, y in zip(a, b, strict=True)])
        theirs = stats.ttest_rel(a, b)
        interval = theirs.confidence_interval(0.95)
        assert (p, low, high) == pytest.approx((theirs.pvalue, interval.low, interval.high), rel=1e-9)


def test_effects_without_spread_are_certain():
    assert paired_t([1.0, 1.0, 1.0]) == (0.0, 1.0, 1.0) and paired_t([0.0, 0.0]) == (1.0, 0.0, 0.0)


def test_holms_correction_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([0.02]) == [0.02] and holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_makes_a_p_smaller_and_keeps_their_order(ps):
    corrected = holm(ps)
    assert all(p <= c <= 1 for p, c in zip(ps, corrected, strict=True))
    pairs = sorted(zip(ps, corrected, strict=True))
    assert all(x[1] <= y[1] for x, y in zip(pairs, pairs[1:], strict=False))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([3.0, 3.1, 2.9], [1.0, 1.1, 1.0], "holds"),
        ([1.0, 1.1, 1.0], [3.0, 3.1, 2.9], "fails"),
        ([1.0, 1.1, 1.0], [1.01, 1.1, 1.0], "equivalent"),
        ([1.3, 1.31, 1.3], [1.0, 1.0, 1.0], "equivalent"),  # certain, and too small to matter
        ([3.0, 0.0, 6.0], [1.0, 1.0, 1.0], "unclear"),  # large, and not certain
        ([1.45, 1.3, 1.6], [1.0, 1.0, 1.0], "unclear"),  # certain, yet perhaps too small
        ([3.0, 3.1], [1.0, 1.1], "not run"),  # two seeds where three are needed
        ([3.0, 3.1, 2.9], [], "not run"),
    ],
)
def test_verdicts(a, b, expected):
    row = verdict(a, b)
    assert row["verdict"] == expected
    assert ("p" in row) == (expected != "not run")


def test_a_row_says_all_that_is_needed():
    row = verdict([3.0, 3.1, 2.9], [1.0, 1.1, 1.0])
    assert {"id", "note", "says", "where", "paper", "ours", "tier", "recipes", "seeds", "effects"} <= set(row)
    assert {"mean", "p", "verdict", "stale", "runs"} <= set(row)
    assert row["effects"] == [2.0, 2.0, 1.9] and row["seeds"] == [0, 1, 2] and row["stale"] is False
    assert row["runs"] == ["a-s0", "b-s0", "a-s1", "b-s1", "a-s2", "b-s2"]
    assert row["data"] == ["numbers"] and row["devices"] == ["a CPU"]
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_runs_are_paired_by_seed():
    made = runs(a=[3.0, 13.0, 23.0, 99.0], b=[1.0, 11.1, 20.9])  # seeds differ widely, the effect hardly
    row = judge([ROBUST], made, SOURCE)[0]
    assert row["seeds"] == [0, 1, 2] and row["effects"] == [2.0, 1.9, 2.1] and row["verdict"] == "holds"


def test_the_correction_counts_the_judged_claims_of_the_tier():
    close = {"a": [2.0, 2.3, 1.6], "b": [0.0, 0.0, 0.0]}
    p = stats.ttest_1samp(close["a"], 0).pvalue
    assert 0.01 < p < 0.02
    others = [replace(ROBUST, id=f"B{i}", tier=t) for i, t in enumerate(["robust"] * 5 + ["scale"])]
    never = [replace(ROBUST, id=f"N{i}", recipes=("none",)) for i in range(50)]
    alone = judge([ROBUST, *never, EXACT], runs(**close), SOURCE)[0]
    assert alone["verdict"] == "holds" and alone["p"] == pytest.approx(p, rel=1e-2)
    rows = judge([ROBUST, *others], runs(**close), SOURCE)
    assert [r["verdict"] for r in rows] == ["unclear"] * 6 + ["holds"]
    assert rows[0]["p"] == pytest.approx(6 * p, rel=1e-2)


def test_a_verdict_from_other_code_is_stale_and_no_error():
    made = runs(a=[3.0, 3.1, 2.9], b=[1.0, 1.1, 1.0])
    made["b"][1] = record("b", 1, 1.1, source="f" * 16)
    row = judge([ROBUST], made, SOURCE)[0]
    assert row["stale"] is True and row["verdict"] == "holds"


def test_exact_claims_are_computed():
    off = replace(EXACT, id="F", compute=lambda: [Exact(3.0, 3.0), Exact(3.1, 3.0, 0.05)])
    near = replace(EXACT, id="G", compute=lambda: [Exact(3.04, 3.0, 0.05)])
    nan = replace(EXACT, id="H", compute=lambda: [Exact(math.nan, 3.0, 0.05)])
    rows = judge([EXACT, off, near], {}, SOURCE)
    assert [r["verdict"] for r in rows] == ["holds", "fails", "holds"]
    assert rows[1]["effects"] == [3.0, 3.1] and rows[1]["expected"] == [3.0, 3.0]
    assert not nan.compute()[0].holds


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.2, 3.8, "holds"), (-0.1, 4.1, "unclear"), (-0.1, 0.2, "equivalent"), (0.1, 0.4, "equivalent")],
)
def test_one_models_test_score_is_judged_by_its_bootstrap_interval(low, high, expected):
    mean = (low + high) / 2
    claim = replace(ROBUST, recipes=("a",), seeds=1, effect=lambda m: mean, interval=lambda m: (low, high))
    row = judge([claim], runs(a=[1.0]), SOURCE)[0]
    assert row["verdict"] == expected and "p" not in row and (row["low"], row["high"]) == (low, high)
    minus = replace(claim, effect=lambda m: -mean, interval=lambda m: (-high, -low))
    flipped = {"holds": "fails"}.get(expected, expected)
    assert judge([minus], runs(a=[1.0]), SOURCE)[0]["verdict"] == flipped


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=6), st.floats(0.01, 2))
def test_turning_the_effect_round_turns_the_verdict_round(effects, smallest):
    assume(len(set(effects)) > 1)
    claim = replace(ROBUST, smallest=smallest)
    zero = [0.0] * len(effects)
    one, other = verdict(effects, zero, claim), verdict(zero, effects, claim)
    turned = {"holds": "fails", "fails": "holds"}
    assert turned.get(one["verdict"], one["verdict"]) == other["verdict"]


def test_a_metric_that_no_run_has_leaves_a_claim_not_run():
    row = judge([replace(ROBUST, effect=lambda m: m["a"]["fid"])], runs(a=[1.0] * 3, b=[1.0] * 3), SOURCE)[0]
    assert row["verdict"] == "not run" and "fid" in row["missing"]


@pytest.mark.parametrize(
    "wrong",
    [{"effect": None}, {"compute": list}, {"recipes": ()}, {"seeds": 1}, {"effect": None, "recipes": ()}],
)
def test_a_claim_that_cannot_be_judged_is_refused_when_declared(wrong):
    with pytest.raises(AssertionError, match="A:"):
        replace(ROBUST, **wrong)


# Files


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "source_hash", lambda paper: SOURCE)
    (tmp_path / "runs").mkdir()
    for recipe, scores in {"a": [3.0, 3.1, 2.9], "b": [1.0, 1.1, 1.0]}.items():
        for seed, score in enumerate(scores):
            write(tmp_path / "runs" / f"{recipe}-s{seed}.json", record(recipe, seed, score))
    return tmp_path


def write(path, what):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(what))


def test_results_follow_from_the_runs_and_the_check_says_when_not(home, capsys):
    main("foo", [ROBUST, EXACT], home, [])
    written = (home / "results.json").read_text()
    assert {c["id"]: c["verdict"] for c in json.loads(written)["claims"]} == {"A": "holds", "E": "holds"}
    assert "holds" in capsys.readouterr().out
    main("foo", [ROBUST, EXACT], home, ["--check"])
    for changed in (written.replace('"holds"', '"fails"', 1), written.replace("2.0", "2.1", 1)):
        (home / "results.json").write_text(changed)
        with pytest.raises(SystemExit, match="does not follow"):
            main("foo", [ROBUST, EXACT], home, ["--check"])
        assert (home / "results.json").read_text() == changed
    (home / "results.json").write_text(written)
    write(home / "runs/a-s1.json", record("a", 1, 0.0))
    with pytest.raises(SystemExit, match="does not follow"):
        main("foo", [ROBUST, EXACT], home, ["--check"])


def test_overridden_and_unfinished_runs_count_for_nothing(home):
    write(home / "runs/a+-s7.json", record("a+", 7, 99.0))
    write(home / "runs/a-s8.json", record("a", 8, 99.0, done=False))
    assert {r: sorted(s) for r, s in load_runs(home / "runs").items()} == {"a": [0, 1, 2], "b": [0, 1, 2]}


def test_other_runs_are_judged_without_writing(home, tmp_path, capsys):
    for seed in range(3):
        write(tmp_path / f"out/a-{seed}/record.json", record("a", seed, 1.0))
        write(tmp_path / f"out/b-{seed}/record.json", record("b", seed, 3.0 + 0.01 * seed))
    write(tmp_path / "out/a-plus/record.json", record("a+", 0, 99.0))
    main("foo", [ROBUST], home, ["--runs", str(tmp_path / "out")])
    assert "fails" in capsys.readouterr().out and not (home / "results.json").exists()


def test_a_finished_run_is_kept_with_its_figures(home, tmp_path):
    out = tmp_path / "out"
    write(out / "record.json", record("c", 4, figures=["c-s4-x.png"]))
    (out / "c-s4-x.png").write_bytes(b"png")
    main("foo", [ROBUST], home, ["--keep", str(out)])
    assert (home / "runs/c-s4.json").is_file() and (home / "runs/c-s4-x.png").read_bytes() == b"png"
    write(out / "record.json", record("c", 5, done=False))
    with pytest.raises(SystemExit, match="not finished"):
        keep(out, home / "runs")


@pytest.mark.parametrize("what", ["no folder", "a file", "a cut-off record", "no record", "a list"])
def test_what_is_no_run_is_not_kept(home, tmp_path, what):
    out = tmp_path / "out"
    if what == "a file":
        out.write_text("a log")
    elif what != "no folder":
        out.mkdir()
        text = {"a cut-off record": '{"done": tr', "no record": '{"done": true}', "a list": "[1]"}[what]
        (out / "record.json").write_text(text)
    with pytest.raises(SystemExit, match="out holds no record of a run"):
        keep(out, home / "runs")


def test_of_several_runs_all_are_kept_or_none(home, tmp_path):
    before = sorted(p.name for p in (home / "runs").iterdir())
    write(tmp_path / "good/record.json", record("c", 4))
    other = record("c", 5) | {"paper": "bar"}
    write(tmp_path / "other/record.json", other)
    for bad, message in (
        ("other", "is a run of bar; python -m repro.bar.claims"),
        ("none", "holds no record of a run"),
    ):
        with pytest.raises(SystemExit, match=message):
            main("foo", [ROBUST], home, ["--keep", str(tmp_path / "good"), str(tmp_path / bad)])
        assert sorted(p.name for p in (home / "runs").iterdir()) == before
