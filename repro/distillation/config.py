"""Settings of the distillation papers. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from repro.lab.recipe import Recipe


@dataclass(frozen=True)
class Config:
    task: Literal["digits", "arithmetic", "parts", "text"] = "text"
    """digits: Hinton's experiments on scikit-learn's digits; arithmetic: sums that are made up; parts: numbers that
    add up to a given one, with many right answers; text: any folder."""
    method: Literal["sft", "kd", "seqkd", "gkd", "minillm"] = "gkd"
    """Cross-entropy on data; a divergence on data; cross-entropy on the teacher's outputs; GKD; MiniLLM."""
    divergence: Literal["forward", "reverse", "jsd"] = "forward"
    """Of kd and gkd: KL(teacher || student), KL(student || teacher), or JSD(beta) between them."""
    beta: float = 0.5
    """Of JSD: between 0 and 1, without its ends."""
    temperature: float = 1.0
    """Of the softmaxes in the divergence (of digits too), whose square it is then times."""
    hard: float = 0.0
    """Share of cross-entropy to the data in the loss of kd and gkd, on batches that are data."""
    lambda_: float = 1.0
    """Of gkd: how often a batch is the student's own text."""
    sample_temperature: float = 1.0
    """At which the student writes it."""
    beams: int = 5
    """Of seqkd: width of the teacher's beam search; 0: its outputs are sampled."""
    pool: int = 1024
    """Of seqkd: outputs of the teacher that there are."""
    teacher_mix: float = 0.2
    """Of minillm: the teacher's share in the sampling of each token."""
    length_norm: bool = True
    """Of minillm: the mean of the rewards to come instead of their sum."""
    single_step: bool = True
    """Of minillm: each token's own reward exactly, over the vocabulary."""

    text: str = "python"
    """python: the standard library's own source; a folder of text; or hf:NAME of a Hugging Face dataset."""
    text_mb: float = 8.0
    """Megabytes to take of Python's library."""
    tokenizer: str = "bytes"
    """A tokenizer.json; bytes; empty: a byte-level BPE of vocab_size is trained on the training text."""
    vocab_size: int = 257
    """Tokens there are in text."""
    prompt_len: int = 16
    """Tokens of a prompt of text."""
    new_tokens: int = 32
    """Tokens that follow it."""
    document_end: bool = False
    """Of text: what follows a prompt ends where its document does."""
    windows: int = 0
    """Of text: how many pieces there are to learn from; 0: all."""
    digits: int = 3
    """Of the longest numbers that are added, or sums that are parted; each prompt draws how many, from 1."""
    terms: int = 2
    """How many numbers are added at most, each prompt draws how many, from 1; or how many parts a sum has."""

    n_layers: int = 1
    """Blocks of the student."""
    d_model: int = 32
    """Width of its stream."""
    n_heads: int = 2
    """Its query heads."""
    n_kv_heads: int = 2
    """Its key-value heads."""
    d_ff: int = 80
    """Width of its feed-forward part; of digits: of its hidden layers."""
    teacher_n_layers: int = 4
    """Blocks of the teacher."""
    teacher_d_model: int = 96
    """Width of its stream."""
    teacher_n_heads: int = 4
    """Its query heads."""
    teacher_n_kv_heads: int = 4
    """Its key-value heads."""
    teacher_d_ff: int = 256
    """Width of its feed-forward part; of digits: of its hidden layers."""
    teacher: str = ""
    """Folder of a Hugging Face checkpoint, instead of a teacher that is trained first."""

    steps: int = 250
    """Optimizer steps of the method."""
    batch_size: int = 16
    """Sequences a step, over all ranks."""
    accum: int = 1
    """Micro-batches a step."""
    lr: float = 2e-3
    """AdamW's peak; a cosine takes it down to a tenth."""
    weight_decay: float = 0.0
    """Of matrices; norms have none."""
    start_steps: int = 500
    """Steps of cross-entropy on data before the method; 0: it begins with random weights."""
    start_lr: float = 4e-3
    """Their peak."""
    start_batch: int = 16
    """Their sequences a step, and the teacher's."""
    start_accum: int = 1
    """Micro-batches of these."""
    teacher_steps: int = 900
    """Steps that train the teacher; 0: there is none."""
    teacher_lr: float = 3e-3
    """Their peak."""
    warmup: float = 0.05
    """Share of the steps until the peak."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: autocast, with fp32 weights and sums; teacher and samples in bf16."""
    compile: bool = False
    """Compile the step and capture it as a CUDA graph."""
    eval_batches: int = 32
    """Held-out batches that everything is measured on."""
    log_every: int = 10
    """Steps between two points of the curves."""
    seed: int = 0
    """Of data, order, samples and initialisation."""


def teacher_config(config: Config) -> Config:
    """The run that trains a config's teacher: the same for every method and student."""
    return replace(
        _on_data(config), n_layers=config.teacher_n_layers, d_model=config.teacher_d_model,
        n_heads=config.teacher_n_heads, n_kv_heads=config.teacher_n_kv_heads, d_ff=config.teacher_d_ff,
        steps=config.teacher_steps, lr=config.teacher_lr,
    )  # fmt: skip


def start_config(config: Config) -> Config:
    """The run that trains the student a method begins with."""
    return replace(
        _on_data(config), n_layers=config.n_layers, d_model=config.d_model, n_heads=config.n_heads,
        n_kv_heads=config.n_kv_heads, d_ff=config.d_ff, steps=config.start_steps, lr=config.start_lr,
    )  # fmt: skip


def _on_data(config: Config) -> Config:
    """Cross-entropy on the task's data: of text on every token, so that a prompt is its first one alone. What such a
    run does not read stays at its default, so that runs that do the same are one run."""
    return Config(
        task=config.task, method="sft", text=config.text, text_mb=config.text_mb, tokenizer=config.tokenizer,
        vocab_size=config.vocab_size, prompt_len=1, new_tokens=config.prompt_len + config.new_tokens - 1,
        digits=config.digits, terms=config.terms, batch_size=config.start_batch, accum=config.start_accum,
        weight_decay=0.1, start_steps=0, teacher_steps=0, warmup=config.warmup, precision=config.precision,
        compile=config.compile, eval_batches=config.eval_batches, log_every=config.log_every, seed=config.seed,
    )  # fmt: skip


_DIGITS = Config(
    task="digits", method="kd", temperature=4.0, d_ff=100, teacher_d_ff=400, steps=3000, teacher_steps=3000, lr=1e-3,
    teacher_lr=1e-3, batch_size=64, log_every=100,
)  # fmt: skip

_GPU = Config(batch_size=64, start_batch=64, precision="bf16", compile=True, weight_decay=0.1)

# A student this small learns to add so many numbers or does not, and no width stands between: with up to three numbers
# on an H100 the seeds had 90, 49 and 51 % after both fine-tunings (of two numbers 97 to 99 %, of three 81, 2 and 1 %),
# on a CPU 43, 37 and 48 %, and with d_ff 12 there 53, 14 and 6 %. So there are up to four: on an H100 it has 57, 32 and
# 33 % (of two numbers 92 to 94 %, of three 71, 1 and 2 %), where after 4,000 first steps it was still learning two (11,
# 22 and 37 %). Of three teachers one had not learnt four numbers after 5,000 steps (68 %; the others 99); after 8,000
# all three have at least 99 % on a CPU. To tune on another machine, on gpu-sums-sft alone: --start-steps, then --terms;
# --teacher-steps where the teacher is below 90 %
_SUMS = replace(
    _GPU, task="arithmetic", digits=3, terms=4, n_layers=1, d_model=32, n_heads=4, n_kv_heads=4, d_ff=20,
    teacher_n_layers=3, teacher_d_model=96, steps=2000, lr=2e-3, start_steps=8000, start_lr=4e-3, teacher_steps=8000,
    precision="fp32", eval_batches=64, log_every=40,
)  # fmt: skip
_SUM_ARMS = {
    "sft": ("cross-entropy goes on", replace(_SUMS, method="sft")),
    "kd": ("word-level distillation on data, half of it cross-entropy", replace(_SUMS, method="kd", hard=0.5)),
    "seqkd": ("cross-entropy on the teacher's beam outputs", replace(_SUMS, method="seqkd", pool=128_000)),
    "gkd": ("forward KL on the student's own answers", _SUMS),
    "minillm": ("reverse KL of whole answers by policy gradient", replace(_SUMS, method="minillm")),
}
# On an H100 the student has 43, 29 and 52 % (of sums of two digits 74 to 83 %, of six 4 to 29 %), the teacher 100 %
_PARTS = replace(_SUMS, task="parts", digits=6, terms=2, d_ff=8, start_steps=4000, teacher_steps=3000)
_PART_ARMS = {
    "sft": ("cross-entropy goes on", replace(_PARTS, method="sft")),
    "seqkd": ("cross-entropy on the teacher's beam outputs", replace(_PARTS, method="seqkd", pool=128_000)),
}

_TEXT = replace(
    _GPU, text="data/text", tokenizer="", vocab_size=8192, prompt_len=64, new_tokens=128, n_layers=2, d_model=128,
    n_heads=4, n_kv_heads=4, d_ff=336, teacher_n_layers=8, teacher_d_model=512, teacher_n_heads=8, teacher_n_kv_heads=8,
    teacher_d_ff=1376, steps=400, lr=1e-3, start_steps=1500, start_lr=4e-3, teacher_steps=1500, teacher_lr=1.5e-3,
    eval_batches=8,
)  # fmt: skip
_POLICY = replace(_TEXT, method="minillm", document_end=True)
_TEXT_ARMS = {
    "sft": ("cross-entropy goes on", replace(_TEXT, method="sft")),
    "kd": ("forward KL on data", replace(_TEXT, method="kd")),
    "seqkd": ("cross-entropy on the teacher's beam outputs, each seen three times",
              replace(_TEXT, method="seqkd", pool=8192)),
    "reverse": ("reverse KL on data", replace(_TEXT, method="kd", divergence="reverse")),
    "reverse-on": ("reverse KL on the student's own text", replace(_TEXT, divergence="reverse")),
    "minillm": ("reverse KL of whole texts by policy gradient", _POLICY),
    "minillm-sum": ("that without length normalisation", replace(_POLICY, length_norm=False)),
    "minillm-own": ("that without the teacher in the sampling", replace(_POLICY, teacher_mix=0.0)),
    "minillm-reinforce": ("that without single-step decomposition", replace(_POLICY, single_step=False)),
}  # fmt: skip

# KD-15: from random weights and on every token, as pre-training is; with two teachers, on all the windows that the
# steps can read and on a sixteenth of them
_PRETRAIN = replace(_TEXT, method="sft", prompt_len=1, new_tokens=191, start_steps=0, steps=1500, lr=4e-3)
_FEW = 1500 * 64 // 16
_SMALL = replace(_PRETRAIN, method="kd", teacher_n_layers=4, teacher_d_model=256, teacher_d_ff=688)
_PRETRAIN_ARMS = {
    "label": ("cross-entropy", _PRETRAIN),
    "kd": ("forward KL to the teacher", replace(_PRETRAIN, method="kd")),
    "kd-small": ("forward KL to a teacher of 4 blocks of width 256", _SMALL),
}
_PRETRAIN_ARMS |= {
    f"{name}-few": (f"{says}, a sixteenth of the windows sixteen times", replace(config, windows=_FEW))
    for name, (says, config) in _PRETRAIN_ARMS.items()
}

# GKD's T5 of 250M and 3B as decoders of that size, at XSum's lengths: 1,024 tokens of article, 64 of summary
# (appendix A.3)
_PAPER_GKD = replace(
    _GPU, text="data/text", tokenizer="", vocab_size=32_128, prompt_len=1024, new_tokens=64, n_layers=24, d_model=832,
    n_heads=13, n_kv_heads=13, d_ff=2240, teacher_n_layers=32, teacher_d_model=2688, teacher_n_heads=42,
    teacher_n_kv_heads=42, teacher_d_ff=7168, batch_size=32, accum=4, start_batch=32, start_accum=8, steps=40_000,
    lr=3e-4, start_steps=20_000, start_lr=3e-4, teacher_steps=20_000, teacher_lr=1e-4,
)  # fmt: skip
# MiniLLM's GPT-2: 120M from 1.5B, 256 tokens of prompt and as many that follow, batches of 64 (its released script)
_PAPER_MINILLM = replace(
    _GPU, method="minillm", text="data/text", tokenizer="", document_end=True, vocab_size=50_257, prompt_len=256,
    new_tokens=256, n_layers=12, d_model=768, n_heads=12, n_kv_heads=12, d_ff=2048, teacher_n_layers=48,
    teacher_d_model=1600, teacher_n_heads=25, teacher_n_kv_heads=25, teacher_d_ff=4288, batch_size=64, accum=2,
    start_batch=64, start_accum=16, steps=5000, lr=5e-6, weight_decay=0.01, start_steps=4000, start_lr=5e-4,
    teacher_steps=2000, teacher_lr=5e-5,
)  # fmt: skip

_CPU, _H100, _H200 = "2 CPU cores", "1 H100", "1 H200"
_FIRST = "the first run of a seed trains the teacher and the student that all begin with, and takes most of the time"
_CPU_ARMS = {
    "sft": ("cross-entropy on data", Config(method="sft")),
    "forward": ("forward KL on data", Config(lambda_=0.0)),
    "reverse": ("reverse KL on data: likelier to the teacher, less varied, worse on data",
                Config(divergence="reverse", lambda_=0.0)),
    "reverse-half": ("reverse KL, half the batches the student's own text", Config(divergence="reverse", lambda_=0.5)),
    "reverse-on": ("reverse KL on the student's own text", Config(divergence="reverse", lambda_=1.0)),
}  # fmt: skip
RECIPES: dict[str, Recipe[Config]] = {
    "smoke": Recipe(
        "Hinton's experiments on digits: threes are told from soft targets alone (about 90 % once their bias is right, "
        "2 % from labels), and the picture of one normal fitted to two modes", _CPU, 1, _DIGITS,
    ),
    **{f"cpu-{name}": Recipe(f"Bytes of Python's library: {says}; {_FIRST}", _CPU, 2, config)
       for name, (says, config) in _CPU_ARMS.items()},
    **{f"gpu-sums-{name}": Recipe(f"Sums of up to four numbers: {says}; {_FIRST}", _H100, 2, config)
       for name, (says, config) in _SUM_ARMS.items()},
    **{f"gpu-parts-{name}": Recipe(f"Numbers with a given sum: {says}; {_FIRST}", _H100, 2, config)
       for name, (says, config) in _PART_ARMS.items()},
    **{f"gpu-text-{name}": Recipe(f"English text: {says}; {_FIRST}", _H100, 3, config)
       for name, (says, config) in _TEXT_ARMS.items()},
    **{f"gpu-pretrain-{name}": Recipe(f"From random weights on every token: {says}; the first of a seed with a teacher "
                                      "trains it", _H100, 4, config)
       for name, (says, config) in _PRETRAIN_ARMS.items()},
    "paper-gkd": Recipe(
        "GKD at its own sizes and XSum's lengths: 40,000 steps of forward KL on the student's own continuations. Not "
        "as the paper: decoders for T5, windows of any text for articles and summaries. It takes about 100 GiB, most "
        "of it the 3B teacher's training. The time is that of the arithmetic at 40 % of an H100's, both fine-tunings "
        "included, and of 5 ms a token written; nobody has run it",
        _H200, 1170, _PAPER_GKD,
    ),
    "paper-minillm": Recipe(
        "MiniLLM at its GPT-2 sizes: 5,000 steps of 64 prompts. Not as the paper: this decoder, windows of any text "
        "for instructions, no loss on a corpus, one epoch a batch. The time is that of the arithmetic at 40 % of an "
        "H100's and of 5 ms a token written; nobody has run it",
        _H100, 165, _PAPER_MINILLM,
    ),
}  # fmt: skip
