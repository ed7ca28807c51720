"""Affines of all orientations of the voxel axes."""

import itertools

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

TOWARDS = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
ORIENTATIONS = [
    "".join(sides)
    for order in itertools.permutations(("LR", "PA", "IS"))
    for sides in itertools.product(*order)
]  # fmt: skip
"""All 48: towards which side of the patient each voxel axis runs."""


def affine_towards(codes: str, spacing_mm: tuple[float, ...]) -> NDArray[np.float64]:
    """Return an affine (RAS) whose voxel axes run towards the sides in `codes`, with an origin that is not 0."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([TOWARDS[code] for code in codes], dtype=float).T * spacing_mm
    affine[:3, 3] = (-31.0, 17.5, 204.0)
    return affine


affines = st.builds(affine_towards, st.sampled_from(ORIENTATIONS), st.tuples(*[st.floats(0.5, 6.0)] * 3))
