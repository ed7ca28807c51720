"""The learning curve as a picture."""

import xml.etree.ElementTree as ElementTree

from ActiveLabelLib.panel.curve import curve_svg
from ActiveLabelLib.server.answers import CurvePoint

SVG = "{http://www.w3.org/2000/svg}"


def test_models_are_placed_by_labels_and_dice() -> None:
    """The curve goes from x 42 to 348, and from y 136 for Dice 0 to y 12 for Dice 1."""
    drawn = ElementTree.fromstring(curve_svg([CurvePoint(10, 1.0), CurvePoint(5, 0.5)], "volumes"))
    places = [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in drawn.iter(f"{SVG}circle")]
    assert places == [(195.0, 74.0), (348.0, 12.0)]


def test_the_interval_of_a_mean_is_a_bar_and_the_model_in_use_is_filled() -> None:
    curve = [CurvePoint(5, 0.5, 0.25, 0.75, 1), CurvePoint(10, 1.0, None, None, 2, in_use=True)]
    drawn = ElementTree.fromstring(curve_svg(curve, "volumes"))
    (bar,) = [line for line in drawn.iter(f"{SVG}line") if line.attrib["x1"] == line.attrib["x2"]]
    assert (float(bar.attrib["x1"]), float(bar.attrib["y1"]), float(bar.attrib["y2"])) == (195.0, 43.0, 105.0)
    assert [dot.attrib["fill"] == "#ffffff" for dot in drawn.iter(f"{SVG}circle")] == [True, False]


def test_before_the_first_model_the_picture_says_so() -> None:
    drawn = ElementTree.fromstring(curve_svg([], "slices"))
    assert list(drawn.iter(f"{SVG}circle")) == []
    assert "no model has been measured yet" in "".join(drawn.itertext())
