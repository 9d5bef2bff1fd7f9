"""The whole training of DDPM, top to bottom: `python -m repro.ddpm.train RECIPE`, alone or under torchrun."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP

from repro.ddpm import data
from repro.ddpm.config import RECIPES, Config
from repro.ddpm.data import Images
from repro.ddpm.diffusion import Diffusion, linear_betas
from repro.ddpm.eval import evaluate
from repro.ddpm.model import build
from repro.lab.capture import captured
from repro.lab.checkpoint import TrainState
from repro.lab.data import batch_indices, my_share
from repro.lab.distributed import World, world
from repro.lab.optim import ema_decay, optimize, set_lr, update_ema, warmup_constant
from repro.lab.recipe import Command, command
from repro.lab.run import Run


def make_state(config: Config, device: torch.device) -> TrainState:
    """The network as the seed initialises it, its average, and Adam. On a GPU convolutions are fastest with channels
    last, and the learning rate is a tensor that a captured graph can read."""
    torch.manual_seed(config.seed)
    network = build(config).to(device)
    if device.type == "cuda":
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        lr = torch.tensor(config.lr, device=device)
        adam = torch.optim.Adam(network.parameters(), lr=lr, fused=True, capturable=True)
    else:
        adam = torch.optim.Adam(network.parameters(), lr=config.lr)
    return TrainState(network, adam, ema=copy.deepcopy(network).requires_grad_(False))


class Step:
    """One step on the rows it is given: batch, noise, loss, gradient, clipping, Adam, average. All of it on the device,
    with nothing that waits for the host, so that it can be compiled and captured."""

    def __init__(self, config: Config, images: torch.Tensor, diffusion: Diffusion, state: TrainState, w: World) -> None:
        self.config, self.images, self.diffusion, self.state, self.world = config, images, diffusion, state, w
        self.decay = torch.zeros((), device=w.device)
        model: nn.Module = DDP(state.model) if w.size > 1 else state.model
        self.model: nn.Module = torch.compile(model) if config.compile else model  # type: ignore[assignment]
        self.take = captured(self.run, state, w) if config.compile else self.run

    def __call__(self, step: int, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Take step `step`; the mean loss and the norm of the gradient, on the device."""
        set_lr(self.state.optimizer, warmup_constant(step, peak=self.config.lr, warmup=self.config.warmup))
        self.decay.fill_(ema_decay(step, self.config.ema))
        return self.take(rows)

    def run(self, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        loss, norm = optimize(self.state, self.model, self.loss, rows.chunk(self.config.accum), self.world, clip=1.0)
        assert self.state.ema is not None
        update_ema(self.state.ema, self.state.model, self.decay)
        return loss, norm

    def loss(self, model: nn.Module, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum of the losses of some images, and how many they are."""
        x0 = data.to_float(self.images[rows])
        if self.config.flips:
            mirrored = torch.rand(len(x0), 1, 1, 1, device=x0.device) < 0.5
            x0 = torch.where(mirrored, x0.flip(3), x0)
        if x0.is_cuda:
            x0 = x0.contiguous(memory_format=torch.channels_last)
        t = torch.randint(self.diffusion.n_steps, (len(x0),), device=x0.device)
        eps = torch.randn_like(x0)
        with torch.autocast(x0.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            if self.config.loss == "simple":
                losses = self.diffusion.simple_loss(model, x0, t, eps)
            else:
                losses, _ = self.diffusion.vlb_term(model, x0, t, eps)
                losses = losses * self.diffusion.n_steps  # an estimate of the sum over t, in bits per dim
        return losses.sum(), torch.ones_like(losses).sum()


def train(asked: Command[Config], w: World) -> TrainState:
    """Run a recipe from where its folder stands to its end, or until its time is up."""
    config = asked.config
    try:
        images = data.load(config, w.device)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    state = make_state(config, w.device)
    diffusion = Diffusion(linear_betas(config.n_steps), config.prediction, config.variance).to(w.device)
    run = Run("ddpm", asked, w, data=images.name)
    if run.is_done():
        run.say(f"{run.folder} holds this run, finished; remove it to run again")
        return state
    take: Step | None = None
    for step in run.steps(state, config.steps):
        take = take or Step(config, images.train, diffusion, state, w)  # after a checkpoint was loaded
        rows = batch_indices(len(images.train), config.batch_size, config.seed, step, str(w.device))
        loss, norm = take(step, my_share(rows, w.rank, w.size))
        if step % config.log_every == 0 or step + 1 == config.steps:
            run.log(step, loss=loss, grad_norm=norm)
    if not run.stopped and w.is_main:
        _finish(run, config, diffusion, state, images)
    w.wait()
    return state


def _finish(run: Run, config: Config, diffusion: Diffusion, state: TrainState, images: Images) -> None:
    assert state.ema is not None
    name = f"{run.command.recipe}-s{config.seed}"
    raw = state.model.eval() if config.data == "cifar10" else None  # what averaging does shows at scale
    metrics, figures = evaluate(config, diffusion, state.ema.eval(), images, run.folder, run.world.device, name, raw)
    run.figures = figures
    run.finish(**metrics)


def main(args: Sequence[str] | None = None) -> TrainState:
    asked = command("ddpm", RECIPES, args)
    with world() as w:
        return train(asked, w)


if __name__ == "__main__":
    main()
