"""Structures that overlap, as segmentations hold them, joined to one value a voxel."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from activelabel.data.grids import Shape3D
from activelabel.data.labels.label_map import LabelMap
from activelabel.errors import InvalidInputError


def overlapping_values(
    origin: str, drawn: Iterable[tuple[str, NDArray[np.intp]]], shape: Shape3D, labels: LabelMap
) -> NDArray[np.uint16]:
    """The values of a label map (W, H, D) where structures are drawn, as `LabelMap.paint` gives them.

    Args:
        origin: the origin of the structures, with which an error begins.
        drawn: the name of each structure, or a name of `LabelMap.drawn_names`, and its voxels as indices into the
            flattened image. A value that is drawn by such a name counts over structures.
        shape: the shape of the image.
        labels: the label map.

    Raises:
        InvalidInputError: a name is unknown, or two drawn structures have one name.
    """
    masks = [np.zeros(shape, dtype=bool) for _ in labels]
    seen, by_value = set[str](), dict[int, NDArray[np.intp]]()
    for name, voxels in drawn:
        if name not in labels.names and name not in labels.drawn_names:
            raise InvalidInputError(
                f"{origin}: '{name}' is not a label of this app: rename the segment to one of "
                f"{', '.join(dict.fromkeys([*labels.names, *labels.drawn_names]))}, or remove it"
            )
        if name in seen and len(voxels):
            raise InvalidInputError(f"{origin}: two structures are called '{name}': merge them, or rename one")
        if name in labels.names:
            masks[labels.index(name)].reshape(-1)[voxels] = True
        else:
            by_value[labels.drawn_names[name]] = voxels
        seen |= {name} if len(voxels) else set()
    values = labels.paint(masks)
    for value, voxels in by_value.items():
        values.reshape(-1)[voxels] = value
    return values
