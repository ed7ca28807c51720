import numpy as np
import pytest

from abdomen_phantom.shapes import Space, ellipsoid, grow_to, mixture, smooth_max, smooth_min, smooth_noise, tube


@pytest.fixture
def space() -> Space:
    """Return 1 mm voxels from -30 to 30 mm along each axis (x stored from right to left), not deformed."""
    axes = (
        np.arange(30, -31, -1, dtype=np.float32),
        np.arange(-30, 31, dtype=np.float32),
        np.arange(-30, 31, dtype=np.float32),
    )
    x, y, z = np.meshgrid(*axes, indexing="ij")
    noise = np.zeros((2, *x.shape), dtype=np.float32)
    return Space((slice(0, 61), slice(0, 61), slice(0, 61)), axes, x, y, z, noise, noise)


def at(space: Space, values: np.ndarray, x: int, y: int, z: int) -> float:
    return float(values[30 - x, y + 30, z + 30])


def test_a_sphere_has_true_distances(space: Space) -> None:
    distance = ellipsoid(space, (2.0, 0.0, 0.0), (10.0, 10.0, 10.0))
    assert at(space, distance, 2, 0, 15) == pytest.approx(5.0, abs=1e-4)
    assert at(space, distance, 12, 0, 0) == pytest.approx(0.0, abs=1e-4)
    assert at(space, distance, 5, 4, 0) == pytest.approx(-5.0, abs=1e-4)


def test_an_ellipsoid_ends_at_its_semi_axes(space: Space) -> None:
    distance = ellipsoid(space, (0.0, 0.0, 0.0), (20.0, 10.0, 5.0))
    for tip in ((20, 0, 0), (0, 10, 0), (0, 0, 5)):
        assert at(space, distance, *tip) == pytest.approx(0.0, abs=1e-4)
    assert at(space, distance, 0, 0, 7) == pytest.approx(2.0, abs=1e-4)
    assert at(space, distance, 19, 0, 0) < 0 < at(space, distance, 0, 11, 0)


def test_a_quarter_turn_about_z_takes_x_to_y(space: Space) -> None:
    turned = ellipsoid(space, (0.0, 0.0, 0.0), (20.0, 10.0, 5.0), (0.0, 0.0, 90.0))
    np.testing.assert_allclose(turned, ellipsoid(space, (0.0, 0.0, 0.0), (10.0, 20.0, 5.0)), atol=1e-3)


def test_turning_about_z_is_from_x_towards_y(space: Space) -> None:
    turned = ellipsoid(space, (0.0, 0.0, 0.0), (20.0, 5.0, 5.0), (0.0, 0.0, 45.0))
    assert at(space, turned, 10, 10, 0) < 0 < at(space, turned, 10, -10, 0)


def test_a_tube_is_a_cone_between_its_points(space: Space) -> None:
    distance = tube(space, [(0.0, 0.0, -20.0), (0.0, 0.0, 20.0)], [4.0, 8.0])
    assert at(space, distance, 6, 0, 0) == pytest.approx(0.0, abs=1e-4)  # the radius half way is 6
    assert at(space, distance, 7, 0, 10) == pytest.approx(0.0, abs=1e-4)
    assert at(space, distance, 0, 0, 0) == pytest.approx(-6.0, abs=1e-4)
    assert at(space, distance, 0, 0, 29) == pytest.approx(1.0, abs=1e-4)  # a round end


def test_a_tube_bends_at_each_point_and_takes_as_many_radii(space: Space) -> None:
    distance = tube(space, [(-20.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 20.0, 0.0)], [3.0, 3.0, 3.0])
    assert at(space, distance, -10, 0, 0) == pytest.approx(-3.0, abs=1e-4)
    assert at(space, distance, 0, 10, 0) == pytest.approx(-3.0, abs=1e-4)
    assert at(space, distance, 10, 10, 0) > 0
    with pytest.raises(ValueError, match="zip"):
        tube(space, [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0)], [3.0])


def test_a_crease_is_filled_by_a_quarter_of_the_radius() -> None:
    a, b = np.array([5.0, 0.0, -20.0], dtype=np.float32), np.array([5.0, 30.0, 0.0], dtype=np.float32)
    np.testing.assert_allclose(smooth_min(a, b, 8.0), [3.0, 0.0, -20.0])
    np.testing.assert_allclose(smooth_max(a, b, 8.0), [7.0, 30.0, 0.0])


def test_an_organ_grows_to_its_volume_round_what_limits_it(space: Space) -> None:
    ball = ellipsoid(space, (0.0, 0.0, 0.0), (5.0, 5.0, 5.0))
    nowhere_limited = np.full_like(ball, -100.0)
    grown = grow_to(ball, nowhere_limited, volume_voxels=4 / 3 * np.pi * 15**3)
    assert at(space, grown, 14, 0, 0) < 0 < at(space, grown, 16, 0, 0)
    upper_half = -space.z - 0.5
    half = grow_to(ball, upper_half, volume_voxels=2 / 3 * np.pi * 15**3)
    assert not (half < 0)[:, :, :30].any()
    assert np.count_nonzero(half < 0) == pytest.approx(2 / 3 * np.pi * 15**3, rel=0.12)  # the rounded edge is missing


def test_noise_is_smooth_and_standardised() -> None:
    axes = [np.arange(0, 300, 2, dtype=np.float32), np.arange(300, 0, -3, dtype=np.float32), np.arange(0, 250, 5.0)]
    field = smooth_noise(np.random.default_rng(3), [axis.astype(np.float32) for axis in axes], wavelength_mm=60)
    assert field.shape == (150, 100, 50)
    assert field.mean() == pytest.approx(0.0, abs=1e-3)
    assert field.std() == pytest.approx(1.0, abs=1e-3)
    neighbours = np.corrcoef(field[:-1].ravel(), field[1:].ravel())[0, 1]
    strangers = np.corrcoef(field[:-60].ravel(), field[60:].ravel())[0, 1]  # 120 mm apart: no common spline
    assert neighbours > 0.99
    assert abs(strangers) < 0.25


def test_a_mixture_of_unit_noise_is_unit_noise() -> None:
    fields = np.random.default_rng(0).normal(size=(4, 50, 50, 50)).astype(np.float32)
    assert mixture(np.random.default_rng(1), fields).std() == pytest.approx(1.0, abs=0.02)


def test_a_crop_is_a_view_with_its_place(space: Space) -> None:
    inner = space.crop((-2.0, 0.0, -2.0), (8.0, 10.0, 2.0))  # 14 mm of margin each way
    assert inner.where == (slice(9, 46), slice(17, 54), slice(15, 46))
    assert inner.x.base is space.x.base or np.shares_memory(inner.x, space.x)
    np.testing.assert_array_equal(inner.x, space.x[inner.where])
    again = inner.around((0.0, 0.0, 0.0), 0.0)
    np.testing.assert_array_equal(again.z, space.z[again.where])


def test_a_crop_outside_is_empty(space: Space) -> None:
    assert space.around((500.0, 0.0, 0.0), 10.0).x.size == 0
