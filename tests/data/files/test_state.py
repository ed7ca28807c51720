"""A file that was made from an image is known by the state in which the image's files were."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from changed_files import edit_and_put_time_back

from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.state import is_made_from, note_made_from, state_of


@pytest.fixture
def image(tmp_path: Path) -> ImageFiles:
    file = tmp_path / "image.nii.gz"
    file.write_bytes(b"voxels")
    return ImageFiles(file)


@pytest.fixture
def made(tmp_path: Path, image: ImageFiles) -> Path:
    file = tmp_path / "made.nii.gz"
    file.write_bytes(b"made")
    note_made_from(file, state_of(image))
    return file


def test_what_was_made_from_an_image_is_so_for_ever_if_nothing_changes(made: Path, image: ImageFiles) -> None:
    os.utime(made, ns=(1, 1))  # older than the image, as of a server whose clock is ahead
    assert is_made_from(made, image)


def edited(file: Path) -> None:
    edit_and_put_time_back(file)


def replaced_by_an_older_one(file: Path) -> None:
    file.write_bytes(b"others")
    os.utime(file, ns=(1, 1))


@pytest.mark.parametrize("change", [edited, replaced_by_an_older_one, Path.unlink])
def test_a_change_of_the_image_is_noticed_whatever_its_time(
    made: Path, image: ImageFiles, change: Callable[[Path], None]
) -> None:
    change(image.path)
    assert not is_made_from(made, image)


def test_without_the_file_or_its_note_it_is_made_anew(made: Path, image: ImageFiles) -> None:
    content = made.read_bytes()
    made.unlink()
    assert not is_made_from(made, image)
    made.write_bytes(content)
    assert is_made_from(made, image)
    made.with_name("made.nii.gz.from").unlink()
    assert not is_made_from(made, image)


def test_a_copy_that_is_fetched_again_has_not_changed(made: Path, image: ImageFiles) -> None:
    fetched = replace(image, changed_ns=7)
    note_made_from(made, state_of(fetched))
    edit_and_put_time_back(image.path)  # so another fetch leaves it
    assert is_made_from(made, fetched)
    assert not is_made_from(made, replace(image, changed_ns=8))
