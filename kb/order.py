"""The order of notes that came on one day: that of the list they came from, for a list is in the reader's own order."""

from __future__ import annotations

import re

_FIRST = re.compile(r'"imported": \["([^"]*):(\d+)"')


def place(imported: str) -> str:
    """'resources.md:137' as text that sorts by file and then by line; what came from no list is '', before the rest."""
    file, _, line = imported.rpartition(":")
    return f"{file}:{int(line):07}" if line.isdigit() else ""


def place_in(meta: str) -> str:
    """The place of a note by its front matter as the index has it, JSON: reading that whole would cost too much."""
    m = _FIRST.search(meta)
    return place(f"{m[1]}:{m[2]}") if m else ""
