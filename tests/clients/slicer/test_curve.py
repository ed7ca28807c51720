"""The learning curve as a picture."""

import xml.etree.ElementTree as ElementTree

from ActiveLabelLib.curve import curve_svg

SVG = "{http://www.w3.org/2000/svg}"


def test_models_are_placed_by_labels_and_dice() -> None:
    """The curve goes from x 42 to 348, and from y 136 for Dice 0 to y 12 for Dice 1."""
    drawn = ElementTree.fromstring(curve_svg([(10, 1.0), (5, 0.5)], "volumes"))
    places = [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in drawn.iter(f"{SVG}circle")]
    assert places == [(195.0, 74.0), (348.0, 12.0)]


def test_before_the_first_model_the_picture_says_so() -> None:
    drawn = ElementTree.fromstring(curve_svg([], "slices"))
    assert list(drawn.iter(f"{SVG}circle")) == []
    assert "no model has been measured yet" in "".join(drawn.itertext())
