"""CSV: one work a row, the same columns always; lists joined with '; '.

Quoted as RFC 4180 says, in UTF-8, lines ending with a newline alone. A cell is one line without tabs; one that a
spreadsheet would take for a formula, because it begins with = + - or @, has an apostrophe before it, which
`kb import` takes away again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

from kb.exporting.works import CONTROLS, Work
from kb.formats.columns import guarded

COLUMNS = (
    "key", "id", "title", "kind", "status", "authors", "year", "venue", "arxiv", "doi", "acl", "openreview", "pmid",
    "s2", "openalex", "isbn", "url", "pdf", "code", "video", "slides", "part_of", "at", "added", "started", "finished",
    "published", "rating", "tags", "aliases", "repro", "abstract", "path",
)  # fmt: skip


def table(works: Iterable[Work]) -> str:
    """Works as a .csv file, in their order, below the names of the columns."""
    found = io.StringIO()
    writer = csv.writer(found, lineterminator="\n")
    writer.writerow(COLUMNS)
    for work in works:
        row = work.note.as_json() | {"key": work.key}
        writer.writerow([_cell(row.get(column)) for column in COLUMNS])
    return found.getvalue()


def _cell(value: Any) -> str:
    text = "; ".join(map(str, value)) if isinstance(value, list) else str(value) if value is not None else ""
    text = " ".join(text.translate(CONTROLS).split())  # before the look at its first letter
    return guarded(text)
