"""What kb asks of arXiv, doi.org and web pages, against a server that answers as they do, well and badly."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest
import servers  # noqa: E402
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import Reply, Server  # noqa: E402

from kb.ids import Source, identify
from kb.problem import KbError
from kb.sources import Metadata, fetcher, guess_kind
from kb.sources.head import decode
from kb.sources.http import Client, Unreachable
from kb.sources.page import read_page
from kb.sources.url_titles import url_title

API = "/api/query"


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(clock: Clock) -> Iterator[Client]:
    client = Client(timeout=5, wait=clock.wait, clock=clock, jitter=lambda: 0)
    yield client
    client.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with servers.serve() as served:
        monkeypatch.setenv("KB_ARXIV_API", served.url + API)
        monkeypatch.setenv("KB_DOI_RESOLVER", served.url)
        yield served


def source(text: str) -> Source:
    found = identify(text)
    assert found
    return found


def fetch(client: Client, *texts: str) -> list[Metadata | KbError]:
    sources = [source(text) for text in texts]
    answers = {s.token: answer for s, answer in fetcher(client)(sources)}
    assert len(answers) == len({s.token for s in sources})
    return [answers[s.token] for s in sources]


# arXiv


def test_arxiv_gives_what_the_schema_holds(server: Server, client: Client) -> None:
    server.pages[API] = servers.arxiv(servers.DDPM)
    assert fetch(client, "https://arxiv.org/pdf/2006.11239v1") == [
        {
            "title": "Denoising Diffusion Probabilistic Models",
            "authors": ["Jonathan Ho", "Ajay Jain", "Pieter Abbeel"],
            "year": 2020,
            "arxiv": "2006.11239",
            "pdf": "https://arxiv.org/pdf/2006.11239",
            "published": "2020-06-19",
            "abstract": "We present high quality image synthesis results with $T=1000$.",
        }
    ]
    assert server.headers[0]["user-agent"].startswith("kb/")


def test_arxiv_asks_for_many_at_once_and_keeps_their_order(server: Server, client: Client) -> None:
    server.pages[API] = servers.arxiv(servers.MOBILE, servers.DDPM, servers.OLD)
    old, ddpm, mobile = fetch(client, "hep-th/9901001", "2006.11239", "2402.14905")
    assert len(server.asked) == 1 and "max_results=3" in server.asked[0]
    assert isinstance(old, dict) and old["title"] == "String theory & <gauge> fields" and old["year"] == 1999
    assert isinstance(ddpm, dict) and ddpm["year"] == 2020
    assert isinstance(mobile, dict) and mobile["venue"] == "ICML 2024"


def test_arxiv_waits_three_seconds_between_requests(server: Server, client: Client, clock: Clock) -> None:
    server.pages[API] = servers.arxiv(servers.DDPM)
    fetch(client, "2006.11239")
    clock.now += 1
    fetch(client, "2006.11239")
    assert clock.waits == [2.0]


def test_an_unknown_arxiv_id_is_no_network_failure(server: Server, client: Client) -> None:
    server.pages[API] = servers.arxiv(servers.DDPM)
    found, missing = fetch(client, "2006.11239", "2012.99999")
    assert isinstance(found, dict)
    assert isinstance(missing, KbError) and not isinstance(missing, Unreachable)
    assert str(missing) == "arXiv has no such id: 2012.99999; check it at https://arxiv.org/abs/2012.99999"


def test_one_bad_id_does_not_spoil_the_others(server: Server, client: Client) -> None:
    server.pages[API] = servers.arxiv(servers.DDPM, servers.LORA)
    ddpm, bad, lora = fetch(client, "2006.11239", "2012.88888", "2405.09673")
    assert isinstance(ddpm, dict) and isinstance(lora, dict)
    assert str(bad) == "arXiv: incorrect id format for 2012.88888; check the id"


def test_arxiv_is_asked_again_after_429(server: Server, client: Client, clock: Clock) -> None:
    busy = Reply("slow down", 429, {"Retry-After": "7"})
    server.pages[API] = [busy, Reply("", 503), servers.atom(servers.DDPM)]
    (found,) = fetch(client, "2006.11239")
    assert isinstance(found, dict)
    assert clock.waits == [7.0, 9.0]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_three_tries_and_no_more(server: Server, client: Client, clock: Clock, status: int) -> None:
    server.pages[API] = Reply("no", status)
    (answer,) = fetch(client, "2006.11239")
    assert isinstance(answer, Unreachable)
    assert str(answer) == "127.0.0.1 is too busy to answer; try again later"
    assert len(server.asked) == 3


def test_a_service_that_asks_for_an_hour_is_left_alone(server: Server, client: Client, clock: Clock) -> None:
    server.pages[API] = Reply("no", 429, {"Retry-After": "3600"})
    (answer,) = fetch(client, "2006.11239")
    assert isinstance(answer, Unreachable)
    assert clock.waits == [] and len(server.asked) == 1


def test_retry_after_may_be_a_date_or_nonsense(server: Server, client: Client, clock: Clock) -> None:
    past = Reply("", 503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    server.pages[API] = [past, Reply("", 503, {"Retry-After": "soon"}), servers.atom(servers.DDPM)]
    assert isinstance(fetch(client, "2006.11239")[0], dict)
    assert clock.waits == [3.0, 9.0]


def test_half_a_document_is_a_failure_to_be_tried_again(server: Server, client: Client) -> None:
    whole = servers.atom(servers.DDPM)
    server.pages[API] = Reply(whole.body[:900], headers=whole.headers)
    (answer,) = fetch(client, "2006.11239")
    assert isinstance(answer, Unreachable) and str(answer).startswith("arXiv's answer cannot be read")


def test_an_answer_broken_off_is_asked_for_again(server: Server, client: Client) -> None:
    whole = servers.atom(servers.DDPM)
    server.pages[API] = [Reply(whole.body[:900], headers=whole.headers, promised=5000), whole]
    assert isinstance(fetch(client, "2006.11239")[0], dict)


def test_a_feed_with_a_document_type_is_refused(server: Server, client: Client) -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><feed>&b;</feed>'
    server.pages[API] = Reply(bomb)
    (answer,) = fetch(client, "2006.11239")
    assert isinstance(answer, Unreachable) and "document type" in str(answer)


def test_silence_ends_at_the_timeout(server: Server) -> None:
    server.pages[API] = Reply("late", hold=True)
    client = Client(timeout=0.05)
    (answer,) = fetch(client, "2006.11239")
    client.close()
    assert isinstance(answer, Unreachable)
    assert str(answer) == "127.0.0.1 did not answer in 0.05 seconds; try again later"


def test_nobody_there(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_ARXIV_API", "http://127.0.0.1:9/api")
    (answer,) = fetch(client, "2006.11239")
    assert isinstance(answer, Unreachable) and "127.0.0.1 cannot be reached" in str(answer)


# DOIs


CSL = {
    "type": "journal-article",
    "title": "Gradient-based learning applied to <i>document</i> recognition &amp; more",
    "author": [
        {"given": "Y.", "family": "Lecun", "sequence": "first"},
        {"given": "Guido", "non-dropping-particle": "van", "family": "Rossum"},
        {"given": "Martin", "family": "King", "suffix": "Jr."},
        {"literal": "Google Brain Team"},
        {"name": "OpenAI"},
    ],
    "issued": {"date-parts": [[1998, 11]]},
    "container-title": ["Proceedings of the IEEE"],
    "DOI": "10.1109/5.726791",
}


def test_a_doi_is_asked_for_csl(server: Server, client: Client) -> None:
    server.pages["/10.1109/5.726791"] = Reply(json.dumps(CSL))
    assert fetch(client, "https://doi.org/10.1109/5.726791") == [
        {
            "title": "Gradient-based learning applied to document recognition & more",
            "kind": "paper",
            "authors": [
                "Y. Lecun",
                {"family": "van Rossum", "given": "Guido"},
                {"family": "King", "given": "Martin", "suffix": "Jr."},
                {"literal": "Google Brain Team"},
                "OpenAI",
            ],
            "year": 1998,
            "venue": "Proceedings of the IEEE",
            "published": "1998-11",
            "doi": "10.1109/5.726791",
        }
    ]
    assert server.headers[0]["accept"] == "application/vnd.citationstyles.csl+json"


def test_a_doi_that_nobody_registered(server: Server, client: Client) -> None:
    (answer,) = fetch(client, "10.1000/nothing")
    assert isinstance(answer, KbError) and not isinstance(answer, Unreachable)
    assert str(answer) == "there is no such DOI: 10.1000/nothing; check it at https://doi.org/10.1000/nothing"


@pytest.mark.parametrize("body", ["<html>", "[]", "{}", '{"title": ""}', "[" * 100_000])
def test_a_doi_without_metadata(server: Server, client: Client, body: str) -> None:
    server.pages["/10.1000/182"] = Reply(body)
    assert isinstance(fetch(client, "10.1000/182")[0], Unreachable)


# Pages


def test_a_page_of_scholars_tags(server: Server, client: Client) -> None:
    server.pages["/a"] = Reply(
        """<!doctype html><html><head><title>no</title>
        <meta name="citation_title" content="Less is
          more">
        <meta name="citation_author" content="Ho, Jonathan"><meta name="citation_author" content="Ajay Jain" />
        <meta name="citation_publication_date" content="2023/7">
        <meta name="citation_conference_title" content="ACL &amp; friends">
        <meta name="citation_doi" content="10.18653/v1/2023.acl-long.1">
        <meta name="citation_pdf_url" content="https://aclanthology.org/2023.acl-long.1.pdf"></head>"""
    )
    assert fetch(client, server.url + "/a") == [
        {
            "title": "Less is more",
            "kind": "paper",
            "authors": ["Jonathan Ho", "Ajay Jain"],
            "year": 2023,
            "venue": "ACL & friends",
            "doi": "10.18653/v1/2023.acl-long.1",
            "pdf": "https://aclanthology.org/2023.acl-long.1.pdf",
            "published": "2023-07",
        }
    ]


def test_a_post_with_open_graph(server: Server, client: Client) -> None:
    server.pages["/posts/x"] = Reply(
        """<svg><title>logo</title></svg><meta property="og:title" content="What are Diffusion Models? | Lil'Log">
        <meta property="og:site_name" content="Lil'Log">
        <meta property="article:published_time" content="2021-07-11T00:00:00+00:00">"""
    )
    assert fetch(client, server.url + "/posts/x") == [
        {"title": "What are Diffusion Models?", "year": 2021, "venue": "Lil'Log", "published": "2021-07-11"}
    ]


def test_titles_without_the_name_of_the_site() -> None:
    youtube = read_page("<title>Let's build GPT - YouTube</title>", "https://www.youtube.com/watch?v=x")
    github = read_page("<title>GitHub - karpathy/nanochat: The best</title>", "https://github.com/karpathy/nanochat")
    assert youtube["title"] == "Let's build GPT"
    assert github["title"] == "karpathy/nanochat: The best"
    assert read_page("<p>nothing", "https://example.org/posts/2021-07-11-a-good_post.html")["title"] == "A good post"


HTML = st.lists(st.sampled_from(["<", "!", "[", "]", ">", "-", "title", "/", "meta ", "name=", "'", "&#x1;", "CDATA"]))


@given(HTML.map("".join))
@settings(max_examples=100)
def test_no_page_makes_the_reader_fail(text: str) -> None:
    assert read_page(text, "https://x.org/a-page")["title"]


@pytest.mark.parametrize(
    ("content_type", "body", "title"),
    [
        ("text/html; charset=iso-8859-1", "<title>Größe – €</title>".encode("cp1252"), "Größe – €"),
        ("text/html", '<meta charset="shift_jis"><title>深層学習</title>'.encode("shift_jis"), "深層学習"),
        ("text/html; charset=ascii-of-mars", "<title>Größe</title>".encode(), "Größe"),
        ("text/html; charset=utf-8", "<title>Größe</title>".encode("cp1252"), "Größe"),
        ("text/html", b"\xef\xbb\xbf" + "<title>Größe</title>".encode(), "Größe"),
        ("text/html", "<title>Größe</title>".encode("cp1252"), "Größe"),
    ],
)
def test_charsets(server: Server, client: Client, content_type: str, body: bytes, title: str) -> None:
    server.pages["/x"] = Reply(body, headers={"Content-Type": content_type})
    (found,) = fetch(client, server.url + "/x")
    assert isinstance(found, dict) and found["title"] == title


def test_only_the_beginning_of_a_long_page_is_read(server: Server, client: Client) -> None:
    server.pages["/x"] = Reply("<title>Ä</title>" + "ä" * (3 << 20))
    page = client.get(server.url + "/x")
    assert page.cut and len(page.body) == 2 << 20
    assert decode(page).startswith("<title>Ä</title>")


def test_what_is_no_html_is_not_read(server: Server, client: Client) -> None:
    server.pages["/deep-learning"] = Reply(b"PK\3\4", headers={"Content-Type": "application/zip"})
    assert fetch(client, server.url + "/deep-learning") == [{"title": "Deep learning"}]


def test_redirects_are_followed_to_web_pages_only(server: Server, client: Client) -> None:
    server.pages["/a"] = Reply(status=302, headers={"Location": "/b"})
    server.pages["/b"] = Reply("<title>there</title>")
    server.pages["/file"] = Reply(status=301, headers={"Location": "file:///etc/passwd"})
    server.pages["/round"] = Reply(status=301, headers={"Location": "/round"})
    there, file, round_ = fetch(client, server.url + "/a", server.url + "/file", server.url + "/round")
    assert there == {"title": "there"}
    assert str(file) == "a redirect leads to file:///etc/passwd, which is no web page; check the address"
    assert str(round_) == "127.0.0.1 redirects in a circle; check the address"


def test_a_page_that_is_gone_and_one_that_is_barred(server: Server, client: Client) -> None:
    server.pages["/barred"] = Reply("robots", 403)
    gone, barred = fetch(client, server.url + "/gone", server.url + "/barred")
    assert str(gone) == f"{server.url}/gone is not there (404); check the address"
    assert isinstance(barred, Unreachable) and not isinstance(gone, Unreachable)


@pytest.mark.parametrize(
    ("url", "title"),
    [
        ("https://lilianweng.github.io/posts/2021-07-11-diffusion-models/", "Diffusion models"),
        ("https://example.org/", "example.org"),
        ("https://www.example.org/12345", "example.org/12345"),
        ("https://example.org/a/index.html", "example.org/a/index.html"),
        ("https://example.org/%C3%9Cber_uns.html?x=1#y", "Über uns"),
        ("https://example.org/parallelism/", "Parallelism (example.org)"),
        ("https://pytorch.org/docs/generated/torch.optim.RMSprop.html#x", "torch.optim.RMSprop (pytorch.org)"),
        ("https://wandb.ai/a/b/reports/A-Recipe--VmlldzozNjc4MzQz", "A Recipe"),
        ("https://example.org/nets/MobileNetV2-explained", "MobileNetV2 explained"),
        (
            "https://papers.bar/paper/f7292e3a954c11ed8f9c3d8021bca7c8",
            "papers.bar/paper/f7292e3a954c11ed8f9c3d8021bca7c8",
        ),
        ("https://ocw.mit.edu/search/?q=machine%20learning", "ocw.mit.edu/search?q=machine learning"),
        ("https://t.co/K82BaFoH7l", "t.co/K82BaFoH7l"),
        ("https://www.youtube.com/watch?v=06sKEzOvop8", "YouTube 06sKEzOvop8"),
        ("https://www.youtube.com/watch", "youtube.com/watch"),
        ("https://www.youtube.com/playlist?list=PL1", "YouTube playlist PL1"),
        ("https://twitter.com/karpathy/status/1617?s=20", "karpathy on X, post 1617"),
        ("https://x.com/karpathy", "karpathy on X"),
        ("https://github.com/viswanathgs/LLM-Training-Puzzles", "LLM-Training-Puzzles"),
        ("https://github.com/a/b/blob/main/c/d.py#L3", "c/d.py in a/b"),
        ("https://pmc.ncbi.nlm.nih.gov/articles/PMC3531190/", "PubMed Central PMC3531190"),
        ("https://github.com/google-research", "google-research on GitHub"),
        ("https://docs.google.com/presentation/d/1vQYbmAPwqu9y/edit?usp=sharing", "Google presentation 1vQYbmAPwqu9y"),
        ("https://example.org/%1b%5B31mred_%7B0%7D", "[31mred {0}"),
    ],
)
def test_url_titles(url: str, title: str) -> None:
    assert url_title(url) == title


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("2006.11239", "paper"),
        ("10.1109/5.726791", "paper"),
        ("https://aclanthology.org/2023.acl-long.1/", "paper"),
        ("https://openreview.net/forum?id=abc", "paper"),
        ("https://huggingface.co/papers/2006.11239", "paper"),
        ("https://proceedings.neurips.cc/paper/2020/hash/x.html", "paper"),
        ("https://jmlr.org/papers/v3/x.html", "paper"),
        ("https://youtu.be/kCc8FmEb1nY?t=2138", "talk"),
        ("https://www.youtube.com/playlist?list=PL1", "course"),
        ("https://vimeo.com/123", "talk"),
        ("https://github.com/karpathy/nanochat", "code"),
        ("https://github.com/karpathy/nanochat/blob/master/README.md", "code"),
        ("https://huggingface.co/datasets/openai/gsm8k", "dataset"),
        ("https://huggingface.co/facebook/MobileLLM-125M", "tool"),
        ("https://huggingface.co/blog/annotated-diffusion", "post"),
        ("https://huggingface.co/learn/nlp-course", "course"),
        ("https://x.com/karpathy/status/1", "thread"),
        ("https://bsky.app/profile/a/post/b", "thread"),
        ("https://www.coursera.org/learn/machine-learning", "course"),
        ("https://ocw.mit.edu/courses/18-06/", "course"),
        ("https://example.edu/courses/cs224n", "course"),
        ("https://lilianweng.github.io/posts/2021-07-11-diffusion-models/", "post"),
        ("https://xbox.com/x", "post"),
        ("http://[::1/x", "post"),
    ],
)
def test_kinds_by_address(text: str, kind: str) -> None:
    assert guess_kind(source(text)) == kind


def test_httpx_is_imported_only_when_something_is_fetched() -> None:
    import subprocess

    modules = "kb.verbs.add, kb.verbs.complete, kb.checks, kb.checks.fix, kb.verbs.status, kb.sources.web"
    code = f"import {modules}, sys; print('httpx' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
