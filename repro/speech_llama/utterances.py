"""Utterances and corpora of them, and what readers of every layout need. Shapes: N samples."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repro.speech_llama import audio

LANGUAGES = {
    "english": "en", "german": "de", "dutch": "nl", "french": "fr", "spanish": "es", "italian": "it",
    "portuguese": "pt", "polish": "pl",
}  # fmt: skip
LOSSY = {".ogg": "Ogg", ".opus": "Opus", ".mp3": "MP3"}  # codings that leave out what is hard to hear
SOUNDS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".sph", ".raw")


@dataclass(frozen=True)
class Utterance:
    """One utterance. `text` is the transcript as the corpus has it, without its markup; `split` is train, val or test,
    `part` the corpus's own name for where it is (test-other); `audio()` is its sound (N,) at 16 kHz, and `stamp`
    changes when that does, at no cost of reading. `coding` names one that is lossy."""

    id: str
    text: str
    speaker: str
    split: str
    part: str
    language: str
    stamp: str
    audio: Callable[[], np.ndarray]
    coding: str = ""


@dataclass(frozen=True)
class Corpus:
    """All utterances of a source, in an order that does not change; `name` is for a record and names no folder."""

    name: str
    utterances: Sequence[Utterance]

    @property
    def copies(self) -> str:
        """What to put behind the name where sound was coded with loss: results are then of such copies."""
        kinds = sorted({one.coding for one in self.utterances} - {""})
        return f" ({' and '.join(kinds)} copies)" if kinds else ""


def of_file(
    path: Path, id: str, text: str, speaker: str, split: str, part: str = "", language: str = "en"
) -> Utterance:
    """An utterance whose sound is a file's. Its stamp is the file's size and time."""
    stat = path.stat()
    stamp = f"{stat.st_size} {stat.st_mtime_ns}"
    coding = LOSSY.get(path.suffix, "")
    return Utterance(id, text, speaker, split, part or split, language, stamp, lambda: audio.load(path), coding)


def held_out(name: str, test: float, val: float) -> str:
    """train, val or test for a name, by its hash: about these fractions, the same on every machine."""
    place = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32
    return "test" if place < test else "val" if place < test + val else "train"


def pair_up(transcripts: Path, wanted: dict[str, int], sounds: dict[str, Path], where: Path) -> None:
    """Every transcript (id -> its line) must have its sound (id -> path) and the other way round; a ValueError names
    the first that does not."""
    if missing := [name for name in wanted if name not in sounds]:
        raise ValueError(
            f"{transcripts}:{wanted[missing[0]]}: {missing[0]} has no sound in {where} ({len(missing)} like it); "
            "unpack the archive again or take the lines out"
        )
    if spare := sorted(name for name in sounds if name not in wanted):
        raise ValueError(
            f"{sounds[spare[0]]} has no transcript in {transcripts} ({len(spare)} like it); "
            "add its line or take the file away"
        )


def sounds_below(folder: Path, kinds: Iterable[str] = SOUNDS) -> dict[str, Path]:
    """The files of sound below a folder by their stems, hidden ones left out; of two with one stem the first kind."""
    ranks = {kind: rank for rank, kind in enumerate(kinds)}
    paths = [p for p in folder.rglob("*") if p.suffix in ranks and not p.name.startswith(".")]
    return {p.stem: p for p in sorted(paths, key=lambda p: (-ranks[p.suffix], p))}


def lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers."""
    if not path.is_file():
        raise ValueError(f"{path} is not there; name the folder that the corpus's archive unpacks to")
    try:
        return [(i, line) for i, line in enumerate(path.read_text("utf-8").splitlines(), 1) if line.strip()]
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text; fetch it again") from None


def transcripts(path: Path, parse: Callable[[str], tuple[str, str]]) -> tuple[dict[str, str], dict[str, int]]:
    """The texts of a file with an utterance a line, by id, and the line of each. `parse` makes (id, text) of a line, or
    a ValueError that says what is wrong with it."""
    texts: dict[str, str] = {}
    at: dict[str, int] = {}
    for i, line in lines(path):
        try:
            name, text = parse(line)
        except ValueError as error:
            raise ValueError(f"{path}:{i}: {error}") from None
        if name in texts:
            raise ValueError(f"{path}:{i}: {name} stands in line {at[name]} already; take one of them out")
        texts[name], at[name] = text, i
    return texts, at
