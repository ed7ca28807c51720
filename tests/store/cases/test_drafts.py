"""Drafts are kept in every version, one is open per image and annotator, shown to its annotator, never counted."""

import pytest
from recorded import record_annotation, record_draft
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from activelabel.store.case_states import CaseState, DraftReason
from activelabel.store.cases.skips import CANNOT, NOT_NOW
from activelabel.store.schema.labels import DraftRow


@pytest.fixture
def save(study):
    def save_(annotator, file, image_id="a", **more):
        kinds = {"reason": DraftReason.SAID, "why": "kept as a draft", "shown_as": "original"}
        return record_draft(study, image_id, file, "0" * 64, annotator, **{**kinds, **more})

    return save_


def shown(ledger, image_id="a"):
    label = ledger.current_annotation(image_id, "original")
    return None if label is None else label.file


def test_a_draft_counts_for_nothing_and_ends_no_lease(study, save):
    study.grant_lease("ann", "a", 30, "random")
    draft = save("ann", "d1", slices=(3, 4), lease_id=1)
    assert (draft.version, draft.slices, draft.reason, draft.lease_id) == (1, (3, 4), DraftReason.SAID, 1)
    progress = study.progress()
    assert (progress.annotated, progress.annotated_slices, progress.new_annotations, progress.leased) == (0, 0, 0, 1)
    assert study.annotations() == []
    assert study.active_lease("ann").image_id == "a"
    assert study.effort({}).slices == 0


def test_every_version_of_a_draft_is_kept_and_the_newest_is_open(study, save, clock):
    first = save("ann", "d1")
    clock.advance(1)
    second = save("ann", "d2")
    assert [(draft.file, draft.ended_at) for draft in study.draft_history("a")] == [("d1", clock.now), ("d2", None)]
    assert (first.version, second.version) == (1, 2)
    assert study.open_draft("a", "ann") == second
    assert [label.file for label in study.history("a")] == ["d1", "d2"]  # both were shown


def test_two_annotators_have_a_draft_each_and_see_their_own(study, save):
    save("ann", "of ann")
    save("bob", "of bob")
    assert shown(study) == "of bob"
    assert study.show_draft("a", "ann", "original")
    assert shown(study) == "of ann"
    assert not study.show_draft("a", "ann", "original")
    assert study.show_draft("a", "eve", "original")
    assert shown(study) is None
    assert {draft.file for draft in study.open_drafts("a")} == {"of ann", "of bob"}


def test_an_annotator_without_a_draft_sees_the_label_before_all_drafts(study, save):
    record_annotation(study, "a", "prediction", "0", "model", tag="original")
    save("ann", "d1")
    save("ann", "d2")
    study.show_draft("a", "bob", "original")
    assert shown(study) == "prediction"
    study.show_draft("a", "ann", "original")
    assert shown(study) == "d2"


def test_slices_finished_by_others_are_shown_instead_of_an_older_draft(study, save):
    study.fix_slices("a", 2, (4, 4, 8))
    save("ann", "d1")
    record_annotation(study, "a", "slices", "0", "bob", slices=[1], shown_as="original")
    study.show_draft("a", "ann", "original")
    assert shown(study) == "d1"
    study.show_draft("a", "eve", "original")
    assert shown(study) == "slices"


def test_a_prediction_that_was_taken_back_does_not_come_again(study, save):
    record_annotation(study, "a", "prediction", "0", "model", tag="original")
    study.delete_annotation("a", "original")
    save("ann", "d1")
    study.show_draft("a", "bob", "original")
    assert shown(study) is None


def test_a_finished_label_ends_its_annotators_draft_and_is_shown_in_its_place(study, save):
    save("ann", "d1")
    save("bob", "of bob")
    record_annotation(study, "a", "f", "0", "ann", shown_as="original")
    assert study.open_draft("a", "ann") is None
    assert study.open_draft("a", "bob") is not None  # no drawing is lost by another annotator's
    assert shown(study) == "f"
    assert study.drafts_to_finish("bob") == []
    study.delete_annotation("a")
    assert [draft.file for draft in study.drafts_to_finish("bob")] == ["of bob"]


def test_slices_that_are_finished_leave_a_draft_of_more_open(study, save):
    study.fix_slices("a", 2, (4, 4, 8))
    save("ann", "d1", slices=(3, 4))
    record_annotation(study, "a", "f1", "0", "ann", slices=[3])
    assert study.open_draft("a", "ann") is not None
    record_annotation(study, "a", "f2", "0", "ann", slices=[3, 4])
    assert study.open_draft("a", "ann") is None


def test_a_label_may_finish_somebody_elses_draft_by_name(study, save):
    draft = save("ann", "d1")
    record_annotation(study, "a", "f", "0", "PACS", finishes=draft.id)
    assert study.open_drafts() == []


def test_a_case_with_a_draft_is_asked_of_its_annotator_first_and_of_others_last(study, save):
    save("ann", "d1", image_id="b")
    save("ann", "d2", image_id="a")
    assert [draft.image_id for draft in study.drafts_to_finish("ann")] == ["b", "a"]
    assert study.drafts_to_finish("bob") == []
    assert (study.passed_over("ann"), study.passed_over("bob")) == ([], ["b", "a"])
    study.skip_case("bob", NOT_NOW, image_id="c")
    assert study.passed_over("bob") == ["c", "b", "a"]
    study.skip_case("ann", CANNOT, image_id="b")
    assert [draft.image_id for draft in study.drafts_to_finish("ann")] == ["a"]
    study.bring_back("b", "bob")
    assert [draft.image_id for draft in study.drafts_to_finish("ann")] == ["b", "a"]


def test_the_database_itself_forbids_two_open_drafts_of_one_annotator(study, save):
    save("ann", "d1")
    save("ann", "d2")
    with pytest.raises(IntegrityError), study._writing() as session:
        session.execute(update(DraftRow).values(ended_at=None))


def test_the_smallest_share_is_that_of_other_finished_volumes_with_something_on_them(study):
    assert study.smallest_drawn_share("a") is None
    for image_id, drawn in (("a", 1), ("b", 4), ("c", 2), ("d", 0)):
        study.fix_slices(image_id, 2, (4, 4, 8))
        record_annotation(study, image_id, image_id, "0", "ann", foreground_slices=drawn)
    study.fix_slices("e", 2, (4, 4, 8))
    record_annotation(study, "e", "e", "0", "ann", slices=[1], foreground_slices=1)
    assert study.smallest_drawn_share("a") == 0.25
    assert study.smallest_drawn_share("c") == 0.125


def test_a_label_that_a_model_drew_is_recorded_and_counted_by_role(ledger):
    ledger.sync_images("abcdefgh", validation_cases=2)
    training, validation = (
        [image.id for image in ledger.images() if image.role == role] for role in ("training", "validation")
    )
    for image_id in (*training[:2], validation[0]):
        record_annotation(ledger, image_id, image_id, "0", "ann", unchanged_from=3)
    record_annotation(ledger, validation[1], "drawn", "0", "ann")
    assert ledger.current_annotation(training[0]).unchanged_from == 3
    assert ledger.unchanged_labels() == {"training": 2, "validation": 1}
    record_annotation(ledger, training[0], "corrected", "0", "ann")
    assert ledger.unchanged_labels() == {"training": 1, "validation": 1}


def test_the_state_of_a_case_follows_its_draft(study, save):
    study.grant_lease("ann", "a", 30, "random")
    save("ann", "d1")
    assert study.case_facts("a").state is CaseState.LEASED
    study.skip_case("ann", NOT_NOW)
    assert study.case_facts("a").state is CaseState.DRAFT
    record_annotation(study, "a", "f", "0", "ann")
    assert study.case_facts("a").state is CaseState.FINISHED


def test_the_names_of_a_drafts_values_are_kept_however_often_it_is_shown(study, save):
    save("ann", "d1", label_names=("liver", "spleen"))
    assert study.kept_label_names() == ("liver", "spleen")
    save("bob", "d2", label_names=("liver", "spleen"))
    study.show_draft("a", "ann", "original")
    assert [label.label_names for label in study.history("a")] == [("liver", "spleen")] * 3
