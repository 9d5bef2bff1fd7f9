"""Math in Python-Markdown: `$…$` and `$$…$$` become elements that hold their TeX, untouched by every other rule.

What counts as math is what kb.links skips when it looks for links, so that a `[[link]]` is never math on the site and a
link in `kb links`. KaTeX draws the elements in the browser; without JavaScript the reader sees the TeX.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as etree
from html import escape
from typing import Any

from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor
from markdown.treeprocessors import Treeprocessor
from markdown.util import AtomicString

from kb.links import SKIP

_PLACE = re.compile("\x02wzxhzdk:(\\d+)\x03")


def formula(source: str) -> str:
    """`$…$` or `$$…$$` as HTML; empty for what only looks like a formula."""
    tex, name = source.strip("$").strip(), "kb-math kb-math--display" if source.startswith("$$") else "kb-math"
    whole = source.startswith("$") and source.endswith("$$" if source.startswith("$$") else "$")
    return f'<span class="{name}">{escape(tex, quote=False)}</span>' if whole and tex else ""


def math_html(text: str) -> str:
    """Plain text as HTML with its formulas: for what is no Markdown (abstracts, the sentences of links)."""
    parts, end = [], 0
    for m in SKIP.finditer(text) if "$" in text else ():
        if shown := formula(m[0]):
            parts += [escape(text[end : m.start()]), shown]
            end = m.end()
    return "".join([*parts, escape(text[end:])])


class MathPreprocessor(Preprocessor):
    """Stashes formulas after fences are gone and before HTML blocks and everything else are looked for."""

    def __init__(self, md: Markdown) -> None:
        super().__init__(md)
        self.md: Markdown = md
        self.formulas: dict[int, str] = {}  # number in the HTML stash -> the formula as written

    def run(self, lines: list[str]) -> list[str]:
        self.formulas = {}
        text = "\n".join(lines)
        return SKIP.sub(self._stash, text).split("\n") if "$" in text else lines

    def _stash(self, m: re.Match[str]) -> str:
        shown = formula(m[0])
        if not shown:
            return m[0]
        self.formulas[self.md.htmlStash.html_counter] = m[0]
        return self.md.htmlStash.store(shown)


class CodeTreeprocessor(Treeprocessor):
    """Gives code that only the block and inline rules recognised (indented, or over two lines) its dollars back."""

    def __init__(self, md: Markdown, math: MathPreprocessor) -> None:
        super().__init__(md)
        self.math = math

    def run(self, root: etree.Element) -> None:
        if not self.math.formulas:
            return
        for code in root.iter("code"):
            if code.text and "\x02" in code.text:
                code.text = AtomicString(_PLACE.sub(self._source, code.text))

    def _source(self, m: re.Match[str]) -> str:
        source = self.math.formulas.get(int(m[1]))
        return m[0] if source is None else escape(source, quote=False)


class MathExtension(Extension):
    """`fenced_code_block` runs at 25, `html_block` at 20. Blocks of code are elements before they are highlighted (30),
    code in a line is after `inline` (20)."""

    def extendMarkdown(self, md: Markdown, **_: Any) -> None:
        math = MathPreprocessor(md)
        md.preprocessors.register(math, "kb_math", 24)
        md.treeprocessors.register(CodeTreeprocessor(md, math), "kb_math_block", 31)
        md.treeprocessors.register(CodeTreeprocessor(md, math), "kb_math_code", 19)
