"""Checks that read the notes' texts: the headings that links name, and the images and files they show."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from urllib.parse import unquote

from kb.ids import title_key
from kb.library import Library
from kb.links import Link, blank_skipped, find_links, plain
from kb.problem import Problem

_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+)$", re.M)
_UNDERLINED = re.compile(r"^(\S.*)\n(?:=+|-+)[ \t]*$", re.M)
_NAMED = re.compile(r"""\{:?[^{}\n]*#([\w-]+)[^{}\n]*\}|<[a-z]+[^<>]*\b(?:id|name)=["']([^"'<>]+)["']""")
_BLOCK = re.compile(r"(?:^|\s)\^([\w-]+)[ \t]*$", re.M)  # Obsidian's names for paragraphs
# What stands in ( ) after a link's text, after a definition's colon, in an image's src.
PLACE = re.compile(
    r"\]\(\s*(?:<([^<>\n]+)>|((?:[^\s()<>]|\([^\s()<>]*\))+))(?:\s+[\"'(][^\n]*?[\"')])?\s*\)"
    r"|^ {0,3}\[(?!\^)[^\]\n]+\]:[ \t]*<?([^\s<>]+)>?"
    r"|<(?:img|video|audio|source)\b[^<>]*?\bsrc=[\"']([^\"'<>\n]+)[\"']",
    re.M,
)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//|/|#|\?", re.I)
_LOCAL = tuple(re.compile(begin + r"(?![a-zA-Z]+:|[/#?])") for begin in (r"\]\(\s*<?", r"\]:[ \t]*<?", r"\bsrc="))


def broken_anchors(library: Library) -> Iterator[Problem]:
    """Links to a heading that their note does not have."""
    anchors: dict[str, set[str]] = {}
    for source, link in _anchored(library):
        target = library.index.target(link, source)
        if target is None:
            continue
        if target not in anchors:
            anchors[target] = _anchors(str(_body(library, target)))
        wanted = unquote(link.heading).rpartition("#")[2].strip()
        if title_key(wanted) not in anchors[target] and wanted not in anchors[target]:
            shown = f"[[{link.target}#{link.heading}]]" if link.wiki else f"{link.target}#{link.heading}"
            where = "this note" if target == source else target
            hint = f"{where} has {_near(wanted, anchors[target])}"
            yield Problem(source, link.line, "anchor", f"{shown}: no such heading in {where}", hint, "warning")


def _anchored(library: Library) -> Iterator[tuple[str, Link]]:
    sql = """SELECT path, target, line, heading, label, embed, wiki FROM links JOIN notes USING(n)
             WHERE heading <> '' ORDER BY path, line"""
    for path, target, line, heading, label, embed, wiki in library.index.rows(sql):
        yield path, Link(target, line, heading, label, bool(embed), bool(wiki))
    sql = "SELECT path, body, body_line FROM texts JOIN notes USING(n) WHERE instr(body, '[[#') ORDER BY path"
    for path, body, first_line in library.index.rows(sql):
        yield from ((path, link) for link in find_links(body, first_line) if not link.target)


def _body(library: Library, path: str) -> str:
    return str(library.index.rows("SELECT body FROM texts JOIN notes USING(n) WHERE path = ?", (path,))[0][0])


def _anchors(body: str) -> set[str]:
    """What can stand after # in a link to a note: its headings' words, and the names it gives itself."""
    text = _without_code(body)
    lines = _HEADING.findall(text)
    if "\n--" in text or "\n==" in text:
        lines += _UNDERLINED.findall(text)
    words = [title_key(plain(re.sub(r"\{[^{}]*\}\s*$", "", line))) for line in lines]
    repeated = {f"{word} {n}" for word in words for n in range(1, words.count(word))}  # setup_1, as the site names them
    named = {name for m in _NAMED.finditer(text) for name in m.groups() if name}
    blocks = {f"^{name}" for name in _BLOCK.findall(text)} if "^" in text else set()
    return {*words, *repeated, *named, *blocks}


def _without_code(body: str) -> str:
    """The text without fenced code, in which # begins a comment."""
    return re.sub(r"^[ \t>]*(`{3,}|~{3,})[^\n]*\n[\s\S]*?(?:^[ \t>]*\1[`~]*[ \t]*$|\Z)", "", body, flags=re.M)


def _near(wanted: str, anchors: set[str]) -> str:
    from rapidfuzz import fuzz, process

    near = process.extractOne(title_key(wanted), sorted(anchors), scorer=fuzz.ratio, score_cutoff=60)
    return f"'{near[0]}'" if near else ", ".join(f"'{a}'" for a in sorted(anchors)[:5]) or "no heading"


def missing_files(library: Library) -> Iterator[Problem]:
    """Relative links and images that lead to no file."""
    sql = """SELECT path, body, body_line FROM texts JOIN notes USING(n)
             WHERE instr(body, '](') OR instr(body, ']:') OR instr(body, 'src=') ORDER BY path"""
    for path, body, first_line in library.index.rows(sql):
        if not any(local.search(body) for local in _LOCAL):
            continue
        text = blank_skipped(body)
        starts = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
        for m in PLACE.finditer(text):
            place = next(part for part in m.groups() if part)
            if not _there(library.root, path, place):
                line = first_line + bisect_right(starts, m.start(m.lastindex or 0)) - 1
                hint = "mend the path, or put the file there"
                yield Problem(path, line, "file", f"there is no file '{place}' beside the note", hint, "warning")


def _there(root: Path, source: str, place: str) -> bool:
    """True where a relative place is a file or folder, and for all that is not the disk's business."""
    if ELSEWHERE.match(place):
        return True
    bare = unquote(re.split(r"[?#]", place)[0])
    if bare.endswith(".md"):  # a link to a note
        return True
    try:
        return ((root / source).parent / bare).exists()
    except (OSError, ValueError):  # a name too long, a null byte
        return False


TEXT_CHECKS = (broken_anchors, missing_files)
