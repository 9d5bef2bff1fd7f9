"""Log-mel features beside a float64 reference and torchaudio, batches beside single utterances, and the cache."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from repro.speech_llama import features
from repro.speech_llama.features import FLOOR, HOP, N_MELS, WINDOW, from_bytes, log_mel, log_mel_of, to_bytes
from repro.speech_llama.utterances import Corpus, Utterance

torch.set_num_threads(1)


def noise(n: int, seed: int = 0, scale: float = 0.1) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


def reference(wave: np.ndarray) -> np.ndarray:
    """Log mel power in float64, by the definitions: reflected ends, Hann's window, a DFT, triangles in mel."""
    padded = np.pad(wave.astype(np.float64), WINDOW // 2, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    frames = np.stack([padded[i : i + WINDOW] * hann for i in range(0, len(padded) - WINDOW + 1, HOP)])
    turns = np.exp(-2j * np.pi * np.outer(np.arange(WINDOW), np.arange(WINDOW // 2 + 1)) / WINDOW)
    power = np.abs(frames @ turns) ** 2

    def mel(hz: float) -> float:
        return 2595 * math.log10(1 + hz / 700)

    corners = [700 * (10 ** (mel(8000) * i / (N_MELS + 1) / 2595) - 1) for i in range(N_MELS + 2)]
    filters = np.zeros((WINDOW // 2 + 1, N_MELS))
    for m, (low, peak, high) in enumerate(zip(corners, corners[1:], corners[2:], strict=False)):
        for k in range(WINDOW // 2 + 1):
            hz = k * 16000 / WINDOW
            filters[k, m] = max(0.0, min((hz - low) / (peak - low), (high - hz) / (high - peak)))
    return np.log(np.maximum(power @ filters, FLOOR))


@pytest.mark.parametrize("samples", [WINDOW, 1600, 1601, 1759, 7777])
def test_log_mels_are_those_of_a_reference_in_float64(samples: int) -> None:
    wave = noise(samples, samples)
    found = log_mel_of(wave)
    assert found.shape == (features.frames_of(samples), N_MELS)
    np.testing.assert_allclose(found.numpy(), reference(wave), atol=1e-4)


def test_log_mels_are_torchaudios() -> None:
    try:
        from torchaudio.transforms import MelSpectrogram
    except (ImportError, OSError) as error:  # a torchaudio built for another torch fails to load its library
        pytest.skip(f"no torchaudio: {error}")
    theirs = MelSpectrogram(16_000, n_fft=400, hop_length=160, n_mels=80)
    t = np.arange(24_000) / 16_000
    chirp = (0.5 * np.sin(2 * np.pi * (200 + 1500 * t) * t) * np.hanning(24_000)).astype(np.float32)
    for wave in (noise(16_000), noise(9_999, 1, 1e-3), chirp, np.zeros(5_000, np.float32)):
        expected = theirs(torch.from_numpy(wave)).clamp(min=FLOOR).log().T
        torch.testing.assert_close(log_mel_of(wave), expected, atol=1e-4, rtol=0)


def test_no_filter_is_empty_and_each_is_at_most_one() -> None:
    filters = features.mel_filters()
    assert filters.shape == (201, 80) and (filters.amax(0) > 0).all() and filters.max() <= 1


def test_padding_is_not_heard_whatever_stands_there() -> None:
    waves = [noise(n, n) for n in (400, 1600, 3210, 8000)]
    batch = torch.from_numpy(np.stack([np.concatenate((w, noise(8500 - len(w), 9, 5.0))) for w in waves]))
    found, frames = log_mel(batch, torch.tensor([len(w) for w in waves]))
    assert frames.tolist() == [features.frames_of(len(w)) for w in waves]
    for row, n, wave in zip(found, frames.tolist(), waves, strict=True):
        torch.testing.assert_close(row[:n], log_mel_of(wave), atol=1e-5, rtol=0)
        assert (row[n:] == math.log(FLOOR)).all()


def test_less_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="399 samples are less than one window of 400"):
        log_mel_of(noise(399))


def test_autocast_does_not_coarsen_features() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = log_mel_of(noise(1600))
    assert torch.equal(found, log_mel_of(noise(1600)))


def test_a_byte_a_bin_is_within_half_a_step_and_comes_back_the_same() -> None:
    loudest = log_mel_of(np.sin(np.arange(1600) * 2 * np.pi * 1000 / 16000).astype(np.float32))
    assert math.log(FLOOR) <= loudest.min() and loudest.max() < math.log(features.CEILING)
    for x in (log_mel_of(noise(8000)), loudest):
        back = from_bytes(to_bytes(x))
        assert (back - x).abs().max() <= 0.0477  # half of 24.3 nats / 255
        assert torch.equal(to_bytes(back), to_bytes(x))
    assert from_bytes(to_bytes(torch.tensor(math.log(FLOOR)))) == pytest.approx(math.log(FLOOR))


# ---- the cache


def corpus_of(n: int, seed: int = 0) -> Corpus:
    def one(i: int) -> Utterance:
        wave = noise(500 + 37 * i, i + seed)
        split = ("train", "train", "val", "test")[i % 4]
        language = "de" if i % 3 == 0 else "en"
        return Utterance(f"u{i}", f"Word {i}, it's.", f"s{i % 5}", split, split, language, f"{seed} {i}", lambda: wave)

    return Corpus("noise", [one(i) for i in range(n)])


def silent(corpus: Corpus) -> Corpus:
    """The same corpus, whose sound may not be asked for."""

    def refuse() -> np.ndarray:
        raise AssertionError("sound was read again")

    return replace(corpus, utterances=[replace(one, audio=refuse) for one in corpus.utterances])


def test_a_corpus_is_computed_once_in_its_own_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = corpus_of(150)  # more than two blocks
    made = features.load(corpus, tmp_path)
    again = features.load(silent(corpus), tmp_path)
    assert torch.equal(made.levels, again.levels) and made.name == again.name
    assert capsys.readouterr().err.count("computing") == 1
    for i in (0, 64, 149):
        begin, n = int(made.starts[i]), int(made.frames[i])
        assert torch.equal(made.levels[begin : begin + n], to_bytes(log_mel_of(corpus.utterances[i].audio())))
    assert made.texts[3] == "word 3 it's" and made.frames.sum() == len(made.levels)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".lock", ".u8"]


def test_the_name_tells_the_sound_and_not_where_or_when_it_was_read(tmp_path: Path) -> None:
    first = features.load(corpus_of(4), tmp_path / "a")
    touched = corpus_of(4)
    touched = replace(touched, utterances=[replace(one, stamp="new") for one in touched.utterances])
    assert features.load(touched, tmp_path / "a").name == first.name
    assert len(list((tmp_path / "a").glob("*.u8"))) == 2
    other = features.load(corpus_of(4, seed=1), tmp_path / "a")
    said = [replace(one, text="other words") for one in corpus_of(4).utterances]
    assert features.load(Corpus("noise", said), tmp_path / "a").name not in (first.name, other.name)
    assert other.name != first.name and first.name.startswith("noise, 4 utterances, 0.0 minutes, sha256 ")


@pytest.mark.parametrize("harm", ["cut", "gone", "no facts"])
def test_what_is_not_whole_is_made_anew(tmp_path: Path, harm: str) -> None:
    made = features.load(corpus_of(5), tmp_path)
    levels, (data,), (facts,) = made.levels.clone(), tmp_path.glob("*.u8"), tmp_path.glob("*.json")
    if harm == "cut":
        data.write_bytes(data.read_bytes()[: -N_MELS * 2])
    elif harm == "gone":
        data.unlink()
    else:
        facts.write_text('{"frames": [')
    assert torch.equal(features.load(corpus_of(5), tmp_path).levels, levels)


def test_an_unreadable_utterance_leaves_nothing_behind(tmp_path: Path) -> None:
    corpus = corpus_of(70)

    def broken() -> np.ndarray:
        raise ValueError("u69 cannot be read")

    bad = [*corpus.utterances[:-1], replace(corpus.utterances[-1], audio=broken)]
    with pytest.raises(ValueError, match="u69 cannot be read"):
        features.load(replace(corpus, utterances=bad), tmp_path)
    short = [replace(corpus.utterances[0], audio=lambda: noise(7))]
    with pytest.raises(ValueError, match="u0: 7 samples are less than one window"):
        features.load(replace(corpus, utterances=short), tmp_path)
    assert {p.suffix for p in tmp_path.iterdir()} == {".lock"}
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ValueError, match="the cache must be a folder that can be written to"):
        features.load(corpus, file)


def test_batches_are_utterances_and_silence_beyond_them(tmp_path: Path) -> None:
    corpus = corpus_of(12)
    speech = features.load(corpus, tmp_path)
    rows = torch.tensor([7, 0, 11])
    longest = int(speech.frames.max())
    found, frames = speech.batch(rows, longest + 2)
    assert found.shape == (3, longest + 2, N_MELS) and found.dtype == torch.float32
    for row, n, i in zip(found, frames.tolist(), rows.tolist(), strict=True):
        expected = log_mel_of(corpus.utterances[i].audio())
        assert n == len(expected) and (row[:n] - expected).abs().max() <= 0.0477
        assert torch.allclose(row[n:], torch.tensor(math.log(FLOOR)))
    cut, frames = speech.batch(rows, 3)
    assert torch.equal(cut, found[:, :3]) and frames.tolist() == [3, 3, 3]


def test_rows_by_split_language_and_part(tmp_path: Path) -> None:
    speech = features.load(corpus_of(12), tmp_path)
    assert speech.rows("test").tolist() == [3, 7, 11]
    assert speech.rows("train", "de").tolist() == [0, 9] and speech.rows("val", part="nowhere").tolist() == []
    assert speech.longest("test") == features.frames_of(500 + 37 * 11) and speech.longest("nothing") == 0
    assert speech.hours("test") == pytest.approx(float(speech.frames[[3, 7, 11]].sum()) * 0.01 / 3600)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_on_a_gpu_are_those_of_the_cpu(tmp_path: Path) -> None:
    here, there = (features.load(corpus_of(12), tmp_path, device) for device in ("cpu", "cuda"))
    rows = torch.tensor([3, 4, 5])
    torch.testing.assert_close(there.batch(rows, 9)[0].cpu(), here.batch(rows, 9)[0], atol=1e-5, rtol=0)
