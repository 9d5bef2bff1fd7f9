"""Tiny decoders with random weights, and tokens for them."""

from __future__ import annotations

from dataclasses import replace

import torch

from repro.lab.transformer import Decoder, Shape

TINY = Shape(vocab_size=97, d_model=48, n_layers=3, n_heads=6, n_kv_heads=2, d_ff=80, max_seq_len=64)


def tiny(seed: int = 0, **changes) -> Decoder:
    torch.manual_seed(seed)
    decoder = Decoder(replace(TINY, **changes)).eval()
    with torch.no_grad():  # away from the beginning, where norms are 1 and logits nearly 0
        for p in decoder.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return decoder


def ids(*size: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(TINY.vocab_size, size, generator=torch.Generator().manual_seed(seed))
