"""The file of the index: its tables, how it is opened, and how it is brought up to date with the notes.

What most commands do without, the texts, is taken in when it is first asked for.

A damaged file is given up for the next generation of it, under another name: a file that another command may have open
is never written anew, and SQLite's own companions (-wal, -shm) are never mixed up.
"""

from __future__ import annotations

import errno
import gc
import os
import re
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb.files import read_regular
from kb.names import fold
from kb.problem import Problem
from kb.scan import Stamps, differing, scan, scan_again, unstamped

if TYPE_CHECKING:
    from kb.note import Note

    _Parsed = tuple[Note, list[Problem]]
    _Rows = tuple[str, list[tuple[Any, ...]]]

Progress = Callable[[Iterable[str], int], Iterable[str]]

_TABLES = """
CREATE TABLE folders(path TEXT PRIMARY KEY, stamps TEXT) WITHOUT ROWID;
CREATE TABLE notes(n INTEGER PRIMARY KEY, path TEXT, id TEXT, title TEXT, kind TEXT, status TEXT, year INTEGER,
  added TEXT, started TEXT, finished TEXT, published TEXT, rating INTEGER, private INTEGER, authors TEXT, place TEXT,
  hay TEXT, author_hay TEXT, meta TEXT, body_line INTEGER);
CREATE TABLE tags(n INTEGER, tag TEXT);
CREATE TABLE names(name TEXT, rank INTEGER, n INTEGER);
CREATE TABLE sources(token TEXT, n INTEGER);
CREATE TABLE works(name TEXT, n INTEGER);
CREATE TABLE fields(key TEXT, value TEXT, n INTEGER);
CREATE TABLE links(n INTEGER, key TEXT, target TEXT, line INTEGER, heading TEXT, label TEXT, embed INTEGER,
  wiki INTEGER, start INTEGER, stop INTEGER);
CREATE TABLE problems(n INTEGER, line INTEGER, "check" TEXT, message TEXT, hint TEXT, level TEXT, fixable INTEGER);
CREATE TABLE pending(n INTEGER PRIMARY KEY, path TEXT, title TEXT, names TEXT, tags TEXT);
CREATE TABLE texts(n INTEGER PRIMARY KEY, title TEXT, names TEXT, tags TEXT, body TEXT);
CREATE VIRTUAL TABLE fts USING fts5(title, names, tags, body, content='texts', content_rowid='n',
  tokenize='porter unicode61 remove_diacritics 2');
INSERT INTO fts(fts, rank) VALUES('hashsize', 16777216);
INSERT INTO fts(fts, rank) VALUES('automerge', 16);
"""
_INDEXES = """
CREATE UNIQUE INDEX IF NOT EXISTS notes_path ON notes(path);
CREATE INDEX IF NOT EXISTS notes_id ON notes(id);
CREATE INDEX IF NOT EXISTS notes_listed ON notes(added DESC, id, status, kind, year, authors, title);
CREATE INDEX IF NOT EXISTS notes_status ON notes(status, kind);
CREATE INDEX IF NOT EXISTS tags_n ON tags(n);
CREATE INDEX IF NOT EXISTS names_name ON names(name, rank, n);
CREATE INDEX IF NOT EXISTS names_n ON names(n);
CREATE INDEX IF NOT EXISTS sources_token ON sources(token);
CREATE INDEX IF NOT EXISTS sources_n ON sources(n);
CREATE INDEX IF NOT EXISTS works_name ON works(name);
CREATE INDEX IF NOT EXISTS works_n ON works(n);
CREATE INDEX IF NOT EXISTS fields_key ON fields(key, value);
CREATE INDEX IF NOT EXISTS fields_n ON fields(n);
CREATE INDEX IF NOT EXISTS links_n ON links(n);
CREATE INDEX IF NOT EXISTS links_key ON links(key, n);
CREATE INDEX IF NOT EXISTS problems_n ON problems(n);
"""
_PATIENCE = 60.0  # seconds to wait for another command, which may be reading a large vault for the first time
_POLL = 0.005  # seconds between two attempts
_CHUNK = 500  # notes that are held in memory at once
_NAME = re.compile(r"index-([0-9a-f]{8})\.(\d{1,9})\.sqlite")
_CODE = (
    "index_file.py", "index_rows.py", "note.py", "frontmatter.py", "spelling.py", "contradictions.py", "published.py",
    "simple_yaml.py", "traps.py", "links.py", "ids.py", "id_rules.py", "duplicates.py", "titles.py", "people.py",
    "names.py", "vocabulary.py", "order.py", "scan.py", "scalars.py", "yaml_text.py",
)  # fmt: skip
_DAY = 86400
_LASTING = (errno.EINVAL, errno.EFBIG, errno.ELOOP, errno.EISDIR)  # what a file is, not what became of one reading


def version() -> str:
    """Changes with the tables and with the code that reads notes."""
    here = os.path.dirname(__file__)
    stats = [os.stat(f"{here}/{name}") for name in _CODE]
    return f"{zlib.crc32(repr([(s.st_size, s.st_mtime_ns) for s in stats]).encode()):08x}"


def current(folder: Path) -> Path:
    """The newest generation of this code's index, there or not; what is left of others is removed."""
    mine, newest = version(), 0
    others = []
    for name in os.listdir(folder):
        if m := _NAME.fullmatch(name):
            if m[1] == mine:
                newest = max(newest, int(m[2]))
            others.append(name)
        elif name == "index.sqlite":  # as it was called once
            others.append(name)
    file = folder / f"index-{mine}.{newest}.sqlite"
    if file.is_symlink():  # what it leads to is no index of ours
        file.unlink()
    for name in others:
        if name != file.name:
            _forget(folder / name, name.startswith(f"index-{mine}"))
    return file


def following(file: Path) -> Path:
    """The next generation of an index."""
    m = _NAME.fullmatch(file.name)
    assert m, file
    return file.with_name(f"index-{m[1]}.{int(m[2]) + 1}.sqlite")


def _forget(file: Path, mine: bool) -> None:
    """Remove an older generation, or the index of other code once it has not been used for a day: two versions of kb
    may be at work on one vault. Who has it open keeps what he has."""
    try:
        if mine or file.stat().st_mtime < time.time() - _DAY:
            for suffix in ("", "-wal", "-shm"):
                file.with_name(file.name + suffix).unlink(missing_ok=True)
    except OSError:  # a folder of that name, or no permission: it only takes up room
        return


def connect(file: Path | None) -> sqlite3.Connection:
    """Open an index, with its tables; None is one in memory."""
    db = sqlite3.connect(file or ":memory:", timeout=_PATIENCE, isolation_level=None)
    db.create_function("fold", 1, lambda value: fold(str(value or "")), deterministic=True)
    db.execute("PRAGMA page_size=16384")  # of a new file: rows are long, and half as many pages are half the work
    _wait_for(db, "PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("PRAGMA trusted_schema=OFF")  # the file may have come with somebody's repository
    db.execute("PRAGMA cache_size=-32000")
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'fts'").fetchone():
        with _writing(db):
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'fts'").fetchone():
                _run(db, _TABLES)
    return db


def _wait_for(db: sqlite3.Connection, sql: str) -> None:
    """Run what needs the index for itself. SQLite's own waiting sleeps for a tenth of a second at a time, in which
    others come first, and does not wait at all for a change of journal mode."""
    until = time.monotonic() + _PATIENCE
    db.execute("PRAGMA busy_timeout=0")
    while True:
        try:
            db.execute(sql)
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(_POLL)
    db.execute(f"PRAGMA busy_timeout={_PATIENCE * 1000:.0f}")


@contextmanager
def _writing(db: sqlite3.Connection) -> Iterator[None]:
    """A change of the index, whole or not at all."""
    _wait_for(db, "BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _run(db: sqlite3.Connection, script: str) -> None:
    for statement in script.split(";"):  # executescript would end the transaction
        if statement.strip():
            db.execute(statement)


def refresh(db: sqlite3.Connection, root: Path, progress: Progress, only: Iterable[str] | None = None) -> None:
    """Bring an index up to date with the notes of a vault, `only` with some of them where no others have changed since
    it was. Notes are looked for, and a few of them read, before the index is locked: other commands wait for no more
    than the writing."""
    old = _stamps(db)
    if old and only is not None and all(path.rpartition("/")[0] in old for path in only):
        new = scan_again(root, old, only, time.time_ns())
        changed, gone = differing(old, new)
        changed = [path for path in changed if path in only]  # without what may be edited in this moment
    else:
        new = scan(root, time.time_ns())
        changed, gone = differing(old, new)
    if not changed and not gone:
        return
    flaky: list[str] = []
    chunks = _chunks(root, progress(changed, len(changed)), flaky)
    if len(changed) <= _CHUNK:
        chunks = iter(list(chunks))
    with _writing(db), _no_collection():
        if (now := _stamps(db)) != old:  # another command was quicker, and has left little to do
            changed, gone = differing(now, new)
            old, new = now, scan_again(root, now, [*changed, *gone], time.time_ns())
            changed, gone = differing(old, new)
            chunks = _chunks(root, changed, flaky)
        _update(db, old, new, gone, chunks, flaky)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without Python's search for circles of objects: notes and rows make none, and it takes time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _stamps(db: sqlite3.Connection) -> Stamps:
    return dict(db.execute("SELECT path, stamps FROM folders"))


def _chunks(root: Path, paths: Iterable[str], flaky: list[str]) -> Iterator[tuple[list[str], list[_Parsed]]]:
    """Paths with the notes there, so many at once as are held in memory."""
    left = iter(paths)
    while chunk := list(islice(left, _CHUNK)):
        yield chunk, list(_read(root, chunk, flaky))


def _update(
    db: sqlite3.Connection,
    old: Stamps,
    new: Stamps,
    gone: Iterable[str],
    chunks: Iterable[tuple[list[str], list[_Parsed]]],
    flaky: list[str],
) -> None:
    for path in gone:
        _remove(db, path)
    for paths, notes in chunks:
        if old:
            for path in paths:
                _remove(db, path)
        _put(db, notes)
    new = unstamped(new, flaky)
    db.executemany("DELETE FROM folders WHERE path = ?", [(folder,) for folder in old if folder not in new])
    changed = [(folder, stamps) for folder, stamps in new.items() if stamps != old.get(folder)]
    db.executemany("INSERT OR REPLACE INTO folders VALUES(?, ?)", changed)
    if not old:  # filling takes half the time without them
        _run(db, _INDEXES)


def _remove(db: sqlite3.Connection, path: str) -> None:
    for (n,) in db.execute("SELECT n FROM notes WHERE path = ?", (path,)).fetchall():
        old = db.execute("SELECT title, names, tags, body FROM texts WHERE n = ?", (n,)).fetchone()
        if old:
            from kb.index_rows import for_search

            sql = "INSERT INTO fts(fts, rowid, title, names, tags, body) VALUES('delete', ?, ?, ?, ?, ?)"
            db.execute(sql, (n, *map(for_search, old)))
        for table in ("notes", "tags", "names", "sources", "works", "fields", "links", "problems", "pending", "texts"):
            db.execute(f"DELETE FROM {table} WHERE n = ?", (n,))


def _put(db: sqlite3.Connection, notes: Iterable[_Parsed]) -> None:
    from kb.index_rows import rows

    (last,) = db.execute("SELECT coalesce(max(n), 0) FROM notes").fetchone()
    _insert(db, (made for n, (note, problems) in enumerate(notes, last + 1) for made in rows(n, note, problems)))


def _insert(db: sqlite3.Connection, made: Iterable[tuple[str, list[tuple[Any, ...]]]]) -> dict[str, Any]:
    """Write rows, by table; returns them."""
    from kb.index_rows import COLUMNS

    found: dict[str, list[tuple[Any, ...]]] = {table: [] for table in COLUMNS}
    for table, more in made:
        found[table] += more
    for table, width in COLUMNS.items():
        db.executemany(f"INSERT INTO {table} VALUES({','.join('?' * width)})", found[table])
    return found


def _read(root: Path, paths: Iterable[str], flaky: list[str]) -> Iterator[_Parsed]:
    """The notes at some paths. What cannot be read is an empty note with a Problem; what is gone by now is none.
    `flaky` takes those of which the next command may find more: a disk on a network has its moments."""
    from kb.note import LARGEST, Note, parse_front

    for path in paths:
        try:
            yield parse_front(read_regular(f"{root}/{path}", LARGEST), path)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in _LASTING:
                flaky.append(path)
            said = f"cannot be read: {error.strerror}"
            yield Note(Path(path).stem, path, {}, ""), [Problem(path, 0, "unreadable", said, "look what it is")]


# The texts and their links: what searches, checks and pages need, and most commands do without


def is_pending(db: sqlite3.Connection) -> bool:
    """Whether there are notes whose texts the index does not hold yet."""
    return db.execute("SELECT 1 FROM pending LIMIT 1").fetchone() is not None


def take_in_texts(db: sqlite3.Connection, root: Path, progress: Progress) -> None:
    """Read the texts of the notes that are new to the index. A note that changed since then is read anew by the next
    command, text and all."""
    from kb.index_rows import for_search

    with _writing(db):
        waiting = {row[1]: row for row in db.execute("SELECT * FROM pending")}
        paths = iter(progress(list(waiting), len(waiting)))
        while chunk := list(islice(paths, _CHUNK)):
            found = _insert(db, (made for path in chunk for made in _text(db, root, *waiting[path])))
            words = [(n, *map(for_search, words)) for n, *words in found["texts"]]
            db.executemany("INSERT INTO fts(rowid, title, names, tags, body) VALUES(?, ?, ?, ?, ?)", words)
        db.execute("DELETE FROM pending")


def _text(db: sqlite3.Connection, root: Path, n: int, path: str, *known: str) -> Iterator[_Rows]:
    from kb.frontmatter import split
    from kb.index_rows import text_rows
    from kb.note import LARGEST

    try:
        data = read_regular(f"{root}/{path}", LARGEST)
    except OSError as error:
        if error.errno not in (errno.ENOENT, *_LASTING):
            folder = path.rpartition("/")[0]
            db.execute("UPDATE folders SET stamps = ? WHERE path = ?", (unstamped(_stamps(db), [path])[folder], folder))
        data = b""
    front = split(data.decode("utf-8", "replace"))
    return text_rows(n, path, front.body, front.body_line, known)
