"""An Obsidian vault, a Logseq graph or a Notion export as one file of many pages, each of which is a note."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from kb.files import read_bytes
from kb.formats.items import Item, ReadingList
from kb.formats.known import reader
from kb.formats.pages import NOTION_ID, read_page
from kb.formats.records import Record, text_of
from kb.ids import title_key
from kb.importing.files import FOLDER, ListFile, as_list, read_rows
from kb.importing.folders import Folder
from kb.importing.render import Filing
from kb.library import Library
from kb.links import blank_skipped
from kb.problem import KbError, Problem

_EMBED = re.compile(r"!\[\[([^\[\]|#\n]+)(?:[#|][^\[\]\n]*)?\]\]")
_FILE = re.compile(r"!?\[[^\[\]\n]*\]\(\s*<?([^()\s<>]+\.\w{2,4}|[^()<>\n]+\.\w{2,4}(?=>))>?[^()\n]*\)")
_PAGE_LINK = re.compile(r"\[([^\[\]\n]*)\]\(\s*<?([^()\s<>]+?\.(?:md|csv))>?\s*\)")


@dataclass
class FolderFile(ListFile):
    """The pages of a folder. A line of it is a line of one of its pages; `starts` says where each begins."""

    folder: Folder = field(default_factory=lambda: Folder(""))
    starts: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    old: set[str] = field(default_factory=set)

    @property
    def has_records(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        return [line for text in self.texts.values() for line in _lines(text)]

    def where(self, no: int) -> tuple[str, int]:
        """The page and the line in it."""
        place = max((p for p, start in self.starts.items() if start <= no), key=lambda p: self.starts[p], default="")
        return (f"{self.name}/{place}", no - self.starts[place] + 1) if place else (self.name, no)

    def kept(self) -> dict[str, bytes | None]:
        """The pages as they are now, for the next import to compare with."""
        gone = {f"{FOLDER}/{self.name}/{place}": None for place in self.old - set(self.folder.pages)}
        return {**gone, **{f"{FOLDER}/{self.name}/{place}": data for place, data in self.folder.pages.items()}}


def read_pages(library: Library, folder: Folder) -> FolderFile:
    """A folder with what the vault knows of its last import."""
    file = FolderFile(folder.name, b"", ReadingList([], set(), whole=False), folder.kind, folder=folder)
    file.now, file.starts, file.texts, file.problems = _read(folder.pages, folder.kind)
    file.records = [Record(item.lines[0] if item.lines else 1) for item in file.now.items]
    for place, why in folder.refused:
        file.problems.append(
            Problem(place, 0, folder.kind, f"this was left out: {why}", "look at it by hand", "warning")
        )
    snapshot = _snapshot(library.root / FOLDER / folder.name)
    if not snapshot:
        return file
    if len(snapshot) > 3 and len(snapshot.keys() & folder.pages.keys()) < 0.2 * min(len(snapshot), len(folder.pages)):
        other = f"another folder named {folder.name} was imported before ({FOLDER}/{folder.name})"
        raise KbError(f"{folder.name}: {other}; give this one a name of its own with --as NAME", 2)
    file.old = set(snapshot)
    file.before = _read(snapshot, folder.kind)[0]
    file.rows = read_rows(library.root / FOLDER / f"{folder.name}.json")
    return file


def _snapshot(root: Path) -> dict[str, bytes]:
    if not root.is_dir():
        return {}
    paths = (path for path in sorted(root.rglob("*")) if path.is_file() and not path.name.startswith(".kb-"))
    return {path.relative_to(root).as_posix(): read_bytes(path) or b"" for path in paths}


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _read(pages: dict[str, bytes], kind: str) -> tuple[ReadingList, dict[str, int], dict[str, str], list[Problem]]:
    items: list[Item] = []
    found = ReadingList(items, set(), whole=False)
    starts: dict[str, int] = {}
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    at = 1
    for place in sorted(pages, key=lambda place: (place.lower().endswith(".csv"), place)):
        crlf = b"\r\n" in pages[place]
        texts[place], more = text_of(pages[place], place, kind)
        starts[place] = at
        if place.lower().endswith(".csv"):
            problems += more + _rows(place, pages[place], texts[place], at, found)
        else:
            item, faults = read_page(texts[place], place, kind)
            item.crlf = crlf
            problems += more + faults
            item.lines = [no + at - 1 for no in item.lines]
            items.append(item)
        at += len(_lines(texts[place]))
    _tell_apart(items, kind)
    return found, starts, texts, problems


def _rows(place: str, data: bytes, text: str, at: int, found: ReadingList) -> list[Problem]:
    """The rows of a Notion database. A row whose page is there adds its lines to that; any other is a work."""
    records, problems = reader("csv")(data, place)
    table = as_list(records, text)
    pages = {title_key(item.title): item for item in found.items if item.verbatim}
    for item in table.items:
        item.lines = [no + at - 1 for no in item.lines]
        if page := pages.get(title_key(item.title)):
            page.lines += item.lines
            for key, value in item.meta.items():
                page.meta.setdefault(key, value)
        elif not any(title_key(other.title) == title_key(item.title) for other in found.items):
            item.place, item.key = f"{place}#{item.title}", f"{place}#{item.title}"
            found.items.append(item)
        else:
            next(o for o in found.items if title_key(o.title) == title_key(item.title)).lines.extend(item.lines)
    found.structure |= {no + at - 1 for no in table.structure}
    found.unresolved |= {no + at - 1: why for no, why in table.unresolved.items()}
    return problems


def _tell_apart(items: list[Item], kind: str) -> None:
    """Names by which links find the right page: that of a path where a link has one, one name for one page alone."""
    named = Counter(title_key(item.title) for item in items)
    by_place = {item.place: item for item in items}
    seen: set[str] = set()
    for item in items:
        own = [name for name in item.meta.get("aliases", []) if name.casefold() not in seen]
        if named[title_key(item.title)] > 1 and kind == "notion":
            own.append(PurePosixPath(item.place).stem)
        seen |= {name.casefold() for name in own}
        item.meta = {**item.meta, "aliases": own} if own else {k: v for k, v in item.meta.items() if k != "aliases"}
    for item in items:
        text = "\n".join(part for part in item.body if isinstance(part, str))
        for m in re.finditer(r"\[\[([^\[\]|#\n]+/[^\[\]|#\n]+)", text):
            name = m[1].strip().removesuffix(".md")
            target = by_place.get(f"{name}.md") or next(
                (i for p, i in by_place.items() if p.endswith(f"/{name}.md")), None
            )
            if target and name not in target.meta.get("aliases", []) and name != target.title:
                target.meta["aliases"] = [*target.meta.get("aliases", []), name]
        if kind == "notion" and ".md" in text:
            item.body = [*_wiki(text, item.place, by_place, named).split("\n")]


def _wiki(text: str, place: str, by_place: dict[str, Item], named: Counter[str]) -> str:
    """Links to pages of an export, whose files have numbers for names, as [[links]] to the notes."""

    def link(m: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(place), unquote(m[2])))
        target = by_place.get(path)
        if target is None:
            stem = NOTION_ID.sub("", PurePosixPath(path).stem)
            return f"[[{stem}|{m[1]}]]" if m[1] and m[1] != stem else f"[[{stem}]]"
        name = target.title if named[title_key(target.title)] == 1 else PurePosixPath(target.place).stem
        name = re.sub(r"[\[\]|#]", " ", name)
        return f"[[{name}|{m[1]}]]" if m[1] and m[1] != name else f"[[{name}]]"

    return _PAGE_LINK.sub(link, text)


def copies(library: Library, file: FolderFile) -> dict[str, bytes]:
    """The pictures and PDFs that pages show, by where their links look for them from the notes. What cannot be put
    there is told."""
    by_name: dict[str, str] = {}
    for place in file.folder.shown:
        by_name.setdefault(PurePosixPath(place).name.casefold(), place)
    found: dict[str, bytes] = {}
    for filing in file.filings:
        if filing.skip:
            continue
        for target, path in _shown(filing, by_name, file.folder.shown):
            data = file.folder.shown[path]
            there = read_bytes(library.root / target) if target not in found else found[target]
            if there is not None and there != data:
                message = f"{path} was not copied: another file is at {target}"
                hint = "give one of them another name"
                file.problems.append(Problem(filing.item.place, 0, file.format, message, hint, "warning"))
            else:
                found[target] = data
    return found


def _shown(filing: Filing, by_name: dict[str, str], shown: dict[str, bytes]) -> list[tuple[str, str]]:
    """For each file that a page shows: where the note looks for it, and where it is in the folder."""
    text = blank_skipped("\n".join(part for part in filing.item.body if isinstance(part, str)))
    found = []
    for m in _EMBED.finditer(text):
        if path := by_name.get(PurePosixPath(m[1].strip()).name.casefold()):
            found.append((f"notes/attachments/{PurePosixPath(path).name}", path))
    here = posixpath.dirname(filing.item.place)
    for m in _FILE.finditer(text):
        link = unquote(m[1]).split("#")[0]
        path = posixpath.normpath(posixpath.join(here, link))
        path = (
            path if path in shown else link if link in shown else by_name.get(PurePosixPath(link).name.casefold(), "")
        )
        target = posixpath.normpath(posixpath.join(posixpath.dirname(filing.path), link))
        inside = target.startswith("notes/") and not any(part.startswith(".") for part in target.split("/"))
        if path and "://" not in link and inside and not target.endswith(".md"):
            found.append((target, path))
    return found
