"""Three-way merges: what changed in a list since it was last imported, done to a note that a person may have edited.

The person's side wins wherever both sides changed the same thing; nothing that stands in a note is ever taken out
unless it is exactly what the last import put there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

UNIONS = ("tags", "aliases", "seen", "imported", "wanted")  # lists to which each side may add


def merge_lines(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> tuple[list[str], bool]:
    """`ours` with the changes from `base` to `theirs`, and whether all of them could be made. A line that the person
    changed or removed stays so; what is new beside it is still added."""
    place = _places(base, ours)
    merged, clean = list(ours), True
    changes = [op for op in SequenceMatcher(None, base, theirs, autojunk=False).get_opcodes() if op[0] != "equal"]
    for _, i1, i2, j1, j2 in reversed(changes):
        at = [place.get(i) for i in range(i1, i2)]
        kept = [i for i in at if i is not None]
        whole = len(kept) == len(at) and (not kept or kept[-1] - kept[0] == len(kept) - 1)
        if whole and kept:
            merged[kept[0] : kept[-1] + 1] = theirs[j1:j2]
            continue
        clean = clean and not at
        new = [line for line in theirs[j1:j2] if not at or line not in ours]
        start = _insertion(place, i1, i2, len(base), len(ours))
        merged[start:start] = new
    return merged, clean


def _places(base: Sequence[str], ours: Sequence[str]) -> dict[int, int]:
    """For each line of `base` that is still there, where it stands in `ours`."""
    blocks = SequenceMatcher(None, base, ours, autojunk=False).get_matching_blocks()
    return {block.a + n: block.b + n for block in blocks for n in range(block.size)}


def _insertion(place: Mapping[int, int], start: int, end: int, of_base: int, of_ours: int) -> int:
    """Where new lines go: after the nearest line above that is still there, else before the nearest below."""
    for above in range(start - 1, -1, -1):
        if above in place:
            return place[above] + 1
    return next((place[below] for below in range(end, of_base) if below in place), of_ours)


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
