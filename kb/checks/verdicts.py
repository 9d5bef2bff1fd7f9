"""Results that do not follow from their runs, as far as JSON alone can tell.

What an effect is, only the function in claims.py knows, and kb runs none of it: `python -m repro.<paper>.claims
--check` computes everything anew. What stands in results.json must still agree with itself, with the records beside it,
and with the claims that are declared: which seeds count, what their mean, p and interval are, which verdict that is.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Sequence
from statistics import fmean, stdev
from typing import Any

from kb.library import Library
from kb.problem import Problem
from kb.results import Paper, Result

ALPHA = 0.05  # as the laboratory has it
_CLOSE = 0.02  # relative: numbers are kept in few digits
_FIELDS = ("id", "says", "where", "paper", "ours", "tier")  # of a Claim, in its order


def unfollowed_results(library: Library) -> Iterator[Problem]:
    """Rows of results.json that the laboratory would not write today."""
    for paper in library.results.papers.values():
        if paper.own and (paper.folder / "results.json").is_file():
            for row, told in [*_against_runs(paper), *_against_claims(paper)]:
                path, hint = paper.path(paper.folder / "results.json"), f"python -m repro.{paper.name}.claims"
                line = row.line if row else 1
                yield Problem(path, line, "results", f"claim {row.id}: {told}" if row else told, hint, "error")


_Told = tuple[Result | None, str]


def _against_runs(paper: Paper) -> Iterator[_Told]:
    found: dict[str, set[int]] = {}
    for record in paper.records.values():
        if record.done:
            found.setdefault(record.recipe, set()).add(record.seed)
    judged = [row for row in paper.listed if row.recipes and not any(r not in paper.records for r in row.runs)]
    for row in judged:
        there = sorted(set.intersection(*(found.get(recipe, set()) for recipe in row.recipes)))
        if not row.missing and list(row.seeds) != there:
            yield row, f"it counts {_listed(row.seeds)}, and runs/ has {_listed(there)}"
        else:
            yield from ((row, told) for told in _of_records(paper, row))
    corrected = _corrected(judged)
    for row in judged:
        yield from ((row, told) for told in (*_numbers(row), *_statistics(row, corrected.get(row.id))))
    for row in paper.listed:
        if row.tier == "exact" and row.verdict == "fails" and row.effects and row.effects == row.expected:
            yield row, "it fails, and every number is as expected"
        if row.tier == "exact" and len(row.effects) != len(row.expected):
            yield row, f"{len(row.effects)} numbers, and {len(row.expected)} expected"


def _of_records(paper: Paper, row: Result) -> Iterator[str]:
    """What a row says of its runs and the records say otherwise."""
    named = [f"{recipe}-s{seed}" for seed in row.seeds for recipe in row.recipes]
    if row.verdict != "not run" and sorted(row.runs) != sorted(named):
        told = ", ".join(row.runs) or "none"
        yield f"its runs are {told}, and its seeds and recipes make {', '.join(named) or 'none'}"
    elif row.runs:
        records = [paper.records[name] for name in row.runs]
        devices = tuple(sorted({segment.device for record in records for segment in record.segments}))
        data = tuple(sorted({record.data for record in records if record.data}))
        for what, said, is_so in (("device", row.devices, devices), ("data", row.data, data)):
            if said != is_so:
                yield f"{what} is '{'; '.join(said)}', and its records say '{'; '.join(is_so)}'"


def _numbers(row: Result) -> Iterator[str]:
    if len(row.effects) != len(row.seeds):
        yield f"{len(row.effects)} effects for {len(row.seeds)} seeds"
    elif row.mean is not None and row.effects and abs(fmean(row.effects) - row.mean) > _slack(row.effects):
        yield f"mean is {row.mean:g}, and that of its effects {fmean(row.effects):.6g}"
    elif row.mean is None and row.verdict != "not run":
        yield f"'{row.verdict}', and no mean"


def _slack(effects: Sequence[float]) -> float:
    """How far the mean of effects in six digits may be off."""
    return 2e-5 * max(map(abs, effects)) + 1e-12


def _is_told(row: Result) -> bool:
    """Whether a row's effects, in six digits, are enough to compute its statistics from."""
    return len(row.effects) >= 2 and len(row.effects) == len(row.seeds) and row.mean is not None and row.p is not None


def _corrected(rows: Sequence[Result]) -> dict[str, float]:
    """p of each row that has one: two-sided paired t, after Holm over the rows of its tier."""
    found = {}
    for tier in ("robust", "scale"):
        tested = sorted((_p(row.effects), row.id) for row in rows if row.tier == tier and _is_told(row))
        worst = 0.0
        for rank, (p, id) in enumerate(tested):
            found[id] = worst = max(worst, min(1.0, p * (len(tested) - rank)))
    return found


def _p(effects: Sequence[float]) -> float:
    spread, mean = stdev(effects), fmean(effects)
    if spread == 0:
        return 1.0 if mean == 0 else 0.0
    return beyond(abs(mean) / (spread / math.sqrt(len(effects))), len(effects) - 1)


def beyond(t: float, freedom: int) -> float:
    """The chance of a value of Student's t at least so far from zero; for whole degrees of freedom a finite series."""
    angle = math.atan2(t, math.sqrt(freedom))
    cos = math.cos(angle)
    term, total = (cos, 0.0) if freedom % 2 else (1.0, 0.0)
    for n in range(freedom // 2):
        total += term
        term *= cos * cos * ((2 * n + 2) / (2 * n + 3) if freedom % 2 else (2 * n + 1) / (2 * n + 2))
    within = 2 / math.pi * (angle + math.sin(angle) * total) if freedom % 2 else math.sin(angle) * total
    return max(0.0, 1.0 - within)


def _statistics(row: Result, p: float | None) -> Iterator[str]:
    """What the numbers of a row make of each other: its p, its interval and its verdict."""
    certain: bool | None = None
    if p is not None and row.p is not None and row.mean is not None:
        spread = stdev(row.effects)
        exact = spread > 1e-3 * max(map(abs, row.effects)) or spread == 0  # else six digits are too few
        if exact and abs(p - row.p) > _CLOSE * max(p, row.p) + 1e-9:
            yield f"p is {row.p:g}, and that of its effects {p:.3g}"
        if exact and spread and row.low is not None and row.high is not None:
            half, error = (row.high - row.low) / 2, spread / math.sqrt(len(row.effects))
            outside = beyond(max(half, 0.0) / error, len(row.effects) - 1)
            if abs(outside - ALPHA) > _CLOSE * ALPHA or abs(row.low + half - fmean(row.effects)) > _CLOSE * half:
                yield f"[{row.low:g}, {row.high:g}] is not the 95 % interval of its effects"
        certain = None if abs(row.p - ALPHA) <= _CLOSE * ALPHA else row.p < ALPHA
    elif row.low is not None and row.high is not None:
        certain = row.low > 0 or row.high < 0  # a bootstrap over test items, which only the records' maker can redo
    if certain is not None and row.mean is not None and (right := _verdict(row, certain)) not in ("", row.verdict):
        yield f"verdict is '{row.verdict}', and its numbers make it '{right}'"


def _verdict(row: Result, certain: bool) -> str:
    """The verdict by the ledger's rule; empty where the digits do not decide it."""
    smallest, mean, low, high = row.smallest or 0.0, row.mean, row.low, row.high
    assert mean is not None
    edges = [value for value in (mean, low, high) if value is not None]
    if low is None or high is None or (smallest and any(abs(abs(v) - smallest) < 1e-4 * smallest for v in edges)):
        return ""
    if smallest and -smallest < low and high < smallest:
        return "equivalent"
    if not certain or abs(mean) < smallest:
        return "unclear"
    return "holds" if mean > 0 else "fails"


# What claims.py declares


def _against_claims(paper: Paper) -> Iterator[_Told]:
    """Claims that are declared and not listed, or listed and not declared, or in other words. Claims that a program
    makes up as it runs are passed over."""
    rows = {row.id: row for row in paper.listed}
    if len(rows) < len(paper.listed):
        twice = next(row for row in paper.listed if rows[row.id] is not row)
        yield twice, "it stands there twice"
    declared, whole = _declared(paper)
    for id, fields in declared.items():
        row = rows.get(id)
        if row is None:
            yield None, f"claims.py declares {id}, which is not here"
            continue
        for key, value in fields.items():
            if getattr(row, key) != value:
                yield row, f"`{key}` is not what claims.py says"
    if declared and whole:
        yield from ((row, "claims.py does not declare it") for id, row in rows.items() if id not in declared)


def _declared(paper: Paper) -> tuple[dict[str, dict[str, Any]], bool]:
    """The fields of each claim of claims.py that stand there as they are, by id; whether those are all claims."""
    try:
        tree = ast.parse((paper.folder / "claims.py").read_text("utf-8"))
    except (OSError, ValueError, SyntaxError, RecursionError):
        return {}, False
    found: dict[str, dict[str, Any]] = {}
    whole = True
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and _name(call.func) == "Claim":
            given = dict(zip(_FIELDS, call.args, strict=False)) | {k.arg: k.value for k in call.keywords if k.arg}
            fields = {k: v.value for k, v in given.items() if k in _FIELDS and isinstance(v, ast.Constant)}
            id = fields.pop("id", None)
            whole = whole and isinstance(id, str)
            found |= {id: fields} if isinstance(id, str) else {}
    return found, whole


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _listed(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}" if seeds else "no seed"
