"""What a decoder knows of text: bits per byte of any text, and questions with choices in the shapes of
lm-evaluation-harness. The decoder is measured as it stands: on its device, in eval mode if the caller has put it there,
in bf16 under the caller's autocast.

    bits_per_byte(decoder, tokenizer, documents("data/books"))["bits_per_byte"]
    accuracy(decoder, tokenizer, questions(Path("piqa.jsonl")))["accuracy_norm"]
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from repro.lab.documents import opened
from repro.lab.losses import token_losses
from repro.lab.tokenizers import Tokenizer
from repro.lab.transformer import Decoder

WINDOW = 1024  # tokens of text that are read at once, where the decoder has as many places
BATCH_TOKENS = 8192  # read in one pass, padding among them
_CHUNK = 1024  # tokens whose logits are in memory at a time
_DOCUMENTS = 64  # tokenised at a time

Row = tuple[Sequence[int], int]  # tokens, and the place of the first one that is scored


# Scores of tokens


def summed_nats(
    decoder: Decoder, rows: Sequence[Row], window: int, stride: int, batch_tokens: int = BATCH_TOKENS
) -> torch.Tensor:
    """Of each row the summed -log p in nats (n,), fp64, of its tokens from `first` on, each given those before it.
    `first` is at least 1: a token that nothing stands before has no score."""
    nats = torch.zeros(len(rows), dtype=torch.float64, device=decoder.embed.weight.device)
    for hidden, targets, owners in passes(decoder, rows, window, stride, batch_tokens):
        nats.index_add_(0, owners, token_losses(hidden, decoder.unembed, targets, _CHUNK).double())
    return nats


def passes(
    decoder: Decoder, rows: Sequence[Row], window: int, stride: int, batch_tokens: int = BATCH_TOKENS
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Read rows in batches of about `batch_tokens`, padding among them: for each batch the hidden states (N, D) that
    foretell the N tokens to score, these tokens (N,) and the rows they are of (N,).

    A row is read in windows of at most `window` tokens. Where that takes several, each after the first adds at most
    `stride` tokens and sees at least window - stride before every one of them."""
    device = decoder.embed.weight.device
    parts = [
        (i, *part) for i, (tokens, first) in enumerate(rows) for part in _windows(len(tokens), first, window, stride)
    ]
    parts.sort(key=lambda part: part[1] - part[3])  # the longest first, so that a batch is of about one length
    at = 0
    while at < len(parts):
        width = parts[at][3] - parts[at][1] - 1
        some = parts[at : at + max(1, batch_tokens // width)]
        at += len(some)
        inputs, places, targets, owners = (x.to(device) for x in _batch(rows, some, width))
        with torch.no_grad():
            hidden = decoder.hidden(inputs).flatten(0, 1)[places]
        yield hidden, targets, owners


def _windows(length: int, first: int, window: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """(begin, start, end) for each window: tokens[begin : end - 1] are read to score tokens[start:end]."""
    start, end = first, min(length, first + window)
    while start < end:
        yield max(0, end - 1 - window), start, end
        start, end = end, min(length, end + stride)


def _batch(
    rows: Sequence[Row], parts: Sequence[tuple[int, int, int, int]], width: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The tokens read, (B, width), padded at their ends where no causal attention looks; and for each token scored its
    place in the flattened batch, itself and its row."""
    inputs = torch.zeros(len(parts), width, dtype=torch.long)
    places, targets, owners = [], [], []
    for i, (row, begin, start, end) in enumerate(parts):
        tokens = torch.tensor(rows[row][0][begin:end])
        inputs[i, : end - begin - 1] = tokens[:-1]
        targets.append(tokens[start - begin :])
        places.append(torch.arange(start - 1, end - 1) - begin + i * width)
        owners.append(torch.full((end - start,), row))
    return inputs, torch.cat(places), torch.cat(targets), torch.cat(owners)


# Text


def bits_per_byte(
    decoder: Decoder,
    tokenizer: Tokenizer,
    documents: Iterable[str],
    window: int | None = None,
    stride: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> dict[str, float]:
    """How well a decoder foretells text: `bits_per_byte` = nats of all tokens / ln 2 / bytes of UTF-8, which compares
    decoders with different tokenizers; `loss_nats` and `perplexity_per_token`, which do not; `tokens` and `bytes`.

    Every token of a document is scored, once. The first is foretold from the end-of-text token, as in training; that
    token itself, which a document ends with there, is not scored. Later ones see at least window - stride tokens, or
    all there are. `window` is 1,024 or what the decoder has, `stride` half of it; window = stride is the cheapest, with
    no overlap."""
    most = decoder.shape.max_seq_len
    window = min(WINDOW, most) if window is None else window
    stride = max(1, window // 2) if stride is None else stride
    if not 1 <= stride <= window <= most:
        raise ValueError(f"1 <= stride {stride} <= window {window} <= the decoder's {most} tokens does not hold")
    n_tokens, n_bytes, waiting = 0, 0, iter(documents)
    nats = torch.zeros((), dtype=torch.float64, device=decoder.embed.weight.device)
    while texts := list(islice(waiting, _DOCUMENTS)):
        rows: list[Row] = [([tokenizer.end, *tokens], 1) for tokens in tokenizer.encode_batch(texts)]
        nats += summed_nats(decoder, rows, window, stride, batch_tokens).sum()
        n_tokens += sum(len(tokens) - 1 for tokens, _ in rows)
        n_bytes += sum(len(text.encode()) for text in texts)
    if not n_tokens:
        raise ValueError("there is no text to measure")
    loss = float(nats) / n_tokens
    return {
        "bits_per_byte": float(nats) / math.log(2) / n_bytes, "loss_nats": loss,
        "perplexity_per_token": math.exp(min(loss, 700.0)), "tokens": float(n_tokens), "bytes": float(n_bytes),
    }  # fmt: skip


# Questions


@dataclass(frozen=True)
class Question:
    """Texts of which one goes on best: (context, choice) each, and which of them it is. With a single one, as LAMBADA
    has it, the answer is right where every token of the choice is the likeliest."""

    options: tuple[tuple[str, str], ...]
    gold: int


def questions(path: Path, limit: int | None = None, delimiter: str = " ") -> list[Question]:
    """The first `limit` questions of a file, JSON lines, also packed as .bz2 or .gz. A line has `query, choices, gold`,
    or `context_options, continuation, gold` (WinoGrande: what comes before differs), or `context, continuation`.
    `delimiter` goes between context and choice where neither brings white space; one that holds more than that, as
    "\\nAnswer: ", goes there always, after the context's own white space was taken off. A ValueError of one line names
    the file and the line that is none of these."""
    found: list[Question] = []
    try:
        with opened(path) as stream:
            for i, line in enumerate(stream, 1):
                if limit is not None and len(found) >= limit:
                    break
                if line.strip():
                    found.append(_located(line, delimiter, f"{path}: line {i}"))
                    if (len(found[0].options) == 1) != (len(found[-1].options) == 1):
                        raise ValueError(f"{path}: line {i} is a question of another kind than the first")
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: {error}") from None
    if not found:
        raise ValueError(f"{path} holds no question")
    return found


def _located(line: bytes, delimiter: str, where: str) -> Question:
    try:
        return _question(json.loads(line), delimiter)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is no JSON ({error.msg})") from None
    except UnicodeError:
        raise ValueError(f"{where} is no text that UTF-8 can write") from None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _question(row: Any, delimiter: str) -> Question:
    if not isinstance(row, dict):
        raise ValueError("a JSON object is needed")
    if "choices" in row:
        query = _text(row, "query")
        pairs = [(query, choice) for choice in _texts(row, "choices")]
    elif "context_options" in row:
        continuation = _text(row, "continuation")
        pairs = [(context, continuation) for context in _texts(row, "context_options")]
    elif {"context", "continuation"} <= set(row):
        pairs = [(_text(row, "context"), _text(row, "continuation"))]
    else:
        raise ValueError("the fields are neither query and choices, nor context_options, nor context and continuation")
    if not all(choice for _, choice in pairs):
        raise ValueError("a choice is empty")
    gold = 0 if len(pairs) == 1 else row.get("gold")
    if type(gold) is not int or not 0 <= gold < len(pairs):
        raise ValueError(f"gold is {json.dumps(gold)}, not a number from 0 to {len(pairs) - 1}")
    return Question(tuple((_joined(context, choice, delimiter), choice) for context, choice in pairs), gold)


def _text(row: Mapping[str, Any], name: str) -> str:
    if not isinstance(row.get(name), str):
        raise ValueError(f"{name} is no string")
    row[name].encode()
    return str(row[name])


def _texts(row: Mapping[str, Any], name: str) -> list[str]:
    found = row[name]
    if not isinstance(found, list) or len(found) < 2:
        raise ValueError(f"{name} is no list of two strings or more")
    return [_text({name: text}, name) for text in found]


def _joined(context: str, choice: str, delimiter: str) -> str:
    if delimiter.strip():
        return context.rstrip() + delimiter
    return context if context[-1:].isspace() or choice[0].isspace() else context + delimiter


def right(
    decoder: Decoder, tokenizer: Tokenizer, asked: Sequence[Question], batch_tokens: int = BATCH_TOKENS
) -> tuple[list[bool], list[bool], list[float]]:
    """Whether each question is answered right: by the summed log-probability of the choices, and by that over a
    choice's bytes; and the nats of the right choice. A question that exceeds the decoder's places loses the beginning
    of its context."""
    texts = [context + choice for question in asked for context, choice in question.options]
    # as lm-evaluation-harness does: white space that ends a context belongs to the choice
    stems = [context.rstrip() for question in asked for context, _ in question.options]
    rows = [
        _row(whole, stem, tokenizer.end)
        for whole, stem in zip(tokenizer.encode_batch(texts), tokenizer.encode_batch(stems), strict=True)
    ]
    nats, missed = _judged(decoder, rows, batch_tokens)
    plain, normed, of_gold, at = [], [], [], 0
    for question in asked:
        mine = nats[at : at + len(question.options)]
        per_byte = [n / len(choice.encode()) for n, (_, choice) in zip(mine, question.options, strict=True)]
        alone = len(mine) == 1
        plain.append(missed[at] == 0 if alone else mine.index(min(mine)) == question.gold)
        normed.append(missed[at] == 0 if alone else per_byte.index(min(per_byte)) == question.gold)
        of_gold.append(mine[question.gold])
        at += len(mine)
    return plain, normed, of_gold


def _judged(decoder: Decoder, rows: Sequence[Row], batch_tokens: int) -> tuple[list[float], list[float]]:
    """Of each row the nats, and how many of its scored tokens are not the likeliest."""
    most, weight = decoder.shape.max_seq_len, decoder.unembed
    sums = torch.zeros(2, len(rows), dtype=torch.float64, device=weight.device)
    with torch.no_grad():
        for hidden, targets, owners in passes(decoder, rows, most, max(1, most // 2), batch_tokens):
            best = torch.cat([(h @ weight.to(h.dtype).T).argmax(-1) for h in hidden.split(_CHUNK)])
            losses = token_losses(hidden, weight, targets, _CHUNK)
            sums.index_add_(1, owners, torch.stack((losses, best != targets)).double())
    nats, missed = sums.tolist()
    return nats, missed


def _row(whole: list[int], stem: list[int], end: int) -> Row:
    """The tokens of a choice are those of both texts together after as many as the context has alone."""
    return (whole, min(len(stem), len(whole) - 1)) if stem and len(whole) > 1 else ([end, *whole], 1)


def accuracy(
    decoder: Decoder, tokenizer: Tokenizer, asked: Sequence[Question], batch_tokens: int = BATCH_TOKENS
) -> dict[str, float]:
    """`accuracy` by summed log-probability and `accuracy_norm` by that over bytes, with the standard errors of both
    (`_se`), and `questions`. Where there is nothing to choose from, `accuracy` of the likeliest continuation, and
    `perplexity` = exp of the mean nats of a whole continuation, as the harness has it for LAMBADA."""
    plain, normed, nats = right(decoder, tokenizer, asked, batch_tokens)
    found = {"questions": float(len(asked)), **_mean("accuracy", plain)}
    if len(asked[0].options) == 1:
        return found | {"perplexity": math.exp(min(sum(nats) / len(nats), 700.0))}
    return found | _mean("accuracy_norm", normed)


def _mean(name: str, hits: Sequence[bool]) -> dict[str, float]:
    """The standard error is that of a mean of n, from the spread with n - 1: not a number for one alone."""
    n, p = len(hits), sum(hits) / len(hits)
    return {name: p, f"{name}_se": math.sqrt(p * (1 - p) / (n - 1)) if n > 1 else math.nan}
