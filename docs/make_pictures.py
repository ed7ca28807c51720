"""Draws the pictures of docs/uncertainty.md from a trained model: every measure and every region on one slice.

python docs/make_pictures.py --model PROJECT/models/quick-….pt --image sample-data/abdomen/abdomen_01.nii.gz
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from activelabel.acquisition.regions import REGIONS
from activelabel.acquisition.uncertainty import MEASURES
from activelabel.data.preprocessing import prepare_image
from activelabel.data.slices import slice_axis
from activelabel.data.volumes import read_volume
from activelabel.prediction.pictures import most_uncertain_slice, upright
from activelabel.prediction.predictor import Predictor
from activelabel.recipes import load_recipe
from activelabel.training.checkpoints import open_model

FOLDER = Path(__file__).parent / "pictures"
REPEATS = 20


def main() -> None:
    """Draw both pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--recipe", default="quick")
    arguments = parser.parse_args()
    network, description = open_model(arguments.model)
    recipe = load_recipe(arguments.recipe)
    image = prepare_image(read_volume(arguments.image), description.preprocessing)
    predictor = Predictor(network, recipe.prediction.window_size, recipe.prediction.window_overlap, "cpu")
    statistics = predictor.sample(image.tensor, REPEATS, seed=0)
    axis = slice_axis(image.grid)
    index = most_uncertain_slice(statistics.entropy(), axis)
    grey = upright(image.tensor[0], axis, index)
    spacing = [image.grid.spacing_mm[other] for other in range(3) if other != axis]
    maps = {name: upright(measure(statistics), axis, index) for name, measure in MEASURES.items()}
    masks = {
        name: upright(region(statistics.mean, recipe.regions).float(), axis, index) for name, region in REGIONS.items()
    }
    _draw(grey, maps, spacing[1] / spacing[0], FOLDER / "measures.png", cmap="inferno")
    _draw(grey, masks, spacing[1] / spacing[0], FOLDER / "regions.png", cmap="autumn")


def _draw(
    grey: NDArray[np.float32], layers: dict[str, NDArray[np.float32]], aspect: float, path: Path, cmap: str
) -> None:
    figure = Figure(figsize=(3 * (len(layers) + 1), 3.6), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(layers) + 1)
    for panel, name in zip(panels, ["image", *layers], strict=True):
        panel.imshow(
            grey, cmap="gray", vmin=float(np.percentile(grey, 1)), vmax=float(np.percentile(grey, 99.5)), aspect=aspect
        )
        if name in layers:
            largest = float(layers[name].max()) or 1.0
            shown = np.ma.masked_less(layers[name], 0.03 * largest)
            panel.imshow(shown, cmap=cmap, vmin=0, vmax=largest, alpha=0.75, aspect=aspect)
        panel.set_title(name.replace("_", " "), fontsize=12)
        panel.set_axis_off()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
