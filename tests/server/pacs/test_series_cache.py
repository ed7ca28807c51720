import datetime
import threading
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from activelabel.errors import InvalidInputError, NotFoundError, UnavailableError
from activelabel.server.pacs import series_cache
from activelabel.server.pacs.series_cache import SeriesCache
from local_pacs.ct_series import ct_series

UID = "1.2.3"


class Archive:
    """Stands for the PACS: one series of 5 x 4 x 3 voxels, sent slowly and perhaps incompletely."""

    def __init__(self, folder: Path) -> None:
        self.voxels_hu = np.arange(60, dtype=np.int16).reshape(5, 4, 3)
        nibabel.save(nibabel.Nifti1Image(self.voxels_hu, np.diag([1.0, 1, 2, 1])), folder / "source.nii.gz")
        self.slices = ct_series(folder / "source.nii.gz", "case", datetime.datetime(2026, 1, 2))
        self.downloads = 0
        self.breaks_after: int | None = None
        self.asked, self.may_send = threading.Event(), threading.Event()
        self.may_send.set()
        self.studies: list[str] = []

    def download(self, series_uid: str, study_uid: str, folder: Path, go_on: Callable[[], bool] = lambda: True) -> None:
        self.downloads += 1
        self.studies.append(study_uid)
        self.asked.set()
        assert self.may_send.wait(120)
        for index, dataset in enumerate(self.slices):
            if index == self.breaks_after:
                raise UnavailableError("gone")
            time.sleep(0.05)
            dataset.save_as(folder / f"{index}.dcm", write_like_original=False)

    def study_of(self, series_uid: str) -> str:
        if series_uid != UID:
            raise NotFoundError("no such series")
        return "1.9"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


@pytest.fixture
def cache(archive: Archive, tmp_path: Path) -> SeriesCache:
    return SeriesCache(archive, tmp_path / "cache")


def visible(cache: SeriesCache) -> set[str]:
    return {path.name for path in cache.folder.iterdir() if not path.name.startswith(".")}


def test_a_series_is_fetched_once(cache: SeriesCache, archive: Archive) -> None:
    volume, slices = cache.volume(UID, "1.7"), cache.slices(UID, "1.7")
    np.testing.assert_array_equal(nibabel.load(volume).get_fdata(), archive.voxels_hu)
    assert len(list(slices.iterdir())) == 3
    assert cache.volume(UID, None) == volume
    assert (archive.downloads, archive.studies) == (1, ["1.7"])


def test_the_study_is_looked_up_where_it_is_not_known(cache: SeriesCache, archive: Archive) -> None:
    cache.volume(UID, None)
    assert archive.studies == ["1.9"]


def test_two_threads_that_need_a_series_at_once_share_one_download(
    cache: SeriesCache, archive: Archive, tmp_path: Path
) -> None:
    other = SeriesCache(archive, tmp_path / "cache")  # as another process opens it
    found: list[Path] = []
    threads = [threading.Thread(target=lambda one=one: found.append(one.volume(UID, "1.9"))) for one in (cache, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert archive.downloads == 1
    assert len(set(found)) == 1


def test_a_download_that_breaks_off_leaves_no_file(cache: SeriesCache, archive: Archive) -> None:
    archive.breaks_after = 2
    with pytest.raises(UnavailableError):
        cache.volume(UID, "1.9")
    assert visible(cache) == set()
    assert not list(cache.folder.glob(".unfinished-*"))
    archive.breaks_after = None
    assert nibabel.load(cache.volume(UID, "1.9")).shape == (5, 4, 3)


def test_a_series_is_fetched_again_after_a_kill_between_the_two_steps(cache: SeriesCache, archive: Archive) -> None:
    cache.volume(UID, "1.9").unlink()
    assert nibabel.load(cache.volume(UID, "1.9")).shape == (5, 4, 3)
    assert archive.downloads == 2


def test_a_series_that_is_no_volume_is_not_kept(cache: SeriesCache, archive: Archive) -> None:
    del archive.slices[1]
    archive.slices.append(archive.slices[0])
    with pytest.raises(InvalidInputError, match=f"series {UID}"):
        cache.volume(UID, "1.9")
    assert visible(cache) == set()


def test_a_forgotten_series_is_fetched_anew(cache: SeriesCache, archive: Archive) -> None:
    cache.volume(UID, "1.9")
    cache.forget(UID)
    assert visible(cache) == set()
    cache.slices(UID, "1.9")
    assert archive.downloads == 2


def test_what_a_killed_process_left_goes_and_what_is_being_fetched_stays(
    cache: SeriesCache, archive: Archive, tmp_path: Path
) -> None:
    for left in (".unfinished-1.2.4", ".unfinished-asked-1.2.5", ".unfinished-as_earlier_versions_named_it"):
        (cache.folder / left / "1.2.4").mkdir(parents=True)
        (cache.folder / left / "1.2.4" / "0.dcm").write_bytes(b"a patient's")
    archive.may_send.clear()
    fetch = threading.Thread(target=cache.volume, args=(UID, "1.9"))
    fetch.start()
    assert archive.asked.wait(120)
    SeriesCache(archive, tmp_path / "cache").remove_abandoned()  # as another process opens it
    assert [path.name for path in cache.folder.glob(".unfinished-*")] == [f".unfinished-{UID}"]
    archive.may_send.set()
    fetch.join(120)
    assert visible(cache) == {UID, f"{UID}.nii.gz"}
    assert not list(cache.folder.glob(".unfinished-*"))


def test_what_a_killed_process_left_of_a_series_is_in_no_later_volume(cache: SeriesCache, archive: Archive) -> None:
    (cache.folder / f".unfinished-{UID}" / UID).mkdir(parents=True)
    (cache.folder / f".unfinished-{UID}" / UID / "7.dcm").write_bytes(b"half of a slice")
    assert nibabel.load(cache.volume(UID, "1.9")).shape == (5, 4, 3)
    assert len(list(cache.slices(UID, "1.9").iterdir())) == 3


@pytest.mark.parametrize(("answers", "not_begun"), [([False], "read_series"), ([True, False], "write_volume")])
def test_a_series_that_is_not_to_go_on_is_neither_read_nor_written(
    cache: SeriesCache, monkeypatch: pytest.MonkeyPatch, answers: list[bool], not_begun: str
) -> None:
    monkeypatch.setattr(series_cache, not_begun, lambda *_: pytest.fail(f"{not_begun} is begun"))
    with pytest.raises(UnavailableError, match=rf"the series {UID} is not fetched to its end"):
        cache.volume(UID, "1.9", lambda: answers.pop(0))
    assert visible(cache) == set()
