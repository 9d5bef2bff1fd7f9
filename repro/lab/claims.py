"""What a paper claims, declared as data before anything runs, and what our records say of it. Imports no torch.

Three tiers. *exact*: counts, closed forms and identities, computed anew each time. *robust*: a sign with a margin that
shows at toy scale, judged from CPU records. *scale*: judged only from records of GPU runs. A verdict is computed, never
typed: seeds are paired, the test is a two-sided t-test on the paired effects, and p-values are corrected after Holm
over the paper's claims of that tier.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from repro.lab.files import write_whole
from repro.lab.provenance import source_hash

Metrics = Mapping[str, float]
Runs = dict[str, dict[int, dict[str, Any]]]  # recipe -> seed -> record
Tier = Literal["exact", "robust", "scale"]
SCHEMA = 1
ALPHA = 0.05


@dataclass(frozen=True)
class Exact:
    """One number that can be computed, what it must be, and how far it may be off."""

    value: float
    expected: float
    tolerance: float = 0.0

    @property
    def holds(self) -> bool:
        return abs(self.value - self.expected) <= self.tolerance


@dataclass(frozen=True)
class Claim:
    """One claim. `effect` takes the metrics of one seed, by recipe, to a number above zero if the claim holds; an
    effect that is not larger than `smallest` does not matter. An exact claim has `compute` instead. Where `seeds` is 1
    the claim is about one trained model's test score, and `interval` gives the bootstrap interval of the effect over
    test items. `where` is the place in the paper, `paper` its numbers, `ours` how our setting is smaller."""

    id: str
    says: str
    where: str
    paper: str
    ours: str
    tier: Tier
    note: str
    recipes: tuple[str, ...] = ()
    effect: Callable[[Mapping[str, Metrics]], float] | None = None
    smallest: float = 0.0
    seeds: int = 3
    interval: Callable[[Mapping[str, Metrics]], tuple[float, float]] | None = None
    compute: Callable[[], Sequence[Exact]] | None = None

    def __post_init__(self) -> None:
        assert (self.compute is None) != (self.effect is None), f"{self.id}: `compute` or `effect`, one of them"
        assert (self.effect is None) == (not self.recipes), f"{self.id}: an effect needs recipes"
        assert self.compute or self.interval or self.seeds >= 2, f"{self.id}: one seed needs an interval"


def load_runs(folder: Path) -> Runs:
    """The finished records of a folder by recipe and seed; runs with overridden fields (`name+`) count for nothing."""
    runs: Runs = {}
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text("utf-8"))
        if record["done"] and not record["recipe"].endswith("+"):
            runs.setdefault(record["recipe"], {})[int(record["config"].get("seed", 0))] = record
    return runs


def judge(claims: Sequence[Claim], runs: Runs, source: str) -> list[dict[str, Any]]:
    """A row of results.json for each claim. `source` is today's hash of the paper's code: a verdict from records of
    other code is stale."""
    rows = [_row(claim, runs, source) for claim in claims]
    for tier in ("robust", "scale"):
        tested = [row for row in rows if row["tier"] == tier and row.get("p") is not None]
        for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
            row["p"] = float(f"{p:.3g}")
            row["verdict"] = _verdict(row, p < ALPHA)
    return rows


def _row(claim: Claim, runs: Runs, source: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": claim.id, "note": claim.note, "says": claim.says, "where": claim.where, "paper": claim.paper,
        "ours": claim.ours, "tier": claim.tier, "recipes": list(claim.recipes), "seeds": [], "effects": [],
        "verdict": "not run", "stale": False, "runs": [],
    }  # fmt: skip
    if claim.compute is not None:
        checks = claim.compute()
        row["effects"] = [float(f"{c.value:.12g}") for c in checks]
        row["expected"] = [float(f"{c.expected:.12g}") for c in checks]
        row["verdict"] = "holds" if all(c.holds for c in checks) else "fails"
        return row
    shared = sorted(set.intersection(*(set(runs.get(recipe, {})) for recipe in claim.recipes)))
    if not shared or claim.effect is None:
        return row
    by_seed = [{recipe: runs[recipe][seed]["metrics"] for recipe in claim.recipes} for seed in shared]
    records = [runs[recipe][seed] for seed in shared for recipe in claim.recipes]
    try:
        effects = [claim.effect(metrics) for metrics in by_seed]
    except KeyError as error:
        row["missing"] = f"the runs have no metric {error}"
        return row
    if len(shared) < claim.seeds:  # seen, and too few to judge by
        return row | {"seeds": shared, "effects": [_digits(e) for e in effects], "needs": claim.seeds}
    row |= {
        "seeds": shared,
        "effects": [_digits(e) for e in effects],
        "mean": _digits(sum(effects) / len(effects)),
        "stale": any(segment["source"] != source for record in records for segment in record["segments"]),
        "runs": [f"{recipe}-s{seed}" for seed in shared for recipe in claim.recipes],
        "devices": sorted({segment["device"] for record in records for segment in record["segments"]}),
        "data": sorted({record["data"] for record in records if record.get("data")}),
        "smallest": claim.smallest,
    }
    if claim.interval is not None:
        low, high = claim.interval(by_seed[0])
        row |= {"low": _digits(low), "high": _digits(high)}
        row["verdict"] = _verdict(row, low > 0 or high < 0)
    else:
        row["p"], low, high = paired_t(effects)
        row |= {"low": _digits(low), "high": _digits(high)}
    return row


def _verdict(row: Mapping[str, Any], certain: bool) -> str:
    """*holds* and *fails* where the sign is certain and the effect matters; *equivalent* where the interval shows that
    it does not; else *unclear*."""
    smallest = row["smallest"]
    if smallest and -smallest < row["low"] and row["high"] < smallest:
        return "equivalent"
    if not certain or abs(row["mean"]) < smallest:
        return "unclear"
    return "holds" if row["mean"] > 0 else "fails"


def paired_t(effects: Sequence[float]) -> tuple[float, float, float]:
    """p of the two-sided t-test that the mean effect is zero, and the ends of its 95 % interval."""
    from scipy import stats

    n, mean = len(effects), sum(effects) / len(effects)
    spread = math.sqrt(sum((e - mean) ** 2 for e in effects) / (n - 1))
    if spread == 0:  # nothing left to chance
        return (1.0 if mean == 0 else 0.0), mean, mean
    error = spread / math.sqrt(n)
    p = 2 * float(stats.t.sf(abs(mean) / error, n - 1))
    half = float(stats.t.ppf(1 - ALPHA / 2, n - 1)) * error
    return p, mean - half, mean + half


def holm(ps: Sequence[float]) -> list[float]:
    """p-values corrected for testing all of them: the smallest times n, the next times n - 1, never falling."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    corrected, worst = [0.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, ps[i] * (len(ps) - rank)))
        corrected[i] = worst
    return corrected


def _digits(value: float) -> float:
    return float(f"{value:.6g}")


def main(paper: str, claims: Sequence[Claim], home: Path, args: Sequence[str] | None = None) -> None:
    """`python -m repro.<paper>.claims`: judge the committed runs and write results.json."""
    parser = argparse.ArgumentParser(
        f"python -m repro.{paper}.claims", description="Judge the claims from the records."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if results.json does not follow")
    parser.add_argument("--keep", type=Path, nargs="+", default=[], metavar="OUT", help="take finished runs into runs/")
    parser.add_argument("--runs", type=Path, help="judge the records below this folder instead; prints, writes nothing")
    given = parser.parse_args(args)
    for folder in given.keep:  # all of them, before any is taken
        finished(folder, paper)
    for folder in given.keep:
        keep(folder, home / "runs")
    runs = load_runs(home / "runs") if given.runs is None else found_runs(given.runs)
    rows = judge(claims, runs, source_hash(paper))
    _say(rows)
    if given.runs is not None:
        return
    text = json.dumps({"schema": SCHEMA, "paper": paper, "claims": rows}, indent=1, ensure_ascii=False) + "\n"
    results = home / "results.json"
    if not given.check:
        _put(results, text.encode())
    elif not results.is_file() or results.read_text("utf-8") != text:
        sys.exit(f"{results} does not follow from the runs; `python -m repro.{paper}.claims` writes it anew")


def keep(out: Path, runs: Path) -> None:
    """Take a finished run's record and figures from its folder into the paper's runs/."""
    record = finished(out)
    runs.mkdir(parents=True, exist_ok=True)
    for figure in record["figures"]:  # before the record that names them
        _put(runs / figure, (out / figure).read_bytes())
    name = f"{record['recipe']}-s{record['config'].get('seed', 0)}"
    _put(runs / f"{name}.json", (out / "record.json").read_bytes())


def finished(out: Path, paper: str = "") -> dict[str, Any]:
    """The record of a finished run, all of whose figures are there; of this paper, where one is named."""
    try:
        record: dict[str, Any] = json.loads((out / "record.json").read_text("utf-8"))
        own, done, figures = record["paper"], record["done"], record["figures"]
    except (OSError, ValueError, KeyError, TypeError):
        sys.exit(f"{out} holds no record of a run; name the folder that its command had in --out")
    if paper and own != paper:
        sys.exit(f"{out} is a run of {own}; python -m repro.{own}.claims --keep takes it")
    if not done:
        sys.exit(f"{out} is not finished; run its command again")
    lacking = [name for name in figures if not (out / name).is_file()]
    if lacking:
        sys.exit(f"{out / lacking[0]} is not there; run the command of {out} again in another folder")
    return record


def _put(path: Path, data: bytes) -> None:
    """All of it or the old file."""
    try:
        write_whole(path, lambda file: file.write(data))
    except OSError as error:
        sys.exit(f"{path}: {error.strerror}; it is as it was")


def found_runs(folder: Path) -> Runs:
    """The finished records of all run folders below `folder`."""
    runs: Runs = {}
    for path in sorted(folder.rglob("record.json")):
        record = json.loads(path.read_text("utf-8"))
        if record["done"] and not record["recipe"].endswith("+"):
            runs.setdefault(record["recipe"], {})[int(record["config"].get("seed", 0))] = record
    return runs


def _say(rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        stale = " (stale)" if row["stale"] else ""
        stale = f" ({len(row['seeds'])} of {row['needs']} seeds)" if "needs" in row else stale
        mean = f"  {row['mean']:.4g}" if "mean" in row else f"  {row['effects'][0]:.8g}" if row["effects"] else ""
        p = f"  p {row['p']:.2g}" if row.get("p") is not None else ""
        print(f"{row['id']:8} {row['tier']:7} {row['verdict'] + stale:23}{mean}{p}  {row['says']}")
