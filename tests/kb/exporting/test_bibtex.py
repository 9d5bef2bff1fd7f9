"""BibTeX out: entries as styles want them, escapes that come back, and bibliographies that survive being read, by our
own reader and by pybtex."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kb import exporting
from kb.exporting.bibtex import bibliography, entry
from kb.exporting.keys import cite_key
from kb.exporting.works import Person, Work, person
from kb.formats import bibtex
from kb.formats.latex import decode, encode
from kb.library import Library
from kb.note import Note, author_name
from kb.query import parse

ROOT = Path(__file__).parents[3]


def note(**meta: Any) -> Note:
    return Note("some-note", "notes/papers/some-note.md", {"kind": "paper", **meta}, "")


def entry_of(note: Note) -> str:
    return entry(Work(cite_key(note), note))


def full(biblatex: bool = False, **meta: Any) -> str:
    return entry(Work("k", note(**meta)), biblatex, full=True)


def read(text: str) -> list[dict[str, Any]]:
    items, problems = bibtex.read(text, "x.bib")
    assert not problems, problems
    return [dict(item.meta) for item in items]


def by_pybtex(text: str) -> Any:
    from pybtex.database import parse_string

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return parse_string(text, "bibtex").entries


# Entries


def test_a_note_as_an_entry() -> None:
    meta = {
        "title": "LoRA: Low-Rank Adaptation of GPT-4 & 100% $O(n_2)$ more_less",
        "authors": ["Edward J. Hu", {"family": "van Rossum", "given": "Guido"}, {"literal": "A and B"}, "X, Inc."],
        "year": 2021, "venue": "ICLR", "arxiv": "2106.09685", "doi": "10.1000/a_b%c", "published": "2021-06-17",
        "bibtex": {"entry": "inproceedings", "pages": "1–9", "address": "Zürich"},
    }  # fmt: skip
    expected = r"""@inproceedings{hu2021lora,
  title = {{LoRA}: Low-Rank Adaptation of {GPT-4} \& 100\% $O(n_2)$ more\_less},
  author = {Hu, Edward J. and van Rossum, Guido and {A and B} and {X, Inc.}},
  booktitle = {ICLR},
  year = {2021},
  month = jun,
  address = {Z{\"u}rich},
  pages = {1--9},
  doi = {10.1000/a_b%c},
  eprint = {2106.09685},
  archivePrefix = {arXiv},
}
"""
    assert entry_of(note(**meta)) == expected


def test_biblatex_has_its_own_names_and_keeps_letters() -> None:
    meta = {"title": "Größe", "authors": ["Jörg Müller"], "year": 2020, "published": "2020-06-19", "venue": "TMLR",
            "arxiv": "2006.11239", "bibtex": {"primaryclass": "cs.LG"}}  # fmt: skip
    expected = """@article{k,
  title = {Größe},
  author = {Müller, Jörg},
  journaltitle = {TMLR},
  date = {2020-06-19},
  url = {https://arxiv.org/abs/2006.11239},
  eprint = {2006.11239},
  eprinttype = {arXiv},
  eprintclass = {cs.LG},
}
"""
    assert entry(Work("k", note(**meta)), biblatex=True) == expected
    assert r"title = {Gr{\"o}{\ss}e}" in entry(Work("k", note(**meta)))
    assert "primaryClass = {cs.LG}" in entry(Work("k", note(**meta)))


@pytest.mark.parametrize(
    ("meta", "kind", "place"),
    [
        ({"venue": "NeurIPS"}, "inproceedings", "booktitle"),
        ({"venue": "Journal of Machine Learning Research"}, "article", "journal"),
        ({"venue": "TMLR"}, "article", "journal"),
        (
            {"venue": "Proceedings of the 37th Conference on Machine Learning"},
            "inproceedings",
            "booktitle",
        ),
        ({"venue": "Proceedings of the IEEE"}, "article", "journal"),
        ({"venue": "Neurocomputing"}, "article", "journal"),
        ({"venue": "Findings of the ACL"}, "inproceedings", "booktitle"),
        ({"kind": "post", "venue": "Lil'Log"}, "misc", "howpublished"),
        ({"kind": "code", "code": "https://github.com/a/b"}, "misc", ""),
        ({"kind": "book"}, "book", ""),
        ({}, "misc", ""),
    ],
)
def test_the_type_of_an_entry(meta: dict[str, Any], kind: str, place: str) -> None:
    text = entry_of(note(title="Deep", **meta))
    assert text.startswith(f"@{kind}{{")
    assert not place or f"  {place} = {{{meta['venue']}}},\n" in text


@pytest.mark.parametrize(
    ("kind", "links", "expected"),
    [
        ("code", {"code": "https://github.com/a/b"}, "software"),
        ("dataset", {"url": "https://x.org"}, "dataset"),
        ("talk", {"video": "https://www.youtube.com/watch?v=abc"}, "video"),
        ("talk", {}, "online"),
        ("post", {"url": "https://x.org"}, "online"),
    ],
)
def test_biblatex_has_types_for_more_than_papers(kind: str, links: dict[str, str], expected: str) -> None:
    assert entry(Work("k", note(title="Deep", kind=kind, **links)), biblatex=True).startswith(f"@{expected}{{k,")


def test_what_the_front_matter_says_of_the_entry_holds() -> None:
    text = entry_of(note(title="Deep", kind="paper", bibtex={"entry": "phdthesis", "school": "ETH", "note": "50% _x_"}))
    assert text == "@phdthesis{deep,\n  title = {Deep},\n  note = {50\\% \\_x\\_},\n  school = {ETH},\n}\n"


PREPRINT = {"title": "Deep", "authors": ["Jonathan Ho"], "year": 2020, "arxiv": "2006.11239", "cite": "ddpm20"}


@pytest.mark.parametrize("stated", [None, "misc", "article", "online"])
def test_a_preprint_that_was_published_keeps_its_key_and_its_arxiv_id(stated: str | None) -> None:
    mapping = {"bibtex": {"entry": stated}} if stated else {}
    before = entry_of(note(**PREPRINT, **mapping))
    after = entry_of(note(**PREPRINT, **mapping, venue="NeurIPS", doi="10.5555/1"))
    assert before.startswith(f"@{stated or 'misc'}{{ddpm20,\n")
    assert ("journal = {arXiv preprint arXiv:2006.11239}" in before) == (stated == "article")
    assert after == (
        "@inproceedings{ddpm20,\n  title = {Deep},\n  author = {Ho, Jonathan},\n  booktitle = {NeurIPS},\n"
        "  year = {2020},\n  doi = {10.5555/1},\n  eprint = {2006.11239},\n  archivePrefix = {arXiv},\n}\n"
    )


@pytest.mark.parametrize("venue", ["arXiv", "CoRR", "arXiv preprint arXiv:2006.11239", "bioRxiv"])
def test_where_a_preprint_is_kept_is_no_venue(venue: str) -> None:
    text = entry_of(note(**PREPRINT, venue=venue))
    assert text.startswith("@misc{") and venue not in text.replace("archivePrefix", "").replace("{arXiv}", "")


def test_abstracts_keywords_and_what_was_read_are_left_out_of_a_papers_bibliography() -> None:
    meta: dict[str, Any] = {"title": "Deep", "abstract": "A & b.", "tags": ["rl", "llm"], "status": "read"}
    meta |= {"url": "https://x.org/{a b}"}
    assert full(**meta) == (
        "@misc{k,\n  title = {Deep},\n  url = {https://x.org/%7Ba%20b%7D},\n"
        "  abstract = {A \\& b.},\n  keywords = {rl, llm},\n  readstatus = {read},\n}\n"
    )
    assert entry(Work("k", note(**meta))) == "@misc{k,\n  title = {Deep},\n  url = {https://x.org/%7Ba%20b%7D},\n}\n"


def test_ids_that_have_a_field() -> None:
    book = entry_of(note(title="Deep", kind="book", isbn="9780262035613", pmid="123"))
    assert "  isbn = {9780262035613},\n  pmid = {123},\n" in book


# People


@pytest.mark.parametrize(
    ("author", "expected"),
    [
        ("Jonathan Ho", Person("Ho", "Jonathan")),
        ("Laurens van der Maaten", Person("van der Maaten", "Laurens")),
        ("Martin Luther King Jr.", Person("King", "Martin Luther", "Jr.")),
        ("Henry Ford III", Person("Ford", "Henry", "III")),
        ("Ho, Jonathan", Person("Ho", "Jonathan")),
        ("DeepMind, Inc.", Person(literal="DeepMind, Inc.")),
        ("OpenAI", Person("OpenAI")),
        ("et al.", Person(literal="others")),
        ({"family": "van Rossum", "given": "Guido"}, Person("van Rossum", "Guido")),
        ({"literal": "Google Brain"}, Person(literal="Google Brain")),
        ({"family": "Gemini Team"}, Person(literal="Gemini Team")),
        ({"family": "Ho", "given": None}, Person("Ho")),
    ],
)
def test_names(author: Any, expected: Person) -> None:
    assert person(author) == expected


def test_names_of_all_kinds_are_taken_apart_as_they_were_meant() -> None:
    people = [
        "Laurens van der Maaten",
        "Martin King Jr.",
        {"literal": "Universität X and Sons"},
        "Jörg Müller",
        "et al.",
    ]
    text = entry_of(note(title="Deep", authors=people))
    assert (
        r"author = {van der Maaten, Laurens and King, Jr., Martin and {Universit{\"a}t X and Sons} and "
        r"M{\"u}ller, J{\"o}rg and others}"
    ) in text
    names = [str(p) for found in by_pybtex(text).values() for p in found.persons["author"]]
    assert names[:2] == ["van der Maaten, Laurens", "King, Jr., Martin"]
    assert read(text)[0]["authors"][:3] == [
        {"family": "van der Maaten", "given": "Laurens"},
        {"family": "King", "given": "Martin", "suffix": "Jr."},
        {"literal": "Universität X and Sons"},
    ]


# Escapes

TABLE = [
    ("&", r"\&"), ("%", r"\%"), ("$", r"\$"), ("#", r"\#"), ("_", r"\_"), ("{", r"\textbraceleft{}"),
    ("}", r"\textbraceright{}"), ("~", r"\textasciitilde{}"), ("^", r"\textasciicircum{}"), ("\\", r"\textbackslash{}"),
    ("–", "--"), ("—", "---"), ("a--b", "a-{}-b"), ("é", r"{\'e}"), ("Ö", r"{\"O}"), ("ñ", r"{\~n}"), ("ç", r"{\c{c}}"),
    ("š", r"{\v{s}}"), ("ő", r"{\H{o}}"), ("ą", r"{\k{a}}"), ("ß", r"{\ss}"), ("ø", r"{\o}"), ("ł", r"{\l}"),
    ("å", r"{\aa}"), ("İ", r"{\.I}"), ("深", "深"), ("α", "α"), ("ё", "ё"), ("$x_1^{2}$", "$x_1^{2}$"),
    ("$5 and $6", r"\$5 and \$6"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "latex"), TABLE)
def test_the_table_of_escapes(text: str, latex: str) -> None:
    assert encode(text, letters=True) == latex
    assert decode(latex) == text


@pytest.mark.parametrize(
    ("title", "latex"),
    [
        ("LoRA and U-Net for (GPT-4)", "{LoRA} and {U-Net} for ({GPT-4})"),
        ("A Low-Rank Plan B", "A Low-Rank Plan {B}"),
        ("Attention Is All You Need", "Attention Is All You Need"),
        ("ATTENTION IS ALL YOU NEED", "ATTENTION IS ALL YOU NEED"),
        ("BERT", "{BERT}"),
        ("iPhone's ÉCOLE", r"{iPhone's} {{\'E}COLE}"),
    ],
)
def test_capitals_that_no_style_may_lower(title: str, latex: str) -> None:
    assert encode(title, title=True, letters=True) == latex


def test_every_accented_letter_comes_back() -> None:
    letters = [chr(n) for n in range(0xA0, 0x2000) if chr(n).isalpha()]
    encoded = [encode(c, letters=True) for c in letters]
    assert sum(text.isascii() for text in encoded) > 300
    assert [decode(f"a{text}b") for text in encoded] == [f"a{c}b" for c in letters]


# There and back

CHARACTERS = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"))
NAMES = st.text(CHARACTERS, min_size=1, max_size=12)
TITLES = st.lists(NAMES, min_size=1, max_size=6).map(" ".join)
HARD = st.text(alphabet="aB &%$#_{}~^\\-–'`\"!?@=,<>Öéß", min_size=1, max_size=20).map(lambda s: " ".join(s.split()))
PEOPLE = st.one_of(
    TITLES,
    st.fixed_dictionaries({"family": TITLES, "given": NAMES}, optional={"suffix": NAMES}),
    st.fixed_dictionaries({"literal": TITLES}),
).filter(lambda a: person(a).literal != "others" and not (isinstance(a, str) and "," in a))


@given(title=TITLES | HARD.filter(bool), authors=st.lists(PEOPLE, max_size=3), year=st.none() | st.integers(1900, 2030))
@settings(max_examples=100)
def test_whatever_a_title_and_names_hold_is_read_again(title: str, authors: list[Any], year: int | None) -> None:
    meta: dict[str, Any] = {"title": title, "authors": authors, "doi": "10.1000/a_b%c"} | (
        {"year": year} if year else {}
    )
    for biblatex in (False, True):
        (again,) = read(full(biblatex, **meta))
        assert again["title"] == " ".join(title.split())
        names = [author_name(a) for a in again.get("authors", [])]
        assert names == [" ".join(author_name(a).split()) for a in authors]
        assert (again.get("year"), again["doi"]) == (year, "10.1000/a_b%c")


@given(HARD | TITLES)
@settings(max_examples=100)
def test_escapes_come_back(text: str) -> None:
    for letters in (False, True):
        assert decode(encode(text, title=True, letters=letters)) == text
        assert decode(encode(text, letters=letters)) == text


WORDS = st.sampled_from(
    [
        "Deep",
        "LoRA",
        "learning",
        "GPT-4",
        "50%",
        "R&D",
        "a_b",
        "$O(n^2)$",
        "Größe",
        "naïve",
        "--",
        "深層",
        "of",
        "U-Net",
    ]
)
PHRASES = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)
FAMILIES = st.sampled_from(["Ho", "Müller", "O'Brien", "Şimşek", "Lee-Thorp", "Łukasz", "Nguyễn", "王"])
GIVENS = st.sampled_from(["Jonathan", "J. K.", "Élodie", "Jean-Luc", "Ming"])
AUTHORS = st.one_of(
    st.builds("{} {}".format, GIVENS, FAMILIES),
    st.builds(lambda f, g: {"family": f"van der {f}", "given": g}, FAMILIES, GIVENS),
    st.builds(lambda f, g: {"family": f, "given": g, "suffix": "Jr."}, FAMILIES, GIVENS),
    st.sampled_from([{"literal": "Google Brain"}, {"literal": "Universität & Söhne"}, "OpenAI"]),
)
DAYS = st.sampled_from(["2020-06-19", "2020-06", ""])
MAPPINGS = st.fixed_dictionaries(
    {"entry": st.sampled_from(["article", "inproceedings", "book", "misc", "phdthesis", "techreport"])},
    optional={"pages": st.just("1–9"), "volume": st.just("33"), "publisher": PHRASES, "note": PHRASES,
              "series": PHRASES, "isbn": st.just("978-3-16"), "editor": st.just("Anna Noe")},
)  # fmt: skip
NOTES = st.fixed_dictionaries(
    {"title": PHRASES, "bibtex": MAPPINGS, "published": DAYS},
    optional={
        "authors": st.lists(AUTHORS, min_size=1, max_size=4), "venue": PHRASES, "arxiv": st.just("2006.11239"),
        "doi": st.sampled_from(["10.1000/a_b", "10.1016/0893-6080(89)90020-8"]), "abstract": PHRASES,
        "url": st.sampled_from(["https://x.org/a_b%20c~d#e?f=1&g", "https://lilianweng.github.io/x"]),
        "code": st.just("https://github.com/a/b"), "tags": st.just(["rl", "deep-learning"]),
        "status": st.sampled_from(["read", "reading"]),
    },
).map(lambda m: {**m, "year": 2020})  # fmt: skip


@given(st.lists(NOTES, min_size=1, max_size=4), st.booleans())
@settings(max_examples=30)
def test_a_bibliography_is_written_and_read_as_it_was_read(metas: list[dict[str, Any]], biblatex: bool) -> None:
    """parse -> write -> parse is the identity."""

    def written(found: list[dict[str, Any]]) -> str:
        notes = [Note(f"n{n}", f"notes/papers/n{n}.md", meta, "") for n, meta in enumerate(found)]
        return bibliography([Work(f"key{n}", note) for n, note in enumerate(notes)], biblatex)

    first = read(written([{"kind": "paper", **meta} for meta in metas]))
    text = written(first)
    assert read(text) == first
    assert written(read(text)) == text
    assert [e.key for e in by_pybtex(text).values()] == [f"key{n}" for n in range(len(metas))]


@given(st.lists(NOTES, min_size=1, max_size=3))
@settings(max_examples=30)
def test_pybtex_reads_what_we_meant(metas: list[dict[str, Any]]) -> None:
    from pybtex.database import Person as Theirs

    works = [Work(f"key{n}", note(**meta)) for n, meta in enumerate(metas)]
    entries = by_pybtex(bibliography(works))
    for work in works:
        found = entries[work.key]
        assert decode(found.fields["title"]) == work.note.title
        ours = [p.family or p.literal for p in work.people]
        names: list[Theirs] = found.persons.get("author", [])
        theirs = [decode(" ".join([*p.prelast_names, *p.last_names])) for p in names]
        assert theirs == ours
        assert found.fields["year"] == "2020"
        assert found.fields.get("doi", "") == work.doi


def test_our_own_notes_give_a_bibliography_that_pybtex_reads(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "notes", tmp_path / "notes")
    library = Library(tmp_path)
    notes = exporting.public_works(library, parse(""))
    works = {w.key: w for w in exporting.works(library, notes)}
    entries = by_pybtex(exporting.export(library, notes, "bibtex"))
    assert set(entries) == set(works) and len(works) >= 8
    assert entries["ho2020denoising"].fields["booktitle"] == "NeurIPS"
    for key, found in entries.items():
        parts = [(*p.first_names, *p.middle_names, *p.prelast_names, *p.last_names) for p in found.persons["author"]]
        assert [decode(" ".join(words)) for words in parts] == works[key].note.authors
        assert found.fields["year"] == str(works[key].note.year)
