"""The whole training of a Speech-LLaMA: `python -m repro.speech_llama.train RECIPE`, alone or under torchrun."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP

from repro.lab.capture import Tensors, captured
from repro.lab.checkpoint import TrainState
from repro.lab.data import my_share
from repro.lab.distributed import World, world
from repro.lab.files import write_whole
from repro.lab.optim import adamw, optimize, set_lr, warmup_cosine
from repro.lab.recipe import Command, command
from repro.lab.run import Run
from repro.speech_llama.config import RECIPES, Config
from repro.speech_llama.copying import Reading
from repro.speech_llama.data import Batches, Speech, load
from repro.speech_llama.measure import measure
from repro.speech_llama.model import CTC, ctc_loss, steps_of
from repro.speech_llama.normalise import word_errors
from repro.speech_llama.system import Stage, System, make_decoder, stages


def make_state(config: Config, speech: Speech, w: World) -> TrainState:
    """All parts as the seed initialises them, and AdamW. A part has gradients, and moves, in its own stage only. On a
    GPU the learning rate is a tensor that a captured graph can read."""
    torch.manual_seed(config.seed)
    decoder = make_decoder(config, speech.vocabulary)
    model = System(config, decoder, speech.vocabulary, len(speech.units.symbols)).to(w.device)
    return TrainState(model, adamw(model.parameters(), config.lr, config.weight_decay, betas=(0.9, 0.98)))


class Step:
    """The steps of one stage: loss, gradient, clipping, AdamW, all of it on the device. Where it is compiled it is
    captured too, once for each width of a batch, but for CTC's loss, which cannot be."""

    def __init__(self, config: Config, stage: Stage, speech: Speech, state: TrainState, w: World) -> None:
        assert isinstance(state.model, System)
        self.config, self.stage, self.speech, self.state, self.world = config, stage, speech, state, w
        state.model.choose(stage.name)
        self.part = state.model.part(stage.name).train()
        if config.compile:
            self.part.compile()
        self.model: nn.Module = DDP(self.part) if w.size > 1 else self.part
        self.takes: dict[int, Callable[..., Tensors]] = {}

    def __call__(self, step: int, rows: torch.Tensor, width: int) -> Tensors:
        """Take step `step` of the run on rows (B,), on the CPU, whose features are `width` frames wide; the mean
        loss in nats and the norm of the gradient, on the device."""
        stage = self.stage
        warmup = max(1, round(self.config.warmup * stage.steps))
        lr = warmup_cosine(step - stage.begin, peak=stage.lr, warmup=warmup, total=stage.steps, floor=0.1 * stage.lr)
        set_lr(self.state.optimizer, lr)
        if isinstance(self.part, CTC):
            return self.run(rows, width)
        rows = rows.to(self.world.device)
        if width not in self.takes:
            run = partial(self.run, width=width)
            self.takes[width] = captured(run, self.state, self.world) if self.config.compile else run
        return self.takes[width](rows)

    def run(self, rows: torch.Tensor, width: int) -> Tensors:
        def loss(model: nn.Module, mine: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            with torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
                return self.loss(model, mine, width)

        return optimize(self.state, self.model, loss, rows.chunk(self.config.accum), self.world, clip=1.0)

    def loss(self, model: nn.Module, rows: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum of the losses of some utterances in nats, and how many tokens or units they are about."""
        split = self.speech.train
        if isinstance(self.part, Reading):
            total, count = model(split.tokens.rows[rows], split.tokens.counts[rows])
            return total, count
        if isinstance(self.part, CTC):
            at = rows.to(self.world.device)
            log_p, _ = model(*split.take(at, width), self.config.time_masks, self.config.mel_masks)
            # its lengths from the host, or it would wait for the device to tell them
            steps = steps_of(torch.tensor([split.lengths[i] for i in rows.tolist()]), self.config.stride)
            return ctc_loss(log_p, steps, split.units.rows[at], split.unit_counts[rows])
        features, frames = split.take(rows, width)
        total, count = model(features, frames, split.tokens.rows[rows], split.tokens.counts[rows])
        return total, count


def train(asked: Command[Config], w: World) -> TrainState:
    """Run a recipe from where its folder stands to its end, or until its time is up."""
    config = asked.config
    try:
        word_errors(["a"], ["a"])  # a library that measuring needs: lacking, it is better said now than at the end
        speech = load(config, w.device)
        state = make_state(config, speech, w)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    assert isinstance(state.model, System)
    run = Run("speech_llama", asked, w, data=speech.name)
    if run.is_done():
        run.say(f"{run.folder} holds this run, finished; remove it to run again")
        return state
    lengths = speech.train.lengths
    order = Batches(lengths, config.batch_size, config.seed)
    order_of_texts = Batches(lengths, config.lm_batch_size, config.seed)
    take: Step | None = None
    plan = stages(config)
    for step in run.steps(state, plan[-1].end):
        stage = next(s for s in plan if step < s.end)
        if step == stage.begin:
            state.model.begin(stage.name)
        if take is None:  # the folder is this run's own by now
            _keep(speech, run)
        if take is None or take.stage is not stage:
            take = Step(config, stage, speech, state, w)
        rows, width = (order_of_texts if stage.name.startswith("lm-") else order)(step)
        loss, norm = take(step, my_share(rows, w.rank, w.size), width)
        if step % config.log_every == 0 or step + 1 == stage.end:
            run.log(step, loss_nats=loss, grad_norm=norm)
    if not run.stopped and w.is_main:
        run.finish(**measure(config, state.model, speech))
    w.wait()
    return state


def _keep(speech: Speech, run: Run) -> None:
    """What a checkpoint needs to be read: the units that CTC, and perhaps the decoder, says."""
    if run.world.is_main:
        text = json.dumps({"kind": speech.units.kind, "symbols": speech.units.symbols})
        write_whole(run.folder / "units.json", lambda file: file.write(text.encode()))


def main(args: Sequence[str] | None = None) -> TrainState:
    asked = command("speech_llama", RECIPES, args)
    with world() as w:
        return train(asked, w)


if __name__ == "__main__":
    main()
