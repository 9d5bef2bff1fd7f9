"""Killed at any call of the system, SQLite's own among them; and all that the other tests of faults do not count."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import faults
import kernel
import pytest
from fault_vaults import beside_notes, build, copied, in_memory, tree
from faults import kb_main

from kb.files import Journal

SAME = {"replace": "rename", "exchange": "rename", "rename_free": "rename", "remove": "unlink"}
COMPARED = {"rename", "fsync", "write", "chmod", "unlink", "mkdir", "rmdir", "link", "symlink", "chown"}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    if kernel.calls(lambda: None) is None:
        pytest.skip("processes cannot be traced here")
    with in_memory(tmp_path) as found:
        yield found


def silent(do: Callable[[], Any], to: str = os.devnull) -> None:
    """Do it with its output in a file."""
    where = os.open(to, os.O_RDWR | os.O_CREAT)
    os.dup2(where, 1)
    os.dup2(where, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    try:
        do()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


@pytest.mark.parametrize("args", ["tag a link hard +x", "rm a link", "rename hard z", "undo", "import list.md", "list"])
def test_no_changing_call_is_left_out(args: str, folder: Path) -> None:
    root, other = build(folder / "one"), build(folder / "other")
    for vault in (root, other):
        if args == "list":
            (vault / "inbox.md").write_text("A title\n")
        faults.play(vault, kb_main(vault, "status"))
    counted = Counter(SAME.get(name, name) for name, _ in faults.run(root, kb_main(root, *args.split())).calls)
    made = Counter(kernel.calls(partial(silent, kb_main(other, *args.split()))))
    assert "open()" not in counted
    del counted["fsync"], made["fsync"]  # which are left out of these tests; `test_what_is_promised…` holds them
    assert {name: n for name, n in counted.items() if name in COMPARED} == {
        name: n for name, n in made.items() if name in COMPARED
    }
    assert tree(root).keys() == tree(other).keys()


def cold(root: Path) -> None:
    """No index yet."""


def touched(root: Path) -> None:
    """An index, and a note that changed since."""
    faults.play(root, kb_main(root, "list"))
    (root / "notes/papers/a.md").write_text("---\ntitle: Changed\nkind: paper\n---\n")


def damaged(root: Path) -> None:
    """An index that must be thrown away."""
    faults.play(root, kb_main(root, "list"))
    (root / ".kb/index.sqlite-wal").unlink(missing_ok=True)
    (root / ".kb/index.sqlite").write_bytes(b"garbage " * 999)


@pytest.mark.parametrize(("first", "least"), [(cold, 60), (touched, 25), (damaged, 30)])
def test_an_index_killed_at_any_call_costs_nothing(first: Callable[[Path], None], least: int, folder: Path) -> None:
    """Every third call of a kind that is made many times over: the pages of the file, one after the other."""
    vault = build(folder / "vault")
    first(vault)
    before = tree(vault)
    wanted = faults.play(copied(vault, folder / "whole"), kb_main(folder / "whole", "list")).out
    calls = kernel.calls(partial(silent, kb_main(copied(vault, folder / "counted"), "list")))
    assert calls is not None and len(calls) > least
    for at in (n for n, name in enumerate(calls, 1) if name != "pwrite" or n % 3 == 0):
        root = copied(vault, folder / str(at))
        kernel.calls(partial(silent, kb_main(root, "list")), kill_at=at)
        ended = faults.play(root, kb_main(root, "list"))
        assert (ended.code, ended.out, tree(root)) == (0, wanted, before), (at, calls[at - 1])
        assert ended.err in ("", "kb: the index was damaged and has been made anew; no note was touched\n")
        ended = faults.play(root, kb_main(root, "search", "first" if first is not touched else "two"))
        assert (ended.code, ended.err, bool(ended.out)) == (0, "", True)


@pytest.mark.parametrize("first", [cold, touched])
def test_an_index_on_a_full_disk_is_done_without(first: Callable[[Path], None], folder: Path) -> None:
    vault = build(folder / "vault")
    first(vault)
    before = tree(vault)
    wanted = faults.play(copied(vault, folder / "whole"), kb_main(folder / "whole", "list")).out
    calls = kernel.calls(partial(silent, kb_main(copied(vault, folder / "counted"), "list")))
    assert calls is not None
    said = folder / "said"
    for at in range(1, len(calls), 4):
        root = copied(vault, folder / str(at))
        said.write_text("")
        if kernel.calls(partial(silent, kb_main(root, "list"), str(said)), full_at=at) is None:
            pytest.skip("calls cannot be made to fail here")
        told = said.read_text().replace("kb: the index was damaged and has been made anew; no note was touched\n", "")
        assert (told, tree(root)) == (wanted, before), (at, calls[at - 1])
        ended = faults.play(root, kb_main(root, "list"))
        assert (ended.code, ended.out) == (0, wanted)


def test_a_rename_killed_at_any_call_is_done_or_not_done(folder: Path) -> None:
    vault = build(folder / "vault")
    faults.play(vault, kb_main(vault, "list"))
    done = copied(vault, folder / "done")
    command = ("rename", "hard", "z")
    calls = kernel.calls(partial(silent, kb_main(done, *command)), only=COMPARED)
    states, ends = [tree(vault), tree(done)], set()
    assert calls is not None and states[0] != states[1]
    for at in range(1, len(calls) + 1):
        root = copied(vault, folder / str(at))
        kernel.calls(partial(silent, kb_main(root, *command)), kill_at=at, only=COMPARED)
        ended = faults.play(root, kb_main(root, "list"))
        assert (ended.code, tree(root) in states, beside_notes(root)) == (0, True, []), (at, calls[at - 1], ended.err)
        ends.add(states.index(tree(root)))
        Journal(root).commit("more", {"notes/more.md": b"x"}, {})
    assert ends == {0, 1}
