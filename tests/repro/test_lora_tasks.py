"""What was learned, in numbers: answers and programs in the forms of the public files; and the texts to learn from."""

from __future__ import annotations

import bz2
import gzip
import itertools
import json
import math
from decimal import Decimal
from pathlib import Path

import pytest
import torch
from decoders import tiny

from repro.lab import tokenizers
from repro.lab.documents import END
from repro.lab.generate import Generator, Sampling
from repro.lab.text import Tokens
from repro.lab.tokenizers import Tokenizer
from repro.lab.transformer import Cache
from repro.lora_forgetting import targets, tasks
from repro.lora_forgetting.sandbox import Limits, Outcome, refusal
from repro.lora_forgetting.tasks import (
    code_problems,
    code_scores,
    complete,
    final_number,
    free_names,
    job,
    last_number,
    math_problems,
    math_prompt,
    math_scores,
    pass_at_k,
    score_answers,
    score_outcomes,
    truncated,
)

torch.set_num_threads(1)
BYTES = tokenizers.of_bytes()
sandboxed = pytest.mark.skipif(bool(refusal()), reason="no sandbox on this machine")

MATH = [
    {"question": "Ann has 48 eggs and sells half. How many are left?", "answer": "48/2 = <<48/2=24>>24 eggs.\n#### 24"},
    {"question": "A car costs $1,200 more than $800. What is its price?", "answer": "1200+800=2000.\n#### 2,000"},
    {"question": "It was 3 degrees and fell by 5. And now?", "answer": "3-5=-2\n#### -2"},
]
HUMAN_EVAL = [
    {
        "task_id": "HumanEval/900",
        "prompt": 'from typing import List\n\n\ndef total(xs: List[int]) -> int:\n    """ The sum.\n    """\n',
        "entry_point": "total",
        "canonical_solution": "    return sum(xs)\n",
        "test": "\n\nMETADATA = {}\n\n\ndef check(candidate):\n    assert candidate([1, 2]) == 3\n"
        "    assert candidate([]) == 0\n\n",
    },
    {  # as some do, its tests use a helper of the prompt
        "task_id": "HumanEval/901",
        "prompt": "def encode(s: str):\n    return s[::-1]\n\n\n"
        'def decode(s: str):\n    """ What encode made into s.\n    """\n',
        "entry_point": "decode",
        "canonical_solution": "    return s[::-1]\n",
        "test": "def check(candidate):\n    assert candidate(encode('abc')) == 'abc'\n",
    },
]
MBPP = [
    {
        "text": "Write a function\r\nto add.\r\n", "code": "def sum(a, b):\r\n  return a + b", "task_id": 900,
        "test_setup_code": "", "test_list": ["assert sum(1, 2) == 3", "assert sum(0, 0) == 0"],
    },
    {
        "text": "Write a function to find the depth.", "task_id": 901, "challenge_test_list": [],
        "code": "class Node:\n    def __init__(self, v):\n        self.v, self.left = v, None\n"
        "def depth(n):\n    return 0 if n is None else 1 + depth(n.left)",
        "test_setup_code": "root = Node(1)\r\nroot.left = Node(2)\r\n",
        "test_list": ["assert depth(root) == 2", "assert len({depth(r) for r in (root, root.left)}) == 2"],
    },
]  # fmt: skip


def written(path: Path, rows: list[dict]) -> Path:
    data = "\n".join(json.dumps(row) for row in rows) + "\n\n"
    opener = {".bz2": bz2.open, ".gz": gzip.open}.get(path.suffix, open)
    with opener(path, "wb") as file:
        file.write(data.encode())
    return path


# Files


@pytest.mark.parametrize("suffix", ["", ".bz2", ".gz"])
def test_problems_are_read_as_they_are_published(tmp_path, suffix):
    problems = math_problems(written(tmp_path / f"gsm8k.jsonl{suffix}", MATH))
    assert [p.gold for p in problems] == [24, 2000, -2]
    assert math_problems(tmp_path / f"gsm8k.jsonl{suffix}", limit=2) == problems[:2]
    code = code_problems(written(tmp_path / f"code.jsonl{suffix}", [*HUMAN_EVAL, *MBPP]))
    assert [p.task_id for p in code] == ["HumanEval/900", "HumanEval/901", "MBPP/900", "MBPP/901"]
    assert [p.names for p in code] == [("total",), ("decode",), ("sum",), ("Node", "depth")]
    assert code[0].prompt + "\n" == HUMAN_EVAL[0]["prompt"] and code[0].tests.endswith("\ncheck(total)\n")
    assert code[2].prompt == '"""\nWrite a function\nto add.\nassert sum(1, 2) == 3\n"""'
    assert code[3].tests.startswith("root = Node(1)\nroot.left = Node(2)\n")


@pytest.mark.parametrize(
    ("read", "line", "said"),
    [
        (math_problems, b"{", "line 2 is no JSON"),
        (math_problems, b"[]", "line 2 is no JSON object"),
        (math_problems, b'{"question": "\xff"}', "line 2 is not UTF-8 text"),
        (math_problems, b'{"question": "a", "answer": "four"}', "line 2: the answer does not end in #### and a number"),
        (math_problems, b'{"answer": "#### 4"}', "line 2: there is no field question that is a string"),
        (code_problems, b'{"task_id": 4, "test_list": []}', "line 2: there is no field prompt"),
        (code_problems, b'{"text": "x", "code": ""}', "line 2: the fields are neither HumanEval's nor"),
        (code_problems, b'{"text": "x", "code": "", "test_list": ["assert f("]}', "line 2: .*was never closed"),
        (code_problems, b'{"entry_point": "f", "prompt": "def"}', "line 2: invalid syntax"),
    ],
)
def test_a_line_that_is_no_problem_is_named(tmp_path, read, line, said):
    first = (MATH if read is math_problems else HUMAN_EVAL)[0]
    path = tmp_path / "some.jsonl"
    path.write_bytes(json.dumps(first).encode() + b"\n" + line + b"\n")
    with pytest.raises(ValueError, match=said) as raised:
        read(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)
    assert len(read(path, limit=1)) == 1


def test_a_file_that_is_none_is_named(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "torn.jsonl.bz2").write_bytes(bz2.compress(b"x" * 10_000)[:40])
    wrong = {"empty.jsonl": "holds no problem", "none.jsonl": "No such file", "torn.jsonl.bz2": "ended before"}
    for name, said in wrong.items():
        with pytest.raises(ValueError, match=said):
            math_problems(tmp_path / name)


def test_names_that_tests_take_from_a_program():
    assert free_names("import math\nassert math.isclose(f(len([x for x in y])), g)", "") == ("f", "g", "y")
    assert free_names("assert max(1) == sorted(2)", "def max(x): pass") == ("max",)
    assert free_names("def check(candidate, k=3):\n    r = candidate(k)\ncheck(f)", "") == ("check", "f")


# Answers


@pytest.mark.parametrize(
    ("text", "strict", "flexible"),
    [
        ("so 4+3 is 7.\n#### 7", "7", "7"),
        ("#### 1,000", "1000", "1000"),
        ("####$1,234.50.", "1234.5", "1234.50"),
        ("#### $ -3", "-3", "-3"),
        ("#### -$3", "-3", "-3"),
        ("#### 12\nQuestion: 13 #### 14", "12", "14"),
        ("The answer is 7.", None, "7"),
        ("It costs 3.50 and 4,500 dollars.", None, "4500"),
        ("#### about 9", None, "9"),
        ("#### .5", "0.5", ".5"),
        ("### 7", None, "7"),
        ("none", None, None),
        ("#### \u0664", None, None),  # a digit of another script
    ],
)
def test_the_number_of_an_answer(text, strict, flexible):
    assert final_number(text) == (None if strict is None else Decimal(strict))
    assert last_number(text) == (None if flexible is None else Decimal(flexible))


def test_answers_are_scored_as_numbers(tmp_path):
    problems = math_problems(written(tmp_path / "gsm8k.jsonl", MATH))
    found = score_answers(problems, ["#### 24.00", "So it is $2,000", "#### 2"])
    assert found == {
        "problems": 3, "exact_match": pytest.approx(1 / 3), "exact_match_se": pytest.approx(math.sqrt(2 / 9 / 2)),
        "exact_match_flexible": pytest.approx(2 / 3), "exact_match_flexible_se": pytest.approx(math.sqrt(2 / 9 / 2)),
    }  # fmt: skip
    assert math.isnan(score_answers(problems[:1], ["#### 24"])["exact_match_se"])


def test_a_prompt_is_worked_examples_and_a_question(tmp_path):
    problems = math_problems(written(tmp_path / "gsm8k.jsonl", MATH))
    assert math_prompt(problems[1:], problems[0].question) == (
        "Question: A car costs $1,200 more than $800. What is its price?\nAnswer: 1200+800=2000.\n#### 2,000\n\n"
        "Question: It was 3 degrees and fell by 5. And now?\nAnswer: 3-5=-2\n#### -2\n\n"
        "Question: Ann has 48 eggs and sells half. How many are left?\nAnswer:"
    )


# Completions


def test_truncation_takes_the_first_of_all_stops():
    assert truncated("a\ndef b\nclass c", ("\nclass ", "\ndef ")) == "a"
    assert truncated("    return 1\n# no", tasks._AFTER_FUNCTION) == "    return 1"
    assert truncated("whole", ("x",)) == truncated("whole", ()) == "whole"
    assert truncated("\ndef f", ("\ndef ",)) == ""


def test_completions_are_the_generators_in_any_batch():
    """Greedy text does not depend on which prompts are read together, nor on their order."""
    decoder = tiny(vocab_size=257)
    prompts = ["ab", "a longer prompt", "x", "ab"]
    single = [Generator(decoder, 1, 40)([[BYTES.end, *p.encode()]], 12, BYTES.end)[0] for p in prompts]
    expected = [[BYTES.decode(t[:-1] if t[-1] == BYTES.end else t)] * 2 for t in single]
    for batch in (1, 3, 64):
        assert complete(decoder, BYTES, prompts, 2, 12, batch=batch) == expected
    assert complete(decoder, BYTES, [], 2, 12) == []


def test_samples_differ_and_come_again():
    decoder, sampling = tiny(vocab_size=257), Sampling(1.0, 0.95)
    first = complete(decoder, BYTES, ["ab", "c"], 5, 12, (), sampling, 4, seed=3)
    assert [len(set(texts)) for texts in first] == [5, 5]
    assert complete(decoder, BYTES, ["ab", "c"], 5, 12, (), sampling, 4, seed=3) == first
    assert complete(decoder, BYTES, ["ab", "c"], 5, 12, (), sampling, 4, seed=4) != first


def test_no_more_are_continued_at_once_than_there_is_memory_for(monkeypatch):
    decoder, made, start = tiny(vocab_size=257), [], Generator.__init__
    cache = Cache(decoder, 1, 16)  # a prompt of two tokens, and 14 more

    def watched(self, of, batch, *more):
        made.append(batch)
        start(self, of, batch, *more)

    monkeypatch.setattr(Generator, "__init__", watched)
    expected = complete(decoder, BYTES, ["a", "b", "c"], 1, 14)
    monkeypatch.setattr(tasks, "CACHE", 2 * 16 * cache.bytes_per_token)
    assert complete(decoder, BYTES, ["a", "b", "c"], 1, 14) == expected
    monkeypatch.setattr(tasks, "CACHE", 1)
    assert complete(decoder, BYTES, ["a", "b", "c"], 1, 14) == expected
    assert made == [3, 2, 1]


def scripted(tokens: list[int], monkeypatch) -> None:
    """A generator that says the same, whatever it reads."""
    monkeypatch.setattr(Generator, "__call__", lambda self, prompts, new, stop, seed: [tokens[:new] for _ in prompts])


def test_a_completion_ends_at_a_special_token_or_a_stop(monkeypatch):
    raw = tokenizers.of_bytes().raw
    raw.add_special_tokens(["<|im_end|>"])
    chat = Tokenizer(raw, "bytes and a turn")
    turn = chat.id_of("<|im_end|>")
    decoder = tiny(vocab_size=258)
    for tokens, expected in [
        ([*b"one", turn, *b"two"], "one"),
        ([*b"one", chat.end], "one"),
        ([*b"one\ndef two", turn], "one"),
        ([turn], ""),
        ([*b"one"], "one"),
        ([*b"<|im_end|>"], "<|im_end|>"),  # text, not the token
    ]:
        scripted(tokens, monkeypatch)
        assert complete(decoder, chat, ["x"], 1, 20, ("\ndef ",)) == [[expected]]


def test_a_prompt_that_has_no_room_is_told():
    with pytest.raises(ValueError, match="61 tokens of a prompt and 4 new ones exceed the decoder's 64; give fewer"):
        complete(tiny(vocab_size=257), BYTES, ["x" * 60, "y"], 1, 4)


def test_math_scores_are_those_of_greedy_answers(tmp_path, monkeypatch):
    problems = math_problems(written(tmp_path / "gsm8k.jsonl", MATH))
    decoder = tiny(vocab_size=257, max_seq_len=512)
    found = math_scores(decoder, BYTES, problems, problems[:1], new_tokens=8, batch=2)
    assert found["exact_match"] == 0 and found["problems"] == 3
    scripted([*b" 2\n#### 24\n\nQuestion: #### 5"], monkeypatch)
    found = math_scores(decoder, BYTES, problems, problems[:1], new_tokens=40, batch=2)
    assert found["exact_match"] == found["exact_match_flexible"] == pytest.approx(1 / 3)


# Programs


def test_pass_at_k_is_the_chance_over_all_draws():
    for n in range(1, 7):
        for c in range(n + 1):
            passes = [i < c for i in range(n)]
            for k in range(1, n + 1):
                draws = list(itertools.combinations(passes, k))
                assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws), abs=1e-12)
    assert pass_at_k(50, 7, 1) == pytest.approx(7 / 50)
    # unbiased: over what n samples of a model that passes with p show, its mean is 1 - (1 - p)^k
    n, k, p = 12, 5, 0.3
    chances = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    mean = sum(w * pass_at_k(n, c, k) for c, w in enumerate(chances))
    assert mean == pytest.approx(1 - (1 - p) ** k, rel=1e-12)
    for n, c, k in [(5, 6, 1), (5, -1, 1), (5, 2, 6), (5, 2, 0)]:
        with pytest.raises(ValueError, match="does not hold"):
            pass_at_k(n, c, k)


def test_outcomes_become_scores():
    good, bad, slow = Outcome("passed"), Outcome("failed"), Outcome("timed out")
    found = score_outcomes([[good, bad], [slow, bad], [good, good]], ks=(1, 2, 10))
    assert found["pass_at_1"] == pytest.approx((0.5 + 0 + 1) / 3) and found["pass_at_2"] == pytest.approx(2 / 3)
    assert "pass_at_10" not in found  # two samples do not tell
    assert found["pass_at_1_se"] == pytest.approx(0.5 / math.sqrt(3))
    ended = {"passed": 3, "failed": 2, "timed_out": 1, "out_of_memory": 0, "crashed": 0}
    assert {key: found[key] for key in ended} == ended and found["problems"] == 3


@sandboxed
def test_solutions_pass_and_others_do_not(tmp_path):
    problems = code_problems(written(tmp_path / "code.jsonl", [*HUMAN_EVAL, *MBPP]))
    others = ["\n    return 0", "\n    return s", "\ndef sum(a, b):\n    return 3", "\ndef depth(n):\n    return 2"]
    samples = [[p.solution, other] for p, other in zip(problems, others, strict=True)]
    found = code_scores(problems, samples, (1, 2), Limits(2, 60.0, 512), workers=2)
    assert (found["pass_at_1"], found["pass_at_2"]) == (0.5, 1.0)
    assert (found["passed"], found["failed"]) == (4, 4)


@sandboxed
def test_a_prompts_helper_is_not_the_samples_to_change(tmp_path):
    problem = code_problems(written(tmp_path / "code.jsonl", HUMAN_EVAL))[1]
    cheat = "\n    return 'abc'\n\ndef encode(s):\n    return s\n"
    assert code_scores([problem], [[cheat]])["passed"] == 1  # right for the one text that is asked
    cheat = "\n    return s\n\ndef encode(s):\n    return s\n"
    assert code_scores([problem], [[cheat]])["passed"] == 0


@sandboxed
def test_a_program_that_comes_twice_is_run_once(tmp_path, monkeypatch):
    problems = code_problems(written(tmp_path / "code.jsonl", HUMAN_EVAL))
    ran, run_all = [], tasks.run_all
    monkeypatch.setattr(tasks, "run_all", lambda jobs, *rest: ran.extend(jobs) or run_all(jobs, *rest))
    right, wrong = "\n    return sum(xs)\n", "\n    return 0\n"
    found = code_scores(problems, [[right, wrong, right, right], [right, wrong, wrong, wrong]], (1,))
    assert len(ran) == 4 and found["passed"] == 3
    assert ran[0] == job(problems[0], right) and ran[0].program.endswith('"""\n    return sum(xs)\n')


# Targets


def ids(*values: int, dtype=torch.uint16) -> torch.Tensor:
    return torch.tensor(values).to(dtype)


def test_the_far_target_exchanges_every_token_but_special_ones(monkeypatch):
    monkeypatch.setattr(targets, "_CHUNK", 7)
    table = targets.permutation(BYTES, seed=0)
    assert sorted(table.tolist()) == list(range(257)) and table[BYTES.end] == BYTES.end
    assert int((table == torch.arange(257)).sum()) < 8  # by chance, about one, and the end
    assert not torch.equal(table, targets.permutation(BYTES, seed=1))
    assert torch.equal(table, targets.permutation(BYTES, seed=0))
    for dtype in (torch.uint16, torch.int32):
        train = torch.tensor([*b"the same text, the same", BYTES.end, *b"text"]).to(dtype)
        tokens = Tokens(train, ids(*b"held out", BYTES.end, dtype=dtype), 0.9, "some text")
        far = targets.permuted(tokens, BYTES, seed=0)
        assert far.train.dtype == dtype and torch.equal(table[train.long()], far.train.long())
        assert torch.equal(table[tokens.val.long()], far.val.long())
        back = torch.empty_like(table).scatter_(0, table, torch.arange(257))
        assert torch.equal(back[far.windows(torch.tensor([1, 0]), 5)], tokens.windows(torch.tensor([1, 0]), 5))
        assert (far.bytes_per_token, far.name) == (0.9, "some text; tokens permuted, seed 0")


def test_problems_are_documents_as_they_are_asked(tmp_path):
    rows = [{"question": f"What is {i} + 1?", "answer": f"{i} + 1 = {i + 1}\n#### {i + 1}"} for i in range(150)]
    rows[3] = {"query": "Why?", "response": "Because.", "type": "x"}
    rows[4] = {"instruction": "Say <|endoftext|>", "response": "é"}
    path = written(tmp_path / "sums.train.jsonl.bz2", rows)
    tokens = targets.problems(path, BYTES, tmp_path / "cache")
    train, val = (BYTES.decode(row.tolist()).split(END)[:-1] for row in (tokens.train, tokens.val))
    whole = {*train, *val}
    assert {"Question: What is 7 + 1?\nAnswer: 7 + 1 = 8\n#### 8", "Question: Why?\nAnswer: Because."} < whole
    assert sum(text.startswith("Question: What is") for text in whole) == 148
    assert len(train) + len(val) == 151 and len(val) >= 1  # one says END itself, as text
    assert tokens.name.startswith("sums.train.jsonl.bz2, sha256 ") and tokens.name.endswith(BYTES.name)
    again = targets.problems(path, BYTES, tmp_path / "cache")
    assert torch.equal(again.train, tokens.train) and again.name == tokens.name


def test_a_file_of_no_problems_is_told(tmp_path):
    path = written(tmp_path / "odd.jsonl", [{"question": "a", "answer": "b"}, {"text": "c"}])
    with pytest.raises(ValueError, match=r"odd.jsonl: line 2: the fields are none of question and answer, query and"):
        targets.problems(path, BYTES, tmp_path)
    path = written(tmp_path / "odd.jsonl", [{"question": "a", "answer": 4}])
    with pytest.raises(ValueError, match=r"odd.jsonl: line 1: there is no field answer"):
        targets.problems(path, BYTES, tmp_path)
    with pytest.raises(ValueError, match="No such file"):
        targets.problems(tmp_path / "none.jsonl", BYTES, tmp_path)
