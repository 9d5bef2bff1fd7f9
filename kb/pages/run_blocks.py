"""The runs behind claims on a page: a block a recipe, with curves, pictures, numbers and where they came from."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from kb.claims import number
from kb.pages.plot import label, plot
from kb.results import Record

_OPEN = 3  # blocks that are open where there are no more of them
_FEW = 24  # numbers of a run that are shown without a click


def figure_uri(record: Record, figure: Path) -> str:
    """The place of a picture on the site, as a path under notes/."""
    return f"assets/repro/{record.repro}/{figure.name}"


def blocks(records: Sequence[Record], source: str | None) -> str:
    """All runs, a block a recipe. `source` is today's hash of the code."""
    ordered = sorted(records, key=lambda r: (r.recipe, r.seed))
    groups = [list(group) for _, group in groupby(ordered, lambda r: r.recipe)]
    return "\n".join(_block(group, source, n == 0 or len(groups) <= _OPEN) for n, group in enumerate(groups))


def _block(records: list[Record], source: str | None, is_open: bool) -> str:
    recipe, data = records[0].recipe, "; ".join(sorted({r.data for r in records if r.data}))
    seeds = ", ".join(str(r.seed) for r in records)
    minutes = number(float(f"{sum(r.minutes for r in records):.2g}"))
    devices = ", ".join(dict.fromkeys(s.device for r in records for s in r.segments))
    told = f"seed{'s' if len(records) > 1 else ''} {seeds} · {minutes} min · {devices}"
    parts = [
        f'<details class="kb-run"{" open" if is_open else ""} data-search-exclude="true">',
        f"<summary><b>{escape(recipe)}</b><span>{escape(told)}</span></summary>",
        f'<p class="kb-run__data"><i>data</i> {escape(data)}</p>' if data else "",
        _curves(records),
        _figures(records),
        _metrics(records),
        _provenance(records, source),
        "</details>",
    ]
    return "".join(parts) + "\n"


def _curves(records: list[Record]) -> str:
    names = sorted({name for r in records for name in r.curve} - {"step"}, key=lambda n: (not n.startswith("loss"), n))
    plots = [svg for name in names if (svg := _curve(records, name))]
    if not plots:
        return ""
    keys = "".join(f'<span class="kb-key kb-key--{n % 6}">seed {r.seed}</span>' for n, r in enumerate(records))
    legend = f"<figcaption>{keys}</figcaption>" if len(records) > 1 else ""
    return f'<figure class="kb-plots"><div>{"".join(plots)}</div>{legend}</figure>'


def _curve(records: list[Record], name: str) -> str:
    curves = [
        list(zip((s or 0 for s in r.curve.get("step", [])), r.curve.get(name, []), strict=False)) for r in records
    ]
    values = [[y for _, y in curve if y is not None] for curve in curves]
    ends = "; ".join(
        f"seed {r.seed} from {number(ys[0])} to {number(ys[-1])}" for r, ys in zip(records, values, strict=True) if ys
    )
    return plot(curves, "step", label(name), f"{label(name)} over steps, {records[0].recipe}: {ends}")


def _figures(records: list[Record]) -> str:
    shown = [_figure(r, figure) for r in records for figure in r.figures]
    return f'<div class="kb-pictures">{"".join(shown)}</div>' if shown else ""


def _figure(record: Record, figure: Path) -> str:
    what = figure.stem.removeprefix(record.name).strip("-_").replace("-", " ").replace("_", " ")
    told = escape(", ".join(filter(None, (what, f"seed {record.seed}"))))
    uri = f'"kb:{escape(figure_uri(record, figure))}"'
    image = f'<a href={uri}><img src={uri} alt="{escape(record.recipe)}: {told}" loading="lazy"></a>'
    return f'<figure class="kb-picture">{image}<figcaption>{told}</figcaption></figure>'


def _metrics(records: list[Record]) -> str:
    """A row a metric, a column a seed."""
    names = list(dict.fromkeys(name for r in records for name in r.metrics))
    if not names:
        return ""
    head = "".join(f"<th>seed {r.seed}</th>" for r in records)
    rows = [
        f"<tr><th>{escape(label(name))}</th>"
        + "".join(f'<td class="kb-value">{_metric(r, name)}</td>' for r in records)
        + "</tr>"
        for name in names
    ]
    table = _table("kb-metrics", f"<th>metric</th>{head}", rows)
    return (
        table
        if len(names) <= _FEW
        else f'<details class="kb-more"><summary>{len(names)} numbers</summary>{table}</details>'
    )


def _metric(record: Record, name: str) -> str:
    value = record.metrics.get(name)
    return number(value) if value is not None else "not finite" if name in record.metrics else ""


def _provenance(records: list[Record], source: str | None) -> str:
    names = ("seed", "steps", "minutes", "device", "torch", "commit", "code", "peak GiB")
    origins = [_origin(r, source) for r in records]
    kept = [n for n in range(len(names)) if any(cells[n] for cells in origins)]
    head = "".join(f"<th>{names[n]}</th>" for n in kept)
    rows = [f"<tr>{''.join(f'<td>{cells[n]}</td>' for n in kept)}</tr>" for cells in origins]
    commands = dict.fromkeys(s.command for r in records for s in r.segments if s.command)
    told = "\n".join(escape(command) for command in commands)
    code = f'<pre class="kb-run__commands"><code>{told}</code></pre>' if told else ""
    return _table("kb-origin", head, rows) + code


def _origin(record: Record, source: str | None) -> tuple[str, ...]:
    segments = record.segments
    commits = dict.fromkeys(s.commit[:7] + (" with changes" if s.dirty else "") for s in segments)
    codes = dict.fromkeys(s.source[:8] for s in segments)
    old = source != "" and record.sources != {source}
    stale = ' <span class="kb-chip kb-verdict--stale">older code</span>' if old else ""
    devices = dict.fromkeys(f"{s.world_size} × {s.device}" if s.world_size > 1 else s.device for s in segments)
    peak = max((s.peak_gib for s in segments if s.peak_gib is not None), default=None)
    return (
        str(record.seed),
        f"{record.steps:,}" + ("" if record.done else " (not finished)"),
        number(float(f"{record.minutes:.2g}")) + (f" in {len(segments)} parts" if len(segments) > 1 else ""),
        escape(", ".join(devices)),
        escape(", ".join(dict.fromkeys(s.torch for s in segments))),
        f"<code>{escape(', '.join(commits))}</code>" if any(commits) else "",
        f"<code>{escape(', '.join(codes))}</code>{stale}",
        number(peak),
    )


def _table(kind: str, head: str, rows: list[str]) -> str:
    table = f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return f'<div class="kb-scroll" tabindex="0">{table}</div>'
