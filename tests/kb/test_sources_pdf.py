"""PDF files, on disk and on the web: what they are taken for, whole and damaged."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import servers
import servers_web as web
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import Reply, Server

from kb.ids import Source, identify
from kb.problem import KbError
from kb.sources import fetcher, pdf
from kb.sources.http import Unreachable

URL = "https://ann.example/files/some_notes.pdf"
FILE = "/ann.example/files/some_notes.pdf"
TITLE = "Nets That Learn To Wait: A Study in Patience"
HEAD = [
    ("Nets That Learn To Wait:", 20),
    ("A Study in Patience", 20),
    ("Ann Lee, Bo Chen", 11),
    ("Abstract. We wait.", 9),
]
DDPM = [("Denoising Diffusion", 17), ("Probabilistic Models", 17), ("Jonathan Ho", 10), ("See 10.5555/1234567 too.", 9)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with servers.serve() as served:
        monkeypatch.setenv("KB_ARXIV_API", "https://export.arxiv.org/api/query")
        monkeypatch.setenv("KB_DOI_RESOLVER", "https://doi.org")
        served.pages["/export.arxiv.org/api/query"] = servers.arxiv(servers.DDPM)
        yield served


@pytest.fixture
def client(server: Server) -> Iterator[web.Elsewhere]:
    client = web.elsewhere(server)
    yield client
    client.close()


def fetch(client: web.Elsewhere, text: str) -> Any:
    source = identify(text)
    assert source
    ((_, answer),) = fetcher(client)([source])
    return answer


def inspect(data: bytes, stem: str = "file") -> pdf.Reading:
    return pdf.inspect(io.BytesIO(data), stem)


def test_title_of_the_largest_letters() -> None:
    read = inspect(web.pdf(HEAD))
    assert (read.title, read.authors, read.fault) == ("Nets That Learn To Wait: A Study in Patience", (), "")
    assert "We wait." in read.text


def test_text_that_runs_up_the_margin_is_no_title() -> None:
    assert inspect(web.pdf(HEAD, stamp="Downloaded from an archive")).title == TITLE


def test_title_and_authors_of_the_files_fields() -> None:
    info = {"Title": "Nets that learn to wait", "Author": "Ann Lee; Bo Chen; Dan Typist"}
    read = inspect(web.pdf(HEAD, info))
    assert (read.title, read.authors) == ("Nets that learn to wait", ("Ann Lee", "Bo Chen"))


@pytest.mark.parametrize(
    "title",
    ["Microsoft Word - nets_final2.doc", "untitled", "Untitled document", "paper.dvi", "main",
     "PowerPoint Presentation", "Some Notes", "S0885-2000(17)30012", "arXiv:2006.11239v2  [cs.LG]  16 Dec 2020", ""],
)  # fmt: skip
def test_titles_that_programs_make_up(title: str) -> None:
    assert inspect(web.pdf(HEAD, {"Title": title}), "some_notes").title == TITLE


def test_the_stamp_of_arxiv_is_the_papers_id(server: Server, client: web.Elsewhere) -> None:
    data = web.pdf(DDPM, stamp="arXiv:2006.11239v2  [cs.LG]  16 Dec 2020")
    assert inspect(data).sure == (Source("arxiv", "2006.11239"),)
    assert inspect(data).title == "Denoising Diffusion Probabilistic Models"  # the stamp's letters are larger
    server.pages[FILE] = Reply(data, headers=web.PDF)
    found = fetch(client, URL)
    assert (found["arxiv"], found["pdf"], found["year"]) == ("2006.11239", "https://arxiv.org/pdf/2006.11239", 2020)
    assert found["also"] == [URL]  # the file that was given is one more link of the work
    assert found["authors"] == ["Jonathan Ho", "Ajay Jain", "Pieter Abbeel"]
    assert not any("doi.org" in path for path in server.asked)


def test_arxiv_does_not_answer(server: Server, client: web.Elsewhere) -> None:
    server.pages["/export.arxiv.org/api/query"] = Reply("", 503)
    server.pages[FILE] = Reply(web.pdf(DDPM, stamp="arXiv:2006.11239v2 [cs.LG] 16 Dec 2020"), headers=web.PDF)
    assert fetch(client, URL) == {
        "title": "Denoising Diffusion Probabilistic Models",
        "kind": "paper",
        "arxiv": "2006.11239",
        "pdf": URL,
        "incomplete": "arxiv",
    }


DOI = "10.5555/1234567"
CSL = (
    '{{"type": "journal-article", "title": "{}", "author": [{{"given": "Ann", "family": "Lee"}}], "DOI": "'
    + DOI
    + '"}}'
)


@pytest.mark.parametrize(
    ("title", "is_it"),
    [("Denoising diffusion probabi\\u00adlistic models", True), ("Denoising Diffusion Probabilistic Models", True),
     ("A work that is only cited", False)],
)  # fmt: skip
def test_a_doi_on_the_page_is_believed_if_its_title_stands_there(
    server: Server, client: web.Elsewhere, title: str, is_it: bool
) -> None:
    server.pages[f"/doi.org/{DOI}"] = Reply(CSL.format(title), headers=web.JSON)
    server.pages[FILE] = Reply(web.pdf(DDPM), headers=web.PDF)
    found = fetch(client, URL)
    assert (found.get("doi") == DOI) is is_it
    assert found["pdf"] == URL and found["title"].startswith("Denoising")


def test_a_file_named_by_its_id(server: Server, client: web.Elsewhere) -> None:
    server.pages["/ann.example/2006.11239v2.pdf"] = Reply(web.pdf(DDPM), headers=web.PDF)
    server.pages["/bo.example/2006.11239.pdf"] = Reply(web.pdf(HEAD), headers=web.PDF)
    assert fetch(client, "https://ann.example/2006.11239v2.pdf")["arxiv"] == "2006.11239"
    assert "arxiv" not in fetch(client, "https://bo.example/2006.11239.pdf")


def test_a_pdf_behind_any_address(server: Server, client: web.Elsewhere) -> None:
    server.pages["/ann.example/download"] = Reply(web.pdf(HEAD), headers=web.PDF)
    found = fetch(client, "https://ann.example/download")
    assert (found["title"], found["pdf"]) == (
        "Nets That Learn To Wait: A Study in Patience",
        "https://ann.example/download",
    )


def test_a_long_pdf_behind_any_address_is_asked_for_again(server: Server, client: web.Elsewhere) -> None:
    server.pages["/ann.example/download"] = Reply(web.pdf(HEAD, ballast=3 << 20), headers=web.PDF)
    assert fetch(client, "https://ann.example/download")["title"] == TITLE
    assert len(server.asked) == 2


def test_a_page_where_a_pdf_should_be(server: Server, client: web.Elsewhere) -> None:
    server.pages[FILE] = [
        Reply("<title>All about it</title>"),
        Reply("PK", headers={"Content-Type": "application/zip"}),
    ]
    assert fetch(client, URL)["title"] == "All about it"
    assert (
        str(fetch(client, URL)) == f"{URL} answers with something that is no PDF; check the address or give a --title"
    )
    assert isinstance(fetch(client, "https://ann.example/none.pdf"), KbError)


# Damaged files


def encrypted(password: str) -> bytes:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(web.pdf(HEAD))))
    writer.encrypt(user_password=password, owner_password="owner", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_encrypted_files() -> None:
    assert inspect(encrypted("secret")) == pdf.Reading(fault="it is encrypted")
    assert inspect(encrypted("")).title == TITLE  # printing is what is barred


def test_a_scan_and_a_file_broken_off(server: Server, client: web.Elsewhere) -> None:
    assert inspect(web.pdf([])).fault == "it holds no text (a scan?)"
    assert inspect(web.pdf(HEAD)[:60]).fault.startswith("it breaks off")
    server.pages[FILE] = Reply(web.pdf(HEAD)[:60], headers=web.PDF)
    assert str(fetch(client, URL)).startswith(f"the PDF at {URL} cannot be read (it breaks off")
    assert isinstance(fetch(client, URL), Unreachable)
    server.pages[FILE] = Reply(web.pdf([]), headers=web.PDF)
    assert fetch(client, URL) == {"title": "Some notes", "kind": "paper", "pdf": URL}


def test_a_page_of_endless_commands_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "_LARGEST_PAGE", 100)
    assert inspect(web.pdf(HEAD)).fault == "it holds no text (a scan?)"
    monkeypatch.setattr(pdf, "_LARGEST_PAGE", 1 << 20)
    monkeypatch.setattr(pdf, "_SECONDS", -1.0)
    assert inspect(web.pdf(HEAD)).fault == "it holds no text (a scan?)"


def test_files_on_disk(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(web.pdf(HEAD))
    (tmp_path / "b.pdf").write_bytes(b"<html>")
    assert pdf.read_file(tmp_path / "a.pdf").title == TITLE
    with pytest.raises(KbError, match="b.pdf is no PDF, whatever its name says"):
        pdf.read_file(tmp_path / "b.pdf")
    with pytest.raises(KbError, match="No such file"):
        pdf.read_file(tmp_path / "c.pdf")


WHOLE = web.pdf(HEAD, {"Title": "A title of words"}, "arXiv:2006.11239v2 [cs.LG] 16 Dec 2020", pages=2)


@given(st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE)), st.binary(max_size=20))
@settings(max_examples=60)
def test_no_damage_makes_the_reader_fail(start: int, end: int, data: bytes) -> None:
    read = inspect(WHOLE[:start] + data + WHOLE[max(start, end) :])
    assert isinstance(read.title, str) and all(isinstance(source, Source) for source in (*read.sure, *read.ids))
