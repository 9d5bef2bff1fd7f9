"""Verbs that bring works in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kb.cli.shared import Json, Kind, Status, Tags, app, open_library, show_lines
from kb.problem import KbError

if TYPE_CHECKING:
    from kb.add import Added
    from kb.problem import Problem


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="Where.")] = Path()) -> None:
    """Make a new vault: a folder of notes that lists, searches and builds at once."""
    from kb.vault import init as make

    written = make(folder)
    print(f"A vault is in {folder.resolve()}: {', '.join(written)}")
    print(f"Next: cd {folder}, then kb add 2006.11239, kb import LIST.md, kb status, kb serve")


@app.command()
def add(
    refs: Annotated[
        list[str] | None, typer.Argument(help="arXiv id or URL, DOI, any URL, a .bib file, - for stdin.")
    ] = None,
    status: Status = "to-read",
    tag: Tags = None,
    kind: Kind = "",
    id: Annotated[str, typer.Option(help="The file name instead of one made from the title.")] = "",
    title: Annotated[str, typer.Option(help="The title instead of the one that is fetched.")] = "",
    note: Annotated[str, typer.Option(help="A first line of your own.")] = "",
    offline: Annotated[bool, typer.Option("--offline", help="Ask no service; `--complete` does so later.")] = False,
    complete: Annotated[bool, typer.Option("--complete", help="Fetch what earlier adds could not.")] = False,
    json: Json = False,
) -> None:
    """Make a note of a paper or anything else, with its metadata; what has a note already is named instead."""
    from kb.add import AddOptions
    from kb.add import add as make
    from kb.complete import complete as finish
    from kb.render import printable, to_json
    from kb.sources import fetcher

    if not refs and not complete:
        raise KbError("nothing to add; name an arXiv id, a URL, a .bib file, or - for standard input", 2)
    stdin = sys.stdin.read() if refs and "-" in refs else ""
    library = open_library()
    added: list[Added] = []
    problems: list[Problem] = []
    if refs:
        options = AddOptions(status, tuple(tag or ()), kind, id, title, note, offline, stdin)
        added = make(library, refs, options, fetcher())
    if complete:
        finished, problems = finish(library, fetcher())
        added += finished
    if json:
        print(to_json([a.as_json() for a in added]))
    else:
        show_lines(a.message or f"{a.action} {a.path}" for a in added)
    for problem in problems:
        print(printable(str(problem)), file=sys.stderr)
    raise typer.Exit(1 if problems or any(a.action == "exists" for a in added) else 0)


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Markdown reading lists.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, write nothing.")] = False,
    review: Annotated[bool, typer.Option("--review", help="Edit the plan in $EDITOR first.")] = False,
    as_: Annotated[str, typer.Option("--as", help="The name of the list, where another of its name is known.")] = "",
    json: Json = False,
) -> None:
    """Turn reading lists into notes, every line accounted for. Importing an edited list again brings its changes in
    and leaves what you wrote alone; `kb undo` takes a whole import back."""
    from kb.importing import apply
    from kb.importing.terminal import plan_files, summary
    from kb.render import to_json

    library = open_library()
    plan = plan_files(library, files, as_, review)
    if plan is None:
        print("nothing was imported")
        return
    if not dry_run:
        apply(library, plan)
    if json:
        print(to_json(plan.as_json()))
    else:
        show_lines(summary(plan, dry_run))
