"""Speed and memory of a distillation step on one GPU, beside TRL and transformers in the same run; one JSON line a
figure.

    python benchmarks/gpu/distill.py [--peer] [--profile] [--seconds N] [--prompt N …] [--tiny]

GKD with lambda 1 and reverse KL: a student of 34.6 M parameters (6 blocks of width 448) writes 128 tokens after each of
64 prompts, a teacher of SmolLM2-135M's shape (134.5 M) says what it makes of them, the student takes an AdamW step.
bf16 with fp32 weights. Tokens a second are the generated ones. Off-policy is the same step on text that is there.

The peers: TRL's GKDTrainer as it comes, where trl is installed; and transformers alone, `generate` with a static cache
and both forwards compiled, with TRL's divergence. `--tiny` tries every path with small sizes, on a CPU too.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from timing import say, show_profile

from repro.distillation.config import Config, teacher_config
from repro.distillation.distill import Divergence, Heads, summed_divergence
from repro.distillation.model import Student
from repro.distillation.train import Step, make_state
from repro.lab.data import step_seed
from repro.lab.distributed import World

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
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


def free() -> None:
    torch.compiler.reset()
    gc.collect()
    if CUDA:
        torch.cuda.empty_cache()


def tell(case: str, what: str, value: float, unit: str, **more: Any) -> None:
    if CUDA:
        say(case, what, value, unit, **more)
    else:
        print(
            json.dumps({"case": case, "what": what, "value": value, "unit": unit, "device": "cpu"} | more), flush=True
        )


def measure(case: str, config: Config, call: Callable[[int], Any], seconds: float) -> float:
    """Seconds a step: the median, each step to its end, after three that warm up; memory from then on."""
    began = time.monotonic()
    call(0)
    sync()
    tell(case, "first step", time.monotonic() - began, "s")
    for i in (1, 2):
        call(i)
    sync()
    if CUDA:
        torch.cuda.reset_peak_memory_stats()
    took: list[float] = []
    began = time.monotonic()
    while time.monotonic() - began < seconds or len(took) < 3:
        start = time.monotonic()
        call(3 + len(took))
        sync()
        took.append(time.monotonic() - start)
    step = statistics.median(took)
    more: dict[str, Any] = {"ms": round(1e3 * step, 3), "steps": len(took)}
    if CUDA:
        more["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        more["reserved_gib"] = round(torch.cuda.max_memory_reserved() / 2**30, 2)
    what = f"step, {config.batch_size} x ({config.prompt_len} + {config.new_tokens})"
    tell(case, what, config.batch_size * config.new_tokens / step, "tokens/s", **more)
    return step


# Ours


def ours(config: Config, seconds: float, profile: bool) -> None:
    on, off = (one_of_ours(config, lambda_, seconds, profile) for lambda_ in (1.0, 0.0))
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
    ways = {
        "chunked": lambda: chunked(states, theirs, heads, torch.ones(N, device=DEVICE), Divergence("reverse")),
        "whole logits": lambda: trl_divergence(
            states @ heads.student.to(states.dtype).T, theirs @ heads.teacher.to(theirs.dtype).T
        ) * N,
    }  # fmt: skip
    for name, way in ways.items():
        took = []
        for i in range(6):
            sync()
            start = time.monotonic()
            way().backward()
            sync()
            took.append(time.monotonic() - start)
            if i == 1 and CUDA:
                torch.cuda.reset_peak_memory_stats()
        more = {"peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2)} if CUDA else {}
        tell(f"divergence, {name}", f"{N} tokens of {V}", 1e3 * statistics.median(took[2:]), "ms", **more)
    free()


# Peers


def trl_divergence(student_logits: torch.Tensor, teacher_logits: torch.Tensor) -> torch.Tensor:
    """Reverse KL as TRL's generalized_jsd_loss with beta 1 has it: in the logits' own type, over all tokens at once."""
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    divergence = torch.nn.functional.kl_div(log_p, log_q, reduction="none", log_target=True)
    return divergence.sum() / (divergence.numel() // divergence.shape[-1])


def peer_models(config: Config) -> tuple[Any, Any]:
    """Student in fp32 and teacher in bf16, as transformers' Llama of the same shapes."""
    from transformers import LlamaConfig, LlamaForCausalLM

    def build(c: Config) -> Any:
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=c.vocab_size, hidden_size=c.d_model, num_hidden_layers=c.n_layers,
                num_attention_heads=c.n_heads, num_key_value_heads=c.n_kv_heads, intermediate_size=c.d_ff,
                max_position_embeddings=2048, tie_word_embeddings=True, attn_implementation="sdpa",
                eos_token_id=None, bos_token_id=None, pad_token_id=0,
            )
        ).to(DEVICE)  # fmt: skip

    torch.manual_seed(0)
    teacher = build(teacher_config(config)).to(torch.bfloat16).eval().requires_grad_(False)
    return build(config), teacher


def transformers_step(config: Config, seconds: float) -> None:
    """`generate` with a static cache on a copy in bf16, both forwards compiled, TRL's divergence on the tokens that
    follow, fused AdamW."""
    student, teacher = peer_models(config)
    writer = copy.deepcopy(student).to(torch.bfloat16).eval().requires_grad_(False)
    adam = torch.optim.AdamW(student.parameters(), lr=1e-4, betas=(0.9, 0.95), fused=CUDA)
    forward, ask = torch.compile(student), torch.compile(teacher)
    task, P = Random(config), config.prompt_len
    more = {
        "max_new_tokens": config.new_tokens, "min_new_tokens": config.new_tokens, "do_sample": True, "temperature": 1.0,
        "top_k": 0, "top_p": 1.0, "cache_implementation": "static", "pad_token_id": 0,
    }  # fmt: skip

    def call(i: int) -> None:
        prompts = task.batch(i, config.batch_size)[:, :P]
        with torch.no_grad():
            torch._foreach_copy_(list(writer.parameters()), list(student.parameters()))
            text = writer.generate(prompts, attention_mask=torch.ones_like(prompts), **more)
            theirs = ask(input_ids=text, use_cache=False).logits[:, P - 1 : -1]
        with torch.autocast(DEVICE.type, torch.bfloat16):
            ours = forward(input_ids=text, use_cache=False).logits[:, P - 1 : -1]
            loss = trl_divergence(ours, theirs)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        adam.step()
        adam.zero_grad()

    measure("transformers, static cache and compiled forwards", config, call, seconds)


def trl_step(config: Config, seconds: float) -> None:
    """TRL's own trainer with its own loop; a callback takes the times."""
    from datasets import Dataset
    from datasets.table import InMemoryTable
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast, TrainerCallback
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    student, teacher = peer_models(config)
    vocab = {f"t{i}": i for i in range(config.vocab_size)}
    raw = Tokenizer(models.WordLevel(vocab, unk_token="t0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="t0", eos_token="t1", unk_token="t0")
    task, P = Random(config), config.prompt_len
    tokens = task.all.cpu()
    rows = {"row": list(range(len(tokens))) * 50}

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        text = torch.stack([tokens[row["row"]] for row in rows])
        labels = text.clone()
        labels[:, :P] = -100
        return {
            "input_ids": text, "attention_mask": torch.ones_like(text), "labels": labels, "prompts": text[:, :P],
            "prompt_attention_mask": torch.ones_like(text[:, :P]),
        }  # fmt: skip

    class Times(TrainerCallback):
        def __init__(self) -> None:
            self.ends: list[float] = []

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
            sync()
            self.ends.append(time.monotonic())
            if len(self.ends) == 3 and CUDA:
                torch.cuda.reset_peak_memory_stats()
            if len(self.ends) > 6 and self.ends[-1] - self.ends[3] > seconds:
                control.should_training_stop = True
            return control

    times = Times()
    with tempfile.TemporaryDirectory() as out:
        trainer = GKDTrainer(
            model=student, teacher_model=teacher, processing_class=tokenizer, data_collator=collate, callbacks=[times],
            train_dataset=Dataset(InMemoryTable.from_pydict(rows), fingerprint="rows"),
            args=GKDConfig(
                output_dir=out, lmbda=1.0, beta=1.0, temperature=1.0, max_new_tokens=config.new_tokens, max_steps=60,
                per_device_train_batch_size=config.batch_size, bf16=CUDA, gradient_checkpointing=False, report_to=[],
                save_strategy="no", logging_strategy="no", optim="adamw_torch_fused" if CUDA else "adamw_torch",
                learning_rate=1e-4, use_cpu=not CUDA, dataloader_pin_memory=CUDA, disable_tqdm=True,
            ),
        )  # fmt: skip
        # random weights say no end, and an early one would only make the peer's batch shorter
        trainer.generation_config.eos_token_id = None
        trainer.generation_config.min_new_tokens = config.new_tokens
        trainer.train()
    steps = [b - a for a, b in zip(times.ends[3:], times.ends[4:], strict=False)]
    step = statistics.median(steps)
    more: dict[str, Any] = {"ms": round(1e3 * step, 3), "steps": len(steps)}
    if CUDA:
        more["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        more["reserved_gib"] = round(torch.cuda.max_memory_reserved() / 2**30, 2)
    what = f"step, {config.batch_size} x ({P} + {config.new_tokens})"
    tell("TRL GKDTrainer", what, config.batch_size * config.new_tokens / step, "tokens/s", **more)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="store_true", help="measure TRL and transformers too")
    parser.add_argument("--profile", action="store_true", help="print what our step is made of")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each figure")
    parser.add_argument("--prompt", type=int, nargs="+", help="tokens of a prompt: 128 and 256")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try every path")
    asked = parser.parse_args()
    config = TINY if asked.tiny else FULL
    torch.backends.cuda.matmul.allow_tf32 = True
    loss_memory(config)
    for prompt in asked.prompt or ([config.prompt_len] if asked.tiny else [128, 256]):
        sized = replace(config, prompt_len=prompt)
        ours(sized, asked.seconds, asked.profile)
        free()
        for name, peer in (("trl", trl_step), ("transformers", transformers_step)) if asked.peer else ():
            try:
                peer(sized, asked.seconds)
            except Exception as error:  # a peer that does not run here is said, and ours is measured all the same
                tell(name, f"does not run: {type(error).__name__}: {str(error).splitlines()[0][:200]}", 0.0, "tokens/s")
            free()


if __name__ == "__main__":
    main()
