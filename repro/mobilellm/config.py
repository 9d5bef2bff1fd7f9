"""Settings of MobileLLM. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from repro.lab.recipe import Recipe


@dataclass(frozen=True)
class Config:
    text: str = "python"
    """python: the standard library's own source; a folder of text; or hf:NAME of a Hugging Face dataset."""
    text_mb: float = 4.0
    """Megabytes to take of Python's library."""
    tokenizer: str = ""
    """A tokenizer.json; empty: a byte-level BPE of vocab_size is trained on the training text."""
    vocab_size: int = 512
    """Tokens there are."""
    n_layers: int = 4
    """Blocks that have weights of their own."""
    d_model: int = 64
    """Width of the stream."""
    n_heads: int = 4
    """Query heads."""
    n_kv_heads: int = 2
    """Key-value heads."""
    d_ff: int = 176
    """Width of the feed-forward part."""
    ffn: Literal["swiglu", "relu"] = "swiglu"
    """SwiGLU has three matrices, ReLU two: 1.5 times as wide, it has as many parameters."""
    tied: bool = True
    """One matrix for embedding and unembedding."""
    repeats: int = 1
    """Times each block is called."""
    sharing: Literal["immediate", "repeat_all", "reverse"] = "immediate"
    """The order of these calls."""
    scale_residual: bool = True
    """Matrices that add to the stream begin smaller, by the root of twice the number of calls."""
    seq_len: int = 128
    """Tokens of a training sequence."""
    batch_size: int = 16
    """Sequences a step, over all ranks."""
    accum: int = 1
    """Micro-batches a step."""
    steps: int = 300
    """Optimizer steps."""
    lr: float = 4e-3
    """AdamW's peak; a cosine takes it down to a tenth."""
    warmup: int = 20
    """Steps to the peak."""
    weight_decay: float = 0.1
    """Of matrices; norms have none."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: autocast, with fp32 weights and sums."""
    compile: bool = False
    """Compile the step and capture it as a CUDA graph."""
    shard: bool = False
    """Over several ranks, split weights and optimizer with FSDP2 instead of copying them."""
    measure: tuple[Literal["loss", "w8a8", "latency"], ...] = ("loss",)
    """What is measured at the end: the held-out loss; with 8-bit weights and activations; the time of a token."""
    eval_windows: int = 64
    """Held-out sequences for the loss."""
    log_every: int = 10
    """Steps between two points of the curves."""
    seed: int = 0
    """Of data order and initialisation."""


_SMOKE = Config(measure=("loss", "w8a8"))

# 12 blocks of width 256 with 8,192 tokens: the embedding is a fifth of the parameters, as it is at 125M
_BASE = Config(
    text="data/text", vocab_size=8192, n_layers=12, d_model=256, n_heads=8, n_kv_heads=8, d_ff=512, seq_len=512,
    batch_size=64, steps=1200, warmup=60, precision="bf16", compile=True, eval_windows=1024, log_every=50,
)  # fmt: skip

_ARMS: dict[str, tuple[str, Config]] = {
    "base": ("12 blocks of width 256: what the arms below change one thing of", _BASE),
    "depth4": ("12.0 M parameters in 4 wide blocks", replace(_BASE, n_layers=4, d_model=384, n_heads=12, n_kv_heads=12,
                                                             d_ff=1408)),
    "depth8": ("12.0 M parameters in 8 blocks", replace(_BASE, n_layers=8, d_model=288, n_heads=9, n_kv_heads=9,
                                                        d_ff=1008)),
    "depth16": ("12.0 M parameters in 16 blocks", replace(_BASE, n_layers=16, d_model=224, n_heads=7, n_kv_heads=7,
                                                          d_ff=648)),
    "depth30": ("12.0 M parameters in 30 thin blocks", replace(_BASE, n_layers=30, d_model=160, n_heads=5, n_kv_heads=5,
                                                               d_ff=528)),
    "relu": ("a ReLU feed-forward part of as many parameters instead of SwiGLU", replace(_BASE, ffn="relu", d_ff=768)),
    "untied": ("an unembedding of its own, 2.1 M parameters more", replace(_BASE, tied=False)),
    "tied15": ("tied, the parameters saved spent on three more blocks", replace(_BASE, n_layers=15)),
    "kv2": ("2 key-value heads for 8 query heads: a quarter of the cache", replace(_BASE, n_kv_heads=2)),
    "kv1": ("one key-value head for all", replace(_BASE, n_kv_heads=1)),
    "share2": ("each block called twice in a row", replace(_BASE, repeats=2)),
    "share3": ("each block called three times in a row", replace(_BASE, repeats=3)),
    "share4": ("each block called four times in a row", replace(_BASE, repeats=4)),
    "all2": ("the whole stack called twice", replace(_BASE, repeats=2, sharing="repeat_all")),
    "reverse2": ("the stack called forwards, then backwards", replace(_BASE, repeats=2, sharing="reverse")),
    "long": ("the base with twice the steps: as many FLOPs as each block called twice", replace(_BASE, steps=2400)),
}  # fmt: skip
RATES = {"lr1": 1e-3, "lr2": 2e-3, "lr4": 4e-3}  # every arm is judged at its best of these


def arm(name: str) -> tuple[str, ...]:
    """The recipes of an arm, one a learning rate."""
    return tuple(f"gpu-{name}-{rate}" for rate in RATES)


# Table 9 and the released configurations: layers, heads, key-value heads, width, feed-forward width
SIZES = {
    "125m": (30, 9, 3, 576, 1536), "350m": (32, 15, 5, 960, 2560), "600m": (40, 18, 6, 1152, 3072),
    "1b": (54, 20, 5, 1280, 3584), "1.5b": (54, 25, 5, 1600, 4352),
}  # fmt: skip


def paper(size: str) -> Config:
    """A size as published: 480,000 steps of 1,024 sequences of 2,048 tokens are 1.0066 T tokens."""
    n_layers, n_heads, n_kv_heads, d_model, d_ff = SIZES[size]
    return Config(
        text="data/text", tokenizer="data/llama-tokenizer.json", vocab_size=32_000, n_layers=n_layers, d_model=d_model,
        n_heads=n_heads, n_kv_heads=n_kv_heads, d_ff=d_ff, scale_residual=False, seq_len=2048, batch_size=1024,
        accum=64, steps=480_000, lr=2e-3, warmup=1000, precision="bf16", compile=True, eval_windows=1024,
        log_every=100,
    )  # fmt: skip


_H100 = "1 H100"
_SAME = "at 1,200 steps of 32,768 tokens"

RECIPES: dict[str, Recipe[Config]] = {
    "smoke": Recipe(
        "The whole path in small, on Python's own library: about 2.2 bits per byte, and the same with 8-bit weights",
        "2 CPU cores", 1, _SMOKE,
    ),
    **{
        f"gpu-{name}-{rate}": Recipe(f"{says}, {_SAME}" if name != "long" else says, _H100, 1, replace(config, lr=lr))
        for name, (says, config) in _ARMS.items()
        for rate, lr in RATES.items()
    },
    "gpu-latency": Recipe(
        "Nothing is trained: the time of a token at batch 1 for 125M, for 125M with each block called twice, and for "
        "60 blocks of their own; sharing should cost little, twice the blocks about twice",
        _H100, 1,
        replace(paper("125m"), text="python", tokenizer="", batch_size=1, accum=1, steps=0, measure=("latency",)),
    ),
    **{
        f"paper-{size}": Recipe(
            f"MobileLLM-{size.upper()} as published but for the text, which is not public: 1.0066 T tokens. The cost "
            "is that of our 344,000 tokens/s at 125M and of the same arithmetic at other sizes; nobody has run it here",
            _H100, minutes, paper(size),
        )
        for size, minutes in (("125m", 48_800), ("350m", 124_000), ("600m", 213_000), ("1b", 350_000),
                              ("1.5b", 514_000))
    },
}  # fmt: skip
