"""Speed and memory of a distillation step on one GPU, beside TRL and transformers in the same run; one JSON line a
figure.

    python benchmarks/gpu/distill.py [--peer] [--profile] [--seconds N] [--prompt N …] [--tiny]

GKD with lambda 1 and reverse KL: a student of 34.6 M parameters (6 blocks of width 448) writes 128 tokens after each of
64 prompts, a teacher of SmolLM2-135M's shape (134.5 M) says what it makes of them, the student takes an AdamW step.
bf16 with fp32 weights. Tokens a second are the generated ones. Off-policy is the same step on text that is there.
`peak_gib` is the most that tensors took, from before the first step on; `reserved_gib` what the process holds of the
device once warm, with all that graphs keep for themselves: memory is compared by the second.

The peers (distill_peers.py) run in processes of their own: TRL's GKDTrainer as it comes, where trl is installed; and
transformers alone at its best. `--tiny` tries every path with small sizes, on a CPU too.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from timing import apart, say, show_profile

from repro.distillation.config import Config, teacher_config
from repro.distillation.distill import Divergence, Heads, summed_divergence
from repro.distillation.model import Student
from repro.distillation.train import Step, make_state
from repro.lab.data import step_seed
from repro.lab.distributed import World
from repro.lab.memory import release

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
torch.backends.cuda.matmul.allow_tf32 = True  # here, so that a process of a peer's own has it too
FULL = Config(
    task="text", method="gkd", divergence="reverse", lambda_=1.0, vocab_size=49_152, prompt_len=128, new_tokens=128,
    n_layers=6, d_model=448, n_heads=7, n_kv_heads=1, d_ff=1216, teacher_n_layers=30, teacher_d_model=576,
    teacher_n_heads=9, teacher_n_kv_heads=3, teacher_d_ff=1536, batch_size=64, lr=1e-4, steps=1000, precision="bf16",
    compile=True,
)  # fmt: skip
TINY = replace(
    FULL, vocab_size=300, prompt_len=8, new_tokens=12, n_layers=2, d_model=56, d_ff=64, teacher_n_layers=2,
    teacher_d_model=72, teacher_d_ff=96, batch_size=4,
)  # fmt: skip


class Random:
    """Tokens out of nowhere, as a task's would come."""

    stop, vocabulary, name = None, "", "random"

    def __init__(self, config: Config) -> None:
        self.prompt, self.new, self.vocab_size = config.prompt_len, config.new_tokens, config.vocab_size
        g = torch.Generator().manual_seed(0)
        self.all = torch.randint(self.vocab_size, (4 * config.batch_size, self.prompt + self.new), generator=g).to(
            DEVICE
        )

    def batch(self, step: int, n: int, split: str = "train") -> torch.Tensor:
        at = step * n % len(self.all)
        return self.all[at : at + n]


def sync() -> None:
    if CUDA:
        torch.cuda.synchronize()


def tell(case: str, what: str, value: float, unit: str, **more: Any) -> None:
    if CUDA:
        say(case, what, value, unit, **more)
    else:
        print(
            json.dumps({"case": case, "what": what, "value": value, "unit": unit, "device": "cpu"} | more), flush=True
        )


class Memory:
    """Of the GPU, of one case that is about to take its first step."""

    def __init__(self) -> None:
        self.first = 0
        if CUDA:
            torch.cuda.reset_peak_memory_stats()

    def warm(self) -> None:
        """From here on what is reserved counts: without what compiling and warming up left behind."""
        if CUDA:
            self.first = torch.cuda.max_memory_allocated()
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def found(self) -> dict[str, float]:
        if not CUDA:
            return {}
        peak, reserved = max(self.first, torch.cuda.max_memory_allocated()), torch.cuda.max_memory_reserved()
        return {"peak_gib": round(peak / 2**30, 2), "reserved_gib": round(reserved / 2**30, 2)}


def measure(case: str, config: Config, call: Callable[[int], Any], seconds: float) -> float:
    """Seconds a step: the median, each step to its end, after three that warm up."""
    memory, began = Memory(), time.monotonic()
    call(0)
    sync()
    tell(case, "first step", time.monotonic() - began, "s")
    for i in (1, 2):
        call(i)
    sync()
    memory.warm()
    took: list[float] = []
    began = time.monotonic()
    while time.monotonic() - began < seconds or len(took) < 3:
        start = time.monotonic()
        call(3 + len(took))
        sync()
        took.append(time.monotonic() - start)
    return tell_step(case, config, took, memory)


def tell_step(case: str, config: Config, took: list[float], memory: Memory) -> float:
    step = statistics.median(took)
    what = f"step, {config.batch_size} x ({config.prompt_len} + {config.new_tokens})"
    more = {"ms": round(1e3 * step, 3), "steps": len(took)} | memory.found()
    tell(case, what, config.batch_size * config.new_tokens / step, "tokens/s", **more)
    return step


# Ours


def ours(config: Config, seconds: float, profile: bool) -> None:
    took = []
    for lambda_ in (1.0, 0.0):
        took.append(one_of_ours(config, lambda_, seconds, profile))
        release()  # graphs and models of the one before, and what was compiled for it
    on, off = took
    tell("ours", "cost of a step on-policy, over off-policy", on / off, "times")


def one_of_ours(config: Config, lambda_: float, seconds: float, profile: bool) -> float:
    step = make_step(replace(config, lambda_=lambda_))

    def call(i: int) -> None:
        torch.manual_seed(step_seed(0, i))
        step(i)

    took = measure("ours, on-policy" if lambda_ else "ours, off-policy", config, call, seconds)
    if profile and lambda_ and CUDA:
        parts_of(step)
        show_profile(lambda: call(100))
    return took


def make_step(config: Config) -> Step:
    w = World(0, 1, DEVICE)
    torch.manual_seed(1)
    with DEVICE:
        teacher = Student(teacher_config(config), config.vocab_size).decoder
    state = make_state(config, config.vocab_size, w)
    return Step(config, Random(config), state, w, teacher)


def parts_of(step: Step) -> None:
    """What the parts of an on-policy step take."""
    assert step.rollout is not None
    rollout, tokens, hard = step.rollout, step.task.batch(0, step.config.batch_size), torch.zeros((), device=DEVICE)
    parts: dict[str, Callable[[], Any]] = {
        "writing": lambda: rollout(tokens[:, : step.task.prompt]), "copying the weights": rollout.refresh,
        "learning": lambda: step.take(tokens, hard),
    }  # fmt: skip
    for name, part in parts.items():
        took = []
        for _ in range(10):
            start = time.monotonic()
            part()
            sync()
            took.append(time.monotonic() - start)
        tell("ours, on-policy", name, 1e3 * statistics.median(took), "ms")


def loss_memory(config: Config) -> None:
    """The divergence alone, chunked beside TRL's way of writing it: all logits of both models at once."""
    N, V = config.batch_size * config.new_tokens, config.vocab_size
    states = torch.randn(N, config.d_model, device=DEVICE, dtype=torch.bfloat16, requires_grad=True)
    theirs = torch.randn(N, config.teacher_d_model, device=DEVICE, dtype=torch.bfloat16)
    heads = Heads(
        0.02 * torch.randn(V, config.d_model, device=DEVICE),
        0.02 * torch.randn(V, config.teacher_d_model, device=DEVICE),
    )
    heads.student.requires_grad_(True)
    chunked = torch.compile(summed_divergence)

    def whole() -> torch.Tensor:
        z, v = states @ heads.student.to(states.dtype).T, theirs @ heads.teacher.to(theirs.dtype).T
        return N * trl_divergence(z, v)

    ways = {
        "chunked": lambda: chunked(states, theirs, heads, torch.ones(N, device=DEVICE), Divergence("reverse")),
        "whole logits": whole, "whole logits, compiled": torch.compile(whole),
    }  # fmt: skip
    for name, way in ways.items():
        took, memory = [], Memory()
        for i in range(6):
            sync()
            start = time.monotonic()
            way().backward()
            sync()
            took.append(time.monotonic() - start)
            if i == 1:
                memory.warm()
        found = 1e3 * statistics.median(took[2:])
        tell(f"divergence, {name}", f"{N} tokens of {V}", found, "ms", **memory.found())
    release()


def trl_divergence(student_logits: torch.Tensor, teacher_logits: torch.Tensor) -> torch.Tensor:
    """Reverse KL as TRL's generalized_jsd_loss with beta 1 has it: in the logits' own type, over all tokens at once."""
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    divergence = torch.nn.functional.kl_div(log_p, log_q, reduction="none", log_target=True)
    return divergence.sum() / (divergence.numel() // divergence.shape[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="store_true", help="measure TRL and transformers too")
    parser.add_argument("--profile", action="store_true", help="print what our step is made of")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each figure")
    parser.add_argument("--prompt", type=int, nargs="+", help="tokens of a prompt: 128 and 256")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try every path")
    asked = parser.parse_args()
    from distill_peers import told

    config = TINY if asked.tiny else FULL
    loss_memory(config)
    for prompt in asked.prompt or ([config.prompt_len] if asked.tiny else [128, 256]):
        sized = replace(config, prompt_len=prompt)
        ours(sized, asked.seconds, asked.profile)
        release()
        for name in ("trl", "transformers") if asked.peer else ():
            try:
                apart(told, name, sized, asked.seconds)
            except SystemExit as error:  # killed, as where memory ran out
                tell(name, str(error), 0.0, "tokens/s")


if __name__ == "__main__":
    main()
