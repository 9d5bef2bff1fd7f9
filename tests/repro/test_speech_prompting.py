"""Prompting: where audio, BOS and transcript stand, what the loss covers, and what is trained."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from heard import BOS, EOS, V, sounds, speech_llm

from repro.lab.losses import IGNORE
from repro.speech_llama.copying import Reading, garbled
from repro.speech_llama.multi_token import IndependentHeads, LatentHeads, extra_parameters, make_heads
from repro.speech_llama.prompting import Projector, alignment, joined, transcripts

torch.set_num_threads(1)
TOKENS = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0], [7, 0, 0, 0]])
COUNTS = torch.tensor([4, 2, 1])


def test_stacking_drops_no_step():
    """5 steps stacked by 3 are 2 groups, and the last step is in the second."""
    torch.manual_seed(0)
    decoder = speech_llm().decoder
    projector = Projector(3, 12, decoder)
    x = torch.randn(2, 5, 12, requires_grad=True)
    y, counts = projector(x, torch.tensor([5, 4]))
    assert y.shape == (2, 2, 16) and counts.tolist() == [2, 2]
    weight = projector.proj.weight
    torch.testing.assert_close(y[0, 0], weight @ x[0, :3].flatten())
    torch.testing.assert_close(y[0, 1], weight @ F.pad(x[0, 3:].flatten(), (0, 12)))
    sizes = decoder.embed.weight.square().mean().sqrt(), projector(torch.randn(9, 300, 12), torch.tensor([300] * 9))[0]
    assert sizes[1].square().mean().sqrt().item() == pytest.approx(sizes[0].item(), rel=0.15)


def test_audio_comes_before_the_text_and_padding_after_both():
    audio = torch.arange(1.0, 7.0).view(2, 3, 1)
    text = -torch.arange(1.0, 5.0).view(2, 2, 1)
    row, places = joined(audio, torch.tensor([3, 1]), text)
    assert row[0, :, 0].tolist() == [1, 2, 3, -1, -2]
    assert row[1, :3, 0].tolist() == [4, -3, -4]
    assert places.tolist() == [[3, 4], [1, 2]]
    row, _ = joined(audio, torch.tensor([0, 2]), text)
    assert row[0, :2, 0].tolist() == [-1, -2]


def test_what_is_given_and_what_is_wanted():
    given, wanted = transcripts(TOKENS, COUNTS, BOS, EOS)
    assert given[0].tolist() == [BOS, 1, 2, 3, 4] and wanted[0].tolist() == [1, 2, 3, 4, EOS]
    assert given[1, :3].tolist() == [BOS, 5, 6] and wanted[1].tolist() == [5, 6, EOS, IGNORE, IGNORE]
    assert wanted[2].tolist() == [7, EOS, IGNORE, IGNORE, IGNORE]


def by_hand(model, features, frames, tokens, n_heads: int = 1) -> list[torch.Tensor]:
    """The summed loss of each head for one utterance, with nothing padded."""
    audio, heard = model.audio(features[None, : int(frames)], frames[None])
    assert audio.shape[1] == heard.item()
    given = torch.tensor([[BOS, *tokens]])
    hidden = model.decoder.hidden(torch.cat((audio, model.decoder.embed(given)), 1))[:, audio.shape[1] :]
    wanted = torch.tensor([*tokens, EOS])
    found = [F.cross_entropy((hidden @ model.decoder.unembed.T)[0], wanted, reduction="sum")]
    if n_heads > 1:
        logits = model.heads.logits(hidden, model.decoder.unembed)[0]
        for k in range(1, n_heads):
            found.append(F.cross_entropy(logits[: len(wanted) - k, k - 1], wanted[k:], reduction="sum"))
    return found


@pytest.mark.parametrize(("n_tokens", "kind"), [(1, "latent"), (3, "latent"), (3, "independent")])
def test_the_loss_is_that_of_single_utterances(n_tokens, kind):
    """Padding, batch and layout change nothing; audio has no loss; later heads say later tokens."""
    model = speech_llm(n_tokens=n_tokens, kind=kind).eval()
    features, frames = sounds(3)
    features = features + 50 * (torch.arange(40)[None, :, None] >= frames[:, None, None])  # loud padding
    model.head_weight = 0.7
    total, count = model(features, frames, TOKENS, COUNTS)
    assert count.item() == (COUNTS + 1).sum().item()
    parts = [
        by_hand(model, *one, TOKENS[i, : COUNTS[i]].tolist(), n_tokens)
        for i, one in enumerate(zip(features, frames, strict=True))
    ]
    sums = [sum(column) for column in zip(*parts, strict=True)]
    expected = sums[0] + (0.7 * sum(sums[1:]) / (n_tokens - 1) if n_tokens > 1 else 0)
    torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("r", [0, 2])
def test_the_language_model_itself_is_not_trained(r):
    """With r = 0 nothing of it is; the gradient goes through it into projector and encoder all the same."""
    model = speech_llm(r=r)
    features, frames = sounds(3)
    total, count = model(features, frames, TOKENS, COUNTS)
    (total / count).backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    of_decoder = {name for name in moved if name.startswith("decoder.")}
    assert all("lora_" in name for name in of_decoder) and bool(of_decoder) == bool(r)
    assert {name.partition(".")[0] for name in moved} >= {"encoder", "projector"}
    assert all(p.grad is not None for p in model.encoder.parameters())


def test_hidden_tokens_are_inputs_only():
    """With all of a transcript's inputs hidden, the loss no longer depends on them, and still on what is wanted."""
    model = speech_llm()
    features, frames = sounds(3)
    model.masked = 1.0
    hidden = model(features, frames, TOKENS, COUNTS)[0]
    given = torch.full((3, 5), EOS)
    given[:, 0] = BOS
    audio, heard = model.audio(features, frames)
    row, places = joined(audio, heard, model.decoder.embed(given))
    logits = model.decoder(row).gather(1, places[..., None].expand(-1, -1, V))
    wanted = transcripts(TOKENS, COUNTS, BOS, EOS)[1].flatten()
    expected = F.cross_entropy(logits.flatten(0, 1), wanted, reduction="sum", ignore_index=IGNORE)
    torch.testing.assert_close(hidden, expected, rtol=1e-4, atol=1e-4)
    model.eval()
    assert not torch.isclose(model(features, frames, TOKENS, COUNTS)[0], hidden)


def test_alignment_is_spearmans_correlation():
    stats = pytest.importorskip("scipy.stats")
    g = torch.Generator().manual_seed(0)
    text, audio = torch.randn(5, 6, 8, generator=g), torch.randn(5, 9, 8, generator=g)
    audio[0, :6] = 3 * text[0]  # in order
    audio[1, :6] = 0.1 * text[1].flip(0)
    audio[2, 8] = 5 * text[2, 3]  # heard nowhere: beyond what is valid
    heard, counts = torch.tensor([9, 9, 8, 9, 9]), torch.tensor([6, 6, 6, 4, 6])
    found = alignment(audio, heard, text, counts)
    assert found[:2].tolist() == pytest.approx([1.0, -1.0])
    for i in range(5):
        cosines = F.cosine_similarity(audio[i, : heard[i], None], text[i, None, : counts[i]], dim=-1)
        expected = stats.spearmanr(cosines.argmax(0), range(int(counts[i]))).statistic
        assert found[i].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", ["latent", "independent"])
def test_heads_have_the_parameters_of_the_formula_and_begin_as_the_decoder(kind):
    unembed = torch.randn(V, 16)
    heads = make_heads(kind, 4, unembed)
    assert sum(p.numel() for p in heads.parameters()) == extra_parameters(kind, 4, 16, V)
    hidden = torch.randn(2, 5, 16)
    torch.testing.assert_close(heads.logits(hidden, unembed), (hidden @ unembed.T)[..., None, :].expand(2, 5, 3, V))
    assert isinstance(heads, LatentHeads if kind == "latent" else IndependentHeads)


def test_garbled_copies_repeat_and_replace():
    torch.manual_seed(0)
    tokens, counts = torch.randint(9, (400, 6)), torch.randint(1, 7, (400,))
    copy, lengths = garbled(tokens, counts, 9)
    assert ((lengths >= 2 * counts) & (lengths <= 3 * counts)).all() and copy.shape == (400, 18)
    right = total = 0
    for row, n, said in zip(copy.tolist(), lengths.tolist(), tokens.tolist(), strict=True):
        right += sum(a in said for a in row[:n])
        total += n
    assert 0.85 < right / total < 0.97
    firsts = (copy[:, 0] == tokens[:, 0]).float().mean().item()
    assert firsts == pytest.approx(1 - 0.15 * 8 / 9, abs=0.05)


def test_only_one_kind_of_reading_has_its_own_copy():
    """What teaches to copy and what does not differ in nothing but whose copy stands before a text; and one kind has
    none before any."""
    model = speech_llm(r=0)
    tokens = torch.randint(9, (4, 5))
    counts = torch.tensor([5, 4, 3, 5])
    losses = {}
    for kind in ("copy", "plain", "clean"):
        torch.manual_seed(1)
        losses[kind], count = Reading(model.decoder, BOS, EOS, kind)(tokens, counts)
    torch.manual_seed(1)
    copy, copied = garbled(tokens, counts, BOS)
    alone = torch.rand(4) < 0.2
    own = Reading(model.decoder, BOS, EOS, "copy")
    torch.testing.assert_close(own.loss(copy, copied.masked_fill(alone, 0), tokens, counts)[0], losses["copy"])
    torch.testing.assert_close(own.loss(copy, 0 * copied, tokens, counts)[0], losses["clean"])
    assert count == (counts + 1).sum() and len({round(float(loss), 3) for loss in losses.values()}) == 3


def test_heads_have_a_loss_where_transcripts_are_shorter_than_they_look_ahead():
    """Of [4, EOS], head 3 and head 4 have nothing to say."""
    hidden, unembed = torch.randn(1, 2, 16), torch.randn(V, 16)
    wanted = torch.tensor([[4, EOS]])
    for kind in ("latent", "independent"):
        heads = make_heads(kind, 4, unembed)
        expected = F.cross_entropy(heads.logits(hidden, unembed)[0, :1, 0], torch.tensor([EOS])) / 3
        torch.testing.assert_close(heads.loss(hidden, unembed, wanted), expected)
