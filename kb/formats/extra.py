"""Zotero's Extra field: lines `Key: value` that plugins and people write, among words of a person's own."""

from __future__ import annotations

import re
from typing import Any

from kb.formats.days import day_of
from kb.formats.records import status_of

_IDS = {"arxiv": "arxiv", "arxiv id": "arxiv", "doi": "doi", "pmid": "pmid", "pmcid": "pmc", "openreview": "openreview"}


def split_extra(text: str) -> tuple[dict[str, Any], str]:
    """What the lines of an Extra field say, by keys of front matter, and the lines that are a person's words. Ids stand
    under `ids` as they are written."""
    said: dict[str, Any] = {"ids": []}
    rest = []
    for line in text.split("\n"):
        m = re.match(r"\s*([A-Za-z][\w ./-]{0,30}?)\s*:\s*(\S.*?)\s*$", line)
        if not m or not _take(said, m[1].lower().replace("_", " ").replace("-", " "), m[2]):
            rest.append(line)
    if said.pop("status day", "") and said.get("status") in ("read", "reading"):
        said["finished" if said["status"] == "read" else "started"] = said["day"]
    said.pop("day", None)
    return {key: value for key, value in said.items() if value}, "\n".join(rest).strip("\n")


def _take(said: dict[str, Any], key: str, value: str) -> bool:
    """Take one line; False where it says nothing that a note has a key for."""
    if key in ("read status", "reading status") and status_of(value):
        said["status"] = status_of(value)
    elif key in ("read status date", "reading status date") and day_of(value):
        said["status day"] = said["day"] = day_of(value)
    elif key == "citation key" and re.fullmatch(r"[^\s,{}]+", value):
        said["cite"] = value
    elif key == "rating" and re.fullmatch(r"[1-5]", value):
        said["rating"] = int(value)
    elif key in ("date added", "added") and day_of(value):
        said["added"] = day_of(value)
    elif key in _IDS:
        said["ids"].append(f"{_IDS[key]}:{value}" if _IDS[key] != "doi" else value)
    else:
        return False
    return True
