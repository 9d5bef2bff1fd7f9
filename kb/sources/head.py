"""The head of a page of HTML: its <meta>, <link>, <title> and JSON-LD as they stand there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser

from kb.sources.http import Page
from kb.sources.tidy import printable


def decode(page: Page) -> str:
    """A page as text, by what its header or its own head says; a wrong word there is not believed."""
    declared = page.body[:4096].decode("ascii", "ignore")
    told = [re.search(r"charset=[\"']?([\w:.-]+)", page.content_type, re.I)]
    told.append(re.search(r"<(?:meta|\?xml)[^>]*?(?:charset|encoding)=[\"']?([\w:.-]+)", declared, re.I))
    marks = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    names = [name for mark, name in marks.items() if page.body.startswith(mark)] + [m[1] for m in told if m]
    for charset in (*names, "utf-8"):
        try:
            return page.body.decode(_web_name(charset), "ignore" if page.cut else "strict")
        except (LookupError, ValueError):
            continue
    return page.body.decode("cp1252", "replace")


def _web_name(charset: str) -> str:
    """Browsers read Latin-1 and ASCII as Windows-1252, so pages are written that way."""
    return "cp1252" if charset.lower() in ("iso-8859-1", "latin-1", "latin1", "us-ascii", "ascii") else charset


class Head(HTMLParser):
    """What a page says about itself: <meta> by name, <link> by relation, the first <title> and <h1>, JSON-LD."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: dict[str, list[str]] = {}
        self.links: dict[str, str] = {}
        self.documents: list[str] = []
        self._texts: dict[str, list[str]] = {}
        self._open = ""
        self._depth = 0  # inside <svg>, whose <title> is not the page's
        self.feed(text.replace("<![", "<! ["))  # on a marked section that it does not know Python's parser fails

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        if tag == "meta":
            prop = f"itemprop:{found['itemprop']}" if found.get("itemprop") else ""
            self._say(found.get("name") or found.get("property") or prop, found.get("content", ""))
        elif tag == "link":
            self._link(found)
        elif tag == "time" and re.search(r"publish|pubdate|dt-published|post-date|entry-date", str(found), re.I):
            self._say("time", found.get("datetime", ""))
        elif tag == "svg":
            self._depth += 1
        elif tag == "script" and "ld+json" in found.get("type", "").lower():
            self.documents.append("")
            self._open = "script"
        elif tag in ("title", "h1") and not self._depth and tag not in self._texts:
            self._texts[tag] = []
            self._open = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == "svg":
            self._depth = max(0, self._depth - 1)
        elif tag == self._open:
            self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.documents[-1] += data
        elif self._open:
            self._texts[self._open].append(data)

    def _say(self, key: str, value: str) -> None:
        if key and (value := printable(value)):
            self.tags.setdefault(key.strip().lower().replace("dc:", "dc."), []).append(value)

    def _link(self, found: Mapping[str, str]) -> None:
        rel, href = found.get("rel", "").lower().split(), found.get("href", "").strip()
        if "canonical" in rel:
            self.links.setdefault("canonical", href)
        elif "alternate" in rel and found.get("type", "").lower() == "application/json+oembed":
            self.links.setdefault("oembed", href)

    def text(self, tag: str) -> str:
        return printable("".join(self._texts.get(tag, [])))

    def first(self, *names: str) -> str:
        return next((self.tags[name][0] for name in names if name in self.tags), "")

    def all(self, *names: str) -> list[str]:
        """What stands under the first of the names that is there."""
        return next((self.tags[name] for name in names if name in self.tags), [])
