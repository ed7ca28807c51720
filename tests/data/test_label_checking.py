import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from activelabel.data.grids import Grid
from activelabel.data.label_checking import check_label, label_file_of, write_label
from activelabel.data.labels.label_texts import parse_labels
from activelabel.errors import InvalidInputError

NAMES = ("liver", "spleen", "tumour")
# A quarter turn about z, anisotropic, far from the origin.
AFFINE = np.array([[0.0, -2.0, 0.0, 110.3], [1.5, 0.0, 0.0, -220.7], [0.0, 0.0, 3.0, 330.1], [0.0, 0.0, 0.0, 1.0]])
IMAGE = Grid((6, 5, 4), AFFINE)


def label_array() -> np.ndarray:
    array = np.zeros(IMAGE.shape, dtype=np.uint8)
    array[0, 0, 0], array[1, 2, 3], array[5, 4, 3] = 1, 2, 3
    return array


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def test_a_label_with_canonical_values_is_kept_as_it_is(tmp_path: Path) -> None:
    checked = check_label(save(tmp_path / "label.nii.gz", label_array()), IMAGE, NAMES)

    assert checked.array.dtype == np.uint8
    np.testing.assert_array_equal(checked.array, label_array())
    np.testing.assert_array_equal(checked.affine_ras, AFFINE)


def test_values_count_the_segments_also_the_empty_ones(tmp_path: Path) -> None:
    array = np.zeros(IMAGE.shape, dtype=np.uint8)
    array[0, 0, 0], array[1, 1, 1] = 1, 3  # the second segment, liver, is empty

    checked = check_label(save(tmp_path / "label.nii.gz", array), IMAGE, NAMES, ["tumour", "liver", "spleen"])

    assert checked.array[0, 0, 0] == 3
    assert checked.array[1, 1, 1] == 2
    assert np.count_nonzero(checked.array) == 2


@pytest.mark.parametrize(
    ("numbers", "drawn", "expected"),
    [
        ((2, 3, 5), (1, 2, 3), (3, 1, 2)),  # 1 is no number of a segment: Slicer's places
        ((2, 3, 5), (2, 3, 5), (3, 1, 2)),  # there is no fifth place: values
        ((2, 3, 5), (3, 5), (1, 2)),
        ((2, 3, 5), (1,), (3,)),
        ((1, 2, 70), (1, 2), (3, 1)),  # both ways mean the same
        ((1, 2, 4_000_000), (1, 2, 3), (3, 1, 2)),
        ((0, 1, 2), (1, 2, 3), (3, 1, 2)),
        ((2, 3, 5), (), ()),
    ],
)
def test_values_are_numbers_of_segments_or_places_in_their_list_as_what_is_drawn_tells(
    tmp_path: Path, numbers: tuple[int, ...], drawn: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    array = np.zeros(IMAGE.shape, dtype=np.uint16)
    array[: len(drawn), 1, 1] = drawn
    label = save(tmp_path / "label.nii.gz", array)
    checked = check_label(label, IMAGE, NAMES, ["tumour", "liver", "spleen"], numbers).array
    assert tuple(checked[: len(expected), 1, 1]) == expected
    assert np.count_nonzero(checked) == len(expected)


@pytest.mark.parametrize("drawn", [(2,), (3,), (2, 3)])
def test_values_that_fit_numbers_and_places_of_other_segments_are_refused(
    tmp_path: Path, drawn: tuple[int, ...]
) -> None:
    array = np.zeros(IMAGE.shape, dtype=np.uint8)
    array[: len(drawn), 1, 1] = drawn
    label = save(tmp_path / "label.nii.gz", array)
    by_number, by_its_place = {2: ("tumour", "liver"), 3: ("liver", "spleen")}[drawn[0]]
    with pytest.raises(
        InvalidInputError,
        match=rf"value {drawn[0]} is '{by_number}' by its idx in label_info, '{by_its_place}' by its place there, "
        r".*: number the segments 1 to 3 in their order, or leave every idx out",
    ):
        check_label(label, IMAGE, NAMES, ["tumour", "liver", "spleen"], (2, 3, 5))


def test_a_value_that_is_neither_number_nor_place_of_a_segment_is_refused(tmp_path: Path) -> None:
    label = save(tmp_path / "label.nii.gz", label_array() * 2)
    with pytest.raises(InvalidInputError, match="value 4 in 2 voxels has no name, expected 0 to 2"):
        check_label(label, IMAGE, NAMES, ["tumour", "liver"], (2, 5))


def test_an_empty_label_is_a_label(tmp_path: Path) -> None:
    empty = np.zeros(IMAGE.shape, dtype=np.uint8)

    assert not check_label(save(tmp_path / "label.nii.gz", empty), IMAGE, NAMES, []).array.any()


def test_whole_numbers_stored_as_floats_pass(tmp_path: Path) -> None:
    checked = check_label(save(tmp_path / "label.nii.gz", label_array().astype(np.float64)), IMAGE, NAMES)

    np.testing.assert_array_equal(checked.array, label_array())


def test_more_than_255_names_need_two_bytes(tmp_path: Path) -> None:
    array = np.zeros(IMAGE.shape, dtype=np.int16)
    array[0, 0, 0] = 300

    checked = check_label(save(tmp_path / "label.nii.gz", array), IMAGE, [f"part{index}" for index in range(1, 301)])

    assert checked.array.dtype == np.uint16
    assert checked.array[0, 0, 0] == 300


@pytest.mark.parametrize("name", ["label.nii.gz", "label.nrrd"])
def test_a_label_that_itk_wrote_passes(tmp_path: Path, name: str) -> None:
    save(tmp_path / "image.nii.gz", np.zeros(IMAGE.shape, dtype=np.float32))
    image = SimpleITK.ReadImage(str(tmp_path / "image.nii.gz"))
    label = SimpleITK.GetImageFromArray(label_array().transpose())
    label.CopyInformation(image)
    SimpleITK.WriteImage(label, str(tmp_path / name))

    np.testing.assert_array_equal(check_label(tmp_path / name, IMAGE, NAMES).array, label_array())


@pytest.mark.parametrize("orientation", ["RAS", "LPI", "SAL", "ARS", "PIR"])
def test_a_label_with_its_axes_in_another_order_is_put_back_exactly(tmp_path: Path, orientation: str) -> None:
    label = nibabel.Nifti1Image(label_array(), AFFINE)
    turned = label.as_reoriented(
        nibabel.orientations.ornt_transform(
            nibabel.io_orientation(AFFINE), nibabel.orientations.axcodes2ornt(tuple(orientation))
        )
    )
    nibabel.save(turned, tmp_path / "label.nii.gz")

    checked = check_label(tmp_path / "label.nii.gz", IMAGE, NAMES)

    np.testing.assert_array_equal(checked.array, label_array())
    np.testing.assert_array_equal(checked.affine_ras, AFFINE)


def test_another_grid_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "label.nii.gz", np.zeros((6, 5, 5), dtype=np.uint8))

    with pytest.raises(InvalidInputError, match=r"label.nii.gz: the label is 6x5x5 voxels, expected its image's 6x5x4"):
        check_label(path, IMAGE, NAMES)


def test_a_label_with_frames_is_called_a_label(tmp_path: Path) -> None:
    path = save(tmp_path / "label.nii.gz", np.zeros((6, 5, 4, 2), dtype=np.uint8))

    with pytest.raises(InvalidInputError, match=r"label.nii.gz: the label is 6x5x4x2 voxels, expected 3D"):
        check_label(path, IMAGE, NAMES)


def test_another_affine_is_refused_and_the_distance_named(tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[:3, 3] += (3.0, 4.0, 0.0)

    with pytest.raises(InvalidInputError, match="affine is not its image's, their corners lie up to 5 mm apart"):
        check_label(save(tmp_path / "label.nii.gz", label_array(), moved), IMAGE, NAMES)


def test_values_between_whole_numbers_are_refused(tmp_path: Path) -> None:
    array = label_array().astype(np.float32)
    array[2, 2, 2] = 0.5

    with pytest.raises(InvalidInputError, match=r"1 voxels are no whole numbers, for example 0.5"):
        check_label(save(tmp_path / "label.nii.gz", array), IMAGE, NAMES)


@pytest.mark.parametrize("factor", [0.9999999, 1.00001526, 1.0003])
def test_labels_that_were_stored_as_scaled_numbers_are_what_they_were(tmp_path: Path, factor: float) -> None:
    stored = label_array() * np.float32(factor)

    checked = check_label(save(tmp_path / "label.nii.gz", stored), IMAGE, NAMES)

    np.testing.assert_array_equal(checked.array, label_array())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            1.0015,
            r"for example 1.0015, expected label values within 0.001 .* was stored with a scale \(save it as integ",
        ),
        (0.5, r"the label was resampled \(use nearest neighbour only\), or stored with a scale"),
    ],
)
def test_a_fractional_label_value_is_shown_with_enough_digits_and_its_likely_cause(
    tmp_path: Path, value: float, expected: str
) -> None:
    array = label_array().astype(np.float32)
    array[2, 2, 2] = value

    with pytest.raises(InvalidInputError, match=expected):
        check_label(save(tmp_path / "label.nii.gz", array), IMAGE, NAMES)


@pytest.mark.parametrize("value", [4, -1])
def test_a_value_without_a_name_is_refused(tmp_path: Path, value: int) -> None:
    array = label_array().astype(np.int16)
    array[2, 2, 2] = value

    with pytest.raises(InvalidInputError, match=f"value {value} in 1 voxels has no name, expected 0 to 3"):
        check_label(save(tmp_path / "label.nii.gz", array), IMAGE, NAMES)


def test_a_value_beyond_the_segments_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "label.nii.gz", label_array())

    with pytest.raises(InvalidInputError, match=r"value [23] in [12] voxels has no name, expected 0 to 1"):
        check_label(path, IMAGE, NAMES, ["liver"])


def test_an_unknown_name_is_refused_and_the_known_ones_listed(tmp_path: Path) -> None:
    path = save(tmp_path / "label.nii.gz", label_array())

    with pytest.raises(InvalidInputError, match=r"'lever' is not a label of this app.*liver, spleen, tumour"):
        check_label(path, IMAGE, NAMES, ["liver", "lever", "tumour"])


def test_two_segments_with_one_name_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "label.nii.gz", label_array())

    with pytest.raises(InvalidInputError, match="two segments are called 'liver'"):
        check_label(path, IMAGE, NAMES, ["liver", "liver"])


@pytest.mark.parametrize(
    ("content", "expected"), [(b"", "the file is empty"), (b"not a label", "cannot be read as a 3D image")]
)
def test_a_file_that_is_no_image_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "label.nii.gz").write_bytes(content)

    with pytest.raises(InvalidInputError, match=expected):
        check_label(tmp_path / "label.nii.gz", IMAGE, NAMES)


@settings(deadline=None, max_examples=30)
@given(order=st.permutations(NAMES), used=st.integers(0, 3))
def test_a_value_always_ends_at_its_own_name(
    tmp_path_factory: pytest.TempPathFactory, order: list[str], used: int
) -> None:
    """Whatever the order of the segments, the voxel drawn in a segment gets the value of that segment's name."""
    segments = order[:used]
    array = np.zeros(IMAGE.shape, dtype=np.uint8)
    for position in range(used):
        array[position, 0, 0] = position + 1
    path = save(tmp_path_factory.mktemp("label") / "label.nii", array)

    checked = check_label(path, IMAGE, NAMES, segments)

    assert [checked.array[position, 0, 0] for position in range(used)] == [1 + NAMES.index(name) for name in segments]


def test_a_written_label_is_read_alike_by_nibabel_and_itk(tmp_path: Path) -> None:
    write_label(tmp_path / "label.nii.gz", label_array(), AFFINE)

    written = nibabel.load(tmp_path / "label.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), label_array())
    for affine, code in (written.get_sform(coded=True), written.get_qform(coded=True)):
        np.testing.assert_allclose(affine, AFFINE, atol=1e-4)
        assert code == 1
    itk = SimpleITK.ReadImage(str(tmp_path / "label.nii.gz"))
    # ITK is LPS: x and y of the RAS origin change their sign.
    np.testing.assert_allclose(itk.GetOrigin(), (-110.3, 220.7, 330.1), atol=1e-3)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(itk).transpose(), label_array())


def test_the_same_label_gives_the_same_bytes(tmp_path: Path) -> None:
    write_label(tmp_path / "one.nii.gz", label_array(), AFFINE)
    write_label(tmp_path / "two.nii.gz", label_array(), AFFINE)

    assert (tmp_path / "one.nii.gz").read_bytes() == (tmp_path / "two.nii.gz").read_bytes()


BRATS = parse_labels(["whole=1+2+3+4", "core=1+4", "enhancing=4"], "test")


def of_values(*values: int) -> np.ndarray:
    array = np.zeros(IMAGE.shape, dtype=np.uint8)
    array.reshape(-1)[: len(values)] = values
    return array


def test_values_of_a_map_are_kept_as_the_file_has_them(tmp_path: Path) -> None:
    array = of_values(0, 1, 2, 3, 4)
    checked = check_label(save(tmp_path / "label.nii.gz", array), IMAGE, BRATS)
    np.testing.assert_array_equal(checked.array, array)


def test_values_that_a_map_does_not_know_are_refused(tmp_path: Path) -> None:
    labels = parse_labels(["core=1+4", "ignore=6"], "test")
    with pytest.raises(InvalidInputError, match="value 2 in 2 voxels has no name, expected 0, 1, 4, 6: name"):
        check_label(save(tmp_path / "label.nii.gz", of_values(2, 1, 4, 6, 2)), IMAGE, labels)
    with pytest.raises(InvalidInputError, match="value 9 in 1 voxels has no name"):
        check_label(save(tmp_path / "label.nii.gz", of_values(9)), IMAGE, labels)


def test_the_segments_of_a_client_get_the_values_of_their_names(tmp_path: Path) -> None:
    file, names = save(tmp_path / "label.nii.gz", of_values(1, 2, 3, 4)), ["enhancing", "core", "whole", "whole (3)"]
    assert check_label(file, IMAGE, BRATS, names).array.reshape(-1)[:4].tolist() == [4, 1, 2, 3]


def test_a_structure_without_a_value_of_its_own_and_an_unused_value_are_not_drawn(tmp_path: Path) -> None:
    labels = parse_labels(["left=1", "right=3", "both=1+3"], "test")
    file = save(tmp_path / "label.nii.gz", of_values(2, 1))
    assert check_label(file, IMAGE, labels, ["left", "right", "both"]).array.reshape(-1)[:2].tolist() == [3, 1]
    with pytest.raises(InvalidInputError, match=r"'both' has no value of its own, .* \(1, 3\) too: draw left, right"):
        check_label(file, IMAGE, labels, ["left", "both", "right"])
    with pytest.raises(InvalidInputError, match="value 2 in 1 voxels has no name, expected 0, 1, 3"):
        check_label(file, IMAGE, labels, ["left", "unused 2", "right"])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_label_is_written_as_nibabel_writes_it(tmp_path: Path, kind: type[np.generic]) -> None:
    array = np.arange(5 * 6 * 7).reshape(5, 6, 7).astype(kind)
    write_label(tmp_path / "label.nii.gz", array, AFFINE)
    image = nibabel.Nifti1Image(array, AFFINE)
    image.header.set_xyzt_units("mm")
    image.set_qform(AFFINE, code="scanner")
    image.set_sform(AFFINE, code="scanner")
    assert gzip.decompress((tmp_path / "label.nii.gz").read_bytes()) == image.to_bytes()


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("names", [None, ["liver", "spleen", "tumour"], ["tumour", "liver", "spleen"]])
def test_a_label_of_any_type_keeps_the_order_of_its_file_in_memory_that_may_be_changed(
    tmp_path: Path, kind: str, names: list[str] | None
) -> None:
    image = nibabel.Nifti1Image(label_array().astype(kind), AFFINE, dtype=np.dtype(kind))
    nibabel.save(image, tmp_path / "label.nii.gz")

    array = check_label(tmp_path / "label.nii.gz", IMAGE, NAMES, names).array

    expected = np.array([0, 3, 1, 2], np.uint8)[label_array()] if names and names[0] == "tumour" else label_array()
    np.testing.assert_array_equal(array, expected)
    assert array.dtype == np.uint8
    assert array.flags.f_contiguous  # as NIfTI has it, so that it is written again without being turned
    assert array.flags.writeable


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.uint64])
def test_whole_numbers_without_a_name_are_refused_whatever_their_type(tmp_path: Path, kind: type) -> None:
    array = label_array().astype(kind)
    array[2, 2, 2] = 127
    nibabel.save(nibabel.Nifti1Image(array, AFFINE, dtype=kind), tmp_path / "label.nii.gz")

    with pytest.raises(InvalidInputError, match="value 127 in 1 voxels has no name, expected 0 to 3"):
        check_label(tmp_path / "label.nii.gz", IMAGE, NAMES)


def test_a_label_gives_the_same_file_whatever_its_order_in_memory() -> None:
    content = label_file_of(label_array(), AFFINE)

    assert label_file_of(np.asfortranarray(label_array()), AFFINE) == content
    np.testing.assert_array_equal(nibabel.Nifti1Image.from_bytes(gzip.decompress(content)).get_fdata(), label_array())
