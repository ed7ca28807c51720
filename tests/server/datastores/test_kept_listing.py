"""A large listing is read in a fraction of the time, and what came, went or changed meanwhile is found."""

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from monailabel.datastore.local import DataModel
from small_studies import SHAPE, write_image, write_nifti

from activelabel.annotation.archive import LabelArchive
from activelabel.annotation.history_reader import HistoryReader
from activelabel.server.datastores import folder_listing, kept_listing
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.datastores.listed import ListedImage, new_image
from activelabel.server.datastores.listed_images import ListedImages
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

Start = Callable[[], LedgerDatastore]


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    (tmp_path / "studies" / "sub").mkdir(parents=True)
    for name in ("a", "b", "sub/c"):
        write_image(tmp_path / "studies" / f"{name}.nii.gz")
    return tmp_path / "studies"


@pytest.fixture
def start(tmp_path: Path, studies: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start and end a server's datastore, whose listing counts as large."""
    for module in (kept_listing, folder_listing):
        monkeypatch.setattr(module, "LARGE", 0)
    opened = list[LedgerDatastore]()

    def start() -> LedgerDatastore:
        ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
        reader = HistoryReader(ledger, ("ball",), tmp_path / "archive", tmp_path / "predictions", False)
        archive = LabelArchive(ledger, reader, "acquisition")
        opened.append(LedgerDatastore(str(studies), ledger, archive, validation_cases=0, follow_changes=True))
        return opened[-1]

    yield start
    for store in opened:
        store.close()


def kept(store: LedgerDatastore) -> Path:
    return store._kept.file


def listed(studies: Path) -> dict[str, dict[str, object]]:
    return json.loads((studies / "datastore_v2.json").read_text(encoding="utf-8"))["objects"]


def without_json(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(listing: Path) -> None:
        raise AssertionError(f"{listing} was read")

    monkeypatch.setattr(folder_listing, "read_objects", refuse)


def save(store: LedgerDatastore, folder: Path, value: int = 1) -> None:
    file = folder / f"label{value}.nii.gz"
    label = np.zeros(SHAPE, np.uint8)
    label[1:3, 1:3, 1:3] = value
    write_nifti(file, label)
    store.save_label("a", str(file), "final", {"client_id": "ann", "note": "x"})


def test_a_second_start_reads_no_json_and_lists_the_same(
    start: Start, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start()
    save(first, tmp_path)
    first.update_image_info("sub~c", {"seen": 1})
    status = first.status()
    first.close()
    before = (studies / "datastore_v2.json").read_bytes()
    without_json(monkeypatch)
    again = start()
    assert again.list_images() == ["a", "b", "sub~c"]
    assert again.get_image_info("sub~c")["seen"] == 1
    assert again.get_label_info("a", "final")["note"] == "x"
    assert again.get_labeled_images() == ["a"]
    assert status["label_tags"]["final"] == 1
    assert again.status() == status
    again.close()
    assert (studies / "datastore_v2.json").read_bytes() == before


def test_what_came_went_and_changed_while_no_server_ran_is_found(
    start: Start, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start()
    save(first, tmp_path)
    first.close()
    since = listed(studies)["b"]["image"]
    write_image(studies / "new.nii.gz")
    (studies / "sub" / "c.nii.gz").rename(studies / "sub" / "d.nii.gz")
    write_nifti(studies / "a.nii.gz", np.ones((4, 4, 4), np.int16))  # a label was drawn on another image
    without_json(monkeypatch)
    again = start()
    assert again.list_images() == ["a", "b", "new", "sub~d"]
    assert [image.id for image in again._ledger.images() if not image.present] == ["sub~c"]
    assert [image.id for image in again._ledger.images_set_aside()] == ["a"]
    again.close()
    assert listed(studies).keys() == {"a", "b", "new", "sub~d"}
    assert listed(studies)["b"]["image"] == since


def test_whoever_edits_the_listing_is_believed(start: Start, studies: Path) -> None:
    start().close()
    content = json.loads((studies / "datastore_v2.json").read_text(encoding="utf-8"))
    content["objects"]["mine"] = content["objects"].pop("b")
    content["objects"]["mine"]["image"]["info"]["file"] = "b.nii.gz"
    (studies / "datastore_v2.json").write_text(json.dumps(content), encoding="utf-8")
    assert start().list_images() == ["a", "mine", "sub~c"]


@pytest.mark.parametrize("moment", ["meanwhile", "afterwards"])
def test_an_edit_that_leaves_size_and_time_is_believed(
    start: Start, studies: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    listing, write = studies / "datastore_v2.json", folder_listing.write_if_changed

    def edit() -> None:
        before = listing.stat()
        listing.write_text(listing.read_text(encoding="utf-8").replace("sub~c", "sub-c"), encoding="utf-8")
        if moment == "afterwards":
            os.utime(listing, ns=(before.st_mtime_ns, before.st_mtime_ns))
            assert listing.stat().st_size == before.st_size

    def write_before_edit(path: Path, lines: Iterator[bytes]) -> object:
        monkeypatch.setattr(folder_listing, "write_if_changed", write)
        written = write(path, lines)
        edit()
        return written

    if moment == "meanwhile":
        monkeypatch.setattr(folder_listing, "write_if_changed", write_before_edit)
    start().close()
    if moment == "afterwards":
        edit()
    assert start().list_images() == ["a", "b", "sub-c"]


def test_a_project_folder_that_cannot_be_written_holds_up_nothing(
    start: Start, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(kept_listing, "UnfinishedFile", refuse)
    store = start()
    for _ in range(2):
        save(store, tmp_path)
        assert (studies / "datastore_v2.changes.jsonl").exists()
        store.update_image_info("a", {"seen": 1})
        store.close()
        assert listed(studies)["a"]["labels"].keys() >= {"final"}
        assert not (studies / "datastore_v2.changes.jsonl").exists()
        assert store._is_written(), "it is not tried at each look"
    assert caplog.text.count(f"{kept(store)} cannot be written") == 1


@pytest.mark.parametrize("where", [0, 0.5, 0.999, 2])
def test_a_damaged_copy_does_not_count(start: Start, studies: Path, where: float) -> None:
    first = start()
    first.close()
    content = bytearray(kept(first).read_bytes())
    if where == 2:
        del content[-3:]
    else:
        content[int(where * len(content))] ^= 1
    kept(first).write_bytes(content)
    again = start()
    assert again.list_images() == ["a", "b", "sub~c"]
    again.close()
    assert again._kept.read() is not None, "it was made anew"


def test_nothing_is_kept_of_a_small_listing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    start().close()
    for module in (kept_listing, folder_listing):
        monkeypatch.setattr(module, "LARGE", 2**20)
    store = start()
    store.update_image_info("a", {"seen": 1})
    store.close()
    assert not kept(store).exists()


def test_a_label_that_is_saved_while_the_listing_is_written_is_not_forgotten(
    start: Start, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = start()
    store.json()
    write = folder_listing.write_if_changed

    def write_slowly(path: Path, lines: Iterator[bytes]) -> object:
        monkeypatch.setattr(folder_listing, "write_if_changed", write)
        save(store, tmp_path)
        return write(path, lines)

    monkeypatch.setattr(folder_listing, "write_if_changed", write_slowly)
    store._view.note()
    store._view.flush()
    assert "final" not in listed(studies)["a"]["labels"]
    assert (studies / "datastore_v2.changes.jsonl").is_file()
    store.close()
    assert "final" in listed(studies)["a"]["labels"]
    assert not (studies / "datastore_v2.changes.jsonl").exists()


def test_the_pieces_of_a_listing_are_the_listing(start: Start, studies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_listing, "_PIECE", 1)
    store = start()
    store.update_image_info("a", {"seen": 1})
    pieces = [*store.listing_in_pieces(lambda image_id, entry: {**entry, "told": image_id})]
    assert len(pieces) > 3
    told = json.loads(b"".join(pieces))
    assert told["objects"]["a"].pop("told") == "a"
    assert told == store.json() == json.loads((studies / "datastore_v2.json").read_text(encoding="utf-8"))


def test_what_is_known_of_an_image_stays_as_long_as_its_file() -> None:
    label = DataModel(info={"version": 1}, ext=".nii.gz")
    seen = ListedImage.of("c", new_image("c", "c.nii.gz", {"seen": 1}, 7))
    before = ListedImages.of(
        {"a": ListedImage("a", "a.nii.gz", 5, {"final": label}), "b": ListedImage("b", "b.nii.gz", 6), "c": seen}
    )
    files = {"a": "sub/a.nii.gz", "b": "b.nii.gz", "c": "other.nii.gz", "d": "d.nii.gz"}
    whole = before.with_files(files)
    came = {name: files[name] for name in "acd"}
    for after in (whole, before.changed(whole.files, came, [])):
        assert {name: listed.file for name, listed in after.items()} == files
        assert after["a"].labels == {"final": label}
        assert (after["b"].since, after["c"].noted("seen")) == (6, None)
        assert min(after[name].since for name in "acd") > 7, "known since now"
        assert after.labelled().keys() == {"a"}
    left = before.changed(before.files.changed({}, ["a"]), {}, ["a"])
    assert [*left.times] == [6, 7]
    assert left["c"].noted("seen") == 1


def test_an_entry_that_was_changed_is_found_again_and_others_are_made_anew() -> None:
    images = ListedImages.of({name: ListedImage(name, f"{name}.nii.gz", 5) for name in "ab"})
    assert not images.noted
    assert images["a"] is not images["a"]
    images["a"].image.info["seen"] = 1
    images["b"].labels = {"final": DataModel(info={}, ext=".nii.gz")}
    assert images["a"].noted("seen") == 1
    assert images.labelled().keys() == {"b"}
    assert images.noted.keys() == {"a", "b"}


@pytest.mark.parametrize("path", ["a.nii.gz", 'su"b/ä\\.nii.gz', "a.NII.GZ", "b.nrrd"])
def test_a_line_is_the_entry_as_the_host_writes_it(path: str) -> None:
    images = ListedImages.of({'ü"': ListedImage('ü"', path, 5)})
    assert [*images.lines({})] == [f'"\\u00fc\\"": {json.dumps(images[chr(252) + chr(34)].as_json())}']


def test_the_end_of_a_server_waits_for_a_listing_that_is_being_written(
    start: Start, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, writing, may_go, happened = start(), threading.Event(), threading.Event(), list[str]()
    write = folder_listing.write_if_changed

    def slowly(*arguments: object) -> object:
        writing.set()
        assert may_go.wait(120)
        found = write(*arguments)  # type: ignore[arg-type]
        happened.append("written")
        return found

    monkeypatch.setattr(folder_listing, "write_if_changed", slowly)
    store._view.request()
    writer = threading.Thread(target=store._view.flush)
    writer.start()
    assert writing.wait(120)
    ending = threading.Thread(target=lambda: (store.close(), happened.append("ended")))
    ending.start()
    ending.join(0.3)
    may_go.set()
    ending.join(120)
    writer.join(120)
    assert happened == ["written", "ended"]


def test_a_listing_that_is_broken_off_leaves_the_earlier_one_and_no_unfinished_file(
    start: Start, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = start()
    store.json()
    before = (studies / "datastore_v2.json").read_bytes()
    store.update_image_info("a", {"seen": 1})
    writing, may_go_on = threading.Event(), threading.Event()
    pauses = folder_listing.with_pauses

    def slowly(lines: Iterator[bytes], are_wanted: Callable[[], bool]) -> Iterator[bytes]:
        for line in pauses(lines, are_wanted):
            yield line
            if b"seen" in line:  # it differs, so it is written from here on
                writing.set()
                assert may_go_on.wait(120)

    monkeypatch.setattr(folder_listing, "with_pauses", slowly)
    closing = threading.Thread(target=store.close)
    closing.start()
    assert writing.wait(120)
    assert len(list(studies.glob(".datastore_v2.json.*.part"))) == 1
    store.break_off()
    may_go_on.set()
    closing.join(120)
    assert not closing.is_alive()
    assert not list(studies.glob(".*.part"))
    assert (studies / "datastore_v2.json").read_bytes() == before


def test_a_closed_datastore_acts_no_more(start: Start, studies: Path) -> None:
    before = set(threading.enumerate())
    store = start()
    store.close()
    end = time.monotonic() + 120
    while threads := {thread for thread in threading.enumerate() if thread.is_alive()} - before:
        assert time.monotonic() < end, threads
        time.sleep(0.02)
    revision, written = store.revision, (studies / "datastore_v2.json").read_bytes()
    write_image(studies / "d.nii.gz")
    store.on_change(studies / "d.nii.gz")
    time.sleep(2 * folder_listing.DELAY_SECONDS)
    assert (store.revision, (studies / "datastore_v2.json").read_bytes()) == (revision, written)
