"""The limit to failed logins, with a clock that stands still."""

from collections.abc import Callable

import pytest

from activelabel.errors import NotLoggedInError, TooManyError
from activelabel.login import attempts
from activelabel.login.attempts import Attempts


def fail(limit: Attempts, name: str, place: str) -> None:
    with pytest.raises(NotLoggedInError), limit.attempt(name, place):
        raise NotLoggedInError("wrong")


def refused(limit: Attempts, name: str, place: str) -> bool:
    try:
        with limit.attempt(name, place):
            return False
    except TooManyError:
        return True


def test_a_name_from_a_place_has_five_and_a_success_gives_them_back(clock: Callable[[], float]) -> None:
    limit = Attempts(clock)
    for _ in range(4):
        fail(limit, "ann", "p1")
    assert not refused(limit, "ann", "p1")
    for _ in range(5):
        fail(limit, "ann", "p1")
    assert refused(limit, "ann", "p1")
    assert not refused(limit, "ann", "p2")
    assert not refused(limit, "bob", "p1")


def test_the_limit_ends_when_the_oldest_failure_is_old_enough(clock: Callable[[], float]) -> None:
    limit = Attempts(clock)
    for _ in range(5):
        fail(limit, "ann", "p1")
        clock.now += 10  # type: ignore[attr-defined]
    with pytest.raises(TooManyError) as told, limit.attempt("ann", "p1"):
        pass
    assert told.value.seconds == 251  # the first was 50 s ago, and counts for 300
    clock.now += 250  # type: ignore[attr-defined]
    assert not refused(limit, "ann", "p1")


def test_a_place_has_thirty_whatever_the_names_and_a_name_fifty_whatever_the_places(
    clock: Callable[[], float],
) -> None:
    limit = Attempts(clock)
    for number in range(attempts.FOR_PLACE):
        fail(limit, f"name {number}", "p1")
    assert refused(limit, "ann", "p1")
    for number in range(attempts.FOR_NAME):
        fail(limit, "ann", f"place {number}")
    assert refused(limit, "ann", "p2")


def test_attempts_in_progress_count_towards_the_limit(clock: Callable[[], float]) -> None:
    limit = Attempts(clock)
    trying = [limit.attempt("ann", "p1") for _ in range(5)]
    for one in trying:
        one.__enter__()
    assert refused(limit, "ann", "p1")
    trying[0].__exit__(None, None, None)
    assert not refused(limit, "ann", "p1")


def test_the_record_of_attempts_stays_bounded(clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_MOST_KEYS", 100)
    limit = Attempts(clock)
    for number in range(300):
        fail(limit, f"name {number}", f"place {number}")
        clock.now += 20  # type: ignore[attr-defined]
    assert len(limit._failed) <= 103
