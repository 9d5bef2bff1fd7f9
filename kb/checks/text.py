"""Checks that read the notes' texts: the headings that links name, and the images and files they show."""

from __future__ import annotations

import os
import posixpath
import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from itertools import accumulate, groupby
from pathlib import Path
from urllib.parse import unquote

from kb.ids import title_key
from kb.library import Library
from kb.links import blank_skipped, find_links, plain
from kb.problem import Problem

_HEADING = re.compile(r" {0,3}(?:> ?)*#{1,6}[ \t]+(.+)")
_UNDERLINED = re.compile(r"^(\S.*)\n(?:=+|-+)[ \t]*$", re.M)
_NAMED = re.compile(r"""\{[^{}#\n]*#([\w-]+)[^{}\n]*\}|<[a-z]+[^<>]*\b(?:id|name)=["']([^"'<>]+)["']""")
_BLOCK = re.compile(r"(?:^|\s)(\^[\w-]+)[ \t\r]*$")  # Obsidian's names for paragraphs
_MARKS = re.compile(r"[\[\]*_`{]|\w#")
_CODE = re.compile(r"^[ \t>]*(`{3,}|~{3,})[^\n]*\n[\s\S]*?(?:^[ \t>]*\1[`~]*[ \t]*$|\Z)", re.M)
_HERE = re.compile(r"(?<!\\)\]\([ \t]*<?#([^\s()<>]+)>?[ \t]*(?:\"[^\"\n]*\"|'[^'\n]*')?[ \t]*\)")
_MADE = re.compile(r"(?:fn|fnref)\d*:|__|top$")  # footnotes, lines of code, and what every browser knows
_OF_A_REPRODUCTION = ("Reproduction", "Claims", "Runs")  # headings that the site gives to a note with `repro:`
# What stands in ( ) after a link's text, after a definition's colon, in an image's src.
PLACE = re.compile(
    r"\]\(\s*(?:<([^<>\n]+)>|((?:[^\s()<>]|\([^\s()<>]*\))+))(?:\s+(?:\"[^\"\n]*\"|'[^'\n]*'|\([^()\n]*\)))?\s*\)"
    r"|^ {0,3}\[(?!\^)[^\]\n]+\]:[ \t]*<?([^\s<>]+)>?"
    r"|<(?:img|video|audio|source)\b[^<>]*?\bsrc=[\"']([^\"'<>\n]+)[\"']",
    re.M,
)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//|/|#|\?", re.I)
# The same at one look: what may be a place on the disk that is no note.
_LOCAL = tuple(
    re.compile(begin + r"(?![a-zA-Z]+:|[/#?]|[^\s()<>#]*\.md[#)>\s])")
    for begin in (r"\]\(\s*<?", r"\]:[ \t]*<?", r"src=[\"']")
)

Anchors = dict[str, str]  # what a link's heading is compared by -> the heading as it stands there
_Row = tuple[str, str, int, str, int, str | None]  # source, target as written, line, heading, whether wiki, note there


def broken_anchors(library: Library) -> Iterator[Problem]:
    """Links to a heading that their note does not have."""
    sql = """SELECT s.path, l.target, l.line, l.heading, l.wiki, (SELECT o.path FROM names JOIN notes o USING(n)
             WHERE name = l.key ORDER BY rank, o.path LIMIT 1) AS there FROM links l JOIN notes s USING(n)
             WHERE l.heading <> '' ORDER BY there, s.path, l.line"""
    for there, rows in groupby(library.index.rows(sql), lambda row: row[5]):
        if there is not None:
            yield from _unfound(library, there, _body(library, there), rows)
    for path, body, first in library.index.bodies("instr(body, '[[#') OR instr(body, '](#') OR instr(body, '](<#')"):
        yield from _unfound(library, path, body, _own(path, body, first))


def _own(path: str, body: str, first: int) -> Iterator[_Row]:
    """The links of a note to its own headings: [[#heading]] and [text](#heading)."""
    if "[[#" in body:
        yield from ((path, "", k.line, k.heading, 1, path) for k in find_links(body, first) if not k.target)
    text = blank_skipped(body) if "](#" in body or "](<#" in body else ""
    for m in _HERE.finditer(text):
        if not _MADE.match(m[1]):
            yield path, "", first + text.count("\n", 0, m.start()), m[1], 0, path


def _unfound(library: Library, there: str, body: str, rows: Iterator[_Row]) -> Iterator[Problem]:
    """Those of some links to one note whose heading it does not have."""
    anchors: Anchors | None = None
    for source, target, line, heading, wiki, _ in rows:
        if anchors is None:
            anchors = _anchors(body) | _reproduced(library, there)
        wanted = unquote(heading).rpartition("#")[2].strip()
        if title_key(wanted) not in anchors and wanted not in anchors:
            shown = f"[[{target}#{heading}]]" if wiki else f"{target}#{heading}"
            where = "this note" if there == source else there
            near = _near(wanted, target, bool(wiki), anchors)
            yield Problem(source, line, "anchor", f"{shown}: no such heading in {where}", near, "warning")


def _body(library: Library, path: str) -> str:
    return str(library.index.rows("SELECT body FROM texts JOIN notes USING(n) WHERE path = ?", (path,))[0][0])


def _reproduced(library: Library, path: str) -> Anchors:
    joined = library.index.rows("SELECT 1 FROM fields JOIN notes USING(n) WHERE path = ? AND key = 'repro'", (path,))
    return {title_key(name): name for name in _OF_A_REPRODUCTION} if joined else {}


def _anchors(body: str) -> Anchors:
    """What can stand after # in a link to a note: its headings' words, and the names it gives itself."""
    text = _CODE.sub("", body) if "```" in body or "~~~" in body else body  # where # begins a comment
    written = [line for line in text.split("\n") if "#" in line or "^" in line]  # a look at each place is slower
    lines = [m[1] for m in map(_HEADING.match, written) if m]
    if "\n--" in text or "\n==" in text:
        lines += _UNDERLINED.findall(text)
    found: Anchors = {}
    times: dict[str, int] = {}
    for line in lines:
        shown = plain(re.sub(r"\{[^{}]*\}\s*$", "", line)).strip() if _MARKS.search(line) else line.rstrip(" #\t\r")
        word = title_key(shown)
        n = times[word] = times.get(word, -1) + 1
        found.setdefault(f"{word} {n}" if n else word, f"{shown}_{n}" if n else shown)  # setup_1, as the site has it
    if "#" in text and ("{" in text) or "id=" in text or "name=" in text:
        found |= {name: name for m in _NAMED.finditer(text) for name in m.groups() if name}
    return found | {name: name for m in map(_BLOCK.search, written) if m for name in (m[1],)}


def _near(wanted: str, target: str, wiki: bool, anchors: Anchors) -> str:
    from rapidfuzz import fuzz, process

    near = process.extractOne(title_key(wanted), sorted(anchors), scorer=fuzz.ratio, score_cutoff=60)
    if near and wiki:
        return f"did you mean [[{target}#{anchors[near[0]]}]]?"
    if near:
        return f"did you mean {target}#{near[0].replace(' ', '-')}?"
    return "it has " + (", ".join(f"'{a}'" for a in list(anchors.values())[:5]) or "no heading")


def missing_files(library: Library) -> Iterator[Problem]:
    """Relative links and images that lead to no file, or to one whose name has other capitals."""
    there = cache(Disk(library.root).find)
    for path, body, first in library.index.bodies("instr(body, '](') OR instr(body, ']:') OR instr(body, 'src=')"):
        if not any(local.search(body) for local in _LOCAL):
            continue
        text = blank_skipped(body)
        starts: list[int] = []
        for m in PLACE.finditer(text):
            place = next(part for part in m.groups() if part)
            bare = unquote(re.split(r"[?#]", place)[0])
            if ELSEWHERE.match(place) or bare.endswith(".md"):  # not the disk's business; a link to a note
                continue
            found = there(posixpath.dirname(path), bare)
            if found == bare:
                continue
            starts = starts or [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
            line = first + bisect_right(starts, m.start(m.lastindex or 0)) - 1
            message = f"there is no file '{place}' beside the note"
            hint = f"its name is '{found}': write it so" if found else "mend the path, or put the file there"
            yield Problem(path, line, "file", message, hint, "warning")


class Disk:
    """The names of files as they are, whatever the disk makes of capitals: a link that a Mac follows must not break on
    Linux."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names = cache(self._listed)

    def find(self, folder: str, place: str) -> str:
        """`place` as seen from a folder, with the capitals of the files; empty where there is nothing."""
        whole = posixpath.normpath(posixpath.join(folder, place))
        if whole.startswith(".."):
            return place if self._exists(whole) else ""
        real = ""
        for part in whole.split("/"):
            exact, others = self._names(real)
            spelled = part if part in exact or part == "." else others.get(part.casefold())
            if spelled is None:
                return ""
            real = posixpath.normpath(posixpath.join(real, spelled))
        return place if real == whole else posixpath.relpath(real, folder)

    def _exists(self, place: str) -> bool:
        try:
            return (self.root / place).exists()
        except (OSError, ValueError):  # a name too long, a null byte
            return False

    def _listed(self, folder: str) -> tuple[set[str], dict[str, str]]:
        try:
            names = set(os.listdir(self.root / folder))
        except (OSError, ValueError):
            names = set()
        return names, {name.casefold(): name for name in names}


TEXT_CHECKS = (broken_anchors, missing_files)
