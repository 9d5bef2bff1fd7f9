"""The whole training of a student: `python -m repro.distillation.train RECIPE`, alone or under torchrun.

A teacher and a student to begin with are runs of their own, made before the first run that needs them and kept in
`BASES`; what they are follows from the config and the code.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP

from repro.distillation import hinton
from repro.distillation.config import RECIPES, Config, start_config, teacher_config
from repro.distillation.data import Task, Text, load
from repro.distillation.distill import Divergence, Heads
from repro.distillation.eval import measure
from repro.distillation.model import Student, frozen
from repro.distillation.outputs import teacher_outputs
from repro.distillation.policy import PolicyGradient
from repro.distillation.rollout import Rollout, until_end
from repro.lab import checkpoint, hub, tokenizers
from repro.lab.cache import key
from repro.lab.capture import captured
from repro.lab.checkpoint import TrainState
from repro.lab.data import batch_indices, my_share, step_seed
from repro.lab.distributed import World, world
from repro.lab.generate import Sampling
from repro.lab.memory import release
from repro.lab.optim import adamw, optimize, set_lr, warmup_cosine
from repro.lab.provenance import source_hash
from repro.lab.recipe import Command, command
from repro.lab.run import Run
from repro.lab.transformer import Decoder

BASES = Path("out/distillation")


def make_state(config: Config, vocab_size: int, w: World, start: Decoder | None = None) -> TrainState:
    """The student, as the seed initialises it or as `start` is, with its loss, and AdamW. On a GPU the learning rate is
    a tensor that a captured graph can read."""
    torch.manual_seed(config.seed)
    with w.device:
        model = Student(config, vocab_size)
    if start is not None:
        model.decoder.load_state_dict(start.state_dict())
    return TrainState(model, adamw(model.parameters(), config.lr, config.weight_decay))


def on_policy(config: Config, step: int) -> bool:
    """Whether step `step` trains on the student's own text: one coin for the whole batch, the same on every rank and
    after a restart."""
    if config.method != "gkd":
        return config.method == "minillm"
    return random.Random(step_seed(config.seed, step)).random() < config.lambda_


class Step:
    """One step: data, or text that the student or the teacher wrote; loss, gradient, clipping, AdamW. What follows the
    writing is on the device alone, so that it can be compiled and captured; the writing captures itself."""

    def __init__(self, config: Config, task: Task, state: TrainState, w: World, teacher: Decoder | None) -> None:
        self.config, self.task, self.state, self.world = config, task, state, w
        half = torch.bfloat16 if config.precision == "bf16" else None
        self.teacher = None if teacher is None else frozen(teacher, half)
        if config.compile:  # for its own sizes each: that teacher and student share their code is no reason for any
            for module in (state.model, self.teacher):
                if module is not None:
                    module.compile(dynamic=False)
        self.model: nn.Module = DDP(state.model) if w.size > 1 else state.model
        self.take = captured(self.run, state, w) if config.compile else self.run
        writes = config.method == "minillm" or (config.method == "gkd" and config.lambda_ > 0)
        self.rollout = self._rollout(state, half) if writes else None
        self.outputs: torch.Tensor | None = None
        if config.method == "seqkd":
            assert self.teacher is not None
            self.outputs = teacher_outputs(config, task, self.teacher)

    def _rollout(self, state: TrainState, dtype: torch.dtype | None) -> Rollout:
        c = self.config
        mixed = c.method == "minillm" and c.teacher_mix > 0
        sampling = Sampling(c.sample_temperature)
        rows = c.batch_size // self.world.size
        assert isinstance(state.model, Student) and self.teacher is not None
        student = state.model.decoder
        return Rollout(
            student, rows, self.task.prompt, self.task.new, sampling, Heads(student.unembed, self.teacher.unembed).size,
            self.teacher if mixed else None, c.teacher_mix, dtype,
            capture=c.compile and self.world.device.type == "cuda",
        )  # fmt: skip

    def __call__(self, step: int) -> tuple[torch.Tensor, ...]:
        """Take step `step`; the mean loss in nats and the norm of the gradient, on the device."""
        c = self.config
        warmup = max(1, round(c.warmup * c.steps))
        set_lr(self.state.optimizer, warmup_cosine(step, peak=c.lr, warmup=warmup, total=c.steps, floor=0.1 * c.lr))
        tokens = my_share(self._data(step), self.world.rank, self.world.size)
        own = on_policy(c, step)
        if own and self.rollout is not None:
            self.rollout.refresh()
            tokens = self.rollout(tokens[:, : self.task.prompt])
        # what the student wrote is no target for cross-entropy
        return self.take(tokens, torch.full((), 0.0 if own else c.hard, device=self.world.device))

    def _data(self, step: int) -> torch.Tensor:
        if self.outputs is None:
            return self.task.batch(step, self.config.batch_size)
        rows = batch_indices(len(self.outputs), self.config.batch_size, self.config.seed, step, str(self.world.device))
        return self.outputs[rows]

    def run(self, tokens: torch.Tensor, hard: torch.Tensor) -> tuple[torch.Tensor, ...]:
        def loss(model: nn.Module, part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.loss(model, part, hard)

        return optimize(self.state, self.model, loss, tokens.chunk(self.config.accum), self.world, clip=1.0)

    def loss(self, model: nn.Module, tokens: torch.Tensor, hard: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum of the losses of some sequences, and how many tokens they are."""
        mask = until_end(tokens[:, self.task.prompt :], self.task.stop)
        with torch.autocast(tokens.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            total, count = model(tokens, mask, hard, *self._asked(tokens))
        return total, count

    def _asked(self, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What the teacher makes of some text: its hidden states where a prediction counts, and its last matrix."""
        if self.teacher is None or self.config.method in ("sft", "seqkd"):
            return ()
        with torch.no_grad(), torch.autocast(tokens.device.type, enabled=False):
            return self.teacher.hidden(tokens[:, :-1])[:, self.task.prompt - 1 :], self.teacher.unembed


def train(asked: Command[Config], w: World) -> TrainState:
    """Run a recipe from where its folder stands to its end, or until its time is up."""
    config, began = asked.config, time.monotonic()
    if config.task == "digits":
        return hinton.train(asked, w)
    try:
        check(config, w)
        task = load(config, w.device)
        run = Run("distillation", asked, w, data=task.name)
        if run.is_done():
            run.say(f"{run.folder} holds this run, finished; remove it to run again")
            return _kept(config, task, run, w)
        teacher = _teacher(config, task, asked, began, w)
        start = None if config.start_steps == 0 else _base("student", start_config(config), asked, began, w)
    except _TimeIsUpError:
        if w.is_main:
            run.write(done=False)
        return make_state(config, task.vocab_size, w)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    state = make_state(config, task.vocab_size, w, start)
    take: Step | None = None
    marks: list[tuple[int, float]] = []
    for step in run.steps(state, config.steps):
        take = take or Step(config, task, state, w, teacher)  # after a checkpoint was loaded
        loss, norm = take(step)
        if step % config.log_every == 0 or step + 1 == config.steps:
            run.log(step, loss_nats=loss, grad_norm=norm)
            marks.append((step, time.monotonic()))
    if not run.stopped and w.is_main:
        del take
        release()
        assert isinstance(state.model, Student)
        run.finish(**_pace(marks), **measure(config, task, state.model.decoder, teacher))
    w.wait()
    return state


def check(config: Config, w: World) -> None:
    """A ValueError in one line where settings do not go together."""
    c = config
    Divergence(c.divergence, c.beta, c.temperature)
    PolicyGradient(c.teacher_mix, c.length_norm, c.single_step)
    for name, share in (("lambda_", c.lambda_), ("hard", c.hard)):
        if not 0 <= share <= 1:
            raise ValueError(f"--{name} {share:g} is no share; it must be from 0 to 1")
    if c.method != "sft" and not c.teacher and c.teacher_steps == 0:
        raise ValueError(f"{c.method} needs a teacher: --teacher-steps of its training, or --teacher FOLDER")
    if c.batch_size % (w.size * c.accum):
        raise ValueError(f"a batch of {c.batch_size} does not split into {c.accum} micro-batches on {w.size} ranks")
    if c.method == "seqkd" and c.pool < c.batch_size:
        raise ValueError(f"a pool of {c.pool} outputs holds no batch of {c.batch_size}; make --pool larger")
    if c.teacher and c.task != "text":
        raise ValueError("--teacher FOLDER is for text; a teacher of numbers is trained here")
    _check_read(c)


# what each method reads of the settings that are about methods
_OF_METHODS = {
    "sft": (), "kd": ("divergence", "beta", "temperature", "hard"), "seqkd": ("beams", "pool"),
    "gkd": ("divergence", "beta", "temperature", "hard", "lambda_", "sample_temperature"),
    "minillm": ("teacher_mix", "length_norm", "single_step"),
}  # fmt: skip


def _check_read(config: Config) -> None:
    """A ValueError where something is set that the method would not read, and so would not do."""
    plain = Config()
    for name in sorted(set().union(*_OF_METHODS.values()) - set(_OF_METHODS[config.method])):
        if getattr(config, name) != getattr(plain, name):
            why = ", which is reverse KL at temperature 1 on text sampled at 1" if config.method == "minillm" else ""
            flag = name if name.endswith("_") else name.replace("_", "-")
            raise ValueError(f"--{flag} means nothing to {config.method}{why}; leave it out")


def _pace(marks: Sequence[tuple[int, float]]) -> dict[str, float]:
    """Milliseconds a step, without the first fifth, where graphs are captured. Reading a loss waits for the device. Of
    a run that went on after its last step there is nothing to tell."""
    if not marks:
        return {}
    (first, began), (last, ended) = marks[len(marks) // 5], marks[-1]
    return {"ms_per_step": 1e3 * (ended - began) / (last - first)} if last > first else {}


class _TimeIsUpError(Exception):
    """A run that this one stands on was stopped; the same command goes on with it."""


def _teacher(config: Config, task: Task, asked: Command[Config], began: float, w: World) -> Decoder | None:
    if config.teacher:
        folder = Path(config.teacher).expanduser()
        check_vocabulary(folder, task)
        found = hub.load(folder)
        check_size(found, task)
        return found.to(w.device)
    return None if config.teacher_steps == 0 else _base("teacher", teacher_config(config), asked, began, w)


def check_vocabulary(folder: Path, task: Task) -> None:
    """A ValueError unless the teacher in `folder` reads the task's tokens as its own: a divergence compares what two
    models say of the same tokens."""
    theirs = tokenizers.load(folder / "tokenizer.json")
    if theirs.hash != task.vocabulary:
        ours = task.tokenizer.name if isinstance(task, Text) else task.vocabulary
        raise ValueError(
            f"the teacher's tokens ({theirs.name}) are not the student's ({ours}), so their predictions cannot be "
            f"compared; read text with --tokenizer {folder / 'tokenizer.json'}"
        )


def check_size(teacher: Decoder, task: Task) -> None:
    """A ValueError unless the teacher has a place for each token of a sequence, and a row for each of the
    vocabulary."""
    places, rows = teacher.shape.max_seq_len, len(teacher.unembed)
    if task.prompt + task.new > places:
        raise ValueError(f"sequences of {task.prompt + task.new} tokens are more than the teacher's {places}")
    if isinstance(task, Text) and rows < task.tokenizer.vocab_size:
        raise ValueError(f"the teacher has {rows:,} tokens and its tokenizer {task.tokenizer.vocab_size:,}")


def _base(role: str, config: Config, asked: Command[Config], began: float, w: World) -> Decoder:
    """The model that a run of its own trains, once."""
    facts = json.dumps(asdict(config), sort_keys=True)
    folder = BASES / f"{role}-{key(facts, source_hash('distillation'))}"

    def left() -> float:
        return asked.minutes - (time.monotonic() - began) / 60

    with _alone(role, folder, left(), w):
        own = Command(role, config, folder, left())
        run = Run("distillation", own, w)
        state = _kept(config, load(config, w.device), run, w) if run.is_done() else train(own, w)
    if state.step < config.steps:
        raise _TimeIsUpError
    assert isinstance(state.model, Student)
    decoder = frozen(state.model.decoder)
    del state
    release()
    return decoder


@contextmanager
def _alone(role: str, folder: Path, minutes: float, w: World) -> Iterator[None]:
    """With `folder` to ourselves: of arms that run side by side the first trains what all stand on, the others wait."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_suffix(".lock"))
    if not w.agree(w.is_main and _held(lock, 0)):
        if w.is_main:
            print(f"another run has the {role} in {folder}; waiting for it", file=sys.stderr, flush=True)
        if not w.agree(w.is_main and _held(lock, max(0.0, 60 * minutes))):
            raise _TimeIsUpError
    try:
        yield
    finally:
        lock.release()


def _held(lock: FileLock, seconds: float) -> bool:
    try:
        lock.acquire(timeout=-1 if math.isinf(seconds) else seconds)
    except Timeout:
        return False
    return True


def _kept(config: Config, task: Task, run: Run, w: World) -> TrainState:
    state = make_state(config, task.vocab_size, w)
    checkpoint.load(state, run.folder / "last.pt")
    return state


def main(args: Sequence[str] | None = None) -> TrainState:
    asked = command("distillation", RECIPES, args)
    with world() as w:
        return train(asked, w)


if __name__ == "__main__":
    main()
