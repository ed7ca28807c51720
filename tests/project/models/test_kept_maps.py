"""Kept maps: found by what they were computed from, within a limit of bytes."""

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest

from activelabel.data.files import eviction
from activelabel.project.models.kept_maps import KeptMaps, map_file

AFFINE_RAS = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -3], [0, 0, 4, 7], [0, 0, 0, 1]])


def test_a_map_is_found_by_its_whole_identity_and_ending(tmp_path: Path) -> None:
    maps = KeptMaps(tmp_path / "maps")
    assert maps.find("a", (1,), ".nii.gz") is None
    kept = maps.keep("a", (1,), ".nii.gz", b"one")
    assert maps.find("a", (1,), ".nii.gz") == kept
    assert kept.read_bytes() == b"one"
    for image, how in (("a", 2), ("b", 1), ("a", "1")):
        assert maps.find(image, (how,), ".nii.gz") is None
    assert maps.find("a", (1,), ".dcm") is None


def test_the_map_that_nobody_has_asked_for_longest_makes_room(tmp_path: Path) -> None:
    maps = KeptMaps(tmp_path, most_bytes=250)
    for age, name in enumerate(("first", "second")):
        os.utime(maps.keep(name, (), ".nii.gz", bytes(100)), ns=(age, age))
    assert maps.find("first", (), ".nii.gz") is not None  # from now on the second is the one that waited longest
    maps.keep("third", (), ".nii.gz", bytes(100))
    found = [name for name in ("first", "second", "third") if maps.find(name, (), ".nii.gz")]
    assert found == ["first", "third"]


def test_the_newest_map_stays_however_large_it_is(tmp_path: Path) -> None:
    maps = KeptMaps(tmp_path, most_bytes=10)
    maps.keep("small", (), ".nii.gz", bytes(5))
    maps.keep("large", (), ".nii.gz", bytes(50))
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [50]


def test_all_maps_of_an_image_that_is_gone_are_removed_and_no_others(tmp_path: Path) -> None:
    maps = KeptMaps(tmp_path)
    for image in ("case_1", "case_10", "../case"):
        for ending in (".nii.gz", ".dcm"):
            maps.keep(image, (1,), ending, b"map")
    maps.forget("case_1")
    assert maps.find("case_1", (1,), ".nii.gz") is maps.find("case_1", (1,), ".dcm") is None
    assert len(list(tmp_path.iterdir())) == 4
    KeptMaps(tmp_path / "not there").forget("case_1")


def test_maps_whose_names_do_not_tell_their_image_are_removed(tmp_path: Path) -> None:
    old = tmp_path / f"{'0' * 64}.nii.gz"
    old.write_bytes(b"of an earlier version")
    kept = KeptMaps(tmp_path).keep("a", (), ".nii.gz", b"new")
    assert list(tmp_path.iterdir()) == [kept]


def test_a_map_is_a_nifti_of_floats_with_its_range_and_title() -> None:
    values = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    image = nibabel.Nifti1Image.from_stream(BytesIO(gzip.decompress(map_file(values, AFFINE_RAS, "a"))))
    assert image.get_data_dtype() == np.float32
    np.testing.assert_array_equal(np.asarray(image.dataobj), values)
    np.testing.assert_allclose(image.affine, AFFINE_RAS)
    assert (image.header["cal_min"], image.header["cal_max"]) == (0, pytest.approx(values.max()))
    assert image.header["descrip"].item() == b"a"


def test_another_process_may_write_and_remove_maps_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = KeptMaps(tmp_path, most_bytes=10)
    unfinished, abandoned = tmp_path / ".b.nii.gz.01234567.part", tmp_path / ".c.nii.gz.89abcdef.part"
    for file in (unfinished, abandoned):
        file.write_bytes(bytes(100))
    os.utime(abandoned, (0, 0))
    scanned = os.scandir

    @contextmanager
    def scan(folder: Path) -> Iterator[list[Any]]:
        gone = SimpleNamespace(name="just-removed.nii.gz", stat=Path("just-removed.nii.gz").stat)
        with scanned(folder) as files:
            yield [*files, gone]

    monkeypatch.setattr(eviction, "os", SimpleNamespace(scandir=scan))
    kept = maps.keep("a", (), ".nii.gz", bytes(5))
    assert sorted(tmp_path.glob("*")) == sorted([unfinished, kept])
