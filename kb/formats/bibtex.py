"""BibTeX and BibLaTeX: entries -> front matter, and a note -> its entry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kb.formats.bibtex_syntax import MONTHS, raw_entries
from kb.formats.latex import decode, decode_letters, encode
from kb.ids import Source, fold, identify
from kb.problem import Problem
from kb.sources import Metadata, guess_kind

if TYPE_CHECKING:
    from kb.note import Note

_KINDS = {"book": "book", "software": "code", "dataset": "dataset", "video": "talk"}
_BY_LINK = {"misc", "online", "electronic", "www"}  # the kind is that of what they point to
_IGNORED = {"file", "owner", "timestamp", "bdsk-url-1", "mendeley-groups", "date-added", "date-modified"}
_TOLD = {"title", "subtitle", "readstatus", "year", "date", "month", "abstract", "keywords", "keyword", "tags"}
_READ_STATUS = {"read": "read", "skimmed": "reading"}  # JabRef's words


@dataclass
class Item:
    """One entry as front matter, and the line its text begins on."""

    line: int
    meta: Metadata = field(default_factory=dict)


def read(text: str, path: str = "(bibtex)") -> tuple[list[Item], list[Problem]]:
    """The entries of a bibliography; errors are entries that could not be read, warnings those read in part."""
    entries, problems = raw_entries(text, path)
    parents = {entry.key: entry.fields for entry in entries if entry.key}
    items = []
    for entry in entries:
        item = Item(entry.line, _metadata(entry.kind, entry.key, _inherit(entry.fields, parents)))
        if item.meta.get("title"):
            items.append(item)
        else:
            message = f"entry '{entry.key}' has no title"
            problems.append(Problem(path, entry.line, "bibtex", message, "add a title field"))
    return items, sorted(problems)


def _inherit(raw: Mapping[str, str], parents: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What a crossref gives: the parent's fields where the entry has none, its title as the book's."""
    parent = dict(parents.get(raw.get("crossref", ""), {}))
    if "title" in parent:
        parent.setdefault("booktitle", parent.pop("title"))
    return parent | dict(raw)


def _metadata(entry: str, key: str, raw: Mapping[str, str]) -> Metadata:
    left = {name: value for name, value in raw.items() if name not in _IGNORED and name != "crossref" and value.strip()}
    text = {
        name: value if name in ("url", "doi") else decode(value) for name, value in left.items() if name != "author"
    }
    source, venue, used = _ids(left, text)
    title = ": ".join(filter(None, (text.get("title"), text.get("subtitle")))) or text.get("booktitle")
    year, published = _when(text)
    tags = re.split(r"[,;]", text.get("keywords") or text.get("keyword") or text.get("tags") or "")
    meta: Metadata = {
        "title": title,
        "kind": _kind(source) if entry in _BY_LINK else _KINDS.get(entry, "paper"),
        "status": _READ_STATUS.get(text.get("readstatus", "")),
        "authors": list(_authors(left.get("author", ""))),
        "year": year,
        "venue": venue,
        **source,
        "published": published if published != str(year) else None,
        "tags": [tag for word in tags if (tag := "-".join(fold(word).split()))],
        "cite": key,
        "abstract": text.get("abstract"),
    }
    more = {name: value for name, value in text.items() if name not in _TOLD | used}
    return {k: v for k, v in meta.items() if v} | {"bibtex": {"entry": entry, **dict(sorted(more.items()))}}


def _kind(source: Mapping[str, str]) -> str:
    """The kind of a @misc or @online: by what it points to."""
    key = next((k for k in ("arxiv", "doi", "acl", "openreview", "code", "video", "url") if source.get(k)), "")
    return guess_kind(Source(key, source[key])) if key else "paper"


def _ids(raw: Mapping[str, str], text: Mapping[str, str]) -> tuple[dict[str, str], str, set[str]]:
    """The ids and links of an entry, its venue, and the fields that are told by those."""
    found: dict[str, str] = {}
    used: set[str] = set()
    shown = re.findall(r"https?://[^\s{}]+", raw.get("howpublished", ""))
    references = {"doi": raw.get("doi", ""), "url": raw.get("url", ""), **{link: link for link in shown}}
    if text.get("archiveprefix", text.get("eprinttype", "arxiv")).lower() == "arxiv":
        references = {"eprint": text.get("eprint", ""), **references}
    for name, reference in references.items():
        source = identify(re.sub(r"\\(?=[_&%#~])|[{}]", "", reference))
        if source and source.key not in found:
            found[source.key] = source.value
        used |= {name} if source else set()
    if "eprint" in used and "arxiv" in found:
        used |= {"archiveprefix", "eprinttype", "primaryclass", "eprintclass"}
    if re.fullmatch(r"\\url\{[^{}]*\}|https?://\S+", raw.get("howpublished", "")):
        used |= {"howpublished"}
    place = next((n for n in ("booktitle", "journal", "journaltitle") if text.get(n)), "")
    if m := re.search(r"\barxiv:?\s*(?:preprint\s*)?(?:arxiv:)?\s*(\d{4}\.\d{4,5})", text.get(place, ""), re.I):
        found.setdefault("arxiv", m[1])
        return found, "", used | {place, "volume"}
    if "arxiv" in found and re.fullmatch(r"(?i)(arxiv|corr|arxiv\.org|arxiv e-prints)", text.get(place, "")):
        return found, "", used | {place}
    return found, text.get(place, ""), used


def _when(text: Mapping[str, str]) -> tuple[int | None, str]:
    """The year, and as much of the date as is told: '2020-06-19', '2020-06'."""
    date = re.match(r"[12]\d{3}(-(0[1-9]|1[0-2])(-([0-2]\d|3[01]))?)?", text.get("date", ""))
    if date:
        return int(date[0][:4]), date[0]
    m = re.search(r"(?<!\d)[12]\d{3}(?!\d)", text.get("year", ""))
    if not m:
        return None, ""
    month = re.match(r"\d{1,2}|[a-z]{3}|", text.get("month", "").lower())
    word = month[0] if month else ""
    number = MONTHS.index(word) + 1 if word in MONTHS else int(word) if word.isdigit() else 0
    return int(m[0]), f"{m[0]}-{number:02}" if 1 <= number <= 12 else m[0]


def _authors(value: str) -> Iterator[Any]:
    """'Given Family' where that says it all; a mapping for particles, suffixes and names of organizations."""
    from bibtexparser.middlewares.names import parse_single_name_into_parts, split_multiple_persons_names

    people = decode_letters(" ".join(value.split()))
    for name in split_multiple_persons_names(people) if people else []:
        if re.fullmatch(r"\{[^{}]*\}", name):
            literal = decode(name)
            yield {"literal": literal} if " " in literal else literal
            continue
        parts = parse_single_name_into_parts(name, strict=False)
        given, von, last, suffix = (decode(" ".join(p)) for p in (parts.first, parts.von, parts.last, parts.jr))
        family = f"{von} {last}".strip()
        if suffix or (given and " " in family):
            yield {k: v for k, v in (("family", family), ("given", given), ("suffix", suffix)) if v}
        elif given or family:
            yield f"{given} {family}".strip()


# Writing


def entry(note: Note) -> str:
    """A note as one BibTeX entry."""
    extra = {str(k): str(v) for k, v in (note.meta.get("bibtex") or {}).items()}
    kind, venue = extra.pop("entry", "") or _entry_type(note, extra), str(note.meta.get("venue", ""))
    place = {"article": "journal", "inproceedings": "booktitle", "incollection": "booktitle"}.get(kind, "howpublished")
    if venue and not extra.keys() & {"journal", "journaltitle", "booktitle"}:
        extra.setdefault(place, venue)
    published = str(note.meta.get("published", ""))
    authors = " and ".join(_name(a) for a in note.meta.get("authors") or [])
    fields = {"title": encode(note.title, title=True), "author": authors}
    fields |= {k: encode(extra.pop(k)) for k in ("journal", "journaltitle", "booktitle") if k in extra}
    fields["year"] = str(note.year or "")
    if published[:4] == fields["year"] and len(published) > 4:
        fields["month"] = MONTHS[int(published[5:7]) - 1]
    fields |= {k: encode(v) for k, v in sorted(extra.items())}
    lines = [f"  {k} = {v if k == 'month' else f'{{{v}}}'},\n" for k, v in (fields | _id_fields(note)).items() if v]
    return f"@{kind}{{{cite_key(note)},\n{''.join(lines)}}}\n"


def _entry_type(note: Note, extra: Mapping[str, str]) -> str:
    if note.kind == "book":
        return "book"
    if "booktitle" in extra:
        return "inproceedings"
    venue = note.meta.get("venue", "")
    if note.kind != "paper" or not (venue or "journal" in extra):
        return "misc"
    journal = r"(?i)\b(journal|transactions|letters|annals|review|nature|science|t?jmlr|tmlr|tacl|pnas|magazine)\b"
    return "article" if "journal" in extra or re.search(journal, str(venue)) else "inproceedings"


def _id_fields(note: Note) -> dict[str, str]:
    meta = note.meta
    links = (meta.get(k) for k in ("url", "code", "video"))
    fields = {"doi": str(meta.get("doi", "")), "url": re.sub(r"[{}\s]", "", next((str(x) for x in links if x), ""))}
    if arxiv := meta.get("arxiv"):
        fields |= {"eprint": str(arxiv), "archiveprefix": "arXiv"}
    return fields


def _name(author: Any) -> str:
    """One author for BibTeX."""
    if not isinstance(author, Mapping):
        return _kept_whole(" ".join(str(author).split()))
    if author.get("literal"):
        return f"{{{encode(str(author['literal']))}}}"
    family, suffix, given = (_kept_whole(str(author.get(k) or "")) for k in ("family", "suffix", "given"))
    return ", ".join([family, suffix, given] if suffix else [family, given] if given else [family])


def _kept_whole(name: str) -> str:
    """A name or part of one, in braces where a comma, an 'and' or a mark of TeX would have it taken apart."""
    return f"{{{encode(name)}}}" if re.search(r"(?i)[,\\{}~^&%$#_]|\band\b", name) else encode(name)


def cite_key(note: Note) -> str:
    """`cite`, or family name, year and the first word of the title that means something: ho2020denoising."""
    if cite := re.sub(r"[^\w:.+/-]", "", str(note.meta.get("cite", ""))):
        return cite
    first = (note.meta.get("authors") or [""])[0]
    family = first.get("family") or first.get("literal") if isinstance(first, Mapping) else str(first).split(" ")[-1]
    words = re.findall(r"[a-z0-9]+", fold(note.title).encode("ascii", "ignore").decode())
    word = next((w for w in words if w not in ("a", "an", "the", "on", "of", "in", "for", "to")), "")
    who = re.sub(r"[^a-z0-9]", "", fold(str(family)).encode("ascii", "ignore").decode())
    return f"{who}{note.year or ''}{word}" or note.id
