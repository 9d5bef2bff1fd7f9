"""Which way imports point: the rules of the plan of the house, read off every file."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(p for room in ("kb", "repro", "benchmarks") for p in (ROOT / room).rglob("*.py"))
NO_ROOMS = {"__init__", "__main__", "lab"}


def name(file: Path) -> str:
    """kb/site/build.py -> kb.site.build"""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports(file: Path) -> tuple[tuple[str, int, int], ...]:
    """Every module a file imports, wherever in it, with the line and the number of leading dots."""
    return tuple(_imports(file))


def _imports(file: Path) -> Iterator[tuple[str, int, int]]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"), str(file))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.lineno, node.level
            yield from ((f"{node.module}.{alias.name}", node.lineno, node.level) for alias in node.names if node.module)


def users(module: str) -> list[str]:
    """The files that import a module or anything below it."""
    return sorted({str(f.relative_to(ROOT)) for f in FILES for m, _, _ in imports(f) if m.split(".")[0] == module})


def broken(files: list[Path], *forbidden: str) -> list[str]:
    return [
        f"{f.relative_to(ROOT)}:{line}: {m}" for f in files for m, line, _ in imports(f) if m.split(".")[0] in forbidden
    ]


def below(folder: str) -> list[Path]:
    return [f for f in FILES if f.is_relative_to(ROOT / folder)]


def test_the_files_are_read() -> None:
    assert ROOT / "kb/note.py" in FILES
    assert "kb/cli/__init__.py" in users("typer")


def test_kb_and_repro_do_not_know_each_other() -> None:
    assert broken(below("kb"), "repro", "torch", "benchmarks", "tests") == []
    assert broken(below("repro"), "kb", "benchmarks", "tests") == []


def test_no_import_is_relative() -> None:
    assert [f"{f.relative_to(ROOT)}:{line}" for f in FILES for _, line, dots in imports(f) if dots] == []


def test_lab_imports_no_paper_and_a_paper_lab_and_itself() -> None:
    papers = {p.name for p in (ROOT / "repro").iterdir() if p.is_dir() and (p / "__init__.py").exists()} - NO_ROOMS
    wrong = []
    for file in below("repro"):
        room = file.relative_to(ROOT / "repro").parts[0]
        for module, line, _ in imports(file):
            parts = module.split(".")
            if (
                parts[0] == "repro"
                and len(parts) > 1
                and parts[1] in papers - {room}
                and (ROOT / "repro" / room).is_dir()
            ):
                wrong.append(f"{file.relative_to(ROOT)}:{line}: {module}")
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "room"),
    [
        ("typer", "kb/cli/"),
        ("click", "kb/cli/"),
        ("sqlite3", "kb/index"),
        ("mkdocs", "kb/site/"),
        ("markdown", "kb/site/"),
        ("httpx", "kb/sources/"),
        ("material", "kb/site/"),
        ("pymdownx", "kb/site/"),
        ("bibtexparser", "kb/formats/"),
        ("pypdf", "kb/sources/"),
    ],
)
def test_a_library_is_known_to_one_room(module: str, room: str) -> None:
    assert [user for user in users(module) if user.startswith("kb/") and not user.startswith(room)] == []


BLOCKED = """
import importlib, importlib.abc, sys
blocked, modules = set(sys.argv[1].split(",")), sys.argv[2:]
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocker())
for module in modules:
    try:
        importlib.import_module(module)
    except ImportError as error:
        print(f"{module}: {error}")
print(len(modules), "imported")
"""


def import_without(blocked: str, modules: list[str]) -> list[str]:
    command = [sys.executable, "-c", BLOCKED, blocked, *modules]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_kb_imports_without_torch_a_site_or_a_network() -> None:
    modules = [name(f) for f in below("kb") if not f.is_relative_to(ROOT / "kb/site") and f.name != "__main__.py"]
    assert len(modules) > 20
    assert import_without("torch,numpy,mkdocs,material,markdown,httpx", modules) == [f"{len(modules)} imported"]


def test_the_site_imports_without_torch() -> None:
    pytest.importorskip("mkdocs", reason="the site extra is not installed")
    modules = [name(f) for f in below("kb/site")]
    assert import_without("torch,numpy,httpx", modules) == [f"{len(modules)} imported"]


def test_configs_claims_and_the_list_of_papers_import_without_torch() -> None:
    plain = [name(f) for f in below("repro") if f.name in ("config.py", "claims.py")]
    plain += ["repro"] + (["repro.__main__"] if (ROOT / "repro/__main__.py").exists() else [])
    assert import_without("torch,torchvision,transformers", plain) == [f"{len(plain)} imported"]
