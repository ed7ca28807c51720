"""Malformed DICOM of every kind: each is one line that names the file, in little time and memory."""

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import COLUMNS, ROWS, write_enhanced, write_slices
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from activelabel.data.dicom.guard import check_frames, check_object, jpeg_size
from activelabel.data.files import guard as file_guard
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError

BAD = "88.dcm"  # a slice in the middle
JPEG_START = b"\xff\xd8\xff\xe0" + struct.pack(">H", 4) + b"\0\0"


def jpeg_of(rows: int, columns: int, marker: int = 0xC0) -> bytes:
    """Return the part of a JPEG that holds its size."""
    return JPEG_START + bytes([0xFF, marker]) + struct.pack(">HBHHB", 8, 8, rows, columns, 1) + bytes(40)


def jpeg2000_of(rows: int, columns: int) -> bytes:
    return b"\xff\x4f\xff\x51" + struct.pack(">HH4I", 41, 0, columns + 3, rows + 2, 3, 2) + bytes(40)


def change(file: Path, **attributes: object) -> None:
    dataset = pydicom.dcmread(file)
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.save_as(file, write_like_original=False)


def pack(file: Path, syntax: str, *frames: bytes) -> None:
    dataset = pydicom.dcmread(file)
    dataset.PixelData = encapsulate(list(frames))
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(file, write_like_original=False)


def truncate(file: Path, keep: int) -> None:
    file.write_bytes(file.read_bytes()[:keep])


def without_pixels(file: Path) -> None:
    dataset = pydicom.dcmread(file)
    del dataset.PixelData
    dataset.save_as(file)


def nest(file: Path, depth: int) -> None:
    """Write nested sequences by hand, as pydicom refuses to write them."""
    start = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    content = file.read_bytes()
    pixels = content.index(struct.pack("<HH2s", 0x7FE0, 0x0010, b"OW"))
    file.write_bytes(content[:pixels] + start * depth + content[pixels:])


def overwrite(file: Path, tag: tuple[int, int], vr: bytes, value: bytes) -> None:
    """Put another VR or value into an element of explicit VR, keeping its length."""
    content = bytearray(file.read_bytes())
    place = content.index(struct.pack("<HH", *tag), 132)
    (length,) = struct.unpack_from("<H", content, place + 6)
    content[place + 4 : place + 6] = vr
    content[place + 8 : place + 8 + length] = value[:length].ljust(length, b"\xff")
    file.write_bytes(content)


def deflate(file: Path, spare: int) -> None:
    """Store the object deflated, with this many bytes of zeros in a private element."""
    dataset = pydicom.dcmread(file)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    if spare:
        dataset.add_new((0x0009, 0x0010), "LO", "x")
        dataset.add_new((0x0009, 0x1001), "OB", bytes(spare))
    dataset.save_as(file, write_like_original=False)


MALFORMED: dict[str, Callable[[Path], None]] = {
    "empty": lambda file: truncate(file, 0),
    "nothing but the preamble": lambda file: truncate(file, 132),
    "cut in the header": lambda file: truncate(file, 400),
    "cut in the voxels": lambda file: truncate(file, file.stat().st_size - 20),
    "noise behind the preamble": lambda file: file.write_bytes(
        bytes(128) + b"DICM" + np.random.default_rng(0).bytes(5000)
    ),
    "no DICOM": lambda file: file.write_bytes(b"<html>" * 100),
    "no voxels": without_pixels,
    "more rows than voxels": lambda file: change(file, Rows=ROWS + 1),
    "65535 rows and columns": lambda file: change(file, Rows=65535, Columns=65535),
    "no rows": lambda file: change(file, Rows=0),
    "2^31 frames": lambda file: change(file, NumberOfFrames=2**31 - 1),
    "minus one frame": lambda file: change(file, NumberOfFrames=-1),
    "endless frames": lambda file: (
        change(file, NumberOfFrames="123456") or overwrite(file, (0x0028, 0x0008), b"IS", b"1e4000")
    ),
    "64 bits said, 16 there": lambda file: change(file, BitsAllocated=64, BitsStored=64, HighBit=63),
    "three values a voxel": lambda file: change(file, SamplesPerPixel=3),
    "rows of another VR": lambda file: overwrite(file, (0x0028, 0x0010), b"UN", b"\xff\xff"),
    "position of another VR": lambda file: overwrite(file, (0x0020, 0x0032), b"FD", b"\xff"),
    "position is a text": lambda file: overwrite(file, (0x0020, 0x0032), b"DS", b"here\\there\\nowhere"),
    "spacing is infinite": lambda file: overwrite(file, (0x0028, 0x0030), b"DS", b"inf\\1 "),
    "slope is not a number": lambda file: (
        change(file, RescaleSlope="1", RescaleIntercept="0") or overwrite(file, (0x0028, 0x1053), b"DS", b"na")
    ),
    "sequences 3000 deep": lambda file: nest(file, 3000),
    "a JPEG of 65535 x 65535": lambda file: pack(file, JPEGBaseline8Bit, jpeg_of(65535, 65535)),
    "a JPEG-LS of another size": lambda file: pack(file, JPEGLSLossless, jpeg_of(ROWS, 60000, 0xF7)),
    "a JPEG 2000 of another size": lambda file: pack(file, JPEG2000Lossless, jpeg2000_of(2**30, 2**30)),
    "a JPEG without a size": lambda file: pack(file, JPEGBaseline8Bit, JPEG_START),
    "a JPEG that is none": lambda file: pack(file, JPEGBaseline8Bit, b"what is this"),
    "run lengths that are none": lambda file: pack(file, RLELossless, b"\xff" * 64),
    "an unknown transfer syntax": lambda file: pack(file, "1.2.3.4", b"\xff" * 64),
    "packed, it says, and is not": lambda file: overwrite(file, (0x0002, 0x0010), b"UI", b"1.2.840.10008.1.2.5"),
    "deflated, it says, and is not": lambda file: overwrite(file, (0x0002, 0x0010), b"UI", b"1.2.840.10008.1.2.1.99"),
}


@pytest.mark.parametrize("name", ["Rows", "BitsAllocated", "NumberOfFrames", "SamplesPerPixel"])
@pytest.mark.parametrize("text", [b"1e400", b"1" * 5000, b"some"])
def test_a_size_that_is_no_number_is_one_line(name: str, text: bytes) -> None:
    """An element may claim to be a text; pydicom reads 1e400 as infinite, and a whole number of it is none."""
    dataset = pydicom.Dataset()
    dataset.Rows = dataset.Columns = dataset.BitsAllocated = 16
    tag = tag_for_keyword(name)
    dataset[tag] = RawDataElement(Tag(tag), "IS", len(text), text, 0, False, True)
    with pytest.raises(InvalidInputError, match=rf"^label: .*its {name} is .*, expected a whole number from 1"):
        check_frames("label", dataset)


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_slice_is_one_line(what: str, tmp_path: Path) -> None:
    folder = tmp_path / "series"
    write_slices(folder, [{}] * 5)
    MALFORMED[what](folder / BAD)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInputError) as caught:
            read_volume(folder)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()
    line = str(caught.value)
    assert "\n" not in line
    assert BAD in line or "series" in line


def test_2_31_frames_of_an_enhanced_object_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "series" / "a.dcm"
    write_enhanced(file, [0, 1, 2])
    change(file, NumberOfFrames=2**31 - 1)
    with pytest.raises(InvalidInputError, match=r"a\.dcm: .*it says 64,424,509,410 voxels, expected"):
        read_volume(file.parent)


@pytest.mark.parametrize("spare", [0, 2**20])
def test_a_deflated_series_is_read(spare: int, tmp_path: Path) -> None:
    folder = tmp_path / "series"
    write_slices(folder, [{}] * 3, rows=40, columns=30)
    plain = read_volume(folder).array
    for file in folder.iterdir():
        deflate(file, spare)
    assert np.array_equal(read_volume(folder).array, plain)


def test_a_deflated_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "series"
    write_slices(folder, [{}] * 3)
    deflate(folder / BAD, 2**26)
    monkeypatch.setattr(file_guard, "_largest", 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInputError, match=rf"{BAD}: .*it unpacks to more than 4,"):
            read_volume(folder)
        assert tracemalloc.get_traced_memory()[1] < 2**24
        with pytest.raises(InvalidInputError, match=r"object: .*it unpacks to more than"):
            check_object((folder / BAD).read_bytes())
    finally:
        tracemalloc.stop()


def test_a_series_that_is_too_large_only_as_a_whole_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "series"
    write_slices(folder, [{}] * 5)
    monkeypatch.setattr(file_guard, "_largest", 5 * ROWS * COLUMNS)
    assert read_volume(folder).array.size == 5 * ROWS * COLUMNS
    monkeypatch.setattr(file_guard, "_largest", 5 * ROWS * COLUMNS - 1)
    with pytest.raises(InvalidInputError, match="series series: its files say 150 voxels, expected 149 at most"):
        read_volume(folder)


@pytest.mark.parametrize(
    ("packed", "size"),
    [
        (jpeg_of(512, 300), (512, 300)),
        (jpeg_of(7, 9, 0xC3), (7, 9)),
        (jpeg_of(7, 9, 0xF7), (7, 9)),
        (jpeg2000_of(512, 300), (512, 300)),
        (jpeg_of(7, 9)[:12], (0, 0)),
        (JPEG_START, (0, 0)),
        (b"", None),
        (b"RLE", None),
    ],
)
def test_the_size_that_a_jpeg_says(packed: bytes, size: tuple[int, int] | None) -> None:
    assert jpeg_size(packed) == size


def test_deflated_bytes_that_are_damaged_are_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "series"
    write_slices(folder, [{}])
    file = next(folder.iterdir())
    deflate(file, 0)
    content = file.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")  # the file meta group ends there, by its own length
    with pytest.raises(InvalidInputError, match=r"a\.dcm: .*its bytes are damaged"):
        check_object(content[:start] + b"\xff" * len(content[start:]), "a.dcm")
