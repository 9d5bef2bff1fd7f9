"""What the arguments of `kb add` stand for: ids, URLs, files of references, BibTeX, PDF files, text from a pipe or the
clipboard."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kb.id_rules import without_punctuation
from kb.ids import SERVICES, Source, fault, identify
from kb.note import Note
from kb.problem import KbError
from kb.sources import Metadata, kind_of

if TYPE_CHECKING:
    from kb.sources.pdf import Reading

_BIBTEX = re.compile(r"^[ \t]*@\s*\w+\s*[{(]", re.M)
_TEXT_FILES = {"", ".txt", ".text", ".list", ".lst", ".urls", ".refs"}
_IMPORTED = {".md", ".markdown", ".ris", ".json", ".csv", ".nbib", ".enw", ".html", ".htm", ".xml", ".rdf"}
_URL = re.compile(r"https?://[^\s<>\"]{1,4000}", re.I)
_MARKER = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])?\s*(?:\[[ xX]?\])?\s*")
_LARGEST_TEXT = 16 << 20


@dataclass
class Candidate:
    """A reference on its way to a note: what it was given as and where, what it names, what is known of it and why no
    more. `wrong` says why it can be no note, `reading` what a PDF on disk says of itself, `into` which note has it,
    `body` what its person wrote about it."""

    given: str
    source: Source | None = None
    meta: Metadata = field(default_factory=dict)
    where: str = ""
    lacking: str = ""
    wrong: str = ""
    code: int = 1
    reading: Reading | None = None
    into: str = ""
    body: str = ""

    @property
    def tokens(self) -> set[str]:
        """Every id that the work is known by so far."""
        named = {self.source.token} if self.source else set()
        sure = {s.token for s in self.reading.sure} if self.reading else set()
        return named | sure | {s.token for s in Note("", "", self.meta, "").sources()}

    @property
    def spelled(self) -> str:
        return f"{self.source.key}:{self.source.value}" if self.source else self.given


def read_refs(ref: str, stdin: str = "", name: str = "(stdin)") -> list[Candidate]:
    """What one argument stands for: a reference, a file of them, a .bib file or its text, a PDF, `-` for `stdin`, which
    messages call `name`. One that stands for nothing says so in `wrong`."""
    try:
        return read_text(stdin, name) if ref == "-" else _read(ref)
    except KbError as error:
        return [Candidate(ref, wrong=str(error), code=error.code)]


def _read(ref: str) -> list[Candidate]:
    if _BIBTEX.match(ref):
        return _read_bibtex(ref, "(bibtex)")
    path = Path(os.path.expanduser(ref))  # Path.expanduser raises where there is no such person
    suffix = path.suffix.lower() if "://" not in ref else ""
    if suffix == ".bib":
        return _read_bibtex(_read_file(path), ref)
    source = identify(ref)
    if "://" not in ref and (source is None or source.key == "url") and _is_there(path):
        return _read_path(path, suffix, ref)
    if why := _why_not(ref, source):
        raise KbError(why, 2)
    return [Candidate(ref, source)]


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long for a name, or with a zero in it
        return False


def _read_path(path: Path, suffix: str, ref: str) -> list[Candidate]:
    if path.is_dir():
        raise KbError(f"{ref} is a folder; name the files in it", 2)
    if suffix == ".pdf":
        from kb.sources.pdf import read_file

        reading = read_file(path)
        return [Candidate(path.name, next(iter(reading.sure), None), where=ref, reading=reading)]
    if suffix in _IMPORTED:
        raise KbError(f"{ref} is a file for kb import; kb add takes .txt, .bib and .pdf", 2)
    if suffix not in _TEXT_FILES:
        raise KbError(f"{ref} is a file, of which kb add takes .txt (a reference a line), .bib and .pdf", 2)
    return read_text(_read_file(path), ref)


def _why_not(ref: str, source: Source | None) -> str:
    """What is wrong with a reference, '' for a good one."""
    if told := fault(ref):
        return told
    if source is None and re.search(r"\.(pdf|txt|bib)$", ref, re.I):
        return f"{ref}: there is no such file; check its name"
    if source is None:
        shown = ref if len(ref) <= 80 else ref[:79] + "…"
        return f"'{shown}' is no id, URL or file that kb can read; `kb add --help` shows what it can"
    return ""


def _read_file(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST_TEXT + 1)
    except OSError as error:
        raise KbError(f"{path}: {error.strerror}; check the name of the file", 2) from None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):  # as Windows saves "Unicode"
        return data.decode("utf-16", "replace")
    if len(data) > _LARGEST_TEXT or b"\0" in data[:4096]:
        raise KbError(f"{path} is no text that kb can read; name a file with a reference a line", 2)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")  # what older reference managers write


def read_text(text: str, name: str) -> list[Candidate]:
    """BibTeX, or a reference a line, with words around it or not; empty lines and comments (#) are passed over."""
    text = text.removeprefix("\ufeff")
    if _BIBTEX.search(text):
        return _read_bibtex(text, name)
    found: list[Candidate] = []
    for no, line in enumerate(text.splitlines(), 1):
        bare = _MARKER.sub("", line).strip()
        if bare and not bare.startswith("#") and bare != "-":
            found += (_placed(c, f"{name}:{no}") for c in _read_line(bare))
    if not found:
        raise KbError(f"{name} holds no reference; put an id or a URL on a line")
    return found


def _placed(candidate: Candidate, where: str) -> Candidate:
    candidate.where = where
    return candidate


def _read_line(line: str) -> list[Candidate]:
    """The references of a line: the whole of it, else each URL in it, else the first word that is an id."""
    whole = identify(line) if not re.search(r"\s", line) or not _URL.search(line) else None
    if whole and not _why_not(line, whole):
        return [Candidate(line, whole)]
    found = (
        list(dict.fromkeys(without_punctuation(m[0].split("](")[0]) for m in _URL.finditer(line))) or _ids_in(line)[:1]
    )
    if not found:
        told = fault(line) or f"no reference in '{line[:80]}'; put an id or a URL there"
        return [Candidate(line, wrong=told, code=2)]
    return [
        Candidate(text, source, wrong=_why_not(text, source), code=2) for text in found for source in [identify(text)]
    ]


def _ids_in(line: str) -> list[str]:
    """The words of a line that are ids; a word with a dot in it may be an address, one with a slash too is one."""
    joined = re.sub(r"\b(arxiv|doi|pmid):\s+", r"\1:", line, flags=re.I)
    words = [word.strip(",;()[]<>\"'") for word in joined.split()]
    return [word for word in words if (source := identify(word)) and (source.key in SERVICES or "/" in word)]


def _read_bibtex(text: str, name: str) -> list[Candidate]:
    from kb.formats import bibtex

    items, problems = bibtex.read(text, name)
    if errors := [p for p in problems if p.level == "error"]:
        more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
        raise KbError(f"{errors[0]}{more}; nothing of it was added (kb import {name} takes what it can read)")
    if not items:
        raise KbError(f"{name} holds no BibTeX entry; check the file")
    return [_entry(item.meta, item.body) for item in items]


def _entry(meta: Metadata, body: str) -> Candidate:
    source = next(iter(Note("", "", meta, "").sources()), None)
    return Candidate(meta.get("cite") or meta["title"], source, meta, body=body)


def provisional(source: Source) -> Metadata:
    """What a note says of a work before its service has been asked."""
    return {"title": provisional_title(source), "incomplete": kind_of(source).name}


def provisional_title(source: Source) -> str:
    """A title until the true one is known: 'arXiv 2006.11239', or the last words of a URL."""
    from kb.sources.url_titles import url_title

    return f"{SERVICES[source.key]} {source.value}" if source.key in SERVICES else url_title(source.value)
