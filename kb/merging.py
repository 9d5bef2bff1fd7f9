"""Three-way merges: what changed in a list since it was last imported, done to a note that a person may have edited.

The person's side wins wherever both sides changed the same thing; nothing that stands in a note is ever taken out
unless it is exactly what the last import put there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

UNIONS = ("tags", "aliases", "also", "seen", "imported", "wanted")  # lists to which each side may add


def merge_lines(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> tuple[list[str], bool]:
    """`ours` with the changes from `base` to `theirs`, and whether all of them could be made. A line that the person
    changed or removed stays so; what is new beside it is still added."""
    if list(ours) == list(theirs):
        return list(ours), True
    place = _places(base, ours)
    merged, clean = list(ours), True
    unchanged = set(place.values())
    own = {line for n, line in enumerate(ours) if n not in unchanged and line.strip()}
    changes = [op for op in SequenceMatcher(None, base, theirs, autojunk=False).get_opcodes() if op[0] != "equal"]
    for _, i1, i2, j1, j2 in reversed(changes):
        at = [place.get(i) for i in range(i1, i2)]
        kept = [i for i in at if i is not None]
        if kept and len(kept) == len(at) and kept[-1] - kept[0] == len(kept) - 1:
            merged[kept[0] : kept[-1] + 1] = theirs[j1:j2]
            continue
        there = own | ({line for line in ours if line.strip()} if at else set())
        new = [line for line in theirs[j1:j2] if line not in there]
        clean = clean and (not at or not (kept or any(line.strip() for line in new)))
        start, end = _gap(place, i1, i2, len(base), len(ours))
        while start < end and (at or ours[start] in theirs[j1:j2]):
            start += 1  # behind what the person put there
        merged[start:start] = new if any(line.strip() for line in new) or not at else []
    return merged, clean


def _places(base: Sequence[str], ours: Sequence[str]) -> dict[int, int]:
    """For each line of `base` that is still there, where it stands in `ours`."""
    blocks = SequenceMatcher(None, base, ours, autojunk=False).get_matching_blocks()
    return {block.a + n: block.b + n for block in blocks for n in range(block.size)}


def _gap(place: Mapping[int, int], start: int, end: int, of_base: int, of_ours: int) -> tuple[int, int]:
    """Where new lines go: between the nearest lines above and below that are still there."""
    above = next((place[i] + 1 for i in range(start - 1, -1, -1) if i in place), -1)
    below = next((place[i] for i in range(end, of_base) if i in place), of_ours)
    return (above if above >= 0 else below), below


def merge_meta(
    base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The keys of `ours` to change, and the keys that both sides changed, in which the person's value stays."""
    changes: dict[str, Any] = {}
    conflicts = []
    for key in {**base, **theirs}:
        old, mine, new = base.get(key), ours.get(key), theirs.get(key)
        if new in (old, mine):
            continue
        if key in UNIONS:
            gone = set(old or []) - set(new or [])
            kept = [v for v in mine or [] if v not in gone]
            value = kept + [v for v in new or [] if v not in kept and v not in (old or [])]
            if value != (mine or []):
                changes[key] = value or None
        elif mine == old:
            changes[key] = new
        else:
            conflicts.append(key)
    return changes, conflicts
