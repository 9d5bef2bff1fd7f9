"""`kb status --since`: what is open, half-read, finished, added and broken, each with the next command to type."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from kb.library import Library
from kb.problem import KbError
from kb.verbs.renaming import rename
from kb.verbs.since import day_of, since
from kb.verbs.trash import remove

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
SUNDAY = date(2026, 11, 22)
DAY = date(2026, 11, 15)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2025-01-04", "2025-01-04"),
        ("today", "2026-11-22"),
        ("Yesterday", "2026-11-21"),
        ("saturday", "2026-11-21"),
        ("mon", "2026-11-16"),
        ("sunday", "2026-11-15"),
        ("7d", "2026-11-15"),
        ("2w", "2026-11-08"),
        ("1m", "2026-10-23"),
        ("1y", "2025-11-22"),
        ("0d", "2026-11-22"),
    ],
)
def test_days(text: str, day: str) -> None:
    assert day_of(text, SUNDAY).isoformat() == day


@pytest.mark.parametrize("text", ["", "mo", "7", "d", "2025-13-01", "soon", "-3d"])
def test_what_is_no_day(text: str) -> None:
    with pytest.raises(KbError, match="is no date; write it like 2025-01-04, yesterday, monday, 7d or 2w$") as error:
        day_of(text, SUNDAY)
    assert error.value.code == 2


def note(body: str = "", **meta: object) -> str:
    return "---\n" + "".join(f"{k}: {v}\n" for k, v in ({"title": "T"} | meta).items()) + f"---\n{body}\n"


NOTES = {
    "papers/half.md": note(status="reading", started="2026-11-01", at="page 4", pdf="https://x.org/a.pdf"),
    "papers/open.md": note(status="reading", started="2026-11-16", arxiv="'2006.11239'"),
    "papers/undated.md": note(status="reading"),
    "papers/done.md": note(status="read", added="2026-11-16", finished="2026-11-20"),
    "papers/earlier.md": note(status="read", finished="2026-11-14"),
    "papers/new.md": note(status="inbox", added="2026-11-15"),
    "papers/old.md": note("[[gone]] and [[moved]] and [[nowhere]]", added="2026-01-01"),
    "papers/touched.md": note("[[nothing]]"),
    "topics/topic.md": note("[[never]]", added="2026-11-16"),
    "papers/gone.md": note(added="2026-01-01"),
}


@pytest.fixture
def root(make_vault: Vault) -> Path:
    root = make_vault(NOTES)
    long_ago = time.mktime(date(2026, 1, 1).timetuple())
    for file in (root / "notes").rglob("*.md"):
        if file.stem != "touched":
            os.utime(file, (long_ago, long_ago))
    return root


def test_everything_has_its_place_and_its_next_command(root: Path) -> None:
    library = Library(root)
    remove(library, [library.find("gone")])
    found = since(Library(root), DAY, today=SUNDAY)
    told = {k: [(row.get("id", row.get("path")), row["why"], row["do"]) for row in v] for k, v in found.items()
            if k != "date"}  # fmt: skip
    assert (found["date"], told) == ("2026-11-15", {
        "open": [("open", "since 2026-11-16", "kb open open"), ("undated", "", "kb edit undated")],
        "half_read": [("half", "at page 4, since 2026-11-01", "kb open half")],
        "finished": [("done", "finished 2026-11-20", 'kb note done "…"')],
        "added": [("topic", "added 2026-11-16", "kb show topic"), ("new", "added 2026-11-15", "kb status new reading")],
        "broke": [
            ("notes/papers/old.md", "notes/papers/old.md:5", "kb edit old"),  # its target was removed since
            ("notes/papers/touched.md", "notes/papers/touched.md:4", "kb edit touched"),
        ],
    })  # fmt: skip
    assert [row["title"] for row in found["broke"]] == [
        "[[gone]] leads to no note", "[[nothing]] leads to no note"
    ]  # fmt: skip
    tomorrow = date.today() + timedelta(1)  # the files were written today, and the note was removed today
    assert since(Library(root), tomorrow, today=SUNDAY)["broke"] == []


def test_a_renamed_note_breaks_nothing(root: Path) -> None:
    rename(Library(root), "gone", "other")
    broke = since(Library(root), date.today(), today=SUNDAY)["broke"]
    assert "[[other]]" not in str(broke) and "[[gone]]" not in str(broke)


def test_on_the_command_line(root: Path, run_kb: Run) -> None:
    day = (date.today() - timedelta(7)).isoformat()
    run = run_kb(root, "status", "--since", "7d")
    assert (run.returncode, run.stderr) == (0, "")
    shown = run.stdout.splitlines()
    assert shown[3:5] == ["Half-read", "  half  T  at page 4, since 2026-11-01  kb open half"]
    assert f"Broken since {day}" in shown
    assert "  notes/papers/touched.md:4  [[nothing]] leads to no note    kb edit touched" in shown
    found = json.loads(run_kb(root, "status", "--since", "7d", "--json").stdout)
    assert (found["schema"], found["since"]["date"]) == (1, day)
    assert list(found["since"]) == ["date", "open", "half_read", "finished", "added", "broke"]
    assert "since" not in json.loads(run_kb(root, "status", "--json").stdout)
    both = run_kb(root, "status", "half", "--since", "7d")
    assert (both.returncode, both.stderr) == (2, "kb: --since tells of the whole vault; name no note with it\n")


def test_a_long_part_is_cut_and_says_how_to_see_the_rest(make_vault: Vault, run_kb: Run) -> None:
    root = make_vault({f"papers/a{n:02}.md": note(status="inbox", added="2026-11-16") for n in range(18)})
    shown = run_kb(root, "status", "--since", "2026-11-15").stdout.splitlines()
    assert shown[-1] == "  and 3 more: kb list added:2026-11-15.."
    assert shown[-2].startswith("  a14  ")
    assert len(run_kb(root, "list", "added:2026-11-15..").stdout.splitlines()) == 18


def test_a_quiet_week(make_vault: Vault, run_kb: Run) -> None:
    root = make_vault({"papers/a.md": note(status="read", finished="2020-01-01")})
    assert run_kb(root, "status", "--since", "2026-01-01").stdout.endswith(
        "\nNothing is open, and nothing has been since 2026-01-01.\n"
    )
