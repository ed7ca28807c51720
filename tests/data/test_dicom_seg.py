import datetime
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from activelabel.data.dicom_labels import referenced_series
from activelabel.data.dicom_seg import find_converter, read_seg, write_seg
from activelabel.data.grids import Grid
from activelabel.errors import InvalidInputError
from local_pacs.ct_series import ct_series

NAMES = ("liver", "spleen", "Nebenniere rechts, verdickt")
SHAPE = (9, 8, 6)
AFFINE_RAS = np.array([[-0.8, 0, 0.3, 10], [0, -0.9, 0, 20], [0.1, 0, 2.5, -30], [0, 0, 0, 1.0]])
AFFINE_RAS[:3, 2] = np.cross(AFFINE_RAS[:3, 0], AFFINE_RAS[:3, 1]) / (0.8 * 0.9) * 2.5  # slices are never sheared
AFFINE_RAS[:3, 0] *= 0.8 / np.linalg.norm(AFFINE_RAS[:3, 0])


@dataclass
class Case:
    """A CT series, and where its voxels lie."""

    folder: Path
    series: Path
    uid: str

    @property
    def grid(self) -> Grid:
        return Grid(SHAPE, AFFINE_RAS)

    def label(self, *values: int) -> np.ndarray:
        """One box of three slices for each value, side by side."""
        array = np.zeros(SHAPE, dtype=np.uint8)
        for place, value in enumerate(values):
            array[3 * place : 3 * place + 2, 2:5, place + 1 : place + 4] = value
        return array

    def write(self, array: np.ndarray, **options: str) -> pydicom.dataset.FileDataset | None:
        path = self.folder / "label.nii.gz"
        nibabel.save(nibabel.Nifti1Image(array, AFFINE_RAS), path)
        return write_seg(path, self.series, NAMES, **{"uid": generate_uid(), "author": "Ann", **options})


@pytest.fixture
def case(tmp_path: Path) -> Case:
    image = np.random.default_rng(0).integers(-100, 200, SHAPE).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(image, AFFINE_RAS), tmp_path / "image.nii.gz")
    series = tmp_path / "series"
    series.mkdir()
    slices = ct_series(tmp_path / "image.nii.gz", "Jörg", datetime.datetime(2026, 1, 2, 3, 4))
    for index, dataset in enumerate(slices):
        dataset.SpecificCharacterSet = "ISO_IR 100"
        dataset.save_as(series / f"{index}.dcm", write_like_original=False)
    return Case(tmp_path, series, str(slices[0].SeriesInstanceUID))


@pytest.mark.parametrize("values", [(1, 2, 3), (3,), (2, 3), (3, 1)])
def test_a_label_comes_back_under_its_own_names(case: Case, values: tuple[int, ...]) -> None:
    seg = case.write(case.label(*values))
    assert seg is not None
    back = read_seg(seg, case.grid)
    assert back.names == tuple(NAMES[value - 1] for value in sorted(values))
    by_name = np.array([0, *(NAMES.index(name) + 1 for name in back.names)])
    np.testing.assert_array_equal(by_name[back.array], case.label(*values))


def test_it_survives_being_sent_as_a_file(case: Case) -> None:
    seg = case.write(case.label(1, 3), uid="1.2.3.4", author="Müller\\Ann")
    assert seg is not None
    seg.save_as(case.folder / "seg.dcm", write_like_original=False)
    seg = pydicom.dcmread(case.folder / "seg.dcm")
    assert (seg.SOPInstanceUID, seg.SeriesInstanceUID, seg.file_meta.MediaStorageSOPInstanceUID) == ("1.2.3.4",) * 3
    assert seg.ContentCreatorName == "Müller/Ann"
    assert seg.PatientID == "Jörg"
    assert seg.PatientName == "Phantom^Jörg"
    assert referenced_series(seg) == (case.uid,)
    np.testing.assert_array_equal(read_seg(seg, case.grid).array > 0, case.label(1, 3) > 0)


def test_an_empty_label_cannot_be_a_seg(case: Case) -> None:
    assert case.write(case.label()) is None


def test_without_the_series_there_is_no_seg(case: Case) -> None:
    for file in case.series.iterdir():
        file.unlink()
    with pytest.raises(InvalidInputError, match=r"label\.nii\.gz: itkimage2segimage cannot make a SEG of it: .*DICOM"):
        case.write(case.label(1))


def test_segments_that_nobody_drew_are_left_out(case: Case) -> None:
    seg = case.write(case.label(1, 2, 3))
    assert seg is not None
    frames = seg.pixel_array
    for frame, group in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 2:
            frame[:] = 0
    seg.PixelData = packed(frames)
    back = read_seg(reopened(seg, case), case.grid)
    assert back.names == (NAMES[0], NAMES[2])
    np.testing.assert_array_equal(back.array, np.array([0, 1, 0, 2])[case.label(1, 2, 3)])


def packed(frames: np.ndarray) -> bytes:
    """A bit a pixel, of even length."""
    packed_bits = np.packbits(frames.ravel(), bitorder="little").tobytes()
    return packed_bits + b"\0" * (len(packed_bits) % 2)


def test_frames_may_come_in_any_order(case: Case) -> None:
    seg = case.write(case.label(1, 2))
    assert seg is not None
    expected = read_seg(seg, case.grid).array
    frames = seg.pixel_array[::-1]
    seg.PerFrameFunctionalGroupsSequence = list(reversed(seg.PerFrameFunctionalGroupsSequence))
    seg.PixelData = packed(frames)
    seg = reopened(seg, case)
    np.testing.assert_array_equal(read_seg(seg, case.grid).array, expected)


def test_a_frame_may_run_the_other_way(case: Case) -> None:
    """The same pixels, described from the far end of each row."""
    seg = case.write(case.label(1))
    assert seg is not None
    expected = read_seg(seg, case.grid).array
    for group in seg.PerFrameFunctionalGroupsSequence:
        orientation = np.array(shared_or_own(seg, group, "PlaneOrientationSequence").ImageOrientationPatient, float)
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        far_end = position + orientation[:3] * 0.8 * (SHAPE[0] - 1)
        group.PlanePositionSequence[0].ImagePositionPatient = [f"{value:.9g}" for value in far_end]
        group.PlaneOrientationSequence = [pydicom.Dataset()]
        group.PlaneOrientationSequence[0].ImageOrientationPatient = [*(-orientation[:3]), *orientation[3:]]
    seg.PixelData = packed(seg.pixel_array[:, :, ::-1])
    np.testing.assert_array_equal(read_seg(reopened(seg, case), case.grid).array, expected)


def reopened(seg: pydicom.dataset.FileDataset, case: Case) -> pydicom.dataset.FileDataset:
    """Without the pixels that pydicom decoded before."""
    seg.save_as(case.folder / "changed.dcm", write_like_original=False)
    return pydicom.dcmread(case.folder / "changed.dcm")


def shared_or_own(seg: pydicom.Dataset, group: pydicom.Dataset, name: str) -> pydicom.Dataset:
    return group[name][0] if name in group else seg.SharedFunctionalGroupsSequence[0][name][0]


def test_a_seg_beside_the_voxels_is_refused(case: Case) -> None:
    seg = case.write(case.label(1))
    assert seg is not None
    for group in seg.PerFrameFunctionalGroupsSequence:
        position = group.PlanePositionSequence[0].ImagePositionPatient
        position[0] = float(position[0]) + 0.4  # half a voxel
    with pytest.raises(InvalidInputError, match="do not lie on the voxels"):
        read_seg(seg, case.grid)


def test_a_seg_outside_the_image_is_refused(case: Case) -> None:
    seg = case.write(case.label(1))
    assert seg is not None
    smaller = Grid((SHAPE[0], SHAPE[1], 2), AFFINE_RAS)
    with pytest.raises(InvalidInputError, match="do not lie on the voxels"):
        read_seg(seg, smaller)


def test_a_seg_of_twice_the_pixel_size_is_refused(case: Case) -> None:
    seg = case.write(case.label(1))
    assert seg is not None
    finer = Grid((2 * SHAPE[0], 2 * SHAPE[1], SHAPE[2]), AFFINE_RAS @ np.diag([0.5, 0.5, 1, 1]))
    with pytest.raises(InvalidInputError, match="do not lie on the voxels"):
        read_seg(seg, finer)


def test_overlapping_segments_are_refused(case: Case) -> None:
    label = case.label()
    label[2:4, 2:4, 1], label[2:4, 2:4, 2] = 1, 2
    seg = case.write(label)
    assert seg is not None
    first, second = seg.PerFrameFunctionalGroupsSequence
    second.PlanePositionSequence = first.PlanePositionSequence
    with pytest.raises(InvalidInputError, match="overlap"):
        read_seg(seg, case.grid)


@pytest.mark.parametrize("change", [{"SegmentationType": "FRACTIONAL"}, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}])
def test_what_is_no_binary_seg_is_refused(case: Case, change: dict[str, str]) -> None:
    seg = case.write(case.label(1))
    assert seg is not None
    for name, value in change.items():
        setattr(seg, name, value)
    with pytest.raises(InvalidInputError, match="expected a binary segmentation"):
        read_seg(seg, case.grid)


@pytest.mark.parametrize("missing", ["SegmentSequence", "PerFrameFunctionalGroupsSequence", "PixelData"])
def test_a_damaged_seg_is_refused(case: Case, missing: str) -> None:
    seg = case.write(case.label(1))
    assert seg is not None
    del seg[missing]
    with pytest.raises(InvalidInputError, match="damaged or incomplete"):
        read_seg(seg, case.grid)


def test_the_converter_is_found_beside_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_converter() == str(Path(sys.executable).parent / "itkimage2segimage")


def test_a_converter_on_path_goes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = shutil.copy(find_converter(), tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_converter() == str(program)


def test_a_missing_converter_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(InvalidInputError, match="pip install dcmqi"):
        find_converter()
