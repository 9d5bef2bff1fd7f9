"""BibTeX as others write it: what it says, and what is wrong in it and where."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kb.formats import bibtex
from kb.formats.latex import decode
from kb.sources import Metadata


def one(text: str) -> Metadata:
    items, problems = bibtex.read(text)
    assert not problems, problems
    assert len(items) == 1
    return items[0].meta


def problems(text: str) -> list[str]:
    return [str(p) for p in bibtex.read(text, "refs.bib")[1]]


# Reading


def test_an_entry_as_conferences_write_it() -> None:
    text = r"""
@inproceedings{ho2020denoising,
  title     = {Denoising {D}iffusion Probabilistic Models -- 100\% {\"O}re},
  author    = {Ho, Jonathan and van der Maaten, Laurens and King, Jr., Martin and {Google Brain} and OpenAI},
  booktitle = "Advances in " # nips,
  pages = {1--9}, volume = 33, year = 2020, month = jun,
  eprint = {2006.11239v2}, archivePrefix = {arXiv}, primaryClass = {cs.LG},
  url = {https://arxiv.org/abs/2006.11239},
  keywords = {Machine Learning; diffusion},
  file = {:a.pdf:PDF},
}
@string{nips = {NeurIPS}}
"""
    assert one(text) == {
        "title": "Denoising Diffusion Probabilistic Models – 100% Öre",
        "kind": "paper",
        "authors": [
            "Jonathan Ho",
            {"family": "van der Maaten", "given": "Laurens"},
            {"family": "King", "given": "Martin", "suffix": "Jr."},
            {"literal": "Google Brain"},
            "OpenAI",
        ],
        "year": 2020,
        "venue": "Advances in NeurIPS",
        "arxiv": "2006.11239",
        "published": "2020-06",
        "tags": ["machine-learning", "diffusion"],
        "cite": "ho2020denoising",
        "bibtex": {"entry": "inproceedings", "booktitle": "Advances in NeurIPS", "pages": "1–9", "volume": "33"},
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("journal={arXiv preprint arXiv:1706.03762}", {"arxiv": "1706.03762"}),
        ("journal={CoRR}, volume={abs/1706.03762}, eprint={1706.03762}, eprinttype={arXiv}", {"arxiv": "1706.03762"}),
        ("eprint={1}, eprinttype={hal}", {"bibtex": {"entry": "article", "eprint": "1", "eprinttype": "hal"}}),
        ("eprint={123}, eprinttype={pubmed}", {"pmid": "123", "bibtex": {"entry": "article"}}),
        ("doi={https://doi.org/10.48550/arXiv.1706.03762}", {"arxiv": "1706.03762", "doi": None}),
        ("doi={10.1000/A\\_b}, url={https://doi.org/10.1000/a_b}", {"doi": "10.1000/a_b", "url": None}),
        ("url={https://x.org/a\\_b\\%20c~d}", {"url": "https://x.org/a_b%20c~d"}),
        ("howpublished={\\url{https://github.com/a/b}}", {"code": "https://github.com/a/b"}),
        ("doi={S0022}, url={ftp://x.org/y}", {"bibtex": {"entry": "article", "doi": "S0022", "url": "ftp://x.org/y"}}),
        ("date={2020-06-19}", {"year": 2020, "published": "2020-06-19"}),
        ("year={2020}, month={6}", {"year": 2020, "published": "2020-06"}),
        ("year={(2020)}, month={June}", {"year": 2020, "published": "2020-06"}),
        ("year={in press}", {"year": None}),
        ("journaltitle={TMLR}", {"venue": "TMLR"}),
        ("readstatus={read}", {"status": "read"}),
        ("subtitle={And more}", {"title": "T: And more"}),
    ],
)
def test_fields(fields: str, expected: dict[str, Any]) -> None:
    meta = one(f"@article{{k, title={{T}}, {fields}}}")
    assert {key: meta.get(key) for key in expected} == expected


def test_names_with_accents_in_and_out_of_braces() -> None:
    people = r"Jos\'e Garc\'ia and M\"uller, J\"org and \"{O}zg\"{u}r, A. and \O{}ystein J\o rgensen"
    people += r" and {\v{S}}im{\'a}nek, B."
    found = one(f"@article{{k, title={{T}}, author={{{people}}}}}")["authors"]
    assert found == ["José García", "Jörg Müller", "A. Özgür", "Øystein Jørgensen", "B. Šimánek"]


def test_the_kind_of_what_is_no_article() -> None:
    kinds = [one(f"@{entry}{{k, title={{T}}}}")["kind"] for entry in ("book", "phdthesis", "dataset", "software")]
    assert kinds == ["book", "paper", "dataset", "code"]
    assert one("@misc{k, title={T}, url={https://www.youtube.com/watch?v=abc}}")["kind"] == "talk"
    assert one("@online{k, title={T}, url={https://lilianweng.github.io/x}}")["kind"] == "post"


def test_a_crossref_gives_what_the_entry_lacks() -> None:
    text = "@inproceedings{a, title={T}, crossref={b}}\n@proceedings{b, title={Proc. of X}, year={1999}, title={}}"
    items, _ = bibtex.read(text)
    assert (items[0].meta["venue"], items[0].meta["year"]) == ("Proc. of X", 1999)


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"{\'E}cole \'{e} \`a \^o \~n \c{c} \v{s}", "École é à ô ñ ç š"),
        (r"\H{o} {\aa} \o{} \ss{} {\L}ukasz \i", "ő å ø ß Łukasz ı"),
        (r"``quoted'' --- it's 50% \& more", "“quoted” — it's 50% & more"),
        (r"R&D \emph{and} \textsc{Lora}\textsuperscript{2}", "R&D and Lora2"),
        (r"$O(n^2)$ and {$\alpha$}", r"$O(n^2)$ and $\alpha$"),
        (r"a~b\ c \LaTeX", "a b c LaTeX"),
        (r"\unknown{x} stays", r"\unknownx stays"),
        ("{{Double {Braces}}}", "Double Braces"),
        ("two\n   lines", "two lines"),
    ],
)
def test_latex_to_text(latex: str, text: str) -> None:
    assert decode(latex) == text


# What is wrong


def test_a_missing_comma_is_found_where_it_is_missing() -> None:
    text = '@article{a,\n  title = "x"\n  author = {y},\n  year = 2020\n}\n\n@article{b, title={B}}\n'
    items, _ = bibtex.read(text)
    assert [item.meta["title"] for item in items] == ["B"]
    expected = "refs.bib:2: bibtex: entry 'a': a comma is missing after title, before author (add the comma)"
    assert problems(text) == [expected]
    assert problems("@article{a, title = {x},\n year = 2020 month = jan}") == [
        "refs.bib:2: bibtex: entry 'a': a comma is missing after year, before month (add the comma)"
    ]
    assert problems('@article{a, title = {x} "y"}') == [
        "refs.bib:1: bibtex: entry 'a': a comma is missing after title, or a quote before '\"y\"' (add the comma)"
    ]


def test_an_entry_that_is_never_closed_costs_no_other() -> None:
    text = "@article{a, title={A}}\n\n@article{b, title={never closed,\n  year=2020}\n\n@article{c, title={C}}"
    assert [item.line for item in bibtex.read(text)[0]] == [1, 6]
    hint = "add the missing closing brace or quote"
    assert problems(text) == [f"refs.bib:3: bibtex: entry 'b' is never closed ({hint})"]
    assert problems("@article{z, title={A}") == [f"refs.bib:1: bibtex: entry 'z' is never closed ({hint})"]


def test_an_equals_sign_that_is_missing() -> None:
    assert problems("@article{a, title {A}}") == [
        "refs.bib:1: bibtex: entry 'a' cannot be read: Expected a `=` after entry key, but found `{`"
        " (look for a missing comma, = or brace)"
    ]


def test_duplicates_are_read_and_told() -> None:
    text = "@article{k, title={A}}\n@article{k, title={B}, title={C}}\n@article{k,\n title={D}}\n"
    items, _ = bibtex.read(text)
    assert [(item.line, item.meta["title"], item.meta.get("cite")) for item in items] == [
        (1, "A", "k"), (2, "B", None), (3, "D", None),
    ]  # fmt: skip
    assert [str(p) for p in bibtex.read(text, "refs.bib")[1] if p.level == "warning"] == [
        "refs.bib:2: bibtex: entry 'k' has the field title twice; the first is read (keep one of the two)",
        "refs.bib:3: bibtex: key 'k' stands on line 1 too (give one of the two another key)",
    ]


def test_an_entry_without_a_title() -> None:
    assert problems("\n@article{a, year={2020}}") == ["refs.bib:2: bibtex: entry 'a' has no title (add a title field)"]


def test_what_is_no_entry_is_passed_over() -> None:
    text = "% JabRef\r\nwords\r\n@comment{x}\r\n@preamble{ {\\x} }\r\n@article{a,\r\n  title={A\r\n  B}}\r\n"
    assert one("\ufeff" + text)["title"] == "A B"
    assert bibtex.read("") == ([], [])


@given(st.text(alphabet='@{}",=#()\\\n abk%', max_size=80))
@settings(max_examples=300, deadline=None)
def test_nothing_makes_the_reader_fail(text: str) -> None:
    bibtex.read(text)
    bibtex.read("@article{k, title = " + text)
