"""Which works a document means by its keys: what it cites, found among the works of a vault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from kb.exporting.cited import EVERYTHING, Citation, Document, nearest
from kb.exporting.keys import assign, made
from kb.exporting.works import Work
from kb.ids import PAPER_KEYS, identify
from kb.note import Note
from kb.problem import Problem


@dataclass
class Cited:
    """The works that a document cites, under the keys it uses, in the order it cites them. Problems of level error are
    keys that no work has."""

    works: list[Work] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


class Catalogue:
    """The works of a vault by everything that a document may call them."""

    def __init__(self, notes: Sequence[Note]) -> None:
        self.notes = notes
        self.keys = assign(notes)

    @cached_property
    def names(self) -> dict[str, Note]:
        """Name in lower case -> its note: the key, the id, an alias, the key made of the note, an id of the work."""
        found: dict[str, Note] = {}
        for names in zip(*(self._ranked(note) for note in self.notes), strict=True):
            for note, of_note in zip(self.notes, names, strict=True):
                for name in of_note:
                    found.setdefault(name.casefold(), note)
        return found

    def _ranked(self, note: Note) -> tuple[list[str], ...]:
        given = str(note.meta.get("cite") or "").strip()
        sources = note.sources()
        ids = [s.value for s in sources if s.key in PAPER_KEYS]
        return [self.keys[note.path], given], [note.id], note.aliases, [made(note)], ids, [s.token for s in sources]

    def find(self, key: str) -> Note | None:
        """The note a key means: by its names, else as an arXiv id, DOI or address in any spelling."""
        note = self.names.get(key.casefold())
        if note is None and (source := identify(key)):
            note = self.names.get(source.token.casefold())
        return note


def cite(document: Document, notes: Sequence[Note], shown: Mapping[str, Note]) -> Cited:
    """The works a document cites. `notes` are all works of the vault, `shown`, by path, those that may be exported: a
    private one that is not among them is told of, one that a query leaves out is not."""
    catalogue, found = Catalogue(notes), Cited(problems=list(document.problems))
    first: dict[str, Citation] = {}
    for citation in document.citations.values():
        note = None if citation.key == EVERYTHING else catalogue.find(citation.key)
        if citation.key == EVERYTHING:
            continue
        if note is None:
            found.problems.append(_unknown(citation, catalogue))
        elif note.path in shown:
            if first.setdefault(note.path, citation) is not citation:
                found.problems.append(_twice(citation, first[note.path], note))
            found.works.append(Work(citation.key, shown[note.path]))
        elif note.private:
            message = f"'{citation.key}' is a private note"
            found.problems.append(_problem(citation, message, "--private takes it in"))
    if EVERYTHING in document.citations:
        rest = [Work(catalogue.keys[path], note) for path, note in shown.items() if path not in first]
        found.works += sorted(rest, key=lambda work: (work.key.casefold(), work.key))
    return found


def _unknown(citation: Citation, catalogue: Catalogue) -> Problem:
    near = nearest(citation.key, catalogue.names)
    if near:
        key = catalogue.keys[catalogue.names[near].path]
        hint = f"did you mean '{key}'?"
    else:
        hint = f"kb add it, or write `cite: {citation.key}` into its note"
    return _problem(citation, f"no work has the key '{citation.key}'", hint)


def _twice(citation: Citation, first: Citation, note: Note) -> Problem:
    message = f"'{citation.key}' and '{first.key}' are one work, {note.path}, which will stand twice"
    return Problem(citation.path, citation.line, "cited", message, f"cite it as '{first.key}' alone", "warning")


def _problem(citation: Citation, message: str, hint: str) -> Problem:
    return Problem(citation.path, citation.line, "cited", message, hint, "error")
