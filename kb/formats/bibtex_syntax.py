"""BibTeX's syntax: a text -> its entries with the fields as they stand, and a Problem for what is no BibTeX."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kb.formats.days import MONTHS
from kb.problem import Level, Problem

if TYPE_CHECKING:
    from bibtexparser.model import Block, Entry, Field

_BARE = re.compile(r"[^\s{}\",=#]+")
_KEYLESS = re.compile(  # `@article{` and its first field, without a key and the comma after it
    r"(?mi)^([ \t]*@[ \t]*(?!(?:comment|string|preamble)\b)[a-z]+\s{0,9}\{)"
    r"(?=\s{0,99}[\w-]{1,40}\s{0,9}=\s{0,9}[{\"\d])"
)

_BRACELESS = re.compile(r"(?i)@\s*(?!(?:comment|string|preamble)\b)(\w+)\s*,?\s*[\w-]+\s*=")  # `@article, title =`


@dataclass(frozen=True)
class RawEntry:
    """One entry, on the lines `line` to `end`: its fields are LaTeX without delimiters; `key` is empty where another
    entry has it already."""

    line: int
    end: int
    kind: str
    key: str
    fields: dict[str, str]


@dataclass
class Bibliography:
    """A file: its entries in order, the lines of what could not be read with the reason, the comments of programs."""

    entries: list[RawEntry] = field(default_factory=list)
    faults: list[tuple[range, str]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_bibliography(text: str, path: str) -> Bibliography:
    """Every entry that can be read, and what is wrong with the others."""
    found = Bibliography()
    problems = found.problems
    try:
        blocks = _split(text)
    except ValueError as error:
        told = " ".join(str(error).split())[:80]
        problems.append(Problem(path, 1, "bibtex", f"the file cannot be read: {told}", "look for an unclosed brace"))
        found.faults.append((range(1, text.count("\n") + 2), str(problems[-1].message)))
        return found
    macros = _macros(blocks)
    keys: dict[str, int] = {}
    for block, end in zip(blocks, _ends(blocks, text), strict=True):
        line, told_before = (block.start_line or 0) + 1, len(problems)
        entry = _entry_of(block, line, keys, path, problems)
        fields = _fields(entry, macros, path, problems) if entry else None
        if entry and fields is not None:
            key = "" if entry.key in keys else entry.key
            found.entries.append(RawEntry(line, end, entry.entry_type.lower(), key, fields))
        elif len(problems) > told_before:
            found.faults.append((range(line, end + 1), f"{problems[-1].message} ({problems[-1].hint})"))
        found.comments += [comment] if (comment := str(getattr(block, "comment", ""))) else []
        if entry:
            keys.setdefault(entry.key, line)
    return found


def _ends(blocks: list[Block], text: str) -> list[int]:
    """The last line of each block. What follows a block that could not be read, up to the next entry, is its rest."""
    from bibtexparser.model import ImplicitComment, ParsingFailedBlock

    ends = []
    for n, block in enumerate(blocks):
        last = (block.start_line or 0) + 1 + (block.raw or "").rstrip().count("\n")
        if type(block) is ParsingFailedBlock:
            after = (b for b in blocks[n + 1 :] if not isinstance(b, ImplicitComment))
            following = next(after, None)
            last = (following.start_line or 0) if following else text.count("\n") + 1
        ends.append(last)
    return ends


def _split(text: str) -> list[Block]:
    import logging

    from bibtexparser.splitter import Splitter

    logging.getLogger("bibtexparser").setLevel(logging.CRITICAL)  # what it would print is told as Problems
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    splitter = Splitter(_KEYLESS.sub(r"\1,", plain))
    try:
        return list(splitter.split().blocks)
    except Exception as error:  # the library's own mistakes: it raises what it calls its bugs
        raise ValueError(str(error)) from None


def _macros(blocks: list[Block]) -> dict[str, str]:
    """@string definitions and the months, which every style defines."""
    from bibtexparser.model import String

    found = {month: str(n) for n, month in enumerate(MONTHS, 1)}
    for block in blocks:
        if isinstance(block, String):
            pieces = _pieces(str(block.value))
            found[block.key.lower()] = _expand(pieces[0], found) if pieces else str(block.value)
    return found


def _entry_of(block: Block, line: int, keys: Mapping[str, int], path: str, problems: list[Problem]) -> Entry | None:
    """The entry in a block; what is wrong with the block as a whole goes to `problems`."""
    from bibtexparser.model import (
        DuplicateBlockKeyBlock,
        DuplicateFieldKeyBlock,
        Entry,
        ImplicitComment,
        ParsingFailedBlock,
    )

    def report(message: str, hint: str, level: Level = "error") -> None:
        problems.append(Problem(path, line, "bibtex", message, hint, level))

    if isinstance(block, Entry):
        return block
    inner = getattr(block, "ignore_error_block", None)
    if isinstance(block, DuplicateBlockKeyBlock) and isinstance(inner, Entry):
        other = keys.get(inner.key, line)
        if inner.key:
            report(f"key '{inner.key}' stands on line {other} too", "give one of the two another key", "warning")
        return inner
    if isinstance(block, DuplicateFieldKeyBlock) and isinstance(inner, Entry):
        twice = ", ".join(sorted(block.duplicate_keys))
        report(f"entry '{inner.key}' has the field {twice} twice; the first is read", "keep one of the two", "warning")
        return inner
    if isinstance(block, ImplicitComment) and (m := re.match(r"(\w+)\s*\{\s*([^\s,{}=]+)\s*,.*=", block.comment, re.S)):
        report(f"'{m[1]}{{{m[2]}' looks like an entry without its @", f"write @{m[1]}{{{m[2]}")
    elif isinstance(block, ImplicitComment) and (m := _BRACELESS.match(block.comment)):
        report(f"'@{m[1]}' has no brace after it", f"write @{m[1]}{{key,")
    elif isinstance(block, ParsingFailedBlock):
        m = re.match(r"@\s*(\w+)\s*[{(]\s*([^,\s{}]*)", block.raw or "")
        what = f"entry '{m[2]}'" if m else "an entry"
        reason = str(getattr(block.error, "abort_reason", block.error))
        if "block start" in reason or "end of file" in reason:
            report(f"{what} is never closed", "add the missing closing brace or quote")
        else:
            reason = " ".join(reason.split()).rstrip(".")
            report(f"{what} cannot be read: {reason}", "look for a missing comma, = or brace")
    return None


def _fields(entry: Entry, macros: Mapping[str, str], path: str, problems: list[Problem]) -> dict[str, str] | None:
    """An entry's fields as LaTeX text without their delimiters; None where a missing comma garbled them."""
    found: dict[str, str] = {}
    for part in entry.fields:
        pieces = _pieces(str(part.value))
        if pieces is None or pieces[1]:
            problems.append(_garbled(entry.key, part, pieces, path))
            return None
        found.setdefault(part.key.lower(), _expand(pieces[0], macros))
    return found


def _pieces(value: str) -> tuple[list[str], str] | None:
    """`{a} # "b" # c` as its pieces, and what is left over where another field follows without a comma."""
    found, at = [], 0
    while True:
        end = _piece_end(value, at)
        if end is None:
            return None
        found.append(value[at:end])
        rest = value[end:].lstrip()
        if not rest.startswith("#"):
            return found, rest
        at = len(value) - len(rest[1:].lstrip())


def _piece_end(value: str, at: int) -> int | None:
    """Where the braced, quoted or bare piece that begins at `at` ends."""
    if value[at : at + 1] not in ("{", '"'):
        m = _BARE.match(value, at)
        return m.end() if m else (at if at == len(value) else None)
    depth, quoted = 0, value[at] == '"'
    for n in range(at + quoted, len(value)):
        if value[n] in "{}" and value[n - 1 : n] != "\\":
            depth += 1 if value[n] == "{" else -1
        if depth == 0 and value[n] == ('"' if quoted else "}") and value[n - 1 : n] != "\\":
            return n + 1
    return None


def _garbled(key: str, part: Field, pieces: tuple[list[str], str] | None, path: str) -> Problem:
    line = (part.start_line or 0) + 1
    if pieces is None:
        message = f"entry '{key}': the value of {part.key} cannot be read"
        return Problem(path, line, "bibtex", message, "look for an unclosed brace or quote")
    first, rest = str(part.value)[: len(str(part.value)) - len(pieces[1])], pieces[1]
    line += first.rstrip().count("\n")
    m = re.match(r"([\w-]+)\s*=", rest)
    what = f"before {m[1]}" if m else f"or a quote before '{rest[:20]}'"
    return Problem(path, line, "bibtex", f"entry '{key}': a comma is missing after {part.key}, {what}", "add the comma")


def _expand(pieces: list[str], macros: Mapping[str, str]) -> str:
    """The text that pieces joined by # stand for."""
    return "".join(p[1:-1] if p[:1] in ("{", '"') else macros.get(p.lower(), p) for p in pieces)
