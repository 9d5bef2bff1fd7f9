"""The marks that people put around an item: dates, tags, ratings, priorities, `~~dropped~~`, `(done)`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date

_DATE_WORDS = {
    "read": "finished", "finished": "finished", "done": "finished", "completed": "finished", "watched": "finished",
    "✅": "finished", "started": "started", "since": "started", "🛫": "started", "added": "added", "➕": "added",
    "published": "published",
}  # fmt: skip
_STATE_WORDS = {
    "read": "read", "done": "read", "finished": "read", "watched": "read", "completed": "read", "reading": "reading",
    "in progress": "reading", "currently reading": "reading", "wip": "reading", "dropped": "dropped",
    "abandoned": "dropped", "to read": "to-read", "unread": "to-read", "inbox": "inbox",
}  # fmt: skip
_BEFORE_LINK = r"(?=(?:\s+#[\w/-]+)*\s*(?:[-–—:|]\s*)?(?:<?https?://|\[|$))"
_TAG = re.compile(r"(?<!\S)#([^\W\d_][\w/-]*)" + _BEFORE_LINK)
_DAY = r"(\d{4}-\d\d-\d\d)"
_DATE = re.compile(
    rf"(?:^|\s)[-–—|,]?\s*(?:[(\[]\s*)?(?:({'|'.join(_DATE_WORDS)})(?:\s+on)?:?\s*)?{_DAY}\s*[)\]]?\.?$", re.I
)
_LEADING_DATE = re.compile(rf"[(\[]?{_DAY}[)\]]?(?:\s*[:–—|-])?\s+(?=\S)")
_STATE = re.compile(rf"\s+[-–—]?\s*[(\[]({'|'.join(_STATE_WORDS)})[)\]]$", re.I)
_SCORE = re.compile(r"(?:\s+[-–—|,]\s*|\s+|^)(?:[Rr]ating:?\s*)?\b([1-5])\s?/\s?5$|\s+[Rr]ating:\s*([1-5])$")
_STARS = re.compile(r"(?:\s+[-–—|,]\s*|\s+|^)[(\[]?((?:[★⭐🌟]\ufe0f?){2,5}☆{0,3}|[★⭐]\ufe0f?☆{2,4})[)\]]?$")
_SIGNS = r"[⭐🔥❗‼🔺⏫🔼]\ufe0f?"
_PRIORITY = re.compile(rf"(!{{1,3}}(?=\s)|\[P[0-4]\](?!\()|\(P[0-4]\)|P[0-4](?=:?\s)|{_SIGNS})\s*:?\s*(?=\S)")
_TRAILING_PRIORITY = re.compile(rf"\s+(!{{1,3}}|\(?P[0-4]\)?|{_SIGNS})$")


@dataclass
class Marks:
    """What the marks of one line say. `day` is a date that nothing says the meaning of; `others` are marks that have no
    place in a front matter, as they were written."""

    status: str = ""
    day: str = ""
    dates: dict[str, str] = field(default_factory=dict)
    rating: int | None = None
    tags: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def take_marks(text: str) -> tuple[str, Marks]:
    """A line without its marks, and what they say."""
    marks = Marks()
    text = _leading(text.strip(), marks)
    while text and text != (shorter := _trailing(text, marks)):
        text = shorter
    for m in _TAG.finditer(text):
        marks.tags.append(m[1])
    text = " ".join(_TAG.sub(" ", text).split()) if marks.tags and _TAG.search(text) else text
    text = re.sub(r"^~~(.+?)~~", r"\1", text) if re.match(r"~~[^~]+~~", text) and _strike(marks) else text
    marks.others.reverse()
    return text, marks


def _strike(marks: Marks) -> bool:
    marks.status = marks.status or "dropped"
    return True


def _leading(text: str, marks: Marks) -> str:
    while True:
        if m := _PRIORITY.match(text):
            marks.others.insert(0, m[1])
        elif (m := _LEADING_DATE.match(text)) and is_date(m[1]) and not marks.day:
            marks.day = m[1]
        else:
            return text
        text = text[m.end() :]


def _trailing(text: str, marks: Marks) -> str:
    """The text without the last mark at its end."""
    if (m := _TAG.search(text)) and not text[m.end() :].strip():
        marks.tags.insert(0, m[1])
    elif (m := _DATE.search(text)) and is_date(m[2]) and text[: m.start()].strip():
        key = _DATE_WORDS.get((m[1] or "").lower(), "")
        if key in marks.dates or (not key and marks.day):
            return text
        if key:
            marks.dates[key] = m[2]
        else:
            marks.day = m[2]
    elif m := _STATE.search(text):
        marks.status = marks.status or _STATE_WORDS[m[1].lower()]
    elif (m := _SCORE.search(text)) and not marks.rating:
        marks.rating = int(m[1] or m[2])
    elif (m := _STARS.search(text)) and not marks.rating:
        marks.rating = len(re.findall("[★⭐🌟]", m[1]))
    elif m := _TRAILING_PRIORITY.search(text):
        marks.others.append(m[1])
    else:
        return text
    return text[: m.start()].rstrip()


def is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
