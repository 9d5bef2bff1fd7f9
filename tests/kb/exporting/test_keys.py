"""Citation keys: made of the note alone, never two alike, and the same when other notes have come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kb.checks import check
from kb.exporting.keys import assign, cite_key
from kb.library import Library
from kb.note import Note


def note(id: str = "some-note", **meta: Any) -> Note:
    return Note(id, f"notes/papers/{id}.md", {"kind": "paper", **meta}, "")


@pytest.mark.parametrize(
    ("meta", "key"),
    [
        ({"title": "The Größe of It", "authors": ["José Müller"], "year": 2020}, "muller2020grosse"),
        ({"title": "On X", "authors": [{"family": "van Rossum", "given": "G"}]}, "vanrossumx"),
        ({"title": "On X", "authors": ["Guido van Rossum"]}, "vanrossumx"),
        ({"title": "X", "authors": ["Martin King Jr."], "year": 1963}, "king1963x"),
        ({"title": "X", "authors": ["Ho, Jonathan"], "year": 2020}, "ho2020x"),
        ({"title": "On-Policy Distillation", "authors": ["R. Agarwal"], "year": 2024}, "agarwal2024onpolicy"),
        ({"title": "T", "cite": "a b{c},d"}, "abcd"),
        ({"title": "T", "cite": "DBLP:conf/nips/Ho+20_x.y"}, "DBLP:conf/nips/Ho+20_x.y"),
        ({"title": "深層学習", "year": 2020}, "some-note"),
        ({"title": "深層学習", "authors": ["王 Ming"], "year": 2020}, "ming2020"),
    ],
)
def test_the_key_of_a_note(meta: dict[str, Any], key: str) -> None:
    assert cite_key(note(**meta)) == key


def test_a_file_name_is_no_key_as_it_stands() -> None:
    assert cite_key(note("深層, {学習} 1", title="深")) == "深層学習1"
    assert cite_key(note("{}", title="深")) == "note"


def same(id: str, added: str = "", **meta: Any) -> Note:
    return note(id, title="Deep", authors=["Ann Noe"], year=2020, **({"added": added} if added else {}), **meta)


def test_of_notes_with_one_key_the_first_added_has_it() -> None:
    notes = [same("a", "2025-02-02"), same("b", "2025-01-01"), same("c", "2025-02-02"), same("d", cite="NOE2020deepb")]
    assert {path[13:-3]: key for path, key in assign(notes).items()} == {
        "a": "noe2020deepa", "b": "noe2020deep", "c": "noe2020deepc", "d": "NOE2020deepb",
    }  # fmt: skip


def test_suffixes_go_on_behind_z() -> None:
    keys = assign([same(f"n{n:03}", "2025-01-01") for n in range(30)])
    assert list(keys.values())[:2] == ["noe2020deep", "noe2020deepa"]
    assert list(keys.values())[26:29] == ["noe2020deepz", "noe2020deepaa", "noe2020deepab"]


DAYS = st.sampled_from(["2025-01-01", "2025-01-02", "2025-01-03"])
NOTES = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), DAYS, st.sampled_from(["Deep", "Deep Two", "Wide"])),
    min_size=1, max_size=8, unique_by=lambda row: row[0],
)  # fmt: skip


@given(NOTES, st.sampled_from(["Deep", "Wide"]), st.randoms())
@settings(max_examples=60)
def test_a_new_note_changes_no_key(rows: list[tuple[str, str, str]], title: str, random: Any) -> None:
    notes = [note(id, title=title, authors=["Ann Noe"], year=2020, added=day) for id, day, title in rows]
    before = assign(notes)
    assert len({key.casefold() for key in before.values()}) == len(notes)
    later = note("00-new", title=title, authors=["Ann Noe"], year=2020, added="2025-01-04")
    more = [*notes, later]
    random.shuffle(more)
    after = assign(more)
    assert {path: key for path, key in after.items() if path != later.path} == before


def test_one_key_for_two_notes_is_a_problem(make_vault: Callable[..., Path]) -> None:
    root = make_vault(
        {
            "papers/a.md": "---\ntitle: A\nadded: 2025-02-01\ncite: noe20\n---\n",
            "papers/b.md": "---\ntitle: B\nadded: 2025-01-01\ncite: Noe20\n---\n",
            "papers/c.md": "---\ntitle: C\ncite: other\n---\n",
            "papers/d.md": "---\ntitle: D\n---\n",
        }
    )
    assert [str(p) for p in check(Library(root)) if p.check == "cite"] == [
        "notes/papers/a.md:4: cite: notes/papers/b.md has the key 'noe20' too (give one of the two another key)"
    ]
