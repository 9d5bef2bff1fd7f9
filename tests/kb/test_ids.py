"""What a reference names, and when two name the same work."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.ids import (
    Source,
    canonical_url,
    fold,
    identify,
    is_shortener,
    is_social,
    slug,
    source_url,
    title_key,
    url_token,
)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("2006.11239", Source("arxiv", "2006.11239")),
        (" <2006.11239v3> ", Source("arxiv", "2006.11239")),
        ("arXiv: 2006.11239", Source("arxiv", "2006.11239")),
        ("hep-th/9901001v2", Source("arxiv", "hep-th/9901001")),
        ("math.GT/0309136", Source("arxiv", "math/0309136")),
        ("https://arxiv.org/abs/2006.11239v2", Source("arxiv", "2006.11239")),
        ("http://www.arxiv.org/pdf/2006.11239.pdf", Source("arxiv", "2006.11239")),
        ("https://ar5iv.labs.arxiv.org/html/2006.11239", Source("arxiv", "2006.11239")),
        ("https://arxiv.org/abs/cs/0112017", Source("arxiv", "cs/0112017")),
        ("https://huggingface.co/papers/2006.11239", Source("arxiv", "2006.11239")),
        ("https://huggingface.co/gpt2", Source("url", "https://huggingface.co/gpt2")),
        ("https://arxiv.org/list/cs.CL/recent", Source("url", "https://arxiv.org/list/cs.CL/recent")),
        ("10.1000/ABC.", Source("doi", "10.1000/abc")),
        ("doi: 10.1000/abc", Source("doi", "10.1000/abc")),
        ("https://doi.org/10.1000%2Fabc", Source("doi", "10.1000/abc")),
        ("10.48550/arXiv.2006.11239", Source("arxiv", "2006.11239")),
        ("https://aclanthology.org/2020.acl-main.1/", Source("acl", "2020.acl-main.1")),
        ("https://www.aclweb.org/anthology/P18-1001.pdf", Source("acl", "P18-1001")),
        ("https://openreview.net/forum?id=rJ4km2R5t7&noteId=x", Source("openreview", "rJ4km2R5t7")),
        ("https://youtu.be/abc-_1?t=2138s", Source("video", "https://www.youtube.com/watch?v=abc-_1", "35:38")),
        (
            "https://m.youtube.com/watch?v=abc&t=1h2m3s",
            Source("video", "https://www.youtube.com/watch?v=abc", "1:02:03"),
        ),
        ("https://www.youtube.com/live/abc?start=61", Source("video", "https://www.youtube.com/watch?v=abc", "1:01")),
        ("https://youtu.be/abc?t=" + "1" * 5000, Source("video", "https://www.youtube.com/watch?v=abc")),
        ("github.com/a/b.git", Source("code", "https://github.com/a/b")),
        ("https://github.com/a/b/tree/main", Source("url", "https://github.com/a/b/tree/main")),
        ("example.org/x?utm_source=y&id=1#top", Source("url", "https://example.org/x?id=1#top")),
        ("http://[", Source("url", "http://[")),
        ("some words", None),
        ("word", None),
        ("", None),
        ("example.org is down", None),
    ],
)
def test_what_a_reference_names(text: str, source: Source | None) -> None:
    assert identify(text) == source


@given(st.text() | st.text("htps:/.?#[]&=10vabcdo ", max_size=40).map("http://".__add__))
def test_any_text_is_a_reference_or_none(text: str) -> None:
    found = identify(text)
    assert found is None or (found.key and isinstance(found.token, str) and url_token(found.url) is not None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://www.example.org/a/", "http://example.org/a"),
        ("https://Example.org/a?utm_medium=x", "https://example.org/a"),
        ("https://x.com/u/status/1?s=20", "https://twitter.com/u/status/1?s=20"),
        ("https://github.com/Karpathy/NanoGPT", "https://github.com/karpathy/nanogpt/"),
    ],
)
def test_urls_of_one_page_have_one_token(one: str, other: str) -> None:
    assert url_token(one) == url_token(other)


def test_urls_of_two_pages_have_two_tokens() -> None:
    urls = [
        "https://e.org/a",
        "https://e.org/A",
        "https://e.org/a?id=1",
        "https://e.org/a#b",
        "https://github.com/a/b/X",
        "https://github.com/a/b/x",
    ]
    assert len({url_token(url) for url in urls}) == 6


def test_ids_lead_to_their_pages_and_tokens_fold_case() -> None:
    pages = [source_url(key, "X1") for key in ("arxiv", "doi", "acl", "openreview", "url")]
    assert pages == [
        "https://arxiv.org/abs/X1",
        "https://doi.org/X1",
        "https://aclanthology.org/X1",
        "https://openreview.net/forum?id=X1",
        "X1",
    ]
    assert Source("acl", "P18-1001").token == Source("acl", "p18-1001").token == "acl:p18-1001"
    assert Source("openreview", "AbC").token != Source("openreview", "abc").token


def test_tracking_goes_and_everything_else_stays() -> None:
    assert canonical_url(" https://e.org/a?b=%20c&d ") == "https://e.org/a?b=%20c&d"
    assert canonical_url("https://e.org/?fbclid=1#x") == "https://e.org/#x"


def test_hosts_that_hide_and_hosts_that_talk() -> None:
    assert (is_shortener("https://t.co/x"), is_shortener("https://at.co/x")) == (True, False)
    assert (is_social("https://www.LinkedIn.com/x"), is_social("https://linkedin.com.evil.org/")) == (True, False)


@pytest.mark.parametrize(
    ("title", "stem"),
    [
        ("FlashAttention: Fast and Memory-Efficient", "flashattention-fast-and-memory-efficient"),
        ("Don't Décode — Über ﬁne", "dont-decode-uber-fine"),
        ("深層学習", "note"),
        ("a" * 80, "a" * 60),
        ("word " * 20, "word-" * 11 + "word"),
        ("../../etc/passwd", "etc-passwd"),
    ],
)
def test_slugs(title: str, stem: str) -> None:
    assert slug(title) == (stem if len(stem) <= 60 else stem[:60].rstrip("-"))


@given(st.text())
def test_a_slug_is_a_short_file_name_and_its_own_slug(text: str) -> None:
    found = slug(text)
    assert 0 < len(found) <= 60
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert slug(found) == found


def test_folding_and_title_keys() -> None:
    assert (fold("É"), fold("ß"), fold("Ὀδυσσεύς"), fold("ﬁ")) == ("e", "ss", "οδυσσευσ", "fi")
    assert title_key("Don’t  Stop: the_Édition!") == title_key("dont stop THE edition") == "dont stop the edition"
