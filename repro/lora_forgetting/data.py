"""Where a run's tokens come from: two Markov languages whose entropy is known, or text through a tokenizer.

Shapes: B sequences, T tokens of one, V symbols.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch

from repro.lab import documents, smollm2, tokenizers
from repro.lab.corpus import Corpus
from repro.lab.text import Tokens, packed
from repro.lab.tokenizers import Tokenizer
from repro.lora_forgetting import targets
from repro.lora_forgetting.config import Config

CACHE = Path("out/text")
POOL = 16_384  # sequences of a Markov language to train on
HELD_OUT = 512  # and to measure with
_SHARPNESS = 2.0  # of the rows of transition probabilities: exp(2 normal), normalised


@dataclass(frozen=True)
class Domain:
    """What is trained on or measured. `take` gives sequences (B, T + 1) by their numbers below `n`, which stand on
    `rows_on`; `held_out` is (M, T + 1), on the device of the run. `optimum_nats` is the loss a token of the best
    predictor there is, where it is known, else 0: losses are told as what exceeds it."""

    name: str
    n: int
    take: Callable[[torch.Tensor], torch.Tensor]
    held_out: torch.Tensor
    optimum_nats: float = 0.0
    bytes_per_token: float = math.nan
    rows_on: str = "cpu"


@dataclass(frozen=True)
class Domains:
    """What the base knows, what an arm is to learn, and other texts of the source's kind, by name."""

    source: Domain
    target: Domain
    others: dict[str, Domain]
    tokenizer: Tokenizer | None = None

    @property
    def name(self) -> str:
        return f"{self.source.name}; {self.target.name}"


def load(config: Config, device: torch.device) -> Domains:
    """A ValueError in one line where a text or a tokenizer is not to be had, or is too short."""
    if config.domain == "markov":
        return markov(config, device)
    tokenizer, place = tokenizer_of(config), torch.device("cpu") if config.text_on_host else device
    source = _text(config, config.source, tokenizer, place)
    others = {Path(name).name.split(".")[0]: _other(config, name, tokenizer, device) for name in config.others}
    target = _domain(config, _target(config, tokenizer, place), device)
    known = _domain(config, source, device)
    if config.target == "mixture":
        target = mixed(known, target)
    return Domains(known, target, others, tokenizer)


# Markov languages


def transitions(symbols: int, seed: int, which: int) -> torch.Tensor:
    """The probabilities of a language, (V, V): row i of what follows symbol i."""
    g = torch.Generator().manual_seed(2 * seed + which)
    return torch.softmax(_SHARPNESS * torch.randn(symbols, symbols, generator=g, dtype=torch.float64), 1)


def sequences(p: torch.Tensor, n: int, length: int, seed: int) -> torch.Tensor:
    """n chains (n, length) of a language; the first symbol is any."""
    g = torch.Generator().manual_seed(seed)
    found = torch.randint(len(p), (n, length), generator=g)
    edges = p.cumsum(1).clamp(max=1.0)
    chance = torch.rand(n, length, generator=g, dtype=torch.float64)
    for t in range(1, length):
        reached = edges[found[:, t - 1]] < chance[:, t : t + 1]
        found[:, t] = reached.sum(1).clamp(max=len(p) - 1)
    return found


def best_nats(p: torch.Tensor, chains: torch.Tensor) -> float:
    """The loss a token of who knows the language, on these very chains: -log p of each transition, and log V of the
    first symbol, which nothing tells."""
    moves = -p[chains[:, :-1], chains[:, 1:]].log().sum(1) + math.log(len(p))
    return float(moves.mean()) / chains.shape[1]


def _language(config: Config, which: int, device: torch.device) -> Domain:
    """A tag that names the language, then its symbols. Training and held-out chains differ in their seeds."""
    p = transitions(config.symbols, config.seed, which)
    tag = config.symbols + which
    seeds = (8 * config.seed + 4 + 2 * which, 8 * config.seed + 5 + 2 * which)
    train, held = (sequences(p, n, config.seq_len, s) for n, s in zip((POOL, HELD_OUT), seeds, strict=True))
    tagged = [torch.cat((torch.full((len(c), 1), tag), c), 1).to(device) for c in (train, held)]
    name = f"Markov language {'AB'[which]} of {config.symbols} symbols, seed {config.seed}"
    return Domain(name, POOL, lambda rows: tagged[0][rows], tagged[1], best_nats(p, held), rows_on=str(device))


def markov(config: Config, device: torch.device) -> Domains:
    return Domains(_language(config, 0, device), _language(config, 1, device), {})


# Text


def tokenizer_of(config: Config) -> Tokenizer:
    """The base's own: SmolLM2's out of its package, or the tokenizer.json beside the checkpoint."""
    if config.base == "smollm2":
        return Tokenizer(smollm2.tokenizer(), smollm2.NAME)
    if not Path(config.base).is_dir():
        raise ValueError(
            f"there is no base at '{config.base}'; `python -m repro.lora_forgetting.train gpu-base` heals one"
        )
    return tokenizers.load(Path(config.base) / "tokenizer.json")


def _text(config: Config, source: str, tokenizer: Tokenizer, device: torch.device) -> Tokens:
    python_bytes = int(config.text_mb * 1e6) if source == "python" else None
    return packed(Corpus(source, CACHE, python_bytes), tokenizer, device)


def _other(config: Config, name: str, tokenizer: Tokenizer, device: torch.device) -> Domain:
    """The beginning of a text to be measured with, of its held-out part where it has one; nothing of it is trained on,
    so one document is enough."""
    parts = documents.parts(name)[1]
    chosen = [part for part in parts if part.split == "val"] or parts
    tokens: list[int] = []
    size, most = 0, config.eval_windows * config.seq_len + 1
    for text in chain.from_iterable(part.read() for part in chosen):
        tokens += [*tokenizer.encode(text), tokenizer.end]
        size += len(text.encode())
        if len(tokens) >= most:
            break
    n = (min(len(tokens), most) - 1) // config.seq_len
    if n < 1:
        raise ValueError(f"{name} holds no {config.seq_len} tokens to measure with")
    row = torch.tensor(tokens[: n * config.seq_len + 1], device=device)
    held_out = row.unfold(0, config.seq_len + 1, config.seq_len)
    return Domain(Path(name).name, 0, lambda rows: held_out[rows], held_out, 0.0, size / len(tokens))


def _target(config: Config, tokenizer: Tokenizer, device: torch.device) -> Tokens:
    """python, permuted (Python's library with its tokens exchanged), mixture (of Python's library and the source), or
    what a path names: problems with answers as JSON lines, else text."""
    if config.target in ("python", "permuted", "mixture"):
        python = _text(config, "python", tokenizer, device)
        return targets.permuted(python, tokenizer, config.seed) if config.target == "permuted" else python
    if ".jsonl" in config.target:
        return targets.problems(Path(config.target), tokenizer, CACHE, device)
    return _text(config, config.target, tokenizer, device)


def _domain(config: Config, tokens: Tokens, device: torch.device) -> Domain:
    seq_len, n = config.seq_len, tokens.n_windows(config.seq_len)
    n_val = tokens.n_windows(seq_len, "val")
    held = min(config.eval_windows, n_val)
    for split, found, least in (("train", n, config.batch_size), ("val", held, 1)):
        if found < least:
            raise ValueError(f"{tokens.name}: {found} sequences of {seq_len} tokens in {split} and {least} needed")
    place = tokens.train.device
    # from all of it: the first are of one kind where the files of a folder are
    rows = torch.arange(held, device=place) * n_val // max(1, held)
    held_out = tokens.windows(rows, seq_len, "val").to(device)
    return Domain(
        tokens.name, n, lambda rows: tokens.windows(rows, seq_len), held_out, 0.0, tokens.bytes_per_token, str(place)
    )


def mixed(a: Domain, b: Domain) -> Domain:
    """Every other sequence from each; what is held out is that of `b`."""
    n = 2 * min(a.n, b.n)

    def take(rows: torch.Tensor) -> torch.Tensor:
        return torch.where((rows % 2 == 0)[:, None], a.take(rows // 2), b.take(rows // 2))

    name = f"{b.name}, every other sequence of the source"
    return Domain(name, n, take, b.held_out, 0.0, b.bytes_per_token, b.rows_on)
