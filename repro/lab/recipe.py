"""Named settings of a paper, and the command line that runs one of them. Imports no torch."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

C = TypeVar("C")


@dataclass(frozen=True)
class Recipe(Generic[C]):
    """A setting that has a name. `says`: what it shows and the result to expect; `minutes` on `hardware`."""

    says: str
    hardware: str
    minutes: float
    config: C


@dataclass(frozen=True)
class Command(Generic[C]):
    """What a command line asked for: a recipe's name (with `+` where a field was overridden), its Config, where the run
    is kept, and how long it may take."""

    recipe: str
    config: C
    out: Path
    minutes: float


def command(paper: str, recipes: Mapping[str, Recipe[C]], args: Sequence[str] | None = None) -> Command[C]:
    """Read `RECIPE [--field value …] [--out DIR] [--minutes N]`. The seed may be overridden freely; any other field
    makes the run one of recipe `name+`, which counts for no claim."""
    import tyro

    given = list(sys.argv[1:] if args is None else args)
    if not given or given[0] in ("-h", "--help") or given[0] not in recipes:
        _explain(paper, recipes, given)
    name, recipe = given[0], recipes[given[0]]
    asked = tyro.cli(
        _options(recipe.config),
        args=given[1:],
        prog=f"python -m repro.{paper}.train {name}",
        description=f"{recipe.says} ({recipe.hardware}, about {recipe.minutes:g} min)",
    )
    config: C = asked.config
    changed = [f.name for f in fields(recipe.config) if getattr(config, f.name) != getattr(recipe.config, f.name)]  # type: ignore[arg-type]
    label = name if set(changed) <= {"seed"} else f"{name}+"
    seed = asdict(config).get("seed", 0)  # type: ignore[call-overload]
    return Command(label, config, asked.out or Path("out") / f"{paper}-{name}-s{seed}", asked.minutes)


def _options(config: Any) -> Any:
    """A paper's own fields, with `config` as their defaults, and the options that every run has."""
    import tyro

    out = "Where the run is kept; the same command with the same folder goes on with it."
    minutes = "Stop cleanly after so many minutes; the same command goes on."
    return make_dataclass(
        "Options",
        [
            ("config", tyro.conf.OmitArgPrefixes[type(config)], field(default=config)),  # type: ignore[misc]
            ("out", Annotated[Path | None, tyro.conf.arg(help=out)], field(default=None)),
            ("minutes", Annotated[float, tyro.conf.arg(help=minutes)], field(default=float("inf"))),
        ],
    )


def _explain(paper: str, recipes: Mapping[str, Recipe[Any]], given: Sequence[str]) -> None:
    known = "\n".join(f"  {name:16} {r.says} ({r.hardware}, {r.minutes:g} min)" for name, r in recipes.items())
    usage = f"python -m repro.{paper}.train RECIPE [--seed N] [--minutes N] [--out DIR] [--field value …]\n\n{known}"
    if given and given[0] in ("-h", "--help"):
        print(usage)
        sys.exit(0)
    told = f"no recipe '{given[0]}'" if given else "which recipe?"
    print(f"{told}\n{usage}", file=sys.stderr)
    sys.exit(2)
