"""What both papers claim, as data: judged by `python -m repro.speech_llama.claims` from runs/*.json. Imports no torch.

Neither paper's full text was at hand: numbers marked (recalled) are from memory or second hand, and stand here to find
one's way, not as citations. What a claim says and its smallest effect are declared before the runs that judge it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from repro.lab.claims import Claim, Exact, Metrics, main
from repro.speech_llama.config import GPU_STRIDES, MASKS, STRIDES

SPEECH, TOKENS = "speech-llama-prompting", "speech-llama-multi-token"
TOY = (
    "sine-wave speech of 24 words at -7 dB, new voices in the test, 512 utterances; an encoder of 0.1 M parameters "
    "and a decoder of 0.15 M that has read transcripts and garbled copies of them, frozen but for LoRA"
)
AN4 = "40 minutes of AN4 and SmolLM2-135M-Instruct with 4-bit weights; 130 test utterances by new speakers"
LANGUAGES = ("en", "nl", "fr", "de", "it", "pt", "es", "pl")
HEADS = "connected digits, spelt, by new speakers; a decoder of 10 M parameters trained in full"


def named(metrics: Metrics, name: str, arm: str = "main") -> float:
    """A metric of an arm."""
    return metrics[name if arm == "main" else f"{name}_{arm}"]


def wer(metrics: Metrics, arm: str = "main") -> float:
    return named(metrics, "wer", arm)


def slope(metrics: Metrics, strides: Mapping[int, str]) -> float:
    """How much the error rate rises each time that an embedding stands for twice as much: the least-squares line over
    log2 of milliseconds."""
    from statistics import linear_regression

    return linear_regression([math.log2(ms) for ms in strides], [wer(metrics, name) for name in strides.values()]).slope


def of_others(metrics: Metrics, name: str = "") -> float:
    """The mean error rate of the languages other than English."""
    others = [code for code in LANGUAGES if code != "en"]
    return sum(metrics[f"wer_{code}{name}"] for code in others) / len(others)


def trade_off(metrics: Metrics, arm: str) -> float:
    """The least rise of the tokens a call and of the errors from one threshold to the next lower one."""
    taus = ("tau99", "tau90", "tau70", "tau50")
    calls = [named(metrics, f"tokens_per_call_{tau}", arm) for tau in taus]
    errors = [named(metrics, f"wer_{tau}", arm) for tau in taus]
    rises = [v[i + 1] - v[i] for v in (calls, errors) for i in range(len(taus) - 1)]
    return min(rises)


def lora_counts() -> Sequence[Exact]:
    """SL-4c: counted on LLaMA-7B, on the meta device."""
    from dataclasses import replace

    from repro.speech_llama.config import PAPER
    from repro.speech_llama.cost import cost

    known = {8: 8_388_608, 16: 16_777_216, 32: 33_554_432, 0: 0}
    return [Exact(cost(replace(PAPER, lora_r=r), 32_000).trained_of_decoder, count) for r, count in known.items()]


def head_counts() -> Sequence[Exact]:
    """MT-4: counted on the heads themselves, on the meta device."""
    import torch

    from repro.speech_llama.multi_token import IndependentHeads, LatentHeads

    rows = []
    for d, known in ((4096, (393_216_000, 50_331_648)), (576, (55_296_000, 995_328))):
        with torch.device("meta"):
            unembed = torch.empty(32_000, d)
            made = IndependentHeads(4, unembed), LatentHeads(4, unembed)
        counts = [sum(p.numel() for p in heads.parameters()) for heads in made]
        rows += [Exact(count, expected) for count, expected in zip(counts, known, strict=True)]
        rows.append(Exact(counts[0] / counts[1], 32_000 / d, 1e-9))
    return rows


def verified_strings() -> Sequence[Exact]:
    """MT-2: how many of 512 utterances come out otherwise when several tokens are said a call, in fp32, for both kinds
    of heads; by networks with random weights, whose guesses are sometimes right and mostly wrong."""
    from repro.speech_llama.verified import differing

    return [Exact(differing(kind, 512), 0) for kind in ("latent", "independent")]


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "SL-1", "An encoder in front of a language model makes fewer errors than the encoder alone", "Table 1",
        "18 % fewer than monolingual baselines over eight languages; 9.7 % on average at 80 ms (recalled)",
        f"{AN4}; against the same encoder with CTC, trained for as many steps; the interval is drawn over the ten "
        "speakers", "scale", SPEECH, ("gpu-an4",), lambda m: m["gpu-an4"]["gain"], smallest=0.001, seeds=1,
        interval=lambda m: (m["gpu-an4"]["gain_low"], m["gpu-an4"]["gain_high"]),
    ),
    Claim(
        "SL-2", "A language model that has read mostly English makes fewer errors in other languages too than the "
        "encoder alone", "Table 1", "from 5.2 % (Spanish) to 16.2 % (Portuguese) over seven of them (recalled)",
        "seven languages synthesised by espeak-ng, new voices and sentences; SmolLM2-135M-Instruct with 4-bit weights; "
        "means over the languages; against the same encoder with CTC, trained for as many steps", "scale",
        SPEECH, ("gpu-languages",),
        lambda m: of_others(m["gpu-languages"], "_ctc_alone") - of_others(m["gpu-languages"]), smallest=0.002,
    ),
    Claim(
        "SL-3", "Errors rise as an embedding stands for more audio", "Table 1",
        "9.7 % at 80 ms, 11.3 % at 960 ms (recalled)",
        f"{TOY}; 80, 160, 320 and 480 ms, where a word takes 200; the slope of the error rate for each doubling",
        "robust", SPEECH, ("cpu-arms",), lambda m: slope(m["cpu-arms"], STRIDES), smallest=0.01,
    ),
    Claim(
        "SL-3b", "Even at almost a second an embedding the errors grow by a fifth at most", "Table 1",
        "from 9.7 % to 11.3 % (recalled)", AN4, "scale", SPEECH, ("gpu-strides",),
        lambda m: 1.2 * wer(m["gpu-strides"]) - wer(m["gpu-strides"], GPU_STRIDES[960]), smallest=0.002,
    ),
    Claim(
        "SL-4", "A language model that is left as it is transcribes: less than half of the words are wrong", "Table 3",
        "works with r = 0 (recalled)", f"{TOY}; r = 0; an answer that does not listen has 96 % wrong", "robust",
        SPEECH, ("cpu-arms",), lambda m: 0.5 - wer(m["cpu-arms"], "r0"), smallest=0.05,
    ),
    Claim(
        "SL-4a", "LoRA on its attention makes fewer errors than leaving it as it is", "Table 3",
        "r = 0 is a little worse (recalled)", f"{TOY}; r = 0 against r = 8", "robust", SPEECH,
        ("cpu-arms",), lambda m: wer(m["cpu-arms"], "r0") - wer(m["cpu-arms"]), smallest=0.01,
    ),
    Claim(
        "SL-4b", "The gain of a higher rank is used up by 16 to 32", "Table 3",
        "no numbers that could be checked", f"{AN4}; from 16 to 32 no more than a tenth of what 16 gains over none",
        "scale", SPEECH, ("gpu-ranks",),
        lambda m: 0.1 * (wer(m["gpu-ranks"], "r0") - wer(m["gpu-ranks"], "r16"))
        - (wer(m["gpu-ranks"], "r16") - wer(m["gpu-ranks"], "r32")), smallest=0.002,
    ),
    Claim(
        "SL-4c", "LoRA of rank 8, 16 and 32 on LLaMA-7B's attention trains 8.4, 16.8 and 33.6 M parameters", "Table 3",
        "8.4 M, 16.8 M and 33.6 M", "the published shape, counted", "exact", SPEECH, compute=lora_counts,
    ),
    Claim(
        "SL-5", "A larger encoder makes fewer errors, the language model staying as it is: a small and a middle one",
        "Table 4", "half a point to a point for each step up (recalled)", f"{AN4}; encoders 144 and 256 wide", "scale",
        SPEECH, ("gpu-encoder-s", "gpu-encoder-m"),
        lambda m: wer(m["gpu-encoder-s"]) - wer(m["gpu-encoder-m"]), smallest=0.002,
    ),
    Claim(
        "SL-5b", "A larger encoder makes fewer errors, the language model staying as it is: a middle and a large one",
        "Table 4", "half a point to a point for each step up (recalled)", f"{AN4}; encoders 256 and 384 wide", "scale",
        SPEECH, ("gpu-encoder-m", "gpu-encoder-l"),
        lambda m: wer(m["gpu-encoder-m"]) - wer(m["gpu-encoder-l"]), smallest=0.002,
    ),
    Claim(
        "SL-6", "With all of a transcript's input tokens hidden in training, errors do not even double", "Table 5",
        "still transcribes (recalled)", AN4, "scale", SPEECH, ("gpu-masks",),
        lambda m: 2 * wer(m["gpu-masks"]) - wer(m["gpu-masks"], MASKS[1.0]), smallest=0.002,
    ),
    Claim(
        "SL-7", "Training before a frozen language model puts in order which audio embeddings are most like the "
        "embeddings of the transcript's tokens", "Section 4, on the similarity of audio and text embeddings",
        "a map that is monotone to the eye",
        f"{TOY}, r = 0; Spearman's correlation of a token's index with the place of the audio embedding most like it, "
        "trained less untrained", "robust", SPEECH, ("cpu-arms",),
        lambda m: named(m["cpu-arms"], "alignment", "r0") - named(m["cpu-arms"], "alignment_before", "r0"),
        smallest=0.2,
    ),
    Claim(
        "SL-8", "An encoder that CTC has trained first makes fewer errors than one that is trained through the "
        "language model alone, for as many steps in all", "Section 3",
        "the encoder is initialised by CTC; no comparison that could be checked", AN4, "scale", SPEECH, ("gpu-init",),
        lambda m: wer(m["gpu-init"], "random") - wer(m["gpu-init"]), smallest=0.01,
    ),
    Claim(
        "SL-9", "Left as it is, a language model that has learnt to copy and repair from context makes fewer errors "
        "than one that has read the clean texts alone", "ours",
        "it reads recognition as copying what the prefix holds, and does not ask",
        f"{TOY}, r = 0; against a decoder of the same start, texts and steps", "robust",
        SPEECH, ("cpu-arms",), lambda m: wer(m["cpu-arms"], "clean_r0") - wer(m["cpu-arms"], "r0"), smallest=0.1,
    ),
    Claim(
        "SL-9b", "Nor does it help to have read texts behind garbled ones that have nothing to do with them", "ours",
        "it reads recognition as copying what the prefix holds, and does not ask",
        f"{TOY}, r = 0; against a decoder whose texts stand behind garbled copies of others, which it learns to pass "
        "over", "robust", SPEECH, ("cpu-arms",),
        lambda m: wer(m["cpu-arms"], "plain_r0") - wer(m["cpu-arms"], "r0"), smallest=0.1,
    ),
    Claim(
        "SL-9c", "LoRA on attention does not make up for it: what has read clean texts alone makes more errors with "
        "LoRA than the one that can copy makes without", "ours", "not asked", f"{TOY}; r = 8 against r = 0", "robust",
        SPEECH, ("cpu-arms",), lambda m: wer(m["cpu-arms"], "clean_r8") - wer(m["cpu-arms"], "r0"), smallest=0.1,
    ),
    Claim(
        "MT-1", "With four tokens predicted, verified decoding says more than two a call", "abstract",
        "about 3.2 times fewer calls",
        "sine-wave speech of 24 words, 8 to 12 an utterance, whose last call, partly used, allows 2.5 to 3.25 at most; "
        "800 steps",
        "robust", TOKENS, ("smoke",), lambda m: m["smoke"]["tokens_per_call"] - 2.0, smallest=0.05,
    ),
    Claim(
        "MT-2", "Verified decoding says what greedy decoding says, string for string", "Section on verification",
        "identical by construction", "512 utterances for each kind of heads, in fp32; networks with random weights",
        "exact", TOKENS, compute=verified_strings,
    ),
    Claim(
        "MT-2b", "Predicting four tokens costs at most a twentieth of the error rate", "abstract",
        "maintained or better; 4 % worse on average in eight languages (second hand)", HEADS, "scale", TOKENS,
        ("gpu-heads",), lambda m: 1.05 * wer(m["gpu-heads"]) - wer(m["gpu-heads"], "latent4"), smallest=0.001,
    ),
    Claim(
        "MT-3", "A lower threshold saves calls and adds errors, each time from 0.99 to 0.5", "Section on thresholds",
        "no numbers that could be checked", HEADS, "scale", TOKENS, ("gpu-heads",),
        lambda m: trade_off(m["gpu-heads"], "latent4"), smallest=0.0001,
    ),
    Claim(
        "MT-4", "Latent-space expansion adds (K - 1) d^2 parameters, independent heads (K - 1) d V", "Section on heads",
        "393 M and 50.3 M for LLaMA-7B, 55.3 M and 1.0 M at width 576, with K = 4", "the published widths, counted",
        "exact", TOKENS, compute=head_counts,
    ),
    Claim(
        "MT-5", "The cheaper latent heads make no more errors: within a twentieth of the independent ones' rate",
        "Section on heads", "both outperform the baseline (second hand)", HEADS, "scale", TOKENS, ("gpu-heads",),
        lambda m: 1.05 * wer(m["gpu-heads"], "independent4") - wer(m["gpu-heads"], "latent4"), smallest=0.001,
    ),
    Claim(
        "MT-6", "Heads trained with the decoder are right more often than heads added to a frozen one",
        "Section on training", "joint training is better (recalled)", HEADS, "scale", TOKENS, ("gpu-heads",),
        lambda m: named(m["gpu-heads"], "tokens_per_call", "latent4")
        - named(m["gpu-heads"], "tokens_per_call", "frozen4"), smallest=0.05,
    ),
)  # fmt: skip

if __name__ == "__main__":
    main("speech_llama", CLAIMS, Path(__file__).parent)
