"""Lists that are no plain Markdown bullets: tables, org, Logseq, definitions, dumps of URLs, <details>."""

from __future__ import annotations

from typing import Any

from formats import samples

from kb.formats.dialects import to_markdown
from kb.formats.known import detect
from kb.formats.reading_list import read_reading_list


def items(text: str, name: str = "list.md") -> dict[str, dict[str, Any]]:
    """The items by title; every line has a fate."""
    found = read_reading_list(text, name, detect(name, text.encode()))
    claimed = found.structure | set(found.unresolved) | {no for item in found.items for no in item.lines}
    assert {no for no, line in enumerate(text.split("\n"), 1) if line.strip()} <= claimed
    rows = {}
    for item in found.items:
        words = [part for part in item.body if isinstance(part, str)]
        rows[item.title] = {"kind": item.kind, **item.meta, "body": words, "home": item.home.title if item.home else ""}
    return rows


def test_a_table_of_works() -> None:
    text = """# Sea

| Paper | Year | Authors | Status | Code | Notes | Mood |
|:--|---|---|---|---|---|---|
| [Tidal engines](arxiv.org/abs/2006.11239) | 2020 | Ho, Jain |✅| [r](https://github.com/a/b) | read \\| twice | calm |
| Kelp forests of the North | 2021 | Ada Byron | reading | | |
"""
    found = items(text)
    tides = found["Tidal engines"]
    assert {k: tides[k] for k in ("kind", "arxiv", "year", "authors", "status", "code")} == {
        "kind": "paper", "arxiv": "2006.11239", "year": 2020, "authors": ["Ho", "Jain"], "status": "read",
        "code": "https://github.com/a/b",
    }  # fmt: skip
    assert tides["body"] == ["read | twice", "", "Mood: calm"]
    assert found["Kelp forests of the North"]["status"] == "reading"


def test_a_table_that_lists_no_works_is_prose() -> None:
    text = "# Sea\n\n| Fish | Weight |\n|---|---|\n| Cod | 3 |\n| Eel | 1 |\n"
    assert list(items(text)) == ["Sea"]


def test_org() -> None:
    found = items(samples.ORG, "sea.org")
    tides = found["Tidal engines"]
    assert {k: tides[k] for k in ("status", "url", "authors", "year", "added", "tags", "home")} == {
        "status": "to-read", "url": "https://example.org/tides", "authors": ["Ada Byron", "Jan Maas"], "year": 1843,
        "added": "2024-01-02", "tags": ["engines", "sea", "gen", "image"], "home": "Engines",
    }  # fmt: skip
    assert "Some **bold** words of mine." in "\n".join(tides["body"]) and "- a point" in "\n".join(tides["body"])
    assert "- Scheduled: 2024-01-05 Fri" in tides["body"]
    kelp = found["Kelp forests"]
    assert (kelp["status"], kelp["finished"], kelp["url"]) == ("read", "2024-02-03", "https://example.org/kelp")


def test_org_links_code_and_comments_keep_their_words() -> None:
    text = "* TODO Read [[file:other.org][that]] and [[doi:10.1000/x][this]]\n# aside\n"
    text += "#+begin_src py\n* no heading\n#+end_src\n"
    assert to_markdown(text, "org") == (
        "- [ ] Read [[other|that]] and [this](https://doi.org/10.1000/x)\n  <!-- aside -->\n"
        "  ```py\n  * no heading\n  ```\n"
    )


def test_logseq() -> None:
    found = items(samples.LOGSEQ)
    tides = found["Tidal engines"]
    assert (tides["status"], tides["authors"], tides["tags"]) == ("reading", ["Ada Byron", "Jan Maas"], ["deep-water"])
    assert tides["body"] == ["- a note of mine ((64b3-aaa))"]
    assert found["Kelp forests"]["status"] == "read"
    assert found["My sea"]["tags"] == ["sea", "reading"]


def test_a_dump_of_urls() -> None:
    text = "https://arxiv.org/abs/1706.03762\nhttps://example.org/a  A page of note\nA title - https://example.org/d\n"
    found = items(text, "urls.txt")
    assert (
        found["A page of note"]["url"] == "https://example.org/a" and found["A title"]["url"] == "https://example.org/d"
    )
    assert found["arXiv 1706.03762"]["arxiv"] == "1706.03762"


def test_definitions() -> None:
    found = items(
        "# Sea\n\nTidal engines <https://example.org/t>\n: How the sea moves them\n: twice\n\n"
        "Kelp https://example.org/k\n: tall\n"
    )
    assert found["Tidal engines"]["body"] == ["- How the sea moves them", "- twice"] and found["Kelp"]["body"] == [
        "- tall"
    ]


def test_details_end_where_they_end() -> None:
    text = "# L\n\n<details><summary>Talks of the sea</summary>\n\n- [A](https://example.org/a)\n\n</details>\n\n- [B](https://example.org/b)\n"
    found = items(text)
    assert found["A"]["tags"] == ["talks-of-the-sea"] and "tags" not in found["B"]


def test_a_label_behind_the_works_of_a_heading_ends_its_topic() -> None:
    text = "# L\n\n## Kelp\n\n- [A](https://example.org/a)\n\n**Talks**\n\n- [B](https://example.org/b)\n"
    assert "tags" not in items(text)["B"] and items(text)["B"]["home"] == "L"
    inside = (
        "# L\n\n## Kelp\n\n**Papers**\n\n- [A](https://example.org/a)\n\n**Talks**\n\n- [B](https://example.org/b)\n"
    )
    assert items(inside)["A"]["tags"] == items(inside)["B"]["tags"] == ["kelp"]


def test_an_empty_list_holds_nothing() -> None:
    assert items("") == {} and items("\n \n") == {}


def test_an_awesome_list() -> None:
    text = """# Awesome Kelp [![Awesome](https://awesome.re/badge.svg)](https://awesome.re)

## Contents

- [Tools](#tools)
- [Papers](#papers)

## Tools

- [kelpy](https://github.com/a/kelpy) - Grows kelp, quickly.

## Papers

1. [Kelp of the North](https://arxiv.org/abs/1901.00001) - *Byron*. Tall.
"""
    found = items(text)
    assert set(found) == {"Awesome Kelp", "kelpy", "Kelp of the North"}
    assert found["kelpy"]["body"] == ["Grows kelp, quickly."]
