"""Speed of a language model's training step and of generation on one GPU, beside transformers in the same run; one JSON
line a figure.

    python benchmarks/gpu/lm.py [--peer] [--profile] [--seconds N] [--only train|generate] [--case TEXT]

MobileLLM-125M's shape (30 layers, width 576, 9 query and 3 key-value heads, 32,000 tokens; 124,635,456 parameters), 16
sequences of 2,048 tokens, bf16 with fp32 weights: forward, loss, backward, clipping, AdamW. Generation continues 128
tokens by 256, greedily. The peer is transformers' LlamaForCausalLM of the same shape.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from timing import apart, say, seconds_a_call, show_profile
from torch.nn.attention import SDPBackend

from repro.lab import transformer
from repro.lab.data import step_seed
from repro.lab.distributed import World
from repro.lab.generate import Generator
from repro.lab.memory import release
from repro.mobilellm.config import Config, paper
from repro.mobilellm.sharing import MobileLLM, count
from repro.mobilellm.train import Step, make_state

B, T = 16, 2048
SHAPE = replace(paper("125m"), batch_size=B, accum=1, steps=1000)
FLOP_A_TOKEN = (
    6 * count(SHAPE) + 6 * SHAPE.n_layers * SHAPE.d_model * T
)  # causal attention counted once, not as a square
PEAK = 989.4e12  # dense bf16 of an H100, as NVIDIA states it
torch.backends.cuda.matmul.allow_tf32 = True  # here, so that a process of a case's own has it too


class Random:
    """Tokens out of nowhere, as repro.lab.text's would come."""

    def __init__(self, config: Config) -> None:
        self.all = torch.randint(config.vocab_size, (4 * B, T + 1), device="cuda")

    def windows(self, rows: torch.Tensor, length: int, split: str = "train") -> torch.Tensor:
        return self.all[rows, : length + 1]


def measure(case: str, call: Callable[[int], Any], seconds: float) -> None:
    torch.cuda.reset_peak_memory_stats()
    took = seconds_a_call(call, seconds)
    rate = B * T / took
    more = {
        "ms": round(took * 1e3, 3), "mfu": round(rate * FLOP_A_TOKEN / PEAK, 4),
        "reserved_gib": round(torch.cuda.max_memory_reserved() / 2**30, 2),
    }  # fmt: skip
    say(case, f"training step, {B} x {T}", rate, "tokens/s", **more)


def ours(case: str, config: Config, seconds: float, profile: bool = False) -> None:
    w = World(0, 1, torch.device("cuda"))
    state = make_state(config, w)
    step = Step(config, Random(config), state, w)  # type: ignore[arg-type]
    rows = torch.randperm(4 * B, device="cuda")[:B]

    def call(i: int) -> None:
        torch.manual_seed(step_seed(0, i))
        step(i % config.steps, rows)

    began = time.monotonic()
    call(0)
    torch.cuda.synchronize()
    say(case, "first step", time.monotonic() - began, "s")
    measure(case, call, seconds)
    if profile:
        show_profile(lambda: call(100))


def peer_model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=SHAPE.vocab_size, hidden_size=SHAPE.d_model, num_hidden_layers=SHAPE.n_layers,
            num_attention_heads=SHAPE.n_heads, num_key_value_heads=SHAPE.n_kv_heads, intermediate_size=SHAPE.d_ff,
            max_position_embeddings=T, tie_word_embeddings=True, attn_implementation="sdpa", use_cache=False,
        )
    ).cuda()  # fmt: skip


def peer(how: str, seconds: float, profile: bool) -> None:
    """transformers' model with its own loss, in the step that its Trainer takes (autocast, clip, fused AdamW)."""
    model = peer_model()
    adam = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    forward = torch.compile(model) if how == "compiled" else model
    tokens = torch.randint(SHAPE.vocab_size, (B, T), device="cuda")

    def call(i: int) -> None:
        with torch.autocast("cuda", torch.bfloat16):
            loss = forward(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        adam.zero_grad()

    measure(f"transformers, {how}", call, seconds)
    if profile:
        show_profile(lambda: call(0), 25)


def generation(batch: int, profile: bool, new: int = 256, prompt: int = 128) -> None:
    decoder = MobileLLM(SHAPE).cuda().eval()
    make = Generator(decoder, batch, prompt + new, dtype=torch.bfloat16)
    prompts = torch.randint(SHAPE.vocab_size, (batch, prompt)).tolist()
    for repeat in range(4):
        torch.cuda.synchronize()
        began = time.monotonic()
        made = make(prompts, new)
        torch.cuda.synchronize()
        took = time.monotonic() - began
        assert all(len(row) == new for row in made)
        name = "first generation" if repeat == 0 else "generation"
        say("ours, captured", f"{name}, batch {batch}, {new} tokens", batch * new / took, "tokens/s", s=round(took, 3))
    if profile:
        assert make.graph is not None
        show_profile(make.graph.replay, 25)


def peer_generation(batch: int, new: int = 256, prompt: int = 128) -> None:
    model = peer_model().to(torch.bfloat16).eval()
    model.generation_config.use_cache = model.config.use_cache = True
    tokens = torch.randint(SHAPE.vocab_size, (batch, prompt), device="cuda")
    more = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False, "cache_implementation": "static"}
    for repeat in range(3):
        torch.cuda.synchronize()
        began = time.monotonic()
        with torch.no_grad():
            model.generate(tokens, attention_mask=torch.ones_like(tokens), pad_token_id=0, **more)
        torch.cuda.synchronize()
        took = time.monotonic() - began
        name = "first generation" if repeat == 0 else "generation"
        say("transformers, static cache", f"{name}, batch {batch}, {new} tokens", batch * new / took, "tokens/s")


@torch.no_grad()
def ties(batch: int = 8, new: int = 128) -> None:
    """How often bf16 with a cache chooses another token than bf16 without one, given the same past."""
    decoder = MobileLLM(SHAPE).cuda().to(torch.bfloat16).eval()
    prompts = torch.randint(SHAPE.vocab_size, (batch, 64))
    made = Generator(decoder, batch, 64 + new)(prompts.tolist(), new)
    whole = torch.cat((prompts, torch.tensor(made)), 1).cuda()
    again = decoder(whole[:, :-1]).argmax(-1)[:, 63:]
    wide = copy.deepcopy(decoder).float()
    in_fp32 = wide(whole[:, :-1]).argmax(-1)[:, 63:]
    say(
        "ours",
        "tokens that differ, bf16 with and without cache",
        (again != whole[:, 64:]).float().mean().item(),
        "share",
    )
    say(
        "ours",
        "tokens that differ, bf16 with cache and fp32",
        (in_fp32 != whole[:, 64:]).float().mean().item(),
        "share",
    )


VARIANTS: dict[str, tuple[Config, list[SDPBackend]]] = {
    "ours, captured": (SHAPE, transformer.KERNELS),
    "ours, captured, two micro-batches": (replace(SHAPE, accum=2), transformer.KERNELS),
    "ours, captured, FlashAttention 2": (SHAPE, [SDPBackend.FLASH_ATTENTION]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="store_true", help="measure transformers too")
    parser.add_argument("--profile", action="store_true", help="print what our captured steps are made of")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each figure of training")
    parser.add_argument("--only", choices=["train", "generate"], help="one half")
    parser.add_argument("--case", default="", help="only the cases that have this in their names")
    asked = parser.parse_args()
    if asked.only != "generate":
        training(asked)
    if asked.only != "train":
        generating(asked)


def training(asked: argparse.Namespace) -> None:
    kernels = list(transformer.KERNELS)
    for i, (case, (config, wanted)) in enumerate(VARIANTS.items()):
        if asked.case in case:
            transformer.KERNELS[:] = wanted
            ours(case, config, asked.seconds, asked.profile and i == 0)
            release()
    transformer.KERNELS[:] = kernels
    for how in ("eager", "compiled") if asked.peer else ():
        if asked.case in f"transformers, {how}":
            apart(peer, how, asked.seconds, asked.profile and how == "compiled")


def generating(asked: argparse.Namespace) -> None:
    if asked.case in "ours, captured":
        for batch in (64, 1):
            generation(batch, asked.profile)
            release()
        ties()
    if asked.peer and asked.case in "transformers, static cache":
        apart(peer_generation, 64)


if __name__ == "__main__":
    main()
