"""Reading ahead: a PACS that a test can hold up is asked for the next case's series, and for no series twice."""

import datetime
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from recorded import record_annotation
from small_studies import TINY_RECIPE

from activelabel.annotation.archive import open_archive
from activelabel.data.volumes import Volume
from activelabel.errors import UnavailableError
from activelabel.project import readability
from activelabel.project.opening import open_project
from activelabel.server.actions.ahead import reading
from activelabel.server.actions.ahead.reading import ReadAhead
from activelabel.server.actions.ahead.requests import CALM_SECONDS, PATIENCE_SECONDS, Requests
from activelabel.server.actions.cases import CaseActions
from activelabel.server.datastores import pacs as pacs_datastore
from activelabel.server.datastores.pacs import PacsDatastore
from activelabel.server.pacs.client import Pacs, Series, SeriesRefusedError
from activelabel.server.pacs.series_cache import SeriesCache
from activelabel.server.tasks.strategy import host_strategies
from local_pacs.ct_series import ct_series

SERIES = [f"1.2.{number}" for number in range(5)]
PATIENCE = 120


class HeldUpPacs(Pacs):
    """A PACS with five series; it refuses some, has some with a slice missing, and sends some without an end."""

    def __init__(self, folder: Path) -> None:
        super().__init__("http://localhost:1/dicom-web")
        voxels = np.random.default_rng(0).integers(0, 99, (12, 10, 8)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / "source.nii.gz")
        self._slices = ct_series(folder / "source.nii.gz", "case", datetime.datetime(2026, 1, 2))
        self.refused, self.incomplete = set[str](), set[str]()
        self.endless = False
        self.sending = threading.Event()
        self.asked = Counter[str]()

    def images(self, filters: object = None) -> list[Series]:
        return [Series(uid, f"{uid}.9", 8, {"Modality": "CT", "StudyInstanceUID": f"{uid}.9"}) for uid in SERIES]

    def segmentations(self) -> list[Series]:
        return []

    def download(self, series_uid: str, study_uid: str, folder: Path, go_on: Callable[[], bool] = lambda: True) -> None:
        self.asked[series_uid] += 1
        if series_uid in self.refused:
            raise SeriesRefusedError(f"the PACS answered 500 to the series {series_uid}: see its log")
        for index, dataset in enumerate(self._slices):
            if not (series_uid in self.incomplete and index == 3):
                dataset.save_as(folder / f"{index}.dcm", write_like_original=False)
        self.sending.set()
        while self.endless:
            if not go_on():
                raise UnavailableError("not to its end")
            time.sleep(0.01)


class Site:
    """A project on that PACS, whose cases are asked for one by one."""

    def __init__(self, folder: Path, **conf: str) -> None:
        (folder / "studies").mkdir(exist_ok=True)
        conf = {"recipe": str(TINY_RECIPE), "labels": "ball", "device": "cpu", "modality": "CT", **conf}
        self.project = open_project(str(folder), str(folder / "studies"), conf)
        self.pacs, self.cache = HeldUpPacs(folder), folder / "cache"
        self.datastore = PacsDatastore(
            self.pacs,
            SeriesCache(self.pacs, self.cache),
            folder / "view",
            self.project.ledger,
            open_archive(self.project),
            validation_cases=0,
            follow_changes=True,
        )
        self.requests = Requests()
        strategies = host_strategies(self.project)
        self.ahead = ReadAhead(self.project, self.datastore, strategies, self.requests)
        self.actions = CaseActions(self.project, self.datastore, strategies, lambda: None, self.ahead.expect)

    def ask(self, annotator: str = "ann") -> str:
        return str(self.actions.next_sample({"client_id": annotator, "strategy": "random"})["id"])

    def save(self, image_id: str) -> None:
        record_annotation(self.project.ledger, image_id, image_id, "0", "ann")

    def next_of(self, annotator: str = "ann") -> str:
        """Return the case that the annotator would be given next."""
        found = host_strategies(self.project)["random"].look(annotator)
        assert found is not None
        return found.image_id

    def left_in_cache(self) -> list[str]:
        return sorted(path.name for path in self.cache.iterdir() if not path.name.endswith(".lock"))


@pytest.fixture
def make_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Site]]:
    monkeypatch.setattr(pacs_datastore, "LOOK_SECONDS", 3600.0)
    made: list[Site] = []

    def make(**conf: str) -> Site:
        made.append(Site(tmp_path, **conf))
        return made[-1]

    yield make
    for site in made:
        site.pacs.endless = False
        site.ahead.stop()
        site.datastore.close()
        site.project.ledger.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


def test_the_next_question_fetches_and_reads_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    first = site.ask()
    second = site.ahead.read_next("ann", "random")
    assert second is not None
    assert site.pacs.asked == {first: 1, second: 1}
    assert [lease.image_id for lease in site.project.ledger.leases()] == [first], "nobody was given the second one"
    site.save(first)
    monkeypatch.setattr(readability, "read_volume", lambda image: pytest.fail(f"{image} is read again"))
    assert site.ask() == second
    assert site.pacs.asked == {first: 1, second: 1}


def test_what_was_read_ahead_is_not_read_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.ask()
    second = site.ahead.read_next("ann", "random")
    monkeypatch.setattr(readability, "read_volume", lambda image: pytest.fail(f"{image} is read again"))
    assert site.ahead.read_next("ann", "random") == second
    assert max(site.pacs.asked.values()) == 1


def test_an_image_is_prepared_if_there_is_a_model(site: Site) -> None:
    site.ask()
    site.ahead.read_next("ann", "random")
    assert not site.project.prepared_folder.exists()
    site.project.ledger.publish_model("m.pt", "0" * 64, "tiny", ["ball"], {}, [])
    site.ahead.read_next("ann", "random")
    assert len(list(site.project.prepared_folder.glob("*.safetensors"))) == 1


def test_a_series_that_is_refused_is_one_line_and_not_set_aside(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.ask()
    refused = site.next_of()
    site.pacs.refused = {refused}
    with caplog.at_level(logging.WARNING):
        assert [site.ahead.read_next("ann", "random") for _ in range(3)] == [None] * 3
    line = f"{refused} is not read ahead: the PACS answered 500 to the series {refused}: see its log"
    assert [record.getMessage() for record in caplog.records] == [line]
    assert site.project.ledger.images_set_aside() == []
    site.pacs.refused = set()
    assert site.ahead.read_next("ann", "random") == refused


def test_one_that_is_no_volume_is_left_to_the_question_and_the_case_after_it_is_read(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    first = site.ask()
    broken = site.next_of()
    site.pacs.incomplete = {broken}
    with caplog.at_level(logging.WARNING):
        assert site.ahead.read_next("ann", "random") is None
        after = site.ahead.read_next("ann", "random")
    assert [broken in record.getMessage() for record in caplog.records] == [True]
    assert site.project.ledger.images_set_aside() == []
    site.save(first)
    assert site.ask() == after
    assert [image.id for image in site.project.ledger.images_set_aside()] == [broken]


def test_a_thread_reads_the_next_case_of_each_annotator(site: Site) -> None:
    site.ahead.start()
    held = {site.ask("ann"), site.ask("bob")}
    ahead = site.next_of()
    until = time.monotonic() + PATIENCE
    while site.project.ledger.image(ahead).content_sha256 is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert site.pacs.asked == Counter({*held, ahead})


def test_the_end_of_the_server_ends_a_reading_that_leaves_nothing_behind(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    first = site.ask()
    before = site.left_in_cache()
    site.pacs.sending.clear()
    site.pacs.endless = True
    site.ahead.start()
    site.ahead.expect("ann", "random")
    assert site.pacs.sending.wait(PATIENCE)
    with caplog.at_level(logging.WARNING):
        site.ahead.stop()
        for thread in threading.enumerate():
            if thread.name == "read-ahead":
                thread.join(PATIENCE)
    assert "read-ahead" not in {thread.name for thread in threading.enumerate()}
    assert site.left_in_cache() == before == [first, f"{first}.nii.gz"]
    assert caplog.records == []


def test_a_series_that_comes_without_an_end_is_given_up(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.ask()
    second, before = site.next_of(), site.left_in_cache()
    monkeypatch.setattr(reading, "FETCH_SECONDS", 0.1)
    site.pacs.endless = True
    with caplog.at_level(logging.WARNING):
        thread = threading.Thread(target=site.ahead.read_next, args=("ann", "random"))
        thread.start()
        thread.join(PATIENCE)
    assert not thread.is_alive()
    assert [record.getMessage() for record in caplog.records] == [f"{second} is not read ahead: not to its end"]
    assert site.left_in_cache() == before


def test_a_server_that_starts_removes_what_the_one_before_left(make_site: Callable[..., Site], tmp_path: Path) -> None:
    (tmp_path / "cache" / ".unfinished-1.2.0" / "1.2.0").mkdir(parents=True)
    assert make_site().left_in_cache() == []


def test_a_request_for_the_same_series_waits_for_it_and_does_not_fetch_it_too(site: Site) -> None:
    site.ask()
    second = site.next_of()
    site.pacs.sending.clear()
    site.pacs.endless = True
    files: list[Any] = []
    threads = [
        threading.Thread(target=site.ahead.read_next, args=("ann", "random")),
        threading.Thread(target=lambda: files.append(site.datastore.image_files(second))),
    ]
    threads[0].start()
    assert site.pacs.sending.wait(PATIENCE)
    threads[1].start()
    threads[1].join(0.3)  # without the lock it would ask the PACS within this time
    site.pacs.endless = False
    for thread in threads:
        thread.join(PATIENCE)
    assert [one.path.name for one in files] == [f"{second}.nii.gz"]
    assert site.pacs.asked[second] == 1


def test_an_image_that_two_threads_need_is_read_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = site.next_of()
    files = site.datastore.image_files(image_id)
    reads, go_on = threading.Semaphore(0), threading.Event()
    count = Counter[str]()
    read_volume = readability.read_volume

    def counted(image: Any) -> Volume:
        count["reads"] += 1
        reads.release()
        assert go_on.wait(PATIENCE)
        return read_volume(image)

    monkeypatch.setattr(readability, "read_volume", counted)
    ledger = site.project.ledger
    threads = [threading.Thread(target=readability.note_image, args=(image_id, files, ledger)) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert reads.acquire(timeout=PATIENCE)
    reads.acquire(timeout=0.3)  # without the lock both read within this time
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert count["reads"] == 1
    assert ledger.image(image_id).content_sha256 is not None


def test_the_setting_turns_it_off(make_site: Callable[..., Site]) -> None:
    site = make_site(read_ahead="false")
    site.ahead.start()
    first = site.ask()
    assert site.ahead._thread is None
    assert site.pacs.asked == {first: 1}


class Time(threading.Event):
    """A clock that goes on while somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.now += timeout
        return self.is_set()


def test_what_can_wait_begins_a_moment_after_the_last_request() -> None:
    clock = Time()
    requests = Requests(lambda: clock.now)
    with requests.one():
        assert not requests.calm
        clock.now += 5
    assert not requests.calm
    assert requests.give_way(clock)
    assert requests.calm
    assert clock.now == pytest.approx(5 + CALM_SECONDS, abs=0.11)


def test_where_somebody_always_asks_it_begins_after_a_while() -> None:
    clock = Time()
    requests = Requests(lambda: clock.now)
    with requests.one():
        assert requests.give_way(clock)
    assert clock.now == pytest.approx(PATIENCE_SECONDS, abs=0.11)


def test_it_waits_for_nothing_once_it_is_stopped() -> None:
    clock = Time()
    clock.set()
    requests = Requests(lambda: clock.now)
    with requests.one():
        assert not requests.give_way(clock)
    assert clock.now == 0
