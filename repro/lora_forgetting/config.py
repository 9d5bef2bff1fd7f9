"""Settings of LoRA learns less and forgets less. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from repro.lab.recipe import Recipe

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")
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
    control_steps: int = 150
    """Steps of the control that follows, again on the source: what the base still gains tells whether it is at a
    plateau."""
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
    targets: tuple[str, ...] = ATTENTION + MLP
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
    compile: bool = False
    """Compile the step and capture it as a CUDA graph."""
    measure: tuple[Measure, ...] = ("loss",)
    """What is measured of each arm."""
    eval_windows: int = 256
    """Held-out sequences of a text for its loss."""
    questions: int = 2000
    """Of each set of questions; 0: all."""
    samples: int = 50
    """Continuations of each prompt, for diversity and pass@1."""
    prompts: int = 32
    """Prompts for diversity."""
    log_every: int = 10
    """Steps between two points of the curves."""
    seed: int = 0
    """Of data, its order and initialisation."""


def arm_config(config: Config, text: str) -> tuple[str, Config]:
    """The name of an arm and its settings: `lora-r4 r=4 lr=0.002 targets=q_proj+v_proj` changes three fields. A
    ValueError in one line where there is no such field or value."""
    name, *changes = text.split()
    kinds = get_type_hints(Config)
    found: dict[str, Any] = {}
    for change in changes:
        key, _, value = change.partition("=")
        if key not in kinds or key in ("arms", "seed", "base", "domain"):
            raise ValueError(f"arm '{text}': an arm has no field {key}")
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
    return tuple(value.split("+")) if get_origin(kind) is tuple else kind(value)


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


_SMOKE = Config(arms=smoke_arms(), measure=("loss", "spectrum"), log_every=25)

# gpu: SmolLM2-135M, healed on English text, then one arm a recipe

_BASE = Config(
    domain="text", base="smollm2", source="data/text", seq_len=1024, batch_size=32, base_steps=600, base_lr=2e-4,
    control_steps=300, arms=(), steps=300, precision="bf16", compile=True, measure=("loss", "choices", "spectrum"),
    others=("data/evals/wikitext2_valid.txt.bz2", "data/evals/tinyshakespeare.txt.bz2"), log_every=20,
)  # fmt: skip
HEALED = "out/lora_forgetting-gpu-base-s0/base"
_ARM = replace(_BASE, base=HEALED, base_steps=0, control_steps=0, arms=("arm",))
GPU_FULL_LRS = (1e-5, 3e-5, 1e-4, 3e-4)
GPU_LORA_LRS = (1e-4, 3e-4, 1e-3, 3e-3)
GPU_RANKS = (16, 64, 256)
TARGETS = {
    "code": ("Python's library", "python"), "far": ("Python's library with its tokens exchanged", "permuted"),
    "math": ("GSM8K's problems with their answers", "data/evals/gsm8k_train.jsonl.bz2"),
    "mix": ("Python's library, every other sequence English", "mixture"),
}  # fmt: skip
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
_TEXT = "300 steps of 32,768 tokens on the healed SmolLM2-135M (run gpu-base first)"


def _gpu() -> dict[str, Recipe[Config]]:
    """An arm on a target at a learning rate each, then what is changed at one rate."""
    found = {
        f"gpu-{target}-{method}-lr{lr:g}": Recipe(
            f"{says} on {what} at {lr:g}; {_TEXT}", _H100, 3, replace(_ARM, target=path, lr=lr, **changes)
        )
        for target, (what, path) in TARGETS.items()
        for method, (says, lrs, changes) in _METHODS.items()
        for lr in lrs
    }
    full, low = replace(_ARM, method="full", lr=1e-4), replace(_ARM, r=64, lr=1e-3)
    more: dict[str, tuple[str, Config]] = {
        "code-full-wd": ("full finetuning with weight decay", replace(full, weight_decay=1.0)),
        "code-full-drop": ("full finetuning with attention dropout of 0.1", replace(full, attention_dropout=0.1)),
        "code-full-long": ("full finetuning for four times the steps", replace(full, steps=1200)),
        "code-full-short": ("full finetuning for a quarter of the steps", replace(full, steps=75)),
        "code-r64-long": ("LoRA of rank 64 for four times the steps", replace(low, steps=1200)),
        "code-attention": ("LoRA of rank 64 on attention alone", replace(low, targets=ATTENTION)),
        "code-mlp": ("LoRA of rank 64 on the MLPs alone", replace(low, targets=MLP)),
        **{
            f"code-r256-alpha{alpha}": (f"LoRA of rank 256 with alpha {alpha}", replace(low, r=256, alpha=alpha))
            for alpha in (512, 256, 32)
        },
        "code-lion-full": ("full finetuning with LionW", replace(full, optimizer="lionw", lr=2e-5)),
        "code-lion-r64": ("LoRA of rank 64 with LionW", replace(low, optimizer="lionw", lr=2e-4)),
        "code-full-samples": ("full finetuning, and 50 samples each of prompts", _sampled(full)),
        "code-r64-samples": ("LoRA of rank 64, and 50 samples each of prompts", _sampled(low)),
    }  # fmt: skip
    long = {"code-full-long": 5, "code-r64-long": 5, "code-full-samples": 7, "code-r64-samples": 7}
    return found | {
        f"gpu-{name}": Recipe(f"{says}; {_TEXT}", _H100, long.get(name, 3), config)
        for name, (says, config) in more.items()
    }


def _sampled(config: Config) -> Config:
    return replace(config, measure=("loss", "diversity"))


# paper: Llama-2-7B as published, one cell of each table

_PAPER = Config(
    domain="text", base="data/Llama-2-7b-hf", source="data/text", evals="data/evals", seq_len=4096, batch_size=192,
    accum=192, base_steps=0, control_steps=100, optimizer="lionw", dropout=0.05, precision="bf16", compile=True,
    measure=("loss", "choices", "spectrum", "code"), questions=0, log_every=100,
)  # fmt: skip
_CODE = replace(_PAPER, target="data/starcoder-python", steps=25_431, lr=1e-5, weight_decay=1e-6, warmup=0.04)
_IFT = replace(_PAPER, target="data/magicoder-evol-instruct-110k.jsonl", schedule="cosine", warmup=0.1, steps=742)


def _paper() -> dict[str, Recipe[Config]]:
    """20 G tokens of code, and eight epochs of 73 M tokens of instructions, for each method. FLOP: 6 a parameter and
    token of full finetuning, 4 of LoRA, which makes no gradients of frozen weights; at 400 TFLOP/s."""
    found = {}
    methods: dict[str, Mapping[str, Any]] = {"full": {"method": "full"}, **{f"r{r}": {"r": r} for r in (16, 64, 256)}}
    for name, changes in methods.items():
        flop = 6 * 6.74e9 if name == "full" else 4 * 6.74e9
        memory = "81 GB for weights, gradients and momentum" if name == "full" else "27 GB of frozen weights"
        for kind, config, tokens in (("code-cpt", _CODE, 20e9), ("code-ift", _IFT, 8 * 73e6)):
            lr = config.lr if kind == "code-cpt" else {"full": 5e-5, "r256": 1e-4}.get(name, 2e-4)
            minutes = round(flop * tokens / 400e12 / 60, -1)
            found[f"paper-{kind}-{name}"] = Recipe(
                f"Llama-2-7B, {tokens / 1e9:.3g} G tokens of {'code' if kind == 'code-cpt' else 'code instructions'}, "
                f"as published; {memory}; nobody has run it here",
                "1 H200" if name == "full" else _H100,
                minutes,
                replace(config, lr=lr, **changes),
            )
    return found


RECIPES: dict[str, Recipe[Config]] = {
    "smoke": Recipe(
        "Two Markov languages of known entropy: a base that knows the first is taught the second by full finetuning "
        "and by LoRA in 27 arms, each method at three learning rates or four; every number exceeds a known optimum",
        "2 CPU cores", 1, _SMOKE,
    ),
    "gpu-base": Recipe(
        "SmolLM2-135M-Instruct (Q4_1) healed on English text, then trained on it once more, which should gain it "
        "less than 1 %: the base of every gpu- arm; keep it in " + HEALED.rpartition("/")[0], _H100, 4, _BASE,
    ),
    **_gpu(),
    "gpu-cost": Recipe(
        "Nothing is trained: the time and memory of a step by peft's LoRA, by transformers' full finetuning, and by "
        "ours, at 125M; needs peft and transformers", _H100, 5,
        replace(_ARM, domain="markov", base="", arms=(), base_steps=0, measure=("cost",)),
    ),
    **_paper(),
}  # fmt: skip
