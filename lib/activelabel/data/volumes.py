"""Reading 3D images, with one line on the problem of each unusable image."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from activelabel.data.channel_grids import on_grid
from activelabel.data.dicom.frames import read_frames
from activelabel.data.files.guard import largest_voxels
from activelabel.data.files.image_files import AnyImage, ImageFiles
from activelabel.data.files.opening import Header, finite, open_header, open_voxels, slicer_moves_voxels, unreadable
from activelabel.data.grids import TOLERANCE_VOXELS, Grid, axis_order, has_inverse
from activelabel.data.segmentations import segments_of
from activelabel.errors import ActiveLabelError, InvalidInputError

_KNOWN_GRIDS = 4096
"""The number of files of which a process remembers the grid: some kilobytes each."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image that passed all checks.

    Attributes:
        array: the channel that viewers show, float32 (W, H, D), finite.
        affine_ras: (4, 4), of all channels.
        path: its file or folder; of several, the one of the channel that is shown.
        other_affines: see `Grid`.
        stack: all channels, float32 (C, W, H, D), on the grid of the shown one; None if there is only one.
        resampled: by place in the stack, the SHA-256 of each channel that lay on another grid, as its file has it.
    """

    array: NDArray[np.float32]
    affine_ras: NDArray[np.float64]
    path: Path
    other_affines: tuple[NDArray[np.float64], ...] = ()
    stack: NDArray[np.float32] | None = None
    resampled: Mapping[int, str] = field(default_factory=dict)

    @property
    def channels(self) -> NDArray[np.float32]:
        """All channels, float32 (C, W, H, D); a view."""
        return self.array[None] if self.stack is None else self.stack

    @property
    def grid(self) -> Grid:
        """The grid of the voxels."""
        width, height, depth = self.array.shape
        return Grid((width, height, depth), self.affine_ras, self.other_affines)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along each axis."""
        return self.grid.spacing_mm


def read_volume(image: AnyImage) -> Volume:
    """Read an image: a file with one of `data.files.names.ENDINGS`, a folder that holds one DICOM series, or channels.

    Intensities are those that the header's slope and intercept give, Hounsfield units for CT. Trailing axes of length 1
    (a NIfTI of one time point) are dropped. Voxels have the place that 3D Slicer gives them. Channels are brought to
    the grid of the one that is shown, see `data.channel_grids`.

    Raises:
        InvalidInputError: a file is missing, empty, truncated or of another kind; the image is not 3D (an axis of one
            voxel counts as missing: that is a 2D image); a voxel is NaN or infinite; the affine has no inverse, or is
            sheared; it is a segmentation; 3D Slicer could not open it; a series is no regular volume; a channel is
            missing, or covers too little of the one that is shown.
    """
    files = ImageFiles.of(image)
    if not files.channels:
        return _read_file(files.path)
    return _read_frames(files) if files.in_frames else _read_channels(files)


def read_grid(image: AnyImage) -> Grid:
    """The grid of an image from its header alone: the voxels are neither read nor checked.

    Raises:
        InvalidInputError: as `read_volume`, as far as the header of the file that names the image shows it.
    """
    files = ImageFiles.of(image)
    path = files.path
    with _of_this_file(path):
        if path.is_dir() or not path.exists():
            return _grid_of(files)
        status = path.stat()
        # A program that keeps the time of the last change, as for a mended header, does not keep that of the status.
        state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        return _known_grid(files, (*state, largest_voxels()))


def _grid_of(files: ImageFiles) -> Grid:
    path = files.path
    if path.is_dir():
        return _read_file(path).grid
    header = open_header(path)
    return _checked_grid(path, _of_one_frame(files, header) if files.in_frames else header)


@lru_cache(_KNOWN_GRIDS)
def _known_grid(files: ImageFiles, _state: tuple[int, ...]) -> Grid:
    """The grid of a file in this state, so that who asks for a case and then saves its label reads its header once."""
    grid = _grid_of(files)
    for affine in (grid.affine_ras, *grid.other_affines):
        affine.setflags(write=False)
    return grid


def _read_file(path: Path) -> Volume:
    with _of_this_file(path):
        if path.is_dir():
            array, affine_ras = read_frames(path)
            header = Header(array.shape, affine_ras, (), 1, {})
        else:
            array, header = open_voxels(path)
        grid = _checked_grid(path, header)
        return Volume(finite(path, array), grid.affine_ras, path, grid.other_affines)


def _read_frames(files: ImageFiles) -> Volume:
    """An image whose channels are frames of one file."""
    path = files.path
    with _of_this_file(path):
        array, header = open_voxels(path)
        grid = _checked_grid(path, _of_one_frame(files, header))
        frames = array.reshape((*grid.shape, -1))
        stack = np.empty((len(files.channels), *grid.shape), dtype=np.float32)
        for place, channel in enumerate(files.channels):
            stack[place] = frames[..., channel.frame]
    return Volume(finite(path, stack)[files.shown], grid.affine_ras, path, grid.other_affines, stack)


def _of_one_frame(files: ImageFiles, header: Header) -> Header:
    """The header of each frame of a file, whose frames must be as many as the channels need.

    Raises:
        InvalidInputError: there are more or fewer.
    """
    beyond = [length for length in (*header.shape[3:], header.layers) if length != 1]
    count = beyond[0] if beyond else 1
    highest = max(channel.frame or 0 for channel in files.channels)
    expected = f"{highest + 1} or more" if files.frame_count is None else str(files.frame_count)
    if len(beyond) > 1 or len(header.shape) < 3 or count <= highest or files.frame_count not in (None, count):
        names = ", ".join(channel.name for channel in files.channels)
        raise InvalidInputError(
            f"{files.name}: the image is {header.size} voxels of {header.layers} values, expected 3D with {expected} "
            f"frames for the channels {names}: export it with all of them, or say with --conf channel_files how the "
            "files of the channels end"
        )
    return replace(header, shape=header.shape[:3], layers=1)


def _read_channels(files: ImageFiles) -> Volume:
    """An image whose channels are files."""
    missing = [channel for channel in files.channels if not channel.path.exists()]
    if missing:
        raise InvalidInputError(
            f"{files.name}: its channel {missing[0].name} is missing, expected the file {missing[0].path.name} beside "
            "it: put it there"
        )
    shown = _read_file(files.path)
    target, reference = shown.grid, files.channels[files.shown]
    stack = np.empty((len(files.channels), *target.shape), dtype=np.float32)
    resampled = {}
    for place, channel in enumerate(files.channels):
        own = shown if place == files.shown else _read_file(channel.path)
        names = (f"{channel.path.name}: its channel {channel.name}", f"{reference.name} ({reference.path.name})")
        stack[place] = own.array if own is shown else on_grid(own.array, own.grid, target, *names)
        if axis_order(own.grid, target) is None:
            resampled[place] = _sha256(own)
    return Volume(stack[files.shown], shown.affine_ras, shown.path, shown.other_affines, stack, resampled)


def _sha256(volume: Volume) -> str:
    """The SHA-256 of a channel on its own grid; interpolated, it may differ from machine to machine."""
    digest = hashlib.sha256(f"{volume.array.shape} {volume.affine_ras.round(4).tolist()}".encode())
    digest.update(np.ascontiguousarray(volume.array).data)
    return digest.hexdigest()


def _checked_grid(path: Path, header: Header) -> Grid:
    """The grid of an image after the checks that every client can open and annotate it."""
    if segments_of(path.name, header.fields) is not None:
        raise InvalidInputError(
            f"{path.name}: it is a segmentation of 3D Slicer, expected an image: labels belong into labels/final"
        )
    if header.layers != 1:
        raise InvalidInputError(
            f"{path.name}: a voxel has {header.layers} values, expected one: export the image in grey values"
        )
    grid = regular_grid(path, header, smallest=2)
    if slicer_moves_voxels(grid) > (1e-3 if header.not_by_itk else TOLERANCE_VOXELS):
        raise InvalidInputError(
            f"{path.name}: its axes are not at right angles (sheared), and what 3D Slicer draws on it would lie "
            "elsewhere: resample it onto a regular grid"
        )
    if header.not_by_itk is not None:
        raise InvalidInputError(f"{header.not_by_itk} (3D Slicer cannot open it)")
    return grid


def _axes_text(affine: NDArray[np.float64]) -> str:
    return ", ".join("(" + ", ".join(f"{value:.4g}" for value in axis) + ")" for axis in affine[:3, :3].T)


def regular_grid(path: Path, header: Header, smallest: int, kind: str = "image") -> Grid:
    """The grid of a 3D file with at least `smallest` voxels along each axis; errors call it by its `kind`.

    Raises:
        InvalidInputError: it is not 3D, or its affine has no inverse.
    """
    affine_ras = header.affine_ras
    if len(header.shape) != 3 or min(header.shape) < smallest or affine_ras is None:
        raise InvalidInputError(
            f"{path.name}: the {kind} is {header.size} voxels, expected 3D with at least {smallest} voxels along each "
            "axis: export it as one volume"
        )
    if not has_inverse(affine_ras):
        raise InvalidInputError(
            f"{path.name}: the affine has no inverse (voxel axes {_axes_text(affine_ras)}), expected three independent "
            "axes with spacing above 0.001 mm: repair the header"
        )
    width, height, depth = header.shape
    return Grid((width, height, depth), affine_ras, header.other_affines)


@contextmanager
def _of_this_file(path: Path) -> Iterator[None]:
    """A context that turns any error of a reader into one line about the file: a header may hold any number."""
    try:
        yield
    except ActiveLabelError:
        raise
    except Exception as error:  # libraries raise struct.error, OverflowError and others
        raise unreadable(path, error) from error
