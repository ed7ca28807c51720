"""Images that changed after they were labelled, and cases that come back when their files are mended."""

import logging
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from small_studies import AFFINE_RAS, boxes, write_image, write_nifti

from activelabel.annotation.archive import LabelArchive
from activelabel.annotation.history_reader import HistoryReader
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.opening import open_header
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError
from activelabel.prediction.prepared.images import PreparedImages
from activelabel.project.readability import MODALITY, content_sha256, has_changed, note_image, prepare_case, read_case
from activelabel.project.setting_aside import set_aside_unreadable
from activelabel.recipes import PreprocessingSettings
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

ROUGH = PreprocessingSettings(spacing_mm=(1.0, 1.0, 1.0))


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "studies"
    folder.mkdir()
    for seed, name in enumerate("abcd"):
        write_image(folder / f"{name}.nii.gz", seed)
    return folder


@pytest.fixture
def store(studies: Path, tmp_path: Path) -> LedgerDatastore:
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    reader = HistoryReader(ledger, ("ball",), tmp_path / "kept", tmp_path / "predictions", asks_slices=False)
    archive = LabelArchive(ledger, reader, "acquisition")
    store = LedgerDatastore(str(studies), ledger, archive, validation_cases=0, follow_changes=True)
    yield store
    store.close()


@pytest.fixture
def ledger(store: LedgerDatastore) -> Ledger:
    return store._ledger


def save(store: LedgerDatastore, tmp_path: Path, name: str = "a", cropped: int = 0) -> None:
    label = boxes(1)[: 12 - cropped]
    store.save_label(name, str(write_nifti(tmp_path / "sent.nii.gz", label)), "final", {"client_id": "ann"})


def crop(path: Path) -> None:
    image = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(image.get_fdata()[:-4].astype(np.float32), image.affine), path)


def test_an_image_that_changed_under_its_label_is_set_aside_and_comes_back_with_the_old_file(
    store: LedgerDatastore, ledger: Ledger, studies: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(store, tmp_path)
    old = shutil.copy2(studies / "a.nii.gz", tmp_path / "old.nii.gz")
    crop(studies / "a.nii.gz")

    with caplog.at_level(logging.WARNING):
        store.refresh()

    (aside,) = ledger.images_set_aside()
    assert aside.id == "a"
    assert "its image has changed since its label was drawn" in aside.unreadable_reason
    assert "a is set aside: a: its image has changed" in caplog.text
    store.refresh()
    assert [image.id for image in ledger.images_set_aside()] == ["a"], "nothing has changed since"
    shutil.copy2(old, studies / "a.nii.gz")  # with its old modification time
    store.refresh()
    assert ledger.images_set_aside() == []
    assert ledger.progress().annotated == 1


def mirror_header(path: Path) -> None:
    """Turn left and right round in the header alone, about the middle of the image, as `fslorient -swaporient` does."""
    image = nibabel.load(path)
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    mirror[0, 3] = image.shape[0] - 1
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine @ mirror), path)


@pytest.mark.parametrize("kept_as", ["volume", "slices", "draft"])
def test_an_image_whose_header_was_mirrored_under_its_label_is_not_learnt_from_as_its_mirror_image(
    store: LedgerDatastore, ledger: Ledger, studies: Path, tmp_path: Path, kept_as: str
) -> None:
    """The voxels are the same, and by the header alone the label would fit the other way round."""
    sent = str(write_nifti(tmp_path / "sent.nii.gz", boxes(1)))
    params = {"slices": {"annotated_slices": [0, 1]}, "draft": {"finished": False}}.get(kept_as, {})
    store.save_label("a", sent, "final", {"client_id": "ann", **params})
    old = shutil.copy2(studies / "a.nii.gz", tmp_path / "old.nii.gz")
    mirror_header(studies / "a.nii.gz")

    store.refresh()

    turned = "the axes of its image were turned or mirrored in the header since it was drawn: put the earlier file back"
    if kept_as == "draft":
        with pytest.raises(InvalidInputError, match=turned):
            store.finish_draft("a", "ann")
    else:
        (aside,) = ledger.images_set_aside()
        assert aside.id == "a"
        assert turned in aside.unreadable_reason
        assert aside.unreadable_reason.startswith("a: final-")
    if kept_as == "slices":
        with pytest.raises(InvalidInputError, match=turned):
            store.save_label("a", sent, "final", {"client_id": "ann", "annotated_slices": [2]})
    shutil.copy2(old, studies / "a.nii.gz")
    store.refresh()
    assert ledger.images_set_aside() == []


def test_a_mirrored_header_is_noticed_also_after_a_crash_while_it_was_looked_at(
    store: LedgerDatastore, ledger: Ledger, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = str(write_nifti(tmp_path / "sent.nii.gz", boxes(1)))
    store.save_label("a", sent, "final", {"client_id": "ann"})
    mirror_header(studies / "a.nii.gz")
    with monkeypatch.context() as crash:
        crash.setattr(ledger, "mark_unreadable", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.refresh()
    assert ledger.images_set_aside() == []
    store.refresh()
    assert [image.id for image in ledger.images_set_aside()] == ["a"]


def rewritten_with_its_time(path: Path, write: Callable[[Path], None]) -> None:
    """Change a file, and put its time back, as `touch -r` does."""
    before = path.stat()
    write(path)
    assert path.stat().st_size == before.st_size, "or its size would tell"
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def mirror_in_place(path: Path) -> None:
    """Turn left and right round in an unpacked file: twelve numbers of its header."""
    image = nibabel.load(path)
    image = nibabel.Nifti1Image(np.array(image.dataobj), image.affine, image.header)
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    mirror[0, 3] = image.shape[0] - 1
    image.set_qform(AFFINE_RAS @ mirror, 1)
    image.set_sform(AFFINE_RAS @ mirror, 1)
    nibabel.save(image, path)


def brighten_in_place(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-4] + np.float32(2500).tobytes())


@pytest.fixture
def unpacked(studies: Path) -> Path:
    """Image `u`, whose size does not depend on its content."""
    return write_image(studies / "u.nii", 5)


def test_a_header_that_was_edited_in_place_with_its_time_put_back_is_noticed(
    store: LedgerDatastore, ledger: Ledger, unpacked: Path, tmp_path: Path
) -> None:
    store.refresh()
    save(store, tmp_path, "u")
    old = unpacked.read_bytes()

    rewritten_with_its_time(unpacked, mirror_in_place)
    store.refresh()

    (aside,) = ledger.images_set_aside()
    assert "the axes of its image were turned or mirrored in the header" in aside.unreadable_reason
    rewritten_with_its_time(unpacked, lambda path: path.write_bytes(old) and None)
    store.refresh()
    assert ledger.images_set_aside() == [], "its files have changed again, though size and time are the same"


def test_voxels_that_were_edited_with_the_time_put_back_are_noticed_when_they_are_read(
    store: LedgerDatastore, ledger: Ledger, unpacked: Path, tmp_path: Path
) -> None:
    store.refresh()
    save(store, tmp_path, "u")
    rewritten_with_its_time(unpacked, brighten_in_place)
    store.refresh()
    assert ledger.images_set_aside() == []
    assert set_aside_unreadable("u", store, ledger, was_scored=True)
    (aside,) = ledger.images_set_aside()
    assert "its image has changed since its label was drawn" in aside.unreadable_reason


def test_a_folder_that_was_copied_with_its_times_is_not_read_at_once(
    store: LedgerDatastore, ledger: Ledger, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, tmp_path)
    noted = ledger.image("a")
    copy = shutil.copy2(studies / "a.nii.gz", tmp_path / "copy")
    Path(copy).replace(studies / "a.nii.gz")
    assert ledger.image("a").file_changed_ns != (studies / "a.nii.gz").stat().st_ctime_ns
    opened: list[str] = []
    monkeypatch.setattr("activelabel.data.volumes.open_voxels", lambda path: opened.append(path.name))
    with monkeypatch.context() as watching:
        headers = []
        real = open_header
        watching.setattr("activelabel.data.volumes.open_header", lambda path: headers.append(path.name) or real(path))
        store.refresh()
        store.refresh()
    assert (opened, headers) == ([], ["a.nii.gz"]), "one look at the header"
    assert ledger.image("a") == noted
    monkeypatch.undo()
    assert not set_aside_unreadable("a", store, ledger, was_scored=True)
    assert ledger.image("a").file_changed_ns == (studies / "a.nii.gz").stat().st_ctime_ns, "compared, and the same"
    assert ledger.image("a").content_sha256 == noted.content_sha256


def test_what_an_earlier_version_noted_of_a_file_is_believed_and_completed(
    ledger: Ledger, store: LedgerDatastore, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = studies / "a.nii.gz"
    note_image("a", file, ledger)
    noted = ledger.image("a")
    ledger.record_file("a", noted.content_sha256, noted.file_size, noted.file_modified_ns, noted.intensities)
    assert not has_changed(ledger.image("a"), ImageFiles(file))
    monkeypatch.setattr("activelabel.data.volumes.open_voxels", None)
    note_image("a", file, ledger)
    assert ledger.image("a") == noted
    ledger.mark_unreadable("a", "torn", f"{file.stat().st_size} {file.stat().st_mtime_ns}")
    store.refresh()
    assert [image.id for image in ledger.images_set_aside()] == ["a"], "the state of an earlier version is the same"


def test_a_label_drawn_anew_on_the_changed_image_counts(
    store: LedgerDatastore, ledger: Ledger, studies: Path, tmp_path: Path
) -> None:
    save(store, tmp_path)
    crop(studies / "a.nii.gz")
    store.refresh()
    with pytest.raises(InvalidInputError, match="the label is 12x10x8 voxels, expected its image's 8x10x8"):
        save(store, tmp_path)
    save(store, tmp_path, cropped=4)
    assert ledger.images_set_aside() == []
    assert not set_aside_unreadable("a", store, ledger, was_scored=False)


def test_slices_drawn_on_two_images_of_one_name_are_not_merged(
    store: LedgerDatastore, studies: Path, tmp_path: Path
) -> None:
    sent = write_nifti(tmp_path / "sent.nii.gz", boxes(1))
    store.save_label("a", str(sent), "final", {"client_id": "ann", "annotated_slices": [0, 1]})
    write_image(studies / "a.nii.gz", seed=7)  # the same grid
    with pytest.raises(InvalidInputError, match="its earlier slices were drawn on another image of this name"):
        store.save_label("a", str(sent), "final", {"client_id": "ann", "annotated_slices": [2]})


def test_an_image_that_was_only_compressed_again_is_the_same(
    store: LedgerDatastore, ledger: Ledger, studies: Path, tmp_path: Path
) -> None:
    save(store, tmp_path)
    volume = read_volume(studies / "a.nii.gz")
    write_nifti(studies / "a.nii.gz", volume.array)
    store.refresh()
    assert ledger.images_set_aside() == []
    assert ledger.image("a").content_sha256 == content_sha256(volume)


def test_a_file_is_read_once_as_long_as_it_stays_the_same(
    ledger: Ledger, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = studies / "a.nii.gz"
    note_image("a", path, ledger)
    monkeypatch.setattr("activelabel.project.readability.read_volume", lambda path: pytest.fail("read again"))
    note_image("a", path, ledger)


@pytest.mark.parametrize("error", [OverflowError("int too large"), zlib.error("-3"), MemoryError()])
def test_every_exception_while_a_case_is_read_sets_that_case_aside(
    store: LedgerDatastore, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(path: object) -> None:
        raise error

    monkeypatch.setattr("activelabel.project.readability.read_volume", fail)
    assert set_aside_unreadable("a", store, ledger, was_scored=False)
    assert ledger.image("a").unreadable_reason.startswith("a: ")
    monkeypatch.undo()
    store.readmit_mended()
    assert [image.id for image in ledger.images_set_aside()] == ["a"]
    store.readmit_mended(at_start=True)
    assert bool(ledger.images_set_aside()) is not isinstance(error, MemoryError), "memory may be there at another time"


def test_a_spacing_that_makes_an_image_huge_sets_it_aside_before_it_is_asked_for(
    store: LedgerDatastore, ledger: Ledger, studies: Path
) -> None:
    affine = AFFINE_RAS @ np.diag([1e4, 1e4, 1e4, 1.0])
    write_nifti(studies / "b.nii.gz", np.ones((12, 10, 8), np.float32), affine)
    assert set_aside_unreadable("b", store, ledger, was_scored=False, preprocessing=ROUGH)
    assert "check the spacing in its header" in ledger.image("b").unreadable_reason
    with pytest.raises(InvalidInputError, match="expected at most"):
        prepare_case("b", studies / "b.nii.gz", ledger, ROUGH, PreparedImages(None))


def test_an_image_whose_numbers_are_not_those_of_the_others_is_named_when_it_is_read(
    ledger: Ledger, studies: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "abc":
        read_case(name, studies / f"{name}.nii.gz", ledger)
    volume = read_volume(studies / "d.nii.gz")
    write_nifti(studies / "d.nii.gz", volume.array - 2048)
    with caplog.at_level(logging.WARNING):
        read_case("d", studies / "d.nii.gz", ledger)
    assert "d: its values run from" in caplog.text
    assert "stored with an offset" in caplog.text


def test_the_first_images_of_a_ct_that_are_stored_with_an_offset_are_logged(
    store: LedgerDatastore, ledger: Ledger, studies: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "abcd":
        write_nifti(studies / f"{name}.nii.gz", np.linspace(24, 1800, 960).reshape(12, 10, 8).astype(np.int16))
    ledger.fix_fact(MODALITY, "CT", "said by the test")
    with caplog.at_level(logging.WARNING):
        for name in "abcd":
            note_image(name, studies / f"{name}.nii.gz", ledger)
    logged = [line for line in caplog.messages if "probably stored with an offset of 1000 or 1024" in line]
    assert [line[:2] for line in logged] == ["a:", "b:", "c:"]


def test_whoever_is_asked_for_a_copy_or_link_of_an_annotated_image_is_told(
    store: LedgerDatastore, ledger: Ledger, studies: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(studies / "a.nii.gz", studies / "copy.nii.gz")
    (studies / "link.nii.gz").symlink_to("a.nii.gz")
    store.refresh()
    assert not set_aside_unreadable("copy", store, ledger, was_scored=False)
    assert "copy" not in caplog.text, "neither is annotated"
    save(store, tmp_path)
    for name in ("copy", "link", "b", "a"):
        assert not set_aside_unreadable(name, store, ledger, was_scored=name == "copy")
    assert [record.message for record in caplog.records if "which is annotated" in record.message] == [
        f"{name}: it has the voxels of 'a', which is annotated: remove one of them, or skip it as one that cannot be "
        "annotated"
        for name in ("copy", "link")
    ]


def test_a_copy_of_which_its_server_does_not_say_when_it_changed_is_noted_without_that(
    ledger: Ledger, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ImageFiles(studies / "a.nii.gz", changed_ns=0)
    note_image("a", file, ledger)
    assert ledger.image("a").file_changed_ns is None
    monkeypatch.setattr("activelabel.data.volumes.open_voxels", None)
    note_image("a", studies / "a.nii.gz", ledger)  # where its entry is seen
    noted = ledger.image("a")
    assert noted.file_changed_ns == (studies / "a.nii.gz").stat().st_ctime_ns
    note_image("a", file, ledger)
    assert ledger.image("a") == noted
    assert not has_changed(noted, file)
