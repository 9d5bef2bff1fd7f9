"""YAML front matter: split, read with line numbers, and edit by lines so that nothing else in the file changes.

Reading takes every scalar as the text that stands in the file (YAML would turn `2409.17100` into a number and lose its
zero); kb.note gives the text its type. Editing replaces the lines of one key and leaves every other byte alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kb.problem import KbError
from kb.scalars import key_block, scalar
from kb.simple_yaml import read_simple
from kb.traps import Fault, key_of, lost, misread, parts

_LIMIT = 256 * 1024  # characters; front matter beyond this is a mistake or an attack
_NULL = re.compile(r":[ \t]+(?:null|Null|NULL|~)[ \t]*(?:\r?$|[ \t]#)", re.M)


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
    at = text.find("\n") + 1 or len(text)
    if text[len(bom) : at].rstrip() != "---":
        return FrontMatter(bom, [], "", text[len(bom) :], 1)
    opening = text[:at]
    end = text.find("\n---\n", at)
    head = text[at : end + 1]
    if end > 0 and not head.startswith(("---", "...")) and "\n---" not in head and "\n..." not in head:
        lines = [f"{line}\n" for line in head[:-1].split("\n")]
        return FrontMatter(opening, lines, "---\n", text[end + 5 :], len(lines) + 3)
    lines = []
    while at < len(text):
        end = text.find("\n", at) + 1 or len(text)
        line = text[at:end]
        if line.rstrip() in ("---", "..."):
            return FrontMatter(opening, lines, line, text[end:], len(lines) + 3)
        lines.append(line)
        at = end
    fault = Fault(1, "front-matter", "the front matter is never closed", "end it with a line of three dashes: ---")
    return FrontMatter(bom, [], "", text[len(bom) :], 1, [fault])


def key_lines(lines: Iterable[str]) -> list[tuple[str, int]]:
    """Every top-level key and the line of the file it stands on (the opening fence is line 1)."""
    found = []
    for n, line in enumerate(lines, 2):
        if key := key_of(line):
            found.append((key, n))
    return found


def read(front: FrontMatter, text_keys: Collection[str] = ()) -> tuple[dict[str, Any], dict[str, int], list[Fault]]:
    """The keys with their values as text, lists and mappings of text; the line of each; what is wrong with them, for
    `text_keys` also what other readers would make of their values. A front matter that is no YAML is read line by line
    as far as it goes, so that its note is not lost from sight."""
    if simple := read_simple(front.lines):
        return dict(simple[0]), simple[1], list(front.faults)
    return read_yaml(front, text_keys)


def read_yaml(
    front: FrontMatter, text_keys: Collection[str] = ()
) -> tuple[dict[str, Any], dict[str, int], list[Fault]]:
    """What `read` does with whatever is not simple."""
    from kb.yaml_text import YAMLError, load

    source = "".join(front.lines)
    if len(source) > _LIMIT:
        begun = source[:_LIMIT].splitlines(keepends=True)[:1000]
        fault = Fault(2, "yaml", "the front matter is larger than 256 KB", "move what is long below it")
        return _salvage(begun), dict(key_lines(begun)), [*front.faults, fault]
    keys = key_lines(front.lines)
    faults = [*front.faults, *_repeated(front.lines, keys)]
    where = dict(keys)
    try:
        found = load(source)
    except YAMLError as error:
        faults.append(_yaml_fault(error, source, front.lines))
        return _salvage(front.lines), where, faults
    if found is None or found == "":
        found = {}
    if not isinstance(found, dict):
        faults.append(Fault(2, "yaml", "the front matter is no list of `key: value` lines", "write `title: …`"))
        return {}, where, faults
    read = {str(k): v for k, v in found.items()}
    for key, n in keys if _NULL.search(source) else ():
        if key in read and _NULL.match(front.lines[n - 2], len(front.lines[n - 2].partition(":")[0])):
            read[key] = ""
    return read, where, [*faults, *misread(front.lines), *lost(front.lines, text_keys)]


def _repeated(lines: list[str], keys: Iterable[tuple[str, int]]) -> Iterator[Fault]:
    """Keys that stand twice."""
    where: dict[str, int] = {}
    for key, n in keys:
        if key in where:
            safe = _spare(lines, where[key] - 2, n - 2) is not None
            yield Fault(n, "duplicate-key", f"'{key}' stands on line {where[key]} too", "keep one of the two", safe)
        where[key] = n


def _spare(lines: list[str], *places: int) -> int | None:
    """Which of two lines of one key can go: one that is empty, or says the same. None where a person must choose."""
    if any(at + 1 < len(lines) and lines[at + 1][:1] in (" ", "\t", "-") for at in places):
        return None
    values = [parts(lines[at])[1] for at in places]
    if not values[0]:
        return places[0]
    return places[1] if values[1] in ("", values[0]) else None


def without_spare(lines: list[str], key: str) -> list[str]:
    """The lines without one that repeats a key and adds nothing."""
    at = [n for n, line in enumerate(lines) if key_of(line) == key]
    for places in zip(at, at[1:], strict=False):
        if (spare := _spare(lines, *places)) is not None:
            return [*lines[:spare], *lines[spare + 1 :]]
    return lines


def _yaml_fault(error: Exception, source: str, lines: list[str]) -> Fault:
    mark = getattr(error, "problem_mark", None)  # its `line` counts line ends that no editor counts
    place = mark.index if mark is not None else getattr(error, "position", 0)
    at = max(0, min(source.count("\n", 0, place), len(lines) - 1))
    from kb.yaml_text import Refused

    if isinstance(error, Refused):
        message = f"the front matter {error.problem}, which kb does not read"
        return Fault(at + 2, "yaml", message, "quote the value, or write it out")
    told = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).splitlines()[0]
    if c := re.search(r"[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", source):
        at = source.count("\n", 0, c.start())
        return Fault(at + 2, "yaml", f"a control character U+{ord(c[0]):04X} stands in the front matter", "take it out")
    key, value = (key_of(lines[at]), parts(lines[at])[1]) if lines else ("", "")
    if key and (value[:1] not in ("", '"', "'", "[", "{", "|", ">") or value.startswith("[[")):
        return Fault(at + 2, "yaml", f"'{key}' is no YAML: {told}", f"quote it: {key}: {scalar(value)}", True)
    return Fault(at + 2, "yaml", f"the front matter is no YAML here: {told}", "look for an unclosed bracket or quote")


def _salvage(lines: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in lines:
        if (key := key_of(line)) and (value := parts(line)[1]) and value not in ("|", ">", "|-", ">-"):
            bare = value if value[0] in "\"'#" else re.sub(r"(?<![ \t])[ \t]+#.*$", "", value)
            found[key] = bare.strip("\"'") if bare[0] not in "[{" else _inline_list(bare)
    return found


def _inline_list(value: str) -> Any:
    from kb.yaml_text import YAMLError, load

    try:
        return load(value)
    except YAMLError:
        return value


def compose(meta: Mapping[str, object], body: str) -> str:
    """A new file."""
    head = "".join("".join(key_block(k, v)) for k, v in meta.items())
    return f"---\n{head}---\n\n{body.strip()}\n" if body.strip() else f"---\n{head}---\n"


def edit(text: str, changes: Mapping[str, object], order: tuple[str, ...] = ()) -> str:
    """`text` with some keys set (None removes a key). Only the lines of those keys change; a comment after a value, the
    order of keys and the line ends stay. New keys go where `order` puts them among those that are there."""
    from kb.line_edits import set_key

    front = split(text)
    if not changes:
        return text
    if front.faults:
        raise KbError(f"line {front.faults[0].line}: {front.faults[0].message}; {front.faults[0].hint}")
    newline = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    lines = list(front.lines)
    for key, value in changes.items():
        set_key(lines, key, value, order, newline)
    if not front.closing and lines:
        front.opening, front.closing = f"{front.opening}---{newline}", f"---{newline}"
    _verify(front.lines, lines, changes)
    return front.opening + "".join(lines) + front.closing + front.body


def _refuse_unread(lines: list[str], changes: Mapping[str, object]) -> None:
    """A list that kb could not read (an unclosed bracket, an anchor) must not be written anew from its pieces."""
    for n, line in enumerate(lines, 2):
        value = parts(line)[1]
        if key_of(line) in changes and value[:1] in ("[", "{", "&", "*") and isinstance(_inline_list(value), str):
            raise KbError(f"line {n}: kb cannot read `{line.strip()}`; mend it first")


def _verify(old: list[str], new: list[str], changes: Mapping[str, object]) -> None:
    """Line by line is not how YAML reads: where an edit would change more than its keys, or less, it is not made."""
    from kb.line_edits import as_text
    from kb.yaml_text import YAMLError, load

    try:
        before = load("".join(old)) or {}
    except YAMLError:  # what is no YAML yet cannot be compared
        _refuse_unread(old, changes)
        return
    try:
        after = load("".join(new)) or {}
    except YAMLError:
        after = None
    wanted = {key: as_text(value) for key, value in changes.items() if value is not None}
    if isinstance(before, dict):
        wanted |= {key: value for key, value in before.items() if key not in changes}
    if not isinstance(before, dict) or after != wanted:
        raise KbError(f"its front matter is written in a way that kb cannot edit; set {', '.join(changes)} by hand")
