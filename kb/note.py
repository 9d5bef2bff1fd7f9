"""A note: the front-matter schema, and Markdown bytes -> Note and Problems. A mistake never stops the reading."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from kb import frontmatter, spelling
from kb.contradictions import contradictions
from kb.id_rules import ACL_ID, ARXIV_ID, WHOLE_DOI, isbn13
from kb.ids import Source, identify, slug
from kb.links import Link, find_links
from kb.problem import Problem
from kb.vocabulary import FOLDERS as FOLDERS
from kb.vocabulary import KINDS as KINDS
from kb.vocabulary import PAGE as PAGE
from kb.vocabulary import PAPER_KEYS
from kb.vocabulary import STATUSES as STATUSES

_ID = re.compile(r"(?=.{1,250}$)[a-z0-9]+(-[a-z0-9]+)*")  # what slug() leaves as it is
_SEPARATOR = re.compile(r"[,\s]+")
_YEAR = re.compile(r"[12]\d{3}")
_MONTH = re.compile(r"\d{4}(-(0[1-9]|1[0-2]))?")
_ARXIV = re.compile(rf"(?i:arxiv:|https?://arxiv\.org/(?:abs|pdf)/)?({ARXIV_ID})(?:v\d+)?")
_DOI = re.compile(rf"(?i:doi:\s*|https?://(?:dx\.)?doi\.org/)?({WHOLE_DOI})")
LARGEST = 8 << 20  # bytes of a note; the links of the longest books fill a fraction of it
_MOST_LINKS = 10_000
_MOST_UNKNOWN = 100  # unknown keys for which a likely one is looked for
_NO_STATUS = {"topic", "log", PAGE}

# A field's parser gives the value with its type, or raises ValueError with what is expected.
_Parser = Callable[[Any], Any]


def _text(value: Any) -> str:
    if type(value) is str and value.isascii() and value.isprintable() and "  " not in value and value == value.strip():
        return value  # as nearly all is
    if isinstance(value, list | dict):
        raise ValueError("one line of text")
    return " ".join(str(value).split())


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        raise ValueError("a list like [a, b]")
    return [_text(v) for v in (value if isinstance(value, list) else [value]) if v not in ("", None)]


def _tags(value: Any) -> list[str]:
    found = _texts(_SEPARATOR.split(value) if isinstance(value, str) else value)
    return list(dict.fromkeys(tag.lstrip("#") for tag in found))


def _authors(value: Any) -> list[Any]:
    people = value if isinstance(value, list) else [value]
    found: list[Any] = []
    for person in people:
        if isinstance(person, dict):
            if not set(person) <= {"family", "given", "suffix", "literal"} or not person:
                raise ValueError("names, or {family: …, given: …}")
            found.append({k: _text(v) for k, v in person.items()})
        elif person:
            found.append(_text(person))
    return found


def _date(value: Any) -> str:
    text = _text(value)
    try:
        if date.fromisoformat(text).isoformat() == text:  # 2025-W01-1 and 20250104 are ISO dates too
            return text
    except ValueError:
        pass
    raise ValueError("a date like 2025-01-04")


def _published(value: Any) -> str:
    text = _text(value)
    return text if _MONTH.fullmatch(text) else _date(text)


def _year(value: Any) -> int:
    if not _YEAR.fullmatch(_text(value)):
        raise ValueError("a year like 2020")
    return int(value)


def _rating(value: Any) -> int:
    if _text(value) not in ("1", "2", "3", "4", "5"):
        raise ValueError("a whole number from 1 to 5")
    return int(value)


def _flag(value: Any) -> bool:
    text = _text(value).lower()
    if text not in ("true", "false", "yes", "no"):
        raise ValueError("true or false")
    return text in ("true", "yes")


def _choice(*names: str) -> _Parser:
    def parse(value: Any) -> str:
        text = _text(value)
        if text.lower() not in names:
            raise ValueError(f"one of {' '.join(names)}")
        return text.lower()

    return parse


def _arxiv(value: Any) -> str:
    if not (m := _ARXIV.fullmatch(_text(value))):
        raise ValueError('an arXiv id in quotes, like "2006.11239"')
    return m[1]


def _doi(value: Any) -> str:
    if not (m := _DOI.fullmatch(_text(value))):
        raise ValueError("a DOI like 10.1000/182")
    return m[1]


def _pmid(value: Any) -> str:
    text = re.sub(r"^(pmid:?\s*|https?://pubmed\.ncbi\.nlm\.nih\.gov/)", "", _text(value), flags=re.I).rstrip("/")
    if not re.fullmatch(r"\d{1,8}", text, re.ASCII):
        raise ValueError("a PubMed id like 23193287")
    return text


def _named(key: str, pattern: str, like: str) -> _Parser:
    """The id of a service, or the URL of its page there."""

    def parse(value: Any) -> str:
        text = _text(value)
        if re.fullmatch(pattern, text):
            return text
        found = identify(text if "://" in text or ":" in text else f"{key}:{text}")
        if found is None or found.key != key:
            raise ValueError(like)
        return found.value

    return parse


def _isbn(value: Any) -> str:
    if not (isbn := isbn13(re.sub(r"^isbn(-1[03])?:?", "", _text(value), flags=re.I))):
        raise ValueError("an ISBN with its right check digit, in quotes")
    return isbn


def _url(value: Any) -> str:
    text = _text(value)
    if not re.match(r"https?://[^\s/]", text):
        raise ValueError("a URL that begins with http:// or https://")
    return text


def _urls(value: Any) -> list[str]:
    return [_url(v) for v in _texts(value)]


def _results(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ValueError("a list of {task, data, metric, value, where}")
    return [{str(k): _text(v) for k, v in row.items()} for row in value]


def _mapping(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("a mapping like {entry: article, pages: 1-9}")
    return {str(k): _text(v) for k, v in value.items()}


_acl = _named("acl", ACL_ID, "an id of the ACL Anthology like 2020.acl-main.1 or P18-1001")
_openreview = _named("openreview", r"[\w-]+", "an OpenReview id: what stands behind id= in its URL")
_s2 = _named("s2", r"[0-9a-f]{40}|CorpusID:\d{1,12}", "a Semantic Scholar id: 40 hexadecimal digits, or CorpusID:1234")
_openalex = _named("openalex", r"W\d{4,12}", "an OpenAlex id like W2741809807")

SCHEMA: dict[str, _Parser] = {  # in the order in which new keys are written
    "title": _text, "kind": _choice(*KINDS, PAGE), "part_of": _text, "status": _choice(*STATUSES), "at": _text,
    "authors": _authors, "year": _year, "venue": _text, "arxiv": _arxiv, "doi": _doi, "acl": _acl,
    "openreview": _openreview, "pmid": _pmid, "s2": _s2, "openalex": _openalex, "isbn": _isbn,
    "url": _url, "pdf": _url, "code": _url, "video": _url, "slides": _url, "paperpile": _url, "also": _urls,
    "seen": _urls,
    "added": _date, "started": _date, "finished": _date, "published": _published,
    "tags": _tags, "aliases": _texts, "repro": _text, "cite": _text, "rating": _rating, "private": _flag,
    "incomplete": _text, "imported": _texts, "wanted": _texts, "abstract": _text, "results": _results,
    "bibtex": _mapping,
}  # fmt: skip
KEY_ORDER = tuple(SCHEMA)
ID_KEYS = (*PAPER_KEYS, "url", "code", "video", "pdf", "also", "slides", "seen", "paperpile")
WORK_KEYS = (*PAPER_KEYS, "url", "code", "video", "pdf")  # who shares one is one work
TEXT_KEYS = frozenset(SCHEMA) - {  # whose values are text, whatever YAML would make of them
    key
    for key, parser in SCHEMA.items()
    if parser in (_year, _rating, _flag, _date, _published, _results, _url, _urls) or key in ("kind", "status")
}
FOREIGN = {"cssclasses", "description", "template", "hide", "search", "icon", "publish", "permalink", "comments"}


@dataclass(frozen=True)
class Note:
    """One Markdown file. `path` is relative to the vault's root; `meta` holds the front matter with its types, unknown
    keys as text; `body` is what stands below it, beginning at line `body_line` of the file."""

    id: str
    path: str
    meta: Mapping[str, Any]
    body: str
    body_line: int = 1
    links: tuple[Link, ...] = field(default=())

    @property
    def title(self) -> str:
        return str(self.meta.get("title") or self.id)

    @property
    def kind(self) -> str:
        return str(self.meta.get("kind", ""))

    @property
    def status(self) -> str:
        """Empty for topics, logs and pages; a work of which nobody said anything is in the inbox."""
        return str(self.meta.get("status") or ("" if self.kind in _NO_STATUS else "inbox"))

    @property
    def private(self) -> bool:
        return self.meta.get("private") is True

    @property
    def tags(self) -> list[str]:
        return list(self.meta.get("tags") or [])

    @property
    def aliases(self) -> list[str]:
        return list(self.meta.get("aliases") or [])

    @property
    def authors(self) -> list[str]:
        return [author_name(a) for a in self.meta.get("authors") or []]

    @property
    def year(self) -> int | None:
        found: int | None = self.meta.get("year")
        return found

    def sources(self) -> list[Source]:
        """Every id and link by which the work is known."""
        named = [(key, str(self.meta[key])) for key in WORK_KEYS if self.meta.get(key)]
        found = [_source(key, value) for key, value in named]
        return found + [_source("url", str(url)) for url in self.meta.get("also") or []]

    def as_json(self) -> dict[str, Any]:
        """A row of `kb list --json`: what is known, nothing else."""
        row = {"id": self.id, "title": self.title, "kind": self.kind, "status": self.status, "path": self.path}
        known = {k: v for k, v in self.meta.items() if v not in ("", [], None, {})}
        return (
            {k: v for k, v in row.items() if v}
            | {k: v for k, v in known.items() if k not in row}
            | ({"authors": self.authors} if known.get("authors") else {})
        )


def _source(key: str, value: str) -> Source:
    """What stands under a key of WORK_KEYS. arXiv's own DOI of a paper is its arXiv id."""
    if "://" in value:
        return identify(value) or Source(key, value)
    found = identify(value) if key == "doi" and value[:9] == "10.48550/" else None
    return found if found and found.key == "arxiv" else Source(key, value)


def author_name(author: Any) -> str:
    """'Jonathan Ho' from a string or from {family, given}."""
    if isinstance(author, Mapping):
        parts = (author.get("given"), author.get("family"), author.get("suffix"), author.get("literal"))
        return " ".join(str(p) for p in parts if p)
    return str(author)


def folder_kind(path: str) -> str:
    """The kind a file has by its place under notes/: 'notes/papers/x.md' -> 'paper'."""
    parts = PurePosixPath(path).parts[1:]
    if parts[:1] == ("guide",) or parts[-1] == "index.md":
        return PAGE
    for kind, folder in FOLDERS.items():
        if parts[:1] == (folder,) and len(parts) > 1:
            return kind
    return ""


def parse_note(data: bytes, path: str) -> tuple[Note, list[Problem]]:
    """A file's bytes -> its note and what is wrong with it. `path` is relative to the root, with forward slashes."""
    note, problems = parse_front(data, path)
    links, more = links_in(note.body, note.body_line, path)
    return Note(note.id, path, note.meta, note.body, note.body_line, links), problems + more


def links_in(body: str, first_line: int, path: str) -> tuple[tuple[Link, ...], list[Problem]]:
    """The links of a note's text, which begins at a line of its file, and what is wrong with them."""
    links = tuple(islice(find_links(body, first_line), _MOST_LINKS + 1))
    if len(links) <= _MOST_LINKS:
        return links, []
    message = f"more than {_MOST_LINKS} links; those from here on are not followed"
    return links[:-1], [Problem(path, links[-2].line, "link", message, "divide the note", "warning")]


def parse_front(data: bytes, path: str) -> tuple[Note, list[Problem]]:
    """`parse_note` without the links."""
    text, problems = _decode(data, path)
    front = frontmatter.split(text)
    raw, lines, faults = frontmatter.read(front, TEXT_KEYS)
    problems += [Problem(path, f.line, f.check, f.message, f.hint, f.level, f.fixable) for f in faults]
    meta = _typed(raw, lines, path, problems)
    stem = path.rpartition("/")[2].removesuffix(".md")
    if not front.closing and not front.faults:
        hint = f"begin the file with ---, title: {_first_heading(front.body) or stem}, ---"
        problems.append(Problem(path, 1, "front-matter", "no front matter", hint, "error", True))
    elif not meta.get("title") and not front.faults:
        problems.append(Problem(path, 1, "title", "no title", f"add `title: {_first_heading(front.body) or stem}`"))
    for key, check, message, hint, level in contradictions(meta):
        problems.append(Problem(path, lines.get(key, 1), check, message, hint, level))
    if "title" not in meta:
        meta["title"] = _first_heading(front.body) or stem
    if not meta.get("kind") and (kind := folder_kind(path)):
        meta["kind"] = kind
    if not _ID.fullmatch(stem) and slug(stem, 250) != stem.lower() and meta.get("kind") != PAGE:
        hint = f"name it {slug(stem, 250)}.md"
        problems.append(Problem(path, 0, "id", f"the file name '{stem}' is no id of a-z, 0-9 and -", hint, "warning"))
    return Note(stem, path, meta, front.body, front.body_line), problems


def _decode(data: bytes, path: str) -> tuple[str, list[Problem]]:
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"byte 0x{data[error.start]:02x} is no UTF-8"
        problem = Problem(path, line, "encoding", message, "save the file as UTF-8")
        return data.decode("utf-8", errors="replace"), [problem]


def _typed(raw: Mapping[str, Any], lines: Mapping[str, int], path: str, problems: list[Problem]) -> dict[str, Any]:
    meta: dict[str, Any] = {}
    unknown = 0
    for key, value in raw.items():
        line = lines.get(key, 1)
        parser = SCHEMA.get(key)
        if parser is None:
            meta[key] = value
            if key not in FOREIGN and (unknown := unknown + 1) <= _MOST_UNKNOWN:
                problems.append(spelling.unknown(key, value, raw, path, line))
            continue
        if value in ("", None):
            continue
        try:
            meta[key] = parser(value)
        except ValueError as error:
            problems.append(spelling.misfit(key, value, str(error), path, line))
            if key == "title":
                meta[key] = str(value)
            if key == "private":  # whatever was meant, it was not to be shown to everybody
                meta[key] = True
        else:
            if key in spelling.SPELLED and (problem := spelling.odd(key, value, path, line)):
                problems.append(problem)
    return meta


def _first_heading(body: str) -> str:
    m = re.search(r"^#[ \t]+(\S.*)$", body[:5000], re.M)
    return m[1].rstrip().rstrip("#").rstrip() if m else ""


def shown_authors(names: list[str]) -> str:
    """'Ho, Jain & Abbeel' as 'Ho et al.' where there are more than two."""
    if not names:
        return ""
    family = [name.split()[-1] if name.split() else name for name in names]
    return f"{family[0]} et al." if len(family) > 2 else " & ".join(family)
