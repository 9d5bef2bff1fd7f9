"""Speech made here by eSpeak NG: sentences of a small grammar, or of a text file, in eight languages, with noise.

    espeak                    all eight languages
    espeak:en+de              two of them
    espeak:en=book.txt        the sentences of a file

Held out twice: the test's voices speak nothing else, and no sentence is in two splits. What is made is a function of
the seed, the text and the version of eSpeak NG, which a record names.

Shapes: N samples.
"""

from __future__ import annotations

import ctypes.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from repro.speech_llama import lexicon
from repro.speech_llama.audio import resample
from repro.speech_llama.normalise import normalise
from repro.speech_llama.utterances import Corpus, Utterance, held_out

MISSING = "eSpeak NG is not here: pip install espeakng-loader, or install your system's package espeak-ng"
VARIANTS = {  # of eSpeak NG's voices; those of the test are heard in no other split
    "train": ("m1", "m2", "m3", "m4", "m5", "m6", "f1", "f2", "f3", "klatt", "klatt2", "klatt3", "Andy", "Annie"),
    "test": ("m7", "m8", "f4", "f5"),
}
_VOICES = {"en": "en-us", "pt": "pt-br"}  # where the language's own code is not the voice that we want
SIZES = {"train": 6400, "val": 320, "test": 800}  # utterances, shared out between the languages
WORDS_PER_MINUTE, PITCH, SNR_DB = (140, 200), (30, 70), (10.0, 20.0)
_NUMBER = {split: i for i, split in enumerate(SIZES)}
_TOGETHER = 64  # utterances that one process says, always the same ones
_WORDS = (3, 20)  # of a sentence that is taken from a file


@dataclass(frozen=True)
class Job:
    """What is to be said, how, and how loud the noise is under it."""

    voice: str
    text: str
    words_per_minute: int
    pitch: int
    snr_db: float
    noise_seed: tuple[int, ...]


def corpus(place: str, seed: int = 0) -> Corpus:
    """The corpus of `espeak:place`; a ValueError where eSpeak NG, a language or a file is not to be had."""
    engine = version()
    asked = [one.partition("=")[::2] for one in place.split("+")] if place else [(code, "") for code in lexicon.CODES]
    jobs: list[Job] = []
    facts: list[tuple[str, str, str]] = []  # id, split, language
    for number, (language, file) in enumerate(asked):
        if language not in lexicon.CODES:
            raise ValueError(f"espeak:{place}: '{language}' is none of {', '.join(lexicon.CODES)}")
        for split, size in SIZES.items():
            texts = sentences(language, split, size // len(asked), seed, file)
            rng = np.random.default_rng([seed, number, _NUMBER[split]])
            jobs += [_job(language, split, text, rng, (seed, number, i)) for i, text in enumerate(texts)]
            facts += [(f"{language}-{split}-{i:04}", split, language) for i in range(len(texts))]
    every = tuple(jobs)
    utterances = [
        Utterance(name, job.text, job.voice, split, split, language, f"{engine} {job}", lambda i=i: _sound(every, i))  # type: ignore[misc]
        for i, ((name, split, language), job) in enumerate(zip(facts, jobs, strict=True))
    ]
    return Corpus(f"eSpeak NG {engine}, {place or 'eight languages'} (seed {seed})", utterances)


def _job(language: str, split: str, text: str, rng: np.random.Generator, noise_seed: tuple[int, int, int]) -> Job:
    variants = VARIANTS["test" if split == "test" else "train"]
    voice = f"{_VOICES.get(language, language)}+{variants[rng.integers(len(variants))]}"
    speed, pitch = (int(rng.integers(low, high + 1)) for low, high in (WORDS_PER_MINUTE, PITCH))
    return Job(voice, text, speed, pitch, round(float(rng.uniform(*SNR_DB)), 1), (*noise_seed, _NUMBER[split]))


def sentences(language: str, split: str, n: int, seed: int, file: str = "") -> list[str]:
    """Up to `n` different sentences of a split: its hash says which split a sentence is in, so that none is in two."""
    if file:
        return [text for text in _of_file(Path(file).expanduser()) if _split_of(text) == split][:n]
    rng = np.random.default_rng([seed, _NUMBER[split], *language.encode()])
    found: dict[str, None] = {}
    for _ in range(200 * n):
        if len(found) == n:
            break
        text = lexicon.sentence(language, rng)
        if _split_of(text) == split:
            found[text] = None
    return list(found)


def _split_of(text: str) -> str:
    return held_out(f"sentence {text}", 0.15, 0.05)


def _of_file(path: Path) -> list[str]:
    """The different sentences of a text that are 3 to 20 words long, normalised, in their order."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text; convert it") from None
    cut = (normalise(one) for one in re.split(r"(?<=[.!?…])\s+|\n\s*\n", text))
    found = list(dict.fromkeys(one for one in cut if _WORDS[0] <= len(one.split()) <= _WORDS[1]))
    if not found:
        raise ValueError(f"{path} holds no sentence of {_WORDS[0]} to {_WORDS[1]} words; name another text")
    return found


def noisy(wave: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """`wave` (N,) with white noise whose mean power is `snr_db` below the wave's own; scaled down where the sum would
    leave [-1, 1]."""
    noise = rng.standard_normal(len(wave)).astype(np.float32)
    power = float(np.square(wave, dtype=np.float64).mean() / np.square(noise, dtype=np.float64).mean())
    mixed = wave + noise * np.float32((power * 10 ** (-snr_db / 10)) ** 0.5)
    return np.asarray(mixed / max(1.0, float(np.abs(mixed).max())), np.float32)


def _sound(jobs: tuple[Job, ...], i: int) -> np.ndarray:
    """Job i's sound (N,) at 16 kHz, noise and all."""
    begin = i - i % _TOGETHER
    wave, rate = _said(jobs[begin : begin + _TOGETHER])
    rng = np.random.default_rng(jobs[i].noise_seed)
    return noisy(resample(wave[i - begin], rate), jobs[i].snr_db, rng)


# each of the features' threads, one a core, works through a list of its own: with less room than that they would push
# out one another's, and a list would be said once for each utterance of it
@lru_cache(maxsize=2 * (os.cpu_count() or 1))
def _said(jobs: tuple[Job, ...]) -> tuple[list[np.ndarray], int]:
    _, rate, waves = speak([(job.voice, job.text, job.words_per_minute, job.pitch) for job in jobs])
    return waves, rate


def speak(jobs: Sequence[tuple[str, str, int, int]]) -> tuple[str, int, list[np.ndarray]]:
    """eSpeak NG's version, its rate in Hz, and a sound (N,) in [-1, 1] for each (voice, text, words a minute, pitch),
    by a process of its own; a ValueError in one line where that fails."""
    library, data = _engine()
    asked = json.dumps({"library": library, "data": data, "jobs": jobs})
    program = [sys.executable, str(Path(__file__).with_name("espeak.py"))]
    try:
        done = subprocess.run(program, input=asked.encode(), capture_output=True, timeout=60 + 5 * len(jobs))
    except subprocess.TimeoutExpired:
        raise ValueError(f"{library} said nothing for too long; {MISSING.partition(': ')[2]}") from None
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip().splitlines() or [f"{library} failed ({done.returncode})"]
        raise ValueError(told[-1])
    head, _, body = done.stdout.partition(b"\n")
    facts = json.loads(head)
    samples = np.frombuffer(body, np.int16).astype(np.float32) / 32768
    return facts["version"], facts["rate"], np.split(samples, np.cumsum(facts["samples"])[:-1]) if jobs else []


@lru_cache(maxsize=1)
def version() -> str:
    """Of the eSpeak NG that is here; a ValueError where there is none."""
    return speak([])[0]


def _engine() -> tuple[str, str | None]:
    """The C library and its voices: the wheel's, else the system's, which knows where its voices are."""
    try:
        import espeakng_loader
    except ImportError:
        library = ctypes.util.find_library("espeak-ng")
        if library is None:
            raise ValueError(MISSING) from None
        return library, None
    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
