"""What is wrong in a vault: the Problems of single files, and those between files and with the disk around them.

A check is a function Library -> Problems. It asks the index for what looks wrong and opens a file only to find the line
of what is, so a clean vault is checked without reading it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import partial
from pathlib import Path

from kb import frontmatter
from kb.files import read_bytes
from kb.library import Library
from kb.links import link_name
from kb.problem import KbError, Level, Problem
from kb.render import printable, to_json

Check = Callable[[Library], Iterable[Problem]]
FORMATS = ("text", "json", "github")


def check(library: Library, today: date | None = None) -> list[Problem]:
    """Every Problem of a vault, by path and line."""
    from kb.checks.results import stale_verdicts
    from kb.checks.text import TEXT_CHECKS
    from kb.checks.works import probable_works

    return _run(library, (*_checks(today), probable_works, *TEXT_CHECKS, stale_verdicts))


def quick(library: Library, today: date | None = None) -> list[Problem]:
    """The Problems that the index knows of; the texts of the notes are not read, nor their titles compared."""
    return _run(library, _checks(today))


def _checks(today: date | None) -> tuple[Check, ...]:
    from kb.checks.links import unresolved_links
    from kb.checks.results import damaged_results, lonely_reproductions, missing_reproductions
    from kb.checks.works import WORK_CHECKS
    from kb.exporting.keys import shared_keys

    dates = partial(contradicting_dates, today=today or date.today())
    named = (unresolved_links, duplicate_ids, ambiguous_aliases, repeated_aliases, broken_parts, shared_keys)
    results = (missing_reproductions, damaged_results, lonely_reproductions)
    return (*named, *WORK_CHECKS, dates, incomplete_notes, *results)


def _run(library: Library, checks: Iterable[Check]) -> list[Problem]:
    return sorted({*library.problems, *(problem for run in checks for problem in run(library))})


def key_line(library: Library, path: str, *keys: str) -> int:
    """The line of the first of these front-matter keys that a file has."""
    text = (read_bytes(library.root / path) or b"").decode("utf-8", "replace")
    lines = dict(frontmatter.key_lines(frontmatter.split(text).lines))
    return next((lines[key] for key in keys if key in lines), 1)


def _found(path: str, line: int, check: str, message: str, hint: str, level: Level = "warning") -> Problem:
    return Problem(path, line, check, message, hint, level)


# Ids and names


def duplicate_ids(library: Library) -> Iterator[Problem]:
    sql = """SELECT lower(id), path FROM notes WHERE lower(id) IN
             (SELECT lower(id) FROM notes WHERE id <> 'index' GROUP BY 1 HAVING count(*) > 1) ORDER BY path"""
    first: dict[str, str] = {}
    for id, path in library.index.rows(sql):
        if first.setdefault(id, path) != path:
            message = f"{first[id]} has the id '{id}' too"
            yield _found(path, 0, "duplicate-id", message, "rename one: kb rename", "error")


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
        yield _found(path, line, "alias", message, "choose another alias, or a link may go astray")


def repeated_aliases(library: Library) -> Iterator[Problem]:
    """Aliases that stand twice in one note."""
    sql = """SELECT name, path FROM names JOIN notes USING(n) WHERE rank = 2
             GROUP BY n, name HAVING count(*) > 1 ORDER BY path, name"""
    for name, path in library.index.rows(sql):
        line = key_line(library, path, "aliases")
        yield _found(path, line, "alias", f"alias '{name}' stands here twice", "take one of them out")


def broken_parts(library: Library) -> Iterator[Problem]:
    """`part_of` that names no note, or that leads back to where it began."""
    named = {path: link_name(part) for path, part in values(library, "part_of")}
    found = {part: library.index.resolve(part) for part in set(named.values())}
    parents = {path: found[part] for path, part in named.items()}
    for path, part in named.items():
        if parents[path] is None:
            hint = "name the id of a course, playlist or collection"
            yield _found(path, key_line(library, path, "part_of"), "part-of", f"part_of: '{part}' is no note", hint)
            continue
        trail, at = [path], parents[path]
        while at is not None and at not in trail:
            trail.append(at)
            at = parents.get(at)
        if at == path:
            names = ", ".join(Path(step).stem for step in (*trail, path))
            message = f"part_of goes in a circle: {names}"
            yield _found(path, key_line(library, path, "part_of"), "part-of", message, "break the circle", "error")


# Fields


def values(library: Library, key: str) -> list[tuple[str, str]]:
    """The notes that have a front-matter key, and its value."""
    sql = f"""SELECT path, json_extract(meta, '$.{key}') AS value FROM notes
              WHERE instr(meta, '"{key}"') AND value <> '' ORDER BY path"""
    return [(path, str(value)) for path, value in library.index.rows(sql)]


def contradicting_dates(library: Library, today: date) -> Iterator[Problem]:
    sql = """SELECT path, status, added, started, finished FROM notes WHERE max(added, started, finished) > ?
             OR (finished <> '' AND (finished < started OR status IN ('inbox', 'to-read', 'reading')))"""
    for path, status, added, started, finished in library.index.rows(sql, (today.isoformat(),)):
        told = []
        if finished and finished < started:
            told.append((f"finished {finished}, before it was started ({started})", "mend one of the two"))
        if finished and status in ("inbox", "to-read", "reading"):
            told.append((f"finished {finished}, and still '{status}'", "set status: read, or remove the date"))
        for message, hint in told:
            yield _found(path, key_line(library, path, "finished"), "dates", message, hint)
        for key, value in (("added", added), ("started", started), ("finished", finished)):
            if value > today.isoformat():
                line = key_line(library, path, key)
                yield _found(path, line, "dates", f"{key} {value} lies in the future", "mend the date")
    sql = "SELECT path, year FROM notes WHERE year > ? ORDER BY path"
    for path, year in library.index.rows(sql, (today.year + 1,)):
        yield _found(path, key_line(library, path, "year"), "dates", f"year {year} lies in the future", "mend the year")


def incomplete_notes(library: Library) -> Iterator[Problem]:
    for path, what in values(library, "incomplete"):
        line = key_line(library, path, "incomplete")
        yield _found(
            path, line, "incomplete", f"what its source says ({what}) is not fetched yet", "kb add --complete", "info"
        )


# Rendering


def render(problems: Sequence[Problem], fmt: str = "text") -> str:
    """Problems as `text` (a line each), `json`, or as annotations of `github`'s workflows."""
    if fmt == "json":
        return to_json([p.as_json() for p in problems])
    if fmt == "text":
        return "\n".join(printable(str(p)) for p in problems)
    if fmt == "github":
        return "\n".join(_annotation(p) for p in problems)
    raise KbError(f"no format '{fmt}'; there are {' '.join(FORMATS)}", 2)


def _annotation(problem: Problem) -> str:
    command = {"error": "error", "warning": "warning", "info": "notice"}[problem.level]
    hint = f" ({problem.hint})" if problem.hint else ""
    place = f"file={_escape(problem.path, property=True)},line={problem.line or 1}"
    return f"::{command} {place},title={_escape('kb ' + problem.check, True)}::{_escape(problem.message + hint)}"


def _escape(text: str, property: bool = False) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if property else text
