"""Two descriptions of one work made one, and taken back: what is filled, what wins, what stays, and every link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kb.checks import check
from kb.cli import app
from kb.files import Journal
from kb.ids import Source
from kb.library import Library
from kb.note import parse_note
from kb.problem import KbError
from kb.verbs.merge import merge_meta, merge_notes
from kb.verbs.merge_text import moved

PREPRINT = """---
title: Denoising Diffusion Probabilistic Models   # of mine
authors: [Jonathan Ho, Ajay Jain]
year: 2020
arxiv: "2006.11239"
status: reading
tags: [diffusion]  # two to come
---

My words, with a trailing space.\x20

"""
PUBLISHED = {
    "title": "Denoising diffusion probabilistic models!", "authors": ["Ho, J.", "Jain, A."], "year": 2021,
    "venue": "NeurIPS", "doi": "10.5555/3495724", "url": "https://proceedings.neurips.cc/x", "tags": ["generative"],
    "abstract": "We show.", "bibtex": {"entry": "inproceedings", "pages": "1-9"}, "published": "2021-01-01",
}  # fmt: skip


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    return tmp_path


def put(vault: Path, path: str, text: str) -> str:
    file = vault / "notes" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())
    return f"notes/{path}"


def tree(vault: Path) -> dict[str, bytes]:
    return {str(p.relative_to(vault)): p.read_bytes() for p in (vault / "notes").rglob("*.md")}


def merged(vault: Path, text: str, meta: dict[str, Any], source: Source | None = None) -> tuple[str, dict[str, Any]]:
    """The note's text and front matter after a record was merged into it."""
    path = put(vault, "papers/x.md", text)
    new = merge_meta(Library(vault), path, meta, source)
    assert new is not None and (vault / path).read_bytes() == text.encode()
    return new.decode(), dict(parse_note(new, path)[0].meta)


def note(front: str) -> str:
    return f"---\n{front}---\nbody\n"


# A record into a note


def test_the_published_version_joins_its_preprint_line_by_line(vault: Path) -> None:
    text, _ = merged(vault, PREPRINT, PUBLISHED, Source("doi", "10.5555/3495724"))
    assert text == (
        PREPRINT.replace("year: 2020\n", "year: 2021\nvenue: NeurIPS\n")
        .replace('39"\n', '39"\ndoi: 10.5555/3495724\nurl: https://proceedings.neurips.cc/x\npublished: 2021-01-01\n')
        .replace("[diffusion]", "[diffusion, generative]")
        .replace("come\n---", 'come\nabstract: We show.\nbibtex: {entry: inproceedings, pages: "1-9"}\n---')
    )  # fmt: skip
    assert merge_meta(Library(vault), put(vault, "papers/x.md", text), PUBLISHED) is None


@pytest.mark.parametrize(
    ("front", "meta", "expected"),
    [
        # what a person wrote stays
        ("title: T\nyear: 2019\narxiv: '2006.11239'\n", {"year": 2021, "venue": "ICML"}, {"venue": "ICML"}),
        ("title: T\nvenue: Mine\nyear: 2020\narxiv: '2006.11239'\n", {"year": 2021, "venue": "ICML"}, None),
        ("title: T\nstatus: to-read\n", {"status": "read", "finished": "2024-01-01"}, None),
        ("title: T\nabstract: Mine.\nrating: 2\n", {"abstract": "Theirs.", "rating": 5}, None),
        # what is a preprint's gives way
        ("title: T\nvenue: arXiv\nyear: 2018\n", {"year": 2021, "venue": "ICML"}, {"year": 2021, "venue": "ICML"}),
        ("title: T\nvenue: CoRR\nyear: 2018\n", {"year": 2019, "venue": "arXiv"}, None),
        ("title: T\ndoi: 10.1101/123456\n", {"doi": "10.1038/x", "venue": "Nature"},
         {"doi": "10.1038/x", "also": ["https://doi.org/10.1101/123456"], "venue": "Nature"}),
        ("title: T\nbibtex: {entry: misc, howpublished: arXiv preprint, month: jun}\nyear: 2020\n",
         {"venue": "ICML", "bibtex": {"entry": "inproceedings", "pages": "1"}},
         {"venue": "ICML", "bibtex": {"entry": "inproceedings", "pages": "1", "month": "jun"}}),
        # ids and places
        ("title: T\ndoi: 10.1038/x\n", {"doi": "10.1101/123456"}, {"also": ["https://doi.org/10.1101/123456"]}),
        ("title: T\ndoi: 10.1038/x\n", {"doi": "10.48550/arXiv.2006.11239"}, {"arxiv": "2006.11239"}),
        ("title: T\narxiv: '2006.11239'\n", {"url": "https://arxiv.org/abs/2006.11239v2"}, None),
        ("title: T\nurl: https://a.org/x\n", {"url": "https://b.org/y"}, {"also": ["https://b.org/y"]}),
        ("title: T\nurl: https://a.org/x\n", {"url": "http://www.a.org/x/"}, None),
        ("title: T\n", {"url": "https://x.com/a/status/1"}, {"seen": ["https://x.com/a/status/1"]}),
        ("title: T\ncode: https://github.com/a/b\n", {"code": "https://github.com/c/d"},
         {"seen": ["https://github.com/c/d"]}),
        ("title: T\n", {"pdf": "https://a.org/x.pdf"}, {"pdf": "https://a.org/x.pdf"}),
        # lists, names, other keys
        ("title: T\ntags: [a, B]\n", {"tags": ["b", "c"]}, {"tags": ["a", "B", "c"]}),
        ("title: T\nimported: [l.md:1]\n", {"imported": ["l.md:1", "m.md:2"]}, {"imported": ["l.md:1", "m.md:2"]}),
        ("title: The Paper\n", {"title": "Another Name of It"}, {"aliases": ["Another Name of It"]}),
        ("title: The Paper\n", {"title": "{The} Paper."}, None),
        ("title: The Paper\n", {"aliases": ["Y", "y", "the paper", "x"]}, {"aliases": ["Y"]}),
        ("title: T\n", {"status": "read", "finished": "2024-01-01", "kind": "talk"},
         {"status": "read", "finished": "2024-01-01"}),
        ("title: T\n", {"private": True}, {"private": True}),
        ("title: T\n", {"venue": "", "year": None, "tags": [], "mine": 1}, None),
        # a note that still waited for its service
        ("title: arXiv 2006.11239\narxiv: '2006.11239'\nincomplete: arxiv\n",
         {"title": "Real", "arxiv": "2006.11239"}, {"title": "Real", "incomplete": None}),
        ("title: Mine\narxiv: '2006.11239'\nincomplete: arxiv\n",
         {"title": "Real", "doi": "10.1000/x"}, {"doi": "10.1000/x", "aliases": ["Real"]}),
    ],
)  # fmt: skip
def test_what_a_record_adds(vault: Path, front: str, meta: dict[str, Any], expected: dict[str, Any] | None) -> None:
    path = put(vault, "papers/x.md", note(front))
    before = parse_note((vault / path).read_bytes(), path)[0].meta
    new = merge_meta(Library(vault), path, meta)
    now = before if new is None else parse_note(new, path)[0].meta
    changed = {key: now.get(key) for key in {*before, *now} if now.get(key) != before.get(key)}
    assert (None if new is None else changed) == expected


def test_the_reference_itself_is_kept(vault: Path) -> None:
    _, meta = merged(
        vault, note("title: T\nurl: https://a.org\n"), {"title": "Blog | T"}, Source("url", "https://b.org/t")
    )
    assert meta["also"] == ["https://b.org/t"] and "aliases" not in meta
    _, meta = merged(vault, note("title: T\n"), {"pdf": "https://b.org/t.pdf"}, Source("url", "https://b.org/t.pdf"))
    assert meta["pdf"] == "https://b.org/t.pdf" and "url" not in meta


def test_an_alias_that_is_another_notes_name_is_not_taken(vault: Path) -> None:
    put(vault, "papers/other.md", note("title: Another Name\n"))
    assert merge_meta(Library(vault), put(vault, "papers/x.md", note("title: T\n")), {"title": "Another Name"}) is None


def test_a_note_that_cannot_be_edited_is_named(vault: Path) -> None:
    path = put(vault, "papers/x.md", "---\ntitle: T\n")
    with pytest.raises(KbError, match=r"notes/papers/x.md: line 1: the front matter is never closed"):
        merge_meta(Library(vault), path, {"year": 2020})
    with pytest.raises(KbError, match="notes/papers/y.md is gone; run the command again"):
        merge_meta(Library(vault), "notes/papers/y.md", {"year": 2020})


# Two notes


KEEP = (
    "---\r\ntitle: The Paper\r\narxiv: '2006.11239'\r\nstatus: to-read  # soon\r\nadded: 2025-01-01\r\n---\r\n\r\n"
    "Mine.[^1]\r\n\r\n[^1]: one\r\n"
)
GONE = """---
title: The paper as a talk
status: read
added: 2024-01-01
finished: 2024-02-02
rating: 4
aliases: [PT]
cite: ho2020
mood: good
private: true
---
# The Paper as a Talk

Theirs.[^1] ![f](img/a.png) [u](../papers/u.md#deep) `[u](../papers/u.md)` [self](gone.md) [site][s]

## Part

[^1]: two
[s]: other.pdf
"""


def two(vault: Path) -> tuple[Library, str, str]:
    keep, gone = put(vault, "papers/keep.md", KEEP), put(vault, "talks/gone.md", GONE)
    links = "[[gone]] [[PT]] [[the paper as a talk]] [[talks/gone|here]]\n[a](../talks/gone.md#part)\n"
    put(vault, "papers/u.md", note("title: U\n") + "# Deep\n" + links)
    put(vault, "talks/v.md", "---\r\ntitle: V\r\npart_of: gone\r\n---\r\n[b](gone.md) `gone.md` [[gone#Part]]\r\n")
    return Library(vault), keep, gone


def test_two_notes_become_one_and_every_link_still_leads_there(vault: Path) -> None:
    library, keep, gone = two(vault)
    before = tree(vault)
    leading = {(path, link.target) for path, link in library.index.links_to(gone)}
    done = merge_notes(library, library.notes[keep], library.notes[gone])
    assert (done.path, done.gone, done.notes, done.left) == (keep, gone, ["notes/papers/u.md", "notes/talks/v.md"], [])
    assert (vault / keep).read_bytes().decode() == (
        "---\r\ntitle: The Paper\r\narxiv: '2006.11239'\r\nstatus: read  # soon\r\nadded: 2024-01-01\r\n"
        "finished: 2024-02-02\r\naliases: [gone, The paper as a talk, PT]\r\ncite: ho2020\r\nrating: 4\r\n"
        "private: true\r\nmood: good\r\n---\r\n\r\nMine.[^1]\r\n\r\n[^1]: one\r\n\r\n"
        "## The paper as a talk\r\n\r\n"
        "Theirs.[^1-gone] ![f](../talks/img/a.png) [u](u.md#deep) `[u](../papers/u.md)` [self](keep.md) "
        "[site][s]\r\n\r\n"
        "## Part\r\n\r\n[^1-gone]: two\r\n[s]: ../talks/other.pdf\r\n"
    )
    assert not (vault / gone).exists()
    after = Library(vault)
    sources = [path for path, _ in after.index.links_to(keep)]
    assert sorted(sources) == sorted(path for path, _ in leading)
    assert [p for p in check(after) if p.check in ("link", "part-of", "anchor")] == []
    turned = before["notes/talks/v.md"].replace(b"[b](gone.md)", b"[b](../papers/keep.md)")
    assert (vault / "notes/talks/v.md").read_bytes() == turned
    Journal(vault).undo()
    assert tree(vault) == before


def test_values_that_give_way_are_told(vault: Path) -> None:
    put(vault, "papers/a.md", note("title: A\nrating: 2\nauthors: [Ann Lee]\nyear: 2020\n"))
    put(vault, "papers/b.md", note("title: A\nrating: 4\nauthors: [Ann Lee, Bo Li]\nyear: 2020\n"))
    library = Library(vault)
    done = merge_notes(library, library.find("a"), library.find("b"))
    assert done.left == ["rating: 4 (2 stays)", "authors: Ann Lee, Bo Li (Ann Lee stays)"]
    put(vault, "papers/c.md", note("title: A\nauthors: ['Lee, A.']\nyear: 2021\n"))
    library = Library(vault)
    assert merge_notes(library, library.find("a"), library.find("c")).left == ["year: 2021 (2020 stays)"]


def test_a_status_that_nobody_wrote_is_not_written(vault: Path) -> None:
    put(vault, "topics/a.md", "---\ntitle: A\n---\n")
    put(vault, "papers/b.md", note("title: B\n"))
    library = Library(vault)
    merge_notes(library, library.find("a"), library.find("b"))
    assert "status" not in (vault / "notes/topics/a.md").read_text()


def test_a_note_without_prose_adds_no_heading(vault: Path) -> None:
    a, b = put(vault, "papers/a.md", "---\ntitle: A\n---\n"), put(vault, "papers/b.md", note("title: B\n"))
    library = Library(vault)
    merge_notes(library, library.notes[a], library.notes[b])
    assert (vault / a).read_text() == "---\ntitle: A\naliases: [b]\n---\n\nbody\n"
    c = put(vault, "papers/c.md", "---\ntitle: C\n---\n  \n")
    library = Library(vault)
    merge_notes(library, library.notes[a], library.notes[c])
    assert (vault / a).read_text() == "---\ntitle: A\naliases: [b, c]\n---\n\nbody\n"


@pytest.mark.parametrize(
    ("keep", "other", "message"),
    [
        ("a", "a", "both are notes/papers/a.md; name two notes"),
        ("a", "index", "notes/index.md is a page of the site and no note; name two notes"),
        ("a", "b", "notes/papers/a.md has the reproduction 'x' and notes/papers/b.md 'y'; take one of them out first"),
    ],
)
def test_what_cannot_be_merged(vault: Path, keep: str, other: str, message: str) -> None:
    put(vault, "index.md", note("title: Home\n"))
    put(vault, "papers/a.md", note("title: A\nrepro: x\n"))
    put(vault, "papers/b.md", note("title: B\nrepro: y\n"))
    library, before = Library(vault), tree(vault)
    with pytest.raises(KbError, match=message):
        merge_notes(library, library.find(keep), library.find(other))
    assert tree(vault) == before


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_bytes_that_are_no_text_are_not_lost(vault: Path, names: tuple[str, str]) -> None:
    (vault / "notes/papers").mkdir(parents=True, exist_ok=True)
    (vault / "notes/papers/a.md").write_text("---\ntitle: A\n---\nText\n")
    (vault / "notes/papers/b.md").write_bytes(b"---\ntitle: B\n---\ncaf\xe9\n")
    library = Library(vault)
    with pytest.raises(KbError, match=r"^notes/papers/b\.md is no UTF-8; save it as UTF-8 first$"):
        merge_notes(library, library.find(names[0]), library.find(names[1]))
    assert (vault / "notes/papers/b.md").read_bytes().endswith(b"caf\xe9\n")


def test_a_file_edited_meanwhile_is_not_overwritten(vault: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, keep, gone = two(vault)
    commit = Journal.commit

    def late(self: Journal, *args: Any, **options: Any) -> None:
        (vault / gone).write_text("---\ntitle: new\n---\n")
        commit(self, *args, **options)

    monkeypatch.setattr(Journal, "commit", late)
    with pytest.raises(KbError, match="notes/talks/gone.md changed while kb was at work; nothing was written"):
        merge_notes(library, library.notes[keep], library.notes[gone])
    assert (vault / keep).read_bytes() == KEEP.encode()


def test_link_definitions_of_one_name_stay_two(vault: Path) -> None:
    put(vault, "papers/a.md", note("title: A\n") + "\n[x][s] [s]\n\n[s]: https://a.org\n")
    put(vault, "papers/b.md", note("title: B\n") + "\n[y][S] [s] [s][] [z](s)\n\n[s]: https://b.org\n")
    library = Library(vault)
    merge_notes(library, library.find("a"), library.find("b"))
    text = (vault / "notes/papers/a.md").read_text()
    assert text.endswith("## B\n\nbody\n\n[y][s-b] [s][s-b] [s][s-b] [z](s)\n\n[s-b]: https://b.org\n")


@pytest.mark.parametrize(
    ("prose", "expected"),
    [
        ("[a](b.pdf)", "[a](../talks/b.pdf)"),
        ("![a](<my file.png>)", "![a](<../talks/my file.png>)"),
        ("[a](https://a.org) [b](/c) [d](#e) [f](mailto:g@h)", "[a](https://a.org) [b](/c) [d](#e) [f](mailto:g@h)"),
        ("[a](../papers/b.md#c)", "[a](b.md#c)"),
        ("[a](x.md#part)", "[a](y.md#part)"),
        ('<img src="a.svg" width=3>', '<img src="../talks/a.svg" width=3>'),
        ("`[a](b.pdf)` $[a](b)$", "`[a](b.pdf)` $[a](b)$"),
    ],
)
def test_places_lead_where_they_led(prose: str, expected: str) -> None:
    assert moved(prose, "notes/talks/x.md", "notes/papers/y.md") == expected


def test_the_verb(vault: Path) -> None:
    two(vault)
    run = CliRunner().invoke(app, ["--root", str(vault), "merge", "2006.11239", "PT"])
    assert run.output.splitlines() == [
        "merged notes/talks/gone.md into notes/papers/keep.md",
        "turned the links of notes/papers/u.md",
        "turned the links of notes/talks/v.md",
    ]
    assert CliRunner().invoke(app, ["--root", str(vault), "undo"]).exit_code == 0
    assert (vault / "notes/talks/gone.md").read_text() == GONE
