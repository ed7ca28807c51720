"""The figures of a report. Letters are large, because a phone shows them at less than half their size."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FuncFormatter, MaxNLocator

from activelabel.analysis.forecast import Forecast, fit_power_law
from activelabel.analysis.harmless_text import visible
from activelabel.prediction.pictures import COLOURS
from activelabel.report.curves import LearningCurve, Vector

_LETTERS: dict[Any, Any] = {
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
# The palette has black in place of yellow, which is invisible as a thin line on white.
_LINE_COLOURS = [colour for colour in COLOURS if colour != "#f0e442"] + ["#000000"]
_LINES = ("-", "--", ":", "-.")
_MARKERS = "osD^vPX"
_GRID = "#e6eaee"
_BAND_INK = 0.4  # The bands share this opacity, so that they do not hide each other.
_WIDTH_INCHES = 7.0
# What surrounds the panels, in inches at letters of 12 points. To solve for it would take as long as to draw.
_LEFT, _RIGHT, _BETWEEN_COLUMNS = 0.88, 0.25, 0.25
_TOP, _TITLE, _TICKS, _NAME = 0.1, 0.25, 0.33, 0.25
_LEGEND_ROW = 0.27
_CELL_HEIGHT, _LEAST_HEIGHT = 0.6, 1.8
_BAR_GAP, _BAR_WIDTH, _BAR_TEXTS = 0.2, 0.12, 0.7
_LARGEST_LEFT = 0.6  # of the width; longer names are cut off
_TILT_DEGREES = 35
_LEGEND_COLUMNS = 3
_LONG_NAME = 18  # letters: longer names do not fit into three columns
_FEW_ARMS = 6  # at most so many arms fit into a matrix in large letters


def draw_curves(
    panels: Mapping[str, Mapping[str, LearningCurve]], arms: Sequence[str], xlabel: str, full_dice: float | None
) -> Figure:
    """Learning curves with their bands.

    Args:
        panels: by the title of a panel, the curves of the arms.
        arms: all arms, in the order that gives each its colour and marker in every figure.
        xlabel: the effort, with its unit.
        full_dice: the Dice of all labels, drawn as a dotted line; None for no line.
    """
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    with matplotlib.rc_context(_LETTERS):
        figure = Figure(figsize=(_WIDTH_INCHES, 1.2 + (4.2 if columns == 1 else 3.2) * rows))
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
        for (title, curves), panel in zip(panels.items(), axes, strict=False):
            _draw_panel(panel, curves, arms)
            panel.set_title(title, y=1)
            _set_axes(panel, xlabel, in_short=columns > 1)
            panel.label_outer(remove_inner_ticks=False)
            panel.xaxis.set_tick_params(labelbottom=True)
            if full_dice is not None:
                panel.axhline(full_dice, color="#555555", linestyle=":", linewidth=1.5, label="with all labels")
        for unused in list(axes):
            unused.set_axis_off()
        _place(figure, rows, columns, _TITLE if any(panels) else 0.0, _add_legend(figure, figure.axes[0]))
    return figure


def draw_penalties(matrix: pd.DataFrame) -> Figure:
    """A matrix of the share of steps, from 0 to 1, at which the arm of a row beat the arm of a column."""
    arms, values = list(matrix.columns), matrix.to_numpy(dtype=np.float64)
    size = len(arms)
    letters = _LETTERS["font.size"] * min(1, _FEW_ARMS / size)
    with matplotlib.rc_context({**_LETTERS, "axes.spines.left": False, "axes.spines.bottom": False}):
        figure, panel, bar = _matrix_figure([str(arm) for arm in arms])
        shown = panel.imshow(np.ma.masked_invalid(values), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        panel.set_xticks(range(size), arms, rotation=_TILT_DEGREES, ha="right", rotation_mode="anchor")
        panel.set_yticks(range(size), matrix.index)
        panel.tick_params(length=0)
        for row in range(size):
            for column in range(size):
                if row != column:
                    value = values[row, column]
                    colour = "white" if value > 0.5 else "black"
                    panel.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, size=letters)
        panel.set(xlabel="… than this one", ylabel="this one was better …")
        figure.colorbar(shown, cax=bar, label="share of the steps", ticks=[0, 0.5, 1])
    return figure


def draw_forecast(
    effort: Sequence[float] | Vector, dice: Sequence[float] | Vector, ahead: Forecast, xlabel: str
) -> Figure:
    """A learning curve with its power law and the forecast of the next round; only the points if they are too few."""
    colour = _LINE_COLOURS[-2]
    with matplotlib.rc_context(_LETTERS):
        figure = Figure(figsize=(_WIDTH_INCHES, 4.2))
        panel = figure.subplots()
        panel.plot(effort, dice, "o", color=_LINE_COLOURS[0], label="models")
        if ahead.expected is not None:
            law = fit_power_law(effort, dice)
            along = np.linspace(min(effort), ahead.at, 200)
            panel.plot(along, [law(at) for at in along], color=_LINE_COLOURS[0], label="power law")
            ends = np.array([ahead.low, ahead.high], dtype=np.float64)
            panel.plot([ahead.at] * 2, ends, "_-", color=colour, markersize=14, markeredgewidth=2)
            panel.plot(ahead.at, ahead.expected, "D", color=colour, label="after one more round")
        _set_axes(panel, xlabel)
        _place(figure, 1, 1, 0.0, _add_legend(figure, panel))
    return figure


def draw_worths(worths: Sequence[float | None]) -> Figure:
    """The worth of the uncertainty, label by label, from -1 to 1; None where it is unknown."""
    with matplotlib.rc_context(_LETTERS):
        figure = Figure(figsize=(_WIDTH_INCHES, 3.2))
        panel = figure.subplots()
        panel.axhline(0, color="#555555", linewidth=1)
        panel.plot(range(1, len(worths) + 1), np.array(worths, dtype=np.float64), "o-", color=_LINE_COLOURS[0])
        panel.set(xlabel="label, the latest last", ylabel="worth of the uncertainty", ylim=(-1.05, 1.05))
        panel.set_yticks([-1, -0.5, 0, 0.5, 1])
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(color=_GRID)
        _place(figure, 1, 1, 0.0, 0.0)
    return figure


def _draw_panel(panel: Axes, curves: Mapping[str, LearningCurve], arms: Sequence[str]) -> None:
    for arm, curve in curves.items():
        place = arms.index(arm)
        colour = _LINE_COLOURS[place % len(_LINE_COLOURS)]
        panel.fill_between(
            curve.effort,
            curve.dice.low,
            curve.dice.high,
            color=colour,
            alpha=_BAND_INK / (1 + len(curves)),
            linewidth=0,
        )
        panel.plot(
            curve.effort, curve.dice.mean, label=arm, color=colour, linewidth=1.8, markersize=5,
            marker=_MARKERS[place % len(_MARKERS)], linestyle=_LINES[place // len(_LINE_COLOURS) % len(_LINES)],
        )  # fmt: skip


def _set_axes(panel: Axes, xlabel: str, *, in_short: bool = False) -> None:
    panel.set(xlabel=xlabel, ylabel="Dice")
    panel.xaxis.set_major_locator(MaxNLocator(5 if in_short else 6, steps=[1, 2, 2.5, 4, 5, 10], integer=True))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _shortened(value) if in_short else f"{value:,.0f}"))
    panel.grid(color=_GRID, linewidth=0.8)


def _shortened(value: float) -> str:
    """A number of at most six letters, so that those of panels side by side do not run into each other."""
    if value < 10_000:
        return f"{value:,.0f}"
    return f"{value / 1e3:.4g}k" if value < 1_000_000 else f"{value / 1e6:.3g}M"


def _add_legend(figure: Figure, panel: Axes) -> float:
    """Draw the legend below all panels; return its height in inches."""
    handles, names = panel.get_legend_handles_labels()
    columns = _LEGEND_COLUMNS if max(map(len, names)) <= _LONG_NAME else _LEGEND_COLUMNS - 1
    figure.legend(handles, names, loc="lower center", ncols=columns)
    return _LEGEND_ROW * -(-len(names) // columns) + _TOP


def _place(figure: Figure, rows: int, columns: int, title: float, legend: float) -> None:
    """Give the panels all room that titles, ticks, names of axes and the legend leave.

    `title` is the height of each panel's title, `legend` that of the legend, in inches.
    """
    width, height = figure.get_size_inches()
    between_rows = title + _TICKS
    panel_width = (width - _LEFT - _RIGHT - _BETWEEN_COLUMNS * (columns - 1)) / columns
    panel_height = (height - _TOP - title - _TICKS - _NAME - legend - between_rows * (rows - 1)) / rows
    figure.subplots_adjust(
        left=_LEFT / width,
        right=1 - _RIGHT / width,
        top=1 - (_TOP + title) / height,
        bottom=(_TICKS + _NAME + legend) / height,
        wspace=_BETWEEN_COLUMNS / panel_width,
        hspace=between_rows / panel_height,
    )
    for panel in figure.axes:
        panel.xaxis.set_label_coords(0.5, -_TICKS / panel_height)
        panel.yaxis.set_label_coords((_NAME - _LEFT) / panel_width, 0.5)


def _matrix_figure(names: Sequence[str]) -> tuple[Figure, Axes, Axes]:
    """A figure with room for a matrix and its colour bar, with the names beside it and, tilted, below it."""
    longest = _longest_inches(names)
    left = min(_NAME + longest + 2 * _TOP, _LARGEST_LEFT * _WIDTH_INCHES)
    across = _WIDTH_INCHES - left - _BAR_GAP - _BAR_WIDTH - _BAR_TEXTS
    tilted, high = (
        longest * math.sin(math.radians(_TILT_DEGREES)) + _NAME,
        max(_CELL_HEIGHT * len(names), _LEAST_HEIGHT),
    )
    width, height = _WIDTH_INCHES, _TOP + high + tilted + _NAME
    bottom, top = (tilted + _NAME) / height, high / height
    figure = Figure(figsize=(width, height))
    panel = figure.add_axes((left / width, bottom, across / width, top))
    bar = figure.add_axes(((left + across + _BAR_GAP) / width, bottom, _BAR_WIDTH / width, top))
    panel.xaxis.set_label_coords(0.5, -tilted / high)
    panel.yaxis.set_label_coords(-(left - _NAME) / across, 0.5)
    return figure, panel, bar


def _longest_inches(names: Sequence[str]) -> float:
    """The length of the longest name in letters of 12 points."""
    points_an_inch = 72
    renderer, letters = RendererAgg(1, 1, points_an_inch), FontProperties(size=_LETTERS["font.size"])
    return (
        max(renderer.get_text_width_height_descent(visible(name), letters, ismath=False)[0] for name in names)
        / points_an_inch
    )
