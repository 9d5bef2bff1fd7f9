"""CSV: Zotero's export, databases of Notion and Airtable, Goodreads, any table whose columns say what they hold."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kb.formats.columns import LINKS, cells_of, is_table_of_works, meanings
from kb.formats.days import day_of
from kb.formats.extra import split_extra
from kb.formats.records import (
    Record,
    added_day,
    front_matter,
    line_of,
    links_of,
    name_of,
    status_of,
    tags_and_status,
    text_of,
    unread,
)
from kb.formats.rich_text import to_markdown
from kb.formats.zotero import TYPES
from kb.problem import Problem

_LARGEST = 16 << 20  # characters of one cell
_LONGEST_LINK = 4000  # characters of a title that is a link
_ZOTERO = {  # Zotero's names of columns -> BibTeX's fields
    "issn": "issn", "pages": "pages", "num pages": "pagetotal", "issue": "number", "volume": "volume",
    "series": "series",
    "publisher": "publisher", "place": "address", "language": "language", "short title": "shorttitle", "type": "type",
    "edition": "edition", "number": "number", "journal abbreviation": "shortjournal", "editor": "editor",
    "translator": "translator", "rights": "copyright", "meeting name": "eventtitle", "conference name": "eventtitle",
}  # fmt: skip
_PASSED = {  # about Zotero's own files and dates
    "date modified", "access date", "file attachments", "link attachments", "library catalog", "call number",
}  # fmt: skip
_TYPES = {name.lower(): entry for name, entry in TYPES.items()}
_KINDS = {
    "paper": "paper", "article": "paper", "research paper": "paper", "preprint": "paper", "talk": "talk",
    "video": "talk",
    "lecture": "lecture", "course": "course", "post": "post", "blog": "post", "blog post": "post", "blogpost": "post",
    "thread": "thread", "tweet": "thread", "book": "book", "code": "code", "repo": "code", "repository": "code",
    "tool": "tool", "dataset": "dataset", "forumpost": "thread",
}  # fmt: skip


def read(data: bytes, name: str) -> tuple[list[Record], list[Problem]]:
    """The rows of a table as records."""
    text, problems = text_of(data, name, "csv")
    rows = _rows(text, name, problems)
    header, first, _ = next(rows, ([], 1, 1))
    header = [cell.strip() for cell in header]
    if not is_table_of_works(header):
        shown = line_of(", ".join(header))[:80] or "nothing"
        record, problem = unread(
            name, first, "csv", f"the first line names no known columns ({shown})", "name one Title or URL",
            text.count("\n") + 1,
        )  # fmt: skip
        return [record], sorted([*problems, problem])
    zotero = {"key", "item type"} <= {cell.lower() for cell in header}
    fields = _zotero_fields(header) if zotero else meanings(header)
    records = []
    for row, line, end in rows:
        if not any(cell.strip() for cell in row):
            continue
        known, other = cells_of(fields, header, row)
        record = _record(known, other, line, end, zotero)
        if not record.meta.get("title"):
            record, problem = unread(name, line, "csv", "a row has no title and no link", "fill in its title", end)
            problems.append(problem)
        elif len(row) > len(header) and any(cell.strip() for cell in row[len(header) :]):
            message = f"a row has {len(row)} cells, the first line {len(header)}"
            problems.append(Problem(name, line, "csv", message, "quote the cell that holds a comma", "warning"))
        records.append(record)
    return records, sorted(problems)


def _rows(text: str, name: str, problems: list[Problem]) -> Iterator[tuple[list[str], int, int]]:
    """The rows with their first and last line. Where a quote is wrong, what can be told of the rest is told."""
    head = text.partition("\n")[0]
    comma = max((",", ";", "\t"), key=head.count)
    before = csv.field_size_limit(_LARGEST)
    reader = csv.reader(io.StringIO(text), delimiter=comma)
    line = 1
    try:
        while True:
            csv.field_size_limit(_LARGEST)
            row = next(reader, None)
            if row is None:
                return
            if row:
                yield row, line, reader.line_num
            line = reader.line_num + 1
    except csv.Error as error:
        problems.append(Problem(name, line, "csv", f"the table cannot be read from here: {error}", "look for a quote"))
    finally:
        csv.field_size_limit(before)


def _zotero_fields(header: Sequence[str]) -> list[str]:
    """Zotero's columns, of which most are fields of a bibliography and keep their names."""
    known = set(_ZOTERO) | _PASSED
    found = meanings(header)
    return ["" if name.lower() in known else field for name, field in zip(header, found, strict=True)]


def _record(known: Mapping[str, list[str]], other: list[tuple[str, str]], line: int, end: int, zotero: bool) -> Record:
    def first(field: str) -> str:
        return known.get(field, [""])[0]

    said, extra = split_extra("\n".join(known.get("extra", [])))
    title, linked = _linked(first("title"))
    word = first("kind").lower()
    entry = _TYPES.get(word.replace(" ", ""), "misc")
    ids, more, told = _ids(known, said.pop("ids", []), linked, entry)
    words = [w for value in known.get("tags", []) for w in re.split(r";" if zotero else r"[,;|]", value)]
    tags, tagged = tags_and_status(words)
    extras = {_ZOTERO[name.lower()]: value for name, value in other if zotero and name.lower() in _ZOTERO}
    text = extras | {"title": title, "abstract": first("abstract"), "date": first("date") or first("year")}
    text |= {"isbn": first("isbn")} if first("isbn") and "isbn" not in told else {}
    text |= {"doi": first("doi")} if first("doi") and "doi" not in told else {}
    if zotero and (editor := text.get("editor")):
        text["editor"] = " and ".join(part.strip() for part in editor.split(";"))
    venue = first("venue")
    status, dates = _state(known, said, tagged)
    meta = front_matter(
        entry, text, _authors(known.get("authors", []), zotero), ids, "" if re.match(r"(?i)arxiv", venue) else venue,
        also=more, tags=tags, status=status, rating=_rating(first("rating")) or said.get("rating"),
        added=added_day(first("added")) or said.get("added"), cite=said.get("cite"),
        kind=_kind(word, entry, ids), **dates,
    )  # fmt: skip
    if not zotero and meta.get("bibtex") == {"entry": "misc"}:
        del meta["bibtex"]  # nobody spoke of an entry
    if not meta.get("title") and ids:
        from kb.ids import Source
        from kb.verbs.references import provisional

        meta = {**provisional(Source(*next(iter(ids.items())))), **meta}
    notes = [to_markdown(note) for note in known.get("notes", [])] + ([extra] if extra.strip() else [])
    notes += [f"- {name}: {line_of(value)}" for name, value in other if not zotero and name]
    notes += [f"- {line_of(value)}" for name, value in other if not name]
    return Record(line, meta, end, first("key") if zotero else "", "\n\n".join(n for n in notes if n))


def _linked(title: str) -> tuple[str, str]:
    """A title that is a link, as Markdown and spreadsheets write it: its words and where it leads."""
    if len(title) > _LONGEST_LINK:
        return title, ""
    if m := re.fullmatch(r"\[(.+)\]\(\s*<?(\S+?)>?\s*\)", title.strip()):
        return m[1], m[2]
    if m := re.fullmatch(r'=HYPERLINK\("([^"]+)"[,;]\s*"([^"]+)"\)', title.strip(), re.I):
        return m[2], m[1]
    if re.fullmatch(r"https?://\S+", title.strip()):
        return "", title.strip()
    m = re.fullmatch(r"(.+?)\s*\((https?://\S+)\)", title.strip())  # Notion's relations
    return (m[1], m[2]) if m else (title, "")


def _ids(
    known: Mapping[str, list[str]], written: Sequence[str], linked: str, entry: str
) -> tuple[dict[str, str], list[str], set[str]]:
    references: dict[str, str] = {}
    for field in LINKS:
        for n, value in enumerate(known.get(field, [])):
            urls = re.findall(r"https?://[^\s)\]>]+", value) or [value]
            prefix = "isbn:" if field == "isbn" and entry in ("book", "misc") else ""
            if field == "isbn" and not prefix:
                continue
            for m, url in enumerate(urls):
                name = field if not n and not m else f"{field} {n} {m}"
                references[name] = prefix + url.strip('=" ')
    references |= {f"id {n}": ref for n, ref in enumerate(written)} | {"linked": linked}
    slides = references.pop("slides", "")
    code = references.pop("code", "")
    found, more, told = links_of(references)
    if re.match(r"https?://", code):
        found.setdefault("code", code)
    if re.match(r"https?://", slides):
        found["slides"] = slides
    return found, more, told


def _authors(values: Sequence[str], zotero: bool) -> list[Any]:
    found = []
    for value in (" ".join(value.split()) for value in values):
        if zotero or ";" in value:
            names = value.split(";")
        else:
            names = re.split(
                r"\s+(?:and|&)\s+|,\s+(?=[^,]+ |\w+$)|,", value.replace(" et al.", "").replace(" et al", "")
            )
            first = value.split(",")[0].strip()
            if value.count(",") == 1 and " " not in first:  # 'Ho, Jonathan'
                names = [value]
        found += [name_of(name) for name in names if name.strip()]
    return found


def _state(known: Mapping[str, list[str]], said: Mapping[str, Any], tagged: str) -> tuple[str, dict[str, str]]:
    """The status, and the days on which reading began and ended."""
    status = next((s for word in known.get("status", []) if (s := status_of(word))), "")
    ticked = line_of(known.get("read", [""])[0])
    finished = day_of(ticked)
    if not status and ticked:
        status = "read" if finished or ticked.lower() in ("x", "✓", "✔", "✅", "true", "1") else status_of(ticked)
        status = "to-read" if ticked.lower() in ("false", "0") else status
    status = status or str(said.get("status", "")) or tagged
    dates = {
        "started": day_of(known.get("started", [""])[0]),
        "finished": finished or day_of(known.get("finished", [""])[0]),
    }
    dates |= {key: said[key] for key in dates if key in said}
    if dates["finished"] and not status:
        status = "read"
    return status, {key: day for key, day in dates.items() if day}


def _rating(text: str) -> int | None:
    stars = len(re.findall("[⭐★🌟]", text))
    m = re.fullmatch(r"([1-5])(?:\s*/\s*5|\.0)?", text.strip())
    return int(m[1]) if m else stars if 1 <= stars <= 5 else None


def _kind(word: str, entry: str, ids: Mapping[str, str]) -> str:
    """The kind that a column names; '' where its links tell."""
    if word in _KINDS and word not in _TYPES:
        return _KINDS[word]
    if entry != "misc" or any(key in ids for key in ("arxiv", "doi", "acl", "openreview")):
        return _KINDS.get(word, "")
    return ""
