"""The audio encoder: what is padded cannot be heard, nothing of the end is lost, and CTC is what it should be."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.speech_llama.ctc import BLANK, ctc_greedy, ctc_loss, forward_backward
from repro.speech_llama.model import (
    CTC,
    Encoder,
    EncoderShape,
    Subsample,
    augment,
    standardise,
    steps_of,
    valid,
)

torch.set_num_threads(1)
SHAPE = EncoderShape(n_mels=10, stride=4, n_layers=2, d_model=16, n_heads=2, d_ff=24, kernel=5)
LENGTHS = (37, 12, 25, 1)


def utterances() -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return [3 * torch.randn(n, SHAPE.n_mels, generator=g) + 5 for n in LENGTHS]


def padded(fill: float) -> torch.Tensor:
    return torch.stack([torch.nn.functional.pad(u, (0, 0, 0, 48 - len(u)), value=fill) for u in utterances()])


@pytest.mark.parametrize("stride", [2, 4, 8])
@pytest.mark.parametrize("fill", [0.0, 1e3])
def test_a_padded_batch_is_its_utterances_alone(stride, fill):
    torch.manual_seed(0)
    shape = EncoderShape(**{**vars(SHAPE), "stride": stride})
    encoder = Encoder(shape).eval()
    with torch.no_grad():
        together, steps = encoder(padded(fill), torch.tensor(LENGTHS))
        for row, n, one in zip(together, steps.tolist(), utterances(), strict=True):
            alone, m = encoder(one[None], torch.tensor([len(one)]))
            assert n == m.item() == alone.shape[1] == math.ceil(len(one) / stride)
            torch.testing.assert_close(row[:n], alone[0], rtol=0, atol=2e-5)
            assert (row[n:] == 0).all()


def test_padding_gets_no_gradient_and_gives_none():
    """The gradient of an utterance's part of a loss is the same alone and in a batch."""
    torch.manual_seed(0)
    encoder = Encoder(SHAPE)

    def gradient(features, lengths):
        encoder.zero_grad()
        found, _ = encoder(features, lengths)
        found.square().sum().backward()
        return torch.cat([p.grad.flatten() for p in encoder.parameters()])

    together = gradient(padded(7.0), torch.tensor(LENGTHS))
    apart = sum(gradient(u[None], torch.tensor([len(u)])) for u in utterances())
    torch.testing.assert_close(together, apart, rtol=1e-3, atol=1e-3)


def test_every_step_is_of_its_own_frames():
    """Steps round up by halves, and the last frame is heard."""
    torch.manual_seed(0)
    subsample = Subsample(EncoderShape(**{**vars(SHAPE), "stride": 8}))
    for n in range(1, 40):
        x = torch.randn(1, n, SHAPE.n_mels, requires_grad=True)
        y, steps = subsample(x, torch.tensor([n]))
        assert y.shape[1] == steps.item() == math.ceil(n / 8) == steps_of(torch.tensor(n), 8).item()
        (gradient,) = torch.autograd.grad(y.square().sum(), x)
        assert gradient[0, -1].abs().sum() > 0


def test_features_are_standardised_over_valid_frames():
    found = standardise(padded(9.0), torch.tensor(LENGTHS))
    for row, n in zip(found, LENGTHS, strict=True):
        assert (row[n:] == 0).all()
        torch.testing.assert_close(row[:n].mean(0), torch.zeros(SHAPE.n_mels), rtol=0, atol=1e-5)
        if n > 1:
            torch.testing.assert_close(row[:n].std(0, correction=0), torch.ones(SHAPE.n_mels), rtol=0, atol=1e-3)


def test_a_bin_that_hardly_moves_is_not_made_as_large_as_speech():
    """Above the band of a telephone, say, there is nothing but the cache's rounding."""
    x = torch.zeros(1, 40, 2)
    x[0, :, 0] = 3 * torch.randn(40)
    x[0, ::2, 1] = 0.095  # one of its steps
    found = standardise(x, torch.tensor([40]))[0]
    assert found[:, 0].std() > 0.9 and found[:, 1].abs().max() < 0.2


def test_spec_augment_hides_stretches_and_bands():
    torch.manual_seed(0)
    x = torch.ones(200, 60, 30)
    lengths = torch.full((200,), 50)
    over_time = (augment(x, lengths, 2, 0)[..., 0] == 0).float()
    assert (over_time[:, 50:] == 0).all() and 2 < over_time.sum(1).mean() < 8  # two stretches of 2.5 on average
    assert over_time.sum(1).max() <= 12
    over_mels = (augment(x, lengths, 0, 1)[:, 0] == 0).float()
    assert 3.5 < over_mels.sum(1).mean() < 6.5 and over_mels.sum(1).max() <= 11
    assert torch.equal(augment(x, lengths, 0, 0), x)


def brute_force(log_p: torch.Tensor, units: list[int]) -> float:
    """-log of the probability of all alignments that collapse to some units."""
    T, V = log_p.shape
    total = -math.inf
    for path in itertools.product(range(V), repeat=T):
        said = [s for s, _ in itertools.groupby(path) if s != BLANK]
        if said == [u + 1 for u in units]:
            score = sum(log_p[t, s].item() for t, s in enumerate(path))
            total = max(total, score) + math.log1p(math.exp(-abs(total - score))) if total > -math.inf else score
    return -total


def test_ctc_counts_every_alignment():
    g = torch.Generator().manual_seed(0)
    log_p = torch.randn(2, 6, 3, generator=g).log_softmax(-1)
    units, counts, steps = torch.tensor([[0, 0, 1], [1, 0, 0]]), torch.tensor([3, 1]), torch.tensor([6, 4])
    total, n = ctc_loss(log_p, steps, units, counts)
    expected = brute_force(log_p[0], [0, 0, 1]) + brute_force(log_p[1, :4], [1])
    assert total.item() == pytest.approx(expected, rel=1e-5) and n == 4


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(0, 5), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_forward_backward_is_pytorchs_loss(seed, T, U, n_units):
    """Loss and gradient, of utterances that have no alignment and of ones that say nothing too."""
    g = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(4, T, n_units + 1, generator=g, dtype=torch.float64)
    steps, counts = (torch.randint(low, high + 1, (4,), generator=g) for low, high in ((1, T), (0, U)))
    units, weights = torch.randint(n_units, (4, max(1, U)), generator=g), torch.rand(4, generator=g)
    found = []
    for ours in (True, False):
        x = logits.clone().requires_grad_()
        log_p = x.log_softmax(-1)
        loss = (
            forward_backward(log_p, steps, units, counts)
            if ours
            else torch.nn.functional.ctc_loss(
                log_p.transpose(0, 1), units + 1, steps, counts, reduction="none", zero_infinity=True
            )
        )
        (loss * weights).sum().backward()
        found.append((loss.detach(), x.grad))
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


def test_forward_backward_keeps_its_digits_over_a_long_utterance():
    """In fp32, 400 steps and 90 units, where log-probabilities go down to -1,000."""
    g = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, 400, 30, generator=g)
    units, counts, steps = torch.randint(29, (2, 90), generator=g), torch.tensor([90, 60]), torch.tensor([400, 310])
    found = []
    for dtype in (torch.float32, torch.float64):
        x = logits.detach().to(dtype, copy=True).requires_grad_()
        loss = forward_backward(x.log_softmax(-1), steps, units, counts)
        loss.sum().backward()
        found.append((loss.detach().double(), x.grad.double()))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-6, atol=0)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0, atol=1e-3)


def test_greedy_ctc_collapses_repeats_and_blanks_of_valid_steps():
    best = torch.tensor([[1, 1, 0, 1, 2, 2, 0, 2], [0, 2, 0, 0, 1, 1, 1, 1]])
    log_p = torch.nn.functional.one_hot(best, 3).float()
    assert ctc_greedy(log_p, torch.tensor([7, 5])) == [[0, 0, 1], [1, 0]]


def test_an_encoder_learns_by_ctc():
    torch.manual_seed(0)
    model = CTC(Encoder(SHAPE), n_units=3)
    units, lengths = torch.tensor([[0, 1, 2], [2, 1, 0]]), torch.tensor([36, 30])
    sounds = torch.randn(3, SHAPE.n_mels)
    features = torch.zeros(2, 36, SHAPE.n_mels)
    for row, said, n in zip(features, units, lengths, strict=True):
        row[:n] = sounds[said].repeat_interleave(int(n) // 3, 0)
    adam = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(60):
        log_p, steps = model(features, lengths)
        total, count = ctc_loss(log_p, steps, units, torch.tensor([3, 3]))
        adam.zero_grad()
        (total / count).backward()
        adam.step()
    assert ctc_greedy(*model(features, lengths)) == units.tolist()


@pytest.mark.parametrize(("changes", "message"), [({"stride": 6}, "6 frames is no power"), ({"kernel": 4}, "be odd")])
def test_shapes_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        EncoderShape(**{**vars(SHAPE), **changes})


def test_valid_places():
    assert valid(torch.tensor([0, 2]), 3).tolist() == [[False] * 3, [True, True, False]]
