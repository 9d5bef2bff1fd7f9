"""Teacher and student, and the loss of each method.

Shapes: B sequences, P tokens of a prompt, L tokens that follow, D the student's d_model, E the teacher's, V vocab_size.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import nn

from repro.distillation.config import Config
from repro.distillation.distill import Divergence, Heads, summed_divergence
from repro.distillation.policy import PolicyGradient
from repro.lab.losses import IGNORE, summed_cross_entropy, token_losses
from repro.lab.transformer import Decoder, Shape


def shape(config: Config, vocab_size: int) -> Shape:
    return Shape(
        vocab_size, config.d_model, config.n_layers, config.n_heads, config.n_kv_heads, config.d_ff,
        max_seq_len=max(64, config.prompt_len + config.new_tokens, (config.digits + 1) * (config.terms + 1) + 2),
    )  # fmt: skip


def frozen(decoder: Decoder, dtype: torch.dtype | None = None) -> Decoder:
    """A copy that is only asked: no gradient, no dropout."""
    return copy.deepcopy(decoder).to(dtype).requires_grad_(False).eval()


class Student(nn.Module):
    """The student with the loss of its method, so that what wraps a module's forward (DDP) wraps both."""

    def __init__(self, config: Config, vocab_size: int) -> None:
        super().__init__()
        self.decoder = Decoder(shape(config, vocab_size), residual_std=0.02 / math.sqrt(2 * config.n_layers))
        self.method, self.with_hard = config.method, config.hard > 0
        self.rule = Divergence(config.divergence, config.beta, config.temperature)
        self.policy = PolicyGradient(config.teacher_mix, config.length_norm, config.single_step)

        self._divergence, self._cross_entropy, self._token_losses = (
            summed_divergence,
            summed_cross_entropy,
            token_losses,
        )

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile the decoder's blocks and the losses, in place."""
        self.decoder.compile(*args, **options)
        self._divergence = torch.compile(summed_divergence, *args, **options)
        self._cross_entropy = torch.compile(summed_cross_entropy, *args, **options)
        self._token_losses = torch.compile(token_losses, *args, **options)

    def forward(
        self,
        tokens: torch.Tensor,
        mask: torch.Tensor,
        hard: torch.Tensor,
        teacher: torch.Tensor | None = None,
        teacher_unembed: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum of the losses in nats of tokens (B, P + L) where `mask` (B, L) is true, and how many these are; of
        prompts none. `hard` (0-dimensional) is the share of cross-entropy, `teacher` (B, L, E) the hidden states that
        the teacher predicts the last L tokens from. MiniLLM's sum has the right gradient, and as a number says nothing.
        """
        prompt = tokens.shape[1] - mask.shape[1]
        hidden, targets = self.decoder.hidden(tokens[:, :-1])[:, prompt - 1 :], tokens[:, prompt:]
        if teacher is None or teacher_unembed is None:
            return self._cross_entropy(hidden, self.decoder.unembed, targets.masked_fill(~mask, IGNORE))
        heads = Heads(self.decoder.unembed, teacher_unembed)
        if self.method == "minillm":
            total = self._policy_gradient(hidden, teacher, heads, mask, targets)
        else:
            counts = mask.float()
            cross_entropy = (targets, hard * counts) if self.with_hard else (None, None)
            total = self._divergence(hidden, teacher, heads, (1 - hard) * counts, self.rule, *cross_entropy)
        return total, mask.sum()

    def _policy_gradient(
        self, hidden: torch.Tensor, teacher: torch.Tensor, heads: Heads, mask: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            log_q = -self._token_losses(hidden.detach(), heads.student.detach()[: heads.size], targets)
            log_p = -self._token_losses(teacher, heads.teacher[: heads.size], targets)
        weights, hard = self.policy.weights(log_q, log_p, mask)
        return self._divergence(hidden, teacher, heads, weights, Divergence("reverse"), targets, hard)
