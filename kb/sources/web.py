"""Any web page: what its head says about itself. Where it names no author and has an oEmbed answer, that is asked; what
turns out to be a PDF is read as one; where a short link leads, its service is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from kb.ids import Source, identify, is_shortener, url_token
from kb.problem import KbError
from kb.sources import Answer, Metadata, guess_kind
from kb.sources.fields import web_address
from kb.sources.head import Head, decode
from kb.sources.http import Client, Page, Unreachable
from kb.sources.page import canonical, read_head, site_of
from kb.sources.url_titles import url_title

name = "web"
_HTML = ("text/html", "application/xhtml+xml")
# What a page is called that stands before the one that was asked for.
_WALL = re.compile(
    r"(just a moment|attention required|(site )?access (to this (page|site) )?(has been )?(denied|blocked|restricted)"
    r"|are you (a )?(robot|human)|robot or human|(please )?verify(ing)? (that )?you are (a )?human"
    r"|security (check|verification)"
    r"|(checking|verifying) your browser|pardon our interruption|please wait|one more step|ddos-guard|bot verification"
    r"|captcha|recaptcha|request rejected|you have been blocked|client challenge|unusual traffic|human verification"
    r"|validation request|before you continue.*|(linkedin )?log ?in|linkedin login, sign in|(linkedin )?sign ?(in|up)"
    r"|cookies? required"
    r"|enable javascript.*|javascript (is )?(required|disabled|not available)"
    r"|(\d{3} )?(forbidden|not found|bad gateway)"
    r"|(error )?(401|403|404|429|50\d)( error)?|page not found|service unavailable|too many requests|redirecting)"
    r"\W*(\s(to|[-–—|·•,:])\s.*)?",
    re.I,
)
_LOGIN = re.compile(r"/(login|log-in|signin|sign-in|sso|authwall|checkpoint|servicelogin)\b", re.I)


def matches(source: Source) -> bool:
    return True


def fetch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    for source in sources:
        try:
            yield source, ask(source, client)
        except KbError as error:
            yield source, error


def ask(source: Source, client: Client) -> Metadata:
    """What the page at a URL says of itself."""
    page = client.get(source.url, "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1")
    if page.status >= 400:
        raise Unreachable(f"{source.url} answered {page.status}; try again later or give a --title")
    if is_shortener(source.url) and (there := identify(page.url)) and there.token != source.token:
        return _behind(source, there, page, client)
    return read_answer(page, source, client)


def read_answer(page: Page, source: Source, client: Client) -> Metadata:
    """What an answer says of the work at `source`, if it is a page or a PDF; else only the address does."""
    from kb.sources import pdf

    form = page.content_type.split(";")[0].strip().lower()
    if pdf.is_pdf(page):
        return pdf.read_answer(page, source, client)
    if form not in _HTML and not (not form and b"<html" in page.body[:1024].lower()):
        return {"title": url_title(source.url)}
    head = Head(decode(page))
    meta = read_head(head, page.url if is_shortener(source.url) else source.url)
    _require_the_page(source, page, head, str(meta["title"]))
    if guess_kind(source) != "post":  # the address says more than the page
        meta.pop("kind", None)
    if "authors" not in meta:
        meta |= {key: value for key, value in _embedded(head, source, client).items() if key not in meta}
    return meta | _own_address(head, source)


def _require_the_page(source: Source, page: Page, head: Head, title: str) -> None:
    host = urlsplit(source.url).hostname
    if any(_WALL.fullmatch(text) for text in (title, head.text("title")) if text):
        raise Unreachable(f"{host} answered with '{title[:60]}' in place of the page; give a --title")
    if page.url != source.url and _LOGIN.search(urlsplit(page.url).path) and not _LOGIN.search(source.url):
        raise Unreachable(f"{host} shows the page to those only who log in; give a --title")


def _behind(source: Source, there: Source, page: Page, client: Client) -> Metadata:
    """What a short link leads to: by its own service, or by the page that has been read already."""
    from kb.sources import kind_of

    kind = kind_of(there)
    if kind.name == name:
        found: Any = {"url": there.value} | read_answer(page, there, client)
    else:
        found = next((answer for _, answer in kind.fetch([there], client)), None)
    if not isinstance(found, dict):
        raise Unreachable(f"{source.url} leads to {there.url}: {found}")
    return {there.key: there.value} | found | {"also": [*found.get("also", []), source.value]}


def _own_address(head: Head, source: Source) -> Metadata:
    """The address that the page itself gives as its own; the one that was given is kept beside it."""
    own = canonical(head, source.url) if source.key == "url" else ""
    found = identify(own) if own else None
    if found is None or found.key != "url" or url_token(found.value) == source.token:
        return {}
    return {"url": found.value, "also": [source.value]}


def _embedded(head: Head, source: Source, client: Client) -> Metadata:
    """What a page's oEmbed answer says beyond the page. Only its own site is asked."""
    from kb.sources import oembed

    address = web_address(head.links.get("oembed"))
    try:
        if not address or site_of(urlsplit(address).hostname or "") != site_of(urlsplit(source.url).hostname or ""):
            return {}
        return client.ask(address, oembed.read)
    except (KbError, ValueError):
        return {}
