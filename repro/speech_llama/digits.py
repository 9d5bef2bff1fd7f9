"""The Free Spoken Digit Dataset: its clips as they are, and utterances of several digits made of them.

Shapes: N samples.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from repro.speech_llama.audio import RATE, load
from repro.speech_llama.utterances import Corpus, Utterance, of_file

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST_BELOW = 5  # the published split: clips 0 to 4 of each digit and speaker are for testing
SIZES = {"train": 3000, "val": 200, "test": 600}  # utterances of several digits
LENGTHS = (3, 8)  # digits in one
GAPS = (0.04, 0.24)  # seconds of silence around each
_HELD_OUT = 3  # one speaker in so many is for testing
_NAME = re.compile(r"^(\d)_([^_]+)_(\d+)\.wav$")


def _clips(folder: Path) -> dict[tuple[str, int, int], Path]:
    """(speaker, digit, index) -> its file."""
    home = folder / "recordings" if (folder / "recordings").is_dir() else folder
    found = {}
    for path in sorted(home.glob("*.wav")):
        name = _NAME.match(path.name)
        if name is None:
            raise ValueError(f"{path}: its name is not DIGIT_SPEAKER_INDEX.wav; take it away")
        found[name[2], int(name[1]), int(name[3])] = path
    if not found:
        raise ValueError(f"{home} holds no DIGIT_SPEAKER_INDEX.wav; name the folder with recordings/")
    return dict(sorted(found.items()))


def fsdd(folder: Path) -> Corpus:
    """One digit a clip, in the published split."""
    return Corpus(
        "Free Spoken Digit Dataset",
        [
            of_file(path, path.stem, WORDS[digit], speaker, "test" if index < TEST_BELOW else "train")
            for (speaker, digit, index), path in _clips(folder).items()
        ],
    )


def connected(folder: Path, seed: int = 0) -> Corpus:
    """Utterances of several digits, each by one speaker, silence between them. One speaker in three is heard in the
    test only: `seed` goes through thirds of one fixed order, so that three seeds in a row test every speaker once. Of
    the others the clips that are published as test ones make the validation set. So a clip is in one split, and test
    voices are new."""
    clips = _clips(folder)
    speakers = sorted({speaker for speaker, _, _ in clips})
    each = max(1, len(speakers) // _HELD_OUT)
    begin = seed % (len(speakers) // each) * each
    held = set(np.random.default_rng(0).permutation(speakers)[begin : begin + each].tolist())
    if len(held) == len(speakers):
        raise ValueError(f"{folder} holds one speaker, {speakers[0]}; to hold one out takes two")

    def split_of(speaker: str, index: int) -> str:
        return "test" if speaker in held else "val" if index < TEST_BELOW else "train"

    utterances = []
    for number, (split, size) in enumerate(SIZES.items(), 1):
        pool: dict[str, dict[int, list[Path]]] = {}
        for (speaker, digit, index), path in clips.items():
            if split_of(speaker, index) == split:
                pool.setdefault(speaker, {}).setdefault(digit, []).append(path)
        rng = np.random.default_rng([seed, number])
        utterances += [_utterance(f"{split}-{i:04}", split, pool, rng) for i in range(size if pool else 0)]
    return Corpus(f"connected digits of the Free Spoken Digit Dataset (seed {seed})", utterances)


def _utterance(name: str, split: str, pool: dict[str, dict[int, list[Path]]], rng: np.random.Generator) -> Utterance:
    speaker = list(pool)[rng.integers(len(pool))]
    of_digit = pool[speaker]
    said = [list(of_digit)[i] for i in rng.integers(len(of_digit), size=rng.integers(LENGTHS[0], LENGTHS[1] + 1))]
    paths = [of_digit[digit][rng.integers(len(of_digit[digit]))] for digit in said]
    gaps = (rng.uniform(*GAPS, len(paths) + 1) * RATE).astype(int).tolist()
    stats = [path.stat() for path in paths]
    stamp = " ".join(f"{path.name} {s.st_size} {s.st_mtime_ns}" for path, s in zip(paths, stats, strict=True))
    text = " ".join(WORDS[digit] for digit in said)
    return Utterance(name, text, speaker, split, split, "en", f"{stamp} {gaps}", lambda: _joined(paths, gaps))


@lru_cache(maxsize=4096)  # a clip is said many times
def _clip(path: Path) -> np.ndarray:
    return load(path)


def _joined(paths: list[Path], gaps: list[int]) -> np.ndarray:
    """The clips with so many samples of silence before, between and after them."""
    silences = [np.zeros(gap, np.float32) for gap in gaps]
    parts = [silences[0]]
    for path, silence in zip(paths, silences[1:], strict=True):
        parts += [_clip(path), silence]
    return np.concatenate(parts)
