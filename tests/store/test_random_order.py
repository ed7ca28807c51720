"""Training images in the order that a seed fixes: as every earlier version drew them, from an index."""

import hashlib
import time

import pytest
from alembic import command
from recorded import record_annotation
from sqlalchemy import create_engine, inspect, text

from activelabel.acquisition.selection import random_place
from activelabel.server.actions.autopilot import leading
from activelabel.store import migration, random_order
from activelabel.store.connection.location import checked_url
from activelabel.store.ledger import Ledger

NAMES = [f"case {number} ä" for number in range(700)]
"""More than the first pages of the order together, which have 20 and 200."""


def in_order(names, seed):
    """Return the names in the order of their whole digests, as every version since the first has drawn them."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).hexdigest())


def refuse_pool(role):
    raise AssertionError(f"the whole pool of {role} images is read")


@pytest.fixture
def seeded(empty_url, clock):
    """Return a ledger of a seed; all of a test are of one database."""
    made = []

    def ledger(seed):
        made.append(Ledger(empty_url, clock, seed=seed))
        return made[-1]

    yield ledger
    for one in made:
        one.close()


def test_the_order_is_the_one_of_every_earlier_version(seeded, monkeypatch):
    ledger = seeded(7)
    ledger.sync_images("abcdefgh", 0)
    monkeypatch.setattr(ledger, "pool", refuse_pool)
    assert list(ledger.training_pool_at_random()) == list("ceafdhgb")


def test_pages_make_one_order_of_what_may_be_asked_for(seeded, monkeypatch):
    ledger = seeded(3)
    ledger.sync_images([*NAMES, "gone"], validation_cases=100)
    ledger.sync_images(NAMES, validation_cases=100)
    free = ledger.pool("training")
    assert len(free) == 600
    first, *others = in_order(free, 3)
    record_annotation(ledger, first, "f", "0", "ann")
    ledger.mark_unreadable(others[4], "truncated")
    ledger.grant_lease("ann", others[30], 30, "random")
    ledger.skip_case("ann", "cannot be annotated", "another organ")
    ledger.grant_lease("ann", others[300], 30, "random")
    left = [name for place, name in enumerate(others) if place not in (4, 30, 300)]
    assert in_order(ledger.pool("training"), 3) == left
    monkeypatch.setattr(ledger, "pool", refuse_pool)
    assert list(ledger.training_pool_at_random()) == left


def test_an_image_that_comes_later_has_its_place(seeded, monkeypatch):
    ledger = seeded(0)
    ledger.sync_images("acdef", 0)
    ledger.sync_changed("bgh", "", 0)
    monkeypatch.setattr(ledger, "pool", refuse_pool)
    assert list(ledger.training_pool_at_random()) == list("hfgdacbe")


def test_a_ledger_without_places_gives_the_same_order_before_and_after_it_gets_them(new_url, monkeypatch):
    engine = create_engine(checked_url(new_url))
    with engine.begin() as connection:
        command.upgrade(migration.scripts_config(connection), "0022")
        connection.execute(
            text(
                "INSERT INTO images (id, added_at, role, present, leased_whole) "
                "VALUES (:id, '2026-01-01 12:00:00', 'training', TRUE, TRUE)"
            ),
            [{"id": name} for name in NAMES],
        )
    engine.dispose()
    ledger = Ledger(new_url, seed=5)
    assert list(ledger.training_pool_at_random()) == in_order(NAMES, 5)
    ledger.sync_images([*NAMES, "new"], 0)
    assert list(ledger.training_pool_at_random()) == in_order([*NAMES, "new"], 5), "one alone has a place"
    ledger.order_at_random()
    monkeypatch.setattr(ledger, "pool", refuse_pool)
    assert list(ledger.training_pool_at_random()) == in_order([*NAMES, "new"], 5)
    ledger.close()


def test_a_ledger_that_another_seed_orders_gives_each_seed_its_own_order(seeded, monkeypatch):
    one, other = seeded(1), seeded(2)
    one.sync_images(NAMES, 0)
    started = one.training_pool_at_random()
    first = [next(started) for _ in range(30)]
    other.order_at_random()
    assert list(other.training_pool_at_random()) == in_order(NAMES, 2)
    assert [*first, *started] == in_order(NAMES, 1), "also where the seed changes meanwhile"
    one.sync_changed(["late"], (), 0)  # with the place of its own seed
    assert list(other.training_pool_at_random()) == in_order([*NAMES, "late"], 2)
    assert list(one.training_pool_at_random()) == in_order([*NAMES, "late"], 1)
    other.order_at_random()
    monkeypatch.setattr(other, "pool", refuse_pool)
    assert list(other.training_pool_at_random()) == in_order([*NAMES, "late"], 2)


def test_whose_seed_the_ledger_has_is_said_and_only_the_server_that_leads_changes_it(seeded, empty_url, caplog):
    one, other = seeded(7), seeded(3)
    one.order_at_random()
    one.sync_images(NAMES, 0)
    assert one.lead()
    one.order_at_random()
    assert caplog.messages == []
    other.order_at_random()
    (line,) = caplog.messages
    assert line.startswith("--conf seed 3: the images of ")
    if empty_url.startswith("sqlite"):
        assert "were in the random order of seed 7 and are brought into that of 3: " in line
        return
    assert "are in the random order of seed 7, of another server that runs: start all servers with one seed" in line
    with other._reading() as session:
        assert session.scalar(random_order._COUNT, {"seed": 3}) == len(NAMES), "none has a place by this seed"
    one.close()
    assert other.lead()
    other.order_at_random()
    assert "were in the random order of seed 7 and are brought into that of 3: " in caplog.messages[-1]
    with other._reading() as session:
        assert session.scalar(random_order._COUNT, {"seed": 3}) == 0
    other.order_at_random()
    assert len(caplog.messages) == 2


def test_a_server_that_orders_by_its_seed_at_its_start_does_not_keep_the_lead(seeded, empty_url, caplog):
    front, second = seeded(7), seeded(3)
    second.order_at_random()
    second.sync_images(NAMES, 0)
    front.order_at_random()
    assert "and are brought into that of 7: " in caplog.messages[-1]
    second.order_at_random()  # its start: the front leads nobody
    assert "and are brought into that of 3: " in caplog.messages[-1]
    assert second.lead()
    if not empty_url.startswith("sqlite"):
        assert not front.lead()
        front.order_at_random()
        assert "of another server that runs" in caplog.messages[-1]
        second.order_at_random()
        assert not front.lead(), "who led before its order leads on"
    with second._reading() as session:
        assert session.scalar(random_order._COUNT, {"seed": 3}) == 0


def test_a_server_that_comes_to_lead_brings_the_images_into_its_order(seeded, empty_url, caplog):
    if empty_url.startswith("sqlite"):
        pytest.skip("an SQLite ledger has one server, which orders at its start")
    first, second = seeded(7), seeded(3)
    first.sync_images(NAMES, 0)
    assert first.lead()
    may_act = leading(second)
    second.order_at_random()
    assert not may_act()
    assert len(caplog.messages) == 1
    first.close()
    deadline = time.monotonic() + 60
    while not may_act():  # the database notices that the connection is closed
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "and are brought into that of 3: " in caplog.messages[-1]
    with second._reading() as session:
        assert session.scalar(random_order._COUNT, {"seed": 3}) == 0


def test_other_servers_of_postgresql_wait_for_some_images_to_get_their_places_not_for_all(
    seeded, empty_url, monkeypatch
):
    at_once = 200
    monkeypatch.setattr(random_order, "_SOME", random_order._SOME.limit(at_once))
    seeded(1).sync_images(NAMES, 0)
    ledger, other = seeded(2), seeded(2)
    other.open()
    placed, kept = [], []

    def place(image_id, seed):
        if len(placed) % at_once == 0:
            with other._reading() as session:
                kept.append(len(NAMES) - session.scalar(random_order._COUNT, {"seed": 2}))
        placed.append(image_id)
        return random_place(image_id, seed)

    monkeypatch.setattr(random_order, "random_place", place)
    ledger.order_at_random()
    assert placed == sorted(NAMES)
    assert kept == ([0, 0, 0, 0] if empty_url.startswith("sqlite") else [0, 200, 400, 600])


def test_an_index_that_is_made_after_many_rows_is_there_again(seeded, empty_url, monkeypatch):
    monkeypatch.setattr(random_order, "_MANY", 100)
    seeded(1).sync_images(NAMES, 0)
    ledger = seeded(2)
    ledger.order_at_random()
    engine = create_engine(checked_url(empty_url))
    assert "ix_images_random_place" in {index["name"] for index in inspect(engine).get_indexes("images")}
    engine.dispose()
    monkeypatch.setattr(ledger, "pool", refuse_pool)
    assert list(ledger.training_pool_at_random()) == in_order(NAMES, 2)
