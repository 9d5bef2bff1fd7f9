"""Text of every shape that makes a parser go back over what it has read: each parser's time grows as the text does."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from xml.sax.saxutils import escape

import pytest

from kb.exporting.cited import _pandoc, _tex
from kb.formats.citation import authors_of
from kb.formats.known import detect, reader
from kb.formats.latex import decode as latex
from kb.formats.mojibake import repair
from kb.formats.pages import read_page
from kb.formats.reading_list import read_reading_list
from kb.formats.rich_text import to_markdown
from kb.id_rules import fault
from kb.ids import canonical_url, identify, slug, title_key
from kb.links import plain
from kb.note import parse_note
from kb.problem import KbError
from kb.query import parse
from kb.site.formulas import math_html
from kb.site.safety import safe_html
from kb.sources.fields import code_link, said_venue
from kb.sources.page import read_page as read_html
from kb.sources.web import _WALL
from kb.verbs.inbox_lines import read_lines
from kb.verbs.references import read_text

SHORT, TIMES = 500, 16
FREE = 0.03  # CPU seconds of the longer text that nobody asks about
UNITS = [
    "a", " ", "\t", "\n", "\n ", "\xa0", "\\", "[[", "[", "]", "(", ")", "{", "}", "<", ">", "](", "![](", "[a](b) ",
    "[a](", "https://", "a.", "https://a.b/c ", "&amp;", "&", "*", "_", "`", "` ``", "$", "$a ", "~", "# ", '"', "'",
    "- ", "=", "|", "|-", ":", ";", ", ", "\n- a", "\n- [ ] ", "\n# a", "\n\t- a", "@", "@a{", "1", "1.", "<a>", "<a ",
    '<a b="', "<!--", "<script>", "style=", "href=", "on", " and ", " by ", "accept ", "🙏", "â€™", "e\u0301", "\0",
    "2020-01-01 ", "2006.11239 ", "10.1000/", "%41", "?a=", "Word ", "A. ", "[^a]", "[^a]: b\n", "[a]: https://b\n",
    "> a\n", "```\n", "a: ", "- - ", "\\'{", "{\\", "$$", "a:: b\n", "* TODO a\n", "[[a][b]]", ":a:\n", "TY  - A\n",
    '"a""', "a,b\n", "url(", "[[a|", "**a", "<li>", '<a href="', " — ", "☐ ", "aa bb. Cc ", "\\cite[",
]  # fmt: skip


def _quietly(read: Callable[[str], object], text: str) -> None:
    with contextlib.suppress(KbError, ValueError):  # a refusal in one line is an answer
        read(text)


def _record(format: str, form: str, text: str) -> object:
    return reader(format)(form.replace("$$", text).encode("utf-8", "replace"), "x")


def _front(text: str) -> object:
    return parse_note(f"---\ntitle: x\n{text}\n---\n".encode("utf-8", "replace"), "notes/papers/x.md")


def _json(text: str) -> object:
    works = {
        "type": "article",
        "title": text,
        "author": [{"literal": text}],
        "abstract": text,
        "note": text,
        "URL": text,
    }
    return reader("json")(json.dumps([works]).encode(), "x.json")


def _html(text: str) -> object:
    meta = "".join(f'<meta name="{name}" content="{escape(text)}">' for name in ("author", "description", "date"))
    return read_html(f"<head><title>{text}</title>{meta}", "https://e.org/x")


def _page(text: str) -> object:
    return [read_page(text, "a/b.md", kind) for kind in ("obsidian", "logseq", "notion")]


RDF = (
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:bib="http://purl.org/net/biblio#" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"><bib:Article rdf:about="#1"><dc:title>{0}</dc:title>'
    "<dc:description>{0}</dc:description><dc:subject>{0}</dc:subject></bib:Article></rdf:RDF>"
)
BIB = "@article{a, title={$$}, author={$$}, journal={$$}, keywords={$$}, note={$$}, url={$$}}"
RIS = "TY  - JOUR\nTI  - $$\nAU  - $$\nN2  - $$\nN1  - $$\nUR  - $$\nKW  - $$\nER  - \n"
CSV = 'Title,URL,Authors,Tags,Status,Notes,Extra\n"$$","$$","$$","$$","$$","$$","$$"\n'
PARSERS: dict[str, Callable[[str], object]] = {
    "note": lambda text: parse_note(text.encode("utf-8", "replace"), "notes/papers/x.md"),
    "front matter": _front,
    "a key of it": lambda text: _front(f"foo: {text}"),
    "title and tags": lambda text: _front(f'abstract: "{text}"\ntags: {text}'),
    "plain": plain,
    "list": lambda text: read_reading_list(text, "x.md"),
    "line of a list": lambda text: read_reading_list("- [ ] " + text.replace("\n", " "), "x.md"),
    "org": lambda text: read_reading_list(text, "x.org", "org"),
    "logseq": lambda text: read_reading_list(text, "x.md", "logseq"),
    "pages": _page,
    "bibtex": partial(_record, "bibtex", "$$"),
    "bibtex fields": partial(_record, "bibtex", BIB),
    "ris": partial(_record, "ris", "$$"),
    "ris fields": partial(_record, "ris", RIS),
    "json": _json,
    "csv": partial(_record, "csv", "$$"),
    "csv cells": partial(_record, "csv", CSV),
    "rdf": lambda text: reader("rdf")(RDF.format(escape(text)).encode("utf-8", "replace"), "x.rdf"),
    "detect": lambda text: detect("x", text.encode("utf-8", "replace")),
    "latex": latex,
    "mojibake": repair,
    "rich text": lambda text: to_markdown(f"<p>{text}"),
    "names": authors_of,
    "page of HTML": lambda text: read_html(text, "https://e.org/x"),
    "head of HTML": _html,
    "wall": _WALL.fullmatch,
    "venue": said_venue,
    "code": code_link,
    "identify": identify,
    "DOI": lambda text: identify(f"https://link.springer.com/doi/10.1000/{text}"),
    "fault": fault,
    "canonical": lambda text: canonical_url(f"https://e.org/?{text}"),
    "slug": slug,
    "title": title_key,
    "query": parse,
    "references": lambda text: read_text(text, "x"),
    "inbox": lambda text: read_lines(text.split("\n")),
    "tex": lambda text: list(_tex(text)),
    "cites": lambda text: list(_tex(f"\\cite{text}")),
    "pandoc": lambda text: list(_pandoc(text)),
    "safe": safe_html,
    "unsafe": lambda text: safe_html(f"<script></script><a {text}"),
    "mathematics": math_html,
}  # fmt: skip


def _shapes(size: int) -> Iterator[tuple[str, str]]:
    for unit in UNITS:
        many = (unit * (size // len(unit) + 1))[:size]
        yield unit, many
        yield f'x{unit}!">', f'x{many}!">'


def _seconds(read: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    _quietly(read, text)
    return time.process_time() - start


@pytest.mark.parametrize("name", PARSERS)
def test_time_grows_as_the_text_does(name: str) -> None:
    """A parser that goes over sixteen times the text for each of its letters needs 256 times as long; one that reads it
    once, sixteen. What takes long is timed again, so that a busy machine is not taken for a slow parser."""
    read = PARSERS[name]
    _quietly(read, "warm up")
    slow = []
    for (unit, short), (_, long) in zip(_shapes(SHORT), _shapes(SHORT * TIMES), strict=True):
        if _seconds(read, long) < FREE:
            continue
        few, many = max(_seconds(read, short) for _ in range(3)), min(_seconds(read, long) for _ in range(3))
        if many > FREE and many > 4 * TIMES * few:
            slow.append((unit, few, many))
    assert slow == []
