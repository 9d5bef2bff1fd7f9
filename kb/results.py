"""Claims with their verdicts and the records behind them, read as data from `repro/<paper>/results.json` and
`repro/<paper>/runs/*.json`: in the vault, else in the installed laboratory. What is damaged becomes a Problem."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from kb.json_file import JsonFile
from kb.problem import KbError, Problem
from kb.record_rules import check_record, check_schema
from kb.source import homes, installed, source_hash

__all__ = ["Paper", "Record", "Result", "Results", "Segment", "source_hash"]

VERDICTS = ("holds", "fails", "equivalent", "unclear", "not run")
TIERS = ("exact", "robust", "scale")
_COMMON = {"lab"}  # folders of repro/ that are no paper


@dataclass(frozen=True)
class Result:
    """A claim and what our runs say of it. `repro` is the paper's folder, `paper` what the paper reports, `ours` how
    our setting is smaller; `stale` is kb's own finding, with `why`."""

    repro: str
    id: str
    says: str
    where: str
    paper: str
    ours: str
    tier: str
    verdict: str
    note: str = ""
    recipes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    effects: tuple[float, ...] = ()
    expected: tuple[float, ...] = ()
    mean: float | None = None
    p: float | None = None
    low: float | None = None
    high: float | None = None
    smallest: float | None = None
    missing: str = ""
    stale: bool = False
    why: str = ""
    runs: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    line: int = 0

    def as_json(self) -> dict[str, Any]:
        """A row of `kb claims --json`; what is not known is absent."""
        row = {k: list(v) if isinstance(v, tuple) else v for k, v in vars(self).items() if k != "line"}
        lists = ("recipes", "seeds", "effects", "runs")
        return {k: v for k, v in row.items() if k in lists or v not in (None, "", [])}


@dataclass(frozen=True)
class Segment:
    """One stretch of a run, from a start to a stop."""

    commit: str
    dirty: bool
    source: str
    command: str
    python: str
    torch: str
    device: str
    world_size: int
    started: str
    from_step: int
    to_step: int
    seconds: float
    peak_gib: float | None = None


@dataclass(frozen=True)
class Record:
    """What one run left. A metric that is not finite is None; `curve` has lists of one length, `step` among them."""

    repro: str
    name: str
    path: Path
    recipe: str
    seed: int
    done: bool
    data: str
    config: dict[str, Any]
    segments: tuple[Segment, ...]
    metrics: dict[str, float | None]
    curve: dict[str, list[float | None]]
    figures: tuple[Path, ...]

    @property
    def sources(self) -> set[str]:
        return {segment.source for segment in self.segments}

    @property
    def steps(self) -> int:
        return max((segment.to_step for segment in self.segments), default=0)

    @property
    def minutes(self) -> float:
        return sum(segment.seconds for segment in self.segments) / 60


_CLAIM = {
    "id": "text!", "says": "text!", "where": "text", "paper": "text", "ours": "text", "tier": "text!",
    "verdict": "text!", "note": "text", "recipes": "texts", "seeds": "wholes", "effects": "numbers",
    "expected": "numbers", "mean": "number", "p": "number", "low": "number", "high": "number", "smallest": "number",
    "missing": "text", "stale": "flag", "runs": "texts", "devices": "texts", "data": "texts",
}  # fmt: skip
_RECORD = {
    "paper": "text!", "recipe": "text!", "config": "mapping!", "done": "flag!", "data": "text", "segments": "mappings!",
    "metrics": "measures!", "curve": "curve!", "figures": "texts!",
}  # fmt: skip
_SEGMENT = {
    "commit": "text", "dirty": "flag", "source": "text!", "command": "text", "python": "text", "torch": "text",
    "device": "text!", "world_size": "whole", "started": "text", "from_step": "whole!", "to_step": "whole!",
    "seconds": "number!", "peak_gib": "number",
}  # fmt: skip
_UNSAID = {"commit": "", "dirty": False, "command": "", "python": "", "torch": "", "world_size": 1, "started": ""}


class Paper:
    """One folder of repro/, read when asked. `own` is false for one that only the installed laboratory has."""

    def __init__(self, root: Path, folder: Path, own: bool) -> None:
        self.root, self.folder, self.own, self.name = root, folder, own, folder.name

    def path(self, file: Path) -> str:
        """A file's path as a Problem names it."""
        return (file.relative_to(self.root) if file.is_relative_to(self.root) else file).as_posix()

    @cached_property
    def records(self) -> dict[str, Record]:
        """The records that can be read, by recipe and seed: `smoke-s0`."""
        return {record.name: record for record, _ in self._read_records if record is not None}

    @cached_property
    def problems(self) -> list[Problem]:
        """What is wrong with the files, without a look at the code."""
        found = [*self._rows[1], *(p for _, problems in self._read_records for p in problems), *self._missing_runs()]
        return sorted(found)

    @cached_property
    def source(self) -> str | None:
        """Today's hash of the code; empty where there is no code, None where it cannot be read."""
        return self._code[0]

    @property
    def code_problem(self) -> Problem | None:
        """Why the code cannot be read."""
        return self._code[1]

    @cached_property
    def _code(self) -> tuple[str | None, Problem | None]:
        try:
            return source_hash(self.root, self.name), None
        except SyntaxError as error:
            path, line, message = self.path(Path(error.filename or self.folder)), error.lineno or 0, error.msg
        except (OSError, ValueError, RecursionError) as error:
            path, line, message = self.path(self.folder), 0, str(error)
        return None, Problem(path, line, "source", f"the code cannot be read: {message}", "mend it")

    @property
    def listed(self) -> list[Result]:
        """The claims in the order of the file, as it says them: without a look at the code."""
        return self._rows[0]

    @cached_property
    def claims(self) -> list[Result]:
        """The claims in the order of the file, each stale or not by today's code."""
        return [self._aged(row) for row in self.listed]

    def _aged(self, row: Result) -> Result:
        missing = [name for name in row.runs if name not in self.records]
        if missing:
            return replace(row, stale=True, why=f"its run {missing[0]} is not in runs/")
        if not row.runs or self.source == "":
            return row  # nothing ran, or no code to compare with: what the file says
        if self.source is None:
            return replace(row, stale=True, why="the code cannot be read")
        old = [name for name in row.runs if self.records[name].sources != {self.source}]
        why = f"the code has changed since {old[0]} ran" if old else ""
        return replace(row, stale=bool(old), why=why)

    @cached_property
    def _rows(self) -> tuple[list[Result], list[Problem]]:
        file = self.folder / "results.json"
        if not file.exists():
            return [], []
        json = JsonFile(file, self.path(file), "results")
        check_schema(json)
        if json.value.get("paper", self.name) != self.name:
            told = f"the claims are those of '{json.value['paper']}'"
            json.say(told, json.line_of_key("paper"), f"python -m repro.{self.name}.claims")
        rows = []
        for raw in json.rows("claims"):
            found = json.shaped(raw, _CLAIM, f"claim {raw.get('id', '?')}", json.line_of("id", raw.get("id")))
            if found is None or not self._known(json, found):
                continue
            rows.append(Result(repro=self.name, line=json.line_of("id", found["id"]), **_frozen(found)))
        return rows, json.problems

    def _known(self, json: JsonFile, row: dict[str, Any]) -> bool:
        """Whether verdict and tier are words that there are."""
        wrong = [k for k, words in (("verdict", VERDICTS), ("tier", TIERS)) if row[k] not in words]
        for key in wrong:
            told = f"claim {row['id']}: {key} '{row[key]}' is none of "
            json.say(told + ", ".join(VERDICTS if key == "verdict" else TIERS), json.line_of("id", row["id"]))
        return not wrong

    def _missing_runs(self) -> Iterator[Problem]:
        path = self.path(self.folder / "results.json")
        for row in self.listed:
            for name in row.runs:
                if not (self.folder / "runs" / f"{name}.json").is_file():
                    message = f"claim {row.id} names the run {name}, which is not in runs/"
                    yield Problem(path, row.line, "results", message, f"python -m repro.{self.name}.claims")

    @cached_property
    def _read_records(self) -> list[tuple[Record | None, list[Problem]]]:
        return [_record(self, file) for file in sorted((self.folder / "runs").glob("*.json"))]


def _record(paper: Paper, file: Path) -> tuple[Record | None, list[Problem]]:
    json = JsonFile(file, paper.path(file), "record")
    raw = json.shaped(json.value, _RECORD, "the record") if json.value else None
    if raw is None:
        return None, json.problems
    segments = []
    for n, row in enumerate(raw["segments"], 1):
        if (found := json.shaped(row, _SEGMENT, f"segment {n}", nth=n)) is None:
            return None, json.problems
        filled: dict[str, Any] = _UNSAID | found
        segments.append(Segment(**filled))
    check_record(json, raw, segments)
    seed = raw["config"].get("seed", 0)
    seed = seed if type(seed) is int else 0
    name = f"{raw['recipe']}-s{seed}"
    if file.stem != name:
        json.say(f"the file holds the run {name}", hint=f"name it {name}.json")
    if raw["paper"] != paper.name:
        json.say(f"the run is one of '{raw['paper']}'", hint=f"move it to repro/{raw['paper']}/runs")
    figures = [file.parent / figure for figure in raw["figures"]]
    for figure in [f for f in figures if f.parent != file.parent or f.suffix != ".png" or not f.is_file()]:
        figures.remove(figure)
        hint = f"python -m repro.{paper.name}.claims --keep OUT copies it"
        json.say(f"figure {figure.name} is no .png beside it", hint=hint, level="warning")
    record = Record(
        repro=paper.name, name=file.stem, path=file, recipe=raw["recipe"], seed=seed, done=raw["done"],
        data=raw.get("data", ""), config=raw["config"], segments=tuple(segments), metrics=raw["metrics"],
        curve=raw["curve"], figures=tuple(figures),
    )  # fmt: skip
    return record, json.problems


def _frozen(row: dict[str, Any]) -> dict[str, Any]:
    """A claim's fields with tuples for lists, and text where nothing was said."""
    filled = {key: row.get(key, "") for key, kind in _CLAIM.items() if kind.startswith("text") and kind != "texts"}
    return filled | {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}


class Results:
    """Every paper with a reproduction, by the name of its folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def papers(self) -> dict[str, Paper]:
        """The vault's own papers and those of the installed laboratory that the vault lacks."""
        found: dict[str, Paper] = {}
        own = self.root / "repro"
        for home in dict.fromkeys((own, *installed())):
            for folder in sorted(home.iterdir()) if home.is_dir() else ():
                if folder.name not in found and _is_paper(folder):
                    found[folder.name] = Paper(self.root, folder, home == own)
        return dict(sorted(found.items()))

    def find(self, name: str) -> Paper:
        """The paper of a folder's name."""
        if paper := self.papers.get(name):
            return paper
        known = ", ".join(self.papers) or "none yet"
        raise KbError(f"no reproduction '{name}'; there are: {known}")

    def has(self, name: str) -> bool:
        """Whether `repro:` of a note may say this name."""
        return name.isidentifier() and any((home / name).is_dir() for home in homes(self.root))


def _is_paper(folder: Path) -> bool:
    holds = ("results.json", "runs", "train.py", "config.py")
    return folder.name.isidentifier() and folder.name not in _COMMON and any((folder / h).exists() for h in holds)
