"""Documents for language models, out of Python's own library, a file or folder of text, or a Hugging Face dataset.

A source is named in one word: `python`, a path, or `hf:NAME[/CONFIG]`.
"""

from __future__ import annotations

import bz2
import gzip
import json
import os
import platform
import re
import sysconfig
import zlib
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

END = "<|endoftext|>"  # stands between the documents of a file
KINDS = (".txt", ".md", ".rst", ".py", ".jsonl")  # also as .bz2 and .gz
_PACKED = (".bz2", ".gz")
_VAL = ("val", "valid", "validation", "dev")  # what people call the part that is held out
_MARK = re.compile(r"_(train|val|valid|validation|dev)_")
_NOT_TEXT = {"site-packages", "dist-packages", "test", "tests", "idle_test", "encodings"}  # tests, and tables
_OF_A_BUILD = re.compile(r"^(config-.*/.*|_sysconfigdata_.*|sitecustomize\.py|usercustomize\.py)$")
_BLOCK = 1 << 24  # bytes of a text file read at a time


@dataclass(frozen=True)
class Part:
    """Some documents of a source, read when they are wanted. `split` is train or val, or empty where the source does
    not say; `stamp` changes when the contents do, and costs no reading."""

    split: str
    stamp: str
    read: Callable[[], Iterator[str]]


def documents(source: str, python_bytes: int | None = None) -> Iterator[str]:
    """Every document of a source that is more than white space, held-out ones first, as it stands there. Of Python's
    library at most `python_bytes` are taken, in whole files. A ValueError in one line where a source cannot be read."""
    for part in parts(source, python_bytes)[1]:
        yield from part.read()


def parts(source: str, python_bytes: int | None = None) -> tuple[str, list[Part]]:
    """What a source is called in a record, and its parts: val, if it has one, before train."""
    if source == "python":
        return f"Python {platform.python_version()}'s library", _python(python_bytes)
    if source.startswith("hf:"):
        return _dataset(source.removeprefix("hf:"))
    path = Path(source).expanduser()
    if path.is_file():
        return path.name, [_part("", path, path.name)]
    if not path.is_dir():
        raise ValueError(f"there is no text at '{source}': name a file, a folder, python, or hf:NAME of a dataset")
    return path.resolve().name, _folder(path)


def opened(path: Path) -> IO[bytes]:
    """A file's bytes, unpacked if its name ends in .bz2 or .gz."""
    if path.suffix in _PACKED:
        return cast(IO[bytes], bz2.open(path) if path.suffix == ".bz2" else gzip.open(path))
    return path.open("rb")


def _part(split: str, path: Path, name: str) -> Part:
    stat = path.stat()
    return Part(split, f"{name} {stat.st_size} {stat.st_mtime_ns}", lambda: _file(path))


def _python(python_bytes: int | None) -> list[Part]:
    root = Path(sysconfig.get_path("stdlib"))
    found, size = [], 0
    for name, path in _below(root, _NOT_TEXT):
        if path.suffix != ".py" or _OF_A_BUILD.match(name):
            continue
        size += path.stat().st_size
        if python_bytes is not None and size > python_bytes:
            break
        found.append(_part("", path, name))
    if not found:
        raise ValueError(f"{python_bytes} bytes hold no file of Python's library in {root}; ask for more")
    return found


def _folder(root: Path) -> list[Part]:
    """The files of text below a folder. Its subfolders train and val are the splits if it has both, else the files with
    _train_ and _val_ in their names if there are both, and then other files are left alone."""
    files = [(name, path) for name, path in _below(root) if _kind(path) in KINDS]
    if not files:
        raise ValueError(f"{root} holds no text: files in {', '.join(KINDS)}, or these as .bz2 or .gz")
    for told in (_by_folder, _by_name):
        splits = [(told(name), path, name) for name, path in files]
        if {"train", "val"} <= {split for split, _, _ in splits}:
            splits.sort(key=lambda s: s[0] != "val")  # stable: by path within a split
            return [_part(split, path, name) for split, path, name in splits if split]
    return [_part("", path, name) for name, path in files]


def _below(root: Path, leave: Set[str] = frozenset()) -> list[tuple[str, Path]]:
    """Files below a folder with their paths there, in the order of these; no hidden ones, none in folders `leave`."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name[0] != "." and name not in leave]
        paths = [Path(folder, name) for name in names if name[0] != "."]
        found += [(path.relative_to(root).as_posix(), path) for path in paths if path.is_file()]
    return sorted(found)


def _kind(path: Path) -> str:
    """A file's suffix as if it were not packed."""
    return Path(path.stem).suffix if path.suffix in _PACKED else path.suffix


def _by_folder(name: str) -> str:
    folder = name.partition("/")[0] if "/" in name else ""
    return "val" if folder in _VAL else "train" if folder == "train" else ""


def _by_name(name: str) -> str:
    mark = _MARK.search(name.rpartition("/")[2])
    return "" if mark is None else "train" if mark[1] == "train" else "val"


def _file(path: Path) -> Iterator[str]:
    """The documents of one file."""
    read = {".jsonl": _json_lines, ".py": _all}.get(_kind(path), _between_ends)
    try:
        with opened(path) as stream:
            for text in read(stream):
                if text.strip():
                    yield text
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text; convert it or take it away") from None
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _all(stream: IO[bytes]) -> Iterator[str]:
    """A program is one text, even if it speaks of END."""
    yield stream.read().decode()


def _between_ends(stream: IO[bytes]) -> Iterator[str]:
    """The texts between END, a block in memory at a time."""
    rest, end = b"", END.encode()
    while block := stream.read(_BLOCK):
        *whole, rest = (rest + block).split(end)
        yield from (text.decode() for text in whole)
    yield rest.decode()


def _json_lines(stream: IO[bytes]) -> Iterator[str]:
    for i, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {i} is no JSON ({error.msg})") from None
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise ValueError(f"line {i} has no field text that is a string")
        yield _whole(row["text"])


def _whole(text: str) -> str:
    """Half a surrogate pair, which JSON can write and UTF-8 cannot, becomes U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def dataset(name: str, packages: str = "datasets") -> tuple[str, Any]:
    """What a dataset of the hub, or a folder in its layout, is called in a record, and its splits by name. A ValueError
    in one line where it cannot be had; `packages` are what reading it needs."""
    try:
        import datasets
    except ImportError:
        raise ValueError(f"hf:{name} needs the library datasets: pip install {packages}") from None
    local = Path(name).expanduser()
    *owner, last = name.split("/")
    where = [str(local)] if local.is_dir() else ["/".join(owner), last] if len(owner) == 2 else [name]
    try:
        found = datasets.load_dataset(*where)
    except Exception as error:  # of many libraries; they have no common parent
        raise ValueError(f"hf:{name}: {str(error).strip().splitlines()[0]}") from None
    return local.resolve().name if local.is_dir() else name, found


def _dataset(name: str) -> tuple[str, list[Part]]:
    """A row is a document."""
    called, found = dataset(name)
    held = next((key for key in _VAL if key in found), None)
    if "train" in found and held:
        chosen = {"val": found[held], "train": found["train"]}
    else:
        chosen = {"": found["train"]} if "train" in found else dict(found)
    return called, [_of_rows(name, key if key in ("val", "train") else "", rows) for key, rows in chosen.items()]


def _of_rows(name: str, split: str, rows: Any) -> Part:
    columns = [key for key, kind in rows.features.items() if getattr(kind, "dtype", "") in ("string", "large_string")]
    if "text" not in columns and len(columns) != 1:
        raise ValueError(f"hf:{name} has no column text; its columns of text are {', '.join(columns) or 'none'}")
    column = "text" if "text" in columns else columns[0]

    def read() -> Iterator[str]:
        for row in rows.select_columns(column):
            if row[column] and row[column].strip():
                yield row[column]

    return Part(split, f"{name} {column} {rows._fingerprint}", read)
