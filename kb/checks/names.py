"""Checks of the names that notes go by: ids, aliases, and the collections that they say they are part of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from kb.checks import key_line, values
from kb.library import Library
from kb.links import link_name
from kb.problem import Problem

_SHOWN = 8  # notes of a circle


def duplicate_ids(library: Library) -> Iterator[Problem]:
    sql = """SELECT name, path FROM names JOIN notes USING(n) WHERE rank = 1 AND name <> 'index' AND name IN
             (SELECT name FROM names WHERE rank = 1 GROUP BY name HAVING count(*) > 1) ORDER BY path"""
    first: dict[str, str] = {}
    for id, path in library.index.rows(sql):
        if first.setdefault(id, path) != path:
            message = f"{first[id]} has the id '{id}' too"
            yield Problem(path, 0, "duplicate-id", message, f"rename one: kb rename {_name(path)} NEW-ID", "error")


def _name(path: str) -> str:
    """What means the note at a path and no other of its id."""
    return path.removeprefix("notes/").removesuffix(".md")


def ambiguous_aliases(library: Library) -> Iterator[Problem]:
    """Aliases that another note bears as its id, alias or title."""
    sql = """SELECT a.name, m.path, b.rank, o.path FROM names a
             JOIN names b ON b.name = a.name AND b.n <> a.n AND b.rank > 0
             JOIN notes m ON m.n = a.n JOIN notes o ON o.n = b.n
             WHERE a.rank = 2 ORDER BY m.path, a.name, b.rank, o.path"""
    seen = set()
    for name, path, rank, other in library.index.rows(sql):
        if (name, path) in seen or (rank == 2 and path < other):  # of two equal aliases the later is told
            continue
        seen.add((name, path))
        message = f"alias '{name}' is the {('id', 'alias', 'title')[rank - 1]} of {other}"
        line = key_line(library, path, "aliases")
        yield Problem(path, line, "alias", message, "choose another alias, or a link may go astray", "warning")


def repeated_aliases(library: Library) -> Iterator[Problem]:
    """Aliases that stand twice in one note."""
    sql = """SELECT name, path FROM (SELECT name, n FROM names WHERE rank = 2 GROUP BY name, n HAVING count(*) > 1)
             JOIN notes USING(n) ORDER BY path, name"""
    for name, path in library.index.rows(sql):
        line = key_line(library, path, "aliases")
        yield Problem(path, line, "alias", f"alias '{name}' stands here twice", "take one of them out", "warning")


def broken_parts(library: Library) -> Iterator[Problem]:
    """`part_of` that names no note, or that leads back to where it began."""
    named = {path: link_name(part) for path, part in values(library, "part_of")}
    found = {part: library.index.resolve(part) for part in set(named.values())}
    parents = {path: found[part] for path, part in named.items()}
    for path, part in named.items():
        if parents[path] is None:
            hint = "name the id of a course, playlist or collection"
            line, message = key_line(library, path, "part_of"), f"part_of: '{part}' is no note"
            yield Problem(path, line, "part-of", message, hint, "warning")
    for circle in _circles(parents):
        for n, path in enumerate(circle):
            names = [Path(step).stem for step in (*circle[n:], *circle[:n], path)]
            told = ", ".join(names if len(names) <= _SHOWN else [*names[: _SHOWN - 1], "…", names[-1]])
            line, message = key_line(library, path, "part_of"), f"part_of goes in a circle: {told}"
            yield Problem(path, line, "part-of", message, "break the circle", "error")


def _circles(parents: Mapping[str, str | None]) -> Iterator[list[str]]:
    """The circles of what is part of what, each note looked at once."""
    seen: dict[str, str] = {}  # a note -> where the walk began that met it first
    for start in parents:
        at: str | None = start
        trail = []
        while at is not None and at not in seen:
            seen[at] = start
            trail.append(at)
            at = parents.get(at)
        if at is not None and seen[at] == start:
            yield trail[trail.index(at) :]


NAME_CHECKS = (duplicate_ids, ambiguous_aliases, repeated_aliases, broken_parts)
