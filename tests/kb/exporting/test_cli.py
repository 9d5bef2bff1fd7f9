"""`kb export` as a person types it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DDPM = (
    "---\ntitle: Denoising Diffusion\nkind: paper\nstatus: read\nauthors: [Jonathan Ho]\nyear: 2020\nvenue: NeurIPS\n"
    "arxiv: '2006.11239'\ncite: ho2020denoising\ntags: [diffusion]\n---\n\nWords.\n"
)
LORA = "---\ntitle: LoRA\nkind: paper\nauthors: [Édouard Hu]\nyear: 2021\n---\n"
FILES = {"papers/ddpm.md": DDPM, "papers/lora.md": LORA, "topics/t.md": "---\ntitle: T\n---\n"}
FILES["papers/secret.md"] = "---\ntitle: Secret\nprivate: true\n---\n"
MAIN = "\\documentclass{article}\n\\input{intro}\n\\citep{ho2020denoising} % \\cite{no}\n\\cite{hu2021lor}\n"

Run = Callable[..., Any]


@pytest.fixture
def root(make_vault: Callable[..., Path]) -> Path:
    return make_vault(FILES)


def test_the_whole_vault_as_bibtex(root: Path, run_kb: Run) -> None:
    run = run_kb(root, "export")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == (
        "@inproceedings{ho2020denoising,\n  title = {Denoising Diffusion},\n  author = {Ho, Jonathan},\n"
        "  booktitle = {NeurIPS},\n  year = {2020},\n  url = {https://arxiv.org/abs/2006.11239},\n"
        "  eprint = {2006.11239},\n  archivePrefix = {arXiv},\n  keywords = {diffusion},\n  readstatus = {read},\n}\n\n"
        "@misc{hu2021lora,\n  title = {{LoRA}},\n  author = {Hu, {\\'E}douard},\n  year = {2021},\n}\n"
    )
    assert "@misc{secret,\n" in run_kb(root, "export", "--private").stdout
    assert run_kb(root, "export", "status:inbox", "-f", "csv").stdout.count("\n") == 2
    assert run_kb(root, "export", "-status:inbox", "-f", "json").stdout.count('"id"') == 1


def test_what_a_document_cites(root: Path, run_kb: Run) -> None:
    (root / "paper").mkdir()
    (root / "paper/main.tex").write_text(MAIN)
    (root / "paper/intro.tex").write_text("\\cite{lora, secret,\n nobody1999}")
    run = run_kb(root, "export", "--cited", "paper/main.tex")
    assert run.returncode == 1
    assert [line for line in run.stdout.splitlines() if line.startswith("@")] == [
        "@inproceedings{ho2020denoising,", "@misc{lora,",
    ]  # fmt: skip
    assert "keywords" not in run.stdout and "readstatus" not in run.stdout
    assert run.stderr.splitlines() == [
        "paper/intro.tex:1: cited: 'secret' is a private note (--private takes it in)",
        "paper/intro.tex:2: cited: no work has the key 'nobody1999'"
        " (kb add it, or write `cite: nobody1999` into its note)",
        "paper/main.tex:4: cited: no work has the key 'hu2021lor' (did you mean 'hu2021lora'?)",
    ]
    (root / "paper/main.tex").write_text("\\cite{lora}\\cite{ddpm}")
    run = run_kb(root, "export", "year:2021", "--cited", "paper/main.tex")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("@misc{lora,") and run.stdout.count("@") == 1


def test_into_a_file_that_changes_only_when_its_bytes_do(root: Path, run_kb: Run) -> None:
    assert run_kb(root, "export", "--to", "out/refs.bib").stdout == ""
    file = root / "out/refs.bib"
    assert file.read_bytes().startswith(b"@inproceedings{ho2020denoising,\n")
    os.utime(file, (1, 1))
    assert run_kb(root, "export", "-o", "out/refs.bib").returncode == 0
    assert file.stat().st_mtime == 1
    assert run_kb(root, "export", "-o", "refs.ris").returncode == 0
    assert (root / "refs.ris").read_text().startswith("TY  - CPAPER\n")
    assert run_kb(root, "export", "-o", "list.md").returncode == 0
    assert "[x] [NeurIPS 2020] [Denoising Diffusion](" in (root / "list.md").read_text()
    run = run_kb(root, "export", "-o", "out")
    assert run.returncode == 2 and run.stderr.startswith("kb: out: ") and "Traceback" not in run.stderr


def test_bytes_are_utf_8_whatever_the_terminal(root: Path, run_kb: Run) -> None:
    run = run_kb(root, "export", "-f", "biblatex", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert run.returncode == 0 and "Hu, Édouard" in run.stdout


def test_keys_are_written_into_the_notes_and_taken_back(root: Path, run_kb: Run) -> None:
    run = run_kb(root, "export", "--write-keys", "-o", "a.bib")
    assert (run.returncode, run.stderr) == (0, "wrote the keys of 1 note\n")
    assert (root / "notes/papers/lora.md").read_text() == LORA.replace("2021\n", "2021\ncite: hu2021lora\n")
    assert (root / "notes/papers/ddpm.md").read_text() == DDPM
    lora = root / "notes/papers/lora.md"
    lora.write_text(lora.read_text().replace("LoRA", "Another title").replace("2021\n", "2022\n"))
    assert "@misc{hu2021lora," in run_kb(root, "export").stdout
    lora.write_text(LORA.replace("2021\n", "2021\ncite: hu2021lora\n"))
    assert run_kb(root, "undo").returncode == 0
    assert lora.read_text() == LORA


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (
            ("-f", "docx"),
            "kb: no format 'docx'; there are bibtex biblatex ris csl-json csv json markdown bibliography\n",
        ),
        (("--style", "x"), "kb: --style is for --format bibliography, and this is bibtex\n"),
        (("-f", "ris", "--locale", "de-DE"), "kb: --locale is for --format bibliography, and this is ris\n"),
        (("-f", "bibliography", "--markup", "rtf"), "kb: no markup 'rtf'; there are text markdown html\n"),
        (("--cited", "no.tex"), "kb: no.tex: no such file; check the name\n"),
        (("--cited", "a.docx"), "kb: a.docx: kb reads citations of .tex .ltx .aux .bcf .md .qmd .rmd .markdown\n"),
    ],
)
def test_wrong_usage_is_one_line(root: Path, run_kb: Run, args: tuple[str, ...], told: str) -> None:
    run = run_kb(root, "export", *args)
    assert (run.returncode, run.stdout, run.stderr) == (2, "", told)


def test_a_bibliography_by_the_way_a_document_cites(root: Path, run_kb: Run) -> None:
    (root / "p.md").write_text("[@lora; @ddpm]")
    run = run_kb(root, "export", "--cited", "p.md", "-f", "bibliography", "--markup", "markdown")
    assert run.returncode == 0
    assert [line[:9] for line in run.stdout.splitlines()] == ["- Ho, J. ", "- Hu, É. "]


def test_the_commands_of_the_guide_work(root: Path, run_kb: Run) -> None:
    page = (Path(__file__).parents[3] / "notes/guide/cite-and-export.md").read_text("utf-8")
    commands = re.findall(r"^kb (export .*?)\s*(?:>.*|#.*)?$", page, re.M)
    assert len(commands) == 6
    (root / "main.tex").write_text("\\cite{ddpm}")
    for command in commands:
        run = run_kb(root, *shlex.split(command))
        assert (run.returncode, run.stderr) == (0, ""), command
    assert (root / "refs.bib").read_text().startswith("@inproceedings{ddpm,")
    (root / "intro.tex").write_text("\n" * 11 + "\\cite{ho2020denoisin}")
    told = run_kb(root, "export", "--cited", "intro.tex").stderr
    assert told and told in page
