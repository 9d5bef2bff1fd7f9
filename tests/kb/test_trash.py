"""`kb rm`: notes go to a trash, undo and --restore bring them back, and links that break are told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kb.files import Journal
from kb.library import Library
from kb.problem import KbError
from kb.verbs.trash import remove, restore, thrown

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

NOTES = {
    "papers/a.md": b"---\r\ntitle: A\r\n---\r\n\xff old\r\n",
    "papers/b.md": "---\ntitle: B\n---\nFirst [[a]] and [[a]].\n\nThen [t](a.md).\n",
    "courses/c.md": '---\ntitle: C\npart_of: "[[a]]"\n---\n',
}


@pytest.fixture
def root(make_vault: Vault) -> Path:
    return make_vault(NOTES)


def test_a_removed_note_lies_in_the_trash_and_undo_brings_it_back(root: Path, run_kb: Run) -> None:
    run = run_kb(root, "rm", "a")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == (
        "removed notes/papers/a.md\n"
        "leads nowhere now: notes/papers/b.md:4: First a and a.\n"
        "leads nowhere now: notes/papers/b.md:6: Then t.\n"
        "is part of nothing now: notes/courses/c.md\n"
        "kb undo brings it back\n"
    )
    assert not (root / "notes/papers/a.md").exists()
    (lying,) = thrown(root)
    assert (lying.id, lying.path, lying.file.read_bytes()) == ("a", "notes/papers/a.md", NOTES["papers/a.md"])
    assert run_kb(root, "rm", "--list").stdout == f"a  {lying.when}  notes/papers/a.md\n"
    row = {"id": "a", "when": lying.when, "path": lying.path}
    assert json.loads(run_kb(root, "rm", "--list", "--json").stdout) == [row]
    assert run_kb(root, "undo").stdout.endswith(": 1 note is back: a\n")
    assert (root / "notes/papers/a.md").read_bytes() == NOTES["papers/a.md"]
    assert run_kb(root, "rm", "--list").stdout == ""  # what is back lies there no more


def test_many_go_at_once_and_links_among_them_are_no_loss(root: Path, run_kb: Run) -> None:
    run = run_kb(root, "rm", "kind:paper")
    assert run.stdout == (
        "removed notes/papers/a.md\nremoved notes/papers/b.md\nis part of nothing now: notes/courses/c.md\n"
        "kb undo brings all 2 back\n"
    )
    assert not (root / "notes/papers").exists()
    run_kb(root, "undo")
    assert (root / "notes/papers/b.md").read_text() == NOTES["papers/b.md"]


def test_what_scripts_read(root: Path, run_kb: Run) -> None:
    assert json.loads(run_kb(root, "rm", "a", "--json").stdout) == {
        "removed": ["notes/papers/a.md"],
        "links": [
            {"source": "notes/papers/b.md", "line": 4, "context": "First a and a."},
            {"source": "notes/papers/b.md", "line": 4, "context": "First a and a."},
            {"source": "notes/papers/b.md", "line": 6, "context": "Then t."},
        ],
        "parts": ["notes/courses/c.md"],
    }
    assert json.loads(run_kb(root, "rm", "--restore", "a", "--json").stdout) == {"restored": ["notes/papers/a.md"]}
    taken = json.loads(run_kb(root, "undo", "--json").stdout)
    assert (taken["verb"], taken["paths"], "kept" in taken) == ("rm --restore a", ["notes/papers/a.md"], False)


def test_the_trash_outlives_the_journal_and_gives_the_last_state(root: Path) -> None:
    for text in ("one", "two"):
        (root / "notes/papers/a.md").write_text(f"---\ntitle: A\n---\n{text}\n")
        library = Library(root)
        remove(library, [library.find("a")])
        library.index.close()
    for entry in (root / ".kb/journal").glob("*.json"):
        entry.unlink()
    assert len(list(thrown(root))) == 2
    assert restore(Library(root), ["a"]) == ["notes/papers/a.md"]
    assert (root / "notes/papers/a.md").read_text().endswith("two\n")
    Journal(root).undo()
    assert not (root / "notes/papers/a.md").exists()
    assert restore(Library(root), ["papers/a.md"]) == ["notes/papers/a.md"]


def test_a_note_in_the_place_is_not_overwritten(root: Path) -> None:
    library = Library(root)
    remove(library, [library.find("a")])
    (root / "notes/papers/a.md").write_text("---\ntitle: Mine\n---\n")
    with pytest.raises(KbError, match="^there is a note 'a' again; rename it before you bring the old one back$"):
        restore(Library(root), ["a"])
    (root / "notes/papers/a.md").rename(root / "notes/courses/a.md")
    with pytest.raises(KbError, match="^there is a note 'a' again"):
        restore(Library(root), ["a"])
    with pytest.raises(KbError, match="^no note 'zzz' is in the trash; `kb rm --list` shows what is$"):
        restore(Library(root), ["zzz"])


def test_a_removal_that_cannot_be_made_leaves_nothing_in_the_trash(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KbError("no")

    library = Library(root)
    note = library.find("a")
    monkeypatch.setattr(Journal, "commit", fail)
    with pytest.raises(KbError, match="^no$"):
        remove(library, [note])
    assert not (root / ".kb/trash").exists()
    assert (root / "notes/papers/a.md").exists()


def test_wrong_usage(root: Path, run_kb: Run) -> None:
    for args, code, told in (
        ([], 2, "kb: name the notes to remove; --list shows the trash\n"),
        (["zzz"], 1, "kb: no note 'zzz'; `kb list` shows what there is\n"),
    ):
        run = run_kb(root, "rm", *args)
        assert (run.returncode, run.stdout, run.stderr) == (code, "", told)
