"""The whole training of a MobileLLM: `python -m repro.mobilellm.train RECIPE`, alone or under torchrun."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import torch
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel as DDP

from repro.lab import tokenizers
from repro.lab.capture import captured
from repro.lab.checkpoint import TrainState
from repro.lab.data import batch_indices, my_share
from repro.lab.distributed import World, world
from repro.lab.files import write_whole
from repro.lab.optim import adamw, optimize, set_lr, warmup_cosine
from repro.lab.recipe import Command, command
from repro.lab.run import Run
from repro.lab.text import Tokens
from repro.lab.tokenizers import Tokenizer
from repro.lab.transformer import Decoder, TokenLoss
from repro.mobilellm.config import RECIPES, Config
from repro.mobilellm.data import load
from repro.mobilellm.measure import measure
from repro.mobilellm.sharing import MobileLLM


def make_state(config: Config, w: World) -> TrainState:
    """The decoder as the seed initialises it, with its loss, and AdamW. With FSDP2 each rank keeps its part of every
    weight; a block's are gathered when it runs. On a GPU the learning rate is a tensor that a captured graph can
    read."""
    torch.manual_seed(config.seed)
    with w.device:
        model = TokenLoss(MobileLLM(config))
    if config.shard and w.size > 1:
        for block in model.decoder.blocks:
            fully_shard(block)
        fully_shard(model)
    return TrainState(model, adamw(model.parameters(), config.lr, config.weight_decay))


class Step:
    """One step on the rows it is given: sequences, loss, gradient, clipping, AdamW; all of it on the device, with
    nothing that waits for the host, so that it can be compiled and captured."""

    def __init__(self, config: Config, tokens: Tokens, state: TrainState, w: World) -> None:
        self.config, self.tokens, self.state, self.world = config, tokens, state, w
        if config.compile:
            state.model.compile()
        self.model: nn.Module = DDP(state.model) if w.size > 1 and not config.shard else state.model
        self.take = captured(self.run, state, w) if config.compile else self.run

    def __call__(self, step: int, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Take step `step`; the mean loss in nats and the norm of the gradient, on the device."""
        c = self.config
        set_lr(self.state.optimizer, warmup_cosine(step, peak=c.lr, warmup=c.warmup, total=c.steps, floor=0.1 * c.lr))
        return self.take(rows)

    def run(self, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return optimize(self.state, self.model, self.loss, rows.chunk(self.config.accum), self.world, clip=1.0)

    def loss(self, model: nn.Module, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum of the losses of some sequences, in nats, and how many tokens they are."""
        sequences = self.tokens.windows(rows, self.config.seq_len)
        with torch.autocast(rows.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            total, count = model(sequences)
        return total, count


def train(asked: Command[Config], w: World) -> TrainState:
    """Run a recipe from where its folder stands to its end, or until its time is up."""
    config = asked.config
    try:
        tokens, tokenizer = load(config, w.device)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    state = make_state(config, w)
    run = Run("mobilellm", asked, w, data=tokens.name)
    if run.is_done():
        run.say(f"{run.folder} holds this run, finished; remove it to run again")
        return state
    take: Step | None = None
    for step in run.steps(state, config.steps):
        if take is None:  # a checkpoint was loaded by now, and the folder is this run's own
            take = Step(config, tokens, state, w)
            _keep(tokenizer, run)
        rows = batch_indices(tokens.n_windows(config.seq_len), config.batch_size, config.seed, step, str(w.device))
        loss, norm = take(step, my_share(rows, w.rank, w.size))
        if step % config.log_every == 0 or step + 1 == config.steps:
            run.log(step, loss_nats=loss, grad_norm=norm)
    if not run.stopped and (w.is_main or config.shard):  # a sharded model runs on all ranks or on none
        assert isinstance(state.model, TokenLoss)
        run.finish(**measure(config, state.model, tokens, w))
    w.wait()
    return state


def _keep(tokenizer: Tokenizer, run: Run) -> None:
    if run.world.is_main:
        write_whole(run.folder / "tokenizer.json", lambda file: file.write(tokenizer.raw.to_str().encode()))


def load_run(folder: Path) -> tuple[Decoder, Tokenizer]:
    """The decoder of a run's folder, in fp32 on the CPU, and its tokenizer."""
    record = json.loads((folder / "record.json").read_text("utf-8"))
    config = Config(**{f.name: record["config"][f.name] for f in fields(Config) if f.name in record["config"]})
    model = TokenLoss(MobileLLM(config))
    model.load_state_dict(torch.load(folder / "last.pt", map_location="cpu", weights_only=True)["model"])
    return model.decoder.eval(), tokenizers.load(folder / "tokenizer.json")


def main(args: Sequence[str] | None = None) -> TrainState:
    asked = command("mobilellm", RECIPES, args)
    with world() as w:
        return train(asked, w)


if __name__ == "__main__":
    main()
