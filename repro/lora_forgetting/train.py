"""A base, a control, and arms that all begin at that base: `python -m repro.lora_forgetting.train RECIPE`, alone or
under torchrun."""

from __future__ import annotations

import copy
import gc
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP

from repro.lab import hub
from repro.lab.capture import captured
from repro.lab.checkpoint import TrainState
from repro.lab.data import batch_indices, my_share
from repro.lab.distributed import World, world
from repro.lab.files import write_whole
from repro.lab.lora import trained
from repro.lab.optim import adamw, decayed, lr_on, optimize, set_lr, warmup_cosine
from repro.lab.recipe import Command, command
from repro.lab.run import Run
from repro.lab.transformer import Decoder, TokenLoss
from repro.lora_forgetting import data, eval, model
from repro.lora_forgetting.config import RECIPES, Config, arm_config
from repro.lora_forgetting.data import Domain, Domains
from repro.lora_forgetting.lion import LionW

COOLDOWN = 0.2  # the last part of a trapezoid, as in the paper
_CAPTURED = 8  # micro-batches at most: a longer step hides the launches of its kernels itself, and its graph is huge


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
    if config.trusted and (config.domain != "text" or config.base_steps or config.control_steps):
        raise ValueError("--trusted is for a checkpoint as it is: --domain text --base-steps 0 --control-steps 0")
    if not config.trusted and not model.is_base(config.base):
        if config.control_steps < 1:
            raise ValueError("without a control nothing tells whether the base is at a plateau; set --control-steps")
        of_base = replace(config, method="full", optimizer="adamw", weight_decay=0.01, attention_dropout=0.0)
        base = replace(of_base, steps=config.base_steps, lr=config.base_lr)
        control = replace(of_base, steps=config.control_steps, lr=config.base_lr / 3)
        parts = [("base", base, True), ("control", control, True)]
    parts += [(*arm_config(config, text), False) for text in config.arms]
    found, at = [], 0
    for name, own, on_source in (part for part in parts if part[1].steps):
        found.append(Stage(name, own, on_source, at))
        at = found[-1].ends
    return found


def learning_rate(config: Config, step: int) -> float:
    """Of step `step` of a stage: up over the warm-up, then by the schedule of its own length."""
    warmup = max(1, round(config.warmup * config.steps))
    if config.schedule == "cosine":
        return warmup_cosine(step, peak=config.lr, warmup=warmup, total=config.steps, floor=0.01 * config.lr)
    return trapezoid(step, peak=config.lr, warmup=warmup, total=config.steps)


def trapezoid(step: int, *, peak: float, warmup: int, total: int) -> float:
    """Linear warm-up to `peak`, constant, and over the last fifth of the steps linearly towards zero."""
    down = max(1, round(COOLDOWN * total))
    return peak * min(1.0, (step + 1) / warmup, (total - step) / down)


def make_state(config: Config, decoder: Decoder, w: World) -> TrainState:
    """A decoder with its loss, and the optimizer of what is trained of it. On a GPU the learning rate is a tensor that
    a captured graph can read."""
    net = TokenLoss(decoder.to(w.device)).train()
    if config.optimizer == "lionw":
        return TrainState(net, LionW(decayed(trained(net), config.weight_decay), lr_on(w.device, config.lr)))
    return TrainState(net, adamw(trained(net), config.lr, config.weight_decay))


class Step:
    """One step of a stage on the rows it is given; all of it but fetching their tokens can be compiled and captured."""

    def __init__(self, config: Config, domain: Domain, state: TrainState, w: World) -> None:
        self.config, self.domain, self.state, self.world = config, domain, state, w
        if config.compile:
            state.model.compile()
        self.net: nn.Module = DDP(state.model) if w.size > 1 else state.model
        self.take = captured(self.run, state, w) if config.compile and config.accum <= _CAPTURED else self.run

    def __call__(self, step: int, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Take step `step` of the stage; the mean loss in nats and the norm of the gradient, on the device."""
        set_lr(self.state.optimizer, learning_rate(self.config, step))
        return self.take(self.domain.take(rows).to(self.world.device))

    def run(self, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return optimize(self.state, self.net, self.loss, tokens.chunk(self.config.accum), self.world, clip=1.0)

    def loss(self, net: nn.Module, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.autocast(tokens.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            total, count = net(tokens)
        return total, count


def release(config: Config) -> None:
    """Let go of a stage's compiled code and of its graph, once the step that held them is gone. Of one function Dynamo
    keeps eight versions, for all stages together, and runs what exceeds them uncompiled; and a step and its graph refer
    to each other, so that the graph's memory waits for the collector."""
    if config.compile:
        torch.compiler.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class Experiment:
    """The stages of a run over one state: what begins each of them, and what is kept at its end."""

    def __init__(self, config: Config, domains: Domains, run: Run) -> None:
        self.config, self.domains, self.run = config, domains, run
        self.stages = stages(config)
        self.is_given = config.trusted or model.is_base(config.base)
        self.base = Path(config.base) if self.is_given else run.folder / "base"
        self.results = eval.Results(run.folder / "arms.json")
        self._check_lengths()

    def _check_lengths(self) -> None:
        """A control tells of arms that are as long as itself."""
        if self.config.trusted:
            return
        of_control = [stage.tokens for stage in self.stages if stage.name == "control"]
        known = of_control[0] if of_control else model.control_of(self.base).tokens
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
            asked = replace(self.config, measure=("loss",)) if known else self.config
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
        model.keep_control(self.base, model.Control(before, after, stage.tokens))
        self._measure_base()

    @property
    def control(self) -> model.Control | None:
        """None of a base that is trusted."""
        return None if self.config.trusted else model.control_of(self.base)


def reached(folder: Path) -> int:
    """The step that a folder's checkpoint stands at."""
    path = folder / "last.pt"
    return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["step"]) if path.is_file() else 0


def train(asked: Command[Config], w: World) -> TrainState | None:
    """Run a recipe from where its folder stands to its end, or until its time is up."""
    config = asked.config
    if "cost" in config.measure:
        _cost(asked, w)
        return None
    if config.domain == "markov" and w.device.type == "cpu":
        torch.set_num_threads(1)  # its products are too small to be worth dividing
    try:
        domains = data.load(config, w.device)
        experiment = Experiment(config, domains, Run("lora_forgetting", asked, w, data=domains.name))
    except ValueError as error:
        raise SystemExit(str(error)) from None
    run = experiment.run
    if run.is_done():
        run.say(f"{run.folder} holds this run, finished; remove it to run again")
        return None
    stage = experiment.at(max(0, reached(run.folder) - 1))
    state = experiment.begin(stage)
    take: Step | None = None
    for step in run.steps(state, experiment.total):
        if step == stage.ends:
            stage = experiment.at(step)
            fresh = experiment.begin(stage)
            state.model, state.optimizer = fresh.model, fresh.optimizer
        domain = domains.source if stage.on_source else domains.target
        take = take or Step(stage.config, domain, state, w)
        at, c = step - stage.begins, stage.config
        seen = config.base_steps if stage.name == "control" else 0
        rows = batch_indices(domain.n, c.batch_size, c.seed, seen + at, domain.rows_on)
        loss, norm = take(at, my_share(rows, w.rank, w.size))
        if at % c.log_every == 0 or step + 1 == stage.ends:
            run.log(step, loss_nats=loss, grad_norm=norm)
        if step + 1 == stage.ends:
            take = None
            del loss, norm  # they are the graph's
            release(c)
            experiment.end(stage, state)
            release(c)
    if not run.stopped and w.is_main:
        eval.finish(run, config, experiment.results, experiment.control)
    w.wait()
    return state


def load_run(folder: Path) -> tuple[Config, Decoder, Decoder]:
    """The settings of a run's last arm, its decoder as it ended, and its base; on the CPU. A ValueError in one line
    where the folder holds no finished run that has an arm."""
    try:
        record = json.loads((folder / "record.json").read_text("utf-8"))
        said = {name: tuple(v) if isinstance(v, list) else v for name, v in record["config"].items()}
        known: dict[str, Any] = {f.name: said[f.name] for f in fields(Config) if f.name in said}
        whole = Config(**known)
        saved = torch.load(folder / "last.pt", map_location="cpu", weights_only=True)["model"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} holds no run that can be read: {error}") from None
    if not record["done"] or not whole.arms:
        raise ValueError(f"{folder} holds no finished run that has an arm")
    base = Path(whole.base) if whole.trusted or model.is_base(whole.base) else folder / "base"
    config = arm_config(whole, whole.arms[-1])[1]
    net = TokenLoss(model.arm_of(config, hub.load(base)))
    net.load_state_dict(saved)
    return config, net.decoder.eval(), hub.load(base).eval()


def _cost(asked: Command[Config], w: World) -> None:
    """Nothing is trained: what a step costs, by our code and by peft's."""
    from repro.lora_forgetting.cost import measured

    run = Run("lora_forgetting", asked, w, data="random tokens")
    if run.is_done():
        run.say(f"{run.folder} holds this run, finished; remove it to run again")
        return
    state = TrainState(nn.Linear(1, 1), torch.optim.SGD([torch.zeros(1)]))
    for _ in run.steps(state, 0):
        pass
    run.finish(**measured())


def main(args: Sequence[str] | None = None) -> TrainState | None:
    asked = command("lora_forgetting", RECIPES, args)
    with world() as w:
        return train(asked, w)


if __name__ == "__main__":
    main()
