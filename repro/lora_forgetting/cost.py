"""What a step costs: peft's LoRA and transformers' full finetuning as people run them, and ours (Appendix I of the
paper). The shape is MobileLLM-125M's; needs transformers and peft."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from repro.lab.distributed import World
from repro.lab.lora import ALL
from repro.lab.memory import release
from repro.lab.transformer import Decoder, Shape
from repro.lora_forgetting import model
from repro.lora_forgetting.config import Config
from repro.lora_forgetting.data import Domain
from repro.lora_forgetting.experiment import make_state
from repro.lora_forgetting.train import Step

SHAPE_125M = Shape(32_000, 576, 30, 9, 3, 1536, 2048)
RANK = 16
SMALL = 1  # sequences a step where memory is what one has little of


@dataclass(frozen=True)
class Size:
    """A decoder, and the batch of a step."""

    shape: Shape = SHAPE_125M
    batch: int = 16
    seq_len: int = 2048


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def ours(size: Size, method: str, compiled: bool = True, accum: int = 1) -> Callable[[], Any]:
    """A step of ours on random tokens: forward, loss, backward, clipping, AdamW; `method` is full or lora."""
    w = World(0, 1, device())
    config = Config(
        method="full" if method == "full" else "lora", r=RANK, batch_size=size.batch, accum=accum, precision="bf16",
        compile=compiled, steps=1000,
    )  # fmt: skip
    with w.device:
        torch.manual_seed(0)
        decoder = Decoder(size.shape)
        tokens = torch.randint(size.shape.vocab_size, (size.batch, size.seq_len + 1))
    domain = Domain("random tokens", size.batch, lambda rows: tokens[rows], tokens)
    step = Step(config, domain, make_state(config, model.arm_of(config, decoder), w), w)
    rows = torch.arange(size.batch, device=w.device)
    return lambda: step(500, rows)


def peer(size: Size, method: str, compiled: bool = False) -> Callable[[], Any]:
    """A step of transformers' Llama, with peft's adapters where `method` is lora, as transformers' Trainer takes it:
    autocast to bf16, clipping, fused AdamW."""
    from transformers import LlamaConfig, LlamaForCausalLM

    s, on = size.shape, device()
    torch.manual_seed(0)
    config: dict[str, Any] = dict(
        vocab_size=s.vocab_size, hidden_size=s.d_model, num_hidden_layers=s.n_layers, num_attention_heads=s.n_heads,
        num_key_value_heads=s.n_kv_heads, intermediate_size=s.d_ff, max_position_embeddings=s.max_seq_len,
        tie_word_embeddings=s.tied, attn_implementation="sdpa", use_cache=False,
    )  # fmt: skip
    net: Any = LlamaForCausalLM(LlamaConfig(**config))
    net = net.to(on)
    if method == "lora":
        from peft import LoraConfig, get_peft_model

        net = get_peft_model(net, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=list(ALL)))
    weights = [p for p in net.parameters() if p.requires_grad]
    adam = torch.optim.AdamW(weights, lr=1e-4, betas=(0.9, 0.95), fused=on.type == "cuda")
    forward = torch.compile(net) if compiled else net
    tokens = torch.randint(s.vocab_size, (size.batch, size.seq_len), device=on)

    def take() -> None:
        with torch.autocast(on.type, torch.bfloat16):
            loss = forward(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        adam.step()
        adam.zero_grad()

    return take


def timed(call: Callable[[], Any], seconds: float) -> tuple[float, float]:
    """Milliseconds a call, the median of windows of several, after warming up; and the peak in GiB of the memory that
    is taken from the GPU, 0 without one. That is what is reserved, not what is allocated: a graph's activations lie in
    its own pool and are allocated no more once it is captured. What warming up has left over is given back before."""
    cuda = torch.cuda.is_available()
    for _ in range(3):
        call()
    if cuda:
        torch.cuda.synchronize()
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    windows: list[float] = []
    began = time.monotonic()
    while time.monotonic() - began < seconds or len(windows) < 3:
        start = time.perf_counter()
        for _ in range(5):
            call()
        if cuda:
            torch.cuda.synchronize()
        windows.append((time.perf_counter() - start) / 5 * 1e3)
    return statistics.median(windows), torch.cuda.max_memory_reserved() / 2**30 if cuda else 0.0


def cases(size: Size, compiled: bool = True) -> Iterator[tuple[str, Callable[[], Callable[[], Any]]]]:
    """What is compared, by name, each to be made when it is its turn."""
    for name, batch in (("", size.batch), ("_small", SMALL)):
        own = Size(size.shape, batch, size.seq_len)
        yield f"peer_full{name}", lambda own=own: peer(own, "full")  # type: ignore[misc]
        yield f"peer_lora{name}", lambda own=own: peer(own, "lora")  # type: ignore[misc]
    yield "ours_full", lambda: ours(size, "full", compiled)
    yield "ours_lora", lambda: ours(size, "lora", compiled)


def measured(size: Size | None = None, seconds: float = 4.0) -> dict[str, float]:
    """`ms_…` and `peak_gib_…` of each case."""
    found: dict[str, float] = {}
    for name, make in cases(size or Size(), compiled=torch.cuda.is_available()):
        found[f"ms_{name}"], found[f"peak_gib_{name}"] = timed(make(), seconds)
        release()
    return found
