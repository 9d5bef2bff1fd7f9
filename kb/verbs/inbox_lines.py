"""What the lines of an inbox say: a work each, with the words, tags and further lines around it."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass, field

from kb.id_rules import fault, without_punctuation
from kb.ids import PAPER_KEYS, Source, identify

_MARKER = re.compile(r"^(?:[-*+]|\d{1,3}[.)])?[ \t]*(?:\[[ xX]?\](?:[ \t]+|$))?")
_LINK = re.compile(r"\[([^\[\]]*)\]\(<?((?:[^\s()<>]|\([^\s()]*\))+)>?\)")
_URL = re.compile(r"<?(https?://[^\s<>]+)>?", re.I)
_TAGS = re.compile(r"(?<![ \t])(?:[ \t]+#[^\W\d_][\w/-]*)+$")
_EDGE = " \t-–—:|·•,;"


@dataclass
class Line:
    """A line of the inbox, with the indented lines below it: the numbers of its lines, what it names, and the title,
    tags and text that a note of it gets. `wrong` says why it can be no note."""

    numbers: list[int]
    title: str = ""
    source: Source | None = None
    tags: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    wrong: str = ""


def read_lines(lines: list[str], stay: Set[str] = frozenset()) -> list[Line]:
    """What the lines of an inbox ask for. Blank lines, headings, rules, front matter, comments and what is to `stay`
    ask for nothing."""
    found: list[Line] = []
    comment, front = False, bool(lines) and lines[0].strip() == "---" and any(x.strip() == "---" for x in lines[1:])
    for no, raw in enumerate(lines, 1):
        bare = raw.strip().lstrip("\ufeff")
        if comment or bare.startswith("<!--"):
            comment = "-->" not in raw
        elif front:
            front = no == 1 or bare != "---"
        elif not bare or bare in stay or re.match(r"#{1,6}[ \t]|[-*_=]{3,}$", bare):
            continue
        elif re.match(r" {2}|\t", raw) and found and found[-1].numbers[-1] == no - 1 and not _names_work(bare):
            found[-1].text.append(bare)
            found[-1].numbers.append(no)
        else:
            found.append(_line(no, bare))
    return found


def _names_work(bare: str) -> bool:
    return bool(_URL.search(bare)) or _source(_MARKER.sub("", bare)) is not None


def _line(no: int, bare: str) -> Line:
    """'- [ ] A title - https://… #tag' -> its title, source and tags."""
    text = _MARKER.sub("", bare, count=1).strip()
    try:
        text.encode()
    except UnicodeEncodeError:
        return Line([no], wrong="this is no UTF-8")
    if not text:
        return Line([no], wrong="nothing stands behind the mark")
    tags = m[0].split() if (m := _TAGS.search(text)) else []
    text = text[: m.start()] if m else text
    line = Line([no], tags=[tag.lstrip("#") for tag in tags])
    line.source, line.title = _parted(text)
    if _URL.search(line.title):  # more links than one: the line itself is kept as text
        line.text = [text]
        line.title = _URL.split(text)[0].strip(_EDGE + "(<[")
    named = line.source.value if line.source else line.title
    line.wrong = "" if re.search(r"\s", named) else fault(named)
    return line


def _parted(text: str) -> tuple[Source | None, str]:
    """What a line names, and the words around it as a title."""
    if source := _source(text):
        return source, ""
    if m := _LINK.search(text):
        around = f"{text[: m.start()]} {text[m.end() :]}".strip(_EDGE)
        if source := _source(m[2]):
            label = "" if _source(m[1]) else m[1].strip()
            return source, f"{label}: {around}" if label and around else label or around
    if m := _URL.search(text):
        url = without_punctuation(m[1])
        before, after = text[: m.start()].rstrip(_EDGE + "(<"), text[m.start(1) + len(url) :].lstrip(_EDGE + ")>.")
        return _source(url), " ".join(filter(None, (before, after)))
    words = text.split()
    for n in (0, -1):  # '2006.11239 diffusion', 'diffusion arXiv:2006.11239'
        source = _source(words[n].strip("()[],;"))
        if source and source.key in PAPER_KEYS:
            return source, " ".join(words[1:] if n == 0 else words[:-1]).strip(_EDGE)
    return None, text


def _source(text: str) -> Source | None:
    return None if re.match(r"https?:\S*\s", text, re.I) else identify(text)
