"""The index of a vault: SQLite with full text, derived from the notes and thrown away freely.

Every open compares the stamp of each note with what was indexed and parses again what differs, so no command sees stale
text; from then on it reads one moment of the index, whatever other commands write meanwhile. A damaged index, or one
made by other code, is made anew; nothing but time is lost with it.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb.files import state_dir
from kb.index_file import Progress as Progress
from kb.index_file import connect, current, following, is_pending, refresh, take_in_texts
from kb.names import fold, link_key, name_key
from kb.problem import KbError, Problem
from kb.scan import passed_over
from kb.vocabulary import PAGE

if TYPE_CHECKING:
    from kb.links import Link
    from kb.note import Note
    from kb.query import Query

_SMALL_WORDS = {
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "in", "is", "it", "of", "on", "or", "that", "the",
    "this", "to", "was", "with",
}  # fmt: skip
_WEIGHTS = "10.0, 5.0, 3.0, 1.0"
_LINK = "target, line, heading, label, embed, wiki, start, stop"
_DAMAGE = re.compile("locked|is full|malformed|not a database|no such table|disk I/O|unable to open|readonly|vtable")
_TEXTS = re.compile(r"\b(?:texts|fts|links|problems)\b")
_AT_ONCE = 500  # notes
_TRIES = 3  # generations of an index that one command tries before it reads the notes in memory

SORTS = {
    "added": "added DESC, id", "year": "year DESC, id", "title": "title COLLATE NOCASE, id",
    "started": "started DESC, id", "finished": "finished DESC, id", "id": "id",
    "status": "status = '', instr(' reading to-read inbox read dropped ', ' ' || status || ' '), id",
    "rating": "rating DESC, id",
    "author": "author_hay = '', author_hay, id",
}  # fmt: skip


class Index:
    """Open with `Index(root)`; reading it is reading the notes as they are at that moment. `only`: the notes that have
    changed since the index was open last, where that is known."""

    def __init__(self, root: Path, progress: Progress | None = None, only: Sequence[str] | None = None) -> None:
        self.root = root
        self._only = only
        self._progress: Progress = progress or (lambda items, total: items)
        self.rebuilt = False
        try:
            self._file: Path | None = current(state_dir(root))
        except OSError:  # a vault on a read-only disk
            self._file = None
        self._open()

    def _open(self) -> None:
        """Open the file, or in its place the next generation, and hold one moment of it."""
        for _ in range(_TRIES):
            try:
                self.db = connect(self._file)
                refresh(self.db, self.root, self._progress, self._only)
                self.db.execute("BEGIN")
                return
            except (sqlite3.DatabaseError, OSError) as error:
                self.close()
                if self._file is None:
                    raise
                self._give_up(error)
        self._file = None
        self._open()

    def _give_up(self, error: Exception) -> None:
        """Name the file to open next: the next generation, or none where this one cannot be written."""
        assert self._file is not None
        if "locked" in str(error):
            raise KbError("the index is held by another kb command; try again when it has ended") from None
        if isinstance(error, OSError) or re.search("readonly|full", str(error)) or not self._file.exists():
            self._file = None
            return
        self.rebuilt = True
        self._file = following(self._file)

    def close(self) -> None:
        if hasattr(self, "db"):
            self.db.close()

    def rows(self, sql: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one SELECT; damage met on the way costs a rebuild, not an error. A closed index is an error of the
        program that asks it. Where it asks for texts that the index does not hold yet, they are taken in first."""
        args = [a.encode("utf-8", "replace").decode() if isinstance(a, str) else a for a in args]  # from a shell
        try:
            return self._ask(sql, args)
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.DatabaseError as error:
            if self._file is None or not _DAMAGE.search(str(error)):
                raise
            self.close()
            self._give_up(error)
            self._open()
            return self._ask(sql, args)

    def _ask(self, sql: str, args: Sequence[Any]) -> list[tuple[Any, ...]]:
        if _TEXTS.search(sql):
            self.make_whole()
        return self.db.execute(sql, args).fetchall()

    def make_whole(self) -> None:
        """Take in the texts and links of new notes. What is read from here on is of a moment that may be a little
        later: who keeps what he has read calls this first."""
        while is_pending(self.db):  # others may have added some meanwhile; this looks once the moment is held
            self.db.execute("COMMIT")
            take_in_texts(self.db, self.root, self._progress)
            self.db.execute("BEGIN")

    # Reading

    def select(self, query: Query, sort: str = "added", limit: int = 0, pages: bool = False) -> list[dict[str, Any]]:
        """The rows of `kb list --json` that answer a query; `pages` takes the guide's pages in."""
        return list(self.selected(query, sort, limit, pages))

    def selected(self, query: Query, sort: str, limit: int = 0, pages: bool = False) -> Iterator[dict[str, Any]]:
        """The same, some at a time: all front matter of a large vault need not fit into memory."""
        from kb.note import Note

        numbers = [n for (n,) in self._listing("n", query, sort, limit, pages)]
        for at in range(0, len(numbers), _AT_ONCE):
            some = numbers[at : at + _AT_ONCE]
            sql = "SELECT n, id, path, meta FROM notes WHERE n IN (SELECT value FROM json_each(?))"
            found = {
                n: Note(id, path, json.loads(meta), "") for n, id, path, meta in self.rows(sql, (json.dumps(some),))
            }
            if found.keys() != set(some):
                raise KbError("the index was made anew meanwhile; run the command again")
            yield from (found[n].as_json() for n in some)

    def table(self, query: Query, sort: str, limit: int) -> list[tuple[Any, ...]]:
        """What a listing shows, without reading the whole front matter: id, status, kind, year, authors, title."""
        return self._listing("id, status, kind, year, authors, title", query, sort, limit)

    def _listing(self, columns: str, query: Query, sort: str, limit: int, pages: bool = False) -> list[tuple[Any, ...]]:
        from kb.query import as_sql

        where, args = as_sql(query)
        if not pages and not query.has("kind"):
            where += f" AND kind <> '{PAGE}'"
        sql = f"SELECT {columns} FROM notes WHERE {where} ORDER BY {SORTS[sort]}"
        return self.rows(sql + (f" LIMIT {limit}" if limit else ""), args)

    def notes(self, where: str = "1", args: Sequence[Any] = ()) -> Iterator[Note]:
        """Whole notes, by path."""
        from kb.note import Note

        links: dict[int, list[tuple[Any, ...]]] = {}
        sql = f"SELECT n, {_LINK} FROM links"
        if where != "1":
            sql += f" WHERE n IN (SELECT n FROM notes WHERE {where})"
        for n, *row in self.rows(sql, args):
            links.setdefault(n, []).append(tuple(row))
        sql = f"SELECT n, id, path, meta, body, body_line FROM notes JOIN texts USING(n) WHERE {where} ORDER BY path"
        for n, id, path, meta, body, body_line in self.rows(sql, args):
            found = tuple(_link(row, body) for row in links.get(n, ()))
            yield Note(id, path, json.loads(meta), body, body_line, found)

    def problems(self) -> list[Problem]:
        """What is wrong in single files."""
        sql = 'SELECT path, line, "check", message, hint, level, fixable FROM problems JOIN notes USING(n)'
        rows = self.rows(sql)
        found = [Problem(p, n, name, said, hint, level, bool(safe)) for p, n, name, said, hint, level, safe in rows]
        return found + passed_over(self.root)

    def resolve(self, name: str) -> str | None:
        """The path of the note a name means: its path under notes/, its id, an alias or its title, in that order."""
        sql = "SELECT path FROM names JOIN notes USING(n) WHERE name=? ORDER BY rank, path LIMIT 1"
        found = self.rows(sql, (name_key(name),))
        return str(found[0][0]) if found else None

    def resolved(self, keys: Iterable[str]) -> dict[str, str]:
        """`resolve` for many names at once, each as name_key makes it; those that mean a note."""
        sql = """SELECT name, path FROM names JOIN notes USING(n) WHERE name IN (SELECT value FROM json_each(?))
                 ORDER BY rank DESC, path DESC"""
        return dict(self.rows(sql, (json.dumps(sorted(keys)),)))

    def names(self) -> list[tuple[str, int, str]]:
        """Every name, its rank (0 path, 1 id, 2 alias, 3 title) and the path of the note that has it."""
        return [(n, r, p) for n, r, p in self.rows("SELECT name, rank, path FROM names JOIN notes USING(n)")]

    def works(self, tokens: Iterable[str] | None = None) -> dict[str, list[str]]:
        """Ids of works (as tokens) and the paths of the notes that carry them: of all, or those of `tokens` that any
        note carries."""
        some = "" if tokens is None else "WHERE token IN (SELECT value FROM json_each(?))"
        args = () if tokens is None else (json.dumps(sorted(tokens)),)
        found: dict[str, list[str]] = {}
        for token, path in self.rows(f"SELECT token, path FROM sources JOIN notes USING(n) {some} ORDER BY path", args):
            found.setdefault(token, []).append(path)
        return found

    def links_to(self, path: str) -> list[tuple[str, Link]]:
        """Links that lead to a note, with the path of the note they stand in."""
        columns = ", ".join(f"l.{name}" for name in _LINK.split(", "))
        sql = f"""SELECT s.path, l.n, {columns} FROM links l JOIN notes s USING(n) WHERE s.path <> ? AND l.key IN
                  (SELECT name FROM names JOIN notes USING(n) WHERE path = ?) ORDER BY s.path, l.rowid"""
        rows = self.rows(sql, (path, path))
        bodies = dict(self.rows("SELECT n, body FROM texts WHERE n IN (SELECT value FROM json_each(?))",
                                (json.dumps(list({n for _, n, *_ in rows})),)))  # fmt: skip
        found = []
        for source, n, *row in rows:
            link = _link(row, bodies.get(n, ""))
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
        from kb.query import MOST_TERMS

        words = [fold(q or w) for q, w in re.findall(r'"([^"]+)"|(\S+)', text.replace("\0", " "))]
        words = [w for w in words if re.search(r"\w", w)]
        if len(words) > MOST_TERMS:
            raise KbError(f"more than {MOST_TERMS} words to search for; take fewer", 2)
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
        from kb.links import plain
        from kb.query import as_sql

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

    def bodies(self, where: str, args: Sequence[Any] = (), size: int = 500) -> Iterator[tuple[str, str, int]]:
        """The path, text and first line of every note that a condition holds for, some at a time: a vault's texts need
        not fit into memory."""
        last = 0
        sql = f"""SELECT n, path, body, body_line FROM texts JOIN notes USING(n)
                  WHERE n > ? AND ({where}) ORDER BY n LIMIT {size}"""
        while found := self.rows(sql, (last, *args)):
            yield from (row[1:] for row in found)
            last = found[-1][0]


def _link(row: Sequence[Any], body: str) -> Link:
    """A link from a row of `_LINK`, in the text of its note."""
    from kb.links import Link

    target, line, heading, label, embed, wiki, start, stop = row
    return Link(target, line, heading, label, bool(embed), bool(wiki), start, stop, body)
