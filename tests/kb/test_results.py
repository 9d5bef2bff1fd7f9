"""Claims and records as data: what is read, what is damaged and where, and when a verdict is stale."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reproductions import MODEL, TRAIN, claim, judged, record, segment, write

from kb.checks import check as every
from kb.checks import quick
from kb.library import Library
from kb.problem import Problem
from kb.results import Results, source_hash
from kb.verbs.status import dashboard

CODE = {"train.py": TRAIN.format(paper="toy"), "model.py": MODEL}


def vault(root: Path, **notes: str) -> Library:
    (root / "notes").mkdir(exist_ok=True)
    (root / "mkdocs.yml").write_text("site_name: x\n")
    for name, keys in notes.items():
        (root / "notes" / f"{name}.md").write_text(f"---\ntitle: {name}\n{keys}---\n")
    return Library(root)


def ran(root: Path, claims: list[dict[str, Any]] | None = None, **given: Any) -> Path:
    """The paper `toy`, judged from three runs of today's code."""
    write(root, code=CODE)
    source = source_hash(root, "toy")
    records = [record(seed=s, source=source, **given) for s in range(3)]
    return write(root, claims=claims or [judged()], records=records)


def check(library: Library) -> list[Problem]:
    return [p for p in every(library) if p.check != "orphan"]


def told(root: Path) -> list[str]:
    return [f"{p.level} {p}" for p in Results(root).papers["toy"].problems]


# What is read


def test_a_claim_and_its_runs(tmp_path: Path) -> None:
    ran(tmp_path, figures=["smoke.png"])
    paper = Results(tmp_path).find("toy")
    assert paper.own and paper.problems == []
    (row,) = paper.claims
    assert (row.repro, row.id, row.verdict, row.tier, row.paper, row.ours) == (
        "toy", "T-1", "holds", "robust", "3.17", "toy data",
    )  # fmt: skip
    assert (row.mean, row.low, row.high, row.p, row.seeds) == (0.12, 0.0703, 0.17, 0.00913, (0, 1, 2))
    assert row.stale is False and row.why == "" and row.line == 6
    assert list(paper.records) == ["smoke-s0", "smoke-s1", "smoke-s2"]
    one = paper.records["smoke-s2"]
    assert (one.recipe, one.seed, one.done, one.steps, one.minutes, one.data) == ("smoke", 2, True, 100, 1.5, "digits")
    assert one.metrics == {"loss_nats": 0.7} and one.curve["step"] == [0, 50, 100]
    assert one.figures == (tmp_path / "repro/toy/runs/smoke.png",)
    assert one.segments[0].torch == "2.13.0" and one.segments[0].peak_gib is None


def test_the_row_of_json_has_no_empty_values(tmp_path: Path) -> None:
    write(tmp_path, claims=[claim(where="")])
    assert Results(tmp_path).find("toy").claims[0].as_json() == {
        "repro": "toy", "id": "T-1", "says": "What T-1 says", "paper": "3.17", "ours": "toy data", "tier": "robust",
        "verdict": "not run", "recipes": ["smoke"], "seeds": [], "effects": [], "stale": False, "runs": [],
    }  # fmt: skip


def test_a_paper_of_the_vault_comes_before_the_installed_one(tmp_path: Path) -> None:
    assert not Results(tmp_path).papers["ddpm"].own
    write(tmp_path, "ddpm", claims=[claim("MINE")])
    papers = Results(tmp_path).papers
    assert papers["ddpm"].own and [row.id for row in papers["ddpm"].claims] == ["MINE"] and "lab" not in papers


def test_what_is_no_paper_is_passed_over(tmp_path: Path) -> None:
    for name in ("lab", "__pycache__", "no-name", "empty"):
        (tmp_path / "repro" / name).mkdir(parents=True)
    (tmp_path / "repro/lab/train.py").touch()
    assert {"lab", "__pycache__", "no-name", "empty"}.isdisjoint(Results(tmp_path).papers)


# What is damaged


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{\n]", "error repro/toy/results.json:2: results: no JSON: Expecting property name enclosed in double quotes"),
        ("", "error repro/toy/results.json:1: results: no JSON: Expecting value"),
        ("[]", "error repro/toy/results.json:0: results: no JSON object with anything in it"),
        ('{"a": NaN}', "error repro/toy/results.json:0: results: cannot be read: NaN is no number of JSON"),
        ('{"schema": 1}', "error repro/toy/results.json:0: results: `claims` is not a list"),
        ('{"claims": [3]}', "error repro/toy/results.json:0: results: `claims`: the 1. is no object"),
        ('{"claims": [{}]}', "error repro/toy/results.json:0: results: claim ? has no `id`"),
        ("[" * 100_000, "error repro/toy/results.json:0: results: cannot be read: maximum recursion depth exceeded"),
        ('{"a": 1' + "0" * 5000 + "}", "error repro/toy/results.json:0: results: cannot be read: Exceeds the limit"),
    ],
)
def test_damaged_results(tmp_path: Path, text: str, problem: str) -> None:
    (write(tmp_path) / "results.json").write_text(text)
    assert told(tmp_path)[0].startswith(problem) and Results(tmp_path).papers["toy"].claims == []


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("verdict", "proven", "claim T-1: verdict 'proven' is none of holds, fails, equivalent, unclear, not run"),
        ("tier", "sure", "claim T-1: tier 'sure' is none of exact, robust, scale"),
        ("says", 3, "claim T-1: `says` is not text"),
        ("p", "small", "claim T-1: `p` is not a number"),
        ("effects", [1, None], "claim T-1: `effects` is not a list of numbers"),
        ("seeds", [True], "claim T-1: `seeds` is not a list of whole numbers"),
        ("runs", "smoke-s0", "claim T-1: `runs` is not a list of texts"),
        ("verdict", None, "claim T-1 has no `verdict`"),
        ("mean", 10**400, "claim T-1: `mean` is not a number"),
    ],
)
def test_an_ill_shaped_claim_is_left_out_and_told_with_its_line(
    tmp_path: Path, field: str, value: object, problem: str
) -> None:
    write(tmp_path, claims=[claim("T-0"), claim("T-1", **{field: value}), claim("T-2")])
    assert told(tmp_path) == [f"error repro/toy/results.json:23: results: {problem} (make it anew)"]
    assert [row.id for row in Results(tmp_path).papers["toy"].claims] == ["T-0", "T-2"]


def test_unknown_keys_and_nulls_are_no_mistake(tmp_path: Path) -> None:
    write(tmp_path, claims=[claim(p=None, colour="red")])
    assert told(tmp_path) == [] and Results(tmp_path).papers["toy"].claims[0].p is None


@pytest.mark.parametrize(
    ("given", "line", "problem"),
    [
        ({"done": "yes"}, 9, "the record: `done` is not true or false"),
        (
            {"metrics": {"a": "b"}},
            27,
            "the record: `metrics` is not an object of numbers, null where one is not finite",
        ),
        (
            {"curve": {"step": [1], "a": [1, 2]}},
            30,
            "the record: `curve` is not an object of lists of numbers, each as",
        ),
        ({"segments": [segment(to_step=1.5)]}, 23, "segment 1: `to_step` is not a whole number"),
        ({"segments": [segment(), segment(to_step=1.5)]}, 37, "segment 2: `to_step` is not a whole number"),
        ({"segments": [{}]}, 0, "segment 1 has no `device`"),
    ],
)
def test_an_ill_shaped_record(tmp_path: Path, given: dict[str, Any], line: int, problem: str) -> None:
    write(tmp_path, records=[record(**given)])
    assert told(tmp_path)[0].startswith(f"error repro/toy/runs/smoke-s0.json:{line}: record: {problem}")
    assert Results(tmp_path).papers["toy"].records == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"segments": [segment(), segment(from_step=40, to_step=150), segment(from_step=150, to_step=200)]}, []),
        ({"segments": [segment(from_step=60, to_step=40)]}, ["error 23: segment 1 goes from step 60 back to 40"]),
        (
            {"segments": [segment(), segment(from_step=101, to_step=200)]},
            ["error 36: segment 2 begins at step 101, and nothing came further than 100"],
        ),
        ({"schema": 2}, ["error 2: schema is 2, and this kb reads 1"]),
        ({"curve": {"step": list(range(200))}}, []),
        ({"curve": {"step": list(range(201))}}, ["warning 30: the curve has 201 points; 200 are enough"]),
    ],
)
def test_what_must_hold_in_a_record(tmp_path: Path, given: dict[str, Any], expected: list[str]) -> None:
    write(tmp_path, records=[record(**given)])
    paper = Results(tmp_path).papers["toy"]
    assert [f"{p.level} {p.line}: {p.message}" for p in paper.problems] == expected
    assert all(p.hint and p.path == "repro/toy/runs/smoke-s0.json" for p in paper.problems)
    assert list(paper.records) == ["smoke-s0"]


def test_results_of_another_paper_or_schema(tmp_path: Path) -> None:
    folder = write(tmp_path, claims=[claim()])
    text = (folder / "results.json").read_text()
    (folder / "results.json").write_text(text.replace('"schema": 1', '"schema": 9').replace('"toy"', '"other"'))
    assert told(tmp_path) == [
        "error repro/toy/results.json:2: results: schema is 9, and this kb reads 1 (use the kb of its time)",
        "error repro/toy/results.json:3: results: the claims are those of 'other' (python -m repro.toy.claims)",
    ]


def test_a_record_in_the_wrong_place(tmp_path: Path) -> None:
    folder = write(tmp_path, records=[record("other", figures=["../secret.png", "x.png"])])
    (folder / "runs/smoke-s0.json").rename(folder / "runs/best.json")
    (folder / "runs/x.png").unlink()
    where = "repro/toy/runs/best.json:0: record:"
    keep = "(python -m repro.toy.claims --keep OUT copies it)"
    assert told(tmp_path) == [
        f"warning {where} figure secret.png is no .png beside it {keep}",
        f"warning {where} figure x.png is no .png beside it {keep}",
        f"error {where} the file holds the run smoke-s0 (name it smoke-s0.json)",
        f"error {where} the run is one of 'other' (move it to repro/other/runs)",
    ]
    assert Results(tmp_path).papers["toy"].records["best"].figures == ()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda x: st.lists(x, max_size=4) | st.dictionaries(st.sampled_from(
                        ["claims", "id", "runs", "segments", "curve", "step", "config", "seed", "a"]), x)))  # fmt: skip
def test_no_json_raises(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    folder = write(tmp_path_factory.mktemp("vault"))
    (folder / "results.json").write_text(json.dumps({"claims": [value, {"id": value}]}))
    (folder / "runs/a.json").write_text(json.dumps(value))
    paper = Results(folder.parents[1]).papers["toy"]
    assert paper.claims == [] and paper.records == {} and len(paper.problems) >= 2


# The hash of the code


def lab_hash(root: Path, paper: str) -> str:
    """The laboratory's own, as it is for somebody who runs the paper in that vault."""
    code = f"from repro.lab.provenance import source_hash; print(source_hash({paper!r}))"
    home = Path(__file__).parents[2]
    env = {"PYTHONPATH": f"{root}:{home}", "PATH": ""}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=env, cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def test_both_implementations_agree_on_every_paper() -> None:
    provenance = importlib.import_module("repro.lab.provenance")
    root = Path(__file__).parents[2]
    papers = [path.parent.name for path in (root / "repro").glob("*/train.py")]
    assert papers and all(source_hash(root, paper) == provenance.source_hash(paper) for paper in papers)


VARIED = '''
"""Docs."""
from __future__ import annotations
import repro.lab.recipe as r, os
from repro.toy import model, config
from repro.toy.claims import x
from repro.toy.deep import part
try:
    import repro.toy.absent
except ImportError:
    from repro.lab import data
class A(dict, metaclass=type):
    "about A"
    a: int = 1; b = u"x"; c = b"\\x00"; d = 1e-309 + 2j; e = ...
    async def f(self, /, p, *a, k=None, **kw) -> None:
        """about f"""
        async with p as q: await q
def g(): "only docs"
def h(x):
    "docs"
    "and a string"
    match x:
        case {"a": 1, **rest} | [1, *rest]: return f"{x!r:>{4}} {{}} é\\n"
        case A(): pass
    lambda *, y=1: (yield)
    x[1:2, ::3] = not x if x else {**x, "k": [*x]}
    global z; z = 10**30; del z
    while (n := 1) < 2 <= 3: break
    else: raise ValueError from None
    return [i for i in x if i for j in i]
'''


def varied(root: Path) -> Path:
    folder = write(root, code={"train.py": VARIED, "model.py": MODEL, "config.py": "c = 1\n", "claims.py": "x = 1\n"})
    (folder / "deep").mkdir()
    (folder / "deep/__init__.py").write_text("import repro.toy.deep.other\n")
    (folder / "deep/part.py").write_bytes(b"from repro.toy import train\r\ns = '''a\r\nb'''\r\n")
    (folder / "deep/other.py").write_text("o = 'ü'\n", "utf-8")
    return folder


def test_both_implementations_agree_on_a_vaults_own_code(tmp_path: Path) -> None:
    varied(tmp_path)
    assert source_hash(tmp_path, "toy") == lab_hash(tmp_path, "toy") != ""
    (tmp_path / "repro/__init__.py").write_text(
        "from pkgutil import extend_path\n__path__ = extend_path(__path__, __name__)\n"
    )
    (tmp_path / "repro/lab").mkdir()
    (tmp_path / "repro/lab/data.py").write_text("mine = 1\n")  # before the installed one, as Python has it now
    (tmp_path / "repro/lab/provenance.py").write_bytes(
        (Path(__file__).parents[2] / "repro/lab/provenance.py").read_bytes()
    )
    assert source_hash(tmp_path, "toy") == lab_hash(tmp_path, "toy")


_LINES = st.sampled_from([
    "import repro.toy.model", "from repro.toy import model as m", "from repro.lab import optim", "x: int", "x = -1.5",
    "def f(a, *b, c=1, **d): 'doc'", "class C:\n  'doc'\n  x = 1", "'text'", "print(f'{1:>{2}}')", "x = [1, *()]",
    "async def g():\n  'doc'\n  await x", "if x: pass\nelse: y = None", "x = u'' 'a'", "lambda: (yield)",
])  # fmt: skip


@given(st.lists(_LINES, max_size=8), st.lists(_LINES, max_size=3))
def test_both_implementations_agree_on_generated_modules(train: list[str], model: list[str]) -> None:
    from kb.source import _told, _undocumented

    provenance = importlib.import_module("repro.lab.provenance")
    for text in ("\n".join(train), "\n".join(model)):
        assert _told(_undocumented(ast.parse(text))) == provenance.tree_text(text)


@pytest.mark.parametrize(
    ("file", "text", "same"),
    [
        (
            "model.py",
            '"""Docs."""\n\n# a comment\ndef double(x):  # another\n    """Twice."""\n    return (2 * x)\n',
            True,
        ),
        ("config.py", "c = 2\n", True),
        ("claims.py", "x = 2\n", True),
        ("unused.py", "x = 2\n", True),
        ("model.py", MODEL.replace("2", "3"), False),
        ("deep/other.py", "o = 'u'\n", False),
        ("absent.py", "x = 1\n", False),
    ],
)
def test_what_changes_the_hash(tmp_path: Path, file: str, text: str, same: bool) -> None:
    folder = varied(tmp_path)
    before = source_hash(tmp_path, "toy")
    (folder / file).write_text(text)
    assert (source_hash(tmp_path, "toy") == before) is same


def test_a_paper_without_code_has_no_hash(tmp_path: Path) -> None:
    assert source_hash(tmp_path, "nobody") == ""


# Stale


def test_a_verdict_is_stale_when_the_code_has_changed_whatever_the_file_says(tmp_path: Path) -> None:
    folder = ran(tmp_path, [judged(stale=True), claim("T-2")])
    assert [row.stale for row in Results(tmp_path).papers["toy"].claims] == [False, False]
    (folder / "model.py").write_text(MODEL.replace("2", "3"))
    first, second = Results(tmp_path).papers["toy"].claims
    assert first.stale and first.why == "the code has changed since smoke-s0 ran" and not second.stale


def test_a_verdict_of_a_run_that_is_gone_or_of_code_that_cannot_be_read_is_stale(tmp_path: Path) -> None:
    folder = ran(tmp_path)
    (folder / "model.py").write_text("def double(:\n")
    paper = Results(tmp_path).papers["toy"]
    assert paper.claims[0].stale and paper.claims[0].why == "the code cannot be read"
    assert str(paper.code_problem) == "repro/toy/model.py:1: source: the code cannot be read: invalid syntax (mend it)"
    (folder / "model.py").write_text(MODEL)
    (folder / "runs/smoke-s1.json").unlink()
    paper = Results(tmp_path).papers["toy"]
    assert paper.claims[0].why == "its run smoke-s1 is not in runs/"
    assert [str(p) for p in paper.problems] == [
        "repro/toy/results.json:6: results: claim T-1 names the run smoke-s1, which is not in runs/"
        " (python -m repro.toy.claims)"
    ]


def test_one_old_segment_makes_a_verdict_stale(tmp_path: Path) -> None:
    folder = ran(tmp_path)
    whole = json.loads((folder / "runs/smoke-s1.json").read_text())
    whole["segments"].insert(0, segment())
    (folder / "runs/smoke-s1.json").write_text(json.dumps(whole))
    assert Results(tmp_path).papers["toy"].claims[0].why == "the code has changed since smoke-s1 ran"


def test_without_code_the_file_is_believed(tmp_path: Path) -> None:
    write(tmp_path, claims=[judged(stale=True)], records=[record(seed=s) for s in range(3)])
    assert Results(tmp_path).papers["toy"].claims[0].stale


# kb check and kb status


def test_check_tells_what_is_wrong_with_reproductions(tmp_path: Path) -> None:
    folder = ran(tmp_path, [judged(), claim("T-2", note="gone", recipes=["big"])])
    (folder / "model.py").write_text("x = 1\n")
    library = vault(tmp_path, a="repro: nothing\n")
    again = "run it again: kb run toy smoke"
    expected = [
        "warning notes/a.md:3: repro: there is no repro/nothing (name a folder of repro/, or remove the key)",
        "warning repro/toy:0: repro: no note says `repro: toy` (write `repro: toy` into its note)",
        "info repro/toy/results.json:6: stale: claim T-1, 'holds', is stale: the code has changed since smoke-s0 ran"
        f" ({again})",
        "warning repro/toy/results.json:45: results: claim T-2 names the note 'gone', which is not there"
        " (write it, or name another in claims.py)",
    ]
    assert [f"{p.level} {p}" for p in check(library)] == expected
    assert [f"{p.level} {p}" for p in quick(library)] == [line for line in expected if ": stale:" not in line]


def test_a_note_with_the_key_or_one_that_a_claim_names_is_enough(tmp_path: Path) -> None:
    write(tmp_path, claims=[claim(note="b")])
    assert check(vault(tmp_path, a="repro: toy\n", b="")) == []
    (tmp_path / "notes/a.md").unlink()
    assert check(Library(tmp_path)) == []


def test_the_dashboard_lists_stale_verdicts(tmp_path: Path) -> None:
    from kb.checks.results import stale_rows

    folder = ran(tmp_path, [judged(note="a")])
    library = vault(tmp_path, a="repro: toy\n")
    assert dashboard(library, stale=stale_rows(library))["stale"] == []
    (folder / "model.py").write_text("x = 1\n")
    assert stale_rows(Library(tmp_path)) == [
        {"id": "T-1", "paper": "toy", "note": "a", "title": "What T-1 says",
         "why": "the code has changed since smoke-s0 ran"}
    ]  # fmt: skip


# What the laboratory writes, kb reads


def test_kb_reads_what_the_laboratory_writes(tmp_path: Path) -> None:
    """A run, its record and its verdicts, all made by repro.lab in a vault of one's own."""
    for module in ("torch", "tyro", "scipy"):
        pytest.importorskip(module, reason="the repro extra is not installed")
    write(
        tmp_path,
        "mine",
        code={"__init__.py": "", "config.py": LAB_CONFIG, "train.py": LAB_TRAIN, "claims.py": LAB_CLAIMS},
    )
    env = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}", "PATH": ""}

    outs = [f"out/{recipe}{seed}" for recipe in ("fast", "slow") for seed in range(3)]
    runs = "\n".join(f"t.main([{out[4:8]!r}, '--seed', {out[8]!r}, '--out', {out!r}])" for out in outs)
    command = [sys.executable, "-c", f"import repro.mine.train as t\n{runs}"]
    subprocess.run(command, env=env, cwd=tmp_path, check=True, capture_output=True, text=True)
    command = [sys.executable, "-m", "repro.mine.claims", "--keep", *outs]
    subprocess.run(command, env=env, cwd=tmp_path, check=True, capture_output=True, text=True)
    paper = Results(tmp_path).find("mine")
    assert paper.problems == [] and paper.own
    exact, robust, waiting = paper.claims
    assert (exact.verdict, exact.effects, exact.expected) == ("holds", (4.0,), (4.0,))
    assert (robust.verdict, robust.stale, robust.seeds, robust.mean) == (
        "holds",
        False,
        (0, 1, 2),
        pytest.approx(2, 0.1),
    )
    assert waiting.verdict == "not run" and robust.runs[:2] == ("fast-s0", "slow-s0")
    one = paper.records["slow-s2"]
    assert one.done and one.steps == 3 and one.curve["step"] == [0, 1, 2] and one.sources == {paper.source}
    train = paper.folder / "train.py"
    train.write_text(LAB_TRAIN.replace("+ config.push", "+ 1 * config.push"))
    assert Results(tmp_path).find("mine").claims[1].stale


LAB_CONFIG = """
from dataclasses import dataclass
from repro.lab.recipe import Recipe

@dataclass(frozen=True)
class Config:
    push: float = 1.0
    \"\"\"How far.\"\"\"
    seed: int = 0
    \"\"\"Of the noise.\"\"\"

RECIPES = {"fast": Recipe("Far.", "a CPU", 1, Config(3.0)), "slow": Recipe("Near.", "a CPU", 1, Config(1.0)),
           "gpu": Recipe("Never.", "a GPU", 1, Config())}
"""
LAB_TRAIN = """
import torch
from repro.lab.checkpoint import TrainState
from repro.lab.distributed import world
from repro.lab.recipe import command
from repro.lab.run import Run
from repro.mine.config import RECIPES

def main(args=None):
    asked = command("mine", RECIPES, args)
    config = asked.config
    with world("cpu") as w:
        torch.manual_seed(config.seed)
        model = torch.nn.Linear(1, 1)
        state = TrainState(model, torch.optim.SGD(model.parameters(), lr=0.1))
        run = Run("mine", asked, w, data="made here")
        far = 0.0
        for step in run.steps(state, 3):
            far = 0.01 * float(torch.rand(())) + config.push
            run.log(step, far=far)
        run.finish(far=far)

if __name__ == "__main__":
    main()
"""
LAB_CLAIMS = """
from pathlib import Path
from repro.lab.claims import Claim, Exact, main

CLAIMS = (
    Claim("M-1", "Two and two", "p. 1", "4", "the same", "exact", "", compute=lambda: [Exact(2 + 2, 4)]),
    Claim("M-2", "Fast goes further", "p. 2", "2", "three steps", "robust", "", ("fast", "slow"),
          lambda m: m["fast"]["far"] - m["slow"]["far"]),
    Claim("M-3", "Far away", "p. 3", "9", "smaller", "scale", "", ("gpu",), lambda m: m["gpu"]["far"]),
)

if __name__ == "__main__":
    main("mine", CLAIMS, Path(__file__).parent)
"""


def test_the_guides_example_of_the_algorithm_is_true() -> None:
    from kb.source import _told, _undocumented

    guide = (Path(__file__).parents[2] / "notes/guide/run-a-reproduction.md").read_text("utf-8")
    code, _, rest = guide.partition("A file that says\n\n```python\n")[2].partition("```\n")
    assert code and _told(_undocumented(ast.parse(code))) == rest.partition("```text\n")[2].partition("\n```")[0]
