"""Stomach, small bowel and colon with what they hold, and by them the pancreas and the gall bladder."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from abdomen_phantom.body import Body
from abdomen_phantom.patient import Finding
from abdomen_phantom.shapes import Bools, Floats, Point, Space, ellipsoid, mixture, tube
from abdomen_phantom.tissue import GAS_HU, WATER_HU

_CONTRAST_HU = 230.0


@dataclass(frozen=True)
class Filling:
    """What a hollow organ holds: the densities of its wall and contents, and the share of the lumen that is gas."""

    wall_mm: float
    content_hu: Floats | float
    gas_share: float


def paint_stomach(body: Body) -> None:
    """A bent bag, left and in front, with gas floating on fluid: the patient lies on the back."""
    rng = body.rng
    full = rng.uniform(0.65, 1.15)
    path: list[Point] = [
        (-56, 14, 90), (-68, 36, 64), (-64, 62, 28), (-42, 80, -4), (-10, 82, -14), (18, 70, -4), (32, 60, 4),
    ]  # fmt: skip
    radii = [29, 31, 27, 22, 19, 13, 9]
    space = body.space.crop((-150, -60, -70), (70, 190, 140))
    bag = tube(space, [body.place(*p, jitter_mm=4) for p in path], [r * full * body.build.organ_scale for r in radii])
    bag = bag + body.lumps(space, 3.0)
    inside = (bag < 0) & (body.cavity[space.where] < -2) & (body.diaphragm[space.where] < -3)
    content: Floats | float = WATER_HU + 6 + 12 * mixture(rng, space.ripples)
    if body.has(Finding.ORAL_CONTRAST):
        content = _CONTRAST_HU
    _fill(body, space, bag, inside, Filling(wall_mm=4.0, content_hu=content, gas_share=rng.uniform(0.1, 0.6)))


def _fill(body: Body, space: Space, hollow: Floats, inside: Bools, filling: Filling) -> None:
    """Wall, contents, and gas in the front part of the lumen, up to a level surface."""
    lumen = inside & (hollow < -filling.wall_mm)
    body.paint(space, inside, body.tissue.bowel_wall)
    body.paint(space, lumen, filling.content_hu)
    if lumen.any() and filling.gas_share > 0:
        height = np.broadcast_to(space.axes[1][None, :, None], lumen.shape)
        level = np.quantile(height[lumen], 1 - filling.gas_share)
        body.paint(space, lumen & (height > level), GAS_HU)


def paint_colon(body: Body) -> None:
    """A frame round the small bowel: up on the right, across in front, down on the left; gas and stool in turns."""
    rng = body.rng
    sag = rng.uniform(-35, 10)
    path: list[Point] = [
        (98, 0, -170), (100, 6, -100), (90, 22, -52), (66, 74, -48), (24, 100, -55 + sag), (-26, 100, -48 + sag),
        (-74, 84, -14), (-106, 34, 20), (-110, 2, -14), (-108, -4, -80), (-102, 2, -170),
    ]  # fmt: skip
    radii = [25, 24, 23, 21, 20, 20, 20, 19, 16, 14, 15]
    width = rng.uniform(0.8, 1.15) * body.build.organ_scale
    points = [body.place(*p, jitter_mm=5) for p in path]
    space = body.space
    gut = tube(space, points, [r * width for r in radii]) + 4.0 * space.ripples[0]  # ripples make the pouches
    inside = (gut < 0) & (body.cavity < -1)
    bubbles = mixture(rng, space.ripples) > 1.1
    stool = np.where(bubbles, np.float32(-450), 25 + 45 * mixture(rng, space.ripples))
    _fill(body, space, gut, inside, Filling(wall_mm=3.0, content_hu=stool, gas_share=0.0))
    lumen = inside & (gut < -3)
    gassy = (mixture(rng, space.lumps) > rng.uniform(-0.6, 0.6)) & (space.y > rng.uniform(20, 60))
    body.paint(space, lumen & gassy, GAS_HU)


def paint_small_bowel(body: Body) -> None:
    """Loops that wander through the middle of the lower abdomen, and the vessels of the mesentery between them."""
    rng = body.rng
    for middle_z, middle_x in product((-160, -132, -104, -76, -48, -28), (-72, -26, 26, 66)):
        x, y, z = rng.normal((middle_x, 66, middle_z), (14, 18, 9))
        _paint_loop(body, _wander(rng, body.place(x, y, z), steps=7, stride_mm=19.0), rng.uniform(10, 15.5))
    for _ in range(26):
        start = body.place(rng.uniform(-45, 45), rng.uniform(42, 78), rng.uniform(-150, -10))
        points = _wander(rng, start, steps=4, stride_mm=16.0)
        space = body.space.crop(*_bounds(points, 4.0))
        vessel = tube(space, points, [rng.uniform(1.6, 3.0)] * len(points))
        body.paint(space, (vessel < 0) & (body.cavity[space.where] < -2), body.tissue.portal_vein)


def _wander(rng: np.random.Generator, start: Point, steps: int, stride_mm: float) -> list[Point]:
    """A smooth random walk, mostly within a slice."""
    heading = rng.uniform(0, 2 * np.pi)
    points = [start]
    for _ in range(steps):
        heading += rng.normal(0, 0.9)
        x, y, z = points[-1]
        points.append(
            (x + stride_mm * np.cos(heading), y + stride_mm * np.sin(heading) * 0.8, z + float(rng.normal(0, 6)))
        )
    return points


def _bounds(points: list[Point], reach_mm: float) -> tuple[Point, Point]:
    low, high = np.min(points, axis=0) - reach_mm, np.max(points, axis=0) + reach_mm
    return (float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2]))


def _paint_loop(body: Body, points: list[Point], radius_mm: float) -> None:
    rng = body.rng
    space = body.space.crop(*_bounds(points, radius_mm))
    if space.x.size == 0:
        return
    loop = tube(space, points, [radius_mm] * len(points)) + 1.5 * space.ripples[1]
    inside = (loop < 0) & (body.cavity[space.where] < -3)
    content = _CONTRAST_HU if body.has(Finding.ORAL_CONTRAST) and rng.random() < 0.6 else rng.uniform(8, 40)
    gas = rng.uniform(0.1, 0.4) if rng.random() < 0.25 else 0.0
    _fill(body, space, loop, inside, Filling(wall_mm=3.0, content_hu=content, gas_share=gas))


def paint_pancreas(body: Body) -> None:
    """Across the spine from the duodenum to the spleen's hilum, rising to the left; lobulated."""
    path: list[Point] = [(30, 44, -14), (22, 50, 4), (-4, 54, 14), (-40, 40, 24), (-72, 14, 40)]
    space = body.space.crop((-130, -50, -70), (90, 160, 90))
    radii = [13 * body.build.organ_scale, 11, 8, 9, 7]
    gland = tube(space, [body.place(*p, jitter_mm=4) for p in path], radii) + 2.0 * space.ripples[2]
    body.paint(space, gland < 0, body.tissue.pancreas + 8 * space.ripples[0])
    duodenum = tube(
        space, [body.place(*p, jitter_mm=4) for p in [(36, 58, 2), (50, 40, -6), (46, 30, -50)]], [12, 12, 11]
    )
    _fill(body, space, duodenum, duodenum < 0, Filling(wall_mm=3.5, content_hu=18.0, gas_share=0.0))


def gall_bladder(body: Body, space: Space) -> Floats:
    """Distance to a pear of bile under the liver, some well filled, some empty."""
    filled = body.rng.uniform(0.7, 1.25)
    centre = body.place(52, 70, -4, 5)
    semi_axes = (14 * filled, 26 * filled, 15 * filled)
    return ellipsoid(space, centre, semi_axes, (-35, 0, float(body.rng.normal(-15, 10)))) + body.lumps(space, 1.0)
