"""Ways of writing lists that are no Markdown, or no common one -> the Markdown that kb.formats.outline reads, line for
line, so that every line keeps its number."""

from __future__ import annotations

import re

from kb.formats import logseq, org

_URL = re.compile(r"<?(?:https?://|www\.)\S+>?$|https?://\S+\s+\S.*$")
_BEFORE_URL = re.compile(r"\S.{0,200}?[\s:,;|–—-]+<?https?://\S+>?$")


def to_markdown(text: str, format: str) -> str:
    """A list in one of kb.formats.known.LISTS as Markdown of as many lines."""
    if format == "org":
        return org.to_markdown(text)
    if format == "logseq" or (format == "list" and logseq.looks_like(text)):
        return logseq.to_markdown(text)
    if _is_dump(text):
        return "\n".join(
            f"- {line.strip()}" if line.strip() and line.strip()[0] != "#" else line for line in text.split("\n")
        )
    if re.search(r"(?m)^:[ \t]+\S", text):
        return _definitions(text)
    return text


def _is_dump(text: str) -> bool:
    """Whether nearly every line is one link, perhaps with its title: the tabs of a browser, a list of bookmarks."""
    lines = [line.strip() for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) < 2 or any(re.match(r"[-*+>|]\s|\d+[.)]\s|---", line) for line in lines):
        return False
    links = sum(bool(_URL.match(line) or _BEFORE_URL.match(line)) for line in lines)
    return links >= 0.8 * len(lines) and bool(_URL.match(lines[0]) or _BEFORE_URL.match(lines[0]))


def _definitions(text: str) -> str:
    """Definition lists: the term is an item, its definitions stand under it."""
    lines = text.split("\n")
    found = list(lines)
    fenced = False
    for n, line in enumerate(lines):
        fenced ^= bool(re.match(r"\s*(```|~~~)", line))
        m = re.match(r":[ \t]+(\S.*)", line)
        if fenced or not m:
            continue
        found[n] = f"  - {m[1]}"
        above = n - 1 - (n > 1 and not lines[n - 1].strip())
        if above >= 0 and re.match(r"[^\s:#>|*+-]", lines[above]) and found[above] == lines[above]:
            found[above] = f"- {lines[above]}"
    return "\n".join(found)
