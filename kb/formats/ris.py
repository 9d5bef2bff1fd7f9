"""RIS, as EndNote, Mendeley, Zotero and publishers' pages write it: records of `TAG  - value` lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from kb.formats.records import (
    Record,
    added_day,
    endless,
    front_matter,
    links_of,
    name_of,
    tags_and_status,
    text_of,
    unread,
)
from kb.formats.rich_text import to_markdown
from kb.problem import Problem

_TAG = re.compile(r"([A-Z][A-Z0-9])(?:  ?- ?|  ?-$|\s*-\s+)(.*)")
_TYPES = {
    "JOUR": "article", "EJOUR": "article", "MGZN": "article", "NEWS": "article", "JFULL": "article", "ABST": "article",
    "CONF": "inproceedings", "CPAPER": "inproceedings", "BOOK": "book", "EBOOK": "book", "EDBOOK": "book",
    "WHOLE": "book", "CHAP": "incollection", "ECHAP": "incollection", "THES": "phdthesis", "RPRT": "techreport",
    "GOVDOC": "techreport", "STAND": "techreport", "UNPB": "unpublished", "INPR": "unpublished",
    "MANSCPT": "unpublished",
    "ELEC": "online", "WEB": "online", "BLOG": "online", "ICOMM": "online", "VIDEO": "video", "MPCT": "video",
    "SLIDE": "video", "SOUND": "video", "MULTI": "video", "COMP": "software", "DATA": "dataset", "AGGR": "dataset",
    "DBASE": "dataset", "PREPRINT": "misc", "GEN": "misc",
}  # fmt: skip
_PLACES = {"JOUR": ("JF", "T2", "JO", "JA", "J2", "BT"), "": ("T2", "BT", "JF", "C3", "JO", "JA", "J2")}
_EXTRA = {  # tag -> BibTeX's field
    "VL": "volume", "IS": "number", "PB": "publisher", "CY": "address", "ET": "edition", "T3": "series",
    "LA": "language", "ST": "shorttitle", "A2": "editor", "ED": "editor", "A3": "editor", "A4": "translator",
    "M3": "type", "AN": "number", "DP": "", "DB": "",
}  # fmt: skip


@dataclass
class _Block:
    line: int
    end: int = 0
    fields: list[tuple[str, str]] = field(default_factory=list)
    closed: bool = False
    stray: list[int] = field(default_factory=list)

    def all(self, *tags: str) -> list[str]:
        """The values of tags, in the order of the tags."""
        return [value.strip() for tag in tags for t, value in self.fields if t == tag and value.strip()]

    def first(self, *tags: str) -> str:
        return next(iter(self.all(*tags)), "")


def read(data: bytes, name: str) -> tuple[list[Record], list[Problem]]:
    """The records of a .ris file."""
    text, problems = text_of(data, name, "ris")
    if fault := endless(text, name, "ris"):
        return [fault[0]], [*problems, fault[1]]
    records = []
    for block in _blocks(text):
        record = None
        if block.fields[0][0] != "TY":
            what = f"a line '{block.fields[0][1][:40]}'" if not block.fields[0][0] else f"a tag {block.fields[0][0]}"
            hint = "begin the record with `TY  - JOUR`"
            record, problem = unread(name, block.line, "ris", f"{what} stands outside a record", hint, block.end)
        elif not block.first("TI", "T1", "CT", "BT", "ST"):
            record, problem = unread(name, block.line, "ris", "a record has no title", "add a TI line", block.end)
        if record:
            problems.append(problem)
            records.append(record)
            continue
        if not block.closed:
            message = "a record has no `ER  -` at its end"
            problems.append(Problem(name, block.line, "ris", message, "look whether it is whole", "warning"))
        records.append(_record(block))
    return records, sorted(problems)


def _blocks(text: str) -> Iterator[_Block]:
    """The records, and the runs of lines outside any; blank lines belong to what stands around them."""
    block: _Block | None = None
    for no, raw in enumerate(text.split("\n"), 1):
        m = _TAG.match(raw.strip("\x1a \t"))
        if m is None and not raw.strip("\x1a \t\ufeff"):
            continue
        tag, value = (m[1], m[2]) if m else ("", raw.strip())
        if block and ((tag == "TY") or (block.closed) or (block.fields[0][0] != "TY" and tag == "TY")):
            yield block
            block = None
        block = block or _Block(no)
        block.end = no
        if tag == "ER":
            block.closed = True
            if not block.fields:
                block.fields.append((tag, value))
        elif m or not block.fields:
            block.fields.append((tag, value))
        else:
            last, before = block.fields[-1]
            joint = "\n" if last in ("AB", "N1", "N2", "NO", "RN") else "; " if last == "KW" else " "
            block.fields[-1] = (last, f"{before}{joint}{value}")
    if block:
        yield block


def _record(block: _Block) -> Record:
    kind = block.first("TY").upper()
    entry = _TYPES.get(kind, "misc")
    urls = [
        url for value in block.all("UR", "L2", "LK", "L3") for url in re.split(r"(?<![\s;])[\s;]+(?=https?://)", value)
    ]
    files = [value for value in block.all("L1", "L4") if re.match(r"https?://", value)]
    numbers = [v for v in block.all("AN", "M1", "C1", "C7", "N1", "ID") if re.match(r"(?i)arxiv:", v)]
    references = {"doi": block.first("DO") or _doi(block), **{f"arxiv {v}": v for v in numbers}}
    references |= {f"url {n}": url for n, url in enumerate(urls)} | {"pdf": next(iter(files), "")}
    if entry == "book":
        references |= {"isbn": f"isbn:{block.first('SN')}"}
    ids, more, used = links_of(references)
    venue = block.first(*_PLACES.get(kind, _PLACES[""]))
    if re.match(r"(?i)(arxiv|corr)\b", venue):
        venue = ""
    tags, tagged = tags_and_status(w for value in block.all("KW") for w in re.split(r"[;\n]", value))
    state, added, notes = _notes(block, numbers)
    meta = front_matter(
        entry,
        _text(block, entry, "isbn" in used),
        [name_of(name) for name in block.all("AU", "A1") or block.all("ED")],
        ids,
        venue,
        also=[*more, *(u for u in files[1:])],
        tags=tags,
        status=state or tagged,
        added=added,
        cite=re.sub(r"[\s,{}]", "", block.first("ID", "LB")) if not block.first("ID", "LB").isdecimal() else "",
    )
    return Record(block.line, meta, block.end, block.first("ID"), notes)


def _doi(block: _Block) -> str:
    """A DOI where older programs put it."""
    return next((v for v in block.all("M3", "N1", "AN", "UR") if re.fullmatch(r"(?i)(doi:?\s*)?10\.\d{4,}/\S+", v)), "")


def _text(block: _Block, entry: str, has_isbn: bool) -> dict[str, str]:
    """The fields as BibTeX has them."""
    pages = [p for p in (block.first("SP"), block.first("EP")) if p]
    text = {
        "title": block.first("TI", "T1", "CT", "BT", "ST"),
        "date": _date(block.first("DA"), block.first("PY", "Y1", "Y2")),
        "abstract": block.first("AB", "N2"),
        "pages": "–".join(dict.fromkeys(pages)),
    }
    for tag, name in _EXTRA.items():
        values = [v for v in block.all(tag) if not re.match(r"(?i)arxiv:|(doi:?\s*)?10\.\d{4,}/", v)]
        if values and name and name not in text:
            text[name] = (" and " if tag in ("A2", "A3", "A4", "ED") else ", ").join(values)
    if (number := block.first("SN")) and not has_isbn:
        text["issn" if re.fullmatch(r"\d{4}-?\d{3}[\dXx]", number) else "isbn"] = number
    if text.get("shorttitle") == text["title"] or entry == "book" and "editor" in text and not block.all("AU", "A1"):
        text.pop("shorttitle" if text.get("shorttitle") == text["title"] else "editor")
    return text


def _date(day: str, year: str) -> str:
    """'2020/06/19/' and '2020/06//spring' -> '2020-06-19', '2020-06'; a year alone stays one."""
    for value in (day, year):
        parts = [p for p in re.split(r"[/-]", value)[:3] if p.isdecimal()]
        if len(parts) > 1 and len(parts[0]) == 4:
            return "-".join(p.zfill(2) for p in parts)
    return (year or day).strip("/ ")


def _notes(block: _Block, numbers: list[str]) -> tuple[str, str, str]:
    """Status, day of adding and notes. Zotero writes its Extra field among the notes: `Read_Status: Read`."""
    from kb.formats.extra import split_extra

    state = added = ""
    kept = []
    for value in block.all("N1", "NO", "RN"):
        if value in numbers or re.fullmatch(r"(?i)(doi:?\s*)?10\.\d{4,}/\S+", value):
            continue
        said, rest = split_extra(value)
        state, added = state or str(said.get("status", "")), added or str(said.get("added", ""))
        kept += [to_markdown(rest)] if rest.strip() else []
    return state, added or added_day(*block.all("DX")), "\n\n".join(kept)
