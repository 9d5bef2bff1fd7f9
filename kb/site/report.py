"""What a build finds wrong beside what `kb check` does: notes that are linked to and left out of the site."""

from __future__ import annotations

from collections.abc import Iterator

from kb.pages.listing import src_uri
from kb.pages.public import PublicLibrary
from kb.problem import Problem
from kb.site.vault import Vault


def site_problems(public: PublicLibrary, vault: Vault) -> Iterator[Problem]:
    """A warning for every link to a note that mkdocs.yml excludes."""
    for note in public.notes.values():
        for link in note.links:
            found = public.target(link, note)
            if found is not None and not vault.exists(src_uri(found)) and vault.exists(src_uri(note)):
                written = f"[[{link.target}]]" if link.wiki else link.target
                hint = "mend exclude_docs in mkdocs.yml, or correct the link"
                yield Problem(note.path, link.line, "link", f"{written} is no page of the site", hint, "warning")
