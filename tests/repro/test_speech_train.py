"""Training a tiny Speech-LLaMA: stages and arms, restarts, micro-batches, two ranks; and what a run leaves is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from heard import capture

from repro.lab.distributed import World
from repro.lab.recipe import Command
from repro.speech_llama import features, transcribe
from repro.speech_llama.audible import WORDS, corpus
from repro.speech_llama.config import Config
from repro.speech_llama.data import Batches, load
from repro.speech_llama.decoding import Recogniser
from repro.speech_llama.system import System, stages
from repro.speech_llama.train import Step, make_state, train

pytest.importorskip("jiwer", reason="word error rates need it")
torch.set_num_threads(1)
ROOT = Path(__file__).parents[2]
ALONE = World(0, 1, torch.device("cpu"))
TINY = Config(
    utterances=24, test_utterances=6, n_layers=1, d_model=16, n_heads=2, n_kv_heads=1, d_ff=24, encoder_layers=1,
    d_encoder=16, encoder_heads=2, d_encoder_ff=24, kernel=3, stride=8, stack=1, lora_r=2, lm_steps=2, ctc_steps=2,
    steps=2, batch_size=4, lm_batch_size=4, most_tokens=4, log_every=1,
)  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Features are made once for all of these tests."""
    folder = tmp_path_factory.getbasetemp() / "features"
    monkeypatch.setattr(features, "CACHE", folder)
    return folder


def run(out: Path, config: Config, minutes: float = float("inf")):
    return train(Command("tiny", config, out, minutes), ALONE)


def weights(state) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in state.model.parameters()])


def record(out: Path) -> dict:
    return json.loads((out / "record.json").read_text())


ARMS = ("main", "plain_r0", "random", "latent4", "frozen4")


def test_stages_follow_one_another_and_none_is_in_vain():
    def names(config):
        return [(s.name, s.begin, s.end) for s in stages(config)]

    assert names(TINY) == [("lm-copy", 0, 2), ("ctc", 2, 4), ("main", 4, 6)]
    assert names(replace(TINY, arms=("plain_r0", "main"))) == [
        ("lm-copy", 0, 2), ("lm-plain", 2, 4), ("ctc", 4, 6), ("plain_r0", 6, 8), ("main", 8, 10),
    ]  # fmt: skip
    assert names(replace(TINY, decoder="random", arms=("random",))) == [("random", 0, 4)]  # and CTC's
    assert names(replace(TINY, alone=True))[1:] == [("ctc", 2, 4), ("ctc-alone", 4, 6), ("main", 6, 8)]


def test_every_stage_trains_its_own_and_nothing_else():
    config = replace(TINY, arms=ARMS)
    speech = load(config, ALONE.device)
    state = make_state(config, speech, ALONE)
    model = state.model
    assert isinstance(model, System)

    def chosen(stage: str) -> set[str]:
        model.choose(stage)
        return {name for name, p in model.named_parameters() if p.requires_grad}

    assert chosen("lm-copy") == {n for n, _ in model.named_parameters() if n.startswith("readings.copy.")}
    assert chosen("ctc") == {n for n, _ in model.named_parameters() if n.startswith("ctc.")}
    assert all("lora_" in n or ".decoder." not in n for n in chosen("main"))
    assert any("lora_" in n for n in chosen("main")) and not any("lora_" in n for n in chosen("plain_r0"))
    assert chosen("frozen4") == {"arms.frozen4.heads.maps"}
    # arms share what they leave as it is
    copy, plain = model.lm(config), model.lm(replace(config, lm="plain"))
    assert model.arm("main").decoder.blocks[0].ffn.down.weight is copy.blocks[0].ffn.down.weight
    assert model.arm("plain_r0").decoder.embed.weight is plain.embed.weight


def test_arms_begin_where_they_should():
    config = replace(TINY, arms=ARMS, full=True, alone=True)
    state = make_state(config, load(config, ALONE.device), ALONE)
    model = state.model
    assert isinstance(model, System)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    for name in ARMS:
        model.begin(name)

    def same(a, b) -> bool:
        return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))

    model.begin("ctc-alone")
    assert same(model.alone, model.ctc) and model.part("ctc-alone") is model.alone
    main, frozen = model.arm("main"), model.arm("frozen4")
    assert same(main.encoder, model.ctc.encoder) and not same(model.arm("random").encoder, model.ctc.encoder)
    assert same(main.decoder, model.lm(config))
    assert same(frozen.encoder, main.encoder) and same(frozen.projector, main.projector)
    assert same(frozen.decoder, main.decoder)
    assert torch.equal(frozen.heads.maps, torch.eye(16).repeat(3, 1, 1))


def test_what_a_stage_does_not_train_stays_to_the_bit(tmp_path):
    before, after = run(tmp_path / "a", replace(TINY, steps=0)).model, run(tmp_path / "b", TINY).model
    for part in ("readings.", "ctc."):
        kept = [(n, p) for n, p in before.state_dict().items() if n.startswith(part)]
        assert kept and all(torch.equal(p, after.state_dict()[n]) for n, p in kept)
    assert not torch.equal(after.arm("main").encoder.norm.weight, after.ctc.encoder.norm.weight)


def test_it_writes_a_record_with_the_numbers_of_every_arm(tmp_path):
    config = replace(TINY, arms=ARMS, alone=True)
    run(tmp_path / "a", config)
    found = record(tmp_path / "a")
    metrics = found["metrics"]
    assert found["done"] and found["data"].startswith("audible speech at -7 dB (seed 0), 30 utterances")
    assert {"wer", "wer_ctc", "wer_constant", "wer_plain_r0", "alignment_before_plain_r0", "gain_low"} <= set(metrics)
    assert metrics["differing_latent4"] == metrics["differing_frozen4"] == 0
    assert metrics["utterances_latent4"] == 6 and metrics["tokens_per_call_latent4"] >= 1
    assert metrics["gain"] == pytest.approx(metrics["wer_ctc_alone"] - metrics["wer"], abs=1e-5)
    assert {"text_loss_nats_copy", "copy_loss_nats_plain"} <= set(metrics)
    assert found["curve"]["step"] == list(range(20))


def test_every_stage_is_compiled_and_not_given_up(tmp_path, monkeypatch):
    """Versions of a block that earlier stages made do not count towards the limit at which Dynamo runs eager."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    torch.compiler.reset()
    arms = ("r0", "main", "r16", "r32", "stack4", "latent4")
    with torch._dynamo.config.patch(recompile_limit=4, fail_on_recompile_limit_hit=True):
        run(tmp_path / "a", replace(TINY, arms=arms, compile=True))
    torch.compiler.reset()
    assert record(tmp_path / "a")["done"]


def test_reading_is_captured_once_and_listening_once_a_width(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda call, **_: call)
    config = replace(TINY, compile=True)
    speech = load(config, ALONE.device)
    state = make_state(config, speech, ALONE)
    for stage, graphs in zip(stages(config), (1, 2, 2), strict=True):
        take = Step(config, stage, speech, state, ALONE)
        for width in (320, 384):
            take(stage.begin, torch.arange(4), width)
        assert len(take.takes) == graphs, stage.name


def test_it_learns(tmp_path):
    """With little noise, CTC's loss falls to less than half of its first in 150 steps."""
    config = replace(
        TINY, utterances=60, snr_db=30, d_encoder=32, encoder_heads=4, stride=4, lm_steps=0, ctc_steps=150, steps=0,
        ctc_lr=5e-3, batch_size=10, log_every=50,
    )  # fmt: skip
    run(tmp_path / "a", config)
    losses = record(tmp_path / "a")["curve"]["loss_nats"]
    assert losses[-1] < losses[0] / 2


def test_what_is_never_trained_is_kept_in_half_the_memory(tmp_path):
    """With precision bf16 that is: a frozen decoder's matrices but those that LoRA is added to. Decoding is in fp32."""
    state = run(tmp_path / "a", replace(TINY, decoder="random", precision="bf16", arms=("main", "r0")))
    decoder = state.model.arm("main").decoder
    block = decoder.blocks[0]
    assert decoder.embed.weight.dtype == block.ffn.down.weight.dtype == torch.bfloat16
    assert block.attn.qkv.weight.dtype == block.attn.qkv.lora_A.dtype == decoder.norm.weight.dtype == torch.float32
    assert state.model.arm("r0").decoder.embed.weight is decoder.embed.weight
    assert Recogniser(state.model.arm("main"), 1, 8, 4, dtype=torch.float32).cache.slots[0][0].dtype == torch.float32


def test_stopped_and_resumed_is_bitwise_the_same(tmp_path):
    config = replace(TINY, arms=("main", "frozen4"))
    whole = run(tmp_path / "whole", config)
    for _ in range(20):
        state = run(tmp_path / "cut", config, minutes=0.0)
        if record(tmp_path / "cut")["done"]:
            break
    assert len(record(tmp_path / "cut")["segments"]) == 8
    torch.testing.assert_close(weights(state), weights(whole), rtol=0, atol=0)
    metrics = [{k: v for k, v in record(tmp_path / n)["metrics"].items() if "_s_" not in k} for n in ("cut", "whole")]
    assert metrics[0] == metrics[1]


def plain(config: Config) -> Config:
    """Without a small decoder's reading, which draws at random: an encoder, CTC and an arm."""
    return replace(config, decoder="random", full=True, n_tokens=3)


@pytest.mark.parametrize("accum", [2, 4])
def test_micro_batches_are_one_batch(tmp_path, accum):
    one = run(tmp_path / "one", plain(TINY))
    many = run(tmp_path / "many", plain(replace(TINY, accum=accum)))
    torch.testing.assert_close(weights(many), weights(one), rtol=1e-4, atol=2e-5)


def test_two_ranks_are_one_process(tmp_path):
    """Masks and all: a rank's padding is not the other's. Stopped once, and gone on."""
    one = run(tmp_path / "one", plain(TINY))
    changed = {k: v for k, v in vars(plain(replace(TINY, accum=2))).items() if v != vars(Config())[k]}
    given = [x for k, v in changed.items() for x in ([f"--{k.replace('_', '-')}"] if v is True else
                                                     [f"--{k.replace('_', '-')}", str(v)])]  # fmt: skip
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "repro.speech_llama.train"]
    command = [sys.executable, *launch, "cpu-arms", *given, "--arms", "main", "--out", "two"]
    for minutes in ("0", "inf"):
        ended = subprocess.run(
            [*command, "--minutes", minutes], cwd=tmp_path, text=True, timeout=300, capture_output=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
    found = record(tmp_path / "two")
    assert found["done"] and [s["world_size"] for s in found["segments"]] == [2, 2]
    two = torch.load(tmp_path / "two/last.pt", weights_only=True)["model"]
    got = torch.cat([two[name].flatten() for name, _ in one.model.named_parameters()])
    torch.testing.assert_close(got, weights(one), rtol=1e-4, atol=2e-5)
    assert found["metrics"]["wer"] == record(tmp_path / "one")["metrics"]["wer"]


def test_batches_are_of_like_length_and_few_widths():
    g = torch.Generator().manual_seed(0)
    lengths = torch.randint(50, 900, (400,), generator=g).tolist()
    batches = Batches(lengths, 16, seed=0)
    seen: list[int] = []
    for step in range(24):
        rows, width = batches(step)
        mine = [lengths[i] for i in rows.tolist()]
        assert max(mine) <= width and width in batches.widths
        seen += rows.tolist()
    assert len(set(seen)) == len(seen) == 384 and len(batches.widths) == 4
    again, other = Batches(lengths, 16, 0)(7)[0], Batches(lengths, 16, 1)(7)[0]
    assert torch.equal(again, batches(7)[0]) and not torch.equal(other, again)
    padding = sum(16 * w for _, w in map(batches, range(24))) / sum(lengths[i] for i in seen)
    assert padding < 1.35  # 1.9 at random


def test_audible_speech_is_the_same_again_and_its_test_has_new_voices_and_sentences():
    found = corpus(30, 10, 0.0, 5)
    again = corpus(30, 10, 0.0, 5)
    assert [one.text for one in found.utterances] == [one.text for one in again.utterances]
    assert (found.utterances[3].audio() == again.utterances[3].audio()).all()
    of = {split: [u for u in found.utterances if u.split == split] for split in ("train", "test")}
    assert not {u.speaker for u in of["train"]} & {u.speaker for u in of["test"]}
    assert not {u.text for u in of["train"]} & {u.text for u in of["test"]}
    assert {word for u in of["train"] for word in u.text.split()} <= set(WORDS)
    wave = found.utterances[0].audio()
    assert wave.dtype == "float32" and abs(wave).max() <= 1 and 1.2 < len(wave) / 16_000 < 4.2


@pytest.fixture
def spoken(tmp_path):
    """A finished run with heads, and a recording."""
    from scipy.io import wavfile

    run(tmp_path / "out", replace(TINY, n_tokens=3, most_tokens=7))
    wavfile.write(tmp_path / "a.wav", 16_000, corpus(1, 1, 10.0, 0).utterances[0].audio())
    return tmp_path


def test_a_recording_is_transcribed_as_a_run_would(spoken, capsys):
    transcribe.main([str(spoken / "a.wav"), "--run", str(spoken / "out"), "--json"])
    verified = json.loads(capsys.readouterr().out)
    transcribe.main([str(spoken / "a.wav"), "--run", str(spoken / "out"), "--json", "--how", "greedy"])
    greedy = json.loads(capsys.readouterr().out)
    assert verified["text"] == greedy["text"] and verified["tokens"] == greedy["tokens"]
    assert set(greedy["heads"]) == {1} and greedy["calls"] == min(7, len(greedy["tokens"]) + 1)
    transcribe.main([str(spoken / "a.wav"), "--run", str(spoken / "out"), "--seconds"])
    out, err = capsys.readouterr()
    assert out.strip() == verified["text"]
    assert f"{len(verified['tokens'])} tokens in {verified['calls']} calls" in err and "s of sound" in err


def test_an_ear_hears_what_the_model_would(spoken, monkeypatch):
    """Captured or not, and a short sound after a long one."""
    monkeypatch.setattr(transcribe, "capture", capture)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    model = transcribe.open_run(spoken / "out").speech
    x, frames = torch.randn(1, 128, features.N_MELS), torch.tensor([120])
    for captured in (False, True):
        ear = transcribe.Ear(model, 1, 128, half=False, captured=captured)
        for width, n in ((128, frames), (64, torch.tensor([33]))):
            with torch.no_grad():
                expected, counts = model.audio(x[:, :width], n)
            found, heard = ear(x[:, :width], n)
            assert torch.equal(heard, counts)
            torch.testing.assert_close(found[:, : int(counts)], expected[:, : int(counts)], rtol=1e-4, atol=1e-5)
    torch.compiler.reset()


def test_a_recording_is_heard_as_training_heard_it(spoken, monkeypatch, capsys):
    """By the cache's 256 levels; and what is timed is not the first time."""
    heard = []
    stream = Recogniser.stream
    monkeypatch.setattr(Recogniser, "stream", lambda self, *given: heard.append(given) or stream(self, *given))
    ear = transcribe.Ear.__call__
    monkeypatch.setattr(transcribe.Ear, "__call__", lambda self, *given: heard.append(given[0]) or ear(self, *given))
    transcribe.main([str(spoken / "a.wav"), "--run", str(spoken / "out"), "--seconds"])
    assert len(heard) == 4 and torch.equal(heard[0], heard[2])  # twice
    torch.testing.assert_close(features.from_bytes(features.to_bytes(heard[0])), heard[0], rtol=0, atol=1e-5)


def test_pieces_of_words_are_read_back_with_a_run(spoken, capsys):
    run(spoken / "pieces", replace(TINY, units="subwords", n_subwords=270))
    transcribe.main([str(spoken / "a.wav"), "--run", str(spoken / "pieces"), "--json"])
    assert json.loads(capsys.readouterr().out)["calls"] >= 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["long.wav", "--run", "out"], "339 s of sound take 4240 places of the encoder, which has 4096; cut the sound"),
        (["nothing.wav", "--run", "out"], "nothing.wav is not there; name a recording"),
        (["a.wav", "--run", "elsewhere"], "elsewhere holds no run; name one"),
        (["a.wav", "--run", "out", "--arm", "r0"], "out has no arm r0; there are main"),
        (["a.wav", "--run", "plain", "--how", "verified"], "needs the heads of a model"),
    ],
)
def test_what_cannot_be_transcribed_is_said_in_one_line(spoken, monkeypatch, capsys, given, message):
    monkeypatch.chdir(spoken)
    if "long.wav" in given:
        from scipy.io import wavfile

        wavfile.write("long.wav", 16_000, torch.zeros(339 * 16_000, dtype=torch.int16).numpy())
    if "plain" in given:
        run(spoken / "plain", TINY)
    with pytest.raises(SystemExit) as ended:
        transcribe.main(given)
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert ended.value.code == 2 and message in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "an4:nowhere"}, "nowhere is no folder"),
        ({"data": "radio"}, "names no corpus"),
        ({"batch_size": 100}, "24 utterances to train on"),
        ({"decoder": "nothing"}, "nothing"),
        ({"stride": 64}, "choose a smaller --stride"),
        ({"stride": 6}, "no power of two"),
        ({"test": "val"}, "has no 'val' to test with; --test may be test"),
        ({"most_tokens": 2040}, "of sound take 20[0-9]+ places of the decoder, which has 2048"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(tmp_path, changes, message):
    with pytest.raises(SystemExit, match=message) as caught:
        run(tmp_path / "x", replace(TINY, **changes))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "x").exists()
