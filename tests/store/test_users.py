"""Users and their sessions, on both databases."""

from datetime import timedelta

import pytest

from activelabel.errors import InvalidInputError, NotFoundError

HOUR = timedelta(hours=1)


@pytest.fixture
def with_ann(ledger):
    ledger.add_user("ann", "annotator", "hash 1")
    return ledger


def test_a_user_is_added_once_whatever_the_letters(with_ann, clock):
    (ann,) = with_ann.users()
    assert (ann.name, ann.role, ann.password_hash, ann.created_at) == ("ann", "annotator", "hash 1", clock.now)
    assert "hash 1" not in repr(ann)
    with pytest.raises(InvalidInputError, match="there is a user 'ann' already"):
        with_ann.add_user("Ann", "admin", "hash 2")
    assert with_ann.users() == [ann]


@pytest.mark.parametrize("name", ["", " ann", "ann ", "a:b", "a\nb", "x" * 256])
def test_a_name_that_http_or_a_line_cannot_hold_is_refused(ledger, name):
    with pytest.raises(InvalidInputError, match="user"):
        ledger.add_user(name, "annotator", "hash")
    assert not ledger.has_users()


def test_a_session_lasts_as_long_as_it_was_opened_for(with_ann, clock):
    until = with_ann.begin_session("t1", "ann", HOUR)
    assert until == clock.now + HOUR
    found = with_ann.login_session("t1", by_provider=False)
    assert (found.user_name, found.role, found.expires_at) == ("ann", "annotator", until)
    clock.advance(60)
    assert with_ann.login_session("t1", by_provider=False) is None


def test_a_session_ends_with_logout_removal_and_another_password(with_ann):
    for ends in (
        lambda: with_ann.end_session("t1"),
        lambda: with_ann.set_password_hash("ann", "hash 2"),
        lambda: with_ann.end_sessions("ann"),
        lambda: with_ann.remove_user("ann"),
    ):
        with_ann.begin_session("t1", "ann", HOUR)
        assert with_ann.login_session("t1", by_provider=False) is not None
        ends()
        assert with_ann.login_session("t1", by_provider=False) is None
    assert with_ann.users() == []


def test_a_new_user_of_an_old_name_does_not_find_the_old_ones_sessions(with_ann):
    with_ann.begin_session("t1", "ann", HOUR)
    with_ann.remove_user("ann")
    with_ann.add_user("ann", "admin", "hash")
    assert with_ann.login_session("t1", by_provider=False) is None


def test_a_changed_role_holds_for_sessions_that_go_on(with_ann):
    with_ann.begin_session("t1", "ann", HOUR)
    with_ann.set_user_role("ann", "manager")
    assert with_ann.login_session("t1", by_provider=False).role == "manager"


def test_sessions_of_users_and_of_a_providers_people_do_not_count_for_each_other(with_ann):
    with_ann.begin_session("t1", "ann", HOUR)
    with_ann.begin_session("t2", "ann", HOUR, "admin")
    assert with_ann.login_session("t1", by_provider=True) is None
    assert with_ann.login_session("t2", by_provider=False) is None
    assert with_ann.login_session("t2", by_provider=True).role == "admin"


def test_expired_sessions_are_forgotten_with_the_next_login(with_ann, clock):
    with_ann.begin_session("t1", "ann", HOUR)
    clock.advance(61)
    with_ann.begin_session("t2", "ann", HOUR)
    assert with_ann.end_sessions("ann") == 1


def test_a_session_that_is_used_goes_on_but_not_for_ever(with_ann, clock):
    idle, lasts, began = timedelta(minutes=30), timedelta(minutes=70), clock.now
    with_ann.begin_session("t1", "ann", idle)
    for _ in range(2):
        clock.advance(25)
        with_ann.prolong_session("t1", idle, lasts)
        assert with_ann.login_session("t1", by_provider=False).expires_at == min(clock.now + idle, began + lasts)
    clock.advance(19)
    with_ann.prolong_session("t1", idle, lasts)
    assert with_ann.login_session("t1", by_provider=False) is not None
    clock.advance(1)
    assert with_ann.login_session("t1", by_provider=False) is None


def test_an_idle_session_ends_and_does_not_come_back(with_ann, clock):
    idle, lasts = timedelta(minutes=30), timedelta(hours=12)
    with_ann.begin_session("t1", "ann", idle)
    clock.advance(30)
    with_ann.prolong_session("t1", idle, lasts)
    assert with_ann.login_session("t1", by_provider=False) is None
    with_ann.prolong_session("unknown", idle, lasts)


def test_requests_within_a_thirtieth_of_the_idle_time_write_nothing(with_ann, clock):
    idle = timedelta(minutes=60)
    with_ann.begin_session("t1", "ann", idle)
    ends = clock.now + idle
    clock.advance(1.9)
    with_ann.prolong_session("t1", idle, timedelta(hours=12))
    assert with_ann.login_session("t1", by_provider=False).expires_at == ends
    clock.advance(0.2)
    with_ann.prolong_session("t1", idle, timedelta(hours=12))
    assert with_ann.login_session("t1", by_provider=False).expires_at == clock.now + idle


def test_an_unknown_user_is_named_together_with_the_known_ones(with_ann):
    for act in (
        lambda: with_ann.remove_user("bob"),
        lambda: with_ann.set_password_hash("bob", "h"),
        lambda: with_ann.set_user_role("bob", "admin"),
    ):
        with pytest.raises(NotFoundError, match="user 'bob': there is none; there are: ann"):
            act()
