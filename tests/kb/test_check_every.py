"""One vault with every mistake that there is: the guide's table of checks says what is found in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from reproductions import claim, judged, record, write

from kb.checks import check
from kb.checks.fix import fix
from kb.files import Journal
from kb.library import Library
from kb.problem import Problem

Vault = Callable[..., Path]
GUIDE = Path(__file__).parents[2] / "notes/guide/check-a-vault.md"
TODAY = date(2026, 3, 1)
SAME = "title: Learning to See in the Dark\nauthors: [Ann Lee]\nyear: 2018\n"
FRONT = {  # what stands in the front matter of each note, for the check that it is named after
    "unknown-key-a": "statsu: read", "unknown-key-b": "Tags: [a]", "unknown-key-c": "mine: x",
    "schema-a": "year: soon", "schema-b": "status: To read",
    "yaml-a": "venue: A: B", "yaml-b": "authors: [a, b",
    "yaml-trap-a": "tags: #ml", "yaml-trap-b": "arxiv: 2409.17100",
    "duplicate-key-a": "year: 2020\nyear: 2021", "duplicate-key-b": "year: 2020\nyear:",
    "alias-a": "aliases: [alias-b]", "alias-b": "aliases: [One, one]",
    "part-of-a": "part_of: nowhere", "part-of-b": "part_of: part-of-b",
    "cite-a": "cite: ho2020", "cite-b": "cite: ho2020", "cite-c": "cite: ho 2020x",
    "ids-a": 'arxiv: "2006.11239"\nurl: https://arxiv.org/abs/2006.11240', "ids-b": "doi: https://doi.org/10.1000/182",
    "dates-a": "status: to-read\nfinished: 2025-01-01", "dates-b": "status: reading",
    "incomplete": "arxiv: \"1706.03762\"\nincomplete: arxiv", "wanted": "wanted: [one day]",
    "repro": "repro: no_such_paper",
}  # fmt: skip


@pytest.fixture
def broken(make_vault: Vault) -> Path:
    """Every note but the one named orphan links to the hub."""
    notes: dict[str, str | bytes] = {
        f"papers/{id}.md": f"---\ntitle: {id}\n{front}\n---\n[[hub]]\n" for id, front in FRONT.items()
    }
    notes |= {
        "topics/hub.md": "---\ntitle: Hub\n---\n[[one]] [[x.png]]\n\n## Part\n\n[a](#parts)\n![a](gone.png)\n",
        "papers/encoding.md": b"---\ntitle: encoding\n---\n[[hub]] caf\xe9\n",
        "papers/front-matter-a.md": "[[hub]]\n",
        "papers/front-matter-b.md": "---\ntitle: x\n[[hub]]\n",
        "papers/title.md": "---\nyear: 2020\n---\n[[hub]]\n",
        "papers/No Id.md": "---\ntitle: no id\n---\n[[hub]]\n",
        "papers/twice.md": "---\ntitle: twice\n---\n[[hub]]\n",
        "talks/twice.md": "---\ntitle: twice again\n---\n[[hub]]\n",
        "papers/work-a.md": f"---\n{SAME}arxiv: \"1805.01934\"\n---\n[[hub]]\n",
        "papers/work-b.md": f"---\n{SAME}venue: CVPR\n---\n[[hub]]\n",
        "papers/orphan.md": "---\ntitle: alone\n---\nWords.\n",
    }  # fmt: skip
    notes["papers/wanted.md"] = "---\ntitle: wanted\nwanted: [one day]\n---\n[[one day]] [[hub]]\n"
    root = make_vault(notes)
    (root / "notes/papers/unreadable.md").symlink_to(root / "notes/papers")
    wide = {"recipes": ["wide"], "runs": [f"wide-s{n}" for n in range(3)]}
    rows = [judged("T-1", p=0.5), judged("T-2", note="nobody", p=0.0183), judged("T-3", tier="scale", **wide)]
    write(root, "toy", claims=rows, records=[record(seed=n) for n in range(3)], code={"train.py": "x = 1\n"})
    folder = write(root, "toy", records=[record(recipe="wide", seed=n, figures=["a.png"]) for n in range(3)])
    (folder / "runs/a.png").unlink()
    (folder / "runs/bad.json").write_text("{")
    write(root, "lonely", claims=[claim(recipes=["never"])], code={"train.py": "def f(:\n"})
    return root


def table() -> dict[str, tuple[set[str], str]]:
    """The guide's table: of each check the levels, and whether --fix mends it."""
    rows = re.findall(r"(?m)^\| `([a-z-]+)` \| ([a-z, ]+) \| .* \| (yes|no|partly)", GUIDE.read_text("utf-8"))
    assert len({name for name, _, _ in rows}) == len(rows) > 20
    return {name: (set(levels.split(", ")), mends) for name, levels, mends in rows}


def seen(problems: list[Problem]) -> dict[str, tuple[set[str], str]]:
    found: dict[str, tuple[set[str], str]] = {}
    for name in {p.check for p in problems}:
        fixable = {p.fixable for p in problems if p.check == name}
        mends = "partly" if len(fixable) > 1 else "yes" if fixable == {True} else "no"
        found[name] = ({p.level for p in problems if p.check == name}, mends)
    return found


def test_the_guide_s_table_is_what_is_found(broken: Path) -> None:
    assert seen(check(Library(broken), TODAY)) == table()


def test_every_problem_has_a_place_that_is_there_and_a_remedy(broken: Path) -> None:
    for p in check(Library(broken), TODAY):
        file = broken / p.path
        lines = file.read_bytes().count(b"\n") + 1 if file.is_file() else 0
        assert file.exists() and 0 <= p.line <= lines, p
        assert p.hint and p.message and "\n" not in str(p), p
        whole = ("id", "duplicate-id", "orphan", "unreadable", "record", "repro", "source")
        assert p.line > 0 or p.check in whole, p


def test_fix_mends_what_is_fixable_and_undo_takes_it_back(broken: Path) -> None:
    before = {file: file.read_bytes() for file in broken.rglob("*.md") if file.is_file()}
    problems = check(Library(broken), TODAY)
    mended = fix(Library(broken))
    assert len(mended) >= 8 and set(mended) == {p for p in problems if p.fixable}
    after = check(Library(broken), TODAY)
    assert set(after) <= set(problems) - set(mended)
    changed = {file.relative_to(broken).as_posix() for file, data in before.items() if file.read_bytes() != data}
    assert changed == {p.path for p in mended}
    assert fix(Library(broken)) == []
    Journal(broken).undo()
    assert {file: file.read_bytes() for file in before} == before


def test_each_mistake_is_in_the_note_that_is_named_after_it(broken: Path) -> None:
    found = check(Library(broken), TODAY)
    for id in FRONT:
        name = re.sub(r"-[abc]$", "", id)
        told = {p.check for p in found if p.path == f"notes/papers/{id}.md"}
        assert name in told or id in ("cite-a", "alias-a") or name == "wanted", (id, told)
    assert json.dumps([p.as_json() for p in found])
