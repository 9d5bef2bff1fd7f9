"""One change of every kind of step under faults: killed while it is made and again while it is taken back, beside an
editor that saves at any moment, on disks that lack a call, with a journal that is damaged."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import faults
import pytest
from fault_vaults import Made, beside_notes, build, copied, in_memory, texts, tree, unended
from faults import Fault, kb_main

import kb.disk
import kb.steps
from kb.disk import torn
from kb.files import Journal
from kb.problem import KbError
from kb.verbs.undoing import told

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")

A, B, T, U, LINK, HARD = (
    f"notes/{p}.md" for p in ("papers/a", "papers/b", "topics/t", "topics/u", "papers/link", "papers/hard")
)
NEW = "notes/deep/er/new.md"
WRITES: dict[str, bytes | None] = {
    A: b"new a", B: None, NEW: b"new", U: b"new t, moved", T: None, LINK: b"new behind the link",
    HARD: b"new under two names, and longer than it was by a few words more than there were" * 2,
}  # fmt: skip
MINE = b"---\ntitle: Mine\n---\nwhat a person wrote\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with in_memory(tmp_path) as found:
        yield found


def commit(root: Path) -> None:
    read = {path: (root / path).read_bytes() if (root / path).exists() else None for path in WRITES}
    Journal(root).commit("mixed", WRITES, read, {U: T})


def undo(root: Path) -> None:
    Journal(root).undo()


def recover(root: Path) -> list[str]:
    return [told(one) for one in Journal(root).recover()]


def run(root: Path, do: Callable[[Path], Any], fault: Fault | None = None) -> faults.Ended:
    return faults.play(root, partial(do, root), fault)


DOINGS: dict[str, Callable[[Path], None]] = {"commit": commit, "undo": undo}


@pytest.fixture(params=DOINGS)
def doing(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    return DOINGS[request.param]


def make(doing: Callable[[Path], None], folder: Path) -> Made:
    vault = build(folder / "vault")
    if doing is undo:
        commit(vault)
    done = copied(vault, folder / "done")
    ended = run(done, doing)
    assert ended.code == 0, ended.err
    return Made(vault, tree(vault), tree(done), ended.calls)


def test_a_change_and_its_undo_take_every_kind_of_step(folder: Path) -> None:
    root = build(folder / "vault")
    before = tree(root)
    commit(root)
    after = tree(root)
    assert {path: after[path][0] if path in after else None for path in WRITES} == WRITES
    assert after[LINK][1] == before[LINK][1] != "" and after["elsewhere/link.md"][0] == WRITES[LINK]
    assert after[HARD][2] == "elsewhere/hard.md" and after["elsewhere/hard.md"][0] == WRITES[HARD]
    assert after[A][3] == 0o640
    undo(root)
    assert tree(root) == before


def test_taking_back_may_itself_be_killed_anywhere(doing: Callable[[Path], None], folder: Path) -> None:
    made = make(doing, folder)
    first, last = made.at("replace", ".open"), made.at("replace", ".json") if doing is commit else len(made.calls)
    ends = set()
    for at in sorted({*range(first + 1, last, 4), made.at("replace", ".done") + 1}):
        killed = copied(made.vault, folder / f"{at}")
        assert run(killed, doing, Fault(at, "kill")).code == -9
        again = 0
        code = -9
        while code == -9:
            again += 1
            root = copied(killed, folder / f"{at}-{again}")
            code = run(root, recover, Fault(again, "kill")).code
            recover(root)
            now = tree(root)
            assert now in (made.before, made.after), (at, again)
            assert (unended(root), beside_notes(root)) == ([], []), (at, again)
            ends.add(now == made.after)
        assert code == 0 and again > 1
    assert ends == {True, False}


def no_exchange(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(kb.steps, "exchange", lambda one, other: False)
    patch.setattr(kb.disk, "rename_free", lambda one, other: False)


def no_links(patch: pytest.MonkeyPatch) -> None:
    def refused(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    patch.setattr(os, "link", refused)
    patch.setattr(kb.disk, "rename_free", lambda one, other: False)


@pytest.mark.parametrize("lacking", [no_exchange, no_links])
def test_a_disk_that_cannot_exchange_or_link_is_as_safe_from_kills(
    lacking: Callable[[pytest.MonkeyPatch], None],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = make(commit, folder)
    with monkeypatch.context() as patch:
        whole = copied(made.vault, folder / "whole")
        vaults = [copied(made.vault, folder / str(at)) for at in range(len(made.calls) + 9)]
        lacking(patch)
        calls = len(run(whole, commit).calls)
        assert tree(whole) == made.after
        for at, root in enumerate(vaults[:calls], 1):
            assert run(root, commit, Fault(at, "kill")).code == -9
            tears = 0
            while run(root, recover, Fault(tears := tears + 1, "tear")).code == -9:
                pass  # a call further each time: the one before was not made
            recover(root)
            assert tree(root) in (made.before, made.after), at
            assert beside_notes(root) == [], at
    assert calls <= len(vaults)


def test_a_write_that_is_done_in_two_is_done(doing: Callable[[Path], None], folder: Path) -> None:
    made = make(doing, folder)
    writes = [at for at, (name, _) in enumerate(made.calls, 1) if name == "write"]
    assert len(writes) > 4
    for at in writes:
        root = copied(made.vault, folder / str(at))
        assert run(root, doing, Fault(at, "short")).code == 0
        assert tree(root) == made.after, at


# Beside a person who edits


def saves(path: Path) -> None:
    """As most editors do: a new file takes the place of the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name("editor.swp")
    beside.write_bytes(MINE)
    os.replace(beside, path)


def writes(path: Path) -> None:
    """As others do: the file is emptied and written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(MINE)


def kept(root: Path) -> bool:
    """Whether a person's text is somewhere: in a file, or where undo finds it."""
    return MINE in texts(tree(root)) or any(MINE in change.old.values() for change in Journal(root).changes())


@pytest.mark.parametrize(
    ("path", "save"),
    [(A, saves), (A, writes), (B, saves), (T, saves), (U, saves), (LINK, saves), (LINK, writes), (NEW, saves)],
)
def test_what_a_person_saves_at_any_call_is_never_lost(
    path: str,
    save: Callable[[Path], None],
    doing: Callable[[Path], None],
    folder: Path,
) -> None:
    made = make(doing, folder)
    refused = 0
    for at in range(1, len(made.calls) + 1):
        root = copied(made.vault, folder / str(at))
        ended = run(root, doing, Fault(at, "edit", edit=partial(save, root / path)))
        assert kept(root), (at, made.calls[at - 1], ended.err)
        assert ended.code in (0, 70) and (ended.code == 0 or ended.err.startswith(("KbError", "Stale"))), ended.err
        assert unended(root) == [] and beside_notes(root) == [], at
        refused += "changed while kb was at work" in ended.err
    assert refused > 3


@pytest.mark.parametrize("path", [A, B, NEW])
def test_without_exchange_only_the_moment_before_the_rename_is_left(
    path: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(commit, folder)
    vaults = [copied(made.vault, folder / str(at)) for at in range(60)]
    no_exchange(monkeypatch)
    calls = run(vaults[0], commit).calls
    lost = []
    for at, root in enumerate(vaults[1 : len(calls) + 1], 1):
        ended = run(root, commit, Fault(at, "edit", edit=partial(saves, root / path)))
        assert ended.code in (0, 70)
        if not kept(root):
            lost.append(calls[at - 1])
    assert lost == ([("exchange", A), ("replace", A)] if path == A else [])  # the first does nothing here


@pytest.mark.parametrize("path", [A, B, T, NEW, LINK])
def test_what_a_person_saves_while_a_change_is_taken_back_is_never_lost(path: str, folder: Path) -> None:
    made = make(commit, folder)
    killed = copied(made.vault, folder / "killed")
    assert run(killed, commit, Fault(made.at("replace", ".done"), "kill")).code == -9
    calls = run(copied(killed, folder / "whole"), lambda root: recover(folder / "whole")).calls
    for at in range(1, len(calls) + 1):
        root = copied(killed, folder / str(at))
        run(root, recover, Fault(at, "edit", edit=partial(saves, root / path)))
        assert kept(root), (at, calls[at - 1])
        assert unended(root) == [] and beside_notes(root) == [], at


@pytest.mark.parametrize("save", [saves, writes])
def test_a_note_of_two_names_is_overwritten_only_by_a_write_at_the_same_moment(
    save: Callable[[Path], None], doing: Callable[[Path], None], folder: Path
) -> None:
    """What kb/steps.py says that remains: between the comparison and the write."""
    made = make(doing, folder)
    lost = []
    for at, call in enumerate(made.calls, 1):
        root = copied(made.vault, folder / str(at))
        run(root, doing, Fault(at, "edit", edit=partial(save, root / HARD)))
        if not kept(root):
            lost.append(call)
    assert set(lost) <= {("write", HARD), ("ftruncate", HARD)}
    assert save is writes or lost == []


@pytest.mark.parametrize("path", [A, B, T])
def test_what_a_person_saves_is_not_lost_when_kb_is_killed_next(path: str, folder: Path) -> None:
    made = make(commit, folder)
    for at in range(made.at("replace", ".open"), made.at("replace", ".done")):
        for then in (1, 3):
            root = copied(made.vault, folder / f"{at}-{then}")
            fault = Fault(at, "edit", edit=partial(saves, root / path), then=then)
            run(root, commit, fault)
            recover(root)
            assert kept(root), (at, then, made.calls[at - 1])
            assert beside_notes(root) == [], (at, then)


@pytest.mark.parametrize("path", [A, B, T, U, LINK, NEW, HARD])
def test_what_a_person_wrote_after_a_kill_stays(path: str, folder: Path) -> None:
    made = make(commit, folder)
    for at in range(made.at("replace", ".open") + 1, made.at("replace", ".done") + 1):
        root = copied(made.vault, folder / str(at))
        assert run(root, commit, Fault(at, "kill")).code == -9
        writes(root / path)
        said = recover(root)
        assert kept(root), (at, said)
        others = {p: found for p, found in tree(root).items() if found[0] != MINE and p not in (T, U)}
        assert others == {p: made.before[p] for p in others}, at
        assert said[0].startswith("`kb mixed` was cut off; what it had begun was taken back"), said


# A file with several names is written in place


@pytest.mark.parametrize(("old", "new"), [(b"abcdef", b"xbczzz and more"), (b"a longer text", b"short"), (b"", b"new")])
def test_a_write_in_place_that_was_cut_off_is_known_for_one(old: bytes, new: bytes) -> None:
    for before, after in ((old, new), (new, old)):
        forth = [after[:n] + before[n:] for n in range(len(after) + 1)] + [after]
        assert all(torn(half, old, new) for half in forth)
        back = [before[:n] + half[n:] for half in forth for n in range(len(before) + 1)]
        assert all(torn(half, old, new) for half in back)
    assert not torn(old + b"what a person appends to either of them", old, new)
    assert not torn(b"another text", b"abcdef", b"xbczzz and more")
    assert not torn(b"abc", b"abcdef", b"abcdef and more")  # cut shorter than both: by a person


@pytest.mark.parametrize("done", range(0, 90, 7))
def test_a_note_of_two_names_that_was_half_written_is_made_whole(done: int, folder: Path) -> None:
    made = make(commit, folder)
    root = copied(made.vault, folder / "half")
    assert run(root, commit, Fault(made.at("ftruncate", "hard.md"), "kill")).code == -9
    old, new = made.before[HARD][0], WRITES[HARD] or b""
    (root / HARD).write_bytes(new[:done] + old[done:])
    assert tree(root)["elsewhere/hard.md"][0] == new[:done] + old[done:]
    recover(root)
    assert tree(root) == made.before


def test_two_notes_that_are_one_file_change_as_one(folder: Path) -> None:
    root = build(folder / "vault")
    os.link(root / HARD, root / "notes/papers/twin.md")
    before = tree(root)
    old = (root / HARD).read_bytes()
    both = {HARD: b"new", "notes/papers/twin.md": b"new"}
    Journal(root).commit("tag", both, dict.fromkeys(both, old))
    assert {tree(root)[path] for path in both} == {(b"new", "", "elsewhere/hard.md", 0o644)}
    Journal(root).undo()
    assert tree(root) == before
    with pytest.raises(KbError) as error:
        Journal(root).commit("tag", both | {HARD: b"other"}, {})
    assert str(error.value) == f"{HARD} and notes/papers/twin.md are one file; make two of them first"
    assert tree(root) == before


# In which order


def test_what_is_promised_is_on_the_disk_before_what_relies_on_it(folder: Path) -> None:
    made = make(commit, folder)
    calls = made.calls

    def at(name: str, path: str) -> int:
        return next(n for n, call in enumerate(calls) if call[0] == name and call[1].endswith(path))

    entry = [name for name, path in calls[: at("fsync", ".kb/journal") + 1] if "/.kb-" in path or ".open" in path]
    assert entry == ["open", "write", "fsync", "replace"]
    assert at("replace", ".open") < at("fsync", ".kb/journal")
    placed = [n for n, (name, _) in enumerate(calls) if name in ("exchange", "rename_free", "rename", "ftruncate")]
    written = [n for n, (_, path) in enumerate(calls) if path.startswith(("notes", "elsewhere"))]
    assert at("fsync", ".kb/journal") < min(written)
    done = at("replace", ".done")
    assert max(placed) < done
    parts = [path for name, path in calls if name == "open" and path.endswith(".part")]
    assert len(parts) == 4  # a, new, link and the moved t
    for part in parts:
        own = [(n, name) for n, (name, path) in enumerate(calls) if path == part]
        assert [name for _, name in own if name != "chmod"] == ["open", "write", "fsync"]
        named = at("replace", part.replace(".part", ".tmp"))
        assert own[-1][0] < named < done
    for here in ("notes/papers", "notes/topics", "notes/deep/er", "elsewhere"):
        synced = [n for n, call in enumerate(calls) if call == ("fsync", here)]
        changed = [n for n in placed if os.path.dirname(calls[n][1]) == here]
        assert [n for n in synced if max(changed) < n < done], here
    place = at("ftruncate", "hard.md")
    assert [name for name, path in calls[place:done] if path.endswith("hard.md")] == ["ftruncate", "fsync"]
    assert calls[done + 1] == ("fsync", ".kb/journal")


# A journal that is damaged, or has more than one end


DAMAGE = [b"", b"{", b"garbage \xff\x00", b"[]", b"null", b'{"files": 7}', b"[" * 100_000,
          b'{"verb": "x", "when": "", "files": {"../../out.md": {"old": null, "new": null}}}',
          b'{"verb": "x", "when": "", "files": {"a.md": {"old": "%%%", "new": null}}}']  # fmt: skip


@pytest.mark.parametrize("data", [*DAMAGE, None])
def test_a_damaged_entry_is_told_and_stops_nothing_else(data: bytes | None, folder: Path) -> None:
    root = build(folder / "vault")
    commit(root)
    after = tree(root)
    entry = root / ".kb/journal/00000002.json"
    entry.write_bytes(data if data is not None else entry.read_bytes()[:300])
    for args in (["list"], ["status"], ["undo", "--list"], ["status", "--since", "1d"], ["show", "hard"]):
        ended = faults.play(root, kb_main(root, *args))
        assert (ended.code, ended.err) == (0, ""), args
    ended = faults.play(root, undo_by_kb := kb_main(root, "undo"))
    assert ended.err == (
        "kb: .kb/journal/00000002.json is damaged, so the last change cannot be taken back; remove this file to take"
        " back the one before it\n"
    )
    assert (ended.code, tree(root)) == (1, after)
    Journal(root).commit("more", {"notes/more.md": b"x"}, {})
    assert Journal(root).undo()[0].verb == "more"
    entry.unlink()
    assert "took back `kb seed`" in faults.play(root, undo_by_kb).out


@pytest.mark.parametrize("suffix", [".open", ".done"])
@pytest.mark.parametrize("data", DAMAGE)
def test_an_unended_entry_that_is_damaged_is_set_aside_and_told(data: bytes, suffix: str, folder: Path) -> None:
    root = build(folder / "vault")
    before = tree(root)
    (root / f".kb/journal/00000002{suffix}").write_bytes(data)
    ended = faults.play(root, kb_main(root, "list"))
    told = "kb: a kb command was cut off, and what it wrote down is damaged (.kb/journal/00000002.damaged)"
    assert (ended.code, ended.err) == (0, f"{told}; look at what git says\n")
    assert (root / ".kb/journal/00000002.damaged").read_bytes() == data
    assert tree(root) == before
    assert faults.play(root, kb_main(root, "tag", "a", "+x")).code == 0
    assert sorted(p.name for p in (root / ".kb/journal").iterdir()) == [
        "00000001.json",
        "00000002.damaged",
        "00000003.json",
    ]


def test_two_changes_that_were_cut_off_are_both_taken_back(folder: Path) -> None:
    """kb itself begins none before the other is settled; a journal put together by a sync tool may hold two."""
    made = make(commit, folder)
    root = copied(made.vault, folder / "two")
    assert run(root, commit, Fault(made.at("replace", ".done"), "kill")).code == -9
    first = root / ".kb/journal/00000002.open"
    aside = first.rename(root / "aside")
    (root / "notes/papers/other.md").write_bytes(b"old")
    before = tree(root) | {path: found for path, found in made.before.items()}
    Journal(root).commit("more", {"notes/papers/other.md": b"new"}, {})
    (root / ".kb/journal/00000002.json").rename(root / ".kb/journal/00000003.open")
    aside.rename(first)
    assert [line.partition(" was")[0] for line in recover(root)] == ["`kb more`", "`kb mixed`"]
    assert tree(root) == {path: found for path, found in before.items() if path not in ("aside", NEW, U)}


def test_a_change_settles_what_was_cut_off_before_it(folder: Path) -> None:
    made = make(commit, folder)
    root = copied(made.vault, folder / "open")
    assert run(root, commit, Fault(made.at("replace", ".done"), "kill")).code == -9
    commit_again = run(root, lambda root: Journal(root).commit("more", {A: b"more"}, {A: made.before[A][0]}))
    assert (commit_again.code, commit_again.err, unended(root)) == (0, "", [])
    assert Journal(root).undo()[0].verb == "more"
    assert tree(root) == made.before


def test_an_interrupted_change_is_taken_back_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = build(folder / "vault")
    before = tree(root)

    def interrupted(self: kb.steps.Step) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(kb.steps.Replace, "verify", interrupted)
    with pytest.raises(KeyboardInterrupt):
        commit(root)
    assert (tree(root), unended(root), beside_notes(root)) == (before, [], [])


def test_kb_undo_after_a_kill_takes_back_that_change_and_no_other(folder: Path) -> None:
    made = make(commit, folder)
    root = copied(made.vault, folder / "open")
    assert run(root, commit, Fault(made.at("replace", ".done"), "kill")).code == -9
    ended = faults.play(root, kb_main(root, "undo"))
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "kb: `kb mixed` was cut off; what it had begun was taken back\n"
    assert tree(root) == made.before

    root = copied(made.vault, folder / "ended")
    assert run(root, commit, Fault(made.at("replace", ".done") + 1, "kill")).code == -9
    ended = faults.play(root, kb_main(root, "undo", "--json"))
    assert ended.err == "kb: `kb mixed` was cut off when all was done; `kb undo` takes it back\n"
    assert (json.loads(ended.out)["verb"], tree(root)) == ("mixed", made.before)

    undone = make(undo, folder / "undo")
    for name, when in (("replace", ".open"), ("replace", ".done")):
        root = copied(undone.vault, folder / f"undo{when}")
        assert run(root, undo, Fault(undone.at(name, when) + 1, "kill")).code == -9
        ended = faults.play(root, kb_main(root, "undo"))
        assert ended.code == 0 and "`kb undo` was cut off" in ended.err
        assert tree(root) == undone.after
