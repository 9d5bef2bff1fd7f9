"""What one line of a reading list refers to: `- [ ] [2020] Title, Publisher. <url>` and its many cousins."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from kb.ids import identify, is_shortener, is_social

# What a label before a link says of it: a front-matter key, or nothing that the link itself does not say ("").
ROLES = {
    "arxiv": "", "paper": "", "blog": "", "post": "", "article": "", "link": "", "url": "", "website": "", "site": "",
    "doc": "", "docs": "", "page": "", "source": "", "doi": "", "book": "", "course": "", "talk": "video",
    "github": "code", "code": "code", "repo": "code", "implementation": "code", "video": "video", "youtube": "video",
    "recording": "video", "slides": "slides", "slide": "slides", "deck": "slides", "pdf": "pdf",
    "paperpile": "paperpile",
}  # fmt: skip
DATES = {"date": "started", "start": "started", "started": "started", "added": "added", "finished": "finished",
         "end": "finished", "completed": "finished", "read on": "finished"}  # fmt: skip
GENERIC = re.compile(
    r"(?:(?:watch|read|see|check|here is|this is|click)\s+)*(?:the |a |this |my |full |short |nice |original )*"
    r"(?:video|link|here|slides?|paper|code|blog|post|article|recording|repo|github|pdf|talk|website)s?",
    re.I,
)
_KIND_FLAGS = {"paper", "talk", "lecture", "course", "post", "thread", "book", "code", "tool", "dataset"}
_META = re.compile(r"\*{2,3}\s*([A-Za-z][A-Za-z /-]{0,24}?)\s*:?\s*\*{2,3}\s*:?\s*(.*)$")
_MARKDOWN = r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(\s*<?([^()\s<>]*(?:\([^()\s]*\)[^()\s]*)*)>?(?:\s+\"[^\"]*\")?\s*\)"
_BROKEN = r"\[([^\[\]]*)\]\(([^()]*https?://[^()]*)\)"
_WIKI = r"\[\[([^\[\]|#]+)(?:#[^\[\]|]*)?(?:\|([^\[\]]*))?\]\]"
_BARE = r"<(https?://[^<>\s]+)>|(https?://[^\s<>\"]+)"
_LINK = re.compile(f"!?(?:{_MARKDOWN})|{_BROKEN}|{_WIKI}|{_BARE}")
_POINTERS = ("see", "bonus", "also", "read", "watch", "new", "see also")
_STYLED = re.compile("[\U0001d400-\U0001d7ff]+")  # bold letters made of mathematical symbols
_EDGES = " \t:;,.|–—-*_·/"


@dataclass
class Hit:
    """One link of a line: what it is called there and where it leads; `wiki` for a [[link]]."""

    text: str
    url: str
    wiki: bool = False


@dataclass
class Reference:
    """One line, understood. `remark` is what it says beside title and links; `wanted` are its [[links]]."""

    title: str = ""
    links: list[Hit] = field(default_factory=list)
    year: int | None = None
    kind: str = ""
    venue: str = ""
    authors: list[str] = field(default_factory=list)
    private: bool = False
    remark: str = ""
    label: str = ""
    broken: bool = False

    @property
    def urls(self) -> list[str]:
        return [hit.url for hit in self.links if not hit.wiki]

    @property
    def wanted(self) -> list[str]:
        return [hit.url for hit in self.links if hit.wiki]


def find_hits(text: str) -> list[tuple[int, int, Hit]]:
    """Every link of a line with its place."""
    found = []
    for m in _LINK.finditer(text):
        label, url, broken_label, broken, wiki, wiki_label, angled, bare = m.groups()
        if wiki is not None:
            found.append((m.start(), m.end(), Hit(wiki_label or wiki, wiki.strip(), True)))
        elif broken is not None:
            urls = re.findall(r"https?://\S+", broken)
            found += [(m.start(), m.end(), Hit(broken_label if n == 0 else "", u)) for n, u in enumerate(urls)]
        elif url is not None:
            if source := identify(url):
                target = url if re.match(r"https?:", url, re.I) else source.url
                found.append((m.start(), m.end(), Hit(label.strip(" *_"), target)))
        elif angled:
            found.append((m.start(), m.end(), Hit("", angled)))
        elif bare:
            kept = _trimmed(bare)
            found.append((m.start(), m.start() + len(kept), Hit("", kept)))
    return found


def _trimmed(url: str) -> str:
    """A bare URL without the punctuation of the sentence around it."""
    while url and (url[-1] in ".,;:!?'\"*_" or (url[-1] == ")" and url.count("(") < url.count(")")) or url[-1] == "]"):
        url = url[:-1]
    return url


def meta_line(text: str) -> tuple[str, str] | None:
    """('date', '2025-03-05') of a line `**Date:** 2025-03-05`; None where a line is none of these."""
    m = _META.match(text)
    if not m or not m[2] or ":" not in text[: m.start(2)]:
        return None
    return m[1].strip().lower(), m[2].strip()


def parse_reference(text: str) -> Reference:
    """A line without its bullet and checkbox -> what it refers to."""
    ref = Reference()
    text = _flags(text.strip(), ref)
    if (m := meta_line(text)) and not GENERIC.fullmatch(m[0]):
        ref.label, text = _META.match(text)[1].strip(), m[1]  # type: ignore[index]
    text = _without_owners(text)
    hits = find_hits(text)
    ref.links = [hit for *_, hit in hits]
    ref.broken = re.search(_BROKEN, text) is not None and " " in (re.search(_BROKEN, text) or [""] * 3)[2].strip()
    if not hits:
        ref.title = text.strip(" \t:*_") if not text.endswith((".", "!", "?")) else text.strip(" *_")
        _split_sentence(ref)
        return _finish(ref)
    start, end, first = hits[0]
    before, after = text[:start], text[hits[-1][1] :]
    between = _between(text, hits)
    named = first.text and not re.match(r"https?://", first.text)
    if first.wiki or not named:
        ref.title = before
        ref.remark = f"{between}{after}"
        if not _clean(before) and not between and re.match(r"\s*[-–—:]\s*\S", after) and len(after.split()) <= 16:
            ref.title, ref.remark = after, ""
    else:
        _title_around_link(ref, before, first.text, f"{between}{after}")
    return _finish(ref)


def _flags(text: str, ref: Reference) -> str:
    """Take `[2020]`, `[Internal]`, `[Talk]` and decoration off the front of a line."""
    while True:
        text = re.sub(r"^[^\w\s\[\]()<>\"'“‘*_$!#`&@+./~-]+\s*", "", text)
        if not (m := re.match(r"\[([^\[\]]+)\](?![(\[])[\s.:-]*", text)):
            return text
        flag = m[1].strip().lower()
        if re.fullmatch(r"(19|20)\d\d", flag):
            ref.year = int(flag)
        elif flag in ("internal", "private", "confidential"):
            ref.private = True
        elif flag in _KIND_FLAGS or flag in ("blog", "video"):
            ref.kind = {"blog": "post", "video": "talk"}.get(flag, flag)
        else:
            return text
        text = text[m.end() :]


def _without_owners(text: str) -> str:
    """`[owner](…/owner)/**[repo](…/owner/repo)**` is one link, to the repository."""
    hits = find_hits(text)
    for (start, end, owner), (repo_start, _, repo) in zip(hits, hits[1:], strict=False):
        gap = text[end:repo_start]
        if re.fullmatch(r"\s*/[\s*]*", gap) and repo.url.lower().startswith(owner.url.rstrip("/").lower() + "/"):
            return text[:start] + text[repo_start:]
    return text


def _between(text: str, hits: list[tuple[int, int, Hit]]) -> str:
    """What stands between the first link and the last, with the names of the links in it."""
    found = ""
    for (_, end, _), (start, stop, hit) in zip(hits, hits[1:], strict=False):
        gap = text[end:start] if end <= start else ""
        shown = text[start:stop] if end <= start and hit.text else ""
        found += gap + shown
    return found if _clean(found) else ""


def _title_around_link(ref: Reference, before: str, name: str, after: str) -> None:
    """A named link: its name is the title, or the sentence around it where the link is only part of what is said."""
    lead = _clean(re.sub(r"[*_]{2,3}[A-Z]+:[*_]{2,3}", "", before))
    ref.label = ref.label or _clean((re.match(r"\s*[*_]{2,3}([A-Z]{3,}):?[*_]{2,3}", before) or ["", ""])[1])
    if before.rstrip().endswith((":", " -", " –", " —")) and lead and GENERIC.fullmatch(name):
        ref.title, ref.remark = lead, after
        return
    if not lead or before.rstrip().endswith(":"):
        short = lead and len(lead.split()) <= 3 and lead.lower() not in _POINTERS
        ref.title, ref.remark = (f"{lead}: {name}", after) if short else (name, f"{lead} {after}".strip())
        return
    if lead.lower() in _POINTERS and not GENERIC.fullmatch(name):
        ref.title, ref.remark = name, f"{lead} {after}".strip()
        return
    sentence = f"{before.strip()} {name}{after}"
    ref.title = sentence
    _split_sentence(ref)


def _split_sentence(ref: Reference) -> None:
    """Of a title with sentences behind it only the first is the title, up to what it is said to be."""
    whole = ref.title.strip()
    m = re.search(r"(?<=[^.\s]{2}[.!?])\s+(?=[A-Z\"“\U0001F300-\U0001FAFF])", whole)
    title, rest = (whole[: m.start()], whole[m.end() :]) if m else (whole, "")
    m = re.search(r"\s(?=(?:is|are|was|offers a) (?:a|an|one|the|very)\b)", title)
    if m and len(title[: m.start()].split()) >= 2:
        title, rest = title[: m.start()], f"{title[m.start() :].strip()} {rest}"
    ref.title, ref.remark = title, f"{rest} {ref.remark}".strip()


def _finish(ref: Reference) -> Reference:
    ref.remark = re.sub(r"^\*{0,3}[\s:;,.|–—-]+(?=\S)", "", ref.remark.replace("****", "")).strip()
    if re.fullmatch(r"[\s*_/|()\[\].,;:–—-]*", ref.remark):
        ref.remark = ""
    title = _clean(ref.title)
    if m := re.search(r"\s*\((19\d\d|20\d\d)\)$", title):
        ref.year, title = ref.year or int(m[1]), title[: m.start()]
    ref.title = _credits(title, ref)
    if m := re.match(r"\(([A-Z][\w.'’-]+(?: [A-Z][\w.'’-]+){1,3})\)(.*)$", ref.remark):
        ref.authors, ref.remark = [m[1]], m[2].strip(" .")
    return ref


def _credits(title: str, ref: Reference) -> str:
    """Take `, Publisher`, ` by Author` and ` - Author` off a title where the link's host shows what they are."""
    if m := re.search(r"\s+(?:[-–—]\s+)?by ([A-Z][\w.'’-]+(?: [A-Z][\w.'’-]+){1,2})$", title):
        ref.authors = [m[1]]
        return title[: m.start()]
    host = urlsplit(ref.urls[0]).netloc.lower().replace("-", "") if ref.urls else ""
    if (m := re.search(r",\s+([A-Z][\w.]+(?: [A-Z][\w.]+)?)$", title)) and m[1].lower().replace(" ", "") in host:
        ref.venue = m[1]
        return title[: m.start()]
    m = re.search(r"\s+[-–—]\s+([A-Z][\w.'’-]+(?: [A-Z][\w.'’-]+){1,2})$", title)
    if m and all(word.lower() in host for word in m[1].split()):
        ref.authors = [m[1]]
        return title[: m.start()]
    return title


def _clean(text: str) -> str:
    """A title without Markdown marks and the punctuation that led to its link."""
    text = re.sub(_MARKDOWN, r"\1", text)
    text = re.sub(r"(\*{1,3}|__)(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    text = re.sub(r"</?[a-z]+>|(?<!\w)\*+|\*+(?!\w)", "", text)
    text = " ".join(_STYLED.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text).split())
    return text.rstrip(_EDGES.replace("*", "")).lstrip(_EDGES) if not re.search(r"[.]{3}$", text) else text


def title_from_url(url: str) -> str:
    """Words for a link without any: the last telling part of its path, or its host."""
    parts = urlsplit(url)
    host = parts.netloc.removeprefix("www.")
    stems = [re.sub(r"\.(html?|pdf|md|php|ipynb)$", "", unquote(p)) for p in parts.path.split("/") if p]
    telling = [
        s for s in stems if re.search(r"[A-Za-z]{3}", s) and s.lower() not in ("index", "watch", "status", "edit")
    ]
    if not telling:
        return host
    words = re.sub(r"[-_+]+", " ", telling[-1]).strip()
    return f"{words[:1].upper()}{words[1:]} ({host})"


def role_line(text: str) -> tuple[str, str] | None:
    """('slides', url) of `(slides: https://…)`; None for any other line."""
    m = re.fullmatch(r"\(?\s*([A-Za-z]+)\s*:\s*<?(https?://[^\s<>]+?)>?\s*\)?", text.strip())
    return (ROLES[m[1].lower()], m[2]) if m and m[1].lower() in ROLES else None


def link_meta(ref: Reference, role: str = "") -> dict[str, object]:
    """The front-matter keys that a reference's links give. A shortener or a post on a social network is where the
    work was seen, and its id where the name of the link is another URL."""
    meta: dict[str, object] = {}
    seen: list[str] = []
    for hit in ref.links:
        if hit.wiki:
            continue
        url = hit.text if re.match(r"https?://\S+$", hit.text) and is_shortener(hit.url) else hit.url
        if url != hit.url:
            seen.append(hit.url)
        source = identify(url)
        if source is None:
            continue
        key = role or source.key
        if is_social(url) and _announces(ref.title, url) and not meta.get("url"):
            seen.append(url)
            continue
        value = source.value if key == source.key else url
        if key in meta:
            seen.append(url)
            continue
        meta[key] = value
        if source.at:
            meta["at"] = source.at
        if source.key in ("arxiv", "acl", "openreview") and re.search(r"\.pdf$|/pdf/", url):
            meta["pdf"] = url
        elif url not in (value, source.url):
            seen.append(url)
    if seen:
        meta["seen"] = list(dict.fromkeys(u for u in seen if u not in meta.values()))
    return {k: v for k, v in meta.items() if v != []}


def _announces(title: str, url: str) -> bool:
    """Whether a post on a social network is about a work of that title (a title in title case), not the work itself."""
    words = [w for w in re.findall(r"[A-Za-z][\w'’-]*", title) if len(w) > 3]
    return "/status/" in url and len(words) >= 3 and sum(w[0].isupper() for w in words) >= 0.7 * len(words)
