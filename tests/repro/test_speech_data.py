"""What a run takes of a corpus: transcripts end to end, pieces of words, what is measured, and sound drawn out."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from repro.speech_llama import corpora, data, features, measure
from repro.speech_llama.audio import RATE
from repro.speech_llama.config import PAPER, Config
from repro.speech_llama.data import Packed, load
from repro.speech_llama.features import FLOOR, drawn_out, from_bytes
from repro.speech_llama.model import warped
from repro.speech_llama.normalise import Errors, interval, paired_interval
from repro.speech_llama.utterances import Corpus, Utterance
from repro.speech_llama.vocabulary import units_from, units_of

torch.set_num_threads(1)
CPU = torch.device("cpu")
TEXTS = [
    "the quiet reader turned a page",
    "a page of the quiet book",
    "łódź and zürich, são paulo",
    "the reader turned",
]


# ---- transcripts


def test_transcripts_end_to_end_are_padded_rows():
    rows = [[3, 3, 1], [], [1, 2, 2, 2], [2]]
    packed = Packed(rows)
    found, counts = packed.take(torch.tensor([2, 0, 1]))
    assert found.tolist() == [[1, 2, 2, 2], [3, 3, 1, 0], [0, 0, 0, 0]] and counts.tolist() == [4, 3, 0]
    assert found.dtype == torch.int64 and packed.most == 4
    assert packed.twice().tolist() == [1, 0, 2, 0]  # 1 after 1 and 2 after 2 are of two transcripts


@pytest.mark.parametrize("kind", ["words", "chars", "subwords"])
def test_units_say_a_text_again_and_are_kept_as_json(kind):
    units = units_of(TEXTS, kind, 300)
    for text in TEXTS:
        tokens = units.encode(text)
        assert max(tokens) < units.count == units.bos == units.eos - 1 == units.size - 2
        assert units.decode([*tokens, units.eos]) == text
        assert units_from(units.facts()).encode(text) == tokens
    assert units.encode("") == []


def test_pieces_of_words_fit_where_characters_do_not():
    """At the paper's 80 ms a step: 14 characters a second exceed 12.5 steps, a few pieces do not."""
    texts = [f"{a} {b} about everything" for a in ("somebody", "nobody", "anybody") for b in ("talked", "wrote")] * 4
    config = replace(Config(), stride=PAPER.stride, batch_size=4, decoder="random", n_subwords=300)

    def held(units: str) -> data.Split:
        given = replace(config, units=units)
        vocabulary = units_of(texts, given.units, given.n_subwords)
        spoken = [Utterance(str(i), t, "a", "train", "train", "", "", lambda: np.zeros(0)) for i, t in enumerate(texts)]
        frames = torch.tensor([int(100 * len(t) / 14) for t in texts])
        levels = torch.zeros(int(frames.sum()), 80, dtype=torch.uint8)
        heard = features.Speech(levels, frames.cumsum(0) - frames, frames, texts, spoken, "talk", CPU)
        split = data.Split(heard, heard.rows("train"), vocabulary, vocabulary)
        data._check_ctc(given, split)
        return split

    with pytest.raises(ValueError, match="24 of 24 utterances have more chars than steps of 80 ms"):
        held("chars")
    assert held("subwords").units.most < 10
    assert PAPER.units == "subwords"


# ---- what is measured


def noise(seed: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(RATE // 4)).astype(np.float32)


@pytest.fixture
def libri(monkeypatch, tmp_path):
    parts = [
        ("train", "train-clean-100", 8),
        ("val", "dev-other", 2),
        ("test", "test-clean", 3),
        ("test", "test-other", 5),
    ]
    spoken = [
        Utterance(f"{part}-{i}", f"word {part}", f"{part}{i}", split, part, "en", "", lambda i=i: noise(i), "Opus")
        for split, part, n in parts
        for i in range(n)
    ]
    monkeypatch.setattr(corpora, "corpus", lambda source, seed: Corpus("Libri", spoken))
    monkeypatch.setattr(features, "CACHE", tmp_path)
    return Config(data="librispeech:x", units="words", decoder="random", batch_size=4, stride=4)


def test_what_is_measured_is_a_split_or_a_part_of_it(libri):
    assert len(load(libri, CPU).test) == 8
    assert set(load(replace(libri, test="test-other"), CPU).test.texts) == {"word test other"}
    assert set(load(replace(libri, test="val"), CPU).test.parts) == {"dev-other"}
    for name in ("train", "train-clean-100", "nothing"):
        with pytest.raises(ValueError, match=f"no '{name}' to test with; --test may be test, val, dev-other, test-cle"):
            load(replace(libri, test=name), CPU)


def test_parts_that_are_measured_together_are_told_apart_too(libri):
    split = load(libri, CPU).test
    said = [t if part == "test-clean" else "word" for t, part in zip(split.texts, split.parts, strict=True)]
    found = measure.rated("", split, said)
    assert found["wer_test_clean"] == 0 and found["wer_test_other"] == pytest.approx(2 / 3)
    assert found["wer"] == pytest.approx(10 / 24)
    assert "wer_en" not in found  # one language


def test_what_was_coded_with_loss_is_called_a_copy(libri):
    assert load(libri, CPU).name.startswith("Libri (Opus copies), 18 utterances")


def test_intervals_are_drawn_over_speakers_where_there_are_enough(libri):
    split = load(libri, CPU).test
    assert measure.voices(split) == split.speakers  # eight, each with one utterance
    split.speakers = ("a", "b") * 4
    assert len(set(measure.voices(split))) == 8  # two are too few to draw from
    # ten speakers, five of whom are never understood
    who = [str(i // 20) for i in range(200)]
    errors = Errors(np.array([10 * (i // 20 % 2) for i in range(200)]), np.full(200, 10))
    alone, by_speaker = interval(errors), interval(errors, who)
    assert by_speaker[1] - by_speaker[0] > 3.5 * (alone[1] - alone[0])
    better = Errors(errors.edits // 2, errors.length)
    wide, narrow = paired_interval(errors, better, who), paired_interval(errors, better)
    assert wide[1] - wide[0] > 3.5 * (narrow[1] - narrow[0])
    with pytest.raises(ValueError, match="2 names of groups for 200 utterances"):
        interval(errors, ["a", "b"])


# ---- sound drawn out, and voices changed


def test_sound_is_drawn_out_between_its_ends():
    x = torch.arange(12.0)[None, :, None].expand(2, 12, 3).clone()
    found = drawn_out(x, torch.tensor([6, 9]), torch.tensor([11, 5]))
    torch.testing.assert_close(found[0, :11, 0], torch.linspace(0, 5, 11))  # at half the speed
    torch.testing.assert_close(found[1, :5, 0], torch.linspace(0, 8, 5))
    assert (found[0, 11:] == math.log(FLOOR)).all() and (found[1, 5:] == math.log(FLOOR)).all()
    same = drawn_out(x, torch.tensor([6, 9]), torch.tensor([6, 9]))
    torch.testing.assert_close(same[1, :9], x[1, :9])


def test_a_batch_that_is_drawn_out_stays_as_wide(libri):
    split = load(libri, CPU).train
    rows, own = torch.tensor([0, 1, 2]), split.lengths[0]
    plain, frames = split.take(rows, 64)
    assert frames.tolist() == [own] * 3
    changed, frames = split.take(rows, 64, torch.tensor([1.0, 0.5, 4.0]))
    assert changed.shape == plain.shape and frames.tolist() == [own, round(own / 2), 64]
    torch.testing.assert_close(changed[0], plain[0])
    torch.testing.assert_close(changed[2, 63], plain[2, own - 1])


def test_levels_of_the_host_are_those_of_the_cache(libri):
    split = load(libri, CPU).test
    x, frames = split.take(torch.tensor([4, 0]), 40)
    begin = int(split.heard.starts[split.rows[4]])
    torch.testing.assert_close(x[0, : frames[0]], from_bytes(split.heard.levels[begin : begin + int(frames[0])]))
    assert (x[0, frames[0] :] == math.log(FLOOR)).all()


def test_a_changed_vocal_tract_moves_what_is_heard_along_the_mel_scale():
    torch.manual_seed(0)
    x = torch.zeros(400, 1, 80)
    x[:, :, 40] = 1.0  # a tone
    found = warped(x, 0.1)[:, 0]
    at = (found * torch.arange(80)).sum(1) / found.sum(1)
    assert 2 < at.max() - 40 < 6 and 2 < 40 - at.min() < 6 and abs(at.mean() - 40) < 0.5
    torch.testing.assert_close(warped(x, 0.0), x)
    torch.testing.assert_close(warped(torch.full((3, 2, 80), 7.0), 0.2), torch.full((3, 2, 80), 7.0))


def test_a_corpus_has_its_coding_from_its_files(tmp_path: Path):
    soundfile = pytest.importorskip("soundfile", reason="the speech extra is not installed")
    (tmp_path / "wavs").mkdir()
    for name, kind in (("a", "opus"), ("b", "wav")):
        rate, given = 16_000, {"format": "OGG", "subtype": "OPUS"} if kind == "opus" else {}
        soundfile.write(tmp_path / "wavs" / f"{name}.{kind}", noise(0), rate, **given)
    (tmp_path / "metadata.csv").write_text("a|x|x\nb|y|y\n")
    assert corpora.corpus(f"lj:{tmp_path}").copies == " (Opus copies)"
