"""Pictures of a run: samples, how they take shape, and rate against distortion. Each PNG has at most 200 KB."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional as F

LIMIT = 200_000


def grid(x: torch.Tensor, columns: int, path: Path) -> str:
    """uint8 images (N, C, H, W) in rows of `columns`, as large as the limit allows; the file's name."""
    from PIL import Image

    for scale in (4, 3, 2, 1, 0.5, 0.25, 0.125):
        if scale > 1 and x.shape[-1] * scale > 128:
            continue
        sized = F.interpolate(x.float().cpu(), scale_factor=scale, mode="nearest" if scale >= 1 else "area")
        tiles = F.pad(sized.round().to(torch.uint8), (1, 1, 1, 1), value=128)
        rows = [torch.cat(list(row), dim=2) for row in tiles.split(columns) if len(row) == columns]
        picture = torch.cat(rows, dim=1).permute(1, 2, 0).numpy()
        data = io.BytesIO()
        Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(data, "PNG", optimize=True)
        if len(data.getvalue()) <= LIMIT:
            break
    path.write_bytes(data.getvalue())
    return path.name


def rate_distortion(rate: Sequence[float], rmse: Sequence[float], path: Path) -> str:
    """Bits per dimension sent so far against the error of the image they give, both by step, last step first."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot(range(len(rmse), 0, -1), rmse)
    left.set(xlabel="steps to go", ylabel="RMSE (of 255)", ylim=(0, None))
    left.invert_xaxis()
    right.plot(rate, rmse)
    right.set(xlabel="rate (bits/dim)", ylim=(0, None))
    for axis in (left, right):
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    return path.name
