"""Verbs that bring works in."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kb.cli.shared import Json, Kind, Status, Tags, app, open_library, show_lines
from kb.problem import KbError

if TYPE_CHECKING:
    from kb.problem import Problem
    from kb.verbs.add import Added


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where.")] = Path(),
    notes: Annotated[
        Path | None, typer.Option(help="A folder of notes that stays where it is: an Obsidian vault.")
    ] = None,
) -> None:
    """Make a new vault: a folder of notes that lists, searches and builds at once."""
    from kb.verbs.vault import init as make

    written = make(folder, notes=notes)
    print(f"A vault is in {folder.resolve()}: {', '.join(written)}")
    print(f"Next: cd {folder}, then kb add 2006.11239, kb import LIST.md, kb status, kb serve")


@app.command()
def add(
    refs: Annotated[
        list[str] | None,
        typer.Argument(help="arXiv id, DOI, ISBN, any URL, a .pdf or .bib file, a .txt with one a line, - for stdin."),
    ] = None,
    status: Status = "to-read",
    tag: Tags = None,
    kind: Kind = "",
    id: Annotated[str, typer.Option(help="The file name instead of one made from the title.")] = "",
    title: Annotated[str, typer.Option(help="The title instead of the one that is fetched.")] = "",
    note: Annotated[str, typer.Option(help="A first line of your own.")] = "",
    clipboard: Annotated[bool, typer.Option("--clipboard", help="Add what was copied.")] = False,
    merge: Annotated[bool, typer.Option("--merge", help="Add what is new to the note that is there already.")] = False,
    edit: Annotated[bool, typer.Option("--edit", help="Open the new notes in $EDITOR.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no service; `--complete` does so later.")] = False,
    complete: Annotated[bool, typer.Option("--complete", help="Fetch what earlier adds could not.")] = False,
    json: Json = False,
) -> None:
    """Make a note of a paper or anything else, with its metadata; what has a note already is named instead."""
    from kb.files import state_dir
    from kb.render import printable, to_json
    from kb.sources import fetcher
    from kb.verbs.add import AddOptions
    from kb.verbs.add import add as make
    from kb.verbs.clipboard import paste
    from kb.verbs.complete import complete as finish
    from kb.verbs.waiting import watched

    if not (refs or clipboard or complete):
        raise KbError("nothing to add; name an arXiv id, a URL, a .bib file, or - for standard input", 2)
    library = open_library()
    stdin = sys.stdin.buffer.read().decode("utf-8", "replace") if refs and "-" in refs else ""
    answers = state_dir(library.root) / "answers"
    fetch, distant = watched(fetcher(cache=answers)), watched(fetcher(cache=answers, inside=False))
    added: list[Added] = []
    problems: list[Problem] = []
    if refs or clipboard:
        copied = paste() if clipboard else ""
        options = AddOptions(status, tuple(tag or ()), kind, id, title, note, offline, merge, stdin, copied)
        added = make(library, refs or [], options, fetch, distant=distant)
    if complete:
        finished, problems = finish(library, distant)
        added += finished
    if json:
        print(to_json([a.as_json() for a in added]))
    else:
        show_lines(printable(a.message or f"{a.action} {a.path}") for a in added if a.action != "failed")
    for text in (*(f"kb: {a.message}" for a in added if a.action == "failed"), *map(str, problems)):
        print(printable(text), file=sys.stderr)
    if edit:
        _open_new(added)
    wrong = ("failed",) if merge else ("exists", "failed")  # with --merge there may be nothing new, and all is well
    raise typer.Exit(1 if problems or any(a.action in wrong for a in added) else 0)


def _open_new(added: "list[Added]") -> None:
    """The notes that were made or added to, in the editor."""
    from kb.verbs.opening import edit

    library = open_library()
    notes = [library.find(a.id) for a in added if a.action in ("created", "merged")]
    if notes:
        sys.stdout.flush()
        edit(library.root, notes)


@app.command("import")
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Reading lists (Markdown, org, Logseq, URLs), .bib, .ris, .json, .csv, .rdf; an Obsidian vault,"
            " a Notion export (folder or .zip)."
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, write nothing.")] = False,
    review: Annotated[bool, typer.Option("--review", help="Edit the plan in $EDITOR first.")] = False,
    as_: Annotated[str, typer.Option("--as", help="The name of the list, where another of its name is known.")] = "",
    format: Annotated[str, typer.Option("--format", help="list, org, bibtex, ris …, where it is not told.")] = "",
    json: Json = False,
) -> None:
    """Turn reading lists and bibliographies into notes, every line and record accounted for. Importing an edited file
    again brings its changes in and leaves what you wrote alone; `kb undo` takes a whole import back."""
    from kb.importing.terminal import plan_files, summary
    from kb.render import to_json

    plan = plan_files(open_library(), files, as_, review, format, write=not dry_run)
    if plan is None:
        print("nothing was imported")
        return
    if json:
        print(to_json(plan.as_json()))
    else:
        show_lines(summary(plan, dry_run))
    raise typer.Exit(1 if plan.is_flawed else 0)
