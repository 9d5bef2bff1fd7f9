"""What students are asked and how they are measured: sums, text, digits; every measure against plain arithmetic."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from repro.distillation import data, hinton
from repro.distillation.config import Config
from repro.distillation.data import Parts, Sums, Text, is_held_out, load
from repro.distillation.eval import Regret, distinct_n, excess_error, measure, solved
from repro.distillation.model import Student
from repro.distillation.rollout import until_end
from repro.lab.distributed import World

torch.set_num_threads(1)
CPU = torch.device("cpu")
CONFIG = Config(
    task="arithmetic", n_layers=1, d_model=16, n_heads=2, n_kv_heads=1, d_ff=24, teacher_n_layers=2, teacher_d_model=24,
    teacher_d_ff=32, batch_size=32, eval_batches=3,
)  # fmt: skip


def written(tokens):
    return ["".join("0123456789+=."[i] for i in row) for row in tokens.tolist()]


def numbers(text):
    return [int(n[::-1]) for n in text.rstrip(".").split("+")]


@pytest.mark.parametrize(("digits", "terms"), [(2, 2), (3, 2), (3, 3), (2, 5)])
def test_sums_are_right_and_end_where_their_last_digit_stands(digits, terms):
    task = Sums(replace(CONFIG, digits=digits, terms=terms), CPU)
    tokens = task.batch(3, 200)
    assert tokens.shape == (200, task.prompt + task.new)
    seen = set()
    for row in written(tokens):
        question, answer = row.split("=")
        assert len(numbers(question)) == terms and all(len(part) == digits for part in question.split("+"))
        assert re.fullmatch(r"\d+\.+", answer) and len(answer) == task.new
        assert int(answer.rstrip(".")[::-1]) == sum(numbers(question))
        seen.add(question)
    assert len(seen) > 60
    largest = task._answers(torch.full((1, terms), 10**digits - 1))
    assert (largest == task.END).sum() == 1  # room for the longest, and no more


@pytest.mark.parametrize(("digits", "terms"), [(2, 2), (3, 2), (2, 4)])
def test_parts_add_up_and_many_are_right(digits, terms):
    task = Parts(replace(CONFIG, digits=digits, terms=terms), CPU)
    tokens = task.batch(3, 400)
    assert tokens.shape == (400, task.prompt + task.new)
    for row in written(tokens):
        asked, answer = row.split("=")
        assert answer.endswith(".") and all(len(part) == digits for part in answer[:-1].split("+"))
        assert sum(numbers(answer)) == int(asked[::-1])
    answers = tokens[:, task.prompt :]
    assert task.solved(tokens, answers).all()
    swapped = answers.view(400, terms, -1).clone()
    swapped[:, [0, 1], :-1] = swapped[:, [1, 0], :-1]
    assert task.solved(tokens, swapped.flatten(1)).all() and not swapped.flatten(1).equal(answers)
    assert task.solved(tokens, task._answers(moved(task._draw(3, 400, "train")))).all()
    for place in range(task.new):
        wrong = answers.clone()
        is_sign = wrong[:, place] >= 10
        wrong[:, place] = torch.where(is_sign, 5, (wrong[:, place] + 1) % 10)
        assert not task.solved(tokens, wrong).any()
        wrong[:, place] = Parts.EQUALS
        assert not task.solved(tokens, wrong).any()


def moved(parts):
    """One from the largest part to the smallest: another right answer, unless there is nothing to move."""
    parts, rows = parts.clone(), torch.arange(len(parts))
    most, least = parts.argmax(1), parts.argmin(1)
    parts[rows, most] -= 1
    parts[rows, least] += 1
    return parts


@pytest.mark.parametrize("terms", [2, 3])
def test_every_way_to_part_a_sum_is_equally_frequent(terms):
    task = Parts(replace(CONFIG, digits=2, terms=terms), CPU)
    drawn = torch.randint(1 << 53, (4000, 16, terms), generator=torch.Generator().manual_seed(0))
    tries, fits = task._tries(torch.ones(4000, dtype=torch.long), torch.full((4000,), terms), drawn)
    ways, counts = tries[fits & (tries.sum(-1) == 5)].unique(dim=0, return_counts=True)
    assert len(ways) == math.comb(5 + terms - 1, terms - 1)
    assert counts.min() > 0.8 * counts.double().mean() and counts.max() < 1.2 * counts.double().mean()


@pytest.mark.parametrize(("split", "easiest"), [("train", 1), ("val", 2)])
@pytest.mark.parametrize("kind", [Sums, Parts])
def test_levels_are_equally_frequent_and_told_from_the_prompt(kind, split, easiest):
    task = kind(replace(CONFIG, digits=4, terms=3), CPU)
    tokens = torch.cat([task.batch(step, 500, split) for step in range(12)])
    prompts = [numbers(row.split("=")[0]) for row in written(tokens)]
    digits = [max(len(str(n)) for n in prompt) for prompt in prompts]
    share = 1 / (5 - easiest)
    assert all(abs(digits.count(n) / 6000 - share) < 0.03 for n in range(easiest, 5)) and min(digits) == easiest
    expected = {f"{n}_digits": [d == n for d in digits] for n in (2, 3, 4)}
    if kind is Sums:
        terms = [sum(n > 0 for n in prompt) for prompt in prompts]
        share = 1 / (4 - easiest)
        assert all(abs(terms.count(n) / 6000 - share) < 0.03 for n in range(easiest, 4)) and min(terms) == easiest
        expected |= {f"{n}_terms": [t == n for t in terms] for n in (2, 3)}
    assert {name: mask.tolist() for name, mask in task.levels(tokens).items()} == expected


@pytest.mark.parametrize("kind", [Sums, Parts])
def test_what_is_held_out_is_never_trained_on_by_any_seed(kind):
    """With 90 or 4,851 prompts of two digits to draw from, every one would come in both parts. A sum is its numbers in
    any order. All prompts of one digit are trained on, and all numbers alone."""

    def asked(split, seed):
        task = kind(replace(CONFIG, digits=2, seed=seed), CPU)
        tokens = torch.cat([task.batch(step, 500, split) for step in range(40)])
        keys = task._asked(torch.cat([task._draw(step, 500, split) for step in range(40)]))
        return {tuple(row) for row in tokens[:, : task.prompt].tolist()}, set(keys.tolist())

    (shown, shown_keys), (held, held_keys) = asked("train", 0), asked("val", 1)
    assert not shown & held and not shown_keys & held_keys
    assert 0.05 < len(held_keys) / (len(held_keys) + len(shown_keys)) < 0.25
    if kind is Parts:
        assert shown_keys | held_keys == set(range(1, 100)) and set(range(1, 10)) < shown_keys
    else:
        assert {a + 100 * b for a in range(1, 10) for b in range(a, 10)} < shown_keys
        assert {100 * n for n in range(1, 100)} < shown_keys
    there, back = torch.randint(100, (50, 2)).unbind(1)
    task = kind(replace(CONFIG, digits=2), CPU)
    assert task._asked(torch.stack((there, back), 1)).equal(task._asked(torch.stack((back, there), 1)))
    assert 0.11 < is_held_out(torch.arange(10_000)).double().mean() < 0.14


@pytest.mark.parametrize("kind", [Sums, Parts])
@pytest.mark.parametrize("split", ["train", "val"])
def test_a_batch_has_one_width_and_its_own_random_numbers(kind, split):
    """A captured step takes one shape; and torch's own seed, which a run sets for samples, is not read."""
    task, shapes = kind(replace(CONFIG, digits=4, terms=3), CPU), set()
    for step in range(20):
        torch.manual_seed(step)
        tokens = task.batch(7 if step % 2 else step, 64, split)
        shapes.add(tuple(tokens.shape))
        assert step % 2 == 0 or tokens.equal(task.batch(7, 64, split))
    assert shapes == {(64, task.prompt + task.new)}


def test_numbers_are_not_what_the_step_draws_on_a_cpu(monkeypatch):
    """A run seeds torch with (seed, step, rank) before each step: the student's samples would be drawn from the same
    random numbers as the sums it is asked."""
    task = Sums(replace(CONFIG, digits=3), CPU)
    drawn = task._draw(5, 8, "train")
    for rank in range(8):
        monkeypatch.setitem(data.RANKS, "train", rank)
        assert not drawn.equal(task._draw(5, 8, "train"))


def test_too_few_prompts_to_hold_some_out_is_said(monkeypatch):
    monkeypatch.setattr(data, "is_held_out", lambda asked: asked < 0)
    with pytest.raises(ValueError, match="too few prompts to hold some out; make --digits larger"):
        load(CONFIG, CPU)


@pytest.mark.parametrize("changes", [{"digits": 1}, {"terms": 1}, {"task": "parts", "terms": 1}])
def test_numbers_too_easy_to_be_graded_are_said(changes):
    with pytest.raises(ValueError, match=r"--digits \d and --terms \d: both must be 2 or more"):
        load(replace(CONFIG, **changes), CPU)


def test_sums_are_a_function_of_seed_step_and_part():
    task, other = Sums(CONFIG, CPU), Sums(replace(CONFIG, seed=1), CPU)
    assert task.batch(5, 16).equal(task.batch(5, 16))
    for different in (task.batch(6, 16), task.batch(5, 16, "val"), other.batch(5, 16)):
        assert not different.equal(task.batch(5, 16))


def test_an_answer_is_right_to_its_end_and_what_follows_is_nobodys_business():
    task = Sums(CONFIG, CPU)
    tokens = task.batch(0, 4)
    right = tokens[:, task.prompt :]
    assert task.solved(tokens, right).all()
    for place in range(task.new):
        wrong = right.clone()
        wrong[:, place] = (wrong[:, place] + 1) % 10
        counts = until_end(right, task.stop)[:, place]
        assert task.solved(tokens, wrong).equal(~counts)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "CACHE", tmp_path / "cache")
    for split, n in (("train", 30), ("val", 6)):
        (tmp_path / "text" / split).mkdir(parents=True)
        for i in range(n):
            (tmp_path / "text" / split / f"{i}.txt").write_text(f"{split} {i}: " + "to be or not to be; " * (5 + i % 3))
    return str(tmp_path / "text")


def test_text_is_windows_of_both_parts(folder):
    config = replace(CONFIG, task="text", text=folder, prompt_len=6, new_tokens=10, batch_size=4)
    task = Text(config, CPU)
    tokens, held_out = task.batch(2, 4), task.batch(2, 4, "val")
    assert tokens.shape == held_out.shape == (4, 16) and task.stop is None
    assert held_out.flatten().equal(
        torch.stack([task.tokens.val[i * 15 : i * 15 + 16] for i in range(8, 12)]).flatten().long()
    )
    assert task.batch(2, 4).equal(tokens) and not task.batch(3, 4).equal(tokens)


def test_text_may_be_less_than_there_is_and_a_document_may_end_what_follows(folder):
    config = replace(CONFIG, task="text", text=folder, prompt_len=6, new_tokens=10, batch_size=4, eval_batches=1)
    whole, few = Text(config, CPU), Text(replace(config, windows=8, document_end=True), CPU)
    seen = {tuple(row) for step in range(20) for row in few.batch(step, 4).tolist()}
    assert seen == {tuple(whole.tokens.train[15 * i : 15 * i + 16].tolist()) for i in range(8)}
    assert few.batch(0, 4, "val").equal(whole.batch(0, 4, "val"))
    assert few.stop == few.tokenizer.end and few.name == f"{whole.name}; 8 windows of 16 tokens to learn from"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 200}, "the tokenizer has 257 tokens and the student 200; --vocab-size 257 makes room"),
        ({"batch_size": 5000}, "windows of 48 tokens in train and 5000 needed"),
        ({"eval_batches": 4000}, "in val and 128000 needed; name more text, fewer --eval-batches"),
    ],
)
def test_text_that_does_not_fit_is_said_in_one_line(folder, changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        Text(replace(CONFIG, **{"task": "text", "text": folder, "eval_batches": 1, **changes}), CPU)
    assert "\n" not in str(caught.value)


# Measures


def decoders(vocab_size: int):
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        decoder = Student(CONFIG if seed else replace(CONFIG, d_model=24, n_layers=2), vocab_size).decoder
        with torch.no_grad():
            for p in decoder.parameters():
                p.add_(0.2 * torch.randn_like(p))
        found.append(decoder)
    return found[1], found[0]


def test_measures_on_data_are_plain_arithmetic():
    task = Sums(CONFIG, CPU)
    student, teacher = decoders(task.vocab_size)
    found = measure(CONFIG, task, student, teacher)
    tokens = torch.cat([task.batch(i, 32, "val") for i in range(3)])
    targets = tokens[:, task.prompt :]
    kept = until_end(targets, task.stop)
    with torch.no_grad():
        q, p = (d(tokens[:, :-1])[:, task.prompt - 1 :].log_softmax(-1)[kept] for d in (student, teacher))
    expected = {
        "data_ce_nats": F.nll_loss(q, targets[kept]), "teacher_data_ce_nats": F.nll_loss(p, targets[kept]),
        "forward_kl_data": (p.exp() * (p - q)).sum(-1).mean(), "entropy_nats": -(q.exp() * q).sum(-1).mean(),
    }  # fmt: skip
    for name, value in expected.items():
        assert found[name] == pytest.approx(float(value), rel=1e-4), name


def test_measures_on_samples_are_of_the_students_text():
    """A student that is its teacher: no divergence anywhere, its likelihood is its entropy, no excess error."""
    task = Sums(replace(CONFIG, digits=5, terms=3), CPU)
    _, teacher = decoders(task.vocab_size)
    found = measure(replace(CONFIG, eval_batches=20), task, teacher, teacher)
    for name in ("forward_kl_data", "forward_kl_samples", "reverse_kl_samples"):
        assert found[name] == pytest.approx(0, abs=1e-6)
    assert found["data_ce_nats"] == found["teacher_data_ce_nats"]
    assert found["exact_match"] == found["teacher_exact_match"]
    other, _ = decoders(task.vocab_size)
    apart = measure(replace(CONFIG, eval_batches=20), task, other, teacher)
    assert min(apart["forward_kl_samples"], apart["reverse_kl_samples"]) > 0.01
    assert 1 <= apart["length"] <= task.new and apart["teacher_nll_samples"] > 0.5
    again = measure(replace(CONFIG, eval_batches=20), task, other, teacher)
    assert again == apart  # its own random numbers, whatever was drawn before


def test_without_a_teacher_there_is_less_to_measure():
    task = Sums(CONFIG, CPU)
    found = measure(CONFIG, task, decoders(task.vocab_size)[0], None)
    by_level = {f"exact_match_{n}" for n in ("2_digits", "3_digits", "2_terms")}
    assert set(found) == {"data_ce_nats", "entropy_nats", "exact_match", "exact_match_beam"} | by_level
    assert 0 <= found["exact_match"] < 0.2


@pytest.mark.parametrize("kind", [Sums, Parts])
def test_right_answers_are_counted_by_level(kind, monkeypatch):
    task = kind(replace(CONFIG, digits=4), CPU)
    batches = [task.batch(step, 32, "val") for step in range(4)]
    monkeypatch.setattr(task, "solved", lambda tokens, made: task.levels(tokens)["3_digits"])
    found = solved(task, decoders(task.vocab_size)[0], batches)
    assert (found["exact_match_2_digits"], found["exact_match_3_digits"], found["exact_match_4_digits"]) == (0, 1, 0)
    assert found["exact_match"] == task.levels(torch.cat(batches))["3_digits"].double().mean()
    one = task.batch(0, 1, "val")
    (level,) = (name for name, mask in task.levels(one).items() if mask and name.endswith("digits"))
    names = {name for name in solved(task, decoders(task.vocab_size)[0], [one]) if name.endswith("digits")}
    assert names == {f"exact_match_{level}"}  # of levels that nothing was asked of, nothing is said


def test_distinct_runs():
    assert distinct_n([[1, 2, 1, 2], [1, 2]], 2) == pytest.approx(2 / 4)
    assert distinct_n([[1, 2, 3], [4]], 1) == 1.0
    assert distinct_n([[1], [2, 3]], 4) == 0.0


def test_excess_error_compares_the_two_texts_by_length():
    """Constant errors of 0.2 along the student's text and of 0.1 along the teacher's: 100 % at every length. Those that
    grow with the place: more and more. A length that few sequences reach is left out."""
    ours, theirs = Regret(16), Regret(16)
    ours.add(torch.full((20, 16), 0.2), torch.ones(20, 16, dtype=torch.bool))
    theirs.add(torch.full((20, 16), 0.1), torch.ones(20, 16, dtype=torch.bool))
    assert excess_error(ours, theirs) == {f"excess_error_{n}": pytest.approx(100) for n in (4, 8, 16)}
    growing, short = Regret(16), torch.arange(16) < torch.tensor([[16]] * 10 + [[8]] * 10)
    growing.add(0.1 * (1 + torch.arange(16.0)).expand(20, 16), short)
    theirs = Regret(16)
    theirs.add(torch.full((20, 16), 0.1), short)
    assert excess_error(growing, theirs) == {"excess_error_4": pytest.approx(150), "excess_error_8": pytest.approx(350)}


# Hinton's digits


def test_each_student_has_its_own_images():
    digits = hinton.Digits(Config(task="digits", batch_size=64), CPU)
    assert {k: len(v) for k, v in digits.rows.items() if k != "omitted"} == {"few": 40, "full": 1297}
    assert (digits.y[digits.rows["omitted"]] != 3).all() and 1150 < len(digits.rows["omitted"]) < 1190
    world = World(0, 1, CPU)
    rows = {arm: digits.batch(arm, 7, world) for arm in hinton.ARMS}
    assert rows["few_hard"].equal(rows["few_soft"]) and len(set(rows["few_hard"].tolist())) == 40
    assert (digits.y[rows["omitted_soft"]] != 3).all() and rows["full_soft"].max() < hinton.N_TRAIN
    halves = [digits.batch("full_hard", 7, World(rank, 2, CPU)) for rank in range(2)]
    assert torch.cat(halves).equal(rows["full_hard"])


def test_soft_targets_are_the_teachers_at_a_temperature_times_its_square():
    nets = hinton.Nets(Config(task="digits", temperature=4.0))
    x, y = torch.rand(6, 64), torch.arange(6)
    z, v = nets.students["few_soft"](x), hinton.answers(nets.teacher, x)
    expected = 16 * F.kl_div((z / 4).log_softmax(-1), (v / 4).softmax(-1), reduction="sum")
    torch.testing.assert_close(nets._loss("few_soft", x, y), expected)
    hard = F.cross_entropy(nets.students["few_hard"](x), y, reduction="sum")
    torch.testing.assert_close(nets._loss("few_hard", x, y), hard)
    total, count = nets({"few_soft": x, "few_hard": x}, {"few_soft": y, "few_hard": y})
    torch.testing.assert_close(total, (expected + hard) / 6)
    assert count == 1


def test_the_bias_of_the_class_left_out_is_the_one_that_tells_most_right():
    y = torch.tensor([3, 3, 3, 5, 5])
    z = torch.zeros(5, 10)
    z[:, 3] = torch.tensor([-2.1, -2.1, -2.1, -4.0, -4.0])  # below the others by so much
    assert hinton.best_bias(z, y) == 2.25
    assert hinton._raised(z, 2.25).argmax(-1).tolist()[:3] == [3, 3, 3] and math.isclose(
        float(z[0, 3]), -2.1, rel_tol=1e-6
    )


def test_each_net_that_never_saw_a_three_has_its_own_best_bias():
    """Raised by another's bias, a control could not but fail."""
    config = Config(task="digits", d_ff=8, teacher_d_ff=8)
    digits, nets = hinton.Digits(config, CPU), hinton.make_state(config, CPU).model
    with torch.no_grad():
        nets.students["omitted_hard"][-1].bias[hinton.OMITTED] -= 20
        nets.students["omitted_soft"][-1].bias[hinton.OMITTED] -= 5
    found = hinton.measure(nets, digits)
    assert 15 < found["bias_omitted_hard"] < 25 and found["bias_omitted_soft"] < 10
    assert found["accuracy_3_omitted_hard"] == 0 < found["accuracy_3_omitted_hard_bias"]
