import pytest
from recorded import record_annotation

from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.store.cases.new_annotation import LabelChangedError


def outcomes(ledger):
    return {lease.annotator: lease.outcome for lease in ledger.leases()}


def test_an_annotation_ends_the_lease_that_asked_for_it(study, clock):
    lease = study.grant_lease("ann", "a", 30, "random")
    clock.advance(12.5)
    annotation = record_annotation(study, "a", "a.1.nii.gz", "5a" * 32, "ann")
    assert (annotation.image_id, annotation.tag, annotation.version) == ("a", "final", 1)
    assert (annotation.file, annotation.sha256, annotation.slices) == ("a.1.nii.gz", "5a" * 32, None)
    assert (annotation.annotator, annotation.created_at) == ("ann", clock.now)
    assert (annotation.lease_id, annotation.seconds, annotation.round_number) == (lease.id, 750.0, 1)
    assert study.active_lease("ann") is None
    assert [(ended.outcome, ended.ended_at) for ended in study.leases()] == [("saved", clock.now)]
    assert study.current_annotation("a") == annotation


def test_a_label_that_was_never_asked_for_has_no_time(study):
    annotation = record_annotation(study, "a", "f", "0", "ann")
    assert (annotation.lease_id, annotation.seconds) == (None, None)


def test_a_late_label_belongs_to_the_query_that_expired(study, clock):
    lease = study.grant_lease("ann", "a", 30, "random")
    clock.advance(45)
    annotation = record_annotation(study, "a", "f", "0", "ann")
    assert (annotation.lease_id, annotation.seconds) == (lease.id, 45 * 60)
    assert [(ended.outcome, ended.ended_at) for ended in study.leases()] == [("expired", lease.expires_at)]


def test_a_correction_belongs_to_no_query(study, clock):
    study.grant_lease("ann", "a", 30, "random")
    record_annotation(study, "a", "f", "0", "ann")
    clock.advance(5)
    correction = record_annotation(study, "a", "g", "1", "ann")
    assert (correction.version, correction.lease_id, correction.seconds) == (2, None, None)


def test_a_label_from_somebody_else_ends_the_lease_all_the_same(study, clock):
    lease = study.grant_lease("ann", "a", 30, "random")
    clock.advance(1)
    annotation = record_annotation(study, "a", "f", "0", "bob")
    assert (annotation.annotator, annotation.lease_id, annotation.seconds) == ("bob", lease.id, 60.0)
    assert outcomes(study) == {"ann": "saved"}


def test_a_label_belongs_to_its_annotators_query_before_those_of_others(study, clock):
    study.grant_lease("ann", "a", 30, "random", slices=[1, 2])
    own = study.grant_lease("bob", "a", 30, "random", slices=[3])
    annotation = record_annotation(study, "a", "f", "0", "bob")
    assert annotation.lease_id == own.id
    assert outcomes(study) == {"ann": "saved", "bob": "saved"}


@pytest.mark.parametrize(
    ("covered", "ann", "eve"),
    [([1, 2, 9], "saved", None), ([2, 3, 4], None, "saved"), ([1], None, None), (None, "saved", "saved")],
)
def test_slices_end_the_leases_that_they_cover_wholly(study, covered, ann, eve):
    study.grant_lease("ann", "a", 30, "random", slices=[1, 2])
    study.grant_lease("eve", "a", 30, "random", slices=[3, 4])
    record_annotation(study, "a", "f", "0", "bob", slices=covered)
    assert outcomes(study) == {"ann": ann, "eve": eve}


def test_slices_leave_the_lease_of_a_whole_volume_alone(study):
    study.grant_lease("ann", "a", 30, "random")
    record_annotation(study, "a", "f", "0", "bob", slices=[1, 2])
    assert outcomes(study) == {"ann": None}


def test_slices_are_counted_by_what_the_image_has(study):
    assert record_annotation(study, "a", "f", "0", "ann").covered_slices is None
    study.fix_slices("b", axis=1, shape=(8, 4, 8))
    partial = record_annotation(study, "b", "f", "0", "ann", slices=[0, 3], foreground_slices=1)
    assert (partial.slices, partial.covered_slices, partial.foreground_slices) == ((0, 3), 2, 1)
    whole = record_annotation(study, "b", "f", "0", "ann", slices=range(4), foreground_slices=2)
    assert (whole.slices, whole.covered_slices, whole.foreground_slices) == (None, 4, 2)
    assert "b" not in study.pool("training")


def test_a_label_is_merged_with_the_current_one_or_not_at_all(study):
    first = record_annotation(study, "a", "f", "0", "ann", slices=[1], merged_with=0)
    record_annotation(study, "a", "g", "1", "bob", slices=[1, 2], merged_with=first.version)
    for stale in (0, first.version):
        with pytest.raises(LabelChangedError, match=f"since version {stale}"):
            record_annotation(study, "a", "h", "2", "eve", slices=[1, 3], merged_with=stale)
    study.delete_annotation("a")
    with pytest.raises(LabelChangedError):
        record_annotation(study, "a", "h", "2", "eve", slices=[1, 2, 3], merged_with=2)
    assert [label.file for label in study.history("a")] == ["f", "g"]
    assert record_annotation(study, "a", "h", "2", "eve", slices=[3], merged_with=0).version == 3


def test_the_latest_query_is_found_answered_or_not(study, clock):
    assert study.case_history("a").latest_query("ann") is None
    study.grant_lease("ann", "a", 30, "random", slices=[1])
    record_annotation(study, "a", "f", "0", "ann", slices=[1])
    study.grant_lease("bob", "a", 30, "random", slices=[2])
    answered = study.case_history("a").latest_query("ann")
    assert (answered.slices, answered.outcome) == ((1,), "saved")
    newer = study.grant_lease("ann", "a", 30, "random", slices=[5])
    clock.advance(31)
    assert study.case_history("a").latest_query("ann").id == newer.id
    assert study.case_history("b").latest_query("ann") is None


def test_the_slices_a_model_has_learnt_from_are_those_still_annotated(study):
    first = record_annotation(study, "a", "f", "0", "ann", slices=[1, 2])
    second = record_annotation(study, "b", "f", "0", "ann", slices=[4])
    whole = record_annotation(study, "c", "f", "0", "ann")
    study.publish_model("m.pt", "0", "quick", ["liver"], {}, [first.id, second.id, whole.id])
    assert study.slices_learnt(1) == {("a", 1), ("a", 2), ("b", 4)}
    record_annotation(study, "a", "g", "0", "ann", slices=[2, 3])
    study.delete_annotation("b")
    assert study.slices_learnt(1) == {("a", 2)}
    assert study.slices_learnt(2) == set()


def test_a_label_of_some_slices_is_kept_under_a_second_tag_as_long_as_slices_are_left(study):
    def shown():
        label = study.current_annotation("a", "original")
        return label and (label.file, label.version)

    record_annotation(study, "a", "prediction", "0", "model", tag="original")
    assert not study.case_history("a").shows("original")
    record_annotation(study, "a", "whole", "0", "ann", shown_as="original")
    assert shown() == ("prediction", 1)  # a prediction stays beside a whole label
    record_annotation(study, "a", "f", "0", "ann", slices=[1], shown_as="original")
    assert shown() == ("f", 2)
    assert study.case_history("a").shows("original")
    record_annotation(study, "a", "g", "0", "ann", shown_as="original")
    assert shown() == ("g", 3)
    assert study.current_annotation("a", "original").lease_id is None
    assert [label.file for label in study.annotations()] == ["g"]


def test_an_annotation_keeps_the_leases_of_other_images(study):
    study.grant_lease("ann", "b", 30, "random")
    record_annotation(study, "a", "f", "0", "ann")
    assert outcomes(study) == {"ann": None}


def test_a_label_with_another_tag_than_final_does_not_count(study):
    study.grant_lease("ann", "a", 30, "random")
    original = record_annotation(study, "a", "f", "0", "ann", tag="original")
    assert (original.version, original.lease_id, original.seconds) == (1, None, None)
    assert study.active_lease("ann") is not None
    assert study.current_annotation("a") is None
    assert study.current_annotation("a", "original") == original
    assert study.annotations() == []
    assert study.current_labels() == [original]


def test_every_version_of_a_label_is_kept(study, clock):
    first = record_annotation(study, "a", "f", "0", "ann")
    clock.advance(1)
    second = record_annotation(study, "a", "g", "1", "bob", slices=[5, 3])
    assert (second.version, second.slices) == (2, (3, 5))
    assert study.current_annotation("a") == second
    kept = study.history("a")
    assert [(label.id, label.superseded_at) for label in kept] == [(first.id, clock.now), (second.id, None)]
    assert [label.file for label in kept] == ["f", "g"]


def test_a_deleted_label_is_gone_and_the_older_one_does_not_return(study, clock):
    record_annotation(study, "a", "f", "0", "ann")
    second = record_annotation(study, "a", "g", "1", "ann")
    clock.advance(1)
    deleted = study.delete_annotation("a")
    assert (deleted.id, deleted.deleted_at) == (second.id, clock.now)
    assert study.current_annotation("a") is None
    assert study.annotations() == study.current_labels() == []
    assert record_annotation(study, "a", "h", "2", "ann").version == 3
    assert len(study.history("a")) == 3


def test_a_label_that_is_not_there_cannot_be_deleted(study):
    record_annotation(study, "a", "f", "0", "ann", tag="original")
    with pytest.raises(NotFoundError, match="image 'a': has no label tagged 'final'"):
        study.delete_annotation("a")


def test_annotations_of_a_role_and_of_a_round(ledger):
    ledger.sync_images([f"case_{number}" for number in range(8)], 2)
    training, validation = ledger.pool("training")[:2], ledger.pool("validation")[:1]
    record_annotation(ledger, training[0], "f", "0", "ann")
    record_annotation(ledger, validation[0], "f", "0", "ann")
    ledger.publish_model("m.pt", "0", "quick", ["liver"], {}, [1], [2])
    record_annotation(ledger, training[1], "f", "0", "ann", slices=[1])
    assert [label.image_id for label in ledger.annotations()] == sorted([*training, *validation])
    assert [label.image_id for label in ledger.annotations("training")] == training
    assert [label.image_id for label in ledger.annotations("validation")] == validation
    assert {label.id for label in ledger.annotations(round_number=1)} == {1, 2}
    assert [label.id for label in ledger.annotations("training", round_number=2)] == [3]


def test_impossible_annotations_are_refused_and_leave_the_lease_alone(study):
    study.grant_lease("ann", "a", 30, "random")
    with pytest.raises(NotFoundError, match="image 'nobody'"):
        record_annotation(study, "nobody", "f", "0", "ann")
    with pytest.raises(InvalidInputError, match="slices"):
        record_annotation(study, "a", "f", "0", "ann", slices=[2, 2])
    with pytest.raises(InvalidInputError, match="label tag"):
        record_annotation(study, "a", "f", "0", "ann", tag="")
    assert study.active_lease("ann") is not None
    assert study.history("a") == []


def test_what_was_sent_is_in_the_history_of_a_case_and_left_out_of_lists(ledger):
    ledger.sync_images(["a"], 0)
    record_annotation(ledger, "a", "l1", "0" * 64, "ann", slices=[4], sent_otherwise={3: "ab"})
    sent = {"format": "2", "3": "ab"}
    assert [label.sent_otherwise for label in ledger.history("a")] == [sent]
    assert ledger.case_history("a").current().sent_otherwise == sent
    for labels in (ledger.annotations(), ledger.labels_to_learn(), ledger.current_labels()):
        assert [(label.file, label.sent_otherwise) for label in labels] == [("l1", None)]
