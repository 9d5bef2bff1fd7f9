"""Which note a work of a list already has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kb.formats.items import Item
from kb.ids import title_key
from kb.library import Library
from kb.note import PAGE, Note


def item_key(item: Item) -> str:
    """What an item is known by in its list: its first id, or its title among works of its sort."""
    tokens = [source.token for source in item.sources]
    return tokens[0] if tokens else f"{_sort(item.kind)}:{title_key(item.title)}"


def _sort(kind: str) -> str:
    return kind if kind in ("topic", "course") else "work"


class Catalogue:
    """Which note a work has: by its ids, else by its title where nothing speaks against it."""

    def __init__(self, library: Library) -> None:
        self.by_token = {token: paths[0] for token, paths in library.index.works().items()}
        self.notes: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self.by_title: dict[str, list[str]] = {}
        self.taken: set[str] = set()
        for note in library.notes.values():
            self.taken.add(note.id.casefold())
            self.add(note.path, note.id, note.meta, [note.title, *note.aliases])

    def add(self, path: str, id: str, meta: Mapping[str, Any], titles: Iterable[str]) -> None:
        self.notes[path] = (id, meta)
        for title in titles:
            if key := title_key(title):
                self.by_title.setdefault(key, []).append(path)
        for source in Note(id, path, meta, "").sources():
            self.by_token.setdefault(source.token, path)

    def find(self, item: Item) -> str | None:
        tokens = [source.token for source in item.sources]
        found = next((self.by_token[token] for token in tokens if token in self.by_token), None)
        if found and (item.kind == "topic") == (self.notes[found][1].get("kind") == "topic"):
            return found
        return next((path for path in self.by_title.get(title_key(item.title), []) if self._may_be(item, path)), None)

    def _may_be(self, item: Item, path: str) -> bool:
        """Whether works of one title may be one work: of one sort, with no id that differs, and, where the title is a
        short one, of one kind or without ids."""
        meta = self.notes[path][1]
        kind = str(meta.get("kind", ""))
        if _sort(item.kind) != _sort(kind) or kind == PAGE:
            return False
        theirs = {s.key: s.token for s in Note("", "", meta, "").sources()}
        mine = {s.key: s.token for s in item.sources}
        if any(theirs[key] != mine[key] for key in mine.keys() & theirs.keys()):
            return False
        return len(title_key(item.title).split()) >= 3 or kind == item.kind or not (mine or theirs)
