"""A folder or .zip on its way in: an Obsidian vault, a Logseq graph, a Notion export. Nothing is unpacked: the pages
are read where they are, and of other files only those that pages show are copied."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from kb.files import read_regular
from kb.formats.pages import NOTION_ID
from kb.problem import KbError

FOLDERS = ("obsidian", "logseq", "notion")
_PAGES = (".md", ".markdown", ".csv")
_SHOWN = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".avif", ".pdf")
_SKIPPED = {".obsidian", ".trash", ".git", ".kb", ".stfolder", "node_modules", "bak", ".recycle", "version-files"}
_LARGEST = 64 << 20  # bytes of one file
_TOTAL = 1 << 30  # bytes of all that is read
_MOST = 100_000  # files


@dataclass
class Folder:
    """The files of a folder by their paths in it. `refused` says which could not be taken, and why."""

    name: str
    kind: str = ""
    pages: dict[str, bytes] = field(default_factory=dict)
    shown: dict[str, bytes] = field(default_factory=dict)
    refused: list[tuple[str, str]] = field(default_factory=list)


def is_folder(path: Path) -> bool:
    """Whether a path is read as a whole: a folder, or a .zip."""
    return path.is_dir() or (path.is_file() and path.suffix.lower() == ".zip")


def read_folder(path: Path, format: str = "", name: str = "") -> Folder:
    """The pages and pictures of a vault or an export. A KbError where it is none that we know."""
    folder = Folder(name or path.resolve().name.removesuffix(".zip").removesuffix(".ZIP") or "vault")
    marks: set[str] = set()
    size = count = 0
    for place, data in _zipped(path, folder) if path.is_file() else _walked(path, folder, marks):
        marks.add(place.partition("/")[0] if "/" in place else place)
        size, count = size + len(data), count + 1
        if size > _TOTAL or count > _MOST:
            raise KbError(f"{path}: it holds more than {_TOTAL >> 30} GB or {_MOST} files; import it in parts", 2)
        (folder.pages if place.lower().endswith(_PAGES) else folder.shown)[place] = data
    folder.kind = format or _kind(path, folder, marks)
    if folder.kind != "notion":
        folder.pages = {place: data for place, data in folder.pages.items() if not place.lower().endswith(".csv")}
    if folder.kind == "logseq":
        folder.pages = {p: d for p, d in folder.pages.items() if not p.startswith(("logseq/", "whiteboards/"))}
    return folder


def _kind(path: Path, folder: Folder, marks: set[str]) -> str:
    if ".obsidian" in marks:
        return "obsidian"
    if "logseq" in marks and marks & {"pages", "journals"}:
        return "logseq"
    named = [place for place in folder.pages if NOTION_ID.search(PurePosixPath(place).stem.removesuffix("_all"))]
    if named and len(named) * 2 >= len(folder.pages):
        return "notion"
    what = "folder" if path.is_dir() else ".zip"
    known = "an Obsidian vault (.obsidian), a Logseq graph (logseq/, pages/) or a Notion export"
    if (path / "mkdocs.yml").is_file() and (path / "notes").is_dir():
        raise KbError(f"{path}: this is a vault of kb already; name a file, or the folder of another program", 2)
    raise KbError(f"{path}: this {what} is not {known}; name files, or say which with --format obsidian", 2)


def _walked(root: Path, folder: Folder, marks: set[str]) -> Iterator[tuple[str, bytes]]:
    """The files of a folder, without those of programs. Links are not followed."""
    for at, folders, files in os.walk(root):
        here = Path(at)
        if here == root:
            marks.update(folders)
        folders[:] = sorted(
            f for f in folders if f not in _SKIPPED and not f.startswith(".") and not (here / f).is_symlink()
        )
        for name in sorted(files):
            path = here / name
            place = path.relative_to(root).as_posix()
            if name.startswith(".") or not name.lower().endswith((*_PAGES, *_SHOWN)) or path.is_symlink():
                continue
            try:
                yield place, read_regular(path, _LARGEST)
            except (OSError, UnicodeError) as error:
                folder.refused.append((place, getattr(error, "strerror", "") or "cannot be read"))


def _zipped(path: Path, folder: Folder) -> Iterator[tuple[str, bytes]]:
    try:
        data = path.read_bytes() if path.stat().st_size <= _TOTAL else b""
        yield from _unzipped(data, folder, deep=True)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, ValueError, EOFError) as error:
        told = " ".join(str(error).split())[:80]
        raise KbError(f"{path}: this .zip cannot be read ({told}); export it again", 2) from None


def _unzipped(data: bytes, folder: Folder, deep: bool) -> Iterator[tuple[str, bytes]]:
    """The files of a .zip; Notion puts parts of a large export into further ones."""
    import zlib

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if len(archive.infolist()) > _MOST:
            raise ValueError(f"more than {_MOST} files")
        for info in archive.infolist():
            place = info.filename.replace("\\", "/")
            part = deep and place.lower().endswith(".zip")
            if info.is_dir() or not (part or place.lower().endswith((*_PAGES, *_SHOWN))) or "__MACOSX/" in place:
                continue
            if (
                place.startswith("/")
                or ".." in place.split("/")
                or re.match(r"[A-Za-z]:", place)
                or not place.isprintable()
            ):
                folder.refused.append((ascii(place)[1:-1], "its path leads out of the folder"))
                continue
            if info.file_size > (_TOTAL if part else _LARGEST):
                folder.refused.append((place, f"larger than {_LARGEST >> 20} MB"))
                continue
            try:
                with archive.open(info) as file:  # which reads as much as it says, and finds a lie by its checksum
                    content = file.read()
            except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
                folder.refused.append((place, str(error)[:80] or "damaged"))
                continue
            if part:
                yield from _unzipped(content, folder, deep=False)
            else:
                yield place, content
