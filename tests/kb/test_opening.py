"""`kb open` and `kb edit`: which link is opened, at which place, and what an editor leaves behind."""

from __future__ import annotations

import subprocess
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kb.note import Note
from kb.problem import KbError
from kb.verbs.opening import address, show

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
VIDEO = "https://www.youtube.com/watch?v=abc"


def opened(way: str = "", kind: str = "paper", **meta: Any) -> str:
    return address(Path("/v"), Note("a", "notes/papers/a.md", {"kind": kind, **meta}, ""), way)


@pytest.mark.parametrize(
    ("meta", "url"),
    [
        ({"pdf": "https://e.org/a.pdf", "arxiv": "2006.11239"}, "https://e.org/a.pdf"),
        ({"arxiv": "2006.11239", "url": "https://e.org"}, "https://arxiv.org/abs/2006.11239"),
        ({"doi": "10.1000/182", "video": VIDEO}, "https://doi.org/10.1000/182"),
        ({"acl": "2020.acl-main.1"}, "https://aclanthology.org/2020.acl-main.1"),
        ({"url": "https://e.org", "code": "https://github.com/a/b"}, "https://e.org"),
        ({"seen": ["https://x.com/a", "https://x.com/b"]}, "https://x.com/a"),
        ({"kind": "lecture", "url": "https://e.org", "video": VIDEO}, VIDEO),
        ({"kind": "code", "url": "https://e.org", "code": "https://github.com/a/b"}, "https://github.com/a/b"),
        ({"video": VIDEO, "at": "35:38"}, f"{VIDEO}&t=2138s"),
        ({"video": f"{VIDEO}&t=5s", "at": "1:02:03, the proof"}, f"{VIDEO}&t=3723s"),
        ({"video": VIDEO, "at": "chapter 3"}, VIDEO),
        ({"pdf": "https://e.org/a.pdf", "at": "page 4"}, "https://e.org/a.pdf#page=4"),
        ({"pdf": "https://e.org/a.pdf", "at": "p. 12"}, "https://e.org/a.pdf#page=12"),
        ({"url": "https://e.org/a", "at": "page 4"}, "https://e.org/a"),
    ],
)
def test_the_best_link_at_its_place(meta: dict[str, Any], url: str) -> None:
    assert opened(**meta) == url


@pytest.mark.parametrize(
    ("way", "meta", "url"),
    [
        ("pdf", {"arxiv": "2006.11239"}, "https://arxiv.org/pdf/2006.11239"),
        ("pdf", {"acl": "2020.acl-main.1"}, "https://aclanthology.org/2020.acl-main.1.pdf"),
        ("pdf", {"openreview": "x_Y"}, "https://openreview.net/pdf?id=x_Y"),
        ("page", {"pdf": "https://e.org/a.pdf", "arxiv": "2006.11239"}, "https://arxiv.org/abs/2006.11239"),
        ("code", {"arxiv": "2006.11239", "code": "https://github.com/a/b"}, "https://github.com/a/b"),
        ("slides", {"slides": "https://e.org/s"}, "https://e.org/s"),
        ("note", {}, "file:///v/notes/papers/a.md"),
    ],
)
def test_one_sort_of_link(way: str, meta: dict[str, Any], url: str) -> None:
    assert opened(way, **meta) == url


def test_what_there_is_not_is_told() -> None:
    with pytest.raises(KbError, match="^notes/papers/a.md has no code to open; it has arxiv, url$"):
        opened("code", arxiv="2006.11239", url="https://e.org")
    with pytest.raises(KbError, match="^notes/papers/a.md has no link to open; `kb edit a` writes one"):
        opened(acl="")
    with pytest.raises(KbError, match="^notes/papers/a.md has no page in site/ yet; `kb build` makes it$"):
        opened("site")
    with pytest.raises(KbError, match="^notes/papers/a.md is private and has no page"):
        opened("site", private=True)


def test_the_page_of_the_site(make_vault: Vault, run_kb: Run) -> None:
    root = make_vault({"papers/a.md": "---\ntitle: A\narxiv: 2006.11239\n---\n"})
    (root / "site/papers/a").mkdir(parents=True)
    (root / "site/papers/a/index.html").write_text("x")
    run = run_kb(root, "open", "2006.11239", "--site")
    assert (run.returncode, run.stdout, run.stderr) == (0, f"file://{root}/site/papers/a/index.html\n", "")
    assert run_kb(root, "open", "a").stdout == "https://arxiv.org/abs/2006.11239\n"
    both = run_kb(root, "open", "a", "--pdf", "--code")
    assert (both.returncode, both.stderr) == (2, "kb: --pdf and --code are two things to open; choose one\n")


def test_a_browser_is_asked_and_its_absence_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: asked.append(url) or True)
    assert show("https://e.org") and asked == ["https://e.org"]

    def none(url: str) -> bool:
        raise webbrowser.Error("none")

    monkeypatch.setattr(webbrowser, "open", none)
    assert not show("https://e.org")


def test_edit_says_what_check_finds_in_the_notes_that_were_edited(make_vault: Vault, run_kb: Run) -> None:
    notes = {f"papers/{n}.md": f"---\ntitle: {n}\n---\n\nText [[b]]\n" for n in "ab"}
    root = make_vault(notes | {"papers/c.md": "---\ntitle: c\n---\n[[nowhere]]\n"})
    run = run_kb(root, "edit", "a", "b", VISUAL="sed -i 's/b]]/zzz]]/'", EDITOR="false")
    assert (run.returncode, run.stderr) == (0, "")
    assert [line.partition(" (")[0] for line in run.stdout.splitlines()] == [
        "notes/papers/a.md:5: link: [[zzz]] leads to no note",
        "notes/papers/b.md:5: link: [[zzz]] leads to no note",
    ]
    assert run_kb(root, "edit", "a", VISUAL="", EDITOR="true").stdout.count("\n") == 1
    gone = run_kb(root, "edit", "a", VISUAL="no-such-editor")
    told = "kb: no-such-editor: No such file or directory; set EDITOR to an editor that is installed\n"
    assert (gone.returncode, gone.stdout, gone.stderr) == (2, "", told)
    assert run_kb(root, "edit", "a", VISUAL="false").stderr == "kb: false ended with 1\n"
    assert run_kb(root, "edit", "a", VISUAL="'").returncode == 2
