"""Speech out of nothing, for `smoke`: a language of 24 words, each two vowels, said as sine-wave speech.

Three tones that follow the formants of a voice are understood as speech by people (Remez et al. 1981), and cost three
sines a sample. Voices differ in the length of the vocal tract and in rate; noise is added. Which word follows which is
drawn from a table, so that there is a language to model.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from repro.speech_llama.audio import RATE
from repro.speech_llama.utterances import Corpus, Utterance

# first three formants of vowels in Hz, rounded from Peterson and Barney's averages for men (1952)
_VOWELS = {
    "i": (270, 2290, 3010), "e": (530, 1840, 2480), "a": (730, 1090, 2440), "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}  # fmt: skip
WORDS = tuple(a + b for a in _VOWELS for b in _VOWELS)[:24]
_PEAKED = 2.5  # standard deviation of the logits of which word comes next: about 1.7 nats a word
_SENTENCE = (8, 12)  # words, the least and the most
TEST_VOICES, TRAIN_VOICES = range(8), range(8, 40)


def grammar() -> np.ndarray:
    """The probability of each word after each, (24, 24): one language for all seeds."""
    logits = _PEAKED * np.random.default_rng(0).standard_normal((len(WORDS), len(WORDS)))
    p = np.exp(logits - logits.max(1, keepdims=True))
    found: np.ndarray = p / p.sum(1, keepdims=True)
    return found


def sentences(n: int, rng: np.random.Generator) -> list[list[int]]:
    """`n` sentences of the language, as words' indices."""
    sums = grammar().cumsum(1)
    sizes = rng.integers(_SENTENCE[0], _SENTENCE[1] + 1, n)
    words = [rng.integers(len(WORDS), size=n)]
    for _ in range(1, _SENTENCE[1]):
        drawn = (sums[words[-1]] < rng.random((n, 1))).sum(1)
        words.append(drawn.clip(max=len(WORDS) - 1))
    rows = np.stack(words, 1)
    return [row[:size].tolist() for row, size in zip(rows, sizes, strict=True)]


def say(words: list[int], speaker: int, snr_db: float, seed: list[int]) -> np.ndarray:
    """The samples (N,) of some words in the voice of `speaker`, in [-1, 1]. A word takes 150 to 260 ms at rate 1; its
    formants glide from the first vowel's to the second's, and the voice dips between words."""
    rng = np.random.default_rng(seed)
    voice = np.random.default_rng(1000 + speaker)
    tract, rate = voice.uniform(0.85, 1.2), voice.uniform(0.85, 1.2)
    tones, loud = [], []
    for word in words:
        n = int(RATE * rng.uniform(0.15, 0.26) / rate)
        first, second = (np.array(_VOWELS[v])[:, None] for v in WORDS[word])
        glide = 1 / (1 + np.exp(-12 * (np.linspace(0, 1, n) - 0.5)))
        tones.append(tract * (first + (second - first) * glide))
        loud.append(0.15 + 0.85 * np.sin(np.pi * np.linspace(0, 1, n)) ** 0.5)
    silence = [int(RATE * rng.uniform(0.02, 0.12)) for _ in range(2)]
    pitches, loudness = np.concatenate(tones, 1), np.concatenate(loud)
    phase = 2 * np.pi * np.cumsum(pitches, 1) / RATE + rng.uniform(0, 2 * np.pi, (3, 1))
    wave = (np.array([[1.0], [0.5], [0.25]]) * np.sin(phase)).sum(0) * loudness
    wave = np.pad(wave, silence)
    noise = rng.standard_normal(len(wave)) * wave.std() * 10 ** (-snr_db / 20)
    found: np.ndarray = (0.25 * (wave + noise)).clip(-1, 1).astype(np.float32)
    return found


def corpus(n_train: int, n_test: int, snr_db: float, seed: int) -> Corpus:
    """So many utterances to train on and to test with, the same for the same arguments; the test's voices are new."""
    found = []
    for split, n, voices in (("train", n_train, TRAIN_VOICES), ("test", n_test, TEST_VOICES)):
        rng = np.random.default_rng([seed, split == "test"])
        speakers = rng.integers(voices.start, voices.stop, n).tolist()
        for i, (words, speaker) in enumerate(zip(sentences(n, rng), speakers, strict=True)):
            sound = partial(say, words, speaker, snr_db, [seed, i, split == "test"])
            text = " ".join(WORDS[word] for word in words)
            stamp = f"{snr_db} {seed} {speaker}"
            found.append(Utterance(f"{split}-{i:05}", text, str(speaker), split, split, "", stamp, sound))
    return Corpus(f"audible speech at {snr_db:g} dB (seed {seed})", found)
