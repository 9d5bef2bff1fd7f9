"""A base, a control, and arms that all begin at that base: `python -m repro.lora_forgetting.train RECIPE`, alone or
under torchrun."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
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
from repro.lab.memory import release
from repro.lab.optim import optimize, set_lr, warmup_cosine
from repro.lab.recipe import Command, command
from repro.lab.run import Run
from repro.lab.transformer import Decoder, TokenLoss
from repro.lora_forgetting import data, eval, model
from repro.lora_forgetting.config import RECIPES, Config, arm_config
from repro.lora_forgetting.data import Domain
from repro.lora_forgetting.experiment import Experiment

COOLDOWN = 0.2  # the last part of a trapezoid, as in the paper
_CAPTURED = 8  # micro-batches at most: a longer step hides the launches of its kernels itself, and its graph is huge


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
            release()
            experiment.end(stage, state)
            release()
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
