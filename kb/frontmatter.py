"""YAML front matter: split, read with line numbers, and edit by lines so that nothing else in the file changes.

Reading takes every scalar as the text that stands in the file (YAML would turn `2409.17100` into a number and lose its
zero); kb.note gives the text its type. Editing replaces the lines of one key and leaves every other byte alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import yaml

from kb.problem import KbError

_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_KEY = re.compile(r"[\"']?([A-Za-z_][\w .-]*?)[\"']?[ \t]*:(?=[ \t\r\n]|$)")
_LIMIT = 256 * 1024  # characters; front matter beyond this is a mistake or an attack
_DEEPEST = 20  # levels of lists and mappings: the C loader's stack ends somewhere
_COSTLY = re.compile(r"[&*]|^ {40}|(?:[-?:][ \t]+){20}", re.M)


@dataclass
class Fault:
    """What is wrong in a front matter: the line in the file, and the words of a Problem."""

    line: int
    check: str
    message: str
    hint: str = ""
    fixable: bool = False


@dataclass
class FrontMatter:
    """A file in two halves. `lines` are those between the `---` fences, with their line ends; `body` starts at line
    `body_line` of the file. `text == opening + ''.join(lines) + closing + body`."""

    opening: str
    lines: list[str]
    closing: str
    body: str
    body_line: int
    faults: list[Fault] = field(default_factory=list)


def split(text: str) -> FrontMatter:
    """Cut a file at its front matter; without one, `opening` and `closing` are empty."""
    bom = "\ufeff" if text.startswith("\ufeff") else ""
    lines = text[len(bom) :].split("\n")
    lines = [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    if not lines or lines[0].rstrip() != "---":
        return FrontMatter(bom, [], "", text[len(bom) :], 1)
    for n, line in enumerate(lines[1:], 1):
        if line.rstrip() in ("---", "..."):
            return FrontMatter(bom + lines[0], lines[1:n], line, "".join(lines[n + 1 :]), n + 2)
    fault = Fault(1, "front-matter", "the front matter is never closed", "end it with a line of three dashes: ---")
    return FrontMatter(bom, [], "", text[len(bom) :], 1, [fault])


def key_lines(lines: Iterable[str]) -> list[tuple[str, int]]:
    """Every top-level key and the line of the file it stands on (the opening fence is line 1)."""
    found = []
    for n, line in enumerate(lines, 2):
        if m := _KEY.match(line):
            found.append((m[1], n))
    return found


def read(front: FrontMatter) -> tuple[dict[str, Any], dict[str, int], list[Fault]]:
    """The keys with their values as text, lists and mappings of text; the line of each; what is wrong with them.
    A front matter that is no YAML is read line by line as far as it goes, so that its note is not lost from sight."""
    faults = list(front.faults)
    keys = key_lines(front.lines)
    where: dict[str, int] = {}
    for key, n in keys:
        if key in where:
            faults.append(Fault(n, "duplicate-key", f"'{key}' stands on line {where[key]} too", "keep one of the two"))
        where[key] = n
    source = "".join(front.lines)
    if len(source) > _LIMIT:
        faults.append(Fault(2, "yaml", "the front matter is larger than 256 KB", "move what is long below it"))
        return _salvage(front.lines), where, faults
    try:
        found = _load(source)
    except yaml.YAMLError as error:
        faults.append(_yaml_fault(error, source, front.lines))
        return _salvage(front.lines), where, faults
    if found is None or found == "":
        found = {}
    if not isinstance(found, dict):
        faults.append(Fault(2, "yaml", "the front matter is no list of `key: value` lines", "write `title: …`"))
        return {}, where, faults
    return {str(k): v for k, v in found.items()}, where, faults + _traps(front.lines)


class _Refused(yaml.MarkedYAMLError):
    """Good YAML that kb does not read."""


def _load(source: str) -> Any:
    """YAML with every scalar as text. Aliases and deep nesting, by which a small file can take all memory or end the
    process, are errors like any other."""
    if _COSTLY.search(source) or source.count("[") + source.count("{") > _DEEPEST:
        depth = 0
        event: Any
        for event in yaml.parse(source, _Loader):
            if getattr(event, "anchor", None):
                raise _Refused(problem="uses YAML anchors (& or *)", problem_mark=event.start_mark)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise _Refused(problem=f"is more than {_DEEPEST} levels deep", problem_mark=event.start_mark)
    return yaml.load(source, _Loader)


def _yaml_fault(error: yaml.YAMLError, source: str, lines: list[str]) -> Fault:
    mark = getattr(error, "problem_mark", None)  # its `line` counts line ends that no editor counts
    place = mark.index if mark is not None else getattr(error, "position", 0)
    at = max(0, min(source.count("\n", 0, place), len(lines) - 1))
    if isinstance(error, _Refused):
        message = f"the front matter {error.problem}, which kb does not read"
        return Fault(at + 2, "yaml", message, "quote the value, or write it out")
    told = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).splitlines()[0]
    if c := re.search(r"[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", source):
        at = source.count("\n", 0, c.start())
        return Fault(at + 2, "yaml", f"a control character U+{ord(c[0]):04X} stands in the front matter", "take it out")
    m = _KEY.match(lines[at]) if lines else None
    value = lines[at][m.end() :].strip() if m else ""
    if m and value[:1] not in ("", '"', "'", "[", "{", "|", ">"):
        return Fault(at + 2, "yaml", f"'{m[1]}' is no YAML: {told}", f"quote it: {m[1]}: {scalar(value)}", True)
    return Fault(at + 2, "yaml", f"the front matter is no YAML here: {told}", "look for an unclosed bracket or quote")


def _traps(lines: list[str]) -> list[Fault]:
    """What is good YAML and not what its writer meant."""
    found = []
    for n, line in enumerate(lines, 2):
        m = _KEY.match(line)
        if not m:
            continue
        value = line[m.end() :].strip()
        if re.match(r"#\w", value):
            quoted = f"quote it: {m[1]}: {scalar(value)}"
            message = f"YAML reads `{m[1]}: {value}` as empty: # begins a comment"
            found.append(Fault(n, "yaml-trap", message, quoted, True))
        elif re.fullmatch(r"\[\[[^\[\]]+\]\](\s+#.*)?", value):
            link = value[: value.index("]]") + 2]
            message = f"YAML reads {link} as a list in a list"
            found.append(Fault(n, "yaml-trap", message, f'quote it: {m[1]}: "{link}"', True))
    return found


def _salvage(lines: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in lines:
        if (m := _KEY.match(line)) and (value := line[m.end() :].strip()) and value not in ("|", ">", "|-", ">-"):
            found[m[1]] = value.strip("\"'") if value[0] not in "[{" else _inline_list(value)
    return found


def _inline_list(value: str) -> Any:
    try:
        return _load(value)
    except yaml.YAMLError:
        return value


# Writing


def scalar(value: object) -> str:
    """A value on one line, quoted where a YAML reader (1.1 or 1.2) would take it for something else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    return text if _is_plain(text) else _quoted(text)


def _is_plain(text: str) -> bool:
    if not text or text != text.strip() or not text.isprintable():
        return False
    if text[0] in "-?:,[]{}#&*!|>'\"%@`=" or ": " in text or " #" in text or text.endswith(":"):
        return False
    if re.fullmatch(r"(?i:<<|y|n|yes|no|on|off|true|false|null|~|\.nan|[-+]?\.inf|[-+]?0x[\da-f_]+)", text):
        return False
    return re.fullmatch(r"\d{4}-\d\d-\d\d", text) is not None or not re.match(r"[-+.]?\d[\d_.,:xXoOeE+-]*$", text)


def _quoted(text: str) -> str:
    return "".join(c if c.isprintable() else _escaped(c) for c in json.dumps(text, ensure_ascii=False))


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def _flow(value: object) -> str:
    """A value inside [ ] or { }, where a comma or bracket needs quotes as well."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(v) for v in value) + "]"
    text = scalar(value)
    return _quoted(str(value)) if isinstance(value, str) and text == value and re.search(r"[,\[\]{}]", text) else text


def key_block(key: str, value: object) -> list[str]:
    """The lines of one key: lists on one line, or an item a line where they are long or hold mappings."""
    if value is None or value == "":
        return [f"{key}:\n"]
    if isinstance(value, Mapping):
        return [f"{key}: {_flow(value)}\n"]
    if isinstance(value, list | tuple):
        one_line = f"{key}: {_flow(value)}\n"
        if value and (len(one_line) > 100 or any(isinstance(v, Mapping) for v in value)):
            return [f"{key}:\n", *(f"  - {_flow(v)}\n" for v in value)]
        return [one_line]
    text = str(value)
    if isinstance(value, str) and len(text) > 110 and text.isprintable() and text == " ".join(text.split()):
        import textwrap

        folded = textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False)
        return [f"{key}: >-\n", *(f"  {line}\n" for line in folded)]
    return [f"{key}: {scalar(value)}\n"]


def compose(meta: Mapping[str, object], body: str) -> str:
    """A new file."""
    head = "".join("".join(key_block(k, v)) for k, v in meta.items())
    return f"---\n{head}---\n\n{body.strip()}\n" if body.strip() else f"---\n{head}---\n"


def edit(text: str, changes: Mapping[str, object], order: tuple[str, ...] = ()) -> str:
    """`text` with some keys set (None removes a key). Only the lines of those keys change; a comment after a value, the
    order of keys and the line ends stay. New keys go where `order` puts them among those that are there."""
    front = split(text)
    if not changes:
        return text
    if front.faults:
        raise KbError(f"line {front.faults[0].line}: {front.faults[0].message}; {front.faults[0].hint}")
    newline = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    lines = list(front.lines)
    for key, value in changes.items():
        _set(lines, key, value, order, newline)
    if not front.closing and lines:
        front.opening, front.closing = f"{front.opening}---{newline}", f"---{newline}"
    _verify(front.lines, lines, changes)
    return front.opening + "".join(lines) + front.closing + front.body


def _verify(old: list[str], new: list[str], changes: Mapping[str, object]) -> None:
    """Line by line is not how YAML reads: where an edit would change more than its keys, it is not made."""
    try:
        before = _load("".join(old))
    except yaml.YAMLError:  # what is no YAML yet cannot be compared
        return
    try:
        after = _load("".join(new))
    except yaml.YAMLError:
        after = ""
    kept = [{k: v for k, v in (found or {}).items() if k not in changes} for found in (before, after)
            if isinstance(found or {}, dict)]  # fmt: skip
    if len(kept) != 2 or kept[0] != kept[1]:
        raise KbError(f"its front matter is written in a way that kb cannot edit; set {', '.join(changes)} by hand")


def _set(lines: list[str], key: str, value: object, order: tuple[str, ...], newline: str) -> None:
    spans = _spans(lines)
    new = [] if value is None else [line.replace("\n", newline) for line in key_block(key, value)]
    if key not in spans:
        at = _place(spans, key, order, len(lines))
        lines[at:at] = new
        return
    start, end = spans[key]
    if value == _value_of(lines[start:end], key):
        return
    edited = _edit_list(lines[start:end], value, newline) if new and isinstance(value, list | tuple) else None
    lines[start:end] = edited or ([_keep_comment(lines[start], new[0], newline), *new[1:]] if new else [])


def _spans(lines: list[str]) -> dict[str, tuple[int, int]]:
    """Where each key's lines begin and end; comments and blank lines after a value belong to nobody."""
    starts = [(n, m[1]) for n, line in enumerate(lines) if (m := _KEY.match(line))]
    found: dict[str, tuple[int, int]] = {}
    for i, (n, key) in enumerate(starts):
        end = starts[i + 1][0] if i + 1 < len(starts) else len(lines)
        while end > n + 1 and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
            end -= 1
        found[key] = (n, end)
    return found


def _place(spans: Mapping[str, tuple[int, int]], key: str, order: tuple[str, ...], end: int) -> int:
    """After the nearest key that comes before it in the house's order; else at the end."""
    before = order[: order.index(key)] if key in order else ()
    for other in reversed(before):
        if other in spans:
            return spans[other][1]
    return max((stop for _, stop in spans.values()), default=end)


def _value_of(lines: list[str], key: str) -> Any:
    try:
        found = _load("".join(lines))
    except yaml.YAMLError:
        return None
    return found.get(key) if isinstance(found, dict) else None


def _keep_comment(old: str, new: str, newline: str) -> str:
    """The new line with the comment of the old one: what can be cut off without changing the value."""
    old, marks = old.rstrip(), re.finditer(r"(?<![ \t])[ \t]+#", old)
    for at in (m.start() for m in islice(marks, 20)):
        try:
            if _load(old[:at]) == _load(old):
                return new.rstrip("\r\n") + old[at:] + newline
        except yaml.YAMLError:  # the mark stands inside quotes
            continue
    return new


def _edit_list(block: list[str], value: Iterable[object], newline: str) -> list[str] | None:
    """A list written an item a line keeps the lines of the items that stay, and the comments beside and above them."""
    items: dict[str, str] = {}
    lead, above = "", ""
    for line in block[1:]:
        if not line.strip() or line.lstrip().startswith("#"):
            above += line
            continue
        m = re.match(r"([ \t]*-[ \t]+)(.*)", line)
        if not m:
            return None
        lead = lead or m[1]
        items[str(_inline_list(m[2].rstrip()))] = above + line
        above = ""
    wanted = list(value)
    if not items or not wanted:
        return None
    return [block[0], *(items.get(str(v), f"{lead}{_flow(v)}{newline}") for v in wanted), above]
