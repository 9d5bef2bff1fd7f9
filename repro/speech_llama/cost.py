"""What a recipe costs in arithmetic, counted on the meta device: no weight is made.

A matrix of N parameters takes 2 N FLOP a position forwards, as much for the gradient of its input, and as much again
for its own, which a frozen one does without.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from repro.lab import lora
from repro.lab.transformer import Decoder
from repro.speech_llama.config import Config
from repro.speech_llama.model import Encoder
from repro.speech_llama.system import encoder_shape, small_shape

SUSTAINED = 400e12  # FLOP a second of an H100 in bf16, a bit over 40 % of its peak


@dataclass(frozen=True)
class Cost:
    """Parameters, and the arithmetic of all of a recipe's steps."""

    encoder: int
    decoder: int
    trained_of_decoder: int
    flop: float

    def minutes(self, gpus: int) -> float:
        return self.flop / SUSTAINED / gpus / 60


def cost(config: Config, vocab_size: int, seconds: float = 15.0, tokens: int = 60) -> Cost:
    """Of a recipe whose utterances have so many seconds and tokens on average (Multilingual LibriSpeech's are cut at 10
    to 20 s)."""
    with torch.device("meta"):
        encoder, decoder = Encoder(encoder_shape(config)), Decoder(small_shape(config, vocab_size))
        of_decoder = sum(p.numel() for p in decoder.parameters())
        if config.lora_r and not config.full:
            lora.adapt(decoder, lora.LoRA(config.lora_r, config.lora_alpha, lora.ATTENTION))
    of_encoder = sum(p.numel() for p in encoder.parameters())
    trained = sum(p.numel() for p in decoder.parameters() if p.requires_grad) if config.lora_r or config.full else 0
    steps = seconds * 100 / config.stride
    positions = steps / config.stack + tokens
    matrices = of_decoder - decoder.embed.weight.numel() * (2 - config.full)  # the unembedding reads the text alone
    by_utterance = 6 * of_encoder * steps + (6 if config.full else 4) * matrices * positions
    flop = config.batch_size * (config.ctc_steps * 6 * of_encoder * steps + config.steps * by_utterance)
    return Cost(of_encoder, of_decoder, trained, flop)
