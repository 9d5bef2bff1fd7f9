"""[[links]], embeds and relative links to notes, as a Python-Markdown extension.

Links come out as relative `.md` paths, which mkdocs turns into URLs and validates like any other. A link that leads
nowhere becomes a <span>: mkdocs cannot bear an <a> without an address, and a reader should not be led to a 404.
"""

from __future__ import annotations

import posixpath
import re
import xml.etree.ElementTree as etree
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from markdown import Extension, Markdown
from markdown.inlinepatterns import InlineProcessor
from markdown.treeprocessors import Treeprocessor
from markdown.util import AtomicString

from kb.links import WIKILINK, plain
from kb.pages.listing import relative
from kb.site.formulas import math_html

_IMAGE = re.compile(r"\.(png|jpe?g|gif|svg|webp|avif)$", re.I)


@dataclass(frozen=True)
class Target:
    """What a link leads to: `uri` is a path under notes/; `summary` is shown where the note is embedded."""

    uri: str
    title: str
    summary: str = ""


class Resolver(Protocol):
    """What links need to know of the vault."""

    def page(self) -> str:
        """The path under notes/ of the page that is being rendered."""

    def note(self, name: str) -> Target | None:
        """The note a path, id, alias or title means."""

    def asset(self, name: str) -> str | None:
        """The path under notes/ of an image or another file, named by its path or its file name."""

    def exists(self, uri: str) -> bool:
        """Whether a path under notes/ is a page of the site, a generated one included."""


class WikilinkProcessor(InlineProcessor):
    """[[id]], [[id|text]], [[id#heading]], [[#heading]], ![[id]], ![[image.png]]."""

    def __init__(self, md: Markdown, vault: Resolver, slugify: Callable[[str], str]) -> None:
        super().__init__(WIKILINK, md)
        self.vault = vault
        self.slugify = slugify

    def handleMatch(  # type: ignore[override]
        self, m: re.Match[str], data: str
    ) -> tuple[etree.Element | None, int | None, int | None]:
        bang, name, heading, label = ((part or "").strip() for part in m.groups())
        heading = self.unescape(heading)  # `code` in it has been set aside
        if not name and not heading:
            return None, None, None
        if bang and _IMAGE.search(name):
            return self._image(name, label), m.start(0), m.end(0)
        target = self.vault.note(name) if name else Target(self.vault.page(), heading)
        if target is None:
            return self._file(name, label), m.start(0), m.end(0)
        element = self._embed(target) if bang else self._link(target, name, heading, label)
        return element, m.start(0), m.end(0)

    def _link(self, target: Target, name: str, heading: str, label: str) -> etree.Element:
        anchor = "#" + self.slugify(plain(heading.rpartition("#")[2]).strip()) if heading else ""
        address = anchor if not name else relative(target.uri, self.vault.page()) + anchor
        link = etree.Element("a", {"href": address, "class": "kb-link"})
        if label:  # may hold Markdown of its own
            link.text = label
        else:
            shown = (
                target.title if not heading or not name else f"{target.title} › {heading.rpartition('#')[2].strip()}"
            )
            link.text = self._plain(shown)
        return link

    def _embed(self, target: Target) -> etree.Element:
        card = etree.Element("span", {"class": "kb-embed"})
        link = etree.SubElement(card, "a", {"href": relative(target.uri, self.vault.page())})
        link.text = self._plain(target.title)
        if target.summary:
            text = etree.SubElement(card, "span", {"class": "kb-embed__text"})
            text.text = self._plain(target.summary)
        return card

    def _plain(self, text: str) -> AtomicString:
        """Text that is no Markdown but may hold formulas."""
        return AtomicString(self.md.htmlStash.store(math_html(text)) if "$" in text else text)

    def _file(self, name: str, label: str) -> etree.Element:
        """A link to a file that is no note: [[paper.pdf]]."""
        uri = self.vault.asset(name)
        if uri is None:
            return missing(name, label or name)
        link = etree.Element("a", {"href": relative(uri, self.vault.page()), "class": "kb-link"})
        link.text = label or self._plain(posixpath.basename(name))
        return link

    def _image(self, name: str, label: str) -> etree.Element:
        uri = self.vault.asset(name)
        if uri is None:
            return missing(name, label or name)
        attributes = {"src": relative(uri, self.vault.page()), "alt": label or posixpath.basename(name)}
        if re.fullmatch(r"\d+(x\d+)?", label):  # Obsidian's ![[image.png|300]] or |300x200
            width, _, height = label.partition("x")
            attributes |= {"alt": posixpath.basename(name), "width": width} | ({"height": height} if height else {})
        return etree.Element("img", attributes)


def missing(name: str, label: str) -> etree.Element:
    """What stands where a link leads nowhere."""
    element = etree.Element("span", {"class": "kb-missing", "title": f"no note “{name}” yet"})
    element.text = AtomicString(label)
    return element


class RelativeLinks(Treeprocessor):
    """Turns relative links to `.md` files that are no pages into spans; kb says where they stand, mkdocs could not."""

    def __init__(self, md: Markdown, vault: Resolver) -> None:
        super().__init__(md)
        self.vault = vault

    def run(self, root: etree.Element) -> None:
        for link in root.iter("a"):
            path = relative_note(link.get("href", ""))
            if path and not self.vault.exists(
                posixpath.normpath(posixpath.join(posixpath.dirname(self.vault.page()), path))
            ):
                link.tag = "span"
                link.attrib.clear()
                link.attrib.update({"class": "kb-missing", "title": f"no note “{path}” yet"})


def relative_note(address: str) -> str:
    """The path of a relative link to a Markdown file, else empty."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return "" if parts.scheme or parts.netloc or not parts.path.endswith(".md") else unquote(parts.path)


class WikilinkExtension(Extension):
    """The inline rule stands after `backtick` (190) and before `escape` (180), which would eat the `\\|` of tables;
    the tree rule before mkdocs' own (0)."""

    def __init__(self, vault: Resolver, slugify: Callable[[str], str]) -> None:
        super().__init__()
        self.vault = vault
        self.slugify = slugify

    def extendMarkdown(self, md: Markdown, **_: Any) -> None:
        md.inlinePatterns.register(WikilinkProcessor(md, self.vault, self.slugify), "kb_wikilink", 182)
        md.treeprocessors.register(RelativeLinks(md, self.vault), "kb_relative", 4)
