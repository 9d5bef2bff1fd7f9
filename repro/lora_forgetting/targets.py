"""Texts to fine-tune on, as rows of tokens (repro.lab.text.Tokens): the far target, and problems with their answers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from repro.lab.cache import kept, key, write
from repro.lab.corpus import Corpus
from repro.lab.text import Tokens, packed
from repro.lab.tokenizers import Tokenizer
from repro.lora_forgetting.tasks import math_text, rows, special_tokens, text_of

# what a problem and its answer are called: in GSM8K, in MetaMathQA, in Magicoder-Evol-Instruct
_FIELDS = (("question", "answer"), ("query", "response"), ("instruction", "response"))
_CHUNK = 1 << 22  # tokens that are exchanged at a time


# The far target


def permutation(tokenizer: Tokenizer, seed: int) -> torch.Tensor:
    """What stands for each token in the far target: int64 (vocab_size,), made on the CPU, the same for the same seed.
    Special tokens stand for themselves, so that documents still end."""
    special = special_tokens(tokenizer)
    movable = torch.tensor([i for i in range(tokenizer.vocab_size) if i not in special])
    order = torch.randperm(len(movable), generator=torch.Generator().manual_seed(seed))
    found = torch.arange(tokenizer.vocab_size)
    found[movable] = movable[order]
    return found


def permuted(tokens: Tokens, tokenizer: Tokenizer, seed: int) -> Tokens:
    """The same text with the identities of its tokens exchanged: all of its structure, and nothing of what a model
    knows of its words. Its entropy is the text's own, and bits per byte are those of the text that it stands for."""
    table = permutation(tokenizer, seed)
    return replace(
        tokens, train=_exchanged(tokens.train, table), val=_exchanged(tokens.val, table),
        name=f"{tokens.name}; tokens permuted, seed {seed}",
    )  # fmt: skip


def _exchanged(row: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """In the type and place of the row, which may be larger than fits memory as int64."""
    table, found = table.to(row.device), torch.empty_like(row)
    for at in range(0, len(row), _CHUNK):
        part = slice(at, at + _CHUNK)
        found[part] = table[row[part].long()].to(row.dtype)
    return found


# Problems with worked answers


def problems(path: Path, tokenizer: Tokenizer, cache: Path, device: torch.device | str = "cpu") -> Tokens:
    """Problems and answers of a file of JSON lines (GSM8K's question and answer, MetaMathQA's query and response,
    Magicoder's instruction and response; also packed as .bz2 or .gz), each a document as `tasks.math_prompt` asks them;
    or Tülu's messages, each under the name of who writes it. Some are held out, told by their hashes. A ValueError in
    one line where a line is of none of these forms."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        name = path.name.split(".")[0]
        written = cache / f"{name}-{key(math_text('question', 'answer'), digest)}.jsonl"
        kept(written, lambda made: made if made.is_file() else None, lambda: write(written, _lines(path)))
        tokens = packed(Corpus(str(written), cache), tokenizer, device)
    except OSError as error:
        raise ValueError(f"{path}: {error}") from None
    return replace(tokens, name=f"{path.name}, sha256 {digest[:12]}; {tokenizer.name}")


def _lines(path: Path) -> str:
    """The documents in the one form of JSON lines that every reader of text here knows."""
    return "".join(json.dumps({"text": _text(row, where)}) + "\n" for where, row in rows(path))


def _text(row: dict[str, Any], where: str) -> str:
    if "messages" in row:
        return _dialogue(row["messages"], where)
    for asked, answered in _FIELDS:
        if asked in row and answered in row:
            try:
                return math_text(text_of(row, asked), text_of(row, answered))
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from None
    pairs = ", ".join(" and ".join(pair) for pair in _FIELDS)
    raise ValueError(f"{where}: the fields are none of {pairs}, and no messages")


def _dialogue(messages: Any, where: str) -> str:
    """As Tülu's own template has it."""
    try:
        return "".join(f"<|{text_of(said, 'role')}|>\n{text_of(said, 'content').strip()}\n" for said in messages)
    except (TypeError, AttributeError, ValueError):
        raise ValueError(f"{where}: messages is no list of objects with a role and a content") from None
