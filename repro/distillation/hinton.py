"""Hinton, Vinyals and Dean's experiments in small: soft targets on scikit-learn's digits, with their whole training.

A teacher of two wide layers with dropout and shifted images learns first, then all students at once, each from its own
images: from all of them, from 3 % and from all but the threes, each with hard labels and with the teacher's soft ones.

Shapes: B images of 64 pixels, 10 classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP

from repro.distillation import figures, limits
from repro.distillation.config import Config
from repro.distillation.distill import Divergence, divergence_of_logits
from repro.lab import checkpoint
from repro.lab.checkpoint import TrainState
from repro.lab.data import batch_indices, my_share
from repro.lab.distributed import World
from repro.lab.optim import optimize, set_lr
from repro.lab.recipe import Command
from repro.lab.run import Run

N_TRAIN, N_FEW, OMITTED = 1297, 40, 3  # of 1,797 images; 3 % of those; the class left out
SMALL = 30  # hidden units where all images are given: with more, hard labels leave nothing to gain
ARMS = ("few_hard", "few_soft", "omitted_hard", "omitted_soft", "full_hard", "full_soft")
BIASES = torch.arange(0.0, 40.01, 0.25)  # tried for the class left out


class Digits:
    """Images (N, 64) in [0, 1] and labels (N,), split by the seed; which images each student learns from."""

    name = f"scikit-learn's digits, 8x8, {N_TRAIN} to learn from and {1797 - N_TRAIN} held out"

    def __init__(self, config: Config, device: torch.device) -> None:
        from sklearn.datasets import load_digits

        found = load_digits()
        order = torch.randperm(len(found.target), generator=torch.Generator().manual_seed(config.seed)).to(device)
        self.x = (torch.tensor(found.data, dtype=torch.float32) / 16).to(device)[order]
        self.y = torch.tensor(found.target).to(device)[order]
        self.config, self.device = config, str(device)
        train = torch.arange(N_TRAIN, device=device)
        self.rows = {"few": train[:N_FEW], "omitted": train[self.y[:N_TRAIN] != OMITTED], "full": train}

    def batch(self, arm: str, step: int, world: World) -> torch.Tensor:
        """The images of this rank's share of a step, by their rows."""
        rows = self.rows[arm.partition("_")[0]]
        chosen = batch_indices(len(rows), min(self.config.batch_size, len(rows)), self.config.seed, step, self.device)
        return my_share(rows[chosen], world.rank, world.size)


class Nets(nn.Module):
    """The teacher and all students, with their losses."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.teacher = _mlp(config.teacher_d_ff, dropout=0.2)
        self.students = nn.ModuleDict({arm: _mlp(SMALL if "full" in arm else config.d_ff) for arm in ARMS})
        self.rule = Divergence("forward", temperature=config.temperature)

    def forward(self, x: dict[str, torch.Tensor], y: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum of the losses of each net's images by name, every net's divided by how many it has; and 1."""
        losses = [self._loss(name, x[name], y[name]) / len(y[name]) for name in x]
        total = torch.stack(losses).sum()
        return total, torch.ones_like(total)

    def _loss(self, name: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if name == "full_teacher":
            return F.cross_entropy(self.teacher(_shifted(x)), y, reduction="sum")
        z = self.students[name](x)
        if name.endswith("hard"):
            return F.cross_entropy(z, y, reduction="sum")
        return divergence_of_logits(z, answers(self.teacher, x), torch.ones_like(y, dtype=z.dtype), self.rule)


def _mlp(width: int, dropout: float = 0.0) -> nn.Sequential:
    first, second = (nn.Sequential(nn.Linear(n, width), nn.ReLU(), nn.Dropout(dropout)) for n in (64, width))
    return nn.Sequential(first, second, nn.Linear(width, 10))


def _shifted(x: torch.Tensor) -> torch.Tensor:
    """Images moved by up to a pixel each way, the whole batch alike."""
    by = torch.randint(-1, 2, (2,))
    return x.view(-1, 8, 8).roll((int(by[0]), int(by[1])), (1, 2)).flatten(1)


@torch.no_grad()
def answers(teacher: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A teacher's logits without dropout, whatever mode it is in; it is left in that."""
    was = teacher.training
    found: torch.Tensor = teacher.eval()(x)
    teacher.train(was)
    return found


def make_state(config: Config, device: torch.device) -> TrainState:
    torch.manual_seed(config.seed)
    nets = Nets(config).to(device)
    return TrainState(nets, torch.optim.Adam(nets.parameters(), lr=config.lr))


def train(asked: Command[Config], w: World) -> TrainState:
    """Run a recipe of digits from where its folder stands to its end, or until its time is up."""
    config, digits = asked.config, Digits(asked.config, w.device)
    state = make_state(config, w.device)
    run = Run("distillation", asked, w, data=digits.name)
    if run.is_done():
        run.say(f"{run.folder} holds this run, finished; remove it to run again")
        checkpoint.load(state, run.folder / "last.pt")
        return state
    # each phase leaves the other's nets alone
    model: nn.Module = DDP(state.model, find_unused_parameters=True) if w.size > 1 else state.model

    def loss(model: nn.Module, rows: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        total, count = model({k: digits.x[r] for k, r in rows.items()}, {k: digits.y[r] for k, r in rows.items()})
        return total, count

    for step in run.steps(state, config.teacher_steps + config.steps):
        names = ("full_teacher",) if step < config.teacher_steps else ARMS
        rows = {name: digits.batch(name, step, w) for name in names}
        set_lr(state.optimizer, config.teacher_lr if step < config.teacher_steps else config.lr)
        value, norm = optimize(state, model, loss, [rows], w, clip=float("inf"))
        if step % config.log_every == 0:
            run.log(step, loss_nats=value / len(names), grad_norm=norm)
    if not run.stopped and w.is_main:
        if config.seed == 0:  # the picture is the same for every seed
            run.figures = [figures.mixture(run.folder / f"{asked.recipe}-s0-mixture.png")]
        assert isinstance(state.model, Nets)
        run.finish(**measure(state.model, digits), **facts())
    w.wait()
    return state


@torch.no_grad()
def measure(nets: Nets, digits: Digits) -> dict[str, float]:
    """Shares of held-out images that are told right; of the threes alone for the students that never saw one, before
    and after a bias is added to that class (section 3)."""
    x, y = digits.x[N_TRAIN:], digits.y[N_TRAIN:]
    z = {"teacher": answers(nets.teacher, x)} | {arm: net(x) for arm, net in nets.students.items()}
    found = {f"accuracy_{name}": _accuracy(logits, y) for name, logits in z.items()}
    threes = y == OMITTED
    for arm in ("omitted_hard", "omitted_soft"):
        bias = best_bias(z[arm], y)
        found[f"bias_{arm}"] = bias
        found[f"accuracy_3_{arm}"] = _accuracy(z[arm][threes], y[threes])
        found[f"accuracy_3_{arm}_bias"] = _accuracy(_raised(z[arm][threes], bias), y[threes])
        found[f"accuracy_{arm}_bias"] = _accuracy(_raised(z[arm], bias), y)
    return found


def best_bias(z: torch.Tensor, y: torch.Tensor) -> float:
    """What added to the logit of the class left out tells most images right: of the held-out ones, as in the paper."""
    scores: Sequence[float] = [_accuracy(_raised(z, float(b)), y) for b in BIASES]
    return float(BIASES[max(range(len(scores)), key=scores.__getitem__)])


def _raised(z: torch.Tensor, bias: float) -> torch.Tensor:
    return z + bias * F.one_hot(torch.tensor(OMITTED, device=z.device), z.shape[-1])


def _accuracy(z: torch.Tensor, y: torch.Tensor) -> float:
    return (z.argmax(-1) == y).double().mean().item()


def facts() -> dict[str, float]:
    """The numbers of KD-4, KD-7 and KD-14, which need no training."""
    forward, reverse = limits.fit("forward"), limits.fit("reverse")
    low, high, from_forward, from_reverse = limits.jsd_limits(1e-7)
    return {
        "logit_matching_off_t1e4": limits.distance_to_logit_matching(1e4), "forward_fit_mean": forward.mean,
        "forward_fit_std": forward.std, "reverse_fit_mean": reverse.mean, "reverse_fit_std": reverse.std,
        "jsd_at_ends": max(low, high), "jsd_limits_off": max(from_forward, from_reverse),
    }  # fmt: skip
