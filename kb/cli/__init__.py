"""The command line: one short function a verb. It reads arguments and shows results; everything else is elsewhere, and
is imported when its verb runs, so that `kb list` does not wait for what only `kb build` needs."""

import os
import sys
from typing import Annotated

import typer

from kb.cli import adding, changing, exporting, looking, merging, noting, papers  # noqa: F401  (each adds its verbs)
from kb.cli.screen import guard
from kb.cli.shared import app, set_root
from kb.problem import KbError


def main() -> None:
    """Run the command line; a KbError is one line and an exit code, never a traceback."""
    guard()
    args = sys.argv[1:]
    at = next(
        (n for n, a in enumerate(args) if not a.startswith("-") and (not n or args[n - 1] != "--root")), len(args)
    )
    verb = "".join(args[at : at + 1])
    if verb == "note":
        sys.argv[1:] = _as_words(args, at + 2)
    else:
        sys.argv[1:] = [_negated(arg, verb) for arg in args]
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here, where it can be caught that nobody listens
    except BrokenPipeError:  # `kb list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KbError as error:
        print(f"kb: {' '.join(str(error).splitlines())}", file=sys.stderr)
        sys.exit(error.code)
    except OSError as error:  # a disk that is full, protected or gone
        if error.filename is None:  # Python would try once more to write the rest
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        where = error.filename or "what it prints"
        print(f"kb: {where}: {error.strerror or error}; make room there, or see who may write", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("kb: interrupted; what was not yet written was left as it was", file=sys.stderr)
        sys.exit(130)


def _as_words(args: list[str], start: int) -> list[str]:
    """What stands behind the ID of `kb note` is text, whatever it looks like; `--help` alone asks for help."""
    words = args[start:]
    if "--" in words or words in (["-h"], ["--help"]) or not any(word.startswith("-") for word in words):
        return args
    return [*args[:start], "--", *words]


def _negated(arg: str, verb: str) -> str:
    """`-tag:x` is a term of a query, and -x a tag to take away for `kb tag`; without another sign for `not` they would
    be read as options."""
    if verb == "tag" and len(arg) > 1 and arg[0] == "-" != arg[1] and arg != "-h":
        return f"¬{arg[1:]}"
    if not arg.startswith("-") or ":" not in arg:
        return arg
    from kb.query import is_term

    return f"¬{arg[1:]}" if not arg.startswith("--") and is_term(arg) else arg


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
