"""YAML with every scalar as text, and without what lets a small file take all memory or end the process."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml import YAMLError as YAMLError

LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_DEEPEST = 20  # levels of lists and mappings: the C loader's stack ends somewhere
_COSTLY = re.compile(r"[&*]|^ {40}|(?:[-?:][ \t]+){20}", re.M)


class Refused(yaml.MarkedYAMLError):
    """Good YAML that kb does not read."""


def load(source: str) -> Any:
    """YAML with every scalar as text. Aliases and deep nesting, by which a small file can take all memory or end the
    process, are errors like any other."""
    guard(source)
    return yaml.load(source, LOADER)


def guard(source: str) -> None:
    """Refuse what load does not read."""
    if not _COSTLY.search(source) and source.count("[") + source.count("{") <= _DEEPEST:
        return
    depth = 0
    event: Any
    for event in yaml.parse(source, LOADER):
        if getattr(event, "anchor", None):
            raise Refused(problem="uses YAML anchors (& or *)", problem_mark=event.start_mark)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise Refused(problem=f"is more than {_DEEPEST} levels deep", problem_mark=event.start_mark)
