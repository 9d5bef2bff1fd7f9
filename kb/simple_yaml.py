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
_ODD = re.compile("[^\n -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_KEY = re.compile(r"([a-z_][a-z0-9_]{0,60}):(?: (.+))?\n")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}|[0-9]{4}-[0-9]{2}-[0-9]{2}")  # as it stands, and a day: no trap
_WORDS = {"yes", "no", "on", "off", "true", "false", "null"}  # traps
_QUOTED = re.compile(r"\"([^\"\\]*)\"|'([^']*)'")
_FLOW = re.compile(r"\[([^\[\]{}\"'#&*!|>%@`:?\\]*)\]")
_ITEM = re.compile(r"( *)- (.+)\n")
_FOLDED = re.compile(r"  (\S(?:.*\S)?)\n")


def read_simple(lines: Sequence[str]) -> tuple[dict[str, Value], dict[str, int]] | None:
    """The keys with their values, and the line of each (the opening fence is line 1); None where a line is not simple
    enough to be sure."""
    source = "".join(lines)
    if len(source) > _LIMIT or _ODD.search(source):
        return None
    found: dict[str, Value] = {}
    where: dict[str, int] = {}
    n = 0
    while n < len(lines):
        m = _KEY.fullmatch(lines[n])
        if not m or m[1] in found:
            return None
        where[m[1]] = n + 2
        value, n = _value(m[2] or "", lines, n + 1)
        if value is None:
            return None
        found[m[1]] = value
    return found, where


def _value(text: str, lines: Sequence[str], after: int) -> tuple[Value | None, int]:
    """What stands behind a colon, and where the next key begins; None where only YAML knows."""
    if text == ">-":
        return _folded(lines, after)
    if not text:
        return _items(lines, after)
    if text[0] == "[":
        return _flow(text), after
    return _scalar(text), after


def _scalar(text: str) -> str | None:
    """Quoted text, or plain text that begins like a word or a number and holds no comment and no other key."""
    if text[:1] in ("'", '"'):
        m = _QUOTED.fullmatch(text)
        return m[m.lastindex or 1] if m else None
    if not text[:1].isalnum() or text[-1] in " :" or ": " in text or " #" in text or text.lower() in _WORDS:
        return None
    return None if text[0].isdecimal() and not _NUMBER.fullmatch(text) and other_reading(text) else text


def _flow(text: str) -> Value | None:
    m = _FLOW.fullmatch(text)
    if not m:
        return None
    items = [_scalar(item.strip(" ")) for item in m[1].split(",")] if m[1].strip(" ") else []
    found = [item for item in items if item is not None]
    return found if len(found) == len(items) else None


def _items(lines: Sequence[str], at: int) -> tuple[Value | None, int]:
    """An item a line, all equally far in; nothing at all is the empty text."""
    found: list[str] = []
    indents: set[str] = set()
    while at < len(lines) and (m := _ITEM.fullmatch(lines[at])):
        item = _scalar(m[2])
        if item is None:
            return None, at
        found.append(item)
        indents.add(m[1])
        at += 1
    return ("" if not found else found if len(indents) == 1 else None), at


def _folded(lines: Sequence[str], at: int) -> tuple[Value | None, int]:
    found = []
    while at < len(lines) and (m := _FOLDED.fullmatch(lines[at])):
        found.append(m[1])
        at += 1
    return (" ".join(found) if found else None), at
