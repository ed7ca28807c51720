"""RTSTRUCT as this package writes it, read back by its own reader, by highdicom's rules of files, and by matplotlib."""

import datetime
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.path import Path as Outline
from pydicom.uid import generate_uid

from activelabel.data.dicom_objects.labels import read_dicom_label, referenced_series
from activelabel.data.dicom_objects.rtstruct_writing import outlines, rtstruct_uid, write_rtstruct
from activelabel.data.grids import Grid
from activelabel.data.labels.label_texts import parse_labels
from activelabel.errors import InvalidInputError
from local_pacs.ct_series import ct_series

SHAPE = (14, 12, 6)
AFFINE_RAS = np.array([[-0.8, 0, 0, 10], [0, -0.9, 0, 20], [0, 0, 2.5, -30], [0, 0, 0, 1.0]])
LITS = parse_labels(["liver=1+2", "tumour=2", "ignore=3"], "test")
MADE = datetime.datetime(2026, 1, 2, 3, 4, 5)


@pytest.fixture
def series(tmp_path: Path) -> Path:
    image = np.random.default_rng(0).integers(-100, 200, SHAPE).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(image, AFFINE_RAS), tmp_path / "image.nii.gz")
    folder = tmp_path / "series"
    folder.mkdir()
    for index, dataset in enumerate(ct_series(tmp_path / "image.nii.gz", "Jörg", MADE)):
        dataset.save_as(folder / f"{index}.dcm", write_like_original=False)
    return folder


def written(series: Path, array: np.ndarray, names: object = LITS) -> pydicom.FileDataset | None:
    """Write a label, save it as a file and open that."""
    label = series.parent / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(array, AFFINE_RAS), label)
    made = write_rtstruct(label, series, names, generate_uid(), "Müller\\Ann", MADE)  # type: ignore[arg-type]
    if made is None:
        return None
    made.save_as(series.parent / "rt.dcm", write_like_original=False)
    return pydicom.dcmread(series.parent / "rt.dcm")


def drawn() -> np.ndarray:
    """A liver with a hole, an island in the hole and a tumour, a single voxel, and something ignored."""
    array = np.zeros(SHAPE, dtype=np.uint8)
    array[1:12, 1:11, 1:4] = 1
    array[3:9, 3:9, 2] = 0
    array[5:7, 5:7, 2] = 1
    array[2:4, 8:10, 1:3] = 2
    array[13, 11, 4] = 1
    array[12, 0, 0] = 3
    return array


def test_a_label_comes_back_voxel_for_voxel_and_its_structures_overlap(series: Path) -> None:
    array = drawn()
    dataset = written(series, array)
    assert dataset is not None
    assert [item.ROIName for item in dataset.StructureSetROISequence] == ["liver", "tumour"]
    back = read_dicom_label(dataset, Grid(SHAPE, AFFINE_RAS), LITS)
    np.testing.assert_array_equal(back.array, np.where(array == 3, 0, array))


def test_an_rtstruct_names_its_patient_and_series_and_the_slice_of_each_contour(series: Path) -> None:
    dataset = written(series, drawn())
    assert dataset is not None
    sources = {str(source.SOPInstanceUID): source for source in map(pydicom.dcmread, series.iterdir())}
    first = next(iter(sources.values()))
    assert referenced_series(dataset) == (first.SeriesInstanceUID,)
    for name in ("StudyInstanceUID", "PatientID", "PatientName", "FrameOfReferenceUID"):
        assert dataset[name].value == first[name].value
    assert (dataset.OperatorsName, dataset.StructureSetDate) == ("Müller/Ann", "20260102")
    liver = dataset.ROIContourSequence[0]
    assert {item.ContourGeometricType for item in liver.ContourSequence} == {"CLOSEDPLANAR_XOR"}, "it has a hole"
    tumour = dataset.ROIContourSequence[1]
    assert {item.ContourGeometricType for item in tumour.ContourSequence} == {"CLOSED_PLANAR"}
    for contour in (*liver.ContourSequence, *tumour.ContourSequence):
        source = sources[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
        heights = np.array(contour.ContourData, dtype=float)[2::3]
        np.testing.assert_allclose(heights, source.ImagePositionPatient[2], atol=1e-3)
        assert contour.NumberOfContourPoints == len(heights)


def test_nothing_drawn_is_no_rtstruct(series: Path) -> None:
    assert written(series, np.zeros(SHAPE, np.uint8)) is None
    assert written(series, np.full(SHAPE, 3, np.uint8)) is None


def test_a_series_without_a_place_in_space_and_a_label_elsewhere_are_refused(series: Path) -> None:
    label = series.parent / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones(SHAPE, np.uint8), AFFINE_RAS + np.eye(4)), label)
    with pytest.raises(InvalidInputError, match="does not lie on the voxels of its series"):
        write_rtstruct(label, series, LITS, "1.2", "Ann", MADE)
    for file in series.iterdir():
        dataset = pydicom.dcmread(file)
        del dataset.FrameOfReferenceUID
        dataset.save_as(file)
    with pytest.raises(InvalidInputError, match="its series has no FrameOfReferenceUID"):
        written(series, drawn())


def test_its_identifier_is_that_of_its_content() -> None:
    assert rtstruct_uid("a", "1.2") == rtstruct_uid("a", "1.2")
    assert len({rtstruct_uid("a", "1.2"), rtstruct_uid("b", "1.2"), rtstruct_uid("a", "1.3")}) == 3


@given(hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_outlines_enclose_exactly_the_centres_of_the_mask(mask: np.ndarray) -> None:
    centres = np.argwhere(np.ones_like(mask))
    inside = np.zeros(len(centres), dtype=int)
    for outline in outlines(mask):
        inside += Outline(np.vstack([outline, outline[:1]])).contains_points(centres)
    np.testing.assert_array_equal((inside % 2 == 1).reshape(mask.shape), mask)
