"""Any web page: what its head says about itself (the tags for Google Scholar, for social networks, <title>)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

from kb.ids import Source, identify
from kb.problem import KbError
from kb.sources import Answer, Metadata
from kb.sources.http import Client, Page, Unreachable

name = "web"


def matches(source: Source) -> bool:
    return True


def fetch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    for source in sources:
        try:
            yield source, _fetch_one(source, client)
        except KbError as error:
            yield source, error


def _fetch_one(source: Source, client: Client) -> Metadata:
    if urlsplit(source.url).path.lower().endswith(".pdf"):
        return {"title": url_title(source.url), "pdf": source.url}
    page = client.get(source.url, "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1")
    if page.status >= 400:
        raise Unreachable(f"{source.url} answered {page.status}; try again later or give a --title")
    if page.content_type.split(";")[0].strip().lower() not in ("text/html", "application/xhtml+xml"):
        return {"title": url_title(source.url)}
    return read_page(decode(page), source.url)


def url_title(url: str) -> str:
    """A title out of a URL's last words: '…/posts/2021-07-11-diffusion-models/' -> 'Diffusion models'."""
    parts = urlsplit(url)
    for part in reversed(unquote(parts.path).split("/")):
        stem = re.sub(r"\.(html?|php|aspx?|pdf|md)$", "", part, flags=re.I)
        words = re.sub(r"^\d{4}[-_]\d\d[-_]\d\d[-_]", "", stem).replace("-", " ").replace("_", " ").split()
        if any(re.search(r"[^\W\d_]{2}", word) for word in words) and stem.lower() not in ("index", "abs", "html"):
            text = " ".join(words)
            return text[:1].upper() + text[1:]
    return (parts.hostname or url).removeprefix("www.")


def decode(page: Page) -> str:
    """A page as text, by what its header or its own head says; a wrong word there is not believed."""
    declared = page.body[:4096].decode("ascii", "ignore")
    told = [re.search(r"charset=[\"']?([\w:.-]+)", page.content_type, re.I)]
    told.append(re.search(r"<meta[^>]*?charset=[\"']?([\w:.-]+)", declared, re.I))
    mark = ["utf-8-sig"] if page.body.startswith(b"\xef\xbb\xbf") else []
    names = mark + [m[1] for m in told if m]
    for charset in (*names, "utf-8"):
        try:
            return page.body.decode(_web_name(charset), "ignore" if page.cut else "strict")
        except (LookupError, ValueError):
            continue
    return page.body.decode("cp1252", "replace")


def _web_name(charset: str) -> str:
    """Browsers read Latin-1 and ASCII as Windows-1252, so pages are written that way."""
    return "cp1252" if charset.lower() in ("iso-8859-1", "latin-1", "latin1", "us-ascii", "ascii") else charset


class _Head(HTMLParser):
    """Collects the <meta> tags by name and the first <title>."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: dict[str, list[str]] = {}
        self.title: list[str] = []
        self._in_title = False
        self._depth = 0  # inside <svg>, whose <title> is not the page's

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "meta":
            found = dict(attrs)
            key = (found.get("name") or found.get("property") or "").lower()
            if key and (value := " ".join((found.get("content") or "").split())):
                self.tags.setdefault(key, []).append(value)
        elif tag == "svg":
            self._depth += 1
        elif tag == "title" and not self._depth and not self.title:
            self._in_title = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "svg":
            self._depth = max(0, self._depth - 1)
        elif tag == "title":
            self._in_title = False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)

    def first(self, *names: str) -> str:
        return next((self.tags[name][0] for name in names if name in self.tags), "")


def read_page(text: str, url: str) -> Metadata:
    """The metadata of a page of HTML."""
    head = _Head()
    head.feed(text.replace("<![", "<! ["))  # to Python's parser a marked section it does not know is a bug of its own
    site = head.first("og:site_name")
    title = head.first("citation_title", "dc.title", "og:title", "twitter:title")
    title = title or " ".join("".join(head.title).split())
    stamp = head.first("citation_publication_date", "citation_date", "article:published_time", "date")
    published = _date(stamp)
    doi = identify(head.first("citation_doi", "dc.identifier.doi"))
    meta: Metadata = {
        "title": _without_site(title, site, url) or url_title(url),
        "authors": [_author(a) for a in head.tags.get("citation_author", [])],
        "year": int(published[:4]) if published else None,
        "venue": head.first("citation_conference_title", "citation_journal_title") or site,
        "doi": doi.value if doi and doi.key == "doi" else None,
        "pdf": _web_address(head.first("citation_pdf_url")),
        "published": published if len(published) > 4 else None,
    }
    return {key: value for key, value in meta.items() if value}


def _without_site(title: str, site: str, url: str) -> str:
    """A title without the name of the site at its end or GitHub's at its start."""
    host = (urlsplit(url).hostname or "").removeprefix("www.")
    names = [name for name in (site, "YouTube" if host == "youtube.com" else "") if name]
    for name in names:
        title = re.sub(rf"\s+[-–—|·•:]\s+{re.escape(name)}$", "", title)
    return re.sub(r"^GitHub - ", "", title) if host == "github.com" else title


def _author(name: str) -> str:
    """'Ho, Jonathan' as 'Jonathan Ho'; anything else as it is."""
    family, comma, given = name.partition(", ")
    return f"{given} {family}" if comma and "," not in given else name


def _date(stamp: str) -> str:
    """'2021/07/11', '2021-07-11T08:00Z', '2021/7' or '2021' in ISO form; '' where it is no date."""
    from datetime import date

    m = re.match(r"([12]\d{3})(?:[-/](\d{1,2}))?(?:[-/](\d{1,2}))?(?!\d)", stamp)
    if not m:
        return ""
    parts = [int(part) for part in m.groups() if part]
    try:
        date(*(parts + [1, 1])[:3])
    except ValueError:
        return m[1]
    return "-".join(f"{part:02}" for part in parts)


def _web_address(url: str) -> str:
    return url if re.match(r"https?://[^\s/]", url) else ""
