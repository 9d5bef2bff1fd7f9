"""Bytes become a note and its Problems, each with its line; no bytes stop the reading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.ids import Source
from kb.note import KEY_ORDER, KINDS, SCHEMA, Note, author_name, folder_kind, parse_note, shown_authors

DATA = Path(__file__).parents[1] / "data"
PATH = "notes/papers/x.md"


def parsed(front: str, path: str = PATH) -> tuple[Note, list[str]]:
    note, problems = parse_note(f"---\ntitle: x\n{front}\n---\n".encode(), path)
    return note, [f"{p.level} {p.line}: {p.check}: {p.message} ({p.hint}) {p.fixable}" for p in problems]


BROKEN = {
    "no-front-matter": "error 1: front-matter: no front matter (begin the file with ---, title: A heading, ---) True",
    "never-closed": "error 1: front-matter: the front matter is never closed"
    " (end it with a line of three dashes: ---) False",
    "no-utf8": "error 6: encoding: byte 0xff is no UTF-8 (save the file as UTF-8) False",
    "no-title": "error 1: title: no title (add `title: From the heading`) False",
    "colon-in-title": "error 2: yaml: 'title' is no YAML: mapping values are not allowed in this context"
    ' (quote it: title: "One: two") True',
    "tags-as-comment": "error 3: yaml-trap: YAML reads `tags: #ml` as empty: # begins a comment"
    " (write tags: [ml]) True",
    "duplicate-key": "error 4: duplicate-key: 'status' stands on line 3 too (keep one of the two) False",
    "unknown-key": "warning 3: unknown-key: unknown key 'statsu' (did you mean 'status'?) False",
    "bad-status": "error 3: schema: status: 'done' is not one of inbox to-read reading read dropped"
    " (write one of inbox to-read reading read dropped) False",
    "bad-date": "error 3: schema: added: '4 January' is not a date like 2025-01-04"
    " (write a date like 2025-01-04) False",
    "Not an id": "warning 0: id: the file name 'Not an id' is no id of a-z, 0-9 and - (name it not-an-id.md) False",
}


@pytest.mark.parametrize("name", BROKEN)
def test_one_fault_is_one_problem(name: str) -> None:
    note, problems = parse_note((DATA / "broken" / f"{name}.md").read_bytes(), f"notes/papers/{name}.md")
    assert [f"{p.level} {p.line}: {p.check}: {p.message} ({p.hint}) {p.fixable}" for p in problems] == [BROKEN[name]]
    assert {p.path for p in problems} == {f"notes/papers/{name}.md"}
    assert (note.id, note.kind) == (name, "paper")


def test_an_alias_is_a_problem_on_its_line_and_the_title_stays() -> None:
    note, problems = parse_note((DATA / "broken/alias.md").read_bytes(), "notes/papers/alias.md")
    assert str(problems[0]) == (
        "notes/papers/alias.md:3: yaml: the front matter uses YAML anchors (& or *), which kb does not read"
        " (quote the value, or write it out)"
    )
    assert note.title == "x"


def test_every_broken_file_is_tried() -> None:
    assert {p.stem for p in (DATA / "broken").glob("*.md")} == {*BROKEN, "alias"}


def test_a_good_note_is_read_with_its_types() -> None:
    note, problems = parse_note((DATA / "good/ddpm.md").read_bytes(), "notes/papers/ddpm.md")
    assert problems == []
    assert note.as_json() == {
        "id": "ddpm",
        "title": "Denoising Diffusion Probabilistic Models",
        "kind": "paper",
        "status": "reading",
        "path": "notes/papers/ddpm.md",
        "authors": ["Jonathan Ho", "Ajay Jain"],
        "year": 2020,
        "arxiv": "2006.11239",
        "added": "2025-01-04",
        "tags": ["diffusion", "ml"],
        "aliases": ["DDPM"],
        "rating": 5,
        "private": False,
        "cssclasses": "wide",
    }
    assert (note.body, note.body_line) == ("\n# Denoising\n\nSee [[unet|the network]].\n", 15)
    assert [(link.target, link.line) for link in note.links] == [("unet", 18)]


def test_crlf_and_a_bom_are_no_fault() -> None:
    note, problems = parse_note((DATA / "good/crlf-and-bom.md").read_bytes(), "notes/talks/unet.md")
    assert problems == []
    assert (note.title, note.status, note.tags, note.kind) == ("U-Net", "inbox", ["vision"], "talk")
    assert [(link.line, link.context) for link in note.links] == [(7, "Body with CRLF and a ddpm.")]


GOOD: list[tuple[str, Any]] = [
    ("title: a  b", "a b"),
    ("kind: Talk", "talk"),
    ("status: TO-READ", "to-read"),
    ("authors: Ho", ["Ho"]),
    ("authors: [Ho, '', {family: Jain}]", ["Ho", {"family": "Jain"}]),
    ("year: 2020", 2020),
    ("arxiv: '2409.17100'", "2409.17100"),
    ("arxiv: 2006.11239", "2006.11239"),
    ("also: [https://e.org]", ["https://e.org"]),
    ("finished: null", None),
    ("finished: ~  # not yet", None),
    ("arxiv: https://arxiv.org/abs/0704.0001v2", "0704.0001"),
    ("doi: https://doi.org/10.1000/182", "10.1000/182"),
    ("acl: 2020.acl-main.1", "2020.acl-main.1"),
    ("acl: https://aclanthology.org/P18-1001/", "P18-1001"),
    ("openreview: https://openreview.net/forum?id=a-B_c", "a-B_c"),
    ("s2: CorpusID:1234", "CorpusID:1234"),
    ("openalex: https://openalex.org/W2741809807", "W2741809807"),
    ("url: https://e.org", "https://e.org"),
    ("seen: https://e.org", ["https://e.org"]),
    ("added: 2024-02-29", "2024-02-29"),
    ("published: 2020", "2020"),
    ("published: 2020-05", "2020-05"),
    ("published: 2020-05-01", "2020-05-01"),
    ("tags: ml, vision", ["ml", "vision"]),
    ("tags: [ml, '#ml', a b]", ["ml", "a b"]),
    ("aliases: One", ["One"]),
    ("rating: 5", 5),
    ("private: Yes", True),
    ("private: false", False),
    ("bibtex: {pages: 1-9}", {"pages": "1-9"}),
    ("results: [{metric: FID, value: 3.170}]", [{"metric": "FID", "value": "3.170"}]),
]


@pytest.mark.parametrize(("line", "value"), GOOD)
def test_good_values(line: str, value: Any) -> None:
    key = line.partition(":")[0]
    note, problems = parse_note(f"---\n{'' if key == 'title' else 'title: x'}\n{line}\n---\n".encode(), PATH)
    assert (note.meta.get(key), [p for p in problems if p.level != "info"]) == (value, [])


BAD = [
    ("title: [a]", "one line of text"),
    ("kind: movie", f"one of {' '.join(KINDS)} page"),
    ("part_of: {a: b}", "one line of text"),
    ("authors: {name: Ho}", "names, or {family: …, given: …}"),
    ("authors: [a, [b]]", "one line of text"),
    ("year: 20", "a year like 2020"),
    ("year: 3020", "a year like 2020"),
    ("arxiv: 2409.171", 'an arXiv id in quotes, like "2006.11239"'),
    ("doi: 11.1/x", "a DOI like 10.1000/182"),
    ("acl: 2020-acl", "an id of the ACL Anthology like 2020.acl-main.1 or P18-1001"),
    ("acl: https://arxiv.org/abs/2006.11239", "an id of the ACL Anthology like 2020.acl-main.1 or P18-1001"),
    ("openreview: a b", "an OpenReview id: what stands behind id= in its URL"),
    ("s2: '1234'", "a Semantic Scholar id: 40 hexadecimal digits, or CorpusID:1234"),
    ("openalex: X12", "an OpenAlex id like W2741809807"),
    ("pmid: PMC12", "a PubMed id like 23193287"),
    ("isbn: 978-0-262-03561-4", "an ISBN with its right check digit, in quotes"),
    ("url: e.org", "a URL that begins with http:// or https://"),
    ("seen: [https://e.org, x]", "a URL that begins with http:// or https://"),
    ("added: 2025-02-30", "a date like 2025-01-04"),
    ("added: 2025-W01-1", "a date like 2025-01-04"),
    ("finished: 202501", "a date like 2025-01-04"),
    ("published: 2020-13", "a date like 2025-01-04"),
    ("tags: {a: b}", "a list like [a, b]"),
    ("rating: 6", "a whole number from 1 to 5"),
    ("rating: 4.5", "a whole number from 1 to 5"),
    ("private: maybe", "true or false"),
    ("results: FID 3", "a list of {task, data, metric, value, where}"),
    ("bibtex: [a]", "a mapping like {entry: article, pages: 1-9}"),
]


@pytest.mark.parametrize(("line", "expected"), BAD)
def test_bad_values_are_told_and_left_out(line: str, expected: str) -> None:
    key = line.partition(":")[0]
    head = "" if key == "title" else "title: x"
    note, problems = parse_note(f"---\n{head}\n{line}\n---\n".encode(), PATH)
    told = problems[0]
    assert len(problems) == 1
    assert (told.line, told.check, told.level, told.hint) == (3, "schema", "error", f"write {expected}")
    assert told.message.startswith(f"{key}: '")
    assert told.message.endswith(f"' is not {expected}")
    assert note.meta.get(key) == {"title": "['a']", "kind": "paper", "private": True}.get(key)


def test_every_key_of_the_schema_is_tried() -> None:
    tried = {line.partition(":")[0] for line in [*(line for line, _ in GOOD), *(line for line, _ in BAD)]}
    like_others = {
        "at",
        "venue",
        "pdf",
        "code",
        "video",
        "slides",
        "paperpile",
        "started",
        "repro",
        "cite",
        "incomplete",
        "imported",
        "wanted",
        "abstract",
    }
    assert set(SCHEMA) - tried == like_others
    assert KEY_ORDER[:4] == ("title", "kind", "part_of", "status")


def test_unknown_keys_are_kept() -> None:
    note, problems = parsed("mine: [a, {b: c}]\nAuthor: Ho\ndescription: d")
    assert note.meta["mine"] == ["a", {"b": "c"}]
    assert problems == [
        "info 3: unknown-key: unknown key 'mine' (kb keeps it and does nothing with it) False",
        "warning 4: unknown-key: unknown key 'Author' (did you mean 'authors'?) False",
    ]


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [
        ("notes/papers/a.md", "paper", "inbox"),
        ("notes/talks/2025/a.md", "talk", "inbox"),
        ("notes/code/a.md", "code", "inbox"),
        ("notes/topics/a.md", "topic", ""),
        ("notes/guide/a.md", "page", ""),
        ("notes/papers/index.md", "page", ""),
        ("notes/index.md", "page", ""),
        ("notes/a.md", "", "inbox"),
        ("notes/other/a.md", "", "inbox"),
        ("notes/papers.md", "", "inbox"),
    ],
)
def test_the_folder_gives_the_kind(path: str, kind: str, status: str) -> None:
    note, problems = parsed("", path)
    assert (folder_kind(path), note.kind, note.status, problems) == (kind, kind, status, [])


def test_the_file_says_more_than_the_folder() -> None:
    note, _ = parsed("kind: log\nstatus: read", "notes/papers/a.md")
    assert (note.kind, note.status) == ("log", "read")


def test_the_title_may_come_from_the_heading_or_the_file_name() -> None:
    assert parse_note(b"text\n# Head ##  \n# Two\n", PATH)[0].title == "Head"
    assert parse_note(b"#tag and no heading\n", PATH)[0].title == "x"
    assert parse_note(b"# a" + b" " * 4990 + b"b", PATH)[0].title == "a" + " " * 4990 + "b"


def test_every_way_a_work_is_known() -> None:
    note, _ = parsed(
        "arxiv: 2006.11239\nurl: https://arxiv.org/abs/2006.11240v1\ncode: https://github.com/A/b\nslides: https://e.org/s"
    )
    assert note.sources() == [
        Source("arxiv", "2006.11239"),
        Source("arxiv", "2006.11240"),
        Source("code", "https://github.com/A/b"),
    ]


def test_names_of_people() -> None:
    assert author_name({"family": "Ho", "given": "J.", "suffix": "Jr"}) == "J. Ho Jr"
    assert author_name({"literal": "The Team"}) == "The Team"
    assert shown_authors(["Jonathan Ho"]) == "Ho"
    assert shown_authors(["A Ho", "B Jain"]) == "Ho & Jain"
    assert shown_authors(["A Ho", "B Jain", "C Abbeel"]) == "Ho et al."


FRAGMENTS = st.sampled_from(
    [
        "---\n",
        "---\r\n",
        "title: x\n",
        "title: [[a]]\n",
        "tags: #a\n",
        "tags:\n  - a\n",
        "a: b: c\n",
        "year: 2020\n",
        "status: read\n",
        "authors: {family: x}\n",
        "\ufeff",
        "\0",
        "\x07",
        "\u2028",
        "# h\n",
        "[[x]]\n",
        "```\n",
        "$$\n",
        "<!--\n",
        "? a\n",
        "&a\n",
        "*a\n",
        "!!python/object:os.system x\n",
        "<<: *a\n",
        "'",
        '"',
        "{",
        "[",
        "\t",
        "|\n",
        ">\n",
        "%YAML 1.2\n",
        "é",
        "\r",
    ]
)


@given(
    st.binary(max_size=200)
    | st.lists(FRAGMENTS, max_size=30).map(lambda parts: "".join(parts).encode())
    | st.lists(FRAGMENTS, max_size=12).map(lambda parts: ("---\ntitle: t\n" + "".join(parts) + "\n---\nb").encode())
)
def test_no_bytes_stop_the_reading(data: bytes) -> None:
    note, problems = parse_note(data, PATH)
    lines = data.count(b"\n") + 1
    assert all(p.path == PATH and 0 <= p.line <= lines and p.message and "\n" not in str(p) for p in problems)
    assert note.title
    assert json.loads(json.dumps(note.as_json()))["path"] == PATH
    assert all(1 <= link.line <= lines for link in note.links)
    assert data.decode("utf-8", "replace").endswith(note.body)
