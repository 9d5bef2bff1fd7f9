"""Archives, bibliographies and tables made to hurt: told by name, in bounded time and memory, and nothing written where
it should not be."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import servers_web
from hypothesis import given
from hypothesis import strategies as st

from kb import duplicates
from kb.exporting.table import table
from kb.exporting.works import Work
from kb.formats.columns import FORMULA, guarded, unguarded
from kb.formats.known import reader
from kb.formats.lines import read_lines
from kb.formats.outline import _DEEPEST, Entry, outline
from kb.formats.reading_list import read_reading_list
from kb.importing import folders, plan_import
from kb.importing.folders import read_folder
from kb.library import Library
from kb.note import Note
from kb.problem import KbError
from kb.sources.pdf import inspect

Vault = Callable[..., Path]
Run = Callable[..., "CompletedProcess[str]"]
PAGE = "Page 0123456789abcdef0123456789abcde{}.md"


def packed(path: Path, files: dict[str, bytes | str], links: dict[str, str] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
    return path


# Archives


def test_an_archive_writes_nothing_outside_and_brings_no_link(make_vault: Vault, run_kb: Run) -> None:
    root = make_vault({})
    (root.parent / "secret.md").write_text("TOPSECRET")
    out = ["../../evil.md", "/abs.md", "C:\\win.md", "..\\..\\evil2.md", "a/../../b.md", "n\x1b[31m\n.md"]
    shows = "# T\n\n![x](../../../../x.png) ![y](/x.png) ![[../../x.png]] ![z](..%2f..%2f..%2fx.png) ![k](.kb/x.png)\n"
    files: dict[str, bytes | str] = {PAGE.format(0): shows, "x.png": b"owned", **dict.fromkeys(out, "# owned")}
    there = packed(
        root.parent / "a.zip", files, {PAGE.format(1): str(root.parent / "secret.md"), "l.png": "/etc/passwd"}
    )
    done = run_kb(root, "import", str(there))
    assert done.stdout.count("its path leads out of the folder") == len(out)
    text = "".join(p.read_text() for p in root.rglob("notes/**/*.md"))
    assert "TOPSECRET" not in text and "owned" not in text
    made = {p.relative_to(root.parent).as_posix() for p in root.parent.rglob("*") if not p.is_dir()}
    outside = {name for name in made if not name.startswith(("vault/notes/", "vault/imports/", "vault/.kb/"))}
    assert outside == {"secret.md", "a.zip", "vault/mkdocs.yml"}
    assert not any(p.is_symlink() for p in root.rglob("*"))


def test_a_vault_of_another_program_brings_no_link_pipe_or_device(make_vault: Vault, run_kb: Run) -> None:
    root, theirs = make_vault({}), make_vault({}, "theirs")
    (root.parent / "secret.md").write_text("TOPSECRET")
    (theirs / ".obsidian").mkdir()
    (theirs / "a.md").write_text("# A\n\n![[p.png]] [[secret]]\n")
    (theirs / "secret.md").symlink_to(root.parent / "secret.md")
    (theirs / "up").symlink_to(root.parent)
    (theirs / "p.png").symlink_to("/etc/passwd")
    os.mkfifo(theirs / "pipe.md")
    done = run_kb(root, "import", str(theirs), "--format", "obsidian")
    assert "pipe.md" in done.stdout and "no regular file" in done.stdout
    assert "TOPSECRET" not in "".join(p.read_text() for p in root.rglob("*.md"))
    assert list(root.rglob("*.png")) == []


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The bounds of archives, so small that a test reaches them."""
    monkeypatch.setattr(folders, "_LARGEST", 1 << 20)
    monkeypatch.setattr(folders, "_TOTAL", 4 << 20)
    monkeypatch.setattr(folders, "_MOST", 50)
    yield


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, small: None) -> None:
    files = {f"p{n}.md": b"\0" * (1 << 20) for n in range(6)}
    with pytest.raises(KbError, match="holds more than"):
        read_folder(packed(tmp_path / "a.zip", dict(files)), "notion")
    inner = packed(tmp_path / "inner.zip", dict(files)).read_bytes()
    assert len(inner) < 100_000
    with pytest.raises(KbError, match="holds more than"):
        read_folder(packed(tmp_path / "b.zip", {"inner.zip": inner}), "notion")
    found = read_folder(packed(tmp_path / "c.zip", {"large.md": b"\0" * (2 << 20), "a.md": "x"}), "notion")
    assert found.refused == [("large.md", "larger than 1 MB")] and list(found.pages) == ["a.md"]


def test_archives_in_archives_are_opened_once(tmp_path: Path) -> None:
    data = packed(tmp_path / "0.zip", {"deep.md": "x"}).read_bytes()
    for n in range(1, 4):
        data = packed(tmp_path / f"{n}.zip", {"next.zip": data, f"a{n}.md": "x"}).read_bytes()
    assert sorted(read_folder(tmp_path / "3.zip", "notion").pages) == ["a2.md", "a3.md"]


def test_an_archive_of_too_many_files_is_refused(tmp_path: Path, small: None) -> None:
    with pytest.raises(KbError, match="more than 50 files"):
        read_folder(packed(tmp_path / "a.zip", {f"{n}.md": "" for n in range(51)}), "notion")


@pytest.mark.parametrize("said", [10, 0x7FFFFFFF])
def test_an_archive_that_lies_about_a_size_is_found_out(tmp_path: Path, said: int) -> None:
    path = packed(tmp_path / "a.zip", {"a.md": b"a" * 70_001})
    path.write_bytes(path.read_bytes().replace((70_001).to_bytes(4, "little"), said.to_bytes(4, "little")))
    folder = read_folder(path, "notion")
    assert folder.pages == {} and len(folder.refused) == 1


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x05\x06" + b"\xff" * 18, b"x" * 1000])
def test_what_is_no_archive_is_said(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(KbError, match=r"a\.zip: this \.zip (cannot be read|is not)"):
        read_folder(tmp_path / "a.zip")


def test_what_has_no_end_is_refused(make_vault: Vault, run_kb: Run) -> None:
    if not Path("/dev/zero").exists():
        pytest.skip("no /dev/zero")
    done = run_kb(make_vault({}), "import", "/dev/zero")
    assert done.returncode == 2 and "/dev/zero: there is no end to it within 256 MB" in done.stderr


# Bibliographies

LAUGHS = "".join(f'<!ENTITY {c} "{f"&{chr(ord(c) - 1)};" * 10}">' for c in "bcdefghij")
READERS = [
    ("rdf", f'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">{LAUGHS}]><rdf:RDF>&j;</rdf:RDF>', "document type definition"),
    ("rdf", '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><rdf:RDF>&x;</rdf:RDF>', "document type definition"),
    ("rdf", '<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd"><rdf:RDF/>', "document type definition"),
    ("rdf", "<a>" * 100_000, "deeper"),
    ("json", "[" * 100_000 + "]" * 100_000, "nested too deeply"),
    ("json", '{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deeply"),
    ("bibtex", "@article{a, title = {" + "x " * 2_500_000 + "}}", "longer than 4000000 characters"),
    ("csv", 'Title,URL\n"' + "a" * (17 << 20) + '",x\n', "the table cannot be read from here"),
]  # fmt: skip


@pytest.mark.parametrize(("format", "text", "told"), READERS, ids=range(len(READERS)))
def test_a_bibliography_that_would_grow_is_a_problem(format: str, text: str, told: str) -> None:
    records, problems = reader(format)(text.encode(), "x")
    assert any(told in problem.message for problem in problems), [p.message[:80] for p in problems]
    assert "root:" not in json.dumps([record.body for record in records])


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("bibtex", "@article{a, title=" + "{" * 50_000 + "x" + "}" * 50_000 + "}"),
        ("bibtex", "@string{a = a # b}@string{b = b # a}@article{x, title = a # b}" * 300),
        ("csv", "Title,URL" + ",c" * 300_000 + "\nx,https://e.org/" + ",v" * 300_000 + "\n"),
        ("ris", "TY  - JOUR\n" + "AU  - A, B\n" * 20_000 + "ER  - \n"),
    ],
    ids=["braces", "macros", "columns", "authors"],
)
def test_a_bibliography_of_great_width_or_depth_is_read(format: str, text: str) -> None:
    records, _ = reader(format)(text.encode(), "x")
    assert records


def test_a_list_nests_fifty_levels_and_no_more() -> None:
    lines = [f"{'  ' * n}- https://e.org/{n}" for n in range(2000)]

    def depth(entries: list[Entry]) -> int:
        found, level = 0, entries
        while level:
            found, level = found + 1, [child for entry in level for child in entry.children]
        return found

    assert depth(outline(read_lines("\n".join(lines))).entries) == _DEEPEST
    found = read_reading_list("\n".join(lines), "x.md")
    assert {no for item in found.items for no in item.lines} >= set(range(1, 2001))


def test_works_of_one_author_are_compared_with_a_few(make_vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry of a file with every other would be forty-five thousand looks; it is told by counting them."""
    monkeypatch.setattr(duplicates, "_MOST", 20)
    looks: list[int] = []
    may_be = duplicates.Work.may_be
    monkeypatch.setattr(duplicates.Work, "may_be", lambda self, other: looks.append(1) or may_be(self, other))
    entries = "".join(f"@article{{k{n}, title={{Topic {n} x}}, author={{A B}}}}\n" for n in range(300))
    plan = plan_import(Library(make_vault({})), {"x.bib": entries.encode()}, date(2026, 1, 1))
    assert len(plan.notes) == 300 and 300 < len(looks) <= 300 * 2 * 20


# PDF files

PACKED = zlib.compress(b"0" * (80 << 20), 1)

_PAGES = b"<< /Type /Pages /Kids [%d 0 R] /Count 1000000 >>"
_PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Resources << >> /Contents 6 0 R >>"


@pytest.mark.parametrize(
    ("kids", "data", "filters", "fault"),
    [
        (5, PACKED, b"/Filter /FlateDecode", "it breaks off or is damaged"),
        (5, zlib.compress(PACKED), b"/Filter [/FlateDecode /FlateDecode]", "it breaks off or is damaged"),
        (5, b"[" * 100_000, b"", "it "),  # nested too deeply, or without text: as deep as Python is by then
        (2, b"", b"", "it breaks off or is damaged"),
    ],
    ids=["packed", "packed twice", "deep", "loop"],
)
def test_a_pdf_that_would_grow_is_one_that_cannot_be_read(kids: int, data: bytes, filters: bytes, fault: str) -> None:
    """Where a stream is unpacked whole, its page is read, and has no text."""
    stream = b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), filters, data)
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", _PAGES % kids, b"<< >>", b"<< >>", _PAGE, stream]
    found = inspect(io.BytesIO(servers_web._file(objects)), "x")
    assert found.fault.startswith(fault) and found.text == ""


# Tables

CELL = st.text(st.sampled_from("'=+-@＝a1 "), max_size=6)


@given(CELL)
def test_a_guarded_cell_is_no_formula_and_comes_back(cell: str) -> None:
    assert guarded(cell)[:1] not in tuple(FORMULA)
    assert unguarded(guarded(cell)) == cell


@pytest.mark.parametrize(
    "title", ["=1+1", "+1", "-2", "@SUM(A1)", "'=x", "''-x", "'quoted'", "\t=1", "\r=1", "＝1", "a=b"]
)
def test_a_title_that_is_a_formula_goes_out_guarded_and_comes_in_again(title: str) -> None:
    note = Note("x", "notes/papers/x.md", {"title": title.strip(), "kind": "paper", "venue": "=1"}, "")
    text = table([Work("x", note)])
    (row,) = csv.DictReader(io.StringIO(text))
    assert all(cell[:1] not in (*FORMULA, "\t", "\r") for cell in row.values())
    (record,), _ = reader("csv")(text.encode(), "x.csv")
    assert (record.meta["title"], record.meta["venue"]) == (title.strip(), "=1")
