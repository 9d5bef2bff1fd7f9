"""Verbs of one note or a few: rename, tag, note, edit, open, rm."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kb.cli.shared import Id, Json, app, changing, known_ids, known_tags, meant, open_library, show_lines
from kb.problem import KbError

if TYPE_CHECKING:
    from kb.library import Library

Ids = Annotated[
    list[str], typer.Argument(help="Notes, each by id, alias, title, arXiv id, DOI or URL.", autocompletion=known_ids)
]


def _ids_or_tags(incomplete: str) -> list[str]:
    return known_tags(incomplete) if incomplete[:1] in ("+", "-") else known_ids(incomplete)


@app.command()
def rename(
    old: Id,
    new: Annotated[str, typer.Argument(help="The new id: a-z, 0-9 and -.")],
    alias: Annotated[bool, typer.Option("--alias", help="Keep the old id as an alias.")] = False,
) -> None:
    """Give a note another id: its file is renamed, and every link to it in every note is rewritten."""
    from kb.render import printable, style
    from kb.verbs.renaming import rename as give

    done = changing(lambda library: give(library, old, new, alias))
    count = f"{done.links} link{'' if done.links == 1 else 's'}"
    files = len(done.notes)
    where = f" in {files} other note{'' if files == 1 else 's'}" if files else ""
    print(f"renamed {done.old} to {style(done.new, 'bold')}: {done.path}; {count} rewritten{where}")
    show_lines(f"  {path}" for path in (*done.notes, *done.lists))
    for hint in done.hints:
        print(f"kb: {printable(hint)}", file=sys.stderr)


@app.command()
def tag(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID|QUERY]... [+TAG] [-TAG]...", help="Notes or a query, then tags.",
                       autocompletion=_ids_or_tags),
    ] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", help="A tag to take away, like -TAG.")] = None,
    rename: Annotated[
        tuple[str, str] | None, typer.Option("--rename", metavar="OLD NEW", help="Another name, in every note.")
    ] = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Add tags to notes and take tags away: kb tag ddpm +diffusion -todo. Without tags, shows those of the notes;
    without notes, all tags and how many notes have each."""
    from kb.render import printable, table, to_json
    from kb.verbs.tagging import counts, parted, rename_tag, retag

    asked, add, gone = parted(words or ())
    gone += remove or []
    if rename:
        if words or remove:
            raise KbError("--rename is for the whole vault; name no note with it", 2)
        old, new = rename
        done = changing(lambda library: rename_tag(library, old, new))
    elif not asked:
        if add or gone:
            raise KbError("name the notes before the tags: kb tag ID +TAG, or kb tag QUERY +TAG", 2)
        rows = counts(open_library())
        table_lines = table([(name, str(n)) for name, n in rows], ("cyan", "dim"))
        print(to_json([{"tag": name, "count": n} for name, n in rows])) if json else show_lines(table_lines)
        return
    elif not add and not gone:
        told = {note.path: note.tags for note in meant(open_library(), asked, works=False)}
        print(to_json(told)) if json else show_lines(f"{p}: {', '.join(t) or 'no tags'}" for p, t in told.items())
        return
    else:
        done = changing(lambda library: retag(library, meant(library, asked, works=False), add, gone))
    if json:
        print(to_json({"changed": done.changed, "unchanged": done.unchanged}))
    else:
        show_lines(printable(f"{path}: {', '.join(tags) or 'no tags'}") for path, tags in done.changed.items())
        show_lines(f"{path} stays as it was" for path in done.unchanged)
    for new, near in done.resembles.items():
        print(f"kb: '{new}' is a new tag; did you mean '{near}'? (kb tag --rename {new} {near})", file=sys.stderr)


@app.command()
def note(
    id: Id,
    text: Annotated[list[str], typer.Argument(help="What you noticed; - reads it from standard input.")],
) -> None:
    """Append a dated line to a note, by any of its ids, under its heading Log or Notes where it has one."""
    from kb.edits import again
    from kb.verbs.remarks import remark

    opened = open_library()
    opened.find(id)  # before anybody types a text for it
    words = sys.stdin.read() if text == ["-"] else " ".join(text)

    def change(library: "Library") -> str:
        found = library.find(id)
        return f"{found.path}:{remark(library, found, words)}"

    print(f"added to {again(opened, change)}")


@app.command()
def edit(ids: Ids) -> None:
    """Open notes in your editor (VISUAL or EDITOR), and say afterwards what kb check finds in them."""
    from kb.checks import check
    from kb.library import Library
    from kb.render import printable
    from kb.verbs.opening import edit as change

    library = open_library()
    notes = meant(library, ids, works=False)
    change(library.root, notes)
    paths = {note.path for note in notes}
    problems = [p for p in check(Library(library.root)) if p.path in paths and p.level != "info"]
    show_lines(printable(str(problem)) for problem in problems)


@app.command("open")
def open_(
    id: Id,
    pdf: Annotated[bool, typer.Option("--pdf", help="Its PDF.")] = False,
    page: Annotated[bool, typer.Option("--page", help="Its page at arXiv, a publisher or on the web.")] = False,
    code: Annotated[bool, typer.Option("--code", help="Its repository.")] = False,
    video: Annotated[bool, typer.Option("--video", help="Its video, at the place where you are.")] = False,
    slides: Annotated[bool, typer.Option("--slides", help="Its slides.")] = False,
    site: Annotated[bool, typer.Option("--site", help="The note's own page, as `kb build` made it.")] = False,
    note: Annotated[bool, typer.Option("--note", help="The note's file.")] = False,
) -> None:
    """Open what a note is about in the browser, and print its URL; only print it where output is piped."""
    from kb.render import is_terminal
    from kb.verbs.opening import WAYS, address, show

    flags = dict(zip(WAYS, (pdf, page, code, video, slides, site, note), strict=True))
    chosen = [way for way in WAYS if flags[way]]
    if len(chosen) > 1:
        raise KbError(f"--{chosen[0]} and --{chosen[1]} are two things to open; choose one", 2)
    library = open_library()
    url = address(library.root, library.find(id), *chosen)
    print(url)
    if is_terminal() and not show(url):
        print("kb: no browser could be started; the address is above", file=sys.stderr)


@app.command()
def rm(
    ids: Annotated[list[str] | None, typer.Argument(help="Notes to remove.", autocompletion=known_ids)] = None,
    list: Annotated[bool, typer.Option("--list", help="Show what lies in the trash.")] = False,
    restore: Annotated[bool, typer.Option("--restore", help="Bring notes of these ids back.")] = False,
    json: Json = False,
) -> None:
    """Remove notes, to a trash (.kb/trash) from which --restore or `kb undo` brings them back."""
    from kb.render import printable, style, table, to_json
    from kb.verbs.trash import as_json, remove, thrown
    from kb.verbs.trash import restore as bring_back

    if list:
        rows = [(t.id, t.when, t.path) for t in thrown(open_library().root)]
        keys = ("id", "when", "path")
        print(to_json([dict(zip(keys, row, strict=True)) for row in rows])) if json else show_lines(
            table(rows, ("bold", "dim"))
        )
        return
    if not ids:
        raise KbError(f"name the notes to {'bring back' if restore else 'remove'}; --list shows the trash", 2)
    if restore:
        paths = changing(lambda library: bring_back(library, ids))
        print(to_json({"restored": paths})) if json else show_lines(f"back again: {path}" for path in paths)
        return
    done = changing(lambda library: remove(library, meant(library, ids, works=False)))
    if json:
        print(to_json(as_json(done)))
        return
    show_lines(f"removed {path}" for path in done.paths)
    places = {f"{path}:{link.line}": link.context for path, link in done.links}
    show_lines(style(f"leads nowhere now: {at}: {printable(told)}", "yellow") for at, told in places.items())
    show_lines(style(f"is part of nothing now: {path}", "yellow") for path in done.parts)
    print("kb undo brings it back" if len(done.paths) == 1 else f"kb undo brings all {len(done.paths)} back")
