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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    points = {name: (found["target_nats"], found["forgot_nats"]) for name, found in arms.items()}
    for i, kind in enumerate(sorted({method(name) for name in points})):
        own = [point for name, point in points.items() if method(name) == kind]
        mark = "s" if kind.startswith("full") else "o"
        axis.plot(*zip(*own, strict=True), mark, color=f"C{i % 10}", label=kind, markersize=5, alpha=0.8)
    for label, style in (("full", "k-"), ("lora", "k--")):
        own = front([p for name, p in points.items() if _family(name) == label])
        if own:
            axis.plot(*zip(*own, strict=True), style, linewidth=1, label=f"front of {label}")
    over = ", nats above the optimum" if excess else ", nats"
    axis.set(xlabel=f"loss on the target{over}", ylabel="rise of the loss on the source, nats", xscale="log")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=6, ncols=2)
    figure.savefig(path, dpi=110)
    return path.name


def _family(name: str) -> str:
    return "full" if name.startswith("full") else "lora"
