import datetime
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from activelabel.data.dicom.stack import unevenness_mm
from activelabel.data.dicom_objects.series import read_series, write_volume
from activelabel.data.volumes import Volume
from activelabel.errors import InvalidInputError
from local_pacs.ct_series import ct_series

NORMAL = np.array([0.0, 0, 1])


def oblique_affine_ras() -> np.ndarray:
    """Anisotropic voxels, turned by 20 degrees about the patient's long axis and tipped by 10 about the left-right."""
    turn, tip = np.deg2rad([20, 10])
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(tip), -np.sin(tip)], [0, np.sin(tip), np.cos(tip)]])
    affine = np.eye(4)
    affine[:3, :3] = about_x @ about_z @ np.diag([-0.8, -0.9, 3.0])
    affine[:3, 3] = [12.5, -40.25, 300.0]
    return affine


def series_of(folder: Path, affine_ras: np.ndarray) -> tuple[Path, np.ndarray]:
    """Write a series of 7 x 6 x 5 voxels of different whole Hounsfield units, and return its folder and values."""
    voxels_hu = np.arange(7 * 6 * 5, dtype=np.int16).reshape(7, 6, 5) - 100
    nibabel.save(nibabel.Nifti1Image(voxels_hu, affine_ras), folder / "image.nii.gz")
    series = folder / "series"
    series.mkdir()
    for index, dataset in enumerate(ct_series(folder / "image.nii.gz", "case", datetime.datetime(2026, 1, 2, 3, 4))):
        # File names do not follow the order of slices.
        dataset.save_as(series / f"{9 - index}.dcm", write_like_original=False)
    return series, voxels_hu


def change(file: Path, **values: object) -> None:
    dataset = pydicom.dcmread(file)
    for name, value in values.items():
        setattr(dataset, name, value)
    dataset.save_as(file)


@pytest.mark.parametrize("affine_ras", [np.diag([-1.5, -1.5, 2.0, 1.0]), oblique_affine_ras()])
def test_a_series_is_the_volume_it_was_made_from(tmp_path: Path, affine_ras: np.ndarray) -> None:
    folder, voxels_hu = series_of(tmp_path, affine_ras)
    volume = read_series(folder)
    np.testing.assert_array_equal(volume.array, voxels_hu)
    np.testing.assert_allclose(volume.affine_ras, affine_ras, atol=1e-4)


def test_a_missing_slice_is_noticed(tmp_path: Path) -> None:
    folder, _ = series_of(tmp_path, np.diag([-1.5, -1.5, 2.0, 1.0]))
    (folder / "8.dcm").unlink()
    # Left are 0, 4, 6, 8 mm; even spacing would be 0, 2.67, 5.33, 8: the second is 1.33 off.
    with pytest.raises(InvalidInputError, match=r"a slice lies 1\.33 mm from where"):
        read_series(folder)


def test_a_slice_twice_there_is_noticed(tmp_path: Path) -> None:
    folder, _ = series_of(tmp_path, np.diag([-1.5, -1.5, 2.0, 1.0]))
    change(folder / "8.dcm", ImagePositionPatient=pydicom.dcmread(folder / "7.dcm").ImagePositionPatient)
    with pytest.raises(InvalidInputError, match="two slices lie at"):
        read_series(folder)


@pytest.mark.parametrize(
    ("name", "value"), [("Rows", 5), ("ImageOrientationPatient", [0, 1, 0, 0, 0, -1]), ("Columns", 3)]
)
def test_slices_of_several_kinds_are_no_volume(tmp_path: Path, name: str, value: object) -> None:
    folder, _ = series_of(tmp_path, np.diag([-1.5, -1.5, 2.0, 1.0]))
    change(folder / "8.dcm", **{name: value})
    with pytest.raises(InvalidInputError, match=f"{name} differs between slices"):
        read_series(folder)


def test_a_single_slice_is_no_volume(tmp_path: Path) -> None:
    folder, _ = series_of(tmp_path, np.diag([-1.5, -1.5, 2.0, 1.0]))
    for name in "5678":
        (folder / f"{name}.dcm").unlink()
    with pytest.raises(InvalidInputError, match="expected 3D"):
        read_series(folder)


def test_a_file_that_is_no_dicom_is_named(tmp_path: Path) -> None:
    folder, _ = series_of(tmp_path, np.diag([-1.5, -1.5, 2.0, 1.0]))
    (folder / "note.dcm").write_text("not DICOM")
    with pytest.raises(InvalidInputError, match=r"note\.dcm: cannot be read as DICOM"):
        read_series(folder)


@pytest.mark.parametrize(
    ("positions_mm", "expected_mm"),
    [
        ([[0, 0, 0], [0, 0, 1], [0, 0, 2]], 0.0),
        ([[5, 5, 4], [5, 5, 0], [5, 5, 2]], 0.0),  # in any order
        ([[0, 0, 0], [0, 0, 1], [0, 0, 3]], 0.5),  # the middle one belongs to 1.5
        ([[0, 0, 0], [0, 0.2, 1], [0, 0.4, 2]], 0.4),  # a tilted gantry
        ([[0, 0, 0], [0, 0, 0], [0, 0, 1]], np.inf),
    ],
)
def test_unevenness_by_hand(positions_mm: list[list[float]], expected_mm: float) -> None:
    assert unevenness_mm(np.array(positions_mm, dtype=float), NORMAL) == pytest.approx(expected_mm)


@pytest.mark.parametrize(
    ("values", "kind"), [([-1024, 0, 3071], np.int16), ([0.5, 1, 2], np.float32), ([0, 1, 40000], np.float32)]
)
def test_a_volume_of_whole_numbers_is_written_as_integers(tmp_path: Path, values: list[float], kind: type) -> None:
    array = np.resize(np.array(values, dtype=np.float32), (4, 3, 2))
    affine_ras = oblique_affine_ras()
    write_volume(tmp_path / "volume.nii.gz", Volume(array, affine_ras, tmp_path))
    image = nibabel.load(tmp_path / "volume.nii.gz")
    assert image.get_data_dtype() == kind
    np.testing.assert_array_equal(image.get_fdata(), array)
    for affine in (image.get_sform(), image.get_qform()):
        np.testing.assert_allclose(affine, affine_ras, atol=1e-5)
