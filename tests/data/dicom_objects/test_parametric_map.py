"""A map as DICOM Parametric Map: each value at its place, and what the numbers are."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import SERIES, write_enhanced, write_slices
from pydicom.uid import ParametricMapStorage

from activelabel.data.dicom_objects.parametric_map import parametric_map
from activelabel.data.dicom_objects.quantity import Quantity
from activelabel.data.dicom_objects.series import read_series
from activelabel.data.volumes import Volume
from activelabel.errors import InvalidInputError

ENTROPY = Quantity("entropy", "Entropy of the prediction", in_nats=True)
SLICES, ROWS, COLUMNS = 4, 6, 5


@pytest.fixture(params=["one file a slice", "one file"])
def series(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "series"
    frame = {"FrameOfReferenceUID": f"{SERIES}.2"}
    if request.param == "one file":
        write_enhanced(folder / "all.dcm", [2, 0, 3, 1], **frame)
    else:
        write_slices(folder, [frame] * SLICES)
    return folder


def made_for(series: Path, flipped: bool = False) -> tuple[pydicom.Dataset, np.ndarray]:
    """Make a map whose values all differ, and return it with the values as slices from the feet: (N, rows, columns)."""
    image = read_series(series)
    values = (np.arange(image.array.size).reshape(image.array.shape) / 1000).astype(np.float32)
    given = Volume(values, image.affine_ras, series)
    if flipped:  # the same voxels, stored from the other end
        turn = np.diag([1.0, 1, -1, 1])
        turn[2, 3] = values.shape[2] - 1
        given = Volume(np.ascontiguousarray(values[:, :, ::-1]), image.affine_ras @ turn, series)
    content = parametric_map(given, series, ENTROPY, 3, "identity")
    return pydicom.dcmread(BytesIO(content)), values.transpose(2, 1, 0)


@pytest.mark.parametrize("flipped", [False, True])
def test_each_frame_lies_where_its_slice_does(series: Path, flipped: bool) -> None:
    made, slices = made_for(series, flipped)
    frames = np.frombuffer(made.FloatPixelData, "<f4").reshape(SLICES, ROWS, COLUMNS)
    heights = [
        float(one.PlanePositionSequence[0].ImagePositionPatient[2]) for one in made.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(heights) == [30, 32.5, 35, 37.5]
    for frame, height in zip(frames, heights, strict=True):
        np.testing.assert_array_equal(frame, slices[round((height - 30) / 2.5)])


def test_a_parametric_map_says_what_its_numbers_are_and_where_they_come_from(series: Path) -> None:
    made, slices = made_for(series)
    assert made.SOPClassUID == ParametricMapStorage
    assert (made.StudyInstanceUID, made.ReferencedSeriesSequence[0].SeriesInstanceUID) == (f"{SERIES}.1", SERIES)
    assert made.SeriesInstanceUID != SERIES
    assert "model 3" in made.SoftwareVersions
    mapping = made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)
    unit = mapping.MeasurementUnitsCodeSequence[0]
    assert (unit.CodeValue, unit.CodingSchemeDesignator) == ("{nat}", "UCUM")
    quantity = mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0]
    assert (quantity.CodeValue, quantity.CodingSchemeDesignator) == ("entropy", "99ACTIVELABEL")
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == pytest.approx(float(slices.max()))


def test_the_same_map_has_the_same_identifiers(series: Path) -> None:
    (one, _), (again, _) = made_for(series), made_for(series)
    assert (one.SOPInstanceUID, one.SeriesInstanceUID) == (again.SOPInstanceUID, again.SeriesInstanceUID)


def test_a_certain_model_gives_a_map_of_zeros(series: Path) -> None:
    image = read_series(series)
    content = parametric_map(Volume(np.zeros_like(image.array), image.affine_ras, series), series, ENTROPY, 1, "zero")
    assert not np.frombuffer(pydicom.dcmread(BytesIO(content)).FloatPixelData, "<f4").any()


def test_a_map_of_other_voxels_is_refused(series: Path) -> None:
    image = read_series(series)
    moved = image.affine_ras.copy()
    moved[0, 3] += 10
    with pytest.raises(InvalidInputError, match="does not lie on the voxels of the series: use form=nifti"):
        parametric_map(Volume(image.array, moved, series), series, ENTROPY, 1, "moved")


def test_a_series_without_a_frame_of_reference_is_refused_in_one_line(tmp_path: Path) -> None:
    write_slices(tmp_path / "series", [{}] * SLICES)
    with pytest.raises(InvalidInputError, match=r"no parametric map can be made .*FrameOfReferenceUID.*use form=nifti"):
        made_for(tmp_path / "series")
