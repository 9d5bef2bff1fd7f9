"""On a GPU: compiled and captured steps against eager ones, and what a divergence takes of its memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from repro.distillation.config import Config, teacher_config
from repro.distillation.data import Sums
from repro.distillation.distill import Divergence, Heads, summed_divergence
from repro.distillation.model import Student
from repro.distillation.rollout import Rollout, drawn
from repro.distillation.train import Step, make_state
from repro.lab.distributed import World
from repro.lab.generate import Sampling

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]
SMALL = Config(
    task="arithmetic", method="kd", n_layers=2, d_model=64, n_heads=2, n_kv_heads=1, d_ff=128, teacher_n_layers=3,
    teacher_d_model=96, teacher_n_heads=3, teacher_n_kv_heads=3, teacher_d_ff=192, batch_size=32, steps=40, lr=3e-3,
)  # fmt: skip


def steps(config: Config, n: int) -> tuple[Step, torch.Tensor]:
    """A step that was taken `n` times, and its losses."""
    w = World(0, 1, torch.device("cuda"))
    torch.manual_seed(3)
    with w.device:
        teacher = Student(teacher_config(config), Sums.vocab_size).decoder
        for p in teacher.parameters():
            p.data.add_(0.1 * torch.randn_like(p))
    step = Step(config, Sums(config, w.device), make_state(config, Sums.vocab_size, w), w, teacher)
    found = []
    for i in range(n):
        torch.manual_seed(i)
        found.append(step(i)[0].clone())
    return step, torch.stack(found).cpu()


@pytest.mark.parametrize(("divergence", "hard"), [("forward", 0.0), ("reverse", 0.25), ("jsd", 0.0)])
def test_captured_steps_follow_eager_ones(divergence, hard):
    config = replace(SMALL, divergence=divergence, hard=hard)
    eager = steps(config, 30)[1]
    captured = steps(replace(config, compile=True), 30)[1]
    in_bf16 = steps(replace(config, compile=True, precision="bf16"), 30)[1]
    torch.testing.assert_close(captured, eager, rtol=2e-3, atol=1e-4)
    torch.testing.assert_close(in_bf16, eager, rtol=5e-2, atol=1e-2)
    assert eager[-1] < eager[0]


def test_captured_steps_on_the_students_own_text_follow_eager_ones():
    """Greedy text, so that both see the same; and the writer has the weights of the step before."""
    config = replace(SMALL, method="gkd", lambda_=1.0, sample_temperature=0.0)
    eager, captured = steps(config, 20)[1], steps(replace(config, compile=True), 20)[1]
    torch.testing.assert_close(captured, eager, rtol=5e-3, atol=1e-3)


@pytest.mark.parametrize("mix", [0.0, 0.2])
def test_captured_policy_gradient_comes_nearer_to_the_teacher(mix):
    step, _ = steps(replace(SMALL, method="minillm", teacher_mix=mix, compile=True, steps=200), 200)
    text = step.rollout.text.clone()
    with torch.no_grad():
        q, p = (
            d(text[:, :-1])[:, step.task.prompt - 1 :].log_softmax(-1) for d in (step.state.model.decoder, step.teacher)
        )
    with torch.no_grad():
        first = make_state(SMALL, Sums.vocab_size, World(0, 1, torch.device("cuda"))).model.decoder
        before = first(text[:, :-1])[:, step.task.prompt - 1 :].log_softmax(-1)
    now, then = ((x.exp() * (x - p)).sum(-1).mean() for x in (q, before))
    assert now < 0.7 * then


def test_captured_rollouts_are_the_eager_ones_and_random_ones_differ_from_call_to_call():
    torch.manual_seed(0)
    with torch.device("cuda"):
        decoder = Student(replace(SMALL, new_tokens=32), 97).decoder
        prompts = torch.randint(97, (8, 16))
    for p in decoder.parameters():
        p.data.add_(0.1 * torch.randn_like(p))
    eager, captured = (Rollout(decoder, 8, 16, 32, Sampling(0.0), capture=c)(prompts) for c in (False, True))
    assert (eager == captured).float().mean() > 0.95  # ties in fp32
    write = Rollout(decoder, 8, 16, 32, Sampling(1.0), capture=True)
    torch.manual_seed(1)
    first, second = write(prompts).clone(), write(prompts).clone()
    torch.manual_seed(1)
    assert write(prompts).equal(first) and not first.equal(second)


def test_compiled_tokens_are_drawn_by_their_probabilities():
    torch.manual_seed(0)
    logits, n = 2 * torch.randn(1000, device="cuda"), 1 << 17
    found = torch.compile(drawn, dynamic=False)(logits.bfloat16().expand(n, -1), 0.9).bincount(minlength=1000)
    p = (logits.bfloat16().double() / 0.9).softmax(-1)
    assert ((found - n * p).abs() <= 5 * (n * p * (1 - p)).sqrt() + 1).all()


@pytest.mark.parametrize("new", [1, 2, 3])
def test_a_captured_rollout_may_be_short(new):
    torch.manual_seed(0)
    with torch.device("cuda"):
        decoder = Student(SMALL, 97).decoder
        prompts = torch.randint(97, (8, 16))
    eager, captured = (Rollout(decoder, 8, 16, new, Sampling(0.0), capture=c)(prompts).clone() for c in (False, True))
    assert captured[:, :16].equal(prompts) and (eager == captured).float().mean() > 0.95


def test_a_divergence_never_holds_the_logits_of_both_models():
    """4,096 tokens of 65,536 classes are 1 GiB a model in fp32, and as much again for every step of the arithmetic."""
    N, V = 4096, 65_536
    hidden = torch.randn(N, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    heads = Heads(torch.randn(V, 64, device="cuda", requires_grad=True), torch.randn(V, 64, device="cuda"))
    weights = torch.ones(N, device="cuda")
    for run in (summed_divergence, torch.compile(summed_divergence)):
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run(hidden, hidden.detach(), heads, weights, Divergence("jsd", 0.5), chunk=256).backward()
        assert torch.cuda.max_memory_allocated() - before < 2**30
