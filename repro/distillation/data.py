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
    """Numbers of several digits, fresh at every step, each written from its last digit on, as they are added up on
    paper, with zeros after it to one width. Difficulty is graded: each prompt draws how many digits there are, and how
    many numbers; what a small network lacks costs it the harder ones and not everything.

    A hash of what is asked says what is held out, but nothing of the easiest level: of one digit there are too few
    prompts, and a number alone is only copied. All of these are trained on."""

    PLUS, EQUALS, END = 10, 11, 12
    vocab_size = 13
    stop: int | None = END
    vocabulary = "digits, +, =, end"

    def __init__(self, config: Config, device: torch.device) -> None:
        if config.digits < 2 or config.terms < 2:
            raise ValueError(f"--digits {config.digits} and --terms {config.terms}: both must be 2 or more")
        self.config, self.device = config, device
        self.prompt, self.new = self._widths()
        self.name = f"{self._called()}, one prompt in {HELD_OUT} held out, none of the easiest"
        self._draw(0, 1, "val")

    def batch(self, step: int, n: int, split: Split = "train") -> torch.Tensor:
        numbers = self._draw(step, n, split)
        return torch.cat((self._prompts(numbers), self._answers(numbers)), 1).to(self.device, non_blocking=True)

    def solved(self, tokens: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        """Which of the answers made (B, L) are right, to the end: tokens (B, P + L) hold right ones."""
        raise NotImplementedError

    def levels(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        """Which prompts of tokens (B, P + L) are of each level of difficulty that is held out, (B,) by its name."""
        raise NotImplementedError

    def _widths(self) -> tuple[int, int]:
        """Tokens of a prompt, and of an answer."""
        raise NotImplementedError

    def _called(self) -> str:
        raise NotImplementedError

    def _asked(self, numbers: torch.Tensor) -> torch.Tensor:
        """What numbers (…, terms) ask, as one number each (…)."""
        raise NotImplementedError

    def _prompts(self, numbers: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def _answers(self, numbers: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def _levels(self, n: int, easiest: int, g: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """How many digits and how many terms (n,) each, from `easiest` on."""
        raise NotImplementedError

    def _tries(self, digits: torch.Tensor, terms: torch.Tensor, drawn: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Numbers (n, K, terms) of so many digits (n,) and so many of them (n,), out of random integers drawn of that
        shape; and which tries (n, K) came out so."""
        raise NotImplementedError

    def _draw(self, step: int, n: int, split: Split) -> torch.Tensor:
        """Numbers (n, terms) of a split. Levels are drawn first, and numbers until each is of its level and its split:
        so levels are equally frequent."""
        held_out, c = split == "val", self.config
        g = torch.Generator().manual_seed(step_seed(c.seed, step, RANKS[split]))
        digits, terms = self._levels(n, 2 if held_out else 1, g)
        found, missing = torch.empty(n, c.terms, dtype=torch.long), torch.ones(n, dtype=torch.bool)
        for _ in range(50):
            drawn = torch.randint(1 << 53, (n, 2 * HELD_OUT, c.terms), generator=g)
            tries, fits = self._tries(digits, terms, drawn)
            fits &= (is_held_out(self._asked(tries)) & ((digits > 1) & (terms > 1))[:, None]) == held_out
            new = missing & fits.any(1)
            found[new] = tries[new, fits[new].long().argmax(1)]
            missing &= ~new
            if not missing.any():
                return found
        raise ValueError(f"{self._called()}: too few prompts to hold some out; make --digits larger")


def is_held_out(asked: torch.Tensor) -> torch.Tensor:
    """One in `HELD_OUT` of some numbers (n,), by a multiplicative hash: the same ones for every seed."""
    return (asked * -7046029254386353131 >> 32) % HELD_OUT == 0


class Sums(Numbers):
    """Numbers, and their sum: "710+503+000=223." for 17, 305 and 322. Of `terms` numbers some are missing: they are
    zeros, and the others are not."""

    def _widths(self) -> tuple[int, int]:
        self.longest = len(str(self.config.terms * (10**self.config.digits - 1)))
        return self.config.terms * (self.config.digits + 1), self.longest + 1

    def _called(self) -> str:
        return f"sums of up to {self.config.terms} random numbers of up to {self.config.digits} digits"

    def _asked(self, numbers: torch.Tensor) -> torch.Tensor:
        """In any order: who was asked for 17+305 has been told 305+17."""
        place = 10 ** (self.config.digits * torch.arange(self.config.terms))
        return (numbers.sort(-1).values * place).sum(-1)

    def _levels(self, n: int, easiest: int, g: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        digits = torch.randint(easiest, self.config.digits + 1, (n,), generator=g)
        return digits, torch.randint(easiest, self.config.terms + 1, (n,), generator=g)

    def _tries(self, digits: torch.Tensor, terms: torch.Tensor, drawn: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The longest number has so many digits."""
        ends, least = 10 ** digits[:, None, None], 10 ** (digits[:, None] - 1)
        missing = torch.arange(self.config.terms) >= terms[:, None, None]
        numbers = (1 + drawn % (ends - 1)).masked_fill(missing, 0)
        return numbers, numbers.amax(-1) >= least

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

    def levels(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        shown = tokens[:, : self.prompt].view(len(tokens), self.config.terms, -1)[..., :-1] > 0
        digits, terms = _length(shown.any(1)), shown.any(2).sum(1)
        by_digits = {f"{n}_digits": digits == n for n in range(2, self.config.digits + 1)}
        return by_digits | {f"{n}_terms": terms == n for n in range(2, self.config.terms + 1)}


class Parts(Numbers):
    """A sum of so many digits, and `terms` numbers that add up to it: "223=710+503." for 322, 17 and 305. As many
    answers are right as there are ways to part the sum, and the data have them all alike."""

    def _widths(self) -> tuple[int, int]:
        return self.config.digits + 1, self.config.terms * (self.config.digits + 1)

    def _called(self) -> str:
        return f"{self.config.terms} random numbers, asked for by their sum of up to {self.config.digits} digits"

    def _asked(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers.sum(-1)

    def _levels(self, n: int, easiest: int, g: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        digits = torch.randint(easiest, self.config.digits + 1, (n,), generator=g)
        return digits, torch.full_like(digits, self.config.terms)

    def _tries(self, digits: torch.Tensor, terms: torch.Tensor, drawn: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """A sum s and `terms` - 1 bars among s + `terms` - 1 places, all different: the gaps between them are the
        parts, each way equally often."""
        least = 10 ** (digits[:, None] - 1)
        places = least + drawn[..., 0] % (9 * least) + self.config.terms - 1
        bars = (drawn[..., 1:] % places[..., None]).sort(-1).values
        edges = torch.cat((torch.full_like(bars[..., :1], -1), bars, places[..., None]), -1)
        numbers = edges.diff(dim=-1) - 1
        return numbers, (numbers >= 0).all(-1)

    def _prompts(self, numbers: torch.Tensor) -> torch.Tensor:
        sums = _backwards(numbers.sum(1), self.config.digits)
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

    def levels(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        digits = _length(tokens[:, : self.config.digits] > 0)
        return {f"{n}_digits": digits == n for n in range(2, self.config.digits + 1)}


def _length(shown: torch.Tensor) -> torch.Tensor:
    """How many digits (B,) there are up to the last one (B, W) that is not zero."""
    return (shown * torch.arange(1, shown.shape[1] + 1, device=shown.device)).amax(1)


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
