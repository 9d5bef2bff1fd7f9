"""What the distillation papers claim, as data: judged by `python -m repro.distillation.claims` from runs/*.json.
Imports no torch.

Smallest effects were declared before any run that is judged. Accuracies are shares of 1 in the records and points of
100 here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from repro.lab.claims import Claim, Exact, Metrics, main

HINTON, KIM, MINILLM, GKD, MOBILELLM = "soft-targets", "sequence-level-kd", "minillm", "gkd", "mobilellm"
DIGITS = "scikit-learn's 8x8 digits, a student of two layers of 100 units, temperature 4"
BYTES = (
    "bytes of Python's library: a teacher of 4 blocks of width 96, a student of 1 block of width 32 after 500 steps of "
    "cross-entropy, then 250 steps; 16 bytes of prompt, 32 that follow"
)
SUMS = (
    "sums of two to four numbers of two or three digits, as each prompt draws, one in eight held out; a teacher of 3 "
    "blocks of width 96, a student of 1 block of width 32"
)
PARTS = (
    "two numbers with a given sum of two to six digits, as each prompt draws, any that have it; one sum in eight held "
    "out; a teacher of 3 blocks of width 96, a student of 1 block of width 32"
)
TEXT = (
    "English text of 8,192 tokens: a teacher of 8 blocks of width 512, a student of 2 blocks of width 128; 64 tokens "
    "of prompt, 128 that follow"
)
POLICY = f"{TEXT}, at most to the document's end; one gradient step on each batch of samples, no loss on a corpus"
BEFORE = f"{TEXT.partition(';')[0]}, from random weights; 1,500 steps of 64 windows of 192 tokens, each seen once"


def points(metrics: Metrics, this: str, than: str) -> float:
    """By how many points of 100 one share is above another."""
    return 100 * (metrics[this] - metrics[than])


def drop(m: Mapping[str, Metrics], name: str, this: str, than: str) -> float:
    """By how much a metric is lower in a run of recipe `this` than in one of `than`."""
    return m[than][name] - m[this][name]


def solved(m: Mapping[str, Metrics], this: str, than: str, name: str = "exact_match") -> float:
    """By how many points of 100 a run of recipe `this` gives more right answers than one of `than`."""
    return 100 * (m[this][name] - m[than][name])


def greedy_over_beam(m: Mapping[str, Metrics]) -> float:
    """KD-5b: by how many points more greedy decoding gains from the teacher's outputs than beam search does; where
    beam search loses, what greedy decoding gains."""
    greedy = solved(m, "gpu-parts-seqkd", "gpu-parts-sft")
    return greedy - max(0.0, solved(m, "gpu-parts-seqkd", "gpu-parts-sft", "exact_match_beam"))


def error_a_doubling(metrics: Metrics) -> float:
    """KD-12: the slope of the excess error over 16, 32, 64 and 128 tokens, in percent each time the text is twice as
    long, by least squares."""
    at = [metrics[f"excess_error_{n}"] for n in (16, 32, 64, 128)]
    return sum(x * y for x, y in zip((-0.3, -0.1, 0.1, 0.3), at, strict=True))


def gained(m: Mapping[str, Metrics], this: str, than: str) -> float:
    """KD-15: by what percentage the cross-entropy on data is lower in a run of `this` than in one of `than`."""
    return 100 * (1 - m[this]["data_ce_nats"] / m[than]["data_ce_nats"])


def gained_with(m: Mapping[str, Metrics], teacher: str, data: str) -> float:
    """That of pre-training with a teacher (`""` or `"-small"`) on data (`""` for all or `"-few"`)."""
    return gained(m, f"gpu-pretrain-kd{teacher}{data}", f"gpu-pretrain-label{data}")


def logit_matching() -> Sequence[Exact]:
    """KD-4: T^2 times the soft-target gradient is (z - v) / N at a high temperature, by 1 / T nearer."""
    from repro.distillation.limits import distance_to_logit_matching, soft_target_gradient

    off = [distance_to_logit_matching(t) for t in (1e3, 1e4, 1e5)]
    sizes = [float(soft_target_gradient(t).norm()) for t in (1e3, 1e5)]
    return [
        Exact(off[1], 0.0, 1e-3), Exact(off[0] / off[1], 10.0, 0.1), Exact(off[1] / off[2], 10.0, 0.1),
        Exact(sizes[0] / sizes[1], 1.0, 1e-3),
    ]  # fmt: skip


def fits() -> Sequence[Exact]:
    """KD-7: mean and deviation of both fits, against the mixture's moments and against its larger mode's; and what
    leaving out the other costs, -ln of the larger one's weight."""
    from repro.distillation.limits import MEANS, WEIGHTS, WIDTH, fit

    forward, reverse = fit("forward"), fit("reverse")
    mean = sum(w * m for w, m in zip(WEIGHTS, MEANS, strict=True))
    std = math.sqrt(WIDTH**2 + sum(w * (m - mean) ** 2 for w, m in zip(WEIGHTS, MEANS, strict=True)))
    return [
        Exact(forward.mean, mean, 1e-6), Exact(forward.std, std, 1e-6), Exact(reverse.mean, MEANS[0], 1e-2),
        Exact(reverse.std, WIDTH, 1e-2), Exact(reverse.nats, -math.log(WEIGHTS[0]), 1e-3),
    ]  # fmt: skip


def jsd_ends() -> Sequence[Exact]:
    """KD-14: JSD(beta) at both ends, and how far the rescaled ones are from the KLs, at 1e-7 from the ends; the
    worst of four pairs of distributions."""
    from repro.distillation.limits import jsd_limits

    return [Exact(value, 0.0, 1e-3) for value in jsd_limits(1e-7)]


GRID = tuple(f"gpu-pretrain-{arm}{data}" for data in ("", "-few") for arm in ("label", "kd", "kd-small"))

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "KD-1", "With all the data, a small net learns more from a large one's soft targets than from labels",
        "Section 3", "MNIST: 146 errors with labels, 74 with soft targets, of 10,000",
        "scikit-learn's digits, 30 hidden units, temperature 4; points of accuracy on 500 images", "robust", HINTON,
        ("smoke",), lambda m: points(m["smoke"], "accuracy_full_soft", "accuracy_full_hard"), smallest=0.5, seeds=5,
    ),
    Claim(
        "KD-2", "With 3 % of the data, soft targets keep what labels lose", "Table 5",
        "speech frames: 44.5 % with labels, 57.0 % with soft targets", f"{DIGITS}, 40 images of 1,297", "robust",
        HINTON, ("smoke",), lambda m: points(m["smoke"], "accuracy_few_soft", "accuracy_few_hard"),
        smallest=3.0, seeds=5,
    ),
    Claim(
        "KD-3", "A class never shown is learnt from soft targets, once its bias is put right", "Section 3",
        "MNIST without a 3: 98.6 % of the test's threes",
        f"{DIGITS}, no 3 among the images, the bias chosen on the test images as in the paper; points of threes above "
        "80 %", "robust",
        HINTON, ("smoke",), lambda m: 100 * m["smoke"]["accuracy_3_omitted_soft_bias"] - 80.0, smallest=1.0, seeds=5,
    ),
    Claim(
        "KD-3b", "It is the soft targets that teach a class never shown, not the bias",
        "ours", "the paper gives no control",
        f"{DIGITS}, no 3 among the images; points of threes above a net with labels, which has a best bias of its own",
        "robust", HINTON, ("smoke",),
        lambda m: points(m["smoke"], "accuracy_3_omitted_soft_bias", "accuracy_3_omitted_hard_bias"),
        smallest=20.0, seeds=5,
    ),
    Claim(
        "KD-4", "The gradient of soft targets shrinks with the square of the temperature, and is that of matching "
        "logits when it is high", "Section 2.1", "closed form", "the same, in float64", "exact", HINTON,
        compute=logit_matching,
    ),
    Claim(
        "KD-5", "Training on the teacher's beam outputs helps greedy decoding", "Table 1",
        "English to German: +4.2 BLEU", f"{PARTS}; points of right answers", "scale", KIM,
        ("gpu-parts-seqkd", "gpu-parts-sft"), lambda m: solved(m, "gpu-parts-seqkd", "gpu-parts-sft"), smallest=1.0,
    ),
    Claim(
        "KD-5b", "Training on the teacher's beam outputs helps greedy decoding more than beam search",
        "Table 1", "+4.2 BLEU greedy, +1.7 by beam",
        f"{PARTS}; points of right answers, greedy against a beam of 5; where the beam loses, against none", "scale",
        KIM, ("gpu-parts-seqkd", "gpu-parts-sft"), greedy_over_beam, smallest=1.0,
    ),
    Claim(
        "KD-6", "Training on the teacher's beam outputs makes the student surer",
        "Section 5", "mass of the mode 0.9 % to 16.9 %",
        f"{TEXT}; fall of the entropy, nats a token", "scale", KIM, ("gpu-text-seqkd", "gpu-text-sft"),
        lambda m: drop(m, "entropy_nats", "gpu-text-seqkd", "gpu-text-sft"), smallest=0.02,
    ),
    Claim(
        "KD-6b", "Training on the teacher's beam outputs makes the student's likelihood of the data worse",
        "Section 5", "perplexity 8.2 to 22.7",
        f"{TEXT}; rise of the cross-entropy, nats a token", "scale", KIM, ("gpu-text-seqkd", "gpu-text-sft"),
        lambda m: drop(m, "data_ce_nats", "gpu-text-sft", "gpu-text-seqkd"), smallest=0.02,
    ),
    Claim(
        "KD-7", "Fitted to two modes, forward KL covers both and reverse KL picks one", "Figure 2", "a picture",
        "a normal distribution fitted to a mixture of two, in float64", "exact", MINILLM, compute=fits,
    ),
    Claim(
        "KD-8", "What a student of reverse KL writes is likelier to its teacher than what one of forward KL does",
        "Section 3 (GKD: Figure 4)", "a trade, drawn", f"{BYTES}; nats a byte", "robust", MINILLM,
        ("cpu-reverse", "cpu-forward"), lambda m: drop(m, "teacher_nll_samples", "cpu-reverse", "cpu-forward"),
        smallest=0.05,
    ),
    Claim(
        "KD-8b", "A student of reverse KL pays with diversity: it writes fewer different runs of four",
        "Section 3.3 (GKD: Figure 4)",
        "Dist-4 99.0 against 99.5 with SFT", f"{BYTES}; share of distinct runs of 4 bytes, of 16,384 bytes", "robust",
        MINILLM, ("cpu-reverse", "cpu-forward"), lambda m: drop(m, "distinct_4", "cpu-reverse", "cpu-forward"),
        smallest=0.02,
    ),
    Claim(
        "KD-8c", "A student of reverse KL pays with its likelihood of the data",
        "ours", "the papers do not give it", f"{BYTES}; nats a byte",
        "robust", MINILLM, ("cpu-reverse", "cpu-forward"),
        lambda m: drop(m, "data_ce_nats", "cpu-forward", "cpu-reverse"), smallest=0.02,
    ),
    Claim(
        "KD-9", "The more of the training text is the student's own, the nearer it comes to its teacher on such text",
        "Figures 7 and 8", "more is better on GSM8K, drawn",
        f"{BYTES}; fall of reverse KL on samples, nats a byte, lambda 0 to 1", "robust", GKD,
        ("cpu-reverse", "cpu-reverse-on"),
        lambda m: drop(m, "reverse_kl_samples", "cpu-reverse-on", "cpu-reverse"), smallest=0.01,
    ),
    Claim(
        "KD-9b", "Text half the student's own already brings it nearer to its teacher than none",
        "Figures 7 and 8", "monotone, drawn",
        f"{BYTES}; fall of reverse KL on samples, nats a byte, lambda 0 to 0.5", "robust", GKD,
        ("cpu-reverse", "cpu-reverse-half"),
        lambda m: drop(m, "reverse_kl_samples", "cpu-reverse-half", "cpu-reverse"), smallest=0.005,
    ),
    Claim(
        "KD-9c", "Text all the student's own brings it nearer to its teacher than half",
        "Figures 7 and 8", "monotone, drawn",
        f"{BYTES}; fall of reverse KL on samples, nats a byte, lambda 0.5 to 1", "robust", GKD,
        ("cpu-reverse-half", "cpu-reverse-on"),
        lambda m: drop(m, "reverse_kl_samples", "cpu-reverse-on", "cpu-reverse-half"), smallest=0.005,
    ),
    Claim(
        "KD-10", "Sampling from the student costs a step at most 2.2 times as much", "Appendix A.2", "1.8 to 2.2 times",
        f"{TEXT}; 2.2 minus the ratio of milliseconds a step", "scale", GKD,
        ("gpu-text-reverse-on", "gpu-text-reverse"),
        lambda m: 2.2 - m["gpu-text-reverse-on"]["ms_per_step"] / m["gpu-text-reverse"]["ms_per_step"], smallest=0.05,
    ),
    Claim(
        "KD-11", "Without length normalisation the policy gradient makes texts short", "Table 4",
        "Dolly: ROUGE-L 24.6 with it, 14.7 without", f"{POLICY}; tokens of mean length", "scale", MINILLM,
        ("gpu-text-minillm", "gpu-text-minillm-sum"),
        lambda m: drop(m, "length", "gpu-text-minillm-sum", "gpu-text-minillm"), smallest=6.0,
    ),
    Claim(
        "KD-11b", "Without the teacher in the sampling the policy gradient makes texts repeat themselves", "Table 4",
        "24.6 with it, 20.4 without", f"{POLICY}; share of distinct runs of 4 tokens", "scale", MINILLM,
        ("gpu-text-minillm", "gpu-text-minillm-own"),
        lambda m: drop(m, "distinct_4", "gpu-text-minillm-own", "gpu-text-minillm"), smallest=0.02,
    ),
    Claim(
        "KD-11c", "Without single-step decomposition the policy gradient comes less near to the teacher", "Table 4",
        "24.6 with it, 23.7 without", f"{POLICY}; reverse KL on samples, nats a token", "scale", MINILLM,
        ("gpu-text-minillm", "gpu-text-minillm-reinforce"),
        lambda m: drop(m, "reverse_kl_samples", "gpu-text-minillm", "gpu-text-minillm-reinforce"), smallest=0.02,
    ),
    Claim(
        "KD-12", "Along text of its own a student trained on such text gathers error more slowly than one trained on "
        "data", "Figure 6", "flat for MiniLLM, rising for SFT and KD",
        f"{TEXT}; reverse KL of both, token by token; percent of excess error a doubling from 16 to 128 tokens",
        "scale", MINILLM, ("gpu-text-reverse-on", "gpu-text-reverse"),
        lambda m: error_a_doubling(m["gpu-text-reverse"]) - error_a_doubling(m["gpu-text-reverse-on"]), smallest=1.0,
    ),
    Claim(
        "KD-13", "On the task, on-policy distillation beats distillation on data", "Figure 1",
        "drawn: XSum, WMT, GSM8K", f"{SUMS}; points of exact answers", "scale", GKD, ("gpu-sums-gkd", "gpu-sums-kd"),
        lambda m: solved(m, "gpu-sums-gkd", "gpu-sums-kd"), smallest=0.5,
    ),
    Claim(
        "KD-13b", "Distillation on data beats the sequence-level one", "Figure 1", "drawn: XSum, WMT, GSM8K",
        f"{SUMS}; points of exact answers", "scale", GKD, ("gpu-sums-kd", "gpu-sums-seqkd"),
        lambda m: solved(m, "gpu-sums-kd", "gpu-sums-seqkd"), smallest=0.5,
    ),
    Claim(
        "KD-13c", "Sequence-level distillation beats fine-tuning", "Figure 1", "drawn: XSum, WMT, GSM8K",
        f"{SUMS}; points of exact answers", "scale", GKD, ("gpu-sums-seqkd", "gpu-sums-sft"),
        lambda m: solved(m, "gpu-sums-seqkd", "gpu-sums-sft"), smallest=0.5,
    ),
    Claim(
        "KD-14", "JSD(beta) tends to forward KL over beta and to reverse KL over 1 - beta, and is itself zero there",
        "Section 2 (limits: Huszár 2015)", "the rescaled limits", "four random pairs over 10 classes, in float64",
        "exact", GKD, compute=jsd_ends,
    ),
    Claim(
        "KD-15", "Distillation on every token brings nothing in pre-training: at most half a percent of the loss "
        "(MO-10)",
        "Table 16", "MobileLLM-125M: 43.9 with labels, 43.8 with a teacher; 350M: 49.1, 48.8",
        f"{BEFORE}; half a percent minus the percentage gained", "scale", MOBILELLM,
        ("gpu-pretrain-kd", "gpu-pretrain-label"), lambda m: 0.5 - gained_with(m, "", ""), smallest=0.1,
    ),
    Claim(
        "KD-15b", "A step of distillation in pre-training takes far longer: at least half as long again",
        "Table 16", "2.6 to 3.2 times as long",
        f"{BEFORE}; the ratio of milliseconds a step minus 1.5", "scale", MOBILELLM,
        ("gpu-pretrain-kd", "gpu-pretrain-label"),
        lambda m: m["gpu-pretrain-kd"]["ms_per_step"] / m["gpu-pretrain-label"]["ms_per_step"] - 1.5, smallest=0.1,
    ),
    Claim(
        "KD-15c", "Distillation in pre-training brings more where data are few",
        "ours", "the paper has one size of data",
        f"{BEFORE}, against a sixteenth of the windows seen sixteen times, mean of two teachers; percentage gained "
        "there minus the one with all", "scale", MOBILELLM, GRID,
        lambda m: sum(gained_with(m, t, "-few") - gained_with(m, t, "") for t in ("", "-small")) / 2, smallest=0.5,
    ),
    Claim(
        "KD-15d", "Distillation in pre-training brings more with a larger teacher", "ours", "the paper has one teacher",
        f"{BEFORE}, teachers of 8 blocks of width 512 and of 4 of width 256, mean of both sizes of data; percentage "
        "gained with the larger minus that with the smaller", "scale", MOBILELLM, GRID,
        lambda m: sum(gained_with(m, "", d) - gained_with(m, "-small", d) for d in ("", "-few")) / 2, smallest=0.1,
    ),
)  # fmt: skip

if __name__ == "__main__":
    main("distillation", CLAIMS, Path(__file__).parent)
