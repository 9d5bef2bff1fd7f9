"""The command line in a process of its own: exit codes, what is printed where, and what is imported for it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from kb.index_file import current

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
TODAY = date.today().isoformat()

NOTES = {
    "papers/ddpm.md": "---\ntitle: Denoising Diffusion # mine\nauthors: [Jonathan Ho]\nyear: 2020\narxiv: 2006.11239\n"
    "status: to-read\nadded: 2025-01-04\ntags: [diffusion]\n---\n\nIts backbone is [[unet]]; see [[nowhere]].\n",
    "papers/unet.md": "---\ntitle: U-Net\nstatus: read\nadded: 2024-01-01\nfinished: 2024-02-01\n---\n\n"
    "Used by [[ddpm]].\n",
    "talks/evil.md": '---\ntitle: "a\\e]0;owned\\ab"\nstatus: inbox\n---\n\n\x1b]0;owned\x07 body\n',
    "index.md": "---\ntitle: Home\n---\n",
}
DDPM = {
    "id": "ddpm",
    "title": "Denoising Diffusion",
    "kind": "paper",
    "status": "to-read",
    "path": "notes/papers/ddpm.md",
    "authors": ["Jonathan Ho"],
    "year": 2020,
    "arxiv": "2006.11239",
    "added": "2025-01-04",
    "tags": ["diffusion"],
}
UNET = {
    "id": "unet",
    "title": "U-Net",
    "kind": "paper",
    "status": "read",
    "path": "notes/papers/unet.md",
    "added": "2024-01-01",
    "finished": "2024-02-01",
}
EVIL = {"id": "evil", "title": "a\x1b]0;owned\x07b", "kind": "talk", "status": "inbox", "path": "notes/talks/evil.md"}


@pytest.fixture
def root(make_vault: Vault) -> Path:
    return make_vault(NOTES)


def said(run: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return run.returncode, run.stdout, run.stderr


def as_json(run: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    assert (run.returncode, run.stderr) == (code, "")
    return json.loads(run.stdout)


# Listings


def test_list(root: Path, run_kb: Run) -> None:
    assert said(run_kb(root, "list")) == (
        0,
        "ddpm  to-read  paper  2020  Ho  Denoising Diffusion\n"
        "unet  read     paper            U-Net\n"
        "evil  inbox    talk             a\ufffd]0;owned\ufffdb\n",
        "",
    )
    assert as_json(run_kb(root, "list", "--json")) == [DDPM, UNET, EVIL]
    assert as_json(run_kb(root, "list", "--json", "kind:paper", "--sort", "title", "-n", "1")) == [DDPM]
    options = ["--status", "to-read", "--tag", "diffusion", "--kind", "paper", "--year", "2020..", "--author", "ho"]
    assert as_json(run_kb(root, "list", "--json", *options)) == [DDPM]
    assert as_json(run_kb(root, "list", "--json", "--repro")) == []
    assert said(run_kb(root, "list", "nothing like it")) == (0, "", "")


def test_what_is_piped_has_no_colours_even_where_they_are_wanted(root: Path, run_kb: Run) -> None:
    for verb in (
        ["list"],
        ["status"],
        ["show", "evil"],
        ["search", "body"],
        ["links", "ddpm"],
        ["check"],
        ["links", "--orphans"],
    ):
        run = run_kb(root, *verb, TERM="xterm-256color", FORCE_COLOR="1", CLICOLOR_FORCE="1")
        assert "\x1b" not in run.stdout + run.stderr
        assert run.stdout


def test_a_reader_that_has_seen_enough_is_no_error(make_vault: Vault) -> None:
    root = make_vault({f"papers/n{n}.md": f"---\ntitle: {'x' * 200} {n}\n---\n" for n in range(800)})
    command = f"{shlex.quote(sys.executable)} -m kb list | head -1"
    run = subprocess.run(["bash", "-c", command], cwd=root, capture_output=True, text=True, timeout=60)
    assert run.stderr == ""
    assert run.stdout.startswith("n0 ")
    assert run.stdout.count("\n") == 1


def test_show(root: Path, run_kb: Run) -> None:
    run = run_kb(root, "show", "https://arxiv.org/abs/2006.11239v2")
    assert (run.returncode, run.stdout.splitlines()[0], run.stdout.splitlines()[-1]) == (
        0,
        "Denoising Diffusion",
        "  notes/papers/unet.md:8: Used by ddpm.",
    )
    found = as_json(run_kb(root, "show", "ddpm", "--json"))
    context = "Its backbone is unet; see nowhere."
    assert found == DDPM | {
        "body": "\nIts backbone is [[unet]]; see [[nowhere]].\n",
        "links": [{"target": "unet", "line": 11, "context": context}],
        "backlinks": [{"source": "notes/papers/unet.md", "line": 8, "context": "Used by ddpm."}],
        "broken": [{"target": "nowhere", "line": 11, "context": context}],
    }


def test_search(root: Path, run_kb: Run) -> None:
    assert said(run_kb(root, "search", "backbone")) == (
        0,
        "ddpm  Denoising Diffusion\n    Its backbone is unet; see nowhere.\n",
        "",
    )
    (hit,) = as_json(run_kb(root, "search", "backbone", "kind:paper", "--json"))
    assert {k: v for k, v in hit.items() if k != "score"} == {
        "id": "ddpm",
        "title": "Denoising Diffusion",
        "snippets": ["Its backbone is unet; see nowhere."],
    }
    assert hit["score"] > 0
    assert as_json(run_kb(root, "search", "backbone", "kind:talk", "--json")) == []
    for text in ("C++", '"', "a AND (", "NEAR(", "*", "\udcff"):
        assert run_kb(root, "search", text, "--json").returncode == 0


def test_links(root: Path, run_kb: Run) -> None:
    assert as_json(run_kb(root, "links", "unet", "--json")) == {
        "id": "unet",
        "links": [{"target": "ddpm", "line": 8, "context": "Used by ddpm."}],
        "backlinks": [{"source": "notes/papers/ddpm.md", "line": 11, "context": "Its backbone is unet; see nowhere."}],
        "broken": [],
    }
    assert said(run_kb(root, "links", "--broken")) == (0, "notes/papers/ddpm.md:11 [[nowhere]]\n", "")
    assert as_json(run_kb(root, "links", "--broken", "--json")) == [
        {"path": "notes/papers/ddpm.md:11", "target": "[[nowhere]]"}
    ]
    assert said(run_kb(root, "links", "--orphans")) == (0, "evil a\ufffd]0;owned\ufffdb\n", "")
    assert said(run_kb(root, "links")) == (2, "", "kb: name a note, or ask for --orphans or --broken\n")


# Status, undo, check


def test_status_sets_a_status_and_undo_takes_it_back(root: Path, run_kb: Run) -> None:
    file = root / "notes/papers/ddpm.md"
    before = file.read_text()
    assert said(run_kb(root, "status", "ddpm", "reading")) == (0, "reading  notes/papers/ddpm.md\n", "")
    assert file.read_text() == before.replace(
        "status: to-read\nadded: 2025-01-04\n", f"status: reading\nadded: 2025-01-04\nstarted: {TODAY}\n"
    )
    assert said(run_kb(root, "status", "ddpm", "reading")) == (0, "notes/papers/ddpm.md was reading already\n", "")
    assert said(run_kb(root, "status", "ddpm")) == (0, "ddpm  reading  paper  2020  Ho  Denoising Diffusion\n", "")
    assert as_json(run_kb(root, "status", "ddpm", "--json"))[0]["started"] == TODAY
    undone = run_kb(root, "undo")
    assert (undone.returncode, undone.stderr) == (0, "")
    assert undone.stdout.startswith("took back `kb status reading` of ")
    assert undone.stdout.endswith(": 1 note: ddpm\n")
    assert file.read_text() == before
    assert said(run_kb(root, "undo")) == (1, "", "kb: nothing to undo: the journal is empty\n")


def test_status_takes_a_query(root: Path, run_kb: Run) -> None:
    run = run_kb(root, "status", "kind:paper", "dropped")
    lines = "dropped  notes/papers/ddpm.md\ndropped  notes/papers/unet.md\n2 notes; `kb undo` takes it back\n"
    assert said(run) == (0, lines, "")
    assert said(run_kb(root, "status", "year:1999", "read")) == (
        1,
        "",
        "kb: no note answers `year:1999`; `kb list year:1999` tries it\n",
    )


def test_undo_leaves_what_was_edited_since(root: Path, run_kb: Run) -> None:
    run_kb(root, "status", "kind:paper", "dropped")
    (root / "notes/papers/ddpm.md").write_text("mine")
    refused = run_kb(root, "undo")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(
        "kb: notes/papers/ddpm.md changed since `kb status dropped`; nothing was taken back"
    )
    done = run_kb(root, "undo", "--skip-changed")
    assert done.returncode == 0
    assert done.stdout.splitlines()[1:] == ["left as you edited it: notes/papers/ddpm.md"]
    assert (root / "notes/papers/unet.md").read_text() == NOTES["papers/unet.md"]


def test_the_dashboard(root: Path, run_kb: Run) -> None:
    found = as_json(run_kb(root, "status", "--json", "--since", "2024-01-15"))
    assert found.pop("since")["date"] == "2024-01-15"
    assert found == {
        "schema": 1,
        "counts": {"inbox": 1, "read": 1, "to-read": 1},
        "kinds": {"paper": 2, "talk": 1},
        "reading": [],
        "next": [DDPM | {"why": "waiting since 2025-01-04; 1 other note links to it"}],
        "recent": [DDPM | {"why": "added 2025-01-04"}, UNET | {"why": "finished 2024-02-01"}],
        "stale": [],
        "problems": found["problems"],
    }
    assert run_kb(root, "status").stdout.splitlines()[0] == "1 to-read   1 inbox   1 read"


def test_check(root: Path, run_kb: Run) -> None:
    hint = "write it: kb add REF --id nowhere, or list it under wanted:"
    line = f"notes/papers/ddpm.md:11: link: [[nowhere]] leads to no note ({hint})\n"
    assert said(run_kb(root, "check")) == (1, line, "")
    (problem,) = as_json(run_kb(root, "check", "--json"), 1)
    assert problem == {
        "path": "notes/papers/ddpm.md",
        "line": 11,
        "check": "link",
        "message": "[[nowhere]] leads to no note",
        "hint": hint,
        "level": "warning",
        "fixable": False,
    }
    (root / "notes/papers/ddpm.md").write_text("---\ntitle: a: b\n---\n")
    fixed = run_kb(root, "check", "--fix")
    assert (fixed.returncode, fixed.stderr) == (0, "")
    assert fixed.stdout.startswith("fixed notes/papers/ddpm.md:2: yaml: 'title' is no YAML")
    assert (root / "notes/papers/ddpm.md").read_text() == '---\ntitle: "a: b"\n---\n'


# What stops a command is one line and an exit code


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["show", "ddqm"], 1, "no note 'ddqm'; did you mean ddpm?"),
        (["show", "zzzzzzz"], 1, "no note 'zzzzzzz'; `kb list` shows what there is"),
        (["links", "ddqm"], 1, "no note 'ddqm'; did you mean ddpm?"),
        (["status", "ddqm", "read"], 1, "no note 'ddqm'; did you mean ddpm?"),
        (["status", "ddpm", "done"], 2, "no status 'done'; there are inbox to-read reading read dropped"),
        (
            ["status", "--since", "before"],
            2,
            "'before' is no date; write it like 2025-01-04, yesterday, monday, 7d or 2w",
        ),
        (["list", "--status", "done"], 2, "no status 'done'; there are inbox to-read reading read dropped"),
        (
            ["list", "--sort", "size"],
            2,
            "no order 'size'; there are added year title started finished id status rating author",
        ),
        (["list", "year:old"], 2, "'year:old' is no range; write year:2020, year:2020..2023 or year:2020.."),
        (
            ["list", "foo:bar"],
            2,
            "no field 'foo' to query; there are status kind tag year added started finished published rating"
            " author title id venue part_of arxiv doi acl openreview pmid s2 openalex isbn url repro cite has",
        ),
        (
            ["list", "kind:movie"],
            2,
            "no kind 'movie'; there are paper talk lecture course post thread book code tool dataset topic log page",
        ),
        (["add"], 2, "nothing to add; name an arXiv id, a URL, a .bib file, or - for standard input"),
    ],
)
def test_messages(root: Path, run_kb: Run, args: list[str], code: int, message: str) -> None:
    assert said(run_kb(root, *args)) == (code, "", f"kb: {message}\n")


@pytest.mark.parametrize(
    "verb", [["list"], ["status"], ["show", "x"], ["search", "x"], ["links", "x"], ["check"], ["undo"], ["add", "x"]]
)
def test_no_vault(tmp_path: Path, run_kb: Run, verb: list[str]) -> None:
    assert said(run_kb(tmp_path, *verb)) == (
        2,
        "",
        "kb: no vault here or above (mkdocs.yml beside notes/); `kb init` makes one, --root DIR names one\n",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("args", [["nonsense"], ["list", "--nonsense"], ["show"], ["list", "-n", "x"]])
def test_wrong_usage_is_two(root: Path, run_kb: Run, args: list[str]) -> None:
    run = run_kb(root, *args)
    assert (run.returncode, run.stdout) == (2, "")
    assert "Traceback" not in run.stderr
    assert run.stderr.startswith("Usage: ")


def test_the_vault_may_be_named(root: Path, tmp_path: Path, run_kb: Run) -> None:
    named = run_kb(tmp_path, "--root", str(root), "list")
    assert (
        named.stdout
        == run_kb(tmp_path, "list", KB_ROOT=str(root)).stdout
        == run_kb(root / "notes/papers", "list").stdout
    )
    assert named.stdout.startswith("ddpm  to-read")
    assert said(run_kb(tmp_path, "--root", "gone", "list")) == (
        2,
        "",
        "kb: gone: no vault there (no notes/ folder); `kb init gone` makes one\n",
    )


def test_a_new_vault(tmp_path: Path, run_kb: Run) -> None:
    made = run_kb(tmp_path, "init", "v")
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.splitlines()[0] == (
        f"A vault is in {tmp_path}/v: .gitignore, inbox.md, mkdocs.yml, notes/index.md, notes/topics/welcome.md"
    )
    assert said(run_kb(tmp_path / "v", "check")) == (0, "", "")
    assert said(run_kb(tmp_path, "init", "v")) == (2, "", "kb: v is a vault already; `kb status` shows what is in it\n")


def test_broken_files_stop_no_verb(make_vault: Vault, run_kb: Run) -> None:
    data = Path(__file__).parents[1] / "data/broken"
    notes: dict[str, Any] = {f"papers/{p.name}": p.read_bytes() for p in data.glob("*.md")}
    deep = {
        "papers/deep.md": b"---\ntitle: x\nmine: " + b"[" * 100_000 + b"\n---\n",
        "papers/zero.md": b"",
        "papers/bin.md": os.urandom(999),
    }
    root = make_vault(notes | deep)
    shown = run_kb(root, "list")
    assert (shown.returncode, shown.stderr, shown.stdout.count("\n")) == (0, "", len(notes) + 3)
    assert len(as_json(run_kb(root, "list", "--json"))) == len(notes) + 3
    for verb in (["status"], ["search", "text"], ["show", "no-utf8"], ["links", "--orphans"]):
        run = run_kb(root, *verb)
        assert (run.returncode, run.stderr) == (0, ""), verb
    checked = run_kb(root, "check")
    assert (checked.returncode, checked.stderr) == (1, "")
    assert "notes/papers/no-utf8.md:6: encoding: byte 0xff is no UTF-8 (save the file as UTF-8)\n" in checked.stdout
    assert said(run_kb(root, "status", "never-closed", "read")) == (
        1,
        "",
        "kb: notes/papers/never-closed.md: line 1: the front matter is never closed;"
        " end it with a line of three dashes: ---\n",
    )
    assert said(run_kb(root, "status", "no-utf8", "read")) == (
        1,
        "",
        "kb: notes/papers/no-utf8.md is no UTF-8; save it as UTF-8 first\n",
    )


def test_a_command_that_was_cut_off_is_taken_back_by_the_next(root: Path, run_kb: Run) -> None:
    code = (
        "import os, sys, kb.steps as steps; from kb.cli import main; true = steps.exchange\n"
        "def deadly(a, b):\n    true(a, b) or os.replace(a, b)\n    if str(b).endswith('unet.md'): os._exit(9)\n"
        "    return True\n"
        "steps.exchange = deadly; sys.argv = ['kb', 'status', 'kind:paper', 'dropped']; main()"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=root, timeout=60).returncode == 9
    assert "status: dropped" in (root / "notes/papers/unet.md").read_text()
    run = run_kb(root, "list", "status:dropped")
    assert said(run) == (0, "", "kb: `kb status dropped` was cut off; what it had begun was taken back\n")
    assert {path: (root / "notes" / path).read_text() for path in NOTES} == NOTES


def test_a_damaged_index_is_told_once(root: Path, run_kb: Run) -> None:
    run_kb(root, "list")
    current(root / ".kb").write_bytes(b"garbage " * 999)
    first, second = run_kb(root, "list"), run_kb(root, "list")
    assert first.stderr == "kb: the index was damaged and has been made anew; no note was touched\n"
    assert first.stdout == second.stdout
    assert (first.returncode, second.returncode, second.stderr) == (0, 0, "")


# What a verb costs


HEAVY = [
    "torch",
    "mkdocs",
    "markdown",
    "httpx",
    "rich.table",
    "bibtexparser",
    "rapidfuzz",
    "ftfy",
    "markdown_it",
    "ruamel",
    "pydantic",
]


@pytest.mark.parametrize(
    "args", [["list"], ["list", "--json"], ["status"], ["search", "backbone"], ["show", "ddpm"], ["--help"]]
)
def test_a_verb_imports_what_it_needs_only(root: Path, args: list[str]) -> None:
    (root / "notes/papers/nowhere.md").write_text("---\ntitle: Nowhere\n---\n")  # hints for broken links cost more
    code = (
        "import atexit, sys; atexit.register(lambda: print('MODULES', *sys.modules, file=sys.stderr))\n"
        f"sys.argv = {['kb', *args]!r}; from kb.cli import main; main()"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    modules = run.stderr.rpartition("MODULES ")[2].split()
    assert run.returncode == 0
    assert "kb.cli" in modules
    assert [m for m in HEAVY if m in modules] == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("kb sta", ["status"]),
        ("kb se", ["search", "serve"]),
        ("kb show dd", ["ddpm"]),
        ("kb show ", ["ddpm", "evil", "unet"]),
        ("kb status ddpm r", ["reading", "read"]),
        ("kb list --status to", ["to-read"]),
        ("kb list --kind pa", ["paper"]),
        ("kb list --tag d", ["diffusion"]),
        ("kb list --sort a", ["added", "author"]),
        ("kb tag ddpm +d", ["+diffusion"]),
        ("kb tag dd", ["ddpm"]),
    ],
)
def test_a_shell_completes_verbs_ids_and_choices(root: Path, run_kb: Run, words: str, found: list[str]) -> None:
    count = len(words.split()) - (0 if words.endswith(" ") else 1)
    # `python -m kb` names itself so; an installed `kb` is completed by _KB_COMPLETE
    code = "import sys; sys.argv = ['kb']; from kb.cli import main; main()"
    env = os.environ | {"_KB_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    run = subprocess.run([sys.executable, "-c", code], cwd=root, env=env, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr, run.stdout.split()) == (0, "", found)


def test_completion_outside_a_vault_is_silent(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['kb']; from kb.cli import main; main()"
    env = os.environ | {"_KB_COMPLETE": "complete_bash", "COMP_WORDS": "kb show ", "COMP_CWORD": "2"}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stderr, run.stdout.strip()) == (0, "", "")


def test_version_and_help(root: Path, run_kb: Run) -> None:
    assert said(run_kb(root, "--version")) == (0, "kb 0.1.0\n", "")
    for args in (["--help"], ["-h"], []):
        run = run_kb(root, *args)
        assert all(verb in run.stdout + run.stderr for verb in ("list", "search", "status", "check", "undo"))
    assert run_kb(root, "list", "-h").returncode == 0


def test_a_negated_term_is_no_option(root: Path, run_kb: Run) -> None:
    everything = said(run_kb(root, "list", "kind:paper"))
    others = run_kb(root, "list", "kind:paper", "-kind:paper")
    assert (others.returncode, others.stdout) == (0, "")
    assert said(run_kb(root, "list", "kind:paper", "-tag:no-such-tag")) == everything != ""
