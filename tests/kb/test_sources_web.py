"""What kb asks of GitHub, Hugging Face, YouTube and web pages, well and badly answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import servers
import servers_web as web
from hypothesis import given
from hypothesis import strategies as st
from servers import Reply, Server

from kb.ids import Source, identify
from kb.note import SCHEMA
from kb.problem import KbError
from kb.sources import Metadata, fetcher, guess_kind, kind_of
from kb.sources.fields import day
from kb.sources.head import decode
from kb.sources.http import Client, Page, Unreachable
from kb.sources.oembed import read as read_oembed
from kb.sources.page import read_page
from kb.sources.tidy import tidy


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("GITHUB_TOKEN", "HF_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with servers.serve() as served:
        monkeypatch.setenv("KB_ARXIV_API", "https://export.arxiv.org/api/query")
        yield served


@pytest.fixture
def client(server: Server) -> Iterator[web.Elsewhere]:
    client = web.elsewhere(server)
    yield client
    client.close()


def fetch(client: Client, *texts: str) -> Any:
    sources = [source for text in texts if (source := identify(text))]
    assert len(sources) == len(texts)
    answers = {s.token: answer for s, answer in fetcher(client)(sources)}
    found = [answers[s.token] for s in sources]
    return found[0] if len(found) == 1 else found


def told(answer: object) -> str:
    assert isinstance(answer, KbError)
    return f"{type(answer).__name__}: {answer}"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("https://github.com/ann/tiny-net", "github"),
        ("https://github.com/ann/tiny-net/blob/main/a/train.py", "github"),
        ("https://gist.github.com/ann/0123456789abcdef", "github"),
        ("https://github.com/ann", "web"),
        ("https://github.com/orgs/ann", "web"),
        ("https://huggingface.co/ann/small", "huggingface"),
        ("https://huggingface.co/datasets/ann/words", "huggingface"),
        ("https://huggingface.co/spaces/ann/show?x=1", "huggingface"),
        ("https://huggingface.co/gpt2", "huggingface"),
        ("https://huggingface.co/blog/some-post", "web"),
        ("https://huggingface.co/datasets", "web"),
        ("https://huggingface.co/papers/2006.11239", "arxiv"),
        ("https://youtu.be/kCc8FmEb1nY", "youtube"),
        ("https://www.youtube.com/playlist?list=PLabc", "youtube"),
        ("https://www.youtube.com/watch?v=kCc8FmEb1nY&list=PLabc", "youtube"),
        ("https://www.youtube.com/@channel", "web"),
        ("https://vimeo.com/12345", "oembed"),
        ("https://x.com/ann/status/12345", "oembed"),
        ("https://example.org/a.pdf?download=1", "pdf"),
        ("https://example.org/a.pdf.html", "web"),
        ("http://[::1/x.pdf", "web"),
    ],
)
def test_who_is_asked(text: str, kind: str) -> None:
    found = identify(text) or Source("url", text)
    assert kind_of(found).name == kind


# GitHub


def test_a_repository(server: Server, client: web.Elsewhere) -> None:
    server.pages["/api.github.com/repos/ann/tiny-net"] = web.github_repo("ann/tiny-net", "A net of two layers 🚀")
    assert fetch(client, "git@github.com:ann/tiny-net.git".replace("git@github.com:", "https://github.com/")) == {
        "title": "tiny-net",
        "kind": "code",
        "authors": ["ann"],
        "year": 2022,
        "venue": "GitHub",
        "code": "https://github.com/ann/tiny-net",
        "published": "2022-12-28",
        "aliases": ["ann/tiny-net"],
        "abstract": "A net of two layers 🚀",
    }
    assert "authorization" not in server.headers[0]


def test_a_repository_that_moved_keeps_both_names(server: Server, client: web.Elsewhere) -> None:
    server.pages["/api.github.com/repos/ann/old"] = Reply("", 301, {"Location": "/repositories/5"})
    server.pages["/api.github.com/repositories/5"] = web.github_repo("bo/new", None)
    found = fetch(client, "https://github.com/ann/old")
    assert (found["code"], found["also"]) == ("https://github.com/bo/new", ["https://github.com/ann/old"])


def test_the_token_is_shown_to_github(server: Server, client: web.Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "t0k3n")
    server.pages["/api.github.com/repos/ann/tiny-net"] = web.github_repo("ann/tiny-net", "x")
    fetch(client, "https://github.com/ann/tiny-net")
    assert server.headers[0]["authorization"] == "Bearer t0k3n"


@pytest.mark.parametrize(
    "limit", [web.GITHUB_LIMIT, Reply("slow down", 429), Reply("{", headers=web.JSON), Reply("[]")]
)
def test_when_the_api_is_spent_the_page_is_read(server: Server, client: web.Elsewhere, limit: Reply) -> None:
    server.pages["/api.github.com/repos/ann/tiny-net"] = limit
    server.pages["/github.com/ann/tiny-net"] = Reply(web.GITHUB_PAGE)
    assert fetch(client, "https://github.com/ann/tiny-net") == {
        "title": "tiny-net",
        "kind": "code",
        "authors": ["ann"],
        "venue": "GitHub",
        "aliases": ["ann/tiny-net"],
        "abstract": "A net of two layers, for lessons on training.",
    }


def test_no_such_repository(server: Server, client: web.Elsewhere) -> None:
    answer = fetch(client, "https://github.com/ann/none")
    assert told(answer) == (
        "Gone: there is nothing at https://github.com/ann/none, or it is private; check the address"
    )


def test_what_is_in_a_repository(server: Server, client: web.Elsewhere) -> None:
    api = "/api.github.com/repos/ann/tiny-net/issues/7"
    server.pages[api] = web.as_json(
        {"title": "Loss is NaN", "user": {"login": "bo"}, "created_at": "2024-05-06T07:08:09Z", "body": "Help."}
    )
    server.pages["/api.github.com/gists/0123456789abcdef"] = web.as_json(
        {"description": "", "owner": {"login": "bo"}, "created_at": "2024-05-06T07:08:09Z", "files": {"pong.py": {}}}
    )
    server.pages["/github.com/ann/tiny-net/blob/main/a/train.py"] = Reply("<title>x</title>")
    issue, pull, gist, file = fetch(
        client,
        "https://github.com/ann/tiny-net/issues/7#issuecomment-1",
        "https://github.com/ann/tiny-net/pull/7/files",
        "https://gist.github.com/bo/0123456789abcdef",
        "https://github.com/ann/tiny-net/blob/main/a/train.py#L5",
    )
    assert (
        issue
        == pull
        == {
            "title": "Loss is NaN",
            "kind": "thread",
            "authors": ["bo"],
            "year": 2024,
            "venue": "GitHub: ann/tiny-net",
            "published": "2024-05-06",
        }
    )
    assert (gist["title"], gist["kind"], gist["authors"]) == ("pong.py", "code", ["bo"])
    assert (file["title"], file["kind"]) == ("a/train.py in ann/tiny-net", "code")


# Hugging Face


def test_a_model_is_not_the_paper_it_names(server: Server, client: web.Elsewhere) -> None:
    server.pages["/huggingface.co/api/models/ann/small-7b"] = web.hub("ann/small-7b", pipeline_tag="text-generation")
    found = fetch(client, "https://huggingface.co/ann/small-7b")
    assert found == {
        "title": "small-7b",
        "kind": "tool",
        "authors": ["ann"],
        "year": 2023,
        "venue": "Hugging Face",
        "url": "https://huggingface.co/ann/small-7b",
        "published": "2023-07-18",
        "aliases": ["ann/small-7b"],
    }


def test_a_dataset_and_a_space(server: Server, client: web.Elsewhere) -> None:
    server.pages["/huggingface.co/api/datasets/ann/words"] = web.hub(
        "ann/words", cardData={"pretty_name": "Words"}, description="Many\n words."
    )
    server.pages["/huggingface.co/api/spaces/ann/show"] = web.hub("ann/show", cardData={"title": "Show 🎈"})
    words, show = fetch(
        client, "https://huggingface.co/datasets/ann/words/tree/main", "https://huggingface.co/spaces/ann/show"
    )
    assert (words["title"], words["kind"], words["abstract"]) == ("Words", "dataset", "Many words.")
    assert words["url"] == "https://huggingface.co/datasets/ann/words"
    assert words["also"] == ["https://huggingface.co/datasets/ann/words/tree/main"]
    assert (show["title"], show["kind"]) == ("Show 🎈", "tool")


def test_what_the_hub_does_not_know_and_somebodys_page(server: Server, client: web.Elsewhere) -> None:
    server.pages["/huggingface.co/api/models/ann/none"] = web.as_json({"error": "Invalid username or password."}, 401)
    server.pages["/huggingface.co/ann"] = Reply("<title>ann (Ann Lee)</title>")
    server.pages["/huggingface.co/api/models/ann/busy"] = Reply("", 500)
    none, person, busy = fetch(
        client,
        "https://huggingface.co/ann/none",
        "https://huggingface.co/ann",
        "https://huggingface.co/ann/busy",
    )
    assert told(none).startswith("Gone: Hugging Face has nothing at https://huggingface.co/ann/none, or it is private")
    assert person["title"] == "ann (Ann Lee)"
    assert isinstance(busy, Unreachable)


# Videos and posts


def test_a_video(server: Server, client: web.Elsewhere) -> None:
    server.pages["/www.youtube.com/oembed"] = lambda query: (
        web.oembed("Let us build a net", "Ann Lee")
        if query == {"url": "https://www.youtube.com/watch?v=kCc8FmEb1nY", "format": "json"}
        else Reply("Bad Request", 400)
    )
    about = "In which a net is built from nothing, line by line, for two hours."
    server.pages["/www.youtube.com/watch"] = web.watch_page("Let us build a net", "2023-01-17", about)
    assert fetch(client, "https://youtu.be/kCc8FmEb1nY?t=5") == {
        "title": "Let us build a net",
        "authors": ["Ann Lee"],
        "year": 2023,
        "venue": "YouTube",
        "published": "2023-01-17",
        "abstract": about,
    }


def test_a_video_whose_page_asks_for_consent(server: Server, client: web.Elsewhere) -> None:
    server.pages["/www.youtube.com/oembed"] = web.oembed("Let us build a net", "Ann Lee")
    server.pages["/www.youtube.com/watch"] = Reply(
        "<title>Before you continue to YouTube</title>"
        '<meta name="description" content="We use cookies and data to show you what we like.">'
    )
    assert fetch(client, "https://www.youtube.com/shorts/kCc8FmEb1nY") == {
        "title": "Let us build a net",
        "authors": ["Ann Lee"],
        "venue": "YouTube",
    }


def test_videos_that_are_private_or_gone(server: Server, client: web.Elsewhere) -> None:
    server.pages["/www.youtube.com/oembed"] = [Reply("Unauthorized", 401), Reply("Not Found", 404)]
    server.pages["/www.youtube.com/watch"] = Reply("<title> - YouTube</title>")
    private, gone = fetch(client, "https://youtu.be/aaaaaaaaaaa", "https://youtu.be/bbbbbbbbbbb")
    assert told(private) == (
        "Unreachable: https://www.youtube.com/watch?v=aaaaaaaaaaa is private, or YouTube shows it to no robot;"
        " give a --title"
    )
    assert told(gone) == (
        "Gone: YouTube has no such video: https://www.youtube.com/watch?v=bbbbbbbbbbb; check the address"
    )


def test_a_video_that_may_not_be_embedded(server: Server, client: web.Elsewhere) -> None:
    server.pages["/www.youtube.com/oembed"] = Reply("Unauthorized", 401)
    server.pages["/www.youtube.com/watch"] = web.watch_page("A lecture", "2023-01-17", "x" * 50)
    assert fetch(client, "https://youtu.be/aaaaaaaaaaa")["title"] == "A lecture"


def test_a_playlist_is_a_course(server: Server, client: web.Elsewhere) -> None:
    server.pages["/www.youtube.com/oembed"] = web.oembed("Nets: Zero to One", "Ann Lee")
    found = fetch(client, "https://m.youtube.com/playlist?list=PLabc&si=share")
    assert (found["kind"], found["title"], found["authors"]) == ("course", "Nets: Zero to One", ["Ann Lee"])
    assert found["url"] == "https://www.youtube.com/playlist?list=PLabc"
    assert "list%3DPLabc&format=json" in server.asked[0] and len(server.asked) == 1


def test_vimeo_and_a_post_on_x(server: Server, client: web.Elsewhere) -> None:
    server.pages["/vimeo.com/api/oembed.json"] = web.oembed(
        "A talk", "Bo Chen", provider_name="Vimeo", upload_date="2019-03-04 05:06:07", description="On talks."
    )
    post = (
        '<blockquote class="twitter-tweet"><p lang="en" dir="ltr">Reading a paper is <b>not</b> the same as running it,'
        ' and here is a long thread on why that is so <a href="https://t.co/x">https://t.co/x</a></p>&mdash; Ann Lee'
        ' (@ann) <a href="https://twitter.com/ann/status/12345?ref_src=twsrc%5Etfw">March 5, 2024</a></blockquote>'
    )
    server.pages["/publish.twitter.com/oembed"] = web.oembed("", "Ann Lee", html=post)
    talk, thread = fetch(client, "https://vimeo.com/12345", "https://x.com/ann/status/12345")
    assert talk == {
        "title": "A talk",
        "authors": ["Bo Chen"],
        "year": 2019,
        "venue": "Vimeo",
        "published": "2019-03-04",
        "abstract": "On talks.",
    }
    assert thread["title"] == (
        "Ann Lee: Reading a paper is not the same as running it, and here is a long thread on why that is so"
    )
    assert (thread["published"], thread["venue"]) == ("2024-03-05", "X")


# Pages

BLOG = """<!doctype html><html><head><meta charset="utf-8"><title>Nets in the wild | Ann writes</title>
<meta property="og:site_name" content="Ann writes"><meta property="og:type" content="article">
<meta property="og:description" content="Three ways in which a small net surprised its author.">
<link rel="canonical" href="/posts/nets/">
<script type="application/ld+json">
{"@context": "https://schema.org", "@graph": [
  {"@type": "WebSite", "name": "Ann writes"},
  {"@type": ["BlogPosting"], "headline": "Nets in the wild", "datePublished": "2024-02-03T10:00:00+01:00",
   "author": [{"@type": "Person", "name": "Ann Lee"}, {"@type": "Person", "givenName": "Bo", "familyName": "Chen"},
              {"@type": "Organization", "name": "Ann writes"}]}]}
</script></head></html>"""


def test_a_blog_post(server: Server, client: web.Elsewhere) -> None:
    server.pages["/ann.example/posts/nets/index.html"] = Reply(BLOG)
    assert fetch(client, "https://ann.example/posts/nets/index.html") == {
        "title": "Nets in the wild",
        "kind": "post",
        "authors": ["Ann Lee", "Bo Chen"],
        "year": 2024,
        "venue": "Ann writes",
        "url": "https://ann.example/posts/nets/",
        "also": ["https://ann.example/posts/nets/index.html"],
        "published": "2024-02-03",
        "abstract": "Three ways in which a small net surprised its author.",
    }


@pytest.mark.parametrize("href", ["https://other.example/x", "/", "javascript:1", "https://[", ""])
def test_an_address_of_its_own_that_cannot_be_true(server: Server, client: web.Elsewhere, href: str) -> None:
    server.pages["/ann.example/posts/x"] = Reply(f'<link rel="canonical" href="{href}"><title>X</title>')
    assert fetch(client, "https://ann.example/posts/x") == {"title": "X"}


PAGES: list[tuple[str, Metadata]] = [
    ('<meta name="author" content="By Ann Lee and Bo Chen">', {"authors": ["Ann Lee", "Bo Chen"]}),
    ('<meta name="author" content="Lee, Ann">', {"authors": ["Ann Lee"]}),
    ('<meta name="author" content="admin"><meta property="article:author" content="https://f.example/a">', {}),
    ('<meta name="citation_authors" content="Lee, Ann; Chen, Bo">', {"authors": ["Ann Lee", "Bo Chen"]}),
    ('<meta name="DC.Creator" content="Lee, Ann"><meta name="DC.date.issued" content="2011-02">',
     {"authors": ["Ann Lee"], "year": 2011, "published": "2011-02"}),
    ('<meta name="citation_arxiv_id" content="2006.11239"><meta name="citation_doi" content="doi:10.1109/5.726791">',
     {"kind": "paper", "arxiv": "2006.11239", "doi": "10.1109/5.726791"}),
    ('<meta name="citation_pdf_url" content="/x.pdf">', {"kind": "paper", "pdf": "https://s.example/x.pdf"}),
    ('<time class="post-date" datetime="2020-01-02T03:04Z">x</time>', {"year": 2020, "published": "2020-01-02"}),
    ('<meta itemprop="datePublished" content="Jan 2, 2020">', {"year": 2020, "published": "2020-01-02"}),
    ('<script type="application/ld+json">{"@type": "Course", "name": "T", "author": "Ann Lee"}</script>',
     {"kind": "course", "authors": ["Ann Lee"]}),
    ('<script type="application/ld+json">{"@type": "VideoObject", "uploadDate": "2020-01-02"}</script>',
     {"kind": "talk", "year": 2020, "published": "2020-01-02"}),
    ('<script type="application/ld+json">[{"@type": "ScholarlyArticle", "isPartOf": {"name": "J"},'
     ' "abstract": "We show."}, {"@type": "WebPage"}]</script>',
     {"kind": "paper", "venue": "J", "abstract": "We show."}),
    ('<script type="application/ld+json">{"@type": "Book", "author": {"name": "Ann Lee"}</script>', {}),
    ('<meta property="og:type" content="video.other">', {"kind": "talk"}),
]  # fmt: skip


@pytest.mark.parametrize(("head", "wanted"), PAGES)
def test_what_pages_say(head: str, wanted: Metadata) -> None:
    assert (
        read_page(f"<html><head><title>T</title>{head}</head></html>", "https://s.example/t") == {"title": "T"} | wanted
    )


@pytest.mark.parametrize(
    ("stamp", "wanted"),
    [
        ("2021/07/11", "2021-07-11"),
        ("20210711", "2021-07-11"),
        ("2021", "2021"),
        ("July 11, 2021", "2021-07-11"),
        ("Sun, 11 Jul 2021 08:00:00 GMT", "2021-07-11"),
        ("11th July 2021", "2021-07-11"),
        ("2021-13-45", "2021"),
        ("July 45, 2021", "2021"),
        ("yesterday", ""),
        (None, ""),
        ({"@value": 1}, ""),
    ],
)
def test_days(stamp: object, wanted: str) -> None:
    assert day(stamp) == wanted


WALLS = [
    "Just a moment...", "Attention Required! | Cloudflare", "Access Denied", "Log in to X / X", "Sign Up | LinkedIn",
    "Are you a robot?", "LinkedIn Login, Sign in | LinkedIn", "Page not found", "403 Forbidden", "Client Challenge",
]  # fmt: skip


@pytest.mark.parametrize("title", WALLS)
def test_walls_are_no_pages(server: Server, client: web.Elsewhere, title: str) -> None:
    server.pages["/s.example/a-post"] = Reply(f"<title>{title}</title>")
    assert told(fetch(client, "https://s.example/a-post")).startswith("Unreachable: s.example answered with '")


@pytest.mark.parametrize("title", ["Just a moment of calm", "Sign in the rain", "Access denied: a history of locks"])
def test_titles_that_only_begin_like_walls(title: str, server: Server, client: web.Elsewhere) -> None:
    server.pages["/s.example/a-post"] = Reply(f"<title>{title}</title>")
    assert fetch(client, "https://s.example/a-post")["title"] == title


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply("no", 429), "s.example is too busy to answer; try again later"),
        (Reply("no", 429, {"Retry-After": "9999"}), "s.example is too busy to answer; try again later"),
        (Reply("<title>Half", promised=9999), "s.example broke off its answer"),
        (Reply("", 451), "https://s.example/a-post answered 451; try again later or give a --title"),
        (Reply("", 302, {"Location": "https://s.example/a-post"}), "s.example redirects in a circle"),
    ],
)
def test_pages_that_do_not_come(server: Server, client: web.Elsewhere, reply: Reply, message: str) -> None:
    server.pages["/s.example/a-post"] = reply
    answer = fetch(client, "https://s.example/a-post")
    assert isinstance(answer, Unreachable) and message in str(answer)
    assert len(server.asked) == {429: 1 if reply.headers else 3, 200: 3, 451: 1, 302: 10}[reply.status]


def test_a_redirect_to_a_login(server: Server, client: web.Elsewhere) -> None:
    server.pages["/s.example/a-post"] = Reply("", 302, {"Location": "/accounts/login/?next=/a-post"})
    server.pages["/s.example/accounts/login/"] = Reply("<title>S</title>")
    assert told(fetch(client, "https://s.example/a-post")) == (
        "Unreachable: s.example shows the page to those only who log in; give a --title"
    )


def test_oembed_of_a_pages_own_site_names_its_author(server: Server, client: web.Elsewhere) -> None:
    link = '<link rel="alternate" type="application/json+oembed" href="https://{}/oembed?url=x">'
    for host, there in (("a.example", "www.a.example"), ("b.example", "127.0.0.1")):
        server.pages[f"/{host}/p"] = Reply("<title>P</title>" + link.format(there))
        server.pages[f"/{there}/oembed"] = web.oembed("P by oEmbed", "Ann Lee", provider_name="A")
    ours, theirs = fetch(client, "https://a.example/p", "https://b.example/p")
    assert ours == {"title": "P", "authors": ["Ann Lee"], "venue": "A"}
    assert theirs == {"title": "P"}


def test_where_short_links_lead(server: Server, client: web.Elsewhere) -> None:
    server.pages["/export.arxiv.org/api/query"] = servers.arxiv(servers.DDPM)
    server.pages["/t.co/paper"] = Reply("", 301, {"Location": "https://arxiv.org/abs/2006.11239"})
    server.pages["/arxiv.org/abs/2006.11239"] = Reply("<title>x</title>")
    server.pages["/t.co/post"] = Reply("", 301, {"Location": "https://ann.example/posts/nets/?utm_source=t"})
    server.pages["/ann.example/posts/nets/"] = Reply(BLOG)
    server.pages["/t.co/none"] = Reply("", 301, {"Location": "https://github.com/ann/none"})
    server.pages["/github.com/ann/none"] = Reply("<title>x</title>")
    paper, post, none = fetch(client, "https://t.co/paper", "https://t.co/post", "https://t.co/none")
    assert (paper["arxiv"], paper["also"], paper["year"]) == ("2006.11239", ["https://t.co/paper"], 2020)
    assert (post["url"], post["also"]) == ("https://ann.example/posts/nets/", ["https://t.co/post"])
    assert told(none).startswith(
        "Unreachable: https://t.co/none leads to https://github.com/ann/none: there is nothing"
    )


def test_charsets_by_mark_and_by_xml() -> None:
    def page(body: bytes, type: str = "text/html") -> str:
        return decode(Page("https://s.example", 200, type, body))

    assert page("<title>Größe</title>".encode("utf-16")) == "<title>Größe</title>"
    xml = '<?xml version="1.0" encoding="iso-8859-2"?><title>Łódź</title>'
    assert page(xml.encode("iso-8859-2"), "application/xhtml+xml") == xml


# Nothing that is answered is a traceback

KEYS = [
    "title", "author_name", "html", "description", "full_name", "html_url", "owner", "login", "name", "created_at",
    "id", "files", "author", "cardData", "createdAt", "pretty_name", "upload_date", "@type", "@graph", "headline",
    "mainEntity", "datePublished", "isPartOf", "publisher",
]  # fmt: skip
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)
ASKED = {
    "/api.github.com/repos/a/b": "https://github.com/a/b",
    "/api.github.com/gists/0123456789abcdef": "https://gist.github.com/a/0123456789abcdef",
    "/huggingface.co/api/models/a/b": "https://huggingface.co/a/b",
    "/www.youtube.com/oembed": "https://youtu.be/aaaaaaaaaaa",
    "/vimeo.com/api/oembed.json": "https://vimeo.com/1",
}


class Played(Client):
    """A client without a network: every address answers the same."""

    page = Page("", 200, "text/html", b"")

    def _request(self, url: str, request: Any, at_home: bool) -> Page | str:
        return Page(url, self.page.status, self.page.content_type, self.page.body)


def fits(meta: Metadata) -> bool:
    assert json.dumps(meta, ensure_ascii=False).isprintable()
    return bool(meta["title"]) and all(SCHEMA[key](value) == value for key, value in meta.items())


@given(st.sampled_from([*ASKED.values(), "https://s.example/p"]), JSONS, st.sampled_from([200, 401, 403]))
def test_no_document_of_a_service_makes_it_fail(url: str, value: object, status: int) -> None:
    client = Played()
    client.page = Page("", status, "application/json", json.dumps(value).encode())
    answer = fetch(client, url)
    assert isinstance(answer, KbError) or fits(answer)
    ld = f'<script type="application/ld+json">{json.dumps(value)}</script><title>t</title>'
    assert fits(tidy(read_page(ld, "https://s.example/p")))


FORMS = ["text/html", "application/json", "application/pdf", "", "text/html;charset=utf-7"]
PLACES = [*ASKED.values(), "https://s.example/p", "https://s.example/p.pdf"]


@given(st.sampled_from(PLACES), st.binary(max_size=200), st.sampled_from(FORMS))
def test_no_bytes_make_it_fail(url: str, body: bytes, form: str) -> None:
    client = Played()
    client.page = Page("", 200, form, body)
    answer = fetch(client, url)
    assert isinstance(answer, KbError) or fits(answer)


TAGS = st.sampled_from([
    "og:title", "og:site_name", "og:type", "og:description", "citation_title", "citation_doi", "citation_author",
    "citation_pdf_url", "citation_arxiv_id", "author", "date", "dc.date",
])  # fmt: skip


@given(st.lists(st.tuples(TAGS, st.text(max_size=30)), max_size=6))
def test_no_tag_gives_what_the_schema_does_not_hold(tags: list[tuple[str, str]]) -> None:
    from html import escape

    text = "".join(f'<meta name="{name}" content="{escape(value)}">' for name, value in tags)
    assert fits(tidy(read_page(text, "https://s.example/a-page")))


def test_guesses_and_oembed_errors() -> None:
    assert guess_kind(Source("url", "https://vimeo.com/1")) == "talk"
    with pytest.raises(Unreachable, match="oEmbed answered 500"):
        read_oembed(Page("https://s.example", 500, "", b""))
