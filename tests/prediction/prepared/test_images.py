"""Kept prepared images: equal to what preparation gives, until the files, the settings or the content change."""

import logging
import multiprocessing
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from small_studies import write_nifti

from activelabel.data.files.image_files import ChannelFile, ImageFiles
from activelabel.data.preprocessing import PreparedImage, prepare_image
from activelabel.data.volumes import Volume, read_volume
from activelabel.errors import InvalidInputError
from activelabel.prediction.prepared.images import PreparedImages, remove_all_prepared
from activelabel.recipes import PreprocessingSettings

AFFINE_RAS = np.array([[-2.0, 0, 0, 3], [0, 0, 1.5, -4], [0, 1, 0, 7], [0, 0, 0, 1]])
SETTINGS = PreprocessingSettings(intensity="zscore", spacing_mm=(1.0, 1.0, 1.0))


class Reads(list[Volume]):
    """The volumes that had to be read."""

    def __call__(self, volume: Volume) -> None:
        self.append(volume)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return made(tmp_path / "a.nii.gz", seed=1)


def made(path: Path, seed: int, shape: tuple[int, int, int] = (8, 6, 5)) -> Path:
    """An image that was written a minute ago."""
    write_nifti(path, np.random.default_rng(seed).normal(size=shape).astype(np.float32), AFFINE_RAS)
    aged(path)
    return path


def aged(path: Path, seconds: float = 60) -> None:
    os.utime(path, (time.time() - seconds, time.time() - seconds))


def kept_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def assert_same(found: PreparedImage, expected: PreparedImage) -> None:
    assert torch.equal(found.tensor, expected.tensor)
    for ours, theirs in ((found.grid, expected.grid), (found.original, expected.original)):
        assert ours.shape == theirs.shape
        assert np.array_equal(ours.affine_ras, theirs.affine_ras)
        assert len(ours.other_affines) == len(theirs.other_affines)
        assert all(np.array_equal(*pair) for pair in zip(ours.other_affines, theirs.other_affines, strict=True))


def test_an_image_is_read_once_and_found_bit_for_bit_by_another_pass(file: Path, tmp_path: Path) -> None:
    reads, expected = Reads(), prepare_image(read_volume(file), SETTINGS)
    for _ in range(3):
        assert_same(PreparedImages(tmp_path / "kept").get(file, SETTINGS, reads), expected)
    assert len(reads) == 1


def test_a_kept_image_is_mapped_into_memory_and_changes_to_it_are_not_written(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    PreparedImages(folder).get(file, SETTINGS)
    found = PreparedImages(folder).get(file, SETTINGS).tensor
    (kept,) = kept_files(folder)
    assert str(kept) in Path("/proc/self/maps").read_text(encoding="utf-8")
    expected = found.clone()
    found += 1
    assert torch.equal(PreparedImages(folder).get(file, SETTINGS).tensor, expected)


def test_a_reader_goes_on_when_its_file_is_removed(file: Path, tmp_path: Path) -> None:
    kept = PreparedImages(tmp_path / "kept")
    expected = kept.get(file, SETTINGS).tensor.clone()
    mapped = kept.get(file, SETTINGS).tensor
    kept.forget(file)
    assert not kept_files(tmp_path / "kept")
    assert torch.equal(mapped, expected)


@pytest.mark.parametrize(
    "changed",
    [
        {"spacing_mm": (2.0, 2.0, 2.0)},
        {"orientation": "LPS"},
        {"intensity": "window"},
        {"intensity": "window", "window_hu": (-1.0, 1.0)},
        {"slices_last": True, "slice_plane": "sagittal"},
        {"slices_last": True, "slice_plane": "coronal"},
    ],
)
def test_other_settings_give_another_image(file: Path, tmp_path: Path, changed: dict[str, object]) -> None:
    kept, other = PreparedImages(tmp_path / "kept"), SETTINGS.model_copy(update=changed)
    kept.get(file, SETTINGS)
    assert_same(kept.get(file, other), prepare_image(read_volume(file), other))
    assert len(kept_files(tmp_path / "kept")) == 2


def test_the_plane_of_slices_makes_no_difference_where_axes_stay(file: Path, tmp_path: Path) -> None:
    kept = PreparedImages(tmp_path / "kept")
    kept.get(file, SETTINGS)
    kept.get(file, SETTINGS.model_copy(update={"slice_plane": "sagittal"}))
    assert len(kept_files(tmp_path / "kept")) == 1


@pytest.mark.parametrize("settled", [True, False])
def test_a_file_of_other_content_is_prepared_and_the_earlier_image_removed(
    file: Path, tmp_path: Path, settled: bool
) -> None:
    kept = PreparedImages(tmp_path / "kept")
    kept.get(file, SETTINGS)
    made(file, seed=2)
    if not settled:
        os.utime(file)
    assert_same(kept.get(file, SETTINGS), prepare_image(read_volume(file), SETTINGS))
    assert_same(kept.get(file, SETTINGS), prepare_image(read_volume(file), SETTINGS))
    assert len(kept_files(tmp_path / "kept")) == 1


def test_the_content_counts_and_not_the_name(file: Path, tmp_path: Path) -> None:
    kept, reads = PreparedImages(tmp_path / "kept"), Reads()
    kept.get(file, SETTINGS)
    file.rename(tmp_path / "renamed.nii.gz")
    kept.get(tmp_path / "renamed.nii.gz", SETTINGS, reads)
    assert not reads


def test_all_channels_and_their_order_count(tmp_path: Path) -> None:
    kept = PreparedImages(tmp_path / "kept")
    t1, t2 = (ChannelFile(name, made(tmp_path / f"{name}.nii.gz", seed)) for seed, name in enumerate(("t1", "t2")))
    image = ImageFiles(t1.path, (t1, t2))
    turned = ImageFiles(t1.path, (t2, t1), shown=1)
    first = kept.get(image, SETTINGS)
    assert torch.equal(kept.get(turned, SETTINGS).tensor, first.tensor.flip(0))
    made(t2.path, seed=7)
    assert_same(kept.get(image, SETTINGS), prepare_image(read_volume(image), SETTINGS))


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "text"])
def test_a_damaged_file_is_prepared_again_with_a_line(
    file: Path, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "kept"
    PreparedImages(folder).get(file, SETTINGS)
    (kept,) = kept_files(folder)
    content = bytearray(kept.read_bytes())
    if damage == "flipped":
        content[-9] ^= 1
    kept.write_bytes({"cut": content[:-8], "flipped": content, "emptied": b"", "text": b"no image at all"}[damage])
    with caplog.at_level(logging.WARNING):
        assert_same(PreparedImages(folder).get(file, SETTINGS), prepare_image(read_volume(file), SETTINGS))
    assert "the image is prepared again" in caplog.text
    caplog.clear()
    reads = Reads()
    PreparedImages(folder).get(file, SETTINGS, reads)
    assert not reads
    assert not caplog.text


def test_a_file_that_was_copied_under_another_name_is_prepared_again_with_a_line(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept, other = PreparedImages(tmp_path / "kept"), made(tmp_path / "other.nii.gz", seed=5)
    kept.get(file, SETTINGS)
    (of_file,) = kept_files(tmp_path / "kept")
    kept.get(other, SETTINGS)
    (of_other,) = set(kept_files(tmp_path / "kept")) - {of_file}
    shutil.copyfile(of_file, of_other)
    assert_same(kept.get(other, SETTINGS), prepare_image(read_volume(other), SETTINGS))
    (line,) = [record.message for record in caplog.records]
    assert line == f"{of_other.name}: it was written under another name, so it may be of another image: " + (
        "the image is prepared again"
    )
    caplog.clear()
    assert_same(kept.get(other, SETTINGS), prepare_image(read_volume(other), SETTINGS))
    assert not caplog.records


@pytest.mark.parametrize("lost", ["crc32", "shape", "original", "affine_ras"])
def test_a_header_that_lost_a_name_is_a_damaged_file(file: Path, tmp_path: Path, lost: str) -> None:
    folder = tmp_path / "kept"
    PreparedImages(folder).get(file, SETTINGS)
    (kept,) = kept_files(folder)
    kept.write_bytes(kept.read_bytes().replace(lost.encode(), b"x" + lost[1:].encode()))
    assert_same(PreparedImages(folder).get(file, SETTINGS), prepare_image(read_volume(file), SETTINGS))


def test_what_is_known_of_files_may_be_damaged(file: Path, tmp_path: Path) -> None:
    folder, reads = tmp_path / "kept", Reads()
    PreparedImages(folder).get(file, SETTINGS)
    (known,) = (folder / "known").iterdir()
    known.write_bytes(b'{"stamp": [')
    PreparedImages(folder).get(file, SETTINGS, reads)
    assert not reads
    assert known.read_bytes().endswith(b"}")


@pytest.mark.parametrize("off", [{"folder": None}, {"limit_bytes": 0}])
def test_nothing_is_kept_where_it_is_off(file: Path, tmp_path: Path, off: dict[str, int | None]) -> None:
    reads = Reads()
    kept = PreparedImages(**{"folder": tmp_path / "kept", **off})  # type: ignore[arg-type]
    for _ in range(2):
        kept.get(file, SETTINGS, reads)
    assert len(reads) == 2
    assert not (tmp_path / "kept").exists()


def test_nothing_is_kept_of_files_that_are_not_the_projects(file: Path, tmp_path: Path) -> None:
    kept, reads = PreparedImages(tmp_path / "kept"), Reads()
    kept.get(file, SETTINGS, reads, keep=False)
    assert not (tmp_path / "kept").exists()
    kept.get(file, SETTINGS, reads)
    kept.get(file, SETTINGS, reads, keep=False)
    assert len(reads) == 2


def test_a_disk_that_cannot_be_written_is_one_line_and_stops_nothing(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "kept").write_text("a file where the folder should be", encoding="utf-8")
    kept = PreparedImages(tmp_path / "kept")
    for _ in range(2):
        assert_same(kept.get(file, SETTINGS), prepare_image(read_volume(file), SETTINGS))
    assert caplog.text.count("no longer kept") == 1


def test_a_disk_on_which_nothing_can_be_removed_stops_nothing(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kept"
    PreparedImages(folder).get(file, SETTINGS)
    aged(*kept_files(folder))
    write_nifti(file, np.ones((8, 6, 5), np.float32), AFFINE_RAS)

    def read_only(path: Path, **_: object) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "unlink", read_only)
    kept = PreparedImages(folder, limit_bytes=100)
    kept.tidy()
    assert_same(kept.get(file, SETTINGS), prepare_image(read_volume(file), SETTINGS))
    kept.forget(file)
    assert "Read-only file system" in caplog.text


def test_an_unreadable_image_is_refused_as_it_is_without_keeping(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"no image")
    with pytest.raises(InvalidInputError, match=r"a\.nii\.gz"):
        PreparedImages(tmp_path / "kept").get(tmp_path / "a.nii.gz", SETTINGS)
    with pytest.raises(InvalidInputError, match=r"b\.nii\.gz"):
        PreparedImages(tmp_path / "kept").get(tmp_path / "b.nii.gz", SETTINGS)


def test_an_image_that_was_removed_from_its_folder_is_forgotten(file: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "mounted"
    elsewhere.mkdir()
    kept, other = PreparedImages(tmp_path / "kept"), made(elsewhere / "b.nii.gz", seed=3)
    for path in (file, other):
        kept.get(path, SETTINGS)
    elsewhere.rename(tmp_path / "not mounted now")
    kept.tidy()
    assert len(kept_files(tmp_path / "kept")) == 2
    file.unlink()
    kept.tidy()
    assert len(kept_files(tmp_path / "kept")) == 1
    assert len(list((tmp_path / "kept" / "known").iterdir())) == 1


def test_those_used_longest_ago_make_room_but_none_that_this_pass_has_used(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    files = [made(tmp_path / f"{name}.nii.gz", seed, (40, 40, 40)) for seed, name in enumerate("abcd")]
    native = PreprocessingSettings(intensity="zscore")
    size = 4 * 40**3
    limit = int(2.6 * size)
    first = PreparedImages(folder, limit)
    for path in files[:3]:
        first.get(path, native)
    (of_a, of_b) = kept_files(folder)  # c found no room: a and b were used in this pass
    for path in (of_a, of_b):
        aged(path)
    reads, second = Reads(), PreparedImages(folder, limit)
    second.get(files[1], native, reads)
    second.get(files[3], native, reads)  # b was used in this pass, so that a makes room
    assert [volume.path.name for volume in reads] == ["d.nii.gz"]
    reads.clear()
    third = PreparedImages(folder, limit)
    for path in (files[1], files[3], files[0]):
        third.get(path, native, reads)
    assert [volume.path.name for volume in reads] == ["a.nii.gz"]
    assert sum(path.stat().st_size for path in kept_files(folder)) <= limit


def test_a_lower_limit_is_kept_from_the_next_pass_on(file: Path, tmp_path: Path) -> None:
    PreparedImages(tmp_path / "kept").get(file, SETTINGS)
    (kept,) = kept_files(tmp_path / "kept")
    aged(kept)
    PreparedImages(tmp_path / "kept", limit_bytes=100).tidy()
    assert not kept_files(tmp_path / "kept")


def test_files_have_the_rights_of_all_others(file: Path, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        PreparedImages(tmp_path / "kept").get(file, SETTINGS)
    finally:
        os.umask(before)
    for path in (tmp_path / "kept").rglob("*.*"):
        assert path.stat().st_mode & 0o777 == 0o640


def use_all(files: list[Path], folder: Path, limit: int) -> list[bool]:
    """Whether each image is as it should be, after many uses."""
    settings = PreprocessingSettings(intensity="zscore")
    expected = [prepare_image(read_volume(path), settings).tensor for path in files]
    found = []
    for _ in range(6):
        kept = PreparedImages(folder, limit)
        found += [torch.equal(kept.get(path, settings).tensor, one) for path, one in zip(files, expected, strict=True)]
    return found


def test_processes_that_keep_and_remove_at_the_same_time_always_get_the_right_image(tmp_path: Path) -> None:
    files = [made(tmp_path / f"{seed}.nii.gz", seed, (20, 20, 20)) for seed in range(6)]
    limit = int(2.5 * 4 * 20**3) + 3 * 4096
    with multiprocessing.get_context("fork").Pool(3) as pool:
        results = pool.starmap(use_all, [(files[turn:] + files[:turn], tmp_path / "kept", limit) for turn in range(3)])
    assert all(all(found) for found in results)
    assert not list((tmp_path / "kept").glob(".*.part"))


def test_all_that_is_kept_is_removed_and_nothing_else(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    PreparedImages(folder).get(file, SETTINGS)
    (folder / "model.safetensors").write_bytes(b"of somebody else")
    remove_all_prepared(folder)
    assert [path.name for path in folder.rglob("*.*")] == ["model.safetensors"]
