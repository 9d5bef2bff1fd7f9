"""Org-mode -> the Markdown of a reading list, line for line: a heading with a keyword or a link is a work, any other a
topic; drawers and planning lines are what the list says of the work above."""

from __future__ import annotations

import re

from kb.formats.days import day_of

STRUCTURE = "[TOC]"  # a line of Markdown that shapes nothing
_BOXES = {
    "TODO": " ", "NEXT": " ", "WAITING": " ", "WAIT": " ", "LATER": " ", "HOLD": " ", "TOREAD": " ", "SOMEDAY": " ",
    "DOING": "/", "NOW": "/", "STARTED": "/", "READING": "/", "INPROGRESS": "/", "STRT": "/",
    "DONE": "x", "READ": "x", "FINISHED": "x", "CANCELLED": "-", "CANCELED": "-", "DROPPED": "-", "KILL": "-",
}  # fmt: skip
_HEADING = re.compile(
    rf"(\*+)[ \t]+(?:({'|'.join(_BOXES)}|IN-PROGRESS)[ \t]+)?(?:\[#([A-Z0-9])\][ \t]+)?(.*?)"
    r"(?:[ \t]+:([\w@#%:]+):)?[ \t]*$"
)
_LINK = re.compile(r"\[\[([^\[\]]+)\](?:\[([^\[\]]+)\])?\]")
_PLANNING = re.compile(r"\s*(?:(?:CLOSED|SCHEDULED|DEADLINE):\s*[\[<][^\]>]*[\]>]\s*)+$")
_PRIORITIES = {"A": "P1", "B": "P2", "C": "P3"}
_KEYS = {
    "url": "URL", "link": "URL", "doi": "DOI", "arxiv": "arXiv", "eprint": "arXiv", "pdf": "PDF", "author": "Authors",
    "authors": "Authors", "year": "Year", "venue": "Venue", "journal": "Venue", "booktitle": "Venue", "added": "Added",
    "created": "Added", "date_added": "Added", "started": "Started", "finished": "Finished", "status": "Status",
    "rating": "Rating", "tags": "Tags", "keywords": "Tags", "code": "Code", "video": "Video", "slides": "Slides",
}  # fmt: skip
_OURS = {"id", "custom_id", "visibility", "category", "created_at", "last_modified", "noter_page", "roam_refs_id"}


def to_markdown(text: str) -> str:
    """An org file as a reading list of as many lines."""
    return "\n".join(_Writer(text.split("\n")).lines())


class _Writer:
    """`works` are the levels of the headings that are works and stand open, `tags` those of each level above."""

    def __init__(self, source: list[str]) -> None:
        self.source = source
        self.works: list[int] = []
        self.tags: dict[int, list[str]] = {}
        self.level = 0
        self.drawer = self.code = False

    def lines(self) -> list[str]:
        return [self._line(n, line) for n, line in enumerate(self.source)]

    @property
    def indent(self) -> str:
        return "  " * len(self.works)

    def _line(self, n: int, line: str) -> str:
        if self.code:
            self.code = not re.match(r"\s*#\+end_(src|example)", line, re.I)
            return self.indent + (line.removeprefix(self.indent) if self.code else "```")
        if m := _HEADING.match(line):
            return self._heading(n, m)
        if m := re.match(r"\s*#\+(\w+):?\s*(.*)", line):
            return self._keyword(m[1].lower(), m[2].strip())
        if re.match(r"\s*:(?:PROPERTIES|LOGBOOK|END):\s*$", line, re.I):
            self.drawer = not re.match(r"\s*:END:", line, re.I)
            return STRUCTURE
        if self.drawer and (m := re.match(r"\s*:([\w+-]+):\s*(.*?)\s*$", line)):
            return self._property(m[1].lower().rstrip("+"), m[2])
        if _PLANNING.match(line):
            return self._planning(line)
        if line.startswith("# "):
            return f"{self.indent}<!-- {line[2:].replace('--', '- -')} -->"
        if not line.strip():
            return ""
        own = len(line) - len(line.lstrip())
        line = line[min(own, self.level + 1) :]  # how far org's text stands behind its stars
        return self.indent + _inline(re.sub(r"^(\s*)\+ ", r"\1- ", line))

    def _heading(self, n: int, m: re.Match[str]) -> str:
        level, title = len(m[1]), _inline(m[4].strip())
        self.drawer, self.level = False, level
        self.works = [work for work in self.works if work < level]
        self.tags = {above: tags for above, tags in self.tags.items() if above < level}
        tags = [tag for tag in (m[5] or "").split(":") if tag]
        if not m[2] and not self._names_a_work(n, m[4]):
            if self.works:
                return f"{self.indent}**{title}**"  # a part of what is said of the work
            self.tags[level] = tags
            return f"{'#' * min(level + 1, 6)} {title or '…'}"
        box = f"[{_BOXES.get(m[2], '/')}] " if m[2] else ""
        priority = f"{_PRIORITIES.get(m[3], f'({m[3]})')} " if m[3] else ""
        inherited = [tag for above in self.tags.values() for tag in above]
        words = "".join(f" #{re.sub(r'[^0-9A-Za-z_/-]', '-', tag)}" for tag in dict.fromkeys([*inherited, *tags]))
        line = f"{self.indent}- {box}{priority}{title}{words}{self._closed(n)}"
        self.works.append(level)
        return line

    def _names_a_work(self, n: int, title: str) -> bool:
        """A heading with a link of its own, or with one in its drawer."""
        if re.search(r"\[\[https?:|https?://", title):
            return True
        for line in self.source[n + 1 : n + 12]:
            if line.startswith("*") or re.match(r"\s*:END:", line, re.I):
                return False
            if re.match(r"\s*:(?:URL|DOI|ARXIV|EPRINT|AUTHORS?|YEAR):\s*\S", line, re.I):
                return True
        return False

    def _closed(self, n: int) -> str:
        """The day on which a work was done, which stands on the line below its heading."""
        below = self.source[n + 1] if n + 1 < len(self.source) else ""
        m = re.search(r"CLOSED:\s*[\[<](\d{4}-\d\d-\d\d)", below) if _PLANNING.match(below) else None
        done = re.match(r"\*+[ \t]+(DONE|READ|FINISHED)\b", self.source[n])
        return f" (finished {m[1]})" if m and done else ""

    def _planning(self, line: str) -> str:
        left = re.findall(r"(SCHEDULED|DEADLINE|CLOSED):\s*[\[<]([^\]>]*)[\]>]", line)
        told = [f"{word.capitalize()}: {when}" for word, when in left if word != "CLOSED"]
        return f"{self.indent}- {'; '.join(told)}" if told else STRUCTURE

    def _keyword(self, key: str, value: str) -> str:
        if key == "title" and value:
            return f"# {value}"
        if key == "filetags":
            self.tags[0] = [tag for tag in re.split(r"[:\s]+", value) if tag]
            return STRUCTURE
        if key in ("begin_src", "begin_example"):
            self.code = True
            return f"{self.indent}```{value.partition(' ')[0]}"
        if key in ("begin_quote", "end_quote") or key.startswith(("begin", "end")) or not value:
            return STRUCTURE
        if key in ("startup", "options", "todo", "seq_todo", "property", "latex", "html", "language", "export", "roam"):
            return STRUCTURE
        return f"{self.indent}{key.capitalize()}: {_inline(value)}"

    def _property(self, key: str, value: str) -> str:
        if not value or key in _OURS:
            return STRUCTURE
        name = _KEYS.get(key, key.replace("_", " ").capitalize())
        value = day_of(value) or value if name in ("Added", "Started", "Finished") else _inline(value)
        if name == "Authors":
            value = re.sub(r"\s+and\s+", ", ", value) if value.count(",") == 0 else value
        return f"{self.indent}- **{name}:** {value}"


def _inline(text: str) -> str:
    """Links and marks of org as Markdown's."""
    text = _LINK.sub(_link, text)
    text = re.sub(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])", r"**\1**", text)
    return re.sub(r"(?<![\w=~])[=~](?=\S)([^=~\n]+?)(?<=\S)[=~](?![\w=~])", r"`\1`", text)


def _link(m: re.Match[str]) -> str:
    target, words = m[1], m[2]
    if re.match(r"(?i)arxiv:|doi:", target):
        kind, _, id = target.partition(":")
        target = f"https://arxiv.org/abs/{id}" if kind.lower() == "arxiv" else f"https://doi.org/{id}"
    if re.match(r"https?://", target):
        return f"[{words}]({target})" if words else f"<{target}>"
    name = re.sub(r"^(file|id|denote):|\.org(::.*)?$", "", target).removeprefix("./")
    return f"[[{name}|{words}]]" if words and words != name else f"[[{name}]]"
