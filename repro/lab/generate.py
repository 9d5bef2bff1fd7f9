"""Continuing text: prompts of unequal lengths in one batch, a cache of fixed size, one captured graph a token.

Shapes: B sequences, V vocab_size, S places of the cache.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from repro.lab.capture import capture
from repro.lab.transformer import Cache, Decoder

_LOOK_EVERY = 32  # tokens between two looks at whether every sequence has ended: a look waits for the device


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen: the likeliest at temperature 0, else at random out of the fewest that hold `top_p` of the
    probability."""

    temperature: float = 0.0
    top_p: float = 1.0

    def choose(self, logits: torch.Tensor) -> torch.Tensor:
        """Tokens (B,) out of logits (B, V)."""
        if self.temperature == 0:
            return logits.argmax(-1)
        p = (logits.float() / self.temperature).softmax(-1)
        if self.top_p < 1:
            ranked, order = p.sort(-1, descending=True)
            before = ranked.cumsum(-1) - ranked
            p = p.scatter(-1, order, ranked.masked_fill(before >= self.top_p, 0.0))
        return (p / torch.empty_like(p).exponential_()).argmax(-1)  # as multinomial does, without waiting for the host


class Generator:
    """Continues up to `batch` prompts with one decoder; prompt and continuation take up to `length` places.

    With another `dtype` than the decoder's it works on a copy, which `refresh` brings up to date. On a GPU the step
    that makes a token is compiled, then captured as a graph on first use, and what reads prompts of any width is
    compiled; `capture=False` leaves both as they are."""

    def __init__(
        self,
        decoder: Decoder,
        batch: int,
        length: int,
        sampling: Sampling | None = None,
        dtype: torch.dtype | None = None,
        capture: bool | None = None,
    ) -> None:
        weight = decoder.embed.weight
        if length > decoder.shape.max_seq_len:
            raise ValueError(f"{length} tokens are more than the decoder's {decoder.shape.max_seq_len}")
        self.source, self.sampling, self.length = decoder, sampling or Sampling(), length
        own = dtype is not None and dtype != weight.dtype
        self.decoder = copy.deepcopy(decoder).to(dtype).requires_grad_(False) if own else decoder
        self.cache = Cache(self.decoder, batch, length)
        self.tokens = torch.zeros(batch, dtype=torch.long, device=weight.device)
        self.positions = torch.zeros_like(self.tokens)
        self.made = torch.zeros(batch, length, dtype=torch.long, device=weight.device)
        self.count = torch.zeros(1, dtype=torch.long, device=weight.device)
        self.capture = weight.is_cuda if capture is None else capture
        self.graph: torch.cuda.CUDAGraph | None = None
        self._of_prompts = self._reader = self.decoder
        self._take = self._take_one
        if self.capture:
            # at batch 1 every product is one row's: tuned, those become kernels that read weights at full bandwidth
            tuned: dict[str, Any] = {"coordinate_descent_tuning": True}
            self._of_prompts, self._reader = _twin(self.decoder), _twin(self.decoder)
            self._of_prompts.compile(dynamic=True)
            self._reader.compile(options=tuned)
            self._take = torch.compile(self._take_one, options=tuned)

    @torch.no_grad()
    def refresh(self) -> None:
        """Copy the decoder's weights anew, after they were trained."""
        if self.decoder is not self.source:
            torch._foreach_copy_(list(self.decoder.parameters()), list(self.source.parameters()))

    @torch.no_grad()
    def __call__(
        self, prompts: Sequence[Sequence[int]], new_tokens: int, stop: int | None = None, seed: int = 0
    ) -> list[list[int]]:
        """What follows each prompt, from 1 to `new_tokens` tokens; `stop` ends a sequence and is its last token."""
        rows = len(prompts)
        if not all(prompts) or not 0 < rows <= len(self.tokens):
            raise ValueError(f"{rows} prompts, some perhaps empty; from 1 to {len(self.tokens)} fit, none empty")
        if new_tokens < 1:
            raise ValueError(f"{new_tokens} new tokens were asked for; 1 is the least")
        if max(map(len, prompts)) + new_tokens > self.length:
            raise ValueError(f"a prompt of {max(map(len, prompts))} and {new_tokens} more exceed {self.length} places")
        torch.manual_seed(seed)
        self._read([*prompts, *[[0]] * (len(self.tokens) - rows)])
        for i in range(1, new_tokens):
            if stop is not None and i % _LOOK_EVERY == 0 and (self.made[:rows, :i] == stop).any(1).all():
                break
            self._next()
        return [_until(row, stop) for row in self.made[:rows, : int(self.count)].tolist()]

    def _read(self, prompts: Sequence[Sequence[int]]) -> None:
        """Fill the cache with the prompts and choose the first token of each. Shorter ones are padded at their end:
        what the padding leaves in the cache is overwritten before it could be attended to."""
        lengths = torch.tensor([len(p) for p in prompts], device=self.tokens.device)
        width = int(lengths.max())
        padded = torch.tensor([[*p, *[0] * (width - len(p))] for p in prompts], device=self.tokens.device)
        hidden = self._of_prompts.hidden(padded, self.cache)
        last = hidden[torch.arange(len(prompts), device=hidden.device), lengths - 1]
        self.positions.copy_(lengths - 1)
        self.count.zero_()
        self._take_one(last)

    def _step(self) -> None:
        """One token more for every sequence, in place."""
        self._take(self._reader.hidden(self.tokens[:, None], self.cache, self.positions[:, None])[:, 0])

    def _take_one(self, hidden: torch.Tensor) -> None:
        """Choose tokens (B,) out of the last hidden states (B, D); they stand one place further."""
        self.tokens.copy_(self.sampling.choose(F.linear(hidden, self.decoder.unembed)))
        self.made.index_copy_(1, self.count, self.tokens[:, None])
        self.positions.add_(1).clamp_(max=self.length - 1)
        self.count.add_(1).clamp_(max=self.length - 1)

    def _next(self) -> None:
        if not self.capture:
            return self._step()
        if self.graph is None:
            # what trying the step leaves in the cache and among the tokens made is written again before it is read
            self.graph, _ = capture(self._step, lambda: (self.tokens, self.positions, self.count))
        self.graph.replay()
        return None


def _twin(decoder: Decoder) -> Decoder:
    """The same weights in modules of their own, which can be compiled without changing the decoder."""
    return copy.deepcopy(decoder, {id(t): t for t in (*decoder.parameters(), *decoder.buffers())})


def _until(tokens: list[int], stop: int | None) -> list[int]:
    return tokens[: tokens.index(stop) + 1] if stop in tokens else tokens
