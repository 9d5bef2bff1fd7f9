"""`kb status` of several notes: by their ids or by a query, in one change."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
TODAY = date.today().isoformat()


@pytest.fixture
def root(make_vault: Vault) -> Path:
    notes = {f"papers/{id}.md": f"---\ntitle: {id}\nyear: {year}\nstatus: to-read\n---\n"
             for id, year in {"a": 2020, "b": 2021, "read": 2021}.items()}  # fmt: skip
    return make_vault(notes | {"topics/t.md": "---\ntitle: t\nyear: 2021\n---\n"})


def test_several_ids_and_one_undo(root: Path, run_kb: Run) -> None:
    before = {p: p.read_bytes() for p in root.rglob("*.md")}
    run = run_kb(root, "status", "a", "b", "a", "read")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "read  notes/papers/a.md\nread  notes/papers/b.md\n2 notes; `kb undo` takes it back\n"
    assert f"finished: {TODAY}\n" in (root / "notes/papers/b.md").read_text()
    again = json.loads(run_kb(root, "status", "a", "b", "read", "--json").stdout)
    assert again == {"status": "read", "changed": [], "unchanged": ["notes/papers/a.md", "notes/papers/b.md"]}
    assert run_kb(root, "undo").stdout.endswith(": 2 notes: a, b\n")
    assert {p: p.read_bytes() for p in root.rglob("*.md")} == before


def test_a_query_need_not_be_quoted(root: Path, run_kb: Run) -> None:
    assert run_kb(root, "status", "year:2021", "kind:paper").stdout.count("\n") == 2
    assert run_kb(root, "status", "year:2021 -title:read", "dropped").stdout == "dropped  notes/papers/b.md\n"
    run = run_kb(root, "status", "kind:paper", "-status:dropped", "year:2021", "reading")
    assert run.stdout == "reading  notes/papers/read.md\n"


def test_a_note_may_be_named_like_a_status(root: Path, run_kb: Run) -> None:
    assert run_kb(root, "status", "read").stdout.startswith("read  to-read")
    assert [row["id"] for row in json.loads(run_kb(root, "status", "read", "--json").stdout)] == ["read"]
    assert run_kb(root, "status", "read", "inbox").stdout == "inbox  notes/papers/read.md\n"


def test_one_wrong_name_changes_nothing(root: Path, run_kb: Run) -> None:
    run = run_kb(root, "status", "a", "zzz", "read")
    assert (run.returncode, run.stdout, run.stderr) == (1, "", "kb: no note 'zzz'; `kb list` shows what there is\n")
    run = run_kb(root, "status", "a", "t", "read")
    assert (run.returncode, run.stdout) == (2, "")
    assert "status: to-read" in (root / "notes/papers/a.md").read_text()
