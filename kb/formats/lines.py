"""The lines of a reading list: what each is (heading, bullet, text …) and its words without marker and markup."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kb.formats.hits import HAS_LINK, is_bare_url
from kb.formats.mojibake import repair

_HEADING = re.compile(r"(#{1,6})[ \t]+(.*?)[ \t]*#*$")
_BOX = r"\[([ xX✓✔✅/<>!?*~-]?)\ufe0f?\](?=[ \t]|$)[ \t]*"
_BULLET = re.compile(rf"([-*+•‣▪]|\d{{1,3}}[.)])(?:[ \t]+|$)(?:{_BOX})?(.*)")
_BARE_BOX = re.compile(rf"{_BOX}(\S.*)")
_TASKS = {"x": "x", "✓": "x", "✔": "x", "✅": "x", "/": "/", "-": "-"}  # any other box is an open one
_SIGN_BOX = re.compile(r"([✅☑✔☐⬜🔲])\ufe0f?[ \t]+(\S.*)")
_SIGN = re.compile(r"[\u2600-\u27bf\U0001f300-\U0001faff]\ufe0f?[ \t]+\S")
_RULE = re.compile(r"([-*_=])(?:[ \t]*\1){2,}[ \t]*$")
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|nbsp|#39);")
_BLANKS = re.compile(r"\s{20,}")
_TAGS = re.compile(r"(?:\s*</?[a-zA-Z][^<>]*>)+\s*")
_FENCE = re.compile(r"[ \t]*(`{3,}(?!.*`)|~{3,})")
_DELIMITERS = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)+\|?\s*")
_DEFINITION = re.compile(r" {0,3}\[([^\]^][^\]]*)\]:\s*<?(https?://[^\s<>]+)>?(?:\s+[\"'(](.*)[\"')])?\s*")
_FOOTNOTE = re.compile(r" {0,3}\[(\^[^\]\s]+)\]:\s*(.*)")
_USES = re.compile(r"(?<!\])\[((?:[^\[\]]|\[[^\[\]]*\])*)\](?:\[([^\[\]]*)\]|(?![\[(:]))")


@dataclass
class Line:
    """One line of the file. `text` is repaired and without its marker; `task` is ' ', 'x', '/' or '-' where it has a
    checkbox; `shown` is the line as it stands in a note; `needs` are the lines that define its links and footnotes."""

    no: int
    raw: str
    kind: str  # heading, bullet, quote, text, fence, table, structure, front, definition, footnote or blank
    indent: int
    text: str
    level: int = 0
    marker: str = ""
    task: str = ""
    shown: str = ""
    needs: list[int] = field(default_factory=list)

    @property
    def linked(self) -> bool:
        return HAS_LINK.search(self.text) is not None


def read_lines(text: str) -> list[Line]:
    """Every line with its kind; lines inside fences, comments and front matter are marked as a whole."""
    found: list[Line] = []
    inside = ""  # what ends the block we are in
    toc = False
    front = _front_matter_end(text)
    for no, raw in enumerate(text.split("\n"), 1):
        raw = raw.rstrip("\r")
        line = _classify(no, raw)
        if no <= front:
            line.kind = "front" if raw.strip() else "blank"
        elif inside:
            ends = inside in raw if inside == "-->" else raw.strip().startswith(inside) and not raw.strip(" \t`~-.")
            line.kind = "fence" if raw.strip() else "blank"
            inside = "" if ends else inside
        elif m := _FENCE.match(raw):
            line.kind, inside = "fence", m[1]
        elif raw.strip().startswith("<!--"):
            line.kind, inside = "fence", "" if "-->" in raw else "-->"
        toc = _in_contents(line, toc)
        found.append(line)
    _underlined(found)
    _contents(found)
    _tables(found)
    _define(found)
    return found


def _front_matter_end(text: str) -> int:
    """The number of the line that ends a YAML front matter; 0 without one."""
    from kb import frontmatter

    if not text.startswith("---"):
        return 0
    front = frontmatter.split(text)
    meta, _, faults = frontmatter.read(front) if front.closing else ({}, {}, [])
    return front.body_line - 1 if meta and not any(f.check == "yaml" for f in faults) else 0


def _in_contents(line: Line, toc: bool) -> bool:
    """A table of contents that a tool wrote between two comments shapes nothing and says nothing new."""
    if line.raw.lstrip().startswith("<!--") and re.search(r"\btoc\b", line.raw, re.I):
        line.kind = "structure"
        return not re.search(r"\b(end|stop)\b|<!--\s*/", line.raw, re.I)
    if toc and line.kind != "blank":
        line.kind = "structure"
    return toc


def squeezed(text: str) -> str:
    """Text whose long runs of blanks are short ones: what looks for a mark behind some blanks looks from each of them
    to the last, and a list may hold a hundred thousand."""
    return _BLANKS.sub("  ", text)


def _classify(no: int, raw: str) -> Line:
    expanded = raw.expandtabs(4)
    stripped = squeezed(expanded.strip())
    indent = len(expanded) - len(expanded.lstrip())
    shown = repair(raw).rstrip()
    if not stripped:
        return Line(no, raw, "blank", 0, "")
    if (m := _HEADING.match(stripped)) and indent < 4:
        return Line(no, raw, "heading", 0, _plain(m[2]), level=len(m[1]), shown=shown)
    if _RULE.match(stripped) or stripped.upper() in ("[TOC]", "[[_TOC_]]", "[[TOC]]") or _is_markup(stripped):
        return Line(no, raw, "structure", indent, stripped, shown=shown)
    if stripped.startswith(">"):
        return Line(no, raw, "quote", indent, repair(stripped), shown=shown)
    if stripped.startswith("|") and stripped.endswith("|") and len(stripped) > 2:
        return Line(no, raw, "table", indent, repair(stripped), shown=shown)
    if m := re.fullmatch(r"<summary>(.*?)</summary>", stripped):
        return Line(no, raw, "text", indent, f"**{_plain(m[1])}**", shown=f"**{_plain(m[1])}**")
    return _bullet(no, raw, indent, stripped, shown) or Line(no, raw, "text", indent, _plain(stripped), shown=shown)


def _bullet(no: int, raw: str, indent: int, stripped: str, shown: str) -> Line | None:
    """A line with a bullet, a number, a checkbox or a sign for one; None for any other."""
    own = repair(stripped)
    if (m := _BULLET.match(own)) and not label_text(own):
        task = "" if m[2] is None else _TASKS.get(m[2].lower(), " ")
        line = Line(no, raw, "bullet", indent, _plain(m[3]), marker=m[1], task=task, shown=shown)
        return line if m[1][0] not in "•‣▪" else _as_bullet(line, own[1:].strip())
    if m := _BARE_BOX.match(own):
        task = _TASKS.get(m[1].lower(), " ")
        return _as_bullet(Line(no, raw, "bullet", indent, _plain(m[2]), marker="-", task=task), own)
    if m := _SIGN_BOX.match(own):
        task = " " if m[1] in "☐⬜🔲" else "x"
        return _as_bullet(Line(no, raw, "bullet", indent, _plain(m[2]), marker="-", task=task), own)
    if m := re.fullmatch(r"<li>\s*(.+?)\s*(?:</li>)?", own):
        return _as_bullet(Line(no, raw, "bullet", indent, _plain(m[1]), marker="-"), m[1])
    if _SIGN.match(own) and HAS_LINK.search(own):
        return _as_bullet(Line(no, raw, "bullet", indent, _plain(own), marker="-"), own)
    return None


def _as_bullet(line: Line, words: str) -> Line:
    """A bullet that Markdown does not know is one in the note."""
    line.shown = f"{' ' * line.indent}- {words}"
    return line


def _is_markup(text: str) -> bool:
    """Whether a line is HTML tags alone, without words and links."""
    return _TAGS.fullmatch(text) is not None and not re.search(r"\b(?:href|src|alt|title)\s*=|<https?:", text, re.I)


def _plain(text: str) -> str:
    """Words without the HTML that people write in Markdown; links and images as Markdown has them."""
    text = repair(text.strip())
    if "<" not in text and "&" not in text:
        return text
    text = re.sub(r"<a\s[^<>]*?href=[\"']([^\"'<>]*)[\"'][^<>]*>(.*?)</a>", r"[\2](\1)", text, flags=re.I)
    text = re.sub(r"<a\s[^<>]*>\s*(?:</a>)?|</a>", "", text, flags=re.I)
    text = re.sub(r"<img\s[^<>]*?src=[\"']([^\"'<>]*)[\"'][^<>]*>", r"![image](\1)", text, flags=re.I)
    text = re.sub(r"\s*<br\s*/?>\s*", " ", text, flags=re.I)
    return re.sub(r"\S+", _unescaped, text).strip() if "&" in text else text.strip()


def _unescaped(m: re.Match[str]) -> str:
    """A word with its entities as letters, but for those of a query: ?a=1&amp;b=2."""
    head, equals, tail = m[0].rpartition("=")
    return head + equals + _ENTITY.sub(lambda e: html.unescape(e[0]).replace("\xa0", " "), tail)


_LABEL = re.compile(r"(\*{2,3}|__)(?!\s)([^*_]+?)\s*:?\s*\1\s*:?$")


def label_text(text: str) -> str:
    """'Papers' of `**Papers:**`; '' where bold words do not stand alone."""
    m = _LABEL.match(text)
    return m[2].strip() if m else ""


def label_of(line: Line) -> str:
    """The words of a line of text that is a label: bold words alone."""
    return label_text(line.text) if line.kind == "text" else ""


def _underlined(lines: list[Line]) -> None:
    """A line of text with === or --- right below is a heading."""
    for before, line, under in zip([None, *lines], lines, lines[1:], strict=False):
        alone = before is None or before.kind in ("blank", "heading", "structure", "front")
        m = re.fullmatch(r" {0,3}(=+|-{3,})[ \t]*", under.raw)
        if m and line.kind == "text" and alone and line.indent < 4 and under.kind in ("structure", "text"):
            line.kind, line.level = "heading", 1 if m[1][0] == "=" else 2
            under.kind = "structure"


def _contents(lines: list[Line]) -> None:
    """A list of links to headings of the file itself is its table of contents, and a heading above says so."""
    own = [
        n
        for n, line in enumerate(lines)
        if line.kind == "bullet" and re.fullmatch(r"\[[^\[\]]+\]\(#[^()\s]*\)", line.text)
    ]
    if len(own) < 2:
        return
    for n in own:
        lines[n].kind = "structure"
    above = next((line for line in reversed(lines[: own[0]]) if line.kind != "blank"), None)
    words = re.sub(r"[\W_]+", " ", above.text).strip().lower() if above else ""
    if (
        above
        and above.kind == "heading"
        and words in ("contents", "table of contents", "toc", "index", "content", "menu")
    ):
        above.kind = "structure"


def _tables(lines: list[Line]) -> None:
    """A table may do without the bars at the ends of its lines: the line of dashes tells."""
    for n, line in enumerate(lines):
        if (
            n == 0
            or "-" not in line.raw
            or not _DELIMITERS.fullmatch(squeezed(line.raw))
            or "|" not in lines[n - 1].raw
        ):
            continue
        for other in lines[n - 1 :]:
            if "|" not in other.raw or other.kind not in ("text", "table", "structure", "bullet"):
                break
            other.kind = "table"


def _define(lines: list[Line]) -> None:
    """Put the targets of `[text][1]` and of footnotes that are a link where they are used."""
    links: dict[str, tuple[Line, str, str]] = {}
    notes: dict[str, Line] = {}
    for line in lines:
        if line.kind == "text" and (m := _DEFINITION.fullmatch(line.raw)):
            links.setdefault(_label_key(m[1]), (line, m[2], m[3] or ""))
        elif line.kind == "text" and (m := _FOOTNOTE.fullmatch(line.raw)):
            notes.setdefault(m[1].casefold(), line)
            line.text = repair(m[2].strip())
    if not links and not notes:
        return
    defining = {id(line) for line, _, _ in links.values()} | {id(line) for line in notes.values()}
    for line in lines:
        if line.kind in ("blank", "structure", "front", "fence") or id(line) in defining:
            continue
        line.text = _resolved(line.text, line, links, notes)
        line.shown = _resolved(line.shown, line, links, notes)
    used = {no for line in lines for no in line.needs}
    for label, (line, url, title) in links.items():
        line.kind = "definition" if line.no in used else "text"
        line.text = f'[{label}]({url} "{title}")' if title else f"[{label}]({url})"
    for line in notes.values():
        line.kind = "footnote" if line.no in used else line.kind


def _resolved(text: str, line: Line, links: Mapping[str, tuple[Line, str, str]], notes: Mapping[str, Line]) -> str:
    def link(m: re.Match[str]) -> str:
        if m[1].casefold() in notes and m[2] is None:
            note = notes[m[1].casefold()]
            line.needs = list(dict.fromkeys([*line.needs, note.no]))
            return f" <{note.text.strip('<>')}>" if is_bare_url(note.text) else m[0]
        found = links.get(_label_key(m[2] or m[1]))
        if not found:
            return m[0]
        line.needs = list(dict.fromkeys([*line.needs, found[0].no]))
        return f'[{m[1]}]({found[1]} "{found[2]}")' if found[2] else f"[{m[1]}]({found[1]})"

    return _USES.sub(link, text)


def _label_key(label: str) -> str:
    return " ".join(label.split()).casefold()
