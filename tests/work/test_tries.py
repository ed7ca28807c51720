"""Images that a worker cannot get: a try counts only while others can be had, and what was refused comes back."""

from pathlib import Path
from typing import Any

import pytest

from activelabel.data.files.image_files import ImageFiles
from activelabel.errors import UnavailableError
from activelabel.loop.passing_over import PassedOverError, PassingOver
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from activelabel.work.tries import RARELY_SECONDS, SERVER_TRIES, Tries


class Shelf:
    """Images of a server: it is down, or does not give some of them."""

    def __init__(self) -> None:
        self.is_down = False
        self.broken: set[str] = set()
        self.asked: list[str] = []

    def image_files(self, image_id: str) -> ImageFiles:
        self.asked.append(image_id)
        if self.is_down or image_id in self.broken:
            raise UnavailableError(f"image '{image_id}': no answer")
        return ImageFiles(Path(__file__))

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        return {}


class Turns:
    """The turns of a worker."""

    def __init__(self, ledger: Ledger) -> None:
        self.shelf = Shelf()
        self.passing = PassingOver(self.shelf)
        self.tries = Tries(ledger, self.shelf, self.passing)
        self.got: list[str] = []

    def take(self, *wanted: str) -> bool:
        """One turn with what is left; whether some are to be tried again."""
        self.passing.begin()
        for image_id in wanted:
            if image_id not in self.passing.failed:
                try:
                    self.passing.image_files(image_id)
                    self.got.append(image_id)
                except PassedOverError:
                    continue
        return self.tries.after_turn(any_done=False, until_done=True)


@pytest.fixture
def turns(tmp_path: Path) -> Turns:
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    ledger.open()
    ledger.sync_images(["a", "b", "c"], 0)
    return Turns(ledger)


def test_while_a_server_is_down_no_image_is_left_to_others(turns: Turns) -> None:
    turns.take("c")
    turns.shelf.is_down = True
    for _ in range(3 * SERVER_TRIES):
        assert turns.take("a", "b")
    assert turns.tries.left_to_others == {}
    turns.shelf.is_down = False
    assert not turns.take("a", "b")
    assert turns.got == ["c", "a", "b"]


def test_an_image_that_is_not_given_is_left_to_others_while_others_are_given_although_none_of_them_is_left(
    turns: Turns,
) -> None:
    turns.shelf.broken = {"a"}
    for _ in range(SERVER_TRIES - 1):
        assert turns.take("a")
        assert turns.tries.left_to_others == {}
    assert not turns.take("a")
    assert turns.tries.left_to_others.keys() == {"a"}


def test_an_image_that_was_given_meanwhile_is_counted_anew(turns: Turns) -> None:
    turns.shelf.broken = {"a"}
    for _ in range(SERVER_TRIES - 1):
        turns.take("a", "b")
    turns.shelf.broken = set()
    turns.take("a")
    turns.shelf.broken = {"a"}
    for _ in range(SERVER_TRIES - 1):
        assert turns.take("a", "b")
    assert turns.tries.left_to_others == {}
    turns.take("a", "b")
    assert turns.tries.left_to_others.keys() == {"a"}


def test_what_was_refused_is_tried_again_once_a_server_is_back(turns: Turns) -> None:
    turns.shelf.broken = {"a"}
    for _ in range(SERVER_TRIES):
        turns.take("a", "b")
    assert turns.tries.left_to_others.keys() == {"a"}
    turns.shelf.is_down, turns.shelf.broken = True, set()
    assert turns.take("a", "b")
    turns.shelf.is_down = False
    assert turns.take("a", "b")  # a comes with the next turn
    assert turns.tries.left_to_others == {}
    turns.take("a")
    assert turns.got[-2:] == ["b", "a"]


def test_what_was_refused_is_tried_again_after_a_while(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("activelabel.work.tries.time.monotonic", lambda: now[0])
    turns.shelf.broken = {"a"}
    for _ in range(SERVER_TRIES):
        turns.take("a", "b")
    turns.shelf.broken = set()
    now[0] = RARELY_SECONDS - 1
    assert not turns.take("a")
    now[0] = RARELY_SECONDS
    assert turns.take("a")
    assert not turns.take("a")
    assert turns.got[-1] == "a"


def test_another_image_is_asked_for_each_time_to_see_whether_others_can_be_had(turns: Turns) -> None:
    turns.shelf.is_down = True
    for _ in range(4):
        turns.take("b")
    assert turns.shelf.asked == ["b", "a", "b", "c", "b", "a", "b", "c"]


def test_where_no_other_image_is_none_is_asked_for(turns: Turns) -> None:
    turns.shelf.broken = {"a", "b", "c"}
    turns.passing.failed.update({one: UnavailableError("no answer") for one in "ac"})
    assert turns.take("b")
    assert turns.shelf.asked == ["b"]
