"""Notes, vaults, records made to hurt: a Problem that names the place, in bounded time, nothing written elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from kb import spelling
from kb.files import Journal, read_regular
from kb.index_file import current
from kb.library import Library
from kb.note import Note, parse_note
from kb.problem import KbError, Problem
from kb.query import MOST_TERMS, parse
from kb.results import Results
from kb.verbs.opening import address

Vault = Callable[..., Path]
Run = Callable[..., "CompletedProcess[str]"]
FINE = "---\ntitle: Fine\n---\n"


def problems(data: str | bytes) -> list[str]:
    data = data if isinstance(data, bytes) else data.encode()
    return [f"{p.line}: {p.check}: {p.message}" for p in parse_note(data, "notes/papers/x.md")[1] if p.level != "info"]


# Front matter

BOMB = "a: &a [x, x]\n" + "".join(f"{c}: &{c} [{', '.join([f'*{chr(ord(c) - 1)}'] * 9)}]\n" for c in "bcdefghij")
YAML = [
    (BOMB, "2: yaml: the front matter uses YAML anchors (& or *), which kb does not read"),
    ("b: " + "[" * 10_000, "2: yaml: the front matter is more than 20 levels deep, which kb does not read"),
    ("b:\n" + "".join(" " * n + "- \n" for n in range(1, 300)), "more than 20 levels deep"),
    ("b:\n  " + "- " * 5000 + "x", "levels deep"),
    ("b: x\0y", "2: yaml: a control character U+0000 stands in the front matter"),
    ("x" * 300_000 + ": 1", "2: yaml: the front matter is larger than 256 KB"),
    ("".join(f"k{n}: 1\n" for n in range(100_000)), "2: yaml: the front matter is larger than 256 KB"),
]  # fmt: skip


@pytest.mark.parametrize(("front", "told"), YAML, ids=range(len(YAML)))
def test_front_matter_that_would_take_all_memory_is_refused_at_its_line(front: str, told: str) -> None:
    found = problems(f"---\ntitle: x\n{front}\n---\n".replace("title: x\n", "", 1))
    assert any(told in problem for problem in found), found[:3]


def test_tags_of_yaml_make_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = f"---\ntitle: !!python/object/apply:os.system ['touch {mark}']\ntags: !!python/name:os.system\n---\n"
    note, _ = parse_note(text.encode(), "notes/papers/x.md")
    assert not mark.exists() and not callable(note.meta.get("tags"))


def test_unknown_keys_are_looked_up_a_hundred_times_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    unknown = spelling.unknown

    def counted(key: str, *about: Any) -> Problem:
        asked.append(key)
        return unknown(key, *about)

    monkeypatch.setattr(spelling, "unknown", counted)
    parse_note(("---\ntitle: x\n" + "".join(f"k{n}: 1\n" for n in range(5000)) + "---\n").encode(), "notes/x.md")
    assert len(asked) == 100


def test_links_beyond_ten_thousand_are_told_and_not_followed() -> None:
    note, found = parse_note(b"---\ntitle: x\n---\n" + b"[[a]]\n" * 30_000, "notes/topics/x.md")
    assert len(note.links) == 10_000
    assert [str(p) for p in found] == [
        "notes/topics/x.md:10003: link: more than 10000 links; those from here on are not followed (divide the note)"
    ]


# Files that are none


@pytest.fixture
def odd(make_vault: Vault) -> Iterator[Path]:
    """A vault with a pipe, a socket, a loop of links, a device, a note of nine megabytes and names of all sorts."""
    root = make_vault({"papers/fine.md": FINE, "papers/large.md": b"---\ntitle: x\n---\n" + b"x" * (9 << 20)})
    here = root / "notes/papers"
    os.mkfifo(here / "pipe.md")
    listening = socket.socket(socket.AF_UNIX)
    before = os.getcwd()
    os.chdir(here)  # the path of a socket has a hundred letters at most
    listening.bind("socket.md")
    os.chdir(before)
    (here / "loop.md").symlink_to("loop.md")
    (here / "up").symlink_to("..")
    (here / "null.md").symlink_to("/dev/zero")
    for name in (b"\xff.md", b"-rf.md", b"a\nb.md", b"a\x1b[31m.md", b"x" * 252 + b".md"):
        Path(os.fsdecode(os.fsencode(here) + b"/" + name)).write_text(FINE)
    yield root
    listening.close()


def test_what_is_no_file_stops_no_verb_and_is_named(odd: Path, run_kb: Run) -> None:
    done = run_kb(odd, "check")
    assert done.returncode == 1 and done.stderr == ""
    for name, told in (
        ("pipe.md", "cannot be read: it is no regular file"),
        ("null.md", "cannot be read: it is no regular file"),
        ("socket.md", "cannot be read: No such device or address"),
        ("large.md", "cannot be read: it is larger than 8 MB"),
        (r"\udcff.md", "the name is no UTF-8, and kb passes the file over"),
    ):
        lines = [line for line in done.stdout.splitlines() if line.startswith(f"notes/papers/{name}:0: ")]
        assert len(lines) == 1 and told in lines[0], (name, done.stdout)
    listed = run_kb(odd, "list", "--json")
    titles = {row["title"] for row in json.loads(listed.stdout)}
    assert "Fine" in titles and listed.returncode == 0
    for verb in ("status", "show pipe", "tag pipe +x", "status pipe read", "search x", "add --complete", "export"):
        assert "Traceback" not in run_kb(odd, *verb.split()).stderr, verb


def test_reading_a_regular_file_ends(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        read_regular(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"x" * (2 << 20))
    assert len(read_regular(tmp_path / "file", 2 << 20)) == 2 << 20
    with pytest.raises(OSError, match="larger than 1 MB"):
        read_regular(tmp_path / "file", 1 << 20)


# Ids


@pytest.mark.parametrize(
    "id", ["../../x", "/etc/x", ".kb/x", "a/b", "-rf", "a\nb", "a\x1b[31m", "..", "a" * 300, "a\\b"]
)
def test_an_id_is_no_path(make_vault: Vault, run_kb: Run, id: str) -> None:
    root = make_vault({"papers/x.md": FINE})
    before = sorted(root.parent.rglob("*.md"))
    for args in (("add", "@misc{a, title={T}}", "--id", id), ("rename", "x", "--", id)):
        done = run_kb(root, *args)
        assert done.returncode == 2 and "is no id of a-z, 0-9 and -" in done.stderr, (args, done.stderr)
        assert len(done.stderr.splitlines()) == 1
    assert sorted(root.parent.rglob("*.md")) == before


def test_a_citation_key_is_no_path(make_vault: Vault, run_kb: Run) -> None:
    root = make_vault({})
    assert run_kb(root, "add", "@misc{../../../etc/x, title={../../../T}}").returncode == 0
    (made,) = root.parent.rglob("*.md")
    assert made == root / "notes/papers/t.md"


# What may come with a repository that one clones


def entry(root: Path, ending: str, **files: str | None) -> Path:
    """A change in the journal that kb did not write: taking it back would give these files these bytes."""
    folder = root / ".kb/journal"
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        path: {"old": base64.b64encode((text or "").encode()).decode(), "new": None} for path, text in files.items()
    }
    record = {"schema": 1, "verb": "add", "when": "2020-01-01 00:00:00", "files": told}
    (folder / f"00000001.{ending}").write_text(json.dumps(record))
    return folder / f"00000001.{ending}"


@pytest.mark.parametrize("path", ["../evil", "/tmp/kb-evil", "notes/../../evil", ".git/config", ".envrc", ".kb/x", ""])
def test_a_journal_that_others_wrote_writes_nothing_elsewhere(make_vault: Vault, run_kb: Run, path: str) -> None:
    root = make_vault({"papers/x.md": FINE})
    (root / ".git").mkdir()
    left = entry(root, "open", **{"notes/papers/y.md": "owned", path: "owned"})
    done = run_kb(root, "list")
    assert done.returncode == 0 and "Fine" in done.stdout and not left.exists()
    entry(root, "json", **{"notes/papers/y.md": "owned", path: "owned"})
    done = run_kb(root, "undo")
    assert done.returncode == 1 and "00000001.json is damaged" in done.stderr
    found = [p for p in root.parent.rglob("*") if p.is_file() and p.read_bytes() == b"owned"]
    assert found == [] and not Path("/tmp/kb-evil").exists()


@pytest.mark.parametrize(
    "more",
    [
        {"token": "x/../../../../evil"},
        {"files": {"notes/papers/x.md": {"file": "../evil"}}},
        {"files": {"notes/papers/x.md": {"file": "/tmp/kb-evil"}}},
        {"files": {"notes/papers/y.md": {"old": None, "from": "../evil"}}},
    ],
)
def test_a_cut_off_change_that_others_wrote_is_put_aside(make_vault: Vault, run_kb: Run, more: dict[str, Any]) -> None:
    root = make_vault({"papers/x.md": FINE})
    evil = root.parent / "evil"
    evil.write_text(FINE)
    file = entry(root, "open", **{"notes/papers/x.md": "owned"})
    record = json.loads(file.read_text())
    new = hashlib.sha256(FINE.encode()).hexdigest()
    record["files"] = {"notes/papers/x.md": {"old": base64.b64encode(b"owned").decode(), "new": new}}
    for path, said in more.get("files", {}).items():
        record["files"].setdefault(path, {"old": None, "new": new}).update(said)
    file.write_text(json.dumps(record | {key: value for key, value in more.items() if key != "files"}))
    done = run_kb(root, "list")
    assert done.returncode == 0 and "00000001.damaged" in done.stderr
    assert evil.read_text() == FINE and (root / "notes/papers/x.md").read_text() == FINE


@pytest.mark.parametrize("ending", ["open", "json"])
def test_what_a_journal_names_behind_a_link_out_of_the_vault_is_left(
    make_vault: Vault, run_kb: Run, ending: str
) -> None:
    root = make_vault({"papers/x.md": FINE})
    there = root.parent / "there"
    there.mkdir()
    (root / "notes/evil").symlink_to(there)
    entry(root, ending, **{"notes/evil/x.sh": "owned"})
    done = run_kb(root, "list" if ending == "open" else "undo")
    assert "Traceback" not in done.stderr and done.stderr.startswith("kb: ")
    assert list(there.iterdir()) == []


@pytest.mark.parametrize("name", [".gitignore", "inbox.json", "journal", "trash"])
def test_links_among_what_kb_keeps_for_itself_are_refused(make_vault: Vault, run_kb: Run, name: str) -> None:
    root = make_vault({"papers/x.md": FINE})
    theirs = root.parent / "theirs"
    theirs.write_text("theirs")
    (root / "inbox.md").write_text("- https://e.org/x\n")
    (root / ".kb").mkdir()
    (root / ".kb" / name).symlink_to(theirs)
    done = run_kb(root, "list")
    assert done.returncode == 1 and f"/.kb/{name} is a link; remove it" in done.stderr
    assert theirs.read_text() == "theirs" and (root / "inbox.md").read_text() == "- https://e.org/x\n"


@pytest.mark.parametrize("place", [".kb/journal/00000001.open", ".kb/inbox.json", "repro/mine/results.json"])
def test_a_pipe_in_the_place_of_a_file_of_ours_stops_nothing(make_vault: Vault, run_kb: Run, place: str) -> None:
    root = make_vault({"papers/x.md": FINE})
    (root / "inbox.md").write_text("\n")
    (root / place).parent.mkdir(parents=True)
    os.mkfifo(root / place)
    done = run_kb(root, "status")
    assert done.returncode == 0 and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "said", [{"file": 5}, {"was": {"link": 5}}, {"was": {"mode": "x"}}, {"new": 5}, {"was": 5}, {"was": {"link": "\0"}}]
)
def test_an_entry_of_another_form_is_damaged(make_vault: Vault, run_kb: Run, said: dict[str, Any]) -> None:
    root = make_vault({"papers/x.md": FINE})
    file = entry(root, "open", **{"notes/papers/x.md": "owned"})
    record = json.loads(file.read_text())
    record["files"]["notes/papers/x.md"] |= said
    file.write_text(json.dumps(record))
    done = run_kb(root, "list")
    assert done.returncode == 0 and "00000001.damaged" in done.stderr and "Traceback" not in done.stderr
    assert (root / "notes/papers/x.md").read_text() == FINE


def test_a_journal_of_our_own_is_taken_back(make_vault: Vault) -> None:
    root = make_vault({})
    Journal(root).commit("x", {"notes/a.md": b"1", ".kb/trash/b": b"2", ".gitignore": b"3"}, {})
    Journal(root).undo()
    assert not any((root / path).exists() for path in ("notes/a.md", ".kb/trash/b", ".gitignore"))


def test_a_link_for_a_state_folder_is_refused(make_vault: Vault, run_kb: Run) -> None:
    root = make_vault({"papers/x.md": FINE})
    there = root.parent / "there"
    there.mkdir()
    (root / ".kb").symlink_to(there)
    done = run_kb(root, "list")
    assert done.returncode == 1 and "/.kb is a link; remove it" in done.stderr
    assert list(there.iterdir()) == []


def test_a_link_for_an_index_leads_to_no_harm(make_vault: Vault, run_kb: Run) -> None:
    root = make_vault({"papers/x.md": FINE})
    theirs = root.parent / "theirs.sqlite"
    db = sqlite3.connect(theirs)
    db.execute("CREATE TABLE cookies(x)")
    db.commit()
    db.close()
    (root / ".kb").mkdir()
    current(root / ".kb").symlink_to(theirs)
    assert run_kb(root, "list").returncode == 0
    db = sqlite3.connect(theirs)
    assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("cookies",)]
    db.close()


def test_an_index_of_others_is_made_anew(make_vault: Vault) -> None:
    root = make_vault({"papers/x.md": FINE})
    Library(root).index.close()
    file = current(root / ".kb")
    db = sqlite3.connect(file)
    db.execute("DROP TABLE tags")
    db.execute("CREATE VIEW tags AS SELECT 1 AS n, 'x' AS tag")
    db.execute('CREATE TABLE "a; DROP TABLE b" (x)')
    db.execute("CREATE TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM notes; END")
    db.commit()
    db.close()
    (root / "notes/papers/y.md").write_text(FINE)
    library = Library(root)
    assert list(library.notes) == ["notes/papers/x.md", "notes/papers/y.md"]
    library.index.close()
    assert current(root / ".kb") != file


# Records and results


@pytest.mark.parametrize(
    "text",
    ['{"claims": ' + "[" * 100_000, '{"metrics": {"a": NaN}}', '{"a": 1e999}', '{"a": ' + "9" * 5000 + "}", "[]", "\0",
     '{"figures": ["../../../../etc/passwd", "/etc/hosts.png", "x.svg"]}'],
)  # fmt: skip
def test_records_of_others_are_problems(make_vault: Vault, text: str) -> None:
    root = make_vault({})
    for name in ("results.json", "runs/a-s0.json"):
        (root / "repro/mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "repro/mine" / name).write_text(text)
    paper = Results(root).papers["mine"]
    assert {p.path for p in paper.problems} == {"repro/mine/results.json", "repro/mine/runs/a-s0.json"}
    assert paper.records == {} and paper.claims == []


def test_figures_of_a_record_stay_beside_it(make_vault: Vault) -> None:
    root = make_vault({})
    (root / "secret.png").write_bytes(b"x")
    runs = root / "repro/mine/runs"
    runs.mkdir(parents=True)
    record = {"paper": "mine", "recipe": "a", "config": {}, "done": True, "segments": [], "metrics": {}, "curve": {}}
    figures = ["../../../secret.png", "/etc/passwd", "gone.png", str(root / "secret.png")]
    (runs / "a-s0.json").write_text(json.dumps(record | {"figures": figures}))
    paper = Results(root).papers["mine"]
    assert paper.records["a-s0"].figures == () and len(paper.problems) == 4


@pytest.mark.parametrize("name", ["../x; touch owned", "-c", "mine.x", "$(touch owned)"])
def test_a_paper_to_run_is_one_of_those_that_there_are(make_vault: Vault, run_kb: Run, name: str) -> None:
    root = make_vault({})
    done = run_kb(root, "run", "--", name, "$(touch owned)")
    assert done.returncode in (1, 2) and not (root / "owned").exists()
    assert "Traceback" not in done.stderr


# Commands


def test_a_query_has_an_end(make_vault: Vault, run_kb: Run) -> None:
    root = make_vault({"papers/x.md": FINE})
    many = ["a"] * (MOST_TERMS + 1)
    for verb in ("list", "search", "next", "export"):
        done = run_kb(root, verb, *many)
        assert done.returncode == 2 and f"more than {MOST_TERMS}" in done.stderr, (verb, done.stderr)
        assert run_kb(root, verb, *many[1:]).returncode == 0
    assert len(parse("(" * 100_000).terms) == 1


def test_documents_that_include_themselves_and_what_lies_elsewhere(make_vault: Vault, run_kb: Run) -> None:
    root = make_vault({"papers/x.md": "---\ntitle: Fine\ncite: a\n---\n"})
    (root / "main.tex").write_text(r"\input{main}\input{other}\cite{a}" + "\n" + r"\cite[" * 20_000)
    (root / "other.tex").write_text(r"\include{main}\input{/dev/zero}\input{../../../../../etc/passwd}")
    done = run_kb(root, "export", "--cited", "main.tex")
    assert "@misc{a," in done.stdout and "root:" not in done.stdout + done.stderr


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:alert(1)", "-h", "vscode://x", "data:text/html,x"])
def test_only_the_web_is_opened(make_vault: Vault, run_kb: Run, url: str) -> None:
    root = make_vault({"papers/x.md": f"---\ntitle: x\nurl: {url!r}\npdf: {url!r}\ncode: {url!r}\n---\n"})
    for way in ((), ("--pdf",), ("--code",), ("--page",)):
        done = run_kb(root, "open", "x", *way)
        assert done.returncode == 1 and done.stdout == "" and "to open" in done.stderr
    note = Note("x", "notes/papers/x.md", {key: url for key in ("url", "pdf", "code", "video")}, "")
    for name in ("", "pdf", "page", "code", "video"):  # whatever a note might say that the schema let through
        with pytest.raises(KbError, match="to open"):
            address(root, note, name)


def test_an_inbox_without_end_is_left_alone(make_vault: Vault, run_kb: Run) -> None:
    root = make_vault({"papers/x.md": FINE})
    os.mkfifo(root / "inbox.md")
    assert "Fine" in run_kb(root, "list").stdout


def test_what_cannot_be_written_is_refused_before_anything_is(make_vault: Vault) -> None:
    root = make_vault({})
    with pytest.raises(KbError, match="lies outside the vault"):
        Journal(root).commit("x", {"notes/a.md": b"1", "../b": b"2"}, {})
    assert not (root / "notes/a.md").exists()
