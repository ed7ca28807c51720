"""The liver with its vessels, and what can grow in it."""

import numpy as np

from abdomen_phantom.body import Body
from abdomen_phantom.bowel import gall_bladder
from abdomen_phantom.patient import BACKGROUND, LIVER, TUMOUR, Finding, Phase
from abdomen_phantom.shapes import Bools, Floats, Point, Space, ellipsoid, grow_to, mixture, smooth_max, smooth_min
from abdomen_phantom.tissue import WATER_HU
from abdomen_phantom.vessels import liver_trees

_DARKER_HU = {Phase.NATIVE: (14.0, 22.0), Phase.ARTERIAL: (18.0, 34.0), Phase.PORTAL_VENOUS: (30.0, 55.0)}


def paint_liver(body: Body) -> None:
    """The right lobe fills the right half below the diaphragm, the left one tapers across the midline in front."""
    rng = body.rng
    space = body.space.crop((-130, -110, -120), (190, 230, 150))
    liver = _liver_shape(body, space)
    bile = gall_bladder(body, space)
    liver = smooth_max(liver, -(bile - 1.5), 5)
    hu = body.tissue.liver + 3 * mixture(rng, space.ripples)
    if body.has(Finding.FATTY_LIVER):
        hu = hu + 9 * np.clip(mixture(rng, space.lumps), -1, 1)  # fat is patchy
    inside = liver < 0
    body.paint(space, inside, hu, LIVER)
    hepatic, portal = liver_trees(body, space)
    body.paint(space, inside & (hepatic < 0), body.tissue.hepatic_veins)
    body.paint(space, inside & (portal < 0), body.tissue.portal_vein)
    if rng.random() < 0.85:  # in the others it has been taken out
        body.paint(space, bile < 0, body.tissue.bowel_wall, BACKGROUND)
        body.paint(space, bile < -2.2, WATER_HU + 4)
    if body.has(Finding.LIVER_CYST):
        for _ in range(int(rng.integers(1, 4))):
            _paint_liver_cyst(body, space, liver)
    if body.has(Finding.LIVER_TUMOUR):
        for _ in range(int(rng.choice([1, 1, 2, 3]))):
            _paint_tumour(body, space, liver)


def _liver_shape(body: Body, space: Space) -> Floats:
    rng = body.rng
    shrunk = body.has(Finding.CIRRHOSIS)
    length = float(np.clip(rng.normal(1.0, 0.1), 0.8, 1.2)) * (0.85 if shrunk else 1.0)
    reach = float(np.clip(rng.normal(1.0, 0.14), 0.7, 1.3)) * (1.15 if shrunk else 1.0)
    right = ellipsoid(space, body.place(76, 18, 108 - 80 * length, 4), body.size(72, 92, 88 * length), (0, 6, 0))
    left = ellipsoid(space, body.place(8, 72, 62, 4), body.size(86 * reach, 40, 44), (0, -10, -6))
    spine = np.hypot(space.x * 0.8, np.maximum(space.y - 2, 0.0)) - 40.0  # and all that lies behind it
    hilum = ellipsoid(space, body.place(4, 30, 6, 4), body.size(56, 44, 58), (0, 18, 20))
    stomach = ellipsoid(space, body.place(-58, 42, 40, 4), body.size(46, 48, 60), (0, 0, 15))
    kidney = ellipsoid(space, body.place(60, -12, -14), body.size(38, 36, 68), (8, -12, -38))
    spleen = ellipsoid(space, body.place(-112, -4, 46), body.size(48, 78, 76))
    fissure = ellipsoid(space, body.place(-6, 92, 40, 4), (3.2, 26, 34), (0, 0, -12))
    gap = 3.0 + (rng.uniform(6, 13) if body.has(Finding.ASCITES) else 0.0)
    limit = smooth_max(body.cavity[space.where] + gap, body.diaphragm[space.where] + 3.5, 10)
    for carved, rounding in ((spine, 14), (hilum, 16), (stomach, 14), (kidney, 10), (spleen, 12), (fissure, 4)):
        limit = smooth_max(limit, -carved, rounding)
    volume_ml = (rng.uniform(850, 1150) if shrunk else rng.uniform(1250, 1750)) * body.build.organ_scale
    liver = grow_to(smooth_min(right, left, 34) + body.lumps(space, 3.5), limit, body.voxels(volume_ml))
    return liver + 2.4 * mixture(rng, space.ripples) if shrunk else liver  # nodules


def _somewhere_inside(body: Body, space: Space, organ: Floats, depth_mm: float) -> Point:
    """A random point of an organ at least `depth_mm` below its surface, or its deepest one if it is thinner."""
    deep = np.flatnonzero(organ < -depth_mm)
    choice = int(body.rng.choice(deep)) if deep.size else int(organ.argmin())
    i, j, k = np.unravel_index(choice, organ.shape)
    return float(space.x[i, j, k]), float(space.y[i, j, k]), float(space.z[i, j, k])


def _paint_liver_cyst(body: Body, space: Space, liver: Floats) -> None:
    radius = float(body.rng.uniform(6, 16))
    cyst = ellipsoid(space, _somewhere_inside(body, space, liver, 0.6 * radius), (radius, radius, radius))
    body.paint(space, (cyst < 0) & (liver < 0), WATER_HU - 2)


def _paint_tumour(body: Body, space: Space, liver: Floats) -> None:
    """A rough ball 28 to 60 mm across that stays within the liver."""
    rng = body.rng
    radius = float(rng.uniform(14, 30))
    centre = _somewhere_inside(body, space, liver, 0.6 * radius)
    near = space.around(centre, 1.6 * radius)
    semi_axes = body.size(radius, radius, radius, spread=0.14)
    rough = mixture(rng, near.lumps) * 0.1 * radius + mixture(rng, near.ripples) * 0.07 * radius
    here = tuple(slice(n.start - s.start, n.stop - s.start) for n, s in zip(near.where, space.where, strict=True))
    tumour = np.maximum(ellipsoid(near, centre, semi_axes) + rough, liver[here])
    hu = _tumour_hu(body, tumour > -0.25 * radius) + 5 * mixture(rng, near.ripples)
    body.paint(near, tumour < 0, hu, TUMOUR)


def _tumour_hu(body: Body, rim: Bools) -> Floats:
    """Bright, or a bright rim round a dead core, or darker than the liver; without contrast agent only the last."""
    rng, phase, liver_hu = body.rng, body.patient.phase, body.tissue.liver
    kind = rng.random()
    if phase is Phase.ARTERIAL and kind < 0.5:
        inner = outer = liver_hu + rng.uniform(30, 50)
    elif phase is not Phase.NATIVE and kind < 0.7:
        inner, outer = 28.0, liver_hu + rng.uniform(10, 30)
    else:
        least, most = _DARKER_HU[phase]
        inner = outer = liver_hu - rng.uniform(least, most)
    return np.where(rim, np.float32(outer), np.float32(inner))
