"""The query language: what it takes, what it refuses, and that SQL answers as plain Python would."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kb.frontmatter import compose
from kb.ids import fold
from kb.index import SORTS, Index
from kb.note import Note
from kb.problem import KbError
from kb.query import FIELDS, Query, Term, parse

NOTES: dict[str, dict[str, Any]] = {
    "papers/ddpm.md": {
        "title": "Denoising Diffusion",
        "authors": ["Jonathan Ho", "Ajay Jain"],
        "year": 2020,
        "status": "read",
        "arxiv": "2006.11239",
        "tags": ["diffusion", "ml/vision"],
        "aliases": ["DDPM"],
        "added": "2025-01-04",
        "finished": "2025-03-01",
        "rating": 5,
        "repro": "ddpm",
        "venue": "NeurIPS",
    },
    "papers/lora.md": {
        "title": "LoRA learns less",
        "authors": ["Dan Biderman"],
        "year": 2024,
        "status": "to-read",
        "tags": ["ml", "a_b"],
        "added": "2025-02-10",
        "code": "https://github.com/a/b",
    },
    "talks/ecole.md": {
        "title": "Été à l'École",
        "authors": ["Élodie Ñandú"],
        "year": 2023,
        "tags": ["été", "axb/c"],
        "added": "2024-12-31",
        "venue": "Université d'Été",
    },
    "topics/Diffusion.md": {"title": "Diffusion models", "tags": ["ML"], "mine": "yes"},
    "guide/how.md": {"title": "How to diffuse"},
}


@contextmanager
def vault(notes: dict[str, dict[str, Any]]) -> Iterator[Index]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "notes").mkdir()
        for path, meta in notes.items():
            file = Path(folder, "notes", path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(compose(meta, "A [[link]]." if "lora" in path else ""))
        index = Index(Path(folder))
        yield index
        index.close()


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", ()),
        ("Two WÖRDS", (Term("", "two"), Term("", "words"))),
        ('"Exact Words" -not', (Term("", "exact words"), Term("", "not", negated=True))),
        ("Status:TO-READ tags:ML", (Term("status", "to-read"), Term("tag", "ml"))),
        ('author:"Jonathan Ho" in:cs336', (Term("author", "jonathan ho"), Term("part_of", "cs336"))),
        ("year:2020", (Term("year", "2020", "2020"),)),
        ("year:2020..2023 added:2025-01..", (Term("year", "2020", "2023"), Term("added", "2025-01", ""))),
        ("finished:..2025-03", (Term("finished", "", "2025-03"),)),
        ("https://e.org/a", (Term("url", "https://e.org/a"),)),
        ("-has:repro", (Term("has", "repro", negated=True),)),
    ],
)
def test_grammar(text: str, terms: tuple[Term, ...]) -> None:
    assert parse(text) == Query(terms)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo:bar", f"no field 'foo' to query; there are {' '.join(FIELDS)}"),
        ("status:done", "no status 'done'; there are inbox to-read reading read dropped"),
        ("year:old", "'year:old' is no range; write year:2020, year:2020..2023 or year:2020.."),
        ('added:""', "'added:' is no range; write added:2020, added:2020..2023 or added:2020.."),
        ("rating:1...5", "'rating:1...5' is no range; write rating:2020, rating:2020..2023 or rating:2020.."),
    ],
)
def test_what_cannot_be_asked_is_wrong_usage(text: str, message: str) -> None:
    with pytest.raises(KbError) as error:
        parse(text)
    assert (str(error.value), error.value.code) == (message, 2)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", ["ddpm", "Diffusion", "ecole", "lora"]),
        ("diffusion", ["ddpm", "Diffusion"]),
        ("2006.11239", ["ddpm"]),
        ("ecole", ["ecole"]),
        ("ÉCOLE", ["ecole"]),
        ("ddpm -diffusion", []),
        ("status:inbox", ["ecole"]),
        ("kind:page", ["how"]),
        ("-kind:paper", ["Diffusion", "ecole"]),
        ("tag:ml", ["ddpm", "Diffusion", "lora"]),
        ("tag:a_b", ["lora"]),
        ("tag:%", []),
        ("tag:ete", ["ecole"]),
        ("year:2020..2023", ["ddpm", "ecole"]),
        ("-year:2020", ["Diffusion", "ecole", "lora"]),
        ("added:2025", ["ddpm", "lora"]),
        ("added:..2025-01", ["ddpm", "ecole"]),
        ("finished:2025-03-01..", ["ddpm"]),
        ("rating:4..", ["ddpm"]),
        ("author:ho author:jain", ["ddpm"]),
        ("author:élodie", ["ecole"]),
        ("author:ddpm", []),
        ("title:ete", ["ecole"]),
        ("venue:UNIVERSITÉ", ["ecole"]),
        ("id:diffusion", ["Diffusion"]),
        ("id:DDPM", ["ddpm"]),
        ("id:ddp", []),
        ("has:repro", ["ddpm"]),
        ("has:links", ["lora"]),
        ("has:mine", ["Diffusion"]),
        ("-has:tags", []),
        ("url:x", []),
    ],
)
def test_answers(text: str, ids: list[str]) -> None:
    with vault(NOTES) as index:
        assert sorted((row["id"] for row in index.select(parse(text), "id")), key=str.lower) == ids


@pytest.mark.parametrize(
    "value", ["'", "') OR 1=1 --", "x'; DROP TABLE notes; --", 'a"b', "a[", "$", ".", "%", "_", "\\", "\udcff", "\0"]
)
@pytest.mark.parametrize("field", ["", "tag:", "author:", "title:", "id:", "venue:", "has:", "url:"])
def test_values_are_never_sql(field: str, value: str) -> None:
    query = Query((Term(field.rstrip(":"), value),))
    with vault(NOTES) as index:
        expected = (
            {"'": ["ecole"], ".": ["ddpm"]}
            if field == ""
            else {"'": ["ecole"]}
            if field in ("title:", "venue:")
            else {}
        )
        if field == "" and value == "\0":
            return
        assert [row["id"] for row in index.select(query, "id")] == expected.get(value, [])
        assert len(index.select(parse(""), "id")) == 4


TEXT = st.text("abAÉßo _%'\"-", min_size=1, max_size=6).map(str.strip).filter(bool)
META = st.fixed_dictionaries(
    {"title": TEXT},
    optional={
        "authors": st.lists(TEXT, max_size=2),
        "year": st.integers(1990, 1994),
        "status": st.sampled_from(["read", "inbox"]),
        "tags": st.lists(st.sampled_from(["a", "a/b", "ab", "É", "a_b"]), max_size=2),
        "venue": TEXT,
        "rating": st.integers(1, 5),
        "added": st.dates().map(str).map(lambda d: "2025" + d[4:]),
    },
)
TERMS = st.one_of(
    st.builds(Term, st.sampled_from(["", "author", "title", "venue", "id"]), TEXT.map(fold), negated=st.booleans()),
    st.builds(Term, st.just("tag"), st.sampled_from(["a", "a/b", "e", "ab", "a_b"]), negated=st.booleans()),
    st.builds(
        Term,
        st.just("year"),
        st.sampled_from(["", "1991", "1993"]),
        st.sampled_from(["", "1992", "1993"]),
        st.booleans(),
    ),
    st.builds(
        Term, st.just("added"), st.sampled_from(["", "2025", "2025-06"]), st.sampled_from(["", "2025-06", "2025-09-15"])
    ),
    st.builds(
        Term, st.just("has"), st.sampled_from(["authors", "year", "venue", "tags", "nothing"]), negated=st.booleans()
    ),
    st.builds(Term, st.just("status"), st.sampled_from(["read", "inbox"]), negated=st.booleans()),
)


def holds(note: Note, term: Term) -> bool:
    """What a term means, written without SQL."""
    value, meta = term.value, note.meta
    match term.field:
        case "":
            yes = value in fold("\n".join([note.title, *note.authors, note.id]))
        case "author":
            yes = any(value in fold(name) for name in note.authors)
        case "title" | "venue":
            yes = value in fold(str(meta.get(term.field, "")))
        case "id":
            yes = fold(note.id) == value
        case "tag":
            yes = any(fold(tag) == value or fold(tag).startswith(value + "/") for tag in note.tags)
        case "has":
            yes = bool(meta.get(value))
        case "status":
            yes = note.status == value
        case _:
            found = str(meta.get(term.field, ""))
            yes = bool(found) and found >= value and (not term.upto or found[: len(term.upto)] <= term.upto)
    return yes is not term.negated


@settings(max_examples=35)
@given(st.lists(META, max_size=6), st.lists(st.lists(TERMS, max_size=3), min_size=1, max_size=8))
def test_the_index_answers_as_python_does(metas: list[dict[str, Any]], queries: list[list[Term]]) -> None:
    with vault({f"papers/n{n}.md": meta for n, meta in enumerate(metas)}) as index:
        notes = list(index.notes())
        assert len(notes) == len(metas)
        for terms in queries:
            expected = [note.id for note in notes if all(holds(note, term) for term in terms)]
            assert [row["id"] for row in index.select(Query(tuple(terms)), "id")] == expected


def test_every_order_puts_what_lacks_the_key_last() -> None:
    with vault(NOTES) as index:
        orders = {sort: [row["id"] for row in index.select(parse(""), sort)] for sort in SORTS}
    assert orders == {
        "added": ["lora", "ddpm", "ecole", "Diffusion"],
        "year": ["lora", "ecole", "ddpm", "Diffusion"],
        "title": ["ddpm", "Diffusion", "lora", "ecole"],
        "started": ["Diffusion", "ddpm", "ecole", "lora"],
        "finished": ["ddpm", "Diffusion", "ecole", "lora"],
        "id": ["Diffusion", "ddpm", "ecole", "lora"],
        "status": ["lora", "ecole", "ddpm", "Diffusion"],
        "rating": ["ddpm", "Diffusion", "ecole", "lora"],
        "author": ["lora", "ecole", "ddpm", "Diffusion"],
    }
