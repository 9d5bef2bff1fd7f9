"""What a teacher writes: the data of sequence-level distillation (Kim and Rush, section 3.2)."""

from __future__ import annotations

import torch

from repro.distillation.beam import beam_search
from repro.distillation.config import Config
from repro.distillation.data import Task
from repro.distillation.rollout import Rollout
from repro.lab.data import step_seed
from repro.lab.generate import Sampling
from repro.lab.transformer import Decoder

_BATCH = 64  # prompts at a time


def teacher_outputs(config: Config, task: Task, teacher: Decoder) -> torch.Tensor:
    """The training prompts with the teacher's outputs, (pool, P + L): the likeliest one that a beam search finds, or
    a sample at temperature 1. The same on every rank and after a restart."""
    cuda = teacher.embed.weight.is_cuda
    sample = Rollout(teacher, _BATCH, task.prompt, task.new, Sampling(1.0), capture=config.compile and cuda)
    found: list[torch.Tensor] = []
    with torch.random.fork_rng(devices=["cuda"] if cuda else []):
        torch.manual_seed(step_seed(config.seed, 0))
        for step in range(-(-config.pool // _BATCH)):
            prompts = task.batch(step, _BATCH)[:, : task.prompt]
            if config.beams:
                made = beam_search(teacher, prompts, config.beams, task.new, task.stop)[0][:, 0]
                found.append(torch.cat((prompts, made), 1))
            else:
                found.append(sample(prompts).clone())
    return torch.cat(found)[: config.pool]
