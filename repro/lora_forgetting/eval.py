"""What an arm has learnt of the target and forgotten of the source: at the end of a run, and
`python -m repro.lora_forgetting.eval OUT --measure loss code` for more of its last arm."""

from __future__ import annotations

import json
import math
import sys
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
from repro.lora_forgetting.model import Control
from repro.lora_forgetting.spectrum import changes, spectra, summary
from repro.lora_forgetting.tasks import CodeProblem, code_problems, code_scores, complete, math_problems, math_scores

Metrics = dict[str, float]
_BATCH = 32  # sequences measured at once
_QUESTIONS = {"hellaswag": "hellaswag_val", "arc_challenge": "arc_challenge", "winogrande": "winogrande"}
_ANSWER, _PROGRAM, _SAMPLE = 256, 512, 128  # tokens of an answer, of a program, and of a sample for its variety


class Results:
    """The numbers of each finished stage, in a file that outlives a restart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, Metrics] = json.loads(path.read_text("utf-8")) if path.is_file() else {}

    def keep(self, stage: str, metrics: Metrics) -> None:
        self.found[stage] = metrics
        write(self.path, json.dumps(self.found, indent=1) + "\n")

    def __contains__(self, stage: str) -> bool:
        return stage in self.found


@torch.no_grad()
def held_out(config: Config, decoder: Decoder, domain: Domain) -> float:
    """The mean loss in nats a token on what a domain holds out, less the optimum where that is known."""
    model, total, count = TokenLoss(decoder), 0.0, 0
    for part in domain.held_out.split(_BATCH):
        with _precision(config, decoder):
            losses, n = model(part)
        total, count = total + float(losses), count + int(n)
    return total / count - domain.optimum_nats


def measure(config: Config, decoder: Decoder, base: Decoder | None, domains: Domains) -> Metrics:
    """All that `config.measure` names, of an arm's decoder. `base` is what it began as, on any device; none where the
    decoder is itself a base, of which nothing has changed."""
    found: Metrics = {}
    if "loss" in config.measure:
        found |= losses(config, decoder, domains)
    if "spectrum" in config.measure and base is not None:
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


def losses(config: Config, decoder: Decoder, domains: Domains) -> Metrics:
    """`target_nats` and `source_nats` a token, and the same of each other text by its name; for text
    `…_bits_per_byte` too."""
    found = {}
    for name, domain in {"target": domains.target, "source": domains.source, **domains.others}.items():
        nats = found[f"{name}_nats"] = held_out(config, decoder, domain)
        if math.isfinite(domain.bytes_per_token):
            found[f"{name}_bits_per_byte"] = nats / math.log(2) / domain.bytes_per_token
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
    """What to generate with: a copy in which adapters are merged, or the decoder itself."""
    return lora.merged(decoder).requires_grad_(False) if lora.layers(decoder) else decoder


def variety(config: Config, decoder: Decoder, domains: Domains) -> Metrics:
    """How different the samples of a prompt are: of HumanEval's prompts, at the paper's temperature and top-p. None of
    them is run."""
    samples = _programs(config, decoder, domains, code_problems(_human_eval(config), config.prompts), _SAMPLE)
    return {f"samples_{name}": value for name, value in diversity(samples).items()}


def _human_eval(config: Config) -> Path:
    return Path(config.evals) / "humaneval.jsonl.bz2"


def _programs(
    config: Config, decoder: Decoder, domains: Domains, problems: Sequence[CodeProblem], tokens: int
) -> list[list[str]]:
    """`samples` completions of each problem at temperature 0.2 and top-p 0.95, as the paper has it."""
    assert domains.tokenizer is not None
    prompts, stops = [problem.prompt for problem in problems], problems[0].stops
    return complete(
        plain(decoder), domains.tokenizer, prompts, config.samples, tokens, stops, Sampling(0.2, 0.95),
        seed=config.seed, dtype=_type(config),
    )  # fmt: skip


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
    """pass@1 on HumanEval, and pass@10 where there are as many samples."""
    problems = code_problems(_human_eval(config), config.questions or None)
    scores = code_scores(problems, _programs(config, decoder, domains, problems, _PROGRAM))
    return {f"humaneval_{name}": value for name, value in scores.items() if name.startswith("pass_at_")}


def _type(config: Config) -> torch.dtype | None:
    return torch.bfloat16 if config.precision == "bf16" else None


def finish(run: Run, config: Config, results: Results, control: Control | None) -> None:
    """Write what was found. Forgetting is told of a base at its plateau alone, or of one that is trusted to be."""
    base, flat = results.found["base"], control is None or control.flat
    metrics: Metrics = {"plateau_on_trust": 1.0} if control is None else _of_control(control)
    if control is not None and not flat:
        run.say(
            f"the base is at no plateau: trained on the source once more it went from {control.before_nats:.4f} to "
            f"{control.after_nats:.4f} nats; forgetting is not told; train the base longer (--base-steps)"
        )
    metrics |= {f"base_{key}": value for key, value in base.items()}
    arms = {name: told(found, base, flat) for name, found in results.found.items() if name != "base"}
    for name, found in arms.items():
        metrics |= {key if len(arms) == 1 else f"{name}_{key}": value for key, value in found.items()}
    if len(arms) > 1 and flat:
        picture = f"{run.command.recipe}-s{config.seed}-fronts.png"
        run.figures = [figures.fronts(arms, config.domain == "markov", run.folder / picture)]
    run.finish(**metrics)


def _of_control(control: Control) -> Metrics:
    return {
        "control_before_nats": control.before_nats, "control_after_nats": control.after_nats,
        "at_plateau": float(control.flat),
    }  # fmt: skip


def told(found: Mapping[str, float], base: Mapping[str, float], flat: bool) -> Metrics:
    """The numbers of an arm, with `forgot_nats`, what the source's loss rose by since the base, and the same of other
    texts and in bits per byte; or without any of the source."""
    of_texts = {key for key in found if key.endswith(_LOSSES) and not key.startswith("target_")}
    if not flat:
        return {key: value for key, value in found.items() if key not in of_texts | _OF_SOURCE}
    kept = {key: value for key, value in found.items() if key not in of_texts}
    return kept | {f"forgot_{key.removeprefix('source_')}": found[key] - base[key] for key in found if key in of_texts}


_LOSSES = ("_nats", "_bits_per_byte")
_OF_SOURCE = {*_QUESTIONS, "source_accuracy"}


# The command line


@dataclass(frozen=True)
class Options:
    run: Annotated[Positional[Path], tyro.conf.arg(metavar="OUT")]
    """The folder of a finished run; its last arm is measured, and its base."""
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
        of_arm = measure(config, decoder.to(device), base, domains)
        of_base = measure(config, base.to(device), None, domains)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    flat = bool(json.loads((asked.run / "record.json").read_text("utf-8"))["metrics"].get("at_plateau", 1.0))
    if not flat:
        print("the base is at no plateau, so nothing is told of the source", file=sys.stderr)
    found = told(of_arm, of_base, flat)
    if flat:
        found |= of_arm | {f"base_{name}": value for name, value in of_base.items()}
    print(json.dumps({name: round(value, 6) for name, value in found.items()}, indent=2))


if __name__ == "__main__":
    main()
