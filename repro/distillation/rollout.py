"""The student's own text, for training: prompts of one width in, prompts with what follows out, all on the device.

Shapes: B sequences, P tokens of a prompt, L tokens that follow, V vocab_size.
"""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F

from repro.lab.capture import capture
from repro.lab.generate import Sampling
from repro.lab.transformer import Cache, Decoder

PARTS = 16
"""Of a row of logits, that a token is looked for in."""


class Rollout:
    """Continues `batch` prompts of `prompt` tokens by `new` tokens. Nothing waits for the host, and no sequence ends
    early: what comes after an end is for a mask to leave out. With a teacher each token comes from alpha p +
    (1 - alpha) q (MiniLLM, section 2.2). Tokens are the first `tokens` of the vocabulary: of one that is padded to
    different sizes, those that whoever reads the text knows too.

    With another `dtype` than the decoder's it works on a copy, which `refresh` brings up to date. On a GPU what reads
    the prompts and what makes a token are compiled, and all of a call is captured as one graph on first use."""

    def __init__(
        self,
        decoder: Decoder,
        batch: int,
        prompt: int,
        new: int,
        sampling: Sampling,
        tokens: int | None = None,
        teacher: Decoder | None = None,
        alpha: float = 0.0,
        dtype: torch.dtype | None = None,
        capture: bool | None = None,
    ) -> None:
        weight = decoder.embed.weight
        self.source, self.sampling, self.alpha, self.prompt = decoder, sampling, alpha, prompt
        own = dtype is not None and dtype != weight.dtype
        self.decoder = copy.deepcopy(decoder).to(dtype).requires_grad_(False) if own else decoder
        self.decoders = [self.decoder] if teacher is None else [self.decoder, teacher]
        for d in self.decoders:
            if prompt + new > d.shape.max_seq_len:
                raise ValueError(f"{prompt + new} tokens are more than a decoder's {d.shape.max_seq_len}")
        self.tokens = min([tokens or len(weight), *(len(d.unembed) for d in self.decoders)])
        self.caches = [Cache(d, batch, prompt + new) for d in self.decoders]
        self.text = torch.zeros(batch, prompt + new, dtype=torch.long, device=weight.device)
        self.place = torch.zeros(1, dtype=torch.long, device=weight.device)  # of the last token there is
        self._readers, self._take, self._write = self.decoders, self._choose, self._continue
        self._graph: torch.cuda.CUDAGraph | None = None
        if weight.is_cuda if capture is None else capture:
            # modules of their own for the same weights, which can be compiled without changing the decoders
            self._readers = [
                copy.deepcopy(d, {id(t): t for t in (*d.parameters(), *d.buffers())}) for d in self.decoders
            ]
            for reader in self._readers:
                reader.compile(dynamic=False)
            self._take = torch.compile(self._choose, dynamic=False)
            self._write = self._captured

    @torch.no_grad()
    def refresh(self) -> None:
        """Copy the decoder's weights anew, after they were trained."""
        if self.decoder is not self.source:
            torch._foreach_copy_(list(self.decoder.parameters()), list(self.source.parameters()))

    @torch.no_grad()
    def __call__(self, prompts: torch.Tensor) -> torch.Tensor:
        """Prompts (B, P) -> (B, P + L), which holds until the next call. Random numbers are torch's own."""
        self.text[:, : self.prompt].copy_(prompts)
        with torch.autocast(self.text.device.type, enabled=False):
            self._write()
        return self.text

    def _continue(self) -> None:
        """Fill the caches with the prompts, and choose the tokens that follow."""
        prompts = self.text[:, : self.prompt]
        self.place.fill_(self.prompt - 1)
        self._take([d.hidden(prompts, cache)[:, -1] for d, cache in zip(self._readers, self.caches, strict=True)])
        for _ in range(self.text.shape[1] - self.prompt - 1):
            self._next()

    def _next(self) -> None:
        """One token more for every sequence, in place."""
        at = self.place.expand(len(self.text), 1).contiguous()
        tokens = self.text.gather(1, at)
        pairs = zip(self._readers, self.caches, strict=True)
        self._take([d.hidden(tokens, cache, at)[:, 0] for d, cache in pairs])

    def _choose(self, hidden: list[torch.Tensor]) -> None:
        """The next token of each sequence, out of the last hidden states (B, D) of the student, and perhaps (B, E) of
        the teacher."""
        logits = [F.linear(h, d.unembed[: self.tokens]) for h, d in zip(hidden, self.decoders, strict=True)]
        mixed = logits[0]
        if len(logits) == 2:
            log_q, log_p = (x.float().log_softmax(-1) for x in logits)
            mixed = torch.logaddexp(log_p + math.log(self.alpha), log_q + math.log1p(-self.alpha))
        self.place.add_(1)
        fair = self.sampling.temperature > 0 and self.sampling.top_p == 1
        token = drawn(mixed, self.sampling.temperature) if fair else self.sampling.choose(mixed)
        self.text.index_copy_(1, self.place, token[:, None])

    def _captured(self) -> None:
        """The same as one graph, captured on first use. What trying it leaves in the caches is written again before it
        is read."""
        if self._graph is None:
            self._graph, _ = capture(self._continue, lambda: (self.text, self.place))
        self._graph.replay()


def drawn(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Tokens (B,) out of logits (B, V) at random, as Sampling.choose draws them of all: the largest logit after Gumbel
    noise was added needs no softmax, and is looked for in parts of a row at once, which keep a GPU busy where the rows
    of a batch do not."""
    noise = torch.empty_like(logits, dtype=torch.float32).exponential_().log()
    noisy = F.pad(logits.float() / temperature - noise, (0, -logits.shape[-1] % PARTS), value=-math.inf)
    best, at = noisy.unflatten(-1, (PARTS, -1)).max(-1)
    part = best.argmax(-1, keepdim=True)
    place: torch.Tensor = part * (noisy.shape[-1] // PARTS) + at.gather(-1, part)
    return place[:, 0]


def until_end(made: torch.Tensor, stop: int | None) -> torch.Tensor:
    """Which tokens of (B, L) count: all up to the first end and that end. A sequence without one counts to where it was
    cut off, and no end is put there: the model never said it."""
    if stop is None:
        return torch.ones_like(made, dtype=torch.bool)
    ended = made == stop
    return ended.cumsum(1) - ended.long() == 0
