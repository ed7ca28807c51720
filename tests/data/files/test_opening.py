"""Images whose headers give two places or none: a label that ITK writes on the opened copy has the same voxels."""

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from activelabel.data.files.opening import open_voxels, unreadable
from activelabel.data.label_checking import check_label
from activelabel.data.volumes import read_grid, read_volume
from activelabel.errors import InvalidInputError

AFFINE = np.array([[1, 0, 0, -20], [0, 1, 0, -30], [0, 0, 1.2, 10], [0, 0, 0, 1.0]])
SHAPE = (9, 8, 7)
COS, SIN = np.cos(np.deg2rad(10)), np.sin(np.deg2rad(10))
TURNED = np.array([[COS, -SIN, 0, 0], [SIN, COS, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]) @ AFFINE
SHIFTED = AFFINE + np.array([[0, 0, 0, 5.0], *[[0] * 4] * 3])
MIRRORED = np.array([[-1, 0, 0, -12], [0, 1, 0, -30], [0, 0, 1.2, 10], [0, 0, 0, 1.0]])  # over the same box
WITHOUT_SPACING = np.array([[1, 0, 0, -20], [0, 1, 0, -30], [0, 0, 1, 10], [0, 0, 0, 1.0]])


def sheared(by: float) -> np.ndarray:
    shear = np.eye(4)
    shear[0, 2] = by
    return shear @ AFFINE


TWO_PLACES = {  # qform, its code, sform, its code
    "both codes 0": (AFFINE, 0, AFFINE, 0),
    "turned": (AFFINE, 1, TURNED, 2),
    "shifted": (AFFINE, 1, SHIFTED, 4),
    "mirrored": (AFFINE, 1, MIRRORED, 2),
    "mirrored qform": (MIRRORED, 1, AFFINE, 2),
    "without spacing": (None, 0, WITHOUT_SPACING, 2),
    "sheared beside qform": (AFFINE, 1, sheared(0.25), 2),
    "as it should be": (AFFINE, 1, AFFINE, 1),
}


def write(
    path: Path, qform: np.ndarray | None, qcode: int, sform: np.ndarray, scode: int, frames: tuple[int, ...] = ()
) -> Path:
    voxels = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(*SHAPE, *frames)
    image = nibabel.Nifti1Image(voxels, AFFINE)
    image.set_qform(qform, qcode)
    image.set_sform(sform, scode)
    image.header["pixdim"][1:4] = (0.87, 0.87, 0.8) if sform is WITHOUT_SPACING else (1, 1, 1.2)
    nibabel.save(image, path)
    return path


@pytest.fixture
def drawn() -> np.ndarray:
    label = np.zeros(SHAPE, dtype=np.uint8)
    label[1:4, 2, 3:5], label[7, 6, 1] = 1, 2
    return label


def by_itk(drawn: np.ndarray, image: Path, path: Path) -> Path:
    label = SimpleITK.GetImageFromArray(drawn.transpose())
    label.CopyInformation(SimpleITK.ReadImage(str(image)))
    SimpleITK.WriteImage(label, str(path))
    return path


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
@pytest.mark.parametrize("kind", TWO_PLACES)
def test_a_label_that_itk_writes_on_the_opened_copy_lands_on_the_same_voxels(
    tmp_path: Path, drawn: np.ndarray, kind: str, ending: str
) -> None:
    image = write(tmp_path / "image.nii.gz", *TWO_PLACES[kind])
    label = by_itk(drawn, image, tmp_path / f"label{ending}")
    for grid in (read_grid(image), read_volume(image).grid):
        np.testing.assert_array_equal(check_label(label, grid, ["a", "b"]).array, drawn)


@pytest.mark.parametrize("kind", TWO_PLACES)
def test_a_label_that_nibabel_writes_on_the_opened_copy_lands_on_the_same_voxels(
    tmp_path: Path, drawn: np.ndarray, kind: str
) -> None:
    image = write(tmp_path / "image.nii.gz", *TWO_PLACES[kind])
    loaded = nibabel.load(image)
    for header in (None, loaded.header):
        nibabel.save(nibabel.Nifti1Image(drawn, loaded.affine, header), tmp_path / "label.nii.gz")
        np.testing.assert_array_equal(check_label(tmp_path / "label.nii.gz", read_grid(image), ["a", "b"]).array, drawn)


@pytest.mark.parametrize("kind", TWO_PLACES)
def test_an_image_lies_where_itk_puts_it(tmp_path: Path, kind: str) -> None:
    image = write(tmp_path / "image.nii.gz", *TWO_PLACES[kind])
    itk = SimpleITK.ReadImage(str(image))
    corner = itk.TransformIndexToPhysicalPoint([8, 7, 6])
    grid = read_grid(image)
    np.testing.assert_allclose(grid.affine_ras @ [8, 7, 6, 1], [-corner[0], -corner[1], corner[2], 1], atol=1e-4)
    np.testing.assert_allclose(grid.spacing_mm, itk.GetSpacing(), rtol=1e-5)


@pytest.mark.parametrize("by", [0.25, 0.01])
def test_a_sheared_image_is_refused_as_slicer_cannot_open_it(tmp_path: Path, by: float) -> None:
    image = write(tmp_path / "image.nii.gz", None, 0, sheared(by), 1)
    with pytest.raises(RuntimeError):
        SimpleITK.ReadImage(str(image))
    for read in (read_grid, read_volume):
        with pytest.raises(InvalidInputError, match=r"image.nii.gz: its axes are not at right angles \(sheared\)"):
            read(image)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_another_sheared_image_is_refused_as_its_label_would_lie_elsewhere(tmp_path: Path, ending: str) -> None:
    image = SimpleITK.GetImageFromArray(np.zeros((30, 30, 30), dtype=np.float32))
    image.SetDirection([1, 0, 0.1, 0, 1, 0, 0, 0, 1])
    SimpleITK.WriteImage(image, str(tmp_path / f"image{ending}"))
    with pytest.raises(InvalidInputError, match="not at right angles"):
        read_grid(tmp_path / f"image{ending}")


@pytest.mark.parametrize("frames", [(1,), (1, 1)])
def test_one_frame_of_four_dimensions_is_annotated_as_three(
    tmp_path: Path, drawn: np.ndarray, frames: tuple[int, ...]
) -> None:
    image = write(tmp_path / "image.nii.gz", AFFINE, 1, AFFINE, 1, frames)
    label = by_itk(drawn, image, tmp_path / "label.nii.gz")
    np.testing.assert_array_equal(check_label(label, read_grid(image), ["a", "b"]).array, drawn)


@pytest.mark.parametrize("intent", [1006, 1007])  # displacement, vector
@pytest.mark.parametrize("shape", [(9, 8, 1), (9, 8, 1, 1, 3)])
def test_vectors_on_one_slice_are_refused_as_they_are_not_3d(
    tmp_path: Path, intent: int, shape: tuple[int, ...]
) -> None:
    """ITK leaves out their last axes of one voxel, down to two."""
    image = nibabel.Nifti1Image(np.zeros(shape, np.float32), AFFINE)
    image.header["intent_code"] = intent
    nibabel.save(image, tmp_path / "a.nii.gz")
    for read in (read_grid, read_volume):
        with pytest.raises(InvalidInputError, match=r"a\.nii\.gz: the image is 9x8x1(x1x3)? voxels, expected 3D"):
            read(tmp_path / "a.nii.gz")


def test_a_second_kind_of_nifti_that_slicer_does_not_know_is_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti2Image(np.zeros(SHAPE, dtype=np.float32), AFFINE), tmp_path / "image.nii.gz")
    with pytest.raises(InvalidInputError, match="3D Slicer cannot open it"):
        read_grid(tmp_path / "image.nii.gz")


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("slope", [0.0, np.nan, np.inf])
def test_an_intercept_without_a_slope_is_refused_as_readers_differ_about_it(
    tmp_path: Path, slope: float, kind: Any, ending: str
) -> None:
    file = tmp_path / f"ct{ending}"
    raw = bytearray(kind(np.full(SHAPE, 7, np.int16), AFFINE).to_bytes())
    fields, start = ("<f4", 112) if kind is nibabel.Nifti1Image else ("<f8", 176)
    scale = np.array([slope, -1024.0], fields).tobytes()
    raw[start : start + len(scale)] = scale
    file.write_bytes(gzip.compress(bytes(raw)) if ending == ".nii.gz" else bytes(raw))
    for read in (read_grid, read_volume):
        with pytest.raises(
            InvalidInputError, match=rf"{file.name}: its header has the slope \S+ and the intercept -1024"
        ):
            read(file)
    without = np.array([slope, 0.0], fields).tobytes()
    raw[start : start + len(without)] = without
    file.write_bytes(gzip.compress(bytes(raw)) if ending == ".nii.gz" else bytes(raw))
    assert (open_voxels(file)[0] == 7).all()


def test_an_error_of_itk_reads_the_same_each_time(tmp_path: Path) -> None:
    """Its lines hold the address of an object, which is another one in each process."""
    nibabel.save(nibabel.Nifti2Image(np.zeros(SHAPE, dtype=np.float32), AFFINE), tmp_path / "image.nii.gz")
    with pytest.raises(InvalidInputError, match="NiftiImageIO: ") as caught:
        read_grid(tmp_path / "image.nii.gz")
    assert "0x" not in str(caught.value)


def test_units_in_the_header_count_as_itk_counts_them(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros(SHAPE, dtype=np.float32), np.diag([0.001, 0.001, 0.002, 1]))
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "image.nii.gz")
    assert read_grid(tmp_path / "image.nii.gz").spacing_mm == pytest.approx((1, 1, 2))


def test_a_pair_of_files_is_refused_by_its_name(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Pair(np.zeros(SHAPE, dtype=np.float32), AFFINE), tmp_path / "image.img")
    for name in ("image.hdr", "image.img"):
        with pytest.raises(InvalidInputError, match=f"{name}: an image in two files"):
            read_grid(tmp_path / name)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_a_packed_file_is_unpacked_once(tmp_path: Path, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(-1000, 1000, (64, 64, 128)).astype(np.int16)  # 1 MB
    nibabel.save(kind(values, np.diag([1.0, 1, 2, 1])), tmp_path / "a.nii.gz")
    unpacked_bytes = 0
    real = gzip._GzipReader.read  # type: ignore[attr-defined]  # what it unpacks with is another class on Python 3.12

    def counted(reader: Any, size: int = -1) -> bytes:
        nonlocal unpacked_bytes
        part: bytes = real(reader, size)
        unpacked_bytes += len(part)
        return part

    monkeypatch.setattr(gzip._GzipReader, "read", counted)  # type: ignore[attr-defined]
    array, header = open_voxels(tmp_path / "a.nii.gz")

    np.testing.assert_array_equal(array, values)
    assert header.shape == values.shape
    assert values.nbytes < unpacked_bytes < 1.2 * values.nbytes


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_smallest_packed_file_is_read(tmp_path: Path, kind: Any, order: str) -> None:
    values = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    image = kind(values, np.diag([1.0, 1, 2, 1]))
    kind(values, None, image.header.as_byteswapped(order)).to_filename(tmp_path / "a.nii.gz")

    np.testing.assert_array_equal(open_voxels(tmp_path / "a.nii.gz")[0], values)


@pytest.mark.parametrize("reason", ["Success", "No such file or directory"])
def test_the_last_error_of_the_system_is_not_told_as_the_reason(tmp_path: Path, reason: str) -> None:
    """ITK's own words about a MetaImage file that is cut off."""
    file = tmp_path / "a.mha"
    said = f"ITK ERROR: MetaImageIO(0x55): File cannot be read: {file} for reading.\nReason: {reason}"
    assert str(unreadable(file, RuntimeError(said))) == (
        "a.mha: cannot be read as a 3D image (ITK ERROR: MetaImageIO: File cannot be read: a.mha for reading.): "
        "the file is truncated, damaged or of another kind; export or copy it again"
    )
