"""What the paper claims, as data: judged by `python -m repro.lora_forgetting.claims` from runs/*.json; no torch here.

Losses are in nats a token, of the Markov languages less the optimum; forgetting is what the source's loss rose by.
Smallest effects were declared before any run. Where methods are compared, each is taken at the learning rate that
learns best, unless a claim says that it is about one rate. Where an effect has no meaning (fronts that reach no loss in
common, the ratio of best rates of which one is the last tried) it raises a KeyError that says so, and the claim counts
as not run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from repro.lab.claims import Claim, Exact, main
from repro.lora_forgetting.config import MIDDLE, arms, at
from repro.lora_forgetting.effects import (
    all_of,
    best,
    closed,
    forgot,
    gap,
    instructed,
    learnt,
    lora_ahead,
    lost,
    mean_rank,
    rate,
    regular,
    rises,
    target_loss,
    toy_ahead,
    within,
)

if TYPE_CHECKING:
    import torch

    from repro.lab.lora import Init, LoRALinear
    from repro.lab.transformer import Decoder

NOTE = "lora-forgets-less"
TOY = (
    "a base of 0.1 M parameters (width 64, 2 blocks) that knows one Markov language and is taught another in 150 "
    "steps; loss above the known optimum instead of accuracy; of width 64 rank 16 counts as high, 4 and 1 as low"
)
SETTING = (
    "SmolLM2-135M (Q4_1) healed on English once for all seeds, 300 steps of 32,768 tokens, AdamW; the loss of held-out "
    "text in nats a token instead of pass@1 and accuracy"
)
GPU = f"{SETTING}; each method at its best of five learning rates"
FRONTS = f"{SETTING}; fronts of 5 and 15 arms"
ONE_RATE = f"{SETTING}; at one rate each, 1e-4 full and 1e-3 LoRA"
PAPERS_OWN = (
    "the paper's own setting but for one GPU, packed rows, a trapezoid for the inverse square root of pretraining and, "
    "where it finetunes on instructions, a loss on all tokens"
)

# Exact


def counts() -> Sequence[Exact]:
    """The parameters of adapters on all linear layers of Llama-2-7B, as peft counts them."""
    import torch

    from repro.lab.lora import LoRA, adapt, trained
    from repro.lab.transformer import Decoder, Shape

    found = []
    for r, known in ((16, 39_976_960), (64, 159_907_840), (256, 639_631_360)):
        with torch.device("meta"):
            decoder = adapt(Decoder(Shape(32_000, 4096, 32, 32, 32, 11_008, 4096, tied=False)), LoRA(r, 2.0 * r))
        found.append(Exact(sum(p.numel() for p in trained(decoder)), known))
    return found


def zero_at_start() -> Sequence[Exact]:
    """The largest change of a logit that fresh adapters make, for each of the three first values of A."""
    import torch

    from repro.lab.lora import LoRA, adapt

    found = []
    inits: tuple[Init, ...] = ("kaiming", "gaussian", "normal")
    for init in inits:
        decoder, tokens = _decoder()
        with torch.no_grad():
            before = decoder(tokens)
            after = adapt(decoder, LoRA(4, 8.0, init=init))(tokens)
        found.append(Exact(float((after - before).abs().max()), 0.0))
    return found


def merging() -> Sequence[Exact]:
    """In fp64, of adapters on some parts: the largest difference of a layer's output from W x + scale B A x made part
    by part, of the layer as it trains and of the merged one; that of a logit before and after merging; and that of a
    matrix that was merged and unmerged again."""
    import torch

    from repro.lab.lora import LoRA, adapt, layers, merge, unmerge

    decoder, tokens = _decoder()
    with torch.no_grad():
        adapt(decoder, LoRA(4, 8.0, ("q_proj", "v_proj", "o_proj", "up_proj", "down_proj"))).double()
        found = layers(decoder)
        for layer in found.values():
            layer.lora_B.normal_(std=0.1)
        x = {name: torch.randn(5, layer.weight.shape[1], dtype=torch.float64) for name, layer in found.items()}
        defined = {name: _by_definition(layer, x[name]) for name, layer in found.items()}
        before = {name: layer.weight.clone() for name, layer in found.items()}
        apart = [max(float((layer(x[name]) - defined[name]).abs().max()) for name, layer in found.items())]
        logits = decoder(tokens)
        merge(decoder)
        apart += [max(float((x[name] @ layer.weight.T - defined[name]).abs().max()) for name, layer in found.items())]
        off = float((decoder(tokens) - logits).abs().max())
        unmerge(decoder)
        back = max(float((layer.weight - before[name]).abs().max()) for name, layer in found.items())
    return [*(Exact(each, 0.0, 1e-9) for each in apart), Exact(off, 0.0, 1e-9), Exact(back, 0.0)]


def _by_definition(layer: LoRALinear, x: torch.Tensor) -> torch.Tensor:
    """W x + scale B A x (N, O) of x (N, I), each part by its own A and B."""
    import torch

    rows = layer.weight.split(list(layer.parts.values()))
    pairs, scale = layer.pairs(), layer.lora.alpha / layer.lora.r
    found = []
    for name, w in zip(layer.parts, rows, strict=True):
        y = x @ w.T
        if name in pairs:
            a, b = pairs[name]
            y = y + scale * ((x @ a.T) @ b.T)
        found.append(y)
    return torch.cat(found, 1)


def _decoder() -> tuple[Decoder, torch.Tensor]:
    import torch

    from repro.lab.transformer import Decoder, Shape

    torch.manual_seed(0)
    return Decoder(Shape(61, 32, 2, 4, 2, 48, 16)), torch.randint(61, (2, 16))


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "LL-0", "LoRA on all linear layers of Llama-2-7B trains 39.98 M, 159.9 M and 639.6 M parameters at rank 16, 64 "
        "and 256", "Appendix A", "0.59 %, 2.4 % and 9.5 % of the parameters", "the published shape, counted", "exact",
        NOTE, compute=counts,
    ),
    Claim(
        "LL-0b", "Fresh adapters change nothing", "Section 2", "B = 0", "a small decoder, every logit", "exact", NOTE,
        compute=zero_at_start,
    ),
    Claim(
        "LL-0c", "Merged adapters compute the same function, and can be taken out again", "Section 2",
        "W + BA can be merged", "a small decoder in fp64, adapters on five of its seven kinds of matrix", "exact", NOTE,
        compute=merging,
    ),
    Claim(
        "LL-1", "LoRA learns less: full finetuning leaves the least to learn, then the ranks in their order",
        "Figure 1, Table S1", "HumanEval after 20 G tokens: 0.263 full, 0.224, 0.196, 0.162 at rank 256, 64, 16", TOY,
        "robust", NOTE, ("smoke",),
        lambda m: rises([learnt(m, k) for k in ("full", "lora-r16", "lora-r4", "lora-r1")]), smallest=0.02,
    ),
    Claim(
        "LL-1b", "The same on code", "Figure 1, Table S1",
        "HumanEval after 20 G tokens: 0.263 full, 0.224, 0.196, 0.162 at rank 256, 64, 16", GPU, "scale", NOTE,
        all_of(*(("code", k) for k in ("full", "r256", "r64", "r16"))),
        lambda m: rises([target_loss(m, "code", k) for k in ("full", "r256", "r64", "r16")]), smallest=0.005,
    ),
    Claim(
        "LL-2", "High rank closes the gap: rank 256 leaves less than half of what separates rank 16 from full "
        "finetuning", "Figure 1, Table S5", "code instructions: 0.498 at rank 256, 0.497 full, 0.358 at rank 16", GPU,
        "scale", NOTE, all_of(("code", "full"), ("code", "r16"), ("code", "r256")),
        lambda m: closed(gap(m, "code", "r16"), gap(m, "code", "r256")), smallest=0.005,
    ),
    Claim(
        "LL-3", "The nearer the target, the smaller the gap between LoRA and full finetuning", "Table S7",
        "mathematics: 0.624 at rank 64, 0.642 full; code: 0.417 and 0.497",
        f"{GPU}; Python's library against the same with its tokens exchanged, as long and as often", "scale", NOTE,
        all_of(("code", "full"), ("code", "r64"), ("far", "full"), ("far", "r64")),
        lambda m: gap(m, "far", "r64") - gap(m, "code", "r64"), smallest=0.01,
    ),
    Claim(
        "LL-4", "LoRA forgets less: full finetuning forgets most, and of the ranks the higher the more",
        "Figure 2, Tables S2 and S6", "code, 20 G tokens: 0.545 full, 0.617, 0.626, 0.635 at rank 256, 64, 16", GPU,
        "scale", NOTE, all_of(*(("code", k) for k in ("r16", "r64", "r256", "full"))),
        lambda m: rises([forgot(m, "code", k) for k in ("r16", "r64", "r256", "full")]), smallest=0.005,
    ),
    Claim(
        "LL-4b", "The same of the two languages", "Figure 2, Tables S2 and S6",
        "code, 20 G tokens: 0.545 full, 0.617, 0.626, 0.635 at rank 256, 64, 16", TOY, "robust", NOTE, ("smoke",),
        lambda m: rises([lost(m, "lora-r1"), lost(m, "lora-r4"), lost(m, "lora-r16"), lost(m, "full")]), smallest=0.02,
    ),
    Claim(
        "LL-5", "At equal learning LoRA forgets less on code: its front of learning and forgetting lies below",
        "Figure 3", "LoRA is ahead on code, full finetuning on mathematics", FRONTS, "scale", NOTE,
        all_of(*(("code", k) for k in ("full", "r16", "r64", "r256"))), lambda m: lora_ahead(m, "code"), smallest=0.01,
    ),
    Claim(
        "LL-5c", "So does it of the two languages", "Figure 3", "LoRA is ahead on code, full finetuning on mathematics",
        f"{TOY}; fronts of 4 and 9 arms", "robust", NOTE, ("smoke",), toy_ahead, smallest=0.02,
    ),
    Claim(
        "LL-5b", "On mathematics it does not", "Figure 3", "full finetuning is ahead", FRONTS, "scale", NOTE,
        all_of(*(("math", k) for k in ("full", "r16", "r64", "r256"))), lambda m: -lora_ahead(m, "math"), smallest=0.01,
    ),
    Claim(
        "LL-6", "Weight decay does not make full finetuning forget less: it learns and forgets the same within 20 %",
        "Figure 4", "weight decay of 5e-5 and 1e-4 beside LoRA, code instructions",
        f"{TOY}; AdamW at 1e-3 with a decay of 1", "robust", NOTE, ("smoke",), lambda m: regular(m, "full-wd"),
        smallest=0.02,
    ),
    Claim(
        "LL-6b", "Nor does dropout on attention", "Figure 4", "0.05 and 0.1 beside LoRA, code instructions",
        f"{TOY}; dropout of 0.1", "robust", NOTE, ("smoke",), lambda m: regular(m, "full-drop"), smallest=0.02,
    ),
    Claim(
        "LL-6c", "LoRA forgets less than either regulariser lets full finetuning forget", "Figure 4",
        "LoRA forgets least", f"{SETTING}; full finetuning at 1e-4, LoRA of rank 64 at its best of five rates", "scale",
        NOTE, ("gpu-code-full-wd", "gpu-code-full-drop", *arms("code", "r64")),
        lambda m: min(m["gpu-code-full-wd"]["forgot_nats"], m["gpu-code-full-drop"]["forgot_nats"])
        - forgot(m, "code", "r64"), smallest=0.01,
    ),
    Claim(
        "LL-7", "The base's samples are the most varied, then LoRA's, then those of full finetuning", "Figure 5",
        "unique strings among 50 samples of HumanEval's prompts: base above LoRA above full",
        f"{ONE_RATE}, rank 64; 32 prompts, 128 tokens at most, the paper's temperature and top-p", "scale", NOTE,
        tuple(f"gpu-code-{k}-samples" for k in ("full", "r64", "base")),
        lambda m: rises([m[f"gpu-code-{k}-samples"]["samples_unique"] for k in ("full", "r64", "base")]), smallest=0.5,
    ),
    Claim(
        "LL-8", "Full finetuning changes MLP matrices by higher ranks than attention's", "Figure 6",
        "90 % of the energy: ranks 10 to 100 times LoRA's, MLP above attention", f"{TOY}; ranks out of 64", "robust",
        NOTE, ("smoke",),
        lambda m: m["smoke"]["full-lr0.001_rank_mlp"] - m["smoke"]["full-lr0.001_rank_attention"], smallest=1.0,
    ),
    Claim(
        "LL-8b", "These ranks grow with training", "Figure 6", "the rank of the change grows from 0.25 to 20 G tokens",
        f"{TOY}; after 50, 150 and 300 steps", "robust", NOTE, ("smoke",),
        lambda m: rises([mean_rank(m["smoke"], f"{a}_") for a in ("full-steps50", "full-lr0.001", "full-steps300")]),
        smallest=0.5,
    ),
    Claim(
        "LL-8c", "They are ten times the usual rank of 16 or more", "Figure 6", "ranks 10 to 100 times LoRA's",
        f"{GPU}; ranks out of 192 to 576", "scale", NOTE, arms("code", "full"),
        lambda m: mean_rank(m[best(m, "code", "full")]) / 160 - 1, smallest=0.05,
    ),
    Claim(
        "LL-9", "Adapters on the MLPs do about as well as on all layers, those on attention alone do not", "Figure 7",
        "MLP about as good as all, attention clearly worse",
        f"{TOY}; rank 4: 9,664 parameters on all, 5,568 on the MLPs, 4,096 on attention", "robust", NOTE, ("smoke",),
        lambda m: (learnt(m, "attention") - learnt(m, "mlp")) - abs(learnt(m, "mlp") - learnt(m, "lora-r4")),
        smallest=0.05,
    ),
    Claim(
        "LL-9b", "The same on code", "Figure 7", "MLP about as good as all, attention clearly worse",
        f"{ONE_RATE}, rank 64", "scale", NOTE, ("gpu-code-attention", "gpu-code-mlp", at("code", "r64", 1e-3)),
        lambda m: (m["gpu-code-attention"]["target_nats"] - m["gpu-code-mlp"]["target_nats"])
        - abs(m["gpu-code-mlp"]["target_nats"] - m[at("code", "r64", 1e-3)]["target_nats"]), smallest=0.005,
    ),
    Claim(
        "LL-10", "At one rate, alpha of twice the rank learns more than of the rank, and that more than of an eighth",
        "Figure S3", "rank 256: alpha 512 far above 256 and 32", f"{TOY}; rank 16 with alpha 32, 16 and 2 at 1e-2",
        "robust", NOTE, ("smoke",),
        lambda m: rises([m["smoke"][f"lora-r16-{k}_target_nats"] for k in (f"lr{MIDDLE:g}", "alpha16", "alpha2")]),
        smallest=0.01,
    ),
    Claim(
        "LL-10b", "The same on code at rank 256", "Figure S3", "alpha 512 far above 256 and 32",
        f"{SETTING}; at 1e-3", "scale", NOTE, tuple(f"gpu-code-r256-alpha{a}" for a in (512, 256, 32)),
        lambda m: rises([m[f"gpu-code-r256-alpha{a}"]["target_nats"] for a in (512, 256, 32)]), smallest=0.005,
    ),
    Claim(
        "LL-11", "LoRA's best learning rate is about ten times that of full finetuning: 3 to 30 times", "Figure S1",
        "code instructions 5e-4 against 5e-5, mathematics 2e-4 against 1e-5",
        f"{GPU}, half a decade apart; AdamW where the paper has LionW", "scale", NOTE,
        all_of(("code", "full"), ("code", "r64")),
        # half a decade about the middle, and a little, as the rates themselves stand not quite half a decade apart
        lambda m: within(0.51, math.log10(rate(m, "code", "r64") / rate(m, "code", "full") / math.sqrt(90))),
        smallest=0.005,
    ),
    Claim(
        "LL-12", "The longer the finetuning, the more is forgotten, by both methods", "Section 4.2",
        "code, 0.25 to 20 G tokens: 0.625 to 0.545 full; 0.646 to 0.626 at rank 64",
        f"{ONE_RATE}, rank 64; 600 steps against 300", "scale", NOTE,
        ("gpu-code-full-long", at("code", "full", 1e-4), "gpu-code-r64-long", at("code", "r64", 1e-3)),
        lambda m: min(
            m["gpu-code-full-long"]["forgot_nats"] - m[at("code", "full", 1e-4)]["forgot_nats"],
            m["gpu-code-r64-long"]["forgot_nats"] - m[at("code", "r64", 1e-3)]["forgot_nats"],
        ), smallest=0.01,
    ),
    Claim(
        "LL-12b", "Code is forgotten for more than mathematics is", "Section 4.2",
        "after 20 G tokens: 0.545 code, 0.618 mathematics",
        f"{SETTING}; full finetuning at 1e-4 on 1.4 M tokens of Python's library and of GSM8K, seven epochs", "scale",
        NOTE, ("gpu-code-full-few", at("math", "full", 1e-4)),
        lambda m: m["gpu-code-full-few"]["forgot_nats"] - m[at("math", "full", 1e-4)]["forgot_nats"], smallest=0.01,
    ),
    Claim(
        "LL-12c", "Instructions cost more of the source than continued pretraining does", "Section 4.2",
        "full finetuning on code: 0.446 after eight epochs of instructions, 0.545 after 20 G tokens", PAPERS_OWN,
        "scale", NOTE, ("paper-code-cpt-full", "paper-code-ift-ep8-full"),
        lambda m: m["paper-code-cpt-full"]["source_accuracy"] - m["paper-code-ift-ep8-full"]["source_accuracy"],
        smallest=0.02,
    ),
    Claim(
        "LL-13", "On a mixture that holds the source there is little to choose: the methods learn and forget alike",
        "Appendix C", "Tülu-v2: no difference beyond a standard error of MT-bench",
        f"{GPU}; Python with English in between", "scale", NOTE, all_of(("mix", "full"), ("mix", "r64")),
        lambda m: within(0.05, gap(m, "mix", "r64"), forgot(m, "mix", "full") - forgot(m, "mix", "r64")), smallest=0.01,
    ),
    Claim(
        "LL-14", "LoRA costs time: a step of peft's takes longer than one of full finetuning", "Appendix I",
        "about 15 % fewer tokens a second (second-hand)",
        "125M in transformers as people run it, rank 16 on all linear layers, 16 sequences of 2,048, one H100", "scale",
        NOTE, ("gpu-cost",), lambda m: m["gpu-cost"]["ms_peer_lora"] / m["gpu-cost"]["ms_peer_full"] - 1, smallest=0.02,
    ),
    Claim(
        "LL-14b", "It saves memory with a small batch: over 30 %", "Appendix I",
        "about 40 % lower peak (second-hand)", "the same with one sequence of 2,048", "scale", NOTE, ("gpu-cost",),
        lambda m: 0.7 - m["gpu-cost"]["peak_gib_peer_lora_small"] / m["gpu-cost"]["peak_gib_peer_full_small"],
        smallest=0.02,
    ),
    Claim(
        "LL-15", "It need not cost time: our step of LoRA takes less than our step of full finetuning", "ours",
        "the paper finds that LoRA is slower", "125M, rank 16 on all linear layers, 16 sequences of 2,048, one H100",
        "scale", NOTE, ("gpu-cost",), lambda m: 1 - m["gpu-cost"]["ms_ours_lora"] / m["gpu-cost"]["ms_ours_full"],
        smallest=0.02,
    ),
    Claim(
        "LL-16", "Llama-2-7B after 20 G tokens of code: full finetuning leads HumanEval, then the ranks in their order",
        "Table S1", "0.263 full, 0.224, 0.196, 0.162 at rank 256, 64, 16", PAPERS_OWN, "scale", NOTE,
        tuple(f"paper-code-cpt-{k}" for k in ("r16", "r64", "r256", "full")),
        lambda m: rises([m[f"paper-code-cpt-{k}"]["humaneval_pass_at_1"] for k in ("r16", "r64", "r256", "full")]),
        smallest=0.02,
    ),
    Claim(
        "LL-17", "Llama-2-7B on code instructions: rank 256 at its best learns what full finetuning does at its own",
        "Table S5", "0.498 at rank 256 after four epochs, 0.437 after eight; 0.470 and 0.497 full", PAPERS_OWN, "scale",
        NOTE, tuple(f"paper-code-ift-{ep}-{k}" for k in ("full", "r256") for ep in ("ep4", "ep8")),
        lambda m: within(0.03, instructed(m, "full") - instructed(m, "r256")), smallest=0.005,
    ),
)  # fmt: skip

if __name__ == "__main__":
    main("lora_forgetting", CLAIMS, Path(__file__).parent)
