"""Talk to a checkpoint: `python -m repro.mobilellm.sample CHECKPOINT`. A line is a question; Ctrl-C stops an answer,
Ctrl-D ends. From a pipe every line is answered in one line, line breaks written as \\n."""

from __future__ import annotations

import sys
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import tyro
from tyro.conf import Positional

from repro.lab.ending import ended_well
from repro.lab.generate import Sampling
from repro.lab.tokenizers import Tokenizer
from repro.lab.transformer import Cache, Decoder
from repro.mobilellm.checkpoints import open_checkpoint

_START, _END = "<|im_start|>", "<|im_end|>"  # ChatML: what stands around a turn
_MOST = 2048  # tokens of a conversation, where the decoder has as many places


@dataclass(frozen=True)
class Options:
    checkpoint: Annotated[Positional[str], tyro.conf.arg(metavar="CHECKPOINT")]
    """A run's folder, the folder of a Hugging Face checkpoint, or smollm2."""
    temperature: float = 0.7
    """0 takes the likeliest token."""
    top_p: float = 0.9
    """Tokens are drawn from the fewest that hold this much of the probability."""
    max_tokens: int = 256
    """Longest answer, in tokens; at most half the context."""
    context: int | None = None
    """Tokens of a conversation, answer included: 2,048 or what the decoder has."""
    system: str = ""
    """What the model is told before the conversation."""
    plain: bool = False
    """Continue each line as text, even if the tokenizer has the tokens of a chat."""
    seed: int = 0
    """Of what is drawn."""
    tokenizer: Path | None = None
    """A tokenizer.json, instead of the one beside the checkpoint."""


# One answer


@dataclass
class Memory:
    """A cache and the tokens whose keys and values it holds, so that a conversation is not read anew at each turn."""

    cache: Cache
    tokens: list[int] = field(default_factory=list)


def stream(
    decoder: Decoder, prompt: Sequence[int], new_tokens: int, sampling: Sampling, stops: Collection[int], memory: Memory
) -> Iterator[int]:
    """The tokens that follow a prompt, each as soon as it is drawn; at most `new_tokens`, and none from a stop on. The
    prompt and they must fit the memory. What the memory holds of the prompt is not read again."""
    most = len(prompt) - 1  # the last one is read in any case: what follows is told by its hidden state
    known = next((i for i, (a, b) in enumerate(zip(memory.tokens, prompt, strict=False)) if a != b), len(memory.tokens))
    del memory.tokens[min(known, most) :]
    feed = list(prompt[len(memory.tokens) :])
    for _ in range(new_tokens):
        token = int(sampling.choose(_read(decoder, feed, memory)))
        if token in stops:
            return
        yield token
        feed = [token]


@torch.no_grad()
def _read(decoder: Decoder, tokens: list[int], memory: Memory) -> torch.Tensor:
    """The logits (1, V) after what the memory holds and some tokens more, which it holds then too."""
    device, held = decoder.embed.weight.device, len(memory.tokens)
    x = torch.tensor([tokens], device=device)
    positions = torch.arange(held, held + len(tokens), device=device)[None] if held else None
    hidden = decoder.hidden(x, memory.cache, positions)[:, -1]
    memory.tokens += tokens
    return F.linear(hidden, decoder.unembed)


def text_of(tokens: Iterable[int], tokenizer: Tokenizer) -> Iterator[str]:
    """The text of tokens as they come; a character that takes several waits for the last of its bytes."""
    made: list[int] = []
    shown = whole = ""
    for token in tokens:
        made.append(token)
        whole = tokenizer.decode(made)
        if not whole.endswith("\ufffd"):
            yield whole[len(shown) :]
            shown = whole
    if whole != shown:
        yield whole[len(shown) :]


# A conversation


class Conversation:
    """Turns as tokens, in ChatML where the tokenizer has its tokens, else only the line at hand. `context` tokens hold
    them and an answer; the oldest turns are left out when they do not."""

    def __init__(self, decoder: Decoder, tokenizer: Tokenizer, asked: Options) -> None:
        room = decoder.shape.max_seq_len
        context = min(_MOST, room) if asked.context is None else asked.context
        if not 8 <= context <= room:
            raise ValueError(f"--context {context} is not from 8 to the decoder's {room} tokens")
        if asked.max_tokens < 1 or asked.temperature < 0 or not 0 < asked.top_p <= 1:
            raise ValueError("--max-tokens is at least 1, --temperature at least 0, --top-p above 0 and at most 1")
        self.decoder, self.tokenizer = decoder, tokenizer
        self.sampling = Sampling(asked.temperature, asked.top_p)
        self.memory = Memory(Cache(decoder, 1, context))
        self.new_tokens = min(asked.max_tokens, context // 2)
        self.room = context - self.new_tokens
        self.chat = not asked.plain and all(tokenizer.raw.token_to_id(name) is not None for name in (_START, _END))
        if asked.system and not self.chat:
            raise ValueError("--system is for a chat; this tokenizer has no <|im_start|>, or --plain was asked")
        self.stops = {tokenizer.end, *([tokenizer.id_of(_END)] if self.chat else [])}
        self.system = self._turn("system", asked.system) if asked.system else []
        least = len([*self.system, *self._turn("user", ""), *self._opening("assistant")]) if self.chat else 1
        if least >= self.room:
            raise ValueError(f"{self.room} tokens leave no room for a question; shorten --system, or widen --context")
        self.turns: list[list[int]] = []  # a question, its answer, a question …
        self.left_out = 0  # questions with their answers, so far
        self.notice = ""

    def answer(self, line: str) -> Generator[str]:
        """The answer to a line, piece by piece. It is kept as far as it came, even if it is not read to its end."""
        prompt = self._prompt(line)
        made: list[int] = []
        try:
            yield from text_of(self._made(prompt, made), self.tokenizer)
        finally:
            if self.chat:
                self.turns.append([*self._opening("assistant"), *made, *self._closing()])

    def _made(self, prompt: list[int], made: list[int]) -> Iterator[int]:
        for token in stream(self.decoder, prompt, self.new_tokens, self.sampling, self.stops, self.memory):
            made.append(token)
            yield token

    def _prompt(self, line: str) -> list[int]:
        """The tokens to be read, with a notice where some are left out."""
        self.notice = ""
        if not self.chat:
            tokens = self.tokenizer.encode(line)
            return [self.tokenizer.end, *self._tail(tokens, self.room - 1)]
        self.turns.append(self._turn("user", line))
        opening = self._opening("assistant")
        room = self.room - len(self.system) - len(opening)
        while len(self.turns) > 1 and sum(map(len, self.turns)) > room:
            del self.turns[:2]
            self.left_out += 1
            self.notice = f"{self.room} tokens hold no more: the oldest {self.left_out} questions are left out"
        if len(self.turns[0]) > room:
            self.turns = [self._turn("user", line, room - len(self._turn("user", "")))]
        return [*self.system, *(token for turn in self.turns for token in turn), *opening]

    def _tail(self, tokens: list[int], room: int) -> list[int]:
        """The last of some tokens."""
        if len(tokens) > room:
            self.notice = f"the line takes {len(tokens)} tokens: only its last {room} are read"
        return tokens[max(0, len(tokens) - room) :]

    def _turn(self, role: str, text: str, room: int | None = None) -> list[int]:
        tokens = self.tokenizer.encode(text)
        return [*self._opening(role), *(tokens if room is None else self._tail(tokens, room)), *self._closing()]

    def _opening(self, role: str) -> list[int]:
        return [self.tokenizer.id_of(_START), *self.tokenizer.encode(f"{role}\n")]

    def _closing(self) -> list[int]:
        return [self.tokenizer.id_of(_END), *self.tokenizer.encode("\n")]


# The terminal


def main(args: Sequence[str] | None = None) -> None:
    asked = tyro.cli(Options, args=args, prog="python -m repro.mobilellm.sample", description="Talk to a checkpoint.")
    ended_well(lambda: _work(asked))


def _work(asked: Options) -> None:
    decoder, tokenizer = open_checkpoint(asked.checkpoint, asked.tokenizer)
    conversation = Conversation(decoder, tokenizer, asked)
    torch.manual_seed(asked.seed)
    if sys.stdin.isatty() and sys.stdout.isatty():
        _talk(conversation)
    else:
        with suppress(KeyboardInterrupt):
            _pipe(conversation)


def _talk(conversation: Conversation) -> None:
    with suppress(ImportError):
        import readline  # noqa: F401  (lines can be edited then)
    kind = "A line is a question" if conversation.chat else "A line is the beginning of a text"
    print(f"{kind}. Ctrl-C stops what follows it, Ctrl-D ends.", file=sys.stderr)
    while True:
        try:
            line = input("> ")
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print("\n(Ctrl-D ends)", file=sys.stderr)
            continue
        if line.strip():
            _show(conversation, line)


def _show(conversation: Conversation, line: str) -> None:
    """Print an answer as it comes; Ctrl-C ends it."""
    answer = conversation.answer(line)
    try:
        for i, piece in enumerate(answer):
            if not i:
                _notice(conversation)
            print(piece, end="", flush=True)
    except KeyboardInterrupt:
        answer.close()
        print(" …", end="")
    print()


def _pipe(conversation: Conversation) -> None:
    for line in sys.stdin:
        answer = "".join(conversation.answer(line.rstrip("\r\n"))) if line.strip() else ""
        _notice(conversation)
        print(answer.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r"), flush=True)


def _notice(conversation: Conversation) -> None:
    if conversation.notice:
        print(f"({conversation.notice})", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
