"""JSON-LD in a page: the thing that the page is about, in the words of schema.org."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

KINDS = {  # schema.org's types, the most telling first
    "ScholarlyArticle": "paper", "Thesis": "paper", "Report": "paper", "Book": "book", "Course": "course",
    "Dataset": "dataset", "SoftwareSourceCode": "code", "VideoObject": "talk", "PodcastEpisode": "talk",
    "PresentationDigitalDocument": "talk", "SoftwareApplication": "tool", "BlogPosting": "post", "TechArticle": "post",
    "NewsArticle": "post", "Article": "post", "SocialMediaPosting": "thread", "DiscussionForumPosting": "thread",
    "WebPage": "", "CreativeWork": "",
}  # fmt: skip


def described(documents: list[str]) -> Mapping[str, Any]:
    """The thing that a page is about, by the telling of its type; empty where JSON-LD names none."""
    things = [thing for document in documents for thing in _things(_loaded(document), 4)]
    order = list(KINDS)
    typed = [(order.index(t), n) for n, thing in enumerate(things) for t in types_of(thing) if t in KINDS]
    return things[min(typed)[1]] if typed else {}


def _loaded(document: str) -> Any:
    try:
        return json.loads(re.sub(r"^\s*<!--|-->\s*$", "", document), strict=False)  # pages put raw line ends into it
    except (ValueError, RecursionError):
        return None


def _things(value: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list) and depth:
        for item in value:
            yield from _things(item, depth - 1)
    elif isinstance(value, Mapping) and depth:
        yield value
        yield from _things(value.get("@graph"), depth - 1)
        yield from _things(value.get("mainEntity"), depth - 1)


def types_of(thing: Mapping[str, Any]) -> list[str]:
    named = thing.get("@type")
    return [str(t).rpartition("/")[2] for t in (named if isinstance(named, list) else [named]) if t]
