"""The great vessels, and the trees that run inside the liver."""

import numpy as np

from abdomen_phantom.body import Body
from abdomen_phantom.patient import BACKGROUND
from abdomen_phantom.shapes import Floats, Point, Space, tube
from abdomen_phantom.tissue import CALCIUM_HU


def paint_great_vessels(body: Body) -> None:
    """Aorta (with some calcified plaque), inferior vena cava, portal and splenic vein, mesenteric artery."""
    rng, scale = body.rng, body.build.organ_scale
    wall = rng.uniform(0.85, 1.15)
    aorta = _run(body, [(-10, 26, 190), (-8, 30, 60), (-6, 33, -30), (-5, 34, -105)], [11, 10.5, 9, 8], 1.5, wall)
    left_iliac = _run(body, [(-5, 34, -105), (-24, 28, -150), (-36, 24, -190)], [8, 6, 6], 1.0, wall)
    right_iliac = _run(body, [(-5, 34, -105), (16, 30, -150), (30, 24, -190)], [8, 6, 6], 1.0, wall)
    cava = _run(body, [(24, 34, 120), (23, 30, 60), (20, 27, -20), (18, 26, -110)], [12, 12, 10.5, 10], 1.5, scale)
    body.paint(body.space, cava < 0, body.tissue.cava, BACKGROUND)
    arteries = np.minimum(aorta, np.minimum(left_iliac, right_iliac))
    body.paint(body.space, arteries < 0, body.tissue.aorta, BACKGROUND)
    if rng.random() < 0.4:
        plaque = (np.abs(aorta + 0.4) < 1.0) & (body.space.ripples[0] > 1.2)
        body.paint(body.space, plaque, CALCIUM_HU, BACKGROUND)

    portal = _run(body, [(6, 44, -45), (8, 48, 2), (24, 47, 18), (42, 42, 30)], [6, 7, 7.5, 6], 2.0, scale)
    splenic = _run(body, [(8, 48, 2), (-25, 42, 18), (-60, 20, 38), (-78, 6, 48)], [6, 5, 4.5, 4], 2.0, scale)
    body.paint(body.space, np.minimum(portal, splenic) < 0, body.tissue.portal_vein)
    mesenteric = _run(body, [(-6, 42, 0), (-8, 52, -25), (-2, 58, -80)], [4, 4, 3], 1.5, scale)
    body.paint(body.space, mesenteric < 0, body.tissue.aorta)


def _run(body: Body, points: list[Point], radii: list[float], jitter_mm: float, scale: float) -> Floats:
    placed = [body.place(*point, jitter_mm=jitter_mm) for point in points]
    return tube(body.space, placed, [radius * scale for radius in radii])


_HEPATIC_VEINS: list[tuple[list[Point], list[float]]] = [
    ([(24, 32, 92), (60, 22, 74), (92, 14, 45), (104, 12, 15)], [5.5, 4.5, 3.2, 1.8]),
    ([(24, 34, 92), (46, 62, 74), (60, 82, 46), (66, 88, 20)], [5.5, 4.5, 3.0, 1.8]),
    ([(22, 34, 92), (2, 58, 80), (-24, 74, 68)], [5.0, 3.8, 1.8]),
    ([(60, 22, 74), (74, -12, 62), (86, -30, 50)], [3.6, 2.8, 1.6]),
]

_PORTAL_BRANCHES: list[tuple[list[Point], list[float]]] = [
    ([(42, 42, 30), (66, 30, 34), (92, 42, 22), (106, 52, 4)], [6.0, 5.0, 3.4, 1.8]),
    ([(66, 30, 34), (84, 4, 44), (100, -18, 50)], [4.6, 3.4, 1.8]),
    ([(66, 30, 34), (86, 12, 8), (98, 6, -18)], [4.2, 3.2, 1.6]),
    ([(42, 42, 30), (22, 60, 50), (-2, 74, 58), (-28, 82, 62)], [5.2, 4.2, 3.2, 1.6]),
    ([(66, 30, 34), (80, 60, 52), (92, 68, 66)], [4.0, 3.0, 1.6]),
]


def liver_trees(body: Body, space: Space) -> tuple[Floats, Floats]:
    """Distances to the hepatic veins and to the portal branches, within the liver's box."""
    hepatic, portal = (
        np.minimum.reduce(
            [tube(space, [body.place(*p, jitter_mm=4.0) for p in points], radii) for points, radii in tree]
        )
        for tree in (_HEPATIC_VEINS, _PORTAL_BRANCHES)
    )
    return hepatic, portal
