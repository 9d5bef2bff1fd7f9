"""Several tokens a call (Raj et al. 2024): heads that say the tokens after the next one from the same hidden state,
p(y_(t+1), …, y_(t+K) | y_<=t, audio) = prod over k of p_k(y_(t+k) | y_<=t, audio).

Head 1 is the decoder's own unembedding; here are heads 2 to K.

Shapes: B utterances, N places, D d_model, V vocab_size, K tokens a call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from repro.lab.losses import IGNORE, summed_cross_entropy

Kind = Literal["latent", "independent"]


class Heads(nn.Module, ABC):
    """Heads 2 to K."""

    def __init__(self, n_tokens: int) -> None:
        super().__init__()
        self.n_tokens = n_tokens  # K

    @abstractmethod
    def logits(self, hidden: torch.Tensor, unembed: torch.Tensor) -> torch.Tensor:
        """Hidden states (…, D) and the decoder's unembedding (V, D) -> logits of heads 2 to K, (…, K - 1, V)."""

    @abstractmethod
    def reset(self, unembed: torch.Tensor) -> None:
        """Begin anew, saying what the decoder (V, D) says."""

    @abstractmethod
    def losses(self, hidden: torch.Tensor, unembed: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """The summed loss in nats of hidden states (B, N, D) for what each head is to say, (K - 1, B, N)."""

    def loss(self, hidden: torch.Tensor, unembed: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """The mean over heads of their summed losses; `wanted` (B, N) is what head 1 is to say, and head k is to say
        what comes k - 1 places later."""
        N, longer = wanted.shape[1], F.pad(wanted, (0, self.n_tokens - 1), value=IGNORE)
        later = [longer[:, k : k + N] for k in range(1, self.n_tokens)]
        return self.losses(hidden, unembed, torch.stack(later)) / (self.n_tokens - 1)


class LatentHeads(Heads):
    """Latent-space expansion: softmax(U M_k h), a full D x D map for each head before the shared unembedding U, that
    begins as the identity. (K - 1) D^2 parameters."""

    def __init__(self, n_tokens: int, unembed: torch.Tensor) -> None:
        super().__init__(n_tokens)
        d = unembed.shape[1]
        self.maps = nn.Parameter(torch.empty(n_tokens - 1, d, d))
        self.reset(unembed)

    def reset(self, unembed: torch.Tensor) -> None:
        with torch.no_grad():
            self.maps.copy_(torch.eye(self.maps.shape[1]))

    def expand(self, hidden: torch.Tensor) -> torch.Tensor:
        """(…, D) -> (…, K - 1, D)."""
        return torch.einsum("...d,ked->...ke", hidden, self.maps.to(hidden.dtype))

    def logits(self, hidden: torch.Tensor, unembed: torch.Tensor) -> torch.Tensor:
        return F.linear(self.expand(hidden), unembed)

    def losses(self, hidden: torch.Tensor, unembed: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        expanded = self.expand(hidden).movedim(-2, 0)
        return summed_cross_entropy(expanded, unembed, wanted)[0]


class IndependentHeads(Heads):
    """Projections of their own, as in Medusa: softmax(U_k h). (K - 1) D V parameters, that begin as the decoder's."""

    def __init__(self, n_tokens: int, unembed: torch.Tensor) -> None:
        super().__init__(n_tokens)
        self.unembeds = nn.Parameter(torch.empty(n_tokens - 1, *unembed.shape))
        self.reset(unembed)

    def reset(self, unembed: torch.Tensor) -> None:
        with torch.no_grad():
            self.unembeds.copy_(unembed)

    def logits(self, hidden: torch.Tensor, unembed: torch.Tensor) -> torch.Tensor:
        return torch.einsum("...d,kvd->...kv", hidden, self.unembeds.to(hidden.dtype))

    def losses(self, hidden: torch.Tensor, unembed: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        parts = [summed_cross_entropy(hidden, u, w)[0] for u, w in zip(self.unembeds, wanted, strict=True)]
        return torch.stack(parts).sum()


def make_heads(kind: Kind, n_tokens: int, unembed: torch.Tensor) -> Heads | None:
    """None for one token a call."""
    if n_tokens < 2:
        return None
    return LatentHeads(n_tokens, unembed) if kind == "latent" else IndependentHeads(n_tokens, unembed)


def extra_parameters(kind: Kind, n_tokens: int, d_model: int, vocab_size: int) -> int:
    """What heads 2 to K add, by hand."""
    return (n_tokens - 1) * d_model * (d_model if kind == "latent" else vocab_size)
