"""What was learned: GSM8K by exact match, HumanEval and MBPP by pass@k. Files are JSON lines as they are published,
also packed as .bz2 or .gz.

    problems = code_problems(Path("HumanEval.jsonl.gz"))
    prompts, stops = [problem.prompt for problem in problems], problems[0].stops
    samples = complete(decoder, tokenizer, prompts, 50, 512, stops, Sampling(0.2, 0.95))
    code_scores(problems, samples)["pass_at_1"]

The programs of samples run in repro.lora_forgetting.sandbox and nowhere else.
"""

from __future__ import annotations

import ast
import builtins
import json
import math
import re
import statistics
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, TypeVar, get_args

import torch

from repro.lab.data import step_seed
from repro.lab.documents import opened
from repro.lab.generate import Generator, Sampling
from repro.lab.tokenizers import Tokenizer
from repro.lab.transformer import Cache, Decoder
from repro.lora_forgetting.sandbox import Job, Limits, Outcome, Status, run_all

BATCH = 64  # sequences that are continued at once, or fewer: as many as leave their keys and values in so many bytes
CACHE = 16 << 30
_NUMBER = r"-?\$? ?-?(?:\d[\d,]*(?:\.\d+)?|\.\d+)"
_STRICT = re.compile(rf"####\s*({_NUMBER})", re.ASCII)
_ANY = re.compile(_NUMBER, re.ASCII)
# where a function, or a script, is over: Chen et al. 2021, Section 3.1, and what chat models put around code
_AFTER_FUNCTION = ("\nclass ", "\ndef ", "\n#", "\nif ", "\nprint(", "\n```")
_AFTER_SCRIPT = ("\nassert ", "\nif ", "\nprint(", '\n"""', "\n```")
P = TypeVar("P")


# Problems


@dataclass(frozen=True)
class MathProblem:
    """A question in words, its worked answer, which ends in #### and a number, and this number."""

    question: str
    answer: str
    gold: Decimal


@dataclass(frozen=True)
class CodeProblem:
    """The beginning of a program, to be completed up to one of `stops`; the tests call the program's `names`. `before`
    is the tests' own: of HumanEval the prompt, whose helpers some tests use. `solution` completes the prompt.

    The white space that ends a prompt is left to be completed: most tokenizers know a line break and the indent after
    it as one token, which a prompt that ends between the two forbids."""

    task_id: str
    prompt: str
    tests: str
    names: tuple[str, ...]
    stops: tuple[str, ...]
    before: str = ""
    solution: str = ""


def math_problems(path: Path, limit: int | None = None) -> list[MathProblem]:
    """The first `limit` problems of a file in GSM8K's form: question, answer. A ValueError in one line names the file
    and the line that is not of it."""
    return _problems(path, limit, _math_problem)


def code_problems(path: Path, limit: int | None = None) -> list[CodeProblem]:
    """The first `limit` problems of a file in the form of HumanEval (task_id, prompt, entry_point, canonical_solution,
    test) or MBPP (task_id, text, code, test_list). A ValueError as for `math_problems`."""
    return _problems(path, limit, lambda row: _human_eval(row) if "entry_point" in row else _mbpp(row))


def _problems(path: Path, limit: int | None, read: Callable[[dict[str, Any]], P]) -> list[P]:
    found: list[P] = []
    for where, row in islice(rows(path), limit):
        try:
            found.append(read(row))
        except (ValueError, SyntaxError) as error:
            raise ValueError(f"{where}: {error}") from None
    if not found:
        raise ValueError(f"{path} holds no problem")
    return found


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file of JSON lines, each with where it stands. A ValueError in one line where there are none."""
    try:
        with opened(path) as stream:
            for i, line in enumerate(stream, 1):
                if line.strip():
                    yield f"{path}: line {i}", _object(line, f"{path}: line {i}")
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: {error}") from None


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is no JSON ({error.msg})") from None
    except UnicodeError:
        raise ValueError(f"{where} is not UTF-8 text") from None
    if not isinstance(found, dict):
        raise ValueError(f"{where} is no JSON object")
    return found


def text_of(row: dict[str, Any], name: str) -> str:
    """A field, which must be there and be text; with the line ends of Unix."""
    if not isinstance(row.get(name), str):
        raise ValueError(f"there is no field {name} that is a string")
    return str(row[name]).replace("\r\n", "\n")


def _math_problem(row: dict[str, Any]) -> MathProblem:
    answer = text_of(row, "answer")
    gold = final_number(answer)
    if gold is None:
        raise ValueError("the answer does not end in #### and a number")
    return MathProblem(text_of(row, "question"), answer, gold)


def _human_eval(row: dict[str, Any]) -> CodeProblem:
    prompt, name = text_of(row, "prompt"), text_of(row, "entry_point")
    ast.parse(prompt)
    tests = f"{text_of(row, 'test')}\n\ncheck({name})\n"
    solution = "\n" + text_of(row, "canonical_solution")
    return CodeProblem(text_of(row, "task_id"), prompt.rstrip(), tests, (name,), _AFTER_FUNCTION, prompt, solution)


def _mbpp(row: dict[str, Any]) -> CodeProblem:
    """The prompt is the text with the first test, which tells the name to define, as a docstring."""
    text = text_of(row, "text" if "text" in row else "prompt")
    listed, imports = row.get("test_list"), row.get("test_imports", [])
    if not isinstance(listed, list) or not listed or not all(isinstance(t, str) for t in [*listed, *imports]):
        raise ValueError("the fields are neither HumanEval's nor is there a test_list of strings, as MBPP has it")
    setup = text_of(row, "test_setup_code") if "test_setup_code" in row else ""
    tests = "\n".join([setup, *listed, ""]).replace("\r\n", "\n")
    prompt = f'"""\n{text.strip()}\n{listed[0].strip()}\n"""'
    before, code = "\n".join(imports), "\n" + text_of(row, "code")
    names = free_names(f"{before}\n{tests}", code)
    return CodeProblem(f"MBPP/{row.get('task_id')}", prompt, tests, names, _AFTER_SCRIPT, before, code)


def free_names(source: str, solution: str) -> tuple[str, ...]:
    """The names that tests use, neither make nor import, and that are not built in, unless a solution defines them: one
    of MBPP's functions is called sum."""
    defined = {n.name for n in ast.parse(solution).body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    used: set[str] = set()
    made = set(dir(builtins)) - defined
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else made).add(node.id)
        elif isinstance(node, ast.alias):
            made.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.arg):
            made.add(node.arg)
    return tuple(sorted(used - made))


# Completions


def complete(
    decoder: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    samples: int,
    new_tokens: int,
    stops: Sequence[str] = (),
    sampling: Sampling | None = None,
    batch: int = BATCH,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> list[list[str]]:
    """`samples` texts that follow each prompt, of at most `new_tokens` tokens: up to a special token or the first of
    `stops`, neither of them included. A prompt is read as the beginning of a document. The same for the same seed and
    batch; a ValueError where the decoder has no room."""
    read = [[tokenizer.end, *tokens] for tokens in tokenizer.encode_batch(prompts)]
    places, room = max(map(len, read), default=1) + new_tokens, decoder.shape.max_seq_len
    if places > room:
        raise ValueError(
            f"{places - new_tokens} tokens of a prompt and {new_tokens} new ones exceed the decoder's {room}; "
            "give fewer examples in the prompt, or ask for fewer tokens"
        )
    # the longest first, so that a batch is of about one length
    order = sorted((i for i in range(len(read)) for _ in range(samples)), key=lambda i: -len(read[i]))
    batch = max(1, min(batch, len(order), CACHE // (places * Cache(decoder, 1, 1, dtype).bytes_per_token)))
    special = special_tokens(tokenizer)
    generator = Generator(decoder, batch, places, sampling, dtype)
    found: list[list[str]] = [[] for _ in prompts]
    for at in range(0, len(order), batch):
        some = order[at : at + batch]
        made = generator([read[i] for i in some], new_tokens, tokenizer.end, step_seed(seed, at // batch))
        for i, tokens in zip(some, made, strict=True):
            text = tokenizer.decode(list(takewhile(lambda token: token not in special, tokens)))
            found[i].append(truncated(text, stops))
    return found


def special_tokens(tokenizer: Tokenizer) -> set[int]:
    """Those that are no text: the end of a document, the turns of a chat."""
    return {i for i, token in tokenizer.raw.get_added_tokens_decoder().items() if token.special} | {tokenizer.end}


def truncated(text: str, stops: Sequence[str]) -> str:
    """A text up to the first of some strings."""
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]


# GSM8K


def final_number(text: str) -> Decimal | None:
    """The number after the first ####, as the paper's strict match wants it; 1,000 and $1000.00 are the same."""
    found = _STRICT.search(text)
    return None if found is None else _decimal(found[1])


def last_number(text: str) -> Decimal | None:
    """The last number of a text, whatever stands before it."""
    found = _ANY.findall(text)
    return _decimal(found[-1]) if found else None


def _decimal(text: str) -> Decimal:
    number = Decimal(re.sub(r"[^\d.]", "", text))
    return -number if "-" in text else number


def math_text(question: str, answer: str = "") -> str:
    """A problem as it is read and trained on; without an answer, up to where it begins."""
    return f"Question: {question.strip()}\nAnswer:{' ' if answer else ''}{answer.strip()}"


def math_prompt(shots: Sequence[MathProblem], question: str) -> str:
    """Worked examples, then a question."""
    return "\n\n".join([*(math_text(shot.question, shot.answer) for shot in shots), math_text(question)])


def math_scores(
    decoder: Decoder,
    tokenizer: Tokenizer,
    problems: Sequence[MathProblem],
    shots: Sequence[MathProblem],
    new_tokens: int = 256,
    batch: int = BATCH,
    dtype: torch.dtype | None = None,
) -> dict[str, float]:
    """Greedy answers after the worked examples `shots`: `exact_match` of the number after ####, and
    `exact_match_flexible` of the last number; each with its standard error (`_se`). `problems`, how many."""
    prompts = [math_prompt(shots, problem.question) for problem in problems]
    stops = ["Question:"]
    answers = [texts[0] for texts in complete(decoder, tokenizer, prompts, 1, new_tokens, stops, None, batch, 0, dtype)]
    return score_answers(problems, answers)


def score_answers(problems: Sequence[MathProblem], answers: Sequence[str]) -> dict[str, float]:
    """The scores of `math_scores`, of answers that are there already."""
    pairs = list(zip(problems, answers, strict=True))
    strict = [float(final_number(answer) == problem.gold) for problem, answer in pairs]
    flexible = [float(last_number(answer) == problem.gold) for problem, answer in pairs]
    return {
        "problems": float(len(pairs)), **_mean("exact_match", strict), **_mean("exact_match_flexible", flexible)
    }  # fmt: skip


# Programs


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that of k samples drawn out of n, c of which pass, one does: 1 - C(n - c, k) / C(n, k), the unbiased
    estimate of Chen et al. 2021, Section 2.1. 1 - (1 - c / n)^k would be too low."""
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"0 <= {c} passed <= {n} samples and 1 <= k = {k} <= {n} does not hold")
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def job(problem: CodeProblem, completion: str) -> Job:
    return Job(problem.prompt + completion, problem.tests, problem.names, problem.before)


def code_scores(
    problems: Sequence[CodeProblem],
    samples: Sequence[Sequence[str]],
    ks: Sequence[int] = (1, 10),
    limits: Limits | None = None,
    workers: int | None = None,
) -> dict[str, float]:
    """`pass_at_k` and its standard error over problems (`_se`) for each k that there are samples for; how many
    problems, and how many samples ended in each way (`passed`, `failed`, `timed_out`, …). Only where a sandbox is."""
    jobs = [job(p, completion) for p, made in zip(problems, samples, strict=True) for completion in made]
    # greedy and cold sampling repeat themselves: a program is run once
    distinct = list(dict.fromkeys(jobs))
    outcomes = dict(zip(distinct, run_all(distinct, limits, workers), strict=True))
    ended = iter([outcomes[each] for each in jobs])
    return score_outcomes([[next(ended) for _ in made] for made in samples], ks)


def score_outcomes(outcomes: Sequence[Sequence[Outcome]], ks: Sequence[int] = (1, 10)) -> dict[str, float]:
    """The scores of `code_scores`, of outcomes that are there already: one row a problem."""
    least = min(map(len, outcomes))
    scores: dict[str, float] = {"problems": float(len(outcomes))}
    for k in (k for k in ks if k <= least):
        passes = [pass_at_k(len(row), sum(outcome.passed for outcome in row), k) for row in outcomes]
        scores |= _mean(f"pass_at_{k}", passes)
    ended = Counter(outcome.status for row in outcomes for outcome in row)
    return scores | {status.replace(" ", "_"): float(ended[status]) for status in get_args(Status)}


def _mean(name: str, values: Sequence[float]) -> dict[str, float]:
    """A mean over problems and its standard error, which one problem does not have."""
    spread = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return {name: statistics.fmean(values), f"{name}_se": spread}
