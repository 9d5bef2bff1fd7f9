"""A language model prompted with speech (Fathullah et al. 2023): encoded audio, stacked and projected to the width of
its embeddings, stands before the begin-of-sentence token, and the transcript is what it goes on with.

A sequence is [audio, BOS, transcript], each part as long as the utterance has it, and what is left of a row is padding
at its end. A causal decoder needs no mask then, in training or decoding, and sees the same positions in both.

Shapes: B utterances, T frames, S encoder steps, J audio embeddings, U tokens of a transcript, D d_model of the decoder,
V vocab_size, n steps stacked.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from repro.lab.losses import IGNORE, summed_cross_entropy
from repro.lab.transformer import Decoder
from repro.speech_llama.model import Augmentation, Encoder, valid
from repro.speech_llama.multi_token import Heads


class Projector(nn.Module):
    """n encoder steps side by side, projected: a_j = W [e_(n(j-1)+1); …; e_(nj)]. The last group is filled up with
    zeros, so that no step is dropped. Outputs begin as large as the decoder's embeddings."""

    def __init__(self, stack: int, d_encoder: int, decoder: Decoder) -> None:
        super().__init__()
        self.stack = stack
        self.proj = nn.Linear(stack * d_encoder, decoder.shape.d_model, bias=False)
        self.reset(decoder)

    @torch.no_grad()
    def reset(self, decoder: Decoder) -> None:
        """Begin anew, at the size of the decoder's embeddings as they are now."""
        size = decoder.embed.weight.float().square().mean().sqrt() / math.sqrt(self.proj.in_features)
        self.proj.weight.normal_().mul_(size)

    def forward(self, x: torch.Tensor, steps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encoder steps (B, S, d_encoder), 0 beyond the valid ones -> embeddings (B, J, D) and how many are valid."""
        B, S, _ = x.shape
        groups = -(-S // self.stack)
        x = F.pad(x, (0, 0, 0, groups * self.stack - S)).reshape(B, groups, -1)
        return self.proj(x), (steps + self.stack - 1) // self.stack


def joined(audio: torch.Tensor, counts: torch.Tensor, text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Audio embeddings (B, J, D), of which `counts` (B,) are valid, and text embeddings (B, N, D) as one row each,
    padding at the end: (B, J + N, D). And where the text stands in it, (B, N)."""
    J, N = audio.shape[1], text.shape[1]
    at = torch.arange(J + N, device=audio.device)
    source = torch.where(at < counts[:, None], at, (J + at - counts[:, None]).clamp(max=J + N - 1))
    both = torch.cat((audio.to(text.dtype), text), 1)
    row = both.gather(1, source[..., None].expand_as(both))
    return row, counts[:, None] + torch.arange(N, device=audio.device)


class SpeechLLM(nn.Module):
    """Encoder, projector and decoder, with heads for the tokens after the next one where there are any. What of it is
    trained is said by requires_grad; the decoder's own weights are not.

    `forward` is the loss: features (B, T, M) of so many frames (B,), tokens (B, U) of so many (B,) -> the sum of the
    losses in nats, and how many tokens they are about (each transcript's and the one that ends it)."""

    def __init__(
        self, encoder: Encoder, projector: Projector, decoder: Decoder, bos: int, eos: int, heads: Heads | None = None
    ) -> None:
        super().__init__()
        self.encoder, self.projector, self.decoder, self.heads = encoder, projector, decoder, heads
        self.bos, self.eos = bos, eos
        self._cross_entropy = summed_cross_entropy
        self.masked = 0.0  # share of a transcript's input tokens that are hidden in training (Section 4, masking)
        self.head_weight = 1.0
        self.augmentation: Augmentation | None = None  # in training

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile the blocks of both parts and the loss, in place."""
        self.encoder.compile(*args, **options)
        self.decoder.compile(*args, **options)
        self._cross_entropy = torch.compile(summed_cross_entropy, *args, **options)

    def audio(self, features: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Audio embeddings (B, J, D) and how many of each row are valid (B,)."""
        steps = self.encoder(features, frames, self.augmentation if self.training else None)
        embeddings, heard = self.projector(*steps)
        return embeddings, heard

    def forward(
        self, features: torch.Tensor, frames: torch.Tensor, tokens: torch.Tensor, counts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        audio, heard = self.audio(features, frames)
        return self.loss(audio, heard, tokens, counts)

    def loss(
        self, audio: torch.Tensor, heard: torch.Tensor, tokens: torch.Tensor, counts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of transcripts after audio embeddings (B, J, D) of which `heard` (B,) are valid."""
        given, wanted = transcripts(tokens, counts, self.bos, self.eos)
        if self.training and self.masked:
            hide = (torch.rand(given.shape, device=given.device) < self.masked) & (given != self.bos)
            given = given.masked_fill(hide, self.eos)
        hidden = text_hidden(self.decoder, audio, heard, given)
        total, count = self._cross_entropy(hidden, self.decoder.unembed, wanted)
        if self.heads is None:
            return total, count
        return total + self.head_weight * self.heads.loss(hidden, self.decoder.unembed, wanted), count


def transcripts(tokens: torch.Tensor, counts: torch.Tensor, bos: int, eos: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What a decoder is given and what it is to say: [BOS, tokens] and [tokens, EOS], both (B, U + 1); beyond an
    utterance's end the latter is IGNORE."""
    B, U = tokens.shape
    given = torch.cat((tokens.new_full((B, 1), bos), tokens), 1)
    at = torch.arange(U + 1, device=tokens.device)
    wanted = F.pad(tokens, (0, 1)).masked_fill(at == counts[:, None], eos)
    return given, wanted.masked_fill(at > counts[:, None], IGNORE)


def text_hidden(decoder: Decoder, audio: torch.Tensor, heard: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """The decoder's hidden states (B, N, D) at tokens (B, N) that follow audio embeddings. Only these are wanted:
    logits of the audio's own places would be most of the work."""
    row, places = joined(audio, heard, decoder.embed(given))
    hidden = decoder.hidden(row)
    return hidden.gather(1, places[..., None].expand(-1, -1, hidden.shape[2]))


@torch.no_grad()
def similarity(audio: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """Cosines of audio embeddings (B, J, D) with a transcript's input embeddings (B, U, D): (B, J, U)."""
    return F.normalize(audio.float(), dim=-1) @ F.normalize(text.float(), dim=-1).transpose(1, 2)


@torch.no_grad()
def alignment(audio: torch.Tensor, heard: torch.Tensor, text: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """How far the audio speaks the embedding table's language in time order, for each utterance (B,): Spearman's
    correlation of a token's index with the place of the audio embedding that is most like it (Figure on alignment)."""
    cosines = similarity(audio, text).masked_fill(~valid(heard, audio.shape[1])[..., None], -2.0)
    best = cosines.argmax(1)  # (B, U)
    return torch.stack([_spearman(places[:n]) for places, n in zip(best.cpu(), counts.tolist(), strict=True)])


def _spearman(places: torch.Tensor) -> torch.Tensor:
    """Of places (U,) with their order, ties sharing the mean of their ranks; 0 where all are one."""
    ranks = (places[:, None] > places).sum(1) + ((places[:, None] == places).sum(1) - 1) / 2
    order = torch.arange(len(places), dtype=torch.float32)
    a, b = ranks - ranks.mean(), order - order.mean()
    size = (a.square().sum() * b.square().sum()).sqrt()
    return (a * b).sum() / size if size > 0 else torch.zeros(())
