"""Who wrote a work, when and where it appeared, as a citation says: `Author et al., "Title", ICML 2020`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_NAME = r"[^\W\d_a-z][\w.'’-]*(?: (?:(?:van|von|de|der|den|del|di|la|le|al|bin) )*[^\W\d_a-z][\w.'’-]*){1,3}"
NAME = re.compile(_NAME)
_YEAR = r"(?:19|20)\d\d"
VENUE = r"[A-Z][A-Za-z&+]*[A-Z][A-Za-z&+]*|Nature|Science|Interspeech|Distill"
_CREDITS = r"(?P<credits>[^\W\d_a-z][^\"“”:]{2,120}?)"
_QUOTED = re.compile(rf"{_CREDITS}[,.:]?\s*[\"“](?P<title>[^\"“”]{{4,}}?)[,.]?[\"”][,.]?\s*(?P<rest>.*)$")
_APA = re.compile(
    rf"{_CREDITS}\s*\((?P<year>{_YEAR})[a-z]?\)[.,:]?\s+(?P<title>[^.?!]{{4,}}(?:\d\.\d[^.?!]*)*[?!]?)(?:\.\s*(?P<rest>.*)|$)"
)
_PLACE = re.compile(rf"(?:[Ii]n:?\s+)?({VENUE})(?:\s+|\s*['’]|,\s*)({_YEAR}|\d\d)\b[,.;]?\s*")


@dataclass
class Citation:
    """A line read as a citation; `rest` is what has no key of its own."""

    title: str
    authors: list[str] = field(default_factory=list)
    year: int | None = None
    venue: str = ""
    rest: str = ""


def read_citation(text: str) -> Citation | None:
    """`Author et al., "Title", NeurIPS 2020` or `Author (2017). Title. Rest`; None for any other line."""
    for pattern in (_QUOTED, _APA):
        m = pattern.match(text)
        if not m or not _are_names(m["credits"]):
            continue
        found = Citation(m["title"].strip(" ,."), rest=(m["rest"] or "").strip())
        if pattern is _APA:
            found.year = int(m["year"])
        elif year := re.search(rf"\(({_YEAR})\)", m["credits"]):
            found.year = int(year[1])
        credits = re.sub(rf"\s*\({_YEAR}\)", "", m["credits"]).strip(" ,")
        found.authors = authors_of(credits)
        if place := _PLACE.match(found.rest):
            found.venue, year_text = place[1], place[2]
            found.year = found.year or (int(year_text) if len(year_text) == 4 else 2000 + int(year_text))
            found.rest = found.rest[place.end() :]
        elif (year := re.match(rf"\(?({_YEAR})\)?[,.;]?\s*", found.rest)) and not found.year:
            found.year, found.rest = int(year[1]), found.rest[year.end() :]
        if not found.authors:
            found.rest = f"{credits.rstrip('.')}. {found.rest}" if found.rest else credits
        return found
    return None


def _are_names(text: str) -> bool:
    """Whether words can be authors: `et al.`, or names and initials alone."""
    text = re.sub(rf"\s*\({_YEAR}\)", "", text).strip(" ,")
    if re.search(r"\bet al\b", text):
        return True
    words = re.findall(r"[^\W\d_][\w.'’-]*", re.sub(r"\band\b|&", "", text))
    return (
        bool(words)
        and all(w[0].isupper() or w in ("van", "von", "de", "der", "la") for w in words)
        and (len(authors_of(text)) > 0)
    )


def authors_of(text: str) -> list[str]:
    """['Ada Byron', 'C. Babbage'] of 'Ada Byron and Babbage, C.'; [] where the names are not all there, or unclear."""
    text = " ".join(text.split())
    if re.search(r"\bet al\b|\bothers\b", text):
        return []
    if re.search(r",\s+(?:[A-Z]\.[ -]?)+(?=,|&|\s|$)", text):
        pairs = re.findall(r"([^\W\d_][\w'’ -]{1,80}),\s+((?:[A-Z]\.[ -]?)+)", text)
        left = re.sub(r"([^\W\d_][\w'’ -]{1,80}),\s+((?:[A-Z]\.[ -]?)+)|[,&\s]|\band\b", "", text)
        names = [f"{initials.strip()} {re.sub(r'^(?:and|&) ', '', family.strip())}" for family, initials in pairs]
        return names if not left else []
    names = [name.strip() for name in re.split(r",\s*(?:and\s+|&\s*)?|\s+and\s+|\s*&\s*", text) if name.strip()]
    return names if names and all(NAME.fullmatch(name) for name in names) else []


def place_at_end(title: str) -> tuple[str, str, int | None]:
    """('Title', 'NeurIPS', 2020) of 'Title (NeurIPS 2020)' or 'Title [NeurIPS 2020]'; the title alone otherwise."""
    m = re.search(rf"\s*[(\[]({VENUE})(?:\s+|\s*['’])({_YEAR}|\d\d)[)\]]$", title)
    if not m or not title[: m.start()].strip():
        return title, "", None
    return title[: m.start()], m[1], int(m[2]) if len(m[2]) == 4 else 2000 + int(m[2])
