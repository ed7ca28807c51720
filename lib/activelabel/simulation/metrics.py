"""Agreement of a segmentation with its reference (chlebus2022, II.F), and summaries of such metrics over cases.

`prediction` and `reference` are masks of one shape (W, H, D), True inside; `spacing_mm` is the distance between voxel
centres along each axis. If only one mask is empty, Dice is 0, both distances are inf, and the volume error is 100 % for
an empty prediction and inf for an empty reference. If both are empty, Dice is 1, the volume error 0 % and both
distances 0 mm.

Distances are measured between the centres of surface voxels: those of a mask that share a face with a voxel outside it.
Voxels beyond the image count as outside the mask.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]


def dice(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> float:
    """2 |X ∩ Y| / (|X| + |Y|), in [0, 1] (chlebus2022, eq. 3); whatever the spacing.

    Raises:
        ValueError: the masks are not both (W, H, D) and bool, or a spacing is not above 0. All metrics raise this.
    """
    _check(prediction, reference, spacing_mm)
    size = np.count_nonzero(prediction) + np.count_nonzero(reference)
    return 2 * np.count_nonzero(prediction & reference) / size if size else 1.0


def relative_volume_error(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> float:
    """|V_X − V_Y| / V_Y · 100 %, X the prediction, Y the reference (chlebus2022, eq. 4); whatever the spacing."""
    _check(prediction, reference, spacing_mm)
    predicted, wanted = np.count_nonzero(prediction), np.count_nonzero(reference)
    if not wanted:
        return math.inf if predicted else 0.0
    return 100 * abs(predicted - wanted) / wanted


def mean_surface_distance(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> float:
    """Mean distance in mm from a surface voxel of either mask to the nearest of the other (chlebus2022, eq. 5).

    The paper prints a sum over both surfaces divided by 2N, and does not say what N is. Here the sum is divided by the
    number of its terms, the surface voxels of both masks: the mean, which is the same where both surfaces have N.
    """
    return float(np.mean(_surface_distances(prediction, reference, spacing_mm)))


def hausdorff_distance(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> float:
    """Largest distance in mm from a surface voxel of either mask to the nearest of the other (chlebus2022, eq. 6).

    As in eq. 5, the paper's X and Y stand for surfaces; with all voxels instead, a hole would not count.
    """
    return float(np.max(_surface_distances(prediction, reference, spacing_mm)))


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation and percentiles of a metric over cases, as the paper's tables give them.

    `sd` is that of a sample (divided by n − 1), 0 for one value. `infinite` counts infinite values, which a distance
    has where a mask is missed altogether. With any, the mean is inf and `sd` NaN: leaving such cases out would reward
    missing them. To summarise the finite values alone, leave the others out and report their number.
    """

    count: int
    infinite: int
    mean: float
    sd: float
    percentile_5: float
    percentile_95: float


def summary(values: Sequence[float]) -> Summary:
    """Sum up a metric over cases; percentiles are interpolated linearly between neighbours, inf beside any inf.

    Raises:
        ValueError: there is no value, or one is NaN or −inf.
    """
    ordered = sorted(values)
    if not ordered or any(math.isnan(value) or value == -math.inf for value in ordered):
        raise ValueError(f"expected one number or more, finite or inf, got {list(values)}")
    infinite = ordered.count(math.inf)
    mean, sd = (math.inf, math.nan) if infinite else (float(np.mean(ordered)), 0.0)
    if len(ordered) > 1 and not infinite:
        sd = float(np.std(ordered, ddof=1))
    return Summary(len(ordered), infinite, mean, sd, _percentile(ordered, 0.05), _percentile(ordered, 0.95))


def _percentile(ordered: Sequence[float], fraction: float) -> float:
    """A percentile that is inf beside an infinite neighbour, where numpy's is NaN."""
    place = fraction * (len(ordered) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return below if below == above else below + (place - math.floor(place)) * (above - below)


def _surface_distances(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> NDArray[np.float64]:
    """The distance of each surface voxel of either mask to the surface of the other, in mm."""
    _check(prediction, reference, spacing_mm)
    if not prediction.any() or not reference.any():
        return np.array([0.0 if prediction.any() == reference.any() else math.inf])
    from scipy import ndimage  # a report, which only sums metrics up, need not wait for it

    (box,) = ndimage.find_objects((prediction | reference).astype(np.uint8))  # the box of both masks
    surfaces = [mask[box] & ~ndimage.binary_erosion(mask[box]) for mask in (prediction, reference)]
    to_predicted, to_reference = (ndimage.distance_transform_edt(~surface, sampling=spacing_mm) for surface in surfaces)
    return np.concatenate([to_reference[surfaces[0]], to_predicted[surfaces[1]]])


def _check(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> None:
    for name, mask in (("prediction", prediction), ("reference", reference)):
        if mask.dtype != np.bool_ or mask.ndim != 3 or mask.shape != reference.shape:
            raise ValueError(
                f"{name}: expected bool (W, H, D) of the reference's shape {reference.shape}, "
                f"got {mask.dtype} {mask.shape}"
            )
    if len(spacing_mm) != 3 or not all(0 < spacing < math.inf for spacing in spacing_mm):
        raise ValueError(f"spacing_mm: expected three numbers above 0, got {spacing_mm}")
