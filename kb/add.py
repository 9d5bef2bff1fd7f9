"""Adding works: references -> new notes, one for each work, none twice, all in one change."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from kb import duplicates, frontmatter
from kb.files import Journal
from kb.ids import Source, identify, slug
from kb.library import Library
from kb.note import FOLDERS, KEY_ORDER, KINDS, PAGE, STATUSES, Note
from kb.problem import KbError
from kb.sources import Fetcher, Metadata, guess_kind, kind_of
from kb.sources.http import Unreachable

_BIBTEX = re.compile(r"^\s*@\s*\w+\s*[{(]", re.M)


@dataclass(frozen=True)
class AddOptions:
    """What the options of `kb add` say about the new notes. `stdin` stands in for the reference `-`."""

    status: str = "to-read"
    tags: tuple[str, ...] = ()
    kind: str = ""
    id: str = ""
    title: str = ""
    note: str = ""
    offline: bool = False
    stdin: str = ""


@dataclass(frozen=True)
class Added:
    """What became of one reference. `action` is created, exists or completed; `message` is for people."""

    id: str
    path: str
    action: str
    source: str
    message: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"id": self.id, "path": self.path, "action": self.action, "source": self.source}


@dataclass
class Candidate:
    """A reference on its way to a note: what it was given as, what it names, what is known of it, and why no more."""

    given: str
    source: Source | None
    meta: Metadata = field(default_factory=dict)
    lacking: str = ""

    @property
    def tokens(self) -> set[str]:
        named = {self.source.token} if self.source else set()
        return named | {s.token for s in Note("", "", self.meta, "").sources()}


def add(
    library: Library, refs: Sequence[str], options: AddOptions, fetcher: Fetcher, today: date | None = None
) -> list[Added]:
    """Make a note of each reference that has none yet. Everything is written in one change, or nothing."""
    _check_options(options)
    candidates = [c for ref in refs for c in read_refs(ref, options.stdin)]
    known = library.index.works()
    found: list[Added | Candidate] = [_existing(library, c, known) or c for c in candidates]
    fresh = [c for c in found if isinstance(c, Candidate)]
    if (options.id or options.title) and len(fresh) > 1:
        raise KbError(f"--id and --title are for one reference and there are {len(fresh)}; add them one by one", 2)
    _fetch(fresh, options, fetcher)
    return _write(library, found, options, today or date.today())


def _check_options(options: AddOptions) -> None:
    if options.status not in STATUSES:
        raise KbError(f"no status '{options.status}'; there are {' '.join(STATUSES)}", 2)
    if options.kind and options.kind not in KINDS:
        raise KbError(f"no kind '{options.kind}'; there are {' '.join(KINDS)}", 2)
    if options.id and slug(options.id, 250) != options.id:
        raise KbError(f"'{options.id}' is no id of a-z, 0-9 and -; try --id {slug(options.id)}", 2)


# References


def read_refs(ref: str, stdin: str = "") -> list[Candidate]:
    """What one argument of `kb add` stands for: a reference, a .bib file or its text, `-` for what stdin holds."""
    if ref == "-":
        return _read_text(stdin, "(stdin)")
    if _BIBTEX.match(ref):
        return _read_bibtex(ref, "(bibtex)")
    if ref.lower().endswith(".bib") and "://" not in ref:
        return _read_bibtex(_read_file(Path(ref).expanduser()), ref)
    if "://" not in ref and Path(ref).is_file():
        raise KbError(f"{ref} is a file, of which kb add reads .bib only; kb import takes lists and other formats", 2)
    source = identify(ref)
    if source is None:
        raise KbError(f"'{ref}' is no arXiv id, DOI, URL or .bib file; `kb add --help` shows what kb can read", 2)
    return [Candidate(ref, source)]


def _read_file(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise KbError(f"{path}: {error.strerror}; check the name of the file", 2) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")  # what older reference managers write


def _read_text(text: str, name: str) -> list[Candidate]:
    """BibTeX, or a reference a line; empty lines and those that begin with # are passed over."""
    if _BIBTEX.search(text):
        return _read_bibtex(text, name)
    lines = (line.strip() for line in text.splitlines())
    return [c for line in lines if line and not line.startswith("#") and line != "-" for c in read_refs(line)]


def _read_bibtex(text: str, name: str) -> list[Candidate]:
    from kb.formats import bibtex

    items, problems = bibtex.read(text, name)
    if errors := [p for p in problems if p.level == "error"]:
        more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
        raise KbError(f"{errors[0]}{more}; nothing was added (kb import {name} takes what it can read)")
    if not items:
        raise KbError(f"{name} holds no BibTeX entry; check the file")
    found = []
    for item in items:
        source = next(iter(Note("", "", item.meta, "").sources()), None)
        found.append(Candidate(item.meta.get("cite") or item.meta["title"], source, item.meta))
    return found


# What is known of them


def _existing(library: Library, candidate: Candidate, known: dict[str, list[str]]) -> Added | None:
    """The note that has the same work by one of its ids."""
    path = next((known[token][0] for token in sorted(candidate.tokens) if token in known), None)
    if path is None:
        return None
    id = Path(path).stem
    return Added(id, path, "exists", _spelled(candidate), f"{candidate.given} is in the vault already: {path}")


def _fetch(candidates: Iterable[Candidate], options: AddOptions, fetcher: Fetcher) -> None:
    """Fill in what the services know; a work nobody knows stops the command, a silent service does not."""
    asked: dict[str, list[Candidate]] = {}
    for c in candidates:
        if c.source and not c.meta.get("title"):
            asked.setdefault(c.source.token, []).append(c)
    sources = [same[0].source for same in asked.values() if same[0].source]
    answers = [] if options.offline else fetcher(sources) if sources else []
    for source, answer in answers:
        if isinstance(answer, KbError) and not isinstance(answer, Unreachable):
            raise KbError(f"{answer}; nothing was added", answer.code)
        for c in asked[source.token]:
            c.meta, c.lacking = ({}, str(answer)) if isinstance(answer, KbError) else (dict(answer), "")
    for c in (c for same in asked.values() for c in same):
        if c.source and not c.meta:
            c.meta, c.lacking = provisional(c.source), c.lacking or "not asked for (--offline)"


def provisional(source: Source) -> Metadata:
    """What a note says of a work before its service has been asked."""
    return {"title": provisional_title(source), "incomplete": kind_of(source).name}


def provisional_title(source: Source) -> str:
    """A title until the true one is known: 'arXiv 2006.11239', or the last words of a URL."""
    from kb.sources.web import url_title

    names = {"arxiv": "arXiv", "doi": "DOI", "acl": "ACL", "openreview": "OpenReview"}
    return f"{names[source.key]} {source.value}" if source.key in names else url_title(source.value)


# New notes


def _write(library: Library, found: Sequence[Added | Candidate], options: AddOptions, today: date) -> list[Added]:
    shelf = duplicates.Shelf(library)
    taken = {str(id).casefold() for (id,) in library.index.rows("SELECT id FROM notes")}
    writes: dict[str, bytes | None] = {}
    done: list[Added] = []
    for item in found:
        if isinstance(item, Added):
            done.append(item)
            continue
        meta = compose_meta(item, options, today)
        if twin := shelf.find(item.tokens, meta):
            made = twin.path in writes
            message = f"{item.given} is {'the same work as' if made else 'in the vault already:'} {twin.path}"
            if not made:  # a reference given twice makes one note, and says nothing
                done.append(Added(Path(twin.path).stem, twin.path, "exists", _spelled(item), message))
            continue
        if options.id and options.id in taken:
            raise KbError(f"there is a note '{options.id}' already; choose another --id")
        id = options.id or new_id(str(meta["title"]), taken, meta.get("year"))
        path = f"notes/{FOLDERS[meta['kind']]}/{id}.md"
        taken.add(id)
        shelf.put(path, item.tokens, meta)
        writes[path] = frontmatter.compose(meta, options.note).encode()
        done.append(Added(id, path, "created", _spelled(item), _told(path, meta, item.lacking)))
    Journal(library.root).commit("add", writes, dict.fromkeys(writes))
    return done


def compose_meta(candidate: Candidate, options: AddOptions, today: date) -> Metadata:
    """The front matter of a new note, in the house's order."""
    source, meta = candidate.source, dict(candidate.meta)
    if source:
        key = "pdf" if meta.get("pdf") == source.value else source.key
        meta.setdefault(key, source.value)
        if source.at:
            meta.setdefault("at", source.at)
    kind = options.kind or meta.get("kind") or (guess_kind(source) if source else "paper")
    meta["kind"] = kind if kind != PAGE else "post"
    if options.title:
        meta["title"] = options.title
    meta["status"] = meta.get("status") or options.status
    meta["added"] = today.isoformat()
    meta["tags"] = list(dict.fromkeys([*options.tags, *meta.get("tags", [])]))
    return {key: meta[key] for key in KEY_ORDER if meta.get(key) not in (None, "", [], {})}


def _told(path: str, meta: Metadata, lacking: str) -> str:
    if not meta.get("incomplete"):
        return f"added {path}: {meta['title']}"
    return f"added {path}, incomplete: {lacking}; `kb add --complete` fetches the rest"


def _spelled(candidate: Candidate) -> str:
    return f"{candidate.source.key}:{candidate.source.value}" if candidate.source else candidate.given


def new_id(title: str, taken: Container[str], year: int | None = None) -> str:
    """An id for a title: its short name before a colon ('MobileLLM: …' -> mobilellm), else its words. Where that is
    taken, the year is added, or else a number."""
    name, colon, _ = title.partition(": ")
    short = colon and len(name.split()) <= 3 and re.search(r"[^\W\d_]", name) and slug(name) != "note"
    for base in dict.fromkeys((slug(name), slug(title)) if short else (slug(title),)):
        if base not in taken:
            return base
    if year and f"{base}-{year}" not in taken:
        return f"{base}-{year}"
    n = 2
    while f"{base}-{n}" in taken:
        n += 1
    return f"{base}-{n}"
