"""Utterances as a run takes them: features, transcripts as units and as tokens, and which of them make up a step.

Shapes: N utterances, B of a batch, M mel bins, U units or tokens of the longest transcript.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from repro.lab import smollm2, tokenizers
from repro.lab.data import batch_indices
from repro.speech_llama import audible, corpora, features
from repro.speech_llama.config import Config
from repro.speech_llama.model import steps_of
from repro.speech_llama.vocabulary import Tokens, Units, Vocabulary, units_of

_ROUND = 64  # frames that widths of batches are multiples of
_WIDTHS = 4  # of batches; a graph is captured for each
_POOL = 8  # batches whose utterances are sorted by length, so that few are padded much


class Packed:
    """Transcripts as numbers, end to end on the host: of as many as a corpus has, most of a padded table would be
    padding. `counts` (N,) says how many each has, `most` is the longest's."""

    def __init__(self, rows: Iterable[Sequence[int]]) -> None:
        flat, counts = array("i"), array("q")
        for row in rows:
            flat.extend(row)
            counts.append(len(row))
        self.flat, self.counts = torch.tensor(flat, dtype=torch.int32), torch.tensor(counts, dtype=torch.int64)
        self.starts = self.counts.cumsum(0) - self.counts
        self.most = max(1, int(self.counts.max()))

    def take(self, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Some of them (B,): int64 (B, U), 0 beyond their ends, and how many each has (B,)."""
        counts, places = self.counts[at], torch.arange(self.most)
        mine = places < counts[:, None]
        found = torch.zeros(mine.shape, dtype=torch.int64)
        found[mine] = self.flat[(self.starts[at][:, None] + places)[mine]].long()
        return found, counts

    def twice(self) -> torch.Tensor:
        """How often each has one number twice in a row (N,)."""
        ends = self.starts + self.counts
        same = torch.zeros(len(self.flat) + 1, dtype=torch.int64)
        same[1:-1] = self.flat[1:] == self.flat[:-1]
        same[self.starts] = 0  # the first of one after the last of another
        sums = torch.cat((same.new_zeros(1), same.cumsum(0)))
        return sums[ends] - sums[self.starts]


class Split:
    """Some utterances of a corpus, with their transcripts as CTC's units and as the decoder's tokens. All but the
    sound is on the host."""

    def __init__(self, heard: features.Speech, rows: torch.Tensor, units: Units, vocabulary: Vocabulary) -> None:
        self.heard, self.rows, self.device = heard, rows, heard.device
        self.lengths: list[int] = heard.frames[rows].tolist()
        mine = [heard.utterances[i] for i in rows.tolist()]
        self.texts = [heard.texts[i] for i in rows.tolist()]
        self.languages, self.parts, self.speakers = zip(
            *((one.language, one.part, one.speaker) for one in mine), strict=True
        )
        self.units = Packed(units.encode(text) for text in self.texts)
        self.tokens = Packed(vocabulary.encode(text) for text in self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def widest(self) -> int:
        """Frames of the widest batch."""
        return rounded(max(self.lengths))

    def take(
        self, at: torch.Tensor, width: int, rates: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log mel power (B, width, M) of some utterances (B,) on the device, drawn out by `rates` (B,) where these are
        given, and how many frames of each are its own (B,), on the host."""
        return self.heard.batch(self.rows[at], width, rates)


@dataclass(frozen=True)
class Speech:
    """What a run trains and is measured on. `name` says it for the record."""

    name: str
    units: Units
    vocabulary: Vocabulary
    train: Split
    test: Split


def rounded(frames: int) -> int:
    return -(-frames // _ROUND) * _ROUND


class Batches:
    """Which utterances make up a step and how many frames wide their batch is: a pure function of (seed, step). Those
    of one step are of like length, and there are at most `_WIDTHS` widths."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.batch_size, self.seed = batch_size, seed
        self.lengths = torch.tensor(lengths)
        sizes = self.lengths.sort().values
        marks = [sizes[len(sizes) * (i + 1) // _WIDTHS - 1] for i in range(_WIDTHS)] if len(sizes) >= _WIDTHS else sizes
        self.widths = sorted({rounded(int(mark)) for mark in marks})

    def __call__(self, step: int) -> tuple[torch.Tensor, int]:
        """Rows (batch_size,) on the CPU, and a width."""
        per_pool = min(_POOL, len(self.lengths) // self.batch_size)
        pool, place = divmod(step, max(1, per_pool))
        rows = batch_indices(len(self.lengths), max(1, per_pool) * self.batch_size, self.seed, pool)
        rows = rows[self.lengths[rows].argsort(stable=True)]
        order = torch.randperm(max(1, per_pool), generator=torch.Generator().manual_seed(pool))
        mine = rows.view(-1, self.batch_size)[order[place]]
        most = int(self.lengths[mine].max())
        return mine, next(w for w in self.widths if w >= most)


def load(config: Config, device: torch.device, cache: Path | None = None) -> Speech:
    """The utterances that a config names, and its vocabularies; a ValueError in one line where they are not to be had,
    or do not fit."""
    corpus = (
        audible.corpus(config.utterances, config.test_utterances, config.snr_db, config.seed)
        if config.data == "audible"
        else corpora.corpus(config.data, config.seed)
    )
    heard = features.load(corpus, cache or features.CACHE, device)
    rows = {"train": heard.rows("train"), "test": measured_on(heard, config.test)[: config.test_utterances]}
    least = max(config.batch_size, config.lm_batch_size if config.decoder == "small" else 0)
    if len(rows["train"]) < least or not len(rows["test"]):
        raise ValueError(
            f"{heard.name}: {len(rows['train'])} utterances to train on and {len(rows['test'])} to test with, and "
            f"{least} needed for a step; name a corpus with more, or a smaller --batch-size"
        )
    units = units_of((heard.texts[i] for i in rows["train"].tolist()), config.units, config.n_subwords)
    vocabulary = vocabulary_of(config, units)
    train, test = (Split(heard, rows[split], units, vocabulary) for split in ("train", "test"))
    _check_ctc(config, train)
    return Speech(heard.name, units, vocabulary, train, test)


def measured_on(heard: features.Speech, name: str) -> torch.Tensor:
    """The utterances of a split, or of a part by the corpus's own name; none of them may be trained on."""
    splits = sorted({one.split for one in heard.utterances} - {"train"})
    parts = sorted({one.part for one in heard.utterances if one.split != "train"} - set(splits))
    if name not in (*splits, *parts):
        raise ValueError(f"{heard.name} has no '{name}' to test with; --test may be {', '.join((*splits, *parts))}")
    return heard.rows(name) if name in splits else heard.rows("", part=name)


def vocabulary_of(config: Config, units: Units) -> Vocabulary:
    """What a decoder reads and writes: the units themselves, or the tokenizer of its checkpoint."""
    if config.decoder in ("small", "random"):
        return units
    if config.decoder == "smollm2":
        raw = smollm2.tokenizer()
    else:
        raw = tokenizers.load(Path(config.decoder).expanduser() / "tokenizer.json").raw
    return Tokens.of(raw)


def _check_ctc(config: Config, train: Split) -> None:
    """CTC says at most one unit a step, and a blank between two that are alike."""
    steps = steps_of(torch.tensor(train.lengths), config.stride)
    short = int((steps < train.units.counts + train.units.twice()).sum())
    if config.init == "ctc" and short > len(train) // 20:
        raise ValueError(
            f"{short} of {len(train)} utterances have more {config.units} than steps of {10 * config.stride} ms; "
            "choose a smaller --stride, or --units subwords"
        )
