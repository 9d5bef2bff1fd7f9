"""What is wrong in a person's files (a value with a place) and what stops a command (an exception)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["error", "warning", "info"]


@dataclass(frozen=True, order=True)
class Problem:
    """Something wrong in a file. `path` is relative to the vault's root, `line` counts from 1 (0: the whole file)."""

    path: str
    line: int
    check: str
    message: str
    hint: str = ""
    level: Level = "error"
    fixable: bool = False

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.path}:{self.line}: {self.check}: {self.message}{hint}"

    def as_json(self) -> dict[str, Any]:
        """The object of `kb check --json`; an empty hint is absent."""
        found: dict[str, Any] = {"path": self.path, "line": self.line, "check": self.check, "message": self.message}
        if self.hint:
            found["hint"] = self.hint
        return found | {"level": self.level, "fixable": self.fixable}


class KbError(Exception):
    """A command cannot go on. The message is one line that ends with the remedy; `code` is the exit code:
    1 where a file or service is at fault or a named thing is missing, 2 where the command was used wrongly."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Stale(KbError):
    """What a command read is no longer so: somebody else was quicker. Nothing was written; doing it again may help."""


class Overtaken(Stale):
    """Another command has changed the vault; the journal tells which notes."""
