import pytest
from executed import executed
from recorded import record_annotation

from activelabel.acquisition.score import Score
from activelabel.store.records.models import ModelEffort
from activelabel.store.records.study import Progress


@pytest.fixture
def split(ledger):
    """Eight images; two of them are for validation."""
    ledger.sync_images([f"case_{number}" for number in range(8)], 2)
    return ledger


NOTHING = Progress(
    images=8,
    training=6,
    validation=2,
    annotated=0,
    partly_annotated=0,
    annotated_slices=0,
    foreground_slices=0,
    leased=0,
    unreadable=0,
    latest_model=None,
    model_in_use=None,
    scored=0,
    new_annotations=0,
    new_training_annotations=0,
    new_training_slices=0,
)


def but(**changes):
    return Progress(**{**NOTHING.__dict__, **changes})


def test_an_empty_ledger_has_nothing(ledger):
    assert ledger.progress() == but(images=0, training=0, validation=0)


def test_at_the_start_there_are_only_images(split):
    assert split.progress() == NOTHING


def test_progress_counts_each_event(split, clock):
    training, validation = split.pool("training"), split.pool("validation")
    record_annotation(split, training[0], "f", "0", "ann")
    record_annotation(split, training[1], "f", "0", "ann", slices=[2])
    record_annotation(split, training[2], "f", "0", "ann", tag="original")
    record_annotation(split, validation[0], "f", "0", "ann")
    split.grant_lease("ann", training[3], 30, "random")
    split.mark_unreadable(training[4], "truncated")
    counted = {"annotated": 2, "partly_annotated": 1, "unreadable": 1, "annotated_slices": 1}
    new = {"new_annotations": 3, "new_training_annotations": 2, "new_training_slices": 1}
    assert split.progress() == but(leased=1, **counted, **new)
    clock.advance(30)
    assert split.progress() == but(leased=0, **counted, **new)
    split.delete_annotation(training[0])
    assert split.progress().annotated == 1


def test_an_annotation_of_an_unreadable_image_is_not_new_for_no_training_can_use_it(split):
    image_id = split.pool("training")[0]
    record_annotation(split, image_id, "f", "0", "ann")
    split.mark_unreadable(image_id, "truncated")
    assert split.progress() == but(annotated=1, unreadable=1)
    split.mark_readable(image_id)
    assert split.progress() == but(annotated=1, new_annotations=1, new_training_annotations=1)


def test_an_image_leased_by_slices_to_two_annotators_is_one_image(split):
    image_id = split.pool("training")[0]
    split.grant_lease("ann", image_id, 30, "random", slices=[1])
    split.grant_lease("bob", image_id, 30, "random", slices=[2])
    assert split.progress() == but(leased=1)


def test_new_annotations_are_those_that_the_latest_model_has_not_seen(split):
    training, validation = split.pool("training"), split.pool("validation")
    learned = record_annotation(split, training[0], "f", "0", "ann").id
    judged = record_annotation(split, validation[0], "f", "0", "ann").id
    record_annotation(split, training[1], "f", "0", "ann")  # the label came while the model was in training
    split.publish_model("m.pt", "0", "quick", ["liver"], {}, [learned], [judged])
    assert split.progress() == but(
        annotated=3, latest_model=1, model_in_use=1, new_annotations=1, new_training_annotations=1
    )
    record_annotation(split, training[0], "f", "0", "ann")  # a correction is new
    record_annotation(split, validation[1], "f", "0", "ann")
    assert split.progress() == but(
        annotated=4, latest_model=1, model_in_use=1, new_annotations=3, new_training_annotations=2
    )
    split.publish_model("n.pt", "0", "quick", ["liver"], {}, [3, 4], [judged, 5])
    assert split.progress() == but(annotated=4, latest_model=2, model_in_use=2)
    split.withdraw_model(2)
    assert split.progress() == but(
        annotated=4, latest_model=1, model_in_use=1, new_annotations=3, new_training_annotations=2
    )


def test_some_slices_of_a_validation_case_are_nothing_to_judge_by(split):
    image_id = split.pool("validation")[0]
    record_annotation(split, image_id, "f", "0", "ann", slices=[3])
    assert split.progress() == but(partly_annotated=1, annotated_slices=1)


def test_slices_are_new_that_the_model_has_not_seen(split):
    first, second, third = split.pool("training")[:3]
    for image_id in (first, second, third):
        split.fix_slices(image_id, 2, (8, 8, 10))
    seen = record_annotation(split, first, "f", "0", "ann", slices=[1, 2], foreground_slices=1)
    whole = record_annotation(split, second, "f", "0", "ann", foreground_slices=4)
    progress = split.progress()
    assert (progress.annotated_slices, progress.foreground_slices, progress.new_training_slices) == (12, 5, 12)
    split.publish_model("m.pt", "0", "quick", ["liver"], {}, [seen.id, whole.id])
    assert split.progress().new_training_slices == 0
    record_annotation(split, first, "g", "0", "ann", slices=[1, 2, 7, 8, 9], foreground_slices=3)
    record_annotation(split, third, "f", "0", "ann", slices=[4], foreground_slices=0)
    progress = split.progress()
    assert (progress.annotated_slices, progress.foreground_slices, progress.new_training_slices) == (16, 7, 4)
    assert (progress.annotated, progress.partly_annotated, progress.new_annotations) == (1, 2, 2)
    record_annotation(split, second, "g", "0", "ann", foreground_slices=3)  # a correction covers no new slice
    assert split.progress().new_training_slices == 4


def test_copies_of_what_judges_are_not_new_for_no_training_learns_from_them(split):
    copy, other = split.pool("training")[:2]
    judge = split.pool("validation")[0]
    for image_id, content in ((copy, "a" * 64), (judge, "a" * 64), (other, "b" * 64)):
        split.fix_slices(image_id, 2, (8, 8, 10))
        split.record_file(image_id, content, 1, 1, [])
    record_annotation(split, copy, "f", "0", "ann", foreground_slices=4)
    learnt = record_annotation(split, other, "g", "0", "ann", slices=[1, 2], foreground_slices=1)

    def new() -> tuple[int, int, int, int]:
        now = split.progress()
        slices = split.new_foreground_slices()
        return now.new_annotations, now.new_training_annotations, now.new_training_slices, slices

    assert new() == (2, 2, 12, 5)
    judging = record_annotation(split, judge, "i", "0", "ann", foreground_slices=3)
    assert new() == (2, 1, 2, 1)
    split.mark_unreadable(judge, "truncated")  # then it judges nothing
    assert new() == (2, 2, 12, 5)
    split.mark_readable(judge)
    split.publish_model("m.pt", "0", "quick", ["liver"], {}, [learnt.id], [judging.id])
    assert new() == (0, 0, 0, 0)


def test_the_effort_by_hand(split, clock):
    first, second, third = split.pool("training")[:3]
    for image_id in (first, second, third):
        split.fix_slices(image_id, 2, (8, 8, 30))
    split.grant_lease("ann", first, 60, "random_volumes")
    clock.advance(10)
    record_annotation(split, first, "f", "0", "ann", foreground_slices=12)
    split.grant_lease("ann", second, 60, "random_slices", slices=[1, 2])
    clock.advance(1)
    record_annotation(split, second, "f", "0", "ann", slices=[1, 2], foreground_slices=1)
    split.grant_lease("ann", second, 60, "random_slices", slices=[7])
    clock.advance(1)
    record_annotation(split, second, "g", "0", "ann", slices=[1, 2, 7], foreground_slices=2)
    record_annotation(split, third, "h", "0", "bob", slices=[0], foreground_slices=0)
    effort = split.effort({})
    assert (effort.slices, effort.foreground_slices, effort.patients) == (34, 14, 3)
    assert effort.units == pytest.approx(12 / 3 + 2)
    assert (effort.timed_queries, effort.seconds_per_query) == (3, pytest.approx(240.0))
    assert split.effort({first: "smith", third: "smith"}).patients == 2


def test_slices_that_were_asked_for_one_by_one_stay_so_when_all_are_drawn(split):
    image_id = split.pool("training")[0]
    split.fix_slices(image_id, 2, (8, 8, 3))
    for last in range(3):
        split.grant_lease("ann", image_id, 60, "random_slices", slices=[last])
        record_annotation(split, image_id, "f", "0", "ann", slices=range(last + 1), foreground_slices=last + 1)
        assert split.effort({}).units == last + 1
    assert split.progress().annotated == 1


def test_new_slices_of_one_image_do_not_offset_removed_ones_of_another(split):
    first, second = split.pool("training")[:2]
    learnt = record_annotation(split, first, "f", "0", "ann", slices=range(5))
    split.publish_model("m.pt", "0", "quick", ["liver"], {}, [learnt.id])
    split.delete_annotation(first)
    record_annotation(split, first, "g", "0", "ann", slices=[4, 8])
    record_annotation(split, second, "h", "0", "ann", slices=[0, 1, 2])
    assert split.progress().new_training_slices == 4


def test_a_proxy_model_is_no_progress_of_the_task(split):
    learned = record_annotation(split, split.pool("training")[0], "f", "0", "ann")
    split.publish_model("p.pt", "0", "quick", ["foreground"], {}, [], kind="proxy")
    split.record_scores(1, split.pool("training")[0], [Score("variance", "everything", "mean", 1.0)], 5, 0)
    assert split.progress() == but(annotated=1, new_annotations=1, new_training_annotations=1)
    split.publish_model("m.pt", "0", "quick", ["liver"], {}, [learned.id])
    split.publish_model("q.pt", "0", "quick", ["foreground"], {}, [], kind="proxy")
    assert split.progress() == but(annotated=1, latest_model=2, model_in_use=2)


def test_scored_images_are_those_of_the_latest_model(split):
    training = split.pool("training")
    split.publish_model("m.pt", "0", "quick", ["liver"], {}, [])
    split.record_scores(1, training[0], [Score("entropy", "everything", "mean", 0.1)], 5, 0)
    split.record_scores(
        1,
        training[1],
        [Score("entropy", "everything", "mean", 0.1), Score("variance", "everything", "mean", 0.1)],
        5,
        0,
    )
    assert split.progress() == but(latest_model=1, model_in_use=1, scored=2)
    split.publish_model("n.pt", "0", "quick", ["liver"], {}, [])
    assert split.progress() == but(latest_model=2, model_in_use=2, scored=0)


def test_images_whose_file_vanished_are_not_counted(split):
    training = split.pool("training")
    record_annotation(split, training[0], "f", "0", "ann")
    split.sync_images([image.id for image in split.images() if image.id != training[0]], 2)
    assert split.progress() == but(images=7, training=5)


def test_the_slices_that_a_model_has_learnt_are_counted_by_model(split):
    (first, second), (judge, _) = split.pool("training")[:2], split.pool("validation")
    for image_id in (first, judge):
        split.fix_slices(image_id, 2, (5, 5, 7))
    whole = record_annotation(split, first, "f", "0", "ann", foreground_slices=3).id
    judged = record_annotation(split, judge, "f", "0", "ann", foreground_slices=1).id
    uncounted = record_annotation(split, second, "f", "0", "ann").id
    partial = record_annotation(split, second, "g", "0", "ann", slices=[2, 4], foreground_slices=2).id
    for trained_on in ([whole, uncounted], [whole, partial], []):
        split.publish_model("m.pt", "0", "quick", ["a"], {}, trained_on, [judged] if trained_on else [])
    assert split.model_efforts() == {1: ModelEffort(3, 14, 4), 2: ModelEffort(3, 16, 6)}


def test_the_effort_does_not_join_all_images(split):
    """PostgreSQL would read a million of them in order for a label that is newer than its statistics."""
    with executed() as statements:
        split.effort({})
    assert [one for one in statements if "JOIN images" in one] == []
