"""Giving a note another id: the file, every link to it in every note, and what imports recorded, in one change."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from kb import frontmatter
from kb.edits import edited
from kb.files import Journal, read_bytes
from kb.ids import slug
from kb.library import Library
from kb.links import WIKILINK, Link, is_wiki, link_matches, replaced
from kb.names import link_key, name_key
from kb.note import KEY_ORDER, Note, parse_note
from kb.problem import KbError

_LISTS = "imports"  # where kb import keeps the lists and their records
Leads = Callable[[str, bool], bool]  # does this target, of a [[link]] or not, lead to the note by its id or path?


@dataclass
class Renamed:
    """What `rename` did: the new path, the other notes whose links were rewritten, how many links, and what is left
    for a person to change."""

    old: str
    new: str
    path: str
    notes: list[str] = field(default_factory=list)
    links: int = 0
    lists: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)


def rename(library: Library, name: str, new: str, keep_alias: bool = False) -> Renamed:
    """Give the note that `name` means the id `new`. Links by alias or title stay as they are; `keep_alias` makes the
    old id one, for what links to it from elsewhere."""
    note = library.find(name)
    new = new.removesuffix(".md")
    done = Renamed(note.id, new, f"{note.path.rpartition('/')[0]}/{new}.md")
    _check(library, note, done)
    read: dict[str, bytes | None] = {}
    writes: dict[str, bytes | None] = {}
    for path, data in _may_link(library, note):
        changed, count = _rewritten(data, path, new, _leads(library, note, path))
        if path == note.path:
            read |= {path: data, done.path: None}
            writes |= {done.path: _with_alias(changed, path, note.id) if keep_alias else changed, path: None}
        elif count:
            read[path], writes[path] = data, changed
            done.notes.append(path)
        done.links += count
    for path, data in _records(library.root):
        changed = _record_with(data, note.id, new)
        if changed != data:
            read[path], writes[path] = data, changed
            done.lists.append(path)
    moved = {done.path: note.path}
    Journal(library.root).commit(f"rename {note.id} {new}", writes, read, moved, since=library.moment)
    done.hints = [] if keep_alias else list(_left(library, note, new))
    return done


def _check(library: Library, note: Note, wanted: Renamed) -> None:
    old, new = wanted.old, wanted.new
    if new == old:
        raise KbError(f"{note.path} has the id '{new}' already", 2)
    if "index" in (old, new):
        raise KbError("'index' is the name of a folder's first page; choose another note or name", 2)
    if slug(new, 250) != new:
        raise KbError(f"'{new}' is no id of a-z, 0-9 and -; try kb rename {old} {slug(new, 250)}", 2)
    other = library.index.resolve(new)
    if other and other != note.path:
        raise KbError(f"{other} has '{new}' as its id, alias or title; choose another id, or rename that one first")
    target = library.root / wanted.path
    if target.exists():
        same = target.samefile(library.root / note.path)
        why = "this disk does not tell capital letters from small ones; rename it in two steps" if same else "remove it"
        raise KbError(f"{wanted.path} is there already; {why}")


def _may_link(library: Library, note: Note) -> Iterable[tuple[str, bytes]]:
    """The note, and every file that holds its id, or a % that may hide it in an address, with the bytes."""
    needle = note.id.lower().encode()
    plain = slug(note.id, 250) == note.id.lower()  # else its letters have more forms than one
    for (path,) in library.index.rows("SELECT path FROM notes ORDER BY path"):
        data = read_bytes(library.root / path)
        if data is not None and (path == note.path or not plain or b"%" in data or needle in data.lower()):
            yield path, data


def _leads(library: Library, note: Note, source: str) -> Leads:
    """Which targets, written in the note at `source`, mean the note by its id or its path. One that is spelled as an
    alias or the title and goes on leading there does not."""
    names = {name_key(note.path.partition("/")[2]), name_key(note.id)}
    spelled = {note.title, *note.aliases} - {note.id}

    def leads(target: str, wiki: bool) -> bool:
        key = link_key(Link(target, 0, wiki=wiki), source)
        if key not in names or library.index.resolve(key) != note.path:
            return False
        return not (wiki and target in spelled and _stays(library, note, key))

    return leads


def _stays(library: Library, note: Note, key: str) -> bool:
    """Whether a name leads to the note without its id and path."""
    sql = "SELECT path, rank FROM names JOIN notes USING(n) WHERE name = ? ORDER BY rank, path"
    left = [path for path, rank in library.index.rows(sql, (key,)) if path != note.path or rank > 1]
    return bool(left) and left[0] == note.path


def _rewritten(data: bytes, path: str, new: str, leads: Leads) -> tuple[bytes, int]:
    """A file with its links renamed, and how many there were; every other byte stays."""
    front = frontmatter.split(data.decode("utf-8", "surrogateescape"))
    head, in_head = _head_with("".join(front.lines), new, leads)
    places = [(*m.span(2), _renamed(m[2], new)) for m in link_matches(front.body) if leads(m[2].strip(), is_wiki(m))]
    text = front.opening + head + front.closing + replaced(front.body, places)
    part, in_part = _part_of_with(text, path, new, leads)
    return part.encode("utf-8", "surrogateescape"), in_head + len(places) + in_part


def _head_with(head: str, new: str, leads: Leads) -> tuple[str, int]:
    """Front matter with the [[links]] in it renamed."""
    found = [m for m in re.finditer(WIKILINK, head) if m[2].strip() and leads(m[2].strip(), True)]
    return replaced(head, [(*m.span(2), _renamed(m[2], new)) for m in found]), len(found)


def _part_of_with(text: str, path: str, new: str, leads: Leads) -> tuple[str, int]:
    """The text with `part_of: old` renamed."""
    part = frontmatter.read(frontmatter.split(text))[0].get("part_of")
    if not isinstance(part, str) or "[[" in part or not part.strip() or not leads(part.strip(), True):
        return text, 0
    try:
        return frontmatter.edit(text, {"part_of": _renamed(part.strip(), new)}, KEY_ORDER), 1
    except KbError as error:
        raise KbError(f"{path}: {error}; nothing was renamed") from None


def _renamed(target: str, new: str) -> str:
    """'../papers/old.md' -> '../papers/new.md': the last part, with what stands around it."""
    bare = target.strip()
    last = bare.rpartition("/")[2]
    suffix = last[-3:] if last.lower().endswith(".md") else ""
    start = target.index(bare) + len(bare) - len(last)
    return target[:start] + new + suffix + target[start + len(last) :]


def _with_alias(data: bytes, path: str, old: str) -> bytes:
    aliases = parse_note(data, path)[0].aliases
    return data if old in aliases else edited(data, path, {"aliases": [*aliases, old]})


def _records(root: Path) -> Iterable[tuple[str, bytes]]:
    """What imports recorded: for each item of a list the id of its note."""
    for file in sorted((root / _LISTS).glob("*.json")):
        if (data := read_bytes(file)) is not None:
            yield f"{_LISTS}/{file.name}", data


def _record_with(data: bytes, old: str, new: str) -> bytes:
    found = re.escape(json.dumps(old, ensure_ascii=False))
    pattern = re.compile(rf'("id"\s*:\s*){found}'.encode())
    return pattern.sub(lambda m: m[1] + json.dumps(new).encode(), data)


def _left(library: Library, note: Note, new: str) -> Iterable[str]:
    """Files that name the note and that are not kb's to change."""
    inside = note.path.partition("/")[2]
    if inside.encode() in (read_bytes(library.root / "mkdocs.yml") or b""):
        yield f"mkdocs.yml names {inside}; write {PurePosixPath(inside).with_name(new + '.md')} there"
    for paper in library.results.papers.values():
        if paper.own and any(row.note == note.id for row in paper.listed):
            file = f"repro/{paper.name}/claims.py"
            yield f"{file} names the note '{note.id}'; write '{new}' there, or use --alias when renaming"
