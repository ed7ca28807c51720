"""Draws the picture of docs/warm-start.md: real images and a phantom, and the pseudo-label of each.

python docs/make_warm_start_pictures.py --images ../shared/data --phantom sample-data/abdomen/abdomen_01.nii.gz
"""

import argparse
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

PICTURE = Path(__file__).parent / "pictures" / "pseudo_labels.png"
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


def main() -> None:
    """Draw each image above its pseudo-label."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--phantom", type=Path, required=True)
    arguments = parser.parse_args()
    panels = _panels(arguments.images, arguments.phantom)
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
    figure.savefig(PICTURE, dpi=75)


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
