"""Settings of LoRA learns less and forgets less. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from repro.lab.recipe import Recipe

Layer = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ATTENTION: tuple[Layer, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP: tuple[Layer, ...] = ("gate_proj", "up_proj", "down_proj")
Measure = Literal["loss", "choices", "spectrum", "diversity", "gsm8k", "code", "cost"]


@dataclass(frozen=True)
class Config:
    domain: Literal["markov", "text"] = "markov"
    """markov: two languages of known entropy and a base that is made here; text: a checkpoint, and texts."""
    base: str = ""
    """For text: smollm2, the folder of a Hugging Face checkpoint, or OUT/base of a run of gpu-base, already healed."""
    source: str = "data/text"
    """For text: what the base knows and may forget; a folder of text, or another source of repro.lab.documents."""
    others: tuple[str, ...] = ()
    """More texts that forgetting is measured on."""
    target: str = "python"
    """For text: python, permuted (the same with tokens exchanged), mixture (with the source), or a path of text or of
    problems as JSON lines."""
    text_mb: float = 10.0
    """Megabytes to take of Python's library."""
    evals: str = "data/evals"
    """The folder of HellaSwag, ARC, WinoGrande, GSM8K and HumanEval."""
    symbols: int = 48
    """Of a Markov language."""
    d_model: int = 64
    """Width of a base that is made here."""
    n_layers: int = 2
    """Its blocks."""
    n_heads: int = 4
    """Its heads."""
    d_ff: int = 168
    """Width of its feed-forward part."""
    seq_len: int = 32
    """Tokens of a training sequence."""
    batch_size: int = 16
    """Sequences a step, over all ranks."""
    accum: int = 1
    """Micro-batches a step."""
    base_steps: int = 900
    """Steps that a base is trained on the source, from nothing or to heal it."""
    base_lr: float = 6e-3
    """AdamW's peak there."""
    control_steps: int = 300
    """Steps of the control that follows, again on the source and at least as many as an arm has: what they change tells
    whether the base is at a plateau. Arms begin at the base as it was before."""
    trusted: bool = False
    """For text: take the checkpoint to be at its plateau without a control, as the paper takes Llama-2, which has read
    2 T tokens; the record says so."""
    text_on_host: bool = False
    """Keep a text's tokens in files on the host instead of in the GPU's memory."""
    arms: tuple[str, ...] = ("arm",)
    """What is done to the base: `NAME field=value …` changes fields of this config; none: the base alone is made."""
    method: Literal["full", "lora"] = "lora"
    """All weights, or adapters alone."""
    embeddings: bool = True
    """Whether full finetuning trains the embeddings too, as the paper's does."""
    r: int = 16
    """Rank of the adapters. torchrun takes --r for its own: there say --arms 'arm r=4'."""
    alpha: float = 0.0
    """Their scale times r; 0: twice the rank, the paper's choice."""
    targets: tuple[Layer, ...] = ATTENTION + MLP
    """The linear layers that have them."""
    dropout: float = 0.0
    """On the way into A; 0.05 in the paper."""
    init: Literal["kaiming", "gaussian", "normal"] = "kaiming"
    """A's first values: peft's default, peft's other one, or N(0, 1) as the paper writes."""
    rslora: bool = False
    """Scale by alpha over the root of r."""
    attention_dropout: float = 0.0
    """On the weights of attention."""
    optimizer: Literal["adamw", "lionw"] = "adamw"
    """LionW decays weights by the schedule alone, AdamW by the learning rate too."""
    lr: float = 1e-3
    """The peak of an arm."""
    weight_decay: float = 0.0
    """Of matrices."""
    schedule: Literal["trapezoid", "cosine"] = "trapezoid"
    """trapezoid: constant, the last 20 % down to zero; cosine: down to 1 %."""
    warmup: float = 0.1
    """The part of the steps that goes up to the peak."""
    steps: int = 150
    """Of an arm; its cool-down is its own."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: autocast, with fp32 weights and sums."""
    frozen: Literal["fp32", "bf16"] = "fp32"
    """What a base is kept in under adapters; bf16 halves it, and rounds W + B A to its grid."""
    compile: bool = False
    """Compile the blocks, and capture the step as a CUDA graph where it has few micro-batches."""
    measure: tuple[Measure, ...] = ("loss",)
    """What is measured of each arm."""
    eval_windows: int = 256
    """Held-out sequences of a text for its loss."""
    questions: int = 2000
    """Of each set of questions; 0: all."""
    samples: int = 50
    """Continuations of each prompt, for diversity and pass@1."""
    prompts: int = 32
    """Prompts of HumanEval for diversity."""
    log_every: int = 10
    """Steps between two points of the curves."""
    seed: int = 0
    """Of data, its order and initialisation."""


# of the base, the texts, and what is held out of them: all arms of a run share these
_OF_THE_RUN = frozenset(
    ("domain", "base", "source", "others", "target", "text_mb", "symbols", "d_model", "n_layers", "n_heads", "d_ff",
     "seq_len", "base_steps", "base_lr", "control_steps", "trusted", "text_on_host", "arms", "eval_windows", "seed")
)  # fmt: skip


def arm_config(config: Config, text: str) -> tuple[str, Config]:
    """The name of an arm and its settings: `lora-r4 r=4 lr=0.002 targets=q_proj+v_proj` changes three fields. A
    ValueError in one line where there is no such field or value, or where the field is the whole run's."""
    name, *changes = text.split() or [""]
    if not name or name in ("base", "control") or [arm.split()[:1] for arm in config.arms].count([name]) > 1:
        raise ValueError(f"arm '{text}': each needs a name of its own, other than base and control")
    kinds = get_type_hints(Config)
    found: dict[str, Any] = {}
    for change in changes:
        key, _, value = change.partition("=")
        if key not in kinds or key in _OF_THE_RUN:
            of_run = f"; give --{key.replace('_', '-')} to the run" if key in kinds else ""
            raise ValueError(f"arm '{text}': an arm has no field {key}{of_run}")
        try:
            found[key] = _read(kinds[key], value)
        except (ValueError, KeyError):
            raise ValueError(f"arm '{text}': {value} is no value of {key}") from None
    return name, replace(config, **found)


def _read(kind: Any, value: str) -> Any:
    """A value out of its text; a KeyError or ValueError where it is none."""
    if kind is bool:
        return {"true": True, "false": False}[value]
    if get_origin(kind) is Literal:
        return {name: name for name in get_args(kind)}[value]
    if get_origin(kind) is tuple:
        return tuple(_read(get_args(kind)[0], each) for each in value.split("+"))
    return kind(value)


# smoke: every method at each of its learning rates, then what is changed at one

FULL_LRS = (3e-4, 1e-3, 3e-3, 1e-2)
LORA_LRS = (3e-3, 1e-2, 3e-2)
RANKS = (1, 4, 16)  # of 64: the first two are low
MIDDLE = 1e-2  # the rate of arms that are compared at one rate
DURATIONS = (50, 150, 300)  # steps of full finetuning, 150 being that of every other arm


def smoke_arms() -> tuple[str, ...]:
    """lora-r4-lr0.01 and so on."""
    full = [f"full-lr{lr:g} method=full lr={lr:g}" for lr in FULL_LRS]
    ranks = [f"lora-r{r}-lr{lr:g} r={r} lr={lr:g}" for r in RANKS for lr in LORA_LRS]
    regular = ["full-wd method=full lr=0.001 weight_decay=1", "full-drop method=full lr=0.001 attention_dropout=0.1"]
    frozen = [f"full-frozen-lr{lr:g} method=full embeddings=false lr={lr:g}" for lr in (1e-3, 3e-3)]
    places = [
        f"{name}-lr{lr:g} r=4 lr={lr:g} targets={'+'.join(targets)}"
        for name, targets in (("attention", ATTENTION), ("mlp", MLP))
        for lr in LORA_LRS
    ]
    scales = [f"lora-r16-alpha{alpha} r=16 alpha={alpha} lr={MIDDLE:g}" for alpha in (16, 2)]
    longer = [f"full-steps{n} method=full lr=0.001 steps={n}" for n in DURATIONS if n != 150]
    return (*full, *ranks, *regular, *frozen, *places, *scales, *longer)


_SMOKE = Config(arms=smoke_arms(), measure=("loss", "spectrum"), log_every=25, control_steps=max(DURATIONS))

# gpu: SmolLM2-135M, healed on English text, then one arm a recipe

_LONG = 600  # steps of the longest arm, and so of the control
_BASE = Config(
    domain="text", base="smollm2", source="data/text", seq_len=1024, batch_size=32, base_steps=900, base_lr=2e-4,
    control_steps=_LONG, arms=(), steps=300, precision="bf16", compile=True, measure=("loss", "choices"),
    others=("data/evals/wikitext2_valid.txt.bz2", "data/evals/tinyshakespeare.txt.bz2"), log_every=20,
)  # fmt: skip
HEALED = "out/lora_forgetting-gpu-base-s0/base"
_ARM = replace(
    _BASE, base=HEALED, base_steps=0, control_steps=0, arms=("arm",), measure=("loss", "choices", "spectrum")
)
GPU_FULL_LRS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
GPU_LORA_LRS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
GPU_RANKS = (16, 64, 256)
TARGETS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "code": ("Python's library", {"target": "python"}),
    "far": ("Python's library with its tokens exchanged", {"target": "permuted"}),
    "math": (
        "GSM8K's problems with their answers",
        {"target": "data/evals/gsm8k_train.jsonl.bz2", "measure": (*_ARM.measure, "gsm8k")},
    ),
    "mix": ("Python's library, every other sequence English", {"target": "mixture"}),
}
_METHODS: dict[str, tuple[str, tuple[float, ...], Mapping[str, Any]]] = {
    "full": ("full finetuning", GPU_FULL_LRS, {"method": "full"}),
    **{f"r{r}": (f"LoRA of rank {r}", GPU_LORA_LRS, {"r": r}) for r in GPU_RANKS},
}


def arms(target: str, method: str) -> tuple[str, ...]:
    """The recipes of a method on a target, one a learning rate."""
    return tuple(f"gpu-{target}-{method}-lr{lr:g}" for lr in _METHODS[method][1])


def at(target: str, method: str, lr: float) -> str:
    """The recipe of a method on a target at one of its learning rates."""
    return f"gpu-{target}-{method}-lr{lr:g}"


_H100 = "1 H100"
FEW_MB = 5.6  # of Python's library, in SmolLM2's tokens as many as GSM8K's 1.4 M
_TEXT = "300 steps of 32,768 tokens on the healed SmolLM2-135M (run gpu-base first)"


def _gpu() -> dict[str, Recipe[Config]]:
    """An arm on a target at a learning rate each, then what is changed at one rate."""
    found = {
        f"gpu-{target}-{method}-lr{lr:g}": Recipe(
            f"{says} on {what} at {lr:g}; {_TEXT}", _H100, 3, replace(_ARM, lr=lr, **learnt, **changes)
        )
        for target, (what, learnt) in TARGETS.items()
        for method, (says, lrs, changes) in _METHODS.items()
        for lr in lrs
    }
    full, low = replace(_ARM, method="full", lr=1e-4), replace(_ARM, r=64, lr=1e-3)
    more: dict[str, tuple[str, Config]] = {
        "code-full-wd": ("full finetuning with weight decay", replace(full, weight_decay=1.0)),
        "code-full-drop": ("full finetuning with attention dropout of 0.1", replace(full, attention_dropout=0.1)),
        "code-full-long": ("full finetuning for twice the steps", replace(full, steps=_LONG)),
        "code-r64-long": ("LoRA of rank 64 for twice the steps", replace(low, steps=_LONG)),
        "code-full-few": (
            "full finetuning on as much of Python's library as GSM8K has tokens, so as often",
            replace(full, text_mb=FEW_MB),
        ),
        "code-attention": ("LoRA of rank 64 on attention alone", replace(low, targets=ATTENTION)),
        "code-mlp": ("LoRA of rank 64 on the MLPs alone", replace(low, targets=MLP)),
        **{
            f"code-r256-alpha{alpha}": (f"LoRA of rank 256 with alpha {alpha}", replace(low, r=256, alpha=alpha))
            for alpha in (512, 256, 32)
        },
        "code-lion-full": ("full finetuning with LionW", replace(full, optimizer="lionw", lr=2e-5)),
        "code-lion-r64": ("LoRA of rank 64 with LionW", replace(low, optimizer="lionw", lr=2e-4)),
        "code-base-samples": (
            "nothing learnt in one step at a rate of 0, and 50 samples each of HumanEval's prompts",
            _sampled(replace(full, lr=0.0, steps=1)),
        ),
        "code-full-samples": ("full finetuning, and 50 samples each of HumanEval's prompts", _sampled(full)),
        "code-r64-samples": ("LoRA of rank 64, and 50 samples each of HumanEval's prompts", _sampled(low)),
    }  # fmt: skip
    long = {"code-full-long": 4, "code-r64-long": 4, "code-full-samples": 4, "code-r64-samples": 4}
    return found | {
        f"gpu-{name}": Recipe(f"{says}; {_TEXT}", _H100, long.get(name, 3), config)
        for name, (says, config) in more.items()
    }


def _sampled(config: Config) -> Config:
    return replace(config, measure=("loss", "diversity"))


# paper: Llama-2-7B as published, one cell of each table. What is not as there: one GPU instead of 32, micro-batches of
# 4,096 tokens, a trapezoid for the inverse square root with its cool-down, and instructions are packed and all of their
# tokens learnt, where llm-foundry learns the answers.

_PAPER = Config(
    domain="text", base="data/Llama-2-7b-hf", trusted=True, source="data/text", text_on_host=True, evals="data/evals",
    seq_len=4096, batch_size=192, accum=192, base_steps=0, control_steps=0, optimizer="lionw", dropout=0.05,
    precision="bf16", frozen="bf16", compile=True, measure=("loss", "choices", "spectrum", "code"), questions=0,
    log_every=100,
)  # fmt: skip
PAPER_METHODS: dict[str, Mapping[str, Any]] = {"full": {"method": "full"}, **{f"r{r}": {"r": r} for r in GPU_RANKS}}
LLAMA = 6.74e9  # parameters
_LEARNT_MATH: tuple[Measure, ...] = ("loss", "choices", "spectrum", "gsm8k")


@dataclass(frozen=True)
class Regime:
    """A data set of the paper's: what it is called, its tokens, the settings, and the peak rate of each method."""

    says: str
    tokens: float
    config: Config
    lrs: Mapping[str, float]


def _rates(full: float, low: float, r256: float) -> dict[str, float]:
    return {"full": full, "r16": low, "r64": low, "r256": r256}


def _steps(config: Config, tokens: float) -> Config:
    return replace(config, steps=round(tokens / config.batch_size / config.seq_len))


def regimes() -> dict[str, Regime]:
    """Appendix A of the paper: 20 G tokens of each continued pretraining; instructions as often as each method learns
    best in Tables S5 and S7, or nearly; Tülu twice, its samples taken for rows of 4,096 tokens, padding among them."""
    cpt = replace(_PAPER, warmup=0.04)
    ift = replace(_PAPER, schedule="cosine")
    code = replace(ift, target="data/magicoder-evol-instruct-110k.jsonl")
    maths = replace(
        ift, target="data/metamathqa.jsonl", measure=_LEARNT_MATH, seq_len=1024, batch_size=768
    )  # fmt: skip
    tulu = replace(ift, target="data/tulu-v2-sft-mixture.jsonl", measure=_LEARNT_MATH)
    web = replace(cpt, target="data/open-web-math", measure=_LEARNT_MATH)
    cells: dict[str, tuple[str, float, Config, Mapping[str, float]]] = {
        "code-cpt": (
            "StarCoder's Python", 20e9, replace(cpt, target="data/starcoder-python", weight_decay=1e-6),
            _rates(1e-5, 1e-5, 1e-5),
        ),
        "math-cpt": ("OpenWebMath", 20e9, web, _rates(1e-5, 4e-5, 4e-5)),
        "code-ift-ep4": ("Magicoder's instructions, 4 epochs", 4 * 72.97e6, code, _rates(5e-5, 2e-4, 1e-4)),
        "code-ift-ep8": ("Magicoder's instructions, 8 epochs", 8 * 72.97e6, code, _rates(5e-5, 2e-4, 1e-4)),
        "math-ift-ep4": ("MetaMathQA, 4 epochs", 4 * 103e6, maths, _rates(1e-5, 1e-4, 5e-5)),
        "tulu-ep2": ("the Tülu-v2 mixture, 2 epochs", 2 * 326e3 * 4096, tulu, _rates(5e-6, 1e-4, 1e-4)),
    }  # fmt: skip
    return {
        name: Regime(says, tokens, _steps(config, tokens), lrs) for name, (says, tokens, config, lrs) in cells.items()
    }


def _paper() -> dict[str, Recipe[Config]]:
    """FLOP: 6 a parameter and token of full finetuning, 4 of LoRA, which makes no gradients of frozen weights; at 400
    TFLOP/s. Memory of full finetuning: weights, gradients and momentum in fp32, copies in bf16, and what 4,096 tokens
    leave for their gradients; of LoRA the frozen weights in bf16, the adapters' own, and what the tokens leave."""
    found = {}
    for regime, cell in regimes().items():
        for name, changes in PAPER_METHODS.items():
            full = name == "full"
            memory = "81 GB of weights, gradients and momentum" if full else "13.5 GB of frozen weights"
            found[f"paper-{regime}-{name}"] = Recipe(
                f"Llama-2-7B, {cell.tokens / 1e9:.3g} G tokens of {cell.says}, the published settings on one GPU, "
                f"on packed rows; {memory}, and about 45 GB while a step is taken; nobody has run it here",
                "1 H200" if full else _H100,
                round((6 if full else 4) * LLAMA * cell.tokens / 400e12 / 60, -1),
                replace(cell.config, lr=cell.lrs[name], **changes),
            )
    return found


RECIPES: dict[str, Recipe[Config]] = {
    "smoke": Recipe(
        "Two Markov languages of known entropy: a base that knows the first is taught the second by full finetuning "
        "and by LoRA in 27 arms, each method at three learning rates or four; every number exceeds a known optimum",
        "2 CPU cores", 1, _SMOKE,
    ),
    "gpu-base": Recipe(
        "SmolLM2-135M-Instruct (Q4_1) healed on English text, then trained on it once more, which should change its "
        "loss by less than 1 %: the base of every gpu- arm; keep it in " + HEALED.rpartition("/")[0], _H100, 6, _BASE,
    ),
    **_gpu(),
    "gpu-cost": Recipe(
        "Nothing is trained: the time and memory of a step by peft's LoRA, by transformers' full finetuning, and by "
        "ours, at 125M; needs peft and transformers", _H100, 5,
        replace(_ARM, domain="markov", base="", arms=(), measure=("cost",)),
    ),
    **_paper(),
}  # fmt: skip
