"""YouTube: title and channel by oEmbed, which needs no key; the day and the description from the page itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qs, urlsplit

from kb.ids import Source, url_token
from kb.problem import KbError
from kb.sources import Answer, Metadata, oembed
from kb.sources.head import decode
from kb.sources.http import Client, Gone, Unreachable
from kb.sources.page import read_page

name = "youtube"
_ENDPOINT = "https://www.youtube.com/oembed"
_PLAYLIST = re.compile(r"https?://(www\.|m\.|music\.)?youtube\.com/playlist\?", re.I)


def matches(source: Source) -> bool:
    is_video = source.key == "video" and "youtube.com/watch?" in source.value
    return is_video or bool(_PLAYLIST.match(source.url) and _list(source.url))


def fetch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    for source in sources:
        try:
            found = _playlist(source, client) if _PLAYLIST.match(source.url) else _video(source, client)
            yield source, found
        except KbError as error:
            yield source, error


def _list(url: str) -> str:
    return (parse_qs(urlsplit(url).query).get("list") or [""])[0]


def _playlist(source: Source, client: Client) -> Metadata:
    url = f"https://www.youtube.com/playlist?list={_list(source.url)}"
    try:
        meta = oembed.ask(client, _ENDPOINT, url, "YouTube")
    except Gone:
        raise Gone(f"YouTube has no such playlist, or it is private: {url}; check the address") from None
    spelled = {} if url_token(url) == source.token else {"also": [source.value]}
    return meta | {"kind": "course", "url": url} | spelled


def _video(source: Source, client: Client) -> Metadata:
    """What a video is. One that may not be embedded is described by its page; of a private one nothing is."""
    barred = None
    try:
        meta = oembed.ask(client, _ENDPOINT, source.value, "YouTube")
    except Gone:
        raise Gone(f"YouTube has no such video: {source.value}; check the address") from None
    except oembed.Barred as error:
        meta, barred = {}, error
    page = _page(source.value, client)
    if barred and not page:
        raise Unreachable(f"{source.value} is private, or YouTube shows it to no robot; give a --title") from barred
    same = not meta or page.get("title") == meta["title"]  # a page that asks for consent has another title
    return meta | ({key: page[key] for key in page if key not in meta} if same else {}) | {"venue": "YouTube"}


def _page(url: str, client: Client) -> Metadata:
    """What a video's own page says of it; empty where it says nothing of use."""
    try:
        page = client.get(url, "text/html", headers={"Accept-Language": "en"})
    except KbError:
        return {}
    meta = read_page(decode(page), url) if page.status == 200 else {}
    told: Metadata = {key: meta[key] for key in ("title", "authors", "year", "published", "abstract") if key in meta}
    return told if told.get("title") not in (None, "YouTube", "- YouTube", "Watch") else {}
