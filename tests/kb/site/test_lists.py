"""Lists come out as CommonMark's reference implementation has them."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

pytest.importorskip("mkdocs", reason="the site extra is not installed")

import markdown
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from kb.site.formulas import MathExtension
from kb.site.lists import ListExtension

EXTENSIONS = ["pymdownx.superfences", "tables", "admonition", "footnotes", "pymdownx.tasklist"]


class Shape(HTMLParser):
    """The tree of lists, quotes, code and text, without <p> and without spaces."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("ul", "ol", "li", "blockquote", "h1", "h2", "hr", "pre"):
            start = dict(attrs).get("start")
            self.parts.append(f"<{tag}{' ' + start if start else ''}>")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("ul", "ol", "li", "blockquote", "h1", "h2", "pre"):
            self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if words := " ".join(data.split()):
            self.parts.append(words)


def shape(html: str) -> str:
    parser = Shape()
    parser.feed(html)
    return re.sub(r"(?<=[^>]) (?=[^<])", " ", " ".join(parser.parts))


def ours(text: str) -> str:
    return markdown.markdown(text, extensions=[*EXTENSIONS, ListExtension(), MathExtension()])


def reference(text: str) -> str:
    return MarkdownIt("commonmark").render(text)


@pytest.mark.parametrize(
    "text",
    [
        "- a\n  - b\n    - c\n- d",
        "* a\n   * b\n      * c",
        "paragraph\n- a\n- b\n\nafter",
        "paragraph\n1. a\n2. b",
        "paragraph\n2. no list",
        "1. a\n   1. b\n   2. c\n2. d",
        "1. a\n  2. b",
        "- a\n\n  second paragraph\n\n- b",
        "- a\nlazy\n- b",
        "- a\n  - b\nlazy",
        "3. x\n4. y",
        "- a\n1. b\n2) c",
        "- a\n+ b",
        "- a\n\n\n- b",
        "-\n- b\n-",
        "- a\n  > quote\n  > more\n- b",
        "> - a\n>   - b\n> - c",
        "- a\n***\n- b",
        "# H\n- a\n## K\n- b\n",
        "- # heading\n  text",
        "- a\n\n      code\n- b",
        "10. a\n    - b\n11. c",
        "- 1. a\n  2. b\n- c",
        "- - - a",
        "- a\n\nparagraph\n\n- b\n\nlast",
        "  - a\n  - b\n    - c",
        "text with - no marker\nand 1) neither",
        "-no space\n- yes",
        "- a\n      deep lazy",
        "* * *\n- a",
        "    - indented code\n\n- a",
    ],
)
def test_lists_are_those_of_commonmark(text: str) -> None:
    assert shape(ours(text)) == shape(reference(text))


@st.composite
def trees(draw: st.DrawFn, depth: int = 0) -> list[str]:
    """The lines of a random list, nested by 2 to 4 spaces as its markers ask."""
    ordered = draw(st.booleans())
    bullet = draw(st.sampled_from("-*+"))
    gap = draw(st.sampled_from(["", "\n"]))
    lines: list[str] = []
    for n in range(1, draw(st.integers(1, 3)) + 1):
        marker = f"{n}." if ordered else bullet
        spaces = draw(st.integers(1, 3))
        indent = " " * (len(marker) + spaces)
        lines.append(f"{marker}{' ' * spaces}w{draw(st.integers(0, 99))}")
        if draw(st.booleans()):
            lines.append(f"{indent}more")
        if draw(st.booleans()) and draw(st.booleans()):
            lines += ["", f"{indent}paragraph"]
        if depth < 3 and draw(st.booleans()):
            nested = draw(trees(depth + 1))
            lines += ([""] if draw(st.booleans()) else []) + [indent + line if line else "" for line in nested]
        if gap:
            lines.append("")
    return lines


@given(st.lists(st.one_of(trees(), st.just(["plain words", "on two lines"])), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_random_trees_keep_their_shape(parts: list[list[str]]) -> None:
    text = "\n\n".join("\n".join(part) for part in parts)
    assert shape(ours(text)) == shape(reference(text)), text


def test_a_tight_list_has_no_paragraphs_and_a_loose_one_has() -> None:
    assert "<p>" not in ours("- a\n  - b\n- c")
    assert ours("- a\n\n- b").count("<p>") == 2


def test_checkboxes_nest() -> None:
    html = ours("- [ ] open\n  - [x] done\n")
    assert html.count('type="checkbox"') == 2 and html.count("checked") == 1 and html.count("<ul") == 2


def test_a_fence_in_an_item_is_code_even_on_the_marker_s_line() -> None:
    for text in ("- a\n\n  ```python\n  - x = 1\n  ```\n- b", "- ```\n  - x = 1\n  ```\n- b"):
        html = ours(text)
        assert html.count("<li>") == 2 and "<pre>" in html, text


def test_fences_math_tables_and_comments_are_left_alone() -> None:
    assert "<li>" not in ours("```\n- a\n  - b\n```")
    assert "<li>" not in ours("$$\na\n- b\n+ c\n$$")
    assert "<li>" not in ours("<!--\n- a\n-->")
    assert "<li>" not in ours("| a |\n|---|\n| - b |")


def test_lists_in_admonitions_follow_the_same_rules() -> None:
    assert shape(ours("!!! note\n    - a\n      - b\n")) == "Note <ul> <li> a <ul> <li> b </li> </ul> </li> </ul>"


def test_links_and_emphasis_in_items_are_rendered() -> None:
    assert "<em>b</em>" in ours("- a *b* `c`") and '<a href="x">t</a>' in ours("- [t](x)\n  - more")


def test_many_lists_take_linear_time() -> None:
    import time

    def seconds(n: int) -> float:
        text = "\n\n".join(["words\n\n- a\n  - b"] * n)
        start = time.process_time()
        ours(text)
        return time.process_time() - start

    seconds(10)
    assert seconds(800) < 10 * max(seconds(200), 0.02)
