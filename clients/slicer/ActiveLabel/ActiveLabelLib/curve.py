"""The learning curve as a picture."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH, HEIGHT = 360, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 12, 12, 34


def curve_svg(curve: Sequence[tuple[float, float]], unit: str) -> str:
    """An SVG of the mean Dice of each model over the labels that it has learnt from; Dice goes from 0 to 1."""
    most = max([labels for labels, _ in curve] or [1.0]) or 1.0

    def place(labels: float, dice: float) -> tuple[float, float]:
        across = _LEFT + (WIDTH - _LEFT - _RIGHT) * labels / most
        return round(across, 1), round(_TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - dice), 1)

    points = [place(labels, dice) for labels, dice in sorted(curve)]
    path = " ".join(f"{x},{y}" for x, y in points)
    grid = "".join(_level(level, place(0, level)[1]) for level in (0.0, 0.5, 1.0))
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="3.5" fill="#1f77b4"/>' for x, y in points)
    text = f"Dice by {unit} learnt from, 0 to {most:g}" if curve else "no model has been measured yet"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>{grid}'
        f'<polyline points="{path}" fill="none" stroke="#1f77b4" stroke-width="2"/>{dots}'
        f'<text x="{(WIDTH + _LEFT - _RIGHT) / 2}" y="{HEIGHT - 10}" font-size="12" text-anchor="middle" '
        f'fill="#333333">{text}</text></svg>'
    )


def _level(level: float, y: float) -> str:
    return (
        f'<line x1="{_LEFT}" y1="{y}" x2="{WIDTH - _RIGHT}" y2="{y}" stroke="#cccccc"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4}" font-size="11" text-anchor="end" fill="#333333">{level:.1f}</text>'
    )
