"""The command that measures a checkpoint: what it prints follows from the measures, of every kind of checkpoint."""

from __future__ import annotations

import json
import math

import pytest
import torch
from decoders import tiny

from repro.lab import hub, tokenizers
from repro.lab.lm_eval import accuracy, bits_per_byte, questions
from repro.lab.quantize import quantized
from repro.mobilellm import eval as command
from repro.mobilellm.config import Config
from repro.mobilellm.sharing import MobileLLM

torch.set_num_threads(1)
BYTES = tokenizers.of_bytes()
TEXT = "Some text, é.\n" * 20
ROWS = [{"query": "Say", "choices": ["this", "that or so"], "gold": i % 2} for i in range(6)]


@pytest.fixture
def files(tmp_path):
    """A checkpoint, a text and questions."""
    hub.save(tiny(vocab_size=257), tmp_path / "ckpt")
    (tmp_path / "ckpt" / "tokenizer.json").write_text(BYTES.raw.to_str())
    (tmp_path / "some.txt").write_text(TEXT)
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    return tmp_path


def told(capsys, *args) -> list[dict]:
    command.main([*map(str, args), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == 1
    return found["measured"]


def test_numbers_are_those_of_the_measures(files, capsys):
    ckpt, text, asked = files / "ckpt", files / "some.txt", files / "asked.jsonl"
    decoder = hub.load(ckpt).eval()
    rows = told(capsys, ckpt, "--text", text, "--choices", asked, "--w8a8", "--window", "32", "--stride", "8")
    small = quantized(decoder)
    assert rows == [
        {"what": "text", "name": "some.txt", "weights": "fp32", **bits_per_byte(decoder, BYTES, [TEXT], 32, 8)},
        {"what": "text", "name": "some.txt", "weights": "w8a8", **bits_per_byte(small, BYTES, [TEXT], 32, 8)},
        {"what": "choices", "name": "asked.jsonl", "weights": "fp32", **accuracy(decoder, BYTES, questions(asked))},
        {"what": "choices", "name": "asked.jsonl", "weights": "w8a8", **accuracy(small, BYTES, questions(asked))},
    ]
    assert rows[0]["bits_per_byte"] != rows[1]["bits_per_byte"]


def test_limits_take_the_first(files, capsys):
    ckpt, text, asked = files / "ckpt", files / "some.txt", files / "asked.jsonl"
    rows = told(capsys, ckpt, "--text", text, "--text-mb", "0.000012", "--choices", asked, "--limit", "1")
    assert rows[0]["bytes"] == len("Some text, ")  # the 12th byte is half of a character
    assert rows[1]["questions"] == 1 and rows[1]["accuracy_se"] is None


def test_speed_is_that_of_one_sequence(files, capsys):
    (row,) = told(capsys, files / "ckpt", "--speed")
    assert row["name"] == "batch 1, 32 after 32 tokens" and row["kv_bytes_per_token"] == 3 * 2 * 2 * 8 * 4
    assert row["ms_per_token"] == pytest.approx(1e3 / row["tokens_per_s"])


def test_a_table_says_what_its_numbers_are(files, capsys):
    ckpt, text = files / "ckpt", files / "some.txt"
    command.main([str(ckpt), "--text", str(text), "--choices", str(files / "asked.jsonl")])
    lines = capsys.readouterr().out.splitlines()
    parameters = sum(p.numel() for p in hub.load(ckpt).parameters())
    assert f"{parameters:,} parameters" in lines[0]
    assert lines[2].split() == [
        "text",
        "weights",
        "bits_per_byte",
        "loss_nats",
        "perplexity_per_token",
        "tokens",
        "bytes",
    ]
    found = bits_per_byte(hub.load(ckpt).eval(), BYTES, [TEXT])
    assert lines[3].split()[:3] == ["some.txt", "fp32", f"{found['bits_per_byte']:.4g}"] and lines[3].endswith(" 300")
    assert lines[5].split() == ["choices", "weights", "questions", "accuracy", "accuracy_se", "accuracy_norm",
                                "accuracy_norm_se"]  # fmt: skip


def test_held_out_text_is_what_is_read_of_a_folder_that_has_some(files, capsys):
    for split, text in (("train", "x" * 30), ("val", "y" * 7)):
        (files / "data" / split).mkdir(parents=True)
        (files / "data" / split / "a.txt").write_text(text)
    (row,) = told(capsys, files / "ckpt", "--text", files / "data")
    assert row["bytes"] == 7 and row["name"] == "data"


@pytest.fixture
def run(files, monkeypatch):
    """The folder of a run with shared blocks, as training leaves it."""
    (files / "data").mkdir()
    for name in ("train", "val"):
        (files / "data" / f"a_{name}_.txt").write_text(f"{name} text" * 9)
    config = Config(text=str(files / "data"), vocab_size=257, n_layers=2, repeats=2, seq_len=64)
    torch.manual_seed(0)
    decoder = MobileLLM(config)
    folder = files / "run"
    folder.mkdir()
    torch.save({"model": {f"decoder.{k}": v for k, v in decoder.state_dict().items()}}, folder / "last.pt")
    said = {"paper": "mobilellm", "config": {"text": config.text, "text_mb": 4.0, "vocab_size": 257, "n_layers": 2,
                                             "repeats": 2, "seq_len": 64}}  # fmt: skip
    (folder / "record.json").write_text(json.dumps(said))
    (folder / "tokenizer.json").write_text(BYTES.raw.to_str())
    monkeypatch.chdir(files)
    return folder, decoder.eval()


def test_a_run_is_measured_on_its_own_held_out_text(run, capsys):
    folder, decoder = run
    (row,) = told(capsys, folder)
    expected = bits_per_byte(decoder, BYTES, ["val text" * 9])
    assert row["bits_per_byte"] == pytest.approx(expected["bits_per_byte"]) and row["bytes"] == 72
    assert row["name"].startswith("held out of ")
    (speed,) = told(capsys, folder, "--speed")
    assert speed["kv_bytes_per_token"] == 4 * 2 * 2 * 16 * 4  # a slot a call


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), "nothing to measure"),
        (("--text", "none.txt"), "there is no text at 'none.txt'"),
        (("--text", "some.txt", "blank.txt"), "blank.txt holds no text"),
        (("--text", "some.txt", "--choices", "none.jsonl"), "none.jsonl: "),
        (("--speed", "--limit", "0"), "--limit 0"),
        (("--text", "some.txt", "--text-mb", "0"), "--text-mb 0"),
        (("--text", "some.txt", "--window", "65"), "window 65 <= the decoder's 64"),
    ],
)
def test_what_cannot_be_measured_is_one_line_and_code_2(files, monkeypatch, capsys, args, says):
    monkeypatch.chdir(files)
    (files / "blank.txt").write_text(" \n")
    with pytest.raises(SystemExit) as ended:
        command.main(["ckpt", *args])
    found = capsys.readouterr()
    assert ended.value.code == 2 and says in found.err and found.err.count("\n") == 1
    assert ("some.txt  " in found.out) == ("blank.txt" in args)  # a file that is not there is told before any is read


def test_nothing_is_shown_for_what_is_no_number():
    assert command._shown("accuracy_se", math.nan) == "-"
    assert (command._shown("tokens", 12345.0), command._shown("loss_nats", 1.23456)) == ("12,345", "1.235")
