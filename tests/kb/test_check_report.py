"""`kb check` as it is typed: some files alone, on a terminal, in a pull request, before a commit."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from kb.checks.report import below_repository, chosen, render, summary
from kb.problem import KbError, Problem

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
HOME = Path(__file__).parents[2]
HINT = "(write it: kb add REF --id nowhere, or list it under wanted:)"
LINK = f"notes/papers/a.md:4: link: [[nowhere]] leads to no note {HINT}"
KEY = "notes/talks/b.md:3: unknown-key: unknown key 'Tags' (did you mean 'tags'?)"


@pytest.fixture
def root(make_vault: Vault) -> Path:
    return make_vault(
        {
            "papers/a.md": "---\ntitle: A\n---\n[[nowhere]] [[b]]\n",
            "talks/b.md": "---\ntitle: B\nTags: [x]\n---\n",
            "talks/c.md": "---\ntitle: C\n---\nWords.\n",
        },
        "papers/vault",
    )


def said(ended: subprocess.CompletedProcess[str]) -> tuple[int, list[str], str]:
    return ended.returncode, ended.stdout.splitlines(), ended.stderr


# Some files


def test_only_what_is_wrong_in_some_files(root: Path, run_kb: Run) -> None:
    assert said(run_kb(root, "check")) == (1, [LINK, KEY], "")
    assert said(run_kb(root, "check", "notes/papers/a.md")) == (1, [LINK], "")
    assert said(run_kb(root, "check", "notes/talks/c.md", "mkdocs.yml")) == (0, [], "")
    (root / "notes/talks-2").mkdir()
    (root / "notes/talks-2/d.md").write_text("no front matter\n")
    assert said(run_kb(root, "check", "notes/talks")) == (1, [KEY], "")
    (root / "notes/talks-2/d.md").unlink()
    assert said(run_kb(root, "check", "notes/talks", "notes/papers/")) == (1, [LINK, KEY], "")
    assert said(run_kb(root, "check", ".")) == (1, [LINK, KEY], "")
    assert said(run_kb(root, "check", str(root / "notes/talks/b.md"))) == (1, [KEY], "")


def test_links_of_some_files_are_looked_up_in_the_whole_vault(root: Path, run_kb: Run) -> None:
    (root / "notes/topics").mkdir()
    (root / "notes/topics/nowhere.md").write_text("---\ntitle: N\n---\n")
    assert said(run_kb(root, "check", "notes/papers/a.md")) == (0, [], "")


def test_from_above_the_vault_the_files_say_which_it_is(root: Path, run_kb: Run) -> None:
    above = root.parent
    assert said(run_kb(above, "check", "vault/notes/talks/b.md")) == (1, [KEY], "")
    assert run_kb(above, "check").returncode == 2


def test_files_that_are_not_there_or_elsewhere_are_a_wrong_use(root: Path, run_kb: Run, tmp_path: Path) -> None:
    (tmp_path / "other.md").touch()
    for path, told in (("notes/z.md", "no such file"), (str(tmp_path / "other.md"), "is not in the vault")):
        code, lines, error = said(run_kb(root, "check", "--fix", "notes/talks/b.md", path))
        assert (code, lines) == (2, []) and told in error and error.count("\n") == 1
    assert "Tags: [x]" in (root / "notes/talks/b.md").read_text()
    with pytest.raises(KbError, match="no such file"):
        chosen([], root, ["nope"])


def test_fix_mends_only_the_files_that_are_named(root: Path, run_kb: Run) -> None:
    (root / "notes/talks/c.md").write_text("---\ntitle: C\nTags: [x]\n---\n")
    assert said(run_kb(root, "check", "--fix", "notes/talks/b.md")) == (0, [f"fixed {KEY}"], "")
    assert "tags: [x]" in (root / "notes/talks/b.md").read_text()
    assert "Tags: [x]" in (root / "notes/talks/c.md").read_text()
    assert said(run_kb(root, "check", "--fix", "notes/talks/b.md")) == (0, [], "")


def test_a_check_takes_nothing_out_of_the_inbox(root: Path, run_kb: Run) -> None:
    (root / "inbox.md").write_text("https://example.org/x\n")
    run_kb(root, "check")
    assert (root / "inbox.md").read_text() == "https://example.org/x\n" and len(list(root.rglob("*.md"))) == 4


# Before a commit


def test_the_hook_runs_this_command_on_notes(root: Path, run_kb: Run) -> None:
    (hook,) = yaml.safe_load((HOME / ".pre-commit-hooks.yaml").read_text("utf-8"))
    assert (hook["id"], hook["language"], hook["require_serial"]) == ("kb-check", "python", True)
    assert "pass_filenames" not in hook  # which is to pass them
    files = re.compile(hook["files"])
    assert all(files.search(path) for path in ("notes/papers/a.md", "sub/notes/a.md", "notes/a.md"))
    assert not any(files.search(path) for path in ("README.md", "notes/a.png", "mynotes/a.md", "notes/a.md.bak"))
    program, *args = hook["entry"].split()
    assert program == "kb" and said(run_kb(root.parent, *args, "vault/notes/talks/b.md")) == (1, [KEY], "")
    guide = (HOME / "notes/guide/check-a-vault.md").read_text("utf-8")
    examples = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", guide, re.S)]
    assert examples[0]["repos"][0]["hooks"] == [{"id": hook["id"]}]
    assert examples[1]["jobs"]["notes"]["steps"][-1]["run"] == "kb check --format github"


# In a pull request


def test_annotations_count_from_the_repository(root: Path, run_kb: Run) -> None:
    (root.parent / ".git").mkdir()
    assert below_repository(root) == "vault/"
    code, lines, _ = said(run_kb(root, "check", "--format", "github", "--all"))
    assert code == 1 and lines == [
        "::warning file=vault/notes/papers/a.md,line=4,title=kb link::[[nowhere]] leads to no note"
        " (write it: kb add REF --id nowhere, or list it under wanted:)",
        "::warning file=vault/notes/talks/b.md,line=3,title=kb unknown-key::unknown key 'Tags' (did you mean 'tags'?)",
        "::notice file=vault/notes/talks/c.md,line=1,title=kb orphan::no note links to it, and it links to none"
        " (link it from a topic)",
        "2 warnings, 1 for information; `kb check --fix` mends 1",
    ]
    (root / ".git").write_text("gitdir: elsewhere\n")  # of a worktree, and of a submodule
    assert below_repository(root) == ""


def test_what_github_reads_back_is_what_was_said() -> None:
    """The runner splits at :: and , and = and undoes the escapes; other control characters reach no log."""
    problem = Problem("notes/a, b:c%.md", 3, "link", "100%25 \x1b[31m\u2028::error::x\r\ny", "a, b: c", "error")
    line = render([problem], "github", "sub/")
    assert "\n" not in line and "\r" not in line and line.isprintable()
    m = re.fullmatch(r"::error ([^:]*)::(.*)", line)
    assert m
    properties = dict(part.split("=", 1) for part in m[1].split(","))
    for sign, code in ((",", "%2C"), (":", "%3A"), ("\n", "%0A"), ("\r", "%0D"), ("%", "%25")):
        properties = {key: value.replace(code, sign) for key, value in properties.items()}
    assert properties == {"file": "sub/notes/a, b:c%.md", "line": "3", "title": "kb link"}
    data = m[2].replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
    assert data == "100%25 \ufffd[31m\ufffd::error::x\r\ny (a, b: c)"


# On a terminal


def test_a_terminal_shows_colours_and_a_last_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = [Problem("notes/a\x1b.md", 3, "link", "gone", "mend it", "warning"), Problem("b", 0, "id", "x")]
    assert render(problems).split("\n") == ["notes/a\ufffd.md:3: link: gone (mend it)", "b:0: id: x"]
    monkeypatch.setattr("kb.render.is_terminal", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = render(problems)
    assert (
        coloured.split("\n")[0] == "\033[1mnotes/a\ufffd.md:3\033[0m: \033[33mlink\033[0m: gone\033[2m (mend it)\033[0m"
    )
    assert "\033[31mid\033[0m" in coloured and "\033" not in render(problems, "json") + render(problems, "github")


def test_the_last_line() -> None:
    error, warning = Problem("a", 1, "x", "m", fixable=True), Problem("a", 1, "x", "m", "", "warning")
    info = Problem("a", 1, "x", "m", "", "info", True)
    assert summary([], []) == "no problems"
    assert summary([error], [error]) == "1 error; `kb check --fix` mends 1"
    assert summary([error, error, warning], [error, error, warning, info]) == (
        "2 errors, 1 warning; `kb check --fix` mends 3; 1 for information only: `kb check --all`"
    )
    assert summary([info, warning, warning], [info, warning, warning]) == (
        "2 warnings, 1 for information; `kb check --fix` mends 1"
    )


def test_the_list_of_json(root: Path, run_kb: Run) -> None:
    rows = json.loads(run_kb(root, "check", "--json", "notes/talks").stdout)
    assert rows == [
        {"path": "notes/talks/b.md", "line": 3, "check": "unknown-key", "message": "unknown key 'Tags'",
         "hint": "did you mean 'tags'?", "level": "warning", "fixable": True}
    ]  # fmt: skip
    ended = run_kb(root, "check", "--json", "--fix")
    assert [row["check"] for row in json.loads(ended.stdout)] == ["link"]
