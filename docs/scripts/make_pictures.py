"""Draws pictures of docs/uncertainty.md and docs/slices.md from a trained model: every measure and every region on one
slice; and the profile of a volume's slices, its peaks, and the slices at them.

python docs/scripts/make_pictures.py --model PROJECT/models/quick-….pt --image sample-data/abdomen/abdomen_01.nii.gz
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from activelabel.acquisition.aggregation import slice_profile
from activelabel.acquisition.regions import REGIONS
from activelabel.acquisition.selection import slice_peaks
from activelabel.acquisition.uncertainty import MEASURES, MonteCarloStatistics
from activelabel.data.preprocessing import PreparedImage, prepare_image
from activelabel.data.slices import own_slice_values, plane_name, prepared_axis, prepared_positions, slice_axis
from activelabel.data.volumes import read_volume
from activelabel.prediction.pictures import most_uncertain_slice, upright
from activelabel.prediction.predictor import Predictor
from activelabel.recipes import load_recipe
from activelabel.training.checkpoints import open_model

FOLDER = Path(__file__).parents[1] / "pictures"
REPEATS = 20
PEAKS_SHOWN = 4


def main() -> None:
    """Draw all three pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--recipe", default="quick")
    arguments = parser.parse_args()
    network, description = open_model(arguments.model)
    recipe = load_recipe(arguments.recipe)
    image = prepare_image(read_volume(arguments.image), description.preprocessing)
    windows = recipe.prediction
    predictor = Predictor(network, windows.window_size, windows.window_overlap, "cpu", margin=windows.window_margin)
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
    _draw_profile(image, statistics, recipe.query.min_slice_distance, FOLDER / "slices.png")


def _draw_profile(image: PreparedImage, statistics: MonteCarloStatistics, min_distance: int, path: Path) -> None:
    """As fig. 2 of chlebus2022: mean entropy of each slice, its local maxima, and the largest of these as pictures."""
    axis = slice_axis(image.original)
    along = prepared_axis(image.grid, image.original, axis)
    entropy = statistics.entropy()
    profile = own_slice_values(slice_profile(entropy, along).tolist(), image.grid, image.original, axis)
    positions = prepared_positions(image.grid, image.original, axis)
    peaks = slice_peaks(profile.tolist(), min_distance)
    shown = sorted(sorted(peaks, key=lambda index: -profile[index])[:PEAKS_SHOWN])
    figure = Figure(figsize=(11, 6), layout="constrained", facecolor="white")
    curve, *below = figure.subplot_mosaic([["curve"] * PEAKS_SHOWN, [*map(str, range(PEAKS_SHOWN))]]).values()
    curve.plot(profile, color="#0072b2", linewidth=1.5)
    curve.plot(peaks, profile[peaks], "o", color="#d55e00", label=f"peaks, at least {min_distance} slices apart")
    for index in shown:
        curve.annotate(str(index), (index, profile[index]), (0, 7), textcoords="offset points", ha="center")
    curve.set(xlabel=f"{plane_name(image.original, axis)} slice", ylabel="mean entropy (nats)")
    curve.set_ylim(0, 1.15 * float(profile.max()))
    curve.spines[["top", "right"]].set_visible(False)
    curve.legend(frameon=False)
    spacing = [image.grid.spacing_mm[other] for other in range(3) if other != along]
    for panel in below:
        panel.set_axis_off()
    for panel, index in zip(below, shown, strict=False):
        place = int(np.clip(np.rint(positions[index]), 0, entropy.shape[along] - 1))
        grey, heat = upright(image.tensor[0], along, place), upright(entropy, along, place)
        panel.imshow(grey, cmap="gray", vmin=0, vmax=float(np.percentile(grey, 99.5)), aspect=spacing[1] / spacing[0])
        uncertain = np.ma.masked_less(heat, 0.05 * float(entropy.max()))
        panel.imshow(
            uncertain, cmap="inferno", vmin=0, vmax=float(entropy.max()), alpha=0.8, aspect=spacing[1] / spacing[0]
        )
        panel.set_title(f"slice {index}: {profile[index]:.3f}", fontsize=11)
    figure.savefig(path, dpi=90)


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
