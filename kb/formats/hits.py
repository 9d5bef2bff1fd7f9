"""The links of one line of a reading list, and the front-matter keys they give."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kb.ids import ARXIV_ID, DOI, PAPER_KEYS, identify, is_shortener, is_social

# What a label before a link says of it: a front-matter key, or nothing that the link itself does not say ("").
ROLES = {
    "arxiv": "", "paper": "", "blog": "", "post": "", "article": "", "link": "", "url": "", "website": "", "site": "",
    "doc": "", "docs": "", "page": "", "source": "", "doi": "", "book": "", "course": "", "talk": "video",
    "github": "code", "code": "code", "repo": "code", "implementation": "code", "video": "video", "youtube": "video",
    "recording": "video", "slides": "slides", "slide": "slides", "deck": "slides", "pdf": "pdf",
    "paperpile": "paperpile",
}  # fmt: skip
MARKDOWN = (
    r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]"
    r"\(\s*<?([^()\s<>]*(?:\([^()\s]*\)[^()\s<>]*)*)>?(?:\s+[\"'(]([^\"]*?)[\"')])?\s*\)"
)
BROKEN = r"\[([^\[\]]*)\]\(([^()]*https?://[^()]*)\)"
_WIKI = r"\[\[([^\[\]|#]+)(?:#[^\[\]|]*)?(?:\|([^\[\]]*))?\]\]"
_BARE = r"<(https?://[^<>\s]+)>|(https?://[^\s<>\"]+)"
_ID = rf"(?<![\w/.])(?:\[?arxiv\]?[:\s]\s*({ARXIV_ID})(?:v\d+)?\b(?:\s*\[[a-z-]+(?:\.[A-Z]+)?\])?|(?:doi:?\s*)?({DOI}))"
_ONLY_ID = re.compile(r"[\[(]?(\d\d(?:0[1-9]|1[0-2])\.\d{5})(v\d+)?[\])]?(?=$|[\s:])")  # `1706.03762v5` at the start
_LINK = re.compile(f"!?(?:{MARKDOWN})|{BROKEN}|{_WIKI}|{_BARE}|(?i:{_ID})")
HAS_LINK = re.compile(
    rf"https?://|\[\[|\]\([^)]|(?i:(?<![\w/.])\[?arxiv\]?[:\s]\s*{ARXIV_ID}|(?<![\w/.])10\.\d{{4,9}}/\w)|^{_ONLY_ID.pattern}",
    re.I,
)


@dataclass
class Hit:
    """One link of a line: what it is called there and where it leads; `wiki` for a [[link]], `note` for what the
    link itself says on hover."""

    text: str
    url: str
    wiki: bool = False
    note: str = ""

    @property
    def role(self) -> str:
        """The front-matter key that the link's name asks for, as `[code](…)` does."""
        return ROLES.get(self.text.strip(" []()*_").lower(), "")


def find_hits(text: str) -> list[tuple[int, int, Hit]]:
    """Every link of a line with its place."""
    found = []
    if m := _ONLY_ID.match(text):
        found.append((0, m.end(), Hit("", f"https://arxiv.org/abs/{m[1]}")))
    for m in _LINK.finditer(text, found[0][1] if found else 0):
        label, url, title, broken_label, broken, wiki, wiki_label, angled, bare, arxiv, doi = m.groups()
        if wiki is not None:
            found.append((m.start(), m.end(), Hit(wiki_label or wiki, wiki.strip(), True)))
        elif broken is not None:
            urls = re.findall(r"https?://\S+", broken)
            found += [(m.start(), m.end(), Hit(broken_label if n == 0 else "", u)) for n, u in enumerate(urls)]
        elif url is not None:
            if source := identify(url):
                target = url if re.match(r"https?:", url, re.I) else source.url
                found.append((m.start(), m.end(), Hit(label.strip(" *_"), target, note=title or "")))
        elif arxiv:
            found.append((m.start(), m.end(), Hit("", f"https://arxiv.org/abs/{arxiv}")))
        elif angled or doi:
            end = m.end() if angled else m.start() + len(trimmed(m[0]))
            found.append((m.start(), end, Hit("", angled or f"https://doi.org/{trimmed(doi)}")))
        elif bare:
            kept = trimmed(bare)
            found.append((m.start(), m.start() + len(kept), Hit("", kept)))
    return found


def trimmed(url: str) -> str:
    """A bare URL without the punctuation of the sentence around it."""
    extra, end = url.count(")") - url.count("("), len(url)
    while end and (url[end - 1] in ".,;:!?'\"*_~]" or (url[end - 1] == ")" and extra > 0)):
        end -= 1
        extra -= url[end] == ")"
    return url[:end]


def is_bare_url(text: str) -> bool:
    """A URL and nothing else."""
    return re.fullmatch(r"<?https?://[^\s<>]+>?", text.strip()) is not None


def role_line(text: str) -> tuple[str, str] | None:
    """('slides', url) of `(slides: https://…)`; None for any other line."""
    m = re.fullmatch(r"\(?\s*\**([A-Za-z]+)\**\s*:\**\s*<?(https?://[^\s<>]+?)>?\s*\)?", text.strip())
    return (ROLES[m[1].lower()], m[2]) if m and m[1].lower() in ROLES else None


def link_meta(title: str, links: Iterable[Hit], role: str = "") -> dict[str, object]:
    """The front-matter keys that links give to a work of this title. A shortener or a post on a social network is where
    the work was seen, and its id where the name of the link is another URL."""
    meta: dict[str, object] = {}
    seen: list[str] = []
    for hit in links:
        if hit.wiki:
            continue
        url = hit.text if re.match(r"https?://\S+$", hit.text) and is_shortener(hit.url) else hit.url
        if url != hit.url:
            seen.append(hit.url)
        source = identify(url)
        if source is None:
            continue
        asked = role or (hit.role if source.key not in PAPER_KEYS else "")
        key = asked or source.key
        if is_social(url) and _announces(title, url) and not meta.get("url"):
            seen.append(url)
            continue
        value = source.value if key == source.key else url
        if key in meta:
            if url != meta[key]:
                seen.append(url)
            continue
        meta[key] = value
        if source.at:
            meta["at"] = source.at
        if source.key in ("arxiv", "acl", "openreview") and re.search(r"\.pdf$|/pdf/", url):
            meta.setdefault("pdf", url)
        elif url not in (value, source.url):
            seen.append(url)
    if seen:
        meta["seen"] = list(dict.fromkeys(u for u in seen if u not in meta.values()))
    return {k: v for k, v in meta.items() if v != []}


def _announces(title: str, url: str) -> bool:
    """Whether a post on a social network is about a work of that title (a title in title case), not the work itself."""
    words = [w for w in re.findall(r"[A-Za-z][\w'’-]*", title) if len(w) > 3]
    return "/status/" in url and len(words) >= 3 and sum(w[0].isupper() for w in words) >= 0.7 * len(words)
