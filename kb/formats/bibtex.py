"""BibTeX and BibLaTeX, as JabRef, Zotero, Paperpile, Mendeley and BibDesk write them: entries -> records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from kb.formats.bibtex_syntax import RawEntry, read_bibliography
from kb.formats.jabref import group_paths
from kb.formats.latex import decode, decode_letters
from kb.formats.records import (
    Record,
    added_day,
    endless,
    front_matter,
    links_of,
    person,
    status_of,
    tag_of,
    tags_and_status,
    text_of,
    unread,
)
from kb.problem import Problem

_OWN = {  # what programs keep for themselves: paths of this machine, dates of their files, orders of their windows
    "file", "owner", "timestamp", "mendeley-groups", "mendeley-tags", "date-added", "date-modified", "dateadded",
    "datemodified", "creationdate", "modificationdate", "groups", "crossref", "xdata", "ids", "xref", "local-url",
    "__markedentry", "bdsk-file-1", "bdsk-color", "sortkey", "readstatus", "read", "priority", "ranking", "rating",
    "read_status", "read_status_date", "status", "relevance", "qualityassured", "printed",
}  # fmt: skip
_ADDED = ("date-added", "dateadded", "creationdate", "timestamp")
_LISTS = ("keywords", "keyword", "tags", "mendeley-tags")
_NOTES = ("annote", "annotation", "comment", "review", "notes")
_VERBATIM = ("url", "doi", "eprint", "pdf", "pmid", "isbn")


def read(text: str, path: str = "(bibtex)") -> tuple[list[Record], list[Problem]]:
    """The entries of a bibliography; errors are entries that could not be read, warnings those read in part."""
    records, problems = _records(text, path)
    return [record for record in records if not record.fault], sorted(problems)


def read_file(data: bytes, name: str) -> tuple[list[Record], list[Problem]]:
    """The records of a .bib file, with those that cannot be read."""
    said = re.search(rb"(?m)^[ \t]*%[ \t]*Encoding:[ \t]*([\w-]{1,40})", data[:2000])  # JabRef's first line
    text, problems = text_of(data, name, "bibtex", said[1].decode() if said else "")
    if fault := endless(text, name, "bibtex"):
        return [fault[0]], [*problems, fault[1]]
    records, more = _records(text, name)
    return records, sorted(problems + more)


def _records(text: str, path: str) -> tuple[list[Record], list[Problem]]:
    found = read_bibliography(text, path)
    problems = list(found.problems)
    parents = {entry.key: entry.fields for entry in found.entries if entry.key}
    groups = group_paths(found.comments)
    records = [Record(lines.start, end=lines.stop - 1, fault=fault) for lines, fault in found.faults]
    for entry in found.entries:
        if entry.kind == "xdata":  # fields for other entries, and no work
            continue
        record = _record(entry, _inherit(entry.fields, parents), groups)
        if not record.meta.get("title"):
            name = entry.key or entry.kind
            record, problem = unread(
                path, entry.line, "bibtex", f"entry '{name}' has no title", "add a title field", entry.end
            )
            problems.append(problem)
        records.append(record)
    problems = [replace(problem, message=" ".join(problem.message.split())) for problem in problems]
    return sorted(records, key=lambda record: record.line), problems


def _inherit(raw: Mapping[str, str], parents: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What a crossref or xdata gives: the parent's fields where the entry has none, its title as the book's."""
    shared: dict[str, str] = {}
    for key in reversed(raw.get("xdata", "").split(",")):
        shared |= parents.get(key.strip(), {})
    parent = dict(parents.get(raw.get("crossref", ""), {}))
    if "title" in parent:
        parent.setdefault("booktitle", parent.pop("title"))
    for own in ("groups", "readstatus", "isbn", "doi", "url", "author", *_LISTS, *_NOTES) if parent else ():
        parent.pop(own, None)  # what is said of the whole book is not said of its part
    return shared | parent | dict(raw)


def _record(entry: RawEntry, raw: Mapping[str, str], groups: Mapping[str, list[str]]) -> Record:
    left = {name: value for name, value in raw.items() if name not in _OWN and value.strip()}
    text = {name: value if name in _VERBATIM else decode(value) for name, value in left.items() if name != "author"}
    ids, venue, used, more = _ids(entry.kind, left, text)
    words = [w for name in _LISTS for w in re.split(r"[,;]", decode(raw.get(name, "")))]
    tags, tagged = tags_and_status(words)
    collections = [groups_of for name in _split_groups(raw) for groups_of in groups.get(name, [name])]
    collections += groups.get(f"\0{entry.key}", [])
    tags += [t for name in collections if (t := tag_of(name))]
    meta = front_matter(
        entry.kind,
        {k: v for k, v in text.items() if k not in (*_LISTS, *_NOTES)},
        _authors(left.get("author", "")),
        ids,
        venue,
        used,
        also=more,
        added=added_day(*(decode(raw.get(name, "")) for name in _ADDED)),
        tags=list(dict.fromkeys(tags)),
        cite=entry.key,
        **_state(raw, tagged),
    )
    body = "\n\n".join(_plain_note(raw[name]) for name in _NOTES if raw.get(name, "").strip())
    return Record(entry.line, meta, entry.end, entry.key, body)


def _state(raw: Mapping[str, str], tagged: str) -> dict[str, Any]:
    """Status, rating and when: JabRef's readstatus, ranking and printed words, BibDesk's read and rating."""
    word = decode(raw.get("readstatus") or raw.get("read_status") or raw.get("status") or "")
    flag = decode(raw.get("read", "")).lower()
    status = status_of(word) or ({"1": "read", "true": "read", "0": ""}.get(flag) or status_of(flag)) or tagged
    m = re.fullmatch(r"(?:rank)?([1-5])", decode(raw.get("ranking") or raw.get("rating") or "").strip())
    found: dict[str, Any] = {"status": status, "rating": int(m[1]) if m else None}
    day = added_day(decode(raw.get("read_status_date", "")))
    if day and status in ("read", "reading"):
        found["finished" if status == "read" else "started"] = day
    return found


def _split_groups(raw: Mapping[str, str]) -> list[str]:
    """The groups of an entry: JabRef's with commas, Mendeley's with semicolons or commas; and its priority as one."""
    names = [
        n.strip() for key in ("groups", "mendeley-groups") for n in re.split(r"(?<!\\)[,;]", decode(raw.get(key, "")))
    ]
    priority = decode(raw.get("priority", "")).strip()
    return [n for n in (*names, priority) if n]


def _plain_note(latex: str) -> str:
    """A note as Markdown: paragraphs and lines as they stand, LaTeX and HTML turned into marks."""
    from kb.formats.rich_text import is_html, to_markdown

    if is_html(latex):
        return to_markdown(re.sub(r"\\([%&_#$])", r"\1", latex))
    lines = [decode(line) for line in latex.replace("\\par ", "\n\n").split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _ids(
    entry: str, raw: Mapping[str, str], text: Mapping[str, str]
) -> tuple[dict[str, str], str, set[str], list[str]]:
    """The ids and links of an entry, its venue, the fields that are told by those, further links."""
    shown = re.findall(r"https?://[^\s{}]+", raw.get("howpublished", ""))
    extra = {name: value for name, value in raw.items() if name.startswith("bdsk-url")}
    references = {"doi": raw.get("doi", ""), "url": raw.get("url", ""), **extra, **{link: link for link in shown}}
    archive = text.get("archiveprefix", text.get("eprinttype", "arxiv")).lower()
    if archive in ("arxiv", "pmid", "pubmed"):
        prefix = "" if archive == "arxiv" else "pmid:"
        references = {"eprint": f"{prefix}{text.get('eprint', '')}", **references}
    references |= {"arxiv": raw.get("arxiv", raw.get("arxivid", "")), "pmid": _prefixed("pmid", raw)}
    references |= {"isbn": _prefixed("isbn", raw)} if entry == "book" else {}
    references |= {"pdf": raw.get("pdf", "")}
    bare = {name: re.sub(r"\\(?=[_&%#~])|[{}]", "", value) for name, value in references.items()}
    found, more, used = links_of(bare)
    used |= {name for name in extra} | ({"arxivid"} if "arxiv" in used else set())
    if "eprint" in used and ("arxiv" in found or "pmid" in found):
        used |= {"archiveprefix", "eprinttype", "primaryclass", "eprintclass"}
    if re.fullmatch(r"\\url\{[^{}]*\}|https?://\S+", raw.get("howpublished", "").strip()):
        used |= {"howpublished"}
    venue, told = _venue(found, text)
    return found, venue, used | told, more


def _prefixed(name: str, raw: Mapping[str, str]) -> str:
    return f"{name}:{raw[name]}" if raw.get(name) else ""


def _venue(found: dict[str, str], text: Mapping[str, str]) -> tuple[str, set[str]]:
    """The place of publication; arXiv is none, and the id that stands in its name is the work's."""
    place = next((n for n in ("booktitle", "journal", "journaltitle") if text.get(n)), "")
    if m := re.search(r"\barxiv:?\s*(?:preprint\s*)?(?:arxiv:)?\s*(\d{4}\.\d{4,5})", text.get(place, ""), re.I):
        found.setdefault("arxiv", m[1])
        return "", {place, "volume"}
    if "arxiv" in found and re.fullmatch(r"(?i)(arxiv|corr|arxiv\.org|arxiv e-prints)", text.get(place, "")):
        return "", {place}
    return text.get(place, ""), set()


def _authors(value: str) -> Iterator[Any]:
    """'Given Family' where that says it all; a mapping for particles, suffixes and names of organizations."""
    from bibtexparser.middlewares.names import parse_single_name_into_parts, split_multiple_persons_names

    people = decode_letters(" ".join(value.split()))
    for name in split_multiple_persons_names(people) if people else []:
        if _is_braced(name):
            yield person("", literal=decode(name))
            continue
        if re.search(r"\b(family|given)(-i)?\s*=", name):  # BibLaTeX's extended names: family=Sartre, given=Jean
            said = dict(re.findall(r"(family|given|suffix|prefix)\s*=\s*\{?([^,{}]*)", name))
            family = f"{decode(said.get('prefix', ''))} {decode(said.get('family', ''))}".strip()
            yield person(family, decode(said.get("given", "")), decode(said.get("suffix", "")))
            continue
        parts = parse_single_name_into_parts(name, strict=False)
        given, von, last, suffix = (decode(" ".join(p)) for p in (parts.first, parts.von, parts.last, parts.jr))
        family = f"{von} {last}".strip()
        if given or family:
            yield person(family, given, suffix)


def _is_braced(name: str) -> bool:
    """Whether one pair of braces holds all of a name: `{Universit{\\"a}t}`, not `{A}b{C}`."""
    depth = 0
    for n, c in enumerate(name):
        depth += (c == "{") - (c == "}") if name[n - 1 : n] != "\\" else 0
        if depth == 0:
            return n == len(name) - 1 and c == "}"
    return False
