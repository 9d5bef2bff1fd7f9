"""The parts of a run and the order in which they are trained: a small decoder reads, the encoder learns by CTC, then
each arm learns to transcribe, all from the same start."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from repro.lab import hub, lora, smollm2
from repro.lab.lora import ATTENTION, LoRA
from repro.lab.transformer import Decoder, Shape
from repro.speech_llama.config import Config, arm
from repro.speech_llama.copying import Reading
from repro.speech_llama.features import N_MELS
from repro.speech_llama.model import CTC, MOST_STEPS, Augmentation, Encoder, EncoderShape, steps_of
from repro.speech_llama.multi_token import make_heads
from repro.speech_llama.prompting import Projector, SpeechLLM
from repro.speech_llama.vocabulary import Vocabulary


@dataclass(frozen=True)
class Stage:
    """A stretch of a run's steps: `lm-copy` or another reading, `ctc`, `ctc-alone` or an arm, trained from step `begin`
    on."""

    name: str
    begin: int
    steps: int
    lr: float

    @property
    def end(self) -> int:
        return self.begin + self.steps


def stages(config: Config) -> list[Stage]:
    """In their order; those that no arm needs are left out."""
    arms = [arm(config, name) for name in config.arms]
    wanted: list[tuple[str, int, float]] = []
    if config.decoder == "small":
        kinds = sorted({a.lm for a in arms})
        wanted += [(f"lm-{kind}", config.lm_steps, config.lm_lr) for kind in kinds]
    if any(a.init == "ctc" for a in arms):
        wanted.append(("ctc", config.ctc_steps, config.ctc_lr))
    if config.alone:
        wanted.append(("ctc-alone", config.steps, config.lr))
    for name, a in zip(config.arms, arms, strict=True):
        # an encoder that CTC has not trained is trained as long all the same
        wanted.append((name, a.steps + (0 if a.init == "ctc" else config.ctc_steps), a.lr))
    found: list[Stage] = []
    for name, steps, lr in wanted:
        found.append(Stage(name, found[-1].end if found else 0, steps, lr))
    return found


class System(nn.Module):
    """All that a run trains. Arms share the weights of the decoder that they leave as they are."""

    def __init__(self, config: Config, decoder: Decoder, vocabulary: Vocabulary, n_units: int) -> None:
        super().__init__()
        self.config = config
        named = {name: arm(config, name) for name in config.arms}
        kinds = sorted({a.lm for a in named.values()})
        # small decoders that read different things begin alike
        decoders = {kind: decoder if kind == kinds[0] else copy.deepcopy(decoder) for kind in kinds}
        self.readings = nn.ModuleDict(
            {kind: Reading(lm, vocabulary.bos, vocabulary.eos, kind) for kind, lm in decoders.items()}
        )
        self.ctc = CTC(Encoder(encoder_shape(config)), n_units)
        self.alone = copy.deepcopy(self.ctc) if config.alone else None
        self.arms = nn.ModuleDict({name: make_arm(a, self.lm(a), vocabulary) for name, a in named.items()})

    def lm(self, config: Config) -> Decoder:
        """The decoder that an arm begins with."""
        reading = self.readings[config.lm]
        assert isinstance(reading, Reading)
        return reading.decoder

    def part(self, stage: str) -> nn.Module:
        """The module whose forward a stage trains."""
        if stage.startswith("lm-"):
            return self.readings[stage.removeprefix("lm-")]
        if stage == "ctc-alone":
            assert self.alone is not None
            return self.alone
        return self.ctc if stage == "ctc" else self.arms[stage]

    def choose(self, stage: str) -> None:
        """Train what a stage trains and nothing else."""
        self.requires_grad_(False)
        for p in self.trained(stage):
            p.requires_grad_(True)

    def trained(self, stage: str) -> Iterator[nn.Parameter]:
        """The parameters of a stage: all of the part, but of an arm not the decoder's own, and only the heads of one
        that comes after another."""
        part = self.part(stage)
        if not isinstance(part, SpeechLLM):
            yield from part.parameters()
            return
        if part.heads is not None:
            yield from part.heads.parameters()
        if not arm(self.config, stage).after:
            yield from part.encoder.parameters()
            yield from part.projector.parameters()
            if arm(self.config, stage).full:
                yield from part.decoder.parameters()
            for layer in lora.layers(part.decoder).values():
                yield from (layer.lora_A, layer.lora_B)

    def begin(self, stage: str) -> None:
        """Give an arm, or the encoder that goes on without a decoder, what was trained before it."""
        if stage == "ctc-alone":
            self.part(stage).load_state_dict(self.ctc.state_dict())
        if stage in self.arms:
            self._begin(stage, self.arm(stage))

    def untrained(self, name: str) -> SpeechLLM:
        """An arm as its stage finds it, apart from the trained one."""
        model = copy.deepcopy(self.arm(name))
        self._begin(name, model)
        return model

    def arm(self, name: str) -> SpeechLLM:
        found = self.arms[name]
        assert isinstance(found, SpeechLLM)
        return found

    @torch.no_grad()
    def _begin(self, stage: str, part: SpeechLLM) -> None:
        asked = arm(self.config, stage)
        if asked.after:
            earlier = self.arms[asked.after].state_dict()
            part.load_state_dict({k: v for k, v in earlier.items() if not k.startswith("heads.")}, strict=False)
        elif asked.init == "ctc":
            part.encoder.load_state_dict(self.ctc.encoder.state_dict())
        if not asked.after:
            if asked.full:
                part.decoder.load_state_dict(self.lm(asked).state_dict())
            part.projector.reset(part.decoder)
        if part.heads is not None:
            part.heads.reset(part.decoder.unembed)


def encoder_shape(config: Config) -> EncoderShape:
    return EncoderShape(
        N_MELS, config.stride, config.encoder_layers, config.d_encoder, config.encoder_heads, config.d_encoder_ff,
        config.kernel, config.dropout,
    )  # fmt: skip


def small_shape(config: Config, vocab_size: int) -> Shape:
    return Shape(
        vocab_size, config.d_model, config.n_layers, config.n_heads, config.n_kv_heads, config.d_ff, max_seq_len=2048
    )


def make_decoder(config: Config, vocabulary: Vocabulary) -> Decoder:
    """The decoder as it is before this run; a ValueError in one line where there is none."""
    if config.decoder in ("small", "random"):
        decoder = Decoder(small_shape(config, vocabulary.size))
    elif config.decoder == "smollm2":
        decoder = smollm2.load()
    else:
        decoder = hub.load(Path(config.decoder).expanduser())
    if config.precision == "bf16" and config.decoder != "small" and not config.full:
        # what never changes needs no fp32 copy and no cast at each step; to attention LoRA is added: bf16 would hide it
        for name, p in decoder.named_parameters():
            p.data = p.data.bfloat16() if p.dim() > 1 and ".attn." not in name else p.data
    return decoder


def make_arm(config: Config, decoder: Decoder, vocabulary: Vocabulary) -> SpeechLLM:
    """The model of one arm around a decoder, whose own weights it shares and does not train."""
    shared = {} if config.full else {id(p): p for p in decoder.parameters()}
    mine = copy.deepcopy(decoder, shared)
    if config.lora_r and not config.full:
        lora.adapt(mine, LoRA(config.lora_r, config.lora_alpha, ATTENTION))
    encoder = Encoder(encoder_shape(config))
    heads = make_heads(config.heads, config.n_tokens, decoder.unembed)
    projector = Projector(config.stack, config.d_encoder, mine)
    model = SpeechLLM(encoder, projector, mine, vocabulary.bos, vocabulary.eos, heads)
    model.masked, model.head_weight = config.masked, config.head_weight
    model.augmentation = augmentation(config)
    return model


def augmentation(config: Config) -> Augmentation:
    return Augmentation(config.time_masks, config.mel_masks, config.mel_warp)


def check_room(config: Config, decoder: Decoder, frames: int, tokens: int) -> None:
    """A ValueError in one line where an utterance of so many frames and tokens is longer than the encoder, or the
    decoder, has positions for."""
    steps = int(steps_of(torch.tensor(frames), config.stride))
    places = -(-steps // config.stack) + 1 + tokens + config.n_tokens
    for need, room, what in ((steps, MOST_STEPS, "encoder"), (places, decoder.shape.max_seq_len, "decoder")):
        if need > room:
            raise ValueError(f"{frames / 100:.0f} s of sound take {need} places of the {what}, which has {room}; "
                             "cut the sound into shorter pieces")  # fmt: skip
