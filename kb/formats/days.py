"""Days and years as other programs write them -> ISO dates. What may be two days is none."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"({'|'.join(MONTHS)})[a-z]*\.?"


def day_of(text: str) -> str:
    """'2024-03-05 10:22:11', '2024-03-05T…Z', '<2024-03-05 Tue>', '2024/03/05', 'March 5, 2024 3:04 PM', '5 Mar 2024'
    or the seconds since 1970 -> '2024-03-05'; '05/03/2024' and all else -> ''."""
    text = text.strip().strip("<>[]")
    if re.fullmatch(r"\d{9,10}(\.\d+)?|\d{12,13}", text):
        seconds = float(text) / (1000 if len(text.partition(".")[0]) > 10 else 1)
        return datetime.fromtimestamp(seconds, UTC).date().isoformat()
    if m := re.match(r"([12]\d{3})([-/.])(\d\d?)\2(\d\d?)(?!\d)", text):
        return _iso(m[1], m[3], m[4])
    if m := re.match(rf"{_MONTH}\s+(\d\d?)(?:st|nd|rd|th)?,?\s+([12]\d{{3}})\b", text, re.I):
        return _iso(m[3], _number(m[1]), m[2])
    if m := re.match(rf"(\d\d?)\.?\s+{_MONTH},?\s+([12]\d{{3}})\b", text, re.I):
        return _iso(m[3], _number(m[2]), m[1])
    return ""


def _number(month: str) -> str:
    return str(MONTHS.index(month.lower()[:3]) + 1)


def _iso(year: str, month: str, day: str) -> str:
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return ""


def published_of(text: str, month: str = "") -> tuple[int | None, str]:
    """The year of a date, and as much of the date as is told: '2020-06-19', '2020-06', '2020'."""
    if day := day_of(text) if not text.isdecimal() else "":
        return int(day[:4]), day
    if m := re.match(r"([12]\d{3})[-/](0?[1-9]|1[0-2])(?!\d)", text):
        return int(m[1]), f"{m[1]}-{int(m[2]):02}"
    m = re.search(r"(?<!\d)[12]\d{3}(?!\d)", text)
    if not m:
        return None, ""
    word = re.match(r"\d{1,2}|[a-z]{3}|", (month or _named_month(text)).lower())
    named = word[0] if word else ""
    number = MONTHS.index(named) + 1 if named in MONTHS else int(named) if named.isdecimal() else 0
    return int(m[0]), f"{m[0]}-{number:02}" if 1 <= number <= 12 else m[0]


def _named_month(text: str) -> str:
    """The month of 'June 2020' and '(2020, Jun.)'."""
    m = re.search(rf"\b{_MONTH}(?![a-z])", text, re.I)
    return m[1] if m and len(text) < 30 else ""
