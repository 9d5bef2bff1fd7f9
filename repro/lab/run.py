"""A run: one recipe, one seed, any number of restarts, and one record that says how its numbers came about."""

from __future__ import annotations

import json
import math
import signal
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from repro.lab import checkpoint, provenance
from repro.lab.checkpoint import TrainState
from repro.lab.data import step_seed
from repro.lab.distributed import World
from repro.lab.files import append_line, write_whole
from repro.lab.recipe import Command

SCHEMA = 1
POINTS = 60  # of a curve that a record keeps, or fewer if the record would exceed LIMIT
LIMIT = 10_000  # bytes of a record


@dataclass
class Run:
    """The folder of one run and what is written there: last.pt, metrics.jsonl, record.json and figures."""

    paper: str
    command: Command[Any]
    world: World
    save_every: int = 1000
    data: str = ""
    segments: list[dict[str, Any]] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)
    stopped: bool = False

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._steps_done = 0
        self._shown = 0.0
        self._config = json.loads(json.dumps(asdict(self.command.config)))

    @property
    def folder(self) -> Path:
        return self.command.out

    @property
    def seed(self) -> int:
        return int(self._config.get("seed", 0))

    def is_done(self) -> bool:
        """Whether the folder holds this very run, finished."""
        record = self.folder / "record.json"
        earlier = json.loads(record.read_text("utf-8")) if record.is_file() else {}
        return bool(earlier.get("done")) and earlier["config"] == self._config

    def steps(self, state: TrainState, total: int) -> Iterator[int]:
        """Yield the steps that remain, from the last checkpoint on. Saves as they pass, when the time is up, and on
        SIGTERM or Ctrl-C; then `stopped` is true and the same command goes on later."""
        self._resume(state)
        if self.world.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.world.device)
        with _terminated() as asked:
            while state.step < total:
                torch.manual_seed(step_seed(self.seed, state.step, self.world.rank))
                yield state.step
                state.step += 1
                self._steps_done += 1
                self._progress(state.step, total)
                late = time.monotonic() - self._began > 60 * self.command.minutes
                self.stopped = self._agree_now(state.step) and self.world.agree(late or bool(asked))
                self.stopped = self.stopped and state.step < total
                if state.step == total or self.stopped or state.step % self.save_every == 0:
                    self._save(state)
                if self.stopped:
                    self.say(f"stopped at step {state.step} of {total}; the same command goes on")
                    return

    def _agree_now(self, step: int) -> bool:
        """Ranks ask one another at every step on a CPU and every tenth on GPUs, where asking waits for the device."""
        return self.world.size == 1 or self.world.device.type == "cpu" or step % 10 == 0

    def _resume(self, state: TrainState) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        record = self.folder / "record.json"
        if record.is_file():
            earlier = json.loads(record.read_text("utf-8"))
            if earlier["config"] != self._config or earlier["recipe"] != self.command.recipe:
                raise SystemExit(
                    f"{self.folder} holds a run with another config; name another folder with --out, or remove it"
                )
            self.segments, self.figures = earlier["segments"], earlier["figures"]
        if (self.folder / "last.pt").is_file():
            checkpoint.load(state, self.folder / "last.pt")
        device = self.world.device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else provenance.processor()
        self.segments.append(provenance.segment(self.paper, name, torch.__version__, self.world.size))
        self.segments[-1] |= {"from_step": state.step, "to_step": state.step, "seconds": 0.0}
        if self.world.is_main and not record.is_file():
            self.write(done=False)  # so that this folder is taken

    def _save(self, state: TrainState) -> None:
        if self.world.is_main:
            self._close_segment(state.step)
            self.write(done=False)
        checkpoint.save(state, self.folder / "last.pt", self.world.is_main)
        self.world.wait()

    def _close_segment(self, step: int) -> None:
        self.segments[-1] |= {"to_step": step, "seconds": round(time.monotonic() - self._began, 3)}
        if self.world.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self.world.device) / 2**30
            self.segments[-1]["peak_gib"] = round(peak, 3)

    def log(self, step: int, **metrics: torch.Tensor | float) -> None:
        """Keep the numbers of one step. Tensors are read here, which waits for the device: call it every
        `log_every`."""
        if self.world.is_main:
            values = {k: _number(float(v)) for k, v in metrics.items()}
            append_line(self.folder / "metrics.jsonl", json.dumps({"step": step, **values}))

    def finish(self, **metrics: float) -> None:
        """The run is done: write the numbers that claims are judged by, and say them."""
        if self.world.is_main:
            self._close_segment(self.segments[-1]["to_step"])
            bad = [name for name, value in metrics.items() if not math.isfinite(value)]
            self.write(done=True, metrics=metrics)
            told = (f"{k}\N{NO-BREAK SPACE}{v:.4g}" for k, v in metrics.items())
            self.say(textwrap.fill(", ".join(told), 100))
            self.say(f"{self.folder / 'record.json'} is the record; python -m repro.{self.paper}.claims judges claims")
            if bad:
                self.say(f"not finite: {', '.join(bad)}")

    def write(self, *, done: bool, metrics: Mapping[str, float] | None = None) -> None:
        """Write record.json (DESIGN: a record)."""
        record: dict[str, Any] = {
            "schema": SCHEMA, "paper": self.paper, "recipe": self.command.recipe, "config": self._config, "done": done,
            "data": self.data, "segments": self.segments,
            "metrics": {k: _number(v) for k, v in (metrics or {}).items()},
            "curve": {}, "figures": self.figures,
        }  # fmt: skip
        rows = self._logged()
        for points in (POINTS, POINTS // 2, POINTS // 4, 2):
            record["curve"] = _curve(rows, points)
            text = json.dumps(record, indent=1, allow_nan=False) + "\n"
            if len(text) <= LIMIT:
                break
        write_whole(self.folder / "record.json", lambda file: file.write(text.encode()))

    def _logged(self) -> dict[int, dict[str, float]]:
        """The numbers logged so far by step; steps done again after a restart replace themselves."""
        path = self.folder / "metrics.jsonl"
        rows: dict[int, dict[str, float]] = {}
        for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
            with suppress(ValueError):  # a line cut off when the process was killed
                row = json.loads(line)
                rows[row["step"]] = row
        return rows

    def _progress(self, step: int, total: int) -> None:
        """A line with the time left, on the terminal every quarter of a second, in a log every 30 s."""
        now = time.monotonic()
        live = sys.stderr.isatty()
        if not self.world.is_main or (step < total and now - self._shown < (0.25 if live else 30)):
            return
        self._shown = now
        rate = self._steps_done / (now - self._began)
        left = (total - step) / rate if rate else 0
        text = f"{self.command.recipe} step {step}/{total}  {rate:.1f} steps/s  {left / 60:.1f} min left"
        print(
            f"\r\033[K{text}" if live else text, end="" if live and step < total else "\n", file=sys.stderr, flush=True
        )

    def say(self, text: str) -> None:
        """A line for people, from the main rank."""
        if self.world.is_main:
            print(text, file=sys.stderr, flush=True)


def _number(value: float | None, digits: int = 6) -> float | None:
    """A metric as JSON has it: in significant digits, null where it is not finite."""
    value = math.nan if value is None else float(value)
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def _curve(rows: Mapping[int, Mapping[str, float]], points: int) -> dict[str, list[float | None]]:
    """The logged numbers by name, all as long as `step`, thinned to about `points` and to the digits that a plot
    shows."""
    steps = sorted(rows)
    kept = steps[:: max(1, math.ceil(len(steps) / points))]
    kept += [steps[-1]] if steps and steps[-1] not in kept else []
    names = {name for row in rows.values() for name in row} - {"step"}
    curve: dict[str, list[float | None]] = {"step": list(kept)} if kept else {}
    return curve | {name: [_number(rows[s].get(name), 4) for s in kept] for name in sorted(names)}


@contextmanager
def _terminated() -> Iterator[list[int]]:
    """A list that SIGTERM or Ctrl-C puts something in, so that a run ends between two steps; a second Ctrl-C does not
    wait for that."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    try:
        before = [(number, signal.signal(number, ask)) for number in (signal.SIGTERM, signal.SIGINT)]
    except ValueError:  # not the main thread
        yield asked
        return
    try:
        yield asked
    finally:
        for number, handler in before:
            signal.signal(number, handler)
