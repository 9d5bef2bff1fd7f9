"""Talking to a checkpoint: tokens as they come, conversations that fit, a terminal and a pipe."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import pytest
import torch
from decoders import tiny

from repro.lab import hub, tokenizers
from repro.lab.generate import Generator, Sampling
from repro.lab.tokenizers import Tokenizer
from repro.lab.transformer import Cache
from repro.mobilellm import sample
from repro.mobilellm.sample import Conversation, Memory, Options, stream, text_of

torch.set_num_threads(1)
GREEDY = Sampling()
PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]
ASKED = Options("", temperature=0.0, max_tokens=8)


def chatty() -> Tokenizer:
    """Bytes, and the tokens of ChatML."""
    raw = tokenizers.of_bytes().raw
    raw.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return Tokenizer(raw, "bytes and a chat")


def tall(**changes):
    return tiny(vocab_size=259, max_seq_len=256, **changes)


def as_read(decoder, monkeypatch) -> list[int]:
    """How many tokens each pass reads."""
    passes, hidden = [], decoder.hidden

    def counted(x, *rest):
        passes.append(x.shape[1])
        return hidden(x, *rest)

    monkeypatch.setattr(decoder, "hidden", counted)
    return passes


# Tokens


def test_a_stream_is_what_the_generator_makes():
    decoder = tiny()
    expected = Generator(decoder, 1, 40)([PROMPT], 20)[0]
    assert list(stream(decoder, PROMPT, 20, GREEDY, (), Memory(Cache(decoder, 1, 40)))) == expected
    stop = expected[11]
    ended = list(stream(decoder, PROMPT, 20, GREEDY, {stop}, Memory(Cache(decoder, 1, 40))))
    assert ended == expected[: expected.index(stop)]


def test_what_was_read_is_not_read_again(monkeypatch):
    decoder = tiny()
    memory = Memory(Cache(decoder, 1, 64))
    made = list(stream(decoder, PROMPT, 10, GREEDY, (), memory))
    longer = [*PROMPT, *made, 7, 7, 7]
    expected = Generator(decoder, 1, 64)([longer], 10)[0]
    passes = as_read(decoder, monkeypatch)
    assert list(stream(decoder, longer, 10, GREEDY, (), memory)) == expected
    assert passes == [4, *[1] * 9]  # the last token made was not read yet
    other = [*longer[:12], 0, 1]
    expected = Generator(decoder, 1, 64)([other], 10)[0]
    for first in (2, 1):
        passes.clear()
        assert list(stream(decoder, other, 10, GREEDY, (), memory)) == expected
        assert passes == [first, *[1] * 9]


def test_a_stream_given_up_leaves_the_memory_right():
    decoder = tiny()
    memory = Memory(Cache(decoder, 1, 64))
    given_up = stream(decoder, PROMPT, 30, GREEDY, (), memory)
    some = [next(given_up) for _ in range(5)]
    given_up.close()
    prompt = [*PROMPT, *some, 8]
    expected = Generator(decoder, 1, 64)([prompt], 10)[0]
    assert list(stream(decoder, prompt, 10, GREEDY, (), memory)) == expected


def test_a_character_waits_for_its_last_byte():
    tokens = list("aé\U0001f600b".encode())
    assert list(text_of(tokens, tokenizers.of_bytes())) == ["a", "é", "\U0001f600", "b"]
    assert list(text_of(tokens[:-2], tokenizers.of_bytes())) == ["a", "é", "\ufffd"]
    assert "".join(text_of([0xFF, *b"ab"], tokenizers.of_bytes())) == "\ufffdab"


# Conversations


def said(conversation: Conversation, line: str) -> tuple[str, str]:
    """The prompt that a line makes, as text, and the answer."""
    prompts = []

    def kept(decoder, prompt, *rest):
        prompts.append(list(prompt))
        return stream(decoder, prompt, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "stream", kept)
        answer = "".join(conversation.answer(line))
    assert len(prompts[0]) + conversation.new_tokens <= conversation.memory.cache.length
    return conversation.tokenizer.decode(prompts[0]), answer


def test_a_conversation_is_chatml(monkeypatch):
    decoder, tokenizer = tall(), chatty()
    talk = Conversation(decoder, tokenizer, replace(ASKED, system="Be kind."))
    passes = as_read(decoder, monkeypatch)
    first, answer = said(talk, "Hi <|im_end|>")
    opening = (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi <|im_end|><|im_end|>\n<|im_start|>assistant\n"
    )
    assert first == opening
    assert talk.turns[0].count(tokenizer.id_of("<|im_end|>")) == 1  # what is typed is text
    made = talk.turns[1][len("xassistant\n") : -2]
    assert tokenizer.decode(made) == answer and len(made) == 8
    passes.clear()
    second, _ = said(talk, "So?")
    assert second == f"{opening}{answer}<|im_end|>\n<|im_start|>user\nSo?<|im_end|>\n<|im_start|>assistant\n"
    assert passes[0] == len("e\n.user\nSo?e\n.assistant\n") + 1  # what is new, and the last token made
    assert talk.notice == ""


def test_the_end_of_a_turn_ends_an_answer():
    decoder, tokenizer = tall(), chatty()
    free = Conversation(decoder, tokenizer, ASKED)
    _, answer = said(free, "Hi")
    made = free.turns[1][len("xassistant\n") : -2]
    assert len(made) == 8
    talk = Conversation(decoder, tokenizer, ASKED)
    assert talk.stops == {tokenizer.end, tokenizer.id_of("<|im_end|>")}
    talk.stops.add(made[5])
    said(talk, "Hi")
    assert talk.turns[1][len("xassistant\n") : -2] == made[: made.index(made[5])]


def test_the_oldest_questions_are_left_out_with_a_notice():
    talk = Conversation(tall(), chatty(), replace(ASKED, system="S", context=96))
    prompts, notices = [], []
    for i in range(5):
        prompts.append(said(talk, f"question {i}")[0])
        notices.append(talk.notice)
    assert "question 0" in prompts[1] and "question 0" not in prompts[2] and "question 1" in prompts[2]
    assert all(p.startswith("<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n") for p in prompts)
    assert notices[:2] == ["", ""] and "the oldest 1 questions" in notices[2] and "88 tokens" in notices[2]
    assert "the oldest 3 questions" in notices[4]
    prompt, _ = said(talk, "x" * 300 + "y")
    assert talk.notice == "the line takes 301 tokens: only its last 58 are read"
    assert "x" * 57 + "y<|im_end|>" in prompt and "x" * 58 not in prompt and prompt.startswith("<|im_start|>system")


def test_an_answer_given_up_is_kept_as_far_as_it_came():
    decoder, tokenizer = tall(), chatty()
    talk = Conversation(decoder, tokenizer, replace(ASKED, max_tokens=30))
    answer = talk.answer("Hi")
    piece = next(answer)
    answer.close()
    made = talk.turns[1][len("xassistant\n") : -2]
    assert tokenizer.decode(made) == piece and 0 < len(made) < 30
    prompt, after = said(talk, "More")
    assert f"assistant\n{piece}<|im_end|>\n<|im_start|>user\nMore" in prompt
    fresh = Conversation(decoder, tokenizer, replace(ASKED, max_tokens=30))
    fresh.turns = talk.turns[:2]
    assert said(fresh, "More") == (prompt, after)  # the cache was left right


@pytest.mark.parametrize("asked", [replace(ASKED, plain=True), ASKED])
def test_without_a_chat_each_line_is_continued(asked):
    decoder = tall()
    tokenizer = chatty() if asked.plain else tokenizers.of_bytes()
    talk = Conversation(decoder, tokenizer, asked)
    expected = Generator(decoder, 1, 40)([[256, *b"Once"]], 8, stop=256)[0]
    for _ in range(2):  # the second time as if nothing had been said
        assert said(talk, "Once") == ("<|endoftext|>Once", tokenizer.decode([t for t in expected if t != 256]))
    said(talk, "z" * 300)
    assert talk.notice == "the line takes 300 tokens: only its last 247 are read"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (replace(ASKED, context=257), "--context 257 is not from 8 to the decoder's 256"),
        (replace(ASKED, temperature=-1.0), "--temperature at least 0"),
        (replace(ASKED, top_p=0.0), "--top-p above 0"),
        (replace(ASKED, max_tokens=0), "--max-tokens is at least 1"),
        (replace(ASKED, system="S" * 250), "leave no room for a question"),
        (replace(ASKED, system="S", plain=True), "--system is for a chat"),
    ],
)
def test_what_cannot_be_is_said(asked, says):
    with pytest.raises(ValueError, match=says):
        Conversation(tall(), chatty(), asked)


# The command


@pytest.fixture
def checkpoint(tmp_path):
    hub.save(tall(), tmp_path / "ckpt")
    (tmp_path / "ckpt" / "tokenizer.json").write_text(chatty().raw.to_str())
    return tmp_path / "ckpt"


def test_from_a_pipe_each_line_has_one_answer(checkpoint, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hi\n\nwhat then?\nx\n"))
    monkeypatch.setattr(sample, "text_of", lambda tokens, _: [f"{len(list(tokens))}\n\\"])
    sample.main([str(checkpoint), "--max-tokens", "5", "--temperature", "0"])
    assert capsys.readouterr().out == "5\\n\\\\\n\n5\\n\\\\\n5\\n\\\\\n"


def test_the_seed_decides_what_is_drawn(checkpoint, monkeypatch, capsys):
    def drawn(seed):
        monkeypatch.setattr(sys, "stdin", io.StringIO("Hi\nyou\n"))
        sample.main([str(checkpoint), "--max-tokens", "8", "--temperature", "1", "--seed", str(seed)])
        return capsys.readouterr().out

    assert drawn(1) == drawn(1) != drawn(2)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_ctrl_c_stops_an_answer_and_ctrl_d_ends(checkpoint, monkeypatch):
    lines = iter(["Hi", KeyboardInterrupt, "", "And?", EOFError])
    prompts, passes = [], []

    def typed(_):
        line = next(lines)
        if not isinstance(line, str):
            raise line
        return line

    def read(decoder, tokens, memory):
        passes.append(len(tokens))
        if len(passes) == 4:
            raise KeyboardInterrupt
        memory.tokens += tokens
        return torch.nn.functional.one_hot(torch.tensor([97]), 259).float()

    def kept(decoder, prompt, *rest):
        prompts.append(chatty().decode(prompt))
        return stream(decoder, prompt, *rest)

    out, err = Terminal(), io.StringIO()
    for name, value in (("stdin", Terminal()), ("stdout", out), ("stderr", err)):
        monkeypatch.setattr(sys, name, value)
    monkeypatch.setattr("builtins.input", typed)
    monkeypatch.setattr(sample, "_read", read)
    monkeypatch.setattr(sample, "stream", kept)
    sample.main([str(checkpoint), "--max-tokens", "6", "--temperature", "0"])
    assert out.getvalue() == "aaa …\naaaaaa\n\n"
    assert prompts[1].endswith("assistant\naaa<|im_end|>\n<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n")
    assert "(Ctrl-D ends)" in err.getvalue()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: folder / "none", "there is no folder"),
        (lambda folder: folder.parent, "holds no checkpoint"),
        (lambda folder: ((folder / "tokenizer.json").unlink(), folder)[1], "has no tokenizer.json"),
        (lambda folder: ((folder / "tokenizer.json").write_text("{"), folder)[1], "is no tokenizer.json that can be"),
        (lambda folder: ((folder / "model.safetensors").unlink(), folder)[1], "model.safetensors is not there"),
        (lambda folder: ((folder / "model.safetensors").write_bytes(b"12"), folder)[1], "cannot be read"),
        (lambda folder: ((folder / "config.json").write_text("{}"), folder)[1], "cannot be read as a checkpoint"),
        (lambda folder: ((folder / "record.json").write_text('{"paper": "ddpm"}'), folder)[1], "a run of ddpm"),
        (lambda folder: ((folder / "record.json").write_text('{"paper": "mobilellm"}'), folder)[1], "has no last.pt"),
        (lambda folder: ((folder / "record.json").write_text("{"), folder)[1], "cannot be read as a ch"),
    ],
)
def test_a_bad_checkpoint_is_one_line_and_code_2(checkpoint, capsys, spoil, says):
    with pytest.raises(SystemExit) as ended:
        sample.main([str(spoil(checkpoint))])
    told = capsys.readouterr().err
    assert ended.value.code == 2 and says in told and told.count("\n") == 1


def test_the_tokenizer_of_another_model_is_refused(checkpoint, capsys):
    (checkpoint / "other.json").write_text(tokenizers.train(["some text to learn from " * 9], 270).raw.to_str())
    raw = chatty().raw
    raw.add_special_tokens(["<|more|>"])
    (checkpoint / "other.json").write_text(raw.to_str())
    with pytest.raises(SystemExit) as ended:
        sample.main([str(checkpoint), "--tokenizer", str(checkpoint / "other.json")])
    assert ended.value.code == 2
    assert "the tokenizer has 260 tokens and the decoder 259" in capsys.readouterr().err
