"""Editing several notes in one change: all or none, each as its file is now, and nothing else of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb.edits import edit_notes, edited, rewrite
from kb.files import Journal
from kb.problem import KbError

ODD = (
    "\ufeff---  \r\n# mine  \r\ntitle:   'A'   # why\r\n\"status\": to-read\r\nunknown : [1,2 ]\r\n\r\n---\r\n"
    "Body  \r\n\r\n  end"
)


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    for name, text in {"a": ODD, "b": "---\ntitle: B\nstatus: read\n---\n", "c": "no front matter\n"}.items():
        (tmp_path / f"notes/{name}.md").write_bytes(text.encode())
    return tmp_path


PATHS = ["notes/a.md", "notes/b.md", "notes/c.md"]


def tree(vault: Path) -> dict[str, bytes]:
    return {p: (vault / p).read_bytes() for p in PATHS if (vault / p).exists()}


def test_only_the_line_of_the_key_changes_and_one_undo_takes_all_back(vault: Path) -> None:
    before = tree(vault)
    changed = edit_notes(vault, "status read", [*PATHS, "notes/a.md"], lambda note: {"status": "read"})
    assert changed == ["notes/a.md", "notes/c.md"]
    assert (vault / "notes/a.md").read_bytes().decode() == ODD.replace('"status": to-read', '"status": read')
    assert (vault / "notes/c.md").read_text() == "---\nstatus: read\n---\nno front matter\n"
    assert tree(vault)["notes/b.md"] == before["notes/b.md"]
    change = Journal(vault).undo()[0]
    assert (change.verb, change.paths) == ("status read", changed)
    assert tree(vault) == before


def test_changes_are_asked_of_the_file_as_it_is_now(vault: Path) -> None:
    (vault / "notes/b.md").write_text("---\ntitle: B\ntags: [now]\n---\n")
    edit_notes(vault, "tag", ["notes/b.md"], lambda note: {"tags": [*note.tags, "new"]})
    assert (vault / "notes/b.md").read_text() == "---\ntitle: B\ntags: [now, new]\n---\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"---\ntitle: caf\xe9\n---\n", "notes/b.md is no UTF-8; save it as UTF-8 first"),
        (b"---\ntitle: x\n", "notes/b.md: line 1: the front matter is never closed; end it with"),
        (b"---\n{title: x}\n---\n", "notes/b.md: its front matter is written in a way that kb cannot edit; set status"),
        (None, "notes/b.md is gone; run the command again"),
    ],
)
def test_one_file_that_cannot_be_edited_stops_all(vault: Path, data: bytes | None, message: str) -> None:
    (vault / "notes/b.md").unlink() if data is None else (vault / "notes/b.md").write_bytes(data)
    before = tree(vault)
    with pytest.raises(KbError, match=message):
        edit_notes(vault, "status", PATHS, lambda note: {"status": "dropped"})
    assert tree(vault) == before
    told: list[tuple[str, str]] = []
    changed = edit_notes(
        vault, "status", PATHS, lambda note: {"status": "dropped"}, lambda p, e: told.append((p, str(e)))
    )
    assert changed == ["notes/a.md", "notes/c.md"]
    assert len(told) == 1 and told[0][0] == "notes/b.md" and told[0][1].startswith(message.replace("\\", ""))


def test_no_change_writes_nothing_and_leaves_no_entry(vault: Path) -> None:
    assert edit_notes(vault, "status", PATHS, lambda note: {}) == []
    assert edited(ODD.encode(), "x", {}) == ODD.encode()
    with pytest.raises(KbError, match="nothing to undo"):
        Journal(vault).undo()


def test_rewrite_may_remove_a_file(vault: Path) -> None:
    assert rewrite(vault, "rm", PATHS, lambda path, data: None if path == "notes/b.md" else data) == ["notes/b.md"]
    assert not (vault / "notes/b.md").exists()
    Journal(vault).undo()
    assert (vault / "notes/b.md").exists()


def test_a_file_that_changes_while_kb_is_at_work_is_not_overwritten(vault: Path) -> None:
    def late(path: str, data: bytes) -> bytes:
        (vault / path).write_bytes(data + b"more")
        return data + b"mine"

    with pytest.raises(KbError, match="notes/b.md changed while kb was at work"):
        rewrite(vault, "edit", ["notes/b.md"], late)
    assert (vault / "notes/b.md").read_bytes().endswith(b"more")


@pytest.mark.parametrize("value", ["&x [a]", "*x", "[a, b", "{a: b"])
def test_a_list_that_kb_cannot_read_is_not_written_anew(value: str) -> None:
    data = f"---\ntitle: T\ntags: {value}\n---\n".encode()
    with pytest.raises(KbError) as error:
        edited(data, "notes/a.md", {"tags": ["a", "new"]})
    assert str(error.value) == f"notes/a.md: line 3: kb cannot read `tags: {value}`; mend it first"
    title = edited(f"---\ntitle: A: B\ntags: {value}\n---\n".encode(), "notes/a.md", {"title": "A: B"})
    assert title.decode() == f'---\ntitle: "A: B"\ntags: {value}\n---\n'  # what is not touched may stay wrong
