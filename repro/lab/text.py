"""Text for language models as one long row of tokens per split: made once, kept in a cache, memory-mapped.

    tokens, tokenizer = load("data/text", vocab_size=8192)
    rows = batch_indices(tokens.n_windows(512), 64, seed, step)
    tokens.windows(rows, 512)                                     # (64, 513): inputs [:, :-1], targets [:, 1:]

Documents follow each other, each with the end token after it, and are cut into windows wherever that falls: a window
may hold the end of one document and the start of the next, and attention is not kept from looking across (MobileLLM
and most others train so). Documents never cross from one split to the other.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from repro.lab import tokenizers
from repro.lab.cache import kept, key, read_json, write
from repro.lab.corpus import Corpus
from repro.lab.files import settle
from repro.lab.tokenizers import Tokenizer

LEARNT_FROM = 100_000_000  # bytes of training text, about, that a tokenizer is trained on
_SPLITS = ("train", "val")
_BATCH = 1 << 22  # characters tokenised at a time


@dataclass(frozen=True)
class Tokens:
    """A corpus as tokens: (N,) each, uint16 or int32. `bytes_per_token` is the held-out text's bytes of UTF-8 over all
    its tokens, ends of documents among them: mean loss in nats / ln 2 / bytes_per_token = bits per byte. `name` says
    what it is, for a record."""

    train: torch.Tensor
    val: torch.Tensor
    bytes_per_token: float
    name: str

    def n_windows(self, seq_len: int, split: str = "train") -> int:
        """How many windows there are; what is left at the end is shorter than one."""
        return max(0, len(self._of(split)) - 1) // seq_len

    def windows(self, rows: torch.Tensor, seq_len: int, split: str = "train") -> torch.Tensor:
        """The windows `rows` (B,) as int64 (B, seq_len + 1): window i is tokens[i * seq_len : (i + 1) * seq_len + 1],
        so that each token is an input once and a target once."""
        places = rows[:, None] * seq_len + torch.arange(seq_len + 1, device=rows.device)
        return self._of(split)[places].long()

    def _of(self, split: str) -> torch.Tensor:
        return {"train": self.train, "val": self.val}[split]


def load(
    source: str,
    tokenizer: str = "",
    vocab_size: int = 8192,
    cache: Path = Path("out/cache"),
    device: torch.device | str = "cpu",
    python_bytes: int | None = None,
) -> tuple[Tokens, Tokenizer]:
    """The tokens of a source (see repro.lab.documents) and what made them. `tokenizer` is a tokenizer.json, `bytes`, or
    empty for a BPE of `vocab_size` trained on the training text. What is made is kept in `cache`, where one process
    makes it and others wait. A ValueError in one line where the source, the tokenizer or the cache is not to be had."""
    try:
        corpus = Corpus(source, cache, python_bytes)
        chosen = tokenizer_of(corpus, tokenizer, vocab_size)
        return packed(corpus, chosen, torch.device(device)), chosen
    except OSError as error:
        raise ValueError(f"{cache}: {error}; the cache must be a folder that can be written to") from None


def tokenizer_of(corpus: Corpus, tokenizer: str = "", vocab_size: int = 8192) -> Tokenizer:
    """The tokenizer that `load` takes."""
    if tokenizer == "bytes":
        return tokenizers.of_bytes()
    if tokenizer:
        return tokenizers.load(Path(tokenizer).expanduser())
    path = corpus.cache / f"bpe-{key(corpus.sha256, str(vocab_size), str(LEARNT_FROM))}.json"

    def make() -> None:
        _say(f"training a tokenizer of {vocab_size:,} tokens on {corpus.name}")
        write(path, tokenizers.train(corpus.sample(LEARNT_FROM), vocab_size).raw.to_str())

    return kept(path, _read_tokenizer, make)


def packed(corpus: Corpus, tokenizer: Tokenizer, device: torch.device | str = "cpu") -> Tokens:
    """A corpus as tokens: memory-mapped from the cache on a CPU, in the device's memory on another."""
    path = corpus.cache / f"tokens-{key(corpus.sha256, tokenizer.hash)}.json"
    meta, arrays = kept(path, _read_packed, lambda: _pack(corpus, tokenizer, path))
    if torch.device(device).type == "cpu":
        train, val = (torch.from_numpy(arrays[split]) for split in _SPLITS)
    else:
        train, val = (torch.from_numpy(arrays[split].astype(np.int32)).to(device) for split in _SPLITS)
    return Tokens(train, val, meta["val"]["bytes"] / meta["val"]["tokens"], f"{corpus.name}; {tokenizer.name}")


def _pack(corpus: Corpus, tokenizer: Tokenizer, path: Path) -> None:
    """Write the tokens of each split, then what is said of them, whose presence tells that all is there."""
    _say(f"tokenising {corpus.name}; kept in {corpus.cache}")
    dtype = np.uint16 if tokenizer.vocab_size < 1 << 16 else np.uint32
    rows = {split: _Row(_beside(path, split), dtype) for split in _SPLITS}
    counts = {split: {"documents": 0, "bytes": 0} for split in _SPLITS}
    try:
        for split, texts in _batches(corpus):
            for text, tokens in zip(texts, tokenizer.encode_batch(texts), strict=True):
                rows[split].add([*tokens, tokenizer.end])
                counts[split]["documents"] += 1
                counts[split]["bytes"] += len(text.encode())
        if empty := [split for split in _SPLITS if not rows[split].length]:
            raise ValueError(f"{corpus.name} leaves no text for {empty[0]}")
        for row in rows.values():
            row.keep()
    finally:
        for row in rows.values():
            row.drop()
    said = {split: {**counts[split], "tokens": rows[split].length} for split in _SPLITS}
    write(path, json.dumps({"source": corpus.name, "tokenizer": tokenizer.name, "hash": tokenizer.hash, **said}))


def _batches(corpus: Corpus) -> Iterator[tuple[str, list[str]]]:
    """Documents of one split in their order, enough of them to keep every core busy."""
    waiting: dict[str, list[str]] = {split: [] for split in _SPLITS}
    size = dict.fromkeys(_SPLITS, 0)
    for split, text in corpus:
        waiting[split].append(text)
        size[split] += len(text)
        if size[split] >= _BATCH:
            yield split, waiting[split]
            waiting[split], size[split] = [], 0
    yield from ((split, texts) for split, texts in waiting.items() if texts)


class _Row:
    """A .npy file of one dimension, written from its start to an end not known before; under another name till kept."""

    def __init__(self, path: Path, dtype: type[np.unsignedinteger[Any]]) -> None:
        self.path, self.dtype, self.length = path, np.dtype(dtype), 0
        self._part = path.with_name(f"{path.name}.part")
        self._file = self._part.open("wb")
        self._header()

    def _header(self) -> None:
        """numpy leaves room in a header for a longer row, so that it can be written again over itself."""
        says = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": (self.length,)}
        np.lib.format.write_array_header_1_0(self._file, says)

    def add(self, tokens: list[int]) -> None:
        self._file.write(np.array(tokens, self.dtype).tobytes())
        self.length += len(tokens)

    def keep(self) -> None:
        self._file.seek(0)
        self._header()
        settle(self._file)
        os.replace(self._part, self.path)

    def drop(self) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)


def _read_packed(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    meta, arrays = read_json(path), {}
    if meta is None:
        return None
    try:
        for split in _SPLITS:
            found = np.load(_beside(path, split), mmap_mode="c")  # private to this process, as torch wants to write
            if found.shape != (meta[split]["tokens"],):
                return None
            arrays[split] = found.view(np.int32) if found.dtype == np.uint32 else found  # torch does little in uint32
    except (OSError, ValueError, EOFError, KeyError, TypeError):  # not there, cut off, or no such file
        return None
    return meta, arrays


def _beside(path: Path, split: str) -> Path:
    return path.with_name(f"{path.stem}-{split}.npy")


def _read_tokenizer(path: Path) -> Tokenizer | None:
    try:
        return tokenizers.load(path, "byte-level BPE")
    except ValueError:
        return None


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
