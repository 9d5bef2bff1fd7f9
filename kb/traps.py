"""Front matter that is good YAML and not what its writer meant: what other readers make of it, and how to mend it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from kb.problem import Level
from kb.scalars import scalar

# A top-level key with its colon: quoted, or a word in any script; not what continues a value.
KEY = re.compile(
    r"(?:\"([^\"\n]+)\"|'([^'\n]+)'|([^\W\d_](?:[ \t]*[^ \t\n:#\"'\[\]{},])*|_[\w.-]*|\d[\w.-]*?))"
    r"[ \t]*:(?=[ \t\r\n]|$)"
)
_ITEM = re.compile(r"[ \t]*-[ \t]+(?=\S)")
_NOT_PLAIN = re.compile(r"[\"'\[\]{}#&*!|>%@`,]")  # what no plain value begins with
_COMMENT = re.compile(r"[ \t]#")
_IN_FLOW = re.compile(  # [a, b] and {k: a}
    r"(?:(?<=[\[,{])|(?<=: ))[ \t]*([^\s,\[\]{}\"'#](?:(?!: )[^,\[\]{}\"'#])*?)[ \t]*(?=[,\]}])"
)
_QUOTED = re.compile(r"""(?<![^\s\[\]{},:])(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\n]|'')*')""")
_MISREAD = re.compile(r"[:-][ \t]+(?:#\w|\[\[)")  # what may be misread or lost, as far as one look at everything tells
_LOST = re.compile(  # true, 1e3, 0704.0001; no plain number and no day
    r"(?:[,\[{][ \t]*|:[ \t]+|^[ \t]*-[ \t]+)(?i:yes|no|on|off|true|false|[-+]?\.(?:inf|nan)"
    r"|(?!(?:0|[1-9]\d*)(?:[\s,\]}]|$)|\d{4}-\d\d(?:-\d\d)?[\s,\]}])[-+]?[._]*\d[\w.:+-]*)"
    r"(?=[ \t]*(?:[\r\n,\]}]|[ \t]#|$))",
    re.M,
)
_LINK = re.compile(r"(\[\[[^\[\]\r\n]+\]\])[ \t]*(?:#.*)?$")
_INT = re.compile(r"[-+]?(?:0|[1-9][\d_]*)")
_FLOAT = re.compile(r"[-+]?(?:\d[\d_]*\.[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?|[-+]?\d[\d_]*[eE][-+]?\d+")
_BASED = re.compile(r"([-+]?)(?:0([xob])([\da-fA-F_]+)|(\d[\d_]*|(?<=[-+])_[\d_]*\d[\d_]*))")
_CLOCK = re.compile(r"([-+]?)(\d[\d_]*(?::[0-5]?\d)+(?=\.)|[1-9][\d_]*(?::[0-5]?\d)+)(\.[\d_]*)?")


@dataclass
class Fault:
    """What is wrong in a front matter: the line in the file, and the words of a Problem."""

    line: int
    check: str
    message: str
    hint: str = ""
    fixable: bool = False
    level: Level = "error"


def key_of(line: str) -> str:
    """The top-level key that a line begins; '' where it begins none."""
    m = KEY.match(line)
    return m[m.lastindex or 0].rstrip() if m else ""


def parts(line: str) -> tuple[str, str, str]:
    """A line of a key or of a list as what stands before the value, the value with its comment, and the line end."""
    m = KEY.match(line) or _ITEM.match(line)
    end = m.end() if m else 0
    rest = line[end:]
    value = rest.strip()
    at = rest.index(value) if value else len(rest.rstrip("\r\n"))
    return line[: end + at], value, rest[at + len(value) :]


def misread(lines: Sequence[str]) -> Iterator[Fault]:
    """Comments and nested lists that were meant as text: `tags: #ml`, `part_of: [[x]]`."""
    if not _MISREAD.search("".join(lines)):
        return
    for n, key, line in _valued(lines):
        head, value, _ = parts(line)
        if re.match(r"#\w", value):
            shown = f"{head.strip()} {value}"
            message = f"YAML reads `{shown}` as empty: # begins a comment"
            yield Fault(n, "yaml-trap", message, f"write {mended(line, key).strip()}", True)
        elif m := _LINK.match(value):
            message = f"YAML reads {m[1]} as a list in a list"
            yield Fault(n, "yaml-trap", message, f'quote it: {head.strip()} "{m[1]}"', True)


def lost(lines: Sequence[str], keys: Collection[str]) -> Iterator[Fault]:
    """Text under some keys that other readers of YAML take for a number, a time or a truth value, and lose."""
    if not _LOST.search("".join(lines)):
        return
    for n, key, line in _valued(lines):
        if key in keys and _LOST.search(line):
            for value, other in _lost_values(line):
                message = f"other readers of YAML take {value} under '{key}' for {other}"
                yield Fault(n, "yaml-trap", message, f'quote it: "{value}"', True, "warning")


def _valued(lines: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """The lines of keys, and of lists an item a line, with the number in the file and the key."""
    key, listed = "", False
    for n, line in enumerate(lines, 2):
        if found := key_of(line):
            key = found
            value = parts(line)[1]
            listed = not value or value.startswith("# ")
            yield n, key, line
        elif listed and _ITEM.match(line):
            yield n, key, line
        elif line.strip() and not line.lstrip().startswith("#"):
            listed = listed and line[:1] in (" ", "\t")  # a further line of an item


def _lost_values(line: str) -> Iterator[tuple[str, str]]:
    for start, end in _plain_places(line):
        if other := other_reading(line[start:end]):
            yield line[start:end], other


def _plain_places(line: str) -> Iterator[tuple[int, int]]:
    """Where unquoted values stand in a line: after its key or dash, and in [ ] and { }."""
    head, value, _ = parts(line)
    if not head.strip():
        return
    if value[:1] in ("[", "{"):
        bare = _QUOTED.sub(lambda m: '"' * len(m[0]), line)  # a comma in quotes parts nothing
        yield from (m.span(1) for m in _IN_FLOW.finditer(bare, len(head)))
    elif value and not _NOT_PLAIN.match(value):
        comment = _COMMENT.search(value)
        plain = value[: comment.start()] if comment else value
        yield len(head), len(head) + len(plain.rstrip(" \t"))


def other_reading(text: str) -> str:
    """What a reader of YAML 1.1 or 1.2 makes of an unquoted text, where that is not the text again; else ''."""
    if re.fullmatch(r"(?i:yes|on|true)", text):
        return "true" if text != "true" else "the truth value true"
    if re.fullmatch(r"(?i:no|off|false)", text):
        return "false" if text != "false" else "the truth value false"
    if re.fullmatch(r"(?i:[-+]?\.inf|\.nan)", text):
        return "a number"
    plain = text.replace("_", "")
    if _INT.fullmatch(text):
        found = str(int(plain))
    elif _FLOAT.fullmatch(text):
        found = repr(float(plain)).removesuffix(".0")
    elif m := _CLOCK.fullmatch(text):
        total = 0
        for part in m[2].replace("_", "").split(":"):
            total = total * 60 + int(part)
        found = f"{m[1]}{total}{m[3] or ''}"
    else:
        found = _based(text)
    return "" if found == text else found


def _based(text: str) -> str:
    """0x1F, 0b11, 0o17, and 017, which is 15 in YAML 1.1 and 17 in YAML 1.2."""
    m = _BASED.fullmatch(text)
    digits = (m[3] or m[4]).replace("_", "") if m else ""
    if not m or not digits:
        return text
    try:
        return str(int(m[1] + digits, {"x": 16, "o": 8, "b": 2, None: 8}[m[2]]))
    except ValueError:
        return text if m[2] else str(int(m[1] + digits))


def mended(line: str, key: str) -> str:
    """A line with its values quoted where YAML would misread them; `tags: #a #b` as a list. `key` is the key whose
    lines it is among."""
    head, value, end = parts(line)
    if not head.strip():
        return line
    if (key or key_of(line)) == "tags" and value.startswith("#") and not _ITEM.match(line):
        return f"{head}[{', '.join(value.replace('#', ' ').replace(',', ' ').split())}]{end}"
    if m := _LINK.match(value):
        return f'{head}"{m[1]}"{value[m.end(1) :]}{end}'
    places = [(start, stop) for start, stop in _plain_places(line) if other_reading(line[start:stop])]
    if places:
        for start, stop in reversed(places):
            line = f'{line[:start]}"{line[start:stop]}"{line[stop:]}'
        return line
    return f"{head}{scalar(value)}{end}"
