"""The keys that a document cites, with their places: LaTeX with what it includes, .aux, .bcf, Markdown with [@key]."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kb.files import read_bytes
from kb.problem import KbError, Problem

EVERYTHING = "*"  # the key of \nocite{*}
_NO_CITES = re.compile(  # commands with a `cite` in their names and no key behind it
    r"(?i)(?:declare|new|renew|provide|set|def|make)\w*|bibcite|cite(?:style|text|setup|reset\w*|dash|mid|punct|left|"
    r"right|sort|form|name|counter\w*|tracker\w*|indextype)"
)
_COMMAND = re.compile(r"\\([A-Za-z]*[cC]ite[A-Za-z]*)\*?")
_INCLUDE = re.compile(
    r"\\(?:(input|include|subfile|subfileinclude)\s*\{([^{}]*)\}|(?:sub)?(?:import|includefrom|inputfrom)\*?\s*"
    r"\{([^{}]*)\}\s*\{([^{}]*)\}|input\s+([^\s{}\\%]+))"
)
_VERBATIM = re.compile(
    r"\\begin\{(comment|verbatim\*?|Verbatim|lstlisting|minted|filecontents\*?)\}.*?\\end\{\1\}"
    r"|\\verb\*?([^\w\s*]).*?\2|\\iffalse\b.*?\\fi\b",
    re.S,
)
_BRACKET = re.compile(r"\\.|[{}\[\]()]", re.S)
_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%.*")
_AUX = re.compile(r"\\(?:citation|abx@aux@cite(?:\{\d+\})?)\{([^{}]*)\}|\\@input\{([^{}]*)\}")
_BCF = re.compile(r"<bcf:citekey\b[^>]*>([^<]+)</bcf:citekey>")
_CODE = re.compile(
    r"^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)|(?<!`)(`+)(?!`).*?(?<!`)\2(?!`)|<!--.*?(?:-->|\Z)",
    re.S | re.M,
)
_PANDOC = re.compile(r"(?<![\w@./])@(?:\{([^{}\s]+)\}|(\*|\w(?:[\w]|[:.#$%&+?<>~/-](?=\w))*))")
_CROSSREF = re.compile(r"(?:fig|tbl|sec|eq|lst|thm|lem|cor|prp|cnj|def|exm|exr|nte|tip|wrn|imp|cau|suppfig|supptbl)-")
_SUFFIXES = (".tex", ".ltx", ".aux", ".bcf", ".md", ".qmd", ".rmd", ".markdown")


@dataclass(frozen=True)
class Citation:
    """A key, and where the document cites it first."""

    key: str
    path: str
    line: int


@dataclass
class Document:
    """What some files cite, in the order of the text; problems are files that are named and are not there."""

    citations: dict[str, Citation] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _seen: set[Path] = field(default_factory=set)

    def read(self, path: Path) -> None:
        """Read a file and everything it includes."""
        if path.suffix.lower() not in _SUFFIXES:
            raise KbError(f"{path}: kb reads citations of {' '.join(_SUFFIXES)}", 2)
        if not path.is_file():
            raise KbError(f"{path}: no such file; check the name", 2)
        self._read(path, path.parent)

    def _read(self, path: Path, main: Path) -> None:
        if path.resolve() in self._seen:
            return
        self._seen.add(path.resolve())
        text = _text(path)
        reader: Callable[[str], Iterable[tuple[int, str, str]]] = _tex
        reader = {".aux": _aux, ".bcf": _bcf}.get(path.suffix.lower(), reader)
        if path.suffix.lower() in (".md", ".qmd", ".rmd", ".markdown"):
            reader = _pandoc
        lines = _Lines(text)
        for at, what, found in reader(text):
            line = lines.number(at)
            if what == "file":
                self._follow(found, path, line, main)
            else:
                self._cite(found, path, line)

    def _cite(self, keys: str, path: Path, line: int) -> None:
        for part in keys.split(","):
            if key := part.strip():
                above = part[: part.index(key)].count("\n")
                self.citations.setdefault(key, Citation(key, str(path), line + above))
            line += part.count("\n")

    def _follow(self, name: str, path: Path, line: int, main: Path) -> None:
        """A file that another includes: its name is seen from the main file, as LaTeX does, or from that file."""
        name = name.strip().strip('"')
        if not name or re.search(r"[\\#]", name):
            return
        names = [name] if re.search(r"\.\w+$", name) else []
        places = [folder / n for folder in (main, path.parent) for n in (*names, f"{name}.tex")]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            hint = "what it cites is not in the export"
            self.problems.append(Problem(str(path), line, "cited", f"{name} is not there", hint, "warning"))
        elif found.suffix.lower() in _SUFFIXES:
            self._read(found, main)


class _Lines:
    """Offsets -> line numbers; asked for in any order."""

    def __init__(self, text: str) -> None:
        self.starts = [0, *(m.end() for m in re.finditer("\n", text))]

    def number(self, offset: int) -> int:
        from bisect import bisect_right

        return bisect_right(self.starts, offset)


def _text(path: Path) -> str:
    data = read_bytes(path) or b""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _blank(m: re.Match[str]) -> str:
    """What a match is replaced by so that everything behind it stays where it is."""
    return re.sub(r"[^\n]", " ", m[0])


def _tex(text: str) -> Iterator[tuple[int, str, str]]:
    """(offset, 'keys', 'a, b') and (offset, 'file', 'intro'), in the order of the text."""
    text = _VERBATIM.sub(_blank, _COMMENT.sub(lambda m: m[1] + " " * (len(m[0]) - len(m[1])), text))
    text = text.partition(r"\end{document}")[0]
    found = [(m.start(), "file", _included(m)) for m in _INCLUDE.finditer(text)]
    pairs = _pairs(text)
    for m in _COMMAND.finditer(text):
        if not _NO_CITES.fullmatch(m[1]):
            found += [(at, "keys", keys) for at, keys in _arguments(text, pairs, m.end(), m[1].lower())]
    return iter(sorted(found))


def _included(m: re.Match[str]) -> str:
    return m[2] or m[5] or str(Path(m[3] or "") / (m[4] or ""))


def _arguments(text: str, pairs: Mapping[int, int], at: int, command: str) -> Iterator[tuple[int, str]]:
    """The keys of a command, with their place: its first {…} behind any […]; the second of \\volcite; all
    of \\cites."""
    several, skipped = command.endswith("cites"), command.endswith("volcite")
    while True:
        at = _optional(text, pairs, at, "([" if several else "[")
        end = pairs.get(at, -1) if text[at : at + 1] == "{" else -1
        if end < 0:
            return
        start, inner, at = at + 1, text[at + 1 : end], end + 1
        if skipped:
            skipped = False
            continue
        if not re.search(r"[\\#{}]", inner):
            yield start, inner
        if not several:
            return


def _optional(text: str, pairs: Mapping[int, int], at: int, opening: str) -> int:
    """Past optional arguments and the spaces around them; a blank line ends a command."""
    while True:
        m = re.compile(r"[ \t]*\n?[ \t]*").match(text, at)
        at = m.end() if m else at
        end = pairs.get(at, -1) if text[at : at + 1] and text[at] in opening else -1
        if end < 0:
            return at
        at = end + 1


def _pairs(text: str) -> dict[int, int]:
    """Where each bracket that closes does so, in one pass; braces inside others may hold anything."""
    found: dict[int, int] = {}
    frames: list[tuple[int, dict[str, list[int]]]] = [(-1, {"[": [], "(": []})]  # a brace, and what is open inside it
    for m in _BRACKET.finditer(text):
        char, at = m[0][-1], m.end() - 1
        if len(m[0]) > 1:
            continue
        if char == "{":
            frames.append((at, {"[": [], "(": []}))
        elif char == "}":
            start, _ = frames.pop()
            if start >= 0:
                found[start] = at
            else:
                frames.append((-1, {"[": [], "(": []}))
        elif char in "[(":
            frames[-1][1][char].append(at)
        elif opened := frames[-1][1]["[" if char == "]" else "("]:
            found[opened.pop()] = at
    return found


def _aux(text: str) -> Iterator[tuple[int, str, str]]:
    for m in _AUX.finditer(text):
        yield (m.start(), "keys", m[1]) if m[1] is not None else (m.start(), "file", m[2])


def _bcf(text: str) -> Iterator[tuple[int, str, str]]:
    return ((m.start(), "keys", html.unescape(m[1])) for m in _BCF.finditer(text))


def _pandoc(text: str) -> Iterator[tuple[int, str, str]]:
    """[@a; @b, p. 3], @c and -@d; `nocite: '@*'` of a front matter too. Quarto's @fig-x is no work."""
    for m in _PANDOC.finditer(_CODE.sub(_blank, text)):
        key = m[1] or m[2]
        if not _CROSSREF.match(key):
            yield m.start(), "keys", key


def read_citations(files: Iterable[Path]) -> Document:
    """What these documents cite."""
    document = Document()
    for file in files:
        document.read(file)
    return document


def nearest(key: str, names: Mapping[str, object]) -> str:
    """The name most like a key; empty where none is."""
    from rapidfuzz import fuzz, process

    found = process.extractOne(key.casefold(), sorted(names), scorer=fuzz.ratio, score_cutoff=60)
    return str(found[0]) if found else ""
