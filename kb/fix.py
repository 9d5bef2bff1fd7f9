"""Mending what can be mended without asking: `kb check --fix`."""

from __future__ import annotations

import re

from kb import frontmatter
from kb.files import Journal, read_bytes
from kb.library import Library
from kb.note import parse_note
from kb.problem import KbError, Problem


def fix(library: Library) -> list[Problem]:
    """Mend every fixable Problem in one change; returns those that are gone. Open the library anew to see it so."""
    read: dict[str, bytes | None] = {}
    writes: dict[str, bytes | None] = {}
    fixed: list[Problem] = []
    for path in sorted({p.path for p in library.problems if p.fixable}):
        data = read_bytes(library.root / path)
        if data is None:
            continue
        new, gone = _mend(data, path)
        if new != data:
            read[path], writes[path] = data, new
            fixed += gone
    Journal(library.root).commit("check --fix", writes, read)
    return sorted(fixed)


def _mend(data: bytes, path: str) -> tuple[bytes, list[Problem]]:
    """One problem after the other, as YAML tells of the first only; a step that does not help is not taken."""
    gone: list[Problem] = []
    while True:
        problems = _fixable(data, path)
        for problem in problems:
            new = _step(data, path, problem)
            if new != data and problem not in _fixable(new, path):
                data = new
                gone.append(problem)
                break
        else:
            return data, gone


def _fixable(data: bytes, path: str) -> list[Problem]:
    return [p for p in parse_note(data, path)[1] if p.fixable]


def _step(data: bytes, path: str, problem: Problem) -> bytes:
    try:
        text = data.decode()
        if problem.check == "front-matter":
            return frontmatter.edit(text, {"title": parse_note(data, path)[0].title}).encode()
    except (UnicodeDecodeError, KbError):
        return data
    lines = text.split("\n")
    if 1 <= problem.line <= len(lines):
        lines[problem.line - 1] = _quoted(lines[problem.line - 1])
    return "\n".join(lines).encode()


def _quoted(line: str) -> str:
    """`key: value` with the value quoted; `tags: #a #b` as a list."""
    m = re.match(r"([^:\s][^:]*?[ \t]*:[ \t]+)(.*?)([ \t\r]*)$", line)
    if not m:
        return line
    key, value = m[1].partition(":")[0].strip(), m[2]
    if key == "tags" and value.startswith("#"):
        return f"{m[1]}[{', '.join(value.replace('#', ' ').replace(',', ' ').split())}]{m[3]}"
    if link := re.match(r"(\[\[[^\[\]]+\]\])(\s+#.*)?$", value):
        return f'{m[1]}"{link[1]}"{link[2] or ""}{m[3]}'
    return f"{m[1]}{frontmatter.scalar(value)}{m[3]}"
