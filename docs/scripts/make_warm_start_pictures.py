"""Draws the pictures of docs/warm-start.md: the two stages; real images and a phantom, and the pseudo-label of each.

python docs/scripts/make_warm_start_pictures.py --images ../shared/data --phantom sample-data/abdomen/abdomen_01.nii.gz
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from activelabel.data.modality import Modality
from activelabel.data.preprocessing import prepare_image, prepare_label
from activelabel.data.volumes import read_volume
from activelabel.prediction.pictures import COLOURS, upright
from activelabel.recipes import PreprocessingSettings
from activelabel.training.pseudo_labels import pseudo_label

FOLDER = Path(__file__).parents[1] / "pictures"
SAGITTAL, CORONAL, AXIAL = range(3)
PREPROCESSING = PreprocessingSettings(orientation="RAS")


@dataclass(frozen=True)
class Panel:
    """An image, how its pseudo-label is found, and the slice that is shown: `place` is a share of the axis."""

    title: str
    path: Path
    modality: Modality
    window_hu: float
    level_hu: float
    axis: int
    place: float


@dataclass(frozen=True)
class Step:
    """A box of the picture of the stages: its middle, and its lines of text."""

    x: float
    y: float
    text: str
    colour: str


DAY_ONE, FIRST, SECOND, PERSON = "#d9edf8", "#fbe6c8", "#d5efe3", "#eeeeee"
STEPS = {
    "pool": Step(0.8, 3.0, "pool,\nno label", PERSON),
    "pseudo": Step(2.9, 3.0, "pseudo-labels\nline 2", DAY_ONE),
    "proxy": Step(5.0, 3.0, "proxy model $M_p$\nline 3", DAY_ONE),
    "rank": Step(7.1, 3.0, "most uncertain $k$\nlines 3 to 5", DAY_ONE),
    "reader": Step(9.2, 1.7, "annotator", PERSON),
    "first": Step(0.8, 0.4, "supervised $M_s$\nline 7", FIRST),
    "certain": Step(2.9, 0.4, "most certain\nvolumes, line 9", SECOND),
    "noisy": Step(5.0, 0.4, "noisy labels\nline 10", SECOND),
    "second": Step(7.1, 0.4, "fine-tuned $M_{semi}$\nline 11", SECOND),
    "next": Step(9.2, 0.4, "most uncertain $k$\nlines 12, 13", FIRST),
}
_STRAIGHT, _LEFT_THEN_DOWN = "arc3", "angle,angleA=180,angleB=90,rad=8"
ARROWS = [
    ("pool", "pseudo", _STRAIGHT),
    ("pseudo", "proxy", _STRAIGHT),
    ("proxy", "rank", _STRAIGHT),
    ("rank", "reader", _STRAIGHT),
    ("proxy", "first", _STRAIGHT),
    ("reader", "first", _LEFT_THEN_DOWN),
    ("first", "certain", _STRAIGHT),
    ("certain", "noisy", _STRAIGHT),
    ("noisy", "second", _STRAIGHT),
    ("second", "next", _STRAIGHT),
    ("next", "reader", _STRAIGHT),
]


def main() -> None:
    """Draw both pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--phantom", type=Path, required=True)
    arguments = parser.parse_args()
    _draw_stages(FOLDER / "two_stages.png")
    _draw_labels(_panels(arguments.images, arguments.phantom), FOLDER / "pseudo_labels.png")


def _draw_stages(path: Path) -> None:
    """Day one above, a round below, with the lines of Algorithm 1."""
    figure = Figure(figsize=(11, 4.2), layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.set(xlim=(-0.3, 10.3), ylim=(-0.35, 3.9))
    axes.set_axis_off()
    boxes = {}
    for name, step in STEPS.items():
        box = {"boxstyle": "round,pad=0.55", "facecolor": step.colour, "edgecolor": "#666666"}
        shown = axes.text(step.x, step.y, step.text, ha="center", va="center", fontsize=10, bbox=box)
        boxes[name] = shown.get_bbox_patch()
    for start, end, style in ARROWS:
        tail, head = STEPS[start], STEPS[end]
        look = {"arrowstyle": "-|>", "color": "#444444", "lw": 1.3, "connectionstyle": style}
        ends = {"patchA": boxes[start], "patchB": boxes[end], "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (head.x, head.y), (tail.x, tail.y), arrowprops={**look, **ends})
    axes.text(2.45, 2.2, "all layers\nbut the last", ha="center", va="center", fontsize=9, color="#444444")
    axes.text(7.1, 1.78, "labels", ha="center", fontsize=9, color="#444444")
    axes.text(-0.2, 3.65, "day one", fontsize=12, fontweight="bold")
    axes.text(-0.2, -0.3, "every round: stage 1", fontsize=12, fontweight="bold")
    axes.text(2.2, -0.3, "stage 2", fontsize=12, fontweight="bold")
    figure.savefig(path, dpi=80)


def _draw_labels(panels: Sequence[Panel], path: Path) -> None:
    """Each image above its pseudo-label."""
    figure = Figure(figsize=(2.9 * len(panels), 6.6), layout="constrained", facecolor="white")
    above, below = figure.subplots(2, len(panels), height_ratios=[1, 1])
    for column, panel in enumerate(panels):
        volume = read_volume(panel.path)
        mask = pseudo_label(volume, panel.modality, panel.window_hu, panel.level_hu)
        image = prepare_image(volume, PREPROCESSING)
        label = prepare_label(mask.astype(np.uint8), volume.grid, PREPROCESSING)[0]
        index = int(panel.place * (label.shape[panel.axis] - 1))
        spacing = [image.grid.spacing_mm[other] for other in range(3) if other != panel.axis]
        grey = upright(image.tensor[0], panel.axis, index)
        shown = np.ma.masked_equal(upright(label.to(torch.float32), panel.axis, index), 0)
        for axes in (above[column], below[column]):
            low, high = np.percentile(grey, [1, 99.5])
            axes.imshow(grey, cmap="gray", vmin=low, vmax=high, aspect=spacing[1] / spacing[0])
            axes.set_axis_off()
        below[column].imshow(
            np.ma.where(shown.mask, np.ma.masked, 1.0),
            cmap=_one_colour(),
            vmin=0,
            vmax=1,
            alpha=0.6,
            interpolation="nearest",
            aspect=spacing[1] / spacing[0],
        )
        above[column].set_title(panel.title, fontsize=11)
        below[column].set_title(f"{_how(panel)}: {100 * mask.mean():.1f} % of the voxels", fontsize=9)
    figure.savefig(path, dpi=75)


def _panels(images: Path, phantom: Path) -> list[Panel]:
    without_contrast = images / "ct" / "ct.nii.gz"
    hippocampus = images / "hippocampus" / "images" / "hippocampus_003.nii.gz"
    flair = images / "brats2015" / "brats_2013_pat0004_1_flair.nii.gz"
    return [
        Panel("CT with contrast", images / "ct-dicom", "CT", 50, 125, AXIAL, 0.5),
        Panel("CT without contrast", without_contrast, "CT", 50, 125, CORONAL, 0.5),
        Panel("the same CT", without_contrast, "CT", 125, 50, CORONAL, 0.5),
        Panel("phantom", phantom, "CT", 125, 50, AXIAL, 0.6),
        Panel("hippocampus, T1 MR", hippocampus, "other", 50, 125, AXIAL, 0.5),
        Panel("BraTS, FLAIR MR", flair, "other", 50, 125, AXIAL, 0.55),
    ]


def _how(panel: Panel) -> str:
    return f"W {panel.window_hu:g} L {panel.level_hu:g}" if panel.modality == "CT" else "by intensity"


def _one_colour() -> ListedColormap:
    return ListedColormap([COLOURS[0]])


if __name__ == "__main__":
    main()
