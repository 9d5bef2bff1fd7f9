"""Which lines of a list name a work, and which only say something: by their link, their form and their heading."""

from __future__ import annotations

import re

from kb.formats import reference as refs
from kb.formats.hits import is_bare_url
from kb.formats.outline import Entry

TODO = re.compile(r"(?:TODO|TBD|FIXME)\b|[.…]*$", re.I)
PART = re.compile(r"(?:lectures?|lecs?|chapters?|ch|parts?|weeks?|units?|modules?|sections?|sessions?|days?|lessons?)"
                  r"\b[ .]*(?:\d+|[ivx]+\b|one|two|three|four|five|six|seven|eight|nine|ten)", re.I)  # fmt: skip
_IMAGE = r"!\[[^\[\]]*\]\([^()\s]*\)"
_BADGE = re.compile(rf"\[\s*{_IMAGE}\s*\]\([^()\s]*\)|{_IMAGE}")
LINKED_BADGE = re.compile(r"\s*\[!\[([^\[\]]*)\]\([^()\s]*\)\]\((\S+?)\)")
_DOING = {
    "implement", "try", "check", "ask", "write", "fix", "find", "compare", "understand", "remember", "finish", "look",
    "reread", "install", "run", "reproduce", "buy", "download", "think", "explain", "note", "see", "go", "make", "add",
}  # fmt: skip


def is_item(entry: Entry, names: bool, nested: bool) -> bool:
    """Whether an entry names a work. `names` says that its heading makes bare names works."""
    head = entry.head
    if head.kind not in ("bullet", "text") or not head.text or TODO.match(head.text):
        return False
    if head.task:
        return not is_part(entry)
    text = _BADGE.sub("", head.text).strip()
    if head.linked and not text:
        return False  # pictures alone
    ref = refs.parse_reference(head.text)
    if head.linked and (ref.urls or (ref.wanted and _names_a_topic(ref))):
        beside = len(re.sub(r"\[[^\]]*\]\([^)]*\)|<?https?://\S+", "", head.text).split())
        at_front = head.text.startswith(("[", "http", "<http", "**["))
        return (head.kind == "bullet" and not nested) or beside <= 20 or at_front
    linked = [line for line in entry.lines[1:2] if line.linked]
    if linked or any(is_bare_url(child.head.text) for child in entry.children[:1]):
        return len(ref.title.split()) <= 20
    if head.kind != "bullet" or ref.wanted or groups(entry):
        return False
    return (ref.cited and not nested and bool(ref.authors or ref.venue)) or (names and is_name(ref, head.text))


def is_part(entry: Entry) -> bool:
    """A box for one chapter or lecture, without a link: progress of what it belongs to, no work of its own."""
    return (
        PART.match(entry.head.text) is not None
        and not any(line.linked for line in entry.walk())
        and (not entry.children)
    )


def groups(entry: Entry) -> bool:
    """Whether an entry only stands over works: no link of its own, and two or more below it that have a name."""
    named = [c for c in entry.children if c.head.linked and not is_bare_url(c.head.text) and is_item(c, False, True)]
    return not entry.head.linked and len(named) >= 2


def _names_a_topic(ref: refs.Reference) -> bool:
    return not ref.remark and 0 < len(ref.title.split()) <= 8


def is_name(ref: refs.Reference, text: str) -> bool:
    """A bare name, no task and no sentence: `Paligemma 2`, `Torchtitan paper`, a title in its own words."""
    words = text.split()
    if ref.cited:
        return True
    if not text[0].isalnum() and text[0] not in "\"“'*_([" or text.endswith((".", "?", "!", ":")):
        return False
    letters = text.lstrip("\"“'*_([")
    doing = words[0].lower() in _DOING and len(words) > 2 and any(w.islower() and len(w) > 3 for w in words[1:])
    starts = bool(letters) and (not letters[0].islower() or len(words) == 1)
    return starts and not doing and len(words) <= (14 if ":" in text or _is_title_case(words) else 6)


def _is_title_case(words: list[str]) -> bool:
    long = [w for w in words if len(w) > 3 and w[0].isalpha()]
    return bool(long) and sum(w[0].isupper() for w in long) >= 0.7 * len(long)
