"""PubMed, and PubMed Central, by NCBI's E-utilities: many ids in one request, three requests a second. KB_PUBMED_API
names another place than NCBI's own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from kb.formats.days import MONTHS
from kb.ids import Source, identify, source_url
from kb.problem import KbError
from kb.sources import Answer, Metadata, fields
from kb.sources.fields import line, listed, mapping, text_of
from kb.sources.http import MEBIBYTE, Client, Gone, Page, Unreachable, mailto

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET

name = "pmid"
API = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils"
_CENTRAL = "https://pmc.ncbi.nlm.nih.gov/articles/"
_XML = "application/xml"
_GAP = 0.4
_BATCH = 100


def matches(source: Source) -> bool:
    return source.key == "pmid" or source.url.startswith(_CENTRAL)


def fetch(sources: Sequence[Source], client: Client) -> Iterator[Answer]:
    plain = [source for source in sources if source.key == "pmid"]
    known = {
        id: kept
        for id in (s.value for s in plain)
        if (kept := client.recall(_efetch([id]), partial(_read_one, id), _XML))
    }
    yield from ((source, known[source.value]) for source in plain if source.value in known)
    fresh = [source for source in plain if source.value not in known]
    for start in range(0, len(fresh), _BATCH):
        batch = fresh[start : start + _BATCH]
        try:
            found = _articles([source.value for source in batch], client)
        except KbError as error:
            yield from ((source, error) for source in batch)
            continue
        for source in batch:
            missing = KbError(f"PubMed has no such id: {source.value}; check it at {source.url}")
            yield source, found.get(source.value, missing)
    for source in sources:
        if source.key != "pmid":
            yield source, _from_central(source, client)


def _address(program: str, **query: str) -> str:
    who = {"tool": "kb"} | ({"email": mailto()} if mailto() else {})
    base = os.environ.get("KB_PUBMED_API") or API
    return f"{base}/{program}.fcgi?{urlencode(query | who, safe=',')}"


def _efetch(ids: Sequence[str]) -> str:
    return _address("efetch", db="pubmed", id=",".join(ids), retmode="xml")


def _read_one(id: str, page: Page) -> Metadata | None:
    return _read(page).get(id)


def _articles(ids: Sequence[str], client: Client) -> dict[str, Metadata]:
    """The articles of one answer by their id; each is kept by itself, whatever it is asked with next time."""
    import xml.etree.ElementTree as ET

    try:
        page = client.get(_efetch(ids), _XML, limit=16 * MEBIBYTE, gap=_GAP)
    except Gone:
        raise Unreachable("PubMed's E-utilities are not where they were; try again later") from None
    if page.status == 400 and len(ids) > 1:  # one that is none fails them all
        return {id: meta for one in ids for id, meta in _articles([one], client).items()}
    if page.status == 400:
        return {}
    found = _read(page)
    for article in fields.read_xml(page, "PubMed"):
        id = _id(article)
        if id in ids and id in found:
            alone = b"<PubmedArticleSet>" + ET.tostring(article) + b"</PubmedArticleSet>"
            client.remember(_efetch([id]), Page(page.url, 200, page.content_type, alone), _XML)
    return found


def _read(page: Page) -> dict[str, Metadata]:
    root = fields.read_xml(page, "PubMed")
    if page.status >= 400 or root.tag != "PubmedArticleSet":
        raise Unreachable(f"PubMed's answer cannot be used ({page.status}, {root.tag[:40]}); try again later")
    found = {_id(article): _metadata(article) for article in root}
    return {id: meta for id, meta in found.items() if id and meta.get("title")}


def _id(article: ET.Element) -> str:
    return text_of(article.find("MedlineCitation/PMID")) or text_of(article.find("BookDocument/PMID"))


def _metadata(record: ET.Element) -> Metadata:
    book = record.find("BookDocument")
    article = book if book is not None else record.find("MedlineCitation/Article")
    if article is None:
        return {}
    title = text_of(article.find("ArticleTitle")) or text_of(article.find("VernacularTitle"))
    title = title or text_of(article.find("Book/BookTitle"))
    journal = text_of(article.find("Journal/Title")) or text_of(article.find("Book/BookTitle"))
    published = _date(article.find("Journal/JournalIssue/PubDate")) or _date(article.find("ArticleDate"))
    published = published or _date(article.find("Book/PubDate")) or _date(article.find("ContributionDate"))
    abstract = _abstract(article)
    meta: Metadata = {
        "title": re.sub(r"^\[(.+)\]$", r"\1", re.sub(r"(?<!\.)\.(\]?)$", r"\1", title)),  # [Title.]: not in English
        "kind": "paper",
        "authors": [who for author in article.iterfind("AuthorList/Author") if (who := _author(author))],
        "venue": journal if journal != title else "",
        "code": fields.code_link(abstract),
        "abstract": abstract,
        **fields.when(published),
    }
    return _ids(record, article) | fields.known(meta)


def _author(author: ET.Element) -> Any:
    if group := text_of(author.find("CollectiveName")):
        return {"literal": group} if " " in group else group
    given = text_of(author.find("ForeName")) or text_of(author.find("Initials"))
    return fields.person(given, text_of(author.find("LastName")), text_of(author.find("Suffix")))


def _abstract(article: ET.Element) -> str:
    """The parts of an abstract, each with its label."""
    parts = []
    for part in article.iterfind("Abstract/AbstractText"):
        label, text = (part.get("Label") or "").strip(), text_of(part)
        shown = f"{label.capitalize()}: {text}" if label and label != "UNLABELLED" else text
        parts += [shown] if text else []
    return " ".join(parts)


def _date(found: ET.Element | None) -> str:
    if found is None:
        return ""
    year, month = text_of(found.find("Year")), text_of(found.find("Month"))[:3].lower()
    if not year:  # '1998 Dec-1999 Jan'
        return fields.date(text_of(found.find("MedlineDate"))[:4])
    number = str(MONTHS.index(month) + 1) if month in MONTHS else month
    return fields.date("-".join(filter(None, (year, number, text_of(found.find("Day")) if number else ""))))


def _ids(record: ET.Element, article: ET.Element) -> Metadata:
    told = [(e.get("IdType"), text_of(e)) for e in record.iterfind("PubmedData/ArticleIdList/ArticleId")]
    told += [(e.get("EIdType"), text_of(e)) for e in article.iterfind("ELocationID")]
    return _named(told) | {"pmid": _id(record)}


def _named(told: Sequence[tuple[str | None, str]]) -> Metadata:
    found: Metadata = {}
    for kind, value in told:
        form = {"doi": "doi:{}", "pmc": "{}", "pmcid": "{}", "pmid": "pmid:{}"}.get(kind or "", "")
        source = identify(form.format(value))
        if source and source.key in ("doi", "arxiv", "pmid"):
            found.setdefault(source.key, source.value)
        elif source and source.url.startswith(_CENTRAL):
            found |= {"also": [source.url], "pdf": f"{source.url}pdf/"}
    return found


# PubMed Central


def _from_central(source: Source, client: Client) -> Metadata | KbError:
    """What Central's summary tells, and PubMed's record of the same article where there is one."""
    number = source.url.removeprefix(_CENTRAL).strip("/").removeprefix("PMC")
    own = {"url": source.url}
    try:
        found = client.ask(
            _address("esummary", db="pmc", id=number, retmode="json"), lambda page: _summary(page, number), gap=_GAP
        )
    except Gone:
        return KbError(f"PubMed Central has no such article: PMC{number}; check it at {source.url}")
    except KbError as error:
        return error
    try:
        article = next(iter(_of_pubmed(found.get("pmid"), client)), {})
    except KbError:  # Central's own summary is enough for a note
        article = {}
    joined = found | article | own
    joined["also"] = [url for url in joined.get("also", []) if url != source.url]
    return fields.known(joined)


def _of_pubmed(id: str | None, client: Client) -> list[Metadata]:
    if not id:
        return []
    kept = client.recall(_efetch([id]), partial(_read_one, id), _XML)
    return [kept] if kept else list(_articles([id], client).values())


def _summary(page: Page, number: str) -> Metadata:
    result = mapping(mapping(fields.read_json(page, "PubMed Central")).get("result"))
    told = mapping(result.get(number))
    if told.get("error"):
        raise Gone(f"PubMed Central has no article {number}")
    if page.status >= 400 or not line(told.get("title")):
        raise Unreachable(f"PubMed Central's answer cannot be used ({page.status}); try again later")
    people = [_reversed(line(mapping(author).get("name"))) for author in listed(told.get("authors"))]
    day = line(told.get("epubdate")) or line(told.get("pubdate")) or line(told.get("printpubdate"))
    ids = [(line(mapping(i).get("idtype")), line(mapping(i).get("value"))) for i in listed(told.get("articleids"))]
    meta: Metadata = {
        "title": line(told.get("title")).removesuffix("."),
        "kind": "paper",
        "authors": [person for person in people if person],
        "venue": line(told.get("fulljournalname")) or line(told.get("source")),
        "pdf": f"{source_url('pmc', f'PMC{number}')}pdf/",
        **fields.when(_written(day)),
    }
    return _named(ids) | fields.known(meta)


def _reversed(name: str) -> str:
    """'Benson DA' as 'D. A. Benson'."""
    family, _, initials = name.rpartition(" ")
    if not family or not re.fullmatch(r"[A-Z]{1,4}", initials):
        return name
    return f"{' '.join(f'{letter}.' for letter in initials)} {family}"


def _written(day: str) -> str:
    """'2012 Nov 30' in ISO form."""
    year, month, number = (*day.split(), "", "", "")[:3]
    if month[:3].lower() not in MONTHS:
        return fields.date(year)
    return fields.date("-".join(filter(None, (year, str(MONTHS.index(month[:3].lower()) + 1), number))))
