"""The model in use, as events record it one by one."""

import pytest
from recorded import record_annotation
from sqlalchemy.exc import IntegrityError

from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.store.records.models import Judges, ModelUse


@pytest.fixture
def judged(ledger):
    """A ledger of eight images; the two for validation are labelled."""
    ledger.sync_images([f"case_{number}" for number in range(8)], 2)
    for image_id in ledger.pool("validation"):
        record_annotation(ledger, image_id, "f", "0", "ann")
    return ledger


def publish(ledger, dice=None, kind="task", judges=None):
    labels = [item.id for item in ledger.annotations("validation")] if kind == "task" else []
    return ledger.publish_model("m.pt", "0", "quick", ["a"], {"dice": dice}, [], labels, kind, judges).version


def in_use(ledger, kind="task"):
    model = ledger.model_in_use(kind)
    return None if model is None else model.version


def test_a_worse_model_is_published_and_not_in_use(judged, clock):
    assert (judged.model_use(), judged.model_in_use()) == (None, None)
    publish(judged, 0.793)
    began = clock.now
    clock.advance(5)
    publish(judged, 0.057)
    assert judged.model_use() == ModelUse(1, None, began)
    assert (in_use(judged), judged.latest_model().version) == (1, 2)
    assert [round_.model_version for round_ in judged.rounds()] == [None, 1, 2]
    publish(judged, 0.8)
    assert in_use(judged) == 3
    assert [use.model_version for use in judged.model_uses()] == [1, 3]


def test_a_chosen_model_stays_in_use_until_the_best_is_asked_for(judged, clock):
    publish(judged, 0.7)
    publish(judged, 0.8)
    clock.advance(5)
    judged.use_model(1, "ann")
    assert judged.model_use() == ModelUse(1, "ann", clock.now)
    publish(judged, 0.9)
    assert in_use(judged) == 1
    judged.use_best()
    assert judged.model_use() == ModelUse(3, None, clock.now)
    judged.use_model(3, "bob")
    publish(judged, 0.95)
    assert (in_use(judged), judged.model_use().chosen_by) == (3, "bob")


def test_when_a_chosen_model_is_withdrawn_the_best_is_in_use(judged):
    for dice in (0.5, 0.9, 0.6):
        publish(judged, dice)
    judged.use_model(1, "ann")
    judged.withdraw_model(1)
    assert in_use(judged) == 2
    judged.withdraw_model(2)
    assert in_use(judged) == 3
    judged.withdraw_model(3)
    assert in_use(judged) is None
    assert judged.model_use().model_version is None
    with pytest.raises(InvalidInputError, match=r"model version 2: it was withdrawn for good; .*m\.pt"):
        judged.use_model(2, "ann")
    assert publish(judged, 0.1) == in_use(judged) == 4


def test_labels_drawn_anew_compare_with_nothing_until_the_model_is_measured_again(judged):
    publish(judged, 0.9)
    record_annotation(judged, judged.annotations("validation")[0].image_id, "f", "0", "ann")
    publish(judged, 0.2)
    assert in_use(judged) == 2
    judged.record_measurement(1, judged.measurements()[-1].judges, {"dice": 0.3})
    assert in_use(judged) == 2, "a measurement alone changes nothing"
    judged.use_best()
    assert in_use(judged) == 1


def test_a_measurement_by_the_same_cases_replaces_the_earlier_one(judged):
    publish(judged, 0.9)
    (first,) = judged.measurements()
    assert (first.judges.cases, first.dice) == (2, 0.9)
    judged.record_measurement(1, first.judges, {"dice": 0.4})
    assert [item.dice for item in judged.measurements()] == [0.4]
    assert judged.model(1).metrics == {"dice": 0.9}, "what it was published with stays"


def test_a_model_that_cannot_be_used_is_left_out(judged):
    publish(judged, 0.9)
    publish(judged, 0.5)
    judged.leave_unranked(1)
    assert in_use(judged) == 2
    publish(judged, 0.4)
    assert in_use(judged) == 2


def test_proxy_models_are_compared_by_their_own_cases(judged):
    publish(judged, 0.9)
    judges = Judges("pseudo", 2)
    publish(judged, 0.6, "proxy", judges)
    publish(judged, 0.3, "proxy", judges)
    assert (in_use(judged), in_use(judged, "proxy"), judged.latest_model("proxy").version) == (1, 2, 3)
    publish(judged, 0.2, "proxy", Judges("others", 4))
    assert in_use(judged, "proxy") == 4
    judged.use_model(3, "ann")
    assert (in_use(judged), in_use(judged, "proxy")) == (1, 3)
    assert [item.model_version for item in judged.measurements("proxy")] == [2, 3, 4]


def test_without_validation_cases_the_newest_is_in_use(study):
    for version in (1, 2, 3):
        study.publish_model("m.pt", "0", "quick", ["a"], {"dice": None}, [])
        assert in_use(study) == version


def test_an_unknown_version_or_a_nameless_choice_is_refused(judged):
    publish(judged, 0.9)
    for impossible in (10**30, -(10**30)):  # no database takes it
        with pytest.raises(NotFoundError, match=r"model version -?10{30}: .*there are: 1"):
            judged.use_model(impossible, "ann")
    with pytest.raises(NotFoundError, match=r"model version 7: .*there are: 1"):
        judged.use_model(7, "ann")
    with pytest.raises(InvalidInputError, match="name of who chooses"):
        judged.use_model(1, "")
    with pytest.raises(IntegrityError):
        publish(judged, 0.9, "teacher")


def test_progress_scores_by_the_model_in_use(judged):
    publish(judged, 0.9)
    publish(judged, 0.1)
    progress = judged.progress()
    assert (progress.latest_model, progress.model_in_use) == (2, 1)


def test_comparisons_of_a_worse_model_do_not_count_for_the_model_in_use(judged):
    publish(judged, 0.8)
    publish(judged, 0.1)
    judged.use_model(2, "ann")
    labels = [record_annotation(judged, image_id, "f", "0", "ann").id for image_id in judged.pool("training")[:3]]
    for label, model in zip(labels, (1, 2, 2), strict=True):
        judged.record_uncertainty_check(label, model, "variance", 0.25, wrong_voxels=10, voxels=100)
    assert judged.sound_models() == {1, 2}
    judged.use_best()
    assert judged.sound_models() == {1}
    assert [check.annotation_id for check in judged.latest_uncertainty_checks(9, judged.sound_models())] == labels[:1]
    assert judged.count_uncertainty_checks(judged.sound_models()) == 1
    assert len(judged.uncertainty_checks()) == 3
