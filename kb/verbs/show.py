"""One note on the terminal, and its links."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kb.ids import source_url
from kb.library import Library
from kb.note import ID_KEYS, Note
from kb.render import printable, style

_CARD = ("kind", "status", "at", "part_of", "venue", "added", "started", "finished", "published", "rating")


def as_json(library: Library, note: Note) -> dict[str, Any]:
    """The row of `kb list --json`, with the text and the links."""
    return note.as_json() | {"body": note.body} | {k: v for k, v in links_json(library, note).items() if k != "id"}


def lines(library: Library, note: Note) -> Iterator[str]:
    """What `kb show` prints."""
    yield style(printable(note.title), "bold")
    if note.authors:
        yield printable(", ".join(note.authors)) + (f" ({note.year})" if note.year else "")
    known = [(key, str(note.meta.get(key) or getattr(note, key, ""))) for key in _CARD]
    yield style("  ".join(f"{key}: {printable(value)}" for key, value in known if value), "dim")
    for key in ID_KEYS:
        for value in _as_list(note.meta.get(key)):
            yield f"{style(key + ':', 'dim')} {printable(source_url(key, str(value)))}"
    if note.tags:
        yield style(printable(" ".join(f"#{tag}" for tag in note.tags)), "cyan")
    yield style(note.path, "dim")
    if note.body.strip():
        yield ""
        yield from (printable(line) for line in note.body.strip("\n").split("\n"))
    backlinks = library.index.links_to(note.path)
    if backlinks:
        yield ""
        yield style("Linked from", "bold")
        yield from (f"  {path}:{link.line}: {printable(link.context)}" for path, link in backlinks)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def links_json(library: Library, note: Note) -> dict[str, Any]:
    """The object of `kb links --json`."""
    targets = [(link, library.index.target(link, note.path)) for link in note.links]
    found = library.index.links_to(note.path)
    lost = [link for link, target in targets if not target]
    nowhere = _nowhere(library, note.path) if lost else set()
    return {
        "id": note.id,
        "links": [link.as_json() for link, target in targets if target],
        "backlinks": [{"source": path, "line": link.line, "context": link.context} for path, link in found],
        "broken": [link.as_json() for link in lost if (note.path, link.line, link.target) in nowhere],
    }


def link_lines(found: dict[str, Any]) -> Iterator[str]:
    """What `kb links` prints."""
    for title, key in (("Links", "links"), ("Linked from", "backlinks"), ("Leads nowhere", "broken")):
        if found[key]:
            yield style(title, "bold")
            yield from (f"  {_place(row)}: {printable(row['context'])}" for row in found[key])


def _place(row: dict[str, Any]) -> str:
    return f"{row['source']}:{row['line']}" if "source" in row else f"[[{row['target']}]] (line {row['line']})"


def orphan_rows(library: Library) -> list[dict[str, Any]]:
    """Notes without a link in or out."""
    from kb.checks.links import orphans

    return [{"id": id, "title": title} for _, id, title in orphans(library)]


def _nowhere(library: Library, path: str = "") -> set[tuple[str, int, str]]:
    """The links that lead to no note and to no file, of the vault or of one note: path, line and target."""
    from kb.checks.links import leading_nowhere

    return {(source, line, target) for source, _, target, line, _ in leading_nowhere(library, path)}


def broken_links(library: Library) -> list[dict[str, Any]]:
    """Links to nothing, with their places; those that an import carried over say so."""
    found, nowhere = [], _nowhere(library)
    for note in library.notes.values():
        wanted = note.meta.get("wanted", [])
        for link in note.links:
            if library.target(link, note) is not None or (note.path, link.line, link.target) not in nowhere:
                continue
            row: dict[str, Any] = {"path": f"{note.path}:{link.line}", "target": f"[[{link.target}]]"}
            found.append(row | ({"wanted": "(wanted)"} if link.target in wanted else {}))
    return found
