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
Split = Literal["train", "val"]
# the ranks whose random numbers make numbers: there are never so many, so that nothing else is drawn from the same
RANKS = {"train": 4094, "val": 4095}
HELD_OUT = 8  # one prompt in so many is never trained on


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


class Numbers:
    """`terms` numbers of up to `digits` digits, fresh at every step, each written from its last digit on, as they are
    added up on paper. A hash of what is asked says what is held out."""

    PLUS, EQUALS, END = 10, 11, 12
    vocab_size = 13
    stop: int | None = END
    vocabulary = "digits, +, =, end"

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device = config, device
        self.longest = len(str(config.terms * (10**config.digits - 1)))
        self.prompt, self.new = self._widths()
        self.name = f"{self._called()}, one prompt in {HELD_OUT} held out"
        self._draw(0, 1, "val")

    def batch(self, step: int, n: int, split: Split = "train") -> torch.Tensor:
        numbers = self._draw(step, n, split)
        return torch.cat((self._prompts(numbers), self._answers(numbers)), 1).to(self.device, non_blocking=True)

    def solved(self, tokens: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        """Which of the answers made (B, L) are right, to the end: tokens (B, P + L) hold right ones."""
        raise NotImplementedError

    def _widths(self) -> tuple[int, int]:
        """Tokens of a prompt, and of an answer."""
        raise NotImplementedError

    def _called(self) -> str:
        raise NotImplementedError

    def _asked(self, numbers: torch.Tensor) -> torch.Tensor:
        """What numbers (n, terms) ask, as one number each (n,)."""
        raise NotImplementedError

    def _prompts(self, numbers: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def _answers(self, numbers: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def _draw(self, step: int, n: int, split: Split) -> torch.Tensor:
        """Numbers (n, terms) of a split."""
        g = torch.Generator().manual_seed(step_seed(self.config.seed, step, RANKS[split]))
        found = torch.empty(0, self.config.terms, dtype=torch.long)
        for _ in range(50):
            more = torch.randint(10**self.config.digits, (2 * HELD_OUT * n, self.config.terms), generator=g)
            found = torch.cat((found, more[is_held_out(self._asked(more)) == (split == "val")]))
            if len(found) >= n:
                return found[:n]
        raise ValueError(f"{self._called()}: too few prompts to hold some out; make --digits larger")


def is_held_out(asked: torch.Tensor) -> torch.Tensor:
    """One in `HELD_OUT` of some numbers (n,), by a multiplicative hash: the same ones for every seed."""
    return (asked * -7046029254386353131 >> 32) % HELD_OUT == 0


class Sums(Numbers):
    """Numbers, and their sum: "710+503=223." for 17, 305 and 322. Difficulty is the number of digits and of terms."""

    def _widths(self) -> tuple[int, int]:
        return self.config.terms * (self.config.digits + 1), self.longest + 1

    def _called(self) -> str:
        return f"sums of {self.config.terms} random numbers of up to {self.config.digits} digits"

    def _asked(self, numbers: torch.Tensor) -> torch.Tensor:
        """In any order: who was asked for 17+305 has been told 305+17."""
        place = 10 ** (self.config.digits * torch.arange(self.config.terms))
        return (numbers.sort(1).values * place).sum(1)

    def _prompts(self, numbers: torch.Tensor) -> torch.Tensor:
        signs = torch.full((*numbers.shape, 1), self.PLUS)
        signs[:, -1] = self.EQUALS
        return torch.cat((_backwards(numbers, self.config.digits), signs), 2).flatten(1)

    def _answers(self, numbers: torch.Tensor) -> torch.Tensor:
        sums, place = numbers.sum(1)[:, None], 10 ** torch.arange(self.longest + 1)
        return (sums // place % 10).masked_fill((sums < place) & (place > 1), self.END)

    def solved(self, tokens: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        right = tokens[:, self.prompt :]
        return ((made == right) | ~until_end(right, self.stop)).all(1)


class Parts(Numbers):
    """A sum, and numbers that add up to it: "2230=710+503." for 322, 17 and 305. As many answers are right as there
    are ways to part the sum, and the data have them all alike."""

    def _widths(self) -> tuple[int, int]:
        return self.longest + 1, self.config.terms * (self.config.digits + 1)

    def _called(self) -> str:
        return f"{self.config.terms} random numbers of up to {self.config.digits} digits, asked for by their sum"

    def _asked(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers.sum(1)

    def _prompts(self, numbers: torch.Tensor) -> torch.Tensor:
        sums = _backwards(numbers.sum(1), self.longest)
        return torch.cat((sums, torch.full((len(sums), 1), self.EQUALS)), 1)

    def _answers(self, numbers: torch.Tensor) -> torch.Tensor:
        signs = self._signs().expand(len(numbers), -1)[..., None]
        return torch.cat((_backwards(numbers, self.config.digits), signs), 2).flatten(1)

    def _signs(self) -> torch.Tensor:
        """What stands after each number, (terms,)."""
        return torch.tensor([self.PLUS] * (self.config.terms - 1) + [self.END])

    def solved(self, tokens: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        fields = made.view(len(made), self.config.terms, -1)
        digits = fields[..., :-1]
        in_form = (digits < 10).flatten(1).all(1) & (fields[..., -1] == self._signs().to(made.device)).all(1)
        return in_form & (self._total(made) == self._total(tokens[:, self.prompt :]))

    def _total(self, answers: torch.Tensor) -> torch.Tensor:
        digits = answers.view(len(answers), self.config.terms, -1)[..., :-1]
        return (digits * 10 ** torch.arange(self.config.digits, device=digits.device)).sum((1, 2))


def _backwards(numbers: torch.Tensor, width: int) -> torch.Tensor:
    """The digits (…, width) of numbers (…) from their last one on."""
    return numbers[..., None] // 10 ** torch.arange(width) % 10


class Text:
    """Windows of a text, the first tokens of each its prompt. A document's end is a token like others, unless
    `document_end` makes it end what follows."""

    def __init__(self, config: Config, device: torch.device) -> None:
        python_bytes = int(config.text_mb * 1e6)
        loaded = text.load(config.text, config.tokenizer, config.vocab_size, CACHE, device, python_bytes)
        self.tokens, self.tokenizer = loaded
        self.config, self.device, self.name = config, str(device), self.tokens.name
        self.prompt, self.new = config.prompt_len, config.new_tokens
        if config.windows:
            self.name += f"; {config.windows:,} windows of {self._length + 1} tokens to learn from"
        self.vocab_size, self.vocabulary = config.vocab_size, self.tokenizer.hash
        self.stop: int | None = self.tokenizer.end if config.document_end else None
        if self.tokenizer.vocab_size > config.vocab_size:
            raise ValueError(
                f"the tokenizer has {self.tokenizer.vocab_size:,} tokens and the student {config.vocab_size:,}; "
                f"--vocab-size {self.tokenizer.vocab_size} makes room"
            )
        needed: dict[Split, int] = {"train": config.batch_size, "val": config.batch_size * config.eval_batches}
        for split, least in needed.items():
            found = self._windows(split)
            if found < least:
                raise ValueError(
                    f"{self.name}: {found} windows of {self._length + 1} tokens in {split} and {least} needed; "
                    "name more text, fewer --eval-batches or a smaller --batch-size"
                )

    @property
    def _length(self) -> int:
        return self.prompt + self.new - 1

    def _windows(self, split: Split) -> int:
        found = self.tokens.n_windows(self._length, split)
        return min(found, self.config.windows or found) if split == "train" else found

    def batch(self, step: int, n: int, split: Split = "train") -> torch.Tensor:
        if split == "train":
            rows = batch_indices(self._windows(split), n, self.config.seed, step, self.device)
        else:
            rows = torch.arange(step * n, (step + 1) * n, device=self.device)
        return self.tokens.windows(rows, self._length, split)


def load(config: Config, device: torch.device) -> Sums | Parts | Text:
    """The task of a config; a ValueError in one line where its text is not to be had or does not fit."""
    kinds: dict[str, type[Sums] | type[Parts] | type[Text]] = {"arithmetic": Sums, "parts": Parts, "text": Text}
    return kinds[config.task](config, device)
