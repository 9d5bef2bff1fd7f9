"""Writing values as YAML that every reader, of YAML 1.1 or 1.2, reads as what was meant."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

DATES = ("added", "started", "finished", "published")  # keys whose days stay unquoted, as Obsidian's Properties want it
_WIDTH = 100
_WORDS = re.compile(r"(?i:<<|y|n|yes|no|on|off|true|false|null|~|\.nan|[-+]?\.inf|[-+]?0[xb][\da-f_]+)")
_NUMBER = re.compile(r"[-+.]?_*\d[\d_.,:xXoOeE+-]*|\d{4}-\d\d?-\d\d?(?:[Tt\s].*)?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def scalar(value: object, quote: str = "") -> str:
    """A value on one line, quoted where a reader would take it for something else; `quote` (' or ") quotes it anyway,
    with that sign where it can."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    if quote == "'" and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return text if _is_plain(text) and not quote else _quoted(text)


def _is_plain(text: str) -> bool:
    if not text or text != text.strip() or not text.isprintable():
        return False
    if text[0] in "-?:,[]{}#&*!|>'\"%@`=" or ": " in text or " #" in text or text.endswith(":"):
        return False
    return not _WORDS.fullmatch(text) and not _NUMBER.fullmatch(text)


def _quoted(text: str) -> str:
    return "".join(c if c.isprintable() else _escaped(c) for c in json.dumps(text, ensure_ascii=False))


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def flow(value: object) -> str:
    """A value inside [ ] or { }, where a comma, a bracket or (for PyYAML) a question mark needs quotes as well."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(str(k))}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(v) for v in value) + "]"
    text = scalar(value)
    plain = isinstance(value, str) and text == value
    return _quoted(str(value)) if plain and re.search(r"[,?\[\]{}]", text) else text


def key_block(key: str, value: object, quote: str = "", fold: bool = True) -> list[str]:
    """The lines of one key: lists on one line, or an item a line where they are long or hold mappings; long text
    folded, unless `fold` forbids it."""
    if value is None or value == "":
        return [f"{key}:\n"]
    if isinstance(value, Mapping):
        return [f"{key}: {flow(value)}\n"]
    if isinstance(value, list | tuple):
        one_line = f"{key}: {flow(value)}\n"
        if value and (len(one_line) > _WIDTH or any(isinstance(v, Mapping) for v in value)):
            return [f"{key}:\n", *(f"  - {flow(v)}\n" for v in value)]
        return [one_line]
    text = str(value)
    if (
        fold
        and isinstance(value, str)
        and len(text) > _WIDTH + 10
        and text.isprintable()
        and " ".join(text.split()) == text
    ):
        import textwrap

        folded = textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
        return [f"{key}: >-\n", *(f"  {line}\n" for line in folded)]
    bare = key in DATES and _DAY.fullmatch(text) and not quote
    return [f"{key}: {text if bare else scalar(value, quote)}\n"]
