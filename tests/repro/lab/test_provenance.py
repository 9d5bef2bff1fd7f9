"""The hash of the code that ran: the same under comments and layout, another under any change of what runs."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import repro
from repro.__main__ import papers
from repro.lab import provenance

BEFORE = '''"""A module."""
import repro.foo.model
from repro.foo.diffusion import step


class Loop:
    """A class."""

    def run(self, x: int = 3, *, y="a") -> str:
        """A method."""
        # a comment
        return f"{x!r:>{y}} {step(x)}" "b"
'''
SAME = {
    "no docstrings": BEFORE.replace('"""A module."""\n', "")
    .replace('"""A class."""', '"""Other."""')
    .replace('        """A method."""\n', ""),
    "comments": BEFORE.replace("# a comment", "# another\n        #\n"),
    "layout": BEFORE.replace("x: int = 3, *, y=", "x:int=3,\n        *,\n        y = ").replace('"a"', "'a'"),
    "parentheses": BEFORE.replace('return f"{x!r:>{y}} {step(x)}" "b"', 'return (\n f"{x!r:>{y}} "\n  f"{step(x)}b")'),
    "newlines": BEFORE.replace("\n", "\r\n"),
}
OTHER = {
    "a number": BEFORE.replace("3", "4"),
    "a name": BEFORE.replace("step(x)", "step(y)"),
    "a string": BEFORE.replace('"b"', '"c"'),
    "a conversion": BEFORE.replace("!r", "!s"),
    "keyword-only": BEFORE.replace("*, ", ""),
    "an annotation": BEFORE.replace("-> str", "-> int"),
    "a decorator": BEFORE.replace("    def run", "    @property\n    def run"),
    "an import": BEFORE.replace("import step", "import step as stop"),
    "async": BEFORE.replace("    def run", "    async def run"),
}


@pytest.mark.parametrize("after", SAME.values(), ids=SAME)
def test_what_does_not_run_does_not_count(after):
    assert after != BEFORE and provenance.tree_text(after) == provenance.tree_text(BEFORE)


@pytest.mark.parametrize("after", OTHER.values(), ids=OTHER)
def test_what_runs_counts(after):
    assert provenance.tree_text(after) != provenance.tree_text(BEFORE)


@given(a=st.sampled_from(["1", "1.0", "True", "None", "'1'", "b'1'", "1j", "...", "-1", "()", "[]"]), b=st.data())
def test_constants_of_different_types_differ(a, b):
    other = b.draw(st.sampled_from(["1", "1.0", "True", "None", "'1'", "b'1'", "1j", "...", "-1", "()", "[]"]))
    assert (provenance.tree_text(f"x = {a}") == provenance.tree_text(f"x = {other}")) == (a == other)


@pytest.fixture
def paper(tmp_path, monkeypatch):
    """A paper `foo` in a vault of one's own."""
    home = tmp_path / "repro" / "foo"
    home.mkdir(parents=True)
    (home / "train.py").write_text("from repro.foo import data, claims, config\nfrom repro.lab.optim import optimize\n")
    (home / "data.py").write_text("def load():\n    import repro.foo.inner\n")
    for name in ("inner", "unused", "claims", "config", "__init__"):
        (home / f"{name}.py").write_text("x = 1\n")
    monkeypatch.setattr(repro, "__path__", [*repro.__path__, str(tmp_path / "repro")])
    return home


def test_the_modules_are_those_that_training_imports(paper):
    found = provenance.modules("foo")
    assert {n for n in found if n.startswith("repro.foo")} == {
        "repro.foo", "repro.foo.train", "repro.foo.data", "repro.foo.inner",
    }  # fmt: skip
    assert {"repro.lab.optim", "repro.lab.checkpoint", "repro.lab.distributed"} <= set(found)
    assert not {"repro.lab.claims", "repro.foo.unused", "repro.foo.claims", "repro.foo.config"} & set(found)


@pytest.mark.parametrize("name", ["claims", "config", "unused"])
def test_a_new_recipe_or_claim_makes_nothing_stale(paper, name):
    before = provenance.source_hash("foo")
    (paper / f"{name}.py").write_text("x = 2\n")
    assert provenance.source_hash("foo") == before and len(before) == 16


@pytest.mark.parametrize("name", ["train", "data", "inner", "__init__"])
def test_other_code_does(paper, name):
    before = provenance.source_hash("foo")
    with open(paper / f"{name}.py", "a") as file:
        file.write("# a comment\n")
    assert provenance.source_hash("foo") == before
    with open(paper / f"{name}.py", "a") as file:
        file.write("y = 2\n")
    assert provenance.source_hash("foo") != before


@pytest.mark.parametrize("python", ["python3.12", "python3.13", "python3.14"])
def test_other_pythons_compute_the_same_hash(python):
    path = shutil.which(python)
    code = "from repro.lab.provenance import source_hash as s; print(s('ddpm'))"
    ended = path and subprocess.run([path, "-c", code], capture_output=True, text=True, cwd=repro.__path__[0] + "/..")
    if not ended or (ended.returncode and "not found" in ended.stderr):
        pytest.skip(f"no {python} here")
    assert ended.stdout.strip() == provenance.source_hash("ddpm"), ended.stderr


def test_the_hash_needs_no_torch():
    code = "import sys; from repro.lab import claims, provenance, recipe; provenance.source_hash('ddpm'); " \
        "import repro.ddpm.claims, repro.ddpm.config; sys.exit('torch' in sys.modules)"  # fmt: skip
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_segment_says_where_the_number_came_from(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "smoke", "--out", "a b"])
    said = provenance.segment("ddpm", "a CPU", "2.0", 1)
    assert said["command"] == "python -m repro.ddpm.train smoke --out 'a b'"
    assert said["source"] == provenance.source_hash("ddpm") and said["started"].endswith("+00:00")
    assert len(said["commit"]) in (0, 40) and isinstance(said["dirty"], bool)
    assert provenance.processor()


@pytest.mark.parametrize("paper", papers())
def test_committed_runs_are_of_todays_recipes(paper):
    """Settings are no part of the hash that stales a verdict: a recipe that changes under its runs is seen here."""
    config = importlib.import_module(f"repro.{paper}.config")
    paths = sorted((Path(str(config.__file__)).parent / "runs").glob("*.json"))
    for path in paths:
        record = json.loads(path.read_text("utf-8"))
        today = replace(config.RECIPES[record["recipe"]].config, seed=record["config"]["seed"])
        assert record["config"] == json.loads(json.dumps(asdict(today))), path.name
    assert len(paths) >= 3
