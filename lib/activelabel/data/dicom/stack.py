"""A check that slices lie one above the other at even distances, with a line that names the problem."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from activelabel.errors import InvalidInputError

POSITION_TOLERANCE_MM = 0.1
"""The most that a slice may be off its evenly spaced place. Scanners round positions to hundredths of a millimetre."""

_SAME_HEIGHT_MM = 1e-3


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in rising order along their `normal`.

    Attributes:
        positions_mm: (N, 3), corners of the slices.
        normal: the normal of the slices, of length 1.
        groups: for each attribute that tells apart volumes of one series, its value in each slice.
    """

    positions_mm: NDArray[np.float64]
    normal: NDArray[np.float64]
    groups: Mapping[str, Sequence[str | None]]


def check_stack(series: str, stack: Stack) -> NDArray[np.float64]:
    """The step from one slice to the next, (3,), along the normal.

    Raises:
        InvalidInputError: there are fewer than two slices; two at one place; several volumes in one region; a gap; the
            gantry was tilted; or distances differ otherwise.
    """
    heights = stack.positions_mm @ stack.normal
    if len(heights) < 2:
        raise InvalidInputError(f"series {series}: it is one slice, expected 3D with at least 2: send the whole series")
    _check_one_volume(series, stack, heights)
    distances = np.diff(heights)
    usual = float(np.median(distances))
    double = int(distances.argmin())
    if distances[double] < max(_SAME_HEIGHT_MM, 0.01 * usual):
        raise InvalidInputError(
            f"series {series}: two slices lie at {heights[double]:.4g} mm, expected one: a slice is there twice, or "
            "there are several volumes: send each as a series of its own"
        )
    step = (heights[-1] - heights[0]) / (len(heights) - 1) * stack.normal
    off_mm = unevenness_mm(stack.positions_mm, stack.normal)
    if off_mm <= POSITION_TOLERANCE_MM:
        return step
    raise InvalidInputError(f"series {series}: {_what_is_wrong(stack, heights, off_mm)}")


def unevenness_mm(positions_mm: NDArray[np.float64], normal: NDArray[np.float64]) -> float:
    """The largest distance of a slice from its evenly spaced place along the normal between the first and the last
    slice.

    Args:
        positions_mm: (N, 3), N ≥ 2, corners of the slices in any order.
        normal: (3,), of length 1.

    Returns:
        The distance; infinite if two slices lie at one place.
    """
    heights = positions_mm @ normal
    order = np.argsort(heights, kind="stable")
    heights, positions_mm = heights[order], positions_mm[order]
    if np.diff(heights).min() < _SAME_HEIGHT_MM:
        return float("inf")
    share = np.linspace(0, 1, len(heights))[:, None]
    places = positions_mm[0] + share * (heights[-1] - heights[0]) * normal
    return float(np.linalg.norm(positions_mm - places, axis=1).max())


def _check_one_volume(series: str, stack: Stack, heights: NDArray[np.float64]) -> None:
    """Refuse slices of several volumes of one region, even if their distances are even by chance."""
    for name, values in stack.groups.items():
        ranges = []
        for value in sorted({value for value in values if value is not None}):
            own = heights[[other == value for other in values]]
            if len(own) > 1:
                ranges.append((float(own[0]), float(own[-1]), value))
        ranges.sort()
        for (_, end, first), (start, _, second) in itertools.pairwise(ranges):
            if start < end:
                raise InvalidInputError(
                    f"series {series}: there are several volumes in it ({name} {first}, {second}) from {start:.4g} mm "
                    "on, expected one: send each as a series of its own"
                )


def _what_is_wrong(stack: Stack, heights: NDArray[np.float64], off_mm: float) -> str:
    distances = np.diff(heights)
    usual = float(np.median(distances))
    beside = stack.positions_mm - heights[:, None] * stack.normal
    drift = float(np.linalg.norm(beside[-1] - beside[0]))
    gap = int(distances.argmax())
    end = (
        f", and a slice lies {off_mm:.3g} mm from where even spacing puts it, expected less than "
        f"{POSITION_TOLERANCE_MM} mm"
    )
    if drift > POSITION_TOLERANCE_MM:
        degrees = np.degrees(np.arctan2(drift, heights[-1] - heights[0]))
        return (
            f"the gantry was tilted by {degrees:.3g} degrees{end}: resample the series onto a regular grid, or send "
            "one that was"
        )
    if distances[gap] > 1.5 * usual:
        return (
            f"a slice is missing between {heights[gap]:.4g} and {heights[gap + 1]:.4g} mm (the others lie "
            f"{usual:.4g} mm apart){end}: send the whole series"
        )
    return (
        f"its slices lie {distances.min():.4g} to {distances.max():.4g} mm apart{end}: send the parts of equal "
        "distance as series of their own"
    )
