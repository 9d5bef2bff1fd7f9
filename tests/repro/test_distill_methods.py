"""What a student is trained on and how: its own text, the teacher's outputs, MiniLLM's gradient; and the mistakes that
others have made there, by name."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from decoders import ids, tiny
from torch import nn

from repro.distillation import hinton
from repro.distillation.beam import beam_search
from repro.distillation.config import Config
from repro.distillation.data import Sums
from repro.distillation.distill import Divergence, Heads, summed_divergence
from repro.distillation.eval import measure
from repro.distillation.model import Student, frozen
from repro.distillation.outputs import teacher_outputs
from repro.distillation.policy import PolicyGradient, importance
from repro.distillation.rollout import Rollout, drawn, until_end
from repro.distillation.train import Step, make_state, on_policy
from repro.lab.distributed import World
from repro.lab.generate import Generator, Sampling
from repro.lab.transformer import Block, Decoder, Shape, SwiGLU

torch.set_num_threads(1)
CPU = torch.device("cpu")
ALONE = World(0, 1, CPU)
SUMS = Config(
    task="arithmetic", digits=2, terms=2, n_layers=1, d_model=16, n_heads=2, n_kv_heads=1, d_ff=24, teacher_n_layers=2,
    teacher_d_model=24, teacher_d_ff=32, batch_size=8, steps=10, start_steps=0, eval_batches=2, pool=16,
)  # fmt: skip


def teacher_of(config: Config = SUMS, seed: int = 3) -> Decoder:
    torch.manual_seed(seed)
    big = replace(config, d_model=config.teacher_d_model, n_layers=config.teacher_n_layers, d_ff=config.teacher_d_ff)
    decoder = Student(big, Sums.vocab_size).decoder
    with torch.no_grad():
        for p in decoder.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return decoder


def step_of(config: Config, teacher: Decoder | None = None) -> Step:
    state = make_state(config, Sums.vocab_size, ALONE)
    return Step(config, Sums(config, CPU), state, ALONE, teacher or teacher_of(config))


# The student's own text


def test_greedy_rollouts_are_the_generators():
    decoder = tiny()
    prompts = ids(3, 8)
    text = Rollout(decoder, 3, 8, 20, Sampling(0.0))(prompts)
    assert text[:, :8].equal(prompts)
    assert text[:, 8:].tolist() == Generator(decoder, 3, 40)(prompts.tolist(), 20)


def test_rollouts_follow_the_seed_and_begin_anew():
    write, prompts = Rollout(tiny(), 4, 6, 10, Sampling(1.0)), ids(4, 6)
    first, other, again = (torch.manual_seed(seed) and write(prompts).clone() for seed in (1, 2, 1))
    assert first.equal(again) and not first.equal(other)


def test_rollouts_in_another_type_follow_the_weights_when_refreshed():
    decoder = tiny()
    write, prompts = Rollout(decoder, 2, 5, 6, Sampling(0.0), dtype=torch.bfloat16), ids(2, 5)
    before = write(prompts).clone()
    with torch.no_grad():
        decoder.embed.weight.copy_(decoder.embed.weight.flip(0))
    assert write(prompts).equal(before)
    write.refresh()
    assert not write(prompts).equal(before)


def test_a_rollout_longer_than_a_decoders_positions_is_refused():
    with pytest.raises(ValueError, match="65 tokens are more than a decoder's 64"):
        Rollout(tiny(), 2, 40, 25, Sampling())
    with pytest.raises(ValueError, match="40 tokens are more than a decoder's 32"):
        Rollout(tiny(), 2, 20, 20, Sampling(), teacher=tiny(max_seq_len=32), alpha=0.2)


@pytest.mark.parametrize("padded", ["student", "teacher"])
@pytest.mark.parametrize("method", ["gkd", "minillm", "seqkd", "seqkd sampled"])
def test_trap_nobody_writes_a_token_that_the_other_has_no_row_for(method, padded, monkeypatch):
    """torchtune#2416: the same tokens, and matrices of 152,064 and of 151,936 rows. Cutting the logits of the loss is
    not enough: where the longer one writes, a token of its padding has no embedding in the other. Here its padding is
    by far the likeliest."""
    method, _, sampled = method.partition(" ")
    config = replace(SUMS, method=method, **({"beams": 0 if sampled else 2} if method == "seqkd" else {"pool": 1024}))
    rows = {"student": Sums.vocab_size, "teacher": Sums.vocab_size} | {padded: Sums.vocab_size + 4}
    monkeypatch.setattr(Sums, "vocab_size", rows["student"])
    torch.manual_seed(0)
    wide = replace(config, d_model=config.teacher_d_model, n_layers=config.teacher_n_layers, d_ff=config.teacher_d_ff)
    teacher, state = Student(wide, rows["teacher"]).decoder, make_state(config, rows["student"], ALONE)
    likely = {"student": state.model.decoder, "teacher": teacher}[padded]
    task = Sums(config, CPU)
    with torch.no_grad():
        hidden = likely.hidden(task.batch(0, 64))[:, task.prompt - 1 :]
        likely.embed.weight[-4:] = hidden.mean((0, 1))
    step = Step(config, task, state, ALONE, teacher)
    for i in range(3):
        loss, norm = step(i)
        assert loss.isfinite() and norm.isfinite()
    text = step.rollout.text if step.outputs is None else step.outputs
    assert text.max() < 13
    found = measure(config, step.task, state.model.decoder, teacher)
    assert all(map(math.isfinite, found.values()))


@pytest.mark.parametrize("size", [5, 16, 37, 48])
def test_tokens_are_drawn_by_their_probabilities(size):
    """However the vocabulary falls into parts; one that is not to be drawn never is."""
    torch.manual_seed(0)
    logits, n = 2 * torch.randn(size), 1 << 15
    logits[2] = -math.inf
    p = (logits.double() / 0.7).softmax(-1)
    found = drawn(logits.expand(n, -1), 0.7).bincount(minlength=size)
    assert len(found) == size and found[2] == 0
    assert ((found - n * p).abs() <= 4.5 * (n * p * (1 - p)).sqrt() + 1).all()


def test_mixed_samples_come_from_the_mixture():
    """Frequencies of one token after a prompt, against alpha p + (1 - alpha) q."""
    student, teacher = tiny(0), tiny(5, d_model=24, n_heads=2)
    prompts = ids(1, 4).expand(4096, 4)
    torch.manual_seed(0)
    found = Rollout(student, 4096, 4, 1, Sampling(1.0), teacher=teacher, alpha=0.3)(prompts)[:, 4]
    with torch.no_grad():
        q, p = (d(prompts[:1])[0, -1].softmax(-1) for d in (student, teacher))
    for expected, fits in ((0.3 * p + 0.7 * q, True), (q, False), (p, False)):
        seen = torch.bincount(found, minlength=len(expected)).double()
        chi2 = ((seen - 4096 * expected).square() / (4096 * expected)).sum()
        assert (chi2 < 96 + 5 * math.sqrt(2 * 96)) == fits


def test_trap_a_sample_cut_off_gets_no_end_that_it_never_wrote():
    """Tokens count up to the first end and with it; without one, up to the cut, and none is added."""
    made = torch.tensor([[4, 9, 5, 9], [4, 5, 6, 7], [9, 9, 9, 9]])
    assert until_end(made, 9).tolist() == [[True, True, False, False], [True] * 4, [True, False, False, False]]
    assert until_end(made, None).all()
    step = step_of(replace(SUMS, divergence="reverse"))
    prompts = step.task.batch(0, 8)[:, : step.task.prompt]
    cut = torch.cat((prompts, torch.full((8, step.task.new), 4)), 1)
    _, count = step.loss(step.model, cut, torch.zeros(()))
    assert count == 8 * step.task.new


def test_no_gradient_goes_through_the_sampling():
    step = step_of(SUMS)
    text = step.rollout(step.task.batch(0, 8)[:, : step.task.prompt])
    assert not text.requires_grad and step.rollout.decoder is step.state.model.decoder


def test_trap_the_coin_is_one_for_all_ranks_and_of_seed_and_step_alone():
    """A coin a rank would let ranks train on different losses. Ours asks no rank and no state."""
    config = replace(SUMS, lambda_=0.3)
    torch.manual_seed(1)
    tossed = [on_policy(config, step) for step in range(2000)]
    torch.manual_seed(2)
    assert [on_policy(config, step) for step in reversed(range(2000))] == tossed[::-1]
    assert 0.26 < sum(tossed) / 2000 < 0.34
    assert [on_policy(replace(config, seed=1), step) for step in range(2000)] != tossed
    for lambda_, sure in ((0.0, False), (1.0, True)):
        assert {on_policy(replace(config, lambda_=lambda_), step) for step in range(500)} == {sure}
    for method, sure in (("sft", False), ("kd", False), ("seqkd", False), ("minillm", True)):
        assert {on_policy(replace(config, method=method), step) for step in range(50)} == {sure}


# Losses


def by_hand(step: Step, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-probabilities (B, L, V) of student and teacher where a prediction counts, and which of them do."""
    P = step.task.prompt
    with torch.no_grad():
        log_q = step.state.model.decoder(tokens[:, :-1])[:, P - 1 :].log_softmax(-1)
        log_p = step.teacher(tokens[:, :-1])[:, P - 1 :].log_softmax(-1)
    return log_q, log_p, until_end(tokens[:, P:], step.task.stop)


def test_word_level_distillation_is_cross_entropy_and_kl_in_their_shares():
    step = step_of(replace(SUMS, method="kd", hard=0.25))
    tokens = step.task.batch(0, 8)
    log_q, log_p, mask = by_hand(step, tokens)
    ce = F.nll_loss(log_q.flatten(0, 1), tokens[:, step.task.prompt :].flatten(), reduction="none").view(mask.shape)
    kl = (log_p.exp() * (log_p - log_q)).sum(-1)
    total, count = step.loss(step.model, tokens, torch.tensor(0.25))
    assert count == mask.sum() < mask.numel()
    torch.testing.assert_close(total, ((0.25 * ce + 0.75 * kl) * mask).sum())


def test_what_the_student_wrote_is_no_target_for_cross_entropy():
    """trl#5731's other half: 0.5 times the cross-entropy to the samples had been added."""
    step = step_of(replace(SUMS, hard=0.5, lambda_=1.0))
    seen = []
    step.take = lambda tokens, hard: seen.append((tokens, hard)) or (hard, hard)
    step(0)
    off = step_of(replace(SUMS, hard=0.5, lambda_=0.0))
    off.take = lambda tokens, hard: seen.append((tokens, hard)) or (hard, hard)
    off(0)
    assert [float(hard) for _, hard in seen] == [0.0, 0.5]
    assert not seen[0][0][:, step.task.prompt :].equal(step.task.batch(0, 8)[:, step.task.prompt :])
    assert seen[1][0].equal(step.task.batch(0, 8))


@pytest.mark.parametrize("method", ["sft", "kd", "gkd", "minillm"])
def test_trap_prompt_tokens_are_no_part_of_the_loss(method):
    """The states that would predict them get no gradient; the one that predicts the first token after them does."""
    step = step_of(replace(SUMS, method=method))
    tokens, P = step.task.batch(0, 8), step.task.prompt
    decoder = step.state.model.decoder
    kept = []
    plain = decoder.hidden

    def hidden(*args):
        kept.append(plain(*args))
        kept[-1].retain_grad()
        return kept[-1]

    decoder.hidden = hidden
    total, _ = step.loss(step.model, tokens, torch.zeros(()))
    total.backward()
    grad = kept[0].grad
    assert (grad[:, : P - 1] == 0).all()
    assert (grad[:, P - 1 : P + 1].abs().sum(-1) > 0).all()


def test_trap_a_teacher_is_never_in_dropout_mode():
    class Dropping(SwiGLU):
        def __init__(self, shape: Shape) -> None:
            super().__init__(shape)
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            return self.drop(super().forward(x))

    shape = Shape(13, 16, 2, 2, 2, 24)
    decoder = Decoder(shape, Dropping).train()
    with torch.no_grad():
        for p in decoder.parameters():
            p.add_(0.3 * torch.randn_like(p))
    x = torch.randint(13, (2, 6))
    assert isinstance(decoder.blocks[0], Block) and not decoder(x).equal(decoder(x))
    asked = frozen(decoder)
    assert asked(x).equal(asked(x)) and decoder.training
    assert not any(p.requires_grad for p in asked.parameters())
    step = step_of(SUMS, Decoder(Shape(13, 16, 1, 2, 2, 24), Dropping).train())
    assert not step.teacher.training
    mlp = hinton._mlp(32, dropout=0.5).train()
    pixels = torch.rand(4, 64)
    assert hinton.answers(mlp, pixels).equal(hinton.answers(mlp, pixels)) and mlp.training


def test_trap_sequence_level_distillation_is_cross_entropy_on_the_teachers_outputs():
    """TRL's seq_kd still minimises a divergence there. Ours asks the teacher for text and for nothing else."""
    step = step_of(replace(SUMS, method="seqkd", beams=3))
    assert step.outputs.shape == (16, step.task.prompt + step.task.new)
    best = beam_search(step.teacher, step.outputs[:, : step.task.prompt], 3, step.task.new, step.task.stop)[0][:, 0]
    assert step.outputs[:, step.task.prompt :].equal(best)
    asked = []
    plain = step.teacher.hidden
    step.teacher.hidden = lambda *args: asked.append(args) or plain(*args)
    tokens = step._data(0)
    assert {tuple(row) for row in tokens.tolist()} <= {tuple(row) for row in step.outputs.tolist()}
    total, count = step.loss(step.model, tokens, torch.zeros(()))
    assert asked == []
    log_q, _, mask = by_hand(step, tokens)
    targets = tokens[:, step.task.prompt :]
    expected = -(log_q.gather(2, targets[..., None])[..., 0] * mask).sum()
    torch.testing.assert_close(total, expected)
    assert count == mask.sum()


def test_teacher_outputs_may_be_sampled_and_are_the_same_each_time():
    config = replace(SUMS, method="seqkd", beams=0, pool=100)
    task, teacher = Sums(config, CPU), teacher_of()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again = teacher_outputs(config, task, teacher), teacher_outputs(config, task, teacher)
    assert first.equal(again) and first.shape[0] == 100
    assert torch.get_rng_state().equal(before)
    assert not teacher_outputs(replace(config, beams=2), task, teacher).equal(first)


# Beam search


def every_continuation(decoder, prompt, length, stop):
    """All of them with their log-probabilities, best first; after a stop only stops, which add nothing."""
    V, found = decoder.shape.vocab_size, []
    for row in product(range(V), repeat=length):
        cut = row.index(stop) + 1 if stop in row else length
        if any(t != stop for t in row[cut:]):
            continue
        with torch.no_grad():
            log_p = decoder(torch.tensor([[*prompt, *row[: cut - 1]]])).log_softmax(-1)[0, len(prompt) - 1 :]
        found.append((sum(float(log_p[i, t]) for i, t in enumerate(row[:cut])), list(row)))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("stop", [None, 2])
def test_a_beam_that_is_wide_enough_finds_the_best_of_all(stop):
    decoder = tiny(2, vocab_size=5, d_model=24, n_layers=2)
    prompts = torch.tensor([[1, 3, 0], [4, 4, 2]])
    made, scores = beam_search(decoder, prompts, 25, 3, stop)
    for i, prompt in enumerate(prompts.tolist()):
        expected = every_continuation(decoder, prompt, 3, stop)[:25]
        assert made[i].tolist() == [row for _, row in expected]
        torch.testing.assert_close(scores[i], torch.tensor([score for score, _ in expected]), rtol=0, atol=1e-4)


def test_a_beam_of_one_is_greedy_and_a_narrow_one_is_the_uncached_search():
    decoder, prompts = tiny(1, vocab_size=11, d_model=24), torch.tensor([[1, 3, 0], [4, 4, 2]])
    assert beam_search(decoder, prompts, 1, 9)[0][:, 0].tolist() == Generator(decoder, 2, 20)(prompts.tolist(), 9)
    made, scores = beam_search(decoder, prompts, 3, 6)
    for i, prompt in enumerate(prompts.tolist()):
        beams = [(0.0, [])]
        for _ in range(6):
            longer = []
            for score, row in beams:
                with torch.no_grad():
                    log_p = decoder(torch.tensor([[*prompt, *row]])).log_softmax(-1)[0, -1]
                longer += [(score + float(log_p[t]), [*row, t]) for t in range(11)]
            beams = sorted(longer, reverse=True)[:3]
        assert made[i].tolist() == [row for _, row in beams]
        torch.testing.assert_close(scores[i], torch.tensor([s for s, _ in beams]), rtol=0, atol=1e-4)


def test_a_beam_wider_than_there_are_continuations_says_which_are_none():
    made, scores = beam_search(tiny(1, vocab_size=4, d_model=24), torch.tensor([[1, 3]]), 6, 1)
    assert scores.isfinite().sum() == 4 and sorted(made[0, :4, 0].tolist()) == [0, 1, 2, 3]


# MiniLLM


def test_its_gradient_is_that_of_reverse_kl_between_sequences():
    """Over every sequence of a tiny vocabulary: the expectation of single-step and long part, without length norm and
    mixing, is the gradient that autograd finds; GKD's, which lacks the long part, is another."""
    V, L, prompt = 4, 3, torch.tensor([[1, 2]])
    student, teacher = tiny(0, vocab_size=V, d_model=12, n_heads=2, n_layers=1).double(), tiny(
        7, vocab_size=V, d_model=12, n_heads=2, n_layers=1).double()  # fmt: skip
    rows = torch.tensor(list(product(range(V), repeat=L)))
    tokens = torch.cat((prompt.expand(len(rows), 2), rows), 1)
    hidden, theirs = student.hidden(tokens[:, :-1])[:, 1:], teacher.hidden(tokens[:, :-1])[:, 1:].detach()
    log_q = F.linear(hidden, student.unembed).log_softmax(-1).gather(2, rows[..., None])[..., 0]
    log_p = F.linear(theirs, teacher.unembed).log_softmax(-1).gather(2, rows[..., None])[..., 0]
    weights_of = list(student.parameters())
    sequence_kl = (log_q.sum(1).exp() * (log_q.sum(1) - log_p.sum(1))).sum()
    expected = torch.autograd.grad(sequence_kl, weights_of, retain_graph=True)
    chance = log_q.sum(1).exp().detach()[:, None]
    heads, mask = Heads(student.unembed, teacher.unembed), torch.ones_like(rows, dtype=torch.bool)

    def estimate(policy: PolicyGradient, long: float = 1.0):
        single, hard = policy.weights(log_q.detach(), log_p.detach(), mask)
        total = summed_divergence(
            hidden, theirs, heads, chance * single, Divergence("reverse"), rows, long * chance * hard
        )
        return torch.autograd.grad(total, weights_of, retain_graph=True)

    for single_step in (True, False):  # exact or by REINFORCE, the expectation is one
        policy = PolicyGradient(alpha=0.0, length_norm=False, single_step=single_step)
        for mine, theirs_ in zip(estimate(policy), expected, strict=True):
            torch.testing.assert_close(mine, theirs_, rtol=1e-3, atol=1e-6)  # norms are fp32
    gkd = estimate(PolicyGradient(alpha=0.0, length_norm=False), long=0.0)
    off = max(float((a - b).norm() / b.norm()) for a, b in zip(gkd, expected, strict=True))
    assert off > 0.05


def test_weights_of_a_policy_by_hand():
    log_q = torch.tensor([[-1.0, -2.0, -0.5, -9.0]])
    log_p = torch.tensor([[-2.0, -1.0, -1.5, -1.0]])
    mask = torch.tensor([[True, True, True, False]])  # rewards -1, 1, -1
    kl, hard = PolicyGradient(0.0, length_norm=False).weights(log_q, log_p, mask)
    assert kl.tolist() == [[1, 1, 1, 0]] and hard.tolist() == [[0, -1, 0, 0]]
    _, hard = PolicyGradient(0.0, length_norm=True).weights(log_q, log_p, mask)
    assert hard.tolist() == [[0, -1, 0, 0]]
    kl, hard = PolicyGradient(0.0, length_norm=True, single_step=False).weights(log_q, log_p, mask)
    assert kl.tolist() == [[0, 0, 0, 0]] and hard.tolist() == [[pytest.approx(-1 / 3), 0, -1, 0]]
    kl, hard = PolicyGradient(0.5, length_norm=False).weights(log_q, log_p, mask)
    share = [q / (0.5 * p + 0.5 * q) for q, p in zip(log_q.exp()[0].tolist(), log_p.exp()[0].tolist(), strict=True)]
    assert kl[0].tolist() == pytest.approx([*share[:3], 0])
    assert hard[0].tolist() == pytest.approx([0, -share[1], 0, 0])
    assert importance(log_q, log_p, 0.2).max() <= 1 / 0.8


def test_the_teachers_share_has_bounds():
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        PolicyGradient(1.0)


def test_minillm_takes_a_step_that_lowers_reverse_kl():
    config = replace(SUMS, method="minillm", steps=60, lr=5e-3, batch_size=64)
    step = step_of(config)
    found = []
    for i in range(60):
        torch.manual_seed(i)
        step(i)
        if i in (0, 59):
            log_q, log_p, mask = by_hand(step, step.rollout.text.clone())
            found.append(float(((log_q.exp() * (log_q - log_p)).sum(-1) * mask).sum() / mask.sum()))
    assert found[1] < 0.7 * found[0]
