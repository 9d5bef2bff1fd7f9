"""Words, and the names of notes, as they are compared."""

from __future__ import annotations

import posixpath
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kb.links import Link


def fold(text: str) -> str:
    """For comparing words as people type them: case, accents and compatibility forms do not matter."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold()


def name_key(text: str) -> str:
    """How names of notes are compared: case and Unicode form do not matter, nor does `.md` at the end."""
    text = text if text.isascii() else unicodedata.normalize("NFC", text)
    return text.strip().casefold().removesuffix(".md")


def link_key(link: Link, source: str) -> str:
    """The name a link looks for: a [[target]] as it is, a relative link as a path under notes/."""
    if link.wiki:
        return name_key(link.target)
    from urllib.parse import unquote

    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), unquote(link.target)))
    return name_key(path.removeprefix("notes/") if path.startswith("notes/") else f"../{path}")  # no note lies outside
