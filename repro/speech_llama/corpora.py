"""Corpora of speech: which utterances there are, who says what in them, and which part of the data each belongs to.

A source is named `KIND:PLACE`, the place being a folder in the layout that the corpus is published in:

    an4:DIR          CMU AN4: etc/an4_train.fileids, .transcription; wav/ holding .sph, .raw or .wav
    fsdd:DIR         Free Spoken Digit Dataset: recordings/{digit}_{speaker}_{index}.wav, one digit a clip
    digits:DIR       utterances of several digits made of the same clips, the test's speakers held out
    lj:DIR           LJ Speech: metadata.csv and wavs/
    librispeech:DIR  LibriSpeech: train-clean-100/, dev-…, test-…/speaker/chapter/ with .flac and .trans.txt
    mls:DIR          Multilingual LibriSpeech: mls_german/{train,dev,test}/ (or _opus) with transcripts.txt and audio/
    hf:NAME[/CONFIG] a Hugging Face dataset with a column of audio, or a folder in its layout
    espeak:LANGUAGES synthesised here, e.g. espeak:en+de; `espeak` alone is all eight (repro.speech_llama.synthesis)

Where a corpus has no official split, hashes of ids or speakers hold some out: always the same ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from repro.lab import documents
from repro.speech_llama import audio, digits, layouts, synthesis
from repro.speech_llama.utterances import LANGUAGES, LOSSY, Corpus, Utterance

_TEXT_COLUMNS = ("text", "transcript", "transcription", "sentence", "normalized_text")
_SPEAKER_COLUMNS = ("speaker_id", "client_id", "speaker")
_SPLITS = {"train": "train", "dev": "val", "validation": "val", "valid": "val", "val": "val", "test": "test"}


def corpus(source: str, seed: int = 0) -> Corpus:
    """The corpus that a source names. `seed` is that of what is made here (digits, espeak), the same for every run that
    is to see the same data. A ValueError in one line where it cannot be had; sound is read only when it is wanted."""
    kind, _, place = source.partition(":")
    folder = Path(place).expanduser()
    readers: dict[str, Callable[[], Corpus]] = {
        "an4": lambda: layouts.an4(folder), "fsdd": lambda: digits.fsdd(folder),
        "digits": lambda: digits.connected(folder, seed), "lj": lambda: layouts.lj(folder),
        "librispeech": lambda: layouts.librispeech(folder), "mls": lambda: layouts.mls(folder),
        "hf": lambda: dataset(place), "espeak": lambda: synthesis.corpus(place, seed),
    }  # fmt: skip
    if kind not in readers:
        raise ValueError(f"'{source}' names no corpus; write KIND:PLACE with one of {', '.join(readers)}")
    if kind not in ("hf", "espeak") and (not place or not folder.is_dir()):
        raise ValueError(
            f"'{source}': {folder if place else 'nothing'} is no folder; name the one that holds the corpus"
        )
    try:
        found = readers[kind]()
    except OSError as error:
        raise ValueError(f"{error.filename or place}: {error.strerror or error}") from None
    if not found.utterances:
        raise ValueError(f"'{source}' holds no utterances")
    return found


def dataset(name: str) -> Corpus:
    """A dataset of the hub, or a folder in its layout. Its sound is taken as the bytes of a file and decoded here: the
    library's own decoding would ask for torchcodec."""
    called, found = documents.dataset(name, "datasets soundfile")
    import datasets

    utterances: list[Utterance] = []
    for part, rows in found.items():
        split = _SPLITS.get(part.replace("-", ".").replace("_", ".").split(".")[0])
        if split is None:  # Common Voice's other and invalidated are such
            print(f"hf:{name}: {part} is left out, as neither train, validation nor test", file=sys.stderr)
        else:
            utterances += _of_rows(name, part, split, rows, datasets)
    return Corpus(called, utterances)


def _of_rows(name: str, part: str, split: str, rows: Any, datasets: Any) -> list[Utterance]:
    sound = next((key for key, kind in rows.features.items() if isinstance(kind, datasets.Audio)), None)
    text, speaker = (next((c for c in of if c in rows.features), None) for of in (_TEXT_COLUMNS, _SPEAKER_COLUMNS))
    if sound is None or text is None:
        raise ValueError(
            f"hf:{name} ({part}) needs a column of type Audio and one of {', '.join(_TEXT_COLUMNS)}; "
            f"it has {', '.join(rows.features)}"
        )
    rows = rows.cast_column(sound, datasets.Audio(decode=False))
    language = LANGUAGES.get(name.rpartition("/")[2].lower(), name.rpartition("/")[2].lower())
    language = language if language in LANGUAGES.values() else "en"
    texts = rows[text][:]
    speakers = rows[speaker][:] if speaker else [""] * len(rows)
    coding = LOSSY.get(Path(rows[0][sound]["path"] or "").suffix, "") if len(rows) else ""

    def heard(i: int) -> np.ndarray:
        cell = rows[i][sound]
        if cell["bytes"] is None:
            return audio.load(Path(cell["path"]))
        return audio.resample(*audio.decode(cell["bytes"], f"hf:{name} {part} row {i}"))

    return [
        Utterance(f"{part}-{i}", str(texts[i]), str(speakers[i]), split, part, language, rows._fingerprint,
                  lambda i=i: heard(i), coding)  # type: ignore[misc]
        for i in range(len(rows))
    ]  # fmt: skip
