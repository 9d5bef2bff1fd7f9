"""What the terminal shows: aligned, cut to fit, coloured on a terminal only, and never obeyed."""

from __future__ import annotations

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.render import cut, dashboard, json_rows, listing, printable, style, table, to_json, width


class Terminal(io.StringIO):
    """Standard output as a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return monkeypatch


def test_colours_are_for_terminals_that_want_them(terminal: pytest.MonkeyPatch) -> None:
    terminal.setattr(sys, "stdout", Terminal())  # here: pytest sets its own between fixture and test
    assert style("x", "red") == "\033[31mx\033[0m"
    assert (style("", "red"), style("x", "no such")) == ("", "x")
    terminal.setenv("NO_COLOR", "1")
    assert style("x", "red") == "x"
    terminal.delenv("NO_COLOR")
    terminal.setenv("TERM", "dumb")
    assert style("x", "red") == "x"


def test_no_colours_without_a_terminal() -> None:
    assert style("x", "red") == "x"


@given(st.text())
def test_nothing_printable_is_obeyed_by_a_terminal(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    assert not text.isprintable() or shown == text


def test_escapes_are_shown_as_what_they_are_not() -> None:
    assert printable("a\x1b]0;t\x07b\tc\r\nd\x9b1m") == "a\ufffd]0;t\ufffdb c  d\ufffd1m"


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("ｆ", 2), ("", 0)])
def test_columns(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize(
    ("text", "columns", "short"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("ab cdef", 4, "ab…"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("abc", 1, "…"),
    ],
)
def test_cutting(text: str, columns: int, short: str) -> None:
    assert cut(text, columns) == short


@given(st.text(), st.integers(1, 20))
def test_what_is_cut_fits(text: str, columns: int) -> None:
    assert width(cut(text, columns)) <= columns


ROWS = [
    (
        "ddpm",
        "read",
        "paper",
        2020,
        "Ho et al.",
        "Denoising Diffusion Probabilistic Models and more",
    ),
    ("unet-\x1b[31m", "", "", None, "", "日本"),
]


def test_a_listing_without_a_terminal_is_whole_and_plain() -> None:
    assert list(listing(ROWS)) == [
        "ddpm        read  paper  2020  Ho et al.  Denoising Diffusion Probabilistic Models and more",
        "unet-\ufffd[31m                                日本",
    ]
    assert list(listing([])) == []


def test_a_listing_on_a_terminal_is_cut_and_coloured(terminal: pytest.MonkeyPatch) -> None:
    terminal.setattr(sys, "stdout", Terminal())
    first, second = listing(ROWS)
    assert first == (
        "\033[1mddpm      \033[0m  \033[2mread\033[0m  \033[2mpaper\033[0m  \033[2m2020\033[0m  \033[2mHo et al.\033[0m"
        "  Denoising Diffusion…"
    )
    assert "\033[31m" not in second


@pytest.mark.parametrize("rows", [[], [{"a": 1}], [{"a": [1, {"b": "é\x1b"}]}, {}, {"c": []}]])
def test_json_a_row_at_a_time_is_the_same_json(rows: list[dict[str, object]]) -> None:
    assert "\n".join(json_rows(rows)) == to_json(rows)


def test_a_table_without_rows_is_empty() -> None:
    assert list(table([])) == []


def test_the_dashboard() -> None:
    found = {
        "counts": {"read": 2, "reading": 1},
        "kinds": {"code": 2, "paper": 2, "talk": 1},
        "reading": [{"id": "a", "title": "A", "started": "2025-01-01", "at": "p. 3"}],
        "next": [{"id": "b", "why": "rated 5 of 5"}],
        "recent": [],
        "stale": [],
        "problems": 2,
    }
    assert list(dashboard(found)) == [
        "1 reading   2 read",
        "2 code · 2 papers · 1 talk",
        "",
        "Reading now",
        "  a  A  since 2025-01-01, at p. 3",
        "",
        "Next",
        "  b    rated 5 of 5",
        "",
        "at least 2 problems: `kb check` says where",
    ]
    empty = {"counts": {}, "kinds": {}, "reading": [], "next": [], "recent": [], "stale": [], "problems": 0}
    assert list(dashboard(empty)) == ["no notes yet"]


def test_json_keeps_letters() -> None:
    assert to_json({"a": "é\x1b"}) == '{\n  "a": "é\\u001b"\n}'
    assert json.loads(to_json(ROWS[0][:3])) == ["ddpm", "read", "paper"]
