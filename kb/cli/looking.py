"""Verbs that show what there is."""

from __future__ import annotations

from typing import Annotated

import typer

from kb.cli.shared import (
    Id,
    Json,
    Kind,
    Query,
    Status,
    Tags,
    app,
    day,
    known_ids,
    known_statuses,
    meant,
    open_library,
    show_lines,
)
from kb.problem import KbError


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
        str, typer.Option(help="added, year, title, author, started, finished, status, rating, id.")
    ] = "added",
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many.")] = 0,
    json: Json = False,
) -> None:
    """List notes. All terms of a query hold: status:to-read kind:paper year:2020..2023 author:ho has:code -tag:x"""
    from kb.index import SORTS
    from kb.query import parse
    from kb.render import listing, to_json

    if sort not in SORTS:
        raise KbError(f"no order '{sort}'; there are {' '.join(SORTS)}", 2)
    asked = parse(" ".join(query or ())).plus("status", status).plus("tag", *(tag or ())).plus("kind", kind)
    asked = asked.plus("year", year).plus("author", author).plus("has", "repro" if repro else "")
    index = open_library().index
    if json:
        print(to_json(index.select(asked, sort, limit)))
    else:
        show_lines(listing(index.table(asked, sort, limit)))


@app.command()
def status(
    what: Annotated[str, typer.Argument(help="A note, or a query in quotes.", autocompletion=known_ids)] = "",
    to: Annotated[str, typer.Argument(metavar="STATUS", help="What to set it to.", autocompletion=known_statuses)] = "",
    since: Annotated[str, typer.Option(help="How far back `recently` looks, as a date: 2025-01-04.")] = "",
    json: Json = False,
) -> None:
    """Without an argument the state of your reading; with a note its status; with a status too, set it.
    `reading` and `read` are stamped with today's date."""
    from kb.check_results import stale_rows
    from kb.render import dashboard, listing, style, to_json
    from kb.status import dashboard as morning
    from kb.status import set_status

    library = open_library()
    if not what:
        found = morning(library, day(since), stale=stale_rows(library))
        print(to_json(found)) if json else show_lines(dashboard(found))
        return
    notes = meant(library, what)
    if to:
        changed = set_status(library, notes, to)
        unchanged = [note.path for note in notes if note.path not in changed]
        show_lines(
            [*(f"{style(to, to)}  {path}" for path in changed), *(f"{path} was {to} already" for path in unchanged)]
        )
    elif json:
        print(to_json([note.as_json() for note in notes]))
    else:
        from json import dumps

        show_lines(listing((n.id, n.status, n.kind, n.year, dumps(n.authors), n.title) for n in notes))


@app.command()
def show(id: Id, json: Json = False) -> None:
    """One note: what is known of it, its text, what links to it."""
    from kb.render import to_json
    from kb.show import as_json, lines

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
    from kb.query import FIELDS, parse
    from kb.render import printable, style, to_json

    words = " ".join(text).split(" ") if len(text) == 1 and '"' not in text[0] else text
    fields = [w for w in words if w.lstrip("-¬").partition(":")[0] in FIELDS and ":" in w]
    sought = " ".join(f'"{w}"' if " " in w and '"' not in w else w for w in words if w not in fields)
    found = open_library().index.search(sought, parse(" ".join(fields)), limit)
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
    from kb.show import broken_links, link_lines, links_json, orphan_rows

    library = open_library()
    if orphans or broken:
        rows = orphan_rows(library) if orphans else broken_links(library)
        print(to_json(rows)) if json else show_lines(printable(" ".join(str(v) for v in row.values())) for row in rows)
    elif not id:
        raise KbError("name a note, or ask for --orphans or --broken", 2)
    else:
        found = links_json(library, library.find(id))
        print(to_json(found)) if json else show_lines(link_lines(found))
