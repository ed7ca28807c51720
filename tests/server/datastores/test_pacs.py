import datetime
import itertools
import logging
import threading
from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
from monailabel.config import settings as host_settings
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid
from recorded import record_annotation
from rtstruct_files import in_slice, rtstruct

from activelabel.annotation.archive import LabelArchive
from activelabel.annotation.history_reader import HistoryReader
from activelabel.data.dicom_objects import seg_writing
from activelabel.data.dicom_objects.seg_writing import write_seg
from activelabel.data.files.channels import ChannelLayout
from activelabel.data.files.one_case import one_case
from activelabel.data.given_splits import GivenSplit
from activelabel.data.grids import Grid
from activelabel.data.patients.given import GivenPatients
from activelabel.data.volumes import read_volume
from activelabel.errors import ForbiddenError, InvalidInputError, NotFoundError, UnavailableError
from activelabel.project.modality import known_modality
from activelabel.project.models.features import features_file, read_features, write_features
from activelabel.project.models.kept_maps import KeptMaps
from activelabel.project.setting_aside import set_aside, set_aside_unreadable
from activelabel.server.datastores import pacs as pacs_datastore
from activelabel.server.datastores.pacs import PacsDatastore
from activelabel.server.pacs.channel_series import SeriesRule
from activelabel.server.pacs.client import Pacs
from activelabel.server.pacs.seg_exchange import SegExchange
from activelabel.server.pacs.series_cache import SeriesCache
from activelabel.server.routes.answer_keys import INFO, INFO_OF_A_PACS
from activelabel.store.case_states import FinishedBy
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from local_pacs.ct_series import ct_series
from local_pacs.orthanc import Orthanc

LABELS = ("liver", "spleen", "kidneys")
SHAPE = (8, 7, 6)
AFFINE_RAS = np.diag([-1.5, -1.5, 2.0, 1.0])


class Site:
    """A PACS with two CT series, and a project on it."""

    def __init__(self, orthanc: Orthanc, folder: Path) -> None:
        self.orthanc = orthanc
        self.folder = folder
        self.ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
        self.uids = [self.send(f"case{number}", seed=number) for number in (1, 2)]

    def send(self, patient: str, seed: int, slices: slice = slice(None), owner: str | None = None) -> str:
        """Send a CT, or some of its slices, of this patient or of another `owner`, and return the series' UID."""
        voxels_hu = np.random.default_rng(seed).integers(-50, 150, SHAPE).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels_hu, AFFINE_RAS), self.folder / f"{patient}.nii.gz")
        datasets = ct_series(self.folder / f"{patient}.nii.gz", patient, datetime.datetime(2026, 3, 4, 5, 6, 7))
        for dataset in datasets:
            dataset.PatientID = owner or patient
        self.orthanc.store(datasets[slices])
        return str(datasets[0].SeriesInstanceUID)

    def open(
        self,
        *,
        follow_changes: bool = True,
        labels: tuple[str, ...] = LABELS,
        asks_slices: bool = False,
        finished_by: FinishedBy = FinishedBy.SAVING,
        split: GivenSplit | None = None,
        patients: GivenPatients | None = None,
    ) -> PacsDatastore:
        """Open the datastore as a server or one of its children does."""
        pacs = Pacs(self.orthanc.dicom_web)
        return PacsDatastore(
            pacs,
            SeriesCache(pacs, self.folder / "cache"),
            self.folder / "view",
            self.ledger,
            LabelArchive(
                self.ledger,
                HistoryReader(self.ledger, labels, self.folder / "labels", self.folder / "predictions", asks_slices),
                "acquisition",
                finished_by,
            ),
            validation_cases=1,
            follow_changes=follow_changes,
            split=split,
            patients=patients,
        )

    def label(self, *values: int, shape: tuple[int, int, int] = SHAPE) -> Path:
        """Write a label with a box of each value, and return its file."""
        array = np.zeros(shape, np.uint8)
        for place, value in enumerate(values):
            array[2 * place : 2 * place + 2, 1:4, 1 + place : 3 + place] = value
        path = self.folder / "drawn.nii.gz"
        nibabel.save(nibabel.Nifti1Image(array, AFFINE_RAS), path)
        return path

    def drawing(self, *slices: int, value: int = 1) -> Path:
        """Write a label with a box on each of these slices across the last axis, and return its file."""
        array = np.zeros(SHAPE, np.uint8)
        for index in slices:
            array[2:5, 1:4, index] = value
        path = self.folder / "drawing.nii.gz"
        nibabel.save(nibabel.Nifti1Image(array, AFFINE_RAS), path)
        return path

    def segments(self) -> list[list[str]]:
        """Return the names of the segments of each SEG in the PACS."""
        found = []
        for series in self.orthanc.series("SEG"):
            (instance,) = series["Instances"]  # type: ignore[misc]
            tags = requests.get(f"{self.orthanc.address}/instances/{instance}/tags?simplify", timeout=120).json()
            found.append([segment["SegmentLabel"] for segment in tags["SegmentSequence"]])
        return found

    def store_seg(self, uid: str, names: tuple[str, ...], *values: int, **changes: str) -> str:
        """Store a SEG as another viewer would, and return its series' UID."""
        return self.store_drawing(uid, self.label(*values), names, **changes)

    def store_drawing(
        self, uid: str, drawn: Path, names: tuple[str, ...] = LABELS, author: str = "Bob", **changes: str
    ) -> str:
        """Store a label as a SEG, as another viewer would, and return its series' UID."""
        slices = SeriesCache(Pacs(self.orthanc.dicom_web), self.folder / "other").slices(uid, None)
        seg = write_seg(drawn, slices, names, generate_uid(), author)
        assert seg is not None
        for name, value in changes.items():
            setattr(seg, name, value)
        self.orthanc.store([seg])
        return str(seg.SeriesInstanceUID)


@pytest.fixture
def site(orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(pacs_datastore, "LOOK_SECONDS", 3600.0)  # tests call for a look themselves
    made = Site(orthanc, tmp_path)
    yield made
    made.ledger.close()


def voxels(path: str | Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


# Images


def test_the_series_of_the_pacs_are_the_images(site: Site) -> None:
    store = site.open()
    assert sorted(store.list_images()) == sorted(site.uids)
    info = store.get_image_info(site.uids[0])  # no image was fetched yet
    assert {
        "Modality": "CT",
        "StudyDate": "20260304",
        "StudyTime": "050607",
        "PatientID": "case1",
    }.items() <= info.items()
    assert info["SeriesInstanceUID"] == site.uids[0]
    assert {image.id for image in site.ledger.images()} == set(site.uids)
    assert store.status() == {
        "total": 2,
        "completed": 0,
        "label_tags": {},
        "annotated_slices": 0,
        "annotated_volumes": 0,
        "partly_annotated_volumes": 0,
        "pacs": site.orthanc.dicom_web,
        "pacs_problem": None,
        "pacs_refused": {},
    }


def test_all_series_of_a_patient_are_on_one_side(site: Site) -> None:
    patients = {uid: f"case{number}" for number, uid in enumerate(site.uids, start=1)}
    patients |= {
        site.send(f"case{number}", number, owner=f"case{number - 2}"): f"case{number - 2}" for number in (3, 4)
    }
    site.open()
    images = site.ledger.images()
    assert {image.id: image.patient for image in images} == patients
    assert {image.role for image in images} == {"training", "validation"}
    assert len({(image.patient, image.role) for image in images}) == 2


def test_a_table_tells_that_two_patient_ids_are_one_person(site: Site) -> None:
    site.open(patients=GivenPatients("who.csv", table=dict.fromkeys(("case1", "case2"), "Ann")))
    assert [image.patient for image in site.ledger.images()] == ["Ann", "Ann"]
    assert len({image.role for image in site.ledger.images()}) == 1


def test_a_split_that_shares_a_patient_id_is_refused_before_any_image_has_a_role(site: Site) -> None:
    other = site.send("case3", 3, owner="case1")
    split = GivenSplit("ours.txt", {site.uids[0]: "training", other: "validation"})
    with pytest.raises(InvalidInputError, match=r"--conf splits ours\.txt: patient 'case1' is for "):
        site.open(split=split)
    assert site.ledger.images() == []
    site.open(split=GivenSplit("ours.txt", {site.uids[0]: "training", site.uids[1]: "validation"}))
    assert site.ledger.image(other).role == "training"


def test_an_image_is_read_as_it_was_sent(site: Site) -> None:
    path = site.open().get_image_uri(site.uids[1])
    np.testing.assert_array_equal(voxels(path), voxels(site.folder / "case2.nii.gz"))
    np.testing.assert_allclose(nibabel.load(path).affine, AFFINE_RAS, atol=1e-5)


def test_the_info_of_an_image_that_was_not_fetched_can_be_extended(site: Site) -> None:
    store = site.open()
    store.update_image_info(site.uids[0], {"note": "urgent"})
    store.refresh()
    assert store.get_image_info(site.uids[0])["note"] == "urgent"


def test_a_new_series_is_seen_at_the_next_look(site: Site) -> None:
    store = site.open()
    uid = site.send("case3", seed=3)
    store.refresh()
    assert uid in store.list_images()
    assert site.ledger.image(uid).present


@pytest.mark.parametrize("annotated", [False, True])
def test_a_removed_series_is_gone_at_the_next_look_with_its_copies(site: Site, annotated: bool) -> None:
    store = site.open()
    maps = KeptMaps(site.folder / "maps")
    copies = [Path(store.get_image_uri(uid)) for uid in site.uids]
    shown = [maps.keep(uid, (1,), ".nii.gz", b"map") for uid in site.uids]
    features = features_file(site.folder / "features", 1)
    write_features(features, {uid: np.zeros(2, np.float32) for uid in site.uids})
    if annotated:
        store.save_label(site.uids[0], str(site.label(1)), "final", {})
    for series in site.orthanc.series("CT"):
        if series["MainDicomTags"]["SeriesInstanceUID"] == site.uids[0]:  # type: ignore[index]
            requests.delete(f"{site.orthanc.address}/series/{series['ID']}", timeout=120).raise_for_status()
    store.refresh()
    assert store.list_images() == [site.uids[1]]
    assert not site.ledger.image(site.uids[0]).present
    assert [file.exists() for file in shown] == [False, True]
    assert [file.exists() for file in copies] == [False, True]
    assert [file.with_name(uid).exists() for file, uid in zip(copies, site.uids, strict=True)] == [False, True]
    assert list(read_features(features)) == [site.uids[1]]
    assert (site.ledger.current_annotation(site.uids[0]) is not None) == annotated
    if annotated:
        assert store.kept_file(site.ledger.current_annotation(site.uids[0])).is_file()


def test_a_series_that_is_no_volume_is_set_aside_and_taken_back_when_it_is_complete(site: Site) -> None:
    uid = site.send("case3", seed=3, slices=slice(0, 6, 5))  # the first and the last slice have arrived ...
    site.send("case3", seed=3, slices=slice(1, 2))  # ... and the second
    store = site.open()
    with pytest.raises(InvalidInputError, match="set aside"):
        store.get_image_uri(uid)
    assert "even spacing" in (site.ledger.image(uid).unreadable_reason or "")
    site.send("case3", seed=3)
    store.refresh()
    assert site.ledger.image(uid).unreadable_reason is None
    assert voxels(store.get_image_uri(uid)).shape == SHAPE


def test_a_series_that_needed_more_memory_than_there_was_is_looked_at_again_at_the_next_start(site: Site) -> None:
    store = site.open()
    first, second = site.uids
    with pytest.raises(InvalidInputError) as raised, one_case(first):
        raise MemoryError
    set_aside(first, raised.value, site.ledger, store)
    site.ledger.mark_unreadable(second, "no volume")
    store.readmit_mended()
    assert len(site.ledger.images_set_aside()) == 2
    store.readmit_mended(at_start=True)
    assert [image.id for image in site.ledger.images_set_aside()] == [second]


def test_a_series_that_was_fetched_too_early_is_fetched_again(site: Site) -> None:
    uid = site.send("case3", seed=3, slices=slice(0, 4))
    store = site.open()
    assert voxels(store.get_image_uri(uid)).shape == (8, 7, 4)
    site.send("case3", seed=3)
    store.refresh()
    assert voxels(store.get_image_uri(uid)).shape == SHAPE


def test_an_annotated_series_stays_as_it_was_annotated(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    uid = site.send("case3", seed=3, slices=slice(0, 4))
    store = site.open()
    store.save_label(uid, str(site.label(1, shape=(8, 7, 4))), "final", {})
    site.send("case3", seed=3)
    store.refresh()
    assert voxels(store.get_image_uri(uid)).shape == (8, 7, 4)
    assert f"series {uid} has changed" in caplog.text


def test_images_come_and_go_in_the_pacs_only(site: Site) -> None:
    store = site.open()
    with pytest.raises(ForbiddenError, match="send a new one there"):
        store.add_image("new", str(site.folder / "case1.nii.gz"), {})
    with pytest.raises(ForbiddenError, match="remove it there"):
        store.remove_image(site.uids[0])
    assert sorted(store.list_images()) == sorted(site.uids)


# Labels


def test_a_label_is_in_ledger_archive_and_pacs(site: Site) -> None:
    store = site.open()
    uid = site.uids[0]
    store.save_label(uid, str(site.label(3)), "final", {"client_id": "ann"})
    (annotation,) = site.ledger.annotations()
    assert (annotation.image_id, annotation.annotator, annotation.version) == (uid, "ann", 1)
    np.testing.assert_array_equal(voxels(site.folder / "labels" / annotation.file), voxels(site.label(3)))
    np.testing.assert_array_equal(voxels(store.get_label_uri(uid, "final")), voxels(site.label(3)))
    assert site.segments() == [["kidneys"]]  # not the first name
    assert store.get_labeled_images() == [uid]
    assert store.get_unlabeled_images() == [site.uids[1]]
    assert store.status()["completed"] == 1


def test_a_look_at_the_pacs_does_not_send_what_a_request_is_sending(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = site.open()
    uid, drawn = site.uids[0], site.label(3)
    writes, go_on = threading.Semaphore(0), threading.Event()
    written: list[str] = []

    def held_up(*rest: Any) -> Any:
        written.append(threading.current_thread().name)
        writes.release()
        assert go_on.wait(120)
        return write_seg(*rest)

    monkeypatch.setattr(seg_writing, "write_seg", held_up)
    threads = [
        threading.Thread(target=store.save_label, args=(uid, str(drawn), "final", {}), name="request"),
        threading.Thread(target=store.refresh, name="look"),
    ]
    threads[0].start()
    assert writes.acquire(timeout=120)
    threads[1].start()
    writes.acquire(timeout=1)  # if both send it, both write within this time
    go_on.set()
    for thread in threads:
        thread.join(120)
    assert written == ["request"]
    assert site.segments() == [["kidneys"]]


def test_names_follow_the_clients_order(site: Site) -> None:
    store = site.open()
    info = {"label_info": [{"name": "spleen", "idx": 1}, {"name": "liver", "idx": 2}]}
    store.save_label(site.uids[0], str(site.label(1, 2)), "final", info)
    expected = np.array([0, 2, 1])[voxels(site.label(1, 2))]
    np.testing.assert_array_equal(voxels(store.get_label_uri(site.uids[0], "final")), expected)
    assert site.segments() == [["liver", "spleen"]]


def test_an_empty_label_counts_and_is_not_sent(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    store = site.open()
    store.save_label(site.uids[0], str(site.label()), "final", {})
    assert [annotation.image_id for annotation in site.ledger.annotations()] == [site.uids[0]]
    assert not voxels(store.get_label_uri(site.uids[0], "final")).any()
    store.refresh()
    assert site.segments() == []
    assert caplog.text.count("is empty: kept here, not in the PACS") == 1  # and not at every look


def test_only_final_labels_are_sent(site: Site) -> None:
    store = site.open()
    store.save_label(site.uids[0], str(site.label(1)), "original", {})
    assert site.segments() == []
    assert site.ledger.annotations() == []
    assert store.get_label_uri(site.uids[0], "original").endswith(f"original/{site.uids[0]}.nii.gz")


def test_a_wrong_label_changes_nothing(site: Site) -> None:
    store = site.open()
    uid = site.uids[0]
    store.save_label(uid, str(site.label(1)), "final", {})
    with pytest.raises(InvalidInputError, match="8x7x5"):
        store.save_label(uid, str(site.label(1, shape=(8, 7, 5))), "final", {})
    with pytest.raises(InvalidInputError, match="value 9"):
        store.save_label(uid, str(site.label(9)), "final", {})
    assert [annotation.version for annotation in site.ledger.history(uid)] == [1]
    assert site.segments() == [["liver"]]
    np.testing.assert_array_equal(voxels(store.get_label_uri(uid, "final")), voxels(site.label(1)))


def test_ohifs_raw_voxels_are_taken(site: Site) -> None:
    store = site.open()
    array = voxels(site.label(1, 2))
    raw = site.folder / "label.bin"
    raw.write_bytes(array.tobytes(order="F"))  # the first axis runs fastest
    store.save_label(site.uids[0], str(raw), "final", {})
    np.testing.assert_array_equal(voxels(store.get_label_uri(site.uids[0], "final")), array)
    raw.write_bytes(array.tobytes()[:-1])
    with pytest.raises(InvalidInputError, match=r"335 bytes, expected one for each of the image's 8x7x6 voxels"):
        store.save_label(site.uids[0], str(raw), "final", {})


def test_a_label_that_was_taken_back_stays_away(site: Site) -> None:
    store = site.open()
    uid = site.uids[0]
    store.save_label(uid, str(site.label(1)), "final", {})
    store.remove_label(uid, "final")
    store.refresh()  # its SEG is still in the PACS
    assert len(site.segments()) == 1
    assert site.ledger.annotations() == []
    assert site.open().get_labeled_images() == []


# Segmentations of other programs


def test_a_seg_of_another_viewer_becomes_a_label(site: Site) -> None:
    store = site.open()
    uid = site.uids[0]
    site.store_seg(uid, ("liver", "spleen", "kidneys"), 1, 3)
    store.refresh()
    (annotation,) = site.ledger.annotations()
    assert (annotation.image_id, annotation.annotator) == (uid, "Bob")
    np.testing.assert_array_equal(voxels(store.get_label_uri(uid, "final")), voxels(site.label(1, 3)))
    assert len(site.segments()) == 1  # the label is not sent back


def test_contours_of_a_planning_system_become_a_label_with_the_structures_that_have_names_here(site: Site) -> None:
    """Structures without a name in the project do not lead to a refusal of the others."""
    uid, grid = site.uids[0], Grid(SHAPE, AFFINE_RAS)
    corners = ((1.5, 1.5), (4.5, 1.5), (4.5, 3.5), (1.5, 3.5))
    drawn = {"spleen": [in_slice(grid, index, corners) for index in (2, 3)], "BODY": [in_slice(grid, 3, corners)]}
    made = rtstruct(drawn, series=(uid, "1.2.3"))
    site.orthanc.store([_in_study(made, site, uid)])
    foreign = rtstruct({"BODY": drawn["BODY"]}, series=(uid,))
    site.orthanc.store([_in_study(foreign, site, uid)])
    store = site.open()
    (annotation,) = site.ledger.annotations()
    assert (annotation.image_id, annotation.annotator) == (uid, "Planner")
    expected = np.zeros(SHAPE, np.uint8)
    expected[2:5, 2:4, 2:4] = 2
    np.testing.assert_array_equal(voxels(store.get_label_uri(uid, "final")), expected)
    ((series, reason),) = store.exchange.refused.items()
    assert series == foreign.SeriesInstanceUID
    assert "none of its structures (BODY) is one of liver, spleen, kidneys" in reason
    store.refresh()
    assert len(site.ledger.history(uid)) == 1
    assert site.segments() == []  # the label is not sent back


def _in_study(made: FileDataset, site: Site, uid: str) -> FileDataset:
    """Move the object into the study and patient of a series."""
    made.StudyInstanceUID = Pacs(site.orthanc.dicom_web).study_of(uid)
    made.PatientID, made.SeriesNumber, made.InstanceNumber = "case1", 2, 1
    return made


def test_a_seg_of_another_viewer_may_have_its_names_in_another_order(site: Site) -> None:
    store = site.open()
    site.store_seg(site.uids[0], ("kidneys", "liver"), 1, 2)
    store.refresh()
    expected = np.array([0, 3, 1])[voxels(site.label(1, 2))]
    np.testing.assert_array_equal(voxels(store.get_label_uri(site.uids[0], "final")), expected)


def test_a_seg_of_another_viewer_is_taken_in_once(site: Site) -> None:
    site.store_seg(site.uids[0], LABELS, 1)
    store = site.open()
    store.refresh()
    site.open()
    assert [annotation.version for annotation in site.ledger.history(site.uids[0])] == [1]
    store.remove_label(site.uids[0], "final")
    site.open().refresh()
    assert site.ledger.annotations() == []


def test_of_several_segs_the_last_counts_and_all_are_kept(site: Site) -> None:
    uid = site.uids[0]
    late = site.store_seg(uid, LABELS, 2, ContentDate="20260302")
    early = site.store_seg(uid, LABELS, 1, ContentDate="20260301")
    store = site.open()
    np.testing.assert_array_equal(voxels(store.get_label_uri(uid, "final")), voxels(site.label(2)))
    kept = [Path(annotation.file).name for annotation in site.ledger.history(uid)]
    assert len(kept) == 2
    for name, seg in zip(kept, (early, late), strict=True):
        assert name.startswith(f"seg-{seg}-")


def test_a_seg_of_another_viewer_ends_the_lease_that_it_answers(site: Site) -> None:
    store = site.open()
    uid = site.uids[0]
    site.ledger.grant_lease("10.0.0.7", uid, 60, "random_volumes")
    site.store_seg(uid, LABELS, 1)
    store.refresh()
    assert site.ledger.active_lease("10.0.0.7") is None
    assert site.ledger.leases()[0].outcome == "saved"


def test_a_seg_without_an_author_answers_the_query_of_an_anonymous_viewer(site: Site) -> None:
    """OHIF asks under the address of its machine, and its SEGs name no author. A SEG holds no empty slice."""
    store = site.open(asks_slices=True)
    uid = site.uids[0]
    site.ledger.grant_lease("10.0.0.7", uid, 60, "random_slices", slices=[1, 3])
    site.store_drawing(uid, site.drawing(1), author="")
    store.refresh()
    (annotation,) = site.ledger.annotations()
    assert (annotation.annotator, annotation.slices, annotation.foreground_slices) == ("PACS", (1, 3), 1)
    assert site.ledger.leases()[0].outcome == "saved"
    assert len(site.segments()) == 1  # the kept label is the SEG's content, and is not sent back


def test_a_seg_belongs_to_the_user_logged_in_when_it_was_sent_and_answers_no_other_query(site: Site) -> None:
    store = site.open(asks_slices=True)
    uid = site.uids[0]
    site.ledger.grant_lease("carol", uid, 60, "random_slices", slices=[1, 3])
    store.exchange.note_sender([site.store_drawing(uid, site.drawing(1), author="carol")], "ann")
    store.refresh()
    (annotation,) = site.ledger.annotations()
    assert annotation.annotator == "ann"
    assert site.ledger.leases()[0].outcome is None


def test_a_seg_completes_a_volume_that_was_asked_for_as_a_whole(site: Site) -> None:
    """Validation cases are asked for as whole volumes, even if the recipe asks for slices."""
    site.uids += [site.send(f"case{number}", seed=number) for number in (3, 4)]
    store = site.open(asks_slices=True)
    (uid,) = site.ledger.pool("validation")
    site.ledger.grant_lease("10.0.0.7", uid, 60, "random_slices")
    site.store_drawing(uid, site.drawing(1, 2), author="")
    store.refresh()
    assert site.ledger.annotations()[0].slices is None
    assert site.ledger.leases()[0].outcome == "saved"


def test_a_seg_of_one_stroke_is_a_draft_also_after_a_restart_until_it_is_exported_again(site: Site) -> None:
    """The next server finds a draft SEG in the PACS, and must not count it as a second export."""
    store = site.open(finished_by=FinishedBy.ESTIMATE)
    uid = site.uids[0]
    site.ledger.grant_lease("10.0.0.7", uid, 60, "random_volumes")
    first = site.store_drawing(uid, site.drawing(3), author="")
    store.refresh()
    assert site.ledger.annotations() == []
    assert store.exchange.drafts[first].startswith("kept as a draft: something is drawn on 1 of 6 slices")
    (draft,) = site.ledger.open_drafts()
    assert draft.annotator == "10.0.0.7"
    np.testing.assert_array_equal(voxels(store.get_label_uri(uid, "original")), voxels(site.drawing(3)))
    restarted = site.open(finished_by=FinishedBy.ESTIMATE)
    assert (site.ledger.annotations(), restarted.exchange.drafts) == ([], {})
    site.store_drawing(uid, site.drawing(3), author="")
    restarted.refresh()
    (annotation,) = site.ledger.annotations()
    assert (annotation.slices, annotation.foreground_slices, site.ledger.open_drafts()) == (None, 1, [])
    assert site.ledger.leases()[0].outcome == "saved"
    assert len(site.segments()) == 2  # only the stored SEGs, none written by the server


def test_a_seg_drawn_outside_the_query_is_a_draft_until_it_is_exported_again(site: Site) -> None:
    store = site.open(asks_slices=True)
    uid = site.uids[0]
    site.ledger.grant_lease("10.0.0.7", uid, 60, "random_slices", slices=[3])
    first = site.store_drawing(uid, site.drawing(2), author="")
    store.refresh()
    assert site.ledger.annotations() == []
    assert "was asked for and came back empty" in store.exchange.drafts[first]
    assert store.exchange.refused == {}
    np.testing.assert_array_equal(voxels(store.get_label_uri(uid, "original")), voxels(site.drawing(2)))
    site.store_drawing(uid, site.drawing(2), author="")
    store.refresh()
    (annotation,) = site.ledger.annotations()
    assert (annotation.slices, site.ledger.open_drafts()) == ((2, 3), [])


def test_a_draft_of_a_script_is_not_stored_in_the_pacs_until_it_is_finished(site: Site) -> None:
    store = site.open()
    uid = site.uids[0]
    store.save_label(uid, str(site.drawing(1, 2)), "final", {"client_id": "ann", "finished": False})
    assert site.segments() == []
    store.finish_draft(uid, "ann")
    assert site.segments() == [["liver"]]


def test_the_label_merged_from_several_segs_opens_with_the_image(site: Site) -> None:
    store = site.open(asks_slices=True)
    uid = site.uids[0]
    for index in (1, 4):
        site.store_drawing(uid, site.drawing(index))
        store.refresh()
    for tag in ("final", "original"):
        np.testing.assert_array_equal(voxels(store.get_label_uri(uid, tag)), voxels(site.drawing(1, 4)))
        assert store.get_label_info(uid, tag)["version"] == 2


def test_the_label_merged_from_several_segs_is_sent_even_if_the_server_is_killed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = site.open(asks_slices=True)
    uid = site.uids[0]
    store.save_label(uid, str(site.drawing(1)), "final", {"client_id": "ann"})
    site.store_drawing(uid, site.drawing(4, value=2))

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SegExchange, "send", killed)
        with pytest.raises(KeyboardInterrupt):
            store.refresh()
    assert sorted(site.segments()) == [["liver"], ["spleen"]]  # ann's slice, and the other viewer's
    for _ in range(2):
        site.open(asks_slices=True).refresh()
        assert sorted(site.segments()) == [["liver"], ["liver", "spleen"], ["spleen"]]
        assert [label.version for label in site.ledger.history(uid) if label.tag == "final"] == [1, 2]
    np.testing.assert_array_equal(
        voxels(store.get_label_uri(uid, "final")), voxels(site.drawing(1)) + voxels(site.drawing(4, value=2))
    )


def test_a_seg_of_another_viewer_is_not_sent_back_when_a_prediction_is_kept(site: Site) -> None:
    store = site.open()
    site.store_seg(site.uids[0], ("kidneys", "liver"), 1, 2)
    store.refresh()
    store.save_label(site.uids[0], str(site.label(2)), "original", {})
    assert len(site.segments()) == 1


def test_labels_that_were_taken_in_before_slices_were_drawn_are_known(site: Site) -> None:
    """Their files are named by the identifier of the SEG alone."""
    uid = site.uids[0]
    seg = site.store_seg(uid, LABELS, 1)
    site.ledger.sync_images(site.uids, 0)
    folder = site.folder / "labels" / uid
    folder.mkdir(parents=True)
    (folder / f"seg-{seg}.nii.gz").write_bytes(site.label(1).read_bytes())
    record_annotation(site.ledger, uid, f"{uid}/seg-{seg}.nii.gz", "0" * 64, "Bob")
    site.open().refresh()
    assert len(site.ledger.history(uid)) == 1
    assert len(site.segments()) == 1


@pytest.mark.parametrize(
    ("names", "changes", "line"),
    [
        (("lung",), {}, "'lung' is not a label of this app"),
        (("liver",), {"SegmentationType": "LABELMAP"}, "expected a SEG (BINARY, FRACTIONAL or LABELMAP)"),
    ],
)
def test_a_seg_that_fails_the_checks_is_passed_over(
    site: Site, caplog: pytest.LogCaptureFixture, names: tuple[str, ...], changes: dict[str, str], line: str
) -> None:
    store = site.open()
    uid = site.store_seg(site.uids[0], names, 1, **changes)
    for _ in range(2):
        store.refresh()
    assert site.ledger.annotations() == []
    logged = [record.getMessage() for record in caplog.records if f"the SEG {uid}" in record.getMessage()]
    assert len(logged) == 1  # logged once, not at every look
    assert line in logged[0]
    assert line in store.status()["pacs_refused"][uid]


# A PACS that does not answer


def test_the_revision_changes_when_the_pacs_answers_something_else_and_not_at_every_look(site: Site) -> None:
    store = site.open()
    revisions = [store.revision]
    for change in (
        lambda: None,
        lambda: site.send("case3", seed=3),
        lambda: site.store_seg(site.uids[0], ("unknown",), 1),  # which is refused
        site.orthanc.stop,
        lambda: None,
        site.orthanc.start,
    ):
        change()
        store.refresh()
        revisions.append(store.revision)
    changed = [before != after for before, after in itertools.pairwise(revisions)]
    assert changed == [False, True, True, True, False, True]


def test_known_images_and_labels_are_listed_while_the_pacs_is_away(site: Site) -> None:
    store = site.open()
    fetched, other = site.uids
    store.get_image_uri(fetched)
    store.close()
    site.orthanc.stop()
    for restarted in (store, site.open()):
        restarted.refresh()
        assert sorted(restarted.list_images()) == sorted(site.uids)
        assert restarted.get_image_info(other)["PatientID"] == "case2"
        assert "cannot be reached" in restarted.status()["pacs_problem"]
        assert voxels(restarted.get_image_uri(fetched)).shape == SHAPE
        with pytest.raises(UnavailableError):
            restarted.get_image_uri(other)
    assert all(site.ledger.image(uid).present and site.ledger.image(uid).unreadable_reason is None for uid in site.uids)


def test_a_label_saved_meanwhile_is_sent_later(site: Site) -> None:
    store = site.open()
    uid = site.uids[0]
    store.get_image_uri(uid)
    site.orthanc.stop()
    store.save_label(uid, str(site.label(2)), "final", {})
    assert len(site.ledger.annotations()) == 1
    site.orthanc.start()
    assert site.segments() == []
    store.refresh()
    assert site.segments() == [["spleen"]]
    assert store.status()["pacs_problem"] is None
    store.refresh()
    site.open().refresh()
    assert len(site.segments()) == 1


def test_a_project_can_begin_before_its_pacs_answers(site: Site) -> None:
    site.uids += [site.send(f"case{number}", seed=number) for number in (3, 4)]
    site.orthanc.stop()
    store = site.open()
    assert store.list_images() == []
    site.orthanc.start()
    store.refresh()
    assert sorted(store.list_images()) == sorted(site.uids)
    assert [image.role for image in site.ledger.images()].count("validation") == 1


# The server's children


def test_a_child_process_reads_images_and_sends_the_pacs_no_request(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = site.open()
    store.get_image_uri(site.uids[0])
    store.close()
    site.store_seg(site.uids[1], LABELS, 1)
    asked: list[str] = []
    monkeypatch.setattr(Pacs, "_search", lambda self, filters: asked.append(str(filters)) or [])
    child = site.open(follow_changes=False)
    assert sorted(child.list_images()) == sorted(site.uids)
    for uid in site.uids:
        assert voxels(child.get_image_uri(uid)).shape == SHAPE
    assert asked == []
    assert site.ledger.annotations() == []


def test_a_series_that_nobody_has_is_not_found(site: Site) -> None:
    store = site.open()
    with pytest.raises(NotFoundError, match=r"has no series 1\.2\.3"):
        store.get_image_uri("1.2.3")


def test_the_list_for_training_names_files_that_are_there(site: Site) -> None:
    store = site.open()
    site.store_seg(site.uids[0], LABELS, 1)
    store.refresh()
    pairs: list[dict[str, Any]] = store.datalist()
    assert len(pairs) == 1
    assert all(Path(path).is_file() for path in pairs[0].values())


def test_the_modality_is_determined_when_the_first_images_come(
    orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_settings, "MONAI_LABEL_DICOMWEB_SEARCH_FILTER", {})
    site = Site(orthanc, tmp_path)
    orthanc.clear()
    store = site.open()
    assert known_modality(site.ledger) is None
    site.send("late", seed=3)
    store.refresh()
    modality = known_modality(site.ledger)
    assert modality is not None
    assert (modality.name, modality.reason) == ("CT", "DICOM tag Modality of 1 of 1 series")


def test_the_keys_that_a_pacs_adds_to_the_status_are_described(site: Site) -> None:
    described = {key for key in {**INFO, **INFO_OF_A_PACS} if key.startswith("datastore.") and "{" not in key}
    assert {f"datastore.{key}" for key in site.open().status()} == described


# Channels


def send_study(site: Site, patient: str, **descriptions: np.ndarray) -> dict[str, str]:
    """Send the series of one study, one for each description, and return their UIDs."""
    uids, study = {}, generate_uid(entropy_srcs=[patient])
    for name, affine in descriptions.items():
        hu = np.random.default_rng(len(name)).integers(1, 150, SHAPE).astype(np.int16)
        file = site.folder / f"{patient}-{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(hu, affine), file)
        datasets = ct_series(file, f"{patient} {name}", datetime.datetime(2026, 3, 4, 5, 6, 7))
        for dataset in datasets:
            dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesDescription = patient, study, name
        site.orthanc.store(datasets)
        uids[name] = str(datasets[0].SeriesInstanceUID)
    return uids


def open_channels(site: Site, monkeypatch: pytest.MonkeyPatch, follow_changes: bool = True) -> PacsDatastore:
    rule = SeriesRule(ChannelLayout(("FLAIR", "T1", "T2"), (), (0, 1, 2), 3, shown=1), ("FLAIR", "T1", "T2"))
    monkeypatch.setattr(pacs_datastore.PacsDatastore, "__init__", partialmethod(PacsDatastore.__init__, rule=rule))
    return site.open(follow_changes=follow_changes)


def moved(by_mm: float) -> np.ndarray:
    affine = AFFINE_RAS.copy()
    affine[2, 3] += by_mm
    return affine


def test_the_series_of_a_study_are_the_channels_of_one_image(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    good = send_study(site, "good", FLAIR=AFFINE_RAS, T1=AFFINE_RAS, T2=moved(2.0), localizer=AFFINE_RAS)
    apart = send_study(site, "apart", FLAIR=AFFINE_RAS, T1=AFFINE_RAS, T2=moved(100.0))
    send_study(site, "less", FLAIR=AFFINE_RAS, T1=AFFINE_RAS)
    store = open_channels(site, monkeypatch)
    assert sorted(store.list_images()) == sorted([good["T1"], apart["T1"]])
    assert sum("0 series for the channel T2" in line for line in store.passed_over()) == 1
    assert known_modality(site.ledger).name == "CT, CT, CT"  # as the series say

    volume = read_volume(store.image_files(good["T1"]))
    assert volume.channels.shape == (3, *SHAPE)
    assert np.array_equal(volume.array, voxels(store.get_image_uri(good["T1"])))
    assert store.shown_file(good["T1"]) == Path(store.get_image_uri(good["T1"]))
    lower, upper = volume.channels[2][..., 1:], voxels(site.folder / "cache" / f"{good['T2']}.nii.gz")[..., :-1]
    assert np.allclose(lower, upper, atol=0.01)  # 2 mm are a slice

    assert set_aside_unreadable(apart["T1"], store, site.ledger, was_scored=False)
    assert "its channel T2 covers 0% of T1" in str(site.ledger.image(apart["T1"]).unreadable_reason)
    assert not set_aside_unreadable(good["T1"], store, site.ledger, was_scored=False)
    store.save_label(good["T1"], str(site.label(1)), "final", {"client_id": "ann"})
    assert len(site.segments()) == 1

    child = open_channels(site, monkeypatch, follow_changes=False)
    assert child.image_files(good["T1"]) == store.image_files(good["T1"])


def test_channels_are_fetched_again_when_one_series_has_changed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    uids = send_study(site, "late", FLAIR=AFFINE_RAS, T1=AFFINE_RAS, T2=AFFINE_RAS)
    store = open_channels(site, monkeypatch)
    files = store.image_files(uids["T1"])
    objects = store._datastore.objects[uids["T1"]]
    objects.image.info["instances"] -= 1  # as if the last slice of FLAIR had come since
    store.refresh()
    assert not any(path.exists() for path in files.paths)
