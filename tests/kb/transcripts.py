"""Guide pages as they are typed: their transcripts run anew, in a vault of their own, and held against the page.

A page shows files (a fenced block with `title="path"`) and transcripts (a block of ```console: lines `$ command`, and
below each what it prints). A page has one vault, or a new one at each heading of level two; its files lie in it. arXiv
is a server of ours. Days are told as DAY, times of the day as 09:30. `python tests/kb/transcripts.py` writes what the
commands print today into the pages.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from unittest import mock

from servers import arxiv, atom_entry, serve

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "notes" / "guide"
PAGES = (
    ROOT / "README.md",
    *(GUIDE / f"{name}.md" for name in ("coming-from", "every-day", "import-a-list", "write-a-note", "check-a-vault")),
)
_ONE_VAULT = ("every-day", "write-a-note", "check-a-vault")
DAY = "2026-11-22"
WIDTH = 100
_BLOCK = re.compile(r'^```(?P<lang>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$', re.M | re.S)
_AT_ARXIV = (
    atom_entry(
        "2006.11239v2",
        "Denoising Diffusion Probabilistic Models",
        ("Jonathan Ho", "Ajay Jain", "Pieter Abbeel"),
        summary="",
    ),
    atom_entry(
        "2402.14905v2",
        "MobileLLM: Optimizing Sub-billion Parameter Language Models for On-Device Use Cases",
        ("Zechun Liu", "Changsheng Zhao", "Forrest Iandola"),
        "2024-02-22",
        "",
        comment="ICML 2024",
    ),
)
_ENV = {"NO_COLOR": "1", "TERM": "xterm", "COLUMNS": str(WIDTH), "EDITOR": "true", "VISUAL": "true"}


class _Screen(io.TextIOWrapper):
    """A terminal that is read back."""

    def isatty(self) -> bool:
        return True


def renewed(page: Path, folder: Path) -> str:
    """The page as it would be if its commands were typed now; `folder` gets its vaults."""
    text = page.read_text("utf-8")
    fenced = [m.span() for m in _BLOCK.finditer(text)]
    headings = [m.start() for m in re.finditer(r"(?m)^## ", text) if not any(a < m.start() < b for a, b in fenced)]
    starts = [0, *(headings if page.stem not in _ONE_VAULT else ()), len(text)]
    parts = [text[a:b] for a, b in itertools.pairwise(starts)]
    return "".join(_part(part, folder / f"part{n}") for n, part in enumerate(parts))


def _part(text: str, folder: Path) -> str:
    if "```console" not in text:
        return text
    with _typed_in(folder):
        return _BLOCK.sub(_block, text)


@contextlib.contextmanager
def _typed_in(folder: Path) -> Iterator[None]:
    """A new vault as the current folder, with the samples of the guide in it."""
    before = Path.cwd()
    env = {key: value for key, value in os.environ.items() if not key.startswith("KB_")} | _ENV
    with (
        serve({"/api": arxiv(*_AT_ARXIV)}) as server,
        mock.patch.dict(os.environ, env | {"KB_ARXIV_API": server.url + "/api"}, clear=True),
        mock.patch.object(os, "fsync"),
        mock.patch("webbrowser.open", return_value=True),
    ):
        folder.mkdir(parents=True)
        typed(f"kb init {folder}")
        (folder / "notes/topics/welcome.md").unlink()
        for sample in (*(GUIDE / "samples").iterdir(), GUIDE / "messy-list.txt"):
            shutil.copy(sample, folder)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def _block(m: re.Match[str]) -> str:
    if title := m["title"]:
        path = Path(title)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(m["text"], "utf-8")
        if title.startswith("my-vault/"):
            Path("my-vault/.obsidian").mkdir(exist_ok=True)
    if m["lang"] != "console":
        return m[0]
    commands = re.findall(r"(?m)^\$ (.*(?:\\\n.*)*)$", m["text"])
    return "```console\n" + "".join(f"$ {command}\n{typed(command)}" for command in commands) + "```"


def typed(command: str) -> str:
    """What a command prints, on a terminal of WIDTH columns."""
    words = shlex.split(re.sub(r"\\\n", "", command), comments=True)
    shell = set(words) & {"|", ">", ">>", "&&"} or words[0] != "kb"
    text = _in_shell(command) if shell else _kb(words[1:])
    text = re.sub(rf"{date.today().isoformat()}( \d\d:\d\d(:\d\d)?)?", lambda m: DAY + (" 09:30" if m[1] else ""), text)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def _in_shell(command: str) -> str:
    bin = f'kb() {{ {shlex.quote(sys.executable)} -m kb "$@"; }}; {command}'
    ended = subprocess.run(
        ["bash", "-c", bin], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return ended.stdout


def _kb(args: list[str]) -> str:
    from kb.cli import main
    from kb.cli.shared import set_root

    screen = _Screen(io.BytesIO(), encoding="utf-8", write_through=True)
    set_root(None)
    with mock.patch.multiple(sys, argv=["kb", *args], stdout=screen, stderr=screen), contextlib.suppress(SystemExit):
        main()
    screen.flush()
    return screen.buffer.getvalue().decode("utf-8")  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for page in PAGES:
        with tempfile.TemporaryDirectory() as folder:
            page.write_text(renewed(page, Path(folder)), "utf-8")
