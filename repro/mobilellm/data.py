"""The text a run reads: a source and a tokenizer of the config, made into tokens once (repro.lab.text)."""

from __future__ import annotations

from pathlib import Path

import torch

from repro.lab import text
from repro.lab.text import Tokens
from repro.lab.tokenizers import Tokenizer
from repro.mobilellm.config import Config

CACHE = Path("out/text")


def load(config: Config, device: torch.device) -> tuple[Tokens, Tokenizer]:
    """The tokens and what made them; a ValueError in one line where the text or the tokenizer is not to be had, or does
    not fit the config."""
    python_bytes = int(config.text_mb * 1e6)
    tokens, tokenizer = text.load(config.text, config.tokenizer, config.vocab_size, CACHE, device, python_bytes)
    if tokenizer.vocab_size > config.vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size:,} tokens and the model {config.vocab_size:,}; "
            f"--vocab-size {tokenizer.vocab_size} makes room"
        )
    for split, least in (("train", config.batch_size), ("val", 1)):
        found = tokens.n_windows(config.seq_len, split)
        if found < least:
            raise ValueError(
                f"{tokens.name}: {found} sequences of {config.seq_len} tokens in {split} and {least} needed; "
                "name more text or a smaller --seq-len"
            )
    return tokens, tokenizer
