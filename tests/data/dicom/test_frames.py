"""Series as scanners and archives really send them: read as pydicom reads each slice, or refused with the reason."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_files import AXIAL, write_enhanced, write_slices
from pydicom.uid import JPEGLSLossless, RLELossless

from activelabel.data.dicom_objects.series import read_series
from activelabel.data.volumes import Volume
from activelabel.errors import InvalidInputError

SLICES = 6
KEPT_TAGS = {"0008|0018", "0008|0060", "0020|000d", "0020|000e", "0020|0032", "0020|0037"}
NOTHING: dict[str, Any] = {}


def at(height_mm: float, beside_mm: float = 20.0) -> dict[str, Any]:
    return {"ImagePositionPatient": [-10, beside_mm, height_mm]}


def by_pydicom(folder: Path) -> np.ndarray:
    """Return the values (W, H, D) by pydicom and each file's slope, in the order of heights."""
    slices = sorted((pydicom.dcmread(path) for path in folder.iterdir()), key=lambda one: one.ImagePositionPatient[2])
    hu = [one.pixel_array.astype(float) * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in slices]
    return np.stack(hu).transpose()


def lies_where_it_was_made(volume: Volume) -> None:
    """LPS (-10, 20, 30) is RAS (10, -20, 30); columns lie 0.5 mm apart, rows 0.7, slices 2.5."""
    expected = [[-0.5, 0, 0, 10], [0, -0.7, 0, -20], [0, 0, 2.5, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.affine_ras, expected, atol=1e-2)


def test_a_plain_series_is_what_pydicom_and_itk_read(tmp_path: Path) -> None:
    write_slices(tmp_path, [NOTHING] * SLICES)
    volume = read_series(tmp_path)
    np.testing.assert_array_equal(volume.array, by_pydicom(tmp_path))
    lies_where_it_was_made(volume)
    files = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    itk = SimpleITK.ReadImage(files)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(itk).transpose(), volume.array)
    assert itk.GetOrigin() == pytest.approx((-10, 20, 30))


def test_directions_that_differ_by_rounding_are_one(tmp_path: Path) -> None:
    turned = [0.99999, 0.00447, 0, -0.00447, 0.99999, 0]
    rounded = [np.round(turned, digits).tolist() for digits in (6, 5, 4, 3, 6, 5)]
    write_slices(tmp_path, [{"ImageOrientationPatient": one} for one in rounded])
    volume = read_series(tmp_path)
    np.testing.assert_array_equal(volume.array, by_pydicom(tmp_path))
    lies_where_it_was_made(volume)


def test_each_slice_has_its_own_slope(tmp_path: Path) -> None:
    write_slices(tmp_path, [{"RescaleSlope": 1 + 0.37 * index, "RescaleIntercept": -5} for index in range(SLICES)])
    np.testing.assert_allclose(read_series(tmp_path).array, by_pydicom(tmp_path), rtol=1e-6)


@pytest.mark.parametrize("syntax", ["RLE", "JPEG", "JPEG2000"])
def test_compressed_slices_are_decoded(tmp_path: Path, syntax: str) -> None:
    write_slices(tmp_path / "plain", [{"RescaleIntercept": 0}] * SLICES, rows=36, columns=48)
    (tmp_path / "small").mkdir()
    for path in (tmp_path / "plain").iterdir():
        dataset = pydicom.dcmread(path)
        if syntax == "RLE":
            dataset.compress(RLELossless)
            dataset.save_as(tmp_path / "small" / path.name)
        else:
            _compress(path, tmp_path / "small" / path.name, syntax)
    volume = read_series(tmp_path / "small")
    np.testing.assert_array_equal(volume.array, by_pydicom(tmp_path / "plain"))
    lies_where_it_was_made(volume)


def _compress(source: Path, target: Path, compressor: str) -> None:
    """Compress by ITK without loss."""
    image = SimpleITK.ReadImage(str(source), SimpleITK.sitkUInt16)
    for tag in set(image.GetMetaDataKeys()) - KEPT_TAGS:
        image.EraseMetaData(tag)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(target))
    writer.UseCompressionOn()
    writer.SetCompressor(compressor)
    writer.Execute(image)
    assert pydicom.dcmread(target).file_meta.TransferSyntaxUID.is_compressed


def test_slices_in_an_unknown_compression_are_refused(tmp_path: Path) -> None:
    write_slices(tmp_path, [NOTHING] * SLICES)
    for path in tmp_path.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
        dataset.PixelData = pydicom.encaps.encapsulate([b"no JPEG at all"])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path)
    with pytest.raises(
        InvalidInputError,
        match=r"cannot be decoded \(JPEG-LS Lossless Image Compression\): store the series uncompressed",
    ):
        read_series(tmp_path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([at(30 + 2.5 * index) for index in (0, 1, 2, 4, 5)], r"a slice is missing between 35 and 40 mm"),
        ([at(30 + 2.5 * index) for index in (0, 1, 2, 2, 3, 4)], r"two slices lie at 35 mm"),
        ([at(30 + 2.5 * i, 20 + 0.5 * i) for i in range(SLICES)], r"the gantry was tilted by 11\.3 degrees"),
        ([at(height) for height in (30, 32, 34, 36, 39, 42)], r"its slices lie 2 to 3 mm apart"),
        (
            [{**at(30 + 2.5 * (index % 3)), "AcquisitionNumber": 1 + index // 3} for index in range(SLICES)],
            r"several volumes in it \(AcquisitionNumber 1, 2\)",
        ),
        (
            [{"AcquisitionNumber": 1 + index % 2} for index in range(SLICES)],
            r"several volumes in it \(AcquisitionNumber 1, 2\)",
        ),
        ([{"PhotometricInterpretation": "MONOCHROME1"}] * SLICES, r"is MONOCHROME1 \(low values are bright\)"),
        ([NOTHING, {"PhotometricInterpretation": "MONOCHROME1"}, NOTHING], r"is MONOCHROME1"),
        ([{"PixelSpacing": None}] * SLICES, r"has no PixelSpacing \(nothing\), expected 2 numbers"),
        ([{"PixelSpacing": [0, 0]}] * SLICES, r"PixelSpacing \[0\. 0\.\], expected more than 0"),
        ([{"ImagePositionPatient": None}] * SLICES, r"has no ImagePositionPatient"),
        ([{"ImageOrientationPatient": None}] * SLICES, r"has no ImageOrientationPatient"),
        ([NOTHING, {"PixelSpacing": [0.7, 0.6]}, NOTHING], r"PixelSpacing differs between slices"),
        (
            [NOTHING, {"ImageOrientationPatient": [0.9998, 0.02, 0, -0.02, 0.9998, 0]}],
            r"ImageOrientationPatient differs",
        ),
    ],
)
def test_a_series_that_is_no_regular_grey_volume_is_refused_with_the_reason(
    tmp_path: Path, changes: list[dict[str, Any]], expected: str
) -> None:
    write_slices(tmp_path, changes)
    with pytest.raises(InvalidInputError, match=expected) as caught:
        read_series(tmp_path)
    assert "\n" not in str(caught.value)


def test_parts_of_one_volume_may_have_been_acquired_one_after_the_other(tmp_path: Path) -> None:
    write_slices(tmp_path, [{"AcquisitionNumber": 1 + index // 3} for index in range(SLICES)])
    np.testing.assert_array_equal(read_series(tmp_path).array, by_pydicom(tmp_path))


def test_an_object_that_is_no_image_is_named(tmp_path: Path) -> None:
    write_slices(tmp_path, [NOTHING] * 2)
    dataset = pydicom.dcmread(tmp_path / "90.dcm")
    for name in ("Rows", "Columns", "PixelData"):
        delattr(dataset, name)
    dataset.save_as(tmp_path / "report.dcm")
    with pytest.raises(InvalidInputError, match=r"report\.dcm is no image"):
        read_series(tmp_path)


@pytest.mark.parametrize("order", [range(SLICES), [3, 0, 5, 1, 4, 2]])
def test_many_frames_in_one_file_are_put_in_order(tmp_path: Path, order: list[int]) -> None:
    stored = write_enhanced(tmp_path / "all.dcm", list(order))
    volume = read_series(tmp_path)
    np.testing.assert_array_equal(volume.array, (stored - 1000.0).transpose())
    lies_where_it_was_made(volume)


def test_each_frame_has_its_own_slope(tmp_path: Path) -> None:
    slopes = [{"RescaleSlope": 1 + index, "RescaleIntercept": -index} for index in range(SLICES)]
    stored = write_enhanced(tmp_path / "all.dcm", [3, 0, 5, 1, 4, 2], slopes)
    by_hand = np.stack([stored[index] * (1.0 + index) - index for index in range(SLICES)])
    np.testing.assert_array_equal(read_series(tmp_path).array, by_hand.transpose())


def test_frames_compressed_by_run_lengths_are_decoded(tmp_path: Path) -> None:
    stored = write_enhanced(tmp_path / "all.dcm", range(SLICES))
    dataset = pydicom.dcmread(tmp_path / "all.dcm")
    dataset.compress(RLELossless)
    dataset.save_as(tmp_path / "all.dcm")
    np.testing.assert_array_equal(read_series(tmp_path).array, (stored - 1000.0).transpose())


def test_frames_that_do_not_say_where_they_lie_are_refused(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "all.dcm", range(SLICES), PerFrameFunctionalGroupsSequence=None)
    with pytest.raises(InvalidInputError, match="holds 6 frames and does not say where each lies"):
        read_series(tmp_path)


def test_a_missing_frame_is_noticed(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "all.dcm", [0, 1, 2, 4, 5, 3])
    dataset = pydicom.dcmread(tmp_path / "all.dcm")
    del dataset.PerFrameFunctionalGroupsSequence[2]
    dataset.save_as(tmp_path / "all.dcm")
    with pytest.raises(InvalidInputError, match="describes 5 of its 6 frames"):
        read_series(tmp_path)


def test_axial_slices_are_recognised_by_their_orientation() -> None:
    assert np.cross(AXIAL[:3], AXIAL[3:]).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("signed", "above"),
    [(1, 0), (0, 0xF000)],
    ids=["a sign that is not repeated", "an overlay in the unused bits"],
)
def test_bits_above_the_stored_ones_say_nothing_in_slices_and_in_frames(
    tmp_path: Path, signed: int, above: int
) -> None:
    values = np.arange(SLICES * 30).reshape(SLICES, 6, 5) * 11 - signed * 990
    twelve = ((values & 0xFFF) | above).astype("<u2")
    stored = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": signed}
    write_slices(tmp_path / "slices", [{**stored, "PixelData": one.tobytes()} for one in twelve])
    write_enhanced(tmp_path / "frames" / "all.dcm", range(SLICES), **stored, PixelData=twelve.tobytes())
    for folder in ("slices", "frames"):
        np.testing.assert_array_equal(read_series(tmp_path / folder).array, (values - 1000.0).transpose())


@pytest.mark.parametrize(("stored", "high"), [(12, 15), (12, 12), (15, 15)])
def test_values_that_are_not_in_the_lowest_bits_are_refused(tmp_path: Path, stored: int, high: int) -> None:
    bits = {"BitsStored": stored, "HighBit": high, "PixelRepresentation": 0}
    twelve = np.arange(SLICES * 30, dtype="<u2").reshape(SLICES, 6, 5) << 4
    write_slices(tmp_path / "slices", [{**bits, "PixelData": one.tobytes()} for one in twelve])
    write_enhanced(tmp_path / "frames" / "all.dcm", range(SLICES), **bits, PixelData=twelve.tobytes())
    for folder in ("slices", "frames"):
        with pytest.raises(InvalidInputError, match=f"has HighBit {high} where {stored} bits .* expected {stored - 1}"):
            read_series(tmp_path / folder)


def test_parts_in_different_frames_of_reference_are_refused(tmp_path: Path) -> None:
    write_slices(tmp_path, [{"FrameOfReferenceUID": f"1.2.{1 + index // 3}"} for index in range(SLICES)])
    with pytest.raises(
        InvalidInputError, match=r"has 2 frames of reference \(FrameOfReferenceUID of 88\.dcm and 85\.dcm\), expected"
    ):
        read_series(tmp_path)


@pytest.mark.parametrize("frames", [["1.2.3"] * SLICES, [f"1.2.{index}" for index in range(SLICES)]])
def test_a_frame_of_reference_of_all_or_of_each_slice_is_none_that_parts_a_series(
    tmp_path: Path, frames: list[str]
) -> None:
    write_slices(tmp_path, [{"FrameOfReferenceUID": frame} for frame in frames])
    np.testing.assert_array_equal(read_series(tmp_path).array, by_pydicom(tmp_path))
