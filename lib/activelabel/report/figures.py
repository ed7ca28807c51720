"""The figures of a report. Letters are large, because a phone shows them at less than half their size."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from activelabel.analysis.forecast import Forecast, fit_power_law
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
        figure = Figure(figsize=(_WIDTH_INCHES, 1.2 + (4.2 if columns == 1 else 3.2) * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
        for (title, curves), panel in zip(panels.items(), axes, strict=False):
            _draw_panel(panel, curves, arms)
            panel.set_title(title)
            _set_axes(panel, xlabel)
            panel.label_outer(remove_inner_ticks=False)
            panel.xaxis.set_tick_params(labelbottom=True)
            if full_dice is not None:
                panel.axhline(full_dice, color="#555555", linestyle=":", linewidth=1.5, label="with all labels")
        for unused in list(axes):
            unused.set_axis_off()
        _add_legend(figure, figure.axes[0])
    return figure


def draw_penalties(matrix: pd.DataFrame) -> Figure:
    """A matrix of the share of steps, from 0 to 1, at which the arm of a row beat the arm of a column."""
    arms, values = list(matrix.columns), matrix.to_numpy(dtype=np.float64)
    size = len(arms)
    letters = _LETTERS["font.size"] * min(1, _FEW_ARMS / size)
    with matplotlib.rc_context({**_LETTERS, "axes.spines.left": False, "axes.spines.bottom": False}):
        figure = Figure(figsize=(_WIDTH_INCHES, 2.2 + 0.5 * size), layout="constrained")
        panel = figure.subplots()
        shown = panel.imshow(np.ma.masked_invalid(values), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        panel.set_xticks(range(size), arms, rotation=35, ha="right")
        panel.set_yticks(range(size), matrix.index)
        panel.tick_params(length=0)
        for row in range(size):
            for column in range(size):
                if row != column:
                    value = values[row, column]
                    colour = "white" if value > 0.5 else "black"
                    panel.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, size=letters)
        panel.set(xlabel="… than this one", ylabel="this one was better …")
        figure.colorbar(shown, ax=panel, label="share of the steps")
    return figure


def draw_forecast(
    effort: Sequence[float] | Vector, dice: Sequence[float] | Vector, ahead: Forecast, xlabel: str
) -> Figure:
    """A learning curve with its power law and the forecast of the next round; only the points if they are too few."""
    colour = _LINE_COLOURS[-2]
    with matplotlib.rc_context(_LETTERS):
        figure = Figure(figsize=(_WIDTH_INCHES, 4.2), layout="constrained")
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
        _add_legend(figure, panel)
    return figure


def draw_doubts(worths: Sequence[float | None]) -> Figure:
    """The worth of the uncertainty, label by label, from -1 to 1; None where it is unknown."""
    with matplotlib.rc_context(_LETTERS):
        figure = Figure(figsize=(_WIDTH_INCHES, 3.2), layout="constrained")
        panel = figure.subplots()
        panel.axhline(0, color="#555555", linewidth=1)
        panel.plot(range(1, len(worths) + 1), np.array(worths, dtype=np.float64), "o-", color=_LINE_COLOURS[0])
        panel.set(xlabel="label, the latest last", ylabel="worth of the uncertainty", ylim=(-1.05, 1.05))
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(color=_GRID)
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


def _set_axes(panel: Axes, xlabel: str) -> None:
    panel.set(xlabel=xlabel, ylabel="Dice")
    panel.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 4, 5, 10], integer=True))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    panel.grid(color=_GRID, linewidth=0.8)


def _add_legend(figure: Figure, panel: Axes) -> None:
    handles, names = panel.get_legend_handles_labels()
    columns = _LEGEND_COLUMNS if max(map(len, names)) <= _LONG_NAME else _LEGEND_COLUMNS - 1
    figure.legend(handles, names, loc="outside lower center", ncols=columns)
