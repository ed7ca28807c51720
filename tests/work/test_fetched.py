"""Fetched images: none is removed while a thread reads it, and threads that want the same one fetch it once."""

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from activelabel.data.files.image_files import ImageFiles
from activelabel.errors import UnavailableError
from activelabel.work.fetched import KEPT, FetchedImages

THREADS = 8
SECONDS = 120
"""After how long a test that hangs ends."""


class Source:
    """Gives each image as a file that holds its id.

    Attributes:
        files: the files that it gave, in order.
        broken: the image that breaks off.
    """

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.broken = ""

    def fetch(self, image_id: str, folder: Path) -> ImageFiles:
        path = folder / image_id
        path.write_text(image_id, encoding="utf-8")
        self.files.append(path)
        if image_id == self.broken:
            raise UnavailableError("the answer broke off")
        return ImageFiles(path)

    def there(self) -> list[str]:
        return [path.name for path in self.files if path.exists()]


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool


def test_images_that_threads_read_slowly_stay_while_others_come_and_go(
    source: Source, threads: ThreadPoolExecutor
) -> None:
    images, found, goes_on = FetchedImages(), threading.Barrier(THREADS + 1), threading.Event()

    def read_slowly(image_id: str) -> str:
        files = images.get(image_id, source.fetch)
        found.wait(SECONDS)
        assert goes_on.wait(SECONDS)
        return files.path.read_text(encoding="utf-8")

    slow = [f"slow_{number}" for number in range(THREADS)]
    reading = [threads.submit(read_slowly, image_id) for image_id in slow]
    found.wait(SECONDS)
    for number in range(3 * KEPT):
        images.get(f"quick_{number}", source.fetch)
    there = source.there()
    goes_on.set()
    assert [one.result(SECONDS) for one in reading] == slow
    assert sorted(there[:THREADS]) == slow
    assert there[THREADS:] == [f"quick_{number}" for number in range(2 * KEPT, 3 * KEPT)]


def test_what_a_thread_has_read_goes_once_it_asks_for_another_or_ends(source: Source) -> None:
    images = FetchedImages()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(images.get, "first", source.fetch).result(SECONDS)
        thread.submit(images.get, "second", source.fetch).result(SECONDS)
        for number in range(KEPT):
            images.get(f"quick_{number}", source.fetch)
        assert "first" not in source.there()
        assert "second" in source.there()
    for number in range(KEPT):
        images.get(f"more_{number}", source.fetch)
    assert source.there() == [f"more_{number}" for number in range(KEPT)]
    assert not source.files[0].parent.exists()


def test_threads_that_want_the_same_image_fetch_it_once(source: Source, threads: ThreadPoolExecutor) -> None:
    images, another = FetchedImages(), threading.Semaphore(0)

    def fetch(image_id: str, folder: Path) -> ImageFiles:
        """Fetch an image, but wait a while whether another thread fetches it too."""
        if source.files:
            another.release()
        files = source.fetch(image_id, folder)
        another.acquire(timeout=0.5)
        return files

    def get(_: int) -> ImageFiles:
        return images.get("one", fetch)

    assert set(threads.map(get, range(THREADS))) == {ImageFiles(source.files[0])}
    assert len(source.files) == 1


def test_nothing_stays_of_an_image_that_broke_off_and_it_is_fetched_again(source: Source) -> None:
    images, source.broken = FetchedImages(), "one"
    with pytest.raises(UnavailableError):
        images.get("one", source.fetch)
    assert not source.files[0].parent.exists()
    source.broken = ""
    assert images.get("one", source.fetch).exists()


def test_an_image_whose_copy_somebody_has_removed_is_fetched_again(source: Source) -> None:
    images = FetchedImages()
    images.get("one", source.fetch).path.unlink()
    assert images.get("one", source.fetch).exists()
    assert len(source.files) == 2


def test_images_are_fetched_though_their_folder_for_temporary_files_is_gone(source: Source) -> None:
    images = FetchedImages()
    images.get("one", source.fetch)
    shutil.rmtree(source.files[0].parents[1])
    assert images.get("one", source.fetch).exists()
