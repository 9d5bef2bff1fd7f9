"""XML from files of others: a tree with the lines of its elements. A document type, by which a small file can take all
memory or read others, is refused, and so is what is nested deeper than any export."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from xml.parsers import expat

LINE = "line"  # the attributes that hold the first and the last line of an element
END = "end-line"
_DEEPEST = 60
_MOST = 4_000_000  # elements


class XmlError(ValueError):
    """What is wrong with a file; `line` is where."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def parse(data: bytes) -> ET.Element:
    """The root of a tree, names as {namespace}name."""
    parser = expat.ParserCreate(namespace_separator="}")
    builder = ET.TreeBuilder()
    open_: list[ET.Element] = []
    count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if len(open_) >= _DEEPEST or count > _MOST:
            raise XmlError("it is larger or nested deeper than any export", parser.CurrentLineNumber)
        element = builder.start(_named(name), {_named(k): v for k, v in attributes.items()})
        element.set(LINE, str(parser.CurrentLineNumber))
        open_.append(element)

    def end(name: str) -> None:
        open_.pop().set(END, str(parser.CurrentLineNumber))
        builder.end(_named(name))

    def doctype(*_: object) -> None:
        raise XmlError("it has a document type definition", parser.CurrentLineNumber)

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = builder.data, doctype
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
        return builder.close()
    except expat.ExpatError as error:
        raise XmlError(expat.errors.messages[error.code], error.lineno) from None
    except (ValueError, LookupError, AssertionError) as error:
        line = error.line if isinstance(error, XmlError) else parser.CurrentLineNumber
        raise XmlError(str(error), line) from None


def _named(name: str) -> str:
    return f"{{{name}" if "}" in name else name
