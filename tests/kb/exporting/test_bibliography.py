"""Formatted bibliographies: the style's words and order, three markups, and what is wrong with a style in one line."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kb import exporting
from kb.exporting.works import Work
from kb.note import Note
from kb.problem import KbError

NUMBERED = """<?xml version="1.0" encoding="utf-8"?>
<style xmlns="http://purl.org/net/xbiblio/csl" class="in-text" version="1.0" default-locale="en-US">
  <info><title>Numbered</title><id>http://example.org/numbered</id><updated>2025-01-01T00:00:00+00:00</updated></info>
  <citation><layout><text variable="citation-number"/></layout></citation>
  <bibliography>
    <layout suffix=".">
      <text variable="citation-number" prefix="[" suffix="] "/>
      <names variable="author" suffix=": "><name and="text" initialize-with=". " delimiter=", "/></names>
      <text variable="title" font-style="italic" suffix=", "/>
      <text variable="container-title" font-weight="bold" suffix=" "/>
      <date variable="issued"><date-part name="month" suffix=" "/><date-part name="year"/></date>
    </layout>
  </bibliography>
</style>
"""
HEAD = '<style xmlns="http://purl.org/net/xbiblio/csl" class="in-text" version="1.0"><info>'
DEPENDENT = HEAD + '<link href="http://www.zotero.org/styles/nature" rel="independent-parent"/></info></style>'
NOTES_ONLY = HEAD + "</info><citation><layout><text variable='title'/></layout></citation></style>"


def work(key: str, **meta: Any) -> Work:
    return Work(key, Note(key, f"notes/papers/{key}.md", {"kind": "paper", **meta}, ""))


WORKS = [
    work("b", title="Wide & *deep* <nets>", authors=["Ann Noe"], year=2021, venue="TMLR"),
    work("a", title="Denoising", authors=["Jonathan Ho", {"literal": "Google Brain"}], year=2020, published="2020-06",
         venue="NeurIPS", url="https://x.org/a_b"),
]  # fmt: skip


@pytest.fixture
def style(tmp_path: Path) -> str:
    (tmp_path / "numbered.csl").write_text(NUMBERED)
    return str(tmp_path / "numbered.csl")


def formatted(style: str = "", **options: str) -> str:
    return exporting.render(WORKS, "bibliography", style=style, **options)


def test_a_style_that_does_not_sort_keeps_the_order_of_citing(style: str) -> None:
    assert formatted(style) == (
        "[1] A. Noe: Wide & *deep* <nets>, TMLR 2021.\n[2] J. Ho and Google Brain: Denoising, NeurIPS June 2020.\n"
    )


def test_markdown_and_html(style: str) -> None:
    assert formatted(style, markup="markdown") == (
        "- [1] A. Noe: *Wide & \\*deep\\* \\<nets>*, **TMLR** 2021.\n"
        "- [2] J. Ho and Google Brain: *Denoising*, **NeurIPS** June 2020.\n"
    )
    assert formatted(style, markup="html") == (
        '<div class="csl-bib-body">\n'
        '  <div class="csl-entry">[1] A. Noe: <i>Wide &amp; *deep* &lt;nets&gt;</i>, <b>TMLR</b> 2021.</div>\n'
        '  <div class="csl-entry">[2] J. Ho and Google Brain: <i>Denoising</i>, <b>NeurIPS</b> June 2020.</div>\n'
        "</div>\n"
    )


def test_another_language(style: str) -> None:
    assert "J. Ho und Google Brain: Denoising, NeurIPS Juni 2020." in formatted(style, locale="de-DE")


def test_the_style_that_comes_with_citeproc_sorts_by_author() -> None:
    lines = formatted().splitlines()
    assert lines[0].startswith("Ho, J. and Google Brain (2020) “Denoising”, NeurIPS. Available at: https://x.org/a_b")
    assert lines[1].startswith("Noe, A. (2021)")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("no.csl", "", "no.csl: there is no such style; give the path of a .csl file"),
        ("bad.csl", "<style>", "bad.csl cannot be read as a CSL style: "),
        ("html.csl", "<html/>", "html.csl "),
        ("dep.csl", DEPENDENT, "only points to another style, http://www.zotero.org/styles/nature; give the .csl file"),
        ("notes.csl", NOTES_ONLY, "notes.csl prints no bibliography, only notes; choose another style"),
    ],
)
def test_a_style_that_is_none(tmp_path: Path, name: str, text: str, told: str) -> None:
    if text:
        (tmp_path / name).write_text(text)
    with pytest.raises(KbError) as error:
        formatted(str(tmp_path / name))
    assert told in str(error.value) and error.value.code == 2 and "\n" not in str(error.value)


def test_names_that_nobody_knows(style: str) -> None:
    with pytest.raises(KbError, match=r"no style 'no-such-style'; give the path of a \.csl file"):
        formatted("no-such-style")
    with pytest.raises(KbError, match="no locale 'xx-YY'; there are af-ZA ar "):
        formatted(style, locale="xx-YY")
    with pytest.raises(KbError, match="no markup 'rtf'; there are text markdown html"):
        formatted(style, markup="rtf")


def test_without_citeproc_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "citeproc", None)
    with pytest.raises(KbError, match=r"pip install 'papers-you-can-run\[bibliography\]'"):
        formatted()


METAS = st.fixed_dictionaries(
    {"title": st.sampled_from(["Deep", "R&D", "<i>x</i>", "A: B", "深層", "Is it?", "50%..."])},
    optional={
        "kind": st.sampled_from(["paper", "post", "code", "talk", "book", "dataset", "course", "thread"]),
        "authors": st.lists(st.sampled_from(["Jonathan Ho", "OpenAI", "Ann van Dam", "et al."]), max_size=9),
        "year": st.integers(1900, 2030), "published": st.sampled_from(["2020", "2020-06", "2020-06-19"]),
        "venue": st.sampled_from(["NeurIPS", "TMLR"]), "arxiv": st.just("2006.11239"),
        "bibtex": st.fixed_dictionaries(
            {"entry": st.sampled_from(["article", "book", "phdthesis", "techreport"])},
            optional={"pages": st.sampled_from(["1–9", "e17", "1--9"]), "volume": st.sampled_from(["33", "XI"]),
                      "number": st.just("4"), "publisher": st.just("Curran"), "edition": st.sampled_from(["2", "nd"])},
        ),
    },
)  # fmt: skip


@given(st.lists(METAS, min_size=1, max_size=3))
@settings(max_examples=12)
def test_every_work_gets_a_line(metas: list[dict[str, Any]]) -> None:
    works = [work(f"k{n}", **meta) for n, meta in enumerate(metas)]
    for markup in ("text", "markdown", "html"):
        text = exporting.render(works, "bibliography", markup=markup)
        assert text.count("\n") == len(works) + (2 if markup == "html" else 0)
        assert not re.search("[\ue000-\uefff]", text) and (markup == "text" or "<i>x</i>" not in text)
        assert text == exporting.render(works, "bibliography", markup=markup)
