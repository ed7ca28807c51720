"""Pictures of uncertainty: a slice of an image, the prediction, and a heat map of the uncertainty, side by side."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter
from numpy.typing import NDArray

from activelabel.analysis.harmless_text import visible
from activelabel.data.labels.label_map import LabelMap

if TYPE_CHECKING:  # reports draw curves without torch
    from torch import Tensor

    from activelabel.data.preprocessing import PreparedImage

COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2")
"""The colours of Okabe and Ito, which readers with any colour vision can tell apart."""
AXIS_NAMES = ("sagittal", "coronal", "axial")


def uncertainty_figure(
    image: "PreparedImage",
    mean: "Tensor",
    map: "Tensor",
    measure: str,
    labels: Sequence[str],
    axis: int,
    index: int,
    title: str = "",
    shown: int = 0,
) -> Figure:
    """The figure of one slice: image, prediction and uncertainty.

    Args:
        image: as the network saw it, `(K, *S)`, in RAS or LPS.
        mean: mean probabilities `(C, *S)`.
        map: the measure `(*S)`.
        measure: the name of the measure.
        labels: names of the classes 1 to C − 1, or a label map. Structures that overlap are drawn over each other.
        axis: axis of `S` across which the slice lies.
        index: the index of the slice.
        title: the text above the figure.
        shown: the channel to draw.
    """
    spacing = [image.grid.spacing_mm[other] for other in range(3) if other != axis]
    grey = upright(image.tensor[shown], axis, index)
    classes = upright(drawn_classes(mean, labels), axis, index)
    heat = upright(map, axis, index)
    figure = Figure(figsize=(10.5, 4.2), layout="constrained", facecolor="white")
    panels = figure.subplots(1, 3)
    for panel, text in zip(panels, ("image", "prediction", measure.replace("_", " ")), strict=True):
        panel.imshow(
            grey,
            cmap="gray",
            vmin=np.percentile(grey, 1),
            vmax=np.percentile(grey, 99.5),
            aspect=spacing[1] / spacing[0],
        )
        panel.set_title(text, fontsize=11)
        panel.set_axis_off()
    _draw_classes(panels[1], classes, labels)
    heated = panels[2].imshow(
        np.ma.masked_less(heat, 0.02 * max(float(map.max()), 1e-12)),
        cmap="inferno",
        vmin=0,
        vmax=float(map.max()) or 1.0,
        alpha=0.85,
        aspect=spacing[1] / spacing[0],
    )
    figure.colorbar(heated, ax=panels[2], fraction=0.046, pad=0.02)
    figure.suptitle(title or f"{AXIS_NAMES[axis]} slice {index}", fontsize=12)
    return figure


def drawn_classes(mean: "Tensor", labels: Sequence[str]) -> "Tensor":
    """The class of each voxel `(*S)` of mean probabilities: the most probable one, or the one painted last."""
    if not isinstance(labels, LabelMap) or not labels.overlaps:
        return mean.max(dim=0).indices  # on a CPU `argmax` takes ten times as long
    classes = mean.new_zeros(mean.shape[1:])
    for structure, _ in labels.painting:
        classes[mean[structure + 1] > 0.5] = structure + 1
    return classes


def take_texts_literally(figure: Figure) -> None:
    """Draw names literally: a dollar starts no formula, and invisible characters appear as their codes."""
    for text in _texts(figure):
        text.set_parse_math(False)
        text.set_text(visible(text.get_text()))
    for axis in (axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)):
        names = axis.get_major_formatter()
        if isinstance(names, FixedFormatter | FuncFormatter):
            # Each drawing asks the formatter anew.
            axis.set_major_formatter(FuncFormatter(lambda value, place, names=names: visible(names(value, place))))
            for label in axis.get_ticklabels():
                label.set_parse_math(False)


def _texts(artist: Artist) -> Iterator[Text]:
    """All texts but those at ticks, most of which are numbers; `findobj` takes several times as long."""
    for child in artist.get_children() if not isinstance(artist, Axis) else (artist.label, artist.offsetText):
        if isinstance(child, Text):
            yield child
        yield from _texts(child)


def most_uncertain_slice(map: "Tensor", axis: int) -> int:
    """The slice along `axis` with the largest mean; the first of equal ones."""
    from activelabel.acquisition.aggregation import slice_profile

    return int(slice_profile(map, axis).argmax())


def _draw_classes(panel: matplotlib.axes.Axes, classes: NDArray[np.float32], labels: Sequence[str]) -> None:
    """Draw each class in its colour, with a legend of the classes in the slice."""
    colours = ListedColormap([COLOURS[value % len(COLOURS)] for value in range(len(labels))])
    masked = np.ma.masked_equal(classes, 0)
    panel.imshow(
        masked,
        cmap=colours,
        vmin=0.5,
        vmax=len(labels) + 0.5,
        alpha=0.55,
        interpolation="nearest",
        aspect=panel.get_aspect(),
    )
    for value, name in enumerate(labels, start=1):
        if (classes == value).any():
            panel.plot([], [], "s", color=colours(value - 1), label=name)
    if panel.get_legend_handles_labels()[0]:
        panel.legend(loc="lower center", bbox_to_anchor=(0.5, -0.16), ncols=4, frameon=False, fontsize=9)


def upright(map: "Tensor", axis: int, index: int) -> NDArray[np.float32]:
    """A slice as radiologists view it: head or front up, the patient's right on the left side.

    In RAS, the two axes of the slice run to the right or front, and to the front or head. An image is drawn by rows
    from the top, so the second axis is reversed; in axial and coronal slices the first axis is reversed too.
    """
    array = map.float().cpu().numpy().take(index, axis=axis)
    turned = array.T[::-1]
    return turned if axis == 0 else turned[:, ::-1]
