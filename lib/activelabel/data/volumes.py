"""Reading 3D images, and saying in one line what is wrong with those that cannot be used."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from activelabel.data.grids import Grid
from activelabel.errors import ActiveLabelError, InvalidInputError

NIFTI_SUFFIXES = (".nii", ".nii.gz")
ITK_SUFFIXES = (".nrrd", ".mha")

# What nibabel, gzip and numpy raise for a file that is truncated, of another kind, or larger than it says.
_NIFTI_FAILURES = (ImageFileError, HeaderDataError, EOFError, zlib.error, OSError, ValueError, MemoryError)
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image that passed all checks: `array` float32 (W, H, D), finite; `affine_ras` (4, 4); its file or folder."""

    array: NDArray[np.float32]
    affine_ras: NDArray[np.float64]
    path: Path

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        width, height, depth = self.array.shape
        return Grid((width, height, depth), self.affine_ras)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along each axis."""
        return self.grid.spacing_mm


def read_volume(path: Path | str) -> Volume:
    """Read a `.nii`, `.nii.gz`, `.nrrd` or `.mha` file, or a folder that holds one DICOM series.

    Intensities are those that the header's slope and intercept give, Hounsfield units for CT. Trailing axes of length 1
    (a NIfTI of one time point) are dropped. A NIfTI that says nothing of its position gets nibabel's default.

    Raises:
        InvalidInputError: the file is missing, empty, truncated or of another kind; the image is not 3D (an axis of one
            voxel counts as missing: that is a 2D image); a voxel is NaN or infinite; the affine has no inverse.
    """
    path = Path(path)
    with _of_this_file(path):
        array, affine_ras = _read(path)
        grid = _checked_grid(path, array.shape, affine_ras)
        array = array.reshape(grid.shape)
    unusable = array.size - int(np.count_nonzero(np.isfinite(array)))
    if unusable:
        raise InvalidInputError(
            f"{path.name}: {unusable} of {array.size} voxels are NaN or infinite, expected finite numbers: "
            "replace them (for example by the value of air) and save the file again"
        )
    return Volume(array, grid.affine_ras, path)


def read_grid(path: Path | str) -> Grid:
    """Grid of an image, from its header alone: the voxels are neither read nor checked.

    Raises:
        InvalidInputError: as `read_volume`, as far as the header shows it.
    """
    path = Path(path)
    if path.is_dir():
        return read_volume(path).grid
    with _of_this_file(path):
        return _read_grid(path)


def _read_grid(path: Path) -> Grid:
    _check_file(path)
    if path.name.endswith(ITK_SUFFIXES):
        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(str(path))
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            raise _unreadable(path, error) from error
        return _checked_grid(path, reader.GetSize(), _itk_affine_ras(reader))
    try:
        header = nibabel.load(path)
    except _NIFTI_FAILURES as error:
        raise _unreadable(path, error) from error
    return _checked_grid(path, header.shape, header.affine)


def _read(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
    if path.is_dir():
        return _read_itk(path, _dicom_files(path))
    _check_file(path)
    if path.name.endswith(ITK_SUFFIXES):
        return _read_itk(path, [str(path)])
    return _read_nifti(path)


def _check_file(path: Path) -> None:
    if not path.exists():
        raise InvalidInputError(f"{path.name}: there is no such file: check the name, or put the file there")
    if not path.name.endswith(NIFTI_SUFFIXES + ITK_SUFFIXES):
        known = ", ".join(NIFTI_SUFFIXES + ITK_SUFFIXES)
        raise InvalidInputError(f"{path.name}: expected a file that ends in {known}: convert it to one of these")
    if path.stat().st_size == 0:
        raise InvalidInputError(f"{path.name}: the file is empty, expected a 3D image: export or copy it again")


def _read_nifti(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
    try:
        image = nibabel.load(path, mmap=False)
        if image.get_data_dtype().names or np.issubdtype(image.get_data_dtype(), np.complexfloating):
            raise InvalidInputError(
                f"{path.name}: voxels are {image.get_data_dtype()}, expected one real number each: "
                "export the image in grey values"
            )
        return image.get_fdata(dtype=np.float32, caching="unchanged"), image.affine
    except _NIFTI_FAILURES as error:
        raise _unreadable(path, error) from error


def _read_itk(path: Path, files: list[str]) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
    try:
        image = SimpleITK.ReadImage(files if len(files) > 1 else files[0])
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InvalidInputError(
            f"{path.name}: a voxel has {image.GetNumberOfComponentsPerPixel()} values, expected one: "
            "export the image in grey values"
        )
    # SimpleITK's arrays are (D, H, W).
    array = SimpleITK.GetArrayViewFromImage(image).transpose().astype(np.float32)
    return array, _itk_affine_ras(image)


def _dicom_files(folder: Path) -> list[str]:
    series = SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if len(series) != 1:
        raise InvalidInputError(
            f"{folder.name}: the folder holds {len(series)} DICOM series, expected one: give each a folder of its own"
        )
    return list(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0]))


def _itk_affine_ras(image: SimpleITK.Image | SimpleITK.ImageFileReader) -> NDArray[np.float64] | None:
    """Affine from ITK's spacing, direction and origin, which are LPS; None unless the image is 3D."""
    if image.GetDimension() != 3:
        return None
    affine_lps = np.eye(4)
    affine_lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    affine_lps[:3, 3] = image.GetOrigin()
    return np.asarray(_LPS_TO_RAS @ affine_lps, dtype=np.float64)


def _checked_grid(path: Path, shape: tuple[int, ...], affine_ras: NDArray[np.float64] | None) -> Grid:
    """The grid of what was read, without trailing axes of length 1."""
    kept = list(shape)
    while len(kept) > 3 and kept[-1] == 1:
        kept.pop()
    if len(kept) != 3 or min(kept) < 2 or affine_ras is None:
        size = "x".join(str(length) for length in shape)
        raise InvalidInputError(
            f"{path.name}: the image is {size} voxels, expected 3D with at least 2 voxels along each axis: "
            "export it as one volume"
        )
    affine_ras = np.asarray(affine_ras, dtype=np.float64)
    if not np.isfinite(affine_ras).all() or abs(np.linalg.det(affine_ras[:3, :3])) < 1e-9:
        raise InvalidInputError(
            f"{path.name}: the affine has no inverse (voxel axes {affine_ras[:3, :3].round(3).tolist()}), expected "
            "three independent axes with spacing above 0: repair the header"
        )
    return Grid((kept[0], kept[1], kept[2]), affine_ras)


@contextmanager
def _of_this_file(path: Path) -> Iterator[None]:
    """Whatever a reader raises for a file is that file's problem, and one line: a header may hold any number."""
    try:
        yield
    except ActiveLabelError:
        raise
    except Exception as error:  # libraries raise struct.error, OverflowError and what not
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: BaseException) -> InvalidInputError:
    """What a reader said, on one line and without the path of this machine."""
    said = " ".join(str(error).replace(str(path), path.name).split()) or type(error).__name__
    return InvalidInputError(
        f"{path.name}: cannot be read as a 3D image ({said[:200]}): the file is truncated, damaged or of another kind; "
        "export or copy it again"
    )
