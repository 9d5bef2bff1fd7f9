"""The one normalisation of text, used for training and for scoring, and word and character error rates on it.

A WER means nothing without the normalisation on both sides of it, so every transcript and every hypothesis passes
`normalise`, and passing twice changes nothing.

Shapes: N utterances, R resamples.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u2032\u00b4\u0060\u02b9\uff07", "'"))
_LETTER = r"[^\W_]"  # a letter or digit of any script
_APART = re.compile(rf"(?<!{_LETTER})'|'(?!{_LETTER})")  # an apostrophe with no letter on one side
RESAMPLES = 10_000
_AT_ONCE = 1 << 22  # draws of a bootstrap that are in memory together


def normalise(text: str) -> str:
    """Lower case without punctuation, single spaces between words: NFKC first, so that ligatures and full-width forms
    are the letters they stand for; then apostrophes of every shape are one and stay only within a word (don't, l'eau,
    but not 'quoted'); every other character that is no letter, digit or combining mark parts words, a hyphen too.
    Digits stay digits: nothing is spelled out. One rule for English, German, Dutch, French, Spanish, Italian,
    Portuguese and Polish; their accents are letters and stay."""
    text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).translate(_APOSTROPHES)
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")  # soft hyphens and joiners are no gaps
    text = unicodedata.normalize("NFKC", text.lower())
    text = "".join(c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    words = (_without_loose_marks(word) for word in _APART.sub(" ", text).split())
    return " ".join(word for word in words if word)


def _without_loose_marks(word: str) -> str:
    """A word from its first letter on: an accent before it has nothing to stand on."""
    at = next((i for i, c in enumerate(word) if c.isalnum()), len(word))
    return word[at:]


@dataclass(frozen=True)
class Errors:
    """Edits that turn hypotheses into references and what the references hold, an utterance each: int64 (N,)."""

    edits: np.ndarray
    length: np.ndarray

    @property
    def rate(self) -> float:
        """All edits over all words (or characters): long utterances count for more, as in every published WER."""
        return float(self.edits.sum() / max(1, self.length.sum()))


def word_errors(references: Sequence[str], hypotheses: Sequence[str]) -> Errors:
    """Substitutions, insertions and deletions of words, both sides normalised."""
    found = _jiwer().process_words(*_both(references, hypotheses))
    return _counted(found.alignments, found.references)


def character_errors(references: Sequence[str], hypotheses: Sequence[str]) -> Errors:
    """The same of characters, spaces between words among them."""
    found = _jiwer().process_characters(*_both(references, hypotheses))
    return _counted(found.alignments, found.references)


def _both(references: Sequence[str], hypotheses: Sequence[str]) -> tuple[list[str], list[str]]:
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(hypotheses)} hypotheses for {len(references)} references")
    return [normalise(text) for text in references], [normalise(text) for text in hypotheses]


def _jiwer() -> Any:
    try:
        import jiwer
    except ImportError:
        raise ValueError("word error rates need the library jiwer: pip install jiwer") from None
    return jiwer


def _counted(alignments: Any, references: Sequence[Sequence[str]]) -> Errors:
    edits = [
        sum(max(c.ref_end_idx - c.ref_start_idx, c.hyp_end_idx - c.hyp_start_idx) for c in row if c.type != "equal")
        for row in alignments
    ]
    return Errors(np.array(edits, np.int64), np.array([len(row) for row in references], np.int64))


def interval(errors: Errors, together: Sequence[str] = (), seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """Where the error rate lies, by a percentile bootstrap over utterances (Bisani and Ney 2004): their errors stand
    together, so words are not drawn one by one. Those of one name in `together`, of one speaker say, are drawn
    together: what is said of new speakers must be drawn over speakers."""
    return _between(_rates(seed, _groups(together, errors), errors)[0], level)


def paired_interval(
    a: Errors, b: Errors, together: Sequence[str] = (), seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Where rate(a) - rate(b) lies for two systems on the same utterances, drawn together: that utterances differ in
    how hard they are is not in it. Zero outside it: the systems differ."""
    if not np.array_equal(a.length, b.length):
        raise ValueError("a paired interval is about one set of references; these are two")
    rates = _rates(seed, _groups(together, a), a, b)
    return _between(rates[0] - rates[1], level)


def _groups(together: Sequence[str], errors: Errors) -> np.ndarray:
    """The number of each utterance's group, int64 (N,)."""
    if not len(together):
        return np.arange(len(errors.edits))
    if len(together) != len(errors.edits):
        raise ValueError(f"{len(together)} names of groups for {len(errors.edits)} utterances")
    return np.unique(together, return_inverse=True)[1]


def _rates(seed: int, groups: np.ndarray, *systems: Errors) -> np.ndarray:
    """Error rates (systems, R) on groups of utterances drawn with replacement, the same draw for every system."""
    n, rng = int(groups.max(initial=-1)) + 1, np.random.default_rng(seed)
    if not n or any(not system.length.sum() for system in systems):
        raise ValueError("there are no words to judge")
    parts = [part for system in systems for part in (system.edits, system.length)]
    counts = np.stack([np.bincount(groups, part, n).astype(np.int64) for part in parts], 1)
    rates = []
    for begin in range(0, RESAMPLES, step := max(1, _AT_ONCE // n)):
        drawn = rng.integers(0, n, (min(step, RESAMPLES - begin), n))
        sums = np.stack([counts[:, i][drawn].sum(1) for i in range(counts.shape[1])])
        rates.append(sums[0::2] / np.maximum(sums[1::2], 1))
    return np.concatenate(rates, 1)


def _between(rates: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
