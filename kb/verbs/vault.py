"""A new vault: the files of `kb init`."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from kb import frontmatter
from kb.files import Journal
from kb.problem import KbError

_FRONT = """Papers, talks, courses, posts and code that I read, and what I think of them."""
_FIRST = """This is a note: a Markdown file with a few keys at its top. Change it, or take it away with `kb undo`.

- Link notes with double brackets: [[welcome]] leads here.
- `kb add 2006.11239` makes a note of an arXiv paper, `kb add URL` of anything else.
- `kb import LIST.md` files a whole reading list; `kb import --dry-run LIST.md` only shows what it would do.
- `kb status welcome read` says that you have read this; `kb status` shows where you are.
- `kb serve` shows the site of your notes.
"""
_INBOX = """<!-- Put a link, an arXiv id or a title on a line of its own, from a phone, an editor or a sync folder:
the next kb command makes a note of it and takes the line out. `kb undo` puts it back. -->
"""


def init(folder: Path, today: date | None = None, notes: Path | None = None) -> list[str]:
    """Make a vault in `folder`, which may exist; returns the paths written. What is there already stays as it is.

    `notes` is a folder of Markdown that stays where it is, an Obsidian vault for one: `notes/` becomes a link to it,
    and nothing is written into it."""
    if folder.exists() and not folder.is_dir():
        raise KbError(f"{folder} is a file; name a folder", 2)
    Journal(folder).recover()  # of an init that was cut off
    if (folder / "mkdocs.yml").exists() and (folder / "notes").is_dir():
        raise KbError(f"{folder} is a vault already; `kb status` shows what is in it", 2)
    day = (today or date.today()).isoformat()
    welcome = {"title": "Welcome", "kind": "log", "added": day, "tags": ["kb"]}
    files = {
        "mkdocs.yml": (Path(__file__).parents[1] / "site" / "vault_mkdocs.yml").read_text("utf-8"),
        ".gitignore": ".kb/\nsite/\nout/\n",
        "inbox.md": _INBOX,
        "notes/index.md": frontmatter.compose({"title": "My papers"}, _FRONT),
        "notes/topics/welcome.md": frontmatter.compose(welcome, _FIRST),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if notes is not None:
            _link(folder, notes)
            files = {path: text for path, text in files.items() if not path.startswith("notes/")}
        new = {path: text.encode() for path, text in files.items() if not (folder / path).exists()}
        Journal(folder).commit("init", new, dict.fromkeys(new))
    except OSError as error:
        raise KbError(f"{error.filename or folder}: {error.strerror}; name a folder that you may write to") from None
    return sorted(new)


def _link(folder: Path, notes: Path) -> None:
    """Make `notes/` a link to a folder elsewhere."""
    there = notes.expanduser().resolve()
    if not there.is_dir():
        raise KbError(f"{notes} is no folder; name the one that holds your notes", 2)
    if folder.resolve().is_relative_to(there):
        raise KbError(f"{folder} lies in {notes}, whose link would lead back into itself; choose a folder elsewhere", 2)
    if (folder / "notes").is_symlink() and (folder / "notes").resolve() == there:
        return
    if (folder / "notes").exists():
        raise KbError(f"{folder / 'notes'} is there already; choose an empty folder", 2)
    (folder / "notes").symlink_to(there, target_is_directory=True)
