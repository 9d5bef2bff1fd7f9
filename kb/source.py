"""The hash of a paper's code, as the laboratory computes it: kb's own second implementation of what the guide says in
"Run a reproduction". Nothing of `repro` is imported; its files are read."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

_ASIDE = ("claims", "config")  # no part of what ran: a new claim stales nothing, a run's config is in its record
_UNSAID = ("kind", "ctx", "type_comment")  # fields of the syntax tree that say nothing of their own
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def homes(root: Path) -> list[Path]:
    """The folders whose modules are `repro.…`, in the order in which Python looks: a vault's `repro/` extends the
    installed package; with an `__init__.py` of its own it comes before that."""
    own = root / "repro"
    found = [own, *installed()] if (own / "__init__.py").is_file() else [*installed(), own]
    return list(dict.fromkeys(home.resolve() for home in found if home.is_dir()))


def installed() -> list[Path]:
    """Where the installed `repro` package lies; nothing of it is imported."""
    spec = find_spec("repro")
    return [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []


def source_hash(root: Path, paper: str) -> str:
    """Today's hash of a paper's code, 16 hex digits; empty where there is none. A file that is no UTF-8 or no Python
    raises UnicodeDecodeError or SyntaxError."""
    modules = _closure(homes(root), f"repro.{paper}.train")
    lines = (f"{name}\n{_told(_undocumented(tree))}\n" for name, tree in sorted(modules.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16] if modules else ""


def _closure(places: Sequence[Path], first: str) -> dict[str, ast.Module]:
    """The syntax trees of a module and of every module of repro that it imports, directly or through others."""
    found: dict[str, ast.Module] = {}
    waiting = {first}
    while waiting:
        name = waiting.pop()
        path = None if name in found or name.rpartition(".")[2] in _ASIDE else _file(places, name)
        if path is not None:
            found[name] = ast.parse(path.read_text("utf-8"), str(path))
            waiting.update(_imported(found[name]))
    return found


def _imported(tree: ast.Module) -> Iterator[str]:
    """Every name that can be a module, wherever in the file it is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file(places: Sequence[Path], name: str) -> Path | None:
    top, _, rest = name.partition(".")
    if top != "repro" or not rest:
        return None
    below = rest.replace(".", "/")
    paths = (home / below for home in places)
    candidates = (path for p in paths for path in (p.with_name(p.name + ".py"), p / "__init__.py"))
    return next((path for path in candidates if path.is_file()), None)


def _undocumented(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return tree


def _told(node: object) -> str:
    """A syntax tree as text: `Name(field=…,field=…)` without empty fields, lists in brackets, all else by its repr."""
    if isinstance(node, ast.AST):
        told = ((name, value) for name, value in ast.iter_fields(node) if name not in _UNSAID)
        fields = ",".join(f"{name}={_told(value)}" for name, value in told if not (value is None or value == []))
        return f"{type(node).__name__}({fields})"
    return f"[{','.join(map(_told, node))}]" if isinstance(node, list) else repr(node)
