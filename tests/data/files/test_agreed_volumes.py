"""Volumes that are read without a library: they are those of nibabel, at the place of ITK; in doubt there is none."""

import gzip
import itertools
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from activelabel.data.files.agreed_volumes import agreed_volume
from activelabel.data.files.opening import open_voxels
from activelabel.errors import InvalidInputError

SHAPE = (4, 3, 2)
VOXELS = np.arange(24).reshape(SHAPE)
VOXELS_OF_BYTES = VOXELS.astype(np.uint8)
AFFINE = np.array([[-0.7, 0, 0, 100], [0, -0.7, 0, 120], [0, 0, 2.5, -300], [0, 0, 0, 1.0]])
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def content(array: NDArray[np.generic] = VOXELS_OF_BYTES, affine: NDArray[np.float64] = AFFINE) -> bytearray:
    """A file of which both forms of the affine say the same."""
    image = nibabel.Nifti1Image(array, affine, dtype=array.dtype)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    return bytearray(image.to_bytes())


def place_of_itk(file: Path) -> NDArray[np.float64]:
    """Where ITK puts the voxels of a file."""
    image, affine = SimpleITK.ReadImage(str(file), imageIO="NiftiImageIO"), np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return LPS @ affine


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8", "i8", "u8"])
def test_the_values_of_a_plain_file_are_those_that_were_written(kind: str) -> None:
    found = agreed_volume(content(VOXELS.astype(kind)))
    assert found is not None
    assert found[0].dtype == np.dtype(kind)
    np.testing.assert_array_equal(found[0], VOXELS)
    np.testing.assert_array_equal(found[1], AFFINE.astype(np.float32))


def test_a_plain_file_lies_where_itk_puts_it_however_its_axes_lie(tmp_path: Path) -> None:
    rng, agreed = np.random.default_rng(0), 0
    for number in range(60):
        axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        affine = np.eye(4)
        affine[:3, :3] = axes * rng.uniform(0.3, 5, 3)
        affine[:3, 3] = rng.uniform(-300, 300, 3)
        file, packed = tmp_path / f"{number}.nii.gz", content(affine=affine)
        file.write_bytes(gzip.compress(packed))
        found = agreed_volume(packed)
        if found is not None:
            agreed += 1
            np.testing.assert_allclose(found[1], place_of_itk(file), atol=1e-3 * 0.3)
    assert agreed > 30


CHANGES = {  # offset, bytes
    "a scale": (112, np.float32(2).tobytes()),
    "an intercept": (112, np.array([1, 5], np.float32).tobytes()),
    "an intercept without a slope": (112, np.array([0, 5], np.float32).tobytes()),
    "an intercept beside no number": (112, np.array([np.nan, 5], np.float32).tobytes()),
    "no number as intercept": (112, np.array([1, np.nan], np.float32).tobytes()),
    "metres": (123, b"\1"),
    "no sform": (254, bytes(2)),
    "another spacing": (80, np.float32(0.8).tobytes()),
    "a negative length": (80, np.float32(-0.7).tobytes()),
    "another offset of the rotation": (268, np.float32(101).tobytes()),
    "an intent": (68, np.int16(1007).tobytes()),
    "complex numbers": (70, np.int16(32).tobytes()),
    "four dimensions": (40, np.array([4, 4, 3, 2, 1], np.int16).tobytes()),
    "an extension": (348, b"\1\0\0\0"),
    "voxels further behind": (108, np.float32(368).tobytes()),
    "another order of bytes": (0, (348).to_bytes(4, "big")),
    "a sheared axis": (284, np.float32(0.1).tobytes()),
    "no number": (292, np.float32(np.nan).tobytes()),
    **{
        f"a length of axis {axis} that is no number": (76 + 4 * axis, np.float32(np.nan).tobytes())
        for axis in (1, 2, 3)
    },
    **{f"an infinite length of axis {axis}": (76 + 4 * axis, np.float32(np.inf).tobytes()) for axis in (1, 2, 3)},
}
ON_ROWS = [
    "another spacing", "a negative length", "a sheared axis", "no number",
    *(change for change in CHANGES if "of axis" in change),
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_has_to_be_interpreted_is_left_to_the_libraries(change: str) -> None:
    assert agreed_volume(content()) is not None
    offset, new = CHANGES[change]
    changed = content()
    changed[offset : offset + len(new)] = new
    assert agreed_volume(changed) is None


@pytest.mark.parametrize("change", ON_ROWS)
def test_the_rows_alone_are_believed_only_at_right_angles_and_with_their_spacing(change: str) -> None:
    without_rotation = content()
    without_rotation[252:254] = bytes(2)
    assert agreed_volume(without_rotation) is not None
    offset, new = CHANGES[change]
    without_rotation[offset : offset + len(new)] = new
    assert agreed_volume(without_rotation) is None


def rows_alone(affine: NDArray[np.float64]) -> bytearray:
    """A file with an affine by three rows, of which the header gives the spacing, and without a rotation."""
    changed, rows = content(), affine.astype(np.float32)
    changed[80:92] = np.sqrt((rows[:3, :3].astype(float) ** 2).sum(axis=0)).astype(np.float32).tobytes()
    changed[252:254] = bytes(2)
    changed[280:328] = rows[:3].tobytes()
    return changed


def test_turned_columns_of_the_right_lengths_that_are_not_at_right_angles_are_left_to_the_libraries() -> None:
    angle, skewed = np.deg2rad(10), AFFINE.copy()
    assert agreed_volume(rows_alone(skewed)) is not None
    skewed[:2, 0] = -0.7 * np.cos(angle), -0.7 * np.sin(angle)
    np.testing.assert_allclose(np.linalg.norm(skewed[:3, :3], axis=0), (0.7, 0.7, 2.5))
    assert agreed_volume(rows_alone(skewed)) is None


def test_voxels_too_small_to_be_turned_back_are_left_to_the_libraries() -> None:
    assert agreed_volume(rows_alone(np.diag([0.002, 0.002, 0.002, 1]))) is not None
    assert agreed_volume(rows_alone(np.diag([0.0005, 0.0005, 0.0005, 1]))) is None


FIELDS = {  # offset, form, what may stand there
    "dim": (40, "5h", [(3, 4, 3, 2, 0), (3, 4, 3, 2, 7), (3, 4, 3, 2, -1), (4, 4, 3, 2, 1), (2, 4, 6, 1, 1)]),
    "intent": (68, "h", [(0,), (2,), (1002,)]),
    "qfac": (76, "f", [(-1,), (1,), (0,), (0.5,), (np.nan,)]),
    "spacing": (80, "3f", [(0.7, 0.7, 2.5), (-0.7, 0.7, 2.5), (0.7, np.nan, 2.5), (0.7, 0.7, np.inf), (0, 0, 0)]),
    "further lengths": (92, "4f", [(0, 0, 0, 0), (np.nan, -1, 3, np.inf)]),
    "start": (108, "f", [(352,), (0,), (351,), (368,), (np.nan,)]),
    "scale": (112, "2f", list(itertools.product((0, 1, 2, np.nan, np.inf), (0, 5, np.nan, np.inf)))),
    "units": (123, "B", [(number,) for number in (0, 1, 2, 3, 4, 8, 10, 11, 26, 255)]),
    "codes": (252, "2h", list(itertools.product((0, 1, 2, 4, 5, -1), (0, 1, 3, 4, 5, -1)))),
    "rotation": (256, "3f", [(0, 0, 1), (0, 0, 0), (9, 9, 9), (np.nan, 0, 0), (0.5, 0.5, 0.5)]),
    "offset": (268, "3f", [(100, 120, -300), (0, 0, 0), (np.nan, 1, 1), (100, 120, np.inf)]),
    "row": (280, "4f", [(-0.7, 0, 0, 100), (0.7, 0, 0, 100), (0, 0, 0, 0), (np.nan, 0, 0, 1), (-0.7, 0.1, 0, 100)]),
}  # fmt: skip


def test_whatever_stands_in_the_header_a_volume_is_that_of_nibabel_and_itk_or_none(tmp_path: Path) -> None:
    rng, agreed = np.random.default_rng(7), set[str]()
    for number in range(600):
        kind = rng.choice(["u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8", "i8", "u8"])
        order = ">" if rng.random() < 0.1 else "<"
        changed = content(VOXELS.astype(kind)) if order == "<" else big_endian(VOXELS.astype(kind))
        names = rng.choice(list(FIELDS), rng.integers(4), replace=False)
        for name in names:
            offset, form, values = FIELDS[name]
            struct.pack_into(f"{order}{form}", changed, offset, *values[rng.integers(len(values))])
        found = agreed_volume(changed)
        if found is None:
            continue
        agreed.add(kind)
        agreed.update(names)
        file = tmp_path / f"{number}.nii"
        file.write_bytes(changed)
        image, by_itk = nibabel.load(file), SimpleITK.ReadImage(str(file), imageIO="NiftiImageIO")
        for array in (image.get_fdata(dtype=np.float32), SimpleITK.GetArrayFromImage(by_itk).T):
            np.testing.assert_array_equal(found[0], array, err_msg=str(names))
        for affine in (image.affine, place_of_itk(file)):
            np.testing.assert_allclose(found[1], affine, atol=1e-3 * 0.7, err_msg=str(names))
    assert agreed >= {"u1", "i8", "u8", "f8", "dim", "qfac", "further lengths", "scale", "units", "codes", "rotation"}


def big_endian(array: NDArray[np.generic]) -> bytearray:
    """The same file as `content` in the other order of bytes."""
    image = nibabel.Nifti1Image.from_bytes(bytes(content(array)))
    swapped = nibabel.Nifti1Image(array.astype(array.dtype.newbyteorder(">")), AFFINE, image.header.as_byteswapped(">"))
    return bytearray(swapped.to_bytes())


def test_a_file_without_its_last_voxel_is_refused(tmp_path: Path) -> None:
    cut = content()[:-1]
    assert agreed_volume(cut) is None
    file = tmp_path / "cut.nii.gz"
    file.write_bytes(gzip.compress(cut))
    with pytest.raises(InvalidInputError, match="cannot be read"):
        open_voxels(file)
