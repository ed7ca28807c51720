"""Draws the pictures of the Slicer module in docs/clients.md: `python tests/support/slicer3d/slicer_pictures.py`.

The panel is the module's own, drawn by Qt off screen with made-up answers, without what Slicer shows around it.
"""

import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / folder) for folder in ("clients/slicer/ActiveLabel", "lib", "tests/support")]
from slicer_desk import SLICES, Desk  # noqa: E402
from slicer_panel import PanelOnScreen  # noqa: E402
from small_studies import boxes, write_image, write_nifti  # noqa: E402

from ActiveLabelLib.server.answers import CurvePoint, Places, Progress, Readings, Review, Row, Saved, Worklist  # noqa: E402  # isort: skip

PICTURES = ROOT / "docs" / "pictures" / "slicer"
QUERY = replace(
    SLICES,
    image="abdomen_17",
    asked=(11, 24, 31),
    places=Places(2, "axial", "S", -60.0, 2.5, 48),
    reason="model 3 is most uncertain on these slices (entropy)",
)
ROWS = (
    Row("abdomen_03", "validation", "approved", "rev", ""),
    Row("abdomen_08", "training", "returned", "rev", "the tip of the spleen is missing"),
    Row("abdomen_11", "training", "draft", "bob", "as its client says"),
    Row("abdomen_14", "training", "cannot be annotated", "ann", "moved while it was taken"),
    Row("abdomen_17", "training", "leased", "ann", QUERY.reason),
)
PROGRESS = Progress(
    line="The next model is trained after 12 training slices; 5 are there.",
    running="training, epoch 31 of 100, 2 min left",
    curve=(
        CurvePoint(12.0, 0.41, 0.3, 0.5, 1),
        CurvePoint(24.0, 0.63, 0.53, 0.71, 2),
        CurvePoint(36.0, 0.74, 0.68, 0.8, 3),
        CurvePoint(48.0, 0.79, 0.74, 0.83, 4, True),
    ),
    unit="slices",
    forecast="12 more slices are expected to bring 0.02 Dice (0.00 to 0.04).",
)

REVIEW = Review("abdomen_03", 1, "ann", None, Readings("ann", "bob", "liver Dice 0.94, 0.8 mm apart; spleen Dice 0.61"))


class Shown(Desk):
    """The answers that the pictures show."""

    def image_file(self, image: str, path: str, folder: Path) -> Path:
        return write_image(folder / "image.nii.gz")

    def label_file(self, image: str, tag: str, folder: Path) -> Path | None:
        return write_nifti(folder.parent / "label.nii.gz", boxes(1)) if tag in self.originals else None

    def save_draft(self, image: str, file: Path, params: Mapping[str, Any]) -> Saved:
        return Saved("draft")

    def worklist(self, states: Collection[str] = ()) -> Worklist:
        return Worklist(ROWS, {"unseen": 31, "leased": 1, "draft": 1, "finished": 9, "approved": 4, "returned": 1})

    def progress(self) -> Progress:
        return PROGRESS


def main() -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        desk: Any = Shown(folder / "server")
        desk.address, desk.queries = "http://127.0.0.1:8000", [QUERY]
        ann = PanelOnScreen(folder, lambda *_: desk, address="http://127.0.0.1:8000", name="ann")
        ann.picture(PICTURES / "server.png")
        ann.click("Connect")
        ann.click("Next case")
        ann.press("Shift+D")
        ann.picture(PICTURES / "panel.png")
        ann.click("Release")
        desk.reviews, desk.originals = [REVIEW], {"final": ""}
        ann.click("Take the next label")
        ann.tabs_picture(PICTURES / "review.png")
        for tab, name in ((1, "worklist"), (2, "progress")):
            ann.show_tab(tab)
            ann.tabs_picture(PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
