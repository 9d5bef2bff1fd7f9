"""Front matter as kb.note has it, whatever a service or a file has put into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kb.note import SCHEMA
from kb.sources import Metadata

_LONGEST = {"title": 500, "abstract": 10_000}
_NAME = 80  # letters of the name of a BibTeX field; YAML has keys of up to 1024
_MOST = 5000  # authors; the largest collaborations have fewer


def tidy(meta: Mapping[str, Any]) -> Metadata:
    """Only keys of the schema, with values of its types: without control characters and halves of characters, no
    longer than they can rightly be. What has another form is left out."""
    found: Metadata = {}
    for key, value in meta.items():
        try:
            typed = SCHEMA[key](_plain(value, _LONGEST.get(key, 2000)))
        except (KeyError, ValueError, TypeError, RecursionError):
            continue
        if typed not in (None, "", [], {}):
            found[key] = typed
    return found


def printable(text: str) -> str:
    """One line without control characters and halves of characters."""
    shown = text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    return " ".join(shown.split())


def _plain(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        text = printable(value)
        return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"
    if isinstance(value, Mapping):
        return {str(k): _plain(v, longest) for k, v in value.items() if len(str(k)) <= _NAME}
    return [_plain(v, longest) for v in value[:_MOST]] if isinstance(value, list) else value
