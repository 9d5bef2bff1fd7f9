"""`kb note`: a dated line at a note's end or under its Log, by any of its ids."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.library import Library
from kb.problem import KbError
from kb.verbs.remarks import remark, with_remark

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
DAY = date(2026, 11, 22)
HEAD = "---\ntitle: T\n---\n"


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("", "- 2026-11-22: new\n", 1),
        (HEAD, f"{HEAD}\n- 2026-11-22: new\n", 5),
        (f"{HEAD}Text", f"{HEAD}Text\n\n- 2026-11-22: new\n", 6),
        (f"{HEAD}Text  \n\n\n", f"{HEAD}Text  \n\n- 2026-11-22: new\n", 6),
        (f"{HEAD}- 2025-01-01: a\n  b\n", f"{HEAD}- 2025-01-01: a\n  b\n- 2026-11-22: new\n", 6),
        (f"{HEAD}- a\n", f"{HEAD}- a\n\n- 2026-11-22: new\n", 6),
        (f"{HEAD}## Log\n\n## Next\nText\n", f"{HEAD}## Log\n\n- 2026-11-22: new\n\n## Next\nText\n", 6),
        (
            f"{HEAD}# Notes #\n- 2025-01-01: a\n### Deeper\nb\n\n# Next\n",
            f"{HEAD}# Notes #\n- 2025-01-01: a\n### Deeper\nb\n\n- 2026-11-22: new\n\n# Next\n",
            9,
        ),
        (f"{HEAD}```\n# Log\n```\n# Next\n", f"{HEAD}```\n# Log\n```\n# Next\n\n- 2026-11-22: new\n", 9),
        ("---\r\ntitle: T\r\n---\r\nText\r\n", "---\r\ntitle: T\r\n---\r\nText\r\n\r\n- 2026-11-22: new\r\n", 6),
    ],
)
def test_where_a_remark_goes(make_vault: Vault, before: str, after: str, line: int) -> None:
    root = make_vault({"papers/t.md": before.encode()})
    library = Library(root)
    assert remark(library, library.find("t"), " new ", DAY) == line
    assert (root / "notes/papers/t.md").read_bytes().decode() == after
    assert after.split("\n")[line - 1].startswith("- 2026-11-22: new")


def test_lines_and_bytes(make_vault: Vault) -> None:
    root = make_vault({"papers/t.md": HEAD.encode() + b"\xff\n"})
    library = Library(root)
    remark(library, library.find("t"), "one\n\n  two\n", DAY)
    remark(library, library.find("t"), "three", DAY)
    expected = HEAD.encode() + b"\xff\n\n- 2026-11-22: one\n\n    two\n- 2026-11-22: three\n"
    assert (root / "notes/papers/t.md").read_bytes() == expected


LINES = st.lists(st.sampled_from(["a", "  b", "", "# Log", "## Notes", "# Next", "```", "- 2025-01-01: c", "\r"]))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80) | LINES.map("\n".join),
       st.lists(st.sampled_from(["one", "# two", "  - three", "`", ""]), min_size=1))  # fmt: skip
def test_nothing_is_lost_but_blank_lines(body: str, words: list[str]) -> None:
    text = "\n".join(["first", *words, "last"])
    written, line = with_remark(HEAD + body, text, DAY)
    lines = written.split("\n")
    said = lines[line - 1 : line + 1 + len(words)]
    assert said[0].rstrip("\r") == "- 2026-11-22: first"
    assert [part.strip() for part in said[1:]] == [word.strip() for word in (*words, "last")]
    del lines[line - 1 : line + 1 + len(words)]
    assert [x for x in lines if x.strip("\r")] == [x for x in (HEAD + body).split("\n") if x.strip("\r")]


def test_a_note_that_never_ends_its_front_matter_is_left_alone(make_vault: Vault) -> None:
    root = make_vault({"papers/t.md": "---\ntitle: T\n"})
    library = Library(root)
    with pytest.raises(KbError, match=r"^notes/papers/t.md: line 1: the front matter is never closed; end it with"):
        remark(library, library.find("t"), "new", DAY)
    assert (root / "notes/papers/t.md").read_text() == "---\ntitle: T\n"


def test_by_any_id_and_from_standard_input(make_vault: Vault, run_kb: Run) -> None:
    notes = "---\ntitle: A Title\naliases: [TT]\narxiv: 2006.11239\n---\n"
    root = make_vault({"papers/t.md": notes})
    today = date.today().isoformat()
    for n, name in enumerate(("t", "A Title", "https://arxiv.org/pdf/2006.11239v3")):
        run = run_kb(root, "note", name, "said", "-q", f"{n}")
        assert (run.returncode, run.stdout, run.stderr) == (0, f"added to notes/papers/t.md:{7 + n}\n", "")
    command = [sys.executable, "-m", "kb", "note", "t", "-"]
    subprocess.run(command, cwd=root, input="from a pipe\nin two lines\n", text=True, check=True, timeout=60)
    said = [f"- {today}: said -q {n}\n" for n in range(3)]
    end = f"- {today}: from a pipe\n  in two lines\n"
    assert (root / "notes/papers/t.md").read_text() == notes + "\n" + "".join(said) + end
    assert run_kb(root, "undo").stdout.endswith(": 1 note: t\n")
    assert run_kb(root, "note", "t", " ").stderr.startswith("kb: a remark needs words")


@pytest.mark.parametrize("words", [["-dash"], ["-h", "is Planck's"], ["a", "--help", "in", "it"], ["--", "-x"]])
def test_words_that_look_like_options(make_vault: Vault, run_kb: Run, words: list[str]) -> None:
    root = make_vault({"papers/t.md": HEAD})
    assert run_kb(root, "note", "t", *words).returncode == 0
    said = " ".join(word for word in words if word != "--")
    assert (root / "notes/papers/t.md").read_text() == f"{HEAD}\n- {date.today()}: {said}\n"


@pytest.mark.parametrize("words", [["note", "-h"], ["note", "t", "--help"], ["--root", ".", "note", "--help"]])
def test_help_is_help(make_vault: Vault, run_kb: Run, words: list[str]) -> None:
    assert "Append a dated line" in run_kb(make_vault({"papers/t.md": HEAD}), *words).stdout
