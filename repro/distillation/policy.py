"""MiniLLM's gradient: reverse KL between whole sequences, by the policy gradient theorem (section 2.2).

With r_t = log p(y_t) - log q(y_t), the gradient of KL(q || p) over sequences is the mean over the student's text of

    sum_t  grad KL(q || p)_t  -  (sum_(t' > t) r_t') grad log q(y_t)

The first part is exact over the vocabulary (single-step decomposition); the second is where an early token answers for
what it leads to. GKD has the first part only. Both are divided by what they are on average (length normalisation) and
weighted where the text is partly the teacher's (teacher-mixed sampling).

Shapes: B sequences, L tokens that follow a prompt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class PolicyGradient:
    """alpha: the teacher's share in the sampling. length_norm: the mean of what is to come instead of its sum.
    single_step: the immediate reward exactly, over the vocabulary; without it, r_t joins what is to come."""

    alpha: float = 0.2
    length_norm: bool = True
    single_step: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < 1:
            raise ValueError(f"a teacher's share of {self.alpha:g}; it must be at least 0 and below 1")

    def weights(
        self, log_q: torch.Tensor, log_p: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """From the log-probabilities (B, L) of the tokens chosen: the weight of each token's reverse KL, and that of
        its -log q, both without gradient. `mask` (B, L) is true where a token counts."""
        counts = mask.to(log_q.dtype)
        share = importance(log_q, log_p, self.alpha) * counts
        reward = (log_p - log_q) * counts
        ahead = reward.flip(1).cumsum(1).flip(1)  # r_t and all after it
        left = counts.flip(1).cumsum(1).flip(1)
        if self.single_step:
            ahead, left = ahead - reward, left - counts
        if self.length_norm:
            ahead = ahead / left.clamp(min=1)
        return (share if self.single_step else torch.zeros_like(share)), share * ahead


def importance(log_q: torch.Tensor, log_p: torch.Tensor, alpha: float) -> torch.Tensor:
    """q / (alpha p + (1 - alpha) q) of the token chosen: the paper's approximation, one token for the whole past, of
    the weight that makes text from the mixture stand for the student's own. At most 1 / (1 - alpha)."""
    if alpha == 0:
        return torch.ones_like(log_q)
    return (log_q - torch.logaddexp(log_p + math.log(alpha), log_q + math.log1p(-alpha))).exp()
