"""What files of other people's showed: each case is a small one of our own with the same fault."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.formats import bibtex, csl_json, csv_table
from kb.formats.known import detect
from kb.formats.latex import _parsed, decode
from kb.formats.records import Record
from tests.kb.work_pairs import same_work

WORDS = ("tide", "{Sea}", "don't", "a--b", "c---d", "``kelp''", "x~y", r"\'{e}t\'e", r"\emph {deep water}", "$a^2 b$",
         r"50\%", r"\o", r"na\"ive", "{The {Kelp} of", "Forests}", r"\LaTeX", "-", "{}", r"\&", "5%")  # fmt: skip


def entry(text: str) -> Record:
    (record,), problems = bibtex.read(text)
    assert not problems
    return record


@pytest.mark.parametrize("head", ["@techreport{", "@techreport{\n", "  @TechReport {\n\n\t", "@techreport{,\n"])
def test_an_entry_without_a_key_is_read(head: str) -> None:
    found = entry(head + 'title = {Tidal engines},\n  author = "Ada Byron", year = 1843}')
    assert (found.meta["title"], found.meta["year"], found.key) == ("Tidal engines", 1843, "")


def test_entries_without_keys_are_no_duplicates() -> None:
    found, problems = bibtex.read("@book{,\n title = {Sea},\n}\n@book{,\n title = {Kelp},\n}\n")
    assert [record.meta["title"] for record in found] == ["Sea", "Kelp"] and problems == []


def test_definitions_are_no_entries_without_keys() -> None:
    text = '@string{sea = {Journal of the Sea}}\n@comment{kelp = "x"}\n@article{k, title = {Kelp}, journal = sea}\n'
    assert entry(text).meta["venue"] == "Journal of the Sea"


def test_an_entry_without_a_brace_is_told() -> None:
    text = "@article,\n  title = {Sea},\n}\n\n@book{k, title = {Kelp}}\n"
    records, problems = bibtex.read_file(text.encode(), "x.bib")
    assert [(p.line, p.level) for p in problems] == [(1, "error")] and "no brace" in problems[0].message
    assert [bool(record.fault) for record in records] == [True, False]
    assert bibtex.read("@Comment x = 3\n@book{k, title = {Kelp}}\n")[1] == []


@pytest.mark.parametrize(
    ("name", "encoding"), [("ISO8859_1", "latin-1"), ("MacRoman", "mac-roman"), ("GBK", "gbk"), ("Cp1252", "cp1252")]
)
def test_the_encoding_that_a_file_declares(name: str, encoding: str) -> None:
    title = "汉字" if encoding == "gbk" else "Öl"
    data = f"% Encoding: {name}\n\n@book{{k, title = {{{title}}}}}\n".encode(encoding)
    (record,), problems = bibtex.read_file(data, "x.bib")
    assert record.meta["title"] == title and problems == []


@pytest.mark.parametrize("name", ["none-such", "hex", "ascii"])
def test_an_encoding_that_does_not_help_is_told(name: str) -> None:
    data = f"% Encoding: {name}\n@book{{k, title = {{Öl}}}}\n".encode("cp1252")
    (record,), (problem,) = bibtex.read_file(data, "x.bib")
    assert record.meta["title"] == "Öl" and (problem.line, problem.level) == (2, "warning")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(encoding: str) -> None:
    (record,), problems = bibtex.read_file("@book{k,\n title = {Öl – 汉字}}\n".encode(encoding), "x.bib")
    assert record.meta["title"] == "Öl – 汉字" and record.line == 1 and problems == []


@given(st.lists(st.sampled_from(WORDS), max_size=12))
def test_latex_in_parts_reads_as_the_whole_does(words: list[str]) -> None:
    text = " ".join(words)
    if text.count("{") != text.count("}") or re.search(r"Forests\}.*\{The|^[^{]*Forests\}", text):
        return  # what no decoder agrees on
    assert decode(text) == " ".join(_parsed(re.sub(r"\\emph\s*", "", text)).split())


ITEMS: dict[str, Any] = {
    "config": {"label": "BetterBibTeX JSON"},
    "collections": {
        "AAA": {"key": "AAA", "name": "Sea", "collections": ["BBB"], "items": []},
        "BBB": {"key": "BBB", "name": "Tide Tables", "parent": "AAA", "collections": [], "items": [1]},
    },
    "items": [
        {
            "itemType": "conferencePaper", "itemID": 1, "key": "K1", "citationKey": "byron1843",
            "title": "Notes on <i>Tidal</i> Engines", "date": "1843-06-05", "DOI": "10.1000/tides.1",
            "creators": [
                {"creatorType": "author", "firstName": "Ada", "lastName": "Byron"},
                {"creatorType": "author", "name": "Society of Tides"},
                {"creatorType": "editor", "firstName": "Jan", "lastName": "Maas"},
            ],
            "proceedingsTitle": "Proceedings of the Sea", "pages": "1-9", "dateAdded": "2024-03-05T10:00:00Z",
            "tags": [{"tag": "engines"}, {"tag": "/unread", "type": 1}],
            "notes": [{"note": "<p>Read it <b>twice</b>.</p>"}], "extra": ["Rating: 4", "mine"],
        },
        {"itemType": "note", "parentItem": "K1", "note": "<p>Under it.</p>"},
        {"itemType": "case", "caseName": "Kelp v. Sea", "creators": []},
        {"itemType": "note", "note": "alone"},
        {"itemType": "book", "creators": [], "key": "K9"},
    ],
}  # fmt: skip


def test_zotero_items_as_better_bibtex_writes_them() -> None:
    records, problems = csl_json.read(json.dumps(ITEMS, indent=1).encode(), "x.json")
    first, case, alone, untitled = records
    assert first.meta == {
        "title": "Notes on Tidal Engines", "kind": "paper",
        "authors": ["Ada Byron", {"literal": "Society of Tides"}], "year": 1843, "venue": "Proceedings of the Sea",
        "doi": "10.1000/tides.1", "published": "1843-06-05", "tags": ["engines", "sea/tide-tables"],
        "status": "to-read", "added": "2024-03-05", "cite": "byron1843", "rating": 4,
        "bibtex": {"entry": "inproceedings", "editor": "Jan Maas", "pages": "1-9"},
    }  # fmt: skip
    assert first.body == "Read it **twice**.\n\nUnder it.\n\nmine"
    assert case.meta["title"] == "Kelp v. Sea"
    assert "belongs to no work" in alone.fault and "K9 (book) has no title" in untitled.fault
    assert [p.line for p in problems] == [alone.line, untitled.line]


def test_zotero_items_as_its_web_api_gives_them() -> None:
    found = [{"key": item.get("key", ""), "version": 3, "data": item} for item in ITEMS["items"]]
    records, _ = csl_json.read(json.dumps(found).encode(), "x.json")
    assert records[0].meta["authors"][0] == "Ada Byron" and len(records) == 4


def test_a_list_of_no_works_is_one_problem() -> None:
    records, problems = csl_json.read(b"[1,\n2,\n3]", "x.json")
    assert len(records) == len(problems) == 1 and list(records[0].lines) == [1, 2, 3]


def test_a_citation_key_of_digits_is_one() -> None:
    item = {"id": "7", "type": "book", "title": "Sea"}
    (numbered,), _ = csl_json.read(json.dumps([item]).encode(), "x.json")
    (cited,), _ = csl_json.read(json.dumps([item | {"citation-key": "7"}]).encode(), "x.json")
    assert "cite" not in numbered.meta and cited.meta["cite"] == "7"


def test_a_header_over_two_lines_makes_one_line_of_a_problem() -> None:
    (_,), (problem,) = csv_table.read(b'"a\nb","c"\n1,2\n', "x.csv")
    assert "\n" not in str(problem)


@pytest.mark.parametrize(
    ("name", "data"),
    [("x.enw", b""), ("x.nbib", b""), ("x.xml", b"<collection/>"), ("x", b"%0 Book\n"), ("x", b"PMID- 1\n")],
)
def test_formats_of_others_are_refused(name: str, data: bytes) -> None:
    assert detect(name, data) == ""


def test_biblatex_is_known_by_its_ending() -> None:
    assert detect("x.biblatex", b"") == "bibtex"


SEA = {"title": "Handbook of the Sea", "kind": "book", "authors": ["Ada Byron"], "bibtex": {"entry": "book"}}
PART = {"title": "On Kelp", "kind": "book", "authors": ["Jan Maas"], "bibtex": {"entry": "incollection"}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"isbn": "9780262035613", "doi": "10.1000/1"}, {"isbn": "9780262035613", "doi": "10.1000/2"}),
        ({"isbn": "9780262035613"}, {"isbn": "9780262035613"}),
        ({"url": "https://example.org/sea"}, {"url": "https://example.org/sea"}),
    ],
)
def test_parts_of_a_book_under_its_isbn_or_address_are_works_of_their_own(
    one: dict[str, str], other: dict[str, str]
) -> None:
    assert not same_work(SEA | one, PART | other)
    assert not same_work(PART | one, {**PART, "title": "On Sand"} | other)
    assert not same_work(SEA | one | {"title": "The Sea 1"}, PART | other | {"authors": [], "title": "The Sea 2"})
    assert ("doi" in one) != same_work(SEA | one, SEA | other | {"bibtex": {}})


def test_latex_that_is_none_loses_its_braces_at_once() -> None:
    """A parser that mends what it reads tries every way to, which takes minutes over a page of it."""
    text = r"{\"o $a {b$ \emph{c " * 2000
    assert not set("{}") & set(decode(text))
