"""What a teacher writes: the data of sequence-level distillation (Kim and Rush, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable

import torch

from repro.distillation.beam import beam_search
from repro.distillation.config import Config
from repro.distillation.data import Task
from repro.distillation.rollout import Rollout
from repro.lab.data import step_seed
from repro.lab.generate import Sampling
from repro.lab.transformer import Decoder

_PLACES = 1 << 19  # of the cache: how many prompts are answered at a time follows from their length and the beams


def teacher_outputs(config: Config, task: Task, teacher: Decoder) -> torch.Tensor:
    """The training prompts with the teacher's outputs, (pool, P + L): the likeliest one that a beam search finds, or
    a sample at temperature 1. The same on every rank and after a restart."""
    cuda = teacher.embed.weight.is_cuda
    rows = max(1, min(config.pool, _PLACES // (max(1, config.beams) * (task.prompt + task.new))))
    found: list[torch.Tensor] = []
    with torch.random.fork_rng(devices=["cuda"] if cuda else []):
        torch.manual_seed(step_seed(config.seed, 0))
        answer = _likeliest(config, task, teacher) if config.beams else _sampled(config, task, teacher, rows)
        for step in range(-(-config.pool // rows)):
            prompts = task.batch(step, rows)[:, : task.prompt]
            found.append(torch.cat((prompts, answer(prompts)), 1))
    return torch.cat(found)[: config.pool]


def _likeliest(config: Config, task: Task, teacher: Decoder) -> Callable[[torch.Tensor], torch.Tensor]:
    def answer(prompts: torch.Tensor) -> torch.Tensor:
        return beam_search(teacher, prompts, config.beams, task.new, task.stop, task.vocab_size)[0][:, 0]

    return answer


def _sampled(config: Config, task: Task, teacher: Decoder, rows: int) -> Callable[[torch.Tensor], torch.Tensor]:
    capture = config.compile and teacher.embed.weight.is_cuda
    write = Rollout(teacher, rows, task.prompt, task.new, Sampling(1.0), task.vocab_size, capture=capture)
    return lambda prompts: write(prompts)[:, task.prompt :]
