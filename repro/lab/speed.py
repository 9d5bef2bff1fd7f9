"""What a token costs: time, memory, cache."""

from __future__ import annotations

import statistics
import time

import torch

from repro.lab.generate import Generator
from repro.lab.transformer import Decoder


def decode_speed(
    decoder: Decoder, batch: int, prompt: int, new_tokens: int, repeats: int = 5, dtype: torch.dtype | None = None
) -> dict[str, float]:
    """What continuing `batch` random prompts of `prompt` tokens by `new_tokens` takes, greedily: the median of some
    repeats after one that warms up, reading the prompt included. ms_per_token is the time of one step of the batch."""
    weight = decoder.embed.weight
    make = Generator(decoder, batch, prompt + new_tokens, dtype=dtype)
    g = torch.Generator().manual_seed(0)
    prompts = torch.randint(decoder.shape.vocab_size, (batch, prompt), generator=g).tolist()
    seconds = []
    if weight.is_cuda:
        torch.cuda.reset_peak_memory_stats(weight.device)
    for _ in range(repeats + 1):
        began = time.perf_counter()
        make(prompts, new_tokens)  # its result is read from the device, so it has ended
        seconds.append(time.perf_counter() - began)
    took = statistics.median(seconds[1:])
    found = {
        "ms_per_token": 1e3 * took / new_tokens, "tokens_per_s": batch * new_tokens / took,
        "kv_bytes_per_token": float(make.cache.bytes_per_token),
    }  # fmt: skip
    if weight.is_cuda:
        found["peak_gib"] = torch.cuda.max_memory_allocated(weight.device) / 2**30
    return found
