"""LaTeX in bibliographies: its accents and escapes to Unicode, and Unicode to the few escapes that BibTeX needs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

# Math as people write it: the first $ touches what follows, the last what comes before, no digit after it.
_MATH = re.compile(r"(?<![\\$])\$(?![\s$])(?:[^$\\\n]|\\.)*?(?<!\s)\$(?![\d$])")
_DRESS = re.compile(  # commands that change the look of words, and nothing else
    r"\\(?:emph|mbox|hbox|text(?:it|bf|sc|tt|rm|sf|sl|up|md|normal|superscript|subscript)|uppercase|ensuremath"
    r"|em|bf|it|tt|rm|sc|sf|sl|bfseries|itshape|scshape|upshape|relax|protect)(?![A-Za-z])\s*"
)
_ESCAPES = str.maketrans({
    "\\": r"\textbackslash{}", "{": r"\textbraceleft{}", "}": r"\textbraceright{}", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "–": "--", "—": "---",
})  # fmt: skip
_ACCENTS = {  # the combining mark, in hexadecimal -> the command
    "0300": "`", "0301": "'", "0302": "^", "0303": "~", "0304": "=", "0306": "u", "0307": ".", "0308": '"', "030A": "r",
    "030B": "H", "030C": "v", "0323": "d", "0327": "c", "0328": "k", "0331": "b",
}  # fmt: skip
_OWN_LETTERS = {
    "ß": r"{\ss}", "æ": r"{\ae}", "Æ": r"{\AE}", "œ": r"{\oe}", "Œ": r"{\OE}", "ø": r"{\o}", "Ø": r"{\O}", "ł": r"{\l}",
    "Ł": r"{\L}", "å": r"{\aa}", "Å": r"{\AA}", "ı": r"{\i}",
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
    text = _DRESS.sub("", text)
    if re.search(r"\\(?:begin|end|verb|[\[\]()])", text):  # what may hold spaces without braces around them
        return _parsed(text)
    return " ".join(" ".join(map(_plain, _phrases(text))).split())


def _phrases(text: str) -> Iterator[str]:
    """The words of a text; those that braces, math, a command and its argument hold together are one."""
    held: list[str] = []
    depth = marks = 0
    for word in text.split(" "):
        bare = re.sub(r"\\.", "", word)
        depth += bare.count("{") - bare.count("}")
        marks += bare.count("$")
        held.append(word)
        if depth == 0 and marks % 2 == 0 and not re.search(r"\\(?:[A-Za-z]+\*?|.)?$", word):
            yield " ".join(held)
            held = []
    if held:
        yield " ".join(held)


def _plain(phrase: str) -> str:
    """One phrase in Unicode. Of what most of them hold the parser is not needed, which takes its time."""
    if not re.search(r"[\\$^<>]|[?!]`|'{3}|`{3}|-{4}", phrase):
        phrase = re.sub("[{}]", "\0", phrase)
        for mark, char in (("---", "—"), ("--", "–"), ("``", "“"), ("''", "”"), ("~", "\xa0"), ("\0", "")):
            phrase = phrase.replace(mark, char)
        return phrase
    return _parsed(phrase)


@lru_cache(5_000)
def _parsed(text: str) -> str:
    text = re.sub(r"(?<!\\)([%&])", r"\\\1", text)
    try:
        found = str(_decoder().latex_to_text(text, tolerant_parsing=False))
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


def encode(text: str, title: bool = False, letters: bool = False) -> str:
    """Plain text -> LaTeX inside braces. In a title, words whose capitals a style must not lower (LoRA, GPT-4, U-Net)
    are in braces; with `letters`, letters with accents are commands: é is {\\'e}. Math between $ stays as it is."""
    text = " ".join(text.split())
    shield = title and not _shouts(text)
    parts, end = [], 0
    for m in _MATH.finditer(text):
        if _is_math(m[0]):
            parts += [_encode_words(text[end : m.start()], shield, letters), m[0]]
            end = m.end()
    return "".join([*parts, _encode_words(text[end:], shield, letters)])


def _shouts(text: str) -> bool:
    """A title in capitals throughout, in which they tell nothing."""
    return text == text.upper() and len(re.findall(r"[^\W\d_]{2,}", text)) > 2


def _encode_words(text: str, shield: bool, letters: bool) -> str:
    if not shield:
        return _escaped(text, letters)
    words = re.split(r"(\s+)", text)
    return "".join(_protected(w, letters) if _has_capitals(w) else _escaped(w, letters) for w in words)


def _has_capitals(word: str) -> bool:
    """LoRA, GPT-4, the U of U-Net and the C of Vitamin C; not Low-Rank, nor A."""
    bare = re.sub(r"^\W+|\W+$", "", word)
    parts = re.split(r"[-‐–/]", bare)
    return any(any(c.isupper() for c in part[1:]) or (len(part) == 1 and part.isupper()) for part in parts) and (
        bare not in ("A", "I")
    )


def _protected(word: str, letters: bool) -> str:
    """The part of a word from its first to its last letter or digit, in braces."""
    m = re.fullmatch(r"(\W*)(.*?)(\W*)", word)
    if not m:
        return _escaped(word, letters)
    return f"{_escaped(m[1], letters)}{{{_escaped(m[2], letters)}}}{_escaped(m[3], letters)}"


def _escaped(text: str, letters: bool) -> str:
    found = _LIGATURE.sub("\0", text).translate(_ESCAPES).replace("\0", "{}")
    return found if not letters or found.isascii() else "".join(map(_letter, found))


@cache
def _letter(char: str) -> str:
    """An accented letter of Latin as LaTeX has it since its beginning; any other character as it is."""
    if char.isascii() or char in _OWN_LETTERS:
        return _OWN_LETTERS.get(char, char)
    base, _, accent = unicodedata.decomposition(char).partition(" ")
    command = _ACCENTS.get(accent)
    letter = chr(int(base, 16)) if command and "<" not in base else ""
    if not command or not letter.isascii():
        return char
    return f"{{\\{command}{{{letter}}}}}" if command.isalpha() else f"{{\\{command}{letter}}}"


@lru_cache(10_000)
def _is_math(text: str) -> bool:
    """True for what stands between two $ and leaves BibTeX's braces and a reader's sense of place intact."""
    depth = 0
    for c in text:
        depth += (c == "{") - (c == "}")
        if depth < 0:
            return False
    return depth == 0 and decode(f"{text} & more") == f"{text} & more"
