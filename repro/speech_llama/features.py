"""Log-mel features, and a corpus as features: computed once, kept in a cache, memory-mapped, gathered in batches.

    speech = load(corpora.corpus("an4:data/an4"), device=device)
    rows = speech.rows("train")[batch_indices(len(speech.rows("train")), 64, seed, step)]
    features, frames = speech.batch(rows, speech.longest("train"))        # (64, T, 80) and (64,)

80 bins, windows of 25 ms each 10 ms, 16 kHz: torchaudio's MelSpectrogram(16000, n_fft=400, hop_length=160, n_mels=80)
with its other settings as they are (Hann window, power 2, centred with reflection, HTK's mel scale, filters of height 1
without Slaney's area norm), then the natural logarithm of what is at least FLOOR.

The cache holds a byte a bin, 8 kB a second, half of float16: levels from log FLOOR to log CEILING in 255 steps of 0.095
nats, 0.4 dB. The error, 0.028 nats rms, is a hundredth of what a bin of speech moves by; float16's own steps there are
0.008 nats. All of LibriSpeech, 960 hours, is 28 GB. A corpus that takes more than a third of a GPU's memory stays on
the host, memory-mapped, and batches are copied from there.

Shapes: B utterances, N samples, T frames, M mel bins, F frames of a whole corpus.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache as kept_in_memory
from pathlib import Path
from typing import Any

import numpy as np
import torch

from repro.lab.cache import kept, key, read_json, write
from repro.lab.files import settle
from repro.speech_llama.audio import RATE
from repro.speech_llama.normalise import normalise
from repro.speech_llama.utterances import Corpus, Utterance

N_MELS = 80
WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
FLOOR, CEILING = 1e-6, math.exp(10.5)  # of mel power; a full-scale sine makes e^9.6
_STEP = (math.log(CEILING) - math.log(FLOOR)) / 255
_BLOCK = 64  # utterances that one thread computes at a time
_RESIDENT = 1 / 3  # of a GPU's memory: what a corpus may take of it
CACHE = Path("out/speech")


@kept_in_memory
def mel_filters(n_mels: int = N_MELS) -> torch.Tensor:
    """Triangles on HTK's mel scale from 0 to half the rate, (WINDOW / 2 + 1, M), each of height 1 between bins."""
    top = 2595.0 * math.log10(1.0 + RATE / 2 / 700.0)
    corners = 700.0 * (10.0 ** (torch.linspace(0.0, top, n_mels + 2) / 2595.0) - 1.0)  # Hz
    bins = torch.linspace(0, RATE // 2, WINDOW // 2 + 1)
    slopes = corners[None] - bins[:, None]
    widths = corners.diff()
    rising, falling = -slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]
    return torch.minimum(rising, falling).clamp(min=0)


def frames_of(samples: int) -> int:
    """Frames of so many samples: one about every HOP-th, the first and the last sample among them."""
    return samples // HOP + 1


def log_mel(waves: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Waves (B, N) at RATE in [-1, 1], of which the first `lengths` (B,) samples count, -> log mel power (B, T, M) in
    nats and how many frames each has (B,). An utterance's frames are the same in any batch: its end is reflected where
    it is, and frames beyond it are those of silence."""
    if waves.shape[1] == 0 or int(lengths.min()) < WINDOW:
        raise ValueError(f"{int(lengths.min())} samples are less than one window of {WINDOW} (25 ms); leave it out")
    n = lengths[:, None]
    at = torch.arange(-(WINDOW // 2), waves.shape[1] + WINDOW // 2, device=waves.device).abs()
    at = torch.where(at < n, at, 2 * (n - 1) - at)  # mirrored at the utterance's own end
    padded = waves.float().gather(1, at.clamp(min=0))
    with torch.autocast(waves.device.type, enabled=False):
        window = torch.hann_window(WINDOW, device=waves.device)
        spectrum = torch.stft(padded, WINDOW, HOP, window=window, center=False, return_complex=True)
        power = spectrum.abs().square().transpose(1, 2) @ mel_filters().to(waves.device)
    frames = lengths // HOP + 1
    heard = torch.arange(power.shape[1], device=waves.device) < frames[:, None]
    return power.clamp(min=FLOOR).log().masked_fill(~heard[..., None], math.log(FLOOR)), frames


def log_mel_of(wave: np.ndarray) -> torch.Tensor:
    """One utterance's (T, M)."""
    features, _ = log_mel(torch.from_numpy(wave)[None], torch.tensor([len(wave)]))
    return features[0]


def to_bytes(features: torch.Tensor) -> torch.Tensor:
    """Log mel power as the cache holds it, uint8: the nearest of 256 levels."""
    return ((features - math.log(FLOOR)) / _STEP).round().clamp(0, 255).to(torch.uint8)


def from_bytes(levels: torch.Tensor) -> torch.Tensor:
    """And back, in fp32; FLOOR comes back as it was."""
    return levels.float() * _STEP + math.log(FLOOR)


@dataclass(frozen=True)
class Speech:
    """A corpus as features. `levels` (F, M) uint8 holds all utterances' frames end to end, on `device` or on the host;
    `starts` and `frames` int64 (len(utterances),), on the host, say where each is; `texts` are the transcripts,
    normalised. `name` says what it is, for a record."""

    levels: torch.Tensor
    starts: torch.Tensor
    frames: torch.Tensor
    texts: list[str]
    utterances: Sequence[Utterance]
    name: str
    device: torch.device

    def rows(self, split: str, language: str = "", part: str = "") -> torch.Tensor:
        """The utterances of a split (train, val, test; of all where none is named), of one language or one part of the
        corpus where it is named: indices int64."""
        found = [
            i
            for i, one in enumerate(self.utterances)
            if split in ("", one.split) and language in ("", one.language) and part in ("", one.part)
        ]
        return torch.tensor(found, dtype=torch.int64)

    def longest(self, split: str) -> int:
        """Frames of the longest utterance of a split."""
        rows = self.rows(split)
        return int(self.frames[rows].max()) if len(rows) else 0

    def hours(self, split: str) -> float:
        return float(self.frames[self.rows(split)].sum()) * HOP / RATE / 3600

    def batch(
        self, rows: torch.Tensor, n_frames: int, rates: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The utterances `rows` (B,) as log mel power (B, n_frames, M) in nats on the device, fp32, silence beyond each
        one's end; and how many frames each has (B,), at most n_frames, on the host. With `rates` (B,) an utterance is
        drawn out by so much, as far as there is room. Nothing here waits for the device."""
        own = self.frames[rows].clamp(max=n_frames)
        x = from_bytes(self._levels(rows, own, n_frames))
        if rates is None:
            return x, own
        frames = (own * rates).round().long().clamp(min=1, max=n_frames)
        return drawn_out(x, sent(own, self.device), sent(frames, self.device)), frames

    def _levels(self, rows: torch.Tensor, frames: torch.Tensor, width: int) -> torch.Tensor:
        """(B, width, M) on the device, the lowest level beyond each one's `frames` (B,)."""
        if self.levels.is_cuda:
            starts, n = sent(self.starts[rows], self.device)[:, None], sent(frames, self.device)[:, None]
            at = torch.arange(width, device=self.device)
            return self.levels[torch.where(at < n, starts + at, 0)].masked_fill((at >= n)[..., None], 0)
        found = torch.zeros(len(rows), width, N_MELS, dtype=torch.uint8)
        for row, start, n in zip(found, self.starts[rows].tolist(), frames.tolist(), strict=True):
            row[:n] = self.levels[start : start + n]
        return sent(found, self.device)


def sent(x: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor of the host on a device, which the host does not wait for."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x


def between(x: torch.Tensor, source: torch.Tensor, dim: int) -> torch.Tensor:
    """Values of x (B, T, M) at places `source`, fractions of a step of its dimension 1 or 2, (B, T) or (B, M): each
    linearly between its two neighbours."""
    low = source.long()
    high = (low + 1).clamp(max=x.shape[dim] - 1)
    here, beyond, part = (i.unsqueeze(3 - dim) for i in (low, high, (source - low).to(x.dtype)))
    return torch.lerp(x.gather(dim, here.expand_as(x)), x.gather(dim, beyond.expand_as(x)), part)


def drawn_out(x: torch.Tensor, own: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """The first `own` (B,) frames of each row of x (B, T, M) as `frames` (B,) ones, linearly between their neighbours:
    the same said slower or faster. Silence beyond."""
    at = torch.arange(x.shape[1], device=x.device)
    source = (at * ((own - 1) / (frames - 1).clamp(min=1))[:, None]).clamp(max=(own - 1)[:, None])
    return between(x, source, 1).masked_fill((at >= frames[:, None])[..., None], math.log(FLOOR))


def load(corpus: Corpus, cache: Path = CACHE, device: torch.device | str = "cpu") -> Speech:
    """A corpus as features: memory-mapped from the cache on a CPU, in a GPU's memory where there is room. What is not
    in the cache is computed on the CPU, by all its cores, by one process while others wait."""
    device = torch.device(device)
    stamps = [
        f"{one.id} {one.split} {one.text} {one.stamp}" for one in corpus.utterances
    ]  # texts: the hash is theirs too
    path = cache / f"speech-{key(corpus.name, f'{N_MELS} {WINDOW} {HOP} {FLOOR} {CEILING} {RATE}', *stamps)}.json"
    try:
        meta, levels = kept(path, _read, lambda: _make(corpus, path))
    except OSError as error:
        raise ValueError(f"{cache}: {error}; the cache must be a folder that can be written to") from None
    frames = torch.tensor(meta["frames"], dtype=torch.int64)
    starts = frames.cumsum(0) - frames
    texts = [normalise(one.text) for one in corpus.utterances]
    minutes = meta["samples"] / RATE / 60
    name = (
        f"{corpus.name}{corpus.copies}, {len(texts):,} utterances, {minutes:.1f} minutes, sha256 {meta['sha256'][:12]}"
    )
    return Speech(_placed(levels, device), starts, frames, texts, corpus.utterances, name, device)


def _placed(levels: torch.Tensor, device: torch.device) -> torch.Tensor:
    if device.type != "cuda" or levels.nbytes > _RESIDENT * torch.cuda.get_device_properties(device).total_memory:
        return levels
    return levels.to(device)


def _make(corpus: Corpus, path: Path) -> None:
    """Write the features, then what is said of them, whose presence tells that all is there."""
    print(f"computing features of {corpus.name}; kept in {path.parent}", file=sys.stderr, flush=True)
    digest, frames, samples = hashlib.sha256(), [], 0
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            for one, length, sound, levels in _computed(corpus.utterances):
                digest.update(f"{one.id}\t{one.split}\t{one.text}\n{sound}".encode())
                file.write(levels.tobytes())
                frames.append(len(levels))
                samples += length
            settle(file)
        os.replace(part, path.with_suffix(".u8"))
    finally:
        part.unlink(missing_ok=True)
    write(path, json.dumps({"frames": frames, "samples": samples, "sha256": digest.hexdigest()}))


def _computed(utterances: Sequence[Utterance]) -> Iterator[tuple[Utterance, int, str, np.ndarray]]:
    """Each utterance with its number of samples, the hash of these, and its levels (T, M). A few blocks are under
    way at a time, so that no corpus has to fit in memory."""
    blocks = [utterances[i : i + _BLOCK] for i in range(0, len(utterances), _BLOCK)]
    ahead, threads = 2 * (os.cpu_count() or 1), torch.get_num_threads()
    # one core a worker: torch's own threads in each of them would only stand in each other's way
    with ThreadPoolExecutor(os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting = [pool.submit(_block, block) for block in blocks[:ahead]]
        try:
            for block in blocks[ahead:] + [[]] * min(ahead, len(blocks)):
                yield from waiting.pop(0).result()
                if block:
                    waiting.append(pool.submit(_block, block))
        finally:
            for one in waiting:
                one.cancel()
            torch.set_num_threads(threads)


def _block(utterances: Sequence[Utterance]) -> list[tuple[Utterance, int, str, np.ndarray]]:
    found = []
    for one in utterances:
        wave = one.audio()
        if len(wave) < WINDOW:
            raise ValueError(f"{one.id}: {len(wave)} samples are less than one window of {WINDOW}; leave it out")
        levels = to_bytes(log_mel_of(wave)).numpy()
        found.append((one, len(wave), hashlib.sha256(wave.tobytes()).hexdigest(), levels))
    return found


def _read(path: Path) -> tuple[dict[str, Any], torch.Tensor] | None:
    meta = read_json(path)
    if meta is None or not {"frames", "samples", "sha256"} <= set(meta):
        return None
    try:  # private to this process, as torch wants to write
        levels = np.memmap(path.with_suffix(".u8"), np.uint8, "c").reshape(-1, N_MELS)
    except (OSError, ValueError):  # not there, or cut off
        return None
    return (meta, torch.from_numpy(levels)) if len(levels) == sum(meta["frames"]) else None
