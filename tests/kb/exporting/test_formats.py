"""RIS, CSL-JSON, CSV, JSON and the Markdown reading list: what they hold, that their readers understand it, and that
the same vault gives the same bytes."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kb import exporting
from kb.exporting.csl import item
from kb.exporting.ris import kind_of, records
from kb.exporting.table import COLUMNS
from kb.exporting.works import Work
from kb.formats import csl_json, csv_table, ris
from kb.formats.reading_list import read_reading_list
from kb.library import Library
from kb.note import KINDS, STATUSES, Note
from kb.problem import KbError
from kb.query import parse

META: dict[str, Any] = {
    "title": "Denoising, really", "kind": "paper", "status": "read", "year": 2020, "venue": "NeurIPS",
    "authors": ["Jonathan Ho", "Laurens van der Maaten", {"family": "King", "given": "M.", "suffix": "Jr."}, "OpenAI",
                {"literal": "Google Brain"}, "et al."],
    "arxiv": "2006.11239", "doi": "10.5555/1", "pdf": "https://x.org/a.pdf", "code": "https://github.com/a/b",
    "published": "2020-06-19", "added": "2025-01-04", "finished": "2025-02-01", "rating": 5, "tags": ["rl", "deep"],
    "abstract": "We show.", "bibtex": {"pages": "1–9", "volume": "33", "publisher": "Curran", "note": "Oral"},
}  # fmt: skip


def work(key: str = "k", id: str = "some-note", **meta: Any) -> Work:
    return Work(key, Note(id, f"notes/papers/{id}.md", {"kind": "paper", "title": "Deep", **meta}, ""))


@pytest.mark.parametrize("format", exporting.FORMATS)
def test_nothing_that_a_terminal_obeys_comes_out(format: str) -> None:
    """Such bytes come into a note by hand only, and out of it they would stop LaTeX."""
    spoiled = work(**{key: f"a\x1b[31m\x07\x9b {key}" for key in ("title", "venue", "abstract")}, year=2020)
    text = exporting.render([spoiled], format)
    assert "[31m" in text and not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


# RIS


def test_a_record_of_ris() -> None:
    assert records([work(**META), work("l")]) == (
        "TY  - CPAPER\nID  - k\nAU  - Ho, Jonathan\nAU  - van der Maaten, Laurens\nAU  - King, M., Jr.\nAU  - OpenAI\n"
        "AU  - Google Brain\nTI  - Denoising, really\nPY  - 2020\nDA  - 2020/06/19/\nT2  - NeurIPS\nVL  - 33\n"
        "PB  - Curran\nSP  - 1\nEP  - 9\nDO  - 10.5555/1\nAN  - arXiv:2006.11239\n"
        "UR  - https://arxiv.org/abs/2006.11239\nUR  - https://github.com/a/b\nL1  - https://x.org/a.pdf\n"
        "AB  - We show.\nKW  - rl\nKW  - deep\nN1  - Oral\nN1  - Read_Status: Read\nER  - \n\n"
        "TY  - GEN\nID  - l\nTI  - Deep\nER  - \n"
    )


@pytest.mark.parametrize(
    ("meta", "kind"),
    [
        ({"venue": "TMLR"}, "JOUR"), ({"venue": "ICML"}, "CPAPER"), ({"arxiv": "2006.11239"}, "UNPB"),
        ({"kind": "book"}, "BOOK"), ({"kind": "code"}, "COMP"), ({"kind": "dataset"}, "DATA"),
        ({"kind": "post"}, "ELEC"), ({"kind": "course"}, "ELEC"),
        ({"kind": "talk", "video": "https://www.youtube.com/watch?v=abc"}, "VIDEO"),
        ({"bibtex": {"entry": "phdthesis"}}, "THES"), ({"bibtex": {"entry": "incollection", "booktitle": "B"}}, "CHAP"),
    ],
)  # fmt: skip
def test_the_types_of_ris(meta: dict[str, Any], kind: str) -> None:
    assert kind_of(work(**meta)) == kind


WORDS = st.sampled_from(["Deep", "R&D", "50%", "Größe", "深層", "a - b", "ER -", "#1", "$x$", '"quoted"', "=1+1"])
PHRASES = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)
METAS = st.fixed_dictionaries(
    {"title": PHRASES, "kind": st.sampled_from([k for k in KINDS if k not in ("topic", "log")]),
     "status": st.sampled_from(STATUSES)},
    optional={
        "authors": st.lists(st.sampled_from(["Jonathan Ho", "Ann van Dam", "Jörg Müller"]), min_size=1, unique=True),
        "year": st.integers(1900, 2030), "venue": st.sampled_from(["NeurIPS", "TMLR", "Journal of Things"]),
        "abstract": PHRASES, "tags": st.just(["rl", "a/b"]), "doi": st.just("10.1000/a_b"),
        "rating": st.integers(1, 5), "added": st.just("2025-01-04"), "started": st.just("2025-01-05"),
    },
)  # fmt: skip


@given(st.lists(METAS, max_size=4))
@settings(max_examples=40)
def test_rispy_reads_what_we_write(metas: list[dict[str, Any]]) -> None:
    import rispy

    works = [work(f"k{n}", **meta) for n, meta in enumerate(metas)]
    found = rispy.loads(records(works)) if works else []
    assert [row["id"] for row in found] == [w.key for w in works]
    for row, w in zip(found, works, strict=True):
        assert row["title"] == w.note.title
        assert row.get("authors", []) == [p.inverted for p in w.people]
        assert row.get("keywords", []) == w.note.tags
        assert (row.get("year"), row.get("doi", "")) == (str(w.note.year) if w.note.year else None, w.doi)


# CSL-JSON


def test_an_item_of_csl() -> None:
    assert item(work(**META)) == {
        "id": "k", "citation-key": "k", "type": "paper-conference", "title": "Denoising, really",
        "author": [
            {"family": "Ho", "given": "Jonathan"}, {"family": "van der Maaten", "given": "Laurens"},
            {"family": "King", "given": "M.", "suffix": "Jr."}, {"family": "OpenAI"}, {"literal": "Google Brain"},
        ],
        "issued": {"date-parts": [[2020, 6, 19]]}, "container-title": "NeurIPS", "page": "1–9", "volume": "33",
        "publisher": "Curran", "note": "Oral", "DOI": "10.5555/1", "URL": "https://arxiv.org/abs/2006.11239",
        "abstract": "We show.",
        "keyword": "rl, deep",
        "custom": {"status": "read", "kind": "paper", "added": "2025-01-04", "finished": "2025-02-01", "rating": 5,
                   "tags": ["rl", "deep"], "arxiv": "2006.11239", "code": "https://github.com/a/b"},
    }  # fmt: skip


CSL_TYPES = {
    "article", "article-journal", "paper-conference", "chapter", "book", "thesis", "report", "software", "dataset",
    "motion_picture", "webpage", "manuscript", "post-weblog", "post", "speech", "document",
}  # fmt: skip
NAME_KEYS = {"family", "given", "suffix", "literal"}


@given(st.lists(METAS, max_size=3))
@settings(max_examples=40)
def test_csl_keeps_the_rules_of_its_schema(metas: list[dict[str, Any]]) -> None:
    found = json.loads(exporting.render([work(f"k{n}", **meta) for n, meta in enumerate(metas)], "csl-json"))
    assert len(found) == len(metas)
    for row, meta in zip(found, metas, strict=True):
        assert row["type"] in CSL_TYPES
        assert isinstance(row["id"], str) and row["custom"]["status"] == meta["status"]
        assert all(set(name) <= NAME_KEYS and all(name.values()) for name in row.get("author", []))
        parts = row.get("issued", {"date-parts": [[1]]})["date-parts"]
        assert len(parts) == 1 and 1 <= len(parts[0]) <= 3 and all(isinstance(part, int) for part in parts[0])
        assert all(isinstance(v, str) and v for k, v in row.items() if k not in ("author", "issued", "custom"))


# CSV and JSON


def test_a_table_of_works() -> None:
    text = exporting.render([work(**META)], "csv")
    (row,) = csv.DictReader(io.StringIO(text))
    assert tuple(row) == COLUMNS
    expected = {
        "key": "k", "id": "some-note", "title": "Denoising, really", "status": "read", "year": "2020", "rating": "5",
        "authors": "Jonathan Ho; Laurens van der Maaten; M. King Jr.; OpenAI; Google Brain; et al.",
        "tags": "rl; deep", "published": "2020-06-19", "finished": "2025-02-01", "started": "",
        "path": "notes/papers/some-note.md",
    }  # fmt: skip
    assert {key: row[key] for key in expected} == expected
    assert text.endswith("\n") and "\r" not in text


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=x", "\r=x", "\x1b=x"])
def test_no_cell_is_a_formula(cell: str) -> None:
    (row,) = csv.DictReader(io.StringIO(exporting.render([work(title=cell, venue=f"a{cell}")], "csv"), newline=""))
    assert row["title"] == f"'{cell.strip().strip(chr(27))}"
    assert row["venue"] == " ".join(f"a{cell}".replace("\x1b", "").split())


CELLS = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), include_characters="\t\n\r\x1b")


@given(st.lists(st.text(CELLS, max_size=20), min_size=1, max_size=4))
@settings(max_examples=40)
def test_any_text_stands_in_one_cell(titles: list[str]) -> None:
    works = [work(f"k{n}", f"n{n}", title=title, abstract=title) for n, title in enumerate(titles)]
    rows = list(csv.DictReader(io.StringIO(exporting.render(works, "csv"), newline="")))
    lines = [" ".join(title.replace("\x1b", "").split()) for title in titles]
    assert [row["abstract"].removeprefix("'") for row in rows] == [line.removeprefix("'") for line in lines]
    assert all(row["abstract"][:1] not in tuple("=+-@") for row in rows if row["abstract"])


@given(st.lists(METAS, min_size=1, max_size=3), st.sampled_from(["ris", "csl-json", "csv"]))
@settings(max_examples=40)
def test_our_importers_read_what_we_write(metas: list[dict[str, Any]], format: str) -> None:
    works = [work(f"key{n}", f"n{n}", **meta) for n, meta in enumerate(metas)]
    reader = {"ris": ris, "csl-json": csl_json, "csv": csv_table}[format]
    found, problems = reader.read(exporting.render(works, format).encode(), f"list.{format}")
    assert problems == []
    assert len(found) == len(works)
    for record, w in zip(found, works, strict=True):
        again = Note("x", "x", record.meta, "")
        assert again.title.removeprefix("'") == w.note.title
        assert again.status == w.note.status
        assert again.authors == w.note.authors
        for key in ("year", "doi", "tags", *((("kind", "rating", "added", "started")) if format != "ris" else ())):
            assert again.meta.get(key) == w.note.meta.get(key), key


# The reading list


def test_a_reading_list() -> None:
    works = [
        work("a", "a", **META | {"authors": ["Jonathan Ho", "Ann Noe"], "pdf": ""}),
        work("b", "b", title="A [b] *c*", status="reading", year=2021, venue="Journal of Things", tags=["x y", "rl"]),
        work("c", "c", title="Talk", kind="talk", video="https://www.youtube.com/watch?v=abc", status="dropped"),
        work("d", "d", title="Deep", authors=["OpenAI", "X"], private=True, url="https://x.org/a(b)c"),
    ]
    assert exporting.render(works, "markdown") == (
        "# Reading list\n\n## Papers\n\n"
        "- [/] [2021] A [b] \\*c\\* #rl\n  - Venue: Journal of Things\n"
        "- [ ] [Private] [Deep](https://x.org/a%28b%29c) (inbox)\n  - Authors: OpenAI, X\n"
        "- [x] [NeurIPS 2020] [Denoising, really](https://doi.org/10.5555/1) by Jonathan Ho, Ann Noe"
        " [code](https://github.com/a/b) #rl #deep 5/5 (added 2025-01-04) (finished 2025-02-01)\n"
        "\n## Talks\n\n- [-] [Talk](https://www.youtube.com/watch?v=abc)\n"
    )


TITLES = st.sampled_from(
    ["Deep Nets", "LoRA: Low-Rank Adaptation", "Is it? Yes", "A [b] c", "Half ] open", "What *is* this", "C++ (2nd)",
     "Attention", "50% more, by half", "On $O(n^2)$", "Größe"]
)  # fmt: skip
LISTED = st.fixed_dictionaries(
    {"title": TITLES, "kind": st.sampled_from(["paper", "talk", "post", "book", "code", "dataset", "course"]),
     "status": st.sampled_from(STATUSES), "arxiv": st.integers(1000, 9999).map("2006.1{}".format)},
    optional={
        "authors": st.sampled_from([["Jonathan Ho"], ["Ann van Dam", "Jörg Müller"], ["OpenAI"]]),
        "year": st.integers(1950, 2030), "venue": st.sampled_from(["NeurIPS", "Journal of Things"]),
        "tags": st.just(["rl", "a/b"]), "rating": st.integers(1, 5), "added": st.just("2025-01-04"),
        "started": st.just("2025-01-05"),
    },
)  # fmt: skip


@given(st.lists(LISTED, max_size=5, unique_by=lambda m: m["arxiv"]))
@settings(max_examples=40)
def test_our_importer_reads_the_list_back(metas: list[dict[str, Any]]) -> None:
    text = exporting.render([work(f"k{n}", f"n{n}", **meta) for n, meta in enumerate(metas)], "markdown")
    found = read_reading_list(text, "list.md")
    read = {i.meta["arxiv"]: i for i in found.items if "arxiv" in i.meta}
    assert found.unresolved == {}
    assert {line for line, words in enumerate(text.split("\n"), 1) if words.strip()} == found.structure | {
        line for item in found.items for line in item.lines
    }
    assert {arxiv: i.meta["status"] for arxiv, i in read.items()} == {m["arxiv"]: m["status"] for m in metas}
    for meta in metas:
        again = read[meta["arxiv"]]
        for key in ("year", "rating", "added", "started"):
            assert again.meta.get(key) == meta.get(key), (key, text)
        assert again.meta.get("tags", []) == meta.get("tags", [])


# A vault


def vault(make_vault: Callable[..., Path]) -> Library:
    files = {f"papers/n{n}.md": f"---\ntitle: Deep {n}\nyear: {2000 + n}\nauthors: [Ann Noe]\n---\n" for n in range(9)}
    files["papers/secret.md"] = (
        "---\ntitle: Deep 3\nyear: 2003\nauthors: [Ann Noe]\nprivate: true\nadded: 2020-01-01\n---\n"
    )
    files["papers/part.md"] = "---\ntitle: Part\npart_of: secret\nabstract: See [[secret]].\n---\n"
    files |= {"topics/t.md": "---\ntitle: T\n---\n", "guide/g.md": "---\ntitle: G\nkind: page\n---\n"}
    files |= {"topics/l.md": "---\ntitle: L\nkind: log\n---\n"}
    return Library(make_vault(files))


@pytest.mark.parametrize("format", [f for f in exporting.FORMATS if f != "bibliography"])
def test_the_same_vault_gives_the_same_bytes(make_vault: Callable[..., Path], format: str) -> None:
    library = vault(make_vault)
    notes = exporting.public_works(library, parse(""))
    text = exporting.export(library, notes, format)
    assert exporting.export(Library(library.root), list(reversed(notes)), format) == text
    assert text.endswith("\n") and "\r" not in text and not text.endswith("\n\n")


@pytest.mark.parametrize("format", exporting.FORMATS)
def test_an_empty_vault_gives_an_empty_file(make_vault: Callable[..., Path], format: str) -> None:
    library = Library(make_vault({}))
    lines = exporting.export(library, [], format).strip().splitlines()
    assert lines in ([], ["[]"], ["# Reading list"], [",".join(COLUMNS)])


def test_topics_and_pages_are_no_works_and_private_notes_are_asked_for(make_vault: Callable[..., Path]) -> None:
    library = vault(make_vault)
    notes = exporting.public_works(library, parse(""))
    assert [n.id for n in notes] == [*(f"n{n}" for n in range(9)), "part"]
    rows = {row["id"]: row for row in json.loads(exporting.export(library, notes, "json"))}
    assert "part_of" not in rows["part"] and "secret" not in json.dumps(rows)
    every = exporting.public_works(library, parse(""), private=True)
    assert {n.id for n in every} - {n.id for n in notes} == {"secret"}
    keys = {w.note.id: w.key for w in exporting.works(library, every)}
    assert (keys["n3"], keys["secret"]) == ("noe2003deep", "noe2003deepa")
    assert {w.note.id: w.key for w in exporting.works(library, notes)} == {
        k: v for k, v in keys.items() if k != "secret"
    }
    assert [n.id for n in exporting.public_works(library, parse("year:2003"))] == ["n3"]


def test_json_is_what_list_shows(make_vault: Callable[..., Path]) -> None:
    library = vault(make_vault)
    notes = exporting.public_works(library, parse("kind:paper"), private=True)
    assert json.loads(exporting.export(library, notes, "json")) == library.index.select(parse("kind:paper"), "id")


def test_a_format_that_is_not_there() -> None:
    with pytest.raises(KbError, match="no format 'docx'; there are bibtex biblatex ris"):
        exporting.render([], "docx")
