"""Remarks: dated lines at the end of a note, or of its section of notes."""

from __future__ import annotations

import re
from datetime import date

from kb import frontmatter
from kb.edits import rewrite
from kb.library import Library
from kb.links import blank_skipped
from kb.note import Note
from kb.problem import KbError

_SECTION = re.compile(r"^(#{1,6})[ \t]+(?:log|notes|journal|reading log)[ \t#]*\r?$", re.I | re.M)
_REMARK = re.compile(r"- \d{4}-\d\d-\d\d: ")


def remark(library: Library, note: Note, text: str, today: date | None = None) -> int:
    """Append `- 2026-11-22: TEXT` to a note, under its heading Log or Notes where it has one, else at its end. Further
    lines of the text are indented below. Returns the line of the file that the remark stands on."""
    if not text.strip():
        raise KbError("a remark needs words: kb note ID TEXT, or - to read them from standard input", 2)
    line = 0

    def new(path: str, data: bytes) -> bytes:
        nonlocal line
        written = data.decode("utf-8", "surrogateescape")
        if faults := frontmatter.split(written).faults:
            raise KbError(f"{path}: line {faults[0].line}: {faults[0].message}; {faults[0].hint}")
        written, line = with_remark(written, text, today or date.today())
        return written.encode("utf-8", "surrogateescape")

    rewrite(library.root, f"note {note.id}", [note.path], new)
    return line


def with_remark(written: str, text: str, day: date) -> tuple[str, int]:
    """A file with a remark in its place, and the line on which that stands; but blank lines around it, nothing else
    changes."""
    body = frontmatter.split(written).body
    at = len(written) - len(body) + _end(body)
    before, rest = written[:at].rstrip("\r\n"), written[at:].lstrip("\r\n")
    newline = "\r\n" if written.partition("\n")[0].endswith("\r") else "\n"
    gap = "" if not before else newline if _follows(before) else newline * 2
    remark = newline.join(_lines(text, day.isoformat())) + newline
    return before + gap + remark + (newline + rest if rest else ""), before.count("\n") + gap.count("\n") + 1


def _lines(text: str, day: str) -> list[str]:
    first, *more = (line.rstrip() for line in text.strip().splitlines())
    return [f"- {day}: {first}", *(f"  {line}" if line else "" for line in more)]


def _end(body: str) -> int:
    """Where the section of remarks ends, or the text where there is none."""
    prose = blank_skipped(body)
    sections = list(_SECTION.finditer(prose))
    if not sections:
        return len(body)
    section = sections[-1]
    following = re.compile(rf"^#{{1,{len(section[1])}}}[ \t]", re.M).search(prose, section.end())
    return following.start() if following else len(body)


def _follows(before: str) -> bool:
    """Whether the last lines are a remark already: the next one joins its list."""
    for line in reversed(before.split("\n")[-50:]):
        if _REMARK.match(line):
            return True
        if line.strip() and not line.startswith("  "):
            return False
    return False
