"""Markov languages whose entropy is known, and texts through a tokenizer."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from repro.lab import tokenizers
from repro.lab.data import batch_indices
from repro.lora_forgetting import data
from repro.lora_forgetting.config import Config
from repro.lora_forgetting.data import Domain, best_nats, load, mixed, sequences, transitions

torch.set_num_threads(1)
CPU = torch.device("cpu")
MARKOV = Config(symbols=6, seq_len=12)


def test_chains_follow_their_language():
    p = transitions(6, 0, 0)
    torch.testing.assert_close(p.sum(1), torch.ones(6, dtype=torch.float64))
    chains = sequences(p, 4000, 20, 1)
    seen = torch.zeros(6, 6, dtype=torch.float64)
    seen.index_put_((chains[:, :-1].flatten(), chains[:, 1:].flatten()), torch.ones(4000 * 19).double(), True)
    torch.testing.assert_close(seen / seen.sum(1, keepdim=True), p, rtol=0, atol=0.02)
    start = torch.bincount(chains[:, 0], minlength=6) / 4000
    torch.testing.assert_close(start, torch.full((6,), 1 / 6), rtol=0, atol=0.03)


def test_the_optimum_is_the_entropy():
    """Of the first symbol and of the moves, expected over the distribution of every place."""
    p = transitions(6, 3, 1)
    place, expected = torch.full((6,), 1 / 6, dtype=torch.float64), math.log(6)
    for _ in range(11):
        expected += float(-(place[:, None] * p * p.log()).sum())
        place = place @ p
    assert best_nats(p, sequences(p, 20_000, 12, 5)) == pytest.approx(expected / 12, abs=0.01)


def test_the_two_languages_differ_and_so_do_their_parts():
    found = load(MARKOV, CPU)
    rows = torch.arange(64)
    source, target = found.source.take(rows), found.target.take(rows)
    assert source.shape == (64, 13) and found.source.held_out.shape == (data.HELD_OUT, 13)
    assert (source[:, 0] == 6).all() and (target[:, 0] == 7).all()
    assert not torch.equal(source[:, 1:], target[:, 1:])
    assert not torch.equal(source, found.source.held_out[:64])
    assert not torch.equal(source, load(replace(MARKOV, seed=1), CPU).source.take(rows))
    assert torch.equal(source, load(MARKOV, CPU).source.take(rows))
    assert found.source.optimum_nats != found.target.optimum_nats
    assert "language A of 6 symbols" in found.name and "language B" in found.name


def test_who_knows_the_language_has_no_excess():
    """The loss of the true probabilities on the held-out sequences is the optimum."""
    found, p = load(MARKOV, CPU).source, transitions(6, 0, 0)
    chains = found.held_out[:, 1:]
    total = math.log(6) * len(chains) - float(p[chains[:, :-1], chains[:, 1:]].log().sum())
    assert total / chains.numel() == pytest.approx(found.optimum_nats, rel=1e-9)


def test_a_mixture_takes_every_other_sequence():
    a, b = (Domain(n, 8, lambda r, s=s: r[:, None] + s, torch.zeros(1, 1)) for n, s in (("a", 100), ("b", 200)))
    found = mixed(a, b)
    assert found.n == 16
    assert found.take(torch.arange(6)).flatten().tolist() == [100, 200, 101, 201, 102, 202]
    rows = torch.cat([batch_indices(16, 4, 0, i) for i in range(4)])
    assert (rows % 2 == 0).sum() == 8


@pytest.fixture
def texts(tmp_path, monkeypatch):
    """A folder of text with its splits, a folder that stands for a base with a tokenizer, and a cache."""
    monkeypatch.setattr(data, "CACHE", tmp_path / "cache")
    for split, documents in (("train", 60), ("val", 6)):
        (tmp_path / "text" / split).mkdir(parents=True)
        for i in range(documents):
            words = " ".join(f"{split} {i * j % 17} squares to {(i * j % 17) ** 2};" for j in range(12))
            (tmp_path / "text" / split / f"{i}.txt").write_text(words)
    (tmp_path / "one.txt").write_text("Once upon a time there was a text of one document. " * 8)
    (tmp_path / "base").mkdir()
    (tmp_path / "base/tokenizer.json").write_text(tokenizers.of_bytes().raw.to_str())
    lines = [f'{{"question": "What is {i} and {i}?", "answer": "It is {2 * i}. #### {2 * i}"}}\n' for i in range(80)]
    (tmp_path / "sums.jsonl").write_text("".join(lines))
    return Config(
        domain="text", base=str(tmp_path / "base"), source=str(tmp_path / "text"), text_mb=0.2, seq_len=24,
        batch_size=4, others=(str(tmp_path / "one.txt"),), eval_windows=5,
    )  # fmt: skip


@pytest.mark.parametrize("target", ["python", "permuted", "mixture", "sums.jsonl", "text"])
def test_every_target_gives_sequences(texts, tmp_path, target):
    config = replace(texts, target=target if target in ("python", "permuted", "mixture") else str(tmp_path / target))
    found = load(config, CPU)
    assert found.target.take(torch.arange(4)).shape == (4, 25)
    assert len(found.target.held_out) <= 5 and found.target.bytes_per_token == pytest.approx(1.0, abs=0.05)
    other = found.others["one"]  # a text of one document: nothing of it is held out
    said = "".join(found.tokenizer.decode(row[:-1].tolist()) for row in other.held_out)
    assert said == (tmp_path / "one.txt").read_text()[: len(said)] and len(said) == 5 * 24
    text = found.tokenizer.decode(found.target.take(torch.arange(4)).flatten().tolist())
    if target == "sums.jsonl":
        assert "Question: What is" in text and "Answer: It is" in text
    if target == "permuted":
        python = load(replace(texts, target="python"), CPU)
        assert torch.equal(python.target.held_out == 256, found.target.held_out == 256)  # ends stay
        assert (python.target.held_out == found.target.held_out).float().mean() < 0.1


def test_what_is_held_out_is_of_every_file(texts, tmp_path):
    (tmp_path / "text/val/zz.txt").write_text("zz " * 400)
    said = load(texts, CPU)
    parts = [said.tokenizer.decode(row.tolist()) for row in said.source.held_out]
    assert len(parts) == 5 and "val 0 squares" in parts[0] and "zz zz" in parts[-1]


@pytest.mark.parametrize("on_host", [False, True])
def test_rows_stand_where_the_tokens_do(texts, on_host):
    """On the meta device in place of a GPU: what is held out is there always, the tokens where they are left."""
    found = load(replace(texts, target="mixture", text_on_host=on_host), torch.device("meta"))
    assert {found.source.rows_on, found.target.rows_on} == {"cpu" if on_host else "meta"}
    rows = batch_indices(found.target.n, 4, 0, 0, found.target.rows_on)
    assert found.target.take(rows).device.type == rows.device.type == found.target.rows_on
    assert found.target.held_out.device.type == found.source.held_out.device.type == "meta"


def test_dialogues_and_pairs_are_read(texts, tmp_path):
    said = [{"role": "user", "content": " What is it? "}, {"role": "assistant", "content": "It is."}]
    rows = [{"messages": [*said, {"role": "user", "content": str(i)}]} for i in range(80)]
    (tmp_path / "tulu.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = load(replace(texts, target=str(tmp_path / "tulu.jsonl")), CPU)
    text = found.tokenizer.decode(found.target.take(torch.arange(8))[:, :-1].flatten().tolist())
    assert "<|user|>\nWhat is it?\n<|assistant|>\nIt is.\n<|user|>\n" in text
    for odd in ([1], [{"role": "user"}], "x", 4, None):
        (tmp_path / "odd.jsonl").write_text(json.dumps({"messages": odd}))
        with pytest.raises(ValueError, match="line 1: messages is no list of objects with a role and a content"):
            load(replace(texts, target=str(tmp_path / "odd.jsonl")), CPU)


def test_what_is_not_there_is_said_in_one_line(texts):
    for changes, message in (
        ({"base": "nowhere"}, "there is no base at 'nowhere'; .* heals one"),
        ({"source": "nowhere"}, "there is no text at 'nowhere'"),
        ({"seq_len": 100_000, "others": ()}, "0 sequences of 100000 tokens"),
        ({"seq_len": 500}, "one.txt holds no 500 tokens"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            load(replace(texts, **changes), CPU)
        assert "\n" not in str(caught.value)
