"""On a GPU: captured steps and captured decoding against eager ones, and a corpus that stays on the host."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from heard import sounds, speech_llm

from repro.lab.distributed import World
from repro.lab.recipe import Command
from repro.speech_llama import features
from repro.speech_llama.config import Config
from repro.speech_llama.data import Batches, load
from repro.speech_llama.decoding import Recogniser, beam
from repro.speech_llama.features import N_MELS
from repro.speech_llama.model import Encoder
from repro.speech_llama.system import System, stages
from repro.speech_llama.train import Step, make_state, train
from repro.speech_llama.transcribe import Ear
from repro.speech_llama.verified import random_model

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]
SMALL = Config(
    utterances=96, test_utterances=4, snr_db=10, n_layers=2, d_model=128, n_heads=4, n_kv_heads=2, d_ff=256,
    encoder_layers=2, d_encoder=128, encoder_heads=4, d_encoder_ff=256, lm_steps=12, ctc_steps=12, steps=12, n_tokens=3,
)  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(features, "CACHE", tmp_path_factory.getbasetemp() / "features")


def test_a_corpus_too_large_for_the_gpu_is_heard_from_the_host(monkeypatch):
    device = torch.device("cuda")
    there = load(SMALL, device).train
    monkeypatch.setattr(features, "_RESIDENT", 0.0)
    here = load(SMALL, device).train
    assert there.heard.levels.is_cuda and not here.heard.levels.is_cuda
    rows, rates = torch.arange(16), torch.linspace(0.9, 1.1, 16)
    for given in (None, rates):
        (a, m), (b, n) = there.take(rows, 512, given), here.take(rows, 512, given)
        assert a.is_cuda and b.is_cuda and torch.equal(a, b) and torch.equal(m, n)


def losses(config: Config) -> dict[str, torch.Tensor]:
    """Of every step, by stage."""
    w = World(0, 1, torch.device("cuda"))
    speech = load(config, w.device)
    state = make_state(config, speech, w)
    assert isinstance(state.model, System)
    order, found = Batches(speech.train.lengths, config.batch_size, 0), {}
    for stage in stages(config):
        state.model.begin(stage.name)
        take = Step(config, stage, speech, state, w)
        row = []
        for step in range(stage.begin, stage.end):
            torch.manual_seed(step)
            row.append(take(step, *order(step))[0].clone())
        found[stage.name] = torch.stack(row).cpu()
    return found


def test_no_arm_is_given_up_by_dynamo(tmp_path):
    """Many arms, measured at the end: what was compiled for one does not count for the next. Compiling them all takes
    two to four minutes where no cache has them."""
    arms = ("r0", "main", "stack4", "latent4", "frozen4")  # up to four versions of a block each; the limit is eight
    config = replace(SMALL, arms=arms, n_tokens=1, compile=True, precision="bf16", speed=0.1, mel_warp=0.1, alone=True)
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        train(Command("small", config, tmp_path / "a", float("inf")), World(0, 1, torch.device("cuda")))
    metrics = json.loads((tmp_path / "a" / "record.json").read_text())["metrics"]
    assert metrics["differing_latent4"] == metrics["differing_frozen4"] == 0


def test_captured_steps_follow_eager_ones():
    eager = losses(SMALL)
    captured = losses(replace(SMALL, compile=True))
    in_bf16 = losses(replace(SMALL, compile=True, precision="bf16"))
    for name in eager:  # what garbles a decoder's reading is drawn in the graph, by the seed of the step as without one
        torch.testing.assert_close(captured[name][:6], eager[name][:6], rtol=2e-2, atol=2e-2)
        torch.testing.assert_close(in_bf16[name][:6], eager[name][:6], rtol=6e-2, atol=6e-2)
        assert eager[name][-1] < eager[name][0]


@pytest.mark.parametrize("kind", ["latent", "independent"])
def test_captured_decoding_is_eager_decoding_and_verified_is_greedy(kind):
    model = random_model(kind).cuda()
    with torch.no_grad():
        audio, heard = model.audio(torch.randn(512, 60, 8, device="cuda"), torch.randint(8, 61, (512,), device="cuda"))
    greedy = Recogniser(model, 512, audio.shape[1], 16)(audio, heard)
    verified = Recogniser(model, 512, audio.shape[1], 16, "verified")
    assert [one.tokens for one in verified(audio, heard)] == [one.tokens for one in greedy]
    assert verified(audio[:9], heard[:9]) == verified(audio, heard)[:9]
    assert verified.graph is not None
    for how in ("greedy", "verified", "threshold"):
        captured, eager = (
            Recogniser(model, 512, audio.shape[1], 16, how, 0.3, captured=c)(audio, heard) for c in (True, False)
        )
        assert [one.tokens for one in captured] == [one.tokens for one in eager]
        assert [one.calls for one in captured] == [one.calls for one in eager]


def test_a_captured_ear_hears_what_the_model_does():
    model = speech_llm().cuda().eval()
    x, frames = (t.cuda() for t in sounds(4))
    x = torch.nn.functional.pad(x, (0, N_MELS - x.shape[2]))
    model.encoder = Encoder(replace(model.encoder.shape, n_mels=N_MELS)).cuda().eval()
    ear = Ear(model, len(x), x.shape[1], half=False, captured=True)
    for some in (frames, frames // 2 + 1):
        with torch.no_grad():
            expected, counts = model.audio(x, some)
        found, heard = ear(x, some)
        assert torch.equal(heard, counts)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_beam_of_one_is_greedy():
    model = speech_llm().cuda().eval()
    with torch.no_grad():
        audio, heard = model.audio(*(t.cuda() for t in sounds(12)))
    assert beam(model, audio, heard, 1, 12) == [
        s.tokens for s in Recogniser(model, 12, audio.shape[1], 12)(audio, heard)
    ]
