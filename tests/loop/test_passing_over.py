"""An image whose files go while they are read: it is no fault of the image if they can be had again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from activelabel.data.files.image_files import ChannelFile, ImageFiles
from activelabel.data.files.one_case import one_case
from activelabel.errors import InvalidInputError, NotFoundError, UnavailableError
from activelabel.loop.passing_over import PassedOverError, PassingOver, files_to_read


class Folder:
    """One image. `again` is called before its files are given a second time."""

    def __init__(self, files: ImageFiles, again: Callable[[], None]) -> None:
        self._files = files
        self._again = again
        self._asked = 0

    def image_files(self, image_id: str) -> ImageFiles:
        self._asked += 1
        if self._asked > 1:
            self._again()
        return self._files

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        return {}


@pytest.fixture
def files(tmp_path: Path) -> ImageFiles:
    (tmp_path / "a.nii.gz").write_text("voxels", encoding="utf-8")
    return ImageFiles(tmp_path / "a.nii.gz")


def read(folder: Folder | PassingOver, *, goes: bool) -> None:
    """Read the image, which fails; perhaps because its file goes meanwhile."""
    with files_to_read("a", folder) as files:
        if goes:
            files.path.unlink()
        raise InvalidInputError("a.nii.gz: it cannot be read")


def test_an_image_that_can_be_had_again_is_to_be_tried_again(files: ImageFiles) -> None:
    with pytest.raises(UnavailableError, match=r"image 'a': a\.nii\.gz has gone while it was read"):
        read(Folder(files, files.path.touch), goes=True)


def test_a_worker_passes_over_an_image_that_went_whether_or_not_it_can_be_had_again(files: ImageFiles) -> None:
    def missing() -> None:
        raise NotFoundError("image 'a': it is not there")

    for again, why in ((files.path.touch, UnavailableError), (missing, NotFoundError)):
        files.path.touch()
        passing = PassingOver(Folder(files, again))
        with pytest.raises(PassedOverError):
            read(passing, goes=True)
        assert isinstance(passing.failed["a"], why)


def needs_memory(folder: Folder | PassingOver) -> None:
    """Read an image for which the memory is too small."""
    with files_to_read("a", folder), one_case("a"):
        raise MemoryError


def test_a_worker_passes_over_an_image_for_which_it_has_too_little_memory(files: ImageFiles) -> None:
    folder = Folder(files, lambda: None)
    with pytest.raises(PassedOverError, match="a: it needs more memory than there is"):
        needs_memory(PassingOver(folder))
    with pytest.raises(InvalidInputError, match="a: it needs more memory than there is"):
        needs_memory(folder)


def test_an_image_that_is_there_and_cannot_be_read_is_at_fault(files: ImageFiles) -> None:
    with pytest.raises(InvalidInputError, match="it cannot be read"):
        read(PassingOver(Folder(files, files.path.touch)), goes=False)


def test_an_image_that_lacks_a_channel_is_at_fault(files: ImageFiles, tmp_path: Path) -> None:
    lacking = ImageFiles(files.path, (ChannelFile("t1", files.path), ChannelFile("t2", tmp_path / "none.nii.gz")))
    with pytest.raises(InvalidInputError, match="it cannot be read"):
        read(PassingOver(Folder(lacking, lambda: None)), goes=False)


def test_an_image_that_a_folder_of_the_server_has_no_more_is_set_aside_as_before(files: ImageFiles) -> None:
    def missing() -> None:
        raise NotFoundError("image 'a': it is not there")

    with pytest.raises(InvalidInputError, match="it cannot be read"):
        read(Folder(files, missing), goes=True)
