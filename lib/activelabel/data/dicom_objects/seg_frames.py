"""The stored frames of a DICOM SEG, one after the other, because all together may be larger than the memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from activelabel.data.dicom.guard import check_frames
from activelabel.errors import InvalidInputError


def stored_frames(seg: Dataset, origin: str) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
    """The stored values of each frame: (rows, columns).

    Raises:
        InvalidInputError: it holds less than it claims, or its compression cannot be decoded; the line begins with
            `origin`.
    """
    packed = check_frames(origin, seg)
    rows, columns, count = int(seg.Rows), int(seg.Columns), int(seg.get("NumberOfFrames") or 1)
    if packed:
        try:
            frames = seg.pixel_array.reshape(-1, rows, columns)
        except (AttributeError, NotImplementedError, RuntimeError, ValueError, EOFError, OSError) as error:
            syntax = getattr(seg.file_meta.get("TransferSyntaxUID"), "name", "unknown")
            raise InvalidInputError(
                f"{origin}: its voxels cannot be decoded ({syntax}): store it uncompressed"
            ) from error
        yield from frames
        return
    for index in range(count):
        yield _frame(seg, index, rows * columns, origin).reshape(rows, columns)


def _frame(seg: Dataset, index: int, size: int, origin: str) -> NDArray[np.unsignedinteger[Any]]:
    """One uncompressed frame. A frame of bits may begin in the middle of a byte."""
    bits = int(seg.BitsAllocated)
    first, last = index * size * bits, (index + 1) * size * bits
    content = np.frombuffer(seg.PixelData, dtype=np.uint8, count=-(-last // 8) - first // 8, offset=first // 8)
    if bits == 1:
        return np.unpackbits(content, bitorder="little")[first % 8 : first % 8 + size]
    if bits not in (8, 16):
        raise InvalidInputError(f"{origin}: its voxels have {bits} bits, expected 1, 8 or 16: export it again")
    order = "<" if getattr(seg, "is_little_endian", True) else ">"
    return content.view(f"{order}u{bits // 8}")
