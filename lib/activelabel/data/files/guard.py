"""Checks of the sizes that a file claims, on its first bytes, before a library opens it.

The libraries follow a header to other files of the machine, allocate whatever size it names, and do not check a gzip's
checksum. A file from a client counts as hostile until it has passed these checks.
"""

import gzip
import io
import math
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from activelabel.data.files.names import NIFTI_ENDINGS, ending_of
from activelabel.errors import InvalidInputError

LARGEST_IMAGE_VOXELS = 2**30
"""512 x 512 x 4096: more than a CT of a whole body has. `--conf largest_image_voxels` changes it."""
_SPARE_BYTES = 2**20  # The most bytes after the voxels of a file, and the most bytes of a header.
_MOST_OF_DEFLATE = 1032  # Deflate expands one byte to at most so many.
_BYTES_AS_FLOAT = 4
_CHUNK = 2**20
_NRRD_BYTES = {
    1: ("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"),
    2: ("short", "short int", "signed short", "signed short int", "int16", "int16_t", "ushort", "unsigned short",
        "unsigned short int", "uint16", "uint16_t"),
    4: ("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t", "float"),
    8: ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t",
        "ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t", "double"),
}  # fmt: skip
_META_BYTES = {
    "MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4, "MET_LONG": 4,
    "MET_ULONG": 4, "MET_FLOAT": 4, "MET_DOUBLE": 8, "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8,
}  # fmt: skip

_largest = LARGEST_IMAGE_VOXELS


def limit_images(voxels: int) -> None:
    """Refuse images with more voxels in this process from now on."""
    global _largest
    _largest = voxels


def largest_voxels() -> int:
    """The most voxels that an image may have in this process."""
    return _largest


def largest_file_bytes() -> int:
    """The largest size of the file of an image or label, at eight bytes a voxel."""
    return _largest * 8 + _SPARE_BYTES


_Take = Callable[[bytes], object]


@dataclass(frozen=True)
class Claim:
    """The claims of a header. `values` counts the numbers of all voxels, `start` is the offset of their bytes.

    `packed` unpacks the rest of the file; None if its voxels are stored unpacked, or as text. What it unpacks has
    `ahead` bytes before the voxels.
    """

    values: int
    data_bytes: int
    start: int
    packed: Callable[[Path, int, int, _Take], int] | None = None
    as_text: bool = False
    ahead: int = 0


def check_file(path: Path, *, whole: bool) -> io.BytesIO | None:
    """Refuse a file that refers to another file, or claims more than it can hold or than this machine can take.

    Args:
        path: an existing NIfTI, NRRD or MetaImage file.
        whole: whether its voxels will be read: they are then unpacked once, within a limit and up to the checksum.

    Returns:
        The content of a packed NIfTI file if it was unpacked, so that it need not be unpacked again; None for other
        files.

    Raises:
        InvalidInputError: the file fails a check; the line names the file and the problem.
    """
    ending = ending_of(path.name).lower()
    if ending in NIFTI_ENDINGS:
        claim = _nifti_claim(path, compressed=ending.endswith(".gz"))
    elif ending == ".nrrd":
        claim = _nrrd_claim(path)
    else:
        claim = _meta_claim(path)
    _check_size(path, claim)
    if not whole or claim.packed is None:
        return None
    content = io.BytesIO() if ending in NIFTI_ENDINGS else None
    take: _Take = len if content is None else content.write
    found = claim.packed(path, claim.start, claim.data_bytes + _SPARE_BYTES, take) - claim.ahead
    if found < claim.data_bytes:
        raise _refused(path, f"it holds {max(found, 0):,} bytes of voxels, its header says {claim.data_bytes:,}")
    return content


def _check_size(path: Path, claim: Claim) -> None:
    if claim.values > _largest:
        raise _refused(
            path,
            f"its header says {claim.values:,} voxels, expected {_largest:,} at most (--conf largest_image_voxels)",
        )
    size = path.stat().st_size
    room = size - claim.start if claim.packed is None else (size - claim.start) * _MOST_OF_DEFLATE
    if not claim.as_text and room < claim.data_bytes:
        problem = f"its header says {claim.data_bytes:,} bytes of voxels, and it holds {max(room, 0):,} at most"
        raise _refused(path, problem)
    needed, free = claim.values * _BYTES_AS_FLOAT, psutil.virtual_memory().available
    if needed > free:
        raise InvalidInputError(f"{path.name}: it takes {needed:,} bytes of memory, and {free:,} are free: try later")


def _nifti_claim(path: Path, compressed: bool) -> Claim:
    head = _first_bytes(path, 544, compressed)
    for order in "<>":
        (size,) = struct.unpack_from(f"{order}i", head) if len(head) >= 4 else (0,)
        if size == 348 and len(head) >= 348:
            dims = struct.unpack_from(f"{order}8h", head, 40)
            (bits,), (start,) = struct.unpack_from(f"{order}h", head, 72), struct.unpack_from(f"{order}f", head, 108)
            magic = head[344:348]
        elif size == 540 and len(head) >= 540:
            dims = struct.unpack_from(f"{order}8q", head, 16)
            (bits,), (start,) = struct.unpack_from(f"{order}h", head, 14), struct.unpack_from(f"{order}q", head, 168)
            magic = head[4:8]
        else:
            continue
        break
    else:
        raise _refused(path, "it has no NIfTI header")
    if magic not in (b"n+1\0", b"n+2\0"):
        raise _refused(path, "its voxels are in another file")
    if not 1 <= dims[0] <= 7 or min(dims[1 : dims[0] + 1]) < 1 or bits < 1:
        raise _refused(path, f"its header says dimensions {dims[: max(1, min(dims[0], 7)) + 1]} of {bits} bits")
    if not math.isfinite(start) or not 0 <= start <= _SPARE_BYTES + size:
        raise _refused(path, f"its header says that voxels begin at byte {start}")
    values = math.prod(dims[1 : dims[0] + 1])
    data_bytes, start = values * bits // 8, int(start)
    # In a packed file, the start is an offset in the unpacked content.
    return Claim(values, data_bytes, 0, _gzip_length, ahead=start) if compressed else Claim(values, data_bytes, start)


def _nrrd_claim(path: Path) -> Claim:
    text, start = _header_text(path, b"\n\n", b"\r\n\r\n")
    if not text.startswith("NRRD000"):
        raise _refused(path, "it has no NRRD header")
    fields = {}
    for line in text.splitlines()[1:]:
        found = re.match(r"([^:#=]+): ?(.*)", line)
        if found:
            fields[found[1].strip().lower()] = found[2].strip()
    if {"data file", "datafile"} & fields.keys():
        raise _refused(path, "its voxels are in another file ('data file')")
    for skip in ("byte skip", "byteskip", "line skip", "lineskip"):
        if fields.get(skip, "0") != "0":
            raise _refused(path, f"'{skip}' is {fields[skip]!r}, expected voxels right behind the header")
    values = _product(path, "sizes", fields.get("sizes", "").split())
    kind = fields.get("type", "").lower()
    width = next((width for width, names in _NRRD_BYTES.items() if kind in names), None)
    if width is None:
        raise _refused(path, f"its voxels are '{kind}', expected whole or real numbers")
    encoding = fields.get("encoding", "").lower()
    if encoding not in ("raw", "gz", "gzip", "txt", "text", "ascii"):
        raise _refused(path, f"its encoding is '{encoding}', expected raw or gzip")
    packed = _gzip_length if encoding in ("gz", "gzip") else None
    return Claim(values, values * width, start, packed, as_text=encoding in ("txt", "text", "ascii"))


def _meta_claim(path: Path) -> Claim:
    head = _first_bytes(path, _SPARE_BYTES, compressed=False)
    found = re.search(rb"^ElementDataFile[ \t]*=[ \t]*([^\r\n]*)\r?\n", head, re.MULTILINE)
    if found is None:
        raise _refused(path, "it has no MetaImage header, or its voxels are in another file")
    if found[1].strip() != b"LOCAL":
        raise _refused(path, "its voxels are in another file ('ElementDataFile')")
    fields = dict(re.findall(r"^(\w+)[ \t]*=[ \t]*(.*?)\s*$", head[: found.start()].decode("latin-1"), re.MULTILINE))
    layers = fields.get("ElementNumberOfChannels", "1")
    values = _product(path, "DimSize", [*fields.get("DimSize", "").split(), layers])
    width = _META_BYTES.get(fields.get("ElementType", ""))
    if width is None:
        raise _refused(path, f"its voxels are '{fields.get('ElementType', '')}', expected whole or real numbers")
    packed = _zlib_length if fields.get("CompressedData", "False").lower() == "true" else None
    as_text = fields.get("BinaryData", "False").lower() == "false"
    return Claim(values, values * width, found.end(), packed, as_text=as_text and packed is None)


def _product(path: Path, field: str, lengths: list[str]) -> int:
    if not lengths or not all(re.fullmatch(r"[1-9]\d{0,9}", length) for length in lengths):
        raise _refused(path, f"'{field}' is {' '.join(lengths)[:80]!r}, expected whole numbers from 1")
    return math.prod(map(int, lengths))


def _header_text(path: Path, *ends: bytes) -> tuple[str, int]:
    head = _first_bytes(path, _SPARE_BYTES, compressed=False)
    found = [(place, place + len(end)) for end in ends if (place := head.find(end)) >= 0]
    if not found:
        raise _refused(path, "its header has no end, or its voxels are in another file")
    place, start = min(found)
    return head[:place].decode("latin-1"), start


def _first_bytes(path: Path, count: int, compressed: bool) -> bytes:
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            return file.read(count)
    except (OSError, EOFError, zlib.error) as error:
        raise _refused(path, f"it cannot be read ({error})") from error


def _gzip_length(path: Path, start: int, most: int, take: _Take) -> int:
    """The unpacked length of a gzip, read up to its checksum, within `most`; `take` receives the content."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _counted(path, unpacked.read, most, take)
    except (OSError, EOFError, zlib.error) as error:
        raise _refused(path, f"its bytes are damaged ({error})") from error


def _zlib_length(path: Path, start: int, most: int, take: _Take) -> int:
    """`_gzip_length` for a zlib stream."""
    unpacker = zlib.decompressobj()
    try:
        with path.open("rb") as file:
            file.seek(start)

            def read(count: int) -> bytes:
                while not unpacker.eof:
                    packed = unpacker.unconsumed_tail or file.read(_CHUNK)
                    if not packed:
                        raise EOFError("it ends too early")
                    unpacked = unpacker.decompress(packed, count)
                    if unpacked:
                        return unpacked
                return b""

            return _counted(path, read, most, take)
    except (OSError, EOFError, zlib.error) as error:
        raise _refused(path, f"its bytes are damaged ({error})") from error


def _counted(path: Path, read: Callable[[int], bytes], most: int, take: _Take) -> int:
    count = 0
    while part := read(_CHUNK):
        count += len(part)
        if count > most:
            raise _refused(path, f"it holds more than the {most - _SPARE_BYTES:,} bytes of voxels that its header says")
        take(part)
    return count


def _refused(path: Path, problem: str) -> InvalidInputError:
    return InvalidInputError(
        f"{path.name}: cannot be read as a 3D image ({problem}): the file is truncated, damaged or of another kind; "
        "export or copy it again, as one file"
    )
