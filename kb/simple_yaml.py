"""The YAML that nearly all front matter is made of, read line by line: ten times as fast as a YAML library.

A key on a line of its own with plain or quoted text, `[a, b]`, an item a line, or folded text (`>-`). Whatever is more
than that, or holds one of the traps of kb.traps, is left to the library; tests hold that both read the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kb.traps import other_reading

Value = str | list[str]

_LIMIT = 64 * 1024  # characters; beyond this there are limits of kb.frontmatter to keep
_ODD = "[^\n -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"  # takes 3 ms to compile
_ENTRY = re.compile(  # a key, its value where that is surely plain text, or whatever it is, and the lines below
    r"([a-z_][a-z0-9_]{0,60}):(?: (?:([A-Za-z][^:#\n]*(?<! ))|([^\n]+)))?\n((?:[ -][^\n]*\n)*)"
)
_TRAP = re.compile(r"(?!(?:0|[1-9][0-9]{0,17}|[0-9]{4}-[0-9]{2}-[0-9]{2})$)[\w.:+-]+")  # no number as it stands, no day
_WORDS = {"yes", "no", "on", "off", "true", "false", "null"}  # traps
_QUOTED = re.compile(r"\"([^\"\\]*)\"|'([^']*)'")
_FLOW = re.compile(r"\[([^\[\]{}\"'#&*!|>%@`:?\\]*)\]")
_ITEM = re.compile(r"( *)- ([^\n]+)\n")
_FOLDED = re.compile(r"(?:  [^\s](?:[^\n]*[^\s])?\n)+")


def read_simple(lines: Sequence[str]) -> tuple[dict[str, Value], dict[str, int]] | None:
    """The keys with their values, and the line of each (the opening fence is line 1); None where a line is not simple
    enough to be sure."""
    source = "".join(lines)
    if len(source) > _LIMIT or (not _is_plain_ascii(source) and re.search(_ODD, source)):
        return None
    found: dict[str, Value] = {}
    where: dict[str, int] = {}
    line, seen = 2, 0
    value: Value | None
    for key, plain, text, block in _ENTRY.findall(source):
        if plain and not block and plain.lower() not in _WORDS:
            value = plain
        else:
            text = text or plain
            value = _value(text, block) if block or not text or text[0] == "[" else _scalar(text)
        if value is None or key in found:
            return None
        found[key], where[key] = value, line
        line += 1 + block.count("\n")
        seen += len(key) + len(plain or text) + len(block) + (3 if plain or text else 2)
    return (found, where) if seen == len(source) else None  # what no entry covers is something else


def _is_plain_ascii(text: str) -> bool:
    return text.isascii() and text.replace("\n", "").isprintable()


def _value(text: str, block: str) -> Value | None:
    """What stands behind a colon and in the lines below; None where only YAML knows."""
    if not text:
        return _items(block) if block else ""
    if text == ">-":
        return " ".join(block.split("\n  ")).strip() if _FOLDED.fullmatch(block) else None
    return _flow(text) if not block else None


def _scalar(text: str) -> str | None:
    """Quoted text, or plain text that begins like a word or a number and holds no comment and no other key."""
    first = text[0]
    if first in "'\"":
        m = _QUOTED.fullmatch(text)
        return m[m.lastindex or 1] if m else None
    if not first.isalnum() or text[-1] in " :" or ": " in text or " #" in text or text.lower() in _WORDS:
        return None
    return None if first.isdecimal() and _TRAP.fullmatch(text) and other_reading(text) else text


def _flow(text: str) -> Value | None:
    m = _FLOW.fullmatch(text)
    if not m:
        return None
    inside = m[1].strip(" ")
    return _scalars([item.strip(" ") for item in inside.split(",")]) if inside else []


def _items(block: str) -> Value | None:
    """An item a line, all equally far in."""
    found = _ITEM.findall(block)
    if len(found) != block.count("\n") or len({indent for indent, _ in found}) > 1:
        return None
    return _scalars([item for _, item in found])


def _scalars(items: list[str]) -> Value | None:
    found = [_scalar(item) if item else None for item in items]
    return None if None in found else [item for item in found if item is not None]
