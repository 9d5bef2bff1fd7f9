"""Links that lead nowhere: what `kb check` and a build of the site both say of them."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from kb.ids import slug
from kb.library import Library
from kb.names import name_key
from kb.problem import Problem


def leading_nowhere(library: Library, of: str = "") -> Iterator[tuple[str, str, str, int, bool, str]]:
    """Links to no note and no file, of the whole vault or of the note at a path: path, key, target, line, whether it is
    a wikilink, and the note's front matter as JSON. A file beside the note, any file under notes/ by its name, and the
    index pages of the site are there."""
    sql = """SELECT path, key, target, line, wiki, meta FROM links JOIN notes USING(n)
             WHERE NOT EXISTS (SELECT 1 FROM names WHERE name = key) AND ? IN ('', path) ORDER BY path, line"""
    files = cache(lambda: _file_names(library.root))
    pages = cache(lambda: _generated(library))
    for path, key, target, line, wiki, meta in library.index.rows(sql, (of,)):
        if _is_file(library.root, path, target, wiki) or (wiki and "." in target and target.casefold() in files()):
            continue
        if wiki or key not in pages():
            yield path, key, target, line, wiki, meta


def unresolved_links(library: Library) -> Iterator[Problem]:
    """Links that lead nowhere; those an importer carried over are wanted, not wrong."""
    names = cache(lambda: [name for name, rank, _ in library.index.names() if rank])
    near = cache(lambda key: _near(key, names()))
    for path, key, target, line, wiki, meta in leading_nowhere(library):
        shown = f"[[{target}]]" if wiki else target
        if name_key(target) in {name_key(w) for w in json.loads(meta).get("wanted") or []}:
            yield Problem(path, line, "wanted", f"no note yet for '{target}'", _remedy(target, wiki), "info")
            continue
        hint = near(key) or f"{_remedy(target, wiki)}, or list it under wanted:"
        yield Problem(path, line, "link", f"{shown} leads to no note", hint, "warning")


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
    return ((root / source).parent / target).is_file() or (root / "notes" / target).is_file()


def _file_names(root: Path) -> set[str]:
    """The names of all that lies under notes/ and is no note."""
    found: set[str] = set()
    for _, folders, files in os.walk(root / "notes"):
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
        found |= {file.casefold() for file in files if not file.endswith(".md") and not file.startswith(".")}
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
