"""Readers that stop reading, and words that are terms of a query: the command line in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
NOTES = {f"papers/n{i:03}.md": f"---\ntitle: Note {i}\ntags: [{'odd' if i % 2 else 'even'}]\n---\n" for i in range(3)}


def read_no_further(command: list[str]) -> tuple[int, str]:
    """Exit code and stderr of a command whose reader is gone before it begins to write."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=HOME)
    assert process.stdout and process.stderr
    process.stdout.close()
    told = process.stderr.read()
    return process.wait(), told


@pytest.mark.parametrize("count", [3, 400])  # less and more than Python keeps back before it writes
def test_a_reader_who_has_seen_enough_is_no_error_to_speak_of(make_vault: Vault, count: int) -> None:
    notes = {f"papers/n{i:03}.md": f"---\ntitle: Note {i}\n---\n" for i in range(count)}
    root = make_vault(notes)
    assert read_no_further([sys.executable, "-m", "kb", "--root", str(root), "list", "--json"]) == (1, "")


def test_neither_is_it_one_for_the_laboratory() -> None:
    assert read_no_further([sys.executable, "-m", "repro", "--json"]) == (1, "")


@pytest.mark.parametrize("term", ["-tag:odd", "-tags:odd", "tags:even", "tag:even"])
def test_terms_stand_anywhere(make_vault: Vault, run_kb: Run, term: str) -> None:
    root = make_vault(NOTES)
    listed = json.loads(run_kb(root, "list", term, "--json").stdout)
    assert sorted(row["id"] for row in listed) == ["n000", "n002"]
    found = json.loads(run_kb(root, "search", "note", term, "--json").stdout)
    assert sorted(row["id"] for row in found) == ["n000", "n002"]


def test_a_search_that_finds_some_of_the_words_says_so(make_vault: Vault, run_kb: Run) -> None:
    root = make_vault({"papers/a.md": "---\ntitle: Low rank\n---\n"})
    ended = run_kb(root, "search", "rank", "of", "updates")
    assert (ended.returncode, ended.stdout) == (0, "a  Low rank\n")
    assert ended.stderr == "kb: no note has all of these words; these have some of them\n"
    (hit,) = json.loads(run_kb(root, "search", "rank", "updates", "--json").stdout)
    assert hit["partial"] is True and hit["snippets"] == []
    assert run_kb(root, "search", "low", "rank").stderr == ""
