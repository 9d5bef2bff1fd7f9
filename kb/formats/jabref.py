"""JabRef's tree of groups, which it keeps in a @comment of the .bib file."""

from __future__ import annotations

import re
from collections.abc import Iterable


def group_paths(comments: Iterable[str]) -> dict[str, list[str]]:
    """For each group by its name its paths from the top ('Diffusion/Video'), and for each citation key behind a NUL
    the paths of the groups whose lists name it, as JabRef before 4 wrote them."""
    found: dict[str, list[str]] = {}
    for comment in comments:
        m = re.match(r"jabref-meta:\s*(?:grouping|groupstree):", comment)
        if not m:
            continue
        above: list[str] = []
        for row in _rows(comment[m.end() :]):
            group = re.match(r"(\d+)\s+(\w+):(.*)", row, re.S)
            if not group:
                continue
            depth = int(group[1]) if len(group[1]) < 4 else 0
            fields = [_plain(part) for part in re.split(r"\\;", group[3])]
            above[max(depth - 1, 0) :] = [fields[0]] if depth else []
            if group[2] not in ("StaticGroup", "ExplicitGroup"):
                continue
            path = "/".join(name.replace("/", "-") for name in above)
            found.setdefault(fields[0], []).append(path)
            for key in fields[2:] if group[2] == "ExplicitGroup" else []:
                found.setdefault(f"\0{key}", []).append(path)
    return found


def _rows(text: str) -> list[str]:
    """The groups, which end at a semicolon that has no backslash before it; lines are wrapped anywhere."""
    return [row.replace("\n", "").strip() for row in re.split(r"(?<!\\);", text) if row.strip()]


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text.replace("\\\\", "\\")).strip()
