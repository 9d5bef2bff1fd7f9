"""The documents that services of papers answer with, in the services' forms."""

from __future__ import annotations

import json
from typing import Any

from servers import Reply

SHA = "5c126ae3421f05768d8edd97ecd44b1364e2c99a"


def as_json(document: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(document), status, {"Content-Type": "application/json; charset=utf-8"})


ACL_BIB = r"""@inproceedings{meier-etal-2020-checks,
    title = "Checks for {NLP} Models: A {B}ig {L}ist",
    author = {Meier, J{\"u}rgen  and
      Wu, Li},
    editor = "Chai, Joyce",
    booktitle = "Proceedings of the 58th Annual Meeting of the Association for Computational Linguistics",
    month = jul,
    year = "2020",
    address = "Online",
    publisher = "Association for Computational Linguistics",
    url = "https://aclanthology.org/2020.acl-main.442/",
    doi = "10.18653/v1/2020.acl-main.442",
    pages = "4902--4912",
    abstract = "Accuracy is 100{\%} not enough. Code: https://github.com/meier/checks."
}
"""
ACL_VOLUME = """@proceedings{acl-2019-association,
    title = "Proceedings of the 57th Annual Meeting of the Association for Computational Linguistics",
    editor = "Korhonen, Anna",
    month = jul,
    year = "2019",
    publisher = "Association for Computational Linguistics",
    url = "https://aclanthology.org/P19-1000/"
}
"""

OPENREVIEW_2 = {
    "notes": [
        {
            "id": "abcDEF_12-3",
            "forum": "abcDEF_12-3",
            "number": 7,
            "cdate": 1695373500000,
            "pdate": 1705409999000,
            "content": {
                "title": {"value": "Learning to\n Learn"},
                "authors": {"value": ["Ada Byron", "Bo  Li"]},
                "authorids": {"value": ["~Ada_Byron1", "~Bo_Li2"]},
                "keywords": {"value": ["learning"]},
                "abstract": {"value": "We learn. See https://github.com/ada/learn for code."},
                "venue": {"value": "ICLR 2024 poster"},
                "venueid": {"value": "ICLR.cc/2024/Conference"},
                "pdf": {"value": "/pdf/0123abcd.pdf"},
                "_bibtex": {"value": "@inproceedings{byron2024learning}"},
            },
        }
    ],
    "count": 1,
}
OPENREVIEW_1 = {
    "notes": [
        {
            "id": "rJ4km2R5t7",
            "forum": "rJ4km2R5t7",
            "cdate": 1538087999000,
            "content": {
                "title": "A Benchmark",
                "authors": ["Ada Byron"],
                "abstract": "Nine tasks.",
                "venue": "Submitted to ICLR 2019",
                "pdf": "https://arxiv.org/pdf/1804.07461.pdf",
            },
        }
    ]
}
OPENREVIEW_NONE = {"name": "NotFoundError", "message": "The Note xyz was not found", "status": 404, "details": {}}

S2: dict[str, Any] = {
    "paperId": SHA,
    "externalIds": {
        "MAG": "3100572490",
        "ArXiv": "2006.11239",
        "DBLP": "conf/nips/HoJA20",
        "DOI": "10.5555/3495724.3496298",
        "PubMed": "23193287",
        "PubMedCentral": "3531190",
        "CorpusId": 219955663,
    },
    "title": "Denoising Diffusion Probabilistic Models",
    "abstract": "We present results.",
    "venue": "Neural Information Processing Systems",
    "publicationVenue": {"id": "d9720b90", "name": "Neural Information Processing Systems", "type": "conference"},
    "journal": {"volume": "abs/2006.11239", "name": "ArXiv"},
    "year": 2020,
    "publicationDate": "2020-06-19",
    "publicationTypes": ["JournalArticle", "Conference"],
    "openAccessPdf": {"url": "https://proceedings.example.org/ddpm.pdf", "status": "GREEN"},
    "authors": [{"authorId": "2126278", "name": "Jonathan Ho"}, {"authorId": None, "name": "Ajay Jain"}],
}

OPENALEX: dict[str, Any] = {
    "id": "https://openalex.org/W2741809807",
    "doi": "https://doi.org/10.7717/peerj.4375",
    "title": "The state of <i>OA</i>",
    "display_name": "The state of <i>OA</i>",
    "publication_year": 2018,
    "publication_date": "2018-02-13",
    "ids": {
        "openalex": "https://openalex.org/W2741809807",
        "doi": "https://doi.org/10.7717/peerj.4375",
        "mag": "2741809807",
        "pmid": "https://pubmed.ncbi.nlm.nih.gov/29456894",
        "pmcid": "https://www.ncbi.nlm.nih.gov/pmc/articles/5815332",
    },
    "type": "article",
    "primary_location": {
        "is_oa": True,
        "landing_page_url": "https://doi.org/10.7717/peerj.4375",
        "pdf_url": None,
        "source": {"id": "https://openalex.org/S1983995261", "display_name": "PeerJ", "type": "journal"},
    },
    "best_oa_location": {"pdf_url": "https://peerj.com/articles/4375.pdf", "source": None},
    "locations": [
        {"landing_page_url": "http://arxiv.org/abs/1801.00001", "source": {"display_name": "arXiv (Cornell)"}},
    ],
    "authorships": [
        {"author_position": "first", "author": {"id": "https://openalex.org/A1", "display_name": "Heather Piwowar"}},
        {"author_position": "last", "author": {"display_name": "Jason Priem"}},
    ],
    "abstract_inverted_index": {"Despite": [0], "interest": [1, 3], "in": [2], "OA": [4]},
}

PUBMED = """<?xml version="1.0" ?>
<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2025//EN" \
"https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_250101.dtd">
<PubmedArticleSet>{}</PubmedArticleSet>"""
PUBMED_ARTICLE = """<PubmedArticle><MedlineCitation Status="MEDLINE" Owner="NLM"><PMID Version="1">23193287</PMID>
<Article PubModel="Print-Electronic"><Journal><ISSN IssnType="Electronic">1362-4962</ISSN>
<JournalIssue CitedMedium="Internet"><Volume>41</Volume><PubDate><Year>2013</Year><Month>Jan</Month></PubDate>
</JournalIssue><Title>Nucleic acids research</Title></Journal>
<ArticleTitle>Gen<i>Bank</i>.</ArticleTitle>
<ELocationID EIdType="doi" ValidYN="Y">10.1093/nar/gks1195</ELocationID>
<Abstract><AbstractText Label="BACKGROUND" NlmCategory="BACKGROUND">A database of H<sub>2</sub>O.</AbstractText>
<AbstractText Label="RESULTS">It grows.</AbstractText></Abstract>
<AuthorList CompleteYN="Y"><Author ValidYN="Y"><LastName>Benson</LastName><ForeName>Dennis A</ForeName>
<Initials>DA</Initials></Author><Author><LastName>van der Berg</LastName><ForeName>Jo</ForeName></Author>
<Author><CollectiveName>GenBank Consortium</CollectiveName></Author></AuthorList>
<ArticleDate DateType="Electronic"><Year>2012</Year><Month>11</Month><Day>27</Day></ArticleDate></Article>
</MedlineCitation><PubmedData><ArticleIdList><ArticleId IdType="pubmed">23193287</ArticleId>
<ArticleId IdType="pmc">PMC3531190</ArticleId><ArticleId IdType="doi">10.1093/nar/gks1195</ArticleId>
</ArticleIdList></PubmedData></PubmedArticle>"""
PUBMED_OLD = """<PubmedArticle><MedlineCitation><PMID Version="1">9999</PMID><Article><Journal><JournalIssue>
<PubDate><MedlineDate>1998 Dec-1999 Jan</MedlineDate></PubDate></JournalIssue><Title>Annalen</Title></Journal>
<ArticleTitle>[On old things.]</ArticleTitle></Article></MedlineCitation></PubmedArticle>"""
PMC_SUMMARY: dict[str, Any] = {
    "header": {"type": "esummary", "version": "0.3"},
    "result": {
        "uids": ["3531190"],
        "3531190": {
            "uid": "3531190",
            "pubdate": "2013 Jan",
            "epubdate": "2012 Nov 27",
            "source": "Nucleic Acids Res",
            "fulljournalname": "Nucleic Acids Research",
            "authors": [{"name": "Benson DA", "authtype": "Author"}, {"name": "GenBank", "authtype": "CollectiveName"}],
            "title": "GenBank",
            "articleids": [
                {"idtype": "pmid", "value": "23193287"},
                {"idtype": "doi", "value": "10.1093/nar/gks1195"},
                {"idtype": "pmcid", "value": "PMC3531190"},
            ],
        },
    },
}

BOOK = {
    "ISBN:9780262035613": {
        "url": "https://openlibrary.org/books/OL26401795M/Deep_Learning",
        "title": "Deep Learning",
        "subtitle": "A Text",
        "authors": [{"url": "https://openlibrary.org/authors/OL1A", "name": "Ian Goodfellow"}],
        "publishers": [{"name": "MIT Press"}],
        "publish_date": "Nov 18, 2016",
    }
}

CROSSREF = {
    "type": "journal-article",
    "title": "Fine <i>Tuning</i> &amp; more",
    "subtitle": ["A study"],
    "author": [{"given": "Ada", "family": "Byron"}],
    "issued": {"date-parts": [[2021, 3, 4]]},
    "container-title": "Nature Methods",
    "publisher": "Springer",
    "abstract": "<jats:title>Abstract</jats:title><jats:p>We tune. https://github.com/ada/tune</jats:p>",
    "DOI": "10.1038/s41592-021-0001-1",
    "link": [
        {"URL": "https://api.elsevier.com/x", "content-type": "application/pdf"},
        {"URL": "https://www.nature.com/articles/x.pdf", "content-type": "application/pdf"},
    ],
    "relation": {
        "has-preprint": [
            {"id-type": "doi", "id": "10.1101/2020.01.01.123456", "asserted-by": "object"},
            {"id-type": "doi", "id": "10.48550/arXiv.2001.00001", "asserted-by": "object"},
        ]
    },
}
PREPRINT = {
    "type": "posted-content",
    "subtype": "preprint",
    "title": "Fine tuning",
    "author": [{"given": "Ada", "family": "Byron"}],
    "issued": {"date-parts": [[2020, 1, 2]]},
    "institution": [{"name": "bioRxiv"}],
    "container-title": [],
    "DOI": "10.1101/2020.01.01.123456",
    "relation": {"is-preprint-of": [{"id-type": "doi", "id": "10.1038/s41592-021-0001-1"}]},
}
DATACITE = {
    "type": "dataset",
    "id": "https://doi.org/10.5281/zenodo.1234",
    "categories": ["images"],
    "author": [{"family": "Byron", "given": "Ada"}, {"literal": "The Images Team"}],
    "issued": {"date-parts": [[2019]]},
    "abstract": "A set of <p>images</p>.",
    "DOI": "10.5281/ZENODO.1234",
    "publisher": "Zenodo",
    "title": "Images",
    "version": "1.0",
}
