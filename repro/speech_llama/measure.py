"""What a run measures at its end, on utterances that training has not heard."""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from repro.lab.memory import release
from repro.speech_llama.config import Config, arm
from repro.speech_llama.copying import Reading, garbled
from repro.speech_llama.ctc import ctc_greedy
from repro.speech_llama.data import Speech, Split, rounded
from repro.speech_llama.decoding import How, Recogniser, Said
from repro.speech_llama.model import CTC
from repro.speech_llama.normalise import Errors, interval, paired_interval, word_errors
from repro.speech_llama.prompting import SpeechLLM, alignment
from repro.speech_llama.system import System, stages

_BATCH = 64  # utterances that are decoded together
_FEW = 1024  # utterances of a test that are decoded sooner than a decoder is compiled
_SPEAKERS = 8  # of a test, the fewest that an interval is drawn over
TAUS = (0.5, 0.7, 0.9, 0.99)


def measure(config: Config, system: System, speech: Speech) -> dict[str, float]:
    """The numbers that claims are judged by; those of an arm other than main have its name behind theirs."""
    system.eval()
    found = rated("_constant", speech.test, [constant(speech.train.texts)] * len(speech.test))
    by_ctc = None
    names = {stage.name for stage in stages(config)}
    for ctc, name in ((system.ctc, "ctc"), (system.alone, "ctc-alone")):
        if ctc is not None and name in names:  # the one that was trained for longer is what arms are compared with
            by_ctc = ctc_transcripts(config, ctc, speech)
            found |= rated(f"_{name.replace('-', '_')}", speech.test, by_ctc)
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
    """The word error rate of transcripts, with its bootstrap interval, and the rate of each language and of each part
    of the corpus where there are several."""
    errors = word_errors(split.texts, said)
    low, high = interval(errors, voices(split))
    found = {f"wer{name}": errors.rate, f"wer_low{name}": low, f"wer_high{name}": high}
    for groups in (split.languages, split.parts):
        several = sorted(set(groups))
        for group in several if len(several) > 1 else ():
            mine = [i for i, other in enumerate(groups) if other == group]
            of_group = Errors(errors.edits[mine], errors.length[mine])
            found[f"wer_{group.replace('-', '_').replace('.', '_')}{name}"] = of_group.rate
    return found


def voices(split: Split) -> Sequence[str]:
    """Whose utterances stand or fall together when an interval is drawn: each speaker's, where there are at least
    eight to draw from; else each utterance is its own."""
    return split.speakers if len(set(split.speakers)) >= _SPEAKERS else [str(i) for i in range(len(split))]


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
        yield torch.tensor(rows), rounded(split.lengths[rows[-1]])


@contextmanager
def evaluated(config: Config, device: torch.device) -> Iterator[None]:
    """In the run's precision, without gradients, and without what was compiled for training: to compile it anew for
    the few widths of a test would take longer than they do."""
    with (
        torch.no_grad(),
        torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"),
        torch.compiler.set_stance("force_eager"),
    ):
        yield


def ctc_transcripts(config: Config, ctc: CTC, speech: Speech) -> list[str]:
    """What the encoder alone says."""
    found: dict[int, str] = {}
    for rows, width in batches(speech.test):
        with evaluated(config, speech.test.device):
            x, frames = speech.test.take(rows, width)
            log_p, steps = ctc(x, frames.to(x.device))
        found |= zip(rows.tolist(), map(speech.units.decode, ctc_greedy(log_p, steps)), strict=True)
    return [found[i] for i in range(len(found))]


Heard = tuple[torch.Tensor, torch.Tensor]


def audio_of(config: Config, model: SpeechLLM, split: Split, rows: torch.Tensor, width: int) -> Heard:
    """Audio embeddings (B, J, D) of some utterances (B,), and how many of each row are valid (B,)."""
    with evaluated(config, split.device):
        x, frames = split.take(rows, width)
        return model.audio(x, frames.to(x.device))


def recogniser(
    config: Config, model: SpeechLLM, split: Split, most: int, how: How = "greedy", tau: float = 0.0
) -> Recogniser:
    """In fp32, with room for any batch of a split."""
    release()
    places = -(-split.widest // (config.stride * config.stack)) + 1
    captured = None if model.heads is not None or len(split) > _FEW else False
    return Recogniser(model, min(_BATCH, len(split)), places, most, how, tau, torch.float32, captured)


def transcripts(config: Config, model: SpeechLLM, split: Split, says: Recogniser) -> list[Said]:
    """What a model says of each utterance of a split."""
    found: dict[int, Said] = {}
    for rows, width in batches(split):
        found |= zip(rows.tolist(), says(*audio_of(config, model, split, rows, width)), strict=True)
    return [found[i] for i in range(len(found))]


def measured(config: Config, model: SpeechLLM, speech: Speech, by_ctc: list[str] | None = None) -> dict[str, float]:
    """An arm's error rate, what it gains over CTC's transcripts, and its alignment; where it has heads, its calls and
    what other decoding changes."""
    split, most = speech.test, most_tokens(config, speech)
    greedy = recogniser(config, model, split, most)
    said = transcripts(config, model, split, greedy)
    texts = [speech.vocabulary.decode(one.tokens) for one in said]
    found = rated("", split, texts)
    if by_ctc is not None:
        alone, prompted = word_errors(split.texts, by_ctc), word_errors(split.texts, texts)
        low, high = paired_interval(alone, prompted, voices(split))
        found |= {"gain": alone.rate - prompted.rate, "gain_low": low, "gain_high": high}
    found["alignment"] = mean_alignment(config, model, split)
    if model.heads is None:
        return found
    found["decoding_s_greedy"] = decoding_seconds(config, model, split, greedy)
    verified = recogniser(config, model, split, most, "verified")
    agreed = transcripts(config, model, split, verified)
    found["differing"] = sum(a.tokens != b.tokens for a, b in zip(said, agreed, strict=True))
    found["utterances"] = len(split)
    found["tokens_per_call"] = tokens_per_call(agreed)
    found["decoding_s_verified"] = decoding_seconds(config, model, split, verified)
    loose = recogniser(config, model, split, most, "threshold")
    for tau in TAUS:
        loose.tau.fill_(tau)
        likely = transcripts(config, model, split, loose)
        texts = [speech.vocabulary.decode(one.tokens) for one in likely]
        found[f"wer_tau{round(100 * tau)}"] = word_errors(split.texts, texts).rate
        found[f"tokens_per_call_tau{round(100 * tau)}"] = tokens_per_call(likely)
    return found


def decoding_seconds(config: Config, model: SpeechLLM, split: Split, says: Recogniser, repeats: int = 3) -> float:
    """What decoding the longest utterances of a split takes, as many as are decoded together: the median of repeats
    after one that warms up, without the encoder."""
    *_, (rows, width) = batches(split)
    audio, heard = audio_of(config, model, split, rows, width)
    took = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        says(audio, heard)  # its result is read from the device, so it has ended
        took.append(time.perf_counter() - began)
    return statistics.median(took[1:])


def tokens_per_call(said: Sequence[Said]) -> float:
    """Tokens over the calls of the decoder that made them, the call that reads the audio included: 1 when greedy."""
    return sum(one.made for one in said) / sum(one.calls for one in said)


def most_tokens(config: Config, speech: Speech) -> int:
    return config.most_tokens or math.ceil(1.2 * speech.train.tokens.most) + 1


def mean_alignment(config: Config, model: SpeechLLM, split: Split) -> float:
    found = []
    for rows, width in batches(split):
        audio, heard = audio_of(config, model, split, rows, width)
        tokens, counts = split.tokens.take(rows)
        text = model.decoder.embed(tokens.to(audio.device))
        found.append(alignment(audio, heard, text, counts))
    return float(torch.cat(found).mean())


@torch.no_grad()
def read(reading: Reading, speech: Speech) -> dict[str, float]:
    """What a small decoder learnt by reading: the loss in nats a token on clean text alone, and after a garbled copy of
    it, the same for all kinds."""
    device = speech.test.device
    tokens, counts = (t.to(device) for t in speech.test.tokens.take(torch.arange(len(speech.test))))
    torch.manual_seed(0)
    copy, copied = garbled(tokens, counts, reading.bos)
    with torch.compiler.set_stance("force_eager"):
        alone, n = reading.loss(copy, torch.zeros_like(copied), tokens, counts)
        after, _ = reading.loss(copy, copied, tokens, counts)
    return {"text_loss_nats": float(alone / n), "copy_loss_nats": float(after / n)}
