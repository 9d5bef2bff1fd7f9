"""A page of HTML as front matter: what its head says of it to scholars' search engines, social networks and others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from kb.sources import Metadata
from kb.sources.fields import day, doi, known, line, mapping, web_address, when
from kb.sources.head import Head
from kb.sources.json_ld import KINDS, described, types_of
from kb.sources.tidy import printable
from kb.sources.url_titles import url_title

_OPEN_GRAPH = {
    "video.other": "talk", "video.movie": "talk", "video.episode": "talk", "book": "book", "books.book": "book",
}  # fmt: skip
_NAMES = (
    "citation_author", "citation_authors", "bepress_citation_author", "dc.creator", "dcterms.creator", "dc.contributor",
)  # fmt: skip
_BYLINES = ("author", "article:author", "parsely-author", "sailthru.author", "byl", "itemprop:author")
_DATES = (
    "citation_publication_date", "citation_date", "citation_online_date", "citation_cover_date",
    "prism.publicationdate",
    "article:published_time", "og:article:published_time", "og:published_time", "dc.date.issued", "dcterms.issued",
    "dc.date", "dcterms.date", "dc.date.created", "dcterms.created", "date", "pubdate", "publish-date",
    "parsely-pub-date", "sailthru.date", "itemprop:datepublished", "itemprop:uploaddate", "time",
)  # fmt: skip
_DOIS = (
    "citation_doi", "bepress_citation_doi", "dc.identifier.doi", "prism.doi", "dc.identifier", "dcterms.identifier",
)  # fmt: skip
_VENUES = (
    "citation_conference_title", "citation_conference", "citation_journal_title", "citation_inbook_title",
    "citation_book_title", "prism.publicationname", "citation_dissertation_institution",
    "citation_technical_report_institution", "dc.source",
)  # fmt: skip
_ABSTRACTS = ("citation_abstract", "dcterms.abstract", "dc.description.abstract")
_NOBODY = {  # what systems put where nobody wrote a name
    "admin", "administrator", "author", "editor", "root", "user", "unknown", "anonymous", "none", "null", "undefined",
}  # fmt: skip
_DESCRIPTIONS = ("dc.description", "dcterms.description", "og:description", "twitter:description", "description")


def read_page(text: str, url: str) -> Metadata:
    """The metadata of a page of HTML."""
    return read_head(Head(text), url)


def read_head(head: Head, url: str) -> Metadata:
    thing = described(head.documents)
    site = _site(head, thing)
    headline = line(thing.get("headline")) or line(thing.get("name"))
    titles = [
        head.first("citation_title", "bepress_citation_title", "dc.title", "dcterms.title"),
        head.first("og:title"),
    ]
    titles += [headline, head.first("twitter:title"), head.text("title"), head.text("h1")]
    title = next((t for name in titles if (t := _without_site(printable(line(name)), site, url)) and t != site), "")
    published = next((found for stamp in _stamps(head, thing) if (found := day(stamp))), "")
    abstract = line(head.first(*_ABSTRACTS)) or line(thing.get("abstract"))
    ids = [doi(value) for name in _DOIS for value in head.tags.get(name, [])]
    ids.append(
        doi(head.first("citation_arxiv_id") and f"arXiv:{head.first('citation_arxiv_id').removeprefix('arXiv:')}")
    )
    meta: Metadata = {
        "title": title or site or url_title(url),
        "kind": _kind(head, thing),
        "authors": _authors(head, thing, site),
        "venue": line(head.first(*_VENUES)) or line(mapping(thing.get("isPartOf")).get("name")) or site,
        "pdf": _address(head.first("citation_pdf_url", "bepress_citation_pdf_url"), url),
        "code": web_address(thing.get("codeRepository")),
        "abstract": abstract or _description(head, thing, title),
    }
    return known(meta | when(published) | {key: value for found in ids for key, value in found.items()})


def canonical(head: Head, url: str) -> str:
    """The address that a page gives as its own, '' where that is no page of the same site or the site's front page."""
    own = _address(head.links.get("canonical", ""), url)
    try:
        here, there = urlsplit(url), urlsplit(own)
        same = site_of(here.hostname or "") == site_of(there.hostname or "") != ""
    except ValueError:
        return ""
    return own if same and (there.path.strip("/") or there.query or not here.path.strip("/")) else ""


def site_of(host: str) -> str:
    """A host without what only says how the page is shown."""
    return re.sub(r"^(www|m|mobile|amp)\.", "", host.lower())


# Fields


def _kind(head: Head, thing: Mapping[str, Any]) -> str:
    if head.first(*_VENUES[:-1], "citation_doi", "citation_arxiv_id", "citation_pdf_url", "citation_title"):
        return "paper"
    told = [KINDS.get(t, "") for t in types_of(thing)]
    return next((kind for kind in told if kind), "") or _OPEN_GRAPH.get(head.first("og:type").lower(), "")


def _site(head: Head, thing: Mapping[str, Any]) -> str:
    publisher = line(mapping(thing.get("publisher")).get("name"))
    return line(head.first("og:site_name", "application-name", "dc.publisher")) or publisher


def _without_site(title: str, site: str, url: str) -> str:
    """A title without the name of its site before or behind it."""
    host = site_of(_hostname(url))
    bare = host.rpartition(".")[0]
    for name in filter(None, dict.fromkeys((site, host, bare, "YouTube" if host == "youtube.com" else ""))):
        title = re.sub(rf"\s+[-–—|·•:»]\s+{re.escape(name)}$", "", title, flags=re.I)
        title = re.sub(rf"^{re.escape(name)}\s+[-–—|·•»]\s+", "", title, flags=re.I)
    return re.sub(r"^GitHub - ", "", title) if host == "github.com" else title


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _authors(head: Head, thing: Mapping[str, Any], site: str) -> list[Any]:
    """Those whom the head names, else JSON-LD, else a byline."""
    named = [part for value in head.all(*_NAMES) for part in re.split(r"\s*;\s*", value)]
    if not named:
        people = thing.get("author") or thing.get("creator")
        named = [_named(p, site) for p in (people if isinstance(people, list) else [people])]
    if not any(named):
        named = [part for name in _BYLINES for value in head.tags.get(name, []) for part in _byline(value)]
    found = [_author(name) for name in map(line, named) if name]
    return list(dict.fromkeys(name for name in found if _is_name(name)))


def _named(person: Any, site: str) -> str:
    if isinstance(person, Mapping):
        name = line(person.get("name")) or " ".join(
            filter(None, map(line, (person.get("givenName"), person.get("familyName"))))
        )
        return "" if "Organization" in types_of(person) and name == site else name
    return line(person)


def _byline(text: str) -> list[str]:
    """'By Ann Lee and Bo Chen' as two names; 'Lee, Ann' stays one."""
    text = re.sub(r"^(posted |written )?by:?\s+", "", line(text), flags=re.I)
    parts = re.split(r"\s*(?:,|;|\band\b|&)\s*", text)
    return parts if all(" " in part for part in parts) else [text]


def _is_name(name: str) -> bool:
    """No address, no number, no word that systems put where nobody wrote a name."""
    plain = 1 < len(name) <= 120 and not re.search(r"https?:|www\.|@|[<>{}]", name)
    return plain and name.lower() not in _NOBODY


def _author(name: str) -> str:
    """'Ho, Jonathan' as 'Jonathan Ho'; anything else as it is."""
    family, comma, given = name.partition(", ")
    return f"{given} {family}" if comma and "," not in given else name


def _stamps(head: Head, thing: Mapping[str, Any]) -> Iterator[Any]:
    for name in _DATES:
        yield head.first(name)
        if name == "article:published_time":
            yield from (thing.get(key) for key in ("datePublished", "uploadDate", "dateCreated"))


def _description(head: Head, thing: Mapping[str, Any], title: str) -> str:
    told = (line(text) for text in (thing.get("description"), *(head.first(name) for name in _DESCRIPTIONS)))
    return next((text for text in told if len(text) >= 40 and text != title), "")


def _address(href: str, url: str) -> str:
    try:
        return web_address(urljoin(url, href)) if href else ""
    except ValueError:
        return ""
