"""Verbs of reproductions and of the site."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from kb.cli.shared import Json, app, given_root, known_papers, known_recipes, open_root, show_lines


@app.command()
def claims(
    paper: Annotated[
        str,
        typer.Argument(
            help="A folder of repro/, for all that belongs beside its verdicts.", autocompletion=known_papers
        ),
    ] = "",
    json: Json = False,
) -> None:
    """What papers claim and what our runs say of it: holds, fails, equivalent, unclear or not run; stale where the
    code has changed since."""
    from kb.claims import as_json, claim_table, details
    from kb.library import find_root
    from kb.render import printable, to_json
    from kb.results import Results

    results = Results(find_root(given_root()))
    papers = [results.find(paper)] if paper else list(results.papers.values())
    if json:
        print(to_json(as_json(papers, bool(paper))))
    else:
        show_lines(details(papers[0]) if paper else claim_table(papers))
    problems = [problem for found in papers for problem in found.problems]
    for problem in problems:
        print(printable(str(problem)), file=sys.stderr)
    raise typer.Exit(1 if problems else 0)


@app.command()
def run(
    paper: Annotated[str, typer.Argument(help="A folder of repro/.", autocompletion=known_papers)],
    recipe: Annotated[
        str, typer.Argument(help="One of its recipes; `python -m repro` lists them.", autocompletion=known_recipes)
    ] = "smoke",
    args: Annotated[
        list[str] | None, typer.Argument(help="After --, for the training: --seed 1 --minutes 9 --out DIR")
    ] = None,
    gpus: Annotated[int, typer.Option(min=0, help="So many processes, a GPU each, through torchrun.")] = 0,
) -> None:
    """Train: `python -m repro.PAPER.train RECIPE ARGS`, its output and exit code as they are."""
    from kb.library import find_root
    from kb.verbs.run import run as train

    given = list(args or ())
    if recipe.startswith("-"):  # kb run PAPER -- ARGS
        recipe, given = "smoke", [recipe, *given]
    train(find_root(given_root()), paper, recipe, gpus, given)


@app.command()
def build(
    strict: Annotated[bool, typer.Option("--strict", help="Fail where the build warns.")] = False,
    to: Annotated[Path | None, typer.Option("--to", help="The folder to write instead of site/.")] = None,
) -> None:
    """Write the site."""
    from kb.site.build import build as make

    report = make(open_root(), strict, to)
    print(f"{report.pages} pages in {report.seconds:.1f} s: open {report.site_dir / 'index.html'}")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port.")] = 8000,
    open: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Show the site, and keep it up to date while you write."""
    from kb.site.build import serve as run

    run(open_root(), host, port, open)
