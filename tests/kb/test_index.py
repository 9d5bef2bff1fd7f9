"""The index is fresh at every opening, survives any damage, never touches a note, and finds what people type."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import kb.index
import kb.index_file
from kb.index import Index
from kb.index_file import current
from kb.library import Library
from kb.links import Link
from kb.names import link_key, name_key
from kb.note import parse_note
from kb.problem import KbError
from kb.query import parse
from kb.scan import is_racy

ALL = parse("")
Vault = Callable[..., Path]


def note(title: str, body: str = "", **meta: str) -> str:
    return f"---\ntitle: {title}\n" + "".join(f"{k}: {v}\n" for k, v in meta.items()) + f"---\n{body}"


def titles(root: Path, read: list[str] | None = None) -> dict[str, str]:
    """Every note by path as a fresh opening gives it; `read` takes the paths that were parsed for it."""

    def seen(paths: Iterable[str], total: int) -> Iterable[str]:
        found = list(paths)
        assert len(found) == total
        if read is not None:
            read.extend(found)
        return found

    index = Index(root, seen)
    found = {row["path"]: row["title"] for row in index.select(ALL, "id", pages=True)}
    index.close()
    return found


def settle(root: Path) -> None:
    """Index all notes as they are, in a moment when one that changes gets another stamp."""
    settle_time()
    Index(root).close()


def settle_time() -> None:
    time.sleep(0.06)


def index_file(root: Path) -> Path:
    return current(root / ".kb")


@pytest.fixture
def two(make_vault: Vault) -> Path:
    root = make_vault(
        {"papers/a.md": note("One"), "papers/b.md": note("Two"), "papers/.hidden.md": "x", "papers/c.txt": "x"}
    )
    assert titles(root) == {"notes/papers/a.md": "One", "notes/papers/b.md": "Two"}
    settle(root)
    return root


def test_what_did_not_change_is_not_read_again(two: Path) -> None:
    read: list[str] = []
    assert len(titles(two, read)) == 2
    assert read == []


def test_an_edit_is_seen_and_only_that_note_is_read(two: Path) -> None:
    (two / "notes/papers/a.md").write_text(note("One more"))
    read: list[str] = []
    assert titles(two, read)["notes/papers/a.md"] == "One more"
    assert read == ["notes/papers/a.md"]


def test_an_edit_of_the_same_size_with_its_time_put_back_is_seen(two: Path) -> None:
    file = two / "notes/papers/a.md"
    before = file.stat()
    file.write_text(note("Uno"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert titles(two)["notes/papers/a.md"] == "Uno"


@pytest.mark.parametrize("year", [1, 3_000_000_000])
def test_an_edit_under_a_wrong_clock_is_seen_twice(two: Path, year: int) -> None:
    file = two / "notes/papers/a.md"
    for title in ("Uno", "Ein"):
        file.write_text(note(title))
        os.utime(file, (year, year))
        assert titles(two)["notes/papers/a.md"] == title


def test_a_note_read_in_the_moment_it_was_written_is_read_again(
    make_vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_vault({"a.md": note("One")})
    touched = (root / "notes/a.md").stat().st_ctime_ns
    with monkeypatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: touched + 10**7)
        assert titles(root) == {"notes/a.md": "One"}
    db = sqlite3.connect(index_file(root))
    assert db.execute("SELECT stamps FROM folders").fetchall() == [("a.md/",)]
    db.close()
    read: list[str] = []
    titles(root, read)
    assert read == ["notes/a.md"]


@pytest.mark.parametrize(
    ("touched", "now", "racy"),
    [
        (1_000_000_001, 1_000_000_001, True),
        (1_000_000_001, 1_049_000_000, True),
        (1_000_000_001, 1_051_000_000, False),
        (1_000_000_001, 900_000_000, True),  # touched while the folders were gone through
        (9_000_000_000_001, 1_000_000_000, False),  # the clock was set back
        (1_000_000_000, 3_400_000_000, True),  # a disk that keeps whole seconds
        (1_000_000_000, 3_600_000_000, False),
    ],
)
def test_what_may_be_touched_again_without_a_trace(touched: int, now: int, racy: bool) -> None:
    assert is_racy(touched, now) is racy


def test_new_renamed_and_deleted_notes_are_seen(two: Path) -> None:
    notes = two / "notes"
    (notes / "talks").mkdir()
    (notes / "papers/a.md").rename(notes / "talks/c.md")
    (notes / "papers/b.md").unlink()
    (notes / "d.md").write_text(note("Four"))
    assert titles(two) == {"notes/d.md": "Four", "notes/talks/c.md": "One"}
    index = Index(two)
    for table in ("tags", "names", "sources", "links", "problems", "texts"):
        assert index.rows(f"SELECT count(*) FROM {table} WHERE n NOT IN (SELECT n FROM notes)") == [(0,)]
    index.db.execute("INSERT INTO fts(fts) VALUES('integrity-check')")


def test_files_exchanged_under_their_names_are_seen(two: Path) -> None:
    a, b, c = (two / "notes/papers" / name for name in ("a.md", "b.md", "c"))
    a.rename(c)
    b.rename(a)
    c.rename(b)
    assert titles(two) == {"notes/papers/a.md": "Two", "notes/papers/b.md": "One"}


def test_a_note_that_vanishes_between_looking_and_reading_is_gone(two: Path) -> None:
    (two / "notes/papers/a.md").write_text(note("Uno"))

    def gone(paths: Iterable[str], total: int) -> Iterable[str]:
        (two / "notes/papers/a.md").unlink()
        return paths

    assert [row["id"] for row in Index(two, gone).select(ALL, "id")] == ["b"]


def test_a_note_that_is_a_folder_or_a_dead_link_stops_nothing(two: Path) -> None:
    (two / "notes/dir.md").mkdir()
    (two / "notes/dead.md").symlink_to("nowhere")
    (two / "notes/live.md").symlink_to("papers/a.md")
    (two / "notes/loop").symlink_to(".")
    assert titles(two) == {"notes/live.md": "One", "notes/papers/a.md": "One", "notes/papers/b.md": "Two"}


def test_a_file_name_that_is_no_text_is_named_and_stops_nothing(two: Path) -> None:
    Path(os.fsdecode(os.fsencode(two) + b"/notes/papers/\xff.md")).write_text(note("x"))
    library = Library(two)
    told = r"notes/papers/\udcff.md:0: name: the name is no UTF-8, and kb passes the file over (rename it)"
    assert [str(problem) for problem in library.problems] == [told]
    assert len(library.notes) == 2


def test_no_notes_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(KbError) as error:
        Index(tmp_path)
    assert str(error.value) == f"{tmp_path}/notes: No such file or directory; `kb init` makes a vault"


def garbage(file: Path) -> None:
    file.write_bytes(b"garbage " * 1000)


def short(file: Path) -> None:
    os.truncate(file, 5000)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def header(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[100:4096] = os.urandom(1) * 3996
    file.write_bytes(data)


def pages(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:4096] + b"\x5a" * (len(data) - 4096))


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def no_table(file: Path) -> None:
    db = sqlite3.connect(file)
    db.execute("DROP TABLE notes")
    db.commit()
    db.close()


def other_version(file: Path) -> None:
    file.rename(file.with_name("index-00000000.0.sqlite"))
    file.with_name("index.sqlite").write_bytes(b"of old")


@pytest.mark.parametrize("damage", [garbage, short, empty, header, pages, folder, no_table, other_version])
def test_a_damaged_index_costs_nothing_but_time(two: Path, damage: Callable[[Path], None]) -> None:
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in (two / "notes").rglob("*.md")}
    file = index_file(two)
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    damage(file)
    for _ in range(2):
        library = Library(two)
        assert {path: n.title for path, n in library.notes.items()} == {
            "notes/papers/a.md": "One",
            "notes/papers/b.md": "Two",
        }
        assert [hit["id"] for hit in library.index.search("two", ALL)] == ["b"]
        library.index.close()
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in (two / "notes").rglob("*.md")} == before


def test_a_state_folder_that_cannot_be_made_costs_a_reading_in_memory(two: Path) -> None:
    shutil.rmtree(two / ".kb")
    (two / ".kb").write_text("in the way")
    assert titles(two) == {"notes/papers/a.md": "One", "notes/papers/b.md": "Two"}
    assert (two / ".kb").read_text() == "in the way"


def test_a_write_protected_vault_is_read(two: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    shutil.rmtree(two / ".kb")
    two.chmod(0o555)
    try:
        assert titles(two) == {"notes/papers/a.md": "One", "notes/papers/b.md": "Two"}
    finally:
        two.chmod(0o755)


def open_at_once(root: str, barrier: Any, out: Any) -> None:
    barrier.wait()
    try:
        index = Index(Path(root))
        out.put((len(index.select(ALL, "id")), len(index.search("common", ALL, 100))))
    except BaseException as error:  # noqa: BLE001
        out.put(repr(error))


@pytest.mark.parametrize("state", ["fresh", "garbage"])
def test_eight_processes_open_a_vault_at_once(make_vault: Vault, state: str) -> None:
    root = make_vault({f"papers/n{n}.md": note(f"Title {n}", "common words") for n in range(40)})
    if state == "garbage":
        (root / ".kb").mkdir()
        index_file(root).write_bytes(b"garbage " * 1000)
    context = multiprocessing.get_context("fork")
    barrier, out = context.Barrier(8), context.Queue()
    processes = [context.Process(target=open_at_once, args=(str(root), barrier, out)) for _ in range(8)]
    for process in processes:
        process.start()
    found = [out.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert found == [(40, 40)] * 8


def test_an_open_index_shows_one_moment_whatever_others_write(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index, asked = Index(two), []
    rows = index.rows

    def interrupted(sql: str, args: Any = ()) -> list[tuple[Any, ...]]:
        found = rows(sql, args)
        (two / "notes/papers/b.md").write_text(note(f"Two, edited {len(asked)} times"))
        Index(two).close()  # gives the note's rows another number
        asked.append(sql)
        return found

    monkeypatch.setattr(index, "rows", interrupted)
    assert [(hit["id"], hit["title"]) for hit in index.search("two", ALL)] == [("b", "Two")]
    assert len(asked) == 2
    assert {n.title for n in index.notes()} == {"One", "Two"}
    assert titles(two)["notes/papers/b.md"] == "Two, edited 3 times"


def test_notes_that_join_while_texts_are_taken_in_have_theirs(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index, later = Index(two), []
    take_in = kb.index.take_in_texts

    def beside(*args: Any) -> None:
        take_in(*args)
        if not later:
            later.append((two / "notes/papers/c.md").write_text(note("Three", "[[a]] at the last moment")))
            Index(two).close()

    monkeypatch.setattr(kb.index, "take_in_texts", beside)
    assert [hit["id"] for hit in index.search("moment", ALL)] == ["c"]
    assert [source for source, _ in index.links_to("notes/papers/a.md")] == ["notes/papers/c.md"]


def test_a_note_that_could_not_be_read_once_is_read_by_the_next_command(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, asked = kb.index_file.read_regular, []

    def failing(path: str, most: int) -> bytes:
        if path.endswith("a.md"):
            asked.append(path)
            if len(asked) in (1, 3):  # its front matter at the first opening, its text at the second
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(path, most)

    (two / "notes/papers/a.md").write_text(note("Uno", "new words"))
    settle_time()
    monkeypatch.setattr(kb.index_file, "read_regular", failing)
    assert titles(two)["notes/papers/a.md"] == "a"
    assert [hit["id"] for hit in Index(two).search("words", ALL)] == []
    assert [hit["id"] for hit in Index(two).search("words", ALL)] == ["a"]
    assert titles(two)["notes/papers/a.md"] == "Uno" and len(asked) == 5


def test_one_long_note_with_many_links_is_held_once(make_vault: Vault) -> None:
    root = make_vault({"a.md": note("A"), "b.md": note("B", "x" * 500_000 + "\n[[a]]" * 2000)})
    index = Index(root)
    found = index.links_to("notes/a.md")
    assert len(found) == 2000 and len({id(link.text) for _, link in found}) == 1


def test_texts_are_taken_in_when_they_are_first_asked_for(two: Path) -> None:
    def waiting() -> int:
        db = sqlite3.connect(index_file(two))
        (count,) = db.execute("SELECT count(*) FROM pending").fetchone()
        db.close()
        return int(count)

    assert waiting() == 2
    (two / "notes/papers/a.md").write_text(note("One", "old words"))
    assert [hit["id"] for hit in Index(two).search("words", ALL)] == ["a"]
    assert waiting() == 0
    (two / "notes/papers/a.md").write_text(note("One", "new words"))
    assert titles(two)["notes/papers/a.md"] == "One"
    assert waiting() == 1
    for text, found in (("old", []), ("new", ["a"]), ("two", ["b"])):
        assert [hit["id"] for hit in Index(two).search(text, ALL)] == found
    Index(two).db.execute("INSERT INTO fts(fts) VALUES('integrity-check')")


def test_a_text_that_vanished_before_it_was_taken_in_is_empty(two: Path) -> None:
    index = Index(two)
    (two / "notes/papers/a.md").unlink()
    assert {n.id: n.body for n in index.notes()} == {"a": "", "b": ""}
    assert [hit["id"] for hit in Index(two).search("one", ALL)] == []


def test_a_note_too_large_to_read_is_named(two: Path) -> None:
    with (two / "notes/papers/a.md").open("ab") as file:
        file.truncate(8 * 1024 * 1024 + 1)
    (problem,) = Index(two).problems()
    told = "notes/papers/a.md:0: unreadable: cannot be read: it is larger than 8 MB (look what it is)"
    assert str(problem) == told
    assert [hit["id"] for hit in Index(two).search("two", ALL)] == ["b"]


def test_damage_met_while_reading_costs_another_opening(two: Path) -> None:
    index, other = Index(two), Index(two)
    file = index_file(two)
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    file.write_bytes(b"garbage " * 1000)
    index.db.execute("PRAGMA cache_size=0")
    assert titles(two) == {"notes/papers/a.md": "One", "notes/papers/b.md": "Two"}
    assert index_file(two) != file
    for _ in range(2):
        assert [row["id"] for row in index.select(ALL, "id")] == ["a", "b"]
    other.close()  # of the generation that was given up: it must take nothing from the new one
    assert titles(two) == {"notes/papers/a.md": "One", "notes/papers/b.md": "Two"}
    names = sorted(path.name for path in (two / ".kb").glob("index*"))
    assert names == [index_file(two).name] and names[0].endswith(".1.sqlite")


def test_the_index_of_other_code_is_left_to_it_for_a_day(two: Path) -> None:
    others = [two / ".kb" / name for name in ("index-00000000.3.sqlite", "index-00000001.0.sqlite", "index.sqlite")]
    for file in others:
        file.write_bytes(b"")
    os.utime(others[0], (time.time() - 90_000,) * 2)
    os.utime(others[2], (time.time() - 90_000,) * 2)
    titles(two)
    assert [file.exists() for file in others] == [False, True, False]


# Full text

TEXTS = {
    "title.md": note("Rank of the update", "nothing here"),
    "body.md": note("Other", "the rank is low. The rank of an update, update of a rank."),
    "cpp.md": note("Kernels in C++", "and CUDA"),
    "c.md": note("C and its history", "a letter"),
    "id.md": note("Fusion", "arXiv 2409.08148 says so; 2409 is a number, 08148 too."),
    "uni.md": note("Café Straße Λόγος", "naïve ﬁnal ёлка m²"),
    "tags.md": note("Tagged", "", tags="[zebra]", authors="[Zoë Quill]", aliases="[Nick]"),
    "guide/page.md": note("Guide page", "guidance"),
}


def hits(root: Path, text: str, query: str = "") -> list[str]:
    return [hit["id"] for hit in Index(root).search(text, parse(query))]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("rank update", ["title", "body"]),
        ('"rank of the update"', ["title"]),
        ('"update of a rank"', ["body"]),
        ("ranks updates", ["title", "body"]),
        ("upd", []),
        ("rank zzz", ["title", "body"]),
        ("C++", ["cpp"]),
        ("c", ["c", "cpp"]),
        ("2409.08148", ["id"]),
        ("08148.2409", []),
        ("cafe strasse", ["uni"]),
        ("CAFÉ", ["uni"]),
        ("straße", ["uni"]),
        ("strasse", ["uni"]),
        ("ΛΌΓΟΣ", ["uni"]),
        ("naive", ["uni"]),
        ("λογος", ["uni"]),
        ("λόγου", []),
        ("ёлка", ["uni"]),
        ("елка", ["uni"]),
        ("m2", ["uni"]),
        ("final", ["uni"]),
        ("zebra", ["tags"]),
        ("quill", ["tags"]),
        ("nick", ["tags"]),
        ("AND", ["c", "cpp"]),
        ("guidance", ["page"]),
        ("", []),
        ('" . + - : * ( )', []),
    ],
)
def test_what_is_found(make_vault: Vault, text: str, ids: list[str]) -> None:
    assert hits(make_vault(TEXTS), text) == ids


def test_a_hit_has_its_score_and_place(make_vault: Vault) -> None:
    index = Index(make_vault(TEXTS))
    first, second = index.search("rank", ALL)
    assert (first["id"], first["title"], second["id"]) == ("title", "Rank of the update", "body")
    assert first["score"] > second["score"] > 0
    assert second["snippets"] == ["the rank is low. The rank of an update, update of a rank."]
    assert [hit["id"] for hit in index.search("rank", ALL, 1)] == ["title"]
    assert index.search("rank", parse("id:body")) == index.search("rank", parse("-id:title"))
    assert index.search("rank", ALL) == index.search("rank", ALL)
    assert [hit["id"] for hit in index.search("c", ALL, 1)] == ["c"]
    assert [hit["id"] for hit in index.search("C++", ALL, 1)] == ["cpp"]  # the limit counts what is shown


def test_hits_that_lack_a_word_say_so(make_vault: Vault) -> None:
    index = Index(make_vault(TEXTS))
    assert [(hit["id"], hit.get("partial")) for hit in index.search("rank zzz", ALL)] == [
        ("title", True),
        ("body", True),
    ]
    assert all("partial" not in hit for hit in index.search("rank update", ALL))
    assert index.search("zzz the", ALL) == []


def test_a_note_without_text_has_no_snippet(make_vault: Vault) -> None:
    (hit,) = Index(make_vault({"a.md": note("Empty handed")})).search("handed", ALL)
    assert hit["snippets"] == []


def test_what_was_folded_is_found_in_its_own_spelling_and_leaves_no_trace(make_vault: Vault) -> None:
    root = make_vault({"a.md": note("Λόγος", "ἐν ἀρχῇ ἦν ὁ λόγος")})
    (hit,) = Index(root).search("ΑΡΧΗ", ALL)
    assert hit["snippets"] == ["ἐν ἀρχῇ ἦν ὁ λόγος"]
    (root / "notes/a.md").write_text(note("Else", "nothing"))
    assert hits(root, "λογος") == []
    Index(root).db.execute("INSERT INTO fts(fts) VALUES('integrity-check')")


def test_a_closed_index_is_not_taken_for_a_damaged_one(two: Path) -> None:
    index = Index(two)
    index.close()
    before = index_file(two).stat().st_ino
    with pytest.raises(sqlite3.ProgrammingError):
        index.rows("SELECT 1")
    assert not index.rebuilt and index_file(two).stat().st_ino == before


def test_equal_hits_come_in_the_order_of_ids(make_vault: Vault) -> None:
    assert hits(make_vault({f"{name}.md": note("Same", "word") for name in "cab"}), "word") == ["a", "b", "c"]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Index:
    root = tmp_path_factory.mktemp("searched")
    (root / "notes/guide").mkdir(parents=True)
    for path, text in TEXTS.items():
        (root / "notes" / path).write_text(text)
    return Index(root)


@given(
    st.text(max_size=20)
    | st.lists(
        st.sampled_from([*".+'-\":*()^{}\\~[]", "AND", "OR", "NOT", "NEAR(", "rank", "title:", "\0", "\udcff", " "])
    ).map(" ".join)
)
@example("rank\0x")
@example("\udcff rank")
@example('"')
def test_nothing_that_people_type_is_an_error(searched: Index, text: str) -> None:
    found = searched.search(text, ALL)
    assert {hit["id"] for hit in found} <= {"title", "body", "cpp", "c", "id", "uni", "tags", "page"}
    assert searched.resolve(text) is None or name_key(text) in {name for name, _, _ in searched.names()}


def test_a_nul_in_a_note_is_kept_out_of_the_index(make_vault: Vault) -> None:
    index = Index(make_vault({"a.md": note("x", "before\0after [[b\0c]]")}))
    assert [n.body for n in index.notes()] == ["before\ufffdafter [[b\ufffdc]]"]
    assert [hit["id"] for hit in index.search("after", ALL)] == ["a"]


# Names and links


def test_a_name_means_a_path_before_an_id_before_an_alias_before_a_title(make_vault: Vault) -> None:
    root = make_vault(
        {
            "p.md": note("One"),
            "a/x.md": note("p"),
            "b/y.md": note("Z", aliases="[x, talks/t, 'One']"),
            "c/z.md": note("y"),
            "talks/t.md": note("T"),
        }
    )
    index, library = Index(root), Library(root)
    meant = {
        "p": "p.md",
        "x": "a/x.md",
        "X.md": "a/x.md",
        "one": "b/y.md",
        "y": "b/y.md",
        "z": "c/z.md",
        "talks/t": "talks/t.md",
        "a/x.md": "a/x.md",
        " T ": "talks/t.md",
    }
    assert {name: index.resolve(name) for name in meant} == {name: f"notes/{path}" for name, path in meant.items()}
    for name, path in meant.items():
        found = library.resolve(name)
        assert found and found.path == f"notes/{path}"
    assert (index.resolve("nothing"), library.resolve("nothing")) == (None, None)


def test_relative_links_are_paths_and_wikilinks_are_names() -> None:
    assert link_key(Link("../talks/a%20b.md", 1, wiki=False), "notes/papers/x.md") == "talks/a b"
    assert link_key(Link("b.md", 1, wiki=False), "notes/x.md") == "b"
    assert link_key(Link("../../out.md", 1, wiki=False), "notes/papers/x.md") == "../out"
    assert link_key(Link("Café.MD", 1), "notes/x.md") == name_key("CAFÉ")


def test_links_lead_to_the_note_they_mean_and_to_no_other(make_vault: Vault) -> None:
    root = make_vault(
        {
            "papers/x.md": note("Other", "[[x]] self, [[y]]"),
            "papers/y.md": note("x", "To [[x]].\n\nTo [it](x.md#part).\n[[Other]] twice [[X.md|again]]"),
            "talks/z.md": note("Z", "[[none]] [gone](../papers/x.md) [out](x.md) [[#own]]"),
        }
    )
    index, library = Index(root), Library(root)
    found = [(source, link.line, link.target) for source, link in index.links_to("notes/papers/x.md")]
    assert found == [
        ("notes/papers/y.md", 4, "x"),
        ("notes/papers/y.md", 6, "x.md"),
        ("notes/papers/y.md", 7, "Other"),
        ("notes/papers/y.md", 7, "X.md"),
        ("notes/talks/z.md", 4, "../papers/x.md"),
    ]
    assert [(n.path, k.line, k.target) for n, k in library.backlinks["notes/papers/x.md"]] == found
    assert [source for source, _ in index.links_to("notes/papers/y.md")] == ["notes/papers/x.md"]
    assert index.links_to("notes/talks/z.md") == []


NAMES = st.sampled_from(["a", "b", "c d", "é"])
BODIES = st.lists(
    st.sampled_from(["[[a]]", "[[b|x]] ", "\n", "[b](b.md)", "[[é#h]]", "`[[a]]`", "text. ", "![[a]]", "- "])
).map("".join)


@settings(max_examples=40)
@given(
    st.dictionaries(
        st.sampled_from(["a.md", "papers/b.md", "papers/c.md", "guide/d.md"]),
        st.tuples(st.lists(NAMES, max_size=2), BODIES),
        max_size=4,
    ),
    st.data(),
)
def test_the_library_is_what_the_files_say(notes: dict[str, tuple[list[str], str]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "notes/papers").mkdir(parents=True)
        (root / "notes/guide").mkdir()
        for _ in range(2):  # as first read, and after a change
            for path, (aliases, body) in notes.items():
                (root / "notes" / path).write_text(note("T", body, aliases=f"[{', '.join(aliases)}]", mine="{a: [b]}"))
            library = Library(root)
            direct = {f"notes/{p}": parse_note((root / "notes" / p).read_bytes(), f"notes/{p}") for p in sorted(notes)}
            assert library.notes == {path: n for path, (n, _) in sorted(direct.items())}
            assert library.problems == sorted(p for _, problems in direct.values() for p in problems)
            for path in library.notes:
                links = library.index.links_to(path)
                assert links == [(n.path, k) for n, k in library.backlinks.get(path, [])]
            library.index.close()
            if notes:
                gone = data.draw(st.sampled_from(sorted(notes)))
                (root / "notes" / gone).unlink()
                del notes[gone]
