"""Keys and values that are not as kb spells them: what is told of them, and what is surely meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kb.id_rules import plain_key
from kb.problem import Level, Problem
from kb.scalars import DATES, scalar

_IDS = ("arxiv", "doi", "acl", "openreview", "pmid", "s2", "openalex")  # which people paste as URLs
SPELLED = {*_IDS, "cite"}


def unknown(key: str, value: Any, raw: Mapping[str, Any], path: str, line: int) -> Problem:
    """What is told of a key that the schema does not have."""
    import difflib

    from kb.note import SCHEMA

    near = difflib.get_close_matches(_plain_word(key, "_"), SCHEMA, 1, 0.7)
    hint = f"did you mean '{near[0]}'?" if near else "kb keeps it and does nothing with it"
    level: Level = "warning" if near else "info"
    return Problem(path, line, "unknown-key", f"unknown key '{key}'", hint, level, bool(meant_key(key, value, raw)))


def misfit(key: str, value: Any, expected: str, path: str, line: int) -> Problem:
    """What is told of a value that does not fit its key."""
    shown = value if isinstance(value, str) else str(value)[:60]
    plain = plain_form(key, value)
    hint = f"write {key}: {plain}" if plain else f"write {expected}"
    return Problem(path, line, "schema", f"{key}: '{shown}' is not {expected}", hint, "error", bool(plain))


def odd(key: str, value: Any, path: str, line: int) -> Problem | None:
    """What is told of an id that stands there as a URL, which kb reads right, and of a key to cite by that no
    bibliography can hold."""
    plain = plain_form(key, value) if ":" in value or (key == "cite" and not value.isalnum()) else ""
    if not plain or plain == value.strip():
        return None
    hint = f"write {key}: {scalar(plain)}"
    if key == "cite":
        return Problem(path, line, "cite", f"BibTeX cannot hold the key '{value}'", hint, "warning", True)
    return Problem(path, line, "ids", f"{key} is not the plain id: '{value}'", hint, "info", True)


def plain_form(key: str, value: Any) -> str:
    """The spelling that kb would give to a value which a person wrote in another; empty where only they can know."""
    from kb.note import SCHEMA

    text = value.strip() if isinstance(value, str) else ""
    if key in DATES:
        m = re.fullmatch(r"(\d{4})([-/.]?)(\d{1,2})\2(\d{1,2})", text, re.ASCII)
        text = f"{m[1]}-{m[3]:0>2}-{m[4]:0>2}" if m and (m[2] or len(text) == 8) else ""
    elif key in ("kind", "status"):
        text = _plain_word(text, "-")
    elif key == "cite":
        return plain_key(text)
    elif key not in _IDS:
        return ""
    try:
        return str(SCHEMA[key](text)) if text else ""
    except ValueError:
        return ""


def meant_key(key: str, value: Any, raw: Mapping[str, Any]) -> str:
    """The key that an unknown one is but for capitals, a hyphen or a space (`Tags`, `part-of`), where its value fits it
    and the note does not have it already; else empty."""
    from kb.note import SCHEMA

    plain = _plain_word(key, "_")
    if plain not in SCHEMA or sum(_plain_word(other, "_") == plain for other in raw) > 1:
        return ""
    try:
        SCHEMA[plain](value)
    except ValueError:
        return ""
    return plain


def _plain_word(text: str, joint: str) -> str:
    return re.sub(r"[\s_-]+", joint, text.strip().lower())
