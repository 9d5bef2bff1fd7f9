"""Results that do not follow from their runs: what JSON alone gives away, each by one wrong number in a right file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reproductions import claim, judged, record, write

from kb.checks.verdicts import beyond, unfollowed_results
from kb.library import Library

Row = dict[str, Any]
AGAIN = "(python -m repro.toy.claims)"


def told(root: Path) -> list[str]:
    (root / "notes").mkdir(exist_ok=True)
    return [f"{p.level} {p}" for p in unfollowed_results(Library(root))]


def messages(root: Path, *claims: Row, records: list[Row] | None = None, code: str = "") -> list[str]:
    """What is told of some claims beside three runs of `smoke` (or other records), without place and remedy."""
    ran = [record(seed=seed) for seed in range(3)] if records is None else records
    write(root, claims=claims, records=ran, code={"claims.py": code} if code else None)
    return [line.partition(": results: ")[2].removesuffix(f" {AGAIN}") for line in told(root)]


def test_what_follows_is_left_in_peace(tmp_path: Path) -> None:
    both = [record(recipe=recipe, seed=seed) for recipe in ("smoke", "big") for seed in (0, 1)]
    rows = [
        judged(p=0.0365),
        judged("T-2", p=0.0365, smallest=0.05),
        judged("T-3", p=0.0365, smallest=0.2, verdict="equivalent"),
        judged("T-4", p=0.0365, smallest=0.15, verdict="unclear"),
        claim("T-5", recipes=["big"], seeds=[0, 1], effects=[0.1, 0.2], needs=3),
        claim("T-6", missing="the runs have no metric 'x'"),
        claim("T-7", tier="exact", recipes=[], verdict="fails", effects=[4.0, 5.0], expected=[4.0, 5.1]),
        claim("T-8", tier="exact", recipes=[], verdict="holds", effects=[4.0], expected=[4.001]),
        claim("T-9", recipes=["never"]),
    ]
    unfinished = [record(seed=7, done=False), record(recipe="smoke+", seed=9)]
    assert messages(tmp_path, *rows, records=[*(record(seed=s) for s in range(3)), *both[2:], *unfinished]) == []


def test_the_place_and_the_remedy(tmp_path: Path) -> None:
    write(
        tmp_path,
        claims=[judged(p=0.0183), judged("T-2", p=0.0183, mean=0.5)],
        records=[record(seed=s) for s in range(3)],
    )
    assert told(tmp_path) == [
        "error repro/toy/results.json:45: results: claim T-2: mean is 0.5, and that of its effects 0.12 " + AGAIN
    ]
    assert (tmp_path / "repro/toy/results.json").read_text().split("\n")[44].strip() == '"id": "T-2",'


WRONG: list[tuple[str, Row, list[str]]] = [
    ("mean", {"mean": 0.13}, ["mean is 0.13, and that of its effects 0.12"]),
    ("no mean", {"mean": None}, ["'holds', and no mean"]),
    ("an effect too few", {"effects": [0.1, 0.14]}, ["2 effects for 3 seeds"]),
    ("p", {"p": 0.02}, ["p is 0.02, and that of its effects 0.00913"]),
    ("low", {"low": 0.08}, ["[0.08, 0.17] is not the 95 % interval of its effects"]),
    ("wide", {"low": 0.05, "high": 0.19}, ["[0.05, 0.19] is not the 95 % interval of its effects"]),
    ("verdict", {"verdict": "unclear"}, ["verdict is 'unclear', and its numbers make it 'holds'"]),
    ("fails", {"verdict": "fails"}, ["verdict is 'fails', and its numbers make it 'holds'"]),
    ("too small", {"smallest": 0.13}, ["verdict is 'holds', and its numbers make it 'unclear'"]),
    ("equivalent", {"smallest": 0.3}, ["verdict is 'holds', and its numbers make it 'equivalent'"]),
    ("seeds", {"seeds": [0, 1], "effects": [0.1, 0.14]}, ["it counts seeds 0, 1, and runs/ has seeds 0, 1, 2"]),
    (
        "runs",
        {"runs": ["smoke-s0", "smoke-s1"]},
        ["its runs are smoke-s0, smoke-s1, and its seeds and recipes make smoke-s0, smoke-s1, smoke-s2"],
    ),
    ("no runs", {"runs": []}, ["its runs are none, and its seeds and recipes make smoke-s0, smoke-s1, smoke-s2"]),
    ("device", {"devices": ["a GPU"]}, ["device is 'a GPU', and its records say 'a CPU'"]),
    ("data", {"data": []}, ["data is '', and its records say 'digits'"]),
]


@pytest.mark.parametrize(("change", "expected"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_one_wrong_number(tmp_path: Path, change: Row, expected: list[str]) -> None:
    found = messages(tmp_path, judged(**change))
    assert [line.removeprefix("claim T-1: ") for line in found][: len(expected)] == expected


def test_runs_that_came_since(tmp_path: Path) -> None:
    assert messages(tmp_path, claim()) == ["claim T-1: it counts no seed, and runs/ has seeds 0, 1, 2"]


def test_a_run_that_is_not_done_counts_for_nothing(tmp_path: Path) -> None:
    ran = [record(seed=0), record(seed=1), record(seed=2, done=False)]
    assert messages(tmp_path, judged(), records=ran) == ["claim T-1: it counts seeds 0, 1, 2, and runs/ has seeds 0, 1"]


def test_a_verdict_by_an_interval_over_test_items(tmp_path: Path) -> None:
    one = {"seeds": [0], "effects": [0.3], "mean": 0.3, "runs": ["smoke-s0"], "devices": ["a CPU"], "data": ["digits"]}
    rows = [
        claim("T-1", **one, low=0.1, high=0.5, verdict="holds"),
        claim("T-2", **one, low=-0.1, high=0.7, verdict="holds"),
        claim("T-3", **one | {"effects": [-0.3], "mean": -0.3}, low=-0.5, high=-0.1, verdict="fails"),
    ]
    assert messages(tmp_path, *rows, records=[record()]) == [
        "claim T-2: verdict is 'holds', and its numbers make it 'unclear'"
    ]


def test_holm_corrects_over_the_claims_of_a_tier(tmp_path: Path) -> None:
    """Two claims of p 0.00913 each: both become twice that; one of another tier does not count."""
    both = [judged("T-1", p=0.0183), judged("T-2", p=0.0183), judged("T-3", tier="scale")]
    assert messages(tmp_path, *both) == []
    alone = [judged("T-1"), judged("T-2", p=0.0183)]
    assert messages(tmp_path, *alone) == ["claim T-1: p is 0.00913, and that of its effects 0.0183"]


def test_exact_claims(tmp_path: Path) -> None:
    rows = [
        claim("T-1", tier="exact", recipes=[], verdict="fails", effects=[4.0], expected=[4.0]),
        claim("T-2", tier="exact", recipes=[], verdict="holds", effects=[4.0, 1.0], expected=[4.0]),
    ]
    assert messages(tmp_path, *rows, records=[]) == [
        "claim T-1: it fails, and every number is as expected",
        "claim T-2: 2 numbers, and 1 expected",
    ]


CLAIMS = """
import helper
CLAIMS = (
    Claim("T-1", "What T-1 says", "Table 1", "3.17", "toy data", "robust", ""),
    helper.Claim(id="T-2", says="What T-2 says", where=place(), paper="3.17", ours="toy " "data", tier="robust"),
)
"""


@pytest.mark.parametrize(
    ("rows", "code", "expected"),
    [
        (("T-1", "T-2"), CLAIMS, []),
        (("T-1",), CLAIMS, ["claims.py declares T-2, which is not here"]),
        (("T-1", "T-2", "T-3"), CLAIMS, ["claim T-3: claims.py does not declare it"]),
        (("T-1", "T-2", "T-3"), CLAIMS + "more = [Claim(f'T-{n}', '') for n in (3, 4)]\n", []),
        (("T-1", "T-2", "T-2"), CLAIMS, ["claim T-2: it stands there twice"]),
        (("T-1", "T-2"), CLAIMS.replace("3.17", "3.2"), ["claim T-1: `paper` is not what claims.py says",
                                                         "claim T-2: `paper` is not what claims.py says"]),
        (("T-1", "T-2"), "this is no Python", []),
    ],
)  # fmt: skip
def test_results_and_the_claims_that_are_declared(
    tmp_path: Path, rows: tuple[str, ...], code: str, expected: list[str]
) -> None:
    assert messages(tmp_path, *map(claim, rows), records=[], code=code) == expected


def test_damaged_records_are_told_once(tmp_path: Path) -> None:
    folder = write(tmp_path, claims=[judged()], records=[record(seed=s) for s in range(3)])
    (folder / "runs/smoke-s1.json").write_text("{")
    assert told(tmp_path) == []


def test_installed_papers_are_not_judged_in_a_vault_of_others(tmp_path: Path) -> None:
    assert told(tmp_path) == []


def test_student_s_t_is_that_of_the_tables() -> None:
    """Points of the two-sided 5 % and 1 % from the printed table."""
    table = {1: (12.706, 63.657), 2: (4.303, 9.925), 3: (3.182, 5.841), 4: (2.776, 4.604), 9: (2.262, 3.250)}
    table |= {10: (2.228, 3.169), 29: (2.045, 2.756), 30: (2.042, 2.750)}
    for freedom, points in table.items():
        for t, p in zip(points, (0.05, 0.01), strict=True):
            assert math.isclose(beyond(t, freedom), p, rel_tol=0.002), (freedom, t)
    assert beyond(0, 5) == 1.0


def test_the_laboratory_s_own_verdicts_follow(tmp_path: Path) -> None:
    """Rows as the laboratory makes them of random effects: nothing is told of any."""
    claims = pytest.importorskip("repro.lab.claims")
    pytest.importorskip("scipy", reason="the repro extra is not installed")
    import random

    rng = random.Random(3)
    for trial in range(12):
        size = rng.choice((3, 4, 7))
        ran = [record(seed=s, metrics={f"m{n}": rng.gauss(n / 9, 0.1) for n in range(4)}) for s in range(size)]
        declared = [
            claims.Claim(f"T-{n}", "", "", "", "", "robust", "", ("smoke",), _metric(n), smallest=rng.choice((0, 0.2)))
            for n in range(4)
        ]
        rows = claims.judge(declared, {"smoke": {s: one for s, one in enumerate(ran)}}, "feedfacefeedface")
        root = tmp_path / str(trial)
        (root / "notes").mkdir(parents=True)
        write(root, claims=json.loads(json.dumps(rows)), records=ran)
        assert told(root) == [], rows


def _metric(n: int) -> Callable[[Any], float]:
    return lambda metrics: float(metrics["smoke"][f"m{n}"])
