"""Adding works: references -> new notes, one for each work, none twice, all in one change."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from kb import duplicates, frontmatter
from kb.edits import again
from kb.files import Journal, read_bytes
from kb.ids import fold, slug
from kb.library import Library
from kb.names import name_key
from kb.note import FOLDERS, KEY_ORDER, KINDS, PAGE, STATUSES, Note
from kb.problem import KbError, Stale
from kb.sources import Fetcher, Metadata, guess_kind, kind_of
from kb.sources.http import Unreachable
from kb.verbs.references import Candidate, provisional, read_refs
from kb.verbs.tagging import counts, spelled


@dataclass(frozen=True)
class AddOptions:
    """What the options of `kb add` say about the new notes. `stdin` stands in for the reference `-`, `clipboard` is
    the text that was copied."""

    status: str = "to-read"
    tags: tuple[str, ...] = ()
    kind: str = ""
    id: str = ""
    title: str = ""
    note: str = ""
    offline: bool = False
    merge: bool = False
    stdin: str = ""
    clipboard: str = ""


@dataclass(frozen=True)
class Added:
    """What became of one reference. `action` is created, exists, merged, completed or failed; `message` is for people.
    What failed has no id and no path."""

    id: str
    path: str
    action: str
    source: str
    message: str = ""

    def as_json(self) -> dict[str, Any]:
        """A row of `kb add --json`; what failed says why."""
        failed = self.action == "failed"
        row = {"id": self.id, "path": self.path, "action": self.action, "source": self.source}
        return {key: value for key, value in row.items() if value} | ({"message": self.message} if failed else {})


def add(
    library: Library,
    refs: Sequence[str],
    options: AddOptions,
    fetcher: Fetcher,
    today: date | None = None,
    distant: Fetcher | None = None,
) -> list[Added]:
    """Make a note of each reference that has none yet, in one change. A reference that can be no note is told of and
    does not keep the others from theirs; if nothing else was asked for, it stops the command. `distant` asks for what
    files of references name, where that is not for the same to do as for what was typed."""
    _check_options(options)
    candidates = [c for ref in refs for c in read_refs(ref, options.stdin)]
    if options.clipboard:
        candidates += read_refs("-", options.clipboard, "(clipboard)")
    if len(candidates) == 1 and candidates[0].wrong:
        raise KbError(_placed(candidates[0]), candidates[0].code)
    _known(library, candidates)
    fresh = {min(c.tokens, default=c.given) for c in candidates if not c.into and not c.wrong}
    if (options.id or options.title) and len(fresh) > 1:
        raise KbError(f"--id and --title are for one reference and there are {len(fresh)}; add them one by one", 2)
    if options.tags:
        options = replace(options, tags=tuple(spelled(options.tags, [tag for tag, _ in counts(library)])))
    wanted = [c for c in candidates if options.merge or not c.into]
    _fetch([c for c in wanted if not c.where or c.reading], options, fetcher)
    _fetch([c for c in wanted if c.where and not c.reading], options, distant or fetcher)

    def place(now: Library) -> list[Added]:
        if now is not library:  # somebody was quicker; nothing is fetched again
            _known(now, [c for c in candidates if not c.into])
        return _Batch(now, options, today or date.today()).write(candidates)

    return again(library, place)


def _known(library: Library, candidates: Iterable[Candidate]) -> None:
    """Say of references which note has their work already."""
    known = library.index.works({token for c in candidates for token in c.tokens})
    for c in candidates:
        c.into = next((known[token][0] for token in sorted(c.tokens) if token in known), "")


def _check_options(options: AddOptions) -> None:
    if options.status not in STATUSES:
        raise KbError(f"no status '{options.status}'; there are {' '.join(STATUSES)}", 2)
    if options.kind and options.kind not in KINDS:
        raise KbError(f"no kind '{options.kind}'; there are {' '.join(KINDS)}", 2)
    if options.id and slug(options.id, 250) != options.id:
        raise KbError(f"'{options.id}' is no id of a-z, 0-9 and -; try --id {slug(options.id)}", 2)


def _placed(candidate: Candidate) -> str:
    told_already = not candidate.where or candidate.wrong.startswith(candidate.where)
    return candidate.wrong if told_already else f"{candidate.where}: {candidate.wrong}"


# What is known of them


def _fetch(candidates: Iterable[Candidate], options: AddOptions, fetcher: Fetcher) -> None:
    """Fill in what the services know. A work that nobody knows is `wrong`; a service that is silent is not."""
    asked: dict[str, list[Candidate]] = {}
    for c in candidates:
        if c.reading:
            _read_pdf(c, options, fetcher)
        elif c.source and not c.wrong and not c.meta.get("title"):
            asked.setdefault(c.source.token, []).append(c)
    sources = [same[0].source for same in asked.values() if same[0].source]
    for source, answer in fetcher(sources) if sources and not options.offline else ():
        for c in asked[source.token]:
            if isinstance(answer, dict):
                c.meta = dict(answer)
                if waits_for := answer.get("incomplete"):
                    c.lacking = f"{waits_for} did not answer"
            elif isinstance(answer, Unreachable):
                c.lacking = str(answer)
            else:
                c.wrong = str(answer)
    for c in (c for same in asked.values() for c in same):
        if c.source and not c.meta and not c.wrong:
            c.meta, c.lacking = provisional(c.source), c.lacking or "not asked for (--offline)"


def _read_pdf(c: Candidate, options: AddOptions, fetcher: Fetcher) -> None:
    """A PDF on disk: by the services of the ids in it, else by itself. The file stays where it is."""
    from kb.sources import pdf

    assert c.reading is not None
    c.meta = {} if options.offline else pdf.resolve(c.reading, fetcher)
    if not c.meta:
        c.meta = pdf.own(c.reading, Path(c.given).stem)
        if c.source:  # an id that the PDF surely has, of which no service was asked
            c.meta |= {c.source.key: c.source.value, "incomplete": kind_of(c.source).name}
            c.lacking = "not asked for (--offline)"
    elif c.meta.get("incomplete"):
        c.lacking = f"{c.meta['incomplete']} did not answer"


# New notes


@dataclass
class _Batch:
    """One change in the making: the files it writes, what they held, and the works that they add to the vault's."""

    library: Library
    options: AddOptions
    today: date
    writes: dict[str, bytes | None] = field(default_factory=dict)
    read: dict[str, bytes | None] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)  # path -> title of the new notes

    def write(self, candidates: Sequence[Candidate]) -> list[Added]:
        self.shelf = duplicates.Shelf(self.library)
        self.taken = {str(id).casefold() for (id,) in self.library.index.rows("SELECT id FROM notes")}
        done = [row for c in candidates if (row := self._place(c))]
        Journal(self.library.root).commit("add", self.writes, self.read, since=self.library.moment)
        return done

    def _place(self, c: Candidate) -> Added | None:
        """Into the note of its work, or into a new one. A work given twice makes one note and is told of once."""
        if c.wrong:
            return Added("", "", "failed", c.given, _placed(c))
        meta = compose_meta(c, self.options, self.today)
        path = c.into or self._twin(c, meta)
        if path in self.made:
            self._merge(path, c)
            return None
        if path:
            return self._merged(path, c) if self.options.merge else self._refused(path, c)
        return self._create(c, meta)

    def _twin(self, c: Candidate, meta: Metadata) -> str:
        """The path of the note that a work has already. Of a PDF often the title alone is known."""
        if found := self.shelf.find(c.tokens, meta):
            return found.path
        if c.reading and not c.tokens:
            return self._titled(meta)
        return self._keyed(meta) if meta.get("cite") and not c.tokens and not meta.get("authors") else ""

    def _keyed(self, meta: Metadata) -> str:
        """The note of the same citation key and title: all that tells an entry with neither ids nor authors."""
        sql = "SELECT path, title FROM fields JOIN notes USING(n) WHERE key = 'cite' AND value = ?"
        named = name_key(str(meta["title"]))
        rows = self.library.index.rows(sql, (fold(str(meta["cite"])),))
        return next((path for path, title in rows if name_key(title) == named), "")

    def _titled(self, meta: Metadata) -> str:
        named = name_key(str(meta["title"]))
        made = (path for path, title in self.made.items() if name_key(title) == named)
        return next(made, "") or self.library.index.resolve(named) or ""

    def _create(self, c: Candidate, meta: Metadata) -> Added:
        if self.options.id and self.options.id in self.taken:
            raise KbError(f"there is a note '{self.options.id}' already; choose another --id")
        id = self.options.id or new_id(str(meta["title"]), self.taken, meta.get("year"))
        path = f"notes/{FOLDERS[meta['kind']]}/{id}.md"
        self.taken.add(id)
        self.made[path] = str(meta["title"])
        self.shelf.put(path, c.tokens, meta)
        body = "\n\n".join(filter(None, (c.body.strip(), self.options.note)))
        self.writes[path], self.read[path] = frontmatter.compose(meta, body).encode(), None
        return Added(id, path, "created", c.spelled, _told(path, meta, c))

    def _refused(self, path: str, c: Candidate) -> Added:
        message = f"{c.given} is in the vault already: {path}"
        if self._union(path, c) is not None:
            message += "; `--merge` adds to that note what it lacks"
        return Added(Path(path).stem, path, "exists", c.spelled, message)

    def _merged(self, path: str, c: Candidate) -> Added:
        if self._merge(path, c):
            return Added(Path(path).stem, path, "merged", c.spelled, f"merged {c.given} into {path}")
        message = f"{c.given} adds nothing to {path}"
        return Added(Path(path).stem, path, "exists", c.spelled, message)

    def _merge(self, path: str, c: Candidate) -> bool:
        """Put into a note what a reference adds to it; False where that is nothing."""
        data = self._now(path)
        new = self._union(path, c)
        if path not in self.made and (text := self.options.note.strip()):
            new = (data if new is None else new).rstrip() + f"\n\n{text}\n".encode()
        if new is None:
            return False
        self.writes[path] = new
        return True

    def _union(self, path: str, c: Candidate) -> bytes | None:
        from kb.verbs.merge import merge_meta

        tags = list(dict.fromkeys([*c.meta.get("tags", []), *self.options.tags]))
        meta = c.meta | ({"tags": tags} if tags else {})
        return merge_meta(self.library, path, meta, c.source, self._now(path))

    def _now(self, path: str) -> bytes:
        """What a note will hold so far. Its file is read once: what is written is made of what is compared."""
        if path not in self.writes:
            data = self.read.setdefault(path, read_bytes(self.library.root / path))
            if data is None:
                raise Stale(f"{path} is gone; run the command again")
            return data
        return self.writes[path] or b""


def compose_meta(candidate: Candidate, options: AddOptions, today: date) -> Metadata:
    """The front matter of a new note, in the house's order."""
    source, meta = candidate.source, dict(candidate.meta)
    if source:
        key = "pdf" if meta.get("pdf") == source.value else source.key
        if source.token not in {s.token for s in Note("", "", meta, "").sources()}:
            meta.setdefault(key, source.value)
        if source.at:
            meta.setdefault("at", source.at)
    kind = options.kind or meta.get("kind") or (guess_kind(source) if source else "paper")
    meta["kind"] = kind if kind != PAGE else "post"
    if options.title:
        meta["title"] = options.title
    meta["status"] = meta.get("status") or options.status
    meta["added"] = meta.get("added") or today.isoformat()
    meta["tags"] = list(dict.fromkeys([*options.tags, *meta.get("tags", [])]))
    return {key: meta[key] for key in KEY_ORDER if meta.get(key) not in (None, "", [], {})}


def _told(path: str, meta: Metadata, c: Candidate) -> str:
    if meta.get("incomplete"):
        return f"added {path}, incomplete: {c.lacking}; `kb add --complete` fetches the rest"
    told = f"added {path}: {meta['title']}"
    if c.reading and c.reading.fault:
        told += f" (the title is the file's name: {c.reading.fault})"
    return told + (f"; the file itself stays where it is: {c.given}" if c.reading else "")


def new_id(title: str, taken: Container[str], year: int | None = None) -> str:
    """An id for a title: its short name before a colon ('MobileLLM: …' -> mobilellm), else its words. Where that is
    taken, the year is added, or else a number."""
    name, colon, _ = title.partition(": ")
    short = colon and len(name.split()) <= 3 and re.search(r"[^\W\d_]", name) and slug(name) != "note"
    for base in dict.fromkeys((slug(name), slug(title)) if short else (slug(title),)):
        if base not in taken:
            return base
    if year and f"{base}-{year}" not in taken:
        return f"{base}-{year}"
    n = 2
    while f"{base}-{n}" in taken:
        n += 1
    return f"{base}-{n}"
