"""What the language models of a run are about: prompts of one width and what follows them.

Shapes: B sequences, P tokens of a prompt, L tokens that follow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import torch

from repro.distillation.config import Config
from repro.distillation.rollout import until_end
from repro.lab import text
from repro.lab.data import batch_indices, step_seed

CACHE = Path("out/text")
HELD_OUT = 4095  # the rank whose random numbers make held-out sums: there are never so many
Split = Literal["train", "val"]


class Task(Protocol):
    """`prompt` and `new` tokens a sequence out of `vocab_size`; `stop` ends what follows a prompt, None where nothing
    does. `vocabulary` says which token is which, `name` what the data are."""

    prompt: int
    new: int
    vocab_size: int
    stop: int | None
    vocabulary: str
    name: str

    def batch(self, step: int, n: int, split: Split = "train") -> torch.Tensor:
        """The `n` sequences (n, P + L) of step `step`: a pure function of the seed and the step."""
        ...


class Sums:
    """`terms` numbers of up to `digits` digits, and their sum from its last digit on, as it is added up on paper:
    " 17+305=223." with 322 for the answer. Difficulty is the number of digits and of terms."""

    PLUS, EQUALS, BLANK, END = 10, 11, 12, 13
    vocab_size = 14
    stop: int | None = END
    vocabulary = "digits, +, =, blank, end"

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device = config, device
        self.longest = len(str(config.terms * (10**config.digits - 1)))
        self.prompt, self.new = config.terms * (config.digits + 1), self.longest + 1
        self.name = f"sums of {config.terms} random numbers of up to {config.digits} digits"

    def batch(self, step: int, n: int, split: Split = "train") -> torch.Tensor:
        rank = HELD_OUT if split == "val" else 0
        g = torch.Generator().manual_seed(step_seed(self.config.seed, step, rank))
        numbers = torch.randint(10**self.config.digits, (n, self.config.terms), generator=g)
        return torch.cat((self._prompts(numbers), self._answers(numbers.sum(1))), 1).to(self.device, non_blocking=True)

    def _prompts(self, numbers: torch.Tensor) -> torch.Tensor:
        place = 10 ** torch.arange(self.config.digits - 1, -1, -1)
        digits = numbers[..., None] // place % 10
        digits = digits.masked_fill((numbers[..., None] < place) & (place > 1), self.BLANK)
        signs = torch.full((*numbers.shape, 1), self.PLUS)
        signs[:, -1] = self.EQUALS
        return torch.cat((digits, signs), 2).flatten(1)

    def _answers(self, sums: torch.Tensor) -> torch.Tensor:
        place = 10 ** torch.arange(self.longest + 1)
        over = (sums[:, None] < place) & (place > 1)
        return (sums[:, None] // place % 10).masked_fill(over, self.END)

    def solved(self, tokens: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        """Which of the answers made (B, L) are right, to the end: tokens (B, P + L) hold the right ones."""
        right = tokens[:, self.prompt :]
        return ((made == right) | ~until_end(right, self.stop)).all(1)


class Text:
    """Windows of a text, the first tokens of each its prompt. Nothing ends one: a document's end is a token like
    others."""

    stop: int | None = None

    def __init__(self, config: Config, device: torch.device) -> None:
        python_bytes = int(config.text_mb * 1e6)
        loaded = text.load(config.text, config.tokenizer, config.vocab_size, CACHE, device, python_bytes)
        self.tokens, self.tokenizer = loaded
        self.config, self.device, self.name = config, str(device), self.tokens.name
        self.prompt, self.new = config.prompt_len, config.new_tokens
        self.vocab_size, self.vocabulary = config.vocab_size, self.tokenizer.hash
        if self.tokenizer.vocab_size > config.vocab_size:
            raise ValueError(
                f"the tokenizer has {self.tokenizer.vocab_size:,} tokens and the student {config.vocab_size:,}; "
                f"--vocab-size {self.tokenizer.vocab_size} makes room"
            )
        for split, least in (("train", config.batch_size), ("val", config.batch_size * config.eval_batches)):
            found = self.tokens.n_windows(self._length, split)
            if found < least:
                raise ValueError(
                    f"{self.name}: {found} windows of {self._length + 1} tokens in {split} and {least} needed; "
                    "name more text, fewer --eval-batches or a smaller --batch-size"
                )

    @property
    def _length(self) -> int:
        return self.prompt + self.new - 1

    def batch(self, step: int, n: int, split: Split = "train") -> torch.Tensor:
        if split == "train":
            windows = self.tokens.n_windows(self._length)
            rows = batch_indices(windows, n, self.config.seed, step, self.device)
        else:
            rows = torch.arange(step * n, (step + 1) * n, device=self.device)
        return self.tokens.windows(rows, self._length, split)


def load(config: Config, device: torch.device) -> Sums | Text:
    """The task of a config; a ValueError in one line where its text is not to be had or does not fit."""
    return Sums(config, device) if config.task == "arithmetic" else Text(config, device)
