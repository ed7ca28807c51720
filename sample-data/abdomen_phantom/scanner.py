"""How the scanner sees a body: voxels that mix what is in them, a soft edge, shading and noise with a grain."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from abdomen_phantom.body import SHAPE, SUPERSAMPLING, Body, lay_down
from abdomen_phantom.bowel import paint_colon, paint_pancreas, paint_small_bowel, paint_stomach
from abdomen_phantom.liver import paint_liver
from abdomen_phantom.organs import paint_ascites, paint_kidneys, paint_spleen
from abdomen_phantom.patient import LABELS, Habitus, Patient
from abdomen_phantom.shapes import Bools, Floats, Labels, smooth_noise
from abdomen_phantom.trunk import paint_back_muscles, paint_chest, paint_couch, paint_skeleton, paint_wall
from abdomen_phantom.vessels import paint_great_vessels

PAINTERS = (
    paint_couch, paint_wall, paint_back_muscles, paint_small_bowel, paint_colon, paint_ascites, paint_pancreas,
    paint_stomach, paint_spleen, paint_liver, paint_kidneys, paint_great_vessels, paint_chest, paint_skeleton,
)  # fmt: skip
"""In this order: what comes later lies over what came before."""

_NOISE_HU = {Habitus.THIN: 8.0, Habitus.NORMAL: 11.0, Habitus.OBESE: 16.0}
_SHADING_HU = 3.5


@dataclass(frozen=True)
class Scan:
    """One CT: `volume_hu` and `label` `(X, Y, Z)` on the same grid, stored right to left, front to back and feet to
    head; `affine_ras` `(4, 4)` takes a voxel's index to the scanner's millimetres (nibabel's RAS+).
    """

    volume_hu: npt.NDArray[np.int16]
    label: Labels
    affine_ras: npt.NDArray[np.float64]


def scan(patient: Patient, seed: int) -> Scan:
    """The patient's CT and its true label. The same patient and seed give the same arrays."""
    body = lay_down(patient, np.random.default_rng([seed, 1, patient.number]))
    for paint in PAINTERS:
        paint(body)
    volume = _blur(_average_blocks(body.hu), body.rng)
    volume += _shading(body) + _noise(body)
    volume_hu = np.clip(np.round(volume), -1024, 3071).astype(np.int16)
    return Scan(volume_hu, _majority(body.label), _affine(body))


def _average_blocks(fine: Floats) -> Floats:
    n = SUPERSAMPLING
    x, y, z = SHAPE
    return fine.reshape(x, n, y, n, z, n).mean(axis=(1, 3, 5), dtype=np.float32)


def _majority(fine: Labels) -> Labels:
    """The label that holds most of each voxel; of equals the lowest, so that half a voxel is background."""
    return np.stack([_count_in_blocks(fine == value) for value in LABELS]).argmax(axis=0).astype(np.uint8)


def _count_in_blocks(fine: Bools) -> npt.NDArray[np.uint8]:
    """How many of the finer voxels of each voxel are marked."""
    n, marks = SUPERSAMPLING, fine.view(np.uint8)
    counts = np.zeros(SHAPE, dtype=np.uint8)
    for i, j, k in np.ndindex(n, n, n):
        counts += marks[i::n, j::n, k::n]
    return counts


def _blur(volume: Floats, rng: np.random.Generator) -> Floats:
    in_plane = rng.uniform(0.35, 0.6)
    return ndimage.gaussian_filter(volume, (in_plane, in_plane, 0.35))


def _shading(body: Body) -> Floats:
    """A slow drift of a few Hounsfield units inside the body, as beam hardening leaves."""
    axes = [axis.reshape(-1, SUPERSAMPLING).mean(axis=1) for axis in body.space.axes]
    inside = _count_in_blocks(body.trunk < 0) / np.float32(SUPERSAMPLING**3)
    return _SHADING_HU * smooth_noise(body.rng, axes, wavelength_mm=220) * inside


def _noise(body: Body) -> Floats:
    """Grainy noise, strongest deep in a wide body, where fewest photons arrive, and weakest in air."""
    white = body.rng.normal(size=SHAPE).astype(np.float32)
    grain = ndimage.gaussian_filter(white, (0.55, 0.55, 0.3)) - 0.6 * ndimage.gaussian_filter(white, (1.6, 1.6, 0.3))
    strength = _NOISE_HU[body.patient.habitus] * body.rng.uniform(0.75, 1.35)
    depth = np.clip(-_average_blocks(body.trunk) / 110, 0, 1)
    return grain / grain.std() * np.float32(strength) * (0.45 + 0.75 * depth)


def _affine(body: Body) -> npt.NDArray[np.float64]:
    """The patient does not lie exactly in the middle of the scanner."""
    affine = np.diag([-body.spacing_mm[0], -body.spacing_mm[1], body.spacing_mm[2], 1.0])
    shift = body.rng.uniform([-15, -25, -900], [15, 5, -300])
    for axis in range(3):
        first = float(body.space.axes[axis][:SUPERSAMPLING].mean())
        affine[axis, 3] = round(first + float(shift[axis]), 3)
    return affine
