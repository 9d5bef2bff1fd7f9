"""The peers of distill.py: the same step by TRL's trainer, and by transformers alone."""

from __future__ import annotations

import copy
import tempfile
import time
from typing import Any

import torch
from distill import CUDA, DEVICE, Memory, Random, measure, sync, tell, tell_step, trl_divergence

from repro.distillation.config import Config, teacher_config


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
    """`generate` with a static cache on a copy in bf16, which it compiles itself; logits of the tokens that follow and
    of no others; both forwards compiled, the student's together with TRL's divergence; fused AdamW."""
    student, teacher = peer_models(config)
    writer = copy.deepcopy(student).to(torch.bfloat16).eval().requires_grad_(False)
    adam = torch.optim.AdamW(student.parameters(), lr=1e-4, betas=(0.9, 0.95), fused=CUDA)
    task, P = Random(config), config.prompt_len
    more = {
        "max_new_tokens": config.new_tokens, "do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0,
        "cache_implementation": "static", "pad_token_id": 0,
    }  # fmt: skip

    def logits(model: Any, text: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = model(input_ids=text[:, :-1], use_cache=False, logits_to_keep=config.new_tokens).logits
        return found

    ask = torch.compile(lambda text: logits(teacher, text))
    loss_of = torch.compile(lambda text, theirs: trl_divergence(logits(student, text), theirs))

    def call(i: int) -> None:
        prompts = task.batch(i, config.batch_size)[:, :P]
        with torch.no_grad():
            torch._foreach_copy_(list(writer.parameters()), list(student.parameters()))
            text = writer.generate(prompts, attention_mask=torch.ones_like(prompts), **more)
            theirs = ask(text)
        assert text.shape[1] == P + config.new_tokens
        with torch.autocast(DEVICE.type, torch.bfloat16):
            loss = loss_of(text, theirs)
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
            if len(self.ends) == 3:
                memory.warm()
            if len(self.ends) > 6 and self.ends[-1] - self.ends[3] > seconds:
                control.should_training_stop = True
            return control

    times, memory = Times(), Memory()
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
    tell_step("TRL GKDTrainer", config, steps, memory)


def told(name: str, config: Config, seconds: float) -> None:
    """Measure a peer; one that does not run here is said, and ours is measured all the same."""
    try:
        {"trl": trl_step, "transformers": transformers_step}[name](config, seconds)
    except Exception as error:
        tell(name, f"does not run: {type(error).__name__}: {str(error).splitlines()[0][:200]}", 0.0, "tokens/s")
