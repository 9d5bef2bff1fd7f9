"""Which note a work of a list already has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kb.duplicates import Shelf
from kb.formats.items import PAPER_SITES, Item
from kb.ids import title_key
from kb.library import Library
from kb.note import PAGE, WORK_KEYS, Note


def item_key(item: Item) -> str:
    """What an item is known by in its list: its first id, or its title among works of its sort."""
    if item.key:
        return f"key:{item.key}"
    tokens = [source.token for source in item.sources]
    return tokens[0] if tokens else f"{sort_of(item.kind)}:{title_key(item.title)}"


def sort_of(kind: str) -> str:
    return kind if kind in ("topic", "course") else "work"


class Catalogue:
    """Which note a work has: by its ids, else by its title where nothing speaks against it."""

    def __init__(self, library: Library, shelf: Shelf | None = None) -> None:
        """`shelf` finds records, which say more of a work than a line of a list does."""
        self.shelf: Shelf | None = None
        self.by_token = {token: paths[0] for token, paths in library.index.works().items()}
        self.notes: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self.by_title: dict[str, list[str]] = {}
        self.taken: set[str] = set()
        for note in library.notes.values():
            self.taken.add(note.id.casefold())
            named = [note.id] if note.kind == "topic" else []  # the topic 'diffusion' may be titled otherwise
            self.add(note.path, note.id, note.meta, [note.title, *note.aliases, *named])
        self.shelf = shelf

    def add(self, path: str, id: str, meta: Mapping[str, Any], titles: Sequence[str]) -> None:
        meta = {"title": next(iter(titles), ""), **meta}
        self.notes[path] = (id, meta)
        for title in titles:
            if key := title_key(title):
                paths = self.by_title.setdefault(key, [])
                paths += [path] if path not in paths else []
        tokens = [source.token for source in Note(id, path, meta, "").sources()]
        for token in tokens:
            self.by_token.setdefault(token, path)
        if self.shelf is not None:
            self.shelf.put(path, tokens, meta)

    def join(self, path: str, item: Item) -> None:
        """A note that gets another place of a list: it has the ids of both."""
        id, meta = self.notes[path]
        self.add(path, id, {**item.meta, **meta}, [item.title])

    def has(self, path: str, place: str) -> bool:
        """Whether a note says that it came from this place of a list."""
        return place in self.notes[path][1].get("imported", [])

    def find(self, item: Item) -> str | None:
        if item.record and self.shelf is not None and item.kind not in ("topic", "log"):
            meta = {**item.meta, "title": item.title, "kind": item.kind}
            work = self.shelf.find([source.token for source in Note("", "", meta, "").sources()], meta)
            return work.path if work else None
        for token in (source.token for source in item.sources):
            path = self.by_token.get(token)
            if path and self._is_same_sort(item, path) and not self._differs(item, path, PAPER_SITES):
                return path
        return next((path for path in self.by_title.get(title_key(item.title), []) if self._may_be(item, path)), None)

    def _is_same_sort(self, item: Item, path: str) -> bool:
        return (item.kind == "topic") == (self.notes[path][1].get("kind") == "topic")

    def _differs(self, item: Item, path: str, keys: Iterable[str]) -> bool:
        """Whether a work and a note have another id of one of these sorts: two papers may share a repository."""
        theirs = {s.key: s.token for s in Note("", "", self.notes[path][1], "").sources()}
        mine = {s.key: s.token for s in item.sources}
        return any(theirs[key] != mine[key] for key in mine.keys() & theirs.keys() & set(keys))

    def _may_be(self, item: Item, path: str) -> bool:
        """Whether works of one title may be one work: of one sort, with no id that differs, and, where the title is a
        short one, of one kind or without ids."""
        meta = self.notes[path][1]
        kind = str(meta.get("kind", ""))
        if sort_of(item.kind) != sort_of(kind) or kind == PAGE:
            return False
        if self._differs(item, path, WORK_KEYS):
            return False
        known = item.sources or Note("", "", meta, "").sources()
        return len(title_key(item.title).split()) >= 3 or kind == item.kind or not known
