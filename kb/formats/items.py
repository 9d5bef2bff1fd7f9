"""What a reading list turns into: items that become notes, and the words by which their kind and state are known."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from kb.formats import reference as refs
from kb.formats.lines import Line
from kb.ids import PAPER_KEYS, Source, identify, slug
from kb.sources import guess_kind

# Headings that say of what kind or in what state the items below are, and are no topic of their own.
KIND_WORDS = {
    "papers": "paper", "reading": "", "reading list": "", "talks": "talk", "videos": "talk", "lectures": "lecture",
    "lecture": "lecture", "courses": "course", "posts": "post", "blogs": "post", "blog posts": "post",
    "articles": "post",
    "code": "code", "repos": "code", "repositories": "code", "books": "book", "tools": "tool", "datasets": "dataset",
    "courses/talks": "", "talks/courses": "", "misc": "", "miscellaneous": "", "other": "", "others": "", "notes": "",
    "links": "", "main sources": "", "sources": "", "more": "", "show more": "",
    "click to expand": "", "details": "", "resources": "", "threads": "thread",
}  # fmt: skip
STATE_WORDS = {
    "to read": "to-read", "to go through": "to-read", "to watch": "to-read", "to do": "to-read", "todo": "to-read",
    "want to read": "to-read", "reading queue": "to-read", "queue": "to-read", "unread": "to-read", "later": "to-read",
    "backlog": "to-read", "next": "to-read", "read": "read", "done": "read",
    "finished": "read", "in progress": "reading", "reading now": "reading", "currently reading": "reading",
    "now reading": "reading", "completed": "read", "watched": "read", "dropped": "dropped", "abandoned": "dropped",
}  # fmt: skip
NAMED = {"papers", "reading list", "books", "courses", "talks", *(k for k in STATE_WORDS if k != "done")}
PAPER_SITES = PAPER_KEYS
ACRONYMS = {"ai", "ml", "llm", "nlp", "rl", "gpu", "asr", "cv", "dl", "gan", "vlm", "rag"}
COURSE = re.compile(r"\bCS ?\d{2,3}\w?\b|\b(course|courses|class|seminar|specialization|bootcamp)\b", re.I)
SCHOOL = re.compile(r"\b(CMU|MIT|Stanford|Berkeley|Harvard|NYU|ETH|Cornell|Princeton|Coursera|Udemy)\b")
PROGRESS = re.compile(r"^[-*+]?\s*((?:lectures?|lecs?|chapters?|parts?|weeks?|units?|modules?|up to)\b.*\b"
                       r"(?:done|finished|watched|read|completed))\b", re.I)  # fmt: skip
ABSTRACT = re.compile(r"\*{0,2}\(?\babstract\b\)?:?\*{0,2}", re.I)


@dataclass(frozen=True)
class Mention:
    """A place in a topic's text where an item stands."""

    item: Item
    indent: str = ""
    marker: str = "-"


@dataclass(eq=False)
class Item:
    """A note to be: front matter, text, and the lines it came from. `kind` is empty until it is known."""

    title: str
    kind: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    body: list[str | Mention] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    part_of: Item | None = None
    provisional: bool = False  # whether the title only repeats an id or a URL
    home: Item | None = None  # the topic that lists it
    said: bool = False  # whether the list itself says what the work is (`**Blog:** …`)
    key: str = ""  # what a file of records knows it by
    record: bool = False  # whether it is a record of a bibliography or a page, and no line of a list
    verbatim: bool = False  # whether its text stays as it is, line for line
    place: str = ""  # the path of the page that it is, in its folder
    front: str = ""  # lines of a page's front matter that are no keys of ours
    crlf: bool = False  # whether its lines end as on Windows

    @property
    def sources(self) -> list[Source]:
        keys = (*PAPER_KEYS, "url", "code", "video", "pdf")
        found = [(key, str(self.meta[key])) for key in keys if key in self.meta]
        return [(identify(v) if k not in PAPER_KEYS else None) or Source(k, v) for k, v in found]


@dataclass
class ReadingList:
    """A list, read: its items in order (the list itself first if `whole`), the lines that only shaped the filing, and
    those that cannot be filed, with the reason."""

    items: list[Item]
    structure: set[int]
    unresolved: dict[int, str] = field(default_factory=dict)
    whole: bool = True


def kind_of(item: Item, hint: str, in_course: bool) -> str:
    """What an item is, by its link, its title and the heading it stands under (`hint`), in that order."""
    sources = item.sources
    guessed = guess_kind(sources[0]) if sources else ""
    url = sources[0].value if sources else ""
    if re.search(r"github\.com/[^/]+/[^/]+/(blob|tree)/.*\.md$", url):
        return "post"  # a text that happens to be kept in a repository
    if guessed == "talk" and (in_course or re.search(r"\blectures?\b", item.title, re.I)):
        return "lecture"
    if guessed in ("", "post"):
        if "docs.google.com/presentation" in url:
            return "talk"
        if COURSE.search(item.title) and not hint:
            return "course"
        if hint == "lecture" and COURSE.search(f"{item.title} {url}"):
            return "course"
        announced = not sources and item.meta.get("seen")
        return hint or ("paper" if not sources or announced else "course" if COURSE.search(url) else "post")
    return guessed


def named_after(stem: str) -> str:
    """'llm-training' -> 'LLM training'."""
    words = [w.upper() if w.lower() in ACRONYMS else w for w in re.split(r"[-_\s]+", stem.strip())]
    text = " ".join(words).strip()
    return text[:1].upper() + text[1:]


def generic(title: str) -> bool:
    """Whether words name no work: `the video`, `here`, `watch the full video`."""
    return bool(title) and refs.GENERIC.fullmatch(title) is not None


def marker(line: Line) -> str:
    """What stands before an item where a topic lists it."""
    return line.marker if line.marker[:1].isdigit() else "-"


def tag_of(title: str) -> str:
    """The tag of a topic; a title in another script keeps its own letters."""
    tag = slug(title, 40)
    letters = "-".join(re.findall(r"[^\W_]+", title.casefold()))
    return tag if tag != "note" or letters.isascii() else letters


def linked_image(text: str) -> str:
    """An image on another host becomes a link to it: a page loads nothing from elsewhere."""
    return re.sub(r"!(\[[^\[\]]*\]\(https?://)", r"\1", text)


def merge_meta(meta: dict[str, Any], more: dict[str, Any]) -> None:
    """Add keys to a front matter; a second link of one sort is kept as a place where the work was seen."""
    for key, value in more.items():
        if key == "seen":
            meta["seen"] = list(dict.fromkeys([*meta.get("seen", []), *value]))
        elif key in meta and meta[key] != value:
            meta["seen"] = list(dict.fromkeys([*meta.get("seen", []), str(value)]))
        else:
            meta[key] = value
