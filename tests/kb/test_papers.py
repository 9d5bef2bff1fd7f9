"""What kb makes of the answers of the services of papers: what each gives, and how each fails."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import servers
import servers_papers as papers
from servers import Reply, Server

from kb.ids import identify
from kb.problem import KbError
from kb.sources import Metadata, fetcher, fields
from kb.sources.http import Client, Unreachable

BASES = {
    "KB_ARXIV_API": "/api/query", "KB_DOI_RESOLVER": "/doi", "KB_ACL_ANTHOLOGY": "/acl", "KB_OPENREVIEW_API": "/or2",
    "KB_OPENREVIEW_API_V1": "/or1", "KB_S2_API": "/s2", "KB_OPENALEX_API": "/alex", "KB_PUBMED_API": "/ncbi",
    "KB_OPENLIBRARY": "/ol",
}  # fmt: skip


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "kb_mailto", "s2_api_key"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with servers.serve() as served:
        for name, path in BASES.items():
            monkeypatch.setenv(name, served.url + path)
        yield served


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client(timeout=5, wait=lambda seconds: None, jitter=lambda: 0)
    yield client
    client.close()


def fetch(client: Client, *texts: str) -> list[Metadata | KbError]:
    sources = [s for text in texts if (s := identify(text))]
    answers = {s.token: answer for s, answer in fetcher(client)(sources)}
    return [answers[s.token] for s in sources]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (" a\n <i>b</i> &amp; c ", "a b & c"),
        (["x", "y"], "x"),
        (2020, "2020"),
        ("<jats:title>Abstract</jats:title><jats:p>We <jats:italic>show</jats:italic></jats:p>", "We show"),
        ("1 < 2 and Optional<T>", "1 < 2 and Optional<T>"),
        *((nothing, "") for nothing in (None, True, 1.5, [], {}, [None], [["x"]], {"value": "x"})),
    ],
)
def test_one_line_of_text(value: object, text: str) -> None:
    assert fields.line(value) == text


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("2020-06-19T00:00:00Z", "2020-06-19"),
        ("2020-6-9", "2020-06-09"),
        ("2020-06", "2020-06"),
        ("2020-13-01", "2020"),
        ("2020-02-30", "2020"),
        *((nothing, "") for nothing in ("0020-01-01", "20200619", "", None, 2020, ["2020"])),
    ],
)
def test_dates(value: object, date: str) -> None:
    assert fields.date(value) == date


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("Code: https://github.com/a/b.", "https://github.com/a/b"),
        ("at \\url{https://github.com/a\\_b/c-d.git}", "https://github.com/a_b/c-d"),
        ("see www.github.com/a/b/tree/main, or", "https://github.com/a/b"),
        ("(gitlab.com/a/b)", "https://gitlab.com/a/b"),
        ("https://github.com/a", ""),
        ("https://mygithub.com/a/b", ""),
    ],
)
def test_links_to_code(text: str, link: str) -> None:
    assert fields.code_link(text) == link


# arXiv


def test_arxiv_tells_venue_and_code_of_the_comment(server: Server, client: Client) -> None:
    said = servers.atom_entry(
        "2101.00001v1",
        "X",
        comment="Published as a conference paper at ICLR 2021. Code: https://github.com/a/b.",
    )
    server.pages["/api/query"] = servers.arxiv(said)
    (found,) = fetch(client, "2101.00001")
    assert isinstance(found, dict)
    assert (found["venue"], found["code"], found["pdf"]) == (
        "ICLR 2021",
        "https://github.com/a/b",
        "https://arxiv.org/pdf/2101.00001",
    )


@pytest.mark.parametrize(
    ("comment", "venue"),
    [
        ("NeurIPS '20", "NeurIPS 2020"),
        ("To appear in CVPR", "CVPR"),
        ("accepted by icml, 2024", "ICML 2024"),
        ("Accepted at the ICML 2023 workshop on data", ""),
        ("Submitted to ICLR 2026", ""),
        ("12 pages, 3 figures", ""),
        ("Extended version of our ACL paper", ""),
    ],
)
def test_venues_in_comments(comment: str, venue: str) -> None:
    assert fields.said_venue(comment) == venue


def test_the_beginning_of_a_comment_is_looked_at_and_no_more() -> None:
    """Each `accept` may be searched to the end: minutes for what a broken service could answer."""
    assert fields.said_venue("accepted at ICML" + " x" * 20_000) == "ICML"
    assert fields.said_venue("accept " * 20_000 + "at ICML") == ""


def test_arxiv_asks_the_doi_for_the_place_of_publication(server: Server, client: Client) -> None:
    doi = "10.1038/s41592-021-0001-1"
    server.pages["/api/query"] = servers.arxiv(
        servers.atom_entry("2001.00001v2", "Fine Tuning & More: a Study", published="2020-01-01", doi=doi),
        servers.atom_entry("2001.00002v1", "Another thing", doi=doi),
        servers.atom_entry("2001.00003v1", "A third", doi="10.1000/silent"),
    )
    server.pages[f"/doi/{doi}"] = papers.as_json(papers.CROSSREF)
    server.pages["/doi/10.1000/silent"] = Reply("", 503)
    same, other, silent = fetch(client, "2001.00001", "2001.00002", "2001.00003")
    assert isinstance(same, dict) and isinstance(other, dict) and isinstance(silent, dict)
    assert (same["venue"], same["year"], same["doi"], same["arxiv"]) == ("Nature Methods", 2021, doi, "2001.00001")
    assert "venue" not in other and "venue" not in silent and silent["doi"] == "10.1000/silent"


def test_arxiv_ids_with_and_without_a_class_are_one(server: Server, client: Client) -> None:
    server.pages["/api/query"] = servers.arxiv(servers.atom_entry("math/0309136v1", "Y"))
    (found,) = fetch(client, "math.GT/0309136")
    assert isinstance(found, dict) and found["arxiv"] == "math/0309136"
    assert "id_list=math/0309136&" in server.asked[0]


def test_arxiv_leaves_out_a_title_of_zero_and_gives_empty_entries(server: Server, client: Client) -> None:
    zero = servers.atom_entry("2104.12255v1", "0").replace("    <title>0</title>\n", "")
    empty = "<entry><author><name/></author></entry>"
    server.pages["/api/query"] = servers.atom(zero, empty)
    found, missing = fetch(client, "2104.12255", "2012.99999")
    assert isinstance(found, dict) and found["title"] == "0"
    assert str(missing).startswith("arXiv has no such id: 2012.99999")


@pytest.mark.parametrize("body", ["<html><body>Down for maintenance</body></html>", "", "<feed", "\x00\x01"])
def test_an_answer_that_is_no_feed_is_no_verdict_on_the_id(server: Server, client: Client, body: str) -> None:
    server.pages["/api/query"] = Reply(body)
    assert isinstance(fetch(client, "2006.11239")[0], Unreachable)


# DOIs


def test_a_published_paper_and_its_preprints(server: Server, client: Client) -> None:
    server.pages["/doi/10.1038/s41592-021-0001-1"] = papers.as_json(papers.CROSSREF)
    assert fetch(client, "https://www.nature.com/articles/s41592-021-0001-1") == [
        {
            "title": "Fine Tuning & more: A study",
            "kind": "paper",
            "authors": ["Ada Byron"],
            "year": 2021,
            "venue": "Nature Methods",
            "arxiv": "2001.00001",
            "doi": "10.1038/s41592-021-0001-1",
            "also": ["https://doi.org/10.1101/2020.01.01.123456"],
            "pdf": "https://www.nature.com/articles/x.pdf",
            "code": "https://github.com/ada/tune",
            "published": "2021-03-04",
            "abstract": "We tune. https://github.com/ada/tune",
        }
    ]


def test_a_preprint_is_told_as_what_was_published_of_it(server: Server, client: Client) -> None:
    server.pages["/doi/10.1101/2020.01.01.123456"] = papers.as_json(papers.PREPRINT)
    alone, known = fetch(client, "10.1101/2020.01.01.123456"), papers.as_json(papers.CROSSREF)
    server.pages["/doi/10.1038/s41592-021-0001-1"] = known
    both = fetch(client, "https://www.biorxiv.org/content/10.1101/2020.01.01.123456v2.full.pdf")
    assert isinstance(alone[0], dict) and isinstance(both[0], dict)
    assert (alone[0]["doi"], alone[0]["venue"]) == ("10.1101/2020.01.01.123456", "bioRxiv")
    assert (both[0]["doi"], both[0]["venue"], both[0]["year"]) == (
        "10.1038/s41592-021-0001-1",
        "Nature Methods",
        2021,
    )
    assert both[0]["also"] == ["https://doi.org/10.1101/2020.01.01.123456"]


def test_datacite(server: Server, client: Client) -> None:
    server.pages["/doi/10.5281/zenodo.1234"] = papers.as_json(papers.DATACITE)
    (found,) = fetch(client, "10.5281/zenodo.1234")
    assert found == {
        "title": "Images",
        "kind": "dataset",
        "authors": ["Ada Byron", {"literal": "The Images Team"}],
        "year": 2019,
        "doi": "10.5281/zenodo.1234",
        "abstract": "A set of images.",
    }


@pytest.mark.parametrize(
    "odd",
    [
        {"title": ["A", "B"], "author": None, "issued": {"date-parts": [[None]]}},
        {"title": "A", "author": [None, 3, {"family": None}], "issued": {"date-parts": []}},
        {"title": "A", "author": {"family": "x"}, "issued": {"date-parts": [["20x0"]]}, "link": [None]},
        {"title": "A", "issued": {"date-parts": [[99999, 1]]}, "relation": {"has-preprint": {"id": 1}}, "ISBN": 3},
        {"title": "A", "issued": "2020", "container-title": [], "event": [], "type": [], "institution": {}},
    ],
)
def test_odd_csl(server: Server, client: Client, odd: object) -> None:
    server.pages["/doi/10.1000/182"] = papers.as_json(odd)
    assert fetch(client, "10.1000/182") == [{"title": "A", "kind": "paper", "doi": "10.1000/182"}]


def test_acl_dois_tell_the_anthologys_id_and_books_their_isbn(server: Server, client: Client) -> None:
    book = {"title": "B", "type": "book", "ISBN": ["https://id.crossref.org/isbn/9780262035613"]}
    server.pages["/doi/10.18653/v1/p19-1001"] = papers.as_json({"title": "P", "DOI": "10.18653/v1/P19-1001"})
    server.pages["/doi/10.1000/b"] = papers.as_json(book)
    acl, isbn = fetch(client, "10.18653/v1/P19-1001", "10.1000/b")
    assert isinstance(acl, dict) and acl["acl"] == "P19-1001"
    assert isinstance(isbn, dict) and (isbn["isbn"], isbn["kind"]) == ("9780262035613", "book")


def test_a_doi_service_is_told_the_mail_address_if_there_is_one(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pages["/doi/10.1000/182"] = papers.as_json({"title": "A"})
    fetch(client, "10.1000/182")
    monkeypatch.setenv("KB_MAILTO", "ada@example.org")
    fetch(client, "10.1000/182")
    assert ["mailto:ada@example.org" in headers["user-agent"] for headers in server.headers] == [False, True]


def test_a_silent_registrar_is_no_missing_doi(server: Server, client: Client) -> None:
    server.pages["/doi/10.1000/a"] = Reply(status=302, headers={"Location": "/registrar"})
    server.pages["/registrar"] = Reply("", 503, {"Retry-After": "1"})
    server.pages["/doi/10.1000/b"] = Reply(status=302, headers={"Location": "/doi/10.1000/b"})
    silent, round_, gone = fetch(client, "10.1000/a", "10.1000/b", "10.1000/c")
    assert isinstance(silent, Unreachable) and isinstance(round_, Unreachable)
    assert not isinstance(gone, Unreachable) and "there is no such DOI: 10.1000/c" in str(gone)


def test_a_title_that_nobody_can_see_is_none(server: Server, client: Client) -> None:
    server.pages["/doi/10.1000/a"] = papers.as_json({"title": "\u200b\x07"})
    (answer,) = fetch(client, "10.1000/a")
    assert isinstance(answer, Unreachable)
    assert str(answer) == "what https://doi.org/10.1000/a leads to has no title; add one with --title"


def test_wrong_charsets(server: Server, client: Client) -> None:
    item = json.dumps({"title": "Größe", "author": [{"family": "Müller"}]}, ensure_ascii=False)
    bib = papers.ACL_BIB.replace(r"J{\"u}rgen", "Jürgen")
    server.pages["/doi/10.1000/a"] = Reply(item.encode("latin-1"))
    server.pages["/doi/10.1000/b"] = Reply(
        b"\xef\xbb\xbf" + item.encode(), headers={"Content-Type": "x; charset=latin-1"}
    )
    server.pages["/acl/2020.acl-main.442.bib"] = Reply(bib.encode("latin-1"))
    answers = fetch(client, "10.1000/a", "10.1000/b", "2020.acl-main.442")
    assert [answer["authors"][0] for answer in answers if isinstance(answer, dict)] == [
        "Müller",
        "Müller",
        "Jürgen Meier",
    ]


# ACL Anthology


def test_acl(server: Server, client: Client) -> None:
    server.pages["/acl/2020.acl-main.442.bib"] = Reply(papers.ACL_BIB, headers={"Content-Type": "text/plain"})
    assert fetch(client, "https://aclanthology.org/2020.acl-main.442.pdf") == [
        {
            "title": "Checks for NLP Models: A Big List",
            "kind": "paper",
            "authors": ["Jürgen Meier", "Li Wu"],
            "year": 2020,
            "venue": "Proceedings of the 58th Annual Meeting of the Association for Computational Linguistics",
            "doi": "10.18653/v1/2020.acl-main.442",
            "acl": "2020.acl-main.442",
            "pdf": "https://aclanthology.org/2020.acl-main.442.pdf",
            "code": "https://github.com/meier/checks",
            "published": "2020-07",
            "cite": "meier-etal-2020-checks",
            "abstract": "Accuracy is 100% not enough. Code: https://github.com/meier/checks.",
            "bibtex": {
                "entry": "inproceedings",
                "address": "Online",
                "booktitle": "Proceedings of the 58th Annual Meeting of the Association for Computational Linguistics",
                "editor": "Chai, Joyce",
                "pages": "4902–4912",
                "publisher": "Association for Computational Linguistics",
            },
        }
    ]


def test_acl_volumes_errors_and_what_is_no_entry(server: Server, client: Client) -> None:
    server.pages["/acl/P19-1000.bib"] = Reply(papers.ACL_VOLUME)
    server.pages["/acl/P19-1001.bib"] = Reply("<!doctype html><title>Sorry</title>")
    server.pages["/acl/P19-1002.bib"] = Reply(papers.ACL_BIB[:40])
    volume, page, half, gone = fetch(
        client, "https://aclanthology.org/volumes/P19-1/", "P19-1001", "P19-1002", "P19-9999"
    )
    assert isinstance(volume, dict) and (volume["kind"], volume["acl"], volume["year"]) == ("book", "P19-1000", 2019)
    assert isinstance(page, Unreachable) and isinstance(half, Unreachable)
    assert not isinstance(gone, Unreachable) and "has no such id: P19-9999" in str(gone)


# OpenReview


def test_openreview_of_today(server: Server, client: Client) -> None:
    server.pages["/or2/notes"] = papers.as_json(papers.OPENREVIEW_2)
    assert fetch(client, "https://openreview.net/pdf?id=abcDEF_12-3") == [
        {
            "title": "Learning to Learn",
            "kind": "paper",
            "authors": ["Ada Byron", "Bo Li"],
            "year": 2024,
            "venue": "ICLR 2024",
            "openreview": "abcDEF_12-3",
            "pdf": "https://openreview.net/pdf/0123abcd.pdf",
            "code": "https://github.com/ada/learn",
            "published": "2024-01-16",
            "abstract": "We learn. See https://github.com/ada/learn for code.",
            "bibtex": {"entry": "inproceedings", "note": "ICLR 2024 poster"},
        }
    ]
    assert server.asked == ["/or2/notes?id=abcDEF_12-3"]


def test_openreview_of_older_venues_and_what_was_not_accepted(server: Server, client: Client) -> None:
    server.pages["/or2/notes"] = papers.as_json(papers.OPENREVIEW_NONE, 404)
    server.pages["/or1/notes"] = papers.as_json(papers.OPENREVIEW_1)
    assert fetch(client, "https://openreview.net/forum?id=rJ4km2R5t7") == [
        {
            "title": "A Benchmark",
            "kind": "paper",
            "authors": ["Ada Byron"],
            "year": 2018,
            "arxiv": "1804.07461",
            "openreview": "rJ4km2R5t7",
            "pdf": "https://arxiv.org/pdf/1804.07461.pdf",
            "published": "2018-09-27",
            "abstract": "Nine tasks.",
            "bibtex": {"entry": "misc", "note": "Submitted to ICLR 2019"},
        }
    ]


@pytest.mark.parametrize(
    ("told", "venue"),
    [
        ("NeurIPS 2023 oral", "NeurIPS 2023"),
        ("ICLR 2023 notable top 5%", "ICLR 2023"),
        ("Accepted by TMLR", "TMLR"),
        ("ICLR 2024 Conference Withdrawn Submission", None),
        ("CoRR 2019", None),
        (
            "NeurIPS 2021 Datasets and Benchmarks Track (Round 1)",
            "NeurIPS 2021 Datasets and Benchmarks Track (Round 1)",
        ),
    ],
)
def test_openreview_venues(server: Server, client: Client, told: str, venue: str | None) -> None:
    content = {"title": {"value": "T"}, "venue": {"value": told}}
    server.pages["/or2/notes"] = papers.as_json({"notes": [{"id": "abcdef", "content": content}]})
    (found,) = fetch(client, "https://openreview.net/forum?id=abcdef")
    assert isinstance(found, dict) and found.get("venue") == venue


def test_openreview_errors(server: Server, client: Client) -> None:
    forum = "https://openreview.net/forum?id=abcdef"
    server.pages["/or2/notes"] = server.pages["/or1/notes"] = papers.as_json(papers.OPENREVIEW_NONE, 404)
    assert str(fetch(client, forum)[0]) == (
        "OpenReview has no such paper: abcdef; check it at https://openreview.net/forum?id=abcdef"
    )
    server.pages["/or2/notes"] = papers.as_json({"name": "ForbiddenError", "status": 403}, 403)
    hidden = fetch(client, forum)[0]
    assert isinstance(hidden, Unreachable) and "only to people who may see it" in str(hidden)
    server.pages["/or2/notes"] = papers.as_json({"notes": [{"id": "abcdef", "content": {"comment": {"value": "+1"}}}]})
    assert "is no paper" in str(fetch(client, forum)[0])
    server.pages["/or2/notes"] = Reply("<html>", 200)
    assert isinstance(fetch(client, forum)[0], Unreachable)


# Semantic Scholar


FROM_S2 = {
    "title": "Denoising Diffusion Probabilistic Models",
    "kind": "paper",
    "authors": ["Jonathan Ho", "Ajay Jain"],
    "year": 2020,
    "venue": "Neural Information Processing Systems",
    "arxiv": "2006.11239",
    "doi": "10.5555/3495724.3496298",
    "pmid": "23193287",
    "s2": papers.SHA,
    "pdf": "https://proceedings.example.org/ddpm.pdf",
    "also": ["https://pmc.ncbi.nlm.nih.gov/articles/PMC3531190/"],
    "published": "2020-06-19",
    "abstract": "We present results.",
}


def test_semantic_scholar_one(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    server.pages[f"/s2/paper/{papers.SHA}"] = papers.as_json(papers.S2)
    monkeypatch.setenv("S2_API_KEY", "secret")
    assert fetch(client, f"https://www.semanticscholar.org/paper/Denoising/{papers.SHA}") == [FROM_S2]
    assert server.headers[0]["x-api-key"] == "secret"


def test_semantic_scholar_many_at_once(server: Server, client: Client) -> None:
    server.pages["/s2/paper/batch"] = papers.as_json([papers.S2, None, {"paperId": None, "title": None}])
    found, missing, odd = fetch(client, "CorpusID:219955663", "CorpusID:1", "CorpusID:2")
    assert found == FROM_S2
    assert "no such paper: CorpusID:1; check it at https://api.semanticscholar.org/CorpusID:1" in str(missing)
    assert isinstance(odd, Unreachable) and not isinstance(missing, Unreachable)
    assert [json.loads(body) for body in server.posted] == [{"ids": ["CorpusId:219955663", "CorpusId:1", "CorpusId:2"]}]


def test_semantic_scholar_errors(server: Server, client: Client) -> None:
    assert "no such paper" in str(fetch(client, "CorpusID:5")[0])
    server.pages["/s2/paper/CorpusId:5"] = papers.as_json({"message": "Forbidden"}, 403)
    assert isinstance(fetch(client, "CorpusID:5")[0], Unreachable)
    for odd in ([papers.S2], {"error": "x"}, None):
        server.pages["/s2/paper/batch"] = papers.as_json(odd)
        assert all(isinstance(a, Unreachable) for a in fetch(client, "CorpusID:5", "CorpusID:6"))


# OpenAlex


def test_openalex(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    server.pages["/alex/works/W2741809807"] = papers.as_json(papers.OPENALEX)
    monkeypatch.setenv("KB_MAILTO", "ada@example.org")
    assert fetch(client, "https://openalex.org/works/W2741809807") == [
        {
            "title": "The state of OA",
            "kind": "paper",
            "authors": ["Heather Piwowar", "Jason Priem"],
            "year": 2018,
            "venue": "PeerJ",
            "arxiv": "1801.00001",
            "doi": "10.7717/peerj.4375",
            "pmid": "29456894",
            "openalex": "W2741809807",
            "pdf": "https://peerj.com/articles/4375.pdf",
            "also": ["https://pmc.ncbi.nlm.nih.gov/articles/PMC5815332/"],
            "published": "2018-02-13",
            "abstract": "Despite interest in interest OA",
        }
    ]
    assert server.asked == ["/alex/works/W2741809807?mailto=ada%40example.org"]


def test_openalex_merged_works_archives_and_errors(server: Server, client: Client) -> None:
    server.pages["/alex/works/W1111111"] = Reply(status=301, headers={"Location": "/alex/works/W2741809807"})
    source = {"display_name": "arXiv (Cornell University)"}
    place = {"landing_page_url": "https://doi.org/10.48550/arxiv.2006.11239", "source": source}
    preprint = {"title": "P", "publication_date": "2020-01-01", "type": "preprint", "primary_location": place}
    server.pages["/alex/works/W2741809807"] = papers.as_json(preprint | {"locations": [place, None]})
    merged, gone = fetch(client, "W1111111", "W2222222")
    assert merged == {"title": "P", "kind": "paper", "year": 2020, "arxiv": "2006.11239"}
    assert str(gone) == "OpenAlex has no such work: W2222222; check it at https://openalex.org/W2222222"
    server.pages["/alex/works/W2222222"] = papers.as_json({"error": "Bad request"}, 400)
    assert isinstance(fetch(client, "W2222222")[0], Unreachable)


# PubMed


FROM_PUBMED = {
    "title": "GenBank",
    "kind": "paper",
    "authors": ["Dennis A Benson", {"family": "van der Berg", "given": "Jo"}, {"literal": "GenBank Consortium"}],
    "year": 2013,
    "venue": "Nucleic acids research",
    "doi": "10.1093/nar/gks1195",
    "pmid": "23193287",
    "pdf": "https://pmc.ncbi.nlm.nih.gov/articles/PMC3531190/pdf/",
    "also": ["https://pmc.ncbi.nlm.nih.gov/articles/PMC3531190/"],
    "published": "2013-01",
    "abstract": "Background: A database of H2O. Results: It grows.",
}


def pubmed(*articles: str) -> Reply:
    return Reply(papers.PUBMED.format("".join(articles)), headers={"Content-Type": "text/xml; charset=UTF-8"})


def test_pubmed_many_at_once(server: Server, client: Client) -> None:
    server.pages["/ncbi/efetch.fcgi"] = pubmed(papers.PUBMED_OLD, papers.PUBMED_ARTICLE)
    found, old, missing = fetch(client, "PMID: 23193287", "pmid:9999", "pmid:12")
    assert found == FROM_PUBMED
    assert old == {"title": "On old things", "kind": "paper", "year": 1998, "venue": "Annalen", "pmid": "9999"}
    assert str(missing) == "PubMed has no such id: 12; check it at https://pubmed.ncbi.nlm.nih.gov/12/"
    assert server.asked == ["/ncbi/efetch.fcgi?db=pubmed&id=23193287,9999,12&retmode=xml&tool=kb"]


def test_pubmed_central(server: Server, client: Client) -> None:
    server.pages["/ncbi/esummary.fcgi"] = papers.as_json(papers.PMC_SUMMARY)
    page = "https://pmc.ncbi.nlm.nih.gov/articles/PMC3531190/"
    alone = fetch(client, "PMC3531190")  # efetch is not there
    assert alone == [
        {
            "title": "GenBank",
            "kind": "paper",
            "authors": ["D. A. Benson", "GenBank"],
            "year": 2012,
            "venue": "Nucleic Acids Research",
            "doi": "10.1093/nar/gks1195",
            "pmid": "23193287",
            "url": page,
            "pdf": f"{page}pdf/",
            "published": "2012-11-27",
        }
    ]
    server.pages["/ncbi/efetch.fcgi"] = pubmed(papers.PUBMED_ARTICLE)
    (both,) = fetch(client, page)
    assert both == {key: value for key, value in FROM_PUBMED.items() if key != "also"} | {"url": page}


def test_pubmed_errors(server: Server, client: Client) -> None:
    server.pages["/ncbi/esummary.fcgi"] = papers.as_json({"result": {"uids": ["7"], "7": {"uid": "7", "error": "no"}}})
    assert "PubMed Central has no such article: PMC7;" in str(fetch(client, "PMC7")[0])
    for body in ("<eFetchResult><ERROR>busy</ERROR></eFetchResult>", "<html>", papers.PUBMED[:-30], ""):
        server.pages["/ncbi/efetch.fcgi"] = Reply(body)
        assert isinstance(fetch(client, "pmid:12")[0], Unreachable), body
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]><PubmedArticleSet>&a;</PubmedArticleSet>'
    server.pages["/ncbi/efetch.fcgi"] = Reply(bomb.encode("utf-16"))
    assert "its document type defines entities" in str(fetch(client, "pmid:12")[0])
    server.pages["/ncbi/efetch.fcgi"] = Reply("ID list is empty", 400)
    assert "PubMed has no such id: 12" in str(fetch(client, "pmid:12")[0])


# Books


def test_books(server: Server, client: Client) -> None:
    server.pages["/ol/api/books"] = lambda query: papers.as_json(papers.BOOK if "9780262035613" in str(query) else {})
    found, missing = fetch(client, "ISBN 0-262-03561-8", "isbn:9780306406157")
    assert found == {
        "title": "Deep Learning: A Text",
        "kind": "book",
        "authors": ["Ian Goodfellow"],
        "year": 2016,
        "isbn": "9780262035613",
        "bibtex": {"entry": "book", "publisher": "MIT Press"},
    }
    assert not isinstance(missing, Unreachable) and "no book of the ISBN 9780306406157" in str(missing)
    server.pages["/ol/api/books"] = papers.as_json({"ISBN:9780306406157": {"title": None}})
    assert isinstance(fetch(client, "isbn:9780306406157")[0], Unreachable)
