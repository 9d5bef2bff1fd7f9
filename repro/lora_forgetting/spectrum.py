"""How far from low rank a change of the weights is (Section 4.5 and Figure 6 of the paper): the singular values of what
training added to each matrix, and how many of them hold most of it.

The paper counts the singular values that explain 90 % of the *variance*. Here that is the energy: the sum of the
squared singular values, which is the squared Frobenius norm; nothing is centred. All is computed in float64.

Shapes: a matrix is (out, in) as nn.Linear has it; r the rank of an adapter.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from repro.lab import hub
from repro.lab.transformer import Shape

Kind = Literal["attention", "mlp"]
FRACTION = 0.9  # of the energy


@dataclass(frozen=True)
class Spectrum:
    """Of the change of one matrix: `rank`, the fewest singular values that hold the fraction of its energy (0 where
    nothing changed), out of `full` that there are; `norm`, that of Frobenius; `spectral`, the largest of them."""

    module: str
    layer: int
    kind: Kind
    rank: int
    full: int
    norm: float
    spectral: float


def changes(
    before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor], shape: Shape
) -> Iterator[tuple[str, torch.Tensor]]:
    """What was added to each matrix of the blocks, one at a time, in float64 where `after` is, by the name that the
    field gives it: model.layers.0.self_attn.q_proj. `before` and `after` are a decoder's state dicts; a ValueError
    where a matrix is not in both."""
    for name in (name for name in before if _is_matrix(name)):
        if name not in after or before[name].shape != after[name].shape:
            raise ValueError(f"there is no {name} of size {tuple(before[name].shape)} after the change")
        change = after[name].detach().double() - before[name].detach().to(after[name].device).double()
        yield from split(name, change, shape)


def _is_matrix(name: str) -> bool:
    return name.startswith("blocks.") and name.endswith(".weight") and ".norm" not in name


def split(name: str, matrix: torch.Tensor, shape: Shape) -> Iterator[tuple[str, torch.Tensor]]:
    """The matrices that one of a decoder is made of, by the field's names: (H + 2 K) E rows are q, k and v, 2 F rows
    gate and up."""
    sizes = {
        "qkv": [n * shape.head_dim for n in (shape.n_heads, shape.n_kv_heads, shape.n_kv_heads)],
        "gate_up": [shape.d_ff, shape.d_ff],
    }  # fmt: skip
    rows = sizes.get(name.removesuffix(".weight").rpartition(".")[2], [matrix.shape[0]])
    names = (theirs.removesuffix(".weight") for theirs in hub.their_names(name))
    yield from zip(names, matrix.split(rows), strict=True)


def low_rank(lora_A: torch.Tensor, lora_B: torch.Tensor, scaling: float) -> torch.Tensor:
    """What an adapter adds, scaling * B A with A (r, in) and B (out, r), as a matrix (out, in) in float64."""
    return torch.mul(lora_B.detach().double() @ lora_A.detach().double(), scaling)


def energies(matrix: torch.Tensor) -> torch.Tensor:
    """The squared singular values of a matrix, the largest first, in float64.

    As eigenvalues of the smaller of its two Gram matrices: as exact as they need to be, since the error is that of a
    float64 beside the largest of them, and many times faster than singular values on a GPU."""
    wide = matrix.detach().double()
    wide = wide if wide.shape[0] <= wide.shape[1] else wide.T
    found: torch.Tensor = torch.linalg.eigvalsh(wide @ wide.T)
    return found.clamp_min_(0).flip(0)


def rank_for(squares: torch.Tensor, fraction: float = FRACTION) -> int:
    """How many of some energies, the largest first, hold at least this fraction of their sum; 0 of nothing."""
    if not 0 < fraction <= 1:
        raise ValueError(f"a fraction of the energy is above 0 and at most 1, not {fraction}")
    held = squares.double().cumsum(0)
    if not held.numel() or float(held[-1]) == 0:
        return 0
    return int((held < fraction * held[-1]).sum()) + 1


def spectrum(module: str, change: torch.Tensor, fraction: float = FRACTION) -> Spectrum:
    """Of one change (out, in), by the name of what was changed."""
    squares = energies(change)
    _, _, layer, part, _ = module.split(".")  # model.layers.0.self_attn.q_proj
    return Spectrum(
        module, int(layer), "attention" if part == "self_attn" else "mlp", rank_for(squares, fraction),
        squares.numel(), float(squares.sum().sqrt()), float(squares[0].sqrt()),
    )  # fmt: skip


def spectra(named: Iterable[tuple[str, torch.Tensor]], fraction: float = FRACTION) -> list[Spectrum]:
    """Of each change of `changes`, or of adapters made dense by `low_rank`."""
    return [spectrum(module, change, fraction) for module, change in named]


def summary(found: Iterable[Spectrum]) -> dict[str, float]:
    """For each kind of matrix: `rank_attention`, `rank_mlp`, the mean rank, and the same as a part of the full rank
    (`rank_fraction_…`); matrices that did not change are left out."""
    scores: dict[str, float] = {}
    found = [each for each in found if each.rank]
    for kind in ("attention", "mlp"):
        some = [each for each in found if each.kind == kind]
        if some:
            scores[f"rank_{kind}"] = statistics.fmean(each.rank for each in some)
            scores[f"rank_fraction_{kind}"] = statistics.fmean(each.rank / each.full for each in some)
    return scores
