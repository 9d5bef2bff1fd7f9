"""Every verb under a disk that fails and a process that is killed, at every call: each note is the old or the new text,
whole; the next command works and says what happened; one undo takes one change back."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faults
import pytest
from fault_vaults import LIST, Made, Tree, beside_notes, build, copied, in_memory, strays, texts, tree, unended
from faults import Fault, kb_main

import kb.sources
from kb.files import Journal

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with in_memory(tmp_path) as found:
        yield found


def killed_after(root: Path, call: str, *args: str) -> None:
    """Run a verb that is killed when it has made its last call of this name."""
    whole = copied(root, root.parent / f"whole-{root.name}")
    at = max(n for n, (name, _) in enumerate(faults.run(whole, kb_main(whole, *args)).calls, 1) if name == call)
    assert faults.run(root, kb_main(root, *args), Fault(at + 1, "kill")).code == -9


@dataclass(frozen=True)
class Verb:
    """What is run, after `first`; `again`: the next command of any kind does it anew, if it was not done."""

    args: tuple[str, ...]
    first: Callable[[Path], Any] = lambda root: None
    again: bool = False
    code: int = 0


def kb_first(*args: str) -> Callable[[Path], Any]:
    return lambda root: faults.run(root, kb_main(root, *args))


def inbox(root: Path) -> None:
    (root / "inbox.md").write_text("# Inbox\n\nhttps://example.org/three\nA title\n")


def captured(root: Path) -> None:
    inbox(root)
    faults.run(root, kb_main(root, "list"))


def answering(cache: Path, **more: Any) -> Callable[[Any], Any]:
    """A web that knows every work."""
    return lambda sources: (
        (source, {"title": "What it is called", "year": 2020, "kind": "paper"}) for source in sources
    )


VERBS = {
    "add": Verb(("add", "--offline", "2006.11239", "--tag", "x")),
    "add several": Verb(("add", "--offline", "works.bib")),
    "add --merge": Verb(("add", "--offline", "--merge", "2106.09685", "--tag", "x")),
    "add --complete": Verb(("add", "--complete"), kb_first("add", "--offline", "2006.11239")),
    "import": Verb(("import", "list.md")),
    "import again": Verb(("import", "list.md"), lambda root: (
        faults.run(root, kb_main(root, "import", "list.md")),
        (root / "list.md").write_text(LIST.replace("[ ] [One]", "[x] [One]")))),
    "status": Verb(("status", "hard", "read")),
    "tag": Verb(("tag", "a", "link", "hard", "+x")),
    "note": Verb(("note", "hard", "what", "I", "think")),
    "rename": Verb(("rename", "a", "z")),
    "rename a link": Verb(("rename", "link", "z")),
    "rename a hard link": Verb(("rename", "hard", "z", "--alias")),
    "rm": Verb(("rm", "a", "link")),
    "rm --restore": Verb(("rm", "--restore", "a"), kb_first("rm", "a")),
    "merge": Verb(("merge", "b", "a")),
    "check --fix": Verb(("check", "--fix"), lambda root: (root / "notes/papers/c.md").write_text(
        "---\ntitle: On: C\nkind: paper\nstatus: read\n---\n")),
    "capture": Verb(("list",), inbox, again=True),
    "undo": Verb(("undo",), kb_first("tag", "a", "b", "link", "hard", "+x")),
    "undo rm": Verb(("undo",), kb_first("rm", "a", "b", "link")),
    "undo rename": Verb(("undo",), kb_first("rename", "link", "z")),
    "undo capture": Verb(("undo",), captured),
}  # fmt: skip


@dataclass(frozen=True)
class Played(Made):
    """A verb as it goes when nothing is wrong, and what undo makes of the vault before and after."""

    code: int
    undone: list[tuple[Tree, Tree]]


def play(verb: Verb, folder: Path) -> Played:
    vault = build(folder / "vault")
    verb.first(vault)
    done = copied(vault, folder / "done")
    ended = faults.run(done, kb_main(done, *verb.args))
    before, after = tree(vault), tree(done)
    assert before != after or verb.args[0] == "import", ended
    undone = []
    for number, state in enumerate((vault, done)):
        root = copied(state, folder / f"undone{number}")
        Journal(root).undo()
        undone.append((tree(state), tree(root)))
    return Played(vault, before, after, ended.calls, ended.code, undone)


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_killed_at_any_call_is_done_or_not_done(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kb.sources, "fetcher", answering)
    verb = VERBS[name]
    played = play(verb, folder)
    whole = texts(played.before) | texts(played.after)
    states = [played.after] if verb.again else [played.before, played.after]
    seen = set()
    for at, (call, _) in enumerate(played.calls, 1):
        for do in ("kill", "tear") if call == "write" else ("kill",):
            where = (name, at, do, played.calls[at - 1])
            root = copied(played.vault, folder / f"{at}{do}")
            assert faults.play(root, kb_main(root, *verb.args), Fault(at, do)).code == -9, where
            half = tree(root)
            assert {data for data, _, inode, _ in half.values() if not inode.endswith("hard.md")} <= whole, where
            left = unended(root)
            following = faults.play(root, kb_main(root, "list"))
            now = tree(root)
            assert (following.code, now in states) == (0, True), (where, following.err)
            assert ("was cut off; what it had begun was taken back\n" in following.err) == (left == [".open"]), where
            assert ("was cut off when all was done" in following.err) == (left == [".done"]), where
            assert beside_notes(root) == [], where
            Journal(root).undo()
            assert tree(root) == dict(_by_state(played))[_frozen(now)], where
            Journal(root).commit("more", {"notes/more.md": b"more"}, {})
            assert strays(root) == [], where
            seen |= {*left, now == played.after}
            shutil.rmtree(root)
    if played.before != played.after and not verb.again:
        assert seen >= {".open", ".done", True, False}


def _frozen(found: Tree) -> tuple[Any, ...]:
    return tuple(sorted(found.items()))


def _by_state(played: Played) -> Iterator[tuple[Any, Tree]]:
    yield from ((_frozen(state), undone) for state, undone in played.undone)


# A disk that is full, broken or protected


ERRORS = [
    ("fail", errno.EIO),
    ("fails", errno.ENOSPC),
    ("fails half", errno.ENOSPC),
    ("fails", errno.EROFS),
]


@pytest.mark.parametrize("name", ["add several", "tag", "rename a hard link", "rm", "undo", "capture"])
def test_a_verb_whose_disk_fails_at_any_call_says_so_and_changes_nothing(name: str, folder: Path) -> None:
    verb = VERBS[name]
    played = play(verb, folder)
    said = set()
    for at, (call, _) in enumerate(played.calls, 1):
        do, code = ERRORS[at % len(ERRORS)] if call != "write" else ("fails half", errno.ENOSPC)
        where = (name, at, do, errno.errorcode[code], played.calls[at - 1])
        root = copied(played.vault, folder / str(at))
        ended = faults.play(root, kb_main(root, *verb.args), Fault(at, do, code))
        told = ended.err.splitlines()
        assert "Traceback" not in ended.err and ended.code in (0, 1), (where, ended.err)
        assert texts(tree(root)) <= texts(played.before) | texts(played.after) or "next kb command" in ended.err, where
        if ended.code:
            assert len(told) == 1 and told[0].startswith("kb: ") and os.strerror(code) in told[0], (where, told)
            said.add(told[0].rpartition("; ")[2])
            assert tree(root) == played.before or "the next kb command" in told[0], where
        elif not verb.again:
            assert tree(root) == played.after, where
        following = faults.play(root, kb_main(root, "list"))
        wanted = played.before if ended.code else played.after
        assert (following.code, tree(root)) == (0, wanted), (where, following.err)
        Journal(root).commit("more", {"notes/more.md": b"more"}, {})
        assert strays(root) == [], where
        shutil.rmtree(root)
    if not verb.again:
        assert "nothing was changed" in said


def test_a_protected_vault_can_be_read_and_says_why_it_is_not_written(folder: Path) -> None:
    root = build(folder / "vault")
    killed_after(root, "exchange", "tag", "a", "+x")
    (root / "inbox.md").write_text("A title\n")
    before, protected = tree(root), Fault(1, "fails", errno.EROFS)
    assert unended(root) == [".open"]
    for args in (
        ["list"],
        ["status"],
        ["show", "a"],
        ["search", "first"],
        ["links", "a"],
        ["export"],
        ["undo", "--list"],
    ):
        ended = faults.run(root, kb_main(root, *args), protected)
        assert ended.code == 0 and "Traceback" not in ended.err, (args, ended.err)
        assert ended.out
    for args in (
        ["status", "a", "read"],
        ["rm", "a"],
        ["undo"],
        ["add", "--offline", "works.bib"],
        ["import", "list.md"],
    ):
        ended = faults.run(root, kb_main(root, *args), protected)
        assert ended.code == 1 and ended.err.splitlines()[-1].startswith("kb: "), (args, ended.err)
        assert "Read-only file system" in ended.err and "Traceback" not in ended.err
    assert tree(root) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "args", ["list", "status --json", "show a", "tag a +x", "export", "check --all", "undo", "search first"]
)
def test_what_cannot_be_printed_is_told_in_one_line(args: str, folder: Path) -> None:
    root = build(folder / "vault")
    (root / "notes/papers/odd.md").write_text("---\ntitle: Odd\nkind: odd\n---\n")
    command = [sys.executable, "-m", "kb", *args.split()]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, cwd=root, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (
        1, "kb: what it prints: No space left on device; make room there, or see who may write\n"
    )  # fmt: skip
    assert ("- x" in (root / "notes/papers/a.md").read_text() or "[x]" in (root / "notes/papers/a.md").read_text()) == (
        args == "tag a +x"
    )


def test_an_export_killed_at_any_call_leaves_the_old_file_or_the_new(folder: Path) -> None:
    root = build(folder / "vault")
    to = root / "thesis/refs.bib"
    to.parent.mkdir()
    to.write_text("old")
    command = kb_main(root, "export", "--to", str(to))
    calls = faults.run(
        copied(root, folder / "whole"), kb_main(folder / "whole", "export", "--to", "thesis/refs.bib")
    ).calls
    new = (folder / "whole/thesis/refs.bib").read_text()
    for at in range(1, len(calls) + 1):
        to.write_text("old")
        assert faults.run(root, command, Fault(at, "tear")).code == -9
        assert to.read_text() in ("old", new)
        assert faults.run(root, command).code == 0
        assert (to.read_text(), os.listdir(to.parent)) == (new, ["refs.bib"])
    for at in range(1, len(calls) + 1):
        to.write_text("old")
        ended = faults.run(root, command, Fault(at, "fail half"))
        assert (to.read_text() in ("old", new), os.listdir(to.parent)) == (True, ["refs.bib"])
        assert (ended.code == 0 and to.read_text() == new) or "No space left on device" in ended.err


@pytest.mark.parametrize("linked", [False, True])
def test_an_init_killed_at_any_call_can_be_begun_again(linked: bool, folder: Path) -> None:
    own = folder / "own"
    own.mkdir()
    (own / "mine.md").write_text("mine")
    args = ("--notes", str(own)) if linked else ()
    whole = folder / "whole"
    calls = faults.run(folder, kb_main(folder, "init", "whole", *args)).calls
    assert len(calls) > 20
    for at in range(1, len(calls) + 1):
        shutil.rmtree(whole)
        assert faults.play(folder, kb_main(folder, "init", "whole", *args), Fault(at, "kill")).code == -9
        again = faults.play(folder, kb_main(folder, "init", "whole", *args))
        assert again.code == 0 or "is a vault already" in again.err, (at, calls[at - 1], again.err)
        assert {path: (whole / path).exists() for path in ("mkdocs.yml", "inbox.md", "notes")} == dict.fromkeys(
            ("mkdocs.yml", "inbox.md", "notes"), True
        )
        assert strays(whole) == [] and (own / "mine.md").read_text() == "mine"
        assert os.listdir(own) == ["mine.md"]
