"""DICOM labels in files: beside an image they are found, named and checked as other labels are."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from rtstruct_files import in_slice, rtstruct

from activelabel.data.dicom_objects import labels as dicom_labels
from activelabel.data.dicom_objects.labels import read_dicom_file, referenced_series
from activelabel.data.files.labels_folder import find_labels
from activelabel.data.files.studies_folder import find_images
from activelabel.data.grids import Grid
from activelabel.data.label_checking import check_label, read_label
from activelabel.errors import InvalidInputError

SHAPE = (12, 10, 5)
AFFINE_RAS = np.diag([-0.7, -0.9, 2.5, 1.0])
GRID = Grid(SHAPE, AFFINE_RAS)
ORGAN = ((1.5, 1.5), (8.5, 1.5), (8.5, 6.5), (1.5, 6.5))
TUMOUR = ((2.5, 2.5), (4.5, 2.5), (4.5, 4.5), (2.5, 4.5))
NAMES = ("liver", "tumour")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images; beside them the contours of the first, with one structure that is not in the project."""
    for name in ("a", "b"):
        nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), AFFINE_RAS), tmp_path / f"{name}.nii.gz")
    drawn = {
        "tumour": [in_slice(GRID, 2, TUMOUR)],
        "BODY": [in_slice(GRID, 2, TUMOUR), in_slice(GRID, 3, ORGAN)],
        "liver": [in_slice(GRID, index, ORGAN) for index in (1, 2)],
    }
    (tmp_path / "labels" / "final").mkdir(parents=True)
    rtstruct(drawn).save_as(tmp_path / "labels" / "final" / "a_rtstruct.dcm", write_like_original=False)
    return tmp_path


def test_a_file_of_contours_is_the_label_of_the_image_of_its_name(folder: Path) -> None:
    images, labels = find_images(folder), find_labels(folder / "labels" / "final", find_images(folder).files)
    assert (dict(labels.files), dict(labels.passed_over)) == ({"a": "a_rtstruct.dcm"}, {})
    assert list(images.files) == ["a", "b"]
    checked = check_label(labels.path("a"), GRID, NAMES)
    expected = np.zeros(SHAPE, dtype=int)
    expected[2:9, 2:7, 1:3] = 1
    expected[3:5, 3:5, 2] = 2
    np.testing.assert_array_equal(checked.array, expected)


def test_a_label_of_another_kind_goes_before_contours(folder: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.uint8), AFFINE_RAS), folder / "labels" / "final" / "a.nii.gz")
    labels = find_labels(folder / "labels" / "final", find_images(folder).files)
    assert (labels.files["a"], labels.more) == ("a.nii.gz", {"a_rtstruct.dcm": "a"})


def test_without_names_overlapping_structures_are_refused_in_a_line_that_names_the_file(folder: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"^a_rtstruct\.dcm: its structures 'tumour' and 'BODY' overlap in "):
        read_label(folder / "labels" / "final" / "a_rtstruct.dcm", GRID)


def test_contours_of_another_image_are_refused(folder: Path) -> None:
    elsewhere = Grid(SHAPE, AFFINE_RAS + np.pad(np.array([[0, 0, 1000.0]]).T, ((0, 1), (3, 0))))
    with pytest.raises(InvalidInputError, match=r"^a_rtstruct\.dcm: structure 'tumour' is drawn outside its image"):
        check_label(folder / "labels" / "final" / "a_rtstruct.dcm", elsewhere, NAMES)


def test_a_file_that_is_no_dicom_or_no_label_is_refused_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "labels" / "final" / "b.dcm"
    with pytest.raises(InvalidInputError, match=r"^b\.dcm: there is no such file"):
        read_dicom_file(file, GRID)
    for content in (b"", b"no DICOM", b"\0" * 128 + b"DICM" + b"\x02\x00\x10\x00UI\xff\xff" + b"1" * 20):
        file.write_bytes(content)
        with pytest.raises(InvalidInputError, match=r"^b\.dcm: "):
            read_dicom_file(file, GRID)
    other = rtstruct({})
    other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    other.save_as(file, write_like_original=False)
    with pytest.raises(InvalidInputError, match=r"^b\.dcm: expected a SEG"):
        read_dicom_file(file, GRID)
    monkeypatch.setattr(dicom_labels, "largest_file_bytes", lambda: 100)
    with pytest.raises(InvalidInputError, match=r"^b\.dcm: it is .* bytes long, expected 100 at most"):
        read_dicom_file(file, GRID)


def test_the_series_that_contours_were_drawn_on() -> None:
    assert referenced_series(rtstruct({}, series=("1.2", "1.3", "1.2"))) == ("1.2", "1.3")
    made = rtstruct({})
    made.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence = []
    assert referenced_series(made) == ()
    del made.ReferencedFrameOfReferenceSequence
    assert referenced_series(made) == ()
