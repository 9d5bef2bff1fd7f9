"""Commands at once, an editor and a site beside them, and commands that are killed: everything takes effect, once."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from kb.checks import check
from kb.edits import again
from kb.files import PATIENCE, Busy, Journal, locked
from kb.ids import Source
from kb.importing import apply, plan_import
from kb.importing.terminal import plan_files
from kb.index import Index
from kb.index_file import current
from kb.library import Library
from kb.note import parse_note
from kb.problem import KbError, Stale
from kb.verbs.add import AddOptions, add
from kb.verbs.capture import capture
from kb.verbs.complete import complete
from kb.verbs.remarks import remark
from kb.verbs.renaming import rename
from kb.verbs.tagging import retag
from kb.verbs.undoing import undo

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

NOTE = (
    "---\ntitle: Work {0}\nkind: paper\nstatus: to-read\ntags: [old]\nyear: 2020\n---\n\nText of {0}, see [[front]].\n"
)
NOTES = {f"papers/work-{n}.md": NOTE.format(n) for n in range(6)} | {
    "front.md": "---\ntitle: Front\nkind: topic\n---\n"
}
BIB = "@article{{{key}, title={{{title}}}, author={{{author}}}, year={{2021}}, doi={{10.5555/{key}}}}}"
OFFLINE = AddOptions(offline=True)
TODAY = date(2026, 1, 2)
SECONDS = 120  # that a process may take on a machine with other things to do


@pytest.fixture
def root(make_vault: Vault) -> Path:
    root = make_vault(NOTES)
    Library(root).index.close()
    return root


def bib(key: str, title: str, author: str = "A. Writer") -> str:
    return BIB.format(key=key, title=title, author=author)


def nobody(sources: Sequence[Source]) -> Iterator[Any]:
    raise AssertionError(f"asked for {sources}")


def agrees(root: Path) -> dict[str, str]:
    """The text of every note by id; a fresh index says just what the files say."""
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted((root / "notes").rglob("*.md"))}
    library = Library(root)
    assert library.notes == {path: parse_note(data, path)[0] for path, data in files.items()}
    ids = [note.id for note in library.notes.values()]
    assert len(ids) == len(set(ids))
    library.index.close()
    return {Path(path).stem: data.decode() for path, data in files.items()}


def entries(root: Path) -> list[str]:
    """What the journal says was done, oldest first."""
    return [change.verb for change in reversed(Journal(root).changes())]


def problems(root: Path) -> set[str]:
    library = Library(root)
    found = {str(problem) for problem in check(library) if problem.level != "info"}
    library.index.close()
    return found


def is_clean(root: Path) -> None:
    """Nothing is left of any command: no half-made change, no temporary file, no lock."""
    left = [path for path in root.rglob("*") if path.name.startswith(".kb-") or path.suffix == ".open"]
    assert left == []
    with locked(root, 0):
        pass


# Twenty processes, a site and an editor


def commands() -> list[list[str]]:
    found = [["add", "--offline", bib(f"own{n}", f"Alone {n}")] for n in range(5)]
    found += [["add", "--offline", bib(f"like{n}", "Same name", f"P. Number{n}")] for n in range(3)]
    found += [["add", "--offline", bib("twice", "Only once")] for _ in range(3)]
    found += [["add", "--offline", "2006.11239"]]
    found += [["status", f"work-{n}", to] for n, to in enumerate(("reading", "read", "dropped"))]
    found += [["note", "work-3", f"remark {n}"] for n in range(3)]
    found += [["tag", "work-4", "+one"], ["tag", "work-4", "+two", "-old"]]
    assert len(found) == 20
    return found


class Editor(threading.Thread):
    """Saves two notes again and again, one in place and one by a rename, until it is told to stop."""

    def __init__(self, root: Path) -> None:
        super().__init__(daemon=True)
        self.notes, self.saved, self.done = root / "notes/papers", 0, threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.02):
            self.saved += 1
            text = NOTE.format(f"in hand, saved {self.saved} times")
            (self.notes / "in-place.md").write_text(text)
            (self.notes / "renamed.md.tmp~").write_text(text)
            os.replace(self.notes / "renamed.md.tmp~", self.notes / "renamed.md")


@contextmanager
def serving(root: Path) -> Iterator[Callable[[str, str], None]]:
    """A real `kb serve`; gives a function that waits until a page holds a text."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "kb", "--root", str(root), "serve", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def shows(page: str, text: str) -> None:
        for _ in range(SECONDS * 5):
            try:
                if text in urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=30).read().decode():
                    return
            except OSError:  # not up yet, or no such page yet
                assert server.poll() is None
            time.sleep(0.2)
        raise AssertionError(f"{page} does not show {text}")

    try:
        yield shows
    finally:
        server.kill()
        server.wait(SECONDS)


def all_at_once(root: Path, lines: list[list[str]], seconds: float = SECONDS) -> list[tuple[int, str, str]]:
    """The exit codes and outputs of kb commands that run at the same time."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "kb", "--root", str(root), *line],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for line in lines
    ]  # fmt: skip
    told = [process.communicate(timeout=seconds) for process in processes]
    return [(process.returncode, *said) for process, said in zip(processes, told, strict=True)]


def no_log_is_left(root: Path) -> None:
    """The log of the index goes with the last command that has it open; a site that held it would keep it growing."""
    for _ in range(SECONDS * 5):
        if not list((root / ".kb").glob("*-wal")):
            return
        time.sleep(0.2)
    raise AssertionError([f"{path.name}: {path.stat().st_size}" for path in (root / ".kb").iterdir()])


def test_twenty_commands_beside_a_site_and_an_editor(root: Path) -> None:
    pytest.importorskip("mkdocs", reason="the site extra is not installed")
    config = Path(__file__).parents[2] / "kb/site/vault_mkdocs.yml"
    (root / "mkdocs.yml").write_text(config.read_text())
    for name in ("in-place.md", "renamed.md"):
        (root / "notes/papers" / name).write_text(NOTE.format("in hand, not saved yet"))
    before, known = agrees(root), problems(root)
    editor = Editor(root)
    with serving(root) as shows:
        shows("papers/work-0/", "Text of 0")
        editor.start()
        lines = commands()
        ended = all_at_once(root, lines)
        editor.done.set()
        editor.join(SECONDS)

        existing = [said for code, said, _ in ended if code == 1 and "is in the vault already" in said]
        assert (len(existing), sum(code == 0 for code, _, _ in ended)) == (2, 18), ended
        assert [err for _, _, err in ended if err] == []
        shows("papers/only-once/", "Only once")
        shows("papers/in-place/", f"saved {editor.saved} times")
        shows("papers/renamed/", f"saved {editor.saved} times")
        no_log_is_left(root)

    now = agrees(root)
    made = {id: text for id, text in now.items() if id not in before}
    titles = sorted(re.findall(r"^title: (.*)$", "".join(made.values()), re.M))
    assert titles == [*(f"Alone {n}" for n in range(5)), "Only once", *["Same name"] * 3, "arXiv 2006.11239"]
    assert all(sum(f"Number{n}" in text for text in made.values()) == 1 for n in range(3))
    assert [f"status: {to}" in now[f"work-{n}"] for n, to in enumerate(("reading", "read", "dropped"))] == [True] * 3
    assert sorted(re.findall(r"remark \d", now["work-3"])) == ["remark 0", "remark 1", "remark 2"]
    assert sorted(parse_note(now["work-4"].encode(), "x.md")[0].tags) == ["one", "two"]
    assert now["work-5"] == before["work-5"]
    assert now["in-place"] == now["renamed"] == NOTE.format(f"in hand, saved {editor.saved} times")

    assert problems(root) <= known
    assert len(entries(root)) == 18
    is_clean(root)
    for _ in range(18):
        undo(root)
    assert agrees(root) == before | {id: now[id] for id in ("in-place", "renamed")}


# Many at the same moment


def at_once(root: Path, works: Sequence[Callable[[Library], Any]]) -> list[Any]:
    """What works give that all have the vault open before the first of them begins, each in a process of its own."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(len(works))

    def run(n: int) -> None:
        library = Library(root)
        barrier.wait(SECONDS)
        (root.parent / f"{n}.told").write_text(json.dumps(works[n](library)))
        library.index.close()

    processes = [context.Process(target=run, args=(n,)) for n in range(len(works))]
    for process in processes:
        process.start()
    for process in processes:
        process.join(SECONDS)
    assert [process.exitcode for process in processes] == [0] * len(works)
    return [json.loads((root.parent / f"{n}.told").read_text()) for n in range(len(works))]


def adding(entry: str, **options: Any) -> Callable[[Library], list[str]]:
    chosen = AddOptions(**{"offline": True, **options})
    return lambda library: [one.action for one in add(library, [entry], chosen, nobody, TODAY)]


def test_a_work_is_added_once_and_a_name_is_given_once(root: Path) -> None:
    same = [adding(bib("twice", f"Only once, as {n} says"), id=f"one-{n}") for n in range(4)]
    named = [adding(bib(f"n{n}", "Same name", f"P. Number{n}"), kind=("paper", "post")[n % 2]) for n in range(6)]
    told = at_once(root, [*same, *named])
    assert sorted(told[:4]) == [["created"], ["exists"], ["exists"], ["exists"]]
    assert told[4:] == [["created"]] * 6
    now = agrees(root)
    made = {id for id in now if f"papers/{id}.md" not in NOTES and id != "front"}
    assert len([id for id in made if id.startswith("one-")]) == 1
    names = {"same-name", "same-name-2021", *(f"same-name-{n}" for n in range(2, 6))}
    assert {id for id in made if id.startswith("same")} == names
    assert all(sum(f"Number{n}" in now[id] for id in names) == 1 for n in range(6))
    assert entries(root) == ["add"] * 7
    is_clean(root)


def test_every_line_of_the_inbox_is_taken_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kb.verbs.capture._PATIENCE", SECONDS)  # here all of them are to come to their turn
    lines = [*(f"- [ ] Thing number {n}" for n in range(6)), "- https://arxiv.org/abs/2006.11239"]
    (root / "inbox.md").write_text("# Inbox\n\n" + "\n".join(lines) + "\n")
    told = at_once(root, [*[lambda library: capture(library, TODAY)] * 6, adding(bib("k", "Beside it"))])
    assert sum(line.count(": added ") for said in told[:6] for line in said) == 7
    assert not any("left as it is" in line for said in told[:6] for line in said)
    now = agrees(root)
    assert sorted(re.findall(r"^title: (Thing.*)$", "".join(now.values()), re.M)) == [line[6:] for line in lines[:6]]
    assert sum("2006.11239" in text for text in now.values()) == 1
    assert (root / "inbox.md").read_text() == "# Inbox\n\n"
    assert sorted(entries(root)) == ["add", "inbox.md"]
    is_clean(root)


def test_remarks_and_tags_on_one_note(root: Path) -> None:
    def noting(n: int) -> Callable[[Library], Any]:
        return lambda library: again(library, lambda now: remark(now, now.find("work-0"), f"remark {n}", TODAY))

    def tagging(n: int) -> Callable[[Library], Any]:
        return lambda library: again(library, lambda now: retag(now, [now.find("work-0")], [f"t{n}"], []).unchanged)

    at_once(root, [*map(noting, range(5)), *map(tagging, range(5))])
    text = agrees(root)["work-0"]
    assert sorted(re.findall(r"remark \d", text)) == [f"remark {n}" for n in range(5)]
    assert sorted(parse_note(text.encode(), "x.md")[0].tags) == ["old", *(f"t{n}" for n in range(5))]
    assert len(entries(root)) == 10


# One that comes between reading and writing


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any], times: int = 1) -> list[int]:
    """Have `act` done just before the next change is committed, so many times; the number of commits tried."""
    commit, tried = Journal.commit, [0]

    def later(self: Journal, *args: Any, **options: Any) -> None:
        tried[0] += 1
        if tried[0] <= times:
            with monkeypatch.context() as patch:
                patch.setattr(Journal, "commit", commit)
                act()
        commit(self, *args, **options)

    monkeypatch.setattr(Journal, "commit", later)
    return tried


def test_an_edit_by_hand_and_a_status_both_stay(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from kb.cli import main

    path = root / "notes/papers/work-0.md"
    tried = meanwhile(monkeypatch, lambda: path.write_text(path.read_text() + "By hand.\n"), times=3)
    monkeypatch.setattr(sys, "argv", ["kb", "--root", str(root), "status", "work-0", "read"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, tried) == (0, [4])
    assert capsys.readouterr() == ("read  notes/papers/work-0.md\n", "")
    text = agrees(root)["work-0"]
    assert (text.count("status: read\n"), text.count("By hand.")) == (1, 3)
    assert entries(root) == ["status read"]


def test_an_editor_that_never_stops_saving_is_told_of(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / "notes/papers/work-0.md"
    tried = meanwhile(monkeypatch, lambda: path.write_text(path.read_text() + "By hand.\n"), times=1000)
    with pytest.raises(Stale, match="papers/work-0.md changed while kb was at work; nothing was written, so run the"):
        again(Library(root), lambda now: remark(now, now.find("work-0"), "never", TODAY))
    assert tried == [6]
    assert path.read_text() == NOTE.format(0) + "By hand.\n" * 6
    is_clean(root)


def test_no_command_is_quicker_twice(root: Path) -> None:
    """What begins anew has the lock from the beginning on, and looks at the vault when it has it."""
    seen: list[tuple[int, bool]] = []

    def busy() -> bool:
        found: list[bool] = []

        def ask() -> None:  # the lock is a thread's: this one is another command
            try:
                with locked(root, 0):
                    found.append(False)
            except Busy:
                found.append(True)

        other = threading.Thread(target=ask)
        other.start()
        other.join(SECONDS)
        return found[0]

    def work(now: Library) -> str:
        seen.append((len(now.notes), busy()))
        if len(seen) < 3:
            (root / f"notes/n{len(seen)}.md").write_text(NOTE.format("more"))
            raise Stale("somebody was quicker")
        return "done"

    assert again(Library(root), work) == "done"
    assert seen == [(7, False), (8, True), (9, True)]
    assert not busy()


def test_a_note_that_is_renamed_is_found_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meanwhile(monkeypatch, lambda: rename(Library(root), "work-0", "zero"))
    again(Library(root), lambda now: remark(now, now.find("Work 0"), "still here", TODAY))
    before = Library(root)
    rename(Library(root), "zero", "nought")  # now its file is gone before it is read
    again(before, lambda now: remark(now, now.find("Work 0"), "and here", TODAY))
    assert re.findall("still here|and here", agrees(root)["nought"]) == ["still here", "and here"]
    assert not (root / "notes/papers/work-0.md").exists()


def answering(title: str, asked: list[Source]) -> Callable[[Sequence[Source]], Iterator[Any]]:
    def fetch(sources: Sequence[Source]) -> Iterator[Any]:
        asked.extend(sources)
        yield from ((source, {"title": title, "authors": ["A. Writer"], "year": 2020}) for source in sources)

    return fetch


def test_nothing_is_fetched_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Source] = []
    tried = meanwhile(monkeypatch, lambda: adding(bib("k", "The same title", "B. Other"))(Library(root)))
    done = add(Library(root), ["2006.11239"], AddOptions(), answering("The same title", asked), TODAY)
    assert [(one.action, one.id) for one in done] == [("created", "the-same-title-2020")]
    assert (len(asked), tried) == (1, [2])
    assert {"the-same-title", "the-same-title-2020"} <= set(agrees(root))


def test_a_work_that_another_command_adds_is_not_added_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meanwhile(monkeypatch, lambda: adding(bib("k", "First"), id="first")(Library(root)))
    done = add(Library(root), [bib("k", "Second"), bib("other", "Third")], OFFLINE, nobody, TODAY)
    assert [(one.action, one.id) for one in done] == [("exists", "first"), ("created", "third")]
    assert "second" not in agrees(root)


def test_a_change_that_took_the_place_of_another_is_noticed(root: Path) -> None:
    """An undo and then an add leave as many entries in the journal as before, of the same names."""
    adding(bib("x", "Taken back"))(Library(root))
    library = Library(root)
    undo(root)
    adding(bib("k", "First"), id="first")(Library(root))
    done = add(library, [bib("k", "Second")], AddOptions(offline=True, id="second"), nobody, TODAY)
    assert [(one.action, one.id) for one in done] == [("exists", "first")]
    assert entries(root) == ["add"]


def test_only_what_commands_changed_is_looked_at_again(root: Path) -> None:
    """Until the journal does not tell, or the index is a new one: then at everything."""
    library = Library(root)
    assert Journal(root).notes_since(library.moment) is None  # nothing was done yet
    adding(bib("k", "First"))(library)
    moment = Library(root).moment
    assert Journal(root).notes_since(moment) == []
    rename(Library(root), "work-0", "zero")
    adding(bib("m", "Second", "O. Ther"), kind="talk")(Library(root))
    only = Journal(root).notes_since(moment)
    assert only == ["notes/papers/work-0.md", "notes/papers/zero.md", "notes/talks/second.md"]
    read: list[str] = []

    def seen(paths: Iterable[str], total: int) -> Iterable[str]:
        read.extend(paths)
        return read[-total:]

    for known in (only[:2], only):  # the second time there is a folder that the index does not know
        now = Library(root, seen, known)
        assert now.index.resolve("zero") and not now.index.resolve("work-0")
        now.index.close()
    assert sorted(set(read) & set(only)) == only[1:]
    assert "second" in agrees(root)
    for file in (root / ".kb").glob("index-*"):
        file.unlink()
    assert len(Library(root, only=[]).notes) == 9
    undo(root)
    adding(bib("n", "Third", "N. Ew"))(Library(root))
    assert Journal(root).notes_since(Library(root).moment) == []
    assert Journal(root).notes_since(moment.replace(" ", " 1", 1)) is None


def test_what_is_merged_into_a_note_leaves_an_edit_by_hand(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(Library(root), [bib("k", "Known")], OFFLINE, nobody, TODAY)
    path = root / "notes/papers/known.md"

    def by_hand() -> None:
        path.write_text(path.read_text().replace("year: 2021", "year: 1999"))

    meanwhile(monkeypatch, by_hand)
    entry = bib("k", "Known").replace("year=", "journal={A Journal}, year=")
    done = add(Library(root), [entry], AddOptions(offline=True, merge=True, note="Mine."), nobody, TODAY)
    assert [one.action for one in done] == ["merged"]
    text = agrees(root)["known"]
    assert ("year: 1999" in text, "A Journal" in text, text.count("Mine.")) == (True, True, 1)


def test_an_edit_while_a_merge_is_computed_is_not_overwritten(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the reading of a note and the reading of what it is compared with there must be nothing."""
    import kb.verbs.merge

    add(Library(root), [bib("k", "Known")], OFFLINE, nobody, TODAY)
    path, true = root / "notes/papers/known.md", kb.verbs.merge.merge_meta
    edits = ["Hand.\n"]

    def slow(*args: Any) -> bytes | None:
        found = true(*args)
        if edits:
            path.write_text(path.read_text() + edits.pop())
        return found

    monkeypatch.setattr(kb.verbs.merge, "merge_meta", slow)
    entry = bib("k", "Known").replace("year=", "journal={A Journal}, year=")
    add(Library(root), [entry], AddOptions(offline=True, merge=True), nobody, TODAY)
    text = agrees(root)["known"]
    assert ("Hand.\n" in text, "A Journal" in text) == (True, True)


def test_an_id_is_not_given_to_two_notes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meanwhile(monkeypatch, lambda: adding(bib("k", "A post"), id="wanted", kind="post")(Library(root)))
    with pytest.raises(KbError, match="wanted"):
        again(Library(root), lambda now: rename(now, "work-0", "wanted"))
    assert {"wanted", "work-0"} <= set(agrees(root))
    meanwhile(monkeypatch, lambda: adding(bib("m", "More"), id="chosen", kind="post")(Library(root)))
    with pytest.raises(KbError, match="there is a note 'chosen' already; choose another --id"):
        add(Library(root), [bib("n", "Other")], AddOptions(offline=True, id="chosen"), nobody, TODAY)
    assert "chosen" in agrees(root)


def test_a_link_that_is_written_during_a_rename_is_renamed_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def links() -> None:
        now = Library(root)
        remark(now, now.find("work-1"), "like [[work-0]]", TODAY)

    meanwhile(monkeypatch, links)
    done = again(Library(root), lambda now: rename(now, "work-0", "zero"))
    assert done.notes == ["notes/papers/work-1.md"]
    assert "like [[zero]]" in agrees(root)["work-1"]


LIST = b"# Reading\n\n- [ ] [Listed](https://arxiv.org/abs/2006.11239)\n- [x] [Another](https://example.org/another)\n"


def test_an_import_takes_in_what_came_meanwhile(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list.md").write_bytes(LIST)
    tried = meanwhile(monkeypatch, lambda: adding("2006.11239", id="there")(Library(root)))
    plan = plan_files(Library(root), [tmp_path / "list.md"], "", False, write=True)
    assert plan and {note.path: note.action for note in plan.notes}["notes/papers/there.md"] == "updated"
    assert tried == [2]
    assert sum("2006.11239" in text for text in agrees(root).values()) == 1


def test_an_import_planned_before_another_change_is_not_carried_out(root: Path) -> None:
    library = Library(root)
    plan = plan_import(library, {"list.md": LIST}, TODAY)
    adding(bib("k", "Quicker"))(Library(root))
    with pytest.raises(Stale, match="another kb command was quicker; nothing was written, so run the command again"):
        apply(library, plan)
    assert not (root / "imports").exists()


def test_answers_go_into_notes_that_are_edited_meanwhile(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(Library(root), ["2006.11239"], OFFLINE, nobody, TODAY)
    path = root / "notes/papers/arxiv-2006-11239.md"
    meanwhile(monkeypatch, lambda: path.write_text(path.read_text() + "By hand.\n"))
    asked: list[Source] = []
    done, told = complete(Library(root), answering("Its title", asked))
    assert ([one.action for one in done], told, len(asked)) == (["completed"], [], 1)
    text = agrees(root)["arxiv-2006-11239"]
    assert ("title: Its title" in text, "By hand." in text) == (True, True)


def while_the_inbox_is_read(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
    import kb.verbs.inbox_lines

    true, todo = kb.verbs.inbox_lines.read_lines, [act]

    def slow(lines: list[str], stay: set[str]) -> list[kb.verbs.inbox_lines.Line]:
        if todo:
            todo.pop()()
        return true(lines, stay)

    monkeypatch.setattr(kb.verbs.inbox_lines, "read_lines", slow)


def test_lines_that_another_command_leaves_in_the_inbox_stay(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An undo has put a line back, and then says that it is to stay."""
    (root / "inbox.md").write_text("First\n")
    stays = json.dumps({"stamp": "", "hash": "", "stay": ["First"]})
    while_the_inbox_is_read(monkeypatch, lambda: (root / ".kb/inbox.json").write_text(stays))
    assert capture(Library(root), TODAY) == []
    assert (root / "inbox.md").read_text() == "First\n"
    assert "first" not in agrees(root)


def test_a_line_whose_work_is_added_meanwhile_makes_no_note(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "inbox.md").write_text("https://arxiv.org/abs/2006.11239\n")
    while_the_inbox_is_read(monkeypatch, lambda: adding("2006.11239", id="there")(Library(root)))
    assert capture(Library(root), TODAY) == ["inbox.md:1: in the vault already: notes/papers/there.md"]
    assert sum("2006.11239" in text for text in agrees(root).values()) == 1


def test_lines_that_undo_puts_back_meanwhile_stay(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One command has read the inbox when another takes the capture before it back."""
    (root / "inbox.md").write_text("First\n")
    capture(Library(root), TODAY)
    (root / "inbox.md").write_text("Second\n")
    while_the_inbox_is_read(monkeypatch, lambda: undo(root))
    assert [line.partition(": ")[2] for line in capture(Library(root), TODAY)] == [
        "added notes/papers/second.md: Second"
    ]
    assert (root / "inbox.md").read_text() == "First\n"
    assert "first" not in agrees(root)


# Commands that are killed, and commands that take long


STOP = """
import os, sys
from pathlib import Path

root = Path(sys.argv[1])

def stop(*_):
    print("here", flush=True)
    sys.stdin.readline()
"""
HOLDS_THE_LOCK = "from kb.files import locked\nwith locked(root):\n    stop()\n"
INDEXES = """
import kb.index_file
true = kb.index_file._put
def put(db, *rest):
    true(db, *rest)
    db.execute("UPDATE notes SET title = 'half'")
    stop()
kb.index_file._put = put
from kb.library import Library
Library(root)
"""
CHANGES = """
true, left = os.fsync, int(sys.argv[2])
def fsync(fd):
    global left
    true(fd)
    left -= 1
    if not left:
        stop()
os.fsync = fsync
from kb.files import Journal
paths = ["notes/papers/work-0.md", "notes/papers/work-1.md"]
old = {path: (root / path).read_bytes() for path in paths}
Journal(root).commit("long", {path: data.replace(b"Text", b"Other") for path, data in old.items()}, old)
"""
CAPTURES = (
    CHANGES.partition("from kb.files")[0]
    + """
from kb.library import Library
from kb.verbs.capture import capture
capture(Library(root))
"""
)


@contextmanager
def stopped(root: Path, code: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs the code and has come to its `stop()`."""
    command = [sys.executable, "-c", STOP + code, str(root), *args]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdin
    try:
        assert process.stdout.readline() == "here\n"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)


def test_a_lock_goes_with_its_process(root: Path, run_kb: Run) -> None:
    with stopped(root, HOLDS_THE_LOCK) as holder:
        with pytest.raises(Busy, match="another kb command has been writing for too long"), locked(root, 0.05):
            pass
        holder.kill()
        holder.wait(SECONDS)
        with locked(root, 0):
            pass
    ended = run_kb(root, "status", "work-0", "read")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_index_that_was_being_written_is_whole(root: Path) -> None:
    (root / "notes/papers/work-0.md").write_text(NOTE.format("changed"))
    with stopped(root, INDEXES) as writer:
        other = sqlite3.connect(current(root / ".kb"), timeout=0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()
        writer.kill()
        writer.wait(SECONDS)
        assert not Index(root).rebuilt
    assert "Work changed" in agrees(root)["work-0"]


READERS = (
    ["list"],
    ["search", "text"],
    ["show", "work-0"],
    ["links", "front"],
    ["status"],
    ["check"],
    ["undo", "--list"],
)


def test_nobody_who_reads_waits_for_a_change(root: Path) -> None:
    """A change is half done, and its command lives: others read, and leave it alone."""
    with stopped(root, CHANGES, "4") as writer:
        assert writer.stdin
        ended = all_at_once(root, [*READERS], 0.8 * PATIENCE)
        assert [(code, err) for code, _, err in ended if code or err] == []
        command = [sys.executable, "-m", "kb", "--root", str(root), "status", "work-2", "read"]
        waiting = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        print(file=writer.stdin, flush=True)
        assert writer.wait(SECONDS) == waiting.wait(SECONDS) == 0
    now = agrees(root)
    assert ["Other of" in now[f"work-{n}"] for n in range(3)] == [True, True, False]
    assert "status: read" in now["work-2"]
    assert entries(root) == ["long", "status read"]
    is_clean(root)


@pytest.mark.parametrize("calls", ["1", "3", "5"])
def test_a_capture_that_was_killed_is_made_again_once(root: Path, run_kb: Run, calls: str) -> None:
    (root / "inbox.md").write_text("Thing one\nThing two\n")
    with stopped(root, CAPTURES, calls):
        pass
    ended = run_kb(root, "list")
    assert ended.returncode == 0
    now = agrees(root)
    assert sorted(re.findall(r"^title: (Thing.*)$", "".join(now.values()), re.M)) == ["Thing one", "Thing two"]
    assert (root / "inbox.md").read_text() == ""
    assert entries(root) == ["inbox.md"]
    is_clean(root)
