"""Stopping, going on, and what is written on the way."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import toy
from toy import Config

from repro.lab import checkpoint
from repro.lab.distributed import World
from repro.lab.files import write_whole
from repro.lab.recipe import Command
from repro.lab.run import LIMIT, Run

HERE = Path(__file__).parent.parent
ENV = {**os.environ, "OMP_NUM_THREADS": "1"}


def values(state: checkpoint.TrainState) -> torch.Tensor:
    """Everything a checkpoint holds, in one row."""
    parts = [*state.model.state_dict().values(), *state.ema.state_dict().values()]
    for moments in state.optimizer.state_dict()["state"].values():
        parts += [moments[k] for k in sorted(moments)]
    return torch.cat([p.double().flatten() for p in parts])


def read(folder: Path) -> dict:
    return json.loads((folder / "record.json").read_text("utf-8"))


def test_stopping_and_going_on_changes_no_bit(tmp_path):
    config = Config(dropout=0.4, accum=2)
    whole = toy.main(tmp_path / "whole", config)
    stops = 0
    while stops < 10:
        part = toy.main(tmp_path / "parts", config, minutes=0)
        if read(tmp_path / "parts")["done"]:
            break
        stops += 1
    assert stops == 5
    assert torch.equal(values(whole), values(part))
    one, many = read(tmp_path / "whole"), read(tmp_path / "parts")
    assert one["metrics"] == many["metrics"] and one["curve"] == many["curve"]
    assert [(s["from_step"], s["to_step"]) for s in many["segments"]] == [(i, i + 1) for i in range(6)]


def test_dropout_differs_from_step_to_step_and_seed_to_seed(tmp_path):
    a, b = (toy.main(tmp_path / str(s), Config(dropout=0.4, seed=s, steps=1)) for s in (0, 1))
    assert not torch.equal(values(a), values(b))
    seen = []
    toy.main(tmp_path / "c", Config(), each=lambda step: seen.append(torch.rand(()).item()))
    assert len(set(seen)) == 6


def test_a_stop_in_the_middle_says_so_and_keeps_no_result(tmp_path, capsys):
    toy.main(tmp_path, minutes=0)
    record = read(tmp_path)
    assert record["done"] is False and record["metrics"] == {}
    assert "stopped at step 1 of 6" in capsys.readouterr().err


@pytest.mark.parametrize("other", [{"lr": 0.02}, {"seed": 1}, {"betas": (0.8, 0.999)}])
def test_another_config_in_the_same_folder_is_refused(tmp_path, other):
    toy.main(tmp_path, minutes=0)
    before = (tmp_path / "last.pt").read_bytes(), (tmp_path / "record.json").read_bytes()
    with pytest.raises(SystemExit, match="another config"):
        toy.main(tmp_path, replace(Config(), **other))
    assert before == ((tmp_path / "last.pt").read_bytes(), (tmp_path / "record.json").read_bytes())


def test_a_run_killed_before_its_first_checkpoint_is_refused_another_config_too(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        toy.main(tmp_path, each=_interrupt)
    assert not (tmp_path / "last.pt").exists()
    with pytest.raises(SystemExit, match="another config"):
        toy.main(tmp_path, Config(lr=0.02))


def _interrupt(step: int) -> None:
    raise KeyboardInterrupt


def test_a_checkpoint_with_a_part_missing_or_more_is_an_error(tmp_path):
    toy.main(tmp_path)
    state = toy.make(Config())
    for change in ({"ema": None}, {"model": {}}, {"model": {"extra": torch.zeros(1)}}):
        parts = torch.load(tmp_path / "last.pt", weights_only=True)
        parts = {k: v for k, v in (parts | change).items() if v is not None}
        torch.save(parts, tmp_path / "bad.pt")
        with pytest.raises((ValueError, RuntimeError)):
            checkpoint.load(state, tmp_path / "bad.pt")


KILL = """
import sys, os
from pathlib import Path
import torch, toy
from repro.lab import checkpoint
out, point = Path(sys.argv[1]), sys.argv[2]
state = toy.make(toy.Config()); state.step = 2
with torch.no_grad():
    state.model[0].weight.fill_(2.0)
def die(*a, **k): os.kill(os.getpid(), 9)
save = torch.save
if point == "begin": torch.save = die
if point == "half":
    def torn(parts, file):
        import io
        whole = io.BytesIO(); save(parts, whole); data = whole.getvalue()
        file.write(data[:len(data) // 2]); file.flush(); die()
    torch.save = torn
if point == "sync": os.fsync = die
if point == "replace": os.replace = die
checkpoint.save(state, out / "last.pt")
if point == "after": die()
"""


@pytest.mark.parametrize("point", ["begin", "half", "sync", "replace", "after"])
def test_a_process_killed_while_saving_leaves_the_old_file_or_the_new_one(tmp_path, point):
    state = toy.make(Config())
    state.step = 1
    checkpoint.save(state, tmp_path / "last.pt")
    env = ENV | {"PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, [ENV.get("PYTHONPATH")])])}
    ended = subprocess.run([sys.executable, "-c", KILL, str(tmp_path), point], env=env, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    kept = toy.make(Config(seed=5))
    checkpoint.load(kept, tmp_path / "last.pt")
    assert kept.step == (2 if point == "after" else 1)
    assert bool((kept.model[0].weight == 2).all()) == (point == "after")
    checkpoint.save(state, tmp_path / "last.pt")  # what was left over is in nobody's way


def test_sigterm_is_a_clean_stop_and_the_same_command_goes_on(tmp_path):
    command = [sys.executable, str(HERE / "toy.py"), str(tmp_path / "run"), "0.02"]
    steps = []
    for _ in range(2):
        log = tmp_path / "run/metrics.jsonl"
        known = log.stat().st_size if log.is_file() else 0
        process = subprocess.Popen(command, env=ENV, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while (not log.is_file() or log.stat().st_size <= known + 100) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0 and "the same command goes on" in err
        record = read(tmp_path / "run")
        assert record["done"] is False
        steps.append(record["segments"][-1]["to_step"])
        assert torch.load(tmp_path / "run/last.pt", weights_only=True)["step"] == steps[-1]
    assert 0 < steps[0] < steps[1]
    assert record["segments"][1]["from_step"] == steps[0]


def test_a_record_has_its_schema_and_stays_small(tmp_path):
    toy.main(tmp_path, Config(steps=2))
    with open(tmp_path / "metrics.jsonl", "w") as file:
        for step in range(10_000):
            numbers = {"loss": 1 / (step + 1.1), "grad_norm": math.sqrt(step + 0.1), "third": step * 1.23456789}
            file.write(json.dumps({"step": step, **numbers}) + "\n")
        file.write('{"step": 10000, "lo')  # cut off
    run = Run("toy", Command("toy", Config(), tmp_path, 1), World(0, 1, torch.device("cpu")), data="numbers")
    run.segments = read(tmp_path)["segments"] * 6
    run.figures = ["toy-s0.png"]
    run.write(done=True, metrics={"loss": 0.123456789, "bad": math.nan})
    record = read(tmp_path)
    assert (tmp_path / "record.json").stat().st_size <= LIMIT
    wanted = {"schema", "paper", "recipe", "config", "done", "data", "segments", "metrics", "curve", "figures"}
    assert set(record) == wanted and record["schema"] == 1
    assert set(record["segments"][0]) >= {
        *("commit", "dirty", "source", "command", "python", "torch", "device", "world_size", "started"),
        *("from_step", "to_step", "seconds"),
    }
    assert record["metrics"] == {"loss": 0.123457, "bad": None}
    assert record["curve"]["step"][0] == 0 and record["curve"]["step"][-1] == 9999
    assert {len(v) for v in record["curve"].values()} == {len(record["curve"]["step"])}
    assert 10 <= len(record["curve"]["step"]) <= 200
    assert record["config"]["betas"] == [0.9, 0.999]


def test_a_run_that_diverges_still_writes_valid_json(tmp_path, capsys):
    run = Run("toy", Command("toy", Config(), tmp_path, 1), World(0, 1, torch.device("cpu")))
    state = toy.make(Config())
    for step in run.steps(state, 2):
        run.log(step, loss=math.nan if step else 1.0)
    run.finish(loss=math.inf, fine=1.0)
    text = (tmp_path / "record.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    assert read(tmp_path)["curve"]["loss"] == [1.0, None]
    assert "not finite: loss" in capsys.readouterr().err


def test_a_finished_run_asked_again_trains_no_further(tmp_path):
    first = toy.main(tmp_path)
    again = toy.main(tmp_path)
    assert torch.equal(values(first), values(again)) and read(tmp_path)["done"]
    assert sum(s["to_step"] - s["from_step"] for s in read(tmp_path)["segments"]) == 6


def test_checkpoints_are_saved_on_the_way(tmp_path):
    kept = []
    toy.main(tmp_path, save_every=2, each=lambda step: kept.append((tmp_path / "last.pt").is_file()))
    assert kept == [False, False, True, True, True, True]


def test_a_rate_that_a_graph_reads_stays_where_it_is(tmp_path):
    def made(lr: float) -> checkpoint.TrainState:
        model = torch.nn.Linear(2, 2)
        return checkpoint.TrainState(model, torch.optim.Adam(model.parameters(), lr=torch.tensor(lr)))

    checkpoint.save(made(0.25), tmp_path / "last.pt")
    state = made(1.0)
    rate = state.optimizer.param_groups[0]["lr"]
    checkpoint.load(state, tmp_path / "last.pt")
    assert state.optimizer.param_groups[0]["lr"] is rate and rate.item() == 0.25


def test_a_line_that_was_cut_off_does_not_swallow_the_next(tmp_path):
    run = Run("toy", Command("toy", Config(), tmp_path, 1), World(0, 1, torch.device("cpu")))
    state = toy.make(Config())
    for step in run.steps(state, 3):
        run.log(step, loss=1.0 + step)
        if step == 1:  # a full disk took half of this line
            log = tmp_path / "metrics.jsonl"
            log.write_bytes(log.read_bytes()[:-6])
    run.finish(loss=0.0)
    assert read(tmp_path)["curve"] == {"step": [0, 2], "loss": [1.0, 3.0]}


def test_a_file_that_could_not_be_written_is_the_old_one_with_nothing_beside_it(tmp_path):
    write_whole(tmp_path / "a", lambda file: file.write(b"old"))

    def full(file):
        file.write(b"ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError):
        write_whole(tmp_path / "a", full)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"old")]
