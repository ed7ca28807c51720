"""The figure of `selective.py`: the queries among the features of the pool, as in figure 2 of ma2024."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn.manifold import TSNE

from activelabel.acquisition.selection import Source
from benchmarks.asking.selective_pools import Pool

RING = {None: "crimson", "target": "crimson", "boundary": "darkorange"}
CM2_PER_VOXEL = 0.04  # of 2x2 mm

Place = tuple[float, float]


def draw(pool: Pool, asked: Mapping[str, Mapping[str, Source | None]], path: Path) -> None:
    """Draw one panel for each way of asking: all slices by their features, with a ring around each query."""
    features = torch.stack(list(pool.features.values())).numpy()
    found = TSNE(perplexity=30, init="pca", random_state=0).fit_transform(features)
    places = {id: (float(x), float(y)) for id, (x, y) in zip(pool.features, found, strict=True)}
    figure = Figure(figsize=(3.9 * len(asked) + 1, 5.2), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(asked))
    largest = max(pool.target_voxels.values()) * CM2_PER_VOXEL
    shades = ScalarMappable(Normalize(0, largest), "Blues")
    for panel, (way, chosen) in zip(panels, asked.items(), strict=True):
        draw_panel(panel, pool, places, shades, chosen)
        holding = sum(pool.target_voxels[id] > 0 for id in chosen)
        panel.set_title(f"{way}\n{holding} of {len(chosen)} hold tumour", fontsize=14)
    figure.colorbar(shades, ax=panels, shrink=0.9, label="tumour in the slice, cm²")
    figure.suptitle(
        "Each mark is a slice of one of two patients; slices that the network finds alike lie close together"
    )
    figure.legend(handles=legend(), loc="outside lower center", ncols=4, frameon=False, fontsize=12)
    figure.savefig(path, dpi=85)


def draw_panel(
    panel: Axes, pool: Pool, places: Mapping[str, Place], shades: ScalarMappable, chosen: Mapping[str, Source | None]
) -> None:
    """Draw all slices, with a ring around each query."""
    patients = sorted({patient_of(id) for id in places})
    for patient, marker in zip(patients, "os", strict=True):
        own = [id for id in places if patient_of(id) == patient]
        colours = shades.to_rgba(np.array([pool.target_voxels[id] * CM2_PER_VOXEL for id in own]))
        x, y = zip(*(places[id] for id in own), strict=True)
        panel.scatter(x, y, s=26, c=colours, marker=marker, edgecolors="grey", linewidths=0.4)
    for id, source in chosen.items():
        panel.scatter(*places[id], s=100, facecolors="none", edgecolors=RING[source], linewidths=1.5)
    panel.set(xticks=[], yticks=[])


def legend() -> list[Line2D]:
    """The legend of the marks."""
    patients = [
        Line2D([], [], ls="", marker=marker, ms=6, mfc="lightblue", mec="grey", mew=0.4, label=label)
        for marker, label in (("o", "one patient"), ("s", "the other"))
    ]
    rings = [
        Line2D([], [], ls="", marker="o", ms=10, mfc="none", mec=colour, mew=1.5, label=label)
        for colour, label in (
            ("crimson", "asked for (selective: for its target)"),
            ("darkorange", "asked for, for its boundary"),
        )
    ]
    return [*patients, *rings]


def patient_of(id: str) -> str:
    """The case of a slice."""
    return id.partition(",")[0]
