"""Verbs that show what there is."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kb.cli.shared import (
    Id,
    Json,
    Kind,
    Query,
    Status,
    Tags,
    app,
    changing,
    known_ids,
    known_sorts,
    known_statuses,
    meant,
    open_library,
    show_lines,
)
from kb.problem import KbError

if TYPE_CHECKING:
    from kb.library import Library


@app.command("list")
def list_(
    query: Query = None,
    status: Status = "",
    tag: Tags = None,
    kind: Kind = "",
    year: Annotated[str, typer.Option(help="2020, 2020..2023 or 2020..")] = "",
    author: Annotated[str, typer.Option(help="Part of a name.")] = "",
    repro: Annotated[bool, typer.Option("--repro", help="Only what has a reproduction.")] = False,
    sort: Annotated[
        str,
        typer.Option(
            help="added, year, title, author, started, finished, status, rating, id.", autocompletion=known_sorts
        ),
    ] = "added",
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many.")] = 0,
    json: Json = False,
) -> None:
    """List notes. All terms of a query hold: status:to-read kind:paper year:2020..2023 author:ho has:code -tag:x"""
    from kb.index import SORTS
    from kb.query import parse
    from kb.render import json_rows, listing

    if sort not in SORTS:
        raise KbError(f"no order '{sort}'; there are {' '.join(SORTS)}", 2)
    asked = parse(" ".join(query or ())).plus("status", status).plus("tag", *(tag or ())).plus("kind", kind)
    asked = asked.plus("year", year).plus("author", author).plus("has", "repro" if repro else "")
    index = open_library().index
    if json:
        show_lines(json_rows(index.selected(asked, sort, limit)))
    else:
        show_lines(listing(index.table(asked, sort, limit)))


def _ids_or_statuses(incomplete: str) -> list[str]:
    return [*known_ids(incomplete), *known_statuses(incomplete)]


@app.command()
def status(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID|QUERY]... [STATUS]", help="Notes or a query, then what to set them to.",
                       autocompletion=_ids_or_statuses),
    ] = None,
    since: Annotated[str, typer.Option(help="What has been since then: 2025-01-04, yesterday, monday, 7d, 2w.")] = "",
    json: Json = False,
) -> None:  # fmt: skip
    """Without an argument the state of your reading; with notes or a query their status; with a status too, set it.
    `reading` and `read` are stamped with today's date."""
    from kb.query import is_term
    from kb.render import listing, to_json

    what = list(words or ())
    to = what.pop() if len(what) > 1 and not is_term(what[-1]) else ""
    if since and what:
        raise KbError("--since tells of the whole vault; name no note with it", 2)
    if not what:
        _morning(since, json)
        return
    if to:
        _set_status(what, to, json)
        return
    notes = meant(open_library(), what)
    if json:
        print(to_json([note.as_json() for note in notes]))
    else:
        from kb.note import shown_authors

        show_lines(listing((n.id, n.status, n.kind, n.year, shown_authors(n.authors), n.title) for n in notes))


def _set_status(what: list[str], to: str, json: bool) -> None:
    from kb.render import style, to_json
    from kb.verbs.status import set_status

    def change(library: "Library") -> tuple[list[str], list[str]]:
        notes = meant(library, what)
        changed = set_status(library, notes, to)
        return changed, [note.path for note in notes if note.path not in changed]

    changed, unchanged = changing(change)
    if json:
        print(to_json({"status": to, "changed": changed, "unchanged": unchanged}))
        return
    show_lines(f"{style(to, to)}  {path}" for path in changed)
    show_lines(f"{path} was {to} already" for path in unchanged)
    if len(changed) > 1:
        print(style(f"{len(changed)} notes; `kb undo` takes it back", "dim"))


def _morning(since: str, json: bool) -> None:
    """`kb status` by itself: where things stand, and what has been since a day."""
    from kb.checks.results import stale_rows
    from kb.render import dashboard, to_json
    from kb.verbs.since import day_of
    from kb.verbs.since import since as come_back
    from kb.verbs.status import dashboard as morning

    day = day_of(since) if since else None
    library = open_library()
    stale = stale_rows(library)
    found = morning(library, day, stale=stale)
    if day:
        found["since"] = come_back(library, day, stale)
    print(to_json(found)) if json else show_lines(dashboard(found))


@app.command("next")
def next_(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[N] [QUERY]...", help="How many, and of which notes.")
    ] = None,
    json: Json = False,
) -> None:
    """What to read next, and why. Points: 10 for a star of its rating, 12 for the next part of a course begun, 8 for a
    link from what you are reading, 3 for a tag of what you read lately, 1 for another note's link, 1 for each month
    that it waits."""
    from kb.query import parse
    from kb.render import queue, to_json
    from kb.verbs.choosing import reading_queue

    asked = list(words or ())
    count = int(asked.pop(0)) if asked and asked[0].isascii() and asked[0].isdigit() else 5
    library = open_library()
    rows = reading_queue(library, count, parse(" ".join(asked)))
    if json:
        print(to_json(rows))
        return
    show_lines(queue(rows))
    if not rows:
        waiting = library.index.counts("status").get("inbox", 0)
        told = f"; {waiting} in the inbox: kb list status:inbox" if waiting else ""
        print(f"nothing to read{' answers that' if asked else ''}{told}", file=sys.stderr)


@app.command()
def results(
    words: Annotated[list[str] | None, typer.Argument(help="Data, metric, task, note or recipe: CIFAR-10 FID")] = None,
    json: Json = False,
) -> None:
    """What papers report and what our runs measured, as one table; ours say how they are smaller. Without words the
    first numbers of each recipe; with words all that hold them."""
    from kb.render import to_json
    from kb.verbs.reported import FIRST, lines, reported

    rows = reported(open_library(), words or ())
    print(to_json(rows)) if json else show_lines(lines(rows, 0 if words else FIRST))


@app.command()
def show(id: Id, json: Json = False) -> None:
    """One note: what is known of it, its text, what links to it."""
    from kb.render import to_json
    from kb.verbs.show import as_json, lines

    library = open_library()
    note = library.find(id)
    print(to_json(as_json(library, note))) if json else show_lines(lines(library, note))


@app.command()
def search(
    text: Annotated[list[str], typer.Argument(help='Words, "words side by side", and fields: kind:paper year:2020..')],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 20,
    json: Json = False,
) -> None:
    """Full text of the notes, best first, with the place."""
    from kb.query import is_term, parse
    from kb.render import printable, style, to_json

    words = " ".join(text).split(" ") if len(text) == 1 and '"' not in text[0] else text
    fields = [w for w in words if is_term(w)]
    sought = " ".join(f'"{w}"' if " " in w and '"' not in w else w for w in words if w not in fields)
    found = open_library().index.search(sought, parse(" ".join(fields)), limit)
    if found and found[0].get("partial"):
        print("kb: no note has all of these words; these have some of them", file=sys.stderr)
    if json:
        print(to_json(found))
        return
    for hit in found:
        print(f"{style(hit['id'], 'bold')}  {printable(hit['title'])}")
        show_lines(f"    {style(printable(snippet), 'dim')}" for snippet in hit["snippets"] if snippet)


@app.command()
def links(
    id: Annotated[str, typer.Argument(help="A note.", autocompletion=known_ids)] = "",
    orphans: Annotated[bool, typer.Option("--orphans", help="Notes without a link in or out.")] = False,
    broken: Annotated[bool, typer.Option("--broken", help="Links that lead nowhere, over the vault.")] = False,
    json: Json = False,
) -> None:
    """What a note links to, and what links to it, each with its sentence."""
    from kb.render import printable, to_json
    from kb.verbs.show import broken_links, link_lines, links_json, orphan_rows

    library = open_library()
    if orphans or broken:
        rows = orphan_rows(library) if orphans else broken_links(library)
        print(to_json(rows)) if json else show_lines(printable(" ".join(str(v) for v in row.values())) for row in rows)
    elif not id:
        raise KbError("name a note, or ask for --orphans or --broken", 2)
    else:
        found = links_json(library, library.find(id))
        print(to_json(found)) if json else show_lines(link_lines(found))
