"""A base, a control, and arms that all begin at that base: `python -m repro.lora_forgetting.train RECIPE`, alone or
under torchrun."""

from __future__ import annotations

import copy
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


def stages(config: Config) -> list[Stage]:
    """What a run does, in its order: the base and its control, unless a base is there already, then each arm."""
    parts: list[tuple[str, Config, bool]] = []
    if not model.is_base(config.base):
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
    """One step of a stage on the rows it is given, all of it on the device, so that it can be compiled and captured."""

    def __init__(self, config: Config, domain: Domain, state: TrainState, w: World) -> None:
        self.config, self.domain, self.state, self.world = config, domain, state, w
        if config.compile:
            state.model.compile()
        self.net: nn.Module = DDP(state.model) if w.size > 1 else state.model
        self.take = captured(self.run, state, w) if config.compile else self.run

    def __call__(self, step: int, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Take step `step` of the stage; the mean loss in nats and the norm of the gradient, on the device."""
        set_lr(self.state.optimizer, learning_rate(self.config, step))
        return self.take(rows)

    def run(self, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return optimize(self.state, self.net, self.loss, rows.chunk(self.config.accum), self.world, clip=1.0)

    def loss(self, net: nn.Module, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = self.domain.take(rows)
        with torch.autocast(rows.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            total, count = net(tokens)
        return total, count


class Experiment:
    """The stages of a run over one state: what begins each of them, and what is kept at its end."""

    def __init__(self, config: Config, domains: Domains, run: Run) -> None:
        self.config, self.domains, self.run = config, domains, run
        self.stages = stages(config)
        self.base = Path(config.base) if model.is_base(config.base) else run.folder / "base"
        self.trained = run.folder / "trained"  # the base before the control
        self.results = eval.Results(run.folder / "arms.json")

    @property
    def total(self) -> int:
        return self.stages[-1].ends

    def at(self, step: int) -> Stage:
        return next(stage for stage in self.stages if step < stage.ends)

    def begin(self, stage: Stage) -> TrainState:
        """A state as the stage finds it."""
        torch.manual_seed(stage.config.seed)
        if not stage.on_source:
            return make_state(stage.config, model.arm_of(stage.config, hub.load(self.base)), self.world)
        healed = stage.name == "control" and self.trained.is_dir()
        decoder = hub.load(self.trained) if healed else model.first(stage.config)
        state = make_state(stage.config, decoder, self.world)
        if stage.name == "control" and self.world.is_main:
            self.results.keep("base", {"source_nats": self._source_nats(stage, copy.deepcopy(decoder).eval())})
        return state

    def _source_nats(self, stage: Stage, decoder: Decoder) -> float:
        """The loss itself, whatever the optimum."""
        return eval.held_out(stage.config, decoder, self.domains.source) + self.domains.source.optimum_nats

    @property
    def world(self) -> World:
        return self.run.world

    def end(self, stage: Stage, state: TrainState) -> None:
        """Keep what the stage made; the main rank does, the others wait."""
        assert isinstance(state.model, TokenLoss)
        # a copy is not compiled: what measures it reads texts of all lengths
        decoder = copy.deepcopy(state.model.decoder).requires_grad_(False).eval()
        if self.world.is_main and stage.name == "base":
            hub.save(decoder, self.trained)
        elif self.world.is_main and stage.name == "control":
            model.save_base(decoder, self.base, self.results["base"]["source_nats"], self._source_nats(stage, decoder))
            self._keep_tokenizer()
        elif self.world.is_main:
            base = hub.load(self.base).to(self.world.device).eval()
            self.results.keep(stage.name, eval.measure(stage.config, decoder, base, self.domains))
        self.world.wait()

    def _keep_tokenizer(self) -> None:
        if self.domains.tokenizer is not None:
            text = self.domains.tokenizer.raw.to_str().encode()
            write_whole(self.base / "tokenizer.json", lambda file: file.write(text))


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
    state, take = experiment.begin(stage), None
    for step in run.steps(state, experiment.total):
        if step == stage.ends:
            stage, take = experiment.at(step), None
            fresh = experiment.begin(stage)
            state.model, state.optimizer = fresh.model, fresh.optimizer
        domain = domains.source if stage.on_source else domains.target
        take = take or Step(stage.config, domain, state, w)
        at, c = step - stage.begins, stage.config
        seen = config.base_steps if stage.name == "control" else 0
        rows = batch_indices(domain.n, c.batch_size, c.seed, seen + at, str(w.device))
        loss, norm = take(at, my_share(rows, w.rank, w.size))
        if at % c.log_every == 0 or step + 1 == stage.ends:
            run.log(step, loss_nats=loss, grad_norm=norm)
        if step + 1 == stage.ends:
            experiment.end(stage, state)
    if not run.stopped and w.is_main:
        eval.finish(run, config, experiment.results, model.plateau(experiment.base))
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
    base = Path(whole.base) if model.is_base(whole.base) else folder / "base"
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
