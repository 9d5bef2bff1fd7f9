"""`kb results`: the papers' numbers beside ours, which say that they are ours and how they are smaller."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kb.library import Library
from kb.source import source_hash
from kb.verbs.reported import lines, reported
from tests.kb.reproductions import MODEL, TRAIN, claim, record, write

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
HEAD = """---
title: A Toy Paper
repro: toy
results:
  - {task: images, data: CIFAR-10, metric: FID, value: 3.17, where: Table 1}
  - {task: images, data: CIFAR-10, metric: IS, value: 9.46 ± 0.11}
---
"""


@pytest.fixture
def root(make_vault: Vault) -> Path:
    root = make_vault({"papers/a.md": HEAD, "papers/b.md": "---\ntitle: B\nresults: [{data: MNIST, value: 7}]\n---\n"})
    runs = root / "repro/toy/runs"
    runs.mkdir(parents=True)
    for seed, loss in enumerate((1.0, 2.0, 3.0)):
        metrics = {"loss_nats": loss, "lost": None}
        (runs / f"smoke-s{seed}.json").write_text(json.dumps(record(seed=seed, metrics=metrics)))
    (runs / "big-s0.json").write_text(json.dumps(record(recipe="big", metrics={"loss_nats": 0.25})))
    (runs / "cut-s0.json").write_text(json.dumps(record(recipe="cut", done=False)))
    claims = [claim(ours="toy data; 3 steps"), claim("T-2", ours="toy data; half the layers")]
    (root / "repro/toy/results.json").write_text(json.dumps({"schema": 1, "paper": "toy", "claims": claims}))
    return root


def own(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Without the installed laboratory's papers, which no note of this vault names anyway."""
    assert {row.get("repro") for row in rows if row["by"] == "us"} <= {"toy"}
    return rows


PAPER = {"by": "paper", "note": "a", "title": "A Toy Paper", "task": "images", "data": "CIFAR-10"}
US = {"by": "us", "note": "a", "title": "A Toy Paper", "repro": "toy", "data": "digits", "device": "a CPU"}


def test_rows_of_papers_and_ours(root: Path) -> None:
    assert own(reported(Library(root))) == [
        PAPER | {"metric": "FID", "value": 3.17, "where": "Table 1"},
        PAPER | {"metric": "IS", "value": "9.46 ± 0.11"},
        {"by": "paper", "note": "b", "title": "B", "data": "MNIST", "value": 7},
        US | {"recipe": "big", "metric": "loss_nats", "value": 0.25, "seeds": [0]},
        US
        | {"recipe": "smoke", "metric": "loss_nats", "value": 2.0, "sd": 1.0, "seeds": [0, 1, 2]}
        | {"ours": "toy data; 3 steps; half the layers"},
    ]


@pytest.mark.parametrize(
    ("words", "metrics"),
    [
        (["cifar-10"], ["FID", "IS"]),
        (["CIFAR-10 fid"], ["FID"]),
        (["toy", "LOSS"], ["loss_nats", "loss_nats"]),
        (["digits", "smoke"], ["loss_nats"]),
        (["nothing"], []),
    ],
)
def test_words_narrow_it(root: Path, words: list[str], metrics: list[str]) -> None:
    assert [row["metric"] for row in reported(Library(root), words)] == metrics


def test_what_older_code_measured_is_stale(root: Path) -> None:
    assert not any("stale" in row for row in reported(Library(root)))
    write(root, code={"train.py": TRAIN.format(paper="toy"), "model.py": MODEL})
    assert [row["stale"] for row in reported(Library(root), ["smoke"])] == [True]
    assert "  toy big, stale: the code has changed since  digits; a CPU" in lines(reported(Library(root)))
    today = source_hash(root, "toy")
    write(root, records=[record(seed=seed, source=today) for seed in range(3)])
    assert not any("stale" in row for row in reported(Library(root), ["smoke"]))


def test_a_reproduction_that_no_note_names_is_joined_by_its_claims(root: Path) -> None:
    (root / "notes/papers/a.md").write_text("---\ntitle: A\n---\n")
    results = {"schema": 1, "paper": "toy", "claims": [claim(note="a", recipes=["big"])]}
    (root / "repro/toy/results.json").write_text(json.dumps(results))
    rows = reported(Library(root), ["loss"])
    assert [(row["recipe"], row.get("note"), row.get("ours")) for row in rows] == [
        ("big", "a", "toy data"), ("smoke", None, None)
    ]  # fmt: skip


def test_the_table_says_whose_numbers_they_are(root: Path, run_kb: Run) -> None:
    shown = list(lines(reported(Library(root))))
    assert shown == [
        "What the papers report",
        "  a  images  CIFAR-10  FID  3.17         Table 1",
        "  a  images  CIFAR-10  IS   9.46 ± 0.11",
        "  b          MNIST          7",
        "",
        "What we measured, smaller than the papers' own settings where that is said",
        "  toy big  digits; a CPU",
        "    loss_nats  0.25  1 seed",
        "  toy smoke  toy data; 3 steps; half the layers; digits; a CPU",
        "    loss_nats  2 ± 1  3 seeds",
    ]
    metrics = dict.fromkeys("abcdef", 1.0)
    (root / "repro/toy/runs/big-s0.json").write_text(json.dumps(record(recipe="big", metrics=metrics)))
    row, more = "    {}  1  1 seed", "    and 2 more: kb results toy big"
    first = [*(row.format(name) for name in "abcd"), more]
    assert run_kb(root, "results").stdout.splitlines()[7:-2] == first  # with no words, of each recipe the first
    assert run_kb(root, "results", "toy", "big").stdout.splitlines()[2:] == [row.format(name) for name in "abcdef"]
    run = run_kb(root, "results", "MNIST")
    assert (run.returncode, run.stdout, run.stderr) == (0, "What the papers report\n  b    MNIST    7\n", "")
    assert json.loads(run_kb(root, "results", "fid", "--json").stdout)[0]["value"] == 3.17
    assert json.loads(run_kb(root, "results", "nothing", "--json").stdout) == []
