import gzip
import os
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from activelabel.data.volumes import read_grid, read_volume
from activelabel.errors import InvalidInputError

AFFINE = np.array([[0.0, -2.0, 0.0, 10.0], [1.5, 0.0, 0.0, -20.0], [0.0, 0.0, 3.0, 30.0], [0.0, 0.0, 0.0, 1.0]])


@pytest.fixture
def voxels() -> np.ndarray:
    return np.arange(6 * 5 * 4, dtype=np.float32).reshape(6, 5, 4)


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


@pytest.mark.parametrize("name", ["case.nii", "case.nii.gz"])
def test_a_nifti_is_read_with_its_affine_and_spacing(tmp_path: Path, voxels: np.ndarray, name: str) -> None:
    volume = read_volume(save(tmp_path / name, voxels))

    assert volume.array.dtype == np.float32
    np.testing.assert_array_equal(volume.array, voxels)
    np.testing.assert_array_equal(volume.affine_ras, AFFINE)
    assert volume.spacing_mm == (1.5, 2.0, 3.0)
    assert volume.path == tmp_path / name


def test_slope_and_intercept_give_hounsfield_units(tmp_path: Path) -> None:
    stored = np.full((3, 3, 3), 524, dtype=np.int16)
    image = nibabel.Nifti1Image(stored, np.eye(4))
    raw = bytearray(image.to_bytes())
    # nibabel clears the slope of an array in memory, so it is set in the bytes: two floats from byte 112 on.
    raw[112:120] = np.array([2.0, -1024.0], dtype="<f4").tobytes()
    (tmp_path / "ct.nii").write_bytes(raw)

    assert read_volume(tmp_path / "ct.nii").array[0, 0, 0] == 24.0


@pytest.mark.parametrize("name", ["case.nrrd", "case.mha"])
def test_an_itk_file_lies_where_the_same_nifti_lies(tmp_path: Path, voxels: np.ndarray, name: str) -> None:
    save(tmp_path / "case.nii", voxels)
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(tmp_path / "case.nii")), str(tmp_path / name))

    volume = read_volume(tmp_path / name)

    np.testing.assert_array_equal(volume.array, voxels)
    np.testing.assert_allclose(volume.affine_ras, AFFINE, atol=1e-5)


def test_a_folder_with_one_dicom_series_is_a_volume(tmp_path: Path) -> None:
    write_dicom_series(tmp_path, series="1.2.3", slices=4)

    volume = read_volume(tmp_path)

    assert volume.array.shape == (6, 5, 4)
    # LPS (-10, 20, 30) is RAS (10, -20, 30); columns 0.5 mm, rows 0.7 mm, slices 2.5 mm apart.
    np.testing.assert_allclose(volume.affine_ras[:3, 3], [10, -20, 30], atol=1e-6)
    np.testing.assert_allclose(volume.spacing_mm, (0.5, 0.7, 2.5), atol=1e-6)
    np.testing.assert_array_equal(volume.array[2, 1], [-1000, -999, -998, -997])


def test_two_series_in_a_folder_are_refused(tmp_path: Path) -> None:
    write_dicom_series(tmp_path, series="1.2.3", slices=2)
    write_dicom_series(tmp_path, series="1.2.4", slices=2)

    with pytest.raises(InvalidInputError, match="holds 2 DICOM series, expected one"):
        read_volume(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="holds 0 DICOM series, expected one"):
        read_volume(tmp_path)


def test_one_time_point_is_3d(tmp_path: Path, voxels: np.ndarray) -> None:
    assert read_volume(save(tmp_path / "case.nii.gz", voxels[..., None])).array.shape == (6, 5, 4)


def test_a_constant_image_is_no_error(tmp_path: Path) -> None:
    assert read_volume(save(tmp_path / "case.nii.gz", np.full((3, 3, 3), 7.0))).array.max() == 7


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 4, 2), (1, 5, 4)])
def test_an_image_that_is_not_3d_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = save(tmp_path / "case.nii.gz", np.zeros(shape, dtype=np.float32))

    for read in (read_volume, read_grid):
        with pytest.raises(InvalidInputError, match=r"case.nii.gz: the image is [0-9x]+ voxels, expected 3D"):
            read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_image_with_a_voxel_that_is_no_number_is_refused(tmp_path: Path, voxels: np.ndarray, value: float) -> None:
    voxels[1, 1, 1] = value

    with pytest.raises(InvalidInputError, match="1 of 120 voxels are NaN or infinite"):
        read_volume(save(tmp_path / "case.nii.gz", voxels))


def test_an_affine_without_inverse_is_refused(tmp_path: Path, voxels: np.ndarray) -> None:
    affine = np.diag([1.0, 1.0, 0.0, 1.0])
    image = nibabel.Nifti1Image(voxels, np.eye(4))
    image.header.set_sform(affine, code=1)
    image.header.set_qform(None, code=0)
    image.header["srow_z"] = 0
    (tmp_path / "case.nii").write_bytes(image.header.binaryblock + b"\0" * 4 + voxels.tobytes(order="F"))

    axes = re.escape("(voxel axes (1, 0, 0), (0, 1, 0), (0, 0, 0))")
    with pytest.raises(InvalidInputError, match=f"the affine has no inverse {axes}"):
        read_volume(tmp_path / "case.nii")


def damaged_files(folder: Path, voxels: np.ndarray) -> dict[str, Path]:
    """Files that are not what their names say, by what is wrong with them."""
    whole = save(folder / "whole.nii.gz", np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32))
    plain = save(folder / "plain.nii", voxels)
    paths = {name: folder / f"{name}.nii.gz" for name in ("truncated", "stub", "text", "header", "flipped")}
    compressed = whole.read_bytes()
    paths["truncated"].write_bytes(compressed[: len(compressed) // 2])
    paths["stub"].write_bytes(compressed[:5])
    paths["text"].write_text("this is no image\n" * 40)
    paths["header"].write_bytes(gzip.compress(b"\0" * 400))
    paths["flipped"].write_bytes(
        compressed[:600] + bytes(255 - byte for byte in compressed[600:700]) + compressed[700:]
    )
    paths["short"] = folder / "short.nii"
    paths["short"].write_bytes(plain.read_bytes()[:-8])
    paths["nrrd"] = folder / "text.nrrd"
    paths["nrrd"].write_text("this is no image")
    return paths


@pytest.mark.parametrize("damage", ["truncated", "stub", "text", "header", "flipped", "short", "nrrd"])
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, voxels: np.ndarray, damage: str) -> None:
    path = damaged_files(tmp_path, voxels)[damage]

    with pytest.raises(InvalidInputError) as caught:
        read_volume(path)

    line = str(caught.value)
    assert line.startswith(f"{path.name}: cannot be read as a 3D image (")
    assert "\n" not in line
    assert str(tmp_path) not in line


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "case.nii.gz").touch()

    for read in (read_volume, read_grid):
        with pytest.raises(InvalidInputError, match=r"case.nii.gz: the file is empty"):
            read(tmp_path / "case.nii.gz")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    for read in (read_volume, read_grid):
        with pytest.raises(InvalidInputError, match=r"case.nii.gz: there is no such file"):
            read(tmp_path / "case.nii.gz")


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "case.png").write_bytes(b"x")

    with pytest.raises(InvalidInputError, match=r"case.png: expected a file that ends in .nii.gz, .nii, .nrrd, .mha"):
        read_volume(tmp_path / "case.png")


def test_colours_are_refused(tmp_path: Path) -> None:
    colours = np.zeros((3, 3, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(colours, np.eye(4)), tmp_path / "case.nii.gz")
    SimpleITK.WriteImage(SimpleITK.Image([3, 3, 3], SimpleITK.sitkVectorUInt8, 3), str(tmp_path / "case.nrrd"))

    for name in ("case.nii.gz", "case.nrrd"):
        with pytest.raises(InvalidInputError, match="expected one"):
            read_volume(tmp_path / name)


@pytest.mark.parametrize("name", ["case.nii.gz", "case.nrrd"])
def test_the_grid_from_the_header_is_that_of_the_volume(tmp_path: Path, voxels: np.ndarray, name: str) -> None:
    save(tmp_path / "case.nii.gz", voxels)
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(tmp_path / "case.nii.gz")), str(tmp_path / "case.nrrd"))

    grid, volume = read_grid(tmp_path / name), read_volume(tmp_path / name)

    assert grid.shape == volume.array.shape
    np.testing.assert_array_equal(grid.affine_ras, volume.affine_ras)


def write_dicom_series(folder: Path, series: str, slices: int) -> None:
    """CT slices of 5 rows and 6 columns; all voxels of slice k are k - 1000 HU."""
    for index in range(slices):
        image = SimpleITK.GetImageFromArray(np.full((1, 5, 6), index - 1000, dtype=np.int16))
        image.SetSpacing((0.5, 0.7, 2.5))
        tags = {
            "0008|0060": "CT",
            "0020|000e": series,
            "0020|000d": "1.2.9",
            "0008|0018": f"{series}.{index + 1}",
            "0020|0013": str(index + 1),
            "0020|0032": f"-10\\20\\{30 + 2.5 * index}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer = SimpleITK.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(folder / f"{series}-{index}.dcm"))
        writer.Execute(image)


def test_the_grid_of_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "image.nii"
    for depth in (4, 5):
        nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, depth), np.int16), np.eye(4)), path)
        assert read_grid(path).shape == (4, 4, depth)
    path.unlink()
    with pytest.raises(InvalidInputError, match="no such file"):
        read_grid(path)


def test_the_grid_of_a_file_that_was_changed_in_place_at_the_same_time_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "image.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), path)
    before = path.stat()
    assert read_grid(path).spacing_mm == (1, 1, 1)
    image = nibabel.load(path, mmap=False)
    image.header.set_sform(np.diag([1.0, 1.0, 2.0, 1.0]), code=1)
    image.header.set_qform(np.diag([1.0, 1.0, 2.0, 1.0]), code=1)
    with path.open("r+b") as file:
        file.write(image.header.binaryblock)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_ino == before.st_ino
    assert read_grid(path).spacing_mm == (1, 1, 2)
