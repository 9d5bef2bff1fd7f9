"""The stages of a run: a base, a control that tells whether it is at its plateau, and arms that all begin at that base;
how each begins and what is kept of it."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from repro.lab import hub
from repro.lab.checkpoint import TrainState
from repro.lab.distributed import World
from repro.lab.files import write_whole
from repro.lab.lora import trained
from repro.lab.optim import adamw, decayed, lr_on
from repro.lab.run import Run
from repro.lab.transformer import Decoder, TokenLoss
from repro.lora_forgetting import eval, model
from repro.lora_forgetting.config import Config, arm_config
from repro.lora_forgetting.data import Domains
from repro.lora_forgetting.lion import LionW


@dataclass(frozen=True)
class Stage:
    """A part of a run: what it is called, its own settings, what it trains on, and the step at which it begins."""

    name: str
    config: Config
    on_source: bool
    begins: int

    @property
    def ends(self) -> int:
        return self.begins + self.config.steps

    @property
    def tokens(self) -> int:
        return self.config.steps * self.config.batch_size * self.config.seq_len


def stages(config: Config) -> list[Stage]:
    """What a run does, in its order: the base and its control, unless a base is there already, then each arm."""
    parts: list[tuple[str, Config, bool]] = []
    of_text = config.domain == "text" and config.base != "smollm2"  # which is rounded, and no folder
    if config.trusted and not (of_text and config.base_steps == config.control_steps == 0):
        raise ValueError(
            "--trusted is for a checkpoint as it is: --domain text --base FOLDER --base-steps 0 --control-steps 0"
        )
    if not config.trusted and not model.is_base(config.base):
        if config.control_steps < 1:
            raise ValueError("without a control nothing tells whether the base is at a plateau; set --control-steps")
        of_base = replace(config, method="full", optimizer="adamw", weight_decay=0.01, attention_dropout=0.0)
        base = replace(of_base, steps=config.base_steps, lr=config.base_lr)
        control = replace(of_base, steps=config.control_steps, lr=config.base_lr / 3)
        parts = [("base", base, True), ("control", control, True)]
    parts += [(*arm_config(config, text), False) for text in config.arms]
    for name, own, _ in parts:
        _check_arm(name, own)
    found, at = [], 0
    for name, own, on_source in (part for part in parts if part[1].steps):
        found.append(Stage(name, own, on_source, at))
        at = found[-1].ends
    return found


def _check_arm(name: str, config: Config) -> None:
    """A ValueError now, and not when a base has been trained for it."""
    if config.method == "lora":
        model.lora(config)
    if not 0 <= config.attention_dropout < 1:
        raise ValueError(f"{name}: an attention dropout of {config.attention_dropout:g} is none from 0 to below 1")


def make_state(config: Config, decoder: Decoder, w: World) -> TrainState:
    """A decoder with its loss, and the optimizer of what is trained of it. On a GPU the learning rate is a tensor that
    a captured graph can read."""
    net = TokenLoss(decoder.to(w.device)).train()
    if config.optimizer == "lionw":
        return TrainState(net, LionW(decayed(trained(net), config.weight_decay), lr_on(w.device, config.lr)))
    return TrainState(net, adamw(trained(net), config.lr, config.weight_decay))


def _content(name: str) -> list[str]:
    """Of a source by its name: the hashes of its text and of its tokenizer, whatever these are called; a base keeps a
    tokenizer under a name of its own. All of the name where it tells none."""
    return re.findall(r"sha256 \w+", name) or [name]


class Experiment:
    """The stages of a run over one state: what begins each of them, and what is kept at its end."""

    def __init__(self, config: Config, domains: Domains, run: Run) -> None:
        self.config, self.domains, self.run = config, domains, run
        self.stages = stages(config)
        is_there = config.trusted or model.is_base(config.base)
        self.base = Path(config.base) if is_there else run.folder / "base"
        self.results = eval.Results(run.folder / "arms.json")
        self._check_control()

    def _check_control(self) -> None:
        """A control tells of arms that are as long as itself, and of the text that it read."""
        if self.config.trusted:
            return
        of_control = [stage.tokens for stage in self.stages if stage.name == "control"]
        known = of_control[0] if of_control else model.control_of(self.base).tokens
        source = self.domains.source.name
        if not of_control and _content(read := model.control_of(self.base).source) != _content(source):
            raise ValueError(f"the control of {self.base} read {read}, and the source here is {source}; give that one")
        for stage in self.stages:
            if not stage.on_source and stage.tokens > known:
                raise ValueError(
                    f"{stage.name} trains on {stage.tokens:,} tokens and the base's control on {known:,}, which tells "
                    "nothing of a longer arm; make the base with more --control-steps, or take fewer --steps"
                )

    @property
    def total(self) -> int:
        return self.stages[-1].ends

    def at(self, step: int) -> Stage:
        return next(stage for stage in self.stages if step < stage.ends)

    def begin(self, stage: Stage) -> TrainState:
        """A state as the stage finds it."""
        if not stage.on_source:
            self._measure_base()
        torch.manual_seed(stage.config.seed)
        decoder = self._on_source(stage) if stage.on_source else model.arm_of(stage.config, hub.load(self.base))
        return make_state(stage.config, decoder, self.world)

    def _on_source(self, stage: Stage) -> Decoder:
        """What the base is made of; the control begins at the base, which is kept, so that arms begin there too."""
        if stage.name == "control" and (self.base / "config.json").is_file():
            return hub.load(self.base)
        decoder = model.first(stage.config)
        if stage.name == "control":
            self._keep_base(decoder)
        return decoder

    def _keep_base(self, decoder: Decoder) -> None:
        if self.world.is_main:
            if self.domains.tokenizer is not None:
                text = self.domains.tokenizer.raw.to_str().encode()
                write_whole(self.base / "tokenizer.json", lambda file: file.write(text))
            hub.save(decoder, self.base)

    def _measure_base(self) -> None:
        """Once a run: all that is asked for where the run has made the base, or trusts it, else what its arms' losses
        are compared with."""
        if self.world.is_main and "base" not in self.results:
            known = model.is_base(self.config.base)
            of_all = () if known else self.config.measure
            asked = replace(self.config, measure=tuple(dict.fromkeys(("loss", *of_all))))
            base = hub.load(self.base).to(self.world.device).eval()
            self.results.keep("base", eval.measure(asked, base, None, self.domains))

    def _source_nats(self, stage: Stage, decoder: Decoder) -> float:
        """The loss itself, whatever the optimum."""
        return eval.held_out(stage.config, decoder, self.domains.source) + self.domains.source.optimum_nats

    @property
    def world(self) -> World:
        return self.run.world

    def end(self, stage: Stage, state: TrainState) -> None:
        """Keep what the stage made; the main rank does, the others wait."""
        assert isinstance(state.model, TokenLoss)
        if stage.name == "base":
            self._keep_base(state.model.decoder)
        elif self.world.is_main:
            # a copy is not compiled: what measures it reads texts of all lengths
            decoder = copy.deepcopy(state.model.decoder).requires_grad_(False).eval()
            if stage.name == "control":
                self._end_control(stage, decoder)
            else:
                self.results.keep(stage.name, eval.measure(stage.config, decoder, hub.load(self.base), self.domains))
        self.world.wait()

    def _end_control(self, stage: Stage, decoder: Decoder) -> None:
        base = hub.load(self.base).to(self.world.device).eval()
        before, after = (self._source_nats(stage, each) for each in (base, decoder))
        model.keep_control(self.base, model.Control(before, after, stage.tokens, self.domains.source.name))
        self._measure_base()

    @property
    def control(self) -> model.Control | None:
        """None of a base that is trusted."""
        return None if self.config.trusted else model.control_of(self.base)
