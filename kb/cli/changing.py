"""Verbs that mend and take back."""

import sys
from typing import Annotated

import typer

from kb.cli.shared import Json, app, given_root, open_library, open_root, show_lines


@app.command()
def check(
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="[PATH]...", help="Only what is wrong in these files and folders.")
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended safely.")] = False,
    all: Annotated[bool, typer.Option("--all", help="Information too: wanted links, orphans, stale verdicts.")] = False,
    format: Annotated[str, typer.Option(help="text, json or github.")] = "text",
    json: Json = False,
) -> None:
    """Everything that is wrong in the vault, as path:line: check: message (what to do)."""
    from kb.checks import check as run
    from kb.checks.fix import fix as mend
    from kb.checks.report import below_repository, chosen, render, summary
    from kb.edits import again
    from kb.library import Library
    from kb.render import is_terminal, printable

    fmt = "json" if json else format
    render([], fmt)
    library = open_library(capturing=False, near=paths or ())
    if fix:
        mended = again(library, lambda now: mend(now, lambda found: chosen(found, now.root, paths or ())))
        show_lines((f"fixed {printable(str(problem))}" for problem in mended) if fmt != "json" else ())
        library = Library(library.root) if mended else library
    found = chosen(run(library), library.root, paths or ())
    problems = [p for p in found if all or p.level != "info"]
    if text := render(problems, fmt, below_repository(library.root) if fmt == "github" else ""):
        print(text)
    if fmt == "github" or (fmt == "text" and is_terminal()):
        print(summary(problems, found))
    raise typer.Exit(1 if any(p.level != "info" for p in problems) else 0)


@app.command()
def undo(
    skip_changed: Annotated[bool, typer.Option("--skip-changed", help="Leave files that you edited since.")] = False,
    list: Annotated[bool, typer.Option("--list", help="Show what can be taken back, newest first.")] = False,
    json: Json = False,
) -> None:
    """Take back the last change of any verb: an add, a status, a rename, a whole import. Run it again to go on back."""
    from kb.library import find_root
    from kb.render import printable, table, to_json
    from kb.verbs.undoing import as_json, cut_off, lines, listed, what
    from kb.verbs.undoing import undo as take_back

    if list:
        changes = listed(open_root())
        if json:
            print(to_json([as_json(change) for change in changes]))
        else:
            show_lines(table([(c.when, c.verb, what(c)) for c in changes], ("dim", "bold"), wide=2))
        return
    root = find_root(given_root())
    told, back = cut_off(root)
    show_lines((f"kb: {printable(line)}" for line in told), sys.stderr)
    change, kept = back or take_back(root, skip_changed)
    if json:
        print(to_json(as_json(change, kept)))
    elif not back:
        show_lines(printable(line) for line in lines(change, kept))
