"""What can be made again is kept in a folder: written whole or not at all, by one process while others wait."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from repro.lab.files import write_whole

VERSION = 1  # of all that is kept; a new one makes everything anew
R = TypeVar("R")


def key(*facts: str) -> str:
    """A name for what these facts determine."""
    return hashlib.sha256("\n".join([str(VERSION), *facts]).encode()).hexdigest()[:16]


def kept(path: Path, read: Callable[[Path], R | None], make: Callable[[], None]) -> R:
    """What `read` finds at a place of the cache. Where it finds nothing whole, one process makes it, others wait."""
    from filelock import FileLock

    found = read(path)
    if found is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            found = read(path)
            if found is None:
                make()
                found = read(path)
    assert found is not None
    return found


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object; None where there is none that is whole."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write(path: Path, text: str) -> None:
    """All of it or nothing."""
    write_whole(path, lambda file: file.write(text.encode()))
