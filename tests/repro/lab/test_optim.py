"""One step is one step, however it is cut up."""

from __future__ import annotations

import copy
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import toy
from hypothesis import given
from hypothesis import strategies as st
from toy import Config

from repro.lab.data import batch_indices, my_share, step_seed
from repro.lab.distributed import World
from repro.lab.optim import adamw, ema_decay, optimize, set_lr, update_ema, warmup_constant, warmup_cosine

HERE = Path(__file__).parent.parent
ALONE = World(0, 1, torch.device("cpu"))


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.flatten() for p in model.state_dict().values()])


@pytest.mark.parametrize("accum", [2, 4, 16])
def test_accumulation_is_one_large_batch(tmp_path, accum):
    one, many = toy.main(tmp_path / "a", Config()), toy.main(tmp_path / "b", Config(accum=accum))
    torch.testing.assert_close(weights(one.model), weights(many.model), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(weights(one.ema), weights(many.ema), rtol=1e-5, atol=1e-6)


def test_two_ranks_end_their_threads_before_python_does(tmp_path):
    """A thread of gloo's that frees a tensor while the interpreter shuts down aborts the process, now and then."""
    script = tmp_path / "main.py"
    script.write_text(
        "import atexit, glob, os, pathlib, sys\n"
        "def say(when):\n"
        "    names = sorted(pathlib.Path(p).read_text().strip() for p in glob.glob('/proc/self/task/*/comm'))\n"
        "    pathlib.Path(f'{when}-{os.environ[\"RANK\"]}').write_text(' '.join(names))\n"
        "atexit.register(say, 'at-exit')\n"
        "import toy\n"
        "def train(out):\n"
        "    toy.main(pathlib.Path(out), each=lambda step: step or say('running'))\n"
        "train(sys.argv[1])\n"
    )
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script), str(tmp_path / "out")]
    ended = subprocess.run(
        [sys.executable, *launch], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{HERE}:{HERE.parent.parent}"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    for rank in (0, 1):
        assert "gloo" in (tmp_path / f"running-{rank}").read_text()
        assert "gloo" not in (tmp_path / f"at-exit-{rank}").read_text()


def test_two_ranks_are_one_process(tmp_path):
    one = toy.main(tmp_path / "one")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(HERE / "toy.py")]
    ended = subprocess.run(
        [sys.executable, *launch, str(tmp_path / "two")],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    two = torch.load(tmp_path / "two/last.pt", weights_only=True)
    for name, state in (("model", one.model), ("ema", one.ema)):
        torch.testing.assert_close(
            weights(state), torch.cat([p.flatten() for p in two[name].values()]), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("accum", [1, 3])
def test_loss_and_gradient_are_means_over_the_global_count(accum):
    state = toy.make(Config(dropout=0.0))
    index = torch.arange(48)
    before = copy.deepcopy(state.model)
    total, count = toy.loss_fn(before, index)
    (total / count).backward()
    expected = torch.cat([p.grad.flatten() for p in before.parameters()])
    state.optimizer = torch.optim.SGD(state.model.parameters(), lr=1.0)
    loss, norm = optimize(state, state.model, toy.loss_fn, index.chunk(accum), ALONE, clip=1e9)
    torch.testing.assert_close(loss, total / count)
    torch.testing.assert_close(norm, expected.norm())
    torch.testing.assert_close(weights(before) - weights(state.model), expected, rtol=1e-4, atol=1e-6)


def test_gradients_are_clipped_by_their_global_norm_and_do_not_pile_up():
    state = toy.make(Config())
    state.optimizer = torch.optim.SGD(state.model.parameters(), lr=1.0)
    for _ in range(2):
        before = weights(state.model).clone()
        _, norm = optimize(state, state.model, toy.loss_fn, [torch.arange(56)], ALONE, clip=0.01)
        assert norm > 0.01
        assert (weights(state.model) - before).norm().item() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("as_tensor", [False, True])
def test_a_moving_average_moves(as_tensor):
    model, ema = (torch.nn.BatchNorm1d(3) for _ in range(2))
    with torch.no_grad():
        model.weight.fill_(3.0)
        model.running_mean.fill_(1.0)
    decay = torch.tensor(0.75) if as_tensor else 0.75
    update_ema(ema, model, decay)
    assert ema.weight.tolist() == [1.5] * 3 and ema.running_mean.tolist() == [0.25] * 3
    assert model.weight.tolist() == [3.0] * 3


def test_its_decay_warms_up():
    assert ema_decay(0, 0.999) == pytest.approx(0.1)
    assert ema_decay(90, 0.999) == pytest.approx(0.91)
    assert ema_decay(100_000, 0.999) == 0.999


def test_schedules():
    assert [warmup_constant(s, peak=2.0, warmup=4) for s in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert warmup_constant(0, peak=2.0, warmup=0) == 2.0
    lr = [warmup_cosine(s, peak=1.0, warmup=10, total=110, floor=0.1) for s in range(120)]
    assert lr[9] == lr[10] == 1.0 and lr[60] == pytest.approx(0.55) and lr[110] == lr[119] == pytest.approx(0.1)
    assert all(a >= b for a, b in zip(lr[10:], lr[11:], strict=False))
    assert warmup_cosine(35, peak=1.0, warmup=10, total=110) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))


def test_the_learning_rate_is_set_in_place_where_it_is_a_tensor():
    lr = torch.tensor(0.1)
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    held = optimizer.param_groups[0]["lr"]
    set_lr(optimizer, 0.5)
    assert optimizer.param_groups[0]["lr"] is held and held.item() == 0.5


@given(n=st.integers(4, 60), batch=st.integers(1, 4), seed=st.integers(0, 9), epoch=st.integers(0, 3))
def test_an_epoch_is_a_permutation_whatever_step_it_is_read_from(n, batch, seed, epoch):
    per_epoch = n // batch
    steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
    seen = torch.cat([batch_indices(n, batch, seed, s) for s in reversed(steps)])
    assert len(set(seen.tolist())) == per_epoch * batch and seen.max() < n
    assert torch.equal(batch_indices(n, batch, seed, steps[0]), batch_indices(n, batch, seed, steps[0]))


def test_orders_differ_between_epochs_and_seeds():
    orders = [batch_indices(50, 50, seed, step).tolist() for seed in (0, 1) for step in (0, 1)]
    assert len({tuple(o) for o in orders}) == 4


def test_ranks_share_a_batch_that_does_not_depend_on_how_many_they_are():
    rows = batch_indices(100, 12, 0, 3)
    for size in (1, 2, 3, 4):
        assert torch.equal(torch.cat([my_share(rows, rank, size) for rank in range(size)]), rows)
    with pytest.raises(ValueError, match="multiple of 5"):
        my_share(rows, 0, 5)
    with pytest.raises(ValueError, match="exceeds the 3 examples"):
        batch_indices(3, 4, 0, 0)


def test_no_two_steps_or_ranks_share_a_seed():
    seeds = {step_seed(seed, step, rank) for seed in range(3) for step in range(500) for rank in range(8)}
    assert len(seeds) == 3 * 500 * 8


def test_adamw_decays_matrices_and_no_vectors():
    """With no gradient but decay, a matrix shrinks by 1 - lr * decay a step and a norm's weight stays."""
    matrix, vector = (torch.nn.Parameter(torch.ones(size)) for size in ((2, 3), (3,)))
    optimizer = adamw([matrix, vector], 0.1, 0.5)
    for p in (matrix, vector):
        p.grad = torch.zeros_like(p)
    optimizer.step()
    torch.testing.assert_close(matrix.detach(), torch.full((2, 3), 0.95))
    assert vector.tolist() == [1, 1, 1]
    assert len(adamw([matrix], 0.1, 0.5).param_groups) == 1
