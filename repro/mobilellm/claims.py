"""What the paper claims, as data: judged by `python -m repro.mobilellm.claims` from runs/*.json. Imports no torch.

Numbers of the paper are accuracies, means over eight zero-shot tasks; ours are held-out losses in nats a token.
Smallest effects were declared before any run. An arm is taken at the best of its three learning rates, for each seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from repro.lab.claims import Claim, Exact, Metrics, main
from repro.mobilellm.config import SIZES, arm, paper

NOTE = "mobilellm"
OURS = (
    "10 to 12 million parameters, equal within 1 %, 39 M tokens of English text with a vocabulary of 8,192; each arm "
    "at its best of three learning rates; held-out loss instead of accuracy"
)
TOY = "0.2 M parameters on 0.6 M tokens of Python's library"


def best(metrics: Mapping[str, Metrics], name: str) -> float:
    """The lowest held-out loss of an arm, in nats a token."""
    return min(metrics[recipe]["loss_nats"] for recipe in arm(name))


def gain(metrics: Mapping[str, Metrics], this: str, than: str) -> float:
    """By how many nats `this` arm is better than `than`."""
    return best(metrics, than) - best(metrics, this)


def arms(*names: str) -> tuple[str, ...]:
    return tuple(recipe for name in names for recipe in arm(name))


def published_counts() -> Sequence[Exact]:
    """MO-8: counted on the networks themselves, on the meta device."""
    import torch

    from repro.mobilellm.sharing import MobileLLM

    known = (124_635_456, 345_355_200, 603_188_352, 1_005_461_760, 1_511_188_800)
    with torch.device("meta"):
        found = [sum(p.numel() for p in MobileLLM(paper(size)).parameters()) for size in SIZES]
    return [Exact(ours, theirs) for ours, theirs in zip(found, known, strict=True)]


def saved_by_tying() -> Sequence[Exact]:
    """MO-3: what one matrix instead of two saves at 125M, in parameters and as a share of the untied model."""
    from dataclasses import replace

    from repro.mobilellm.sharing import count

    tied = count(paper("125m"))
    untied = count(replace(paper("125m"), tied=False))
    return [Exact(untied - tied, 18_432_000), Exact(untied, 143_067_456)]


def cache_sizes() -> Sequence[Exact]:
    """MO-4: bytes of one token's keys and values in fp16, by the formula and in a cache that is made; and that 4
    key-value heads for 16 take a quarter."""
    from dataclasses import replace

    import torch

    from repro.lab.transformer import Cache
    from repro.mobilellm.sharing import MobileLLM, cache_bytes

    known = (23_040, 40_960, 61_440, 69_120, 69_120)
    rows = [Exact(cache_bytes(paper(size)), theirs) for size, theirs in zip(SIZES, known, strict=True)]
    with torch.device("meta"):
        made = Cache(MobileLLM(paper("125m")), 2, 64, torch.float16).bytes_per_token
    heads = replace(paper("125m"), d_model=1024, n_heads=16, n_kv_heads=16)
    ratio = cache_bytes(heads) / cache_bytes(replace(heads, n_kv_heads=4))
    shared = cache_bytes(replace(paper("125m"), repeats=2)) / cache_bytes(paper("125m"))
    return [*rows, Exact(made, 23_040), Exact(ratio, 4.0), Exact(shared, 2.0)]


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "MO-1", "At equal parameters, deep and thin is better than shallow and wide", "Table 11, Figure 4",
        "125M: 43.9 with 12 layers, 44.8 with 30", f"{OURS}; 16 blocks against 4", "scale", NOTE,
        arms("depth16", "depth4"), lambda m: gain(m, "depth16", "depth4"), smallest=0.01,
    ),
    Claim(
        "MO-1b", "Deeper and thinner stays better up to about 30 layers",
        "Figure 4", "about 30 layers are best at 125M",
        f"{OURS}; 30 blocks against 8", "scale", NOTE,
        arms("depth30", "depth8"), lambda m: gain(m, "depth30", "depth8"), smallest=0.01,
    ),
    Claim(
        "MO-2", "SwiGLU is better than a ReLU feed-forward part of as many parameters", "Table 10",
        "125M: 42.6 with ReLU, 43.9 with SwiGLU", OURS, "scale", NOTE,
        arms("base", "relu"), lambda m: gain(m, "base", "relu"), smallest=0.005,
    ),
    Claim(
        "MO-3", "Tying saves 18.4 M of the 125M model's parameters", "Table 1",
        "135M untied, 119M tied with 30 layers: 11.8 % fewer", "the published size, counted", "exact", NOTE,
        compute=saved_by_tying,
    ),
    Claim(
        "MO-3b", "Tied, with the parameters saved spent on depth, is better than untied", "Table 1",
        "44.8 untied, 45.0 tied with 32 layers and fewer parameters", OURS, "scale", NOTE,
        arms("tied15", "untied"), lambda m: gain(m, "tied15", "untied"), smallest=0.005,
    ),
    Claim(
        "MO-4", "The cache is as large as its key-value heads say: a quarter with 4 of them for 16", "Section 2.2",
        "23,040 bytes a token at 125M in fp16", "the published sizes, counted", "exact", NOTE, compute=cache_sizes,
    ),
    Claim(
        "MO-4b", "A quarter of the key-value heads costs little: at most 1 % of the loss", "Table 13",
        "no change at 125M, 0.2 points at 350M", OURS, "scale", NOTE, arms("kv2", "base"),
        lambda m: 1.0 - 100 * (best(m, "kv2") / best(m, "base") - 1), smallest=0.1,
    ),
    Claim(
        "MO-5", "Calling each block twice is better, at equal parameters and twice the FLOPs", "Table 2",
        "+0.4 points at 125M", OURS, "scale", NOTE,
        arms("share2", "base"), lambda m: gain(m, "share2", "base"), smallest=0.01,
    ),
    Claim(
        "MO-5b", "Calling each block twice is better at equal FLOPs too: than training the plain model for twice the "
        "steps", "ours",
        "the paper does not ask", OURS, "scale", NOTE,
        arms("share2", "long"), lambda m: gain(m, "share2", "long"), smallest=0.01,
    ),
    Claim(
        "MO-6", "The order of the calls matters little: calling the whole stack twice is at least as good as "
        "calling each block twice", "Table 2", "125M: 45.2 the whole stack, 45.0 each block", OURS, "scale", NOTE,
        arms("all2", "share2"), lambda m: gain(m, "all2", "share2"), smallest=0.02,
    ),
    Claim(
        "MO-6b", "Calling the stack forwards, then backwards, is no better than calling each block twice", "Table 2",
        "in between or lower", OURS, "scale", NOTE,
        arms("share2", "reverse2"), lambda m: gain(m, "share2", "reverse2"), smallest=0.02,
    ),
    Claim(
        "MO-7", "More calls bring less and less: the second doubling brings less than the first", "Table 14",
        "the gain fades from three calls on", OURS, "scale", NOTE, arms("base", "share2", "share4"),
        lambda m: gain(m, "share2", "base") - gain(m, "share4", "share2"), smallest=0.005,
    ),
    Claim(
        "MO-8", "The five published sizes have the published numbers of parameters", "Table 9",
        "124.6 M, 345.3 M, 603.1 M, 1.0 B and 1.5 B", "the published shapes, counted", "exact", NOTE,
        compute=published_counts,
    ),
    Claim(
        "MO-9", "A token takes little longer with each block called twice, and far longer with twice the blocks",
        "Table 7", "iPhone 13: 15.6 ms, 16.0 ms shared, 29.0 ms with 60 blocks",
        "the published shape with random weights on one H100 at batch 1, where the cache holds a block", "scale", NOTE,
        ("gpu-latency",),
        lambda m: (m["gpu-latency"]["ms_per_token_60_blocks"] - m["gpu-latency"]["ms_per_token_shared"])
        / m["gpu-latency"]["ms_per_token"], smallest=0.1,
    ),
    Claim(
        "MO-11", "Rounding weights and activations to 8 bits costs at most half a percent", "Table 15",
        "at most 0.5 points of accuracy", f"{TOY}; half a percent of the held-out loss", "robust", NOTE, ("smoke",),
        lambda m: 0.5 - 100 * (m["smoke"]["loss_nats_w8a8"] / m["smoke"]["loss_nats"] - 1), smallest=0.05,
    ),
    Claim(
        "MO-12", "MobileLLM-125M reaches 46.3 over eight zero-shot tasks; from 45.6 on counts", "README",
        "46.3; 47.0 with each block called twice",
        "the paper's own setting but for the text; from `python -m repro.mobilellm.eval OUT --choices`", "scale", NOTE,
        ("paper-125m",), lambda m: m["paper-125m"]["mean_accuracy"] - 45.6, smallest=0.1,
    ),
)  # fmt: skip

if __name__ == "__main__":
    main("mobilellm", CLAIMS, Path(__file__).parent)
