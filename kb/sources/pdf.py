"""PDF files, on disk and on the web: the title and the ids that the file's own fields and its first page hold. Where
they name a paper, its service is asked, and the PDF is only one more link."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote, urlsplit

from kb.ids import ARXIV_ID, DOI, Source, fold, identify
from kb.problem import KbError
from kb.sources import Answer, Fetcher, Metadata, fetcher, kind_of
from kb.sources.fields import line
from kb.sources.http import MEBIBYTE, Client, Page, Unreachable
from kb.sources.url_titles import title_of_name, url_title

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

name = "pdf"
_LARGEST = 64 * MEBIBYTE  # of a PDF that is fetched
_LARGEST_FILE = 512 * MEBIBYTE
_LARGEST_PAGE = 4 * MEBIBYTE  # of the commands that draw one
_SECONDS = 10.0  # for the text of one page
_PAGES = 2
_STAMP = re.compile(rf"arXiv:\s*({ARXIV_ID})(?:v\d+)?\s*\[[\w.-]+\]")
_MADE_UP = re.compile(
    r"untitled.*|microsoft (word|powerpoint).*|powerpoint presentation|slide \d+|document\d*|title|paper|main|print"
    r"|manuscript|.*\.(docx?|pptx?|tex|dvi|pdf|indd|odt|rtf|ps|eps|fm|p65|qxd|xlsx?)|arxiv:.*|doi:.*|pii:?.*"
    r"|\S*\d{4,}\S*|layout 1",
    re.I,
)
_FIELDS = ("/doi", "/DOI", "/WPS-ARTICLEDOI", "/arXivID", "/prism:doi", "/Subject", "/Keywords")


@dataclass(frozen=True)
class Reading:
    """What a PDF says of itself. `ids` may be those of other works it names, except the `sure` ones; `fault` says why
    nothing could be read."""

    title: str = ""
    authors: tuple[str, ...] = ()
    sure: tuple[Source, ...] = ()
    ids: tuple[Source, ...] = ()
    text: str = ""
    fault: str = ""


def matches(source: Source) -> bool:
    return source.key == "pdf" or (source.key == "url" and _path(source.url).endswith(".pdf"))


def _path(url: str) -> str:
    try:
        return unquote(urlsplit(url).path).lower()
    except ValueError:
        return ""


def fetch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    for source in sources:
        try:
            yield source, _fetch_one(source, client)
        except KbError as error:
            yield source, error


def _fetch_one(source: Source, client: Client) -> Metadata:
    page = client.get(source.url, "application/pdf,*/*;q=0.1", _LARGEST)
    if page.status >= 400:
        raise Unreachable(f"{source.url} answered {page.status}; try again later or give a --title")
    if is_pdf(page):
        return read_answer(page, source, client)
    if page.content_type.lower().startswith("text/html"):  # a page about the PDF, as GitHub has
        from kb.sources import web

        return web.read_answer(page, source, client)
    raise Unreachable(f"{source.url} answers with something that is no PDF; check the address or give a --title")


def is_pdf(page: Page) -> bool:
    return b"%PDF-" in page.body[:1024]


def read_answer(page: Page, source: Source, client: Client) -> Metadata:
    """The work whose PDF a URL leads to."""
    if page.cut and len(page.body) < _LARGEST:
        page = client.get(source.url, "application/pdf,*/*;q=0.1", _LARGEST)
    reading = inspect(io.BytesIO(page.body), Path(unquote(urlsplit(source.url).path)).stem)
    if reading.fault.startswith("it breaks off") and not page.cut:
        raise Unreachable(
            f"the PDF at {source.url} cannot be read ({reading.fault}); try again later or give a --title"
        )
    meta = resolve(reading, fetcher(client)) or own(reading)
    pdf = "also" if meta.get("pdf", source.value) != source.value else "pdf"
    return (
        {"title": url_title(source.url)} | meta | ({"also": [source.value]} if pdf == "also" else {"pdf": source.value})
    )


def read_file(path: Path) -> Reading:
    """What a PDF on disk says of itself; a KbError where it is none."""
    try:
        with open(path, "rb") as file:
            if b"%PDF-" not in file.read(1024):
                raise KbError(f"{path} is no PDF, whatever its name says; check the file")
            if file.seek(0, io.SEEK_END) > _LARGEST_FILE:
                return Reading(fault=f"it is larger than {_LARGEST_FILE // MEBIBYTE} MiB")
            file.seek(0)
            return inspect(file, path.stem)
    except OSError as error:
        raise KbError(f"{path}: {error.strerror}; check the name of the file", 2) from None


def own(reading: Reading, file_name: str = "") -> Metadata:
    """A note's front matter by the PDF alone."""
    title = reading.title or title_of_name(file_name) or file_name
    return {key: value for key, value in {"title": title, "authors": list(reading.authors)}.items() if value} | {
        "kind": "paper"
    }


def resolve(reading: Reading, ask: Fetcher) -> Metadata:
    """What the services say of the paper that the PDF is; empty where it names none. An id that only stands somewhere
    on the page is believed if the title that its service gives stands there too."""
    for source in dict.fromkeys((*reading.sure, *reading.ids)):
        sure = source in reading.sure
        answer: Any = next((found for _, found in ask([source])), None)
        if isinstance(answer, dict) and (sure or stands_in(str(answer.get("title", "")), reading.text)):
            return {source.key: source.value} | answer
        if isinstance(answer, Unreachable) and sure:
            return own(reading) | {source.key: source.value, "incomplete": kind_of(source).name}
    return {}


def stands_in(title: str, text: str) -> bool:
    """Whether a title stands in a text, whatever its line breaks and hyphens."""
    wanted = _letters(title)[:60]
    return len(wanted) > 5 and wanted in _letters(text)


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", fold(text))


# Inside the file


def inspect(file: BinaryIO, stem: str) -> Reading:
    """Read the fields and the first pages. No file, however damaged, raises anything."""
    import logging

    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it tells of every oddity
    try:
        reader = PdfReader(file, strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            return Reading(fault="it is encrypted", ids=_named(stem))
        pages = [reader.pages[n] for n in range(min(_PAGES, len(reader.pages)))]
        if not pages:
            return Reading(fault="it breaks off, or has no pages", ids=_named(stem))
        return _read(reader, pages, stem)
    except RecursionError:
        return Reading(fault="it is nested too deeply", ids=_named(stem))
    except Exception as error:  # pypdf meets damaged files with exceptions of every kind
        if type(error).__name__ == "DependencyError":
            return Reading(fault="it is encrypted", ids=_named(stem))
        return Reading(fault="it breaks off or is damaged", ids=_named(stem))


def _read(reader: PdfReader, pages: Sequence[PageObject], stem: str) -> Reading:
    fields = _fields(reader)
    texts, lines = [], []
    for page in pages:
        text, drawn = _drawn(page)
        texts.append(text)
        lines.append(drawn)
    first = texts[0] or texts[-1]
    whole = "\n".join(texts)
    title = _real_title(fields.get("/Title", ""), stem) or _largest(lines[0] or lines[-1])
    told = [found for key in _FIELDS for found in _ids(fields.get(key, ""))]
    stamp = [Source("arxiv", m[1]) for text in texts[:1] for m in _STAMP.finditer(text)]
    later = _ids(texts[-1][:20_000])[:1]  # behind a cover page
    named = tuple(dict.fromkeys([*told, *_ids(first[:20_000])[:2], *_named(stem), *later]))
    fault = "" if first.strip() else "it holds no text (a scan?)"
    authors = _people(fields.get("/Author", ""), whole)
    return Reading(title, authors, tuple(stamp[:1]), named, whole, fault)


def _fields(reader: PdfReader) -> dict[str, str]:
    try:
        found: Mapping[str, Any] = reader.metadata or {}
        return {str(key): line(str(found[key])[:2000]) for key in found}
    except Exception:
        return {}


def _ids(text: str) -> list[Source]:
    """The DOIs in a text, an arXiv id where the text is one."""
    found = [identify(text)] if re.fullmatch(rf"(?:arxiv:\s*)?{ARXIV_ID}(?:v\d+)?", text.strip(), re.I) else []
    found += [identify(m[0]) for m in re.finditer(DOI, text)]
    return [source for source in found if source and source.key in ("arxiv", "doi")]


def _named(stem: str) -> tuple[Source, ...]:
    """The id that a file is named by, as arXiv and the ACL Anthology name them."""
    found = identify(stem) if re.fullmatch(r"[\w.-]+", stem) else None
    return (found,) if found and found.key in ("arxiv", "acl") else ()


def _real_title(title: str, stem: str) -> str:
    """A title as somebody wrote it: not what a word processor put there, nor the file's name."""
    words = re.findall(r"[^\W\d_]{2,}", title)
    same = _letters(title) == _letters(stem)
    return "" if len(words) < 2 or same or _MADE_UP.fullmatch(title) else title


def _people(field: str, text: str) -> tuple[str, ...]:
    """The authors that the file's fields name, if the first page names them too: often it is who pressed the key."""
    names = [name.strip() for name in re.split(r";|,(?!\s*(?:jr|sr)\b)|\s+and\s+|&", field, flags=re.I)]
    if len(names) == 2 and all(" " not in name for name in names):  # 'Lee, Ann'
        names = [f"{names[1]} {names[0]}"]
    page = _letters(text)
    return tuple(name for name in names if " " in name and _letters(name.split()[-1]) in page)


@dataclass
class _Run:
    """A piece of text as it is drawn: its height above the page's foot and the size of its letters, in points."""

    y: float
    size: float
    text: str


def _drawn(page: PageObject) -> tuple[str, list[_Run]]:
    """The text of a page, and its upright pieces in the order in which they are drawn."""
    contents = page.get_contents()
    if contents is None or len(contents.get_data()) > _LARGEST_PAGE:
        return "", []
    runs: list[_Run] = []
    until = time.monotonic() + _SECONDS

    def watch(operator: Any, operands: Any, cm: Any, tm: Any) -> None:
        if time.monotonic() > until:
            raise TimeoutError

    def take(text: str, cm: Sequence[float], tm: Sequence[float], font: Any, size: float) -> None:
        if text.strip() and abs(tm[1]) + abs(tm[2]) < 1e-6:
            scale = abs((tm[3] or 1) * (cm[3] or 1))
            runs.append(_Run(tm[5] * (cm[3] or 1) + cm[5], round(abs(size) * scale, 1), text))

    try:
        text = page.extract_text(visitor_operand_before=watch, visitor_text=take)
    except TimeoutError:
        text = "".join(run.text for run in runs)
    return text, runs


def _largest(runs: Sequence[_Run]) -> str:
    """The text in the largest letters of a page, if that can be a title; else in the next smaller ones."""
    sizes = sorted({run.size for run in runs}, reverse=True)[:4]
    for size in sizes:
        text = line(" ".join(run.text for run in runs if abs(run.size - size) < 0.3)[:1000])
        text = re.sub(r"(?<=[a-z])-\s(?=[a-z])", "", text)
        if len(re.findall(r"[^\W\d_]{2,}", text)) >= 2 and len(text) <= 300 and not _MADE_UP.fullmatch(text):
            return text
    return ""
