"""The learning curve as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from ActiveLabelLib.server.answers import CurvePoint

WIDTH, HEIGHT = 360, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 12, 12, 34
_LINE = "#1f77b4"


def curve_svg(curve: Sequence[CurvePoint], unit: str) -> str:
    """An SVG of the mean Dice of each model over the labels that it has learnt from; Dice goes from 0 to 1.

    A bar is the 95 % interval of a mean, where it is known; the filled point is the model in use.
    """
    most = max([point.labels for point in curve] or [1.0]) or 1.0

    def across(labels: float) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * labels / most, 1)

    points = sorted(curve, key=lambda point: (point.labels, point.version))
    path = " ".join(f"{across(point.labels)},{_down(point.dice)}" for point in points)
    grid = "".join(_level(level) for level in (0.0, 0.5, 1.0))
    dots = "".join(_bar(point, across(point.labels)) + _dot(point, across(point.labels)) for point in points)
    text = f"Dice by {unit} learnt from, 0 to {most:g}" if curve else "no model has been measured yet"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>{grid}'
        f'<polyline points="{path}" fill="none" stroke="{_LINE}" stroke-width="2"/>{dots}'
        f'<text x="{(WIDTH + _LEFT - _RIGHT) / 2}" y="{HEIGHT - 10}" font-size="12" text-anchor="middle" '
        f'fill="#333333">{text}</text></svg>'
    )


def _down(dice: float) -> float:
    return round(_TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - dice), 1)


def _bar(point: CurvePoint, x: float) -> str:
    if point.low is None or point.high is None:
        return ""
    return f'<line x1="{x}" y1="{_down(point.high)}" x2="{x}" y2="{_down(point.low)}" stroke="{_LINE}"/>'


def _dot(point: CurvePoint, x: float) -> str:
    fill = _LINE if point.in_use else "#ffffff"
    return f'<circle cx="{x}" cy="{_down(point.dice)}" r="3.5" fill="{fill}" stroke="{_LINE}"/>'


def _level(level: float) -> str:
    y = _down(level)
    return (
        f'<line x1="{_LEFT}" y1="{y}" x2="{WIDTH - _RIGHT}" y2="{y}" stroke="#cccccc"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4}" font-size="11" text-anchor="end" fill="#333333">{level:.1f}</text>'
    )
