"""Bases, and what becomes of one in an arm: adapters, or nothing frozen at all."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from repro.lab import hub, smollm2
from repro.lab.cache import write
from repro.lab.lora import LoRA, adapt
from repro.lab.transformer import Attention, Context, Decoder, Shape, Slot, rotate
from repro.lora_forgetting.config import Config

PLATEAU = 0.01  # of the source's loss: what training on it for as long as an arm trains may still change
_SAID = "plateau.json"


class DroppingAttention(Attention):
    """Attention that drops some of its weights while it trains: the paper's other regulariser (Figure 4)."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__(shape)
        self.dropout = dropout

    def forward(self, x: torch.Tensor, context: Context, slot: Slot | None = None) -> torch.Tensor:
        if not self.training or slot is not None:
            return super().forward(x, context, slot)
        B, T, _ = x.shape
        q, k, v = self.qkv(x).view(B, T, sum(self.heads), -1).split(self.heads, 2)
        q, k, v = (t.transpose(1, 2) for t in (rotate(q, context.turn), rotate(k, context.turn), v))
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout, is_causal=True, enable_gqa=True)
        found: torch.Tensor = self.out(y.transpose(1, 2).reshape(B, T, -1))
        return found


def drop_attention(decoder: Decoder, dropout: float) -> None:
    """Put dropout on the attention weights of every block, in place."""
    for block in decoder.blocks:
        before = block.attn
        assert isinstance(before, Attention)
        with torch.device("meta"):
            after = DroppingAttention(decoder.shape, dropout)
        after.qkv, after.out = before.qkv, before.out
        block.attn = after


def shape(config: Config) -> Shape:
    """Of a base that is made here: symbols, and a tag for each of the two languages."""
    return Shape(
        config.symbols + 2, config.d_model, config.n_layers, config.n_heads, config.n_heads, config.d_ff,
        max_seq_len=config.seq_len,
    )  # fmt: skip


def first(config: Config) -> Decoder:
    """The base before it is trained here: as the seed makes it, or as a checkpoint holds it; in fp32."""
    if config.domain == "markov":
        torch.manual_seed(config.seed)
        return Decoder(shape(config), residual_std=0.02 / math.sqrt(2 * config.n_layers))
    return smollm2.load() if config.base == "smollm2" else hub.load(Path(config.base))


def arm_of(config: Config, base: Decoder) -> Decoder:
    """What an arm trains, made of the base, which it changes."""
    if config.attention_dropout:
        drop_attention(base, config.attention_dropout)
    if config.method == "full":
        base.requires_grad_(True)
        base.embed.requires_grad_(config.embeddings)
        return base
    return adapt(base, lora(config), torch.bfloat16 if config.frozen == "bf16" else None)


def lora(config: Config) -> LoRA:
    return LoRA(config.r, config.alpha or 2.0 * config.r, config.targets, config.dropout, config.init, config.rslora)


# A base on the disk: a Hugging Face folder, and what its control said


@dataclass(frozen=True)
class Control:
    """The source's loss in nats a token of a base, and after a control trained it on the source for so many tokens;
    and which text that was."""

    before_nats: float
    after_nats: float
    tokens: int
    source: str

    @property
    def flat(self) -> bool:
        """Whether the base is trained as far as makes forgetting mean something. One that gains more than `PLATEAU` of
        its loss by the control would go on learning the source's language from a target that shares some of it, and
        show less than it forgets, or the opposite of forgetting. One that loses more tells nothing: the control itself
        has wrecked it."""
        return abs(self.before_nats - self.after_nats) <= PLATEAU * self.before_nats


def keep_control(folder: Path, control: Control) -> None:
    write(folder / _SAID, json.dumps(asdict(control)) + "\n")


def is_base(name: str) -> bool:
    """Whether a folder holds a base whose control has ended."""
    return bool(name) and (Path(name) / _SAID).is_file()


def control_of(folder: Path) -> Control:
    """A ValueError in one line where that is not what the folder holds."""
    try:
        return Control(**json.loads((folder / _SAID).read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{folder / _SAID}: {error}; make the base anew with gpu-base") from None
