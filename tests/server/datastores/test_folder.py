"""The studies folder: its listing, its labels, and a JSON view that loses no label."""

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from small_studies import AFFINE_RAS, BROKEN, SHAPE, boxes, write_image, write_nifti

from activelabel.annotation.archive import LabelArchive
from activelabel.annotation.history_reader import HistoryReader
from activelabel.annotation.label_info import LabelInfo
from activelabel.data.slices import SlicePlane, slice_mask
from activelabel.data.volumes import read_grid
from activelabel.errors import AskedBackError, InvalidInputError, NotReadyError
from activelabel.prediction.prepared.images import PreparedImages
from activelabel.project.listing import labelled, listed_labels
from activelabel.project.models.features import features_file, read_features, write_features
from activelabel.project.models.kept_maps import KeptMaps
from activelabel.recipes import PreprocessingSettings
from activelabel.server.datastores import delayed_call, folder_listing
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from activelabel.store.records.labels import Annotation

LABELS = ("ball", "box")


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """A folder of two images."""
    folder = tmp_path / "studies"
    folder.mkdir()
    for name in ("a", "b"):
        write_image(folder / f"{name}.nii.gz")
    return folder


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(sqlite_url(tmp_path / "ledger.sqlite"))


@pytest.fixture
def open_store(studies: Path, ledger: Ledger, tmp_path: Path) -> Iterator[Callable[..., LedgerDatastore]]:
    """Open the folder as the server or one of its children does."""
    opened: list[LedgerDatastore] = []

    def open_(
        follow_changes: bool = True,
        ledger: Ledger = ledger,
        folder: Path = tmp_path,
        plane: SlicePlane = "acquisition",
    ) -> LedgerDatastore:
        archive = LabelArchive(ledger, history_reader(ledger, folder), plane)
        opened.append(LedgerDatastore(str(studies), ledger, archive, validation_cases=0, follow_changes=follow_changes))
        return opened[-1]

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., LedgerDatastore]) -> LedgerDatastore:
    return open_store()


def history_reader(ledger: Ledger, folder: Path, asks_slices: bool = False) -> HistoryReader:
    return HistoryReader(ledger, LABELS, folder / "archive", folder / "predictions", asks_slices)


def view(studies: Path) -> dict[str, Any]:
    """Return the entries of images in the JSON."""
    return dict(json.loads((studies / "datastore_v2.json").read_text(encoding="utf-8"))["objects"])


def label_file(folder: Path, *values: float, name: str = "sent.nii.gz") -> Path:
    return write_nifti(folder / name, boxes(*values))


def values_of(path: Path) -> NDArray[np.generic]:
    return np.asarray(nibabel.load(path).dataobj)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until the folder's watcher has seen the change."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


# Labels


def test_a_label_is_kept_shown_and_listed(store: LedgerDatastore, studies: Path, tmp_path: Path) -> None:
    assert store.save_label("a", str(label_file(tmp_path, 2, 1)), "final", {"client_id": "ann"}) == "a"
    np.testing.assert_array_equal(values_of(studies / "labels" / "final" / "a.nii.gz"), boxes(2, 1))
    store.close()
    info = view(studies)["a"]["labels"]["final"]["info"]
    assert info["client_id"] == "ann"
    assert info["params"] == {"label_names": {"ball": 1, "box": 2}}
    assert store.get_labeled_images() == ["a"]
    assert store.get_unlabeled_images() == ["b"]


def test_a_refused_label_leaves_the_earlier_one(store: LedgerDatastore, studies: Path, tmp_path: Path) -> None:
    store.save_label("a", str(label_file(tmp_path, 1)), "final", {})
    for values in ((3,), (0.5,)):
        wrong = write_nifti(tmp_path / "wrong.nii.gz", boxes(*values, dtype=np.float32))
        with pytest.raises(InvalidInputError, match=r"wrong\.nii\.gz"):
            store.save_label("a", str(wrong), "final", {})
    np.testing.assert_array_equal(values_of(studies / "labels" / "final" / "a.nii.gz"), boxes(1))
    assert len(list((tmp_path / "archive").rglob("*.nii.gz"))) == 1


def test_concurrent_saves_leave_the_newest_shown(
    store: LedgerDatastore, ledger: Ledger, studies: Path, tmp_path: Path
) -> None:
    """In any order of threads the shown label and its annotator are those of the ledger."""
    files = [label_file(tmp_path, number % 2 + 1, name=f"{number}.nii.gz") for number in range(24)]

    def save(number: int) -> None:
        store.save_label("a", str(files[number]), "final", {"client_id": f"reader {number}"})
        json.dumps(store.json())  # a client that lists all images meanwhile

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(save, range(len(files))))
    history = ledger.history("a")
    assert [item.version for item in history] == list(range(1, len(files) + 1))
    assert [item.superseded_at is None for item in history] == [False] * (len(files) - 1) + [True]
    newest = history[-1]
    shown = (studies / "labels" / "final" / "a.nii.gz").read_bytes()
    assert shown == (tmp_path / "archive" / newest.file).read_bytes()
    number = int(newest.annotator.removeprefix("reader "))
    np.testing.assert_array_equal(values_of(tmp_path / "archive" / newest.file), boxes(number % 2 + 1))
    assert store.get_label_info("a", "final")["client_id"] == newest.annotator


def test_a_label_that_was_overtaken_is_not_shown(
    store: LedgerDatastore, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread keeps its label first and is the last to show it."""
    kept, overtaken, keep = threading.Event(), threading.Event(), LabelArchive.keep

    def keep_and_wait(archive: LabelArchive, *arguments: Any, **options: bool) -> Annotation:
        annotation = keep(archive, *arguments, **options)
        if annotation.annotator == "slow":
            kept.set()
            assert overtaken.wait(60)
        return annotation

    monkeypatch.setattr(LabelArchive, "keep", keep_and_wait)
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(store.save_label, "a", str(label_file(tmp_path, 1)), "final", {"client_id": "slow"})
        assert kept.wait(60)
        store.save_label("a", str(label_file(tmp_path, 2, name="fast.nii.gz")), "final", {"client_id": "fast"})
        overtaken.set()
        slow.result()
    np.testing.assert_array_equal(values_of(studies / "labels" / "final" / "a.nii.gz"), boxes(2))
    assert store.get_label_info("a", "final")["client_id"] == "fast"


def test_a_label_taken_back_remains_only_in_the_archive(
    store: LedgerDatastore, ledger: Ledger, studies: Path, tmp_path: Path
) -> None:
    store.save_label("a", str(label_file(tmp_path, 1)), "final", {})
    store.remove_label("a", "final")
    store.refresh()
    assert not (studies / "labels" / "final" / "a.nii.gz").exists()
    assert store.get_labels_by_image_id("a") == {}
    assert ledger.current_annotation("a") is None
    assert len(list((tmp_path / "archive").rglob("*.nii.gz"))) == 1


@pytest.mark.parametrize("step", ["delete_annotation", "unlink"])
def test_a_label_whose_removal_was_interrupted_is_back(
    open_store: Callable[..., LedgerDatastore],
    ledger: Ledger,
    studies: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    """The removal was not acknowledged, and the label is again the annotator's, not one put there by hand."""
    store = open_store()
    store.save_label("a", str(label_file(tmp_path, 1)), "final", {"client_id": "ann"})

    def killed(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ledger if step == "delete_annotation" else Path, step, killed)
        with pytest.raises(KeyboardInterrupt):
            store.remove_label("a", "final")
    assert open_store().get_label_info("a", "final")["client_id"] == "ann"
    np.testing.assert_array_equal(values_of(studies / "labels" / "final" / "a.nii.gz"), boxes(1))
    assert len(ledger.history("a")) == 1


def test_a_label_file_that_somebody_removed_is_put_back(
    store: LedgerDatastore, studies: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.save_label("a", str(label_file(tmp_path, 1)), "final", {})
    (studies / "labels" / "final" / "a.nii.gz").unlink()
    store.refresh()
    np.testing.assert_array_equal(values_of(studies / "labels" / "final" / "a.nii.gz"), boxes(1))
    assert "was gone from its folder, or cut short, and is back" in caplog.text


@pytest.mark.parametrize("left", [b"", b"beginning", b"beginning\0\0\0"], ids=["nothing", "beginning", "and zeros"])
def test_a_copy_of_which_a_power_cut_left_a_part_is_made_again(
    open_store: Callable[..., LedgerDatastore], studies: Path, tmp_path: Path, left: bytes
) -> None:
    store = open_store()
    store.save_label("a", str(label_file(tmp_path, 1)), "final", {})
    store.close()
    copy = studies / "labels" / "final" / "a.nii.gz"
    copy.write_bytes(left.replace(b"beginning", copy.read_bytes()[:20]))
    cut = copy.read_bytes()
    open_store()
    np.testing.assert_array_equal(values_of(copy), boxes(1))
    assert [file.read_bytes() for file in tmp_path.rglob("labels_as_found/final/*")] == [cut][: len(cut.strip(b"\0"))]


@pytest.mark.parametrize("written", [b"", b"beginning", bytes(50)], ids=["nothing", "a beginning", "zeros"])
def test_a_copy_that_another_program_is_writing_is_left_to_it(
    open_store: Callable[..., LedgerDatastore], studies: Path, tmp_path: Path, written: bytes
) -> None:
    """It may have put aside room for all of it first, or write what the file was before."""
    store = open_store()
    store.save_label("a", str(label_file(tmp_path, 1)), "final", {})
    copy = studies / "labels" / "final" / "a.nii.gz"
    part = written.replace(b"beginning", copy.read_bytes()[:20])
    copy.write_bytes(part)
    store.refresh()
    assert copy.read_bytes() == part
    store.close()
    os.utime(copy, (time.time() + 60, time.time() + 60))  # written after the start
    open_store().refresh()
    assert copy.read_bytes() == part


def test_what_another_program_has_made_of_a_copy_stays(
    open_store: Callable[..., LedgerDatastore], studies: Path, tmp_path: Path
) -> None:
    store = open_store()
    store.save_label("a", str(label_file(tmp_path, 1)), "final", {})
    store.close()
    copy = studies / "labels" / "final" / "a.nii.gz"
    copy.write_bytes(b"another program's")
    open_store()
    assert copy.read_bytes() == b"another program's"


def test_a_label_that_was_kept_but_not_shown_yet_is_shown_at_the_next_start(
    open_store: Callable[..., LedgerDatastore], ledger: Ledger, studies: Path, tmp_path: Path
) -> None:
    """The server was killed in between, so that the folder and the listing still show an earlier label."""
    store = open_store()
    store.save_label("a", str(label_file(tmp_path, 1)), "final", {"client_id": "ann"})
    store.close()
    archive = LabelArchive(ledger, history_reader(ledger, tmp_path), "acquisition")
    archive.keep("a", "final", label_file(tmp_path, 2), read_grid(studies / "a.nii.gz"), LabelInfo("bob"))
    assert open_store().get_label_info("a", "final")["client_id"] == "bob"
    np.testing.assert_array_equal(values_of(studies / "labels" / "final" / "a.nii.gz"), boxes(2))


def test_a_label_that_a_child_saved_is_listed(
    open_store: Callable[..., LedgerDatastore], studies: Path, tmp_path: Path
) -> None:
    """Batch inference saves its predictions this way."""
    store, child = open_store(), open_store(follow_changes=False)
    for values in ((1,), (2,)):
        child.save_label("a", str(label_file(tmp_path, *values)), "original", {"model": "segmentation"})
    wait_for(lambda: store.get_labels_by_image_id("a") == {"original": "a"})
    wait_for(lambda: store.get_label_info("a", "original")["version"] == 2)
    np.testing.assert_array_equal(values_of(studies / "labels" / "original" / "a.nii.gz"), boxes(2))


def test_the_ledger_is_not_asked_about_a_label_that_this_process_has_put_in_place(
    open_store: Callable[..., LedgerDatastore],
    ledger: Ledger,
    studies: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    ledger.sync_images(["a", "b"], 0)
    store = open_store(follow_changes=False)  # without a watch, so that the test alone tells what is put in place
    store.save_label("a", str(label_file(tmp_path, 1)), "original", {"client_id": "ann"})
    monkeypatch.setattr(Ledger, "current_annotation", lambda _, image_id, tag: asked.append(f"{image_id} {tag}"))
    shown = studies / "labels" / "original" / "a.nii.gz"
    store.on_put_in_place(shown)
    assert not asked
    store.on_put_in_place(shown)
    assert asked == ["a original"], "something else was put there since"
    monkeypatch.undo()
    store.save_label("a", str(label_file(tmp_path, 2)), "original", {"client_id": "ann"})
    monkeypatch.setattr(Ledger, "current_annotation", lambda _, image_id, tag: asked.append(f"{image_id} {tag}"))
    label_file(tmp_path, 1, name="other.nii.gz").replace(shown)
    store.on_put_in_place(shown)
    assert asked == ["a original"] * 2, "another program has replaced it"


def test_labels_that_were_there_before_are_taken_in(
    open_store: Callable[..., LedgerDatastore], ledger: Ledger, studies: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Their values get the names that clients sent and the host's JSON holds."""
    folder = studies / "labels" / "final"
    folder.mkdir(parents=True)
    label_file(folder, 1, 2, name="a.nii.gz")
    label_file(folder, 7, name="b.nii.gz")
    label_file(folder, 1, name="of-no-image.nii.gz")
    segments = [{"name": "box", "idx": 1}, {"name": "ball", "idx": 2}]
    info = {"client_id": "earlier reader", "label_info": segments, "params": ["odd"]}
    image = {"info": {"ts": 1}, "ext": ".nii.gz"}
    objects = {"a": {"image": image, "labels": {"final": {"info": info, "ext": ".nii.gz"}}}}
    content = {"name": "x", "description": "y", "objects": objects}
    (studies / "datastore_v2.json").write_text(json.dumps(content))
    store = open_store()
    assert store.get_labeled_images() == ["a"]
    np.testing.assert_array_equal(values_of(folder / "a.nii.gz"), boxes(2, 1))
    annotation = ledger.current_annotation("a")
    assert annotation is not None
    assert annotation.annotator == "earlier reader"
    assert ledger.current_annotation("b") is None
    assert "labels/final/b.nii.gz is not used: b.nii.gz: value 7" in caplog.text
    np.testing.assert_array_equal(values_of(folder / "b.nii.gz"), boxes(7))
    store.refresh()
    assert len(ledger.history("a")) == 1


def test_a_label_put_into_the_folder_by_hand_is_taken_in(store: LedgerDatastore, ledger: Ledger, studies: Path) -> None:
    label_file(studies / "labels" / "final", 1, name="a.nii.gz")
    store.refresh()
    assert store.get_labeled_images() == ["a"]
    annotation = ledger.current_annotation("a")
    assert annotation is not None
    assert annotation.annotator == "found in labels/final"


# The slices that a label covers, as another project over the same studies reads them


def cover(store: LedgerDatastore, folder: Path) -> None:
    """Draw on slices 0 to 3 of image `a`, send 0 and 5 as the annotated ones, and close."""
    info = {"client_id": "ann", "annotated_slices": [5, 0]}
    store.save_label("a", str(label_file(folder, 2, 1)), "final", info)
    store.close()


@pytest.fixture
def other(tmp_path: Path) -> Ledger:
    """The ledger of another project."""
    (tmp_path / "other").mkdir()
    return Ledger(sqlite_url(tmp_path / "other" / "ledger.sqlite"))


def test_the_view_lists_the_slices_that_a_label_covers_and_not_its_clients_params(
    store: LedgerDatastore, studies: Path, tmp_path: Path
) -> None:
    store.save_label("a", str(label_file(tmp_path, 1)), "final", {"annotated_slices": [5, 0]})
    store.save_label("a", str(label_file(tmp_path, 1)), "final", {"annotated_slices": [1]})
    params = {"annotated_slices": [1], "slice_axis": 0}
    store.save_label("b", str(label_file(tmp_path, 1)), "original", params)
    store.save_label("b", str(label_file(tmp_path, 1)), "final", {**params, "annotated_slices": "all"})
    store.close()
    listed = {
        (image_id, tag): (label["info"].get("annotated_slices"), label["info"].get("slice_axis"))
        for image_id, image in view(studies).items()
        for tag, label in image["labels"].items()
    }
    assert listed == {
        ("a", "final"): ([0, 1, 5], 2),
        ("a", "original"): (None, None),
        ("b", "original"): (None, None),
        ("b", "final"): ("all", 2),
    }


def test_another_project_takes_in_exactly_the_annotated_slices_of_the_view(
    open_store: Callable[..., LedgerDatastore], studies: Path, tmp_path: Path, other: Ledger
) -> None:
    cover(open_store(), tmp_path)
    again = open_store(ledger=other, folder=tmp_path / "other")
    annotation = other.current_annotation("a")
    assert annotation is not None
    assert (annotation.annotator, annotation.slices, annotation.foreground_slices) == ("ann", (0, 5), 1)
    expected = boxes(2)
    expected[:, :, 1] = 0
    for tag in ("final", "original"):
        np.testing.assert_array_equal(values_of(studies / "labels" / tag / "a.nii.gz"), expected)
    again.remove_label("a", "final")  # together with the original, which is no prediction
    assert again.get_labels_by_image_id("a") == {}


@pytest.mark.parametrize("had_original", [True, False])
def test_slices_of_another_axis_are_not_taken_in(
    open_store: Callable[..., LedgerDatastore],
    studies: Path,
    tmp_path: Path,
    other: Ledger,
    caplog: pytest.LogCaptureFixture,
    had_original: bool,
) -> None:
    """Their files stay in place and do not count as annotations."""
    cover(open_store(), tmp_path)
    if not had_original:
        (studies / "labels" / "original" / "a.nii.gz").unlink()
    before = values_of(studies / "labels" / "final" / "a.nii.gz")
    for _ in range(2):
        open_store(ledger=other, folder=tmp_path / "other", plane="sagittal").close()
    assert "labels/final/a.nii.gz is not used: its slices are listed along axis 2, expected 0" in caplog.text
    taken_in = [("original", 1)] if had_original else []
    assert [(label.tag, label.version) for label in other.history("a")] == taken_in
    for tag in ("final", "original") if had_original else ("final",):
        np.testing.assert_array_equal(values_of(studies / "labels" / tag / "a.nii.gz"), before)
    open_store(ledger=other, folder=tmp_path / "other")  # in the plane in which the slices were drawn
    annotation = other.current_annotation("a")
    assert annotation is not None
    assert annotation.slices == (0, 5)


def test_slices_of_an_unknown_axis_are_not_taken_in(
    open_store: Callable[..., LedgerDatastore],
    studies: Path,
    tmp_path: Path,
    other: Ledger,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A listing has no axis if it holds a client's params instead of the kept label's."""
    cover(open_store(), tmp_path)
    content = json.loads((studies / "datastore_v2.json").read_text(encoding="utf-8"))
    del content["objects"]["a"]["labels"]["final"]["info"]["slice_axis"]
    (studies / "datastore_v2.json").write_text(json.dumps(content))
    open_store(ledger=other, folder=tmp_path / "other")
    assert "its slices are listed along axis None, expected 2" in caplog.text
    assert other.current_annotation("a") is None


def test_a_view_that_does_not_say_it_yet_is_mended(
    open_store: Callable[..., LedgerDatastore], studies: Path, tmp_path: Path
) -> None:
    cover(open_store(), tmp_path)
    content = json.loads((studies / "datastore_v2.json").read_text(encoding="utf-8"))
    content["objects"]["a"]["labels"]["final"]["info"]["annotated_slices"] = [2]
    (studies / "datastore_v2.json").write_text(json.dumps(content))
    open_store().close()
    assert view(studies)["a"]["labels"]["final"]["info"]["annotated_slices"] == [0, 5]


# The JSON


def test_a_damaged_view_is_set_aside_and_made_anew(
    open_store: Callable[..., LedgerDatastore], studies: Path, tmp_path: Path
) -> None:
    store = open_store()
    store.save_label("a", str(label_file(tmp_path, 1)), "final", {})
    store.close()
    whole = (studies / "datastore_v2.json").read_bytes()
    for number, damaged in enumerate((whole[: len(whole) // 2], b"", b"\xff\xfe", b'{"name": 5}', b"[]"), start=1):
        (studies / "datastore_v2.json").write_bytes(damaged)
        again = open_store()
        again.close()
        assert set(view(studies)) == {"a", "b"}
        assert view(studies)["a"]["labels"].keys() == {"final"}
        kept = sorted(studies.glob("datastore_v2.json.damaged-*"))
        assert len(kept) == number
        assert kept[-1].read_bytes() == damaged


def test_the_view_can_be_read_at_every_moment(store: LedgerDatastore, studies: Path) -> None:
    store.json()
    stop = threading.Event()

    def write() -> None:
        for number in range(40):
            store.update_image_info("a", {"note": "x" * number * 1000})
            store.json()
        stop.set()

    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(write)
        while not stop.is_set():
            assert set(view(studies)) == {"a", "b"}
        writing.result()


def test_the_view_is_written_only_when_something_changed(store: LedgerDatastore, studies: Path) -> None:
    """Watchers of the folder, such as the server itself, are not woken without a change."""
    store.json()
    before = (studies / "datastore_v2.json").stat().st_mtime_ns
    store.refresh()
    store.json()
    assert (studies / "datastore_v2.json").stat().st_mtime_ns == before
    (studies / "datastore_v2.json").unlink()
    store.refresh()
    store.json()
    assert set(view(studies)) == {"a", "b"}


def test_labels_and_questions_do_not_write_the_view_and_a_killed_server_still_knows_them(
    store: LedgerDatastore, open_store: Callable[..., LedgerDatastore], studies: Path, tmp_path: Path
) -> None:
    store.json()
    before = (studies / "datastore_v2.json").read_bytes()
    store.update_image_info("a", {"strategy": {"random": {"client_id": "ann"}}})
    store.save_label("a", str(label_file(tmp_path, 2, 1)), "final", {"client_id": "ann", "colour": "red"})
    store.save_label("b", str(label_file(tmp_path, 1)), "final", {"client_id": "bob"})
    store.remove_label("b", "final")
    time.sleep(1.5)  # a write that was requested would have come within a second
    assert (studies / "datastore_v2.json").read_bytes() == before
    with (studies / "datastore_v2.changes.jsonl").open("a", encoding="utf-8") as changes:
        changes.write('{"image": "b", "tag": "fin')  # a power cut
    assert labelled(studies, "final") == {"a"}
    assert listed_labels(studies)["a", "final"]["colour"] == "red"

    again = open_store()
    assert again.get_label_info("a", "final")["colour"] == "red"
    assert again.get_label_info("b", "final") == {}
    again.json()  # who asks for the listing gets its file too
    assert view(studies)["a"]["labels"]["final"]["info"]["colour"] == "red"
    assert not (studies / "datastore_v2.changes.jsonl").exists()


def test_an_image_that_comes_is_in_the_view_soon(store: LedgerDatastore, studies: Path) -> None:
    store.json()
    write_nifti(studies / "new.nii.gz", boxes(1))
    wait_for(lambda: "new" in view(studies))


def test_a_child_writes_nothing(open_store: Callable[..., LedgerDatastore], ledger: Ledger, studies: Path) -> None:
    """Training and scoring only read the folder while the server writes it."""
    child = open_store(follow_changes=False)
    child.refresh()
    child.close()
    assert child.list_images() == ["a", "b"]
    assert not (studies / "datastore_v2.json").exists()
    assert ledger.images() == []


def test_a_label_of_some_slices_is_shown_as_original_and_both_go_together(
    store: LedgerDatastore, ledger: Ledger, studies: Path, tmp_path: Path
) -> None:
    ledger.grant_lease("ann", "a", 30, "random_slices", slices=[0, 1])
    store.save_label("a", str(label_file(tmp_path, 2, 1)), "final", {"client_id": "ann"})
    files = [studies / "labels" / tag / "a.nii.gz" for tag in ("final", "original")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert store.get_label_info("a", "original")["params"]["label_names"] == {"ball": 1, "box": 2}
    counts = store.status()
    assert (counts["annotated_volumes"], counts["partly_annotated_volumes"]) == (0, 1)
    assert counts["annotated_slices"] == len(ledger.annotations()[0].slices or ())
    store.remove_label("a", "final")
    assert not any(file.exists() for file in files)
    assert ledger.current_labels() == []
    store.save_label("a", str(label_file(tmp_path, 2, 1)), "final", {"client_id": "ann"})
    store.remove_image("a")
    assert store.list_images() == ["b"]
    assert ledger.current_labels() == []


# Images


def test_a_removed_image_is_not_kept_prepared(
    open_store: Callable[..., LedgerDatastore], ledger: Ledger, studies: Path, tmp_path: Path
) -> None:
    kept, archive = PreparedImages(tmp_path / "kept"), open_store()._archive
    store = LedgerDatastore(str(studies), ledger, archive, validation_cases=0, follow_changes=False, prepared=kept)
    write_image(studies / "b.nii.gz", 9)
    for image_id in "ab":
        kept.get(store.image_files(image_id), PreprocessingSettings(intensity="zscore"))
    assert len(list((tmp_path / "kept").glob("*.safetensors"))) == 2
    store.remove_image("a")
    assert len(list((tmp_path / "kept").glob("*.safetensors"))) == 1
    assert len(list((tmp_path / "kept" / "known").iterdir())) == 1
    store.close()


def test_what_can_be_made_again_goes_with_an_image_that_is_gone_and_records_stay(
    open_store: Callable[..., LedgerDatastore], ledger: Ledger, studies: Path, tmp_path: Path
) -> None:
    first = open_store()
    project, kept = first._archive.project_folder, PreparedImages(tmp_path / "kept")
    first.close()
    write_image(studies / "b.nii.gz", 9)
    store = LedgerDatastore(
        str(studies), ledger, first._archive, validation_cases=0, follow_changes=True, prepared=kept
    )
    maps = KeptMaps(project / "maps")
    made = {}
    for image_id in "ab":
        kept.get(store.image_files(image_id), PreprocessingSettings(intensity="zscore"))
        files = [project / part / f"{image_id}.nii.gz" for part in ("pseudo_labels", "shown/0", "predictions")]
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"x")
        made[image_id] = [maps.keep(image_id, (1,), ".nii.gz", b"map"), *files]
    features = [features_file(project / "features", 1), features_file(project / "features", 2, of_slices=True)]
    write_features(features[0], {"a": np.zeros(2, np.float32), "b": np.ones(2, np.float32)})
    write_features(features[1], {"a": np.zeros((3, 2), np.float32)})
    (studies / "a.nii.gz").unlink()
    store.refresh()
    assert {name: vectors.tolist() for name, vectors in read_features(features[0]).items()} == {"b": [1, 1]}
    assert not features[1].exists()
    assert [file.exists() for file in made["a"]] == [False, False, False, True]
    assert all(file.exists() for file in made["b"])
    assert len(list((tmp_path / "kept").glob("*.safetensors"))) == 1
    store.close()


def test_an_image_is_added_and_removed(store: LedgerDatastore, ledger: Ledger, studies: Path, tmp_path: Path) -> None:
    source = write_image(tmp_path / "sent.nii.gz", 7)
    assert store.add_image("c", str(source), {"PatientID": "seven"}) == "c"
    assert store.list_images() == ["a", "b", "c"]
    assert store.get_image_info("c")["PatientID"] == "seven"
    assert (studies / "c.nii.gz").read_bytes() == source.read_bytes()
    assert ledger.image("c").present
    store.save_label("c", str(label_file(tmp_path, 1)), "final", {})
    store.remove_image("c")
    assert store.list_images() == ["a", "b"]
    assert not (studies / "c.nii.gz").exists()
    assert not (studies / "labels" / "final" / "c.nii.gz").exists()
    assert not ledger.image("c").present
    assert len(list((tmp_path / "archive").rglob("*.nii.gz"))) == 1


def test_an_id_that_is_taken_is_refused(store: LedgerDatastore, studies: Path, tmp_path: Path) -> None:
    before = (studies / "a.nii.gz").read_bytes()
    with pytest.raises(NotReadyError, match="an image 'a' already"):
        store.add_image("a", str(write_image(tmp_path / "sent.nii.gz", 7)), {})
    assert (studies / "a.nii.gz").read_bytes() == before


def test_of_two_images_sent_under_one_id_at_once_one_is_kept(
    store: LedgerDatastore, studies: Path, tmp_path: Path
) -> None:
    sources = [write_image(tmp_path / f"sent-{number}.nii.gz", number) for number in range(6)]

    def add(source: Path) -> Path | None:
        try:
            store.add_image("c", str(source), {})
        except NotReadyError:
            return None
        return source

    with ThreadPoolExecutor(len(sources)) as threads:
        (kept,) = [source for source in threads.map(add, sources) if source is not None]
    assert (studies / "c.nii.gz").read_bytes() == kept.read_bytes()


@pytest.mark.parametrize("kind", BROKEN)
def test_an_image_that_cannot_be_read_is_not_added(
    store: LedgerDatastore, studies: Path, tmp_path: Path, kind: str
) -> None:
    BROKEN[kind](tmp_path / f"{kind}.nii.gz")
    with pytest.raises(InvalidInputError, match=rf"{kind}\.nii\.gz"):
        store.add_image("c", str(tmp_path / f"{kind}.nii.gz"), {})
    assert store.list_images() == ["a", "b"]
    assert sorted(path.name for path in studies.glob("c*")) == []


def test_an_image_of_another_format_is_not_added(store: LedgerDatastore, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"sent\.png: expected a file that ends in \.nii\.gz, \.nii, \.nrrd"):
        store.add_image("c", str(tmp_path / "sent.png"), {})


def test_hidden_files_and_names_that_no_client_could_send_are_passed_over(
    open_store: Callable[..., LedgerDatastore], studies: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (studies / "._a.nii.gz").write_bytes(b"what another system leaves beside a file")
    Path(os.fsdecode(os.fsencode(studies) + b"/caf\xe9.nii.gz")).write_bytes(b"latin-1")
    assert open_store().list_images() == ["a", "b"]
    assert "its name is not UTF-8" in caplog.text


def test_an_image_in_another_format_replaces_one_of_the_same_id(store: LedgerDatastore, studies: Path) -> None:
    (studies / "a.nii.gz").unlink()
    write_nifti(studies / "a.nii", np.zeros(SHAPE, np.float32), AFFINE_RAS)
    store.refresh()
    assert store.list_images() == ["a", "b"]
    assert Path(store.get_image_uri("a")).name == "a.nii"
    assert store.get_image_info("a")["name"] == "a.nii"


def test_an_image_that_was_copied_under_another_name_first_is_listed(store: LedgerDatastore, studies: Path) -> None:
    """rsync copies this way, so that no reader sees an incomplete file."""
    write_image(studies / "unfinished.nii.gz").rename(studies / ".c.nii.gz.8fG2")
    (studies / ".c.nii.gz.8fG2").rename(studies / "c.nii.gz")
    wait_for(lambda: store.list_images() == ["a", "b", "c"])


def test_an_image_that_was_mended_is_taken_back(store: LedgerDatastore, ledger: Ledger, studies: Path) -> None:
    for name in ("a", "b"):
        ledger.mark_unreadable(name, f"{name}.nii.gz: truncated")
    recorded = ledger.image("a").unreadable_at
    assert recorded is not None
    os.utime(studies / "a.nii.gz", (recorded.timestamp() + 1,) * 2)
    os.utime(studies / "b.nii.gz", (recorded.timestamp() - 1,) * 2)
    store.refresh()
    assert ledger.image("a").unreadable_reason is None
    assert ledger.image("b").unreadable_reason == "b.nii.gz: truncated"


def test_a_label_that_is_asked_back_is_a_draft_until_it_is_confirmed(
    store: LedgerDatastore, ledger: Ledger, studies: Path, tmp_path: Path
) -> None:
    axis = store._archive.slice_axis("a", read_grid(studies / "a.nii.gz"))
    drawn = slice_mask(SHAPE, axis, [1]).astype(np.uint8)
    sent = str(write_nifti(tmp_path / "drawn.nii.gz", drawn))
    ledger.grant_lease("ann", "a", 30, "random_slices", slices=[2])
    with pytest.raises(AskedBackError):
        store.save_label("a", sent, "final", {"client_id": "ann"})
    assert store.get_labels_by_image_id("a") == {"original": "a"}
    np.testing.assert_array_equal(values_of(studies / "labels" / "original" / "a.nii.gz"), drawn)
    assert store.get_unlabeled_images() == ["a", "b"]
    store.save_label("a", sent, "final", {"client_id": "ann"})
    assert store.get_labels_by_image_id("a").keys() == {"final", "original"}
    assert ledger.open_drafts() == []
    assert store.get_label_info("a", "final")["annotated_slices"] == [1, 2]


def test_whoever_waits_for_the_listing_keeps_no_connection_from_whom_they_wait_for(
    store: LedgerDatastore, ledger: Ledger
) -> None:
    ledger.open()
    in_use = ledger._connection().reader.pool.checkedout  # type: ignore[attr-defined]

    def ask() -> None:
        with ledger.one_look():
            assert ledger.image("a").present
            began.set()
            store.open_for("a", "ann")

    began, thread = threading.Event(), threading.Thread(target=ask)
    with store._lock:
        thread.start()
        assert began.wait(60)
        deadline = time.monotonic() + 60
        while in_use() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert in_use() == 0
        assert thread.is_alive()
    thread.join(60)
    assert not thread.is_alive()


def test_a_file_that_is_written_as_it_was_is_no_change_of_the_listing(store: LedgerDatastore, studies: Path) -> None:
    store.refresh()
    before = store.revision
    store.on_change(studies / "a.nii.gz")
    store._catch_up()
    assert store.revision == before
    write_image(studies / "c.nii.gz")
    store.on_change(studies / "c.nii.gz")
    store._catch_up()
    assert store.revision != before


def test_an_image_that_is_added_stays_while_an_earlier_change_is_read(
    store: LedgerDatastore, studies: Path, tmp_path: Path
) -> None:
    store.refresh()
    store._observer.stop()  # the watch may tell of the new file later than this looks
    store._observer.join()
    store.on_change(studies / "a.nii.gz")
    store.add_image("sent", str(write_image(tmp_path / "new.nii.gz")), {"PatientID": "p"})
    store._catch_up()
    assert store.get_image_info("sent")["PatientID"] == "p"
    assert store._ledger.image("sent").present


def test_on_a_full_disk_the_listing_is_answered_and_is_written_when_there_is_room_again(
    store: LedgerDatastore, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    store.save_label("a", str(label_file(tmp_path, 1, 2)), "final", {"client_id": "ann"})

    tries = list[object]()

    def full(*told: object) -> None:
        tries.append(told)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(folder_listing, "write_if_changed", full)
        assert "final" in store.json()["objects"]["a"]["labels"]
        assert b'"final"' in b"".join(store.listing_in_pieces(lambda _, entry: entry))
        assert len(tries) == 1, "a reader does not have all written anew that could not be written a moment ago"
        patched.setattr(delayed_call, "AGAIN_SECONDS", 0.0)
        store.json()
        assert len(tries) == 2
    assert caplog.text.count("cannot be written now: [Errno 28] No space left on device") == 1
    monkeypatch.setattr(delayed_call, "AGAIN_SECONDS", 0.0)
    store.json()
    assert "final" in view(studies)["a"]["labels"]


def test_images_of_nearly_one_name_are_named_in_the_log_when_they_come(
    open_store: Callable[..., LedgerDatastore], studies: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store()
    assert "differ only in case" not in caplog.text
    write_image(studies / "A.nii.gz", 4)
    store.refresh()
    assert "A.nii.gz and a.nii.gz: their names differ only in case" in caplog.text


def test_pauses_are_made_only_while_nobody_waits_for_the_listing(
    open_store: Callable[..., LedgerDatastore], studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[bool]()

    def noting(parts: Iterator[bytes], are_wanted: Callable[[], bool]) -> Iterator[bytes]:
        asked.append(are_wanted())
        return parts

    monkeypatch.setattr(folder_listing, "with_pauses", noting)
    store = open_store()
    store.json()
    assert asked == [False], "somebody reads it"
    write_image(studies / "c.nii.gz")
    store.refresh()
    store._view.flush()  # as its own thread does
    assert asked == [False, True]
    store._view.note()
    store.close()
    assert asked == [False, True, False]
