"""Records, checkpoints and verdicts killed at any call of the system: each is the old or the new one, whole, and the
same command goes on to the same numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import kernel
import pytest

from repro.lab import claims
from repro.lab.claims import Claim, Exact

HERE = Path(__file__).parent.parent
CLAIM = Claim("E", "so many", "§1", "3", "the same", "exact", "foo", compute=lambda: [Exact(3.0, 3.0)])


def test_a_run_killed_at_any_call_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    places = [str(HERE), str(HERE.parent / "kb"), str(HERE.parents[1])]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(places)}
    command = [sys.executable, str(HERE / "fault_runs.py"), str(tmp_path)]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-2000:]
    whole, *rows = map(json.loads, ended.stdout.splitlines())
    if whole["calls"] is None:
        pytest.skip("processes cannot be traced here")
    assert len(rows) == len(whole["calls"]) > 40
    record, step = whole["state"]["record"], whole["state"]["step"]
    assert (record["done"], step) == (True, 3)
    steps, unfinished = set(), 0
    for row in rows:
        half, after = row["half"], row["after"]
        steps.add(half["step"])
        assert half["step"] is None or half["record"]["segments"][0]["to_step"] >= half["step"], row["at"]
        unfinished += half["record"] is not None and not half["record"]["done"]
        assert (row["same"], after["step"]) == (True, 3), row["at"]
        assert {key: after["record"][key] for key in ("done", "metrics", "curve")} == {
            key: record[key] for key in ("done", "metrics", "curve")
        }, row["at"]
        segments = after["record"]["segments"]
        assert (segments[0]["from_step"], segments[-1]["to_step"]) == (0, 3)
        assert all(a["to_step"] >= b["from_step"] for a, b in zip(segments, segments[1:], strict=False)), row["at"]
        assert row["left"] == ["last.pt", "metrics.jsonl", "record.json"], row["at"]
    assert steps == {None, 1, 2, 3} and unfinished > 20


def silent(do: Callable[[], Any]) -> None:
    where = os.open(os.devnull, os.O_WRONLY)
    os.dup2(where, 1)
    os.dup2(where, 2)
    sys.stdout = sys.stderr = os.fdopen(1, "w")
    do()


def judge(home: Path, *args: str) -> None:
    claims.main("foo", [CLAIM], home, args)


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A paper with verdicts and a kept run from before, and a new run to keep."""
    monkeypatch.setattr(claims, "source_hash", lambda paper: "0" * 16)
    for place, text in (("runs", "old"), ("out", "new")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.png").write_bytes(text.encode() * 1000)
    record = {"paper": "foo", "recipe": "a", "config": {"seed": 0}, "done": True, "figures": ["a.png"], "says": "new"}
    (tmp_path / "out/record.json").write_text(json.dumps(record))
    (tmp_path / "runs/a-s0.json").write_text(json.dumps(record | {"says": "old"}))
    (tmp_path / "results.json").write_text("old\n")
    return tmp_path


KEPT = ("results.json", "runs/a-s0.json", "runs/a.png")


def test_verdicts_and_kept_runs_are_old_or_new(paper: Path) -> None:
    before = {name: (paper / name).read_bytes() for name in KEPT}
    keep = partial(judge, paper, "--keep", str(paper / "out"))
    calls = kernel.calls(partial(silent, keep))
    if calls is None:
        pytest.skip("processes cannot be traced here")
    after = {name: (paper / name).read_bytes() for name in KEPT}
    assert all(before[name] != after[name] for name in KEPT)
    seen = set()
    for at in range(1, len(calls) + 1):
        for kind in ("kill_at", "full_at"):
            for name, data in before.items():
                (paper / name).write_bytes(data)
            kernel.calls(partial(silent, keep), **{kind: at})
            now = {name: (paper / name).read_bytes() for name in KEPT}
            assert all(now[name] in (before[name], after[name]) for name in KEPT), (at, kind)
            assert now["runs/a-s0.json"] == before["runs/a-s0.json"] or now["runs/a.png"] == after["runs/a.png"], at
            seen |= {name for name in KEPT if now[name] == after[name]}
            kernel.calls(partial(silent, keep))
            assert {name: (paper / name).read_bytes() for name in KEPT} == after
            assert sorted(p.name for p in paper.rglob("*.part")) == []
    assert seen >= {"runs/a.png", "runs/a-s0.json"}


def test_a_disk_that_is_full_is_told_in_one_line(paper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("repro.lab.files.os.replace", full)
    with pytest.raises(SystemExit) as error:
        judge(paper)
    assert str(error.value) == f"{paper / 'results.json'}: No space left on device; it is as it was"
    assert ((paper / "results.json").read_text(), list(paper.rglob("*.part"))) == ("old\n", [])
    (paper / "out/a.png").unlink()
    with pytest.raises(SystemExit, match="out/a.png is not there; run the command of "):
        judge(paper, "--keep", str(paper / "out"))
    assert json.loads((paper / "runs/a-s0.json").read_text())["says"] == "old"
