"""What became of each line and each record of a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kb.importing.files import ListFile

_LONGEST = 300  # characters of a line that a report shows


def account(file: ListFile, actions: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What became of the lines of a file: each is counted once, and `total` is the sum. For a file of records, what
    became of those too; `actions` says what is done with the note at a path."""
    became = {no: "structure" for no in file.now.structure}
    reasons = dict(file.now.unresolved)
    for filing in file.filings:
        for n, no in enumerate(sorted(filing.item.lines)):
            if filing.skip:
                reasons.setdefault(no, filing.skip)
            elif became.get(no) != "imported":
                became[no] = "merged" if filing.merged and n == 0 else "imported"
    for no in list(reasons):
        if became.get(no) in ("imported", "merged") and any(f.item.record for f in file.filings):
            del reasons[no]  # one line may hold many records
        else:
            became[no] = "unresolved"
    lines = file.lines
    for no, line in enumerate(lines, 1):
        if line.strip() and no not in became:
            became[no], reasons[no] = "unresolved", "nothing in kb knows what this line is"
    kinds = ("structure", "imported", "merged", "unresolved")
    counts = {kind: sum(1 for no, b in became.items() if b == kind and no <= len(lines)) for kind in kinds}
    blank = len(lines) - sum(counts.values())
    rows = _rows(file, reasons, lines)
    found: dict[str, Any] = {"lines": {"total": len(lines), "blank": blank, **counts}, "unresolved": list(rows)}
    return found if not file.has_records else {"records": _records(file, actions or {}), **found}


def _rows(file: ListFile, reasons: Mapping[int, str], lines: list[str]) -> Iterable[dict[str, Any]]:
    """The unresolved lines with their text; of a record its first line stands for all."""
    starts = {r.line for r in file.records} | {f.item.lines[0] for f in file.filings if f.item.record and f.item.lines}
    for no in sorted(reasons):
        if no > len(lines) or (file.has_records and no not in starts):
            continue
        place, line = file.where(no)
        here = {"file": place} if place != file.name else {}
        yield here | {"line": line, "text": lines[no - 1][:_LONGEST], "reason": reasons[no]}


def _records(file: ListFile, actions: Mapping[str, str]) -> dict[str, int]:
    """The records of a file: each made a note, went into one that was there, said nothing new, or could not be read."""
    counts = {"total": len(file.records), "created": 0, "merged": 0, "unchanged": 0, "unresolved": 0}
    for filing in file.filings:
        action = actions.get(filing.path, "unchanged")
        if filing.skip:
            continue
        kind = "unchanged" if action == "unchanged" else "merged"
        if action == "created" and not filing.merged:
            kind = "created"
        counts[kind] += 1
    counts["unresolved"] = counts["total"] - counts["created"] - counts["merged"] - counts["unchanged"]
    return counts
