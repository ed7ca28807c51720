"""The patient on the table: the grid, the trunk's proportions, and the canvas on which tissues are painted."""

from dataclasses import dataclass

import numpy as np

from abdomen_phantom.patient import Finding, Habitus, Patient
from abdomen_phantom.shapes import Bools, Floats, Labels, Point, Space, mixture, smooth_max, smooth_noise
from abdomen_phantom.tissue import AIR_HU, Tissue, tissue_of

SHAPE = (96, 96, 48)
SUPERSAMPLING = 2
SPINE_BACK_MM = -53.0
"""Where the cavity ends behind, whatever the habitus: people grow forward and sideways from their spine."""

_TYPICAL_WIDTH_MM = 130.0
_TYPICAL_DEPTH_MM = 88.0


@dataclass(frozen=True)
class Build:
    """The trunk's proportions. `half_width` and `half_depth` of the abdominal cavity, and the typical thickness of
    `skin_fat` and `muscle`, are millimetres; `stature` stretches all heights, `organ_scale` the organs.
    """

    half_width: float
    half_depth: float
    stature: float
    skin_fat: float
    muscle: float
    organ_scale: float

    @property
    def centre_y(self) -> float:
        """The middle of the cavity from front to back."""
        return SPINE_BACK_MM + self.half_depth


_BUILDS = {
    Habitus.THIN: Build(half_width=116, half_depth=74, stature=0.99, skin_fat=9, muscle=12, organ_scale=0.93),
    Habitus.NORMAL: Build(half_width=130, half_depth=90, stature=1.0, skin_fat=19, muscle=14, organ_scale=1.0),
    Habitus.OBESE: Build(half_width=151, half_depth=116, stature=1.0, skin_fat=38, muscle=14, organ_scale=1.07),
}


def build_of(patient: Patient, rng: np.random.Generator) -> Build:
    """The habitus' typical proportions with the spread between people."""
    typical = _BUILDS[patient.habitus]
    spread = np.clip(rng.normal(1.0, [0.04, 0.05, 0.04, 0.2, 0.12, 0.05]), 0.75, 1.3)
    return Build(
        half_width=typical.half_width * float(spread[0]),
        half_depth=typical.half_depth * float(spread[1]),
        stature=typical.stature * float(spread[2]),
        skin_fat=typical.skin_fat * float(spread[3]),
        muscle=typical.muscle * float(spread[4]),
        organ_scale=typical.organ_scale * float(spread[5]),
    )


@dataclass(frozen=True)
class Body:
    """Everything a painter needs. Distances are negative inside: `cavity` inside the muscles, `trunk` inside the
    skin, `diaphragm` below it. `hu` and `label` are the canvas, on the supersampled grid.
    """

    patient: Patient
    build: Build
    tissue: Tissue
    rng: np.random.Generator
    spacing_mm: Point
    space: Space
    angle: Floats
    cavity: Floats
    muscle: Floats
    trunk: Floats
    diaphragm: Floats
    hu: Floats
    label: Labels

    def has(self, finding: Finding) -> bool:
        """Whether the patient has it."""
        return finding in self.patient.findings

    def place(self, x: float, y: float, z: float, jitter_mm: float = 0.0) -> Point:
        """Where a point of the typical patient lies in this one, give or take `jitter_mm`."""
        shift = self.rng.normal(0, jitter_mm, size=3) if jitter_mm else np.zeros(3)
        return (
            x * self.build.half_width / _TYPICAL_WIDTH_MM + float(shift[0]),
            SPINE_BACK_MM + (y - SPINE_BACK_MM) * self.build.half_depth / _TYPICAL_DEPTH_MM + float(shift[1]),
            z * self.build.stature + float(shift[2]),
        )

    def size(self, *millimetres: float, spread: float = 0.05) -> Point:
        """Three semi-axes of the typical patient in this one's size, each give or take a share of `spread`."""
        a, b, c = np.multiply(millimetres, self.build.organ_scale * np.clip(self.rng.normal(1, spread, 3), 0.8, 1.25))
        return float(a), float(b), float(c)

    def voxels(self, volume_ml: float) -> float:
        """How many voxels of the supersampled grid a volume fills."""
        return volume_ml * 1000 * SUPERSAMPLING**3 / float(np.prod(self.spacing_mm))

    def lumps(self, space: Space, amplitude_mm: float) -> Floats:
        """A fresh smooth roughness for one organ's surface."""
        return mixture(self.rng, space.lumps) * np.float32(amplitude_mm)

    def paint(self, space: Space, inside: Bools, hu: Floats | float, label: int | None = None) -> None:
        """Overwrite the voxels `inside` with a density, or an array of them; a label of None leaves the labels."""
        self.hu[space.where][inside] = hu[inside] if isinstance(hu, np.ndarray) else hu
        if label is not None:
            self.label[space.where][inside] = label


def lay_down(patient: Patient, rng: np.random.Generator) -> Body:
    """An empty trunk of the patient's proportions in a field of view that fits it."""
    build = build_of(patient, rng)
    space, spacing_mm = _field_of_view(build, rng)
    x, y, z = np.meshgrid(*space.axes, indexing="ij", sparse=True)
    across, ahead = x / np.float32(build.half_width), (y - np.float32(build.centre_y)) / np.float32(build.half_depth)
    angle = np.arctan2(np.abs(across), -ahead)  # 0 behind, pi in front, the same on both sides
    share = np.hypot(across, ahead)
    radius = np.hypot(x, y - np.float32(build.centre_y))
    rim = radius / np.maximum(share, 1e-3) * _outline(rng, across, ahead) * _taper(rng, z)
    cavity = radius - rim + 2.2 * mixture(rng, space.lumps)
    muscle = cavity - _muscle_thickness(build, angle, x, z) + 1.6 * mixture(rng, space.lumps)
    trunk = muscle - _fat_thickness(build, rng, angle, z)
    back = SPINE_BACK_MM - build.muscle * 1.35 - build.skin_fat * 0.75 - y  # flattened by the couch
    furrow = 7 * np.exp(-((x / 16) ** 2)) * (y < 0)
    trunk = smooth_max(trunk, back + furrow, 22)
    return Body(
        patient=patient,
        build=build,
        tissue=tissue_of(patient, rng),
        rng=rng,
        spacing_mm=spacing_mm,
        space=space,
        angle=angle,
        cavity=cavity,
        muscle=muscle,
        trunk=trunk,
        diaphragm=_below_diaphragm(build, rng, space, angle, x, y, radius / rim),
        hu=np.full(space.x.shape, AIR_HU, dtype=np.float32),
        label=np.zeros(space.x.shape, dtype=np.uint8),
    )


def _field_of_view(build: Build, rng: np.random.Generator) -> tuple[Space, Point]:
    """The grid: stored from right to left, front to back and feet to head, as scanners do (nibabel's "LPS")."""
    width = 2 * (build.half_width + build.muscle + build.skin_fat * 1.1) + rng.uniform(14, 30)
    in_plane = float(np.round(width / SHAPE[0], 3))
    spacing_mm = (in_plane, in_plane, float(np.round(rng.uniform(5.6, 6.4), 2)))
    centre = (rng.normal(0, 4), build.centre_y - rng.uniform(6, 14))
    top = rng.uniform(126, 146) * build.stature
    starts = (centre[0] + width / 2, centre[1] + width / 2, top - SHAPE[2] * spacing_mm[2])
    steps = (-spacing_mm[0], -spacing_mm[1], spacing_mm[2])
    fine = [
        (start + (np.arange(count * SUPERSAMPLING) + 0.5) * step / SUPERSAMPLING).astype(np.float32)
        for start, step, count in zip(starts, steps, SHAPE, strict=True)
    ]
    axes = (fine[0], fine[1], fine[2])
    whole = (slice(0, len(axes[0])), slice(0, len(axes[1])), slice(0, len(axes[2])))
    moved = [
        axis.reshape([-1 if i == j else 1 for j in range(3)]) + 5.0 * smooth_noise(rng, axes, wavelength_mm=130)
        for i, axis in enumerate(axes)
    ]
    lumps = np.stack([smooth_noise(rng, axes, wavelength_mm=55) for _ in range(4)])
    ripples = np.stack([smooth_noise(rng, axes, wavelength_mm=19) for _ in range(3)])
    return Space(whole, axes, moved[0], moved[1], moved[2], lumps, ripples), spacing_mm


def _outline(rng: np.random.Generator, across: Floats, ahead: Floats) -> Floats:
    """The cavity's cross-section against an ellipse: squarer, and a little uneven."""
    exponent = rng.uniform(2.15, 2.6)
    length = np.hypot(across, ahead) + 1e-6
    square = ((np.abs(across) / length) ** exponent + (np.abs(ahead) / length) ** exponent) ** (-1 / exponent)
    turn = np.arctan2(across, ahead)
    for harmonic in (1, 2, 3):
        size, phase = rng.normal(0, 0.012), rng.uniform(0, 2 * np.pi)
        square = square * (1 + size * np.cos(harmonic * turn + phase))
    return square


def _taper(rng: np.random.Generator, z: Floats) -> Floats:
    """Narrower at the waist and towards the shoulders."""
    waist, hips = rng.uniform(0.0, 0.08), rng.uniform(0.0, 0.06)
    shoulders = 0.0011 * np.maximum(z - 60, 0)
    return 1 - waist * np.exp(-(((z + 70) / 60) ** 2)) + hips * np.clip((-z - 90) / 60, 0, 1) - shoulders


def _muscle_thickness(build: Build, angle: Floats, x: Floats, z: Floats) -> Floats:
    """Thick behind and at the side, thin in front and almost nothing in the midline there."""
    front = np.clip((angle - 2.0) / 0.6, 0, 1)
    behind = np.clip((1.0 - angle) / 0.6, 0, 1)
    midline = np.exp(-((x / 9) ** 2)) * front
    thorax = np.clip(z / 60, 0, 1) * 4 * np.clip(1 - np.abs(angle - 1.1) / 0.7, 0, 1)
    return build.muscle * (1 - 0.35 * front + 0.35 * behind - 0.45 * midline) + thorax


def _fat_thickness(build: Build, rng: np.random.Generator, angle: Floats, z: Floats) -> Floats:
    """Most at the flanks and the lower belly, least over the ribs."""
    belly, flank = rng.uniform(0.9, 1.4), rng.uniform(0.9, 1.4)
    front = np.clip((angle - 1.9) / 0.9, 0, 1) * belly
    flanks = np.exp(-(((angle - 0.85) / 0.4) ** 2)) * flank
    low = np.clip(0.75 - z / 220, 0.5, 1.35)
    return build.skin_fat * (0.62 + 0.4 * front * low + 0.45 * flanks) * low + 2


def _below_diaphragm(
    build: Build, rng: np.random.Generator, space: Space, angle: Floats, x: Floats, y: Floats, share: Floats
) -> Floats:
    """Distance to the two domes: a flat top that falls off steeply towards the wall, lowest behind."""
    breath = rng.normal(0, 5)
    right, left = rng.uniform(100, 112) + breath, rng.uniform(88, 102) + breath
    side = 1 / (1 + np.exp(-(x - 5) / 14))
    saddle = 16 * np.exp(-((x / 30) ** 2))
    top = (left + (right - left) * side - saddle) * build.stature
    edge = np.interp(angle, [0.0, 1.2, 2.2, np.pi], [16.0, 26.0, 64.0, 80.0]).astype(np.float32) * build.stature
    wobble = mixture(rng, space.lumps) * np.float32(2.5)
    dome = top - (top - edge) * np.clip(share, 0, 1.2) ** 3.2 + wobble
    slope = np.hypot(np.gradient(dome, axis=0), np.gradient(dome, axis=1)) / abs(space.axes[0][1] - space.axes[0][0])
    _, _, z = np.meshgrid(*space.axes, indexing="ij", sparse=True)
    return ((z - dome) / np.sqrt(1 + slope**2)).astype(np.float32)
