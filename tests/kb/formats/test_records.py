"""Reference managers' files, record by record: nothing of status, dates, tags, collections, notes and links is lost."""

from __future__ import annotations

from typing import Any

import pytest
from formats import samples

from kb.formats.days import day_of, published_of
from kb.formats.extra import split_extra
from kb.formats.known import detect, format_named, reader
from kb.formats.records import Record, status_of, tag_of, tags_and_status
from kb.formats.rich_text import to_markdown
from kb.problem import Problem


def read(name: str, text: str | bytes, format: str = "") -> tuple[list[Record], list[Problem]]:
    data = text if isinstance(text, bytes) else text.encode()
    return reader(format or detect(name, data))(data, name)


def metas(name: str, text: str) -> list[dict[str, Any]]:
    records, problems = read(name, text)
    assert [str(p) for p in problems] == [] and all(not r.fault for r in records)
    return [record.meta for record in records]


BYRON = {"family": "van der Maas", "given": "Jan"}


def test_jabref_bibtex() -> None:
    (byron, kelp), _ = read("byron.bib", samples.BIBTEX)
    assert byron.meta == {
        "title": "Notes on Tidal Engines", "kind": "paper", "authors": ["Ada Byron", BYRON], "year": 1843,
        "venue": "Journal of Tides", "doi": "10.1000/tides.1", "status": "reading", "rating": 4, "added": "2024-03-05",
        "tags": ["engines", "tide-tables", "sea/engines", "prio1"], "cite": "byron1843notes",
        "bibtex": {"entry": "article", "journal": "Journal of Tides"},
    }  # fmt: skip
    assert byron.body == "Read it twice.\n\nThe second part is the better one."
    assert (byron.line, byron.end, kelp.line) == (3, 19, 21)
    assert kelp.meta["kind"] == "post" and kelp.meta["published"] == "2021-05-06"
    assert kelp.meta["bibtex"] == {"entry": "online", "urldate": "2024-01-01"}


def test_ris() -> None:
    (byron, kelp), _ = read("byron.ris", samples.RIS)
    assert byron.meta == {
        "title": "Notes on Tidal Engines", "kind": "paper", "authors": ["Ada Byron", BYRON], "year": 1843,
        "venue": "Journal of Tides", "doi": "10.1000/tides.1", "pdf": "https://example.org/byron.pdf",
        "tags": ["engines", "tide-tables"], "status": "reading", "cite": "byron1843notes",
        "abstract": "What moves an engine by the sea.", "bibtex": {"entry": "article", "pages": "1–9"},
    }  # fmt: skip
    assert byron.body == "Read it **twice**."
    assert kelp.meta["published"] == "2021-05-06" and kelp.meta["kind"] == "post"


def test_csl_json() -> None:
    (byron, kelp), _ = read("csl.json", samples.CSL)
    assert byron.meta == {
        "title": "Notes on Tidal Engines", "kind": "paper", "authors": ["Ada Byron", BYRON], "year": 1843,
        "published": "1843-06", "venue": "Journal of Tides", "doi": "10.1000/tides.1", "tags": ["engines",
        "tide-tables"],
        "status": "read", "finished": "2024-04-01", "rating": 4, "cite": "byron1843notes",
        "bibtex": {"entry": "article", "pages": "1-9"},
    }  # fmt: skip
    assert byron.body == "Read it twice." and (byron.line, byron.end, kelp.line) == (2, 14, 15)
    assert "cite" not in kelp.meta and kelp.key == "http://zotero.org/users/1/items/KELP"


def test_paperpile_json() -> None:
    (record,), _ = read("pp.json", samples.PAPERPILE)
    assert record.meta == {
        "title": "Notes on Tidal Engines", "kind": "paper", "authors": ["Ada Byron", {"literal": "Society of Tides"}],
        "year": 1843, "published": "1843-06", "venue": "Journal of Tides", "doi": "10.1000/tides.1",
        "added": "2024-03-05",
        "tags": ["tide-tables", "sea/engines"], "cite": "Byron1843-ab", "bibtex": {"entry": "article"},
        "paperpile": "https://app.paperpile.com/view/?id=d24a1f36",
    }  # fmt: skip
    assert record.body == "Read it twice."


def test_zotero_csv() -> None:
    (byron, kelp), _ = read("zotero.csv", samples.ZOTERO_CSV)
    assert byron.meta == {
        "title": "Notes on Tidal Engines", "kind": "paper", "authors": ["Ada Byron", BYRON], "year": 1843,
        "published": "1843-06", "venue": "Journal of Tides", "doi": "10.1000/tides.1", "arxiv": "2006.11239",
        "abstract": "What moves, an engine", "tags": ["engines", "tide-tables"], "status": "read",
        "added": "2024-03-05",
        "finished": "2024-04-01", "bibtex": {"entry": "article", "issn": "1234-5678", "pages": "1-9", "volume": "3"},
    }  # fmt: skip
    assert byron.body == "Read it twice.\n\nmy own line" and (byron.line, byron.end, kelp.line) == (2, 5, 6)
    assert (kelp.meta["kind"], kelp.meta["url"], kelp.meta["added"]) == (
        "post",
        "https://example.org/kelp",
        "2024-03-07",
    )


def test_a_table_whose_columns_say_what_they_hold() -> None:
    (byron, kelp), _ = read("notion.csv", samples.NOTION_CSV)
    assert byron.meta == {
        "title": "Notes on Tidal Engines", "kind": "paper", "doi": "10.1000/tides.1", "status": "reading", "rating": 4,
        "tags": ["engines", "tide-tables"], "added": "2024-03-05",
    }  # fmt: skip
    assert byron.body == "- Mood: calm"
    assert kelp.meta == {"title": "Kelp forests", "kind": "post", "url": "https://example.org/kelp", "status": "read"}


def test_zotero_rdf() -> None:
    (byron, kelp), _ = read("zotero.rdf", samples.ZOTERO_RDF)
    assert byron.meta == {
        "title": "Notes on Tidal Engines", "kind": "paper", "authors": ["Ada Byron"], "year": 1843,
        "published": "1843-06",
        "venue": "Journal of Tides", "doi": "10.1000/tides.1", "added": "2024-03-05",
        "tags": ["engines", "tide-tables", "sea/engines"],
        "bibtex": {"entry": "article", "pages": "1-9", "volume": "3"},
    }  # fmt: skip
    assert byron.body == "Read it twice."
    assert kelp.meta["url"] == "https://example.org/kelp" and kelp.meta["published"] == "2021-05-06"


# What is wrong is told, with its lines


@pytest.mark.parametrize(
    ("name", "text", "spans", "told"),
    [
        ("a.bib", '@misc{a, title={A}}\n@misc{b,\n title = "x" author={y},\n year=2020}\n@misc{c, title={C}}\n',
         [(1, 1, False), (2, 4, True), (5, 5, False)],
         ["a.bib:3: bibtex: entry 'b': a comma is missing after title, before author (add the comma)"]),
        ("a.bib", "@misc{a, title={never closed,\n year=1}\nmore\n\n@misc{c, title={C}}\n",
         [(1, 4, True), (5, 5, False)],
         ["a.bib:1: bibtex: entry 'a' is never closed (add the missing closing brace or quote)"]),
        ("a.bib", "misc{a, title={A}}\n",
         [(1, 1, True)],
         ["a.bib:1: bibtex: 'misc{a' looks like an entry without its @ (write @misc{a)"]),
        ("a.ris", "TY  - JOUR\nAU  - A\nER  - \nstray\nTY  - JOUR\nTI  - B\n",
         [(1, 3, True), (4, 4, True), (5, 6, False)],
         ["a.ris:1: ris: a record has no title (add a TI line)",
          "a.ris:4: ris: a line 'stray' stands outside a record (begin the record with `TY  - JOUR`)",
          "a.ris:5: ris: a record has no `ER  -` at its end (look whether it is whole)"]),
        ("a.json", '[{"title": "A"},\n {"id": "b"},\n 3]', [(1, 1, False), (2, 2, True), (3, 3, True)],
         ["a.json:2: json: item b has no title (add a title)",
         'a.json:3: json: an item is no object (write {"title": …})']),
        ("a.json", '[{"title": "A"},\n{"title" "B"}]', [(1, 2, True)],
         ["a.json:2: json: this is no JSON: Expecting ':' delimiter (look for a comma, quote or bracket)"]),
        ("a.csv", "Title,URL\n,\nA,https://example.org\nB,https://example.org/b,x\n,,\nC\n",
         [(3, 3, False), (4, 4, False), (6, 6, False)],
         ["a.csv:4: csv: a row has 3 cells, the first line 2 (quote the cell that holds a comma)"]),
        ("a.csv", "Apples,Pears\n1,2\n", [(1, 3, True)],
         ["a.csv:1: csv: the first line names no known columns (Apples, Pears) (name one Title or URL)"]),
        ("a.rdf", "<a>\n<b></a>", [(1, 2, True)],
        ["a.rdf:2: rdf: this cannot be read as XML: mismatched tag (export it again)"]),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_place(
    name: str, text: str, spans: list[tuple[int, int, bool]], told: list[str]
) -> None:
    records, problems = read(name, text)
    assert [(r.line, r.lines[-1], bool(r.fault)) for r in records] == spans
    assert [str(p) for p in problems] == told


def test_encodings() -> None:
    text = "@misc{a, title={Größe}}"
    for data in (text.encode("utf-8-sig"), text.encode("utf-16"), b"\xfe\xff" + text.encode("utf-16-be")):
        (record,), problems = read("a.bib", data)
        assert record.meta["title"] == "Größe" and not problems
    (record,), (problem,) = read("a.bib", text.encode("cp1252"))
    assert record.meta["title"] == "Größe"
    assert str(problem).startswith("a.bib:1: bibtex: byte 0xf6 is no UTF-8; the file was read as Windows-1252")


# BibTeX's own turns


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("readstatus={read}", {"status": "read"}),
        ("read={1}", {"status": "read"}),
        ("read={0}", {"status": None}),
        ("keywords={/unread, x}", {"status": "to-read", "tags": ["x"]}),
        ("mendeley-tags={a b;c}, mendeley-groups={D/E}", {"tags": ["a-b", "c", "d/e"]}),
        ("date-added={2024-03-05 10:00:00 +0100}", {"added": "2024-03-05"}),
        ("bdsk-url-1={https://example.org/b}, url={https://example.org/a}",
         {"url": "https://example.org/a", "also": ["https://example.org/b"]}),
        ("arxivid={2006.11239}", {"arxiv": "2006.11239"}),
        ("author={family=Sartre, given=Jean, prefix=de and {Kelp Society}}",
         {"authors": [{"family": "de Sartre", "given": "Jean"}, {"literal": "Kelp Society"}]}),
    ],
)  # fmt: skip
def test_fields_of_programs(fields: str, expected: dict[str, Any]) -> None:
    (meta,) = metas("a.bib", f"@article{{k, title={{T}}, {fields}}}")
    assert {key: meta.get(key) for key in expected} == expected


def test_xdata_and_what_a_book_says_of_itself() -> None:
    text = "@xdata{x, publisher={P}}\n@book{b, title={B}, isbn={9780262035613}, xdata={x}}\n"
    text += "@incollection{c, title={C}, crossref={b}}\n"
    book, chapter = metas("a.bib", text)
    assert book["isbn"] == "9780262035613" and book["bibtex"]["publisher"] == "P"
    assert "isbn" not in chapter and chapter["venue"] == "B"


# Values


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-03-05T10:00:00Z", "2024-03-05"), ("<2024-03-05 Tue>", "2024-03-05"), ("2024/3/5", "2024-03-05"),
        ("March 5, 2024 3:04 PM", "2024-03-05"), ("5 Mar 2024", "2024-03-05"), ("Mar 5th, 2024", "2024-03-05"),
        ("1709596800", "2024-03-05"), ("1709596800000", "2024-03-05"), ("05/03/2024", ""), ("2024-13-05", ""), ("", ""),
        ("2024-02-30", ""),
    ],
)  # fmt: skip
def test_days(text: str, day: str) -> None:
    assert day_of(text) == day


def test_years_and_months() -> None:
    assert published_of("2020-06") == (2020, "2020-06")
    assert published_of("June 2020") == (2020, "2020-06")
    assert published_of("c. 1843?") == (1843, "1843")
    assert published_of("2020", "jun") == (2020, "2020-06")
    assert published_of("no date") == (None, "")


def test_words_for_a_status_and_tags() -> None:
    assert [status_of(w) for w in ("In Progress", "Not Reading", "✅ Done", "To Read", "reading", "blue")] == [
        "reading", "dropped", "read", "to-read", "reading", "",
    ]  # fmt: skip
    assert tag_of("Diffusion Models/Video, new") == "diffusion-models/video-new"
    assert tags_and_status(["/unread", "Reading", "reading comprehension", "a", "A"]) == (
        ["reading-comprehension", "a"], "to-read",
    )  # fmt: skip


def test_the_extra_field() -> None:
    said, rest = split_extra(
        "Citation Key: a1\nRead_Status: In Progress\nRead_Status_Date: 2024-01-02\nPMID: 12\nmine: x"
    )
    assert said == {"ids": ["pmid:12"], "cite": "a1", "status": "reading", "started": "2024-01-02"}
    assert rest == "mine: x"


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<h1>A</h1><p>one<br>two</p>", "## A\n\none\ntwo"),
        ("<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>", "- a\n  - b\n- c"),
        ("<ol><li>a</li><li>b</li></ol>", "1. a\n2. b"),
        ('<p>see <a href="https://x.org/a b">it</a> <i>now</i></p>', "see [it](<https://x.org/a b>) *now*"),
        ("<blockquote>q</blockquote><p>p</p>", "> q\n\np"),
        ("<pre>a\n  b</pre>", "```\na\n  b\n```"),
        ("a &lt; b", "a < b"),
        ("<p>x<script>bad()</script></p>", "x"),
        ("</li></ul></a><p>x", "x"),
    ],
)
def test_notes_in_html(html: str, markdown: str) -> None:
    assert to_markdown(html) == markdown


def test_names_of_formats() -> None:
    assert (format_named("CSL-JSON"), format_named("biblatex"), format_named("nothing")) == ("json", "bibtex", "")
