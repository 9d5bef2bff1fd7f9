"""A vault: every note, link and problem of one checkout."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kb.files import Journal
from kb.index import Index, Progress
from kb.names import link_key, name_key
from kb.problem import KbError, Problem, Stale

if TYPE_CHECKING:
    from kb.links import Link
    from kb.note import Note
    from kb.results import Results


def _is_house_rule(problem: Problem) -> bool:
    """Whether a Problem is one of a note without the keys and the kind of name that kb gives."""
    return problem.check in ("title", "id", "unknown-key") or problem.message == "no front matter"


def find_root(given: str | None = None, near: Iterable[str] = ()) -> Path:
    """The vault's root: `given` (--root), KB_ROOT, else the nearest folder upwards with mkdocs.yml and notes/; where
    there is none, that of a file which a person names (`near`)."""
    named = given or os.environ.get("KB_ROOT")
    if named:
        root = Path(named).expanduser().resolve()
        if not (root / "notes").is_dir():
            raise KbError(f"{named}: no vault there (no notes/ folder); `kb init {named}` makes one", 2)
        return root
    for here in (Path.cwd(), *(Path(path).resolve() for path in near)):
        for folder in (here, *here.parents):
            if (folder / "mkdocs.yml").is_file() and (folder / "notes").is_dir():
                return folder
    raise KbError("no vault here or above (mkdocs.yml beside notes/); `kb init` makes one, --root DIR names one", 2)


def backlinks_of(
    notes: Iterable[Note], target: Callable[[Link, Note], Note | None]
) -> dict[str, list[tuple[Note, Link]]]:
    """For each note's path the links of `notes` that lead to it; `target` says where a link of a note leads."""
    found: dict[str, list[tuple[Note, Link]]] = {}
    for note in notes:
        for link in note.links:
            if (there := target(link, note)) and there.path != note.path:
                found.setdefault(there.path, []).append((note, link))
    return found


class Library:
    """Opening one brings the index up to date; the notes themselves are read when asked for. `moment` tells whether
    another command has changed the vault since."""

    def __init__(self, root: Path, progress: Progress | None = None, only: Sequence[str] | None = None) -> None:
        self.root = root
        self.moment = Journal(root).moment()
        self.index = Index(root, progress, only)

    @cached_property
    def notes(self) -> dict[str, Note]:
        """Every note and page by path, in the order of paths."""
        return {note.path: note for note in self.index.notes()}

    @cached_property
    def problems(self) -> list[Problem]:
        """What is wrong in single files; kb.checks adds what is wrong between them."""
        found = self.index.problems()
        if (self.root / "notes" / ".obsidian").is_dir():  # there a note needs no keys, and its name is its title
            found = [replace(p, level="info") if _is_house_rule(p) else p for p in found]
        return sorted(found)

    @cached_property
    def results(self) -> Results:
        """The reproductions: claims with their verdicts, and records."""
        from kb.results import Results

        return Results(self.root)

    @cached_property
    def _names(self) -> dict[str, str]:
        best: dict[str, tuple[int, str]] = {}
        for name, rank, path in self.index.names():
            best[name] = min(best.get(name, (rank, path)), (rank, path))
        return {name: path for name, (_, path) in best.items()}

    def resolve(self, name: str) -> Note | None:
        """The note meant by a path under notes/, an id, an alias or a title, in that order."""
        notes = self.notes  # before the names: both are of the moment in which the texts were there
        return notes.get(self._names.get(name_key(name), ""))

    def target(self, link: Link, source: Note) -> Note | None:
        """The note a link leads to; a link without target ([[#heading]]) stays in its own."""
        return self.resolve(link_key(link, source.path)) if link.target else source

    @cached_property
    def backlinks(self) -> dict[str, list[tuple[Note, Link]]]:
        """For each note's path the links that lead to it, by the path and line they come from."""
        return backlinks_of(self.notes.values(), self.target)

    def find(self, name: str) -> Note:
        """The note a person names on the command line, by any of its names or ids."""
        path = self.index.resolve(name) or self._by_source(name)
        if path is None:
            raise KbError(f"no note '{name}'{self._suggest(name)}")
        note = next(self.index.notes("path = ?", (path,)), None)
        if note is None:
            raise Stale(f"{path} is gone; run the command again")
        return note

    def _by_source(self, text: str) -> str | None:
        from kb.ids import identify

        source = identify(text)
        paths = self.index.works([source.token]).get(source.token, []) if source else []
        return paths[0] if paths else None

    def _suggest(self, name: str) -> str:
        import difflib

        near = difflib.get_close_matches(name_key(name), [n for n, rank, _ in self.index.names() if rank], 3, 0.6)
        return f"; did you mean {' or '.join(near)}?" if near else "; `kb list` shows what there is"
