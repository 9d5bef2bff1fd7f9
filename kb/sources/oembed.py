"""Videos and posts whose sites show a robot nothing but an oEmbed answer: Vimeo, X (Twitter), Bluesky; and what such an
answer says. Other pages name the address of theirs in their head: see kb.sources.web."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from kb.ids import Source
from kb.problem import KbError
from kb.sources import Answer, Metadata
from kb.sources.fields import day, known, line, mapping, read_json, when
from kb.sources.http import Client, Gone, Page, Unreachable

name = "oembed"
_LONGEST = 20_000  # characters of a post's HTML
_PROVIDERS = (
    (r"https?://(www\.|player\.)?vimeo\.com/(.*/)?\d+", "https://vimeo.com/api/oembed.json", "Vimeo"),
    (
        r"https?://(www\.|m\.|mobile\.)?(twitter|x)\.com/(\w+|i/web)/status/\d+",
        "https://publish.twitter.com/oembed",
        "X",
    ),
    (r"https?://bsky\.app/profile/[^/]+/post/\w+", "https://embed.bsky.app/oembed", "Bluesky"),
)


class Barred(Unreachable):
    """The site has the work and does not show it to others: private, or not to be embedded."""


def matches(source: Source) -> bool:
    return any(re.match(pattern, source.url) for pattern, _, _ in _PROVIDERS)


def fetch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    for source in sources:
        _, endpoint, site = next(p for p in _PROVIDERS if re.match(p[0], source.url))
        try:
            yield source, ask(client, endpoint, source.url, site)
        except KbError as error:
            yield source, error


def ask(client: Client, endpoint: str, url: str, site: str) -> Metadata:
    """What `site` says of the work at `url`."""
    try:
        return client.ask(f"{endpoint}?url={quote(url, safe='')}&format=json", lambda page: read(page, site))
    except Gone:
        raise Gone(f"{site} has nothing at {url}; check the address") from None


def read(page: Page, site: str = "") -> Metadata:
    """An oEmbed answer as front matter. A post has no title of its own: its first words are one."""
    service = site or "oEmbed"
    if page.status in (401, 403):
        raise Barred(f"{service} does not show {page.url.partition('?')[0]} to others; give a --title")
    if page.status >= 400:
        raise Unreachable(f"{service} answered {page.status}; check the address, or try again later")
    answer = mapping(read_json(page, service))
    author = line(answer.get("author_name"))
    title = line(answer.get("title")) or _first_words(answer.get("html"), author)
    if not title:
        raise Unreachable(f"{service}'s answer has no title; try again later or give a --title")
    meta = {"title": title, "authors": [author], "venue": site or line(answer.get("provider_name"))}
    if not author:
        del meta["authors"]
    published = day(answer.get("upload_date")) or _post_day(answer.get("html"))
    return known(meta | when(published) | {"abstract": line(answer.get("description"))})


def _first_words(html: object, author: str) -> str:
    """'Ann Lee: the beginning of what she wrote…'."""
    m = re.search(r"<p\b[^>]*>(.*?)</p>", html[:_LONGEST], re.S | re.I) if isinstance(html, str) else None
    text = line(re.sub(r"<[^<>]*>", " ", re.sub(r"<a\b[^>]*>\s*(?:pic\.|https?:)[^<]*</a>", "", m[1]))) if m else ""
    if len(text) > 90:
        text = text[:90].rsplit(" ", 1)[0].rstrip(" ,;:.–-") + "…"
    return f"{author}: {text}" if author and text else text


def _post_day(html: object) -> str:
    if not isinstance(html, str):
        return ""
    m = re.search(r">([A-Z][a-z]+ \d{1,2}, \d{4})[^<]*</a>\s*</blockquote>", html[:_LONGEST])
    return day(m[1]) if m else ""
