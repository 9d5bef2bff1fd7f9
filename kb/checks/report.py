"""Problems as a terminal, a program or a pull request shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kb.problem import KbError, Problem
from kb.render import printable, style, to_json

FORMATS = ("text", "json", "github")
_COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}


def render(problems: Sequence[Problem], fmt: str = "text", below: str = "") -> str:
    """Problems as `text` (a line each), `json`, or as annotations of `github`'s workflows. `below` is the vault's
    folder as seen from the repository's, which annotations count from."""
    if fmt == "json":
        return to_json([p.as_json() for p in problems])
    if fmt == "text":
        return "\n".join(_line(p) for p in problems)
    if fmt == "github":
        return "\n".join(_annotation(p, below) for p in problems)
    raise KbError(f"no format '{fmt}'; there are {' '.join(FORMATS)}", 2)


def _line(problem: Problem) -> str:
    """`str(problem)`, on a terminal with the place, the check and the remedy set apart."""
    path, message, hint = map(printable, (problem.path, problem.message, problem.hint))
    place = style(f"{path}:{problem.line}", "bold")
    told = style(problem.check, _COLOURS[problem.level])
    return f"{place}: {told}: {message}" + (style(f" ({hint})", "dim") if hint else "")


def summary(shown: Sequence[Problem], found: Sequence[Problem]) -> str:
    """'2 errors, 1 warning; `kb check --fix` mends 1': of the Problems that are shown and of all that were found."""
    counts = [(sum(p.level == level for p in shown), name) for level, name in _NAMES.items()]
    told = ", ".join(_count(n, name) for n, name in counts if n) or "no problems"
    parts = [told]
    if mends := sum(p.fixable for p in found):
        parts.append(f"`kb check --fix` mends {mends}")
    if hidden := len(found) - len(shown):
        parts.append(f"{hidden} for information only: `kb check --all`")
    return "; ".join(parts)


_NAMES = {"error": "error", "warning": "warning", "info": "for information"}


def _count(n: int, name: str) -> str:
    return f"{n} {name}" + ("s" if n > 1 and name != "for information" else "")


def chosen(problems: Iterable[Problem], root: Path, paths: Sequence[str]) -> list[Problem]:
    """Those Problems that lie in some files or folders, named as a person names them; all of them where none is."""
    wanted = list(_inside(root, paths))
    return [p for p in problems if not paths or any(p.path == w or p.path.startswith(f"{w}/") or not w for w in wanted)]


def _inside(root: Path, paths: Sequence[str]) -> Iterator[str]:
    """Paths relative to the vault's root; one that is not there or lies elsewhere is a wrong use of the command."""
    for path in paths:
        place = Path(path).expanduser()
        found = place.parent.resolve() / place.name if place.name not in ("", "..") else place.resolve()
        if not found.exists() and not found.is_symlink():
            raise KbError(f"{path}: no such file; name files or folders of the vault", 2)
        if not found.is_relative_to(root.resolve()):
            raise KbError(f"{path} is not in the vault {root}; `--root` names another", 2)
        below = found.relative_to(root.resolve()).as_posix()
        yield "" if below == "." else below


def below_repository(root: Path) -> str:
    """The vault's folder as seen from the git repository's that it is in, with a slash; empty where they are one."""
    here = root.resolve()
    for folder in (here, *here.parents):
        if (folder / ".git").exists():
            below = here.relative_to(folder).as_posix()
            return "" if below == "." else f"{below}/"
    return ""


def _annotation(problem: Problem, below: str) -> str:
    command = {"error": "error", "warning": "warning", "info": "notice"}[problem.level]
    hint = f" ({problem.hint})" if problem.hint else ""
    place = f"file={_escape(below + problem.path, property=True)},line={problem.line or 1}"
    return f"::{command} {place},title={_escape('kb ' + problem.check, True)}::{_escape(problem.message + hint)}"


def _escape(text: str, property: bool = False) -> str:
    """What GitHub's runner takes back: in the message % and line ends, in a property also : and the comma."""
    text = "".join(c if c.isprintable() or c in "\r\n" else " " if c == "\t" else "\ufffd" for c in text)
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if property else text
