"""What is wrong in a vault: the Problems of single files, and those between files and with the disk around them.

A check is a function Library -> Problems. It asks the index for what looks wrong and opens a file only to find the line
of what is, so a clean vault is checked without reading it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from functools import partial

from kb import frontmatter
from kb.files import read_bytes
from kb.library import Library
from kb.problem import Problem

Check = Callable[[Library], Iterable[Problem]]


def check(library: Library, today: date | None = None) -> list[Problem]:
    """Every Problem of a vault, by path and line."""
    from kb.checks.links import orphaned_notes
    from kb.checks.results import stale_verdicts
    from kb.checks.text import TEXT_CHECKS
    from kb.checks.verdicts import unfollowed_results
    from kb.checks.works import probable_works

    more = (orphaned_notes, probable_works, *TEXT_CHECKS, unfollowed_results, stale_verdicts)
    return _run(library, (*_checks(today), *more))


def quick(library: Library, today: date | None = None) -> list[Problem]:
    """The Problems that the index alone tells; texts are not looked into, nor titles compared."""
    return _run(library, _checks(today))


def _checks(today: date | None) -> tuple[Check, ...]:
    from kb.checks.fields import FIELD_CHECKS, contradicting_dates
    from kb.checks.links import LINK_CHECKS
    from kb.checks.names import NAME_CHECKS
    from kb.checks.results import damaged_results, lonely_reproductions, missing_reproductions
    from kb.checks.works import WORK_CHECKS
    from kb.exporting.keys import shared_keys

    dates = partial(contradicting_dates, today=today or date.today())
    results = (missing_reproductions, damaged_results, lonely_reproductions)
    return (*LINK_CHECKS, *NAME_CHECKS, shared_keys, *WORK_CHECKS, dates, *FIELD_CHECKS, *results)


def _run(library: Library, checks: Iterable[Check]) -> list[Problem]:
    return sorted({*library.problems, *(problem for run in checks for problem in run(library))})


def key_line(library: Library, path: str, *keys: str) -> int:
    """The line of the first of these front-matter keys that a file has."""
    text = (read_bytes(library.root / path) or b"").decode("utf-8", "replace")
    lines = dict(frontmatter.key_lines(frontmatter.split(text).lines))
    return next((lines[key] for key in keys if key in lines), 1)


def values(library: Library, key: str) -> list[tuple[str, str]]:
    """The notes that have one of the front-matter keys that kb.index_rows names, and its value."""
    sql = "SELECT path, value FROM fields JOIN notes USING(n) WHERE key = ? ORDER BY path"
    return [(path, value) for path, value in library.index.rows(sql, (key,))]
