"""Checks of the sizes that a DICOM object claims, on its bytes, before a library unpacks it.

The libraries unpack a deflated object whole, allocate the size in a JPEG's own header, and fill in missing voxels.
"""

import io
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import generate_pixel_data_fragment
from pydicom.filebase import DicomBytesIO
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from activelabel.data.files import guard as file_guard
from activelabel.errors import InvalidInputError

_PREAMBLE_BYTES = 132
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT")
_CHUNK = 2**20
_BYTES_OF_A_VALUE = 8  # as stored, and as float32


def open_object(path: Path, **options: Any) -> FileDataset:
    """Open an object as `pydicom.dcmread` does, but never allocate more bytes than the file has.

    Raises:
        Exception: any error of pydicom for a damaged file.
    """
    with _ReaderOfWhatIsThere(io.FileIO(path)) as file:
        return pydicom.dcmread(file, **options)


class _ReaderOfWhatIsThere(io.BufferedReader):
    """A reader that asks for no more bytes than the file has left."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(os.fstat(self.fileno()).st_size - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))


def check_object(content: bytes, name: str = "object") -> None:
    """Refuse an object that unpacks to more than the limit.

    Raises:
        InvalidInputError: it does; the line begins with `name`.
    """
    syntax, start = _transfer_syntax(content)
    if syntax != DeflatedExplicitVRLittleEndian:
        return
    most = file_guard.largest_voxels() * 4
    unpacker, packed, count = zlib.decompressobj(-zlib.MAX_WBITS), content[start:], 0
    while packed and not unpacker.eof:
        try:
            count += len(unpacker.decompress(packed, _CHUNK))
        except zlib.error as error:
            raise _refused(name, f"its bytes are damaged ({error})") from error
        packed = unpacker.unconsumed_tail
        if count > min(most, psutil.virtual_memory().available // 2):
            raise _refused(name, f"it unpacks to more than {count - _CHUNK:,} bytes")


def check_file(path: Path) -> None:
    """`check_object` for a file."""
    check_object(path.read_bytes() if _is_deflated(path) else b"", path.name)


def check_values(path: Path, header: Dataset) -> int:
    """The number of values in the voxels of a file.

    Raises:
        InvalidInputError: it has none, it holds fewer than it claims, its packed frames have another size than it
            claims, or it claims more than the limit.
    """
    values = _values(path.name, header)
    if values > file_guard.largest_voxels():
        raise _refused(
            path.name,
            f"it says {values:,} voxels, expected {file_guard.largest_voxels():,} at most "
            "(--conf largest_image_voxels)",
        )
    needed, free = values * _BYTES_OF_A_VALUE, psutil.virtual_memory().available
    if needed > free:
        raise InvalidInputError(f"{path.name}: it takes {needed:,} bytes of memory, and {free:,} are free: try later")
    with_pixels = open_object(path)
    if "PixelData" not in with_pixels:
        raise _refused(path.name, "it has no voxels (PixelData)")
    syntax = UID(with_pixels.file_meta.get("TransferSyntaxUID", ""))
    if syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian:
        _check_packed(path.name, bytes(with_pixels.PixelData), header)
        return values
    _check_stored(path.name, with_pixels, values)
    return values


def check_frames(name: str, dataset: Dataset) -> bool:
    """Refuse an object whose frames are larger than its content; return whether they are packed.

    Unpacked frames need no memory before each is read, so that their number is not limited.

    Raises:
        InvalidInputError: as `check_values`.
    """
    values = _values(name, dataset)
    if "PixelData" not in dataset:
        raise _refused(name, "it has no voxels (PixelData)")
    syntax = UID(getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID", ExplicitVRLittleEndian))
    if syntax == DeflatedExplicitVRLittleEndian or not syntax.is_compressed:
        _check_stored(name, dataset, values)
        return False
    check_together(name, [values])
    _check_packed(name, bytes(dataset.PixelData), dataset)
    return True


def check_together(series: str, values: Sequence[int]) -> None:
    """Refuse files that exceed the limits together, though each is within them."""
    total, free = sum(values), psutil.virtual_memory().available
    if total > file_guard.largest_voxels():
        raise InvalidInputError(
            f"series {series}: its files say {total:,} voxels, expected {file_guard.largest_voxels():,} at most "
            "(--conf largest_image_voxels)"
        )
    if total * _BYTES_OF_A_VALUE > free:
        raise InvalidInputError(
            f"series {series}: it takes {total * _BYTES_OF_A_VALUE:,} bytes of memory, and {free:,} are free: try later"
        )


def _check_stored(name: str, dataset: Dataset, values: int) -> None:
    stored, claimed = len(dataset.PixelData), values * int(dataset.BitsAllocated) // 8
    if stored < claimed:
        raise _refused(name, f"it holds {stored:,} bytes of voxels, and says {claimed:,}")


def _values(name: str, header: Dataset) -> int:
    values = 1
    for of_side in ("Rows", "Columns", "BitsAllocated", "NumberOfFrames", "SamplesPerPixel"):
        side: object = "a number that no file can mean"
        try:
            side = header.get(of_side)
            if not side and of_side in ("NumberOfFrames", "SamplesPerPixel"):
                side = 1
            number = int(str(side))
        except (ValueError, OverflowError):  # pydicom reads 1e400 as infinite, and then wants a whole number of it
            number = 0
        if number < 1:
            raise _refused(name, f"its {of_side} is {str(side)[:40]}, expected a whole number from 1")
        values *= 1 if of_side == "BitsAllocated" else number
    return values


def _check_packed(name: str, content: bytes, header: Dataset) -> None:
    """Refuse a file with a JPEG whose own header claims another size."""
    expected = int(header.Rows), int(header.Columns)
    items = DicomBytesIO(_after_offsets(name, content))
    items.is_little_endian = True
    for fragment in generate_pixel_data_fragment(items):
        size = jpeg_size(fragment)
        if size is not None and size != expected:
            raise _refused(
                name,
                f"a frame is {size[0]} x {size[1]} voxels, its Rows and Columns say {expected[0]} x {expected[1]}",
            )


def _after_offsets(name: str, content: bytes) -> bytes:
    """The items of packed voxels, without the first one, the table of offsets."""
    if content[:4] != b"\xfe\xff\x00\xe0" or len(content) < 8:
        raise _refused(name, "its packed voxels do not begin with an item")
    return content[8 + struct.unpack_from("<I", content, 4)[0] :]


def jpeg_size(packed: bytes) -> tuple[int, int] | None:
    """Rows and columns in the header of a JPEG, JPEG-LS or JPEG 2000; None if the bytes do not begin one."""
    if packed[:4] == b"\xff\x4f\xff\x51" and len(packed) >= 24:
        columns, rows, first_column, first_row = struct.unpack_from(">4I", packed, 8)
        return rows - first_row, columns - first_column
    if packed[:2] != b"\xff\xd8":
        return None
    for marker, place in _segments(packed):
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            rows, columns = struct.unpack_from(">2H", packed, place + 5) if len(packed) >= place + 9 else (0, 0)
            return rows, columns
    return 0, 0


def _segments(packed: bytes) -> Iterator[tuple[int, int]]:
    """The markers of a JPEG's header, and their positions."""
    place = 2
    while place + 4 <= len(packed) and packed[place] == 0xFF:
        yield packed[place + 1], place
        place += 2 + struct.unpack_from(">H", packed, place + 2)[0]


def _is_deflated(path: Path) -> bool:
    with path.open("rb") as file:
        return _transfer_syntax(file.read(4096))[0] == DeflatedExplicitVRLittleEndian


def _transfer_syntax(content: bytes) -> tuple[str, int]:
    """The transfer syntax of an object, empty if it has none, and the offset of its data set."""
    syntax, place = "", _PREAMBLE_BYTES
    while content[place : place + 2] == b"\x02\x00" and len(content) >= place + 12:
        is_long = content[place + 4 : place + 6] in _LONG
        (length,) = (
            struct.unpack_from("<I", content, place + 8) if is_long else struct.unpack_from("<H", content, place + 6)
        )
        start = place + (12 if is_long else 8)
        if content[place + 2 : place + 4] == b"\x10\x00":
            syntax = content[start : start + length].rstrip(b"\0 ").decode("ascii", "replace")
        place = start + length
    return syntax, place


def _refused(name: str, problem: str) -> InvalidInputError:
    return InvalidInputError(f"{name}: cannot be read as DICOM ({problem}): send the series again")
