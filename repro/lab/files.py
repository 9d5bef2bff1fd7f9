"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any


def write_whole(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Call `write(file)` on a file beside `path`, then put it in its place: a process killed at any moment leaves the
    old file or the new one, a disk that is full the old one and nothing else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            write(file)
            settle(file)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, and end one that a full disk or a kill has cut off, so that it does not swallow this."""
    with path.open("ab+") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(line.encode() + b"\n")


def settle(file: IO[Any]) -> None:
    """On the disk before it gets its name, so that a power cut leaves no empty file under it."""
    file.flush()
    os.fsync(file.fileno())
