"""Where a number came from: commit, command, versions, hardware, and a hash of the code that ran. Imports no torch.

`source` is computed without git, on any machine, and by kb as well (kb/results.py; the guide tells the algorithm): the
modules of `repro` that `repro.<paper>.train` imports, directly or through others, without `claims.py` and `config.py`;
each as its syntax tree without comments, docstrings and places; SHA-256 over all, by module name.
"""

from __future__ import annotations

import ast
import hashlib
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import repro

_ASIDE = {"claims", "config"}  # a new recipe or claim does not make old runs stale


def source_hash(paper: str) -> str:
    """The first 16 hex digits of the hash of a paper's code."""
    digest = hashlib.sha256()
    for name, path in sorted(modules(paper).items()):
        digest.update(f"{name}\n{tree_text(path.read_text('utf-8'))}\n".encode())
    return digest.hexdigest()[:16]


def modules(paper: str) -> dict[str, Path]:
    """The modules of repro that a paper's training runs, by name."""
    found: dict[str, Path] = {}
    todo = [f"repro.{paper}.train"]
    while todo:
        name = todo.pop()
        path = _find(name)
        if path is None or name in found or name.rpartition(".")[2] in _ASIDE:
            continue
        found[name] = path
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                todo += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                todo += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def _find(name: str) -> Path | None:
    """The file of a module below repro, in this installation or in a vault of one's own."""
    parts = name.split(".")
    if parts[0] != "repro" or len(parts) == 1:
        return None
    for home in repro.__path__:
        place = Path(home).joinpath(*parts[1:])
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.is_file():
                return path
    return None


def tree_text(source: str) -> str:
    """A module's syntax tree as text that is the same for every Python from 3.11 on: no docstrings, no places, and no
    field that is empty (releases differ in those)."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return _text(tree)


def _text(node: Any) -> str:
    if isinstance(node, ast.AST):
        kept = [
            (k, v)
            for k, v in ast.iter_fields(node)
            if v is not None and v != [] and k not in ("kind", "ctx", "type_comment")
        ]
        return f"{type(node).__name__}({','.join(f'{k}={_text(v)}' for k, v in kept)})"
    if isinstance(node, list):
        return f"[{','.join(_text(item) for item in node)}]"
    return repr(node)


def segment(paper: str, device: str, torch_version: str, world_size: int) -> dict[str, Any]:
    """What a record says of one stretch of a run, before it ran."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "source": source_hash(paper),
        "command": shlex.join(["python", "-m", f"repro.{paper}.train", *sys.argv[1:]]),
        "python": platform.python_version(),
        "torch": torch_version,
        "device": device,
        "world_size": world_size,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _git(*args: str) -> str:
    try:
        ended = subprocess.run(["git", *args], cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except OSError:  # no git here
        return ""
    return ended.stdout.strip()


def processor() -> str:
    """The name of the CPU in words."""
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.is_file() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
