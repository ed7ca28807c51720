"""Labels that come at the same moment, and the records beside them."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from activelabel.errors import UnavailableError
from activelabel.project.labels import record_files
from activelabel.project.labels.record_files import keep_with_records
from activelabel.store.cases.case_records import RecordsByFile
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., None]:
    """Keeps a label of an image by a function."""
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))

    def keep_by(image_id: str, change: Callable[[], object]) -> None:
        def recorded() -> tuple[None, RecordsByFile]:
            change()
            return None, {}

        keep_with_records(ledger, tmp_path / "labels", image_id, recorded)

    return keep_by


def test_labels_of_two_images_wait_for_the_ledger_at_the_same_time(keep: Callable[..., None]) -> None:
    both_wait = threading.Barrier(2)
    with ThreadPoolExecutor(2) as threads:
        saves = [threads.submit(keep, image, lambda: both_wait.wait(120)) for image in ("a", "b")]
        for save in saves:
            save.result()


def test_labels_of_one_image_are_recorded_one_after_the_other(keep: Callable[..., None]) -> None:
    first_began, second_began, first_ends = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        first_began.set()
        assert first_ends.wait(120)
        assert not second_began.is_set()

    with ThreadPoolExecutor(2) as threads:
        saves = [threads.submit(keep, "a", first)]
        assert first_began.wait(120)
        saves.append(threads.submit(keep, "a", second_began.set))
        assert not second_began.wait(0.2)
        first_ends.set()
        for save in saves:
            save.result()
    assert second_began.is_set()


def test_a_label_does_not_wait_for_ever_for_another_one_of_its_image(
    keep: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_files, "PATIENCE_SECONDS", 0.1)
    began, ends = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as threads:
        stuck = threads.submit(keep, "a", lambda: (began.set(), ends.wait(120)))
        try:
            assert began.wait(120)
            with pytest.raises(UnavailableError, match="image 'a': another label of it has been waiting"):
                keep("a", lambda: None)
        finally:
            ends.set()
        stuck.result()
    keep("a", lambda: None)
