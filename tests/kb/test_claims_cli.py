"""`kb claims`, `kb run`, and what `kb status` and `kb check` say of verdicts, as a person sees them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from reproductions import MODEL, TRAIN, claim, judged, record, write

from kb.claims import effect, facts, measured, number
from kb.extras import install
from kb.problem import KbError
from kb.results import Result, source_hash
from kb.verbs.run import environment, training

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
HOME = Path(__file__).parents[2]
SETTING = {"ours": "8x8 patches, 500 steps of 800,000", "data": ["JPEG copies of two photographs"]}


@pytest.fixture
def vault(make_vault: Vault) -> Path:
    """A vault with the paper `toy`: an exact claim, one that holds, one that fails on older code, one not run."""
    root = make_vault({"papers/a.md": "---\ntitle: A paper\nrepro: toy\n---\n"})
    write(root, code={"train.py": TRAIN.format(paper="toy"), "model.py": MODEL})
    now = [record(seed=s, source=source_hash(root, "toy")) for s in range(3)]
    old = [record(recipe="wide", seed=s) for s in range(3)]
    exact = {"effects": [35746307.0, 0.0503985], "expected": [35746307.0, 0.0504], "recipes": []}
    claims = [
        claim("T-1", tier="exact", verdict="fails", **exact),
        judged("T-2", **SETTING),
        judged("T-3", verdict="fails", mean=-2.5, low=-3.0, high=-2.0, runs=["wide-s0", "wide-s1", "wide-s2"]),
        claim("T-4", tier="scale", recipes=["gpu-a", "gpu-b"]),
    ]
    write(root, claims=claims, records=[*now, *old])
    return root


def test_the_table(vault: Path, run_kb: Run) -> None:
    ended = run_kb(vault, "claims")
    assert (ended.returncode, ended.stderr) == (0, "")
    rows = [re.split(r" {2,}", line) for line in ended.stdout.splitlines() if line.startswith("toy")]
    assert rows == [  # beside what the installed laboratory has
        ["toy", "T-1", "exact", "fails", "35,746,307, 0.0504", "What T-1 says"],
        ["toy", "T-2", "robust", "holds", "+0.12 [0.0703, 0.17]", "p 0.00913", "What T-2 says"],
        ["toy", "T-3", "robust", "fails", "stale", "-2.5 [-3, -2]", "p 0.00913", "What T-3 says"],
        ["toy", "T-4", "scale", "not run", "What T-4 says"],
    ]


def test_the_details_have_our_setting_and_what_was_done_to_the_data_beside_the_verdict(
    vault: Path, run_kb: Run
) -> None:
    ended = run_kb(vault, "claims", "toy")
    assert ended.returncode == 0
    blocks = ended.stdout.strip().split("\n\n")
    assert blocks[1] == (
        "T-2  holds  What T-2 says\n"
        "    where     Table 1\n"
        "    the paper 3.17\n"
        "    we        effect +0.12 [0.0703, 0.17], p 0.00913, 3 seeds\n"
        "    setting   8x8 patches, 500 steps of 800,000\n"
        "    data      JPEG copies of two photographs\n"
        "    device    a CPU\n"
        "    tier      robust\n"
        "    runs      smoke-s0, smoke-s1, smoke-s2"
    )
    assert "    we        35,746,307; 0.0503985 (expected 0.0504)" in blocks[0]
    assert blocks[2].startswith("T-3  fails, stale  What T-3 says")
    assert "    stale     the code has changed since wide-s0 ran" in blocks[2]
    assert blocks[3].endswith("    to run    kb run toy gpu-a, kb run toy gpu-b")
    assert blocks[4] == "4 claims: 1 holds, 2 fails, 1 not run; 1 stale"


def test_json_of_one_paper_and_of_all(vault: Path, run_kb: Run) -> None:
    one = json.loads(run_kb(vault, "claims", "toy", "--json").stdout)
    assert (one["schema"], one["paper"], [row["id"] for row in one["claims"]]) == (
        1,
        "toy",
        ["T-1", "T-2", "T-3", "T-4"],
    )
    assert one["claims"][1] == {
        "repro": "toy", "id": "T-2", "says": "What T-2 says", "where": "Table 1", "paper": "3.17",
        "ours": "8x8 patches, 500 steps of 800,000", "tier": "robust", "verdict": "holds", "recipes": ["smoke"],
        "seeds": [0, 1, 2], "effects": [0.1, 0.12, 0.14], "mean": 0.12, "p": 0.00913, "low": 0.0703, "high": 0.17,
        "stale": False, "runs": ["smoke-s0", "smoke-s1", "smoke-s2"], "devices": ["a CPU"],
        "data": ["JPEG copies of two photographs"],
    }  # fmt: skip
    assert one["claims"][2]["stale"] is True and "mean" not in one["claims"][3]
    everything = json.loads(run_kb(vault, "claims", "--json").stdout)
    assert everything.keys() == {"schema", "claims"} and one["claims"][0] in everything["claims"]


def test_a_paper_that_is_not_there_is_told_with_those_that_are(vault: Path, run_kb: Run) -> None:
    ended = run_kb(vault, "claims", "nope")
    assert ended.returncode == 1 and ended.stderr.startswith("kb: no reproduction 'nope'; there are: ")
    assert "toy" in ended.stderr and ended.stderr.count("\n") == 1


def test_damage_is_told_and_the_rest_shown(vault: Path, run_kb: Run) -> None:
    (vault / "repro/toy/runs/smoke-s1.json").write_text("{")
    ended = run_kb(vault, "claims", "toy")
    assert ended.returncode == 1 and "4 claims" in ended.stdout
    assert ended.stderr.startswith("repro/toy/runs/smoke-s1.json:1: record: no JSON: ")


def test_status_lists_stale_verdicts_and_check_tells_them_as_information(vault: Path, run_kb: Run) -> None:
    assert json.loads(run_kb(vault, "status", "--json").stdout)["stale"] == [
        {"id": "T-3", "paper": "toy", "note": "", "title": "What T-3 says",
         "why": "the code has changed since wide-s0 ran"}
    ]  # fmt: skip
    assert (
        "Stale verdicts\n  T-3  What T-3 says  the code has changed since wide-s0 ran" in run_kb(vault, "status").stdout
    )
    wide = {"recipes": ["wide"], "runs": ["wide-s0", "wide-s1", "wide-s2"]}
    write(vault, claims=[judged("T-1", p=0.0183), judged("T-3", p=0.0183, **wide)])
    quiet, loud = run_kb(vault, "check"), run_kb(vault, "check", "--all")
    assert (quiet.returncode, quiet.stdout, loud.returncode) == (0, "", 0)
    assert loud.stdout.splitlines() == [
        "repro/toy/results.json:45: stale: claim T-3, 'holds', is stale: the code has changed since wide-s0 ran"
        " (run it again: kb run toy wide)",
    ]


def result(**given: object) -> Result:
    row: dict[str, object] = {
        "repro": "r",
        "id": "1",
        "says": "s",
        "where": "",
        "paper": "",
        "ours": "",
        "tier": "scale",
    }
    return Result(**(row | {"verdict": "holds"} | given))  # type: ignore[arg-type]


def test_numbers_in_words() -> None:
    assert [number(v) for v in (None, 35746307.0, 0.0, -2.0, 0.123456, 1234.56, 1e-7)] == [
        "", "35,746,307", "0", "-2", "0.123", "1,234.6", "1e-07",
    ]  # fmt: skip
    assert effect(result(mean=0.5)) == "+0.5" and effect(result(mean=12345.5, low=1.0, high=2.0)) == "12,345.5 [1, 2]"
    assert effect(result(effects=(1.0, 2.0, 3.0))) == "1, 2 …" and measured(result()) == ""
    assert measured(result(mean=1.0, effects=(1.0,), seeds=(0,), smallest=0.1)) == (
        "effect +1, smallest that matters 0.1, 1 seed"
    )
    assert facts(result(missing="the runs have no metric 'x'"))[1:] == [("missing", "the runs have no metric 'x'")]


def test_what_a_terminal_would_obey_is_not_shown(make_vault: Vault, run_kb: Run) -> None:
    root = make_vault({})
    write(root, claims=[claim(says="a\x1b[31mb", ours="c\x07")])
    for args in (["claims"], ["claims", "toy"]):
        out = run_kb(root, *args).stdout
        assert "\x1b" not in out and "\x07" not in out and "a\ufffd[31mb" in out


# kb run

CONFIG = """
from repro.lab.recipe import Recipe
RECIPES = {"smoke": Recipe("Small.", "a CPU", 1, None), "gpu-big": Recipe("Big.", "a GPU", 1, None)}
"""
TELLS = """
import json, os, repro, sys
print(json.dumps([sys.argv[1:], os.environ["PYTHONPATH"], os.getcwd()]))
print("to stderr", file=sys.stderr)
sys.exit(7)
"""
WAITS = """
import signal, sys, time
got = []
for name in (signal.SIGINT, signal.SIGTERM):
    signal.signal(name, lambda number, frame: got.append(signal.Signals(number).name))
print("ready", flush=True)
while not got:
    time.sleep(0.01)
time.sleep(0.3)
print("saved", *got, flush=True)
sys.exit(5)
"""


@pytest.fixture
def lab(make_vault: Vault, tmp_path: Path) -> Path:
    """A vault with a paper to run, and beside it what passes for a torch: kb only looks whether there is one."""
    (tmp_path / "torch/distributed").mkdir(parents=True)
    (tmp_path / "torch/__init__.py").write_text("")
    (tmp_path / "torch/distributed/__init__.py").write_text("")
    (tmp_path / "torch/distributed/run.py").write_text("import sys; print(sys.argv[1:])\n")
    root = make_vault({})
    write(root, "mine", code={"__init__.py": "", "config.py": CONFIG, "train.py": TELLS})
    return root


def run_here(root: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(root.parent), str(HOME)])}


@pytest.mark.parametrize(
    ("args", "given"),
    [
        (["mine"], ["smoke"]),
        (["mine", "gpu-big"], ["gpu-big"]),
        (["mine", "gpu-big", "--", "--seed", "1", "x y"], ["gpu-big", "--seed", "1", "x y"]),
        (["mine", "--", "--seed", "1"], ["smoke", "--seed", "1"]),
    ],
)
def test_run_passes_arguments_output_and_exit_code(lab: Path, run_kb: Run, args: list[str], given: list[str]) -> None:
    ended = run_kb(lab, "run", *args, **run_here(lab))
    assert ended.returncode == 7 and ended.stderr == "to stderr\n"
    places = f"{lab}{os.pathsep}{run_here(lab)['PYTHONPATH']}"
    assert json.loads(ended.stdout) == [given, places, str(lab)]


def test_run_on_several_gpus_goes_through_torchrun(lab: Path, run_kb: Run) -> None:
    ended = run_kb(lab, "run", "mine", "--gpus", "2", "--", "--seed", "1", **run_here(lab))
    assert ended.stdout == "['--standalone', '--nproc-per-node=2', '-m', 'repro.mine.train', 'smoke', '--seed', '1']\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nope"], "kb: no paper 'nope'; there are: "),
        (["mine", "gpu-small"], "kb: no recipe 'gpu-small' of mine; there are: smoke, gpu-big\n"),
    ],
)
def test_run_names_what_there_is(lab: Path, run_kb: Run, args: list[str], message: str) -> None:
    ended = run_kb(lab, "run", *args, **run_here(lab))
    assert ended.returncode == 1 and ended.stderr.startswith(message) and ended.stderr.count("\n") == 1
    assert "mine" in ended.stderr


def test_a_config_that_fails_is_told_in_one_line(lab: Path, run_kb: Run) -> None:
    (lab / "repro/mine/config.py").write_text("1 / 0\n")
    ended = run_kb(lab, "run", "mine", **run_here(lab))
    told = "kb: the papers cannot be listed: ZeroDivisionError: division by zero; `python -m repro` says more\n"
    assert (ended.returncode, ended.stderr) == (1, told)


def test_without_torch_names_are_checked_first_and_then_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, lab: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(KbError, match=r"^no recipe 'nosuch' of mine; there are: smoke, gpu-big$"):
        training(lab, "mine", "nosuch", 0, [])
    with pytest.raises(KbError) as failure:
        training(lab, "mine", "smoke", 0, [])
    assert str(failure.value) == f"`kb run` needs the repro extra: {install('repro')}"


def test_a_remedy_fits_how_kb_was_installed(tmp_path: Path) -> None:
    assert install("site", HOME, here=HOME) == "pip install '.[site]'"
    assert install("site", HOME, here=tmp_path) == f"pip install '{HOME}[site]'"
    assert install("site", tmp_path, here=tmp_path) == "pip install 'papers-you-can-run[site]'"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "something-else"\n')
    assert install("repro", tmp_path, here=tmp_path) == "pip install 'papers-you-can-run[repro]'"


def test_the_vault_comes_before_what_was_on_the_path(tmp_path: Path) -> None:
    assert environment(tmp_path, {"A": "b"}) == {"A": "b", "PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    assert environment(tmp_path, {"PYTHONPATH": "/x"})["PYTHONPATH"] == f"{tmp_path}{os.pathsep}/x"


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("group", [False, True], ids=["process", "terminal"])
def test_a_signal_reaches_the_training_once_and_it_ends_by_itself(lab: Path, name: str, group: bool) -> None:
    """Sent to kb alone (kill), or to all of the terminal's group (Ctrl-C)."""
    (lab / "repro/mine/train.py").write_text(WAITS)
    command = [sys.executable, "-m", "kb", "run", "mine"]
    env = {**os.environ, **run_here(lab)}
    with subprocess.Popen(command, cwd=lab, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True) as kb:
        assert kb.stdout is not None and kb.stdout.readline() == "ready\n"
        number = signal.Signals[name]
        os.killpg(kb.pid, number) if group else kb.send_signal(number)
        start = time.monotonic()
        assert kb.stdout.read() == f"saved {name}\n" and kb.wait(10) == 5 and time.monotonic() - start < 5


def test_lists_do_not_pay_for_reproductions(vault: Path) -> None:
    """`kb list` loads none of this."""
    code = (
        "import sys; sys.argv = ['kb', 'list']; from kb.cli import app\n"
        "try: app()\nexcept SystemExit: pass\n"
        "print(sorted(m for m in ('kb.results', 'kb.source', 'kb.verbs.run', 'repro', 'torch') if m in sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=vault, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"
