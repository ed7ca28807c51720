"""A change of a folder, read alone, gives what reading all of the folder gives."""

import os
import random
import shutil
from pathlib import Path

import pytest

from activelabel.data.files import folder_reading
from activelabel.data.files.channels import ONE_CHANNEL, ChannelLayout, channel_layout
from activelabel.data.files.studies_folder import FolderContent, find_changed, find_images, holds_images

FOLDERS = ("", "a/", "a/b/", "imagesTr/", "imagesTs/", "masks/", "labels/final/", "A/", "activelabel/", ".cache/")
NAMES = (
    "x.nii.gz", "x.nii", "X.nrrd", "x_seg.nii.gz", "seg_y.nii.gz", "y.mha", "y_1.nii.gz", "notes.txt", "z.hdr",
    "x.NII.gz", "x_0000.nii.gz", "x_0001.nii.gz", "ledger.sqlite", ".hidden.nii.gz", "a.nii.gz", "b.nii.gz",
    "t1.nii.gz", "t2.nii.gz", "w.seg.nrrd", "c\u00e4se.nii.gz",
)  # fmt: skip
TWO_CHANNELS = channel_layout(("T1", "T2"), ("_0000", "_0001"))
BY_NAMES = channel_layout(("T1", "T2"), ("t1", "t2"))


class Changes:
    """A folder in which things come, go, change and are renamed, and the paths that a watch would tell."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.chance = folder, random.Random(seed)
        self.outside = folder.parent / "outside"
        self.outside.mkdir()
        (self.outside / "far.nii.gz").touch()

    def one(self) -> set[str]:
        """Make one change; return the paths below the folder that it concerns."""
        kind = self.chance.choice(
            ["file", "file", "file", "remove", "rename", "remove folder", "move folder", "link", "outside"]
        )
        if kind == "outside":  # where a link leads, of which a watch tells nothing
            far = self.outside / "far.nii.gz"
            far.unlink() if far.exists() else far.touch()
            return set()
        path = self.chance.choice(FOLDERS) + self.chance.choice(NAMES)
        target = self.folder / path
        there = sorted(entry.relative_to(self.folder).as_posix() for entry in self.folder.rglob("*"))
        if kind in ("file", "link"):
            told = self.made_folders(target)
            if target.is_dir() and not target.is_symlink():
                return told
            if kind == "link" and target.name != "ledger.sqlite":
                target.unlink(missing_ok=True)
                to = self.chance.choice(["../outside/far.nii.gz", "nowhere", "../outside", "x.nii.gz"])
                target.symlink_to(os.path.join(os.path.relpath(self.folder, target.parent), to))
            elif not target.is_symlink():
                target.touch()
            return told | {path}
        files = [name for name in there if not (self.folder / name).is_dir() or (self.folder / name).is_symlink()]
        folders = [name for name in there if name not in files]
        if kind == "remove folder" and folders:
            gone = self.chance.choice(folders)
            shutil.rmtree(self.folder / gone)
            return {gone}
        if kind == "move folder" and folders:
            return self.moved(
                self.chance.choice(folders), self.chance.choice(["a", "moved", "A/c", "imagesTs", "masks"])
            )
        if kind == "rename" and files and not path.endswith("ledger.sqlite"):
            return self.moved(self.chance.choice(files), path)
        if files:
            gone = self.chance.choice(files)
            (self.folder / gone).unlink()
            return {gone}
        return set()

    def moved(self, source: str, path: str) -> set[str]:
        """Move something, unless its new place is taken or below it."""
        target = self.folder / path
        if os.path.lexists(target) or f"{path}/".startswith(f"{source}/"):
            return set()
        told = self.made_folders(target)
        if not os.path.lexists(self.folder / source):
            return told
        os.rename(self.folder / source, target)
        return told | {source, path}

    def made_folders(self, target: Path) -> set[str]:
        """Make the folders of a path where there are none; return those that are new."""
        new = set[str]()
        for parent in reversed(target.relative_to(self.folder).parents):
            place = self.folder / parent
            if os.path.lexists(place) and not place.is_dir():
                place.unlink()
                new.add(parent.as_posix())
            if not place.is_dir():
                place.mkdir()
                new.add(parent.as_posix())
        return new


@pytest.mark.parametrize("layout", [ONE_CHANNEL, TWO_CHANNELS, BY_NAMES], ids=["one", "two", "by names"])
@pytest.mark.parametrize("links_out", [False, True])
def test_what_has_changed_read_alone_gives_what_reading_all_gives(
    layout: ChannelLayout, links_out: bool, tmp_path: Path
) -> None:
    alone = 0
    for seed in range(6):
        folder = tmp_path / str(seed) / "studies"
        folder.mkdir(parents=True)
        changes = Changes(folder, seed)
        content = find_images(folder, links_out=links_out, layout=layout)
        for _ in range(40):
            told = set[str]().union(*(changes.one() for _ in range(changes.chance.choice([1, 1, 3]))))
            before = content.files if changes.chance.random() < 0.5 else dict(content.files)
            found = find_changed(content, told, before)
            content = find_images(folder, before, links_out=links_out, layout=layout)
            if found is not None:
                alone += 1
                assert found == content, (seed, told)
                content = found  # so that later changes build on what was read alone
    assert alone > 150


def test_a_file_that_comes_and_goes_reads_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.nii.gz", "b/c.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    content = find_images(tmp_path)

    def refuse(*_: object) -> None:
        raise AssertionError("a folder was read")

    monkeypatch.setattr(folder_reading.os, "scandir", refuse)
    (tmp_path / "b" / "new.nii.gz").touch()
    (tmp_path / "a.nii.gz").unlink()
    found = find_changed(content, {"b/new.nii.gz", "a.nii.gz"}, content.files)
    assert found is not None
    assert dict(found.files) == {"b~c": "b/c.nii.gz", "b~new": "b/new.nii.gz"}


def test_a_change_that_concerns_no_image_is_none(tmp_path: Path) -> None:
    """Nothing is made anew of a million names because a folder of the server's own has come."""
    (tmp_path / "a.nii.gz").touch()
    content = find_images(tmp_path)
    (tmp_path / "labels" / "final").mkdir(parents=True)
    (tmp_path / "a.nii.gz").write_bytes(b"changed")
    assert find_changed(content, {"labels", "labels/final", "a.nii.gz"}, content.files) is content
    (tmp_path / "b.txt").touch()
    (tmp_path / "c.dcm").touch()
    changed = find_changed(content, {"b.txt", "c.dcm"}, content.files)
    assert changed is not None
    assert changed is not content
    assert [*changed.passed_over] == ["c.dcm"]


def test_images_keep_their_ids_when_others_come(tmp_path: Path) -> None:
    (tmp_path / "a.nii").touch()
    content = find_images(tmp_path)
    (tmp_path / "a.nii.gz").touch()
    found = find_changed(content, {"a.nii.gz"}, content.files)
    assert isinstance(found, FolderContent)
    assert dict(found.files) == {"a": "a.nii", "a_nii_gz": "a.nii.gz"}


def test_whether_there_are_images_is_what_reading_all_says(tmp_path: Path) -> None:
    """Few files at a time, so that there are often none, or only labels of nothing."""
    told = list[bool]()
    for seed in range(300):
        folder = tmp_path / str(seed) / "studies"
        folder.mkdir(parents=True)
        changes = Changes(folder, seed)
        for _ in range(3):
            changes.one()
        told.append(holds_images(folder))
        assert told[-1] == bool(find_images(folder).files), seed
    assert 50 < sum(told) < 250


def test_the_first_image_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        (tmp_path / f"{number:02}").mkdir()
        for name in ("a.nii.gz", "b.nii.gz"):
            (tmp_path / f"{number:02}" / name).touch()
    read = list[object]()
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: read.append(path) or scandir(path))  # type: ignore[func-returns-value]
    assert holds_images(tmp_path)
    assert len(read) == 2, "the folder, and one in it"
    (tmp_path / "dicom").mkdir()
    for name in ("1.dcm", "IM2", "notes.txt"):
        (tmp_path / "dicom" / name).touch()
    read.clear()
    assert not holds_images(tmp_path / "dicom")
    assert len(read) == 1, "no name leaves a doubt"
