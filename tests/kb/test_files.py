"""Writes that cannot tear: whatever stops a change, every file is old or new, and undo takes it back."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import pytest

import kb.files
from kb.files import Journal, read_bytes, write_atomic
from kb.problem import KbError
from kb.verbs.undoing import lines, undo, what

OLD: dict[str, bytes | None] = {
    "notes/a.md": b"old a",
    "notes/b.md": b"old b",
    "notes/deep/er/c.md": b"old c",
    "notes/new/d.md": None,
}
NEW: dict[str, bytes | None] = {
    "notes/a.md": b"new a",
    "notes/b.md": None,
    "notes/deep/er/c.md": b"new c",
    "notes/new/d.md": b"new d",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, data in OLD.items():
        if data is not None:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(data)
    return tmp_path


def now(root: Path) -> dict[str, bytes | None]:
    return {path: read_bytes(root / path) for path in OLD}


def litter(root: Path) -> list[str]:
    return [str(p.relative_to(root)) for p in root.rglob(".kb-*")] + [p.name for p in root.glob(".kb/journal/*.open")]


def test_a_change_is_made_and_taken_back(root: Path) -> None:
    journal = Journal(root)
    journal.commit("edit", NEW, OLD)
    assert now(root) == NEW
    change, kept = journal.undo()
    assert (change.verb, change.number, change.paths, kept) == ("edit", 1, sorted(NEW), [])
    assert now(root) == OLD
    assert not (root / "notes/new").exists() or not any((root / "notes/new").iterdir())
    assert litter(root) == []
    with pytest.raises(KbError, match="^nothing to undo: the journal is empty$"):
        journal.undo()


def test_changes_are_taken_back_newest_first(root: Path) -> None:
    journal = Journal(root)
    for n in range(3):
        journal.commit(f"edit {n}", {"notes/a.md": b"%d" % n}, {})
    assert [journal.undo()[0].verb for _ in range(3)] == ["edit 2", "edit 1", "edit 0"]
    assert now(root) == OLD


def test_no_writes_leave_no_entry(root: Path) -> None:
    Journal(root).commit("nothing", {}, {})
    assert not (root / ".kb").exists()


def test_undo_names_what_was_edited_since_and_leaves_all_as_it_is(root: Path) -> None:
    journal = Journal(root)
    journal.commit("status read", NEW, OLD)
    (root / "notes/a.md").write_bytes(b"mine")
    with pytest.raises(KbError) as error:
        journal.undo()
    assert str(error.value) == (
        "notes/a.md changed since `kb status read`; nothing was taken back"
        " (kb undo --skip-changed leaves such files as they are)"
    )
    (root / "notes/b.md").write_bytes(b"mine too")
    with pytest.raises(KbError, match=r"^notes/a\.md and 1 more changed since"):
        journal.undo()
    assert now(root) == NEW | {"notes/a.md": b"mine", "notes/b.md": b"mine too"}
    change, kept = journal.undo(skip_changed=True)
    assert (change.verb, kept) == ("status read", ["notes/a.md", "notes/b.md"])
    assert now(root) == OLD | {"notes/a.md": b"mine", "notes/b.md": b"mine too"}


def test_an_undo_that_was_cut_off_goes_on(root: Path) -> None:
    journal = Journal(root)
    journal.commit("edit", NEW, OLD)
    (root / "notes/a.md").write_bytes(b"old a")  # as far as it had come
    assert journal.undo()[1] == []
    assert now(root) == OLD


def test_a_file_that_is_not_what_was_read_is_not_overwritten(root: Path) -> None:
    for path, read in {"notes/a.md": b"as it was", "notes/new/d.md": b"gone", "notes/b.md": None}.items():
        with pytest.raises(KbError) as error:
            Journal(root).commit("edit", NEW, OLD | {path: read})
        assert str(error.value) == f"{path} changed while kb was at work; nothing was written, so run the command again"
    assert now(root) == OLD
    assert not (root / ".kb/journal").exists()


@pytest.mark.parametrize(
    "path", ["../out.md", "notes/../../out.md", "/tmp/out-of-the-vault.md", "notes/a.md/../../../x"]
)
def test_no_change_reaches_outside_the_vault(root: Path, path: str) -> None:
    with pytest.raises(KbError) as error:
        Journal(root).commit("edit", {"notes/a.md": b"x", path: b"x"}, {})
    assert (str(error.value), error.value.code) == (f"{path} lies outside the vault", 2)
    assert now(root) == OLD
    assert not Path("/tmp/out-of-the-vault.md").exists()


def test_links_and_permissions_stay(root: Path) -> None:
    elsewhere = root / "elsewhere.md"
    elsewhere.write_bytes(b"old")
    elsewhere.chmod(0o640)
    (root / "notes/link.md").symlink_to("../elsewhere.md")
    Journal(root).commit("edit", {"notes/link.md": b"new"}, {"notes/link.md": b"old"})
    assert os.readlink(root / "notes/link.md") == "../elsewhere.md"
    assert (elsewhere.read_bytes(), stat.S_IMODE(elsewhere.stat().st_mode)) == (b"new", 0o640)
    Journal(root).undo()
    assert os.readlink(root / "notes/link.md") == "../elsewhere.md"
    assert (elsewhere.read_bytes(), stat.S_IMODE(elsewhere.stat().st_mode)) == (b"old", 0o640)
    mask = os.umask(0o027)
    write_atomic(root / "notes/fresh.md", b"x")
    os.umask(mask)
    assert stat.S_IMODE((root / "notes/fresh.md").stat().st_mode) == 0o640


def test_the_longest_file_name_can_be_written(root: Path) -> None:
    name = "n" * 252 + ".md"
    write_atomic(root / "notes" / name, b"x")
    assert (root / "notes" / name).read_bytes() == b"x"


def test_the_journal_keeps_fifty_changes(root: Path) -> None:
    journal = Journal(root)
    for n in range(55):
        journal.commit(f"edit {n}", {"notes/a.md": b"%d" % n}, {})
    names = sorted(p.name for p in (root / ".kb/journal").iterdir())
    assert (len(names), names[0], names[-1]) == (50, "00000006.json", "00000055.json")
    assert (root / ".kb/.gitignore").read_text() == "*\n"


def test_the_journal_is_bounded_in_bytes_too_and_keeps_the_newest(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kb.files, "_KEPT_BYTES", 3000)
    journal = Journal(root)
    for n in range(5):
        journal.commit(f"edit {n}", {"notes/a.md": b"%d" % n * 500}, {})
    assert [change.verb for change in journal.changes()] == ["edit 4", "edit 3", "edit 2"]
    journal.commit("large", {"notes/a.md": b"x" * 9000}, {})
    journal.commit("larger", {"notes/a.md": b""}, {})
    assert [change.verb for change in journal.changes()] == ["larger"]


def test_the_changes_newest_first(root: Path) -> None:
    assert Journal(root).changes() == []
    Journal(root).commit("one", NEW, OLD)
    Journal(root).commit("two", {"notes/a.md": b"2"}, {})
    first, second = Journal(root).changes()
    assert (first.verb, first.paths, first.old) == ("two", ["notes/a.md"], {"notes/a.md": b"new a"})
    assert (second.verb, second.paths, second.old) == ("one", sorted(NEW), OLD)


def test_what_a_change_did_in_words(root: Path) -> None:
    Journal(root).commit("edit", NEW | {"imports/x.json": b"{}"}, {})
    (change,) = Journal(root).changes()
    assert what(change) == ("2 notes: a, c; 1 note is new: d; 1 note is gone: b; 1 other file: imports/x.json")
    assert list(lines(*undo(root))) == [
        f"took back `kb edit` of {change.when}: 2 notes: a, c; 1 note is gone again: d; 1 note is back: b; "
        "1 other file: imports/x.json"
    ]
    Journal(root).commit("many", {f"notes/n{n}.md": b"x" for n in range(7)}, {})
    (root / "notes/n1.md").write_bytes(b"mine")
    told = list(lines(*undo(root, skip_changed=True)))
    assert told[0].endswith(": 6 notes are gone again: n0, n2, n3, n4, n5 and 1 more")
    assert told[1:] == ["left as you edited it: notes/n1.md"]
    Journal(root).commit("rest", {"x.txt": b"", "y.txt": b""}, {})
    assert list(lines(*undo(root)))[0].endswith(": 2 files: x.txt, y.txt")


def test_undo_does_not_take_the_vault_from_under_its_notes(tmp_path: Path) -> None:
    Journal(tmp_path).commit("init", {"mkdocs.yml": b"", "notes/index.md": b"x"}, {})
    (tmp_path / "notes/mine.md").write_text("mine")
    with pytest.raises(KbError, match="^only `kb init` is left to take back, and notes/mine.md would have no vault"):
        undo(tmp_path)
    (tmp_path / "notes/mine.md").unlink()
    assert undo(tmp_path)[0].verb == "init"
    assert not (tmp_path / "mkdocs.yml").exists()


def test_a_state_folder_that_cannot_be_made_is_told(root: Path) -> None:
    (root / ".kb").write_text("in the way")
    with pytest.raises(KbError) as error:
        Journal(root).commit("edit", NEW, OLD)
    assert str(error.value) == f"{root}/.kb: File exists; kb must be able to write there"
    assert now(root) == OLD
    (root / ".kb").unlink()
    (root / ".kb").mkdir()
    (root / ".kb/journal").write_text("in the way")
    with pytest.raises(KbError, match=r"\.kb/journal: File exists; kb must be able to write there$"):
        Journal(root).commit("edit", NEW, OLD)
    assert now(root) == OLD


def append(root: str, n: int, barrier: Any) -> None:
    barrier.wait()
    path = Path(root, "notes/a.md")
    while True:
        data = path.read_bytes()
        try:
            Journal(Path(root)).commit(
                "add", {"notes/a.md": data + b"%d\n" % n, f"notes/{n}.md": b"x"}, {"notes/a.md": data}
            )
            return
        except KbError as error:
            assert "changed while kb was at work" in str(error)


def test_twenty_commands_at_once_all_take_effect(root: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(20)
    processes = [context.Process(target=append, args=(str(root), n, barrier)) for n in range(20)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [p.exitcode for p in processes] == [0] * 20
    added = (root / "notes/a.md").read_bytes().removeprefix(b"old a").split()
    assert sorted(int(n) for n in added) == list(range(20))
    assert all((root / f"notes/{n}.md").exists() for n in range(20))
    entries = [json.loads(p.read_text()) for p in sorted((root / ".kb/journal").glob("*.json"))]
    assert len(entries) == 20
    for _ in range(20):
        Journal(root).undo()
    assert now(root) == OLD
