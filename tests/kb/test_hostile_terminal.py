"""Whatever files say, a terminal gets text: no escape codes, no controls, nothing that turns the way of writing."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from kb.cli.screen import harmless
from kb.render import UNSAFE, to_json

Vault = Callable[..., Path]
Run = Callable[..., "CompletedProcess[str]"]
EVIL = "a\x1b]0;owned\x07b\x1b[31mc\x9b31md\u202egnp.exe\u2066e\u2028f\x08\x7f\x85\rg"
YAML = json.dumps(EVIL)
NOTE = f"""---
title: {YAML}
kind: paper
status: reading
at: {YAML}
part_of: {YAML}
authors: [{YAML}]
year: 2020
venue: {YAML}
url: {json.dumps("https://e.org/" + EVIL)}
pdf: {json.dumps("https://e.org/" + EVIL + ".pdf")}
added: 2020-01-01
started: 2020-01-01
tags: [{YAML}]
aliases: [{YAML}, evil]
repro: {YAML}
cite: {YAML}
rating: 5
incomplete: {YAML}
{json.dumps("key" + EVIL)}: x
results: [{{task: {YAML}, data: {YAML}, metric: {YAML}, value: {YAML}, where: {YAML}}}]
bibtex: {{entry: misc, note: {YAML}}}
---

# {EVIL}

Words {EVIL} and [[{EVIL.replace("]", "").replace("[", "")}]] and [[other]] with zygote {EVIL}.
"""
OTHER = f"---\ntitle: Other\nstatus: to-read\nwanted: [{YAML}]\n---\n\nSee {EVIL} [[evil]] {EVIL}, zygote.\n"
RECORD = {
    "schema": 1, "paper": EVIL, "recipe": EVIL, "config": {}, "done": True, "segments": [], "metrics": {EVIL: 1.0},
    "curve": {}, "figures": [EVIL], "data": EVIL,
}  # fmt: skip
CLAIM = {key: EVIL for key in ("id", "says", "where", "paper", "ours", "missing", "note")} | {
    "tier": "exact", "verdict": "holds", "recipes": [EVIL], "runs": [EVIL], "data": [EVIL], "devices": [EVIL]
}  # fmt: skip
VERBS = [
    "list", "list --json", "list zygot\x1b[31m", "status", "status --json", "status --since 2019-01-01",
    "status evil reading", "show evil", "show evil --json", "search zygote", "search zygote --json", "next",
    "next --json", "links evil", "links evil --json", "links --orphans", "links --broken", "check --all",
    "check --format json", "check --format github", "claims", "claims --json", "claims mine", "results",
    "results --json", "tag", "tag --json", "tag evil", "tag evil +x\x1b[31m", "open evil", "open evil --pdf",
    "rename evil \x1b[31mx", "rename nosuch\x9b31m y", "export", "export -f ris", "export -f csv",
    "export -f markdown", "export -f json", "export -f csl-json", "export --cited main.tex",
    "import list.md --dry-run", "import list.md --json --dry-run", "import bad.bib", "import list.md", "add bad.bib",
    "add refs.txt --offline", "add \x1b[31mnothing", "add --complete", "note evil hi", "rm other", "rm --list",
    "undo --list", "undo --list --json", "undo", "rm nothing\x1b[31m", "run mine \x1b[31m", "edit evil",
    "merge evil other", "list status:\x1b[31m", "show \x1b[31m", "--root \x1b[31m list", "no\x1b[31m",
]  # fmt: skip


@pytest.fixture
def hostile(make_vault: Vault) -> Path:
    root = make_vault(
        {"papers/evil.md": NOTE, "papers/other.md": OTHER, "papers/n\x1b[31m\nm\x9b.md": "---\na: [\n---\n"}
    )
    (root / "notes/papers/cut.md").write_bytes(b"---\ntitle: \x1b[31m\xff\x9b\n---\n\x1b[31m\n")
    for name, value in (("results.json", {"claims": [CLAIM]}), ("runs/x.json", RECORD)):
        (root / "repro/mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "repro/mine" / name).write_text(json.dumps(value))
    (root / "list.md").write_text(
        f"# {EVIL}\n\n- [ ] {EVIL} https://e.org/{EVIL}\n- a \xff <{EVIL}>\n", "latin-1", "replace"
    )
    (root / "bad.bib").write_text(f"@article{{{EVIL}, author={{{EVIL}}}\n@article{{x, note={{{EVIL}}}}}\n@{EVIL}")
    (root / "refs.txt").write_text(f"https://e.org/x{EVIL}\n10.1{EVIL}\narXiv:9999.{EVIL}\n")
    (root / "main.tex").write_text(f"\\cite{{{EVIL}}}\\input{{{EVIL}}}")
    (root / "inbox.md").write_text(f"- {EVIL} https://e.org/y{EVIL}\n- isbn:1{EVIL}\n")
    return root


def test_no_verb_lets_through_what_a_terminal_obeys(hostile: Path, run_kb: Run) -> None:
    """On a pipe, where there are no colours either."""
    for verb in VERBS:
        done = run_kb(hostile, *verb.split(" "), EDITOR="true")
        for text in (done.stdout, done.stderr):
            raw = UNSAFE.search(text) if not verb.startswith("export") else re.search("[\x1b\x9b\x07\x08]", text)
            assert raw is None, (verb, text[max(0, raw.start() - 60) : raw.end() + 20])
            assert "Traceback" not in text, (verb, text)
        if "json" in verb and done.stdout and not verb.startswith("check"):
            json.loads(done.stdout)


def test_json_says_what_is_there() -> None:
    assert json.loads(to_json({"title": EVIL})) == {"title": EVIL}
    assert UNSAFE.search(to_json({"title": EVIL})) is None


def test_on_a_terminal_only_our_colours_get_through(hostile: Path) -> None:
    env = os.environ | {"TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    env.pop("NO_COLOR", None)
    for verb in ("list", "show evil", "status", "search zygote", "export", "check --all"):
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "kb", *verb.split(" ")]
        with subprocess.Popen(
            command, cwd=hostile, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
        ) as kb:
            os.close(theirs)
            told = b""
            while True:
                try:
                    data = os.read(ours, 65536)
                except OSError:  # how Linux says that the other end is closed
                    break
                if not data:
                    break
                told += data
            kb.wait(60)
        os.close(ours)
        text = told.decode().replace("\r\n", "\n")
        assert "\x1b[31mc" not in text, verb  # red is a colour of ours, and here it is theirs
        left = re.sub(r"\x1b\[[\d;]*m", "", text)
        assert UNSAFE.search(left) is None, (verb, left)
        assert "\x1b[" in text or verb in ("export", "check --all"), verb


def test_what_the_screen_takes_out() -> None:
    assert harmless("a\tb\nc\r\nd 日本 👩\u200d💻 \xa0é") == "a\tb\nc\nd 日本 👩\u200d💻 \xa0é"
    assert harmless("\x1b[31mx\x1b[0m") == "\ufffd[31mx\ufffd[0m"
    assert harmless("\x1b[31mx\x1b[0m\x1b[2J", coloured=True) == "\x1b[31mx\x1b[0m\ufffd[2J"
    assert harmless("\ud800\u202e\x9b\x07") == "\ufffd" * 4


def test_a_letter_that_the_terminal_lacks_is_no_traceback(make_vault: Vault, run_kb: Run) -> None:
    root = make_vault({"papers/a.md": "---\ntitle: 日本 é\n---\n"})
    done = run_kb(root, "list", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stdout) == (0, "a  inbox  paper      ?? ?\n")
