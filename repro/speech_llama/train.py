"""The whole training of a Speech-LLaMA: `python -m repro.speech_llama.train RECIPE`, alone or under torchrun."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP

from repro.lab.capture import Tensors, captured
from repro.lab.checkpoint import TrainState
from repro.lab.data import my_share
from repro.lab.distributed import World, world
from repro.lab.files import write_whole
from repro.lab.memory import release
from repro.lab.optim import adamw, optimize, set_lr, warmup_cosine
from repro.lab.recipe import Command, command
from repro.lab.run import Run
from repro.speech_llama import features
from repro.speech_llama.config import RECIPES, Config, arm
from repro.speech_llama.copying import Reading
from repro.speech_llama.ctc import ctc_loss
from repro.speech_llama.data import Batches, Speech, load
from repro.speech_llama.measure import measure, most_tokens
from repro.speech_llama.model import CTC, steps_of
from repro.speech_llama.normalise import word_errors
from repro.speech_llama.system import Stage, System, augmentation, check_room, make_decoder, stages


def make_state(config: Config, speech: Speech, w: World) -> TrainState:
    """All parts as the seed initialises them, and AdamW. A part has gradients, and moves, in its own stage only. On a
    GPU the learning rate is a tensor that a captured graph can read."""
    torch.manual_seed(config.seed)
    decoder = make_decoder(config, speech.vocabulary)
    model = System(config, decoder, speech.vocabulary, speech.units.count).to(w.device)
    return TrainState(model, adamw(model.parameters(), config.lr, config.weight_decay, betas=(0.9, 0.98)))


class Step:
    """The steps of one stage: loss, gradient, clipping, AdamW, all of it on the device. Where it is compiled it is
    captured too, once for each width of a batch."""

    def __init__(self, config: Config, stage: Stage, speech: Speech, state: TrainState, w: World) -> None:
        assert isinstance(state.model, System)
        self.config, self.stage, self.split, self.state, self.world = config, stage, speech.train, state, w
        state.model.choose(stage.name)
        self.part = state.model.part(stage.name).train()
        self.augmentation = augmentation(config)
        if config.compile:
            self.part.compile()
        self.model: nn.Module = DDP(self.part) if w.size > 1 else self.part
        self.captures = config.compile and w.size == 1 and w.device.type == "cuda"  # else `captured` leaves it as it is
        self.takes: dict[torch.Size, Callable[..., Tensors]] = {}

    def __call__(self, step: int, rows: torch.Tensor, width: int) -> Tensors:
        """Take step `step` of the run on rows (B,), whose features are `width` frames wide; the mean loss in nats and
        the norm of the gradient, on the device."""
        stage = self.stage
        warmup = max(1, round(self.config.warmup * stage.steps))
        lr = warmup_cosine(step - stage.begin, peak=stage.lr, warmup=warmup, total=stage.steps, floor=0.1 * stage.lr)
        set_lr(self.state.optimizer, lr)
        inputs = self.inputs(rows, width)
        if not self.config.compile:
            return self.take(*inputs)
        if inputs[0].shape not in self.takes:
            self.takes[inputs[0].shape] = captured(self.take, self.state, self.world)
        return self.takes[inputs[0].shape](*inputs)

    def inputs(self, rows: torch.Tensor, width: int) -> Tensors:
        """What the loss of some utterances is made of."""
        split, device = self.split, self.world.device
        tokens = tuple(features.sent(t, device) for t in split.tokens.take(rows))
        if isinstance(self.part, Reading):
            return tokens
        speed = self.config.speed
        rates = 1 + speed * (2 * torch.rand(len(rows)) - 1) if speed else None
        x, frames = split.take(rows, width, rates)
        on_device = features.sent(frames, device)
        if not isinstance(self.part, CTC):
            return x, on_device, *tokens
        units, counts = split.units.take(rows)
        steps = steps_of(frames, self.config.stride)
        if self.captures:  # else its lengths stay on the host, where PyTorch's loss plans with them
            steps, counts = features.sent(steps, device), features.sent(counts, device)
        return x, on_device, features.sent(units, device), steps, counts

    def take(self, *inputs: torch.Tensor) -> Tensors:
        parts = list(zip(*(x.chunk(self.config.accum) for x in inputs), strict=True))
        return optimize(self.state, self.model, self.loss, parts, self.world, clip=1.0)

    def loss(self, model: nn.Module, given: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum of the losses of some utterances in nats, and how many tokens or units they are about."""
        with torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            if isinstance(self.part, CTC):
                x, frames, units, steps, counts = given
                return ctc_loss(model(x, frames, self.augmentation)[0], steps, units, counts)
            total, count = model(*given)
            return total, count


def train(asked: Command[Config], w: World) -> TrainState:
    """Run a recipe from where its folder stands to its end, or until its time is up."""
    config = asked.config
    try:
        word_errors(["a"], ["a"])  # a library that measuring needs: lacking, it is better said now than at the end
        speech = load(config, w.device)
        state = make_state(config, speech, w)
        assert isinstance(state.model, System)
        longest, most = max(speech.train.widest, speech.test.widest), most_tokens(config, speech)
        for name in config.arms:
            check_room(arm(config, name), state.model.arm(name).decoder, longest, most)
    except ValueError as error:
        raise SystemExit(str(error)) from None
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
            take = None  # before the next one is made
            release()
            take = Step(config, stage, speech, state, w)
        rows, width = (order_of_texts if stage.name.startswith("lm-") else order)(step)
        loss, norm = take(step, my_share(rows, w.rank, w.size), width)
        if step % config.log_every == 0 or step + 1 == stage.end:
            run.log(step, loss_nats=loss, grad_norm=norm)
    take = None
    release()
    if not run.stopped and w.is_main:
        run.finish(**measure(config, state.model, speech))
    w.wait()
    return state


def _keep(speech: Speech, run: Run) -> None:
    """What a checkpoint needs to be read: the units that CTC, and perhaps the decoder, says."""
    if run.world.is_main:
        text = json.dumps(speech.units.facts())
        write_whole(run.folder / "units.json", lambda file: file.write(text.encode()))


def main(args: Sequence[str] | None = None) -> TrainState:
    asked = command("speech_llama", RECIPES, args)
    with world() as w:
        return train(asked, w)


if __name__ == "__main__":
    main()
