"""A studies folder as it comes from a colleague: all parts list the same images, and no file is lost."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from typer.testing import CliRunner

from activelabel.annotation.archive import LabelArchive
from activelabel.annotation.history_reader import HistoryReader
from activelabel.cli.doctor.command import examine
from activelabel.cli.main import app
from activelabel.data.label_checking import check_label
from activelabel.data.volumes import read_grid
from activelabel.prediction.image_files import list_images
from activelabel.project.labels.names import resolve_label_names
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.simulation.cases import find_cases
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

AFFINE = np.diag([-1.5, -1.5, 2.0, 1.0])
SHAPE = (8, 7, 6)
LABELS = ("a", "b")
IDS = ["UPPER", "case.1", "case0", "case0_nrrd", "folder.nii.gz~inside", "meta", "subfolder~case0", "two"]
PASSED_OVER = ["case0.seg.nrrd", "labelsTr/", "mixed.Nii.gz", "old.hdr", "old.img", "slices/1.dcm", "two_seg.nii.gz"]


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    folder = tmp_path / "studies"
    image = _voxels()
    for path in ("case0.nii.gz", "case.1.nii.gz", "subfolder/case0.nii.gz", "folder.nii.gz/inside.nii.gz", "two.nii"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(image, AFFINE), folder / path)
    shutil.copy(folder / "case0.nii.gz", folder / "UPPER.NII.GZ")
    shutil.copy(folder / "case0.nii.gz", folder / "mixed.Nii.gz")
    seen = SimpleITK.ReadImage(str(folder / "case0.nii.gz"))
    for name in ("case0.nrrd", "meta.mha"):
        SimpleITK.WriteImage(seen, str(folder / name))
    nibabel.save(nibabel.Spm2AnalyzeImage(image, None), folder / "old.img")
    (folder / "case0.seg.nrrd").write_bytes(b"NRRD")
    (folder / "._case0.nii.gz").write_bytes(b"\0\5\x16\7" + bytes(200))
    for path in ("labelsTr/case0.nii.gz", "slices/1.dcm", "two_seg.nii.gz"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(b"x")
    return folder


@pytest.fixture
def open_store(messy: Path, tmp_path: Path) -> Iterator[Callable[[], LedgerDatastore]]:
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    project = messy / "activelabel"
    project.mkdir()
    opened: list[LedgerDatastore] = []

    def open_(**options: bool) -> LedgerDatastore:
        reader = HistoryReader(ledger, LABELS, project / "labels", project / "predictions", False)
        archive = LabelArchive(ledger, reader, "acquisition")
        opened.append(LedgerDatastore(str(messy), ledger, archive, validation_cases=0, follow_changes=True, **options))
        return opened[-1]

    yield open_
    for store in opened:
        store.close()


def _voxels() -> np.ndarray:
    return np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)


def _drawn(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, SHAPE).astype(np.uint8)


def _save(label: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(label, AFFINE), path)
    return path


def files_below(folder: Path) -> dict[str, bytes]:
    """Return all files except those of the project and the host's listing."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in ("activelabel", "datastore_v2.json")
    }


def names_in(lines: list[str]) -> list[str]:
    return [name for line in lines for name in line.split("(", 1)[1].split("):")[0].split(", ")]


def test_the_server_and_all_commands_list_the_same_images_and_pass_over_the_same_files(
    messy: Path, open_store: Callable[[], LedgerDatastore], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        store = open_store()
    assert store.list_images() == IDS
    assert sorted(names_in(store.passed_over())) == PASSED_OVER
    for line in store.passed_over():
        assert caplog.text.count(line) == 1

    found = list(examine("app", str(messy), {"labels": "a,b"}))
    (studies,) = [finding for finding in found if finding.subject == "studies"]
    assert studies.text == f"{len(IDS)} of {len(IDS)} images can be read"
    assert [finding.text for finding in found if finding.subject == "files"] == store.passed_over()
    assert all(finding.fit for finding in found if finding.subject in ("studies", "files", "image", "labels"))

    scored = list_images(messy)
    assert (list(scored.files), scored.lines()) == (IDS, store.passed_over())

    for image_id in IDS:
        _save(_drawn(), tmp_path / "truth" / f"{image_id}.nii.gz")
    cases = find_cases(messy, tmp_path / "truth", 1, 1)
    assert sorted(cases.images) == IDS
    assert list(cases.passed_over) == store.passed_over()


def test_every_image_is_sent_labelled_and_found_again_under_its_id(
    messy: Path, open_store: Callable[[], LedgerDatastore], tmp_path: Path
) -> None:
    before = files_below(messy)
    store = open_store()
    names = set()
    for number, image_id in enumerate(IDS):
        file = Path(store.get_image_uri(image_id))
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file))).T, _voxels())
        info = store.get_image_info(image_id)
        assert info["path"] == str(file)
        names.add(info["name"])
        store.save_label(image_id, str(_save(_drawn(number), tmp_path / "sent.nii.gz")), "final", {"client_id": "ann"})
    assert len(names) == len(IDS), "a client may keep each file under its name"
    for number, image_id in enumerate(IDS):
        kept = check_label(store.get_label_uri(image_id, "final"), read_grid(store.get_image_uri(image_id)), LABELS)
        np.testing.assert_array_equal(kept.array, _drawn(number))
    store.close()
    again = open_store()
    assert again.list_images() == IDS
    assert {Path(case["image"]) for case in again.datalist()} == {Path(again.get_image_uri(name)) for name in IDS}
    after = files_below(messy)
    assert {path: after[path] for path in before} == before


def test_an_image_keeps_its_id_and_label_when_another_of_its_name_comes(
    messy: Path, open_store: Callable[[], LedgerDatastore], tmp_path: Path
) -> None:
    store = open_store()
    meta = store.get_image_uri("meta")
    store.save_label("meta", str(_save(_drawn(), tmp_path / "sent.nii.gz")), "final", {})
    shutil.copy(messy / "case0.nii.gz", messy / "meta.nii.gz")
    store.refresh()
    assert store.get_image_uri("meta") == meta
    assert Path(store.get_image_uri("meta_nii_gz")).name == "meta.nii.gz"
    store.close()
    restarted = open_store()
    assert restarted.get_image_uri("meta") == meta
    assert restarted.get_labels_by_image_id("meta_nii_gz") == {}


def test_a_new_image_in_a_sub_folder_is_noticed(messy: Path, open_store: Callable[[], LedgerDatastore]) -> None:
    import time

    store = open_store()
    (messy / "later" / "on").mkdir(parents=True)
    shutil.copy(messy / "case0.nii.gz", messy / "later" / "on" / "new.nii.gz")
    deadline = time.monotonic() + 120
    while "later~on~new" not in store.list_images():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_taking_an_image_out_of_the_studies_deletes_no_file(
    messy: Path, open_store: Callable[..., LedgerDatastore], tmp_path: Path
) -> None:
    outside = tmp_path / "outside.nii.gz"
    shutil.copy(messy / "case0.nii.gz", outside)
    (messy / "linked.nii.gz").symlink_to(outside)
    store = open_store(links_out=True)
    content = (messy / "subfolder" / "case0.nii.gz").read_bytes()
    store.remove_image("subfolder~case0")
    store.remove_image("linked")
    assert "subfolder~case0" not in store.list_images()
    assert "linked" not in store.list_images()
    kept = [path for path in (messy / "activelabel" / "removed_images").iterdir() if not path.is_symlink()]
    assert [path.read_bytes() for path in kept] == [content]
    assert outside.is_file()


def _segmentation(path: Path) -> None:
    """Write a segmentation of 3D Slicer in which value 1 is `b`."""
    label = SimpleITK.GetImageFromArray((_drawn() == 1).astype(np.uint8).transpose())
    label.SetSpacing((1.5, 1.5, 2.0))
    for key, value in {"ID": "Segment_1", "Name": "b", "LabelValue": "1", "Layer": "0"}.items():
        label.SetMetaData(f"Segment0_{key}", value)
    SimpleITK.WriteImage(label, str(path), True)


BY_HAND = {
    "case.1.nii.gz": "case.1",
    "case0.seg.nrrd": "case0",
    "two_seg.nii.gz": "two",
    "meta.mha": "meta",
    "UPPER.NII.GZ": "UPPER",
    "subfolder/case0-label.nii.gz": "subfolder~case0",
}


@pytest.fixture
def by_hand(messy: Path) -> Path:
    final = messy / "labels" / "final"
    for name in BY_HAND:
        if name == "case0.seg.nrrd":
            final.mkdir(parents=True, exist_ok=True)
            _segmentation(final / name)
        elif name == "meta.mha":
            _save(_drawn(), final / "temporary.nii.gz")
            SimpleITK.WriteImage(SimpleITK.ReadImage(str(final / "temporary.nii.gz")), str(final / name))
            (final / "temporary.nii.gz").unlink()
        elif name.isupper():
            shutil.move(_save(_drawn(), final / name.lower()), final / name)
        else:
            _save(_drawn(), final / name)
    (final / "._case0.nii.gz").write_bytes(b"\0\5\x16\7" + bytes(200))
    _save(_drawn(), final / "stranger.nii.gz")
    _save(_drawn()[1:], final / "case0_nrrd.nii.gz")
    return final


def test_labels_by_hand_are_used_or_passed_over_with_a_line(
    messy: Path, by_hand: Path, open_store: Callable[[], LedgerDatastore]
) -> None:
    store = open_store()
    assert sorted(store.get_labeled_images()) == sorted(BY_HAND.values())
    store.refresh()  # now the server's labels lie beside them
    store.close()
    of_labels = [line for line in store.passed_over() if "labels/final" in line.split(":")[0]]
    assert sorted(names_in(of_labels)) == ["labels/final/case0_nrrd.nii.gz", "labels/final/stranger.nii.gz"]
    for image_id in BY_HAND.values():
        kept = check_label(store.get_label_uri(image_id, "final"), read_grid(store.get_image_uri(image_id)), LABELS)
        expected = 2 * (_drawn() == 1) if image_id == "case0" else _drawn()
        np.testing.assert_array_equal(kept.array, expected, err_msg=image_id)
    found = list(examine("app", str(messy), {"labels": "a,b"}))
    texts = [finding.text for finding in found if finding.subject == "labels"]
    assert texts[0] == f"{len(BY_HAND)} of {len(BY_HAND) + 1} label files can be used"
    assert "stranger.nii.gz" in texts[1]
    (refused,) = [finding for finding in found if finding.subject == "label"]
    assert not refused.fit
    assert "case0_nrrd.nii.gz: the label is 7x7x6 voxels" in refused.text


def test_labels_by_hand_stay_as_they_are_and_are_taken_in_once(
    messy: Path, by_hand: Path, open_store: Callable[[], LedgerDatastore]
) -> None:
    before = files_below(messy)
    store = open_store()
    own = "labels/final/case.1.nii.gz"  # at the path at which the server keeps its own label
    after = files_below(messy)
    assert {path: after[path] for path in before if path != own} == {
        path: content for path, content in before.items() if path != own
    }
    (copy,) = (messy / "activelabel" / "labels_as_found" / "final").iterdir()
    assert copy.read_bytes() == before[own]
    versions = json.dumps(store._ledger.progress().__dict__, default=str)
    store.refresh()
    assert json.dumps(store._ledger.progress().__dict__, default=str) == versions
    for image_id in ("two", "case0"):
        store.remove_label(image_id, "final")
    store.refresh()
    assert "two" not in store.get_labeled_images(), "what was deleted does not come back by itself"
    assert (by_hand / "two_seg.nii.gz").is_file()


def test_a_label_changed_by_hand_is_kept_before_it_is_replaced(
    messy: Path, open_store: Callable[[], LedgerDatastore], tmp_path: Path
) -> None:
    store = open_store()
    sent = str(_save(_drawn(), tmp_path / "sent.nii.gz"))
    store.save_label("two", sent, "final", {})
    place = Path(store.get_label_uri("two", "final"))
    _save(_drawn(5), place)
    changed = place.read_bytes()
    store.save_label("two", str(_save(_drawn(6), tmp_path / "sent.nii.gz")), "final", {})
    assert [path.read_bytes() for path in (messy / "activelabel" / "labels_as_found" / "final").iterdir()] == [changed]


def test_names_come_from_whatever_labels_there_are(messy: Path, by_hand: Path) -> None:
    assert resolve_label_names((), str(messy)) == ("b", "label_2")
    for path in by_hand.iterdir():
        if path.is_file():
            path.unlink()
    shutil.rmtree(by_hand / "subfolder")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(_drawn()), str(by_hand / "case0.nrrd"))
    (by_hand / "torn.nii.gz").write_bytes(b"torn")
    assert resolve_label_names((), str(messy)) == ("label_1", "label_2")


def test_the_doctor_lets_the_folder_pass(messy: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--studies", str(messy), "--conf", "labels=a,b"])
    assert "images can be read" in " ".join(result.output.split())


def test_nobody_but_the_server_says_where_an_image_is(messy: Path, open_store: Callable[[], LedgerDatastore]) -> None:
    from activelabel.server.routes.request_checks import SERVERS_IMAGE_INFO

    info: dict[str, Any] = open_store().get_image_info("subfolder~case0")
    assert info["file"] == "subfolder/case0.nii.gz"
    assert {"file", "path", "name"} <= SERVERS_IMAGE_INFO
