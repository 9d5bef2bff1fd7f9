"""BibTeX and BibLaTeX: works -> entries.

BibTeX knows no Unicode: letters of Latin with accents are commands ({\\"o}), which every style sorts and shortens
rightly; other scripts stay UTF-8, which today's LaTeX takes. BibLaTeX is UTF-8 throughout, with its own names for
fields and types. Values of `bibtex:` in the front matter win over what the other keys say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kb.exporting.works import Person, Work, percent
from kb.formats.days import MONTHS
from kb.formats.latex import encode

_CLASSIC = {"online": "misc", "software": "misc", "dataset": "misc", "video": "misc"}  # types that BibTeX has not
_PLACES = {"article": "journal", "inproceedings": "booktitle", "incollection": "booktitle", "inbook": "booktitle"}
_CONTAINERS = ("journal", "journaltitle", "booktitle")
_SUBJECT = ("primaryclass", "eprintclass")
_VERBATIM = ("url", "doi", "eprint", "file")
_STATUS = {"read": "read", "reading": "skimmed", "to-read": "to-read", "dropped": "dropped"}  # JabRef has the first two


def bibliography(works: Iterable[Work], biblatex: bool = False, full: bool = True) -> str:
    """Works as a .bib file, in their order; `full` adds abstracts, keywords and what has been read."""
    return "\n".join(entry(work, biblatex, full) for work in works)


def entry(work: Work, biblatex: bool = False, full: bool = False) -> str:
    """A work as one entry."""

    def text(value: str) -> str:
        return encode(value, letters=not biblatex)

    extra = dict(work.extra)
    if biblatex and "journal" in extra:
        extra.setdefault("journaltitle", extra.pop("journal"))
    place = _container(work, extra, biblatex)
    extra |= {name: value for name, value in place.items() if name not in _CONTAINERS and value}
    authors = " and ".join(_name(person, not biblatex) for person in work.people)
    fields = {"title": encode(work.note.title, title=True, letters=not biblatex), "author": authors}
    fields |= {name: text(value) for name, value in place.items() if name in _CONTAINERS}
    fields |= _date(work, biblatex, full)
    told = {name: percent(v) if name in _VERBATIM else text(v) for name, v in sorted(extra.items())}
    fields |= {name: value for name, value in told.items() if name not in (*_CONTAINERS, *_SUBJECT)}
    fields |= {name: value for name, value in _ids(work, biblatex).items() if name not in told}
    if full:
        fields |= _reader(work, not biblatex)
    kind = work.type if biblatex or work.type == work.stated else _CLASSIC.get(work.type, work.type)
    lines = [f"  {name} = {v if name == 'month' else f'{{{v}}}'},\n" for name, v in fields.items() if v]
    return f"@{kind}{{{work.key},\n{''.join(lines)}}}\n"


def _container(work: Work, extra: dict[str, str], biblatex: bool) -> dict[str, str]:
    """The fields that say where a work stands. A preprint cited as an article has arXiv for its journal, as BibTeX's
    styles ask for one."""
    named = {name: extra[name] for name in _CONTAINERS if name in extra}
    if named:
        return named
    place = _PLACES.get(work.type, "" if "howpublished" in extra else "howpublished")
    if place == "journal":
        arxiv = f"arXiv preprint arXiv:{work.get('arxiv')}" if work.get("arxiv") else ""
        return {"journaltitle" if biblatex else place: work.venue or arxiv}
    return {place: work.venue} if place else {}


def _date(work: Work, biblatex: bool, full: bool) -> dict[str, str]:
    """BibTeX has no day; our reader and BibLaTeX take `date` for it."""
    date = "-".join(f"{part:02}" for part in work.date)
    if biblatex:
        return {"date": date}
    year, month, *_ = [*work.date, 0, 0]
    found = {"year": str(year or ""), "month": MONTHS[month - 1] if month else ""}
    return found | ({"date": date} if full and len(work.date) == 3 else {})


def _ids(work: Work, biblatex: bool) -> dict[str, str]:
    """The verbatim fields: neither BibTeX nor a reader of BibTeX takes their `_` and `%` for LaTeX."""
    fields = {"doi": percent(work.doi), "url": percent(work.url)}
    fields |= _second_link(work)
    if arxiv := work.get("arxiv"):
        fields |= {"eprint": arxiv, "eprinttype" if biblatex else "archivePrefix": "arXiv"}
        if subject := next((work.extra[name] for name in _SUBJECT if name in work.extra), ""):
            fields["eprintclass" if biblatex else "primaryClass"] = subject
    return fields


def _second_link(work: Work) -> dict[str, str]:
    """Of what is no paper, the code or video that goes with its page."""
    free = not (work.extra.keys() & {"howpublished"} or work.venue or work.type in _PLACES)
    links = [link for link in work.links if link != work.url]
    if not free or work.note.kind in ("paper", "book") or not links:
        return {}
    return {"howpublished": f"\\url{{{percent(links[0])}}}"}


def _reader(work: Work, letters: bool) -> dict[str, str]:
    """What a reader keeps of a work and a bibliography does not need."""
    return {
        "abstract": encode(work.get("abstract"), letters=letters),
        "keywords": encode(", ".join(work.note.tags), letters=letters),
        "readstatus": _STATUS.get(work.note.status, ""),
    }


def _name(person: Person, letters: bool) -> str:
    """One author: `Family, Suffix, Given`; a name that is not taken apart in braces of its own."""
    if person.literal == "others":
        return "others"
    if person.literal:
        return f"{{{encode(person.literal, letters=letters)}}}"
    parts = [person.family, person.suffix, person.given] if person.suffix else [person.family, person.given]
    return ", ".join(_kept_whole(part, letters) for part in parts if part)


def _kept_whole(name: str, letters: bool) -> str:
    """Part of a name, in braces where a comma, an 'and' or a mark of TeX would have it taken apart."""
    found = encode(name, letters=letters)
    return f"{{{found}}}" if re.search(r"(?i)[,\\{}~^&%$#_]|\band\b", name) else found
