"""Reviews in the ledger: who has a label before them, which decision stands, and what is learnt from."""

import pytest
from recorded import record_annotation
from sqlalchemy import event

from activelabel.errors import InvalidInputError, NotFoundError, NotReadyError
from activelabel.store.case_states import CaseState, Verdict
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

APPROVED, RETURNED = Verdict.APPROVED, Verdict.RETURNED


@pytest.fixture
def labelled(study):
    """Labels of a and b by ann, and of slices 2 and 3 of c by bob."""
    record_annotation(study, "a", "a1", "0", "ann")
    record_annotation(study, "b", "b1", "0", "ann")
    record_annotation(study, "c", "c1", "0", "bob", slices=[2, 3])
    return study


def test_the_label_that_has_waited_longest_comes_first_and_nobody_gets_it_twice(labelled, clock):
    assert labelled.take_for_review("rev", 30).image_id == "a"
    assert labelled.take_for_review("rev", 30).image_id == "a"
    assert labelled.take_for_review("bob", 30).image_id == "b"  # c is bob's own
    assert labelled.take_for_review("eve", 30).image_id == "c"
    assert labelled.take_for_review("cy", 30) is None
    clock.advance(30)
    assert labelled.take_for_review("cy", 30).image_id == "a"
    assert [(review.reviewer, review.outcome) for review in labelled.reviews("a")] == [("rev", "expired"), ("cy", None)]


def test_taking_another_label_lets_go_of_the_one_before(labelled):
    labelled.take_for_review("rev", 30, "a")
    labelled.take_for_review("rev", 30, "b")
    assert [review.outcome for review in labelled.reviews()] == ["released", None]
    assert labelled.take_for_review("eve", 30).image_id == "a"


def test_the_newest_decision_about_a_version_stands_and_a_newer_version_has_none(labelled, clock):
    labelled.decide("a", "rev", RETURNED, "why")
    clock.advance(1)
    second = labelled.decide("a", "eve", APPROVED, difficulty="easy")
    assert [review.superseded_at for review in labelled.reviews("a")] == [clock.now, None]
    assert labelled.standing_decisions() == {"a": second}
    record_annotation(labelled, "a", "a2", "0", "ann")
    assert labelled.standing_decisions() == {}
    assert labelled.case_facts("a").state is CaseState.FINISHED


def test_a_returned_label_frees_its_slices_and_its_image(labelled):
    assert labelled.grant_lease("ann", "c", 30, "variance", slices=[2]) is None
    labelled.decide("c", "rev", RETURNED, "the wrong side")
    assert labelled.case_facts("c").state is CaseState.RETURNED
    assert [(label.image_id, review.note) for label, review in labelled.returned_to("bob")] == [("c", "the wrong side")]
    assert labelled.returned_to("ann") == []
    assert labelled.grant_lease("bob", "c", 30, "variance", slices=[2, 3]).slices == (2, 3)
    assert labelled.pool("training") == ["d", "e", "f"]
    labelled.decide("b", "rev", RETURNED, "empty")
    assert labelled.pool("training") == ["b", "d", "e", "f"]
    progress = labelled.progress()
    assert (progress.annotated, progress.partly_annotated, progress.new_annotations) == (1, 0, 1)
    assert labelled.passed_over("bob") == ["b"]  # whose annotator gets it first


def test_only_approved_labels_are_learnt_from_if_the_project_says_so(labelled):
    labelled.only_approved = True
    assert labelled.labels_to_learn() == []
    labelled.decide("a", "rev", APPROVED)
    labelled.decide("c", "rev", APPROVED)
    assert [(label.image_id, label.file) for label in labelled.labels_to_learn()] == [("a", "a1"), ("c", "c1")]
    model = labelled.publish_model("1", "0", "tiny", ["ball"], {}, [label.id for label in labelled.labels_to_learn()])
    assert labelled.progress().new_annotations == 0
    record_annotation(labelled, "c", "c2", "0", "bob", slices=[2, 3, 4])  # waits, while the approved one still counts
    assert [label.file for label in labelled.labels_to_learn()] == ["a1", "c1"]
    assert labelled.progress().new_annotations == 0
    labelled.decide("c", "rev", APPROVED)
    assert (labelled.progress().new_annotations, labelled.count_waiting_for_review()) == (1, 1)
    labelled.delete_annotation("c")  # takes the approved ones before it back too
    assert [label.file for label in labelled.labels_to_learn()] == ["a1"]
    assert model.trained_on == (1, 3)


def test_impossible_reviews_are_refused(labelled):
    with pytest.raises(NotReadyError, match="has no finished label"):
        labelled.take_for_review("rev", 30, "d")
    with pytest.raises(NotReadyError, match="was drawn by you alone"):
        labelled.decide("a", "ann", APPROVED)
    with pytest.raises(NotFoundError):
        labelled.decide("x", "rev", APPROVED)
    with pytest.raises(InvalidInputError, match="note: expected a line"):
        labelled.decide("a", "rev", RETURNED, "  ")
    labelled.take_for_review("rev", 30, "a")
    with pytest.raises(NotReadyError, match="is being reviewed by somebody else"):
        labelled.decide("a", "eve", APPROVED)
    record_annotation(labelled, "a", "a2", "0", "bob")
    with pytest.raises(NotReadyError, match="has changed since you opened it"):
        labelled.decide("a", "rev", APPROVED)
    assert labelled.decide("a", "eve", APPROVED).reviewer == "eve"  # rev's review was of the label before


def test_whoever_corrects_a_label_may_approve_it(labelled):
    record_annotation(labelled, "a", "a2", "0", "rev")
    labelled.decide("a", "rev", APPROVED)
    assert labelled.case_facts("a").state is CaseState.APPROVED


def test_the_reviews_of_an_image_are_found_by_their_index(tmp_path):
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    ledger.sync_images(["a"], 0)
    with ledger._reading() as session:
        statements = []
        event.listen(session.get_bind(), "before_cursor_execute", lambda *call: statements.append(call[2:4]))
        ledger.case_history("a")
        sql, parameters = next(one for one in statements if "FROM reviews" in one[0])
        plan = [row[3] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    ledger.close()
    assert [step for step in plan if " reviews " in step] == [
        "SEARCH reviews USING COVERING INDEX ix_reviews_image_id (image_id=?)"
    ]
