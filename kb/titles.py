"""Titles as they are compared: without LaTeX, HTML, case, accents, punctuation and spaces, and with an eye for the
words that tell two works on one matter apart."""

from __future__ import annotations

import re

from kb.ids import title_key

_WORD = re.compile(r"[^\W_]+")
_FIRST = "first second third fourth fifth sixth seventh eighth ninth tenth"
_NUMBERS = ("one two three four five six seven eight nine ten", _FIRST, "- ii iii iv - vi vii viii ix -")
_AS_DIGITS = {word: str(n) for row in _NUMBERS for n, word in enumerate(row.split(), 1) if word != "-"}
_NUMBER = re.compile(r"[ivx]|.*\d.*")  # what tells one work of a series from the next: 'GPT-4', 'Part I'
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})


def _words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What the same people write again in another year.
YEARLY = _words_of(
    """annual challenge course findings guide index introduction lecture lectures notes overview primer proceedings
    progress report review roadmap seminar shared state survey task trends tutorial update workshop"""
)
# A title with one of these below its colon is another work than the one without: a comment, a part, a talk.
_APART = _words_of(
    """abstract addendum appendix book chapter comment commentary comments correction corrigendum course critique
    discussion dissertation edition editorial errata erratum exercises lecture lectures notes overview part poster
    preface primer proceedings rebuttal rejoinder remarks reply reproducibility response retracted retraction review
    revisited seminar slides summary supplement supplemental supplementary survey symposium talk thesis translation
    tutorial volume workshop"""
)
_ALONE = _words_of("benchmark code corpus data dataset demo demonstration extended implementation report")


def letters(text: str) -> str:
    """In lower case, with the letters that Unicode does not take apart as their plain ones."""
    return text.lower().translate(_LETTERS)


def plain_title(title: str) -> str:
    """A title without what typesetters and web pages put into it: LaTeX, HTML, an arXiv id in front."""
    text = re.sub(r"^\s*\[\d{4}\.\d{4,5}(?:v\d+)?\]\s*", "", title) if "[" in title else title
    if "<" in text:
        text = re.sub(r"</?(?:i|b|em|strong|sub|sup|scp|tt|span|mml:\w+)\b[^<>]*>", "", text)
    if "&" in text:
        import html

        text = re.sub(r"\s+&\s+", " and ", html.unescape(text))
    if re.search(r"[\\${}]", text):
        from kb.formats.latex import decode

        text = re.sub(r"\\(?:math|text|operator)?(?:rm|bf|it|cal|bb|sf|tt|name)?\b|[${}\\]", "", decode(text))
        text = re.sub(r"\s+&\s+", " and ", text)
    return text


def words(title: str) -> list[str]:
    """The words of a title, numbers as digits."""
    text = plain_title(title)
    text = text.replace("'", "").casefold() if text.isascii() else title_key(letters(text))
    return [_AS_DIGITS.get(word, word) for word in _WORD.findall(text)]


def main_title(title: str) -> tuple[str, str]:
    """A title's part before its colon or dash, and its subtitle; both empty where it has none."""
    head, mark, rest = re.sub(r"\s+[-–—]+\s+|—", ": ", plain_title(title)).partition(": ")
    return (head, rest) if mark else ("", "")


def names_a_work(head: str) -> bool:
    """Whether a title without its subtitle is still one work's name: four words, or one that somebody coined."""
    coined = re.fullmatch(r"\S*(?:[a-z]\S*[A-Z]|[A-Z]\S*[A-Z]|[A-Z]\S*\d)\S*(?: \d\S*)?", head.strip())
    return coined is not None or len(words(head)) >= 4


def tells_apart(subtitle: str) -> bool:
    """Whether a subtitle makes another work of what bears the title alone: 'Part II', 'A Survey', 'Reply to …'."""
    found = set(words(subtitle))
    return len(found) < 2 or bool(found & _APART) or (len(found) <= 3 and bool(found & _ALONE))


def numbers(found: list[str]) -> list[str]:
    return sorted(word for word in found if _NUMBER.fullmatch(word))


def is_one_word(a: str, b: str) -> bool:
    """One word in two spellings: a plural, British or American, or, in words of seven letters or more, a letter too
    many or two that changed places; another letter makes another word, as does one at its beginning."""
    short, long = sorted((a, b), key=len)
    if len(short) > 3 and long in (f"{short}s", f"{short}es") or _american(a) == _american(b):
        return True
    from rapidfuzz.distance import OSA

    slip = len(short) != len(long) or sorted(short) == sorted(long)
    return slip and len(short) >= 7 and a[:2] == b[:2] and OSA.distance(a, b) == 1


def _american(word: str) -> str:
    word = re.sub(r"is(e|ed|es|er|ers|ing|ation|ations)$", r"iz\1", word)
    word = re.sub(r"our(s|ed|ing|al|less)?$", r"or\1", word) if len(word) > 5 else word
    return re.sub(r"(?<=\w{3})ll(ed|ing|er|ers)$", r"l\1", re.sub(r"(?<=[^aeiou])re$", "er", word))
