"""Tags: setting them on many notes at once, renaming them over the vault, counting them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from kb.edits import Changes, edit_notes
from kb.ids import fold
from kb.library import Library
from kb.note import Note
from kb.problem import KbError


@dataclass
class Tagged:
    """What a change of tags did: the tags of each note that has others now, the paths of those that stay as they
    were, and for each new tag the known one that it resembles."""

    changed: dict[str, list[str]] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    resembles: dict[str, str] = field(default_factory=dict)


def normal_tag(text: str) -> str:
    """A tag as kb writes it: without #, in small letters, with - between words: '#Diffusion Models' ->
    'diffusion-models'. What stands around / is a level of its own."""
    parts = (re.sub(r"[\s,]+", "-", part.strip()).strip("-") for part in text.strip().lstrip("#").casefold().split("/"))
    tag = "/".join(part for part in parts if part)
    if not tag or re.search(r"[\[\]{}:\"'#]", tag):
        raise KbError(f"'{text}' is no tag; write words of letters, digits and -", 2)
    return tag


def parted(words: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """The words of `kb tag`: those that mean notes, the tags to add (+x) and those to remove (-x). Where no tag bears
    a sign, the first word and the conditions of a query mean notes, and the rest are tags to add."""
    from kb.query import is_term

    signed = [word for word in words if len(word) > 1 and word[0] in "+-¬" and not is_term(word)]
    asked = [word for word in words if word not in signed]
    add = [word[1:] for word in signed if word[0] == "+"]
    if not signed and len(asked) > 1:
        add = [word for word in asked[1:] if not is_term(word)]
        asked = [asked[0], *(word for word in asked[1:] if is_term(word))]
    return asked, add, [word[1:] for word in signed if word[0] != "+"]


def counts(library: Library) -> list[tuple[str, int]]:
    """Every tag as it is spelled and how many notes have it, most frequent first."""
    sql = """SELECT value, count(*) FROM notes, json_each(meta, '$.tags') WHERE instr(meta, '"tags"')
             GROUP BY value ORDER BY count(*) DESC, value"""
    return [(str(tag), int(n)) for tag, n in library.index.rows(sql)]


def spelled(tags: Iterable[str], known: Sequence[str]) -> list[str]:
    """Tags as kb writes them, or as the vault spells them already; `known` has its tags, most frequent first."""
    first = {fold(tag): tag for tag in reversed(known)}
    return list(dict.fromkeys(first.get(fold(tag), tag) for tag in map(normal_tag, tags)))


def retag(library: Library, notes: Iterable[Note], add: Sequence[str], remove: Sequence[str]) -> Tagged:
    """Add and remove tags of notes, in one change. A tag that the vault spells otherwise is written as it is there."""
    known = [tag for tag, _ in counts(library)]
    new = spelled(add, known)
    gone = {fold(tag.strip().lstrip("#")) for tag in remove} | {fold(normal_tag(tag)) for tag in remove}
    if both := [tag for tag in new if fold(tag) in gone]:
        raise KbError(f"'{both[0]}' is both to be added and to be removed; choose one", 2)

    def wanted(tags: list[str]) -> list[str]:
        kept = [tag for tag in tags if fold(tag) not in gone]
        have = {fold(tag) for tag in kept}
        return kept + [tag for tag in dict.fromkeys(new) if fold(tag) not in have]

    told = " ".join([*(f"+{tag}" for tag in add), *(f"-{tag}" for tag in remove)])
    done = _commit(library, notes, wanted, f"tag {told}")
    have = {fold(tag) for tag in known}
    fresh = [tag for tag in new if fold(tag) not in have]
    done.resembles = {tag: near for tag in fresh if (near := _near(tag, known))}
    return done


def rename_tag(library: Library, old: str, new: str) -> Tagged:
    """Give a tag another name in every note, and with it those below it (old/x -> new/x), in one change."""
    was, name = fold(old.strip().lstrip("#")), normal_tag(new)

    def renamed(tag: str) -> str:
        return name + tag[len(was) :] if fold(tag) == was or fold(tag).startswith(f"{was}/") else tag

    sql = "n IN (SELECT n FROM tags WHERE tag = ? OR instr(tag, ?) = 1)"
    notes = list(library.index.notes(sql, (was, f"{was}/")))
    if not notes:
        near = _near(old, [tag for tag, _ in counts(library)])
        raise KbError(f"no note has the tag '{old}'{f'; did you mean {near}?' if near else '; `kb tag` lists them'}")
    return _commit(library, notes, lambda tags: _unique(map(renamed, tags)), f"tag --rename {old} {new}")


def _unique(tags: Iterable[str]) -> list[str]:
    first: dict[str, str] = {}
    for tag in tags:
        first.setdefault(fold(tag), tag)
    return list(first.values())


def _commit(library: Library, notes: Iterable[Note], wanted: Callable[[list[str]], list[str]], verb: str) -> Tagged:
    done = Tagged()

    def changes(note: Note) -> Changes:
        after = wanted(note.tags)
        if after == note.tags:
            done.unchanged.append(note.path)
            return {}
        done.changed[note.path] = after
        return {"tags": after or None}

    edit_notes(library.root, verb, [note.path for note in notes], changes)
    return done


def _near(tag: str, known: Iterable[str]) -> str:
    """The known tag that is written nearly so."""
    import difflib

    near = difflib.get_close_matches(tag, [name for name in known if name != tag], 1, 0.8)
    return near[0] if near else ""
