"""Front matter read without a YAML library is read as the library reads it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kb.frontmatter import read_yaml, split
from kb.note import TEXT_KEYS
from kb.simple_yaml import read_simple

BITS = [
    "a", "Bc", "1", "2020", "2020-01-02", "0704.0001", "1e3", "10.5/x", "yes", "No", "null", "~", ":", ": ", "#",
    " #", "[", "]", "{", "}", ",", ", ", "'", '"', "\\", "-", "- ", " ", "  ", "é", "١", "²", "\u2028", "\ufeff", "\t",
    "\x85", "*", "&", "!", "|", ">", ">-", "@", "%", "`", "?", "=", "<<", "_", "12:30", "+", ".", "...", "---", "\r",
]  # fmt: skip
WORDS = ["Ada Lovelace", "diffusion", "1234", "A - b", "x:y", "2020-01-02", "C# d", "é"]
TEXT = st.sampled_from(WORDS) | st.lists(st.sampled_from(WORDS + BITS), min_size=1, max_size=3).map("".join)
KEY = st.sampled_from(["title", "year", "tags", "arxiv", "x", "private", "yes", "é", "A", "a b"])
ITEMS = st.tuples(st.sampled_from(["", "  "]), st.lists(TEXT, max_size=3)).map(
    lambda found: "".join(f"{found[0]}- {item}\n" for item in found[1])
)
BLOCK = st.one_of(
    st.tuples(KEY, TEXT).map(lambda kv: f"{kv[0]}: {kv[1]}\n"),
    st.tuples(KEY, st.sampled_from("'\""), TEXT).map(lambda kqv: f"{kqv[0]}: {kqv[1]}{kqv[2]}{kqv[1]}\n"),
    st.tuples(KEY, st.lists(TEXT, max_size=3)).map(lambda kv: f"{kv[0]}: [{', '.join(kv[1])}]\n"),
    st.tuples(KEY, ITEMS).map(lambda kv: f"{kv[0]}:\n{kv[1]}"),
    st.tuples(KEY, st.lists(TEXT, max_size=3)).map(
        lambda kv: f"{kv[0]}: >-\n" + "".join(f"  {line}\n" for line in kv[1])
    ),
    TEXT.map(lambda text: f"{text}\n"),
)


@given(st.lists(BLOCK, max_size=4).map("".join))
@example("title: [a,\u2028b]\n")
@example("a: b\nc: d #e\n")
@example("tags: [a, b, ]\n")
@example("tags: [, a]\n")
@example("title: yes\n")
@example("tags:\n- a\n  - b\n")
def test_what_is_read_simply_is_what_yaml_reads(source: str) -> None:
    front = split(f"---\n{source}---\n")
    if found := read_simple(front.lines):
        values, where = found
        assert (values, where, []) == read_yaml(front, TEXT_KEYS)
        assert list(values) == list(where)


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("title: A title - with 2 marks: none", None),
        ("title: A title (2020) - it's", {"title": "A title (2020) - it's"}),
        ("title: 'A: b'\narxiv: \"2006.11239\"", {"title": "A: b", "arxiv": "2006.11239"}),
        ("year: 2020\nadded: 2025-01-04", {"year": "2020", "added": "2025-01-04"}),
        ("arxiv: 2006.11230", None),
        ("doi: 10.1109/5.726791", {"doi": "10.1109/5.726791"}),
        ("tags: [a b, c-d, é]\nfinished:", {"tags": ["a b", "c-d", "é"], "finished": ""}),
        ("tags: []", {"tags": []}),
        ("tags: [a, yes]", None),
        ("tags:\n  - a\n  - b\nx: y", {"tags": ["a", "b"], "x": "y"}),
        ("abstract: >-\n  One\n  two: three\nx: y", {"abstract": "One two: three", "x": "y"}),
        ("abstract: >-\n  One\n\n  two", None),
        ("title: a\ntitle: b", None),
        ("results:\n  - {task: a}", None),
        ("title: a  # comment", None),
        ("# comment\ntitle: a", None),
        ("title: a\r", None),
        ("part_of: [[x]]", None),
    ],
)  # fmt: skip
def test_what_is_simple(source: str, values: dict[str, object] | None) -> None:
    """What kb writes is read without the library; without this the property above could hold of nothing."""
    found = read_simple(split(f"---\n{source}\n---\n").lines)
    assert (found[0] if found else None) == values
