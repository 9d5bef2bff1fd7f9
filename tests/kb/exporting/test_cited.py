"""What a document cites: every command, argument and included file, and nothing that stands in a comment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kb.exporting.cited import read_citations
from kb.exporting.citing import cite
from kb.note import Note
from kb.problem import KbError


def keys(tmp_path: Path, text: str, name: str = "main.tex") -> list[str]:
    (tmp_path / name).write_text(text, "utf-8")
    return list(read_citations([tmp_path / name]).citations)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\cite{a}", "a"),
        (r"\cite*{a}\citep{b}\citet{c}\Citep{d}\citealp{e}\citeauthor*{f}\citeyear{g}", "a b c d e f g"),
        (r"\autocite{a}\textcite{b}\Parencite{c}\footcite{d}\fullcite{e}\supercite{f}\smartcite{g}", "a b c d e f g"),
        (r"\citep[see][p.~5]{a, b ,c}", "a b c"),
        (r"\citep[see {[x]} and \cite{inner}][]{a}", "a inner"),
        ("\\citep[see]\n  {a,\n  b}", "a b"),
        (r"\autocites[1]{a}[2][3]{b}(x)(y)[4]{c}{d} {e}", "a b c d e"),
        (r"\volcite{2}[5]{a}\pvolcite[x]{3}{b}", "a b"),
        (r"\nocite{*}\nocite{a,b}", "* a b"),
        (r"\citefield{a}{title}\citetitle{b}", "a b"),
        (r"\citepapp{a}", "a"),
        (r"\cite{a} % \cite{b}", "a"),
        (r"100\% of \cite{a} \\% \cite{b}", "a"),
        (r"\verb|\cite{b}| \begin{verbatim}\cite{c}\end{verbatim}\cite{a}", "a"),
        ("\\begin{comment}\n\\cite{b}\n\\end{comment}\n\\iffalse \\cite{c}\\fi\\cite{a}", "a"),
        (r"\newcommand{\see}[1]{\citep{#1}} \citestyle{x}\setcitestyle{y}\bibcite{z}{1}\cite{\key}\cite{a}", "a"),
        (r"\DeclareCiteCommand{\mycite}{}{}{}{} \citetext{see x} \cite{a}", "a"),
        (r"\cite{a}\end{document}\cite{b}", "a"),
        (r"\cite{} \cite \cite{a", ""),
    ],
)
def test_latex(tmp_path: Path, text: str, expected: str) -> None:
    assert sorted(keys(tmp_path, text)) == sorted(expected.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("As [@a; see @b, p. 3] and @c say [-@d].", "a b c d"),
        ("@{a.b/c} and @doi:10.1000/182. And @key_1:x.", "a.b/c doi:10.1000/182 key_1:x"),
        ("---\nnocite: '@*'\n---\n", "*"),
        ("ann@x.org, @fig-one, `@code` and\n\n```\n@fence\n```\n<!-- @no -->@a", "a"),
    ],
)
def test_markdown(tmp_path: Path, text: str, expected: str) -> None:
    assert keys(tmp_path, text, "main.qmd") == expected.split()


def test_what_latex_and_biber_leave(tmp_path: Path) -> None:
    (tmp_path / "ch.aux").write_text("\\citation{c,d}\n\\bibcite{z}{1}\n\\@input{main.aux}\n")
    aux = "\\relax\n\\citation{a}\n\\abx@aux@cite{0}{b}\n\\abx@aux@cite{e}\n\\@input{ch.aux}\n"
    assert keys(tmp_path, aux, "main.aux") == ["a", "b", "e", "c", "d"]
    bcf = '<bcf:section number="0">\n<bcf:citekey order="1">a&amp;b</bcf:citekey>\n<bcf:citekey>*</bcf:citekey>'
    assert keys(tmp_path, bcf, "main.bcf") == ["a&b", "*"]


PROJECT = {
    "main.tex": "\\input{ch/intro}\n\\include{ch/method.tex}\n\\subfile{ch/end}\n\\import{app/}{proofs}\n\\input "
    "ch/raw\n\\input{missing}\n\\input{\\jobname.x}\n%\\input{commented}\n\\cite{last}\n",
    "ch/intro.tex": "words\n\\cite{intro,\n  second}\n\\input{../main}\n\\input{ch/intro}\n",
    "ch/method.tex": "\\input{ch/deep/more}\n\\cite{intro}",
    "ch/deep/more.tex": "\\cite{more}",
    "ch/end.tex": "\\documentclass[../main.tex]{subfiles}\\begin{document}\\cite{end}\\input{near}\\end{document}",
    "ch/near.tex": "\\cite{near}",
    "ch/raw.tex": "\\cite{raw}",
    "app/proofs.tex": "\\cite{proof}",
}


def test_a_project_of_several_files(tmp_path: Path) -> None:
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = read_citations([tmp_path / "main.tex"])
    assert list(found.citations) == ["intro", "second", "more", "end", "near", "proof", "raw", "last"]
    places = {key: (Path(c.path).name, c.line) for key, c in found.citations.items()}
    assert places["intro"] == ("intro.tex", 2)
    assert places["second"] == ("intro.tex", 3)
    assert places["last"] == ("main.tex", 9)
    (problem,) = found.problems
    assert (problem.line, problem.level, problem.message) == (6, "warning", "missing is not there")


def test_two_documents_are_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "a.tex").write_text("\\cite{a}")
    (tmp_path / "b.md").write_bytes("\ufeffÄ @b".encode())
    (tmp_path / "c.tex").write_bytes(b"\xe4 \\cite{c}\r\n\\cite{d}")
    found = read_citations([tmp_path / "a.tex", tmp_path / "b.md", tmp_path / "c.tex"])
    assert list(found.citations) == ["a", "b", "c", "d"]
    assert found.citations["d"].line == 2


def test_a_file_that_is_not_there_or_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(KbError, match=r"no\.tex: no such file"):
        read_citations([tmp_path / "no.tex"])
    with pytest.raises(KbError, match=r"a\.docx: kb reads citations of \.tex"):
        read_citations([tmp_path / "a.docx"])


@given(st.text(alphabet="\\cite{}[]()%,*ab \n@`", max_size=60))
@settings(max_examples=100)
def test_nothing_makes_the_reader_fail(tmp_path_factory: Any, text: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    for name in ("x.tex", "x.md", "x.aux", "x.bcf"):
        (folder / name).write_text(text)
        for key in read_citations([folder / name]).citations:
            assert key == key.strip() != ""


# Which works are meant


def note(id: str, **meta: Any) -> Note:
    return Note(id, f"notes/papers/{id}.md", {"kind": "paper", "title": id.title(), **meta}, "")


NOTES = [
    note("ddpm", cite="ho2020denoising", aliases=["Diffusion"], arxiv="2006.11239", authors=["Jonathan Ho"], year=2020),
    note("lora", title="LoRA", authors=["Edward Hu"], year=2021, doi="10.1000/ABC"),
    note("ho2020denoising"),  # an id that is another's key
    note("secret", private=True),
]


def meant(tmp_path: Path, *keys: str, hidden: tuple[str, ...] = ()) -> tuple[dict[str, str], list[str]]:
    (tmp_path / "x.tex").write_text("".join(f"\\cite{{{key}}}\n" for key in keys))
    shown = {n.path: n for n in NOTES if n.id not in hidden}
    found = cite(read_citations([tmp_path / "x.tex"]), NOTES, shown)
    return {w.key: w.note.id for w in found.works}, [str(p).rpartition("x.tex:")[2] for p in found.problems]


@pytest.mark.parametrize(
    ("key", "id"),
    [
        ("ho2020denoising", "ddpm"),
        ("HO2020Denoising", "ddpm"),
        ("ddpm", "ddpm"),
        ("Diffusion", "ddpm"),
        ("2006.11239", "ddpm"),
        ("arXiv:2006.11239v2", "ddpm"),
        ("ho2020ddpm", "ddpm"),
        ("hu2021lora", "lora"),
        ("10.1000/abc", "lora"),
        ("doi:10.1000/abc", "lora"),
        ("https://doi.org/10.1000/abc", "lora"),
    ],
)
def test_a_work_is_known_by_many_names_and_keeps_the_one_it_is_cited_by(tmp_path: Path, key: str, id: str) -> None:
    assert meant(tmp_path, key) == ({key: id}, [])


def test_keys_that_no_work_has(tmp_path: Path) -> None:
    assert meant(tmp_path, "ho2020denoisin", "lora", "zzz9999") == (
        {"lora": "lora"},
        [
            "1: cited: no work has the key 'ho2020denoisin' (did you mean 'ho2020denoising'?)",
            "3: cited: no work has the key 'zzz9999' (kb add it, or write `cite: zzz9999` into its note)",
        ],
    )


def test_private_notes_and_works_under_two_keys_are_told(tmp_path: Path) -> None:
    works, problems = meant(tmp_path, "secret", "lora", "hu2021lora", hidden=("secret",))
    assert works == {"lora": "lora", "hu2021lora": "lora"}
    assert problems == [
        "1: cited: 'secret' is a private note (--private takes it in)",
        "3: cited: 'hu2021lora' and 'lora' are one work, notes/papers/lora.md, which will stand twice"
        " (cite it as 'lora' alone)",
    ]


def test_everything_is_cited_by_a_star(tmp_path: Path) -> None:
    works, problems = meant(tmp_path, "lora", "*", hidden=("secret",))
    assert list(works.items()) == [
        ("lora", "lora"), ("ho2020denoising", "ddpm"), ("ho2020denoisinga", "ho2020denoising"),
    ]  # fmt: skip
    assert problems == []
