"""A library as strangers may see it: without private notes, and without the words that only lead to them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from kb.ids import title_key
from kb.library import Library, backlinks_of
from kb.links import MARKDOWN_LINK, WIKILINK, Link, blank_skipped, find_links
from kb.names import link_key, name_key
from kb.note import PAGE, Note

PRIVATE = "private note"  # what stands where a private note was named
_SHOWN = f'<span class="kb-private">{PRIVATE}</span>'
QUEUE = 6  # notes that are next
_DEFINITION = re.compile(r"^ {0,3}\[[^\]\n]+\]:[ \t]*<?([^\s>]+\.md)(?:#[^\s>]*)?>?.*$", re.M)
_HREF = re.compile(r"""\b(href|src)\s*=\s*["']?([^"'\s>]+)["']?""", re.I)
_WIKI = re.compile(WIKILINK)


class PublicLibrary:
    """Has the notes, names and links of a Library that are for everybody. `notes` are by path, guide pages included."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._private = [note for note in library.notes.values() if note.private]
        self.notes: dict[str, Note] = {p: self._redacted(n) for p, n in library.notes.items() if not n.private}

    @cached_property
    def works(self) -> list[Note]:
        """The notes without the pages of the guide."""
        return [note for note in self.notes.values() if note.kind != PAGE]

    def resolve(self, name: str) -> Note | None:
        """The public note a path, id, alias or title means."""
        found = self._library.resolve(name)
        return self.notes.get(found.path) if found else None

    def hides(self, name: str) -> bool:
        """True for a name of a private note."""
        return self._is_private(_bare(name))

    def target(self, link: Link, source: Note) -> Note | None:
        """The public note a link leads to."""
        return self.resolve(link_key(link, source.path)) if link.target else source

    @cached_property
    def backlinks(self) -> dict[str, list[tuple[Note, Link]]]:
        """For each note's path the links that lead to it, in sentences that name notes by their titles."""
        return backlinks_of(map(self._spoken, self.notes.values()), self.target)

    def _spoken(self, note: Note) -> Note:
        """The note with `[[id]]` read as the page shows it: as the title of what it leads to."""

        def titled(m: re.Match[str]) -> str:
            name = m[2].strip() if not (m[3] or m[4]) and not prose[m.start()].isspace() else ""
            found = self.resolve(name) if name else None
            return m[0] if found is None else f"{m[1]}[[{m[2]}|{re.sub('[][]', '', found.title)}]]"

        if not any(link.wiki and not link.label for link in note.links):
            return note
        body = note.body.replace(_SHOWN, PRIVATE)
        prose = blank_skipped(body)
        return replace(note, links=tuple(find_links(_WIKI.sub(titled, body), note.body_line)))

    # What `kb status` shows, in its orders. The first to ask needs the index.

    @cached_property
    def reading(self) -> list[Note]:
        """What is being read, begun last first."""
        from kb.verbs.status import reading

        return self._listed(reading(self._library))

    @cached_property
    def waiting(self) -> list[Note]:
        """What to read next, best first; no more than a page asks for."""
        from kb.verbs.choosing import reading_queue

        return self._listed(reading_queue(self._library, QUEUE + len(self._private)))[:QUEUE]

    def _listed(self, rows: list[dict[str, Any]]) -> list[Note]:
        return [self.notes[row["path"]] for row in rows if row["path"] in self.notes]

    @cached_property
    def parts(self) -> dict[str, list[Note]]:
        """For each note's path the notes that say they are part of it, by path."""
        found: dict[str, list[Note]] = {}
        for note in self.works:
            if whole := self.whole(note):
                found.setdefault(whole.path, []).append(note)
        return found

    def whole(self, note: Note) -> Note | None:
        """The note that this one is part of."""
        name = _bare(str(note.meta.get("part_of") or ""))
        whole = self.resolve(name) if name else None
        return whole if whole and whole.path != note.path else None

    @cached_property
    def cite_keys(self) -> dict[str, str]:
        """The citation key of each work, by path: the same as in an export."""
        from kb.exporting.keys import assign

        return assign(note for note in self._library.notes.values() if note.status or note.kind == "")

    def private_assets(self, names: list[str]) -> set[str]:
        """Those of the vault's other files that private notes name and public ones do not."""
        hidden = "\n".join(note.body for note in self._private)
        shown = "\n".join(note.body for note in self.notes.values()) if hidden else ""
        short = {name: name.rpartition("/")[2] for name in names}
        return {name for name, stem in short.items() if stem in hidden and stem not in shown}

    # Redaction

    def _redacted(self, note: Note) -> Note:
        """The note without its links to private notes, which is most often the note itself."""
        if not self._private:
            return note
        meta = self._public_meta(note)
        if not self._names_private(note):
            return replace(note, meta=meta)
        body = self._public_text(note.body, note.path, _SHOWN)
        told = self._public_text(note.body, note.path, PRIVATE)
        return replace(note, meta=meta, body=body, links=tuple(find_links(told, note.body_line)))

    def _names_private(self, note: Note) -> bool:
        """A cheap look: only a text that holds a private note's id, title or an alias can name it."""
        text = name_key(note.body)
        return any(name in text for name in self._private_names)

    @cached_property
    def _private_names(self) -> set[str]:
        names = (n for note in self._private for n in (note.id, note.title, *note.aliases))
        return {name_key(name) for name in names} - {""}

    def _public_meta(self, note: Note) -> Mapping[str, Any]:
        meta = dict(note.meta)
        if self._is_private(_bare(str(meta.get("part_of") or ""))):
            del meta["part_of"]
        for key, value in meta.items():
            if isinstance(value, str) and "[[" in value:
                meta[key] = self._public_text(value, note.path, PRIVATE)
        return meta

    def _public_text(self, text: str, path: str, word: str) -> str:
        """`text` with the label, or `word`, for every link to a private note: also in code and comments, whose text
        ends up in the page as well."""
        text = self._swap(_WIKI, text, word, lambda m: (m[2].strip(), True, m[4] or ""), path)
        text = self._swap(MARKDOWN_LINK, text, word, lambda m: (m[2], False, m[1]), path)
        text = _DEFINITION.sub(lambda m: "" if self._is_private_path(m[1], path) else m[0], text)
        return _HREF.sub(lambda m: "" if self._is_private_path(m[2], path) else m[0], text)

    def _swap(
        self,
        pattern: re.Pattern[str],
        text: str,
        word: str,
        parts: Callable[[re.Match[str]], tuple[str, bool, str]],
        path: str,
    ) -> str:
        prose = blank_skipped(text)

        def shown(m: re.Match[str]) -> str:
            target, wiki, label = parts(m)
            private = self._is_private(target) if wiki else self._is_private_path(target, path)
            if not private:
                return m[0]
            if label and not self._tells(label):
                return label.replace("\\", "")
            return word if prose[m.start()] == "[" or prose[m.start()] == "!" else PRIVATE

        return pattern.sub(shown, text)

    def _tells(self, label: str) -> bool:
        """True for a label that gives the note's name away."""
        words = f" {title_key(label)} "
        return any(f" {title_key(name)} " in words for name in self._private_names if title_key(name))

    def _is_private(self, name: str) -> bool:
        found = self._library.resolve(name) if name else None
        return found is not None and found.private

    def _is_private_path(self, address: str, path: str) -> bool:
        """True for a relative address of a private note's file or page."""
        if re.match(r"[a-z][a-z0-9+.-]*:|//", address, re.I):
            return False
        bare = address.partition("#")[0].removesuffix("/").removesuffix(".html")
        found = self._library.resolve(link_key(Link(bare, 0, wiki=False), path)) if bare else None
        return (found is not None and found.private) or name_key(bare.rpartition("/")[2]) in self._private_ids

    @cached_property
    def _private_ids(self) -> set[str]:
        return {name_key(note.id) for note in self._private}


def _bare(name: str) -> str:
    """'[[id]]' or 'id' -> 'id'."""
    return name.strip().removeprefix("[[").removesuffix("]]").partition("|")[0].strip()


def visible(library: Library) -> PublicLibrary:
    """What the site shows of a library."""
    return PublicLibrary(library)
