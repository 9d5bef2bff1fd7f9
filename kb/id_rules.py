"""What the ids of papers look like, and where they stand in the URLs of those who publish or list papers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

_ARCHIVES = (
    "acc-phys|adap-org|alg-geom|ao-sci|astro-ph|atom-ph|bayes-an|chao-dyn|chem-ph|cmp-lg|comp-gas|cond-mat|cs|dg-ga|"
    "econ|eess|funct-an|gr-qc|hep-(?:ex|lat|ph|th)|math(?:-ph)?|mtrl-th|nlin|nucl-(?:ex|th)|patt-sol|physics|plasm-ph|"
    "q-alg|q-bio|q-fin|quant-ph|solv-int|stat|supr-con"
)
_MONTH = r"(?:0[1-9]|1[0-2])"
# Four digits until December 2014, five since; before April 2007 the name of an archive and seven digits.
ARXIV_ID = (
    rf"(?:(?:07(?:0[4-9]|1[0-2])|(?:0[89]|1[0-4]){_MONTH})\.\d{{4}}|(?:1[5-9]|[2-9]\d){_MONTH}\.\d{{5}}"
    rf"|(?:{_ARCHIVES})(?:\.[A-Za-z-]{{2,8}})?/(?:9[1-9]|0[0-7]){_MONTH}\d{{3}})"
)
DOI = r"10\.\d{4,9}(?:\.\d+)*/[^\s\"<>]+"  # in running text
WHOLE_DOI = r"10\.\d{4,9}(?:\.\d+)*/[^\s\"]+"  # by itself, where the <1661::AID-SIM968> of old ones is part of it
ACL_ID = r"(?:\d{4}\.[a-z0-9_]+-[a-z0-9]+\.\d+|[A-Z]\d{2}-\d{4,5})"

_ARXIV_HOST = r"(.+\.)?arxiv\.org|xxx\.lanl\.gov|alphaxiv\.org|ar5iv\.org|scirate\.com|papers\.cool"
_ARXIV_HOST += r"|arxiv-vanity\.com|emergentmind\.com"
_DOI_HOST = (
    r"(.+\.)?(springer\.com|acm\.org|wiley\.com|science\.org|sciencemag\.org|pnas\.org|tandfonline\.com|sagepub\.com"
    r"|acs\.org|aps\.org|aip\.org|biorxiv\.org|medrxiv\.org|frontiersin\.org|plos\.org|iop\.org|siam\.org|rsc\.org"
    r"|royalsocietypublishing\.org|annualreviews\.org|nejm\.org|mit\.edu|worldscientific\.com|emerald\.com|ieee\.org"
    r"|degruyter\.com|liebertpub\.com|inderscienceonline\.com|crossref\.org|datacite\.org|asme\.org|asce\.org)"
)
_DOI_PAGE = (  # what publishers write behind the DOI of an article for another view of it
    r"(/(abs|abstract|full|full-text|fulltext|pdf|epdf|epub|pdfdirect|html|meta|summary|references|figures|metrics)"
    r"|\.(full\.pdf|full|pdf|html?|abstract|short|epub|ris|bib))$"
)

# (host, path, key, the value as a format of the path's groups); the first rule that fits is the one.
_RULES = (
    (_ARXIV_HOST, rf"^.*/({ARXIV_ID})(?:v\d+)?(?:\.pdf)?/?$", "arxiv", "{0}"),
    (r"huggingface\.co|hf\.co", rf"^(?:/api)?/papers/({ARXIV_ID})(?:v\d+)?(?:\.md)?/?$", "arxiv", "{0}"),
    (r"semanticscholar\.org", rf"^/arxiv/({ARXIV_ID})(?:v\d+)?$", "arxiv", "{0}"),
    (r"doi\.org|dx\.doi\.org", rf"^/(?:doi:)?({WHOLE_DOI})$", "doi", "{0}"),
    (r"nature\.com", r"^/articles/([a-z0-9][a-z0-9.-]*?)(?:\.pdf|/.*)?$", "doi", "10.1038/{0}"),
    (r"elifesciences\.org", r"^/articles/(\d+)(?:v\d+)?$", "doi", "10.7554/elife.{0}"),
    (r"aclanthology\.(?:org|info)|aclweb\.org",
     rf"^.*/({ACL_ID})(?:[ve]\d+)?(?:\.(?:pdf|bib|xml|endf|ris|mods))?/?$", "acl", "{0}"),
    (r"aclanthology\.org", r"^/volumes/(\d{4}\.[a-z0-9_]+-[a-z0-9]+)(?:\.bib)?/?$", "acl", "{0}.0"),
    (r"aclanthology\.org", r"^/volumes/([A-Z]\d\d-\d)(?:\.bib)?/?$", "acl", "{0}000"),
    (r"aclanthology\.org", r"^/volumes/([A-Z]\d\d-\d\d)(?:\.bib)?/?$", "acl", "{0}00"),
    (r"semanticscholar\.org", r"^/(?:paper|reader)/(?:[^/]*/)?([0-9a-f]{40})(?:/.*)?$", "s2", "{0}"),
    (r"api\.semanticscholar\.org", r"^/(?i:corpusid):(\d{1,12})$", "s2", "CorpusID:{0}"),
    (r"(?:api\.|explore\.)?openalex\.org", r"^/(?:works/)?([Ww]\d{4,12})$", "openalex", "{0}"),
    (r"pubmed\.ncbi\.nlm\.nih\.gov", r"^/(\d{1,8})/?$", "pmid", "{0}"),
    (r"ncbi\.nlm\.nih\.gov", r"^/(?:m/)?pubmed/(\d{1,8})/?$", "pmid", "{0}"),
    (r"europepmc\.org", r"^/(?:article|abstract)/(?i:med)/(\d{1,8})/?$", "pmid", "{0}"),
    (r"(?:ncbi|pmc\.ncbi)\.nlm\.nih\.gov|europepmc\.org",
     r"^(?:/labs)?(?:/pmc)?/articles?/(?:PMC/)?((?i:pmc)\d{1,9})(?:/.*)?$", "pmc", "{0}"),
    (r"openlibrary\.org", r"^/isbn/([\dXx-]{10,17})(?:\.json)?/?$", "isbn", "{0}"),
)  # fmt: skip


@cache
def _rules() -> tuple[tuple[re.Pattern[str], re.Pattern[str], str, str], ...]:
    """The rules, compiled when the first URL is read: most commands read none."""
    return tuple((re.compile(host), re.compile(path), key, form) for host, path, key, form in _RULES)


# Ids as people write them, without a URL: each bears the name of its service or has a telling form.
_WRITTEN = (
    (rf"(?:arxiv[:\s]\s*)?({ARXIV_ID}(?:v\d+)?)(?:\s*\[[\w.-]+\](?:\s+\d{{1,2}}\s+\w{{3,9}}\s+\d{{4}})?)?", "arxiv"),
    (rf"(?:doi:?\s*)?({WHOLE_DOI})", "doi"),
    (r"openreview:\s*([\w-]+)", "openreview"),
    (r"pmid:?\s*(\d{1,8})", "pmid"),
    (r"(?:pmcid:?\s*)?(pmc\d{1,9})", "pmc"),
    (r"s2:\s*([0-9a-f]{40})", "s2"),
    (r"(?:s2:\s*)?(corpusid:\s*\d{1,12})", "s2"),
    (r"(?:openalex:\s*)?(w\d{6,12})", "openalex"),
    (r"isbn(?:-1[03])?:?\s*([\dx\s‐-―-]{10,20})", "isbn"),
    (r"(97[89][\d‐-―-]{10,14})", "isbn"),
)


def written(text: str) -> Iterator[tuple[str, str]]:
    """The key and value of the id that a text without a URL may be."""
    for pattern, key in _WRITTEN:
        if m := re.fullmatch(pattern, text, re.I):
            yield key, m[1]


_OPENREVIEW_PAGES = r"/(forum|pdf|notes|attachment|revisions)/?"


def paper_at(host: str, path: str, query: Mapping[str, str]) -> tuple[str, str] | None:
    """The key and value of the id of a paper that a URL names. `host` without www., `path` unquoted."""
    for place, pattern, key, form in _rules():
        if place.fullmatch(host) and (m := pattern.match(path)):
            return key, form.format(*m.groups())
    if re.fullmatch(r"(api2?\.)?openreview\.net", host) and re.fullmatch(_OPENREVIEW_PAGES, path):
        id = query.get("id") or query.get("forum") or ""
        return ("openreview", id) if re.fullmatch(r"[\w-]+", id) else None
    if host == "journals.plos.org" and re.fullmatch(WHOLE_DOI, query.get("id", "")):
        return "doi", query["id"]
    if "/doi/" in path or re.fullmatch(_DOI_HOST, host):
        return _doi_in(host, path)
    return None


def _doi_in(host: str, path: str) -> tuple[str, str] | None:
    m = re.search(rf"/({WHOLE_DOI})$", re.split(r"[\s\"]", path.rstrip("/"))[-1])  # a DOI has neither
    if not m:
        return None
    doi, view = m[1], ""
    while doi != view:
        view, doi = doi, re.sub(_DOI_PAGE, "", doi, flags=re.I)
    if host.endswith("rxiv.org"):
        doi = re.sub(r"v\d+$", "", doi)
    return ("doi", doi) if re.fullmatch(WHOLE_DOI, doi) else None


_VERSION = re.compile(r"v\d+$")


def plain_arxiv(text: str) -> str:
    """An arXiv id as arXiv writes it: no version, no subject class (math.GT/0309136 is math/0309136)."""
    archive, slash, number = _VERSION.sub("", text).lower().rpartition("/")
    return archive.partition(".")[0] + slash + number


def plain_doi(text: str) -> str:
    """A DOI in small letters, without the punctuation of the sentence around it."""
    return without_punctuation(text).casefold()


def plain_key(text: str) -> str:
    """A citation key without what BibTeX and \\cite take for its end."""
    return re.sub(r"[\s\"#%'(),={}~\\@\x00-\x1f\x7f]", "", text)


def without_punctuation(text: str) -> str:
    """A URL or an id without the punctuation of the sentence and the Markdown behind it; a bracket that closes one of
    its own stays."""
    extra = {b: text.count(b) - text.count(a) for a, b in _PAIRS}
    end = len(text)
    while end and (text[end - 1] in ".,;:!?'\"*_`" or extra.get(text[end - 1], 0) > 0):
        end -= 1
        if text[end] in extra:
            extra[text[end]] -= 1
    return text[:end]


_PAIRS = (("(", ")"), ("[", "]"), ("{", "}"), ("<", ">"))


def isbn13(text: str) -> str:
    """An ISBN as its thirteen digits; '' where the check digit is not right."""
    digits = re.sub(r"[\s‐-―-]", "", text).upper()
    if re.fullmatch(r"\d{9}[\dX]", digits, re.ASCII):
        total = sum((10 - n) * (10 if c == "X" else int(c)) for n, c in enumerate(digits))
        return _with_check(f"978{digits[:9]}") if total % 11 == 0 else ""
    whole = re.fullmatch(r"97[89]\d{10}", digits, re.ASCII)
    return digits if whole and _with_check(digits[:12]) == digits else ""


def _with_check(digits: str) -> str:
    return digits + str(-sum(int(c) * (3 if n % 2 else 1) for n, c in enumerate(digits)) % 10)


_ABSTRACT = r"(?:https?://)?(?:www\.)?arxiv\.org/(?:abs|pdf|html)/"


def fault(text: str) -> str:
    """Why a text that has the look of an id is none, with the remedy; '' where nothing can be said against it."""
    text = text.strip().strip("<>")
    url = re.match(r"https?://", text, re.I)
    if url and not re.match(r"https?://(?:[^/?#@]*@)?(?:[^\s/?#\[\]:]|\[[0-9a-f:.]+\])", text, re.I):
        return f"'{text}' names no host; give the whole URL"
    bare = re.match(r"(?:arxiv:\s*)?(\d{4})\.(\d+)(?:v\d+)?(?:\s*\[[\w.-]+\].*)?$", text, re.I)
    linked = re.match(
        r"https?://(?:www\.)?arxiv\.org/(?:abs|pdf|html)/(\d{4})\.(\d+)(?:v\d+)?(?:\.pdf)?/?$", text, re.I
    )
    if m := bare or linked:
        return _arxiv_fault(text, m[1], m[2])
    old = re.match(rf"(?:arxiv:\s*|{_ABSTRACT})?(?:{_ARCHIVES})(?:\.[a-z-]+)?/\d+(?:v\d+)?$", text, re.I)
    if (old or re.match(r"arxiv:", text, re.I)) and not re.search(rf"(?:^|[:/\s]){ARXIV_ID}", text, re.I):
        return f"'{text}' is no arXiv id; they look like 2006.11239 or hep-th/9901001"
    if re.match(r"(doi:\s*)?10\.\d+", text, re.I) and not re.match(rf"(doi:\s*)?{WHOLE_DOI}$", text, re.I):
        return f"'{text}' is no DOI; they look like 10.1109/5.726791"
    m = re.match(r"isbn(?:-1[03])?:?\s*(.+)|(97[89]-?\d[\d-]+)$", text, re.I)
    if m and not isbn13(m[1] or m[2]):
        return f"'{text}' is no ISBN: its length or its check digit is not right; check the number"
    if re.match(r"(s2|corpusid|pmid|pmcid|openalex|acl|openreview):", text, re.I):
        return _named_fault(text)
    return ""


def _arxiv_fault(text: str, first: str, number: str) -> str:
    if re.fullmatch(ARXIV_ID, f"{first}.{number}"):
        return ""
    month, digits = first[2:], 4 if int(first) < 1500 else 5
    if not re.fullmatch(_MONTH, month):
        why = f"there is no month {month}"
    elif len(number) != digits:
        why = f"an id of 20{first[:2]} ends in {digits} digits"
    else:
        why = "there were none of this form before April 2007"
    return f"'{text}' is no arXiv id: {why}; they look like 2006.11239 or hep-th/9901001"


_NAMED = {
    "s2": (r"([0-9a-f]{40}|CorpusID:\d{1,12})", "40 hexadecimal digits"),
    "corpusid": (r"\d{1,12}", "a number"),
    "pmid": (r"\d{1,8}", "a number of up to 8 digits"),
    "pmcid": (r"(pmc)?\d{1,9}", "PMC and a number"),
    "openalex": (r"w\d{4,12}", "W and a number"),
    "acl": (ACL_ID, "like 2020.acl-main.1 or P18-1001"),
    "openreview": (r"[\w-]+", "what stands behind id= in its URL"),
}


def _named_fault(text: str) -> str:
    name, _, value = text.partition(":")
    pattern, form = _NAMED[name.lower()]
    return "" if re.fullmatch(pattern, value.strip(), re.I) else f"'{text}' is no such id: it is {form}; check it"
