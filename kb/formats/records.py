"""Records: what bibliographies and reference managers keep of a work, in one form whatever the format.

Every reader of this kind offers `read(data, name) -> (records, problems)`. It takes any bytes and raises nothing: what
cannot be read is a record that says why, with the lines it stands on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kb.formats.days import day_of, published_of
from kb.ids import PAPER_KEYS, Source, fold, identify, is_social
from kb.note import KINDS, SCHEMA, STATUSES
from kb.problem import Problem
from kb.sources import Metadata, guess_kind

Reader = Callable[[bytes, str], "tuple[list[Record], list[Problem]]"]

_KINDS = {
    "book": "book", "mvbook": "book", "collection": "book", "proceedings": "book", "manual": "book",
    "software": "code", "dataset": "dataset", "video": "talk", "movie": "talk", "audio": "talk",
}  # fmt: skip
_BY_LINK = {"misc", "online", "electronic", "www"}  # the kind is that of what they point to
_TOLD = {"title", "subtitle", "year", "date", "month", "abstract", "arxiv", "pdf"}
_STATES = {  # the words of reference managers and their plugins
    "new": "inbox", "inbox": "inbox", "unread": "to-read", "not started": "to-read", "to read": "to-read",
    "toread": "to-read", "want to read": "to-read", "todo": "to-read", "to do": "to-read", "later": "to-read",
    "queue": "to-read", "queued": "to-read", "backlog": "to-read", "planned": "to-read", "no": "to-read",
    "currently reading": "reading", "reading": "reading", "in progress": "reading", "doing": "reading",
    "started": "reading", "skimmed": "reading", "skimming": "reading", "now": "reading",
    "read": "read", "done": "read", "finished": "read", "complete": "read", "completed": "read", "yes": "read",
    "not reading": "dropped", "dropped": "dropped", "abandoned": "dropped", "cancelled": "dropped",
    "wont read": "dropped",
    "archived": "dropped", "did not finish": "dropped",
}  # fmt: skip
LONGEST = 4_000_000  # characters of one line
_STATE_TAGS = ("unread", "to read", "toread", "reading", "in progress", "read", "done", "not reading", "new")


@dataclass
class Record:
    """One record: its first and last line, its front matter, what its person wrote about it as Markdown, and the key by
    which its file knows it. `fault` says why it could not be read, where it could not."""

    line: int
    meta: Metadata = field(default_factory=dict)
    end: int = 0
    key: str = ""
    body: str = ""
    fault: str = ""

    @property
    def lines(self) -> range:
        return range(self.line, max(self.line, self.end) + 1)


def unread(name: str, line: int, format: str, fault: str, hint: str, end: int = 0) -> tuple[Record, Problem]:
    """A record that cannot be read, and the problem that tells so."""
    return Record(line, end=end, fault=f"{fault} ({hint})"), Problem(name, line, format, fault, hint)


def text_of(data: bytes, name: str, format: str, declared: str = "") -> tuple[str, list[Problem]]:
    """A file's text with \\n at the end of its lines, by its byte order mark, else as UTF-8, else in the encoding that
    the file declares, else as the Windows-1252 of older programs, which is told."""
    problems = []
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
        (b"", _wide(data)),
    ):
        if data.startswith(mark) and encoding:
            text = data[len(mark) :].decode(encoding, "replace")
            break
    else:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            text = _declared(data, declared)
            if not text:
                line = data.count(b"\n", 0, error.start) + 1
                message = f"byte 0x{data[error.start]:02x} is no UTF-8; the file was read as Windows-1252"
                problems.append(Problem(name, line, format, message, "look whether accents are right", "warning"))
                text = data.decode("cp1252", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n"), problems


def _wide(data: bytes) -> str:
    """UTF-16 without a byte order mark, by the zeros in what begins in ASCII; '' for all else."""
    head = data[:100]
    if len(head) < 8 or len(data) % 2:
        return ""
    zeros = head[::2].count(0), head[1::2].count(0)
    return {(True, False): "utf-16-be", (False, True): "utf-16-le"}.get(
        (zeros[0] > 0.4 * len(head) and not zeros[1], zeros[1] > 0.4 * len(head) and not zeros[0]), ""
    )


def _declared(data: bytes, encoding: str) -> str:
    """The text in the encoding that a file says it has; '' where nobody knows that one, or it is another."""
    try:
        return data.decode(encoding) if encoding else ""
    except (LookupError, ValueError):
        return ""


def endless(text: str, name: str, format: str) -> tuple[Record, Problem] | None:
    """A file of lines, none of which can be as long as one that it has: what reads it would take minutes over it."""
    if len(text) <= LONGEST:
        return None
    long = next((no for no, line in enumerate(text.split("\n"), 1) if len(line) > LONGEST), 0)
    hint = "look whether the file is damaged"
    fault = f"line {long} is longer than {LONGEST} characters; nothing of the file was read"
    return unread(name, 1, format, fault, hint, text.count("\n") + 1) if long else None


# What the values mean


def line_of(value: object) -> str:
    """Any value as text on one line."""
    return " ".join(str(value).split()) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def status_of(word: str) -> str:
    """The status that a word for one means; '' for any other word."""
    plain = " ".join(re.findall(r"[^\W_]+", fold(word).replace("'", "")))
    return word.lower() if word.lower() in STATUSES else _STATES.get(plain, "")


def tag_of(word: str) -> str:
    """A keyword or the path of a collection as a tag: 'Machine Learning/Video' -> machine-learning/video."""
    words = ("-".join(re.findall(r"[^\s,;#\[\]{}\"']+", fold(part))) for part in word.split("/"))
    parts = (re.sub("-+", "-", part).strip("-") for part in words)
    return "/".join(part for part in parts if part)


def tags_and_status(words: Iterable[str]) -> tuple[list[str], str]:
    """Keywords as tags; one that is a status is one: `/unread`, `to-read`, `Not Reading`."""
    tags: list[str] = []
    status = ""
    for word in words:
        bare = " ".join(re.findall(r"[^\W_]+", word.lower()))
        if bare in _STATE_TAGS and word.strip()[:1] in ("/", "_", "#", *"nturidTNURID"):
            status = status or status_of(bare)
        elif (tag := tag_of(word)) and tag not in tags:
            tags.append(tag)
    return tags, status


def name_of(name: str) -> Any:
    """One author, 'Family, Given' or 'Given Family': a string where that says it all, else its parts."""
    parts = [line_of(part) for part in name.split(",")]
    family, given, suffix = parts[0], parts[-1] if len(parts) > 1 else "", parts[1] if len(parts) == 3 else ""
    if len(parts) > 3:
        return line_of(name)
    return person(family, given, suffix) if given or suffix else line_of(name)


def person(family: str, given: str = "", suffix: str = "", literal: str = "") -> Any:
    """'Given Family' where that says it all; a mapping for particles, suffixes and names of organizations."""
    if literal:
        return {"literal": literal} if " " in literal else literal
    if suffix or (given and " " in family):
        return {k: v for k, v in (("family", family), ("given", given), ("suffix", suffix)) if v}
    return f"{given} {family}".strip()


def links_of(references: Mapping[str, str]) -> tuple[dict[str, str], list[str], set[str]]:
    """References by the names of their fields -> the ids under their keys, further links, the fields that are told."""
    found: dict[str, str] = {}
    more: list[str] = []
    used: set[str] = set()
    for name, reference in references.items():
        source = identify(reference) if reference else None
        if source is None or (name == "doi" and source.key not in PAPER_KEYS):
            continue
        used.add(name)
        if name == "pdf" and source.key not in PAPER_KEYS:
            found.setdefault("pdf", source.value)
        elif source.key == "url" and not re.match(r"https?://[^\s/]", source.value):
            used.discard(name)
        elif source.key not in found:
            found[source.key] = source.value
        elif Source(source.key, found[source.key]).token != source.token:
            more.append(source.url)
    if "url" in found and is_social(found["url"]) and len(found) > 1:
        more.append(found.pop("url"))
    if "url" in found and "doi" in found and re.search(r"//(dx\.)?doi\.org/", found["url"]):
        del found["url"]
    return found, list(dict.fromkeys(more)), used


def front_matter(
    entry: str,
    text: Mapping[str, str],
    authors: Iterable[Any],
    ids: Mapping[str, str],
    venue: str = "",
    told: Iterable[str] = (),
    **own: Any,
) -> Metadata:
    """The front matter of a record. `text` holds plain text under BibTeX's names of fields, `entry` is BibTeX's type,
    `told` names fields that other keys say already, `own` are further keys as they are."""
    title = ": ".join(filter(None, (text.get("title"), text.get("subtitle")))) or text.get("booktitle", "")
    year, published = published_of(text.get("date") or text.get("year", ""), text.get("month", ""))
    meta: Metadata = {
        "title": line_of(title),
        "kind": own.pop("kind", "") or (_kind_by_link(ids) if entry in _BY_LINK else _KINDS.get(entry, "paper")),
        "authors": list(authors),
        "year": year,
        "venue": venue,
        **ids,
        "published": published if published != str(year) else None,
        "abstract": line_of(text.get("abstract", "")),
        **own,
    }
    if meta["kind"] not in KINDS:
        meta["kind"] = "paper"
    more = {name: line_of(value) for name, value in text.items() if name not in _TOLD | set(told) and line_of(value)}
    if text.get("date") and not year:
        more["date"] = line_of(text["date"])
    return checked(meta | {"bibtex": {"entry": entry, **dict(sorted(more.items()))}})


def _kind_by_link(ids: Mapping[str, str]) -> str:
    """The kind of what a @misc or @online points to."""
    key = next((k for k in (*PAPER_KEYS, "code", "video", "url") if ids.get(k)), "")
    return guess_kind(Source(key, ids[key])) if key else "paper"


def checked(meta: Metadata) -> Metadata:
    """Only what a note may hold: a value of another shape goes to `bibtex`, where no word is lost."""
    found: Metadata = {}
    odd: dict[str, str] = {}
    for key, value in meta.items():
        if value in (None, "", [], {}):
            continue
        try:
            found[key] = SCHEMA[key](value)
        except ValueError:
            odd[key] = " ".join(str(value).split())
    if odd:
        found["bibtex"] = {**found.get("bibtex", {}), **odd}
    return {key: value for key, value in found.items() if value not in ("", [], {})}


def added_day(*values: object) -> str:
    """The day on which a record was added, from the first value that tells one."""
    return next((day for value in values if (day := day_of(line_of(value)))), "")
