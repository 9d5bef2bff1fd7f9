"""What a run measures at its end, on utterances that training has not heard."""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import torch

from repro.speech_llama.config import Config, arm
from repro.speech_llama.copying import Reading, garbled
from repro.speech_llama.data import Speech, Split, rounded
from repro.speech_llama.decoding import How, Recogniser, Said
from repro.speech_llama.model import CTC, ctc_greedy
from repro.speech_llama.normalise import Errors, interval, paired_interval, word_errors
from repro.speech_llama.prompting import SpeechLLM, alignment
from repro.speech_llama.system import System, stages

_BATCH = 64  # utterances that are decoded together
TAUS = (0.5, 0.7, 0.9, 0.99)


def measure(config: Config, system: System, speech: Speech) -> dict[str, float]:
    """The numbers that claims are judged by; those of an arm other than main have its name behind theirs."""
    system.eval()
    found = rated("_constant", speech.test, [constant(speech.train.texts)] * len(speech.test))
    by_ctc = None
    if any(stage.name == "ctc" for stage in stages(config)):
        by_ctc = ctc_transcripts(config, system.ctc, speech)
        found |= rated("_ctc", speech.test, by_ctc)
    for name in config.arms:
        asked, model = arm(config, name), system.arm(name)
        numbers = measured(asked, model, speech, by_ctc)
        if not (asked.lora_r or asked.full):  # what the encoder had to learn to say
            numbers["alignment_before"] = mean_alignment(asked, system.untrained(name), speech.test)
        found |= {key if name == "main" else f"{key}_{name}": value for key, value in numbers.items()}
    for kind, reading in system.readings.items() if config.decoder == "small" else ():
        assert isinstance(reading, Reading)
        found |= {f"{key}_{kind}": value for key, value in read(reading, speech).items()}
    return found


def rated(name: str, split: Split, said: Sequence[str]) -> dict[str, float]:
    """The word error rate of transcripts, with its bootstrap interval over utterances, and by language where there are
    several."""
    errors = word_errors(split.texts, said)
    low, high = interval(errors)
    found = {f"wer{name}": errors.rate, f"wer_low{name}": low, f"wer_high{name}": high}
    languages = sorted(set(split.languages))
    for language in languages if len(languages) > 1 else ():
        mine = [i for i, other in enumerate(split.languages) if other == language]
        found[f"wer_{language}{name}"] = Errors(errors.edits[mine], errors.length[mine]).rate
    return found


def constant(texts: Sequence[str]) -> str:
    """What says most of what can be said without listening: the commonest word, as often as a transcript has words."""
    words = Counter(word for text in texts for word in text.split())
    common = min(words, key=lambda word: (-words[word], word))
    return " ".join([common] * round(words.total() / len(texts)))


def batches(split: Split, size: int = _BATCH) -> Iterator[tuple[torch.Tensor, int]]:
    """All utterances of a split, the shortest first, `size` at a time, and how wide their features are."""
    order = sorted(range(len(split)), key=lambda i: split.lengths[i])
    for i in range(0, len(order), size):
        rows = order[i : i + size]
        yield torch.tensor(rows, device=split.rows.device), rounded(split.lengths[rows[-1]])


def autocast(config: Config, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")


@torch.no_grad()
def ctc_transcripts(config: Config, ctc: CTC, speech: Speech) -> list[str]:
    """What the encoder alone says."""
    found: dict[int, str] = {}
    for rows, width in batches(speech.test):
        with autocast(config, rows.device):
            log_p, steps = ctc(*speech.test.take(rows, width))
        found |= zip(rows.tolist(), map(speech.units.decode, ctc_greedy(log_p, steps)), strict=True)
    return [found[i] for i in range(len(found))]


@torch.no_grad()
def transcripts(
    config: Config, model: SpeechLLM, split: Split, most: int, how: How = "greedy", tau: float = 0.0
) -> list[Said]:
    """What a model says of each utterance of a split."""
    places = -(-split.widest // (config.stride * config.stack)) + 1
    recogniser = Recogniser(model, min(_BATCH, len(split)), places, most, how, tau, torch.float32)
    found: dict[int, Said] = {}
    for rows, width in batches(split):
        with autocast(config, rows.device):
            audio, heard = model.audio(*split.take(rows, width))
        found |= zip(rows.tolist(), recogniser(audio, heard), strict=True)
    return [found[i] for i in range(len(found))]


def measured(config: Config, model: SpeechLLM, speech: Speech, by_ctc: list[str] | None = None) -> dict[str, float]:
    """An arm's error rate, what it gains over CTC's transcripts, and its alignment; where it has heads, its calls and
    what other decoding changes."""
    split, most = speech.test, most_tokens(config, speech)
    said = transcripts(config, model, split, most)
    texts = [speech.vocabulary.decode(one.tokens) for one in said]
    found = rated("", split, texts)
    if by_ctc is not None:
        alone, prompted = word_errors(split.texts, by_ctc), word_errors(split.texts, texts)
        low, high = paired_interval(alone, prompted)
        found |= {"gain": alone.rate - prompted.rate, "gain_low": low, "gain_high": high}
    found["alignment"] = mean_alignment(config, model, split)
    if model.heads is None:
        return found
    verified = transcripts(config, model, split, most, "verified")
    found["differing"] = sum(a.tokens != b.tokens for a, b in zip(said, verified, strict=True))
    found["utterances"] = len(split)
    found["tokens_per_call"] = tokens_per_call(verified)
    for how in ("greedy", "verified"):
        found[f"decoding_s_{how}"] = decoding_seconds(config, model, split, most, how)
    for tau in TAUS:
        loose = transcripts(config, model, split, most, "threshold", tau)
        texts = [speech.vocabulary.decode(one.tokens) for one in loose]
        found[f"wer_tau{round(100 * tau)}"] = word_errors(split.texts, texts).rate
        found[f"tokens_per_call_tau{round(100 * tau)}"] = tokens_per_call(loose)
    return found


@torch.no_grad()
def decoding_seconds(config: Config, model: SpeechLLM, split: Split, most: int, how: How, repeats: int = 3) -> float:
    """What decoding the longest utterances of a split takes, as many as are decoded together: the median of repeats
    after one that warms up, without the encoder."""
    *_, (rows, width) = batches(split)
    with autocast(config, rows.device):
        audio, heard = model.audio(*split.take(rows, width))
    recogniser, took = Recogniser(model, len(rows), audio.shape[1], most, how, dtype=torch.float32), []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        recogniser(audio, heard)  # its result is read from the device, so it has ended
        took.append(time.perf_counter() - began)
    return statistics.median(took[1:])


def tokens_per_call(said: Sequence[Said]) -> float:
    """Tokens over the calls of the decoder that made them, the call that reads the audio included: 1 when greedy."""
    return sum(one.made for one in said) / sum(one.calls for one in said)


def most_tokens(config: Config, speech: Speech) -> int:
    return config.most_tokens or math.ceil(1.2 * speech.train.tokens.most) + 1


@torch.no_grad()
def mean_alignment(config: Config, model: SpeechLLM, split: Split) -> float:
    found = []
    for rows, width in batches(split):
        with autocast(config, rows.device):
            audio, heard = model.audio(*split.take(rows, width))
        text = model.decoder.embed(split.tokens.rows[rows])
        found.append(alignment(audio, heard, text, split.tokens.counts[rows]))
    return float(torch.cat(found).mean())


@torch.no_grad()
def read(reading: Reading, speech: Speech) -> dict[str, float]:
    """What a small decoder learnt by reading: the loss in nats a token on clean text alone, and after a garbled copy of
    it, the same for both kinds."""
    tokens, counts = speech.test.tokens.rows, speech.test.tokens.counts
    torch.manual_seed(0)
    copy, copied = garbled(tokens, counts, reading.bos)
    alone, n = reading.loss(copy, torch.zeros_like(copied), tokens, counts)
    after, _ = reading.loss(copy, copied, tokens, counts)
    return {"text_loss_nats": float(alone / n), "copy_loss_nats": float(after / n)}
