from datetime import timedelta

import pytest
from recorded import record_annotation

from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.store.cases.skips import NOT_NOW


def test_a_lease_says_what_was_asked_of_whom_and_why(study, clock):
    study.publish_model("m.pt", "0", "quick", ["liver"], {}, [])
    lease = study.grant_lease(
        "ann", "a", 30, "variance", slices=[4, 2], model_version=1, score=0.5, reason="the least certain"
    )
    assert (lease.image_id, lease.annotator, lease.strategy) == ("a", "ann", "variance")
    assert (lease.slices, lease.model_version, lease.score, lease.reason) == ((2, 4), 1, 0.5, "the least certain")
    assert (lease.granted_at, lease.expires_at) == (clock.now, clock.now + timedelta(minutes=30))
    assert (lease.ended_at, lease.outcome, lease.round_number) == (None, None, 1)
    assert study.active_lease("ann") == lease
    assert study.leases() == [lease]


def test_a_volume_is_leased_to_one_annotator(study):
    assert study.grant_lease("ann", "a", 30, "random") is not None
    assert study.grant_lease("bob", "a", 30, "random") is None
    assert study.grant_lease("bob", "b", 30, "random") is not None


def test_an_annotator_with_a_lease_gets_it_again(study):
    first = study.grant_lease("ann", "a", 30, "random")
    assert study.grant_lease("ann", "b", 30, "random") == first
    assert study.grant_lease("ann", "a", 30, "random", slices=[1]) == first
    assert len(study.leases()) == 1


@pytest.mark.parametrize(
    ("held", "wanted", "granted"),
    [
        (None, None, False),
        (None, [3], False),
        ([3], None, False),
        ([3, 4], [4, 5], False),
        ([3, 4], [5, 6], True),
        ([0], [0], False),
    ],
)
def test_no_slice_is_leased_twice(study, held, wanted, granted):
    study.grant_lease("ann", "a", 30, "random", slices=held)
    assert (study.grant_lease("bob", "a", 30, "random", slices=wanted) is not None) == granted


@pytest.mark.parametrize(("held", "wanted"), [(None, None), ([3], None), (None, [3]), ([3], [3])])
def test_an_expired_lease_holds_nothing_though_nobody_wrote_it_down(study, clock, held, wanted):
    lease = study.grant_lease("ann", "a", 30, "random", slices=held)
    clock.advance(29.99)
    assert study.active_lease("ann") == lease
    assert study.grant_lease("bob", "a", 30, "random", slices=wanted) is None
    assert not study.would_grant("bob", "a", "random", wanted and tuple(wanted))
    clock.advance(0.01)
    assert study.active_lease("ann") is None
    assert study.would_grant("bob", "a", "random", wanted and tuple(wanted))
    assert [(lapsed.outcome, lapsed.ended_at) for lapsed in study.leases()] == [("expired", lease.expires_at)]
    assert study.grant_lease("bob", "a", 30, "random", slices=wanted) is not None
    assert study.grant_lease("ann", "b", 30, "random") is not None


def test_a_released_case_can_be_asked_for_again_at_once(study, clock):
    lease = study.grant_lease("ann", "a", 30, "random")
    clock.advance(1)
    released = study.release_lease("ann")
    assert (released.id, released.outcome, released.ended_at) == (lease.id, "released", clock.now)
    assert study.release_lease("ann") is None
    assert study.grant_lease("bob", "a", 30, "random") is not None


def test_an_expired_lease_cannot_be_released(study, clock):
    study.grant_lease("ann", "a", 30, "random")
    clock.advance(31)
    assert study.release_lease("ann") is None
    assert [lease.outcome for lease in study.leases()] == ["expired"]


def test_a_skipped_case_can_be_asked_again_at_once(study, clock):
    lease = study.grant_lease("ann", "a", 30, "random")
    clock.advance(1)
    study.skip_case("ann", NOT_NOW)
    (released,) = study.leases()
    assert (released.id, released.outcome, released.ended_at) == (lease.id, "released", clock.now)
    assert study.skip_case("ann", NOT_NOW) is None
    assert study.grant_lease("bob", "a", 30, "random") is not None


def test_a_case_skipped_late_was_not_released_but_had_expired(study, clock):
    study.grant_lease("ann", "a", 30, "random")
    clock.advance(31)
    study.skip_case("ann", NOT_NOW)
    assert [lease.outcome for lease in study.leases()] == ["expired"]


@pytest.mark.parametrize(
    ("annotated", "wanted", "granted"),
    [(None, None, False), (None, [1], False), ([1, 2], [2, 3], False), ([1, 2], [3], True), ([1, 2], None, True)],
)
def test_annotated_images_are_not_leased(study, annotated, wanted, granted):
    record_annotation(study, "a", "f", "0", "bob", slices=annotated)
    assert (study.grant_lease("ann", "a", 30, "random", slices=wanted) is not None) == granted


def test_leases_belong_to_the_round_of_the_newest_model(study, clock):
    study.grant_lease("ann", "a", 30, "random")
    study.publish_model("m.pt", "0", "quick", ["liver"], {}, [])
    clock.advance(60)
    study.grant_lease("ann", "b", 30, "variance")
    assert [lease.image_id for lease in study.leases(round_number=1)] == ["a"]
    assert [lease.image_id for lease in study.leases(round_number=2)] == ["b"]


def test_impossible_leases_are_refused(study):
    with pytest.raises(NotFoundError, match="image 'nobody'"):
        study.grant_lease("ann", "nobody", 30, "random")
    with pytest.raises(InvalidInputError, match="annotator"):
        study.grant_lease("", "a", 30, "random")
    with pytest.raises(InvalidInputError, match="slices"):
        study.grant_lease("ann", "a", 30, "random", slices=[])
    with pytest.raises(ValueError, match="minutes"):
        study.grant_lease("ann", "a", 0, "random")
    assert study.leases() == []
