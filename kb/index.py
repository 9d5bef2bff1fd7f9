"""The index of a vault: SQLite with full text, derived from the notes and thrown away freely.

Every open compares the stat of each note with what was indexed and parses again what differs, so no command sees stale
text. A damaged index, or one made by other code, is made anew; nothing but time is lost with it.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import sqlite3
import time
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kb.files import STATE, locked, state_dir
from kb.ids import fold
from kb.links import Link, plain
from kb.note import PAGE, Note, parse_note
from kb.order import place_in
from kb.problem import KbError, Problem
from kb.query import Query, as_sql

_SCHEMA = """
CREATE TABLE notes(n INTEGER PRIMARY KEY, path TEXT UNIQUE, stamp TEXT, id TEXT, title TEXT, kind TEXT, status TEXT,
  year INTEGER, added TEXT, started TEXT, finished TEXT, published TEXT, rating INTEGER, private INTEGER,
  authors TEXT, hay TEXT, author_hay TEXT, meta TEXT, body_line INTEGER);
CREATE INDEX notes_id ON notes(id);
CREATE TABLE tags(n INTEGER, tag TEXT);
CREATE INDEX tags_n ON tags(n);
CREATE TABLE names(name TEXT, rank INTEGER, n INTEGER);
CREATE INDEX names_name ON names(name, rank);
CREATE INDEX names_n ON names(n);
CREATE TABLE sources(token TEXT, n INTEGER);
CREATE INDEX sources_token ON sources(token);
CREATE INDEX sources_n ON sources(n);
CREATE TABLE links(n INTEGER, key TEXT, target TEXT, line INTEGER, context TEXT, heading TEXT, label TEXT,
  embed INTEGER, wiki INTEGER);
CREATE INDEX links_n ON links(n);
CREATE INDEX links_key ON links(key);
CREATE TABLE problems(n INTEGER, line INTEGER, "check" TEXT, message TEXT, hint TEXT, level TEXT, fixable INTEGER);
CREATE INDEX problems_n ON problems(n);
CREATE TABLE texts(n INTEGER PRIMARY KEY, title TEXT, names TEXT, tags TEXT, body TEXT);
CREATE VIRTUAL TABLE fts USING fts5(title, names, tags, body, content='texts', content_rowid='n',
  tokenize='porter unicode61 remove_diacritics 2');
"""
_SMALL_WORDS = {
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "in", "is", "it", "of", "on", "or", "that", "the",
    "this", "to", "was", "with",
}  # fmt: skip
_WEIGHTS = "10.0, 5.0, 3.0, 1.0"
_PATIENCE = 10.0  # seconds to wait for another command
_NOT_ASCII = re.compile("[^\\x00-\\x7f]+")
_RACY_NS = 50_000_000  # a file stamped this short before it was read may change again within the same stamp

SORTS = {
    "added": "added = '', added DESC, id", "year": "year IS NULL, year DESC, id", "title": "title COLLATE NOCASE, id",
    "started": "started = '', started DESC, id", "finished": "finished = '', finished DESC, id", "id": "id",
    "status": "status = '', instr(' reading to-read inbox read dropped ', ' ' || status || ' '), id",
    "rating": "rating IS NULL, rating DESC, id",
    "author": "author_hay = '', author_hay, id",
}  # fmt: skip

Progress = Callable[[Iterable[str], int], Iterable[str]]


def name_key(text: str) -> str:
    """How names of notes are compared: case and Unicode form do not matter, nor does `.md` at the end."""
    return unicodedata.normalize("NFC", text).strip().casefold().removesuffix(".md")


def _version() -> int:
    """Changes with the schema and with the code that reads notes."""
    here = Path(__file__).parent
    names = ("index.py", "note.py", "frontmatter.py", "traps.py", "links.py", "ids.py", "id_rules.py")
    stamps = [(p, os.stat(here / p)) for p in names]
    return zlib.crc32(repr([(p, s.st_size, s.st_mtime_ns) for p, s in stamps]).encode()) & 0x7FFFFFFF


class Index:
    """Open with `Index(root)`; reading it is always reading today's notes."""

    def __init__(self, root: Path, progress: Progress | None = None) -> None:
        self.root = root
        self._progress: Progress = progress or (lambda items, total: items)
        self.rebuilt = False
        self._open()

    def _open(self) -> None:
        try:
            self.db = self._connect(str(state_dir(self.root) / "index.sqlite"))
            self._refresh()
        except (sqlite3.OperationalError, OSError) as error:
            if "locked" in str(error):
                raise KbError("the index is held by another kb command; try again when it has ended") from None
            if isinstance(error, OSError) or any(w in str(error) for w in ("readonly", "unable to open", "is full")):
                self.db = self._connect(":memory:")  # a vault on a disk that is read-only or full
                self._refresh()
            else:
                self._rebuild()
        except sqlite3.DatabaseError:
            self._rebuild()

    def _connect(self, where: str) -> sqlite3.Connection:
        db = sqlite3.connect(where, timeout=_PATIENCE, isolation_level=None)
        db.create_function("fold", 1, lambda value: fold(str(value or "")), deterministic=True)
        db.create_function("place", 1, place_in, deterministic=True)
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._prepare(db)
            except sqlite3.OperationalError as error:  # SQLite itself does not wait for a change of journal mode
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.01)

    def _prepare(self, db: sqlite3.Connection) -> sqlite3.Connection:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        if db.execute("PRAGMA user_version").fetchone()[0] != _version():
            db.execute("BEGIN IMMEDIATE")
            if db.execute("PRAGMA user_version").fetchone()[0] != _version():
                self._reset(db)
            db.execute("COMMIT")
        return db

    def _reset(self, db: sqlite3.Connection) -> None:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        for name in sorted(names, key=lambda n: n != "fts"):  # the virtual table takes its shadows along
            if name == "fts" or not name.startswith(("fts_", "sqlite_")):
                db.execute(f"DROP TABLE IF EXISTS {name}")
        for statement in _SCHEMA.split(";"):
            if statement.strip():
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {_version()}")

    def _rebuild(self, surely: bool = False) -> None:
        """Throw the damaged file away and read every note again, where another command has not done so meanwhile."""
        self.close()
        file = self.root / STATE / "index.sqlite"
        with locked(self.root, name="index.lock"):
            try:
                if not surely:
                    self.db = self._connect(str(file))
                    self._refresh()
                    return
            except sqlite3.DatabaseError:
                self.close()
            for suffix in ("-wal", "-shm", ""):
                file.with_name(file.name + suffix).unlink(missing_ok=True)
            self.rebuilt = True
            try:
                self.db = self._connect(str(file))
                self._refresh()
            except (sqlite3.OperationalError, OSError):  # no room for it
                self.db = self._connect(":memory:")
                self._refresh()

    def close(self) -> None:
        if hasattr(self, "db"):
            self.db.close()

    def rows(self, sql: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one SELECT; damage met on the way costs a rebuild, not an error. A closed index is an error of the
        program that asks it."""
        args = [a.encode("utf-8", "replace").decode() if isinstance(a, str) else a for a in args]  # from a shell
        try:
            return self.db.execute(sql, args).fetchall()
        except (sqlite3.OperationalError, sqlite3.ProgrammingError):
            raise
        except sqlite3.DatabaseError:
            self._rebuild(surely=True)
            return self.db.execute(sql, args).fetchall()

    # Freshness

    def _refresh(self) -> None:
        now = time.time_ns()
        seen = dict(_scan(self.root))
        known = dict(self.db.execute("SELECT path, stamp FROM notes"))
        changed = sorted(path for path, (stamp, _) in seen.items() if known.get(path) != stamp)
        gone = [path for path in known if path not in seen]
        if not changed and not gone:
            return
        self.db.execute("BEGIN IMMEDIATE")
        try:
            for path in gone:
                self._remove(path)
            for path in self._progress(changed, len(changed)):
                stamp, touched = seen[path]
                self._put(path, stamp if touched < now - _RACY_NS else "")
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise

    def _remove(self, path: str) -> None:
        for (n,) in self.db.execute("SELECT n FROM notes WHERE path=?", (path,)).fetchall():
            old = self.db.execute("SELECT title, names, tags, body FROM texts WHERE n=?", (n,)).fetchone()
            if old:
                sql = "INSERT INTO fts(fts, rowid, title, names, tags, body) VALUES('delete', ?, ?, ?, ?, ?)"
                self.db.execute(sql, (n, *map(_folded, old)))
            for table in ("notes", "tags", "names", "sources", "links", "problems", "texts"):
                self.db.execute(f"DELETE FROM {table} WHERE n=?", (n,))

    def _put(self, path: str, stamp: str) -> None:
        try:
            data = (self.root / path).read_bytes()
        except FileNotFoundError:  # gone since the scan
            self._remove(path)
            return
        except OSError as error:
            problem = Problem(path, 0, "unreadable", f"cannot be read: {error.strerror}", "check its permissions")
            note, problems = Note(Path(path).stem, path, {}, ""), [problem]
        else:
            note, problems = parse_note(data, path)
        self._remove(path)
        n = self._put_row(note, stamp)
        many = self.db.executemany
        many("INSERT INTO tags VALUES(?,?)", [(n, fold(tag)) for tag in note.tags])
        many("INSERT INTO names VALUES(?,?,?)", [(name, rank, n) for name, rank in _names(note)])
        many("INSERT INTO sources VALUES(?,?)", [(token, n) for token in {s.token for s in note.sources()}])
        many("INSERT INTO links VALUES(?,?,?,?,?,?,?,?,?)", [(n, *row) for row in _link_rows(note)])
        rows = [(n, p.line, p.check, p.message, p.hint, p.level, p.fixable) for p in problems]
        many("INSERT INTO problems VALUES(?,?,?,?,?,?,?)", rows)
        known_as = " ".join([note.id, *note.aliases, *note.authors])
        text = (note.title, known_as, " ".join(note.tags), _no_nul(note.body))
        self.db.execute("INSERT INTO texts VALUES(?,?,?,?,?)", (n, *text))
        self.db.execute("INSERT INTO fts(rowid, title, names, tags, body) VALUES(?,?,?,?,?)", (n, *map(_folded, text)))

    def _put_row(self, note: Note, stamp: str) -> int:
        dates = [str(note.meta.get(k, "")) for k in ("added", "started", "finished", "published")]
        ids = [str(note.meta.get(k, "")) for k in ("arxiv", "doi", "acl", "cite")]
        hay = fold(" \n ".join([note.title, *note.authors, *note.aliases, note.id, *ids]))
        about = (note.path, stamp, note.id, note.title, note.kind, note.status, note.year)
        authors = json.dumps(note.authors, ensure_ascii=False)
        meta = json.dumps(dict(note.meta), ensure_ascii=False)
        rating = note.meta.get("rating")
        author_hay = fold("\n".join(note.authors))
        values = (*about, *dates, rating, note.private, authors, hay, author_hay, meta, note.body_line)
        cursor = self.db.execute(f"INSERT INTO notes VALUES(NULL,{','.join('?' * len(values))})", values)
        return int(cursor.lastrowid or 0)

    # Reading

    def select(self, query: Query, sort: str = "added", limit: int = 0, pages: bool = False) -> list[dict[str, Any]]:
        """The rows of `kb list --json` that answer a query; `pages` takes the guide's pages in."""
        found = self._listing("id, path, meta", query, sort, limit, pages)
        return [Note(id, path, json.loads(meta), "").as_json() for id, path, meta in found]

    def table(self, query: Query, sort: str, limit: int) -> list[tuple[Any, ...]]:
        """What a listing shows, without reading the whole front matter: id, status, kind, year, authors, title."""
        return self._listing("id, status, kind, year, authors, title", query, sort, limit)

    def _listing(self, columns: str, query: Query, sort: str, limit: int, pages: bool = False) -> list[tuple[Any, ...]]:
        where, args = as_sql(query)
        if not pages and not query.has("kind"):
            where += f" AND kind <> '{PAGE}'"
        sql = f"SELECT {columns} FROM notes WHERE {where} ORDER BY {SORTS[sort]}"
        return self.rows(sql + (f" LIMIT {limit}" if limit else ""), args)

    def notes(self, where: str = "1", args: Sequence[Any] = ()) -> Iterator[Note]:
        """Whole notes, by path."""
        links: dict[int, list[Link]] = {}
        sql = "SELECT n, target, line, context, heading, label, embed, wiki FROM links"
        if where != "1":
            sql += f" WHERE n IN (SELECT n FROM notes WHERE {where})"
        for n, target, line, context, heading, label, embed, wiki in self.rows(sql, args):
            links.setdefault(n, []).append(Link(target, line, context, heading, label, bool(embed), bool(wiki)))
        sql = f"SELECT n, id, path, meta, body, body_line FROM notes JOIN texts USING(n) WHERE {where} ORDER BY path"
        for n, id, path, meta, body, body_line in self.rows(sql, args):
            yield Note(id, path, json.loads(meta), body, body_line, tuple(links.get(n, ())))

    def problems(self) -> list[Problem]:
        """What is wrong in single files."""
        sql = 'SELECT path, line, "check", message, hint, level, fixable FROM problems JOIN notes USING(n)'
        found = self.rows(sql)
        return [Problem(p, n, name, said, hint, level, bool(safe)) for p, n, name, said, hint, level, safe in found]

    def resolve(self, name: str) -> str | None:
        """The path of the note a name means: its path under notes/, its id, an alias or its title, in that order."""
        sql = "SELECT path FROM names JOIN notes USING(n) WHERE name=? ORDER BY rank, path LIMIT 1"
        found = self.rows(sql, (name_key(name),))
        return str(found[0][0]) if found else None

    def names(self) -> list[tuple[str, int, str]]:
        """Every name, its rank (0 path, 1 id, 2 alias, 3 title) and the path of the note that has it."""
        return [(n, r, p) for n, r, p in self.rows("SELECT name, rank, path FROM names JOIN notes USING(n)")]

    def works(self) -> dict[str, list[str]]:
        """Every id of a work (as a token) and the paths of the notes that carry it."""
        found: dict[str, list[str]] = {}
        for token, path in self.rows("SELECT token, path FROM sources JOIN notes USING(n) ORDER BY path"):
            found.setdefault(token, []).append(path)
        return found

    def links_to(self, path: str) -> list[tuple[str, Link]]:
        """Links that lead to a note, with the path of the note they stand in."""
        sql = """SELECT s.path, l.target, l.line, l.context, l.heading, l.label, l.embed, l.wiki
                 FROM links l JOIN notes s USING(n) WHERE s.path <> ? AND l.key IN
                 (SELECT name FROM names JOIN notes USING(n) WHERE path = ?) ORDER BY s.path, l.rowid"""
        found = []
        for source, *row in self.rows(sql, (path, path)):
            target, line, context, heading, label, embed, wiki = row
            link = Link(target, line, context, heading, label, bool(embed), bool(wiki))
            if self.target(link, source) == path:
                found.append((source, link))
        return found

    def target(self, link: Link, source: str) -> str | None:
        """The path of the note a link of the note at `source` leads to."""
        return self.resolve(link_key(link, source)) if link.target else source

    def counts(self, column: str) -> dict[str, int]:
        """How many notes have each value of `status` or `kind`."""
        sql = f"SELECT {column}, count(*) FROM notes WHERE kind <> '{PAGE}' AND {column} <> '' GROUP BY 1 ORDER BY 1"
        return dict(self.rows(sql))

    def search(self, text: str, query: Query, limit: int = 20) -> list[dict[str, Any]]:
        """Full text, best first: every word of `text` (quoted words side by side); where no note has them all, those
        that have any, marked `partial`."""
        words = [fold(q or w) for q, w in re.findall(r'"([^"]+)"|(\S+)', text.replace("\0", " "))]
        words = [w for w in words if re.search(r"\w", w)]
        if not words:
            return []
        phrases = [f'"{w}"' for w in (w.replace('"', "") for w in words)]
        literal = [w for w in words if re.search(r"[^\w\s.'-]", w)]  # C++: the tokenizer sees only its letter
        found = self._search(" AND ".join(phrases), literal, query, limit)
        telling = [phrase for phrase in phrases if phrase.strip('"') not in _SMALL_WORDS]
        if found or not telling or len(phrases) == 1:
            return found
        return [hit | {"partial": True} for hit in self._search(" OR ".join(telling), literal, query, limit)]

    def _search(self, match: str, literal: list[str], query: Query, limit: int) -> list[dict[str, Any]]:
        where, args = as_sql(query)
        sql = f"""SELECT fts.rowid, id, notes.title, -bm25(fts, {_WEIGHTS}) AS score FROM fts
                  JOIN notes ON notes.n = fts.rowid WHERE fts MATCH ? AND {where} ORDER BY score DESC, id"""
        found: list[dict[str, Any]] = []
        for n, id, title, score in self.rows(sql + ("" if literal else f" LIMIT {limit}"), (match, *args)):
            if literal and not self._holds(n, literal):
                continue
            sql = "SELECT snippet(fts, 3, '', '', ' … ', 24) FROM fts WHERE fts MATCH ? AND rowid = ?"
            told = plain(self.rows(sql, (match, n))[0][0] or "").strip()
            found.append({"id": id, "title": title, "score": round(score, 6), "snippets": [told] if told else []})
            if len(found) == limit:
                break
        return found

    def _holds(self, n: int, literal: list[str]) -> bool:
        """Whether a note's title or text has each of some words with all their signs."""
        texts = [fold(text) for text in self.rows("SELECT title, body FROM texts WHERE n = ?", (n,))[0]]
        return all(any(word in text for text in texts) for word in literal)


def _scan(root: Path) -> Iterator[tuple[str, tuple[str, int]]]:
    """Every note's path with its stamp and the time it was last touched."""
    folders = [("notes", root / "notes")]
    while folders:
        name, folder = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            if name == "notes":
                raise KbError(f"{folder}: {error.strerror}; `kb init` makes a vault") from None
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = f"{name}/{entry.name}"
            if not _is_unicode(entry.name):
                raise KbError(f"{path!a}: the file name is no UTF-8; rename the file")
            if entry.is_dir(follow_symlinks=False):
                folders.append((path, Path(entry.path)))
            elif entry.name.endswith(".md"):
                try:
                    s = entry.stat()
                except OSError:  # a link that leads nowhere
                    continue
                stamp = f"{s.st_mtime_ns}:{s.st_ctime_ns}:{s.st_size}:{s.st_ino}"
                yield path, (stamp, max(s.st_mtime_ns, s.st_ctime_ns))


def _is_unicode(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def _folded(text: str) -> str:
    """`text` as the words of a search are compared with it: the tokenizer's own fold knows case and Latin alone."""
    return text if text.isascii() else _NOT_ASCII.sub(lambda m: fold(m[0]), text)


def _no_nul(text: str) -> str:
    return text.replace("\0", "\ufffd")


def _names(note: Note) -> list[tuple[str, int]]:
    inside = note.path.partition("/")[2]
    ranked = [(inside, 0), (note.id, 1), *((alias, 2) for alias in note.aliases), (note.title, 3)]
    return [(name_key(name), rank) for name, rank in ranked if name_key(name)]


def link_key(link: Link, source: str) -> str:
    """The name a link looks for: a [[target]] as it is, a relative link as a path under notes/."""
    if link.wiki:
        return name_key(link.target)
    from urllib.parse import unquote

    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), unquote(link.target)))
    return name_key(path.removeprefix("notes/") if path.startswith("notes/") else f"../{path}")  # no note lies outside


def _link_rows(note: Note) -> Iterator[tuple[Any, ...]]:
    for k in note.links:
        if k.target:
            key = link_key(k, note.path)
            yield key, k.target, k.line, _no_nul(k.context), k.heading, k.label, k.embed, k.wiki
