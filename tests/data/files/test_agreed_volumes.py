"""Volumes that are read without a library: they are those of nibabel, at the place of ITK; in doubt there is none."""

import gzip
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
    assert found[0].dtype == np.float32
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
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_has_to_be_interpreted_is_left_to_the_libraries(change: str) -> None:
    assert agreed_volume(content()) is not None
    offset, new = CHANGES[change]
    changed = content()
    changed[offset : offset + len(new)] = new
    assert agreed_volume(changed) is None


@pytest.mark.parametrize("change", ["another spacing", "a negative length", "a sheared axis", "no number"])
def test_the_rows_alone_are_believed_only_at_right_angles_and_with_their_spacing(change: str) -> None:
    without_rotation = content()
    without_rotation[252:254] = bytes(2)
    assert agreed_volume(without_rotation) is not None
    offset, new = CHANGES[change]
    without_rotation[offset : offset + len(new)] = new
    assert agreed_volume(without_rotation) is None


def test_a_file_without_its_last_voxel_is_refused(tmp_path: Path) -> None:
    cut = content()[:-1]
    assert agreed_volume(cut) is None
    file = tmp_path / "cut.nii.gz"
    file.write_bytes(gzip.compress(cut))
    with pytest.raises(InvalidInputError, match="cannot be read"):
        open_voxels(file)
