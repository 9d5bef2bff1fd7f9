"""What a build finds wrong between notes: links that lead nowhere."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from kb.index import name_key
from kb.links import Link
from kb.listing import src_uri
from kb.note import Note
from kb.problem import Problem
from kb.public import PublicLibrary
from kb.site.vault import Vault


def site_problems(public: PublicLibrary, vault: Vault) -> Iterator[Problem]:
    """A warning for every link without a page, but for those that the note's front matter lists as wanted."""
    for note in public.notes.values():
        wanted = {name_key(name) for name in note.meta.get("wanted") or []}
        for link in note.links:
            if name_key(link.target) not in wanted and not _leads(public, vault, note, link):
                written = f"[[{link.target}]]" if link.wiki else link.target
                hint = "write that note, list it under wanted:, or correct the link"
                yield Problem(note.path, link.line, "link", f"{written} leads to no note", hint, "warning")


def _leads(public: PublicLibrary, vault: Vault, note: Note, link: Link) -> bool:
    found = public.target(link, note)
    if found is not None:
        return vault.exists(src_uri(found))
    if link.wiki:
        vault.current = src_uri(note)
        return link.embed and vault.image(link.target) is not None
    return vault.exists(posixpath.normpath(posixpath.join(posixpath.dirname(src_uri(note)), link.target)))
