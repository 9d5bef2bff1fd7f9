"""The command line: one short function a verb. It reads arguments and shows results; everything else is elsewhere, and
is imported when its verb runs, so that `kb list` does not wait for what only `kb build` needs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kb.cli import adding, changing, looking, papers  # noqa: F401  (each adds its verbs)
from kb.cli.shared import app, set_root
from kb.problem import KbError


def main() -> None:
    """Run the command line; a KbError is one line and an exit code, never a traceback."""
    sys.argv[1:] = [_negated(arg) for arg in sys.argv[1:]]
    try:
        app()
    except KbError as error:
        print(f"kb: {error}", file=sys.stderr)
        sys.exit(error.code)
    except KeyboardInterrupt:
        print("kb: interrupted; what was not yet written was left as it was", file=sys.stderr)
        sys.exit(130)


def _negated(arg: str) -> str:
    """`-tag:x` is a term of a query; without another sign for `not` it would be read as the option -t."""
    if not arg.startswith("-") or ":" not in arg:
        return arg
    from kb.query import FIELDS

    return f"¬{arg[1:]}" if arg[1:].partition(":")[0] in FIELDS else arg


def _version(wanted: bool) -> None:
    if wanted:
        from kb import __version__

        print(f"kb {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    root: Annotated[str | None, typer.Option(help="The vault. Else KB_ROOT, else the nearest one upwards.")] = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    set_root(root)
