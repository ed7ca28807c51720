"""Named structures, which may overlap, joined to one label."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from activelabel.data.grids import Shape3D
from activelabel.data.labels.label_map import LabelMap
from activelabel.data.labels.overlapping import overlapping_values
from activelabel.data.segmentations import NamedLabel
from activelabel.errors import InvalidInputError

logger = logging.getLogger(__name__)

DAMAGED = (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError, NotImplementedError)
"""What reading a damaged SEG or RTSTRUCT raises."""
_NAMES_IN_A_LINE = 8
_NONE: NDArray[np.intp] = np.array([], dtype=np.intp)


@dataclass(frozen=True, eq=False)
class Structure:
    """A structure with its voxels as rising indices into the flattened array (W, H, D).

    `edge`: voxels whose centre lies on its contour. They belong to it unless another structure holds them.
    """

    name: str
    voxels: NDArray[np.intp]
    edge: NDArray[np.intp] = field(default_factory=_NONE.copy)


def wanted_names(origin: str, found: Sequence[str], wanted: Sequence[str] | None) -> frozenset[str]:
    """The names of the structures to read: all that an object has, or those of them in `wanted`.

    Raises:
        InvalidInputError: it has names, but none in `wanted`; the line begins with `origin`.
    """
    if wanted is None:
        return frozenset(found)
    drawn = wanted.drawn_names if isinstance(wanted, LabelMap) else ()
    chosen = frozenset(found) & {*wanted, *drawn}
    if found and not chosen:
        shown = ", ".join(found[:_NAMES_IN_A_LINE]) + (", …" if len(found) > _NAMES_IN_A_LINE else "")
        raise InvalidInputError(
            f"{origin}: none of its structures ({shown}) is one of {', '.join(wanted)}: rename them, or name the "
            "labels as they are"
        )
    return chosen


def one_label(
    origin: str, structures: Sequence[Structure], shape: Shape3D, order: Sequence[str] | None = None
) -> NamedLabel:
    """One label of the given shape from structures; those without a voxel are left out.

    Args:
        origin: the origin of the structures, with which an error begins.
        structures: the structures in the order of the label's values.
        shape: the shape of the image.
        order: names; where two structures overlap, the one that is later here counts, such as a tumour named after its
            organ. If it is a map whose structures overlap, a voxel gets a value of all its structures.

    Raises:
        InvalidInputError: two structures overlap and are not both in `order`, or two drawn structures have one name.
    """
    if isinstance(order, LabelMap) and order.overlaps:
        # A point on a contour belongs to its structure, so here an edge counts whatever else is there.
        drawn_voxels = ((item.name, np.concatenate([item.voxels, item.edge])) for item in structures)
        return NamedLabel(overlapping_values(origin, drawn_voxels, shape, order), (), is_mapped=True)
    array = np.zeros(shape, dtype=np.uint16)
    flat, places = array.reshape(-1), {name: place for place, name in enumerate(order or ())}
    _check_names(origin, structures)
    values = {id(structure): value for value, structure in enumerate(structures, start=1)}
    # A stable sort keeps the order of the file for names outside of `order`.
    for structure in sorted(structures, key=lambda item: places.get(item.name, -1)):
        _check_overlap(origin, structure, flat[structure.voxels], structures, places)
        flat[structure.voxels] = values[id(structure)]
    for structure in structures:
        flat[structure.edge[flat[structure.edge] == 0]] = values[id(structure)]
    drawn = np.unique(flat[flat > 0])
    kept = np.zeros(len(structures) + 1, dtype=np.uint16)
    kept[drawn] = np.arange(1, len(drawn) + 1)
    return NamedLabel(kept[array], tuple(structures[value - 1].name for value in drawn))


def _check_names(origin: str, structures: Sequence[Structure]) -> None:
    drawn = [structure.name for structure in structures if len(structure.voxels) or len(structure.edge)]
    doubled = next((name for place, name in enumerate(drawn) if name in drawn[:place]), None)
    if doubled is not None:
        raise InvalidInputError(f"{origin}: two structures are called '{doubled}': merge them, or rename one")


def _check_overlap(
    origin: str,
    structure: Structure,
    there: NDArray[np.uint16],
    structures: Sequence[Structure],
    places: dict[str, int],
) -> None:
    """Refuse a structure that would cover voxels of another one without an order between them."""
    for value in np.unique(there[there > 0]):
        below, count = structures[value - 1].name, int(np.count_nonzero(there == value))
        if below not in places or structure.name not in places:
            raise InvalidInputError(
                f"{origin}: its structures '{below}' and '{structure.name}' overlap in {count:,} voxels, expected one "
                "structure a voxel: separate them, or name both as labels, the one that counts last"
            )
        logger.info("%s: '%s' counts in %d voxels that '%s' has too", origin, structure.name, count, below)
