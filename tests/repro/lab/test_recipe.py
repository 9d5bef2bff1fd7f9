"""The command line of every paper."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy import Config

from repro.lab.recipe import Recipe, command

RECIPES = {
    "smoke": Recipe("Shows little", "2 cores", 1, Config()),
    "big": Recipe("Shows more", "1 GPU", 9, Config(width=64)),
}


def test_a_recipe_alone():
    asked = command("toy", RECIPES, ["big"])
    assert (asked.recipe, asked.config) == ("big", Config(width=64))
    assert (asked.out, asked.minutes) == (Path("out/toy-big-s0"), float("inf"))


def test_the_seed_is_free_and_every_other_field_makes_another_recipe():
    seeded = command("toy", RECIPES, ["smoke", "--seed", "3"])
    assert (seeded.recipe, seeded.config.seed, seeded.out) == ("smoke", 3, Path("out/toy-smoke-s3"))
    changed = command("toy", RECIPES, ["smoke", "--lr", "0.5", "--seed", "3", "--out", "x", "--minutes", "2.5"])
    assert (changed.recipe, changed.config) == ("smoke+", Config(lr=0.5, seed=3))
    assert (changed.out, changed.minutes) == (Path("x"), 2.5)
    assert command("toy", RECIPES, ["smoke", "--lr", "0.01"]).recipe == "smoke"  # what it was
    assert command("toy", RECIPES, ["smoke", "--betas", "0.8", "0.9"]).config.betas == (0.8, 0.9)


@pytest.mark.parametrize(("args", "told"), [(["nope"], "no recipe 'nope'"), ([], "which recipe?")])
def test_without_a_recipe_all_are_listed(args, told, capsys):
    with pytest.raises(SystemExit) as ended:
        command("toy", RECIPES, args)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and told in said
    assert all(word in said for word in ("smoke", "Shows little", "big", "1 GPU", "9 min", "repro.toy.train"))


def test_help(capsys):
    for args, wanted in ((["--help"], "Shows more"), (["smoke", "--help"], "Of the hidden layer")):
        with pytest.raises(SystemExit) as ended:
            command("toy", RECIPES, args)
        assert ended.value.code == 0 and wanted in capsys.readouterr().out


@pytest.mark.parametrize("args", [["smoke", "--nope", "1"], ["smoke", "--lr", "fast"], ["smoke", "--minutes"]])
def test_a_wrong_option_is_refused(args, capsys):
    with pytest.raises(SystemExit) as ended:
        command("toy", RECIPES, args)
    assert ended.value.code == 2
