"""The guide's page of the command line, written from `--help`: `python -m kb.reference` renews it, a test holds it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from kb.files import write_atomic

PAGE = Path(__file__).parent.parent / "notes" / "guide" / "command-line.md"
_HEAD = """\
---
title: The command line
---

Every verb with its options, as `kb VERB --help` prints them. Conventions that hold for all:

- A note is named by its id (the name of its file), an alias, its title, or any id of the work: arXiv, DOI, a URL.
- `--json` gives every listing as JSON with stable keys. What is piped is not coloured and not cut.
- Exit code 0: fine, an empty list included. 1: there are problems, or what was named is not there. 2: wrong usage.
- `--root DIR` or `KB_ROOT` names the vault; else it is the nearest folder upwards with `mkdocs.yml` and `notes/`.
- The answers of services are kept in `.kb/` for a month; requests go through the proxies of `HTTP_PROXY`,
  `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`. Services that want to know whom they answer are told the mail address in
  `KB_MAILTO`, if there is one. Keys go into `S2_API_KEY` (Semantic Scholar), `GITHUB_TOKEN` and `HF_TOKEN`; each is
  shown to its own host alone.
- Lines in `inbox.md` become notes at the next command. `VISUAL` or `EDITOR` is your editor.
- `kb --install-completion` teaches your shell the verbs, options and ids.

## Queries

`kb list`, `kb search`, `kb status`, `kb next`, `kb tag`, `kb rm`, `kb edit` and `kb export` take terms that must all
hold:

| term | finds |
|---|---|
| `diffusion` | the word in title, authors, aliases or ids |
| `"noise schedule"` | the words side by side |
| `status:to-read` | `inbox`, `to-read`, `reading`, `read`, `dropped` |
| `kind:paper` | also `talk`, `lecture`, `course`, `post`, `thread`, `book`, `code`, `tool`, `dataset`, `topic`, `log` |
| `tag:diffusion` | the tag, and those below it (`diffusion/video`) |
| `author:ho` `title:…` `venue:…` `doi:…` `id:…` | part of it; `id:` the whole id |
| `year:2020` `year:2020..2023` `year:2020..` | also `added:`, `started:`, `finished:`, `published:`, `rating:` |
| `in:cs336` | what belongs to that course or collection (`part_of`) |
| `has:code` | any key that is filled; `has:links`, `has:tags` |
| `-tag:survey` | not that |
"""


def verbs() -> list[str]:
    """The verbs in the order of the help."""
    text = _help()
    return re.findall(r"^  ([a-z]+)\s", text.partition("Commands:")[2], re.M)


def _help(*verb: str) -> str:
    env = os.environ | {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    env.pop("KB_ROOT", None)
    command = [sys.executable, "-m", "kb", *verb, "--help"]
    text = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    text = re.sub(r"\n  --(install|show)-completion.*?(?=\n  -|\n\n|\Z)", "", text, flags=re.S)
    return text.replace("python -m kb", "kb").strip()


def page() -> str:
    """The whole page."""
    parts = [_HEAD, f"\n## kb\n\n```text\n{_help()}\n```\n"]
    parts += [f"\n## kb {verb}\n\n```text\n{_help(verb)}\n```\n" for verb in verbs()]
    return "".join(parts)


if __name__ == "__main__":
    write_atomic(PAGE, page().encode())
