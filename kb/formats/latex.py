"""LaTeX in bibliographies: its accents and escapes to Unicode, and Unicode to the few escapes that BibTeX needs."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

# Math as people write it: the first $ touches what follows, the last what comes before, no digit after it.
_MATH = re.compile(r"(?<![\\$])\$(?![\s$])(?:[^$\\\n]|\\.)*?(?<!\s)\$(?![\d$])")
_DRESS = re.compile(  # commands that change the look of words, and nothing else
    r"\\(?:emph|mbox|hbox|text(?:it|bf|sc|tt|rm|sf|sl|up|md|normal|superscript|subscript)|uppercase|ensuremath"
    r"|em|bf|it|tt|rm|sc|sf|sl|bfseries|itshape|scshape|upshape|relax|protect)(?![A-Za-z])\s*"
)
_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\textbraceleft{}", "}": r"\textbraceright{}", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "–": "--", "—": "---",
}  # fmt: skip
# What TeX would join: dashes, quotes, the openings of Spanish.
_LIGATURE = re.compile(r"(?<=[-–—])(?=[-–—])|(?<=')(?=')|(?<=[`!?])(?=`)|(?<=<)(?=<)|(?<=>)(?=>)")

# An accent or a letter of its own, as it stands in names outside braces.
_LETTER = re.compile(
    r"\\(?:[\"'`^~=.](?:\{\\?\w+\}|\s*\\?\w)|[uvHcdbkrt](?:\{\\?\w\}|\s+\w)"
    r"|(?:aa|AA|ae|AE|oe|OE|o|O|l|L|ss|i|j)(?:\{\}|(?![A-Za-z])\s*))"
)


def decode_letters(text: str) -> str:
    """Accents to Unicode, everything else as it is: names are taken apart by their braces."""
    return _LETTER.sub(lambda m: decode(m[0]), text)


def decode(text: str) -> str:
    """LaTeX -> plain Unicode on one line; math stays as it is, and so does a command nobody knows."""
    text = " ".join(text.split())
    if not re.search(r"[\\{}$~`'-]", text):
        return text
    text = re.sub(r"(?<!\\)([%&])", r"\\\1", _DRESS.sub("", text))
    try:
        found = str(_decoder().latex_to_text(text))
    except Exception:  # pylatexenc raises many kinds on what is no LaTeX; the words are what counts
        found = re.sub(r"[{}]", "", text)
    return " ".join(found.split())


@cache
def _decoder() -> Any:
    from importlib import import_module  # pylatexenc says nothing of its types

    latex2text = import_module("pylatexenc.latex2text")

    known = {"textbraceleft": "{", "textbraceright": "}", "textasciicircum": "^", "textasciitilde": "~"}
    known |= {"LaTeX": "LaTeX", "TeX": "TeX", "BibTeX": "BibTeX"}
    macros = [latex2text.MacroTextSpec(name, simplify_repl=text) for name, text in known.items()]
    db = latex2text.get_default_latex_context_db()
    macros.append(latex2text.MacroTextSpec("url", simplify_repl="%s"))
    db.add_context_category("kb", prepend=True, macros=macros)
    db.set_unknown_macro_spec(latex2text.MacroTextSpec("", simplify_repl=lambda node, **_: node.latex_verbatim()))
    return latex2text.LatexNodes2Text(latex_context=db, keep_braced_groups=False, math_mode="verbatim")


def encode(text: str, title: bool = False) -> str:
    """Plain text -> LaTeX inside braces. In a title, words with a capital inside (LoRA, GPT-4) keep it."""
    text = " ".join(text.split())
    parts, end = [], 0
    for m in _MATH.finditer(text):
        if _is_math(m[0]):
            parts += [_encode_words(text[end : m.start()], title), m[0]]
            end = m.end()
    return "".join([*parts, _encode_words(text[end:], title)])


def _encode_words(text: str, title: bool) -> str:
    words = re.split(r"(\s+)", text)
    return "".join(_protected(word) if title and re.search(r".[A-Z]", word) else _escaped(word) for word in words)


def _protected(word: str) -> str:
    """The part of a word from its first to its last letter or digit, in braces."""
    m = re.fullmatch(r"(\W*)(.*?)(\W*)", word)
    return f"{_escaped(m[1])}{{{_escaped(m[2])}}}{_escaped(m[3])}" if m else _escaped(word)


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(c, c) for c in _LIGATURE.sub("\0", text)).replace("\0", "{}")


def _is_math(text: str) -> bool:
    """True for what stands between two $ and leaves BibTeX's braces and a reader's sense of place intact."""
    depth = 0
    for c in text:
        depth += (c == "{") - (c == "}")
        if depth < 0:
            return False
    return depth == 0 and decode(f"{text} & more") == f"{text} & more"
