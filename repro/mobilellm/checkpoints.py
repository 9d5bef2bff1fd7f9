"""Checkpoints by what a command line calls them: a run's folder, a Hugging Face folder, or `smollm2`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from repro.lab import hub, smollm2, tokenizers
from repro.lab.tokenizers import Tokenizer
from repro.lab.transformer import Decoder
from repro.mobilellm.train import load_run


def open_checkpoint(name: str, tokenizer: Path | None = None) -> tuple[Decoder, Tokenizer]:
    """The decoder in fp32, on a GPU where there is one, and its tokenizer, or the one of another file. A ValueError of
    one line where either is not to be had or they do not fit."""
    try:
        decoder, own = _open(name, tokenizer)
    except Exception as error:  # of torch, safetensors, json and others; they have no common parent
        if type(error) is ValueError:  # in one line already
            raise
        raise ValueError(f"{name} cannot be read as a checkpoint: {_line(error)}") from None
    if own.vocab_size > decoder.shape.vocab_size:
        raise ValueError(
            f"{name}: the tokenizer has {own.vocab_size:,} tokens and the decoder {decoder.shape.vocab_size:,}; "
            "it is the tokenizer of another model"
        )
    return decoder.to("cuda" if torch.cuda.is_available() else "cpu").eval(), own


def is_run(folder: Path) -> bool:
    return (folder / "record.json").is_file()


def _open(name: str, tokenizer: Path | None) -> tuple[Decoder, Tokenizer]:
    folder = Path(name).expanduser()
    if name == "smollm2":
        path = smollm2.find()
        return smollm2.load(path), _other(tokenizer) or Tokenizer(smollm2.tokenizer(path), smollm2.NAME)
    if not folder.is_dir():
        raise ValueError(f"there is no folder {name}: name a run's, one of a Hugging Face checkpoint, or smollm2")
    if not is_run(folder) and not (folder / "config.json").is_file():
        raise ValueError(f"{name} holds no checkpoint: neither a run's record.json nor a Hugging Face config.json")
    if is_run(folder) and (paper := _record(folder)["paper"]) != "mobilellm":
        raise ValueError(f"{name} holds a run of {paper}, not of mobilellm")
    if is_run(folder) and not (folder / "last.pt").is_file():
        raise ValueError(f"{name} has no last.pt: its run has saved nothing yet, or trained nothing")
    beside = folder / "tokenizer.json"
    if not beside.is_file() and (tokenizer is None or is_run(folder)):
        remedy = "" if is_run(folder) else ", or name one with --tokenizer"
        raise ValueError(f"{name} has no tokenizer.json; put it there{remedy}")
    if not is_run(folder):
        return hub.load(folder), _other(tokenizer) or tokenizers.load(beside)
    decoder, own = load_run(folder)
    return decoder, _other(tokenizer) or own


def _other(tokenizer: Path | None) -> Tokenizer | None:
    return None if tokenizer is None else tokenizers.load(tokenizer.expanduser())


def _line(error: Exception) -> str:
    """An error in one line; some of torch's take twenty."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


def settings(folder: Path) -> dict[str, Any]:
    """The config of a run."""
    found: dict[str, Any] = _record(folder)["config"]
    return found


def _record(folder: Path) -> Any:
    return json.loads((folder / "record.json").read_text("utf-8"))
