"""Opening what a note is about: the best of its links, at the place where the reader left off."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from kb.ids import PAPER_KEYS, source_url
from kb.note import PAGE, Note
from kb.problem import KbError

PAGES = (*PAPER_KEYS, "url")
_FIRST = {"talk": ("video",), "lecture": ("video",), "code": ("code",), "tool": ("code",)}
_ORDER = ("pdf", *PAGES, "video", "code", "slides", "paperpile", "seen")
_WEB = ("http://", "https://")  # what is handed to the browser; other schemes start other programs
WAYS = ("pdf", "page", "code", "video", "slides", "site", "note")


def address(root: Path, note: Note, way: str = "") -> str:
    """The URL to open: of one sort (a word of WAYS), else the best that the note has. A video begins where the note
    says that the reader is (`at`), a PDF at its page."""
    if way == "note":
        return (root / note.path).as_uri()
    if way == "site":
        return _on_site(root, note)
    found = _pdf(note.meta) if way == "pdf" else _first(note, _keys(note, way))
    if not found:
        known = [key for key in _ORDER if note.meta.get(key)]
        has = (
            f"it has {', '.join(known)}"
            if known
            else f"`kb edit {note.id}` writes one, `kb open --note` shows its file"
        )
        raise KbError(f"{note.path} has no {way or 'link'} to open; {has}")
    return _placed(found, str(note.meta.get("at", "")))


def has_address(note: Note) -> bool:
    """Whether `kb open` has something to open."""
    return bool(_first(note, _ORDER))


def _keys(note: Note, way: str) -> tuple[str, ...]:
    if way == "page":
        return PAGES
    return (way,) if way else (*_FIRST.get(note.kind, ()), *_ORDER)


def _first(note: Note, keys: tuple[str, ...]) -> str:
    for key in keys:
        value = note.meta.get(key)
        value = value[0] if isinstance(value, list) and value else value
        if value and (url := source_url(key, str(value))).startswith(_WEB):
            return url
    return ""


def _pdf(meta: Mapping[str, Any]) -> str:
    """The PDF that a note names, or that the service of one of its ids keeps."""
    forms = {"arxiv": "https://arxiv.org/pdf/{}", "acl": "https://aclanthology.org/{}.pdf",
             "openreview": "https://openreview.net/pdf?id={}"}  # fmt: skip
    own = str(meta.get("pdf", ""))
    if own.startswith(_WEB):
        return own
    return next((form.format(meta[key]) for key, form in forms.items() if meta.get(key)), "")


def _on_site(root: Path, note: Note) -> str:
    inside = note.path.removeprefix("notes/").removesuffix(".md")
    page = root / "site" / (f"{inside}.html" if Path(inside).name == "index" else f"{inside}/index.html")
    if note.private:
        raise KbError(f"{note.path} is private and has no page; `kb open --note` shows its file")
    if not page.is_file():
        raise KbError(f"{note.path} has no page in site/ yet; `kb build` makes it")
    return page.as_uri()


def _placed(url: str, at: str) -> str:
    """`url` at a place: '35:38' in a video, 'page 4' or 'p. 4' in a PDF."""
    parts = urlsplit(url)
    if (clock := re.match(r"(?:(\d+):)?(\d{1,3}):(\d\d)\b", at)) and re.search(r"youtube\.com|youtu\.be", parts.netloc):
        seconds = int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + int(clock[3])
        query = [(k, v) for k, v in parse_qsl(parts.query) if k not in ("t", "start")] + [("t", f"{seconds}s")]
        return urlunsplit(parts._replace(query=urlencode(query)))
    if (page := re.match(r"(?:page|p\.?)\s*(\d+)\b", at, re.I)) and parts.path.endswith(".pdf"):
        return urlunsplit(parts._replace(fragment=f"page={page[1]}"))
    return url


def show(url: str) -> bool:
    """Open it in the browser; False where there is none."""
    import webbrowser

    try:
        return webbrowser.open(url)
    except webbrowser.Error:
        return False


def edit(root: Path, notes: list[Note]) -> None:
    """The notes in the editor that VISUAL or EDITOR names; returns when it ends."""
    import os
    import shlex
    import subprocess

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("notepad" if os.name == "nt" else "vi")
    if any(note.kind == PAGE and not (root / note.path).is_file() for note in notes):
        raise KbError("that page is made by the site and has no file to edit")
    try:
        ended = subprocess.run([*shlex.split(editor), *(str(root / n.path) for n in notes)], check=False).returncode
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or str(error)
        raise KbError(f"{editor}: {told}; set EDITOR to an editor that is installed", 2) from None
    if ended:
        raise KbError(f"{editor} ended with {ended}")
