"""Skipped cases: the time of their return, and the annotators who get them."""

import pytest
from recorded import record_annotation, record_draft

from activelabel.errors import NotFoundError, NotReadyError
from activelabel.names import ScoreKind
from activelabel.store.case_states import COMES_BACK_AFTER, CaseState, DraftReason
from activelabel.store.cases.skips import CANNOT, NOT_NOW


def give(ledger, annotator, image_id, **slices):
    lease = ledger.grant_lease(annotator, image_id, 30, "random", **slices)
    assert (lease.annotator, lease.image_id) == (annotator, image_id)
    return lease


def test_a_skip_for_now_ends_the_lease_and_is_recorded(study, clock):
    give(study, "ann", "a")
    clock.advance(3)
    skip = study.skip_case("ann", NOT_NOW, "too late today")
    assert (skip.image_id, skip.kind, skip.reason, skip.created_at) == ("a", "not now", "too late today", clock.now)
    assert study.active_lease("ann") is None
    assert study.leases()[0].outcome == "released"
    assert study.skips() == study.skipped_for_now() == [skip]
    assert study.pool("training") == list("abcdef")


def test_a_skip_for_now_holds_for_its_annotator_until_they_were_given_others(study):
    give(study, "ann", "a")
    study.skip_case("ann", NOT_NOW)
    assert (study.passed_over("ann"), study.passed_over("bob")) == (["a"], [])
    for number, image_id in enumerate("bcdef", start=1):
        give(study, "ann", image_id)
        record_annotation(study, image_id, image_id, "0", "ann")
        assert study.passed_over("ann") == (["a"] if number < COMES_BACK_AFTER else [])


def test_a_skip_ends_when_the_case_is_given_again(study):
    give(study, "ann", "a")
    study.skip_case("ann", NOT_NOW)
    give(study, "ann", "a")
    assert study.passed_over("ann") == []
    study.skip_case("ann", NOT_NOW)
    assert study.passed_over("ann") == ["a"]


def test_skipped_cases_come_back_in_the_order_in_which_they_were_skipped(study):
    for image_id in "cab":
        give(study, "ann", image_id)
        study.skip_case("ann", NOT_NOW)
    assert study.passed_over("ann") == ["c", "a", "b"]


def test_a_case_whose_lease_expired_can_still_be_skipped(study, clock):
    give(study, "ann", "a")
    clock.advance(31)
    assert study.skip_case("ann", NOT_NOW).image_id == "a"
    assert study.skip_case("ann", NOT_NOW) is not None  # asked twice, skipped once more
    assert study.passed_over("ann") == ["a"]


def test_a_saved_case_is_not_skipped_by_a_client_that_always_sends_the_skip(study):
    give(study, "ann", "a")
    record_annotation(study, "a", "f", "0", "ann")
    assert study.skip_case("ann", NOT_NOW) is None
    assert study.skips() == []


def test_a_case_that_cannot_be_annotated_leaves_the_pool_for_everybody_until_it_is_brought_back(study):
    give(study, "ann", "a")
    skip = study.skip_case("ann", CANNOT, "no liver on it")
    assert study.set_aside_cases() == [skip]
    assert study.case_facts("a").state is CaseState.CANNOT
    assert study.pool("training") == list("bcdef")
    assert [image.image_id for image in study.slice_pool()] == list("bcdef")
    assert study.grant_lease("bob", "a", 30, "random") is None
    assert study.grant_lease("bob", "a", 30, "random", slices=[1]) is None
    with pytest.raises(NotReadyError, match="image 'a' was set aside as one that cannot be annotated: bring it back"):
        study.skip_case("bob", CANNOT, image_id="a")
    back = study.bring_back("a", "bob")
    assert (back.ended_by, study.set_aside_cases()) == ("bob", [])
    assert study.pool("training") == list("abcdef")
    with pytest.raises(NotReadyError, match="image 'a' is unseen"):
        study.bring_back("a", "bob")
    assert give(study, "bob", "a")


def test_a_skip_keeps_the_scores_of_the_case(study):
    study.publish_model("m", "0", "quick", ["ball"], {}, [])
    study.skip_case("ann", CANNOT, image_id="a")
    assert study.unscored(1, ScoreKind("variance")) == list("bcdef")


def test_a_case_that_another_annotator_holds_or_has_finished_cannot_be_skipped(study):
    give(study, "bob", "a")
    with pytest.raises(NotReadyError, match="image 'a' is being annotated by somebody else"):
        study.skip_case("ann", CANNOT, image_id="a")
    record_annotation(study, "a", "f", "0", "bob")
    with pytest.raises(NotReadyError, match="image 'a' is finished: take its label back first"):
        study.skip_case("ann", CANNOT, image_id="a")
    with pytest.raises(NotFoundError, match="image 'x'"):
        study.skip_case("ann", CANNOT, image_id="x")


def test_of_two_annotators_of_one_volumes_slices_one_may_skip_without_disturbing_the_other(study):
    study.fix_slices("a", 2, (4, 4, 8))
    give(study, "ann", "a", slices=[1])
    give(study, "bob", "a", slices=[3])
    study.skip_case("ann", CANNOT, "cut off")
    assert study.active_lease("bob").slices == (3,)
    record_annotation(study, "a", "f", "0", "bob", slices=[3], foreground_slices=1)
    assert study.current_annotation("a").slices == (3,)
    assert study.case_facts("a").state is CaseState.CANNOT


def test_a_label_of_the_whole_volume_brings_a_case_back_that_could_not_be_annotated(study):
    study.skip_case("ann", CANNOT, image_id="a")
    record_annotation(study, "a", "f", "0", "bob")
    assert study.case_facts("a").state is CaseState.FINISHED
    assert [(skip.ended_by, skip.ended_at is not None) for skip in study.skips("a")] == [("bob", True)]
    study.delete_annotation("a")
    assert "a" in study.pool("training")


@pytest.mark.parametrize(("seconds", "skipped"), [(1, False), (2, True), (20, True), (31, False)])
def test_asking_again_soon_after_skips_but_not_at_once(study, clock, seconds, skipped):
    give(study, "ann", "a")
    clock.advance(seconds / 60)
    skip = study.skip_if_asked_again("ann", 2, 30)
    assert (skip is not None) == skipped
    if skip is not None:
        assert (skip.kind, skip.reason) == ("not now", f"asked again after {seconds} s")


def test_asking_again_after_a_draft_was_sent_is_no_skip(study, clock):
    give(study, "ann", "a")
    clock.advance(0.1)
    record_draft(study, "a", "d", "0", "ann", reason=DraftReason.SAID, why="she says so", shown_as="original")
    assert study.skip_if_asked_again("ann", 2, 30) is None
    assert study.skip_if_asked_again("bob", 2, 30) is None


def test_cases_that_may_be_passed_over_are_counted_for_rankings_read_in_parts(study):
    assert study.count_passed_over() == 0
    study.skip_case("ann", NOT_NOW, image_id="a")
    study.skip_case("bob", NOT_NOW, image_id="a")
    study.skip_case("bob", CANNOT, image_id="b")
    assert study.count_passed_over() == 1
