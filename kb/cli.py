"""The command line: one short function a verb. It reads arguments and shows results; everything else is elsewhere, and
is imported when its verb runs, so that `kb list` does not wait for what only `kb build` needs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kb.problem import KbError

if TYPE_CHECKING:
    from kb.add import Added
    from kb.library import Library
    from kb.note import Note
    from kb.problem import Problem

app = typer.Typer(
    name="kb",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Papers you can run: notes on papers, talks, courses, posts and code; listed, searched, checked and linked.",
)
_root: list[str | None] = [None]


def main() -> None:
    """Run the command line; a KbError is one line and an exit code, never a traceback."""
    sys.argv[1:] = [_negated(arg) for arg in sys.argv[1:]]
    try:
        app()
    except KbError as error:
        print(f"kb: {error}", file=sys.stderr)
        sys.exit(error.code)
    except KeyboardInterrupt:
        print("kb: interrupted; what was not yet written was left as it was", file=sys.stderr)
        sys.exit(130)


def _negated(arg: str) -> str:
    """`-tag:x` is a term of a query; without another sign for `not` it would be read as the option -t."""
    if not arg.startswith("-") or ":" not in arg:
        return arg
    from kb.query import FIELDS

    return f"¬{arg[1:]}" if arg[1:].partition(":")[0] in FIELDS else arg


def _version(wanted: bool) -> None:
    if wanted:
        from kb import __version__

        print(f"kb {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    root: Annotated[str | None, typer.Option(help="The vault. Else KB_ROOT, else the nearest one upwards.")] = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    _root[0] = root


def _library() -> Library:
    """The vault, up to date; says so if an earlier command had died half-way or the index had to be made anew."""
    from kb.files import Journal
    from kb.library import Library, find_root
    from kb.render import progress

    root = find_root(_root[0])
    cut_off = Journal(root).recover()
    if cut_off:
        print(f"kb: `kb {cut_off.verb}` was cut off; what it had begun was taken back", file=sys.stderr)
    library = Library(root, progress)
    if library.index.rebuilt:
        print("kb: the index was damaged and has been made anew; no note was touched", file=sys.stderr)
    return library


def _show(lines: Any) -> None:
    for line in lines:
        print(line)


def _ids(incomplete: str) -> list[str]:
    """The ids that a shell completes to."""
    from kb.query import parse

    try:
        return [row[0] for row in _library().index.table(parse(""), "id", 0) if row[0].startswith(incomplete)]
    except KbError:
        return []


def _statuses(incomplete: str) -> list[str]:
    from kb.note import STATUSES

    return [status for status in STATUSES if status.startswith(incomplete)]


def _kinds(incomplete: str) -> list[str]:
    from kb.note import KINDS

    return [kind for kind in KINDS if kind.startswith(incomplete)]


Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
Query = Annotated[
    list[str] | None, typer.Argument(help="Words and fields: status:to-read tag:diffusion year:2020.. ho")
]
Id = Annotated[str, typer.Argument(help="A note: its id, alias, title, arXiv id, DOI or URL.", autocompletion=_ids)]
Status = Annotated[str, typer.Option(help="inbox, to-read, reading, read or dropped.", autocompletion=_statuses)]
Tags = Annotated[list[str] | None, typer.Option("--tag", "-t", help="May be given several times.")]
Kind = Annotated[str, typer.Option(help="paper, talk, lecture, course, post …", autocompletion=_kinds)]


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="Where.")] = Path()) -> None:
    """Make a new vault: a folder of notes that lists, searches and builds at once."""
    from kb.vault import init as make

    written = make(folder)
    print(f"A vault is in {folder.resolve()}: {', '.join(written)}")
    print(f"Next: cd {folder}, then kb add 2006.11239, kb import LIST.md, kb status, kb serve")


@app.command()
def add(
    refs: Annotated[
        list[str] | None, typer.Argument(help="arXiv id or URL, DOI, any URL, a .bib file, - for stdin.")
    ] = None,
    status: Status = "to-read",
    tag: Tags = None,
    kind: Kind = "",
    id: Annotated[str, typer.Option(help="The file name instead of one made from the title.")] = "",
    title: Annotated[str, typer.Option(help="The title instead of the one that is fetched.")] = "",
    note: Annotated[str, typer.Option(help="A first line of your own.")] = "",
    offline: Annotated[bool, typer.Option("--offline", help="Ask no service; `--complete` does so later.")] = False,
    complete: Annotated[bool, typer.Option("--complete", help="Fetch what earlier adds could not.")] = False,
    json: Json = False,
) -> None:
    """Make a note of a paper or anything else, with its metadata; what has a note already is named instead."""
    from kb.add import AddOptions
    from kb.add import add as make
    from kb.complete import complete as finish
    from kb.render import printable, to_json
    from kb.sources import fetcher

    if not refs and not complete:
        raise KbError("nothing to add; name an arXiv id, a URL, a .bib file, or - for standard input", 2)
    stdin = sys.stdin.read() if refs and "-" in refs else ""
    library = _library()
    added: list[Added] = []
    problems: list[Problem] = []
    if refs:
        options = AddOptions(status, tuple(tag or ()), kind, id, title, note, offline, stdin)
        added = make(library, refs, options, fetcher())
    if complete:
        finished, problems = finish(library, fetcher())
        added += finished
    if json:
        print(to_json([a.as_json() for a in added]))
    else:
        _show(a.message or f"{a.action} {a.path}" for a in added)
    for problem in problems:
        print(printable(str(problem)), file=sys.stderr)
    raise typer.Exit(1 if problems or any(a.action == "exists" for a in added) else 0)


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Markdown reading lists.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, write nothing.")] = False,
    review: Annotated[bool, typer.Option("--review", help="Edit the plan in $EDITOR first.")] = False,
    as_: Annotated[str, typer.Option("--as", help="The name of the list, where another of its name is known.")] = "",
    json: Json = False,
) -> None:
    """Turn reading lists into notes, every line accounted for. Importing an edited list again brings its changes in
    and leaves what you wrote alone; `kb undo` takes a whole import back."""
    from kb.importing import apply
    from kb.importing.terminal import plan_files, summary
    from kb.render import to_json

    library = _library()
    plan = plan_files(library, files, as_, review)
    if plan is None:
        print("nothing was imported")
        return
    if not dry_run:
        apply(library, plan)
    if json:
        print(to_json(plan.as_json()))
    else:
        _show(summary(plan, dry_run))


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
    index = _library().index
    if json:
        print(to_json(index.select(asked, sort, limit)))
    else:
        _show(listing(index.table(asked, sort, limit)))


@app.command()
def status(
    what: Annotated[str, typer.Argument(help="A note, or a query in quotes.", autocompletion=_ids)] = "",
    to: Annotated[str, typer.Argument(metavar="STATUS", help="What to set it to.", autocompletion=_statuses)] = "",
    since: Annotated[str, typer.Option(help="How far back `recently` looks, as a date: 2025-01-04.")] = "",
    json: Json = False,
) -> None:
    """Without an argument the state of your reading; with a note its status; with a status too, set it.
    `reading` and `read` are stamped with today's date."""
    from kb.check_results import stale_rows
    from kb.render import dashboard, listing, style, to_json
    from kb.status import dashboard as morning
    from kb.status import set_status

    library = _library()
    if not what:
        found = morning(library, _day(since), stale=stale_rows(library))
        print(to_json(found)) if json else _show(dashboard(found))
        return
    notes = _meant(library, what)
    if to:
        changed = set_status(library, notes, to)
        unchanged = [note.path for note in notes if note.path not in changed]
        _show([*(f"{style(to, to)}  {path}" for path in changed), *(f"{path} was {to} already" for path in unchanged)])
    elif json:
        print(to_json([note.as_json() for note in notes]))
    else:
        from json import dumps

        _show(listing((n.id, n.status, n.kind, n.year, dumps(n.authors), n.title) for n in notes))


def _day(text: str) -> Any:
    from datetime import date

    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise KbError(f"'{text}' is no date; write it like 2025-01-04", 2) from None


def _meant(library: Library, what: str) -> list[Note]:
    """The notes that a name or a query means; at least one."""
    from kb.query import FIELDS, as_sql, parse

    if what.partition(":")[0].lstrip("-¬") not in FIELDS or library.index.resolve(what):
        return [library.find(what)]
    where, args = as_sql(parse(what))
    notes = [note for note in library.index.notes(where, args) if note.status]
    if not notes:
        raise KbError(f"no note answers `{what}`; `kb list {what}` tries it")
    return notes


@app.command()
def show(id: Id, json: Json = False) -> None:
    """One note: what is known of it, its text, what links to it."""
    from kb.render import to_json
    from kb.show import as_json, lines

    library = _library()
    note = library.find(id)
    print(to_json(as_json(library, note))) if json else _show(lines(library, note))


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
    found = _library().index.search(sought, parse(" ".join(fields)), limit)
    if json:
        print(to_json(found))
        return
    for hit in found:
        print(f"{style(hit['id'], 'bold')}  {printable(hit['title'])}")
        _show(f"    {style(printable(snippet), 'dim')}" for snippet in hit["snippets"] if snippet)


@app.command()
def links(
    id: Annotated[str, typer.Argument(help="A note.", autocompletion=_ids)] = "",
    orphans: Annotated[bool, typer.Option("--orphans", help="Notes without a link in or out.")] = False,
    broken: Annotated[bool, typer.Option("--broken", help="Links that lead nowhere, over the vault.")] = False,
    json: Json = False,
) -> None:
    """What a note links to, and what links to it, each with its sentence."""
    from kb.render import printable, to_json
    from kb.show import broken_links, link_lines, links_json, orphan_rows

    library = _library()
    if orphans or broken:
        rows = orphan_rows(library) if orphans else broken_links(library)
        print(to_json(rows)) if json else _show(printable(" ".join(str(v) for v in row.values())) for row in rows)
    elif not id:
        raise KbError("name a note, or ask for --orphans or --broken", 2)
    else:
        found = links_json(library, library.find(id))
        print(to_json(found)) if json else _show(link_lines(found))


@app.command()
def check(
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended safely.")] = False,
    all: Annotated[bool, typer.Option("--all", help="Information too: wanted links, notes to complete.")] = False,
    format: Annotated[str, typer.Option(help="text, json or github.")] = "text",
    json: Json = False,
) -> None:
    """Everything that is wrong in the vault, as path:line: check: message (what to do)."""
    from kb.check import check as run
    from kb.check import render
    from kb.fix import fix as mend
    from kb.library import Library
    from kb.render import printable

    library = _library()
    if fix:
        mended = mend(library)
        _show(f"fixed {printable(str(problem))}" for problem in mended)
        library = Library(library.root) if mended else library
    problems = [p for p in run(library) if all or p.level != "info"]
    text = render(problems, "json" if json else format)
    if text:
        print(text)
    raise typer.Exit(1 if any(p.level != "info" for p in problems) else 0)


@app.command()
def undo(
    skip_changed: Annotated[bool, typer.Option("--skip-changed", help="Leave files that you edited since.")] = False,
) -> None:
    """Take back the last change of any verb: an add, a status, a whole import."""
    from kb.files import Journal
    from kb.library import find_root

    change, kept = Journal(find_root(_root[0])).undo(skip_changed)
    count = len(change.paths) - len(kept)
    print(f"took back `kb {change.verb}` of {change.when}: {count} file{'' if count == 1 else 's'}")
    _show(f"left as you edited it: {path}" for path in kept)


@app.command()
def claims(
    paper: Annotated[str, typer.Argument(help="A folder of repro/, for all that belongs beside its verdicts.")] = "",
    json: Json = False,
) -> None:
    """What papers claim and what our runs say of it: holds, fails, equivalent, unclear or not run; stale where the
    code has changed since."""
    from kb.claims import as_json, claim_table, details
    from kb.library import find_root
    from kb.render import printable, to_json
    from kb.results import Results

    results = Results(find_root(_root[0]))
    papers = [results.find(paper)] if paper else list(results.papers.values())
    if json:
        print(to_json(as_json(papers, bool(paper))))
    else:
        _show(details(papers[0]) if paper else claim_table(papers))
    problems = [problem for found in papers for problem in found.problems]
    for problem in problems:
        print(printable(str(problem)), file=sys.stderr)
    raise typer.Exit(1 if problems else 0)


@app.command()
def run(
    paper: Annotated[str, typer.Argument(help="A folder of repro/.")],
    recipe: Annotated[str, typer.Argument(help="One of its recipes; `python -m repro` lists them.")] = "smoke",
    args: Annotated[
        list[str] | None, typer.Argument(help="After --, for the training: --seed 1 --minutes 9 --out DIR")
    ] = None,
    gpus: Annotated[int, typer.Option(min=0, help="So many processes, a GPU each, through torchrun.")] = 0,
) -> None:
    """Train: `python -m repro.PAPER.train RECIPE ARGS`, its output and exit code as they are."""
    from kb.library import find_root
    from kb.run import run as train

    given = list(args or ())
    if recipe.startswith("-"):  # kb run PAPER -- ARGS
        recipe, given = "smoke", [recipe, *given]
    train(find_root(_root[0]), paper, recipe, gpus, given)


@app.command()
def build(
    strict: Annotated[bool, typer.Option("--strict", help="Fail where the build warns.")] = False,
    to: Annotated[Path | None, typer.Option("--to", help="The folder to write instead of site/.")] = None,
) -> None:
    """Write the site."""
    from kb.library import find_root
    from kb.site.build import build as make

    report = make(find_root(_root[0]), strict, to)
    print(f"{report.pages} pages in {report.seconds:.1f} s: open {report.site_dir / 'index.html'}")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port.")] = 8000,
    open: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Show the site, and keep it up to date while you write."""
    from kb.library import find_root
    from kb.site.build import serve as run

    run(find_root(_root[0]), host, port, open)
