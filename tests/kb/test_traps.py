"""Values that YAML takes for something else: each trap by its number, what is told of it, and what is left alone."""

from __future__ import annotations

import io
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from kb.note import TEXT_KEYS, parse_note
from kb.scalars import scalar
from kb.traps import lost, mended, other_reading

PATH = "notes/papers/x.md"
TRAPS = [  # number, what is written, what kb reads, what is told of it
    (1, "arxiv: 2409.17100", "2409.17100", "warning other readers of YAML take 2409.17100 under 'arxiv' for 2409.171"),
    (2, "arxiv: 0704.0001", "0704.0001", "warning other readers of YAML take 0704.0001 under 'arxiv' for 704.0001"),
    (3, "tags: #ml", None, "error YAML reads `tags: #ml` as empty: # begins a comment"),
    (4, "venue: A: B", "A: B", "error 'venue' is no YAML: mapping values are not allowed in this context"),
    (5, "venue: @x", "@x", "error 'venue' is no YAML: found character that cannot start any token"),
    (6, "part_of: [[x]]", None, "error YAML reads [[x]] as a list in a list"),
    (7, "year: 2020\nyear: 2021", 2021, "error 'year' stands on line 3 too"),
    (8, "venue: no", "no", "warning other readers of YAML take no under 'venue' for false"),
    (9, "venue: 1e3", "1e3", "warning other readers of YAML take 1e3 under 'venue' for 1000"),
    (10, "at: 12:30", "12:30", "warning other readers of YAML take 12:30 under 'at' for 750"),
    (11, "venue: 0o17", "0o17", "warning other readers of YAML take 0o17 under 'venue' for 15"),
    (12, "cite: 017", "017", "warning other readers of YAML take 017 under 'cite' for 15"),
    (13, "cite: 1_000", "1_000", "warning other readers of YAML take 1_000 under 'cite' for 1000"),
    (14, "aliases: [Off, x]", ["Off", "x"], "warning other readers of YAML take Off under 'aliases' for false"),
    (15, "authors:\n  - Yes\n  - No One", ["Yes", "No One"],
     "warning other readers of YAML take Yes under 'authors' for true"),
    (16, "venue: true", "true", "warning other readers of YAML take true under 'venue' for the truth value true"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "front", "value", "told"), TRAPS, ids=[f"trap {n}" for n, *_ in TRAPS])
def test_each_trap_is_told_on_its_line(number: int, front: str, value: Any, told: str) -> None:
    note, problems = parse_note(f"---\ntitle: x\n{front}\n---\n".encode(), PATH)
    traps = [p for p in problems if p.check in ("yaml", "yaml-trap", "duplicate-key")]
    assert [f"{p.level} {p.message}" for p in traps] == [told]
    assert traps[0].line == (4 if number in (7, 15) else 3) and traps[0].hint
    assert traps[0].fixable is (number != 7)
    assert note.meta.get(front.partition(":")[0]) == value


@pytest.mark.parametrize(
    "front",
    [
        "arxiv: 2006.11239",
        "arxiv: '2409.17100'",
        "added: 2025-01-04",
        "year: 2020",
        "rating: 5",
        "private: no",
        "zzz: no",
        "venue: No Free Lunch",
        "venue: R&D on 2 hosts",
        "venue: 1984",
        "venue: 2.5",
        "venue: NeurIPS 2020 # no",
        "tags: [ml, gpt-4, '1e3']",
        "authors: [{family: Ho, given: J.}]",
        "results: [{metric: FID, value: 3.170}]",
        "abstract: |\n  - 12:30\n  no",
        "abstract: >-\n  one\n  1e3",
        "aliases:\n  - one\n    12:30",
        "url: https://e.org/0704.0001",
        "bibtex: {address: \"Berlin, 015783, Germany\", note: 'it''s 1, 007, 8'}",
        'aliases: ["a, 1e3, b", "say \\\\", "x, 017"]',
        "finished: null",
        "finished: ~",
    ],
)
def test_what_loses_nothing_is_left_alone(front: str) -> None:
    problems = parse_note(f"---\ntitle: x\n{front}\n---\n".encode(), PATH)[1]
    assert [p for p in problems if p.level != "info"] == []


SPELLED = st.from_regex(
    r"[-+]?[0-9_]{1,6}([.:][0-9_]{0,5}){0,2}([eE][-+]?[0-9]{1,2})?|0[xob][0-9a-f_]{1,5}", fullmatch=True
)
NAMED = st.sampled_from(
    ["yes", "Yes", "YES", "no", "No", "NO", "on", "Off", "off", "True", "FALSE", ".inf", "-.INF", ".nan", "y", "n"]
    + ["ab", "true", "1.0", "1.10", "007", "08", "0"]
)


@settings(max_examples=150)
@given(SPELLED | NAMED)
def test_no_loss_goes_unseen(text: str) -> None:
    """Where PyYAML (1.1) or ruamel (1.2) gives back another text, `other_reading` says so."""
    try:
        line = f"k: {text}"
        found = [yaml.safe_load(line)["k"], YAML(typ="safe", pure=True).load(io.StringIO(line))["k"]]
    except (ValueError, yaml.YAMLError):  # '0x_', '1e' and their like: no reader agrees on them
        return
    if any(not isinstance(value, str) and str(value) != text for value in found):
        assert other_reading(text)
    if other_reading(text):
        for line in (f"cite: {text}\n", f"cite: {text}  # c\n", f"aliases: [a, {text}]\n", f"bibtex: {{a: {text}}}\n"):
            assert [fault.hint for fault in lost([line], TEXT_KEYS)] == [f'quote it: "{text}"']
        assert text.endswith(".0") or any(
            isinstance(v, bool) or str(v) != text for v in found
        )  # JavaScript makes 1 of 1.0
        assert scalar(text) == f'"{text}"'


@given(
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12),
    st.sampled_from(["cite: ", "  - ", "- "]),
)
def test_mending_a_line_makes_its_value_text(value: str, head: str) -> None:
    line = mended(f"{head}{value}\r\n", "cite")
    assert line.startswith(head) and line.endswith("\r\n")
    if not value.startswith(("'", '"', "[", "{")) and "#" not in value:
        read = yaml.load(line if head == "cite: " else f"cite:\n{line}", yaml.SafeLoader)["cite"]
        plain = scalar(value) != value or other_reading(value) or str(read if head == "cite: " else read[0]) == value
        assert plain
