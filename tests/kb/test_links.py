"""Links in a note's text: which there are, where they stand, and the words around them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.links import WIKILINK, Link, blank_skipped, find_links, plain


def targets(body: str) -> list[str]:
    return [link.target for link in find_links(body)]


@pytest.mark.parametrize(
    ("text", "context", "link"),
    [
        ("[[id]]", "id", Link("id", 1)),
        ("[[ id ]]", "id", Link("id", 1)),
        ("[[id|the text]]", "the text", Link("id", 1, label="the text")),
        ("[[id#Part one]]", "id", Link("id", 1, heading="Part one")),
        ("[[id#Part one|text]]", "text", Link("id", 1, heading="Part one", label="text")),
        ("[[#Part]]", "", Link("", 1, heading="Part")),
        ("![[id]]", "id", Link("id", 1, embed=True)),
        ("[[2025-08-08-some-file.md]]", "2025-08-08-some-file.md", Link("2025-08-08-some-file.md", 1)),
        ("[[A title: with, marks!]]", "A title: with, marks!", Link("A title: with, marks!", 1)),
        (r"| [[id\|text]] |", "text |", Link("id", 1, label="text")),
        ("[text](../talks/a.md)", "text", Link("../talks/a.md", 1, label="text", wiki=False)),
        ("[t](a.md#part-1)", "t", Link("a.md", 1, heading="part-1", label="t", wiki=False)),
        ('[t](a.md "A title")', "t", Link("a.md", 1, label="t", wiki=False)),
        ("[t](a.md 'A title')", "t", Link("a.md", 1, label="t", wiki=False)),
        ("[t](<my notes.md#b>)", "t", Link("my notes.md", 1, heading="b", label="t", wiki=False)),
        ("[name]: ../a.md#b", "name", Link("../a.md", 1, heading="b", label="name", wiki=False)),
        ('  [name]: <a b.md> "A title"', "name", Link("a b.md", 1, label="name", wiki=False)),
        ("[t](<a.md>)", "t", Link("a.md", 1, label="t", wiki=False)),
        ("[a [b] c](a.md)", "a [b] c", Link("a.md", 1, label="a [b] c", wiki=False)),
    ],
)
def test_forms(text: str, context: str, link: Link) -> None:
    (found,) = find_links(text)
    assert found._replace(start=0, end=0, text="") == link
    assert found.context == context
    assert text[found.start : found.end] in text.strip() and found.end <= len(text)


@pytest.mark.parametrize(
    "text",
    [
        "`[[x]]`",
        "``a ` [[x]]``",
        "```\n[[x]]\n```",
        "~~~ py\n[[x]]\n~~~",
        "```\n[[x]]",
        "````\n```\n[[x]]\n````",
        "- a\n\n  ```\n  [[x]]\n  ```",
        "> ```\n> [[x]]\n> ```",
        "```\n[x](a.md)\n```",
        "$a [[x]] b$",
        "$$\n[[x]]\n$$",
        "$$ [[x]]",
        "<!-- [[x]] -->",
        "<!--\n[[x]]\n-->",
        "<!-- [[x]]",
        r"\[[x]]",
        "[[]]",
        "[[ ]]",
        "[[a\nb]]",
        "[[a]",
        "[t](https://e.org/a.md)",
        "[t](/a.md)",
        "![t](a.md)",
        r"\[t](a.md)",
        "[t](a.txt)",
        "[^1]: a.md",
        "[t]: https://e.org/a.md",
        "    [t]: a.md",
        "[t]: a.md and more",
        "```\n[t]: a.md\n```",
        "[t](a b.md)",
        "[[a[b]]",
    ],
)
def test_what_is_no_link(text: str) -> None:
    assert targets(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```\n[[no]]\n```\n[[yes]]", ["yes"]),
        ("~~~\n[[no]]\n```\n[[no]]\n~~~\n[[yes]]", ["yes"]),
        ("- a\n  ```\n  [[no]]\n  ```\n- [[yes]]", ["yes"]),
        ("`a` [[yes]] `b`", ["yes"]),
        ("`[[yes]]\nand `", ["yes"]),
        ("It costs $5 and [[yes]] costs $6", ["yes"]),
        (r"\$ [[yes]] \$", ["yes"]),
        ("$x$ [[yes]] $y$", ["yes"]),
        ("<!-- a --> [[yes]] <!-- b -->", ["yes"]),
        ("[[a]][[b]] [c](c.md)", ["a", "b", "c.md"]),
        ("[c](c.md) [[a]]", ["c.md", "a"]),
    ],
)
def test_links_beside_code_math_and_comments(text: str, found: list[str]) -> None:
    assert targets(text) == found


def test_lines_count_in_the_file() -> None:
    body = "\n[[a]]\n```\n[[no]]\n```\r\n\n[[b]] and [[c]]\n\n- [[d]]"
    assert [(link.target, link.line) for link in find_links(body, 10)] == [("a", 11), ("b", 16), ("c", 16), ("d", 18)]


@pytest.mark.parametrize(
    ("body", "context"),
    [
        ("First one. Here [[x]] stands. Then more.", "Here x stands."),
        ("- an item\n- **bold** [[x|words]] `code`\n- another", "bold words code"),
        ("# Head\n\nPara one\nwraps [[x]] here.\n\nPara two.", "Para one wraps x here."),
        ("> quoted [link](http://e.org) and [[x]]", "quoted link and x"),
        ("- [ ] [[x]] to do", "x to do"),
        ("e.g. lower case [[x]] vs. this", "e.g. lower case x vs. this"),
        ("word " * 60 + "[[x]]" + " word" * 60, "… " + "word " * 21 + "x" + " word" * 21 + " …"),
    ],
)
def test_the_sentence_around_a_link(body: str, context: str) -> None:
    found = next(iter(find_links(body))).context
    if "…" in context:
        assert (found[:7], found[-7:]) == ("… word ", " word …")
        assert 200 < len(found) < 230
    else:
        assert found == context


MARKUP = st.lists(
    st.sampled_from(
        ["`", "```", "\n", "$", "$$", "<!--", "-->", "~~~", "[[a]]", " ", "\\", "x", "é", "\r", "[b](b.md)"]
    )
)


@given(MARKUP.map("".join) | st.text(max_size=60))
def test_blanking_keeps_lengths_and_line_ends_and_adds_nothing(body: str) -> None:
    blanked = blank_skipped(body)
    assert len(blanked) == len(body)
    assert all(new in (old, " ") for old, new in zip(body, blanked, strict=True))
    assert [n for n, c in enumerate(body) if c == "\n"] == [n for n, c in enumerate(blanked) if c == "\n"]


BRACKETS = st.lists(st.sampled_from(["[", "]", "[[", "]]", "!", "\\", "a", "|", "#", "\n", " "])).map("".join)


@given(BRACKETS)
def test_looking_where_two_brackets_stand_finds_what_the_pattern_finds(body: str) -> None:
    text = blank_skipped(body)
    found = [m.span() for m in re.finditer(WIKILINK, text) if m[2].strip() or m[3]]
    assert [(link.start, link.end) for link in find_links(body)] == found


@given(MARKUP.map("".join), MARKUP.map("".join))
def test_a_link_stands_on_the_line_that_holds_it(before: str, after: str) -> None:
    body = f"{before}[[a]]{after}"
    for link in find_links(body, 5):
        assert link.target in body.split("\n")[link.line - 5]
        assert "\n" not in link.context


N = 50_000
HOSTILE = [
    "[[" * N,
    "$" * N,
    "$ " * N,
    "$a " * N,
    "`" * N,
    "` " * N,
    "``a`" * N,
    "<!--" * N,
    "[" * N,
    "[a](" * N,
    "[[a|" * N,
    "[[a]" * N,
    "[[a#" * N,
    "```\n" * N,
    "```x\n~~~\n" * N,
    "> " * N,
    " " * N,
    "\\$" * N,
    "*" * N,
    "[a](x.md#" * N,
    "[[a" + " " * N,
    "[a](a.md" + " " * N,
    " ".join("`" * n for n in range(300)),
    "```\n" + (" " * 2000 + "\n") * 25,
    "\n".join("~" * (3 + n % 50) for n in range(3000)),
    "```\n" + ">" * N + "x",
    "[x [y] " * N,
    "[a](<" * N,
    "[a](<x.md" * N,
    "[a]: <" * N,
    "[a]: x.md" * N,
    "[a](a.md '" * N,
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_text_comes_to_an_end(number: int) -> None:
    """Each takes a moment where the patterns are linear, and more than the patience of CI where one is not."""
    text = HOSTILE[number]
    found = list(find_links(text))
    assert len(blank_skipped(text)) == len(text)
    assert len(found) <= N
    assert len(plain(text)) <= len(text)


def test_plain_text_has_no_marks() -> None:
    assert plain("## A **bold** [[x|y]] and `c`\n\n- [x] [l](http://e.org) ![i](i.png)") == "A bold y and c l i"
