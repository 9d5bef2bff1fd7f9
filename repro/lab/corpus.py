"""A corpus: the documents of a source, each in the training or the held-out part, and a hash of them all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from repro.lab.cache import kept, key, read_json, write
from repro.lab.documents import parts

HELD_OUT = 0.02  # of the documents, where a source has no split of its own
_KEEP = 1 << 30  # bytes of text that stay in memory, so that a source is read once and not three times


class Corpus:
    """The documents of a source, each in a split. `sha256` is that of all documents; it is kept in the cache under the
    names, sizes and times of the files, so that finding a corpus again costs no reading."""

    def __init__(self, source: str, cache: Path, python_bytes: int | None = None) -> None:
        self._called, self._parts = parts(source, python_bytes)
        self._texts: list[tuple[str, bytes]] | None = None
        self.cache = cache
        stamps = [f"{part.split} {part.stamp}" for part in self._parts]
        self._facts = cache / f"corpus-{key(self._called, *stamps)}.json"
        facts = kept(self._facts, _read_facts, lambda: write(self._facts, json.dumps(self._scan())))
        self.sha256, self.bytes, self.limit = facts["sha256"], facts["bytes"], facts["limit"]
        self.name = f"{self._called}, {self.bytes / 1e6:.1f} MB, sha256 {self.sha256[:12]}"

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """(split, text) of every document. Where the source does not say, its hash tells the split: always the same,
        and the same for the same text. Held-out text that is in the source's training part too is left out there."""
        held, total = set(), hashlib.sha256()
        for told, text in self._texts or self._read():
            digest = hashlib.sha256(text).hexdigest()
            total.update(f"{told} {digest}\n".encode())
            if told == "val":
                held.add(digest)
            if told != "train" or digest not in held:
                yield told or ("val" if digest <= self.limit else "train"), text.decode()
        if total.hexdigest() != self.sha256:
            raise ValueError(f"{self._called} is not the text it was; remove {self._facts} and run again")

    def sample(self, n_bytes: int) -> Iterator[str]:
        """About `n_bytes` of the training text: documents chosen by their hashes, or all of them if they are fewer."""
        limit = _limit(n_bytes / self.bytes)
        for split, text in self:
            if split == "train" and hashlib.sha256(b"sample" + text.encode()).hexdigest() <= limit:
                yield text

    def _read(self) -> Iterator[tuple[str, bytes]]:
        return ((part.split, text.encode()) for part in self._parts for text in part.read())

    def _scan(self) -> dict[str, Any]:
        """Read everything once. Where no hash lies below the limit, or none above, that of the lowest is the limit."""
        total, size, digests = hashlib.sha256(), 0, {"": ["g", ""], "train": ["g", ""], "val": ["g", ""]}
        self._texts = []
        for told, text in self._read():
            digest = hashlib.sha256(text).hexdigest()
            total.update(f"{told} {digest}\n".encode())
            digests[told] = [min(digests[told][0], digest), max(digests[told][1], digest)]
            size += len(text)
            if self._texts is not None:
                self._texts.append((told, text))
                self._texts = self._texts if size <= _KEEP else None
        lowest, highest = digests[""]
        told = digests["train"][1] or digests["val"][1]
        if not told and lowest >= highest:
            raise ValueError(f"{self._called} holds {'one document' if size else 'no text'}; to hold one out takes two")
        limit = _limit(HELD_OUT)
        return {"sha256": total.hexdigest(), "bytes": size, "limit": limit if lowest <= limit < highest else lowest}


def _read_facts(path: Path) -> dict[str, Any] | None:
    found = read_json(path)
    return found if found and {"sha256", "bytes", "limit"} <= set(found) else None


def _limit(fraction: float) -> str:
    """The hash that this fraction of all hashes does not exceed."""
    return f"{int(fraction * 2**256):064x}" if fraction < 1 else "f" * 64
