"""Titles out of addresses and file names: what a work is called until its page has been read, or where that has no
title of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

from kb.ids import is_shortener
from kb.sources.tidy import printable

_LONGEST = 100  # letters of an address that stands in for a title
_FORMATS = re.compile(r"\.(html?|php|aspx?|pdf|md)$", re.I)
# Last words of addresses that say what is done with a page, not what it is about.
_NO_WORDS = re.compile(
    r"abs|archive|articles?|assets|blog|default|doc|document|download|edit|en|files?|forum|full|home|html|index|items?"
    r"|login|main|news|open|pages?|papers?|pdf|permalink|p|playlist|posts?|preview|public|read|reports?|search|share|show"
    r"|status|story|text|u|users?|videos?|view|viewer|watch",
    re.I,
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
# (host, path, title); names stand for the groups of the path, `q_…` for parameters of the query.
_SITES = (
    (r"(m\.|music\.)?youtube\.com", r"/watch", "YouTube {q_v}"),
    (r"(m\.|music\.)?youtube\.com", r"/playlist", "YouTube playlist {q_list}"),
    (r"(mobile\.)?(twitter|x)\.com", r"/(?P<who>\w+)/status/(?P<n>\d+).*", "{who} on X, post {n}"),
    (r"(mobile\.)?(twitter|x)\.com", r"/(?P<who>\w+)/?", "{who} on X"),
    (r"bsky\.app", r"/profile/(?P<who>[^/]+)/post/(?P<n>\w+)/?", "{who} on Bluesky, post {n}"),
    (r"bsky\.app", r"/profile/(?P<who>[^/]+)/?", "{who} on Bluesky"),
    (r"github\.com", r"/(?P<who>[\w.-]+)/?", "{who} on GitHub"),
    (r"github\.com", r"/[\w.-]+/(?P<repo>[\w.-]+?)(\.git)?/?", "{repo}"),
    (r"github\.com", r"/(?P<repo>[\w.-]+/[\w.-]+)/(blob|tree|raw|edit)/[^/]+/(?P<file>.+?)/?", "{file} in {repo}"),
    (r"github\.com", r"/(?P<repo>[\w.-]+/[\w.-]+)/(issues|pull|discussions)/(?P<n>\d+).*", "{repo} #{n}"),
    (r"pmc\.ncbi\.nlm\.nih\.gov", r"/articles/(?P<n>PMC\d+)/?", "PubMed Central {n}"),
    (r"docs\.google\.com", r"/(document|spreadsheets|presentation|forms)/.*", "Google {1} {id}"),
    (r"drive\.google\.com", r"/(?:file/d|drive/folders)/.*", "Google Drive {id}"),
)  # fmt: skip


def url_title(url: str) -> str:
    """A title out of a URL: '…/posts/2021-07-11-diffusion-models/' -> 'Diffusion models', or the address itself where
    nothing in it is a word."""
    try:
        parts = urlsplit(url)
        host, path = (parts.hostname or url).removeprefix("www."), printable(unquote(parts.path))
    except ValueError:
        return url
    if title := _of_site(host, path, dict(parse_qsl(parts.query))):
        return title
    if is_shortener(url):
        return _address(host, path, "")
    for part in reversed(path.split("/")):
        if title := title_of_name(part):
            return title if " " in title or not parts.hostname else f"{title} ({host})"
    return _address(host, path, unquote(parts.query))


def _of_site(host: str, path: str, query: Mapping[str, str]) -> str:
    for place, pattern, form in _SITES:
        if re.fullmatch(place, host) and (m := re.fullmatch(pattern, path)):
            names = m.groupdict() | {f"q_{key}": value for key, value in query.items()}
            names["id"] = max(path.split("/"), key=len)
            try:
                return printable(form.format(m[0], *m.groups(), **names))
            except (KeyError, IndexError):  # a parameter that is not there
                return ""
    return ""


def _address(host: str, path: str, query: str) -> str:
    text = printable(f"{host}{path.rstrip('/')}{'?' if query else ''}{query}")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def title_of_name(name: str) -> str:
    """A title out of a file's name, '' where that holds no words."""
    stem = re.sub(r"^\d{4}[-_]\d\d[-_]\d\d[-_]|--Vmlldz\w+$", "", _FORMATS.sub("", name))  # Vmlldz: reports of W&B
    if _NO_WORDS.fullmatch(stem) or _UUID.fullmatch(stem):
        return ""
    words = [word for word in stem.replace("-", " ").replace("_", " ").split() if not _is_code(word)]
    if not any(re.search(r"[^\W\d_]{2}", word) for word in words):
        return ""
    text = " ".join(words)
    return text[:1].upper() + text[1:] if words[0].isalpha() else text  # torch.optim and cs25 are names


def _is_code(word: str) -> bool:
    """True for what a machine numbered something by (f7292e3a954c11ed), not for MobileNetV2 or GPT4o."""
    mixed = len(re.findall(r"\d(?=[A-Za-z])", word))
    return len(word) >= 8 and (mixed > 1 or (mixed == 1 and len(re.findall(r"[a-z](?=[A-Z])", word)) > 2))
