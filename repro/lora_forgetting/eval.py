"""What an arm has learnt of the target and forgotten of the source: at the end of a run, and
`python -m repro.lora_forgetting.eval OUT --measure loss code` for more of its last arm."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro
from tyro.conf import Positional

from repro.lab import lm_eval, lora
from repro.lab.cache import write
from repro.lab.generate import Sampling
from repro.lab.run import Run
from repro.lab.transformer import Decoder, TokenLoss
from repro.lora_forgetting import data, figures
from repro.lora_forgetting.config import Config, Measure
from repro.lora_forgetting.data import Domain, Domains
from repro.lora_forgetting.diversity import diversity
from repro.lora_forgetting.model import at_plateau
from repro.lora_forgetting.spectrum import changes, spectra, summary
from repro.lora_forgetting.tasks import code_problems, code_scores, complete, math_problems, math_scores

Metrics = dict[str, float]
_BATCH = 32  # sequences measured at once
_QUESTIONS = {"hellaswag": "hellaswag_val", "arc_challenge": "arc_challenge", "winogrande": "winogrande"}
_PROMPT, _NEW = 32, 64  # tokens that a sample continues, and that it has
_ANSWER, _PROGRAM = 256, 512  # tokens of an answer, and of a program


class Results:
    """The numbers of each finished stage, in a file that outlives a restart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, Metrics] = json.loads(path.read_text("utf-8")) if path.is_file() else {}

    def keep(self, stage: str, metrics: Metrics) -> None:
        self.found[stage] = metrics
        write(self.path, json.dumps(self.found, indent=1) + "\n")

    def __getitem__(self, stage: str) -> Metrics:
        return self.found[stage]


@torch.no_grad()
def held_out(config: Config, decoder: Decoder, domain: Domain) -> float:
    """The mean loss in nats a token on what a domain holds out, less the optimum where that is known."""
    model, total, count = TokenLoss(decoder), 0.0, 0
    for part in domain.held_out.split(_BATCH):
        with _precision(config, decoder):
            losses, n = model(part)
        total, count = total + float(losses), count + int(n)
    return total / count - domain.optimum_nats


def measure(config: Config, decoder: Decoder, base: Decoder, domains: Domains) -> Metrics:
    """All that `config.measure` names, of an arm's decoder; `base` is what it began as. Losses: `target_nats`,
    `source_nats` and the base's own, `source_base_nats`; the same two of each other text by its name."""
    found: Metrics = {}
    if "loss" in config.measure:
        found |= losses(config, decoder, base, domains)
    if "spectrum" in config.measure:
        found |= spectrum(decoder, base)
    if "choices" in config.measure:
        found |= choices(config, decoder, domains)
    if "diversity" in config.measure:
        found |= variety(config, decoder, domains)
    if "gsm8k" in config.measure:
        found |= gsm8k(config, decoder, domains)
    if "code" in config.measure:
        found |= code(config, decoder, domains)
    return found


def losses(config: Config, decoder: Decoder, base: Decoder, domains: Domains) -> Metrics:
    """In nats a token, and for text the target's in bits per byte too."""
    found = {"target_nats": held_out(config, decoder, domains.target)}
    for name, domain in {"source": domains.source, **domains.others}.items():
        found[f"{name}_nats"] = held_out(config, decoder, domain)
        found[f"{name}_base_nats"] = held_out(config, base, domain)
    if math.isfinite(domains.target.bytes_per_token):
        found["target_bits_per_byte"] = found["target_nats"] / math.log(2) / domains.target.bytes_per_token
    return found


@torch.no_grad()
def spectrum(decoder: Decoder, base: Decoder) -> Metrics:
    """How large what was added to the matrices is beside them, `change`; and of full finetuning the ranks that hold
    90 % of its energy: those of adapters are what they are given."""
    weights = sum(float(p.double().square().sum()) for p in base.blocks.parameters() if p.dim() > 1)
    adapted = lora.layers(decoder)
    if adapted:
        return {"change": math.sqrt(sum(float(a.change().double().square().sum()) for a in adapted.values()) / weights)}
    found = spectra(changes(base.state_dict(), decoder.state_dict(), base.shape))
    ranks = {name: value for name, value in summary(found).items() if not name.startswith("rank_fraction")}
    return ranks | {"change": math.sqrt(sum(each.norm**2 for each in found) / weights)}


def choices(config: Config, decoder: Decoder, domains: Domains) -> Metrics:
    """Accuracy on the paper's three sets of questions about the source, and their mean."""
    assert domains.tokenizer is not None
    found = {}
    for name, file in _QUESTIONS.items():
        asked = lm_eval.questions(Path(config.evals) / f"{file}.jsonl.bz2", config.questions or None)
        with _precision(config, decoder):
            scores = lm_eval.accuracy(decoder, domains.tokenizer, asked)
        found[name] = scores["accuracy" if name == "winogrande" else "accuracy_norm"]
    return found | {"source_accuracy": sum(found.values()) / len(found)}


def _precision(config: Config, decoder: Decoder) -> torch.autocast:
    return torch.autocast(decoder.embed.weight.device.type, torch.bfloat16, enabled=config.precision == "bf16")


def plain(decoder: Decoder) -> Decoder:
    """A copy to generate with: adapters merged."""
    return lora.merged(decoder).requires_grad_(False)


def variety(config: Config, decoder: Decoder, domains: Domains) -> Metrics:
    """How different the samples of a prompt are, prompts being beginnings of the source's held-out texts."""
    assert domains.tokenizer is not None
    prompts = [domains.tokenizer.decode(row[:_PROMPT].tolist()) for row in domains.source.held_out[: config.prompts]]
    samples = complete(
        plain(decoder), domains.tokenizer, prompts, config.samples, _NEW, (), Sampling(1.0, 0.95),
        seed=config.seed, dtype=_type(config),
    )  # fmt: skip
    return {f"samples_{name}": value for name, value in diversity(samples).items()}


def gsm8k(config: Config, decoder: Decoder, domains: Domains) -> Metrics:
    """Five worked examples, a greedy answer, exact match."""
    assert domains.tokenizer is not None
    folder = Path(config.evals)
    shots = math_problems(folder / "gsm8k_train.jsonl.bz2", 5)
    problems = math_problems(folder / "gsm8k_test.jsonl.bz2", config.questions or None)
    model = plain(decoder)
    scores = math_scores(model, domains.tokenizer, problems, shots, _ANSWER, dtype=_type(config))
    return {f"gsm8k_{name}": value for name, value in scores.items() if name.startswith("exact_match")}


def code(config: Config, decoder: Decoder, domains: Domains) -> Metrics:
    """pass@1 on HumanEval from `samples` samples at temperature 0.2 and top-p 0.95, as the paper has it."""
    assert domains.tokenizer is not None
    problems = code_problems(Path(config.evals) / "humaneval.jsonl.bz2", config.questions or None)
    made = complete(
        plain(decoder), domains.tokenizer, [p.prompt for p in problems], config.samples, _PROGRAM,
        problems[0].stops, Sampling(0.2, 0.95), seed=config.seed, dtype=_type(config),
    )  # fmt: skip
    scores = code_scores(problems, made)
    return {f"humaneval_{name}": scores[name] for name in ("pass_at_1", "pass_at_1_se")}


def _type(config: Config) -> torch.dtype | None:
    return torch.bfloat16 if config.precision == "bf16" else None


def finish(run: Run, config: Config, results: Results, plateau: tuple[float, float]) -> None:
    """Write what was found. Forgetting is told of a base at its plateau alone."""
    before, after = plateau
    flat = at_plateau(before, after)
    if not flat:
        run.say(
            f"the base is at no plateau: trained on the source once more it went from {before:.4f} to {after:.4f} "
            "nats; forgetting is not told; train the base longer (--base-steps)"
        )
    metrics: Metrics = {"base_nats_before_control": before, "base_nats": after, "at_plateau": float(flat)}
    arms = {name: told(found, flat) for name, found in results.found.items() if name != "base"}
    for name, found in arms.items():
        metrics |= {key if len(arms) == 1 else f"{name}_{key}": value for key, value in found.items()}
    if len(arms) > 1 and flat:
        picture = f"{run.command.recipe}-s{config.seed}-fronts.png"
        run.figures = [figures.fronts(arms, config.domain == "markov", run.folder / picture)]
    run.finish(**metrics)


def told(found: Mapping[str, float], flat: bool) -> Metrics:
    """The numbers of an arm, with `forgot_nats`, what the source's loss rose by; or without any of the source."""
    texts = [key.removesuffix("_base_nats") for key in found if key.endswith("_base_nats")]
    kept = {key: value for key, value in found.items() if not key.endswith("_base_nats")}
    if not flat:
        return {k: v for k, v in kept.items() if k.removesuffix("_nats") not in texts and k not in _OF_SOURCE}
    rises = {text: found[f"{text}_nats"] - found[f"{text}_base_nats"] for text in texts}
    kept = {key: value for key, value in kept.items() if key.removesuffix("_nats") not in texts}
    return kept | {("forgot_nats" if text == "source" else f"forgot_{text}_nats"): rise for text, rise in rises.items()}


_OF_SOURCE = {*_QUESTIONS, "source_accuracy"}


# The command line


@dataclass(frozen=True)
class Options:
    run: Annotated[Positional[Path], tyro.conf.arg(metavar="OUT")]
    """The folder of a finished run; its last arm is measured."""
    measure: tuple[Measure, ...] = ("loss",)
    """What of it."""
    evals: str = ""
    """Another folder of questions than the run's."""
    questions: int | None = None
    """Only so many of each set; 0: all."""
    samples: int | None = None
    """Samples of a prompt."""


def main(args: Sequence[str] | None = None) -> None:
    from repro.lora_forgetting.train import load_run

    asked = tyro.cli(Options, args=args, prog="python -m repro.lora_forgetting.eval", description="Measure an arm.")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        config, decoder, base = load_run(asked.run)
        config = replace(
            config, measure=asked.measure, evals=asked.evals or config.evals,
            questions=config.questions if asked.questions is None else asked.questions,
            samples=asked.samples or config.samples,
        )  # fmt: skip
        domains = data.load(config, device)
        found = measure(config, decoder.to(device), base.to(device), domains)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    print(json.dumps({name: round(value, 6) for name, value in found.items()}, indent=2))


if __name__ == "__main__":
    main()
