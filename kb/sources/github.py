"""GitHub: repositories, issues and gists by its API (GITHUB_TOKEN, if set, is shown to it alone); what the API does not
tell, by the page."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from kb.ids import Source, url_token
from kb.problem import KbError
from kb.sources import Answer, Metadata
from kb.sources.fields import date, known, line, mapping, read_json, web_address, when
from kb.sources.http import Client, Gone, Page, Unreachable

name = "github"
_Reader = Callable[[Source, Mapping[str, Any]], Metadata]
_API = "https://api.github.com"
_REPO = re.compile(r"https?://(?:www\.)?github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?(?:[?#].*)?", re.I)
_ISSUE = re.compile(r"https?://(?:www\.)?github\.com/([\w.-]+)/([\w.-]+)/(?:issues|pull)/(\d+)(?:[/?#].*)?", re.I)
_GIST = re.compile(r"https?://gist\.github\.com/(?:[\w.-]+/)?([0-9a-f]{5,40})/?(?:[?#].*)?", re.I)
_OTHERS = {"orgs", "topics", "features", "collections", "sponsors", "marketplace", "settings", "trending", "apps"}


def matches(source: Source) -> bool:
    if any(pattern.fullmatch(source.url) for pattern in (_GIST, _ISSUE)):
        return True
    m = re.match(r"https?://(?:www\.)?github\.com/([\w.-]+)/[\w.-]+", source.url, re.I)
    return m is not None and m[1].lower() not in _OTHERS


def fetch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    for source in sources:
        try:
            yield source, _fetch_one(source, client)
        except KbError as error:
            yield source, error


def _fetch_one(source: Source, client: Client) -> Metadata:
    for pattern, place, read in _FORMS:
        if m := pattern.fullmatch(source.url):
            try:
                return _ask(client, place.format(*m.groups()), partial(_told, source, read))
            except Gone:
                raise Gone(f"there is nothing at {source.url}, or it is private; check the address") from None
            except Unreachable:  # most often an hour's requests are spent; the page is still shown
                return _from_page(source, client)
    return _from_page(source, client)


def _ask(client: Client, path: str, read: Callable[[Page], Metadata]) -> Metadata:
    token = os.environ.get("GITHUB_TOKEN", "").strip()
    headers = {"X-GitHub-Api-Version": "2022-11-28"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return client.ask(f"{_API}/{path}", read, "application/vnd.github+json", keep=86400.0, headers=headers)


def _told(source: Source, read: _Reader, page: Page) -> Metadata:
    if page.status >= 400:
        raise Unreachable(f"GitHub answered {page.status}; set GITHUB_TOKEN, or try again later")
    return read(source, mapping(read_json(page, "GitHub")))


def _repository(source: Source, answer: Mapping[str, Any]) -> Metadata:
    full, url = line(answer.get("full_name")), web_address(answer.get("html_url"))
    if not full or not url:
        raise Unreachable("GitHub's answer describes no repository; try again later")
    meta = _described(answer, full.rpartition("/")[2], "owner") | {"aliases": [full], "code": url, "kind": "code"}
    renamed = url_token(url) != source.token
    return meta | ({"also": [source.url]} if renamed else {})


def _issue(source: Source, answer: Mapping[str, Any]) -> Metadata:
    meta = _described(answer, line(answer.get("title")), "user") | {"kind": "thread"}
    meta.pop("abstract", None)
    return meta | {"venue": re.sub(r".*github\.com/([\w.-]+/[\w.-]+)/.*", r"GitHub: \1", source.url)}


def _gist(source: Source, answer: Mapping[str, Any]) -> Metadata:
    names = [str(file) for file in mapping(answer.get("files"))]
    title = line(answer.get("description")) or (names[0] if names else "")
    return _described(answer, title, "owner") | {"kind": "code"}


def _described(answer: Mapping[str, Any], title: str, owner: str) -> Metadata:
    if not title:
        raise Unreachable("GitHub's answer has no title; try again later or give a --title")
    login = line(mapping(answer.get(owner)).get("login"))
    told = {"title": title, "authors": [login] if login else [], "venue": "GitHub"}
    abstract = line(answer.get("description"))
    return known(told | when(date(answer.get("created_at"))) | {"abstract": abstract if abstract != title else ""})


_FORMS: tuple[tuple[re.Pattern[str], str, _Reader], ...] = (
    (_REPO, "repos/{}/{}", _repository),
    (_ISSUE, "repos/{}/{}/issues/{}", _issue),
    (_GIST, "gists/{}", _gist),
)


def _from_page(source: Source, client: Client) -> Metadata:
    """What the page of a repository or of something in it says of itself."""
    from kb.sources import web

    meta = web.ask(source, client)
    parts = unquote(urlsplit(source.url).path).strip("/").split("/")
    owner, repo = (parts + [""])[:2]
    if _REPO.fullmatch(source.url):
        named = {"title": repo.removesuffix(".git"), "aliases": [f"{owner}/{repo.removesuffix('.git')}"]}
        about = re.sub(
            rf"\s*[-–—]?\s*(Contribute to )?{re.escape(owner)}/{re.escape(repo)}.*$", "", meta.get("abstract", "")
        )
        return known(named | {"kind": "code", "authors": [owner], "venue": "GitHub", "abstract": about})
    if len(parts) > 4 and parts[2] in ("blob", "tree", "raw", "edit", "blame"):
        return known(meta | {"title": f"{'/'.join(parts[4:])} in {owner}/{repo}", "kind": "code", "venue": "GitHub"})
    title = re.sub(r" · .*$", "", meta["title"]) or meta["title"]
    kind = "thread" if len(parts) > 2 and parts[2] in ("issues", "pull", "discussions") else "code"
    return meta | {"title": title, "kind": kind, "venue": "GitHub"}
