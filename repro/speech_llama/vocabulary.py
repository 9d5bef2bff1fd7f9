"""What a transcript is made of: words, pieces of words or characters for CTC and a small decoder, a tokenizer's tokens
for others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

from repro.lab import tokenizers

Kind = Literal["words", "chars", "subwords"]
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


class Units(ABC):
    """A vocabulary of our own: `count` symbols, then the two that begin and end a transcript."""

    @property
    @abstractmethod
    def count(self) -> int: ...
    @abstractmethod
    def encode(self, text: str) -> list[int]: ...
    @abstractmethod
    def decode(self, tokens: Sequence[int]) -> str: ...
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What `units_from` makes the same units of, as JSON has it."""

    @property
    def bos(self) -> int:
        return self.count

    @property
    def eos(self) -> int:
        return self.count + 1

    @property
    def size(self) -> int:
        return self.count + 2


@dataclass(frozen=True)
class Listed(Units):
    """Words or characters, in order."""

    kind: Kind
    symbols: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.symbols)

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

    def facts(self) -> dict[str, Any]:
        return {"kind": self.kind, "symbols": self.symbols}


class Subwords(Units):
    """Pieces of words, byte-level BPE: several characters each, so that CTC can say them at a slower rate."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw  # tokenizers.Tokenizer

    @property
    def count(self) -> int:
        return int(self.raw.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        return list(self.raw.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self.raw.decode([t for t in tokens if t < self.count], skip_special_tokens=False))

    def facts(self) -> dict[str, Any]:
        return {"kind": "subwords", "bpe": self.raw.to_str()}


def units_of(texts: Iterable[str], kind: Kind, n_subwords: int) -> Units:
    """All that occur in some texts, or at most so many pieces that they are best made of."""
    if kind == "subwords":
        return Subwords(tokenizers.train(texts, n_subwords).raw)
    found = {part for text in texts for part in (text.split() if kind == "words" else text)}
    return Listed(kind, tuple(sorted(found)))


def units_from(facts: dict[str, Any]) -> Units:
    """What `facts` tells of a run's units."""
    if facts["kind"] == "subwords":
        from tokenizers import Tokenizer

        return Subwords(Tokenizer.from_str(facts["bpe"]))
    return Listed(facts["kind"], tuple(facts["symbols"]))


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
