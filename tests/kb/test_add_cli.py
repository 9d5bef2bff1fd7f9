"""`kb add` as a person runs it: pipes, the clipboard, the editor, exit codes, what is printed where."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from kb.ids import Source
from kb.problem import KbError
from kb.sources import Answer
from kb.verbs import clipboard
from kb.verbs.waiting import watched

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def root(make_vault: Vault) -> Path:
    return make_vault({"papers/ddpm.md": '---\ntitle: Denoising Diffusion\narxiv: "2006.11239"\n---\n'})


def program(folder: Path, name: str, body: str) -> dict[str, str]:
    """An environment in which a program of that name comes first on PATH."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def test_several_at_once_with_some_that_fail(root: Path, run_kb: Run) -> None:
    (root / "refs.txt").write_text("https://example.org/my-post\nnothing here\nhttps://\n")
    ended = run_kb(root, "add", "refs.txt", "2006.11239", "--offline")
    assert ended.returncode == 1
    assert ended.stdout == (
        "added notes/posts/my-post.md, incomplete: not asked for (--offline); `kb add --complete` fetches the rest\n"
        "2006.11239 is in the vault already: notes/papers/ddpm.md\n"
    )
    assert ended.stderr == (
        "kb: refs.txt:2: no reference in 'nothing here'; put an id or a URL there\n"
        "kb: refs.txt:3: 'https://' names no host; give the whole URL\n"
    )


def test_json_has_a_row_for_every_reference(root: Path, run_kb: Run) -> None:
    (root / "refs.txt").write_text("https://example.org/my-post\nnothing here\n2006.11239\n")
    ended = run_kb(root, "add", "refs.txt", "--offline", "--json")
    assert ended.returncode == 1
    assert json.loads(ended.stdout) == [
        {"id": "my-post", "path": "notes/posts/my-post.md", "action": "created", "source": "url:https://example.org/my-post"},
        {
            "action": "failed",
            "source": "nothing here",
            "message": "refs.txt:2: no reference in 'nothing here'; put an id or a URL there",
        },
        {"id": "ddpm", "path": "notes/papers/ddpm.md", "action": "exists", "source": "arxiv:2006.11239"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("https://", "'https://' names no host; give the whole URL"),
        ("what is this", "'what is this' is no id, URL or file that kb can read; `kb add --help` shows what it can"),
        ("gone.pdf", "gone.pdf: there is no such file; check its name"),
    ],
)
def test_one_that_can_be_no_reference_is_wrong_usage(root: Path, run_kb: Run, ref: str, message: str) -> None:
    ended = run_kb(root, "add", ref)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"kb: {message}\n")


def test_merging_is_no_failure(root: Path, run_kb: Run) -> None:
    ended = run_kb(root, "add", "2006.11239", "--offline", "--merge", "--tag", "diffusion")
    assert (ended.returncode, ended.stdout) == (0, "merged 2006.11239 into notes/papers/ddpm.md\n")
    assert "tags: [diffusion]\n" in (root / "notes/papers/ddpm.md").read_text()
    again = run_kb(root, "add", "2006.11239", "--offline", "--merge", "--tag", "diffusion")
    assert (again.returncode, again.stdout) == (0, "2006.11239 adds nothing to notes/papers/ddpm.md\n")
    assert run_kb(root, "undo").returncode == 0
    assert "tags" not in (root / "notes/papers/ddpm.md").read_text()


# The clipboard


def test_the_clipboard(root: Path, run_kb: Run, tmp_path: Path) -> None:
    env = program(
        tmp_path / "bin", "xclip", 'test "$*" = "-selection clipboard -o" && echo "see https://example.org/my-post!"'
    )
    ended = run_kb(root, "add", "--clipboard", "--offline", **env)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (root / "notes/posts/my-post.md").is_file()


def test_the_next_program_is_asked_where_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    program(tmp_path / "bin", "wl-paste", "echo no display >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(KbError, match=r"the clipboard cannot be read \(wl-paste: no display\); copy again"):
        clipboard.paste()
    program(tmp_path / "bin", "xsel", r"printf '2006.11239\r\n'")
    assert clipboard.paste() == "2006.11239\n"
    program(tmp_path / "bin", "wl-paste", "printf ' '")
    with pytest.raises(KbError, match="the clipboard holds no text to add"):
        clipboard.paste()


def test_no_program_for_the_clipboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    told = "no program here reads the clipboard; install wl-clipboard, xclip or xsel, or paste into `kb add -`"
    with pytest.raises(KbError, match=told):
        clipboard.paste()


# The editor


def test_new_notes_are_opened(root: Path, run_kb: Run, tmp_path: Path) -> None:
    editor = f"{sys.executable} -c \"import sys; open('{tmp_path}/opened', 'w').write(chr(10).join(sys.argv[1:]))\""
    run_kb(root, "add", "https://example.org/my-post", "2006.11239", "--offline", "--edit", EDITOR=editor, VISUAL="")
    assert (tmp_path / "opened").read_text() == str(root / "notes/posts/my-post.md")


# Waiting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def slowly(sources: Sequence[Source]) -> Iterator[Answer]:
    for source in sources:
        until = time.monotonic() + 5
        while "0 of 2" not in stream.getvalue() and time.monotonic() < until and stream.isatty():
            time.sleep(0.005)
        yield source, {"title": "T"}


stream: io.StringIO = Terminal()


def test_a_slow_answer_is_waited_for_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "stream", Terminal())
    sources = [Source("arxiv", "2006.11239"), Source("arxiv", "2405.09673")]
    assert len(list(watched(slowly, stream, patience=0.01)(sources))) == 2
    assert stream.getvalue().startswith("\r\033[Kkb: asked about 0 of 2 … 0 s")
    assert stream.getvalue().endswith("\r\033[K")


def test_a_quick_answer_and_a_log_file_show_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def quick(sources: Sequence[Source]) -> Iterator[Answer]:
        yield from ((source, {"title": "T"}) for source in sources)

    shown = Terminal()
    list(watched(quick, shown)([Source("arxiv", "2006.11239")]))
    monkeypatch.setitem(globals(), "stream", io.StringIO())
    list(watched(slowly, stream, patience=0.0)([Source("arxiv", "2006.11239")]))
    assert (shown.getvalue(), stream.getvalue()) == ("", "")
