"""The ids of works: what a URL, an arXiv id or a DOI refers to, and slugs for file names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from kb.id_rules import ACL_ID as ACL_ID
from kb.id_rules import ARXIV_ID as ARXIV_ID
from kb.id_rules import DOI as DOI
from kb.id_rules import fault as fault
from kb.id_rules import isbn13, paper_at, plain_arxiv, plain_doi, written
from kb.names import fold as fold
from kb.vocabulary import PAPER_KEYS as PAPER_KEYS
from kb.vocabulary import SERVICES as SERVICES

_LONGEST = 16_384  # characters of a URL; few servers take half of it
_TRACKING = re.compile(r"^(utm_.*|fbclid|gclid|ref_src|usp|igsh|mc_[ce]id)$")
_SHORTENERS = {"t.co", "lnkd.in", "bit.ly", "tinyurl.com", "goo.gl", "buff.ly", "ow.ly"}
_FILE = re.compile(r"[^/]+\.(md|txt|pdf|html?|py|ipynb|png|jpe?g|gif|svg|bib|csv|json|ya?ml|tex|zip|gz)", re.I)
_SOCIAL = {"twitter.com", "x.com", "mobile.twitter.com", "threads.net", "bsky.app", "linkedin.com", "mastodon.social"}


@dataclass(frozen=True)
class Source:
    """One way to name a work: `key` is a front-matter key (one of PAPER_KEYS, url, code, video), `value` what is stored
    under it, `at` the place a link points to inside the work (a video's "35:38")."""

    key: str
    value: str
    at: str = ""

    @property
    def token(self) -> str:
        """The same for every spelling of the same reference: what duplicates are found by."""
        if self.key == "arxiv":
            return f"arxiv:{plain_arxiv(self.value)}"
        if self.key in PAPER_KEYS and self.key != "openreview":
            return f"{self.key}:{self.value.casefold()}"
        return url_token(self.url)

    @property
    def url(self) -> str:
        return source_url(self.key, self.value)


_PAGES = {
    "arxiv": "https://arxiv.org/abs/{}",
    "doi": "https://doi.org/{}",
    "acl": "https://aclanthology.org/{}",
    "openreview": "https://openreview.net/forum?id={}",
    "pmid": "https://pubmed.ncbi.nlm.nih.gov/{}/",
    "pmc": "https://pmc.ncbi.nlm.nih.gov/articles/{}/",
    "s2": "https://www.semanticscholar.org/paper/{}",
    "openalex": "https://openalex.org/{}",
    "isbn": "https://openlibrary.org/isbn/{}",
}


def source_url(key: str, value: str) -> str:
    """The page a front-matter id leads to."""
    if key == "s2" and not re.fullmatch(r"[0-9a-f]{40}", value):
        return f"https://api.semanticscholar.org/{value}"
    return _PAGES[key].format(value) if key in _PAGES else value


def identify(text: str) -> Source | None:
    """What a reference names: an arXiv, ACL, OpenReview, PubMed, Semantic Scholar or OpenAlex id, a DOI or an ISBN, any
    of their URLs, a Hugging Face paper, a repository, a video, any other URL. None if the text is no reference."""
    text = text.strip().strip("<>").strip()
    if len(text) > _LONGEST:
        return None
    if re.match(r"https?://", text, re.I):
        return _identify_url(text)
    if m := re.fullmatch(rf"(?:(?i:acl):\s*)?({ACL_ID})", text):
        return Source("acl", m[1])
    for key, value in written(text):
        if source := _source(key, value):
            return source
    if _FILE.fullmatch(text) or " " in text:
        return None
    if not re.match(r"[a-z0-9][\w-]*(\.[\w-]+)*\.[^\W\d_][\w-]+(:\d{1,5})?([/?#]|$)", text, re.I):
        return None
    return _identify_url("https://" + text)  # a link without a scheme, as people paste them


def _source(key: str, value: str) -> Source | None:
    """The source of an id as its service writes it."""
    if key == "arxiv":
        return Source("arxiv", plain_arxiv(value))
    if key == "doi":
        doi = plain_doi(value)
        m = re.fullmatch(rf"10\.48550/arxiv\.({ARXIV_ID})(v\d+)?", doi, re.I)
        return Source("arxiv", plain_arxiv(m[1])) if m else Source("doi", doi)  # DataCite's DOI of an arXiv paper
    if key == "isbn":
        return Source("isbn", isbn) if (isbn := isbn13(value)) else None
    if key == "pmc":  # PubMed Central has pages, and most of its works have a PubMed id besides
        return Source("url", source_url("pmc", value.upper()))
    if key == "s2" and (m := re.fullmatch(r"corpusid:\s*(\d+)", value, re.I)):
        return Source("s2", f"CorpusID:{m[1]}")
    return Source(
        key, {"openalex": value.upper(), "s2": value.lower(), "pmid": value.lstrip("0") or "0"}.get(key, value)
    )


def _identify_url(url: str) -> Source | None:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:  # a bracket that opens no IPv6 address
        return Source("url", url)
    if not host:
        return None
    path, query = unquote(parts.path), dict(parse_qsl(parts.query))
    if (found := paper_at(host, path, query)) and (source := _source(*found)):
        return source
    if host == "api.semanticscholar.org" and (m := re.search(r"/paper/(.+)$", path)):
        rest = re.sub(r"^url:", "", m[1], flags=re.I)
        return identify(rest) or identify(f"s2:{rest}") or Source("url", canonical_url(url))
    if video := _youtube_id(host, path, query):
        return Source("video", f"https://www.youtube.com/watch?v={video}", _clock(query.get("t") or query.get("start")))
    if host == "github.com" and (m := re.fullmatch(r"/([\w.-]+)/([\w.-]+?)(\.git)?/?", path)):
        return Source("code", f"https://github.com/{m[1]}/{m[2]}")
    return Source("url", canonical_url(url))


def _youtube_id(host: str, path: str, query: dict[str, str]) -> str:
    if host == "youtu.be":
        return path.strip("/")
    if host in ("youtube.com", "m.youtube.com"):
        if path == "/watch":
            return query.get("v", "")
        if m := re.match(r"/(?:live|embed|shorts)/([\w-]+)", path):
            return m[1]
    return ""


def _clock(seconds: str | None) -> str:
    """'2138s' or '2138' -> '35:38'; '1h2m3s' -> '1:02:03'; anything else -> ''."""
    m = re.fullmatch(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s?)?", seconds or "")
    total = sum(int(n or 0) * unit for n, unit in zip(m.groups(), (3600, 60, 1), strict=True)) if m else 0
    if not total:
        return ""
    minutes, s = divmod(total, 60)
    h, minutes = divmod(minutes, 60)
    return f"{h}:{minutes:02}:{s:02}" if h else f"{minutes}:{s:02}"


def canonical_url(url: str) -> str:
    """The URL without what only says how somebody came to it (tracking and sharing parameters)."""
    url = url.strip()
    base, hash_, fragment = url.partition("#")
    path, mark, query = base.partition("?")
    kept = [(k, v) for k, v in parse_qsl(query, keep_blank_values=True) if not _TRACKING.match(k)]
    if len(kept) != len(parse_qsl(query, keep_blank_values=True)):
        base = path + ("?" + urlencode(kept) if kept else "")
    return base + (hash_ + fragment if fragment else "")


def url_token(url: str) -> str:
    """Equal for URLs that lead to the same page: no scheme, www, trailing slash or tracking; host in lower case."""
    bare = re.sub(r"^https?://(www\.|m\.|mobile\.)?", "", canonical_url(url), flags=re.I)
    host, slash, rest = bare.partition("/")
    host = {"x.com": "twitter.com", "hf.co": "huggingface.co"}.get(host.lower(), host.lower())
    if host == "github.com":  # owner and repository are not case sensitive, paths below them are
        owner, _, deeper = rest.partition("/")
        repo, _, deeper = deeper.partition("/")
        rest = "/".join(filter(None, (owner.lower(), repo.lower(), deeper)))
    return f"{host}/{rest}".rstrip("/")


def is_shortener(url: str) -> bool:
    """True where a URL hides the one it leads to (t.co, lnkd.in)."""
    return _host(url) in _SHORTENERS


def is_social(url: str) -> bool:
    """True for posts on social networks: where a work was seen, seldom the work."""
    return _host(url) in _SOCIAL


def _host(url: str) -> str:
    m = re.match(r"https?://(?:www\.)?([^/?#]+)", url, re.I)
    return m[1].lower() if m else ""


def title_key(title: str) -> str:
    """Equal for titles that differ in case, punctuation or accents only."""
    return " ".join(re.findall(r"[^\W_]+", fold(title).replace("’", "'").replace("'", "")))


def slug(text: str, limit: int = 60) -> str:
    """An ASCII file stem of whole words: 'FlashAttention: Fast and…' -> 'flashattention-fast-and'."""
    words = re.findall(r"[a-z0-9]+", fold(text).replace("’", "").replace("'", "").encode("ascii", "ignore").decode())
    stem = ""
    for word in words:
        if stem and len(stem) + 1 + len(word) > limit:
            break
        stem = f"{stem}-{word}" if stem else word[:limit]
    return stem or "note"
