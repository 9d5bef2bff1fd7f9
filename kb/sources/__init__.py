"""Where a work's metadata comes from: one module for each kind of reference."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from kb.ids import PAPER_KEYS, Source
from kb.problem import KbError
from kb.sources.http import Client, Unreachable

Metadata = dict[str, Any]  # front-matter keys -> values, as kb.note.SCHEMA has them
Answer = tuple[Source, Metadata | KbError]  # http.Unreachable where asking again later may help
Fetcher = Callable[[Sequence[Source]], Iterator[Answer]]


class Kind(Protocol):
    """What each module of this package offers. `name` is what `incomplete:` says when its service did not answer."""

    name: str

    def matches(self, source: Source) -> bool:
        """True for what this kind can ask about."""
        ...

    def fetch(self, sources: Sequence[Source], client: Client) -> Iterator[Answer]:
        """An answer for each source, as it comes; a service that takes several at once is asked once."""
        ...


def kinds() -> tuple[Kind, ...]:
    """The kinds, the first that matches is the one; `web` takes everything."""
    from kb.sources import (
        acl,
        arxiv,
        books,
        doi,
        github,
        huggingface,
        oembed,
        openalex,
        openreview,
        pdf,
        pubmed,
        semantic_scholar,
        web,
        youtube,
    )

    papers = (arxiv, doi, acl, openreview, semantic_scholar, openalex, pubmed, books)
    return *papers, github, huggingface, youtube, oembed, pdf, web


def kind_of(source: Source) -> Kind:
    return next(kind for kind in kinds() if kind.matches(source))


def fetcher(client: Client | None = None, cache: Path | None = None, inside: bool = True) -> Fetcher:
    """What asks the web for real; `cache` is the folder in which a client of its own keeps answers, `inside` whether it
    may ask the network of this machine too: what a person types may lie there, what a note or a list names may not."""
    from kb.sources.tidy import tidy

    def fetch(sources: Sequence[Source]) -> Iterator[Answer]:
        asked = client or Client(cache=cache, inside=inside)
        left = list(sources)
        try:
            for kind in kinds():
                mine = [source for source in left if kind.matches(source)]
                left = [source for source in left if not kind.matches(source)]
                for source, answer in kind.fetch(mine, asked) if mine else ():
                    told = answer if isinstance(answer, KbError) else tidy(answer)
                    untitled = Unreachable(f"what {source.url} leads to has no title; add one with --title")
                    yield source, told if isinstance(told, KbError) or told.get("title") else untitled
        finally:
            if client is None:
                asked.close()

    return fetch


_KIND_OF_KEY = dict.fromkeys(PAPER_KEYS, "paper") | {"isbn": "book", "video": "talk", "code": "code"}
_PAPERS = r"(jmlr|mlr\.press|papers\.nips|neurips|biorxiv|medrxiv|semanticscholar|ssrn)\b"
_KIND_OF_HOST = (  # the first pattern found in host/path
    (r"^(twitter|x|threads|bsky|mastodon)\.(com|net|app|social)/", "thread"),
    (r"^huggingface\.co/datasets/|^kaggle\.com/(datasets|c|competitions)/|^zenodo\.org/", "dataset"),
    (r"^huggingface\.co/(spaces|docs|collections)/", "tool"),
    (r"^huggingface\.co/learn/", "course"),
    (r"^huggingface\.co/blog(/|$)", "post"),
    (r"^huggingface\.co/(?!papers|posts|join|login|models|tasks)[\w.-]+/[\w.-]+/?$", "tool"),
    (r"^(github|gitlab|codeberg|bitbucket)\.(com|org)/[^/]+/[^/]+", "code"),
    (r"^gist\.github\.com/|^colab\.research\.google\.com/", "code"),
    (r"^(coursera|udemy|edx|udacity|fast)\.(org|com|ai)/|^ocw\.mit\.edu/|^course\.|/courses?/", "course"),
    (r"^(youtube|vimeo)\.com/playlist|^youtube\.com/(playlist|@|c/)", "course"),
    (r"^(youtube|youtu|vimeo|slideslive|videolectures)\.(com|be|net)/|^ted\.com/talks/", "talk"),
    (r"^(.+\.)?" + _PAPERS + r"|^(dl\.acm\.org/doi|ieeexplore\.ieee\.org/|openreview\.net/)", "paper"),
    (r"^(aclanthology\.org|openaccess\.thecvf\.com|nature\.com/articles|science\.org/doi)", "paper"),
    (r"^pmc\.ncbi\.nlm\.nih\.gov/", "paper"),
)


def guess_kind(source: Source) -> str:
    """The kind of note a reference most likely wants; a page of which nothing is known is a post."""
    if source.key in _KIND_OF_KEY:
        return _KIND_OF_KEY[source.key]
    try:
        parts = urlsplit(source.url)
        place = re.sub(r"^(www|m|mobile)\.", "", (parts.hostname or "").lower()) + (unquote(parts.path) or "/")
    except ValueError:
        return "post"
    if "list=" in parts.query and place.startswith("youtube.com/playlist"):
        return "course"
    return next((kind for pattern, kind in _KIND_OF_HOST if re.search(pattern, place)), "post")
