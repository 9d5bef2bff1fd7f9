"""Corpora as their archives unpack: AN4, LJ Speech, LibriSpeech, Multilingual LibriSpeech."""

from __future__ import annotations

import re
from pathlib import Path

from repro.speech_llama.utterances import (
    LANGUAGES,
    Corpus,
    Utterance,
    held_out,
    of_file,
    pair_up,
    sounds_below,
    transcripts,
)

_AN4_LINE = re.compile(r"^(?:<s>\s*)?(.*?)\s*(?:</s>\s*)?\(([^()\s]+)\)\s*$")
_SUBSETS = re.compile(r"^(train|dev|test)(-.+)?$")
_LIBRI_SPLIT = {"train": "train", "dev": "val", "test": "test"}


def an4(folder: Path) -> Corpus:
    """CMU AN4, of any of its archives (sphere, raw in either byte order) or turned to wav: `an4/` or the folder that
    holds it. The test set is the official one; one speaker in twenty of the training set is for validation."""
    home = folder / "an4" if (folder / "an4" / "etc").is_dir() else folder
    utterances = [one for part in ("train", "test") for one in _an4_part(home, part)]
    return Corpus("AN4", utterances)


def _an4_part(home: Path, part: str) -> list[Utterance]:
    control, said = home / "etc" / f"an4_{part}.fileids", home / "etc" / f"an4_{part}.transcription"
    texts, at = transcripts(said, _an4_line)
    places, numbers = transcripts(control, lambda line: (line.strip().rpartition("/")[2], line.strip()))
    if spare := [name for name in places if name not in texts]:
        raise ValueError(f"{control}:{numbers[spare[0]]}: {spare[0]} is not in {said}; add its line or take this out")
    if spare := [name for name in texts if name not in places]:
        raise ValueError(f"{said}:{at[spare[0]]}: {spare[0]} is not in {control}; add its line or take this out")
    folders = {place.partition("/")[0] for place in places.values()}
    sounds = {k: p for name in sorted(folders) for k, p in sounds_below(home / "wav" / name).items()}
    pair_up(control, numbers, sounds, home / "wav")
    utterances = []
    for name, text in texts.items():
        speaker = places[name].split("/")[-2] if "/" in places[name] else name.split("-")[1]
        split = part if part == "test" else held_out(f"an4 {speaker}", 0, 0.05)
        utterances.append(of_file(sounds[name], name, text, speaker, split, part))
    return utterances


def _an4_line(line: str) -> tuple[str, str]:
    found = _AN4_LINE.match(line)
    if found is None:
        raise ValueError("no utterance id in parentheses at the end; write <s> WORDS </s> (ID)")
    return found[2], found[1]


def lj(folder: Path) -> Corpus:
    """LJ Speech: metadata.csv (id|text|text with numbers and abbreviations spelled out; the last is taken) and wavs/.
    There is no official split: a tenth of the clips is for testing, a twentieth for validation."""
    home = next((p for p in (folder, folder / "LJSpeech-1.1") if (p / "metadata.csv").is_file()), folder)
    table = home / "metadata.csv"
    texts, at = transcripts(table, _lj_line)
    sounds = sounds_below(home / "wavs")
    pair_up(table, at, sounds, home / "wavs")
    return Corpus(
        "LJ Speech",
        [of_file(sounds[name], name, text, "LJ", held_out(name, 0.1, 0.05)) for name, text in texts.items()],
    )


def _lj_line(line: str) -> tuple[str, str]:
    name, *columns = line.split("|")
    if len(columns) not in (1, 2) or not name:
        raise ValueError(f"{len(columns) + 1} columns where id|text|normalised text is expected")
    return name, columns[-1]


def librispeech(folder: Path) -> Corpus:
    """LibriSpeech: those of its parts (train-clean-100, dev-other, …) that are there."""
    home = folder / "LibriSpeech" if (folder / "LibriSpeech").is_dir() else folder
    parts = [p for p in sorted(home.iterdir()) if p.is_dir() and _SUBSETS.match(p.name)]
    if not parts and _SUBSETS.match(folder.name):
        parts = [folder]
    if not parts:
        raise ValueError(f"{home} holds no part of LibriSpeech; name the folder with train-clean-100/, test-clean/, …")
    utterances = []
    for part in parts:
        split = _LIBRI_SPLIT[part.name.partition("-")[0]]
        chapters = sorted({p.parent for p in part.rglob("*") if p.suffix in (".flac", ".txt", ".wav")})
        for chapter in chapters:
            utterances += _chapter(chapter, split, part.name)
    return Corpus(f"LibriSpeech {'+'.join(part.name for part in parts)}", utterances)


def _chapter(chapter: Path, split: str, part: str) -> list[Utterance]:
    speaker = chapter.parent.name
    said = chapter / f"{speaker}-{chapter.name}.trans.txt"
    texts, at = transcripts(said, _libri_line)
    sounds = sounds_below(chapter)
    pair_up(said, at, sounds, chapter)
    return [of_file(sounds[name], name, text, speaker, split, part) for name, text in texts.items()]


def _libri_line(line: str) -> tuple[str, str]:
    name, _, text = line.strip().partition(" ")
    if not text:
        raise ValueError(f"{name} has no words; write ID WORDS or take the line out")
    return name, text


def mls(folder: Path) -> Corpus:
    """Multilingual LibriSpeech: one language's folder (mls_german or mls_german_opus), or one that holds several."""
    homes = [folder] if _mls_language(folder) else [p for p in sorted(folder.iterdir()) if _mls_language(p)]
    if not homes:
        raise ValueError(f"{folder} holds no mls_LANGUAGE folder; LANGUAGE is one of {', '.join(LANGUAGES)}")
    utterances = []
    for home in homes:
        language = _mls_language(home)
        parts = [p for p in ("train", "dev", "test") if (home / p).is_dir()]
        if not parts:
            raise ValueError(f"{home} has none of train/, dev/, test/; unpack the archive again")
        for part in parts:
            utterances += _mls_part(home / part, language)
    return Corpus(f"Multilingual LibriSpeech {'+'.join(_mls_language(home) for home in homes)}", utterances)


def _mls_language(home: Path) -> str:
    """de for mls_german and mls_german_opus; empty for any other folder."""
    family, _, name = home.resolve().name.removesuffix("_opus").partition("_")
    return LANGUAGES.get(name, "") if family == "mls" and home.is_dir() else ""


def _mls_part(part: Path, language: str) -> list[Utterance]:
    said = part / "transcripts.txt"
    texts, at = transcripts(said, _mls_line)
    sounds = sounds_below(part / "audio")
    pair_up(said, at, sounds, part / "audio")
    split = _LIBRI_SPLIT[part.name]
    return [
        of_file(sounds[name], name, text, name.split("_")[0], split, part.name, language)
        for name, text in texts.items()
    ]


def _mls_line(line: str) -> tuple[str, str]:
    name, _, text = line.partition("\t")
    if not text.strip() or len(name.split("_")) != 3:
        raise ValueError("no SPEAKER_BOOK_NUMBER, tab, words; unpack the archive again")
    return name, text.strip()
