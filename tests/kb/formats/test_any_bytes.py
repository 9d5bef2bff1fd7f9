"""No reader raises, whatever the bytes: what cannot be read is a record that says why, on lines that are there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from formats.samples import ALL, LOGSEQ, ORG
from hypothesis import given, settings
from hypothesis import strategies as st

from kb.formats.known import LISTS, RECORDS, detect, reader
from kb.formats.pages import read_page
from kb.formats.reading_list import read_reading_list
from kb.formats.records import Record, text_of
from kb.importing import Plan, apply, plan_import
from kb.library import Library
from kb.note import SCHEMA

EXAMPLES = int(os.environ.get("KB_EXAMPLES", "60"))
SOME = settings(max_examples=EXAMPLES, deadline=None)
_PIECES = ["\n", "\r\n", "\0", '"', "'", "{", "}", "[", "]", ",", ";", "=", "@", "<", ">", "&", "\\", "\x1a",
"ER  - \n", "TY  - ",
           "<!DOCTYPE x>", "</rdf:RDF>", "&#x41;", "\ufeff", "9" * 30, "1e999", "null", "\ud800", "é", "#+begin_src\n",
           "* TODO ", ":END:", "((", "a:: b\n", "[[x][y]]", "|", "---\n", "{" * 300, "[" * 3000, "<a>" * 70, "%", "$",
           "#"]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, texts: tuple[str, ...]) -> bytes:
    """A file as a program writes it, with pieces taken out, put in twice, or spoiled."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 4))):
        at, size = draw(st.integers(0, len(text))), draw(st.integers(0, 40))
        new = draw(st.one_of(st.sampled_from(_PIECES), st.text(max_size=8), st.just(text[at : at + size] * 2)))
        text = text[:at] + new + text[at + size :]
    data = text.encode(draw(st.sampled_from(["utf-8", "utf-16", "cp1252"])), "replace")
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


anything = st.one_of(st.binary(max_size=120), mutated(tuple(ALL.values())))


def check(records: list[Record], data: bytes) -> None:
    count = text_of(data, "", "")[0].count("\n") + 1
    for record in records:
        assert 1 <= record.line <= record.lines[-1] <= count
        assert bool(record.fault) != bool(record.meta.get("title"))
        for key, value in record.meta.items():
            assert SCHEMA[key](value) == value, key


@pytest.mark.parametrize("format", RECORDS)
def test_a_reader_of_records_raises_nothing(format: str) -> None:
    read = reader(format)

    @SOME
    @given(anything)
    def run(data: bytes) -> None:
        records, problems = read(data, "any.x")
        check(records, data)
        assert all("\n" not in str(problem) for problem in problems)

    run()


@pytest.mark.parametrize("format", LISTS)
def test_a_reader_of_lists_raises_nothing(format: str) -> None:
    @SOME
    @given(mutated((ORG, LOGSEQ, *ALL.values())))
    def run(data: bytes) -> None:
        text = text_of(data, "", "")[0]
        found = read_reading_list(text, "any.x", format)
        claimed = found.structure | set(found.unresolved) | {no for item in found.items for no in item.lines}
        assert claimed <= set(range(1, text.count("\n") + 2))

    run()


@SOME
@given(mutated((ORG, LOGSEQ, "---\ntitle: x\ntags: [a, b]\nauthors: y\n---\n# A\n\nStatus: Reading\n\n[[x]] #tag\n")))
def test_a_reader_of_pages_raises_nothing(data: bytes) -> None:
    text = text_of(data, "", "")[0]
    for kind in ("obsidian", "logseq", "notion"):
        item, _ = read_page(text, "a/b.md", kind)
        assert item.title.strip() and item.kind
        for key, value in item.meta.items():
            assert SCHEMA[key](value) == value, key


@SOME
@given(
    st.one_of(st.binary(max_size=100), mutated((ORG, LOGSEQ, *ALL.values()))), st.sampled_from(["x", "x.txt", "x.md"])
)
def test_every_file_has_a_format(data: bytes, name: str) -> None:
    assert detect(name, data) in (*LISTS, *RECORDS, "")


@pytest.mark.parametrize(("name", "text"), ALL.items())
def test_the_format_is_told_by_the_content_too(name: str, text: str) -> None:
    assert detect("file", text.encode()) == detect(name, b"")


BOMBS: dict[str, Callable[[], bytes]] = {
    "entities": lambda: b'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><r>&b;</r>',
    "depth": lambda: b"<a>" * 100_000,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_xml_that_would_grow_is_refused(bomb: str) -> None:
    (record,), (problem,) = reader("rdf")(BOMBS[bomb](), "x.rdf")
    assert "document type" in record.fault or "deeper" in record.fault
    assert problem.path == "x.rdf"


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(st.sampled_from(sorted(ALL)), st.data())
def test_a_spoiled_file_is_accounted_for_and_imported_once(name: str, data: st.DataObject) -> None:
    spoiled = data.draw(mutated((ALL[name],)))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "notes").mkdir()
        (root / "mkdocs.yml").write_text("site_name: x\n")
        first = bring(root, name, spoiled)
        (file,) = first.as_json()["files"]
        assert file["lines"]["total"] == sum(n for key, n in file["lines"].items() if key != "total")
        assert file["records"]["total"] == sum(n for key, n in file["records"].items() if key != "total")
        before = {p: p.read_bytes() for p in root.rglob("notes/**/*.md")}
        again = bring(root, name, spoiled)
        assert again.changes == [] and {p: p.read_bytes() for p in root.rglob("notes/**/*.md")} == before


def bring(root: Path, name: str, data: bytes) -> Plan:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)
        library = Library(root)
        plan = plan_import(library, {name: data}, date(2026, 3, 1))
        apply(library, plan)
    return plan
