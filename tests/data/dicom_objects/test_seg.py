import datetime
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from dicom_files import COLUMNS, ROWS, write_enhanced, write_slices
from highdicom.seg import Segmentation, SegmentDescription, segread
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

from activelabel.data.dicom_objects.labels import referenced_series
from activelabel.data.dicom_objects.seg import read_seg
from activelabel.data.dicom_objects.seg_frames import stored_frames
from activelabel.data.dicom_objects.seg_writing import cielab, write_seg
from activelabel.data.grids import Grid
from activelabel.data.labels.label_texts import parse_labels
from activelabel.data.volumes import read_volume
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
        """Return a label with one box of three slices for each value, side by side."""
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


def test_a_seg_survives_being_sent_as_a_file(case: Case) -> None:
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
    with pytest.raises(InvalidInputError, match="series: the folder holds 0 DICOM series, expected one"):
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
    """Pack pixels into bits, of even length."""
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
    """Return the object without the pixels that pydicom has already decoded."""
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
    with pytest.raises(InvalidInputError, match="'liver' and 'spleen' overlap in 4 voxels"):
        read_seg(seg, case.grid)
    with pytest.raises(InvalidInputError, match="overlap"):
        read_seg(seg, case.grid, ("liver", "kidney"))
    for order in (("liver", "spleen"), ("spleen", "liver")):
        label = read_seg(seg, case.grid, order)
        assert label.names == order[1:], "the one that is named later counts"


@pytest.mark.parametrize("change", [{"SegmentationType": "LABELMAP"}, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}])
def test_objects_that_are_no_seg_of_a_known_kind_are_refused(case: Case, change: dict[str, str]) -> None:
    seg = case.write(case.label(1))
    assert seg is not None
    for name, value in change.items():
        setattr(seg, name, value)
    with pytest.raises(
        InvalidInputError, match=r"SEG: expected a SEG \(BINARY, FRACTIONAL or LABELMAP\), got (LABELMAP|BINARY)"
    ):
        read_seg(seg, case.grid)


@pytest.mark.parametrize("missing", ["SegmentSequence", "PerFrameFunctionalGroupsSequence", "PixelData"])
def test_a_damaged_seg_is_refused(case: Case, missing: str) -> None:
    seg = case.write(case.label(1))
    assert seg is not None
    del seg[missing]
    with pytest.raises(InvalidInputError, match=r"damaged or incomplete|has no voxels"):
        read_seg(seg, case.grid)


def test_a_seg_that_holds_less_than_its_header_says_is_refused_before_it_takes_memory(case: Case) -> None:
    seg = case.write(case.label(1))
    assert seg is not None
    seg.NumberOfFrames = 10**9
    with pytest.raises(InvalidInputError, match=r"SEG: .*it holds \d+ bytes of voxels, and says 9,000,000,000"):
        read_seg(seg, case.grid)


def test_frames_that_begin_in_the_middle_of_a_byte_are_read(case: Case) -> None:
    """9 x 7 pixels are 63 bits."""
    frames = np.random.default_rng(1).integers(0, 2, (5, 7, 9)).astype(np.uint8)
    dataset = pydicom.Dataset()
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames, dataset.BitsAllocated = 7, 9, 5, 1
    dataset.PixelData = packed(frames)
    np.testing.assert_array_equal(np.stack(list(stored_frames(dataset, "SEG"))), frames)


@pytest.mark.parametrize("compressed", [False, True])
def test_fractional_segments_are_thresholded_above_one_half(case: Case, compressed: bool) -> None:
    """highdicom writes the SEG, plain or run-length encoded."""
    shares = np.zeros((*SHAPE[::-1], 2))
    shares[2, 3, 4], shares[2, 3, 5], shares[2, 3, 6] = (0.9, 0.1), (0.5, 0.5), (0.4, 0.6)
    seg = by_highdicom(case, shares, "FRACTIONAL", RLELossless if compressed else ExplicitVRLittleEndian)
    label = read_seg(seg, case.grid)
    expected = np.zeros(SHAPE, dtype=int)
    assert 128 in seg.pixel_array, "a half of 255, rounded up"
    expected[4, 3, 2], expected[6, 3, 2] = 1, 2
    np.testing.assert_array_equal(label.array, expected)
    assert label.names == ("liver", "spleen")


def by_highdicom(
    case: Case, pixels: np.ndarray, kind: str, syntax: str = ExplicitVRLittleEndian
) -> pydicom.FileDataset:
    """Return a SEG of the segments along the last axis of `pixels` (D, H, W, S), made by highdicom and sent."""
    sources = sorted(
        (pydicom.dcmread(file) for file in case.series.iterdir()), key=lambda source: int(source.InstanceNumber)
    )
    code = Code("123037004", "SCT", "Anatomical Structure")
    segments = [
        SegmentDescription(number, name, code, code, "MANUAL")
        for number, name in enumerate(NAMES[: pixels.shape[-1]], start=1)
    ]
    made = Segmentation(
        sources, pixels, kind, segments, generate_uid(), 1, generate_uid(), 1, "a", "b", "c", "d",
        transfer_syntax_uid=syntax,
    )  # fmt: skip
    return reopened(made, case)


def test_overlapping_segments_of_another_program_are_read_in_the_order_of_the_labels(case: Case) -> None:
    drawn = np.zeros((*SHAPE[::-1], 2), dtype=np.uint8)
    drawn[1:3, 2:6, 2:6, 0] = drawn[2, 3:5, 3:5, 1] = 1
    label = read_seg(by_highdicom(case, drawn, "BINARY"), case.grid, ("liver", "spleen"))
    np.testing.assert_array_equal(label.array.T, drawn[..., 0] + drawn[..., 1])


@pytest.mark.parametrize("values", [(1, 2, 3), (3, 1)])
def test_a_label_map_of_another_program_is_read(case: Case, values: tuple[int, ...]) -> None:
    """dcmqi writes the label map of supplement 243, and lists the background as a segment."""
    array = case.label(*values)
    seg = by_dcmqi(case, array)
    assert seg.SegmentationType == "LABELMAP"
    label = read_seg(seg, case.grid)
    assert label.names == tuple(NAMES[value - 1] for value in sorted(values))
    table = np.array([0, *(NAMES.index(name) + 1 for name in label.names)])
    np.testing.assert_array_equal(table[label.array], array)


def by_dcmqi(case: Case, array: np.ndarray) -> pydicom.FileDataset:
    nibabel.save(nibabel.Nifti1Image(array, AFFINE_RAS), case.folder / "map.nii.gz")
    code = {"CodeValue": "123037004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Anatomical Structure"}
    segments = [
        {"labelID": int(value), "SegmentLabel": NAMES[value - 1], "SegmentAlgorithmType": "MANUAL",
         "SegmentedPropertyCategoryCodeSequence": code, "SegmentedPropertyTypeCodeSequence": code}
        for value in np.unique(array[array > 0])
    ]  # fmt: skip
    (case.folder / "map.json").write_text(json.dumps({"segmentAttributes": [segments]}))
    command = [Path(sys.executable).parent / "itkimage2segimage", "--segmentationType", "labelmap"]
    command += ["--inputImageList", case.folder / "map.nii.gz", "--inputDICOMDirectory", case.series]
    command += ["--inputMetadata", case.folder / "map.json", "--outputDICOM", case.folder / "map.dcm"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return pydicom.dcmread(case.folder / "map.dcm")


def test_a_value_of_a_label_map_that_no_segment_has_is_refused(case: Case) -> None:
    seg = by_dcmqi(case, case.label(1, 2))
    seg.SegmentSequence = [item for item in seg.SegmentSequence if item.SegmentLabel != "spleen"]
    with pytest.raises(InvalidInputError, match="voxels are of segment 2, which it does not list"):
        read_seg(seg, case.grid)


def test_the_background_of_a_label_map_may_have_another_value_than_0(case: Case) -> None:
    seg = by_dcmqi(case, case.label(1))
    seg.PixelPaddingValue = 1
    for item in seg.SegmentSequence:
        item.SegmentedPropertyTypeCodeSequence = []
        item.SegmentLabel = f"value {item.SegmentNumber}"
    label = read_seg(seg, case.grid)
    assert label.names == ("value 0",)
    drawn = case.label(1).any(axis=(0, 1))
    np.testing.assert_array_equal((label.array == 1)[:, :, drawn], (case.label(1) == 0)[:, :, drawn])


# SEGs that this package writes


def test_a_structure_has_dicoms_code_where_it_has_dicoms_name_and_is_tracked(case: Case) -> None:
    seg, later = case.write(case.label(1, 3)), case.write(case.label(3, 2), author="Bob")
    assert seg is not None
    assert later is not None
    codes_of = [item.SegmentedPropertyTypeCodeSequence[0] for item in seg.SegmentSequence]
    found = [(str(code.CodeValue), str(code.CodingSchemeDesignator), str(code.CodeMeaning)) for code in codes_of]
    assert found == [("10200004", "SCT", "Liver"), ("3", "99ACTIVELABEL", NAMES[2])]
    assert [item.SegmentNumber for item in seg.SegmentSequence] == [1, 2]
    assert [item.TrackingID for item in seg.SegmentSequence] == [NAMES[0], NAMES[2]]
    tracked = {item.TrackingID: item.TrackingUID for item in later.SegmentSequence}
    assert tracked[NAMES[2]] == seg.SegmentSequence[1].TrackingUID
    assert tracked["spleen"] not in {item.TrackingUID for item in seg.SegmentSequence}


def test_an_unchanged_prediction_names_its_model_as_the_algorithm(case: Case) -> None:
    by_hand = case.write(case.label(1))
    nibabel.save(nibabel.Nifti1Image(case.label(1), AFFINE_RAS), case.folder / "label.nii.gz")
    drawn = write_seg(case.folder / "label.nii.gz", case.series, NAMES, generate_uid(), "Ann", model_version=7)
    assert by_hand is not None
    assert drawn is not None
    assert by_hand.SegmentSequence[0].SegmentAlgorithmType == "MANUAL"
    segment = reopened(drawn, case).SegmentSequence[0]
    assert (segment.SegmentAlgorithmType, segment.SegmentAlgorithmName) == ("AUTOMATIC", "activelabel")
    version = segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion
    assert version.endswith(", model 7")


def test_highdicom_reads_a_seg_as_this_package_does(case: Case) -> None:
    array = case.label(3, 1)
    seg = case.write(array)
    assert seg is not None
    seg.save_as(case.folder / "ours.dcm", write_like_original=False)
    read = segread(case.folder / "ours.dcm")
    frames = read.get_pixels_by_source_instance(
        source_sop_instance_uids=[
            str(source.SOPInstanceUID)
            for source in sorted(map(pydicom.dcmread, case.series.iterdir()), key=lambda item: int(item.InstanceNumber))
        ],
        combine_segments=True,
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    np.testing.assert_array_equal(np.array([0, 1, 3])[frames].transpose(2, 1, 0), array)


def test_a_label_on_other_voxels_is_refused(case: Case) -> None:
    nibabel.save(nibabel.Nifti1Image(case.label(1)[:, :, :5], AFFINE_RAS), case.folder / "label.nii.gz")
    with pytest.raises(InvalidInputError, match=r"label\.nii\.gz: it does not lie on the voxels of its series"):
        write_seg(case.folder / "label.nii.gz", case.series, NAMES, generate_uid(), "Ann")


def test_a_series_in_one_file_and_one_that_says_little_of_its_patient_can_be_written_on(tmp_path: Path) -> None:
    array = np.zeros((COLUMNS, ROWS, 4), dtype=np.uint8)
    array[1:3, 2:5, 1:3] = 1
    uids = {"FrameOfReferenceUID": "1.2.5", "StudyInstanceUID": "1.2.6"}
    write_enhanced(tmp_path / "many" / "all.dcm", [2, 0, 3, 1], **uids)
    write_slices(tmp_path / "one each", [uids] * 4)
    for folder in ("many", "one each"):
        volume = read_volume(tmp_path / folder)
        nibabel.save(nibabel.Nifti1Image(array, volume.affine_ras), tmp_path / "label.nii.gz")
        seg = write_seg(tmp_path / "label.nii.gz", tmp_path / folder, NAMES, generate_uid(), "Ann")
        assert seg is not None
        assert seg.PatientName == ""
        np.testing.assert_array_equal(read_seg(seg, volume.grid).array, array)


def test_a_series_without_a_place_in_space_is_refused_in_a_line(tmp_path: Path) -> None:
    write_slices(tmp_path / "series", [{}] * 4)
    array = np.ones((COLUMNS, ROWS, 4), dtype=np.uint8)
    nibabel.save(nibabel.Nifti1Image(array, read_volume(tmp_path / "series").affine_ras), tmp_path / "label.nii.gz")
    with pytest.raises(InvalidInputError, match=r"label\.nii\.gz: no SEG can be made of it .*Frame Of Reference UID"):
        write_seg(tmp_path / "label.nii.gz", tmp_path / "series", NAMES, generate_uid(), "Ann")


def test_colours_are_stored_as_dicom_has_them() -> None:
    """White is L* 100, a* and b* 0; black is 0."""
    assert cielab((255, 255, 255))[0] == 65535
    assert cielab((0, 0, 0))[0] == 0
    for grey in ((255, 255, 255), (0, 0, 0), (119, 119, 119)):
        np.testing.assert_allclose(cielab(grey)[1:], 128 / 255 * 65535, atol=15)
    lightness, a, b = cielab((255, 0, 0))  # L* 53.24, a* 80.09, b* 67.20
    np.testing.assert_allclose(
        [lightness / 655.35, a / 65535 * 255 - 128, b / 65535 * 255 - 128], [53.24, 80.09, 67.2], atol=0.05
    )


BRATS = parse_labels(["whole=1+2+3+4", "core=1+4", "enhancing=4", "ignore=5"], "test")


def test_structures_that_overlap_are_segments_that_overlap(case: Case) -> None:
    array = case.label(2)
    array[0, 2:4, 1:3], array[0, 2, 1], array[1, 4, 3], array[8, 7, 5] = 1, 4, 3, 5
    path = case.folder / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(array, AFFINE_RAS), path)
    seg = write_seg(path, case.series, BRATS, generate_uid(), "Ann")
    assert seg is not None
    seg.save_as(case.folder / "seg.dcm", write_like_original=False)
    reader = segread(case.folder / "seg.dcm")
    names = [reader.get_segment_description(number).segment_label for number in reader.segment_numbers]
    assert names == ["whole", "core", "enhancing", "ignore"]
    voxels = [
        reader.get_pixels_by_source_instance(
            [uid for _, _, uid in reader.get_source_image_uids()], segment_numbers=[number],
            ignore_spatial_locations=True, assert_missing_frames_are_empty=True,
        ).sum()
        for number in reader.segment_numbers
    ]  # fmt: skip
    assert voxels == [np.isin(array, values).sum() for values in ([1, 2, 3, 4], [1, 4], [4], [5])]
    back = read_seg(pydicom.dcmread(case.folder / "seg.dcm"), case.grid, BRATS)
    assert back.is_mapped
    np.testing.assert_array_equal(back.array, np.where(array == 3, 2, array))  # 3 means what 2 means


def test_values_that_are_one_structure_are_one_segment(case: Case) -> None:
    labels, array = parse_labels(["liver=1+3", "spleen=2"], "test"), case.label(1, 3)
    path = case.folder / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(array, AFFINE_RAS), path)
    back = read_seg(write_seg(path, case.series, labels, generate_uid(), "Ann"), case.grid)
    assert back.names == ("liver",)
    np.testing.assert_array_equal(back.array, array > 0)
