"""Code in tables as GitHub and Obsidian have it: the `\\|` that a cell asks for is a `|` in code as well."""

from __future__ import annotations

import xml.etree.ElementTree as etree
from typing import Any

from markdown import Extension, Markdown
from markdown.treeprocessors import Treeprocessor
from markdown.util import AtomicString


class CellCode(Treeprocessor):
    """Python-Markdown needs no escape in code, and so shows it."""

    def run(self, root: etree.Element) -> None:
        for table in root.iter("table"):
            for code in table.iter("code"):
                if code.text and "\\|" in code.text:
                    code.text = AtomicString(code.text.replace("\\|", "|"))


class TableExtension(Extension):
    """After `inline` (20)."""

    def extendMarkdown(self, md: Markdown, **_: Any) -> None:
        md.treeprocessors.register(CellCode(md), "kb_cell_code", 18)
