"""Training a tiny MobileLLM: restarts, micro-batches, two ranks by DDP and by FSDP2 all give one process's weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from repro.lab.distributed import World
from repro.lab.recipe import Command
from repro.mobilellm import data
from repro.mobilellm.config import Config
from repro.mobilellm.measure import held_out
from repro.mobilellm.train import load_run, make_state, train

torch.set_num_threads(1)
ROOT = Path(__file__).parents[2]
ALONE = World(0, 1, torch.device("cpu"))
TINY = Config(
    tokenizer="bytes", vocab_size=257, n_layers=2, d_model=32, n_heads=4, n_kv_heads=2, d_ff=48, seq_len=24,
    batch_size=8, steps=6, warmup=2, lr=1e-2, eval_windows=5, log_every=2,
)  # fmt: skip


@pytest.fixture
def text(tmp_path, monkeypatch):
    """A folder of text with its own splits, and a cache of its own."""
    monkeypatch.setattr(data, "CACHE", tmp_path / "cache")
    for split, documents in (("train", 40), ("val", 4)):
        (tmp_path / "text" / split).mkdir(parents=True)
        for i in range(documents):
            words = " ".join(f"{split} {i * j % 17} squares to {(i * j % 17) ** 2};" for j in range(12))
            (tmp_path / "text" / split / f"{i}.txt").write_text(words)
    return str(tmp_path / "text")


def run(out: Path, config: Config, minutes: float = float("inf")):
    return train(Command("tiny", config, out, minutes), ALONE)


def weights(state) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in state.model.parameters()])


def test_it_learns_and_writes_a_record(tmp_path, text):
    config = replace(TINY, text=text, steps=60, measure=("loss", "w8a8"))
    state = run(tmp_path / "a", config)
    record = json.loads((tmp_path / "a/record.json").read_text())
    metrics = record["metrics"]
    assert record["done"] and record["data"].startswith("text")
    assert record["curve"]["loss_nats"][0] == pytest.approx(5.55, abs=0.1)  # ln 257
    assert metrics["loss_nats"] < 3.3
    tokens, tokenizer = data.load(config, torch.device("cpu"))
    assert metrics["loss_nats"] == pytest.approx(held_out(config, state.model, tokens, ALONE), rel=1e-5)
    windows = tokens.val[: 5 * 24 + 1].long()  # the held-out text alone
    inputs, targets = windows[:-1].view(5, 24), windows[1:].view(5, 24)
    with torch.no_grad():
        logits = state.model.decoder(inputs)
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).item()
    assert metrics["loss_nats"] == pytest.approx(expected, rel=1e-5)
    assert metrics["bits_per_byte"] == pytest.approx(metrics["loss_nats"] / 0.693147 / tokens.bytes_per_token, rel=1e-4)
    assert metrics["loss_nats_w8a8"] == pytest.approx(metrics["loss_nats"], rel=0.02)
    assert metrics["loss_nats_w8a8"] != metrics["loss_nats"]
    decoder, again = load_run(tmp_path / "a")
    assert again.hash == tokenizer.hash
    torch.testing.assert_close(torch.cat([p.flatten() for p in decoder.parameters()]), weights(state), rtol=0, atol=0)


def test_stopped_and_resumed_is_bitwise_the_same(tmp_path, text):
    config = replace(TINY, text=text)
    whole = run(tmp_path / "whole", config)
    for _ in range(20):
        state = run(tmp_path / "cut", config, minutes=0.0)
        if json.loads((tmp_path / "cut/record.json").read_text())["done"]:
            break
    record = json.loads((tmp_path / "cut/record.json").read_text())
    assert record["done"] and len(record["segments"]) == 6
    torch.testing.assert_close(weights(state), weights(whole), rtol=0, atol=0)


@pytest.mark.parametrize("accum", [2, 8])
def test_micro_batches_are_one_batch(tmp_path, text, accum):
    one = run(tmp_path / "one", replace(TINY, text=text))
    many = run(tmp_path / "many", replace(TINY, text=text, accum=accum))
    torch.testing.assert_close(weights(many), weights(one), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shard", [False, True])
def test_two_ranks_are_one_process(tmp_path, text, shard):
    """With copies of the weights (DDP) and with each rank keeping its half (FSDP2); micro-batches too. The file that
    two ranks leave is read by one process."""
    one = run(tmp_path / "one", replace(TINY, text=text))
    arguments = {k: v for k, v in vars(replace(TINY, text=text, accum=2)).items() if v != vars(Config())[k]}
    given = [part for name, value in arguments.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "repro.mobilellm.train"]
    command = [sys.executable, *launch, "smoke", *given, "--measure", "loss", "--out", "two"]
    for minutes in ("0", "inf") if shard else ("inf",):  # the sharded run is stopped after a step and goes on
        ended = subprocess.run(
            [*command, "--minutes", minutes, *(["--shard"] if shard else [])], cwd=tmp_path, text=True, timeout=180,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}, capture_output=True,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
    record = json.loads((tmp_path / "two/record.json").read_text())
    assert (
        record["done"]
        and len(record["segments"]) == 1 + shard
        and record["segments"][0]["world_size"] == 2
        and record["config"]["shard"] == shard
    )
    decoder, _ = load_run(tmp_path / "two")
    got = torch.cat([p.flatten() for p in decoder.parameters()]).detach()
    torch.testing.assert_close(got, weights(one), rtol=1e-4, atol=1e-5)
    alone = json.loads((tmp_path / "one/record.json").read_text())["metrics"]
    assert record["metrics"]["loss_nats"] == pytest.approx(alone["loss_nats"], rel=1e-5)


def test_weight_decay_is_for_matrices():
    state = make_state(TINY, ALONE)
    decayed, plain = state.optimizer.param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert {p.dim() for p in decayed["params"]} == {2} and {p.dim() for p in plain["params"]} == {1}
    assert len(decayed["params"]) + len(plain["params"]) == len(list(state.model.parameters()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 200}, "the tokenizer has 257 tokens and the model 200; --vocab-size 257 makes room"),
        ({"batch_size": 10_000}, "sequences of 24 tokens in train and 10000 needed"),
        ({"seq_len": 100_000}, "0 sequences of 100000 tokens in train"),
        ({"text": "nowhere"}, "nowhere"),
        ({"tokenizer": "nothing.json"}, "nothing.json"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(tmp_path, text, changes, message):
    with pytest.raises(SystemExit, match=message) as caught:
        run(tmp_path / "x", replace(TINY, **{"text": text, **changes}))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "x").exists()
