"""What the columns of a table mean, by their names: those of Zotero, of Notion's databases, of people's tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_NAMES = {  # what a column holds -> the names people give it
    "key": "key, id, citation key, cite key, citekey, bibtex key",
    "title": "title, name, paper, paper title, article, work, book, talk, course, video, post, item, document title,"
             " resource, project, model, method, dataset, tool, repo, repository",
    "url": "url, link, links, website, web, source, paper link, paper url, href, address, pdf link, site",
    "arxiv": "arxiv, arxiv id, arxiv link, arxivid",
    "doi": "doi",
    "isbn": "isbn, isbn13, isbn 13",
    "pdf": "pdf, pdf url",
    "code": "code, github, implementation, code link, source code, code url",
    "video": "video, recording, youtube, talk link",
    "slides": "slides, deck",
    "authors": "author, authors, by, writer, writers, author s, first author, speaker, speakers",
    "year": "year, publication year, pub year, published in",
    "date": "date, published, publication date, publish date, date published",
    "venue": "venue, publication title, publication, journal, conference, conference name, journal name,"
             " proceedings title, published at, where",
    "status": "status, state, reading status, read status, progress, stage, exclusive shelf",
    "read": "read, done, finished, completed, read it",
    "added": "date added, added, created, created time, created at, added on, date created, added at",
    "started": "started, date started, start date, start",
    "finished": "finished on, date read, date finished, completed on, read on, date completed, end date, finish date",
    "tags": "tags, tag, keywords, topics, topic, category, categories, labels, label, area, areas, subject, subjects,"
            " field, manual tags, automatic tags, collections, bookshelves, folder, theme, themes",
    "rating": "rating, score, my rating, stars, score 5",
    "kind": "type, item type, kind, format, media, media type, document type",
    "notes": "notes, note, comment, comments, my notes, remarks, thoughts, takeaway, takeaways, review, my review,"
             " summary, key takeaways, why",
    "abstract": "abstract, abstract note, description, tldr, tl dr",
    "extra": "extra",
}  # fmt: skip
_COLUMN = {name.strip(): field for field, names in _NAMES.items() for name in names.split(",")}
FORMULA = "=+-@＝＋－＠"  # what a cell begins with that a spreadsheet computes
LINKS = ("doi", "arxiv", "isbn", "url", "pdf", "code", "video", "slides")


def meaning(name: str) -> str:
    """What a column of this name holds; '' for a name that says nothing to us."""
    words = " ".join(re.findall(r"[^\W_]+", name.casefold().replace("(s)", "s")))
    return _COLUMN.get(words, "")


def meanings(header: Sequence[str]) -> list[str]:
    """What each column of a table holds. 'Code' and the like are titles where no other column is."""
    found = [meaning(name) for name in header]
    if "title" not in found and header and found[0] in ("code", "video", ""):
        found[0] = "title"
    return found


def is_table_of_works(header: Sequence[str]) -> bool:
    """Whether the names of a table's columns tell that its rows are works: one that holds titles or links, and another
    one that tells what works have."""
    found = {meaning(name) for name in header if name.strip()}
    named = found & {"title", "doi", "arxiv", "url"}
    return bool(named) and (len(found - {"", "key"}) > 1 or ("" not in found and found != {"title"}))


def guarded(cell: str) -> str:
    """A cell that no spreadsheet computes: an apostrophe stands before what it would take for a formula."""
    return f"'{cell}" if cell.lstrip("'")[:1] in tuple(FORMULA) else cell


def unguarded(cell: str) -> str:
    """What was put into `guarded`; any other cell as it is."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'")[:1] in tuple(FORMULA) else cell


def cells_of(
    fields: Sequence[str], header: Sequence[str], row: Sequence[str]
) -> tuple[Mapping[str, list[str]], list[tuple[str, str]]]:
    """A row by what its columns hold, and what stands in the others, by their names."""
    known: dict[str, list[str]] = {}
    other = []
    for n, cell in enumerate(row):
        value = unguarded(cell.strip())
        field = fields[n] if n < len(fields) else ""
        if value and field:
            known.setdefault(field, []).append(value)
        elif value:
            other.append((header[n].strip() if n < len(header) else "", value))
    return known, other
