"""Mending what can be mended without asking: `kb check --fix`."""

from __future__ import annotations

from collections.abc import Callable

from kb import frontmatter
from kb.edits import edited, rewrite
from kb.library import Library
from kb.note import parse_note
from kb.problem import KbError, Problem
from kb.spelling import meant_key, plain_form
from kb.traps import key_of, mended


def fix(library: Library, among: Callable[[list[Problem]], list[Problem]] = list) -> list[Problem]:
    """Mend every fixable Problem, or those that `among` chooses, in one change; returns those that are gone. Open the
    library anew to see it so."""
    fixed: list[Problem] = []

    def mend(path: str, data: bytes) -> bytes:
        new, gone = _mend(data, path)
        fixed.extend(gone)
        return new

    paths = sorted({p.path for p in among(library.problems) if p.fixable})
    rewrite(library.root, "check --fix", paths, mend, failed=lambda path, error: None)  # gone since: nothing to mend
    return sorted(fixed)


def _mend(data: bytes, path: str) -> tuple[bytes, list[Problem]]:
    """One problem after the other, as YAML tells of the first only; a step that does not help is not taken."""
    gone: list[Problem] = []
    while True:
        problems = _fixable(data, path)
        for problem in problems:
            new = _step(data, path, problem)
            if new != data and problem not in _fixable(new, path) and _keeps_others(data, new, problem):
                data = new
                gone.append(problem)
                break
        else:
            return data, gone


def _keeps_others(old: bytes, new: bytes, problem: Problem) -> bool:
    """Whether the other keys say what they said, and this one where it only gets quotes; where it was no YAML before,
    nobody knows what they said."""
    (was, lines, faults), (now, _, after) = (frontmatter.read(frontmatter.split(d.decode())) for d in (old, new))
    if any(fault.check == "yaml" for fault in faults):
        return True
    quoted = problem.check == "yaml-trap" and problem.level == "warning"
    at = 0 if quoted else max((line for line in lines.values() if line <= problem.line), default=0)
    kept = all(now.get(key) == value for key, value in was.items() if lines.get(key) != at)
    return kept and not any(fault.check == "yaml" for fault in after)


def _fixable(data: bytes, path: str) -> list[Problem]:
    return [p for p in parse_note(data, path)[1] if p.fixable]


def _step(data: bytes, path: str, problem: Problem) -> bytes:
    try:
        if problem.check == "front-matter":
            return edited(data, path, {"title": parse_note(data, path)[0].title})
        text = data.decode()
        if problem.check in ("schema", "ids", "cite", "unknown-key"):
            return _spelled(data, text, path, problem)
    except (UnicodeDecodeError, KbError):
        return data
    lines = [f"{line}\n" for line in text.split("\n")]
    at = problem.line - 1
    if not 0 <= at < len(lines):
        return data
    key = next((found for line in reversed(lines[: at + 1]) if (found := key_of(line))), "")
    if problem.check == "duplicate-key":
        front = frontmatter.split(text)
        head = len(front.opening)
        kept = "".join(frontmatter.without_spare(front.lines, key))
        return (text[:head] + kept + text[head + sum(map(len, front.lines)) :]).encode()
    lines[at] = mended(lines[at], key)
    return "".join(lines)[:-1].encode()


def _spelled(data: bytes, text: str, path: str, problem: Problem) -> bytes:
    """A key or a value in kb's spelling."""
    front = frontmatter.split(text)
    raw, lines, _ = frontmatter.read(front)
    key = next((key for key, line in lines.items() if line == problem.line), "")
    if problem.check != "unknown-key":
        return edited(data, path, {key: plain_form(key, raw.get(key))})
    at = problem.line - 2
    plain = meant_key(key, raw.get(key), raw)
    if not plain or not front.lines[at].startswith(key):
        return data
    front.lines[at] = plain + front.lines[at][len(key) :]
    return "".join([front.opening, *front.lines, front.closing, front.body]).encode()
