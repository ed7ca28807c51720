"""Scores written behind: all are kept, several images in one transaction, and errors reach whoever adds."""

import threading
import time
from collections.abc import Sequence

import pytest

from activelabel.acquisition.score import ImageScores, Score
from activelabel.loop import written_behind
from activelabel.loop.written_behind import ScoresBehind

SCORES = [Score("entropy", "everything", "total", 1.5)]


class Notes:
    """The part of a ledger that is used; it fails at the image `bad`."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()

    def record_scores_of_images(self, model_version: int, images: Sequence[ImageScores], seed: int) -> None:
        assert (model_version, seed) == (3, 7)
        self.threads.add(threading.get_ident())
        if any(image.image_id == "bad" for image in images):
            raise ValueError("cannot be written")
        assert all(image.scores == tuple(SCORES) and image.repeats == 5 for image in images)
        self.batches.append([image.image_id for image in images])


@pytest.fixture
def notes() -> Notes:
    return Notes()


def behind(notes: Notes) -> ScoresBehind:
    return ScoresBehind(notes, 3, 7)  # type: ignore[arg-type]


def add(notes: Notes, name: str, times: int, then: BaseException | None = None) -> None:
    with behind(notes) as written:
        for _ in range(times):
            written.add(name, SCORES, 5)
        if then is not None:
            raise then


def test_all_scores_are_written_in_order_by_one_other_thread_and_together(notes: Notes) -> None:
    names = [f"image {number}" for number in range(30)]
    with behind(notes) as written:
        for name in names:
            written.add(name, SCORES, 5)
    assert [name for batch in notes.batches for name in batch] == names
    assert len(notes.batches) < 5
    assert len(notes.threads) == 1
    assert threading.get_ident() not in notes.threads


def test_scores_are_written_while_others_are_computed(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written_behind, "WAIT_SECONDS", 0.01)
    with behind(notes) as written:
        written.add("a", SCORES, 5)
        deadline = time.monotonic() + 60
        while not notes.batches and time.monotonic() < deadline:
            time.sleep(0.005)
        assert notes.batches == [["a"]]


def test_what_was_added_is_written_when_the_work_fails(notes: Notes) -> None:
    with pytest.raises(KeyboardInterrupt):
        add(notes, "a", 1, then=KeyboardInterrupt())
    assert notes.batches == [["a"]]


def test_what_writing_raises_is_raised_where_scores_are_added_or_at_the_end(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        add(notes, "bad", 1)
    monkeypatch.setattr(written_behind, "WAIT_SECONDS", 0.0)
    with pytest.raises(ValueError, match="cannot be written"):
        add(notes, "bad", 100_000)
