"""A check whether a drawing of a whole volume looks finished, by the slices with something drawn.

If an annotator draws one slice and sends the volume, they have not annotated the other slices, but the label says that
these are empty. A drawing that looks far from complete is therefore not trusted at once. A model or an earlier label,
if there is one, tells what should be there; else the check looks for the signs of an interrupted drawing. This is no
proof: the annotator has the last word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FAR_SHARE = 0.5
"""A drawing is far from complete if more than this share of the expected voxels lies on slices with nothing drawn."""
NEAR_SHARE = 0.25
"""It is near enough, however it looks, if at most this share does, and most drawn slices are expected too."""
BROKEN_OFF, BROKEN_OFF_OF_FEW = 1 / 3, 0.8
"""A drawing breaks off if it ends inside the image on a slice with more than this share of its largest slice.

A ball on n slices ends with at most 4 / (n + 1) of its largest slice; this share is allowed, clipped to these two
limits. Of the true labels of 200 hippocampi, 60 hearts and 4 brain tumours, 0, 5 and 0 look broken off; of the halves
of these labels, 400 of 400, 111 of 120, and 8 of 8 do.
"""
FEW_SHARE = 0.1
"""While nothing else is known of a project, a drawing on a smaller share of the slices counts as incomplete."""

LEAST_OF_A_STRUCTURE = 0.02
"""A structure with a smaller share of the expected voxels may be missing: it is often a model's false positive."""


@dataclass(frozen=True)
class Expected:
    """The expected drawing: a number for each slice, in proportion to its voxels; `says` names the source."""

    profile: Sequence[float]
    says: str


def why_incomplete(
    areas: Sequence[int], expected: Expected | None = None, smallest_share: float | None = None
) -> str | None:
    """The reason why a drawing looks far from complete, as half a sentence; None if it does not.

    Args:
        areas: the number of drawn voxels on each slice of the image.
        expected: the expectation of a model, or of a label that counts already, for the same slices; ignored if it is
            empty on all slices.
        smallest_share: the smallest share of slices with something drawn in any finished label.
    """
    drawn = [index for index, area in enumerate(areas) if area]
    if not drawn:
        return "nothing is drawn"
    on = f"something is drawn on {len(drawn)} of {len(areas)} slices"
    broken = _broken_off(areas, drawn)
    if expected is not None and sum(expected.profile) > 0:
        missing = sum(value for value, area in zip(expected.profile, areas, strict=True) if not area)
        share = missing / sum(expected.profile)
        if share > FAR_SHARE:
            count = sum(value >= 1 for value in expected.profile)
            return f"{on}, while {expected.says} {count}"
        known = sum(expected.profile[index] > 0 for index in drawn)
        vouched = share <= NEAR_SHARE and 2 * known >= len(drawn)
        return None if vouched or broken is None else f"{on}, and {broken}"
    if broken is not None:
        return f"{on}, and {broken}"
    share = len(drawn) / len(areas)
    if smallest_share is not None:
        return f"{on}, less than half of any label before" if share < smallest_share / 2 else None
    return f"{on}" if share < FEW_SHARE else None


def why_structure_missing(drawn: Mapping[str, int], expected: Mapping[str, int], says: str) -> str | None:
    """The reason why a drawing seems to lack a whole structure, as half a sentence; None if it does not.

    Args:
        drawn: the number of drawn voxels of each structure, by its name.
        expected: the number that a credible model, or a label that counts already, has of it.
        says: the source of the expectation, up to the number of voxels.
    """
    least = LEAST_OF_A_STRUCTURE * sum(expected.values())
    missing = [name for name, voxels in expected.items() if voxels > 0 and voxels >= least and not drawn[name]]
    if not missing:
        return None
    return f"nothing of {missing[0]} is drawn, while {says} {expected[missing[0]]} voxels of it"


def _broken_off(areas: Sequence[int], drawn: Sequence[int]) -> str | None:
    """The reason why a drawing looks stopped in the middle, or like one of a few slices; None if it does not."""
    first, last = drawn[0], drawn[-1]
    if 2 * len(drawn) < last - first + 1:
        return "most of those between are left out"
    ends = [areas[index] for index in (first, last) if 0 < index < len(areas) - 1]
    allowed = max(BROKEN_OFF, min(4 / (len(drawn) + 1), BROKEN_OFF_OF_FEW))
    if any(area > allowed * max(areas) for area in ends):
        return "it ends where it is still wide"
    return None
