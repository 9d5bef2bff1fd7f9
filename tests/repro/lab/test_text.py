"""Text from every source, counted to the byte and the token, in files of the real formats."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import os
import random
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.lab import text, tokenizers
from repro.lab.corpus import Corpus
from repro.lab.data import batch_indices, my_share
from repro.lab.documents import END, documents
from repro.lab.text import load

torch.set_num_threads(1)
ROOT = Path(__file__).parents[3]
STRANGE = f"Grüße, 世界 \U0001f600\x00\r\n\t {END} <|im_start|> \u0301 \ufeff"
WORDS = ("the", "cat", "sat", "on", "a", "mat", "while", "rain", "fell", "and", "nobody", "counted", "tokens")


def prose(seed: int, words: int = 40) -> str:
    rng = random.Random(seed)
    return f"Title {seed}\n" + " ".join(rng.choice(WORDS) for _ in range(words))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """200 documents in files of several kinds, without a split."""
    home = tmp_path / "texts"
    (home / "sub").mkdir(parents=True)
    (home / "a.txt").write_text(END.join(prose(i) for i in range(100)), "utf-8")
    rows = "\n".join(json.dumps({"text": prose(i), "id": i}) for i in range(100, 150))
    (home / "b.jsonl.bz2").write_bytes(bz2.compress(rows.encode()))
    (home / "sub" / "c.md.gz").write_bytes(gzip.compress(END.join(prose(i) for i in range(150, 200)).encode()))
    return home


@pytest.fixture
def split_folder(tmp_path: Path) -> Path:
    home = tmp_path / "parts"
    home.mkdir()
    (home / "x_train_00.txt").write_text(END.join(["one", "two", "held", "three"]), "utf-8")
    (home / "x_train_01.txt.bz2").write_bytes(bz2.compress(b"four"))
    (home / "x_val_a.txt").write_text("held" + END + "out", "utf-8")
    (home / "readme.md").write_text("not for training", "utf-8")
    return home


@pytest.fixture(scope="session")
def bpe() -> tokenizers.Tokenizer:
    return tokenizers.train((prose(i) for i in range(50)), 300)


def of(tokens: torch.Tensor) -> list[int]:
    return [int(t) for t in tokens.long()]


def splits(source: Path, cache: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"train": [], "val": []}
    for split, one in Corpus(str(source), cache):
        found[split].append(one)
    return found


# ---- documents


def test_a_folders_documents_come_by_path_and_as_they_are(folder: Path) -> None:
    assert list(documents(str(folder))) == [prose(i) for i in range(200)]


def test_every_byte_of_a_document_is_kept_and_blank_ones_are_not_documents(tmp_path: Path) -> None:
    one = STRANGE.replace(END, "")
    (tmp_path / "a.txt").write_bytes(f"{one}{END} \n {END}{END}last\r\n".encode())
    assert list(documents(str(tmp_path))) == [one, "last\r\n"]


def test_ends_across_the_blocks_of_a_file_are_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (1, 7, 13):
        monkeypatch.setattr("repro.lab.documents._BLOCK", size)
        assert list(documents(str(folder))) == [prose(i) for i in range(200)]


def test_a_program_that_speaks_of_the_end_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"END = '{END}'\n", "utf-8")
    assert list(documents(str(tmp_path))) == [f"END = '{END}'\n"]


def test_hidden_files_and_other_kinds_are_left_alone(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "x.txt").write_text("no")
    (folder / ".y.md").write_text("no")
    (folder / "table.csv").write_text("no")
    assert len(list(documents(str(folder)))) == 200


def test_one_file_is_a_source(folder: Path) -> None:
    assert list(documents(str(folder / "b.jsonl.bz2"))) == [prose(i) for i in range(100, 150)]


def test_half_a_surrogate_pair_in_json_becomes_the_replacement_character(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a\\ud83d b"}\n\n{"text": "\\ud83d\\ude00"}\n')
    assert list(documents(str(tmp_path))) == ["a\ufffd b", "\U0001f600"]


def test_pythons_library_is_programs_without_tests_within_its_bound() -> None:
    found = list(documents("python", 600_000))
    size = sum(len(one.encode()) for one in found)
    assert 400_000 < size <= 600_000 and found == list(documents("python", 600_000))
    more = list(documents("python", 900_000))
    assert more[: len(found)] == found and len(more) > len(found)
    compiled = [compile(one, "x", "exec", flags=1024) for one in found]  # 1024: to a tree only
    assert len(compiled) > 20


@pytest.mark.parametrize(
    ("name", "contents", "says"),
    [
        ("a.txt", b"\xff\xfe", "is not UTF-8"),
        ("a.jsonl", b'{"text": "x"}\n{"body": "y"}', "line 2 has no field text"),
        ("a.jsonl", b'{"text": "x"}\n\n{oops', "line 3 is no JSON"),
        ("a.txt.bz2", b"not packed at all", "a.txt.bz2"),
        ("a.txt.bz2", bz2.compress(b"cut off" * 999)[:-9], "a.txt.bz2"),
        ("a.txt.gz", gzip.compress(random.Random(0).randbytes(999))[:-99], "a.txt.gz"),
        ("a.csv", b"x", "holds no text"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(tmp_path: Path, name: str, contents: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(ValueError, match=says) as error:
        list(documents(str(tmp_path)))
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


def test_a_source_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no text at '.*/nowhere': name a file, a folder"):
        load(str(tmp_path / "nowhere"), cache=tmp_path / "cache")
    with pytest.raises(ValueError, match="hold no file of Python's library"):
        load("python", cache=tmp_path / "cache", python_bytes=3)


# ---- Hugging Face datasets


def test_without_the_library_a_dataset_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)  # makes its import fail
    with pytest.raises(ValueError, match="^hf:some/name needs the library datasets: pip install datasets$"):
        list(documents("hf:some/name"))


def test_a_dataset_in_the_real_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets, pyarrow = pytest.importorskip("datasets"), pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    home = tmp_path / "mine"
    home.mkdir()
    rows = {"title": ["t"] * 4, "text": ["one", "", "two", "held"]}
    held = {"title": ["v"] * 2, "text": ["held", STRANGE]}
    for name, columns in (("train", rows), ("validation", held)):
        parquet.write_table(pyarrow.table(columns), home / f"{name}-00000-of-00001.parquet")
    assert list(documents(f"hf:{home}")) == ["held", STRANGE, "one", "two", "held"]
    tokens, tokenizer = load(f"hf:{home}", "bytes", cache=tmp_path / "cache")
    assert tokenizer.decode(of(tokens.train)) == f"one{END}two{END}"
    assert of(tokens.val) == [*b"held", 256, *STRANGE.encode(), 256]
    assert tokens.name.startswith("mine, 0.0 MB, sha256 ") and str(tmp_path) not in tokens.name
    again, _ = load(f"hf:{home}", "bytes", cache=tmp_path / "cache")
    assert again.name == tokens.name and len(list((tmp_path / "cache").glob("corpus-*.json"))) == 1


def test_a_dataset_without_a_split_of_its_own_or_without_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    for name, rows in (("lines", {"line": ["a", "b"], "n": [1, 2]}), ("two", {"x": ["a"], "y": ["b"]})):
        (tmp_path / name).mkdir()
        table = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
        (tmp_path / name / "train.jsonl").write_text("\n".join(map(json.dumps, table)))
    assert list(documents(f"hf:{tmp_path / 'lines'}")) == ["a", "b"]
    tokens, _ = load(f"hf:{tmp_path / 'lines'}", "bytes", cache=tmp_path / "cache")
    assert sorted([of(tokens.train), of(tokens.val)]) == [[97, 256], [98, 256]]
    with pytest.raises(ValueError, match="has no column text; its columns of text are x, y"):
        list(documents(f"hf:{tmp_path / 'two'}"))


def test_a_dataset_that_cannot_be_reached_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="^hf:nobody/nothing-here: .") as error:
        list(documents("hf:nobody/nothing-here"))
    assert "\n" not in str(error.value)


# ---- splits


def test_documents_are_held_out_by_their_hash_and_their_copies_with_them(folder: Path, tmp_path: Path) -> None:
    found = splits(folder, tmp_path / "cache")
    everything = [prose(i) for i in range(200)]
    limit = 0.02 * 2**256
    low = [one for one in everything if int(hashlib.sha256(one.encode()).hexdigest(), 16) < limit]
    assert found["val"] == low and 1 <= len(low) <= 10
    assert sorted(found["train"] + found["val"]) == sorted(everything)
    copies = END.join([low[0], "another", found["train"][0]])
    (folder / "z.txt").write_text(copies, "utf-8")
    more = splits(folder, tmp_path / "cache")
    assert more["val"].count(low[0]) == 2 and not set(more["val"]) & set(more["train"])
    assert more["train"].count(found["train"][0]) == 2


def test_of_few_documents_one_is_held_out_and_of_one_none_can_be(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(END.join(["a", "b", "c", "b"]), "utf-8")
    by_hash = sorted("abc", key=lambda one: hashlib.sha256(one.encode()).hexdigest())
    found = splits(tmp_path, tmp_path / "cache")
    assert set(found["val"]) == {by_hash[0]} and set(found["train"]) == set(by_hash[1:])
    for contents, says in (("a" + END + "a", "holds one document; to hold one out takes two"), (" ", "holds no text")):
        (tmp_path / "a.txt").write_text(contents, "utf-8")
        with pytest.raises(ValueError, match=says):
            Corpus(str(tmp_path), tmp_path / "cache")


def test_files_named_train_and_val_are_the_splits_and_what_is_held_out_is_not_trained_on(
    split_folder: Path, tmp_path: Path
) -> None:
    found = splits(split_folder, tmp_path / "cache")
    assert found == {"val": ["held", "out"], "train": ["one", "two", "three", "four"]}


def test_folders_named_train_and_val_are_the_splits(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name in ("train", "val"):
        (home / name / "deep").mkdir(parents=True)
        (home / name / "deep" / "a.txt").write_text(f"of {name}", "utf-8")
    assert splits(home, tmp_path / "cache") == {"val": ["of val"], "train": ["of train"]}
    (home / "val" / "deep" / "a.txt").write_text("\n", "utf-8")
    with pytest.raises(ValueError, match="leaves no text for val"):
        load(str(home), "bytes", cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("tokens-*.npy*"))


def test_one_mark_alone_makes_no_split(split_folder: Path, tmp_path: Path) -> None:
    (split_folder / "x_val_a.txt").unlink()
    found = splits(split_folder, tmp_path / "cache")
    assert sorted(found["train"] + found["val"]) == ["four", "held", "not for training", "one", "three", "two"]
    assert found["val"]


# ---- tokenizers


@given(st.text())
@settings(deadline=None)
def test_any_text_survives(bpe: tokenizers.Tokenizer, one: str) -> None:
    assert bpe.decode(bpe.encode(one)) == one
    assert bpe.end not in bpe.encode(one)


@given(st.text())
@settings(deadline=None)
def test_bytes_are_the_bytes(one: str) -> None:
    tokenizer = tokenizers.of_bytes()
    assert tokenizer.encode(one) == list(one.encode()) and tokenizer.decode(tokenizer.encode(one)) == one


def test_names_of_special_tokens_in_a_text_are_characters(bpe: tokenizers.Tokenizer, tmp_path: Path) -> None:
    for tokenizer in (bpe, tokenizers.of_bytes()):
        assert tokenizer.end not in tokenizer.encode(STRANGE) and tokenizer.decode(tokenizer.encode(STRANGE)) == STRANGE
        assert tokenizer.id_of(END) == tokenizer.end and tokenizer.decode([tokenizer.end]) == END
    with pytest.raises(ValueError, match="has no token <nope>"):
        bpe.id_of("<nope>")


def test_a_trained_vocabulary_has_its_size_and_learns_the_commonest_pairs(bpe: tokenizers.Tokenizer) -> None:
    assert (bpe.vocab_size, bpe.end) == (300, 0)
    assert [len(ids) for ids in bpe.encode_batch([" the", " nobody", "qqq"])] == [1, 1, 3]
    assert tokenizers.of_bytes().vocab_size == 257 and tokenizers.of_bytes().end == 256
    with pytest.raises(ValueError, match="a vocabulary of 256 is too small: 257 tokens"):
        tokenizers.train(["x"], 256)


def test_a_tokenizer_is_read_from_a_file_packed_or_not(bpe: tokenizers.Tokenizer, tmp_path: Path) -> None:
    said = json.loads(bpe.raw.to_str())
    said["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    (tmp_path / "t.json").write_text(json.dumps(said))
    (tmp_path / "t.json.bz2").write_bytes(bz2.compress(bpe.raw.to_str().encode()))
    for name in ("t.json", "t.json.bz2"):
        found = tokenizers.load(tmp_path / name)
        assert (found.hash, found.end, found.vocab_size) == (bpe.hash, 0, 300)
        assert found.encode(STRANGE) == bpe.encode(STRANGE) and found.name.startswith(f"{name}, 300 tokens, sha256 ")
    (tmp_path / "bad.json").write_text("{}")
    for name in ("bad.json", "none.json"):
        with pytest.raises(ValueError, match=f"{name} is no tokenizer.json that can be read") as error:
            tokenizers.load(tmp_path / name)
        assert "\n" not in str(error.value)


def test_a_tokenizer_without_an_end_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    Tokenizer(models.BPE({"a": 0}, [])).save(str(tmp_path / "t.json"))
    with pytest.raises(ValueError, match="has no token to end a document"):
        tokenizers.load(tmp_path / "t.json")
    Tokenizer(models.BPE({"a": 0, "b": 1, "</s>": 2}, [])).save(str(tmp_path / "t.json"))
    assert tokenizers.load(tmp_path / "t.json").end == 2


# ---- packing


def test_packing_is_the_documents_one_after_the_other(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "_BATCH", 700)  # so that there are many batches
    tokens, tokenizer = load(str(folder), vocab_size=300, cache=tmp_path / "cache")
    for split, row in (("train", tokens.train), ("val", tokens.val)):
        texts = splits(folder, tmp_path / "cache")[split]
        assert of(row) == [t for one in texts for t in [*tokenizer.encode(one), 0]]
        assert tokenizer.decode(of(row)) == "".join(one + END for one in texts)
    assert tokens.train.dtype == torch.uint16
    held = splits(folder, tmp_path / "cache")["val"]
    assert tokens.bytes_per_token == sum(len(one.encode()) for one in held) / len(tokens.val)


def test_bytes_and_documents_are_counted_exactly(split_folder: Path, tmp_path: Path) -> None:
    (split_folder / "x_val_a.txt").write_text("é€" + END + "held", "utf-8")
    tokens, _ = load(str(split_folder), "bytes", cache=tmp_path / "cache")
    (meta,) = (json.loads(p.read_text()) for p in (tmp_path / "cache").glob("tokens-*.json"))
    assert meta["val"] == {"documents": 2, "bytes": 9, "tokens": 11}
    assert meta["train"] == {"documents": 4, "bytes": 15, "tokens": 19}
    assert tokens.bytes_per_token == 9 / 11
    assert of(tokens.train) == [*b"one", 256, *b"two", 256, *b"three", 256, *b"four", 256]
    assert tokens.name.startswith("parts, 0.0 MB, sha256 ") and "; bytes, 257 tokens, sha256 " in tokens.name


def test_a_tokenizer_learns_from_the_training_text_only(
    split_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (split_folder / "x_val_a.txt").write_text("zq " * 999, "utf-8")
    _, tokenizer = load(str(split_folder), vocab_size=270, cache=tmp_path / "cache")
    assert len(tokenizer.encode("zqzq")) == 4


def test_a_sample_of_a_corpus_is_about_as_large_as_asked(folder: Path, tmp_path: Path) -> None:
    corpus = Corpus(str(folder), tmp_path / "cache")
    sample = list(corpus.sample(corpus.bytes // 2))
    assert 70 < len(sample) < 130 and sample == list(corpus.sample(corpus.bytes // 2))
    assert list(corpus.sample(corpus.bytes)) == splits(folder, tmp_path / "cache")["train"]


def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often something was read, trained or tokenised."""
    counts = {"trained": 0, "tokenised": 0, "read": 0}

    def count(owner: object, name: str, key: str) -> None:
        real = getattr(owner, name)

        def wrapped(*args: object) -> object:
            counts[key] += 1
            return real(*args)

        monkeypatch.setattr(owner, name, wrapped)

    count(tokenizers, "train", "trained")
    count(text, "_pack", "tokenised")
    count(sys.modules["repro.lab.documents"], "_file", "read")
    return counts


def test_what_was_made_is_found_again_without_reading_a_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = counted(monkeypatch)
    first, _ = load(str(folder), vocab_size=300, cache=tmp_path / "cache")
    assert counts == {"trained": 1, "tokenised": 1, "read": 3}
    second, _ = load(str(folder), vocab_size=300, cache=tmp_path / "cache")
    assert counts == {"trained": 1, "tokenised": 1, "read": 3}
    assert torch.equal(first.train, second.train) and first.name == second.name
    load(str(folder), vocab_size=301, cache=tmp_path / "cache")
    assert counts["trained"] == counts["tokenised"] == 2
    load(str(folder), "bytes", cache=tmp_path / "cache")
    assert counts["trained"] == 2 and counts["tokenised"] == 3


def test_a_file_touched_is_read_and_one_changed_makes_everything_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = load(str(folder), vocab_size=300, cache=tmp_path / "cache")
    counts = counted(monkeypatch)
    os.utime(folder / "a.txt", (1, 1))
    same, _ = load(str(folder), vocab_size=300, cache=tmp_path / "cache")
    assert counts == {"trained": 0, "tokenised": 0, "read": 3} and same.name == first.name
    with (folder / "a.txt").open("a") as file:
        file.write("!")
    other, _ = load(str(folder), vocab_size=300, cache=tmp_path / "cache")
    assert counts == {"trained": 1, "tokenised": 1, "read": 6} and other.name != first.name


def test_a_text_that_changes_unseen_is_noticed_when_it_is_read(folder: Path, tmp_path: Path) -> None:
    load(str(folder), "bytes", cache=tmp_path / "cache")
    stat = (folder / "a.txt").stat()
    contents = (folder / "a.txt").read_text()
    (folder / "a.txt").write_text(contents.replace("Title 3\n", "Title X\n"))
    os.utime(folder / "a.txt", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(ValueError, match=r"texts is not the text it was; remove .*corpus-.*\.json and run again"):
        load(str(folder), vocab_size=300, cache=tmp_path / "cache")
    next((tmp_path / "cache").glob("corpus-*.json")).unlink()
    load(str(folder), vocab_size=300, cache=tmp_path / "cache")


@pytest.mark.parametrize(
    "damage", ["cut", "empty", "gone", "no-array", "half-said", "no-object", "tokenizer", "corpus"]
)
def test_a_damaged_cache_is_made_anew(folder: Path, tmp_path: Path, damage: str) -> None:
    cache = tmp_path / "cache"
    first, _ = load(str(folder), vocab_size=300, cache=cache)
    expected, name = first.train.clone(), first.name
    del first
    train, meta = next(cache.glob("*-train.npy")), next(cache.glob("tokens-*.json"))
    {
        "cut": lambda: os.truncate(train, train.stat().st_size - 2),
        "empty": lambda: train.write_bytes(b""),
        "gone": train.unlink,
        "no-array": lambda: train.write_bytes(b"x" * train.stat().st_size),
        "half-said": lambda: meta.write_text(meta.read_text()[:40]),
        "no-object": lambda: meta.write_text("{}"),
        "tokenizer": lambda: next(cache.glob("bpe-*.json")).write_text('{"version"'),
        "corpus": lambda: next(cache.glob("corpus-*.json")).write_text("{}"),
    }[damage]()
    again, _ = load(str(folder), vocab_size=300, cache=cache)
    assert torch.equal(again.train, expected) and again.name == name
    assert not list(cache.glob("*.part"))


def test_an_interrupted_packing_leaves_nothing_that_passes_for_whole(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: text._Row) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(text._Row, "keep", interrupted)
        load(str(folder), "bytes", cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("tokens-*.np*")) and not list((tmp_path / "cache").glob("*.part"))
    tokens, _ = load(str(folder), "bytes", cache=tmp_path / "cache")
    assert len(tokens.train) > 10_000


def test_a_cache_that_cannot_be_written_is_told_in_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(ValueError, match="the cache must be a folder that can be written to"):
        load(str(folder), "bytes", cache=tmp_path / "cache")


def test_large_vocabularies_take_32_bits(split_folder: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {f"w{i}": i for i in range(70_000)} | {END: 70_000}
    raw = Tokenizer(models.WordLevel(words, unk_token="w0"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.save(str(tmp_path / "t.json"))
    (split_folder / "x_train_00.txt").write_text("w69999 w1 w40000")
    tokens, _ = load(str(split_folder), str(tmp_path / "t.json"), cache=tmp_path / "cache")
    assert of(tokens.train) == [69_999, 1, 40_000, 70_000, 0, 70_000] and tokens.train.dtype == torch.int32
    assert np.load(next((tmp_path / "cache").glob("*-train.npy"))).dtype == np.uint32
    assert tokens.windows(torch.tensor([1]), 2).tolist() == [[40_000, 70_000, 0]]


PROGRAM = """
import hashlib, sys
from pathlib import Path
from repro.lab.text import load
tokens, tokenizer = load(sys.argv[1], vocab_size=400, cache=Path(sys.argv[2]))
print(tokens.name, tokens.bytes_per_token, hashlib.sha256(tokens.train.numpy().tobytes()).hexdigest())
"""


def test_two_processes_make_the_same_and_at_once_only_one_of_them_does(folder: Path, tmp_path: Path) -> None:
    def start(cache: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROGRAM, str(folder), str(tmp_path / cache)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)

    ended = [p.communicate() for p in [start("one"), start("one"), start("two")]]
    assert len({out for out, _ in ended}) == 1 and ended[0][0].startswith("texts, 0.0 MB, sha256 ")
    assert sum(err.count("tokenising") for _, err in ended[:2]) == 1
    assert "tokenising" in ended[2][1]


# ---- windows


def test_windows_take_every_token_once_as_input_and_once_as_target(folder: Path, tmp_path: Path) -> None:
    tokens, _ = load(str(folder), "bytes", cache=tmp_path / "cache")
    for split, row in (("train", tokens.train), ("val", tokens.val)):
        for seq_len in (1, 7, 64, len(row) - 1):
            n = tokens.n_windows(seq_len, split)
            assert n == (len(row) - 1) // seq_len
            found = tokens.windows(torch.arange(n), seq_len, split)
            assert found.shape == (n, seq_len + 1) and found.dtype == torch.int64
            assert torch.equal(found[:, :-1].flatten(), row[: n * seq_len].long())
            assert torch.equal(found[:, 1:].flatten(), row[1 : n * seq_len + 1].long())
        assert tokens.n_windows(len(row), split) == 0


def test_a_steps_windows_are_those_of_its_rows_whatever_the_ranks(folder: Path, tmp_path: Path) -> None:
    tokens, _ = load(str(folder), "bytes", cache=tmp_path / "cache")
    rows = batch_indices(tokens.n_windows(32), 8, seed=1, step=5)
    alone = tokens.windows(rows, 32)
    ranks = [tokens.windows(my_share(rows, rank, 4), 32) for rank in range(4)]
    assert torch.equal(torch.cat(ranks), alone)
    assert of(alone[3]) == of(tokens.train)[int(rows[3]) * 32 : int(rows[3]) * 32 + 33]


def test_on_another_device_tokens_are_int32_and_windows_ask_the_host_nothing(folder: Path, tmp_path: Path) -> None:
    tokens, _ = load(str(folder), "bytes", cache=tmp_path / "cache", device="meta")  # it has no values to look at
    assert tokens.train.dtype == torch.int32 and tokens.train.is_meta
    assert tokens.windows(torch.arange(4, device="meta"), 16).shape == (4, 17)


def test_writing_to_the_tokens_leaves_the_cache_alone(folder: Path, tmp_path: Path) -> None:
    tokens, _ = load(str(folder), "bytes", cache=tmp_path / "cache")
    tokens.train[0] = 7
    assert load(str(folder), "bytes", cache=tmp_path / "cache")[0].train[0] == ord("T")


def test_nothing_here_asks_the_network(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refused)
    load(str(folder), vocab_size=300, cache=tmp_path / "cache")
