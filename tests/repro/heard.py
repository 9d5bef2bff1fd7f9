"""Small models that listen, for the tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from repro.lab.lora import ATTENTION, LoRA, adapt
from repro.lab.transformer import Decoder, Shape
from repro.speech_llama.model import Encoder, EncoderShape
from repro.speech_llama.multi_token import make_heads
from repro.speech_llama.prompting import Projector, SpeechLLM

V, BOS, EOS, D = 11, 9, 10, 16
Results = tuple[torch.Tensor, ...] | None
ENCODER = EncoderShape(n_mels=8, stride=2, n_layers=1, d_model=12, n_heads=2, d_ff=16, kernel=3)


def speech_llm(stack: int = 3, r: int = 2, n_tokens: int = 1, kind: str = "latent", seed: int = 0) -> SpeechLLM:
    """Weights large enough that what is said depends on what is heard."""
    torch.manual_seed(seed)
    decoder = Decoder(Shape(V, D, 2, 4, 2, 24, max_seq_len=256))
    for p in decoder.parameters():
        if p.dim() > 1:
            torch.nn.init.normal_(p, std=0.4)
    if r:
        for layer in (adapt(decoder, LoRA(r, 2 * r, ATTENTION)), *decoder.modules()):
            if hasattr(layer, "lora_B"):
                torch.nn.init.normal_(layer.lora_B, std=0.3)
    decoder.requires_grad_(False)
    for name, p in decoder.named_parameters():
        p.requires_grad_("lora_" in name)
    encoder = Encoder(ENCODER)
    model = SpeechLLM(
        encoder, Projector(stack, 12, decoder), decoder, BOS, EOS, make_heads(kind, n_tokens, decoder.unembed)
    )
    torch.nn.init.normal_(model.projector.proj.weight, std=0.5)
    for p in model.heads.parameters() if model.heads is not None else ():
        torch.nn.init.normal_(p, std=0.3)
    return model


def sounds(n: int, most: int = 40, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (n, most, 8) and how many frames of each count (n,)."""
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(5, most + 1, (n,), generator=g)
    lengths[0] = most
    return torch.randn(n, most, 8, generator=g), lengths


class Replayed:
    """In the place of a CUDA graph where there is no GPU: what a replay makes lies where the first call left it."""

    def __init__(self, call: Callable[[], Results], results: Results) -> None:
        self.call, self.results = call, results

    def replay(self) -> None:
        for mine, new in zip(self.results or (), self.call() or (), strict=True):
            mine.copy_(new)


def capture(call: Callable[[], Results], changed: Callable[[], Sequence[torch.Tensor]]) -> tuple[Replayed, Results]:
    """As repro.lab.capture's, which calls it too and puts back what that changed."""
    before = [(t, t.clone()) for t in changed()]
    results = call()
    for tensor, value in before:
        tensor.copy_(value)
    return Replayed(call, results), results
