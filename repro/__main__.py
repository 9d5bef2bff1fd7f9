"""`python -m repro`: the papers that can be run, their recipes and what was found. Imports no torch."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import repro

COMMON = {"lab"}  # packages here that are no paper


def papers() -> dict[str, dict[str, Any]]:
    """Every paper found in this package and in the vaults on its path: recipes from its config.py, verdicts from its
    results.json."""
    found = {}
    for module in pkgutil.iter_modules(repro.__path__):
        if not module.ispkg or module.name in COMMON:
            continue
        config = importlib.import_module(f"repro.{module.name}.config")
        recipes = {
            name: {"says": recipe.says, "hardware": recipe.hardware, "minutes": recipe.minutes}
            for name, recipe in config.RECIPES.items()
        }
        found[module.name] = {"recipes": recipes, "verdicts": _verdicts(Path(str(config.__file__)).parent)}
    return found


def _verdicts(folder: Path) -> dict[str, str]:
    results = folder / "results.json"
    if not results.is_file():
        return {}
    return {claim["id"]: claim["verdict"] for claim in json.loads(results.read_text("utf-8"))["claims"]}


def main() -> None:
    """Print the table; a reader who has seen enough (`| head -1`) is no error to speak of."""
    try:
        try:
            _show()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _show() -> None:
    parser = argparse.ArgumentParser("python -m repro", description="The papers that can be run here.")
    parser.add_argument("--json", action="store_true", help="as JSON")
    found = papers()
    if parser.parse_args().json:
        print(json.dumps({"schema": 1, "papers": found}, indent=2))
        return
    if not found:
        print("No paper can be run yet: repro/<paper>/ holds none.")
    for name, paper in found.items():
        print(name)
        width = max(map(len, paper["recipes"]))
        for recipe, about in paper["recipes"].items():
            print(f"  {recipe:{width}} {about['minutes']:>9,.0f} min on {about['hardware']}: {about['says']}")
        counts = Counter(paper["verdicts"].values())
        print("  claims: " + (", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items())) or "none judged"))


if __name__ == "__main__":
    main()
