"""Claims, verdicts and runs on the site: pure functions from public notes and results to Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from kb.claims import measured, missing
from kb.note import Note
from kb.pages import run_blocks
from kb.pages.listing import count, front_matter, relative, src_uri
from kb.pages.public import PublicLibrary
from kb.results import TIERS, VERDICTS, Paper, Record, Result, Results

CLAIMS, REPRODUCTIONS = "claims/index.md", "reproductions/index.md"


@dataclass(frozen=True)
class Shown:
    """What the page of one note shows of one paper's reproduction."""

    paper: Paper
    note: Note
    claims: list[Result] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)


def reproductions(public: PublicLibrary, results: Results) -> list[Shown]:
    """What strangers may see: each claim with the note it names, else with those that say `repro:`. What belongs to
    private notes alone is nowhere."""
    joined = {n.path: str(n.meta["repro"]) for n in public.works if n.meta.get("repro")}
    found: dict[tuple[str, str], Shown] = {}
    for paper in results.papers.values():
        main = [public.notes[path] for path, name in joined.items() if name == paper.name]
        if not main and not paper.own:
            continue  # nobody here asked for what the installed laboratory has
        owners = [_owners(public, row, main) if paper.own else main for row in paper.listed]
        for note in {n.path: n for n in (*main, *(n for some in owners for n in some))}.values():
            mine = [row for row, some in zip(paper.claims, owners, strict=True) if note in some]
            hidden = {r for row, some in zip(paper.listed, owners, strict=True) if not some for r in row.recipes}
            found[paper.name, note.path] = Shown(paper, note, mine, _records(paper, mine, hidden, note in main))
    return sorted(found.values(), key=lambda s: (s.paper.name, s.note.path))


def _owners(public: PublicLibrary, row: Result, main: list[Note]) -> list[Note]:
    """The notes on whose pages a claim stands; a name that leads nowhere counts for none."""
    named = public.resolve(row.note) if row.note else None
    if named:
        return [named]
    return [] if row.note and public.hides(row.note) else main


def _records(paper: Paper, claims: Sequence[Result], hidden: set[str], all_of_it: bool) -> list[Record]:
    """The runs behind some claims; the note of the whole folder also has those that no hidden claim uses."""
    own = {recipe for row in claims for recipe in row.recipes}
    runs = {name for row in claims for name in row.runs}
    every = paper.records.values()
    return [r for r in every if r.name in runs or r.recipe in own or (all_of_it and r.recipe not in hidden)]


# A note's page


def section(shown: Sequence[Shown]) -> str:
    """What stands below a note's text, as Markdown; `shown` are those of the note."""
    parts = []
    for one in shown:
        title = "Reproduction" if len(shown) == 1 else f"Reproduction: {one.paper.name}"
        recipes = f"<code>kb run {one.paper.name}</code> trains the small recipe"
        parts.append(f'## {title}\n\n<p class="kb-told">{recipes} · {_told(one.claims)}</p>\n')
        if one.claims:
            parts.append(f"### Claims\n\n{claim_table(one.claims)}\n")
        if one.records:
            parts.append(f"### Runs\n\n{run_blocks.blocks(one.records, one.paper.source)}\n")
    return "\n".join(parts)


def _told(rows: Sequence[Result]) -> str:
    counts = Counter(row.verdict for row in rows)
    chips = [_chip(verdict, f"{counts[verdict]} ") for verdict in VERDICTS if counts[verdict]]
    stale = sum(row.stale for row in rows)
    return " ".join([*chips, *([_chip("stale", f"{stale} ")] if stale else [])]) or "no claims yet"


def claim_table(rows: Sequence[Result]) -> str:
    """Claims with their verdicts, each beside the paper's number and our setting."""
    names = ("Verdict", "Claim", "The paper", "We measured")
    cells = "".join(f"<th>{name}</th>" for name in names)
    head = f'<thead data-search-exclude="true"><tr>{cells}</tr></thead>'
    order = sorted(rows, key=lambda row: TIERS.index(row.tier))
    return f'<table class="kb-claims">{head}<tbody>\n' + "\n".join(_row(row) for row in order) + "\n</tbody></table>\n"


def _row(row: Result) -> str:
    told = " · ".join(escape(t) for t in (row.id, row.tier, row.where) if t)
    claim = f'{escape(row.says)} <span class="kb-claims__facts">{told}</span>'
    cells = [
        f'<td class="kb-claims__verdict">{_chip(row.verdict)}{_stale(row)}</td>',
        f'<td class="kb-claims__says">{claim}</td>',
        f'<td data-label="The paper">{escape(row.paper) or "–"}</td>',
        f'<td data-label="We measured">{_measured(row)}</td>',
    ]
    stale = ' data-stale="yes"' if row.stale else ""
    return f'<tr data-verdict="{_slug(row.verdict)}"{stale}>{" ".join(cells)}</tr>'


def _measured(row: Result) -> str:
    numbers = measured(row)
    data = _folded([escape(one) for one in row.data], "; ", 0)  # one for each seed, where seeds make their own
    facts = [("setting", escape(row.ours)), ("data", data), ("to run", _waiting(missing(row)))]
    lines = [f'<div class="kb-claims__fact"><i>{name}</i> {told}</div>' for name, told in facts if told]
    return " ".join([*([f"<b>{escape(numbers)}</b>"] if numbers else []), *lines]) or "–"


def _waiting(commands: str) -> str:
    """What is still to be run."""
    if not commands.startswith("kb run "):
        return commands
    return _folded([f"<code>{escape(command)}</code>" for command in commands.split(", ")], ", ", 2)


def _folded(items: Sequence[str], between: str, beside: int) -> str:
    """Items one after another; where more than `beside` follow the first, these behind a click."""
    if len(items) <= 1 + beside:
        return between.join(items)
    rest = between.join(items[1:])
    return f'{items[0]} <details class="kb-more"><summary>and {len(items) - 1} more</summary>{rest}</details>'


def _chip(verdict: str, before: str = "") -> str:
    return f'<span class="kb-chip kb-verdict--{_slug(verdict)}">{before}{verdict}</span>'


def _stale(row: Result) -> str:
    return f'<span class="kb-chip kb-verdict--stale" title="{escape(row.why)}">stale</span>' if row.stale else ""


def _slug(verdict: str) -> str:
    return verdict.replace(" ", "-")


def figures(shown: Sequence[Shown]) -> dict[str, Path]:
    """The pictures of all runs, by the path under notes/ that the site gives them."""
    records = (record for one in shown for record in one.records)
    return {run_blocks.figure_uri(r, figure): figure for r in records for figure in r.figures}


# Pages over all papers


def generated(shown: Sequence[Shown]) -> dict[str, str]:
    """uri -> Markdown of the pages over all reproductions; none where there is no reproduction."""
    return {CLAIMS: _overview(shown), REPRODUCTIONS: _index(shown)} if shown else {}


def nav(shown: Sequence[Shown]) -> list[object]:
    pages = [{"All claims": CLAIMS}, {"Reproductions": REPRODUCTIONS}]
    return [{"Claims": pages}] if shown else []


def _overview(shown: Sequence[Shown]) -> str:
    """Every claim, by paper. A link to a verdict leaves only that one standing: the stylesheet does it."""
    rows = [row for one in shown for row in one.claims]
    counts = Counter(_slug(row.verdict) for row in rows) + Counter({"stale": sum(row.stale for row in rows)})
    keys = [key for key in (*map(_slug, VERDICTS), "stale") if counts[key]]
    anchors = "".join(f'<span class="kb-filter" id="{key}"></span>' for key in keys)
    tiles = "".join(_tile(key, counts[key]) for key in keys)
    every = f'<a class="kb-stat kb-stat--inbox" href="#all"><b>{len(rows)}</b><span>all</span></a>'
    parts = "\n".join(_paper(one) for one in shown if one.claims)
    stats = f'<div class="kb-stats">{every}{tiles}</div>'
    body = f'<div class="kb-ledger">{anchors}{stats}\n{parts or _nothing("No claim is declared yet.")}\n</div>\n'
    return front_matter("Claims", "toc", "navigation") + body


def _tile(key: str, number: int) -> str:
    name = key.replace("-", " ")
    return f'<a class="kb-stat kb-verdict--{key}" href="#{key}"><b>{number}</b><span>{name}</span></a>'


def _paper(one: Shown) -> str:
    link = f'<a href="{relative(src_uri(one.note), CLAIMS)}">{escape(one.note.title)}</a>'
    return f"<section><h2>{link} {count(len(one.claims))}</h2>\n{claim_table(one.claims)}</section>"


def _index(shown: Sequence[Shown]) -> str:
    rows = "\n".join(_reproduction(one) for one in shown)
    body = f'<p class="kb-count">{len(shown)} of the papers here can be run</p>\n<ul class="kb-rows">\n{rows}\n</ul>\n'
    return front_matter("Reproductions", "toc", "navigation") + body


def _reproduction(one: Shown) -> str:
    title = escape(one.note.title)
    link = f'<a class="kb-row__title" href="{relative(src_uri(one.note), REPRODUCTIONS)}">{title}</a>'
    runs = len(one.records)
    facts = f"{runs} run{'' if runs == 1 else 's'} · {_devices(one.records)}" if runs else "no run yet"
    told = f'<span class="kb-row__facts"><code>kb run {one.paper.name}</code> · {facts}</span>'
    return f'<li class="kb-row">{link}<span class="kb-row__line">{told}{_told(one.claims)}</span></li>'


def _devices(records: Iterable[Record]) -> str:
    return ", ".join(dict.fromkeys(escape(s.device) for r in records for s in r.segments))


def _nothing(text: str) -> str:
    return f'<p class="kb-empty">{text}</p>'
