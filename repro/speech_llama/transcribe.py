"""Transcribe recordings: `python -m repro.speech_llama.transcribe FILE.wav --run OUT`.

Words appear as they are decided. On a terminal those are underlined that heads after the decoder's own said first: with
verification the decoder has agreed to them since.
"""

from __future__ import annotations

import copy
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

from repro.lab.capture import capture
from repro.lab.ending import ended_well
from repro.lab.provenance import processor
from repro.speech_llama import audio
from repro.speech_llama.config import Config, arm
from repro.speech_llama.data import rounded, vocabulary_of
from repro.speech_llama.decoding import How, Recogniser, Said
from repro.speech_llama.features import N_MELS, from_bytes, log_mel_of, to_bytes
from repro.speech_llama.prompting import SpeechLLM
from repro.speech_llama.system import System, check_room, make_decoder
from repro.speech_llama.vocabulary import Vocabulary, units_from

_UNDERLINED, _PLAIN = "\033[4m", "\033[0m"
_MANY = 600  # seconds of sound, which a GPU transcribes sooner than what it runs is compiled


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


class Ear:
    """Features (B, T, M) of one size, of which `frames` (B,) count, -> audio embeddings (B, J, D) and how many of each
    row are valid (B,), which hold until the next call. With `captured` the encoder's blocks are compiled, and all of it
    is one graph from the first call on: the host takes longer to launch its kernels than a GPU to run them."""

    def __init__(self, model: SpeechLLM, batch: int, width: int, *, half: bool, captured: bool) -> None:
        device = model.decoder.embed.weight.device
        self.encoder, self.projector, self.half, self.captured = model.encoder, model.projector, half, captured
        self.features = torch.zeros(batch, width, N_MELS, device=device)
        self.frames = torch.ones(batch, dtype=torch.long, device=device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.found: tuple[torch.Tensor, ...] = ()
        if captured:  # a module of its own with the same weights
            own = (*self.encoder.parameters(), *self.encoder.buffers())
            self.encoder = copy.deepcopy(self.encoder, {id(t): t for t in own})
            self.encoder.compile(dynamic=False)

    @torch.no_grad()
    def __call__(self, features: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self.features[:, : features.shape[1]] = features
        self.frames.copy_(frames)
        if not self.captured:
            return self._hear()
        if self.graph is None:
            self.graph, self.found = capture(self._hear, lambda: ())
        self.graph.replay()
        return self.found

    def _hear(self) -> tuple[torch.Tensor, ...]:
        with torch.autocast(self.features.device.type, torch.bfloat16, enabled=self.half):
            found: tuple[torch.Tensor, ...] = self.projector(*self.encoder(self.features, self.frames))
            return found


class Listener:
    """A model with room for one recording of up to `seconds`; `captured` where many are to be heard on a GPU, since
    compiling takes longer than a few of them."""

    def __init__(self, model: Model, seconds: float, how: How, tau: float, *, captured: bool = False) -> None:
        config, width = model.config, rounded(int(100 * seconds) + 1)
        places = -(-width // (config.stride * config.stack))
        most = config.most_tokens or 20 + int(12 * seconds)  # nobody says more than 12 tokens a second for long
        check_room(config, model.speech.decoder, width, most)
        self.model = model
        self.ear = Ear(model.speech, 1, width, half=config.precision == "bf16", captured=captured)
        self.recogniser = Recogniser(model.speech, 1, places, most, how, tau, torch.float32, captured)

    def __call__(self, wave: Any) -> Iterator[Said]:
        """Samples (N,) at 16 kHz -> what has been said after each call of the decoder."""
        features = from_bytes(to_bytes(log_mel_of(wave)))  # as training heard it
        embeddings, heard = self.ear(features[None].to(self.ear.features.device), torch.tensor([len(features)]))
        yield from self.recogniser.stream(embeddings, heard)


def main(args: Sequence[str] | None = None) -> None:
    asked = tyro.cli(
        Options, args=args, prog="python -m repro.speech_llama.transcribe", description="Transcribe recordings."
    )
    ended_well(lambda: _work(asked))


def _work(asked: Options) -> None:
    if not asked.files:
        raise ValueError("name a recording")
    for path in asked.files:  # of a corpus more could be said
        if not path.is_file():
            raise ValueError(f"{path} is not there; name a recording")
    waves = [audio.load(path) for path in asked.files]
    model = open_run(asked.run, asked.arm)
    how: How = asked.how or ("greedy" if model.speech.heads is None else "verified")
    seconds = [len(wave) / audio.RATE for wave in waves]
    captured = torch.cuda.is_available() and (asked.seconds or sum(seconds) > _MANY)
    listener = Listener(model, max(seconds), how, asked.tau, captured=captured)
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
