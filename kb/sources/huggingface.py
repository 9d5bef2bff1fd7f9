"""Hugging Face: models, datasets and spaces by its API (HF_TOKEN, if set, is shown to it alone). Papers there are
arXiv's: kb.ids sees to that. A model's own arXiv tags name papers about it and others, and so no id of the model."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kb.ids import Source, url_token
from kb.problem import KbError
from kb.sources import Answer, Metadata, web
from kb.sources.fields import date, known, line, mapping, read_json, when
from kb.sources.http import Client, Gone, Page, Unreachable

name = "huggingface"
_HOME = "https://huggingface.co"
_PAGES = (
    "papers|posts|join|login|models|tasks|docs|blog|learn|collections|organizations|settings|new|spaces|datasets|api|chat"
    "|pricing|enterprise|inference|support|terms-of-service|privacy|search|notifications|welcome|brand|changelog"
)
_PLACE = re.compile(
    r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/(?:(datasets|spaces)/(?=[\w.-]))?"
    rf"((?!(?:{_PAGES})(?:[/?#]|$))[\w.-]+(?:/[\w.-]+)?)(?:/tree/main)?/?(?:[?#].*)?",
    re.I,
)
_KINDS = {"models": "tool", "datasets": "dataset", "spaces": "tool"}


def matches(source: Source) -> bool:
    return _PLACE.fullmatch(source.url) is not None


def fetch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    for source in sources:
        try:
            yield source, _fetch_one(source, client)
        except KbError as error:
            yield source, error


def _fetch_one(source: Source, client: Client) -> Metadata:
    m = _PLACE.fullmatch(source.url)
    assert m is not None  # by `matches`
    place, id = (m[1] or "models").lower(), m[2]
    token = os.environ.get("HF_TOKEN", "").strip()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        url = f"{_HOME}/api/{place}/{id}"
        return client.ask(url, lambda page: _read(page, source, place), keep=86400.0, headers=headers)
    except Gone:
        if "/" not in id and place == "models":  # not one of the models without an owner, but somebody's page
            return web.ask(source, client)
        raise Gone(f"Hugging Face has nothing at {source.url}, or it is private; check the address") from None


def _read(page: Page, source: Source, place: str) -> Metadata:
    if page.status == 401:  # its answer to any name that it does not know, too
        raise Gone(page.url)
    if page.status >= 400:
        raise Unreachable(f"Hugging Face answered {page.status}; set HF_TOKEN, or try again later")
    answer = mapping(read_json(page, "Hugging Face"))
    id = line(answer.get("id"))
    if not id:
        raise Unreachable("Hugging Face's answer names nothing; try again later")
    url = f"{_HOME}/{'' if place == 'models' else place + '/'}{id}"
    return known(
        {
            "title": _title(answer, id),
            "kind": _KINDS[place],
            "aliases": [id] if "/" in id else [],
            "authors": [owner] if (owner := line(answer.get("author")) or id.rpartition("/")[0]) else [],
            "venue": "Hugging Face",
            "url": url,
            "also": [] if url_token(url) == source.token else [source.url],
            "abstract": line(answer.get("description")),
        }
        | when(date(answer.get("createdAt")))
    )


def _title(answer: Mapping[str, Any], id: str) -> str:
    """The name that a space or dataset shows, else the last part of its id."""
    card = mapping(answer.get("cardData"))
    return line(card.get("title")) or line(card.get("pretty_name")) or id.rpartition("/")[2]
