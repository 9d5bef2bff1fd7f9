"""Sentences of the grammar, and speech of eSpeak NG where it is installed: the wheel's or the system's."""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from repro.speech_llama import lexicon, synthesis
from repro.speech_llama.corpora import corpus
from repro.speech_llama.normalise import normalise
from repro.speech_llama.utterances import Corpus


def spoken() -> bool:
    try:
        return bool(synthesis.version())
    except ValueError:
        return False


speaks = pytest.mark.skipif(not spoken(), reason="eSpeak NG is not here (make system)")


# ---- sentences


@pytest.mark.parametrize("language", lexicon.CODES)
def test_sentences_are_of_the_grammar(language: str) -> None:
    parts = lexicon.phrases(language)
    rng = np.random.default_rng(0)
    words = {word for phrases in parts.values() for phrase in phrases for word in phrase.split()}
    assert len(words) > 100 and all(len(set(phrases)) == len(phrases) for phrases in parts.values())
    sizes = Counter()
    for _ in range(200):
        text = lexicon.sentence(language, rng)
        assert any(text.startswith(f"{who} ") for who in parts["who"]) and set(text.split()) <= words
        sizes[len(text.split())] += 1
        assert len(normalise(text).split()) >= 3
    assert min(sizes) >= 3 and max(sizes) <= 18 and len(sizes) > 5


def test_which_phrase_comes_next_is_uneven_and_always_the_same() -> None:
    odds = lexicon._odds("en", "nobody", "does")
    assert odds.sum() == pytest.approx(1) and odds.max() > 3.5 * np.median(odds)
    assert odds[:2] == pytest.approx([0.1473, 0.1028], abs=5e-5)  # another numpy must not make another language
    rng = np.random.default_rng(0)
    assert lexicon.sentence("de", rng) == "das Kind kauft etwas Milch"


def test_a_sentence_is_in_one_split_and_the_seed_tells_which_are_said() -> None:
    of = {split: synthesis.sentences("fr", split, 150, seed=0) for split in synthesis.SIZES}
    assert {split: len(set(texts)) for split, texts in of.items()} == dict.fromkeys(synthesis.SIZES, 150)
    assert not set(of["train"]) & set(of["test"]) and not set(of["train"]) & set(of["val"])
    assert of["test"] == synthesis.sentences("fr", "test", 150, seed=0)
    other = synthesis.sentences("fr", "test", 150, seed=1)
    assert other != of["test"] and not set(other) & set(of["train"])


def test_sentences_of_a_file(tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    body = " ".join(f"The {name} went home number {i}." for i, name in enumerate(["Fox", "Hen"] * 60))
    book.write_text(f"Too short. {body} It\u2019s late\nthough, now!\n\nA title here\n\n{'long ' * 21}.", "utf-8")
    of = {split: synthesis.sentences("en", split, 999, 0, str(book)) for split in synthesis.SIZES}
    found = [text for texts in of.values() for text in texts]
    assert len(found) == len(set(found)) == 122 and 5 < len(of["test"]) < 40
    assert {"the fox went home number 0", "it's late though now", "a title here"} <= set(found)
    assert synthesis.sentences("en", "train", 7, 0, str(book)) == of["train"][:7]
    book.write_text("Nothing.")
    with pytest.raises(ValueError, match=r"book\.txt holds no sentence of 3 to 20 words"):
        synthesis.sentences("en", "train", 7, 0, str(book))


# ---- noise


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_noise_is_so_many_decibels_below_the_speech(snr_db: float) -> None:
    wave = (0.05 * np.sin(np.arange(16_000) / 9)).astype(np.float32)
    added = synthesis.noisy(wave, snr_db, np.random.default_rng(0)).astype(np.float64) - wave
    assert 10 * np.log10((wave.astype(np.float64) ** 2).mean() / (added**2).mean()) == pytest.approx(snr_db, abs=1e-3)
    loud = synthesis.noisy(wave * 20, snr_db, np.random.default_rng(0))
    assert np.abs(loud).max() == pytest.approx(1) and loud.dtype == np.float32
    assert not synthesis.noisy(np.zeros(9, np.float32), snr_db, np.random.default_rng(0)).any()


# ---- speech


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "SIZES", {"train": 24, "val": 8, "test": 8})
    synthesis._said.cache_clear()


def sounds(found: Corpus) -> list[np.ndarray]:
    return [one.audio() for one in found.utterances]


@speaks
@pytest.mark.usefixtures("small")
def test_eight_languages_are_spoken_and_nothing_depends_on_what_was_said_before() -> None:
    found = corpus("espeak")
    assert Counter(one.language for one in found.utterances) == dict.fromkeys(lexicon.CODES, 5)
    assert found.name.startswith("eSpeak NG 1.") and found.name.endswith("eight languages (seed 0)")
    first = sounds(found)
    assert all(0.5 * 16_000 < len(wave) < 15 * 16_000 and np.abs(wave).max() > 0.1 for wave in first)
    synthesis._said.cache_clear()
    for one, wave in reversed(list(zip(found.utterances, first, strict=True))):
        assert np.array_equal(one.audio(), wave)


def test_as_many_lists_as_there_are_cores_are_heard_in_turns_and_each_is_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 32)
    spec = importlib.util.spec_from_file_location("synthesis_on_32_cores", synthesis.__file__)
    assert spec is not None and spec.loader is not None
    there = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, there)
    spec.loader.exec_module(there)
    said = []
    monkeypatch.setattr(there, "speak", lambda jobs: said.append(jobs) or ("", 16_000, [np.ones(400)] * len(jobs)))
    together = there._TOGETHER
    jobs = tuple(there.Job("en", f"{i}", 150, 50, 10.0, (i,)) for i in range(32 * together))
    for i in range(3):
        for begin in range(0, len(jobs), together):
            there._sound(jobs, begin + i)
    assert len(said) == 32


@speaks
@pytest.mark.usefixtures("small")
def test_voices_of_the_test_speak_nowhere_else_and_the_seed_makes_another_corpus() -> None:
    found = corpus("espeak:en+pl")
    voices = {split: {one.speaker for one in found.utterances if one.split == split} for split in synthesis.SIZES}
    assert not voices["test"] & (voices["train"] | voices["val"]) and len(voices["train"]) > 4
    assert len({one.text for one in found.utterances}) == len(found.utterances) == 40
    again, other = corpus("espeak:en+pl"), corpus("espeak:en+pl", seed=1)
    assert [one.stamp for one in again.utterances] == [one.stamp for one in found.utterances]
    assert not {one.stamp for one in other.utterances} & {one.stamp for one in found.utterances}


@speaks
def test_rate_and_voice_are_heard() -> None:
    _, rate, (slow, fast, low, high) = synthesis.speak(
        [("en-us+m1", "one two three", 100, 50), ("en-us+m1", "one two three", 200, 50),
         ("de+m1", "guten Morgen", 160, 10), ("de+m1", "guten Morgen", 160, 90)]
    )  # fmt: skip
    assert rate == 22_050 and len(slow) > 1.5 * len(fast)

    def pitch(wave: np.ndarray) -> float:
        wave = wave[3000:13_000] - wave[3000:13_000].mean()
        likeness = np.correlate(wave, wave, "full")[len(wave) :]
        return rate / (50 + float(likeness[50:400].argmax()))

    assert pitch(high) > 1.4 * pitch(low)


@speaks
def test_an_unknown_language_is_told_in_one_line() -> None:
    with pytest.raises(ValueError, match="^eSpeak NG: there is no voice xx"):
        synthesis.speak([("xx", "a", 170, 50)])
    with pytest.raises(ValueError, match="espeak:sv: 'sv' is none of en, de, nl"):
        corpus("espeak:sv")
    with pytest.raises(ValueError, match="nowhere.txt: No such file"):
        corpus("espeak:en=nowhere.txt")


def test_without_espeak_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    synthesis.version.cache_clear()
    with pytest.raises(ValueError, match="^eSpeak NG is not here: pip install espeakng-loader, or install"):
        corpus("espeak:en")


def test_a_library_that_fails_or_hangs_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "_engine", lambda: ("/no/such/library.so", None))
    with pytest.raises(ValueError, match=r"^eSpeak NG: /no/such/library\.so: cannot open shared object"):
        synthesis.speak([])

    def hangs(*args: object, **kw: object) -> None:
        raise subprocess.TimeoutExpired("espeak", 1)

    monkeypatch.setattr(subprocess, "run", hangs)
    with pytest.raises(ValueError, match="said nothing for too long"):
        synthesis.speak([])
