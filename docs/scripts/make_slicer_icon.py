"""Draws the icon of the module for 3D Slicer: `python docs/scripts/make_slicer_icon.py`.

A slice with a structure on it, and the one place of its outline that the model is least sure of.
"""

from pathlib import Path

ICON = Path(__file__).parents[2] / "clients" / "slicer" / "ActiveLabel" / "Resources" / "Icons" / "ActiveLabel.svg"
SIZE = 64


def icon_svg() -> str:
    """The icon, an SVG of 64 by 64."""
    slices = "".join(
        f'<rect x="{6 + 5 * step}" y="{16 - 5 * step}" width="42" height="42" rx="6" fill="{fill}" stroke="#263238"/>'
        for step, fill in ((2, "#b0bec5"), (1, "#cfd8dc"), (0, "#eceff1"))
    )
    structure = '<path d="M16 40 C14 28 24 24 30 29 C38 24 43 34 38 43 C33 52 18 51 16 40 Z" fill="#ef5350"/>'
    asked = '<circle cx="39" cy="36" r="8" fill="none" stroke="#ffb300" stroke-width="4"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIZE}" height="{SIZE}" viewBox="0 0 {SIZE} {SIZE}">'
        f"{slices}{structure}{asked}</svg>\n"
    )


if __name__ == "__main__":
    ICON.parent.mkdir(parents=True, exist_ok=True)
    ICON.write_text(icon_svg(), encoding="utf-8")
