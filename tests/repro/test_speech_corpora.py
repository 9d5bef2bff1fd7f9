"""Readers of public corpora on small ones in the real layouts, and what they say where something is amiss."""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import wavfile

from repro.speech_llama import audio, digits
from repro.speech_llama.corpora import corpus
from repro.speech_llama.utterances import Corpus, held_out

soundfile: Any = pytest.importorskip("soundfile", reason="the speech extra is not installed")


def sound(seed: int, seconds: float = 0.2, rate: int = 16_000) -> np.ndarray:
    """A few partials: int16, and unlike any other seed's."""
    t = np.arange(int(seconds * rate)) / rate
    tones = np.random.default_rng(seed).uniform(100, 1500, 3)
    return np.asarray(np.sin(2 * np.pi * tones[:, None] * t).sum(0) * 4000, np.int16)


def put(path: Path, seed: int, rate: int = 16_000, **kw: Any) -> np.ndarray:
    """A file of sound in the format that its name asks for; what it should be read as, at its own rate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = sound(seed, rate=rate)
    if path.suffix == ".raw":
        path.write_bytes(wave.astype(kw.get("order", ">i2")).tobytes())
    else:
        kind = {".sph": ("NIST", "PCM_16"), ".opus": ("OGG", "OPUS")}.get(path.suffix, (None, None))
        soundfile.write(path, wave, rate, format=kind[0], subtype=kind[1])
    return wave / np.float32(32768)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def told(found: Corpus) -> list[tuple[str, ...]]:
    return [(one.id, one.text, one.speaker, one.split, one.part, one.language) for one in found.utterances]


# ---- sound


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_wav_is_read_without_soundfile_as_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtype: str
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sound(0) / 32768, 8000, subtype=subtype)
    theirs, rate = soundfile.read(path, dtype="float32")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    ours, found = audio.read(path)
    assert found == rate == 8000 and ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-7)


def test_other_kinds_ask_for_soundfile_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.flac", 0)
    soundfile.write(tmp_path / "law.wav", sound(0) / 32768, 8000, subtype="ULAW")
    assert len(audio.read(tmp_path / "law.wav")[0]) == 3200
    monkeypatch.setitem(sys.modules, "soundfile", None)
    for name in ("a.flac", "law.wav"):
        with pytest.raises(ValueError, match=rf"{name}: only plain wav .* soundfile: pip install soundfile$"):
            audio.read(tmp_path / name)


@pytest.mark.parametrize("order", ["<i2", ">i2"])
def test_headerless_sound_is_read_in_its_own_byte_order(tmp_path: Path, order: str) -> None:
    expected = put(tmp_path / "a.raw", 3, order=order)
    assert np.array_equal(audio.load(tmp_path / "a.raw"), expected)


def test_channels_are_averaged_and_rates_converted(tmp_path: Path) -> None:
    t = np.arange(8000) / 8000
    left = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", np.stack([left, 0 * left], 1), 8000, subtype="FLOAT")
    found = audio.load(tmp_path / "a.wav")
    expected = 0.25 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert len(found) == 16_000
    np.testing.assert_allclose(found[500:-500], expected[500:-500], atol=2e-3)
    assert len(audio.resample(np.zeros(22_050, np.float32), 22_050)) == 16_000


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.wav", b"", "a.wav cannot be read as sound"),
        ("a.wav", b"RIFF\x24\x00\x00\x00WAVEfmt ", "a.wav cannot be read as sound"),
        ("a.flac", b"fLaC nothing more", "a.flac cannot be read as sound"),
        ("a.opus", b"OggS", "a.opus cannot be read as sound"),
        ("a.raw", b"", "a.raw holds no sound"),
    ],
)
def test_what_is_no_sound_is_told_in_one_line(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=says) as error:
        audio.load(tmp_path / name)
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


def test_no_file_no_samples_and_no_numbers_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.wav is not there; unpack the archive again"):
        audio.load(tmp_path / "a.wav")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    with pytest.raises(ValueError, match=r"empty\.wav holds no sound"):
        audio.load(tmp_path / "empty.wav")
    soundfile.write(tmp_path / "nan.wav", np.full(9, np.nan), 16_000, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"nan\.wav holds samples that are no numbers"):
        audio.load(tmp_path / "nan.wav")


# ---- AN4


def an4(home: Path, kind: str = ".sph", **kw: Any) -> dict[str, np.ndarray]:
    """What the archive unpacks to: test transcripts have no <s> there. Returns each utterance's sound."""
    parts = {
        "train": [("fash", 251, "YES"), ("fash", 253, "GO"), ("mmap", 7, "RUBOUT T G J")],
        "test": [("fcaw", 406, "ENTER SIX")],
    }
    found = {}
    for part, rows in parts.items():
        folder = "an4_clstk" if part == "train" else "an4test_clstk"
        ids = [f"an{n}-{speaker}-b" for speaker, n, _ in rows]
        for (speaker, n, _), name in zip(rows, ids, strict=True):
            found[name] = put(home / "wav" / folder / speaker / f"{name}{kind}", n, **kw)
        lines = [f"{text} ({name})" for (_, _, text), name in zip(rows, ids, strict=True)]
        lines = [line.replace(" (", " </s> (").join(("<s> ", "")) if part == "train" else line for line in lines]
        write(home / "etc" / f"an4_{part}.transcription", "\n".join(lines) + "\n")
        places = [f"{folder}/{speaker}/{name}" for (speaker, _, _), name in zip(rows, ids, strict=True)]
        write(home / "etc" / f"an4_{part}.fileids", "\n".join(places) + "\n")
    (home / "wav" / "an4_clstk" / "fash" / "._an251-fash-b.wav").write_bytes(b"left by another system")
    return found


@pytest.mark.parametrize(
    ("kind", "kw"), [(".sph", {}), (".raw", {"order": ">i2"}), (".raw", {"order": "<i2"}), (".wav", {})]
)
def test_an4_of_each_archive(tmp_path: Path, kind: str, kw: dict[str, str]) -> None:
    sounds = an4(tmp_path / "an4", kind, **kw)
    found = corpus(f"an4:{tmp_path}")
    assert told(found) == told(corpus(f"an4:{tmp_path / 'an4'}"))
    assert [row[:3] for row in told(found)] == [
        ("an251-fash-b", "YES", "fash"), ("an253-fash-b", "GO", "fash"), ("an7-mmap-b", "RUBOUT T G J", "mmap"),
        ("an406-fcaw-b", "ENTER SIX", "fcaw"),
    ]  # fmt: skip
    for one in found.utterances:
        assert np.array_equal(one.audio(), sounds[one.id])


def test_an4s_test_set_is_the_official_one_and_speakers_are_held_out_whole(tmp_path: Path) -> None:
    home = tmp_path / "an4"
    an4(home)
    names = [f"an{i}-m{i % 40:03}-b" for i in range(200)]
    for i, name in enumerate(names):
        put(home / "wav" / "an4_clstk" / f"m{i % 40:03}" / f"{name}.raw", i, rate=400)
    write(home / "etc" / "an4_train.fileids", "\n".join(f"an4_clstk/{n.split('-')[1]}/{n}" for n in names))
    write(home / "etc" / "an4_train.transcription", "\n".join(f"<s> NO </s> ({n})" for n in names))
    for left in (home / "wav" / "an4_clstk").rglob("*.sph"):
        left.unlink()
    found = corpus(f"an4:{home}")
    splits = {
        one.speaker: {two.split for two in found.utterances if two.speaker == one.speaker} for one in found.utterances
    }
    assert all(len(of) == 1 for of in splits.values()) and splits["fcaw"] == {"test"}
    assert 1 <= sum(of == {"val"} for of in splits.values()) <= 6


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda p: (p / "etc/an4_test.fileids").unlink(), r"an4_test\.fileids is not there; name the folder"),
        (lambda p: (p / "wav/an4_clstk/fash/an253-fash-b.sph").unlink(),
         r"an4_train\.fileids:2: an253-fash-b has no sound in .*wav \(1 like it\); unpack the archive again"),
        (lambda p: put(p / "wav/an4_clstk/fash/extra.sph", 1), r"extra\.sph has no transcript in .*an4_train\.fileids"),
        (lambda p: write(p / "etc/an4_test.transcription", "ENTER SIX\n"),
         r"an4_test\.transcription:1: no utterance id in parentheses"),
        (lambda p: write(p / "etc/an4_test.transcription", "A (x)\n\nENTER SIX (an406-fcaw-b)\n"),
         r"an4_test\.transcription:1: x is not in .*an4_test\.fileids"),
        (lambda p: write(p / "etc/an4_test.fileids", "\nan4test_clstk/fcaw/other\n"),
         r"an4_test\.fileids:2: other is not in .*an4_test\.transcription"),
        (lambda p: write(p / "etc/an4_test.transcription", "A (an406-fcaw-b)\nB (an406-fcaw-b)\n"),
         r"an4_test\.transcription:2: an406-fcaw-b stands in line 1 already"),
        (lambda p: (p / "etc/an4_test.transcription").write_bytes(b"\xff\xfe"), r"is not UTF-8 text"),
    ],
)  # fmt: skip
def test_what_is_amiss_in_an4_is_told_with_its_line(tmp_path: Path, harm: Callable[[Path], Any], says: str) -> None:
    an4(tmp_path)
    harm(tmp_path)
    with pytest.raises(ValueError, match=says) as error:
        corpus(f"an4:{tmp_path}")
    assert "\n" not in str(error.value)


# ---- digits


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(digits, "SIZES", {"train": 60, "val": 20, "test": 30})
    for speaker, name in enumerate(("ann", "bob", "cid", "dee")):
        for digit in range(10):
            for index in (0, 4, 5, 17):
                put(tmp_path / "recordings" / f"{digit}_{name}_{index}.wav", 1000 * speaker + 10 * digit + index, 8000)
    return tmp_path


def test_single_digits_come_in_the_published_split(recordings: Path) -> None:
    found = corpus(f"fsdd:{recordings}")
    assert Counter(one.split for one in found.utterances) == {"train": 80, "test": 80}
    assert {one.split for one in found.utterances if one.id.endswith(("_0", "_4"))} == {"test"}
    one = next(one for one in found.utterances if one.id == "7_cid_17")
    assert (one.text, one.speaker, one.split, len(one.audio())) == ("seven", "cid", "train", 3200)


def test_connected_digits_are_clips_with_silence_between(recordings: Path) -> None:
    found = corpus(f"digits:{recordings}")
    assert Counter(one.split for one in found.utterances) == {"train": 60, "val": 20, "test": 30}
    sizes = {len(one.text.split()) for one in found.utterances}
    assert sizes == set(range(3, 9))
    clips = {path.name: audio.load(path) for path in (recordings / "recordings").iterdir()}
    for one in found.utterances[::9]:
        names = [word for word in one.stamp.split() if word.endswith(".wav")]
        gaps = [int(n) for n in one.stamp[one.stamp.index("[") + 1 : -1].split(",")]
        assert [digits.WORDS[int(name[0])] for name in names] == one.text.split()
        assert all(640 <= gap <= 3840 for gap in gaps)
        wave, at = one.audio(), 0
        for name, gap in zip(names, gaps, strict=False):
            assert not wave[at : at + gap].any()
            at += gap + len(clips[name])
            assert np.array_equal(wave[at - len(clips[name]) : at], clips[name])
        assert len(wave) == at + gaps[-1]


def test_test_speakers_are_heard_nowhere_else_and_no_clip_is_in_two_splits(recordings: Path) -> None:
    found = corpus(f"digits:{recordings}").utterances
    clips: dict[str, set[str]] = {"train": set(), "val": set(), "test": set()}
    for one in found:
        names = [word for word in one.stamp.split() if word.endswith(".wav")]
        assert {name.split("_")[1] for name in names} == {one.speaker}
        clips[one.split] |= set(names)
    held = {one.speaker for one in found if one.split == "test"}
    assert len(held) == 1 and not held & {one.speaker for one in found if one.split != "test"}
    indices = {split: {name.rpartition("_")[2] for name in names} for split, names in clips.items()}
    assert indices == {
        "train": {"5.wav", "17.wav"},
        "val": {"0.wav", "4.wav"},
        "test": {f"{i}.wav" for i in (0, 4, 5, 17)},
    }


def test_connected_digits_are_a_function_of_the_seed(recordings: Path) -> None:
    first, again = (told(corpus(f"digits:{recordings}", seed=3)) for _ in range(2))
    others = [corpus(f"digits:{recordings}", seed=seed) for seed in range(3, 12)]
    assert first == again and len({str(told(one)) for one in others}) == len(others)
    assert len({one.speaker for of in others for one in of.utterances if one.split == "test"}) > 1


def test_three_seeds_test_every_speaker_once(recordings: Path) -> None:
    for digit in range(10):
        for speaker, name in enumerate(("eva", "fay")):
            put(recordings / "recordings" / f"{digit}_{name}_7.wav", 5000 + 10 * speaker + digit, 8000)
    held = [
        frozenset(one.speaker for one in corpus(f"digits:{recordings}", seed=seed).utterances if one.split == "test")
        for seed in range(4)
    ]
    assert [len(of) for of in held] == [2] * 4 and len(frozenset.union(*held[:3])) == 6 and held[3] == held[0]


def test_digits_that_are_none_are_told(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    with pytest.raises(ValueError, match="holds no DIGIT_SPEAKER_INDEX.wav"):
        corpus(f"fsdd:{tmp_path}")
    put(tmp_path / "recordings" / "1_ann_7.wav", 1)
    with pytest.raises(ValueError, match="holds one speaker, ann; to hold one out takes two"):
        corpus(f"digits:{tmp_path}")
    put(tmp_path / "recordings" / "one.wav", 1)
    with pytest.raises(ValueError, match=r"one\.wav: its name is not DIGIT_SPEAKER_INDEX\.wav; take it away"):
        corpus(f"fsdd:{tmp_path}")


# ---- LJ Speech


def test_lj_speech(tmp_path: Path) -> None:
    home = tmp_path / "LJSpeech-1.1"
    rows = [(f"LJ001-{i:04}", f"Dr. {i}", f"Doctor {i}") for i in range(200)]
    for i, (name, _, _) in enumerate(rows):
        put(home / "wavs" / f"{name}.wav", i, 2205)
    write(home / "metadata.csv", "".join(f"{'|'.join(row)}\n" for row in rows))
    found = corpus(f"lj:{tmp_path}")
    assert [one.text for one in found.utterances[:2]] == ["Doctor 0", "Doctor 1"]
    assert Counter(one.split for one in found.utterances).keys() == {"train", "val", "test"}
    assert 8 <= sum(one.split == "test" for one in found.utterances) <= 32
    assert len(found.utterances[0].audio()) == 3200
    write(home / "metadata.csv", "LJ001-0000|only\nLJ001-0001\n")
    with pytest.raises(ValueError, match=r"metadata\.csv:2: 1 columns where id\|text\|normalised text is expected"):
        corpus(f"lj:{home}")


def test_held_out_is_about_the_share_that_is_asked_for() -> None:
    splits = Counter(held_out(f"name {i}", 0.1, 0.05) for i in range(4000))
    assert abs(splits["test"] - 400) < 60 and abs(splits["val"] - 200) < 45


# ---- LibriSpeech and its multilingual kin


def libri(home: Path) -> None:
    for part, speaker, chapter in (
        ("train-clean-100", 19, 198),
        ("dev-other", 116, 288046),
        ("test-other", 367, 130732),
    ):
        folder = home / part / str(speaker) / str(chapter)
        for i in range(2):
            put(folder / f"{speaker}-{chapter}-{i:04}.flac", speaker + i)
        rows = [f"{speaker}-{chapter}-{i:04} CHAPTER {('ONE', 'TWO')[i]}'S END" for i in range(2)]
        write(folder / f"{speaker}-{chapter}.trans.txt", "\n".join(rows) + "\n")
    write(home / "SPEAKERS.TXT", "; none of these\n")


def test_librispeech(tmp_path: Path) -> None:
    libri(tmp_path / "LibriSpeech")
    found = corpus(f"librispeech:{tmp_path}")
    assert found.name == "LibriSpeech dev-other+test-other+train-clean-100"
    assert told(found)[0] == ("116-288046-0000", "CHAPTER ONE'S END", "116", "val", "dev-other", "en")
    assert {one.part: one.split for one in found.utterances} == {
        "train-clean-100": "train", "dev-other": "val", "test-other": "test",
    }  # fmt: skip
    assert np.array_equal(found.utterances[1].audio(), sound(117) / np.float32(32768))
    alone = corpus(f"librispeech:{tmp_path / 'LibriSpeech' / 'test-other'}")
    assert [one.id for one in alone.utterances] == ["367-130732-0000", "367-130732-0001"]


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda p: (p / "19-198-0001.flac").unlink(), r"19-198\.trans\.txt:2: 19-198-0001 has no sound"),
        (lambda p: put(p / "19-198-0009.flac", 1), r"19-198-0009\.flac has no transcript in .*19-198\.trans\.txt"),
        (lambda p: (p / "19-198.trans.txt").unlink(), r"19-198\.trans\.txt is not there"),
        (lambda p: write(p / "19-198.trans.txt", "19-198-0000\n"), r"19-198\.trans\.txt:1: 19-198-0000 has no words"),
    ],
)
def test_what_is_amiss_in_librispeech_is_told(tmp_path: Path, harm: Callable[[Path], Any], says: str) -> None:
    libri(tmp_path)
    harm(tmp_path / "train-clean-100" / "19" / "198")
    with pytest.raises(ValueError, match=says):
        corpus(f"librispeech:{tmp_path}")


def mls(home: Path, kind: str) -> None:
    for part in ("train", "dev", "test"):
        names = [f"{speaker}_{book}_{i:06}" for speaker, book, i in ((10, 7, 0), (10, 7, 1), (22, 9, 0))]
        for i, name in enumerate(names):
            speaker, book, _ = name.split("_")
            put(home / part / "audio" / speaker / book / f"{name}{kind}", i)
        rows = [f"{name}\tgr\u00fc\u00dfe d'{part} {name[-1]}" for name in names]
        write(home / part / "transcripts.txt", "\n".join(rows) + "\n")
        write(home / part / "segments.txt", "not read\n")
    write(home / "metainfo.txt", "not read\n")


@pytest.mark.parametrize(("suffix", "kind"), [("", ".flac"), ("_opus", ".opus")])
def test_multilingual_librispeech(tmp_path: Path, suffix: str, kind: str) -> None:
    mls(tmp_path / f"mls_german{suffix}", kind)
    mls(tmp_path / f"mls_polish{suffix}", kind)
    found = corpus(f"mls:{tmp_path}")
    assert found.name == "Multilingual LibriSpeech de+pl" and len(found.utterances) == 18
    assert told(found)[3] == ("10_7_000000", "gr\u00fc\u00dfe d'dev 0", "10", "val", "dev", "de")
    assert Counter((one.language, one.split) for one in found.utterances)["pl", "test"] == 3
    wave = found.utterances[2].audio()
    assert len(wave) == 3200
    assert np.corrcoef(wave, sound(2))[0, 1] > (0.98 if suffix else 0.9999)
    one = corpus(f"mls:{tmp_path / f'mls_polish{suffix}'}")
    assert {u.language for u in one.utterances} == {"pl"}


def test_what_is_amiss_in_multilingual_librispeech_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no mls_LANGUAGE folder; LANGUAGE is one of english, german"):
        corpus(f"mls:{tmp_path}")
    home = tmp_path / "mls_dutch"
    home.mkdir()
    with pytest.raises(ValueError, match=r"mls_dutch has none of train/, dev/, test/"):
        corpus(f"mls:{tmp_path}")
    mls(home, ".flac")
    write(home / "dev" / "transcripts.txt", "10_7_000000 no tab\n")
    with pytest.raises(ValueError, match=r"dev/transcripts\.txt:1: no SPEAKER_BOOK_NUMBER, tab, words"):
        corpus(f"mls:{home}")


# ---- Hugging Face


def cell(seed: int, kind: str = "FLAC") -> dict[str, Any]:
    file = io.BytesIO()
    soundfile.write(file, sound(seed, rate=8000), 8000, format=kind)
    return {"bytes": file.getvalue(), "path": f"{seed}.flac"}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset as the hub has them: parquet with a column of audio, whose type stands in the schema's metadata."""
    datasets, pyarrow = pytest.importorskip("datasets"), pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    features = datasets.Features(
        {"audio": datasets.Audio(16_000), "transcript": datasets.Value("string"), "speaker_id": datasets.Value("int64")}
    )
    home = tmp_path / "polish"
    home.mkdir()
    for split, seeds in (("train", (0, 1, 2)), ("validation", (3,)), ("test", (4,))):
        rows = {
            "audio": [cell(s) for s in seeds],
            "transcript": [f"s\u0142owo {s}" for s in seeds],
            "speaker_id": list(seeds),
        }
        table = pyarrow.Table.from_pydict(rows, schema=features.arrow_schema)
        parquet.write_table(table, home / f"{split}-00000-of-00001.parquet")
    return home


def test_a_dataset_in_the_real_format(hub: Path) -> None:
    found = corpus(f"hf:{hub}")
    assert found.name == "polish"
    assert told(found)[0] == ("train-0", "s\u0142owo 0", "0", "train", "train", "pl")
    assert [one.split for one in found.utterances] == ["train", "train", "train", "val", "test"]
    expected = audio.resample(sound(4, rate=8000) / np.float32(32768), 8000)
    assert np.array_equal(found.utterances[-1].audio(), expected)


def test_parts_of_a_dataset_that_are_no_split_are_left_out(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Common Voice has other and invalidated: they are not to be trained on."""
    (hub / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n"
        + "".join(f"  - split: {s}\n    path: {f}-*.parquet\n" for s, f in
                  (("train", "train"), ("test.other", "test"), ("invalidated", "validation")))
        + "---\n"
    )  # fmt: skip
    found = corpus(f"hf:{hub}")
    assert [(one.split, one.part) for one in found.utterances] == [("train", "train")] * 3 + [("test", "test.other")]
    assert "invalidated is left out" in capsys.readouterr().err


def test_a_dataset_without_sound_or_words_says_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    (tmp_path / "plain").mkdir()
    write(tmp_path / "plain" / "train.jsonl", '{"line": "a"}\n')
    with pytest.raises(ValueError, match=r"\(train\) needs a column of type Audio and one of text, .*; it has line"):
        corpus(f"hf:{tmp_path / 'plain'}")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="^hf:nobody/nothing-here: .") as error:
        corpus("hf:nobody/nothing-here")
    assert "\n" not in str(error.value)


def test_without_the_library_a_dataset_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match="^hf:some/name needs the library datasets: pip install datasets soundfile$"):
        corpus("hf:some/name")


# ---- sources


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("", "'' names no corpus; write KIND:PLACE with one of an4, fsdd"),
        ("data/an4", "'data/an4' names no corpus"),
        ("an4", "'an4': nothing is no folder"),
        ("lj:/no/such/place", "'lj:/no/such/place': /no/such/place is no folder; name the one"),
    ],
)
def test_a_source_that_names_nothing_is_told(source: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        corpus(source)


def test_a_stamp_follows_its_file(tmp_path: Path) -> None:
    for i in range(2):
        put(tmp_path / "wavs" / f"a{i}.wav", i)
    write(tmp_path / "metadata.csv", "a0|x|x\na1|y|y\n")
    before = [one.stamp for one in corpus(f"lj:{tmp_path}").utterances]
    wavfile.write(tmp_path / "wavs" / "a1.wav", 16_000, sound(9, 0.3))
    after = [one.stamp for one in corpus(f"lj:{tmp_path}").utterances]
    assert before[0] == after[0] and before[1] != after[1]
