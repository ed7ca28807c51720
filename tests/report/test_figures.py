"""The figures of a report as they are drawn: every text can be read."""

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from hostile_names import RTL
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from activelabel.analysis.bands import Band
from activelabel.analysis.forecast import forecast
from activelabel.prediction.pictures import take_texts_literally
from activelabel.report.curves import LearningCurve
from activelabel.report.figures import draw_curves, draw_forecast, draw_penalties, draw_worths

ARMS = ["entropy", "random_volumes", "mutual_information_slices (b)", "typiclust", "coreset", "badge", "variance"]


def curve(largest: float, lowest: float) -> LearningCurve:
    dice = np.linspace(lowest, lowest + 0.02, 6)
    return LearningCurve(np.linspace(largest / 6, largest, 6), Band(dice, dice - 0.001, dice + 0.001, 4, 5))


def texts_in(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every text that is drawn, with its box; a tilted one is left out, as its box is larger than its letters."""
    drawn: list[Text] = []
    draw = Text.draw

    def noted(text: Text, renderer: RendererBase) -> None:
        drawn.append(text)
        draw(text, renderer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", noted)
        FigureCanvasAgg(figure).draw()
    upright = [text for text in drawn if text.get_visible() and text.get_text() and text.get_rotation() % 90 == 0]
    return [(text.get_text(), text.get_window_extent()) for text in upright]


def check_readable(figure: Figure) -> None:
    texts = texts_in(figure)
    assert len(texts) > 4
    cut_off = [text for text, box in texts if not all(map(figure.bbox.padded(1).contains, *box.get_points().T))]
    assert cut_off == []
    crossing = [
        (one, other)
        for (one, its_box), (other, other_box) in combinations(texts, 2)
        if its_box.padded(-1).overlaps(other_box.padded(-1))
    ]
    assert crossing == []


@pytest.mark.parametrize(
    ("panels", "largest", "arms"),
    [*product([1, 2, 5], [6.0, 9000.0, 900_000.0, 1.5e6], [2]), (1, 60.0, 7), (4, 60.0, 7)],
)
def test_the_texts_of_curves_neither_run_into_each_other_nor_off_the_figure(
    panels: int, largest: float, arms: int
) -> None:
    curves = {arm: curve(largest, 0.801 + place / 500) for place, arm in enumerate(ARMS[:arms])}
    titles = [""] if panels == 1 else [f"structure {place}" for place in range(panels)]
    check_readable(draw_curves(dict.fromkeys(titles, curves), ARMS[:arms], "foreground voxels drawn", 0.84))


@pytest.mark.parametrize("arms", [2, 4, 7])
def test_the_texts_of_a_matrix_neither_run_into_each_other_nor_off_the_figure(arms: int) -> None:
    names = ARMS[:arms]
    check_readable(draw_penalties(pd.DataFrame(np.eye(arms), index=names, columns=names)))


def test_the_texts_of_a_forecast_and_of_the_worth_neither_run_into_each_other_nor_off_the_figure() -> None:
    effort, dice = [5, 10, 20, 30, 40], [0.5, 0.6, 0.7, 0.74, 0.77]
    check_readable(draw_forecast(effort, dice, forecast(effort, dice, 10), "volumes opened"))
    check_readable(draw_worths([-0.5, None, 0.25, 0.75]))


def test_names_at_ticks_are_drawn_literally() -> None:
    name = f"$x_{RTL}b$"
    figure = draw_penalties(pd.DataFrame(np.eye(2), index=[name, "b"], columns=[name, "b"]))
    take_texts_literally(figure)
    FigureCanvasAgg(figure).draw()
    ticks = [figure.axes[0].get_xticklabels()[0], figure.axes[0].get_yticklabels()[0]]
    assert [tick.get_text() for tick in ticks] == ["$x_\\u202eb$"] * 2
    assert not any(tick.get_parse_math() for tick in ticks)
