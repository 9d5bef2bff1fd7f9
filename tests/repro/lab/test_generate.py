"""Generation: equal to the uncached forward pass, whatever the batch."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from decoders import ids, tiny

from repro.lab.generate import Generator, Sampling

PROMPTS = [[3, 1, 4, 1, 5, 9, 2, 6], [2], [7, 1, 8]]


@torch.no_grad()
def plain(decoder, prompt, n):
    """Greedy, without a cache."""
    tokens = list(prompt)
    for _ in range(n):
        tokens.append(int(decoder(torch.tensor([tokens]))[0, -1].argmax()))
    return tokens[len(prompt) :]


def test_greedy_is_the_uncached_forward_pass_for_unequal_prompts():
    decoder = tiny()
    expected = [plain(decoder, p, 20) for p in PROMPTS]
    assert Generator(decoder, 3, 40)(PROMPTS, 20) == expected
    assert len({tuple(row) for row in expected}) == 3
    alone = Generator(decoder, 1, 40)
    assert [alone([p], 20)[0] for p in PROMPTS] == expected  # one generator, used again


def test_a_batch_may_be_smaller_than_it_could_be():
    decoder = tiny()
    assert Generator(decoder, 8, 40)(PROMPTS[:2], 12) == [plain(decoder, p, 12) for p in PROMPTS[:2]]


def test_a_stop_token_ends_a_sequence_and_is_its_last():
    decoder = tiny()
    whole = Generator(decoder, 3, 64)(PROMPTS, 40)
    stop = whole[0][7]
    ended = Generator(decoder, 3, 64)(PROMPTS, 40, stop=stop)
    for long, short in zip(whole, ended, strict=True):
        assert short == (long[: long.index(stop) + 1] if stop in long else long)


def test_sampling_follows_the_seed_and_the_distribution():
    decoder = tiny()
    make = Generator(decoder, 64, 16, Sampling(temperature=0.7))
    drawn = Counter()
    for seed in range(40):
        drawn.update(row[0] for row in make([PROMPTS[0]] * 64, 1, seed=seed))
    with torch.no_grad():
        p = (decoder(torch.tensor([PROMPTS[0]]))[0, -1] / 0.7).softmax(-1)
    n = sum(drawn.values())
    chi2 = sum((drawn[i] - n * q) ** 2 / (n * q) for i, q in enumerate(p.tolist()))
    assert chi2 < 97 + 5 * (2 * 97) ** 0.5  # 96 degrees of freedom
    assert make(PROMPTS, 8, seed=5) == make(PROMPTS, 8, seed=5) != make(PROMPTS, 8, seed=6)


def test_top_p_keeps_the_fewest_that_hold_it():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().expand(4000, 4)
    torch.manual_seed(0)
    drawn = Counter(Sampling(1.0, 0.7).choose(logits).tolist())
    assert set(drawn) == {0, 1}
    assert drawn[0] / 4000 == pytest.approx(0.5 / 0.8, abs=0.03)
    assert set(Sampling(1.0, 0.5).choose(logits).tolist()) == {0}
    assert set(Sampling(1.0, 0.01).choose(logits).tolist()) == {0}  # never none
    assert len(set(Sampling(1.0, 1.0).choose(logits).tolist())) == 4
    assert set(Sampling().choose(logits).tolist()) == {0}


def test_a_copy_in_another_type_is_brought_up_to_date():
    decoder = tiny()
    make = Generator(decoder, 1, 40, dtype=torch.float64)
    before = make([PROMPTS[0]], 20)
    with torch.no_grad():
        for p in decoder.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    assert make([PROMPTS[0]], 20) == before
    make.refresh()
    assert make([PROMPTS[0]], 20) == [plain(decoder, PROMPTS[0], 20)] != before


@pytest.mark.parametrize(
    ("prompts", "new", "message"),
    [
        ([], 5, "0 prompts"),
        ([[1], []], 5, "none empty"),
        ([[1]] * 4, 5, "from 1 to 3 fit"),
        ([[1] * 30], 20, "exceed 40"),
        ([[1]], 0, "0 new tokens were asked for; 1 is the least"),
    ],
)
def test_what_does_not_fit_is_said(prompts, new, message):
    with pytest.raises(ValueError, match=message):
        Generator(tiny(), 3, 40)(prompts, new)


def test_more_places_than_the_decoder_has_are_refused():
    with pytest.raises(ValueError, match="65 tokens are more than the decoder's 64"):
        Generator(tiny(), 1, 65)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_captured_steps_are_plain_steps():
    decoder = tiny().cuda()
    captured, plainly = Generator(decoder, 3, 60), Generator(decoder, 3, 60, capture=False)
    for seed in (0, 1):
        prompts = [row.tolist() for row in ids(3, 6, seed=seed)]
        assert captured(prompts, 50) == plainly(prompts, 50)
    warm = Generator(decoder, 3, 60, Sampling(0.8, 0.9))
    assert warm(PROMPTS, 30, seed=3) == warm(PROMPTS, 30, seed=3) != warm(PROMPTS, 30, seed=4)
