"""The one way to the terminal. Titles, paths and messages come from files that others wrote, and a terminal obeys what
it is sent; so whatever a verb prints, only text and the colours of kb.render get through."""

import re
import sys
from typing import Any, TextIO

from kb.render import COLOURS, UNSAFE

_LOST = "\ufffd"


class Screen:
    """Standard output or standard error as `print` sees it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")  # a letter that the terminal lacks is no traceback

    def write(self, text: str) -> int:
        plain = text.isascii() and text.replace("\n", "").isprintable()
        self.stream.write(text if plain else harmless(text, self.stream.isatty()))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def harmless(text: str, coloured: bool = False) -> str:
    """Text with a sign in place of all that a terminal would obey, but for line ends, tabs and, where it may be
    `coloured`, kb's own colours."""
    text = text.replace("\r\n", "\n")
    parts = re.split(COLOURS, text) if coloured and "\033" in text else [text]
    parts[::2] = [UNSAFE.sub(_LOST, part) for part in parts[::2]]
    return "".join(parts)


def guard() -> None:
    """From here on everything that this process prints goes through."""
    sys.stdout, sys.stderr = Screen(sys.stdout), Screen(sys.stderr)
