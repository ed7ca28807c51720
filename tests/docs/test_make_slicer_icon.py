"""The icon of the module for 3D Slicer."""

from make_slicer_icon import ICON, icon_svg


def test_the_icon_is_the_one_that_the_script_draws() -> None:
    assert ICON.read_text(encoding="utf-8") == icon_svg()
