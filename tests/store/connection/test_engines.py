"""What connections are told at their beginning, beside what notices a lost machine (`test_lost_machines`)."""

from collections.abc import Callable

from activelabel.store.ledger import Ledger


def test_postgresql_prepares_for_short_statements(new_postgresql: Callable[..., str]) -> None:
    with Ledger(new_postgresql())._reading() as session:
        connection = session.connection()
        names = ("jit", "max_parallel_workers_per_gather")
        assert [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names] == ["off", "0"]
