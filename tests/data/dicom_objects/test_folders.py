"""Folders of DICOM files become images and labels, once, and say what is not used."""

import datetime
from pathlib import Path

import nibabel
import numpy as np
import pytest
from rtstruct_files import in_slice, rtstruct

from activelabel.data.dicom_objects.folders import LABELS, convert, is_dicom_folder
from activelabel.data.files.labels_folder import find_labels
from activelabel.data.files.studies_folder import find_images
from activelabel.data.label_checking import check_label
from activelabel.data.patients.given import read_patients
from activelabel.data.volumes import read_grid, read_volume
from local_pacs.ct_series import ct_series

AFFINE_RAS = np.diag([-1.5, -1.5, 2.5, 1.0])
SHAPE = (12, 10, 6)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Two patients as a planning system exports them, each with an RTSTRUCT of a square of 4 x 3 voxels in slice 2."""
    folder = tmp_path / "exported"
    for number, name in enumerate(("S1 001", "S1/002")):
        voxels_hu = np.random.default_rng(number).integers(-500, 500, SHAPE).astype(np.int16)
        image = nibabel.Nifti1Image(voxels_hu, AFFINE_RAS)
        nibabel.save(image, tmp_path / f"{number}.nii")
        at = folder / f"patient {number}" / "series"
        at.mkdir(parents=True)
        slices = ct_series(tmp_path / f"{number}.nii", name, datetime.datetime(2026, 1, 2))
        for index, dataset in enumerate(slices):
            dataset.save_as(at / (f"{index}.dcm" if number else f"IM{index}"), write_like_original=False)
        grid = read_grid(tmp_path / f"{number}.nii")
        square = in_slice(grid, 2, [[3, 4], [6, 4], [6, 6], [3, 6]])
        label = rtstruct({"Heart": [square], "Couch": [square]}, [str(slices[0].SeriesInstanceUID)])
        label.save_as(at.parent / "rs.dcm", write_like_original=False)
    return folder


def test_each_series_becomes_an_image_with_its_label_and_its_patient(exported: Path, tmp_path: Path) -> None:
    assert is_dicom_folder(exported)
    target = tmp_path / "made"
    assert convert([exported], target) == []
    images = find_images(target)
    assert [image_id.rpartition("_")[0] for image_id in images.files] == ["S1-001", "S1-002"]
    patients = read_patients(str(target / "patients.csv")).of_all(images.files)
    assert list(patients.values()) == ["S1 001", "S1/002"]
    labels = find_labels(target / LABELS, images.files)
    for number, image_id in enumerate(images.files):
        volume = read_volume(images.path(image_id))
        sent = read_volume(tmp_path / f"{number}.nii")
        np.testing.assert_array_equal(np.sort(volume.array, axis=None), np.sort(sent.array, axis=None))
        label = check_label(labels.path(image_id), volume.grid, ["Heart"])
        assert int((label.array == 1).sum()) == 4 * 3, "corners at voxel centres belong to it"
    assert not is_dicom_folder(target), "images are in it now"


def test_a_later_call_adds_what_is_new_and_leaves_what_is_there(exported: Path, tmp_path: Path) -> None:
    hidden = (exported / "patient 1").rename(tmp_path / "later")
    target = tmp_path / "made"
    convert([exported], target)
    (first,) = target.glob("*.nii.gz")
    before = first.stat().st_mtime_ns
    hidden.rename(exported / "patient 1")
    convert([exported], target)
    assert len(list(target.glob("*.nii.gz"))) == 2
    assert first.stat().st_mtime_ns == before
    assert len((target / "patients.csv").read_text(encoding="utf-8").splitlines()) == 3


def test_what_is_no_volume_or_no_image_is_named_and_the_rest_goes_on(exported: Path, tmp_path: Path) -> None:
    (exported / "patient 0" / "series" / "IM3").unlink()
    (exported / "patient 1" / "copy.dcm").write_bytes((exported / "patient 1" / "rs.dcm").read_bytes())
    other = rtstruct({"Heart": []}, ["9.9.9"])
    other.save_as(exported / "other.dcm", write_like_original=False)
    plan = rtstruct({})
    plan.Modality = "RTPLAN"
    plan.save_as(exported / "plan.dcm", write_like_original=False)
    (exported / "._rs.dcm").write_bytes(b"\0" * 128 + b"DICM")
    target = tmp_path / "made"
    lines = "\n".join(convert([exported], target))
    assert [path.name.rpartition("_")[0] for path in target.glob("*.nii.gz")] == ["S1-002"]
    assert "S1-001_" in lines
    assert "slice" in lines
    assert "plan.dcm): its modality is RTPLAN" in lines
    assert "refers to no series that is here" in lines
    assert "._rs" not in lines
    assert len(list((target / LABELS).iterdir())) == 1
    assert not is_dicom_folder(tmp_path / "nowhere")
