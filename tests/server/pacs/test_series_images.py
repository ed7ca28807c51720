"""Series that the PACS lists and does not give: each is set aside by itself for a while, as long as it is not the PACS.

Images are read as the parts of a server and its children read them, from a datastore of a PACS that refuses some.
"""

import datetime
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel
import numpy as np
import pytest

from activelabel.annotation.archive import LabelArchive
from activelabel.annotation.history_reader import HistoryReader
from activelabel.errors import InvalidInputError, SetAsideError, UnavailableError
from activelabel.project.setting_aside import set_aside, set_aside_unreadable
from activelabel.server.datastores import pacs as pacs_datastore
from activelabel.server.datastores.pacs import PacsDatastore
from activelabel.server.pacs.client import Pacs, Series, SeriesRefusedError
from activelabel.server.pacs.series_cache import SeriesCache
from activelabel.store.case_states import FinishedBy
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from local_pacs.ct_series import ct_series

SOUND, REFUSED = ["1.1", "1.2"], ["2.1", "2.2", "2.3", "2.4", "2.5", "2.6"]
NOW, LATER = datetime.timedelta(), datetime.timedelta(minutes=11)


class RefusingPacs(Pacs):
    """Stands for a PACS that answers with an error to the requests for some series."""

    def __init__(self, folder: Path) -> None:
        super().__init__("http://localhost:1/dicom-web")
        nibabel.save(nibabel.Nifti1Image(np.ones((5, 4, 3), np.int16), np.eye(4)), folder / "source.nii.gz")
        self.slices = ct_series(folder / "source.nii.gz", "case", datetime.datetime(2026, 1, 2))
        self.refused = set(REFUSED)
        self.asked = Counter[str]()

    def images(self, filters: object = None) -> list[Series]:
        info = {"Modality": "CT", "StudyInstanceUID": "1.9"}
        return [Series(uid, "1.9", 3, info) for uid in [*SOUND, *REFUSED]]

    def segmentations(self) -> list[Series]:
        return []

    def download(self, series_uid: str, study_uid: str, folder: Path, go_on: Callable[[], bool] = lambda: True) -> None:
        self.asked[series_uid] += 1
        if series_uid in self.refused:
            raise SeriesRefusedError(f"the PACS answered 500 to the series {series_uid}: see its log")
        for index, dataset in enumerate(self.slices):
            dataset.save_as(folder / f"{index}.dcm", write_like_original=False)


class Clock:
    """The time of the ledger, which a test can put forward."""

    def __init__(self) -> None:
        self.ahead = NOW

    def __call__(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.timezone.utc) + self.ahead


class Site:
    """A project on that PACS."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pacs = RefusingPacs(folder)
        self.clock = Clock()
        self.ledger = Ledger(sqlite_url(folder / "ledger.sqlite"), clock=self.clock)
        self.server = self.open(follow_changes=True)
        self.server.json()  # writes the listing, which children read

    def open(self, *, follow_changes: bool) -> PacsDatastore:
        """Open the datastore as a server or one of its children does."""
        reader = HistoryReader(self.ledger, ("liver",), self.folder / "labels", self.folder / "predictions", False)
        return PacsDatastore(
            self.pacs,
            SeriesCache(self.pacs, self.folder / "cache"),
            self.folder / "view",
            self.ledger,
            LabelArchive(self.ledger, reader, "acquisition", FinishedBy.SAVING),
            validation_cases=0,
            follow_changes=follow_changes,
        )

    def is_left_out(self, images: PacsDatastore, image_id: str) -> bool:
        """Whether a sampling, scoring or training goes on without an image."""
        return set_aside_unreadable(image_id, images, self.ledger, was_scored=False)

    def aside(self) -> list[str]:
        return [image.id for image in self.ledger.images_set_aside()]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(pacs_datastore, "LOOK_SECONDS", 3600.0)  # tests call for a look themselves
    made = Site(tmp_path)
    yield made
    made.server.close()
    made.ledger.close()


def test_a_series_that_the_pacs_refuses_is_set_aside_once_and_the_others_go_on(site: Site) -> None:
    for refused, sound in zip(REFUSED, [*SOUND, *SOUND, *SOUND], strict=True):
        assert site.is_left_out(site.server, refused)
        assert not site.is_left_out(site.server, sound)
    assert site.aside() == REFUSED
    assert "answered 500 to the series 2.1" in (site.ledger.image("2.1").unreadable_reason or "")
    assert [site.pacs.asked[uid] for uid in REFUSED] == [1] * 6, "nothing is fetched for a stamp"


def test_a_series_that_is_no_volume_is_fetched_once_and_keeps_its_reason(site: Site) -> None:
    site.pacs.slices[2].ImagePositionPatient = [0, 0, 77]
    assert site.is_left_out(site.server, SOUND[0])
    assert "even spacing" in (site.ledger.image(SOUND[0]).unreadable_reason or "")
    assert site.pacs.asked[SOUND[0]] == 1


def test_a_pacs_that_refuses_everything_takes_no_more_than_two_images_whatever_is_read_in_between(site: Site) -> None:
    assert not site.is_left_out(site.server, SOUND[0])
    site.pacs.refused |= {*SOUND}
    assert [site.is_left_out(site.server, refused) for refused in REFUSED[:2]] == [True, True]
    for _ in range(2):
        for refused in REFUSED[2:]:
            with pytest.raises(UnavailableError, match=f"answered 500 to the series {refused}"):
                site.is_left_out(site.server, refused)
            assert not site.is_left_out(site.server, SOUND[0]), "it was fetched before, and nobody asks the PACS"
    assert site.aside() == REFUSED[:2]


def test_threads_that_read_at_once_set_no_more_aside(site: Site) -> None:
    site.pacs.refused |= {*SOUND}
    with ThreadPoolExecutor(len(REFUSED)) as threads:
        tried = [threads.submit(site.is_left_out, site.server, refused) for refused in REFUSED]
    errors = [error for one in tried if (error := one.exception()) is not None]
    assert len(errors) == len(REFUSED) - 2
    assert all(isinstance(error, UnavailableError) for error in errors)
    assert len(site.aside()) == 2


def test_series_that_alone_are_refused_do_not_stop_the_others_that_were_fetched_before(site: Site) -> None:
    assert not site.is_left_out(site.server, SOUND[0])
    assert all(site.is_left_out(site.server, refused) for refused in REFUSED)
    assert site.aside() == REFUSED
    assert site.pacs.asked[SOUND[0]] == 3, "fetched, and tried again at the third and at the sixth that were refused"


def test_what_a_child_found_refused_comes_back_after_ten_minutes_also_with_another_server(site: Site) -> None:
    site.clock.ahead = -LATER
    assert site.is_left_out(site.open(follow_changes=False), REFUSED[0])
    site.clock.ahead = NOW
    assert site.is_left_out(site.open(follow_changes=False), REFUSED[1])
    site.pacs.refused.clear()
    site.server.close()
    site.server = site.open(follow_changes=True)
    assert site.aside() == REFUSED[1:2], "it was refused just now"
    assert not site.is_left_out(site.open(follow_changes=False), REFUSED[0])


def test_another_reason_that_was_noted_meanwhile_stays(site: Site) -> None:
    site.clock.ahead = -LATER
    assert all(site.is_left_out(site.server, refused) for refused in REFUSED[:2])
    site.pacs.refused.clear()
    set_aside(REFUSED[0], InvalidInputError("its label does not fit it"), site.ledger, site.server)
    site.server.refresh()
    assert site.aside() == REFUSED[:1]
    assert site.ledger.image(REFUSED[0]).unreadable_reason == "its label does not fit it"


def test_who_opens_a_refused_series_is_told_that_it_is_set_aside(site: Site) -> None:
    with pytest.raises(SetAsideError, match=r"answered 500 to the series 2\.1: see its log; it is set aside, ask for"):
        site.server.get_image_uri(REFUSED[0])


def test_series_that_were_read_ahead_are_given_too(site: Site) -> None:
    for refused, ahead in zip(REFUSED, SOUND, strict=False):
        assert site.is_left_out(site.server, refused)
        site.server.fetch(ahead, lambda: True)
    assert site.is_left_out(site.server, REFUSED[2])
    assert site.pacs.asked == Counter([*SOUND, *REFUSED[:3]]), "nothing was fetched to see whether the PACS works"
