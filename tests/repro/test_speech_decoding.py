"""Decoding: with a cache as without, alone as in a batch, several tokens a call as one by one."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch
from heard import BOS, EOS, V, capture, sounds, speech_llm

from repro.lab import lora
from repro.speech_llama import decoding
from repro.speech_llama.decoding import Recogniser, beam

torch.set_num_threads(1)
MOST = 12


def heard(model, n: int = 24, seed: int = 0):
    with torch.no_grad():
        return model.eval().audio(*sounds(n, seed=seed))


@torch.no_grad()
def one_by_one(model, audio: torch.Tensor, n: int, most: int = MOST) -> list[int]:
    """Greedy decoding of one utterance, reading everything anew for each token."""
    made: list[int] = []
    for _ in range(most):
        text = model.decoder.embed(torch.tensor([[BOS, *made]]))
        logits = model.decoder(torch.cat((audio[None, :n], text), 1))[0, -1]
        token = int(logits.argmax())
        if token == EOS:
            break
        made.append(token)
    return made


def said(model, audio, counts, how="greedy", tau=0.0, batch=None, most=MOST):
    return Recogniser(model, batch or len(audio), audio.shape[1], most, how, tau)(audio, counts)


def test_greedy_is_what_the_uncached_decoder_says():
    model = speech_llm()
    audio, counts = heard(model)
    found = said(model, audio, counts)
    expected = [one_by_one(model, a, n) for a, n in zip(audio, counts.tolist(), strict=True)]
    assert [s.tokens for s in found] == expected
    assert len({tuple(t) for t in expected}) > 12  # they differ, so that the test sees something
    assert 0 < sum(len(t) == MOST for t in expected) < len(expected)  # some end by themselves, some are cut
    assert all(s.calls == s.made == min(len(s.tokens) + 1, MOST) and set(s.heads) <= {1} for s in found)


@pytest.mark.parametrize("how", ["greedy", "verified", "threshold"])
def test_alone_as_in_a_batch_and_again(how):
    model = speech_llm(n_tokens=3)
    audio, counts = heard(model)
    together = Recogniser(model, 24, audio.shape[1], MOST, how, 0.3)
    found = together(audio, counts)
    one = Recogniser(model, 1, audio.shape[1], MOST, how, 0.3)
    assert [one(audio[i : i + 1, : counts[i]], counts[i : i + 1])[0] for i in range(24)] == found
    assert together(audio[5:9], counts[5:9]) == found[5:9]  # fewer than there is room for, after others
    assert together(audio, counts) == found


@pytest.mark.parametrize("how", ["greedy", "verified", "threshold"])
def test_what_is_captured_says_the_same_of_any_width_and_number(how, monkeypatch):
    """Audio is filled up to one width and one number of rows, with whatever an earlier call has left there."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    monkeypatch.setattr(decoding, "capture", capture)
    torch.compiler.reset()
    model = speech_llm(n_tokens=3)
    audio, counts = heard(model)
    expected = said(model, audio, counts, how, 0.3)
    captured = Recogniser(model, 24, audio.shape[1] + 5, MOST, how, 0.3, captured=True)
    assert captured(audio, counts) == expected
    first, graph = captured.first, captured.graph
    for some in (slice(5, 9), slice(0, 1), slice(0, 24)):
        assert captured(audio[some, : counts[some].max()], counts[some]) == expected[some]
    assert captured.first is first and captured.graph is graph
    torch.compiler.reset()


@pytest.mark.parametrize("kind", ["latent", "independent"])
@pytest.mark.parametrize("n_tokens", [2, 4])
def test_verified_is_greedy_with_fewer_calls(kind, n_tokens):
    """520 utterances, string for string."""
    model = speech_llm(n_tokens=n_tokens, kind=kind, seed=3)
    audio, counts = heard(model, 520)
    greedy, verified = said(model, audio, counts), said(model, audio, counts, "verified")
    assert [s.tokens for s in verified] == [s.tokens for s in greedy]
    calls = sum(s.calls for s in verified)
    assert sum(s.made for s in verified) / n_tokens < calls < sum(s.made for s in greedy)
    for one in verified:
        assert len(one.heads) == len(one.tokens) and set(one.heads) <= set(range(1, n_tokens + 1))


def test_verified_takes_guesses_that_are_right():
    """Heads that know the future, by the parts of a decoder that counts: K tokens a call."""
    model = speech_llm(n_tokens=4)
    counter(model)
    audio, counts = heard(model, 3)
    found = said(model, audio, counts, "verified", most=9)
    assert all(s.tokens == list(range(9)) for s in found)
    assert all(s.calls == 1 + 2 for s in found)  # 1, then 4 and 4
    assert found[0].heads == [1, 2, 3, 4, 1, 2, 3, 4, 1]
    loose = said(model, audio, counts, "threshold", 0.5, most=9)
    assert all(s.tokens == list(range(9)) and s.calls == 3 for s in loose)
    assert loose[0].heads == [1, 2, 3, 4, 1, 2, 3, 4, 1]


def counter(model) -> None:
    """A decoder that says 0 after BOS and t + 1 after t, whatever it hears, with heads that say t + k."""
    d = model.decoder
    with torch.no_grad():
        for p in d.parameters():
            p.zero_() if p.dim() > 1 else p.fill_(1.0)
        d.embed.weight[:, :V] = 40 * torch.eye(V)
        shift = torch.eye(V).roll(1, 1)
        shift[BOS] = torch.eye(V)[0]
        # SwiGLU as a table: silu(large) * 1 turns embedding t into embedding t + 1
        ffn = d.blocks[0].ffn
        wide = ffn.gate_up.weight.shape[0] // 2
        ffn.gate_up.weight[:V, :V] = 5 * torch.eye(V)
        ffn.gate_up.weight[wide : wide + V, :V] = torch.eye(V)
        ffn.down.weight[:V, :V] = 10 * (shift - torch.eye(V)).T
        powers = [torch.matrix_power(shift, k) for k in range(1, 4)]
        model.heads.maps.zero_()
        for k, power in enumerate(powers):
            model.heads.maps[k, :V, :V] = power.T


def test_thresholds_go_from_greedy_to_all_heads():
    model = speech_llm(n_tokens=3)
    audio, counts = heard(model)
    greedy = [s.tokens for s in said(model, audio, counts)]
    never, always = (said(model, audio, counts, "threshold", tau) for tau in (1.0, -1.0))
    assert [s.tokens for s in never] == greedy and all(s.calls == s.made for s in never)
    assert all(s.calls <= -(-s.made // 3) + 1 for s in always)
    calls = [sum(s.calls for s in said(model, audio, counts, "threshold", tau)) for tau in (-1.0, 0.3, 0.6, 1.0)]
    assert calls == sorted(calls) and len(set(calls)) > 2


@torch.no_grad()
def test_a_wide_beam_finds_the_likeliest_transcript():
    model = speech_llm(seed=1)
    audio, counts = heard(model, 3)
    found = beam(model, audio, counts, width=V, most=2)
    words = [t for t in range(V) if t != EOS]
    every = [[], *([a] for a in words), *([a, b] for a, b in itertools.product(words, words))]
    for a, n, best in zip(audio, counts.tolist(), found, strict=True):

        def of(tokens: list[int]) -> float:
            text = model.decoder.embed(torch.tensor([[BOS, *tokens]]))
            log_p = model.decoder(torch.cat((a[None, :n], text), 1))[0, n:].log_softmax(-1)  # noqa: B023
            return sum(log_p[i, t].item() for i, t in enumerate([*tokens, EOS][:2]))

        assert best == max(every, key=of)


@torch.no_grad()
def slow_beam(model, audio: torch.Tensor, n: int, width: int, most: int) -> list[int]:
    """A beam that reads every hypothesis anew for each token."""
    beams: list[tuple[float, list[int]]] = [(0.0, [])]
    for _ in range(most):
        longer = []
        for total, made in beams:
            if made and made[-1] == EOS:
                longer.append((total, made))
                continue
            text = model.decoder.embed(torch.tensor([[BOS, *made]]))
            log_p = model.decoder(torch.cat((audio[None, :n], text), 1))[0, -1].log_softmax(-1)
            longer += [(total + p, [*made, token]) for token, p in enumerate(log_p.tolist())]
        beams = sorted(longer, key=lambda one: -one[0])[:width]
    return [token for token in beams[0][1] if token != EOS]


def test_a_beam_is_what_reading_every_hypothesis_anew_finds():
    model = speech_llm(seed=2)
    audio, counts = heard(model, 12)
    found = beam(model, audio, counts, 4, 8)
    assert found == [slow_beam(model, a, n, 4, 8) for a, n in zip(audio, counts.tolist(), strict=True)]
    assert found != beam(model, audio, counts, 1, 8)


def test_a_beam_of_one_is_greedy_and_batches_change_nothing():
    model = speech_llm()
    audio, counts = heard(model, 12)
    assert beam(model, audio, counts, 1, MOST) == [s.tokens for s in said(model, audio, counts)]
    together = beam(model, audio, counts, 4, MOST)
    alone = [beam(model, audio[i : i + 1, : counts[i]], counts[i : i + 1], 4, MOST)[0] for i in range(12)]
    assert together == alone and together != beam(model, audio, counts, 1, MOST)


def test_a_beam_searches_in_a_type_of_its_own():
    """Where frozen matrices are kept in bf16 and those with LoRA are not."""
    model = speech_llm()
    audio, counts = heard(model, 6)
    for name, p in model.decoder.named_parameters():
        p.data = p.data.bfloat16() if p.dim() > 1 and ".attn." not in name else p.data
    found = beam(model, audio, counts, 1, MOST, torch.float32)
    assert found == [s.tokens for s in Recogniser(model, 6, audio.shape[1], MOST, dtype=torch.float32)(audio, counts)]
    assert len(beam(model, audio, counts, 3, MOST)) == 6  # in bf16


def test_a_threshold_can_be_changed():
    model = speech_llm(n_tokens=3)
    audio, counts = heard(model)
    one = Recogniser(model, 24, audio.shape[1], MOST, "threshold", 1.0)
    never = one(audio, counts)
    one.tau.fill_(-1.0)
    assert one(audio, counts) == said(model, audio, counts, "threshold", -1.0) != never


def test_what_does_not_fit_is_refused():
    model = speech_llm()
    audio, counts = heard(model)
    with pytest.raises(ValueError, match="--n-tokens above 1"):
        said(model, audio, counts, "verified")
    with pytest.raises(ValueError, match="24 utterances of 7 embeddings; there is room for 4 of 7"):
        said(model, audio, counts, batch=4)
    with pytest.raises(ValueError, match="exceed the decoder's 256"):
        Recogniser(model, 1, 300, MOST)


def test_lora_is_added_in_fp32():
    """To matrices kept in bf16, whose spacing it may be less than."""
    model = speech_llm()
    layers = lora.layers(model.decoder)
    for layer in layers.values():
        layer.weight.data = layer.weight.data.bfloat16()
    ready = Recogniser(model, 1, 8, MOST, dtype=torch.float32).decoder
    assert len(layers) == 4 and not lora.layers(ready)
    for name, layer in layers.items():
        assert torch.equal(ready.get_submodule(name).weight, layer.weight.float() + layer.change())
        assert layer.weight.dtype == torch.bfloat16  # the model itself is as it was
