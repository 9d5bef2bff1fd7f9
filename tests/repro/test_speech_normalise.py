"""One normalisation of text, and error rates with their intervals."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.speech_llama.normalise import (
    Errors,
    character_errors,
    interval,
    normalise,
    paired_interval,
    word_errors,
)

LIKELY = "aAeEsSzZ \u0301\u0327'\u2019`-,.\u00ad\u200d\ufb01\u0130\u03a3\u03c2\u00df\u0132\uff21 \t\n09\u00bd\U0001d400"


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(LIKELY, max_size=12), st.text(max_size=20)))
def test_twice_is_once_and_only_words_are_left(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert once == " ".join(once.split()) and once == once.lower()
    assert all(word[0].isalnum() for word in once.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don\u2019t  STOP, \u201cnow\u201d!", "don't stop now"),
        ("'quoted' and rock 'n' roll, the dogs' bone", "quoted and rock n roll the dogs bone"),
        ("Das \u00dcbergr\u00f6\u00dfen-Ma\u00df: STRASSE", "das \u00fcbergr\u00f6\u00dfen ma\u00df strasse"),
        ("'s Avonds om \u0132sland", "s avonds om ijsland"),
        ("L\u2019\u0153uvre d`hier, \u00e0 c\u00f4t\u00e9", "l'\u0153uvre d'hier \u00e0 c\u00f4t\u00e9"),
        ("\u00bfQu\u00e9? \u00a1Ma\u00f1ana!", "qu\u00e9 ma\u00f1ana"),
        ("un po\u2019 d'acqua; perch\u00e9", "un po d'acqua perch\u00e9"),
        ("N\u00e3o, guarda-chuva\u2026", "n\u00e3o guarda chuva"),
        ("Za\u017c\u00f3\u0142\u0107 G\u0118\u015aL\u0104", "za\u017c\u00f3\u0142\u0107 g\u0119\u015bl\u0105"),
        ("e\u0301te\u0301 = \u00e9t\u00e9", "\u00e9t\u00e9 \u00e9t\u00e9"),
        ("co\u00adop\u00aderate \ufb01ne \uff21\uff22", "cooperate fine ab"),
        ("3.5% of 10,000 (a_b)", "3 5 of 10 000 a b"),
        ("... \u0301 -- '", ""),
    ],
)
def test_text_of_eight_languages(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_errors_are_counted_for_each_utterance_after_normalisation() -> None:
    pytest.importorskip("jiwer")
    found = word_errors(
        ["The cat sat.", "one two three four", "a b", "left"], ["the CAT sat", "one too three", "x a b y", ""]
    )
    assert found.edits.tolist() == [0, 2, 2, 1] and found.length.tolist() == [3, 4, 2, 1]
    assert found.rate == 5 / 10
    assert character_errors(["ab c"], ["abc d"]).edits.tolist() == [2]
    assert character_errors(["ab c"], ["abc d"]).length.tolist() == [4]
    empty = word_errors(["", "a"], ["word", "a"])
    assert empty.edits.tolist() == [1, 0] and empty.rate == 1.0


def test_counts_add_up_to_jiwers_own_rate() -> None:
    jiwer = pytest.importorskip("jiwer")
    rng = np.random.default_rng(0)
    refs, hyps = ([" ".join(rng.choice(list("abcde"), rng.integers(1, 9))) for _ in range(60)] for _ in range(2))
    assert word_errors(refs, hyps).rate == pytest.approx(jiwer.wer(refs, hyps))
    assert character_errors(refs, hyps).rate == pytest.approx(jiwer.cer(refs, hyps))


def test_two_lists_must_be_as_long_and_jiwer_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(ValueError, match="need the library jiwer: pip install jiwer"):
        word_errors(["a"], ["a"])
    monkeypatch.undo()
    pytest.importorskip("jiwer")
    with pytest.raises(ValueError, match="1 hypotheses for 2 references"):
        word_errors(["a", "b"], ["a"])


def made(seed: int, n: int = 400, p: float = 0.2) -> Errors:
    rng = np.random.default_rng(seed)
    length = rng.integers(3, 12, n)
    return Errors(rng.binomial(length, p), length)


def test_the_interval_is_that_of_the_normal_approximation_and_the_seeds() -> None:
    errors = made(0)
    low, high = interval(errors)
    rest = errors.edits - errors.rate * errors.length
    spread = 1.96 * rest.std() / errors.length.mean() / np.sqrt(len(rest))  # of a ratio, by the delta method
    assert low < errors.rate < high
    assert high - low == pytest.approx(2 * spread, rel=0.05)
    assert interval(errors) == (low, high) != interval(errors, seed=1)
    narrow = interval(errors, level=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = sum(low <= 0.2 <= high for low, high in (interval(made(seed, 80)) for seed in range(60)))
    assert 52 <= covered <= 60


def test_a_pair_is_drawn_together() -> None:
    a = made(0)
    worse = Errors(a.edits + (np.arange(400) % 8 == 0), a.length)
    low, high = paired_interval(worse, a)
    assert 0 < low < worse.rate - a.rate < high
    alone = interval(worse)[1] - interval(worse)[0]
    assert high - low < alone / 2
    assert paired_interval(a, a) == (0.0, 0.0)
    with pytest.raises(ValueError, match="one set of references"):
        paired_interval(a, made(1))


def test_no_words_no_interval() -> None:
    nothing = Errors(np.zeros(0, np.int64), np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="no words to judge"):
        interval(nothing)
    assert nothing.rate == 0
