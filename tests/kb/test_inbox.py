"""Lines of inbox.md become notes at the next command, each once, and none is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kb.verbs.capture
from kb.files import Change, Journal
from kb.library import Library
from kb.note import Note
from kb.verbs.capture import capture, waits
from kb.verbs.inbox_lines import read_lines
from kb.verbs.undoing import lines, undo

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
TODAY = date(2026, 3, 1)
HAVE = {"papers/ddpm.md": "---\ntitle: Denoising Diffusion\naliases: [DDPM]\narxiv: 2006.11239\n---\n"}


@pytest.fixture
def root(make_vault: Vault) -> Path:
    return make_vault(HAVE)


def take(root: Path, text: str | bytes | None = None) -> list[str]:
    if text is not None:
        (root / "inbox.md").write_bytes(text if isinstance(text, bytes) else text.encode())
    return capture(Library(root), TODAY) if waits(root) else []


def new_notes(root: Path) -> dict[str, Note]:
    return {note.id: note for note in Library(root).notes.values() if note.id != "ddpm"}


def left(root: Path) -> str:
    return (root / "inbox.md").read_text()


@pytest.mark.parametrize(
    ("line", "id", "meta"),
    [
        ("Attention Is All You Need", "attention-is-all-you-need", {"title": "Attention Is All You Need"}),
        ("- [ ] A title", "a-title", {"title": "A title"}),
        ("3. A title", "a-title", {"title": "A title"}),
        ("* [x] A title #ml #A/B #ML", "a-title", {"title": "A title", "tags": ["ml", "a/b"]}),
        ("2106.09685", "arxiv-2106-09685", {"title": "arXiv 2106.09685", "arxiv": "2106.09685"}),
        ("LoRA 2106.09685", "lora", {"title": "LoRA", "arxiv": "2106.09685"}),
        ("arXiv:2106.09685v2 LoRA", "lora", {"title": "LoRA", "arxiv": "2106.09685"}),
        ("https://arxiv.org/pdf/2106.09685v2.pdf", "arxiv-2106-09685", {"arxiv": "2106.09685"}),
        ("doi:10.1000/182", "doi-10-1000-182", {"doi": "10.1000/182"}),
        ("A talk - https://e.org/talk", "a-talk", {"title": "A talk", "url": "https://e.org/talk"}),
        ("https://e.org/talk – A talk", "a-talk", {"title": "A talk", "url": "https://e.org/talk"}),
        ("A talk (https://e.org/talk).", "a-talk", {"title": "A talk", "url": "https://e.org/talk"}),
        ("- [A talk](https://e.org/t_(x))", "a-talk", {"title": "A talk", "url": "https://e.org/t_(x)"}),
        ("<https://e.org/talk>", "talk-e-org", {"url": "https://e.org/talk"}),
        ("https://youtu.be/kCc8FmEb1nY?t=120", "youtube-kcc8fmeb1ny", {"at": "2:00", "kind": "talk"}),
        ("arXiv 2106.09685", "arxiv-2106-09685", {"title": "arXiv 2106.09685", "arxiv": "2106.09685"}),
        ("A: b # c, 'd'", "a", {"title": "A: b # c, 'd'"}),
    ],
)
def test_a_line_becomes_a_note(root: Path, line: str, id: str | None, meta: dict[str, object]) -> None:
    (told,) = take(root, line + "\n")
    ((found, note),) = new_notes(root).items()
    assert found == (id or found)
    assert {key: note.meta.get(key) for key in meta} == meta
    assert (note.status, note.meta["added"]) == ("inbox", "2026-03-01")
    assert ("incomplete" in note.meta) == bool(set(note.meta) & {"arxiv", "doi", "url", "video"})
    assert told == f"inbox.md:1: added {note.path}: {note.title}"
    assert left(root) == ""
    assert Library(root).problems == []


def test_a_file_is_taken_line_by_line(root: Path) -> None:
    text = (
        "# Inbox\r\n\r\n<!-- what this is\r\nover two lines -->\r\n---\r\n"
        "- One\r\n  - said of it\r\n\r\n  more of it\r\nhttps://arxiv.org/abs/2006.11239\r\nddpm\r\nOne\r\n"
        "Two https://a.org and https://b.org\r\n- [ ]\r\nhttps://\r\nlast"
    )
    assert take(root, text) == [
        "inbox.md:6: added notes/papers/one.md: One",
        "inbox.md:9: added notes/papers/more-of-it.md: more of it",
        "inbox.md:10: in the vault already: notes/papers/ddpm.md",
        "inbox.md:11: in the vault already: notes/papers/ddpm.md",
        "inbox.md:12: in the vault already: notes/papers/one.md",
        "inbox.md:13: added notes/posts/two.md: Two",
        "inbox.md:14: nothing stands behind the mark; it stays there until you mend it",
        "inbox.md:15: 'https://' names no host; give the whole URL; it stays there until you mend it",
        "inbox.md:16: added notes/papers/last.md: last",
    ]
    notes = new_notes(root)
    assert sorted(notes) == ["last", "more-of-it", "one", "two"]
    assert notes["one"].body.strip() == "- said of it"
    assert notes["two"].body.strip() == "Two https://a.org and https://b.org"
    assert (root / "inbox.md").read_bytes() == (
        b"# Inbox\r\n\r\n<!-- what this is\r\nover two lines -->\r\n---\r\n\r\n- [ ]\r\nhttps://\r\n"
    )
    assert take(root) == [] and not waits(root)
    assert Journal(root).changes()[0].verb == "inbox.md"


def test_nothing_new_costs_a_look_at_the_stamp(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(root, "<!-- here -->\nOne\n")
    monkeypatch.setattr(kb.verbs.capture, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
    assert not waits(root)
    (root / "inbox.md").write_bytes(b"")
    assert not waits(root)
    (root / "inbox.md").unlink()
    assert not waits(root)


def test_a_sync_that_only_touches_the_file_brings_nothing(root: Path) -> None:
    take(root, "https://\nOne\n")
    os.utime(root / "inbox.md", (1, 1))
    assert waits(root)
    assert take(root) == []
    assert not waits(root)


def test_undo_puts_the_lines_back_where_they_stay_until_they_are_edited(root: Path) -> None:
    text = "- One\n- Two\n  of two\n"
    take(root, text)
    told = list(lines(*undo(root)))
    assert told[0].startswith("took back the capture from inbox.md of ")
    assert told[0].endswith(": 2 notes are gone again: one, two; 1 other file: inbox.md")
    assert told[1] == "the lines are in inbox.md again; kb leaves each there until you edit it"
    assert left(root) == text
    assert take(root) == []
    assert take(root, text + "- Three\n") == ["inbox.md:4: added notes/papers/three.md: Three"]
    assert left(root) == text
    assert take(root, text.replace("- One", "- One more")) == ["inbox.md:1: added notes/papers/one-more.md: One more"]
    assert left(root) == "- Two\n  of two\n"


def test_undo_keeps_what_was_appended_since(root: Path) -> None:
    take(root, "<!-- x -->\n- One\n- Two")
    with open(root / "inbox.md", "a") as phone:
        phone.write("- Three\n")
    told = list(lines(*undo(root)))
    assert told[0].endswith(": 2 notes are gone again: one, two; 1 other file: inbox.md")
    assert left(root) == "<!-- x -->\n- One\n- Two\n- Three\n"
    assert take(root) == ["inbox.md:4: added notes/papers/three.md: Three"]
    assert left(root) == "<!-- x -->\n- One\n- Two\n"
    assert take(root) == []


def test_text_below_a_work_that_has_a_note_is_not_lost(root: Path) -> None:
    text = "2006.11239\n  read the appendix\n"
    told = "inbox.md:1: notes/papers/ddpm.md is of the same work; the line stays, as it says more"
    assert take(root, text) == [told]
    assert left(root) == text


def test_bytes_that_are_no_text_stay(root: Path) -> None:
    told = take(root, b"One\n\xff\xfe\nTwo\n")
    assert told[1] == "inbox.md:2: this is no UTF-8; it stays there until you mend it"
    assert (root / "inbox.md").read_bytes() == b"\xff\xfe\n"
    assert sorted(new_notes(root)) == ["one", "two"]


def test_what_is_appended_while_kb_writes_is_not_lost(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a program that had the old file open, and by one that came between reading and writing."""
    true = Journal._end
    with open(root / "inbox.md", "a") as phone:
        phone.write("One\n")
        phone.flush()

        def slow(self: Journal, entry: Path, change: Change) -> None:
            phone.write("Late\n")
            phone.flush()
            true(self, entry, change)

        with monkeypatch.context() as patch:
            patch.setattr(Journal, "_end", slow)
            assert take(root) == ["inbox.md:1: added notes/papers/one.md: One"]
    assert left(root) == "Late\n"

    times: list[int] = []
    parsed = kb.verbs.inbox_lines.read_lines

    def meanwhile(lines: list[str], stay: set[str]) -> list[kb.verbs.inbox_lines.Line]:
        times.append(1)
        if len(times) == 1:
            with open(root / "inbox.md", "a") as other:
                other.write("Later\n")
        return parsed(lines, stay)

    monkeypatch.setattr(kb.verbs.inbox_lines, "read_lines", meanwhile)
    assert capture(Library(root), TODAY) == [
        "inbox.md:1: added notes/papers/late.md: Late",
        "inbox.md:2: added notes/papers/later.md: Later",
    ]
    assert (len(times), left(root)) == (2, "")


def test_commands_take_it_in_and_say_so_on_stderr(root: Path, run_kb: Run) -> None:
    (root / "inbox.md").write_text("- [ ] A new thing\n")
    first, second = run_kb(root, "list", "--json"), run_kb(root, "list", "--json")
    assert first.stderr == "kb: inbox.md:1: added notes/papers/a-new-thing.md: A new thing\n"
    assert (first.returncode, second.returncode, second.stderr) == (0, 0, "")
    assert first.stdout == second.stdout
    assert '"a-new-thing"' in first.stdout
    undone = run_kb(root, "undo").stdout.splitlines()[0]
    assert undone.endswith(": 1 note is gone again: a-new-thing; 1 other file: inbox.md")
    assert run_kb(root, "list").stderr == ""


def test_a_vault_that_cannot_be_written_is_still_read(root: Path, run_kb: Run) -> None:
    (root / "inbox.md").write_text("One\n")
    (root / ".kb").mkdir()
    (root / ".kb/journal").write_text("in the way")
    run = run_kb(root, "list")
    assert (run.returncode, run.stdout.startswith("ddpm")) == (0, True)
    assert run.stderr.startswith("kb: inbox.md was left as it is: ")
    assert left(root) == "One\n"


def test_completion_and_help_take_nothing(root: Path, run_kb: Run) -> None:
    (root / "inbox.md").write_text("One\n")
    run_kb(root, "list", "--help")
    env = {"_KB_COMPLETE": "complete_bash", "COMP_WORDS": "kb show ", "COMP_CWORD": "2"}
    code = "import sys; sys.argv = ['kb']; from kb.cli import main; main()"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=root, env=os.environ | env, capture_output=True, text=True, timeout=60)
    assert (found.stdout.split(), left(root)) == (["ddpm"], "One\n")


LINES = st.lists(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n"), max_size=30), max_size=8
)


@given(
    LINES | st.lists(st.sampled_from(["<!--", "-->", "---", "  x", "- y", "", "# h", "https://e.org", "[a](b)", "\r"]))
)
def test_a_line_is_taken_once_or_not_at_all(lines: list[str]) -> None:
    numbers = [no for line in read_lines(lines) for no in line.numbers]
    assert len(numbers) == len(set(numbers))
    assert set(numbers) <= set(range(1, len(lines) + 1))
    for line in read_lines(lines):
        assert line.wrong or line.title or line.source
