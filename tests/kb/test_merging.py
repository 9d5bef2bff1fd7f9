"""Three-way merges: what a list changed goes in, what a person wrote stays."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kb.merging import merge_lines, merge_meta

Meta = dict[str, Any]
texts = st.lists(st.sampled_from(["", "a", "b", "c", "- d", "  - e"]), max_size=8)


@given(texts, texts)
def test_who_changed_nothing_gets_what_the_other_has(base: list[str], other: list[str]) -> None:
    assert merge_lines(base, base, other) == (other, True)
    assert merge_lines(base, other, base) == (other, True)
    assert merge_lines(base, other, other) == (other, True)


@settings(max_examples=300)
@given(texts, texts, texts)
def test_no_line_that_the_person_wrote_is_lost(base: list[str], ours: list[str], theirs: list[str]) -> None:
    merged, _ = merge_lines(base, [*ours, "mine"], theirs)
    assert "mine" in merged
    for line in set(ours) - set(base):
        assert merged.count(line) >= ours.count(line)
    for line in set(theirs) - set(base):
        assert not line.strip() or line in merged


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged", "clean"),
    [
        ("a b c", "a B c", "a b c d", "a B c d", True),  # changes in two places
        ("a b c", "a b c me", "A b c", "A b c me", True),
        ("a b c", "a B c", "a X c", "a B X c", False),  # one line changed by both: the person's stays, the new is added
        ("a b c", "a c", "a X c", "a X c", False),  # the person took out what the list changed
        ("a b c", "a c", "a c", "a c", True),
        ("a b c", "a c", "a b c d", "a c d", True),
        ("a b c", "a me b c", "a c", "a me c", True),  # the list took out what the person left alone
        ("a b c", "a B c", "a c", "a B c", True),  # and what they changed stays
        ("a", "a b", "a b c", "a b c", True),  # both added the same line
        ("a", "a x", "a y", "a y x", True),
        ("", "me", "a", "me a", True),
        ("a b c d", "a B c d", "a b c D", "a B c D", True),  # neighbours
        ("a b c d", "a b C d", "a X Y d", "a b C X Y d", False),  # one line of two is the person's
        ("a b", "a me b", "x y", "a me b x y", False),
    ],
)
def test_merge_lines(base: str, ours: str, theirs: str, merged: str, clean: bool) -> None:
    found, was_clean = merge_lines(base.split(), ours.split(), theirs.split())
    assert (" ".join(found), was_clean) == (merged, clean)


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "changes", "conflicts"),
    [
        ({"status": "to-read"}, {"status": "to-read"}, {"status": "read"}, {"status": "read"}, []),
        ({"status": "to-read"}, {"status": "dropped"}, {"status": "read"}, {}, ["status"]),
        ({"status": "to-read"}, {"status": "read"}, {"status": "read"}, {}, []),
        ({"title": "A"}, {"title": "B"}, {"title": "A"}, {}, []),
        ({"year": 2019}, {"year": 2019}, {}, {"year": None}, []),
        ({}, {}, {"venue": "ICML"}, {"venue": "ICML"}, []),
        ({"tags": ["a"]}, {"tags": ["mine", "a"]}, {"tags": ["b"]}, {"tags": ["mine", "b"]}, []),
        ({"tags": ["a"]}, {"tags": []}, {"tags": ["a", "b"]}, {"tags": ["b"]}, []),
        ({"tags": ["a"]}, {"tags": ["a"]}, {}, {"tags": None}, []),
    ],
)
def test_merge_meta(base: Meta, ours: Meta, theirs: Meta, changes: Meta, conflicts: list[str]) -> None:
    assert merge_meta(base, ours, theirs) == (changes, conflicts)
