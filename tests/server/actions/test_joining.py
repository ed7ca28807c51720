"""A client that has given up waiting, and asks again, has nothing computed twice."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from activelabel.server.actions.joining import Joined, Made

ANSWER_SECONDS = 60
ASKED = 3


class Slow:
    """Makes a file once it is told to."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.calls = 0
        self.begun, self.end = threading.Event(), threading.Event()

    def __call__(self) -> Made:
        self.calls += 1
        self.begun.set()
        assert self.end.wait(ANSWER_SECONDS)
        if self.calls == 1:
            self.file.write_bytes(b"mask")
        return str(self.file), {"model_version": self.calls}


def asked_at_once(joined: Joined, make: Slow, then: Callable[[], None] = lambda: None) -> list[Future[Made]]:
    """Ask several times for the same file, which is ready once all have asked."""
    with ThreadPoolExecutor(ASKED) as pool:
        answers = [pool.submit(joined.make, "key", make)]
        assert make.begun.wait(ANSWER_SECONDS)
        answers += [pool.submit(joined.make, "key", make) for _ in range(ASKED - 1)]
        while len(joined._waiting["key"]) < ASKED:
            threading.Event().wait(0.01)
        then()
        make.end.set()
    return answers


def test_who_asks_for_what_is_being_made_gets_a_copy_of_its_own(tmp_path: Path) -> None:
    joined, make = Joined(), Slow(tmp_path / "made.nii.gz")
    answers = [answer.result() for answer in asked_at_once(joined, make)]
    files = {file for file, _ in answers}
    assert make.calls == 1
    assert len(files) == ASKED
    assert all(file.endswith(".nii.gz") and Path(file).read_bytes() == b"mask" for file in files)
    assert [told for _, told in answers] == [{"model_version": 1}] * ASKED


def test_what_is_made_is_made_again_for_who_asks_later_and_another_key_is_another_file(tmp_path: Path) -> None:
    joined, make = Joined(), Slow(tmp_path / "made.nii.gz")
    asked_at_once(joined, make)
    assert joined.make("key", make)[1] == {"model_version": 2}
    joined, make = Joined(), Slow(tmp_path / "made.nii.gz")
    others: list[Made] = []
    asked_at_once(joined, make, lambda: others.append(joined.make("other", lambda: ("other.nii.gz", {}))))
    assert others == [("other.nii.gz", {})]


def test_what_goes_wrong_goes_wrong_for_all_who_wait_and_is_tried_again(tmp_path: Path) -> None:
    joined, make = Joined(), Slow(tmp_path / "no folder" / "made.nii.gz")
    for answer in asked_at_once(joined, make):
        assert isinstance(answer.exception(), FileNotFoundError)
    assert joined.make("key", make)[1] == {"model_version": 2}
