"""What a student is measured by: the same whole set for every arm, since a single number hides the trade.

Shapes: B sequences, P tokens of a prompt, L tokens that follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from repro.distillation.beam import beam_search
from repro.distillation.config import Config
from repro.distillation.data import Numbers, Task
from repro.distillation.distill import Divergence, Heads, token_divergences
from repro.distillation.model import frozen
from repro.distillation.rollout import Rollout, until_end
from repro.lab.data import step_seed
from repro.lab.generate import Sampling
from repro.lab.losses import token_losses
from repro.lab.transformer import Decoder

FORWARD, REVERSE = Divergence("forward"), Divergence("reverse")
BEAMS = 5
_EVAL = 1 << 30  # a step that no training reaches: its random numbers are the measures' own


class Averages:
    """Sums over tokens, or over sequences, and how many they were."""

    def __init__(self) -> None:
        self.sums: dict[str, torch.Tensor] = {}

    def add(self, name: str, values: torch.Tensor, counts: torch.Tensor) -> None:
        """Values where `counts` is true."""
        new = torch.stack(((values * counts).sum().double(), counts.sum().double()))
        self.sums[name] = self.sums[name] + new if name in self.sums else new

    def found(self) -> dict[str, float]:
        """Of each name the mean; of one that nothing counted for there is none."""
        return {name: float(total / count) for name, (total, count) in self.sums.items() if count}


@torch.no_grad()
def measure(config: Config, task: Task, student: Decoder, teacher: Decoder | None) -> dict[str, float]:
    """Of held-out prompts: the student's cross-entropy on what follows them in the data, and its entropy there; with a
    teacher, what each makes of the other's text; of numbers, how many answers are right. In nats a token, fp32."""
    student = frozen(student)
    found, batches = Averages(), list(_batches(config, task))
    for tokens in batches:
        _on_data(found, task, tokens, student, teacher)
    metrics = found.found()
    if isinstance(task, Numbers):
        metrics |= solved(task, student, batches, BEAMS)
    if isinstance(task, Numbers) and teacher is not None:
        metrics |= {f"teacher_{name}": share for name, share in solved(task, frozen(teacher), batches).items()}
    if teacher is not None:
        torch.manual_seed(step_seed(config.seed, _EVAL))
        metrics |= _on_samples(task, batches, student, frozen(teacher))
    return metrics


def _batches(config: Config, task: Task) -> Iterator[torch.Tensor]:
    for step in range(config.eval_batches):
        yield task.batch(step, config.batch_size, "val")


def _hidden(decoder: Decoder, task: Task, tokens: torch.Tensor) -> torch.Tensor:
    """The states (B, L, D) that the last L tokens are predicted from."""
    return decoder.hidden(tokens[:, :-1])[:, task.prompt - 1 :]


def _on_data(found: Averages, task: Task, tokens: torch.Tensor, student: Decoder, teacher: Decoder | None) -> None:
    targets = tokens[:, task.prompt :]
    mask = until_end(targets, task.stop)
    hidden = _hidden(student, task, tokens)
    found.add("data_ce_nats", token_losses(hidden, student.unembed, targets), mask)
    found.add("entropy_nats", _entropy(hidden, student.unembed), mask)
    if teacher is not None:
        theirs = _hidden(teacher, task, tokens)
        heads = Heads(student.unembed, teacher.unembed)
        found.add("teacher_data_ce_nats", token_losses(theirs, teacher.unembed, targets), mask)
        found.add("forward_kl_data", token_divergences(hidden, theirs, heads, FORWARD), mask)


def _entropy(hidden: torch.Tensor, unembed: torch.Tensor, chunk: int = 1024) -> torch.Tensor:
    """Of each token's prediction, in nats."""
    rows = hidden.flatten(0, -2).split(chunk)
    parts = [-(p * p.exp()).sum(-1) for p in ((h @ unembed.T).float().log_softmax(-1) for h in rows)]
    return torch.cat(parts).view(hidden.shape[:-1])


def solved(task: Numbers, decoder: Decoder, batches: Sequence[torch.Tensor], beams: int = 0) -> dict[str, float]:
    """Shares of answers that are right to their end, by the likeliest token at each place, of each level of difficulty
    too, and by beam search."""
    found, every = Averages(), torch.ones(len(batches[0]), dtype=torch.bool, device=batches[0].device)
    greedy = Rollout(decoder, len(batches[0]), task.prompt, task.new, Sampling(0.0), task.vocab_size, capture=False)
    for tokens in batches:
        prompts = tokens[:, : task.prompt]
        right = task.solved(tokens, greedy(prompts)[:, task.prompt :]).double()
        for name, of_level in {"": every, **{f"_{n}": mask for n, mask in task.levels(tokens).items()}}.items():
            found.add(f"exact_match{name}", right, of_level)
        if beams:
            best = beam_search(decoder, prompts, beams, task.new, task.stop)[0][:, 0]
            found.add("exact_match_beam", task.solved(tokens, best).double(), every)
    return found.found()


def _on_samples(task: Task, batches: Sequence[torch.Tensor], student: Decoder, teacher: Decoder) -> dict[str, float]:
    """What student and teacher make of text that the student wrote at temperature 1, and of text that the teacher
    did."""
    heads = Heads(student.unembed, teacher.unembed)
    written_by = {
        name: Rollout(decoder, len(batches[0]), task.prompt, task.new, Sampling(1.0), heads.size)
        for name, decoder in (("student", student), ("teacher", teacher))
    }
    found, texts = Averages(), []
    regret = {name: Regret(task.new) for name in written_by}
    for tokens in batches:
        for name, write in written_by.items():
            text = write(tokens[:, : task.prompt]).clone()
            made = text[:, task.prompt :]
            mask = until_end(made, task.stop)
            ours, theirs = _hidden(student, task, text), _hidden(teacher, task, text)
            forward = token_divergences(ours, theirs, heads, FORWARD)
            regret[name].add(forward, mask)
            if name == "student":
                found.add("forward_kl_samples", forward, mask)
                found.add("reverse_kl_samples", token_divergences(ours, theirs, heads, REVERSE), mask)
                found.add("teacher_nll_samples", token_losses(theirs, teacher.unembed, made), mask)
                texts += [row[kept].tolist() for row, kept in zip(made, mask, strict=True)]
    excess = excess_error(regret["student"], regret["teacher"])
    distinct = {f"distinct_{n}": distinct_n(texts, n) for n in (1, 2, 4)}
    length = sum(map(len, texts)) / len(texts)
    return found.found() | distinct | {"length": length} | excess


def distinct_n(texts: Sequence[Sequence[int]], n: int) -> float:
    """The share of different ones among all runs of `n` tokens; of texts too short for one, 0."""
    runs = [tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)]
    return len(set(runs)) / len(runs) if runs else 0.0


class Regret:
    """KL(teacher || student) of sequences, added up to each length: sums (L,) over the sequences that are so long, and
    how many these are."""

    def __init__(self, longest: int) -> None:
        self.sums, self.counts = torch.zeros(longest, dtype=torch.float64), torch.zeros(longest, dtype=torch.float64)

    def add(self, divergences: torch.Tensor, mask: torch.Tensor) -> None:
        """Of tokens (B, L), those that count."""
        self.sums += ((divergences * mask).cumsum(1) * mask).sum(0).double().cpu()
        self.counts += mask.sum(0).double().cpu()

    def at(self, length: int) -> float:
        return float(self.sums[length - 1] / self.counts[length - 1])


def excess_error(student: Regret, teacher: Regret) -> dict[str, float]:
    """By how many percent the error added up along the student's own text exceeds the one along the teacher's (MiniLLM,
    section 3.3 after Arora et al.): at lengths 4, 8, 16 … and the longest that enough sequences reach, where there is
    any error at all."""
    total = len(student.sums)
    lengths = [n for n in [*(2**i for i in range(2, 12)), total] if n <= total]
    enough = [n for n in dict.fromkeys(lengths) if min(student.counts[n - 1], teacher.counts[n - 1]) >= 16]
    return {f"excess_error_{n}": 100 * (student.at(n) / teacher.at(n) - 1) for n in enough if teacher.at(n) > 0}
