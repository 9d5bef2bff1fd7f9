"""A new vault, and what stands in its way."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from kb.checks import check
from kb.files import Journal
from kb.library import Library
from kb.problem import KbError
from kb.verbs.vault import init

TODAY = date(2026, 3, 1)
FILES = [".gitignore", "inbox.md", "mkdocs.yml", "notes/index.md", "notes/topics/welcome.md"]


def test_a_new_vault_is_whole_and_without_problems(tmp_path: Path) -> None:
    root = tmp_path / "deep/vault"
    assert init(root, TODAY) == FILES
    library = Library(root)
    assert check(library, TODAY) == []
    assert {path: (n.title, n.kind) for path, n in library.notes.items()} == {
        "notes/index.md": ("My papers", "page"),
        "notes/topics/welcome.md": ("Welcome", "log"),
    }
    assert library.notes["notes/topics/welcome.md"].meta["added"] == "2026-03-01"
    assert (root / ".gitignore").read_text() == ".kb/\nsite/\nout/\n"


def test_what_is_there_already_stays(tmp_path: Path) -> None:
    (tmp_path / "mkdocs.yml").write_text("mine")
    assert init(tmp_path, TODAY) == [path for path in FILES if path != "mkdocs.yml"]
    assert (tmp_path / "mkdocs.yml").read_text() == "mine"
    Journal(tmp_path).undo()
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file() and ".kb" not in p.parts] == [
        "mkdocs.yml"
    ]


def test_a_vault_or_a_file_in_the_way(tmp_path: Path) -> None:
    root = tmp_path / "vault"
    init(root, TODAY)
    with pytest.raises(KbError) as error:
        init(root, TODAY)
    assert (str(error.value), error.value.code) == (f"{root} is a vault already; `kb status` shows what is in it", 2)
    (tmp_path / "file").write_text("x")
    with pytest.raises(KbError) as error:
        init(tmp_path / "file", TODAY)
    assert (str(error.value), error.value.code) == (f"{tmp_path}/file is a file; name a folder", 2)
    with pytest.raises(KbError) as error:
        init(tmp_path / "file/below", TODAY)
    assert str(error.value) == f"{tmp_path}/file/below: Not a directory; name a folder that you may write to"
