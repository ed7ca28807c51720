"""The only place that opens the file of an image or label: its header, or its voxels too.

The place of voxels is read as by ITK, with which 3D Slicer opens the same file: a label from Slicer then comes back at
the place that Slicer saw. The two forms of the affine in a NIfTI header may disagree or be missing, and libraries then
differ.
"""

import io
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.openers import Opener
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from activelabel.data.files.agreed_volumes import agreed_volume
from activelabel.data.files.guard import check_file
from activelabel.data.files.names import ENDINGS, NIFTI_ENDINGS, ending_of, no_image, stem_of
from activelabel.data.grids import Grid, Scalar, has_inverse
from activelabel.errors import InvalidInputError

if TYPE_CHECKING:
    import SimpleITK  # 50 MB, which is imported where a file needs it: what reads only NIfTI can do without

# Errors of nibabel, gzip and numpy for a file that is truncated, of another kind, or larger than it claims.
_NIFTI_FAILURES = (ImageFileError, HeaderDataError, EOFError, zlib.error, OSError, ValueError, MemoryError)
WHOLE = "iu"
"""The kinds of numpy's types of whole numbers."""
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_ITK_FORMATS = {".nii.gz": "NiftiImageIO", ".nii": "NiftiImageIO", ".nrrd": "NrrdImageIO", ".mha": "MetaImageIO"}
_SAME_PLACE_VOXELS = 1e-3
_LONGEST_HEADER = nibabel.Nifti2Header.sizeof_hdr
_ADDRESS = re.compile(r"\s*\(?\b0x[0-9a-fA-F]+\b\)?")  # of an object of ITK's: another one in each process


@dataclass(frozen=True, eq=False)
class Header:
    """The header of a file.

    Attributes:
        shape: without trailing axes of length 1 beyond the third.
        affine_ras: from voxel index to millimetres as ITK has it; None below three dimensions.
        other_affines: affines of other readers, if these put the voxels elsewhere.
        layers: the number of values of a voxel.
        fields: the fields of a `.nrrd`, text by name.
        not_by_itk: the reason why 3D Slicer cannot open the file; None if it can.
    """

    shape: tuple[int, ...]
    affine_ras: NDArray[np.float64] | None
    other_affines: tuple[NDArray[np.float64], ...]
    layers: int
    fields: Mapping[str, str]
    not_by_itk: InvalidInputError | None = None

    @property
    def size(self) -> str:
        """The lengths of the axes as text."""
        return "x".join(map(str, self.shape))


def open_header(path: Path) -> Header:
    """The header of a file; its voxels are neither read nor checked.

    Raises:
        InvalidInputError: it is missing, empty or of another kind.
    """
    _check_file(path, whole=False)
    return _nifti_header(path, _load_nifti(path)) if _is_nifti(path) else _itk_header(path, _itk_reader(path))


def open_voxels(path: Path) -> tuple[NDArray[np.float32], Header]:
    """The voxels of a file, float32 `header.shape`; `header.layers` values each, if several, along a last axis.

    Raises:
        InvalidInputError: as `open_header`, or the file is truncated or damaged.
    """
    array, header = open_stored(path)
    return array.astype(np.float32, copy=False), header


def open_stored(path: Path) -> tuple[NDArray[Any], Header]:
    """`open_voxels` that leaves whole numbers without a scale as the file stores them; others are float32.

    A label then takes a byte a voxel, not four, and nobody has to look whether its values are whole.

    Raises:
        InvalidInputError: as `open_voxels`.
    """
    unpacked = _check_file(path, whole=True)
    agreed = None if unpacked is None else agreed_volume(unpacked.getbuffer())
    if agreed is not None:
        array, affine = agreed
        stored = array if array.dtype.kind in WHOLE else array.astype(np.float32)
        return stored, Header(array.shape, affine, (), 1, {})
    if _is_nifti(path):
        image = _load_nifti(path, unpacked)
        header = _nifti_header(path, image)
        try:
            array = image.get_fdata(dtype=np.float32, caching="unchanged").reshape(header.shape)
        except _NIFTI_FAILURES as error:
            raise unreadable(path, error) from error
        return array, header
    reader = _itk_reader(path)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise unreadable(path, error) from error
    import SimpleITK

    header = _itk_header(path, reader)
    view = SimpleITK.GetArrayViewFromImage(image)
    array = view.copy() if view.dtype.kind in WHOLE else view.astype(np.float32)
    # SimpleITK's arrays have the axes in reverse order, except for the values of a voxel, which come last in both.
    axes = tuple(range(len(header.shape)))[::-1]
    return array.transpose(axes if header.layers == 1 else (*axes, len(axes))), header


def finite(path: Path, array: NDArray[Scalar]) -> NDArray[Scalar]:
    """The same `array`, if all voxels are finite.

    Raises:
        InvalidInputError: one is NaN or infinite.
    """
    unusable = 0 if array.dtype.kind in WHOLE else array.size - int(np.count_nonzero(np.isfinite(array)))
    if unusable:
        raise InvalidInputError(
            f"{path.name}: {unusable} of {array.size} voxels are NaN or infinite, expected finite numbers: "
            "replace them (for example by the value of air) and save the file again"
        )
    return array


def slicer_moves_voxels(grid: Grid) -> float:
    """The shift in voxels between a label from 3D Slicer and its image; 0 if the image's axes are at right angles.

    ITK writes axes at right angles, the nearest to those of the image.
    """
    spacing_mm = np.array(grid.spacing_mm)
    left, _, right = np.linalg.svd(grid.affine_ras[:3, :3] / spacing_mm)
    turned = np.zeros((4, 3))
    turned[:3] = (left @ right) * spacing_mm
    moved = grid.to_voxels(turned)[:3] - np.eye(3)
    return float(np.abs(moved @ grid.corners()[:3]).max())


def unreadable(path: Path, error: BaseException) -> InvalidInputError:
    """The error of a reader as one line, without the path on this machine.

    What ITK gives as the reason in a line of its own is the system's last error, whatever it was about, or "Success".
    """
    lines = str(error).replace(str(path), path.name).strip().splitlines()
    lines = [line for line in lines if not line.startswith("Reason: ")]
    line = " ".join(_ADDRESS.sub("", lines[-1]).split()) if lines else type(error).__name__
    return InvalidInputError(
        f"{path.name}: cannot be read as a 3D image ({line[:200]}): the file is truncated, damaged or of another kind; "
        "export or copy it again"
    )


def _check_file(path: Path, *, whole: bool) -> io.BytesIO | None:
    if not path.exists():
        raise InvalidInputError(f"{path.name}: there is no such file: check the name, or put the file there")
    problem = no_image(f"{stem_of(path.name)}{ending_of(path.name)}")
    if problem == "":
        problem = f"expected a file that ends in {', '.join(ENDINGS)}: convert it"
    if problem is not None:
        raise InvalidInputError(f"{path.name}: {problem}")
    if path.stat().st_size == 0:
        raise InvalidInputError(f"{path.name}: the file is empty, expected a 3D image: export or copy it again")
    return check_file(path, whole=whole)


def _is_nifti(path: Path) -> bool:
    return ending_of(path.name).lower() in NIFTI_ENDINGS


def _load_nifti(path: Path, unpacked: io.BytesIO | None = None) -> nibabel.Nifti1Image:
    try:
        image = nibabel.load(path, mmap=False) if unpacked is None else _nifti_in(unpacked)
    except _NIFTI_FAILURES as error:
        raise unreadable(path, error) from error
    kind = image.get_data_dtype()
    if kind.names or np.issubdtype(kind, np.complexfloating):
        raise InvalidInputError(
            f"{path.name}: voxels are {kind}, expected one real number each: export the image in grey values"
        )
    _check_scale(path, image, unpacked)
    return image


def _check_scale(path: Path, image: nibabel.Nifti1Image, unpacked: io.BytesIO | None) -> None:
    """Check that all readers give voxels the same values.

    By the format, a slope of 0 or of no number says that there is no scale; ITK then adds the intercept all the same.

    Raises:
        InvalidInputError: there is an intercept without a slope.
    """
    start = path if unpacked is None else io.BytesIO(unpacked.getbuffer()[:_LONGEST_HEADER])
    with Opener(start) as file:
        header = type(image.header).from_fileobj(file, check=False)
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    has_slope, has_intercept = (number != 0 and math.isfinite(number) for number in (slope, intercept))
    if has_intercept and not has_slope:
        raise InvalidInputError(
            f"{path.name}: its header has the slope {slope:g} and the intercept {intercept:g}, which some programs add "
            "to the voxels and some do not: set the slope to 1 if it belongs to them, or else the intercept to 0"
        )


def _nifti_in(unpacked: io.BytesIO) -> nibabel.Nifti1Image:
    head = unpacked.getbuffer()[:4]
    is_second = nibabel.Nifti2Header.sizeof_hdr in (int.from_bytes(head, "little"), int.from_bytes(head, "big"))
    unpacked.seek(0)
    return (nibabel.Nifti2Image if is_second else nibabel.Nifti1Image).from_stream(unpacked)


def _nifti_header(path: Path, image: nibabel.Nifti1Image) -> Header:
    shape, own = _without_single_frames(image.shape), np.asarray(image.affine, dtype=np.float64)
    if len(shape) < 3 or min(shape) < 1:
        return Header(shape, None, (), 1, {})
    grid = Grid((shape[0], shape[1], shape[2]), own)
    singular = not has_inverse(own)
    try:
        affine = _itk_affine_ras(_itk_reader(path))
    except InvalidInputError as error:
        return Header(shape, own, (), 1, {}, error)
    if affine is None:  # ITK leaves out the last axes of vectors (by their intent) that have one voxel
        return Header(shape, None, (), 1, {})
    if not singular and _apart_voxels(grid, affine) < _SAME_PLACE_VOXELS:
        return Header(shape, own, (), 1, {})
    return Header(shape, affine, () if singular else (own,), 1, {})


def _apart_voxels(grid: Grid, affine_ras: NDArray[np.float64]) -> float:
    """The largest distance, in voxels, between a corner by another affine and the same corner of `grid`."""
    corners = grid.corners()
    return float(np.abs(grid.to_voxels(affine_ras @ corners) - corners).max())


def _without_single_frames(shape: tuple[int, ...]) -> tuple[int, ...]:
    kept = list(shape)
    while len(kept) > 3 and kept[-1] == 1:
        kept.pop()
    return tuple(kept)


def _itk_reader(path: Path) -> "SimpleITK.ImageFileReader":
    """ITK's reader for the format of the ending, with the header read; no other format is tried."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)  # it would print each odd header at every reading
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(_ITK_FORMATS[ending_of(path.name).lower()])
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise unreadable(path, error) from error
    return reader


def _itk_header(path: Path, reader: "SimpleITK.ImageFileReader") -> Header:
    fields = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    shape = _without_single_frames(tuple(reader.GetSize()))
    return Header(shape, _itk_affine_ras(reader), (), reader.GetNumberOfComponents(), fields)


def _itk_affine_ras(reader: "SimpleITK.ImageFileReader") -> NDArray[np.float64] | None:
    """The affine from ITK's spacing, direction and origin, which are LPS; None below three dimensions."""
    dimensions = reader.GetDimension()
    if dimensions < 3:
        return None
    affine_lps = np.eye(4)
    direction = np.reshape(reader.GetDirection(), (dimensions, dimensions))[:3, :3]
    affine_lps[:3, :3] = direction * np.asarray(reader.GetSpacing()[:3])
    affine_lps[:3, 3] = reader.GetOrigin()[:3]
    return np.asarray(_LPS_TO_RAS @ affine_lps, dtype=np.float64)
