"""How different samples for the same prompt are (the paper's Figure 5 counts unique ones among 50 of HumanEval)."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Hashable, Sequence
from itertools import combinations

Words = Sequence[Hashable]


def n_grams(words: Words, n: int) -> list[tuple[Hashable, ...]]:
    """Each run of n words, in order."""
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def distinct_n(samples: Sequence[Words], n: int) -> float:
    """Different n-grams of all samples over all their n-grams (Li et al. 2016); not a number where there is none."""
    found = [gram for words in samples for gram in n_grams(words, n)]
    return len(set(found)) / len(found) if found else float("nan")


def pairwise_distance(samples: Sequence[Words], n: int = 2) -> float:
    """The mean over pairs of samples of 1 - |a & b| / |a | b|, with a and b the sets of their n-grams (Jaccard's
    distance): 0 where all are the same, 1 where no two share one. Two samples without n-grams are the same."""
    sets = [frozenset(n_grams(words, n)) for words in samples]
    distances = [1 - len(a & b) / len(a | b) if a | b else 0.0 for a, b in combinations(sets, 2)]
    return statistics.fmean(distances) if distances else float("nan")


def diversity(samples: Sequence[Sequence[str]], split: Callable[[str], Words] = str.split) -> dict[str, float]:
    """Means over prompts, of several samples each: `unique`, how many are different as strings; `distinct_1` to
    `distinct_4`, and `pairwise_distance`, of the words that `split` makes. `samples`, the fewest of a prompt.

    All of them depend on how many samples there are: compare models at the same number."""
    if not samples or min(map(len, samples)) < 2:
        raise ValueError("diversity is that of two samples of a prompt or more")
    worded = [[split(text) for text in texts] for texts in samples]
    scores = {"samples": float(min(map(len, samples))), "unique": statistics.fmean(len(set(t)) for t in samples)}
    for n in range(1, 5):
        scores[f"distinct_{n}"] = _mean([distinct_n(words, n) for words in worded])
    return scores | {"pairwise_distance": _mean([pairwise_distance(words) for words in worded])}


def _mean(values: Sequence[float]) -> float:
    """Of those that are numbers."""
    known = [value for value in values if value == value]
    return statistics.fmean(known) if known else float("nan")
