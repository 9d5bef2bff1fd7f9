"""What the links of the page under way need to know: the public notes, the files of the site, and where we are."""

from __future__ import annotations

import posixpath

from mkdocs.structure.files import Files

from kb.pages.listing import src_uri, summary
from kb.pages.public import PublicLibrary
from kb.site.wikilinks import Target


class Vault:
    """A wikilinks.Resolver over a library and mkdocs' files. `files` arrive after the extensions are made."""

    def __init__(self, public: PublicLibrary) -> None:
        self.public = public
        self.current = "index.md"
        self._pages: set[str] = set()
        self._assets: dict[str, str] = {}

    def know(self, files: Files) -> None:
        """Take in what the site will consist of; of two files with one name the first by path is meant."""
        self._pages = {file.src_uri for file in files.documentation_pages()}
        for file in sorted(files.media_files(), key=lambda f: f.src_uri, reverse=True):
            self._assets[posixpath.basename(file.src_uri).casefold()] = file.src_uri
            self._assets[file.src_uri.casefold()] = file.src_uri

    def page(self) -> str:
        return self.current

    def note(self, name: str) -> Target | None:
        found = self.public.resolve(name)
        if found is None or not self.exists(src_uri(found)):
            return None
        return Target(src_uri(found), found.title, summary(found))

    def asset(self, name: str) -> str | None:
        here = posixpath.normpath(posixpath.join(posixpath.dirname(self.current), name))
        return self._assets.get(here.casefold()) or self._assets.get(name.casefold())

    def exists(self, uri: str) -> bool:
        return uri in self._pages
