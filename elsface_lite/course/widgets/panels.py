"""A panel with curves, as SVG: what the widgets of chapter 06 draw at every step, faster than a plotting library."""

import html
import math
from collections.abc import Sequence

from ..plots import COLORS

Points = list[tuple[float, float]]
PALE = "#9ecae1"
SPREAD = 4.0  # where the largest value is this many times the smallest, an axis is logarithmic
DRAWN = 400  # points of a curve: more do not show in a panel this wide
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 290, 220, 52, 20, 34, 40


def draw_panel(
    title: str,
    curves: Sequence[tuple[Points, str, float]],
    line: float | None = None,
    dots: bool = False,
    linear: bool = False,
) -> str:
    """One labelled plot of values against steps, WIDTH x HEIGHT, as SVG elements.

    Args:
        title: what is drawn, with its unit.
        curves: points, colour and width of each.
        line: a value to compare with, that of bicubic.
        dots: mark each point, where they are few.
        linear: never a logarithmic axis.
    """
    title = f'<text x="{LEFT}" y="18" font-weight="bold">{html.escape(title)}</text>'
    points = [point for curve, _, _ in curves for point in curve]
    if not points:
        return title + f'<text x="{LEFT}" y="{HEIGHT / 2}">nothing yet</text>'
    values = [value for _, value in points] + ([line] if line is not None else [])
    xs, ys = _ticks(*_ends([step for step, _ in points])), _ticks(*_ends(values))
    curved = not linear and min(values) > 0 and max(values) > SPREAD * min(values)
    if curved:
        ys = _log_ticks(min(values), max(values))
    scaled = math.log10 if curved else float
    low, high, bottom, top = xs[0], xs[-1], scaled(ys[0]), scaled(ys[-1])

    def place(step: float, value: float) -> tuple[float, float]:
        across = (step - low) / (high - low)
        up = (scaled(value) - bottom) / (top - bottom)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [title, f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">step</text>']
    for value in ys:
        y = place(low, value)[1]
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for step in xs:
        x = place(step, ys[0])[0]
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{step:g}</text>')
    if line is not None:
        y, dashes = place(low, line)[1], f'stroke="{COLORS["bicubic"]}" stroke-dasharray="6 4" stroke-width="2"'
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" {dashes}/>')
        words = f'x="{WIDTH - RIGHT}" y="{y - 5:.1f}" text-anchor="end" fill="#8a5f00"'
        parts.append(f"<text {words}>bicubic {line:.2f}</text>")
    for curve, color, width in curves:
        drawn = [place(*point) for point in curve[:: -(-len(curve) // DRAWN)] + curve[-1:]]
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
        parts.append(f'<polyline points="{corners}" fill="none" stroke="{color}" stroke-width="{width}"/>')
        if dots and len(curve) <= 40:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in drawn]
    return "".join(parts)


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten, from the last one below the range to the first one above."""
    tens = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**ten for ten in tens for factor in (1, 2, 5)]
    first = max(i for i, tick in enumerate(ticks) if tick <= low)
    return ticks[first : 1 + min(i for i, tick in enumerate(ticks) if tick >= high)]


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """The smallest and the largest value, apart from each other."""
    low, high = min(values), max(values)
    half = min(abs(low) / 2, 0.5) or 0.5  # a constant of 0.002 lies between 0.001 and 0.003
    return (low, high) if high > low else (low - half, high + half)


def _ticks(low: float, high: float) -> list[float]:
    """Four to seven round numbers around the range, evenly apart."""
    step = 10.0 ** math.floor(math.log10((high - low) / 3))
    step *= max(factor for factor in (1, 2, 5) if (high - low) / (factor * step) >= 2.5)
    return [step * i for i in range(math.floor(low / step), math.ceil(high / step) + 1)]
