"""Vaults for the tests of faults: with a note behind a symbolic link, one with two hard links, and a change to undo;
their copies; and all that they hold, to be compared."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import faults
import pytest

from kb.files import Journal

NOTES = {
    "notes/papers/a.md": "---\ntitle: A\nkind: paper\nstatus: to-read\narxiv: '2106.09685'\n---\nFirst.\n",
    "notes/papers/b.md": "---\ntitle: B\nkind: paper\nstatus: to-read\n---\nSee [[a]], [[link]] and [[hard]].\n",
    "notes/topics/t.md": "---\ntitle: T\nkind: topic\n---\n[[a]] and [[b]].\n",
    "elsewhere/link.md": "---\ntitle: Link\nkind: paper\nstatus: to-read\n---\nBehind a link.\n",
    "elsewhere/hard.md": "---\ntitle: Hard\nkind: paper\nstatus: to-read\n---\nOf two names.\n",
}
LIST = "# Reading\n\n- [ ] [One](https://example.org/one)\n- [x] a bare one\n"
BIB = "@article{x, title={A Work of Somebody}, author={Some Body}, year={2020}}\n@book{y, title={Another}, year=2021}\n"


@contextmanager
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where the system has one: a thousand vaults are made and thrown away there. No power is cut
    in these tests, so that nobody waits for a disk."""
    memory = Path("/dev/shm")
    _warm()
    where = memory if os.access(memory, os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=where) as found, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)
        yield Path(found)


@cache
def _warm() -> None:
    with tempfile.TemporaryDirectory() as found:
        faults.warm(build(Path(found)))


def build(root: Path) -> Path:
    """A new vault."""
    for path, text in NOTES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "mkdocs.yml").write_text("site_name: x\n")
    (root / "notes/papers/link.md").symlink_to("../../elsewhere/link.md")
    os.link(root / "elsewhere/hard.md", root / "notes/papers/hard.md")
    (root / "notes/papers/a.md").chmod(0o640)
    (root / "list.md").write_text(LIST)
    (root / "works.bib").write_text(BIB)
    Journal(root).commit("seed", {"notes/papers/seed.md": b"---\ntitle: Seed\nkind: paper\n---\n"}, {})
    return root


def copied(vault: Path, to: Path) -> Path:
    """A copy with the same links, symbolic and hard."""
    known: dict[int, Path] = {}
    for folder, folders, files in os.walk(vault):
        here = to / os.path.relpath(folder, vault)
        here.mkdir(parents=True, exist_ok=True)
        for name in files:
            source, target = Path(folder, name), here / name
            found = source.lstat()
            if found.st_nlink > 1 and found.st_ino in known:
                os.link(known[found.st_ino], target)
            else:
                shutil.copy2(source, target, follow_symlinks=False)
                known[found.st_ino] = target
        folders[:] = [folder for folder in folders if folder != "answers"]
    return to


Tree = dict[str, tuple[bytes, str, str, int]]


@dataclass(frozen=True)
class Made:
    """A vault before the change and after it, and the calls that lead there."""

    vault: Path
    before: Tree
    after: Tree
    calls: list[tuple[str, str]]

    def at(self, name: str, suffix: str) -> int:
        """The number of a call."""
        return next(n for n, (call, path) in enumerate(self.calls, 1) if call == name and path.endswith(suffix))


def tree(root: Path) -> Tree:
    """Every file of the vault, and of its trash: its bytes, where it leads as a link, the first path of the same file,
    its mode."""
    found: Tree = {}
    first: dict[int, str] = {}
    for file in sorted(root.rglob("*")):
        path = file.relative_to(root).as_posix()
        if not os.path.lexists(file) or (file.is_dir() and not file.is_symlink()) or file.name.startswith(".kb-"):
            continue
        if path.startswith(".kb/") and not path.startswith(".kb/trash/"):
            continue
        named = re.sub(r"\d{4}-\d\d-\d\d_[\d.-]+", "DAY", path)
        stat = file.lstat()
        link = os.readlink(file) if file.is_symlink() else ""
        found[named] = (file.read_bytes(), link, first.setdefault(stat.st_ino, named), stat.st_mode & 0o777)
    return found


def texts(found: Tree) -> set[bytes]:
    return {data for data, *_ in found.values()}


def strays(root: Path) -> list[str]:
    return [str(p.relative_to(root)) for p in root.rglob(".kb-*")]


def unended(root: Path) -> list[str]:
    return [p.suffix for p in (root / ".kb/journal").iterdir() if p.suffix in (".open", ".done")]


def beside_notes(root: Path) -> list[str]:
    """What lies beside the notes and is none."""
    return [path for path in strays(root) if not path.startswith(".kb/")]
