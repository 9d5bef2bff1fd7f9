"""What a checkpoint can do: `python -m repro.mobilellm.eval CHECKPOINT [--text …] [--choices …] [--speed]`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from tyro.conf import Positional

from repro.lab import documents, lm_eval
from repro.lab.corpus import Corpus
from repro.lab.ending import ended_well
from repro.lab.provenance import processor
from repro.lab.quantize import quantized
from repro.lab.speed import decode_speed
from repro.lab.tokenizers import Tokenizer
from repro.lab.transformer import Decoder
from repro.mobilellm.checkpoints import is_run, open_checkpoint, settings
from repro.mobilellm.data import CACHE

_PROMPT, _NEW = 128, 256  # tokens that --speed reads and makes, or what the decoder has room for
_WIDE = 34  # characters of a name in a table


@dataclass(frozen=True)
class Options:
    checkpoint: Annotated[Positional[str], tyro.conf.arg(metavar="CHECKPOINT")]
    """A run's folder, the folder of a Hugging Face checkpoint, or smollm2."""
    text: tuple[str, ...] = ()
    """Bits per byte of text: files, folders (the held-out part, where they have one), python, or hf:NAME. With nothing
    else asked, a run's own held-out text."""
    choices: tuple[Path, ...] = ()
    """Accuracy on questions: files of JSON lines in lm-evaluation-harness's shape, also as .bz2 or .gz."""
    limit: int | None = None
    """Only the first N questions of each file."""
    text_mb: float | None = None
    """Only the first megabytes of each text."""
    window: int | None = None
    """Tokens of text read at once: 1,024 or what the decoder has."""
    stride: int | None = None
    """Tokens that a window adds to the one before: half a window. As large as the window is cheapest."""
    delimiter: str = " "
    """Between a question and a choice, where neither brings white space; $'\\nAnswer: ' is the harness's for ARC and
    PIQA."""
    speed: bool = False
    """Time and memory of a token at batch 1."""
    w8a8: bool = False
    """Text and choices again, with weights and activations of the blocks rounded to 8 bits."""
    tokenizer: Path | None = None
    """A tokenizer.json, instead of the one beside the checkpoint."""
    json: bool = False
    """As JSON."""


def main(args: Sequence[str] | None = None) -> None:
    asked = tyro.cli(Options, args=args, prog="python -m repro.mobilellm.eval", description="Measure a checkpoint.")
    ended_well(lambda: _work(asked))


def _work(asked: Options) -> None:
    _check(asked)
    decoder, tokenizer = open_checkpoint(asked.checkpoint, asked.tokenizer)
    device = decoder.embed.weight.device
    about = {
        "checkpoint": asked.checkpoint, "parameters": sum(p.numel() for p in decoder.parameters()),
        "tokenizer": tokenizer.name,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
    }  # fmt: skip
    rows = measured(asked, decoder, tokenizer)
    if asked.json:
        found = [{key: _or_none(value) for key, value in row.items()} for row in rows]
        print(json.dumps({"schema": 1, **about, "measured": found}, indent=2))
        return
    print(f"{asked.checkpoint}: {about['parameters']:,} parameters, {about['device']}; {tokenizer.name}")
    _table(rows)


def _check(asked: Options) -> None:
    """What can be said before a model is read."""
    if not (asked.text or asked.choices or asked.speed or is_run(Path(asked.checkpoint).expanduser())):
        raise ValueError("nothing to measure: name --text, --choices or --speed")
    for name, value in (("limit", asked.limit), ("text-mb", asked.text_mb)):
        if value is not None and value <= 0:
            raise ValueError(f"--{name} {value} is nothing to measure")


def measured(asked: Options, decoder: Decoder, tokenizer: Tokenizer) -> Iterator[dict[str, Any]]:
    """One row for each text, file of questions and speed: `what`, `name`, `weights` and its numbers."""
    models = [("fp32", decoder), *([("w8a8", quantized(decoder))] if asked.w8a8 else [])]
    # all that was named is looked at before the first of them, which may take long, is measured
    texts = list(_texts(asked))
    files = [(path.name, lm_eval.questions(path, asked.limit, asked.delimiter)) for path in asked.choices]
    for name, read in texts:
        if next(read(), None) is None:
            raise ValueError(f"{name} holds no text")
        for weights, model in models:
            numbers = lm_eval.bits_per_byte(model, tokenizer, read(), asked.window, asked.stride)
            yield {"what": "text", "name": name, "weights": weights, **numbers}
    for name, rows in files:
        for weights, model in models:
            yield {"what": "choices", "name": name, "weights": weights, **lm_eval.accuracy(model, tokenizer, rows)}
    if asked.speed:
        yield _speed(decoder)


def _texts(asked: Options) -> Iterator[tuple[str, Callable[[], Iterator[str]]]]:
    """Texts by name, each to be read as often as it is wanted."""
    n_bytes = None if asked.text_mb is None else int(asked.text_mb * 1e6)
    for source in asked.text:
        parts = documents.parts(source, n_bytes)[1]
        held_out = [part for part in parts if part.split == "val"] or parts
        yield Path(source).name, partial(_read, held_out, n_bytes)
    folder = Path(asked.checkpoint).expanduser()
    if not (asked.text or asked.choices or asked.speed):
        config = settings(folder)
        corpus = Corpus(config["text"], CACHE, int(config["text_mb"] * 1e6))
        yield f"held out of {config['text']}", lambda: _cut((t for split, t in corpus if split == "val"), n_bytes)


def _read(parts: Sequence[documents.Part], n_bytes: int | None) -> Iterator[str]:
    return _cut(chain.from_iterable(part.read() for part in parts), n_bytes)


def _cut(texts: Iterable[str], n_bytes: int | None) -> Iterator[str]:
    """The first `n_bytes` of some documents, the last of them cut."""
    for text in texts:
        size = len(text.encode())
        if n_bytes is not None and size >= n_bytes:
            yield text.encode()[:n_bytes].decode("utf-8", "ignore")
            return
        yield text
        n_bytes = None if n_bytes is None else n_bytes - size


def _speed(decoder: Decoder) -> dict[str, Any]:
    """In bf16 on a GPU, as a decoder is run there, and as it is on a CPU."""
    room = decoder.shape.max_seq_len
    prompt, new = min(_PROMPT, room // 2), min(_NEW, room - room // 2)
    dtype = torch.bfloat16 if decoder.embed.weight.is_cuda else None
    with torch.no_grad():
        numbers = decode_speed(decoder, 1, prompt, new, repeats=3, dtype=dtype)
    name = f"batch 1, {new} after {prompt} tokens"
    return {"what": "speed", "name": name, "weights": "bf16" if dtype else "fp32", **numbers}


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(rows: Iterable[dict[str, Any]]) -> None:
    """Rows as they are found, with a heading where other numbers begin."""
    shown: list[str] = []
    for row in rows:
        names = [name for name in row if name not in ("what", "name", "weights")]
        if names != shown:
            print("\n" + f"{row['what']:{_WIDE}} weights  " + "  ".join(f"{name:>13}" for name in names))
            shown = names
        numbers = "  ".join(f"{_shown(name, row[name]):>{max(13, len(name))}}" for name in names)
        print(f"{row['name']:{_WIDE}} {row['weights']:7}  {numbers}", flush=True)


def _shown(name: str, value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if value == int(value) and value > 1 else f"{value:.4g}"


if __name__ == "__main__":
    main()
