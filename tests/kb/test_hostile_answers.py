"""Whatever a service answers, kb makes front matter that it can read again, or says in one line what is wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import servers
import servers_papers as papers
from hypothesis import given, settings
from hypothesis import strategies as st

from kb import frontmatter
from kb.ids import Source, identify
from kb.note import KEY_ORDER, parse_note
from kb.problem import KbError
from kb.sources import fetcher
from kb.sources.http import Client, Page

GOOD_JSON: dict[str, Any] = {
    "10.1038/s41592-021-0001-1": papers.CROSSREF,
    "10.1101/2020.01.01.123456": papers.PREPRINT,
    "openreview:abcDEF_12-3": papers.OPENREVIEW_2,
    "openreview:rJ4km2R5t7": papers.OPENREVIEW_1,
    f"S2:{papers.SHA}": papers.S2,
    "W2741809807": papers.OPENALEX,
    "PMC3531190": papers.PMC_SUMMARY,
    "isbn:9780262035613": papers.BOOK,
}
GOOD_TEXT = {
    "2006.11239": str(servers.atom(servers.DDPM, servers.MOBILE).body),
    "pmid:23193287": papers.PUBMED.format(papers.PUBMED_ARTICLE),
    "2020.acl-main.442": papers.ACL_BIB,
}
TEXT = st.text(max_size=20) | st.sampled_from(
    ["\ud800", "\x00", "<jats:p>", "10.1/", "https://", "0000", "9" * 5000, "---"]
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


class Canned(Client):
    """A client that is given the same answer by everybody."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page

    def _patiently(self, url: str, request: object) -> Page:
        return self.page


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value of a document."""
    yield path
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield from places(value, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at one place."""
    if not path:
        return value
    new = copy.deepcopy(document)
    node = new
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return new


def check(text: str, page: Page) -> None:
    """One answer for a reference: either a note that reads back without a problem, or one line."""
    source = identify(text)
    assert isinstance(source, Source)
    ((asked, answer),) = fetcher(Canned(page))([source])
    assert asked == source
    if isinstance(answer, KbError):
        assert len(str(answer).splitlines()) == 1
        return
    assert list(answer) and answer["title"]
    meta = {key: answer[key] for key in KEY_ORDER if key in answer}
    note, problems = parse_note(frontmatter.compose(meta, "").encode(), "notes/papers/x.md")
    assert [p for p in problems if p.check != "ids"] == []  # ids of two works are told, and by whom they were given
    assert {key: note.meta[key] for key in meta} == meta


@pytest.mark.parametrize("text", GOOD_JSON)
@given(data=st.data())
@settings(max_examples=60)
def test_json_with_anything_in_any_place(text: str, data: st.DataObject) -> None:
    good = GOOD_JSON[text]
    document = changed(good, data.draw(st.sampled_from(list(places(good)))), data.draw(JUNK))
    status = data.draw(st.sampled_from([200, 200, 200, 400, 403, 418]))
    check(text, Page("https://e.org/", status, "application/json", json.dumps(document).encode()))


@pytest.mark.parametrize("text", GOOD_JSON)
def test_json_with_a_null_in_every_place(text: str) -> None:
    for path in places(GOOD_JSON[text]):
        for value in (None, [], {}, "", [None], 7, True):
            body = json.dumps(changed(GOOD_JSON[text], path, value)).encode()
            check(text, Page("https://e.org/", 200, "application/json", body))


@pytest.mark.parametrize("text", GOOD_TEXT)
@given(data=st.data())
@settings(max_examples=60)
def test_documents_with_anything_in_any_place(text: str, data: st.DataObject) -> None:
    good = GOOD_TEXT[text].encode()
    start, end = (data.draw(st.integers(0, len(good))) for _ in "ab")
    noise = data.draw(st.binary(max_size=20) | TEXT.map(lambda t: t.encode("utf-8", "replace")))
    check(text, Page("https://e.org/", 200, "text/xml", good[:start] + noise + good[end:]))


@pytest.mark.parametrize("text", [*GOOD_JSON, *GOOD_TEXT])
@given(
    body=st.binary(max_size=60)
    | st.sampled_from([b"", b"[" * 100_000, b"\xff\xfe<\0", b"{}", b"null", b"[]", b"9" * 5000])
)
@settings(max_examples=30)
def test_bytes_of_any_sort(text: str, body: bytes) -> None:
    check(text, Page("https://e.org/", 200, "text/html", body))
