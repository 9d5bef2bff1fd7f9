"""What the terminal shows of claims: a table of them, and each with all that belongs beside its verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from kb.render import printable, style, table
from kb.results import VERDICTS, Paper, Result


def as_json(papers: Sequence[Paper], one: bool) -> dict[str, Any]:
    """The object of `kb claims --json`; `one`: a single paper was asked for."""
    rows = [row.as_json() for paper in papers for row in paper.claims]
    return {"schema": 1} | ({"paper": papers[0].name} if one else {}) | {"claims": rows}


def claim_table(papers: Iterable[Paper], named: bool = True) -> Iterator[str]:
    """A line a claim: paper (where `named`), id, tier, verdict, stale, effect, p, says."""
    rows = [row for paper in papers for row in paper.claims]
    cells = [
        (*([row.repro] if named else []), row.id, row.tier, row.verdict, "stale" if row.stale else "", effect(row),
         f"p {number(row.p)}" if row.p is not None else "", row.says)
        for row in rows
    ]  # fmt: skip
    styles = [*(["dim"] if named else []), "bold", "dim", "=", "yellow"]
    yield from table(cells, styles, wide=7 if named else 6)


def details(paper: Paper) -> Iterator[str]:
    """A paper's claims one by one: what it says, what we measured, in what setting, on what data."""
    for row in paper.claims:
        yield ""
        verdict = style(row.verdict, row.verdict) + (style(", stale", "yellow") if row.stale else "")
        yield f"{style(row.id, 'bold')}  {verdict}  {printable(row.says)}"
        for name, told in facts(row):
            yield f"    {style(f'{name:9}', 'dim')} {printable(told)}"
    if paper.claims:
        yield ""
    yield summary(paper.claims)


def summary(rows: Sequence[Result]) -> str:
    """'3 claims: 2 holds, 1 not run; 1 stale'."""
    counts = Counter(row.verdict for row in rows)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    stale = sum(row.stale for row in rows)
    size = f"{len(rows)} claim{'' if len(rows) == 1 else 's'}"
    return (f"{size}: {told}" if told else "no claims yet") + (f"; {stale} stale" if stale else "")


def facts(row: Result) -> list[tuple[str, str]]:
    """What belongs beside a verdict, by name; nothing that is not known."""
    found = [
        ("where", row.where),
        ("the paper", row.paper),
        ("we", measured(row)),
        ("setting", row.ours),
        ("data", "; ".join(row.data)),
        ("device", "; ".join(row.devices)),
        ("tier", row.tier),
        ("runs", ", ".join(row.runs)),
        ("to run" if not row.missing else "missing", missing(row)),
        ("stale", row.why),
    ]
    return [(name, told) for name, told in found if told]


def measured(row: Result) -> str:
    """Effect, interval, p and seeds in words; empty where nothing was measured."""
    if row.expected:
        pairs = zip(row.effects, row.expected, strict=False)
        return "; ".join(exact(a) if a == b else f"{exact(a)} (expected {exact(b)})" for a, b in pairs)
    if not row.effects:
        return ""
    parts = [f"effect {effect(row)}", f"p {number(row.p)}" if row.p is not None else ""]
    parts.append(f"smallest that matters {number(row.smallest)}" if row.smallest else "")
    count = len(row.seeds)
    parts.append(f"{count} seed{'' if count == 1 else 's'}" if count else "")
    return ", ".join(filter(None, parts))


def missing(row: Result) -> str:
    """What would have to run for a verdict."""
    if row.missing or row.verdict != "not run":
        return row.missing
    return ", ".join(f"kb run {row.repro} {recipe}" for recipe in row.recipes)


def effect(row: Result) -> str:
    """'+0.12 [0.05, 0.19]': the mean over seeds and its 95 % interval; what was computed for an exact claim."""
    if row.mean is None:
        return ", ".join(number(e) for e in row.effects[:2]) + (" …" if len(row.effects) > 2 else "")
    interval = f" [{number(row.low)}, {number(row.high)}]" if row.low is not None and row.high is not None else ""
    return f"{row.mean:+.3g}{interval}" if abs(row.mean) < 1000 else f"{number(row.mean)}{interval}"


def exact(value: float) -> str:
    """A number that was computed, in the digits that the laboratory keeps."""
    return number(value) if value == int(value) else f"{value:.6g}"


def number(value: float | None) -> str:
    """Whole numbers in full, others in three significant digits."""
    if value is None:
        return ""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.1f}"
