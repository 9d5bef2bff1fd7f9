"""Fetching what was not known when a note was made: `kb add --complete`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kb import frontmatter
from kb.add import Added, provisional_title
from kb.files import Journal, read_bytes
from kb.ids import Source
from kb.library import Library
from kb.note import KEY_ORDER, Note, parse_note
from kb.problem import KbError, Problem
from kb.sources import Fetcher, Metadata, kind_of


@dataclass
class _Wanting:
    note: Note
    source: Source
    answer: Metadata | None = None


def complete(library: Library, fetcher: Fetcher) -> tuple[list[Added], list[Problem]]:
    """Ask again for every note marked `incomplete`; returns the notes completed and what stays to do. Whatever was
    answered is written, in one change, even when the rest fails or the command is interrupted."""
    wanting, problems = _wanting(library)
    by_token: dict[str, list[_Wanting]] = {}
    for want in wanting:
        by_token.setdefault(want.source.token, []).append(want)
    done: list[Added] = []
    asked = [same[0].source for same in by_token.values()]
    try:
        for source, answer in fetcher(asked) if asked else ():
            for want in by_token[source.token]:
                if isinstance(answer, KbError):
                    problems.append(_problem(library, want.note, str(answer), "run `kb add --complete` again later"))
                else:
                    want.answer = answer
    finally:
        done += _write(library, wanting, problems)
    return done, sorted(problems)


def _wanting(library: Library) -> tuple[list[_Wanting], list[Problem]]:
    found, problems = [], []
    for note in library.index.notes("json_extract(meta, '$.incomplete') IS NOT NULL"):
        kind = note.meta["incomplete"]
        source = next((s for s in note.sources() if kind_of(s).name == kind), None)
        if source:
            found.append(_Wanting(note, source))
        else:
            hint = "add its arxiv, doi or url, or remove the key"
            problems.append(_problem(library, note, f"nothing says where to fetch '{kind}'", hint))
    return found, problems


def _problem(library: Library, note: Note, message: str, hint: str) -> Problem:
    text = (read_bytes(library.root / note.path) or b"").decode("utf-8", "replace")
    line = dict(frontmatter.key_lines(frontmatter.split(text).lines)).get("incomplete", 1)
    return Problem(note.path, line, "incomplete", message, hint, "warning")


def _write(library: Library, wanting: list[_Wanting], problems: list[Problem]) -> list[Added]:
    """One change with all that was answered, made on the files as they are now."""
    read: dict[str, bytes | None] = {}
    writes: dict[str, bytes | None] = {}
    done = []
    for want in wanting:
        path, data = want.note.path, read_bytes(library.root / want.note.path)
        if want.answer is None or data is None:
            continue
        try:
            text = frontmatter.edit(data.decode(), _changes(data, path, want), KEY_ORDER)
        except (UnicodeDecodeError, KbError) as error:
            problems.append(_problem(library, want.note, f"cannot be edited: {error}", "mend its front matter first"))
            continue
        read[path], writes[path] = data, text.encode()
        spelled = f"{want.source.key}:{want.source.value}"
        done.append(Added(want.note.id, path, "completed", spelled, f"completed {path}"))
    Journal(library.root).commit("add --complete", writes, read)
    return done


def _changes(data: bytes, path: str, want: _Wanting) -> dict[str, Any]:
    """The keys to set: those that are missing, and the title where it is still the one kb made up."""
    meta = dict(parse_note(data, path)[0].meta)
    if meta.get("title") == provisional_title(want.source):
        del meta["title"]
    answer = want.answer or {}
    new = {key: answer[key] for key in KEY_ORDER if key in answer and meta.get(key) in (None, "", [], {})}
    return new | {"incomplete": None}
