"""The annotated slices of the prepared label and their content: each slice's label is its own index."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from orientations import affines

from activelabel.data.preprocessing import PreparedImage, prepare_image
from activelabel.data.slice_resampling import prepare_annotated_slices
from activelabel.data.volumes import Volume
from activelabel.recipes import PreprocessingSettings

SHAPE = (9, 8, 10)


def index_label(axis: int) -> np.ndarray:
    """Return a label whose value is the slice's own index plus one."""
    along = np.arange(1, SHAPE[axis] + 1, dtype=np.uint8)
    return np.broadcast_to(np.expand_dims(along, [other for other in range(3) if other != axis]), SHAPE).copy()


def prepared_pair(
    affine: np.ndarray, slices: set[int], axis: int, choice: PreprocessingSettings
) -> tuple[PreparedImage, np.ndarray, np.ndarray]:
    """Return the prepared image, its label and its annotated voxels."""
    image = prepare_image(Volume(np.zeros(SHAPE, dtype=np.float32), affine, __file__), choice)
    label, annotated = prepare_annotated_slices(index_label(axis), slices, axis, image, choice)
    assert label.shape == annotated.shape == image.tensor.shape
    return image, label[0].numpy(), annotated[0].numpy()


@given(
    affine=affines,
    slices=st.sets(st.integers(0, 7), min_size=1),
    axis=st.integers(0, 2),
    plane=st.sampled_from(["acquisition", "sagittal", "coronal", "axial"]),
    last=st.booleans(),
)
def test_without_resampling_exactly_the_asked_slices_are_annotated(
    affine: np.ndarray, slices: set[int], axis: int, plane: str, last: bool
) -> None:
    choice = PreprocessingSettings(slice_plane=plane, slices_last=last)
    image, label, annotated = prepared_pair(affine, slices, axis, choice)

    for index in np.ndindex(*annotated.shape):
        own = np.rint(np.linalg.solve(affine, image.grid.affine_ras @ [*index, 1]))[axis]
        assert annotated[index] == (own in slices)
        assert not annotated[index] or label[index] == own + 1


@given(
    affine=affines,
    slices=st.sets(st.integers(0, 7), min_size=1),
    axis=st.integers(0, 2),
    spacing=st.tuples(*[st.floats(0.5, 6.0)] * 3),
    last=st.booleans(),
)
def test_resampled_labels_come_from_annotated_slices_near_by_and_none_is_lost(
    affine: np.ndarray, slices: set[int], axis: int, spacing: tuple[float, ...], last: bool
) -> None:
    choice = PreprocessingSettings(spacing_mm=spacing, slices_last=last)
    image, label, annotated = prepared_pair(affine, slices, axis, choice)
    along = int(np.abs(np.linalg.solve(affine, image.grid.affine_ras)[axis, :3]).argmax())
    # Steps of the prepared image along the axis, in slices of the original.
    step = image.grid.spacing_mm[along] / image.original.spacing_mm[axis]
    assume(image.grid.shape[along] > 1)

    others = tuple(other for other in range(3) if other != along)
    assert (annotated.any(axis=others) == annotated.all(axis=others)).all()
    learnt = {}
    for position in np.flatnonzero(annotated.any(axis=others)):
        index = [0, 0, 0]
        index[along] = position
        own = np.linalg.solve(affine, image.grid.affine_ras @ [*index, 1])[axis]
        value = int(label[tuple(index)]) - 1
        assert value in slices
        # Half a step of the coarser of both grids; the ends of the image are as far as its border voxel reaches.
        assert abs(np.clip(own, 0, SHAPE[axis] - 1) - value) <= max(step, 1) / 2 + 0.01
        learnt[value] = position
    lost = slices - learnt.keys()
    # A slice may be replaced by another annotated one that its nearest prepared slice shows.
    assert all(any(abs(slice_ - other) <= max(step, 1) for other in learnt) for slice_ in lost)
    assert step > 1 or not lost


@pytest.mark.parametrize("index", range(10))
def test_thin_slices_that_the_coarser_grid_passes_over_are_still_learnt(index: int) -> None:
    """Ten slices of 1 mm become four of 3 mm, centred between them: each of the ten alone teaches one of the four."""
    choice = PreprocessingSettings(spacing_mm=(1.0, 1.0, 3.0))

    image, label, annotated = prepared_pair(np.eye(4), {index}, 2, choice)

    assert image.grid.shape == (9, 8, 4)
    assert annotated.any(axis=(0, 1)).sum() == 1
    assert set(label[annotated]) == {index + 1}
