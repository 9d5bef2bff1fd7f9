"""Links that lead nowhere: what `kb check` and a build of the site both say of them."""

from __future__ import annotations

import json
import os
import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from kb.checks import values
from kb.ids import slug
from kb.library import Library
from kb.links import link_name
from kb.names import name_key
from kb.note import PAGE
from kb.problem import Problem

_ATTACHMENT = re.compile(
    r"\.(?:png|jpe?g|gif|svg|webp|avif|bmp|tiff?|pdf|mp[34]|m4a|wav|ogg|webm|mov|csv|tsv|json|ipynb|txt|zip|canvas)$",
    re.I,
)
_MADE = {"claims", "kinds", "reproductions", "status", "tags", "topics", "years"}  # folders of pages that a build makes
_SUGGESTED = 100  # different targets


def leading_nowhere(library: Library, of: str = "") -> Iterator[tuple[str, str, str, int, bool]]:
    """Links to no note and no file, of the whole vault or of the note at a path: path, key, target, line, and whether
    it is a wikilink. A file beside the note, any file under notes/ by its name, and the index pages of the site are
    there."""
    sql = """SELECT path, key, target, line, wiki FROM links JOIN notes USING(n)
             WHERE NOT EXISTS (SELECT 1 FROM names WHERE name = key) AND ? IN ('', path) ORDER BY path, line"""
    files = cache(lambda: _file_names(library.root))
    pages = cache(lambda: _generated(library))
    for path, key, target, line, wiki in library.index.rows(sql, (of,)):
        if _is_file(library.root, path, target, wiki) or (wiki and "." in target and target.casefold() in files()):
            continue
        if wiki or key.partition("/")[0] not in _MADE or key not in pages():  # asked of no note more than need be
            yield path, key, target, line, wiki


def _wanted(library: Library, path: str) -> set[str]:
    """What a note is known to link to before it is there."""
    rows = library.index.rows("SELECT meta FROM notes WHERE path = ?", (path,))
    return {name_key(name) for (meta,) in rows for name in json.loads(meta).get("wanted") or []}


def unresolved_links(library: Library) -> Iterator[Problem]:
    """Links that lead nowhere; those an importer carried over are wanted, not wrong."""
    names = cache(lambda: [name for name, rank, _ in library.index.names() if rank])
    near = _Suggestions(names)
    files = cache(lambda: sorted({posixpath.basename(name) for name in _file_names(library.root)}))
    wanted = cache(lambda path: _wanted(library, path))
    for path, key, target, line, wiki in leading_nowhere(library):
        shown = f"[[{target}]]" if wiki else target
        if name_key(target) in wanted(path):
            yield Problem(path, line, "wanted", f"no note yet for '{target}'", _remedy(target, wiki), "info")
            continue
        if wiki and _ATTACHMENT.search(target):
            hint = _near(key, files()) or "put that file under notes/"
            yield Problem(path, line, "link", f"{shown} leads to no file", hint, "warning")
            continue
        hint = near(key) or f"{_remedy(target, wiki)}, or list it under wanted:"
        yield Problem(path, line, "link", f"{shown} leads to no note", hint, "warning")


class _Suggestions:
    """'did you mean', for as many broken links as a person will look at: each is compared with every name there is."""

    def __init__(self, names: Callable[[], Sequence[str]]) -> None:
        self._names = names
        self._told: dict[str, str] = {}

    def __call__(self, key: str) -> str:
        if key not in self._told and len(self._told) < _SUGGESTED:
            self._told[key] = _near(key, self._names())
        return self._told.get(key, "")


def misspelled_paths(library: Library) -> Iterator[Problem]:
    """Relative links whose path has other capitals than the note's: they work on a Mac, and neither on Linux nor on the
    site."""
    sql = """SELECT s.path, target, line, o.path FROM links l JOIN notes s USING(n) JOIN names a ON a.name = l.key
             JOIN notes o ON o.n = a.n WHERE wiki = 0 AND rank = 0 ORDER BY s.path, line"""
    for path, target, line, there in library.index.rows(sql):
        folder = posixpath.dirname(path)
        place = posixpath.normpath(posixpath.join(folder, unquote(target)))
        if place != there and unicodedata.normalize("NFC", place) != unicodedata.normalize("NFC", there):
            hint = f"write {posixpath.relpath(there, folder)}"
            yield Problem(path, line, "link", f"{target} has other capitals than the file", hint, "warning")


def orphaned_notes(library: Library) -> Iterator[Problem]:
    """Notes that no link leads to or from, and that are part of nothing; a reference without a word of its own is in
    the lists, and needs none."""
    for path, _, _ in orphans(library):
        sql = "SELECT 1 FROM texts JOIN notes USING(n) WHERE path = ? AND trim(body, char(9, 10, 13, 32)) <> ''"
        if library.index.rows(sql, (path,)):
            hint = "link it from a topic"
            yield Problem(path, 0, "orphan", "no note links to it, and it links to none", hint, "info")


def orphans(library: Library) -> list[tuple[str, str, str]]:
    """Path, id and title of every note without a link in or out."""
    sql = f"""SELECT path, id, title FROM notes WHERE kind <> '{PAGE}'
              AND n NOT IN (SELECT n FROM fields WHERE key = 'part_of') AND n NOT IN (SELECT n FROM links)
              AND NOT EXISTS (SELECT 1 FROM names a JOIN links l ON l.key = a.name AND l.n <> a.n WHERE a.n = notes.n)
              ORDER BY path"""
    wholes = {library.index.resolve(link_name(part)) for part in {part for _, part in values(library, "part_of")}}
    return [(path, id, title) for path, id, title in library.index.rows(sql) if path not in wholes]


def _remedy(target: str, wiki: bool) -> str:
    """How to make the note that a link looks for."""
    name = target.removesuffix(".md")
    if not wiki or "/" in name:
        return "write that file"
    option = f"--id {name}" if slug(name, 250) == name else f"--title '{name}'".replace("\n", " ")
    return f"write it: kb add REF {option}"


def _is_file(root: Path, source: str, target: str, wiki: bool) -> bool:
    """True for [[figure.png]]: an attachment beside the note or at its path under notes/."""
    if not wiki or "." not in target or target.startswith("/") or ".." in target:
        return False
    try:
        return ((root / source).parent / target).is_file() or (root / "notes" / target).is_file()
    except OSError:  # no name of a file: it is too long
        return False


def _file_names(root: Path) -> set[str]:
    """The names of all that lies under notes/ and is no note, and their paths there."""
    found: set[str] = set()
    for place, folders, files in os.walk(root / "notes"):
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
        names = [file.casefold() for file in files if not file.endswith(".md") and not file.startswith(".")]
        below = Path(place).relative_to(root / "notes").as_posix().casefold()
        found |= {*names, *(posixpath.join(below, name) for name in names)}
    return found


def _generated(library: Library) -> set[str]:
    """The index pages that a build makes, as links look for them."""
    from kb.pages import generated_pages, visible
    from kb.pages.claim_pages import reproductions

    public = visible(library)
    return {name_key(uri) for uri in generated_pages(public, reproductions(public, library.results))}


def _near(key: str, names: Sequence[str]) -> str:
    from rapidfuzz import fuzz, process

    stem = posixpath.basename(key)
    near = process.extract(stem, names, scorer=fuzz.ratio, score_cutoff=70, limit=2)
    if not near:
        return ""
    return "did you mean " + " or ".join(dict.fromkeys(f"[[{name}]]" for name, _, _ in near)) + "?"


LINK_CHECKS = (unresolved_links, misspelled_paths)
