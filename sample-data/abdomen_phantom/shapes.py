"""Shapes as signed distances: negative inside, in millimetres, good to a few percent near the surface.

A shape is evaluated in a `Space`, which knows where each of its voxels lies in the patient. Coordinates are millimetres
in the patient's own frame: x to the right, y forward, z up, with the middle of the first lumbar vertebra as origin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.uint8]
Point = tuple[float, float, float]
Box = tuple[slice, slice, slice]

SOFT_MARGIN_MM = 14.0
"""How far the soft deformation may carry a point: boxes are cut this much too large."""


@dataclass(frozen=True)
class Space:
    """A box of the grid. `where` is its place in the whole, `axes` the undeformed coordinates along each axis.

    `x`, `y`, `z` are the coordinates of every voxel after the soft deformation, `lumps` and `ripples` two stacks
    `(fields, *S)` of smooth noise of unit variance, long and short, that roughen a surface.
    """

    where: Box
    axes: tuple[Floats, Floats, Floats]
    x: Floats
    y: Floats
    z: Floats
    lumps: Floats
    ripples: Floats

    def crop(self, low: Point, high: Point) -> "Space":
        """The part between two corners (with a margin for the deformation), as a view."""
        inner: list[slice] = []
        for axis, start, stop in zip(self.axes, low, high, strict=True):
            inside = np.flatnonzero((axis > start - SOFT_MARGIN_MM) & (axis < stop + SOFT_MARGIN_MM))
            inner.append(slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0))
        box = (inner[0], inner[1], inner[2])
        outer = [slice(w.start + i.start, w.start + i.stop) for w, i in zip(self.where, inner, strict=True)]
        all_of_box = (slice(None), *box)
        return Space(
            where=(outer[0], outer[1], outer[2]),
            axes=(self.axes[0][inner[0]], self.axes[1][inner[1]], self.axes[2][inner[2]]),
            x=self.x[box],
            y=self.y[box],
            z=self.z[box],
            lumps=self.lumps[all_of_box],
            ripples=self.ripples[all_of_box],
        )

    def around(self, centre: Point, reach_mm: float) -> "Space":
        """The part within `reach_mm` of a point along each axis."""
        low = (centre[0] - reach_mm, centre[1] - reach_mm, centre[2] - reach_mm)
        high = (centre[0] + reach_mm, centre[1] + reach_mm, centre[2] + reach_mm)
        return self.crop(low, high)


def mixture(rng: np.random.Generator, fields: Floats) -> Floats:
    """A random combination `(*S)` of a stack `(fields, *S)` of unit noise, again of unit variance."""
    weights = rng.normal(size=len(fields)).astype(np.float32)
    weights /= np.linalg.norm(weights)
    return np.tensordot(weights, fields, axes=1).astype(np.float32, copy=False)


def smooth_noise(rng: np.random.Generator, axes: Sequence[Floats], wavelength_mm: float) -> Floats:
    """A smooth random field of zero mean and unit variance whose bumps are about `wavelength_mm` apart.

    Random numbers on a coarse lattice of half that distance, between them cubic B-splines.
    """
    weights = [_spline_weights(axis, wavelength_mm / 2) for axis in axes]
    field = rng.normal(size=[matrix.shape[1] for matrix in weights]).astype(np.float32)
    for matrix in weights:
        field = np.tensordot(field, matrix, axes=(0, 1))  # the axis done goes last, so three turns restore the order
    field -= field.mean()
    return field / field.std()


def _spline_weights(axis: Floats, step_mm: float) -> Floats:
    position = (axis - axis.min()) / step_mm
    left = np.floor(position).astype(int)
    t = position - left
    weights = np.zeros((len(axis), int(left.max()) + 4), dtype=np.float32)
    rows = np.arange(len(axis))
    weights[rows, left] = (1 - t) ** 3 / 6
    weights[rows, left + 1] = (3 * t**3 - 6 * t**2 + 4) / 6
    weights[rows, left + 2] = (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
    weights[rows, left + 3] = t**3 / 6
    return weights


def smooth_min(a: Floats, b: Floats, radius_mm: float) -> Floats:
    """The union of two shapes with the crease between them filled over about `radius_mm`."""
    union = np.minimum(a, b)
    union -= _filling(a, b, radius_mm)
    return union


def smooth_max(a: Floats, b: Floats, radius_mm: float) -> Floats:
    """The intersection of two shapes with the edge between them rounded. `smooth_max(a, -b, r)` cuts b out of a."""
    cut = np.maximum(a, b)
    cut += _filling(a, b, radius_mm)
    return cut


def _filling(a: Floats, b: Floats, radius_mm: float) -> Floats:
    """How much two shapes are filled up between them; in one array, as new memory takes longer than the sums."""
    filling = a - b
    np.abs(filling, out=filling)
    np.subtract(radius_mm, filling, out=filling)
    np.maximum(filling, 0, out=filling)
    filling *= filling
    filling /= 4 * radius_mm
    return filling


def grow_to(shape: Floats, limit: Floats, volume_voxels: float) -> Floats:
    """`shape` inflated or shrunk evenly until the part inside `limit` has the volume, then cut by `limit`.

    So an organ keeps its size however its neighbours crowd it. It moves by at most 40 mm, in steps of 0.2 mm; the
    rounding of the edges takes a few percent off the volume.
    """
    low, high = -40.0, 40.0
    for _ in range(9):  # halves 80 mm down to less than 0.2 mm
        middle = (low + high) / 2
        if np.count_nonzero(np.maximum(shape - np.float32(middle), limit) < 0) < volume_voxels:
            low = middle
        else:
            high = middle
    return smooth_max(shape - np.float32(high), limit, 7)


def ellipsoid(space: Space, centre: Point, semi_axes_mm: Point, turn_degrees: Point = (0.0, 0.0, 0.0)) -> Floats:
    """An ellipsoid, turned about x, then y, then z through its centre.

    It is evaluated plane by plane, whose arrays stay in the processor's cache.
    """
    inverse = _rotation(turn_degrees).T
    distance: Floats = np.empty_like(space.x)
    for x, y, z, plane in zip(space.x, space.y, space.z, distance, strict=True):
        offsets = (x - centre[0], y - centre[1], z - centre[2])
        scaled_square: Floats = np.zeros_like(x)
        slope_square: Floats = np.zeros_like(x)
        for row, semi_axis in zip(inverse, semi_axes_mm, strict=True):
            along = (row[0] * offsets[0] + row[1] * offsets[1] + row[2] * offsets[2]) / np.float32(semi_axis)
            along *= along
            scaled_square += along
            slope_square += along / np.float32(semi_axis**2)
        scaled = np.sqrt(scaled_square)
        plane[...] = scaled * (scaled - 1) / np.sqrt(slope_square + np.float32(1e-12))
    return distance


def _rotation(turn_degrees: Point) -> Floats:
    a, b, c = np.radians(turn_degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return (about_z @ about_y @ about_x).astype(np.float32)


def tube(space: Space, points: Sequence[Point], radii_mm: Sequence[float]) -> Floats:
    """A tube through `points`, each with its radius; between two of them a cone. Far away the distance is capped.

    Each piece is evaluated only in its own neighbourhood, so that a long thin tube costs little.
    """
    far = np.float32(2 * max(radii_mm) + 10)
    distance = np.full(space.x.shape, far, dtype=np.float32)
    for (start, radius), (end, next_radius) in pairwise(zip(points, radii_mm, strict=True)):
        reach = max(radius, next_radius) + 4.0
        low = tuple(min(a, b) - reach for a, b in zip(start, end, strict=True))
        high = tuple(max(a, b) + reach for a, b in zip(start, end, strict=True))
        near = space.crop((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        view = distance[_inside(near.where, space.where)]
        np.minimum(view, _cone(near, start, end, radius, next_radius), out=view)
    return distance


def _cone(space: Space, start: Point, end: Point, radius: float, next_radius: float) -> Floats:
    direction = np.subtract(end, start).astype(np.float32)
    length_square = np.float32(max(float(direction @ direction), 1e-6))
    x, y, z = space.x - np.float32(start[0]), space.y - np.float32(start[1]), space.z - np.float32(start[2])
    share = np.clip((x * direction[0] + y * direction[1] + z * direction[2]) / length_square, 0, 1)
    square = (x - share * direction[0]) ** 2 + (y - share * direction[1]) ** 2 + (z - share * direction[2]) ** 2
    return np.sqrt(square) - (np.float32(radius) + share * np.float32(next_radius - radius))


def _inside(inner: Box, outer: Box) -> Box:
    moved = [slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True)]
    return moved[0], moved[1], moved[2]
