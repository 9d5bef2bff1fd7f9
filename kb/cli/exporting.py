"""The verb that takes works out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kb.cli.shared import Query, app, open_library
from kb.problem import KbError

if TYPE_CHECKING:
    from kb.problem import Problem


def _formats(incomplete: str) -> list[str]:
    from kb.exporting import FORMATS

    return [name for name in FORMATS if name.startswith(incomplete)]


@app.command()
def export(
    query: Query = None,
    cited: Annotated[
        list[Path] | None,
        typer.Option(help="What this document cites, under its own keys: .tex, .aux, .bcf, .md, .qmd."),
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="bibtex, biblatex, ris, csl-json, csv, json, markdown or bibliography. Else as the file of --to ends.",
            autocompletion=_formats,
        ),
    ] = "",
    to: Annotated[Path | None, typer.Option("--to", "-o", help="Write this file; else to standard output.")] = None,
    style: Annotated[str, typer.Option(help="Of a bibliography: a .csl file, or the name of a style.")] = "",
    locale: Annotated[str, typer.Option(help="Of a bibliography: its language, as de-DE.")] = "",
    markup: Annotated[str, typer.Option(help="Of a bibliography: text, markdown or html.")] = "",
    private: Annotated[bool, typer.Option("--private", help="Private notes too.")] = False,
    write_keys: Annotated[
        bool, typer.Option("--write-keys", help="Write the keys into the notes, so that nothing ever changes them.")
    ] = False,
) -> None:
    """Take works out, for LaTeX, Zotero, a spreadsheet or a reader: all of them, those that answer a query, or those
    that a document cites."""
    from kb import exporting
    from kb.edits import again
    from kb.exporting.keys import write_keys as pin
    from kb.query import parse

    format = format or exporting.SUFFIXES.get(to.suffix.lower().lstrip(".") if to else "", "bibtex")
    _check(format, style, locale, markup)
    library = open_library()
    shown = exporting.public_works(library, parse(" ".join(query or ())), private)
    problems: list[Problem] = []
    if cited:
        found, problems = exporting.cited_works(library, cited, shown)
    else:
        found = exporting.works(library, shown)
    markup = markup or ("html" if to and to.suffix.lower() == ".html" else "text")
    text = exporting.render(found, format, full=not cited, style=style, locale=locale, markup=markup)
    _write(text, to)
    if write_keys:
        changed = again(library, lambda _: pin(library.root, found))
        print(f"wrote the keys of {len(changed)} note{'' if len(changed) == 1 else 's'}", file=sys.stderr)
    for problem in problems:
        print(problem, file=sys.stderr)
    raise typer.Exit(1 if any(problem.level == "error" for problem in problems) else 0)


def _check(format: str, style: str, locale: str, markup: str) -> None:
    from kb.exporting import FORMATS

    if format not in FORMATS:
        raise KbError(f"no format '{format}'; there are {' '.join(FORMATS)}", 2)
    given = next((name for name, value in (("style", style), ("locale", locale), ("markup", markup)) if value), "")
    if given and format != "bibliography":
        raise KbError(f"--{given} is for --format bibliography, and this is {format}", 2)


def _write(text: str, to: Path | None) -> None:
    """The same bytes everywhere: UTF-8 and newlines, whatever the system's are. A file that holds them stays as it is,
    so that what is made of it is not made again."""
    data = text.encode("utf-8", "replace")
    if to is None and sys.stdout.isatty():
        print(text, end="")  # no bytes that a terminal would obey
        return
    if to is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        return
    from kb.files import write_atomic

    try:
        if not to.exists() or to.read_bytes() != data:
            write_atomic(to, data)
    except OSError as error:
        raise KbError(f"{to}: {error.strerror}; choose another file", 2) from None
