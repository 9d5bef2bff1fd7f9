"""Verbs that mend and take back."""

from __future__ import annotations

from typing import Annotated

import typer

from kb.cli.shared import Json, app, given_root, open_library, show_lines


@app.command()
def check(
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended safely.")] = False,
    all: Annotated[bool, typer.Option("--all", help="Information too: wanted links, notes to complete.")] = False,
    format: Annotated[str, typer.Option(help="text, json or github.")] = "text",
    json: Json = False,
) -> None:
    """Everything that is wrong in the vault, as path:line: check: message (what to do)."""
    from kb.check import check as run
    from kb.check import render
    from kb.fix import fix as mend
    from kb.library import Library
    from kb.render import printable

    library = open_library()
    if fix:
        mended = mend(library)
        show_lines(f"fixed {printable(str(problem))}" for problem in mended)
        library = Library(library.root) if mended else library
    problems = [p for p in run(library) if all or p.level != "info"]
    text = render(problems, "json" if json else format)
    if text:
        print(text)
    raise typer.Exit(1 if any(p.level != "info" for p in problems) else 0)


@app.command()
def undo(
    skip_changed: Annotated[bool, typer.Option("--skip-changed", help="Leave files that you edited since.")] = False,
) -> None:
    """Take back the last change of any verb: an add, a status, a whole import."""
    from kb.files import Journal
    from kb.library import find_root

    change, kept = Journal(find_root(given_root())).undo(skip_changed)
    count = len(change.paths) - len(kept)
    print(f"took back `kb {change.verb}` of {change.when}: {count} file{'' if count == 1 else 's'}")
    show_lines(f"left as you edited it: {path}" for path in kept)
