"""The order of notes that came on one day: that of the list they came from, for a list is in the reader's own order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def place(imported: str) -> str:
    """'resources.md:137' as text that sorts by file and then by line; what came from no list is '', before the rest."""
    file, _, line = imported.rpartition(":")
    return f"{file}:{int(line):07}" if line.isdigit() else ""


def place_of(meta: Mapping[str, Any]) -> str:
    """The place of a note, by the first of the lines that it was imported from."""
    imported = meta.get("imported")
    return place(str(imported[0])) if imported else ""
