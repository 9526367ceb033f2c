"""Line charts as inline SVG, with their values in a table below."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from downstream.report.table import Table
from downstream.report.templating import render, render_table

WIDTH, HEIGHT = 400, 250
LEFT, RIGHT, TOP, BOTTOM = 56, 10, 26, 38
MOST_DRAWN, MOST_LISTED = 600, 200
TICKS = 5
COLOURS = 8  # styles of lines in report.css
SMALLEST_RANGE = 1e-12

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Axis:
    """An axis from the value ``low`` at the pixel ``start`` to ``high`` at ``end``; logarithmic if ``log``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def to_pixel(self, value: float) -> float:
        """Convert a value to its pixel."""
        low, high, scaled = (math.log10(each) if self.log else each for each in (self.low, self.high, value))
        return round(self.start + (scaled - low) / (high - low) * (self.end - self.start), 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Choose round values, and return their pixels and labels."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            apart = max(1, (last - first) // TICKS + 1)
            values = [10.0**power for power in range(first, last + 1, apart)]
            values = values if len(values) > 1 else [self.low, self.high]
        else:
            step = _round_step((self.high - self.low) / TICKS)
            count = math.floor(self.high / step + 1e-9)
            values = [number * step for number in range(math.ceil(self.low / step - 1e-9), count + 1)]
        return [(self.to_pixel(value), f"{value:.4g}") for value in values]


def draw_line_chart(
    title: str, x_name: str, y_name: str, curves: Mapping[str, Curve], *, log: bool = False, table: Table | None = None
) -> Markup | None:
    """Draw one or more curves.

    Parameters
    ----------
    title, x_name, y_name : str
        Title of the chart and names of its axes.
    curves : mapping of str to sequence of (x, y)
        Points of each curve by its name. Points that are not finite (or, with ``log``, not
        positive) are left out.
    log : bool
        Whether the y axis is logarithmic.
    table : Table, optional
        Table of the values, needed if one x has several y. By default they are listed by x, at most
        200 evenly spaced ones.

    Returns
    -------
    Markup or None
        None if there is no point to draw.
    """
    finite = {name: _select_finite(curve, log) for name, curve in curves.items()}
    finite = {name: curve for name, curve in finite.items() if curve}
    if not finite:
        return None
    x_axis = _fit_axis([x for curve in finite.values() for x, _ in curve], LEFT, WIDTH - RIGHT, margin=0.0)
    y_axis = _fit_axis([y for curve in finite.values() for _, y in curve], HEIGHT - BOTTOM, TOP, margin=0.06, log=log)
    lines = [
        {
            "name": name,
            "style": number % COLOURS,
            "points": [(x_axis.to_pixel(x), y_axis.to_pixel(y)) for x, y in _thin(curve, MOST_DRAWN)],
        }
        for number, (name, curve) in enumerate(finite.items())
    ]
    return render(
        "line_chart.html",
        title=title,
        x_name=x_name,
        y_name=y_name,
        lines=lines,
        x_ticks=x_axis.ticks(),
        y_ticks=y_axis.ticks(),
        frame={"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM},
        table=render_table(table or _list_values(title, x_name, finite)),
    )


def _select_finite(curve: Curve, log: bool) -> list[tuple[float, float]]:
    points = [(float(x), float(y)) for x, y in curve if x is not None and y is not None]
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y) and (y > 0 or not log)]


def _fit_axis(values: Sequence[float], start: float, end: float, *, margin: float, log: bool = False) -> _Axis:
    low, high = min(values), max(values)
    if log:
        span = max(high / low, 1 + 1e-3)
        return _Axis(low / span**margin, low * span ** (1 + margin), start, end, log=True)
    span = high - low
    if span <= SMALLEST_RANGE + 1e-9 * abs(high):
        span = abs(high) or 1.0
        low, high = low - span / 2, high + span / 2
    return _Axis(low - margin * span, high + margin * span, start, end)


def _round_step(step: float) -> float:
    """Round a step up to 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * (1 - 1e-9))


def _thin(points: Sequence[Any], most: int) -> list[Any]:
    if len(points) <= most:
        return list(points)
    return [points[round(number * (len(points) - 1) / (most - 1))] for number in range(most)]


def _list_values(title: str, x_name: str, curves: Mapping[str, Curve]) -> Table:
    positions = sorted({x for curve in curves.values() for x, _ in curve})
    listed = _thin(positions, MOST_LISTED)
    values = {name: dict(curve) for name, curve in curves.items()}
    texts = [int(x) if float(x).is_integer() else x for x in listed]
    count = "" if len(listed) == len(positions) else f" ({len(listed)} of {len(positions)} points)"
    return Table(
        caption=f"{title}{count}",
        columns=[x_name, *curves],
        rows=[[text, *(values[name].get(x) for name in curves)] for x, text in zip(listed, texts, strict=True)],
        sortable=False,
    )
