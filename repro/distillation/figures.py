"""The picture of KD-7: one normal distribution fitted to two modes."""

from __future__ import annotations

from pathlib import Path

import torch

from repro.distillation.limits import MEANS, Fit, fit, mixture_log_density, normal_log_density


def mixture(path: Path) -> str:
    """Densities of the mixture and of both fits; the file's name."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    x = torch.linspace(3 * MEANS[0], 3 * MEANS[1], 600, dtype=torch.float64)
    figure = Figure(figsize=(5, 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    axis.fill_between(x, mixture_log_density(x).exp(), color="0.85", label="teacher: two modes")
    for kind, style in (("forward", "-"), ("reverse", "--")):
        found = fit(kind)
        axis.plot(x, _density(x, found), style, label=f"{kind} KL: mean {found.mean:.2f}, deviation {found.std:.2f}")
    axis.set(xlabel="x", ylabel="density", ylim=(0, None))
    axis.legend(frameon=False, fontsize="small")
    axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    return path.name


def _density(x: torch.Tensor, found: Fit) -> torch.Tensor:
    return normal_log_density(x, torch.tensor(found.mean), torch.tensor(found.std, dtype=x.dtype).log()).exp()
