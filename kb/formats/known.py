"""Which format a file has, by its content and its name, and the reader of each."""

from __future__ import annotations

import json
import re
from importlib import import_module

from kb.formats.records import Reader, text_of

LISTS = ("list", "org", "logseq", "notion")  # what kb.formats.reading_list reads
RECORDS = {  # format -> the module and the function that read it
    "bibtex": ("kb.formats.bibtex", "read_file"),
    "ris": ("kb.formats.ris", "read"),
    "json": ("kb.formats.csl_json", "read"),
    "csv": ("kb.formats.csv_table", "read"),
    "rdf": ("kb.formats.zotero_rdf", "read"),
}
_SAME = {  # other names that people know them by
    "markdown": "list", "md": "list", "txt": "list", "urls": "list", "bib": "bibtex", "biblatex": "bibtex",
    "csl-json": "json", "csl": "json", "paperpile": "json", "zotero-csv": "csv", "tsv": "csv", "zotero-rdf": "rdf",
    "zotero": "rdf", "org-mode": "org",
}  # fmt: skip
_ENDINGS = {
    "bib": "bibtex", "bibtex": "bibtex", "biblatex": "bibtex",
    "ris": "ris", "json": "json", "csljson": "json", "csv": "csv", "tsv": "csv",
    "rdf": "rdf", "org": "org", "md": "list", "markdown": "list", "mdown": "list",
}  # fmt: skip
_OTHERS = {"xml", "enw", "nbib", "isi", "ciw", "docx", "html"}  # of programs that write one of ours too
FORMATS = (*LISTS, "obsidian", *RECORDS)


def format_named(name: str) -> str:
    """The format that a person names; '' for none of ours."""
    word = name.strip().lower()
    return word if word in FORMATS else _SAME.get(word, "")


def detect(name: str, data: bytes) -> str:
    """The format of a file. The ending of its name tells where it is one of ours, else its first lines do; '' for what
    is plainly none."""
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    if ending in _ENDINGS:
        return _ENDINGS[ending]
    if ending in _OTHERS:
        return ""
    head = text_of(data[:20_000], name, "")[0]
    start = head.lstrip()
    if re.match(r"(?:%.*\n|\s)*@\s*[A-Za-z]+\s*[{(]", head):
        return "bibtex"
    foreign = r"<(\?xml|!DOCTYPE|html)\b|%PDF-|\{\\rtf|PK\x03\x04|%0 [A-Z]|PMID- ?\d"
    if re.match(foreign, start, re.I) and "<rdf:RDF" not in head:
        return ""
    if re.match(r"TY  - ?[A-Z]", start):
        return "ris"
    if start.startswith(("[", "{")) and _is_json(start):
        return "json"
    if start.startswith(("<rdf:RDF", "<?xml")) and "rdf:RDF" in head[:2000]:
        return "rdf"
    if re.search(r"(?m)^\*+ (?:TODO|DONE|\[\[)|^#\+(?:title|filetags):", head, re.I):
        return "org"
    first = head.partition("\n")[0]
    if first.count(",") + first.count("\t") > 1 and not first.startswith(("-", "*", "#", "|", ">")):
        return "csv" if _is_table(first) else "list"
    return "list"


def _is_json(text: str) -> bool:
    """Whether a text begins as JSON: a list of objects or an object, and no Markdown link."""
    try:
        json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return re.match(r"\[?\s*\{\s*\"", text) is not None
    return re.match(r"\[\s*[\[{\]]|\{", text) is not None


def _is_table(first: str) -> bool:
    from kb.formats.columns import is_table_of_works

    return is_table_of_works([cell.strip('" ') for cell in re.split(r"[,\t]", first)])


def reader(format: str) -> Reader:
    """What reads a format of records."""
    module, function = RECORDS[format]
    found: Reader = getattr(import_module(module), function)
    return found
