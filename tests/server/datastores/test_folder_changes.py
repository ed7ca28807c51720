"""What another program changes in a folder is read alone, and gives what reading all of the folder gives."""

import errno
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_studies import boxes, write_image, write_nifti

from activelabel.annotation.archive import LabelArchive
from activelabel.annotation.history_reader import HistoryReader
from activelabel.data.patients.given import GivenPatients, read_patients
from activelabel.errors import NotFoundError
from activelabel.server.datastores import folder_following
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.routes.request_checks import require_image
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

NAMES = ("a", "b", "p1_x", "p1_y", "p2_z", "a_seg", "deep/c", "deep/a")


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[..., LedgerDatastore]]:
    """Open a folder as the server does, but for the watch."""
    opened: list[LedgerDatastore] = []

    def open_(name: str = "studies", patients: GivenPatients | None = None, watched: bool = False) -> LedgerDatastore:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        ledger = Ledger(sqlite_url(tmp_path / f"{name}.sqlite"))
        reader = HistoryReader(ledger, ("ball", "box"), tmp_path / f"{name} archive", tmp_path / "predictions", False)
        archive = LabelArchive(ledger, reader, "acquisition")
        store = LedgerDatastore(
            str(folder), ledger, archive, validation_cases=2, follow_changes=True, patients=patients
        )
        opened.append(store)
        if not watched:
            store._observer.stop()
            store._observer.join()
            store._look.close()  # else what the watch has told already is looked at by a thread, beside the test
        return store

    yield open_
    for store in opened:
        store.close()


class Changes:
    """A folder of real images in which things come, go, change and are renamed, and labels of all kinds."""

    def __init__(self, store: LedgerDatastore, folder: Path, seed: int) -> None:
        self.store, self.folder, self.chance = store, folder, random.Random(seed)
        self.sent = write_nifti(folder.parent / "sent.nii.gz", boxes(1, 2))
        self.count = 0

    def one(self) -> list[Path]:
        """Make one change; return the paths that the watch would tell."""
        chosen = self.chance.choice(NAMES)
        image = self.folder / f"{chosen}.nii.gz"
        match self.chance.choice(["add", "add", "remove", "rename", "change", "save", "found", "no label", "folder"]):
            case "add" | "change":
                self.count += 1
                told = [image] if image.parent.is_dir() else [image.parent, image]
                image.parent.mkdir(exist_ok=True)
                write_image(image, self.count)
                return told
            case "remove" if image.is_file():
                image.unlink()
                return [image]
            case "rename" if image.is_file():
                target = self.folder / f"{self.chance.choice(NAMES[:6])}.nii.gz"
                if target != image:
                    image.rename(target)
                return [image, target]
            case "save" if listed := sorted(self.store._datastore.objects):
                image_id = self.chance.choice(listed)
                if Path(self.store._image_path(image_id)).is_file():
                    self.store.save_label(image_id, str(self.sent), "final", {"client_id": "ann"})
            case "found":
                label = self.folder / "labels" / "final" / f"{chosen.replace('/', '~')}.nii.gz"
                label.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.sent, label)
                return [label]
            case "no label":
                label = self.folder / "labels" / "final" / f"{chosen}.nii.gz"
                label.unlink(missing_ok=True)
                return [label]
            case "folder" if (self.folder / "deep").is_dir():
                shutil.rmtree(self.folder / "deep")
                return [self.folder / "deep"]
        return []


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until the watch has told."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def seen(store: LedgerDatastore) -> object:
    """What clients and the ledger see."""
    labels = {image_id: sorted(shown.labels) for image_id, shown in store._datastore.objects.items()}
    images = {image.id: (image.present, image.role, image.usable, image.patient) for image in store._ledger.images()}
    return store._listed_paths(), labels, store.passed_over(), images, store._found_labels.passed_over


@pytest.mark.parametrize("by_patient", [False, True])
def test_changes_read_alone_give_what_reading_all_gives(
    by_patient: bool, open_store: Callable[..., LedgerDatastore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks: list[Path] = []
    find_images = folder_following.find_images

    def note(folder: Path, *arguments: object, **options: object) -> object:
        walks.append(folder)
        return find_images(folder, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(folder_following, "find_images", note)
    for seed in range(2):
        store = open_store(f"studies {seed}", read_patients(r"(p\d)_|deep~|^a") if by_patient else None)
        changes = Changes(store, tmp_path / f"studies {seed}", seed)
        for step in range(20):
            for path in [told for _ in range(changes.chance.choice([1, 1, 3])) for told in changes.one()]:
                store._told.note(path)
            walks.clear()
            store._catch_up()
            assert not walks
            alone = seen(store)
            store.refresh()
            assert seen(store) == alone, (seed, step)


def test_an_image_that_another_program_adds_changes_or_takes_away_does_not_have_the_folder_read(
    open_store: Callable[..., LedgerDatastore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the folder was read")

    studies = tmp_path / "studies"
    studies.mkdir()
    write_image(studies / "a.nii.gz")
    store = open_store(watched=True)
    monkeypatch.setattr(folder_following, "find_images", refuse)
    write_image(studies / "b.nii.gz")
    wait_for(lambda: [*store._datastore.objects] == ["a", "b"])
    (studies / "a.nii.gz").rename(studies / "c.nii.gz")
    wait_for(lambda: [*store._datastore.objects] == ["b", "c"])
    (studies / "c.nii.gz").unlink()
    wait_for(lambda: [image.id for image in store._ledger.images() if image.present] == ["b"])


@pytest.mark.parametrize("below", ["", "b"])
@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES])
def test_images_of_a_folder_that_cannot_be_read_stay(
    code: int, below: str, open_store: Callable[..., LedgerDatastore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = tmp_path / "studies"
    (studies / "b").mkdir(parents=True)
    write_image(studies / "a.nii.gz")
    write_image(studies / "b" / "c.nii.gz")
    store = open_store()
    before = seen(store)
    scan = os.scandir

    def refuse(path: Path) -> object:
        if Path(path) == studies / below:
            raise OSError(code, os.strerror(code), str(path))
        return scan(path)

    with monkeypatch.context() as broken:
        broken.setattr(os, "scandir", refuse)
        with pytest.raises(OSError, match=os.strerror(code)):
            store.refresh()
    assert seen(store) == before
    store.refresh()
    assert seen(store) == before


def test_what_could_not_be_read_alone_is_read_with_all_the_rest(
    open_store: Callable[..., LedgerDatastore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    write_image(tmp_path / "studies" / "a.nii.gz")
    store._told.note(tmp_path / "studies" / "a.nii.gz")
    with monkeypatch.context() as broken:
        broken.setattr(store, "_reconcile_labels", lambda: (_ for _ in ()).throw(OSError("away")))
        with pytest.raises(OSError, match="away"):
            store._catch_up()
    assert store._told.take() is None


def test_an_id_that_a_request_names_and_nobody_knows_does_not_have_the_folder_read(
    open_store: Callable[..., LedgerDatastore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the folder was read")

    studies = tmp_path / "studies"
    (studies / "deep").mkdir(parents=True)
    write_image(studies / "a.nii.gz")
    store = open_store()
    monkeypatch.setattr(folder_following, "find_images", refuse)
    with pytest.raises(NotFoundError, match="there is no image 'b'"):
        require_image("b", store)
    write_image(studies / "b.nii.gz")
    write_image(studies / "deep" / "c.nii.gz")
    write_image(studies / "deep" / "d.nii.gz")
    require_image("b", store)
    require_image("deep~c", store)
    assert [image.id for image in store._ledger.images()] == ["a", "b", "deep~c"]
    with pytest.raises(AssertionError, match="the folder was read"):
        require_image("größe", store)  # which names of files may be this one, only all of them tell


def test_what_changes_between_the_first_reading_and_the_end_of_the_start_is_noticed(
    open_store: Callable[..., LedgerDatastore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_images, studies = folder_following.find_images, tmp_path / "studies"
    studies.mkdir()
    write_image(studies / "a.nii.gz")

    def find_then_change(*arguments: object, **options: object) -> object:
        found = find_images(*arguments, **options)  # type: ignore[arg-type]
        write_image(studies / "b.nii.gz")
        return found

    with monkeypatch.context() as slow:
        slow.setattr(folder_following, "find_images", find_then_change)
        store = open_store(watched=True)
    wait_for(lambda: [*store._datastore.objects] == ["a", "b"])
