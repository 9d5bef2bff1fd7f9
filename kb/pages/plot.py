"""Curves as SVG: one small pure function. Colours are classes of the stylesheet, so that a plot is light or dark as its
page is; nothing in it runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

Points = Sequence[tuple[float, float | None]]
WIDTH, HEIGHT = 360, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 16, 24, 36
_LOG_FROM = 30  # the ratio of largest to smallest value from which an axis is logarithmic
_UNITS = {
    "_nats": "nats", "_bits": "bits", "_gib": "GiB", "_per_s": "per s", "_s": "s", "minutes": "min", "_ms": "ms",
    "_db": "dB", "_percent": "%",
}  # fmt: skip


def label(metric: str) -> str:
    """A metric's name with its unit: 'loss_nats' -> 'loss (nats)', 'bits_per_dim' -> 'bits per dim'."""
    for ending, unit in _UNITS.items():
        if metric.endswith(ending) and metric != ending.strip("_"):
            return f"{metric.removesuffix(ending).replace('_', ' ')} ({unit})"
    return metric.replace("_", " ")


def plot(curves: Sequence[Points], x_name: str, y_name: str, told: str) -> str:
    """One plot of several curves, in the order of the colours; empty where there is no point. `told` is what a reader
    hears who does not see it."""
    points = [(x, y) for curve in curves for x, y in curve if y is not None]
    if not points:
        return ""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    logarithmic = min(ys) > 0 and max(ys) / min(ys) >= _LOG_FROM
    x_axis = _Axis(min(xs), max(xs), _LEFT, WIDTH - _RIGHT, False, tight=True)
    y_axis = _Axis(min(ys), max(ys), HEIGHT - _BOTTOM, _TOP, logarithmic, tight=False)
    name = f"{y_name}, log scale" if logarithmic else y_name
    parts = [
        f'<svg class="kb-plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(told)}">',
        *(_rule(y_axis, tick) for tick in y_axis.ticks),
        *(_tick(x_axis, tick) for tick in x_axis.ticks),
        *(_line(curve, x_axis, y_axis, n) for n, curve in enumerate(curves)),
        f'<text class="kb-plot__name" x="4" y="12">{escape(name)}</text>',
        f'<text class="kb-plot__name" x="{WIDTH - _RIGHT}" y="{HEIGHT - 5}" text-anchor="end">{escape(x_name)}</text>',
        "</svg>",
    ]
    return "".join(parts)


class _Axis:
    """From values to places. An axis of one value has it in the middle; a `tight` one ends where its values do."""

    def __init__(self, low: float, high: float, start: float, end: float, logarithmic: bool, tight: bool) -> None:
        self.logarithmic, self.start, self.end = logarithmic, start, end
        if low == high:
            low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
        self.ticks = _log_steps(low, high) if logarithmic else _round_steps(low, high)
        if tight:
            self.ticks = [tick for tick in self.ticks if low <= tick <= high]
        self.low, self.high = min(low, *self.ticks), max(high, *self.ticks)

    def at(self, value: float) -> float:
        low, high, value = (math.log10(v) if self.logarithmic else v for v in (self.low, self.high, value))
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 1)


def _round_steps(low: float, high: float) -> list[float]:
    """Three to six round numbers around a range."""
    rough = (high - low) / 4
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * n for n in (1, 2, 5, 10) if unit * n >= rough * 0.99)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{n * step:.12g}") for n in range(first, last + 1)]


def _log_steps(low: float, high: float) -> list[float]:
    """1, 2 and 5 in each decade of a range, or every so many decades where those are too many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    fine = [float(f"{n}e{d}") for d in range(first, last + 1) for n in (1, 2, 5)]
    if len(found := [v for v in fine if low <= v <= high]) <= 6:
        return found
    every = math.ceil((last - first) / 5)
    return [10.0**d for d in range(first, last + 1, every) if low <= 10.0**d <= high]


def _rule(axis: _Axis, value: float) -> str:
    y = axis.at(value)
    line = f'<path class="kb-plot__rule" d="M{_LEFT} {y}H{WIDTH - _RIGHT}"/>'
    return f'{line}<text x="{_LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{_short(value)}</text>'


def _tick(axis: _Axis, value: float) -> str:
    return f'<text x="{axis.at(value)}" y="{HEIGHT - _BOTTOM + 14}" text-anchor="middle">{_short(value)}</text>'


def _line(curve: Points, x_axis: _Axis, y_axis: _Axis, number: int) -> str:
    """A line that breaks where a value is missing; a point alone is a dot. What was measured now and then is joined."""
    if sum(y is None for _, y in curve) > len(curve) / 2:
        curve = [(x, y) for x, y in curve if y is not None]
    strokes: list[list[str]] = [[]]
    for x, y in curve:
        if y is None:
            strokes.append([])
        else:
            strokes[-1].append(f"{x_axis.at(x):g} {y_axis.at(y):g}")
    path = "".join(f"M{'L'.join(stroke if len(stroke) > 1 else stroke * 2)}" for stroke in strokes if stroke)
    return f'<path class="kb-plot__line kb-plot__line--{number % 6}" d="{path}"/>' if path else ""


def _short(value: float) -> str:
    """'20k', '0.05', '1e-4'."""
    if value and abs(value) < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-")
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
