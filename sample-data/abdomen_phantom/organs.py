"""Spleen and kidneys, and free fluid round the organs."""

import numpy as np

from abdomen_phantom.body import Body
from abdomen_phantom.patient import BACKGROUND, KIDNEYS, SPLEEN, Finding, Phase
from abdomen_phantom.shapes import Floats, Point, Space, ellipsoid, grow_to, mixture, smooth_max
from abdomen_phantom.tissue import FAT_HU, WATER_HU

_RIGHT, _LEFT = 1, -1


def paint_ascites(body: Body) -> None:
    """Free fluid: a rim along the wall that is widest behind, where it settles, and above the bowel."""
    if not body.has(Finding.ASCITES):
        return
    space = body.space
    depth_mm = (
        body.rng.uniform(9, 16)
        * (1 + 0.6 * np.clip((40 - space.y) / 70, 0, 1))
        * np.clip((90 - space.z) / 90, 0.4, 1.2)
    )
    rim = (body.cavity < 0) & (body.cavity > -depth_mm - body.lumps(space, 3)) & (body.angle > 0.75)
    body.paint(space, rim & (body.diaphragm < 0), WATER_HU + 5)


def paint_spleen(body: Body) -> None:
    """A crescent along the left wall behind the stomach; in the arterial phase it is striped."""
    rng = body.rng
    large = body.has(Finding.SPLENOMEGALY)
    volume_ml = rng.uniform(480, 850) if large else rng.uniform(120, 270) * body.build.organ_scale
    space = body.space.crop((-190, -110, -110), (0, 130, 150))
    a, b, c = body.size(30, 55, 50)
    spleen = ellipsoid(
        space, body.place(-102, -2, 30 if large else 52, 4), (a, b, c * (1.3 if large else 1)), (0, 12, -28)
    )
    hollow = ellipsoid(space, body.place(-50, 20, 56, 3), (42, 48, 75))
    kidney = ellipsoid(space, body.place(-60, -12, 0), body.size(36, 34, 64), (8, 12, 38))
    limit = smooth_max(-hollow, -kidney, 10)
    limit = smooth_max(limit, body.cavity[space.where] + 3.5, 8)
    limit = smooth_max(limit, body.diaphragm[space.where] + 4, 8)
    spleen = grow_to(spleen + body.lumps(space, 3.0), limit, body.voxels(volume_ml))
    hu = body.tissue.spleen + 3 * mixture(rng, space.ripples)
    if body.patient.phase is Phase.ARTERIAL:
        hu = hu + 26 * np.sin(2.5 * mixture(rng, space.ripples))
    body.paint(space, spleen < 0, hu, SPLEEN)


def paint_kidneys(body: Body) -> None:
    """Both, or the only one, which has grown to make up for it; the left lies a little higher."""
    missing = int(body.rng.choice([_LEFT, _RIGHT])) if body.has(Finding.SINGLE_KIDNEY) else 0
    blocked = int(body.rng.choice([_LEFT, _RIGHT])) if body.has(Finding.HYDRONEPHROSIS) else 0
    if missing and blocked:
        blocked = -missing  # the one that is there
    for side in (_RIGHT, _LEFT):
        if side != missing:
            volume_ml = body.rng.uniform(210, 270) if missing else body.rng.uniform(125, 185)
            _paint_kidney(body, side, volume_ml * body.build.organ_scale, blocked=side == blocked)


def _paint_kidney(body: Body, side: int, volume_ml: float, blocked: bool) -> None:
    rng = body.rng
    x, y, z = body.place(62 * side, -12, -14 if side == _RIGHT else 0, 4)
    space = body.space.around((x, y, z), 85)
    a, b, c = body.size(28, 27, 55, spread=0.06)
    tilt = (float(rng.normal(8, 4)), side * float(rng.normal(-12, 4)), side * float(rng.normal(-38, 9)))
    kidney = ellipsoid(space, (x, y, z), (a, b, c), tilt) + body.lumps(space, 1.6)
    turn = np.radians(tilt[2])
    inward = (-side * float(np.cos(turn)), float(abs(np.sin(turn))))  # towards the hilum: to the middle and forward
    hilum = (x + inward[0] * 0.85 * a, y + inward[1] * 0.85 * a, z)
    sinus = ellipsoid(space, hilum, (0.85 * a, 0.34 * b, 0.42 * c), tilt) + body.lumps(space, 1.5)
    limit = np.maximum(-sinus, body.cavity[space.where] - 3)
    kidney = grow_to(kidney, limit, body.voxels(volume_ml))
    body.paint(space, kidney < 0, _renal_parenchyma(body, space, kidney, z), KIDNEYS)
    pelvis = ellipsoid(space, hilum, (0.5 * a, 0.16 * b, 0.25 * c), tilt)
    if blocked:
        pelvis = ellipsoid(space, hilum, (0.95 * a, 0.52 * b, 0.62 * c), tilt) + body.lumps(space, 3.0)
    body.paint(space, sinus < 0, FAT_HU + 25)
    body.paint(space, pelvis < 0, WATER_HU, BACKGROUND)
    if body.has(Finding.RENAL_CYST) and rng.random() < 0.7:
        _paint_renal_cyst(body, space, (x, y, z), (a, b, c))


def _renal_parenchyma(body: Body, space: Space, kidney: Floats, middle_z: float) -> Floats:
    """Cortex outside and in columns between the pyramids of the medulla."""
    columns = np.cos((space.z - middle_z) * 2 * np.pi / 21) + mixture(body.rng, space.ripples)
    medulla = (kidney < -6.5) & (columns > -0.6)
    return np.where(medulla, body.tissue.renal_medulla, body.tissue.renal_cortex).astype(np.float32)


def _paint_renal_cyst(body: Body, space: Space, centre: Point, semi_axes: Point) -> None:
    """A ball of water at the outer surface, which an annotator counts as kidney."""
    rng = body.rng
    radius = rng.uniform(8, 19)
    outward = np.sign(centre[0]) * semi_axes[0]
    at = (
        centre[0] + float(outward),
        centre[1] + float(rng.normal(0, 6)),
        centre[2] + float(rng.uniform(-0.5, 0.5)) * semi_axes[2],
    )
    cyst = (ellipsoid(space, at, (radius, radius, radius)) < 0) & (body.cavity[space.where] < -2)
    body.paint(space, cyst, WATER_HU - 2, KIDNEYS)
