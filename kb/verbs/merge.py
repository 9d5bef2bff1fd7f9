"""Making one of two descriptions of a work: what a service or a bibliography says joined to a note, or two notes to
one.

What stands in a note is the person's. It is filled where it is empty, joined where it is a list, and replaced only
where it can only be a preprint's (no venue, or arXiv's; the year in which the preprint came out) and the other is
published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kb.edits import decoded, edited
from kb.files import Journal, read_bytes
from kb.ids import Source, is_social, source_url, title_key, url_token
from kb.library import Library
from kb.names import name_key
from kb.note import KEY_ORDER, PAGE, WORK_KEYS, Note, author_name, parse_note
from kb.people import are_authors
from kb.problem import KbError, Stale
from kb.published import is_preprint_doi, is_preprint_venue, is_published, preprint_year
from kb.titles import plain_title

_LISTS = ("tags", "aliases", "also", "seen", "imported", "wanted")
_FURTHER = ("", "inbox", "to-read", "dropped", "reading", "read")  # of two statuses, the one that is further on
_NOT_FILLED = {"title", "kind", "incomplete", "bibtex", *_LISTS, *WORK_KEYS}
_BESIDE = ("code", "video", "slides", "paperpile")  # a second one of these is something else about the work
_Taken = Callable[[str], bool]


def merge_meta(
    library: Library,
    note_path: str,
    meta: Mapping[str, Any],
    source: Source | None = None,
    data: bytes | None = None,
) -> bytes | None:
    """A note's bytes with what `meta` (front-matter keys with the types of kb.note.SCHEMA) adds to it; None where it
    adds nothing. `source` is the reference that led to `meta`; `data` stands for what the note's file holds, where it
    is not written yet. Nothing is written."""
    data = read_bytes(library.root / note_path) if data is None else data
    if data is None:
        raise Stale(f"{note_path} is gone; run the command again")
    note = parse_note(data, note_path)[0]
    new = edited(data, note_path, additions(note, meta, source, lambda name: _is_others(library, name, note_path)))
    return None if new == data else new


@dataclass
class Merged:
    """What `merge_notes` did: the note that stays, the one that went, the other notes whose links were turned to it,
    and the values that gave way to the kept note's own."""

    path: str
    gone: str
    notes: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def merge_notes(library: Library, keep: Note, gone: Note) -> Merged:
    """Make one note of two, in one change: `keep` with what `gone` says beyond it, its prose and its names."""
    from kb.verbs.merge_text import appended

    _check(keep, gone)
    read = {path: read_bytes(library.root / path) for path in (keep.path, gone.path)}
    data, other = read[keep.path], read[gone.path]
    if data is None or other is None:
        raise Stale(f"{keep.path if data is None else gone.path} is gone; run the command again")
    decoded(other, gone.path)  # its bytes go into a text: none may be lost on the way
    keep, gone = parse_note(data, keep.path)[0], parse_note(other, gone.path)[0]
    changes = _joined(library, keep, gone)
    new = appended(decoded(edited(data, keep.path, changes), keep.path), keep.path, gone).encode()
    writes: dict[str, bytes | None] = {keep.path: new, gone.path: None}
    done = Merged(keep.path, gone.path, left=_left(keep, gone, changes))
    for path, before, after in _linking(library, parse_note(new, keep.path)[0], gone):
        read[path], writes[path] = before, after
        done.notes.append(path)
    Journal(library.root).commit(f"merge {keep.id} {gone.id}", writes, read, since=library.moment)
    return done


def _check(keep: Note, gone: Note) -> None:
    if keep.path == gone.path:
        raise KbError(f"both are {keep.path}; name two notes", 2)
    for note in (keep, gone):
        if note.kind == PAGE:
            raise KbError(f"{note.path} is a page of the site and no note; name two notes", 2)
    ours, theirs = keep.meta.get("repro", ""), gone.meta.get("repro", "")
    if ours and theirs and ours != theirs:
        raise KbError(
            f"{keep.path} has the reproduction '{ours}' and {gone.path} '{theirs}'; take one of them out first"
        )


def _joined(library: Library, keep: Note, gone: Note) -> dict[str, Any]:
    """The keys of `keep` to set. Its own values stay; of two statuses the further one holds, of two days the first."""

    def taken(name: str) -> bool:
        return library.index.resolve(name) not in (None, keep.path, gone.path)

    names = [gone.id, gone.title, *gone.aliases]
    if "cite" in keep.meta and "cite" in gone.meta:
        names.append(gone.meta["cite"])
    found = {key: value for key, value in gone.meta.items() if key not in KEY_ORDER and key not in keep.meta}
    found |= additions(keep, {**gone.meta, "aliases": names}, None, taken)
    if gone.private and not keep.private:
        found["private"] = True
    if gone.meta.get("status") and _FURTHER.index(gone.status) > _FURTHER.index(keep.status):
        found["status"] = gone.status
        found |= {key: gone.meta[key] for key in ("started", "finished") if key in gone.meta and key not in keep.meta}
    for key in ("added", "started"):
        if str(gone.meta.get(key, "~")) < str(keep.meta.get(key, "")):
            found[key] = gone.meta[key]
    if library.index.resolve(str(found.get("part_of", ""))) in (keep.path, gone.path):
        del found["part_of"]
    return found


def _left(keep: Note, gone: Note, changes: Mapping[str, Any]) -> list[str]:
    told = ("title", "kind", "status", "added", "started", "cite", "bibtex", *_LISTS, *WORK_KEYS, *_BESIDE)
    now = {**keep.meta, **changes}
    given = {k: v for k, v in gone.meta.items() if k not in told and now.get(k, v) != v}
    if are_authors(keep.meta, gone.meta):  # 'Lee, A.' is no other name than 'Ann Lee'
        given.pop("authors", None)
    return [f"{key}: {_shown(value)} ({_shown(now[key])} stays)" for key, value in given.items()]


def _shown(value: Any) -> str:
    return ", ".join(author_name(v) for v in value) if isinstance(value, list) else str(value)


def _linking(library: Library, keep: Note, gone: Note) -> Iterator[tuple[str, bytes, bytes]]:
    """The notes with links that no name of the kept note answers, and their new bytes."""
    from kb.verbs.merge_text import retargeted

    names = _names(keep)
    for path in dict.fromkeys(source for source, _ in library.index.links_to(gone.path)):
        data = read_bytes(library.root / path)
        if data is None or path in (keep.path, gone.path):
            continue
        text = data.decode("utf-8", "surrogateescape")
        new = retargeted(text, path, gone.path, keep, names.__contains__).encode("utf-8", "surrogateescape")
        if new != data:
            yield path, data, new


def _is_others(library: Library, name: str, path: str) -> bool:
    return library.index.resolve(name) not in (None, path)


def additions(
    note: Note, meta: Mapping[str, Any], source: Source | None = None, taken: _Taken = lambda name: False
) -> dict[str, Any]:
    """The keys of a note that another description of its work changes. `taken` says of a name that it leads to another
    note, and so can be no alias of this one."""
    ours = {key: value for key, value in note.meta.items() if not _empty(value)}
    theirs = {key: value for key, value in meta.items() if not _empty(value)}
    found = {key: theirs[key] for key in KEY_ORDER if key in theirs and key not in ours and key not in _NOT_FILLED}
    if ours.get("status", "") != theirs.get("status", "") and "status" in ours:
        found = {key: value for key, value in found.items() if key not in ("started", "finished")}
    if found.get("part_of") == note.id:
        del found["part_of"]
    lists = {key: list(theirs.get(key, [])) for key in _LISTS}
    found |= _ids(ours, theirs, source, lists)
    found |= _published(ours, theirs)
    found |= _completed(note, theirs)
    if name := _other_title(note, theirs, source, found, taken):
        lists["aliases"].append(name)
    lists["aliases"] = [name for name in lists["aliases"] if not taken(name) and name_key(name) not in _names(note)]
    return found | {key: united for key in _LISTS if (united := _union(key, ours, lists[key])) != ours.get(key, [])}


def _empty(value: Any) -> bool:
    return value in (None, "", [], {})


def _names(note: Note) -> set[str]:
    return {name_key(name) for name in (note.id, note.title, *note.aliases)}


def _union(key: str, ours: Mapping[str, Any], more: list[str]) -> list[str]:
    compared = url_token if key in ("also", "seen") else str.casefold
    values = list(ours.get(key, []))
    known = {compared(str(value)) for value in values}
    if key == "seen":
        known |= {compared(str(v)) for v in (ours.get("url", ""), *ours.get("also", [])) if v}
    for value in more:
        if compared(str(value)) not in known:
            known.add(compared(str(value)))
            values.append(value)
    return values


# Ids


def _ids(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], source: Source | None, lists: dict[str, list[str]]
) -> dict[str, Any]:
    """The ids that a note lacks, each under its key. Where the key has another one, the further id of the work is
    listed under `also`, a further video or repository under `seen`."""
    found: dict[str, Any] = {}
    known = {s.token for s in Note("", "", ours, "").sources()}
    named = [(key, str(theirs[key])) for key in (*WORK_KEYS, "slides", "paperpile") if key in theirs]
    if source is not None and str(theirs.get("pdf", "")) != source.value:
        named.append((source.key, source.value))
    for key, value in named:
        one = next(iter(Note("", "", {key: value}, "").sources()), Source(key, value))
        key = key if one.key == "url" or key in _BESIDE else one.key
        if one.token in known:
            continue
        known.add(one.token)
        if key == "url" and is_social(one.value):
            lists["seen"].append(one.value)
        elif key not in ours and key not in found:
            found[key] = one.value
        elif key in _BESIDE:
            lists["seen"].append(one.url)
        elif key == "doi" and is_preprint_doi(str(ours.get("doi", ""))) and not is_preprint_doi(one.value):
            found["doi"] = one.value
            lists["also"].append(source_url("doi", str(ours["doi"])))
        else:
            lists["also"].append(one.url)
    return found


# Preprint and published version


def _published(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Venue, year and BibTeX fields of the published version, where the note has only its preprint's."""
    upgrade = is_published(theirs) and not is_published(ours)
    found: dict[str, Any] = {}
    was_preprint = is_preprint_venue(str(ours.get("venue", "")))
    if upgrade:
        found["venue"] = theirs["venue"]
        if "year" in theirs and (was_preprint or ours.get("year") in (None, preprint_year(ours))):
            found["year"] = theirs["year"]
    extra = dict(ours.get("bibtex") or {})
    if upgrade:
        named = ("journal", "journaltitle", "howpublished", "note")
        places = {key for key in named if is_preprint_venue(extra.get(key, ""))}
        extra = {key: value for key, value in extra.items() if key not in places}
        if extra.get("entry") in ("misc", "unpublished", "online", "techreport") or places:
            extra.pop("entry", None)
    extra = dict(theirs.get("bibtex") or {}) | extra
    if extra != (ours.get("bibtex") or {}):
        found["bibtex"] = {"entry": extra.pop("entry"), **extra} if "entry" in extra else extra or None
    return {key: value for key, value in found.items() if value != ours.get(key)}


# Titles


def _completed(note: Note, theirs: Mapping[str, Any]) -> dict[str, Any]:
    """What is no more provisional once a service has answered."""
    if "incomplete" not in note.meta or "incomplete" in theirs or "title" not in theirs:
        return {}
    from kb.sources import kind_of
    from kb.verbs.references import provisional_title

    found: dict[str, Any] = {}
    if note.title in {provisional_title(s) for s in note.sources()}:
        found["title"] = theirs["title"]
    answered = Note("", "", theirs, "").sources()
    if any(kind_of(s).name == note.meta["incomplete"] for s in answered):
        found["incomplete"] = None
    return found


def _other_title(
    note: Note, theirs: Mapping[str, Any], source: Source | None, found: Mapping[str, Any], taken: _Taken
) -> str:
    """What the work is called elsewhere, where the words differ; the title of a web page says too much of its site."""
    title = str(theirs.get("title", ""))
    from_page = source is not None and source.key in ("url", "code", "video")
    if not title or "incomplete" in theirs or from_page or "title" in found or taken(title):
        return ""
    known = {title_key(plain_title(name)) for name in (note.title, *note.aliases)}
    return "" if title_key(plain_title(title)) in known else title
