"""The token by which a worker lets itself in: who may write the ledger needs no password."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from activelabel.errors import InvalidInputError, NotLoggedInError
from activelabel.login import worker_passes
from activelabel.login.accounts import Sessions, SessionTimes
from activelabel.login.identity import Identity, Role
from activelabel.login.worker_passes import WorkerPass
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

TIMES = SessionTimes(timedelta(hours=1))


class Hours:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> datetime:
        return datetime(2026, 11, 29, tzinfo=timezone.utc) + timedelta(hours=self.now)


@pytest.fixture
def hours() -> Hours:
    return Hours()


@pytest.fixture
def ledger(tmp_path: Path, hours: Hours) -> Ledger:
    return Ledger(sqlite_url(tmp_path / "ledger.sqlite"), clock=hours)


@pytest.mark.parametrize("by_provider", [False, True])
def test_a_token_that_a_worker_has_put_into_the_ledger_is_a_workers_until_it_expires(
    ledger: Ledger, hours: Hours, by_provider: bool
) -> None:
    token, sessions = WorkerPass(ledger)(), Sessions(ledger, TIMES, by_provider=by_provider)
    assert sessions.find(token) == Identity("worker", Role.WORKER)
    hours.now = 11.9
    assert sessions.find(token).role is Role.WORKER
    hours.now = 12.1
    with pytest.raises(NotLoggedInError):
        sessions.find(token)


def test_a_token_is_made_once_an_hour_and_the_earlier_one_is_valid_meanwhile(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(worker_passes.time, "monotonic", lambda: now[0])
    token, sessions = WorkerPass(ledger), Sessions(ledger, TIMES, by_provider=False)
    first = token()
    now[0] = 3599
    assert token() == first
    now[0] = 3601
    assert token() != first
    assert sessions.find(first).role is sessions.find(token()).role is Role.WORKER


def test_nobody_can_be_called_as_a_workers_session_is(ledger: Ledger) -> None:
    with pytest.raises(InvalidInputError, match="without a colon"):
        ledger.begin_session("digest", ":worker", timedelta(hours=1))
    with pytest.raises(InvalidInputError, match="without a colon"):
        ledger.add_user(":worker", "annotator", "hash")


def test_workers_remove_the_expired_sessions_of_workers_and_those_only(ledger: Ledger, hours: Hours) -> None:
    ledger.add_user("ann", "annotator", "hash")
    ledger.begin_session("of ann", "ann", timedelta(hours=1))
    WorkerPass(ledger)()
    hours.now = 20
    WorkerPass(ledger)()
    hours.now = 0
    assert ledger.end_sessions(":worker") == 1
    assert ledger.login_session("of ann", by_provider=False) is not None
