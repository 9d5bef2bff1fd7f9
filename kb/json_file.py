"""A JSON file that somebody may have damaged: its value, checked against a shape; Problems instead of exceptions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kb.disk import read_regular
from kb.problem import Level, Problem


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list(value: Any, of: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(of(v) for v in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_measure(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_curve(value: Any) -> bool:
    if not isinstance(value, dict) or not all(_is_list(v, _is_measure) for v in value.values()):
        return False
    steps = value.get("step", [])
    return all(len(v) == len(steps) for v in value.values()) and _is_list(steps, _is_number)


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "text": (_is_text, "text"),
    "texts": (lambda v: _is_list(v, _is_text), "a list of texts"),
    "flag": (lambda v: isinstance(v, bool), "true or false"),
    "number": (_is_number, "a number"),
    "numbers": (lambda v: _is_list(v, _is_number), "a list of numbers"),
    "whole": (_is_whole, "a whole number"),
    "wholes": (lambda v: _is_list(v, _is_whole), "a list of whole numbers"),
    "mapping": (lambda v: isinstance(v, dict), "an object"),
    "mappings": (lambda v: _is_list(v, lambda row: isinstance(row, dict)), "a list of objects"),
    "measures": (
        lambda v: isinstance(v, dict) and all(_is_measure(m) for m in v.values()),
        "an object of numbers, null where one is not finite",
    ),
    "curve": (_is_curve, "an object of lists of numbers, each as long as `step`"),
}


_LARGEST = 16 << 20  # bytes; a record has ten thousand


class JsonFile:
    """One file read once. `value` is empty where it is no JSON object; `problems` grow as it is looked at."""

    def __init__(self, file: Path, path: str, check: str) -> None:
        self.path, self.check = path, check
        self.problems: list[Problem] = []
        self._text = ""
        self.value: dict[str, Any] = {}
        try:
            self._text = read_regular(file, _LARGEST).decode("utf-8")
            value = json.loads(self._text, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            self.say(f"no JSON: {error.msg}", error.lineno)
        except (OSError, ValueError, RecursionError) as error:
            self.say(f"cannot be read: {getattr(error, 'strerror', None) or error}")
        else:
            if isinstance(value, dict):
                self.value = value
            if not self.value:
                self.say("no JSON object with anything in it")

    def say(self, message: str, line: int = 0, hint: str = "make it anew", level: Level = "error") -> None:
        self.problems.append(Problem(self.path, line, self.check, message, hint, level))

    def rows(self, key: str) -> Iterator[dict[str, Any]]:
        """The objects of the list `key`."""
        found = self.value.get(key)
        if not isinstance(found, list):
            if self.value:
                self.say(f"`{key}` is not a list")
            return
        for n, row in enumerate(found, 1):
            if isinstance(row, dict):
                yield row
            else:
                self.say(f"`{key}`: the {n}. is no object")

    def shaped(
        self, row: Mapping[str, Any], shape: Mapping[str, str], what: str, line: int = 0, nth: int = 1
    ) -> dict[str, Any] | None:
        """The keys of `shape` that a row has, or None where one is of another kind; `!` asks for its presence. Other
        keys and nulls are passed over. Where no `line` is given, a Problem stands at the `nth` mention of its key."""
        found: dict[str, Any] = {}
        wrong = False
        for key, kind in shape.items():
            value = row.get(key)
            fits, told = _KINDS[kind.rstrip("!")]
            if value is None and not kind.endswith("!"):
                continue
            if value is not None and fits(value):
                found[key] = value
                continue
            wrong = True
            said = f"{what} has no `{key}`" if value is None else f"{what}: `{key}` is not {told}"
            self.say(said, line or self.line_of_key(key, nth))
        return None if wrong else found

    def line_of_key(self, key: str, nth: int = 1) -> int:
        """The line of the nth `"key":`; 0 where there are fewer."""
        found = [m.start() for m in re.finditer(rf"{re.escape(json.dumps(key))}\s*:", self._text)]
        return self._text.count("\n", 0, found[nth - 1]) + 1 if len(found) >= nth else 0

    def line_of(self, key: str, value: Any) -> int:
        """The first line that says `"key": "value"`; 0 where none does."""
        for separator in (": ", ":"):
            place = self._text.find(f"{json.dumps(key)}{separator}{json.dumps(value, ensure_ascii=False)}")
            if place >= 0:
                return self._text.count("\n", 0, place) + 1
        return 0


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
