"""Transcribe recordings: `python -m repro.speech_llama.transcribe FILE.wav --run OUT`.

Words appear as they are decided. On a terminal those are underlined that heads after the decoder's own said first: with
verification the decoder has agreed to them since.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from tyro.conf import Positional

from repro.lab.ending import ended_well
from repro.lab.provenance import processor
from repro.speech_llama import audio
from repro.speech_llama.config import Config, arm
from repro.speech_llama.data import rounded, vocabulary_of
from repro.speech_llama.decoding import How, Recogniser, Said
from repro.speech_llama.features import from_bytes, log_mel_of, to_bytes
from repro.speech_llama.prompting import SpeechLLM
from repro.speech_llama.system import System, check_room, make_decoder
from repro.speech_llama.vocabulary import Vocabulary, units_from

_UNDERLINED, _PLAIN = "\033[4m", "\033[0m"


@dataclass(frozen=True)
class Options:
    files: Annotated[Positional[tuple[Path, ...]], tyro.conf.arg(metavar="FILE")]
    """Recordings: wav, and with the library soundfile flac, ogg, opus, mp3 or sph."""
    run: Path
    """The folder of a finished run."""
    arm: str = ""
    """Which of its variants; the first where none is named."""
    how: Literal["", "greedy", "verified", "threshold"] = ""
    """One token a call; several that the decoder agrees to; or several of high probability. Verified where the model
    has heads for it."""
    tau: float = 0.9
    """The least probability for --how threshold."""
    seconds: bool = False
    """Say how long each took, encoder included, beside how long it is; each is heard once before, untimed."""
    json: bool = False
    """As JSON: text, tokens, the head that said each, calls of the decoder."""


@dataclass(frozen=True)
class Model:
    """A trained model and what it takes to hear and to say."""

    speech: SpeechLLM
    config: Config
    vocabulary: Vocabulary


@dataclass
class Words:
    """The text of tokens as they come, each piece with the head that said it; a character that takes several tokens
    waits for the last of its bytes."""

    vocabulary: Vocabulary
    shown: str = ""
    tokens: int = 0

    def more(self, said: Said) -> Iterator[tuple[str, int]]:
        for i in range(self.tokens, len(said.tokens)):
            whole = self.vocabulary.decode(said.tokens[: i + 1])
            if not whole.endswith("\ufffd"):
                yield whole[len(self.shown) :], said.heads[i]
                self.shown = whole
        self.tokens = len(said.tokens)


def open_run(folder: Path, name: str = "") -> Model:
    """A model of a run's folder, on a GPU where there is one; a ValueError in one line where there is none."""
    record = _record(folder)
    given = record["config"]
    known = {f.name: given[f.name] for f in fields(Config) if f.name in given}
    config = Config(**known | {"arms": tuple(given["arms"])})
    name = name or config.arms[0]
    if name not in config.arms:
        raise ValueError(f"{folder} has no arm {name}; there are {', '.join(config.arms)}")
    units = units_from(json.loads((folder / "units.json").read_text("utf-8")))
    vocabulary = vocabulary_of(config, units)
    system = System(config, make_decoder(config, vocabulary), vocabulary, units.count)
    system.load_state_dict(torch.load(folder / "last.pt", map_location="cpu", weights_only=True)["model"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Model(system.arm(name).to(device).eval(), arm(config, name), vocabulary)


def _record(folder: Path) -> Any:
    path = folder / "record.json"
    if not path.is_file():
        raise ValueError(f"{folder} holds no run; name one of python -m repro.speech_llama.train with --run")
    record = json.loads(path.read_text("utf-8"))
    if record["paper"] != "speech_llama" or not record["done"]:
        told = "is not finished; run its command again" if record["paper"] == "speech_llama" else "is another paper's"
        raise ValueError(f"{folder}: its run {told}")
    return record


class Listener:
    """A model with room for one recording of up to `seconds`."""

    def __init__(self, model: Model, seconds: float, how: How, tau: float) -> None:
        config = model.config
        self.model, self.width = model, rounded(int(100 * seconds) + 1)
        places = -(-self.width // (config.stride * config.stack))
        most = config.most_tokens or 20 + int(12 * seconds)  # nobody says more than 12 tokens a second for long
        check_room(config, model.speech.decoder, self.width, most)
        self.recogniser = Recogniser(model.speech, 1, places, most, how, tau, torch.float32)

    @torch.no_grad()
    def __call__(self, wave: Any) -> Iterator[Said]:
        """Samples (N,) at 16 kHz -> what has been said after each call of the decoder."""
        features = from_bytes(to_bytes(log_mel_of(wave)))  # as training heard it
        speech, device = self.model.speech, self.recogniser.tokens.device
        padded = torch.nn.functional.pad(features, (0, 0, 0, self.width - len(features)))[None].to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.model.config.precision == "bf16"):
            embeddings, heard = speech.audio(padded, torch.tensor([len(features)], device=device))
        yield from self.recogniser.stream(embeddings, heard)


def main(args: Sequence[str] | None = None) -> None:
    asked = tyro.cli(
        Options, args=args, prog="python -m repro.speech_llama.transcribe", description="Transcribe recordings."
    )
    ended_well(lambda: _work(asked))


def _work(asked: Options) -> None:
    if not asked.files:
        raise ValueError("name a recording")
    waves = [audio.load(path) for path in asked.files]
    model = open_run(asked.run, asked.arm)
    how: How = asked.how or ("greedy" if model.speech.heads is None else "verified")
    listener = Listener(model, max(map(len, waves)) / audio.RATE, how, asked.tau)
    for path, wave in zip(asked.files, waves, strict=True):
        _transcribe(asked, path, wave, listener)


def _transcribe(asked: Options, path: Path, wave: Any, listener: Listener) -> None:
    if asked.seconds:  # what is compiled at first is none of them
        for _ in listener(wave):
            pass
    began, words, said = time.perf_counter(), Words(listener.model.vocabulary), Said([], [], 0, 0)
    name = f"{path.name}: " if len(asked.files) > 1 else ""
    if not asked.json:
        print(name, end="", flush=True)
    for said in listener(wave):
        for piece, head in words.more(said):
            if not asked.json:
                print(_marked(piece, head), end="", flush=True)
    took = time.perf_counter() - began
    if asked.json:
        row = {"file": str(path), "text": words.shown, "tokens": said.tokens, "heads": said.heads, "calls": said.calls}
        print(json.dumps(row | {"seconds": round(took, 4)}, ensure_ascii=False))
        return
    print(flush=True)
    later = sum(head > 1 for head in said.heads)
    print(f"({len(said.tokens)} tokens in {said.calls} calls, {later} of them from extra heads)", file=sys.stderr)
    if asked.seconds:
        device = "GPU" if torch.cuda.is_available() else processor()
        print(f"({took:.2f} s for {len(wave) / audio.RATE:.2f} s of sound, {device})", file=sys.stderr)


def _marked(piece: str, head: int) -> str:
    return f"{_UNDERLINED}{piece}{_PLAIN}" if head > 1 and sys.stdout.isatty() else piece


if __name__ == "__main__":
    main()
