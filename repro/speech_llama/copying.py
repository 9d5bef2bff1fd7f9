"""What a small decoder reads before it hears anything. Of documents that begin with a garbled copy of a text and go on
with it in clean, a decoder can learn to copy and repair from context (copy). If the garbled text is another one's, it
learns as much about the language, and that what stands before a text is of no use (plain). Of clean texts alone it
learns the language, and nothing about what may stand before them (clean).

Shapes: B documents, U units of a text, P of its garbled copy, D d_model.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from repro.lab.losses import summed_cross_entropy
from repro.lab.transformer import Decoder
from repro.speech_llama.prompting import text_hidden, transcripts

Kind = Literal["copy", "plain", "clean"]
REPEATS = (2, 3)  # times that a unit stands in a garbled copy, the least and the most
REPLACED = 0.15  # share of a garbled copy that is another unit
ALONE = 0.2  # share of documents that are clean text alone


def garbled(tokens: torch.Tensor, counts: torch.Tensor, n_units: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Texts (B, U) of so many units (B,) -> (B, P) and (B,): each unit stands there two or three times, and some are
    replaced."""
    B, U = tokens.shape
    least, most = REPEATS
    times = torch.randint(least, most + 1, (B, U), device=tokens.device)
    times = times * (torch.arange(U, device=tokens.device) < counts[:, None])
    ends = times.cumsum(1)
    at = torch.arange(U * most, device=tokens.device).expand(B, -1).contiguous()
    source = torch.searchsorted(ends, at, right=True).clamp(max=U - 1)
    copy = tokens.gather(1, source)
    other = torch.randint(n_units, copy.shape, device=tokens.device)
    copy = torch.where(torch.rand(copy.shape, device=tokens.device) < REPLACED, other, copy)
    return copy, ends[:, -1]


class Reading(nn.Module):
    """A decoder with its loss on such documents: tokens (B, U) of so many (B,) -> the sum in nats over the clean texts,
    and how many tokens these are."""

    def __init__(self, decoder: Decoder, bos: int, eos: int, kind: Kind) -> None:
        super().__init__()
        self.decoder, self.bos, self.eos, self.kind = decoder, bos, eos, kind

    def compile(self, *args: Any, **options: Any) -> None:
        self.decoder.compile(*args, **options)

    def forward(self, tokens: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        copy, copied = garbled(tokens, counts, self.bos)
        if self.kind == "plain":
            copy, copied = copy.roll(1, 0), copied.roll(1, 0)
        alone = 1.0 if self.kind == "clean" else ALONE
        copied = copied.masked_fill(torch.rand(copied.shape, device=copied.device) < alone, 0)
        return self.loss(copy, copied, tokens, counts)

    def loss(
        self, copy: torch.Tensor, copied: torch.Tensor, tokens: torch.Tensor, counts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        given, wanted = transcripts(tokens, counts, self.bos, self.eos)
        hidden = text_hidden(self.decoder, self.decoder.embed(copy), copied, given)
        return summed_cross_entropy(hidden, self.decoder.unembed, wanted)
