"""Setting one key among the lines of a front matter: the lines of other keys, comments, spelling and line ends stay."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import yaml

from kb.scalars import flow, key_block
from kb.traps import key_of, parts
from kb.yaml_text import LOADER, guard, load


def set_key(lines: list[str], key: str, value: object, order: tuple[str, ...], newline: str) -> None:
    """Give a key a value, or take it out (None); `lines` is changed in place. A new key goes where `order` puts it."""
    blocks = _blocks(lines)
    if key not in blocks:
        at = _place(blocks, key, order, len(lines))
        new = [] if value is None else key_block(key, value, fold=not _is_space(lines[at : at + 1]))
        lines[at:at] = [line.replace("\n", newline) for line in new]
        return
    start, end, node = blocks[key]
    if value is None:
        above = [getattr(n, "style", None) for _, stop, n in blocks.values() if stop <= start]
        while above and above[-1] in ("|", ">") and _is_space(lines[end : end + 1]):
            end += 1  # else it would join the text above
        del lines[start:end]
        if key in _blocks(lines):  # a key that stands twice
            set_key(lines, key, None, order, newline)
        return
    old = lines[start:end]
    if node is not None and as_text(value) == _loaded(node):
        return
    begin = sum(map(len, lines[:start]))
    edited = _edit_list(old, begin, node, value, newline) if isinstance(value, list | tuple) and value else None
    lines[start:end] = edited or _rewritten(old, key, value, newline, not _is_space(lines[end : end + 1]))


def _is_space(lines: list[str]) -> bool:
    """Whether a line of spaces comes next, which would be part of folded text above it."""
    return any(line.strip("\r\n") and not line.strip() for line in lines)


def _rewritten(old: list[str], key: str, value: object, newline: str, fold: bool) -> list[str]:
    """A key's lines with another value: the key as it is spelled, the space and the comment beside it, and the sign in
    which the value was quoted stay."""
    head, was, _ = parts(old[0])
    if not was or was.startswith("#"):
        head = head.rstrip() + " "
    quote = was[:1] if was[:1] in ("'", '"') else ""
    new = [line.replace("\n", newline) for line in key_block(key, value, quote, fold)]
    now = parts(new[0])[1]
    first = f"{head}{now}{newline}" if now else f"{head.rstrip()}{newline}"
    return [_keep_comment(old[0], first, newline), *new[1:]]


def _blocks(lines: list[str]) -> dict[str, tuple[int, int, Any]]:
    """Where each key's lines begin and end, and its value as YAML composes it; comments and blank lines after a value
    belong to nobody. What is no YAML is cut by its looks."""
    starts = _starts(lines)
    found: dict[str, tuple[int, int, Any]] = {}
    for i, (n, key, node) in enumerate(starts):
        end = starts[i + 1][0] if i + 1 < len(starts) else len(lines)
        kept = "" if getattr(node, "style", None) not in ("|", ">") else "+" if "+" in parts(lines[n])[1] else " "
        while end > n + 1 and _is_nobodys(lines[end - 1], kept):
            end -= 1
        found[key] = (n, end, node)
    return found


def _is_nobodys(line: str, kept: str) -> bool:
    """A comment or blank line. Below a block of text, a line of spaces may be text (`kept` is " "), and so may an empty
    one (`kept` is "+")."""
    if line.startswith("#"):
        return True
    return not line.strip(None if not kept else "\r\n") and kept != "+"


def _starts(lines: list[str]) -> list[tuple[int, str, Any]]:
    source = "".join(lines)
    try:
        guard(source)
        root: Any = yaml.compose(source, LOADER)
    except yaml.YAMLError:
        return [(n, key, None) for n, line in enumerate(lines) if (key := key_of(line))]
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return []
    return [(source.count("\n", 0, key.start_mark.index), str(key.value), value) for key, value in root.value]


def _place(blocks: Mapping[str, tuple[int, int, Any]], key: str, order: tuple[str, ...], end: int) -> int:
    """After the nearest key that comes before it in the house's order; else at the end."""
    before = order[: order.index(key)] if key in order else ()
    for other in reversed(before):
        if other in blocks:
            return blocks[other][1]
    return max((stop for _, stop, _ in blocks.values()), default=end)


def _loaded(node: Any) -> Any:
    """A composed value as text, lists and mappings of text."""
    if isinstance(node, yaml.SequenceNode):
        return [_loaded(item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return {_loaded(key): _loaded(value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    return node.value


def as_text(value: object) -> Any:
    """A value as it is read: text, lists and mappings of text."""
    if isinstance(value, Mapping):
        return {str(k): as_text(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [as_text(v) for v in value]
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _keep_comment(old: str, new: str, newline: str) -> str:
    """The new line with the comment of the old one: what can be cut off without changing the value."""
    old, marks = old.rstrip(), re.finditer(r"(?<![ \t])[ \t]+#", old)
    for at in (m.start() for m in islice(marks, 20)):
        try:
            if load(old[:at]) == load(old):
                return new.rstrip("\r\n") + old[at:] + newline
        except yaml.YAMLError:  # the mark stands inside quotes
            continue
    return new


def _edit_list(block: list[str], begin: int, node: Any, value: Iterable[object], newline: str) -> list[str] | None:
    """A list with other items, in the lines and the style it is written in; None where that style is another. `begin`
    is where the block begins among the characters of the front matter."""
    wanted = list(value)
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        return None
    return (
        _edit_flow("".join(block), begin, node, wanted)
        if node.flow_style
        else _edit_items(block, node, wanted, newline)
    )


def _edit_flow(source: str, begin: int, node: Any, wanted: list[object]) -> list[str] | None:
    """[a, b] with items taken out or added behind, and the others as they are spelled."""
    read = [as_text(value) for value in wanted]
    items = [(_loaded(n), n.start_mark.index - begin, n.end_mark.index - begin) for n in node.value]
    kept = [value for value, _, _ in items if value in read]
    if not kept or read[: len(kept)] != kept:
        return None
    lead = next(n for n, item in enumerate(items) if item[0] in read)
    last = max(end for value, _, end in items if value in read)
    places = [(last, last, "".join(f", {flow(value)}" for value in wanted[len(kept) :]))]
    places += [(items[0][1], items[lead][1], "")] if lead else []
    for (_, _, before), (value, _, end) in zip(items[lead:], items[lead + 1 :], strict=False):
        places += [(before, end, "")] if value not in read else []
    for start, end, new in sorted(places, reverse=True):
        source = source[:start] + new + source[end:]
    return [line + "\n" for line in source.split("\n")[:-1]]


def _edit_items(block: list[str], node: Any, wanted: list[object], newline: str) -> list[str] | None:
    """A list written an item a line keeps the lines of the items that stay, and the comments beside and above them."""
    first = block[0]
    lead, above = "", ""
    texts: list[str] = []
    for line in block[1:]:
        m = re.match(r"([ \t]*)-(?:[ \t]+|\r?\n?$)", line)
        if m and (not lead or len(m[1]) == len(lead.partition("-")[0])):
            lead = lead or m[0].rstrip("\r\n")
            texts.append(above + line)
            above = ""
        elif not line.strip() or line.lstrip().startswith("#"):
            above += line
        elif texts:
            texts[-1] += above + line
            above = ""
        else:
            return None
    if len(texts) != len(node.value) or "- " not in lead + " ":
        return None
    spelled = {repr(_loaded(item)): text for item, text in zip(node.value, texts, strict=True)}
    lead = lead if lead.endswith((" ", "\t")) else f"{lead} "
    return [first, *(spelled.get(repr(as_text(w)), f"{lead}{flow(w)}{newline}") for w in wanted), above]
