"""What a run measures at its end."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from repro.lab.distributed import World
from repro.lab.quantize import quantized
from repro.lab.speed import decode_speed
from repro.lab.text import Tokens
from repro.lab.transformer import TokenLoss
from repro.mobilellm.config import Config
from repro.mobilellm.sharing import MobileLLM, cache_bytes


def measure(config: Config, model: TokenLoss, tokens: Tokens, w: World) -> dict[str, float]:
    """The numbers that claims are judged by; what they are is said by `config.measure`."""
    found: dict[str, float] = {}
    model.eval()
    if "loss" in config.measure:
        loss = held_out(config, model, tokens, w)
        found |= {"loss_nats": loss, "bits_per_byte": loss / math.log(2) / tokens.bytes_per_token}
    if "w8a8" in config.measure:
        found["loss_nats_w8a8"] = held_out(config, TokenLoss(quantized(model.decoder)), tokens, w)
    if "latency" in config.measure:
        found |= latency(config, w)
    return found


@torch.no_grad()
def held_out(config: Config, model: TokenLoss, tokens: Tokens, w: World) -> float:
    """The mean loss in nats a token over the first `eval_windows` sequences of the held-out text, each on its own."""
    rows = torch.arange(min(config.eval_windows, tokens.n_windows(config.seq_len, "val")), device=w.device)
    total, count = torch.zeros((), device=w.device), 0
    for part in rows.split(max(1, config.batch_size // config.accum)):
        with torch.autocast(w.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            losses, n = model(tokens.windows(part, config.seq_len, "val"))
        total, count = total + losses, count + int(n)
    return float(total) / count


def latency(config: Config, w: World) -> dict[str, float]:
    """Milliseconds a token at batch 1 in bf16, with random weights: the model, the model with each block called twice,
    and one with twice the blocks; and how many bytes of cache a token takes."""
    arms = {
        "ms_per_token": config,
        "ms_per_token_shared": replace(config, repeats=2),
        "ms_per_token_60_blocks": replace(config, n_layers=2 * config.n_layers),
    }
    found: dict[str, float] = {}
    for name, arm in arms.items():
        with w.device:
            decoder = MobileLLM(arm).to(torch.bfloat16).eval()
        speed = decode_speed(decoder, batch=1, prompt=128, new_tokens=min(256, config.seq_len - 128))
        found[name] = speed["ms_per_token"]
    return found | {"cache_bytes_per_token": float(cache_bytes(config))}
