"""`kb results`: what papers report (`results:` of their notes) beside what our runs measured, as one table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import mean, stdev
from typing import Any

from kb.ids import fold
from kb.library import Library
from kb.note import PAGE, Note
from kb.render import printable, style, table
from kb.results import Paper, Record

FIRST = 4  # of our numbers a recipe, where nobody asked for one; records begin with those that matter most
_SHOWN = ("task", "data", "metric")


def reported(library: Library, words: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Rows that hold all of the words in their note, task, data, metric or recipe: those of the papers by note, then
    ours. `by` is `paper` or `us`; of ours `value` is the mean over `seeds`, with `sd` where there are several, and
    `ours` says how our setting is smaller than the paper's, `stale` that the code has changed since."""
    notes = list(library.index.notes("instr(meta, '\"results\"') OR instr(meta, '\"repro\"')"))
    notes = [note for note in notes if note.kind != PAGE]
    rows = [row for note in notes for row in _of_paper(note)]
    named = {str(note.meta["repro"]): note for note in notes if note.meta.get("repro")}
    for paper in library.results.papers.values():
        if paper.own or paper.name in named:
            rows += _of_ours(library, paper, named.get(paper.name))
    sought = [fold(word) for text in words for word in text.split()]
    return [row for row in rows if all(word in _hay(row) for word in sought)]


def _hay(row: dict[str, Any]) -> str:
    return fold(" ".join(str(row.get(k, "")) for k in ("note", "title", "repro", "recipe", *_SHOWN, "by")))


def _of_paper(note: Note) -> Iterator[dict[str, Any]]:
    for given in note.meta.get("results") or []:
        row: dict[str, Any] = {"by": "paper", "note": note.id, "title": note.title}
        row |= {str(key): value for key, value in given.items() if key not in row and value != ""}
        yield row | ({"value": _number(str(given["value"]))} if given.get("value") else {})


def _number(text: str) -> float | int | str:
    """A value as a number where it is one: '3.17' but not '9.46 ± 0.11'."""
    try:
        found = float(text)
    except ValueError:
        return text
    return int(found) if text.lstrip("+-").isdigit() else found if math.isfinite(found) else text


def _of_ours(library: Library, paper: Paper, note: Note | None) -> Iterator[dict[str, Any]]:
    recipes: dict[str, list[Record]] = {}
    for record in paper.records.values():
        if record.done:
            recipes.setdefault(record.recipe, []).append(record)
    for recipe, records in recipes.items():
        about = _about(library, paper, note, recipe, records)
        for metric in dict.fromkeys(name for record in records for name in record.metrics):
            values = [(record.seed, record.metrics.get(metric)) for record in records]
            found = sorted((seed, value) for seed, value in values if value is not None)
            if found:
                numbers = [value for _, value in found]
                spread = {"sd": float(f"{stdev(numbers):.6g}")} if len(numbers) > 1 else {}
                value = {"metric": metric, "value": float(f"{mean(numbers):.6g}")} | spread
                yield about | value | {"seeds": [seed for seed, _ in found]}


def _about(library: Library, paper: Paper, note: Note | None, recipe: str, records: list[Record]) -> dict[str, Any]:
    """What belongs beside every number of ours: where it comes from and how it is smaller than the paper's."""
    claims = [row for row in paper.listed if recipe in row.recipes]
    if note is None and (name := next((row.note for row in claims if row.note), "")):
        path = library.index.resolve(name)
        note = next(library.index.notes("path = ?", (path,)), None) if path else None
    row = {
        "by": "us",
        "note": note.id if note else "",
        "title": note.title if note else "",
        "repro": paper.name,
        "recipe": recipe,
        "data": "; ".join(dict.fromkeys(record.data for record in records if record.data)),
        "ours": "; ".join(dict.fromkeys(part for claim in claims for part in claim.ours.split("; ") if part)),
        "device": "; ".join(dict.fromkeys(s.device for record in records for s in record.segments)),
        "stale": paper.source != "" and any(record.sources != {paper.source} for record in records),
    }
    return {key: value for key, value in row.items() if value}


def lines(rows: Sequence[dict[str, Any]], most: int = 0) -> Iterator[str]:
    """What `kb results` prints: the papers' numbers, then ours, each under a heading that says whose they are; of ours
    at most `most` a recipe, and how to see the others."""
    told = [row for row in rows if row["by"] == "paper"]
    if told:
        yield style("What the papers report", "bold")
        yield from table([_paper_cells(row) for row in told], ("cyan", "dim", "", "", "bold", "dim"), wide=2)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in (row for row in rows if row["by"] == "us"):
        groups.setdefault((row["repro"], row["recipe"]), []).append(row)
    if groups:
        yield from [""] if told else []
        yield style("What we measured, smaller than the papers' own settings where that is said", "bold")
    for (repro, recipe), found in groups.items():
        about = [found[0].get(key, "") for key in ("ours", "data", "device")]
        stale = style(", stale: the code has changed since", "yellow") if found[0].get("stale") else ""
        setting = style(printable("; ".join(filter(None, about))), "dim")
        yield f"  {style(f'{repro} {recipe}', 'cyan')}{stale}  {setting}"
        shown = found[: most or None]
        yield from table([_our_cells(row) for row in shown], ("", "bold", "dim"))
        if more := len(found) - len(shown):
            yield style(f"    and {more} more: kb results {repro} {recipe}", "dim")


def _paper_cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (f"  {row['note']}", *(str(row.get(k, "")) for k in (*_SHOWN, "value", "where")))


def _our_cells(row: dict[str, Any]) -> tuple[str, str, str]:
    spread = f" ± {row['sd']:.2g}" if "sd" in row else ""
    count = len(row["seeds"])
    return f"    {row['metric']}", f"{row['value']:.4g}{spread}", f"{count} seed{'' if count == 1 else 's'}"
