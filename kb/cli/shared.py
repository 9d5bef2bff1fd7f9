"""What the verbs share: the application, the vault at hand, and the arguments that several of them take.

The modules of verbs do without `from __future__ import annotations`: typer would compile every annotation of every verb
again at each start, an eighth of what `kb --help` takes.
"""

import sys
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeVar

import typer

from kb.problem import KbError

if TYPE_CHECKING:
    from pathlib import Path

    from kb.library import Library
    from kb.note import Note

_T = TypeVar("_T")

app = typer.Typer(
    name="kb",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Papers you can run: notes on papers, talks, courses, posts and code; listed, searched, checked and linked.",
)
_AT_ONCE = 500  # lines
_root: list[str | None] = [None]


def given_root() -> str | None:
    """What --root said."""
    return _root[0]


def set_root(root: str | None) -> None:
    _root[0] = root


def open_root(near: Sequence[str] = ()) -> "Path":
    """The vault's root; says so if an earlier command had died half-way, and what became of its change. `near`: files
    that the command names."""
    from kb.files import Journal
    from kb.library import find_root

    root = find_root(given_root(), near)
    try:
        settled = Journal(root).recover()
    except KbError as error:  # what only reads goes on
        print(f"kb: {error}", file=sys.stderr)
        return root
    if settled:
        from kb.render import printable
        from kb.verbs.undoing import told

        show_lines((f"kb: {printable(told(one))}" for one in settled), sys.stderr)
    return root


def open_library(capturing: bool = True, near: Sequence[str] = ()) -> "Library":
    """The vault, up to date; says so if the index had to be made anew. New lines of inbox.md become notes first."""
    from kb.library import Library
    from kb.render import progress

    root = open_root(near)
    library = Library(root, progress)
    if library.index.rebuilt:
        print("kb: the index was damaged and has been made anew; no note was touched", file=sys.stderr)
    if capturing and (root / "inbox.md").exists() and _captured(library):
        library.index.close()
        return Library(root, progress)
    return library


def changing(work: Callable[["Library"], _T]) -> _T:
    """What `work` does to the vault, once more where another command or an editor was quicker."""
    from kb.edits import again

    return again(open_library(), work)


def _captured(library: "Library") -> bool:
    """Whether the inbox held something new; says what became of it."""
    from kb.render import printable
    from kb.verbs.capture import capture, waits

    told = capture(library) if waits(library.root) else []
    for line in told:
        print(f"kb: {printable(line)}", file=sys.stderr)
    return bool(told)


def show_lines(lines: Any, to: TextIO | None = None) -> None:
    """Each on a line; many are written at once, since ten thousand are."""
    left = iter(lines)
    while some := list(islice(left, _AT_ONCE)):
        print("\n".join(some), file=to)


def known_ids(incomplete: str) -> list[str]:
    """The ids that a shell completes to."""
    from kb.query import parse

    return _completed(lambda library: [row[0] for row in library.index.table(parse(""), "id", 0)], incomplete)


def known_tags(incomplete: str) -> list[str]:
    """The tags that a shell completes to, most frequent first; a sign in front stays."""
    from kb.verbs.tagging import counts

    sign = incomplete[:1] if incomplete[:1] in ("+", "-") else ""
    found = _completed(lambda library: [tag for tag, _ in counts(library)], incomplete[len(sign) :])
    return [sign + tag for tag in found]


def known_papers(incomplete: str) -> list[str]:
    """The reproductions that a shell completes to."""
    return _completed(lambda library: list(library.results.papers), incomplete)


def known_recipes(ctx: typer.Context, incomplete: str) -> list[str]:
    """The recipes of a paper that have runs or claims."""

    def recipes(library: "Library") -> list[str]:
        paper = library.results.find(str(ctx.params.get("paper", "")))
        ran = [record.recipe for record in paper.records.values()]
        return list(dict.fromkeys([*ran, *(recipe for row in paper.listed for recipe in row.recipes)]))

    return _completed(recipes, incomplete)


def known_sorts(incomplete: str) -> list[str]:
    from kb.index import SORTS

    return [name for name in SORTS if name.startswith(incomplete)]


def _completed(names: Callable[["Library"], list[str]], incomplete: str) -> list[str]:
    try:
        return [name for name in names(open_library(capturing=False)) if name.startswith(incomplete)]
    except KbError:
        return []


def known_statuses(incomplete: str) -> list[str]:
    from kb.vocabulary import STATUSES

    return [status for status in STATUSES if status.startswith(incomplete)]


def known_kinds(incomplete: str) -> list[str]:
    from kb.vocabulary import KINDS

    return [kind for kind in KINDS if kind.startswith(incomplete)]


Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
Query = Annotated[
    list[str] | None, typer.Argument(help="Words and fields: status:to-read tag:diffusion year:2020.. ho")
]
Id = Annotated[
    str, typer.Argument(help="A note: its id, alias, title, arXiv id, DOI or URL.", autocompletion=known_ids)
]
Status = Annotated[str, typer.Option(help="inbox, to-read, reading, read or dropped.", autocompletion=known_statuses)]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", "-t", help="May be given several times.", autocompletion=known_tags)
]
Kind = Annotated[str, typer.Option(help="paper, talk, lecture, course, post …", autocompletion=known_kinds)]


def meant(library: "Library", words: Sequence[str], works: bool = True) -> "list[Note]":
    """The notes that names mean, or that answer a query, where one of the words is a condition on a field; at least
    one. `works`: of a query only what has a status, else all but pages."""
    from kb.note import PAGE
    from kb.query import as_sql, is_term, parse

    if not any(is_term(word) and not library.index.resolve(word) for word in words):
        return list({note.path: note for note in map(library.find, words)}.values())
    asked = " ".join(words)
    query = parse(asked)
    where, args = as_sql(query)
    found = library.index.notes(where, args)
    notes = [note for note in found if (note.status if works else note.kind != PAGE or query.has("kind"))]
    if not notes:
        raise KbError(f"no note answers `{asked}`; `kb list {asked}` tries it")
    return notes
