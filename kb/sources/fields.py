"""Front matter out of what services answer. A value that is not of the form its service promises is as good as none."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kb.formats.days import MONTHS
from kb.ids import identify
from kb.sources import Metadata
from kb.sources.http import Page, Unreachable

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET

_TAGS = re.compile(
    r"</?(i|b|u|em|strong|italic|bold|sub|sup|sc|scp|inf|tt|span|p|br|sec|title|abstracttext|jats:[\w-]+|mml:\w+)\b[^<>]*>",
    re.I,
)
_HEADING = re.compile(r"<(jats:)?title>\s*(abstract|summary)\s*</(jats:)?title>", re.I)
_HOSTED = re.compile(
    r"(?:https?://)?(?<![\w.-])(?:www\.)?((?:github|gitlab|bitbucket)\.(?:com|org)|codeberg\.org)/([\w.-]+)/([\w.-]*\w)"
)
# What a preprint's comment may name as the place where it was published.
_VENUES = (
    "NeurIPS|NIPS|ICML|ICLR|AISTATS|UAI|COLT|CoRL|MLSys|TMLR|JMLR|AAAI|IJCAI|ACL|EMNLP|NAACL|EACL|AACL|COLING|COLM|TACL"
    "|CVPR|ICCV|ECCV|WACV|BMVC|KDD|SIGIR|WSDM|RecSys|Interspeech|ICASSP|ICRA|IROS|RSS|SIGGRAPH|OSDI|SOSP|CHI"
)
_COMMENT = 1000  # letters of a comment that are looked at: each `accept` in it may be searched to its end
_SAID = re.compile(
    rf"\b(?:accept|publish|appear|present|oral|poster|spotlight|camera|proceedings)\w*\b[^.;]*?\b({_VENUES})\b|^({_VENUES})\b",
    re.I,
)
_DAY_FIRST = re.compile(r"(?:[A-Za-z]{3,9}, +)?(\d{1,2})(?:st|nd|rd|th)?\.? +([A-Za-z]{3,9})\.?,? +(\d{4})\b.*", re.A)
_MONTH_FIRST = re.compile(r"(?:[A-Za-z]{3,9}, +)?([A-Za-z]{3,9})\.? +(\d{1,2})(?:st|nd|rd|th)?,? +(\d{4})\b.*", re.A)


def read_json(page: Page, service: str) -> Any:
    """The document of an answer."""
    try:
        return json.loads(decoded(page.body))
    except (ValueError, RecursionError):
        raise Unreachable(f"{service}'s answer cannot be read; try again later") from None


def decoded(body: bytes) -> str:
    """UTF-8, as these services promise; what is not is Windows-1252, whatever it calls itself."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")


def line(value: Any) -> str:
    """Text on one line, without the marks of HTML and XML that titles and abstracts bear; '' for what is no text."""
    import html

    value = value[0] if isinstance(value, list) and value else value
    if not isinstance(value, str | int) or isinstance(value, bool):
        return ""
    return " ".join(_TAGS.sub("", _HEADING.sub("", html.unescape(str(value)))).split())


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def person(given: Any, family: Any, suffix: Any = "") -> Any:
    """'Given Family', or a mapping where the parts cannot be told from that."""
    given, family, suffix = line(given), line(family), line(suffix)
    if given and family and (suffix or " " in family):
        return {"family": family, "given": given} | ({"suffix": suffix} if suffix else {})
    return f"{given} {family}".strip()


def date(value: Any) -> str:
    """'2020-06-19', '2020-06' or '2020' out of what begins so, as much as there is of it; '' where it is no date."""
    from datetime import date as day

    m = re.match(r"([12]\d{3})(?:-(\d{1,2}))?(?:-(\d{1,2}))?(?!\d)", value if isinstance(value, str) else "", re.ASCII)
    if not m:
        return ""
    parts = [int(part) for part in m.groups() if part]
    try:
        day(*(parts + [1, 1])[:3])
    except ValueError:
        return m[1]
    return "-".join(f"{part:02}" for part in parts)


def day(stamp: Any) -> str:
    """'2021/07/11', '2021-07-11T08:00Z', '11 July 2021', 'Jul 11, 2021', '2021/7' or '2021' in ISO form, else ''."""
    text = line(stamp)
    if m := _DAY_FIRST.fullmatch(text):
        return _worded(m[1], m[2], m[3])
    if m := _MONTH_FIRST.fullmatch(text):
        return _worded(m[2], m[1], m[3])
    if m := re.fullmatch(r"(\d{4})(\d\d)(\d\d)", text, re.A):
        text = "-".join(m.groups())
    return date(re.sub(r"^(\d{4})[/.](\d{1,2})(?:[/.](\d{1,2}))?", lambda m: "-".join(filter(None, m.groups())), text))


def _worded(day: str, month: str, year: str) -> str:
    short = month[:3].lower()
    return date(f"{year}-{MONTHS.index(short) + 1}-{day}") if short in MONTHS else date(year)


def when(published: str) -> Metadata:
    """The year of a date, and the date where it says more."""
    year = {"year": int(published[:4])} if published else {}
    return year | ({"published": published} if len(published) > 4 else {})


def code_link(*texts: str) -> str:
    """The first repository that an abstract or a comment names."""
    for text in texts:
        if m := _HOSTED.search(text.replace("\\_", "_")):
            return f"https://{m[1].lower()}/{m[2]}/{m[3].removesuffix('.git')}"
    return ""


def said_venue(comment: str) -> str:
    """'ICLR 2021' of the comment 'Published as a conference paper at ICLR 2021', '' for a workshop or no venue."""
    comment = comment[:_COMMENT]
    m = _SAID.search(comment)
    if not m or re.search(r"workshop|submitted|under review|reject", comment, re.I):
        return ""
    name = next((known for known in _VENUES.split("|") if known.lower() == (m[1] or m[2]).lower()), "")
    year = re.match(r"[\s,'’-]*((?:20)?\d\d)\b", comment[m.end() :])
    return f"{name} {year[1] if len(year[1]) == 4 else f'20{year[1]}'}" if year else name


def web_address(value: Any) -> str:
    """A URL of the web, '' for anything else."""
    text = value.strip() if isinstance(value, str) else ""
    return text if re.fullmatch(r"https?://[^\s/<>\"]+\S*", text) else ""


def doi(value: Any) -> Metadata:
    """The key for a DOI: `doi`, or `arxiv` where it is the DOI of a preprint there."""
    found = identify(value) if isinstance(value, str) and value else None
    return {found.key: found.value} if found and found.key in ("doi", "arxiv") else {}


def known(meta: Mapping[str, Any]) -> Metadata:
    """Only the keys that say something."""
    return {key: value for key, value in meta.items() if value}


def read_xml(page: Page, service: str) -> ET.Element:
    """The document of an answer. One that defines entities is refused: no service here needs any."""
    import xml.etree.ElementTree as ET

    try:
        if b"<!ENTITY" in page.body.replace(b"\0", b""):
            raise ValueError("its document type defines entities")
        return ET.fromstring(page.body)
    except (ET.ParseError, ValueError, LookupError) as error:
        raise Unreachable(f"{service}'s answer cannot be read ({error}); try again later") from None


def text_of(element: ET.Element | None) -> str:
    """The text of an element and all within it, on one line."""
    return " ".join("".join(element.itertext()).split()) if element is not None else ""
