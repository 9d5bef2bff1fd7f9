"""What the verbs share: the application, the vault at hand, and the arguments that several of them take."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kb.problem import KbError

if TYPE_CHECKING:
    from kb.library import Library
    from kb.note import Note

app = typer.Typer(
    name="kb",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Papers you can run: notes on papers, talks, courses, posts and code; listed, searched, checked and linked.",
)
_root: list[str | None] = [None]


def given_root() -> str | None:
    """What --root said."""
    return _root[0]


def set_root(root: str | None) -> None:
    _root[0] = root


def open_library() -> Library:
    """The vault, up to date; says so if an earlier command had died half-way or the index had to be made anew."""
    from kb.files import Journal
    from kb.library import Library, find_root
    from kb.render import progress

    root = find_root(given_root())
    cut_off = Journal(root).recover()
    if cut_off:
        print(f"kb: `kb {cut_off.verb}` was cut off; what it had begun was taken back", file=sys.stderr)
    library = Library(root, progress)
    if library.index.rebuilt:
        print("kb: the index was damaged and has been made anew; no note was touched", file=sys.stderr)
    return library


def show_lines(lines: Any) -> None:
    for line in lines:
        print(line)


def known_ids(incomplete: str) -> list[str]:
    """The ids that a shell completes to."""
    from kb.query import parse

    try:
        return [row[0] for row in open_library().index.table(parse(""), "id", 0) if row[0].startswith(incomplete)]
    except KbError:
        return []


def known_statuses(incomplete: str) -> list[str]:
    from kb.note import STATUSES

    return [status for status in STATUSES if status.startswith(incomplete)]


def known_kinds(incomplete: str) -> list[str]:
    from kb.note import KINDS

    return [kind for kind in KINDS if kind.startswith(incomplete)]


Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
Query = Annotated[
    list[str] | None, typer.Argument(help="Words and fields: status:to-read tag:diffusion year:2020.. ho")
]
Id = Annotated[
    str, typer.Argument(help="A note: its id, alias, title, arXiv id, DOI or URL.", autocompletion=known_ids)
]
Status = Annotated[str, typer.Option(help="inbox, to-read, reading, read or dropped.", autocompletion=known_statuses)]
Tags = Annotated[list[str] | None, typer.Option("--tag", "-t", help="May be given several times.")]
Kind = Annotated[str, typer.Option(help="paper, talk, lecture, course, post …", autocompletion=known_kinds)]


def day(text: str) -> Any:
    from datetime import date

    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise KbError(f"'{text}' is no date; write it like 2025-01-04", 2) from None


def meant(library: Library, what: str) -> list[Note]:
    """The notes that a name or a query means; at least one."""
    from kb.query import FIELDS, as_sql, parse

    if what.partition(":")[0].lstrip("-¬") not in FIELDS or library.index.resolve(what):
        return [library.find(what)]
    where, args = as_sql(parse(what))
    notes = [note for note in library.index.notes(where, args) if note.status]
    if not notes:
        raise KbError(f"no note answers `{what}`; `kb list {what}` tries it")
    return notes
