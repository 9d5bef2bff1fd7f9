"""Saying what was heard: greedily a token a call, or several a call by verification or by threshold; and with a beam.

Several utterances advance together, each by as many tokens as it may: a call reads a block of K tokens of each, at that
utterance's own places in the cache, and what a wrong guess left there is overwritten by the next block before anything
attends to it. All of a call stays on the device, so that it can be captured as a graph.

Shapes: B utterances, J audio embeddings, K tokens a call, D d_model, V vocab_size, W hypotheses of a beam.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

from repro.lab import lora
from repro.lab.capture import capture
from repro.lab.transformer import Cache, Decoder
from repro.speech_llama.multi_token import Heads
from repro.speech_llama.prompting import SpeechLLM, joined

How = Literal["greedy", "verified", "threshold"]


@dataclass(frozen=True)
class Said:
    """One utterance: its tokens, the one that ends it left out; the head that said each (1 is the decoder's own; in
    verified decoding a later head's token is one that head 1 agreed to); how many calls of the decoder it took; and how
    many tokens these gave, the one that ended it included."""

    tokens: list[int]
    heads: list[int]
    calls: int
    made: int


class _Ended:
    """Whether all of some flags are set, asked after each call. On a GPU the answer is that of the call before, so that
    the device always has one to work on while the host waits for it."""

    def __init__(self, flags: torch.Tensor) -> None:
        self.flags = flags
        self.host: list[tuple[torch.Tensor, torch.cuda.Event]] = []

    def look(self) -> bool:
        if not self.flags.is_cuda:
            return bool(self.flags.all())
        answer, event = torch.empty((), dtype=torch.bool, pin_memory=True), torch.cuda.Event()
        answer.copy_(self.flags.all(), non_blocking=True)
        event.record()
        self.host.append((answer, event))
        if len(self.host) < 2:
            return False
        earlier, event = self.host.pop(0)
        event.synchronize()
        return bool(earlier)


def _ready(decoder: Decoder, dtype: torch.dtype | None) -> Decoder:
    """A copy to decode with, in `dtype` or in that of the embeddings, with LoRA added: in fp32 first, since what it
    adds may be less than the spacing of a frozen matrix's own numbers."""
    wide = lora.merged(copy.deepcopy(decoder).float())
    return wide.requires_grad_(False).to(dtype or decoder.embed.weight.dtype)


class Recogniser:
    """Transcribes up to `batch` utterances of up to `places` audio embeddings, by at most `most` tokens each.

    It works on copies of the decoder and its heads as they are now, in `dtype` or in the decoder's own, with LoRA added
    to the matrices. On a GPU what reads the audio and what makes a block are compiled, then captured as a graph each on
    first use; `captured=False` leaves them as they are. Audio is filled up to `places` then, so that one graph is for
    all of it: the host's launches for it took as long as a dozen calls. `tau` is on the device: filled with another
    number it changes the next call."""

    def __init__(
        self, model: SpeechLLM, batch: int, places: int, most: int, how: How = "greedy", tau: float = 0.9,
        dtype: torch.dtype | None = None, captured: bool | None = None,
    ) -> None:  # fmt: skip
        if how != "greedy" and model.heads is None:
            raise ValueError(f"{how} decoding needs the heads of a model that was trained with --n-tokens above 1")
        weight = model.decoder.embed.weight
        self.decoder = _ready(model.decoder, dtype)
        heads = None if how == "greedy" else model.heads
        self.heads: Heads | None = None if heads is None else copy.deepcopy(heads).to(dtype or weight.dtype)
        self.bos, self.eos, self.how, self.most = model.bos, model.eos, how, most
        self.tau = torch.tensor(tau, device=weight.device)
        self.block = 1 if self.heads is None else self.heads.n_tokens  # K
        self.places = places + 1 + most + self.block
        if self.places > self.decoder.shape.max_seq_len:
            raise ValueError(f"{self.places} places exceed the decoder's {self.decoder.shape.max_seq_len}")
        self.cache = Cache(self.decoder, batch, self.places)
        self.capture = weight.is_cuda if captured is None else captured
        self.graph: torch.cuda.CUDAGraph | None = None
        self.first: torch.cuda.CUDAGraph | None = None
        self._of_audio = self._reader = self.decoder
        self._take = self._take_block
        if self.capture:  # modules of their own with the same weights: compiled for the audio, and for a block
            shared = {id(t): t for t in self.decoder.parameters()}
            self._of_audio, self._reader = (copy.deepcopy(self.decoder, dict(shared)) for _ in range(2))
            self._of_audio.compile(dynamic=False)
            self._reader.compile(dynamic=False)
            self._take = torch.compile(self._take_block, dynamic=False)
        self._allot(batch, places, weight.device)

    def _allot(self, batch: int, places: int, device: torch.device) -> None:
        """What a call reads and writes."""
        K = self.block
        self.audio = torch.zeros(batch, places, self.decoder.shape.d_model, device=device)
        self.heard = torch.ones(batch, dtype=torch.long, device=device)
        self.tokens = torch.zeros(batch, K, dtype=torch.long, device=device)  # the block to be read next
        self.start = torch.zeros(batch, dtype=torch.long, device=device)  # its first place
        self.sure = torch.ones_like(self.start)  # how many of its tokens are said already
        self.made = torch.zeros(batch, self.most + K, dtype=torch.long, device=device)
        self.made_by = torch.zeros_like(self.made)
        self.count = torch.zeros_like(self.start)
        self.calls = torch.zeros_like(self.start)
        self.done = torch.zeros(batch, dtype=torch.bool, device=device)
        self.state = (
            self.tokens, self.start, self.sure, self.made, self.made_by, self.count, self.calls, self.done,
        )  # fmt: skip

    @torch.no_grad()
    def __call__(self, audio: torch.Tensor, heard: torch.Tensor) -> list[Said]:
        """Transcripts of audio embeddings (B, J, D) of which `heard` (B,) are valid."""
        rows = len(audio)
        for _ in self._calls(audio, heard):
            pass
        return self._said(rows)

    @torch.no_grad()
    def stream(self, audio: torch.Tensor, heard: torch.Tensor) -> Iterator[Said]:
        """What has been said of one utterance, audio embeddings (1, J, D), after each call of the decoder."""
        for _ in self._calls(audio, heard):
            yield self._said(1)[0]

    def _calls(self, audio: torch.Tensor, heard: torch.Tensor) -> Iterator[None]:
        """Call the decoder until every utterance has ended."""
        (rows, width, _), (room, places, _) = audio.shape, self.audio.shape
        if not 0 < rows <= room or width > places:
            raise ValueError(f"{rows} utterances of {width} embeddings; there is room for {room} of {places}")
        self.audio[:rows, :width] = audio
        self.heard[:rows] = heard
        self.heard[rows:] = 1
        if self.capture:
            self._begin()
        else:
            self._read(self.audio[:, :width], self.heard)
        self.done[rows:] = True
        ended = _Ended(self.done)
        yield
        for _ in range(1, self.most):
            if ended.look():
                break
            self._next()
            yield

    def _read(self, audio: torch.Tensor, heard: torch.Tensor) -> None:
        """The first call: the audio and BOS."""
        begin = self.decoder.embed(torch.full_like(heard, self.bos)[:, None])
        row, places = joined(audio, heard, begin)
        hidden = self._of_audio.hidden(row, self.cache)
        self.count.zero_()
        self.calls.zero_()
        self.done.zero_()
        self.start.copy_(heard + 1)
        last = hidden.gather(1, places[..., None].expand(-1, -1, hidden.shape[2]))[:, 0]
        if self.how == "threshold":
            self._take_likely(last)
        else:
            token = F.linear(last, self.decoder.unembed).argmax(-1)
            self._say(token[:, None], torch.ones_like(token), torch.zeros_like(token))
            self._draft(last, token)

    def _draft(self, last: torch.Tensor, token: torch.Tensor) -> None:
        """The next block: head 1's token (B,) and what the other heads guess after it, from hidden states (B, D)."""
        self.tokens[:, 0] = token
        if self.heads is not None:
            self.tokens[:, 1:] = self.heads.logits(last, self.decoder.unembed).argmax(-1)

    def _take_likely(self, last: torch.Tensor) -> None:
        """Say head 1's token and those of the heads after it as long as their probability exceeds tau."""
        assert self.heads is not None
        unembed = self.decoder.unembed
        logits = torch.cat((F.linear(last, unembed)[:, None], self.heads.logits(last, unembed)), 1)
        p, tokens = logits.float().softmax(-1).max(-1)
        self.sure.copy_(1 + (p[:, 1:] > self.tau).long().cumprod(1).sum(1))
        self.tokens.copy_(tokens)
        self._say(tokens, self.sure)

    def _step(self) -> None:
        """One call for every utterance, in place."""
        positions = self.start[:, None] + torch.arange(self.block, device=self.start.device)
        self._take(self._reader.hidden(self.tokens, self.cache, positions))

    def _take_block(self, hidden: torch.Tensor) -> None:
        """Say what the hidden states (B, K, D) of a block allow, and choose the next block."""
        K, rows = self.block, torch.arange(len(self.start), device=self.start.device)
        if self.how == "threshold":
            self.start.add_(self.sure).clamp_(max=self.places - K)
            self._take_likely(hidden[rows, self.sure - 1])
            return
        greedy = F.linear(hidden, self.decoder.unembed).argmax(-1)
        agreed = (self.tokens[:, 1:] == greedy[:, :-1]).long().cumprod(1).sum(1)
        self._say(greedy, agreed + 1, agreed)
        self.start.add_(agreed + 1).clamp_(max=self.places - K)
        self._draft(hidden[rows, agreed], greedy[rows, agreed])

    def _say(self, tokens: torch.Tensor, n: torch.Tensor, agreed: torch.Tensor | None = None) -> None:
        """Append the first `n` (B,) of tokens (B, K) to each transcript that has not ended. Token i is head i + 1's,
        or, where `agreed` of them were guessed before, head i + 2's and the last one head 1's."""
        K = tokens.shape[1]
        order = torch.arange(K, device=tokens.device).expand_as(tokens)
        heads = order + 1 if agreed is None else torch.where(order < agreed[:, None], order + 2, 1)
        places = (self.count[:, None] + order).clamp(max=self.made.shape[1] - 1)
        # what is written after a transcript's end is not read
        self.made.scatter_(1, places, tokens)
        self.made_by.scatter_(1, places, heads)
        self.calls.add_(~self.done)
        ends = ((tokens == self.eos) & (order < n[:, None])).any(1)
        self.count.add_(n)
        self.done.logical_or_(ends | (self.count >= self.most))

    def _said(self, rows: int) -> list[Said]:
        found = []
        columns = (self.made, self.made_by, self.count, self.calls)
        for made, by, count, calls in zip(*(t[:rows].tolist() for t in columns), strict=True):
            tokens = made[: min(count, self.most)]
            n = tokens.index(self.eos) if self.eos in tokens else len(tokens)
            found.append(Said(tokens[:n], by[:n], calls, min(n + 1, self.most)))
        return found

    def _begin(self) -> None:
        if self.first is None:
            self.first, _ = capture(lambda: self._read(self.audio, self.heard), lambda: self.state)
        self.first.replay()

    def _next(self) -> None:
        if not self.capture:
            return self._step()
        if self.graph is None:
            # what trying a call leaves in the cache is written again before it is read
            self.graph, _ = capture(self._step, lambda: self.state)
        self.graph.replay()
        return None


@torch.no_grad()
def beam(
    model: SpeechLLM, audio: torch.Tensor, heard: torch.Tensor, width: int, most: int, dtype: torch.dtype | None = None
) -> list[list[int]]:
    """The transcripts of highest probability that a beam of `width` hypotheses finds; each hypothesis is scored by the
    sum of its log-probabilities, the token that ends it included. Those that have not ended after `most` tokens count
    as they stand. In `dtype`, or in that of the decoder's embeddings."""
    decoder, B = _ready(model.decoder, dtype), len(audio)
    cache = Cache(decoder, B * width, audio.shape[1] + 1 + most)
    begin = decoder.embed(torch.full_like(heard, model.bos)[:, None])
    row, places = joined(audio, heard, begin)
    hidden = decoder.hidden(row.repeat_interleave(width, 0), cache)
    last = hidden[::width].gather(1, places[..., None].expand(-1, -1, hidden.shape[2]))[:, 0]
    score, first = F.linear(last, decoder.unembed).float().log_softmax(-1).topk(width)  # (B, W)
    made, done = first[..., None], first == model.eos
    ended = _Ended(done)
    only_end = torch.full_like(decoder.unembed[:, 0], -torch.inf, dtype=torch.float32)
    only_end[model.eos] = 0.0
    positions = (heard + 1).repeat_interleave(width)
    offset = torch.arange(B, device=audio.device)[:, None] * width
    for _ in range(1, most):
        if ended.look():
            break
        logits = decoder(made[..., -1].reshape(-1, 1), cache, positions[:, None])[:, 0]
        log_p = logits.float().log_softmax(-1).view(B, width, -1)
        total = score[..., None] + torch.where(done[..., None], only_end, log_p)
        score, best = total.flatten(1).topk(width)
        parent, token = best // log_p.shape[-1], best % log_p.shape[-1]
        made = torch.cat((made.gather(1, parent[..., None].expand(-1, -1, made.shape[2])), token[..., None]), -1)
        done.copy_(done.gather(1, parent) | (token == model.eos))
        rows = (offset + parent).flatten()
        for part in (part for slot in cache.slots for part in slot):
            part.copy_(part.index_select(0, rows))
        positions = positions + 1
    return [row[: row.index(model.eos)] if model.eos in row else row for row in made[:, 0].tolist()]
