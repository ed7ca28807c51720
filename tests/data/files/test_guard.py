"""Files whose headers are false, made by hand and by the programs that write such files."""

import gzip
import struct
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK

from activelabel.data.files import guard as file_guard
from activelabel.data.files.guard import check_file
from activelabel.data.volumes import read_grid, read_volume
from activelabel.errors import InvalidInputError

SECRET = b"another project's label, and it must stay so" * 100


def image(shape: tuple[int, int, int] = (6, 5, 4)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 900, shape).astype(np.int16)


def write(path: Path, compressed: bool = True) -> Path:
    """Write the image by ITK under this name."""
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(image().transpose()), str(path), compressed)
    return path


def refused(path: Path) -> str:
    """Return the one line with which a file is refused, by its header alone and with its voxels."""
    with pytest.raises(InvalidInputError) as by_voxels:
        read_volume(path)
    assert "\n" not in str(by_voxels.value)
    assert str(by_voxels.value).startswith(path.name)
    return str(by_voxels.value)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha", "A.NII.GZ"])
@pytest.mark.parametrize("compressed", [False, True])
def test_files_written_by_itk_pass(tmp_path: Path, name: str, compressed: bool) -> None:
    path = write(tmp_path / name.lower(), compressed).rename(tmp_path / name)
    np.testing.assert_array_equal(read_volume(path).array, image())


@pytest.mark.parametrize("encoding", ["raw", "gzip", "ascii"])
def test_files_written_by_pynrrd_pass(tmp_path: Path, encoding: str) -> None:
    space = {"space": "left-posterior-superior", "space directions": np.eye(3).tolist(), "space origin": [0, 0, 0]}
    nrrd.write(str(tmp_path / "a.nrrd"), image(), {"encoding": encoding, **space})
    check_file(tmp_path / "a.nrrd", whole=True)


@pytest.mark.parametrize("field", ["data file", "datafile", "Data File"])
def test_a_nrrd_that_names_another_file_is_refused(tmp_path: Path, field: str) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    path = tmp_path / "l.nrrd"
    path.write_text(f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 6 5 4\nencoding: raw\n{field}: {tmp_path}/secret\n\n")
    assert "in another file" in refused(path)
    with pytest.raises(InvalidInputError, match="in another file"):
        read_grid(path)


@pytest.mark.parametrize("skip", ["byte skip: 7", "line skip: 2", "byteskip: -1"])
def test_a_nrrd_that_skips_is_refused(tmp_path: Path, skip: str) -> None:
    path = tmp_path / "l.nrrd"
    header = f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 6 5 4\nencoding: raw\n{skip}\n\n"
    path.write_bytes(header.encode() + bytes(200))
    assert "expected voxels right behind the header" in refused(path)


@pytest.mark.parametrize("named", ["secret", "LIST", "slice%03d.raw 1 4 1"])
def test_a_meta_image_that_names_another_file_is_refused(tmp_path: Path, named: str) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    path = tmp_path / "l.mha"
    header = f"ObjectType = Image\nNDims = 3\nDimSize = 6 5 4\nElementType = MET_UCHAR\nElementDataFile = {named}\n"
    path.write_text(header)
    assert "in another file" in refused(path)


def test_a_nifti_whose_voxels_are_in_another_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    content[344:348] = b"ni1\0"
    path.write_bytes(content)
    assert "in another file" in refused(path)


def nifti_header(dims: list[int], start: float = 352.0, bits: int = 16) -> bytes:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, *[len(dims), *dims, *[1] * (7 - len(dims))])
    struct.pack_into("<2h", header, 70, 4, bits)
    struct.pack_into("<8f", header, 76, *[1.0] * 8)
    struct.pack_into("<f", header, 108, start)
    header[344:348] = b"n+1\0"
    return bytes(header)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (nifti_header([2000, 2000, 2000]), "8,000,000,000 voxels"),
        (nifti_header([1000, 1000, 1000]), "2,000,000,000 bytes of voxels, and it holds"),
        (nifti_header([32767] * 7), "voxels, expected 1,073,741,824 at most"),
        (nifti_header([6, 5, 4], start=float("inf")), "begin at byte inf"),
        (nifti_header([6, 5, 4], start=float("nan")), "begin at byte nan"),
        (nifti_header([6, 5, 4], start=-5.0), "begin at byte -5"),
        (nifti_header([6, -5, 4]), "dimensions"),
        (nifti_header([6, 5, 4], bits=0), "of 0 bits"),
        (b"no header at all", "no NIfTI header"),
    ],
)
@pytest.mark.parametrize("name", ["l.nii", "l.nii.gz"])
def test_a_nifti_header_that_claims_what_cannot_be_is_one_line(
    tmp_path: Path, header: bytes, expected: str, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(header) if name.endswith(".gz") else header)
    assert expected in refused(path)


def test_a_size_that_no_gzip_of_so_few_bytes_can_have_is_refused_before_anything_is_allocated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the check, 130 bytes with a header of 2000 x 2000 x 2000 voxels took 8.9 GB and a minute."""
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(nifti_header([900, 900, 900])))
    assert path.stat().st_size < 130
    monkeypatch.setattr(nibabel, "load", lambda *_, **__: pytest.fail("it was opened"))
    assert "bytes of voxels, and it holds" in refused(path)


def test_more_than_the_header_says_is_not_unpacked_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(nifti_header([6, 5, 4]) + bytes(2**26)))
    assert "it holds more than" in refused(path)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
def test_a_flipped_byte_anywhere_is_noticed(tmp_path: Path, name: str) -> None:
    """Without a look at the gzip checksum, 46 of 60 files with a flipped byte were accepted with wrong voxels."""
    path = write(tmp_path / name)
    whole = path.read_bytes()
    begin = 10 if name.endswith(".gz") else len(whole) // 2
    places = range(begin, len(whole), max(1, (len(whole) - begin) // 60))
    before = read_volume(path).array
    taken = 0
    for place in places:
        spoilt = bytearray(whole)
        spoilt[place] ^= 0x10
        path.write_bytes(spoilt)
        try:
            np.testing.assert_array_equal(read_volume(path).array, before)  # a byte that affects no voxel
        except InvalidInputError:
            taken += 1
    assert taken > len(places) * 0.9


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha"])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    path.write_bytes(path.read_bytes()[:-20])
    refused(path)


@pytest.mark.parametrize("missing", [1, 352])
def test_a_packed_file_without_its_last_voxels_is_refused_by_their_number(tmp_path: Path, missing: int) -> None:
    """The gzip itself is whole: its checksum is of what is left."""
    path = tmp_path / "a.nii.gz"
    content = nifti_header([20, 10, 4]) + bytes(1600)
    path.write_bytes(gzip.compress(content))
    check_file(path, whole=True)
    path.write_bytes(gzip.compress(content[:-missing]))
    assert f"it holds {1600 - missing:,} bytes of voxels, its header says 1,600" in refused(path)


def test_an_image_larger_than_the_limit_or_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.nii.gz")
    monkeypatch.setattr(file_guard, "_largest", 119)
    assert "120 voxels, expected 119 at most (--conf largest_image_voxels)" in refused(path)
    monkeypatch.setattr(file_guard, "_largest", 120)
    monkeypatch.setattr(file_guard.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 479})())
    assert "480 bytes of memory, and 479 are free" in refused(path)


@pytest.mark.parametrize("encoding", ["hex", "bzip2", "b", ""])
def test_encodings_that_nobody_needs_are_refused(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "l.nrrd"
    header = f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 6 5 4\nencoding: {encoding}\n\n"
    path.write_bytes(header.encode() + bytes(200))
    assert "expected raw or gzip" in refused(path)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"sizes: 6 5 4", b"sizes: 6 5 4000000000000"),
        (b"sizes: 6 5 4", b"sizes:"),
        (b"short", b"block"),
        (b"\n\n", b"\n"),
    ],
)
def test_nrrd_headers_that_say_nonsense_are_one_line(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = write(tmp_path / "a.nrrd", compressed=False)
    assert before in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(before, after, 1))
    refused(path)
