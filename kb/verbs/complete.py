"""Fetching what was not known when a note was made: `kb add --complete`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kb import frontmatter
from kb.edits import again, edit_notes
from kb.files import read_bytes
from kb.ids import Source
from kb.library import Library
from kb.note import KEY_ORDER, Note
from kb.problem import KbError, Problem
from kb.sources import Fetcher, Metadata, kind_of
from kb.sources.http import Unreachable
from kb.verbs.add import Added
from kb.verbs.references import provisional_title

_AGAIN = "run `kb add --complete` again later"


@dataclass
class _Wanting:
    note: Note
    source: Source
    answer: Metadata | None = None


def complete(library: Library, fetcher: Fetcher) -> tuple[list[Added], list[Problem]]:
    """Ask again for every note marked `incomplete`; returns the notes completed and what stays to do. Whatever was
    answered is written, in one change, even when the rest fails or the command is interrupted. Where it was killed,
    the answers are in the cache of the fetcher's client, and the next time asks only for the others."""
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
                    problems.append(_problem(library, want.note, str(answer), _remedy(answer)))
                    continue
                want.answer = answer
                if silent := answer.get("incomplete"):
                    problems.append(_problem(library, want.note, f"{silent} did not tell all", _AGAIN))
    finally:
        done += _write(library, wanting, problems)
    return done, sorted(problems)


def _wanting(library: Library) -> tuple[list[_Wanting], list[Problem]]:
    found, problems = [], []
    for note in library.index.notes("n IN (SELECT n FROM fields WHERE key = 'incomplete')"):
        kind = note.meta["incomplete"]
        sources = note.sources()
        source = next((s for s in sources if kind_of(s).name == kind), next(iter(sources), None))
        if source:
            found.append(_Wanting(note, source))
        else:
            hint = "add its arxiv, doi or url, or remove the key"
            problems.append(_problem(library, note, f"nothing says where to fetch '{kind}'", hint))
    return found, problems


def _remedy(error: KbError) -> str:
    return _AGAIN if isinstance(error, Unreachable) else "mend what names the work, or remove the key"


def _problem(library: Library, note: Note, message: str, hint: str) -> Problem:
    text = (read_bytes(library.root / note.path) or b"").decode("utf-8", "replace")
    line = dict(frontmatter.key_lines(frontmatter.split(text).lines)).get("incomplete", 1)
    return Problem(note.path, line, "incomplete", message, hint, "warning")


def _write(library: Library, wanting: list[_Wanting], problems: list[Problem]) -> list[Added]:
    """One change with all that was answered, made on the files as they are now."""
    answered = {want.note.path: want for want in wanting if want.answer is not None}
    done: list[Added] = []
    faults: dict[str, Problem] = {}

    def failed(path: str, error: KbError) -> None:
        if (library.root / path).exists():
            hint = "mend its front matter first"
            faults[path] = _problem(library, answered[path].note, f"cannot be edited: {error}", hint)

    def write(now: Library) -> list[str]:
        return edit_notes(now.root, "add --complete", answered, lambda n: _changes(n, answered[n.path]), failed)

    changed = again(library, write)
    problems += faults.values()
    for path, want in answered.items():
        if path in changed and not (want.answer or {}).get("incomplete"):
            spelled = f"{want.source.key}:{want.source.value}"
            done.append(Added(want.note.id, path, "completed", spelled, f"completed {path}"))
    return done


def _changes(note: Note, want: _Wanting) -> dict[str, Any]:
    """The keys to set: those that are missing, and the title where it is still the one kb made up."""
    meta = dict(note.meta)
    if meta.get("title") == provisional_title(want.source):
        del meta["title"]
    answer = want.answer or {}
    new = {key: answer[key] for key in KEY_ORDER if key in answer and meta.get(key) in (None, "", [], {})}
    if "also" in meta and "also" in answer:
        new["also"] = list(dict.fromkeys([*meta["also"], *answer["also"]]))
    return new | {"incomplete": answer.get("incomplete")}
