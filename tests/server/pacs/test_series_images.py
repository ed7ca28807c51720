"""Series that the PACS lists and does not give: each is set aside by itself, as long as it is not the PACS."""

import datetime
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest

from activelabel.data.files.channels import ONE_CHANNEL
from activelabel.errors import InvalidInputError, UnavailableError
from activelabel.server.pacs import series_images
from activelabel.server.pacs.channel_series import Grouped, SeriesRule
from activelabel.server.pacs.client import SeriesRefusedError
from activelabel.server.pacs.series_cache import SeriesCache
from activelabel.server.pacs.series_images import SeriesImages
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from local_pacs.ct_series import ct_series

SOUND, REFUSED = ["1.1", "1.2"], ["2.1", "2.2", "2.3", "2.4"]


class Archive:
    """Stands for a PACS that answers with an error to the requests for some series."""

    def __init__(self, folder: Path) -> None:
        nibabel.save(nibabel.Nifti1Image(np.ones((5, 4, 3), np.int16), np.eye(4)), folder / "source.nii.gz")
        self.slices = ct_series(folder / "source.nii.gz", "case", datetime.datetime(2026, 1, 2))
        self.refused = set(REFUSED)

    def download(self, series_uid: str, study_uid: str, folder: Path) -> None:
        if series_uid in self.refused:
            raise SeriesRefusedError(f"the PACS answered 500 to the series {series_uid}: see its log")
        for index, dataset in enumerate(self.slices):
            dataset.save_as(folder / f"{index}.dcm", write_like_original=False)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    opened.sync_images([*SOUND, *REFUSED], 0)
    yield opened
    opened.close()


@pytest.fixture
def images(archive: Archive, ledger: Ledger, tmp_path: Path) -> SeriesImages:
    cache = SeriesCache(archive, tmp_path / "cache")
    return SeriesImages(archive, cache, SeriesRule(ONE_CHANNEL, ()), ledger, lambda uid: {"StudyInstanceUID": "1.9"})


def set_aside(ledger: Ledger) -> list[str]:
    return [image.id for image in ledger.images_set_aside()]


def test_a_series_that_the_pacs_refuses_is_set_aside_and_the_others_go_on(images: SeriesImages, ledger: Ledger) -> None:
    for refused, sound in zip(REFUSED, [*SOUND, *SOUND], strict=True):
        with pytest.raises(InvalidInputError, match=r"answered 500 to the series 2\.\d: see its log; it is set aside"):
            images.volume(refused)
        assert images.volume(sound).is_file()
    assert set_aside(ledger) == REFUSED


def test_after_several_in_a_row_it_is_the_pacs_and_none_more_is_set_aside(images: SeriesImages, ledger: Ledger) -> None:
    for refused in REFUSED[:2]:
        with pytest.raises(InvalidInputError):
            images.volume(refused)
    with pytest.raises(UnavailableError, match=r"answered 500 to the series 2\.3"):
        images.volume(REFUSED[2])
    assert set_aside(ledger) == REFUSED[:2]


def test_a_refused_series_is_asked_for_again_after_a_while(
    images: SeriesImages, archive: Archive, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidInputError):
        images.volume(REFUSED[0])
    images.take_over(Grouped({}, {}), ())
    assert set_aside(ledger) == REFUSED[:1]
    monkeypatch.setattr(series_images, "TRIED_AGAIN_SECONDS", 0.0)
    images.take_over(Grouped({}, {}), ())
    assert set_aside(ledger) == []
    archive.refused.clear()
    assert images.volume(REFUSED[0]).is_file()
