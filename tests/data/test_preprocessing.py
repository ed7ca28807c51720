from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from orientations import affines

from activelabel.data.grids import Grid
from activelabel.data.preprocessing import (
    is_ct,
    prepare_image,
    prepare_label,
    restore_maps,
    restore_most_probable,
)
from activelabel.data.volumes import Volume
from activelabel.errors import InvalidInputError
from activelabel.recipes import PreprocessingSettings

RAS = PreprocessingSettings(orientation="RAS", intensity="window", window_hu=(0.0, 1000.0))


def volume(array: np.ndarray, affine: np.ndarray | None = None) -> Volume:
    return Volume(array.astype(np.float32), np.eye(4) if affine is None else affine, __file__)


shapes = st.tuples(*[st.integers(3, 9)] * 3)


def one_hot(label: torch.Tensor) -> torch.Tensor:
    """Return a label (1, *S) as certain probabilities (C, *S)."""
    return torch.nn.functional.one_hot(label[0].long()).movedim(-1, 0).float()


def ramp_along_world(grid: Grid, direction: tuple[float, float, float]) -> np.ndarray:
    """Return an image whose value is a linear function of the position in millimetres, on any grid."""
    indices = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    return (indices @ grid.affine_ras[:3, :3].T + grid.affine_ras[:3, 3]) @ np.array(direction)


def test_a_window_maps_its_ends_to_0_and_1() -> None:
    hu = np.array([-1000.0, -160.0, 40.0, 240.0, 3000.0, 40.0, 40.0, 40.0]).reshape(2, 2, 2)

    prepared = prepare_image(volume(hu), PreprocessingSettings(intensity="window", window_hu=(-160.0, 240.0)))

    np.testing.assert_allclose(prepared.tensor.flatten()[:5], [0, 0, 0.5, 1, 1])


def test_z_score_leaves_the_empty_background_out() -> None:
    values = np.array([0.0, 0.0, 0.0, 0.0, 10.0, 20.0, 10.0, 20.0]).reshape(2, 2, 2)

    prepared = prepare_image(volume(values), PreprocessingSettings(intensity="zscore"))

    # Mean 15 and standard deviation 5 over the four voxels that are not 0.
    np.testing.assert_allclose(prepared.tensor.flatten(), [0, 0, 0, 0, -1, 1, -1, 1])


def test_z_score_of_a_constant_image_is_0() -> None:
    prepared = prepare_image(volume(np.full((3, 3, 3), 5.0)), PreprocessingSettings(intensity="zscore"))

    assert torch.equal(prepared.tensor, torch.zeros(1, 3, 3, 3))


@pytest.mark.parametrize(("darkest", "ct"), [(-1000.0, True), (-200.0, True), (-199.0, False), (0.0, False)])
def test_auto_takes_an_image_with_air_or_lung_for_ct(darkest: float, ct: bool) -> None:
    hu = np.full((3, 3, 3), 40.0)
    hu[0, 0, 0] = darkest
    auto = prepare_image(volume(hu), PreprocessingSettings(intensity="auto"))
    chosen = prepare_image(volume(hu), PreprocessingSettings(intensity="window" if ct else "zscore"))

    assert is_ct(torch.from_numpy(hu)) == ct
    assert torch.equal(auto.tensor, chosen.tensor)


def test_the_image_that_was_read_is_not_changed() -> None:
    array = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    before = array.copy()

    for intensity in ("window", "zscore"):
        prepare_image(Volume(array, np.eye(4), __file__), PreprocessingSettings(intensity=intensity))

    np.testing.assert_array_equal(array, before)


@settings(deadline=None, max_examples=50)
@given(affine=affines, shape=shapes, orientation=st.sampled_from(["RAS", "LPS"]))
def test_axes_run_as_asked_and_each_voxel_keeps_its_place(
    affine: np.ndarray, shape: tuple[int, int, int], orientation: str
) -> None:
    original = Grid(shape, affine)
    image = volume(ramp_along_world(original, (1.0, 0.1, 0.01)) + 500, affine)

    prepared = prepare_image(image, RAS.model_copy(update={"orientation": orientation}))

    signs = (1, 1, 1) if orientation == "RAS" else (-1, -1, 1)
    assert (np.sign(np.diag(prepared.grid.affine_ras)[:3]) == signs).all()
    assert np.count_nonzero(prepared.grid.affine_ras[:3, :3]) == 3
    expected = np.clip((ramp_along_world(prepared.grid, (1.0, 0.1, 0.01)) + 500) / 1000, 0, 1)
    np.testing.assert_allclose(prepared.tensor[0].numpy(), expected, atol=1e-5)


planes = st.sampled_from(["acquisition", "sagittal", "coronal", "axial"])


@given(affine=affines, shape=shapes, plane=planes, orientation=st.sampled_from(["RAS", "LPS"]))
def test_slices_run_along_the_last_axis_where_that_is_asked_for(
    affine: np.ndarray, shape: tuple[int, int, int], plane: str, orientation: str
) -> None:
    choice = RAS.model_copy(update={"orientation": orientation, "slice_plane": plane, "slices_last": True})
    original = Grid(shape, affine)
    image = volume(ramp_along_world(original, (1.0, 0.1, 0.01)) + 500, affine)

    prepared = prepare_image(image, choice)

    across = np.abs(prepared.grid.affine_ras[:3, 2]).argmax()
    if plane == "acquisition":
        assert prepared.grid.spacing_mm[2] == pytest.approx(max(original.spacing_mm), abs=1e-3)
    else:
        assert across == ["sagittal", "coronal", "axial"].index(plane)
    signs = (1, 1, 1) if orientation == "RAS" else (-1, -1, 1)
    directions = np.sign(prepared.grid.affine_ras[:3, :3].sum(axis=1))
    assert (directions == signs).all()
    expected = np.clip((ramp_along_world(prepared.grid, (1.0, 0.1, 0.01)) + 500) / 1000, 0, 1)
    np.testing.assert_allclose(prepared.tensor[0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("plane", "axes"),
    [("axial", [0, 1, 2]), ("coronal", [0, 2, 1]), ("sagittal", [1, 2, 0])],
)
def test_the_other_axes_keep_their_order(plane: str, axes: list[int]) -> None:
    image = volume(np.zeros((3, 4, 5)))

    prepared = prepare_image(image, PreprocessingSettings(slice_plane=plane, slices_last=True))

    assert prepared.grid.shape == tuple((3, 4, 5)[axis] for axis in axes)


@given(affine=affines, plane=planes, spacing=st.tuples(*[st.floats(0.8, 4.0)] * 3))
def test_with_slices_last_the_last_spacing_is_that_across_them(
    affine: np.ndarray, plane: str, spacing: tuple[float, float, float]
) -> None:
    choice = RAS.model_copy(update={"slice_plane": plane, "slices_last": True, "spacing_mm": spacing})
    original = Grid((13, 14, 15), affine)
    image = volume(ramp_along_world(original, (0.7, 0.2, 0.4)) + 500, affine)

    prepared = prepare_image(image, choice)
    restored = restore_maps(prepared.tensor, prepared)

    np.testing.assert_allclose(prepared.grid.spacing_mm, spacing, rtol=2e-3)
    in_order = prepare_image(image, choice.model_copy(update={"spacing_mm": None})).grid
    assert (np.abs(in_order.affine_ras[:3, 2]) > 0).tolist() == (np.abs(prepared.grid.affine_ras[:3, 2]) > 0).tolist()
    expected = np.clip((ramp_along_world(original, (0.7, 0.2, 0.4)) + 500) / 1000, 0, 1)
    margin = [int(np.ceil(max(spacing) / step)) + 1 for step in original.spacing_mm]
    inside = tuple(slice(width, size - width) for width, size in zip(margin, original.shape, strict=True))
    np.testing.assert_allclose(restored[0].numpy()[inside], expected[inside], atol=2e-4)


@settings(deadline=None, max_examples=50)
@given(
    affine=affines, shape=shapes, orientation=st.sampled_from(["RAS", "LPS"]), plane=planes, slices_last=st.booleans()
)
def test_without_resampling_the_way_back_is_exact(
    affine: np.ndarray, shape: tuple[int, int, int], orientation: str, plane: str, slices_last: bool
) -> None:
    update = {"orientation": orientation, "slice_plane": plane, "slices_last": slices_last}
    choice = RAS.model_copy(update=update)
    generator = np.random.default_rng(0)
    image = volume(generator.uniform(0, 1000, shape), affine)
    label = generator.integers(0, 4, shape).astype(np.uint8)

    prepared = prepare_image(image, choice)
    prepared_label = prepare_label(label, image.grid, choice)

    np.testing.assert_array_equal(restore_maps(prepared.tensor, prepared)[0].numpy(), image.array / np.float32(1000))
    np.testing.assert_array_equal(restore_most_probable(one_hot(prepared_label), prepared), label)


@settings(deadline=None, max_examples=25)
@given(affine=affines, spacing=st.tuples(*[st.floats(0.8, 4.0)] * 3))
def test_resampled_and_restored_maps_lie_where_they_lay(
    affine: np.ndarray, spacing: tuple[float, float, float]
) -> None:
    """Trilinear interpolation keeps a linear function of the position inside the field of view."""
    original = Grid((13, 14, 15), affine)
    image = volume(ramp_along_world(original, (0.7, 0.2, 0.4)) + 500, affine)

    prepared = prepare_image(image, RAS.model_copy(update={"spacing_mm": spacing}))
    restored = restore_maps(prepared.tensor, prepared)

    # A spacing within a thousandth of the image's own counts as equal.
    np.testing.assert_allclose(prepared.grid.spacing_mm, spacing, rtol=2e-3)
    assert restored.shape == (1, *original.shape)
    expected = (ramp_along_world(original, (0.7, 0.2, 0.4)) + 500) / 1000
    # Within half a prepared and half an original voxel of the border there are no neighbours to interpolate between.
    margin = [int(np.ceil(max(spacing) / step)) + 1 for step in original.spacing_mm]
    inside = tuple(slice(width, size - width) for width, size in zip(margin, original.shape, strict=True))
    np.testing.assert_allclose(restored[0].numpy()[inside], np.clip(expected, 0, 1)[inside], atol=2e-4)


class OnFullGpu:
    """Maps on a GPU without room for anything else."""

    device = torch.device("cuda")

    def __init__(self, maps: torch.Tensor, error: Exception) -> None:
        self._maps, self._error = maps, error

    def float(self) -> torch.Tensor:
        raise self._error

    def cpu(self) -> torch.Tensor:
        return self._maps


def test_maps_for_which_a_gpu_has_no_room_are_resampled_on_the_processor(caplog: pytest.LogCaptureFixture) -> None:
    image = volume(np.random.default_rng(0).uniform(0, 1000, (6, 5, 4)))
    prepared = prepare_image(image, RAS.model_copy(update={"spacing_mm": (2.0, 2.0, 2.0)}))
    full: Any = OnFullGpu(prepared.tensor, RuntimeError("CUDA error: out of memory"))
    assert torch.equal(restore_maps(full, prepared), restore_maps(prepared.tensor, prepared))
    assert "cuda has too little memory to resample maps to (6, 5, 4): the CPU does" in caplog.text
    broken: Any = OnFullGpu(prepared.tensor, RuntimeError("an illegal memory access was encountered"))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        restore_maps(broken, prepared)


@settings(deadline=None, max_examples=25)
@given(affine=affines, spacing=st.tuples(*[st.floats(0.8, 4.0)] * 3), orientation=st.sampled_from(["RAS", "LPS"]))
def test_restored_labels_have_the_original_shape_and_no_new_values(
    affine: np.ndarray, spacing: tuple[float, float, float], orientation: str
) -> None:
    choice = PreprocessingSettings(orientation=orientation, spacing_mm=spacing)
    image = volume(np.random.default_rng(0).normal(size=(7, 8, 9)), affine)
    label = np.zeros(image.array.shape, dtype=np.uint8)
    label[2:5, 3:6, 4:7] = 7
    prepared = prepare_image(image, choice)

    prepared_label = prepare_label(label, image.grid, choice)
    restored = restore_most_probable(one_hot(prepared_label), prepared)

    assert prepared_label.shape == prepared.tensor.shape
    assert restored.shape == label.shape
    assert set(np.unique(restored)) <= {0, 7}


def test_an_oblique_block_comes_back_where_it_was() -> None:
    turn = np.radians(20)
    affine = np.array(
        [[np.cos(turn), -np.sin(turn), 0, 5], [np.sin(turn), np.cos(turn), 0, -9], [0, 0, 2.5, 3], [0, 0, 0, 1.0]]
    )
    label = np.zeros((24, 22, 12), dtype=np.uint8)
    label[6:16, 5:15, 3:9] = 2
    image = volume(label * 100.0, affine)
    choice = PreprocessingSettings(spacing_mm=(0.8, 0.8, 1.0), intensity="zscore")
    prepared = prepare_image(image, choice)

    restored = restore_most_probable(one_hot(prepare_label(label, image.grid, choice)), prepared)

    wrong = restored != label
    surface = scipy.ndimage.binary_dilation(label > 0) ^ scipy.ndimage.binary_erosion(label > 0)
    assert not wrong[~surface].any()
    assert wrong.sum() < 0.02 * (label > 0).sum()


def test_restored_probabilities_still_sum_to_1() -> None:
    affine = np.diag([1.5, 1.0, 4.0, 1.0])
    image = volume(np.random.default_rng(0).normal(size=(9, 8, 7)), affine)
    prepared = prepare_image(image, PreprocessingSettings(spacing_mm=(1.0, 2.0, 1.7)))
    probabilities = torch.softmax(torch.randn(3, *prepared.tensor.shape[1:]), dim=0)

    restored = restore_maps(probabilities, prepared)

    assert restored.shape == (3, 9, 8, 7)
    np.testing.assert_allclose(restored.sum(dim=0).numpy(), 1, atol=1e-5)


def test_values_above_255_keep_two_bytes() -> None:
    label = np.full((3, 3, 3), 300, dtype=np.uint16)
    image = volume(np.zeros((3, 3, 3)))

    prepared_label = prepare_label(label, image.grid, RAS)
    restored = restore_most_probable(one_hot(prepared_label), prepare_image(image, RAS))

    assert prepared_label.dtype == torch.int32
    assert restored.dtype == np.uint16
    np.testing.assert_array_equal(restored, label)


def test_of_equal_probabilities_the_first_class_is_taken() -> None:
    prepared = prepare_image(volume(np.zeros((3, 3, 3))), RAS)

    restored = restore_most_probable(torch.full((3, 3, 3, 3), 1 / 3), prepared)

    assert restored.dtype == np.uint8
    assert not restored.any()


def ball_image() -> np.ndarray:
    """Return a bright ball in noise with values of 0 to 3000, as MR images have them."""
    grid = np.indices((24, 22, 20)).transpose(1, 2, 3, 0)
    ball = np.linalg.norm(grid - (12, 11, 10), axis=-1) < 5
    return (np.random.default_rng(0).normal(500, 60, ball.shape) + 900 * ball).clip(0, 3000)


@pytest.mark.parametrize("extreme", [-201.0, -1e6, 1e6])
@pytest.mark.parametrize("intensity", ["auto", "zscore"])
def test_a_single_extreme_voxel_hardly_changes_what_the_network_sees(extreme: float, intensity: str) -> None:
    untouched = ball_image()
    touched = untouched.copy()
    touched[3, 3, 3] = extreme
    choice = PreprocessingSettings(intensity=intensity)
    first, second = (prepare_image(volume(image), choice).tensor.flatten() for image in (untouched, touched))

    assert np.corrcoef(first, second)[0, 1] > 0.99


def test_voxels_far_beyond_the_usual_range_are_taken_for_the_end_of_it() -> None:
    """8000 voxels from 1 to 2 have percentiles 0.1 and 99.9 of about 1 and 2, so values are clipped at 0.5 and 2.5."""
    array = np.linspace(1, 2, 8000).reshape(20, 20, 20)
    array[0, 0, 0], array[19, 19, 19] = -50, 2.4
    prepared = prepare_image(volume(array), PreprocessingSettings(intensity="zscore")).tensor[0]
    first, last = prepared[5, 0, 0], prepared[15, 0, 0]
    step = (last - first) / (array[15, 0, 0] - array[5, 0, 0])

    back = (prepared - first) / step + array[5, 0, 0]
    assert back[19, 19, 19] == pytest.approx(2.4, abs=1e-3)
    assert back[0, 0, 0] == pytest.approx(0.5, abs=0.01)


def test_an_image_whose_spacing_would_make_it_huge_is_refused_before_anything_is_allocated() -> None:
    """100 voxels of 1000 mm a side, at 1 mm: 10^15 voxels, four million GB."""
    image = volume(np.zeros((100, 100, 100)), np.diag([1000.0, 1000.0, 1000.0, 1.0]))
    choice = PreprocessingSettings(spacing_mm=(1.0, 1.0, 1.0))

    with pytest.raises(InvalidInputError, match=r"are 1000 x 1000 x 1000 mm.*1e\+15 voxels, expected at most"):
        prepare_image(image, choice)
    with pytest.raises(InvalidInputError, match="check the spacing in its header"):
        prepare_label(np.zeros((100, 100, 100), np.uint8), image.grid, choice)


def test_an_image_in_metres_is_refused_too() -> None:
    image = volume(np.zeros((100, 100, 100)), np.diag([0.001, 0.001, 0.001, 1.0]))

    with pytest.raises(InvalidInputError, match=r"0.001 x 0.001 x 0.001 mm, so that resampled it would be thinner"):
        prepare_image(image, PreprocessingSettings(spacing_mm=(1.0, 1.0, 1.0)))


def test_the_size_goes_by_the_spacing_of_each_axis_whatever_their_order() -> None:
    """Axes run along S, R and A: 10 slices of 4 mm become 2 mm, and 20 by 30 voxels of 1 mm become 0.5 mm."""
    affine = np.array([[0, 1.0, 0, 0], [0, 0, 1.0, 0], [4.0, 0, 0, 0], [0, 0, 0, 1]])
    image = volume(np.zeros((10, 20, 30)), affine)

    prepared = prepare_image(image, PreprocessingSettings(spacing_mm=(0.5, 0.5, 2.0)))

    assert np.allclose(prepared.grid.shape, (40, 60, 20), atol=2)
