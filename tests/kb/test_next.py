"""What to read next: the points of the stated formula, the order they give, and the reasons in words."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from kb.library import Library
from kb.pages.public import QUEUE, visible
from kb.query import parse
from kb.verbs.choosing import reading_queue

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
TODAY = date(2026, 3, 1)


def note(body: str = "", **meta: object) -> str:
    return "---\n" + "".join(f"{k}: {v}\n" for k, v in ({"title": "T"} | meta).items()) + f"---\n{body}\n"


def queue(root: Path, count: int = 0, query: str = "") -> list[tuple[str, int, list[str]]]:
    rows = reading_queue(Library(root), count, parse(query), TODAY)
    return [(row["id"], row["score"], row["why"]) for row in rows]


def test_nothing_speaks_for_a_note(make_vault: Vault) -> None:
    notes = {"papers/b.md": note(status="to-read", added="2026-02-20"), "papers/a.md": note(status="to-read")}
    root = make_vault(notes | {"papers/c.md": note(status="inbox"), "papers/d.md": note(status="read")})
    assert queue(root) == [("b", 0, ["waiting since 2026-02-20"]), ("a", 0, ["to read, with no date"])]


@pytest.mark.parametrize(
    ("days", "points"), [("2026-02-01", 0), ("2026-01-30", 1), ("2025-09-01", 6), ("2020-01-01", 12), ("2027-01-01", 0)]
)
def test_age(make_vault: Vault, days: str, points: int) -> None:
    root = make_vault({"papers/a.md": note(status="to-read", added=days)})
    assert queue(root) == [("a", points, [f"waiting since {days}"])]


@pytest.mark.parametrize("stars", [1, 5])
def test_rating(make_vault: Vault, stars: int) -> None:
    root = make_vault({"papers/a.md": note(status="to-read", rating=stars)})
    assert queue(root) == [("a", 10 * stars, [f"rated {stars} of 5"])]


def test_links_from_what_is_being_read_count_most(make_vault: Vault) -> None:
    wait = {"papers/a.md": note("[[a]]", status="to-read", aliases="[Alpha]"), "papers/b.md": note(status="to-read")}
    reading = {f"papers/r{n}.md": note("[[a]] [x](a.md) [[alpha]]", status="reading") for n in range(4)}
    others = {f"talks/o{n}.md": note("[[b]] [[b]]") for n in range(6)} | {"index.md": note("[[b]]")}
    root = make_vault(wait | reading | others)
    assert queue(root) == [
        ("a", 24, ["r0, r1, r2, which you are reading, link to it"]),
        ("b", 4, ["6 other notes link to it"]),
    ]


def test_tags_of_what_was_read_lately(make_vault: Vault) -> None:
    root = make_vault({
        "papers/a.md": note(status="to-read", tags="[x, Y, z, w, v]"),
        "papers/b.md": note(status="to-read", tags="[old]"),
        "papers/r.md": note(status="reading", tags="[X, y, z]"),
        "papers/s.md": note(status="read", finished="2026-01-01", tags="[w]"),
        "papers/t.md": note(status="read", finished="2025-12-30", tags="[old]"),
    })  # fmt: skip
    assert queue(root) == [
        ("a", 9, ["tagged x, y, z like what you read lately"]),
        ("b", 0, ["to read, with no date"]),
    ]


def test_a_course_that_was_begun_goes_on_with_its_next_part(make_vault: Vault) -> None:
    parts = {
        f"talks/l-{n}.md": note(status="read" if n == 1 else "to-read", part_of='"[[course]]"') for n in (1, 2, 3, 10)
    }
    lonely = {"talks/x.md": note(status="to-read", part_of="unbegun"), "courses/unbegun.md": note(status="to-read")}
    root = make_vault(parts | lonely | {"courses/course.md": note()})
    found = queue(root)
    assert found[0] == ("l-2", 12, ["the next part of course, which you have begun"])
    assert {score for _, score, _ in found[1:]} == {0}
    (root / "notes/courses/unbegun.md").write_text(note(status="reading"))
    assert [row[:2] for row in queue(root)[:2]] == [("l-2", 12), ("x", 12)]


def test_points_add_up_and_the_weightiest_reason_comes_first(make_vault: Vault) -> None:
    root = make_vault({
        "papers/a.md": note(status="to-read", added="2025-12-01", rating=1, tags="[x]"),
        "papers/b.md": note(status="to-read", added="2025-01-01"),
        "papers/r.md": note("[[a]]", status="reading", tags="[x]"),
    })  # fmt: skip
    why = ["rated 1 of 5", "r, which you are reading, links to it", "tagged x like what you read lately"]
    assert queue(root) == [
        ("a", 10 + 8 + 3 + 3, [*why, "waiting since 2025-12-01"]),
        ("b", 12, ["waiting since 2025-01-01"]),
    ]
    assert queue(root, 1)[0][0] == "a"
    assert [row[0] for row in queue(root, 0, "-has:rating")] == ["b"]
    assert [row[0] for row in queue(root, 0, "status:reading")] == ["r"]


def test_the_front_page_has_the_same_queue_but_for_what_is_private(make_vault: Vault) -> None:
    names = {f"papers/p{n}.md": note(status="to-read", rating=(n % 5) + 1) for n in range(9)}
    library = Library(make_vault(names | {"papers/x.md": note(status="to-read", rating=5, private="true")}))
    asked = [row["path"] for row in reading_queue(library, 0) if row["id"] != "x"]
    assert [found.path for found in visible(library).waiting] == asked[:QUEUE]
    assert asked[:3] == ["notes/papers/p4.md", "notes/papers/p3.md", "notes/papers/p8.md"]


def test_next_on_the_command_line(make_vault: Vault, run_kb: Run) -> None:
    names = {f"papers/p{n}.md": note(status="to-read", rating=(n % 5) + 1, year=2000 + n) for n in range(7)}
    root = make_vault(names | {"papers/i.md": note(status="inbox")})
    assert run_kb(root, "next").stdout.count("rated") == 5
    run = run_kb(root, "next", "1")
    assert (run.returncode, run.stdout, run.stderr) == (0, "p4  T (2004)\n    rated 5 of 5\n", "")
    found = json.loads(run_kb(root, "next", "2", "year:2005..", "--json").stdout)
    assert [(row["id"], row["score"], row["why"]) for row in found] == [
        ("p6", 20, ["rated 2 of 5"]), ("p5", 10, ["rated 1 of 5"])
    ]  # fmt: skip
    empty = run_kb(root, "next", "kind:talk")
    assert (empty.returncode, empty.stdout) == (0, "")
    assert empty.stderr == "nothing to read answers that; 1 in the inbox: kb list status:inbox\n"
    shown = json.loads(run_kb(root, "status", "--json").stdout)["next"]
    assert [row["id"] for row in shown] == [row["id"] for row in json.loads(run_kb(root, "next", "--json").stdout)]
