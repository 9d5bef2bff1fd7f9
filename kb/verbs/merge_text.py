"""The prose of two notes in one file: relative places, footnotes and link definitions go on leading where they led."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from urllib.parse import unquote

from kb import frontmatter
from kb.checks.text import ELSEWHERE, PLACE
from kb.links import Link, blank_skipped, is_wiki, link_matches, replaced
from kb.names import link_key
from kb.note import Note
from kb.titles import plain_title, words

_FOOTNOTE = re.compile(r"\[\^([^\]\s]+)\]")
_DEFINITION = re.compile(r"^ {0,3}\[([^\]\[^][^\]\[]*)\]:[ \t]*(\S+)", re.M)
_Place = tuple[int, int, str]  # where, to where, what to put there


def appended(text: str, path: str, gone: Note) -> str:
    """The file `text` at `path` with the prose of `gone` below its own, under a heading of its title."""
    front = frontmatter.split(text)
    prose = _without_title(gone.body.replace("\r\n", "\n").strip("\n"), gone.title)
    if not prose.strip():
        return text
    prose = _relabelled(moved(prose, gone.path, path), front.body, gone.id)
    newline = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    head = text[: len(text) - len(front.body)].rstrip("\r\n") + newline
    if front.body.strip():
        prose = f"## {plain_title(gone.title)}\n\n{prose}"
        head = text.rstrip("\r\n") + newline
    return f"{head}{newline}{prose.replace(chr(10), newline)}{newline}"


def _without_title(prose: str, title: str) -> str:
    """Text without a first heading that only says the title over again."""
    m = re.match(r"# +(.+?)[ #]*(?:\n+|$)", prose)
    return prose[m.end() :] if m and words(m[1]) == words(title) else prose


def moved(prose: str, old: str, new: str) -> str:
    """Text that stood in the file `old` as it must stand in `new`: relative links and images lead where they led."""
    here, there = posixpath.dirname(old), posixpath.dirname(new)
    if here == there and posixpath.basename(old) not in prose:
        return prose
    places: list[_Place] = []
    for m in PLACE.finditer(blank_skipped(prose)):
        group = m.lastindex or 0
        place = m[group]
        if not ELSEWHERE.match(place):
            bare, rest = _cut(place)
            target = posixpath.normpath(posixpath.join(here, bare))
            target = new if unquote(target) == old else target
            places.append((*m.span(group), posixpath.relpath(target, there) + rest))
    return replaced(prose, places)


def _cut(place: str) -> tuple[str, str]:
    m = re.match(r"([^?#]*)(.*)", place, re.S)
    return (m[1], m[2]) if m else (place, "")


def _relabelled(prose: str, other: str, suffix: str) -> str:
    """Text whose footnotes and link definitions bear names that `other` has not: [^1] becomes [^1-suffix]."""
    text, beside = blank_skipped(prose), blank_skipped(other)
    taken = set(_FOOTNOTE.findall(beside))
    places: list[_Place] = [(*m.span(1), f"{m[1]}-{suffix}") for m in _FOOTNOTE.finditer(text) if m[1] in taken]
    theirs = {m[1].casefold(): m[2] for m in _DEFINITION.finditer(beside)}
    for m in _DEFINITION.finditer(text):
        name = m[1]
        if theirs.get(name.casefold(), m[2]) == m[2]:
            continue
        new = f"{name}-{suffix}"
        for use in re.finditer(rf"(\]|^ {{0,3}})?\[({re.escape(name)})\](\[\]|:)?", text, re.M | re.I):
            if use[1] is not None or use[3] == ":":
                places.append((*use.span(2), new))
            elif text[use.end() : use.end() + 1] not in ("(", "["):
                places.append((use.start(), use.end(), f"[{use[2]}][{new}]"))
    return replaced(prose, places)


def retargeted(text: str, path: str, old: str, new: Note, resolves: Callable[[str], bool]) -> str:
    """A file with its links to the note at `old` turned to `new`. A [[link]] by a name that will lead there, as
    `resolves` tells, stays as it is written."""
    front = frontmatter.split(text)
    places: list[_Place] = []
    for m in link_matches(front.body):
        wiki = is_wiki(m)
        key = link_key(Link(m[2].strip(), 0, wiki=wiki), path)
        if f"notes/{key}.md".casefold() != old.casefold() or (wiki and resolves(key)):
            continue
        relative = posixpath.relpath(new.path, posixpath.dirname(path))
        places.append((*m.span(2), new.id if wiki else relative))
    return text[: len(text) - len(front.body)] + replaced(front.body, places)
