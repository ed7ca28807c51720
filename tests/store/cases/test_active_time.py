"""Active seconds of queries by hand: a coffee is not annotation, and an hour has at most 3600 seconds."""

import pytest
from recorded import record_annotation

from activelabel.errors import NotReadyError


def test_a_label_has_the_time_since_its_query_and_the_active_time_beside_it(study, clock):
    study.grant_lease("ann", "a", 120, "random")
    clock.advance(2)
    study.note_active("ann", 100)
    clock.advance(30)  # a coffee
    assert study.note_active("ann", 50).active_seconds == 150
    label = record_annotation(study, "a", "f", "0", "ann")
    assert (label.seconds, label.active_seconds) == (32 * 60, 150)
    assert study.active_lease("ann") is None
    with pytest.raises(NotReadyError, match="ann has no query to work on: ask for one"):
        study.note_active("ann", 10)


def test_no_number_of_heartbeats_makes_more_of_the_time_than_has_passed(study, clock):
    study.grant_lease("ann", "a", 120, "random")
    clock.advance(1)
    for _ in range(3):
        query = study.note_active("ann", 45)
    assert query.active_seconds == 60


def test_a_draft_that_is_taken_up_again_has_the_active_time_of_both_queries(study, clock):
    study.grant_lease("ann", "a", 30, "random")
    clock.advance(20)
    study.note_active("ann", 600)
    clock.advance(24 * 60)  # the lease expires
    study.grant_lease("ann", "a", 30, "random")
    clock.advance(5)
    study.note_active("ann", 200, "a")
    label = record_annotation(study, "a", "f", "0", "ann")
    assert (label.seconds, label.active_seconds) == (300, 800)
    study.delete_annotation("a")
    study.grant_lease("ann", "a", 30, "random")
    clock.advance(1)
    study.note_active("ann", 30)
    assert record_annotation(study, "a", "g", "0", "ann").active_seconds == 30  # of the new query alone


def test_active_time_of_an_image_belongs_to_its_query_though_another_was_given_since(study, clock):
    study.grant_lease("ann", "a", 30, "random")
    clock.advance(40)
    study.grant_lease("ann", "b", 30, "random")
    clock.advance(1)
    assert study.note_active("ann", 20, "a").image_id == "a"
    assert study.note_active("ann", 20).image_id == "b"
    with pytest.raises(NotReadyError, match="ann has no query of image 'c' to work on"):
        study.note_active("ann", 20, "c")
    assert record_annotation(study, "a", "f", "0", "ann").active_seconds == 20


def test_costs_use_the_active_time_where_a_client_has_said_it(study, clock):
    """Volumes: 100 s active of 10 minutes, and 300 s by the clock; slices: 2 for 60 s and 1 for 30 s."""
    assert study.seconds_a_label(of_slices=False) is None
    study.grant_lease("ann", "a", 30, "random")
    clock.advance(10)
    study.note_active("ann", 100)
    record_annotation(study, "a", "f", "0", "ann")
    study.grant_lease("ann", "b", 30, "random")
    clock.advance(5)
    record_annotation(study, "b", "f", "0", "ann")
    effort = study.effort({})
    assert (effort.timed_queries, effort.active_queries, effort.seconds_per_query) == (2, 1, 200)
    for slices, minutes in (([1, 2], 1), ([4], 0.5)):
        study.grant_lease("ann", "c", 30, "variance", slices=slices)
        clock.advance(minutes)
        covered = slices if minutes == 1 else [1, 2, 4]
        record_annotation(study, "c", f"c{minutes}", "0", "ann", slices=covered)
    assert study.seconds_a_label(of_slices=True) == 30
    assert study.seconds_a_label(of_slices=False) == 200
