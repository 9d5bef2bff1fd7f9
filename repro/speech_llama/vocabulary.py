"""What a transcript is made of: words or characters for CTC and a small decoder, a tokenizer's tokens for others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

Kind = Literal["words", "chars"]
_PAIRS = (
    ("<|im_start|>", "<|im_end|>"), ("<s>", "</s>"), ("<|begin_of_text|>", "<|end_of_text|>"),
    ("<|endoftext|>", "<|endoftext|>"),
)  # fmt: skip


class Vocabulary(Protocol):
    """Text to tokens and back, how many tokens there are, and the two that begin and end a transcript."""

    @property
    def bos(self) -> int: ...
    @property
    def eos(self) -> int: ...
    @property
    def size(self) -> int: ...
    def encode(self, text: str) -> list[int]: ...
    def decode(self, tokens: Sequence[int]) -> str: ...


@dataclass(frozen=True)
class Units:
    """Words or characters, in order; `bos` and `eos` are the two numbers after theirs."""

    kind: Kind
    symbols: tuple[str, ...]

    @property
    def bos(self) -> int:
        return len(self.symbols)

    @property
    def eos(self) -> int:
        return len(self.symbols) + 1

    @property
    def size(self) -> int:
        return len(self.symbols) + 2

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {symbol: i for i, symbol in enumerate(self.symbols)}

    def encode(self, text: str) -> list[int]:
        """The units of a text; one that training has not seen is left out, and its word counts as wrong."""
        parts = text.split() if self.kind == "words" else text
        return [self._numbers[part] for part in parts if part in self._numbers]

    def decode(self, tokens: Sequence[int]) -> str:
        joiner = " " if self.kind == "words" else ""
        return joiner.join(self.symbols[t] for t in tokens if t < len(self.symbols))


def units_of(texts: Iterable[str], kind: Kind) -> Units:
    """All that occur in some texts."""
    found = {part for text in texts for part in (text.split() if kind == "words" else text)}
    return Units(kind, tuple(sorted(found)))


@dataclass(frozen=True)
class Tokens:
    """A language model's own (tokenizers.Tokenizer)."""

    raw: Any
    bos: int
    eos: int
    size: int

    @classmethod
    def of(cls, raw: Any) -> Tokens:
        """With the pair that its model knows: a chat's <|im_start|> and <|im_end|>, Llama's <s> and </s>, or one token
        for both. A ValueError where there is none."""
        for begin, end in _PAIRS:
            bos, eos = raw.token_to_id(begin), raw.token_to_id(end)
            if bos is not None and eos is not None:
                return cls(raw, bos, eos, raw.get_vocab_size())
        raise ValueError(f"the tokenizer has none of the pairs {', '.join(' '.join(pair) for pair in _PAIRS)}")

    def encode(self, text: str) -> list[int]:
        return list(self.raw.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self.raw.decode([t for t in tokens if t not in (self.bos, self.eos)], skip_special_tokens=True))
