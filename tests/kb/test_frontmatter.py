"""Front matter: read as text, edited line by line, and every other byte left alone."""

from __future__ import annotations

import io
from datetime import date
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from kb.frontmatter import compose, edit, read, split
from kb.note import KEY_ORDER
from kb.problem import KbError
from kb.scalars import flow, key_block, scalar

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
PRINTED = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\ufeff"), max_size=30)
COMMENTS = st.sampled_from(["", " # why", "   #", "\t# 'x' \"y\" # z"])


def meta(text: str) -> dict[str, Any]:
    return read(split(text))[0]


@st.composite
def entry(draw: st.DrawFn, key: str) -> list[str]:
    """The lines of one key, in one of the styles people write."""
    value, comment = draw(PRINTED), draw(COMMENTS)
    style = draw(
        st.sampled_from(["plain", "double", "single", "flow", "block", "map", "folded", "empty", "apostrophe"])
    )
    items = draw(st.lists(PRINTED, min_size=1, max_size=3))
    match style:
        case "plain":
            return [f"{key}: {scalar(value)}{comment}"]
        case "double":
            return [f'{key}: "{value.translate({34: None, 92: None})}"{comment}']
        case "single":
            return [f"{key}: '{value.replace(chr(39), chr(39) * 2)}'{comment}"]
        case "flow":
            quoted = ", ".join(f'"{i.translate({34: None, 92: None})}"' for i in items)
            return [f"{key}: [{quoted}]{comment}"]
        case "block":
            return [f"{key}:{comment}", *(f"  - {scalar(i)}{draw(COMMENTS)}" for i in items)]
        case "map":
            return [f"{key}:{comment}", *(f"  k{n}: {scalar(i)}" for n, i in enumerate(items))]
        case "folded":
            return [f"{key}: >-", "  one # no comment", "", "  two: three"]
        case "apostrophe":
            return [f"{key}: don't, it's C#{comment}"]
        case _:
            return [f"{key}:{comment}"]


@st.composite
def files(draw: st.DrawFn) -> tuple[str, dict[str, list[str]]]:
    """A file that is good YAML, and the lines of each key in it."""
    keys = draw(st.lists(st.sampled_from(["title", "status", "tags", "x-y", "Foo bar"]), min_size=1, unique=True))
    blocks = {key: draw(entry(key)) for key in keys}
    newline, bom = draw(st.sampled_from(["\n", "\r\n"])), draw(st.sampled_from(["", "\ufeff"]))
    between = st.sampled_from([[], ["# a comment"], [""], ["", "# status: no"]])
    lines = ["---", *(line for block in blocks.values() for line in [*draw(between), *block]), *draw(between), "---"]
    return bom + newline.join(lines) + newline + draw(WORDS), blocks


@given(
    WORDS
    | st.lists(st.sampled_from(["---\n", "---\r\n", "a: b\n", "\n", "# c\n", "\ufeff", "a: [\n", "x"])).map("".join)
)
@example("---\na: b\n")
@example("\ufeff---\r\na: 'b\r\n---\r\n")
def test_a_file_is_its_four_parts_and_an_empty_edit_changes_no_byte(text: str) -> None:
    front = split(text)
    if not front.faults:
        assert front.opening + "".join(front.lines) + front.closing + front.body == text
        assert front.body_line == 1 + (front.opening + "".join(front.lines) + front.closing).count("\n")
    assert edit(text, {}) == text


@given(files(), st.sampled_from(["title", "status", "tags", "year"]), PRINTED.filter(bool))
@example(("---\ntitle: don't # why\n---\n", {"title": ["title: don't # why"]}), "title", "new")
@example(("---\r\nstatus:\r\ntags: a\r\n---\r\n", {"status": ["status:"], "tags": ["tags: a"]}), "status", "read")
@example(('---\n"title": a\n---\n', {"title": ['"title": a']}), "title", "b")
def test_setting_a_key_changes_its_lines_only(given: tuple[str, dict[str, list[str]]], key: str, value: str) -> None:
    text, blocks = given
    new = edit(text, {key: value}, KEY_ORDER)
    was, now = meta(text), meta(new)
    assert now[key] == value
    assert {k: v for k, v in now.items() if k != key} == {k: v for k, v in was.items() if k != key}
    assert edit(new, {key: value}, KEY_ORDER) == new
    old_lines, new_lines = text.split("\n"), new.split("\n")
    same = 0
    while same < len(old_lines) and old_lines[same] == new_lines[same]:
        same += 1
    tail = 0
    while tail < len(old_lines) - same and old_lines[-1 - tail] == new_lines[-1 - tail]:
        tail += 1
    touched = [line.rstrip("\r") for line in old_lines[same : len(old_lines) - tail]]
    assert set(touched) <= set(blocks.get(key, []))
    assert split(new).body == split(text).body
    assert [k for k in now if k != key] == [k for k in was if k != key]
    if key in blocks and len(blocks[key]) == 1 and was[key] != value:
        comment = blocks[key][0].rpartition(" # why")[1:] if blocks[key][0].endswith(" # why") else ("", "")
        mine = [line.rstrip("\r") for line in new_lines if line.strip("\"'").startswith(key)]
        assert any(line.endswith("".join(comment)) for line in mine)


@given(files(), st.sampled_from(["title", "status", "tags"]))
def test_none_takes_the_key_out_and_nothing_else(given: tuple[str, dict[str, list[str]]], key: str) -> None:
    text, _ = given
    new = edit(text, {key: None})
    assert meta(new) == {k: v for k, v in meta(text).items() if k != key}


@given(
    PRINTED
    | WORDS
    | st.sampled_from(
        [
            "2409.17100",
            "0704.0001",
            "1e3",
            "0o17",
            "0x1F",
            "1_000",
            "12:30:45",
            "=",
            "<<",
            "yes",
            "No",
            "null",
            "~",
            ".inf",
            "-.5",
            "2025-01-04",
            "a: b",
            "a #b",
            "#a",
            "@x",
            "- a",
            "? a",
            "[[x]]",
            "%a",
            "---",
            "...",
            "a:",
            "a\tb",
            " a",
            "a ",
            "'",
            '"',
            "\\",
            "\x85",
            "\u2028",
            "\ufeff",
            "\x7f",
            "😀",
            "!x",
            "&a",
            "*a",
            "`x",
        ]
    )
)
def test_a_written_scalar_reads_as_the_same_text_in_yaml_1_1_and_1_2(text: str) -> None:
    line = f"key: {scalar(text)}\n"
    assert line.count("\n") == 1
    assert meta(f"---\n{line}---\n").get("key") == text
    is_date = (
        len(text) == 10 and text[4:5] == "-" and text.replace("-", "").isascii() and text.replace("-", "").isdigit()
    )
    if not is_date:  # a bare date stays bare: Obsidian's Properties take it for one
        assert yaml.safe_load(line) == {"key": text}
        assert YAML(typ="safe", pure=True).load(io.StringIO(line)) == {"key": text}


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (True, ["k: true\n"]),
        (5, ["k: 5\n"]),
        ("", ["k:\n"]),
        (None, ["k:\n"]),
        ([], ["k: []\n"]),
        (["a", "b, c", "[d]", "2020"], ['k: [a, "b, c", "[d]", "2020"]\n']),
        ({"entry": "article", "pages": "1-9"}, ['k: {entry: article, pages: "1-9"}\n']),
        ([{"family": "Ho", "given": "J."}], ["k:\n", "  - {family: Ho, given: J.}\n"]),
        (["word " * 6 + str(n) for n in range(4)], ["k:\n", *(f"  - {'word ' * 6}{n}\n" for n in range(4))]),
        ("one two three " * 9, ['k: "' + "one two three " * 9 + '"\n']),
        (
            " ".join(["lorem"] * 20),
            ["k: >-\n", "  " + " ".join(["lorem"] * 16) + "\n", "  " + " ".join(["lorem"] * 4) + "\n"],
        ),
    ],
)
def test_the_lines_of_a_key(value: object, lines: list[str]) -> None:
    assert key_block("k", value) == lines


@given(st.lists(PRINTED.filter(bool) | st.dictionaries(st.sampled_from(["a", "b"]), PRINTED, min_size=1), max_size=5))
def test_lists_read_as_they_were_written(value: list[Any]) -> None:
    assert meta(compose({"k": value}, ""))["k"] == value


@given(st.lists(st.text("ab :#-", min_size=1, max_size=80), min_size=1, max_size=9).map(" ".join))
def test_long_text_reads_as_it_was_written(value: str) -> None:
    assert meta(compose({"k": value}, ""))["k"] == value


LIST = """---
title: x
tags:   # of mine
  # first
  - a   # why a
  - b

  - "c # d"   # why c
  # last
# of nobody
year: 2020
---
"""


def test_a_list_keeps_the_lines_and_comments_of_the_items_that_stay() -> None:
    new = LIST.replace("  - b\n", "").replace("  # last\n", "  - e: f\n  # last\n").replace("- e: f", '- "e: f"')
    assert edit(LIST, {"tags": ["a", "c # d", "e: f"]}).replace("\n\n", "\n") == new.replace("\n\n", "\n")
    assert edit(LIST, {"tags": ["a", "b", "c # d"]}) == LIST
    assert edit(LIST, {"tags": []}) == "---\ntitle: x\ntags: []   # of mine\n# of nobody\nyear: 2020\n---\n"


def test_a_new_key_goes_where_the_order_of_keys_puts_it() -> None:
    text = "---\ntitle: x\nmine: 1\nyear: 2020 # y\n# end\n---\nbody"
    assert edit(text, {"status": "read"}, KEY_ORDER) == text.replace("title: x\n", "title: x\nstatus: read\n")
    assert edit(text, {"tags": ["a"]}, KEY_ORDER) == text.replace("# y\n", "# y\ntags: [a]\n")
    assert edit(text, {"other": "v"}, KEY_ORDER) == text.replace("# y\n", "# y\nother: v\n")


def test_a_file_without_front_matter_gets_one_with_its_own_line_ends() -> None:
    assert edit("\ufeff# Head\r\n", {"title": "Head"}) == "\ufeff---\r\ntitle: Head\r\n---\r\n# Head\r\n"
    assert edit("# Head\n", {"title": None}) == "# Head\n"


def test_a_front_matter_never_closed_is_not_edited() -> None:
    with pytest.raises(
        KbError, match="line 1: the front matter is never closed; end it with a line of three dashes: ---"
    ):
        edit("---\ntitle: x\n", {"title": "y"})


def test_an_edit_that_would_change_another_key_is_refused() -> None:
    for text in ("---\n{title: x, year: 2020}\n---\n", "---\n? title\n: x\n---\n"):
        with pytest.raises(KbError, match="its front matter is written in a way that kb cannot edit; set .* by hand"):
            edit(text, {"status": "read", "title": "y"})


def test_what_only_looks_like_a_key_is_none() -> None:
    text = '---\ntitle: "one\nstatus: two"\nyear: 2020\n---\n'
    assert edit(text, {"status": "read"}, KEY_ORDER) == text.replace('two"\n', 'two"\nstatus: read\n')
    assert edit(text, {"title": "t"}) == '---\ntitle: "t"\nyear: 2020\n---\n'


TRAPS = {
    "arxiv: 2409.17100": ("2409.17100", None),
    "arxiv: 0704.0001": ("0704.0001", None),
    "venue: R&D, A & B, *x* and 5 * 3": ("R&D, A & B, *x* and 5 * 3", None),
    "tags: #ml": (
        "",
        (3, "yaml-trap", "YAML reads `tags: #ml` as empty: # begins a comment", "write tags: [ml]", True),
    ),
    "part_of: [[x]]": (
        [["x"]],
        (3, "yaml-trap", "YAML reads [[x]] as a list in a list", 'quote it: part_of: "[[x]]"', True),
    ),
    "venue: A: B": (
        "A: B",
        (
            3,
            "yaml",
            "'venue' is no YAML: mapping values are not allowed in this context",
            'quote it: venue: "A: B"',
            True,
        ),
    ),
    "venue: @x": (
        "@x",
        (3, "yaml", "'venue' is no YAML: found character that cannot start any token", 'quote it: venue: "@x"', True),
    ),
    "venue: a\nvenue: b": ("b", (4, "duplicate-key", "'venue' stands on line 3 too", "keep one of the two", False)),
    "venue: a\x07": (
        "a\x07",
        (3, "yaml", "a control character U+0007 stands in the front matter", "take it out", False),
    ),
    "venue: [a": (
        "[a",
        (
            3,
            "yaml",
            "the front matter is no YAML here: did not find expected ',' or ']'",
            "look for an unclosed bracket or quote",
            False,
        ),
    ),
    "venue: &a x": (
        "&a x",
        (
            3,
            "yaml",
            "the front matter uses YAML anchors (& or *), which kb does not read",
            "quote the value, or write it out",
            False,
        ),
    ),
    "venue: " + "[" * 21 + "]" * 21: (
        "[" * 21 + "]" * 21,
        (
            3,
            "yaml",
            "the front matter is more than 20 levels deep, which kb does not read",
            "quote the value, or write it out",
            False,
        ),
    ),
}


@pytest.mark.parametrize("line", TRAPS)
def test_traps_are_told_with_their_line_and_remedy(line: str) -> None:
    value, fault = TRAPS[line]
    found, _, faults = read(split(f"---\ntitle: x\n{line}\n---\n"))
    key = line.partition(":")[0]
    assert found[key] == value
    assert [(f.line, f.check, f.message, f.hint, f.fixable) for f in faults] == ([fault] if fault else [])


@pytest.mark.parametrize(
    "bomb",
    [
        "a: &a [x,x]\nb: &b [*a,*a]",
        "a:\n &a [x,x]\nb:\n &b [*a,*a]",
        '"a": &a [x]\nb: [*a]',
        "a: [1,\n&a 2,\n*a]",
        "? &a x\n: *a",
    ],
)
def test_an_alias_is_refused_however_it_is_written(bomb: str) -> None:
    faults = read(split(f"---\n{bomb}\n---\n"))[2]
    assert [f.message for f in faults] == ["the front matter uses YAML anchors (& or *), which kb does not read"]
    assert "&" in f"---\n{bomb}\n---\n".split("\n")[faults[0].line - 1]


@pytest.mark.parametrize(
    "deep",
    [
        "[" * 10_000,
        "[" * 120_000 + "]" * 120_000,
        "{a: " * 10_000,
        "\n  " + "- " * 100_000 + "x",
        "\n" + "".join(" " * n + "-\n" for n in range(500)),
    ],
)
def test_deep_nesting_is_a_fault_and_not_the_end_of_the_process(deep: str) -> None:
    text = f"---\ntitle: x\na: {deep}\n---\n"
    assert [f.message for f in read(split(text))[2]] == [
        "the front matter is more than 20 levels deep, which kb does not read"
    ]
    assert edit(text, {"title": "new"}) == text.replace("title: x", "title: new")


def test_a_huge_front_matter_is_a_fault() -> None:
    found, _, faults = read(split("---\ntitle: x\na: " + "x" * 262_144 + "\n---\n"))
    assert found["title"] == "x"
    assert [(f.line, f.message) for f in faults] == [(2, "the front matter is larger than 256 KB")]


def test_a_line_of_many_spaces_or_marks_is_edited_at_once() -> None:
    for value in (" " * 50_000 + "y", " #" * 50_000, '"' + " #" * 50_000 + '"', "'" * 50_001):
        assert meta(edit(f"---\na: x{value}\nb: c\n---\n", {"a": "q"})).get("b") == "c"


# Whatever people write


KEYS = st.sampled_from(["title", "status", "tags", "authors", "x-y", "Foo bar", "été", "2nd"])
SPACES = st.sampled_from([" ", "  ", "\t", "    "])
SCALARS = PRINTED | st.sampled_from(
    ["2409.17100", "0704.0001", "1e3", "0b11", "0o17", "017", "no", "Off", "NULL", "~", "12:30", "1:2:3", "2025-01-04",
     "2025-01-04T10:00:00", "#a", "@x", "[[x]]", "-", "A: B", "a #b", " lead", "trail ", "don't", 'say "x"', "a\\b",
     "- a", "🎓", "x" * 300, "a, b", "]", "a:", "%", "!t", "who?"]
)  # fmt: skip


@st.composite
def odd_entry(draw: st.DrawFn, key: str) -> list[str]:
    """A key in the odder ways that YAML allows."""
    value, gap, comment = draw(SCALARS), draw(SPACES), draw(COMMENTS)
    items = draw(st.lists(SCALARS, min_size=1, max_size=4))
    quoted = ['"' + i.replace("\\", "").replace('"', "") + '"' for i in items]
    spelled = draw(st.sampled_from([key, f'"{key}"', f"'{key}'", f"{key} "]))
    match draw(st.sampled_from(["plain", "single", "literal", "flow", "flows", "dashes", "maps", "lines", "map"])):
        case "plain":
            return [f"{spelled}:{gap}{scalar(value)}{comment}"]
        case "single":
            return [f"{spelled}:{gap}'{value.replace(chr(39), chr(39) * 2)}'{comment}"]
        case "literal":
            return [f"{spelled}: |2-{comment}", "  # no comment", "", "   status: no key", "  - tags: neither"]
        case "flow":
            return [f"{spelled}:{gap}[{', '.join(quoted)} ,]{comment}"]
        case "flows":
            return [f"{spelled}:{gap}[", *(f"  {i},{draw(COMMENTS)}" for i in quoted), f"  ]{comment}"]
        case "dashes":
            return [f"{spelled}:{comment}", *(f"-{gap.replace(chr(9), ' ')}{flow(i)}{draw(COMMENTS)}" for i in items)]
        case "maps":
            rows = [[f"  - family: {flow(i)}", "    # his name", "    given: X"] for i in items]
            return [f"{spelled}:{comment}", *(line for row in rows for line in row)]
        case "lines":
            return [f"{spelled}: one two", "  three four", "   five"]
        case _:
            return [f"{spelled}:{comment}", *(f"  k{n}:{gap}{scalar(i)}" for n, i in enumerate(items))]


@st.composite
def odd_files(draw: st.DrawFn) -> tuple[str, dict[str, list[str]]]:
    keys = draw(st.lists(KEYS, min_size=1, unique=True))
    blocks = {key: draw(odd_entry(key)) for key in keys}
    newline, bom = draw(st.sampled_from(["\n", "\r\n"])), draw(st.sampled_from(["", "\ufeff"]))
    between = st.sampled_from([[], ["# status: no  "], [""], ["   "], ["", "# title: 'no", ""]])
    lines = ["---  ", *(line for block in blocks.values() for line in [*draw(between), *block]), *draw(between)]
    ends = ["---", f"---{newline}", f"...  {newline}text  {newline}---{newline}", f"---{newline}x"]
    tail = draw(st.sampled_from(ends))
    return bom + newline.join([*lines, tail]), blocks


VALUES = (
    SCALARS.filter(bool)
    | st.lists(SCALARS, max_size=4)
    | st.lists(st.dictionaries(st.sampled_from(["family", "given"]), SCALARS, min_size=1), max_size=3)
    | st.dictionaries(st.sampled_from(["entry", "pages", "no", "1"]), SCALARS, min_size=1, max_size=3)
)


def changed(old: str, new: str) -> tuple[list[str], list[str]]:
    """The lines of two texts between what begins and what ends both."""
    a, b = old.split("\n"), new.split("\n")
    while a and b and a[0] == b[0]:
        a, b = a[1:], b[1:]
    while a and b and a[-1] == b[-1]:
        a, b = a[:-1], b[:-1]
    return a, b


@settings(max_examples=100)
@given(odd_files(), KEYS, VALUES)
def test_an_edit_changes_the_lines_of_its_key_and_no_other_byte(
    given: tuple[str, dict[str, list[str]]], key: str, value: Any
) -> None:
    text, blocks = given
    was = meta(text)
    assert set(was) == set(blocks)
    new = edit(text, {key: value}, KEY_ORDER)
    now = meta(new)
    assert now[key] == value and {**now, key: 0} == {**was, key: 0}
    gone, come = changed(text, new)
    own = blocks.get(key, [""])
    assert {line.rstrip("\r") for line in gone} <= {*own, *(["   "] if "|" in own[0] else [])}  # a line of its text
    newline = "\r" if text.partition("\n")[0].endswith("\r") else ""
    assert all(line.endswith("\r") == bool(newline) for line in come)
    assert edit(new, {key: value}, KEY_ORDER) == new
    if key in blocks:
        assert edit(text, {key: was[key]}, KEY_ORDER) == text
        back = edit(new, {key: None})
        assert meta(back) == {k: v for k, v in was.items() if k != key}


@settings(max_examples=100)
@given(
    st.sampled_from(["flow", "flows", "dashes"]),
    st.lists(SCALARS.filter(bool), min_size=1, max_size=5, unique=True),
    st.data(),
)
def test_a_list_edited_keeps_every_item_as_it_is_spelled(style: str, items: list[str], data: st.DataObject) -> None:
    spelled = [scalar(i, "'") if data.draw(st.booleans()) else scalar(i, '"') for i in items]
    marks = [data.draw(COMMENTS) if style != "flow" else "" for _ in items]
    match style:
        case "flow":
            lines = [f"tags:  [ {' ,  '.join(spelled)} ]  # end"]
        case "flows":
            lines = ["tags: [", *(f"   {i} ,{m}" for i, m in zip(spelled, marks, strict=True)), "]"]
        case _:
            lines = ["tags:  # end", *(f"    -   {i}{m}" for i, m in zip(spelled, marks, strict=True))]
    text = "\n".join(["---", *lines, "year: 2020", "---", ""])
    assert meta(text)["tags"] == items
    kept = [i for i in items if data.draw(st.booleans())]
    new = [i for i in data.draw(st.lists(SCALARS.filter(bool), max_size=2, unique=True)) if i not in items]
    after = edit(text, {"tags": kept + new})
    assert meta(after) == {"tags": kept + new, "year": "2020"}
    if kept:
        for item, how, mark in zip(items, spelled, marks, strict=True):
            assert (f"{how}" in after) or item not in kept
            if style == "dashes" and item in kept:
                assert f"\n    -   {how}{mark}\n" in after
        assert after.startswith(f"---\n{lines[0].split('[')[0]}")


@settings(max_examples=100)
@given(SCALARS | WORDS, st.sampled_from(["title", "added", "tags"]))
def test_what_is_written_reads_back_in_every_yaml(value: str, key: str) -> None:
    """As a value, in a list, in a mapping; by our reader, PyYAML (1.1) and ruamel (1.2)."""
    for shape in (value, [value, "x"], {"k": value}, [{"family": value}]):
        text = "".join(key_block(key, shape))
        if meta(f"---\n{text}---\n")[key] != shape:
            assert shape == "" and meta(f"---\n{text}---\n")[key] == ""
        read_back = [yaml.safe_load(text), YAML(typ="safe", pure=True).load(io.StringIO(text))]
        if shape == "":
            assert read_back == [{key: None}] * 2
        elif key == "added" and shape == "2025-01-04":  # a day under a date key stays bare: Obsidian takes it for one
            assert read_back == [{key: date(2025, 1, 4)}] * 2 and text == "added: 2025-01-04\n"
        else:
            assert read_back == [{key: shape}] * 2


@given(st.dictionaries(st.sampled_from(KEY_ORDER), VALUES, min_size=1), WORDS)
def test_parse_write_parse_is_the_identity(front: dict[str, Any], body: str) -> None:
    text = compose(front, body)
    assert meta(text) == front
    assert compose(meta(text), split(text).body) == text
