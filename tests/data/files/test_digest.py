"""The SHA-256 of files against published values, whatever their size, and with little memory."""

import hashlib
import tracemalloc
from pathlib import Path

import pytest

from activelabel.data.files.digest import file_sha256


@pytest.mark.parametrize(
    ("content", "sha256"),
    [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ],
    ids=["empty", "abc"],
)
def test_the_digest_is_that_of_the_standard(content: bytes, sha256: str, tmp_path: Path) -> None:
    """The values are those of FIPS 180-4's examples."""
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == sha256


@pytest.mark.parametrize("size", [2**20 - 1, 2**20, 2**20 + 1])
def test_a_file_around_the_size_of_a_block_is_read_to_its_end(size: int, tmp_path: Path) -> None:
    content = bytes(index % 251 for index in range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_large_file_is_not_read_into_the_memory_as_a_whole(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(2**25)
    tracemalloc.start()
    try:
        file_sha256(tmp_path / "file")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2**23
