"""However a note changes, the next command sees it; and no command that reads changes a note.

Every change here keeps the size of the note. Each is made under three clocks: in the moment in which the note was
indexed, where only looking again can tell; later, where its stamp must; and with the clock set back since.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import kb.cli  # noqa: F401  (the verbs)
import kb.index_file
from kb.checks import check
from kb.cli.shared import app
from kb.library import Library
from kb.query import parse
from kb.verbs.show import as_json, links_json
from kb.verbs.status import dashboard

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
Way = Callable[[Path], None]

NOTE = "---\ntitle: {title}\nkind: paper\nstatus: {status}\ntags: [{tag}]\n---\n\nA {word} of [[{link}]], [[{none}]].\n"
OLD = NOTE.format(title="Old name", status="reading", tag="first", word="zebra", link="one", none="lost-1")
NEW = NOTE.format(title="New name", status="to-read", tag="other", word="otter", link="two", none="lost-2")
assert len(OLD) == len(NEW)
OTHERS = {
    "one.md": "---\ntitle: One\n---\n\nText.\n",
    "two.md": "---\ntitle: Two\n---\n\nText.\n",
    "papers/spare.md": NEW,
    "talks/deep/t.md": "---\ntitle: T\nstatus: inbox\n---\n\n[[one]]\n",
}
DAY = 86400


def view(library: Library) -> dict[str, Any]:
    """What every verb that reads says of the vault."""
    everything = parse("")
    notes = list(library.index.notes())
    told = dashboard(library)
    found = {
        "list": library.index.select(everything, "id", pages=True),
        "search": {word: library.index.search(word, everything) for word in ("zebra", "otter", "text")},
        "show": [as_json(library, note) for note in notes],
        "links": [links_json(library, note) for note in notes],
        "status": [told["counts"], told["kinds"], told["reading"], told["problems"]],
        "check": [str(problem) for problem in check(library)],
    }
    library.index.close()
    return found


def fresh(root: Path) -> dict[str, Any]:
    return view(Library(root))


def cold(root: Path) -> dict[str, Any]:
    """The same, of a copy that was never indexed."""
    copy = root.parent / "cold"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns(".kb", ".git"), symlinks=True)
    try:
        return view(Library(copy))
    finally:
        shutil.rmtree(copy)


def is_new(found: dict[str, Any], id: str = "a") -> None:
    """Whether each verb shows the new text of a note, and nothing of the old one."""
    row = next(row for row in found["list"] if row["id"] == id)
    assert (row["title"], row["status"], row["tags"]) == ("New name", "to-read", ["other"])
    assert id in {hit["id"] for hit in found["search"]["otter"]}
    assert id not in {hit["id"] for hit in found["search"]["zebra"]}
    assert (
        next(shown for shown in found["show"] if shown["id"] == id)["body"].strip()
        == NEW.rpartition("---\n\n")[2].strip()
    )
    back = {links["id"]: [link["source"] for link in links["backlinks"]] for links in found["links"]}
    assert (row["path"] in back["two"], row["path"] in back["one"]) == (True, False)
    assert found["status"][0].get("reading") is None
    assert any(f"{row['path']}:8: link: " in line and "lost-2" in line for line in found["check"])
    assert not any("lost-1" in line for line in found["check"])


# Ways in which notes/papers/a.md gets its new text


def write(path: Path, text: str = NEW) -> None:
    with open(path, "r+") as file:  # the same file: an editor that writes in place
        file.write(text)


def in_place(root: Path) -> None:
    write(root / "notes/papers/a.md")


def in_place_with_its_old_times(root: Path) -> None:
    path = root / "notes/papers/a.md"
    was = path.stat()
    write(path)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def _at(seconds: float) -> Way:
    def touched(root: Path) -> None:
        in_place(root)
        os.utime(root / "notes/papers/a.md", (seconds, seconds))

    return touched


def atomically(root: Path) -> None:
    """As VS Code and kb itself save."""
    temp = root / "notes/papers/.a.md.swp"
    temp.write_text(NEW)
    os.replace(temp, root / "notes/papers/a.md")


def as_vim_saves(root: Path) -> None:
    """The old file becomes the backup, a new one is written in its place, the backup goes."""
    path, backup = root / "notes/papers/a.md", root / "notes/papers/a.md~"
    os.rename(path, backup)
    path.write_text(NEW)
    backup.unlink()


def as_rsync_puts_it(root: Path) -> None:
    """A temporary file with the times of the old one, renamed over it."""
    path, temp = root / "notes/papers/a.md", root / "notes/papers/.a.md.Xk3f9Q"
    was = path.stat()
    temp.write_text(NEW)
    os.utime(temp, ns=(was.st_atime_ns, was.st_mtime_ns))
    os.replace(temp, path)


def from_outside(root: Path) -> None:
    """Moved in: a file whose every time is older than the index."""
    os.replace(root.parent / "waiting.md", root / "notes/papers/a.md")


def exchanged(root: Path) -> None:
    a, spare, third = (root / "notes/papers" / name for name in ("a.md", "spare.md", "third"))
    os.rename(a, third)
    os.rename(spare, a)
    os.rename(third, spare)
    write(spare)  # so that only new text is left


def folder_renamed(root: Path) -> None:
    in_place(root)
    os.rename(root / "notes/papers", root / "notes/articles")


def folder_replaced(root: Path) -> None:
    """By another one, with notes of the same names, sizes and times."""
    papers, new = root / "notes/papers", root / "notes/.papers"
    shutil.copytree(papers, new)
    (new / "a.md").write_text(NEW)
    was = (papers / "a.md").stat()
    os.utime(new / "a.md", ns=(was.st_atime_ns, was.st_mtime_ns))
    os.rename(papers, root / ".gone")
    os.rename(new, papers)


def folders_exchanged(root: Path) -> None:
    in_place(root)
    papers, talks, third = root / "notes/papers", root / "notes/talks", root / "notes/third"
    os.rename(papers, third)
    os.rename(talks, papers)
    os.rename(third, talks)


def on_top_of_a_deleted_one(root: Path) -> None:
    path = root / "notes/papers/a.md"
    path.unlink()
    path.write_text(NEW)


def deleted_and_made_elsewhere(root: Path) -> None:
    (root / "notes/papers/a.md").unlink()
    (root / "notes/talks/deep/a.md").write_text(NEW)


def a_folder_and_back(root: Path) -> None:
    path = root / "notes/papers/a.md"
    path.unlink()
    path.mkdir()
    fresh(root)
    path.rmdir()
    path.write_text(NEW)


def by_its_other_name(root: Path) -> None:
    """A hard link: the note has a second name outside of the vault, and is edited there."""
    write(root.parent / "elsewhere/hard.md")


def where_the_link_leads(root: Path) -> None:
    write(root.parent / "elsewhere/soft.md")


def where_the_link_leads_atomically(root: Path) -> None:
    temp = root.parent / "elsewhere/soft.tmp"
    temp.write_text(NEW)
    was = (root.parent / "elsewhere/soft.md").stat()
    os.utime(temp, ns=(was.st_atime_ns, was.st_mtime_ns))
    os.replace(temp, root.parent / "elsewhere/soft.md")


def another_target(root: Path) -> None:
    """The link leads to a link, and that one is turned."""
    middle = root.parent / "elsewhere/middle.md"
    middle.unlink()
    middle.symlink_to("other.md")


def the_link_becomes_a_file(root: Path) -> None:
    path = root / "notes/papers/a.md"
    path.unlink()
    path.write_text(NEW)


def git(root: Path, *args: str) -> None:
    env = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(root), *args]
    subprocess.run(command, env=env, check=True, capture_output=True)


def git_checkout(root: Path) -> None:
    git(root, "checkout", "-q", "new")


def git_checkout_there_and_back(root: Path) -> None:
    """To the old text, which another command sees, and to the new text again, all at once."""
    git(root, "checkout", "-q", "new")
    git(root, "checkout", "-q", "old")
    fresh(root)
    git(root, "checkout", "-q", "new")


def git_stash(root: Path) -> None:
    in_place(root)
    git(root, "stash", "-q")
    fresh(root)
    git(root, "stash", "pop", "-q")


LINKED = (where_the_link_leads, where_the_link_leads_atomically, another_target, the_link_becomes_a_file)
WITH_GIT = (git_checkout, git_checkout_there_and_back, git_stash)
WAYS: dict[str, Way] = {
    way.__name__: way
    for way in (
        in_place,
        in_place_with_its_old_times,
        atomically,
        as_vim_saves,
        as_rsync_puts_it,
        from_outside,
        exchanged,
        folder_renamed,
        folder_replaced,
        folders_exchanged,
        on_top_of_a_deleted_one,
        deleted_and_made_elsewhere,
        a_folder_and_back,
        by_its_other_name,
        *LINKED,
        *WITH_GIT,
    )
}
WAYS |= {"dated_1970": _at(0), "dated_2038": _at(2.2e9), "dated_an_hour_ahead": _at(time.time() + 3700)}
CLOCKS = {"at_once": None, "later": 10.0, "set_back": -30 * 60.0, "set_back_by_a_day": -DAY, "a_day_ahead": DAY}


def prepare(root: Path, way: Way) -> Path:
    """The vault before the change, with what this way of changing it needs."""
    a, elsewhere = root / "notes/papers/a.md", root.parent / "elsewhere"
    elsewhere.mkdir()
    if way is from_outside:
        (root.parent / "waiting.md").write_text(NEW)
    if way is by_its_other_name:
        os.link(a, elsewhere / "hard.md")
    if way in LINKED:
        os.rename(a, elsewhere / "soft.md")
        (elsewhere / "other.md").write_text(NEW)
        (elsewhere / "middle.md").symlink_to("soft.md")
        a.symlink_to("../../../elsewhere/middle.md")
    if way in WITH_GIT:
        git(root, "init", "-q", "-b", "old")
        (root / ".gitignore").write_text(".kb/\n")
        git(root, "add", ".")
        git(root, "commit", "-qm", "old")
        git(root, "checkout", "-q", "-b", "new")
        a.write_text(NEW)
        os.rename(root / "notes/talks/deep", root / "notes/talks/deeper")
        git(root, "add", ".")
        git(root, "commit", "-qm", "new")
        git(root, "checkout", "-q", "old")
    return root


def next_tick(folder: Path) -> None:
    """Wait until the kernel gives a file that changes another time than one that changed before."""
    probe = folder / "probe"
    probe.write_text("x")
    was = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == was:
        os.chmod(probe, 0o600)
    probe.unlink()


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """kb's clock, which the index compares the times of files with."""
    clock = {**vars(time), "time_ns": lambda: time.time_ns() + int(seconds * 1e9)}
    monkeypatch.setattr(kb.index_file, "time", SimpleNamespace(**clock))


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("name", WAYS)
def test_the_next_command_sees_it(make_vault: Vault, monkeypatch: pytest.MonkeyPatch, name: str, clock: str) -> None:
    way, seconds = WAYS[name], CLOCKS[clock]
    root = prepare(make_vault({"papers/a.md": OLD, **OTHERS}), way)
    if seconds is not None:
        set_clock(monkeypatch, seconds)
    assert fresh(root)["list"][0]["title"] == "Old name"
    if seconds is not None:
        next_tick(root.parent)
    way(root)
    found = fresh(root)
    is_new(found)
    assert found == cold(root)


def test_a_clock_that_is_set_back_between_two_commands(make_vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was indexed in the future of the clock is looked at by its stamp, not by its age."""
    root = make_vault({"papers/a.md": OLD, **OTHERS})
    for seconds, text in ((DAY, NEW), (-DAY, OLD), (0, NEW)):
        set_clock(monkeypatch, seconds)
        fresh(root)
        next_tick(root.parent)
        write(root / "notes/papers/a.md", text)
        found = fresh(root)
        assert found["search"]["otter" if text == NEW else "zebra"][0]["id"] == "a"
        assert found == cold(root)


def come_and_go(root: Path) -> None:
    (root / "notes/papers/brief.md").write_text(NEW)
    fresh(root)
    (root / "notes/papers/brief.md").unlink()


def move_on(root: Path) -> None:
    write(root / "notes/papers/a.md", OLD)
    fresh(root)
    write(root / "notes/papers/a.md", NEW)


def go_and_come(root: Path) -> None:
    (root / "notes/papers/a.md").unlink()
    fresh(root)
    (root / "notes/papers/a.md").write_text(NEW)


@pytest.mark.parametrize("other", [come_and_go, move_on, go_and_come])
@pytest.mark.parametrize("seconds", [0, 10])
def test_another_command_indexes_what_is_no_more(
    make_vault: Vault, monkeypatch: pytest.MonkeyPatch, other: Way, seconds: float
) -> None:
    """After this command has looked for notes and before it writes what it found."""
    root = make_vault({"papers/a.md": OLD, **OTHERS})
    set_clock(monkeypatch, seconds)
    fresh(root)
    next_tick(root.parent)
    write(root / "notes/papers/a.md", NEW)
    writing, todo = kb.index_file._writing, [other]

    def later(db: Any) -> Any:
        if todo:
            todo.pop()(root)
            next_tick(root.parent)
        return writing(db)

    monkeypatch.setattr(kb.index_file, "_writing", later)
    fresh(root)
    assert not todo
    found = fresh(root)
    is_new(found)
    assert found == cold(root)


def test_notes_in_a_linked_folder(tmp_path: Path, make_vault: Vault) -> None:
    """notes/ is a link to a folder elsewhere, which a sync tool replaces as a whole."""
    root = make_vault({"papers/a.md": OLD, **OTHERS})
    os.rename(root / "notes", tmp_path / "obsidian")
    (root / "notes").symlink_to("../obsidian")
    fresh(root)
    shutil.copytree(tmp_path / "obsidian", tmp_path / "new")
    (tmp_path / "new/papers/a.md").write_text(NEW)
    os.rename(tmp_path / "obsidian", tmp_path / "gone")
    os.rename(tmp_path / "new", tmp_path / "obsidian")
    is_new(fresh(root))


def test_many_edits_of_one_size_each_seen(make_vault: Vault) -> None:
    """Without a pause: many fall into one tick of the clock, and none changes the size."""
    root = make_vault({"papers/a.md": OLD})
    for n in range(100, 140):
        write(root / "notes/papers/a.md", OLD.replace("zebra", f"zz{n}"))
        library = Library(root)
        assert [hit["id"] for hit in library.index.search(f"zz{n}", parse(""))] == ["a"]
        assert not library.index.search(f"zz{n - 1}", parse(""))
        library.index.close()


@pytest.mark.parametrize("way", [in_place_with_its_old_times, as_rsync_puts_it, git_checkout])
def test_on_the_command_line(make_vault: Vault, run_kb: Run, way: Way) -> None:
    """Processes of their own, as fast as a shell runs them."""
    root = prepare(make_vault({"papers/a.md": OLD, **OTHERS}), way)
    assert "Old name" in run_kb(root, "list").stdout
    way(root)
    listed = json.loads(run_kb(root, "list", "--json").stdout)
    assert next(row["title"] for row in listed if row["id"] == "a") == "New name"
    assert {hit["id"] for hit in json.loads(run_kb(root, "search", "otter", "--json").stdout)} == {"a", "spare"}
    assert "otter" in run_kb(root, "show", "a").stdout
    assert "papers/a.md" in run_kb(root, "links", "two").stdout
    assert json.loads(run_kb(root, "status", "--json").stdout)["counts"] == {"inbox": 3, "to-read": 2}
    assert "notes/papers/a.md:8: link: " in run_kb(root, "check").stdout


# The other way round


READING = (
    "list", "list --json status:to-read", "search zebra", "show a", "show a --json", "links a", "links --orphans",
    "links --broken", "status", "status --json", "status a", "status --since 2020-01-01", "next", "results", "tag",
    "tag a", "check", "check --all --json", "claims", "export", "export --format csv", "export --format bibliography",
    "undo --list", "rm --list", "open a --note", "import --dry-run LIST.md", "add --offline notes/none.txt",
)  # fmt: skip


def stats(root: Path) -> dict[str, tuple[Any, ...]]:
    """Every file and folder under notes/: what it holds and all that the kernel says of it but when it was read."""
    found = {}
    for path in [root / "notes", *sorted((root / "notes").rglob("*"))]:
        s = path.lstat()
        held = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[path.relative_to(root).as_posix()] = (
            held, s.st_ino, s.st_mode, s.st_nlink, s.st_uid, s.st_size, s.st_mtime_ns, s.st_ctime_ns,
        )  # fmt: skip
    return found


def test_no_verb_that_reads_touches_a_note(make_vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the files, torn, linked and wrong ones among them, nor the folders they lie in."""
    root = make_vault({"papers/a.md": OLD, **OTHERS, "papers/torn.md": "---\ntitle: [x\n", "papers/n.md": b"\xff\0"})
    (root / "notes/papers/soft.md").symlink_to("../one.md")
    os.link(root / "notes/two.md", root / "notes/papers/hard.md")
    os.chmod(root / "notes/one.md", 0o444)
    (root / "LIST.md").write_text("# Reading\n\n- [ ] [A paper](https://arxiv.org/abs/2006.11239)\n")
    monkeypatch.chdir(root)
    before = stats(root)
    assert len(before) == 13
    ended: dict[str, Result] = {}
    for line in (*READING, *READING[:3]):
        if line == "list" and ended:  # once more, with an index that is damaged
            for file in (root / ".kb").glob("index-*"):
                file.write_bytes(b"\0" * 4096)
        ended[line] = CliRunner().invoke(app, ["--root", str(root), *line.split()])
        assert stats(root) == before, line
    codes = {line: result.exit_code for line, result in ended.items() if result.exit_code}
    assert set(codes) == {"check", "check --all --json", "add --offline notes/none.txt"}
