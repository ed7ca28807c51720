"""What holds the organs: the couch, skin, fat and muscle, the skeleton, and above the diaphragm lungs and heart."""

import numpy as np

from abdomen_phantom.body import Body
from abdomen_phantom.patient import Finding
from abdomen_phantom.shapes import Bools, Floats, Space, ellipsoid, mixture, smooth_max, tube
from abdomen_phantom.tissue import CARTILAGE_HU, CORTEX_HU, DISC_HU, FAT_HU, LUNG_HU, MARROW_HU, SKIN_HU, WATER_HU

VERTEBRA_MM = 35.0
"""From one vertebra's middle to the next; number 0 is the first lumbar one, 1 the twelfth thoracic above it."""

_SKIN_MM = 3.0


def paint_couch(body: Body) -> None:
    """A curved board a little behind the back: a thin dense shell filled with foam."""
    x, y, _ = np.meshgrid(*body.space.axes, indexing="ij", sparse=True)
    inside = (body.trunk < 0).any(axis=2)
    lowest = float(np.broadcast_to(y, (*inside.shape, 1))[inside].min())
    bend_mm, gap_mm, thickness_mm = 620.0, 5.0, 17.0
    top = lowest - gap_mm + bend_mm - np.sqrt(bend_mm**2 - np.minimum(x * x, 0.5 * bend_mm**2))
    depth = top - y
    half_width = 195.0
    board = (depth > 0) & (depth < thickness_mm) & (np.abs(x) < half_width)
    shell = board & ((depth < 4) | (depth > thickness_mm - 4) | (np.abs(x) > half_width - 3))
    space = body.space
    body.paint(space, np.broadcast_to(board, space.x.shape), -900.0)
    body.paint(space, np.broadcast_to(shell, space.x.shape), 60.0)


def paint_wall(body: Body) -> None:
    """Skin, the fat below it, the ring of muscle, and the fat that fills the cavity."""
    space = body.space
    strands = mixture(body.rng, space.ripples)
    fat = FAT_HU + 5 * strands + 26 * np.clip(mixture(body.rng, space.ripples) - 1.3, 0, 1.2)
    body.paint(space, body.trunk < 0, SKIN_HU)
    body.paint(space, body.trunk < -_SKIN_MM, fat)
    layers = np.abs(body.cavity / np.maximum(body.cavity - body.muscle, 1) - 0.5)  # a fat plane between the muscles
    flesh = body.tissue.muscle + 4 * strands - 45 * np.exp(-((layers / 0.09) ** 2)) * (strands > 0.1)
    body.paint(space, body.muscle < 0, flesh)
    body.paint(space, body.cavity < 0, fat)


def paint_back_muscles(body: Body) -> None:
    """Psoas, quadratus lumborum, the erectors of the spine and the crura of the diaphragm, on both sides."""
    space = body.space.crop((-140, -150, -400), (140, 45, 400))
    marbling = 6 * mixture(body.rng, space.ripples)
    bulk = body.build.muscle / 14
    for side in (-1, 1):
        erector = ellipsoid(space, (side * 28.0, -54.0, 0.0), (35 * bulk, 21 * bulk, 900.0))
        flat = ellipsoid(space, (side * 62.0, -36.0, -90.0), (22 * bulk, 9 * bulk, 95.0), (0, side * 10.0, 0))
        psoas = tube(
            space,
            [(side * x, y, z) for x, y, z in ((24, -6, 8), (33, -4, -50), (46, 2, -110), (54, 8, -200))],
            [5 * bulk, 14 * bulk, 20 * bulk, 23 * bulk],
        )
        crus = tube(
            space, [(side * x, y, z) for x, y, z in ((14, 24, 105), (17, 18, 50), (15, 16, -20))], [4.5, 5.5, 3.0]
        )
        flesh = np.minimum(np.minimum(erector, flat), np.minimum(psoas, crus))
        body.paint(space, (flesh < 0) & (body.trunk[space.where] < -6), body.tissue.muscle + marbling)


def paint_skeleton(body: Body) -> None:
    """Spine, ribs with their cartilage, and the wings of the pelvis where the scan reaches them."""
    _paint_spine(body)
    _paint_ribs(body)
    _paint_pelvis(body)


def _paint_spine(body: Body) -> None:
    space = body.space.crop((-62, -75, -400), (62, 34, 400))
    marrow = MARROW_HU + body.rng.normal(0, 22) + 18 * mixture(body.rng, space.ripples)
    step = VERTEBRA_MM * body.build.stature
    x, y = space.x, space.y
    number = np.round(space.z / step)
    height = space.z - number * step  # above the middle of the nearest vertebra
    girth = np.clip(1 - 0.045 * number, 0.8, 1.15)
    half_body = 0.37 * step
    waist = 1.6 * (1 - np.clip(np.abs(height) / half_body, 0, 1))
    ring = np.hypot(x, y * 1.36) - 23.5 * girth + waist  # an ellipse, wider than deep
    canal = np.hypot(x, (y + 28) * 1.2) - 10.0
    column = smooth_max(ring, -canal - 2, 4.0)
    shaft = np.abs(height) - half_body
    body.paint(space, column < 0, DISC_HU)
    vertebra = np.maximum(column, shaft)
    body.paint(space, vertebra < 0, CORTEX_HU * 0.62)
    body.paint(space, vertebra < -1.7, marrow)

    arch_height = np.abs(height - 2) - 0.33 * step
    arch = np.maximum(np.abs(canal - 3.0) - 3.4, arch_height)
    spinous = np.maximum(np.maximum(np.abs(x) - 3.2, np.abs(y + 51) - 14), np.abs(height + 5) - 9)
    transverse = np.maximum(
        np.maximum(np.abs(y + 26 + 0.12 * np.abs(x)) - 4.2, np.abs(x) - 37 * girth), np.abs(height - 4) - 5
    )
    facets = np.maximum(np.hypot(np.abs(x) - 17, y + 37) - 7.5, 7 - np.abs(height))
    processes = np.minimum(np.minimum(arch, spinous), np.minimum(transverse, facets))
    body.paint(space, (processes < 0) & (canal > 0) & (column > 0), CORTEX_HU * 0.6)
    body.paint(space, (processes < -2) & (canal > 0) & (column > 0), marrow + 60)
    body.paint(space, (canal < 0) & (column > 0), FAT_HU + 40)
    body.paint(space, (canal < -2.5) & (column > 0), 32.0)


def _paint_ribs(body: Body) -> None:
    """All ribs at once: each runs round the cage and down, so its height is a function of the angle from behind."""
    z = body.space.axes[2][None, None, :]
    angle = body.angle
    step = 30.0 * body.build.stature
    raised = z + 68.0 * (1 - np.cos(angle)) / 2 * 1.1 - 27.0 * body.build.stature  # 0 on the twelfth rib
    number = np.round(raised / step)
    off_height = raised - number * step
    middle = body.cavity - 0.5 * np.minimum(body.cavity - body.muscle, 16.0)
    section = np.sqrt((off_height / 6.2) ** 2 + (middle / 4.3) ** 2)
    ends = np.interp(number, [0, 1, 2, 3, 4, 5], [0.95, 1.45, 2.0, 2.25, 2.4, 2.55]).astype(np.float32)
    bone = (section < 1) & (number >= 0) & (angle < ends) & (angle > 0.32)
    cartilage = (section < 1.05) & (number >= 2) & (angle >= ends) & (angle < ends + 0.35)
    body.paint(body.space, cartilage, CARTILAGE_HU)
    body.paint(body.space, bone, CORTEX_HU)
    body.paint(body.space, bone & (section < 0.5), MARROW_HU)


def _paint_pelvis(body: Body) -> None:
    z = body.space.axes[2][None, None, :]
    crest = (-112 - 26 * ((body.angle - 1.15) / 0.5) ** 2) * body.build.stature
    depth = np.abs(body.cavity - 2) - np.clip(3 + (crest - z) * 0.05, 0, 6)
    wing = np.maximum(depth, z - crest)
    body.paint(body.space, wing < 0, CORTEX_HU)
    body.paint(body.space, wing < -2.6, MARROW_HU)


def paint_chest(body: Body) -> None:
    """Lung above the diaphragm with its vessels, the heart resting on it; an effusion where there is much ascites."""
    space = body.space
    above = (body.cavity < -1.5) & (body.diaphragm > 1.5)
    if not above.any():
        return
    z = space.axes[2][None, None, :]
    vessels = np.clip(mixture(body.rng, space.ripples) - 1.7, 0, 0.6) * 900
    gravity = np.clip(-space.y / 60, 0, 1) * 60  # the dependent lung is denser
    body.paint(space, (body.cavity < 0) & (body.diaphragm > -2.5), body.tissue.muscle)
    body.paint(space, above, LUNG_HU + gravity + vessels)
    if body.has(Finding.ASCITES):
        level = body.rng.uniform(-45, -25)
        body.paint(space, above & (space.y < level) & (z < 90), WATER_HU + 4)
    _paint_mediastinum(body, above)


def _paint_mediastinum(body: Body, above: Bools) -> None:
    space = body.space
    place, scale = body.place, body.build.organ_scale
    heart = ellipsoid(space, place(-24, 72, 126, 4), body.size(62, 40, 36), (0, 0, -25)) + body.lumps(space, 2)
    behind = np.hypot(space.x + 4, space.y - 30) - 26 * scale  # round the aorta, the gullet and the spine
    body.paint(space, above & (np.minimum(heart - 6, behind) < 0), FAT_HU + 15)
    body.paint(space, above & (heart < 0), body.tissue.muscle + 12)
    chambers = _heart_chambers(space, heart)
    body.paint(space, above & (chambers < 0), body.tissue.heart)
    gullet = tube(space, [place(-8, 42, 170), place(-12, 44, 110), place(-30, 40, 88)], [8, 8, 8])
    body.paint(space, gullet < 0, body.tissue.muscle - 8)


def _heart_chambers(space: Space, heart: Floats) -> Floats:
    septum = np.abs((space.x + 22) * 0.8 + (space.y - 66) * 0.35) - 5
    return np.maximum(heart + 9, -septum)
