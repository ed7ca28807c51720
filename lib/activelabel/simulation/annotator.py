"""The oracle: a simulated annotator that draws the true label where a query asks for it, and records the cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activelabel.data.label_checking import NEARLY_WHOLE, write_label
from activelabel.data.labels.arrays import smallest_type
from activelabel.data.labels.label_map import LabelMap
from activelabel.data.slices import SlicePlane, differing_slices, slice_axis, slice_mask
from activelabel.errors import InvalidInputError
from activelabel.simulation.cases import Cases
from activelabel.simulation.reference_label import read_reference_label

NAME = "oracle"
"""The name of the oracle as an annotator."""


@dataclass(frozen=True)
class Drawing:
    """The oracle's drawing for a query: a label file, the params that a client sends with it, and its cost.

    `info` are the params of a saved label. `boundary_mm` is the length of the contours on the annotated slices.
    """

    file: Path
    info: Mapping[str, Any]
    annotated_slices: int
    foreground_slices: int
    foreground_voxels: int
    boundary_mm: float


class OracleAnnotator:
    """An annotator that answers every query with the true label, cut down to the slices of the query."""

    def __init__(self, cases: Cases, desk: Path, plane: SlicePlane = "acquisition") -> None:
        """Draw from the true labels of these cases into files on `desk`; whole volumes slice by slice in `plane`."""
        self._cases = cases
        self._desk = desk
        self._plane = plane

    def draw(self, answer: Mapping[str, Any]) -> Drawing:
        """The true label on the slices of a query, or of the whole volume, and background elsewhere.

        The label is opened here and not before. Slices outside the query are blanked before their values are used.

        Args:
            answer: a next-sample answer.

        Raises:
            InvalidInputError: the label cannot be read, lies elsewhere than its image, or has values on the slices of
                the query that are no whole numbers from 0.
        """
        image_id, query = str(answer["id"]), answer["query"]
        cases = self._cases
        true_label = read_reference_label(cases.images[image_id], cases.labels[image_id], cases.label_names)
        by_slices = query["kind"] == "slices"
        axis = int(query["axis"]) if by_slices else slice_axis(true_label.grid, self._plane)
        slices = [int(index) for index in query["slices"]] if by_slices else list(range(true_label.grid.shape[axis]))
        asked = slice_mask(true_label.grid.shape, axis, slices)
        as_stored = np.where(asked, true_label.array, 0.0)
        drawn = np.rint(as_stored)
        off = (np.abs(as_stored - drawn) > NEARLY_WHOLE) | (drawn < 0) | (drawn > np.iinfo(np.uint16).max)
        wrong = as_stored[off]
        if wrong.size:
            raise InvalidInputError(
                f"{true_label.path}: expected whole numbers from 0, got {wrong[0]:g} where it is drawn: mend the label"
            )
        array = smallest_type(drawn.astype(np.uint16), highest=int(drawn.max(initial=0)))
        self._desk.mkdir(parents=True, exist_ok=True)
        file = self._desk / f"{image_id}.nii.gz"
        write_label(file, array, true_label.affine_ras)
        foreground = only_structures(array, self._cases.label_names, true_label.names)
        names = {"label_info": [{"name": name} for name in true_label.names]} if true_label.names else {}
        return Drawing(
            file,
            {"annotated_slices": slices if by_slices else "all", **names},
            annotated_slices=len(slices),
            foreground_slices=len(differing_slices(foreground, 0, axis)),
            foreground_voxels=int(np.count_nonzero(foreground)),
            boundary_mm=contour_length_mm(foreground, axis, true_label.spacing_mm),
        )


def only_structures(array: NDArray[Any], labels: Sequence[str] | None, names: Sequence[str] = ()) -> NDArray[Any]:
    """The label with 0 for values that belong to no structure of its label map: background and ignored ones.

    `names` are those that the label's own file gives to its values 1..N; without them the values are those of the map.
    """
    if not isinstance(labels, LabelMap):
        return array
    undrawn = labels.undrawn
    if names:
        undrawn = tuple(value for value, name in enumerate(names, 1) if labels.drawn_names.get(name) in labels.undrawn)
    drawn = array.copy()
    drawn[np.isin(array, undrawn)] = 0
    return drawn


def contour_length_mm(label: NDArray[np.integer[Any]], axis: int, spacing_mm: tuple[float, float, float]) -> float:
    """Length of all contours in the slices of a label map (W, H, D) along `axis`, in mm.

    A contour runs along the edges of pixels, between pixels of two values; beyond the image is background. An oblique
    outline therefore counts as its steps, up to √2 times its length, which is the same for all arms.
    """
    padded = np.pad(label, 1)
    length = 0.0
    for across in range(3):
        if across != axis:
            along = 3 - axis - across
            length += int(np.count_nonzero(np.diff(padded.astype(np.int32), axis=across))) * spacing_mm[along]
    return length
