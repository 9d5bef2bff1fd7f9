"""Text to tokens and back: byte-level BPE, trained here or read from a tokenizer.json, or plain bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from repro.lab.documents import END, opened

_ENDS = (END, "</s>", "<|end_of_text|>", "<|im_end|>", "<eos>")  # what other tokenizers call it, likeliest first
_SMALLEST = 257  # every byte and END


class Tokenizer:
    """A `tokenizers.Tokenizer` that takes text for text: a special token's name in it is so many characters, and
    nothing is put before or after. `end` is the token after every document, `hash` the first 16 digits of SHA-256."""

    def __init__(self, raw: Any, says: str) -> None:
        raw.encode_special_tokens = True
        raw.no_truncation()
        raw.no_padding()
        vocab = raw.get_vocab()
        end = next((vocab[name] for name in _ENDS if name in vocab), None)
        if end is None:
            raise ValueError(f"the tokenizer ({says}) has no token to end a document: none of {', '.join(_ENDS)}")
        self.raw, self.end, self.vocab_size = raw, end, max(vocab.values()) + 1
        self.hash = hashlib.sha256(raw.to_str().encode()).hexdigest()[:16]
        self.name = f"{says}, {self.vocab_size:,} tokens, sha256 {self.hash[:12]}"

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, on all cores."""
        return [found.ids for found in self.raw.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode(self, text: str) -> list[int]:
        return self.encode_batch([text])[0]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of some tokens, special ones by name. Bytes that are no UTF-8 become U+FFFD."""
        return str(self.raw.decode(list(tokens), skip_special_tokens=False))

    def id_of(self, name: str) -> int:
        """The number of a token, for one that text cannot say: `<|im_start|>`."""
        found = self.raw.token_to_id(name)
        if found is None:
            raise ValueError(f"the tokenizer ({self.name}) has no token {name}")
        return int(found)


def load(path: Path, says: str = "") -> Tokenizer:
    """What a tokenizer.json says, also one packed as .bz2 or .gz. `says` is what to call it, else the file's name."""
    import tokenizers

    try:
        with opened(path) as stream:
            raw = tokenizers.Tokenizer.from_str(stream.read().decode())
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"{path} is no tokenizer.json that can be read: {error}") from None
    return Tokenizer(raw, says or path.name)


def of_bytes() -> Tokenizer:
    """Byte b is token b, END is 256."""
    from tokenizers import models

    # BPE names each byte by a character: a printable one by its own, the rest by those from U+0100 on, in order
    names = {ord(c): c for c in _alphabet() if ord(c) < 256}
    names |= zip(sorted(set(range(256)) - set(names)), sorted(set(_alphabet()) - set(names.values())), strict=True)
    return Tokenizer(_byte_level(models.BPE({c: b for b, c in names.items()}, [])), "bytes")


def train(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Byte-level BPE of `vocab_size` tokens, END being 0; the same for the same texts. Short texts may give fewer."""
    from tokenizers import models, trainers

    if vocab_size < _SMALLEST:
        raise ValueError(f"a vocabulary of {vocab_size} is too small: {_SMALLEST} tokens are the bytes and the end")
    raw = _byte_level(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[END], initial_alphabet=_alphabet(), show_progress=False
    )
    raw.train_from_iterator(texts, trainer)
    return Tokenizer(raw, "byte-level BPE")


def _alphabet() -> list[str]:
    from tokenizers import pre_tokenizers

    return sorted(pre_tokenizers.ByteLevel.alphabet())


def _byte_level(model: Any) -> Any:
    import tokenizers
    from tokenizers import decoders, pre_tokenizers

    raw = tokenizers.Tokenizer(model)
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([END])
    return raw
