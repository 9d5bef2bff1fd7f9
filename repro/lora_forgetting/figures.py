"""The figure to remember: what was learnt against what was forgotten, with the front of each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

Point = tuple[float, float]  # loss on the target, rise of the loss on the source: less of both is better


def front(points: Sequence[Point]) -> list[Point]:
    """The points that no other one beats in both, from the best learnt to the least forgotten."""
    kept: list[Point] = []
    for point in sorted(points):
        if not kept or point[1] < kept[-1][1]:
            kept.append(point)
    return kept


def method(name: str) -> str:
    """full, or LoRA at a rank or on some layers, from an arm's name: lora-r4-lr0.01 is `lora-r4`."""
    return name.rsplit("-lr", 1)[0]


def fronts(arms: Mapping[str, Mapping[str, float]], excess: bool, path: Path) -> str:
    """Every arm as a point and the two envelopes, of full finetuning and of all LoRA; the file's name."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    points = {name: (found["target_nats"], found["forgot_nats"]) for name, found in arms.items()}
    for family, colours, mark, line in (("full", "autumn", "s", "-"), ("lora", "winter", "o", "--")):
        own = {name: point for name, point in points.items() if _family(name) == family}
        kinds = list(dict.fromkeys(method(name) for name in own))
        for i, kind in enumerate(kinds):
            of_kind = [point for name, point in own.items() if method(name) == kind]
            shade = colormaps[colours](i / max(1, len(kinds) - 1))
            axis.plot(*zip(*of_kind, strict=True), mark, color=shade, label=kind, markersize=5)
        if own:
            axis.plot(
                *zip(*front(list(own.values())), strict=True), f"k{line}", linewidth=1, label=f"front of {family}"
            )
    over = ", nats above the optimum" if excess else ", nats"
    axis.set(xlabel=f"loss on the target{over}", ylabel="rise of the loss on the source, nats", xscale="log")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=110)
    return path.name


def _family(name: str) -> str:
    return "full" if name.startswith("full") else "lora"
