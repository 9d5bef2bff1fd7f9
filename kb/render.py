"""What the terminal shows: tables, colours and progress; plain text wherever output is not a terminal."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

_NEWS = 15  # rows of a part of `kb status --since`
_STYLES = {
    "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36",
    "inbox": "33", "to-read": "36", "reading": "1;32", "read": "2", "dropped": "2",
    "holds": "32", "fails": "31", "equivalent": "36", "unclear": "33", "not run": "2",
}  # fmt: skip
COLOURS = rf"(\033\[(?:0|{'|'.join(sorted(set(_STYLES.values())))})m)"
# What a terminal obeys, in lines that may be of several: controls (C0, C1), what turns the direction of writing, what
# ends lines for some programs only, halves of characters, invisible tags.
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


def is_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def style(text: str, name: str) -> str:
    """`text` in a colour, on a terminal that wants colours."""
    if not text or name not in _STYLES or not is_terminal() or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{_STYLES[name]}m{text}\033[0m"


def printable(text: str) -> str:
    """Text from a file or a service, without what a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def width(text: str) -> int:
    """Columns that a terminal gives a text: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, columns: int) -> str:
    """`text` in at most so many columns, with … where something is left out."""
    if width(text) <= columns:
        return text
    text = text[: 4 * columns]  # of which each has a width, or stands on one that has
    while text and width(text) > columns - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def table(rows: Sequence[Sequence[str]], styles: Sequence[str] = (), wide: int = -1) -> Iterator[str]:
    """Rows as aligned lines. On a terminal the column `wide` is cut so that a row fits on one line. A style of `=`
    takes the cell's own words for a style name."""
    if not rows:
        return
    on_terminal = is_terminal()
    if not on_terminal and (plain := _plain_table(rows)):
        yield from plain
        return
    columns = [_printable(column) for column in zip(*rows, strict=True)]
    widths = [max(map(len if "".join(column).isascii() else width, column)) for column in columns]
    if on_terminal and wide >= 0:
        room = shutil.get_terminal_size((100, 24)).columns - sum(widths) - 2 * (len(widths) - 1)
        widths[wide] = max(20, widths[wide] + min(0, room))
        columns = [[cut(c, size) for c in column] for column, size in zip(columns, widths, strict=True)]
    for n, (column, size) in enumerate(zip(columns, widths, strict=True)):
        name = styles[n] if on_terminal and n < len(styles) else ""
        filled = [padded(c, size) for c in column] if n + 1 < len(columns) else column
        columns[n] = (
            [style(f, c if name == "=" else name) for f, c in zip(filled, column, strict=True)] if name else filled
        )
    yield from ("  ".join(row).rstrip() for row in zip(*columns, strict=True))


def _plain_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The table for a pipe, in one go, where all of it is printable ASCII; nothing where it is not."""
    columns = list(zip(*rows, strict=True))
    whole = ["".join(column) for column in columns]
    if not all(text.isascii() and text.isprintable() for text in whole):
        return []
    line = "  ".join([*(f"%-{max(map(len, column))}s" for column in columns[:-1]), "%s"])
    return [(line % row).rstrip() for row in map(tuple, rows)]


def _printable(column: Sequence[str]) -> list[str]:
    return list(column) if "".join(column).isprintable() else [printable(cell) for cell in column]


def padded(text: str, columns: int) -> str:
    """`text` with spaces up to so many columns."""
    return text.ljust(columns) if text.isascii() else text + " " * (columns - width(text))


def to_json(value: Any) -> str:
    """JSON for people and programs: letters as they are, what a terminal would obey as an escape."""
    return UNSAFE.sub(lambda m: json.dumps(m[0])[1:-1], json.dumps(value, ensure_ascii=False, indent=2))


def json_rows(rows: Iterable[Any]) -> Iterator[str]:
    """`to_json` of a list, a row at a time."""
    last = ""
    for row in rows:
        yield f"{last}," if last else "["
        last = to_json([row])[2:-2]
    yield from (last, "]") if last else ("[]",)


def listing(rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    """The lines of `kb list`: id, status, kind, year, authors, title."""
    cells = [(id, status, kind, str(year or ""), authors, title) for id, status, kind, year, authors, title in rows]
    yield from table(cells, ("bold", "=", "dim", "dim", "dim"), wide=5)


def dashboard(found: dict[str, Any]) -> Iterator[str]:
    """The lines of `kb status`."""
    counts, kinds = found["counts"], found["kinds"]
    order = ("reading", "to-read", "inbox", "read", "dropped")
    yield "   ".join(f"{style(str(counts[s]), 'bold')} {style(s, s)}" for s in order if counts.get(s)) or "no notes yet"
    most = sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))
    if most:
        yield style(" · ".join(f"{n} {kind if n == 1 else _plural(kind)}" for kind, n in most), "dim")
    if "since" in found:
        yield from _since(found["since"])
    else:
        yield from _today(found)
    if found["problems"]:
        count = found["problems"]
        yield ""
        yield style(f"at least {count} problem{'s' if count > 1 else ''}: `kb check` says where", "yellow")


def _today(found: dict[str, Any]) -> Iterator[str]:
    yield from _part("Reading now", found["reading"], _place)
    yield from _part("Next", found["next"], lambda row: str(row.get("why", "")))
    yield from _part("Recently", found["recent"], lambda row: str(row.get("why", "")))
    yield from _part("Stale verdicts", found["stale"], lambda row: str(row.get("why", "")))


def _since(found: dict[str, Any]) -> Iterator[str]:
    """The parts of `kb status --since`: each row with the next command to type."""
    day = found["date"]
    titles = {
        "half_read": "Half-read", "open": "Open", "finished": f"Finished since {day}", "added": f"Added since {day}",
        "broke": f"Broken since {day}",
    }  # fmt: skip
    others = {"finished": f"kb list finished:{day}..", "added": f"kb list added:{day}..", "broke": "kb check"}
    for key, title in titles.items():
        if found[key]:
            yield ""
            yield style(title, "bold")
            shown = found[key][: _NEWS if key in others else None]
            rows = [(f"  {r.get('id', '')}", r["title"], r["why"], r["do"]) for r in shown]
            yield from table([row if row[0].strip() else ("  " + row[2], row[1], "", row[3]) for row in rows],
                             ("cyan", "", "dim", "green"), wide=1)  # fmt: skip
            if more := len(found[key]) - len(shown):
                yield style(f"  and {more} more: {others[key]}", "dim")
    if not any(found[key] for key in titles):
        yield ""
        yield f"Nothing is open, and nothing has been since {day}."


def queue(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The lines of `kb next`: each note, and below it the reasons."""
    for row in rows:
        year = f" ({row['year']})" if row.get("year") else ""
        yield f"{style(row['id'], 'bold')}  {printable(row['title'])}{year}"
        yield f"    {style(printable('; '.join(row['why'])), 'dim')}"


def _plural(kind: str) -> str:
    return kind if kind == "code" else kind + "s"


def _part(title: str, rows: Sequence[dict[str, Any]], about: Any) -> Iterator[str]:
    if rows:
        yield ""
        yield style(title, "bold")
        cells = [(f"  {row['id']}", str(row.get("title", "")), about(row)) for row in rows]
        yield from table(cells, ("cyan", "", "dim"), wide=1)


def _place(row: dict[str, Any]) -> str:
    """How long, and where to go on."""
    since = f"since {row['started']}" if row.get("started") else ""
    return ", ".join(filter(None, (since, f"at {row['at']}" if row.get("at") else "")))


def progress(items: Iterable[Any], total: int, what: str = "reading notes") -> Iterable[Any]:
    """Go through `items` with a bar on the terminal where there are enough of them to wait for."""
    if total < 300 or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    screen = getattr(sys.stderr, "stream", sys.stderr)  # kb.cli.screen lets no cursor move
    yield from track(items, what, total, console=Console(file=screen), transient=True)
