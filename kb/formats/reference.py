"""What one line of a reading list refers to: `- [ ] [2020] Title, Publisher. <url>` and its many cousins."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from kb.formats.citation import NAME, VENUE, authors_of, place_at_end, read_citation
from kb.formats.hits import MARKDOWN, Hit, find_hits
from kb.formats.marks import Marks, take_marks
from kb.ids import ARXIV_ID

DATES = {"date": "started", "start": "started", "started": "started", "added": "added", "finished": "finished",
         "end": "finished", "completed": "finished", "read on": "finished"}  # fmt: skip
GENERIC = re.compile(
    r"(?:(?:watch|read|see|check|here is|this is|click)\s+)*(?:the |a |this |my |full |short |nice |original )*"
    r"(?:video|link|here|slides?|paper|code|blog|post|article|recording|repo|github|pdf|talk|website|arxiv|abs|html)s?",
    re.I,
)
_KIND_FLAGS = {"paper", "talk", "lecture", "course", "post", "thread", "book", "code", "tool", "dataset"}
_META = re.compile(r"\*{2,3}\s*([A-Za-z][A-Za-z /-]{0,24}?)\s*:?\s*\*{2,3}\s*:?\s*(.*)$")
_PLAIN_META = re.compile(
    r"(date|arxiv|doi|pdf|url|link|authors?|year|venue|started|finished|read on)\s*:\s+(\S.*)$", re.I
)
_POINTERS = ("see", "bonus", "also", "read", "watch", "new", "see also")
_STYLED = re.compile("[\U0001d400-\U0001d7ff]+")  # bold letters made of mathematical symbols
_EDGES = " \t:;,.|–—-*_·/"
_YEAR = r"(?:19|20)\d\d"


@dataclass
class Reference:
    """One line, understood. `remark` is what it says beside title and links; `wanted` are its [[links]]; `cited` says
    that it names authors or a year as a citation does."""

    title: str = ""
    links: list[Hit] = field(default_factory=list)
    year: int | None = None
    kind: str = ""
    venue: str = ""
    authors: list[str] = field(default_factory=list)
    private: bool = False
    remark: str = ""
    label: str = ""
    cited: bool = False
    marks: Marks = field(default_factory=Marks)

    @property
    def urls(self) -> list[str]:
        return [hit.url for hit in self.links if not hit.wiki]

    @property
    def wanted(self) -> list[str]:
        return [hit.url for hit in self.links if hit.wiki]


def meta_line(text: str) -> tuple[str, str] | None:
    """('date', '2025-03-05') of a line `**Date:** 2025-03-05`; None where a line is none of these."""
    m = _META.match(text)
    if m and m[2] and ":" in text[: m.start(2)]:
        return m[1].strip().lower(), m[2].strip()
    m = _PLAIN_META.match(text)
    return (m[1].lower(), m[2].strip()) if m else None


def parse_reference(text: str, marks: bool = True) -> Reference:
    """A line without its bullet and checkbox -> what it refers to; `marks` says whether dates, tags and the like around
    it are marks on an item, and no words of a heading."""
    ref = Reference()
    text = _flags(text.strip(), ref)
    if marks:
        text, ref.marks = take_marks(text)
        text = _flags(text, ref)
    if (m := _META.match(text)) and meta_line(text) and not GENERIC.fullmatch(m[1].strip()):
        ref.label, text = m[1].strip(), m[2].strip()
    text = re.sub(r"\s*\[\^[^\]\s]+\](?!:)", "", _without_owners(text))
    hits = find_hits(text)
    ref.links = [hit for *_, hit in hits]
    start = hits[0][0] if hits else len(text)
    bare = not hits or not hits[0][2].text or is_id(hits[0][2].text)
    if bare and (found := read_citation(text[:start].strip(" \t,;:–—-") if hits else text)):
        ref.title, ref.authors, ref.year, ref.venue = found.title, found.authors, ref.year or found.year, found.venue
        ref.remark, ref.cited = f"{found.rest} {_rest(text, hits)}".strip(), True
        ref.kind = ref.kind or ("paper" if found.venue else "")
    elif not hits:
        ref.title = text.strip(" \t:*_") if not text.endswith((".", "!", "?")) else text.strip(" *_")
        _split_sentence(ref)
    elif hits[0][2].text and not hits[0][2].wiki and not is_id(hits[0][2].text):
        _title_around_link(ref, text[:start], hits[0][2], _rest(text, hits))
    else:
        named = hits[0][2].text if hits[0][2].wiki and "|" in text[start : hits[0][1]] else ""
        ref.title, ref.remark = text[:start] or named, _rest(text, hits)
        if not _clean(ref.title):  # an id or URL first, the words after it
            ref.title, ref.remark = ref.remark, ""
            _split_sentence(ref)
    ref.remark = " ".join(filter(None, (ref.remark, *(hit.note for hit in ref.links if hit.note not in ref.title))))
    return _finish(ref)


def _rest(text: str, hits: list[tuple[int, int, Hit]]) -> str:
    """What stands between the first link and the last, and after them, with the names of the links in it."""
    if not hits:
        return ""
    between = _between(text, hits)
    return f"{between} {text[hits[-1][1] :]}" if between else text[hits[-1][1] :]


def is_id(text: str) -> bool:
    """Whether the name of a link is only its URL or arXiv id over again."""
    return re.fullmatch(rf"https?://\S+|(?i:arxiv:\s*)?\[?{ARXIV_ID}(?:v\d+)?\]?", text) is not None


def _flags(text: str, ref: Reference) -> str:
    """Take `[2020]`, `[ICLR 2021]`, `[Internal]`, `[Talk]`, `Paper:` and decoration off the front of a line."""
    while True:
        text = re.sub(r"^[^\w\s\[\]()<>\"'“‘*_$!#`&@+./~⭐🔥❗‼🔺⏫🔼✅➕-]+\s*", "", text)
        if (m := re.match(r"([A-Za-z]{4,7}):\s+(?=\S)", text)) and m[1].lower() in _KIND_FLAGS | {"video"}:
            ref.kind = ref.kind or {"video": "talk"}.get(m[1].lower(), m[1].lower())
        elif m := re.match(rf"\(({_YEAR})\)[\s.:-]*(?=\S)", text):
            ref.year = int(m[1])
        elif m := re.match(r"\[([^\[\]]+)\](?![(\[])[\s.:-]*", text):
            if not _flag(m[1].strip(), ref):
                return text
        else:
            return text
        text = text[m.end() :]


def _flag(flag: str, ref: Reference) -> bool:
    """Take what stands in brackets before a title; False where it is no flag."""
    if re.fullmatch(_YEAR, flag):
        ref.year = int(flag)
    elif flag.lower() in ("internal", "private", "confidential"):
        ref.private = True
    elif flag.lower() in _KIND_FLAGS or flag.lower() in ("blog", "video"):
        ref.kind = {"blog": "post", "video": "talk"}.get(flag.lower(), flag.lower())
    elif m := re.fullmatch(rf"({VENUE})[ '’]*({_YEAR}|\d\d)", flag):
        ref.venue, ref.year = m[1], int(m[2]) if len(m[2]) == 4 else 2000 + int(m[2])
    else:
        return False
    return True


def _without_owners(text: str) -> str:
    """`[owner](…/owner)/**[repo](…/owner/repo)**` is one link, to the repository."""
    hits = find_hits(text)
    for (start, end, owner), (repo_start, _, repo) in zip(hits, hits[1:], strict=False):
        gap = text[end:repo_start]
        if re.fullmatch(r"\s*/[\s*]*", gap) and repo.url.lower().startswith(owner.url.rstrip("/").lower() + "/"):
            return text[:start] + text[repo_start:]
    return text


def _between(text: str, hits: list[tuple[int, int, Hit]]) -> str:
    """What stands between the first link and the last, with the names of the links in it that say something."""
    found = ""
    for (_, end, _), (start, stop, hit) in zip(hits, hits[1:], strict=False):
        gap = text[end:start] if end <= start else ""
        shown = text[start:stop] if end <= start and hit.text and not GENERIC.fullmatch(hit.text.strip("[]")) else ""
        found += gap + shown
    return found if _clean(found) else ""


def _title_around_link(ref: Reference, before: str, hit: Hit, after: str) -> None:
    """A named link: its name is the title, or the sentence around it where the link is only part of what is said."""
    name = hit.text.strip("[]") if hit.role or GENERIC.fullmatch(hit.text.strip("[]")) else hit.text
    lead = _clean(re.sub(r"[*_]{2,3}[A-Z]+:[*_]{2,3}", "", before))
    ref.label = ref.label or _clean((re.match(r"\s*[*_]{2,3}([A-Z]{3,}):?[*_]{2,3}", before) or ["", ""])[1])
    generic = GENERIC.fullmatch(name) is not None
    led = before.rstrip().endswith((":", " -", " –", " —", "(", "[", "|"))
    if lead and generic and (led or not (re.search(r"[.?!]\s|[.?!]$", lead) or _clean(after.strip("()[] ")))):
        ref.title, ref.remark = lead.rstrip(" ([|"), after.lstrip(" )]")
        return
    if not lead and generic and _clean(after.strip("()[] ")):
        ref.title = after
        _split_sentence(ref)
        return
    if not lead or before.rstrip().endswith(":"):
        short = lead and len(lead.split()) <= 3 and lead.lower() not in _POINTERS
        ref.title, ref.remark = (f"{lead}: {name}", after) if short else (name, f"{lead} {after}".strip())
        return
    if re.search(r"\bet al\.?,?\s*$", before) or (before.rstrip().endswith((",", ".")) and authors_of(lead)):
        ref.authors, ref.cited = authors_of(lead), True
        ref.title, ref.remark = name, after if ref.authors else f"{lead}. {after}".strip()
        return
    if lead.lower() in _POINTERS and not generic:
        ref.title, ref.remark = name, f"{lead} {after}".strip()
        return
    ref.title = f"{before.strip()} {name}{after}"
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
    ref.remark = re.sub(r"^\*{0,3}[\s:;,.|–—-]+(?=\S)", "", " ".join(ref.remark.replace("****", "").split()))
    if re.fullmatch(r"[\s*_/|()\[\].,;:–—-]*", ref.remark):
        ref.remark = ""
    _split_bold(ref)
    title = _clean(ref.title)
    if m := re.search(rf"\s*[(\[]({_YEAR})[)\]]$", title):
        ref.year, title, ref.cited = ref.year or int(m[1]), title[: m.start()], True
    else:
        title, venue, year = place_at_end(title)
        ref.venue, ref.year = ref.venue or venue, ref.year or year
    ref.title = _credits(title, ref)
    if m := re.match(rf"[(\[]({_YEAR})[)\]](?:\.|$|\s*(?=\())", ref.remark):
        ref.year, ref.remark = ref.year or int(m[1]), ref.remark[m.end() :].strip()
    if m := re.fullmatch(rf"[(\[]?({VENUE})(?:\s+|\s*['’])({_YEAR})[)\]]?\.?", ref.remark):
        ref.venue, ref.year, ref.remark = ref.venue or m[1], ref.year or int(m[2]), ""
    if (m := re.fullmatch(r"(?:[Bb]y )?(.+?)\.?", ref.remark)) and ref.remark[:3].lower() == "by " and authors_of(m[1]):
        ref.authors, ref.remark = authors_of(m[1]), ""
    if m := re.match(r"\(([A-Z][\w.'’-]+(?: [A-Z][\w.'’-]+){1,3})\)(.*)$", ref.remark):
        ref.authors, ref.remark = [m[1]], m[2].strip(" .")
    return ref


def _split_bold(ref: Reference) -> None:
    """`**Title** — what is said of it`: the bold words alone are the title."""
    m = re.match(r"(\*\*|__)(?!\s)([^*_]+?)(?<![\s:])\1\s*[-–—:,]\s+(.*\w.*)$", ref.title.strip())
    if m and len(m[2]) > 2 and not m[3].startswith("http"):
        said = m[3].strip(_EDGES)
        ref.title, ref.remark = m[2], f"{said}. {ref.remark}" if ref.remark else said


def _credits(title: str, ref: Reference) -> str:
    """Take `, Publisher`, ` by Author` and ` - Author` off a title where the link's host shows what they are."""
    m = re.search(r"(?:,?\s+[-–—])?,?\s+by ([A-Z].*)$", title)
    if m and (names := authors_of(m[1])):
        ref.authors, ref.cited = names, True
        return title[: m.start()]
    plain = ref.urls and not re.search(r"[\[\]]", ref.urls[0])  # a bracket that opens no IPv6 address is an error
    host = urlsplit(ref.urls[0]).netloc.lower().replace("-", "") if plain else ""
    if (m := re.search(r",\s+([A-Z][\w.]+(?: [A-Z][\w.]+)?)$", title)) and m[1].lower().replace(" ", "") in host:
        ref.venue = m[1]
        return title[: m.start()]
    m = re.search(rf"\s+[-–—]\s+({NAME.pattern})$", title)
    if m and all(word.lower() in host for word in m[1].split()):
        ref.authors = [m[1]]
        return title[: m.start()]
    return title


def _clean(text: str) -> str:
    """A title without Markdown marks and the punctuation that led to its link."""
    text = re.sub(MARKDOWN, r"\1", text)
    text = re.sub(r"(\*{1,3}|__)(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    text = re.sub(r"</?[a-z]+>|(?<!\w)\*+|\*+(?!\w)", "", text)
    text = " ".join(_STYLED.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text).split())
    text = re.sub(r"\s*\(\s*\)?$", "", text)  # the bracket that its link stood in
    return text.rstrip(_EDGES.replace("*", "")).lstrip(_EDGES) if not re.search(r"[.]{3}$", text) else text
