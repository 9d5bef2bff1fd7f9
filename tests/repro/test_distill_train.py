"""Training tiny students: restarts, micro-batches and two ranks all give one process's weights, for every method."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from repro.distillation import train as training
from repro.distillation.config import RECIPES, Config, start_config, teacher_config
from repro.distillation.data import Sums
from repro.distillation.model import Student
from repro.distillation.train import check, check_vocabulary, on_policy, train
from repro.lab import hub, provenance, tokenizers
from repro.lab.distributed import World
from repro.lab.recipe import Command

torch.set_num_threads(1)
ROOT = Path(__file__).parents[2]
ALONE = World(0, 1, torch.device("cpu"))
TINY = Config(
    task="arithmetic", digits=2, n_layers=1, d_model=16, n_heads=2, n_kv_heads=1, d_ff=24, teacher_n_layers=1,
    teacher_d_model=24, teacher_n_heads=2, teacher_n_kv_heads=2, teacher_d_ff=32, batch_size=8, start_batch=8, steps=4,
    start_steps=2, teacher_steps=2, eval_batches=2, log_every=1, lr=1e-2,
)  # fmt: skip
ARMS = {
    "sft": {"method": "sft"}, "kd": {"method": "kd", "hard": 0.25},
    "seqkd": {"method": "seqkd", "pool": 16, "beams": 2},
    "gkd": {"method": "gkd", "lambda_": 0.5, "hard": 0.25}, "minillm": {"method": "minillm"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def bases(tmp_path, monkeypatch):
    """Teachers of this test alone; and runs that do not look at git and the source anew at every start."""
    monkeypatch.setattr(training, "BASES", tmp_path / "bases")
    monkeypatch.setattr(training, "source_hash", lambda paper: "today's")
    monkeypatch.setattr(provenance, "segment", lambda *args: {"commit": "x", "source": "y", "world_size": args[-1]})


def run(out: Path, config: Config, minutes: float = float("inf")):
    return train(Command("tiny", config, out, minutes), ALONE)


def weights(state) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in state.model.parameters()])


def record(out: Path) -> dict:
    return json.loads((out / "record.json").read_text())


def same(a, b, *, exactly: bool = False) -> None:
    torch.testing.assert_close(weights(a), weights(b), rtol=0 if exactly else 1e-4, atol=0 if exactly else 1e-5)


@pytest.mark.parametrize("method", ["seqkd", "gkd", "minillm"])
def test_stopped_and_resumed_is_bitwise_the_same(tmp_path, method):
    """The teacher and the student it begins with are runs too: a command that is given no time stops inside them, and
    the same command goes on."""
    config = replace(TINY, **ARMS[method])
    whole = run(tmp_path / "whole", config)
    training.BASES = tmp_path / "other-bases"
    for _ in range(30):
        state = run(tmp_path / "cut", config, minutes=0.0)
        if record(tmp_path / "cut")["done"]:
            break
    found, other = record(tmp_path / "cut"), record(tmp_path / "whole")
    assert found["done"] and len(found["segments"]) == 4
    same(state, whole, exactly=True)
    for metrics in (found["metrics"], other["metrics"]):
        metrics.pop("ms_per_step", None)
    assert found["metrics"] == other["metrics"] and found["curve"] == other["curve"]
    assert len(list((tmp_path / "other-bases").glob("*/record.json"))) == 2


def test_a_record_holds_the_whole_set_of_measures(tmp_path):
    run(tmp_path / "a", replace(TINY, eval_batches=12))
    metrics = record(tmp_path / "a")["metrics"]
    assert set(metrics) >= {
        "data_ce_nats", "entropy_nats", "teacher_data_ce_nats", "forward_kl_data", "forward_kl_samples",
        "reverse_kl_samples", "teacher_nll_samples", "distinct_1", "distinct_2", "distinct_4", "length", "exact_match",
        "exact_match_beam", "teacher_exact_match", "ms_per_step", "excess_error_4",
    }  # fmt: skip
    assert all(value is not None for value in metrics.values())


def test_arms_share_a_teacher_and_a_beginning(tmp_path):
    assert teacher_config(TINY) == teacher_config(replace(TINY, method="sft", lr=1.0, lambda_=0.2, d_model=8, steps=99))
    assert start_config(TINY) == start_config(replace(TINY, method="seqkd", teacher_d_model=96, beams=9))
    assert teacher_config(TINY) != teacher_config(replace(TINY, seed=1)) != teacher_config(replace(TINY, digits=3))
    run(tmp_path / "a", replace(TINY, steps=1))
    kept = {p: p.stat().st_mtime_ns for p in training.BASES.rglob("last.pt")}
    run(tmp_path / "b", replace(TINY, steps=1, method="kd", divergence="reverse"))
    assert {p: p.stat().st_mtime_ns for p in training.BASES.rglob("last.pt")} == kept and len(kept) == 2


def test_of_arms_side_by_side_one_trains_the_teacher_and_the_others_wait(tmp_path, capsys):
    """Two processes in one folder would take each other's checkpoint away, and mix their curves."""
    arms = [replace(TINY, steps=1, teacher_steps=150), replace(TINY, steps=1, teacher_steps=150, method="sft")]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda arm: run(tmp_path / arm.method, arm), arms))
    (metrics,) = training.BASES.glob("teacher-*/metrics.jsonl")
    assert [json.loads(line)["step"] for line in metrics.read_text().splitlines()] == list(range(150))
    assert len(record(metrics.parent)["segments"]) == 1
    assert all(record(tmp_path / arm.method)["done"] for arm in arms)
    assert f"another run has the teacher in {metrics.parent}; waiting for it" in capsys.readouterr().err


def test_a_run_whose_time_is_up_while_it_waits_goes_on_later(tmp_path):
    run(tmp_path / "a", replace(TINY, steps=1))
    (teacher,) = training.BASES.glob("teacher-*/")
    with FileLock(teacher.with_suffix(".lock")):
        run(tmp_path / "b", replace(TINY, steps=1, method="sft"), minutes=0.01)
        assert not record(tmp_path / "b")["done"]
    run(tmp_path / "b", replace(TINY, steps=1, method="sft"))
    assert record(tmp_path / "b")["done"]


def test_a_student_begins_where_its_beginning_ended(tmp_path):
    state = run(tmp_path / "a", replace(TINY, steps=1, lr=0.0))
    began = torch.load(next(training.BASES.glob("student-*/last.pt")), weights_only=True)["model"]
    for name, value in state.model.state_dict().items():
        assert value.equal(began[name])
    again = run(tmp_path / "a", replace(TINY, steps=1, lr=0.0))  # finished: read from its folder
    same(again, state, exactly=True)


@pytest.mark.parametrize("method", ["sft", "kd", "gkd", "minillm"])
def test_micro_batches_are_one_batch(tmp_path, method):
    """Answers of unequal lengths: a mean of means would weigh the tokens of short ones more."""
    config = replace(TINY, **ARMS[method], digits=3, batch_size=16, start_batch=16)
    one, many = (
        run(tmp_path / str(n), replace(config, accum=n, start_accum=n if method == "sft" else 1)) for n in (1, 4)
    )
    same(one, many)


def test_two_ranks_are_one_process(tmp_path):
    """With masks and micro-batches: on data with some cross-entropy, and on the student's own text, which is the same
    for any number of ranks where it is not drawn at random."""
    changes = {"sample_temperature": 0.0, "lambda_": 0.5, "divergence": "jsd", "hard": 0.25, "accum": 2}
    config = replace(TINY, digits=3, seed=1, **changes)
    assert {on_policy(config, step) for step in range(config.steps)} == {True, False}
    one = run(tmp_path / "one", config)
    recipe = RECIPES["cpu-forward"].config
    arguments = {k: v for k, v in vars(config).items() if v != getattr(recipe, k)}
    given = [part for k, v in arguments.items() for part in (f"--{k if k[-1] == '_' else k.replace('_', '-')}", str(v))]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "repro.distillation.train"]
    ended = subprocess.run(
        [sys.executable, *launch, "cpu-forward", *given, "--out", "two"],
        cwd=tmp_path, text=True, timeout=180, capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert record(tmp_path / "two")["segments"][0]["world_size"] == 2
    state = torch.load(tmp_path / "two/last.pt", weights_only=True)["model"]
    got = torch.cat([state[name].flatten() for name, _ in one.model.named_parameters()])
    torch.testing.assert_close(got, weights(one), rtol=1e-4, atol=1e-5)


def test_digits_stopped_and_resumed_are_bitwise_the_same(tmp_path):
    config = Config(task="digits", temperature=4.0, d_ff=8, teacher_d_ff=16, steps=4, teacher_steps=3, batch_size=32)
    whole = run(tmp_path / "whole", config)
    for _ in range(20):
        state = run(tmp_path / "cut", config, minutes=0.0)
        if record(tmp_path / "cut")["done"]:
            break
    assert len(record(tmp_path / "cut")["segments"]) == 7
    same(state, whole, exactly=True)
    assert record(tmp_path / "cut")["metrics"] == record(tmp_path / "whole")["metrics"]
    assert (tmp_path / "whole" / record(tmp_path / "whole")["figures"][0]).stat().st_size < 200_000


def test_the_phases_of_digits_leave_the_other_nets_alone(tmp_path):
    config = Config(task="digits", d_ff=8, teacher_d_ff=16, steps=0, teacher_steps=3, batch_size=32)
    taught = run(tmp_path / "a", config)
    after = run(tmp_path / "b", replace(config, steps=3))
    for name, p in after.model.named_parameters():
        assert p.equal(dict(taught.model.named_parameters())[name]) == name.startswith("teacher")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"divergence": "jsd", "beta": 1.0}, "zero whatever the student does"),
        ({"lambda_": 1.5}, "--lambda_ 1.5 is no share"),
        ({"teacher_steps": 0}, "gkd needs a teacher: --teacher-steps of its training, or --teacher FOLDER"),
        ({"accum": 3}, "a batch of 8 does not split into 3 micro-batches on 1 ranks"),
        ({"start_accum": 5}, "a batch of 8 does not split into 5 micro-batches on 1 ranks"),
        ({"method": "seqkd", "pool": 4}, "a pool of 4 outputs holds no batch of 8"),
        ({"method": "minillm", "sample_temperature": 0.9}, "--sample-temperature means nothing to minillm, which is"),
        ({"method": "minillm", "divergence": "jsd"}, "--divergence means nothing to minillm"),
        ({"method": "minillm", "beta": 0.1}, "--beta means nothing to minillm"),
        ({"method": "minillm", "temperature": 2.0}, "--temperature means nothing to minillm"),
        ({"method": "minillm", "hard": 0.5}, "--hard means nothing to minillm"),
        ({"method": "sft", "hard": 0.5}, "--hard means nothing to sft; leave it out"),
        ({"method": "kd", "lambda_": 0.5}, "--lambda_ means nothing to kd"),
        ({"beams": 0}, "--beams means nothing to gkd"),
        ({"teacher": "x"}, "is for text"),
        ({"task": "text", "text": "nowhere"}, "nowhere"),
    ],
)
def test_what_does_not_go_together_is_said_in_one_line(tmp_path, changes, message):
    with pytest.raises(SystemExit, match=message) as caught:
        run(tmp_path / "x", replace(TINY, **changes))
    assert "\n" not in str(caught.value) and not (tmp_path / "x").exists()


def test_a_run_that_died_while_it_was_measured_can_be_ended(tmp_path, monkeypatch):
    def die(*args):
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(training, "measure", lambda config, *args: die() if config.method == "gkd" else {})
        with pytest.raises(MemoryError):
            run(tmp_path / "a", TINY)
    assert not record(tmp_path / "a")["done"]
    run(tmp_path / "a", TINY)
    found = record(tmp_path / "a")
    assert found["done"] and found["segments"][-1]["from_step"] == TINY.steps
    assert "ms_per_step" not in found["metrics"] and "exact_match" in found["metrics"]


def test_no_method_but_sft_goes_without_a_teacher():
    check(replace(TINY, method="sft", teacher_steps=0), ALONE)


def test_trap_a_teacher_of_other_tokens_is_refused(tmp_path, monkeypatch):
    """A divergence compares two predictions of one token; between two tokenizers there is none to compare."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").mkdir()
    for i in range(60):
        (tmp_path / "text" / f"{i}.txt").write_text(f"number {i} and number {i * i} " * 6)
    config = replace(TINY, task="text", text="text", prompt_len=4, new_tokens=8, teacher="theirs", eval_batches=1)
    torch.manual_seed(0)
    hub.save(Student(replace(config, d_model=32), 257).decoder, tmp_path / "theirs")
    for tokenizer, fits in ((tokenizers.of_bytes(), True), (tokenizers.train(["a b c"], 260), False)):
        (tmp_path / "theirs/tokenizer.json").write_text(tokenizer.raw.to_str())
        if fits:
            assert run(tmp_path / "good", config).step == config.steps
            continue
        with pytest.raises(
            SystemExit, match="tokens .* are not the student's .*; read text with --tokenizer"
        ) as caught:
            run(tmp_path / "bad", config)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="are not the student's"):
        check_vocabulary(tmp_path / "theirs", Sums(TINY, torch.device("cpu")))
