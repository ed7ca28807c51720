"""A connection whose machine is gone, or whose process stands still, keeps nobody waiting for long."""

import time
from collections.abc import Callable

import pytest

from activelabel.errors import UnavailableError
from activelabel.store.connection import engines
from activelabel.store.ledger import Ledger


def test_a_writer_that_stands_still_keeps_the_others_waiting_only_so_long(
    new_postgresql: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_postgresql()
    monkeypatch.setitem(engines._SERVER_NOTICING_LOSS, "idle_in_transaction_session_timeout", "1s")
    still, other = Ledger(url), Ledger(url)
    still.open()
    other.open()
    seconds: list[float] = []

    def write_after_another() -> None:
        """Begin to write, stand still until another has written, and go on."""
        with still._writing() as session:
            began = time.monotonic()
            session.connection()
            other.sync_images("ab", 0)
            seconds.append(time.monotonic() - began)
            session.connection().exec_driver_sql("SELECT 1")

    with pytest.raises(UnavailableError, match="does not answer"):
        write_after_another()
    assert 1 <= seconds[0] < 45  # and not the 60 s of a real one; a busy machine takes its time
    still.sync_images("abc", 0)
    assert sorted(other.pool("training")) == ["a", "b", "c"]


def test_both_sides_ask_whether_the_other_is_there(new_postgresql: Callable[..., str]) -> None:
    ledger = Ledger(new_postgresql())
    with ledger._reading() as session:
        connection = session.connection()
        shown = {
            name: connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in (
                "tcp_keepalives_idle",
                "tcp_keepalives_interval",
                "tcp_keepalives_count",
                "idle_in_transaction_session_timeout",
            )
        }
        ours = connection.connection.dbapi_connection
        assert ours is not None
        parameters = ours.info.get_parameters()
    assert shown == {
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
        "idle_in_transaction_session_timeout": "1min",
    }
    assert (parameters["keepalives_idle"], parameters["tcp_user_timeout"]) == ("30", "60000")


def test_a_setting_that_an_older_postgresql_does_not_know_is_left_out(
    new_postgresql: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    later = engines._SERVER_NOTICING_LOSS["idle_in_transaction_session_timeout"]
    monkeypatch.setattr(
        engines,
        "_SERVER_NOTICING_LOSS",
        {"tcp_keepalives_idle": "31s", "tcp_of_a_later_version": "1s", "idle_in_transaction_session_timeout": later},
    )
    ledger = Ledger(new_postgresql())
    with ledger._reading() as session:
        shown = [
            session.connection().exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("tcp_keepalives_idle", "idle_in_transaction_session_timeout")
        ]
    assert shown == ["31", "1min"]


def test_a_setting_with_a_wrong_value_is_not_passed_over(
    new_postgresql: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_SERVER_NOTICING_LOSS", {"tcp_keepalives_idle": "soon"})
    with pytest.raises(Exception, match="tcp_keepalives_idle"):
        Ledger(new_postgresql()).open()
